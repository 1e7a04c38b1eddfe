//! Decompositions of generated matrices many times as large as the budget: the memory that the process takes.

use blockwise_core::kernels::random::Distribution;
use blockwise_core::{Array, DType, Session};
use blockwise_linalg::svd;

/// What the process may take beside the budget: itself, its threads, results, and the allocator's slack.
const BASELINE_BYTES: u64 = 96 << 20;

/// The most memory that the process has taken so far.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Singular values of normal numbers, `rows x 100`, within `budget_bytes`: they lie close to the root of the rows.
fn decompose(rows: u64, budget_bytes: u64) {
    let before = peak_bytes();
    let normal = Distribution::Normal { mean: 0.0, deviation: 1.0 };
    let a = Array::random(&[rows, 100], normal, 7).unwrap().rechunk([100_000, 100]).unwrap();
    let session = Session::with_budget(budget_bytes);
    let s = session.compute::<f64>(&svd(&a).unwrap().s).unwrap();
    let (root, spread) = ((rows as f64).sqrt(), 3.0 * 10.0);
    assert!(s.iter().all(|s| (s - root).abs() < spread), "{s}");
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        println!("{rows} rows: {} MiB at most, {} before", after >> 20, before >> 20);
        // Other tests of this process may take theirs at the same time.
        assert!(after <= before.max(BASELINE_BYTES) + budget_bytes + BASELINE_BYTES, "{after} {before}");
    }
}

#[test]
fn a_matrix_of_400_mb_within_192_mib() {
    decompose(500_000, 192 << 20);
}

#[test]
#[ignore = "a minute; run alone, with --release"]
fn a_matrix_of_16_gb_within_512_mib() {
    decompose(20_000_000, 512 << 20);
}

#[test]
fn a_budget_that_is_too_small_is_refused_with_one_that_works() {
    let a = Array::full(&[200_000, 50], 1.5.into()).unwrap().rechunk([20_000, 50]).unwrap();
    let a = (&a * 2.0).astype(DType::F64);
    let s = svd(&a).unwrap().s;
    let refused = Session::with_budget(4 << 20).compute::<f64>(&s).unwrap_err();
    let blockwise_core::Error::OverBudget { needed_bytes, .. } = refused else { unreachable!("{refused}") };
    assert!(Session::with_budget(needed_bytes - 4096).compute::<f64>(&s).is_err());
    Session::with_budget(needed_bytes).compute::<f64>(&s).unwrap();
}
