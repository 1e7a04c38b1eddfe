//! [`Turns`]: which tasks have ended before one that was admitted earlier, and the memory that these still count as holding.
//!
//! Where results of tasks are added one after another, what a task made before its turn waits for that; as its reservation
//! does, it cannot grow beyond the budget however long the one before takes. A task that was admitted earlier never
//! needs more of the budget, so turns always come. Called by the queue of [`super::queue`].

use std::collections::{BTreeMap, BTreeSet};

/// Tasks by the number of their admission.
#[derive(Default)]
pub(super) struct Turns {
    under_way: BTreeSet<u64>,
    /// Bytes of those that have ended before their turn.
    early: BTreeMap<u64, u64>,
}

impl Turns {
    /// Takes note of an admitted task.
    pub(super) fn begin(&mut self, serial: u64) {
        self.under_way.insert(serial);
    }

    /// Takes note that a task which holds `bytes` has ended; the bytes to give back: of all whose turn has come.
    pub(super) fn end(&mut self, serial: u64, bytes: u64) -> u64 {
        self.under_way.remove(&serial);
        self.early.insert(serial, bytes);
        let waiting = match self.under_way.first() {
            Some(first) => self.early.split_off(first),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.early, waiting).into_values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_in_turn() {
        let mut turns = Turns::default();
        (0..4).for_each(|serial| turns.begin(serial));
        assert_eq!(turns.end(1, 10), 0);
        assert_eq!(turns.end(3, 30), 0);
        assert_eq!(turns.end(0, 1), 11);
        turns.begin(4);
        assert_eq!(turns.end(2, 20), 50);
        assert_eq!(turns.end(4, 40), 40);
    }
}
