//! The lowest layer of Blockwise: element types, pooled buffers, and typed loops over memory.
//!
//! Nothing here knows of chunks, files or threads. Invariants every module keeps:
//! * a [`Buffer`] is 64-byte aligned and always fully initialised (recycled ones hold old bytes, never
//!   uninitialised memory);
//! * element bytes are in the machine's byte order; files of the other order are swapped at the edge;
//! * the list of element types stands once, in [`dtype`], and dispatch is a visitor over it.
//!
//! Called by every other crate of the workspace.

pub mod affine;
pub mod buffer;
pub mod byteswap;
pub mod cast;
pub mod distance;
pub mod downsample;
pub mod dtype;
pub mod error;
pub mod filter;
pub mod fourier;
pub mod function;
pub mod gather;
pub mod histogram;
pub mod lines;
pub mod order;
pub mod program;
pub mod promote;
pub mod random;
pub mod reduce;
pub mod scalar;
pub mod scan;
pub mod shuffle;
pub mod simd;
pub mod strided;
mod sync;

pub use buffer::{Buffer, BufferPool, Page, Pages, SetAside};
pub use cast::cast;
pub use dtype::{DType, DTypeVisitor, Element};
pub use error::KernelError;
pub use lines::Lines;
pub use scalar::Scalar;
