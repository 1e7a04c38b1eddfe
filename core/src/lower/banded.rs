//! Stages that read chunks in bands: those that would hold much of an array only because its chunks are long, and reductions,
//! which take a band while it is in the cache.
//!
//! Invariant: the elements are the same, and so are the tasks; only what is read at a time differs. Called by
//! [`super::Lowering`] for every stage.

use super::Lowering;
use super::stage::{Drafted, StageDraft, seen_tasks};
use crate::error::Result;
use crate::plan::{self, Operand, Output, Stage, StageWork};

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

/// Lets a stage that does nothing but reduce one array, as it is, take its chunks band by band.
pub(super) fn reduce_in_bands(stage: &mut Stage) {
    let StageWork::Compute(compute) = &stage.work else { return };
    if let ([Output::Reduced(_)], [Operand::Read { direct: true, .. }]) =
        (compute.outputs.as_slice(), compute.operands.as_slice())
        && let ([only], [leaf]) = (stage.inputs.as_mut_slice(), stage.leaves.as_slice())
        && leaf.view.is_identity()
    {
        only.bands = plan::in_cached_bands(&only.source);
    }
}
