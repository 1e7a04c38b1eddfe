//! Passes over a matrix: its products with a narrow basis.
//!
//! Products with `A` or `Aᴴ` alone are taken chunk by chunk. `Aᴴ A` needs strips, which hold the short side of the matrix whole: the
//! chunks beside each other, or, where they are small, huge, many or of different sizes, a copy of what they hold of a strip. Invariants: every chunk is read
//! once in a pass, whatever the width of the basis; results depend on the matrix's grid alone. Called by [`super`].

use super::rows::{Rows, SLAB, Sums};
use crate::contract::{Sum, one};
use crate::dense::Cpu;
use crate::qr::{Wide, cuts, internal};
use blockwise_core::array::{BlockInput, Index};
use blockwise_core::block::{Block, BlockClosure, BlockInfo, chunks};
use blockwise_core::dense::{Dense, Leaf};
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes of chunks that are taken as they are.
const CHUNK_BYTES: RangeInclusive<u64> = 2 << 20..=128 << 20;
/// Bytes of the chunks beside each other that are taken as a strip, and how many they are at most.
const STRIP_BYTES: u64 = 256 << 20;
const MOST_BESIDE: u64 = 6;

/// A matrix seen so that it has more rows than columns: itself or its transpose, which is never made.
#[derive(Clone)]
pub(super) struct Long {
    matrix: Array,
    /// Whether its columns are the rows meant here.
    pub(super) is_transposed: bool,
    pub(super) rows: u64,
    pub(super) columns: u64,
    /// Cuts of rows, and of columns, for products with `A` or `Aᴴ` alone.
    tiles: [AxisGrid; 2],
    /// Cuts of rows, and of columns if chunks lie beside each other in a strip.
    strips: [AxisGrid; 2],
    width: u64,
}

impl Long {
    /// The matrix, or its transpose, for products with at most `width` columns.
    pub(super) fn new(matrix: &Array, width: u64) -> Result<Self> {
        let [rows, columns] = matrix.shape()[..] else {
            return Err(Error::Rank { expected: 2, found: matrix.rank() });
        };
        let is_transposed = columns > rows;
        let (rows, columns) = (rows.max(columns), rows.min(columns));
        let axes = matrix.grid().axes();
        let long = axes.get(usize::from(is_transposed)).ok_or_else(|| internal("no long side"))?;
        let short = axes.get(usize::from(!is_transposed)).ok_or_else(|| internal("no short side"))?;
        let item_bytes = matrix.dtype().size() as u64;
        let bytes = |columns: u64| long.longest().saturating_mul(columns).saturating_mul(item_bytes);
        let gathered = [cuts::strips(long, columns, width, item_bytes)?, whole(columns)?];
        let own = [long.clone(), short.clone()];
        // The products of a chunk are as long as its sides: small beside it where it has far more columns than the basis.
        let has_tiles = CHUNK_BYTES.contains(&bytes(short.longest())) && short.longest() >= 8 * width;
        let are_equal = columns.is_multiple_of(short.longest()) && short.regular_chunk().is_some();
        let has_strips =
            has_tiles && are_equal && short.count() <= MOST_BESIDE && bytes(columns) <= STRIP_BYTES;
        let strips = if has_strips { own.clone() } else { gathered.clone() };
        let tiles = if has_tiles { own } else { gathered };
        Ok(Self { matrix: matrix.clone(), is_transposed, rows, columns, tiles, strips, width })
    }

    /// `Aᴴ basis`, of shape `(columns, width)`, of a basis of shape `(rows, width)`, in one pass.
    pub(super) fn adjoint_times<T: Wide>(&self, basis: &Array) -> Result<Array> {
        let grid = ChunkGrid::from_axes(vec![self.tiles[1].clone(), whole(width_of(basis))?])?;
        let inputs = self.tile_inputs(basis, 1 - self.axis())?;
        self.summed::<T>("Aᴴ times a basis", Sums::Adjoint, inputs, (vec![Some(1 - self.axis()), None], grid))
    }

    /// `Aᴴ A basis`, of shape `(columns, width)`, in one pass.
    pub(super) fn square_times<T: Wide>(&self, basis: &Array) -> Result<Array> {
        let grid = ChunkGrid::single(&[self.columns, width_of(basis)])?;
        self.summed::<T>("AᴴA times a basis", Sums::Square, self.strip_inputs(basis)?, (vec![None; 2], grid))
    }

    /// The sum over all rows of what those of each task give: on a grid whose axes follow those of tasks.
    fn summed<T: Wide>(
        &self,
        name: &str,
        what: Sums,
        (inputs, tasks): (Vec<BlockInput>, ChunkGrid),
        (follows, grid): (Vec<Option<usize>>, ChunkGrid),
    ) -> Result<Array> {
        let is_transposed = self.is_transposed;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let (rows, basis) = inputs.split_at(inputs.len() / 2);
            let [out] = chunks(outputs)?;
            let sums = numbers_mut::<T>(out)?;
            match is_wide::<T>(rows) {
                true => Rows::<T, T>::new(rows, is_transposed)?.sums(what, basis, sums),
                false => Rows::<T, T::Narrow>::new(rows, is_transposed)?.sums(what, basis, sums),
            }
        };
        let function = Arc::new(BlockClosure::new(name, self.scratch_bytes::<T>(2), run));
        let (outputs, axes, fold) =
            (vec![(T::DTYPE, grid)], vec![self.axis()], Arc::new(Sum::<T>::default()));
        one(Array::from_folded_blocks(function, inputs, tasks, follows, outputs, axes, fold)?)
    }

    /// `A basis`, of shape `(rows, width)`, and the sum of the squares of the matrix's elements, of shape `()`, in one pass.
    pub(super) fn times<T: Wide>(&self, basis: &Array) -> Result<(Array, Array)> {
        let is_transposed = self.is_transposed;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let (rows, basis) = inputs.split_at(inputs.len() / 2);
            let [out, squares] = chunks(outputs)?;
            let product = numbers_mut::<T>(out)?;
            let sum = match is_wide::<T>(rows) {
                true => Rows::<T, T>::new(rows, is_transposed)?.times(basis, product)?,
                false => Rows::<T, T::Narrow>::new(rows, is_transposed)?.times(basis, product)?,
            };
            numbers_mut::<T>(squares)?.fill(T::from_real(sum));
            Ok(())
        };
        let function = Arc::new(BlockClosure::new("A times a basis", self.scratch_bytes::<T>(1), run));
        let product = ChunkGrid::from_axes(vec![self.tiles[0].clone(), whole(width_of(basis))?])?;
        let squares = ChunkGrid::regular(&[self.tiles[0].count(), 1], &[1, 1])?;
        let outputs = vec![(T::DTYPE, product), (T::DTYPE, squares)];
        let (inputs, tasks) = self.tile_inputs(basis, self.axis())?;
        let (follows, fold) = (vec![Some(self.axis()), None], Arc::new(Sum::<T>::default()));
        let folded = vec![1 - self.axis()];
        let made = Array::from_folded_blocks(function, inputs, tasks, follows, outputs, folded, fold)?;
        let [product, squares] = <[Array; 2]>::try_from(made).map_err(|_| internal("no product"))?;
        Ok((product, Array::call("real", [(&squares.sum(..)?).into()])?.astype(DType::F64)))
    }

    /// The axis of the matrix that the rows meant here are along.
    fn axis(&self) -> usize {
        usize::from(self.is_transposed)
    }

    /// What a task holds besides blocks and result, with `wide` arrays as large as the basis.
    fn scratch_bytes<T: Wide>(&self, wide: u64) -> u64 {
        let row_bytes = self.width.saturating_mul(size_of::<T>() as u64);
        let slabs_bytes = row_bytes.saturating_mul(4 * SLAB as u64);
        let longest = self.tiles[0].longest().max(self.strips[0].longest());
        let basis_bytes = self.columns.max(longest).saturating_mul(row_bytes);
        let gemm_bytes = Dense::<T>::scratch_bytes(&Cpu, Leaf::Gemm, self.columns, self.width);
        basis_bytes.saturating_mul(wide).saturating_add(slabs_bytes).saturating_add(gemm_bytes)
    }

    /// A task for each tile, and the part of the basis for it: along the axis of the matrix that is not `lacking`.
    fn tile_inputs(&self, basis: &Array, lacking: usize) -> Result<(Vec<BlockInput>, ChunkGrid)> {
        let [rows, columns] = self.tiles.clone();
        Ok((vec![spread(&self.matrix, 2)?, spread(basis, lacking)?], self.tasks(rows, columns, basis)?))
    }

    /// A task for each strip, in blocks of equal columns beside each other, and the basis in as many blocks of rows.
    fn strip_inputs(&self, basis: &Array) -> Result<(Vec<BlockInput>, ChunkGrid)> {
        let [rows, columns] = self.strips.clone();
        let (mut inputs, mut of_basis) = (Vec::new(), Vec::new());
        let all = Index::from(..);
        for n in 0..columns.count() {
            let place = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
            let range = Index::from(place(columns.start(n))..place(columns.start(n) + columns.length(n)));
            let own = if self.is_transposed { [range, all] } else { [all, range] };
            inputs.push(spread(&self.matrix.index(&own)?, 2)?);
            of_basis.push(spread(&basis.index(&[range, all])?, self.axis())?);
        }
        inputs.append(&mut of_basis);
        Ok((inputs, self.tasks(rows, whole(columns.longest())?, basis)?))
    }

    /// The axes of a matrix, and that of the columns of a basis.
    fn tasks(&self, rows: AxisGrid, columns: AxisGrid, basis: &Array) -> Result<ChunkGrid> {
        let [first, second] = if self.is_transposed { [columns, rows] } else { [rows, columns] };
        ChunkGrid::from_axes(vec![first, second, whole(width_of(basis))?])
    }
}

/// A matrix with an axis more at `axis`.
fn spread(matrix: &Array, axis: usize) -> Result<BlockInput> {
    Ok((&matrix.expand_dims(i64::try_from(axis).unwrap_or(0))?).into())
}

fn is_wide<T: Wide>(blocks: &[Block<'_>]) -> bool {
    blocks.iter().all(|block| block.dtype == T::DTYPE)
}

fn numbers_mut<T: Wide>(chunk: &mut Chunk) -> Result<&mut [T]> {
    chunk.elements_mut::<T>().ok_or_else(|| internal("products of another dtype"))
}

fn width_of(basis: &Array) -> u64 {
    basis.shape().get(1).copied().unwrap_or(0)
}

pub(super) fn whole(extent: u64) -> Result<AxisGrid> {
    AxisGrid::regular(extent, extent.max(1))
}
