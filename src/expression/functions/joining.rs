//! Arrays put together from others: joined, repeated, shifted, padded, picked from.
//!
//! Invariant: coordinates of an axis go with the elements that are picked or joined; where an element stands at a position that
//! was another's (roll, repeat, pad, insert) they are dropped. Called by the function table.

use super::entry::{Entry, entry};
use super::shape::axis_of;
use crate::expression::aligned::joinable;
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::{Coordinate, Labelled};
use crate::expression::number::Number;
use crate::expression::positions::Taken;
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::{Index, Nested, PadMode};

const FAMILY: &str = "joining and picking";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(FAMILY, "concatenate(arrays, axis=0)", "arrays one after another along an axis they have", |a| {
        let mut arrays = arrays(a)?;
        let first = arrays.first().ok_or_else(|| Trouble::here("there is nothing to concatenate"))?;
        let axis = axis_of(a, "axis", first, 0)?;
        let along = first.array.names().get(axis).cloned().flatten();
        joinable(&mut arrays, along.as_deref())?;
        let first = arrays.first().ok_or_else(|| Trouble::here("there is nothing to concatenate"))?;
        let mut whole = joined(first, Array::concatenate(&bare(&arrays), axis)?, &[axis], &arrays);
        for own in first.coordinates.iter().chain(&first.auxiliary) {
            let same = |part: &'_ Labelled| part.coordinate_called(&own.name).cloned();
            let parts: Option<Vec<Coordinate>> = arrays.iter().map(same).collect();
            if let (Some(parts), Some(along)) = (parts, &along) {
                let parts: Vec<&Coordinate> = parts.iter().collect();
                whole = whole.with_coordinate(Coordinate::joined(&parts, along)?);
            }
        }
        Ok(whole.into())
    }),
    entry(FAMILY, "stack(arrays, axis=0)", "arrays of one shape along a new axis", |a| {
        let mut arrays = arrays(a)?;
        joinable(&mut arrays, None)?;
        let first = arrays.first().ok_or_else(|| Trouble::here("there is nothing to stack"))?;
        let axis = a.read("axis", Value::to_int)?.unwrap_or(0);
        Ok(joined(first, Array::stack(&bare(&arrays), axis)?, &[], &arrays).into())
    }),
    entry(
        FAMILY,
        "block(arrays)",
        "lists of arrays put together: the innermost along the last axis, those around them along the one before",
        |a| {
            let (nested, parts) = a.need("arrays", nested)?;
            let mut labelled =
                Labelled::merged(Array::block(&nested)?, &parts.iter().collect::<Vec<_>>(), true);
            labelled.coordinates.clear();
            labelled.auxiliary.retain(|own| own.dimensions.is_empty());
            Ok(labelled.into())
        },
    ),
    entry(
        FAMILY,
        "roll(x, shift, axis)",
        "x shifted along an axis; what falls off comes back at the other end",
        |a| {
            let x = a.array("x")?;
            let axis = axis_of(a, "axis", &x, 0)?;
            Ok(x.moved(x.array.roll(a.need("shift", Value::to_int)?, axis)?, &[axis]).into())
        },
    ),
    entry(FAMILY, "repeat(x, repeats, axis)", "every element repeated, along an axis", |a| {
        let x = a.array("x")?;
        let axis = axis_of(a, "axis", &x, 0)?;
        let times = a.need("repeats", Value::to_int)?;
        let times = u64::try_from(times).map_err(|_| Trouble::here("repeats is a number from 0 up"))?;
        Ok(x.moved(x.array.repeat(times, axis)?, &[axis]).into())
    }),
    entry(
        FAMILY,
        "tile(x, reps)",
        "x repeated, whole after whole: a number for the last axis, or one per axis",
        tile,
    ),
    entry(
        FAMILY,
        "pad(x, pad_width, mode=\"constant\", constant_values=0)",
        "x with elements around it: modes constant, edge, reflect, symmetric, wrap",
        pad,
    ),
    entry(
        FAMILY,
        "take(x, indices, axis)",
        "the elements at listed positions along an axis; one position takes the axis away",
        |a| {
            let x = a.array("x")?;
            let axis = axis_of(a, "axis", &x, 0)?;
            if let one @ Value::Number(_) = a.value("indices") {
                let mut items = vec![Index::from(..); axis];
                items.push(Index::At(one.to_int()?));
                return Ok(x.index(&items)?.into());
            }
            Ok(x.taken(axis, &Taken::At(a.need("indices", Value::to_ints)?))?.into())
        },
    ),
    entry(
        FAMILY,
        "delete(x, indices, axis)",
        "x without the elements at listed positions along an axis",
        |a| {
            let x = a.array("x")?;
            let axis = axis_of(a, "axis", &x, 0)?;
            Ok(x.taken(axis, &Taken::AllBut(a.need("indices", Value::to_ints)?))?.into())
        },
    ),
    entry(
        FAMILY,
        "insert(x, index, values, axis)",
        "x with values before a position along an axis, repeated along the others where they are shorter",
        insert,
    ),
];

fn arrays(arguments: &Arguments) -> Outcome<Vec<Labelled>> {
    arguments.need("arrays", |value| match value {
        Value::List(items) => items.iter().map(Value::to_array).collect(),
        other => Err(Trouble::here(format!(
            "a list of arrays is wanted here, as in [a, b], not {}",
            other.shown()
        ))),
    })
}

/// Arrays in lists of lists, and all of them.
fn nested(value: &Value) -> Outcome<(Nested, Vec<Labelled>)> {
    let Value::List(items) = value else {
        let array = value.to_array()?;
        return Ok((array.array.clone().into(), vec![array]));
    };
    let mut all = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let (inner, parts) = nested(item)?;
        all.0.push(inner);
        all.1.extend(parts);
    }
    Ok((Nested::List(all.0), all.1))
}

fn bare(arrays: &[Labelled]) -> Vec<Array> {
    arrays.iter().map(|array| array.array.clone()).collect()
}

/// Labels of what arrays were joined to: those that all share, without the coordinates along `axes` of the first.
fn joined(first: &Labelled, array: Array, axes: &[usize], parts: &[Labelled]) -> Labelled {
    let mut merged = Labelled::merged(array.clone(), &parts.iter().collect::<Vec<_>>(), true);
    let moved = first.moved(array, axes);
    merged.coordinates.retain(|own| moved.coordinates.iter().any(|other| other.name == own.name));
    let spans = |own: &Coordinate| {
        let names = axes.iter().filter_map(|axis| first.array.names().get(*axis)?.as_deref());
        names.into_iter().any(|name| own.dimensions.iter().any(|dimension| dimension == name))
    };
    merged.auxiliary.retain(|own| !spans(own));
    merged
}

/// As NumPy's `insert` at one position: the first axis of values with as many axes as x goes along this one, and what is shorter is
/// repeated along the others.
fn insert(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axis = axis_of(arguments, "axis", &x, 0)?;
    let (at, mut values) = (arguments.need("index", Value::to_int)?, arguments.array("values")?.array);
    while values.rank() < x.array.rank() {
        values = values.expand_dims(0)?;
    }
    let values = values.move_axis(0, i64::try_from(axis).unwrap_or(0))?;
    let mut shape = x.array.shape();
    if let (Some(extent), Some(count)) = (shape.get_mut(axis), values.shape().get(axis)) {
        *extent = *count;
    }
    Ok(x.moved(x.array.insert(at, &values.broadcast_to(&shape)?, axis)?, &[axis]).into())
}

fn tile(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let reps = arguments.need("reps", Value::to_ints)?;
    let lead = reps.len().saturating_sub(x.array.rank());
    let mut tiled = x.index(&vec![Index::NewAxis; lead])?;
    let first = tiled.array.rank() - reps.len();
    for (axis, count) in (first..).zip(&reps) {
        let count =
            usize::try_from(*count).map_err(|_| Trouble::here("repetitions are numbers from 0 up"))?;
        if count != 1 {
            tiled = tiled.moved(tiled.array.tile(count, axis)?, &[axis]);
        }
    }
    Ok(tiled.into())
}

fn pad(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let rank = x.array.rank();
    let widths = arguments.need("pad_width", |value| widths(value, rank))?;
    let mode = arguments.read("mode", |value| Ok(value.to_text()?.to_owned()))?;
    let mode = match mode.as_deref().unwrap_or("constant") {
        "constant" => {
            let value = match arguments.value("constant_values") {
                Value::Nothing => Number::Int(0),
                Value::Number(number) => number,
                other => {
                    return Err(Trouble::here(format!(
                        "one number is wanted to pad with, not {}",
                        other.shown()
                    )));
                }
            };
            PadMode::Constant(blockwise_core::adapt::cast_scalar(&value.scalar()?, x.array.dtype())?)
        }
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "symmetric" => PadMode::Symmetric,
        "wrap" => PadMode::Wrap,
        other => {
            let message =
                format!("there is no mode '{other}'; there are constant, edge, reflect, symmetric, wrap");
            return Err(Trouble::here(message));
        }
    };
    let mut padded = x;
    for (axis, (before, after)) in widths.into_iter().enumerate() {
        if (before, after) != (0, 0) {
            padded = padded.moved(padded.array.pad(axis, before, after, mode)?, &[axis]);
        }
    }
    Ok(padded.into())
}

/// `n`, `(before, after)` or `((before, after), …)` for every axis.
fn widths(value: &Value, rank: usize) -> Outcome<Vec<(u64, u64)>> {
    let pair = |value: &Value| match value.to_shape()?.as_slice() {
        [both] => Ok((*both, *both)),
        [before, after] => Ok((*before, *after)),
        _ => Err(Trouble::here("widths are a number, or (before, after)")),
    };
    match value {
        Value::List(items) if items.iter().any(|item| matches!(item, Value::List(_))) => {
            if items.len() != rank {
                let message = format!("{} pairs of widths for {rank} axes; give one per axis", items.len());
                return Err(Trouble::here(message));
            }
            items.iter().map(pair).collect()
        }
        all => Ok(vec![pair(all)?; rank]),
    }
}
