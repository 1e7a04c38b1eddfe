//! Vorticity on an Arakawa grid: `dx * up - dy * vp`, where `up` and `vp` are `u` and `v` with their first row repeated
//! at the end. From dask/distributed#6571; its dask twin is in `benches/peers/array_peer.py`.
//!
//!     cargo run --release --example vorticity -- [ROWS COLUMNS STEPS]
//!
//! By default 2500 x 2500 x 48, 2.4 GB each for `u` and `v`, in chunks of one step. The result is consumed by the mean
//! of its squares, which is 7/72 for these random fields.

#[path = "support/measured.rs"]
mod measured;

use blockwise::core::array::PadMode;
use blockwise::prelude::*;
use measured::{Outcome, measure, random, sizes};

fn main() -> Outcome<()> {
    let [rows, columns, steps] = sizes([2500, 2500, 48])?;
    let field = |stream| random(&[rows, columns, steps], &[rows, columns, 1], stream);
    let spacing = |stream| -> Outcome<Array> {
        Ok(random(&[rows + 1, columns], &[rows + 1, columns], stream)?.expand_dims(2)?)
    };
    let padded =
        |x: Array| -> Outcome<Array> { Ok(x.pad(0, 0, 1, PadMode::Wrap)?.rechunk([rows + 1, columns, 1])?) };
    let (dx, dy) = (spacing(2)?, spacing(3)?);
    let vorticity = dx * padded(field(0)?)? - dy * padded(field(1)?)?;
    measure("vorticity", &vorticity.square()?.mean(..)?, 7.0 / 72.0)
}
