//! Medians, quantiles, sorts and scans of many lines, random numbers: in million values per second and thread.
//!
//! `cargo bench -p blockwise-kernels --bench kernels` prints the table; words after `--` choose rows.

use blockwise_kernels::order::{Quantile, QuantileMethod, argsort, sort};
use blockwise_kernels::random::{Distribution, Random};
use blockwise_kernels::scan::{Scan, ScanOp};
use blockwise_kernels::{Buffer, DType, cast};
use std::hint::black_box;
use std::time::Instant;

const LEN: usize = 2920;
const LINES: usize = 4608;

fn best_secs(mut body: impl FnMut()) -> f64 {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Temperatures, differences about zero, rain that is mostly none, or small whole numbers.
fn value(kind: &str, seed: u64) -> f64 {
    let mix = |x: u64| {
        let x = (x ^ (x >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
        (x ^ (x >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) >> 11
    };
    let unit = |x| mix(x) as f64 / (1_u64 << 53) as f64;
    let bell = (0..6).map(|i| unit(6 * seed + i)).sum::<f64>() - 3.0;
    match kind {
        "kelvin" => 280.0 + 10.0 * bell,
        "rain" => (bell - 0.3).max(0.0),
        "whole" => (bell * 10.0).round(),
        _ => bell,
    }
}

fn randoms(wanted: &dyn Fn(&str) -> bool) -> Result<(), Box<dyn std::error::Error>> {
    const COUNT: usize = 4 << 20;
    let mut out = Buffer::zeroed(COUNT * 8);
    for (name, distribution) in [
        ("bits", Distribution::Bits),
        ("uniform", Distribution::Uniform { low: 0.0, high: 1.0 }),
        ("integers", Distribution::Integers { low: 0, count: 100 }),
        ("normal", Distribution::Normal { mean: 0.0, deviation: 1.0 }),
        ("exponential", Distribution::Exponential { scale: 1.0 }),
        ("gamma", Distribution::Gamma { shape: 2.5, scale: 1.0 }),
        ("poisson 3", Distribution::Poisson { mean: 3.0 }),
        ("poisson 100", Distribution::Poisson { mean: 100.0 }),
        ("binomial", Distribution::Binomial { trials: 1000, probability: 0.3 }),
    ] {
        if wanted(&format!("random {name}")) {
            let random = Random::new(distribution, distribution.dtype(), 1, 0)?;
            let bytes = COUNT * distribution.dtype().size();
            let secs = best_secs(|| {
                random.fill(&[COUNT], &[0], &[COUNT], black_box(&mut out[..bytes])).unwrap_or_default();
            });
            println!("random {name:<37} {:>7.0} M/s", COUNT as f64 / secs / 1e6);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |row: &str| words.iter().all(|word| row.contains(word.as_str()));
    randoms(&wanted)?;
    let count = LEN * LINES;
    for dtype in [DType::F32, DType::F64, DType::I16] {
        for kind in ["kelvin", "anomaly", "rain", "whole"] {
            let values: Vec<f64> = (0..count as u64).map(|seed| value(kind, seed)).collect();
            let mut input = Buffer::zeroed(count * dtype.size());
            cast(&mut input, dtype, bytemuck::cast_slice(&values), DType::F64)?;
            let mut out = Buffer::zeroed(count * 8);
            for (place, shape, axis) in [("strided", [LEN, LINES], 0), ("contiguous", [LINES, LEN], 1)] {
                let mut show = |name: &str, body: &mut dyn FnMut(&[u8], &mut [u8])| {
                    let row = format!("{dtype} {kind} {name} {place}");
                    if wanted(&row) {
                        let secs = best_secs(|| body(black_box(&input), &mut out));
                        println!("{row:<44} {:>7.0} M/s", count as f64 / secs / 1e6);
                    }
                };
                let median = Quantile::median(dtype, false)?;
                let size = dtype.size();
                let result = median.output_dtype().size();
                show("median", &mut |x, out| {
                    median.run(x, &shape, axis, &mut out[..LINES * result]).unwrap_or_default();
                });
                let three = Quantile::new(dtype, &[0.05, 0.5, 0.95], QuantileMethod::Linear, true)?;
                show("three nanquantiles", &mut |x, out| {
                    three.run(x, &shape, axis, &mut out[..3 * LINES * result]).unwrap_or_default();
                });
                show("sort", &mut |x, out| {
                    sort(x, dtype, &shape, axis, &mut out[..count * size]).unwrap_or_default();
                });
                show("argsort", &mut |x, out| {
                    argsort(x, dtype, &shape, axis, 0, out).unwrap_or_default();
                });
                let scan = Scan::new(ScanOp::Sum, dtype, false);
                let mut carry = Buffer::zeroed(scan.carry_bytes(LINES)?);
                scan.start(&mut carry)?;
                let bytes = count * scan.output_dtype().size();
                show("cumsum", &mut |x, out| {
                    scan.run(x, &shape, axis, &mut carry, &mut out[..bytes]).unwrap_or_default();
                });
            }
        }
    }
    Ok(())
}
