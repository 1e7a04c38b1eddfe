//! What a run could gain by being asked for otherwise, with figures; and what set its peak of memory.
//!
//! All that is said is known: from the plan, from plans of the same work with other budgets, from the events of the run, and
//! from a chunk of the result that was encoded again. Invariants: an [`Advice`] names its figures; where nothing is to be
//! gained, or what concerns less than a tenth of the run, there is none. Called by the page of `--report` and through
//! [`Recorder::advice`](super::Recorder::advice).

mod ample;
mod tally;
pub(super) mod trial;

use ample::Ample;
use blockwise_core::Event;
use blockwise_core::error::human_bytes;
use blockwise_core::plan::{Plan, PlanSummary, SourceSummary, StageSummary};
use std::fmt;
use tally::{Sum, Tally};
use trial::Trial;

/// Plans whose advice is given at most: those that took longest.
const MOST_PLANS: usize = 3;
/// What concerns a smaller share of the run is not worth a change.
const LEAST_SHARE: f64 = 0.1;
/// A smaller share of time in codecs is not worth a change of them.
pub(super) const LEAST_CODEC_SHARE: f64 = 0.3;
/// A smaller share of idle threads has many causes.
const LEAST_IDLE_SHARE: f64 = 0.25;
/// Chunks of fewer bytes cost more than their bytes, where there are many.
const SMALL_CHUNK_BYTES: u64 = 64 << 10;
const MANY_CHUNKS: u64 = 1000;
/// A good size of a chunk.
const GOOD_CHUNK_BYTES: u64 = 1 << 20;

/// What an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `--memory`.
    Memory,
    /// Shapes of chunks.
    Chunks,
    /// `--codec`, or that of the input.
    Codec,
    /// Threads that had nothing to do.
    Threads,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Chunks => "chunks",
            Self::Codec => "codec",
            Self::Threads => "threads",
        })
    }
}

/// Something to change, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What it is about.
    pub topic: Topic,
    /// A sentence or two, with figures.
    pub text: String,
}

/// What advice is drawn from; grows with the number of stages alone.
#[derive(Default)]
pub(super) struct Ledger {
    plans: Vec<Planned>,
    tally: Tally,
    trials: Vec<Trial>,
}

/// A plan that began.
struct Planned {
    label: String,
    summary: PlanSummary,
    ample: Option<Ample>,
}

impl Ledger {
    pub(super) fn take_plan(&mut self, label: &str, plan: &Plan) {
        let summary = plan.summary().clone();
        self.plans.push(Planned { label: label.to_owned(), ample: Ample::of(plan), summary });
        self.tally.begin_plan();
    }

    pub(super) fn take(&mut self, event: &Event<'_>, now_secs: f64) {
        self.tally.take(event, now_secs);
    }

    pub(super) fn take_trials(&mut self, trials: Vec<Trial>) {
        self.trials = trials;
    }

    /// The share of encoding in what threads did.
    pub(super) fn encoding_share(&self) -> f64 {
        self.encoding_secs() / self.tally.all().busy_secs().max(1e-9)
    }

    pub(super) fn encoding_secs(&self) -> f64 {
        self.tally.all().encoding_secs
    }

    /// What to change, the longest runs first.
    pub(super) fn advice(&self) -> Vec<Advice> {
        let all = self.tally.all();
        let mut order: Vec<(usize, Sum)> =
            (0..self.plans.len()).map(|plan| (plan, self.tally.of_plan(plan))).collect();
        order.sort_by(|(_, a), (_, b)| b.wall_secs.total_cmp(&a.wall_secs));
        let mut found = Vec::new();
        for (number, own) in order.into_iter().take(MOST_PLANS) {
            let Some(plan) = self.plans.get(number) else { continue };
            if own.wall_secs < all.wall_secs * LEAST_SHARE {
                continue;
            }
            let before = found.len();
            found.extend(plan.ample.as_ref().map(|ample| ample.advice(&plan.summary)));
            found.extend(plan.summary.sources.iter().filter_map(|source| unseen(source, &own)));
            for (stage, planned) in plan.summary.stages.iter().enumerate() {
                let took = self.tally.of_stage(number, stage);
                if took.wall_secs >= all.wall_secs * LEAST_SHARE {
                    found.extend(small_chunks(planned, &took));
                    // Another budget would be another plan: one number is enough.
                    let waits = |advice: &Advice| advice.topic == Topic::Memory && plan.ample.is_some();
                    found.extend(idle(planned, &took, &plan.summary).filter(|advice| !waits(advice)));
                }
            }
            if self.plans.len() > 1 {
                for advice in found.iter_mut().skip(before) {
                    advice.text = format!("{}: {}", plan.label, advice.text);
                }
            }
        }
        found.extend(self.decoding(&all));
        found.extend(self.encoding(&all));
        found
    }

    fn decoding(&self, all: &Sum) -> Option<Advice> {
        let share = all.decoding_secs / all.busy_secs().max(1e-9);
        (share >= LEAST_CODEC_SHARE).then(|| Advice {
            topic: Topic::Codec,
            text: format!(
                "Decoding the input took {} of the {} that threads worked ({}): an input that is read often is worth a copy with a \
                 codec that decodes faster, which gains at most that.",
                secs(all.decoding_secs),
                secs(all.busy_secs()),
                percent(share)
            ),
        })
    }

    fn encoding(&self, all: &Sum) -> Option<Advice> {
        let share = self.encoding_share();
        let [own, others @ ..] = self.trials.as_slice() else { return None };
        // Half of the time, at least, for no more than half as many bytes again.
        let best = others
            .iter()
            .filter(|other| other.secs <= own.secs / 2.0 && other.bytes <= own.bytes.saturating_mul(3) / 2)
            .min_by(|a, b| a.secs.total_cmp(&b.secs))?;
        (share >= LEAST_CODEC_SHARE).then(|| Advice {
            topic: Topic::Codec,
            text: format!(
                "Encoding took {} of the {} that threads worked ({}). A chunk of the result, encoded again: {} takes {} and leaves {}, \
                 {} would take {} and leave {}; with that, encoding takes about {}.",
                secs(all.encoding_secs),
                secs(all.busy_secs()),
                percent(share),
                own.codec,
                secs(own.secs),
                human_bytes(own.bytes),
                best.codec,
                secs(best.secs),
                human_bytes(best.bytes),
                secs(all.encoding_secs * best.secs / own.secs)
            ),
        })
    }

    /// What set the peak of memory.
    pub(super) fn peak(&self) -> Option<String> {
        let (plan, stage, bytes) = self.tally.peak?;
        let planned = self.plans.get(plan)?;
        let of = planned.summary.stages.get(stage)?;
        let tasks = of.task_bytes.saturating_mul(planned.summary.threads as u64);
        let mut parts = Vec::new();
        if of.fixed_bytes > 0 {
            parts.push(format!(
                "{} held throughout (temporary arrays, results, states)",
                human_bytes(of.fixed_bytes)
            ));
        }
        let tasks = tasks.min(bytes.saturating_sub(of.fixed_bytes));
        parts.push(format!(
            "up to {} for {} tasks at work ({} each)",
            human_bytes(tasks),
            planned.summary.threads,
            human_bytes(of.task_bytes)
        ));
        let rest = bytes.saturating_sub(of.fixed_bytes).saturating_sub(tasks);
        if rest > 0 {
            parts.push(format!("at least {} of input chunks, read or waiting", human_bytes(rest)));
        }
        Some(format!(
            "{} in stage {}, {}: {}. The plan foresaw {}.",
            human_bytes(bytes),
            stage + 1,
            of.name,
            parts.join("; "),
            human_bytes(of.peak_bytes)
        ))
    }
}

/// Chunks that are decoded for a part of them.
fn unseen(source: &SourceSummary, own: &Sum) -> Option<Advice> {
    let is_much = own.reading_secs >= own.busy_secs() * LEAST_SHARE;
    if !is_much || source.chunk_shape.is_empty() || source.bytes_read / 2 < source.bytes_seen.max(1) {
        return None;
    }
    // Cut as thick as what is seen.
    let better: Vec<u64> = source
        .chunk_shape
        .iter()
        .zip(&source.seen)
        .map(|(chunk, seen)| (*chunk).min(seen.end - seen.start).max(1))
        .collect();
    let elements = better.iter().zip(&source.seen).zip(&source.shape).map(|((chunk, seen), extent)| {
        (seen.end.div_ceil(*chunk) * chunk).min(*extent) - seen.start / chunk * chunk
    });
    let passes = source.passes.max(1);
    let bytes = elements.fold(source.item_bytes as u64, u64::saturating_mul).saturating_mul(passes);
    (bytes <= source.bytes_read / 2).then(|| Advice {
        topic: Topic::Chunks,
        text: format!(
            "{}: {} were decoded, {} of them used ({}). In chunks of {} rather than {} the same would be had from {}.",
            source.label,
            human_bytes(source.bytes_read),
            human_bytes(source.bytes_seen),
            percent(source.bytes_seen as f64 / source.bytes_read as f64),
            shape(&better),
            shape(&source.chunk_shape),
            human_bytes(bytes)
        ),
    })
}

/// Many chunks of few bytes: what a chunk costs whatever its size is paid for each.
fn small_chunks(planned: &StageSummary, took: &Sum) -> Option<Advice> {
    let advice = |what: &str, chunks: u64, bytes: u64, secs_taken: f64| {
        let mean = bytes / chunks.max(1);
        let is_small = chunks >= MANY_CHUNKS && mean < SMALL_CHUNK_BYTES;
        (is_small && secs_taken >= took.busy_secs() * LEAST_SHARE).then(|| Advice {
            topic: Topic::Chunks,
            text: format!(
                "{what} {chunks} chunks of {} on average took {} of the threads' time, {:.0} microseconds each. Chunks of {} would be \
                 {}, and what a chunk costs whatever its size (looking for it, opening, checking, a name) is paid for each.",
                human_bytes(mean),
                secs(secs_taken),
                secs_taken / chunks.max(1) as f64 * 1e6,
                human_bytes(GOOD_CHUNK_BYTES),
                bytes.div_ceil(GOOD_CHUNK_BYTES)
            ),
        })
    };
    let read = advice("Reading", took.chunks_read, took.bytes_read, took.reading_secs);
    let written = (planned.chunks_written, planned.bytes_written);
    read.or_else(|| advice("Making", written.0, written.1, took.working_secs))
}

/// Threads that had nothing to do, where it is known why.
fn idle(planned: &StageSummary, took: &Sum, plan: &PlanSummary) -> Option<Advice> {
    let threads = plan.threads as f64;
    let share = 1.0 - took.busy_secs() / (threads * took.wall_secs).max(1e-9);
    // Whose threads waited in other processes, and for what, is not known.
    if plan.threads < 2 || share < LEAST_IDLE_SHARE || planned.batches.is_some() {
        return None;
    }
    let (topic, why) = if planned.tasks < plan.threads as u64 {
        let tasks = planned.tasks;
        let of = if tasks == 1 { "task" } else { "tasks" };
        (
            Topic::Threads,
            format!(
                "it has {tasks} {of} for {} threads; smaller chunks of the result make more",
                plan.threads
            ),
        )
    } else if planned.wanted_bytes > plan.budget_bytes {
        (
            Topic::Memory,
            format!(
                "a thread waits until its step fits the budget of {}; all {} can work with --memory {}",
                human_bytes(plan.budget_bytes),
                plan.threads,
                ample::as_option(planned.wanted_bytes)
            ),
        )
    } else if took.longest_secs >= took.wall_secs / 2.0 {
        (
            Topic::Chunks,
            format!(
                "one step took {}, which the others waited for; smaller chunks share the work",
                secs(took.longest_secs)
            ),
        )
    } else {
        return None;
    };
    Some(Advice {
        topic,
        text: format!(
            "Threads had nothing to do for {} of the {} of the stage '{}': {why}.",
            percent(share),
            secs(took.wall_secs),
            planned.name
        ),
    })
}

/// Seconds as text, with three digits.
fn secs(secs: f64) -> String {
    match secs {
        secs if secs >= 100.0 => format!("{secs:.0} s"),
        secs if secs >= 10.0 => format!("{secs:.1} s"),
        secs if secs >= 1.0 => format!("{secs:.2} s"),
        secs if secs >= 0.01 => format!("{:.0} ms", secs * 1e3),
        secs => format!("{:.2} ms", secs * 1e3),
    }
}

fn percent(share: f64) -> String {
    if share >= 0.01 { format!("{:.0} %", share * 100.0) } else { format!("{:.2} %", share * 100.0) }
}

fn shape(shape: &[u64]) -> String {
    let numbers: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("({})", numbers.join(", "))
}
