//! One dataset of an HDF5 file as a [`StoredArray`].
//!
//! Invariant: the chunk index is listed at most once an array, when first needed, and shared by its sources. Called
//! through [`Container::array`](crate::Container::array).

use super::attributes::vlen_text_of;
use super::chunked::{ChunkReader, ChunkedSource, FillSource};
use super::file::H5File;
use super::layout::{DatasetLayout, Place};
use super::not_streaming;
use super::types::ItemType;
use crate::container::{ArrayInfo, ElementType, OpenOptions, StoredArray, TextArray};
use crate::contiguous::{Backing, StridedArray, StridedSource, c_strides};
use crate::error::{Error, Result};
use crate::fence::fenced;
use blockwise_core::{AxisGrid, Cancellation, ChunkGrid, Source, TaskContext};
use blockwise_kernels::BufferPool;
use blockwise_kernels::strided;
use std::sync::{Arc, OnceLock};

/// One dataset.
pub(super) struct H5Array {
    file: Arc<H5File>,
    label: String,
    info: ArrayInfo,
    item: ItemType,
    layout: DatasetLayout,
    options: OpenOptions,
    reader: OnceLock<Arc<ChunkReader>>,
}

impl H5Array {
    /// The dataset whose object header lies at `address`; people call it `label`.
    pub(super) fn open(
        file: Arc<H5File>,
        label: String,
        info: ArrayInfo,
        item: ItemType,
        address: u64,
        options: &OpenOptions,
    ) -> Result<Self> {
        let layout = DatasetLayout::parse(&file, address, &label)?;
        let options = options.clone();
        Ok(Self { file, label, info, item, layout, options, reader: OnceLock::new() })
    }

    /// The chunks as bytes; `None` if the layout has no chunks.
    fn reader(&self) -> Result<Option<Arc<ChunkReader>>> {
        let Place::Chunked(place) = &self.layout.place else { return Ok(None) };
        if let Some(reader) = self.reader.get() {
            return Ok(Some(Arc::clone(reader)));
        }
        let reader = ChunkReader::new(Arc::clone(&self.file), &self.label, &self.layout, place)?;
        Ok(Some(Arc::clone(self.reader.get_or_init(|| Arc::new(reader)))))
    }

    /// The grid of the visible extent, with the axis of the bytes of fixed strings.
    fn grid(&self, chunk: &[u64]) -> Result<ChunkGrid> {
        let pairs = self.info.shape.iter().zip(chunk);
        let mut axes =
            pairs.map(|(extent, chunk)| AxisGrid::regular(*extent, *chunk)).collect::<Result<Vec<_>, _>>()?;
        if let ElementType::FixedBytes { len_bytes } = self.item.element {
            axes.push(AxisGrid::regular(len_bytes, len_bytes)?);
        }
        Ok(ChunkGrid::from_axes(axes)?)
    }

    fn open_source(&self) -> Result<Arc<dyn Source>> {
        let Some(dtype) = self.item.stream_dtype() else {
            return Err(not_streaming(&self.label, &self.item.element));
        };
        let (item, missing_chunks) = (&self.item, self.options.missing_chunks);
        let (backing, address) = match &self.layout.place {
            Place::Chunked(place) => {
                let Some(reader) = self.reader()? else { return Err(self.no_chunks()) };
                let grid = self.grid(&place.chunk)?;
                let source = ChunkedSource::new(reader, item.clone(), grid, &self.layout, missing_chunks)?;
                return Ok(Arc::new(source));
            }
            Place::Contiguous(None) => {
                let grid = self.grid(&self.info.shape)?;
                return Ok(Arc::new(FillSource::new(&self.label, item, grid, &self.layout, missing_chunks)?));
            }
            Place::Contiguous(Some(address)) => (Backing::File(Arc::clone(self.file.bytes())), *address),
            Place::Compact(bytes) => (Backing::Memory(Arc::clone(bytes)), 0),
        };
        let offset = if matches!(backing, Backing::File(_)) { self.file.position(address) } else { 0 };
        let shape = self.grid(&self.info.shape)?.shape();
        let strides = c_strides(&shape, dtype.size()).unwrap_or_default(); // the byte count was checked
        let is_swapped = item.swap_bytes > 1;
        let label = self.label.clone();
        let array = StridedArray { label, backing, offset, dtype, shape, strides, is_swapped };
        Ok(Arc::new(StridedSource::new(array)?))
    }

    fn no_chunks(&self) -> Error {
        Error::Corrupt { path: self.label.clone(), what: "the layout has no chunks".to_owned(), remedy: "" }
    }

    /// All elements as stored, in C order; for texts, whose elements are references into the global heap.
    fn stored_elements(&self) -> Result<Vec<u8>> {
        let whole = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut elements = vec![0; whole(self.layout.total_bytes())];
        let position = |address: u64| self.file.position(address);
        match &self.layout.place {
            Place::Compact(bytes) => elements.copy_from_slice(bytes),
            Place::Contiguous(None) => {}
            Place::Contiguous(Some(address)) => {
                self.file.bytes().read_exact_at(position(*address), &mut elements)?;
            }
            Place::Chunked(place) => {
                let Some(reader) = self.reader()? else { return Err(self.no_chunks()) };
                let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
                let cx = TaskContext::new(&pool, &cancellation);
                let sizes = |list: &[u64]| list.iter().map(|len| whole(*len)).collect::<Vec<_>>();
                let (shape, chunk) = (sizes(&self.layout.shape), sizes(&place.chunk));
                for stored in reader.index().iter() {
                    let Some(index) = reader.grid().index_at(stored.linear()) else { continue };
                    let bytes = reader.decode(&index, stored, &cx)?;
                    let region = reader.grid().region(&index)?;
                    let origin = vec![0; shape.len()];
                    let (to, part) = (sizes(region.origin()), sizes(region.shape()));
                    let item_bytes = self.item.item_bytes as usize;
                    strided::copy_region(
                        &mut elements,
                        &shape,
                        &to,
                        &bytes,
                        &chunk,
                        &origin,
                        &part,
                        item_bytes,
                    )
                    .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
                }
            }
        }
        Ok(elements)
    }

    fn texts(&self, limit_bytes: u64) -> Result<TextArray> {
        if self.item.element != ElementType::Text {
            return Err(Error::Refused {
                path: self.label.clone(),
                what: format!("its elements are {}, no texts: stream them", self.item.element),
            });
        }
        let limit =
            |size: String| Error::Limit { path: self.label.clone(), what: "text", size, limit: limit_bytes };
        // The references are held beside the texts.
        let mut bytes = self.layout.total_bytes();
        if bytes > limit_bytes {
            return Err(limit(format!("{bytes} bytes of references")));
        }
        let elements = self.stored_elements()?;
        let root = self.file.root()?;
        let mut texts = Vec::new();
        for reference in elements.chunks_exact(self.item.item_bytes as usize) {
            let text = vlen_text_of(&root, reference, &self.label)?;
            bytes = bytes.saturating_add((text.len() + size_of::<String>()) as u64);
            if bytes > limit_bytes {
                return Err(limit(format!("more than {bytes} bytes")));
            }
            texts.push(text);
        }
        let (stored, seen) = (&self.layout.shape, &self.info.shape);
        if stored != seen {
            texts = padded(texts, stored, seen, limit_bytes)
                .ok_or_else(|| limit(format!("{seen:?} elements")))?;
        }
        Ok(TextArray { shape: seen.clone(), texts })
    }
}

/// `texts` of shape `from` at the start of an array of shape `to`, the rest empty; `None` if that is too many.
fn padded(texts: Vec<String>, from: &[u64], to: &[u64], limit_bytes: u64) -> Option<Vec<String>> {
    let bytes = blockwise_core::region::byte_count(to, size_of::<String>())?;
    if bytes > limit_bytes {
        return None;
    }
    let all = ChunkGrid::regular(to, &vec![1; to.len()]).ok()?;
    let mut grown = vec![String::new(); usize::try_from(all.chunk_count()).ok()?];
    let own = ChunkGrid::regular(from, &vec![1; from.len()]).ok()?;
    for (index, text) in own.indices().zip(texts) {
        *grown.get_mut(usize::try_from(all.linear(&index)).ok()?)? = text;
    }
    Some(grown)
}

impl StoredArray for H5Array {
    fn info(&self) -> &ArrayInfo {
        &self.info
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        fenced(&self.label, || self.open_source())
    }

    fn stored_chunks(&self) -> Result<(u64, u64)> {
        fenced(&self.label, || match &self.layout.place {
            Place::Chunked(place) => {
                let Some(reader) = self.reader()? else { return Err(self.no_chunks()) };
                Ok((
                    reader.index().count(),
                    ChunkGrid::regular(&self.info.shape, &place.chunk)?.chunk_count(),
                ))
            }
            Place::Contiguous(None) => Ok((0, 1)),
            Place::Contiguous(Some(_)) | Place::Compact(_) => Ok((1, 1)),
        })
    }

    fn stored_bytes(&self) -> Result<u64> {
        fenced(&self.label, || match &self.layout.place {
            Place::Contiguous(None) => Ok(0),
            Place::Contiguous(Some(_)) | Place::Compact(_) => Ok(self.layout.total_bytes()),
            Place::Chunked(_) => Ok(self.reader()?.map_or(0, |reader| reader.index().stored_bytes())),
        })
    }

    fn read_texts(&self, limit_bytes: u64) -> Result<TextArray> {
        fenced(&self.label, || self.texts(limit_bytes))
    }
}
