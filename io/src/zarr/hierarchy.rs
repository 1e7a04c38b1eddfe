//! The tree of a Zarr store: groups, arrays, and groups that no document speaks of.
//!
//! Invariants: a walk visits each folder once, whatever links there are, and at most 10^6 of them, and passes over no
//! node: a link that cannot be followed and a node of the other version of Zarr are errors; documents say what a node is, consolidated metadata only where a store cannot be listed. Called by the conversion code through
//! [`Container`].

use super::array::ZarrArray;
use super::attributes;
use super::cache::IndexCache;
use super::json::{corrupt, path_of, read_object};
use super::meta::v3::NodeType;
use super::meta::{ArrayMeta, v2, v3};
use super::source::Shared;
use crate::attribute::Attributes;
use crate::container::{ArrayInfo, Container, Format, GroupInfo, NodePath, OpenOptions, StoredArray};
use crate::error::{Error, Result};
use crate::store::{ByteStore, EntryKind, Visit, join};
use blockwise_core::Source;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// Nodes that a tree may have.
const NODE_LIMIT: usize = 1_000_000;
/// Groups that may stand in one another.
const DEPTH_LIMIT: usize = 64;

type Document = Map<String, Value>;

/// What a node is.
enum Node {
    Array(Box<ArrayMeta>),
    Group(Attributes),
}

/// An open Zarr store.
pub(crate) struct ZarrContainer {
    shared: Arc<Shared>,
    format: Format,
}

/// The version of the store's root, or of its children if it has no document itself; `None` if it is no Zarr.
///
/// # Errors
/// If the store cannot be read.
pub fn detect(store: &dyn ByteStore) -> Result<Option<Format>> {
    if let Some(format) = format_at(store, "")? {
        return Ok(Some(format));
    }
    let mut found = None;
    let listed = store.list("", &mut |entry| {
        if entry.kind == EntryKind::Folder {
            found = format_at(store, &entry.name)?;
        }
        Ok(if found.is_some() { Visit::Break(()) } else { Visit::Continue(()) })
    });
    match listed {
        Err(Error::Unsupported { .. }) => Ok(store.exists(".zmetadata")?.then_some(Format::Zarr2)),
        other => other.map(|()| found),
    }
}

fn format_at(store: &dyn ByteStore, key: &str) -> Result<Option<Format>> {
    if store.exists(&join(key, "zarr.json"))? {
        return Ok(Some(Format::Zarr3));
    }
    let v2 = store.exists(&join(key, ".zarray"))? || store.exists(&join(key, ".zgroup"))?;
    Ok(v2.then_some(Format::Zarr2))
}

impl ZarrContainer {
    /// Opens a store.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is no Zarr store.
    pub(crate) fn open(store: Arc<dyn ByteStore>, options: &OpenOptions) -> Result<Self> {
        let Some(format) = detect(&*store)? else {
            let hint = "; there is no zarr.json, .zarray or .zgroup in it".to_owned();
            return Err(Error::NotFound { path: store.label().to_owned(), hint });
        };
        let indexes = IndexCache::new(options.cache_bytes);
        Ok(Self {
            shared: Arc::new(Shared { store, missing_chunks: options.missing_chunks, indexes }),
            format,
        })
    }

    /// Where the bytes are.
    pub(crate) fn store(&self) -> &dyn ByteStore {
        &*self.shared.store
    }

    /// What the metadata of the array `path` says, and its chunks.
    ///
    /// # Errors
    /// As [`Container::array`] and [`StoredArray::source`].
    pub(crate) fn stored(&self, path: &NodePath) -> Result<(ArrayMeta, Arc<dyn Source>)> {
        let meta = self.array_meta(path)?;
        let source = ZarrArray::new(Arc::clone(&self.shared), path.clone(), meta.clone()).source()?;
        Ok((meta, source))
    }

    /// What the metadata of the array `path` says.
    fn array_meta(&self, path: &NodePath) -> Result<ArrayMeta> {
        let place = || path_of(&*self.shared.store, &path.to_string());
        let hint = match self.node(&path.to_string())? {
            Some(Node::Array(meta)) => return Ok(*meta),
            Some(Node::Group(_)) => "; there is a group, not an array: name an array in it",
            None => "; there is no array of that name",
        };
        Err(Error::NotFound { path: place(), hint: hint.to_owned() })
    }

    /// The node whose key is `key`; `None` if there is no document.
    fn node(&self, key: &str) -> Result<Option<Node>> {
        let store = &*self.shared.store;
        if self.format == Format::Zarr3 {
            let name = join(key, "zarr.json");
            return match read_object(store, &name)? {
                Some(document) => parse_v3(&path_of(store, &name), &document).map(Some),
                None => Ok(None),
            };
        }
        let array_name = join(key, ".zarray");
        let array = read_object(store, &array_name)?;
        let group = if array.is_none() { read_object(store, &join(key, ".zgroup"))? } else { None };
        if array.is_none() && group.is_none() {
            return Ok(None);
        }
        let attributes = read_object(store, &join(key, ".zattrs"))?.unwrap_or_default();
        match array {
            Some(array) => parse_v2(&path_of(store, &array_name), &array, &attributes).map(Some),
            None => Ok(Some(Node::Group(attributes::parse(&attributes, None, false)))),
        }
    }

    /// Walks the folders of the store.
    fn walked(&self, tree: &mut Tree) -> Result<()> {
        let store = &*self.shared.store;
        let mut visited = HashSet::new();
        let mut stack = vec![NodePath::root()];
        while let Some(path) = stack.pop() {
            let key = path.to_string();
            let depth = path.components().len();
            if depth > DEPTH_LIMIT {
                let size = format!("{depth} levels");
                let limit = DEPTH_LIMIT as u64;
                return Err(Error::Limit {
                    path: path_of(store, &key),
                    what: "nesting of groups",
                    size,
                    limit,
                });
            }
            // A link to a folder that was seen already: a loop, or a second name of the same nodes.
            if store.identity(&key)?.is_some_and(|identity| !visited.insert(identity)) {
                continue;
            }
            tree.count(store)?;
            match self.node(&key)? {
                Some(Node::Array(meta)) => {
                    tree.arrays.push(meta.info(path));
                    continue; // nothing but chunks below
                }
                Some(Node::Group(attributes)) => tree.group(&path, attributes),
                None => self.check_version(&key)?,
            }
            let mut children = Vec::new();
            store.list(&key, &mut |entry| {
                // A name that is no node's cannot be one.
                if let Ok(child) = path.child(&entry.name) {
                    match entry.kind {
                        EntryKind::Folder => children.push(child),
                        EntryKind::StrayLink => return Err(stray_link(store, &child)),
                        EntryKind::File | EntryKind::Other => {}
                    }
                }
                if children.len() > NODE_LIMIT {
                    tree.count(store)?;
                }
                Ok(Visit::Continue(()))
            })?;
            children.sort_unstable_by(|a, b| b.cmp(a)); // the first in order is popped first
            stack.append(&mut children);
        }
        Ok(())
    }

    /// Refuses a node of the other version of Zarr, which a reader of this one would pass over.
    fn check_version(&self, key: &str) -> Result<()> {
        let store = &*self.shared.store;
        let (others, what, remedy): (&[&str], _, _) = if self.format == Format::Zarr3 {
            let remedy = "; open it by itself, or convert it to Zarr v3 and put it back";
            (&[".zarray", ".zgroup"], "a node of Zarr v2 in a store of Zarr v3", remedy)
        } else {
            let remedy = "; open it by itself, or convert it to Zarr v2 and put it back";
            (&["zarr.json"], "a node of Zarr v3 in a store of Zarr v2", remedy)
        };
        for name in others {
            if store.exists(&join(key, name))? {
                let path = path_of(store, key);
                return Err(Error::Unsupported { path, what: what.to_owned(), remedy });
            }
        }
        Ok(())
    }

    /// Reads the tree from consolidated metadata, for stores that cannot be listed.
    fn consolidated(&self, tree: &mut Tree) -> Result<()> {
        let store = &*self.shared.store;
        let (name, documents) = if self.format == Format::Zarr3 {
            let root = read_object(store, "zarr.json")?.unwrap_or_default();
            ("zarr.json", root.get("consolidated_metadata").and_then(|all| all.get("metadata")).cloned())
        } else {
            let all = read_object(store, ".zmetadata")?.unwrap_or_default();
            (".zmetadata", all.get("metadata").cloned())
        };
        match self.node("")? {
            Some(Node::Array(meta)) => {
                tree.arrays.push(meta.info(NodePath::root()));
                return Ok(());
            }
            Some(Node::Group(attributes)) => tree.group(&NodePath::root(), attributes),
            None => {}
        }
        let path = path_of(store, name);
        let Some(Value::Object(documents)) = documents else {
            return Err(Error::Unsupported {
                path: store.label().to_owned(),
                what: "listing this store, which has no consolidated metadata,".to_owned(),
                remedy: "; name an array in it (PATH::NODE)",
            });
        };
        let empty = Map::new();
        let mut entries: Vec<(NodePath, &str, &Document)> = Vec::new();
        for (key, document) in &documents {
            let document =
                document.as_object().ok_or_else(|| corrupt(&path, format!("'{key}' is no object")))?;
            let (node, kind) = match self.format {
                Format::Zarr3 => (key.as_str(), "zarr.json"),
                _ => key.rsplit_once('/').unwrap_or(("", key)),
            };
            entries.push((node.parse()?, kind, document));
        }
        entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        for (node, kind, document) in &entries {
            if node.is_root() || *kind == ".zattrs" {
                continue;
            }
            tree.count(store)?;
            let place = format!("{path} ({node})");
            let parsed = if *kind == "zarr.json" {
                parse_v3(&place, document)?
            } else {
                let attributes = entries.iter().find(|(other, kind, _)| other == node && *kind == ".zattrs");
                let attributes = attributes.map_or(&empty, |(_, _, attributes)| *attributes);
                match *kind {
                    ".zarray" => parse_v2(&place, document, attributes)?,
                    ".zgroup" => Node::Group(attributes::parse(attributes, None, false)),
                    _ => continue,
                }
            };
            match parsed {
                Node::Array(meta) => tree.arrays.push(meta.info(node.clone())),
                Node::Group(attributes) => tree.group(node, attributes),
            }
        }
        Ok(())
    }
}

fn stray_link(store: &dyn ByteStore, path: &NodePath) -> Error {
    let why = "a link leads out of the store or nowhere, so what may be a group or an array behind it cannot be read; allow it with --follow-symlinks if you trust it, or remove it";
    Error::UnsafePath { path: path_of(store, &path.to_string()), why }
}

fn parse_v3(path: &str, document: &Document) -> Result<Node> {
    Ok(match v3::node_type(path, document)? {
        NodeType::Array => Node::Array(Box::new(v3::parse(path, document)?)),
        NodeType::Group => Node::Group(attributes::parse(&v3::attributes_of(path, document)?, None, false)),
    })
}

fn parse_v2(path: &str, array: &Document, attributes: &Document) -> Result<Node> {
    Ok(Node::Array(Box::new(v2::parse(path, array, attributes)?)))
}

/// A tree being collected.
#[derive(Default)]
struct Tree {
    groups: Vec<GroupInfo>,
    arrays: Vec<ArrayInfo>,
    visited: usize,
}

impl Tree {
    fn count(&mut self, store: &dyn ByteStore) -> Result<()> {
        self.visited += 1;
        if self.visited > NODE_LIMIT {
            let size = format!("more than {NODE_LIMIT} nodes");
            return Err(Error::Limit {
                path: store.label().to_owned(),
                what: "tree",
                size,
                limit: NODE_LIMIT as u64,
            });
        }
        Ok(())
    }

    fn group(&mut self, path: &NodePath, attributes: Attributes) {
        self.groups.push(GroupInfo { path: path.clone(), attributes, dimensions: Vec::new() });
    }

    /// Adds the groups that hold nodes but have no document, and brings all into order.
    fn complete(&mut self) {
        let mut known: HashSet<NodePath> = self.groups.iter().map(|group| group.path.clone()).collect();
        let nodes: Vec<NodePath> = self
            .groups
            .iter()
            .map(|group| &group.path)
            .chain(self.arrays.iter().map(|array| &array.path))
            .cloned()
            .collect();
        for node in nodes {
            let mut above = node.parent();
            while let Some(path) = above {
                above = path.parent();
                if known.insert(path.clone()) {
                    self.group(&path, Attributes::new());
                }
            }
        }
        self.groups.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

impl Container for ZarrContainer {
    fn label(&self) -> &str {
        self.shared.store.label()
    }

    fn format(&self) -> Format {
        self.format
    }

    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        let mut tree = Tree::default();
        match self.shared.store.list("", &mut |_| Ok(Visit::Break(()))) {
            Err(Error::Unsupported { .. }) => self.consolidated(&mut tree)?,
            other => {
                other?;
                self.walked(&mut tree)?;
            }
        }
        tree.complete();
        Ok((tree.groups, tree.arrays))
    }

    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        let meta = self.array_meta(path)?;
        Ok(Arc::new(ZarrArray::new(Arc::clone(&self.shared), path.clone(), meta)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Root;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const ARRAY: &str = r#"{"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4", "compressor": null,
        "fill_value": 0, "order": "C", "filters": null}"#;
    const V2: &str = r#"{"zarr_format": 2}"#;
    const V3: &str = r#"{"zarr_format": 3, "node_type": "group"}"#;

    fn nodes(path: &Path, follow_symlinks: bool) -> Result<Vec<String>> {
        let store = Arc::new(Root::open(path, follow_symlinks)?);
        let (groups, arrays) = ZarrContainer::open(store, &OpenOptions::default())?.nodes()?;
        let groups = groups.iter().map(|group| group.path.to_string());
        Ok(groups.chain(arrays.iter().map(|array| array.path.to_string())).collect())
    }

    fn put(path: &Path, key: &str, text: &str) {
        fs::create_dir_all(path.join(key).parent().unwrap()).unwrap();
        fs::write(path.join(key), text).unwrap();
    }

    #[test]
    fn links_that_cannot_be_followed_are_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (store, outside) = (folder.path().join("s.zarr"), folder.path().join("outside"));
        put(&store, ".zgroup", V2);
        put(&store, "a/.zarray", ARRAY);
        put(&outside, ".zarray", ARRAY);
        // Links inside, to files outside, and among chunks do no harm.
        symlink("a", store.join("again")).unwrap();
        symlink(outside.join(".zarray"), store.join("notes.txt")).unwrap();
        symlink("nowhere", store.join("a/0")).unwrap();
        assert_eq!(nodes(&store, false).unwrap(), ["", "a"]);
        symlink(&outside, store.join("b")).unwrap();
        let error = nodes(&store, false).unwrap_err();
        assert!(matches!(error, Error::UnsafePath { .. }), "{error}");
        assert!(error.to_string().contains("s.zarr/b") && error.to_string().contains("--follow-symlinks"));
        assert_eq!(nodes(&store, true).unwrap(), ["", "a", "b"]);
        fs::remove_dir_all(&outside).unwrap();
        assert!(matches!(nodes(&store, true), Err(Error::UnsafePath { .. })), "what it led to is gone");
    }

    #[test]
    fn nodes_of_the_other_version_are_not_passed_over() {
        for (root, other, text) in [("zarr.json", "old/.zarray", ARRAY), (".zgroup", "new/zarr.json", V3)] {
            let folder = tempfile::tempdir().unwrap();
            let (store, is_v3) = (folder.path(), root == "zarr.json");
            put(store, root, if is_v3 { V3 } else { V2 });
            put(store, "plain/notes.txt", "text");
            assert_eq!(nodes(store, false).unwrap(), [""]);
            put(store, &format!("plain/{other}"), text);
            let error = nodes(store, false).unwrap_err();
            assert!(
                error.to_string().contains("plain/") && error.to_string().contains("by itself"),
                "{error}"
            );
            // A node that has documents of both versions is none of the other's.
            let (folder, _) = other.split_once('/').unwrap();
            put(store, &format!("plain/{folder}/{root}"), if is_v3 { V3 } else { V2 });
            nodes(store, false).unwrap();
        }
    }
}
