//! Statistics that are composed of others: ranges, weighted means, differences.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use super::{apply, shape::axis_of};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::array::{Axes, Index, Reduce};
use blockwise_kernels::DType;
use blockwise_kernels::promote::{is_inexact, promote};

const FAMILY: &str = "statistics";

/// Differences of differences that one call may ask for.
const MAX_ORDER: i64 = 16;

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(FAMILY, "ptp(x, axis=None, keepdims=False)", "the largest less the smallest elements", |a| {
        let x = a.array("x")?;
        let (axes, keep_dims) = (axes_of(a, &x)?, a.flag("keepdims")?);
        let (most, least) = (reduced(&x, &axes, "max", keep_dims)?, reduced(&x, &axes, "min", keep_dims)?);
        Ok(apply("subtract", &[most.into(), least.into()])?.into())
    }),
    entry(
        FAMILY,
        "average(x, axis=None, weights=None, keepdims=False)",
        "weighted means; weights have the shape of x, or that of the axis",
        average,
    ),
    entry(
        FAMILY,
        "diff(x, n=1, axis=-1)",
        "differences of neighbours, n times; each with the coordinates of the later",
        diff,
    ),
];

/// The axes that a call is about, as positions in `x`.
fn axes_of(arguments: &Arguments, x: &Labelled) -> Outcome<Vec<usize>> {
    let axes = arguments.read("axis", Value::to_axes)?.unwrap_or(Axes::All);
    Ok(axes.resolve(x.array.names())?)
}

/// A reduction of a name over axes.
pub(super) fn reduced(x: &Labelled, axes: &[usize], name: &str, keep_dims: bool) -> Outcome<Labelled> {
    let what = Reduce::named(name, 0.0);
    let what = what.ok_or_else(|| Trouble::here(format!("there is no reduction {name}")))?;
    Ok(x.reduce(name, what, Axes::from(axes), keep_dims)?)
}

fn average(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    // By position: weights have no names.
    let (axes, keep_dims) = (axes_of(arguments, &x)?, arguments.flag("keepdims")?);
    let Some(weights) = arguments.read("weights", Value::to_array)? else {
        return Ok(reduced(&x, &axes, "mean", keep_dims)?.into());
    };
    let weights =
        if weights.array.shape() == x.array.shape() { weights } else { along(&axes, &x, &weights)? };
    let own = x.array.dtype();
    let common = promote(own, weights.array.dtype());
    let dtype = if is_inexact(own) { common } else { promote(common, DType::F64) };
    let (x, weights) = (x.with(x.array.astype(dtype)), weights.with(weights.array.astype(dtype)));
    let weighed = apply("multiply", &[x.clone().into(), weights.clone().into()])?;
    let sum = reduced(&weighed, &axes, "sum", keep_dims)?;
    let spread = weights.with(weights.array.broadcast_to(&x.array.shape())?);
    let total = reduced(&spread, &axes, "sum", keep_dims)?;
    let quotient = apply("true_divide", &[sum.into(), total.into()])?;
    Ok(Labelled { attributes: x.attributes, ..quotient }.into())
}

/// One-dimensional weights, along the one axis that is averaged.
fn along(axes: &[usize], x: &Labelled, weights: &Labelled) -> Outcome<Labelled> {
    let (shape, rank) = (x.array.shape(), x.array.rank());
    let wanted: Option<u64> = match axes {
        [axis] => shape.get(*axis).copied(),
        _ => None,
    };
    match (axes, wanted) {
        ([axis], Some(length)) if weights.array.shape() == [length] => {
            let mut items = vec![Index::NewAxis; rank];
            if let Some(item) = items.get_mut(*axis) {
                *item = Index::from(..);
            }
            Ok(weights.index(&items)?)
        }
        _ => Err(Trouble::here(format!(
            "weights of shape {:?} fit neither x of shape {shape:?} nor one axis of it",
            weights.array.shape()
        ))),
    }
}

fn diff(arguments: &Arguments) -> Outcome<Value> {
    let mut x = arguments.array("x")?;
    let axis = axis_of(arguments, "axis", &x, -1)?;
    let order = arguments.read("n", Value::to_int)?.unwrap_or(1);
    if !(0..=MAX_ORDER).contains(&order) {
        return Err(Trouble::here(format!("n is a number from 0 to {MAX_ORDER}")));
    }
    let function = if x.array.dtype() == DType::Bool { "not_equal" } else { "subtract" };
    for _ in 0..order {
        let part = |start, stop| {
            let mut items = vec![Index::from(..); axis];
            items.push(Index::Slice { start, stop, step: 1 });
            x.index(&items)
        };
        let (later, earlier) = (part(Some(1), None)?, part(None, Some(-1))?);
        let difference = apply(function, &[later.clone().into(), earlier.into()])?;
        // A difference is that at the later position, as xarray's with its label "upper".
        x = Labelled { attributes: difference.attributes, ..later.with(difference.array) };
    }
    Ok(x.into())
}
