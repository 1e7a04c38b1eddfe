//! Elements at listed positions beside plain loops, over random cuts, budgets and threads; what is not wanted is not
//! read.

use crate::support::{Stubborn, resources};
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, Session};
use ndarray::{ArrayD, Axis, IxDyn};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SHAPE: [usize; 3] = [7, 90, 11];

fn values() -> ArrayD<i64> {
    ArrayD::from_shape_fn(IxDyn(&SHAPE), |at| (at[0] * 10_000 + at[1] * 100 + at[2]) as i64)
}

fn stored(chunk: [u64; 3], computed: bool) -> Array {
    let grid = ChunkGrid::regular(&SHAPE.map(|n| n as u64), &chunk).unwrap();
    let source = MemoryArray::from_elements("x", grid, values().as_slice().unwrap()).unwrap();
    let array = Array::from_source(Arc::new(source));
    if computed { (array + 1) - 1 } else { array }
}

fn chunks() -> impl Strategy<Value = [u64; 3]> {
    (1_u64..8, 1_u64..91, 1_u64..12).prop_map(|(a, b, c)| [a, b, c])
}

/// Positions along an axis of 90: few or many, in order, nearly in order or in none.
fn positions() -> impl Strategy<Value = Vec<i64>> {
    let any = || prop::collection::vec(-90_i64..90, 0..300);
    prop_oneof![
        any(),
        any().prop_map(|mut list| {
            list.sort_unstable_by_key(|at| at.rem_euclid(90));
            list
        }),
        any().prop_map(|mut list| {
            list.sort_unstable_by_key(|at| at.rem_euclid(90) / 8);
            list
        }),
        prop::collection::vec(0_i64..5, 200..3000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn taken_and_deleted_by_definition(
        chunk in chunks(), list in positions(), computed in any::<bool>(), threads in 1_usize..4,
    ) {
        let (x, values) = (stored(chunk, computed), values());
        let session = Session::new(resources(1 << 22, threads));
        let places: Vec<usize> = list.iter().map(|at| at.rem_euclid(90) as usize).collect();
        let taken = session.compute::<i64>(&x.take(&list, 1).unwrap()).unwrap();
        prop_assert_eq!(taken, values.select(Axis(1), &places));
        let left: Vec<usize> = (0..90).filter(|at| !places.contains(at)).collect();
        let deleted = session.compute::<i64>(&x.delete(&list, 1).unwrap()).unwrap();
        prop_assert_eq!(deleted, values.select(Axis(1), &left));
    }

    #[test]
    fn points_by_definition(
        chunk in chunks(), points in prop::collection::vec((-90_i64..90, -11_i64..11), 0..120),
        computed in any::<bool>(), threads in 1_usize..4,
    ) {
        let (x, values) = (stored(chunk, computed), values());
        let (ys, xs): (Vec<i64>, Vec<i64>) = points.iter().copied().unzip();
        let found = x.with_names(&["t", "y", "x"]).unwrap().vindex(["x", "y"], &[&xs, &ys]).unwrap();
        prop_assert_eq!(found.names(), &[None, Some("t".to_owned())]);
        let found = Session::new(resources(1 << 22, threads)).compute::<i64>(&found).unwrap();
        prop_assert_eq!(found.shape(), &[points.len(), 7]);
        for ((n, t), value) in found.indexed_iter().map(|(at, value)| ((at[0], at[1]), value)) {
            let (y, x) = points[n];
            prop_assert_eq!(*value, values[[t, y.rem_euclid(90) as usize, x.rem_euclid(11) as usize]]);
        }
    }
}

#[test]
fn only_chunks_that_hold_something_are_read() {
    let elements: Vec<u32> = (0..1_000_000).collect();
    let source = Arc::new(Stubborn::new(ChunkGrid::regular(&[1000, 1000], &[10, 10]).unwrap(), &elements));
    let x = Array::from_source(Arc::clone(&source) as _);
    // 80 stations, no two in one chunk.
    let (ys, xs): (Vec<i64>, Vec<i64>) = (0..80).map(|n| (n * 12 % 1000, n * 371 % 1000)).unzip();
    let found = x.vindex([0, 1], &[&ys, &xs]).unwrap().compute::<u32>().unwrap();
    for ((y, x), value) in ys.iter().zip(&xs).zip(&found) {
        assert_eq!(*value, (y * 1000 + x) as u32);
    }
    assert_eq!(source.reads.swap(0, Ordering::Relaxed), 80);
    // 100 rows out of order, of half of the chunks.
    let rows: Vec<i64> = (0..100).map(|n| (n * 37 % 50) * 20 + n % 3).collect();
    let taken = x.take(&rows, 0).unwrap().compute::<u32>().unwrap();
    assert!(rows.iter().enumerate().all(|(n, row)| taken[[n, 999]] == (row * 1000 + 999) as u32));
    assert_eq!(source.reads.swap(0, Ordering::Relaxed), 5000);
}

#[test]
fn faults_are_named() {
    let x = stored([3, 9, 11], false);
    assert!(x.take(&[0, 90], 1).unwrap_err().to_string().contains("position 90 is outside axis 1"));
    assert!(x.take(&[i64::MIN], 1).is_err());
    assert!(
        x.vindex([0, 1], &[&[0, 1], &[0]]).unwrap_err().to_string().contains("[2, 1] positions for 2 axes")
    );
    assert!(x.vindex([0, 0], &[&[0], &[0]]).is_err());
    let none = x.slice(2, ..0).unwrap();
    assert_eq!(none.take(&[3; 500], 1).unwrap().shape(), [7, 500, 0]);
    assert_eq!(x.vindex([1], &[&[]]).unwrap().shape(), [0, 7, 11]);
}
