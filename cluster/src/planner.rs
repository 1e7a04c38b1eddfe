//! [`Planner`]: the engine of a process that only shows what a run would be.
//!
//! Invariant: plans made with it are those of a run with the same settings, and nothing is submitted. Called by [`crate::plan_only`].

use crate::pace::Pace;
use crate::settings::Settings;
use blockwise_core::engine::{Engine, Role};
use blockwise_core::exec::{RunReport, run_here};
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::{Cancellation, Observer};
use std::ops::RangeInclusive;
use std::path::Path;

/// Plans, and starts nobody.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) settings: Settings,
}

impl Engine for Planner {
    fn name(&self) -> &'static str {
        self.settings.kind.name()
    }

    fn role(&self) -> Role {
        Role::Driver
    }

    fn batches(&self, plan_bytes: u64, stage_bytes: u64) -> Option<RangeInclusive<u64>> {
        Pace::default().batches(&self.settings, plan_bytes, stage_bytes)
    }

    /// What must be known before the plan can be made, is computed here.
    fn run(
        &self,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<RunReport> {
        run_here(plan, resources, observer, cancellation)
    }

    fn agree(&self, _what: &str, own: &str) -> blockwise_core::Result<String> {
        Ok(own.to_owned())
    }

    fn folder(&self) -> &Path {
        &self.settings.work_folder
    }

    fn threads(&self) -> usize {
        self.settings.threads
    }

    fn budget_bytes(&self) -> u64 {
        self.settings.budget_bytes
    }
}
