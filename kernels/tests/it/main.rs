//! The tests of the kernels: property tests against naive loops, and tables that NumPy printed.

mod strided;
