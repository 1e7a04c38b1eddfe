//! CUDA for Blockwise: what can be built and proved without a device.
//!
//! | part | what it does |
//! |---|---|
//! | [`device`] | finds devices, and says why there is none; never panics |
//! | [`jit`] | prints a [`Program`](blockwise_kernels::program::Program), alone or before reductions, as CUDA C |
//! | `compile` | compiles that text with NVRTC to the machine code of an architecture (feature `cuda`) |
//! | [`cache`] | keeps compiled kernels on disk, found by content |
//!
//! Nothing here runs on a device yet: no memory of one is allocated and no kernel is launched. Kernels are run on the CPU
//! by this crate's tests, with the arguments that a launch would pass.
//!
//! The feature `cuda` binds CUDA's libraries when they are first used, so that the same binary runs where there are none.
//! Invariants: what is generated follows from its arguments alone; results do not depend on how many blocks run.
//! Called by the facade, which shows devices to the command line.

pub mod cache;
#[cfg(feature = "cuda")]
pub mod compile;
pub mod device;
mod error;
pub mod jit;

pub use error::{Error, Result};
