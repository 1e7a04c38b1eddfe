//! Scalars that differ from file to file, as series along the dimension that the files are joined along: a forecast's time of
//! reference, as xarray has it.
//!
//! Invariant: each position of a file has that file's value, and all are held, so there are few. Called by [`super::array`].

use super::files::Files;
use super::source::{PartOf, opened};
use super::summary::{MOST_ELEMENTS, whole};
use crate::error::Result;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Cancellation, Chunk, ChunkGrid, Sink, Source, TaskContext};
use blockwise_io::NodePath;
use blockwise_kernels::{BufferPool, DType};
use std::sync::Arc;

/// The element that each of `parts` has at `path`, as elements of `dtype`, one behind the other.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn elements(files: &Files, parts: &[PartOf], path: &NodePath, dtype: DType) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(whole(&*opened(files, part, path, dtype)?)?.unwrap_or_default());
    }
    Ok(all)
}

/// Elements of `dtype`, each as many times as `lengths` says; or why there is no such series.
///
/// # Errors
/// If memory does not do.
pub(super) fn spread(
    label: String,
    dtype: DType,
    elements: &[u8],
    lengths: &[u64],
) -> Result<Result<Arc<dyn Source>, String>> {
    let extent = lengths.iter().fold(0_u64, |sum, length| sum.saturating_add(*length));
    if extent > MOST_ELEMENTS {
        return Ok(Err(
            "it differs from file to file, and positions are too many to say it of each".to_owned()
        ));
    }
    let grid = ChunkGrid::single(&[extent])?;
    let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
    let mut chunk = Chunk::uninit(dtype, &[extent], &pool)?;
    let mut to = chunk.bytes_mut().chunks_exact_mut(dtype.size());
    for (element, length) in elements.chunks_exact(dtype.size()).zip(lengths) {
        let length = usize::try_from(*length).unwrap_or(usize::MAX); // counted above
        to.by_ref().take(length).for_each(|to| to.copy_from_slice(element));
    }
    let series = MemoryArray::zeros(label, dtype, grid)?;
    if extent > 0 {
        series.write(&[0], &chunk, &TaskContext::new(&pool, &cancellation))?;
    }
    Ok(Ok(Arc::new(series)))
}
