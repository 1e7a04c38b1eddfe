//! Arrays put together, against ndarray, over random cuts and budgets.

use blockwise_core::array::{Index, PadMode};
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::Resources;
use blockwise_core::{Array, ChunkGrid, Session};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis, Slice, concatenate};
use proptest::prelude::*;
use std::sync::Arc;

fn session(threads: usize) -> Session {
    Session::new(Resources {
        budget_bytes: 1 << 20,
        threads,
        spill_folder: std::env::temp_dir(),
        spill_limit_bytes: None,
        engine: None,
        device: None,
    })
}

fn field(rows: usize, columns: usize, chunk: [u64; 2], seed: i64) -> (ArrayD<i64>, Array) {
    let values = Array2::from_shape_fn((rows, columns), |(i, j)| seed + (i * 1000 + j) as i64);
    let grid = ChunkGrid::regular(&[rows as u64, columns as u64], &chunk).unwrap();
    let source = MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap();
    (values.into_dyn(), Array::from_source(Arc::new(source)))
}

/// NumPy's padding along an axis, position by position.
fn padded(x: &ArrayD<i64>, axis: usize, before: i64, after: i64, mode: PadMode) -> ArrayD<i64> {
    let n = x.shape()[axis] as i64;
    let at = |i: i64| match mode {
        PadMode::Constant(_) => (0..n).contains(&i).then_some(i),
        PadMode::Edge => Some(i.clamp(0, n - 1)),
        PadMode::Wrap => Some(i.rem_euclid(n)),
        PadMode::Symmetric => {
            let k = i.rem_euclid(2 * n);
            Some(if k < n { k } else { 2 * n - 1 - k })
        }
        PadMode::Reflect if n == 1 => Some(0),
        PadMode::Reflect => {
            let k = i.rem_euclid(2 * (n - 1));
            Some(if k < n { k } else { 2 * (n - 1) - k })
        }
    };
    let slices: Vec<ArrayD<i64>> = (-before..n + after)
        .map(|i| match at(i) {
            Some(k) => x.slice_axis(Axis(axis), Slice::from(k as usize..k as usize + 1)).to_owned(),
            None => x.slice_axis(Axis(axis), Slice::from(0..1)).mapv(|_| -7),
        })
        .collect();
    let views: Vec<ArrayViewD<'_, i64>> = slices.iter().map(|slice| slice.view()).collect();
    concatenate(Axis(axis), &views).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn padding_rolling_and_joining_are_numpys(
        rows in 1_usize..9, columns in 1_usize..9, chunk in (1_u64..5, 1_u64..5), axis in 0_usize..2,
        before in 0_u64..12, after in 0_u64..12, shift in -20_i64..20, which in 0_usize..5,
        step in prop_oneof![-3_i64..0, 1_i64..4], computed in any::<bool>(), threads in 1_usize..4,
    ) {
        let (values, x) = field(rows, columns, [chunk.0, chunk.1], 0);
        let (values, x) = if computed { (&values * 2, &x * 2) } else { (values, x) };
        let mode = [PadMode::Constant((-7_i64).into()), PadMode::Edge, PadMode::Reflect, PadMode::Symmetric, PadMode::Wrap][which];
        let expected = padded(&values, axis, before as i64, after as i64, mode);
        let found = x.pad(axis, before, after, mode).unwrap();
        prop_assert_eq!(&session(threads).compute::<i64>(&found).unwrap(), &expected);
        // A view of it, and more on top.
        let item = Index::Slice { start: None, stop: None, step };
        let seen = (found.slice(axis, item).unwrap().transpose(..).unwrap() + 1).rechunk([2, 3]).unwrap();
        let expected = expected.slice_axis(Axis(axis), Slice::new(0, None, step as isize)).reversed_axes().mapv(|v| v + 1);
        prop_assert_eq!(session(threads).compute::<i64>(&seen).unwrap(), expected);

        let rolled = session(threads).compute::<i64>(&x.roll(shift, axis).unwrap()).unwrap();
        let n = values.shape()[axis] as i64;
        let cut = (-shift).rem_euclid(n) as usize;
        let (a, b) = values.view().split_at(Axis(axis), cut);
        prop_assert_eq!(rolled, concatenate(Axis(axis), &[b, a]).unwrap());

        let picked = x.take(&[0, -1, 0, 0], axis).unwrap();
        let expected = values.select(Axis(axis), &[0, n as usize - 1, 0, 0]);
        prop_assert_eq!(session(threads).compute::<i64>(&picked).unwrap(), expected);
    }
}

#[test]
fn single_elements_of_what_is_joined_are_those_of_the_whole() {
    let (_, x) = field(3, 4, [2, 3], 0);
    let pad = |mode| x.pad(1, 3, 2, mode).unwrap();
    let joined = [
        Array::concatenate(&[x.clone(), x.slice(0, 2..).unwrap()], 0).unwrap(),
        Array::stack(&[x.clone(), &x * 2], 1).unwrap(),
        x.roll(3, 1).unwrap(),
        x.tile(2, 0).unwrap(),
        pad(PadMode::Constant((-7_i64).into())),
        pad(PadMode::Edge),
        pad(PadMode::Reflect),
        pad(PadMode::Symmetric),
        pad(PadMode::Wrap),
        x.insert(1, &x.slice(0, ..1).unwrap(), 0).unwrap(),
        x.delete(&[1], 0).unwrap(),
        x.take(&[2, 0, 1], 0).unwrap(),
    ];
    for (number, joined) in joined.iter().enumerate() {
        let whole = session(2).compute::<i64>(joined).unwrap();
        for (at, expected) in whole.indexed_iter() {
            let items: Vec<Index> = (0..whole.ndim()).map(|axis| Index::At(at[axis] as i64)).collect();
            let found = session(1).compute::<i64>(&joined.index(&items).unwrap()).unwrap();
            assert_eq!(found.first(), Some(expected), "array {number} at {at:?}");
        }
    }
}

#[test]
fn what_is_joined_is_reduced_in_one_stage() {
    let (a, x) = field(10, 8, [3, 8], 0);
    let (b, y) = field(6, 8, [4, 8], 500);
    let both = Array::concatenate(&[x, y], 0).unwrap();
    let expected: Vec<i64> =
        concatenate(Axis(0), &[a.view(), b.view()]).unwrap().sum_axis(Axis(0)).into_iter().collect();
    let found = session(2).compute::<i64>(&both.sum(0).unwrap()).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn reshaping_keeps_c_order(
        factors in proptest::collection::vec(1_u64..6, 1..5), split in 0_usize..5, chunk in (1_u64..5, 1_u64..5),
        computed in any::<bool>(), threads in 1_usize..3, flip in any::<bool>(),
    ) {
        let at = split.min(factors.len());
        let (rows, columns) = (factors[..at].iter().product::<u64>(), factors[at..].iter().product::<u64>());
        let (values, x) = field(rows as usize, columns as usize, [chunk.0, chunk.1], 3);
        let (values, x) = if computed { (&values + 1, &x + 1) } else { (values, x) };
        let shape: Vec<i64> = factors.iter().map(|n| *n as i64).collect();
        let expected = values.to_shape(factors.iter().map(|n| *n as usize).collect::<Vec<_>>()).unwrap().to_owned();
        let found = x.reshape(&shape).unwrap();
        prop_assert_eq!(&session(threads).compute::<i64>(&found).unwrap(), &expected);
        // Seen otherwise, computed with, and back.
        let other = if flip { found.flip(..).unwrap() } else { found };
        let back = (&other + &other).ravel().unwrap();
        let mut flat: Vec<i64> = expected.iter().map(|v| 2 * v).collect();
        if flip {
            flat.reverse();
        }
        prop_assert_eq!(session(threads).compute::<i64>(&back).unwrap().into_raw_vec_and_offset().0, flat);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn masks_pick_in_c_order(
        rows in 1_usize..9, columns in 1_usize..9, chunk in (1_u64..5, 1_u64..5), modulus in 2_i64..40,
        threads in 1_usize..3, start in 0_i64..9, step in prop_oneof![-3_i64..0, 1_i64..4],
    ) {
        let (values, x) = field(rows, columns, [chunk.0, chunk.1], 0);
        let mask = Array::call("equal", [(&x % modulus).into(), 0.into()]).unwrap();
        let found = session(threads).compress(&(&x + 1), &mask).unwrap();
        let expected: Vec<i64> = values.iter().filter(|v| *v % modulus == 0).map(|v| v + 1).collect();
        prop_assert_eq!(session(threads).compute::<i64>(&found).unwrap().into_raw_vec_and_offset().0, expected);
        let places = session(threads).nonzero(&mask).unwrap();
        let expected: Vec<i64> = values.indexed_iter().filter(|(_, v)| **v % modulus == 0).map(|(at, _)| at[1] as i64).collect();
        prop_assert_eq!(session(threads).compute::<i64>(&places[1]).unwrap().into_raw_vec_and_offset().0, expected);

        let item = Index::Slice { start: Some(start), stop: None, step };
        let mut expected = values.clone();
        let selected = x.index(&[0.into(), item]).unwrap();
        let count = selected.shape()[0] as i64;
        let first = if step < 0 { start.min(columns as i64 - 1) } else { start };
        for n in 0..count {
            expected[[0, (first + n * step) as usize]] = -5;
        }
        let assigned = x.assign(&[0.into(), item], -5).unwrap();
        prop_assert_eq!(&session(threads).compute::<i64>(&assigned).unwrap(), &expected);
        if step.abs() == 1 {
            let negated = x.assign(&[0.into(), item], -&selected).unwrap();
            let mut expected = values.clone();
            for n in 0..count {
                let at = [0, (first + n * step) as usize];
                expected[at.as_slice()] = -values[at.as_slice()];
            }
            prop_assert_eq!(&session(threads).compute::<i64>(&negated).unwrap(), &expected);
        }
    }
}
