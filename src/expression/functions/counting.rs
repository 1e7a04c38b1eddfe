//! Counts and look-ups: histograms, positions in sorted lists, membership, covariances.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::Axes;
use blockwise_kernels::histogram::Bins;
use blockwise_kernels::order::Side;

const COUNTING: &str = "counting and searching";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        COUNTING,
        "histogram(x, bins, range=None, weights=None)",
        "counts of elements in bins: edges as a list, or a number of even bins and range=(low, high)",
        histogram,
    ),
    entry(
        COUNTING,
        "bincount(x, count, weights=None)",
        "how often each of the numbers below count occurs",
        |a| {
            let (x, count) = (a.array("x")?, a.need("count", Value::to_int)?);
            let count = usize::try_from(count).map_err(|_| Trouble::here("count is a number from 1 up"))?;
            let weights = a.read("weights", Value::to_array)?;
            plain(x.array.bincount(count, weights.as_ref().map(|weights| &weights.array)))
        },
    ),
    entry(
        COUNTING,
        "digitize(x, bins, right=False)",
        "the bin, of ascending edges, that each element is in",
        |a| {
            let x = a.array("x")?;
            let edges = a.need("bins", reals)?;
            Ok(x.with(x.array.digitize(&edges, a.flag("right")?)?).of_other_quantity().into())
        },
    ),
    entry(
        COUNTING,
        "searchsorted(sorted, x, side=\"left\")",
        "where in a sorted array the elements of x would stand",
        |a| {
            let (sorted, x) = (a.array("sorted")?, a.array("x")?);
            let side = a.read("side", |value| match value.to_text()? {
                "left" => Ok(Side::Left),
                "right" => Ok(Side::Right),
                other => Err(Trouble::here(format!("there is no side '{other}'; there are left, right"))),
            })?;
            let found = x.array.search_sorted(&sorted.array, side.unwrap_or(Side::Left))?;
            Ok(x.with(found).of_other_quantity().into())
        },
    ),
    entry(COUNTING, "isin(x, list)", "whether each element is one of a list", |a| {
        let (x, list) = (a.array("x")?, a.array("list")?);
        Ok(x.with(x.array.is_in(&list.array)?).of_other_quantity().into())
    }),
    entry(
        "statistics",
        "cov(x, ddof=1)",
        "covariances of the rows of a matrix; of one row its variance, without axes",
        |a| {
            let ddof = a.read("ddof", Value::to_real)?.unwrap_or(1.0);
            between_rows(a, |x| x.cov(ddof))
        },
    ),
    entry("statistics", "corrcoef(x)", "correlations of the rows of a matrix", |a| {
        between_rows(a, Array::corrcoef)
    }),
];

/// What is computed of every two rows of a matrix; as NumPy, an array of one axis is one row, and one row has a number.
fn between_rows(
    arguments: &Arguments,
    compute: impl Fn(&Array) -> blockwise_core::Result<Array>,
) -> Outcome<Value> {
    let mut x = arguments.array("x")?.array;
    if x.rank() == 1 {
        x = x.expand_dims(0)?;
    }
    let found = compute(&x)?;
    plain(if found.shape() == [1, 1] { found.squeeze(Axes::All) } else { Ok(found) })
}

fn plain(array: blockwise_core::Result<Array>) -> Outcome<Value> {
    Ok(Labelled::from(array?).into())
}

fn reals(value: &Value) -> Outcome<Vec<f64>> {
    match value {
        Value::List(items) => items.iter().map(Value::to_real).collect(),
        other => Err(Trouble::here(format!("a list of numbers is wanted here, not {}", other.shown()))),
    }
}

fn histogram(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let range = arguments.read("range", reals)?;
    let bins = match (arguments.value("bins"), range.as_deref()) {
        (edges @ Value::List(_), None) => Bins::edges(&reals(&edges)?),
        (count @ Value::Number(_), Some([low, high])) => {
            let count =
                usize::try_from(count.to_int()?).map_err(|_| Trouble::here("bins is a number from 1 up"))?;
            Bins::uniform(count, *low, *high, x.array.dtype())
        }
        _ => {
            let message = "give edges, as in bins=[0, 1, 2], or a number of bins and range=(low, high)";
            return Err(Trouble::here(message));
        }
    };
    let bins = bins.map_err(|fault| Trouble::here(fault.to_string()))?;
    let weights = arguments.read("weights", Value::to_array)?;
    plain(x.array.histogram(bins, weights.as_ref().map(|weights| &weights.array)))
}
