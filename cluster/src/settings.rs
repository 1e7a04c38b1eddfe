//! [`Settings`]: which engine runs plans, with how many workers, and what each may use.
//!
//! Invariant: settings that exist make sense by themselves. Made from the environment or by the command line; called by
//! [`crate::driver`] and the launchers.

use crate::error::{Error, Result};
use crate::gres::Gres;
use blockwise_core::machine;
use std::env;
use std::path::PathBuf;

/// What starts workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: this process's threads.
    Threads,
    /// Processes on this machine: to try a program out, or to keep its memory apart.
    Processes,
    /// Slurm, through `sbatch`, `squeue`, `scancel` and `srun`.
    Slurm,
    /// HyperQueue, through `hq`.
    HyperQueue,
}

impl Kind {
    /// The engines by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("threads", Self::Threads),
        ("processes", Self::Processes),
        ("slurm", Self::Slurm),
        ("hq", Self::HyperQueue),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
        found.ok_or_else(|| Error::Setting {
            name: "engine",
            value: text.to_owned(),
            why: "is none of threads, processes, slurm, hq".to_owned(),
        })
    }
}

/// How a program's plans are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What starts workers.
    pub kind: Kind,
    /// A folder on storage that all nodes share, where runs have theirs.
    pub work_folder: PathBuf,
    /// Workers that run at once.
    pub workers: u32,
    /// Threads of each worker.
    pub threads: usize,
    /// Memory budget of each worker, in bytes.
    pub budget_bytes: u64,
    /// Whether one allocation is held for the whole run, in which each stage is one `srun`; else each stage is a job array.
    pub hold: bool,
    /// Time limit of a job or task, as Slurm takes it.
    pub time: Option<String>,
    /// Partition of jobs.
    pub partition: Option<String>,
    /// Account of jobs.
    pub account: Option<String>,
    /// What each worker needs beside cores and memory: GPUs.
    pub gres: Option<Gres>,
    /// More arguments of `sbatch` or `hq submit`.
    pub flags: Vec<String>,
    /// How often a batch that was lost is started again.
    pub retries: u32,
    /// Bytes that a batch reads and writes, at least; what is smaller runs in the driver.
    pub batch_bytes: u64,
    /// Whether to take up a run of the same program and request whose driver died.
    pub resume: bool,
    /// What the program is asked for, by which a run is known that is taken up: without what only says how it is carried out. `None`: all
    /// arguments.
    pub request: Option<Vec<String>>,
}

/// Default of [`Settings::batch_bytes`].
const BATCH_BYTES: u64 = 32 << 20;

impl Settings {
    /// An engine with a work folder and so many workers; the rest as by default: threads and memory of this machine, three retries.
    #[must_use]
    pub fn new(kind: Kind, work_folder: PathBuf, workers: u32) -> Self {
        Self {
            kind,
            work_folder,
            workers,
            threads: machine::cores(),
            budget_bytes: machine::usable_budget_bytes(),
            hold: false,
            time: None,
            partition: None,
            account: None,
            gres: None,
            flags: Vec::new(),
            retries: 3,
            batch_bytes: BATCH_BYTES,
            resume: false,
            request: None,
        }
    }

    /// The settings that the environment gives; `None` without `BLOCKWISE_ENGINE` or with `threads`.
    ///
    /// | variable | what |
    /// |---|---|
    /// | `BLOCKWISE_ENGINE` | `threads`, `processes`, `slurm` or `hq` |
    /// | `BLOCKWISE_WORK_DIR` | the work folder; must be set |
    /// | `BLOCKWISE_WORKERS` | workers at once [default: 2] |
    /// | `BLOCKWISE_THREADS` | threads of each [default: the cores of this machine] |
    /// | `BLOCKWISE_MEMORY` | budget of each, in bytes [default: half of this machine's memory] |
    /// | `BLOCKWISE_SLURM_HOLD` | `1`: one allocation for the whole run |
    /// | `BLOCKWISE_GRES` | what each needs beside cores and memory, such as `gpu:1` |
    /// | `BLOCKWISE_ENGINE_FLAGS` | more arguments of `sbatch` or `hq submit`, such as `--time=1:00:00 --partition=short` |
    /// | `BLOCKWISE_RETRIES` | how often a lost batch is started again [default: 3] |
    /// | `BLOCKWISE_BATCH_BYTES` | what a batch reads and writes at least [default: 32 MiB] |
    /// | `BLOCKWISE_RESUME` | `1`: take up the run of a driver that died |
    ///
    /// # Errors
    /// If one makes no sense.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(kind) = variable("BLOCKWISE_ENGINE") else { return Ok(None) };
        let kind: Kind = kind.parse()?;
        if kind == Kind::Threads {
            return Ok(None);
        }
        let Some(folder) = variable("BLOCKWISE_WORK_DIR") else {
            let why = "is not set; give a folder that all nodes share".to_owned();
            return Err(Error::Setting { name: "BLOCKWISE_WORK_DIR", value: String::new(), why });
        };
        let mut settings = Self::new(kind, PathBuf::from(folder), number("BLOCKWISE_WORKERS")?.unwrap_or(2));
        settings.threads = number("BLOCKWISE_THREADS")?.unwrap_or(settings.threads);
        settings.budget_bytes = number("BLOCKWISE_MEMORY")?.unwrap_or(settings.budget_bytes);
        settings.hold = is_on("BLOCKWISE_SLURM_HOLD");
        settings.resume = is_on("BLOCKWISE_RESUME");
        settings.retries = number("BLOCKWISE_RETRIES")?.unwrap_or(settings.retries);
        settings.gres = variable("BLOCKWISE_GRES").map(|text| text.parse()).transpose()?;
        let flags = variable("BLOCKWISE_ENGINE_FLAGS").unwrap_or_default();
        settings.flags = flags.split_whitespace().map(str::to_owned).collect();
        settings.with_batch_bytes_of_environment().map(Some)
    }

    /// These, with what `BLOCKWISE_BATCH_BYTES` says, which the command line has no option for.
    ///
    /// # Errors
    /// If it is no number.
    pub(crate) fn with_batch_bytes_of_environment(mut self) -> Result<Self> {
        self.batch_bytes = number("BLOCKWISE_BATCH_BYTES")?.unwrap_or(self.batch_bytes);
        Ok(self)
    }

    /// Whether a setting is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        let zero = |name, value: u64| {
            let why = "must be at least 1".to_owned();
            if value == 0 { Err(Error::Setting { name, value: "0".to_owned(), why }) } else { Ok(()) }
        };
        zero("workers", u64::from(self.workers))?;
        zero("threads", self.threads as u64)?;
        zero("batch bytes", self.batch_bytes)?;
        self.check_for_engine()
    }

    /// Whether the engine has what is asked for.
    fn check_for_engine(&self) -> Result<()> {
        let unknown = |name, value: &str| {
            let why = format!("is nothing that engine {} has; leave it out", self.kind.name());
            Error::Setting { name, value: value.to_owned(), why }
        };
        match (&self.gres, self.kind) {
            (Some(gres), Kind::Slurm) if self.hold => gres.check_for_hold()?,
            (Some(gres), Kind::HyperQueue) => gres.check_for_hq()?,
            (Some(_), Kind::Threads | Kind::Processes) => return Err(unknown("gres", "")),
            (Some(_), Kind::Slurm) | (None, _) => {}
        }
        if self.kind == Kind::Slurm {
            return Ok(());
        }
        if self.hold {
            return Err(unknown("hold", ""));
        }
        let named = [("partition", &self.partition), ("account", &self.account)];
        match named.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?))) {
            Some((name, value)) => Err(unknown(name, value)),
            None => Ok(()),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_on(name: &str) -> bool {
    variable(name).is_some_and(|value| value != "0")
}

fn number<T: std::str::FromStr>(name: &'static str) -> Result<Option<T>> {
    let Some(value) = variable(name) else { return Ok(None) };
    let why = "is no whole number in range".to_owned();
    value.parse().map(Some).map_err(|_| Error::Setting { name, value, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_have_names() {
        for (name, kind) in Kind::NAMES {
            assert_eq!((name.parse::<Kind>().unwrap(), kind.name()), (kind, name));
        }
        assert!("pbs".parse::<Kind>().unwrap_err().to_string().contains("none of"));
        let mut settings = Settings::new(Kind::Slurm, PathBuf::new(), 3);
        assert!(settings.check().is_ok());
        settings.workers = 0;
        assert!(settings.check().unwrap_err().to_string().contains("workers"));
    }

    #[test]
    fn what_an_engine_does_not_have_is_refused() {
        let asks: [fn(&mut Settings); 5] = [
            |settings| settings.hold = true,
            |settings| settings.partition = Some("short".to_owned()),
            |settings| settings.account = Some("me".to_owned()),
            |settings| settings.gres = "gpu:a100:1".parse().ok(),
            |settings| (settings.hold, settings.gres) = (true, "scratch:1".parse().ok()),
        ];
        let refused = |kind| -> Vec<bool> {
            let is_refused = |ask: &fn(&mut Settings)| {
                let mut settings = Settings::new(kind, PathBuf::new(), 1);
                ask(&mut settings);
                settings.check().is_err()
            };
            asks.iter().map(is_refused).collect()
        };
        assert_eq!(refused(Kind::Slurm), [false, false, false, false, true]);
        assert_eq!(refused(Kind::HyperQueue), [true; 5]);
        assert_eq!(refused(Kind::Processes), [true; 5]);
        let mut settings = Settings::new(Kind::HyperQueue, PathBuf::new(), 1);
        settings.gres = "gpu:1".parse().ok();
        assert!(settings.check().is_ok());
    }
}
