//! The model between file formats and the rest: containers, groups, arrays and their descriptions.
//!
//! Invariants: a node's path is a list of checked components; an [`ArrayInfo`] says everything a conversion must
//! keep; formats translate to and from this model and know nothing of each other. Called by the formats (who
//! implement [`Container`] and [`ContainerWriter`]) and by the conversion code (who connects two of them).

use crate::attribute::Attributes;
use crate::error::{Error, Result};
use blockwise_core::{Cancellation, Sink, Source};
use blockwise_kernels::{DType, Scalar};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Zarr version 2, a folder.
    Zarr2,
    /// Zarr version 3, a folder.
    Zarr3,
    /// HDF5 without NetCDF's conventions.
    Hdf5,
    /// NetCDF-4: HDF5 with dimension scales.
    NetCdf4,
    /// NetCDF classic: CDF-1, CDF-2 or CDF-5.
    NetCdfClassic,
    /// NumPy's `.npy`.
    Npy,
    /// TIFF or BigTIFF.
    Tiff,
    /// Bytes without a header.
    Raw,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zarr2 => "Zarr v2",
            Self::Zarr3 => "Zarr v3",
            Self::Hdf5 => "HDF5",
            Self::NetCdf4 => "NetCDF-4",
            Self::NetCdfClassic => "NetCDF classic",
            Self::Npy => "npy",
            Self::Tiff => "TIFF",
            Self::Raw => "raw",
        })
    }
}

/// Where a node stands in its container: checked components, none for the root.
///
/// ```
/// use blockwise_io::NodePath;
/// let path: NodePath = "/ocean/temperature".parse()?;
/// assert_eq!(path.name(), Some("temperature"));
/// assert_eq!(path.to_string(), "ocean/temperature");
/// assert!("a/../b".parse::<NodePath>().is_err());
/// # Ok::<(), blockwise_io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePath {
    components: Vec<String>,
}

impl NodePath {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// This node's child `name`.
    ///
    /// # Errors
    /// If `name` is empty, `.`, `..`, or holds a slash or NUL.
    pub fn child(&self, name: &str) -> Result<Self> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(Error::UnsafePath {
                path: format!("{self}/{name}"),
                why: "this is no valid node name",
            });
        }
        let mut components = self.components.clone();
        components.push(name.to_owned());
        Ok(Self { components })
    }

    /// The group that holds this node; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.components.split_last()?;
        Some(Self { components: parents.to_vec() })
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.components.last().map(String::as_str)
    }

    /// The components from the root down.
    #[must_use]
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.components.is_empty()
    }
}

impl std::str::FromStr for NodePath {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        text.split('/').filter(|part| !part.is_empty()).try_fold(Self::root(), |path, part| path.child(part))
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.components.join("/"))
    }
}

/// What the elements of a stored array are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// A dtype that Blockwise computes with.
    Number(DType),
    /// 64-bit counts of a time unit: NumPy's `datetime64[unit]`. Streams as `int64`.
    DateTime {
        /// NumPy's unit with its multiplier, such as `ns` or `10s`.
        unit: String,
        /// Whether it is a difference (`timedelta64`).
        difference: bool,
    },
    /// Strings of exactly `len_bytes` bytes, NUL-padded (NetCDF `char` is length 1). Streams as `uint8` with a last
    /// axis of `len_bytes` added to shape and grid.
    FixedBytes {
        /// Bytes of one string.
        len_bytes: u64,
    },
    /// Strings of any length. Does not stream: read and written whole, see [`StoredArray::read_texts`].
    Text,
    /// Anything else, by its name in the file. Neither streams nor converts.
    Other(String),
}

impl ElementType {
    /// The dtype in which elements stream; `None` if they do not.
    #[must_use]
    pub const fn stream_dtype(&self) -> Option<DType> {
        match self {
            Self::Number(dtype) => Some(*dtype),
            Self::DateTime { .. } => Some(DType::I64),
            Self::FixedBytes { .. } => Some(DType::U8),
            Self::Text | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(dtype) => write!(f, "{dtype}"),
            Self::DateTime { unit, difference: false } => write!(f, "datetime64[{unit}]"),
            Self::DateTime { unit, difference: true } => write!(f, "timedelta64[{unit}]"),
            Self::FixedBytes { len_bytes } => write!(f, "bytes{len_bytes}"),
            Self::Text => f.write_str("text"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// How chunks are encoded, in the words of the `--codec` option.
///
/// The stages run in this order when writing: shuffle, compressor, checksum. What a format cannot say it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// The compressor.
    pub compressor: Compressor,
    /// A byte shuffle before the compressor, outside of blosc.
    pub shuffle: bool,
    /// A checksum after the compressor: crc32c in Zarr, fletcher32 in HDF5.
    pub checksum: bool,
}

/// The compressor of a [`CodecSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compressor {
    /// Stored as is.
    None,
    /// Zstandard with a level.
    Zstd {
        /// 1 (fast) to 22 (small).
        level: i32,
    },
    /// gzip's format (Zarr).
    Gzip {
        /// 0 to 9.
        level: u32,
    },
    /// zlib's format: `deflate` in HDF5, `zlib` in Zarr v2.
    Deflate {
        /// 0 to 9.
        level: u32,
    },
    /// Blosc (version 1 frames).
    Blosc {
        /// `lz4`, `lz4hc`, `blosclz`, `zstd` or `zlib`.
        cname: String,
        /// 0 to 9.
        level: u32,
        /// Blosc's own shuffle.
        shuffle: BloscShuffle,
    },
}

/// Blosc's own shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BloscShuffle {
    /// None.
    None,
    /// Bytes of elements are gathered by significance.
    Byte,
    /// Bits of elements are gathered by significance.
    Bit,
}

/// Everything known of a stored array without reading its chunks.
#[derive(Clone, Debug)]
pub struct ArrayInfo {
    /// Where it stands in its container.
    pub path: NodePath,
    /// The format it is stored in.
    pub format: Format,
    /// What its elements are.
    pub element_type: ElementType,
    /// Elements per axis (without the axis that [`ElementType::FixedBytes`] adds when streaming).
    pub shape: Vec<u64>,
    /// Dimension names, one an axis, where it has any.
    pub dimension_names: Vec<Option<String>>,
    /// Which axes may grow (HDF5 and NetCDF unlimited dimensions).
    pub unlimited: Vec<bool>,
    /// Stored chunk shape; `None` for contiguous layouts.
    pub chunk_shape: Option<Vec<u64>>,
    /// Shard shape, if `chunk_shape` are the inner chunks of shards.
    pub shard_shape: Option<Vec<u64>>,
    /// The codec in the words of `--codec`; `None` if those cannot say it.
    pub codec: Option<CodecSpec>,
    /// The codec chain or filter pipeline for people.
    pub codec_text: String,
    /// Value of absent chunks (streaming dtype); `None` if undefined.
    pub fill_value: Option<Scalar>,
    /// Attributes, without those that the format uses to encode the rest of this description (such as
    /// `_ARRAY_DIMENSIONS`, `DIMENSION_LIST`, `_Netcdf4Dimid`, `CLASS`, `NAME`).
    pub attributes: Attributes,
    /// Whether the array holds the coordinates of the dimension that it is named after (1-d, named as its axis).
    pub is_coordinate: bool,
}

/// A group.
#[derive(Clone, Debug)]
pub struct GroupInfo {
    /// Where it stands.
    pub path: NodePath,
    /// Its attributes.
    pub attributes: Attributes,
    /// Dimensions that are declared in this group (NetCDF): name, length, unlimited. Includes dimensions that no
    /// variable is named after.
    pub dimensions: Vec<(String, u64, bool)>,
}

/// A text array read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextArray {
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// The texts in C order.
    pub texts: Vec<String>,
}

/// An array of an open container.
pub trait StoredArray: Send + Sync {
    /// What it is.
    fn info(&self) -> &ArrayInfo;

    /// Its chunks as a source.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the elements do not stream or a codec is unknown; [`Error::Corrupt`] if chunk
    /// addresses are.
    fn source(&self) -> Result<Arc<dyn Source>>;

    /// Chunks that are present in storage and those that the grid has; may list folders or read an index.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn stored_chunks(&self) -> Result<(u64, u64)>;

    /// Bytes that the chunks take in storage; may list folders or read an index.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn stored_bytes(&self) -> Result<u64>;

    /// The whole array, if its elements are [`ElementType::Text`].
    ///
    /// # Errors
    /// If they are not, exceed `limit_bytes` together, or cannot be read.
    fn read_texts(&self, limit_bytes: u64) -> Result<TextArray>;
}

/// An open container, or a single array that stands alone (then its path is the root).
pub trait Container: Send + Sync {
    /// What people call it: the path or URL it was opened by.
    fn label(&self) -> &str;

    /// Its format.
    fn format(&self) -> Format;

    /// The files or folders that it is read from, or its URL.
    fn paths(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(self.label())]
    }

    /// Every group (the root first, parents before children) and every array, in the file's order.
    ///
    /// # Errors
    /// If the tree cannot be read.
    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)>;

    /// The path under which [`nodes`](Self::nodes) lists the node at `path`, which may lead through links; `path`
    /// itself if there is no such node.
    fn listed_path(&self, path: &NodePath) -> NodePath {
        path.clone()
    }

    /// Opens the array at `path`.
    ///
    /// # Errors
    /// If there is none, or it is corrupt.
    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>>;
}

/// What to do when a chunk is absent in storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingChunks {
    /// It reads as fill values.
    #[default]
    Fill,
    /// It reads as fill values, with a warning (`tracing::warn!`) for the first and a count at the end.
    Warn,
    /// It is an error.
    Error,
}

/// How to open a container.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What to do when a chunk is absent.
    pub missing_chunks: MissingChunks,
    /// Whether symlinks may lead out of a store's root.
    pub follow_symlinks: bool,
    /// dtype of a raw file.
    pub raw_dtype: Option<DType>,
    /// Shape of a raw file.
    pub raw_shape: Option<Vec<u64>>,
    /// Bytes that chunk indexes and metadata caches of the container may take.
    pub cache_bytes: u64,
    /// The flag that ends waiting for servers: the one of the run that reads. Local files are not waited for.
    pub cancellation: Cancellation,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            missing_chunks: MissingChunks::Fill,
            follow_symlinks: false,
            raw_dtype: None,
            raw_shape: None,
            cache_bytes: 32 << 20,
            cancellation: Cancellation::new(),
        }
    }
}

/// What a new array is to be.
#[derive(Clone, Debug)]
pub struct ArraySpec {
    /// Where it will stand.
    pub path: NodePath,
    /// What its elements are.
    pub element_type: ElementType,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Dimension names, one an axis.
    pub dimension_names: Vec<Option<String>>,
    /// Which axes may grow.
    pub unlimited: Vec<bool>,
    /// Chunk shape; `None` lets the format choose contiguous storage where it has that, else one chunk.
    pub chunk_shape: Option<Vec<u64>>,
    /// Shard shape, a multiple of the chunk shape (Zarr v3 only).
    pub shard_shape: Option<Vec<u64>>,
    /// How chunks are encoded.
    pub codec: CodecSpec,
    /// Value of absent chunks (streaming dtype).
    pub fill_value: Option<Scalar>,
    /// Attributes.
    pub attributes: Attributes,
    /// Whether it holds the coordinates of the dimension it is named after.
    pub is_coordinate: bool,
}

/// A container being written. Created on the partial path that [`crate::publish`] hands out; nothing is visible
/// under the final name before the publication is committed.
///
/// # Contract
/// Groups are created parents first; the root group is created first of all unless the container is a single array
/// (an `ArraySpec` with the root path). `finish` is called last.
pub trait ContainerWriter: Send + Sync {
    /// The format that is written.
    fn format(&self) -> Format;

    /// Creates a group with its attributes and dimensions.
    ///
    /// # Errors
    /// If the format has no groups, cannot say an attribute, or the write fails.
    fn create_group(&mut self, group: &GroupInfo) -> Result<()>;

    /// Creates an array and gives the sink of its chunks. The sink must be finished before `finish`.
    ///
    /// # Errors
    /// [`Error::Refused`] if the format cannot say the element type, codec, shards or an attribute, naming it.
    fn create_array(&mut self, spec: &ArraySpec) -> Result<Arc<dyn Sink>>;

    /// Creates a text array and writes it.
    ///
    /// # Errors
    /// If the format has no texts, or the write fails.
    fn create_texts(&mut self, spec: &ArraySpec, texts: &TextArray) -> Result<()>;

    /// Writes what must come last (root metadata, consolidated metadata) and makes everything durable.
    ///
    /// # Errors
    /// If that fails.
    fn finish(&mut self) -> Result<()>;
}
