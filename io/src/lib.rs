//! Files and stores as sources and sinks: Zarr, HDF5, NetCDF, TIFF, npy and raw bytes.
//!
//! One model, [`container`], stands between formats and the rest: a [`Container`] is a tree of groups and arrays
//! with attributes; an array of it is a [`Source`](blockwise_core::Source) with a description. Writing is the
//! mirror image: a [`ContainerWriter`] is told of groups and arrays and hands out
//! [`Sink`](blockwise_core::Sink)s; all goes to a partial folder that one rename publishes.
//!
//! Invariants: nothing that comes from a file is trusted (sizes are checked before memory is taken, names never
//! leave the root, decoded lengths must match); nothing appears under its final name before it is whole.
//!
//! Called by the facade and by `arrayctl`.

pub mod attribute;
pub mod codec;
pub mod container;
mod contiguous;
pub mod error;
mod fence;
pub mod hdf5;
#[cfg(feature = "hdf5-write")]
pub mod hdf5_write;
pub mod netcdf;
pub mod npy;
pub mod open;
pub mod publish;
pub mod raw;
mod single;
pub mod store;
pub mod tiff;
pub mod zarr;

pub use attribute::{AttributeValue, Attributes};
pub use container::{
    ArrayInfo, ArraySpec, BloscShuffle, CodecSpec, Compressor, Container, ContainerWriter, ElementType,
    Format, GroupInfo, MissingChunks, NodePath, OpenOptions, StoredArray, TextArray,
};
pub use error::{Error, Result};
