//! Progress on standard error: a bar with throughput and time left, or JSON lines; records and the dashboard of a run.
//!
//! Invariant: observing costs the run an atomic addition and, a few times a second, a line; nothing is printed
//! between. Called by the commands that run plans.

use crate::args::{OutputArgs, ProgressMode, RunArgs};
use crate::side_file::SideFile;
use blockwise::core::engine::{self, Role};
use blockwise::core::plan::{Plan, Resources};
use blockwise::core::{Event, Observer, Unobserved};
use blockwise::dashboard::Dashboard;
use blockwise::record::Recorder;
use blockwise::{Location, Result, Watcher};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two JSON lines.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// The watcher that the options ask for. Files that they name are begun at once, and take their names when it is dropped.
pub(crate) fn watcher(run: &RunArgs, output: &OutputArgs) -> Result<Box<dyn Watcher>> {
    // What workers do is seen by their driver, whose files and ports are not theirs.
    if engine::installed().is_some_and(|engine| engine.role() == Role::Worker) {
        return Ok(Box::new(Unobserved));
    }
    let shown = shown(run, output);
    if run.report.is_none() && run.trace.is_none() && run.dashboard.is_none() {
        return Ok(shown);
    }
    let begin = |path: &Option<PathBuf>| path.as_deref().map(SideFile::beside).transpose();
    let (report, trace) = (begin(&run.report)?, begin(&run.trace)?);
    let recorder = Arc::new(Recorder::before(shown));
    let start = |address| Dashboard::start(address, &title(), Arc::clone(&recorder));
    let dashboard = run.dashboard.map(start).transpose()?;
    if let Some(dashboard) = &dashboard {
        match run.progress {
            ProgressMode::Json => eprintln!("{}", json!({ "event": "dashboard", "url": dashboard.url() })),
            _ => eprintln!("dashboard: {}", dashboard.url()),
        }
    }
    Ok(Box::new(Recording { recorder, report, trace, _dashboard: dashboard }))
}

/// The command, as it was given.
fn title() -> String {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    format!("arrayctl {}", words.join(" "))
}

/// Records the run, and writes what was recorded when it is dropped: so of failed runs too.
struct Recording {
    recorder: Arc<Recorder>,
    report: Option<SideFile>,
    trace: Option<SideFile>,
    /// Serves until it is dropped.
    _dashboard: Option<Dashboard>,
}

impl Observer for Recording {
    fn observe(&self, event: &Event<'_>) {
        self.recorder.observe(event);
    }

    fn follows_steps(&self) -> bool {
        self.recorder.follows_steps()
    }
}

impl Watcher for Recording {
    fn array_started(&self, position: usize, count: usize, label: &str, plan: &Plan) {
        self.recorder.array_started(position, count, label, plan);
    }

    fn stored(&self, arrays: &[Location], resources: &Resources) {
        // Pictures are for the page alone.
        if self.report.is_some() {
            // A corner of each is read, which is no work for workers: they have ended.
            self.recorder.stored(arrays, &resources.here());
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let texts = [
            self.report.take().map(|file| (file, self.recorder.report_html(&title()))),
            self.trace.take().map(|file| (file, self.recorder.trace_json())),
        ];
        for (file, text) in texts.into_iter().flatten() {
            if let Err(error) = file.finish(&text) {
                eprintln!("warning: {error}");
            }
        }
    }
}

fn shown(run: &RunArgs, output: &OutputArgs) -> Box<dyn Watcher> {
    match run.progress {
        ProgressMode::Json => Box::new(Lines::new()),
        ProgressMode::Always => Box::new(Bar::new()),
        ProgressMode::Auto if io::stderr().is_terminal() && !output.quiet => Box::new(Bar::new()),
        ProgressMode::Auto | ProgressMode::Never => Box::new(Unobserved),
    }
}

/// A bar that follows one array after the other.
struct Bar {
    bar: ProgressBar,
    heading: Mutex<String>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let template = "{msg}  {bar:24} {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, heading: Mutex::default() }
    }

    fn heading(&self) -> MutexGuard<'_, String> {
        self.heading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Bar {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::StageStarted { name, .. } => self.bar.set_message(format!("{} {name}", self.heading())),
            Event::ChunkWritten { bytes, .. }
            | Event::ChunksSkipped { bytes, .. }
            | Event::BatchDone { bytes, .. } => self.bar.inc(*bytes),
            _ => {}
        }
    }
}

impl Watcher for Bar {
    fn array_started(&self, position: usize, count: usize, label: &str, plan: &Plan) {
        *self.heading() =
            if count > 1 { format!("[{}/{count}] {label}", position + 1) } else { label.to_owned() };
        self.bar.reset();
        self.bar.set_length(plan.summary().progress_bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// JSON objects, one a line.
struct Lines {
    started: Instant,
    written_bytes: AtomicU64,
    state: Mutex<State>,
}

struct State {
    array: String,
    total_bytes: u64,
    reported: Instant,
}

impl Lines {
    fn new() -> Self {
        let started = Instant::now();
        let state = Mutex::new(State { array: String::new(), total_bytes: 0, reported: started });
        Self { started, written_bytes: AtomicU64::new(0), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, event: &str, state: &State) {
        let line = json!({
            "event": event,
            "array": state.array,
            "bytes_done": self.written_bytes.load(Ordering::Relaxed),
            "bytes_total": state.total_bytes,
            "secs": self.started.elapsed().as_secs_f64(),
        });
        eprintln!("{line}");
    }
}

impl Observer for Lines {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::StageStarted { stage, name, chunks, bytes } => {
                let line = json!({
                    "event": "stage", "array": self.state().array, "stage": stage, "name": name,
                    "chunks": chunks, "bytes": bytes, "secs": self.started.elapsed().as_secs_f64(),
                });
                eprintln!("{line}");
            }
            Event::ChunkWritten { bytes, .. }
            | Event::ChunksSkipped { bytes, .. }
            | Event::BatchDone { bytes, .. } => {
                self.written_bytes.fetch_add(*bytes, Ordering::Relaxed);
                // Whoever finds the state locked leaves the report to the one that holds it.
                if let Ok(mut state) = self.state.try_lock()
                    && state.reported.elapsed() >= REPORT_INTERVAL
                {
                    state.reported = Instant::now();
                    self.report("progress", &state);
                }
            }
            Event::StageFinished { .. } => self.report("progress", &self.state()),
            _ => {}
        }
    }
}

impl Watcher for Lines {
    fn array_started(&self, position: usize, count: usize, label: &str, plan: &Plan) {
        self.written_bytes.store(0, Ordering::Relaxed);
        let mut state = self.state();
        label.clone_into(&mut state.array);
        state.total_bytes = plan.summary().progress_bytes;
        let line = json!({
            "event": "array", "array": label, "position": position, "count": count,
            "bytes_total": plan.summary().progress_bytes, "secs": self.started.elapsed().as_secs_f64(),
        });
        eprintln!("{line}");
    }
}
