//! Group-by: random labels, axes, chunks and budgets against a direct loop, values spread back, and what plans say.

use crate::support::{Stubborn, resources};
use blockwise_core::array::Reduce;
use blockwise_core::kernels::order::QuantileMethod;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, Session};
use ndarray::{ArrayD, Axis, IxDyn};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Values with NaN here and there, by position.
fn values(shape: &[usize]) -> ArrayD<f64> {
    let mut n = 0_u64;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        n += 1;
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        if mixed.is_multiple_of(7) { f64::NAN } else { (mixed % 1000) as f64 / 8.0 - 50.0 }
    })
}

/// What a reduction of a name gives for a line of values.
fn one(name: &str, line: &[f64]) -> f64 {
    let (name, skip) = name.strip_prefix("nan").map_or((name, false), |rest| (rest, true));
    let line: Vec<f64> = line.iter().copied().filter(|x| !(skip && x.is_nan())).collect();
    let (n, sum) = (line.len() as f64, line.iter().sum::<f64>());
    let least = |a: f64, b: &f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(*b) };
    let most = |a: f64, b: &f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(*b) };
    let some = |x: f64| if line.is_empty() { f64::NAN } else { x };
    let variance = || line.iter().map(|x| (x - sum / n).powi(2)).sum::<f64>() / n;
    match name {
        "sum" => sum,
        "mean" => sum / n,
        "min" => some(line.iter().fold(f64::INFINITY, least)),
        "max" => some(line.iter().fold(f64::NEG_INFINITY, most)),
        "var" => variance(),
        "std" => variance().sqrt(),
        "count" => line.iter().filter(|x| !x.is_nan()).count() as f64,
        "first" => line.first().copied().unwrap_or(f64::NAN),
        "last" => line.last().copied().unwrap_or(f64::NAN),
        _ if line.is_empty() || line.iter().any(|x| x.is_nan()) => f64::NAN,
        _ => {
            let mut sorted = line;
            sorted.sort_by(f64::total_cmp);
            let at = 0.5 * (sorted.len() - 1) as f64;
            (sorted[at.floor() as usize] + sorted[at.ceil() as usize]) / 2.0
        }
    }
}

/// The groups, by ascending label, in the place of the axis.
fn directly(x: &ArrayD<f64>, labels: &[i64], axis: usize, name: &str) -> ArrayD<f64> {
    let mut known: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0).collect();
    known.sort_unstable();
    known.dedup();
    let of_group = |label: &i64| {
        x.map_axis(Axis(axis), |line| {
            let own = line.iter().zip(labels).filter(|(_, own)| *own == label).map(|(x, _)| *x);
            one(name, &own.collect::<Vec<_>>())
        })
    };
    let found: Vec<ArrayD<f64>> = known.iter().map(of_group).collect();
    let views: Vec<_> = found.iter().map(|part| part.view()).collect();
    ndarray::stack(Axis(axis), &views).unwrap()
}

fn grouped(array: &Array, labels: &[i64], axis: usize, name: &str) -> Array {
    let groups = array.group_by(labels, axis).unwrap();
    let skip = name.starts_with("nan");
    match name.trim_start_matches("nan") {
        "first" => groups.first(skip),
        "last" => groups.last(skip),
        "median" => groups.median(skip),
        "quantile" => groups.quantile(0.5, QuantileMethod::Linear, skip),
        _ => groups.reduce(Reduce::named(name, 0.0).unwrap()),
    }
    .unwrap()
    .astype(blockwise_core::DType::F64)
}

fn assert_close(found: &ArrayD<f64>, expected: &ArrayD<f64>, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * (1.0 + b.abs());
        assert!(close, "{what}: {a} for {b} at {at}");
    }
}

const NAMES: &[&str] = &[
    "sum",
    "mean",
    "min",
    "max",
    "var",
    "std",
    "count",
    "first",
    "last",
    "median",
    "quantile",
    "nansum",
    "nanmean",
    "nanmin",
    "nanmax",
    "nanvar",
    "nanstd",
    "nanfirst",
    "nanlast",
    "nanmedian",
    "nanquantile",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn groups_are_those_of_a_direct_loop(
        shape in proptest::collection::vec(1_usize..14, 1..4),
        wide in proptest::option::of(200_usize..1400),
        chunks in proptest::collection::vec(1_u64..9, 3),
        axis in 0_usize..3,
        seed in any::<u64>(),
        distinct in 1_u64..9,
        sorted in any::<bool>(),
    ) {
        let mut shape = shape;
        let axis = axis % shape.len();
        let mut chunks = chunks[..shape.len()].to_vec();
        // Rows that are longer than a tile now and then.
        if let (Some(wide), Some(last)) = (wide, shape.last_mut()) {
            *last = wide;
            *chunks.last_mut().unwrap() *= 97;
        }
        let x = values(&shape);
        let mut state = seed;
        let mut labels: Vec<i64> = (0..shape[axis]).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % distinct as i64 * 3 - i64::from(state >> 61 == 0)
        }).collect();
        if labels.iter().all(|label| *label < 0) {
            labels[0] = 5;
        }
        if sorted {
            labels.sort_unstable();
        }
        let array = Array::from_ndarray(&x).unwrap().rechunk(&ChunkGrid::regular(
            &shape.iter().map(|n| *n as u64).collect::<Vec<_>>(), &chunks).unwrap()).unwrap();
        let arrays: Vec<Array> = NAMES.iter().map(|name| grouped(&array, &labels, axis, name)).collect();
        for (name, found) in NAMES.iter().zip(&arrays) {
            let expected = directly(&x, &labels, axis, name);
            assert_close(&found.compute::<f64>().unwrap(), &expected, name);
        }
        // The same bits with one thread and with several.
        for name in ["nanmean", "var"] {
            let found = grouped(&array, &labels, axis, name);
            let bits = |threads| -> Vec<u64> {
                let session = Session::new(resources(1 << 28, threads));
                session.compute::<f64>(&found).unwrap().iter().map(|x| x.to_bits()).collect()
            };
            prop_assert_eq!(bits(1), bits(5));
        }
        // What is spread back stands where its label is.
        let groups = array.group_by(&labels, axis).unwrap();
        let anomaly = groups.anomaly().unwrap();
        prop_assert_eq!(anomaly.grid(), array.grid());
        let means = directly(&x, &labels, axis, "nanmean");
        let mut left = x.clone();
        for (at, mut row) in left.axis_iter_mut(Axis(axis)).enumerate() {
            match groups.labels().binary_search(&labels[at]) {
                Ok(group) => row -= &means.index_axis(Axis(axis), group),
                Err(_) => row.fill(f64::NAN),
            }
        }
        assert_close(&anomaly.compute::<f64>().unwrap(), &left, "anomaly");
    }
}

#[test]
fn integers_keep_their_types() {
    let x = Array::arange_i64(0, 12, 1).unwrap().rechunk([5]).unwrap();
    let groups = x.group_by(&[0, 1, 0, 1, 0, 1, 9, 9, 9, 9, -1, 9], 0).unwrap();
    assert_eq!(groups.sum().unwrap().compute::<i64>().unwrap().as_slice(), Some(&[6, 9, 41][..]));
    assert_eq!(groups.max().unwrap().compute::<i64>().unwrap().as_slice(), Some(&[4, 5, 11][..]));
    assert_eq!(groups.first(true).unwrap().compute::<i64>().unwrap().as_slice(), Some(&[0, 1, 6][..]));
    assert_eq!(groups.last(false).unwrap().compute::<i64>().unwrap().as_slice(), Some(&[4, 5, 11][..]));
    assert_eq!(groups.mean().unwrap().compute::<f64>().unwrap().as_slice(), Some(&[2.0, 3.0, 8.2][..]));
    assert!(groups.reduce(Reduce::named("argmax", 0.0).unwrap()).is_err());
    assert!(x.group_by(&[1, 2], 0).is_err());
    assert!(x.spread(&[12], 0).is_err());
}

/// Chunks of 4 x 6 x 10 are read as they are, and each time that costs.
fn stored() -> (Arc<Stubborn>, Array) {
    let grid = ChunkGrid::regular(&[24, 6, 10], &[4, 6, 10]).unwrap();
    let elements: Vec<u32> = (0..24 * 60).map(|n| n * 7 % 101).collect();
    let source = Arc::new(Stubborn::new(grid, &elements));
    let array = Array::from_source(Arc::clone(&source) as Arc<dyn blockwise_core::Source>);
    (source, array)
}

#[test]
fn several_reductions_of_groups_read_every_chunk_once() {
    let (source, x) = stored();
    let labels: Vec<i64> = (0..24).map(|n| n % 12).collect();
    let groups = x.group_by(&labels, 0).unwrap();
    let session = Session::new(resources(64 << 20, 2));
    let results = [groups.mean(), groups.std(), groups.max(), x.group_by(&labels, 0).unwrap().sum()];
    let results: Vec<Array> = results.into_iter().collect::<Result<_, _>>().unwrap();
    session.compute_many(&results).unwrap();
    assert_eq!(source.reads.load(Ordering::Relaxed), 6);
}

#[test]
fn an_anomaly_reads_every_chunk_twice_and_stores_nothing_of_its_size() {
    let (source, x) = stored();
    let labels: Vec<i64> = (0..24).map(|n| n % 12).collect();
    let anomaly = x.group_by(&labels, 0).unwrap().anomaly().unwrap();
    let session = Session::new(resources(64 << 20, 2));
    let sink = Arc::new(MemoryArray::zeros("anomaly", anomaly.dtype(), anomaly.grid().clone()).unwrap());
    let plan = session.plan(&[(anomaly, sink as Arc<dyn blockwise_core::Sink>)]).unwrap();
    let summary = plan.summary();
    assert_eq!(summary.stages.len(), 2, "{summary}");
    assert!(summary.to_string().contains("mean of 12 groups along axis 0"), "{summary}");
    assert_eq!(summary.stages[1].chunks_written, 6);
    session.run(&plan).unwrap();
    assert!(source.reads.load(Ordering::Relaxed) <= 12);
}

#[test]
fn states_before_their_turn_stay_within_the_budget() {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    static BEFORE_THE_FIRST: AtomicU64 = AtomicU64::new(0);
    /// The first chunk comes long after the others could have.
    fn slow_at_first(index: &[u64]) -> blockwise_core::Result<()> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        if index == [0, 0] {
            std::thread::sleep(Duration::from_millis(800));
            BEFORE_THE_FIRST.store(STARTED.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok(())
    }
    let (count, cells) = (64, 1 << 16);
    let grid = ChunkGrid::regular(&[count, cells], &[1, cells]).unwrap();
    let elements: Vec<u32> = (0..count * cells).map(|n| (n % 1009) as u32).collect();
    let source = Stubborn { fault: Some(slow_at_first), ..Stubborn::new(grid, &elements) };
    let array = Array::from_source(Arc::new(source));
    let mean = array.group_by(&vec![0; count as usize], 0).unwrap().mean().unwrap();
    let found = Session::new(resources(16 << 20, 2)).compute::<f64>(&mean).unwrap();
    let first: f64 = (0..count).map(|row| ((row * cells) % 1009) as f64).sum::<f64>() / count as f64;
    assert_eq!(found[[0, 0]], first);
    let before = BEFORE_THE_FIRST.load(Ordering::Relaxed);
    assert!((2..16).contains(&before), "{before} of {count} chunks were read before the first");
}
