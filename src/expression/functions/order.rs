//! Functions that need the order of elements along an axis: sorting, quantiles, running totals.
//!
//! Invariant: coordinates of a sorted axis are dropped; those of the others stay. Called by the function table.

use super::entry::{Entry, entry};
use super::shape::axis_of;
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::{Coordinate, Labelled};
use crate::expression::value::Value;
use blockwise_core::array::{Axes, Index, Levels};
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, Result};
use blockwise_io::Attributes;
use blockwise_kernels::order::QuantileMethod;
use std::sync::Arc;

const SORTING: &str = "sorting";
const QUANTILES: &str = "quantiles";
const RUNNING: &str = "running totals";

/// The dimension of several levels.
const LEVELS: &str = "quantile";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(SORTING, "sort(x, axis=-1)", "elements in ascending order along an axis, NaN last", |a| {
        let (x, axis) = along(a)?;
        Ok(x.moved(x.array.sort(axis)?, &[axis]).into())
    }),
    entry(
        SORTING,
        "argsort(x, axis=-1)",
        "positions at which the sorted elements are; equal ones in their order",
        |a| {
            let (x, axis) = along(a)?;
            Ok(x.moved(x.array.argsort(axis)?, &[axis]).of_other_quantity().into())
        },
    ),
    entry(SORTING, "topk(x, k, axis=-1)", "the k largest elements along an axis, or the -k smallest", |a| {
        let (x, axis) = along(a)?;
        Ok(x.moved(x.array.topk(a.need("k", Value::to_int)?, axis)?, &[axis]).into())
    }),
    entry(SORTING, "argtopk(x, k, axis=-1)", "the positions of what topk gives", |a| {
        let (x, axis) = along(a)?;
        Ok(x.moved(x.array.argtopk(a.need("k", Value::to_int)?, axis)?, &[axis]).of_other_quantity().into())
    }),
    entry(QUANTILES, "median(x, axis=None, keepdims=False)", "medians", |a| medians(a, Array::median)),
    entry(QUANTILES, "nanmedian(x, axis=None, keepdims=False)", "medians of what is not NaN", |a| {
        medians(a, Array::nanmedian)
    }),
    entry(
        QUANTILES,
        "quantile(x, q, axis=None, method=\"linear\", keepdims=False)",
        "quantiles of levels from 0 to 1; NumPy's methods; several levels make a new first axis, `quantile`",
        |a| quantiles(a, 1.0, Array::quantile),
    ),
    entry(
        QUANTILES,
        "nanquantile(x, q, axis=None, method=\"linear\", keepdims=False)",
        "quantiles of what is not NaN",
        |a| quantiles(a, 1.0, Array::nanquantile),
    ),
    entry(
        QUANTILES,
        "percentile(x, q, axis=None, method=\"linear\", keepdims=False)",
        "quantiles of levels from 0 to 100",
        |a| quantiles(a, 100.0, Array::quantile),
    ),
    entry(
        QUANTILES,
        "nanpercentile(x, q, axis=None, method=\"linear\", keepdims=False)",
        "quantiles of levels from 0 to 100 of what is not NaN",
        |a| quantiles(a, 100.0, Array::nanquantile),
    ),
    entry(RUNNING, "cumsum(x, axis)", "cumulative sums along an axis; of integers as 64-bit ones", |a| {
        running(a, |x, axis| x.cumsum(axis))
    }),
    entry(
        RUNNING,
        "cumprod(x, axis)",
        "cumulative products along an axis; of integers as 64-bit ones",
        |a| running(a, |x, axis| x.cumprod(axis)),
    ),
    entry(RUNNING, "cummin(x, axis)", "the smallest elements so far along an axis", |a| {
        running(a, |x, axis| x.cummin(axis))
    }),
    entry(RUNNING, "cummax(x, axis)", "the largest elements so far along an axis", |a| {
        running(a, |x, axis| x.cummax(axis))
    }),
    entry(RUNNING, "nancumsum(x, axis)", "cumulative sums along an axis, of NaN as 0", |a| {
        running(a, |x, axis| x.nancumsum(axis))
    }),
    entry(RUNNING, "nancumprod(x, axis)", "cumulative products along an axis, of NaN as 1", |a| {
        running(a, |x, axis| x.nancumprod(axis))
    }),
    entry(
        "statistics",
        "gradient(x, spacing=1.0, axis=-1)",
        "slopes along one axis: central differences, one-sided at the ends",
        |a| {
            let (x, axis) = along(a)?;
            let spacing = a.read("spacing", Value::to_real)?.unwrap_or(1.0);
            Ok(x.with(x.array.gradient(spacing, axis)?).of_other_quantity().into())
        },
    ),
];

/// The array, and the one axis that a call is about.
fn along(arguments: &Arguments) -> Outcome<(Labelled, usize)> {
    let x = arguments.array("x")?;
    let axis = axis_of(arguments, "axis", &x, -1)?;
    Ok((x, axis))
}

fn running(arguments: &Arguments, scan: impl Fn(&Array, usize) -> Result<Array>) -> Outcome<Value> {
    let (x, axis) = along(arguments)?;
    Ok(x.with(scan(&x.array, axis)?).of_other_quantity().into())
}

fn axes(arguments: &Arguments, x: &Labelled) -> Outcome<Vec<usize>> {
    let axes = arguments.read("axis", Value::to_axes)?.unwrap_or(Axes::All);
    Ok(axes.resolve(x.array.names())?)
}

/// A reduced array with the reduced axes back, of one element; `lead` axes stand before the others.
fn kept(
    arguments: &Arguments,
    reduced: Labelled,
    axes: &[usize],
    rank: usize,
    lead: usize,
) -> Outcome<Value> {
    if !arguments.flag("keepdims")? {
        return Ok(reduced.into());
    }
    let mut items = vec![Index::from(..); lead];
    let item = |axis| if axes.contains(&axis) { Index::NewAxis } else { Index::from(..) };
    items.extend((0..rank).map(item));
    Ok(reduced.index(&items)?.into())
}

fn medians(arguments: &Arguments, median: fn(&Array, Axes) -> Result<Array>) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axes = axes(arguments, &x)?;
    let reduced = x.with(median(&x.array, Axes::from(axes.as_slice()))?);
    kept(arguments, reduced, &axes, x.array.rank(), 0)
}

fn quantiles(
    arguments: &Arguments,
    whole: f64,
    quantile: fn(&Array, Levels, Axes, QuantileMethod) -> Result<Array>,
) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axes = axes(arguments, &x)?;
    let levels = arguments.need("q", |value| match value {
        Value::List(levels) => {
            let levels = levels.iter().map(|level| Ok(level.to_real()? / whole)).collect::<Outcome<_>>()?;
            Ok(Levels::Many(levels))
        }
        one => Ok(Levels::One(one.to_real()? / whole)),
    })?;
    let method = arguments.read("method", |value| {
        let name = value.to_text()?;
        name.parse::<QuantileMethod>().map_err(|error| Trouble::here(error.to_string()))
    })?;
    let method = method.unwrap_or(QuantileMethod::Linear);
    let several = match &levels {
        Levels::Many(several) => Some(several.clone()),
        Levels::One(_) => None,
    };
    let reduced = x.with(quantile(&x.array, levels, Axes::from(axes.as_slice()), method)?);
    let kept = kept(arguments, reduced, &axes, x.array.rank(), usize::from(several.is_some()))?;
    match several {
        Some(levels) => Ok(with_levels(&kept.to_array()?, &levels)?.into()),
        None => Ok(kept),
    }
}

/// The name and coordinates that xarray gives the axis of several levels, the first one.
fn with_levels(quantiles: &Labelled, levels: &[f64]) -> Result<Labelled> {
    let mut names = quantiles.array.names().to_vec();
    let is_taken = names.iter().flatten().any(|name| name == LEVELS);
    let (Some(first), false) = (names.first_mut(), is_taken) else { return Ok(quantiles.clone()) };
    *first = Some(LEVELS.to_owned());
    let named = quantiles.with(quantiles.array.with_some_names(names)?);
    let grid = ChunkGrid::single(&[levels.len() as u64])?;
    let levels_array = Array::from_source(Arc::new(MemoryArray::from_elements(LEVELS, grid, levels)?));
    let array = levels_array.with_names(&[LEVELS])?;
    let origin = format!("levels {levels:?}");
    Ok(named.with_coordinate(Some(Coordinate::made(LEVELS, &origin, array, Attributes::new()))))
}
