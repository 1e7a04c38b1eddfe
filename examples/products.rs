//! Products of matrices, as `make bench` measures them; prints one line of JSON with its seconds and the sum of its result.
//!
//!     cargo run --release --example products -- WORKLOAD [SOURCE] [--memory SIZE]
//!
//! | WORKLOAD | what |
//! |---|---|
//! | `gram` | `xᵀ x` of the stored matrix SOURCE |
//! | `gram_floor` | the floating-point operations of that alone, on all threads, of a block that stays in memory |
//! | `matmul` | the mean of `a @ b` for random numbers, 8000 x 8000 float32 each, in chunks of 2000 x 2000 |
//! | `matmul_floor` | the floating-point operations of that alone, on all threads |

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/threads.rs"]
mod threads;

use blockwise::core::dense::{Accumulate, Dense, Matrix, MatrixMut, Op};
use blockwise::linalg::dense::Cpu;
use blockwise::linalg::{gram, matmul};
use blockwise::prelude::*;
use std::time::Instant;
use threads::{Outcome, on_all_threads};

const SIDE: usize = 8000;

fn main() -> Outcome<()> {
    let (words, session) = arguments::arguments()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let started = Instant::now();
    let check = match words.as_slice() {
        ["gram", source] => {
            let products = gram(&blockwise::open(source)?)?;
            Some(session.compute::<f64>(&products)?.sum())
        }
        ["gram_floor", source] => {
            let [rows, columns] = blockwise::open(source)?.shape()[..] else {
                return Err("the source is no matrix".into());
            };
            gram_alone(usize::try_from(rows)?, usize::try_from(columns)?)?;
            None
        }
        ["matmul"] => {
            let side = SIDE as u64;
            let matrix = |stream| -> Outcome<Array> {
                let uniform = blockwise::kernels::random::Distribution::Uniform { low: 0.0, high: 1.0 };
                let numbers = Array::random_stream(&[side, side], uniform, DType::F32, 42, stream)?;
                Ok(numbers.rechunk([2000, 2000])?)
            };
            let mean = matmul(&matrix(0)?, &matrix(1)?)?.mean(..)?;
            Some(f64::from(session.compute::<f32>(&mean)?[[]]))
        }
        ["matmul_floor"] => {
            matmul_alone()?;
            None
        }
        _ => return Err("give a workload and what it reads".into()),
    };
    let secs = started.elapsed().as_secs_f64();
    let check = check.map_or_else(|| "null".to_owned(), |sum| sum.to_string());
    println!(r#"{{"secs": {secs:.3}, "check": {check}}}"#);
    Ok(())
}

/// The Gram matrices of as many blocks as so many rows make.
fn gram_alone(rows: usize, columns: usize) -> Outcome<()> {
    let block_rows = 20_000.min(rows.max(1));
    let block = vec![1.5_f64; block_rows * columns];
    on_all_threads(rows.div_ceil(block_rows), || {
        let mut out = vec![0.0; columns * columns];
        let out = MatrixMut::new(&mut out, columns, columns)?;
        Ok(Cpu.gram(out, Accumulate::Replace, Matrix::new(&block, block_rows, columns)?)?)
    })
}

/// All products of blocks of 1000 x 2000 and 2000 x 1000.
fn matmul_alone() -> Outcome<()> {
    let (a, b) = (vec![1.5_f32; 1000 * 2000], vec![0.5_f32; 2000 * 1000]);
    on_all_threads((SIDE / 1000) * (SIDE / 2000) * (SIDE / 1000), || {
        let (a, b) = (Matrix::new(&a, 1000, 2000)?, Matrix::new(&b, 2000, 1000)?);
        let mut out = vec![0.0; 1000 * 1000];
        let out = MatrixMut::new(&mut out, 1000, 1000)?;
        Ok(Cpu.gemm(out, Accumulate::Replace, 1.0, (a, Op::Plain), (b, Op::Plain))?)
    })
}
