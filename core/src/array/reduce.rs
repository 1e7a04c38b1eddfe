//! Reductions over any axes: sums, means, extremes, truth, moments, positions of extremes.
//!
//! NumPy's meaning and dtypes; float sums and means accumulate in float64. Invariant: the chunks of a result are those
//! of its input without the reduced axes. Fused with what is reduced by [`crate::lower`]. Called by programs and
//! `eval`.

use super::{Array, Axes, Groups, Index, Kind, Node, scalar_as};
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use blockwise_kernels::reduce::{Reducer, Reduction, Statistic};
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

/// What is reduced, and how it is finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduce {
    /// What is kept of the elements.
    pub reducer: Reducer,
    /// What that finishes as.
    pub statistic: Statistic,
    /// Whether NaN is left out.
    pub skip_nan: bool,
}

/// A reduction of an array.
pub(crate) struct Reduced {
    pub(crate) input: Array,
    /// Ascending.
    pub(crate) axes: Vec<usize>,
    pub(crate) reduction: Reduction,
    pub(crate) what: Reduce,
    /// Where positions of the one axis are not all reduced to one, but those of each group.
    pub(crate) groups: Option<Arc<Groups>>,
}

impl Reduced {
    /// Whether it reduces these groups along this axis.
    pub(crate) fn is_of(&self, axis: usize, groups: &Arc<Groups>) -> bool {
        self.axes == [axis]
            && self.groups.as_ref().is_some_and(|own| Arc::ptr_eq(own, groups) || own == groups)
    }
}

impl Reduce {
    /// The reduction of a NumPy name: `sum`, `nanmean`, `argmax` and so on; `None` if there is none. Variances and
    /// standard deviations are those of `ddof` delta degrees of freedom.
    #[must_use]
    pub fn named(name: &str, ddof: f64) -> Option<Self> {
        let (name, skip_nan) = name.strip_prefix("nan").map_or((name, false), |rest| (rest, true));
        let (reducer, statistic) = match name {
            "sum" => (Reducer::Sum, Statistic::Value),
            "prod" => (Reducer::Product, Statistic::Value),
            "min" | "amin" => (Reducer::Min, Statistic::Value),
            "max" | "amax" => (Reducer::Max, Statistic::Value),
            "any" if !skip_nan => (Reducer::Any, Statistic::Value),
            "all" if !skip_nan => (Reducer::All, Statistic::Value),
            "count_nonzero" if !skip_nan => (Reducer::CountNonzero, Statistic::Value),
            "mean" => (Reducer::Mean, Statistic::Value),
            "var" => (Reducer::Variance, Statistic::Variance { ddof }),
            "std" => (Reducer::Variance, Statistic::StandardDeviation { ddof }),
            "skew" => (Reducer::Moments, Statistic::Skewness),
            "kurtosis" => (Reducer::Moments, Statistic::Kurtosis),
            "argmin" => (Reducer::ArgMin, Statistic::Value),
            "argmax" => (Reducer::ArgMax, Statistic::Value),
            // How many are not NaN.
            "count" if !skip_nan => {
                return Some(Self { reducer: Reducer::Mean, statistic: Statistic::Count, skip_nan: true });
            }
            _ => return None,
        };
        Some(Self { reducer, statistic, skip_nan })
    }

    /// The names that [`Reduce::named`] knows, without the `nan` variants.
    pub const NAMES: &[&str] = &[
        "sum",
        "prod",
        "min",
        "max",
        "any",
        "all",
        "count_nonzero",
        "mean",
        "var",
        "std",
        "skew",
        "kurtosis",
        "argmin",
        "argmax",
        "count",
    ];

    /// What a reduction of no elements gives; `None` where NumPy refuses.
    fn of_nothing(self, dtype: DType) -> Option<Scalar> {
        let number = match (self.reducer, self.statistic) {
            (_, Statistic::Count) | (Reducer::Sum | Reducer::Any | Reducer::CountNonzero, _) => 0.0,
            (Reducer::Product | Reducer::All, _) => 1.0,
            (Reducer::Mean | Reducer::Variance | Reducer::Moments, _) => f64::NAN,
            (Reducer::Min | Reducer::Max | Reducer::ArgMin | Reducer::ArgMax, _) | (_, _) => return None,
        };
        scalar_as(number.into(), dtype)
    }
}

impl Array {
    /// The reduction `what` over `axes`; with `keep_dims` they stay, with one element.
    ///
    /// # Errors
    /// If there is no such axis, the dtype has no such reduction, or there is nothing to reduce and no value for that.
    ///
    /// ```
    /// use blockwise_core::array::Reduce;
    /// use blockwise_core::{Array, DType};
    /// let x = Array::zeros(&[12, 30], DType::F32)?.with_names(&["time", "x"])?;
    /// let peak = x.reduce(Reduce::named("nanmax", 0.0).unwrap(), "time", true)?;
    /// assert_eq!(peak.shape(), [1, 30]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn reduce(&self, what: Reduce, axes: impl Into<Axes>, keep_dims: bool) -> Result<Self> {
        let mut axes = axes.into().resolve(self.names())?;
        axes.sort_unstable();
        if self.dtype().kind() == 'c' && what.reducer == Reducer::Variance {
            return self.complex_variance(what, &axes, keep_dims);
        }
        let reduction = Reduction::new(what.reducer, self.dtype(), what.skip_nan)?;
        let dtype = reduction.output_dtype(what.statistic);
        let kept: Vec<usize> = (0..self.rank()).filter(|axis| !axes.contains(axis)).collect();
        let grid = ChunkGrid::from_axes(kept.iter().map(|axis| self.grid().axes()[*axis].clone()).collect())?;
        let names = kept.iter().map(|axis| self.names()[*axis].clone()).collect();
        let shape = self.shape();
        let kind = if axes.iter().any(|axis| shape[*axis] == 0) {
            let value = what.of_nothing(dtype).ok_or_else(|| Error::Usage {
                message: format!(
                    "{:?} of no elements has no value; reduce axes that have some",
                    what.reducer
                ),
            })?;
            Kind::Constant(value)
        } else {
            Kind::Reduce(Reduced { input: self.clone(), axes: axes.clone(), reduction, what, groups: None })
        };
        let reduced = Self { node: Arc::new(Node { dtype, grid, names, kind }) };
        if !keep_dims {
            return Ok(reduced);
        }
        let item = |axis| if axes.contains(&axis) { Index::NewAxis } else { Index::from(..) };
        let kept = reduced.index(&(0..self.rank()).map(item).collect::<Vec<_>>())?;
        Ok(kept.renamed(self.names().to_vec()))
    }

    /// The variance of complex numbers is that of their real parts and that of their imaginary parts together.
    fn complex_variance(&self, what: Reduce, axes: &[usize], keep_dims: bool) -> Result<Self> {
        let (ddof, is_root) = match what.statistic {
            Statistic::Variance { ddof } => (ddof, false),
            Statistic::StandardDeviation { ddof } => (ddof, true),
            _ => return Err(Error::Internal { message: "no variance".to_owned() }),
        };
        let dtype = if self.dtype() == DType::C64 { DType::F32 } else { DType::F64 };
        let part = |name: &str| {
            let mut part = Self::call(name, [self.into()])?.astype(DType::F64);
            if what.skip_nan {
                // A number with one part that is NaN is left out whole.
                part = Self::call("where", [self.is_nan()?.into(), f64::NAN.into(), part.into()])?;
            }
            let what = Reduce { statistic: Statistic::Variance { ddof }, ..what };
            part.reduce(what, axes, keep_dims)
        };
        let variance = part("real")?.try_add(part("imag")?)?;
        Ok(if is_root { variance.sqrt()? } else { variance }.astype(dtype))
    }
}

macro_rules! reductions {
    ($($method:ident: $name:literal, $doc:literal;)*) => {
        impl Array {$(
            #[doc = $doc]
            ///
            /// # Errors
            /// As [`Array::reduce`].
            pub fn $method(&self, axes: impl Into<Axes>) -> Result<Self> {
                let what = Reduce::named($name, 0.0);
                let what = what.ok_or_else(|| Error::Internal { message: format!("no {}", $name) })?;
                self.reduce(what, axes, false)
            }
        )*}
    };
}
reductions! {
    sum: "sum", "Sums; of integers as 64-bit ones, wrapping.";
    prod: "prod", "Products; of integers as 64-bit ones, wrapping.";
    min: "min", "The smallest elements; NaN if any is.";
    max: "max", "The largest elements; NaN if any is.";
    any: "any", "Whether any element is not zero.";
    all: "all", "Whether no element is zero.";
    mean: "mean", "Means.";
    var: "var", "Variances, of the population.";
    std: "std", "Standard deviations, of the population.";
    argmin: "argmin", "Positions of the smallest elements.";
    argmax: "argmax", "Positions of the largest elements.";
    nansum: "nansum", "Sums of what is not NaN.";
    nanmean: "nanmean", "Means of what is not NaN.";
    nanmin: "nanmin", "The smallest of what is not NaN.";
    nanmax: "nanmax", "The largest of what is not NaN.";
    nanvar: "nanvar", "Variances of what is not NaN.";
    nanstd: "nanstd", "Standard deviations of what is not NaN.";
    count_nonzero: "count_nonzero", "How many elements are not zero.";
}
