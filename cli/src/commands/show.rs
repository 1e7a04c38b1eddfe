//! `show`: a plane of an array as a picture.
//!
//! Called by [`super::run`].

use super::eval::print_plan;
use crate::args::{OutputArgs, ReadArgs, RunArgs, location, parse_dtype};
use crate::values::number;
use crate::{interrupt, progress, text};
use blockwise::Result;
use blockwise::evaluate::EvalOptions;
use blockwise::show::{Colours, ShowJob, ShowOptions, Slicing};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// A slice of an array as a picture (PNG) with axes, units and a colour bar
///
/// Two dimensions are shown: latitude and longitude if there are such, else the last two. Of the others the first position is
/// taken, unless --slice gives one or --project reduces them. Only what is shown is read; larger planes are averaged down to the
/// pixels while they are. Rows with coordinates that rise go upwards. Missing values (NaN) are grey. Three or four samples of a pixel, as
/// of a colour TIFF, are its colours, unless --cmap or a --slice of them is given.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl show era5.nc::t2m --slice time=0 -o t2m.png
  arrayctl show era5.nc::t2m --slice time=-1,latitude=0:200 --cmap magma --vmin 250 --vmax 310 -o north.png
  arrayctl show stack.zarr --project max --cmap gray -o projection.png
  arrayctl show slide.svs::1 -o slide.png                         in its own colours
  arrayctl show eof.zarr::V --slice mode=0 -o eof1.png            two-sided values: blue, white, red

Colour maps: viridis, magma, inferno, plasma, cividis, turbo, gray, RdBu, BrBG, PuOr, PRGn, and each with _r, from its end to its
start. Without --cmap: viridis, or RdBu_r with zero in the middle where values lie on both sides of zero.")]
pub(crate) struct Arguments {
    /// The array, as PATH or PATH::NODE
    source: String,
    /// The picture, a new .png
    #[arg(short, long, value_name = "IMG.png", help_heading = "Run")]
    output: PathBuf,
    /// Positions or ranges of dimensions (or of axes by number), such as time=0,lat=10:20
    #[arg(long = "slice", value_name = "DIM=PLACE,…", help_heading = "Picture")]
    slices: Vec<String>,
    /// Reduce the dimensions that are not shown by mean, max, min, sum or std
    #[arg(long, value_name = "OP", help_heading = "Picture")]
    project: Option<String>,
    /// Colour map
    #[arg(long, value_name = "NAME", help_heading = "Picture")]
    cmap: Option<String>,
    /// The number that has the first colour; by default the smallest
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, help_heading = "Picture")]
    vmin: Option<f64>,
    /// The number that has the last colour; by default the largest
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, help_heading = "Picture")]
    vmax: Option<f64>,
    /// Pixels from left to right
    #[arg(long, value_name = "PIXELS", default_value_t = 960, help_heading = "Picture")]
    width: usize,
    /// What stands above, instead of the array's name and where it is cut
    #[arg(long, value_name = "TEXT", help_heading = "Picture")]
    title: Option<String>,
    /// Take elements as they are stored: no CF unpacking, no missing values
    #[arg(long, help_heading = "Input")]
    raw: bool,
    /// Print the plan (passes, bytes, temporary disk, peak memory) and stop
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    /// Replace an existing picture, once the new one is whole
    #[arg(long, help_heading = "Run")]
    overwrite: bool,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let mut slices = Vec::new();
    for some in &arguments.slices {
        slices.extend(Slicing::parse_all(some)?);
    }
    let options = ShowOptions {
        slices,
        project: arguments.project.clone(),
        colours: arguments.cmap.as_deref().map(str::parse::<Colours>).transpose()?,
        low: arguments.vmin,
        high: arguments.vmax,
        width: arguments.width,
        title: arguments.title.clone(),
        overwrite: arguments.overwrite,
    };
    let open = EvalOptions {
        open: arguments.read.options(arguments.dtype.as_deref().map(parse_dtype).transpose()?)?,
        raw: arguments.raw,
        plan_only: arguments.dry_run,
        ..EvalOptions::default()
    };
    let cancellation = interrupt::cancellation();
    let resources = arguments.run.resources()?;
    let source = location(&arguments.source)?;
    let job = ShowJob::open(&source, &arguments.output, &options, &open, &resources)?;
    if arguments.dry_run {
        print_plan(Some(job.plan()), output);
        return Ok(());
    }
    let watcher = progress::watcher(&arguments.run, output)?;
    let shown = job.run(&resources, &*watcher, &cancellation)?;
    drop(watcher);
    let ([width, height], [rows, columns]) = (shown.drawn.size, shown.cells);
    let (low, high) = shown.drawn.range;
    if output.json {
        let object = json!({
            "output": arguments.output.display().to_string(),
            "title": shown.title,
            "width": width,
            "height": height,
            "cells": [rows, columns],
            "area": { "x": [shown.drawn.area[0].start, shown.drawn.area[0].end], "y": [shown.drawn.area[1].start, shown.drawn.area[1].end] },
            "vmin": low,
            "vmax": high,
        });
        text::print(&object.to_string());
    } else if !output.quiet {
        text::print(&format!(
            "{}: {}, {rows} x {columns} cells in {width} x {height} pixels, colours from {} to {}",
            arguments.output.display(),
            text::printable(&shown.title),
            number(low, 6),
            number(high, 6)
        ));
    }
    Ok(())
}
