//! [`Recorder`]: what a run did, when and on which thread; as a page to read and as a trace to explore.
//!
//! It is a watcher that notes every event and hands it on to another. Invariants: memory is bounded, whatever the
//! run ([`MOST_SPANS`] steps; later ones are only counted); a page needs nothing but itself. Called by `--report`,
//! `--trace` and [`crate::dashboard`], and by programs through [`Session::with_observer`](blockwise_core::Session::with_observer).

mod advice;
pub(crate) mod chart;
mod live;
mod page;

pub use advice::{Advice, Topic};
pub use live::{Snapshot, StageProgress, Step};

use crate::show::thumbnail;
use crate::{Location, Watcher};
use advice::{Ledger, trial};
use blockwise_core::exec::RunReport;
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::{Event, Observer};
use live::Live;
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Steps that are noted one by one: 24 MiB of them.
pub const MOST_SPANS: usize = 1 << 20;
/// Arrays that a page shows a picture of.
const MOST_PICTURES: usize = 4;
/// Seconds between two notes of the memory in use.
const MEMORY_STEP_SECS: f32 = 0.002;

/// What a thread did for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Read and decoded a chunk.
    Read,
    /// Carried out a task: computed, encoded, wrote.
    Task,
}

/// One step of one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start_secs: f32,
    secs: f32,
    bytes: u64,
    stage: u16,
    thread: u16,
    kind: Kind,
}

#[derive(Default)]
struct State {
    /// Threads by name, in order of appearance.
    threads: Vec<String>,
    spans: Vec<Span>,
    /// Steps that are not among the spans.
    left_out: u64,
    /// Seconds and bytes reserved.
    memory: Vec<(f32, u64)>,
    /// Stages as they began.
    stages: Vec<StageProgress>,
    plans: Vec<String>,
    budget_bytes: u64,
    bytes_read: u64,
    stored_bytes: u64,
    /// Stages of the arrays before this one.
    stages_before: usize,
    pictures: Vec<Picture>,
    live: Live,
    ledger: Ledger,
    /// When the last event came.
    last_secs: f64,
}

impl State {
    fn take(&mut self, event: &Event<'_>, now_secs: f64) {
        self.last_secs = now_secs;
        self.ledger.take(event, now_secs);
        match event {
            Event::StageStarted { stage, name, chunks, bytes } => {
                if *stage == 0 {
                    self.stages_before = self.stages.len();
                }
                self.stages.push(StageProgress::begun(name, *chunks, *bytes, now_secs));
            }
            Event::ChunkRead { stage, bytes, secs } => {
                self.note_here(Kind::Read, *stage, *bytes, *secs, now_secs);
                self.bytes_read += bytes;
            }
            Event::ChunkWritten { stage, bytes, stored_bytes, secs } => {
                self.note_here(Kind::Task, *stage, *bytes, *secs, now_secs);
                self.stored_bytes += stored_bytes;
                self.live.take_written(*bytes);
                if let Some(stage) = self.stage(*stage) {
                    stage.advance(1, *bytes);
                }
            }
            Event::StepElsewhere { stage, thread, is_read, bytes, secs, ended_secs_ago } => {
                let kind = if *is_read { Kind::Read } else { Kind::Task };
                self.note(kind, *stage, thread, *bytes, *secs, (now_secs - ended_secs_ago).max(0.0));
                self.bytes_read += if *is_read { *bytes } else { 0 };
            }
            Event::BatchDone { stage, bytes, stored_bytes, peak_reserved_bytes } => {
                self.stored_bytes += stored_bytes;
                self.live.take_written(*bytes);
                self.take_memory(now_secs as f32, *peak_reserved_bytes);
                if let Some(stage) = self.stage(*stage) {
                    stage.advance(1, *bytes);
                }
            }
            Event::ChunksSkipped { stage, chunks, bytes } => {
                self.live.take_skipped(*chunks);
                if let Some(stage) = self.stage(*stage) {
                    stage.advance(*chunks, *bytes);
                }
            }
            Event::StageFinished { stage } => {
                if let Some(stage) = self.stage(*stage) {
                    stage.finished_secs = Some(now_secs);
                }
            }
            Event::StageFailed { error, .. } => self.live.take_error(error.to_string()),
            Event::TemporaryDisk { bytes } => self.live.take_temporary(*bytes),
            Event::Memory { reserved_bytes } => self.take_memory(now_secs as f32, *reserved_bytes),
            _ => {}
        }
    }

    fn take_memory(&mut self, now_secs: f32, reserved_bytes: u64) {
        self.live.take_memory(now_secs, reserved_bytes);
        let due = self.memory.last().is_none_or(|(last, _)| now_secs - last >= MEMORY_STEP_SECS);
        if due && self.memory.len() < MOST_SPANS {
            self.memory.push((now_secs, reserved_bytes));
        }
    }

    fn stage(&mut self, stage: usize) -> Option<&mut StageProgress> {
        self.stages.get_mut(self.stages_before + stage)
    }

    /// Notes a step of the thread that says so.
    fn note_here(&mut self, kind: Kind, stage: usize, bytes: u64, secs: f64, end_secs: f64) {
        let thread = std::thread::current();
        self.note(kind, stage, thread.name().unwrap_or("thread"), bytes, secs, end_secs);
    }

    fn note(&mut self, kind: Kind, stage: usize, name: &str, bytes: u64, secs: f64, end_secs: f64) {
        let position = self.threads.iter().position(|known| known == name).unwrap_or_else(|| {
            self.threads.push(name.to_owned());
            self.threads.len() - 1
        });
        let stage = u16::try_from(stage + self.stages_before).unwrap_or(u16::MAX);
        let thread = u16::try_from(position).unwrap_or(u16::MAX);
        let (start_secs, secs) = ((end_secs - secs).max(0.0) as f32, secs as f32);
        let span = Span { start_secs, secs, bytes, stage, thread, kind };
        self.live.take_span(span);
        if self.spans.len() >= MOST_SPANS {
            self.left_out += 1;
        } else {
            self.spans.push(span);
        }
    }
}

/// What was stored, as a picture, or why there is none.
struct Picture {
    caption: String,
    png: Option<Vec<u8>>,
}

/// Notes what a run does.
///
/// ```
/// use blockwise::record::Recorder;
/// use blockwise_core::{Array, Session};
/// use std::sync::Arc;
/// let recorder = Arc::new(Recorder::new());
/// let session = Session::with_budget(64 << 20).with_observer(recorder.clone());
/// let x = Array::from_fn(&[1000, 1000], |at| at[0] as f32)?;
/// session.compute::<f32>(&x.mean(0)?)?;
/// assert!(recorder.trace_json().contains("traceEvents"));
/// assert!(recorder.report_html("mean").starts_with("<!DOCTYPE html>"));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub struct Recorder {
    started: Instant,
    state: Mutex<State>,
    next: Option<Box<dyn Watcher>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder that starts its clock now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default(), next: None }
    }

    /// A recorder that hands everything on to `next`.
    #[must_use]
    pub fn before(next: Box<dyn Watcher>) -> Self {
        Self { next: Some(next), ..Self::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_secs(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// What the run has done up to now, for those who watch it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        live::snapshot(&state, self.now_secs())
    }

    /// The run in the trace format that Perfetto and Chrome read.
    #[must_use]
    pub fn trace_json(&self) -> String {
        let state = self.state();
        let micros = |secs: f32| f64::from(secs) * 1e6;
        let mut events = Vec::with_capacity(state.spans.len() + state.memory.len() + state.threads.len());
        for (number, name) in state.threads.iter().enumerate() {
            events.push(json!({
                "ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": { "name": name },
            }));
        }
        for span in &state.spans {
            let stage = state.stages.get(usize::from(span.stage)).map_or("", |stage| stage.name.as_str());
            let name = if span.kind == Kind::Read { "read" } else { "task" };
            events.push(json!({
                "ph": "X", "name": name, "cat": stage, "pid": 1, "tid": span.thread,
                "ts": micros(span.start_secs), "dur": micros(span.secs),
                "args": { "bytes": span.bytes, "stage": stage },
            }));
        }
        for (secs, bytes) in &state.memory {
            events.push(json!({
                "ph": "C", "name": "memory reserved", "pid": 1, "ts": micros(*secs), "args": { "bytes": bytes },
            }));
        }
        json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string()
    }

    /// The run as a page of its own: plan, threads, memory and throughput over time.
    #[must_use]
    pub fn report_html(&self, title: &str) -> String {
        let state = self.state();
        page::page(&state, title, state.last_secs)
    }

    /// What to change, and what for: drawn from plans, events, and after [`Watcher::stored`] from a chunk encoded again. Runs of
    /// sessions without a [`Watcher`] announce no plan: only codecs are known of them.
    ///
    /// ```
    /// use blockwise::convert::{ConvertOptions, Destination};
    /// use blockwise::prelude::*;
    /// use blockwise::record::{Recorder, Topic};
    /// use blockwise::store::{StoreOptions, to_zarr};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (maps, series) = (folder.path().join("maps.zarr"), folder.path().join("series.zarr"));
    /// let x = Array::from_fn(&[64, 256, 256], |at| at[0] as f32)?.rechunk([1, 256, 256])?;
    /// # let codec = Some(blockwise::codec_text::parse_codec("none")?);
    /// # let arrays = blockwise::convert::ArrayOptions { codec, ..Default::default() };
    /// # let plain = StoreOptions { arrays, ..StoreOptions::default() };
    /// to_zarr(&Session::with_budget(64 << 20), &[(&x, "")], &maps, &plain)?;
    /// let (budget, recorder) = (blockwise::machine::resources(6 << 20), Recorder::new());
    /// let (source, destination) = (Location::container(&maps), Destination::new(&series)?);
    /// let options = ConvertOptions::default();
    /// let job = blockwise::rechunk::rechunk(&source, &destination, "64,256,16".parse()?, &options, &budget)?;
    /// job.run(&recorder, &Cancellation::new())?;
    /// let memory = recorder.advice().into_iter().find(|advice| advice.topic == Topic::Memory);
    /// assert!(memory.is_some_and(|advice| advice.text.contains("With --memory")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn advice(&self) -> Vec<Advice> {
        self.state().ledger.advice()
    }

    /// Seconds that threads spent encoding.
    fn encoding_secs(&self) -> f64 {
        self.state().ledger.encoding_secs()
    }

    /// Adds what the run reported at its end.
    pub fn finish(&self, report: &RunReport) {
        let mut state = self.state();
        state.bytes_read = state.bytes_read.max(report.bytes_read);
        state.stored_bytes = state.stored_bytes.max(report.stored_bytes);
    }
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        {
            // The moment is taken under the lock: notes are in order of time.
            let mut state = self.state();
            let now_secs = self.now_secs();
            state.take(event, now_secs);
        }
        if let Some(next) = &self.next {
            next.observe(event);
        }
    }

    fn follows_steps(&self) -> bool {
        true
    }
}

impl Watcher for Recorder {
    fn array_started(&self, position: usize, count: usize, label: &str, plan: &Plan) {
        {
            let mut state = self.state();
            state.plans.push(plan.summary().to_string());
            state.live.take_plan(position, count, label);
            state.ledger.take_plan(label, plan);
            state.budget_bytes = plan.summary().budget_bytes;
        }
        if let Some(next) = &self.next {
            next.array_started(position, count, label, plan);
        }
    }

    /// Looks at the first few arrays for the page, and where encoding took long, at what other codecs would do.
    fn stored(&self, arrays: &[Location], resources: &Resources) {
        for location in arrays.iter().take(MOST_PICTURES) {
            let picture = match thumbnail(location, resources) {
                Ok((title, png)) => Picture { caption: format!("{location}: {title}"), png: Some(png) },
                Err(error) => Picture { caption: error.to_string(), png: None },
            };
            self.state().pictures.push(picture);
        }
        let share = self.state().ledger.encoding_share();
        if let Some(largest) = arrays.first().filter(|_| share >= advice::LEAST_CODEC_SHARE) {
            let trials = trial::trials(largest, resources).unwrap_or_default();
            self.state().ledger.take_trials(trials);
        }
        if let Some(next) = &self.next {
            next.stored(arrays, resources);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_what_happened() {
        let recorder = Recorder::new();
        recorder.observe(&Event::StageStarted { stage: 0, name: "<mean>", chunks: 1, bytes: 8 });
        recorder.observe(&Event::Memory { reserved_bytes: 77 });
        recorder.observe(&Event::ChunkRead { stage: 0, bytes: 5, secs: 0.0 });
        let trace: serde_json::Value = serde_json::from_str(&recorder.trace_json()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let read = events.iter().find(|event| event["ph"] == "X").unwrap();
        assert_eq!((&read["name"], &read["args"]["bytes"]), (&json!("read"), &json!(5)));
        assert!(events.iter().any(|event| event["args"]["bytes"] == 77));
        let page = recorder.report_html("a & b");
        assert!(page.contains("a &amp; b") && page.contains("&lt;mean&gt;") && !page.contains("http://cdn"));
    }

    #[test]
    fn workers_have_lanes_of_their_own() {
        let recorder = Recorder::new();
        assert!(recorder.follows_steps());
        recorder.observe(&Event::StageStarted { stage: 0, name: "mean", chunks: 9, bytes: 90 });
        let batch = Event::BatchDone { stage: 0, bytes: 40, stored_bytes: 7, peak_reserved_bytes: 1000 };
        recorder.observe(&batch);
        for thread in ["worker 10.1", "worker 2.1"] {
            for is_read in [true, false] {
                let (bytes, secs, ended_secs_ago) = (5, 0.25, 1e9);
                let step = Event::StepElsewhere { stage: 0, thread, is_read, bytes, secs, ended_secs_ago };
                recorder.observe(&step);
            }
        }
        let seen = recorder.snapshot();
        assert_eq!(seen.threads, ["worker 10.1", "worker 2.1"]);
        assert_eq!((seen.stages[0].bytes_done, seen.bytes_written, seen.bytes_read), (40, 40, 10));
        assert_eq!((seen.stored_bytes, seen.peak_reserved_bytes), (7, 1000));
        assert!(seen.recent.iter().all(|span| span.start_secs >= 0.0), "clocks differ");
        let page = recorder.report_html("x");
        assert!(page.find("worker 2.1") < page.find("worker 10.1"), "lanes in order");
    }
}
