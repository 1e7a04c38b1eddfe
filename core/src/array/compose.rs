//! What is made of other operations in a line or two, under the names that users of NumPy look for.
//!
//! Invariant: nothing here has a node of its own. Called by programs and `eval`.

use super::elementwise::common_grid;
use super::{Array, Axes, Axis, Operand, Reduce};
use crate::error::{Error, Result};
use crate::session::Session;
use blockwise_kernels::{DType, Scalar};

impl Array {
    /// The array with two axes exchanged.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn swap_axes(&self, a: impl Into<Axis>, b: impl Into<Axis>) -> Result<Self> {
        let (a, b) = (a.into().resolve(self.names())?, b.into().resolve(self.names())?);
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(a, b);
        self.transpose(order)
    }

    /// The array turned by 90 degrees `times` times, from the first of two axes towards the second.
    ///
    /// # Errors
    /// If there is no such axis, or both are the same.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(1, 5, 1)?.reshape(&[2, 2])?;
    /// assert_eq!(x.rot90(1, 0, 1)?.compute::<i64>()?.into_raw_vec_and_offset().0, [2, 4, 1, 3]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn rot90(&self, times: i64, from: impl Into<Axis>, towards: impl Into<Axis>) -> Result<Self> {
        let axes: Axes = vec![from.into(), towards.into()].into();
        let [from, towards] = axes.resolve(self.names())?[..] else {
            return Err(Error::Internal { message: "two axes are not two".to_owned() });
        };
        match times.rem_euclid(4) {
            0 => Ok(self.clone()),
            1 => self.flip(towards)?.swap_axes(from, towards),
            2 => self.flip([from, towards]),
            _ => self.swap_axes(from, towards)?.flip(towards),
        }
    }

    /// The matrix, or stack of them, with its columns in reverse: along axis 1.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn fliplr(&self) -> Result<Self> {
        self.flip(1)
    }

    /// The array backwards along axis 0.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn flipud(&self) -> Result<Self> {
        self.flip(0)
    }

    /// The array with one axis at least.
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn at_least_1d(&self) -> Result<Self> {
        if self.rank() == 0 { self.expand_dims(0) } else { Ok(self.clone()) }
    }

    /// The array with two axes at least, new ones in front.
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn at_least_2d(&self) -> Result<Self> {
        let array = self.at_least_1d()?;
        if array.rank() == 1 { array.expand_dims(0) } else { Ok(array) }
    }

    /// The array with three axes at least: a vector along the middle one, a matrix along the first two.
    ///
    /// # Errors
    /// None for an array that exists.
    pub fn at_least_3d(&self) -> Result<Self> {
        let array = self.at_least_2d()?;
        if array.rank() == 2 { array.expand_dims(2) } else { Ok(array) }
    }

    /// Arrays one below another: along axis 0, of two axes at least.
    ///
    /// # Errors
    /// As [`Array::concatenate`].
    pub fn vstack(arrays: &[Self]) -> Result<Self> {
        let arrays = arrays.iter().map(Self::at_least_2d).collect::<Result<Vec<_>>>()?;
        Self::concatenate(&arrays, 0)
    }

    /// Arrays side by side: along axis 1, or axis 0 for vectors.
    ///
    /// # Errors
    /// As [`Array::concatenate`].
    pub fn hstack(arrays: &[Self]) -> Result<Self> {
        let arrays = arrays.iter().map(Self::at_least_1d).collect::<Result<Vec<_>>>()?;
        let axis = usize::from(arrays.first().is_some_and(|array| array.rank() > 1));
        Self::concatenate(&arrays, axis)
    }

    /// Arrays one behind another: along axis 2, of three axes at least.
    ///
    /// # Errors
    /// As [`Array::concatenate`].
    pub fn dstack(arrays: &[Self]) -> Result<Self> {
        let arrays = arrays.iter().map(Self::at_least_3d).collect::<Result<Vec<_>>>()?;
        Self::concatenate(&arrays, 2)
    }

    /// The array with `values` at its end along an axis. Dtypes are promoted.
    ///
    /// # Errors
    /// As [`Array::concatenate`].
    pub fn append(&self, values: &Self, axis: impl Into<Axis>) -> Result<Self> {
        Self::concatenate(&[self.clone(), values.clone()], axis)
    }

    /// The arrays, all of the shape that they broadcast to.
    ///
    /// # Errors
    /// If they do not.
    pub fn broadcast_arrays(arrays: &[Self]) -> Result<Vec<Self>> {
        let shape = common_grid(&arrays.iter().collect::<Vec<_>>())?.0.shape();
        arrays.iter().map(|array| array.broadcast_to(&shape)).collect()
    }

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

    /// The reduction `what` of every `factor` elements along an axis; those left over at the end are left out.
    ///
    /// # Errors
    /// If there is no such axis, the factor is 0, or as [`Array::reduce`].
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Reduce;
    /// let x = Array::arange_i64(0, 7, 1)?;
    /// let sums = x.coarsen(Reduce::named("sum", 0.0).unwrap(), 0, 3)?;
    /// assert_eq!(sums.compute::<i64>()?.as_slice(), Some(&[3, 12][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn coarsen(&self, what: Reduce, axis: impl Into<Axis>, factor: u64) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let mut shape: Vec<i64> = self.shape().iter().map(|extent| *extent as i64).collect();
        let groups = shape[axis]
            .checked_div(factor as i64)
            .ok_or_else(|| Error::Usage { message: "groups of 0 elements; give 1 or more".to_owned() })?;
        let whole = self.slice(axis, ..groups * factor as i64)?;
        shape[axis] = groups;
        shape.insert(axis + 1, factor as i64);
        Ok(whole.reshape(&shape)?.reduce(what, axis + 1, false)?.renamed(self.names().to_vec()))
    }

    /// The sums of the diagonals `k` of the last two axes.
    ///
    /// # Errors
    /// If the array has fewer than two axes.
    pub fn trace(&self, k: i64) -> Result<Self> {
        self.diagonal(k)?.sum(-1)
    }

    /// The diagonals `k` of the last two axes, along a new last one; a zero comes without its sign.
    ///
    /// # Errors
    /// If the array has fewer than two axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 6, 1)?.reshape(&[2, 3])?;
    /// assert_eq!(x.diagonal(1)?.compute::<i64>()?.as_slice(), Some(&[1, 5][..]));
    /// assert_eq!(x.diagonal(-1)?.compute::<i64>()?.as_slice(), Some(&[3][..]));
    /// assert_eq!(x.trace(0)?.compute::<i64>()?[[]], 4);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn diagonal(&self, k: i64) -> Result<Self> {
        let shape = self.shape();
        let [.., rows, columns] = shape[..] else {
            return Err(Error::Rank { expected: 2, found: self.rank() });
        };
        let mask = Self::eye(rows, columns, k, DType::Bool)?;
        let chosen = Self::call("where", [mask.into(), self.into(), Scalar::zero(self.dtype()).into()])?;
        let first = k.max(0);
        let last = (rows as i64).saturating_add(k).min(columns as i64).max(first);
        chosen.sum(-2)?.astype(self.dtype()).slice(-1, first..last)
    }

    /// A square matrix with the elements of this vector on its diagonal `k`, zeros elsewhere.
    ///
    /// # Errors
    /// If the array has not one axis.
    pub fn diag(&self, k: i64) -> Result<Self> {
        let [length] = self.shape()[..] else {
            return Err(Error::Rank { expected: 1, found: self.rank() });
        };
        let side = length + k.unsigned_abs();
        let zero = Scalar::zero(self.dtype());
        let along = self.pad(0, k.max(0) as u64, (-k).max(0) as u64, super::PadMode::Constant(zero))?;
        let mask = Self::eye(side, side, k, DType::Bool)?;
        Self::call("where", [mask.into(), along.into(), zero.into()])
    }

    /// For every axis of an array of `shape`, the positions along it of what this array of positions in C order names.
    ///
    /// # Errors
    /// If the dtype is not of whole numbers.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let at = Array::arange_i64(0, 6, 1)?.unravel_index(&[2, 3])?;
    /// assert_eq!(at[1].compute::<i64>()?.as_slice(), Some(&[0, 1, 2, 0, 1, 2][..]));
    /// assert_eq!(Array::ravel_multi_index(&at, &[2, 3])?.compute::<i64>()?[[5]], 5);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn unravel_index(&self, shape: &[u64]) -> Result<Vec<Self>> {
        let mut rest = self.clone();
        let mut places = Vec::with_capacity(shape.len());
        for extent in shape.iter().rev() {
            let (above, own) = rest.div_mod(*extent as i64)?;
            places.push(own);
            rest = above;
        }
        places.reverse();
        Ok(places)
    }

    /// The positions in C order, in an array of `shape`, of what the positions along every axis name.
    ///
    /// # Errors
    /// If there are not as many as axes, or they do not broadcast.
    pub fn ravel_multi_index(places: &[Self], shape: &[u64]) -> Result<Self> {
        let Some(first) = places.first().filter(|_| places.len() == shape.len()) else {
            return Err(Error::Rank { expected: shape.len(), found: places.len() });
        };
        places
            .iter()
            .zip(shape)
            .skip(1)
            .try_fold(first.clone(), |flat, (places, extent)| flat.try_mul(*extent as i64)?.try_add(places))
    }

    /// The sum of the products of the elements of two arrays in C order, those of this one conjugated.
    ///
    /// # Errors
    /// If the arrays have different numbers of elements.
    pub fn vdot(&self, other: &Self) -> Result<Self> {
        Self::call("conjugate", [(&self.ravel()?).into()])?.try_mul(other.ravel()?)?.sum(0)
    }
}

impl Session {
    /// The positions of the elements that are not zero: a row for each.
    ///
    /// # Errors
    /// As [`Session::nonzero`].
    pub fn arg_where(&self, array: &Array) -> Result<Array> {
        Array::stack(&self.nonzero(array)?, 1)
    }

    /// The distinct elements of two arrays together, ascending, of which there may be `most`.
    ///
    /// # Errors
    /// As [`Session::unique`].
    pub fn union1d<T: blockwise_kernels::Element>(&self, a: &Array, b: &Array, most: u64) -> Result<Vec<T>> {
        let both = Array::concatenate(&[a.ravel()?, b.ravel()?], 0)?;
        Ok(self.unique::<T>(&both, most)?.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(array: &Array) -> Vec<i64> {
        array.compute::<i64>().unwrap().into_raw_vec_and_offset().0
    }

    fn matrix() -> Array {
        Array::arange_i64(0, 6, 1).unwrap().reshape(&[2, 3]).unwrap()
    }

    #[test]
    fn turns_are_numpys() {
        // What numpy.rot90(numpy.arange(6).reshape(2, 3), times) gives.
        let turned: [(i64, &[u64], [i64; 6]); 4] = [
            (1, &[3, 2], [2, 5, 1, 4, 0, 3]),
            (2, &[2, 3], [5, 4, 3, 2, 1, 0]),
            (-1, &[3, 2], [3, 0, 4, 1, 5, 2]),
            (4, &[2, 3], [0, 1, 2, 3, 4, 5]),
        ];
        for (times, shape, elements) in turned {
            let found = matrix().rot90(times, 0, 1).unwrap();
            assert_eq!((found.shape(), whole(&found)), (shape.to_vec(), elements.to_vec()));
        }
        assert_eq!(whole(&matrix().fliplr().unwrap()), [2, 1, 0, 5, 4, 3]);
        assert!(matrix().rot90(1, 0, 0).is_err());
    }

    #[test]
    fn stacks_are_numpys() {
        let (x, row) = (matrix(), Array::arange_i64(0, 3, 1).unwrap());
        let both = [x.clone(), x.clone()];
        assert_eq!(Array::vstack(&[x.clone(), row.clone()]).unwrap().shape(), [3, 3]);
        assert_eq!(Array::hstack(&both).unwrap().shape(), [2, 6]);
        assert_eq!(Array::hstack(&[row.clone(), row.clone()]).unwrap().shape(), [6]);
        assert_eq!(whole(&Array::dstack(&both).unwrap())[..4], [0, 0, 1, 1]);
        assert_eq!(row.at_least_3d().unwrap().shape(), [1, 3, 1]);
    }

    #[test]
    fn diagonals_and_choices_are_numpys() {
        let row = Array::arange_i64(1, 3, 1).unwrap();
        assert_eq!(whole(&row.diag(-1).unwrap()), [0, 0, 0, 1, 0, 0, 0, 2, 0]);
        assert_eq!(whole(&matrix().diagonal(2).unwrap()), [2]);
        assert_eq!(matrix().diagonal(5).unwrap().shape(), [0]);
        assert_eq!(whole(&row.outer(&row).unwrap()), [1, 2, 2, 4]);
        let odd = Array::call("equal", [(&matrix() % 2).into(), 1.into()]).unwrap();
        let large = Array::call("greater", [matrix().into(), 3.into()]).unwrap();
        let chosen = Array::select(&[odd, large], &[matrix(), &matrix() * 10], -1).unwrap();
        assert_eq!(whole(&chosen), [-1, 1, -1, 3, 40, 5]);
        let moment = matrix().moment(2, ..).unwrap().compute::<f64>().unwrap();
        assert!((moment[[]] - 35.0 / 12.0).abs() < 1e-15);
    }
}
