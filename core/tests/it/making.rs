//! Functions of whole blocks whose results one stage alone uses: its tasks make them, once each, without a temporary array.

use crate::support::resources;
use blockwise_core::{Array, ChunkGrid, Session, memory::MemoryArray};
use ndarray::{ArrayD, ArrayViewD};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An array of 12 x 30 in 24 chunks, and its double by a function that counts its calls.
struct Counted {
    x: Array,
    doubled: Array,
    calls: Arc<AtomicU64>,
}

impl Counted {
    fn new() -> Self {
        let elements: Vec<f64> = (0..360).map(|n| f64::from(n * 37 % 101)).collect();
        let grid = ChunkGrid::regular(&[12, 30], &[2, 8]).unwrap();
        let x = Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, &elements).unwrap()));
        let calls = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&calls);
        let doubled = x
            .map_blocks(move |block: ArrayViewD<'_, f64>| {
                counter.fetch_add(1, Ordering::Relaxed);
                block.mapv(|x| 2.0 * x)
            })
            .unwrap();
        Self { x, doubled, calls }
    }

    /// Stages and temporary bytes of the plan that computes these together, calls made, and results.
    fn run(&self, arrays: &[Array]) -> (usize, u64, u64, Vec<ArrayD<f64>>) {
        let session = Session::new(resources(1 << 20, 3));
        let plan = session.explain(arrays).unwrap();
        let stages = plan.summary().stages.len();
        self.calls.store(0, Ordering::Relaxed);
        let results = session.compute_many(arrays).unwrap();
        let results = results.iter().zip(arrays).map(|(result, array)| {
            let shape: Vec<usize> = array.shape().iter().map(|n| *n as usize).collect();
            ArrayD::from_shape_vec(shape, result.to_elements::<f64>().unwrap()).unwrap()
        });
        let results = results.collect();
        (stages, plan.summary().temporary_bytes, self.calls.load(Ordering::Relaxed), results)
    }

    fn expected(&self) -> ArrayD<f64> {
        self.x.compute::<f64>().unwrap() * 2.0
    }
}

#[test]
fn one_stage_makes_what_it_reduces() {
    let counted = Counted::new();
    let (stages, temporary_bytes, calls, results) =
        counted.run(&[(&counted.doubled + 1.0).sum(0).unwrap(), counted.doubled.max(..).unwrap()]);
    assert_eq!((stages, temporary_bytes, calls), (1, 0, 24));
    let expected = counted.expected();
    assert_eq!(results[0], (&expected + 1.0).sum_axis(ndarray::Axis(0)).into_dyn());
    assert_eq!(results[1].sum(), expected.iter().copied().fold(0.0, f64::max));
}

#[test]
fn functions_of_functions_are_made_in_one_task() {
    let counted = Counted::new();
    let twice = (&counted.doubled - &counted.x)
        .map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(|x| x * x))
        .unwrap();
    let (stages, temporary_bytes, calls, results) = counted.run(&[&twice + &counted.doubled]);
    assert_eq!((stages, temporary_bytes, calls), (1, 0, 24));
    let expected = counted.expected();
    assert_eq!(results[0], expected.mapv(|x| x * x / 4.0 + x));
}

#[test]
fn what_several_stages_use_is_made_once_and_kept() {
    let counted = Counted::new();
    let mean = counted.doubled.mean(..).unwrap();
    let (stages, _, calls, results) = counted.run(&[&counted.doubled - &mean]);
    assert_eq!((stages, calls), (3, 24));
    let expected = counted.expected();
    let mean = expected.sum() / 360.0;
    assert!(results[0].iter().zip(&expected).all(|(found, x)| (found - (x - mean)).abs() < 1e-12));
}

#[test]
fn what_is_seen_otherwise_than_made_is_kept() {
    let counted = Counted::new();
    // Turned, shifted, cut otherwise, or looked at beyond the block: each needs other blocks than its own.
    let y = &counted.doubled;
    let others = [
        y.transpose(..).unwrap() + 1.0,
        y.slice(0, 1..).unwrap() + 1.0,
        y.rechunk([3, 30]).unwrap() + 1.0,
        y.filter().gaussian(&[1.0]).unwrap(),
        Array::concatenate(&[y.clone(), counted.x.clone()], 0).unwrap() + 1.0,
    ];
    for other in others {
        let (stages, _, calls, _) = counted.run(std::slice::from_ref(&other));
        assert_eq!((stages, calls), (2, 24), "{other:?}");
        // Nor is it made twice when a reduction would have it as it is.
        let (_, _, calls, results) = counted.run(&[other, y.sum(..).unwrap()]);
        assert_eq!(calls, 24);
        assert_eq!(results[1].sum(), counted.expected().sum());
    }
}

#[test]
fn tight_budgets_change_no_bits() {
    let elements: Vec<f64> = (0..1 << 16).map(|n| f64::from(n * 7919 % 65_521).sin()).collect();
    let grid = ChunkGrid::regular(&[256, 256], &[32, 64]).unwrap();
    let x = Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, &elements).unwrap()));
    let smooth = x.map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(f64::sqrt)).unwrap();
    let array = (&smooth * 3.0).mean(0).unwrap();
    let of = |budget_bytes: u64, threads: usize| {
        let session = Session::new(resources(budget_bytes, threads));
        let stages = session.explain(std::slice::from_ref(&array)).unwrap().summary().stages.len();
        (stages, session.compute::<f64>(&array).unwrap())
    };
    let (stages, wide) = of(16 << 20, 3);
    assert_eq!(stages, 1);
    let bits = |array: &ArrayD<f64>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut apart = 0;
    for budget_bytes in (40..400).step_by(8).map(|kib| kib << 10) {
        let session = Session::new(resources(budget_bytes, 3));
        if session.explain(std::slice::from_ref(&array)).is_err() {
            continue;
        }
        let (stages, narrow) = of(budget_bytes, 3);
        apart += usize::from(stages > 1);
        assert_eq!(bits(&narrow), bits(&wide), "{budget_bytes} bytes");
    }
    assert!(apart > 0, "no budget was too small for making and reducing at once");
}
