//! Arrays made from nothing: ranges, grids, diagonals, functions of positions; and from what a program holds already.
//!
//! Invariant: elements follow from positions alone, so cutting such an array otherwise costs nothing. Called by
//! programs and `eval`.

use super::{Array, Axis, Chunks, Kind, scalar_as};
use crate::error::{Error, Result};
use crate::generate::Generated;
use crate::grid::ChunkGrid;
use crate::memory::MemoryArray;
use blockwise_kernels::{DType, Element, Scalar};
use ndarray::ArrayD;
use std::sync::Arc;

impl Array {
    /// The elements of an `ndarray` array, cut automatically. They are copied once, into C order.
    ///
    /// # Errors
    /// If the array has too many axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_ndarray(&ndarray::arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]).into_dyn())?;
    /// assert_eq!(x.sum(1)?.compute::<f32>()?.into_raw_vec_and_offset().0, [3.0, 7.0]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn from_ndarray<T: Element>(elements: &ArrayD<T>) -> Result<Self> {
        let shape: Vec<u64> = elements.shape().iter().map(|n| *n as u64).collect();
        let grid = automatic(&shape, T::DTYPE)?;
        let order = elements.as_standard_layout();
        let flat = order.as_slice().ok_or_else(|| Error::Internal { message: "no C order".to_owned() })?;
        Ok(Self::from_source(Arc::new(MemoryArray::from_elements("memory", grid, flat)?)))
    }

    /// The array of what `element` gives for every position.
    ///
    /// # Errors
    /// If the shape has too many axes or elements.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[3, 4], |at| at[0] * 10 + at[1])?;
    /// assert_eq!(x.compute::<u64>()?[[2, 3]], 23);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn from_fn<T: Element>(
        shape: &[u64],
        element: impl Fn(&[u64]) -> T + Send + Sync + 'static,
    ) -> Result<Self> {
        let source = Generated::new("a function of positions", automatic(shape, T::DTYPE)?, element);
        Ok(Self::from_source(Arc::new(source)))
    }

    /// An array of ones, cut automatically.
    ///
    /// # Errors
    /// As [`Array::full`].
    pub fn ones(shape: &[u64], dtype: DType) -> Result<Self> {
        let one = scalar_as(true.into(), dtype);
        Self::full(shape, one.ok_or_else(|| Error::Internal { message: format!("no one in {dtype}") })?)
    }

    /// An array of `value` with the shape, cuts and names of this one.
    #[must_use]
    pub fn full_like(&self, value: Scalar) -> Self {
        Self::of(value.dtype(), self.grid().clone(), Kind::Constant(value)).renamed(self.names().to_vec())
    }

    /// Zeros with the shape, dtype, cuts and names of this array.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        self.full_like(Scalar::zero(self.dtype()))
    }

    /// NumPy's `arange` of floats: from `start`, `step` apart, before `stop`.
    ///
    /// # Errors
    /// If `step` is 0 or a bound is not finite.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// assert_eq!(Array::arange(0.0, 1.0, 0.25)?.compute::<f64>()?.into_raw_vec_and_offset().0, [0.0, 0.25, 0.5, 0.75]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn arange(start: f64, stop: f64, step: f64) -> Result<Self> {
        let count = ((stop - start) / step).ceil();
        if step == 0.0 || !count.is_finite() {
            let message = format!("a range from {start} to {stop} by {step} has no end; give another step");
            return Err(Error::Usage { message });
        }
        // As NumPy: the distance of the first two, not the step as given.
        let delta = (start + step) - start;
        Self::from_fn(&[to_count(count)?], move |at| start + position(at, 0) * delta)
    }

    /// NumPy's `arange` of integers.
    ///
    /// # Errors
    /// If `step` is 0.
    pub fn arange_i64(start: i64, stop: i64, step: i64) -> Result<Self> {
        if step == 0 {
            let message = format!("a range from {start} to {stop} by 0 has no end; give another step");
            return Err(Error::Usage { message });
        }
        let distance = if step > 0 {
            i128::from(stop) - i128::from(start)
        } else {
            i128::from(start) - i128::from(stop)
        };
        let count = (distance.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
        let count =
            u64::try_from(count).map_err(|_| Error::TooLarge { what: "range", shape: vec![u64::MAX] })?;
        Self::from_fn(&[count], move |at| start.wrapping_add(step.wrapping_mul(axis_position(at, 0) as i64)))
    }

    /// `count` evenly spaced numbers from `start` to `stop`, with or without the last.
    ///
    /// # Errors
    /// If there are too many.
    pub fn linspace(start: f64, stop: f64, count: u64, with_end: bool) -> Result<Self> {
        let spaces = if with_end { count.saturating_sub(1) } else { count };
        let step = (stop - start) / spaces as f64;
        Self::from_fn(&[count], move |at| {
            let n = axis_position(at, 0);
            match n {
                0 => start,
                _ if with_end && n == spaces => stop,
                _ => start + n as f64 * step,
            }
        })
    }

    /// Ones on the diagonal `k` (0: the main one, positive above it) of a matrix, zeros elsewhere.
    ///
    /// # Errors
    /// If there are too many elements.
    pub fn eye(rows: u64, columns: u64, k: i64, dtype: DType) -> Result<Self> {
        let diagonal = Self::from_fn(&[rows, columns], move |at| offset(at) == i128::from(k))?;
        Ok(diagonal.astype(dtype))
    }

    /// Ones at and below the diagonal `k` of a matrix, zeros above.
    ///
    /// # Errors
    /// If there are too many elements.
    pub fn tri(rows: u64, columns: u64, k: i64, dtype: DType) -> Result<Self> {
        let below = Self::from_fn(&[rows, columns], move |at| offset(at) <= i128::from(k))?;
        Ok(below.astype(dtype))
    }

    /// The elements at and below the diagonal `k` of the last two axes, zeros above.
    ///
    /// # Errors
    /// If the array has fewer than two axes.
    pub fn tril(&self, k: i64) -> Result<Self> {
        let (rows, columns) = self.last_two()?;
        Self::call(
            "where",
            [
                Self::tri(rows, columns, k, DType::Bool)?.into(),
                self.into(),
                Scalar::zero(self.dtype()).into(),
            ],
        )
    }

    /// The elements at and above the diagonal `k` of the last two axes, zeros below.
    ///
    /// # Errors
    /// If the array has fewer than two axes.
    pub fn triu(&self, k: i64) -> Result<Self> {
        let (rows, columns) = self.last_two()?;
        let below = Self::tri(rows, columns, k.saturating_sub(1), DType::Bool)?;
        Self::call("where", [below.into(), Scalar::zero(self.dtype()).into(), self.into()])
    }

    fn last_two(&self) -> Result<(u64, u64)> {
        match self.shape().as_slice() {
            [.., rows, columns] => Ok((*rows, *columns)),
            _ => Err(Error::Rank { expected: 2, found: self.rank() }),
        }
    }

    /// The positions along `axis` of every element of an array of `shape`: one array of NumPy's `indices`.
    ///
    /// # Errors
    /// If there is no such axis or there are too many elements.
    pub fn indices(shape: &[u64], axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(&vec![None; shape.len()])?;
        Self::from_fn(shape, move |at| axis_position(at, axis) as i64)
    }

    /// NumPy's `meshgrid` with `indexing="ij"`: each one-dimensional array along an axis of its own, repeated along the
    /// others.
    ///
    /// # Errors
    /// If an array is not one-dimensional.
    pub fn meshgrid(arrays: &[Self]) -> Result<Vec<Self>> {
        let shape: Vec<u64> = arrays
            .iter()
            .map(|array| match array.shape().as_slice() {
                [length] => Ok(*length),
                other => Err(Error::Rank { expected: 1, found: other.len() }),
            })
            .collect::<Result<_>>()?;
        let along = |(n, array): (usize, &Self)| {
            let items: Vec<super::Index> = (0..arrays.len())
                .map(|axis| if axis == n { super::Index::from(..) } else { super::Index::NewAxis })
                .collect();
            array.index(&items)?.broadcast_to(&shape)
        };
        arrays.iter().enumerate().map(along).collect()
    }
}

fn automatic(shape: &[u64], dtype: DType) -> Result<ChunkGrid> {
    Chunks::Auto.normalize(&ChunkGrid::single(shape)?, &[], dtype.size(), false)
}

fn axis_position(at: &[u64], axis: usize) -> u64 {
    at.get(axis).copied().unwrap_or(0)
}

fn position(at: &[u64], axis: usize) -> f64 {
    axis_position(at, axis) as f64
}

/// Column less row.
fn offset(at: &[u64]) -> i128 {
    i128::from(axis_position(at, 1)) - i128::from(axis_position(at, 0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn to_count(count: f64) -> Result<u64> {
    if count >= u64::MAX as f64 {
        return Err(Error::TooLarge { what: "range", shape: vec![u64::MAX] });
    }
    Ok(count.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonals_may_be_as_far_as_numbers_go() {
        let x = Array::ones(&[3, 4], DType::I64).unwrap();
        let sum = |x: Array| x.sum(..).unwrap().compute::<i64>().unwrap()[[]];
        assert_eq!(sum(x.triu(i64::MIN).unwrap()), 12);
        assert_eq!(sum(x.triu(i64::MAX).unwrap()), 0);
        assert_eq!(sum(x.tril(i64::MIN).unwrap()), 0);
    }
}
