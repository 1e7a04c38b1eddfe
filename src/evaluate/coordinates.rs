//! Coordinates of an input: those of its dimensions, and what CF attributes name beside them.
//!
//! Invariants: coordinates are unpacked as data are; auxiliary ones that cannot be opened, and what is of no type of coordinates, are
//! left out with a warning, and are no failure of what is computed; nothing is read but texts. Called where an input is opened.

use super::EvalOptions;
use crate::cf;
use crate::error::{Error, Result};
use crate::expression::{Coordinate, Labelled};
use crate::location::{Opened, is_within};
use crate::select::places;
use blockwise_core::adapt::{Unpack, Unpacking};
use blockwise_core::region::byte_count;
use blockwise_core::{Array, DType, Scalar, Source};
use blockwise_io::{ArrayInfo, AttributeValue, Attributes, ElementType, NodePath};
use std::sync::Arc;

/// Bytes of texts that coordinates may have: they are held beside the budget.
const MOST_TEXT_BYTES: u64 = 8 << 20;

/// Coordinates as they are stored, by where they come from.
type Stored = Vec<(Arc<str>, ArrayInfo)>;

/// Adds the coordinates of the array `info` to its `value`, and what is stored of them to `stored`.
pub(super) fn add(
    value: &mut Labelled,
    stored: &mut Stored,
    opened: &Opened,
    info: &ArrayInfo,
    options: &EvalOptions,
) -> Result<()> {
    let names = value.array.names().to_vec();
    for (name, extent) in names.iter().zip(&info.shape) {
        let Some(name) = name else { continue };
        let wanted = |candidate: &ArrayInfo| match candidate.shape.as_slice() {
            [own] => own == extent,
            [own, _] => own == extent && is_of_letters(candidate),
            _ => false,
        };
        let Some(found) = nearest(opened, info, name, wanted) else { continue };
        let dimensions = vec![name.clone()];
        value.coordinates.extend(coordinate(opened, found, dimensions, stored, options)?);
    }
    for name in auxiliary_names(opened, info) {
        let last = name.rsplit('/').next().unwrap_or_default();
        let is_dimension = names.iter().any(|own| own.as_deref() == Some(last));
        if is_dimension || value.auxiliary.iter().any(|own| own.name == last) {
            continue;
        }
        let spans = |candidate: &ArrayInfo| dimensions_in(candidate, info, &names).is_some();
        let Some(found) = nearest(opened, info, &name, spans) else { continue };
        let Some(dimensions) = dimensions_in(found, info, &names) else { continue };
        match coordinate(opened, found, dimensions, stored, options) {
            Ok(own) => value.auxiliary.extend(own),
            // Nothing is computed with them unless they are asked for by name.
            Err(error) => tracing::warn!("coordinates '{last}' are left out: {error}"),
        }
    }
    if let Some(name) = mapping_name(info)
        && let Some(found) = nearest(opened, info, name, |_| true)
    {
        let (name, origin) = (found.path.name().unwrap_or_default(), opened.label(&found.path));
        value.auxiliary.retain(|own| own.name != name);
        value.auxiliary.push(Coordinate::mapping(name, &origin, found.attributes.clone())?);
    }
    Ok(())
}

/// What attributes call auxiliary coordinates: those of the array, and of the groups that it stands in.
fn auxiliary_names(opened: &Opened, info: &ArrayInfo) -> Vec<String> {
    let above = opened.groups.iter().filter(|group| is_within(&info.path, &group.path));
    let said = std::iter::once(&info.attributes).chain(above.map(|group| &group.attributes));
    let texts = said.filter_map(|attributes| text_of(attributes, "coordinates"));
    texts.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// The variable that says how the map is drawn; that of the first coordinates, where each has its own.
fn mapping_name(info: &ArrayInfo) -> Option<&str> {
    let first = text_of(&info.attributes, "grid_mapping")?.split_whitespace().next()?;
    Some(first.trim_end_matches(':'))
}

fn text_of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    match attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// The dimensions of a candidate if the array has all of them, under `names`, in its lengths.
fn dimensions_in(candidate: &ArrayInfo, array: &ArrayInfo, names: &[Option<String>]) -> Option<Vec<String>> {
    let own = |(name, extent): (&Option<String>, &u64)| {
        let name = name.as_ref()?;
        let axis = names.iter().position(|known| known.as_ref() == Some(name))?;
        (array.shape.get(axis) == Some(extent)).then(|| name.clone())
    };
    let axes = || candidate.dimension_names.iter().zip(&candidate.shape);
    let mut rank = candidate.shape.len();
    let mut dimensions: Option<Vec<String>> = axes().map(own).collect();
    if dimensions.is_none() && is_of_letters(candidate) {
        rank = rank.saturating_sub(1);
        dimensions = axes().take(rank).map(own).collect();
    }
    let dimensions = dimensions?;
    let is_repeated = dimensions
        .iter()
        .enumerate()
        .any(|(at, name)| dimensions.iter().skip(at + 1).any(|other| other == name));
    (dimensions.len() == rank && !is_repeated).then_some(dimensions)
}

/// Whether the last axis may be the letters of texts, as NetCDF has them.
fn is_of_letters(candidate: &ArrayInfo) -> bool {
    candidate.element_type == ElementType::FixedBytes { len_bytes: 1 }
}

/// The array of a name, or at a path, that is `wanted`, nearest above `array`.
fn nearest<'a>(
    opened: &'a Opened,
    array: &ArrayInfo,
    name: &str,
    wanted: impl Fn(&ArrayInfo) -> bool,
) -> Option<&'a ArrayInfo> {
    let at = |path: NodePath| {
        let mut arrays = opened.arrays.iter();
        arrays.find(|own| own.path == path && own.path != array.path && wanted(own))
    };
    places(name, array.path.parent()).find_map(at)
}

/// What an array is as coordinates of dimensions; `None` of types that cannot be.
fn coordinate(
    opened: &Opened,
    found: &ArrayInfo,
    dimensions: Vec<String>,
    stored: &mut Stored,
    options: &EvalOptions,
) -> Result<Option<Coordinate>> {
    let origin: Arc<str> = opened.label(&found.path).into();
    let name = found.path.name().unwrap_or_default().to_owned();
    match &found.element_type {
        ElementType::Text | ElementType::FixedBytes { .. } if dimensions.len() <= 1 => {
            return names(opened, found, dimensions, &name, &origin);
        }
        ElementType::Number(_) | ElementType::DateTime { .. } => {}
        other => {
            tracing::warn!("{origin}: coordinates of type {other} are left out");
            return Ok(None);
        }
    }
    let (source, found) = unpacked(opened, found, options)?;
    let names = dimensions.iter().cloned().map(Some).collect();
    let array = Array::from_source(source).with_some_names(names)?;
    let mut coordinate = Coordinate::of(dimensions, name, Arc::clone(&origin), array);
    if let ElementType::DateTime { unit, difference: false } = &found.element_type {
        coordinate.numpy_unit = Some(unit.clone());
    }
    let coordinate = coordinate.with_attributes(found.attributes.clone());
    stored.push((origin, found));
    Ok(Some(coordinate))
}

/// Coordinates that are texts: they are read here, since nothing computes with them, unless they are long.
fn names(
    opened: &Opened,
    found: &ArrayInfo,
    dimensions: Vec<String>,
    name: &str,
    origin: &Arc<str>,
) -> Result<Option<Coordinate>> {
    let stored = opened.array(&found.path)?;
    let texts = match found.element_type {
        ElementType::Text => match stored.read_texts(MOST_TEXT_BYTES) {
            Ok(read) => read.texts,
            Err(error @ blockwise_io::Error::Limit { .. }) => {
                tracing::warn!("coordinates are left out: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        },
        _ => {
            let letters = Array::from_source(stored.source()?);
            if byte_count(&letters.shape(), 1).is_none_or(|bytes| bytes > MOST_TEXT_BYTES) {
                tracing::warn!(
                    "{origin}: coordinates are left out: their texts have more than {MOST_TEXT_BYTES} bytes"
                );
                return Ok(None);
            }
            let count = dimensions.first().and(found.shape.first()).copied().unwrap_or(1);
            of_fixed_length(&letters.compute::<u8>()?.into_raw_vec_and_offset().0, count)
        }
    };
    // Their elements are where they stand.
    let array = match dimensions.as_slice() {
        [] => Array::zeros(&[], DType::F64)?,
        [name, ..] => Array::arange(0.0, texts.len() as f64, 1.0)?.with_names(&[name])?,
    };
    let coordinate = Coordinate::of(dimensions, name, Arc::clone(origin), array);
    let mut attributes = found.attributes.clone();
    for of_letters in ["_Encoding", "_FillValue"] {
        attributes.remove(of_letters);
    }
    Ok(Some(coordinate.with_attributes(attributes).with_texts(texts)))
}

/// `count` texts of one length, filled up with NUL or, as from Fortran, with spaces.
fn of_fixed_length(bytes: &[u8], count: u64) -> Vec<String> {
    let count = usize::try_from(count).unwrap_or(0);
    let text = |bytes: &[u8]| {
        let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
    };
    match bytes.len().checked_div(count) {
        None => Vec::new(),
        Some(0) => vec![String::new(); count],
        Some(length) => bytes.chunks_exact(length).map(text).collect(),
    }
}

/// The elements of coordinates as the values that they stand for, and what a copy of those is.
fn unpacked(
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
