//! What runs next: the dataflow of one stage as plain state, without threads or locks.
//!
//! Tasks are admitted in the plan's order; before each, the inputs it needs that nobody holds yet. Admission
//! reserves bytes, strictly in that order: an input its decoded bytes and scratch, a task its results and scratch.
//! So whatever runs was admitted in an order that the planner showed to fit one by one, every admitted step
//! can finish without a later one, and the stage cannot lock up. Tasks that are ready run before anything is
//! read: data is consumed soon after it is made.
//!
//! Invariants: an input is read once, held while some task still needs it, and dropped with its reservation after the
//! last, unless a later stage needs it too: then it is kept for that while nothing else needs the room; a task that an
//! earlier run committed is skipped together with inputs that nothing else needs. Called by the worker loop of [`crate::exec`].

use super::RunReport;
use super::done::Done;
use super::kept::Kept;
use super::turns::Turns;
use crate::budget::MemoryBudget;
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::plan::Stage;
use crate::plan::leaf::c_order;
use crate::plan::sweep::Visit;
use crate::region::Region;
use crate::source::Source;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// What a thread is to do.
pub(super) enum Step {
    /// Read a chunk of this input and report with [`Queue::read_done`].
    Read(usize, Vec<u64>),
    /// Carry out this task and report with [`Queue::task_done`].
    Run(Task),
    /// Read the only chunk that this task needs, and that no other does, carry the task out, and report with
    /// [`Queue::read_and_run_done`].
    ReadAndRun(Alone),
    /// Take note that outputs were skipped, and ask again.
    Skipped { chunks: u64, bytes: u64 },
    /// Nothing can start until a running step ends.
    Wait,
    /// The stage is over, well or not.
    Finished,
}

/// A task whose inputs are there.
pub(super) struct Task {
    pub(super) index: Vec<u64>,
    pub(super) region: Region,
    /// The chunks that each leaf needs.
    pub(super) inputs: Vec<Vec<TaskInput>>,
    used: Vec<SlotKey>,
    serial: u64,
}

/// A task that shares its only input with no other.
pub(super) struct Alone {
    pub(super) input: usize,
    pub(super) chunk: Vec<u64>,
    /// Without its inputs.
    pub(super) task: Task,
    reserved: Reserved,
}

/// What a task that is alone holds of the budget.
pub(super) struct Reserved {
    input: usize,
    position: u64,
    /// Of the chunk.
    chunk_bytes: u64,
    /// Of reading it, then of the task.
    step_bytes: u64,
    elements: u64,
    serial: u64,
}

impl Alone {
    /// The task with its chunk, and what it holds.
    pub(super) fn with(self, chunk: Arc<Chunk>) -> (Task, Reserved) {
        let input = TaskInput { index: self.chunk, chunk };
        (Task { inputs: vec![vec![input]], ..self.task }, self.reserved)
    }

    /// What it holds, if its chunk could not be read.
    pub(super) fn give_up(self) -> Reserved {
        self.reserved
    }
}

/// An input chunk as a task gets it.
pub(super) struct TaskInput {
    pub(super) index: Vec<u64>,
    pub(super) chunk: Arc<Chunk>,
}

impl Task {
    /// Lets go of the inputs, so that their memory is free before their reservation is.
    pub(super) fn finish(self) -> FinishedTask {
        FinishedTask { elements: self.region.len(), used: self.used, serial: self.serial }
    }
}

/// A task that has been carried out, or failed.
pub(super) struct FinishedTask {
    elements: u64,
    used: Vec<SlotKey>,
    serial: u64,
}

/// An input and the position of its chunk in C order.
type SlotKey = (usize, u64);

struct Slot {
    /// `None` while it is being read.
    chunk: Option<Arc<Chunk>>,
    /// How often tasks still need it.
    uses: u64,
    bytes: u64,
    /// Admitted tasks that wait for it.
    waiters: Vec<u64>,
}

struct Admitted {
    index: Vec<u64>,
    region: Region,
    /// Per leaf, the chunks it needs.
    needed: Vec<Vec<Vec<u64>>>,
    missing: usize,
}

/// The task whose inputs are being admitted.
struct Next {
    index: Vec<u64>,
    region: Region,
    needed: Vec<Vec<Vec<u64>>>,
    /// Leaf and position in `needed` from where on inputs are not admitted.
    at: (usize, usize),
}

/// The tasks of these commit boxes, by their index along each axis.
pub(super) fn tasks_in(stage: &Stage, boxes: &[Range<u64>]) -> Vec<Range<u64>> {
    let axes = stage.commit.axes().iter().zip(stage.tasks.axes()).zip(boxes);
    axes.map(|((commit, tasks), range)| tasks.chunks_in(commit.start(range.start)..commit.start(range.end)))
        .collect()
}

/// The state of one stage.
pub(super) struct Queue<'a> {
    sources: &'a [Arc<dyn Source>],
    stage: &'a Stage,
    done: &'a Done,
    budget: MemoryBudget,
    /// Tasks that may wait for their inputs; more would reserve memory that they cannot use yet.
    most_waiting: usize,
    item_bytes: u64,
    boxes: Visit,
    /// The tasks of all boxes, by their index along each axis.
    tasks: Vec<Range<u64>>,
    inner: Option<Visit>,
    next: Option<Next>,
    slots: HashMap<SlotKey, Slot>,
    kept: Kept,
    admitted: HashMap<u64, Admitted>,
    /// Of the task that is admitted next.
    serial: u64,
    /// `None`: a task's memory is free when it ends.
    turns: Option<Turns>,
    ready: VecDeque<u64>,
    running: usize,
    exhausted: bool,
    failure: Option<Error>,
    bytes_read: u64,
    bytes_written: u64,
}

impl<'a> Queue<'a> {
    /// The queue of those `boxes` of `stage` that are committed as one, by their index along each axis; its inputs are `sources`.
    pub(super) fn new(
        stage: &'a Stage,
        boxes: &[Range<u64>],
        sources: &'a [Arc<dyn Source>],
        done: &'a Done,
        budget_bytes: u64,
        threads: usize,
        mut kept: Kept,
    ) -> Result<Self> {
        let mut budget = MemoryBudget::new(budget_bytes);
        if !budget.try_reserve(stage.fixed_bytes) {
            let message = format!("stage '{}' was planned for a larger budget", stage.name);
            return Err(Error::Internal { message });
        }
        kept.enter_stage(sources, &mut budget);
        Ok(Self {
            sources,
            stage,
            done,
            budget,
            most_waiting: threads.saturating_mul(2),
            item_bytes: stage.item_bytes() as u64,
            boxes: stage.sweep.visit(boxes.to_vec()),
            tasks: tasks_in(stage, boxes),
            inner: None,
            next: None,
            slots: HashMap::new(),
            kept,
            admitted: HashMap::new(),
            serial: 0,
            turns: stage.in_turn.then(Turns::default),
            ready: VecDeque::new(),
            running: 0,
            exhausted: false,
            failure: None,
            bytes_read: 0,
            bytes_written: 0,
        })
    }

    pub(super) fn reserved_bytes(&self) -> u64 {
        self.budget.reserved_bytes()
    }

    /// Ends the stage with `error`, unless another ended it before.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// What the asking thread is to do.
    pub(super) fn next_step(&mut self) -> Step {
        match self.try_next_step() {
            Ok(step) => step,
            Err(error) => {
                self.fail(error);
                Step::Finished
            }
        }
    }

    fn try_next_step(&mut self) -> Result<Step> {
        loop {
            if self.failure.is_some() {
                return Ok(Step::Finished);
            }
            if let Some(serial) = self.ready.pop_front() {
                return self.start_task(serial);
            }
            if self.next.is_none() {
                match self.advance()? {
                    Some(skipped) => return Ok(skipped),
                    None if self.next.is_none() => break,
                    None => {}
                }
            }
            match self.admit()? {
                Some(step) => return Ok(step),
                None if self.ready.is_empty() && self.next.is_some() => break, // nothing fits now
                None => {}
            }
        }
        if self.running > 0 {
            return Ok(Step::Wait);
        }
        if self.exhausted && self.admitted.is_empty() {
            return Ok(Step::Finished);
        }
        let message = format!(
            "stage '{}' cannot go on with {} bytes reserved of {}",
            self.stage.name,
            self.budget.reserved_bytes(),
            self.budget.limit_bytes()
        );
        Err(Error::Internal { message })
    }

    /// Moves to the next task that is not done. `Some` if tasks were skipped on the way.
    fn advance(&mut self) -> Result<Option<Step>> {
        loop {
            let Some(index) = self.inner.as_mut().and_then(Iterator::next) else {
                let Some(commit) = self.boxes.next() else {
                    self.exhausted = true;
                    return Ok(None);
                };
                let region = self.stage.commit.region(&commit)?;
                let ranges = self.stage.tasks.chunks_in(&region);
                if self.done.covers(&region) {
                    let chunks = ranges.iter().map(|r| r.end - r.start).product();
                    return Ok(Some(Step::Skipped { chunks, bytes: region.len() * self.item_bytes }));
                }
                self.inner = Some(self.stage.sweep.visit(ranges));
                continue;
            };
            let region = self.stage.tasks.region(&index)?;
            let shape = self.stage.tasks.shape();
            let needed = self
                .stage
                .leaves
                .iter()
                .map(|leaf| leaf.needs(&region, &shape, self.sources[leaf.input].grid()))
                .collect();
            self.next = Some(Next { index, region, needed, at: (0, 0) });
            return Ok(None);
        }
    }

    /// Admits the inputs of the next task, then the task. `Some` if a thread has something to read; `None` if the
    /// task was admitted or nothing fits now (then `next` is still there).
    fn admit(&mut self) -> Result<Option<Step>> {
        let Some(mut next) = self.next.take() else { return Ok(None) };
        if next.at == (0, 0)
            && let [chunks] = next.needed.as_slice()
            && let [chunk] = chunks.as_slice()
            && let Some(reserved) = self.reserve_alone(&next.region, chunk)?
        {
            self.running += 1;
            let (input, chunk) = (reserved.input, chunk.clone());
            let Next { index, region, .. } = next;
            let task = Task { index, region, inputs: Vec::new(), used: Vec::new(), serial: reserved.serial };
            return Ok(Some(Step::ReadAndRun(Alone { input, chunk, task, reserved })));
        }
        while let Some(of_leaf) = next.needed.get(next.at.0) {
            let Some(index) = of_leaf.get(next.at.1) else {
                next.at = (next.at.0 + 1, 0);
                continue;
            };
            let input = self.stage.leaves[next.at.0].input;
            let grid = self.sources[input].grid();
            let key = (input, grid.linear(index));
            if !self.slots.contains_key(&key) {
                let region = grid.region(index)?;
                let bytes = region.len() * self.sources[input].dtype().size() as u64;
                let uses = self.uses(input, &region)?;
                if let Some(chunk) = self.kept.take(&self.sources[input], key.1) {
                    self.slots.insert(key, Slot { chunk: Some(chunk), uses, bytes, waiters: Vec::new() });
                    continue;
                }
                let scratch = self.stage.inputs[input].read_scratch;
                if !self.reserve(bytes.saturating_add(scratch)) {
                    self.next = Some(next);
                    return Ok(None);
                }
                self.slots.insert(key, Slot { chunk: None, uses, bytes, waiters: Vec::new() });
                let index = index.clone();
                self.next = Some(next);
                self.running += 1;
                return Ok(Some(Step::Read(input, index)));
            }
            next.at.1 += 1;
        }
        if self.admitted.len() >= self.most_waiting || !self.reserve(self.stage.task_bytes) {
            self.next = Some(next);
            return Ok(None);
        }
        let serial = self.next_serial();
        let mut missing = 0;
        for (leaf, chunks) in self.stage.leaves.iter().zip(&next.needed) {
            for index in chunks {
                let key = (leaf.input, self.sources[leaf.input].grid().linear(index));
                if let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.chunk.is_none()) {
                    slot.waiters.push(serial);
                    missing += 1;
                }
            }
        }
        if missing == 0 {
            self.ready.push_back(serial);
        }
        let Next { index, region, needed, .. } = next;
        self.admitted.insert(serial, Admitted { index, region, needed, missing });
        Ok(None)
    }

    /// Reserves what the task on `region` needs to read `chunk`, its only input, and to run; `None` if the chunk is there,
    /// another task needs it too, or it does not fit now.
    fn reserve_alone(&mut self, region: &Region, chunk: &[u64]) -> Result<Option<Reserved>> {
        let Some(input) = self.stage.leaves.first().map(|leaf| leaf.input) else { return Ok(None) };
        let source = &self.sources[input];
        let position = source.grid().linear(chunk);
        let key = (input, position);
        if self.slots.contains_key(&key) || self.kept.holds(source, position) {
            return Ok(None);
        }
        let below = source.grid().region(chunk)?;
        if self.uses(input, &below)? != 1 {
            return Ok(None);
        }
        let chunk_bytes = below.len() * source.dtype().size() as u64;
        let step_bytes = self.stage.inputs[input].read_scratch.max(self.stage.task_bytes);
        let elements = region.len();
        if !self.reserve(chunk_bytes.saturating_add(step_bytes)) {
            return Ok(None);
        }
        let serial = self.next_serial();
        Ok(Some(Reserved { input, position, chunk_bytes, step_bytes, elements, serial }))
    }

    /// The number of a task that is admitted now.
    fn next_serial(&mut self) -> u64 {
        let serial = self.serial;
        self.serial += 1;
        if let Some(turns) = &mut self.turns {
            turns.begin(serial);
        }
        serial
    }

    /// Gives back what a task that has ended held, when its turn has come.
    fn release(&mut self, serial: u64, bytes: u64) {
        let freed = match &mut self.turns {
            Some(turns) => turns.end(serial, bytes),
            None => bytes,
        };
        self.budget.release(freed);
    }

    /// Takes the outcome of a [`Step::ReadAndRun`], and the chunk if it is to be kept.
    pub(super) fn read_and_run_done(
        &mut self,
        reserved: &Reserved,
        chunk: Option<Arc<Chunk>>,
        outcome: Result<()>,
    ) {
        self.running -= 1;
        self.release(reserved.serial, reserved.step_bytes);
        match chunk {
            Some(chunk) => {
                let twin_bytes = self.kept.put(&self.sources[reserved.input], reserved.position, chunk);
                self.budget.release(twin_bytes);
            }
            None => self.budget.release(reserved.chunk_bytes),
        }
        match outcome {
            Ok(()) => {
                self.bytes_read += reserved.chunk_bytes;
                self.bytes_written += reserved.elements * self.item_bytes;
            }
            Err(error) => self.fail(error),
        }
    }

    /// Whether chunks of an input are kept for a later stage.
    pub(super) fn keeps(&self, input: usize) -> bool {
        self.kept.wants(&self.sources[input])
    }

    /// Reserves bytes, letting go of chunks that are kept for later if it must.
    fn reserve(&mut self, bytes: u64) -> bool {
        loop {
            if self.budget.try_reserve(bytes) {
                return true;
            }
            match self.kept.drop_last() {
                Some(freed) => self.budget.release(freed),
                None => return false,
            }
        }
    }

    /// How often tasks will need the chunk of `input` with `region`: once for each leaf that shows it to a task.
    fn uses(&self, input: usize, region: &Region) -> Result<u64> {
        let mut uses = 0;
        for leaf in self.stage.leaves.iter().filter(|leaf| leaf.input == input) {
            let Some(mut touched) = leaf.tasks_that_need(region, &self.stage.tasks) else { continue };
            for (range, own) in touched.iter_mut().zip(&self.tasks) {
                *range = range.start.max(own.start)..range.end.min(own.end).max(range.start.max(own.start));
            }
            if self.done.is_none() {
                uses += touched.iter().map(|r| r.end - r.start).product::<u64>();
                continue;
            }
            for index in c_order(touched) {
                let task = self.stage.tasks.region(&index)?;
                // As in `advance`: a task is skipped with the whole commit box it is in.
                let commit: Vec<u64> = self.stage.commit.chunks_in(&task).iter().map(|r| r.start).collect();
                uses += u64::from(!self.done.covers(&self.stage.commit.region(&commit)?));
            }
        }
        Ok(uses)
    }

    fn start_task(&mut self, serial: u64) -> Result<Step> {
        let gone = || Error::Internal { message: "an admitted task or its input is gone".to_owned() };
        let Admitted { index, region, needed, .. } = self.admitted.remove(&serial).ok_or_else(gone)?;
        let mut inputs = Vec::with_capacity(needed.len());
        let mut used = Vec::new();
        for (leaf, chunks) in self.stage.leaves.iter().zip(needed) {
            let mut of_leaf = Vec::with_capacity(chunks.len());
            for index in chunks {
                let key = (leaf.input, self.sources[leaf.input].grid().linear(&index));
                let slot = self.slots.get(&key).ok_or_else(gone)?;
                of_leaf.push(TaskInput { index, chunk: Arc::clone(slot.chunk.as_ref().ok_or_else(gone)?) });
                used.push(key);
            }
            inputs.push(of_leaf);
        }
        self.running += 1;
        Ok(Step::Run(Task { index, region, inputs, used, serial }))
    }

    /// Takes the outcome of a [`Step::Read`].
    pub(super) fn read_done(&mut self, input: usize, index: &[u64], outcome: Result<Chunk>) {
        self.running -= 1;
        self.budget.release(self.stage.inputs[input].read_scratch);
        let chunk = match outcome {
            Ok(chunk) => chunk,
            Err(error) => return self.fail(error),
        };
        self.bytes_read += chunk.bytes().len() as u64;
        let key = (input, self.sources[input].grid().linear(index));
        let Some(slot) = self.slots.get_mut(&key) else { return };
        slot.chunk = Some(Arc::new(chunk));
        for serial in std::mem::take(&mut slot.waiters) {
            if let Some(task) = self.admitted.get_mut(&serial) {
                task.missing -= 1;
                if task.missing == 0 {
                    self.ready.push_back(serial);
                }
            }
        }
    }

    /// Takes the outcome of a [`Step::Run`].
    pub(super) fn task_done(&mut self, task: &FinishedTask, outcome: Result<()>) {
        self.running -= 1;
        self.release(task.serial, self.stage.task_bytes);
        for key in &task.used {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.uses = slot.uses.saturating_sub(1);
                if slot.uses == 0
                    && let Some(Slot { chunk, bytes, .. }) = self.slots.remove(key)
                {
                    match chunk {
                        Some(chunk) if self.kept.wants(&self.sources[key.0]) => {
                            let twin_bytes = self.kept.put(&self.sources[key.0], key.1, chunk);
                            self.budget.release(twin_bytes);
                        }
                        _ => self.budget.release(bytes),
                    }
                }
            }
        }
        match outcome {
            Ok(()) => self.bytes_written += task.elements * self.item_bytes,
            Err(error) => self.fail(error),
        }
    }

    /// What the stage did, or why it failed.
    pub(super) fn into_outcome(self) -> Result<(RunReport, Kept)> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        debug_assert!(self.slots.is_empty(), "inputs left");
        let kept_bytes = self.kept.held_bytes();
        debug_assert!(
            self.budget.reserved_bytes() == self.stage.fixed_bytes + kept_bytes,
            "memory left reserved"
        );
        let report = RunReport {
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            peak_reserved_bytes: self.budget.peak_bytes(),
            ..RunReport::default()
        };
        Ok((report, self.kept))
    }
}
