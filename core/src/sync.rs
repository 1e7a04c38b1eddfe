//! The locks and threads of runs: the system's, or in models (`tests/models.rs`) those of `shuttle`, which tries orders of threads.
//!
//! Invariant: without the feature `shuttle` locks are the standard library's own types and threads those of a pool of rayon's. What
//! threads of a run share stands behind these locks, so that a model sees every step of it; flags and counts that nobody waits
//! for are plain atomics. Called by the executor, and by arrays that its tasks write and read.

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock};

use crate::error::{Error, Result};

/// The threads of a run.
#[cfg(not(feature = "shuttle"))]
pub(crate) struct Workers(rayon::ThreadPool);

#[cfg(not(feature = "shuttle"))]
impl Workers {
    /// So many threads.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("blockwise-{n}"))
            .build()
            .map_err(|error| Error::Internal { message: format!("no threads: {error}") })?;
        Ok(Self(pool))
    }

    /// Calls `work` on each thread, and returns when all have returned.
    pub(crate) fn all(&self, work: impl Fn() + Sync) {
        self.0.broadcast(|_| work());
    }
}

/// The threads of a model of a run.
#[cfg(feature = "shuttle")]
pub(crate) struct Workers(usize);

#[cfg(feature = "shuttle")]
impl Workers {
    pub(crate) fn new(threads: usize) -> Result<Self> {
        if threads == 0 {
            return Err(Error::Internal { message: "no threads".to_owned() });
        }
        Ok(Self(threads))
    }

    pub(crate) fn all(&self, work: impl Fn() + Sync) {
        shuttle::thread::scope(|scope| {
            (0..self.0).for_each(|_| drop(scope.spawn(&work)));
        });
    }
}
