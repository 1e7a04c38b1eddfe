//! Quadratic means: the means over time of `u*u`, `v*v` and `u*v`, all from one pass over `u` and `v`. From
//! pangeo-data/distributed-array-examples#2; its dask twin is in `benches/peers/array_peer.py`.
//!
//!     cargo run --release --example quadratic_means -- [STEPS ROWS COLUMNS]
//!
//! By default 100 x 987 x 1920, 1.5 GB each for `u` and `v`, in chunks of ten steps. The three fields are consumed by
//! the mean of their sum, which is 11/12 for these random fields.

#[path = "support/measured.rs"]
mod measured;

use measured::{Outcome, measure, random, sizes};

fn main() -> Outcome<()> {
    let [steps, rows, columns] = sizes([100, 987, 1920])?;
    let field = |stream| random(&[steps, 1, rows, columns], &[10, 1, rows, columns], stream);
    let (u, v) = (field(0)?, field(1)?);
    let means = [(&u, &u), (&v, &v), (&u, &v)].map(|(a, b)| (a * b).mean(0));
    let [uu, vv, uv] = means;
    measure("quadratic_means", &(uu? + vv? + uv?).mean(..)?, 11.0 / 12.0)
}
