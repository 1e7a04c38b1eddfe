//! One decomposition, measured; prints one line of JSON with its seconds and the sum of the singular values. The floor of its
//! arithmetic is `products gram_floor`. Not part of `make bench` yet.
//!
//!     cargo run --release --example svd_workloads -- WORKLOAD SOURCE [DESTINATION] [--memory SIZE]
//!
//! | WORKLOAD | what |
//! |---|---|
//! | `svd` | singular values and right vectors of a tall matrix |
//! | `svdu` | those, and the left vectors, written to the Zarr store DESTINATION |
//! | `svdc` | the 50 largest singular values, with vectors, by one power iteration; `error`: what is left, by the matrix |
//! | `read` | reading every chunk: what no decomposition can go below |

#[path = "support/arguments.rs"]
mod arguments;

use blockwise::linalg::{Compression, svd};
use blockwise::store::{StoreOptions, to_zarr};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let (words, session) = arguments::arguments()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
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
