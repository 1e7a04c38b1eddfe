//! Shards that are being written: inner chunks are appended as they come, the index when all are there.
//!
//! Invariants: few shards are open at a time (their number is bounded, each is an open file); an inner chunk counts
//! once, however often it is written; a shard whose inner chunks are all absent is none. Called by
//! [`ZarrSink`](super::ZarrSink).

use crate::error::Result;
use crate::publish::{ObjectFile, PartialFolder};
use crate::zarr::pipeline::{Place, Shard};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shards that may be open at a time.
const OPEN_LIMIT: usize = 512;

/// The shards of an array that are neither finished nor untouched.
pub(super) struct Gathering {
    shard: Shard,
    open: Mutex<HashMap<String, Arc<Mutex<OpenShard>>>>,
}

/// What became of an inner chunk.
pub(super) enum Done {
    /// So many bytes were written.
    Stored(u64),
    /// It was the last of its shard, and all are absent.
    AllFill,
}

struct OpenShard {
    /// Made when the first inner chunk has content.
    object: Option<ObjectFile>,
    /// One for each inner chunk, by its position in the index.
    slots: Box<[Slot]>,
    /// Inner chunks still to come.
    missing: u64,
}

#[derive(Clone, Copy)]
enum Slot {
    Awaited,
    Absent,
    At(Place),
}

impl Gathering {
    pub(super) fn new(shard: Shard) -> Self {
        Self { shard, open: Mutex::default() }
    }

    /// Bytes that an open shard holds, its index while it is written included.
    pub(super) fn held_bytes(&self) -> u64 {
        let slots = (self.shard.inner_count() as u64).saturating_mul(size_of::<Slot>() as u64);
        slots.saturating_add(self.shard.index_bytes() as u64)
    }

    /// Adds the inner chunk that starts at item `within` of the shard `key`; `expected` says how many the shard
    /// gets in all.
    ///
    /// # Errors
    /// If too many shards are open, or the write fails.
    pub(super) fn add(
        &self,
        partial: &PartialFolder,
        key: &str,
        within: &[u64],
        encoded: Option<&[u8]>,
        expected: impl FnOnce() -> u64,
    ) -> Result<Done> {
        let open = self.opened(key, expected)?;
        // Appending is a copy to the system's memory, and the system does one write at a time to a file anyway.
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let (linear, _) = self.shard.locate(within);
        let OpenShard { object, slots, missing } = &mut *open;
        let Some(slot) = slots.get_mut(linear).filter(|slot| matches!(slot, Slot::Awaited)) else {
            return Ok(Done::Stored(0)); // the same elements, written again
        };
        let mut stored = 0;
        *slot = match encoded {
            None => Slot::Absent,
            Some(bytes) => {
                let object = match object {
                    Some(object) => object,
                    None => object.insert(partial.object(key)?),
                };
                let offset = object.len_bytes();
                object.append(bytes)?;
                stored = bytes.len() as u64;
                Slot::At(Place { offset, len_bytes: bytes.len() })
            }
        };
        *missing = missing.saturating_sub(1);
        if *missing > 0 {
            return Ok(Done::Stored(stored));
        }
        let done = match object.take() {
            None => Done::AllFill,
            Some(mut object) => {
                let places = slots.iter().map(|slot| match slot {
                    Slot::At(place) => Some(*place),
                    Slot::Awaited | Slot::Absent => None,
                });
                let index = self.shard.encode_index(places);
                object.append(&index)?;
                object.commit()?;
                Done::Stored(stored + index.len() as u64)
            }
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(done)
    }

    /// The open shard `key`, opened if need be.
    fn opened(&self, key: &str, expected: impl FnOnce() -> u64) -> Result<Arc<Mutex<OpenShard>>> {
        let mut table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = table.get(key) {
            return Ok(Arc::clone(open));
        }
        if table.len() >= OPEN_LIMIT {
            let message = format!("{key}: {OPEN_LIMIT} shards are open already");
            return Err(blockwise_core::Error::Internal { message }.into());
        }
        let slots = vec![Slot::Awaited; self.shard.inner_count()].into();
        let open = Arc::new(Mutex::new(OpenShard { object: None, slots, missing: expected() }));
        table.insert(key.to_owned(), Arc::clone(&open));
        Ok(open)
    }

    /// A shard that is not finished.
    pub(super) fn incomplete(&self) -> Option<String> {
        let table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        table.keys().next().cloned()
    }
}
