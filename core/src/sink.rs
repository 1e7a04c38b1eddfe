//! [`Sink`]: where chunks go. The contract that every format implements.
//!
//! Called by the planner (grids, costs, what is done already) and by the executor (writes, from many threads).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use blockwise_kernels::DType;

/// Who has what is written, when several processes run the same program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else: the driver's is the one that counts, and workers need none.
    #[default]
    Apart,
    /// Every process its own, which it goes on with: results in memory.
    Held,
    /// All processes write into one, chunk by chunk.
    Shared,
}

/// An array that is written chunk by chunk.
///
/// # Contract
/// * The answers to `dtype`, `grid`, `commit_grid`, `label`, `write_scratch_bytes` and `encoding` never change.
/// * `grid` cuts the array into the boxes that `write` takes; `commit_grid` into the objects that storage commits
///   as one (a shard). Each commit box is made of whole write boxes. The caller writes all boxes of one commit box
///   from one process, with few commit boxes open at a time, each box exactly once.
/// * `write` is called from many threads at once. It holds no more than
///   [`write_scratch_bytes`](Sink::write_scratch_bytes) beyond the chunk it was given and starts no threads.
/// * When the last box of a commit box has been written, the object appears under its name whole, by rename, or
///   not at all. Writing it again with the same elements is harmless.
/// * `finish` is called once, after all writes have returned, if none failed; metadata that makes the array
///   visible is written there.
pub trait Sink: Send + Sync {
    /// What people call the array: its path and node.
    fn label(&self) -> &str;

    /// Type of the elements that `write` takes.
    fn dtype(&self) -> DType;

    /// The boxes that `write` takes.
    fn grid(&self) -> &ChunkGrid;

    /// The boxes that storage commits as one; the same as [`grid`](Sink::grid) unless sharded.
    fn commit_grid(&self) -> &ChunkGrid {
        self.grid()
    }

    /// Upper bound on the bytes that writing any chunk holds beyond the chunk itself: padding to the full chunk,
    /// byte-swapped or shuffled copies, encoded bytes.
    fn write_scratch_bytes(&self) -> u64;

    /// Stores `chunk`, the elements of `self.grid().region(index)` in C order, and says how many bytes that took.
    ///
    /// # Errors
    /// If it cannot be encoded or stored.
    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64>;

    /// Whether writes may wait for a device, within [`TaskContext::waiting`]: then a run has threads to spare for that.
    fn waits(&self) -> bool {
        false
    }

    /// Whether commit box `index` was stored by an earlier run that is being resumed, so that it may be skipped.
    fn is_committed(&self, index: &[u64]) -> bool {
        let _ = index;
        false
    }

    /// As [`Source::encoding`](crate::source::Source::encoding): where the texts and the grids of a source and a
    /// sink are equal, encoded chunks pass from one to the other.
    fn encoding(&self) -> Option<&str> {
        None
    }

    /// Stores a chunk that is encoded already as [`encoding`](Sink::encoding) says; `None` is an absent chunk.
    /// Only called if `encoding` is `Some`.
    ///
    /// # Errors
    /// As [`write`](Sink::write).
    fn write_encoded(&self, index: &[u64], encoded: Option<&[u8]>, cx: &TaskContext<'_>) -> Result<u64> {
        let _ = (index, encoded, cx);
        Err(crate::Error::Internal { message: format!("{} takes no encoded chunks", self.label()) })
    }

    /// Who has what is written, when several processes run the same program.
    fn sharing(&self) -> Sharing {
        Sharing::Apart
    }

    /// Brings what was written so far to the disk: called before a process says to another that some chunks are done, if
    /// several write [into one](Sharing::Shared).
    ///
    /// # Errors
    /// If that fails: then nothing is known of those chunks.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Completes the array after the last write.
    ///
    /// # Errors
    /// If it cannot be made durable.
    fn finish(&self) -> Result<()>;
}
