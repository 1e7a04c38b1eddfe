//! The chunks of an array as a [`Source`]: inner chunks, where a shard lets them be read one by one.
//!
//! Invariants: only an object that the store positively does not have, or an inner chunk that a checked index calls
//! absent, reads as fill values; the policy on missing chunks is about objects, since an index says itself what it
//! left out; encoded chunks are handed on only in the form that every reader of their codecs takes, else encoded anew.
//! Called by the planner and the executor.

use super::cache::{IndexCache, Indexed};
use super::element::Items;
use super::json::{corrupt, path_of};
use super::keys::KeyEncoding;
use super::meta::ArrayMeta;
use super::pipeline::{Body, Pipeline, Shard, fill_with, permuted};
use crate::codec::{DecodedLen, frame};
use crate::container::MissingChunks;
use crate::error::{Error, Result};
use crate::store::ByteStore;
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
    shared: Arc<Shared>,
    label: String,
    /// Key of the array.
    array: String,
    items: Items,
    grid: ChunkGrid,
    keys: KeyEncoding,
    /// Items of a stored object per axis.
    object_shape: Vec<u64>,
    /// Axes of the array, for object indexes; the axis of a run is beyond.
    rank: usize,
    /// Shards to go through, outermost first, each with the order of its encoded axes.
    levels: Vec<(Shard, Option<Vec<usize>>)>,
    /// How what `read` gives is encoded, its axes being the array's.
    unit: Pipeline,
    fill: Vec<u8>,
    scratch_bytes: u64,
    encoding: Option<String>,
    missing: AtomicU64,
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
        Ok(Self {
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
        })
    }

    /// The stored bytes of chunk `index`; `None` if it is absent.
    fn fetch(&self, index: &[u64], pool: &BufferPool) -> Result<Option<Encoded>> {
        let origin = self.grid.region(index)?.origin().to_vec();
        let object: Vec<u64> = origin.iter().zip(&self.object_shape).map(|(at, len)| at / len).collect();
        let key = self.keys.key(&self.array, object.get(..self.rank).unwrap_or_default());
        let store = &*self.shared.store;
        let path = path_of(store, &key);
        if self.levels.is_empty() {
            let bytes = store.get(&key, self.unit.longest_encoded(), pool)?;
            return match bytes {
                Some(bytes) => Ok(Some(Encoded { bytes, path })),
                None => self.missing(path),
            };
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
                            None => return self.missing(path),
                        },
                    };
                    let place = shard.index_place(&path, shard_bytes)?;
                    let at = base.saturating_add(place.offset);
                    let Some(bytes) = store.get_range(&key, at, place.len_bytes, pool)? else {
                        return self.missing(path);
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
                let bytes = store.get_range(&key, at, place.len_bytes, pool)?;
                // The index was read from this object, so it must be there still.
                let bytes = bytes.ok_or_else(|| corrupt(&path, "the shard went away while it was read"))?;
                return Ok(Some(Encoded { bytes, path }));
            }
            (base, shard_bytes, within) = (at, Some(place.len_bytes as u64), rest);
        }
        Ok(None) // not reached: the last level returns
    }

    /// What to do about an object that is not there.
    fn missing(&self, path: String) -> Result<Option<Encoded>> {
        match self.shared.missing_chunks {
            MissingChunks::Fill => {}
            MissingChunks::Warn => {
                if self.missing.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("{path}: the chunk is missing and reads as fill values");
                }
            }
            MissingChunks::Error => return Err(Error::MissingChunk { path }),
        }
        Ok(None)
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
        &self.label
    }

    fn dtype(&self) -> DType {
        self.items.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let shape = self.grid.region(index)?.shape().to_vec();
        let Some(encoded) = self.fetch(index, cx.pool())? else {
            let mut chunk = Chunk::uninit(self.items.dtype, &shape, cx.pool())?;
            fill_with(chunk.bytes_mut(), &self.fill);
            return Ok(chunk);
        };
        // Clipped lengths are at most the full ones, which fit.
        let crop: Vec<usize> = shape.iter().filter_map(|len| usize::try_from(*len).ok()).collect();
        let buffer = self.unit.decode(&encoded.path, encoded.bytes, &crop, &self.fill, cx.pool())?;
        Chunk::new(self.items.dtype, shape, buffer)
    }

    fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    fn read_encoded(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Option<Buffer>> {
        let Some(encoded) = self.fetch(index, cx.pool())? else { return Ok(None) };
        let is_raw = self.unit.chain.is_empty() && matches!(self.unit.body, Body::Items { .. });
        let found = encoded.bytes.len();
        let expected = self.unit.decoded_bytes();
        if found == 0 || (is_raw && found != expected) {
            let what = format!("the chunk has {found} bytes, {expected} decoded ones were expected");
            return Err(corrupt(encoded.path, what).into());
        }
        if frame::is_plain(&self.unit.chain, &encoded.bytes, expected) {
            return Ok(Some(encoded.bytes));
        }
        // Legal, but other readers of Zarr stumble over it: encoded anew, it is plain.
        let Encoded { bytes, path } = encoded;
        let decoded = self.unit.decode_chain(&path, bytes, DecodedLen::Exact(expected), cx.pool())?;
        Ok(Some(self.unit.chain.encode(&decoded, cx.pool()).map_err(|error| error.at(&path))?))
    }
}

impl Drop for ZarrSource {
    fn drop(&mut self) {
        let count = self.missing.load(Ordering::Relaxed);
        if count > 1 {
            tracing::warn!("{}: {count} reads of missing chunks gave fill values", self.label);
        }
    }
}
