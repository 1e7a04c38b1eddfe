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
/// The variable of the engine that says the share. Only the launcher knows which: a task of `srun` may have the variables of the array that
/// its driver is an element of.
pub(crate) const SHARE_IN: &str = "BLOCKWISE_WORKER_SHARE_IN";

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

/// Whether this process was started as a worker.
pub(crate) fn is_of_this_process() -> bool {
    env::var_os(RUN).is_some()
}

/// What a worker was started for: the run, the order, the share.
///
/// # Errors
/// If its launcher has not said all of it, or the engine has not.
pub(crate) fn of_this_process() -> Result<(PathBuf, u64, usize)> {
    of_variables(|name| env::var_os(name))
}

fn of_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<(PathBuf, u64, usize)> {
    let number = |name: &'static str, from: &str| -> Result<u64> {
        let text = variable(from).unwrap_or_default().to_string_lossy().into_owned();
        let why = format!("of {from} is no number: workers are started by their driver alone");
        text.parse().map_err(|_| Error::Setting { name, value: text.clone(), why })
    };
    let engines = variable(SHARE_IN).map(|name| name.to_string_lossy().into_owned());
    let share = number(SHARE, engines.as_deref().unwrap_or(SHARE))?;
    let run = PathBuf::from(variable(RUN).unwrap_or_default());
    Ok((run, number(ORDER, ORDER)?, usize::try_from(share).unwrap_or(usize::MAX)))
}

/// This program and its arguments, the first absolute.
pub(crate) fn command() -> Result<Vec<OsString>> {
    let failed = |source| Error::os(Path::new("."), "finding the program", source);
    let program = env::current_exe().map_err(failed)?.into_os_string();
    Ok(std::iter::once(program).chain(env::args_os().skip(1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_says_where_the_share_stands() {
        let of = |pairs: &[(&str, &str)]| {
            let all: Vec<(String, OsString)> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            let found = of_variables(|name| Some(all.iter().find(|(own, _)| own == name)?.1.clone()));
            found.map(|(_, order, share)| (order, share)).map_err(|error| error.to_string())
        };
        // A task of srun, of a driver that is element 7 of an array.
        let mut task = vec![(RUN, "/r"), (ORDER, "3"), (SHARE_IN, "SLURM_PROCID")];
        task.extend([("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_PROCID", "1")]);
        assert_eq!(of(&task), Ok((3, 1)));
        assert_eq!(of(&[(RUN, "/r"), (ORDER, "3"), (SHARE, "2")]), Ok((3, 2)));
        assert!(of(&[(RUN, "/r"), (ORDER, "3"), (SHARE_IN, "SLURM_PROCID")]).unwrap_err().contains("PROCID"));
        assert!(of(&[(RUN, "/r"), (ORDER, "3")]).is_err());
    }
}
