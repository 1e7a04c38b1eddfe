//! Reading HDF5 and NetCDF-4 files: no lock, chunks decoded by whoever asks for them.
//!
//! The structure (superblock, groups, attributes, chunk indexes) is parsed by `hdf5-reader`; chunk bytes are read
//! with positional reads and decoded here. Files may be hostile: links and data in other files are refused, indexes
//! are checked before use, decoded lengths must match, and a panic of the parser becomes an error at this boundary
//! (see `fence`). NetCDF-4 files are HDF5 files whose dimension scales give dimension names; both are opened
//! by [`open`].
//!
//! Invariants: what is listed can be opened or says why not; nothing but fill values stands for what was never
//! written. Called by the facade through [`Container`].

mod attributes;
mod chunked;
mod dataset;
mod describe;
mod dimensions;
mod file;
mod filters;
mod index;
mod layout;
mod links;
mod tree;
mod types;

use crate::container::{
    ArrayInfo, Container, ElementType, Format, GroupInfo, NodePath, OpenOptions, StoredArray,
};
use crate::error::{Error, Result};
use crate::fence::fenced;
use crate::store::RegularFile;
use dataset::H5Array;
use file::H5File;
use std::path::Path;
use std::sync::Arc;
use tree::{Body, Tree};

/// How an HDF5 superblock begins; it stands at byte 0, 512, 1024, 2048 …
pub const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Names listed in the error for a missing array.
const HINTED_NAMES: usize = 5;

/// An open HDF5 or NetCDF-4 file.
pub struct Hdf5Container {
    file: Arc<H5File>,
    tree: Tree,
    options: OpenOptions,
}

impl std::fmt::Debug for Hdf5Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hdf5Container").field("label", &self.label()).finish_non_exhaustive()
    }
}

/// Opens the HDF5 or NetCDF-4 file at `path` and lists its tree.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UnsafePath`] if it is no regular file; [`Error::Corrupt`] if it is no HDF5 file, cut
/// short, or its groups cannot be listed.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Hdf5Container> {
    open_file(Arc::new(RegularFile::open(path)?), options)
}

/// As [`open`], for a file that is open already.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: Arc<RegularFile>, options: &OpenOptions) -> Result<Hdf5Container> {
    let label = file.label().to_owned();
    fenced(&label, || {
        let file = Arc::new(H5File::open(file, options.cache_bytes)?);
        let tree = tree::read(&file)?;
        Ok(Hdf5Container { file, tree, options: options.clone() })
    })
}

/// The error for elements that cannot be streamed.
fn not_streaming(label: &str, element: &ElementType) -> Error {
    let remedy = match element {
        ElementType::Text => "; texts are read whole, not as numbers",
        _ => "; leave the array out with --exclude",
    };
    Error::Unsupported { path: label.to_owned(), what: format!("the element type {element}"), remedy }
}

impl Hdf5Container {
    /// The array that is listed at `path`.
    fn find(&self, path: &NodePath) -> Option<&tree::ArrayNode> {
        self.tree.arrays.iter().find(|array| array.info.path == *path)
    }

    /// The path of the group that `path` leads to, through links or not.
    fn group_behind(&self, path: &NodePath) -> Option<&NodePath> {
        let mut group = self.file.root().ok()?;
        for component in path.components() {
            group = group.group(component).ok()?;
        }
        self.tree.group_at.get(&group.address())
    }

    /// What is wrong with `path`, which names no array.
    fn no_array(&self, path: &NodePath) -> Error {
        let full = format!("{}::{path}", self.label());
        let mut above = Some(path.clone());
        while let Some(node) = above {
            if let Some(array) = self.tree.arrays.iter().find(|array| array.info.path == node)
                && let Body::External { file, path: target } = &array.body
            {
                return external(&full, file, target);
            }
            above = node.parent();
        }
        let hint = if self.tree.groups.iter().any(|group| group.path == *path) {
            "; it is a group: name one of its arrays".to_owned()
        } else {
            let names = self.tree.arrays.iter().take(HINTED_NAMES).map(|array| array.info.path.to_string());
            let names: Vec<String> = names.collect();
            let more = if self.tree.arrays.len() > names.len() { " …" } else { "" };
            format!("; the file has {}{more}", names.join(", "))
        };
        Error::NotFound { path: full, hint }
    }
}

fn external(path: &str, file: &str, target: &str) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: format!("an external link (to {target} in {file})"),
        remedy: "; open that file itself, or leave the link out with --exclude",
    }
}

impl Container for Hdf5Container {
    fn label(&self) -> &str {
        self.file.label()
    }

    fn format(&self) -> Format {
        self.tree.format
    }

    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        let arrays = self.tree.arrays.iter().map(|array| array.info.clone()).collect();
        Ok((self.tree.groups.clone(), arrays))
    }

    fn listed_path(&self, path: &NodePath) -> NodePath {
        let is_group = |path: &NodePath| self.tree.groups.iter().any(|group| group.path == *path);
        if self.find(path).is_some() || is_group(path) {
            return path.clone();
        }
        let followed = fenced(self.label(), || {
            let within = || self.group_behind(&path.parent()?)?.child(path.name()?).ok();
            let array = within().filter(|path| self.find(path).is_some());
            Ok(array.or_else(|| self.group_behind(path).cloned()))
        });
        followed.ok().flatten().unwrap_or_else(|| path.clone())
    }

    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        let path = &self.listed_path(path);
        let node = self.find(path).ok_or_else(|| self.no_array(path))?;
        let label = format!("{}::{}", self.label(), node.info.path);
        match &node.body {
            Body::External { file, path } => Err(external(&label, file, path)),
            Body::Unreadable(refusal) => Err(refusal.at(&label)),
            Body::Dataset { address, item } => fenced(&label, || {
                let (file, info) = (Arc::clone(&self.file), node.info.clone());
                let array = H5Array::open(file, label.clone(), info, item.clone(), *address, &self.options)?;
                Ok(Arc::new(array) as Arc<dyn StoredArray>)
            }),
        }
    }
}
