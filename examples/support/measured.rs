//! What the measuring examples share: sizes from the command line, and one line of JSON at the end.

use blockwise::prelude::*;
use std::time::Instant;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The budget of every measured run, less than its arrays take.
pub(crate) const BUDGET_BYTES: u64 = 2 << 30;

/// The numbers that the command line gives, in place of the first of `defaults`.
pub(crate) fn sizes<const N: usize>(defaults: [u64; N]) -> Outcome<[u64; N]> {
    let mut sizes = defaults;
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.len() > N {
        return Err(format!("at most {N} sizes, as in {defaults:?}").into());
    }
    for (size, text) in sizes.iter_mut().zip(&given) {
        *size = text.parse().map_err(|_| format!("'{text}' is no size"))?;
    }
    Ok(sizes)
}

/// Numbers from 0 to 1, float64; the same stream gives the same numbers.
pub(crate) fn random(shape: &[u64], chunk: &[u64], stream: u32) -> Outcome<Array> {
    let distribution = blockwise::kernels::random::Distribution::Uniform { low: 0.0, high: 1.0 };
    Ok(Array::random_stream(shape, distribution, DType::F64, 42, stream)?.rechunk(chunk)?)
}

/// Computes `result`, a scalar, and prints seconds, peak memory and the scalar; `expected` is what it should be near.
pub(crate) fn measure(workload: &str, result: &Array, expected: f64) -> Outcome<()> {
    let session = Session::with_budget(BUDGET_BYTES);
    let started = Instant::now();
    let check = session.compute::<f64>(result)?[[]];
    let secs = started.elapsed().as_secs_f64();
    println!(
        r#"{{"workload": "{workload}", "secs": {secs:.3}, "peak_mb": {}, "check": {check}, "expected": {expected}}}"#,
        peak_mb()
    );
    Ok(())
}

/// The most memory that this process has held, in millions of bytes; 0 where the system does not say.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / 1_000_000
}
