//! Strided copies against a loop over every index.

use blockwise_kernels::strided::{Layout, LayoutError, Side, copy, copy_region, fill, transpose};
use proptest::prelude::*;

/// Every index of `shape` in C order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let count = shape.iter().product::<usize>();
    (0..count).map(move |mut flat| {
        let mut index = vec![0; shape.len()];
        for (at, &len) in index.iter_mut().zip(shape).rev() {
            (*at, flat) = (flat % len, flat / len);
        }
        index
    })
}

fn place(layout: &Layout, index: &[usize]) -> usize {
    let offset = layout.offset.cast_signed();
    let steps = index.iter().zip(&layout.strides).map(|(&i, &stride)| i.cast_signed() * stride);
    (offset + steps.sum::<isize>()).cast_unsigned()
}

fn naive(dst: &mut [u8], to: &Layout, src: &[u8], from: &Layout, shape: &[usize], item: usize) {
    for index in indices(shape) {
        let (d, s) = (place(to, &index) * item, place(from, &index) * item);
        dst[d..d + item].copy_from_slice(&src[s..s + item]);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251 + 7) as u8).collect()
}

/// A layout of `shape` whose axes lie in memory in the order `keys` sorts them into, stepping `steps` elements with
/// `gaps` unused ones after each axis. Returns it with the elements it needs.
fn arranged(shape: &[usize], keys: &[u8], steps: &[isize], gaps: &[usize]) -> (Layout, usize) {
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.sort_by_key(|&axis| keys[axis]);
    let (mut strides, mut offset, mut unit) = (vec![0; shape.len()], 0, 1_usize);
    for axis in order {
        let stride = steps[axis] * unit.cast_signed();
        strides[axis] = stride;
        if stride < 0 {
            offset += stride.unsigned_abs() * shape[axis].saturating_sub(1);
        }
        if stride != 0 {
            unit = stride.unsigned_abs() * shape[axis].max(1) + gaps[axis];
        }
    }
    (Layout { offset, strides }, unit + offset)
}

#[derive(Debug, Clone)]
struct Case {
    shape: Vec<usize>,
    dst: (Layout, usize),
    src: (Layout, usize),
    item: usize,
}

/// How one axis lies in memory: its rank among the axes, step, and unused elements behind it.
type Spread = (u8, isize, usize);

fn cases() -> impl Strategy<Value = Case> {
    let axis = (
        prop_oneof![1 => Just(0_usize), 3 => Just(1), 24 => 2..7_usize],
        (
            any::<u8>(),
            prop_oneof![8 => Just(1_isize), 1 => Just(2), 1 => Just(-1), 1 => Just(-3)],
            0..2_usize,
        ),
        (any::<u8>(), prop_oneof![8 => Just(1_isize), 1 => Just(2), 1 => Just(-1), 2 => Just(0)], 0..2_usize),
    );
    (prop::collection::vec(axis, 0..=6), 1..=16_usize).prop_map(|(axes, item)| {
        let shape: Vec<usize> = axes.iter().map(|a| a.0).collect();
        let side = |pick: fn(&(usize, Spread, Spread)) -> Spread| {
            let parts: Vec<_> = axes.iter().map(pick).collect();
            let keys: Vec<u8> = parts.iter().map(|p| p.0).collect();
            let steps: Vec<isize> = parts.iter().map(|p| p.1).collect();
            let gaps: Vec<usize> = parts.iter().map(|p| p.2).collect();
            arranged(&shape, &keys, &steps, &gaps)
        };
        let (dst, src) = (side(|a| a.1), side(|a| a.2));
        Case { shape, dst, src, item }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn copy_is_the_naive_loop(case in cases()) {
        let Case { shape, dst: (to, dst_len), src: (from, src_len), item } = case;
        let src = pattern(src_len * item);
        let mut dst = vec![0xA5; dst_len * item];
        let mut expected = dst.clone();
        naive(&mut expected, &to, &src, &from, &shape, item);
        copy(&mut dst, &to, &src, &from, &shape, item).unwrap();
        prop_assert_eq!(dst, expected);
    }

    #[test]
    fn large_transposes_are_the_naive_loop(
        rows in 1..150_usize, columns in 1..300_usize, planes in 1..3_usize,
        item in prop_oneof![Just(1_usize), Just(2), Just(3), Just(4), Just(8), Just(12), Just(16), Just(70)],
        axes in Just(vec![0, 1, 2]).prop_shuffle(),
    ) {
        let shape = [planes, rows, columns];
        let src = pattern(shape.iter().product::<usize>() * item);
        let mut dst = vec![0; src.len()];
        transpose(&mut dst, &src, &shape, &axes, item).unwrap();
        let to_shape: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
        let whole = Layout::c_order(&shape).unwrap();
        let from = Layout { offset: 0, strides: axes.iter().map(|&a| whole.strides[a]).collect() };
        let mut expected = vec![0; src.len()];
        naive(&mut expected, &Layout::c_order(&to_shape).unwrap(), &src, &from, &to_shape, item);
        prop_assert!(dst == expected);
    }

    #[test]
    fn regions_are_the_naive_loop(
        axes in prop::collection::vec((0..5_usize, 0..3_usize, 0..3_usize, 0..3_usize, 0..3_usize), 0..=6),
        item in 1..=16_usize,
    ) {
        let shape: Vec<usize> = axes.iter().map(|a| a.0).collect();
        let dst_origin: Vec<usize> = axes.iter().map(|a| a.1).collect();
        let src_origin: Vec<usize> = axes.iter().map(|a| a.2).collect();
        let dst_shape: Vec<usize> = axes.iter().map(|a| a.0 + a.1 + a.3).collect();
        let src_shape: Vec<usize> = axes.iter().map(|a| a.0 + a.2 + a.4).collect();
        let src = pattern(src_shape.iter().product::<usize>() * item);
        let mut dst = vec![0xA5; dst_shape.iter().product::<usize>() * item];
        let mut expected = dst.clone();
        let boxed = |whole: &[usize], origin: &[usize]| {
            let layout = Layout::c_order(whole).unwrap();
            Layout { offset: place(&layout, origin), ..layout }
        };
        let (to, from) = (boxed(&dst_shape, &dst_origin), boxed(&src_shape, &src_origin));
        naive(&mut expected, &to, &src, &from, &shape, item);
        copy_region(&mut dst, &dst_shape, &dst_origin, &src, &src_shape, &src_origin, &shape, item).unwrap();
        prop_assert_eq!(dst, expected);
    }

    #[test]
    fn fill_writes_the_item_everywhere_and_nowhere_else(case in cases()) {
        let Case { shape, dst: (to, dst_len), item, .. } = case;
        let value = pattern(item);
        let mut dst = vec![0xA5; dst_len * item];
        let mut expected = dst.clone();
        for index in indices(&shape) {
            let at = place(&to, &index) * item;
            expected[at..at + item].copy_from_slice(&value);
        }
        fill(&mut dst, &to, &shape, &value).unwrap();
        prop_assert_eq!(dst, expected);
    }

    #[test]
    fn no_layout_panics(
        shape in prop::collection::vec(prop_oneof![0..4_usize, Just(usize::MAX), Just(1 << 40)], 0..4),
        strides in prop::collection::vec(prop_oneof![-3..4_isize, Just(isize::MIN), Just(isize::MAX)], 0..4),
        offset in prop_oneof![0..9_usize, Just(usize::MAX)],
        item in prop_oneof![0..5_usize, Just(usize::MAX)],
    ) {
        let layout = Layout { offset, strides };
        let plain = Layout { offset: 0, strides: vec![1; shape.len()] };
        let src = pattern(16);
        let mut dst = vec![0; 16];
        // A box that is refused leaves the destination alone; which error it is does not matter here.
        if copy(&mut dst, &plain, &src, &layout, &shape, item).is_err() {
            prop_assert_eq!(&dst, &vec![0; 16]);
        }
        let mut dst = vec![0; 16];
        if copy(&mut dst, &layout, &src, &plain, &shape, item).is_err() {
            prop_assert_eq!(&dst, &vec![0; 16]);
        }
        let zeros = vec![0; shape.len()];
        let _ = copy_region(&mut dst, &shape, &zeros, &src, &shape, &zeros, &shape, item);
    }
}

/// Loops so long that bytes are asked for ahead within them, up to the last run.
#[test]
fn long_loops_of_short_runs_are_the_naive_loop() {
    for (rows, row, own) in [(760, 720, 36), (90, 300, 1), (15, 64, 8), (2000, 40, 39)] {
        let (whole, piece, from) = ([rows, row], [rows, own], [0, row - own]);
        let large = pattern(rows * row * 4);
        let mut cut = vec![0; rows * own * 4];
        copy_region(&mut cut, &piece, &[0, 0], &large, &whole, &from, &piece, 4).unwrap();
        let mut back = vec![0; large.len()];
        copy_region(&mut back, &whole, &from, &cut, &piece, &[0, 0], &piece, 4).unwrap();
        for n in 0..rows {
            let here = (n * row + row - own) * 4..(n + 1) * row * 4;
            assert_eq!(
                cut[n * own * 4..(n + 1) * own * 4],
                large[here.clone()],
                "{rows} {row} {own}, row {n}"
            );
            assert_eq!(back[here], cut[n * own * 4..(n + 1) * own * 4]);
            assert!(back[n * row * 4..][..(row - own) * 4].iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn ranks_above_the_inline_limit_work() {
    let shape = [2; 11];
    let src = pattern(1 << 11);
    let mut dst = vec![0; 1 << 11];
    let axes: Vec<usize> = (0..11).rev().collect();
    transpose(&mut dst, &src, &shape, &axes, 1).unwrap();
    let bit_reversed = |i: usize| src[(i.reverse_bits() >> (usize::BITS - 11)) & 0x7FF];
    assert!(dst.iter().enumerate().all(|(i, &b)| b == bit_reversed(i)));
}

#[test]
fn faults_are_named() {
    let mut dst = [0; 4];
    let region = copy_region(&mut dst, &[2, 2], &[0, 1], &[0; 4], &[2, 2], &[0, 0], &[2, 2], 1);
    let expected = LayoutError::Region { side: Side::Destination, axis: 1, origin: 1, len: 2, dim: 2 };
    assert_eq!(region, Err(expected));
    let short = copy_region(&mut dst, &[2, 2], &[0, 0], &[0; 3], &[2, 2], &[0, 0], &[2, 2], 1);
    assert_eq!(short, Err(LayoutError::OutOfBounds { side: Side::Source, len_bytes: 3 }));
    let repeated = fill(&mut dst, &Layout { offset: 0, strides: vec![0] }, &[2], &[1]);
    assert_eq!(repeated, Err(LayoutError::RepeatedDestination { axis: 0, len: 2 }));
    let axes = transpose(&mut dst, &[0; 4], &[2, 2], &[0, 0], 1);
    assert_eq!(axes, Err(LayoutError::Axes { axes: vec![0, 0], rank: 2 }));
    let rank = copy_region(&mut dst, &[4], &[0], &[0; 4], &[2, 2], &[0, 0], &[2, 2], 1);
    assert_eq!(rank, Err(LayoutError::Rank { side: Side::Destination, given: 1, rank: 2 }));
    assert_eq!(dst, [0; 4]);
}
