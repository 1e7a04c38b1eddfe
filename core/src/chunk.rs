//! A decoded chunk: dtype, shape and C-order elements in a pooled buffer.
//!
//! Invariant: the buffer's length is exactly the shape's elements times the dtype's size, in the machine's byte
//! order. Called by sources (who make chunks), sinks (who take them) and the executor (who holds them).

use crate::error::{Error, Result};
use crate::region::{Region, byte_count, small};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{Buffer, BufferPool, DType, Element};
use ndarray::{ArrayViewMutD, IxDyn};

/// A decoded chunk in memory.
#[derive(Debug)]
pub struct Chunk {
    dtype: DType,
    shape: Vec<u64>,
    buffer: Buffer,
}

impl Chunk {
    /// A chunk of `shape` whose C-order elements are `buffer`.
    ///
    /// # Errors
    /// If the buffer's length is not what dtype and shape need.
    pub fn new(dtype: DType, shape: Vec<u64>, buffer: Buffer) -> Result<Self> {
        let expected_bytes = checked_bytes(dtype, &shape)?;
        let found_bytes = buffer.len() as u64;
        if expected_bytes != found_bytes {
            return Err(Error::ChunkBytes { shape, dtype, expected_bytes, found_bytes });
        }
        Ok(Self { dtype, shape, buffer })
    }

    /// A chunk with unspecified elements, to be overwritten whole.
    ///
    /// # Errors
    /// If the size overflows.
    pub fn uninit(dtype: DType, shape: &[u64], pool: &BufferPool) -> Result<Self> {
        let len_bytes = usize::try_from(checked_bytes(dtype, shape)?)
            .map_err(|_| Error::TooLarge { what: "chunk", shape: shape.to_vec() })?;
        Ok(Self { dtype, shape: shape.to_vec(), buffer: pool.take(len_bytes) })
    }

    /// Copies what the boxes `own`, which this chunk holds, and `other`, which `from` holds, have in common.
    ///
    /// # Errors
    /// If a box is not its chunk's shape.
    ///
    /// ```
    /// use blockwise_core::{Chunk, DType, Region};
    /// use blockwise_kernels::BufferPool;
    /// let pool = BufferPool::new(1 << 20);
    /// let (mut own, mut from) = (Chunk::uninit(DType::U8, &[3], &pool)?, Chunk::uninit(DType::U8, &[2], &pool)?);
    /// own.bytes_mut().fill(0);
    /// from.bytes_mut().fill(7);
    /// own.copy_common(&Region::new(vec![10], vec![3])?, &from, &Region::new(vec![12], vec![2])?)?;
    /// assert_eq!(own.bytes(), [0, 0, 7]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn copy_common(&mut self, own: &Region, from: &Self, other: &Region) -> Result<()> {
        let Some(common) = own.intersection(other) else { return Ok(()) };
        let offset = |of: &Region| -> Result<Vec<usize>> {
            small(
                &common.origin().iter().zip(of.origin()).map(|(at, origin)| at - origin).collect::<Vec<_>>(),
            )
        };
        let (to, start, item_bytes) = (offset(own)?, offset(other)?, self.dtype.size());
        let (whole, held, shape) = (small(own.shape())?, small(other.shape())?, small(common.shape())?);
        copy_region(&mut self.buffer, &whole, &to, from.bytes(), &held, &start, &shape, item_bytes)
            .map_err(|fault| Error::Internal { message: format!("what {own} and {other} share: {fault}") })
    }

    /// The element type.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Elements per axis.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements' bytes, C order, machine byte order.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The elements' bytes, to write.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The elements, if `T` is their type (and, for bool, every byte is 0 or 1).
    #[must_use]
    pub fn elements<T: Element>(&self) -> Option<&[T]> {
        if T::DTYPE == self.dtype { T::cast_slice(&self.buffer) } else { None }
    }

    /// The elements, to write, if `T` is their type.
    #[must_use]
    pub fn elements_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        if T::DTYPE != self.dtype {
            return None;
        }
        if self.dtype == DType::Bool {
            // Old bytes of a recycled buffer are no truth values.
            self.buffer.fill(0);
        }
        bytemuck::checked::try_cast_slice_mut(&mut self.buffer).ok()
    }

    /// The elements as an array to write.
    ///
    /// # Errors
    /// [`Error::Usage`] if `T` is not their type.
    pub fn view_mut<T: Element>(&mut self) -> Result<ArrayViewMutD<'_, T>> {
        let (dtype, shape) = (self.dtype, small(&self.shape)?);
        let elements = self
            .elements_mut::<T>()
            .ok_or_else(|| Error::Usage { message: format!("the block holds {dtype}, not {}", T::DTYPE) })?;
        ArrayViewMutD::from_shape(IxDyn(&shape), elements)
            .map_err(|fault| Error::Internal { message: fault.to_string() })
    }

    /// The buffer alone.
    #[must_use]
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

fn checked_bytes(dtype: DType, shape: &[u64]) -> Result<u64> {
    byte_count(shape, dtype.size()).ok_or_else(|| Error::TooLarge { what: "chunk", shape: shape.to_vec() })
}
