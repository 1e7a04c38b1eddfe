//! HDF5 (`.h5`, `.hdf5`) and NetCDF-4 (`.nc`) files, written.
//!
//! libhdf5 does the structure, the authority on what others can read; chunks are encoded by our own codecs on the
//! callers' threads and handed to it encoded. NetCDF-4 files follow what netCDF4-python and xarray expect: dimension
//! scales, numbered dimensions, attributes of exact types, order of creation. Plain HDF5 files follow h5py.
//!
//! Invariants: libhdf5 only ever touches the one new file that it is told to create, inside the partial folder of a
//! publication; disk space is made sure of before each call; nothing is written after a call failed. A file whose
//! writing was interrupted is worthless, as libhdf5 keeps what it needs to find chunks in memory until the end: such
//! an output is started afresh, `--resume` or not.
//!
//! Called by the conversion code through [`ContainerWriter`].

mod arrays;
mod attributes;
mod dimensions;
mod elements;
mod file;
mod layout;
mod library;
mod plain;
mod scales;
mod sink;
mod space;

use crate::attribute::Attributes;
use crate::container::{ArraySpec, ContainerWriter, ElementType, Format, GroupInfo, NodePath, TextArray};
use crate::error::{Error, Result};
use arrays::{ArrayParts, ArrayRecord};
use attributes::Encoded;
use blockwise_core::{ChunkGrid, Sink};
use dimensions::Dimensions;
use file::SharedFile;
use layout::Layout;
use library::{ElementKind, NewDataset, StorageLayout, with_library};
use scales::{Scale, ScaledArray};
use sink::Hdf5Sink;
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

/// The name of an array that stands alone, as every HDF5 dataset needs one.
const LONE_ARRAY: &str = "data";

/// Writes one HDF5 or NetCDF-4 file.
///
/// ```
/// use blockwise_io::attribute::Attributes;
/// use blockwise_io::hdf5_write::Hdf5Writer;
/// use blockwise_io::{ContainerWriter, Format, GroupInfo, NodePath};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("empty.nc");
/// let mut writer = Hdf5Writer::create(&path, "empty.nc", Format::NetCdf4)?;
/// writer.create_group(&GroupInfo {
///     path: NodePath::root(),
///     attributes: Attributes::new(),
///     dimensions: vec![("time".to_owned(), 12, true)],
/// })?;
/// writer.finish()?;
/// assert!(std::fs::read(&path)?.starts_with(b"\x89HDF"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Hdf5Writer {
    format: Format,
    file: Arc<SharedFile>,
    dimensions: Dimensions,
    arrays: Vec<ArrayRecord>,
    /// Paths of the groups.
    groups: Vec<NodePath>,
}

impl Hdf5Writer {
    /// Creates the file at `path`, the payload path of a publication; errors call it `label`. What an interrupted run
    /// left there is removed. `format` is [`Format::NetCdf4`] or [`Format::Hdf5`].
    ///
    /// # Errors
    /// [`Error::Refused`] for another format; [`Error::Hdf5Library`] or [`Error::NoSpace`] if it cannot be created.
    pub fn create(path: &Path, label: &str, format: Format) -> Result<Self> {
        if !matches!(format, Format::NetCdf4 | Format::Hdf5) {
            let what = format!("{format} is not written by this part; this is a bug");
            return Err(Error::Refused { path: label.to_owned(), what });
        }
        let file = Arc::new(SharedFile::create(path, label)?);
        if format == Format::NetCdf4 {
            let (major, minor, release) = with_library(library::Library::version);
            let version = env!("CARGO_PKG_VERSION");
            let text = format!("version=2,blockwise={version},hdf5={major}.{minor}.{release}");
            let provenance = Encoded::unterminated("_NCProperties", &text);
            file.call(provenance.size_bytes(), |library, open| provenance.write(library, &open.file))?;
        }
        let (arrays, groups) = (Vec::new(), Vec::new());
        Ok(Self { format, file, dimensions: Dimensions::default(), arrays, groups })
    }

    fn refused(&self, node: &NodePath, what: String) -> Error {
        Error::Refused { path: self.label_of(node), what }
    }

    fn label_of(&self, node: &NodePath) -> String {
        if node.is_root() { self.file.label().to_owned() } else { format!("{}::{node}", self.file.label()) }
    }

    fn encoded(&self, node: &NodePath, attributes: &Attributes) -> Result<Vec<Encoded>> {
        attributes
            .iter()
            .map(|(name, value)| {
                Encoded::new(name, value, self.format).map_err(|what| self.refused(node, what))
            })
            .collect()
    }

    /// Creates a dataset with its attributes and takes note of its dimensions.
    fn create_dataset(
        &mut self,
        spec: &ArraySpec,
        parts: &ArrayParts,
        layout: StorageLayout<'_>,
    ) -> Result<()> {
        let attributes = self.encoded(&spec.path, &parts.attributes)?;
        let (shape, unlimited) = (&parts.shape, &parts.unlimited);
        let path = in_file(&spec.path);
        let filters = parts.layout.as_ref().and_then(|layout| layout.pipeline.as_ref());
        let filters = filters.map_or(&[][..], |pipeline| &pipeline.filters);
        let allocated = match layout {
            StorageLayout::Contiguous => parts.size_bytes(),
            _ => 0,
        };
        let growth_bytes = attributes.iter().map(Encoded::size_bytes).sum::<u64>().saturating_add(allocated);
        let labels = (self.format == Format::Hdf5).then(|| axis_labels(spec)).flatten();
        let dataset = self.file.call(growth_bytes, |library, open| {
            let element = parts.stored.map(|stored| stored.create(library)).transpose()?;
            let elements = match &element {
                Some(element) => ElementKind::Plain(element, parts.fill.as_deref()),
                None => ElementKind::Text,
            };
            let new = NewDataset { path: &path, elements, shape, unlimited, layout, filters };
            let dataset = library.create_dataset(&open.file, &new)?;
            for attribute in attributes.iter().chain(&labels) {
                attribute.write(library, &dataset)?;
            }
            Ok(open.keep(dataset))
        })?;
        self.arrays.push(ArrayRecord::new(spec, path, dataset, parts));
        if self.format == Format::NetCdf4 {
            let position = self.arrays.len() - 1;
            arrays::note_coordinates(&mut self.dimensions, spec, &parts.dimensions, position);
        }
        Ok(())
    }

    /// Ties NetCDF's variables and dimensions together.
    fn finish_netcdf(&mut self) -> Result<()> {
        for (position, array) in self.arrays.iter_mut().enumerate() {
            let (Some(parent), Some(name)) = (array.node.parent(), array.node.name()) else { continue };
            let namesake = self.dimensions.declared(&parent, name);
            let namesake = namesake.and_then(|number| self.dimensions.list().get(number));
            if namesake.is_some_and(|dimension| dimension.variable != Some(position)) {
                // The name belongs to the dimension's scale: netCDF's library hides the variable behind this one.
                let hidden = in_file(&parent.child(&format!("_nc4_non_coord_{name}"))?);
                self.file.call(0, |library, open| library.rename(&open.file, &array.path, &hidden))?;
                array.path = hidden;
            }
        }
        let mut scales = Vec::with_capacity(self.dimensions.list().len());
        for (number, dimension) in (0_i32..).zip(self.dimensions.list()) {
            let number = Some(number);
            scales.push(match dimension.variable.and_then(|position| self.arrays.get(position)) {
                Some(array) => {
                    let (path, name) = (array.path.clone(), dimension.name.clone());
                    Scale { path, dataset: array.dataset, name, number }
                }
                None => {
                    let path = in_file(&dimension.group.child(&dimension.name)?);
                    let (dataset, name) =
                        scales::declare(&self.file, &path, dimension.length, dimension.unlimited)?;
                    Scale { path, dataset, name, number }
                }
            });
        }
        let is_scale = |array: &ArrayRecord| scales.iter().any(|scale| scale.dataset == array.dataset);
        let scaled: Vec<ScaledArray> = self
            .arrays
            .iter()
            .filter(|array| !is_scale(array))
            .map(|array| array.scaled(array.dimensions.iter().copied().map(Some).collect()))
            .collect();
        scales::attach(&self.file, &scales, &scaled)?;
        for array in self.arrays.iter().filter(|array| !array.dimensions.is_empty()) {
            let numbers: Vec<i32> = array.dimensions.iter().filter_map(|&n| i32::try_from(n).ok()).collect();
            let coordinates = Encoded::ints("_Netcdf4Coordinates", &numbers);
            self.file.call(coordinates.size_bytes(), |library, open| {
                coordinates.write(library, open.dataset(array.dataset)?)
            })?;
        }
        Ok(())
    }
}

impl ContainerWriter for Hdf5Writer {
    fn format(&self) -> Format {
        self.format
    }

    fn create_group(&mut self, group: &GroupInfo) -> Result<()> {
        let mut attributes = group.attributes.clone();
        // Says which program wrote the file: this one, now.
        attributes.remove("_NCProperties");
        let attributes = self.encoded(&group.path, &attributes)?;
        if self.format == Format::NetCdf4 {
            for (name, length, unlimited) in &group.dimensions {
                self.dimensions
                    .declare(&group.path, name, *length, *unlimited)
                    .map_err(|what| Error::Refused { path: self.file.label().to_owned(), what })?;
            }
        }
        let growth_bytes = 4096 + attributes.iter().map(Encoded::size_bytes).sum::<u64>();
        if !group.path.is_root() {
            self.groups.push(group.path.clone());
        }
        self.file.call(growth_bytes, |library, open| {
            let created;
            let object = if group.path.is_root() {
                &open.file
            } else {
                created = library.create_group(&open.file, &group.path.to_string())?;
                &created
            };
            attributes.iter().try_for_each(|attribute| attribute.write(library, object))
        })
    }

    fn create_array(&mut self, spec: &ArraySpec) -> Result<Arc<dyn Sink>> {
        let refused = |what| Error::Refused { path: self.label_of(&spec.path), what };
        let mut parts = ArrayParts::new(spec, self.format).map_err(refused)?;
        let Some(stored) = parts.stored else {
            return Err(self.refused(&spec.path, "an array of texts has no chunks to stream".to_owned()));
        };
        if self.format == Format::NetCdf4 {
            arrays::resolve_dimensions(&mut self.dimensions, spec, &mut parts).map_err(|what| {
                Error::Refused { path: format!("{}::{}", self.file.label(), spec.path), what }
            })?;
        }
        let wanted_chunk = parts.chunk_of(spec);
        let layout = Layout::new(
            &parts.shape,
            &parts.unlimited,
            wanted_chunk.as_deref(),
            &spec.codec,
            stored.item_bytes(),
        )
        .map_err(|what| self.refused(&spec.path, what))?;
        parts.layout = Some(layout.clone());
        let storage = match &layout.pipeline {
            Some(_) => StorageLayout::Chunked(&layout.boxes),
            None if parts.shape.contains(&0) => StorageLayout::Late,
            None => StorageLayout::Contiguous,
        };
        let (grid_shape, full_box) = parts.streamed(&layout.boxes);
        let grid = ChunkGrid::regular(&grid_shape, &full_box)?;
        self.create_dataset(spec, &parts, storage)?;
        let Some(dataset) = self.arrays.last().map(|array| array.dataset) else {
            return Err(self.refused(&spec.path, "the dataset was lost; this is a bug".to_owned()));
        };
        let encoding =
            layout.pipeline.as_ref().map(|pipeline| parts.encoding(stored, &layout.boxes, pipeline));
        Ok(Arc::new(Hdf5Sink {
            file: Arc::clone(&self.file),
            dataset,
            label: self.label_of(&spec.path),
            dtype: parts.stream_dtype,
            grid,
            dataset_rank: parts.shape.len(),
            stored,
            full_box,
            fill: parts.stream_fill(),
            pipeline: layout.pipeline,
            encoding,
        }))
    }

    fn create_texts(&mut self, spec: &ArraySpec, texts: &TextArray) -> Result<()> {
        let refused = |what: &str| self.refused(&spec.path, what.to_owned());
        if spec.element_type != ElementType::Text || texts.shape != spec.shape {
            return Err(refused("the texts are not those of the array; this is a bug"));
        }
        let c_texts: Vec<CString> =
            texts.texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>().map_err(
                |_| refused("a text holds a NUL byte, which HDF5 cannot say; leave it out with --exclude"),
            )?;
        let mut parts = ArrayParts::new(spec, self.format).map_err(|what| refused(&what))?;
        if self.format == Format::NetCdf4 {
            arrays::resolve_dimensions(&mut self.dimensions, spec, &mut parts).map_err(|what| {
                Error::Refused { path: format!("{}::{}", self.file.label(), spec.path), what }
            })?;
        }
        let chunk: Vec<u64> = parts.shape.iter().map(|&len| len.clamp(1, 1024)).collect();
        let layout = if parts.unlimited.contains(&true) {
            StorageLayout::Chunked(&chunk)
        } else {
            StorageLayout::Late
        };
        self.create_dataset(spec, &parts, layout)?;
        let Some(dataset) = self.arrays.last().map(|array| array.dataset) else { return Ok(()) };
        // Texts lie in heaps of at least 4 KiB, each with a header of 16 bytes and padding; pointers to them take 16.
        let bytes: u64 = c_texts.iter().map(|text| text.as_bytes().len() as u64 + 64).sum();
        self.file
            .call(bytes * 2 + 8192, |library, open| library.write_texts(open.dataset(dataset)?, &c_texts))
    }

    fn finish(&mut self) -> Result<()> {
        match self.format {
            Format::NetCdf4 => self.finish_netcdf()?,
            _ => plain::finish(&self.file, &self.arrays, &self.groups)?,
        }
        self.file.close()
    }
}

/// The path of a node in the file.
fn in_file(node: &NodePath) -> String {
    if node.is_root() { LONE_ARRAY.to_owned() } else { node.to_string() }
}

/// HDF5's labels of axes; `None` if no axis has a name.
fn axis_labels(spec: &ArraySpec) -> Option<Encoded> {
    if spec.dimension_names.iter().all(Option::is_none) {
        return None;
    }
    let names = spec
        .dimension_names
        .iter()
        .map(|name| CString::new(name.as_deref().unwrap_or("")).unwrap_or_default());
    Some(Encoded::texts("DIMENSION_LABELS", names.collect()))
}
