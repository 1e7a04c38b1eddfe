//! From arrays to a plan: what is evaluated together, in which stages, and what lies between them.
//!
//! The graph is cut at barriers: reductions and functions of whole blocks, whose results are temporary arrays; not at functions
//! whose blocks one stage alone uses as they come: its tasks make them. All between barriers becomes programs, views
//! folded into what they read. Outputs of one level whose tasks have the same
//! boxes share a stage, so that a source chunk is read once whatever the number of results. A stage that does not
//! fit the budget is taken apart: outputs one by one; the tasks of a function whose inputs stand still in parts, which
//! read those again; a written array first on its own grid and then cut as its sink wants; an input first cut as the
//! tasks want.
//!
//! Invariants: a plan depends on the arrays, the budget and the number of threads alone; results depend on the arrays
//! alone. Called by [`crate::session`].

mod banded;
mod expression;
mod holding;
mod making;
mod outputs;
mod parts;
mod stage;
mod tally;

use crate::array::Array;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::{CopyOptions, Plan, Resources, Stage, plan_copy_stages, replaced};
use crate::sink::Sink;
use crate::source::Source;
use crate::temporary::{Place, Temporary};
use making::CallKey;
pub(crate) use outputs::is_stored;
use outputs::{Job, Outputs};
use stage::{Drafted, StageDraft};
use std::collections::HashSet;
use std::sync::Arc;

/// An array and where its elements go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) array: Array,
    pub(crate) sink: Arc<dyn Sink>,
}

/// How sums and means of floats are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sums {
    /// In float64 with the rounding errors carried along: the same bits for the same chunks.
    #[default]
    Carried,
    /// Exactly, in superaccumulators: the same bits whatever the chunks.
    Exact,
}

/// Plans the evaluation of `targets`. `held_bytes` of the budget are taken by sinks in memory.
///
/// # Errors
/// [`Error::OverBudget`] with what would work, if a stage cannot be made to fit; [`Error::Shape`] or [`Error::Usage`]
/// if a sink is of another shape or dtype.
pub(crate) fn plan_arrays(
    targets: &[Target],
    held_bytes: u64,
    sums: Sums,
    resources: &Resources,
) -> Result<Plan> {
    for Target { array, sink } in targets {
        if sink.grid().shape() != array.shape() {
            return Err(Error::Shape { expected: array.shape(), found: sink.grid().shape() });
        }
        if sink.dtype() != array.dtype() {
            let message = format!("{} takes {}, not {}", sink.label(), sink.dtype(), array.dtype());
            return Err(Error::Usage { message });
        }
    }
    let mut collected = Vec::new();
    let written = |Target { array, sink }: &Target| {
        let sink = replaced(sink, resources, &mut collected);
        Target { array: array.clone(), sink }
    };
    let written: Vec<Target> = targets.iter().map(written).collect();
    let mut plan = plan_written(&written, held_bytes, sums, resources)?;
    plan.sinks = targets.iter().map(|target| Arc::clone(&target.sink)).collect();
    let same = targets.to_vec();
    let again = move |resources: &Resources| {
        plan_arrays(&same, held_bytes, sums, resources).map(|plan| plan.summary().clone())
    };
    Ok(plan.with_collected(collected).made_by(again))
}

/// As [`plan_arrays`], of sinks that the stages can write.
fn plan_written(targets: &[Target], held_bytes: u64, sums: Sums, resources: &Resources) -> Result<Plan> {
    let mut refused = match plan_within(targets, held_bytes, sums, resources) {
        Err(refused @ Error::OverBudget { .. }) => refused,
        planned => return planned,
    };
    // What is refused first may not need the most.
    for _ in 0..MAX_REFUSALS {
        let Error::OverBudget { needed_bytes: enough_bytes, .. } = refused else { break };
        let more = Resources { budget_bytes: enough_bytes, ..resources.clone() };
        match plan_within(targets, held_bytes, sums, &more) {
            Err(Error::OverBudget { operation, detail, needed_bytes, .. }) if needed_bytes > enough_bytes => {
                let budget_bytes = resources.budget_bytes;
                refused = Error::OverBudget { operation, detail, needed_bytes, budget_bytes };
            }
            _ => break,
        }
    }
    Err(refused)
}

/// Larger and larger budgets that are tried, at most, to find out what a plan that is refused needs.
const MAX_REFUSALS: usize = 16;

/// As [`plan_arrays`]; a refusal names what one of the stages needs.
fn plan_within(targets: &[Target], held_bytes: u64, sums: Sums, resources: &Resources) -> Result<Plan> {
    let mut apart = HashSet::new();
    let (mut stages, smallest) = loop {
        let outputs = Outputs::of(targets, held_bytes, sums, resources, &apart)?;
        let fixed_bytes = held_bytes.saturating_add(outputs.memory_bytes());
        let mut lowering = Lowering {
            resources,
            outputs: &outputs,
            fixed_bytes,
            stages: Vec::new(),
            smallest: 0,
            apart: Vec::new(),
        };
        let added = outputs.groups().iter().try_for_each(|group| lowering.add_group(group));
        if lowering.apart.is_empty() {
            added?;
            break (lowering.stages, lowering.smallest);
        }
        apart.extend(lowering.apart);
    };
    discard_after_last_use(&mut stages);
    let sinks = targets.iter().map(|target| Arc::clone(&target.sink)).collect();
    let label = match targets {
        [Target { sink, .. }] => format!("computation of {}", sink.label()),
        _ => format!("computation of {} arrays", targets.len()),
    };
    Ok(Plan::new(label, stages, sinks, resources, smallest))
}

struct Lowering<'a> {
    resources: &'a Resources,
    outputs: &'a Outputs,
    /// Bytes that are taken whatever stage runs.
    fixed_bytes: u64,
    stages: Vec<Stage>,
    smallest: u64,
    /// Functions that must have stages of their own.
    apart: Vec<CallKey>,
}

impl Lowering<'_> {
    /// Adds the stages of jobs that may share one.
    fn add_group(&mut self, jobs: &[&Job]) -> Result<()> {
        let mut draft = StageDraft::new(self.outputs);
        jobs.iter().try_for_each(|job| draft.add(job))?;
        let drafted = draft.finish(self.fixed_bytes, self.resources)?;
        let drafted = self.in_bands(&draft, drafted)?;
        if !drafted.made.is_empty() && drafted.stage.peak_bytes > self.resources.budget_bytes {
            // Fewer threads, or another reading, would cost more than a temporary array.
            self.apart.extend(drafted.made);
            return Ok(());
        }
        if self.add_in_parts(&draft, &drafted)? {
            return Ok(());
        }
        if drafted.needed_bytes <= self.resources.budget_bytes {
            self.push(drafted);
            return Ok(());
        }
        match jobs {
            [job] => self.add_apart(job, drafted),
            jobs => jobs.iter().try_for_each(|job| self.add_group(&[job])),
        }
    }

    /// Adds the stages of a draft that is to be carried out in parts, which read again what they share; `false` if it is not.
    fn add_in_parts(&mut self, draft: &StageDraft<'_>, whole: &Drafted) -> Result<bool> {
        let Some(parts) = parts::chosen(draft, whole, self.fixed_bytes, self.resources)? else {
            return Ok(false);
        };
        for (number, index) in parts.indices().enumerate() {
            let mut drafted = draft.finish_in(Some(&parts), self.fixed_bytes, self.resources)?;
            drafted.stage.part = Some(drafted.stage.tasks.chunks_in(&parts.region(&index)?));
            if number > 0 {
                drafted.stage.opens.clear();
            }
            self.push(drafted);
        }
        Ok(true)
    }

    fn push(&mut self, drafted: Drafted) {
        self.smallest = self.smallest.max(drafted.needed_bytes);
        let mut stage = drafted.stage;
        banded::reduce_in_bands(&mut stage);
        self.stages.push(stage);
    }

    /// Adds a job whose single stage does not fit.
    fn add_apart(&mut self, job: &Job, drafted: Drafted) -> Result<()> {
        if let Job::Write { array, sink, .. } = job
            && sink.grid() != array.grid()
        {
            // On its own grid first, then as the sink wants it.
            let pieces = self.on_disk("result on its own grid", array.dtype(), array.grid());
            let first = Job::Write {
                array: array.clone(),
                sink: Arc::clone(&pieces) as Arc<dyn Sink>,
                opens: vec![Arc::clone(&pieces)],
            };
            self.add_group(&[&first])?;
            return self.copy(pieces, sink);
        }
        // The inputs that hold most are cut as the tasks want, one after another, until the stage fits.
        let mut draft = StageDraft::new(self.outputs);
        draft.add(job)?;
        let mut refused = drafted;
        while let Some((read, widest)) = draft.widest_input(&refused)? {
            let tasks = stage::seen_tasks(&read.reach, &refused.stage.tasks)?;
            let array = &read.seen;
            let (source, temporary) = if let Some(piece) = read.as_it_is() {
                (Arc::clone(&piece.source), piece.temporary.clone())
            } else {
                let seen = self.on_disk("input as it is seen", array.dtype(), array.grid());
                let first = Job::Write {
                    array: array.clone(),
                    sink: Arc::clone(&seen) as Arc<dyn Sink>,
                    opens: vec![Arc::clone(&seen)],
                };
                self.add_group(&[&first])?;
                (Arc::clone(&seen) as Arc<dyn Source>, Some(seen))
            };
            let cut = self.on_disk("input cut for its tasks", array.dtype(), &tasks);
            let sink = Arc::clone(&cut) as Arc<dyn Sink>;
            let copied = self.copy_into(source, temporary, &sink, Some(&cut));
            draft.replace(widest, Arc::clone(&cut) as Arc<dyn Source>, Some(cut));
            refused = draft.finish(self.fixed_bytes, self.resources)?;
            if let Err(Error::OverBudget { needed_bytes, .. }) = &copied
                && *needed_bytes < refused.needed_bytes
                && draft.widest_input(&refused)?.is_none()
            {
                // What the tasks take would be refused next.
                return Err(refused.over_budget(self.resources));
            }
            copied?;
            if self.add_in_parts(&draft, &refused)? {
                return Ok(());
            }
            if refused.needed_bytes <= self.resources.budget_bytes {
                self.push(refused);
                return Ok(());
            }
        }
        Err(refused.over_budget(self.resources))
    }

    fn on_disk(&self, label: &str, dtype: blockwise_kernels::DType, grid: &ChunkGrid) -> Arc<Temporary> {
        let place = Place::Disk(self.resources.spill_folder.clone());
        Arc::new(Temporary::new(label, dtype, grid.clone(), place))
    }

    fn copy(&mut self, from: Arc<Temporary>, sink: &Arc<dyn Sink>) -> Result<()> {
        self.copy_into(Arc::clone(&from) as Arc<dyn Source>, Some(from), sink, None)
    }

    /// Adds the stages of a copy; `temporary` is the temporary array behind `from`, `opens` that behind `sink`, if they
    /// are such.
    fn copy_into(
        &mut self,
        from: Arc<dyn Source>,
        temporary: Option<Arc<Temporary>>,
        sink: &Arc<dyn Sink>,
        opens: Option<&Arc<Temporary>>,
    ) -> Result<()> {
        let budget_bytes = self.resources.budget_bytes.saturating_sub(self.fixed_bytes);
        let resources = Resources { budget_bytes, ..self.resources.clone() };
        let planned = plan_copy_stages(from, sink, &resources, &CopyOptions::default());
        let (mut stages, smallest) = planned.map_err(|error| match error {
            Error::OverBudget { operation, detail, needed_bytes, .. } => Error::OverBudget {
                operation,
                detail,
                needed_bytes: needed_bytes.saturating_add(self.fixed_bytes),
                budget_bytes: self.resources.budget_bytes,
            },
            other => other,
        })?;
        for stage in &mut stages {
            stage.fixed_bytes = stage.fixed_bytes.saturating_add(self.fixed_bytes);
            // A copy to a temporary array is of what something else reads.
            stage.resumes = opens.is_none();
            stage.peak_bytes = stage.peak_bytes.saturating_add(self.fixed_bytes);
        }
        if let Some(input) = stages.first_mut().and_then(|stage| stage.inputs.first_mut()) {
            input.temporary = temporary;
        }
        if let Some(stage) = stages.last_mut() {
            stage.opens.extend(opens.cloned());
        }
        self.smallest = self.smallest.max(smallest.saturating_add(self.fixed_bytes));
        self.stages.extend(stages);
        Ok(())
    }
}

/// Lets go of every temporary array after the last stage that reads it (or that wrote it, if none does).
fn discard_after_last_use(stages: &mut [Stage]) {
    let opened: Vec<Arc<Temporary>> = stages.iter().flat_map(|stage| stage.opens.iter().cloned()).collect();
    for array in opened {
        let uses = |stage: &Stage| {
            stage
                .inputs
                .iter()
                .any(|input| input.temporary.as_ref().is_some_and(|own| Arc::ptr_eq(own, &array)))
                || stage
                    .work
                    .sinks()
                    .iter()
                    .any(|sink| std::ptr::addr_eq(Arc::as_ptr(sink), Arc::as_ptr(&array)))
                || stage.opens.iter().any(|own| Arc::ptr_eq(own, &array))
        };
        if let Some(last) = stages.iter().rposition(uses)
            && let Some(stage) = stages.get_mut(last)
            && !stage.discards.iter().any(|own| Arc::ptr_eq(own, &array))
        {
            stage.discards.push(array);
        }
    }
}
