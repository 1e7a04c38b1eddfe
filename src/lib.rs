//! Blockwise: out-of-core chunked N-dimensional arrays over Zarr, HDF5 and NetCDF within a hard memory budget.
//!
//! This crate is the front of a small house: it re-exports the layers and adds the jobs that connect them.
//!
//! ```text
//!   blockwise      convert  rechunk  verify          jobs: whole containers, one rename at the end
//!      |           evaluate  stats  pyramid          NumPy expressions over stored arrays, images with levels
//!      |
//!   io             Zarr HDF5 NetCDF TIFF npy raw      containers of arrays; sources and sinks of chunks
//!      |
//!   linalg         products, decompositions          blocked algorithms over arrays; dense leaves by faer
//!      |
//!   cluster        Slurm, worker processes           engines that run plans on several machines
//!      |
//!   core           Source -> plan -> exec -> Sink    grids, budget, spill, threads
//!      |
//!   kernels        dtypes  buffers  strided copies   typed loops over memory
//! ```
//!
//! # Concepts
//! * A **chunk** is a box of elements that is stored as one; a **grid** is how an array is cut into them.
//! * A **source** gives chunks, a **sink** takes them. A **plan** says how one becomes the other: in how many passes,
//!   within which memory, with how much temporary disk. It is known before anything runs, and a plan that does not
//!   fit the **budget** is refused.
//! * A **container** is a file or folder with groups and arrays; a [`Location`] names one, or an array in it.
//!
//! # Example
//! Write an array, rechunk it within 64 MiB, and check the result:
//!
//! ```
//! use blockwise::prelude::*;
//! use blockwise::{machine, rechunk::rechunk, verify::{VerifyOptions, verify}};
//! use blockwise::convert::{ConvertOptions, Destination};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let (npy, zarr) = (folder.path().join("a.npy"), folder.path().join("a.zarr"));
//! # let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 200), }";
//! # let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
//! # bytes.extend(118_u16.to_le_bytes());
//! # bytes.extend(format!("{header:<117}\n").bytes());
//! # bytes.extend((0..20_000_u16).flat_map(|n| f32::from(n).to_le_bytes()));
//! # std::fs::write(&npy, bytes)?;
//! let (source, result) = (Location::container(&npy), Location::container(&zarr));
//! let resources = machine::resources(64 << 20);
//! let transfer =
//!     rechunk(&source, &Destination::new(&zarr)?, "25,200".parse()?, &ConvertOptions::default(), &resources)?;
//! let report = transfer.run(&Unobserved, &Cancellation::new())?;
//! assert_eq!(report.arrays[0].chunk_shape, Some(vec![25, 200]));
//!
//! let found = verify(&source, &result, &VerifyOptions::default(), &resources, &Unobserved, &Cancellation::new())?;
//! assert!(found.is_equal());
//! # Ok(())
//! # }
//! ```

pub mod cf;
pub mod chunks;
mod claim;
pub mod codec_text;
mod computed;
pub mod convert;
pub mod dashboard;
pub mod device;
mod error;
pub mod evaluate;
pub mod expression;
pub mod group;
mod joined;
mod location;
pub mod pyramid;
pub mod rechunk;
pub mod record;
mod select;
pub mod show;
pub mod size;
mod spec;
pub mod stats;
pub mod store;
pub mod svd;
pub mod target;
mod transfer;
pub mod verify;
mod watch;

pub use blockwise_cluster as cluster;
pub use blockwise_core as core;
pub use blockwise_core::machine;
pub use blockwise_gpu as gpu;
pub use blockwise_io as io;
pub use blockwise_kernels as kernels;
pub use blockwise_linalg as linalg;
pub use error::{Error, Result};
pub use location::{Location, Opened};
pub use select::Selection;
pub use store::{open, open_as_stored};
pub use watch::Watcher;

/// Pages whose code runs as tests: the README and the book, each page of which must stand here (`test_docs.py`).
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident $path:literal)*) => { $(#[doc = include_str!($path)] mod $name {})* };
    }
    pages! {
        readme "../README.md"
        climate "../docs/climate.md"
        dashboard "../docs/dashboard.md"
        dask "../docs/dask.md"
        formats "../docs/formats.md"
        from_dask "../docs/from-dask.md"
        functions "../docs/functions.md"
        gpu "../docs/gpu.md"
        imaging "../docs/imaging.md"
        memory "../docs/memory.md"
        proof "../docs/proof.md"
        reliability "../docs/reliability.md"
        scale "../docs/scale.md"
        slurm "../docs/slurm.md"
        tour "../docs/tour.md"
    }
}

/// What most programs need.
pub mod prelude {
    pub use crate::{Location, Selection, Watcher};
    pub use blockwise_core::plan::Resources;
    pub use blockwise_core::{Array, Cancellation, ChunkGrid, Region, Session, Sink, Source, Unobserved};
    pub use blockwise_kernels::{DType, Element};
}
