//! Group-by, resampling, anomalies and weighted reductions: functions that make groups, and methods of groups.
//!
//! Invariant: what groups can do is [`Grouped`]'s; here are names and arguments. Called by the function table.

use super::entry::{Entry, entry};
use crate::expression::arguments::{Arguments, Given};
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use crate::group::{Grouped, Weighted};
use blockwise_core::array::Axes;

const FAMILY: &str = "groups";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        FAMILY,
        "groupby(x, by, axis=None)",
        "x in groups by \"time.month\", \"time.season\", \"time.dayofyear\", \"lat\" …, or by a list of labels along an axis; reduce them with .mean() and its kin, or take them: groups - groups.mean()",
        |a| Ok(Value::Groups(Box::new(grouped(a)?))),
    ),
    entry(
        FAMILY,
        "resample(x, frequency, dimension=None)",
        "x in bins of its times: \"MS\", \"QS-DEC\", \"YS\", \"D\", \"6h\", \"ME\" …; reduce them with .mean() and its kin",
        |a| {
            let dimension = a.read("dimension", |value| Ok(value.to_text()?.to_owned()))?;
            let frequency = a.need("frequency", |value| Ok(value.to_text()?.to_owned()))?;
            let groups = a.array("x")?.resample(&frequency, dimension.as_deref());
            Ok(Value::Groups(Box::new(groups?)))
        },
    ),
    entry(
        FAMILY,
        "anomaly(x, by, axis=None)",
        "what is left of x when from each position the mean of its group is taken",
        |a| Ok(grouped(a)?.anomaly()?.into()),
    ),
    entry(
        FAMILY,
        "weighted(x, weights)",
        "x with weights along some of its dimensions; reduce it with .mean(axis), .sum(axis) or .sum_of_weights(axis)",
        |a| Ok(Value::Weighted(Box::new(a.array("x")?.weighted(&a.array("weights")?)?))),
    ),
    entry(FAMILY, "coslat(x)", "the cosine of the latitudes of x, as weights of areas", |a| {
        Ok(a.array("x")?.cos_latitude()?.into())
    }),
    entry(
        FAMILY,
        "unlabelled(x)",
        "x without dimension names and coordinates: it meets others by position alone",
        |a| {
            let array = a.array("x")?.array;
            Ok(Labelled::from(array.with_some_names(vec![None; array.rank()])?).into())
        },
    ),
    entry(
        FAMILY,
        "coordinate(x, dimension)",
        "the coordinates of a dimension, or auxiliary ones of a name, as an array",
        |a| {
            let name = a.need("dimension", |value| Ok(value.to_text()?.to_owned()))?;
            let x = a.array("x")?;
            let found = match x.auxiliary.iter().find(|own| own.name == name && !own.is_mapping) {
                Some(found) => found,
                None => x.coordinate(&name)?,
            };
            if found.texts.is_some() {
                return Err(Trouble::here(format!(
                    "the coordinates of '{name}' are texts, which are no array"
                )));
            }
            // With what tells where they are themselves.
            let own =
                x.with(found.array.with_some_names(found.dimensions.iter().cloned().map(Some).collect())?);
            Ok(own.of_other_quantity().into())
        },
    ),
];

fn grouped(arguments: &Arguments) -> Outcome<Grouped> {
    let x = arguments.array("x")?;
    match arguments.need("by", |value| Ok(value.clone()))? {
        Value::Text(by) => Ok(x.group_by(&by)?),
        labels => {
            let axis = arguments.need("axis", Value::to_axis)?;
            Ok(x.group_by_labels(&labels.to_ints()?, axis)?)
        }
    }
}

/// What a method of groups gives.
pub(super) fn method(
    name: &str,
    groups: &Grouped,
    rest: Vec<Given>,
    named: Vec<(String, Given)>,
) -> Outcome<Value> {
    let known = Grouped::NAMES.iter().find(|known| **known == name);
    match (name, known) {
        ("anomaly", _) => {
            Arguments::bind("anomaly", "anomaly()", rest, named)?;
            Ok(groups.anomaly()?.into())
        }
        ("quantile", _) => {
            let a = Arguments::bind("quantile", "quantile(q, skipna=True)", rest, named)?;
            Ok(groups.quantile(a.need("q", Value::to_real)?, skips(&a)?)?.into())
        }
        (_, Some(known)) => {
            let a = Arguments::bind(known, "reduce(skipna=True, ddof=0)", rest, named)?;
            let ddof = a.read("ddof", Value::to_real)?.unwrap_or(0.0);
            if ddof != 0.0 && !matches!(*known, "var" | "std") {
                return Err(Trouble::here(format!("{known} has no ddof")));
            }
            Ok(groups.reduce(known, skips(&a)?, ddof)?.into())
        }
        _ => {
            let known = Grouped::NAMES.join(", ");
            Err(Trouble::here(format!("groups have no '{name}'; they have {known}, quantile, anomaly")))
        }
    }
}

fn skips(arguments: &Arguments) -> Outcome<bool> {
    Ok(arguments.read("skipna", Value::to_flag)?.unwrap_or(true))
}

/// What a method of a weighted array gives.
pub(super) fn weighted_method(
    name: &str,
    weighted: &Weighted,
    rest: Vec<Given>,
    named: Vec<(String, Given)>,
) -> Outcome<Value> {
    let a = Arguments::bind("weighted", "reduce(axis=None)", rest, named)?;
    let axes = a.read("axis", Value::to_axes)?.unwrap_or(Axes::All);
    Ok(match name {
        "mean" => weighted.mean(axes)?,
        "sum" => weighted.sum(axes)?,
        "sum_of_weights" => weighted.sum_of_weights(axes)?,
        _ => {
            let what = format!("a weighted array has no '{name}'; it has mean, sum, sum_of_weights");
            return Err(Trouble::here(what));
        }
    }
    .into())
}
