//! How files go together: along the one dimension in which they differ, or, where they differ in none, stacked along a new one;
//! and in which order.
//!
//! The rule is that of xarray's `combine_by_coords`: coordinates say what follows what. Invariants: files that differ in more than
//! one dimension, or overlap in it, are refused; nothing is sorted within a file. Called by [`super`].

use super::files::Files;
use super::summary::{Summary, summary};
use super::trees::{Trees, dimension_in};
use crate::cf::time::TimeUnits;
use crate::error::{Error, Result};
use blockwise_io::{ArrayInfo, AttributeValue};
use std::collections::BTreeMap;

/// How files go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// Behind one another along this dimension.
    Along(String),
    /// Each is a position of a new dimension of this name.
    Stacked(String),
}

/// How the files go together, and their order.
///
/// # Errors
/// If that cannot be told, or a coordinate cannot be read.
pub(super) fn joint(label: &str, trees: &Trees, files: &Files) -> Result<(Joint, Vec<usize>)> {
    let by_name: Vec<usize> = (0..files.paths().len()).collect();
    let mut differing = differing_lengths(trees);
    let coordinates = coordinates(trees, files)?;
    for (dimension, (_, summaries)) in &coordinates {
        let first = summaries.first();
        let other = summaries.iter().position(|own| first.is_some_and(|first| own.content != first.content));
        if let Some(other) = other {
            differing.entry(dimension.clone()).or_insert(other);
        }
    }
    let mut found = differing.into_iter();
    match (found.next(), found.next()) {
        (Some((dimension, _)), None) => {
            let order = match coordinates.get(&dimension) {
                Some((place, summaries)) => ordered(trees, files, *place, summaries)?,
                None => by_name,
            };
            Ok((Joint::Along(dimension), order))
        }
        (Some((one, first)), Some((two, second))) => {
            let what = format!(
                "the files differ in more than one dimension: '{one}' ({}) and '{two}' ({}); join them along one at a time, or name fewer",
                files.name(first),
                files.name(second)
            );
            Err(Error::Refused { path: label.to_owned(), what })
        }
        (None, _) => Ok((alike(trees, |dimension| coordinates.contains_key(dimension)), by_name)),
    }
}

/// How files go together whose dimensions are the same: along the one that may grow and has no coordinates, or else stacked.
fn alike(trees: &Trees, has_coordinates: impl Fn(&str) -> bool) -> Joint {
    let mut records: Vec<String> = Vec::new();
    for info in &trees.arrays {
        for (name, unlimited) in trees.dimensions(info).into_iter().zip(&info.unlimited) {
            if let Some(name) = name.filter(|name| *unlimited && !has_coordinates(name))
                && !records.contains(&name)
            {
                records.push(name);
            }
        }
    }
    if let [record] = records.as_slice() {
        return Joint::Along(record.clone());
    }
    let is_taken = |name: &String| {
        trees.arrays.iter().any(|info| {
            info.path.name() == Some(name)
                || info.dimension_names.iter().any(|own| own.as_ref() == Some(name))
        })
    };
    let names = std::iter::once("file".to_owned()).chain((1_u32..).map(|number| format!("file_{number}")));
    Joint::Stacked(names.into_iter().find(|name| !is_taken(name)).unwrap_or_default())
}

/// Dimensions that have another length in some file than in the first, with such a file.
fn differing_lengths(trees: &Trees) -> BTreeMap<String, usize> {
    let mut differing = BTreeMap::new();
    for (place, info) in trees.arrays.iter().enumerate() {
        let dimensions = trees.dimensions(info);
        for number in 0..trees.files.len() {
            // An array whose axes stand in another order elsewhere is refused by itself.
            let has_same_axes = |own: &ArrayInfo| own.dimension_names == info.dimension_names;
            let shape = trees.shape(number, place).filter(|shape| shape.len() == info.shape.len());
            let Some(shape) = shape.filter(|_| trees.info(number, place).is_some_and(has_same_axes)) else {
                continue;
            };
            for ((name, own), first) in dimensions.iter().zip(shape).zip(&info.shape) {
                if let Some(name) = name.as_ref().filter(|_| own != first) {
                    differing.entry(name.clone()).or_insert(number);
                }
            }
        }
    }
    differing
}

/// What the coordinates of each dimension are in every file, where all have them; with their place among the arrays.
fn coordinates(trees: &Trees, files: &Files) -> Result<BTreeMap<String, (usize, Vec<Summary>)>> {
    let mut all = BTreeMap::new();
    for (place, info) in trees.arrays.iter().enumerate() {
        let Some(name) = info.path.name().filter(|_| info.is_coordinate) else { continue };
        let dimension = dimension_in(&info.path.parent().unwrap_or_default(), name);
        let of_file = |number: usize| match trees.info(number, place) {
            Some(own) => summary_as(files, number, info, own),
            None => Ok(None),
        };
        let summaries: Option<Vec<Summary>> =
            (0..trees.files.len()).map(of_file).collect::<blockwise_io::Result<_>>()?;
        if let Some(summaries) = summaries {
            all.insert(dimension, (place, summaries));
        }
    }
    Ok(all)
}

/// The units of time that an array counts; `None` if it counts no time.
pub(super) fn time_units(info: &ArrayInfo) -> Option<TimeUnits> {
    let text = |name: &str| match info.attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    TimeUnits::parse(text("units")?, text("calendar").unwrap_or("standard")).ok()
}

/// The order in which coordinates follow each other.
fn ordered(trees: &Trees, files: &Files, place: usize, summaries: &[Summary]) -> Result<Vec<usize>> {
    let by_name: Vec<usize> = (0..summaries.len()).collect();
    let directions: Vec<bool> = summaries.iter().filter_map(|summary| summary.ascends).collect();
    let is_mixed = directions.iter().any(|ascends| Some(ascends) != directions.first());
    if is_mixed || summaries.iter().any(|summary| summary.is_unordered) {
        return Ok(by_name);
    }
    let Some(first) = trees.arrays.get(place) else { return Ok(by_name) };
    for number in by_name {
        if trees.info(number, place).is_some_and(|own| !counts_as(first, own)) {
            let what = format!(
                "'{}' is counted otherwise in {} than in {} (units, calendar); bring them into one",
                first.path,
                files.name(number),
                files.name(0)
            );
            let path = files.paths().get(number).map(|path| path.display().to_string()).unwrap_or_default();
            return Err(Error::Refused { path, what });
        }
    }
    let mut spans = Vec::new();
    let mut empty = Vec::new();
    for (number, summary) in summaries.iter().enumerate() {
        match summary.ends {
            Some(ends) => spans.push((number, ends)),
            None => empty.push(number),
        }
    }
    // One number alone ascends, as in xarray.
    let ascends = directions.first().copied().unwrap_or(true);
    spans.sort_by(|(_, a), (_, b)| if ascends { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) });
    for pair in spans.windows(2) {
        let [(one, before), (two, after)] = pair else { continue };
        let follows = if ascends { before.1 < after.0 } else { before.1 > after.0 };
        if !follows {
            let what = format!(
                "files overlap along '{}': {} ends at {}, {} begins at {}; name files that follow each other",
                first.path,
                files.name(*one),
                before.1,
                files.name(*two),
                after.0
            );
            let path = files.paths().get(*two).map(|path| path.display().to_string()).unwrap_or_default();
            return Err(Error::Refused { path, what });
        }
    }
    Ok(spans.into_iter().map(|(number, _)| number).chain(empty).collect())
}

/// What `own`, the form that `first` has in the file `number`, holds there, counted as in the first file where both count time.
pub(super) fn summary_as(
    files: &Files,
    number: usize,
    first: &ArrayInfo,
    own: &ArrayInfo,
) -> blockwise_io::Result<Option<Summary>> {
    let other = (!is_counted_alike(first, own)).then(|| time_units(first).zip(time_units(own))).flatten();
    let other = other.filter(|(to, from)| to.calendar() == from.calendar());
    summary(&*files.file(number)?.container.array(&own.path)?, other.as_ref())
}

/// Whether numbers of both mean the same, or can be made to.
pub(super) fn counts_as(first: &ArrayInfo, own: &ArrayInfo) -> bool {
    let times = || time_units(first).zip(time_units(own));
    is_counted_alike(first, own) || times().is_some_and(|(to, from)| to.calendar() == from.calendar())
}

/// Whether two arrays have the same units, or other words for them.
pub(super) fn is_counted_alike(first: &ArrayInfo, own: &ArrayInfo) -> bool {
    let word = |info: &ArrayInfo, name: &str| match info.attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(text.trim().replace("degrees", "degree")),
        Some(other) => Some(format!("{other:?}")),
        None => None,
    };
    ["units", "calendar"].iter().all(|name| word(first, name) == word(own, name))
}
