//! Results of an expression in new files: which container takes which, with which coordinates.
//!
//! Invariants: results that name one file stand in it side by side; a dimension means one length and one set of coordinates in a
//! file. Called
//! by the command line's `eval` and `reduce`.

use super::input::{Input, is_name};
use super::storing::Storing;
use super::{EvalResult, Evaluation};
use crate::chunks::contiguous_chunks;
use crate::computed::{declare, info_of};
use crate::error::{Error, Result};
use crate::expression::Coordinate;
use crate::location::{StoredParts, array_label};
use crate::spec::{ArrayOptions, spec_of};
use crate::target::{check_apart_from, check_keeps};
use crate::transfer::Destination;
use blockwise_core::adapt::cast_scalar;
use blockwise_core::digest::Digest;
use blockwise_core::plan::Resources;
use blockwise_core::{Array, Scalar, Session, Sink};
use blockwise_io::publish::PublishOptions;
use blockwise_io::{
    ArrayInfo, ArraySpec, AttributeValue, ElementType, Format, GroupInfo, NodePath, TextArray,
};
use std::path::Path;
use std::sync::Arc;

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
        let mut storing = Storing::new(resources);
        let mut targets = Vec::new();
        for place in &places {
            self.create(place, resources, &mut storing, &mut targets)?;
        }
        storing.plan_all(&self.session(resources), &targets)?;
        Ok(storing)
    }

    /// Which results go where, under which names.
    fn places<'a>(&'a self, requests: &'a [OutputRequest]) -> Result<Vec<Place<'a>>> {
        let mut places: Vec<Place<'a>> = Vec::new();
        for OutputRequest { name, destination } in requests {
            let path = || destination.path.display().to_string();
            for input in &self.inputs {
                check_apart_from(&input.opened.container.paths(), &destination.path)?;
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
            Format::Npy | Format::Tiff | Format::Raw => true,
            Format::Zarr2 | Format::Zarr3 => inputs_do && place.results.len() == 1,
            _ => false,
        }
    }

    /// Creates one container with its groups, coordinates and arrays.
    fn create(
        &self,
        place: &Place<'_>,
        resources: &Resources,
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
            let spec = self.spec(path, result, &group, destination.format, resources)?;
            arrays.push((spec, result.value.array.clone()));
        }
        let mut coordinates = Vec::new();
        if !alone {
            for (spec, coordinate) in self.coordinates(place, &group, resources)? {
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
        let stored = || arrays.iter().map(|(spec, _)| spec).chain(coordinates.iter().map(|(spec, _)| spec));
        for Input { opened, .. } in &self.inputs {
            check_keeps(Path::new(opened.container.label()), &opened.arrays, destination, |path| {
                stored().any(|spec| spec.path == *path)
            })?;
        }
        let mut options = self.publish_options(place, &arrays, &coordinates);
        options.inputs = self.states(resources);
        let label = destination.path.display().to_string();
        storing.claim(destination, &options, self.options.plan_only, |filling| {
            if !alone {
                filling.writer.create_group(&group)?;
            }
            for (spec, coordinate) in coordinates {
                if let Some(texts) = &coordinate.texts {
                    let texts = TextArray { shape: spec.shape.clone(), texts: texts.to_vec() };
                    filling.writer.create_texts(&spec, &texts)?;
                    continue;
                }
                let sink = filling.writer.create_array(&spec)?;
                let plan = Session::new(resources.clone()).plan(&[(coordinate.array, sink)])?;
                filling.run_first(array_label(&label, &spec.path), plan);
            }
            for (spec, array) in arrays {
                let sink = filling.create(&spec, &array)?;
                targets.push((array, sink));
            }
            Ok(())
        })
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
        if self.inputs.iter().any(|input| input.has_missing)
            && dtype.kind() == 'f'
            && !matches!(format, Format::Npy | Format::Tiff)
        {
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

    /// Texts that change when what is read does.
    fn states(&self, resources: &Resources) -> Vec<String> {
        let state = |input: &Input| {
            let coordinates = input.coordinates.iter().map(|(_, info)| &info.path);
            let read = StoredParts::of(&input.opened, std::iter::once(&input.info.path).chain(coordinates));
            read.state(self.options.plan_only, resources)
        };
        self.inputs.iter().map(state).collect()
    }

    /// What tells runs apart: equal expressions, inputs and outputs make equal keys.
    fn publish_options(
        &self,
        place: &Place<'_>,
        arrays: &[(ArraySpec, Array)],
        coordinates: &[(ArraySpec, Coordinate)],
    ) -> PublishOptions {
        let mut key = Digest::default();
        key.add(env!("CARGO_PKG_VERSION"));
        key.add(&self.text);
        key.add(&(self.options.raw, self.options.reproducible));
        for input in &self.inputs {
            key.add(&(input.opened.fingerprint(), &input.name, &input.info.path));
        }
        for spec in arrays.iter().map(|(spec, _)| spec).chain(coordinates.iter().map(|(spec, _)| spec)) {
            key.add(spec);
        }
        PublishOptions {
            overwrite: place.destination.overwrite,
            resume: place.destination.resume,
            plan_key: key.to_string(),
            ..PublishOptions::default()
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
