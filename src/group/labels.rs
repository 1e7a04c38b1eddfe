//! Labels of positions: from fields of times, values of coordinates, bins of a frequency, or given.
//!
//! Invariant: codes are positions in the result's coordinate, or of its bins that have times, or negative. Called by
//! [`super::Grouped`].

use crate::cf::resample::Frequency;
use crate::cf::time::{SEASONS, TimeField, TimeUnits, Times};
use crate::error::{Error, Result};
use crate::expression::Coordinate;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid};
use blockwise_io::{AttributeValue, Attributes};
use blockwise_kernels::{DType, Element};
use std::sync::Arc;

/// Positions of a coordinate that are read to group by it.
const MAX_POSITIONS: u64 = 1 << 27;

/// How positions along a dimension are grouped.
pub(super) struct Labels {
    /// Of every position.
    pub(super) codes: Vec<i64>,
    /// What the dimension of results is called.
    pub(super) name: Option<String>,
    pub(super) coordinate: Option<Coordinate>,
    /// Where some bins have no times: the group of each, or -1.
    pub(super) bins: Option<Vec<i64>>,
}

/// Elements of a coordinate.
pub(crate) enum Numbers {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Numbers {
    /// The elements as doubles.
    pub(crate) fn into_doubles(self) -> Vec<f64> {
        match self {
            Self::Whole(numbers) => numbers.into_iter().map(|number| number as f64).collect(),
            Self::Real(numbers) => numbers,
        }
    }
}

impl Labels {
    /// Labels that are given.
    pub(super) fn given(labels: &[i64], name: Option<String>) -> Self {
        let mut known: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0).collect();
        known.sort_unstable();
        known.dedup();
        let coordinate = name.as_ref().and_then(|name| {
            let origin = format!("labels {labels:?}");
            made(name, &origin, &known).ok()
        });
        Self { codes: labels.to_vec(), name, coordinate, bins: None }
    }

    /// A field of times, such as `month`.
    pub(super) fn of_field(coordinate: &Coordinate, field: &str) -> Result<Self> {
        let known = TimeField::named(field).ok_or_else(|| Error::Argument {
            what: "field of time",
            text: field.to_owned(),
            why: format!("there are {}", TimeField::NAMES.join(", ")),
        })?;
        let (times, _) = times_of(coordinate)?;
        let values = times.field(known)?;
        let mut labels: Vec<i64> = values.iter().flatten().copied().collect();
        labels.sort_unstable();
        labels.dedup();
        let code = |value: &Option<i64>| match value {
            Some(value) => labels.binary_search(value).map_or(-1, |code| code as i64),
            None => -1,
        };
        let codes = values.iter().map(code).collect();
        let origin = format!("{field} of {}", coordinate.whole_origin());
        let mut made = made(field, &origin, &labels)?;
        if known == TimeField::Season {
            let names = labels.iter().filter_map(|season| SEASONS.get(usize::try_from(*season).ok()?));
            made = made.with_texts(names.map(|name| (*name).to_owned()).collect());
        }
        Ok(Self { codes, name: Some(field.to_owned()), coordinate: Some(made), bins: None })
    }

    /// The values of coordinates.
    pub(super) fn of_values(coordinate: &Coordinate) -> Result<Self> {
        let origin = format!("values of {}", coordinate.whole_origin());
        let name = coordinate.name.clone();
        let (codes, made) = match numbers_of(coordinate)? {
            Numbers::Whole(values) => {
                let mut labels = values.clone();
                labels.sort_unstable();
                labels.dedup();
                let codes =
                    values.iter().map(|value| labels.binary_search(value).map_or(-1, |code| code as i64));
                (codes.collect::<Vec<i64>>(), made(&name, &origin, &labels)?)
            }
            Numbers::Real(values) => {
                let mut labels: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
                labels.sort_by(f64::total_cmp);
                labels.dedup();
                let code = |value: &f64| labels.partition_point(|label| label < value) as i64;
                let codes =
                    values.iter().map(|value| if value.is_nan() { -1 } else { code(value) }).collect();
                let array = line(&labels)?.astype(coordinate.array.dtype()).with_names(&[&name])?;
                (codes, Coordinate::made(&name, origin.as_str(), array, Attributes::new()))
            }
        };
        let mut made = made.with_attributes(coordinate.attributes.clone());
        made.numpy_unit.clone_from(&coordinate.numpy_unit);
        Ok(Self { codes, name: Some(name), coordinate: Some(made), bins: None })
    }

    /// Bins of a frequency.
    pub(super) fn of_bins(coordinate: &Coordinate, frequency: &Frequency) -> Result<Self> {
        let (times, units) = times_of(coordinate)?;
        let bins = frequency.bins(&times)?;
        let mut full: Vec<i64> = bins.codes.iter().copied().filter(|code| *code >= 0).collect();
        full.sort_unstable();
        full.dedup();
        let rows = (full.len() < bins.labels.len()).then(|| {
            let row = |bin: i64| full.binary_search(&bin).map_or(-1, |row| row as i64);
            (0_i64..).take(bins.labels.len()).map(row).collect()
        });
        let (numbers, text) = units.encode(&bins.labels);
        let name = coordinate.name.as_str();
        let origin = format!("{frequency:?} of {}", coordinate.whole_origin());
        let mut made = made(name, &origin, &numbers)?;
        // What was counted in floats is again.
        if coordinate.array.dtype().kind() == 'f' {
            made.array = made.array.astype(DType::F64);
        }
        let mut attributes = coordinate.attributes.clone();
        for gone in ["bounds", "climatology", "actual_range", "_FillValue", "missing_value"] {
            attributes.remove(gone);
        }
        attributes.set("units", AttributeValue::Text(text));
        attributes.set("calendar", AttributeValue::Text(units.calendar().name().to_owned()));
        Ok(Self {
            codes: bins.codes,
            name: Some(name.to_owned()),
            coordinate: Some(made.with_attributes(attributes)),
            bins: rows,
        })
    }
}

/// Numbers as an array of one axis.
pub(crate) fn line<T: Element>(numbers: &[T]) -> Result<Array> {
    let grid = ChunkGrid::single(&[numbers.len() as u64])?;
    Ok(Array::from_source(Arc::new(MemoryArray::from_elements("labels", grid, numbers)?)))
}

/// Coordinates of whole numbers.
fn made(name: &str, origin: &str, numbers: &[i64]) -> Result<Coordinate> {
    Ok(Coordinate::made(name, origin, line(numbers)?.with_names(&[name])?, Attributes::new()))
}

/// The elements of a coordinate, which are read.
pub(crate) fn numbers_of(coordinate: &Coordinate) -> Result<Numbers> {
    let label = || format!("coordinates of '{}'", coordinate.name);
    if coordinate.texts.is_some() {
        return Err(Error::Usage { path: label(), what: "they are texts, which have no numbers".to_owned() });
    }
    let extent = coordinate.array.shape().iter().product::<u64>();
    if extent > MAX_POSITIONS {
        let what = format!("{extent} positions are too many to look at one by one");
        return Err(Error::Refused { path: label(), what });
    }
    Ok(match coordinate.array.dtype().kind() {
        'f' => {
            let values = coordinate.array.astype(DType::F64).compute::<f64>()?;
            Numbers::Real(values.into_iter().collect())
        }
        'i' | 'u' | 'b' => {
            let values = coordinate.array.astype(DType::I64).compute::<i64>()?;
            Numbers::Whole(values.into_iter().collect())
        }
        _ => {
            return Err(Error::Usage { path: label(), what: "they are complex; group by labels".to_owned() });
        }
    })
}

/// The instants of a coordinate, and what its numbers count.
pub(crate) fn times_of(coordinate: &Coordinate) -> Result<(Times, TimeUnits)> {
    let numbers = numbers_of(coordinate)?;
    if let Some(unit) = &coordinate.numpy_unit {
        let (units, divisor) = TimeUnits::of_numpy(unit)?;
        let Numbers::Whole(numbers) = numbers else {
            return Err(no_times(coordinate));
        };
        // The smallest number is NaT.
        let known: Vec<i64> =
            numbers.iter().map(|n| if *n == i64::MIN { 0 } else { n.div_euclid(divisor) }).collect();
        let mut times = units.decode_whole(&known)?;
        for (instant, number) in times.instants.iter_mut().zip(&numbers) {
            *instant = instant.filter(|_| *number != i64::MIN);
        }
        return Ok((times, units));
    }
    let text = |name: &str| match coordinate.attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let units = text("units").filter(|_| coordinate.is_time()).ok_or_else(|| no_times(coordinate))?;
    let units = TimeUnits::parse(units, text("calendar").unwrap_or("standard"))?;
    let times = match numbers {
        Numbers::Whole(numbers) => units.decode_whole(&numbers)?,
        Numbers::Real(numbers) => units.decode(&numbers)?,
    };
    Ok((times, units))
}

fn no_times(coordinate: &Coordinate) -> Error {
    let what = "they are no CF times, which have units such as 'days since 2000-01-01'".to_owned();
    Error::Usage { path: format!("coordinates of '{}'", coordinate.name), what }
}
