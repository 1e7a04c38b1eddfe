//! CUDA for Blockwise.
//!
//! | part | what it does |
//! |---|---|
//! | [`device`] | finds devices, and says why there is none; never panics |
//! | [`jit`] | prints a [`Program`](blockwise_kernels::program::Program), alone or before reductions, as CUDA C |
//! | `compile` | compiles that text with NVRTC to the machine code of an architecture (feature `cuda`) |
//! | [`cache`] | keeps compiled kernels on disk, found by content |
//! | `cuda` | computes the tasks of runs: memory, streams, launches (feature `cuda`) |
//!
//! The feature `cuda` binds CUDA's libraries when they are first used, so that the same binary runs where there are none. No device was at
//! hand while this was written: the tests run all of it, the driver's part included, on stand-ins that compute on the CPU.
//! Invariants: what is generated follows from its arguments alone; results do not depend on how many blocks run.
//! Called by the facade, which opens devices for the command line.

pub mod cache;
#[cfg(feature = "cuda")]
pub mod compile;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
mod error;
pub mod jit;
#[cfg(feature = "cuda")]
mod symbols;

pub use error::{Error, Result};
