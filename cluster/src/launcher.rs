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
    /// Starts a worker for each of the `shares` of an order that lies in the run's folder.
    fn submit(&mut self, order: u64, shares: usize) -> Result<()>;

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

/// What a command printed, or why it failed.
pub(crate) fn output_of(command: &mut Command) -> std::result::Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
