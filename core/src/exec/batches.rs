//! [`SharedRun`]: a plan that several processes carry out, in batches of tasks, with what lies between them in a folder that
//! all of them see.
//!
//! A batch is a box of a stage's commit boxes; no two batches of a stage write the same chunk. Reductions whose tasks lie
//! in several batches leave states, which [`SharedRun::combine`] puts together in the tree that the task grid alone decides:
//! the bits are those of one process. Reductions of groups are not cut along the axis that is grouped. Invariants: batches
//! are a function of the plan and what is asked; carrying one out twice, even at once, is harmless; nothing in the folder is
//! trusted without its checksum. Called by `blockwise-cluster`.

use super::queue::tasks_in;
use super::states::{self, States};
use super::task::Work;
use super::{Done, Kept, Machine, RunReport, StageRun, pool, threads};
use crate::context::{Cancellation, Observer, TaskContext};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::plan::{Output, Plan, Resources, Stage, StageWork};
use crate::region::byte_count;
use crate::shared::SharedArray;
use crate::sink::Sharing;
use crate::spill::fault;
use std::fs;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Some tasks of a stage: its commit boxes with these indices along each axis.
pub type Batch = Vec<Range<u64>>;

/// What a stage is, for who hands out its batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFacts {
    /// What it does.
    pub name: String,
    /// How many tasks it has.
    pub tasks: u64,
    /// Bytes that its tasks are about, as events report them.
    pub bytes: u64,
    /// Bytes that its tasks read, at most, if each input is read once.
    pub read_bytes: u64,
}

impl StageFacts {
    /// Bytes that it reads and writes, by which it is cut.
    #[must_use]
    pub fn about_bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.bytes)
    }
}

/// A plan whose temporary arrays lie in a folder that all processes of a run see.
pub struct SharedRun<'a> {
    plan: &'a Plan,
    resources: &'a Resources,
    folder: PathBuf,
    /// The temporary arrays in the order in which stages open them, then those of results.
    arrays: Vec<Arc<SharedArray>>,
}

impl<'a> SharedRun<'a> {
    /// The run of `plan`, which was made with `resources`, in `folder`. Nothing is touched yet.
    #[must_use]
    pub fn new(plan: &'a Plan, resources: &'a Resources, folder: &Path) -> Self {
        let opened = plan.stages.iter().flat_map(|stage| &stage.opens);
        let all = opened.chain(plan.collected.iter().map(|collected| &collected.from));
        let place = |number: usize| folder.join(format!("array-{number}"));
        let arrays = all.enumerate().map(|(number, array)| array.open_shared(place(number))).collect();
        Self { plan, resources, folder: folder.to_owned(), arrays }
    }

    /// Makes the folders of all arrays and states.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn create(&self) -> Result<()> {
        self.arrays.iter().try_for_each(|array| array.create())?;
        for number in 0..self.plan.stages.len() {
            let folder = self.states_folder(number);
            fs::create_dir_all(&folder).map_err(|source| fault(&folder, "creation", 0, 0, source))?;
        }
        Ok(())
    }

    /// The stages in order.
    #[must_use]
    pub fn stages(&self) -> Vec<StageFacts> {
        self.plan.stages.iter().map(facts).collect()
    }

    /// Stage `number` cut into about as many batches as the start of `wanted` says, or up to its end where that hardly reads more and
    /// leaves no more states; fewer where it cannot be cut further.
    ///
    /// # Errors
    /// If there is no such stage.
    pub fn batches(&self, number: usize, wanted: &RangeInclusive<u64>) -> Result<Vec<Batch>> {
        let stage = self.stage(number)?;
        Ok(cut_within(stage, wanted))
    }

    /// Carries out batch `id` of stage `number`; called by any process, any number of times.
    ///
    /// # Errors
    /// The first error of a task.
    pub fn run_batch(
        &self,
        number: usize,
        id: u64,
        batch: &Batch,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> Result<RunReport> {
        let started = Instant::now();
        let stage = self.stage(number)?;
        if batch.len() != stage.commit.rank() {
            return Err(Error::Rank { expected: stage.commit.rank(), found: batch.len() });
        }
        let (workers, pool) = threads(self.plan, self.resources)?;
        let machine = Machine::new(&workers, &pool, self.resources);
        let (sources, boxes, work) =
            (stage.sources(), batch.clone(), stage.begin(machine.device, machine.threads));
        let run =
            StageRun { number, stage, boxes, sources: &sources, work, observer, cancellation, pool: &pool };
        let nothing = Done::nothing(&stage.commit);
        let (mut report, _) = run.run(&machine, &nothing, Kept::default())?;
        if let Work::Compute(compute) = &run.work
            && self.leaves_states(number)
        {
            let path = self.states_folder(number).join(id.to_string());
            report.stored_bytes += states::write(&path, &compute.take_waiting()?)?;
        }
        run.check_complete()?;
        sync(stage)?;
        report.secs = started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Whether the batches of a stage may leave states, for [`SharedRun::combine`].
    #[must_use]
    pub fn leaves_states(&self, number: usize) -> bool {
        let Some(Stage { work: StageWork::Compute(compute), .. }) = self.plan.stages.get(number) else {
            return false;
        };
        compute.outputs.iter().any(|output| match output {
            Output::Reduced(_) => true,
            Output::Applied(applied) => applied.folded.is_some(),
            Output::Written { .. } | Output::Grouped(_) => false,
        })
    }

    /// Puts together what `count` batches of a stage have left; called when all are done, any number of times.
    ///
    /// # Errors
    /// If a state cannot be read, or a result cannot be written.
    pub fn combine(&self, number: usize, count: u64, cancellation: &Cancellation) -> Result<RunReport> {
        let started = Instant::now();
        let stage = self.stage(number)?;
        let Work::Compute(compute) = stage.begin(None, 1) else {
            return Err(Error::Internal { message: format!("stage '{}' leaves no states", stage.name) });
        };
        let pool = pool(self.plan, self.resources);
        let cx = TaskContext::new(&pool, cancellation);
        let folder = self.states_folder(number);
        let states = States::open((0..count).map(|id| folder.join(id.to_string())).collect())?;
        let mut report = RunReport::default();
        for found in &states.found {
            cx.check_cancelled()?;
            report.stored_bytes += compute.add(states.read(found, &cx)?, &cx)?;
        }
        if !compute.is_complete() {
            let message = format!("states of stage '{}' are missing", stage.name);
            return Err(Error::Internal { message });
        }
        sync(stage)?;
        report.secs = started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Removes what no later stage needs, once a stage is complete.
    ///
    /// # Errors
    /// If there is no such stage.
    pub fn discard(&self, number: usize) -> Result<()> {
        let stage = self.stage(number)?;
        let opened = self.plan.stages.iter().flat_map(|stage| &stage.opens);
        for (array, shared) in opened.zip(&self.arrays) {
            if stage.discards.iter().any(|own| Arc::ptr_eq(own, array)) {
                shared.remove();
            }
        }
        let _ = fs::remove_dir_all(self.states_folder(number)); // gone with the run else
        Ok(())
    }

    /// Hands the sinks of this process what all processes have written for them, when all stages are complete: the driver all sinks, and
    /// finishes them; a worker those that every process holds by itself.
    ///
    /// # Errors
    /// If it cannot be read, or a sink cannot be written.
    pub fn collect(&self, cancellation: &Cancellation) -> Result<()> {
        let is_worker = self.resources.is_worker();
        for collected in &self.plan.collected {
            if !is_worker || collected.sink.sharing() == Sharing::Held {
                collected.copy(self.resources, cancellation)?;
            }
        }
        let finished = self.plan.sinks.iter().filter(|sink| !is_worker || sink.sharing() == Sharing::Held);
        finished.into_iter().try_for_each(|sink| sink.finish())
    }

    fn stage(&self, number: usize) -> Result<&'a Stage> {
        let missing = || Error::Internal { message: format!("the plan has no stage {number}") };
        self.plan.stages.get(number).ok_or_else(missing)
    }

    fn states_folder(&self, number: usize) -> PathBuf {
        self.folder.join(format!("states-{number}"))
    }
}

fn facts(stage: &Stage) -> StageFacts {
    StageFacts {
        name: stage.name.clone(),
        tasks: stage.task_count(),
        bytes: byte_count(&stage.shape(), stage.item_bytes()).unwrap_or(u64::MAX),
        read_bytes: stage
            .inputs
            .iter()
            .map(|input| byte_count(&input.source.grid().shape(), input.source.dtype().size()))
            .fold(0, |sum: u64, bytes| sum.saturating_add(bytes.unwrap_or(u64::MAX))),
    }
}

/// How many batches `engine` cuts a stage of a plan of `plan_bytes` into.
pub(crate) fn planned(stage: &Stage, engine: &dyn Engine, plan_bytes: u64) -> Option<u64> {
    let wanted = engine.batches(plan_bytes, facts(stage).about_bytes())?;
    Some(cut_within(stage, &wanted).len() as u64)
}

/// Finer batches may read more by one part in so many.
const FINER_READS: u64 = 20;

/// As [`SharedRun::batches`] says.
fn cut_within(stage: &Stage, wanted: &RangeInclusive<u64>) -> Vec<Batch> {
    let coarse = cut(stage, (*wanted.start()).max(1));
    if together(stage).1 {
        return coarse; // each batch leaves states
    }
    let bytes = read_bytes(stage, &coarse);
    let most_bytes = bytes.saturating_add(bytes / FINER_READS);
    let counts = std::iter::successors(Some(*wanted.end()), |count| Some(count / 2));
    let mut finer = counts.take_while(|count| *count > coarse.len() as u64).map(|count| cut(stage, count));
    finer.find(|finer| read_bytes(stage, finer) <= most_bytes).unwrap_or(coarse)
}

/// Brings what the stage wrote to where it stays; its temporary arrays are in the run's folder, which its caller sees to.
fn sync(stage: &Stage) -> Result<()> {
    stage.work.sinks().iter().try_for_each(|sink| sink.sync())
}

/// The batches of a stage: about `wanted` boxes of its commit boxes.
fn cut(stage: &Stage, wanted: u64) -> Vec<Batch> {
    let whole = stage.boxes();
    if whole.iter().any(|range| range.is_empty()) {
        return vec![whole];
    }
    let (whole_axes, reduces) = together(stage);
    // A part of the stage commits its tasks one by one; boxes of several tasks are never divided.
    let order: Vec<usize> =
        stage.sweep.axes().iter().copied().filter(|axis| !whole_axes.contains(axis)).collect();
    let mut cuts: Vec<u64> = vec![1; whole.len()];
    let count = |axis: usize| whole.get(axis).map_or(1, |range| range.end - range.start);
    let total = |cuts: &[u64]| cuts.iter().product::<u64>();
    if reduces {
        // Outermost first, so that no more results are begun at a time than in the whole stage.
        for axis in order {
            let missing = wanted.div_ceil(total(&cuts));
            if let Some(cut) = cuts.get_mut(axis) {
                *cut = missing.min(count(axis)).max(1);
            }
        }
    } else {
        // The axis whose cut makes batches read least again.
        while total(&cuts) < wanted {
            let halved = |axis: usize| {
                let mut halved = cuts.clone();
                let own = halved.get_mut(axis)?;
                *own = (*own * 2).min(wanted.div_ceil(total(&cuts)).max(2) * *own).min(count(axis));
                (halved != cuts).then_some(halved)
            };
            let options = order.iter().filter_map(|axis| halved(*axis));
            let read = |cuts: &Vec<u64>| read_bytes(stage, &boxes(&whole, cuts));
            let Some(best) = options.min_by_key(read) else { break };
            cuts = best;
        }
    }
    boxes(&whole, &cuts)
}

/// The task axes that no batch may divide, and whether results are of several tasks.
fn together(stage: &Stage) -> (Vec<usize>, bool) {
    let StageWork::Compute(compute) = &stage.work else { return (Vec::new(), false) };
    let (mut whole, mut reduces) = (Vec::new(), false);
    for output in &compute.outputs {
        match output {
            Output::Grouped(grouped) => whole.push(grouped.axis),
            Output::Reduced(_) => reduces = true,
            Output::Applied(applied) => reduces |= applied.folded.is_some(),
            Output::Written { .. } => {}
        }
    }
    reduces |= !whole.is_empty();
    (whole, reduces)
}

/// `whole` cut into as many parts along each axis, in C order.
fn boxes(whole: &[Range<u64>], cuts: &[u64]) -> Vec<Batch> {
    let mut all: Vec<Batch> = vec![Vec::new()];
    for (range, cut) in whole.iter().zip(cuts) {
        let length = range.end - range.start;
        let parts: Vec<Range<u64>> = (0..*cut)
            .map(|n| {
                let at =
                    |n: u64| range.start + (u128::from(length) * u128::from(n) / u128::from(*cut)) as u64;
                at(n)..at(n + 1)
            })
            .collect();
        let longer = |batch: &Batch, part: &Range<u64>| batch.iter().cloned().chain([part.clone()]).collect();
        all = all.iter().flat_map(|batch| parts.iter().map(move |part| longer(batch, part))).collect();
    }
    all
}

/// Bytes of the input chunks that all batches read.
fn read_bytes(stage: &Stage, batches: &[Batch]) -> u64 {
    let shape = stage.tasks.shape();
    let of = |batch: &Batch| -> u64 {
        let tasks = tasks_in(stage, batch);
        let own: Vec<Range<u64>> = stage
            .tasks
            .axes()
            .iter()
            .zip(&tasks)
            .map(|(axis, range)| axis.start(range.start)..axis.start(range.end))
            .collect();
        let of_leaf = |leaf: &crate::plan::Leaf| -> Option<u64> {
            let source = &stage.inputs.get(leaf.input)?.source;
            let seen = leaf.within(&leaf.seen(&own, &shape))?;
            let below = leaf.view.source_ranges(&seen);
            let extents = below.iter().zip(source.grid().axes()).map(|(range, axis)| {
                let chunks = axis.chunks_in(range.clone());
                axis.start(chunks.end) - axis.start(chunks.start)
            });
            byte_count(&extents.collect::<Vec<_>>(), source.dtype().size())
        };
        stage.leaves.iter().filter_map(of_leaf).fold(0, u64::saturating_add)
    };
    batches.iter().map(of).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
