//! Partial states of reductions, combined in a tree that depends on the task grid alone.
//!
//! The states of a result's tasks, numbered in C order, combine as neighbours: 0 with 1, 2 with 3, then those pairs,
//! and so on; a state without a neighbour moves up as it is. So the result has the same bits whatever the threads,
//! the budget and the order of arrival. Invariant: a state is combined by whoever brings the second of a pair, outside
//! the lock. Called by the tasks of [`super::compute`].

use crate::error::Result;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::PoisonError;

/// Result chunk, level of the tree, position in the level.
pub(super) type Place = (u64, u32, u64);

/// The waiting states of one fold.
pub(super) struct Tree<S> {
    waiting: Mutex<HashMap<Place, S>>,
}

impl<S> Default for Tree<S> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<S> Tree<S> {
    /// Adds the state of task `number` of `count` of the result chunk `result`; `combine` adds to a state the one after it.
    /// The whole state, if this completes it.
    pub(super) fn add(
        &self,
        result: u64,
        number: u64,
        count: u64,
        state: S,
        combine: impl Fn(&mut S, &S) -> Result<()>,
    ) -> Result<Option<S>> {
        self.add_at((result, 0, number), count, state, combine)
    }

    /// As [`Tree::add`], of a state that several tasks have been combined to, whose place is `(result, first, at)`.
    pub(super) fn add_at(
        &self,
        (result, first, at): Place,
        count: u64,
        state: S,
        combine: impl Fn(&mut S, &S) -> Result<()>,
    ) -> Result<Option<S>> {
        let count = (0..first).fold(count, |count, _| count.div_ceil(2));
        let (mut state, mut at, mut count) = (state, at, count);
        for level in first.. {
            if count <= 1 {
                break;
            }
            let lonely = at == count - 1 && count % 2 == 1;
            if !lonely {
                let mut met = {
                    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    match waiting.remove(&(result, level, at ^ 1)) {
                        Some(other) => other,
                        None => {
                            waiting.insert((result, level, at), state);
                            return Ok(None);
                        }
                    }
                };
                if at.is_multiple_of(2) {
                    combine(&mut state, &met)?;
                } else {
                    combine(&mut met, &state)?;
                    state = met;
                }
            }
            (at, count) = (at / 2, count.div_ceil(2));
        }
        Ok(Some(state))
    }

    /// Takes out what waits, in order: what tasks elsewhere have the neighbours of.
    pub(super) fn take_waiting(&self) -> Vec<(Place, S)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(Place, S)> = waiting.drain().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all
    }

    /// Whether nothing waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Most states of one result that wait at a time when its tasks come in order: one a level, and the one that comes.
pub(crate) fn waiting_states(count: u64) -> u64 {
    u64::from(64 - count.saturating_sub(1).leading_zeros()) + 1
}

/// As [`waiting_states`], when but a range of the tasks of the result comes: at both ends some have their neighbours elsewhere.
pub(crate) fn waiting_states_of_range(count: u64) -> u64 {
    waiting_states(count).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_kernels::reduce::{Reducer, Reduction, Statistic};
    use blockwise_kernels::{Buffer, DType};
    use proptest::prelude::*;

    fn sum_in_order(order: &[u64]) -> (f64, usize) {
        let reduction = Reduction::new(Reducer::Sum, DType::F64, false).unwrap();
        let (tree, mut done, mut most) = (Tree::default(), None, 0);
        for number in order {
            let mut state = Buffer::zeroed(16);
            state[..8].copy_from_slice(&(0.1 * (*number as f64 + 1.0)).to_ne_bytes());
            let combine = |into: &mut Buffer, next: &Buffer| Ok(reduction.combine(into, next)?);
            let outcome = tree.add(0, *number, order.len() as u64, state, combine).unwrap();
            most = most.max(tree.waiting.lock().unwrap().len());
            done = done.or(outcome);
        }
        assert!(tree.is_empty());
        let mut out = Buffer::zeroed(8);
        reduction.finish(&done.unwrap(), Statistic::Value, &mut out).unwrap();
        (f64::from_ne_bytes(out[..].try_into().unwrap()), most)
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(order in (1_u64..40).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())) {
            let sorted: Vec<u64> = (0..order.len() as u64).collect();
            let (expected, most) = sum_in_order(&sorted);
            prop_assert_eq!(sum_in_order(&order).0.to_bits(), expected.to_bits());
            prop_assert!(most as u64 <= waiting_states(order.len() as u64));
        }

        /// Parts of the tasks in trees of their own, and what is left there in another.
        #[test]
        fn parts_combine_to_the_same_bits(count in 1_u64..40, cuts in proptest::collection::vec(0_u64..40, 0..4)) {
            let expected = sum_in_order(&(0..count).collect::<Vec<_>>()).0;
            let reduction = Reduction::new(Reducer::Sum, DType::F64, false).unwrap();
            let combine = |into: &mut Buffer, next: &Buffer| Ok(reduction.combine(into, next)?);
            let (last, mut done) = (Tree::default(), None);
            let part_of = |number: u64| cuts.iter().filter(|cut| **cut <= number).count();
            for part in 0..=cuts.len() {
                let tree = Tree::default();
                for number in (0..count).filter(|number| part_of(*number) == part) {
                    let mut state = Buffer::zeroed(16);
                    state[..8].copy_from_slice(&(0.1 * (number as f64 + 1.0)).to_ne_bytes());
                    done = tree.add(0, number, count, state, combine).unwrap().or(done);
                    let waiting = tree.waiting.lock().unwrap().len() as u64;
                    prop_assert!(waiting <= waiting_states_of_range(count));
                }
                for (place, state) in tree.take_waiting() {
                    done = last.add_at(place, count, state, combine).unwrap().or(done);
                    prop_assert!(last.waiting.lock().unwrap().len() as u64 <= waiting_states_of_range(count));
                }
            }
            let mut out = Buffer::zeroed(8);
            reduction.finish(&done.unwrap(), Statistic::Value, &mut out).unwrap();
            prop_assert_eq!(f64::from_ne_bytes(out[..].try_into().unwrap()).to_bits(), expected.to_bits());
        }
    }
}
