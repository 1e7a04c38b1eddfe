//! What runs next: the dataflow of one stage as plain state, without threads or locks.
//!
//! Outputs are admitted in the plan's order; before each, the inputs it needs that nobody holds yet. Admission
//! reserves bytes, strictly in that order: an input its decoded bytes and scratch, an output its own bytes and
//! scratch. So whatever runs was admitted in an order that the planner showed to fit one by one, every admitted step
//! can finish without a later one, and the stage cannot lock up. Outputs that are ready run before anything is
//! read: data is consumed soon after it is made.
//!
//! Invariants: an input is read once, held while some output still needs it, and dropped with its reservation after
//! the last; an output that an earlier run committed is skipped together with inputs that nothing else needs.
//! Called by the worker loop of [`crate::exec`].

use super::RunReport;
use crate::budget::MemoryBudget;
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::Stage;
use crate::plan::sweep::{Sweep, Visit};
use crate::region::{Region, byte_count};
use crate::sink::Sink;
use crate::source::Source;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// What a thread is to do.
pub(super) enum Step {
    /// Read this input and report with [`Queue::read_done`].
    Read(Vec<u64>),
    /// Write this output and report with [`Queue::write_done`].
    Write(Write),
    /// Take note that outputs were skipped, and ask again.
    Skipped { chunks: u64, bytes: u64 },
    /// Nothing can start until a running step ends.
    Wait,
    /// The stage is over, well or not.
    Finished,
}

/// An output that is ready to be written.
pub(super) struct Write {
    pub(super) index: Vec<u64>,
    /// Decoded bytes of the output.
    pub(super) bytes: u64,
    inputs: Vec<(Vec<u64>, Arc<Chunk>)>,
}

impl Write {
    /// The inputs that touch the output, with their indices.
    pub(super) fn inputs(&self) -> &[(Vec<u64>, Arc<Chunk>)] {
        &self.inputs
    }

    /// Lets go of the inputs, so that their memory is free before their reservation is.
    pub(super) fn finish(self) -> Written {
        let used = self.inputs.into_iter().map(|(index, _)| index).collect();
        Written { bytes: self.bytes, used }
    }
}

/// An output that has been written, or failed.
pub(super) struct Written {
    bytes: u64,
    used: Vec<Vec<u64>>,
}

/// Which commit boxes of the final sink an earlier run has stored.
pub(super) struct Done {
    grid: ChunkGrid,
    /// A bit per commit box in C order; empty if none is done.
    bits: Vec<u64>,
    chunks: u64,
}

impl Done {
    /// Asks `sink` about each of its commit boxes, once.
    pub(super) fn of(sink: &dyn Sink) -> Self {
        let grid = sink.commit_grid().clone();
        let (mut bits, mut chunks) = (Vec::new(), 0);
        for (linear, index) in grid.indices().enumerate() {
            if sink.is_committed(&index) {
                if bits.is_empty() {
                    bits = vec![0_u64; usize::try_from(grid.chunk_count().div_ceil(64)).unwrap_or(0)];
                }
                if let Some(word) = bits.get_mut(linear / 64) {
                    *word |= 1 << (linear % 64);
                    chunks += 1;
                }
            }
        }
        Self { grid, bits, chunks }
    }

    /// Commit boxes that are done.
    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether all commit boxes that `region` touches are done.
    fn covers(&self, region: &Region) -> bool {
        !self.bits.is_empty()
            && c_order(self.grid.chunks_in(region)).all(|index| {
                let linear = self.grid.linear(&index) as usize;
                self.bits.get(linear / 64).is_some_and(|word| word >> (linear % 64) & 1 == 1)
            })
    }
}

fn c_order(ranges: Vec<Range<u64>>) -> Visit {
    Sweep::new((0..ranges.len()).collect()).visit(ranges)
}

struct Slot {
    /// `None` while it is being read.
    chunk: Option<Arc<Chunk>>,
    /// Outputs that still need it.
    uses: u64,
    bytes: u64,
    /// Admitted outputs that wait for it.
    waiters: Vec<u64>,
}

struct Admitted {
    index: Vec<u64>,
    bytes: u64,
    missing: usize,
}

/// The output whose inputs are being admitted.
struct Next {
    index: Vec<u64>,
    region: Region,
    inputs: Visit,
    /// The input that did not fit the budget when it was last tried.
    pending: Option<Vec<u64>>,
    needed: Vec<u64>,
}

/// The state of one stage.
pub(super) struct Queue<'a> {
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    stage: &'a Stage,
    done: &'a Done,
    budget: MemoryBudget,
    item_bytes: u64,
    boxes: Visit,
    inner: Option<Visit>,
    next: Option<Next>,
    slots: HashMap<u64, Slot>,
    admitted: HashMap<u64, Admitted>,
    serial: u64,
    ready: VecDeque<u64>,
    running: usize,
    exhausted: bool,
    failure: Option<Error>,
    bytes_read: u64,
    bytes_written: u64,
}

impl<'a> Queue<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        sink: &'a dyn Sink,
        stage: &'a Stage,
        done: &'a Done,
        budget_bytes: u64,
    ) -> Result<Self> {
        let whole = Region::whole(&sink.grid().shape())?;
        Ok(Self {
            source,
            sink,
            stage,
            done,
            budget: MemoryBudget::new(budget_bytes),
            item_bytes: sink.dtype().size() as u64,
            boxes: stage.sweep.visit(sink.commit_grid().chunks_in(&whole)),
            inner: None,
            next: None,
            slots: HashMap::new(),
            admitted: HashMap::new(),
            serial: 0,
            ready: VecDeque::new(),
            running: 0,
            exhausted: false,
            failure: None,
            bytes_read: 0,
            bytes_written: 0,
        })
    }

    /// Decoded bytes of the whole array.
    pub(super) fn total_bytes(&self) -> u64 {
        byte_count(&self.sink.grid().shape(), self.sink.dtype().size()).unwrap_or(u64::MAX)
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
                return self.start_write(serial);
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
                None if self.ready.is_empty() => break,
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

    /// Moves to the next output that is not done. `Some` if outputs were skipped on the way.
    fn advance(&mut self) -> Result<Option<Step>> {
        loop {
            let Some(index) = self.inner.as_mut().and_then(Iterator::next) else {
                let Some(commit) = self.boxes.next() else {
                    self.exhausted = true;
                    return Ok(None);
                };
                let region = self.sink.commit_grid().region(&commit)?;
                let ranges = self.sink.grid().chunks_in(&region);
                if self.done.covers(&region) {
                    let chunks = ranges.iter().map(|r| r.end - r.start).product();
                    return Ok(Some(Step::Skipped { chunks, bytes: region.len() * self.item_bytes }));
                }
                self.inner = Some(self.stage.sweep.visit(ranges));
                continue;
            };
            let region = self.sink.grid().region(&index)?;
            let inputs = if self.stage.pass_through.is_some() {
                Vec::new()
            } else {
                self.source.grid().chunks_in(&region)
            };
            let mut inputs = c_order(inputs);
            if self.stage.pass_through.is_some() {
                inputs.by_ref().for_each(drop); // chunks pass without being held as inputs
            }
            self.next = Some(Next { index, region, inputs, pending: None, needed: Vec::new() });
            return Ok(None);
        }
    }

    /// Admits the inputs of the next output, then the output. `Some` if a thread has something to read; `None` if
    /// the output was admitted or nothing fits now.
    fn admit(&mut self) -> Result<Option<Step>> {
        let Some(mut next) = self.next.take() else { return Ok(None) };
        while let Some(input) = next.pending.take().or_else(|| next.inputs.next()) {
            let linear = self.source.grid().linear(&input);
            if !self.slots.contains_key(&linear) {
                let region = self.source.grid().region(&input)?;
                let bytes = region.len() * self.item_bytes;
                if !self.budget.try_reserve(bytes.saturating_add(self.stage.sizes.read_scratch)) {
                    next.pending = Some(input);
                    self.next = Some(next);
                    return Ok(None);
                }
                let uses = self.uses(&region)?;
                self.slots.insert(linear, Slot { chunk: None, uses, bytes, waiters: Vec::new() });
                next.needed.push(linear);
                self.next = Some(next);
                self.running += 1;
                return Ok(Some(Step::Read(input)));
            }
            next.needed.push(linear);
        }
        if !self.budget.try_reserve(self.write_bytes(&next.region)) {
            self.next = Some(next);
            return Ok(None);
        }
        let serial = self.serial;
        self.serial += 1;
        let mut missing = 0;
        for linear in &next.needed {
            if let Some(slot) = self.slots.get_mut(linear).filter(|slot| slot.chunk.is_none()) {
                slot.waiters.push(serial);
                missing += 1;
            }
        }
        if missing == 0 {
            self.ready.push_back(serial);
        }
        let bytes = next.region.len() * self.item_bytes;
        self.admitted.insert(serial, Admitted { index: next.index, bytes, missing });
        Ok(None)
    }

    /// Bytes that writing the output of `region` reserves.
    fn write_bytes(&self, region: &Region) -> u64 {
        self.write_bytes_of(region.len() * self.item_bytes)
    }

    fn write_bytes_of(&self, bytes: u64) -> u64 {
        let sizes = &self.stage.sizes;
        if self.stage.pass_through.is_some() {
            return sizes.read_scratch.saturating_add(sizes.input);
        }
        let copied = if sizes.output == 0 { 0 } else { bytes };
        copied.saturating_add(sizes.write_scratch)
    }

    /// Outputs that will need the input of `region`.
    fn uses(&self, region: &Region) -> Result<u64> {
        let touched = self.sink.grid().chunks_in(region);
        if self.done.bits.is_empty() {
            return Ok(touched.iter().map(|r| r.end - r.start).product());
        }
        let mut uses = 0;
        for index in c_order(touched) {
            let output = self.sink.grid().region(&index)?;
            // As in `advance`: an output is skipped with the whole commit box it is in.
            let commit: Vec<u64> =
                self.sink.commit_grid().chunks_in(&output).iter().map(|r| r.start).collect();
            uses += u64::from(!self.done.covers(&self.sink.commit_grid().region(&commit)?));
        }
        Ok(uses)
    }

    fn start_write(&mut self, serial: u64) -> Result<Step> {
        let gone = || Error::Internal { message: "an admitted output or its input is gone".to_owned() };
        let Admitted { index, bytes, .. } = self.admitted.remove(&serial).ok_or_else(gone)?;
        let mut inputs = Vec::new();
        if self.stage.pass_through.is_none() {
            let region = self.sink.grid().region(&index)?;
            for input in c_order(self.source.grid().chunks_in(&region)) {
                let slot = self.slots.get(&self.source.grid().linear(&input)).ok_or_else(gone)?;
                inputs.push((input, Arc::clone(slot.chunk.as_ref().ok_or_else(gone)?)));
            }
        }
        self.running += 1;
        Ok(Step::Write(Write { index, bytes, inputs }))
    }

    /// Takes the outcome of a [`Step::Read`].
    pub(super) fn read_done(&mut self, index: &[u64], outcome: Result<Chunk>) {
        self.running -= 1;
        self.budget.release(self.stage.sizes.read_scratch);
        let chunk = match outcome {
            Ok(chunk) => chunk,
            Err(error) => return self.fail(error),
        };
        self.bytes_read += chunk.bytes().len() as u64;
        let Some(slot) = self.slots.get_mut(&self.source.grid().linear(index)) else { return };
        slot.chunk = Some(Arc::new(chunk));
        for serial in std::mem::take(&mut slot.waiters) {
            if let Some(output) = self.admitted.get_mut(&serial) {
                output.missing -= 1;
                if output.missing == 0 {
                    self.ready.push_back(serial);
                }
            }
        }
    }

    /// Takes the outcome of a [`Step::Write`].
    pub(super) fn write_done(&mut self, written: &Written, outcome: Result<()>) {
        self.running -= 1;
        self.budget.release(self.write_bytes_of(written.bytes));
        for index in &written.used {
            let linear = self.source.grid().linear(index);
            if let Some(slot) = self.slots.get_mut(&linear) {
                slot.uses = slot.uses.saturating_sub(1);
                if slot.uses == 0 {
                    let bytes = slot.bytes;
                    self.slots.remove(&linear);
                    self.budget.release(bytes);
                }
            }
        }
        match outcome {
            Ok(()) => self.bytes_written += written.bytes,
            Err(error) => self.fail(error),
        }
    }

    /// What the stage did, or why it failed.
    pub(super) fn into_outcome(self) -> Result<RunReport> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        debug_assert!(self.slots.is_empty() && self.budget.reserved_bytes() == 0, "memory left reserved");
        Ok(RunReport {
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            peak_reserved_bytes: self.budget.peak_bytes(),
            ..RunReport::default()
        })
    }
}
