//! Names of data: `PATH` or `PATH::NODE`, opened as a container with the array that is meant.
//!
//! Invariants: the format is recognised from content, never from the name; a container may be named without a node
//! where exactly one of its arrays can be meant; a path that exists is meant as it stands, and else may be a pattern of several.
//! Called by every command that reads.

mod state;

pub(crate) use state::StoredParts;

use crate::error::{Error, Result};
use crate::joined;
use crate::pyramid::{axis_names, is_image};
use crate::select::{named_in, places};
use blockwise_core::digest::Digest;
use blockwise_io::store::url::url_of;
use blockwise_io::{
    ArrayInfo, Attributes, Container, ElementType, GroupInfo, MissingChunks, NodePath, OpenOptions,
    StoredArray,
};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, folder or URL, with the node inside it that was named.
///
/// ```
/// use blockwise::Location;
/// let location: Location = "era5.nc::surface/t2m".parse()?;
/// assert_eq!(location.path().to_str(), Some("era5.nc"));
/// assert_eq!(location.node().unwrap().to_string(), "surface/t2m");
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// A path that does not exist and holds `*`, `?` or `[` is a pattern of files that are read as one: along the one dimension in which
/// they differ, in the order of its coordinates, or else stacked along a new one.
///
/// ```
/// use blockwise::store::{StoreOptions, to_npy};
/// use blockwise_core::{Array, Session};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// for number in [9, 10, 11] {
///     let plane = Array::from_fn(&[4, 5], move |_| number)?;
///     let path = folder.path().join(format!("plane_{number}.npy"));
///     to_npy(&Session::with_budget(64 << 20), &plane, &path, &StoreOptions::default())?;
/// }
/// let stack = blockwise::open(&format!("{}/plane_*.npy", folder.path().display()))?;
/// assert_eq!(stack.shape(), [3, 4, 5]);
/// assert_eq!(stack.compute::<i32>()?[[1, 0, 0]], 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    path: PathBuf,
    node: Option<NodePath>,
}

impl Location {
    /// A container as a whole.
    #[must_use]
    pub fn container(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), node: None }
    }

    /// A node of a container.
    #[must_use]
    pub fn array(path: impl Into<PathBuf>, node: NodePath) -> Self {
        Self { path: path.into(), node: Some(node).filter(|node| !node.is_root()) }
    }

    /// The file, folder or URL.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The node, if one was named.
    #[must_use]
    pub const fn node(&self) -> Option<&NodePath> {
        self.node.as_ref()
    }

    /// Opens the container.
    ///
    /// # Errors
    /// If there is none, or it is corrupt or of an unknown format.
    pub fn open(&self, options: &OpenOptions) -> Result<Opened> {
        let container = match joined::matching(&self.path)? {
            Some(paths) => joined::open(&self.path, paths, options)?,
            None => blockwise_io::open::open(&self.path, options)?,
        };
        let (groups, arrays) = match (container.nodes(), &self.node) {
            // A server that lists nothing can still be asked for an array by name.
            (Err(blockwise_io::Error::Unsupported { .. }), Some(node)) if url_of(&self.path).is_some() => {
                let (path, attributes) = (NodePath::root(), Attributes::new());
                let root = GroupInfo { path, attributes, dimensions: Vec::new() };
                (vec![root], vec![container.array(node)?.info().clone()])
            }
            (nodes, _) => nodes?,
        };
        let node = self.node.as_ref().map(|node| container.listed_path(node));
        let mut arrays = arrays;
        // Images of OME-Zarr before 0.5 say in their group what the axes of all levels are.
        let images: Vec<&GroupInfo> = groups.iter().filter(|group| is_image(group)).collect();
        let unnamed = |array: &&mut ArrayInfo| array.dimension_names.iter().all(Option::is_none);
        for array in arrays.iter_mut().filter(|array| !images.is_empty() && unnamed(array)) {
            let axes = axis_names(&images, &array.path).filter(|axes| axes.len() == array.shape.len());
            array.dimension_names = axes.unwrap_or_default();
            array.dimension_names.resize(array.shape.len(), None);
        }
        Ok(Opened { container, groups, arrays, node, missing_chunks: options.missing_chunks })
    }
}

impl std::str::FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (path, node) = match text.rsplit_once("::") {
            Some((path, node)) => {
                (path, Some(node.parse::<NodePath>().map_err(|error| Error::from(error).in_array(text))?))
            }
            None => (text, None),
        };
        if path.is_empty() {
            let why = "give a path, or a path and a node as in era5.nc::t2m".to_owned();
            return Err(Error::Argument { what: "path", text: text.to_owned(), why });
        }
        Ok(Self { path: path.into(), node: node.filter(|node| !node.is_root()) })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.node.as_ref().map_or(Ok(()), |node| write!(f, "::{node}"))
    }
}

/// An open container with its tree, and the node that was named.
///
/// ```
/// use blockwise::{Location, io::OpenOptions};
/// let location: Location = "examples/data/coads_climatology.cdf::SST".parse()?;
/// let opened = location.open(&OpenOptions::default())?;
/// assert!(opened.arrays.len() > 1);
/// assert_eq!(opened.only_array()?.shape, [12, 90, 180]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub struct Opened {
    /// The container.
    pub container: Arc<dyn Container>,
    /// Its groups, the root first.
    pub groups: Vec<GroupInfo>,
    /// Its arrays in the file's order.
    pub arrays: Vec<ArrayInfo>,
    node: Option<NodePath>,
    missing_chunks: MissingChunks,
}

impl Opened {
    /// The node that was named, by the path that it is listed under; `None` for the whole container.
    #[must_use]
    pub const fn node(&self) -> Option<&NodePath> {
        self.node.as_ref()
    }

    /// The array that `location`, which has the path of this container, names as its node; `None` if that is no array.
    pub(crate) fn array_named(&self, location: &Location) -> Option<&ArrayInfo> {
        let node = self.container.listed_path(location.node.as_ref()?);
        self.arrays.iter().find(|array| array.path == node)
    }

    /// Whether the named node is an array, or the container is a single array.
    #[must_use]
    pub fn names_an_array(&self) -> bool {
        let node = self.node.clone().unwrap_or_default();
        self.arrays.iter().any(|array| array.path == node)
    }

    /// `path` as seen from the named node; the root for that itself.
    #[must_use]
    pub fn relative(&self, path: &NodePath) -> NodePath {
        let skipped = self.node.as_ref().map_or(0, |node| node.components().len());
        let inside = path.components().iter().skip(skipped);
        // Components of a checked path are themselves checked.
        inside.fold(NodePath::root(), |path, name| path.child(name).unwrap_or(path))
    }

    /// What people call the array at `path`.
    #[must_use]
    pub fn label(&self, path: &NodePath) -> String {
        array_label(self.container.label(), path)
    }

    /// Groups and arrays at and below the named node; all if none was named.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn selected(&self) -> Result<(Vec<&GroupInfo>, Vec<&ArrayInfo>)> {
        let node = self.node.clone().unwrap_or_default();
        let groups: Vec<_> = self.groups.iter().filter(|group| is_within(&group.path, &node)).collect();
        let arrays: Vec<_> = self.arrays.iter().filter(|array| is_within(&array.path, &node)).collect();
        if groups.is_empty() && arrays.is_empty() && !node.is_root() {
            return Err(self.no_such_node(&node));
        }
        Ok((groups, arrays))
    }

    /// The one array that is meant: the named node, the only array, or the only one of rank above 0 that holds no
    /// coordinates, no bounds of such and no map's projection.
    ///
    /// # Errors
    /// If there is no such array, or several could be meant.
    pub fn only_array(&self) -> Result<&ArrayInfo> {
        let node = self.node.clone().unwrap_or_default();
        if let Some(array) = self.arrays.iter().find(|array| array.path == node) {
            return Ok(array);
        }
        let (_, inside) = self.selected()?;
        let beside = self.beside(&inside);
        let data = || {
            let holds_data = |array: &&&ArrayInfo| !holds_coordinates(array) && !beside.contains(&array.path);
            inside.iter().filter(|array| !array.shape.is_empty()).filter(holds_data)
        };
        let mut candidates = data();
        match (candidates.next(), candidates.next(), inside.as_slice()) {
            (Some(array), None, _) | (None, _, [array]) => Ok(array),
            (None, ..) => Err(self.no_array(inside.len())),
            _ => Err(self.usage(format!("holds {} arrays; name one as {}", data().count(), self.hint()))),
        }
    }

    /// The arrays that are meant where a whole container is to be computed with: the only one, or all at and below the named node
    /// that hold data, which are those that are no coordinates, no bounds of such and no map's projection.
    ///
    /// ```
    /// use blockwise::{Location, io::OpenOptions};
    /// let opened = Location::container("examples/data/coads_climatology.cdf").open(&OpenOptions::default())?;
    /// let names: Vec<_> = opened.data_arrays()?.into_iter().filter_map(|info| info.path.name()).collect();
    /// assert_eq!(names, ["SST", "AIRT", "SPEH", "WSPD", "UWND", "VWND", "SLP"]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such array.
    pub fn data_arrays(&self) -> Result<Vec<&ArrayInfo>> {
        let none = match self.only_array() {
            Ok(only) => return Ok(vec![only]),
            Err(error) => error,
        };
        let (_, mut inside) = self.selected()?;
        let beside = self.beside(&inside);
        inside.retain(|info| !holds_coordinates(info) && !beside.contains(&info.path));
        if inside.is_empty() { Err(none) } else { Ok(inside) }
    }

    /// Opens the array at `path`.
    ///
    /// # Errors
    /// If there is none, or it is corrupt.
    pub fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        Ok(self.container.array(path)?)
    }

    /// A text that differs for other containers, or the same read otherwise: where it is, for files their lengths and times of
    /// change, the descriptions of its groups and arrays, and what chunks are that are missing. What is stored below a folder is
    /// not looked at; see [`StoredParts`].
    pub(crate) fn fingerprint(&self) -> String {
        let mut key = Digest::default();
        key.add(&self.node);
        key.add(&self.groups);
        key.add(&self.arrays);
        key.add(&self.missing_chunks);
        for path in self.container.paths() {
            if let Ok(metadata) = path.metadata() {
                key.add(&path.canonicalize().ok());
                if metadata.is_file() {
                    key.add(&(metadata.len(), metadata.modified().ok()));
                }
            }
        }
        format!("{} {key}", self.container.label())
    }

    /// Where arrays stand that CF attributes of `arrays`, or of the groups that these stand in, name as belonging to others: auxiliary
    /// coordinates, bounds, grid mappings.
    fn beside(&self, arrays: &[&ArrayInfo]) -> HashSet<NodePath> {
        let all: HashSet<&NodePath> = self.arrays.iter().map(|array| &array.path).collect();
        let mut beside = HashSet::new();
        let mut add = |group: Option<NodePath>, attributes: &Attributes, own: Option<&NodePath>| {
            for name in named_in(attributes) {
                let is_there = |path: &NodePath| all.contains(path) && own != Some(path);
                beside.extend(places(name, group.clone()).find(is_there));
            }
        };
        for array in arrays {
            add(array.path.parent(), &array.attributes, Some(&array.path));
        }
        for group in &self.groups {
            add(Some(group.path.clone()), &group.attributes, None);
        }
        beside
    }

    fn no_such_node(&self, node: &NodePath) -> Error {
        let hint = if self.arrays.is_empty() { String::new() } else { format!("; there is {}", self.hint()) };
        blockwise_io::Error::NotFound { path: self.label(node), hint }.into()
    }

    /// The refusal of a node in which no array can be meant.
    fn no_array(&self, coordinates: usize) -> Error {
        let path = self.label(&self.node.clone().unwrap_or_default());
        let what = if coordinates == 0 {
            "holds no array; see what there is with `arrayctl ls`".to_owned()
        } else {
            format!("holds only coordinates and scalars; name one as {}", self.hint())
        };
        Error::Refused { path, what }
    }

    fn usage(&self, what: String) -> Error {
        Error::Usage { path: self.container.label().to_owned(), what }
    }

    /// The first few array names, as they are typed.
    fn hint(&self) -> String {
        let names: Vec<String> = self.arrays.iter().take(8).map(|array| self.label(&array.path)).collect();
        let more = if self.arrays.len() > names.len() { " …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

/// Whether an array holds the coordinates of the dimension that it is called as, which may be texts with an axis for letters.
fn holds_coordinates(info: &ArrayInfo) -> bool {
    let is_text = matches!(info.element_type, ElementType::FixedBytes { .. });
    let first = info.dimension_names.first().and_then(Option::as_deref);
    info.is_coordinate || is_text && info.shape.len() == 2 && first.is_some() && first == info.path.name()
}

/// What people call the array at `path` of the container they opened as `container`.
#[must_use]
pub(crate) fn array_label(container: &str, path: &NodePath) -> String {
    if path.is_root() { container.to_owned() } else { format!("{container}::{path}") }
}

/// Whether `path` is `ancestor` or lies below it.
#[must_use]
pub(crate) fn is_within(path: &NodePath, ancestor: &NodePath) -> bool {
    path.components().starts_with(ancestor.components())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_nodes() {
        let whole: Location = "a/b.zarr".parse().unwrap();
        assert_eq!((whole.node(), whole.to_string()), (None, "a/b.zarr".to_owned()));
        let url: Location = "s3://bucket/a.zarr::g/x".parse().unwrap();
        assert_eq!(url.to_string(), "s3://bucket/a.zarr::g/x");
        assert!("::x".parse::<Location>().is_err());
        assert!("a.nc::../x".parse::<Location>().is_err());
        let root: NodePath = "g".parse().unwrap();
        assert!(is_within(&"g/x".parse().unwrap(), &root) && !is_within(&"gx".parse().unwrap(), &root));
    }
}
