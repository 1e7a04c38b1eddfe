//! How two arrays go together along axes: correlation, slope of a line, what a line leaves.
//!
//! Invariants: positions where either is missing are left out, of both; deviations from means are taken before products, so that
//! large means cost no digits; sums are double precision's. Called by the function table.

use super::entry::{Entry, entry};
use super::statistics::reduced;
use super::{apply, shape::axis_of};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::{Axes, Index};
use blockwise_kernels::promote::{is_inexact, promote};
use blockwise_kernels::{DType, Scalar};

const FAMILY: &str = "statistics";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        FAMILY,
        "corr(x, y, axis=None)",
        "Pearson's correlation of x and y over axes; pairs with NaN are left out, as in xarray",
        |a| {
            let (pairs, axes) = pairs_of(a)?;
            let spread = |squares: Labelled| apply("sqrt", &[squares.into()]);
            let (x, y) = (spread(pairs.squares_of_x(&axes)?)?, spread(pairs.squares_of_y(&axes)?)?);
            let scale = apply("multiply", &[x.into(), y.into()])?;
            pairs.result(&apply("true_divide", &[pairs.products(&axes)?.into(), scale.into()])?)
        },
    ),
    entry(
        FAMILY,
        "slope(y, x, axis=None)",
        "how much y rises with each unit of x, over axes: the slope of the least-squares line; pairs with NaN are left out",
        |a| {
            let (pairs, axes) = pairs_of(a)?;
            pairs.result(&apply(
                "true_divide",
                &[pairs.products(&axes)?.into(), pairs.squares_of_x(&axes)?.into()],
            )?)
        },
    ),
    entry(
        FAMILY,
        "detrend(x, axis=-1)",
        "x less its least-squares line along an axis, as scipy.signal.detrend; NaN is left out and stays",
        detrend,
    ),
];

/// Two arrays less their means over axes, NaN where either is missing.
struct Pairs {
    x: Labelled,
    y: Labelled,
    dtype: DType,
}

impl Pairs {
    fn of(
        x: &Labelled,
        y: &Labelled,
        axes: impl FnOnce(&Labelled) -> Outcome<Vec<usize>>,
    ) -> Outcome<(Self, Vec<usize>)> {
        let own = [x, y]
            .map(|array| if is_inexact(array.array.dtype()) { array.array.dtype() } else { DType::F64 });
        let dtype = promote(own[0], own[1]);
        if dtype.kind() == 'c' {
            return Err(Trouble::here("complex numbers have no line; take real(x), imag(x) or abs(x)"));
        }
        let known = |array: &Labelled| Ok::<_, Trouble>(array.with(array.array.not_null()?));
        let both = apply("logical_and", &[known(x)?.into(), known(y)?.into()])?;
        let axes = axes(&both)?;
        let nan = Labelled::from(Array::full(&[], Scalar::from(f64::NAN))?);
        let kept = |array: &Labelled| {
            let wide = array.with(array.array.astype(DType::F64));
            apply("where", &[both.clone().into(), wide.into(), nan.clone().into()])
        };
        let less_mean = |array: &Labelled| {
            let mean = reduced(array, &axes, "nanmean", true)?;
            apply("subtract", &[array.clone().into(), mean.into()])
        };
        let (x, y) = (less_mean(&kept(x)?)?, less_mean(&kept(y)?)?);
        Ok((Self { x, y, dtype }, axes))
    }

    fn products(&self, axes: &[usize]) -> Outcome<Labelled> {
        sum_of_products(&self.x, &self.y, axes, false)
    }

    fn squares_of_x(&self, axes: &[usize]) -> Outcome<Labelled> {
        sum_of_products(&self.x, &self.x, axes, false)
    }

    fn squares_of_y(&self, axes: &[usize]) -> Outcome<Labelled> {
        sum_of_products(&self.y, &self.y, axes, false)
    }

    fn result(&self, found: &Labelled) -> Outcome<Value> {
        Ok(found.with(found.array.astype(self.dtype)).of_other_quantity().into())
    }
}

fn sum_of_products(x: &Labelled, y: &Labelled, axes: &[usize], keep_dims: bool) -> Outcome<Labelled> {
    let products = apply("multiply", &[x.clone().into(), y.clone().into()])?;
    reduced(&products, axes, "nansum", keep_dims)
}

fn pairs_of(arguments: &Arguments) -> Outcome<(Pairs, Vec<usize>)> {
    let (x, y) = (arguments.array("x")?, arguments.array("y")?);
    let axes = arguments.read("axis", Value::to_axes)?.unwrap_or(Axes::All);
    Pairs::of(&x, &y, |both| Ok(axes.resolve(both.array.names())?))
}

fn detrend(arguments: &Arguments) -> Outcome<Value> {
    let y = arguments.array("x")?;
    let axis = axis_of(arguments, "axis", &y, -1)?;
    let length = y.array.shape().get(axis).copied().unwrap_or(0);
    let mut items = vec![Index::NewAxis; y.array.rank()];
    items.iter_mut().skip(axis).take(1).for_each(|item| *item = Index::from(..));
    let positions = Labelled::from(Array::arange(0.0, length as f64, 1.0)?).index(&items)?;
    let (pairs, axes) = Pairs::of(&positions, &y, |_| Ok(vec![axis]))?;
    let products = sum_of_products(&pairs.x, &pairs.y, &axes, true)?;
    let slope =
        apply("true_divide", &[products.into(), sum_of_products(&pairs.x, &pairs.x, &axes, true)?.into()])?;
    let line = apply("multiply", &[slope.into(), pairs.x.clone().into()])?;
    let left = apply("subtract", &[pairs.y.clone().into(), line.into()])?;
    Ok(y.with(left.array.astype(pairs.dtype)).into())
}
