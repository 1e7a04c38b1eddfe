//! A lazy array with what a data set says of it: coordinates of its dimensions and attributes.
//!
//! Coordinates follow the elements: sliced, picked, joined where these are (`positions`), dropped where positions lose their
//! meaning. Attributes
//! (units, long names) stay where a result is a value of the same quantity. Neither ever changes an element: arrays
//! meet by position, as in NumPy, or not at all where labels speak against it (`aligned`). Called by the evaluator, and by the
//! jobs that store results.

use super::positions::Taken;
use blockwise_core::array::{Axes, Index, Reduce};
use blockwise_core::{Array, Result};
use blockwise_io::{AttributeValue, Attributes};
use std::sync::{Arc, OnceLock};

/// The coordinates of one dimension.
#[derive(Clone, Debug)]
pub struct Coordinate {
    /// The dimension.
    pub dimension: String,
    /// What tells where they come from: equal texts mean the same stored coordinates.
    pub origin: Arc<str>,
    /// Their elements, one for each position along the dimension.
    pub array: Array,
    /// What is said of them.
    pub attributes: Attributes,
    /// What they count if they are NumPy's `datetime64`: its unit.
    pub numpy_unit: Option<String>,
    /// What they stand for if that is texts, one for each position; they are stored in place of the elements.
    pub texts: Option<Arc<[String]>>,
    /// Whether they are stored nowhere, but made of others.
    pub(crate) is_made: bool,
    /// What was taken of them, one after the other.
    pub(super) taken: Vec<Taken>,
    /// Their elements as doubles, once they were compared with others.
    pub(super) numbers: Arc<OnceLock<Arc<[f64]>>>,
}

impl Coordinate {
    /// Coordinates as they are stored.
    #[must_use]
    pub fn new(dimension: impl Into<String>, origin: impl Into<Arc<str>>, array: Array) -> Self {
        Self {
            dimension: dimension.into(),
            origin: origin.into(),
            array,
            attributes: Attributes::new(),
            numpy_unit: None,
            texts: None,
            is_made: false,
            taken: Vec::new(),
            numbers: Arc::default(),
        }
    }

    /// Coordinates that are made of others; `origin` tells of which and how.
    pub(crate) fn made(dimension: &str, origin: &str, array: Array, attributes: Attributes) -> Self {
        Self { is_made: true, attributes, ..Self::new(dimension, origin, array) }
    }

    /// The same coordinates with attributes.
    #[must_use]
    pub fn with_attributes(self, attributes: Attributes) -> Self {
        Self { attributes, ..self }
    }

    /// The same coordinates, which stand for texts.
    pub(crate) fn with_texts(self, texts: Vec<String>) -> Self {
        Self { texts: Some(texts.into()), ..self }
    }

    /// Whether they are times: CF's, with a unit since a date, or NumPy's.
    #[must_use]
    pub fn is_time(&self) -> bool {
        let since = |text: &str| {
            text.split_whitespace().nth(1).is_some_and(|word| word.eq_ignore_ascii_case("since"))
        };
        self.numpy_unit.is_some()
            || matches!(self.attributes.get("units"), Some(AttributeValue::Text(units)) if since(units))
    }

    /// Where they come from, with what was taken there.
    pub(crate) fn whole_origin(&self) -> String {
        format!("{} {:?}", self.origin, self.taken)
    }

    /// Whether these are the same positions of the same stored coordinates.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.dimension == other.dimension && self.origin == other.origin && self.taken == other.taken
    }

    /// Whether they are the whole stored coordinates.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.taken.is_empty()
    }
}

/// A lazy array with coordinates and attributes.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The elements.
    pub array: Array,
    /// Coordinates of its dimensions, at most one each.
    pub coordinates: Vec<Coordinate>,
    /// Attributes, while it is a value of the quantity that they speak of.
    pub attributes: Option<Arc<Attributes>>,
}

impl From<Array> for Labelled {
    fn from(array: Array) -> Self {
        Self { array, coordinates: Vec::new(), attributes: None }
    }
}

impl Labelled {
    /// `array` with these labels, as far as dimensions of their names and lengths are left.
    pub(crate) fn with(&self, array: Array) -> Self {
        let coordinates = fitting(&array, self.coordinates.iter());
        Self { array, coordinates, attributes: self.attributes.clone() }
    }

    /// As [`Labelled::with`], for another quantity.
    pub(crate) fn of_other_quantity(self) -> Self {
        Self { attributes: None, ..self }
    }

    /// As [`Labelled::with`], where positions along `axes` of this array lost their meaning.
    pub(crate) fn moved(&self, array: Array, axes: &[usize]) -> Self {
        let names: Vec<_> =
            axes.iter().filter_map(|axis| self.array.names().get(*axis)?.as_deref()).collect();
        let mut moved = self.with(array);
        moved.coordinates.retain(|coordinate| !names.contains(&coordinate.dimension.as_str()));
        moved
    }

    /// `array`, made of `parts` element by element. A dimension keeps coordinates if all parts that have some have the
    /// same ones; attributes stay if `same_quantity` and all parts have the same units.
    pub(crate) fn merged(array: Array, parts: &[&Self], same_quantity: bool) -> Self {
        let all = || parts.iter().flat_map(|part| &part.coordinates);
        let mut coordinates = fitting(&array, all());
        let fits = |coordinate: &Coordinate, kept: &Coordinate| {
            coordinate.dimension != kept.dimension
                || coordinate.array.shape() != kept.array.shape()
                || coordinate.is_same(kept)
        };
        coordinates.retain(|kept| all().all(|coordinate| fits(coordinate, kept)));
        let attributes = match parts {
            [first, rest @ ..] if same_quantity => {
                let units = first.units();
                let same =
                    rest.is_empty() || units.is_some() && rest.iter().all(|part| part.units() == units);
                first.attributes.clone().filter(|_| same)
            }
            _ => None,
        };
        Self { array, coordinates, attributes }
    }

    fn units(&self) -> Option<&str> {
        match self.attributes.as_ref()?.get("units") {
            Some(AttributeValue::Text(units)) => Some(units),
            _ => None,
        }
    }

    /// NumPy's `x[items]`, of the coordinates too.
    pub(super) fn index(&self, items: &[Index]) -> Result<Self> {
        let array = self.array.index(items)?;
        let mut indexed = Self { array, ..self.clone() };
        let used = items.iter().filter(|item| matches!(item, Index::At(_) | Index::Slice { .. })).count();
        let mut axis = 0;
        for item in items {
            match item {
                Index::NewAxis => {}
                Index::Ellipsis => axis += self.array.rank().saturating_sub(used),
                Index::At(_) => axis += 1,
                Index::Slice { .. } => {
                    if *item != Index::from(..) {
                        indexed.take_coordinate(self.name_of(axis), &Taken::Slice(*item))?;
                    }
                    axis += 1;
                }
            }
        }
        indexed.coordinates = fitting(&indexed.array, indexed.coordinates.iter());
        Ok(indexed)
    }

    /// The elements at some positions along an axis, of its coordinates too.
    pub(super) fn taken(&self, axis: usize, taken: &Taken) -> Result<Self> {
        let mut picked = Self { array: taken.along(&self.array, axis)?, ..self.clone() };
        picked.take_coordinate(self.name_of(axis), taken)?;
        picked.coordinates = fitting(&picked.array, picked.coordinates.iter());
        Ok(picked)
    }

    fn take_coordinate(&mut self, dimension: Option<&str>, taken: &Taken) -> Result<()> {
        for coordinate in self.coordinates.iter_mut().filter(|own| Some(own.dimension.as_str()) == dimension)
        {
            *coordinate = coordinate.at(taken)?;
        }
        Ok(())
    }

    fn name_of(&self, axis: usize) -> Option<&str> {
        self.array.names().get(axis).and_then(Option::as_deref)
    }

    /// The coordinates of an axis.
    pub(super) fn coordinate_along(&self, axis: usize) -> Option<&Coordinate> {
        let name = self.name_of(axis)?;
        self.coordinates.iter().find(|own| own.dimension == name)
    }

    /// As this, with coordinates of one of its dimensions in place of those that it has.
    pub(super) fn with_coordinate(mut self, coordinate: Option<Coordinate>) -> Self {
        if let Some(coordinate) = coordinate {
            self.coordinates.retain(|own| own.dimension != coordinate.dimension);
            self.coordinates.push(coordinate);
        }
        self
    }

    /// The reduction of a name over axes. A mean or an extreme of a quantity is a value of that quantity.
    pub(crate) fn reduce(&self, name: &str, what: Reduce, axes: Axes, keep_dims: bool) -> Result<Self> {
        let reduced = self.with(self.array.reduce(what, axes, keep_dims)?);
        let plain = name.strip_prefix("nan").unwrap_or(name);
        let same_quantity = matches!(plain, "min" | "max" | "amin" | "amax" | "mean" | "std" | "sum");
        Ok(if same_quantity { reduced } else { reduced.of_other_quantity() })
    }
}

/// The coordinates whose dimension `array` has, in its length; one for each.
fn fitting<'a>(array: &Array, coordinates: impl Iterator<Item = &'a Coordinate>) -> Vec<Coordinate> {
    let shape = array.shape();
    let mut kept: Vec<Coordinate> = Vec::new();
    for coordinate in coordinates {
        let axis = array.names().iter().position(|name| name.as_deref() == Some(&coordinate.dimension));
        let extent = axis.and_then(|axis| shape.get(axis)).copied();
        let known = kept.iter().any(|other| other.dimension == coordinate.dimension);
        if !known && extent == coordinate.array.shape().first().copied() && extent.is_some() {
            kept.push(coordinate.clone());
        }
    }
    kept
}
