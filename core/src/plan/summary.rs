//! What a plan does and needs, for people and programs: the answer to `--dry-run`.
//!
//! Invariant: every number is an upper bound or exact, never a guess that may be too low. Called by the facade and
//! the command line.

use super::{End, Resources, SpillSpec, Stage};
use crate::error::human_bytes;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use crate::spill;
use std::fmt;

/// What one stage does and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSummary {
    /// What it does.
    pub name: String,
    /// Input chunks, each decoded once.
    pub chunks_read: u64,
    /// Output chunks, each written once.
    pub chunks_written: u64,
    /// Bytes read, decoded.
    pub bytes_read: u64,
    /// Bytes written, before encoding.
    pub bytes_written: u64,
    /// Bytes of memory it may hold, at most the budget.
    pub peak_bytes: u64,
}

/// What a plan does and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// Source and sink.
    pub label: String,
    /// The stages in order.
    pub stages: Vec<StageSummary>,
    /// How often each source chunk is read and decoded.
    pub passes_over_source: u64,
    /// Bytes of the source in storage, if known.
    pub source_stored_bytes: Option<u64>,
    /// Decoded bytes read in all stages.
    pub bytes_read: u64,
    /// Bytes written in all stages, before encoding.
    pub bytes_written: u64,
    /// Most bytes of temporary disk in use at once.
    pub temporary_bytes: u64,
    /// Most bytes of memory in use at once.
    pub peak_bytes: u64,
    /// Output chunks of all stages.
    pub tasks: u64,
    /// The smallest budget with which the copy can run at all.
    pub smallest_budget_bytes: u64,
    /// The budget it was planned for.
    pub budget_bytes: u64,
}

impl PlanSummary {
    pub(super) fn new(
        stages: &[Stage],
        spills: &[SpillSpec],
        source: &dyn Source,
        sink: &dyn Sink,
        resources: &Resources,
        smallest_budget_bytes: u64,
    ) -> Self {
        let dtype = source.dtype();
        let array_bytes = byte_count(&source.grid().shape(), dtype.size()).unwrap_or(u64::MAX);
        let stages: Vec<StageSummary> = stages
            .iter()
            .map(|stage| StageSummary {
                name: stage.name.clone(),
                chunks_read: match stage.inputs.first().map(|input| &input.end) {
                    Some(End::Spill(n)) => spills.get(*n).map_or(0, |spec| spec.grid.chunk_count()),
                    Some(End::Outer(_)) | None => source.grid().chunk_count(),
                },
                chunks_written: stage.tasks.chunk_count(),
                bytes_read: array_bytes,
                bytes_written: array_bytes,
                peak_bytes: stage.peak_bytes.min(resources.budget_bytes),
            })
            .collect();
        let sum = |f: &dyn Fn(&StageSummary) -> u64| stages.iter().map(f).fold(0_u64, u64::saturating_add);
        let spill_bytes = |n: usize| spills.get(n).map_or(0, |spec| spill::file_bytes(&spec.grid, dtype));
        Self {
            label: format!("{} to {}", source.label(), sink.label()),
            passes_over_source: 1,
            source_stored_bytes: source.stored_bytes(),
            bytes_read: sum(&|s| s.bytes_read),
            bytes_written: sum(&|s| s.bytes_written),
            // A stage between two temporary arrays has both on disk.
            temporary_bytes: (0..spills.len())
                .map(|n| spill_bytes(n).saturating_add(spill_bytes(n + 1)))
                .max()
                .unwrap_or(0),
            peak_bytes: stages.iter().map(|s| s.peak_bytes).max().unwrap_or(0),
            tasks: sum(&|s| s.chunks_written),
            smallest_budget_bytes,
            budget_bytes: resources.budget_bytes,
            stages,
        }
    }
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
        if let Some(stored) = self.source_stored_bytes {
            writeln!(f, "  source in storage   {}", human_bytes(stored))?;
        }
        writeln!(f, "  passes over source  {}", self.passes_over_source)?;
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
