//! Runs beyond one machine: the plans of a program carried out by many processes, on the user's own cluster.
//!
//! A run is the same program executed again. The one that was started drives: it cuts each stage of a plan into batches,
//! submits workers, and looks for what they have done. Every worker is the same program with the same arguments: it repeats what
//! the driver did, up to the plan that it was started for, checks that its plan is the same, carries out its batches and ends. So
//! closures need no serialisation. What lies between stages, and who has done what, is in a folder that all of them see.
//!
//! ```text
//!   driver   plan -> batches -> submit -> look for done-markers -> submit what is missing -> next stage ... publish
//!                                  |             ^
//!   workers                   same program, same plan: tasks -> chunks -> done-marker
//! ```
//!
//! Invariants: nothing but a done-marker, written when all chunks of a batch are, proves anything; any batch may run twice, even at
//! once; results have the bits of a run on threads; no daemon, port or protocol of ours: files, and the engine's command line.
//!
//! A library program is made ready by one line, the first of `main` (see [`init`]); `arrayctl` has it built in.

mod driver;
mod error;
mod folder;
mod gres;
mod held;
mod hq;
mod job;
mod launcher;
mod order;
mod pace;
mod planner;
mod processes;
mod runs;
mod settings;
mod slurm;
mod stage;
mod steps;
mod worker;

pub use error::{Error, Result};
pub use gres::Gres;
pub use runs::{RunState, StageState, cancel, list, show};
pub use settings::{Kind, Settings};

use blockwise_core::engine::{Engine, install};
use driver::Driver;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use worker::Worker;

/// Whether a run that is cancelled stays to be resumed.
static LEAVES: AtomicBool = AtomicBool::new(false);

/// Says that a run of this process which is cancelled from now on is to be resumed: its folder stays. Called before the
/// cancellation is, such as when the system asks the program to end.
pub fn leave_when_cancelled() {
    LEAVES.store(true, Ordering::SeqCst);
}

/// The part of this process in a run. Keep it until the program ends: when it drops, the run's jobs are cancelled, and its folder is
/// removed if every plan was carried out and every output that was begun is published, or if the run was cancelled
/// ([`leave_when_cancelled`]). Otherwise it stays to be resumed.
#[derive(Debug)]
#[must_use = "the run ends when this drops"]
pub struct Run {
    driver: Option<Arc<Driver>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.end();
        }
    }
}

/// Makes a program ready to run on many machines, as the environment says; first line of `main`:
///
/// ```
/// let _run = blockwise_cluster::init()?;
/// # Ok::<(), blockwise_cluster::Error>(())
/// ```
///
/// Without `BLOCKWISE_ENGINE` nothing changes. With `BLOCKWISE_ENGINE=slurm BLOCKWISE_WORK_DIR=/shared/me BLOCKWISE_WORKERS=8 ./program` the
/// plans of all sessions are carried out by 8 workers; see [`Settings::from_environment`] for all variables. Workers run the program
/// from its start, so what it does beside its computations should be harmless when repeated, and its runs must follow each
/// other in the same order every time.
///
/// # Errors
/// If a variable makes no sense, or the work folder cannot be used.
pub fn init() -> Result<Run> {
    match Settings::from_environment()? {
        Some(settings) => start(settings),
        None if worker::is_one() => start_worker(),
        None => Ok(Run { driver: None }),
    }
}

/// As [`init`], with these settings instead of those of the environment. In a worker the settings of its driver count.
///
/// # Errors
/// As [`init`].
pub fn start(settings: Settings) -> Result<Run> {
    if worker::is_one() {
        return start_worker();
    }
    if settings.kind == Kind::Threads {
        return Ok(Run { driver: None });
    }
    let driver = Arc::new(Driver::begin(settings)?);
    installed(Arc::clone(&driver) as Arc<dyn Engine>)?;
    Ok(Run { driver: Some(driver) })
}

/// As [`start`], to plan alone: plans are made as for a run with these settings, which starts no worker and makes no folder.
///
/// # Errors
/// If the settings make no sense.
pub fn plan_only(settings: Settings) -> Result<Run> {
    if settings.kind != Kind::Threads {
        settings.check()?;
        let settings = settings.with_batch_bytes_of_environment()?;
        installed(Arc::new(planner::Planner { settings }))?;
    }
    Ok(Run { driver: None })
}

fn start_worker() -> Result<Run> {
    installed(Arc::new(Worker::begin()?))?;
    Ok(Run { driver: None })
}

fn installed(engine: Arc<dyn Engine>) -> Result<()> {
    if install(engine) { Ok(()) } else { Err(Error::Twice) }
}
