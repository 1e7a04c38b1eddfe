//! Integration tests of io: whole files and stores, read and written.

mod corpus;
mod zarr_corpus;
