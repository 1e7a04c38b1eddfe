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
    ArrayInfo, ArraySpec, AttributeValue, Attributes, ElementType, Format, GroupInfo, NodePath, TextArray,
};
use std::path::Path;
use std::sync::Arc;

/// Attributes of coordinates that name arrays which do not come along.
const OF_OTHERS: [&str; 4] = ["bounds", "climatology", "coordinates", "grid_mapping"];

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
        let coordinates = if alone { Vec::new() } else { self.coordinates(place, &group, resources)? };
        let mut arrays = Vec::new();
        for (name, result) in &place.results {
            let path = if alone { NodePath::root() } else { NodePath::root().child(name)? };
            let mut spec = self.spec(path, result, &group, destination.format, resources)?;
            name_beside(&mut spec, result, &coordinates);
            arrays.push((spec, result.value.array.clone()));
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

    /// The root group: the dimensions of all results, and what the inputs' containers say of themselves and do not say
    /// differently.
    fn group(&self, place: &Place<'_>) -> Result<GroupInfo> {
        let mut group =
            GroupInfo { path: NodePath::root(), attributes: Default::default(), dimensions: Vec::new() };
        for (result, EvalResult { value, .. }) in &place.results {
            let grows = |name: &str, length| self.inputs.iter().any(|input| grows(input, name, length));
            declare(&mut group, result, value.array.names(), &value.array.shape(), grows)
                .map_err(|what| Error::Usage { path: place.destination.path.display().to_string(), what })?;
        }
        let of_inputs = self.inputs.iter().flat_map(|input| &input.opened.groups);
        let roots: Vec<&Attributes> =
            of_inputs.filter(|group| group.path.is_root()).map(|group| &group.attributes).collect();
        for (name, value) in roots.iter().flat_map(|attributes| attributes.iter()) {
            let agree = || roots.iter().filter_map(|other| other.get(name)).all(|other| other == value);
            let is_first = name == "Conventions" && group.attributes.get(name).is_none();
            if is_first || (is_of_whole(name, value) && agree()) {
                group.attributes.set(name, value.clone());
            }
        }
        Ok(group)
    }

    /// The coordinates that the results of a file share, and those beside them that do not differ from result to result.
    fn coordinates(
        &self,
        place: &Place<'_>,
        group: &GroupInfo,
        resources: &Resources,
    ) -> Result<Vec<(ArraySpec, Coordinate)>> {
        let wrong = |what: String| Error::Usage { path: place.destination.path.display().to_string(), what };
        let mut found: Vec<&Coordinate> = Vec::new();
        for coordinate in place.results.iter().flat_map(|(_, result)| &result.value.coordinates) {
            let name = &coordinate.name;
            if place.results.iter().any(|(result, _)| result == name) {
                let what = format!("the result '{name}' is called as a dimension; write another name = …");
                return Err(wrong(what));
            }
            match found.iter().find(|known| known.name == *name) {
                Some(known) if known.is_same(coordinate) => {}
                Some(_) => {
                    let what =
                        format!("results have different coordinates along '{name}'; store them in two files");
                    return Err(wrong(what));
                }
                None => found.push(coordinate),
            }
        }
        let beside = || place.results.iter().flat_map(|(_, result)| &result.value.auxiliary);
        for coordinate in beside() {
            let name = &coordinate.name;
            let is_taken = place.results.iter().any(|(result, _)| result == name)
                || group.dimensions.iter().any(|(dimension, ..)| dimension == name);
            if is_taken || found.iter().any(|known| known.name == *name) {
                continue;
            }
            if beside().any(|other| other.name == *name && !other.is_same(coordinate)) {
                tracing::warn!("coordinates '{name}' are left out: they differ from result to result");
                continue;
            }
            found.push(coordinate);
        }
        let specs = found.into_iter().map(|coordinate| {
            let spec = self.coordinate_spec(coordinate, place.destination.format, group, resources)?;
            Ok(spec.map(|spec| (spec, coordinate.clone())))
        });
        specs.filter_map(Result::transpose).collect()
    }

    /// What the stored array of coordinates shall be; `None` if nothing is known of them.
    fn coordinate_spec(
        &self,
        coordinate: &Coordinate,
        format: Format,
        group: &GroupInfo,
        resources: &Resources,
    ) -> Result<Option<ArraySpec>> {
        if coordinate.is_made {
            return made_spec(coordinate, format, resources).map(Some);
        }
        let mut stored = self.inputs.iter().flat_map(|input| &input.coordinates);
        let Some((_, info)) = stored.find(|(origin, _)| *origin == coordinate.origin) else {
            return Ok(None);
        };
        let mut info = info.clone();
        info.path = NodePath::root().child(&coordinate.name)?;
        info.is_coordinate = coordinate.is_of_dimension();
        info.shape = coordinate.array.shape();
        info.dimension_names = coordinate.dimensions.iter().cloned().map(Some).collect();
        info.unlimited = coordinate.dimensions.iter().map(|name| is_unlimited(group, name)).collect();
        for name in OF_OTHERS {
            info.attributes.remove(name);
        }
        if !coordinate.is_whole() {
            info.chunk_shape = None;
            info.shard_shape = None;
            info.attributes.remove("actual_range");
        }
        let options = ArrayOptions { codec: self.options.arrays.codec.clone(), ..ArrayOptions::default() };
        Ok(Some(spec_of(&info, format, &options, resources.budget_bytes)?.0))
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

/// Whether an attribute of a container is about what results are of too: no list of its arrays, no extent of its axes.
fn is_of_whole(name: &str, value: &AttributeValue) -> bool {
    let of_extent = ["geospatial_", "time_coverage_"].iter().any(|prefix| name.starts_with(prefix));
    !of_extent && !OF_OTHERS.contains(&name) && !matches!(value, AttributeValue::Json(_))
}

/// Has CF attributes of a result name the stored coordinates that it has beside those of its dimensions.
fn name_beside(spec: &mut ArraySpec, result: &EvalResult, stored: &[(ArraySpec, Coordinate)]) {
    let names = |is_mapping: bool| {
        let own = result.value.auxiliary.iter().filter(|own| own.is_mapping == is_mapping);
        let is_stored =
            |own: &&Coordinate| stored.iter().any(|(_, other)| other.name == own.name && other.is_same(own));
        let names: Vec<&str> = own.filter(is_stored).map(|own| own.name.as_str()).collect();
        names.join(" ")
    };
    for (attribute, names) in [("coordinates", names(false)), ("grid_mapping", names(true))] {
        if !names.is_empty() {
            spec.attributes.set(attribute, AttributeValue::Text(names));
        }
    }
}

/// What the stored array of coordinates shall be that no file has.
fn made_spec(coordinate: &Coordinate, format: Format, resources: &Resources) -> Result<ArraySpec> {
    let info = info_of(NodePath::root().child(&coordinate.name)?, &coordinate.array, format);
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
