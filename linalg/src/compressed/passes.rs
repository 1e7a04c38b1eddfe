//! Passes over a matrix: its products with a narrow basis, strip by strip.
//!
//! A strip holds the short side of the matrix whole. Products are taken in the matrix's own numbers, slab by slab of a strip
//! so that its elements are still in the cache for the second one, and added up in wide numbers. Invariants: every chunk is read
//! once in a pass, whatever the width of the basis; results depend on the matrix's grid alone. Called by [`super`].

use crate::dense::Cpu;
use crate::qr::{Strip, Wide, cuts, internal};
use blockwise_core::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op};
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Rows of a strip that are taken at a time.
const SLAB: usize = 64;
/// Products that are added up in narrow numbers.
const RUN: usize = 1024;

/// A matrix seen so that it has more rows than columns: itself or its transpose, which is never made.
#[derive(Clone)]
pub(super) struct Long {
    pub(super) matrix: Array,
    /// Whether its columns are the rows meant here.
    pub(super) is_transposed: bool,
    pub(super) columns: u64,
    strips: AxisGrid,
    width: u64,
}

/// What a task computes with.
#[derive(Clone, Copy)]
struct Shape {
    is_transposed: bool,
    columns: usize,
    width: usize,
}

impl Long {
    /// The matrix, or its transpose, for products with `width` columns.
    pub(super) fn new(matrix: &Array, width: u64) -> Result<Self> {
        let [rows, columns] = matrix.shape()[..] else {
            return Err(Error::Rank { expected: 2, found: matrix.rank() });
        };
        let is_transposed = columns > rows;
        let columns = rows.min(columns);
        let axes = matrix.grid().axes();
        let long = axes.get(usize::from(is_transposed)).ok_or_else(|| internal("no long side"))?;
        let strips = cuts::strips(long, columns, width, matrix.dtype().size() as u64)?;
        Ok(Self { matrix: matrix.clone(), is_transposed, columns, strips, width })
    }

    /// `Aᴴ A basis`, of shape `(columns, width)`, in one pass.
    pub(super) fn square_times<T: Wide>(&self, basis: &Array) -> Result<Array> {
        let shape = self.shape()?;
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, basis], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let basis = basis.elements::<T>().ok_or_else(|| internal("a basis of another dtype"))?;
            let sums = out.elements_mut::<T>().ok_or_else(|| internal("sums of another dtype"))?;
            sums.fill(T::zero());
            if let Some(own) = block.elements::<T>() {
                square_product::<T, T>(shape, info, own, basis, sums)
            } else if let Some(own) = block.elements::<T::Narrow>() {
                square_product::<T, T::Narrow>(shape, info, own, basis, sums)
            } else {
                Err(internal("a strip of another dtype"))
            }
        };
        let count = self.strips.count();
        let sums = ChunkGrid::regular(&[count, self.columns, self.width], &[1, self.columns, self.width])?;
        let made = self.pass::<T>("AᴴA times a basis", basis, &[(T::DTYPE, sums)], 2, run)?;
        let sums = made.into_iter().next().ok_or_else(|| internal("no sums"))?;
        sums.sum(0)
    }

    /// `A basis`, of shape `(rows, width)`, and the sum of the squares of the matrix's elements, of shape `()`, in one pass.
    pub(super) fn times<T: Wide>(&self, basis: &Array) -> Result<(Array, Array)> {
        let shape = self.shape()?;
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, basis], [out, squares]) = (blocks(inputs)?, chunks(outputs)?);
            let basis = basis.elements::<T>().ok_or_else(|| internal("a basis of another dtype"))?;
            let product = out.elements_mut::<T>().ok_or_else(|| internal("products of another dtype"))?;
            let sum = if let Some(own) = block.elements::<T>() {
                product_with::<T, T>(shape, info, own, basis, product)?
            } else if let Some(own) = block.elements::<T::Narrow>() {
                product_with::<T, T::Narrow>(shape, info, own, basis, product)?
            } else {
                return Err(internal("a strip of another dtype"));
            };
            squares.view_mut::<f64>()?.fill(sum);
            Ok(())
        };
        let product = ChunkGrid::from_axes(vec![self.strips.clone(), whole(self.width)?])?;
        let squares = ChunkGrid::regular(&[self.strips.count(), 1], &[1, 1])?;
        let outputs = [(T::DTYPE, product), (DType::F64, squares)];
        let made = self.pass::<T>("A times a basis", basis, &outputs, 1, run)?;
        let [product, squares] = <[Array; 2]>::try_from(made).map_err(|_| internal("no product"))?;
        Ok((product, squares.sum(..)?))
    }

    fn shape(&self) -> Result<Shape> {
        let small = |n: u64| usize::try_from(n).map_err(|_| internal("a side that no memory holds"));
        let (columns, width) = (small(self.columns)?, small(self.width)?);
        Ok(Shape { is_transposed: self.is_transposed, columns, width })
    }

    /// The arrays that `run` makes of strips and the basis; `wide`: how many products as large as the basis it holds.
    fn pass<T: Wide>(
        &self,
        name: &str,
        basis: &Array,
        outputs: &[(DType, ChunkGrid)],
        wide: u64,
        run: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<Array>> {
        let basis_bytes = self.columns.saturating_mul(self.width).saturating_mul(size_of::<T>() as u64);
        let scratch = basis_bytes
            .saturating_mul(wide)
            .saturating_add(
                (SLAB as u64).saturating_mul(self.width).saturating_mul(4 * size_of::<T>() as u64),
            )
            .saturating_add(Dense::<T>::scratch_bytes(&Cpu, Leaf::Gemm, self.columns, self.width));
        let (short, axis) = (whole(self.columns)?, usize::from(self.is_transposed));
        let sides =
            if self.is_transposed { [short, self.strips.clone()] } else { [self.strips.clone(), short] };
        let tasks = ChunkGrid::from_axes(sides.into_iter().chain([whole(self.width)?]).collect())?;
        let basis = basis.expand_dims(axis as i64)?;
        let rank = outputs.first().map_or(0, |(_, grid)| grid.rank());
        let axes = (0..rank).map(|at| (at == 0).then_some(axis)).collect();
        Array::from_blocks(
            Arc::new(BlockClosure::new(name, scratch, run)),
            vec![(&self.matrix.expand_dims(2)?).into(), (&basis).into()],
            tasks,
            axes,
            outputs.to_vec(),
        )
    }
}

/// Adds `Aᴴ A basis` of a strip to `sums`.
fn square_product<T: Wide, E: Strip<T>>(
    shape: Shape,
    info: &BlockInfo<'_>,
    strip: &[E],
    basis: &[T],
    sums: &mut [T],
) -> Result<()> {
    let own: Vec<E> = basis.iter().map(|x| E::of_wide(*x)).collect();
    let mut own_sums = vec![E::zero(); sums.len()];
    let (n, width) = (shape.columns, shape.width);
    for_each_slab(shape, info, strip, &own, |slab, product, _| {
        let narrow: Vec<E> = product.iter().map(|x| E::of_wide(*x)).collect();
        let product = (Matrix::new(&narrow, product.len() / width.max(1), width)?, Op::Plain);
        let out = MatrixMut::new(&mut own_sums, n, width)?;
        let back = if shape.is_transposed { Op::Conjugate } else { Op::Adjoint };
        Cpu.gemm(out, Accumulate::Add, E::one(), (slab, back), product)
    })?;
    sums.iter_mut().zip(&own_sums).for_each(|(sum, more)| *sum += more.wide());
    Ok(())
}

/// Fills `product` with `A basis` of a strip; the sum of the squares of its elements.
fn product_with<T: Wide, E: Strip<T>>(
    shape: Shape,
    info: &BlockInfo<'_>,
    strip: &[E],
    basis: &[T],
    product: &mut [T],
) -> Result<f64> {
    let own: Vec<E> = basis.iter().map(|x| E::of_wide(*x)).collect();
    for_each_slab(shape, info, strip, &own, |_, part, rows| {
        let place = product.get_mut(rows.start * shape.width..rows.end * shape.width);
        place.ok_or_else(|| internal("more products than rows"))?.copy_from_slice(part);
        Ok(())
    })?;
    Ok(sum_of_squares(strip))
}

/// In lanes, which the compiler turns into vectors.
fn sum_of_squares<T: Wide, E: Strip<T>>(strip: &[E]) -> f64 {
    let mut lanes = [0.0; 16];
    let (groups, rest) = strip.as_chunks::<16>();
    for group in groups {
        lanes.iter_mut().zip(group).for_each(|(lane, x)| *lane += x.wide().abs_squared());
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|x| x.wide().abs_squared()).sum::<f64>()
}

/// Calls `each` with slabs of a strip, their products with the basis, and their rows.
fn for_each_slab<T: Wide, E: Strip<T>>(
    shape: Shape,
    info: &BlockInfo<'_>,
    strip: &[E],
    basis: &[E],
    mut each: impl FnMut(Matrix<'_, E>, &[T], Range<usize>) -> Result<()>,
) -> Result<()> {
    let Shape { is_transposed, columns: n, width } = shape;
    let rows = strip.len() / n.max(1);
    let whole = if is_transposed { Matrix::new(strip, n, rows)? } else { Matrix::new(strip, rows, n)? };
    let basis = Matrix::new(basis, n, width)?;
    let (mut part, mut product) = (Vec::new(), Vec::new());
    for start in (0..rows).step_by(SLAB) {
        let range = start..rows.min(start + SLAB);
        let count = range.len();
        part.resize(count * width, E::zero());
        product.clear();
        product.resize(count * width, T::zero());
        for run in (0..n).step_by(RUN) {
            let run = run..n.min(run + RUN);
            let (slab, op) = match is_transposed {
                true => (whole.part(run.clone(), range.clone())?, Op::Transpose),
                false => (whole.part(range.clone(), run.clone())?, Op::Plain),
            };
            let out = MatrixMut::new(&mut part, count, width)?;
            let basis = (basis.part(run, 0..width)?, Op::Plain);
            Cpu.gemm(out, Accumulate::Replace, E::one(), (slab, op), basis)?;
            product.iter_mut().zip(&part).for_each(|(sum, more)| *sum += more.wide());
        }
        if !product.iter().all(|x| x.parts().iter().all(|part| part.is_finite())) {
            return Err(not_finite(shape, info, strip, rows));
        }
        let slab =
            if is_transposed { whole.part(0..n, range.clone())? } else { whole.part(range.clone(), 0..n)? };
        each(slab, &product, range)?;
    }
    Ok(())
}

/// The error that names the first element that is not finite.
fn not_finite<T: Wide, E: Strip<T>>(shape: Shape, info: &BlockInfo<'_>, strip: &[E], rows: usize) -> Error {
    let at = strip.iter().position(|x| !x.wide().parts().iter().all(|part| part.is_finite()));
    let Some(at) = at else { return internal("a product overflows; scale the matrix") };
    let across = if shape.is_transposed { rows } else { shape.columns };
    let place = |axis: usize| info.region.origin().get(axis).copied().unwrap_or(0);
    Error::NotFinite { row: place(0) + (at / across) as u64, column: place(1) + (at % across) as u64 }
}

pub(super) fn whole(extent: u64) -> Result<AxisGrid> {
    AxisGrid::regular(extent, extent.max(1))
}
