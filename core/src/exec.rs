//! The local engine: runs the stages of a plan, or batches of them, on this machine's threads.
//!
//! Each stage is a dataflow over chunks, kept by the queue (plain state under one lock, see `exec/queue.rs`); every
//! thread asks the queue for its next step, carries it out unlocked, and reports back. Where writes wait for a device there
//! are threads to spare: whoever waits lends its slot to one. Invariants: no more threads than were asked for compute at a
//! time; the first error ends the run, with its task in the message; a panic in a task is such an error; when a run
//! returns, no thread of it works on and no temporary file is left. Called by the facade with a plan of [`crate::plan`].

pub mod batches;
mod chain;
mod compute;
mod done;
pub(crate) mod fold;
mod grouped;
mod kept;
mod queue;
mod reduced;
mod states;
mod task;
mod turns;
mod view;

use crate::block::BlockFunction;
use crate::chunk::Chunk;
use crate::coding::{self, Spent};
use crate::context::{Cancellation, Event, Observer, TaskContext};
use crate::device::{Device, place_output, placed_calls};
use crate::error::{Error, Result};
use crate::plan::leaf::c_order;
use crate::plan::{Output, Plan, Resources, Stage, StageWork};
use crate::region::byte_count;
use crate::slots::Slots;
use crate::source::Source;
use crate::spill::free_bytes;
use crate::sync::{Condvar, Mutex, MutexGuard, Workers};
use blockwise_kernels::BufferPool;
use blockwise_kernels::program::Scratch;
use compute::ComputeRun;
use done::Done;
use kept::Kept;
use queue::{Alone, Queue, Step, Task};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use task::Work;
use view::StageView;

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunReport {
    /// Seconds from start to the last rename.
    pub secs: f64,
    /// Decoded bytes that were read, in all stages.
    pub bytes_read: u64,
    /// Decoded bytes that were written, in all stages.
    pub bytes_written: u64,
    /// Bytes that the last stage stored, encoded.
    pub stored_bytes: u64,
    /// The most bytes of the budget that were reserved at once.
    pub peak_reserved_bytes: u64,
    /// Chunks of the output that an earlier run had stored.
    pub chunks_skipped: u64,
}

/// Runs `plan` with `resources`, which must be those it was planned for, and finishes its sinks: by their engine, or here.
///
/// What was lost in a temporary file, because it no longer holds what was written or cannot be read, is computed again,
/// once: the stages start over, and skip what the result has stored.
///
/// # Errors
/// The first error of a task, with the task named; [`Error::NoSpace`] before anything runs if temporary files would
/// not fit; [`Error::Cancelled`] if `cancellation` was set.
pub fn run(
    plan: &Plan,
    resources: &Resources,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<RunReport> {
    match &resources.engine {
        Some(engine) => engine.run(plan, resources, observer, cancellation),
        None => run_here(plan, resources, observer, cancellation),
    }
}

/// As [`run`], on this process's threads whatever the engine.
///
/// # Errors
/// As [`run`].
pub fn run_here(
    plan: &Plan,
    resources: &Resources,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<RunReport> {
    let started = Instant::now();
    check_space(plan, resources)?;
    let (workers, pool) = threads(plan, resources)?;
    plan.collected.iter().try_for_each(|collected| collected.from.open())?;
    let machine = Machine::new(&workers, &pool, resources);
    // Only a plan for one result can know what an earlier run left undone.
    let stored = || match plan.sinks.as_slice() {
        [sink] if plan.collected.is_empty() => Some(Done::of(&**sink)),
        _ => None,
    };
    let found = stored();
    let chunks_skipped = found.as_ref().map_or(0, Done::chunks);
    let mut report = match run_stages(plan, &machine, found.as_ref(), observer, cancellation) {
        Err(error) if error.is_lost_spill() => {
            tracing::warn!("{error}; what it held is computed again");
            run_stages(plan, &machine, stored().as_ref(), observer, cancellation)?
        }
        outcome => outcome?,
    };
    report.chunks_skipped = chunks_skipped;
    for collected in &plan.collected {
        collected.copy(resources, cancellation)?;
        collected.from.discard();
    }
    for sink in &plan.sinks {
        sink.finish()?;
    }
    report.secs = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Threads beyond those that compute, where some wait for a disk or a device.
const WAITING_THREADS: usize = 2;

/// The threads and the buffers of a run.
fn threads(plan: &Plan, resources: &Resources) -> Result<(Workers, BufferPool)> {
    let waits = device_of(plan, resources).is_some()
        || plan.stages.iter().any(|stage| {
            stage.work.sinks().iter().any(|sink| sink.waits()) || functions(stage).any(|call| call.waits())
        });
    let spare = if waits { WAITING_THREADS } else { 0 };
    let workers = Workers::new(resources.threads.max(1).saturating_add(spare))?;
    Ok((workers, pool(plan, resources)))
}

/// Buffers within the budget.
fn pool(plan: &Plan, resources: &Resources) -> BufferPool {
    let pages = device_of(plan, resources).and_then(Device::pages);
    BufferPool::with_pages(usize::try_from(resources.budget_bytes).unwrap_or(usize::MAX), pages)
}

/// The device of a run, if some of it is computed there, or by functions that may use one: others have no use for its pages.
fn device_of<'a>(plan: &Plan, resources: &'a Resources) -> Option<&'a dyn Device> {
    let device = resources.device.as_deref()?;
    let threads = resources.threads.max(1);
    let uses = |stage: &Stage| {
        let StageWork::Compute(compute) = &stage.work else { return false };
        functions(stage).any(|function| function.waits())
            || compute.outputs.iter().any(|output| place_output(stage, output, device, threads).is_ok())
            || placed_calls(stage, compute, Some(device), threads).iter().any(Option::is_some)
    };
    plan.stages.iter().any(uses).then_some(device)
}

/// The functions of whole blocks that a stage calls.
fn functions(stage: &Stage) -> impl Iterator<Item = &dyn BlockFunction> {
    let compute = match &stage.work {
        StageWork::Compute(compute) => Some(compute),
        _ => None,
    };
    let applied =
        compute.into_iter().flat_map(|compute| &compute.outputs).filter_map(|output| match output {
            Output::Applied(applied) => Some(&*applied.call.function),
            _ => None,
        });
    let makers = compute.into_iter().flat_map(|compute| &compute.makers);
    applied.chain(makers.map(|maker| &*maker.call.function))
}

/// What stages run on.
struct Machine<'a> {
    workers: &'a Workers,
    /// That compute at a time.
    threads: usize,
    pool: &'a BufferPool,
    device: Option<&'a dyn Device>,
    budget_bytes: u64,
    page_cache_bytes: u64,
}

impl<'a> Machine<'a> {
    fn new(workers: &'a Workers, pool: &'a BufferPool, resources: &'a Resources) -> Self {
        let budget_bytes = resources.budget_bytes;
        // Half of what is left beside the budget: others use the cache, too.
        let memory = crate::machine::Memory::detect();
        let available_bytes = memory.available_bytes.zip(memory.usable_bytes()).map_or(0, |(a, b)| a.min(b));
        let page_cache_bytes = available_bytes.saturating_sub(budget_bytes) / 2;
        let threads = resources.threads.max(1);
        let device = resources.device.as_deref();
        Self { workers, threads, pool, device, budget_bytes, page_cache_bytes }
    }
}

/// Runs the stages of `plan`, one after another; `stored` is what the result has already.
fn run_stages(
    plan: &Plan,
    machine: &Machine<'_>,
    stored: Option<&Done>,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<RunReport> {
    let mut report = RunReport::default();
    let mut kept = Kept::default();
    let mut disk_bytes = 0;
    for (number, stage) in plan.stages.iter().enumerate() {
        let later = plan.stages.iter().skip(number + 1).flat_map(|stage| &stage.inputs);
        kept.want(later.map(|input| &input.source), machine.page_cache_bytes);
        let sources = stage.sources();
        let nothing = Done::nothing(&stage.commit);
        let done = stored.filter(|_| stage.resumes).unwrap_or(&nothing);
        let opened = stage.opens.iter().try_for_each(|array| array.open());
        if !stage.opens.is_empty() {
            disk_bytes += stage.opens.iter().map(|array| array.disk_bytes()).sum::<u64>();
            observer.observe(&Event::TemporaryDisk { bytes: disk_bytes });
        }
        let pool = machine.pool;
        let boxes = stage.boxes();
        let work = stage.begin(machine.device, machine.threads);
        let run = StageRun { number, stage, boxes, sources: &sources, work, observer, cancellation, pool };
        let before = std::mem::take(&mut kept);
        let outcome = opened.and_then(|()| run.run(machine, done, before));
        let outcome = outcome.and_then(|outcome| run.check_complete().map(|()| outcome));
        stage.discards.iter().for_each(|array| array.discard());
        if !stage.discards.is_empty() {
            let freed_bytes = stage.discards.iter().map(|array| array.disk_bytes()).sum();
            disk_bytes = disk_bytes.saturating_sub(freed_bytes);
            observer.observe(&Event::TemporaryDisk { bytes: disk_bytes });
        }
        let outcome = match outcome {
            Ok((outcome, left)) => {
                kept = left;
                outcome
            }
            Err(error) => {
                observer.observe(&Event::StageFailed { stage: number, error: &error });
                plan.stages.iter().flat_map(|stage| &stage.opens).for_each(|array| array.discard());
                return Err(error);
            }
        };
        report.bytes_read += outcome.bytes_read;
        report.bytes_written += outcome.bytes_written;
        report.stored_bytes = outcome.stored_bytes;
        report.peak_reserved_bytes = report.peak_reserved_bytes.max(outcome.peak_reserved_bytes);
    }
    Ok(report)
}

/// Refuses a run whose temporary files would pass the limit or fill the disk.
fn check_space(plan: &Plan, resources: &Resources) -> Result<()> {
    let needed_bytes = plan.summary().temporary_bytes;
    if needed_bytes == 0 {
        return Ok(());
    }
    let refuse = |folder: &Path, free_bytes, remedy| {
        let folder = folder.display().to_string();
        Err(Error::NoSpace { what: "temporary data", folder, needed_bytes, free_bytes, remedy })
    };
    if let Some(limit_bytes) = resources.spill_limit_bytes
        && needed_bytes > limit_bytes
    {
        return refuse(&resources.spill_folder, limit_bytes, "; or raise --spill-limit or --memory");
    }
    let free = free_bytes(&resources.spill_folder).map_err(|source| Error::Spill {
        path: resources.spill_folder.display().to_string(),
        action: "asking for free space",
        offset: 0,
        len_bytes: 0,
        source,
    })?;
    if needed_bytes > free / 20 * 19 {
        return refuse(&resources.spill_folder, free, " with --spill-dir; or raise --memory");
    }
    Ok(())
}

impl Stage {
    fn sources(&self) -> Vec<Arc<dyn Source>> {
        self.inputs.iter().map(|input| Arc::clone(&input.source)).collect()
    }

    /// The boxes that it commits as one, by their index along each axis.
    fn boxes(&self) -> Vec<Range<u64>> {
        let all = || self.commit.counts().iter().map(|count| 0..*count).collect();
        self.part.clone().unwrap_or_else(all)
    }

    /// What its tasks do, on `device` as far as that is worth its while.
    fn begin<'a>(&'a self, device: Option<&'a dyn Device>, threads: usize) -> Work<'a> {
        match &self.work {
            StageWork::Pass { source, sink, checked } => {
                Work::Pass { source: &**source, sink: &**sink, checked: *checked }
            }
            StageWork::Copy(sink) => Work::Copy(&**sink),
            StageWork::Compute(compute) => Work::Compute(ComputeRun::new(compute, self, device, threads)),
        }
    }
}

struct StageRun<'a> {
    number: usize,
    stage: &'a Stage,
    /// Those of its commit boxes that are carried out now, by their index along each axis.
    boxes: Vec<Range<u64>>,
    sources: &'a [Arc<dyn Source>],
    work: Work<'a>,
    observer: &'a dyn Observer,
    cancellation: &'a Cancellation,
    pool: &'a BufferPool,
}

struct Shared<'a> {
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
    /// Held by threads that are at work.
    slots: Slots,
}

impl<'a> Shared<'a> {
    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        // Tasks run outside the lock and their panics are caught, so a poisoned queue cannot be half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StageRun<'_> {
    fn run(&self, machine: &Machine<'_>, done: &Done, kept: Kept) -> Result<(RunReport, Kept)> {
        let item_bytes = self.stage.item_bytes();
        let (budget_bytes, threads) = (machine.budget_bytes, machine.threads);
        let queue = Queue::new(self.stage, &self.boxes, self.sources, done, budget_bytes, threads, kept)?;
        self.observer.observe(&Event::StageStarted {
            stage: self.number,
            name: &self.stage.name,
            chunks: self.stage.task_count(),
            bytes: byte_count(&self.stage.shape(), item_bytes).unwrap_or(u64::MAX),
        });
        let slots = Slots::new(threads);
        let shared = Shared { queue: Mutex::new(queue), changed: Condvar::new(), slots };
        let stored = AtomicU64::new(0);
        machine.workers.all(|| self.work(&shared, &stored));
        let queue = shared.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut report, kept) = queue.into_outcome()?;
        report.stored_bytes = stored.into_inner();
        self.observer.observe(&Event::StageFinished { stage: self.number });
        Ok((report, kept))
    }

    /// An error if some reduction has not come to its end.
    fn check_complete(&self) -> Result<()> {
        match &self.work {
            Work::Compute(compute) if !compute.is_complete() => {
                let message = format!("stage '{}' left a reduction unfinished", self.stage.name);
                Err(Error::Internal { message })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, input: usize, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let started = Instant::now();
        let chunk = task::read(&*self.sources[input], index, cx)?;
        let (bytes, secs) = (chunk.bytes().len() as u64, started.elapsed().as_secs_f64());
        self.observer.observe(&Event::ChunkRead { stage: self.number, bytes, secs });
        Ok(chunk)
    }

    fn carry_out(
        &self,
        task: &Task,
        view: &StageView<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
        stored: &AtomicU64,
    ) -> Result<()> {
        let started = Instant::now();
        let stored_bytes = self.work.run(&self.stage.name, task, view, scratch, cx)?;
        self.written(task, stored_bytes, started.elapsed().as_secs_f64(), stored);
        Ok(())
    }

    /// Takes note of a task that is done.
    fn written(&self, task: &Task, stored_bytes: u64, secs: f64, stored: &AtomicU64) {
        stored.fetch_add(stored_bytes, Ordering::Relaxed);
        let bytes = task.region.len() * self.stage.item_bytes() as u64;
        self.observer.observe(&Event::ChunkWritten { stage: self.number, bytes, stored_bytes, secs });
    }

    /// The bands that the task can be carried out on, instead of on its chunk.
    fn bands(&self, alone: &Alone) -> Option<&dyn Source> {
        let input = self.stage.inputs.get(alone.input)?;
        let bands = input.bands.as_ref()?;
        let Work::Compute(compute) = &self.work else { return None };
        let whole = input.source.grid().region(&alone.chunk).ok()? == alone.task.region;
        (whole && compute.takes_bands(&alone.task)).then_some(&**bands)
    }

    /// Carries out a task on `bands` of its chunk, each read when the one before has been taken.
    fn carry_out_in_bands(
        &self,
        alone: &Alone,
        bands: &dyn Source,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
        stored: &AtomicU64,
    ) -> Result<()> {
        let (started, mut read_secs, mut read_bytes) = (Instant::now(), 0.0, 0);
        let read = |index: Vec<u64>| {
            let started = Instant::now();
            let band = task::read_band(bands, &index, (&alone.chunk, &alone.task.region), cx)?;
            read_secs += started.elapsed().as_secs_f64();
            read_bytes += band.bytes().len() as u64;
            Ok(band)
        };
        let inner = c_order(bands.grid().chunks_in(&alone.task.region)).map(read);
        let stored_bytes = self.work.run_in_bands(&self.stage.name, &alone.task, inner, scratch, cx)?;
        self.observer.observe(&Event::ChunkRead { stage: self.number, bytes: read_bytes, secs: read_secs });
        self.written(&alone.task, stored_bytes, started.elapsed().as_secs_f64() - read_secs, stored);
        Ok(())
    }

    /// What every thread does until the stage is over.
    fn work(&self, shared: &Shared<'_>, stored: &AtomicU64) {
        let cx = TaskContext::new(self.pool, self.cancellation).sharing(&shared.slots);
        let view = StageView { leaves: &self.stage.leaves, sources: self.sources };
        let mut scratch = Scratch::default();
        coding::take(); // what came before is not this stage's
        shared.slots.acquire();
        let mut queue = shared.lock();
        loop {
            if shared.slots.are_wanted() {
                // A task that waits for its slot holds inputs; to read more of them first would take as much memory again.
                drop(queue);
                shared.slots.release();
                shared.slots.acquire();
                queue = shared.lock();
            }
            if self.cancellation.is_cancelled() {
                queue.fail(Error::Cancelled);
            }
            let step = queue.next_step();
            let reserved_bytes = queue.reserved_bytes();
            match step {
                Step::Finished => {
                    drop(queue);
                    shared.slots.release();
                    shared.changed.notify_all();
                    let Spent { decoding_secs, encoding_secs } = coding::take();
                    let stage = self.number;
                    self.observer.observe(&Event::CodecTime { stage, decoding_secs, encoding_secs });
                    return;
                }
                Step::Wait => {
                    shared.slots.release();
                    drop(shared.changed.wait(queue));
                    shared.slots.acquire();
                    queue = shared.lock();
                }
                Step::Skipped { chunks, bytes } => {
                    drop(queue);
                    self.observer.observe(&Event::ChunksSkipped { stage: self.number, chunks, bytes });
                    queue = shared.lock();
                }
                Step::Read(input, index) => {
                    drop(queue);
                    self.observer.observe(&Event::Memory { reserved_bytes });
                    let outcome = self.read(input, &index, &cx);
                    queue = shared.lock();
                    queue.read_done(input, &index, outcome);
                    shared.changed.notify_all();
                }
                Step::Run(task) => {
                    drop(queue);
                    self.observer.observe(&Event::Memory { reserved_bytes });
                    let outcome = self.carry_out(&task, &view, &mut scratch, &cx, stored);
                    let finished = task.finish();
                    queue = shared.lock();
                    queue.task_done(&finished, outcome);
                    shared.changed.notify_all();
                }
                Step::ReadAndRun(alone) => {
                    let keeps = queue.keeps(alone.input);
                    drop(queue);
                    self.observer.observe(&Event::Memory { reserved_bytes });
                    let bands = if keeps { None } else { self.bands(&alone) };
                    let (reserved, kept, outcome) = match bands {
                        Some(bands) => {
                            let outcome = self.carry_out_in_bands(&alone, bands, &mut scratch, &cx, stored);
                            (alone.give_up(), None, outcome)
                        }
                        None => match self.read(alone.input, &alone.chunk, &cx) {
                            Err(error) => (alone.give_up(), None, Err(error)),
                            Ok(chunk) => {
                                let chunk = Arc::new(chunk);
                                let kept = keeps.then(|| Arc::clone(&chunk));
                                let (task, reserved) = alone.with(chunk);
                                (reserved, kept, self.carry_out(&task, &view, &mut scratch, &cx, stored))
                            }
                        },
                    };
                    queue = shared.lock();
                    queue.read_and_run_done(&reserved, kept, outcome);
                    shared.changed.notify_all();
                }
            }
        }
    }
}
