//! Tests of linear algebra: leaves against naive loops, algorithms against the same in memory.

mod leaves;
