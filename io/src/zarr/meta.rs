//! What the metadata of an array says, the same for both versions.
//!
//! Invariants: ranks agree, no chunk length is 0, sizes fit 64 bits; an array whose codecs or types are not supported
//! can be described but not read, and says by name why. Called by the hierarchy (parsing) and the writer (emitting).

pub(crate) mod v2;
pub(crate) mod v3;

use super::element::StoredType;
use super::json::{corrupt, excerpt};
use super::keys::KeyEncoding;
use super::pipeline::{Body, Pipeline};
use crate::attribute::Attributes;
use crate::container::{ArrayInfo, ElementType, Format, NodePath};
use crate::error::{Error, Result};
use blockwise_core::ChunkGrid;
use blockwise_kernels::Scalar;
use serde_json::Value;

/// The parsed metadata of an array.
#[derive(Clone, Debug)]
pub(crate) struct ArrayMeta {
    /// The version.
    pub(crate) format: Format,
    /// The document, for messages.
    pub(crate) path: String,
    /// What elements are.
    pub(crate) stored: StoredType,
    /// Elements per axis.
    pub(crate) shape: Vec<u64>,
    /// Elements of a stored chunk (a shard) per axis.
    pub(crate) chunk_shape: Vec<u64>,
    /// The element of absent chunks; `None` if undefined.
    pub(crate) fill: Option<Vec<u8>>,
    /// The text of absent chunks.
    pub(crate) fill_text: String,
    /// Names of chunks.
    pub(crate) keys: KeyEncoding,
    /// How chunks are encoded, or what in it is not supported.
    pub(crate) pipeline: Result<Pipeline, String>,
    /// Names of axes.
    pub(crate) dimension_names: Vec<Option<String>>,
    /// Attributes, without those that say the rest of this.
    pub(crate) attributes: Attributes,
}

impl ArrayMeta {
    /// The element of absent chunks, zeros if undefined. Empty for elements without a length.
    pub(crate) fn effective_fill(&self) -> Vec<u8> {
        let zeros = || vec![0; self.stored.items.map_or(0, super::element::Items::element_bytes)];
        self.fill.clone().unwrap_or_else(zeros)
    }

    /// The grid of stored objects, without the axis of a run.
    pub(crate) fn object_grid(&self) -> Result<ChunkGrid> {
        Ok(ChunkGrid::regular(&self.shape, &self.chunk_shape)?)
    }

    /// What people and conversions see of the array at `node`.
    pub(crate) fn info(&self, node: NodePath) -> ArrayInfo {
        let rank = self.shape.len();
        let (mut chunk_shape, mut shard_shape) = (self.chunk_shape.clone(), None);
        let mut codec = None;
        if let Ok(pipeline) = &self.pipeline {
            let (leaf, unit) = innermost(pipeline, rank);
            if let Some(unit) = unit {
                shard_shape = Some(std::mem::replace(&mut chunk_shape, unit));
            }
            codec = leaf.codec_spec();
        }
        let codec_text = match &self.pipeline {
            Ok(pipeline) => pipeline.describe(),
            Err(what) => format!("not supported: {what}"),
        };
        let fill_value = self.fill.as_ref().zip(self.stored.items).and_then(|(bytes, items)| {
            let mut parts = bytes.chunks(items.dtype.size());
            let first = parts.next()?;
            let uniform = parts.all(|part| part == first) && self.stored.element.stream_dtype().is_some();
            if uniform { Scalar::from_bytes(items.dtype, first) } else { None }
        });
        let named = |name: &Option<String>| name.as_deref() == node.name();
        let is_coordinate = rank == 1 && !node.is_root() && self.dimension_names.first().is_some_and(named);
        ArrayInfo {
            path: node,
            format: self.format,
            element_type: self.stored.element.clone(),
            shape: self.shape.clone(),
            dimension_names: self.dimension_names.clone(),
            unlimited: vec![false; rank],
            chunk_shape: Some(chunk_shape),
            shard_shape,
            codec,
            codec_text,
            fill_value,
            attributes: self.attributes.clone(),
            is_coordinate,
        }
    }

    /// The pipeline of chunks that stream.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub(crate) fn streaming(&self) -> Result<&Pipeline> {
        if let ElementType::Text | ElementType::Other(_) = self.stored.element {
            return Err(Error::Unsupported {
                path: self.path.clone(),
                what: format!("reading elements of type {} as numbers", self.stored.element),
                remedy: "; leave the array out with --exclude",
            });
        }
        self.any_pipeline()
    }

    /// The pipeline.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub(crate) fn any_pipeline(&self) -> Result<&Pipeline> {
        self.pipeline.as_ref().map_err(|what| Error::Unsupported {
            path: self.path.clone(),
            what: what.clone(),
            remedy: "; leave the array out with --exclude",
        })
    }
}

/// The innermost pipeline, and the shape of its chunks along the array's axes if they are inner ones.
fn innermost(pipeline: &Pipeline, rank: usize) -> (&Pipeline, Option<Vec<u64>>) {
    let mut axes: Vec<usize> = (0..pipeline.shape.len()).collect();
    let mut leaf = pipeline;
    let mut unit = None;
    while let Body::Shard(shard) = &leaf.body {
        if let Some(order) = &leaf.order {
            axes = super::pipeline::permuted(&axes, order);
        }
        leaf = &shard.inner;
        let mut lengths = vec![0; rank];
        for (&axis, &len) in axes.iter().zip(&leaf.shape) {
            if let Some(slot) = lengths.get_mut(axis) {
                *slot = len as u64;
            }
        }
        unit = Some(lengths);
    }
    (leaf, unit)
}

/// Keeps what is not supported for later, so that the array can be described; passes other faults on.
pub(crate) fn deferred(pipeline: Result<Pipeline>) -> Result<Result<Pipeline, String>> {
    match pipeline {
        Ok(pipeline) => Ok(Ok(pipeline)),
        Err(Error::Unsupported { what, .. }) => Ok(Err(what)),
        Err(error) => Err(error),
    }
}

/// Checks shape and chunk shape against each other.
pub(crate) fn check_chunks(path: &str, shape: &[u64], chunks: &[u64]) -> Result<()> {
    if shape.len() != chunks.len() {
        let what = format!("chunks of shape {chunks:?} cannot cut an array of shape {shape:?}: ranks differ");
        return Err(corrupt(path, what));
    }
    if let Some(axis) = chunks.iter().position(|len| *len == 0) {
        return Err(corrupt(path, format!("the chunk length of axis {axis} is 0")));
    }
    ChunkGrid::regular(shape, chunks).map(drop).map_err(|_| Error::Limit {
        path: path.to_owned(),
        what: "array",
        size: format!("{shape:?} elements"),
        limit: u64::MAX,
    })
}

/// Names of axes from a list of texts and nulls.
pub(crate) fn dimension_names(path: &str, value: Option<&Value>, rank: usize) -> Result<Vec<Option<String>>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(vec![None; rank]) };
    let wrong = || corrupt(path, format!("the dimension names {} do not name {rank} axes", excerpt(value)));
    let list = value.as_array().filter(|list| list.len() == rank).ok_or_else(wrong)?;
    let name = |entry: &Value| match entry {
        Value::Null => Ok(None),
        Value::String(name) => Ok(Some(name.clone())),
        _ => Err(wrong()),
    };
    list.iter().map(name).collect()
}
