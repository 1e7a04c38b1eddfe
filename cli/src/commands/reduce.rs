//! `reduce`: one reduction of one array.
//!
//! Shorthand of `eval`. Called by [`super::run`].

use super::eval::{ResultArgs, carry_out, options};
use crate::args::{OutputArgs, ReadArgs, RunArgs, location};
use blockwise::evaluate::EvalInput;
use blockwise::expression::functions;
use blockwise::{Error, Result};
use clap::Args;

/// Reduce an array over axes: mean, sum, min, max, std, median, count, nanmean ...
///
/// The same as `arrayctl eval 'OP(x, axis=...)' -i x=SRC`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl reduce mean era5.nc::t2m --axis time -o mean.nc
  arrayctl reduce max wind.zarr::u --axis lat,lon
  arrayctl reduce std era5.zarr::t2m --axis 0 --ddof 1 --keepdims -o spread.zarr
  arrayctl reduce count coads.cdf::SST

Packed data (CF) are reduced as the values they stand for; missing values are NaN, which nanmean and its kin leave out.
`arrayctl functions reductions` lists the reductions.")]
pub(crate) struct Arguments {
    /// The reduction, by NumPy's name
    operation: String,
    /// The array, as PATH or PATH::NODE
    source: String,
    /// Axes by position or dimension name, with commas between [default: all]
    #[arg(long, value_name = "A,B", allow_hyphen_values = true)]
    axis: Option<String>,
    /// Keep the reduced axes, with one element
    #[arg(long)]
    keepdims: bool,
    /// Delta degrees of freedom of var and std [default: 0]
    #[arg(long, value_name = "N")]
    ddof: Option<f64>,
    #[command(flatten)]
    results: ResultArgs,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let reductions: Vec<_> = functions()
        .into_iter()
        .filter(|function| {
            function.signature.contains("axis=None") && function.signature.contains("keepdims")
        })
        .filter(|function| !function.signature.contains(" q,"))
        .collect();
    let wanted = arguments.operation.as_str();
    if !reductions.iter().any(|function| function.name == wanted || function.aliases.contains(&wanted)) {
        let names: Vec<&str> = reductions.iter().map(|function| function.name).collect();
        let why = format!("there are {}", names.join(", "));
        return Err(Error::Argument { what: "reduction", text: wanted.to_owned(), why });
    }
    let mut call = format!("{wanted}(x");
    if let Some(axes) = &arguments.axis {
        let axes: Vec<String> = axes.split(',').map(|axis| written(axis.trim())).collect();
        call.push_str(&format!(", axis=({},)", axes.join(", ")));
    }
    if arguments.keepdims {
        call.push_str(", keepdims=True");
    }
    if let Some(ddof) = arguments.ddof {
        call.push_str(&format!(", ddof={ddof:?}"));
    }
    call.push(')');
    let input = EvalInput { name: "x".to_owned(), location: location(&arguments.source)? };
    let options = options(&arguments.results, &arguments.read, arguments.dtype.as_deref())?;
    carry_out(&call, &[input], &options, &arguments.results, &arguments.run, output)
}

/// An axis as an expression says it: a number, or a name as a text.
fn written(axis: &str) -> String {
    match axis.parse::<i64>() {
        Ok(position) => position.to_string(),
        Err(_) => format!("'{}'", axis.replace('\\', r"\\").replace('\'', r"\'")),
    }
}
