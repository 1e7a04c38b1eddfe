//! Byte shuffle against its definition.

use blockwise_kernels::shuffle::{ShuffleError, shuffle, unshuffle};
use proptest::prelude::*;

fn naive(src: &[u8], item: usize) -> Vec<u8> {
    let count = src.len() / item;
    let planes = (0..item).flat_map(|byte| (0..count).map(move |i| src[i * item + byte]));
    planes.chain(src[count * item..].iter().copied()).collect()
}

proptest! {
    #[test]
    fn planes_are_as_defined_and_come_back(
        src in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(any::<u8>(), 4000..20_000),
        ],
        item in prop_oneof![1..=17_usize, Just(2), Just(4), Just(8), Just(300)],
    ) {
        let mut planes = vec![0xA5; src.len()];
        shuffle(&mut planes, &src, item).unwrap();
        prop_assert!(planes == naive(&src, item));
        let mut back = vec![0xA5; src.len()];
        unshuffle(&mut back, &planes, item).unwrap();
        prop_assert!(back == src);
    }
}

/// What `numcodecs.Shuffle(4).encode(bytes(range(16)))` gives (numcodecs 0.15).
#[test]
fn planes_are_numcodecs_own() {
    let src: Vec<u8> = (0..16).collect();
    let mut planes = [0; 16];
    shuffle(&mut planes, &src, 4).unwrap();
    assert_eq!(planes, [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]);
}

#[test]
fn items_of_no_size_and_other_lengths() {
    let mut dst = [0; 3];
    shuffle(&mut dst, &[1, 2, 3], 0).unwrap();
    assert_eq!(dst, [1, 2, 3]);
    unshuffle(&mut dst, &[4, 5, 6], 7).unwrap();
    assert_eq!(dst, [4, 5, 6]);
    assert_eq!(shuffle(&mut dst, &[1], 2), Err(ShuffleError { dst_len_bytes: 3, src_len_bytes: 1 }));
}
