//! Other shapes, orders, dtypes, names and chunks of the same elements.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use crate::chunks::{ChunkContext, ChunkRequest};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::array::{Axes, Axis, AxisChunks, Chunks, Index};

const FAMILY: &str = "shape and order";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(FAMILY, "astype(x, dtype)", "x converted to a dtype, by C's rules", |a| {
        let (x, dtype) = (a.array("x")?, a.need("dtype", Value::to_dtype)?);
        Ok(x.with(x.array.astype(dtype)).into())
    }),
    entry(FAMILY, "transpose(x, *axes)", "x with its axes in the given order, or reversed", transpose),
    entry(
        FAMILY,
        "reshape(x, *shape)",
        "the elements in C order in another shape; one length may be -1",
        |a| {
            let x = a.array("x")?;
            let shape = match a.rest.as_slice() {
                [one] => one.value.to_ints().map_err(|trouble| trouble.or_at(one.at))?,
                several => several.iter().map(|given| given.value.to_int()).collect::<Outcome<_>>()?,
            };
            Ok(x.with(x.array.reshape(&shape)?).into())
        },
    ),
    entry(FAMILY, "ravel(x)", "the elements in C order along one axis", |a| {
        let x = a.array("x")?;
        Ok(x.with(x.array.ravel()?).into())
    }),
    entry(FAMILY, "moveaxis(x, source, destination)", "x with one axis at another position", |a| {
        let (x, to) = (a.array("x")?, a.need("destination", Value::to_int)?);
        Ok(x.with(x.array.move_axis(a.need("source", Value::to_axis)?, to)?).into())
    }),
    entry(FAMILY, "swapaxes(x, axis1, axis2)", "x with two axes exchanged", swap),
    entry(FAMILY, "flip(x, axis=None)", "x backwards along axes, or all", |a| {
        flipped(a, &a.read("axis", Value::to_axes)?.unwrap_or(Axes::All))
    }),
    entry(FAMILY, "flipud(x)", "x backwards along the first axis", |a| flipped(a, &Axes::from(0))),
    entry(FAMILY, "fliplr(x)", "x backwards along the second axis", |a| flipped(a, &Axes::from(1))),
    entry(FAMILY, "rot90(x, k=1)", "x turned k times by 90 degrees, from the first axis to the second", turn),
    entry(FAMILY, "squeeze(x, axis=None)", "x without axes of length 1", |a| {
        let (x, axes) = (a.array("x")?, a.read("axis", Value::to_axes)?.unwrap_or(Axes::All));
        Ok(x.with(x.array.squeeze(axes)?).into())
    }),
    entry(FAMILY, "expand_dims(x, axis)", "x with new axes of length 1", expand),
    entry(FAMILY, "atleast_1d(x)", "x with at least one axis", |a| at_least(a, 1)),
    entry(FAMILY, "atleast_2d(x)", "x with at least two axes", |a| at_least(a, 2)),
    entry(FAMILY, "broadcast_to(x, shape)", "x repeated to a shape, by NumPy's broadcasting", |a| {
        let (x, shape) = (a.array("x")?, a.need("shape", Value::to_shape)?);
        Ok(x.with(x.array.broadcast_to(&shape)?).into())
    }),
    entry(
        FAMILY,
        "rechunk(x, chunks)",
        "x cut otherwise: a length or one per axis, or a text as --chunks takes",
        rechunk,
    ),
    entry(FAMILY, "named(x, *names)", "x with dimension names, one an axis", |a| {
        let x = a.array("x")?;
        let names = a.rest.iter().map(|given| given.value.to_text()).collect::<Outcome<Vec<_>>>()?;
        Ok(x.with(x.array.with_names(&names)?).into())
    }),
];

fn transpose(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axes = match arguments.rest.as_slice() {
        [] => Axes::All,
        [one] => one.value.to_axes().map_err(|trouble| trouble.or_at(one.at))?,
        several => Axes::List(several.iter().map(|given| given.value.to_axis()).collect::<Outcome<_>>()?),
    };
    Ok(x.with(x.array.transpose(axes)?).into())
}

fn swap(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axis = |name| Ok::<_, Trouble>(arguments.need(name, Value::to_axis)?.resolve(x.array.names())?);
    let (a, b) = (axis("axis1")?, axis("axis2")?);
    let mut order: Vec<usize> = (0..x.array.rank()).collect();
    order.swap(a, b);
    Ok(x.with(x.array.transpose(order)?).into())
}

/// The array backwards along axes, and its coordinates too.
fn backwards(x: &Labelled, axes: &Axes) -> Outcome<Labelled> {
    let axes = axes.resolve(x.array.names())?;
    let step = |axis| if axes.contains(&axis) { -1 } else { 1 };
    let items: Vec<Index> =
        (0..x.array.rank()).map(|axis| Index::Slice { start: None, stop: None, step: step(axis) }).collect();
    let items: Vec<Index> = items.iter().map(|item| plain(*item)).collect();
    Ok(x.index(&items)?)
}

/// A slice of everything in order, written as such.
fn plain(item: Index) -> Index {
    if item == (Index::Slice { start: None, stop: None, step: 1 }) { Index::from(..) } else { item }
}

fn flipped(arguments: &Arguments, axes: &Axes) -> Outcome<Value> {
    Ok(backwards(&arguments.array("x")?, axes)?.into())
}

fn turn(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let turns = arguments.read("k", Value::to_int)?.unwrap_or(1).rem_euclid(4);
    if x.array.rank() < 2 {
        return Err(Trouble::here("an array of fewer than two axes cannot be turned"));
    }
    let transposed = |x: &Labelled| {
        let mut order: Vec<usize> = (0..x.array.rank()).collect();
        order.swap(0, 1);
        Ok::<_, Trouble>(x.with(x.array.transpose(order)?))
    };
    Ok(match turns {
        0 => x,
        1 => transposed(&backwards(&x, &Axes::from(1))?)?,
        2 => backwards(&x, &Axes::from([0, 1]))?,
        _ => backwards(&transposed(&x)?, &Axes::from(1))?,
    }
    .into())
}

fn expand(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let wanted = arguments.need("axis", Value::to_ints)?;
    let rank = x.array.rank() + wanted.len();
    let axes = Axes::from(wanted.as_slice()).resolve(&vec![None; rank])?;
    let item = |axis| if axes.contains(&axis) { Index::NewAxis } else { Index::from(..) };
    Ok(x.index(&(0..rank).map(item).collect::<Vec<_>>())?.into())
}

fn at_least(arguments: &Arguments, rank: usize) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let items = vec![Index::NewAxis; rank.saturating_sub(x.array.rank())];
    Ok(x.index(&items)?.into())
}

fn rechunk(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let chunks = arguments.need("chunks", |value| match value {
        Value::Text(text) => {
            let request: ChunkRequest =
                text.parse().map_err(|error: crate::Error| Trouble::here(error.to_string()))?;
            let (shape, now) = (x.array.shape(), x.array.grid().largest_chunk());
            let context = ChunkContext {
                shape: &shape,
                dimension_names: x.array.names(),
                previous: Some(&now),
                item_bytes: x.array.dtype().size() as u64,
                budget_bytes: u64::MAX,
            };
            let lengths = request.resolve(&context).map_err(|error| Trouble::here(error.to_string()))?;
            Ok(Chunks::from(lengths.as_slice()))
        }
        value => {
            let length = |length: &i64| match length {
                -1 => Ok(AxisChunks::Whole),
                length => match u64::try_from(*length) {
                    Ok(length) if length > 0 => Ok(AxisChunks::Length(length)),
                    _ => Err(Trouble::here("a chunk length is at least 1, or -1 for a whole axis")),
                },
            };
            let lengths = value.to_ints()?.iter().map(length).collect::<Outcome<Vec<_>>>()?;
            Ok(match (value, lengths.as_slice()) {
                (Value::Number(_), [one]) => Chunks::Every(one.clone()),
                _ => Chunks::PerAxis(lengths),
            })
        }
    })?;
    Ok(x.with(x.array.rechunk(chunks)?).into())
}

/// An axis of an array, by position or name.
pub(super) fn axis_of(arguments: &Arguments, name: &str, x: &Labelled, default: i64) -> Outcome<usize> {
    if arguments.is_none(name) {
        let call = arguments.function;
        return Err(Trouble::here(format!(
            "{call} goes along one axis; for {name}=None write {call}(ravel(x), …)"
        )));
    }
    let axis = arguments.read(name, Value::to_axis)?.unwrap_or(Axis::Index(default));
    Ok(axis.resolve(x.array.names())?)
}
