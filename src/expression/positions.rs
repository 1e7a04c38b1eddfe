//! Coordinates of axes whose positions are others than before: picked, joined, averaged over boxes, as xarray has them.
//!
//! Invariants: coordinates are lazy, as the elements are; where they would not mean the new positions there are none; no auxiliary
//! coordinates are called as a dimension. Called by `labelled` and by the functions.

use super::labelled::Coordinate;
use blockwise_core::array::{Axis, Index, Remainder};
use blockwise_core::{Array, Result};
use blockwise_io::Attributes;
use blockwise_kernels::filter::Coarsening;
use std::sync::Arc;

/// Attributes that speak of the coordinates as they are stored.
const OF_STORED: [&str; 5] = ["bounds", "climatology", "actual_range", "_FillValue", "missing_value"];

/// What is taken of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A slice, or one position, which takes the axis away.
    Index(Index),
    /// The elements at positions, in their order.
    At(Vec<i64>),
    /// All elements but those at positions.
    AllBut(Vec<i64>),
}

impl Taken {
    /// What is taken of an array along an axis.
    pub(super) fn along(&self, array: &Array, axis: usize) -> Result<Array> {
        match self {
            Self::Index(item) => {
                let mut items = vec![Index::from(..); axis];
                items.push(*item);
                array.index(&items)
            }
            Self::At(positions) => array.take(positions, axis),
            Self::AllBut(positions) => array.delete(positions, axis),
        }
    }
}

impl Coordinate {
    /// The coordinates of what is taken along one of their dimensions.
    pub(super) fn at(&self, dimension: &str, taken: &Taken) -> Result<Self> {
        let Some(axis) = self.dimensions.iter().position(|own| own == dimension) else {
            return Ok(self.clone());
        };
        let mut picked =
            Self { array: taken.along(&self.array, axis)?, numbers: Arc::default(), ..self.clone() };
        picked.taken.entry(dimension.to_owned()).or_default().push(taken.clone());
        if matches!(taken, Taken::Index(Index::At(_))) {
            picked.dimensions.remove(axis);
        }
        // Texts stand along one axis at most.
        if let Some(texts) = &self.texts {
            let positions = Array::from_fn(&[texts.len() as u64], |at| at.first().copied().unwrap_or(0))?;
            let positions = taken.along(&positions, 0)?.compute::<u64>()?;
            let text = |at: &u64| texts.get(usize::try_from(*at).ok()?).cloned();
            picked.texts = Some(positions.iter().filter_map(text).collect());
        }
        Ok(picked)
    }

    /// Coordinates one after the other along a dimension; `None` if it is not theirs, or they do not count the same.
    pub(super) fn joined(parts: &[&Self], dimension: &str) -> Result<Option<Self>> {
        let Some(first) = parts.first() else { return Ok(None) };
        let Some(axis) = first.dimensions.iter().position(|own| own == dimension) else { return Ok(None) };
        let said = |part: &Self, name: &str| part.attributes.get(name) == first.attributes.get(name);
        let is_alike = |part: &&Self| {
            part.name == first.name
                && part.dimensions == first.dimensions
                && part.texts.is_some() == first.texts.is_some()
                && part.numpy_unit == first.numpy_unit
                && said(part, "units")
                && said(part, "calendar")
        };
        if !parts.iter().all(is_alike) {
            return Ok(None);
        }
        let arrays: Vec<Array> = parts.iter().map(|part| part.array.clone()).collect();
        let origins: Vec<String> = parts.iter().map(|part| part.whole_origin()).collect();
        let origin = format!("one after the other: {}", origins.join(", "));
        let mut joined = first.remade(&origin, Array::concatenate(&arrays, axis)?);
        joined.numpy_unit.clone_from(&first.numpy_unit);
        if first.texts.is_some() {
            joined.texts =
                Some(parts.iter().filter_map(|part| part.texts.as_deref()).flatten().cloned().collect());
        }
        Ok(Some(joined))
    }

    /// The means of boxes, of as many positions along each dimension as `boxes` says; `None` of texts, of complex numbers, of what has no
    /// elements, and of NumPy's times, which count in whole units.
    pub(super) fn coarsened(&self, boxes: &[(&str, u64)], remainder: Remainder) -> Result<Option<Self>> {
        let has_means = self.texts.is_none() && self.numpy_unit.is_none() && !self.is_mapping;
        if !has_means || self.array.dtype().kind() == 'c' {
            return Ok(None);
        }
        let axis = |name: &str| self.dimensions.iter().position(|own| own == name);
        let own: Vec<(Axis, u64)> =
            boxes.iter().filter_map(|(name, factor)| Some((axis(name)?.into(), *factor))).collect();
        let origin = format!("means of {boxes:?}, {remainder:?}, of {}", self.whole_origin());
        let means = self.array.coarse(&own)?.remainder(remainder).reduce(Coarsening::Mean)?;
        Ok(Some(self.remade(&origin, means)))
    }

    /// Coordinates that are made of these, and count the same.
    pub(super) fn remade(&self, origin: &str, array: Array) -> Self {
        let mut attributes: Attributes = self.attributes.clone();
        for name in OF_STORED {
            attributes.remove(name);
        }
        Self {
            is_made: true,
            attributes,
            ..Self::of(self.dimensions.clone(), self.name.as_str(), origin, array)
        }
    }
}

/// The coordinates whose dimension `array` has, in its length; one for each.
pub(super) fn fitting<'a>(
    array: &Array,
    coordinates: impl Iterator<Item = &'a Coordinate>,
) -> Vec<Coordinate> {
    first_of_each(coordinates.filter(|own| own.fits(array)))
}

/// The auxiliary coordinates whose dimensions `array` has, in its lengths; one for each name, which no dimension has.
pub(super) fn fitting_beside<'a>(
    array: &Array,
    coordinates: impl Iterator<Item = &'a Coordinate>,
) -> Vec<Coordinate> {
    let is_dimension = |name: &str| array.names().iter().any(|own| own.as_deref() == Some(name));
    first_of_each(coordinates.filter(|own| own.fits(array) && !is_dimension(&own.name)))
}

fn first_of_each<'a>(coordinates: impl Iterator<Item = &'a Coordinate>) -> Vec<Coordinate> {
    let mut kept: Vec<Coordinate> = Vec::new();
    for coordinate in coordinates {
        if kept.iter().all(|other| other.name != coordinate.name) {
            kept.push(coordinate.clone());
        }
    }
    kept
}

impl Coordinate {
    /// Whether `array` has their dimensions, in their lengths.
    fn fits(&self, array: &Array) -> bool {
        let shape = array.shape();
        let extent = |name: &String| {
            let axis = array.names().iter().position(|own| own.as_ref() == Some(name))?;
            shape.get(axis).copied()
        };
        self.dimensions.len() == self.array.rank()
            && self.dimensions.iter().map(extent).eq(self.array.shape().into_iter().map(Some))
    }
}
