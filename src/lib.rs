//! Blockwise: out-of-core chunked N-dimensional arrays over Zarr, HDF5 and NetCDF within a hard memory budget.
pub use blockwise_core as core;
pub use blockwise_io as io;
pub use blockwise_kernels as kernels;
