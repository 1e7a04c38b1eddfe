//! [`Source`]: where chunks come from. The contract that every format implements.
//!
//! Called by the planner (grid, costs) and by the executor (reads, from many threads at once).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::plan::c_order;
use crate::region::Region;
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;

/// The elements of a box of a source, which are read chunk by chunk; beside them one chunk is held, and what reading it takes.
///
/// # Errors
/// As [`Source::read`], and if the box is not in the array.
pub fn read_region(source: &dyn Source, region: &Region, cx: &TaskContext<'_>) -> Result<Chunk> {
    let is_there = Region::whole(&source.grid().shape())?.intersection(region).as_ref() == Some(region);
    if !is_there && !region.is_empty() {
        let message = format!("{region} does not lie in {}, of {:?}", source.label(), source.grid().shape());
        return Err(Error::Usage { message });
    }
    let mut whole = Chunk::uninit(source.dtype(), region.shape(), cx.pool())?;
    for index in c_order(source.grid().chunks_in(region)) {
        cx.check_cancelled()?;
        whole.copy_common(region, &source.read(&index, cx)?, &source.grid().region(&index)?)?;
    }
    Ok(whole)
}

/// An array that is read chunk by chunk.
///
/// # Contract
/// * The answers to `dtype`, `grid`, `label`, `read_scratch_bytes` and `encoding` never change.
/// * `read` is called from many threads at once, for any chunk, in any order, any number of times, and gives the
///   same elements each time. It takes its result from `cx.pool()`, holds no more than that result plus
///   [`read_scratch_bytes`](Source::read_scratch_bytes) while it runs, and starts no threads. Between reads it holds
///   no more than [`held_bytes`](Source::held_bytes).
/// * Corrupt input is an error that names file and cause; never a fill value, never a panic. Only a chunk that the
///   format defines as absent (no file, no address) reads as fill values, subject to the policy the source was
///   opened with.
/// * A long read polls `cx.check_cancelled()` between its parts.
pub trait Source: Send + Sync {
    /// What people call the array: its path and node, such as `era5.nc::t2m`.
    fn label(&self) -> &str;

    /// Type of the elements.
    fn dtype(&self) -> DType;

    /// How the array is cut for reading: the smallest boxes that can be read without decoding one twice. For a
    /// sharded Zarr array these are the inner chunks.
    fn grid(&self) -> &ChunkGrid;

    /// Upper bound on the bytes that reading any chunk holds beyond the decoded, clipped chunk itself: encoded
    /// bytes, codec scratch, the full chunk where the edge is clipped.
    fn read_scratch_bytes(&self) -> u64;

    /// Chunk `index`: the elements of `self.grid().region(index)` (clipped at the edge) in C order and machine
    /// byte order.
    ///
    /// # Errors
    /// If the chunk cannot be read or is not what the format says it must be.
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk>;

    /// Bytes that the whole array takes in storage, where that is known without reading it.
    fn stored_bytes(&self) -> Option<u64> {
        None
    }

    /// Whether reading costs little more than a copy in memory, so that chunks are not worth keeping.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Whether the elements lie in local files as they are, so that reading again what the system's page cache still has
    /// costs a copy. Chunks are then kept for later stages only where that cache could not hold the array.
    fn is_plain(&self) -> bool {
        false
    }

    /// This array cut along `grid` instead, if reading any box costs no more than reading its bytes (contiguous
    /// and uncompressed layouts). `None`: only `self.grid()` is cheap.
    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        let _ = grid;
        None
    }

    /// This array with its chunks cut further along `axis`, where `bands` are cut, if a chunk need not be decoded whole
    /// for a part of it (codecs that work in small blocks). Whoever reads the bands of a chunk one after the other, in
    /// ascending order, has every block decoded about once; in any other order, or again, they read as well but cost
    /// more. `None`: a chunk is decoded whole or not at all.
    fn banded(&self, axis: usize, bands: &AxisGrid) -> Option<Arc<dyn Source>> {
        let _ = (axis, bands);
        None
    }

    /// Upper bound on the bytes that it holds between reads, from the first to its last.
    fn held_bytes(&self) -> u64 {
        0
    }

    /// A text that says how a stored chunk is encoded, down to dtype, byte order, codecs with parameters and the
    /// handling of edges: equal texts mean that the encoded bytes of one may stand for the other's. `None`: stored
    /// chunks cannot be handed out encoded.
    fn encoding(&self) -> Option<&str> {
        None
    }

    /// The stored bytes of chunk `index` if [`encoding`](Source::encoding) is `Some`; `Ok(None)` if the chunk is
    /// absent in storage.
    ///
    /// # Errors
    /// As [`read`](Source::read).
    fn read_encoded(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Option<Buffer>> {
        let _ = (index, cx);
        Ok(None)
    }
}
