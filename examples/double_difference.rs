//! A difference along both axes: `a[1:, 1:] - b[:-1, :-1]`, whose chunks lie across those of its inputs. From coiled's
//! benchmarks (`test_double_diff`); its dask twin is in `benches/peers/array_peer.py`.
//!
//!     cargo run --release --example double_difference -- [SIDE]
//!
//! By default 16384 x 16384, 2.1 GB each for `a` and `b`, in chunks of about 20 MiB. The result is consumed by the mean
//! of its squares, which is 1/6 for these random fields.

#[path = "support/measured.rs"]
mod measured;

use measured::{Outcome, measure, random, sizes};

fn main() -> Outcome<()> {
    let [side] = sizes([16384])?;
    let chunk = side.min(1619); // 20 MiB of float64
    let field = |stream| random(&[side, side], &[chunk, chunk], stream);
    let below = field(0)?.slice(0, 1..)?.slice(1, 1..)?;
    let above = field(1)?.slice(0, ..-1)?.slice(1, ..-1)?;
    measure("double_difference", &(below - above).square()?.mean(..)?, 1.0 / 6.0)
}
