//! The middle layer of Blockwise: boxes and grids, the traits that formats implement, and what runs a copy.
//!
//! A computation lives as `Source`s -> plan -> executor -> `Sink`s. Nothing here opens a data file: formats stand in
//! `blockwise-io` and implement [`Source`] and [`Sink`].
//!
//! Called by every crate above; imports only `blockwise-kernels`.

pub mod adapt;
pub mod array;
pub mod block;
pub mod budget;
pub mod chunk;
pub mod coding;
pub mod context;
pub mod dense;
pub mod device;
pub mod digest;
pub mod engine;
pub mod error;
pub mod exec;
mod generate;
pub mod grid;
mod lower;
pub mod machine;
pub mod memory;
pub mod plan;
pub mod region;
pub mod session;
mod shared;
pub mod sink;
mod slots;
pub mod source;
pub mod spill;
mod sync;
mod temporary;
pub mod view;

pub use array::Array;
pub use blockwise_kernels as kernels;
pub use blockwise_kernels::{DType, Scalar};
pub use chunk::Chunk;
pub use context::{Cancellation, Event, Observer, TaskContext, Unobserved};
pub use engine::{Engine, Role};
pub use error::{Error, Fault, Result, StoreFault};
pub use grid::{AxisGrid, ChunkGrid};
pub use region::Region;
pub use session::Session;
pub use sink::{Sharing, Sink};
pub use source::Source;
