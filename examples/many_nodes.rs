//! A program with closures of its own, ready to run on many machines: one line at the start of `main`.
//!
//! `cargo run --example many_nodes` computes on this machine's threads; with `BLOCKWISE_ENGINE=slurm BLOCKWISE_WORK_DIR=/shared/me
//! BLOCKWISE_WORKERS=8` jobs of Slurm do. The numbers printed are the same, to the last bit. Arguments: rows, columns, and optionally a
//! Zarr store for the filtered field.

use blockwise::prelude::*;
use ndarray::ArrayViewD;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _run = blockwise::cluster::init()?;
    let mut arguments = std::env::args().skip(1);
    let mut length = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (rows, columns) = (length(600)?, length(800)?);
    let session = Session::with_budget(256 << 20);

    // Where the field comes from: any closure of the position.
    let field = Array::from_fn(&[rows, columns], |at| ((at[0] * 31 + at[1] * 17) % 1009) as f64 / 1009.0)?;
    let field = field.rechunk([rows.div_ceil(12), columns])?;
    // A closure over whole blocks; its dtypes are checked when this line runs, wherever that is.
    let bent = field.map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(|x| (x * 3.0).sin() / (x + 0.1)))?;
    // Held by every process that goes on with it.
    let mean = session.persist(&bent.mean(0)?)?;
    let spread = &bent - &mean;
    let squares = spread.map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(|x| x * x))?;
    let sums = session.compute::<f64>(&squares.sum(1)?)?;
    let total = session.compute::<f64>(&bent.std(..)?)?;
    let digest = sums.iter().fold(0_u64, |digest, x| digest.rotate_left(5) ^ x.to_bits());
    println!("{:016x} {digest:016x}", total.iter().next().map_or(0, |x| x.to_bits()));
    if let Some(path) = arguments.next() {
        blockwise::store::to_zarr(
            &session,
            &[(&spread, "")],
            &path,
            &blockwise::store::StoreOptions::default(),
        )?;
    }
    Ok(())
}
