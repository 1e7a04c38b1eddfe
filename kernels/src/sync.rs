//! The locks of this crate: the system's, or in models (`tests/models.rs`) those of `shuttle`, which tries orders of threads.
//!
//! Invariant: without the feature `shuttle` these are the standard library's own types. Called by [`crate::buffer`].

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Mutex, MutexGuard};
