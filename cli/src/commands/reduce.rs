//! `reduce`: one reduction of one array.
//!
//! Shorthand of `eval`. Called by [`super::run`].

use super::eval::{ResultArgs, carry_out, options};
use crate::args::{OutputArgs, ReadArgs, RunArgs, location};
use blockwise::evaluate::EvalInput;
use blockwise::expression::functions;
use blockwise::group::Grouped;
use blockwise::{Error, Result};
use clap::Args;

/// Reduce an array over axes or by groups: mean, sum, min, max, std, median, count, nanmean ...
///
/// The same as `arrayctl eval 'OP(x, axis=...)' -i x=SRC`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl reduce mean era5.nc::t2m --axis time -o mean.nc
  arrayctl reduce max wind.zarr::u --axis lat,lon
  arrayctl reduce std era5.zarr::t2m --axis 0 --ddof 1 --keepdims -o spread.zarr
  arrayctl reduce count coads.cdf::SST
  arrayctl reduce mean era5.zarr::t2m --by time.month -o climatology.nc
  arrayctl reduce anomaly era5.zarr::t2m --by time.dayofyear -o anomaly.zarr
  arrayctl reduce max era5.zarr::t2m --resample QS-DEC -o seasons.nc

Groups leave out NaN whatever the name; first, last, median and anomaly are for groups too. A season's winter is that of
its January with --resample QS-DEC, and all winters together with --by time.season.

Packed data (CF) are reduced as the values they stand for; missing values are NaN, which nanmean and its kin leave out.
`arrayctl functions reductions` lists the reductions.")]
pub(crate) struct Arguments {
    /// The reduction, by NumPy's name
    operation: String,
    /// The array, as PATH or PATH::NODE
    source: String,
    /// Reduce groups: a dimension's times by a field (time.month, time.season, time.dayofyear ...), or its values (lat)
    #[arg(long, value_name = "DIM.FIELD", conflicts_with_all = ["keepdims", "axis"])]
    by: Option<String>,
    /// Reduce bins of times: MS, QS-DEC, YS, D, 6h, ME ... (along --axis, if several dimensions have times)
    #[arg(long, value_name = "FREQ", conflicts_with_all = ["by", "keepdims"])]
    resample: Option<String>,
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
    let call = match (&arguments.by, &arguments.resample) {
        (Some(by), _) => grouped(arguments, &format!("x.groupby({})", quoted(by)))?,
        (_, Some(frequency)) => {
            let along = arguments.axis.as_deref().map_or_else(|| "None".to_owned(), quoted);
            grouped(arguments, &format!("x.resample({}, {along})", quoted(frequency)))?
        }
        _ => whole(arguments)?,
    };
    let input = EvalInput { name: "x".to_owned(), location: location(&arguments.source)? };
    let options = options(&arguments.results, &arguments.read, arguments.dtype.as_deref())?;
    carry_out(&call, &[input], &options, &arguments.results, &arguments.run, output)
}

/// The expression of a reduction of groups.
fn grouped(arguments: &Arguments, groups: &str) -> Result<String> {
    let wanted = arguments.operation.as_str();
    let name = wanted.strip_prefix("nan").unwrap_or(wanted);
    if name != "anomaly" && !Grouped::NAMES.contains(&name) {
        let why = format!("groups have {}, anomaly", Grouped::NAMES.join(", "));
        return Err(Error::Argument { what: "reduction of groups", text: wanted.to_owned(), why });
    }
    let ddof = arguments.ddof.map(|ddof| format!("ddof={ddof:?}")).unwrap_or_default();
    Ok(format!("{groups}.{name}({ddof})"))
}

/// The expression of a reduction over axes.
fn whole(arguments: &Arguments) -> Result<String> {
    let reductions: Vec<_> = functions()
        .into_iter()
        .filter(|function| {
            function.signature.contains("axis=None") && function.signature.contains("keepdims")
        })
        .filter(|function| !function.signature.contains(" q,"))
        .collect();
    let wanted = arguments.operation.as_str();
    if !reductions.iter().any(|function| function.name == wanted || function.aliases.contains(&wanted)) {
        let of_groups = wanted.strip_prefix("nan").unwrap_or(wanted);
        if of_groups == "anomaly" || Grouped::NAMES.contains(&of_groups) {
            let why =
                "it is one of groups: add --by time.month or its like, or --resample FREQUENCY".to_owned();
            return Err(Error::Argument { what: "reduction of a whole array", text: wanted.to_owned(), why });
        }
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
    Ok(call)
}

/// An axis as an expression says it: a number, or a name as a text.
fn written(axis: &str) -> String {
    match axis.parse::<i64>() {
        Ok(position) => position.to_string(),
        Err(_) => quoted(axis),
    }
}

/// A text as an expression says it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
