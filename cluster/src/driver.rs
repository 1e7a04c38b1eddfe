//! [`Driver`]: the engine of the process that a run was started as.
//!
//! Plan after plan, stage after stage: cut into batches, submit, look for marks, submit what is missing. Invariants: what a mark proves is
//! not done again, also by a driver that takes the run up; the folder of a run is gone when all that the run was to do is done and
//! published, or when it is cancelled; it stays in all other cases. Called by [`crate::start`].

#[cfg(all(test, target_os = "linux"))] // it reads what /proc says of it
mod simulation;
mod take_up;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result, absolute, text_of};
use crate::folder::{self, DoneMark, FailedMark, Folder};
use crate::launcher::{Launcher, launcher};
use crate::order::{COMBINED, Numbered, Order, Work};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stage::Board;
use crate::steps::{Step, Steps, now_secs};
use blockwise_core::engine::{Engine, Role};
use blockwise_core::exec::batches::{Batch, SharedRun, StageFacts};
use blockwise_core::exec::{RunReport, run_here};
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::{Cancellation, Event, Fault, Observer};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub(crate) use take_up::lock;
use take_up::{busy, earlier_orders, own_facts, taken_up};

/// Shortest and longest time between two looks at the marks of a stage.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Shortest and longest time between two questions to the engine.
const QUESTIONS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// What a look costs, at most, of the time between two looks: one of so many parts.
const LOOK_SHARE: u32 = 25;
/// Longest time between two looks, however long they take.
const REST: Duration = Duration::from_secs(30);
/// Longest time without asking whether the run is to stop.
const PAUSE: Duration = Duration::from_secs(1);
/// How long workers that have nothing left to do are waited for before they are stopped.
const LEAVING: Duration = Duration::from_secs(10);
/// Most workers of one submission: Slurm takes arrays of so many by default.
const ORDER_SHARES: usize = 1000;

/// The batches of a stage, as the driver decided them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Batches {
    /// The stage's name.
    pub(crate) name: String,
    pub(crate) batches: Vec<Batch>,
    /// Whether their states are put together at the end.
    pub(crate) combines: bool,
}

/// Drives a run.
#[derive(Debug)]
pub(crate) struct Driver {
    settings: Settings,
    folder: Folder,
    id: String,
    launcher: Mutex<Box<dyn Launcher>>,
    pace: Mutex<Pace>,
    plans: AtomicU64,
    agreed: AtomicU64,
    orders: AtomicU64,
    /// What drivers before this one have given out, if it took the run up.
    earlier: Vec<(u64, Order)>,
    is_taken_up: bool,
    /// Whether a plan failed, so that the run may be resumed.
    is_failed: AtomicBool,
    /// Outputs that were begun and are not published.
    unpublished: AtomicU64,
    /// Whether the run was cancelled, and is not to be resumed.
    is_given_up: AtomicBool,
    is_ended: AtomicBool,
    lock: Mutex<Option<File>>,
}

/// Whether a plan reads and writes too little to be carried out elsewhere: every process that needs it runs it by itself.
pub(crate) fn is_small(plan: &Plan, batch_bytes: u64) -> bool {
    let summary = plan.summary();
    summary.bytes_read.saturating_add(summary.bytes_written) <= batch_bytes
}

impl Driver {
    /// Begins a run, or takes one up.
    pub(crate) fn begin(settings: Settings) -> Result<Self> {
        Self::begin_with(settings, launcher)
    }

    /// As [`Driver::begin`], with workers that `launcher` starts.
    fn begin_with(
        mut settings: Settings,
        launcher: impl FnOnce(&Settings, &Folder, &str) -> Result<Box<dyn Launcher>>,
    ) -> Result<Self> {
        settings.check()?;
        settings = settings.with_batch_bytes_of_environment()?;
        folder::create(&settings.work_folder)?;
        settings.work_folder = absolute(&settings.work_folder)?;
        text_of(&settings.work_folder)?;
        let own = own_facts(&settings)?;
        let (facts, folder, lock, is_taken_up) = match taken_up(&settings, &own)? {
            Some((facts, folder, lock)) => (facts, folder, lock, true),
            None => {
                let folder = Folder { root: settings.work_folder.join(format!("run-{}", own.id)) };
                let parts = ["orders", "logs", "seen", "agreed"];
                parts.iter().try_for_each(|part| folder::create(&folder.root.join(part)))?;
                let lock = lock(&folder)?.ok_or_else(|| busy(&own.id, &folder))?;
                folder::write(&folder.facts(), &own)?;
                (own, folder, lock, false)
            }
        };
        let orders = folder::names(&folder.root.join("orders"));
        let last = orders.iter().filter_map(|name| name.split('.').next()?.parse::<u64>().ok()).max();
        let earlier = if is_taken_up { earlier_orders(&folder) } else { Vec::new() };
        let launcher = launcher(&settings, &folder, &facts.id).inspect_err(|_| {
            if !is_taken_up {
                let _ = fs::remove_dir_all(&folder.root); // it has only just been made
            }
        })?;
        tracing::info!("run {} in {}", facts.id, folder.root.display());
        Ok(Self {
            settings,
            id: facts.id,
            launcher: Mutex::new(launcher),
            pace: Mutex::default(),
            plans: AtomicU64::new(0),
            agreed: AtomicU64::new(0),
            orders: AtomicU64::new(last.map_or(0, |last| last + 1)),
            earlier,
            is_taken_up,
            is_failed: AtomicBool::new(false),
            unpublished: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            folder,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Ends the run: no job is left, and no folder unless something is left to be done.
    pub(crate) fn end(&self) {
        if self.is_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.launcher().stop();
        let root = self.folder.root.display();
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.is_unfinished() {
            tracing::warn!(
                "run {} is left in {root}; the same command with --resume goes on with it, `arrayctl runs cancel {}` removes it",
                self.id,
                self.id
            );
        } else if let Err(error) = self.folder.remove(lock) {
            tracing::warn!("{root} cannot be removed: {error}; delete that folder");
        }
    }

    /// Whether a later driver would find something to go on with.
    fn is_unfinished(&self) -> bool {
        if self.is_given_up.load(Ordering::SeqCst) {
            return false;
        }
        let plans = self.plans.load(Ordering::SeqCst);
        let is_begun = self.is_taken_up || plans > 0;
        // A run that was taken up may have ended before it came to where it was.
        let is_short = self.folder.plan(plans).exists();
        let is_failed = self.is_failed.load(Ordering::SeqCst) || std::thread::panicking();
        is_begun && (is_failed || is_short || self.unpublished.load(Ordering::SeqCst) > 0)
    }

    /// Whether the run is cancelled from elsewhere.
    fn is_told_to_stop(&self) -> bool {
        self.folder.cancelled().exists()
    }

    fn launcher(&self) -> MutexGuard<'_, Box<dyn Launcher>> {
        self.launcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_plan(
        &self,
        number: u64,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<RunReport> {
        let started = Instant::now();
        let (root, digest) = (self.folder.plan(number), plan.digest());
        let planned = root.join("plan.json");
        if folder::read::<String>(&planned).is_some_and(|known| known != digest) {
            tracing::warn!("plan {number} is not that of the run before; it starts anew");
            folder::remove(&root).map_err(|source| Error::os(&root, "removing", source))?;
        }
        let shared = SharedRun::new(plan, resources, &root);
        shared.create()?;
        folder::write(&planned, &digest)?;
        let mut report = RunReport::default();
        for (stage, facts) in shared.stages().iter().enumerate() {
            let at =
                Stage { plan: number, stage, digest: &digest, facts, notes_steps: observer.follows_steps() };
            let (bytes, chunks) = (facts.bytes, facts.tasks);
            observer.observe(&Event::StageStarted { stage, name: &facts.name, chunks, bytes });
            let complete = self.folder.stage(number, stage).join("complete");
            if folder::read::<String>(&complete).is_some_and(|known| known == digest) {
                observer.observe(&Event::ChunksSkipped { stage, chunks, bytes });
            } else {
                self.run_stage(&at, &shared, &mut report, observer, cancellation)?;
                folder::write(&complete, &digest)?;
            }
            shared.discard(stage)?;
            observer.observe(&Event::StageFinished { stage });
        }
        shared.collect(cancellation)?;
        report.secs = started.elapsed().as_secs_f64();
        Ok(report)
    }

    fn run_stage(
        &self,
        at: &Stage<'_>,
        shared: &SharedRun<'_>,
        report: &mut RunReport,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<()> {
        let folder = self.folder.stage(at.plan, at.stage);
        ["done", "failed", "steps"].iter().try_for_each(|part| folder::create(&folder.join(part)))?;
        let known = folder.join("batches.json");
        let decided = match folder::read::<Batches>(&known) {
            Some(decided) => decided,
            None => {
                // A plan that is too small is not here.
                let wanted = self.pace().batches(&self.settings, u64::MAX, at.facts.about_bytes());
                let batches = shared.batches(at.stage, &wanted.unwrap_or(1..=1))?;
                let name = at.facts.name.clone();
                let decided = Batches { name, batches, combines: shared.leaves_states(at.stage) };
                folder::write(&known, &decided)?;
                decided
            }
        };
        let count = decided.batches.len() as u64;
        let works = |ids: &[u64], part: usize| -> Option<Work> {
            let own =
                |id: &u64| Some(Numbered { id: *id, batch: decided.batches.get(*id as usize)?.clone() });
            let shares = ids.len().min(self.settings.workers as usize);
            let share = |n: usize| ids.iter().skip(n).step_by(shares).filter_map(own).collect();
            let all = (0..shares).skip(part * ORDER_SHARES).take(ORDER_SHARES);
            let work: Vec<Vec<Numbered>> = all.map(share).collect();
            (!work.is_empty()).then_some(Work::Tasks(work))
        };
        self.carry_out(at, 0..count, &works, report, observer, cancellation)?;
        if decided.combines {
            let works = |_: &[u64], part: usize| (part == 0).then_some(Work::Combine(count));
            self.carry_out(at, COMBINED..=COMBINED, &works, report, observer, cancellation)?;
        }
        Ok(())
    }

    /// Has batches of a stage done: submits, looks, submits again. `works` gives the orders for some batches, one after the other.
    fn carry_out(
        &self,
        at: &Stage<'_>,
        batches: impl Iterator<Item = u64>,
        works: &dyn Fn(&[u64], usize) -> Option<Work>,
        report: &mut RunReport,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<()> {
        let folder = self.folder.stage(at.plan, at.stage);
        let logs = self.folder.logs().display().to_string();
        let mut board = Board::new(&at.facts.name, batches, self.settings.retries);
        self.look(&folder, at, &mut board, report, observer);
        if board.is_done() {
            return Ok(());
        }
        self.remember(at, &mut board);
        let mut launcher = self.launcher();
        let (mut look, mut question) = (LOOKS.0, QUESTIONS.0);
        let mut asked: Option<Instant> = None;
        let mut submissions = 0;
        loop {
            if cancellation.is_cancelled() || self.is_told_to_stop() {
                launcher.stop();
                return Err(blockwise_core::Error::Cancelled);
            }
            let began = Instant::now();
            if self.look(&folder, at, &mut board, report, observer) {
                (look, question) = (LOOKS.0, QUESTIONS.0);
            }
            if board.is_done() {
                return Ok(());
            }
            if asked.is_none_or(|asked| asked.elapsed() >= question) {
                if let Some(alive) = launcher.alive()? {
                    // Marks that came while the engine was asked are of workers that it no longer knows.
                    self.look(&folder, at, &mut board, report, observer);
                    let missing =
                        board.missing(&alive, &logs).map_err(|error| self.with_last_words(error))?;
                    if !missing.is_empty() {
                        // A controller may lose what it was given once.
                        let often = submissions > self.settings.retries.min(1);
                        if often && board.is_silent() && !self.folder.is_seen() {
                            let (folder, detail) =
                                (self.folder.root.display().to_string(), launcher.detail());
                            return Err(Error::NotShared { folder, detail }.into());
                        }
                        let lost = board.places(&missing);
                        if !lost.is_empty() {
                            launcher.suspect(&lost);
                        }
                        self.submit(at, &|part| works(&missing, part), &mut board, &mut **launcher)?;
                        submissions += 1;
                    }
                }
                asked = Some(Instant::now());
                question = (question * 5 / 4).min(QUESTIONS.1);
            }
            // A look at a million marks takes as long as it takes, but not all of the driver's time.
            let next = Instant::now() + look.max((began.elapsed() * LOOK_SHARE).min(REST));
            while !(cancellation.is_cancelled() || next <= Instant::now()) {
                std::thread::sleep(next.saturating_duration_since(Instant::now()).min(PAUSE));
            }
            look = (look * 9 / 8).min(LOOKS.1);
        }
    }

    fn submit(
        &self,
        at: &Stage<'_>,
        works: &dyn Fn(usize) -> Option<Work>,
        board: &mut Board,
        launcher: &mut dyn Launcher,
    ) -> Result<()> {
        for work in (0..).map_while(works) {
            let order = Order {
                plan: at.plan,
                stage: at.stage,
                digest: at.digest.to_owned(),
                threads: self.settings.threads,
                budget_bytes: self.settings.budget_bytes,
                batch_bytes: self.settings.batch_bytes,
                notes_steps: at.notes_steps,
                work,
            };
            let number = self.orders.fetch_add(1, Ordering::SeqCst);
            folder::write(&self.folder.order(number), &order)?;
            if !launcher.submit(number, order.shares())? {
                let _ = fs::remove_file(self.folder.order(number)); // goes with the run else
                break; // what nobody was given is asked for again
            }
            (0..order.shares()).for_each(|share| board.given(&order.batches(share), (number, share)));
        }
        Ok(())
    }

    /// An error about a batch that was lost, with the end of what workers have printed.
    fn with_last_words(&self, error: Error) -> Error {
        let Error::Lost { batch, stage, attempts, last, logs } = error else { return error };
        let logged = |name: &String| fs::read_to_string(self.folder.logs().join(name)).ok();
        let mut names = folder::names(&self.folder.logs());
        names.sort();
        let words = names.iter().rev().filter_map(logged).find_map(|text| {
            text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
        });
        let last = match words {
            Some(words) => format!("{last}; the last that a worker printed: {words}"),
            None => last,
        };
        Error::Lost { batch, stage, attempts, last, logs }
    }

    /// Tells the board what a driver before this one has given out.
    fn remember(&self, at: &Stage<'_>, board: &mut Board) {
        for (number, order) in &self.earlier {
            if (order.plan, order.stage, &*order.digest) == (at.plan, at.stage, at.digest) {
                (0..order.shares()).for_each(|share| board.given(&order.batches(share), (*number, share)));
            }
        }
    }

    /// Takes the marks that are there; whether some are new.
    fn look(
        &self,
        folder: &Path,
        at: &Stage<'_>,
        board: &mut Board,
        report: &mut RunReport,
        observer: &dyn Observer,
    ) -> bool {
        let mut is_new = false;
        let done = folder.join("done");
        for name in folder::each_name(&done) {
            let Some(batch) = name.parse().ok().filter(|batch| board.is_open(*batch)) else { continue };
            let Some(mark) = folder::read::<DoneMark>(&done.join(&name)) else { continue };
            if !board.done(batch, &mark, at.digest) {
                continue;
            }
            is_new = true;
            self.pace().take(&mark);
            report.bytes_read += mark.bytes_read;
            report.bytes_written += mark.bytes_written;
            report.stored_bytes += mark.stored_bytes;
            report.peak_reserved_bytes = report.peak_reserved_bytes.max(mark.peak_reserved_bytes);
            let (bytes, stored_bytes) = (mark.bytes_written, mark.stored_bytes);
            let peak_reserved_bytes = mark.peak_reserved_bytes;
            observer.observe(&Event::BatchDone { stage: at.stage, bytes, stored_bytes, peak_reserved_bytes });
            if observer.follows_steps() {
                self.pass_on(at, batch, observer);
            }
        }
        for name in folder::names(&folder.join("failed")) {
            let batch = name.split_once('-').and_then(|(batch, _)| batch.parse().ok());
            let Some(batch) = batch.filter(|batch| board.is_open(*batch)) else { continue };
            let mark = folder::read::<FailedMark>(&folder.join("failed").join(&name));
            // A worker that an earlier driver started for another plan says nothing about this one.
            if let Some(mark) = mark.filter(|mark| mark.digest == at.digest) {
                board.failed(batch, name, mark);
            }
        }
        is_new
    }

    /// Tells an observer the steps that a worker took in a batch.
    fn pass_on(&self, at: &Stage<'_>, batch: u64, observer: &dyn Observer) {
        let path = self.folder.steps(at.plan, at.stage, batch);
        let Some(steps) = folder::read::<Steps>(&path) else { return };
        let _ = fs::remove_file(&path); // goes with the run else
        let ago_secs = (now_secs() - steps.began_secs).max(0.0);
        for (number, own) in steps.threads.iter().enumerate() {
            let thread = format!("worker {}.{}", steps.share + 1, number + 1);
            for Step { is_read, start_secs, secs, bytes } in own {
                let ended_secs_ago = (ago_secs - f64::from(start_secs + secs)).max(0.0);
                let (is_read, bytes, secs) = (*is_read, *bytes, f64::from(*secs));
                let stage = at.stage;
                let step =
                    Event::StepElsewhere { stage, thread: &thread, is_read, bytes, secs, ended_secs_ago };
                observer.observe(&step);
            }
        }
    }
}

impl Engine for Driver {
    fn name(&self) -> &'static str {
        self.settings.kind.name()
    }

    fn role(&self) -> Role {
        Role::Driver
    }

    fn batches(&self, plan_bytes: u64, stage_bytes: u64) -> Option<RangeInclusive<u64>> {
        self.pace().batches(&self.settings, plan_bytes, stage_bytes)
    }

    fn run(
        &self,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<RunReport> {
        if is_small(plan, self.settings.batch_bytes) {
            return run_here(plan, resources, observer, cancellation);
        }
        let number = self.plans.fetch_add(1, Ordering::SeqCst);
        let outcome = if self.is_told_to_stop() {
            Err(blockwise_core::Error::Cancelled)
        } else {
            self.run_plan(number, plan, resources, observer, cancellation)
        };
        if let Err(error) = &outcome {
            self.is_failed.store(true, Ordering::SeqCst);
            if error.fault() == Fault::Cancelled {
                self.is_given_up();
            }
        }
        outcome
    }

    fn agree(&self, what: &str, own: &str) -> blockwise_core::Result<String> {
        let number = self.agreed.fetch_add(1, Ordering::SeqCst);
        self.unpublished.fetch_add(1, Ordering::SeqCst);
        let path = self.folder.agreed(number);
        let pair = (what.to_owned(), own.to_owned());
        match folder::read::<(String, String)>(&path) {
            Some(known) if known == pair => return Ok(pair.1),
            None => {}
            Some(_) => {
                // What was done since then was done for something else.
                for number in self.plans.load(Ordering::SeqCst).. {
                    let root = self.folder.plan(number);
                    if !root.exists() {
                        break;
                    }
                    folder::remove(&root).map_err(|source| Error::os(&root, "removing", source))?;
                }
            }
        }
        folder::write(&path, &pair)?;
        Ok(pair.1)
    }

    fn before_publication(&self) -> blockwise_core::Result<()> {
        let (began, mut pause) = (Instant::now(), LOOKS.0);
        let mut launcher = self.launcher();
        loop {
            if self.is_told_to_stop() {
                return Err(blockwise_core::Error::Cancelled);
            }
            if !self.is_taken_up && self.orders.load(Ordering::SeqCst) == 0 {
                return Ok(()); // nobody was ever started
            }
            // An engine that does not answer is no reason to throw away what is done: nobody has anything left to do.
            if matches!(launcher.alive(), Ok(Some(alive)) if alive.is_empty()) {
                return Ok(());
            }
            if began.elapsed() > LEAVING {
                launcher.stop();
                return Ok(());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    fn published(&self) {
        self.unpublished.fetch_sub(1, Ordering::SeqCst);
    }

    fn is_given_up(&self) -> bool {
        let is_given_up = self.is_told_to_stop() || !crate::LEAVES.load(Ordering::SeqCst);
        self.is_given_up.store(is_given_up, Ordering::SeqCst);
        is_given_up
    }

    fn folder(&self) -> &Path {
        &self.folder.root
    }

    fn threads(&self) -> usize {
        self.settings.threads
    }

    fn budget_bytes(&self) -> u64 {
        self.settings.budget_bytes
    }
}

/// A stage that is carried out.
struct Stage<'a> {
    plan: u64,
    stage: usize,
    digest: &'a str,
    facts: &'a StageFacts,
    /// Whether workers note their steps.
    notes_steps: bool,
}
