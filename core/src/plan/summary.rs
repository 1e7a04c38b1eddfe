//! What a plan does and needs, for people and programs: the answer to `--dry-run`.
//!
//! Invariant: every number is an upper bound or exact, never a guess that may be too low. Called by the facade and
//! the command line.

use super::{Output, Resources, Stage, StageWork, extents};
use crate::device::placed_at;
use crate::error::human_bytes;
use crate::exec::batches::planned;
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use crate::view::AxisView;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What one stage does and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSummary {
    /// What it does.
    pub name: String,
    /// Input chunks that its tasks see something of, each decoded once.
    pub chunks_read: u64,
    /// Output chunks, each written once.
    pub chunks_written: u64,
    /// Tasks that it consists of.
    pub tasks: u64,
    /// Bytes read, decoded.
    pub bytes_read: u64,
    /// Bytes written, before encoding.
    pub bytes_written: u64,
    /// Bytes that its tasks are about, as events report them: those of its boxes, of the widest array written.
    pub progress_bytes: u64,
    /// Bytes of memory it may hold, at most the budget.
    pub peak_bytes: u64,
    /// Bytes with which all threads could work without waiting for memory, whatever the budget.
    pub wanted_bytes: u64,
    /// Bytes that it holds throughout: temporary arrays and results in memory, states of reductions.
    pub fixed_bytes: u64,
    /// Bytes that a task holds while it runs, beyond its inputs.
    pub task_bytes: u64,
    /// Batches that several processes share, if an engine has it carried out so.
    pub batches: Option<u64>,
    /// Whether the device that there is computes what it computes, or why not.
    pub device: Option<String>,
}

/// How a plan reads one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSummary {
    /// The source.
    pub label: String,
    /// How often each of its chunks is read and decoded, at most.
    pub passes: u64,
    /// Its bytes in storage, if known.
    pub stored_bytes: Option<u64>,
    /// Elements along each axis.
    pub shape: Vec<u64>,
    /// The largest chunk; empty if any box of it can be read at the same price.
    pub chunk_shape: Vec<u64>,
    /// Bytes of an element.
    pub item_bytes: usize,
    /// Decoded bytes that are read of it in all stages.
    pub bytes_read: u64,
    /// Those of them that tasks see.
    pub bytes_seen: u64,
    /// The box around all that tasks see.
    pub seen: Vec<Range<u64>>,
}

/// What a plan does and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// What it is for: source and sink, or the results.
    pub label: String,
    /// The stages in order.
    pub stages: Vec<StageSummary>,
    /// The sources, and how often each is read.
    pub sources: Vec<SourceSummary>,
    /// Decoded bytes read in all stages.
    pub bytes_read: u64,
    /// Bytes written in all stages, before encoding.
    pub bytes_written: u64,
    /// Bytes that all tasks are about, as events report them.
    pub progress_bytes: u64,
    /// Most bytes of temporary disk in use at once.
    pub temporary_bytes: u64,
    /// Most bytes of memory in use at once.
    pub peak_bytes: u64,
    /// Tasks of all stages.
    pub tasks: u64,
    /// The smallest budget with which the copy can run at all.
    pub smallest_budget_bytes: u64,
    /// The budget it was planned for.
    pub budget_bytes: u64,
    /// The threads it was planned for.
    pub threads: usize,
}

impl PlanSummary {
    pub(super) fn new(
        label: String,
        stages: &[Stage],
        resources: &Resources,
        smallest_budget_bytes: u64,
    ) -> Self {
        let temporary_bytes = most_disk_bytes(stages);
        let sources = summarize_sources(stages);
        let mut summaries: Vec<StageSummary> =
            stages.iter().map(|stage| StageSummary::new(stage, resources.budget_bytes)).collect();
        if let Some(engine) = &resources.engine {
            let bytes = summaries.iter().map(|stage| stage.bytes_read.saturating_add(stage.bytes_written));
            let plan_bytes = bytes.fold(0, u64::saturating_add);
            for (summary, stage) in summaries.iter_mut().zip(stages) {
                summary.batches = planned(stage, &**engine, plan_bytes);
            }
        }
        if let Some(device) = &resources.device {
            for (summary, stage) in summaries.iter_mut().zip(stages) {
                summary.device = placed_at(stage, &**device, resources.threads.max(1));
            }
        }
        let stages = summaries;
        let sum = |f: &dyn Fn(&StageSummary) -> u64| stages.iter().map(f).fold(0_u64, u64::saturating_add);
        Self {
            label,
            sources,
            bytes_read: sum(&|s| s.bytes_read),
            bytes_written: sum(&|s| s.bytes_written),
            progress_bytes: sum(&|s| s.progress_bytes),
            temporary_bytes,
            peak_bytes: stages.iter().map(|s| s.peak_bytes).max().unwrap_or(0),
            tasks: sum(&|s| s.tasks),
            smallest_budget_bytes,
            budget_bytes: resources.budget_bytes,
            threads: resources.threads.max(1),
            stages,
        }
    }
}

impl StageSummary {
    fn new(stage: &Stage, budget_bytes: u64) -> Self {
        let reads: Vec<Reading> = match &stage.work {
            StageWork::Pass { source, .. } => vec![all_of(&**source)],
            _ => (0..stage.inputs.len()).map(|n| read_of(stage, n)).collect(),
        };
        let sinks = stage.work.sinks();
        let written = |sink: &&Arc<dyn Sink>| {
            let shape = extents(sink.grid().axes(), &written_ranges(stage, sink.grid()));
            byte_count(&shape, sink.dtype().size()).unwrap_or(u64::MAX)
        };
        let chunks = |sink: &&Arc<dyn Sink>| {
            let ranges = written_ranges(stage, sink.grid());
            ranges.iter().map(|range| range.end - range.start).fold(1, u64::saturating_mul)
        };
        Self {
            name: stage.name.clone(),
            chunks_read: reads.iter().map(|read| read.chunks).sum(),
            chunks_written: sinks.iter().map(chunks).sum(),
            tasks: stage.task_count(),
            bytes_read: reads.iter().map(|read| read.bytes).fold(0, u64::saturating_add),
            bytes_written: sinks.iter().map(written).fold(0, u64::saturating_add),
            progress_bytes: byte_count(&stage.shape(), stage.item_bytes()).unwrap_or(u64::MAX),
            peak_bytes: stage.peak_bytes.min(budget_bytes),
            wanted_bytes: stage.peak_bytes,
            fixed_bytes: stage.fixed_bytes,
            task_bytes: stage.task_bytes,
            batches: None,
            device: None,
        }
    }
}

/// The chunks of an output's grid that the stage writes, by their index along each axis.
fn written_ranges(stage: &Stage, grid: &ChunkGrid) -> Vec<Range<u64>> {
    let whole = grid.counts().iter().map(|count| 0..*count).collect();
    let (Some(part), StageWork::Compute(compute)) = (&stage.part, &stage.work) else { return whole };
    let applied = compute.outputs.iter().find_map(|output| match output {
        Output::Applied(applied) => Some(applied),
        Output::Written { .. } | Output::Reduced(_) | Output::Grouped(_) => None,
    });
    let Some(applied) = applied else { return whole };
    let axis = |axis: &Option<usize>| axis.and_then(|axis| part.get(axis)).cloned().unwrap_or(0..1);
    applied.index_axes.iter().map(axis).collect()
}

/// What a stage reads of a source, at most.
#[derive(Default)]
struct Reading {
    chunks: u64,
    /// Decoded.
    bytes: u64,
    /// Those of them that tasks see.
    bytes_seen: u64,
    /// The box around what they see; empty if that is nothing.
    around: Vec<Range<u64>>,
}

/// All of a source.
fn all_of(source: &dyn Source) -> Reading {
    let shape = source.grid().shape();
    let bytes = byte_count(&shape, source.dtype().size()).unwrap_or(u64::MAX);
    let around = shape.into_iter().map(|extent| 0..extent).collect();
    Reading { chunks: source.grid().chunk_count(), bytes, bytes_seen: bytes, around }
}

/// What a stage reads of input `n`: what its tasks see of it, whatever else is there.
fn read_of(stage: &Stage, n: usize) -> Reading {
    let Some(input) = stage.inputs.get(n) else { return Reading::default() };
    let part = stage.task_ranges();
    let (shape, grid) = (stage.tasks.shape(), input.source.grid());
    let axes = stage.tasks.axes().iter().zip(&part);
    let own: Vec<Range<u64>> =
        axes.map(|(axis, range)| axis.start(range.start)..axis.start(range.end)).collect();
    let item_bytes = input.source.dtype().size();
    let (mut chunks, mut bytes, mut bytes_seen) = (0_u64, 0_u64, 0_u64);
    // The box around what all leaves see: they read a chunk once.
    let mut around: Vec<Range<u64>> = Vec::new();
    for leaf in stage.leaves.iter().filter(|leaf| leaf.input == n) {
        let local = leaf.within(&leaf.seen(&own, &shape));
        let Some(local) = local.filter(|local| !local.iter().any(Range::is_empty)) else { continue };
        let below = leaf.view.source_ranges(&local);
        let (mut count, mut lengths) = (1_u64, Vec::with_capacity(below.len()));
        for ((range, cut), view) in below.iter().zip(grid.axes()).zip(leaf.view.axes()) {
            let (met, elements) = met(range, cut, *view, &local);
            count = count.saturating_mul(met);
            lengths.push(elements);
        }
        chunks = chunks.saturating_add(count);
        bytes = bytes.saturating_add(byte_count(&lengths, item_bytes).unwrap_or(u64::MAX));
        let places = leaf.view.axes().iter().map(|view| {
            let along = view.output_axis().and_then(|axis| local.get(axis));
            along.map_or(1, |range| range.end - range.start)
        });
        let seen = byte_count(&places.collect::<Vec<_>>(), item_bytes);
        bytes_seen = bytes_seen.saturating_add(seen.unwrap_or(u64::MAX));
        if around.is_empty() {
            around = below;
        } else {
            let both = around.iter().zip(&below);
            around = both.map(|(a, b)| a.start.min(b.start)..a.end.max(b.end)).collect();
        }
    }
    let cuts: Vec<Range<u64>> =
        around.iter().zip(grid.axes()).map(|(range, cut)| cut.chunks_in(range.clone())).collect();
    let most = cuts.iter().map(|range| range.end - range.start).fold(1, u64::saturating_mul);
    let most_bytes = byte_count(&extents(grid.axes(), &cuts), item_bytes).unwrap_or(u64::MAX);
    let bytes = bytes.min(most_bytes);
    Reading { chunks: chunks.min(most), bytes, bytes_seen: bytes_seen.min(bytes), around }
}

/// How many chunks of an axis, cut so, a view of `local` meets within `below`, and how many elements these have: a step may
/// stride over chunks.
fn met(below: &Range<u64>, cut: &AxisGrid, view: AxisView, local: &[Range<u64>]) -> (u64, u64) {
    let chunks = cut.chunks_in(below.clone());
    let all = (chunks.end - chunks.start, cut.start(chunks.end) - cut.start(chunks.start));
    let AxisView::Along { axis, start, step } = view else { return all };
    let (Some(places), 2..) = (local.get(axis), step.unsigned_abs()) else { return all };
    let is_met = |chunk: &u64| {
        // The distance that places walk from their start to a chunk's nearer and to its farther end.
        let (first, last) = (i128::from(cut.start(*chunk)), i128::from(cut.start(*chunk + 1)) - 1);
        let start = i128::from(start);
        let (near, far) =
            if step > 0 { (first - start, last - start) } else { (start - last, start - first) };
        let step = i128::from(step.unsigned_abs());
        let place = i128::from(places.start).max((near + step - 1).div_euclid(step));
        place < i128::from(places.end) && place * step <= far
    };
    chunks.filter(is_met).fold((0, 0), |(count, elements), chunk| (count + 1, elements + cut.length(chunk)))
}

/// The most bytes of temporary disk that are taken at once.
fn most_disk_bytes(stages: &[Stage]) -> u64 {
    let (mut taken, mut most) = (0_u64, 0);
    for stage in stages {
        taken = stage.opens.iter().fold(taken, |sum, array| sum.saturating_add(array.disk_bytes()));
        most = most.max(taken);
        taken = stage.discards.iter().fold(taken, |sum, array| sum.saturating_sub(array.disk_bytes()));
    }
    most
}

/// The sources that are no temporary arrays, in order of first use.
fn summarize_sources(stages: &[Stage]) -> Vec<SourceSummary> {
    let address = |source: &Arc<dyn Source>| Arc::as_ptr(source).cast::<()>();
    let mut found: Vec<(*const (), SourceSummary)> = Vec::new();
    // Chunks that parts of stages read of each.
    let mut in_parts: Vec<u64> = Vec::new();
    for stage in stages {
        let passed = match &stage.work {
            StageWork::Pass { source, .. } => Some(source),
            _ => None,
        };
        let stored = stage.inputs.iter().enumerate().filter(|(_, input)| input.temporary.is_none());
        let stored = stored.map(|(n, input)| (&input.source, read_of(stage, n)));
        for (source, reading) in stored.chain(passed.map(|source| (source, all_of(&**source)))) {
            let chunks = if stage.part.is_some() { reading.chunks } else { 0 };
            let passes = u64::from(stage.part.is_none());
            let at = found.iter().position(|(known, _)| *known == address(source)).unwrap_or_else(|| {
                found.push((address(source), SourceSummary::unread(&**source)));
                in_parts.push(0);
                found.len() - 1
            });
            if let (Some((_, summary)), Some(read)) = (found.get_mut(at), in_parts.get_mut(at)) {
                let all = source.grid().chunk_count().max(1);
                let before = read.div_ceil(all);
                *read = read.saturating_add(chunks);
                summary.passes += passes + (read.div_ceil(all) - before);
                summary.add(&reading);
            }
        }
    }
    found.into_iter().map(|(_, summary)| summary).collect()
}

impl SourceSummary {
    fn unread(source: &dyn Source) -> Self {
        let grid = source.grid();
        // Its chunks are what readers cut, not what is stored.
        let is_cut_anyhow = source.recut(grid).is_some();
        Self {
            label: source.label().to_owned(),
            passes: 0,
            stored_bytes: source.stored_bytes(),
            shape: grid.shape(),
            chunk_shape: if is_cut_anyhow { Vec::new() } else { grid.largest_chunk() },
            item_bytes: source.dtype().size(),
            bytes_read: 0,
            bytes_seen: 0,
            seen: Vec::new(),
        }
    }

    fn add(&mut self, reading: &Reading) {
        self.bytes_read = self.bytes_read.saturating_add(reading.bytes);
        self.bytes_seen = self.bytes_seen.saturating_add(reading.bytes_seen);
        if self.seen.is_empty() {
            self.seen.clone_from(&reading.around);
        }
        for (seen, more) in self.seen.iter_mut().zip(&reading.around) {
            *seen = seen.start.min(more.start)..seen.end.max(more.end);
        }
    }
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.label)?;
        for (n, stage) in self.stages.iter().enumerate() {
            write!(
                f,
                "  stage {}: {}: {} chunks in, {} out, {} within {}",
                n + 1,
                stage.name,
                stage.chunks_read,
                stage.chunks_written,
                human_bytes(stage.bytes_written),
                human_bytes(stage.peak_bytes)
            )?;
            if let Some(batches) = stage.batches {
                write!(f, ", in {batches} batches")?;
            }
            match &stage.device {
                Some(device) => writeln!(f, ", {device}")?,
                None => writeln!(f)?,
            }
        }
        for source in &self.sources {
            write!(f, "  passes over source  {} of {}", source.passes, source.label)?;
            match source.stored_bytes {
                Some(stored) => writeln!(f, ", {} in storage", human_bytes(stored))?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "  read, decoded       {}", human_bytes(self.bytes_read))?;
        writeln!(f, "  written, decoded    {}", human_bytes(self.bytes_written))?;
        writeln!(f, "  temporary disk      {}", human_bytes(self.temporary_bytes))?;
        writeln!(f, "  tasks               {}", self.tasks)?;
        write!(
            f,
            "  peak memory         {} of {} (works from {})",
            human_bytes(self.peak_bytes),
            human_bytes(self.budget_bytes),
            human_bytes(self.smallest_budget_bytes)
        )
    }
}
