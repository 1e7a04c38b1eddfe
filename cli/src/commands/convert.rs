//! `convert`: containers, groups or arrays into another format, layout or dtype.
//!
//! Called by [`super::run`]; [`carry_out`] also by `rechunk`, whose options it shares.

use crate::args::{
    OutputArgs, ReadArgs, RunArgs, StoreArgs, WriteArgs, array_options, location, parse_dtype,
};
use crate::{interrupt, json, progress, text};
use blockwise::convert::{ConvertOptions, Destination, Transfer, TransferReport, convert};
use blockwise::core::error::human_bytes;
use blockwise::core::plan::Resources;
use blockwise::target::{check_apart, format_of};
use blockwise::{Location, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Copy containers, groups or arrays into another format, layout or element type
///
/// Groups, arrays, coordinates, attributes, dimension names, fill values and CF packing are kept.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl convert era5.nc era5.zarr
  arrayctl convert 'era5_*.nc' era5.zarr --chunks time=100,latitude=-1,longitude=-1
  arrayctl convert era5.nc t2m.zarr --include t2m --chunks time=40,latitude=-1,longitude=-1
  arrayctl convert era5.zarr era5.nc --codec deflate:4+shuffle --memory 2GiB
  arrayctl convert packed.nc floats.zarr --unpack --dtype float32
  arrayctl convert field.raw field.npy --dtype float32 --shape 361,720

CHUNKS is one length per axis (40,361,720), lengths by dimension (time=40,lat=-1; the rest keep theirs), auto, or a size
(128MiB); -1 is a whole axis. The output's format follows its extension: .zarr, .nc, .h5, .hdf5, .npy, .tif.")]
pub(crate) struct Arguments {
    /// The container, or an array or group in it as PATH::NODE; an array named so comes alone, one of --include with its coordinates
    source: String,
    /// The new file or folder
    destination: PathBuf,
    /// Chunks of arrays that hold no coordinates
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    chunks: Option<String>,
    /// Element type of arrays that hold no coordinates or bounds, such as float32 (of the input, if --shape says it is raw)
    #[arg(long, value_name = "DTYPE", help_heading = "Elements")]
    dtype: Option<String>,
    /// Undo CF packing: scale, offset and fill values become floats with NaN
    #[arg(long, help_heading = "Elements")]
    unpack: bool,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let dtype = arguments.dtype.as_deref().map(parse_dtype).transpose()?;
    let mut options = options(&arguments.write)?;
    options.open = arguments.read.options(dtype)?;
    options.arrays.chunks = arguments.chunks.as_deref().map(str::parse).transpose()?;
    options.arrays.dtype = if options.open.raw_shape.is_some() { None } else { dtype };
    options.arrays.unpack = arguments.unpack;
    let source = location(&arguments.source)?;
    let destination = destination(&source, &arguments.destination, &arguments.write)?;
    carry_out(&arguments.run, &arguments.write.store, output, &options, |resources| {
        convert(&source, &destination, &options, resources)
    })
}

/// The library's options, as far as the options of `convert` and `rechunk` agree.
pub(super) fn options(write: &WriteArgs) -> Result<ConvertOptions> {
    Ok(ConvertOptions {
        selection: write.selection()?,
        arrays: array_options(None, write.shards.as_deref(), write.codec.as_deref())?,
        copy: write.copy_options(),
        plan_only: write.store.dry_run,
        ..ConvertOptions::default()
    })
}

/// Where the output goes. That it lies inside the input is said before anything is said of its name.
pub(super) fn destination(source: &Location, path: &Path, write: &WriteArgs) -> Result<Destination> {
    check_apart(source.path(), path)?;
    let format = format_of(path, write.zarr_format)?;
    Ok(write.store.destination(path, format))
}

/// Plans with `prepare`, then prints the plan or runs it.
pub(super) fn carry_out(
    run: &RunArgs,
    store: &StoreArgs,
    output: &OutputArgs,
    options: &ConvertOptions,
    prepare: impl FnOnce(&Resources) -> Result<Transfer>,
) -> Result<()> {
    let cancellation = interrupt::cancellation();
    let _run = store.start(run)?;
    let resources = run.resources()?;
    let transfer = prepare(&resources)?;
    if options.plan_only {
        print_plan(&transfer, output);
        return Ok(());
    }
    let watcher = progress::watcher(run, output)?;
    let report = transfer.run(&*watcher, &cancellation)?;
    drop(watcher);
    if output.json {
        text::print(&json::transfer(&report).to_string());
    } else if !output.quiet {
        text::print(&summary(&report, &resources));
    }
    Ok(())
}

fn print_plan(transfer: &Transfer, output: &OutputArgs) {
    let plans: Vec<_> = transfer.plans().collect();
    let temporary_bytes = plans.iter().map(|plan| plan.temporary_bytes).max().unwrap_or(0);
    let peak_bytes = plans.iter().map(|plan| plan.peak_bytes).max().unwrap_or(0);
    if output.json {
        let object = json!({
            "plans": plans.iter().map(|plan| json::plan(plan)).collect::<Vec<_>>(),
            "bytes_read": plans.iter().map(|plan| plan.bytes_read).fold(0, u64::saturating_add),
            "bytes_written": plans.iter().map(|plan| plan.bytes_written).fold(0, u64::saturating_add),
            "temporary_bytes": temporary_bytes,
            "peak_bytes": peak_bytes,
        });
        text::print(&object.to_string());
        return;
    }
    let texts: Vec<String> = plans.iter().map(|plan| text::printable_lines(&plan.to_string())).collect();
    text::print(&texts.join("\n"));
}

/// What was done, how fast, within what memory.
pub(super) fn summary(report: &TransferReport, resources: &Resources) -> String {
    let logical_bytes = report.logical_bytes();
    let skipped: u64 = report.arrays.iter().map(|array| array.run.chunks_skipped).sum();
    let resumed = if skipped > 0 {
        format!(", {} done before", text::counted(skipped, "chunk"))
    } else {
        String::new()
    };
    format!(
        "{}: {}, {} stored as {} in {} s ({}/s){resumed}; memory {} of {}",
        report.path.display(),
        text::counted(report.arrays.len() as u64, "array"),
        human_bytes(logical_bytes),
        human_bytes(report.stored_bytes()),
        text::seconds(report.secs),
        human_bytes(text::per_second(logical_bytes, report.secs)),
        human_bytes(report.peak_reserved_bytes()),
        human_bytes(resources.budget_bytes),
    )
}
