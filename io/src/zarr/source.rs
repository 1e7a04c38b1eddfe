//! The chunks of an array as a [`Source`]: inner chunks, where a shard lets them be read one by one.
//!
//! Invariants: only an object that the store positively does not have, or an inner chunk that a checked index calls
//! absent, reads as fill values; the policy on missing chunks is about objects, since an index says itself what it
//! left out; encoded chunks are handed on only in the form that every reader of their codecs takes, else encoded anew.
//! Called by the planner and the executor.

use super::banded::Banded;
use super::cache::{IndexCache, Indexed};
use super::element::Items;
use super::json::{corrupt, path_of};
use super::keys::KeyEncoding;
use super::meta::ArrayMeta;
use super::pipeline::{Body, Pipeline, Shard, fill_with, permuted};
use crate::codec::{DecodedLen, frame};
use crate::container::MissingChunks;
use crate::error::{Error, Result};
use crate::store::{ByteStore, RegularFile};
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Chunk, ChunkGrid, Source, TaskContext};
use blockwise_kernels::{Buffer, BufferPool, DType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all arrays of a container share.
pub(crate) struct Shared {
    /// Where the bytes are.
    pub(crate) store: Arc<dyn ByteStore>,
    /// What to do when a chunk is absent.
    pub(crate) missing_chunks: MissingChunks,
    /// Shard indexes.
    pub(crate) indexes: IndexCache,
}

/// An array's chunks.
pub(crate) struct ZarrSource {
    chunks: Arc<StoredChunks>,
}

/// The chunks where they are stored.
pub(super) struct StoredChunks {
    shared: Arc<Shared>,
    pub(super) label: String,
    /// Key of the array.
    array: String,
    pub(super) items: Items,
    pub(super) grid: ChunkGrid,
    keys: KeyEncoding,
    /// Items of a stored object per axis.
    object_shape: Vec<u64>,
    /// Axes of the array, for object indexes; the axis of a run is beyond.
    rank: usize,
    /// Shards to go through, outermost first, each with the order of its encoded axes.
    levels: Vec<(Shard, Option<Vec<usize>>)>,
    /// How what `read` gives is encoded, its axes being the array's.
    pub(super) unit: Pipeline,
    pub(super) fill: Vec<u8>,
    scratch_bytes: u64,
    /// Bytes that looking up a chunk holds.
    pub(super) index_bytes: u64,
    encoding: Option<String>,
    missing: AtomicU64,
}

/// Where a chunk is stored.
pub(super) struct Found {
    pub(super) key: String,
    /// For messages.
    pub(super) path: String,
    /// Its part of the object, if not the whole.
    pub(super) part: Option<(u64, usize)>,
}

/// A chunk as it is stored.
struct Encoded {
    bytes: Buffer,
    /// Where it was found, for messages.
    path: String,
}

impl ZarrSource {
    /// The chunks of the array `array` (its key), called `label`, as `pipeline` encodes them.
    ///
    /// # Errors
    /// If the grid is impossible.
    pub(crate) fn new(
        shared: Arc<Shared>,
        label: String,
        array: String,
        meta: &ArrayMeta,
        pipeline: &Pipeline,
    ) -> Result<Self> {
        let items = pipeline.items;
        let mut levels = Vec::new();
        let mut axes: Vec<usize> = (0..pipeline.shape.len()).collect();
        let mut unit = pipeline;
        while let Some(shard) = Shard::is_addressable(unit) {
            if let Some(order) = &unit.order {
                axes = permuted(&axes, order);
            }
            levels.push((shard.clone(), unit.order.clone()));
            unit = &shard.inner;
        }
        let unit = along(unit, &axes);
        let shape = items.with_run(&meta.shape);
        let unit_shape: Vec<u64> = unit.shape.iter().map(|len| *len as u64).collect();
        let grid = ChunkGrid::regular(&shape, &unit_shape)?;
        let clipped =
            shape.iter().zip(&unit_shape).any(|(extent, unit)| !extent.is_multiple_of((*unit).max(1)));
        // An index is parsed from its bytes, so both live for a moment.
        let index_bytes = levels.iter().map(|(shard, _)| 2 * shard.index_bytes() as u64).max().unwrap_or(0);
        let scratch_bytes = unit.decode_scratch_bytes(clipped).saturating_add(index_bytes);
        let fill = meta.effective_fill();
        let chunks = StoredChunks {
            encoding: unit.encoding(&fill),
            object_shape: items.with_run(&meta.chunk_shape),
            rank: meta.shape.len(),
            keys: meta.keys,
            missing: AtomicU64::new(0),
            shared,
            label,
            array,
            items,
            grid,
            levels,
            unit,
            fill,
            scratch_bytes,
            index_bytes,
        };
        Ok(Self { chunks: Arc::new(chunks) })
    }
}

impl StoredChunks {
    /// Where chunk `index` is; `None` if it is absent. An object of its own may turn out to be missing still.
    pub(super) fn find(&self, index: &[u64], pool: &BufferPool) -> Result<Option<Found>> {
        let origin = self.grid.region(index)?.origin().to_vec();
        let object: Vec<u64> = origin.iter().zip(&self.object_shape).map(|(at, len)| at / len).collect();
        let key = self.keys.key(&self.array, object.get(..self.rank).unwrap_or_default());
        let store = &*self.shared.store;
        let path = path_of(store, &key);
        if self.levels.is_empty() {
            return Ok(Some(Found { key, path, part: None }));
        }
        let mut within: Vec<u64> = origin.iter().zip(&self.object_shape).map(|(at, len)| at % len).collect();
        let (mut base, mut shard_bytes) = (0_u64, None);
        for (level, (shard, order)) in self.levels.iter().enumerate() {
            if let Some(order) = order {
                within = permuted(&within, order);
            }
            let cache_key = format!("{key}@{base}.{level}");
            let indexed = match self.shared.indexes.get(&cache_key) {
                Some(indexed) => indexed,
                None => {
                    let shard_bytes = match shard_bytes {
                        Some(known) => known,
                        None => match store.len(&key)? {
                            Some(len) => len,
                            None => return self.missing(path).map(|()| None),
                        },
                    };
                    let place = shard.index_place(&path, shard_bytes)?;
                    let at = base.saturating_add(place.offset);
                    let Some(bytes) = store.get_range(&key, at, place.len_bytes, pool)? else {
                        return self.missing(path).map(|()| None);
                    };
                    let index = Arc::new(shard.parse_index(&path, bytes, shard_bytes)?);
                    let indexed = Indexed { index, base };
                    self.shared.indexes.put(cache_key, indexed.clone());
                    indexed
                }
            };
            let (linear, rest) = shard.locate(&within);
            let Some(place) = indexed.index.place(linear) else { return Ok(None) };
            let at = indexed
                .base
                .checked_add(place.offset)
                .ok_or_else(|| corrupt(&path, "an address overflows"))?;
            if level + 1 == self.levels.len() {
                let path = format!("{path}, inner chunk {linear} at byte {at}");
                return Ok(Some(Found { key, path, part: Some((at, place.len_bytes)) }));
            }
            (base, shard_bytes, within) = (at, Some(place.len_bytes as u64), rest);
        }
        Ok(None) // not reached: the last level returns
    }

    /// The stored bytes of chunk `index`; `None` if it is absent.
    fn fetch(&self, index: &[u64], pool: &BufferPool) -> Result<Option<Encoded>> {
        let Some(Found { key, path, part }) = self.find(index, pool)? else { return Ok(None) };
        let store = &*self.shared.store;
        let plain = pool.plain();
        let pool = if self.unit.stores_chunks_plainly() { pool } else { &plain };
        let bytes = match part {
            None => store.get(&key, self.unit.longest_encoded(), pool)?,
            Some((at, len_bytes)) => store.get_range(&key, at, len_bytes, pool)?,
        };
        match bytes {
            Some(bytes) => Ok(Some(Encoded { bytes, path })),
            None => self.gone(path, part.is_some()).map(|()| None),
        }
    }

    /// The file that chunk `found` lies in, for reading parts of it; `None` if the chunk is absent.
    pub(super) fn file(&self, found: &Found) -> Result<Option<RegularFile>> {
        let Some(folder) = self.shared.store.folder() else {
            return Err(corrupt(&found.path, "the store has no files to read parts of"));
        };
        let file = folder.file(&found.key)?;
        if file.is_none() {
            self.gone(found.path.clone(), found.part.is_some())?;
        }
        Ok(file)
    }

    /// Whether parts of chunks are read at little cost.
    pub(super) fn has_files(&self) -> bool {
        self.shared.store.folder().is_some()
    }

    /// What to do when the object of a chunk is not there.
    fn gone(&self, path: String, is_shard: bool) -> Result<()> {
        // A shard's index was read from it, so it must be there still.
        if is_shard {
            Err(corrupt(path, "the shard went away while it was read"))
        } else {
            self.missing(path)
        }
    }

    /// What to do about an object that is not there.
    fn missing(&self, path: String) -> Result<()> {
        match self.shared.missing_chunks {
            MissingChunks::Fill => {}
            MissingChunks::Warn => {
                if self.missing.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("{path}: the chunk is missing and reads as fill values");
                }
            }
            MissingChunks::Error => return Err(Error::MissingChunk { path }),
        }
        Ok(())
    }
}

/// `unit`, whose axis `k` is the array's axis `axes[k]`, with the array's axes instead.
fn along(unit: &Pipeline, axes: &[usize]) -> Pipeline {
    let mut own = unit.clone();
    let is_identity = |order: &[usize]| order.iter().enumerate().all(|(k, axis)| k == *axis);
    if is_identity(axes) {
        return own;
    }
    for (&axis, &len) in axes.iter().zip(&unit.shape) {
        if let Some(slot) = own.shape.get_mut(axis) {
            *slot = len;
        }
    }
    let order = unit.order.as_ref().map_or_else(|| axes.to_vec(), |order| permuted(axes, order));
    own.order = (!is_identity(&order)).then_some(order);
    own
}

impl Source for ZarrSource {
    fn label(&self) -> &str {
        &self.chunks.label
    }

    fn dtype(&self) -> DType {
        self.chunks.items.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.chunks.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.chunks.scratch_bytes
    }

    fn is_plain(&self) -> bool {
        let Pipeline { filters, chain, body, .. } = &self.chunks.unit;
        let is_plain = filters.is_empty() && chain.is_empty() && matches!(body, Body::Items { .. });
        is_plain && self.chunks.has_files()
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let shape = self.chunks.grid.region(index)?.shape().to_vec();
        let Some(encoded) = self.chunks.fetch(index, cx.pool())? else {
            let mut chunk = Chunk::uninit(self.chunks.items.dtype, &shape, cx.pool())?;
            fill_with(chunk.bytes_mut(), &self.chunks.fill);
            return Ok(chunk);
        };
        // Clipped lengths are at most the full ones, which fit.
        let crop: Vec<usize> = shape.iter().filter_map(|len| usize::try_from(*len).ok()).collect();
        let buffer =
            self.chunks.unit.decode(&encoded.path, encoded.bytes, &crop, &self.chunks.fill, cx.pool())?;
        Chunk::new(self.chunks.items.dtype, shape, buffer)
    }

    fn banded(&self, axis: usize, bands: &AxisGrid) -> Option<Arc<dyn Source>> {
        Banded::new(&self.chunks, axis, bands).map(|banded| Arc::new(banded) as Arc<dyn Source>)
    }

    fn encoding(&self) -> Option<&str> {
        self.chunks.encoding.as_deref()
    }

    fn read_encoded(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Option<Buffer>> {
        let Some(encoded) = self.chunks.fetch(index, cx.pool())? else { return Ok(None) };
        let is_raw = self.chunks.unit.chain.is_empty() && matches!(self.chunks.unit.body, Body::Items { .. });
        let found = encoded.bytes.len();
        let expected = self.chunks.unit.decoded_bytes();
        if found == 0 || (is_raw && found != expected) {
            let what = format!("the chunk has {found} bytes, {expected} decoded ones were expected");
            return Err(corrupt(encoded.path, what).into());
        }
        if frame::is_plain(&self.chunks.unit.chain, &encoded.bytes, expected) {
            return Ok(Some(encoded.bytes));
        }
        // Legal, but other readers of Zarr stumble over it: encoded anew, it is plain.
        let Encoded { bytes, path } = encoded;
        let decoded = self.chunks.unit.decode_chain(&path, bytes, DecodedLen::Exact(expected), cx.pool())?;
        Ok(Some(self.chunks.unit.chain.encode(&decoded, cx.pool()).map_err(|error| error.at(&path))?))
    }
}

impl Drop for StoredChunks {
    fn drop(&mut self) {
        let count = self.missing.load(Ordering::Relaxed);
        if count > 1 {
            tracing::warn!("{}: {count} reads of missing chunks gave fill values", self.label);
        }
    }
}
