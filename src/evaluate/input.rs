//! Inputs of an expression: stored arrays as lazy ones, with coordinates, units, and CF packing undone.
//!
//! Invariants: an array or coordinate that several inputs name is one source, so it is read once; coordinates are unpacked as
//! data are. Called by [`super::Evaluation::open`].

use super::{EvalOptions, coordinates};
use crate::cf;
use crate::error::{Error, Result};
use crate::expression::Labelled;
use crate::location::{Location, Opened};
use blockwise_core::adapt::Unpack;
use blockwise_core::{Array, DType};
use blockwise_io::{ArrayInfo, Attributes, ElementType};
use std::sync::Arc;

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
    /// The stored coordinates, auxiliary ones too, by origin.
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
        Labelled { attributes: Some(Arc::new(carried(&info.attributes))), ..Labelled::from(array) };
    let mut stored = Vec::new();
    coordinates::add(&mut value, &mut stored, &opened, &info, options)?;
    let (name, location) = (input.name.clone(), input.location.clone());
    Ok(Input { name, location, opened, info, value, has_missing, unpacked, coordinates: stored })
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
        use blockwise_core::{Cancellation, Scalar, Session, Unobserved};
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
