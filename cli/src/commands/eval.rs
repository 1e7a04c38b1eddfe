//! `eval`: an expression over stored arrays, printed or stored.
//!
//! Called by [`super::run`]; [`carry_out`] also by `reduce`, which is `eval` of one function.

use crate::args::{OutputArgs, ReadArgs, RunArgs, StoreArgs, array_options, parse_dtype};
use crate::{interrupt, json, progress, text, values};
use blockwise::core::error::human_bytes;
use blockwise::core::exec;
use blockwise::core::plan::{PlanSummary, Resources};
use blockwise::evaluate::{EvalInput, EvalOptions, Evaluation, OutputRequest, StoredResult, StoringReport};
use blockwise::target::format_of;
use blockwise::{Error, Location, Opened, Result};
use clap::Args;
use serde_json::{Value, json};
use std::sync::Arc;

/// Evaluate a NumPy-style expression over arrays of any size
///
/// Without -o the results are printed, if they are small. All results of one call are computed in one run that shares
/// every read. Packed data (CF scale_factor, add_offset, _FillValue) are computed with as the values they stand for,
/// missing ones as NaN, unless --raw is given.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl eval 'mean(t, axis=\"time\")' -i t=era5.nc::t2m -o mean.nc
  arrayctl eval 'sqrt(u**2 + v**2).max()' -i u=wind.zarr::u -i v=wind.zarr::v
  arrayctl eval 'a = t - mean(t, \"time\"); s = std(t, \"time\")' -i t=era5.nc::t2m -o a=anomaly.zarr -o s=spread.nc
  arrayctl eval 't[::12, -5:, None, ...].astype(\"float64\")' -i t=era5.zarr::t2m -o part.npy
  arrayctl eval 'where(x > 0, log(x), nan).mean()' -i x=field.npy --json

Names are those of -i; there are numbers, texts, + - * / // % ** & | ^ ~ << >>, comparisons, slices, calls and methods.
`arrayctl functions` lists every function. A dimension may be named wherever an axis is meant. dtypes are NumPy 2's.")]
pub(crate) struct Arguments {
    /// One expression, or NAME = EXPR; NAME = EXPR
    #[arg(allow_hyphen_values = true)]
    expression: String,
    /// An array and what the expression calls it (repeatable)
    #[arg(short, long = "input", value_name = "NAME=PATH", help_heading = "Input")]
    input: Vec<String>,
    #[command(flatten)]
    results: ResultArgs,
    /// Element type of raw inputs, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// How results are computed and where they go.
#[derive(Clone, Debug, Args)]
pub(crate) struct ResultArgs {
    /// Where results go: DST for all, NAME=DST for one (repeatable); .zarr, .nc, .h5, .hdf5, .npy, .tif
    #[arg(short, long = "output", value_name = "[NAME=]DST", help_heading = "Run")]
    output: Vec<String>,
    /// Take elements as they are stored: no CF unpacking, no missing values
    #[arg(long, help_heading = "Input")]
    raw: bool,
    /// Chunks of the results
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    chunks: Option<String>,
    /// Shards, as --chunks: whole multiples of the chunks (Zarr v3)
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    shards: Option<String>,
    /// none, zstd[:LEVEL], gzip[:LEVEL], blosc[:CNAME[:LEVEL[:SHUFFLE]]], deflate[:LEVEL]; +shuffle, +crc32c,
    /// +fletcher32 [default: the first input's, where every reader of the format knows it]
    #[arg(long, value_name = "CODEC", help_heading = "Layout")]
    codec: Option<String>,
    /// Version of Zarr to write: 2 or 3 [default: 3]
    #[arg(long, value_name = "VERSION", help_heading = "Layout")]
    zarr_format: Option<u8>,
    /// Make sums and means exact, the same whatever the chunks; a little slower
    #[arg(long, help_heading = "Run")]
    reproducible: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl ResultArgs {
    fn options(&self, read: &ReadArgs, dtype: Option<&str>) -> Result<EvalOptions> {
        Ok(EvalOptions {
            open: read.options(dtype.map(parse_dtype).transpose()?)?,
            raw: self.raw,
            arrays: array_options(self.chunks.as_deref(), self.shards.as_deref(), self.codec.as_deref())?,
            reproducible: self.reproducible,
            plan_only: self.store.dry_run,
        })
    }

    fn requests(&self) -> Result<Vec<OutputRequest>> {
        if self.output.is_empty()
            && (self.chunks.is_some()
                || self.shards.is_some()
                || self.codec.is_some()
                || self.store.overwrite
                || (self.store.resume && !self.store.engine.is_beyond()))
        {
            let what = "chunks, codec, --overwrite and --resume are for results in files; name one with -o"
                .to_owned();
            return Err(Error::Usage { path: "-o".to_owned(), what });
        }
        let request = |text: &String| {
            let (name, path) = OutputRequest::split(text);
            let format = format_of(path.as_ref(), self.zarr_format.filter(|_| path.ends_with(".zarr")))?;
            let destination = self.store.destination(path, format);
            Ok(OutputRequest { name: name.map(str::to_owned), destination })
        };
        self.output.iter().map(request).collect()
    }
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let inputs = arguments.input.iter().map(|text| text.parse()).collect::<Result<Vec<EvalInput>>>()?;
    let options = arguments.results.options(&arguments.read, arguments.dtype.as_deref())?;
    carry_out(&arguments.expression, &inputs, None, &options, &arguments.results, &arguments.run, output)
}

/// The library's options of `reduce`.
pub(super) fn options(results: &ResultArgs, read: &ReadArgs, dtype: Option<&str>) -> Result<EvalOptions> {
    results.options(read, dtype)
}

/// Evaluates, with a container that is open already if there is one, then prints the plan, the values, or what was stored.
pub(super) fn carry_out(
    expression: &str,
    inputs: &[EvalInput],
    container: Option<&(Location, Arc<Opened>)>,
    options: &EvalOptions,
    results: &ResultArgs,
    run: &RunArgs,
    output: &OutputArgs,
) -> Result<()> {
    let requests = results.requests()?;
    let cancellation = interrupt::cancellation();
    let _run = results.store.start(run)?;
    let resources = run.resources()?;
    let job = Evaluation::open_in(expression, inputs, container, options)?;
    for input in job.inputs().filter(|input| input.unpacked) {
        note_unpacking(output, &input.label, input.dtype.name());
    }
    if requests.is_empty() {
        let computation = job.in_memory(&resources)?;
        if options.plan_only {
            print_plan(Some(computation.plan.summary()), output);
            return Ok(());
        }
        let watcher = progress::watcher(run, output)?;
        watcher.array_started(0, 1, &computation.plan.summary().label, &computation.plan);
        exec::run(&computation.plan, &resources, &*watcher, &cancellation)?;
        drop(watcher);
        let results = computation.into_results();
        if output.json {
            let objects: Vec<Value> = results.iter().map(values::json).collect();
            text::print(&json!({ "results": objects }).to_string());
        } else {
            let texts: Vec<String> = results.iter().map(values::text).collect();
            text::print(&texts.join("\n"));
        }
        return Ok(());
    }
    let storing = job.store(&requests, &resources)?;
    if options.plan_only {
        print_plan(storing.plan(), output);
        return Ok(());
    }
    let watcher = progress::watcher(run, output)?;
    let report = storing.run(&*watcher, &cancellation)?;
    drop(watcher);
    if output.json {
        text::print(&stored_as_json(&report).to_string());
    } else if !output.quiet {
        text::print(&stored_summary(&report, &resources));
    }
    Ok(())
}

/// Says that packing was undone, to who wants to know.
fn note_unpacking(output: &OutputArgs, label: &str, dtype: &str) {
    if output.verbose > 0 {
        eprintln!(
            "{}: packed or missing values are undone, elements are {dtype}; --raw takes them as stored",
            text::printable(label)
        );
    }
}

pub(super) fn print_plan(plan: Option<&PlanSummary>, output: &OutputArgs) {
    let plans: Vec<&PlanSummary> = plan.into_iter().collect();
    if output.json {
        let object = json!({ "plans": plans.iter().map(|plan| json::plan(plan)).collect::<Vec<_>>() });
        text::print(&object.to_string());
        return;
    }
    let texts: Vec<String> = plans.iter().map(|plan| text::printable_lines(&plan.to_string())).collect();
    text::print(&texts.join("\n"));
}

fn label(result: &StoredResult) -> String {
    let path = result.path.display();
    if result.node.is_root() { path.to_string() } else { format!("{path}::{}", result.node) }
}

/// A line for each result, and one for the run.
pub(super) fn stored_summary(report: &StoringReport, resources: &Resources) -> String {
    let mut lines: Vec<String> = report
        .results
        .iter()
        .map(|result| format!("{}: {} {}", label(result), result.dtype, text::shape(&result.shape)))
        .collect();
    let skipped = report.run.chunks_skipped;
    let resumed = if skipped > 0 {
        format!(", {} done before", text::counted(skipped, "chunk"))
    } else {
        String::new()
    };
    lines.push(format!(
        "read {} in {} s ({}/s){resumed}; memory {} of {}",
        human_bytes(report.run.bytes_read),
        text::seconds(report.secs),
        human_bytes(text::per_second(report.run.bytes_read, report.secs)),
        human_bytes(report.run.peak_reserved_bytes),
        human_bytes(resources.budget_bytes),
    ));
    lines.join("\n")
}

pub(super) fn stored_as_json(report: &StoringReport) -> Value {
    let results: Vec<Value> = report
        .results
        .iter()
        .map(|result| {
            json!({
                "output": result.path.display().to_string(),
                "node": result.node.to_string(),
                "dtype": result.dtype.name(),
                "shape": result.shape,
                "chunks": result.chunk_shape,
                "logical_bytes": result.logical_bytes,
            })
        })
        .collect();
    json!({
        "results": results,
        "secs": report.secs,
        "bytes_read": report.run.bytes_read,
        "bytes_written": report.run.bytes_written,
        "chunks_skipped": report.run.chunks_skipped,
        "peak_reserved_bytes": report.run.peak_reserved_bytes,
    })
}
