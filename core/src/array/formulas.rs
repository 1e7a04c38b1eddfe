//! Formulas of a line or two under the names that users of NumPy look for: closeness, choices, products, moments.
//!
//! Invariant: nothing here has a node of its own. Called by programs and `eval`.

use super::{Array, Axes, Operand, Reduce};
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::promote::promote;

impl Array {
    /// Whether elements are within `absolute + relative * |other|` of those of `other`; infinities only of themselves,
    /// NaN of NaN if `equal_nan`.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_ndarray(&ndarray::arr1(&[1.0, 2.0, f64::NAN]).into_dyn())?;
    /// let near = x.is_close(&(&x + 1e-9), 1e-5, 1e-8, false)?;
    /// assert_eq!(near.compute::<bool>()?.as_slice(), Some(&[true, true, false][..]));
    /// assert!(x.all_close(&x, 0.0, 0.0, true)?.compute::<bool>()?[[]]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn is_close(&self, other: &Self, relative: f64, absolute: f64, equal_nan: bool) -> Result<Self> {
        let is_finite = |array: &Self| Self::call("isfinite", [array.into()]);
        let both = is_finite(self)?.try_and(is_finite(other)?)?;
        let float =
            |array: &Self| if array.dtype().kind() == 'c' { array.clone() } else { array.astype(DType::F64) };
        let apart = float(self).try_sub(float(other))?.abs()?;
        let allowed = float(other).abs()?.try_mul(relative)?.try_add(absolute)?;
        let near = Self::call("less_equal", [apart.into(), allowed.into()])?;
        let same = Self::call("equal", [self.into(), other.into()])?;
        let close = near.try_and(both)?.try_or(same)?;
        if !equal_nan {
            return Ok(close);
        }
        close.try_or(self.is_nan()?.try_and(other.is_nan()?)?)
    }

    /// Whether all elements are close: see [`Array::is_close`].
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn all_close(&self, other: &Self, relative: f64, absolute: f64, equal_nan: bool) -> Result<Self> {
        self.is_close(other, relative, absolute, equal_nan)?.all(..)
    }

    /// The elements of `choices` whose numbers this array of integers holds.
    ///
    /// # Errors
    /// If there are none, or shapes do not broadcast. A number that has no choice takes the last.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let (a, b) = (Array::arange_i64(0, 3, 1)?, Array::arange_i64(10, 13, 1)?);
    /// let picked = Array::from_fn(&[3], |at| (at[0] % 2) as i64)?.choose(&[a, b])?;
    /// assert_eq!(picked.compute::<i64>()?.into_raw_vec_and_offset().0, [0, 11, 2]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn choose(&self, choices: &[Self]) -> Result<Self> {
        let Some((last, others)) = choices.split_last() else {
            return Err(Error::Usage {
                message: "there is nothing to choose from; give an array".to_owned(),
            });
        };
        others.iter().enumerate().rev().try_fold(last.clone(), |rest, (number, choice)| {
            let chosen = Self::call("equal", [self.into(), (number as i64).into()])?;
            Self::call("where", [chosen.into(), choice.into(), rest.into()])
        })
    }

    /// The elements of the first choice whose condition is true, or `default`.
    ///
    /// # Errors
    /// If there are not as many choices as conditions, or shapes do not broadcast.
    pub fn select(conditions: &[Self], choices: &[Self], default: impl Into<Operand>) -> Result<Self> {
        let pairs = conditions.iter().zip(choices).rev();
        let mut rest: Operand = default.into();
        for (condition, choice) in pairs {
            rest = Self::call("where", [condition.into(), choice.into(), rest])?.into();
        }
        match rest {
            Operand::Array(array) if conditions.len() == choices.len() && !conditions.is_empty() => Ok(array),
            _ => Err(Error::Usage {
                message: format!(
                    "{} choices for {} conditions; give one for each",
                    choices.len(),
                    conditions.len()
                ),
            }),
        }
    }

    /// Every product of an element of this array and one of `other`, both in C order: a row for each of these.
    ///
    /// # Errors
    /// If there are too many.
    pub fn outer(&self, other: &Self) -> Result<Self> {
        self.ravel()?.expand_dims(1)?.try_mul(other.ravel()?)
    }

    /// The differences of neighbours in C order.
    ///
    /// # Errors
    /// As [`Array::diff`].
    pub fn ediff1d(&self) -> Result<Self> {
        self.ravel()?.diff(1, 0)
    }

    /// Quotients rounded down, and what remains.
    ///
    /// # Errors
    /// If the shapes do not broadcast or the dtypes are refused.
    pub fn div_mod(&self, other: impl Into<Operand>) -> Result<(Self, Self)> {
        let other = other.into();
        Ok((Self::call("floor_divide", [self.into(), other.clone()])?, self.try_rem(other)?))
    }

    /// Fractional and whole parts, both with the sign of the elements.
    ///
    /// # Errors
    /// If the dtype is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_ndarray(&ndarray::arr1(&[-2.5, f64::INFINITY]).into_dyn())?;
    /// let (part, whole) = x.modf()?;
    /// assert_eq!(part.compute::<f64>()?.as_slice(), Some(&[-0.5, 0.0][..]));
    /// assert_eq!(whole.compute::<f64>()?.as_slice(), Some(&[-2.0, f64::INFINITY][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn modf(&self) -> Result<(Self, Self)> {
        let x = if self.dtype().kind() == 'f' { self.clone() } else { self.astype(DType::F64) };
        let whole = Self::call("trunc", [(&x).into()])?;
        let infinite = Self::call("isinf", [(&x).into()])?;
        let part = Self::call("where", [infinite.into(), 0.0.into(), x.try_sub(&whole)?.into()])?;
        Ok((Self::call("copysign", [part.into(), x.into()])?, whole))
    }

    /// The central moment of a whole `order` over `axes`: the mean of that power of the distances from the mean.
    ///
    /// # Errors
    /// As [`Array::reduce`].
    pub fn moment(&self, order: u32, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        let mean = Reduce::named("mean", 0.0);
        let mean = mean.ok_or_else(|| Error::Internal { message: "no mean".to_owned() })?;
        let apart = self.try_sub(self.reduce(mean, axes.clone(), true)?)?;
        Self::call("power", [apart.into(), i64::from(order).into()])?.mean(axes)
    }

    /// Whether elements have no imaginary part: all elements of arrays that are not complex.
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn is_real(&self) -> Result<Self> {
        Self::call("logical_not", [self.is_complex()?.into()])
    }

    /// Whether elements have an imaginary part that is not zero: no element of arrays that are not complex.
    ///
    /// # Errors
    /// None for an array that exists.
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// let x = Array::arange(0.0, 3.0, 1.0)?;
    /// assert_eq!(x.is_complex()?.compute::<bool>()?.as_slice(), Some(&[false; 3][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn is_complex(&self) -> Result<Self> {
        if self.dtype().kind() != 'c' {
            return Ok(self.full_like(false.into()));
        }
        Self::call("not_equal", [Self::call("imag", [self.into()])?.into(), 0.0.into()])
    }

    /// Whether elements are missing: NaN among floats and complex numbers, none among others.
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn is_null(&self) -> Result<Self> {
        if blockwise_kernels::promote::is_inexact(self.dtype()) {
            self.is_nan()
        } else {
            Ok(self.full_like(false.into()))
        }
    }

    /// Whether elements are there: the opposite of [`Array::is_null`].
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn not_null(&self) -> Result<Self> {
        Self::call("logical_not", [self.is_null()?.into()])
    }

    /// Powers of at least double precision, so that those of integers may be negative.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(1, 4, 1)?.float_power(-1)?;
    /// assert_eq!(x.compute::<f64>()?.as_slice(), Some(&[1.0, 0.5, 1.0 / 3.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn float_power(&self, exponent: impl Into<Operand>) -> Result<Self> {
        let exponent = match exponent.into() {
            Operand::Array(array) => Operand::Array(array.astype(promote(array.dtype(), DType::F64))),
            number @ Operand::Number(_) => number,
        };
        let base = self.astype(promote(self.dtype(), DType::F64));
        Self::call("power", [base.into(), exponent])
    }

    /// The sum of the products of the elements of two arrays in C order, those of this one conjugated.
    ///
    /// # Errors
    /// If the arrays have different numbers of elements.
    pub fn vdot(&self, other: &Self) -> Result<Self> {
        let own = self.ravel()?;
        let own = if own.dtype().kind() == 'c' { Self::call("conjugate", [own.into()])? } else { own };
        let product = own.try_mul(other.ravel()?)?;
        // NumPy keeps the dtype here, unlike in sums.
        Ok(product.sum(0)?.astype(product.dtype()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(array: &Array) -> Vec<i64> {
        array.compute::<i64>().unwrap().into_raw_vec_and_offset().0
    }

    #[test]
    fn choices_products_and_moments_are_numpys() {
        let matrix = Array::arange_i64(0, 6, 1).unwrap().reshape(&[2, 3]).unwrap();
        let row = Array::arange_i64(1, 3, 1).unwrap();
        assert_eq!(whole(&row.outer(&row).unwrap()), [1, 2, 2, 4]);
        let odd = Array::call("equal", [(&matrix % 2).into(), 1.into()]).unwrap();
        let large = Array::call("greater", [(&matrix).into(), 3.into()]).unwrap();
        let chosen = Array::select(&[odd, large], &[matrix.clone(), &matrix * 10], -1).unwrap();
        assert_eq!(whole(&chosen), [-1, 1, -1, 3, 40, 5]);
        let moment = matrix.moment(2, ..).unwrap().compute::<f64>().unwrap();
        assert!((moment[[]] - 35.0 / 12.0).abs() < 1e-15);
    }
}
