//! [`Launcher`]: how workers are started, looked after and stopped.
//!
//! Invariant: a launcher is asked, never trusted: what it says of a worker only decides when to start another one. Implemented by
//! [`crate::processes`], [`crate::slurm`], [`crate::held`] and [`crate::hq`]; called by [`crate::driver`].

use crate::error::Result;
use crate::folder::Folder;
use crate::settings::{Kind, Settings};
use std::collections::HashSet;
use std::fmt::Debug;
use std::process::{Command, Stdio};

/// An order's number and one of its shares.
pub(crate) type Place = (u64, usize);

/// How workers are started.
pub(crate) trait Launcher: Debug + Send {
    /// Starts a worker for each of the `shares` of an order that lies in the run's folder; whether it does: `false` if it cannot now, but may
    /// later.
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool>;

    /// The workers that wait or run; `None`: that cannot be told now.
    fn alive(&mut self) -> Result<Option<HashSet<Place>>>;

    /// Says that workers at these places ended without having done all that they had. Where they failed, as on a node whose disk is full,
    /// others need not be sent.
    fn suspect(&mut self, lost: &HashSet<Place>) {
        let _ = lost;
    }

    /// Stops all workers of the run, and waits a moment for them.
    fn stop(&mut self);

    /// What is known of workers that have ended without a word, for an error.
    fn detail(&self) -> String;
}

/// The launcher that the settings ask for.
pub(crate) fn launcher(settings: &Settings, folder: &Folder, id: &str) -> Result<Box<dyn Launcher>> {
    Ok(match settings.kind {
        Kind::Slurm if settings.hold => Box::new(crate::held::Held::new(settings, folder, id)?),
        Kind::Slurm => Box::new(crate::slurm::Slurm::new(settings, folder, id)?),
        Kind::HyperQueue => Box::new(crate::hq::HyperQueue::new(settings, folder, id)?),
        Kind::Threads | Kind::Processes => Box::new(crate::processes::Processes::new(folder)?),
    })
}

/// A command of Slurm. A driver that is itself in a job does not pass its own job on: what `srun` and `sbatch` find of it (its array's
/// index, its cores, its memory) would count as asked for.
pub(crate) fn slurm(program: &str) -> Command {
    let mut command = Command::new(program);
    if std::env::var_os("SLURM_JOB_ID").is_some() {
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_str().is_some_and(is_of_job)) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether Slurm has set this variable for a job; the others say where Slurm is and what its user wants of all jobs.
fn is_of_job(name: &str) -> bool {
    let is_binding = ["_CPU_BIND", "_MEM_BIND"].iter().any(|part| name.contains(part));
    (name.starts_with("SLURM_") && !["SLURM_CONF", "SLURM_CLUSTERS"].contains(&name))
        || (name.starts_with("SBATCH_") && is_binding)
}

/// What a command printed, or why it failed.
pub(crate) fn output_of(command: &mut Command) -> std::result::Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::is_of_job;

    #[test]
    fn variables_of_a_job_are_told_from_settings() {
        let of_job = ["SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "SLURM_MEM_PER_CPU", "SBATCH_CPU_BIND_TYPE"];
        assert!(of_job.into_iter().all(is_of_job));
        assert!(!["SLURM_CONF", "SBATCH_ACCOUNT", "SLURMD_DEBUG", "PATH"].into_iter().any(is_of_job));
    }
}
