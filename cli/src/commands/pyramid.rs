//! `pyramid`: an array as an OME-Zarr image with levels of decreasing resolution.
//!
//! Called by [`super::run`].

use super::eval::{print_plan, stored_as_json, stored_summary};
use crate::args::{OutputArgs, ReadArgs, RunArgs, StoreArgs, array_options, location, parse_dtype};
use crate::{interrupt, progress, text};
use blockwise::evaluate::EvalOptions;
use blockwise::io::Format;
use blockwise::pyramid::{ImageAxis, PyramidJob, PyramidOptions};
use blockwise::target::format_of;
use blockwise::{Error, Result};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Store an array as an OME-Zarr 0.5 image with levels of decreasing resolution, in one pass over it
///
/// Every level is made of the one before, 2 times smaller along each axis in space: boxes of neighbours become one element of the
/// same type. Boxes at the ends of axes are of what is there, so extents are halved and rounded up. Means of integers are exact and
/// rounded to the nearest, halves to even; NaN counts as missing. The image appears whole, by one rename.
///
/// Axes are called as the dimensions, or as --axes says; t or time is time, c, channel or band are channels, z, y, x, latitudes and
/// longitudes are space. An array without names has the last of tczyx. An image has at most one axis of time, then at most one of
/// channels, then 2 or 3 in space; axes in another order, as the samples of a colour TIFF, are put into this one.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl pyramid volume.zarr volume.ome.zarr --scale z=2,y=0.5,x=0.5 --unit micrometer
  arrayctl pyramid scan.npy scan.ome.zarr --axes czyx --factor z=1 --chunks 1,16,256,256
  arrayctl pyramid segments.h5::labels labels.ome.zarr --method mode --codec zstd:3
  arrayctl pyramid huge.nc::density pyramid.zarr --shards 512,512,512 --memory 2GiB
  arrayctl pyramid slide.svs::0 slide.ome.zarr --scale 0.25 --unit micrometer

Levels are arrays 0, 1, 2 … of the group; 0 is the full resolution. --resume reads the array again, but writes no chunk of the full
resolution again that is there. Coordinates are not stored: OME-Zarr has a size and a position for each axis instead.")]
pub(crate) struct Arguments {
    /// The array, as PATH or PATH::NODE
    source: String,
    /// The image to make, a Zarr v3 group
    target: PathBuf,
    /// Levels, the full resolution among them [default: until the longest axis in space fits one chunk, or has 1024 elements]
    #[arg(long, value_name = "N", help_heading = "Image")]
    levels: Option<usize>,
    /// By how much each level is smaller: 2 (axes in space), 1,2,2 (each axis), or z=1 (by name) [default: 2]
    #[arg(long, value_name = "FACTORS", help_heading = "Image")]
    factor: Option<String>,
    /// What an element of a smaller level is: mean, nearest (the first), mode (for labels), max or min of its box
    #[arg(long, value_name = "METHOD", default_value = "mean", help_heading = "Image")]
    method: String,
    /// Names of the axes: letters such as tczyx, or time,lat,lon [default: the dimensions' names]
    #[arg(long, value_name = "NAMES", help_heading = "Image")]
    axes: Option<String>,
    /// Physical size of an element: 0.5 (axes in space), 2,0.5,0.5 (each axis), or z=2,y=0.5,x=0.5 [default: the source's, or 1]
    #[arg(long, value_name = "SIZES", help_heading = "Image")]
    scale: Option<String>,
    /// Units of the sizes, as OME-Zarr has them: micrometer, or t=second,z=micrometer
    #[arg(long, value_name = "UNITS", help_heading = "Image")]
    unit: Option<String>,
    /// What the image is called [default: as the source]
    #[arg(long, value_name = "NAME", help_heading = "Image")]
    name: Option<String>,
    /// Chunks of every level [default: the source's; else 128 elements along each axis of a volume, 1024 of a plane]
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    chunks: Option<String>,
    /// Shards, as --chunks: whole multiples of the chunks
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    shards: Option<String>,
    /// none, zstd[:LEVEL], gzip[:LEVEL], blosc[:CNAME[:LEVEL[:SHUFFLE]]]; +crc32c [default: the source's, else zstd:1 behind a
    /// byte shuffle]
    #[arg(long, value_name = "CODEC", help_heading = "Layout")]
    codec: Option<String>,
    /// Take elements as they are stored: no CF unpacking, no missing values
    #[arg(long, help_heading = "Input")]
    raw: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

impl Arguments {
    fn options(&self) -> Result<PyramidOptions> {
        let method = self.method.parse().map_err(|error: blockwise::kernels::KernelError| {
            Error::Argument { what: "method", text: self.method.clone(), why: error.to_string() }
        })?;
        Ok(PyramidOptions {
            levels: self.levels,
            factors: self.factor.as_deref().map(str::parse).transpose()?,
            method,
            axes: self.axes.as_deref().map(axis_names),
            scale: self.scale.as_deref().map(str::parse).transpose()?,
            units: self.unit.as_deref().map(str::parse).transpose()?,
            name: self.name.clone(),
            arrays: array_options(self.chunks.as_deref(), self.shards.as_deref(), self.codec.as_deref())?,
            overwrite: self.store.overwrite,
        })
    }
}

/// Names apart by commas, or a letter each.
fn axis_names(text: &str) -> Vec<String> {
    if text.contains(',') {
        text.split(',').map(|name| name.trim().to_owned()).collect()
    } else {
        text.chars().map(String::from).collect()
    }
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let source = location(&arguments.source)?;
    let open = EvalOptions {
        open: arguments.read.options(arguments.dtype.as_deref().map(parse_dtype).transpose()?)?,
        raw: arguments.raw,
        plan_only: arguments.store.dry_run,
        ..EvalOptions::default()
    };
    // A folder may be called anything, but not as other formats are.
    let format = format_of(&arguments.target, None).unwrap_or(Format::Zarr3);
    let destination = arguments.store.destination(&arguments.target, format);
    let cancellation = interrupt::cancellation();
    let _run = arguments.store.start(&arguments.run)?;
    let resources = arguments.run.resources()?;
    let job = PyramidJob::open(&source, &arguments.options()?, &open)?;
    let storing = job.store(&destination, &resources)?;
    if arguments.store.dry_run {
        print_plan(storing.plan(), output);
        return Ok(());
    }
    let watcher = progress::watcher(&arguments.run, output)?;
    let report = storing.run(&*watcher, &cancellation)?;
    drop(watcher);
    if output.json {
        let mut object = stored_as_json(&report);
        if let Value::Object(fields) = &mut object {
            fields.insert("method".to_owned(), json!(job.method().name()));
            fields.insert("axes".to_owned(), job.axes().iter().map(axis_as_json).collect());
            let scales = job.levels(&resources)?.into_iter().map(|level| level.scale);
            fields.insert("scales".to_owned(), scales.collect::<Vec<_>>().into());
        }
        text::print(&object.to_string());
    } else if !output.quiet {
        text::print(&stored_summary(&report, &resources));
    }
    Ok(())
}

fn axis_as_json(axis: &ImageAxis) -> Value {
    json!({ "name": axis.name, "type": axis.kind.map(|kind| kind.name()), "unit": axis.unit, "scale": axis.scale })
}
