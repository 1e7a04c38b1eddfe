//! Whether arrays that meet element by element mean the same positions: by the names of their dimensions, and by coordinates.
//!
//! NumPy matches axes by where they stand. Where names or coordinates are known and speak against that, the result would be
//! wrong without a word, so it is refused. Invariants: axes without names, of length 1, or without coordinates are free; elements
//! of arrays are not read, those of coordinates once. Called by [`super::functions::elementwise`], and
//! where arrays are joined.

use super::error::{Outcome, Trouble};
use super::labelled::{Coordinate, Labelled};
use blockwise_core::region::element_count;
use blockwise_kernels::DType;
use std::sync::Arc;

/// Positions that are compared, 8 MiB of them, which stay for the next operation; longer coordinates count as equal.
const MAX_POSITIONS: u64 = 1 << 20;

/// How far equal coordinates may be apart, in mean distances of neighbours: single precision against double, and no more.
const TOLERANCE: f64 = 1e-3;

/// Checks operands that are to meet position by position; where coordinates of different origin are equal, all get the first's.
pub(super) fn aligned(operands: &mut [Labelled]) -> Outcome<()> {
    for at in 1..operands.len() {
        let (before, rest) = operands.split_at_mut(at);
        let Some(own) = rest.first_mut() else { continue };
        for other in before {
            check_names(other, own)?;
            check_coordinates(other, own, None)?;
        }
    }
    Ok(())
}

/// Checks the coordinates of arrays that are to be joined along a dimension, or along a new one; where those of the others are
/// equal, all get the first's.
pub(super) fn joinable(parts: &mut [Labelled], along: Option<&str>) -> Outcome<()> {
    for at in 1..parts.len() {
        let (before, rest) = parts.split_at_mut(at);
        let Some(own) = rest.first_mut() else { continue };
        for other in before {
            check_coordinates(other, own, along)?;
        }
    }
    Ok(())
}

/// Refuses two named dimensions of different names that would meet.
fn check_names(left: &Labelled, right: &Labelled) -> Outcome<()> {
    let (left_shape, right_shape) = (left.array.shape(), right.array.shape());
    let axes = |shape: &[u64], names: &[Option<String>]| {
        shape.iter().copied().zip(names.iter().cloned()).rev().collect::<Vec<_>>()
    };
    let left_axes = axes(&left_shape, left.array.names());
    let right_axes = axes(&right_shape, right.array.names());
    for ((left_extent, a), (right_extent, b)) in left_axes.into_iter().zip(right_axes) {
        let (Some(a), Some(b)) = (a, b) else { continue };
        // Lengths that do not broadcast are a fault of their own.
        if a == b || left_extent == 1 || left_extent != right_extent {
            continue;
        }
        let what = format!(
            "the dimension '{a}' meets '{b}': axes are matched from the last, as in NumPy, not by name; bring them into one \
             order with transpose, give the array with fewer axes new ones as in w[:, newaxis] or expand_dims(w, -1), or \
             take the names off with unlabelled(x)"
        );
        return Err(Trouble::here(what));
    }
    Ok(())
}

/// Refuses a dimension, other than `but`, that has one set of coordinates here and another there.
fn check_coordinates(left: &Labelled, right: &mut Labelled, but: Option<&str>) -> Outcome<()> {
    for own in right.coordinates.iter_mut().filter(|own| Some(own.name.as_str()) != but) {
        let Some(other) = left.coordinates.iter().find(|other| other.name == own.name) else {
            continue;
        };
        if own.origin == other.origin {
            continue;
        }
        if let (Some(theirs), Some(ours)) = (&other.texts, &own.texts) {
            let mut pairs = theirs.iter().zip(&**ours).enumerate();
            if let Some((at, (a, b))) = pairs.find(|(_, (a, b))| a != b) {
                return Err(differ(own, other, at, &format!("'{a}'"), &format!("'{b}'")));
            }
            *own = other.clone();
            continue;
        }
        if !are_comparable(own, other) {
            continue;
        }
        let (theirs, ours) = (other.numbers()?, own.numbers()?);
        let Some((at, a, b)) = first_difference(&theirs, &ours) else {
            *own = other.clone();
            continue;
        };
        return Err(differ(own, other, at, &a.to_string(), &b.to_string()));
    }
    // Auxiliary ones say nothing of who meets whom: where they differ the result has none.
    for own in &mut right.auxiliary {
        let Some(other) = left.auxiliary.iter().find(|other| other.name == own.name) else { continue };
        if own.origin != other.origin && own.dimensions == other.dimensions && own.says_the_same(other) {
            *own = other.clone();
        }
    }
    Ok(())
}

fn differ(own: &Coordinate, other: &Coordinate, at: usize, a: &str, b: &str) -> Trouble {
    // How they were made of others is long, and says little.
    let said = |of: &Coordinate| match of.is_made && of.texts.is_none() {
        true => "what was made of others".to_owned(),
        false => of.origin.to_string(),
    };
    Trouble::here(format!(
        "the coordinates of '{}' differ: position {at} is {a} in {} and {b} in {}; bring both to the same positions by \
         slices (x[::-1] turns an axis round), or take the coordinates off with unlabelled(x)",
        own.name,
        said(other),
        said(own)
    ))
}

/// Whether the numbers of two coordinates count the same.
fn are_comparable(a: &Coordinate, b: &Coordinate) -> bool {
    let real = |coordinate: &Coordinate| matches!(coordinate.array.dtype().kind(), 'i' | 'u' | 'f');
    let said = |name: &str| a.attributes.get(name) == b.attributes.get(name);
    a.array.shape() == b.array.shape()
        && element_count(&a.array.shape()).is_some_and(|count| count <= MAX_POSITIONS)
        && a.texts.is_none()
        && b.texts.is_none()
        && real(a)
        && real(b)
        && a.numpy_unit == b.numpy_unit
        && said("units")
        && (!a.is_time() || said("calendar"))
}

/// The first position where numbers differ, and both.
fn first_difference(a: &[f64], b: &[f64]) -> Option<(usize, f64, f64)> {
    let known = || a.iter().copied().filter(|number| number.is_finite());
    let (low, high) =
        known().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    #[expect(clippy::cast_precision_loss, reason = "a tolerance")]
    let step = (high - low) / (a.len().max(2) - 1) as f64;
    let apart = if step > 0.0 { step * TOLERANCE } else { high.abs() * 1e-6 };
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= apart;
    a.iter().zip(b).position(|(a, b)| !same(*a, *b)).and_then(|at| Some((at, *a.get(at)?, *b.get(at)?)))
}

impl Coordinate {
    /// Whether these and others of another origin stand for the same, as far as that can be told.
    fn says_the_same(&self, other: &Self) -> bool {
        if self.is_mapping || other.is_mapping {
            return self.is_mapping == other.is_mapping && self.attributes == other.attributes;
        }
        if self.texts.is_some() || other.texts.is_some() {
            return self.texts == other.texts;
        }
        if !are_comparable(self, other) {
            return false;
        }
        match (other.numbers(), self.numbers()) {
            (Ok(theirs), Ok(own)) => first_difference(&theirs, &own).is_none(),
            // What is computed needs none of them.
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!("coordinates '{}' are left out: {error}", self.name);
                false
            }
        }
    }

    /// The elements as doubles, which are read at the first call.
    fn numbers(&self) -> blockwise_core::Result<Arc<[f64]>> {
        if let Some(known) = self.numbers.get() {
            return Ok(Arc::clone(known));
        }
        let read: Arc<[f64]> = self.array.astype(DType::F64).compute::<f64>()?.into_iter().collect();
        Ok(Arc::clone(self.numbers.get_or_init(|| read)))
    }
}
