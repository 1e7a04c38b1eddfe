//! What a plan does and needs, for people and programs: the answer to `--dry-run`.
//!
//! Invariant: every number is an upper bound or exact, never a guess that may be too low. Called by the facade and
//! the command line.

use super::{Resources, Stage, StageWork};
use crate::error::human_bytes;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use std::fmt;
use std::sync::Arc;

/// What one stage does and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSummary {
    /// What it does.
    pub name: String,
    /// Input chunks, each decoded once.
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
        let stages: Vec<StageSummary> =
            stages.iter().map(|stage| StageSummary::new(stage, resources.budget_bytes)).collect();
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
            stages,
        }
    }
}

impl StageSummary {
    fn new(stage: &Stage, budget_bytes: u64) -> Self {
        let whole = |source: &dyn Source| byte_count(&source.grid().shape(), source.dtype().size());
        let inputs: Vec<&Arc<dyn Source>> = match &stage.work {
            StageWork::Pass { source, .. } => vec![source],
            _ => stage.inputs.iter().map(|input| &input.source).collect(),
        };
        let sinks = stage.work.sinks();
        let written =
            |sink: &&Arc<dyn Sink>| byte_count(&sink.grid().shape(), sink.dtype().size()).unwrap_or(u64::MAX);
        let chunks = |sink: &&Arc<dyn Sink>| sink.grid().chunk_count();
        Self {
            name: stage.name.clone(),
            chunks_read: inputs.iter().map(|source| source.grid().chunk_count()).sum(),
            chunks_written: sinks.iter().map(chunks).sum(),
            tasks: stage.tasks.chunk_count(),
            bytes_read: inputs
                .iter()
                .map(|source| whole(&***source).unwrap_or(u64::MAX))
                .fold(0, u64::saturating_add),
            bytes_written: sinks.iter().map(written).fold(0, u64::saturating_add),
            progress_bytes: byte_count(&stage.tasks.shape(), stage.item_bytes()).unwrap_or(u64::MAX),
            peak_bytes: stage.peak_bytes.min(budget_bytes),
        }
    }
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
    for stage in stages {
        let passed = match &stage.work {
            StageWork::Pass { source, .. } => Some(source),
            _ => None,
        };
        let stored = stage.inputs.iter().filter(|input| input.temporary.is_none());
        for source in stored.map(|input| &input.source).chain(passed) {
            match found.iter_mut().find(|(known, _)| *known == address(source)) {
                Some((_, summary)) => summary.passes += 1,
                None => {
                    let (label, stored_bytes) = (source.label().to_owned(), source.stored_bytes());
                    found.push((address(source), SourceSummary { label, passes: 1, stored_bytes }));
                }
            }
        }
    }
    found.into_iter().map(|(_, summary)| summary).collect()
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.label)?;
        for (n, stage) in self.stages.iter().enumerate() {
            writeln!(
                f,
                "  stage {}: {}: {} chunks in, {} out, {} within {}",
                n + 1,
                stage.name,
                stage.chunks_read,
                stage.chunks_written,
                human_bytes(stage.bytes_written),
                human_bytes(stage.peak_bytes)
            )?;
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
