//! Values between positions, as xarray's `interp` has them: along a dimension whose coordinates are numbers or times.
//!
//! Invariants: a coordinate that is met gives its element, whatever its neighbours are; what lies outside of the coordinates is
//! missing unless asked otherwise, never the nearest in silence; elements are not read, coordinates are. Called by the functions
//! `interp` and `interp_like`, and by programs.

use super::labelled::{Coordinate, Labelled};
use super::positions::Taken;
use super::selection::{Known, Label, Labels, about};
use crate::error::{Error, Result};
use crate::group::{line, times_of};
use blockwise_core::array::Index;
use blockwise_core::digest::Digest;
use blockwise_core::{Array, DType};
use blockwise_io::AttributeValue;
use std::collections::HashMap;

/// What stands between two positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// What lies on the line from one to the other.
    #[default]
    Linear,
    /// The nearer one; halfway, the lower.
    Nearest,
}

/// What stands where no coordinates are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outside {
    /// This number.
    Value(f64),
    /// What the line through the two last positions says, or the last of them.
    Extrapolated,
}

/// How values between positions are found.
///
/// ```
/// use blockwise::expression::{Interpolation, Outside};
/// let around = Interpolation { period: Some(360.0), ..Interpolation::default() };
/// assert!(matches!(around.outside, Outside::Value(number) if number.is_nan()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interpolation {
    /// What stands between positions.
    pub between: Between,
    /// What stands outside of them.
    pub outside: Outside,
    /// Where the coordinates begin again, as longitudes do after 360 degrees: nothing lies outside then.
    pub period: Option<f64>,
}

impl Default for Interpolation {
    fn default() -> Self {
        Self { between: Between::Linear, outside: Outside::Value(f64::NAN), period: None }
    }
}

/// Where values come from: for each, the positions before and after it, and how far it is from the one to the other.
struct Neighbours {
    before: Vec<i64>,
    after: Vec<i64>,
    weights: Vec<f64>,
    /// Which are outside, and get a value of their own.
    outside: Vec<bool>,
}

impl Labelled {
    /// The values where the coordinates along `dimension` would be `labels`.
    ///
    /// Integers become doubles. NumPy's times and CF's are taken as dates or, as they are stored, as numbers.
    ///
    /// ```
    /// use blockwise::expression::{Interpolation, Label, Labels};
    /// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
    /// // A grid of ten degrees, from one of two.
    /// let latitudes = Labels::Many((-8..=8).map(|n| Label::Number(f64::from(n) * 10.0)).collect());
    /// let coarse = sst.interpolate("COADSY", &latitudes, &Interpolation::default())?;
    /// assert_eq!(coarse.array.shape(), [12, 17, 180]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the array has no such dimension or coordinates, two of these are equal, one is missing or a text, or `labels` is a slice.
    pub fn interpolate(&self, dimension: &str, labels: &Labels, how: &Interpolation) -> Result<Self> {
        let axis = self.axis_named(dimension)?;
        let coordinate = self.known_along(axis, dimension)?;
        let known = Known::read(coordinate, labels)?;
        let of = |label: &Label| known.value_of(dimension, label);
        let wanted: Vec<f64> = match labels {
            Labels::One(label) => vec![of(label)?],
            Labels::Many(labels) => labels.iter().map(of).collect::<Result<_>>()?,
            Labels::Between(..) => {
                let what = "a slice names no positions; give a list, or arange(from, to, step)".to_owned();
                return Err(Error::Usage { path: about(dimension), what });
            }
        };
        let made = interpolated_coordinate(coordinate, &wanted, matches!(known, Known::Times { .. }))?;
        let between = self.between_positions(axis, &known.values(), &wanted, made, how)?;
        match labels {
            Labels::One(_) => {
                let mut items = vec![Index::from(..); axis];
                items.push(Index::At(0));
                Ok(between.index(&items)?)
            }
            _ => Ok(between),
        }
    }

    /// The values at the coordinates of `other`, along all dimensions of both: where they differ, what lies between is found, and
    /// the result has those of `other`.
    ///
    /// # Errors
    /// As [`Labelled::interpolate`]; if coordinates of both do not count the same.
    pub fn interpolate_like(&self, other: &Self, how: &Interpolation) -> Result<Self> {
        let mut found = self.clone();
        for theirs in &other.coordinates {
            let dimension = theirs.name.as_str();
            let Ok(axis) = found.axis_named(dimension) else { continue };
            let own = found.known_along(axis, dimension)?;
            if own.is_same(theirs) || own.texts.is_some() && own.texts == theirs.texts {
                continue;
            }
            let (positions, mut wanted) = counted_alike(own, theirs)?;
            if !own.is_time() && [own, theirs].iter().any(|of| of.array.dtype() == DType::F32) {
                snap(&mut wanted, &positions);
            }
            if positions == wanted {
                found = found.with_coordinate(Some(theirs.clone()));
                continue;
            }
            found = found.between_positions(axis, &positions, &wanted, theirs.clone(), how)?;
        }
        Ok(found)
    }

    /// NaN along an axis as what lies on the line between the elements before and behind, by their coordinates or, if there are none or
    /// `by_coordinates` is not wanted, by their positions; with a `limit`, at most that many in a row. NaN at both ends stays.
    ///
    /// ```
    /// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
    /// let filled = sst.interpolate_missing(0, None, true)?;
    /// let count = |x: &blockwise::prelude::Array| x.not_null()?.sum(..)?.compute::<i64>();
    /// assert!(count(&filled.array)?[[]] > count(&sst.array)?[[]]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such axis, or coordinates are missing or neither ascend nor descend.
    pub fn interpolate_missing(&self, axis: usize, limit: Option<u64>, by_coordinates: bool) -> Result<Self> {
        let extent = self.array.shape().get(axis).copied().unwrap_or(0);
        let own = self.coordinate_along(axis).filter(|own| by_coordinates && own.texts.is_none());
        let positions = match own {
            None => Array::arange_i64(0, i64::try_from(extent).unwrap_or(i64::MAX), 1)?,
            Some(own) => {
                let (numbers, _) = counted_alike(own, own)?;
                let ascends = |pair: &[f64]| matches!(pair, [a, b] if a < b);
                let descends = |pair: &[f64]| matches!(pair, [a, b] if a > b);
                if !(numbers.windows(2).all(ascends) || numbers.windows(2).all(descends)) {
                    let what =
                        "they neither ascend nor descend; write use_coordinate=False to go by positions";
                    return Err(Error::Usage { path: about(&own.name), what: what.to_owned() });
                }
                // From the first, so that times of today keep their digits.
                let first = numbers.first().copied().unwrap_or(0.0);
                line(&numbers.iter().map(|number| number - first).collect::<Vec<f64>>())?
            }
        };
        Ok(self.with(self.array.filled_between(axis, &positions, limit)?))
    }

    fn known_along(&self, axis: usize, dimension: &str) -> Result<&Coordinate> {
        self.coordinate_along(axis).ok_or_else(|| {
            let what = "there are none, so nothing lies between two of them".to_owned();
            Error::Usage { path: about(dimension), what }
        })
    }

    /// The values at `wanted`, where `positions` are the coordinates along an axis; `made` are those of the result.
    fn between_positions(
        &self,
        axis: usize,
        positions: &[f64],
        wanted: &[f64],
        made: Coordinate,
        how: &Interpolation,
    ) -> Result<Self> {
        let wrong = |what: &str| Error::Usage { path: about(&made.name), what: what.to_owned() };
        let neighbours = Neighbours::find(positions, wanted, how).map_err(wrong)?;
        let dtype = match self.array.dtype() {
            dtype if matches!(dtype.kind(), 'f' | 'c') => dtype,
            _ => DType::F64,
        };
        let array = neighbours.apply(&self.array, axis, how)?.astype(dtype);
        let mut auxiliary = Vec::with_capacity(self.auxiliary.len());
        for own in &self.auxiliary {
            let Some(axis) = own.dimensions.iter().position(|name| *name == made.name) else {
                auxiliary.push(own.clone());
                continue;
            };
            // Texts have nothing between them, and NumPy's times count in whole units.
            if own.texts.is_none()
                && own.numpy_unit.is_none()
                && matches!(own.array.dtype().kind(), 'f' | 'i' | 'u')
            {
                let origin = format!("{} at {}", own.whole_origin(), made.whole_origin());
                auxiliary.push(own.remade(&origin, neighbours.apply(&own.array, axis, how)?));
            }
        }
        let labels = Self { auxiliary, ..self.clone() };
        Ok(labels.with(array).with_coordinate(Some(made)))
    }
}

/// The coordinates of both as numbers that count the same.
fn counted_alike(own: &Coordinate, theirs: &Coordinate) -> Result<(Vec<f64>, Vec<f64>)> {
    let wrong = |what: String| Error::Usage { path: about(&own.name), what };
    if own.is_time() && theirs.is_time() {
        let ((times, units), (others, other_units)) = (times_of(own)?, times_of(theirs)?);
        if units.calendar() != other_units.calendar() {
            let (a, b) = (units.calendar().name(), other_units.calendar().name());
            return Err(wrong(format!("the calendar is {a} here and {b} there")));
        }
        let instants =
            |times: &[Option<i64>]| times.iter().map(|at| at.map_or(f64::NAN, |at| at as f64)).collect();
        return Ok((instants(&times.instants), instants(&others.instants)));
    }
    if own.is_time() || theirs.is_time() {
        return Err(wrong("they are times here or there, and numbers in the other".to_owned()));
    }
    let units = |of: &Coordinate| match of.attributes.get("units") {
        Some(AttributeValue::Text(text)) => Some(text.clone()),
        _ => None,
    };
    if let (Some(a), Some(b)) = (units(own), units(theirs))
        && a != b
    {
        return Err(wrong(format!("they are in '{a}' here and in '{b}' there")));
    }
    if own.texts.is_some() || theirs.texts.is_some() {
        return Err(wrong("they are texts, which have nothing between them".to_owned()));
    }
    let numbers = |of: &Coordinate| -> Result<Vec<f64>> {
        Ok(Known::read(of, &Labels::Many(Vec::new()))?.values().into_owned())
    };
    Ok((numbers(own)?, numbers(theirs)?))
}

/// Makes numbers that are positions in single precision those positions.
fn snap(wanted: &mut [f64], positions: &[f64]) {
    let single = |number: f64| (number as f32 + 0.0).to_bits();
    let known: HashMap<u32, f64> = positions.iter().map(|at| (single(*at), *at)).collect();
    for number in wanted {
        *number = known.get(&single(*number)).copied().unwrap_or(*number);
    }
}

/// Coordinates that are `wanted`, instants or numbers, and count as `old` do.
fn interpolated_coordinate(old: &Coordinate, wanted: &[f64], are_times: bool) -> Result<Coordinate> {
    let mut numbers = wanted.to_vec();
    if are_times {
        let (_, units) = times_of(old)?;
        for number in &mut numbers {
            *number = units.number(*number as i64);
        }
    }
    let mut origin = Digest::default();
    origin.add(&(old.attributes.get("units"), old.attributes.get("calendar"), &old.numpy_unit));
    numbers.iter().for_each(|number| origin.add_bytes(&number.to_ne_bytes()));
    let is_whole = numbers.iter().all(|number| number.fract() == 0.0 && number.abs() < 9.0e15);
    let array = if matches!(old.array.dtype().kind(), 'i' | 'u') && is_whole {
        let mut whole: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
        if let (Some(unit), true) = (&old.numpy_unit, are_times) {
            let (_, divisor) = crate::cf::time::TimeUnits::of_numpy(unit)?;
            whole.iter_mut().for_each(|number| *number = number.saturating_mul(divisor));
        }
        line(&whole)?
    } else if let Some(unit) = &old.numpy_unit {
        let what = format!("they count whole {unit}; give times that are such");
        return Err(Error::Usage { path: about(&old.name), what });
    } else {
        line(&numbers)?
    };
    let made = old.remade(&format!("values {origin}"), array.with_names(&[&old.name])?);
    Ok(Coordinate { numpy_unit: old.numpy_unit.clone(), ..made })
}

impl Neighbours {
    /// Those of each of `wanted` among `positions`, in whatever order these are; or what keeps them from being found.
    fn find(positions: &[f64], wanted: &[f64], how: &Interpolation) -> Result<Self, &'static str> {
        let period = how.period;
        if period.is_some_and(|period| !(period.is_finite() && period > 0.0)) {
            return Err("a period is a number above 0");
        }
        let in_period = |number: f64| period.map_or(number, |period| number.rem_euclid(period));
        let mut sorted: Vec<(f64, i64)> = positions.iter().map(|at| in_period(*at)).zip(0..).collect();
        sorted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        if positions.iter().chain(wanted).any(|number| !number.is_finite()) {
            return Err("one is missing, or infinite");
        }
        if sorted.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err("two of them are equal, so what lies between is not clear");
        }
        let (Some(first), Some(last)) = (sorted.first().copied(), sorted.last().copied()) else {
            return Err("there are no positions");
        };
        let mut found = Self {
            before: Vec::with_capacity(wanted.len()),
            after: Vec::with_capacity(wanted.len()),
            weights: Vec::with_capacity(wanted.len()),
            outside: Vec::with_capacity(wanted.len()),
        };
        for wanted in wanted.iter().map(|wanted| in_period(*wanted)) {
            let next = sorted.partition_point(|(own, _)| *own < wanted);
            let at = |place: usize| sorted.get(place).copied();
            let lower = next.checked_sub(1).and_then(at);
            let (lower, upper) = match (lower, at(next), period) {
                (_, Some(own), _) if own.0 == wanted => (own, own),
                (Some(lower), Some(upper), _) => (lower, upper),
                (None, Some(upper), Some(period)) => ((last.0 - period, last.1), upper),
                (Some(lower), None, Some(period)) => (lower, (first.0 + period, first.1)),
                (None, _, _) => (first, at(1).unwrap_or(first)),
                (_, None, _) => (at(sorted.len().wrapping_sub(2)).unwrap_or(last), last),
            };
            let is_outside = period.is_none() && !(first.0..=last.0).contains(&wanted);
            let weight = if lower.0 == upper.0 { 0.0 } else { (wanted - lower.0) / (upper.0 - lower.0) };
            let (lower, upper, weight) = match how.between {
                Between::Linear => (lower, upper, weight),
                Between::Nearest if weight <= 0.5 => (lower, lower, 0.0),
                Between::Nearest => (upper, upper, 0.0),
            };
            found.before.push(lower.1);
            found.after.push(upper.1);
            found.weights.push(weight);
            found.outside.push(is_outside && matches!(how.outside, Outside::Value(_)));
        }
        Ok(found)
    }

    /// The values of an array along an axis: doubles or complex ones, where nothing is taken as it is.
    fn apply(&self, array: &Array, axis: usize, how: &Interpolation) -> Result<Array> {
        let rank = array.rank();
        // One number for each position along the axis.
        let along = |numbers: &[f64]| -> Result<Array> {
            let mut items = vec![Index::NewAxis; rank];
            if let Some(item) = items.get_mut(axis) {
                *item = Index::from(..);
            }
            Ok(line(numbers)?.index(&items)?)
        };
        let flags = |flags: &mut dyn Iterator<Item = bool>| {
            let numbers: Vec<f64> = flags.map(|flag| f64::from(u8::from(flag))).collect();
            Ok::<_, Error>(along(&numbers)?.astype(DType::Bool))
        };
        let before = Taken::At(self.before.clone()).along(array, axis)?;
        let mut values = before.clone();
        if self.weights.iter().any(|weight| *weight != 0.0) {
            let after = Taken::At(self.after.clone()).along(array, axis)?;
            let weights = along(&self.weights)?;
            values = before
                .try_add(after.astype(wide(array)).try_sub(before.astype(wide(array)))?.try_mul(weights)?)?;
            if self.weights.contains(&0.0) {
                // Infinity times nothing is no number.
                let are_met = flags(&mut self.weights.iter().map(|weight| *weight == 0.0))?;
                values = Array::call("where", [are_met.into(), before.into(), values.into()])?;
            }
        }
        if let (Outside::Value(value), true) = (how.outside, self.outside.contains(&true)) {
            let outside = flags(&mut self.outside.iter().copied())?;
            values = Array::call("where", [outside.into(), value.into(), values.into()])?;
        }
        Ok(values)
    }
}

/// The type in which differences are taken.
fn wide(array: &Array) -> DType {
    if array.dtype().kind() == 'c' { DType::C128 } else { DType::F64 }
}
