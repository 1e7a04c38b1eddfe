//! Picking by index and mask beside plain loops.

use crate::oracle::Dice;
use blockwise_kernels::gather::{compress, count_true, take};
use blockwise_kernels::{DType, KernelError};
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
        for o in 0..outer {
            for k in 0..len {
                let block = inner * item;
                let whole = (o * len + k) * block..(o * len + k + 1) * block;
                let named = |index: &i64| index.rem_euclid(len as i64) == k as i64;
                for (number, _) in indexes.iter().enumerate().filter(|(_, index)| named(index)) {
                    let at = (o * n + number) * block;
                    prop_assert_eq!(&out[at..at + block], &x[whole.clone()]);
                }
            }
        }
    }

    #[test]
    fn masks_pick(mask in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 1, 1]), 0..200), dense in any::<bool>(), item in 1..9_usize, seed in any::<u64>()) {
        let mask: Vec<u8> = if dense { mask.iter().map(|flag| flag | u8::from(seed % 7 != 0)).collect() } else { mask };
        let x = Dice::new(seed).numbers(DType::U8, mask.len() * item, false);
        let expected: Vec<u8> = x.chunks_exact(item).zip(&mask).filter(|(_, flag)| **flag == 1).flat_map(|(item, _)| item.to_vec()).collect();
        let mut out = vec![0; expected.len()];
        prop_assert_eq!(compress(&x, &mask, item, &mut out).unwrap(), count_true(&mask));
        prop_assert_eq!(&out, &expected);
    }
}

#[test]
fn mistakes_are_named() {
    let fault = take(&[0; 6], &[2, 3], 1, &[0, 3], 1, &mut [0; 4]).unwrap_err();
    assert_eq!(fault.to_string(), "index 3 lies outside of an axis of 3");
    let low = take(&[0; 6], &[2, 3], 1, &[-4], 1, &mut [0; 2]);
    assert_eq!(low, Err(KernelError::Index { index: -4, len: 3 }));
    assert!(take(&[0; 6], &[2, 3], 1, &[i64::MIN], 1, &mut [0; 2]).is_err());
    assert!(compress(&[0; 3], &[1; 3], 1, &mut [0; 2]).is_err());
    assert!(compress(&[0; 3], &[1; 2], 1, &mut [0; 3]).is_err());
}
