//! Picking by index and mask beside plain loops; pads beside NumPy.

use crate::oracle::{Case, Dice, compare};
use blockwise_kernels::gather::{
    PadMode, compress, count_true, padded_index, place, scatter, take, true_places,
};
use blockwise_kernels::{DType, KernelError, Lines};
use proptest::prelude::*;

proptest! {
    /// Every item size, smooth and jumping indices.
    #[test]
    fn taken_by_definition(
        (outer, len, inner) in (1..4_usize, 1..30_usize, 1..4_usize),
        item in prop::sample::select(vec![1_usize, 2, 3, 4, 8, 16]),
        picks in prop::collection::vec((0.0..1.0_f64, 1..12_usize, any::<bool>()), 0..12),
        seed in any::<u64>(),
    ) {
        let shape = [outer, len, inner];
        let x = Dice::new(seed).numbers(DType::U8, outer * len * inner * item, false);
        let mut indexes = Vec::new();
        for (at, count, negative) in picks {
            let first = (at * len as f64) as i64;
            indexes.extend((first..(first + count as i64).min(len as i64)).map(|i| if negative { i - len as i64 } else { i }));
        }
        let n = indexes.len();
        let mut out = vec![0; outer * n * inner * item];
        take(&x, &shape, 1, &indexes, item, &mut out).unwrap();
        let mut back = vec![0; x.len()];
        scatter(&mut back, &shape, 1, &indexes, item, &out).unwrap();
        for o in 0..outer {
            for k in 0..len {
                let block = inner * item;
                let whole = (o * len + k) * block..(o * len + k + 1) * block;
                let named = |index: &i64| index.rem_euclid(len as i64) == k as i64;
                if indexes.iter().any(named) {
                    prop_assert_eq!(&back[whole.clone()], &x[whole.clone()]);
                } else {
                    prop_assert!(back[whole.clone()].iter().all(|byte| *byte == 0));
                }
                for (number, _) in indexes.iter().enumerate().filter(|(_, index)| named(index)) {
                    let at = (o * n + number) * block;
                    prop_assert_eq!(&out[at..at + block], &x[whole.clone()]);
                }
            }
        }
    }

    #[test]
    fn masks_pick_and_place(mask in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 1, 1]), 0..200), dense in any::<bool>(), item in 1..9_usize, seed in any::<u64>()) {
        let mask: Vec<u8> = if dense { mask.iter().map(|flag| flag | u8::from(seed % 7 != 0)).collect() } else { mask };
        let x = Dice::new(seed).numbers(DType::U8, mask.len() * item, false);
        let expected: Vec<u8> = x.chunks_exact(item).zip(&mask).filter(|(_, flag)| **flag == 1).flat_map(|(item, _)| item.to_vec()).collect();
        let mut out = vec![0; expected.len()];
        prop_assert_eq!(compress(&x, &mask, item, &mut out).unwrap(), count_true(&mask));
        prop_assert_eq!(&out, &expected);
        let mut back = vec![0; x.len()];
        place(&mut back, &mask, item, &out).unwrap();
        for ((a, b), flag) in back.chunks_exact(item).zip(x.chunks_exact(item)).zip(&mask) {
            let same = if *flag == 1 { a == b } else { a.iter().all(|byte| *byte == 0) };
            prop_assert!(same);
        }
        let places: Vec<i64> = (0..).zip(&mask).filter(|(_, flag)| **flag == 1).map(|(i, _)| i + 5).collect();
        prop_assert_eq!(true_places(&mask, 5), places);
    }
}

#[test]
fn pads_agree_with_numpy() {
    let mut dice = Dice::new(31);
    let mut cases = Vec::new();
    for mode in ["edge", "reflect", "symmetric", "wrap"] {
        for (shape, axis) in [(&[1][..], 0), (&[5], 0), (&[3, 4], 0), (&[3, 4], 1)] {
            for (before, after) in [(0, 2), (3, 0), (1, 1), (11, 14)] {
                let x = dice.numbers(DType::I16, shape.iter().product(), true);
                let lines = Lines::new(shape, axis).unwrap();
                let wanted: PadMode = mode.parse().unwrap();
                let places = -before..lines.len as i64 + after;
                let indexes: Vec<i64> =
                    places.map(|place| padded_index(wanted, lines.len, place).unwrap()).collect();
                let mut out = vec![0; lines.count() * indexes.len() * 2];
                take(&x, shape, axis, &indexes, 2, &mut out).unwrap();
                let parameters = format!("{mode} {before} {after}");
                let ours = (DType::I16, out);
                cases.push(Case::along("pad", (DType::I16, &x), (shape, axis), &parameters, ours, 0));
            }
        }
    }
    compare(&cases);
}

#[test]
fn mistakes_are_named() {
    let fault = take(&[0; 6], &[2, 3], 1, &[0, 3], 1, &mut [0; 4]).unwrap_err();
    assert_eq!(fault.to_string(), "index 3 lies outside of an axis of 3");
    let low = take(&[0; 6], &[2, 3], 1, &[-4], 1, &mut [0; 2]);
    assert_eq!(low, Err(KernelError::Index { index: -4, len: 3 }));
    assert!(take(&[0; 6], &[2, 3], 1, &[i64::MIN], 1, &mut [0; 2]).is_err());
    assert!(scatter(&mut [0; 5], &[2, 3], 1, &[0], 1, &[0; 2]).is_err());
    assert!(compress(&[0; 3], &[1; 3], 1, &mut [0; 2]).is_err());
    assert!(compress(&[0; 3], &[1; 2], 1, &mut [0; 3]).is_err());
    assert_eq!(padded_index(PadMode::Wrap, 0, -1), None);
    assert!("ramp".parse::<PadMode>().unwrap_err().to_string().contains("symmetric"));
}
