//! Decompositions, as `make bench` measures them; prints one line of JSON with its seconds and a number that tells the result.
//!
//!     cargo run --release --example svd_workloads -- WORKLOAD SOURCE [DESTINATION] [--memory SIZE]
//!
//! | WORKLOAD | what | number |
//! |---|---|---|
//! | `svd` | singular values and right vectors of a tall matrix | sum of the values |
//! | `svdu` | those, and the left vectors, written to the Zarr store DESTINATION without a codec | sum of the values |
//! | `svdc` | the 50 largest singular values, with vectors, by one power iteration | what is left of the matrix, relative to it |
//! | `read` | reading every chunk: what no decomposition can go below | none |
//! | `svd_floor` | the operations of a QR of SOURCE alone, two for each element and column, as products of blocks in memory | none |
//! | `svdc_floor` | those of four products with 60 columns, in the numbers of SOURCE, of blocks in memory | none |

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/threads.rs"]
mod threads;

use blockwise::codec_text::parse_codec;
use blockwise::convert::ArrayOptions;
use blockwise::core::dense::{Accumulate, Dense, Inexact, Matrix, MatrixMut, Op};
use blockwise::linalg::dense::Cpu;
use blockwise::linalg::{Compression, svd};
use blockwise::prelude::*;
use blockwise::store::{StoreOptions, to_zarr};
use std::time::Instant;
use threads::{Outcome, on_all_threads};

const RANK: u64 = 50;
/// Columns of the basis: the rank and what is added to it.
const WIDTH: usize = 60;

fn main() -> Outcome<()> {
    let (words, session) = arguments::arguments()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let started = Instant::now();
    let check = match words.as_slice() {
        ["svd", source] => {
            let found = svd(&blockwise::open(source)?)?;
            let computed = session.compute_many(&[found.s.astype(DType::F64), found.vh])?;
            computed.first().and_then(|s| s.to_elements::<f64>()).map(|s| s.iter().sum())
        }
        ["svdu", source, destination] => {
            let found = svd(&blockwise::open(source)?)?;
            let arrays = [(&found.u, "U"), (&found.s, "S"), (&found.vh, "V")];
            let codec = Some(parse_codec("none")?);
            let arrays_options = ArrayOptions { codec, ..ArrayOptions::default() };
            let options = StoreOptions { arrays: arrays_options, ..StoreOptions::default() };
            to_zarr(&session, &arrays, destination, &options)?;
            let s = blockwise::open(&format!("{destination}::S"))?.astype(DType::F64);
            Some(session.compute::<f64>(&s)?.sum())
        }
        ["svdc", source] => {
            let compression = Compression::new(RANK).with_power_iterations(1);
            let found = compression.decompose(&blockwise::open(source)?)?;
            let computed = session.compute_many(&[found.error, found.svd.s, found.svd.u, found.svd.vh])?;
            computed.first().and_then(|error| error.to_elements::<f64>()?.first().copied())
        }
        ["read", source] => {
            // A count of what is not zero does next to nothing with a chunk.
            session.compute_many(&[blockwise::open(source)?.count_nonzero(..)?])?;
            None
        }
        ["svd_floor", source] => {
            let (rows, columns) = sides(source)?;
            products::<f64>(rows, columns, columns)?;
            None
        }
        ["svdc_floor", source] => {
            let (rows, columns) = sides(source)?;
            for _ in 0..4 {
                products::<f32>(rows, columns, WIDTH)?;
            }
            None
        }
        _ => return Err("give a workload and what it reads".into()),
    };
    let secs = started.elapsed().as_secs_f64();
    let check = check.map_or_else(|| "null".to_owned(), |sum: f64| sum.to_string());
    println!(r#"{{"secs": {secs:.3}, "check": {check}}}"#);
    Ok(())
}

fn sides(source: &str) -> Outcome<(usize, usize)> {
    match blockwise::open(source)?.shape()[..] {
        [rows, columns] => Ok((usize::try_from(rows)?, usize::try_from(columns)?)),
        _ => Err("the source is no matrix".into()),
    }
}

/// Products of blocks of as many rows as a cache holds with as many columns as `width`.
fn products<T>(rows: usize, columns: usize, width: usize) -> Outcome<()>
where
    T: Inexact + From<f32>,
    Cpu: Dense<T>,
{
    let block_rows = 2000.min(rows.max(1));
    let (block, basis) = (vec![T::from(1.5); block_rows * columns], vec![T::from(0.5); columns * width]);
    on_all_threads(rows.div_ceil(block_rows), || {
        let (block, basis) =
            (Matrix::new(&block, block_rows, columns)?, Matrix::new(&basis, columns, width)?);
        let mut out = vec![T::from(0.0); block_rows * width];
        let out = MatrixMut::new(&mut out, block_rows, width)?;
        Ok(Cpu.gemm(out, Accumulate::Replace, T::from(1.0), (block, Op::Plain), (basis, Op::Plain))?)
    })
}
