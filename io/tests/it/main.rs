//! Integration tests of io: whole files and stores, read and written.

mod banded;
mod corpus;
mod hdf5_read;
#[cfg(feature = "hdf5-write")]
mod hdf5_write;
mod hdf_fuzz;
mod hdf_oracle;
mod oracle;
#[cfg(feature = "s3")]
mod remote;
mod zarr_corpus;
mod zarr_foreign;
mod zarr_write;
