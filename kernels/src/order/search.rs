//! Places in a sorted list: NumPy's `searchsorted`.
//!
//! Called by core for `searchsorted`, `digitize`, `isin` and the inverse of `unique`.

use super::key::{Ranked, for_ranked};
use crate::error::typed;
use crate::{DType, KernelError};

/// Which place a value takes among its equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before them.
    Left,
    /// Behind them.
    Right,
}

/// Writes, as `int64`, how many elements of `sorted` come before each of `values`, both of `dtype` and aligned; what
/// equals a value comes before it with [`Side::Right`]. NaN is behind everything.
///
/// # Errors
/// [`KernelError::Length`].
pub fn search_sorted(
    sorted: &[u8],
    values: &[u8],
    dtype: DType,
    side: Side,
    out: &mut [u8],
) -> Result<(), KernelError> {
    fn run<T: Ranked>(sorted: &[u8], values: &[u8], side: Side, out: &mut [u8]) -> Result<(), KernelError> {
        let sorted: &[T] = typed("the sorted elements", sorted, sorted.len() / size_of::<T>())?;
        let values: &[T] = typed("the values to place", values, values.len() / size_of::<T>())?;
        crate::error::check_len("the places", out.len(), values.len(), 8)?;
        let keys: Vec<T::Key> = sorted.iter().map(|item| item.tied()).collect();
        let (places, _) = out.as_chunks_mut::<8>();
        for (place, value) in places.iter_mut().zip(values) {
            let value = value.tied();
            let count = match side {
                Side::Left => keys.partition_point(|key| *key < value),
                Side::Right => keys.partition_point(|key| *key <= value),
            };
            *place = (count as i64).to_ne_bytes();
        }
        Ok(())
    }
    for_ranked!(dtype, run(sorted, values, side, out))
}
