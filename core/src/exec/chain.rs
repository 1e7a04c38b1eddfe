//! Partial states that are added one after another, by number: the states of a group from the tasks that hold some of it.
//!
//! A state that comes before its turn waits. As tasks start in order, few do; and of each group one state is kept, where a
//! tree of them ([`super::fold`]) would keep one a level. Invariant: states are added in the order of their numbers, by
//! whoever brings the one whose turn it is, outside the lock; so a result has the same bits whatever the threads, the budget
//! and the order of arrival. Called by the tasks of [`super::grouped`].

use crate::error::Result;
use crate::sync::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

/// Result chunk, group.
type Place = (u64, u32);

/// What is known of one group.
struct Link<S> {
    /// Number of the state whose turn it is.
    next: u64,
    /// All before it; `None` while one is added, and at first.
    whole: Option<S>,
    is_busy: bool,
    /// States that came before their turn.
    early: BTreeMap<u64, S>,
}

/// The waiting states of one fold.
pub(super) struct Chains<S> {
    links: Mutex<HashMap<Place, Link<S>>>,
}

impl<S> Default for Chains<S> {
    fn default() -> Self {
        Self { links: Mutex::default() }
    }
}

impl<S> Chains<S> {
    /// Adds state `number` of `count` of a group; `combine` adds to a state the one after it. The whole state, if this
    /// completes it.
    pub(super) fn add(
        &self,
        place: Place,
        number: u64,
        count: u64,
        state: S,
        combine: impl Fn(&mut S, &S) -> Result<()>,
    ) -> Result<Option<S>> {
        if count <= 1 {
            return Ok(Some(state));
        }
        let lock = || self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Link { next: 0, whole: None, is_busy: false, early: BTreeMap::new() };
        let mut links = lock();
        let link = links.entry(place).or_insert_with(fresh);
        if link.is_busy || link.next != number {
            link.early.insert(number, state);
            return Ok(None);
        }
        let (mut state, mut whole) = (state, link.whole.take());
        loop {
            link_of(&mut links, place, fresh).is_busy = true;
            drop(links);
            let added = match whole {
                None => state,
                Some(mut whole) => {
                    combine(&mut whole, &state)?;
                    whole
                }
            };
            links = lock();
            let link = link_of(&mut links, place, fresh);
            link.next += 1;
            if link.next == count {
                links.remove(&place);
                return Ok(Some(added));
            }
            match link.early.remove(&link.next) {
                Some(early) => (state, whole) = (early, Some(added)),
                None => {
                    link.whole = Some(added);
                    link.is_busy = false;
                    return Ok(None);
                }
            }
        }
    }

    /// Whether nothing waits any more.
    pub(super) fn is_empty(&self) -> bool {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

fn link_of<S>(
    links: &mut HashMap<Place, Link<S>>,
    place: Place,
    fresh: impl FnOnce() -> Link<S>,
) -> &mut Link<S> {
    links.entry(place).or_insert_with(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn states_are_added_in_order(order in (1_u64..30).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())) {
            let chains = Chains::default();
            let (count, mut whole) = (order.len() as u64, None);
            for number in &order {
                prop_assert!(whole.is_none());
                let join = |into: &mut Vec<u64>, next: &Vec<u64>| {
                    into.extend(next);
                    Ok(())
                };
                whole = chains.add((3, 1), *number, count, vec![*number], join).unwrap();
            }
            prop_assert_eq!(whole, Some((0..count).collect()));
            prop_assert!(chains.is_empty());
        }
    }
}
