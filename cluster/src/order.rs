//! [`Order`]: what one submission of workers is to do, and how a worker finds its share of it.
//!
//! Invariants: an order is written before its workers start and never changes; a worker of share `n` does the batches of that share
//! that are not done yet, one after the other. Called by the driver (who writes orders) and by [`crate::worker`].

use crate::error::{Error, Result};
use blockwise_core::exec::batches::Batch;
use serde::{Deserialize, Serialize};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of the run.
pub(crate) const RUN: &str = "BLOCKWISE_WORKER_RUN";
/// The number of the order.
pub(crate) const ORDER: &str = "BLOCKWISE_WORKER_ORDER";
/// The share of a worker, where no variable of the engine says it.
pub(crate) const SHARE: &str = "BLOCKWISE_WORKER_SHARE";

/// A batch by its number in the stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) id: u64,
    pub(crate) batch: Batch,
}

/// What workers do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Batches of tasks, by share.
    Tasks(Vec<Vec<Numbered>>),
    /// The states that so many batches left are put together; its batch is [`COMBINED`].
    Combine(u64),
}

/// Number of the batch that stands for the states being put together.
pub(crate) const COMBINED: u64 = u64::MAX;

/// One submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Number of the plan in the program.
    pub(crate) plan: u64,
    /// Position of the stage in the plan.
    pub(crate) stage: usize,
    /// Of the plan.
    pub(crate) digest: String,
    /// Threads of a worker.
    pub(crate) threads: usize,
    /// Budget of a worker.
    pub(crate) budget_bytes: u64,
    /// What a plan must read and write for workers to carry it out.
    pub(crate) batch_bytes: u64,
    /// Whether somebody wants to see the steps of workers.
    pub(crate) notes_steps: bool,
    pub(crate) work: Work,
}

impl Order {
    /// How many workers it takes.
    pub(crate) fn shares(&self) -> usize {
        match &self.work {
            Work::Tasks(shares) => shares.len(),
            Work::Combine(_) => 1,
        }
    }

    /// Numbers of the batches of a share.
    pub(crate) fn batches(&self, share: usize) -> Vec<u64> {
        match &self.work {
            Work::Tasks(shares) => shares.get(share).into_iter().flatten().map(|own| own.id).collect(),
            Work::Combine(_) => vec![COMBINED],
        }
    }
}

/// What a worker was started for: the run, the order, the share.
pub(crate) fn of_this_process() -> Option<(PathBuf, u64, usize)> {
    let run = PathBuf::from(env::var_os(RUN)?);
    let order = env::var(ORDER).ok()?.parse().ok()?;
    let share = [SHARE, "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"].iter().find_map(|name| env::var(name).ok());
    Some((run, order, share.and_then(|share| share.parse().ok()).unwrap_or(0)))
}

/// This program and its arguments, the first absolute.
pub(crate) fn command() -> Result<Vec<OsString>> {
    let failed = |source| Error::os(Path::new("."), "finding the program", source);
    let program = env::current_exe().map_err(failed)?.into_os_string();
    Ok(std::iter::once(program).chain(env::args_os().skip(1)).collect())
}
