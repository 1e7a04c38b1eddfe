//! Integration tests of core: whole copies through plans and the local engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod arrays;
mod bands;
mod closures;
mod copies;
mod dask;
mod failures;
mod filters;
mod groups;
mod images;
mod invariance;
mod joins;
mod making;
mod memory;
mod ops;
mod scale;
mod support;
mod surface;
mod takes;
mod waiting;
