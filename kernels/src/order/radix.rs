//! Radix sort by the bits in which keys differ.
//!
//! Invariant: stable. Called by [`super::key`].

use super::key::Word;

/// Below this many items the standard library's sort is faster.
const FEW: usize = 96;

/// Sorts `items` by `key`, least digit first; `spare` is grown to their number.
pub(super) fn sort<T: Copy + Ord, K: Word>(items: &mut [T], spare: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let Some(first) = items.first().copied() else { return };
    if items.len() <= FEW {
        // Entries carry their places, which tell equal keys apart.
        return items.sort_unstable();
    }
    let (low, high) = items.iter().fold((key(&first), key(&first)), |(low, high), item| {
        let key = key(item);
        (low.min(key), high.max(key))
    });
    let low = low.wide();
    let bits = u64::BITS - (high.wide() - low).leading_zeros();
    let digit = if items.len() < 1 << 14 { 8 } else { 11 };
    spare.resize(items.len(), first);
    let mut counts = [0_usize; 1 << 11];
    let counts = counts.get_mut(..1 << digit).unwrap_or_default();
    let (mut from, mut to) = (&mut *items, spare.as_mut_slice());
    for shift in (0..bits).step_by(digit) {
        let mask = (1_u64 << digit) - 1;
        let bucket = |item: &T| (((key(item).wide() - low) >> shift) & mask) as usize;
        counts.fill(0);
        for item in &*from {
            counts[bucket(item)] += 1;
        }
        let mut start = 0;
        for count in &mut *counts {
            (start, *count) = (start + *count, start);
        }
        for item in &*from {
            let place = &mut counts[bucket(item)];
            to[*place] = *item;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    if bits.div_ceil(digit as u32) % 2 == 1 {
        // The sorted ones are in the spare; `from` names it now.
        to.copy_from_slice(from);
    }
}
