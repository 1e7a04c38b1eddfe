//! Results of an expression in new files: which container takes which, with which coordinates, and the one run.
//!
//! Invariants: results that name one file stand in it side by side; a file appears whole or not at all, each by one
//! rename after all results were computed; a dimension means one length and one set of coordinates in a file. Called
//! by the command line's `eval` and `reduce`.

use super::input::{Input, is_name};
use super::{EvalResult, Evaluation};
use crate::chunks::contiguous_chunks;
use crate::computed::{declare, info_of};
use crate::error::{Error, Result};
use crate::expression::Coordinate;
use crate::fingerprint::Fingerprint;
use crate::location::array_label;
use crate::spec::{ArrayOptions, spec_of};
use crate::target::check_apart;
use crate::transfer::{Destination, give_back, plan_folder, refused_output};
use crate::watch::Watcher;
use blockwise_core::adapt::cast_scalar;
use blockwise_core::exec::{RunReport, run};
use blockwise_core::plan::{Plan, PlanSummary, Resources};
use blockwise_core::region::byte_count;
use blockwise_core::{Array, Cancellation, Scalar, Session, Sink};
use blockwise_io::publish::{Publication, PublishOptions};
use blockwise_io::{
    ArrayInfo, ArraySpec, AttributeValue, ContainerWriter, ElementType, Format, GroupInfo, NodePath,
    TextArray,
};
use blockwise_kernels::DType;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// `NAME=DST` or `DST`: where results go.
#[derive(Clone, Debug)]
pub struct OutputRequest {
    /// The result that is meant; `None` for all.
    pub name: Option<String>,
    /// Where it goes.
    pub destination: Destination,
}

impl OutputRequest {
    /// Splits `NAME=DST` into its parts; a text without a name before the first `=` is a path.
    #[must_use]
    pub fn split(text: &str) -> (Option<&str>, &str) {
        match text.split_once('=') {
            Some((name, path)) if is_name(name) => (Some(name), path),
            _ => (None, text),
        }
    }
}

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
    publication: Publication,
    nowhere: Option<tempfile::TempDir>,
}

/// Results ready to be computed and stored.
pub struct Storing {
    // Fields drop in this order: plans hold sinks, and those the writers' files.
    plan: Option<Plan>,
    coordinates: Vec<(String, Plan)>,
    works: Vec<Work>,
    results: Vec<StoredResult>,
    resources: Resources,
}

/// The results that go into one file.
struct Place<'a> {
    destination: &'a Destination,
    results: Vec<(String, &'a EvalResult)>,
}

impl Evaluation {
    /// Creates the outputs in partial folders (or, for a plan only, in the spill folder) and plans the run.
    ///
    /// # Errors
    /// If an output exists or overlaps an input, its format cannot say something, results do not fit beside each
    /// other, or the budget is too small. Nothing is left behind then.
    pub fn store(&self, requests: &[OutputRequest], resources: &Resources) -> Result<Storing> {
        let places = self.places(requests)?;
        let mut storing = Storing {
            plan: None,
            coordinates: Vec::new(),
            works: Vec::new(),
            results: Vec::new(),
            resources: resources.clone(),
        };
        let mut targets = Vec::new();
        for place in &places {
            self.create(place, &mut storing, &mut targets)?;
        }
        if !targets.is_empty() {
            storing.plan = Some(self.session(resources).plan(&targets)?);
        }
        Ok(storing)
    }

    /// Which results go where, under which names.
    fn places<'a>(&'a self, requests: &'a [OutputRequest]) -> Result<Vec<Place<'a>>> {
        let mut places: Vec<Place<'a>> = Vec::new();
        for OutputRequest { name, destination } in requests {
            let path = || destination.path.display().to_string();
            for input in &self.inputs {
                check_apart(Path::new(input.opened.container.label()), &destination.path)?;
            }
            let meant: Vec<&EvalResult> = match name {
                Some(wanted) => {
                    let found = self.results.iter().find(|result| result.name.as_ref() == Some(wanted));
                    let names: Vec<&str> =
                        self.results.iter().filter_map(|result| result.name.as_deref()).collect();
                    let what = format!(
                        "no result is called '{wanted}'; {}",
                        if names.is_empty() {
                            format!("write '{wanted} = …' in the expression")
                        } else {
                            format!("there are {}", names.join(", "))
                        }
                    );
                    vec![found.ok_or_else(|| Error::Usage { path: path(), what })?]
                }
                None => self.results.iter().collect(),
            };
            let at = places.iter().position(|place| place.destination.path == destination.path);
            let at = at.unwrap_or_else(|| {
                places.push(Place { destination, results: Vec::new() });
                places.len() - 1
            });
            let Some(place) = places.get_mut(at) else { continue };
            for result in meant {
                let name = result.name.clone().unwrap_or_else(|| self.name_of_quantity());
                if place.results.iter().any(|(other, _)| *other == name) {
                    let what = format!("the result '{name}' is to be stored there twice");
                    return Err(Error::Usage { path: path(), what });
                }
                place.results.push((name, result));
            }
        }
        Ok(places)
    }

    /// What a result without a name is called: as the only array that it is made of.
    fn name_of_quantity(&self) -> String {
        match self.inputs.as_slice() {
            [only] => only.info.path.name().unwrap_or(&only.name).to_owned(),
            _ => "result".to_owned(),
        }
    }

    /// Whether the inputs stand alone in their containers, so that a result does too.
    fn stands_alone(&self, place: &Place<'_>) -> bool {
        let inputs_do = self.inputs.iter().all(|input| input.info.path.is_root());
        match place.destination.format {
            Format::Npy | Format::Raw => true,
            Format::Zarr2 | Format::Zarr3 => inputs_do && place.results.len() == 1,
            _ => false,
        }
    }

    /// Creates one container with its groups, coordinates and arrays.
    fn create(
        &self,
        place: &Place<'_>,
        storing: &mut Storing,
        targets: &mut Vec<(Array, Arc<dyn Sink>)>,
    ) -> Result<()> {
        let destination = place.destination;
        let alone = self.stands_alone(place);
        if alone && place.results.len() > 1 {
            let what = format!(
                "{} holds one array; give each result a file of its own with -o NAME=FILE",
                destination.format
            );
            return Err(Error::Usage { path: destination.path.display().to_string(), what });
        }
        let group = self.group(place)?;
        let mut arrays = Vec::new();
        for (name, result) in &place.results {
            let path = if alone { NodePath::root() } else { NodePath::root().child(name)? };
            let spec = self.spec(path, result, &group, destination.format, &storing.resources)?;
            arrays.push((spec, result.value.array.clone()));
        }
        let mut coordinates = Vec::new();
        if !alone {
            for (spec, coordinate) in self.coordinates(place, &group, &storing.resources)? {
                if arrays.iter().any(|(other, _)| other.path == spec.path) {
                    let what = format!(
                        "the result '{}' is called as a dimension; write another name = …",
                        spec.path
                    );
                    return Err(Error::Usage { path: destination.path.display().to_string(), what });
                }
                coordinates.push((spec, coordinate));
            }
        }
        let options = self.publish_options(place, &arrays, &coordinates);
        let nowhere = if self.options.plan_only { Some(plan_folder(&storing.resources)?) } else { None };
        let at = match &nowhere {
            Some(folder) => folder.path().join(destination.path.file_name().unwrap_or_default()),
            None => destination.path.clone(),
        };
        let Some(publication) = Publication::begin(&at, &options).map_err(refused_output)? else {
            return Ok(()); // an earlier run was stopped after it had published everything
        };
        let mut writer = match blockwise_io::open::create(publication.partial(), destination.format) {
            Ok(writer) => writer,
            Err(error) => {
                give_back(publication);
                return Err(error.into());
            }
        };
        let label = destination.path.display().to_string();
        let filled = (|| {
            if !alone {
                writer.create_group(&group)?;
            }
            for (spec, coordinate) in coordinates {
                if let Some(texts) = &coordinate.texts {
                    let texts = TextArray { shape: spec.shape.clone(), texts: texts.to_vec() };
                    writer.create_texts(&spec, &texts)?;
                    continue;
                }
                let sink = writer.create_array(&spec)?;
                // Each is a small plan of its own, so that the results' plan can be resumed.
                let plan = Session::new(storing.resources.clone()).plan(&[(coordinate.array, sink)])?;
                storing.coordinates.push((array_label(&label, &spec.path), plan));
            }
            for (spec, array) in arrays {
                let sink = writer.create_array(&spec)?;
                storing.results.push(stored(&destination.path, &spec, &array));
                targets.push((array, sink));
            }
            Ok(())
        })();
        // Whatever happened, the writer belongs to the job now, which gives the folder back when it drops.
        storing.works.push(Work { writer, publication, nowhere });
        filled
    }

    /// The root group: the dimensions of all results.
    fn group(&self, place: &Place<'_>) -> Result<GroupInfo> {
        let mut group =
            GroupInfo { path: NodePath::root(), attributes: Default::default(), dimensions: Vec::new() };
        for (result, EvalResult { value, .. }) in &place.results {
            let grows = |name: &str, length| self.inputs.iter().any(|input| grows(input, name, length));
            declare(&mut group, result, value.array.names(), &value.array.shape(), grows)
                .map_err(|what| Error::Usage { path: place.destination.path.display().to_string(), what })?;
        }
        let conventions = self.inputs.iter().flat_map(|input| &input.opened.groups);
        let conventions = conventions.filter(|group| group.path.is_root());
        if let Some(text) = conventions.filter_map(|group| group.attributes.get("Conventions")).next() {
            group.attributes.set("Conventions", text.clone());
        }
        Ok(group)
    }

    /// The coordinates that the results of a file share.
    fn coordinates(
        &self,
        place: &Place<'_>,
        group: &GroupInfo,
        resources: &Resources,
    ) -> Result<Vec<(ArraySpec, Coordinate)>> {
        let mut found: Vec<(&Coordinate, ArraySpec)> = Vec::new();
        let all = place.results.iter().flat_map(|(_, result)| &result.value.coordinates);
        for coordinate in all {
            if let Some((known, _)) = found.iter().find(|(known, _)| known.dimension == coordinate.dimension)
            {
                if !known.is_same(coordinate) {
                    let what = format!(
                        "results have different coordinates along '{}'; store them in two files",
                        coordinate.dimension
                    );
                    return Err(Error::Usage { path: place.destination.path.display().to_string(), what });
                }
                continue;
            }
            if coordinate.is_made {
                found.push((coordinate, made_spec(coordinate, place.destination.format, resources)?));
                continue;
            }
            let stored = self.inputs.iter().flat_map(|input| &input.coordinates);
            let Some((_, info)) = stored.into_iter().find(|(origin, _)| *origin == coordinate.origin) else {
                continue;
            };
            let mut info = info.clone();
            info.path = NodePath::root().child(&coordinate.dimension)?;
            info.is_coordinate = true;
            info.shape = coordinate.array.shape();
            info.unlimited = vec![is_unlimited(group, &coordinate.dimension)];
            for name in ["bounds", "climatology"] {
                info.attributes.remove(name);
            }
            if !coordinate.is_whole() {
                info.chunk_shape = None;
                info.shard_shape = None;
                info.attributes.remove("actual_range");
            }
            let options =
                ArrayOptions { codec: self.options.arrays.codec.clone(), ..ArrayOptions::default() };
            let (spec, _) = spec_of(&info, place.destination.format, &options, resources.budget_bytes)?;
            found.push((coordinate, spec));
        }
        Ok(found.into_iter().map(|(coordinate, spec)| (spec, coordinate.clone())).collect())
    }

    /// What the stored array of a result shall be.
    fn spec(
        &self,
        path: NodePath,
        result: &EvalResult,
        group: &GroupInfo,
        format: Format,
        resources: &Resources,
    ) -> Result<ArraySpec> {
        let array = &result.value.array;
        let first = self.inputs.first();
        let info = info_of(path, array, first.map_or(format, |input| input.info.format));
        let mut attributes = result.value.attributes.as_deref().cloned().unwrap_or_default();
        let mut fill_value = None;
        let dtype = array.dtype();
        if self.inputs.iter().any(|input| input.has_missing) && dtype.kind() == 'f' && format != Format::Npy {
            let nan = cast_scalar(&Scalar::from(f64::NAN), dtype)?;
            attributes.set("_FillValue", AttributeValue::Number(nan));
            fill_value = Some(nan);
        }
        let is_cut = self.inputs.iter().any(|input| input.info.chunk_shape.is_some());
        let unlimited = |name: &Option<String>| name.as_ref().is_some_and(|name| is_unlimited(group, name));
        let info = ArrayInfo {
            unlimited: info.dimension_names.iter().map(unlimited).collect(),
            chunk_shape: if is_cut {
                info.chunk_shape
            } else {
                Some(contiguous_chunks(&info.shape, dtype.size() as u64))
            },
            // What was stored without chunks had no choice of codec.
            codec: first
                .filter(|input| input.info.chunk_shape.is_some())
                .and_then(|input| input.info.codec.clone()),
            fill_value,
            attributes,
            ..info
        };
        let (spec, _) = spec_of(&info, format, &self.options.arrays, resources.budget_bytes)?;
        Ok(spec)
    }

    /// What tells runs apart: equal expressions, inputs and outputs make equal keys.
    fn publish_options(
        &self,
        place: &Place<'_>,
        arrays: &[(ArraySpec, Array)],
        coordinates: &[(ArraySpec, Coordinate)],
    ) -> PublishOptions {
        let inputs: Vec<String> = self.inputs.iter().map(|input| input.opened.fingerprint()).collect();
        let mut key = Fingerprint::default();
        key.add(env!("CARGO_PKG_VERSION"));
        key.add(&self.text);
        key.add(&(self.options.raw, self.options.reproducible));
        key.add(&inputs);
        for input in &self.inputs {
            key.add(&(&input.name, &input.info.path));
        }
        for spec in arrays.iter().map(|(spec, _)| spec).chain(coordinates.iter().map(|(spec, _)| spec)) {
            key.add(spec);
        }
        PublishOptions {
            overwrite: place.destination.overwrite,
            resume: place.destination.resume,
            plan_key: key.to_string(),
            inputs,
            ..PublishOptions::default()
        }
    }
}

impl Storing {
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
        let (plan, coordinates) = (self.plan.take(), std::mem::take(&mut self.coordinates));
        if self.works.iter().any(|work| work.nowhere.is_some()) {
            let message = "a job that was only planned cannot run".to_owned();
            return Err(blockwise_core::Error::Internal { message }.into());
        }
        let count = coordinates.len() + usize::from(plan.is_some());
        let outcome = (|| {
            let mut report = RunReport::default();
            for (position, (label, plan)) in coordinates.iter().enumerate() {
                watcher.array_started(position, count, label, plan.summary());
                run(plan, &self.resources, watcher, cancellation)?;
            }
            if let Some(plan) = &plan {
                watcher.array_started(coordinates.len(), count, &plan.summary().label, plan.summary());
                report = run(plan, &self.resources, watcher, cancellation)?;
            }
            for work in &mut self.works {
                work.writer.finish()?;
            }
            Ok(report)
        })();
        // Sinks hold the writers' files.
        drop((plan, coordinates));
        let mut failure = None;
        let outcome: Result<RunReport> = outcome;
        let report = outcome.map_err(|error| failure = Some(error)).unwrap_or_default();
        for Work { writer, publication, .. } in std::mem::take(&mut self.works) {
            drop(writer);
            match failure.take() {
                None => publication.commit()?,
                Some(error) => {
                    failure = Some(match (publication.abandon(), error) {
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
                let results = std::mem::take(&mut self.results);
                Ok(StoringReport { results, run: report, secs: started.elapsed().as_secs_f64() })
            }
        }
    }
}

impl Drop for Storing {
    /// A job that never ran leaves nothing behind.
    fn drop(&mut self) {
        self.plan = None;
        self.coordinates.clear();
        for Work { writer, publication, .. } in self.works.drain(..) {
            drop(writer);
            give_back(publication);
        }
    }
}

/// What the stored array of coordinates shall be that no file has.
fn made_spec(coordinate: &Coordinate, format: Format, resources: &Resources) -> Result<ArraySpec> {
    let info = info_of(NodePath::root().child(&coordinate.dimension)?, &coordinate.array, format);
    let mut info = ArrayInfo { attributes: coordinate.attributes.clone(), chunk_shape: None, ..info };
    if coordinate.texts.is_some() {
        info.element_type = ElementType::Text;
    } else if let Some(unit) = &coordinate.numpy_unit {
        info.element_type = ElementType::DateTime { unit: unit.clone(), difference: false };
    }
    Ok(spec_of(&info, format, &ArrayOptions::default(), resources.budget_bytes)?.0)
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

fn is_unlimited(group: &GroupInfo, dimension: &str) -> bool {
    group.dimensions.iter().any(|(name, _, unlimited)| name == dimension && *unlimited)
}

/// Whether a dimension of an input may grow, and has the length that it has in a result.
fn grows(input: &Input, dimension: &str, length: u64) -> bool {
    let info = &input.info;
    let axes = info.dimension_names.iter().zip(&info.shape).zip(&info.unlimited);
    axes.into_iter()
        .any(|((name, own), unlimited)| name.as_deref() == Some(dimension) && *own == length && *unlimited)
}
