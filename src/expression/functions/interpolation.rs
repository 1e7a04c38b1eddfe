//! `interp` and `interp_like`: values between positions, and what NaN is filled with along an axis, as xarray has them.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use super::selection::{labels, named};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::interpolation::{Between, Interpolation, Outside};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;

const FAMILY: &str = "selection";
const MISSING: &str = "missing values";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        FAMILY,
        "interp(x, method=\"linear\", fill_value=None, period=None, **dimensions)",
        "values between coordinates: lat=arange(-90, 91, 2), lon=[0.5, 1], time=\"2001-02-03\"; method is \"linear\" or \"nearest\"; outside is fill_value (NaN), or \"extrapolate\"; with period=360 nothing is outside of one dimension",
        |a| {
            let how = how(a)?;
            let mut x = a.array("x")?;
            if how.period.is_some() && a.by_name.len() > 1 {
                return Err(Trouble::here("a period is that of one dimension; write interp for each"));
            }
            for (dimension, given) in named(a)? {
                let labels = labels(&given.value).map_err(|trouble| trouble.or_at(given.at))?;
                x = x
                    .interpolate(dimension, &labels, &how)
                    .map_err(|error| Trouble::from(error).or_at(given.at))?;
            }
            Ok(x.into())
        },
    ),
    entry(
        FAMILY,
        "interp_like(x, other, method=\"linear\", fill_value=None)",
        "x at the coordinates of other along all dimensions of both, as in interp_like(model, observed) - observed",
        |a| Ok(a.array("x")?.interpolate_like(&a.array("other")?, &how(a)?)?.into()),
    ),
    entry(
        MISSING,
        "ffill(x, axis, limit=None)",
        "NaN along an axis as the last element before that is none; at most limit in a row",
        |a| {
            let (x, axis, limit) = along(a)?;
            Ok(x.with(x.array.forward_filled(axis, limit)?).into())
        },
    ),
    entry(MISSING, "bfill(x, axis, limit=None)", "as ffill, from the next element behind", |a| {
        let (x, axis, limit) = along(a)?;
        Ok(x.with(x.array.backward_filled(axis, limit)?).into())
    }),
    entry(
        MISSING,
        "interpolate_na(x, axis, limit=None, use_coordinate=True)",
        "NaN along an axis as what lies on the line between its neighbours, by coordinates or positions; at both ends it stays",
        |a| {
            let (x, axis, limit) = along(a)?;
            let by_coordinates = a.read("use_coordinate", Value::to_flag)?.unwrap_or(true);
            Ok(x.interpolate_missing(axis, limit, by_coordinates)?.into())
        },
    ),
];

/// The array, the axis that must be named, and how many in a row are filled.
fn along(arguments: &Arguments) -> Outcome<(Labelled, usize, Option<u64>)> {
    let x = arguments.array("x")?;
    let axis = arguments.need("axis", Value::to_axis)?.resolve(x.array.names())?;
    let limit = arguments.read("limit", |value| match u64::try_from(value.to_int()?) {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err(Trouble::here("a limit is a number from 1 up")),
    })?;
    Ok((x, axis, limit))
}

fn how(arguments: &Arguments) -> Outcome<Interpolation> {
    let between = arguments.read("method", |value| match value.to_text()? {
        "linear" => Ok(Between::Linear),
        "nearest" => Ok(Between::Nearest),
        other => Err(Trouble::here(format!("there is no method '{other}'; there are linear and nearest"))),
    })?;
    let outside = arguments.read("fill_value", |value| match value {
        Value::Text(text) if text == "extrapolate" => Ok(Outside::Extrapolated),
        number => number.to_real().map(Outside::Value),
    })?;
    let period = match arguments.function {
        "interp" => arguments.read("period", Value::to_real)?,
        _ => None,
    };
    Ok(Interpolation {
        between: between.unwrap_or_default(),
        outside: outside.unwrap_or(Outside::Value(f64::NAN)),
        period,
    })
}
