//! Sources that stand before other sources and change their elements: another dtype, CF packing undone. Sinks before sinks.
//!
//! Invariants: the grid is that of the inner source, so chunks are still read and decoded once, but where an adaptor shows positions
//! otherwise (`spread`, `resampled`); what is held of the inner source and the result are both counted in `read_scratch_bytes`; encoded
//! chunks are never handed on. Called by the facade, which puts adaptors between a stored array and a plan, and by the planner.

mod in_boxes;
mod nowhere;
mod resampled;
mod reshaped;
mod several;
mod spread;
mod unpack;

pub use in_boxes::InBoxes;
pub use nowhere::Nowhere;
pub(crate) use resampled::Resampled;
pub(crate) use reshaped::{AxisGroup, Reshaped};
pub(crate) use several::Several;
pub(crate) use spread::SpreadRows;
pub use unpack::{Unpack, Unpacking};

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::byte_count;
use crate::source::Source;
use blockwise_kernels::{DType, Scalar, cast};
use std::sync::Arc;

/// A source whose elements are converted to another dtype by NumPy's rules (`astype`).
pub struct Cast {
    inner: Arc<dyn Source>,
    dtype: DType,
}

impl Cast {
    /// `inner` with elements of `dtype`; `inner` itself if it has that dtype already.
    #[must_use]
    pub fn over(inner: Arc<dyn Source>, dtype: DType) -> Arc<dyn Source> {
        if inner.dtype() == dtype { inner } else { Arc::new(Self { inner, dtype }) }
    }
}

impl Source for Cast {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        self.inner.grid()
    }

    fn read_scratch_bytes(&self) -> u64 {
        scratch_over(&*self.inner)
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        cast_chunk(&self.inner.read(index, cx)?, self.dtype, cx)
    }

    fn stored_bytes(&self) -> Option<u64> {
        self.inner.stored_bytes()
    }

    fn banded(&self, axis: usize, bands: &AxisGrid) -> Option<Arc<dyn Source>> {
        Some(Self::over(self.inner.banded(axis, bands)?, self.dtype))
    }

    fn held_bytes(&self) -> u64 {
        self.inner.held_bytes()
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        Some(Self::over(self.inner.recut(grid)?, self.dtype))
    }
}

/// `value` as `dtype`, by NumPy's rules.
///
/// # Errors
/// Never in practice: one element fits.
pub fn cast_scalar(value: &Scalar, dtype: DType) -> Result<Scalar> {
    let mut bytes = [0; 16];
    let own = bytes.get_mut(..dtype.size()).unwrap_or(&mut []);
    cast_bytes(value.dtype(), value.bytes(), dtype, own)?;
    Scalar::from_bytes(dtype, own)
        .ok_or_else(|| Error::Internal { message: format!("{value:?} has no value as {dtype}") })
}

/// `chunk` with elements of `dtype`, in a buffer of its own.
fn cast_chunk(chunk: &Chunk, dtype: DType, cx: &TaskContext<'_>) -> Result<Chunk> {
    let mut converted = Chunk::uninit(dtype, chunk.shape(), cx.pool())?;
    cast_bytes(chunk.dtype(), chunk.bytes(), dtype, converted.bytes_mut())?;
    Ok(converted)
}

fn cast_bytes(from: DType, source: &[u8], to: DType, destination: &mut [u8]) -> Result<()> {
    cast(destination, to, source, from).map_err(|error| Error::Internal { message: error.to_string() })
}

/// What reading a chunk through an adaptor holds beyond its result: the inner chunk, and what reading that holds.
fn scratch_over(inner: &dyn Source) -> u64 {
    let chunk_bytes = byte_count(&inner.grid().largest_chunk(), inner.dtype().size()).unwrap_or(u64::MAX);
    inner.read_scratch_bytes().saturating_add(chunk_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use crate::memory::MemoryArray;
    use blockwise_kernels::{BufferPool, Element};

    fn read<T: Element>(source: &dyn Source, index: &[u64]) -> Vec<T> {
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let chunk = source.read(index, &TaskContext::new(&pool, &cancellation)).unwrap();
        chunk.elements::<T>().unwrap().to_vec()
    }

    fn array<T: Element>(elements: &[T]) -> Arc<dyn Source> {
        let grid = ChunkGrid::regular(&[elements.len() as u64], &[3]).unwrap();
        Arc::new(MemoryArray::from_elements("a", grid, elements).unwrap())
    }

    #[test]
    fn casts_follow_numpy() {
        let source = Cast::over(array(&[1.9_f32, -1.0, f32::NAN, 300.0]), DType::U8);
        assert_eq!((source.dtype(), source.read_scratch_bytes()), (DType::U8, 12));
        assert_eq!(read::<u8>(&*source, &[0]), [1, 255, 0]);
        assert_eq!(read::<u8>(&*source, &[1]), [44]);
        let recut = source.recut(&ChunkGrid::single(&[4]).unwrap()).unwrap();
        assert_eq!(read::<u8>(&*recut, &[0]), [1, 255, 0, 44]);
        assert_eq!(cast_scalar(&Scalar::from(-999.0_f64), DType::I16).unwrap(), Scalar::from(-999_i16));
    }

    #[test]
    fn packing_is_undone_in_the_results_precision() {
        let rule = Unpacking {
            stored: DType::I16,
            result: DType::F32,
            scale: Some(0.1),
            offset: Some(273.15),
            missing: vec![Scalar::from(-999_i16), Scalar::from(7_i16)],
        };
        let source = Unpack::over(array(&[5_i16, -999, 7, -3]), rule.clone()).unwrap();
        let values = read::<f32>(&*source, &[0]);
        assert_eq!(values[0], 5.0_f32 * 0.1_f32 + 273.15_f32);
        assert!(values[1].is_nan() && values[2].is_nan());
        assert_eq!(read::<f32>(&*source, &[1]), [-3.0_f32 * 0.1 + 273.15]);
        assert_eq!(rule.value_of(&Scalar::from(5_i16)).unwrap(), Scalar::from(values[0]));
        assert!(Unpack::over(array(&[1_i32]), rule).is_err());
    }

    #[test]
    fn unsigned_twins_and_plain_masks() {
        let rule = Unpacking {
            stored: DType::U8,
            result: DType::F64,
            scale: None,
            offset: None,
            missing: vec![Scalar::from(255_u8)],
        };
        let source = Unpack::over(array(&[-2_i8, -1, 3]), rule).unwrap();
        let values = read::<f64>(&*source, &[0]);
        assert_eq!((values[0], values[2]), (254.0, 3.0));
        assert!(values[1].is_nan());
    }
}
