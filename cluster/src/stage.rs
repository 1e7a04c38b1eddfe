//! [`Board`]: what is known of the batches of one stage, as plain state: which are done, who is at work on the others, what failed.
//!
//! Invariants: a batch is done when its mark is there and is of this plan, and at no other time; a batch is started again only when nobody
//! is known to work on it; the same error twice ends the stage, and so does a batch that was started too often. Called by
//! [`crate::driver`], which does what the board says.

use crate::error::{Error, FAULTS};
use crate::folder::{DoneMark, FailedMark};
use crate::launcher::Place;
use blockwise_core::Fault;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The batches of one stage.
pub(crate) struct Board {
    name: String,
    /// What is not done, and how often it was started.
    open: BTreeMap<u64, u32>,
    /// The shares in which a batch was given out.
    given: HashMap<u64, Vec<Place>>,
    /// Errors of each batch, by the name of their note.
    failures: HashMap<u64, BTreeMap<String, FailedMark>>,
    /// Batches that nobody worked on when the board was last looked at: only then are they given out again, since a mark may be late.
    idle: BTreeSet<u64>,
    retries: u32,
}

impl Board {
    pub(crate) fn new(name: &str, batches: impl Iterator<Item = u64>, retries: u32) -> Self {
        Self {
            name: name.to_owned(),
            open: batches.map(|batch| (batch, 0)).collect(),
            given: HashMap::new(),
            failures: HashMap::new(),
            idle: BTreeSet::new(),
            retries,
        }
    }

    /// What is not known to be done.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// Whether all is done.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a mark; whether it was needed.
    pub(crate) fn done(&mut self, batch: u64, mark: &DoneMark, digest: &str) -> bool {
        mark.digest == digest && self.open.remove(&batch).is_some()
    }

    /// Takes a note of a failure.
    pub(crate) fn failed(&mut self, batch: u64, name: String, mark: FailedMark) {
        self.failures.entry(batch).or_default().insert(name, mark);
    }

    /// Takes note that batches were given out.
    pub(crate) fn given(&mut self, batches: &[u64], place: Place) {
        for batch in batches {
            self.given.entry(*batch).or_default().push(place);
        }
    }

    /// What is to be started now: open batches that nobody of `alive` was given, the second time they are seen so.
    ///
    /// # Errors
    /// [`Error::Task`] if a batch failed twice alike; [`Error::Lost`] if one was started too often.
    pub(crate) fn missing(&mut self, alive: &HashSet<Place>, logs: &str) -> Result<Vec<u64>, Error> {
        for batch in self.open.keys() {
            let notes = self.failures.get(batch).into_iter().flat_map(BTreeMap::values);
            let mut seen: HashSet<&str> = HashSet::new();
            for mark in notes {
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
        let is_idle =
            |batch: &&u64| !self.given.get(batch).into_iter().flatten().any(|place| alive.contains(place));
        let now: BTreeSet<u64> = self.open.keys().filter(is_idle).copied().collect();
        // At first nobody was given anything: no need to look twice.
        let ready = now.iter().filter(|batch| self.idle.contains(batch) || !self.given.contains_key(batch));
        let ready: Vec<u64> = ready.copied().collect();
        for batch in &ready {
            let Some(attempts) = self.open.get_mut(batch) else { continue };
            if *attempts > self.retries {
                let last = self.failures.get(batch).and_then(|notes| notes.values().last());
                let last = last.map_or_else(
                    || "its workers ended without a word, perhaps killed for their memory or time".to_owned(),
                    |mark| format!("{} (on {})", mark.message, mark.host),
                );
                return Err(Error::Lost {
                    batch: *batch,
                    stage: self.name.clone(),
                    attempts: *attempts,
                    last,
                    logs: logs.to_owned(),
                });
            }
            *attempts += 1;
        }
        self.idle = now.into_iter().filter(|batch| !ready.contains(batch)).collect();
        Ok(ready)
    }

    /// Whether some batch was given out and is neither done nor failed.
    pub(crate) fn is_silent(&self) -> bool {
        self.failures.is_empty() && self.open.keys().any(|batch| self.given.contains_key(batch))
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
        FailedMark { message: message.to_owned(), fault: "bad input".to_owned(), host: "n1".to_owned() }
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
