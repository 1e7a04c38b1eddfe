//! One decomposition of `make bench`; prints one line of JSON with its seconds and the sum of the singular values.
//!
//!     cargo run --release --example svd_workloads -- WORKLOAD SOURCE [DESTINATION] [--memory SIZE]
//!
//! | WORKLOAD | what |
//! |---|---|
//! | `svd` | singular values and right vectors of a tall matrix |
//! | `svdu` | those, and the left vectors, written to the Zarr store DESTINATION |
//! | `svdc` | the 50 largest singular values, with vectors, by one power iteration; `error`: what is left, by the matrix |
//! | `read` | reading every chunk: what no decomposition can go below |
//! | `gram` | products of a panel in the cache with itself, on two threads: `secs` for those of the tall matrix |

use blockwise::core::dense::{Accumulate, Dense, Matrix, MatrixMut};
use blockwise::linalg::dense::Cpu;
use blockwise::linalg::{Compression, svd};
use blockwise::prelude::*;
use blockwise::store::{StoreOptions, to_zarr};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut budget_bytes = 2 << 30;
    if let Some(at) = arguments.iter().position(|argument| argument == "--memory") {
        arguments.remove(at);
        budget_bytes = blockwise::size::parse_bytes(&arguments.remove(at))?;
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let session = Session::with_budget(budget_bytes);
    let started = Instant::now();
    let (values, more) = match words.as_slice() {
        ["svd", source] => {
            let found = svd(&blockwise::open(source)?)?;
            (session.compute_many(&[found.s, found.vh])?, String::new())
        }
        ["svdu", source, destination] => {
            let found = svd(&blockwise::open(source)?)?;
            let arrays = [(&found.u, "U"), (&found.s, "S"), (&found.vh, "V")];
            to_zarr(&session, &arrays, destination, &StoreOptions::default())?;
            let s = blockwise::open(&format!("{destination}::S"))?;
            (session.compute_many(&[s])?, String::new())
        }
        ["svdc", source] => {
            let found = Compression::new(50).with_power_iterations(1).decompose(&blockwise::open(source)?)?;
            let all = [found.svd.s, found.svd.u, found.svd.vh, found.error];
            let computed = session.compute_many(&all)?;
            let error = computed.get(3).and_then(|error| error.to_elements::<f64>()).unwrap_or_default();
            (computed, format!(r#", "error": {:?}, "passes": {}"#, error[0], found.passes))
        }
        ["read", source] => {
            // A count of what is not zero does next to nothing with a chunk.
            (session.compute_many(&[blockwise::open(source)?.count_nonzero(..)?])?, String::new())
        }
        ["gram"] => return gram(),
        _ => return Err("give a workload and what it reads".into()),
    };
    let secs = started.elapsed().as_secs_f64();
    let first = values.first().ok_or("no singular values")?;
    let sum: f64 = match first.to_elements::<f64>() {
        Some(wide) => wide.iter().sum(),
        None => first.to_elements::<f32>().unwrap_or_default().into_iter().map(f64::from).sum(),
    };
    println!(r#"{{"secs": {secs:.3}, "check": {sum}{more}}}"#);
    Ok(())
}

/// The time that the products of all panels of a matrix of 2,000,000 x 100 take, on as many threads as there are cores.
fn gram() -> Outcome<()> {
    let (rows, columns) = (4000, 100);
    let threads = blockwise::machine::cores();
    let started = Instant::now();
    let work = || -> blockwise::core::Result<f64> {
        let panel: Vec<f64> = (0..rows * columns).map(|at| (at % 1013) as f64 - 500.0).collect();
        let mut product = vec![0.0; columns * columns];
        for _ in 0..2_000_000 / rows / threads {
            let out = MatrixMut::new(&mut product, columns, columns)?;
            Cpu.gram(out, Accumulate::Add, Matrix::new(&panel, rows, columns)?)?;
        }
        Ok(product.iter().sum())
    };
    let sums: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join()).collect()
    });
    let check = sums.into_iter().flatten().flatten().sum::<f64>();
    println!(r#"{{"secs": {:.3}, "check": {check}}}"#, started.elapsed().as_secs_f64());
    Ok(())
}
