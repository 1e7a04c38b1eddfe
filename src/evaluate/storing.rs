//! Computed arrays on their way into files: outputs claimed, one plan for all of them, one rename each.
//!
//! Invariants: a file appears whole or not at all, after everything was computed; a job that never runs leaves nothing behind; one
//! that fails leaves what is finished in its partial folders, for a run that resumes. Made by [`super::Evaluation::store`] and by
//! [`crate::pyramid`].

use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::transfer::Destination;
use crate::watch::Watcher;
use blockwise_core::exec::{RunReport, run};
use blockwise_core::plan::{Plan, PlanSummary, Resources};
use blockwise_core::region::byte_count;
use blockwise_core::{Array, Cancellation, Session, Sink};
use blockwise_io::publish::PublishOptions;
use blockwise_io::{ArraySpec, ContainerWriter, NodePath};
use blockwise_kernels::DType;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A result that was stored.
#[derive(Clone, Debug)]
pub struct StoredResult {
    /// The file.
    pub path: PathBuf,
    /// The array in it.
    pub node: NodePath,
    /// Its dtype.
    pub dtype: DType,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Chunk shape, where the format has chunks.
    pub chunk_shape: Option<Vec<u64>>,
    /// Bytes of its elements.
    pub logical_bytes: u64,
}

/// What a job did.
#[derive(Clone, Debug)]
pub struct StoringReport {
    /// The results in order.
    pub results: Vec<StoredResult>,
    /// What the run did.
    pub run: RunReport,
    /// Seconds from the first read to the last rename.
    pub secs: f64,
}

/// A container in the making.
struct Work {
    writer: Box<dyn ContainerWriter>,
    claim: Claim,
}

/// Results ready to be computed and stored.
pub struct Storing {
    // Fields drop in this order: plans hold sinks, and those the writers' files.
    plan: Option<Plan>,
    /// Plans that run first, with what they are called.
    first: Vec<(String, Plan)>,
    works: Vec<Work>,
    results: Vec<StoredResult>,
    resources: Resources,
}

/// Where the arrays of one output come to stand.
pub(crate) struct Filling<'a> {
    /// Its writer.
    pub(crate) writer: &'a mut dyn ContainerWriter,
    path: &'a Path,
    first: &'a mut Vec<(String, Plan)>,
    results: &'a mut Vec<StoredResult>,
}

impl Filling<'_> {
    /// Has a small plan run before that of the results, so that theirs can be resumed.
    pub(crate) fn run_first(&mut self, label: String, plan: Plan) {
        self.first.push((label, plan));
    }

    /// Creates the array that a result goes to.
    ///
    /// # Errors
    /// If the format cannot say it.
    pub(crate) fn create(&mut self, spec: &ArraySpec, array: &Array) -> Result<Arc<dyn Sink>> {
        let sink = self.writer.create_array(spec)?;
        self.results.push(stored(self.path, spec, array));
        Ok(sink)
    }
}

impl Storing {
    /// Nothing yet.
    pub(crate) fn new(resources: &Resources) -> Self {
        let resources = resources.clone();
        Self { plan: None, first: Vec::new(), works: Vec::new(), results: Vec::new(), resources }
    }

    /// Claims an output, or a temporary folder in its place if only the plan is wanted, and has it filled; nothing is filled if
    /// an earlier run had published everything.
    ///
    /// # Errors
    /// If it exists and may not be replaced, or cannot be made.
    pub(crate) fn claim(
        &mut self,
        destination: &Destination,
        options: &PublishOptions,
        plan_only: bool,
        fill: impl FnOnce(&mut Filling<'_>) -> Result<()>,
    ) -> Result<()> {
        let path = &destination.path;
        let claimed = Claim::begin(path, destination.format, options, plan_only, &self.resources)?;
        let Some(claim) = claimed else {
            return Ok(()); // an earlier run was stopped after it had published everything
        };
        let mut writer = match blockwise_io::open::create(claim.publication.partial(), destination.format) {
            Ok(writer) => writer,
            Err(error) => {
                claim.give_back();
                return Err(error.into());
            }
        };
        let (first, results) = (&mut self.first, &mut self.results);
        let filled = fill(&mut Filling { writer: &mut *writer, path, first, results });
        // Whatever happened, the writer belongs to the job now, which gives the folder back when it drops.
        self.works.push(Work { writer, claim });
        filled
    }

    /// Plans the results together.
    ///
    /// # Errors
    /// If the budget is too small.
    pub(crate) fn plan_all(&mut self, session: &Session, targets: &[(Array, Arc<dyn Sink>)]) -> Result<()> {
        if !targets.is_empty() {
            self.plan = Some(session.plan(targets)?);
        }
        Ok(())
    }

    /// The plan of the results; `None` if an earlier run had finished them.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanSummary> {
        self.plan.as_ref().map(Plan::summary)
    }

    /// Computes the results and publishes them.
    ///
    /// # Errors
    /// The first failure. What is finished stays in the partial folders, for a run that resumes.
    pub fn run(mut self, watcher: &dyn Watcher, cancellation: &Cancellation) -> Result<StoringReport> {
        let started = Instant::now();
        let (plan, first) = (self.plan.take(), std::mem::take(&mut self.first));
        if self.works.iter().any(|work| work.claim.is_plan_only()) {
            let message = "a job that was only planned cannot run".to_owned();
            return Err(blockwise_core::Error::Internal { message }.into());
        }
        let count = first.len() + usize::from(plan.is_some());
        let outcome = (|| {
            let mut report = RunReport::default();
            for (position, (label, plan)) in first.iter().enumerate() {
                watcher.array_started(position, count, label, plan);
                run(plan, &self.resources, watcher, cancellation)?;
            }
            if let Some(plan) = &plan {
                watcher.array_started(first.len(), count, &plan.summary().label, plan);
                report = run(plan, &self.resources, watcher, cancellation)?;
            }
            for work in &mut self.works {
                work.writer.finish()?;
            }
            Ok(report)
        })();
        // Sinks hold the writers' files.
        drop((plan, first));
        let mut failure = None;
        let outcome: Result<RunReport> = outcome;
        let report = outcome.map_err(|error| failure = Some(error)).unwrap_or_default();
        for Work { writer, claim } in std::mem::take(&mut self.works) {
            drop(writer);
            match failure.take() {
                None => claim.commit()?,
                Some(error) => {
                    failure = Some(match (claim.abandon(&error), error) {
                        (Some(partial), error @ Error::Unfinished { .. }) => {
                            tracing::info!("{} is left too", partial.display());
                            error
                        }
                        (Some(partial), error) => Error::Unfinished { source: Box::new(error), partial },
                        (None, error) => error,
                    });
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => {
                let (results, secs) = (std::mem::take(&mut self.results), started.elapsed().as_secs_f64());
                let stored = results.iter().map(|own| Location::array(&own.path, own.node.clone()));
                watcher.stored(&stored.collect::<Vec<_>>(), &self.resources);
                Ok(StoringReport { results, run: report, secs })
            }
        }
    }
}

impl Drop for Storing {
    /// A job that never ran leaves nothing behind.
    fn drop(&mut self) {
        self.plan = None;
        self.first.clear();
        for Work { writer, claim } in self.works.drain(..) {
            drop(writer);
            claim.give_back();
        }
    }
}

fn stored(path: &Path, spec: &ArraySpec, array: &Array) -> StoredResult {
    StoredResult {
        path: path.to_path_buf(),
        node: spec.path.clone(),
        dtype: array.dtype(),
        shape: array.shape(),
        chunk_shape: spec.chunk_shape.clone(),
        logical_bytes: byte_count(&array.shape(), array.dtype().size()).unwrap_or(u64::MAX),
    }
}
