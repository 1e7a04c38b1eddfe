//! `sel`, `isel` and `slice`: parts of arrays by coordinates and by positions along dimensions, as xarray has them.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use super::filters::reals;
use crate::cf::resample::Frequency;
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::number::Number;
use crate::expression::positions::Taken;
use crate::expression::selection::{Finding, Label, Labels, Match, Tolerance};
use crate::expression::value::Value;
use blockwise_core::array::Index;

const FAMILY: &str = "selection";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        FAMILY,
        "sel(x, method=None, tolerance=None, **dimensions)",
        "elements by coordinates: time=\"2001-02\", lat=slice(30, 60) with both ends, lon=[0, 90]; method is \"nearest\", \"pad\" or \"backfill\", within a tolerance: 0.5, or \"6h\" of dates",
        |a| {
            let finding = finding(a)?;
            let mut x = a.array("x")?;
            for (dimension, given) in named(a)? {
                let labels = labels(&given.value).map_err(|trouble| trouble.or_at(given.at))?;
                x = x
                    .select(dimension, &labels, finding)
                    .map_err(|error| Trouble::from(error).or_at(given.at))?;
            }
            Ok(x.into())
        },
    ),
    entry(
        FAMILY,
        "isel(x, **dimensions)",
        "elements by positions along dimensions: time=0, lat=slice(10, 20), lon=[0, 5]",
        |a| {
            let mut x = a.array("x")?;
            for (dimension, given) in named(a)? {
                x = at_positions(&x, dimension, &given.value).map_err(|trouble| trouble.or_at(given.at))?;
            }
            Ok(x.into())
        },
    ),
    entry(
        FAMILY,
        "sel_points(x, method=None, tolerance=None, dim=\"points\", **dimensions)",
        "elements at points, one for each row of lists of coordinates: lat=[59.9, 60.4], lon=[10.7, 5.3]; dim is the dimension of the points",
        |a| {
            let finding = finding(a)?;
            let points = points(a, |value| match labels(value)? {
                Labels::Many(labels) => Ok(labels),
                _ => Err(Trouble::here("each dimension of points takes a list")),
            })?;
            Ok(a.array("x")?.select_points(&points, finding, &dimension_of_points(a)?)?.into())
        },
    ),
    entry(
        FAMILY,
        "isel_points(x, dim=\"points\", **dimensions)",
        "as sel_points, by positions: y=[3, -1], x=[0, 7]",
        |a| {
            let points = points(a, Value::to_ints)?;
            Ok(a.array("x")?.at_points(&points, &dimension_of_points(a)?)?.into())
        },
    ),
    entry(
        FAMILY,
        "slice(start, stop=None, step=None)",
        "from start to stop, for sel, isel and x[...]; None is the first or last; with one number, as in Python, that is where to stop",
        |a| {
            let [start, stop, step] = ["start", "stop", "step"].map(|name| a.value(name));
            let is_alone = a.given("stop").is_none() && !a.is_none("stop");
            let (start, stop) = if is_alone { (Value::Nothing, start) } else { (start, stop) };
            Ok(Value::Slice(Box::new([start, stop, step])))
        },
    ),
];

/// What is given for each dimension of points.
fn points<T>(arguments: &Arguments, read: impl Fn(&Value) -> Outcome<T>) -> Outcome<Vec<(String, T)>> {
    named(arguments)?
        .map(|(name, given)| {
            Ok((name.to_owned(), read(&given.value).map_err(|trouble| trouble.or_at(given.at))?))
        })
        .collect()
}

fn dimension_of_points(arguments: &Arguments) -> Outcome<String> {
    let given = arguments.read("dim", |value| Ok(value.to_text()?.to_owned()))?;
    Ok(given.unwrap_or_else(|| "points".to_owned()))
}

/// What is given for dimensions; something must be.
pub(super) fn named(
    arguments: &Arguments,
) -> Outcome<impl Iterator<Item = (&str, &crate::expression::arguments::Given)>> {
    if arguments.by_name.is_empty() {
        let what =
            format!("{} needs a dimension, as in {}(x, time=…)", arguments.function, arguments.function);
        return Err(Trouble::here(what));
    }
    Ok(arguments.by_name.iter().map(|(name, given)| (name.as_str(), given)))
}

fn finding(arguments: &Arguments) -> Outcome<Finding> {
    let how = arguments.read("method", |value| method(value.to_text()?))?.unwrap_or_default();
    let tolerance = arguments.read("tolerance", |value| match value {
        Value::Text(text) => match text.parse()? {
            Frequency::Span(us) => Ok(Tolerance::Span(us)),
            Frequency::Months { .. } => {
                Err(Trouble::here("a tolerance is of days or less, as \"6h\" or \"2D\""))
            }
        },
        number => number.to_real().map(Tolerance::Units),
    })?;
    Ok(Finding { how, tolerance })
}

fn method(name: &str) -> Outcome<Match> {
    Ok(match name {
        "nearest" => Match::Nearest,
        "pad" | "ffill" => Match::Pad,
        "backfill" | "bfill" => Match::Backfill,
        _ => {
            return Err(Trouble::here(format!(
                "there is no method '{name}'; there are nearest, pad and backfill"
            )));
        }
    })
}

fn label(value: &Value) -> Outcome<Label> {
    match value {
        Value::Text(text) => Ok(Label::Text(text.clone())),
        other => other.to_real().map(Label::Number),
    }
}

/// What a value says of the coordinates that are meant.
pub(super) fn labels(value: &Value) -> Outcome<Labels> {
    match value {
        Value::Slice(bounds) => {
            let [start, stop, step] = &**bounds;
            let end = |value: &Value| match value {
                Value::Nothing => Ok(None),
                value => label(value).map(Some),
            };
            let step = match step {
                Value::Nothing => 1,
                step => u64::try_from(step.to_int()?).unwrap_or(0),
            };
            Ok(Labels::Between(end(start)?, end(stop)?, step))
        }
        Value::Array(array) if array.array.rank() == 1 => {
            Ok(Labels::Many(reals(value)?.into_iter().map(Label::Number).collect()))
        }
        Value::List(items) => items.iter().map(label).collect::<Outcome<_>>().map(Labels::Many),
        one => label(one).map(Labels::One),
    }
}

/// The bounds of a slice of positions.
pub(in crate::expression) fn positions(bounds: &[Value; 3]) -> Outcome<Index> {
    let bound = |value: &Value| match value {
        Value::Nothing => Ok(None),
        value => value.to_int().map(Some),
    };
    let [start, stop, step] = bounds;
    Ok(Index::Slice { start: bound(start)?, stop: bound(stop)?, step: bound(step)?.unwrap_or(1) })
}

fn at_positions(x: &Labelled, dimension: &str, value: &Value) -> Outcome<Labelled> {
    let axis = x.axis_named(dimension)?;
    let along = |item: Index| {
        let mut items = vec![Index::from(..); axis];
        items.push(item);
        x.index(&items)
    };
    Ok(match value {
        Value::Slice(bounds) => along(positions(bounds)?)?,
        Value::Number(Number::Int(_)) => along(Index::At(value.to_int()?))?,
        Value::List(_) => x.taken(axis, &Taken::At(value.to_ints()?))?,
        other => {
            let what = format!("positions are an integer, a list of them or a slice, not {}", other.shown());
            return Err(Trouble::here(what));
        }
    })
}
