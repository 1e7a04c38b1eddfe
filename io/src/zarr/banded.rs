//! An array whose chunks are read in bands: parts of a chunk along one axis, without decoding the rest of it.
//!
//! A Blosc frame is made of small blocks, and a chunk without codecs of bytes, so that a part needs only the blocks it
//! lies in. A block at the edge of a band is decoded once: what the next band needs of it is kept until that is read.
//! This is what makes a rechunk across a long axis one pass: the memory holds a band of the array rather than all of it.
//! Invariants: a band reads the same elements whatever was read before; what is kept takes no more than
//! [`Source::held_bytes`], and is dropped rather than kept beyond that (the next band then decodes its blocks again);
//! bands end where the last axes are whole, so that each is one run of bytes per position of the axes before.
//! Made by [`Source::banded`] of [`super::source`] for the planner, read by the executor.

use super::json::corrupt;
use super::pipeline::{Body, Pipeline, check_bools, fill_with};
use super::source::{Found, StoredChunks};
use crate::codec::blosc::{FrameIndex, decode_scratch_bytes};
use crate::codec::{Chain, Codec};
use crate::error::{Error, Result};
use crate::store::RegularFile;
use blockwise_core::coding;
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Chunk, ChunkGrid, Source, TaskContext};
use blockwise_kernels::{Buffer, BufferPool, DType, byteswap};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Encoded blocks that are read at once take at most this, or are a single one.
const GROUP_BYTES: usize = 1 << 20;

/// Taken while blocks are decoded that are larger than the array's usual ones.
static LARGE_BLOCKS: Mutex<()> = Mutex::new(());

/// How the bytes of a decoded chunk lie in runs along the banded axis.
#[derive(Clone, Debug)]
struct Runs {
    axis: usize,
    /// Lengths of the whole chunk, edges not clipped.
    chunk_shape: Vec<usize>,
    /// Bytes of one position of the axis.
    row_bytes: usize,
}

impl Runs {
    fn rows(&self) -> usize {
        self.chunk_shape.get(self.axis).copied().unwrap_or(0)
    }

    /// Bytes of all positions of the axis.
    fn slice_bytes(&self) -> usize {
        self.rows() * self.row_bytes
    }

    /// Where the slices start that a chunk of `shape`, clipped at the edges of the array, has.
    fn slice_starts(&self, shape: &[u64]) -> Vec<usize> {
        let mut starts = vec![0];
        for (full, own) in self.chunk_shape.iter().zip(shape).take(self.axis) {
            let own = usize::try_from(*own).unwrap_or(*full).min(*full);
            starts = starts.iter().flat_map(|start| (0..own).map(move |at| start * full + at)).collect();
        }
        starts.iter().map(|start| start * self.slice_bytes()).collect()
    }

    /// Bytes of the slice at `start` from `row` on that the block of the row before holds.
    fn carried(&self, start: usize, row: usize, block_bytes: usize) -> usize {
        let from = start + row * self.row_bytes;
        from.next_multiple_of(block_bytes).min(start + self.slice_bytes()) - from
    }
}

/// What a band leaves for the next one of its chunk.
struct Carry {
    /// Where the next one starts.
    row: usize,
    block_bytes: usize,
    /// For each slice, what [`Runs::carried`] says.
    bytes: Buffer,
}

#[derive(Default)]
struct Carries {
    by_chunk: HashMap<u64, Carry>,
    held_bytes: u64,
}

/// An array that is read in bands.
pub(super) struct Banded {
    chunks: Arc<StoredChunks>,
    runs: Runs,
    grid: ChunkGrid,
    /// Blocks of a frame, and their bytes, as the first chunk has them; 0 without a codec.
    usual_blocks: usize,
    usual_block_bytes: usize,
    /// What a chunk leaves at most between two bands.
    largest_carry_bytes: u64,
    held_bytes: u64,
    carries: Mutex<Carries>,
}

/// The single codec of bytes, if a part of a chunk can be decoded alone.
fn is_blocked(chain: &Chain) -> Option<bool> {
    match chain.codecs() {
        [] => Some(false),
        [Codec::Blosc(_)] => Some(true),
        _ => None,
    }
}

impl Banded {
    /// The array `chunks` with its chunks cut along `axis` as `bands` are, too. `None` if parts of a chunk are not
    /// cheaper than the whole.
    pub(super) fn new(chunks: &Arc<StoredChunks>, axis: usize, bands: &AxisGrid) -> Option<Self> {
        let Pipeline { shape: chunk_shape, order: None, filters, body: Body::Items { .. }, chain, items } =
            &chunks.unit
        else {
            return None;
        };
        let own = chunks.grid.axes();
        let is_blocked = is_blocked(chain)?;
        let is_clipped = own.iter().zip(chunk_shape).skip(axis + 1).any(|(axis, full)| {
            (0..axis.count().min(1))
                .chain(axis.count().checked_sub(1))
                .any(|n| axis.length(n) != *full as u64)
        });
        if !filters.is_empty() || is_clipped || !chunks.has_files() || chunks.grid.shape().contains(&0) {
            return None;
        }
        let mut axes = own.to_vec();
        let cut = axes.get_mut(axis)?;
        *cut = cut.refined_by(bands);
        let grid = ChunkGrid::from_axes(axes).ok()?;
        let row_bytes = chunk_shape.get(axis + 1..)?.iter().product::<usize>() * items.dtype.size();
        let runs = Runs { axis, chunk_shape: chunk_shape.clone(), row_bytes };
        let (usual_blocks, usual_block_bytes) = if is_blocked { usual_blocks(chunks)? } else { (0, 0) };
        if usual_block_bytes > 0 && runs.slice_bytes() < usual_block_bytes.saturating_mul(2) {
            return None; // a block has parts of many slices: each would be decoded for every band
        }
        let largest_carry_bytes =
            if usual_block_bytes == 0 { 0 } else { largest_carry(&runs, &grid, usual_block_bytes) };
        // All chunks of one layer along the axis have begun when the first of them ends.
        let layer = chunks.grid.chunk_count() / own.get(axis)?.count().max(1);
        let held_bytes = largest_carry_bytes.checked_mul(layer)?;
        Some(Self {
            chunks: Arc::clone(chunks),
            runs,
            grid,
            usual_blocks,
            usual_block_bytes,
            largest_carry_bytes,
            held_bytes,
            carries: Mutex::default(),
        })
    }

    /// The rows of the chunk that band `index` has, and the index of the chunk.
    fn band(&self, index: &[u64]) -> Result<(Vec<u64>, Range<usize>, Vec<u64>)> {
        let region = self.grid.region(index)?;
        let of = |at: u64, axis: &AxisGrid| axis.chunk_of(at).unwrap_or(0);
        let chunk = region.origin().iter().zip(self.chunks.grid.axes()).map(|(at, axis)| of(*at, axis));
        let rows = self.runs.rows().max(1);
        let from = region.origin().get(self.runs.axis).copied().unwrap_or(0) % rows as u64;
        let len = region.shape().get(self.runs.axis).copied().unwrap_or(0);
        let rows = usize::try_from(from).ok().zip(usize::try_from(from + len).ok());
        let (from, to) = rows.ok_or_else(|| corrupt(&self.chunks.label, "a chunk exceeds memory"))?;
        Ok((chunk.collect(), from..to, region.shape().to_vec()))
    }

    /// What an earlier band left for the one that starts at `row`.
    fn take_carry(&self, chunk: u64, row: usize, block_bytes: usize) -> Option<Buffer> {
        let mut carries = self.carries.lock().unwrap_or_else(PoisonError::into_inner);
        let carry = carries.by_chunk.remove(&chunk)?;
        carries.held_bytes -= carry.bytes.len() as u64;
        (carry.row == row && carry.block_bytes == block_bytes).then_some(carry.bytes)
    }

    /// Reserves room for what is left for the next band; `false` if there is none.
    fn reserve_carry(&self, bytes: usize) -> bool {
        let mut carries = self.carries.lock().unwrap_or_else(PoisonError::into_inner);
        let held_bytes = carries.held_bytes + bytes as u64;
        let fits = bytes > 0 && held_bytes <= self.held_bytes;
        if fits {
            carries.held_bytes = held_bytes;
        }
        fits
    }

    /// Gives back room that was not used.
    fn release_carry(&self, bytes: usize) {
        self.carries.lock().unwrap_or_else(PoisonError::into_inner).held_bytes -= bytes as u64;
    }

    /// Keeps what has its room reserved.
    fn put_carry(&self, chunk: u64, carry: Carry) {
        let mut carries = self.carries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = carries.by_chunk.insert(chunk, carry) {
            carries.held_bytes -= old.bytes.len() as u64;
        }
    }

    /// Reads runs of decoded bytes that lie in the chunk as they are, from byte `at` of it on.
    fn read_plain(&self, file: &Stored<'_>, at: usize, band: &Band, output: &mut [u8]) -> Result<()> {
        let run_bytes = band.rows.len() * self.runs.row_bytes;
        for (slice, run) in band.slices.iter().zip(output.chunks_exact_mut(run_bytes.max(1))) {
            file.read_into(at + slice + band.rows.start * self.runs.row_bytes, run)?;
        }
        Ok(())
    }

    /// The index of the chunk's frame.
    fn frame(&self, file: &Stored<'_>, pool: &BufferPool) -> Result<FrameIndex> {
        let read_head =
            |blocks: usize| file.read(0, FrameIndex::head_bytes(blocks).min(file.len_bytes), pool);
        let mut head = read_head(self.usual_blocks)?;
        let (blocks, _) = FrameIndex::blocks(&head, file.len_bytes).map_err(|error| error.at(file.path))?;
        if blocks > self.usual_blocks {
            head = read_head(blocks)?;
        }
        let decoded_bytes = self.chunks.unit.decoded_bytes();
        FrameIndex::parse(&head, file.len_bytes, decoded_bytes).map_err(|error| error.at(file.path))
    }

    fn read_band(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let (chunk_index, rows, shape) = self.band(index)?;
        let mut chunk = Chunk::uninit(self.chunks.items.dtype, &shape, cx.pool())?;
        let found = self.chunks.find(&chunk_index, cx.pool())?;
        let file = match &found {
            Some(found) => self.open(found)?,
            None => None,
        };
        let Some(file) = file else {
            fill_with(chunk.bytes_mut(), &self.chunks.fill);
            return Ok(chunk);
        };
        let number = self.chunks.grid.linear(&chunk_index);
        let band = Band { number, slices: self.runs.slice_starts(&shape), rows };
        let (unit, output) = (&self.chunks.unit, chunk.bytes_mut());
        if unit.chain.is_empty() {
            let (found, expected) = (file.len_bytes, unit.decoded_bytes());
            if found != expected {
                let what = format!("the chunk has {found} bytes, {expected} decoded ones were expected");
                return Err(corrupt(file.path, what));
            }
            self.read_plain(&file, 0, &band, output)?;
        } else {
            let frame = self.frame(&file, cx.pool())?;
            match frame.stored_at() {
                Some(at) => self.read_plain(&file, at, &band, output)?,
                None => self.decode(&band, &frame, &file, output, cx)?,
            }
        }
        if let Body::Items { swapped: true } = unit.body {
            byteswap::swap(output, self.chunks.items.dtype.swap_unit())
                .map_err(|error| corrupt(file.path, error.to_string()))?;
        }
        if self.chunks.items.dtype == DType::Bool {
            check_bools(file.path, output)?;
        }
        Ok(chunk)
    }

    /// The chunk's place in its file; `None` if it is absent.
    fn open<'a>(&self, found: &'a Found) -> Result<Option<Stored<'a>>> {
        let Some(file) = self.chunks.file(found)? else { return Ok(None) };
        let (base, len) = found.part.map_or((0, file.len_bytes()), |(at, len)| (at, len as u64));
        let limit = self.chunks.unit.longest_encoded();
        let len_bytes = usize::try_from(len).ok().filter(|_| len <= limit);
        let len_bytes = len_bytes
            .ok_or_else(|| corrupt(&found.path, format!("the chunk has {len} bytes, more than {limit}")))?;
        Ok(Some(Stored { path: &found.path, file, base, len_bytes }))
    }

    /// Decodes a band into `output` from what the band before left and from the blocks of `frame`.
    fn decode(
        &self,
        band: &Band,
        frame: &FrameIndex,
        file: &Stored<'_>,
        output: &mut [u8],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let (runs, block_bytes, rows) = (&self.runs, frame.block_bytes(), &band.rows);
        // Blocks larger than the scratch that was declared: one band at a time in the process.
        let _one_at_a_time = (block_bytes > self.usual_block_bytes)
            .then(|| LARGE_BLOCKS.lock().unwrap_or_else(PoisonError::into_inner));
        let carried = |row: usize| -> usize {
            band.slices.iter().map(|slice| runs.carried(*slice, row, block_bytes)).sum()
        };
        let old = if rows.start > 0 { self.take_carry(band.number, rows.start, block_bytes) } else { None };
        let old = old.filter(|old| old.len() == carried(rows.start));
        let left = if rows.end < runs.rows() { carried(rows.end) } else { 0 };
        // Always as large, so that the memory of one fits the next.
        let mut new = self.reserve_carry(left).then(|| {
            let mut buffer = cx.pool().take(left.max(usize::try_from(self.largest_carry_bytes).unwrap_or(0)));
            buffer.truncate(left);
            buffer
        });
        let decoded = self.decode_slices(band, frame, file, (output, old.as_deref(), new.as_deref_mut()), cx);
        match (decoded, new) {
            (Ok(()), Some(bytes)) => {
                self.put_carry(band.number, Carry { row: rows.end, block_bytes, bytes });
                Ok(())
            }
            (Err(error), Some(_)) => {
                self.release_carry(left);
                Err(error)
            }
            (outcome, None) => outcome,
        }
    }

    /// As [`decode`](Self::decode), with what the band before left and the place for what this one leaves, if any.
    fn decode_slices(
        &self,
        band: &Band,
        frame: &FrameIndex,
        file: &Stored<'_>,
        (output, mut old, mut new): (&mut [u8], Option<&[u8]>, Option<&mut [u8]>),
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let (runs, block_bytes, rows) = (&self.runs, frame.block_bytes().max(1), &band.rows);
        let decoded_bytes = self.chunks.unit.decoded_bytes();
        let mut block = cx.pool().take(block_bytes.min(decoded_bytes));
        let mut encoded = cx.pool().plain().take(GROUP_BYTES.min(file.len_bytes));
        let run_bytes = rows.len() * runs.row_bytes;
        for (slice, run) in band.slices.iter().zip(output.chunks_exact_mut(run_bytes.max(1))) {
            cx.check_cancelled()?;
            let start = slice + rows.start * runs.row_bytes;
            let mut target = Target { start, run, rest: &mut [] };
            if let Some(place) = new.take() {
                let own = runs.carried(*slice, rows.end, block_bytes).min(place.len());
                let (own, others) = place.split_at_mut(own);
                (target.rest, new) = (own, Some(others));
            }
            let mut at = start;
            if let Some(bytes) = old {
                let own = runs.carried(*slice, rows.start, block_bytes).min(bytes.len());
                let (own, others) = bytes.split_at(own);
                target.put(start, own);
                (at, old) = (start + own.len(), Some(others));
            }
            let end = start + run_bytes;
            let mut blocks = if at < end { at / block_bytes..end.div_ceil(block_bytes) } else { 0..0 };
            while !blocks.is_empty() {
                let group = group_of(frame, &blocks)
                    .ok_or_else(|| corrupt(file.path, "a block is not in the frame's table"))?;
                if encoded.len() < group.bytes.len() {
                    encoded = cx.pool().plain().take(group.bytes.len());
                }
                file.read_into(group.bytes.start, encoded.get_mut(..group.bytes.len()).unwrap_or_default())?;
                coding::decoding(|| {
                    (blocks.start..group.end).zip(&group.places).try_for_each(|(number, place)| {
                        let from = number * block_bytes;
                        let len = block_bytes.min(decoded_bytes - from);
                        let bytes =
                            encoded.get(place.start - group.bytes.start..place.end - group.bytes.start);
                        let bytes = bytes.unwrap_or_default(); // never: the places of a group lie within it
                        if let Some(place) = target.whole(from, len) {
                            frame.decode(bytes, place).map_err(|error| error.at(file.path))?;
                        } else {
                            let decoded = block.get_mut(..len).unwrap_or_default();
                            frame.decode(bytes, decoded).map_err(|error| error.at(file.path))?;
                            target.put(from, decoded);
                        }
                        Ok::<(), Error>(())
                    })
                })?;
                blocks.start = group.end;
            }
        }
        Ok(())
    }
}

/// A chunk in its file.
struct Stored<'a> {
    path: &'a str,
    file: RegularFile,
    base: u64,
    len_bytes: usize,
}

impl Stored<'_> {
    /// `len` bytes at `at` of the chunk.
    fn read(&self, at: usize, len: usize, pool: &BufferPool) -> Result<Buffer> {
        self.file.read_range(self.base.saturating_add(at as u64), len, pool)
    }

    /// Fills `output` with the bytes at `at` of the chunk.
    fn read_into(&self, at: usize, output: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(self.base.saturating_add(at as u64), output)
    }
}

/// A part of a chunk.
struct Band {
    /// The chunk.
    number: u64,
    /// Where its slices start.
    slices: Vec<usize>,
    rows: Range<usize>,
}

/// Where the decoded bytes of a slice go, from `start` on: to the run, then to what is kept.
struct Target<'a> {
    start: usize,
    run: &'a mut [u8],
    rest: &'a mut [u8],
}

impl Target<'_> {
    /// Takes what it needs of the bytes at `from`.
    fn put(&mut self, from: usize, bytes: &[u8]) {
        let run_end = self.start + self.run.len();
        copy_overlap(self.start, self.run, from, bytes);
        copy_overlap(run_end, self.rest, from, bytes);
    }

    /// The place of `len` bytes at `from`, if all of them belong to the run.
    fn whole(&mut self, from: usize, len: usize) -> Option<&mut [u8]> {
        let at = from.checked_sub(self.start)?;
        self.run.get_mut(at..at.checked_add(len)?)
    }
}

/// Copies the bytes that `source`, at `from`, and `target`, at `to`, both have a place for.
fn copy_overlap(to: usize, target: &mut [u8], from: usize, source: &[u8]) {
    let (start, end) = (to.max(from), (to + target.len()).min(from + source.len()));
    if start < end
        && let (Some(target), Some(source)) =
            (target.get_mut(start - to..end - to), source.get(start - from..end - from))
    {
        target.copy_from_slice(source);
    }
}

/// Blocks that lie one after the other in a frame, and are read at once.
struct Group {
    places: Vec<Range<usize>>,
    bytes: Range<usize>,
    /// The block after the last.
    end: usize,
}

/// The first of `blocks`, with those that follow it in the frame too.
fn group_of(frame: &FrameIndex, blocks: &Range<usize>) -> Option<Group> {
    let first = frame.place(blocks.start)?;
    let mut group = Group { places: vec![first.clone()], bytes: first, end: blocks.start + 1 };
    while group.end < blocks.end {
        let next = frame.place(group.end)?;
        if next.start != group.bytes.end || next.end - group.bytes.start > GROUP_BYTES {
            break;
        }
        group.bytes.end = next.end;
        group.places.push(next);
        group.end += 1;
    }
    Some(group)
}

/// Blocks of a frame and their bytes, as a chunk has them that is there.
fn usual_blocks(chunks: &StoredChunks) -> Option<(usize, usize)> {
    let pool = BufferPool::new(0);
    let counts = chunks.grid.counts();
    let candidates = [vec![0; counts.len()], counts.iter().map(|count| count / 2).collect()];
    candidates.iter().find_map(|index: &Vec<u64>| {
        let found = chunks.find(index, &pool).ok()??;
        let file = chunks.file(&found).ok()??;
        let (base, len) = found.part.map_or((0, file.len_bytes()), |(at, len)| (at, len as u64));
        let len = usize::try_from(len).ok()?;
        let head = file.read_range(base, FrameIndex::head_bytes(0).min(len), &pool).ok()?;
        FrameIndex::blocks(&head, len).ok().filter(|(blocks, block_bytes)| *blocks > 0 && *block_bytes > 0)
    })
}

/// The most that a chunk leaves between two bands of `grid`.
fn largest_carry(runs: &Runs, grid: &ChunkGrid, block_bytes: usize) -> u64 {
    let Some(axis) = grid.axes().get(runs.axis) else { return 0 };
    let rows = runs.rows().max(1);
    let whole: Vec<u64> = runs.chunk_shape.iter().map(|len| *len as u64).collect();
    let slices = runs.slice_starts(&whole);
    let mut ends: Vec<usize> = (0..axis.count())
        .filter_map(|n| usize::try_from(axis.start(n)).ok())
        .map(|start| start % rows)
        .collect();
    ends.sort_unstable();
    ends.dedup();
    let carried =
        |row: &usize| slices.iter().map(|slice| runs.carried(*slice, *row, block_bytes) as u64).sum();
    ends.iter().filter(|row| **row > 0).map(carried).max().unwrap_or(0)
}

impl Source for Banded {
    fn label(&self) -> &str {
        &self.chunks.label
    }

    fn dtype(&self) -> DType {
        self.chunks.items.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        let block = self.usual_block_bytes as u64;
        // The table and its two copies; encoded blocks; a decoded one; what the band before left; an index of a shard.
        let table = 5 * FrameIndex::head_bytes(self.usual_blocks) as u64;
        let encoded = (GROUP_BYTES as u64).max(block.saturating_mul(2));
        let index = self.chunks.index_bytes;
        if block == 0 {
            return index;
        }
        table + encoded + block + decode_scratch_bytes(block) + self.largest_carry_bytes + index
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        self.read_band(index, cx).map_err(Error::into)
    }
}
