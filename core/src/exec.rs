//! The local engine: runs the stages of a copy on this machine's threads.
//!
//! Each stage is a dataflow over chunks, kept by the queue (plain state under one lock, see `exec/queue.rs`); every
//! thread asks the queue for its next step, carries it out unlocked, and reports back. Invariants: the first error
//! ends the run, with its task in the message; a panic in a task is such an error; when a run returns, no thread of
//! it works on and no temporary file is left. Called by the facade with a plan of [`crate::plan`].

mod queue;
mod task;

use crate::context::{Cancellation, Event, Observer, TaskContext};
use crate::error::{Error, Result};
use crate::plan::{CopyPlan, End, Resources, Stage, StageWork};
use crate::region::byte_count;
use crate::source::Source;
use crate::spill::{SpillArray, free_bytes};
use blockwise_kernels::BufferPool;
use queue::{Done, Queue, Step};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use task::{StageView, Work};

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

/// Runs `plan` with `resources`, which must be those it was planned for, and finishes its sink.
///
/// # Errors
/// The first error of a task, with the task named; [`Error::NoSpace`] before anything runs if temporary files would
/// not fit; [`Error::Cancelled`] if `cancellation` was set.
pub fn run_copy(
    plan: &CopyPlan,
    resources: &Resources,
    observer: &dyn Observer,
    cancellation: &Cancellation,
) -> Result<RunReport> {
    let started = Instant::now();
    check_space(plan, resources)?;
    let workers = rayon::ThreadPoolBuilder::new()
        .num_threads(resources.threads.max(1))
        .thread_name(|n| format!("blockwise-{n}"))
        .build()
        .map_err(|error| Error::Internal { message: format!("no threads: {error}") })?;
    let pool = BufferPool::new(usize::try_from(resources.budget_bytes).unwrap_or(usize::MAX));
    let done = Done::of(&*plan.sink);
    let mut report = RunReport { chunks_skipped: done.chunks(), ..RunReport::default() };
    let mut spilled: Vec<Option<Arc<SpillArray>>> = vec![None; plan.spills.len()];
    for (number, stage) in plan.stages.iter().enumerate() {
        let sources = stage
            .inputs
            .iter()
            .map(|input| match &input.end {
                End::Outer(source) => Ok(Arc::clone(source)),
                // Taken out: a temporary array has one reader, and its disk space is free when that is done.
                End::Spill(n) => match spilled.get_mut(*n).and_then(Option::take) {
                    Some(array) => Ok(array as Arc<dyn Source>),
                    None => Err(Error::Internal { message: format!("no temporary array {n}") }),
                },
            })
            .collect::<Result<Vec<_>>>()?;
        let work = match &stage.work {
            StageWork::Pass { source, sink, checked } => {
                Work::Pass { source: Arc::clone(source), sink: Arc::clone(sink), checked: *checked }
            }
            StageWork::Copy(End::Outer(sink)) => Work::Copy { sink: Arc::clone(sink) },
            StageWork::Copy(End::Spill(n)) => {
                let (grid, dtype) = (plan.spills[*n].grid.clone(), plan.sink.dtype());
                let array = Arc::new(SpillArray::create(&resources.spill_folder, dtype, grid)?);
                spilled[*n] = Some(Arc::clone(&array));
                Work::Copy { sink: array }
            }
        };
        let run = StageRun { number, stage, sources: &sources, work, observer, cancellation, pool: &pool };
        let outcome = run.run(&workers, &done, resources.budget_bytes)?;
        report.bytes_read += outcome.bytes_read;
        report.bytes_written += outcome.bytes_written;
        report.stored_bytes = outcome.stored_bytes;
        report.peak_reserved_bytes = report.peak_reserved_bytes.max(outcome.peak_reserved_bytes);
    }
    plan.sink.finish()?;
    report.secs = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Refuses a run whose temporary files would pass the limit or fill the disk.
fn check_space(plan: &CopyPlan, resources: &Resources) -> Result<()> {
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

struct StageRun<'a> {
    number: usize,
    stage: &'a Stage,
    sources: &'a [Arc<dyn Source>],
    work: Work,
    observer: &'a dyn Observer,
    cancellation: &'a Cancellation,
    pool: &'a BufferPool,
}

struct Shared<'a> {
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

impl<'a> Shared<'a> {
    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        // Tasks run outside the lock and their panics are caught, so a poisoned queue cannot be half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StageRun<'_> {
    fn run(&self, workers: &rayon::ThreadPool, done: &Done, budget_bytes: u64) -> Result<RunReport> {
        let item_bytes = self.work.sink().dtype().size();
        let queue = Queue::new(
            self.stage,
            self.sources,
            item_bytes,
            done,
            budget_bytes,
            workers.current_num_threads(),
        )?;
        self.observer.observe(&Event::StageStarted {
            stage: self.number,
            name: &self.stage.name,
            chunks: self.stage.tasks.chunk_count(),
            bytes: byte_count(&self.stage.tasks.shape(), item_bytes).unwrap_or(u64::MAX),
        });
        let shared = Shared { queue: Mutex::new(queue), changed: Condvar::new() };
        let stored = AtomicU64::new(0);
        workers.broadcast(|_| self.work(&shared, &stored));
        let queue = shared.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = queue.into_outcome()?;
        report.stored_bytes = stored.into_inner();
        self.observer.observe(&Event::StageFinished { stage: self.number });
        Ok(report)
    }

    /// What every thread does until the stage is over.
    fn work(&self, shared: &Shared<'_>, stored: &AtomicU64) {
        let cx = TaskContext::new(self.pool, self.cancellation);
        let view = StageView { leaves: &self.stage.leaves, sources: self.sources };
        let item_bytes = self.work.sink().dtype().size() as u64;
        let mut queue = shared.lock();
        loop {
            if self.cancellation.is_cancelled() {
                queue.fail(Error::Cancelled);
            }
            let step = queue.next_step();
            let reserved_bytes = queue.reserved_bytes();
            match step {
                Step::Finished => {
                    drop(queue);
                    shared.changed.notify_all();
                    return;
                }
                Step::Wait => {
                    queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                Step::Skipped { chunks, bytes } => {
                    drop(queue);
                    self.observer.observe(&Event::ChunksSkipped { stage: self.number, chunks, bytes });
                    queue = shared.lock();
                }
                Step::Read(input, index) => {
                    drop(queue);
                    self.observer.observe(&Event::Memory { reserved_bytes });
                    let started = Instant::now();
                    let outcome = task::read(&*self.sources[input], &index, &cx);
                    if let Ok(chunk) = &outcome {
                        let (bytes, secs) = (chunk.bytes().len() as u64, started.elapsed().as_secs_f64());
                        self.observer.observe(&Event::ChunkRead { stage: self.number, bytes, secs });
                    }
                    queue = shared.lock();
                    queue.read_done(input, &index, outcome);
                    shared.changed.notify_all();
                }
                Step::Run(task) => {
                    drop(queue);
                    self.observer.observe(&Event::Memory { reserved_bytes });
                    let started = Instant::now();
                    let outcome = self.work.run(&task, &view, &cx);
                    if let Ok(stored_bytes) = &outcome {
                        stored.fetch_add(*stored_bytes, Ordering::Relaxed);
                        self.observer.observe(&Event::ChunkWritten {
                            stage: self.number,
                            bytes: task.region.len() * item_bytes,
                            stored_bytes: *stored_bytes,
                            secs: started.elapsed().as_secs_f64(),
                        });
                    }
                    let finished = task.finish();
                    queue = shared.lock();
                    queue.task_done(&finished, outcome.map(drop));
                    shared.changed.notify_all();
                }
            }
        }
    }
}
