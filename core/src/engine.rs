//! [`Engine`]: what runs plans instead of this process's threads, and [`Role`]: which part a process has in such a run.
//!
//! An engine beyond one machine runs the same program in several processes. One drives: it decides, and its results count. The
//! others work: each repeats the program up to the plan that it was started for, carries out its share of that and ends.
//! Invariants: all processes of a run plan with the same budget and threads; what only one may decide is asked of
//! [`Engine::agree`]. Implemented by `blockwise-cluster`; called by [`crate::exec::run`] and by the jobs of the facade.

use crate::context::{Cancellation, Observer};
use crate::error::Result;
use crate::exec::RunReport;
use crate::plan::{Plan, Resources};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Which part a process has in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides, starts the others, and publishes what comes out.
    Driver,
    /// It carries out its share of one plan; nothing that it publishes by itself counts.
    Worker,
}

/// What runs plans instead of this process's threads.
///
/// # Contract
/// * `run` is called for one plan after another, by all processes in the same order, and returns when the sinks hold what the plan
///   writes: [`Sharing`](crate::sink::Sharing) says which of them in which process. In a worker it may end the process.
/// * `agree` gives all processes what the driver said.
pub trait Engine: Debug + Send + Sync {
    /// What people call it: `slurm`.
    fn name(&self) -> &'static str;

    /// The part of this process.
    fn role(&self) -> Role;

    /// About how many batches a stage that reads and writes `stage_bytes` is cut into, in a plan of `plan_bytes`: at least, and at
    /// most, for stages that finer batches cost next to nothing. `None`: the driver carries out the plan by itself.
    fn batches(&self, plan_bytes: u64, stage_bytes: u64) -> Option<RangeInclusive<u64>>;

    /// Runs a plan, made with `resources`.
    ///
    /// # Errors
    /// The first error of a task that is not mended by trying again; or what the engine itself says.
    fn run(
        &self,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> Result<RunReport>;

    /// What the driver's `own` is. `what` is asked in the same order by all processes.
    ///
    /// # Errors
    /// If it cannot be stored or read, or was not asked by the driver.
    fn agree(&self, what: &str, own: &str) -> Result<String>;

    /// Called before an output is published: when it returns, no process of the run writes to it any more.
    ///
    /// # Errors
    /// If that cannot be told.
    fn before_publication(&self) -> Result<()> {
        Ok(())
    }

    /// Called when an output that was agreed on is published.
    fn published(&self) {}

    /// Whether a run that was cancelled is given up for good, so that what it has finished is removed with it.
    fn is_given_up(&self) -> bool {
        true
    }

    /// A folder that all processes see and that is gone after the run: for what a process needs to pretend to write.
    fn folder(&self) -> &Path;

    /// Threads of a worker.
    fn threads(&self) -> usize;

    /// Budget of a worker that is not told by the program, in bytes.
    fn budget_bytes(&self) -> u64;
}

static INSTALLED: OnceLock<Arc<dyn Engine>> = OnceLock::new();

/// Makes `engine` that of all sessions and resources that this process makes from now on by default; `false` if there is
/// one already.
#[must_use]
pub fn install(engine: Arc<dyn Engine>) -> bool {
    INSTALLED.set(engine).is_ok()
}

/// The engine that was installed.
#[must_use]
pub fn installed() -> Option<&'static Arc<dyn Engine>> {
    INSTALLED.get()
}

impl Resources {
    /// Whether this process only works for another that decides.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.role() == Role::Worker)
    }

    /// The same on this process's own threads.
    #[must_use]
    pub fn here(&self) -> Self {
        Self { engine: None, ..self.clone() }
    }
}
