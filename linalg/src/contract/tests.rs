//! Products by blocks against three loops: any cuts of factors and tasks, any dtype, any budget.

use super::{Roles, blocked, contract, tiles};
use blockwise_core::plan::Resources;
use blockwise_core::{Array, AxisGrid, ChunkGrid, DType, Session};
use ndarray::{Array2, ArrayD};
use proptest::prelude::*;

/// Small whole numbers that look random; their sums are exact in any dtype.
fn numbers(shape: &[u64], chunk: &[u64], seed: u64) -> Array {
    let element = move |at: &[u64]| {
        let mixed = at.iter().fold(seed, |mixed, n| (mixed ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        ((mixed >> 40) % 4) as i64
    };
    let array = Array::from_fn(shape, element).unwrap();
    array.rechunk(chunk).unwrap()
}

/// `a @ b` of stacks of matrices, whose batch axes are equal or 1.
fn naive(a: &ArrayD<i64>, b: &ArrayD<i64>, batch: usize) -> ArrayD<i64> {
    let (a_shape, b_shape) = (a.shape(), b.shape());
    let (rows, inner, columns) = (a_shape[batch], a_shape[batch + 1], b_shape[batch + 1]);
    let mut shape: Vec<usize> = (0..batch).map(|n| a_shape[n].max(b_shape[n])).collect();
    shape.extend([rows, columns]);
    ArrayD::from_shape_fn(shape, |at| {
        let place = |shape: &[usize], i: usize, j: usize| {
            let mut place: Vec<usize> = (0..batch).map(|n| if shape[n] == 1 { 0 } else { at[n] }).collect();
            place.extend([i, j]);
            place
        };
        let (i, j) = (at[batch], at[batch + 1]);
        (0..inner).map(|k| a[&place(a_shape, i, k)[..]] * b[&place(b_shape, k, j)[..]]).sum()
    })
}

const DTYPES: [DType; 14] = [
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
    DType::C64,
    DType::C128,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn products_of_any_cuts_are_those_of_loops(
        m in 0_u64..9, k in 0_u64..12, n in 0_u64..9, stack in (1_u64..4, 1_u64..3),
        broadcast in 0_usize..4, chunks in prop::collection::vec(1_u64..6, 8),
        tiles in prop::collection::vec(1_u64..6, 5), dtype in 0..DTYPES.len(),
    ) {
        let dtype = DTYPES[dtype];
        let one_of = |on: bool, length: u64| if on { 1 } else { length };
        let a_shape = [one_of(broadcast & 1 == 1, stack.0), stack.1, m, k];
        let b_shape = [stack.0, one_of(broadcast & 2 == 2, stack.1), k, n];
        let (a, b) = (numbers(&a_shape, &chunks[..4], 1), numbers(&b_shape, &chunks[4..], 2));
        let roles = Roles { batch: 2, rows: 1, inner: 1, columns: 1 };
        let expected = naive(&a.compute::<i64>().unwrap(), &b.compute::<i64>().unwrap(), 2);
        let product = contract(&a.astype(dtype), &b.astype(dtype), roles, dtype).unwrap();
        prop_assert_eq!(product.dtype(), dtype);
        let wrapped = ArrayD::from_shape_fn(expected.raw_dim(), |at| match dtype {
            DType::I8 => i64::from(expected[&at] as i8),
            _ => expected[&at],
        });
        prop_assert_eq!(product.astype(DType::I64).compute::<i64>().unwrap(), wrapped);
        // Cut by hand: several blocks along every axis.
        let extents = [stack.0, stack.1, m, k, n];
        let cuts = extents.iter().zip(&tiles).map(|(extent, tile)| AxisGrid::regular(*extent, *tile).unwrap());
        let tasks = ChunkGrid::from_axes(cuts.collect()).unwrap();
        let product = blocked(&a, &b, roles, DType::I64, tasks.clone()).unwrap();
        prop_assert_eq!(product.compute::<i64>().unwrap(), expected.clone());
        let (a, b) = (a.astype(DType::C64), b.astype(DType::C64));
        let product = blocked(&a, &b, roles, DType::C64, tasks).unwrap();
        prop_assert_eq!(product.astype(DType::I64).compute::<i64>().unwrap(), expected);
    }

    #[test]
    fn several_axes_are_as_one(
        lengths in prop::collection::vec(1_u64..5, 6), tiles in prop::collection::vec(1_u64..4, 6),
    ) {
        let [r, s, i, j, c, d] = lengths[..] else { unreachable!() };
        let (a, b) = (numbers(&[r, s, i, j], &[2, 3, 2, 2], 3), numbers(&[i, j, c, d], &[3, 1, 2, 2], 4));
        let cuts = lengths.iter().zip(&tiles).map(|(extent, tile)| AxisGrid::regular(*extent, *tile).unwrap());
        let roles = Roles { batch: 0, rows: 2, inner: 2, columns: 2 };
        let tasks = ChunkGrid::from_axes(cuts.collect()).unwrap();
        let product = blocked(&a, &b, roles, DType::I64, tasks).unwrap().compute::<i64>().unwrap();
        let flat = |array: &Array, rows: u64, columns: u64| {
            let elements = array.compute::<i64>().unwrap().into_raw_vec_and_offset().0;
            Array2::from_shape_vec((rows as usize, columns as usize), elements).unwrap()
        };
        let expected = flat(&a, r * s, i * j).dot(&flat(&b, i * j, c * d));
        let found = Array2::from_shape_vec(expected.dim(), product.into_raw_vec_and_offset().0).unwrap();
        prop_assert_eq!(found, expected);
    }
}

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

#[test]
fn a_small_budget_reads_the_factors_in_parts_and_changes_no_bit() {
    let roles = Roles { batch: 0, rows: 1, inner: 1, columns: 1 };
    let element = |at: &[u64]| ((at[0] * 7919 + at[1] * 104_729) % 1009) as f64 / 1009.0;
    let (a, b) =
        (Array::from_fn(&[400, 320], element).unwrap(), Array::from_fn(&[320, 360], element).unwrap());
    let (a, b) = (a.rechunk([50, 320]).unwrap(), b.rechunk([40, 90]).unwrap());
    let tasks = ChunkGrid::regular(&[400, 320, 360], &[40, 64, 45]).unwrap();
    let product = blocked(&a, &b, roles, DType::F64, tasks).unwrap();
    let expected = session(1 << 30, 3).compute::<f64>(&product).unwrap();
    let loops = a.compute::<f64>().unwrap().into_dimensionality::<ndarray::Ix2>().unwrap();
    let loops = loops.dot(&b.compute::<f64>().unwrap().into_dimensionality::<ndarray::Ix2>().unwrap());
    let off = expected.iter().zip(&loops).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(off < 1e-11, "{off}");

    // The working memory of faer is the same in every task; what else is held must be little.
    let packed = 8 << 20;
    for (threads, room, more_than_one) in [(1, 4 << 20, false), (1, 800 << 10, true), (2, 1200 << 10, true)] {
        let budget_bytes = packed * threads as u64 + room;
        let plan = session(budget_bytes, threads).explain(std::slice::from_ref(&product)).unwrap();
        let stages = &plan.summary().stages;
        assert_eq!(stages.len() > 1, more_than_one, "{threads} threads: {}", plan.summary());
        // The result is held beside what the plan takes.
        let session = session(budget_bytes + 400 * 360 * 8, threads);
        assert_eq!(session.compute::<f64>(&product).unwrap(), expected, "{threads} threads");
        // What a part reads is counted, and so are all tasks.
        assert_eq!(plan.summary().tasks, 10 * 5 * 8);
        let read: u64 = stages.iter().map(|stage| stage.bytes_read).sum();
        assert_eq!(read > (400 * 320 + 320 * 360) * 8, more_than_one);
        let written: u64 = stages.iter().map(|stage| stage.bytes_written).sum();
        assert_eq!(written, 400 * 360 * 8);
    }
}

#[test]
fn long_products_have_many_tasks_whose_results_add_up() {
    let x =
        Array::from_fn(&[300_000, 3], |at| ((at[0] + at[1]) % 5) as i32).unwrap().rechunk([1000, 3]).unwrap();
    let roles = Roles { batch: 0, rows: 1, inner: 1, columns: 1 };
    let flipped = x.transpose(..).unwrap();
    assert!(tiles::tasks(&flipped, &x, roles).unwrap().chunk_count() > 2);
    let product = contract(&flipped, &x, roles, DType::I32).unwrap().compute::<i32>().unwrap();
    assert_eq!(product[[0, 0]], 60_000 * (1 + 4 + 9 + 16));
    assert_eq!((product[[0, 1]], product[[1, 0]]), (60_000 * (2 + 6 + 12), 60_000 * (2 + 6 + 12)));
}
