//! The tasks of one function in parts, when what they share does not fit the budget: each part reads it again.
//!
//! So a product of matrices larger than memory reads each a few times. Invariants: parts follow cuts of the tasks and never
//! divide the tasks of one result, so results do not depend on them. Called by [`super::plan_arrays`].

use super::stage::{Drafted, Repeated, StageDraft};
use crate::error::Result;
use crate::grid::{AxisGrid, ChunkGrid};
use crate::plan::Resources;

/// The parts in which the tasks of a draft are carried out; `None` if `whole`, all of them at once, is better or parts do
/// not help. They are the ones that read least among those that a greedy search finds to fit with all threads at work, or
/// else with one.
pub(super) fn chosen(
    draft: &StageDraft<'_>,
    whole: &Drafted,
    fixed_bytes: u64,
    resources: &Resources,
) -> Result<Option<ChunkGrid>> {
    if whole.stage.peak_bytes <= resources.budget_bytes {
        return Ok(None);
    }
    let Some(repeated) = draft.repeated(whole)? else { return Ok(None) };
    let tasks = &whole.stage.tasks;
    let mut multiples = tasks.counts();
    let mut fits_one = whole.needed_bytes <= resources.budget_bytes;
    let mut found = None;
    let mut peak_bytes = whole.stage.peak_bytes;
    loop {
        let mut best: Option<(f64, usize, u64, u64)> = None;
        for axis in (0..tasks.rank()).filter(|axis| !draft.folded().contains(axis)) {
            let Some(halved) = halved(&multiples, axis) else { continue };
            let parts = parts(tasks, &halved)?;
            let drafted = draft.finish_in(Some(&parts), fixed_bytes, resources)?;
            let (peak, needed) = (drafted.stage.peak_bytes, drafted.needed_bytes);
            let cost = peak as f64 * read_bytes(&repeated, &parts);
            if peak < peak_bytes && best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, axis, peak, needed));
            }
        }
        let Some((_, axis, peak, needed)) = best else { return Ok(found) };
        multiples = halved(&multiples, axis).unwrap_or(multiples);
        peak_bytes = peak;
        let fits = peak <= resources.budget_bytes;
        if fits || (!fits_one && needed <= resources.budget_bytes) {
            found = Some(parts(tasks, &multiples)?);
            fits_one = true;
        }
        if fits {
            return Ok(found);
        }
    }
}

/// Tasks of a part along each axis when `axis` has half as many; `None` if it has but one.
fn halved(multiples: &[u64], axis: usize) -> Option<Vec<u64>> {
    let mut halved = multiples.to_vec();
    let own = halved.get_mut(axis).filter(|own| **own > 1)?;
    *own = own.div_ceil(2);
    Some(halved)
}

fn parts(tasks: &ChunkGrid, multiples: &[u64]) -> Result<ChunkGrid> {
    let axes = tasks.axes().iter().zip(multiples);
    ChunkGrid::from_axes(axes.map(|(cuts, multiple)| cuts.coarsened((*multiple).max(1))).collect())
}

/// Bytes that all parts read.
fn read_bytes(repeated: &[Repeated], parts: &ChunkGrid) -> f64 {
    let count = |axis: &usize| parts.axes().get(*axis).map_or(1, AxisGrid::count) as f64;
    let of = |read: &Repeated| read.bytes as f64 * read.still.iter().map(count).product::<f64>();
    repeated.iter().map(of).sum()
}
