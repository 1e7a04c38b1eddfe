//! [`Claim`]: an output that is claimed, by the process that publishes it, by one that works for it, or only in order to plan.
//!
//! Invariants: workers write into the partial folder that their driver claimed, if the format lets several processes do so, and
//! else into a folder that nobody reads; they publish nothing; a driver and its workers agree on what the output is. Called by
//! [`crate::transfer`], [`crate::evaluate`] and [`crate::store`].

use crate::error::{Error, Result};
use crate::transfer::{plan_folder, refused_output};
use blockwise_core::engine::{Engine, Role};
use blockwise_core::plan::Resources;
use blockwise_core::{Error as CoreError, Fault};
use blockwise_io::Format;
use blockwise_io::publish::{Publication, PublishOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the driver says of an output that was published already.
const PUBLISHED: &str = "published";
/// What it says of an output that it writes alone.
const ALONE: &str = "alone";

/// A claimed output.
pub(crate) struct Claim {
    pub(crate) publication: Publication,
    /// The folder that stands for the destination's, removed when this drops.
    nowhere: Option<tempfile::TempDir>,
    is_worker: bool,
    /// Of the driver, which knows whether workers still write.
    engine: Option<Arc<dyn Engine>>,
}

impl Claim {
    /// Claims `path`, or a temporary folder in its place if only the plan is wanted. `None`: an earlier run had published everything.
    ///
    /// # Errors
    /// If it exists and may not be replaced, or cannot be made; if a worker means another output than its driver.
    pub(crate) fn begin(
        path: &Path,
        format: Format,
        options: &PublishOptions,
        plan_only: bool,
        resources: &Resources,
    ) -> Result<Option<Self>> {
        let is_worker = resources.is_worker();
        let begin =
            |path: &Path, options: &PublishOptions| Publication::begin(path, options).map_err(refused_output);
        let in_place_of = |folder: tempfile::TempDir| {
            // A plan speaks of the destination, which nothing is written to yet.
            let label = plan_only.then(|| path.display().to_string());
            let alone = PublishOptions { resume: false, label, ..options.clone() };
            let publication = begin(&folder.path().join(path.file_name().unwrap_or_default()), &alone)?;
            Ok(publication.map(|publication| Self {
                publication,
                nowhere: Some(folder),
                is_worker,
                engine: None,
            }))
        };
        let engine = match &resources.engine {
            _ if plan_only => return in_place_of(plan_folder(&resources.spill_folder)?),
            None => {
                let publication = begin(path, options)?;
                return Ok(publication.map(|publication| Self {
                    publication,
                    nowhere: None,
                    is_worker,
                    engine: None,
                }));
            }
            Some(engine) => engine,
        };
        let is_shared = matches!(format, Format::Zarr2 | Format::Zarr3);
        if engine.role() == Role::Driver {
            let options = PublishOptions { is_shared, ..options.clone() };
            let publication = begin(path, &options)?;
            // Workers leave what goes to one file in the run's folder: where the file grows is nothing to them, nor to what they have done.
            let folder = match &publication {
                None => Path::new(PUBLISHED),
                Some(publication) if is_shared => publication.folder(),
                Some(_) => Path::new(ALONE),
            };
            engine.agree("output", &told(&options.plan_key, folder))?;
            let engine = Some(Arc::clone(engine));
            let Some(publication) = publication else {
                engine.iter().for_each(|engine| engine.published());
                return Ok(None);
            };
            return Ok(Some(Self { publication, nowhere: None, is_worker, engine }));
        }
        let folder = agreed(&**engine, path, &options.plan_key)?;
        if folder == Path::new(PUBLISHED) {
            return Ok(None);
        }
        if !is_shared {
            return in_place_of(plan_folder(engine.folder())?);
        }
        let publication = Publication::join(path, &folder)?;
        Ok(Some(Self { publication, nowhere: None, is_worker, engine: None }))
    }

    /// Whether what is written would come to nothing: the output is only planned.
    pub(crate) fn is_plan_only(&self) -> bool {
        self.nowhere.is_some() && !self.is_worker
    }

    /// Publishes what was written; nothing in a worker.
    ///
    /// # Errors
    /// As [`Publication::commit`].
    pub(crate) fn commit(self) -> Result<()> {
        if self.is_worker {
            drop(self.publication.abandon());
            return Ok(());
        }
        let Some(engine) = self.engine.clone() else { return Ok(self.publication.commit()?) };
        // Who writes to one file writes alone.
        let is_shared = self.publication.partial().is_shared();
        if let Some(error) = is_shared.then(|| engine.before_publication()).and_then(std::result::Result::err)
        {
            let error = Error::from(error);
            drop(self.abandon(&error));
            return Err(error);
        }
        self.publication.commit()?;
        engine.published();
        Ok(())
    }

    /// Gives up after `error`; where what is finished lies, to be resumed. Nothing is left where a run that goes on would fail as
    /// this one did, and with workers that the user has stopped.
    pub(crate) fn abandon(self, error: &Error) -> Option<PathBuf> {
        let Some(engine) = &self.engine else {
            if error.core().is_some_and(CoreError::is_of_elements) {
                self.publication.discard();
                return None;
            }
            return self.publication.abandon();
        };
        let is_given_up = error.fault() == Fault::Cancelled && engine.is_given_up();
        match (self.publication.partial().is_shared(), is_given_up) {
            (true, true) => {
                self.publication.discard();
                None
            }
            // Also without a chunk, since a run that goes on must find the folder that its workers were told of.
            (true, false) if is_empty(&self.publication) => Some(self.publication.folder().to_owned()),
            _ => self.publication.abandon(),
        }
    }

    /// Gives up what nothing was written to by this run.
    pub(crate) fn give_back(self) {
        give_back(self.publication);
    }
}

/// Whether nothing is in an output yet.
fn is_empty(publication: &Publication) -> bool {
    let payload = publication.destination().file_name().map(|name| publication.folder().join(name));
    payload
        .and_then(|payload| std::fs::read_dir(payload).ok())
        .is_some_and(|mut found| found.next().is_none())
}

/// Gives up a publication that nothing was written to by this run.
pub(crate) fn give_back(publication: Publication) {
    if let Some(partial) = publication.abandon() {
        tracing::info!("{} is left as an earlier run left it", partial.display());
    }
}

fn told(plan_key: &str, folder: &Path) -> String {
    format!("{plan_key} {}", folder.display())
}

/// The folder that the driver claimed for the same output.
fn agreed(engine: &dyn Engine, path: &Path, plan_key: &str) -> Result<PathBuf> {
    let told = engine.agree("output", "")?;
    match told.split_once(' ') {
        Some((known, folder)) if known == plan_key => Ok(PathBuf::from(folder)),
        _ => {
            let message = format!(
                "{}: this worker would write something else than its driver; inputs must not change while a run goes on, and look the same on all nodes",
                path.display()
            );
            Err(CoreError::Usage { message }.into())
        }
    }
}
