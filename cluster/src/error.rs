//! The error type of runs beyond one machine.
//!
//! Invariant: every message says what failed and what to do. Passes through core's error as a failure of a store does, so the
//! command line's exit codes follow [`StoreFault::fault`]. Called by every module of this crate.

use blockwise_core::{Fault, StoreFault};
use std::io;
use std::path::{Path, PathBuf};

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in a run of several processes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that makes no sense.
    #[error("{name}: '{value}' {why}")]
    Setting {
        /// The option or variable.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What is wrong and what is right.
        why: String,
    },
    /// A second engine in one process.
    #[error("this process has an engine already; start one once, at the beginning of the program")]
    Twice,
    /// A file of the run could not be read or written.
    #[error(
        "{path}: {action} failed: {source}; check that the work folder is there, has room, and is the same on all nodes"
    )]
    Os {
        /// The file or folder.
        path: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the run is not what this program writes.
    #[error("{path} is damaged or was written by another version; delete the run's folder and start again")]
    Damaged {
        /// The file.
        path: String,
    },
    /// A worker does not do what its driver does.
    #[error(
        "{what}: this worker finds '{found}', its driver '{expected}'; a program must do the same with the same arguments every time, with inputs that do not change"
    )]
    Differs {
        /// What is not the same.
        what: String,
        /// The driver's.
        expected: String,
        /// The worker's.
        found: String,
    },
    /// A worker found that it does not do what its driver does; all others would find the same.
    #[error("{message} (on {host}; logs in {logs})")]
    Apart {
        /// What the worker found.
        message: String,
        /// Where it was.
        host: String,
        /// Where the workers' logs are.
        logs: String,
    },
    /// A command of the engine failed.
    #[error("{command} failed: {message}; try that command by hand, or another --engine")]
    Command {
        /// The program.
        command: String,
        /// What it said.
        message: String,
    },
    /// Workers ended without a trace in the folder.
    #[error(
        "no worker has written to {folder}: is it on storage that all nodes share, under the same path? {detail}"
    )]
    NotShared {
        /// The run's folder.
        folder: String,
        /// What is known of the workers.
        detail: String,
    },
    /// A batch failed twice in the same way.
    #[error("{message} (on {host}, twice; logs in {logs})")]
    Task {
        /// The error of the task.
        message: String,
        /// What sort of failure it was.
        fault: Fault,
        /// Where it happened last.
        host: String,
        /// Where the workers' logs are.
        logs: String,
    },
    /// A batch that never gets done.
    #[error(
        "batch {batch} of stage '{stage}' was started {attempts} times and never finished: {last}; logs in {logs}. Give workers more memory or time, or more --retries"
    )]
    Lost {
        /// Number of the batch.
        batch: u64,
        /// The stage.
        stage: String,
        /// How often it was started.
        attempts: u32,
        /// The last that is known of it.
        last: String,
        /// Where the workers' logs are.
        logs: String,
    },
    /// There is no such run.
    #[error("no run {id} in {folder}; `arrayctl runs` lists them")]
    NoRun {
        /// The run.
        id: String,
        /// The work folder.
        folder: String,
    },
    /// Another process drives the run.
    #[error("run {id} is driven by {holder}; wait for it, or stop it first")]
    Busy {
        /// The run.
        id: String,
        /// Host and process.
        holder: String,
    },
}

impl Error {
    /// A failure of the system.
    pub(crate) fn os(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Os { path: path.display().to_string(), action, source }
    }

    pub(crate) fn damaged(path: &Path) -> Self {
        Self::Damaged { path: path.display().to_string() }
    }
}

impl StoreFault for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Setting { .. } | Self::Twice | Self::NoRun { .. } => Fault::Usage,
            Self::NotShared { .. } | Self::Busy { .. } => Fault::Refused,
            Self::Task { fault, .. } => *fault,
            Self::Os { .. }
            | Self::Damaged { .. }
            | Self::Differs { .. }
            | Self::Apart { .. }
            | Self::Command { .. }
            | Self::Lost { .. } => Fault::Failed,
        }
    }
}

/// What a fault is called in notes.
pub(crate) const FAULTS: [(Fault, &str); 4] = [
    (Fault::Failed, "failed"),
    (Fault::Usage, "usage"),
    (Fault::Refused, "refused"),
    (Fault::BadInput, "bad input"),
];

/// What notes call that a worker's plan is not its driver's.
pub(crate) const APART: &str = "apart";

/// A path that must be UTF-8, as it goes into texts.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    let why = "is no UTF-8; rename it".to_owned();
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::Setting { name: "path", value: path.display().to_string(), why })
}

/// The absolute form of an existing folder.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|source| Error::os(path, "opening", source))
}
