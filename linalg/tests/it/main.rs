//! Tests of linear algebra: leaves against naive loops, algorithms against the same in memory.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod compression;
mod factors;
mod leaves;
mod memory;
mod pca;
mod solves;
