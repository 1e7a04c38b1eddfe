//! Filters of neighbourhoods, by SciPy's names and arguments.
//!
//! Invariant: an argument means here what it means in `scipy.ndimage`; what only says how the result is stored there
//! (arrays to write to) is absent. Called by the function table.

use super::entry::{Entry, entry};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::value::Value;
use blockwise_core::array::{Axes, Axis, Filter, Remainder, Structure};
use blockwise_core::{Array, Result};
use blockwise_kernels::DType;
use blockwise_kernels::downsample::Downsampling;
use blockwise_kernels::filter::{Coarsening, Edge, Rolling};
use ndarray::ArrayD;

const SMOOTHING: &str = "filters: smoothing and ranks";
const SLOPES: &str = "filters: slopes and weights";
pub(super) const MORPHOLOGY: &str = "filters: morphology";

/// Elements that a footprint, structure or table of weights may have.
const MOST_POINTS: u64 = 1 << 20;

const WINDOWS: &str = "windows and boxes";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        SMOOTHING,
        "gaussian_filter(input, sigma, order=0, output=None, mode=\"reflect\", cval=0.0, truncate=4.0, radius=None, axes=None)",
        "means weighted by a Gaussian, or by its derivatives of an order along each axis",
        |a| {
            filtered(a, "axes", |f| {
                Ok(f.gaussian_derivative(
                    &a.need("sigma", reals)?,
                    &sizes(a, "order")?.unwrap_or_else(|| vec![0]),
                )?)
            })
        },
    ),
    entry(
        SMOOTHING,
        "gaussian_filter1d(input, sigma, axis=-1, order=0, output=None, mode=\"reflect\", cval=0.0, truncate=4.0, radius=None)",
        "means along one axis, weighted by a Gaussian or by its derivatives",
        |a| {
            filtered(a, "axis", |f| {
                Ok(f.gaussian_derivative(
                    &a.need("sigma", reals)?,
                    &sizes(a, "order")?.unwrap_or_else(|| vec![0]),
                )?)
            })
        },
    ),
    entry(
        SMOOTHING,
        "uniform_filter(input, size=3, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "means of windows",
        |a| filtered(a, "axes", |f| Ok(f.uniform(&sizes(a, "size")?.unwrap_or_else(|| vec![3]))?)),
    ),
    entry(
        SMOOTHING,
        "uniform_filter1d(input, size, axis=-1, output=None, mode=\"reflect\", cval=0.0, origin=0)",
        "means of windows along one axis",
        |a| filtered(a, "axis", |f| Ok(f.uniform(&a.need("size", to_sizes)?)?)),
    ),
    entry(
        SMOOTHING,
        "minimum_filter(input, size=None, footprint=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the smallest elements of windows",
        |a| {
            filtered(a, "axes", |f| match footprint(a, "footprint")? {
                Some(footprint) => Ok(f.minimum_of(&footprint)?),
                None => Ok(f.minimum(&a.need("size", to_sizes)?)?),
            })
        },
    ),
    entry(
        SMOOTHING,
        "minimum_filter1d(input, size, axis=-1, output=None, mode=\"reflect\", cval=0.0, origin=0)",
        "the smallest elements of windows along one axis",
        |a| filtered(a, "axis", |f| Ok(f.minimum(&a.need("size", to_sizes)?)?)),
    ),
    entry(
        SMOOTHING,
        "maximum_filter(input, size=None, footprint=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the largest elements of windows",
        |a| {
            filtered(a, "axes", |f| match footprint(a, "footprint")? {
                Some(footprint) => Ok(f.maximum_of(&footprint)?),
                None => Ok(f.maximum(&a.need("size", to_sizes)?)?),
            })
        },
    ),
    entry(
        SMOOTHING,
        "maximum_filter1d(input, size, axis=-1, output=None, mode=\"reflect\", cval=0.0, origin=0)",
        "the largest elements of windows along one axis",
        |a| filtered(a, "axis", |f| Ok(f.maximum(&a.need("size", to_sizes)?)?)),
    ),
    entry(
        SMOOTHING,
        "median_filter(input, size=None, footprint=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the medians of windows; of an even number of elements the larger of the middle two",
        |a| filtered(a, "axes", |f| Ok(f.median_of(&window(a, f)?)?)),
    ),
    entry(
        SMOOTHING,
        "percentile_filter(input, percentile, size=None, footprint=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the elements of windows at a percentile, from 0 to 100",
        |a| {
            filtered(a, "axes", |f| {
                Ok(f.percentile_of(a.need("percentile", Value::to_real)?, &window(a, f)?)?)
            })
        },
    ),
    entry(
        SMOOTHING,
        "rank_filter(input, rank, size=None, footprint=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the elements of windows at a rank, 0 the smallest, -1 the largest",
        |a| filtered(a, "axes", |f| Ok(f.rank_of(a.need("rank", Value::to_int)?, &window(a, f)?)?)),
    ),
    entry(
        SLOPES,
        "gaussian_laplace(input, sigma, output=None, mode=\"reflect\", cval=0.0, truncate=4.0, radius=None, axes=None)",
        "sums of the second derivatives of a Gaussian",
        |a| filtered(a, "axes", |f| Ok(f.gaussian_laplace(&a.need("sigma", reals)?)?)),
    ),
    entry(
        SLOPES,
        "gaussian_gradient_magnitude(input, sigma, output=None, mode=\"reflect\", cval=0.0, truncate=4.0, radius=None, axes=None)",
        "lengths of gradients, by derivatives of a Gaussian; of some axes alone, the others are not smoothed, as SciPy's are",
        |a| filtered(a, "axes", |f| Ok(f.gaussian_gradient_magnitude(&a.need("sigma", reals)?)?)),
    ),
    entry(
        SLOPES,
        "laplace(input, output=None, mode=\"reflect\", cval=0.0, axes=None)",
        "sums of second differences",
        |a| filtered(a, "axes", |f| Ok(f.laplace()?)),
    ),
    entry(
        SLOPES,
        "sobel(input, axis=-1, output=None, mode=\"reflect\", cval=0.0)",
        "differences along an axis, smoothed along the others with weights 1, 2, 1",
        |a| filtered(a, "", |f| Ok(f.sobel(a.read("axis", Value::to_axis)?.unwrap_or_else(|| (-1).into()))?)),
    ),
    entry(
        SLOPES,
        "prewitt(input, axis=-1, output=None, mode=\"reflect\", cval=0.0)",
        "differences along an axis, smoothed along the others with weights 1, 1, 1",
        |a| {
            filtered(
                a,
                "",
                |f| Ok(f.prewitt(a.read("axis", Value::to_axis)?.unwrap_or_else(|| (-1).into()))?),
            )
        },
    ),
    entry(
        SLOPES,
        "convolve(input, weights, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "convolutions with an array of weights",
        |a| filtered(a, "axes", |f| Ok(f.convolve(&a.need("weights", table)?)?)),
    ),
    entry(
        SLOPES,
        "convolve1d(input, weights, axis=-1, output=None, mode=\"reflect\", cval=0.0, origin=0)",
        "convolutions along one axis with a list of weights",
        |a| filtered(a, "axis", |f| Ok(f.convolve1d(&a.need("weights", reals)?)?)),
    ),
    entry(
        SLOPES,
        "correlate(input, weights, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "correlations with an array of weights",
        |a| filtered(a, "axes", |f| Ok(f.correlate(&a.need("weights", table)?)?)),
    ),
    entry(
        SLOPES,
        "correlate1d(input, weights, axis=-1, output=None, mode=\"reflect\", cval=0.0, origin=0)",
        "correlations along one axis with a list of weights",
        |a| filtered(a, "axis", |f| Ok(f.correlate1d(&a.need("weights", reals)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "grey_erosion(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the smallest elements around, each less the structure's height",
        |a| filtered(a, "axes", |f| Ok(f.grey_erosion(&grey(a, f)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "grey_dilation(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the largest elements around, each with the mirrored structure's height",
        |a| filtered(a, "axes", |f| Ok(f.grey_dilation(&grey(a, f)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "grey_opening(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "a dilation of an erosion: small peaks are gone",
        |a| filtered(a, "axes", |f| Ok(f.grey_opening(&grey(a, f)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "grey_closing(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "an erosion of a dilation: small pits are gone",
        |a| filtered(a, "axes", |f| Ok(f.grey_closing(&grey(a, f)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "white_tophat(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the array less its grey opening: small peaks alone, such as spots on an uneven background",
        |a| filtered(a, "axes", |f| less(&a.array("input")?.array, &f.grey_opening(&grey(a, f)?)?)),
    ),
    entry(
        MORPHOLOGY,
        "black_tophat(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the array's grey closing less the array: small pits alone",
        |a| filtered(a, "axes", |f| less(&f.grey_closing(&grey(a, f)?)?, &a.array("input")?.array)),
    ),
    entry(
        MORPHOLOGY,
        "morphological_gradient(input, size=None, footprint=None, structure=None, output=None, mode=\"reflect\", cval=0.0, origin=0, axes=None)",
        "the array's grey dilation less its grey erosion: borders",
        |a| {
            filtered(a, "axes", |f| {
                let structure = grey(a, f)?;
                less(&f.grey_dilation(&structure)?, &f.grey_erosion(&structure)?)
            })
        },
    ),
    entry(
        MORPHOLOGY,
        "binary_erosion(input, structure=None, iterations=1, border_value=0, origin=0, axes=None)",
        "where all elements around are other than zero",
        |a| binary(a, Filter::binary_erosion),
    ),
    entry(
        MORPHOLOGY,
        "binary_dilation(input, structure=None, iterations=1, border_value=0, origin=0, axes=None)",
        "where any element around is other than zero",
        |a| binary(a, Filter::binary_dilation),
    ),
    entry(
        MORPHOLOGY,
        "binary_opening(input, structure=None, iterations=1, border_value=0, origin=0, axes=None)",
        "dilations of erosions: small objects are gone",
        |a| binary(a, Filter::binary_opening),
    ),
    entry(
        MORPHOLOGY,
        "binary_closing(input, structure=None, iterations=1, border_value=0, origin=0, axes=None)",
        "erosions of dilations: small holes are gone",
        |a| binary(a, Filter::binary_closing),
    ),
    entry(
        WINDOWS,
        "sliding_window_view(x, window_shape, axis=None)",
        "every window of these lengths along the axes, along new last axes; never put in memory one beside the other",
        |a| {
            let x = a.array("x")?;
            let windows = along(a, "window_shape", Axes::All, &x.array)?;
            let axes: Vec<usize> = windows.iter().map(|(axis, _)| *axis).collect();
            Ok(x.moved(x.array.sliding_window_view(&named(&windows))?, &axes).into())
        },
    ),
    entry(
        WINDOWS,
        "rolling_mean(x, window, axis=0, center=False, min_periods=None)",
        "means of the windows that end at each element, or are centred on it, of what is not NaN, as xarray's rolling",
        |a| rolling(a, Rolling::Mean),
    ),
    entry(
        WINDOWS,
        "rolling_sum(x, window, axis=0, center=False, min_periods=None)",
        "sums of windows, as rolling_mean",
        |a| rolling(a, Rolling::Sum),
    ),
    entry(
        WINDOWS,
        "rolling_min(x, window, axis=0, center=False, min_periods=None)",
        "smallest elements of windows, as rolling_mean",
        |a| rolling(a, Rolling::Min),
    ),
    entry(
        WINDOWS,
        "rolling_max(x, window, axis=0, center=False, min_periods=None)",
        "largest elements of windows, as rolling_mean",
        |a| rolling(a, Rolling::Max),
    ),
    entry(
        WINDOWS,
        "rolling_median(x, window, axis=0, center=False, min_periods=None)",
        "medians of windows, as rolling_mean",
        |a| rolling(a, Rolling::Median),
    ),
    entry(
        WINDOWS,
        "rolling_std(x, window, axis=0, center=False, min_periods=None, ddof=0)",
        "standard deviations of windows, as rolling_mean",
        |a| rolling(a, Rolling::Std(a.read("ddof", Value::to_real)?.unwrap_or(0.0))),
    ),
    entry(
        WINDOWS,
        "rolling_count(x, window, axis=0, center=False)",
        "how many elements of windows are not NaN",
        |a| rolling(a, Rolling::Count),
    ),
    entry(
        WINDOWS,
        "coarsen(x, factors, axis=None, func=\"mean\", boundary=\"exact\", output=None)",
        "one element for each box of so many along each axis: mean, sum, min, max or median; boundary exact, trim or pad",
        |a| {
            let x = a.array("x")?;
            let boxes = along(a, "factors", Axes::All, &x.array)?;
            let func = a.read("func", |value| match value.to_text()? {
                "mean" => Ok(Coarsening::Mean),
                "sum" => Ok(Coarsening::Sum),
                "min" => Ok(Coarsening::Min),
                "max" => Ok(Coarsening::Max),
                "median" => Ok(Coarsening::Median),
                other => Err(Trouble::here(format!(
                    "boxes have no '{other}'; there are mean, sum, min, max, median"
                ))),
            })?;
            let remainder = a.read("boundary", |value| match value.to_text()? {
                "exact" => Ok(Remainder::Exact),
                "trim" => Ok(Remainder::Trim),
                "pad" => Ok(Remainder::Pad),
                other => {
                    Err(Trouble::here(format!("there is no boundary '{other}'; there are exact, trim, pad")))
                }
            })?;
            let remainder = remainder.unwrap_or(Remainder::Exact);
            let mut coarse = x.array.coarse(&named(&boxes))?.remainder(remainder);
            if let Some(dtype) = a.read("output", Value::to_dtype)? {
                coarse = coarse.output(dtype);
            }
            let made = coarse.reduce(func.unwrap_or(Coarsening::Mean))?;
            Ok(x.coarsened(made, &boxes, remainder)?.into())
        },
    ),
    entry(
        WINDOWS,
        "downsample(x, factors, axis=None, method=\"mean\")",
        "a level of an image pyramid: as coarsen, of x's own type and what is there at the ends; mean, nearest, min, max or mode",
        |a| {
            let x = a.array("x")?;
            let boxes = along(a, "factors", Axes::All, &x.array)?;
            let method = a.read("method", |value| {
                let name = value.to_text()?;
                name.parse::<Downsampling>().map_err(|error| Trouble::here(error.to_string()))
            })?;
            let made = x.array.downsample(&named(&boxes), method.unwrap_or(Downsampling::Mean))?;
            Ok(x.coarsened(made, &boxes, Remainder::Pad)?.into())
        },
    ),
];

/// The lengths of the parameter `lengths`, each with the axis that `axis` names beside it; with `axes` if it names none.
fn along(arguments: &Arguments, lengths: &str, axes: Axes, x: &Array) -> Outcome<Vec<(usize, u64)>> {
    let lengths = arguments.need(lengths, Value::to_shape)?;
    let axes = arguments.read("axis", Value::to_axes)?.unwrap_or(axes).resolve(x.names())?;
    if lengths.len() != axes.len() {
        let message = format!("{} lengths for {} axes; give one for each", lengths.len(), axes.len());
        return Err(Trouble::here(message));
    }
    Ok(axes.into_iter().zip(lengths).collect())
}

fn named(lengths: &[(usize, u64)]) -> Vec<(Axis, u64)> {
    lengths.iter().map(|(axis, length)| (Axis::from(*axis), *length)).collect()
}

fn rolling(arguments: &Arguments, of: Rolling) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let windows = along(arguments, "window", Axes::from(0), &x.array)?;
    let mut rolling = x.array.rolling(&named(&windows))?.centred(arguments.flag("center")?);
    if let Some(least) = arguments.read("min_periods", Value::to_int)? {
        let least = usize::try_from(least).map_err(|_| Trouble::here("min_periods is a number from 0 up"))?;
        rolling = rolling.least(least);
    }
    let made = x.with(rolling.reduce(of)?);
    Ok(if of == Rolling::Count { made.of_other_quantity() } else { made }.into())
}

/// What `filter` makes of the array, whose windows lie along the axes that the parameter `axes` names.
pub(super) fn filtered(
    arguments: &Arguments,
    axes: &'static str,
    filter: impl Fn(&Filter) -> Outcome<Array>,
) -> Outcome<Value> {
    let x = arguments.array("input")?;
    let own = match (axes, arguments.read(axes, Value::to_axes)?) {
        (_, Some(axes)) => axes,
        ("axis", None) => Axes::from(-1),
        _ => Axes::All,
    };
    let constant = arguments.read("cval", Value::to_real)?.unwrap_or(0.0);
    let edge = |value: &Value| edge_named(value.to_text()?, constant);
    let edges = arguments.read("mode", |value| match value {
        Value::List(items) => items.iter().map(edge).collect(),
        one => Ok(vec![edge(one)?]),
    })?;
    let mut options = x.array.filter().axes(own);
    options = options.modes(&edges.unwrap_or_else(|| vec![Edge::Reflect]));
    if let Some(origins) = arguments.read("origin", Value::to_ints)? {
        options = options.origins(&origins);
    }
    if let Some(dtype) = arguments.read("output", Value::to_dtype)? {
        options = options.output(dtype);
    }
    if let Some(deviations) = arguments.read("truncate", Value::to_real)? {
        options = options.truncate(deviations);
    }
    if let Some(radii) = arguments.read("radius", to_sizes)? {
        options = options.radii(&radii);
    }
    Ok(x.with(filter(&options)?).into())
}

/// A mode by SciPy's name.
fn edge_named(name: &str, constant: f64) -> Outcome<Edge> {
    match name {
        "reflect" | "grid-mirror" => Ok(Edge::Reflect),
        "mirror" => Ok(Edge::Mirror),
        "nearest" => Ok(Edge::Nearest),
        "wrap" | "grid-wrap" => Ok(Edge::Wrap),
        "constant" | "grid-constant" => Ok(Edge::Constant(constant)),
        other => Err(Trouble::here(format!(
            "there is no mode '{other}'; there are reflect (grid-mirror), mirror, nearest, wrap (grid-wrap), constant (grid-constant)"
        ))),
    }
}

fn binary(
    arguments: &Arguments,
    filter: fn(&Filter, &Structure, usize, bool) -> Result<Array>,
) -> Outcome<Value> {
    let iterations = arguments.read("iterations", Value::to_int)?.unwrap_or(1);
    let border = arguments.read("border_value", truth)?.unwrap_or(false);
    let structure = footprint(arguments, "structure")?;
    let made = filtered(arguments, "axes", |f| {
        let own = f.rank()?;
        let structure = structure.clone().map_or_else(|| Structure::connected(own, 1), Structure::flat);
        Ok(filter(f, &structure, usize::try_from(iterations).unwrap_or(0), border)?)
    })?;
    Ok(made.to_array()?.of_other_quantity().into())
}

/// Structure, footprint or size of grey morphology, whichever is given.
fn grey(arguments: &Arguments, filter: &Filter) -> Outcome<Structure> {
    let given = footprint(arguments, "footprint")?;
    if let Some(heights) = arguments.read("structure", table)? {
        let footprint = given.unwrap_or_else(|| heights.mapv(|_| true));
        return Ok(Structure::flat(footprint).with_heights(heights)?);
    }
    Ok(Structure::flat(match given {
        Some(footprint) => footprint,
        None => filter.full(&arguments.need("size", to_sizes)?)?,
    }))
}

/// What one array is more than another; of truth values, where they differ.
fn less(more: &Array, less: &Array) -> Outcome<Array> {
    let is_truth = more.dtype() == DType::Bool && less.dtype() == DType::Bool;
    Ok(Array::call(if is_truth { "not_equal" } else { "subtract" }, [more.into(), less.into()])?)
}

/// The footprint, or that of the size.
fn window(arguments: &Arguments, filter: &Filter) -> Outcome<ArrayD<bool>> {
    match footprint(arguments, "footprint")? {
        Some(footprint) => Ok(footprint),
        None => Ok(filter.full(&arguments.need("size", to_sizes)?)?),
    }
}

pub(super) fn footprint(arguments: &Arguments, name: &str) -> Outcome<Option<ArrayD<bool>>> {
    Ok(arguments.read(name, table)?.map(|table| table.mapv(|inside| inside != 0.0)))
}

/// The numbers of a small array, which is computed at once.
pub(super) fn table(value: &Value) -> Outcome<ArrayD<f64>> {
    let array = value.to_array()?.array;
    let count = array.shape().iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
    if count.is_none_or(|count| count > MOST_POINTS) || array.dtype().kind() == 'c' {
        let message = format!("a list or small array of real numbers is wanted here, not {array:?}");
        return Err(Trouble::here(message));
    }
    Ok(array.astype(DType::F64).compute::<f64>()?)
}

pub(super) fn reals(value: &Value) -> Outcome<Vec<f64>> {
    match value {
        Value::List(items) => items.iter().map(Value::to_real).collect(),
        Value::Array(_) => Ok(table(value)?.into_iter().collect()),
        one => Ok(vec![one.to_real()?]),
    }
}

fn sizes(arguments: &Arguments, name: &str) -> Outcome<Option<Vec<usize>>> {
    arguments.read(name, to_sizes)
}

pub(super) fn to_sizes(value: &Value) -> Outcome<Vec<usize>> {
    let size = |n: &i64| {
        usize::try_from(*n).map_err(|_| Trouble::here(format!("a number from 0 up is wanted here, not {n}")))
    };
    value.to_ints()?.iter().map(size).collect()
}

/// A truth value, or 0 or 1.
fn truth(value: &Value) -> Outcome<bool> {
    value.to_flag().or_else(|_| Ok(value.to_int()? != 0))
}
