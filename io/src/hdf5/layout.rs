//! How a dataset is stored: its extent, layout, filters and fill value, checked against each other and the file.
//!
//! Invariants: after [`DatasetLayout::parse`] chunk lengths are positive and of the dataset's rank, byte counts fit
//! 64 bits, contiguous storage lies in the file and holds all elements, a compact dataset has exactly its bytes.
//! Called by the tree walk.

use super::file::{H5File, fault};
use crate::error::{Error, Result};
use blockwise_core::region::{MAX_RANK, byte_count};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::{DataspaceMessage, DataspaceType, UNLIMITED};
use hdf5_reader::messages::fill_value::FillValueMessage;
use hdf5_reader::messages::filter_pipeline::FilterDescription;
use hdf5_reader::messages::layout::{ChunkIndexing, DataLayout};
use std::sync::Arc;

/// Bytes of a complex number of two doubles.
const LONGEST_NUMBER_BYTES: u32 = 16;

/// Where the elements are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the object header.
    Compact(Arc<[u8]>),
    /// In one run at this address; `None` if never written.
    Contiguous(Option<u64>),
    /// In chunks, found through an index.
    Chunked(ChunkedPlace),
}

/// A chunked layout.
#[derive(Clone, Debug)]
pub(super) struct ChunkedPlace {
    /// Address of the index; `None` if no chunk was ever written.
    pub(super) index: Option<u64>,
    /// Chunk lengths, one an axis, in elements.
    pub(super) chunk: Vec<u64>,
    /// The same as the index walkers take them.
    pub(super) chunk_dims: Vec<u32>,
    /// Bytes of a decoded chunk.
    pub(super) chunk_bytes: u64,
    /// The kind of index; `None` is a version 1 B-tree.
    pub(super) indexing: Option<ChunkIndexing>,
    /// The filters in the order in which they were applied when writing.
    pub(super) filters: Vec<FilterDescription>,
}

/// The value of elements that were never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// None was given: zero by default. (The parser does not tell this from one that is expressly undefined.)
    Zero,
    /// These bytes, in the stored type.
    Item(Vec<u8>),
}

/// How one dataset is stored.
#[derive(Clone, Debug)]
pub(super) struct DatasetLayout {
    /// Elements per axis as stored.
    pub(super) shape: Vec<u64>,
    /// Which axes may grow without bound.
    pub(super) unlimited: Vec<bool>,
    /// Largest extents, if any were stated; as the index walkers take them.
    pub(super) max_dims: Option<Vec<u64>>,
    /// Bytes of one element.
    pub(super) item_bytes: u32,
    /// Where the elements are.
    pub(super) place: Place,
    /// The fill value.
    pub(super) fill: Fill,
}

impl DatasetLayout {
    /// Parses the object header at `address` of the dataset that people call `path`.
    pub(super) fn parse(file: &H5File, address: u64, path: &str) -> Result<Self> {
        let header = file
            .parsed()
            .get_or_parse_header(address)
            .map_err(|error| fault(path, "object header", error))?;
        let mut messages = Messages::default();
        for message in &header.messages {
            match message {
                HdfMessage::Dataspace(space) => messages.space = Some(space),
                HdfMessage::Datatype(datatype) => messages.item_bytes = Some(datatype.size),
                HdfMessage::DataLayout(layout) => messages.layout = Some(&layout.layout),
                HdfMessage::FilterPipeline(pipeline) => messages.filters = &pipeline.filters,
                // The newer of the two kinds says more; the older one has no defined flag.
                HdfMessage::FillValue(fill) if messages.fill.is_none_or(|old| old.value.is_none()) => {
                    messages.fill = Some(fill);
                }
                HdfMessage::ExternalFiles(_) => {
                    return Err(Error::Unsupported {
                        path: path.to_owned(),
                        what: "external raw storage (data in other files)".to_owned(),
                        remedy: "; copy it into a plain dataset with h5repack or h5py first",
                    });
                }
                HdfMessage::Shared(_) => {
                    return Err(corrupt(
                        path,
                        "a shared message of the object header cannot be found".to_owned(),
                    ));
                }
                _ => {}
            }
        }
        messages.checked(file, path)
    }

    /// Bytes of all elements.
    pub(super) fn total_bytes(&self) -> u64 {
        byte_count(&self.shape, self.item_bytes as usize).unwrap_or(u64::MAX) // checked when parsed
    }

    /// The bytes of one never-written element; of what is longer than any number and zero throughout, one of them: strings may be of
    /// gigabytes.
    pub(super) fn fill_item(&self) -> Vec<u8> {
        match &self.fill {
            Fill::Item(item) => item.clone(),
            Fill::Zero if self.item_bytes <= LONGEST_NUMBER_BYTES => vec![0; self.item_bytes as usize],
            Fill::Zero => vec![0],
        }
    }
}

/// The messages of an object header that describe a dataset.
#[derive(Default)]
struct Messages<'a> {
    space: Option<&'a DataspaceMessage>,
    item_bytes: Option<u32>,
    layout: Option<&'a DataLayout>,
    filters: &'a [FilterDescription],
    fill: Option<&'a FillValueMessage>,
}

impl Messages<'_> {
    fn checked(self, file: &H5File, path: &str) -> Result<DatasetLayout> {
        let missing = |what: &str| corrupt(path, format!("the object header has no {what}"));
        let space = self.space.ok_or_else(|| missing("dataspace"))?;
        let item_bytes = self.item_bytes.filter(|bytes| *bytes > 0).ok_or_else(|| missing("datatype"))?;
        let layout = self.layout.ok_or_else(|| missing("data layout"))?;
        if space.dataspace_type == DataspaceType::Null {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what: "a null dataspace".to_owned(),
                remedy: "",
            });
        }
        let shape = space.dims.clone();
        if shape.len() > MAX_RANK {
            return Err(corrupt(path, format!("{} axes, at most {MAX_RANK} are possible", shape.len())));
        }
        let total_bytes = byte_count(&shape, item_bytes as usize).ok_or_else(|| Error::Limit {
            path: path.to_owned(),
            what: "byte count of the dataset",
            size: format!("{shape:?} x {item_bytes}"),
            limit: u64::MAX,
        })?;
        let max_dims = space.max_dims.clone().filter(|max| max.len() == shape.len());
        let unlimited = match &max_dims {
            Some(max) => max.iter().map(|extent| *extent == UNLIMITED).collect(),
            None => vec![false; shape.len()],
        };
        let fill = fill(self.fill, item_bytes, path)?;
        let place = self.place(layout, file, path, &shape, item_bytes, total_bytes)?;
        Ok(DatasetLayout { shape, unlimited, max_dims, item_bytes, place, fill })
    }

    fn place(
        &self,
        layout: &DataLayout,
        file: &H5File,
        path: &str,
        shape: &[u64],
        item_bytes: u32,
        total_bytes: u64,
    ) -> Result<Place> {
        if !matches!(layout, DataLayout::Chunked { .. }) && !self.filters.is_empty() {
            return Err(corrupt(path, "filters on a layout without chunks".to_owned()));
        }
        match layout {
            DataLayout::Compact { data } if data.len() as u64 == total_bytes => {
                Ok(Place::Compact(data.as_slice().into()))
            }
            DataLayout::Compact { data } => Err(corrupt(
                path,
                format!("compact storage of {} bytes for {total_bytes} bytes of elements", data.len()),
            )),
            DataLayout::Contiguous { address, .. } if file.is_undefined(*address) => {
                Ok(Place::Contiguous(None))
            }
            DataLayout::Contiguous { address, size } => {
                if *size < total_bytes {
                    return Err(corrupt(
                        path,
                        format!("contiguous storage of {size} bytes for {total_bytes} bytes of elements"),
                    ));
                }
                if !file.holds(*address, total_bytes) {
                    return Err(corrupt(
                        path,
                        format!("its {total_bytes} bytes at address {address} end beyond the file"),
                    ));
                }
                Ok(Place::Contiguous(Some(*address)))
            }
            DataLayout::Chunked { address, dims, element_size, chunk_indexing } => {
                let (chunk_dims, last) = match dims.split_last() {
                    Some((last, rest)) if dims.len() == shape.len() + 1 => (rest, *last),
                    _ => (dims.as_slice(), *element_size),
                };
                if chunk_dims.len() != shape.len() || shape.is_empty() {
                    return Err(corrupt(path, format!("chunks of {chunk_dims:?} for a shape of {shape:?}")));
                }
                if last != 0 && last != item_bytes {
                    return Err(corrupt(
                        path,
                        format!("chunks of {last}-byte elements, the type has {item_bytes}"),
                    ));
                }
                let chunk: Vec<u64> = chunk_dims.iter().map(|len| u64::from(*len)).collect();
                let chunk_bytes = byte_count(&chunk, item_bytes as usize)
                    .filter(|bytes| *bytes > 0 && u32::try_from(*bytes).is_ok())
                    .ok_or_else(|| corrupt(path, format!("impossible chunk shape {chunk:?}")))?;
                let index = Some(*address).filter(|address| !file.is_undefined(*address));
                let (indexing, filters) = (chunk_indexing.clone(), self.filters.to_vec());
                let chunk_dims = chunk_dims.to_vec();
                Ok(Place::Chunked(ChunkedPlace { index, chunk, chunk_dims, chunk_bytes, indexing, filters }))
            }
        }
    }
}

fn fill(stored: Option<&FillValueMessage>, item_bytes: u32, path: &str) -> Result<Fill> {
    match stored {
        None | Some(FillValueMessage { value: None, .. }) => Ok(Fill::Zero),
        Some(FillValueMessage { value: Some(item), .. }) if item.len() == item_bytes as usize => {
            Ok(Fill::Item(item.clone()))
        }
        Some(FillValueMessage { value: Some(item), .. }) => {
            Err(corrupt(path, format!("a fill value of {} bytes for {item_bytes}-byte elements", item.len())))
        }
    }
}

fn corrupt(path: &str, what: String) -> Error {
    Error::Corrupt { path: path.to_owned(), what, remedy: "" }
}
