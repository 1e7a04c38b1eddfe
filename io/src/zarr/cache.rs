//! Shard indexes that were read, kept within a bound of bytes.
//!
//! Invariant: what is kept takes no more than the bound, unless a single index is larger: then that one alone. The one
//! used longest ago goes first. Called by sources, which share the cache of their container.

use super::pipeline::ShardIndex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept of a shard.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    /// Its index.
    pub(crate) index: Arc<ShardIndex>,
    /// Position of the shard's first byte in its file.
    pub(crate) base: u64,
}

/// Indexes by key, least recently used first.
#[derive(Debug)]
pub(crate) struct IndexCache {
    limit_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, (Indexed, u64)>,
    by_age: BTreeMap<u64, String>,
    held_bytes: u64,
    clock: u64,
}

/// Bytes that an entry takes beyond its index and its two copies of the key.
const ENTRY_BYTES: u64 = 200;

fn bytes_of(key: &str, indexed: &Indexed) -> u64 {
    indexed.index.held_bytes() as u64 + 2 * key.len() as u64 + ENTRY_BYTES
}

impl IndexCache {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    /// The index that was kept under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<Indexed> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.clock += 1;
        let (indexed, age) = state.entries.get_mut(key)?;
        let old = std::mem::replace(age, state.clock);
        let indexed = indexed.clone();
        if let Some(name) = state.by_age.remove(&old) {
            state.by_age.insert(state.clock, name);
        }
        Some(indexed)
    }

    /// Keeps an index, and lets others go for it.
    pub(crate) fn put(&self, key: String, indexed: Indexed) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        if state.entries.contains_key(&key) {
            return; // another thread was faster
        }
        state.clock += 1;
        state.held_bytes += bytes_of(&key, &indexed);
        state.by_age.insert(state.clock, key.clone());
        state.entries.insert(key, (indexed, state.clock));
        while state.held_bytes > self.limit_bytes && state.entries.len() > 1 {
            let Some((_, oldest)) = state.by_age.pop_first() else { break };
            if let Some((indexed, _)) = state.entries.remove(&oldest) {
                state.held_bytes -= bytes_of(&oldest, &indexed);
            }
        }
    }
}
