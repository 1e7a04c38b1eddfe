//! Ranks and medians of windows beside sorting each of them: few points, which networks order, and many.

use blockwise_kernels::filter::{Edge, Filter, Rolling, Step};
use blockwise_kernels::{BufferPool, DType, cast};

const SHAPE: [usize; 2] = [23, 70];
const TYPES: [DType; 13] = [
    DType::Bool,
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
];

/// Numbers of both signs, many of them alike; `None`: one in five is NaN.
fn numbers(seed: u64, spread: Option<f64>) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let number = |_| match spread {
        Some(spread) => ((next() - 0.4) * spread).round(),
        None if next() < 0.2 => f64::NAN,
        None => next() * 7.0 - 3.0,
    };
    (0..SHAPE[0] * SHAPE[1]).map(number).collect()
}

fn converted(from: DType, bytes: &[u8], to: DType) -> Vec<u8> {
    let mut out = vec![0; bytes.len() / from.size() * to.size()];
    cast(&mut out, to, bytes, from).unwrap();
    out
}

fn doubles(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let wide = converted(dtype, bytes, DType::F64);
    wide.as_chunks::<8>().0.iter().map(|word| f64::from_ne_bytes(*word)).collect()
}

/// The whole of an array, filtered.
fn filtered(step: Step, dtype: DType, output: DType, x: &[u8]) -> Vec<u8> {
    let whole = SHAPE.map(|n| 0..n as i64);
    let extents = SHAPE.map(|n| Some(n as i64));
    let filter = Filter::chain(vec![step], output);
    let mut out = vec![0; SHAPE[0] * SHAPE[1] * output.size()];
    filter.run(x, dtype, &whole, &whole, &extents, &mut out, &BufferPool::new(1 << 24)).unwrap();
    out
}

/// What a window of `size` whose result is at `middle` sees of the nearest elements; beyond the array of `fill`, if that is given.
fn window(x: &[f64], at: [usize; 2], size: [usize; 2], middle: [usize; 2], fill: Option<f64>) -> Vec<f64> {
    let position = |axis: usize, n: usize| at[axis] as i64 + n as i64 - middle[axis] as i64;
    let is_inside = |axis: usize, place: i64| (0..SHAPE[axis] as i64).contains(&place);
    let mut seen = Vec::new();
    for (n, m) in (0..size[0]).flat_map(|n| (0..size[1]).map(move |m| (n, m))) {
        let (row, column) = (position(0, n), position(1, m));
        match fill {
            Some(fill) if !is_inside(0, row) || !is_inside(1, column) => seen.push(fill),
            _ => {
                let place = |axis: usize, place: i64| place.clamp(0, SHAPE[axis] as i64 - 1) as usize;
                seen.push(x[place(0, row) * SHAPE[1] + place(1, column)]);
            }
        }
    }
    seen
}

fn each_place() -> impl Iterator<Item = [usize; 2]> {
    (0..SHAPE[0]).flat_map(|row| (0..SHAPE[1]).map(move |column| [row, column]))
}

#[test]
fn elements_of_a_rank_are_those_of_sorted_windows() {
    for (number, dtype) in TYPES.into_iter().enumerate() {
        let wanted = numbers(number as u64, Some(300.0));
        let bytes: Vec<u8> = wanted.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let x = converted(DType::F64, &bytes, dtype);
        let real = doubles(dtype, &x);
        for (size, rank) in
            [([1, 1], 0), ([3, 3], 4), ([5, 6], 29), ([11, 12], 0), ([13, 10], 77), ([11, 13], 142)]
        {
            let points = size[0] * size[1];
            let step = Step::rank(&size, &vec![true; points], rank, &[0, 0], &[Edge::Nearest; 2]).unwrap();
            let found = doubles(dtype, &filtered(step, dtype, dtype, &x));
            for (at, found) in each_place().zip(found) {
                let mut seen = window(&real, at, size, [size[0] / 2, size[1] / 2], None);
                seen.sort_by(f64::total_cmp);
                assert_eq!(found, seen[rank], "{dtype}, {size:?}, rank {rank}, at {at:?}");
            }
        }
    }
}

#[test]
fn ranks_of_wide_integers_are_not_rounded() {
    let x: Vec<i64> = (0..SHAPE[0] * SHAPE[1]).map(|n| i64::MAX - (n * 7919 % 1610) as i64).collect();
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_ne_bytes()).collect();
    for size in [[1, 5], [1, 69]] {
        let step = Step::rank(&size, &vec![true; size[1]], 0, &[0, 0], &[Edge::Nearest; 2]).unwrap();
        let found = filtered(step, DType::I64, DType::I64, &bytes);
        let last = size[1] / 2;
        let expected = x[..=last].iter().min().unwrap();
        assert_eq!(found[..8], expected.to_ne_bytes(), "{size:?}");
    }
}

#[test]
fn rolling_medians_leave_out_what_is_missing() {
    let x = numbers(5, None);
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_ne_bytes()).collect();
    for (size, least) in [([1, 1], 1), ([1, 7], 3), ([5, 6], 26), ([11, 13], 100)] {
        let before = [size[0] - 1, size[1] / 2];
        let step = Step::rolling(&size, &before, Rolling::Median, least).unwrap();
        let found = doubles(DType::F64, &filtered(step, DType::F64, DType::F64, &bytes));
        for (at, found) in each_place().zip(found) {
            let mut seen = window(&x, at, size, before, Some(f64::NAN));
            seen.retain(|x| !x.is_nan());
            seen.sort_by(f64::total_cmp);
            let (count, half) = (seen.len(), seen.len() / 2);
            let expected = match count {
                _ if count < least => f64::NAN,
                _ if count % 2 == 1 => seen[half],
                _ => (seen[half - 1] + seen[half]) / 2.0,
            };
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{size:?}, at {at:?}");
        }
    }
}
