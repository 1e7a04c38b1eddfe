//! A conversion made ready and carried out: every array planned before any is copied, everything published by one
//! rename.
//!
//! Invariants: nothing appears under the destination's name before all of it is whole and durable; a request that
//! cannot be carried out is refused before the first chunk is read, and leaves nothing behind; a run that was
//! interrupted leaves its partial folder, which `resume` takes up. Called by [`crate::convert`].

use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::location::{Location, Opened, StoredParts, array_label};
use crate::spec::Adaptation;
use crate::target::{check_apart_from, format_of};
use crate::watch::Watcher;
use blockwise_core::Cancellation;
use blockwise_core::digest::Digest;
use blockwise_core::exec::{RunReport, run};
use blockwise_core::plan::{CopyOptions, Plan, PlanSummary, Resources, plan_copy};
use blockwise_core::region::element_count;
use blockwise_io::publish::PublishOptions;
use blockwise_io::{ArraySpec, ContainerWriter, ElementType, Format, GroupInfo, NodePath, TextArray};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a conversion writes and what it may use.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The file or folder.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Replace what is there.
    pub overwrite: bool,
    /// Finish what an earlier run left.
    pub resume: bool,
}

impl Destination {
    /// A new file or folder whose format follows its extension; neither overwrites nor resumes.
    ///
    /// # Errors
    /// If the extension is unknown, see [`format_of`](crate::target::format_of).
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let format = format_of(&path, None)?;
        Ok(Self { path, format, overwrite: false, resume: false })
    }
}

/// One array to copy.
pub(crate) struct Order {
    /// Path in the source.
    pub(crate) from: NodePath,
    /// What its copy shall be.
    pub(crate) spec: ArraySpec,
    /// What happens to the elements.
    pub(crate) adaptation: Adaptation,
}

/// An array of a job, ready to be copied.
struct Item {
    spec: ArraySpec,
    label: String,
    content: Content,
}

enum Content {
    Chunks(Box<Plan>),
    Texts(TextArray),
}

/// A job that is ready to run.
pub struct Transfer {
    // Fields drop in this order: plans hold sinks, and those the writer's file.
    items: Vec<Item>,
    work: Option<Work>,
    destination: Destination,
    resources: Resources,
}

/// What a job writes to.
struct Work {
    writer: Box<dyn ContainerWriter>,
    claim: Claim,
}

/// What became of one array.
#[derive(Clone, Debug)]
pub struct ArrayReport {
    /// Its path in the destination.
    pub path: NodePath,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Chunk shape, where the format has chunks.
    pub chunk_shape: Option<Vec<u64>>,
    /// What its elements are.
    pub element_type: ElementType,
    /// Bytes of its elements.
    pub logical_bytes: u64,
    /// What the run did.
    pub run: RunReport,
}

/// What a job did.
#[derive(Clone, Debug)]
pub struct TransferReport {
    /// Where the result is.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The arrays in order.
    pub arrays: Vec<ArrayReport>,
    /// Seconds from the first read to the last rename.
    pub secs: f64,
}

impl TransferReport {
    /// Bytes of all elements.
    #[must_use]
    pub fn logical_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.logical_bytes).fold(0, u64::saturating_add)
    }

    /// Bytes that the chunks took in storage, as far as this run stored them.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.run.stored_bytes).fold(0, u64::saturating_add)
    }

    /// The most bytes of the budget that were in use at once.
    #[must_use]
    pub fn peak_reserved_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.run.peak_reserved_bytes).max().unwrap_or(0)
    }
}

impl Transfer {
    /// Creates groups and arrays in a partial folder beside the destination (or, for a plan only, in the spill
    /// folder) and plans every copy.
    ///
    /// # Errors
    /// If the destination exists or overlaps the source, the format cannot say something, or a copy does not fit
    /// the budget. Nothing is left behind then, except what an earlier run left and this one was to resume.
    pub(crate) fn prepare(
        source: &Opened,
        groups: &[GroupInfo],
        orders: Vec<Order>,
        destination: &Destination,
        plan_only: bool,
        resources: &Resources,
        copy: &CopyOptions,
    ) -> Result<Self> {
        check_apart_from(&source.container.paths(), &destination.path)?;
        let mut options = publish_options(source, groups, &orders, destination, copy);
        let read = StoredParts::of(source, orders.iter().map(|order| &order.from));
        options.inputs = vec![read.state(plan_only, resources)];
        let mut transfer = Self {
            items: Vec::new(),
            work: None,
            destination: destination.clone(),
            resources: resources.clone(),
        };
        let claimed = Claim::begin(&destination.path, destination.format, &options, plan_only, resources)?;
        let Some(claim) = claimed else {
            return Ok(transfer); // an earlier run was stopped after it had published everything
        };
        let filled = blockwise_io::open::create(claim.publication.partial(), destination.format)
            .map_err(Error::from)
            .and_then(|mut writer| {
                let items = fill(&mut *writer, source, groups, orders, destination, resources, copy)?;
                Ok((items, writer))
            });
        match filled {
            Ok((items, writer)) => {
                transfer.items = items;
                transfer.work = Some(Work { writer, claim });
                Ok(transfer)
            }
            Err(error) => {
                claim.give_back();
                Err(error)
            }
        }
    }

    /// The plans of all arrays that stream, in order.
    pub fn plans(&self) -> impl Iterator<Item = &PlanSummary> {
        self.items.iter().filter_map(|item| match &item.content {
            Content::Chunks(plan) => Some(plan.summary()),
            Content::Texts(_) => None,
        })
    }

    /// Copies every array and publishes the result.
    ///
    /// # Errors
    /// The first failure. What is finished stays in the partial folder, for a run that resumes.
    pub fn run(mut self, watcher: &dyn Watcher, cancellation: &Cancellation) -> Result<TransferReport> {
        let started = Instant::now();
        let (items, work) = (std::mem::take(&mut self.items), self.work.take());
        let (path, format) = (self.destination.path.clone(), self.destination.format);
        let mut arrays = Vec::with_capacity(items.len());
        let Some(Work { mut writer, claim }) = work else {
            return Ok(TransferReport { path, format, arrays, secs: started.elapsed().as_secs_f64() });
        };
        if claim.is_plan_only() {
            drop(writer);
            claim.give_back();
            let message = "a job that was only planned cannot run".to_owned();
            return Err(blockwise_core::Error::Internal { message }.into());
        }
        let count = items.len();
        let copied = items.into_iter().enumerate().try_for_each(|(position, item)| {
            arrays.push(run_item(
                &mut *writer,
                position,
                count,
                item,
                &self.resources,
                watcher,
                cancellation,
            )?);
            Ok(())
        });
        let finished = copied.and_then(|()| writer.finish().map_err(Error::from));
        drop(writer);
        match finished {
            Ok(()) => claim.commit()?,
            Err(error) => {
                return Err(match claim.abandon(&error) {
                    Some(partial) => Error::Unfinished { source: Box::new(error), partial },
                    None => error,
                });
            }
        }
        let secs = started.elapsed().as_secs_f64();
        // The largest are what the job was about.
        let mut largest: Vec<&ArrayReport> = arrays.iter().collect();
        largest.sort_by_key(|array| std::cmp::Reverse(array.logical_bytes));
        let stored = largest.into_iter().map(|array| Location::array(&path, array.path.clone()));
        watcher.stored(&stored.collect::<Vec<_>>(), &self.resources);
        Ok(TransferReport { path, format, arrays, secs })
    }
}

impl Drop for Transfer {
    /// A job that never ran leaves nothing behind.
    fn drop(&mut self) {
        self.items.clear();
        if let Some(Work { writer, claim }) = self.work.take() {
            drop(writer);
            claim.give_back();
        }
    }
}

/// An output whose folder does not exist is a refusal, not bad input.
pub(crate) fn refused_output(error: blockwise_io::Error) -> Error {
    match error {
        blockwise_io::Error::NotFound { path, hint } => {
            Error::Refused { path, what: format!("no such folder{hint}") }
        }
        other => other.into(),
    }
}

/// A folder for the metadata of an output that is only planned.
pub(crate) fn plan_folder(within: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("blockwise-plan-").tempdir_in(within);
    folder.map_err(|source| Error::Os {
        path: within.display().to_string(),
        action: "creating a folder",
        source,
    })
}

/// What tells runs apart: equal sources and equal requests make equal keys, and those write the same bytes.
fn publish_options(
    source: &Opened,
    groups: &[GroupInfo],
    orders: &[Order],
    destination: &Destination,
    copy: &CopyOptions,
) -> PublishOptions {
    let mut key = Digest::default();
    key.add(env!("CARGO_PKG_VERSION"));
    key.add(&source.fingerprint());
    key.add(&destination.format);
    key.add(copy);
    key.add(&groups);
    for Order { from, spec, adaptation } in orders {
        key.add(&(from, spec, adaptation));
    }
    PublishOptions {
        overwrite: destination.overwrite,
        resume: destination.resume,
        plan_key: key.to_string(),
        ..PublishOptions::default()
    }
}

/// Creates groups and arrays and plans their copies.
fn fill(
    writer: &mut dyn ContainerWriter,
    source: &Opened,
    groups: &[GroupInfo],
    orders: Vec<Order>,
    destination: &Destination,
    resources: &Resources,
    copy: &CopyOptions,
) -> Result<Vec<Item>> {
    for group in groups {
        writer.create_group(group)?;
    }
    let mut items = Vec::with_capacity(orders.len());
    // Texts are held whole until they are written; together they may take a quarter of the budget.
    let mut text_bytes = resources.budget_bytes / 4;
    for Order { from, spec, adaptation } in orders {
        let label = source.label(&from);
        let stored = source.array(&from)?;
        let content = if spec.element_type == ElementType::Text {
            let texts = stored.read_texts(text_bytes)?;
            let held: usize = texts.texts.iter().map(|text| text.len() + size_of::<String>()).sum();
            text_bytes = text_bytes.saturating_sub(held as u64);
            Content::Texts(texts)
        } else {
            let chunks = adaptation.of(stored.source()?).map_err(|error| error.in_array(&label))?;
            let sink = writer.create_array(&spec)?;
            let plan = plan_copy(chunks, sink, resources, copy);
            Content::Chunks(Box::new(plan.map_err(|error| Error::from(error).in_array(&label))?))
        };
        let label = array_label(&destination.path.display().to_string(), &spec.path);
        items.push(Item { spec, label, content });
    }
    Ok(items)
}

fn run_item(
    writer: &mut dyn ContainerWriter,
    position: usize,
    count: usize,
    item: Item,
    resources: &Resources,
    watcher: &dyn Watcher,
    cancellation: &Cancellation,
) -> Result<ArrayReport> {
    let Item { spec, label, content } = item;
    if cancellation.is_cancelled() {
        return Err(blockwise_core::Error::Cancelled.into());
    }
    let run = match content {
        Content::Chunks(plan) => {
            watcher.array_started(position, count, &label, &plan);
            run(&plan, resources, watcher, cancellation)?
        }
        Content::Texts(texts) => {
            writer.create_texts(&spec, &texts)?;
            RunReport::default()
        }
    };
    let streamed_bytes = match &spec.element_type {
        ElementType::FixedBytes { len_bytes } => *len_bytes,
        other => other.stream_dtype().map_or(0, |dtype| dtype.size() as u64),
    };
    let logical_bytes = element_count(&spec.shape).and_then(|count| count.checked_mul(streamed_bytes));
    Ok(ArrayReport {
        path: spec.path,
        shape: spec.shape,
        chunk_shape: spec.chunk_shape,
        element_type: spec.element_type,
        logical_bytes: logical_bytes.unwrap_or(u64::MAX),
        run,
    })
}
