//! A lazy array with what a data set says of it: coordinates of its dimensions, what else tells where elements are, attributes.
//!
//! Coordinates follow the elements: sliced, picked, joined where these are (`positions`), dropped where positions lose their
//! meaning. Attributes (units, long names) stay where a result is a value of the same quantity. Neither ever changes an element:
//! arrays meet by position, as in NumPy, or not at all where labels speak against it (`aligned`). Called by the evaluator, and by
//! the jobs that store results.

use super::positions::{Taken, fitting, fitting_beside};
use blockwise_core::array::{Axes, Index, Reduce, Remainder};
use blockwise_core::{Array, Result};
use blockwise_io::{AttributeValue, Attributes};
use blockwise_kernels::DType;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Coordinates: of one dimension, which they are called as, or auxiliary ones, of any dimensions or of none (CF 5).
#[derive(Clone, Debug)]
pub struct Coordinate {
    /// What they are called.
    pub name: String,
    /// Their dimensions, one for each axis of `array`.
    pub dimensions: Vec<String>,
    /// What tells where they come from: equal texts mean the same stored coordinates.
    pub origin: Arc<str>,
    /// Their elements, one for each position along the dimensions.
    pub array: Array,
    /// What is said of them.
    pub attributes: Attributes,
    /// What they count if they are NumPy's `datetime64`: its unit.
    pub numpy_unit: Option<String>,
    /// What they stand for if that is texts, one for each position; they are stored in place of the elements.
    pub texts: Option<Arc<[String]>>,
    /// Whether they are stored as they are here: no array of a file says how.
    pub(crate) is_made: bool,
    /// Whether they say how a map is drawn, by their attributes alone (CF's `grid_mapping`).
    pub(crate) is_mapping: bool,
    /// What was taken of them along each dimension, one after the other.
    pub(super) taken: BTreeMap<String, Vec<Taken>>,
    /// Their elements as doubles, once they were compared with others.
    pub(super) numbers: Arc<OnceLock<Arc<[f64]>>>,
}

impl Coordinate {
    /// Coordinates of a dimension as they are stored.
    #[must_use]
    pub fn new(dimension: impl Into<String>, origin: impl Into<Arc<str>>, array: Array) -> Self {
        let name = dimension.into();
        Self::of(vec![name.clone()], name, origin, array)
    }

    /// Auxiliary coordinates as they are stored, of some dimensions or of none.
    ///
    /// ```
    /// use blockwise::expression::Coordinate;
    /// use blockwise::prelude::*;
    /// let latitudes = Array::zeros(&[3, 4], DType::F32)?;
    /// let lat = Coordinate::of(vec!["y".to_owned(), "x".to_owned()], "lat", "a.nc::lat", latitudes);
    /// assert!(!lat.is_of_dimension());
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[must_use]
    pub fn of(
        dimensions: Vec<String>,
        name: impl Into<String>,
        origin: impl Into<Arc<str>>,
        array: Array,
    ) -> Self {
        Self {
            name: name.into(),
            dimensions,
            origin: origin.into(),
            array,
            attributes: Attributes::new(),
            numpy_unit: None,
            texts: None,
            is_made: false,
            is_mapping: false,
            taken: BTreeMap::new(),
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

    /// How a map is drawn, as its attributes say; the element that carries them means nothing (CF 5.6).
    pub(crate) fn mapping(name: &str, origin: &str, attributes: Attributes) -> Result<Self> {
        let array = Array::zeros(&[], DType::I32)?;
        let mapping = Self::of(Vec::new(), name, origin, array).with_attributes(attributes);
        Ok(Self { is_made: true, is_mapping: true, ..mapping })
    }

    /// The same coordinates, which stand for texts.
    pub(crate) fn with_texts(self, texts: Vec<String>) -> Self {
        Self { texts: Some(texts.into()), is_made: true, ..self }
    }

    /// Whether they are those of the dimension that they are called as.
    #[must_use]
    pub fn is_of_dimension(&self) -> bool {
        matches!(self.dimensions.as_slice(), [only] if *only == self.name)
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
        self.name == other.name
            && self.dimensions == other.dimensions
            && self.origin == other.origin
            && self.taken == other.taken
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
    /// Auxiliary coordinates: of several of its dimensions, of one but called otherwise, or of none. Each has a name of its own.
    pub auxiliary: Vec<Coordinate>,
    /// Attributes, while it is a value of the quantity that they speak of.
    pub attributes: Option<Arc<Attributes>>,
}

impl From<Array> for Labelled {
    fn from(array: Array) -> Self {
        Self { array, coordinates: Vec::new(), auxiliary: Vec::new(), attributes: None }
    }
}

impl Labelled {
    /// `array` with these labels, as far as dimensions of their names and lengths are left.
    pub(crate) fn with(&self, array: Array) -> Self {
        let coordinates = fitting(&array, self.coordinates.iter());
        let auxiliary = fitting_beside(&array, self.auxiliary.iter());
        Self { array, coordinates, auxiliary, attributes: self.attributes.clone() }
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
        moved.coordinates.retain(|own| !names.contains(&own.name.as_str()));
        moved.auxiliary.retain(|own| !own.dimensions.iter().any(|name| names.contains(&name.as_str())));
        moved
    }

    /// `array`, made of `parts` element by element. A dimension keeps coordinates if all parts that have some have the
    /// same ones, and so do auxiliary ones; attributes stay if `same_quantity` and all parts have the same units.
    pub(crate) fn merged(array: Array, parts: &[&Self], same_quantity: bool) -> Self {
        let all = || parts.iter().flat_map(|part| &part.coordinates);
        let mut coordinates = fitting(&array, all());
        let fits = |coordinate: &Coordinate, kept: &Coordinate| {
            coordinate.name != kept.name
                || coordinate.array.shape() != kept.array.shape()
                || coordinate.is_same(kept)
        };
        coordinates.retain(|kept| all().all(|coordinate| fits(coordinate, kept)));
        let beside = || parts.iter().flat_map(|part| &part.auxiliary);
        let mut auxiliary = fitting_beside(&array, beside());
        auxiliary.retain(|kept| beside().all(|other| other.name != kept.name || other.is_same(kept)));
        let attributes = match parts {
            [first, rest @ ..] if same_quantity => {
                let units = first.units();
                let same =
                    rest.is_empty() || units.is_some() && rest.iter().all(|part| part.units() == units);
                first.attributes.clone().filter(|_| same)
            }
            _ => None,
        };
        Self { array, coordinates, auxiliary, attributes }
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
                Index::At(_) | Index::Slice { .. } => {
                    if *item != Index::from(..) {
                        indexed.take_coordinates(self.name_of(axis), &Taken::Index(*item))?;
                    }
                    axis += 1;
                }
            }
        }
        Ok(indexed.with(indexed.array.clone()))
    }

    /// The elements at some positions along an axis, of its coordinates too.
    pub(super) fn taken(&self, axis: usize, taken: &Taken) -> Result<Self> {
        let mut picked = Self { array: taken.along(&self.array, axis)?, ..self.clone() };
        picked.take_coordinates(self.name_of(axis), taken)?;
        Ok(picked.with(picked.array.clone()))
    }

    /// Takes the same of all coordinates along a dimension. Where that is one position, those of the dimension are auxiliary ones
    /// from there on.
    fn take_coordinates(&mut self, dimension: Option<&str>, taken: &Taken) -> Result<()> {
        let Some(dimension) = dimension else { return Ok(()) };
        for own in self.coordinates.iter_mut().chain(&mut self.auxiliary) {
            if own.dimensions.iter().any(|name| name == dimension) {
                *own = own.at(dimension, taken)?;
            }
        }
        let (still, left): (Vec<_>, Vec<_>) =
            self.coordinates.drain(..).partition(Coordinate::is_of_dimension);
        self.coordinates = still;
        self.auxiliary.extend(left);
        Ok(())
    }

    fn name_of(&self, axis: usize) -> Option<&str> {
        self.array.names().get(axis).and_then(Option::as_deref)
    }

    /// The coordinates of an axis.
    pub(super) fn coordinate_along(&self, axis: usize) -> Option<&Coordinate> {
        let name = self.name_of(axis)?;
        self.coordinates.iter().find(|own| own.name == name)
    }

    /// The coordinates of a name, auxiliary ones too.
    pub(super) fn coordinate_called(&self, name: &str) -> Option<&Coordinate> {
        self.coordinates.iter().chain(&self.auxiliary).find(|own| own.name == name)
    }

    /// As this, with coordinates in place of those of their name that it has.
    pub(crate) fn with_coordinate(mut self, coordinate: Option<Coordinate>) -> Self {
        if let Some(coordinate) = coordinate {
            let kept = if coordinate.is_of_dimension() { &mut self.coordinates } else { &mut self.auxiliary };
            kept.retain(|own| own.name != coordinate.name);
            kept.push(coordinate);
        }
        self
    }

    /// `array`, in which boxes of as many positions along some axes of this one became one: its coordinates are the means of theirs, as
    /// xarray's.
    pub(super) fn coarsened(
        &self,
        array: Array,
        boxes: &[(usize, u64)],
        remainder: Remainder,
    ) -> Result<Self> {
        let axes: Vec<usize> = boxes.iter().map(|(axis, _)| *axis).collect();
        let named: Vec<(&str, u64)> =
            boxes.iter().filter_map(|(axis, factor)| Some((self.name_of(*axis)?, *factor))).collect();
        let mut coarse = self.moved(array, &axes);
        for own in self.coordinates.iter().chain(&self.auxiliary) {
            if named.iter().any(|(name, _)| own.dimensions.iter().any(|dimension| dimension == name)) {
                coarse = coarse.with_coordinate(own.coarsened(&named, remainder)?);
            }
        }
        Ok(coarse.with(coarse.array.clone()))
    }

    /// The reduction of a name over axes. A mean or an extreme of a quantity is a value of that quantity.
    pub(crate) fn reduce(&self, name: &str, what: Reduce, axes: Axes, keep_dims: bool) -> Result<Self> {
        let reduced = self.with(self.array.reduce(what, axes, keep_dims)?);
        let plain = name.strip_prefix("nan").unwrap_or(name);
        let same_quantity = matches!(plain, "min" | "max" | "amin" | "amax" | "mean" | "std" | "sum");
        Ok(if same_quantity { reduced } else { reduced.of_other_quantity() })
    }
}
