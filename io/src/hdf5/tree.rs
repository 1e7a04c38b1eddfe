//! The walk over a file's groups and datasets, done once when it is opened.
//!
//! Invariants: every group is entered once, by the address of its header, so cycles of hard links end; soft links are
//! followed to datasets, never into groups (those are reached by their own path); external links are listed and
//! refused, never followed. A dataset that cannot be understood is listed by what is wrong with it, so that the rest
//! of the file stays usable. Called by [`open`](super::open).

use super::attributes::{Carrier, StoredAttributes, reference_lists};
use super::describe;
use super::dimensions::{self, Scale};
use super::file::{H5File, fault, node_label};
use super::layout::DatasetLayout;
use super::links::links_of;
use super::types::ItemType;
use crate::attribute::Attributes;
use crate::container::{ArrayInfo, ElementType, Format, GroupInfo, NodePath};
use crate::error::{Error, Result};
use hdf5_reader::Dataset;
use hdf5_reader::error::Error as ParseError;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::link::LinkTarget;
use hdf5_reader::object_header::ObjectHeader;
use std::collections::{HashMap, HashSet};

/// Links that a group may hold in its object header: looking them up takes time with the square.
const MAX_COMPACT_LINKS: u64 = 1 << 14;
/// Groups and datasets together that a file may have.
const MAX_NODES: u64 = 1 << 22;

/// Everything in a file.
pub(super) struct Tree {
    /// NetCDF-4 if it has that library's marks or dimension scales, else HDF5.
    pub(super) format: Format,
    /// The root first, parents before children.
    pub(super) groups: Vec<GroupInfo>,
    /// All arrays.
    pub(super) arrays: Vec<ArrayNode>,
    /// Paths of the groups by the addresses of their headers.
    pub(super) group_at: HashMap<u64, NodePath>,
}

/// One array of the file.
pub(super) struct ArrayNode {
    /// What it is.
    pub(super) info: ArrayInfo,
    /// How it is reached.
    pub(super) body: Body,
}

/// What stands behind an array's name.
pub(super) enum Body {
    /// A dataset.
    Dataset {
        /// Address of its object header.
        address: u64,
        /// Its elements.
        item: ItemType,
    },
    /// A link into another file.
    External {
        /// The other file.
        file: String,
        /// The path in it.
        path: String,
    },
    /// Something that was not understood.
    Unreadable(Refusal),
}

/// Why a dataset cannot be opened; kept because errors cannot be copied.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    what: String,
    remedy: &'static str,
    is_supported: bool,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        match error {
            Error::Corrupt { what, remedy, .. } => Self { what: what.clone(), remedy, is_supported: true },
            Error::Unsupported { what, remedy, .. } => {
                Self { what: what.clone(), remedy, is_supported: false }
            }
            other => Self { what: other.to_string(), remedy: "", is_supported: true },
        }
    }

    /// How listings call it.
    fn element_type(&self) -> ElementType {
        let Self { what, is_supported, .. } = self;
        ElementType::Other(if *is_supported { format!("unreadable: {what}") } else { what.clone() })
    }

    /// The error for the array that people call `path`.
    pub(super) fn at(&self, path: &str) -> Error {
        let (path, what, remedy) = (path.to_owned(), self.what.clone(), self.remedy);
        if self.is_supported {
            Error::Corrupt { path, what, remedy }
        } else {
            Error::Unsupported { path, what, remedy }
        }
    }
}

/// A dataset as the walk found it, before dimension names were worked out.
pub(super) struct FoundArray {
    /// The array so far.
    pub(super) node: ArrayNode,
    /// Address of the object header; 0 for external links.
    pub(super) address: u64,
    /// Its role as a dimension scale.
    pub(super) scale: Option<Scale>,
    /// Addresses of the scales of each axis (`DIMENSION_LIST`).
    pub(super) axis_scales: Vec<Vec<u64>>,
    /// NetCDF-4's dimension identifiers of each axis of a coordinate variable of several axes.
    pub(super) axis_ids: Option<Vec<u64>>,
}

/// Walks the whole file.
pub(super) fn read(file: &H5File) -> Result<Tree> {
    let mut walk =
        Walk { file, groups: Vec::new(), found: Vec::new(), group_at: HashMap::new(), is_netcdf: false };
    let root = file.root()?;
    let mut entered = HashSet::from([root.address()]);
    let mut pending = vec![(root, NodePath::root())];
    while let Some((group, path)) = pending.pop() {
        let children = walk.group(&group, &path)?;
        for (child, path) in children.into_iter().rev() {
            if entered.insert(child.address()) {
                pending.push((child, path));
            } else {
                tracing::debug!("{}::{path}: the group is listed under its first name only", file.label());
            }
        }
    }
    let Walk { mut groups, found, group_at, is_netcdf, .. } = walk;
    let format = if is_netcdf || found.iter().any(|array| array.scale.is_some()) {
        Format::NetCdf4
    } else {
        Format::Hdf5
    };
    let mut arrays = dimensions::resolve(found, &mut groups, file.label())?;
    arrays.iter_mut().for_each(|array| array.info.format = format);
    Ok(Tree { format, groups, arrays, group_at })
}

struct Walk<'a> {
    file: &'a H5File,
    groups: Vec<GroupInfo>,
    found: Vec<FoundArray>,
    group_at: HashMap<u64, NodePath>,
    is_netcdf: bool,
}

impl Walk<'_> {
    /// Lists one group; gives its child groups.
    fn group(&mut self, group: &Group, path: &NodePath) -> Result<Vec<(Group, NodePath)>> {
        let label = node_label(self.file.label(), path);
        let stored = StoredAttributes::read(self.file, Carrier::Group(group), &label)?;
        if path.is_root() {
            self.is_netcdf = ["_NCProperties", "_nc3_strict"].iter().any(|mark| stored.get(mark).is_some());
        }
        let attributes = stored.to_model(self.file, |name| describe::is_hidden(name, false))?;
        self.groups.push(GroupInfo { path: path.clone(), attributes, dimensions: Vec::new() });
        self.group_at.insert(group.address(), path.clone());
        let links = links_of(self.file, group.address(), &label)?;
        self.check_counts(group, links.len() as u64, &label)?;
        let mut children = Vec::new();
        for link in links {
            let path = path.child(&link.name)?;
            match link.target {
                LinkTarget::Hard { address } => match self.kind(address) {
                    Ok(Kind::Group) => {
                        let child = group.group(&link.name).map_err(|error| fault(&label, "link", error))?;
                        children.push((child, path));
                    }
                    Ok(Kind::Other) => {}
                    Ok(Kind::Dataset) => match group.dataset(&link.name) {
                        Ok(dataset) => self.dataset(&dataset, path)?,
                        Err(error) => self.unreadable(path, address, error),
                    },
                    Err(error) => self.unreadable(path, address, error),
                },
                LinkTarget::Soft { path: target } => match group.dataset(&link.name) {
                    Ok(dataset) => self.dataset(&dataset, path)?,
                    Err(_) => tracing::debug!("{label}: soft link {} to {target} is not listed", link.name),
                },
                LinkTarget::External { filename, path: target } => {
                    let name = ElementType::Other(format!("external link to {target} in {filename}"));
                    self.push(refused(path, name, Body::External { file: filename, path: target }), 0);
                }
            }
        }
        Ok(children)
    }

    fn check_counts(&self, group: &Group, links: u64, label: &str) -> Result<()> {
        let header = self.file.parsed().get_or_parse_header(group.address());
        let header = header.map_err(|error| fault(label, "object header", error))?;
        let compact =
            header.messages.iter().filter(|message| matches!(message, HdfMessage::Link(_))).count() as u64;
        let nodes = links.saturating_add((self.groups.len() + self.found.len()) as u64);
        for (what, size, limit) in
            [("number of compact links", compact, MAX_COMPACT_LINKS), ("number of nodes", nodes, MAX_NODES)]
        {
            if size > limit {
                return Err(Error::Limit { path: label.to_owned(), what, size: size.to_string(), limit });
            }
        }
        Ok(())
    }

    fn kind(&self, address: u64) -> Result<Kind, ParseError> {
        Ok(Kind::of(self.file.parsed().get_or_parse_header(address)?.as_ref()))
    }

    /// Adds a dataset; what is wrong with it alone makes it unreadable, not the file.
    fn dataset(&mut self, dataset: &Dataset, path: NodePath) -> Result<()> {
        let label = node_label(self.file.label(), &path);
        match found_array(self.file, dataset, &path, &label) {
            Ok(found) => self.found.push(found),
            Err(error) => {
                tracing::debug!("{error}");
                self.push(unreadable(path, &error), dataset.address());
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, path: NodePath, address: u64, error: ParseError) {
        let error = fault(&node_label(self.file.label(), &path), "object header", error);
        tracing::debug!("{error}");
        self.push(unreadable(path, &error), address);
    }

    fn push(&mut self, node: ArrayNode, address: u64) {
        self.found.push(FoundArray { node, address, scale: None, axis_scales: Vec::new(), axis_ids: None });
    }
}

/// What an object header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Group,
    Dataset,
    /// A named datatype.
    Other,
}

impl Kind {
    fn of(header: &ObjectHeader) -> Self {
        let is_group = |message: &HdfMessage| {
            use HdfMessage::{GroupInfo, Link, LinkInfo, SymbolTable};
            matches!(message, SymbolTable(_) | Link(_) | LinkInfo(_) | GroupInfo(_))
        };
        let is_dataset =
            |message: &HdfMessage| matches!(message, HdfMessage::Dataspace(_) | HdfMessage::DataLayout(_));
        if header.messages.iter().any(is_group) {
            Self::Group
        } else if header.messages.iter().any(is_dataset) {
            Self::Dataset
        } else {
            Self::Other
        }
    }
}

/// Everything that the walk needs to know of `dataset`.
fn found_array(file: &H5File, dataset: &Dataset, path: &NodePath, label: &str) -> Result<FoundArray> {
    let layout = DatasetLayout::parse(file, dataset.address(), label)?;
    let item = item_of(dataset, &layout, label)?;
    let stored = StoredAttributes::read(file, Carrier::Dataset(dataset), label)?;
    let scale = Scale::of(&stored, file);
    let attributes = stored.to_model(file, |name| describe::is_hidden(name, scale.is_some()))?;
    let axis_scales =
        stored.get("DIMENSION_LIST").map(|list| reference_lists(file, list)).unwrap_or_default();
    let axis_ids = stored.integers("_Netcdf4Coordinates");
    let mut info = describe::array_info(path.clone(), &item, &layout, attributes);
    info.dimension_names = stored.labels("DIMENSION_LABELS", file, layout.shape.len());
    let address = dataset.address();
    Ok(FoundArray {
        node: ArrayNode { info, body: Body::Dataset { address, item } },
        address,
        scale,
        axis_scales,
        axis_ids,
    })
}

/// The element type of `dataset`.
fn item_of(dataset: &Dataset, layout: &DatasetLayout, label: &str) -> Result<ItemType> {
    let raw = dataset.raw_datatype().map_err(|error| fault(label, "datatype", error))?;
    let item = ItemType::new(dataset.dtype(), &raw, layout.item_bytes);
    let expected = match &item.element {
        ElementType::Number(dtype) => Some(dtype.size() as u64),
        ElementType::FixedBytes { len_bytes } => Some(*len_bytes),
        _ => None,
    };
    match expected {
        Some(bytes) if bytes != u64::from(layout.item_bytes) => Err(Error::Corrupt {
            path: label.to_owned(),
            what: format!("{}-byte elements of type {}", layout.item_bytes, item.element),
            remedy: "",
        }),
        _ => Ok(item),
    }
}

/// An array that is listed by its name and what keeps it from being read.
fn refused(path: NodePath, element_type: ElementType, body: Body) -> ArrayNode {
    let info = ArrayInfo {
        path,
        format: Format::Hdf5,
        element_type,
        shape: Vec::new(),
        dimension_names: Vec::new(),
        unlimited: Vec::new(),
        chunk_shape: None,
        shard_shape: None,
        codec: None,
        codec_text: "unknown".to_owned(),
        fill_value: None,
        attributes: Attributes::new(),
        is_coordinate: false,
    };
    ArrayNode { info, body }
}

/// An array that was not understood, for the reason that `error` gives.
fn unreadable(path: NodePath, error: &Error) -> ArrayNode {
    let refusal = Refusal::of(error);
    refused(path, refusal.element_type(), Body::Unreadable(refusal))
}
