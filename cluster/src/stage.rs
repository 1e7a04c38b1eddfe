//! [`Board`]: what is known of the batches of one stage, as plain state: which are done, who is at work on the others, what failed.
//!
//! Invariants: a batch is done when its mark is there and is of this plan, and at no other time; a batch is started again only when nobody
//! is known to work on it; the same error twice ends the stage, and so does a batch that was lost too often. A share's batches are carried
//! out one after the other, so of a share that is lost only the first that is not done had begun: the others are given out again
//! as if for the first time. Called by [`crate::driver`], which does what the board says.

use crate::error::{APART, Error, FAULTS};
use crate::folder::{DoneMark, FailedMark};
use crate::launcher::Place;
use blockwise_core::Fault;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A batch that is not done.
#[derive(Clone, Copy, Default)]
struct Open {
    /// How often it was lost or failed after it had begun, as far as can be told.
    attempts: u32,
    /// The share in which it was last given out, until that is lost.
    given: Option<Place>,
}

/// The batches of one stage.
pub(crate) struct Board {
    name: String,
    /// What is not done: little for each, since there may be a million.
    open: BTreeMap<u64, Open>,
    /// How many open batches each share was given; none: those that nobody has.
    given: HashMap<Option<Place>, u64>,
    /// Errors of each batch, by the name of their note.
    failures: HashMap<u64, BTreeMap<String, FailedMark>>,
    /// Batches that nobody worked on when the board was last looked at: only then are they given out again, since a mark may be late.
    idle: BTreeSet<u64>,
    retries: u32,
}

impl Board {
    pub(crate) fn new(name: &str, batches: impl Iterator<Item = u64>, retries: u32) -> Self {
        let open: BTreeMap<u64, Open> = batches.map(|batch| (batch, Open::default())).collect();
        Self {
            name: name.to_owned(),
            given: HashMap::from([(None, open.len() as u64)]),
            open,
            failures: HashMap::new(),
            idle: BTreeSet::new(),
            retries,
        }
    }

    /// Whether a batch is not known to be done.
    pub(crate) fn is_open(&self, batch: u64) -> bool {
        self.open.contains_key(&batch)
    }

    /// Whether all is done.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a mark; whether it was needed.
    pub(crate) fn done(&mut self, batch: u64, mark: &DoneMark, digest: &str) -> bool {
        if mark.digest != digest {
            return false;
        }
        let Some(Open { given, .. }) = self.open.remove(&batch) else { return false };
        self.count(given, None);
        true
    }

    /// Counts one batch less for `from` and one more for `to`.
    fn count(&mut self, from: Option<Place>, to: Option<Option<Place>>) {
        if let Some(count) = self.given.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.given.remove(&from);
            }
        }
        if let Some(to) = to {
            *self.given.entry(to).or_default() += 1;
        }
    }

    /// Takes a note of a failure.
    pub(crate) fn failed(&mut self, batch: u64, name: String, mark: FailedMark) {
        self.failures.entry(batch).or_default().insert(name, mark);
    }

    /// Takes note that batches were given out.
    pub(crate) fn given(&mut self, batches: &[u64], place: Place) {
        for batch in batches {
            let Some(open) = self.open.get_mut(batch) else { continue };
            let before = open.given.replace(place);
            self.count(before, Some(Some(place)));
        }
    }

    /// What is to be started now: open batches that nobody of `alive` was given, the second time they are seen so.
    ///
    /// # Errors
    /// [`Error::Apart`] if a worker had another plan; [`Error::Task`] if a batch failed twice alike; [`Error::Lost`] if one was started too often.
    pub(crate) fn missing(&mut self, alive: &HashSet<Place>, logs: &str) -> Result<Vec<u64>, Error> {
        for (_, notes) in self.failures.iter().filter(|(batch, _)| self.open.contains_key(batch)) {
            let mut seen: HashSet<&str> = HashSet::new();
            for mark in notes.values() {
                if mark.fault == APART {
                    let (message, host) = (mark.message.clone(), mark.host.clone());
                    return Err(Error::Apart { message, host, logs: logs.to_owned() });
                }
                if !seen.insert(&mark.message) {
                    return Err(Error::Task {
                        message: mark.message.clone(),
                        fault: fault_named(&mark.fault),
                        host: mark.host.clone(),
                        logs: logs.to_owned(),
                    });
                }
            }
        }
        let is_at_work = |given: &Option<Place>| given.is_some_and(|place| alive.contains(&place));
        if self.given.keys().all(is_at_work) {
            self.idle.clear();
            return Ok(Vec::new());
        }
        let mut ready = Vec::new();
        let mut idle = BTreeSet::new();
        let mut lost: HashSet<Place> = HashSet::new();
        for (batch, open) in self.open.iter_mut().filter(|(_, open)| !is_at_work(&open.given)) {
            // What nobody was given needs no second look.
            if open.given.is_some() && !self.idle.contains(batch) {
                idle.insert(*batch);
                continue;
            }
            let is_first = open.given.is_some_and(|place| lost.insert(place));
            if is_first || (open.given.is_some() && self.failures.contains_key(batch)) {
                open.attempts += 1;
            }
            if open.attempts > self.retries {
                let last = self.failures.get(batch).and_then(|notes| notes.values().last());
                let last = last.map_or_else(
                    || "its workers ended without a word, perhaps killed for their memory or time".to_owned(),
                    |mark| format!("{} (on {})", mark.message, mark.host),
                );
                return Err(Error::Lost {
                    batch: *batch,
                    stage: self.name.clone(),
                    attempts: open.attempts,
                    last,
                    logs: logs.to_owned(),
                });
            }
            ready.push(*batch);
        }
        self.idle = idle;
        Ok(ready)
    }

    /// Where some batches were given out last.
    pub(crate) fn places(&self, batches: &[u64]) -> HashSet<Place> {
        batches.iter().filter_map(|batch| self.open.get(batch)?.given).collect()
    }

    /// Whether some batch was given out and is neither done nor failed.
    pub(crate) fn is_silent(&self) -> bool {
        self.failures.is_empty() && self.given.keys().any(Option::is_some)
    }
}

fn fault_named(name: &str) -> Fault {
    FAULTS.iter().find(|(_, own)| *own == name).map_or(Fault::Failed, |(fault, _)| *fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(digest: &str) -> DoneMark {
        DoneMark {
            digest: digest.to_owned(),
            bytes_read: 1,
            bytes_written: 1,
            stored_bytes: 1,
            peak_reserved_bytes: 1,
            secs: 0.0,
            host: "n1".to_owned(),
        }
    }

    fn note(message: &str) -> FailedMark {
        FailedMark {
            digest: "own".to_owned(),
            message: message.to_owned(),
            fault: "bad input".to_owned(),
            host: "n1".to_owned(),
        }
    }

    #[test]
    fn only_marks_of_this_plan_count() {
        let mut board = Board::new("s", 0..2, 3);
        assert_eq!(board.missing(&HashSet::new(), "").unwrap(), [0, 1]);
        assert!(!board.done(0, &mark("other"), "own") && board.done(0, &mark("own"), "own"));
        assert!(!board.done(0, &mark("own"), "own"), "known already");
        board.given(&[0, 1], (1, 0));
        let alive = HashSet::from([(1, 0)]);
        assert_eq!(board.missing(&alive, "").unwrap(), [0_u64; 0]);
        assert_eq!(board.missing(&HashSet::new(), "").unwrap(), [0_u64; 0], "a mark may be late");
        assert_eq!(board.missing(&HashSet::new(), "").unwrap(), [1]);
        assert!(board.done(1, &mark("own"), "own") && board.is_done());
    }

    #[test]
    fn batches_of_a_lost_share_that_had_not_begun_are_not_counted() {
        let nobody = HashSet::new();
        let mut board = Board::new("s", 0..9, 1);
        let all = board.missing(&nobody, "").unwrap();
        for order in 0..8 {
            board.given(&all, (order, 0));
            assert!(board.done(order, &mark("own"), "own"));
            board.missing(&nobody, "").unwrap();
            assert_eq!(board.missing(&nobody, "").unwrap(), (order + 1..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_same_error_twice_ends_the_stage() {
        let mut board = Board::new("s", 0..1, 9);
        board.failed(0, "a".into(), note("chunk [1] is broken"));
        assert!(board.missing(&HashSet::new(), "").is_ok());
        board.failed(0, "a".into(), note("chunk [1] is broken"));
        assert!(board.missing(&HashSet::new(), "").is_ok(), "the same note");
        board.failed(0, "b".into(), note("another"));
        assert!(board.missing(&HashSet::new(), "").is_ok());
        board.failed(0, "c".into(), note("chunk [1] is broken"));
        let error = board.missing(&HashSet::new(), "/logs").unwrap_err();
        assert!(matches!(error, Error::Task { fault: Fault::BadInput, .. }), "{error}");
    }

    #[test]
    fn a_worker_with_another_plan_ends_the_stage_at_once() {
        let mut board = Board::new("s", 0..1, 9);
        board.failed(
            0,
            "a".into(),
            FailedMark { fault: APART.to_owned(), ..note("finds 'x', its driver 'y'") },
        );
        assert!(matches!(board.missing(&HashSet::new(), "").unwrap_err(), Error::Apart { .. }));
    }

    #[test]
    fn a_batch_that_is_always_lost_ends_the_stage() {
        let mut board = Board::new("s", 0..1, 2);
        let mut started = 0;
        let error = loop {
            match board.missing(&HashSet::new(), "") {
                Ok(batches) => {
                    started += batches.len();
                    board.given(&batches, (started as u64, 0));
                }
                Err(error) => break error,
            }
        };
        assert_eq!(started, 3);
        assert!(matches!(error, Error::Lost { attempts: 3, .. }), "{error}");
    }
}
