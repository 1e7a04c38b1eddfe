//! Arrays in lists of lists, put together as NumPy's `block` does.
//!
//! Invariant: all arrays lie equally deep. Called by programs and `eval`.

use super::Array;
use crate::error::{Error, Result};

/// Arrays in lists of lists, for [`Array::block`].
#[derive(Clone, Debug)]
pub enum Nested {
    /// One.
    Array(Array),
    /// Side by side.
    List(Vec<Nested>),
}

impl From<Array> for Nested {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl Nested {
    /// Lists around each array.
    fn depth(&self) -> Result<usize> {
        let Self::List(items) = self else { return Ok(0) };
        let depths = items.iter().map(Self::depth).collect::<Result<Vec<_>>>()?;
        match depths.as_slice() {
            [first, rest @ ..] if rest.iter().all(|depth| depth == first) => Ok(first + 1),
            _ => Err(Error::Usage {
                message: "lists of arrays are empty or not of one depth; put as many around each".to_owned(),
            }),
        }
    }

    /// The most axes that an array has.
    fn rank(&self) -> usize {
        match self {
            Self::Array(array) => array.rank(),
            Self::List(items) => items.iter().map(Self::rank).max().unwrap_or(0),
        }
    }

    fn put_together(&self, depth: usize, rank: usize) -> Result<Array> {
        match self {
            Self::Array(array) => {
                (array.rank()..rank).try_fold(array.clone(), |array, _| array.expand_dims(0))
            }
            Self::List(items) => {
                let parts = items.iter().map(|item| item.put_together(depth.saturating_sub(1), rank));
                Array::concatenate(&parts.collect::<Result<Vec<_>>>()?, rank.saturating_sub(depth))
            }
        }
    }
}

impl Array {
    /// NumPy's `block`: lists of arrays put together, the innermost along the last axis, those around them along the axis
    /// before, and so on. Arrays with fewer axes than lists are deep get new ones in front.
    ///
    /// # Errors
    /// If a list is empty, lists are not of one depth, or shapes do not fit.
    ///
    /// ```
    /// use blockwise_core::array::Nested;
    /// use blockwise_core::{Array, DType};
    /// let (a, b) = (Array::zeros(&[2, 3], DType::F64)?, Array::ones(&[2, 1], DType::F64)?);
    /// let row = Nested::List(vec![a.into(), b.into()]);
    /// assert_eq!(Array::block(&Nested::List(vec![row.clone(), row]))?.shape(), [4, 4]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn block(arrays: &Nested) -> Result<Self> {
        let depth = arrays.depth()?;
        let rank = arrays.rank().max(depth);
        arrays.put_together(depth, rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(array: &Array) -> Vec<i64> {
        array.compute::<i64>().unwrap().into_raw_vec_and_offset().0
    }

    #[test]
    fn blocks_are_numpys() {
        let (x, row) = (
            Array::arange_i64(0, 6, 1).unwrap().reshape(&[2, 3]).unwrap(),
            Array::arange_i64(0, 3, 1).unwrap(),
        );
        let list =
            |arrays: &[&Array]| Nested::List(arrays.iter().map(|array| (*array).clone().into()).collect());
        // numpy.block([[x, x], [row, row]])
        let both = Nested::List(vec![list(&[&x, &x]), list(&[&row, &row])]);
        let found = Array::block(&both).unwrap();
        assert_eq!(found.shape(), [3, 6]);
        assert_eq!(whole(&found), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 0, 1, 2, 0, 1, 2]);
        assert_eq!(Array::block(&list(&[&row, &row])).unwrap().shape(), [6]);
        assert_eq!(Array::block(&x.clone().into()).unwrap().shape(), [2, 3]);
        let uneven = Nested::List(vec![x.clone().into(), list(&[&x])]);
        assert!(Array::block(&uneven).is_err() && Array::block(&Nested::List(Vec::new())).is_err());
    }
}
