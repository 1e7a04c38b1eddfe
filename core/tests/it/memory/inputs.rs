//! What operations are measured on, and where their results go.

use blockwise_core::kernels::Element;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Region, Result, Session, Sink, Source, TaskContext};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that follow from positions, in chunks that only come whole, by way of as much scratch memory: as if compressed.
struct Stored {
    grid: ChunkGrid,
}

impl Stored {
    fn array(shape: &[u64], chunk: &[u64]) -> Result<Array> {
        Ok(Array::from_source(Arc::new(Self { grid: ChunkGrid::regular(shape, chunk)? })))
    }

    fn chunk_bytes(&self) -> u64 {
        self.grid.largest_chunk().iter().product::<u64>() * 8
    }
}

impl Source for Stored {
    fn label(&self) -> &str {
        "stored"
    }

    fn dtype(&self) -> DType {
        DType::F64
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.chunk_bytes()
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let mut encoded = Chunk::uninit(DType::F64, region.shape(), cx.pool())?;
        fill(&mut encoded, &region, &self.grid.shape());
        let mut chunk = Chunk::uninit(DType::F64, region.shape(), cx.pool())?;
        chunk.bytes_mut().copy_from_slice(encoded.bytes());
        Ok(chunk)
    }
}

/// Writes the numbers of a box, all different from their neighbours, a few of them NaN.
fn fill(chunk: &mut Chunk, region: &Region, shape: &[u64]) {
    let ranges: Vec<Range<u64>> = region.ranges().collect();
    let run = ranges.last().map_or(1, |last| last.end - last.start) as usize;
    let mut position = region.origin().to_vec();
    for row in chunk.bytes_mut().chunks_exact_mut(run * size_of::<f64>()) {
        let first = position.iter().zip(shape).fold(0, |flat: u64, (at, extent)| flat * extent + at);
        for (item, flat) in row.chunks_exact_mut(size_of::<f64>()).zip(first..) {
            let mixed = flat.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let number = if mixed & 0xffff == 7 { f64::NAN } else { mixed as f64 * 1e-5 - 60.0 };
            item.copy_from_slice(f64::as_bytes(&[number]));
        }
        // The next row in C order.
        let leading = position.len().saturating_sub(1);
        for (at, range) in position.iter_mut().zip(&ranges).take(leading).rev() {
            *at += 1;
            if *at < range.end {
                break;
            }
            *at = range.start;
        }
    }
}

/// The arrays that operations are measured on, of float64, each of the whole size unless it says otherwise.
pub(super) struct Inputs {
    /// Three axes in chunks of 1 MiB, less with small budgets, that cut every one of them.
    pub(super) x: Array,
    /// Another of the same shape, cut otherwise.
    pub(super) y: Array,
    /// Three axes, the first one long, in chunks of 256 KiB: what sees its neighbours along all axes holds three layers.
    pub(super) fine: Array,
    /// One axis.
    pub(super) line: Array,
    /// For what runs at once.
    pub(super) session: Session,
    /// Long lines along the first of two axes, chunks along both.
    pub(super) columns: Array,
}

impl Inputs {
    pub(super) fn new(bytes: u64, session: Session) -> Result<Self> {
        // 256 MiB: [64, 512, 1024].
        let planes = bytes / (8 * 512 * 1024);
        let depth = (planes / 8).max(1);
        let elements = bytes / 8;
        Ok(Self {
            x: Stored::array(&[planes, 512, 1024], &[depth, 64, 256])?.with_names(&["time", "lat", "lon"])?,
            y: Stored::array(&[planes, 512, 1024], &[(depth / 2).max(1), 256, 128])?,
            fine: Stored::array(&[elements / 8192, 64, 128], &[16, 32, 64])?,
            line: Stored::array(&[elements], &[elements / 256])?,
            session,
            columns: Stored::array(&[elements / 64, 64], &[elements / 64 / 64, 16])?,
        })
    }
}

/// So many days of `float32` on a grid of a quarter of a degree, in chunks of 31 days.
pub(super) fn days(count: u64) -> Result<Array> {
    let grid = ChunkGrid::regular(&[count, 721, 1440], &[31, 721, 1440])?;
    Array::from_source(Arc::new(Days { grid })).with_names(&["time", "lat", "lon"])
}

/// Days that follow from their positions.
struct Days {
    grid: ChunkGrid,
}

impl Source for Days {
    fn label(&self) -> &str {
        "days"
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        0
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let mut chunk = Chunk::uninit(DType::F32, region.shape(), cx.pool())?;
        let mut number = index.first().copied().unwrap_or(0) as u32;
        for value in chunk.elements_mut::<f32>().unwrap_or_default() {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (number >> 8) as f32;
        }
        Ok(chunk)
    }
}

/// Counts what it is given, and drops it.
pub(super) struct Counted {
    dtype: DType,
    grid: ChunkGrid,
    bytes: AtomicU64,
}

impl Counted {
    pub(super) fn of(array: &Array) -> Self {
        Self { dtype: array.dtype(), grid: array.grid().clone(), bytes: AtomicU64::new(0) }
    }

    /// Bytes it was given.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Sink for Counted {
    fn label(&self) -> &str {
        "counted"
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        0
    }

    fn write(&self, _index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        let bytes = chunk.bytes().len() as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(bytes)
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}
