//! Uncompressed arrays that lie in one file at regular strides: contiguous HDF5 datasets, NetCDF classic variables
//! (with records interleaved), raw and npy files.
//!
//! Invariants: every element was checked to lie in the file when the source was made, so no box can reach outside;
//! any box is read with positional reads that touch little else than its bytes, hence [`Source::recut`] to any grid.
//! Called by the formats named above.

mod gather;

use crate::error::{Error, Result};
use crate::store::RegularFile;
use blockwise_core::{Chunk, ChunkGrid, Region, Source, TaskContext};
use blockwise_kernels::buffer::size_class_bytes;
use blockwise_kernels::strided::{self, Layout};
use blockwise_kernels::{DType, byteswap};
use gather::{Gather, SPAN_BYTES};
use std::sync::Arc;

/// Bytes that a chunk of the grid has at most where the layout suggests none.
const DEFAULT_CHUNK_BYTES: u64 = 8 << 20;

/// Where the bytes of an array are.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    /// In a file.
    File(Arc<RegularFile>),
    /// In memory (HDF5's compact layout).
    Memory(Arc<[u8]>),
}

impl Backing {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.len_bytes(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn read_exact_at(&self, offset: u64, output: &mut [u8], label: &str) -> Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(offset, output),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).ok();
                let range = start.and_then(|start| bytes.get(start..start.checked_add(output.len())?));
                let range = range.ok_or_else(|| Error::Corrupt {
                    path: label.to_owned(),
                    what: format!("{} bytes at {offset} are outside of its storage", output.len()),
                    remedy: "",
                })?;
                output.copy_from_slice(range);
                Ok(())
            }
        }
    }
}

/// An array at regular strides in a file: element `i` starts at byte `offset + sum(i[k] * strides[k])`.
#[derive(Clone, Debug)]
pub(crate) struct StridedArray {
    /// What people call the array: `file::node`.
    pub(crate) label: String,
    /// Where the bytes are.
    pub(crate) backing: Backing,
    /// Where element 0 starts, in bytes.
    pub(crate) offset: u64,
    /// Type of the elements.
    pub(crate) dtype: DType,
    /// Elements per axis.
    pub(crate) shape: Vec<u64>,
    /// Bytes from one element to the next, per axis; at least the element's size, in any order of axes.
    pub(crate) strides: Vec<u64>,
    /// Whether the stored numbers have the byte order that this machine has not.
    pub(crate) is_swapped: bool,
}

/// Strides of a C-order array of `shape`, in bytes; `None` on overflow.
pub(crate) fn c_strides(shape: &[u64], item_bytes: usize) -> Option<Vec<u64>> {
    let mut strides = vec![0; shape.len()];
    let mut step = u64::try_from(item_bytes).ok()?;
    for (stride, len) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.checked_mul((*len).max(1))?;
    }
    Some(strides)
}

/// The source of a [`StridedArray`] cut by a grid.
#[derive(Debug)]
pub(crate) struct StridedSource {
    array: Arc<StridedArray>,
    grid: ChunkGrid,
    /// Axes from the slowest to the fastest in the file.
    order: Arc<[usize]>,
}

impl StridedSource {
    /// The array cut into chunks of some megabytes along its slowest axes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if some element lies outside of the file.
    pub(crate) fn new(array: StridedArray) -> Result<Self> {
        let item_bytes = array.dtype.size() as u64;
        let mut end = array.offset.checked_add(item_bytes);
        for (len, stride) in array.shape.iter().zip(&array.strides) {
            let reach = len.saturating_sub(1).checked_mul(*stride);
            end = end.and_then(|end| end.checked_add(reach?));
        }
        let has_bytes = array.backing.len_bytes();
        if !array.shape.contains(&0) && end.is_none_or(|end| end > has_bytes) {
            let needed = end.map_or_else(|| "more than 2^64".to_owned(), |end| end.to_string());
            return Err(Error::Corrupt {
                path: array.label,
                what: format!("its elements need {needed} bytes, the file has {has_bytes}"),
                remedy: "; the file was cut short: copy or download it again",
            });
        }
        let mut order: Vec<usize> = (0..array.shape.len()).collect();
        order.sort_by_key(|axis| std::cmp::Reverse(array.strides.get(*axis).copied()));
        let grid = ChunkGrid::regular(&array.shape, &default_chunk(&array.shape, &order, item_bytes))?;
        Ok(Self { array: Arc::new(array), grid, order: order.into() })
    }

    /// Whether the file's order of axes is not the array's, so that a box is transposed after it was read.
    fn is_transposed(&self) -> bool {
        !self.order.is_sorted()
    }

    /// Reads `region` in the file's order of axes.
    fn gather(&self, region: &Region, output: &mut [u8], cx: &TaskContext<'_>) -> blockwise_core::Result<()> {
        let array = &self.array;
        let mut gather = Gather::new(array.dtype.size());
        let mut start = array.offset;
        for axis in self.order.iter().rev() {
            let pick = |list: &[u64]| list.get(*axis).copied().unwrap_or(0);
            let (stride, len) = (pick(&array.strides), pick(region.shape()));
            start = start.saturating_add(pick(region.origin()).saturating_mul(stride)); // in the file: checked
            gather.push_outer_axis(len, stride);
        }
        let read = |offset: u64, bytes: &mut [u8]| array.backing.read_exact_at(offset, bytes, &array.label);
        gather.run(start, output, cx, read)
    }
}

impl Source for StridedSource {
    fn label(&self) -> &str {
        &self.array.label
    }

    fn dtype(&self) -> DType {
        self.array.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        let largest = blockwise_core::region::byte_count(&self.grid.largest_chunk(), self.array.dtype.size());
        let largest =
            usize::try_from(largest.unwrap_or(u64::MAX)).map_or(u64::MAX, |b| size_class_bytes(b) as u64);
        let transposed = if self.is_transposed() { largest } else { 0 };
        transposed.saturating_add((SPAN_BYTES as u64).min(largest))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let region = self.grid.region(index)?;
        let dtype = self.array.dtype;
        let mut chunk = Chunk::uninit(dtype, region.shape(), cx.pool())?;
        if self.is_transposed() {
            let mut stored = cx.pool().take(chunk.bytes().len());
            self.gather(&region, &mut stored, cx)?;
            let layouts = transposed_layouts(region.shape(), &self.order);
            let copied = layouts.and_then(|(shape, to, from)| {
                strided::copy(chunk.bytes_mut(), &to, &stored, &from, &shape, dtype.size())
            });
            copied.map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
        } else {
            self.gather(&region, chunk.bytes_mut(), cx)?;
        }
        if self.array.is_swapped {
            byteswap::swap(chunk.bytes_mut(), dtype.swap_unit())
                .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
        }
        if dtype == DType::Bool
            && let Some(bad) = chunk.bytes().iter().find(|byte| **byte > 1)
        {
            let what = format!("a boolean has the value {bad}; it must be 0 or 1");
            return Err(Error::Corrupt { path: self.array.label.clone(), what, remedy: "" }.into());
        }
        Ok(chunk)
    }

    fn stored_bytes(&self) -> Option<u64> {
        blockwise_core::region::byte_count(&self.array.shape, self.array.dtype.size())
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        if grid.shape() != self.array.shape {
            return None;
        }
        let (array, order) = (Arc::clone(&self.array), Arc::clone(&self.order));
        Some(Arc::new(Self { array, grid: grid.clone(), order }))
    }
}

/// Shape in the file's order of axes, and the layouts of the array (to) and of the gathered box (from).
fn transposed_layouts(
    shape: &[u64],
    order: &[usize],
) -> std::result::Result<(Vec<usize>, Layout, Layout), strided::LayoutError> {
    let narrow = |len: u64| usize::try_from(len).map_err(|_| strided::LayoutError::Overflow);
    let shape = shape.iter().map(|len| narrow(*len)).collect::<std::result::Result<Vec<_>, _>>()?;
    let array = Layout::c_order(&shape)?;
    let permuted: Vec<usize> = order.iter().filter_map(|axis| shape.get(*axis).copied()).collect();
    let strides = order.iter().filter_map(|axis| array.strides.get(*axis).copied()).collect();
    let from = Layout::c_order(&permuted)?;
    Ok((permuted, Layout { offset: 0, strides }, from))
}

/// Whole fast axes as far as they fit [`DEFAULT_CHUNK_BYTES`], then a part of one, then single steps.
fn default_chunk(shape: &[u64], order: &[usize], item_bytes: u64) -> Vec<u64> {
    let mut chunk = vec![1; shape.len()];
    let mut left = DEFAULT_CHUNK_BYTES / item_bytes.max(1);
    for axis in order.iter().rev() {
        let len = shape.get(*axis).copied().unwrap_or(1).max(1);
        let taken = len.min(left.max(1));
        if let Some(slot) = chunk.get_mut(*axis) {
            *slot = taken;
        }
        left = if taken == len { left / len } else { 0 };
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::Cancellation;
    use blockwise_kernels::BufferPool;
    use proptest::prelude::*;

    /// Elements 0, 1, 2 … of a u16 array, stored with `gap` bytes after each record of axis 0, axes in `order`.
    fn array(shape: &[u64], order: &[usize], gap: u64, is_swapped: bool) -> StridedArray {
        let mut strides = vec![0; shape.len()];
        let mut step = 2;
        for (depth, axis) in order.iter().enumerate().rev() {
            strides[*axis] = step;
            step = step * shape[*axis] + if depth == 1 { gap } else { 0 };
        }
        let mut bytes = vec![0xee; usize::try_from(step + 8).unwrap()];
        let grid = ChunkGrid::single(shape).unwrap();
        let all = Region::whole(shape).unwrap();
        assert_eq!(grid.shape(), all.shape());
        for linear in 0..all.len() {
            let (mut rest, mut at) = (linear, 5);
            for axis in (0..shape.len()).rev() {
                at += rest % shape[axis] * strides[axis];
                rest /= shape[axis];
            }
            let value = u16::try_from(linear).unwrap();
            let value = if is_swapped { value.swap_bytes() } else { value };
            bytes[usize::try_from(at).unwrap()..][..2].copy_from_slice(&value.to_ne_bytes());
        }
        let backing = Backing::Memory(bytes.into());
        StridedArray {
            label: "t".into(),
            backing,
            offset: 5,
            dtype: DType::U16,
            shape: shape.to_vec(),
            strides,
            is_swapped,
        }
    }

    fn axes() -> impl Strategy<Value = (Vec<u64>, Vec<usize>, Vec<u64>)> {
        (1_usize..5).prop_flat_map(|rank| {
            (
                proptest::collection::vec(1_u64..9, rank),
                Just((0..rank).collect::<Vec<_>>()).prop_shuffle(),
                proptest::collection::vec(1_u64..10, rank),
            )
        })
    }

    proptest! {
        #[test]
        fn any_box_of_any_order_is_read(
            (shape, order, chunk) in axes(),
            gap in 0_u64..40,
            swapped: bool,
        ) {
            let source = StridedSource::new(array(&shape, &order, gap, swapped)).unwrap();
            let grid = ChunkGrid::regular(&shape, &chunk).unwrap();
            let source = source.recut(&grid).unwrap();
            let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
            let cx = TaskContext::new(&pool, &cancellation);
            let whole = ChunkGrid::single(&shape).unwrap();
            for index in grid.indices() {
                let region = grid.region(&index).unwrap();
                let chunk = source.read(&index, &cx).unwrap();
                let inner = ChunkGrid::regular(region.shape(), &vec![1; shape.len()]).unwrap();
                for (at, found) in inner.indices().zip(chunk.elements::<u16>().unwrap()) {
                    let global: Vec<u64> = at.iter().zip(region.origin()).map(|(a, o)| a + o).collect();
                    let ones = ChunkGrid::regular(&whole.shape(), &vec![1; shape.len()]).unwrap();
                    prop_assert_eq!(u64::from(*found), ones.linear(&global));
                }
            }
        }
    }

    #[test]
    fn elements_outside_of_the_file_are_refused() {
        let mut array = array(&[4, 3], &[0, 1], 0, false);
        array.offset += 20;
        let error = StridedSource::new(array).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn default_chunks_are_some_megabytes() {
        assert_eq!(default_chunk(&[100, 1000, 1000], &[0, 1, 2], 8), [1, 1000, 1000]);
        assert_eq!(default_chunk(&[100, 1000, 1000], &[2, 1, 0], 8), [100, 1000, 10]);
        assert_eq!(default_chunk(&[3, 4], &[0, 1], 8), [3, 4]);
        assert_eq!(default_chunk(&[], &[], 8), [0_u64; 0]);
    }
}
