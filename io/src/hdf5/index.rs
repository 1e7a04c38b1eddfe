//! The chunk index of one dataset: where each chunk's bytes lie, listed once.
//!
//! Invariants: no chunk stands in it twice, no two chunks share bytes, each lies in the file, and none is outside of
//! the grid; so a lost or doubled entry is an error before anything is read. 32 bytes are held a chunk. Called by the
//! chunked source.

use super::file::{H5File, fault};
use super::layout::{ChunkedPlace, DatasetLayout};
use crate::error::{Error, Result};
use blockwise_core::ChunkGrid;
use hdf5_reader::btree_v1::{BTreeV1Key, BTreeV1Node};
use hdf5_reader::chunk_index::{self, ChunkEntry};
use hdf5_reader::error::Error as ParseError;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::layout::ChunkIndexing;
use hdf5_reader::{extensible_array, fixed_array};
use std::collections::HashSet;

/// Nodes of a B-tree that may be stacked up while walking: depth times fan-out of the largest trees.
const MAX_PENDING_NODES: usize = 1 << 22;

/// Where one chunk's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredChunk {
    /// Position in the grid, C order.
    linear: u64,
    /// Address in the file.
    pub(super) address: u64,
    /// Bytes as stored.
    pub(super) len_bytes: u64,
    /// Bit `i` set: filter `i` was not applied.
    pub(super) filter_mask: u32,
}

impl StoredChunk {
    /// Position in the grid, C order.
    pub(super) const fn linear(&self) -> u64 {
        self.linear
    }
}

/// All stored chunks of a dataset.
#[derive(Debug)]
pub(super) struct ChunkIndex {
    /// Ascending by position.
    chunks: Vec<StoredChunk>,
}

impl ChunkIndex {
    /// Lists the chunks of `layout`, which is stored in `place` and cut by `grid` (of the stored extent).
    pub(super) fn read(
        file: &H5File,
        layout: &DatasetLayout,
        place: &ChunkedPlace,
        grid: &ChunkGrid,
        path: &str,
    ) -> Result<Self> {
        let Some(address) = place.index else { return Ok(Self { chunks: Vec::new() }) };
        if layout.shape.contains(&0) {
            return Ok(Self { chunks: Vec::new() });
        }
        let mut list = Listing { file, place, grid, path, chunks: Vec::new() };
        let (storage, offset_size, length_size) =
            (file.parsed().storage(), file.offset_size(), file.length_size());
        // These two number chunks over the largest extent, not the present one.
        let largest = layout.max_dims.as_deref().unwrap_or(&layout.shape);
        let doing = |error| fault(path, "chunk index", error);
        let entries = match &place.indexing {
            None => {
                list.walk_btree_v1(address)?;
                Vec::new()
            }
            Some(ChunkIndexing::SingleChunk { filtered_size, filters }) => {
                vec![chunk_index::single_chunk_entry(address, *filtered_size, *filters, layout.shape.len())]
            }
            Some(ChunkIndexing::Implicit) => chunk_index::collect_implicit_chunk_entries(
                address,
                largest,
                &place.chunk_dims,
                layout.item_bytes as usize,
                None,
                file.len_bytes(),
            )
            .map_err(doing)?,
            Some(ChunkIndexing::FixedArray { .. }) => fixed_array::collect_fixed_array_chunk_entries_storage(
                storage,
                address,
                offset_size,
                length_size,
                largest,
                &place.chunk_dims,
                None,
            )
            .map_err(doing)?,
            Some(ChunkIndexing::ExtensibleArray { .. }) => {
                extensible_array::collect_extensible_array_chunk_entries_storage(
                    storage,
                    address,
                    offset_size,
                    length_size,
                    &layout.shape,
                    layout.max_dims.as_deref(),
                    &place.chunk_dims,
                    None,
                )
                .map_err(doing)?
            }
            Some(ChunkIndexing::BTreeV2) => chunk_index::collect_v2_chunk_entries_storage(
                storage,
                address,
                offset_size,
                length_size,
                u32::try_from(layout.shape.len()).unwrap_or(u32::MAX),
                &place.chunk_dims,
                None,
            )
            .map_err(doing)?,
        };
        for ChunkEntry { address, size, filter_mask, offsets } in entries {
            list.add(&offsets, address, size, filter_mask)?;
        }
        list.finish()
    }

    /// The chunk at `linear`, if it is stored.
    pub(super) fn get(&self, linear: u64) -> Option<StoredChunk> {
        let at = self.chunks.binary_search_by_key(&linear, |chunk| chunk.linear).ok()?;
        self.chunks.get(at).copied()
    }

    /// Every stored chunk, in the order of the grid.
    pub(super) fn iter(&self) -> impl Iterator<Item = StoredChunk> + '_ {
        self.chunks.iter().copied()
    }

    /// Chunks that are stored.
    pub(super) fn count(&self) -> u64 {
        self.chunks.len() as u64
    }

    /// Bytes of all stored chunks.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.chunks.iter().fold(0, |sum, chunk| sum.saturating_add(chunk.len_bytes))
    }

    /// Bytes of the longest stored chunk.
    pub(super) fn longest_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len_bytes).max().unwrap_or(0)
    }
}

/// A listing in the making.
struct Listing<'a> {
    file: &'a H5File,
    place: &'a ChunkedPlace,
    grid: &'a ChunkGrid,
    path: &'a str,
    chunks: Vec<StoredChunk>,
}

impl Listing<'_> {
    /// Walks a version 1 B-tree, node by node: only compact entries are kept.
    fn walk_btree_v1(&mut self, root: u64) -> Result<()> {
        let rank = self.place.chunk.len();
        let key_bytes = 8 + (rank + 1) * 8;
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        let offset_bytes = usize::from(self.file.offset_size());
        let mut pending = vec![(root, None)];
        let mut visited = HashSet::new();
        while let Some((address, parent_level)) = pending.pop() {
            if !visited.insert(address) {
                return Err(self.corrupt(format!("the chunk B-tree visits its node at {address} twice")));
            }
            let node = self.node(address, key_bytes, offset_bytes, rank);
            let node = node.map_err(|error| fault(self.path, "chunk B-tree", error))?;
            if node.node_type != 1 || parent_level.is_some_and(|level| node.level >= level) {
                return Err(self.corrupt(format!("the chunk B-tree has a wrong node at {address}")));
            }
            for (key, child) in node.keys.iter().zip(&node.children) {
                if node.level > 0 {
                    if pending.len() >= MAX_PENDING_NODES {
                        return Err(self.corrupt("the chunk B-tree has too many nodes".to_owned()));
                    }
                    pending.push((*child, Some(node.level)));
                } else if let BTreeV1Key::RawData { chunk_size, filter_mask, offsets } = key
                    && let Some((0, offsets)) = offsets.split_last()
                {
                    self.add(offsets, *child, u64::from(*chunk_size), *filter_mask)?;
                } else {
                    return Err(
                        self.corrupt(format!("the chunk B-tree has a wrong key in the node at {address}"))
                    );
                }
            }
        }
        Ok(())
    }

    fn node(
        &self,
        address: u64,
        key_bytes: usize,
        offset_bytes: usize,
        rank: u32,
    ) -> hdf5_reader::error::Result<BTreeV1Node> {
        let storage = self.file.parsed().storage();
        let head = storage.read_range(address, 8)?;
        let mut cursor = Cursor::new(head.as_ref());
        if cursor.read_bytes(4)? != b"TREE" {
            return Err(ParseError::InvalidBTreeSignature);
        }
        cursor.skip(2)?;
        let used = usize::from(cursor.read_u16_le()?);
        let len_bytes = 8 + 2 * offset_bytes + (used + 1) * key_bytes + used * offset_bytes;
        let bytes = storage.read_range(address, len_bytes)?;
        let sizes = (self.file.offset_size(), self.file.length_size());
        BTreeV1Node::parse(&mut Cursor::new(bytes.as_ref()), sizes.0, sizes.1, Some(rank))
    }

    /// Adds the chunk whose first element is at `offsets`; `len_bytes` 0 means an unfiltered one.
    fn add(&mut self, offsets: &[u64], address: u64, len_bytes: u64, filter_mask: u32) -> Result<()> {
        if self.file.is_undefined(address) {
            return Ok(());
        }
        if offsets.len() != self.place.chunk.len()
            || offsets.iter().zip(&self.place.chunk).any(|(offset, chunk)| !offset.is_multiple_of(*chunk))
        {
            return Err(self.corrupt(format!("the chunk index names {offsets:?}, where no chunk starts")));
        }
        let index: Vec<u64> =
            offsets.iter().zip(&self.place.chunk).map(|(offset, chunk)| offset / chunk).collect();
        if index.iter().zip(self.grid.axes()).any(|(index, axis)| *index >= axis.count()) {
            return Ok(()); // left over from before the dataset was shrunk
        }
        let is_filtered = !self.place.filters.is_empty();
        let len_bytes = if len_bytes == 0 && !is_filtered { self.place.chunk_bytes } else { len_bytes };
        if !is_filtered && len_bytes != self.place.chunk_bytes {
            let expected = self.place.chunk_bytes;
            return Err(
                self.corrupt(format!("chunk {index:?} has {len_bytes} stored bytes instead of {expected}"))
            );
        }
        if !self.file.holds(address, len_bytes) {
            let file_bytes = self.file.len_bytes();
            return Err(self.corrupt(format!(
                "chunk {index:?} has {len_bytes} bytes at address {address}, beyond the file's {file_bytes}"
            )));
        }
        let linear = self.grid.linear(&index);
        self.chunks.push(StoredChunk { linear, address, len_bytes, filter_mask });
        Ok(())
    }

    fn finish(mut self) -> Result<ChunkIndex> {
        let index_of = |chunk: &StoredChunk| self.grid.index_at(chunk.linear).unwrap_or_default();
        self.chunks.sort_unstable_by_key(|chunk| (chunk.address, chunk.linear));
        for pair in self.chunks.windows(2) {
            if let [first, second] = pair
                && second.address < first.address.saturating_add(first.len_bytes)
            {
                return Err(self.corrupt(format!(
                    "the chunk index gives chunks {:?} and {:?} the same bytes",
                    index_of(first),
                    index_of(second)
                )));
            }
        }
        self.chunks.sort_unstable_by_key(|chunk| chunk.linear);
        if let Some([first, _]) =
            self.chunks.array_windows().find(|[a, b]: &&[StoredChunk; 2]| a.linear == b.linear)
        {
            return Err(self.corrupt(format!("the chunk index names chunk {:?} twice", index_of(first))));
        }
        self.chunks.shrink_to_fit();
        Ok(ChunkIndex { chunks: self.chunks })
    }

    fn corrupt(&self, what: String) -> Error {
        Error::Corrupt { path: self.path.to_owned(), what, remedy: "" }
    }
}
