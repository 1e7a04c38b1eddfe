//! Chunks of a new array as they come: each its own object, or gathered into shards.
//!
//! Invariants: an object appears under its key whole, by rename, and is in the journal then; chunks that are nothing
//! but fill value are not stored where readers know the fill value, and the journal says so; metadata comes last. Called
//! by the executor.

mod gathering;

use super::element::Items;
use super::keys::KeyEncoding;
use super::meta::ArrayMeta;
use super::pipeline::{Body, Pipeline, Shard, fill_with, is_filled_with};
use crate::error::Result;
use crate::publish::PartialFolder;
use blockwise_core::{Chunk, ChunkGrid, Sharing, Sink, TaskContext};
use blockwise_kernels::DType;
use gathering::{Done, Gathering};

/// What a sink is made of.
pub(crate) struct SinkParts {
    /// Where objects are written.
    pub(crate) partial: PartialFolder,
    /// What people call the array.
    pub(crate) label: String,
    /// Key of the array.
    pub(crate) array: String,
    /// Boxes that are written.
    pub(crate) grid: ChunkGrid,
    /// Boxes that are objects.
    pub(crate) commit_grid: ChunkGrid,
    /// Axes of the array; the axis of a run is beyond.
    pub(crate) rank: usize,
    /// Names of objects.
    pub(crate) keys: KeyEncoding,
    /// How chunks (inner ones, if sharded) are encoded.
    pub(crate) unit: Pipeline,
    /// How shards are made.
    pub(crate) shard: Option<Shard>,
    /// The element of absent chunks.
    pub(crate) fill: Vec<u8>,
    /// Whether readers know that element, so that chunks of it need not be stored.
    pub(crate) skips_fill: bool,
    /// Key and content of the array's documents.
    pub(crate) documents: Vec<(String, Vec<u8>)>,
}

impl SinkParts {
    /// To write chunks of a stored array as it is encoded, whatever is in them: what is there must be replaced. What of
    /// its encoding cannot be written is the error.
    pub(crate) fn of_stored(
        meta: &ArrayMeta,
        partial: PartialFolder,
        label: String,
        array: String,
    ) -> Result<Self, String> {
        let pipeline = meta.pipeline.clone()?;
        let (unit, shard) = match pipeline.body {
            Body::Shard(_) if !pipeline.chain.is_empty() || pipeline.order.is_some() => {
                return Err("shards that are compressed or turned as a whole are not written".to_owned());
            }
            Body::Shard(shard) if shard.index_at_start => {
                return Err("shards that begin with their index are not written".to_owned());
            }
            Body::Shard(shard) => (shard.inner.clone(), Some(*shard)),
            _ => (pipeline, None),
        };
        if !matches!(unit.body, Body::Items { .. }) || !unit.filters.is_empty() {
            return Err(format!("chunks that are encoded as '{}' are not written", unit.describe()));
        }
        let shape = unit.items.with_run(&meta.shape);
        let lengths: Vec<u64> = unit.shape.iter().map(|length| *length as u64).collect();
        let cut = |lengths: &[u64]| ChunkGrid::regular(&shape, lengths).map_err(|error| error.to_string());
        Ok(Self {
            partial,
            label,
            array,
            grid: cut(&lengths)?,
            commit_grid: cut(&unit.items.with_run(&meta.chunk_shape))?,
            rank: meta.shape.len(),
            keys: meta.keys,
            unit,
            shard,
            fill: meta.effective_fill(),
            skips_fill: false,
            documents: Vec::new(),
        })
    }
}

/// An array being written.
pub(crate) struct ZarrSink {
    parts: SinkParts,
    items: Items,
    encoding: Option<String>,
    scratch_bytes: u64,
    gathering: Option<Gathering>,
}

impl ZarrSink {
    pub(crate) fn new(parts: SinkParts) -> Self {
        let encoding = parts.unit.encoding(&parts.fill);
        let gathering = parts.shard.clone().map(Gathering::new);
        let index_bytes = gathering.as_ref().map_or(0, Gathering::held_bytes);
        let scratch_bytes = parts.unit.encode_scratch_bytes().saturating_add(index_bytes);
        Self { items: parts.unit.items, encoding, scratch_bytes, gathering, parts }
    }

    fn object_key(&self, index: &[u64]) -> String {
        self.parts.keys.key(&self.parts.array, index.get(..self.parts.rank).unwrap_or_default())
    }

    /// Stores the encoded chunk `index`, or notes that it is absent.
    fn store(&self, index: &[u64], encoded: Option<&[u8]>, cx: &TaskContext<'_>) -> Result<u64> {
        let partial = &self.parts.partial;
        let Some(gathering) = &self.gathering else {
            let key = self.object_key(index);
            return match encoded {
                Some(bytes) if partial.waits(bytes.len()) => cx.waiting(|| partial.put(&key, bytes)),
                Some(bytes) => partial.put(&key, bytes),
                None => partial.journal().record_fill(&key).map(|()| 0),
            };
        };
        let origin = self.parts.grid.region(index)?.origin().to_vec();
        let commit = self.parts.commit_grid.axes().iter().zip(&origin).map(|(axis, at)| axis.chunk_of(*at));
        let commit: Vec<u64> = commit.map(Option::unwrap_or_default).collect(); // within the grid, as the region is
        let shard = self.parts.commit_grid.region(&commit)?;
        let within: Vec<u64> = origin.iter().zip(shard.origin()).map(|(at, start)| at - start).collect();
        let expected = || {
            let counts = self.parts.grid.axes().iter().zip(shard.ranges()).map(|(axis, range)| {
                let chunks = axis.chunks_in(range);
                chunks.end - chunks.start
            });
            counts.product::<u64>()
        };
        let key = self.object_key(&commit);
        match gathering.add(partial, &key, &within, encoded, expected)? {
            Done::Stored(bytes) => Ok(bytes),
            Done::AllFill => partial.journal().record_fill(&key).map(|()| 0),
        }
    }
}

impl Sink for ZarrSink {
    fn label(&self) -> &str {
        &self.parts.label
    }

    fn dtype(&self) -> DType {
        self.items.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.parts.grid
    }

    fn commit_grid(&self) -> &ChunkGrid {
        &self.parts.commit_grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> blockwise_core::Result<u64> {
        let region = self.parts.grid.region(index)?;
        if chunk.shape() != region.shape() || chunk.dtype() != self.items.dtype {
            let expected = region.shape().to_vec();
            return Err(blockwise_core::Error::Shape { expected, found: chunk.shape().to_vec() });
        }
        if self.parts.skips_fill && is_filled_with(chunk.bytes(), &self.parts.fill) {
            return Ok(self.store(index, None, cx)?);
        }
        let crop: Vec<usize> = chunk.shape().iter().filter_map(|len| usize::try_from(*len).ok()).collect();
        if self.parts.unit.leaves_as_is(&crop) {
            return Ok(self.store(index, Some(chunk.bytes()), cx)?);
        }
        let unit = &self.parts.unit;
        let encoded = unit.encode(&self.parts.label, chunk.bytes(), &crop, &self.parts.fill, cx.pool())?;
        Ok(self.store(index, Some(&encoded), cx)?)
    }

    fn waits(&self) -> bool {
        let chunk = self.parts.grid.largest_chunk();
        let chunk_bytes =
            blockwise_core::region::byte_count(&chunk, self.items.dtype.size()).unwrap_or(u64::MAX);
        self.gathering.is_none()
            && self.parts.partial.waits(usize::try_from(chunk_bytes).unwrap_or(usize::MAX))
    }

    fn is_committed(&self, index: &[u64]) -> bool {
        self.parts.partial.is_committed(&self.object_key(index))
    }

    fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    fn write_encoded(
        &self,
        index: &[u64],
        encoded: Option<&[u8]>,
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<u64> {
        if encoded.is_some() || self.parts.skips_fill {
            return Ok(self.store(index, encoded, cx)?);
        }
        // Readers of this array do not know what an absent chunk holds.
        let mut chunk = Chunk::uninit(self.items.dtype, self.parts.grid.region(index)?.shape(), cx.pool())?;
        fill_with(chunk.bytes_mut(), &self.parts.fill);
        self.write(index, &chunk, cx)
    }

    fn sync(&self) -> blockwise_core::Result<()> {
        Ok(self.parts.partial.sync()?)
    }

    fn sharing(&self) -> Sharing {
        if self.parts.partial.is_shared() { Sharing::Shared } else { Sharing::Apart }
    }

    fn finish(&self) -> blockwise_core::Result<()> {
        if let Some(open) = self.gathering.as_ref().and_then(Gathering::incomplete) {
            let message = format!("{}: the shard {open} was left incomplete", self.parts.label);
            return Err(blockwise_core::Error::Internal { message });
        }
        for (key, bytes) in &self.parts.documents {
            self.parts.partial.put_unlisted(key, bytes)?;
        }
        Ok(())
    }
}
