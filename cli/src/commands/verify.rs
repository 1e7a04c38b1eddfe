//! `verify`: are two arrays, or two containers, the same?
//!
//! Called by [`super::run`].

use crate::args::{OutputArgs, ReadArgs, RunArgs, location, parse_dtype};
use crate::exit::DIFFERENT;
use crate::{interrupt, progress, text};
use blockwise::verify::{ArrayVerdict, Tolerance, VerifyOptions, VerifyReport, verify};
use blockwise::{Error, Result, Selection};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Compare two arrays or containers element by element, whatever their formats, chunks and codecs
///
/// Exits with 0 if nothing differs and with 5 if something does. Elements are equal if |a - b| <= atol + rtol * |b|.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl verify era5.nc era5.zarr --equal-nan
  arrayctl verify a.zarr::t2m b.zarr::t2m --rtol 1e-6
  arrayctl verify era5.nc copy.nc --attributes --exclude '*_bnds'")]
pub(crate) struct Arguments {
    /// The first array or container
    left: String,
    /// The second
    right: String,
    /// Relative tolerance
    #[arg(long, default_value_t = 0.0, value_name = "X", help_heading = "Comparison")]
    rtol: f64,
    /// Absolute tolerance
    #[arg(long, default_value_t = 0.0, value_name = "X", help_heading = "Comparison")]
    atol: f64,
    /// NaN equals NaN
    #[arg(long, help_heading = "Comparison")]
    equal_nan: bool,
    /// Compare attributes and dimension names too
    #[arg(long, help_heading = "Comparison")]
    attributes: bool,
    /// Differences to show for each array
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Comparison")]
    show: usize,
    /// Only arrays and groups that match this glob (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    include: Vec<String>,
    /// Not the arrays and groups that match this glob (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    exclude: Vec<String>,
    /// Element type of raw inputs, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<ExitCode> {
    for (name, value) in [("--rtol", arguments.rtol), ("--atol", arguments.atol)] {
        if !value.is_finite() || value < 0.0 {
            let why = format!("{name} takes a number from 0 up");
            return Err(Error::Argument { what: "tolerance", text: value.to_string(), why });
        }
    }
    let dtype = arguments.dtype.as_deref().map(parse_dtype).transpose()?;
    let options = VerifyOptions {
        open: arguments.read.options(dtype)?,
        tolerance: Tolerance {
            relative: arguments.rtol,
            absolute: arguments.atol,
            equal_nan: arguments.equal_nan,
        },
        attributes: arguments.attributes,
        selection: Selection::new(&arguments.include, &arguments.exclude)?,
        shown: arguments.show,
    };
    let cancellation = interrupt::cancellation();
    let resources = arguments.run.resources()?;
    let watcher = progress::watcher(&arguments.run, output)?;
    let (left, right) = (location(&arguments.left)?, location(&arguments.right)?);
    let report = verify(&left, &right, &options, &resources, &*watcher, &cancellation)?;
    drop(watcher);
    if output.json {
        text::print(&as_json(&report).to_string());
    } else {
        text::print(&as_text(&report, output.quiet));
    }
    Ok(if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn as_json(report: &VerifyReport) -> Value {
    let array = |verdict: &ArrayVerdict| {
        let first: Vec<Value> = verdict
            .findings
            .first
            .iter()
            .map(|difference| {
                json!({
                    "index": difference.index, "chunk": difference.chunk,
                    "left": difference.left, "right": difference.right,
                })
            })
            .collect();
        json!({
            "path": verdict.path.to_string(),
            "description": verdict.description,
            "elements": verdict.findings.elements,
            "differing": verdict.findings.differing,
            "nan_pairs": verdict.findings.nan_pairs,
            "largest_difference": verdict.findings.largest_difference,
            "first": first,
        })
    };
    json!({
        "equal": report.is_equal(),
        "container": report.container,
        "arrays": report.arrays.iter().map(array).collect::<Vec<_>>(),
    })
}

/// One line an array (`=` equal, `!` different), differences below it.
pub(super) fn as_text(report: &VerifyReport, only_differences: bool) -> String {
    let mut lines: Vec<String> =
        report.container.iter().map(|what| format!("! {}", text::printable(what))).collect();
    for array in &report.arrays {
        let name =
            if array.path.is_root() { "array".to_owned() } else { text::printable(&array.path.to_string()) };
        let findings = &array.findings;
        if findings.differing == 0 && array.description.is_empty() {
            if !only_differences {
                lines.push(format!("= {name}: {} equal", text::counted(findings.elements, "element")));
            }
            continue;
        }
        for what in &array.description {
            lines.push(format!("! {name}: {}", text::printable(what)));
        }
        if findings.differing > 0 {
            let largest = match findings.largest_difference {
                0.0 => String::new(),
                largest => format!(", by up to {largest:e}"),
            };
            lines.push(format!(
                "! {name}: {} of {} differ{largest}",
                findings.differing,
                text::counted(findings.elements, "element")
            ));
            for difference in &findings.first {
                lines.push(format!(
                    "    at {:?} (chunk {:?}): {} is not {}",
                    difference.index,
                    difference.chunk,
                    text::printable(&difference.left),
                    text::printable(&difference.right)
                ));
            }
            if findings.nan_pairs > 0 {
                lines.push(format!(
                    "    {} of these are NaN in both; --equal-nan takes them for equal",
                    findings.nan_pairs
                ));
            }
        }
    }
    lines.push(if report.is_equal() { "equal".to_owned() } else { "different".to_owned() });
    lines.join("\n")
}
