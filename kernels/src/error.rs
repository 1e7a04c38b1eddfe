//! What the kernels that work along axes refuse: one type for scans, sorts, transforms, random numbers, gathers and
//! histograms.
//!
//! Invariant: everything but the values of indices is checked before the first byte is written. Returned by
//! [`crate::scan`], [`crate::order`], [`crate::random`], [`crate::gather`] and [`crate::histogram`].

use crate::DType;

/// Why a kernel was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// An axis is not one of the shape's.
    #[error("axis {axis} is no axis of rank {rank}")]
    Axis {
        /// The axis.
        axis: usize,
        /// The rank.
        rank: usize,
    },
    /// A slice does not hold what it should.
    #[error("{what} of {given_bytes} bytes should have {expected_bytes}, aligned to its elements")]
    Length {
        /// What is of the wrong length or misaligned.
        what: &'static str,
        /// Bytes given.
        given_bytes: usize,
        /// Bytes wanted.
        expected_bytes: usize,
    },
    /// The operation has no meaning for the dtype.
    #[error("{operation} is not defined for {dtype}; convert with astype first")]
    Refused {
        /// The operation.
        operation: &'static str,
        /// The dtype.
        dtype: DType,
    },
    /// An index lies outside of its axis.
    #[error("index {index} lies outside of an axis of {len}")]
    Index {
        /// The index.
        index: i64,
        /// The axis' length.
        len: usize,
    },
    /// A number that decides what is computed makes no sense.
    #[error("{what} is {value}, but must be {wanted}")]
    Parameter {
        /// What it is.
        what: &'static str,
        /// The value given.
        value: f64,
        /// What would do.
        wanted: &'static str,
    },
    /// A name means nothing.
    #[error("there is no {what} '{name}'; use one of {known}")]
    Name {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: &'static str,
    },
    /// A box does not lie in its array.
    #[error("the box of {shape:?} at {origin:?} does not lie in an array of {full:?}")]
    Region {
        /// The box's shape.
        shape: Vec<usize>,
        /// Its first index.
        origin: Vec<usize>,
        /// The array's shape.
        full: Vec<usize>,
    },
    /// A size does not fit the machine's integers.
    #[error("a shape of {shape:?} overflows the address space; use smaller chunks")]
    Overflow {
        /// The shape.
        shape: Vec<usize>,
    },
}

/// `bytes` as elements of `T`; an error that says what they are if they do not hold `count` of them.
pub(crate) fn typed<'a, T: bytemuck::Pod>(
    what: &'static str,
    bytes: &'a [u8],
    count: usize,
) -> Result<&'a [T], KernelError> {
    let (given_bytes, expected_bytes) = (bytes.len(), count.saturating_mul(size_of::<T>()));
    match bytemuck::try_cast_slice(bytes) {
        Ok(items) if given_bytes == expected_bytes => Ok(items),
        _ if given_bytes == 0 && expected_bytes == 0 => Ok(&[]),
        _ => Err(KernelError::Length { what, given_bytes, expected_bytes }),
    }
}

/// Fails unless `bytes` has the length of `count` items of `item_bytes`.
pub(crate) fn check_len(
    what: &'static str,
    given_bytes: usize,
    count: usize,
    item_bytes: usize,
) -> Result<(), KernelError> {
    let expected_bytes = count.saturating_mul(item_bytes);
    if given_bytes == expected_bytes {
        Ok(())
    } else {
        Err(KernelError::Length { what, given_bytes, expected_bytes })
    }
}

/// As [`typed`], to be written.
pub(crate) fn typed_mut<'a, T: bytemuck::Pod>(
    what: &'static str,
    bytes: &'a mut [u8],
    count: usize,
) -> Result<&'a mut [T], KernelError> {
    let (given_bytes, expected_bytes) = (bytes.len(), count.saturating_mul(size_of::<T>()));
    match bytemuck::try_cast_slice_mut(bytes) {
        Ok(items) if given_bytes == expected_bytes => Ok(items),
        _ if given_bytes == 0 && expected_bytes == 0 => Ok(&mut []),
        _ => Err(KernelError::Length { what, given_bytes, expected_bytes }),
    }
}
