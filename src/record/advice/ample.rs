//! [`Ample`]: the budget from which a plan reads as rarely as it can and needs no temporary files, found by planning again.
//!
//! Invariant: what is named was planned, not reckoned. Called by [`super`], when a plan begins.

use super::{Advice, Topic};
use blockwise_core::error::human_bytes;
use blockwise_core::machine::{self, Memory};
use blockwise_core::plan::{Plan, PlanSummary, Resources};
use std::time::{Duration, Instant};

/// Plans are not made again for longer.
const PATIENCE: Duration = Duration::from_millis(50);
const MIB: u64 = 1 << 20;

/// What more memory would do.
pub(super) struct Ample {
    /// A budget that does it.
    budget_bytes: u64,
    summary: PlanSummary,
    /// What this machine can give.
    usable_bytes: Option<u64>,
}

impl Ample {
    /// What more memory would do for a plan that reads a source more than once or needs temporary files; none if nothing.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let now = plan.summary();
        if now.temporary_bytes == 0 && now.sources.iter().all(|source| source.passes < 2) {
            return None;
        }
        let started = Instant::now();
        let within = |budget_bytes: u64| {
            let resources = Resources { threads: now.threads, ..machine::resources(budget_bytes) };
            plan.summary_with(&resources).ok()
        };
        let cost = |summary: &PlanSummary| {
            (summary.temporary_bytes, summary.sources.iter().map(|source| source.bytes_read).sum::<u64>())
        };
        let best = cost(&within(1 << 50)?);
        if best.0 >= now.temporary_bytes && best.1 >= cost(now).1 {
            return None;
        }
        // Budgets in whole MiB: one that is too small, one that does.
        let (mut low, mut high) = (now.budget_bytes / MIB, now.budget_bytes.div_ceil(MIB).max(1));
        let mut found = None;
        while found.is_none() && high < 1 << 30 && started.elapsed() < PATIENCE {
            (low, high) = (high, high * 2);
            found = within(high * MIB).filter(|summary| cost(summary) <= best);
        }
        let mut found = found?;
        while high - low > (low / 32).max(1) && started.elapsed() < PATIENCE {
            let middle = low.midpoint(high);
            match within(middle * MIB).filter(|summary| cost(summary) <= best) {
                Some(summary) => (high, found) = (middle, summary),
                None => low = middle,
            }
        }
        Some(Self { budget_bytes: high * MIB, summary: found, usable_bytes: Memory::detect().usable_bytes() })
    }

    pub(super) fn advice(&self, now: &PlanSummary) -> Advice {
        let read = |plan: &PlanSummary| {
            let bytes = plan.sources.iter().map(|source| source.bytes_read).fold(0, u64::saturating_add);
            let times = plan.sources.iter().map(|source| source.passes).max().unwrap_or(0);
            format!(
                "{} of input{}",
                human_bytes(bytes),
                if times > 1 { format!(", up to {times} times each chunk") } else { String::new() }
            )
        };
        let disk = |plan: &PlanSummary| match plan.temporary_bytes {
            0 => "no temporary files".to_owned(),
            bytes => format!("up to {} of temporary files", human_bytes(bytes)),
        };
        let beyond = self.usable_bytes.filter(|usable| *usable < self.budget_bytes);
        let beyond =
            beyond.map_or_else(String::new, |usable| format!(" This machine has {}.", human_bytes(usable)));
        let stages = |plan: &PlanSummary| match plan.stages.len() {
            1 => "1 stage".to_owned(),
            count => format!("{count} stages"),
        };
        Advice {
            topic: Topic::Memory,
            text: format!(
                "Within {} it took {}, reading {} and writing {}. With --memory {} it would take {}, reading {} and writing {}.{beyond}",
                human_bytes(now.budget_bytes),
                stages(now),
                read(now),
                disk(now),
                as_option(self.budget_bytes),
                stages(&self.summary),
                read(&self.summary),
                disk(&self.summary),
            ),
        }
    }
}

/// Bytes as `--memory` takes them, rounded up.
pub(super) fn as_option(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(MIB))
}
