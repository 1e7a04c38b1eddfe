//! Reductions over axes by position or dimension name.
//!
//! Invariant: every name that core's list has is here, with its `nan` variant where core has that (a test compares).
//! Called by the function table.

use super::entry::{Entry, entry};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::{Axes, Reduce};
use blockwise_kernels::promote::is_inexact;

const FAMILY: &str = "reductions";

macro_rules! reductions {
    ($($name:literal $parameters:literal $doc:literal;)*) => {
        /// The rows.
        pub(super) const TABLE: &[Entry] =
            &[$(entry(FAMILY, concat!($name, "(x, axis=None, ", $parameters, "keepdims=False)"), $doc, reduce)),*];
    };
}
reductions! {
    "sum" "dtype=None, " "sums; of integers as 64-bit ones, wrapping";
    "prod" "dtype=None, " "products; of integers as 64-bit ones, wrapping; of floats by parts, none of which may leave the range of float64";
    "min" "" "the smallest elements; NaN if any is";
    "max" "" "the largest elements; NaN if any is";
    "any" "" "whether any element is not zero";
    "all" "" "whether no element is zero";
    "count_nonzero" "" "how many elements are not zero";
    "count" "" "how many elements are not NaN";
    "mean" "dtype=None, " "means";
    "var" "dtype=None, ddof=0, " "variances";
    "std" "dtype=None, ddof=0, " "standard deviations";
    "skew" "" "skewness (third standardised moments)";
    "kurtosis" "" "excess kurtosis (fourth standardised moments, less 3)";
    "argmin" "" "positions of the smallest elements (the first of equals)";
    "argmax" "" "positions of the largest elements (the first of equals)";
    "nansum" "dtype=None, " "sums of what is not NaN";
    "nanprod" "dtype=None, " "products of what is not NaN";
    "nanmin" "" "the smallest of what is not NaN";
    "nanmax" "" "the largest of what is not NaN";
    "nanmean" "dtype=None, " "means of what is not NaN";
    "nanvar" "dtype=None, ddof=0, " "variances of what is not NaN";
    "nanstd" "dtype=None, ddof=0, " "standard deviations of what is not NaN";
    "nanskew" "" "skewness of what is not NaN";
    "nankurtosis" "" "excess kurtosis of what is not NaN";
    "nanargmin" "" "positions of the smallest elements that are not NaN";
    "nanargmax" "" "positions of the largest elements that are not NaN";
}

fn reduce(arguments: &Arguments) -> Outcome<Value> {
    let mut x = arguments.array("x")?;
    let axes = arguments.read("axis", Value::to_axes)?.unwrap_or(Axes::All);
    let dtype = arguments.read("dtype", Value::to_dtype)?;
    let ddof = arguments.read("ddof", Value::to_real)?.unwrap_or(0.0);
    let name = arguments.function;
    let what = Reduce::named(name, ddof);
    let what = what.ok_or_else(|| Trouble::here(format!("there is no reduction {name}")))?;
    // What another dtype has no NaN for is left out before.
    if let Some(dtype) = dtype.filter(|dtype| is_inexact(x.array.dtype()) && !is_inexact(*dtype)) {
        let neutral = match name {
            "nansum" => Some(0.0),
            "nanprod" => Some(1.0),
            _ if name.starts_with("nan") => {
                let what = format!("{name} of floats has a dtype of floats, not {dtype}");
                return Err(Trouble::here(what));
            }
            _ => None,
        };
        if let Some(neutral) = neutral {
            let missing = x.array.is_nan()?;
            x = x.with(Array::call("where", [missing.into(), neutral.into(), (&x.array).into()])?);
        }
    }
    if let Some(dtype) = dtype {
        x = x.with(x.array.astype(dtype));
    }
    let mut reduced = x.reduce(name, what, axes, arguments.flag("keepdims")?)?;
    if let Some(dtype) = dtype {
        reduced = reduced.with(reduced.array.astype(dtype));
    }
    Ok(reduced.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reduction_of_core_is_here() {
        for name in Reduce::NAMES {
            for name in [(*name).to_owned(), format!("nan{name}")] {
                let here = TABLE.iter().any(|entry| entry.name() == name);
                assert_eq!(here, Reduce::named(&name, 0.0).is_some(), "{name}");
            }
        }
    }
}
