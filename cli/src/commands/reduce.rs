//! `reduce`: one reduction of one array, or of each of several.
//!
//! Shorthand of `eval`. Called by [`super::run`].

use super::eval::{ResultArgs, carry_out, options};
use crate::args::{OutputArgs, ReadArgs, RunArgs, location};
use crate::text;
use blockwise::evaluate::{EvalInput, is_name};
use blockwise::expression::functions;
use blockwise::group::Grouped;
use blockwise::io::{ArrayInfo, ElementType};
use blockwise::{Error, Location, Result};
use clap::Args;
use std::sync::Arc;

/// Reduce an array over axes or by groups: mean, sum, min, max, std, median, count, nanmean ...
///
/// The same as `arrayctl eval 'OP(x, axis=...)' -i x=SRC`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl reduce mean era5.nc::t2m --axis time -o mean.nc
  arrayctl reduce max wind.zarr::u --axis lat,lon
  arrayctl reduce std era5.zarr::t2m --axis 0 --ddof 1 --keepdims -o spread.zarr
  arrayctl reduce count coads.cdf::SST
  arrayctl reduce mean 'era5_*.nc' --axis time -o means.nc
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
    /// The array, as PATH or PATH::NODE; of a container or group all arrays are reduced that hold data, each along the axes it has
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
    let source = location(&arguments.source)?;
    let options = options(&arguments.results, &arguments.read, arguments.dtype.as_deref())?;
    let opened = Arc::new(source.open(&options.open)?);
    let arrays = opened.data_arrays()?;
    let (expression, inputs) = match arrays.as_slice() {
        [only] => {
            let location = Location::array(source.path(), only.path.clone());
            let input = EvalInput { name: "x".to_owned(), location };
            (reduction(arguments, "x", arguments.axis.as_deref())?, vec![input])
        }
        several => of_each(arguments, &source, several)?,
    };
    let container = (source, Arc::clone(&opened));
    carry_out(&expression, &inputs, Some(&container), &options, &arguments.results, &arguments.run, output)
}

/// What is reduced along: the dimensions that the options name, which an array may have or not.
fn dimensions(arguments: &Arguments) -> Result<Vec<&str>> {
    let positions = |axis: &&str| axis.parse::<i64>().is_ok();
    Ok(match (&arguments.by, &arguments.resample, &arguments.axis) {
        (Some(by), ..) => vec![by.split('.').next().unwrap_or(by)],
        (_, Some(_), None) => {
            let what = "several arrays are resampled along one dimension: name it with --axis".to_owned();
            return Err(Error::Usage { path: arguments.source.clone(), what });
        }
        (_, _, Some(axes)) => axes.split(',').map(str::trim).filter(|axis| !positions(axis)).collect(),
        _ => Vec::new(),
    })
}

/// The expression that reduces each of several arrays along those of the dimensions that it has; one that has none stays as it is, as in
/// xarray.
fn of_each(
    arguments: &Arguments,
    source: &Location,
    arrays: &[&ArrayInfo],
) -> Result<(String, Vec<EvalInput>)> {
    let wanted = dimensions(arguments)?;
    let usage = |what: String| Error::Usage { path: arguments.source.clone(), what };
    let (mut lines, mut inputs) = (Vec::new(), Vec::new());
    let unknown = wanted.iter().find(|dimension| {
        !arrays.iter().any(|info| info.dimension_names.iter().any(|own| own.as_deref() == Some(**dimension)))
    });
    if let Some(unknown) = unknown {
        return Err(usage(format!("no array has a dimension {unknown}")));
    }
    // What inputs are called by, so that no result is called so.
    let is_taken = |prefix: &str| {
        arrays.iter().any(|info| info.path.name().is_some_and(|name| name.starts_with(prefix)))
    };
    let mut prefix = "_".to_owned();
    while is_taken(&prefix) {
        prefix.push('_');
    }
    for info in arrays {
        let name = info.path.name().unwrap_or_default();
        if !matches!(info.element_type, ElementType::Number(_)) {
            let what = format!("{name}: elements of type {} are left out", info.element_type);
            eprintln!("arrayctl: {}", text::printable(&what));
            continue;
        }
        if info.path.components().len() != source.node().map_or(0, |node| node.components().len()) + 1 {
            return Err(usage(format!(
                "arrays stand in several groups; name one group, as in {}::GROUP",
                arguments.source
            )));
        }
        let has =
            |dimension: &&str| info.dimension_names.iter().any(|own| own.as_deref() == Some(*dimension));
        let own: Vec<&str> = wanted.iter().copied().filter(has).collect();
        let input = format!("{prefix}{}", inputs.len());
        let call = if info.shape.is_empty() || (own.is_empty() && !wanted.is_empty()) {
            input.clone()
        } else {
            let positions = arguments.axis.iter().flat_map(|axes| axes.split(',')).map(str::trim);
            let positions = positions.filter(|axis| axis.parse::<i64>().is_ok());
            let axes: Vec<&str> = positions.chain(own.iter().copied()).collect();
            let axes = arguments.axis.as_ref().map(|_| axes.join(","));
            reduction(arguments, &input, axes.as_deref())?
        };
        lines.push(format!("{name} = {call}"));
        inputs.push(EvalInput { name: input, location: Location::array(source.path(), info.path.clone()) });
    }
    if let Some(info) = arrays.iter().find(|info| !info.path.name().is_some_and(is_name)) {
        let name = info.path.name().unwrap_or_default();
        return Err(usage(format!(
            "'{name}' is no name of an expression's result; reduce arrays one by one, as {}::{name}",
            arguments.source
        )));
    }
    if inputs.is_empty() {
        return Err(usage("no array holds numbers that could be reduced".to_owned()));
    }
    Ok((lines.join("; "), inputs))
}

/// The expression that reduces the input of a name.
fn reduction(arguments: &Arguments, input: &str, axes: Option<&str>) -> Result<String> {
    match (&arguments.by, &arguments.resample) {
        (Some(by), _) => grouped(arguments, &format!("{input}.groupby({})", quoted(by))),
        (_, Some(frequency)) => {
            let along = axes.map_or_else(|| "None".to_owned(), quoted);
            grouped(arguments, &format!("{input}.resample({}, {along})", quoted(frequency)))
        }
        _ => whole(arguments, input, axes),
    }
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
fn whole(arguments: &Arguments, input: &str, axes: Option<&str>) -> Result<String> {
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
    // As NumPy's, so that an array may be called as the function.
    let mut call = format!("np.{wanted}({input}");
    if let Some(axes) = axes {
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
