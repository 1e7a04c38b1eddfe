//! Regions of arrays that are there, and arrays that grow.
//!
//! Invariants: the new elements of an object that holds others too are put beside what is stored in it, in one object
//! that replaces the old one; an object is written by one task; documents say a new shape only when the objects are
//! there (see [`Update`](crate::publish::Update)), and nothing in them changes but the shape. Called by the facade.

mod region;

use super::hierarchy::ZarrContainer;
use super::json::{corrupt, path_of, read_object};
use super::meta::ArrayMeta;
use super::{documents, sink};
use crate::container::{Container, Format, NodePath, OpenOptions};
use crate::error::{Error, Result};
use crate::publish::PartialFolder;
use crate::store::{Root, join};
use blockwise_core::{Region, Sink};
use region::RegionSink;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The outermost Zarr store that the store or node at `path` is part of, and the node's path in it: that is what an update of the
/// node locks, and whose consolidated metadata speak of it. A folder that stands in no other store is its own.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let store = folder.path().join("outer.zarr");
/// # std::fs::create_dir_all(store.join("group/array")).unwrap();
/// # for node in ["", "group"] { std::fs::write(store.join(node).join(".zgroup"), b"{}").unwrap(); }
/// let (root, node) = blockwise_io::zarr::outermost(&store.join("group/array"))?;
/// assert_eq!((root.file_name(), node.to_string()), (store.file_name(), "group/array".to_owned()));
/// # Ok::<(), blockwise_io::Error>(())
/// ```
///
/// # Errors
/// If a folder in the store has a name that is no node's.
pub fn outermost(path: &Path) -> Result<(PathBuf, NodePath)> {
    // What cannot be resolved is not there, which opening it tells better.
    let Ok(real) = path.canonicalize() else { return Ok((path.to_owned(), NodePath::root())) };
    let is_node = |folder: &Path| {
        ["zarr.json", ".zgroup", ".zarray", ".zmetadata"].iter().any(|name| folder.join(name).is_file())
    };
    let mut root = real.as_path();
    while let Some(above) = root.parent().filter(|above| is_node(above)) {
        root = above;
    }
    if root == real {
        return Ok((path.to_owned(), NodePath::root()));
    }
    let below = real.strip_prefix(root).unwrap_or(Path::new(""));
    let node = below.iter().try_fold(NodePath::root(), |node, name| node.child(&name.to_string_lossy()))?;
    Ok((root.to_owned(), node))
}

/// A store that is being changed.
pub struct ZarrUpdate {
    partial: PartialFolder,
    container: ZarrContainer,
    label: String,
    /// New documents, by key.
    documents: BTreeMap<String, Map<String, Value>>,
}

impl ZarrUpdate {
    /// The store at `path`, whose changes go to `partial`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is no Zarr store; else if it cannot be read.
    pub fn open(partial: PartialFolder, path: &Path) -> Result<Self> {
        let label = partial.label().to_owned();
        let container = ZarrContainer::open(Arc::new(Root::open(path, false)?), &OpenOptions::default())?;
        Ok(Self { partial, container, label, documents: BTreeMap::new() })
    }

    /// The sink of the elements of `region` of the array `node`, which has `shape` afterwards: its own, or longer along
    /// some axes. Its boxes are the array's chunks, as far as they lie in the region; where the region cuts shards, they
    /// are shards.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such array; [`Error::Refused`] if the region is empty or leaves the shape, or
    /// what is stored cannot be written here (filters, nested shards, an index before its shard).
    pub fn region(&mut self, node: &NodePath, region: &Region, shape: &[u64]) -> Result<Arc<dyn Sink>> {
        let key = node.to_string();
        let label = if key.is_empty() { self.label.clone() } else { format!("{}::{key}", self.label) };
        let (meta, source) = self.container.stored(node)?;
        let refused = |what: String| Error::Refused { path: label.clone(), what };
        let fits = region.rank() == meta.shape.len()
            && shape.len() == meta.shape.len()
            && shape.iter().zip(&meta.shape).all(|(new, old)| new >= old)
            && region
                .ranges()
                .zip(shape)
                .all(|(range, extent)| range.start < range.end && range.end <= *extent);
        if !fits {
            return Err(refused(format!("{region} is no part of an array of shape {shape:?}")));
        }
        if *shape != meta.shape {
            self.grow(&key, shape)?;
        }
        let grown = ArrayMeta { shape: shape.to_vec(), ..meta };
        let parts = sink::SinkParts::of_stored(&grown, self.partial.clone(), label.clone(), key)
            .map_err(|what| refused(format!("{what}; write the array anew instead")))?;
        Ok(Arc::new(RegionSink::new(parts, source, region)?))
    }

    /// Notes the new shape in the array's document and in every consolidated one above it.
    fn grow(&mut self, key: &str, shape: &[u64]) -> Result<()> {
        let name = if self.format() == Format::Zarr2 { ".zarray" } else { "zarr.json" };
        let own = join(key, name);
        let missing = || corrupt(path_of(self.container.store(), &own), "the document is gone");
        let mut document = self.document(&own)?.ok_or_else(missing)?;
        document.insert("shape".to_owned(), json!(shape));
        self.documents.insert(own.clone(), document.clone());
        let mut above = NodePath::root();
        let components: Vec<String> =
            key.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        for (depth, component) in components.iter().enumerate() {
            let below = components.get(depth..).unwrap_or_default().join("/");
            let (group, entry) = match self.format() {
                Format::Zarr2 => (join(&above.to_string(), ".zmetadata"), join(&below, name)),
                _ => (join(&above.to_string(), "zarr.json"), below),
            };
            if let Some(mut consolidated) = self.document(&group)?
                && let Some(slot) = consolidated_entry(self.format(), &mut consolidated, &entry)
            {
                *slot = Value::Object(document.clone());
                self.documents.insert(group, consolidated);
            }
            above = above.child(component)?;
        }
        Ok(())
    }

    fn format(&self) -> Format {
        self.container.format()
    }

    /// A document as it will be.
    fn document(&self, key: &str) -> Result<Option<Map<String, Value>>> {
        match self.documents.get(key) {
            Some(known) => Ok(Some(known.clone())),
            None => read_object(self.container.store(), key),
        }
    }

    /// Writes the documents, after all sinks are finished.
    ///
    /// # Errors
    /// If that fails.
    pub fn finish(self) -> Result<()> {
        for (key, document) in &self.documents {
            let bytes = documents::to_bytes(self.format(), &Value::Object(document.clone()));
            self.partial.put_unlisted(key, &bytes)?;
        }
        Ok(())
    }
}

/// What a consolidated document says of a node.
fn consolidated_entry<'d>(
    format: Format,
    document: &'d mut Map<String, Value>,
    entry: &str,
) -> Option<&'d mut Value> {
    let holder = match format {
        Format::Zarr2 => document.get_mut("metadata"),
        _ => document.get_mut("consolidated_metadata").and_then(|value| value.get_mut("metadata")),
    };
    holder?.as_object_mut()?.get_mut(entry)
}
