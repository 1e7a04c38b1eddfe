//! Inputs of an expression: stored arrays as lazy ones, with coordinates, units, and CF packing undone.
//!
//! Invariants: an array or coordinate that several inputs name is one source, so it is read once; coordinates are unpacked as
//! data are. Called by [`super::Evaluation::open`].

use super::EvalOptions;
use crate::cf;
use crate::error::{Error, Result};
use crate::expression::{Coordinate, Labelled};
use crate::location::{Location, Opened, is_within};
use blockwise_core::adapt::{Unpack, Unpacking};
use blockwise_core::{Array, DType, Scalar, Source};
use blockwise_io::{ArrayInfo, Attributes, ElementType};
use std::sync::Arc;

/// Bytes of texts that coordinates may have: they are held beside the budget.
const MOST_TEXT_BYTES: u64 = 8 << 20;

/// Attributes that speak of how values are stored or how far elements are apart, or name other arrays of the container.
const NOT_CARRIED: [&str; 23] = [
    "scale_factor",
    "add_offset",
    "_Unsigned",
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "actual_range",
    "coordinates",
    "bounds",
    "climatology",
    "grid_mapping",
    "ancillary_variables",
    "cell_measures",
    "PhysicalSizeX",
    "PhysicalSizeXUnit",
    "PhysicalSizeY",
    "PhysicalSizeYUnit",
    "PhysicalSizeZ",
    "PhysicalSizeZUnit",
    "TimeIncrement",
    "TimeIncrementUnit",
];

/// `NAME=PATH`: what an expression calls a stored array.
#[derive(Clone, Debug)]
pub struct EvalInput {
    /// The name.
    pub name: String,
    /// The array.
    pub location: Location,
}

impl std::str::FromStr for EvalInput {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Argument {
            what: "input",
            text: text.to_owned(),
            why: "give a name and a path, as in t=era5.nc::t2m".to_owned(),
        };
        let (name, path) = text.split_once('=').ok_or_else(wrong)?;
        if !is_name(name) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), location: path.parse()? })
    }
}

/// Whether `text` can be a name in an expression.
///
/// ```
/// use blockwise::evaluate::is_name;
/// assert!(is_name("t2m") && !is_name("2t"));
/// ```
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// An input, for people.
#[derive(Clone, Debug)]
pub struct InputSummary {
    /// What the expression calls it.
    pub name: String,
    /// The array's path and node.
    pub label: String,
    /// Type of its elements as they are computed with.
    pub dtype: DType,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Whether CF packing or missing values were undone.
    pub unpacked: bool,
}

/// An opened input.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) opened: Arc<Opened>,
    pub(super) info: ArrayInfo,
    pub(super) value: Labelled,
    /// Whether missing values became NaN.
    pub(super) has_missing: bool,
    unpacked: bool,
    /// The stored coordinates, by origin.
    pub(super) coordinates: Vec<(Arc<str>, ArrayInfo)>,
}

impl Input {
    pub(super) fn summary(&self) -> InputSummary {
        InputSummary {
            name: self.name.clone(),
            label: self.opened.label(&self.info.path),
            dtype: self.value.array.dtype(),
            shape: self.info.shape.clone(),
            unpacked: self.unpacked,
        }
    }
}

/// Opens every input; what is named twice, once, and arrays of a container in the same one, which may be open already.
pub(super) fn open_all(
    inputs: &[EvalInput],
    container: Option<&(Location, Arc<Opened>)>,
    options: &EvalOptions,
) -> Result<Vec<Input>> {
    let mut all: Vec<Input> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let known = all.iter().find(|known| known.location == input.location).map(|known| Input {
            name: input.name.clone(),
            location: known.location.clone(),
            opened: Arc::clone(&known.opened),
            info: known.info.clone(),
            value: known.value.clone(),
            has_missing: known.has_missing,
            unpacked: known.unpacked,
            coordinates: known.coordinates.clone(),
        });
        let opened = match known {
            Some(known) => known,
            None => {
                let of_inputs = all.iter().map(|known| (&known.location, &known.opened));
                let known = container.iter().map(|(location, opened)| (location, opened)).chain(of_inputs);
                let mut same = known.filter(|(location, _)| location.path() == input.location.path());
                let in_it = same.find_map(|(_, opened)| {
                    Some((Arc::clone(opened), opened.array_named(&input.location)?.clone()))
                });
                match in_it {
                    Some((opened, info)) => from(input, opened, info, options)?,
                    None => open(input, options)?,
                }
            }
        };
        all.push(opened);
    }
    Ok(all)
}

pub(super) fn open(input: &EvalInput, options: &EvalOptions) -> Result<Input> {
    let opened = input.location.open(&options.open)?;
    let info = opened.only_array()?.clone();
    from(input, Arc::new(opened), info, options)
}

/// The input that is the array `info` of an open container.
fn from(input: &EvalInput, opened: Arc<Opened>, info: ArrayInfo, options: &EvalOptions) -> Result<Input> {
    let label = opened.label(&info.path);
    let dtype = match &info.element_type {
        ElementType::Number(dtype) => Some(*dtype),
        _ => None,
    };
    if dtype.is_none() {
        let what = format!("elements of type {} cannot be computed with", info.element_type);
        return Err(Error::Refused { path: label, what });
    }
    let mut source = opened.array(&info.path)?.source()?;
    let rule =
        if options.raw { None } else { cf::unpacking_of(&info).map_err(|error| error.in_array(&label))? };
    let unpacked = rule.is_some();
    let has_missing = rule.as_ref().is_some_and(|rule| !rule.missing.is_empty());
    if let Some(rule) = rule {
        source = Unpack::over(source, rule).map_err(|error| Error::from(error).in_array(&label))?;
    }
    let array = Array::from_source(source);
    let array = with_names(&array, &info.dimension_names)?;
    let mut value =
        Labelled { array, coordinates: Vec::new(), attributes: Some(Arc::new(carried(&info.attributes))) };
    let mut coordinates = Vec::new();
    for (name, extent) in info.dimension_names.iter().zip(&info.shape) {
        let Some(name) = name else { continue };
        let Some(found) = coordinate_of(&opened, &info, name, *extent) else { continue };
        let origin: Arc<str> = opened.label(&found.path).into();
        if found.element_type == ElementType::Text {
            value.coordinates.extend(names(&opened, found, name, &origin)?);
            continue;
        }
        let (source, found) = coordinate(&opened, found, options)?;
        let array = Array::from_source(source).with_names(&[name])?;
        let mut coordinate = Coordinate::new(name.as_str(), Arc::clone(&origin), array);
        if let ElementType::DateTime { unit, difference: false } = &found.element_type {
            coordinate.numpy_unit = Some(unit.clone());
        }
        value.coordinates.push(coordinate.with_attributes(found.attributes.clone()));
        coordinates.push((origin, found));
    }
    let (name, location) = (input.name.clone(), input.location.clone());
    Ok(Input { name, location, opened, info, value, has_missing, unpacked, coordinates })
}

/// `array` with those of the dimension names that are given and stand once.
fn with_names(array: &Array, names: &[Option<String>]) -> Result<Array> {
    if names.len() != array.rank() {
        return Ok(array.clone());
    }
    let first = |(axis, name): (usize, &Option<String>)| {
        name.clone().filter(|_| !names.get(..axis).unwrap_or(&[]).contains(name))
    };
    Ok(array.with_some_names(names.iter().enumerate().map(first).collect())?)
}

/// Coordinates that are texts: they are read here, since nothing computes with them, unless they are long.
fn names(opened: &Opened, found: &ArrayInfo, name: &str, origin: &Arc<str>) -> Result<Option<Coordinate>> {
    let texts = match opened.array(&found.path)?.read_texts(MOST_TEXT_BYTES) {
        Ok(read) => read.texts,
        Err(error @ blockwise_io::Error::Limit { .. }) => {
            tracing::warn!("coordinates are left out: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let array = Array::arange(0.0, texts.len() as f64, 1.0)?.with_names(&[name])?;
    Ok(Some(Coordinate::made(name, origin, array, found.attributes.clone()).with_texts(texts)))
}

/// The elements of coordinates as the values that they stand for, and what a copy of those is.
fn coordinate(
    opened: &Opened,
    found: &ArrayInfo,
    options: &EvalOptions,
) -> Result<(Arc<dyn Source>, ArrayInfo)> {
    let label = opened.label(&found.path);
    let mut info = found.clone();
    let source = opened.array(&found.path)?.source()?;
    let rule =
        if options.raw { None } else { cf::unpacking_of(found).map_err(|error| error.in_array(&label))? };
    let Some(rule) = rule.filter(|rule| !changes_nothing(found, rule)) else { return Ok((source, info)) };
    info.attributes = cf::unpacked_attributes(found, &rule)?;
    info.fill_value = found.fill_value.map(|fill| rule.value_of(&fill)).transpose()?;
    info.element_type = ElementType::Number(rule.result);
    let source = Unpack::over(source, rule).map_err(|error| Error::from(error).in_array(&label))?;
    Ok((source, info))
}

/// Whether unpacked elements are the stored ones: NaN alone is missing.
fn changes_nothing(array: &ArrayInfo, rule: &Unpacking) -> bool {
    let is_nan = |marker: &Scalar| marker.to_f64().is_some_and(f64::is_nan);
    array.element_type == ElementType::Number(rule.result)
        && rule.stored == rule.result
        && rule.scale.is_none()
        && rule.offset.is_none()
        && rule.missing.iter().all(is_nan)
}

/// The stored coordinates of a dimension: the array that is named after it, nearest above `array`.
fn coordinate_of<'a>(
    opened: &'a Opened,
    array: &ArrayInfo,
    name: &str,
    extent: u64,
) -> Option<&'a ArrayInfo> {
    let in_scope = |candidate: &&ArrayInfo| {
        let above = candidate.path.parent().is_some_and(|group| is_within(&array.path, &group));
        above
            && candidate.path.name() == Some(name)
            && candidate.shape == [extent]
            && candidate.path != array.path
    };
    let found =
        opened.arrays.iter().filter(in_scope).max_by_key(|candidate| candidate.path.components().len())?;
    match &found.element_type {
        ElementType::Number(_) | ElementType::DateTime { .. } | ElementType::Text => Some(found),
        other => {
            tracing::warn!("{}: coordinates of type {other} are left out", opened.label(&found.path));
            None
        }
    }
}

fn carried(attributes: &Attributes) -> Attributes {
    let mut kept = attributes.clone();
    for name in NOT_CARRIED {
        kept.remove(name);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_coordinates_are_unpacked() {
        use crate::evaluate::{Evaluation, OutputRequest};
        use crate::store::{StoreOptions, to_netcdf};
        use crate::transfer::Destination;
        use blockwise_core::{Cancellation, Session, Unobserved};
        use blockwise_io::AttributeValue;
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join("packed.nc"), folder.path().join("out.nc"));
        let session = Session::with_budget(1 << 24);
        let latitudes = Array::from_fn(&[3], |at| 3000 * at[0] as i16).unwrap().with_names(&["lat"]).unwrap();
        let field = Array::ones(&[3], DType::F32).unwrap().with_names(&["lat"]).unwrap();
        let mut options = StoreOptions::default();
        let attributes = options.attributes.entry("lat".to_owned()).or_default();
        attributes.set("scale_factor", AttributeValue::Number(Scalar::from(0.01_f64)));
        attributes.set("_FillValue", AttributeValue::Number(Scalar::from(6000_i16)));
        attributes.set("units", AttributeValue::Text("degrees_north".to_owned()));
        to_netcdf(&session, &[(&field, "t"), (&latitudes, "lat")], &path, &options).unwrap();

        let input =
            EvalInput { name: "t".to_owned(), location: format!("{}::t", path.display()).parse().unwrap() };
        let job = Evaluation::open("t = t + 1", &[input], &EvalOptions::default()).unwrap();
        let request = OutputRequest { name: None, destination: Destination::new(&out).unwrap() };
        let storing = job.store(&[request], session.resources()).unwrap();
        storing.run(&Unobserved, &Cancellation::new()).unwrap();
        // Both as computed with, and as stored beside the result.
        let of_result = job.results[0].value.coordinate("lat").unwrap().array.clone();
        let stored = crate::store::open_as_stored(&format!("{}::lat", out.display())).unwrap();
        for array in [of_result, stored] {
            let values = session.compute::<f64>(&array).unwrap();
            assert_eq!((values[[0]], values[[1]]), (0.0, 30.0));
            assert!(values[[2]].is_nan());
        }
    }

    #[test]
    fn inputs_are_names_and_paths() {
        let input: EvalInput = "t=a=b.nc::t2m".parse().unwrap();
        assert_eq!((input.name.as_str(), input.location.to_string().as_str()), ("t", "a=b.nc::t2m"));
        for wrong in ["a.nc", "2t=a.nc", "=a.nc", "a b=c.nc", "t="] {
            assert!(wrong.parse::<EvalInput>().is_err(), "{wrong}");
        }
    }
}
