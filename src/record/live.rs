//! What is happening now: the last steps, the slowest ones, how far each stage is.
//!
//! Invariants: a run of any length takes the same memory here ([`MOST_RECENT`] steps of the last [`RECENT_SECS`]), and a
//! snapshot is a copy of no more than that, so that whoever renders one holds up no thread. Called by
//! [`Recorder`](super::Recorder), who feeds it, and by [`crate::dashboard`], who shows it.

use super::{Kind, Span, State};
use std::collections::VecDeque;

/// Seconds that are shown of the past.
pub(super) const RECENT_SECS: f64 = 60.0;
/// Steps of the past that are held at most.
pub(super) const MOST_RECENT: usize = 8192;
/// Slowest steps that are held.
const MOST_SLOWEST: usize = 10;
/// Stages that a snapshot shows: the last ones.
const MOST_STAGES: usize = 64;
/// Errors that are held.
const MOST_ERRORS: usize = 16;
/// Seconds between two points of memory over time.
const MEMORY_STEP_SECS: f32 = 0.05;
/// Seconds over which throughput is averaged.
const RATE_SECS: f64 = 3.0;

/// How far a stage is.
#[derive(Clone, Debug, PartialEq)]
pub struct StageProgress {
    /// What it does.
    pub name: String,
    /// Chunks that it writes.
    pub chunks: u64,
    /// Those that are written, or were found written.
    pub chunks_done: u64,
    /// Decoded bytes that it writes.
    pub bytes: u64,
    /// Those that are written, or were found written.
    pub bytes_done: u64,
    /// When it began, in seconds of the run.
    pub started_secs: f64,
    /// When it was complete.
    pub finished_secs: Option<f64>,
}

impl StageProgress {
    pub(super) fn begun(name: &str, chunks: u64, bytes: u64, now_secs: f64) -> Self {
        Self {
            name: name.to_owned(),
            chunks,
            chunks_done: 0,
            bytes,
            bytes_done: 0,
            started_secs: now_secs,
            finished_secs: None,
        }
    }

    pub(super) fn advance(&mut self, chunks: u64, bytes: u64) {
        self.chunks_done = self.chunks_done.saturating_add(chunks);
        self.bytes_done = self.bytes_done.saturating_add(bytes);
    }
}

/// A step that took long.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The stage that it belongs to.
    pub stage: String,
    /// The thread that took it.
    pub thread: String,
    /// Whether it read a chunk; otherwise it computed, encoded and wrote.
    pub is_read: bool,
    /// Decoded bytes that it was about.
    pub bytes: u64,
    /// When it began, in seconds of the run.
    pub start_secs: f64,
    /// Seconds that it took.
    pub secs: f64,
}

/// What a run has done up to a moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Seconds since the recorder's clock started.
    pub secs: f64,
    /// The array or result that is worked on.
    pub label: String,
    /// Its position, from 0, and how many there are.
    pub position: (usize, usize),
    /// Its plan, as text.
    pub plan: String,
    /// The last stages that began, of all plans, the present one last.
    pub stages: Vec<StageProgress>,
    /// How many began before those.
    pub stages_before: usize,
    /// The longest steps, longest first.
    pub slowest: Vec<Step>,
    /// Bytes of the budget that are reserved now: in flight and held.
    pub reserved_bytes: u64,
    /// The most that were.
    pub peak_reserved_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Bytes that open temporary files take at most.
    pub temporary_bytes: u64,
    /// The most they took.
    pub peak_temporary_bytes: u64,
    /// Decoded bytes that were read.
    pub bytes_read: u64,
    /// Decoded bytes that tasks were about.
    pub bytes_written: u64,
    /// Encoded bytes that were stored, in temporary files too.
    pub stored_bytes: u64,
    /// Steps that read.
    pub chunks_read: u64,
    /// Tasks that were carried out.
    pub tasks: u64,
    /// Chunks that an earlier run had stored.
    pub chunks_skipped: u64,
    /// Decoded bytes read a second, over the last seconds.
    pub read_bytes_per_sec: f64,
    /// Decoded bytes written a second, over the last seconds.
    pub written_bytes_per_sec: f64,
    /// Errors that ended a stage, oldest first.
    pub errors: Vec<String>,
    /// Names of threads.
    pub(crate) threads: Vec<String>,
    /// The last steps.
    pub(crate) recent: Vec<Span>,
    /// Bytes reserved over the last seconds.
    pub(crate) memory: Vec<(f32, u64)>,
}

impl Snapshot {
    /// Seconds since the run began from which on its steps are known one by one.
    pub(crate) fn recent_since_secs(&self) -> f64 {
        let since = (self.secs - RECENT_SECS).max(0.0);
        // A full list begins later than that.
        let first = self.recent.first().filter(|_| self.recent.len() >= MOST_RECENT);
        first.map_or(since, |span| since.max(span.start_secs.into()))
    }
}

/// What a snapshot is made of, beside what is recorded anyway.
#[derive(Default)]
pub(super) struct Live {
    label: String,
    position: (usize, usize),
    recent: VecDeque<Span>,
    /// In descending order of time taken.
    slowest: Vec<Span>,
    memory: VecDeque<(f32, u64)>,
    reserved_bytes: u64,
    peak_reserved_bytes: u64,
    temporary_bytes: u64,
    peak_temporary_bytes: u64,
    bytes_written: u64,
    chunks_read: u64,
    tasks: u64,
    chunks_skipped: u64,
    errors: Vec<String>,
}

impl Live {
    pub(super) fn take_plan(&mut self, position: usize, count: usize, label: &str) {
        self.position = (position, count);
        label.clone_into(&mut self.label);
    }

    pub(super) fn take_span(&mut self, span: Span) {
        match span.kind {
            Kind::Read => self.chunks_read += 1,
            Kind::Task => self.tasks += 1,
        }
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(span);
        if self.slowest.len() < MOST_SLOWEST || self.slowest.last().is_some_and(|last| last.secs < span.secs)
        {
            let at = self.slowest.partition_point(|known| known.secs >= span.secs);
            self.slowest.insert(at, span);
            self.slowest.truncate(MOST_SLOWEST);
        }
    }

    pub(super) fn take_written(&mut self, bytes: u64) {
        self.bytes_written = self.bytes_written.saturating_add(bytes);
    }

    pub(super) fn take_skipped(&mut self, chunks: u64) {
        self.chunks_skipped = self.chunks_skipped.saturating_add(chunks);
    }

    pub(super) fn take_error(&mut self, message: String) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(message);
        }
    }

    pub(super) fn take_temporary(&mut self, bytes: u64) {
        self.temporary_bytes = bytes;
        self.peak_temporary_bytes = self.peak_temporary_bytes.max(bytes);
    }

    pub(super) fn take_memory(&mut self, now_secs: f32, bytes: u64) {
        self.reserved_bytes = bytes;
        self.peak_reserved_bytes = self.peak_reserved_bytes.max(bytes);
        match self.memory.back_mut() {
            // A point stands for the most of its time.
            Some((at, most)) if now_secs - *at < MEMORY_STEP_SECS => *most = (*most).max(bytes),
            _ => self.memory.push_back((now_secs, bytes)),
        }
        let oldest = now_secs - RECENT_SECS as f32;
        while self.memory.front().is_some_and(|(at, _)| *at < oldest) {
            self.memory.pop_front();
        }
    }
}

pub(super) fn snapshot(state: &State, now_secs: f64) -> Snapshot {
    let live = &state.live;
    let since = (now_secs - RECENT_SECS) as f32;
    let recent: Vec<Span> =
        live.recent.iter().filter(|span| span.start_secs + span.secs >= since).copied().collect();
    let averaged = RATE_SECS.min(now_secs).max(1e-3);
    let rate = |kind: Kind| {
        let ended = |span: &&Span| f64::from(span.start_secs + span.secs) >= now_secs - averaged;
        // Where steps are many, those that are known are fewer than that time's.
        let known = recent.first().filter(|_| recent.len() >= MOST_RECENT);
        let secs = known.map_or(averaged, |first| averaged.min(now_secs - f64::from(first.start_secs)));
        let bytes: f64 =
            recent.iter().filter(|span| span.kind == kind).filter(ended).map(|span| span.bytes as f64).sum();
        bytes / secs.max(1e-3)
    };
    let name_of = |stage: u16| state.stages.get(usize::from(stage)).map_or("", |stage| &stage.name);
    let thread_of = |thread: u16| state.threads.get(usize::from(thread)).map_or("", String::as_str);
    let slowest = live.slowest.iter().map(|span| Step {
        stage: name_of(span.stage).to_owned(),
        thread: thread_of(span.thread).to_owned(),
        is_read: span.kind == Kind::Read,
        bytes: span.bytes,
        start_secs: span.start_secs.into(),
        secs: span.secs.into(),
    });
    let stages_before = state.stages.len().saturating_sub(MOST_STAGES);
    Snapshot {
        secs: now_secs,
        label: live.label.clone(),
        position: live.position,
        plan: state.plans.last().cloned().unwrap_or_default(),
        stages: state.stages.iter().skip(stages_before).cloned().collect(),
        stages_before,
        slowest: slowest.collect(),
        reserved_bytes: live.reserved_bytes,
        peak_reserved_bytes: live.peak_reserved_bytes,
        budget_bytes: state.budget_bytes,
        temporary_bytes: live.temporary_bytes,
        peak_temporary_bytes: live.peak_temporary_bytes,
        bytes_read: state.bytes_read,
        bytes_written: live.bytes_written,
        stored_bytes: state.stored_bytes,
        chunks_read: live.chunks_read,
        tasks: live.tasks,
        chunks_skipped: live.chunks_skipped,
        read_bytes_per_sec: rate(Kind::Read),
        written_bytes_per_sec: rate(Kind::Task),
        errors: live.errors.clone(),
        threads: state.threads.clone(),
        memory: live.memory.iter().filter(|(at, _)| *at >= since).copied().collect(),
        recent,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;
    use blockwise_core::{Event, Observer};

    #[test]
    fn a_long_run_takes_no_more_than_a_short_one() {
        let recorder = Recorder::new();
        recorder.observe(&Event::StageStarted { stage: 0, name: "copy", chunks: 20_000, bytes: 160_000 });
        for n in 0..20_000_u32 {
            recorder.observe(&Event::ChunkRead { stage: 0, bytes: 8, secs: f64::from(n % 100) * 1e-9 });
            recorder.observe(&Event::ChunkWritten { stage: 0, bytes: 8, stored_bytes: 3, secs: 0.0 });
            recorder.observe(&Event::Memory { reserved_bytes: u64::from(n) });
        }
        let seen = recorder.snapshot();
        assert_eq!((seen.chunks_read, seen.tasks, seen.bytes_written), (20_000, 20_000, 160_000));
        assert_eq!((seen.stored_bytes, seen.reserved_bytes), (60_000, 19_999));
        assert_eq!((seen.recent.len(), seen.slowest.len()), (MOST_RECENT, MOST_SLOWEST));
        assert!(seen.slowest.windows(2).all(|pair| pair[0].secs >= pair[1].secs));
        assert_eq!(seen.stages[0].chunks_done, 20_000);
        assert!(seen.stages[0].finished_secs.is_none() && seen.recent_since_secs() > 0.0);
        recorder.observe(&Event::StageFinished { stage: 0 });
        assert!(recorder.snapshot().stages[0].finished_secs.is_some());
    }

    #[test]
    fn failures_and_temporary_files_are_seen() {
        let recorder = Recorder::new();
        recorder.observe(&Event::TemporaryDisk { bytes: 9 });
        recorder.observe(&Event::TemporaryDisk { bytes: 0 });
        recorder.observe(&Event::StageFailed { stage: 0, error: &blockwise_core::Error::Cancelled });
        let seen = recorder.snapshot();
        assert_eq!((seen.temporary_bytes, seen.peak_temporary_bytes), (0, 9));
        assert_eq!(seen.errors, [blockwise_core::Error::Cancelled.to_string()]);
    }
}
