//! Arrays computed end to end: values against plain loops, whatever the chunks, budget and threads.

use crate::support::{Resumed, Stubborn};
use blockwise_core::array::{Axes, Index, Reduce};
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::Resources;
use blockwise_core::{Array, ChunkGrid, DType, Session};
use ndarray::{Array2, ArrayD, Axis, IxDyn, concatenate, s};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn session(budget_bytes: u64, threads: usize) -> Session {
    Session::new(Resources {
        budget_bytes,
        threads,
        spill_folder: std::env::temp_dir(),
        spill_limit_bytes: None,
        engine: None,
        device: None,
    })
}

fn field(shape: (usize, usize), chunk: [u64; 2]) -> (Array2<f64>, Array) {
    let values = Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 17) % 101) as f64 * 0.37 - 3.0);
    let grid = ChunkGrid::regular(&[shape.0 as u64, shape.1 as u64], &chunk).unwrap();
    let source = MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap();
    (values, Array::from_source(Arc::new(source)))
}

#[test]
fn an_anomaly_is_computed_in_two_reads() {
    let (values, x) = field((40, 60), [7, 13]);
    let anomaly = &x - x.mean(0).unwrap();
    let expected = &values - &values.mean_axis(Axis(0)).unwrap();
    for (budget, threads) in [(1 << 20, 1), (1 << 20, 3), (70_000, 2)] {
        let found = session(budget, threads).compute::<f64>(&anomaly).unwrap();
        let difference = (&found - &expected.clone().into_dyn()).mapv(f64::abs);
        assert!(difference.iter().all(|d| *d < 1e-12), "budget {budget}");
    }
}

#[test]
fn views_are_folded_into_what_is_read() {
    let (values, x) = field((40, 60), [7, 13]);
    let step = |start, stop, step| Index::Slice { start, stop, step };
    let seen = x.index(&[step(Some(3), None, 2), step(None, None, -3)]).unwrap();
    let sum = (&seen + x.index(&[step(None, Some(19), 1), step(Some(1), Some(21), 1)]).unwrap())
        .transpose(..)
        .unwrap();
    let expected = (&values.slice(s![3..;2, ..;-3]) + &values.slice(s![..19, 1..21])).reversed_axes();
    let found = session(1 << 20, 2).compute::<f64>(&sum).unwrap();
    assert_eq!(found, expected.as_standard_layout().into_owned().into_dyn());
}

#[test]
fn results_of_one_source_are_computed_together() {
    let (values, x) = field((40, 60), [7, 13]);
    let named = |name, axes: Axes| x.reduce(Reduce::named(name, 0.0).unwrap(), axes, false).unwrap();
    let arrays = [
        named("mean", Axes::All),
        named("std", Axes::All),
        named("min", Axes::All),
        named("max", Axes::All),
        named("mean", 0.into()),
    ];
    let session = session(1 << 20, 2);
    let sinks: Vec<Arc<MemoryArray>> = arrays
        .iter()
        .map(|a| Arc::new(MemoryArray::zeros("r", a.dtype(), a.grid().clone()).unwrap()))
        .collect();
    let targets: Vec<(Array, Arc<dyn blockwise_core::Sink>)> =
        arrays.iter().cloned().zip(sinks.iter().map(|s| Arc::clone(s) as _)).collect();
    let plan = session.plan(&targets).unwrap();
    assert_eq!(plan.summary().stages.len(), 1, "{}", plan.summary());
    assert_eq!(plan.summary().sources[0].passes, 1);
    session.run(&plan).unwrap();
    let scalar = |n: usize| sinks[n].to_elements::<f64>().unwrap()[0];
    assert!((scalar(0) - values.mean().unwrap()).abs() < 1e-12);
    assert!((scalar(1) - values.std(0.0)).abs() < 1e-12);
    assert_eq!(scalar(2), values.iter().copied().fold(f64::INFINITY, f64::min));
    assert_eq!(scalar(3), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
}

#[test]
fn bits_do_not_depend_on_threads_or_budget() {
    let (_, x) = field((90, 64), [4, 9]);
    let y = ((&x * 1.1).exp().unwrap() / 3.0).sum(..).unwrap();
    let z = (&x * &x).std(1).unwrap().sum(0).unwrap();
    let expected: Vec<u64> = [&y, &z].map(|a| a.compute::<f64>().unwrap()[[]].to_bits()).into();
    for threads in [1, 2, 4] {
        for budget in [60_000, 200_000, 1 << 24] {
            let session = session(budget, threads);
            let found: Vec<u64> = [&y, &z].map(|a| session.compute::<f64>(a).unwrap()[[]].to_bits()).into();
            assert_eq!(found, expected, "{threads} threads, {budget} bytes");
        }
    }
}

#[test]
fn a_rechunked_result_goes_through_the_disk_when_it_must() {
    let (values, x) = field((128, 128), [4, 128]);
    let cut = (&x + 1.0).rechunk([128, 4]).unwrap();
    let grid = cut.grid().clone();
    // 128 KiB of elements, of which the budget holds a third.
    let session = session(45_000, 1);
    let sink = Arc::new(MemoryArray::zeros("out", DType::F64, grid).unwrap());
    let plan = session.plan(&[(cut, Arc::clone(&sink) as _)]).unwrap();
    assert!(plan.summary().temporary_bytes > 0, "{}", plan.summary());
    session.run(&plan).unwrap();
    let found = ArrayD::from_shape_vec(IxDyn(&[128, 128]), sink.to_elements::<f64>().unwrap()).unwrap();
    assert_eq!(found, (&values + 1.0).into_dyn());
}

#[test]
fn what_the_budget_holds_is_read_once() {
    let elements: Vec<u32> = (0..65536).map(|n| n * 7 % 1000).collect();
    let reads_of = |budget_bytes: u64, is_plain: bool| {
        let grid = ChunkGrid::regular(&[64, 1024], &[4, 1024]).unwrap();
        let source = Arc::new(Stubborn { is_plain, ..Stubborn::new(grid, &elements) });
        let x = Array::from_source(Arc::clone(&source) as _);
        let anomaly = &x - x.mean(0).unwrap();
        let found = session(budget_bytes, 1).compute::<f64>(&anomaly.sum(..).unwrap()).unwrap();
        assert!(found[[]].abs() < 1e-6);
        source.reads.load(Ordering::Relaxed)
    };
    let reads = |budget_bytes| reads_of(budget_bytes, false);
    assert_eq!(reads(1 << 20), 16, "everything fits");
    let some = reads(300_000);
    assert!((17..32).contains(&some), "{some} reads: as much as fits is kept");
    assert_eq!(reads_of(1 << 20, true), 32, "the system holds what lies in files as it is");
}

#[test]
fn a_plan_can_be_seen() {
    let (_, x) = field((40, 60), [7, 13]);
    let anomaly = &x - x.mean(0).unwrap();
    let session = session(1 << 20, 2);
    let sink = Arc::new(MemoryArray::zeros("anomaly", DType::F64, x.grid().clone()).unwrap());
    let plan = session.plan(&[(anomaly, sink as _)]).unwrap();
    assert_eq!(
        plan.to_dot(),
        r##"digraph plan {
  rankdir=LR;
  node [fontname="sans-serif"];
  n0 [label="x\nfloat64 [40, 60]", shape=cylinder];
  n1 [label="stage 1: mean over axes [0]\n30 tasks of [7, 13]\nwithin 51.8 KiB", shape=box, style=filled, fillcolor="#dbe9f6"];
  n2 [label="intermediate result\nfloat64 [60]", shape=cylinder];
  n3 [label="stage 2: write anomaly\n30 tasks of [7, 13]\nwithin 83.4 KiB", shape=box, style=filled, fillcolor="#dbe9f6"];
  n4 [label="anomaly\nfloat64 [40, 60]", shape=cylinder];
  n0 -> n1;
  n1 -> n2;
  n0 -> n3;
  n2 -> n3;
  n3 -> n4;
}
"##
    );
    let svg = plan.to_svg();
    assert!(svg.starts_with("<svg") && svg.matches("<rect").count() == 5, "{svg}");
}

#[test]
fn a_source_seen_in_two_ways_is_accounted_once() {
    let elements: Vec<u32> = (0..65536).map(|n| n * 7 % 1000).collect();
    let grid = ChunkGrid::regular(&[64, 1024], &[4, 1024]).unwrap();
    let x = Array::from_source(Arc::new(Stubborn::new(grid, &elements)));
    // Both ways of seeing it are read in both stages; dev builds check that all reservations come back.
    let y = x.flip(0).unwrap() + &x * 2;
    let centred = (&y - y.mean(0).unwrap()).sum(..).unwrap();
    for budget in [300_000, 1 << 20] {
        let sum = session(budget, 2).compute::<f64>(&centred).unwrap();
        assert!(sum[[]].abs() < 1e-6);
    }
}

#[test]
fn a_resumed_computation_makes_all_that_it_reads() {
    let (values, x) = field((40, 60), [7, 13]);
    // A stored part, a reduction and an input that is cut first: stages whose boxes are not those of the result.
    let joined = Array::concatenate(&[&x + 1.0, x.clone()], 0).unwrap();
    let lower = concatenate(Axis(0), &[(&values + 1.0).view(), values.view()]).unwrap();
    let cases = [
        (joined.slice(0, 5..45).unwrap(), lower.slice(s![5..45, ..]).to_owned()),
        (&x - x.mean(0).unwrap(), &values - &values.mean_axis(Axis(0)).unwrap()),
        ((&x + 1.0).rechunk([40, 3]).unwrap(), &values + 1.0),
    ];
    for ((array, expected), budget_bytes) in cases.iter().zip([1 << 20, 1 << 20, 66_000]) {
        let inner = MemoryArray::zeros("out", DType::F64, array.grid().clone()).unwrap();
        let committed: fn(&[u64]) -> bool = |index| index.iter().sum::<u64>() % 2 == 0;
        let sink = Arc::new(Resumed { inner, committed, writes: AtomicU64::new(0) });
        session(budget_bytes, 2).store(&[(array.clone(), Arc::clone(&sink) as _)]).unwrap();
        let found = Array2::from_shape_vec((40, 60), sink.inner.to_elements::<f64>().unwrap()).unwrap();
        for index in array.grid().indices() {
            let region = array.grid().region(&index).unwrap();
            let at = [region.origin()[0] as usize, region.origin()[1] as usize];
            let wanted = if committed(&index) { 0.0 } else { expected[at] };
            assert!((found[at] - wanted).abs() < 1e-12, "{index:?}: {} and not {wanted}", found[at]);
        }
    }
}
