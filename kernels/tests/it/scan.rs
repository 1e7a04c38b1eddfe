//! Cumulative functions beside NumPy, in chunks, and on every instruction set.

use crate::oracle::{Case, Dice, compare};
use blockwise_kernels::scan::{Scan, ScanOp};
use blockwise_kernels::simd::InstructionSet;
use blockwise_kernels::{Buffer, DType, Element, KernelError, Lines, cast};
use proptest::prelude::*;

/// The results and the carry of one chunk that comes first.
fn scanned(scan: &Scan, input: &[u8], shape: &[usize], axis: usize) -> (Vec<u8>, Buffer) {
    let lines = Lines::new(shape, axis).unwrap();
    let mut carry = Buffer::zeroed(scan.carry_bytes(lines.count()).unwrap());
    scan.start(&mut carry).unwrap();
    let mut out = vec![0; lines.elements() * scan.output_dtype().size()];
    scan.run(input, shape, axis, &mut carry, &mut out).unwrap();
    (out, carry)
}

#[test]
fn scans_agree_with_numpy() {
    let mut dice = Dice::new(11);
    let mut cases = Vec::new();
    for (name, op, skip_nan) in [
        ("cumsum", ScanOp::Sum, false),
        ("cumprod", ScanOp::Product, false),
        ("nancumsum", ScanOp::Sum, true),
        ("nancumprod", ScanOp::Product, true),
        ("minimum", ScanOp::Min, false),
        ("maximum", ScanOp::Max, false),
        ("fmin", ScanOp::Min, true),
        ("fmax", ScanOp::Max, true),
    ] {
        for &dtype in DType::ALL {
            // bfloat16 is no type of NumPy's; complex extremes meet NaN in NumPy's own order.
            let extreme = matches!(op, ScanOp::Min | ScanOp::Max);
            if dtype == DType::BF16 || (dtype.kind() == 'c' && extreme) {
                continue;
            }
            for (shape, axis) in [
                (&[23][..], 0),
                (&[5, 7], 0),
                (&[5, 7], 1),
                (&[2, 6, 3], 1),
                (&[3, 1, 4], 1),
                (&[2, 0, 3], 2),
            ] {
                for finite in [true, false] {
                    let x = dice.numbers(dtype, shape.iter().product(), finite);
                    let scan = Scan::new(op, dtype, skip_nan);
                    let (out, _) = scanned(&scan, &x, shape, axis);
                    // Products round at every step here, and not in the oracle's wider type.
                    let ulps = if op == ScanOp::Product { 16 } else { 1 };
                    let ours = (scan.output_dtype(), out);
                    cases.push(Case::along(name, (dtype, &x), (shape, axis), "", ours, ulps));
                }
            }
        }
    }
    compare(&cases);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Chunks one after another, and chunks that start from combined totals, are the scan of the whole; so is every
    /// instruction set.
    #[test]
    fn chunks_go_on((outer, inner) in (1..4_usize, prop_oneof![1..5_usize, 1000..2100_usize]), cuts in prop::collection::vec(0..1500_usize, 1..4), seed in any::<u64>()) {
        let inner = if cuts.iter().sum::<usize>() > 300 { inner.min(4) } else { inner };
        let len: usize = cuts.iter().sum();
        let mut dice = Dice::new(seed);
        let x: Vec<f32> = (0..outer * len * inner).map(|_| (dice.unit() - 0.5) as f32).collect();
        let shape = [outer, len, inner];
        for op in [ScanOp::Sum, ScanOp::Max] {
            let scan = Scan::new(op, DType::F32, false);
            let (whole, _) = scanned(&scan, f32::as_bytes(&x), &shape, 1);
            for set in InstructionSet::available() {
                let (other, _) = scanned(&scan.with_instruction_set(set), f32::as_bytes(&x), &shape, 1);
                prop_assert_eq!(&other, &whole);
            }
            let lines = outer * inner;
            let (mut serial, mut before) = (Buffer::zeroed(scan.carry_bytes(lines).unwrap()), Buffer::zeroed(scan.carry_bytes(lines).unwrap()));
            scan.start(&mut serial).unwrap();
            scan.start(&mut before).unwrap();
            let mut origin = 0;
            for &cut in &cuts {
                let part = [outer, cut, inner];
                let pick = |bytes: &[u8]| -> Vec<u8> {
                    (0..outer).flat_map(|o| bytes[(o * len + origin) * inner * 4..(o * len + origin + cut) * inner * 4].to_vec()).collect()
                };
                let piece = pick(f32::as_bytes(&x));
                let mut out = vec![0; piece.len()];
                scan.run(&piece, &part, 1, &mut serial, &mut out).unwrap();
                prop_assert_eq!(&out, &pick(&whole));
                let mut own = Buffer::zeroed(before.len());
                own.copy_from_slice(&before);
                scan.run(&piece, &part, 1, &mut own, &mut out).unwrap();
                for (a, b) in out.chunks_exact(4).zip(pick(&whole).chunks_exact(4)) {
                    let [a, b] = [a, b].map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
                    prop_assert!((a - b).abs() <= b.abs() * f32::EPSILON, "{} {}", a, b);
                }
                let mut totals = Buffer::zeroed(before.len());
                scan.start(&mut totals).unwrap();
                scan.totals(&piece, &part, 1, &mut totals).unwrap();
                scan.combine(&mut before, &totals).unwrap();
                origin += cut;
            }
        }
    }
}

/// The last elements that are not NaN, of every type and in chunks, beside a loop.
#[test]
fn missing_elements_are_those_before_them() {
    let mut dice = Dice::new(5);
    for &dtype in DType::ALL {
        let item_bytes = dtype.size();
        let mut x = dice.numbers(dtype, 66, true);
        let may_miss = matches!(dtype.kind(), 'f' | 'c');
        let mut nan = vec![0; item_bytes];
        cast(&mut nan, dtype, &f64::NAN.to_ne_bytes(), DType::F64).unwrap();
        let is_missing: Vec<bool> = (0..66).map(|_| may_miss && dice.unit() < 0.6).collect();
        for (item, _) in x.chunks_exact_mut(item_bytes).zip(&is_missing).filter(|(_, missing)| **missing) {
            item.copy_from_slice(&nan);
        }
        let scan = Scan::new(ScanOp::Last, dtype, false);
        assert_eq!(scan.output_dtype(), dtype);
        for cut in [11, 1, 4] {
            let mut carry = Buffer::zeroed(scan.carry_bytes(6).unwrap());
            scan.start(&mut carry).unwrap();
            let mut last: Vec<Option<Vec<u8>>> = vec![None; 6];
            for from in (0..11).step_by(cut) {
                let to = (from + cut).min(11);
                let rows = |outer: usize| (from..to).map(move |row| (outer * 11 + row) * 2);
                let part: Vec<usize> = (0..3).flat_map(rows).flat_map(|at| [at, at + 1]).collect();
                let bytes: Vec<u8> =
                    part.iter().flat_map(|at| x[at * item_bytes..][..item_bytes].to_vec()).collect();
                let mut out = vec![0; bytes.len()];
                scan.run(&bytes, &[3, to - from, 2], 1, &mut carry, &mut out).unwrap();
                for (at, found) in part.iter().zip(out.chunks_exact(item_bytes)) {
                    let own = &x[at * item_bytes..][..item_bytes];
                    let last = &mut last[at / 22 * 2 + at % 2];
                    if !is_missing[*at] {
                        *last = Some(own.to_vec());
                    }
                    match last {
                        Some(last) => assert_eq!(found, &last[..], "{dtype} {at}"),
                        None => {
                            let mut wide = [0; 8];
                            cast(&mut wide, DType::F64, found, dtype).unwrap();
                            assert!(f64::from_ne_bytes(wide).is_nan(), "{dtype} {at}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let scan = Scan::new(ScanOp::Sum, DType::F32, false);
    let mut carry = Buffer::zeroed(16);
    let fault = scan.run(&[0; 12], &[3], 1, &mut carry, &mut [0; 12]);
    assert_eq!(fault, Err(KernelError::Axis { axis: 1, rank: 1 }));
    let fault = scan.run(&[0; 12], &[3], 0, &mut carry, &mut [0; 8]).unwrap_err();
    assert_eq!(fault.to_string(), "the output of a scan of 8 bytes should have 12, aligned to its elements");
    assert!(scan.run(&[0; 12], &[3], 0, &mut carry[..8], &mut [0; 12]).is_err());
    assert!(Lines::new(&[usize::MAX, 2, 3], 0).is_err());
}
