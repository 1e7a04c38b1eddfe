//! [`Steps`]: what the threads of a worker did in a batch, for the report of its driver.
//!
//! Invariants: of any batch a bounded number is noted ([`MOST_STEPS`]; beyond, neighbours are put together, so that no byte and no
//! second is lost); moments are seconds since 1970, as good as the clocks of the nodes. Nothing depends on them: a batch whose steps are
//! missing is done all the same. Written by [`crate::worker`], read by [`crate::driver`] if somebody wants to see them.

use blockwise_core::{Event, Observer};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Instant, SystemTime};

/// Steps of a batch that are told apart.
const MOST_STEPS: usize = 4096;
/// How many neighbours become at most two, one that reads and one that does not.
const NEIGHBOURS: usize = 4;

/// One step of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Whether it read a chunk; otherwise it computed, encoded and wrote.
    pub(crate) is_read: bool,
    /// Since the beginning of the batch.
    pub(crate) start_secs: f32,
    pub(crate) secs: f32,
    /// Decoded bytes that it was about.
    pub(crate) bytes: u64,
}

/// The steps of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps {
    /// The share of the worker.
    pub(crate) share: usize,
    /// Seconds since 1970 when the batch began.
    pub(crate) began_secs: f64,
    /// Those of each thread.
    pub(crate) threads: Vec<Vec<Step>>,
}

/// Seconds since 1970.
pub(crate) fn now_secs() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Notes the steps of a batch as they are taken.
pub(crate) struct Noted {
    share: usize,
    began: Instant,
    began_secs: f64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<ThreadId, usize>,
    threads: Vec<Vec<Step>>,
    count: usize,
}

impl Noted {
    /// Of a batch that begins now.
    pub(crate) fn begin(share: usize) -> Self {
        Self { share, began: Instant::now(), began_secs: now_secs(), state: Mutex::default() }
    }

    /// What was noted.
    pub(crate) fn into_steps(self) -> Steps {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Steps { share: self.share, began_secs: self.began_secs, threads: state.threads }
    }

    fn note(&self, is_read: bool, bytes: u64, secs: f64) {
        let start_secs = (self.began.elapsed().as_secs_f64() - secs).max(0.0) as f32;
        let step = Step { is_read, start_secs, secs: secs as f32, bytes };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

impl State {
    fn push(&mut self, step: Step) {
        let next = self.threads.len();
        let own = *self.known.entry(std::thread::current().id()).or_insert(next);
        if own == next {
            self.threads.push(Vec::new());
        }
        if let Some(steps) = self.threads.get_mut(own) {
            steps.push(step);
            self.count += 1;
        }
        if self.count >= MOST_STEPS {
            self.threads.iter_mut().for_each(|steps| *steps = coarser(steps));
            self.count = self.threads.iter().map(Vec::len).sum();
        }
    }
}

/// Half as many steps or fewer: neighbours put together, what they read before what they wrote.
fn coarser(steps: &[Step]) -> Vec<Step> {
    let mut all = Vec::with_capacity(steps.len() / 2 + 2);
    for group in steps.chunks(NEIGHBOURS) {
        let mut start_secs = group.first().map_or(0.0, |step| step.start_secs);
        for is_read in [true, false] {
            let own = || group.iter().filter(|step| step.is_read == is_read);
            if own().next().is_none() {
                continue;
            }
            let secs = own().map(|step| step.secs).sum();
            let bytes = own().fold(0, |sum: u64, step| sum.saturating_add(step.bytes));
            all.push(Step { is_read, start_secs, secs, bytes });
            start_secs += secs;
        }
    }
    all
}

impl Observer for Noted {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::ChunkRead { bytes, secs, .. } => self.note(true, *bytes, *secs),
            Event::ChunkWritten { bytes, secs, .. } => self.note(false, *bytes, *secs),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_become_few_without_a_loss() {
        let noted = Noted::begin(3);
        let all = 10 * MOST_STEPS as u64;
        for n in 0..all {
            noted.observe(&Event::ChunkRead { stage: 0, bytes: n, secs: 0.25 });
            noted.observe(&Event::ChunkWritten { stage: 0, bytes: 1, stored_bytes: 9, secs: 0.5 });
            noted.observe(&Event::Memory { reserved_bytes: 7 });
        }
        let steps = noted.into_steps();
        assert_eq!((steps.share, steps.threads.len()), (3, 1));
        let own = &steps.threads[0];
        assert!(own.len() <= MOST_STEPS && own.len() > MOST_STEPS / 4, "{}", own.len());
        let sum = |is_read: bool| {
            own.iter().filter(|step| step.is_read == is_read).map(|step| step.bytes).sum::<u64>()
        };
        assert_eq!((sum(true), sum(false)), (all * (all - 1) / 2, all));
        let secs: f64 = own.iter().map(|step| f64::from(step.secs)).sum();
        assert!((secs - 0.75 * all as f64).abs() < 1.0, "{secs}");
    }

    #[test]
    fn each_thread_has_its_own() {
        let noted = Noted::begin(0);
        std::thread::scope(|scope| {
            for bytes in [5, 6] {
                let noted = &noted;
                scope.spawn(move || noted.observe(&Event::ChunkRead { stage: 0, bytes, secs: 0.0 }));
            }
        });
        let mut bytes: Vec<Vec<u64>> = noted
            .into_steps()
            .threads
            .iter()
            .map(|own| own.iter().map(|step| step.bytes).collect())
            .collect();
        bytes.sort();
        assert_eq!(bytes, [[5], [6]]);
    }
}
