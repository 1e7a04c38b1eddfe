//! What an array needs to become a dataset: stored type, shape, fill value, attributes, dimensions.
//!
//! Invariants: shapes here are the dataset's; streamed shapes have the axis of bytes that strings add. Called by the
//! writer.

use super::dimensions::Dimensions;
use super::elements::{Stored, cf_time_unit, converted};
use super::file::DatasetId;
use super::layout::{Layout, Pipeline};
use super::scales::ScaledArray;
use crate::attribute::{AttributeValue, Attributes};
use crate::container::{ArraySpec, ElementType, Format, NodePath};
use blockwise_core::region::{MAX_RANK, byte_count};
use blockwise_kernels::{DType, Scalar};

/// The parts of a dataset to be created.
#[derive(Clone, Debug)]
pub(super) struct ArrayParts {
    /// The stored type; `None` for texts of any length.
    pub(super) stored: Option<Stored>,
    /// Type of streamed elements.
    pub(super) stream_dtype: DType,
    /// Shape of the dataset.
    pub(super) shape: Vec<u64>,
    /// Which axes may grow.
    pub(super) unlimited: Vec<bool>,
    /// Bytes of the axis that is streamed but is no axis of the dataset (strings of fixed length in HDF5).
    inner_bytes: Option<u64>,
    /// Bytes of the axis that the dataset has beyond the array's (strings of fixed length in NetCDF).
    outer_bytes: Option<u64>,
    /// One stored element of what was never written.
    pub(super) fill: Option<Vec<u8>>,
    /// Attributes, with those that the stored type needs.
    pub(super) attributes: Attributes,
    /// NetCDF's dimension of each axis.
    pub(super) dimensions: Vec<usize>,
    /// The layout, once it is known.
    pub(super) layout: Option<Layout>,
}

impl ArrayParts {
    /// The parts of `spec` in `format`; the refusal says what to do instead.
    pub(super) fn new(spec: &ArraySpec, format: Format) -> Result<Self, String> {
        if spec.shard_shape.is_some() {
            return Err(format!("{format} has no shards; leave out --shards"));
        }
        let stored = match &spec.element_type {
            ElementType::Text => None,
            other => Some(Stored::of(other, format)?),
        };
        let mut shape = spec.shape.clone();
        let mut unlimited: Vec<bool> = spec.unlimited.clone();
        unlimited.resize(shape.len(), false);
        let (mut inner_bytes, mut outer_bytes) = (None, None);
        if let ElementType::FixedBytes { len_bytes } = &spec.element_type {
            if format == Format::Hdf5 {
                inner_bytes = Some(*len_bytes);
            } else if *len_bytes == 1 {
                // A char variable: each string is one element, which streams with a last axis of 1.
                inner_bytes = Some(1);
            } else {
                outer_bytes = Some(*len_bytes);
                shape.push(*len_bytes);
                unlimited.push(false);
            }
        }
        if shape.len() > MAX_RANK {
            return Err(format!("{} axes are more than the {MAX_RANK} that HDF5 has", shape.len()));
        }
        let stream_dtype = spec.element_type.stream_dtype().unwrap_or(DType::U8);
        let mut attributes = spec.attributes.clone();
        describe(spec, format, &mut attributes)?;
        let fill = match stored {
            Some(stored) => fill_bytes(spec, stored, stream_dtype, &mut attributes)?,
            None => None,
        };
        let (dimensions, layout) = (Vec::new(), None);
        Ok(Self {
            stored,
            stream_dtype,
            shape,
            unlimited,
            inner_bytes,
            outer_bytes,
            fill,
            attributes,
            dimensions,
            layout,
        })
    }

    /// The chunk shape that `spec` asks for, as one of the dataset.
    pub(super) fn chunk_of(&self, spec: &ArraySpec) -> Option<Vec<u64>> {
        let mut chunk = spec.chunk_shape.clone()?;
        chunk.extend(self.outer_bytes);
        Some(chunk)
    }

    /// Shape of the array and of `boxes`, as they stream.
    pub(super) fn streamed(&self, boxes: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let with_bytes = |shape: &[u64]| shape.iter().copied().chain(self.inner_bytes).collect();
        (with_bytes(&self.shape), with_bytes(boxes))
    }

    /// Bytes of all elements.
    pub(super) fn size_bytes(&self) -> u64 {
        byte_count(&self.shape, self.stored.map_or(16, Stored::item_bytes)).unwrap_or(u64::MAX)
    }

    /// One streamed element of what was never written.
    pub(super) fn stream_fill(&self) -> Vec<u8> {
        let size = self.stream_dtype.size();
        self.fill.as_ref().and_then(|fill| fill.get(..size)).map_or_else(|| vec![0; size], <[u8]>::to_vec)
    }

    /// How chunks are encoded, as [`Source::encoding`](blockwise_core::Source::encoding) has it. Chunks are full at
    /// the edges; the fill value belongs to it because an absent chunk stands for it.
    pub(super) fn encoding(&self, stored: Stored, boxes: &[u64], pipeline: &Pipeline) -> String {
        let order = if cfg!(target_endian = "little") { "little" } else { "big" };
        let (dtype, item_bytes, fill) = (self.stream_dtype, stored.item_bytes(), self.stream_fill());
        format!("hdf5 {dtype} {item_bytes} {order} {boxes:?} fill {fill:?} {}", pipeline.chain)
    }
}

/// Adds the attributes that say what the stored numbers mean.
fn describe(spec: &ArraySpec, format: Format, attributes: &mut Attributes) -> Result<(), String> {
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    match &spec.element_type {
        ElementType::Number(DType::Bool) if format == Format::NetCdf4 => {
            attributes.set("dtype", text("bool"));
        }
        ElementType::DateTime { unit, difference } => {
            let Some(name) = cf_time_unit(unit) else {
                return Err(format!(
                    "times in units of '{unit}' have no name in the CF conventions; store them as datetime64[s] or \
                     finer, or leave the array out with --exclude"
                ));
            };
            if *difference {
                attributes.set("dtype", text(&format!("timedelta64[{unit}]")));
                attributes.set("units", text(name));
            } else {
                attributes.set("units", text(&format!("{name} since 1970-01-01")));
                attributes.set("calendar", text("proleptic_gregorian"));
            }
            if !spec.is_coordinate && attributes.get("_FillValue").is_none() {
                // NumPy's "not a time".
                attributes.set("_FillValue", AttributeValue::Number(Scalar::from(i64::MIN)));
            }
        }
        ElementType::Text if format == Format::NetCdf4 => {
            // The value that is missing has the type of the array, `string`; a text alone would be `char`.
            if let Some(AttributeValue::Text(missing)) = attributes.get("_FillValue") {
                attributes.set("_FillValue", AttributeValue::Texts(vec![missing.clone()]));
            }
        }
        _ => {}
    }
    Ok(())
}

/// One stored element of what was never written; brings `_FillValue` to the array's own type.
fn fill_bytes(
    spec: &ArraySpec,
    stored: Stored,
    stream_dtype: DType,
    attributes: &mut Attributes,
) -> Result<Option<Vec<u8>>, String> {
    let number = match attributes.get("_FillValue") {
        Some(AttributeValue::Number(number)) => Some(*number),
        Some(AttributeValue::Numbers(_, numbers)) => numbers.first().copied(),
        _ => None,
    };
    let strings = matches!(spec.element_type, ElementType::FixedBytes { .. });
    let mut missing = None;
    if let (Some(number), false) = (number, strings) {
        let own = converted(&number, stream_dtype).ok_or_else(|| {
            format!("_FillValue {number} is no {stream_dtype}; remove it or give another --dtype")
        })?;
        // A bool is stored as a byte in NetCDF and as an enumeration in HDF5.
        let as_stored = match (stored, own.get::<bool>()) {
            (Stored::Number(DType::I8), Some(own)) => Scalar::from(i8::from(own)),
            _ => own,
        };
        attributes.set("_FillValue", AttributeValue::Number(as_stored));
        missing = Some(own);
    }
    let Some(fill) = spec.fill_value.or(missing) else { return Ok(None) };
    let fill = converted(&fill, stream_dtype)
        .ok_or_else(|| format!("the fill value {fill} is no {stream_dtype}; give another --dtype"))?;
    let repeats = if let Stored::FixedText(len) = stored { len } else { 1 };
    Ok(Some(fill.bytes().repeat(repeats)))
}

/// An array that was created.
#[derive(Clone, Debug)]
pub(super) struct ArrayRecord {
    /// Where it stands.
    pub(super) node: NodePath,
    /// Its path in the file.
    pub(super) path: String,
    /// Its dataset.
    pub(super) dataset: DatasetId,
    /// Its NetCDF dimensions, if it is NetCDF.
    pub(super) dimensions: Vec<usize>,
    /// Its dimension names.
    pub(super) names: Vec<Option<String>>,
    /// Its shape.
    pub(super) shape: Vec<u64>,
    /// Which of its axes may grow.
    pub(super) unlimited: Vec<bool>,
}

impl ArrayRecord {
    /// The record of a new dataset.
    pub(super) fn new(spec: &ArraySpec, path: String, dataset: DatasetId, parts: &ArrayParts) -> Self {
        let (dimensions, unlimited) = (parts.dimensions.clone(), parts.unlimited.clone());
        let (names, shape) = (spec.dimension_names.clone(), spec.shape.clone());
        Self { node: spec.path.clone(), path, dataset, dimensions, names, shape, unlimited }
    }

    /// This array with the scales of its axes.
    pub(super) fn scaled(&self, axes: Vec<Option<usize>>) -> ScaledArray {
        ScaledArray { path: self.path.clone(), dataset: self.dataset, axes }
    }

    /// Whether it is named as its only axis.
    pub(super) fn is_coordinate(&self) -> bool {
        matches!(&self.names[..], [Some(name)] if Some(name.as_str()) == self.node.name())
            && self.shape.len() == 1
    }
}

/// Gives each axis of the dataset its NetCDF dimension; the refusal says which lengths contradict each other.
pub(super) fn resolve_dimensions(
    dimensions: &mut Dimensions,
    spec: &ArraySpec,
    parts: &mut ArrayParts,
) -> Result<(), String> {
    let group = spec.path.parent().unwrap_or_default();
    for (axis, &length) in parts.shape.iter().enumerate() {
        let grows = parts.unlimited.get(axis).copied().unwrap_or(false);
        let strings =
            parts.outer_bytes.filter(|_| axis == spec.shape.len()).map(|len| format!("string{len}"));
        let name = strings.or_else(|| spec.dimension_names.get(axis).cloned().flatten());
        let number = match name {
            Some(name) => dimensions.resolve(&group, &name, length, grows)?,
            None => dimensions.nameless(length, grows, &parts.dimensions)?,
        };
        parts.dimensions.push(number);
    }
    for (grows, &number) in parts.unlimited.iter_mut().zip(&parts.dimensions) {
        *grows |= dimensions.list().get(number).is_some_and(|dimension| dimension.unlimited);
    }
    Ok(())
}

/// Takes note if the array at `position` holds the coordinates of its first dimension.
pub(super) fn note_coordinates(
    dimensions: &mut Dimensions,
    spec: &ArraySpec,
    numbers: &[usize],
    position: usize,
) {
    let (Some(&first), Some(name)) = (numbers.first(), spec.path.name()) else { return };
    let group = spec.path.parent().unwrap_or_default();
    if let Some(dimension) = dimensions.get_mut(first)
        && dimension.name == name
        && dimension.group == group
    {
        dimension.variable = Some(position);
    }
}
