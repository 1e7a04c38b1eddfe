//! The runs of a work folder: which there are, how far they are, and how one is cancelled.
//!
//! Invariant: looking changes nothing. Called by the command line.

use crate::driver::{Batches, lock};
use crate::error::{Error, Result};
use crate::folder::{self, DoneMark, Folder, RunFacts, names};
use crate::settings::Kind;
use std::fs::TryLockError;
use std::path::Path;

/// A run of a work folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    /// Its name.
    pub id: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder that it was started in.
    pub folder: String,
    /// The engine's name.
    pub engine: String,
    /// Seconds since 1970 when it began.
    pub started_secs: u64,
    /// Who drives it, as host and process; `None`: nobody, so that it can be resumed.
    pub driver: Option<String>,
    /// Its plans' stages that have begun, in order.
    pub stages: Vec<StageState>,
}

/// A stage that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageState {
    /// Number of the plan.
    pub plan: u64,
    /// Position in the plan.
    pub stage: u64,
    /// What it does.
    pub name: String,
    /// Batches that are done.
    pub done: u64,
    /// All batches.
    pub batches: u64,
    /// Notes of failures.
    pub failures: u64,
}

/// The folders of all runs.
pub(crate) fn folders(work_folder: &Path) -> Vec<Folder> {
    let mut names: Vec<String> =
        names(work_folder).into_iter().filter(|name| name.starts_with("run-")).collect();
    names.sort();
    names.iter().map(|name| Folder { root: work_folder.join(name) }).collect()
}

/// All runs of a work folder, the latest last.
///
/// # Errors
/// If a run's folder cannot be read.
pub fn list(work_folder: &Path) -> Result<Vec<RunState>> {
    let mut all = folders(work_folder)
        .iter()
        .filter_map(|folder| state(folder).transpose())
        .collect::<Result<Vec<_>>>()?;
    all.sort_by_key(|run| run.started_secs);
    Ok(all)
}

/// One run.
///
/// # Errors
/// If there is none of that name.
pub fn show(work_folder: &Path, id: &str) -> Result<RunState> {
    state(&known(work_folder, id)?)?.ok_or_else(|| none(work_folder, id))
}

/// Cancels a run: its driver stops it, or, if nobody drives it, its jobs are cancelled and its folder is removed.
///
/// # Errors
/// If there is none of that name, or its folder cannot be removed.
pub fn cancel(work_folder: &Path, id: &str) -> Result<()> {
    let folder = known(work_folder, id)?;
    let facts: RunFacts = folder::read(&folder.facts()).ok_or_else(|| none(work_folder, id))?;
    let Some(lock) = lock(&folder)? else {
        return folder::write(&folder.cancelled(), &"cancelled");
    };
    match facts.engine.parse() {
        Ok(Kind::Slurm) => {
            crate::slurm::cancel_all(id);
        }
        Ok(Kind::HyperQueue) => crate::hq::cancel_all(id),
        Ok(Kind::Threads | Kind::Processes) | Err(_) => {}
    }
    folder.remove(Some(lock)).map_err(|source| Error::os(&folder.root, "removing", source))
}

fn none(work_folder: &Path, id: &str) -> Error {
    Error::NoRun { id: id.to_owned(), folder: work_folder.display().to_string() }
}

fn known(work_folder: &Path, id: &str) -> Result<Folder> {
    let is_name = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_hexdigit());
    let folder = Folder { root: work_folder.join(format!("run-{id}")) };
    if is_name && folder.root.is_dir() { Ok(folder) } else { Err(none(work_folder, id)) }
}

/// The state of a run; `None` if it is only just beginning or ending.
fn state(folder: &Folder) -> Result<Option<RunState>> {
    let Some(facts) = folder::read::<RunFacts>(&folder.facts()) else { return Ok(None) };
    let path = folder.root.join("driver.lock");
    let is_driven = match std::fs::File::open(&path) {
        // Where files cannot be locked, nobody is known to drive.
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    };
    let driver = if is_driven { folder::read(&folder.root.join("driver.json")) } else { None };
    let numbered = |folder: &Path, prefix: &str| {
        let numbers =
            names(folder).into_iter().filter_map(|name| name.strip_prefix(prefix)?.parse::<u64>().ok());
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    };
    let mut stages = Vec::new();
    for plan in numbered(&folder.root, "plan-") {
        for stage in numbered(&folder.plan(plan), "stage-") {
            let root = folder.stage(plan, stage as usize);
            let Some(decided) = folder::read::<Batches>(&root.join("batches.json")) else { continue };
            let done = names(&root.join("done"));
            let done =
                done.iter().filter(|name| folder::read::<DoneMark>(&root.join("done").join(name)).is_some());
            stages.push(StageState {
                plan,
                stage,
                name: decided.name,
                done: done.count() as u64,
                batches: decided.batches.len() as u64 + u64::from(decided.combines),
                failures: names(&root.join("failed")).len() as u64,
            });
        }
    }
    if !folder.facts().exists() {
        return Ok(None); // it has ended meanwhile
    }
    let RunFacts { id, command, folder, engine, started_secs, .. } = facts;
    Ok(Some(RunState { id, command, folder, engine, started_secs, driver, stages }))
}
