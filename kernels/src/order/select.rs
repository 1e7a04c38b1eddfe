//! The elements of given ranks, by a histogram of the keys.
//!
//! One pass counts keys in buckets of equal width between the least and the greatest, one pass collects the bucket
//! that holds a rank, and what it holds is few. Keys of floats are logarithmic about zero, so buckets are fine where
//! values crowd. Called by [`super::quantile`].

use super::key::Word;

/// Below this many keys they are sorted.
const FEW: usize = 64;
/// Keys between two looks at whether a bucket is complete.
const BLOCK: usize = 256;

/// Memory of selections of keys of one type.
#[derive(Debug, Default)]
pub(super) struct Selection<K> {
    collected: Vec<K>,
    counts: Vec<u32>,
}

impl<K: Word> Selection<K> {
    /// Calls `found` with the number of each rank and the key there; `ranks` ascend and are below the number of keys.
    /// `low` and `high` are the least and the greatest key. The keys are left in any order.
    pub(super) fn select(
        &mut self,
        keys: &mut [K],
        (low, high): (K, K),
        ranks: &[usize],
        mut found: impl FnMut(usize, K),
    ) {
        if low == high {
            return (0..ranks.len()).for_each(|number| found(number, low));
        }
        if keys.len() <= FEW {
            keys.sort_unstable();
            return ranks.iter().enumerate().for_each(|(number, &rank)| found(number, keys[rank]));
        }
        let Self { collected, counts } = self;
        let base = low.wide();
        let range = high.wide() - base;
        let shift = (u64::BITS - range.leading_zeros()).saturating_sub((keys.len().ilog2() - 2).clamp(6, 12));
        counts.clear();
        counts.resize((range >> shift) as usize + 1, 0);
        for key in &*keys {
            counts[((key.wide() - base) >> shift) as usize] += 1;
        }
        let (mut bucket, mut before) = (0, 0);
        let mut number = 0;
        while let Some(&rank) = ranks.get(number) {
            while before + counts[bucket] as usize <= rank {
                before += counts[bucket] as usize;
                bucket += 1;
            }
            let count = counts[bucket] as usize;
            let here = ranks[number..].iter().take_while(|rank| **rank < before + count).count();
            let first = base + ((bucket as u64) << shift);
            if shift == 0 {
                (number..number + here).for_each(|number| found(number, K::narrow(first)));
            } else {
                collect(keys, collected, (first, (1 << shift) - 1), count);
                let inside = &mut collected[..count];
                let mut start = 0;
                for (number, rank) in ranks.iter().enumerate().skip(number).take(here) {
                    let wanted = rank - before;
                    // What lies before an earlier rank is below it.
                    let (_, key, _) = inside[start..].select_nth_unstable(wanted - start);
                    found(number, *key);
                    start = wanted;
                }
            }
            number += here;
        }
    }
}

/// Copies the `count` keys from `first` to `first + width` to the front of `into`.
fn collect<K: Word>(keys: &[K], into: &mut Vec<K>, (first, width): (u64, u64), count: usize) {
    // One more place, which takes what is not wanted at the end.
    into.resize(count + 1, K::LAST);
    let mut at = 0;
    for block in keys.chunks(BLOCK) {
        for key in block {
            into[at] = *key;
            at += usize::from(key.wide().wrapping_sub(first) <= width);
        }
        if at == count {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_are_those_of_the_sorted(
            mut keys in prop_oneof![
                prop::collection::vec(any::<u64>(), 1..400),
                prop::collection::vec(0..5_u64, 1..400),
                prop::collection::vec(prop_oneof![Just(7_u64), (1_u64 << 40)..(1_u64 << 41), Just(u64::MAX)], 1..3000),
            ],
            share in prop::collection::vec(0.0..1.0_f64, 1..6),
        ) {
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let mut ranks: Vec<usize> = share.iter().map(|q| (q * keys.len() as f64) as usize).collect();
            ranks.sort_unstable();
            let mut got = vec![0; ranks.len()];
            let ends = (sorted[0], sorted[sorted.len() - 1]);
            Selection::default().select(&mut keys, ends, &ranks, |number, key| got[number] = key);
            let expected: Vec<u64> = ranks.iter().map(|rank| sorted[*rank]).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
