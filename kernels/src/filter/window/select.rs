//! Networks that find the element of a rank: Batcher's odd-even merge sort, less all that the result does not depend on.
//!
//! Invariant: comparators are in an order in which they may be carried out one after another. Called by windows
//! that become an element of a rank, or a median.

use super::seen::Seen;

/// Elements above which a network costs more than a selection one element at a time.
pub(super) const MOST: usize = 128;

/// How the element of a rank is found among a number of them.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) rank: usize,
    /// Pairs of places, the smaller element going to the first; `None`: there are too many.
    pub(super) comparators: Option<Vec<(u8, u8)>>,
}

impl Selection {
    pub(super) fn new(count: usize, rank: usize) -> Self {
        if count > MOST {
            return Self { rank, comparators: None };
        }
        let mut is_needed = vec![false; count.max(rank + 1)];
        is_needed[rank] = true;
        let mut kept = Vec::new();
        for (a, b) in sorting_network(count).into_iter().rev() {
            if is_needed[a] || is_needed[b] {
                (is_needed[a], is_needed[b]) = (true, true);
                // Places are below MOST.
                kept.push((a as u8, b as u8));
            }
        }
        kept.reverse();
        Self { rank, comparators: Some(kept) }
    }

    /// What brings all of them in order, so that any rank is at its place.
    pub(super) fn of_all(count: usize) -> Self {
        let pairs = || sorting_network(count).into_iter().map(|(a, b)| (a as u8, b as u8)).collect();
        Self { rank: 0, comparators: (count <= MOST).then(pairs) }
    }

    /// Carries the comparators out on as many lanes as there are; whether there are any to carry out.
    #[inline(always)]
    pub(super) fn order<V: Seen, const LANES: usize>(&self, staged: &mut [[V; LANES]; MOST]) -> bool {
        for (first, second) in self.comparators.iter().flatten() {
            // Places are below it: said so that none is checked.
            exchange(staged, usize::from(*first) % MOST, usize::from(*second) % MOST);
        }
        self.comparators.is_some()
    }
}

/// Lane by lane, the smaller element into the first and the larger into the second of two places. Of copies, and in loops of their own, so that
/// the compiler sees vectors.
#[inline(always)]
fn exchange<V: Seen, const LANES: usize>(staged: &mut [[V; LANES]; MOST], first: usize, second: usize) {
    let (x, y) = (staged[first], staged[second]);
    for (to, (x, y)) in staged[first].iter_mut().zip(x.iter().zip(&y)) {
        *to = x.smaller(*y);
    }
    for (to, (x, y)) in staged[second].iter_mut().zip(x.iter().zip(&y)) {
        *to = x.larger(*y);
    }
}

/// Knuth's algorithm 5.2.2M for any number of elements.
fn sorting_network(count: usize) -> Vec<(usize, usize)> {
    let mut comparators = Vec::new();
    let top = count.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            for n in 0..count.saturating_sub(d) {
                if n & p == r {
                    comparators.push((n, n + d));
                }
            }
            if q == p {
                break;
            }
            d = q - p;
            q /= 2;
            r = p;
        }
        p /= 2;
    }
    comparators
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_find_every_rank() {
        for count in 1..=40 {
            for rank in 0..count {
                let selection = Selection::new(count, rank);
                for seed in 0..20_usize {
                    let mut items: Vec<usize> =
                        (0..count).map(|n| (n * 7919 + seed * 104_729) % 31).collect();
                    let mut sorted = items.clone();
                    sorted.sort_unstable();
                    for (a, b) in selection.comparators.iter().flatten() {
                        let (a, b) = (usize::from(*a), usize::from(*b));
                        if items[a] > items[b] {
                            items.swap(a, b);
                        }
                    }
                    assert_eq!(items[rank], sorted[rank], "{count} {rank}");
                }
            }
        }
        assert!(Selection::new(27, 13).comparators.unwrap().len() < sorting_network(27).len());
    }
}
