//! [`Kept`]: input chunks that a later stage needs as well, kept while nothing else needs the room.
//!
//! So `x - mean(x)` reads once what the budget holds, and only the rest again. The first kept are needed first, since
//! stages visit their tasks in like orders: so the last are dropped first. Invariant: kept bytes are reserved in the
//! budget of the stage that runs. Called by the queue of [`super::queue`].

use crate::budget::MemoryBudget;
use crate::chunk::Chunk;
use crate::region::byte_count;
use crate::source::Source;
use std::collections::HashMap;
use std::sync::Arc;

/// What tells one source from another in a run.
fn address(source: &Arc<dyn Source>) -> usize {
    Arc::as_ptr(source).cast::<()>().addr()
}

/// Bytes of the elements of the whole array.
fn logical_bytes(source: &dyn Source) -> u64 {
    byte_count(&source.grid().shape(), source.dtype().size()).unwrap_or(u64::MAX)
}

/// Input chunks that a later stage needs as well.
#[derive(Default)]
pub(super) struct Kept {
    /// By source and position in C order.
    chunks: HashMap<(usize, u64), Arc<Chunk>>,
    /// In the order in which they were kept; those taken since are still named.
    order: Vec<(usize, u64)>,
    /// The sources that later stages read.
    wanted: Vec<usize>,
}

impl Kept {
    /// What is kept from here on: chunks of `later`, unless they cost no more to read again. `page_cache_bytes`: what the
    /// system can be expected to hold of files that were just read.
    pub(super) fn want<'s>(
        &mut self,
        later: impl Iterator<Item = &'s Arc<dyn Source>>,
        page_cache_bytes: u64,
    ) {
        let is_cheap = |source: &Arc<dyn Source>| {
            source.is_in_memory() || (source.is_plain() && logical_bytes(&**source) <= page_cache_bytes)
        };
        self.wanted = later.filter(|source| !is_cheap(source)).map(address).collect();
    }

    /// Drops what neither this stage nor a later one reads, and reserves the rest as far as it fits.
    pub(super) fn enter_stage(&mut self, sources: &[Arc<dyn Source>], budget: &mut MemoryBudget) {
        let own: Vec<usize> = sources.iter().map(address).collect();
        let wanted = &self.wanted;
        self.chunks.retain(|(source, _), _| own.contains(source) || wanted.contains(source));
        let chunks = &self.chunks;
        self.order.retain(|key| chunks.contains_key(key));
        let mut bytes = self.held_bytes();
        while !budget.try_reserve(bytes) {
            let Some(dropped) = self.drop_last() else { break };
            bytes -= dropped;
        }
    }

    /// Whether chunks of `source` are to be kept.
    pub(super) fn wants(&self, source: &Arc<dyn Source>) -> bool {
        !self.wanted.is_empty() && self.wanted.contains(&address(source))
    }

    /// Whether a chunk is kept.
    pub(super) fn holds(&self, source: &Arc<dyn Source>, position: u64) -> bool {
        !self.chunks.is_empty() && self.chunks.contains_key(&(address(source), position))
    }

    /// Keeps a chunk. The bytes to give back: those of the same chunk, which another input of the stage had kept.
    pub(super) fn put(&mut self, source: &Arc<dyn Source>, position: u64, chunk: Arc<Chunk>) -> u64 {
        let key = (address(source), position);
        match self.chunks.insert(key, chunk) {
            Some(twin) => twin.bytes().len() as u64,
            None => {
                self.order.push(key);
                0
            }
        }
    }

    pub(super) fn take(&mut self, source: &Arc<dyn Source>, position: u64) -> Option<Arc<Chunk>> {
        if self.chunks.is_empty() { None } else { self.chunks.remove(&(address(source), position)) }
    }

    /// Drops the chunk that is needed last; its bytes.
    pub(super) fn drop_last(&mut self) -> Option<u64> {
        while let Some(key) = self.order.pop() {
            if let Some(chunk) = self.chunks.remove(&key) {
                return Some(chunk.bytes().len() as u64);
            }
        }
        None
    }

    /// Bytes of what is kept.
    pub(super) fn held_bytes(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.bytes().len() as u64).sum()
    }
}
