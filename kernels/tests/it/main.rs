//! The tests of the kernels: property tests against naive loops, and tables that NumPy printed.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod cast;
mod downsample;
mod exact;
mod fourier;
mod gather;
mod histogram;
mod oracle;
mod order;
mod program;
mod promote;
mod random;
mod reduce;
mod scan;
mod shuffle;
mod strided;
mod windows;
