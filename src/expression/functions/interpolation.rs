//! `interp` and `interp_like`: values between positions, as xarray has them.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use super::selection::{labels, named};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::interpolation::{Between, Interpolation, Outside};
use crate::expression::value::Value;

const FAMILY: &str = "selection";

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
];

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
