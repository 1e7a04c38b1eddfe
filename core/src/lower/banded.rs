//! Stages that would hold much of an array only because its chunks are long: they read it in bands.
//!
//! Invariant: the elements are the same, and so are the tasks; only what is read at a time differs. Called by
//! [`super::Lowering`] for every stage.

use super::Lowering;
use super::stage::{Drafted, StageDraft, seen_tasks};
use crate::error::Result;
use crate::plan;

/// Stages that hold less than this are left as they are.
const LEAST_HELD_BYTES: u64 = 32 << 20;

impl Lowering<'_> {
    /// The stage of `draft`, which is `drafted`, with the input that holds most read in bands, if that at least halves
    /// what the stage needs and lets all threads work; else `drafted`.
    pub(super) fn in_bands(&self, draft: &StageDraft<'_>, drafted: Drafted) -> Result<Drafted> {
        if drafted.held_bytes < LEAST_HELD_BYTES {
            return Ok(drafted);
        }
        let Some((read, widest)) = draft.widest_input(&drafted)? else { return Ok(drafted) };
        let Some(piece) = read.as_it_is() else { return Ok(drafted) };
        let mut most_bytes = self.resources.budget_bytes.min(drafted.stage.peak_bytes / 2);
        let mut best = drafted;
        for banded in plan::in_bands(&piece.source, &seen_tasks(&read.reach, &best.stage.tasks)?) {
            let mut trial = draft.clone();
            trial.replace(widest, banded, None);
            let trial = trial.finish(self.fixed_bytes, self.resources)?;
            if trial.stage.peak_bytes <= most_bytes {
                most_bytes = trial.stage.peak_bytes;
                best = trial;
            }
        }
        Ok(best)
    }
}
