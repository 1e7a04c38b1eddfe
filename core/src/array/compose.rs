//! Shapes in a line or two under the names that users of NumPy look for: turns, stacks, diagonals, flat positions.
//!
//! Invariant: nothing here has a node of its own. Called by programs and `eval`.

use super::elementwise::common_grid;
use super::{Array, Axes, Axis, Reduce};
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
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

    /// The arrays, all cut alike along the axes that they share, as elementwise functions of them are: dask's
    /// `unify_chunks`.
    ///
    /// # Errors
    /// If they do not broadcast.
    pub fn unify_chunks(arrays: &[Self]) -> Result<Vec<Self>> {
        let (common, _) = common_grid(&arrays.iter().collect::<Vec<_>>())?;
        let unified = |array: &Self| {
            let shared = common.axes().get(common.rank() - array.rank()..).unwrap_or_default();
            let axes = array.grid().axes().iter().zip(shared);
            let cuts = axes.map(|(own, cut)| if own.extent() == cut.extent() { cut } else { own }.clone());
            array.rechunk(&ChunkGrid::from_axes(cuts.collect())?)
        };
        arrays.iter().map(unified).collect()
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
}

impl Session {
    /// The rows and columns at and below the diagonal `k` of a matrix: NumPy's `tril_indices`.
    ///
    /// # Errors
    /// As [`Session::nonzero`].
    pub fn tril_indices(&self, rows: u64, columns: u64, k: i64) -> Result<Vec<Array>> {
        self.nonzero(&Array::tri(rows, columns, k, DType::Bool)?)
    }

    /// The rows and columns at and above the diagonal `k` of a matrix: NumPy's `triu_indices`.
    ///
    /// # Errors
    /// As [`Session::nonzero`].
    pub fn triu_indices(&self, rows: u64, columns: u64, k: i64) -> Result<Vec<Array>> {
        let below = Array::tri(rows, columns, k.saturating_sub(1), DType::Bool)?;
        self.nonzero(&Array::call("logical_not", [below.into()])?)
    }

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
    fn cuts_and_triangles_are_numpys() {
        let (x, row) = (matrix(), Array::arange_i64(0, 3, 1).unwrap());
        let cut = Array::unify_chunks(&[x.rechunk([1, 2]).unwrap(), row]).unwrap();
        assert_eq!(cut[1].grid().largest_chunk(), [2]);
        let session = Session::with_budget(1 << 22);
        let lower = session.tril_indices(2, 3, 0).unwrap();
        assert_eq!((whole(&lower[0]), whole(&lower[1])), (vec![0, 1, 1], vec![0, 0, 1]));
        let upper = session.triu_indices(2, 3, 1).unwrap();
        assert_eq!((whole(&upper[0]), whole(&upper[1])), (vec![0, 0, 1], vec![1, 2, 2]));
    }

    #[test]
    fn diagonals_are_numpys() {
        let row = Array::arange_i64(1, 3, 1).unwrap();
        assert_eq!(whole(&row.diag(-1).unwrap()), [0, 0, 0, 1, 0, 0, 0, 2, 0]);
        assert_eq!(whole(&matrix().diagonal(2).unwrap()), [2]);
        assert_eq!(matrix().diagonal(5).unwrap().shape(), [0]);
    }
}
