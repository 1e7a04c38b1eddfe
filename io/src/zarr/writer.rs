//! A Zarr store being written.
//!
//! Invariants: an array's documents are written when its chunks are (by its sink), the groups' and the consolidated
//! ones last of all; everything goes to the partial folder that a publication renames. Called by the conversion code
//! through [`ContainerWriter`].

use super::documents::{self, Fill, all_attributes, to_bytes};
use super::element::{Items, v2_name, v3_name};
use super::keys::KeyEncoding;
use super::pipeline::{Body, Pipeline, Shard, checked_shape};
use super::sink::{SinkParts, ZarrSink};
use super::{encoding, texts};
use crate::attribute::Attributes;
use crate::codec::Chain;
use crate::container::{
    ArraySpec, CodecSpec, ContainerWriter, ElementType, Format, GroupInfo, NodePath, TextArray,
};
use crate::error::{Error, Result};
use crate::publish::PartialFolder;
use crate::store::join;
use blockwise_core::{ChunkGrid, Sink};
use blockwise_kernels::{BufferPool, DType};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names that version 2 and 3 use for themselves.
const RESERVED: [&str; 5] = ["zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"];

/// Writes a Zarr store into the partial folder of a publication.
///
/// ```
/// use blockwise_io::publish::{Publication, PublishOptions};
/// use blockwise_io::{ContainerWriter, Format, GroupInfo, NodePath, zarr::ZarrWriter};
/// # let folder = tempfile::tempdir().unwrap();
/// let out = folder.path().join("out.zarr");
/// let publication = Publication::begin(&out, &PublishOptions::default())?.expect("a new destination");
/// let mut writer = ZarrWriter::create(publication.partial().clone(), "out.zarr", Format::Zarr3)?;
/// let root = GroupInfo { path: NodePath::root(), attributes: Default::default(), dimensions: vec![] };
/// writer.create_group(&root)?;
/// writer.finish()?;
/// publication.commit()?;
/// assert!(out.join("zarr.json").is_file());
/// # Ok::<(), blockwise_io::Error>(())
/// ```
pub struct ZarrWriter {
    partial: PartialFolder,
    label: String,
    format: Format,
    groups: BTreeMap<NodePath, Attributes>,
    /// Documents of arrays: version 3's, or version 2's `.zarray` and `.zattrs`.
    arrays: BTreeMap<NodePath, ArrayDocuments>,
}

enum ArrayDocuments {
    V2 { zarray: Value, zattrs: Value },
    V3(Value),
}

/// A new array, settled.
struct Layout {
    items: Items,
    chunks: Vec<u64>,
    chain: Chain,
    fill: Fill,
    documents: Vec<(String, Vec<u8>)>,
}

impl ZarrWriter {
    /// A new store in `partial`, called `label` in errors.
    ///
    /// # Errors
    /// [`Error::Refused`] if `format` is not Zarr.
    pub fn create(partial: PartialFolder, label: &str, format: Format) -> Result<Self> {
        if !matches!(format, Format::Zarr2 | Format::Zarr3) {
            let what = format!("the Zarr writer does not write {format}");
            return Err(Error::Refused { path: label.to_owned(), what });
        }
        let label = label.to_owned();
        Ok(Self { partial, label, format, groups: BTreeMap::new(), arrays: BTreeMap::new() })
    }

    /// What people call a node.
    fn place(&self, node: &NodePath) -> String {
        if node.is_root() { self.label.clone() } else { format!("{}::{node}", self.label) }
    }

    fn refused(&self, node: &NodePath, what: impl Into<String>) -> Error {
        Error::Refused { path: self.place(node), what: what.into() }
    }

    fn check_new(&self, node: &NodePath) -> Result<()> {
        if let Some(name) = node.components().iter().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(self.refused(node, format!("'{name}' is a name that Zarr uses for itself")));
        }
        if self.groups.contains_key(node) || self.arrays.contains_key(node) {
            return Err(self.refused(node, "there is a node of that name already"));
        }
        Ok(())
    }

    /// Settles chunks, codecs, fill value and documents of an array, and takes note of it.
    fn lay_out(&mut self, spec: &ArraySpec, codec: &CodecSpec) -> Result<Layout> {
        let node = &spec.path;
        self.check_new(node)?;
        let rank = spec.shape.len();
        if spec.dimension_names.len() != rank {
            return Err(self.refused(node, format!("{} names for {rank} axes", spec.dimension_names.len())));
        }
        let known = match self.format {
            Format::Zarr2 => v2_name(&spec.element_type).is_some(),
            _ => v3_name(&spec.element_type).is_some(),
        };
        if !known {
            let what = format!(
                "{} has no elements of type {}; leave the array out with --exclude",
                self.format, spec.element_type
            );
            return Err(self.refused(node, what));
        }
        let items = items_of(&spec.element_type);
        let whole = || spec.shape.iter().map(|extent| (*extent).max(1)).collect();
        let mut chunks: Vec<u64> = spec.chunk_shape.clone().unwrap_or_else(whole);
        for (chunk, extent) in chunks.iter_mut().zip(&spec.shape) {
            if *extent == 0 {
                *chunk = (*chunk).max(1);
            }
        }
        if chunks.len() != rank || chunks.contains(&0) {
            return Err(
                self.refused(node, format!("chunks of {chunks:?} do not cut an array of {:?}", spec.shape))
            );
        }
        if let Some(shard) = &spec.shard_shape {
            if self.format == Format::Zarr2 {
                return Err(self.refused(node, "Zarr v2 has no shards; use --zarr-format 3, or no --shards"));
            }
            let divides = |(shard, chunk): (&u64, &u64)| *shard > 0 && shard.is_multiple_of(*chunk);
            if shard.len() != rank || !shard.iter().zip(&chunks).all(divides) {
                let what = format!("shards of {shard:?} are not made of whole chunks of {chunks:?}");
                return Err(self.refused(node, what));
            }
        }
        let path = self.place(node);
        let shape = checked_shape(&path, items, &chunks)?;
        let chunk_bytes = shape.iter().product::<usize>() * items.dtype.size();
        let element_bytes = items.element_bytes();
        let chain = encoding::chain(self.format, codec, element_bytes, chunk_bytes)
            .map_err(|what| self.refused(node, what))?;
        let fill_bytes = if spec.element_type == ElementType::Text { 0 } else { element_bytes };
        let fill = documents::fill(self.format, spec, fill_bytes);
        let key = node.to_string();
        let nameless = || self.refused(node, "elements of this type cannot be named"); // ruled out above
        let (documents, noted) = if self.format == Format::Zarr2 {
            let (zarray, zattrs) = documents::v2_array(spec, &chunks, &chain, &fill).ok_or_else(nameless)?;
            let bytes = vec![
                (join(&key, ".zattrs"), to_bytes(self.format, &zattrs)),
                (join(&key, ".zarray"), to_bytes(self.format, &zarray)),
            ];
            (bytes, ArrayDocuments::V2 { zarray, zattrs })
        } else {
            let shard = spec.shard_shape.as_deref();
            let document = documents::v3_array(spec, &chunks, shard, &chain, &fill).ok_or_else(nameless)?;
            (vec![(join(&key, "zarr.json"), to_bytes(self.format, &document))], ArrayDocuments::V3(document))
        };
        self.arrays.insert(node.clone(), noted);
        Ok(Layout { items, chunks, chain, fill, documents })
    }

    fn keys(&self) -> KeyEncoding {
        if self.format == Format::Zarr2 { KeyEncoding::V2 } else { KeyEncoding::V3 }
    }

    /// Writes the documents of groups, and all documents in one at the root.
    fn write_groups(&self) -> Result<()> {
        for (node, attributes) in self.groups.iter().rev() {
            let key = node.to_string();
            if self.format == Format::Zarr2 {
                let zattrs = Value::Object(all_attributes(attributes));
                self.partial.put_unlisted(&join(&key, ".zattrs"), &to_bytes(self.format, &zattrs))?;
                self.partial.put_unlisted(
                    &join(&key, ".zgroup"),
                    &to_bytes(self.format, &json!({"zarr_format": 2})),
                )?;
            } else {
                let mut document = documents::v3_group(attributes);
                if node.is_root() && self.is_widely_readable() {
                    document["consolidated_metadata"] = self.consolidated_v3();
                }
                self.partial.put_unlisted(&join(&key, "zarr.json"), &to_bytes(self.format, &document))?;
            }
        }
        if self.format == Format::Zarr2 && !self.groups.is_empty() {
            self.partial.put_unlisted(".zmetadata", &to_bytes(self.format, &self.consolidated_v2()))?;
        }
        Ok(())
    }

    /// Whether zarr-python knows every data type: consolidated metadata with one that it does not know would keep it
    /// from opening the whole store.
    fn is_widely_readable(&self) -> bool {
        let is_known = |document: &Value| document.get("data_type") != Some(&json!(DType::BF16.name()));
        self.arrays.values().all(|documents| match documents {
            ArrayDocuments::V3(document) => is_known(document),
            ArrayDocuments::V2 { .. } => true,
        })
    }

    fn consolidated_v3(&self) -> Value {
        let groups = self.groups.iter().filter(|(node, _)| !node.is_root());
        let groups = groups.map(|(node, attributes)| (node.to_string(), documents::v3_group(attributes)));
        let arrays = self.arrays.iter().filter_map(|(node, documents)| match documents {
            ArrayDocuments::V3(document) => Some((node.to_string(), document.clone())),
            ArrayDocuments::V2 { .. } => None,
        });
        let metadata: BTreeMap<String, Value> = groups.chain(arrays).collect();
        json!({"kind": "inline", "must_understand": false, "metadata": metadata})
    }

    fn consolidated_v2(&self) -> Value {
        let mut metadata = Map::new();
        for (node, attributes) in &self.groups {
            let key = node.to_string();
            metadata.insert(join(&key, ".zattrs"), Value::Object(all_attributes(attributes)));
            metadata.insert(join(&key, ".zgroup"), json!({"zarr_format": 2}));
        }
        for (node, documents) in &self.arrays {
            let key = node.to_string();
            if let ArrayDocuments::V2 { zarray, zattrs } = documents {
                metadata.insert(join(&key, ".zattrs"), zattrs.clone());
                metadata.insert(join(&key, ".zarray"), zarray.clone());
            }
        }
        json!({"zarr_consolidated_format": 1, "metadata": metadata})
    }
}

/// How elements of a new array lie in chunks; texts count as bytes.
fn items_of(element: &ElementType) -> Items {
    match element {
        ElementType::FixedBytes { len_bytes } => Items { dtype: DType::U8, run: Some(*len_bytes) },
        other => Items { dtype: other.stream_dtype().unwrap_or(DType::U8), run: None },
    }
}

impl ContainerWriter for ZarrWriter {
    fn format(&self) -> Format {
        self.format
    }

    fn create_group(&mut self, group: &GroupInfo) -> Result<()> {
        self.check_new(&group.path)?;
        self.groups.insert(group.path.clone(), group.attributes.clone());
        Ok(())
    }

    fn create_array(&mut self, spec: &ArraySpec) -> Result<Arc<dyn Sink>> {
        if spec.element_type.stream_dtype().is_none() {
            let what = format!("elements of type {} are not written in chunks", spec.element_type);
            return Err(self.refused(&spec.path, what));
        }
        let Layout { items, chunks, chain, fill, documents } = self.lay_out(spec, &spec.codec)?;
        let path = self.place(&spec.path);
        let unit = Pipeline {
            items,
            shape: checked_shape(&path, items, &chunks)?,
            order: None,
            filters: Vec::new(),
            body: Body::Items { swapped: cfg!(target_endian = "big") && items.dtype.swap_unit() > 1 },
            chain,
        };
        let shape = items.with_run(&spec.shape);
        let grid = ChunkGrid::regular(&shape, &items.with_run(&chunks))?;
        let (mut commit_grid, mut shard) = (grid.clone(), None);
        if let Some(shard_shape) = &spec.shard_shape {
            commit_grid = ChunkGrid::regular(&shape, &items.with_run(shard_shape))?;
            let outer = checked_shape(&path, items, shard_shape)?;
            let swapped = cfg!(target_endian = "big");
            shard = Some(Shard::new(&path, unit.clone(), &outer, swapped, true, false)?);
        }
        Ok(Arc::new(ZarrSink::new(SinkParts {
            partial: self.partial.clone(),
            label: path,
            array: spec.path.to_string(),
            grid,
            commit_grid,
            rank: spec.shape.len(),
            keys: self.keys(),
            unit,
            shard,
            fill: fill.element,
            skips_fill: fill.is_known,
            documents,
        })))
    }

    fn create_texts(&mut self, spec: &ArraySpec, texts: &TextArray) -> Result<()> {
        let node = &spec.path;
        if spec.element_type != ElementType::Text || texts.shape != spec.shape {
            return Err(
                self.refused(node, format!("{:?} texts for an array of {:?}", texts.shape, spec.shape))
            );
        }
        // Shuffled texts compress worse, and shards of texts are read by few.
        let codec = CodecSpec { shuffle: false, ..spec.codec.clone() };
        let spec = ArraySpec { shard_shape: None, ..spec.clone() };
        let Layout { chunks, chain, documents, .. } = self.lay_out(&spec, &codec)?;
        let grid = ChunkGrid::regular(&spec.shape, &chunks)?;
        let pool = BufferPool::new(0);
        for index in grid.indices() {
            let bytes = texts::encode(&grid.region(&index)?, &chunks, texts).ok_or_else(|| {
                self.refused(&spec.path, "a chunk of texts exceeds 4 GiB; use smaller chunks")
            })?;
            let key = self.keys().key(&spec.path.to_string(), &index);
            let encoded = chain.encode(&bytes, &pool).map_err(|error| error.at(&self.label))?;
            self.partial.put(&key, &encoded)?;
        }
        for (key, bytes) in &documents {
            self.partial.put_unlisted(key, bytes)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        // Groups that hold nodes but were not created.
        let nodes: BTreeSet<NodePath> = self.groups.keys().chain(self.arrays.keys()).cloned().collect();
        for node in nodes {
            let mut above = node.parent();
            while let Some(path) = above {
                above = path.parent();
                self.groups.entry(path).or_default();
            }
        }
        self.write_groups()
    }
}
