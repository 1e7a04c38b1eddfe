//! [`Rows`]: some rows of a matrix, and their products with a narrow basis, in the matrix's own numbers, added up in wide ones.
//!
//! Rows may come in several blocks of columns, as they lie in chunks. They are taken slab by slab, so that their elements are still in
//! the cache for a second product. Invariants: sums depend on the blocks' shapes alone; a number that is not finite is an error
//! that names its place. Called by the tasks of [`super::passes`].

use crate::dense::Cpu;
use crate::qr::{Strip, Wide, internal};
use blockwise_core::block::Block;
use blockwise_core::dense::{Accumulate, Dense, Matrix, MatrixMut, Op};
use blockwise_core::{Error, Result};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows that are taken at a time.
pub(super) const SLAB: usize = 64;
/// Products that are added up in narrow numbers.
const RUN: usize = 1024;

/// What is added up over all rows.
#[derive(Clone, Copy)]
pub(super) enum Sums {
    /// `Aᴴ basis`, of a basis with these rows.
    Adjoint,
    /// `Aᴴ A basis`.
    Square,
}

/// Some rows of a matrix, or of its transpose where that has more.
pub(super) struct Rows<'a, T, E> {
    is_transposed: bool,
    /// Blocks of columns as they are stored, one after the other.
    blocks: Vec<Matrix<'a, E>>,
    rows: usize,
    columns: usize,
    /// Place of the first row and of the first column in the matrix.
    origin: [u64; 2],
    of_wide: PhantomData<T>,
}

impl<'a, T: Wide, E: Strip<T>> Rows<'a, T, E> {
    /// The rows that `blocks` hold, beside each other; their first axis is that of the rows or, where the matrix is transposed, of the
    /// columns, their second the other.
    pub(super) fn new(blocks: &[Block<'a>], is_transposed: bool) -> Result<Self> {
        let mut found = Self {
            is_transposed,
            blocks: Vec::with_capacity(blocks.len()),
            rows: 0,
            columns: 0,
            origin: [0, 0],
            of_wide: PhantomData,
        };
        let (rows_axis, columns_axis) = if is_transposed { (1, 0) } else { (0, 1) };
        for (number, block) in blocks.iter().enumerate() {
            let (shape, origin) = (block.shape()?, block.region.origin());
            let length = |axis: usize| shape.get(axis).copied().unwrap_or(1);
            let place = |axis: usize| origin.get(axis).copied().unwrap_or(0);
            let (rows, columns) = (length(rows_axis), length(columns_axis));
            let elements = block.elements::<E>().ok_or_else(|| internal("a block of another dtype"))?;
            found.blocks.push(match is_transposed {
                true => Matrix::new(elements, columns, rows)?,
                false => Matrix::new(elements, rows, columns)?,
            });
            if number == 0 {
                (found.rows, found.origin) = (rows, [place(rows_axis), place(columns_axis)]);
            } else if rows != found.rows {
                return Err(internal("blocks of different rows"));
            }
            found.columns += columns;
        }
        Ok(found)
    }

    /// Fills `sums` with what these rows add to them.
    pub(super) fn sums(&self, what: Sums, basis: &[Block<'_>], sums: &mut [T]) -> Result<()> {
        match what {
            Sums::Adjoint => self.adjoint_times(basis, sums),
            Sums::Square => self.square_times(basis, sums),
        }
    }

    fn adjoint_times(&self, basis: &[Block<'_>], sums: &mut [T]) -> Result<()> {
        let own = narrowed(basis)?;
        let width = own.len() / self.rows.max(1);
        let basis = Matrix::new(&own, self.rows, width)?;
        let mut own_sums = vec![E::zero(); sums.len()];
        sums.fill(T::zero());
        for start in (0..self.rows).step_by(RUN) {
            let range = start..self.rows.min(start + RUN);
            let part = (basis.part(range.clone(), 0..width)?, Op::Plain);
            self.add_adjoint_times(range, part, Accumulate::Replace, &mut own_sums)?;
            sums.iter_mut().zip(&own_sums).for_each(|(sum, more)| *sum += more.wide());
        }
        if are_finite(sums) { Ok(()) } else { Err(self.not_finite()) }
    }

    fn square_times(&self, basis: &[Block<'_>], sums: &mut [T]) -> Result<()> {
        let mut own_sums = vec![E::zero(); sums.len()];
        self.for_each_slab(basis, |range, product| {
            let narrow: Vec<E> = product.iter().map(|x| E::of_wide(*x)).collect();
            let product = Matrix::new(&narrow, range.len(), narrow.len() / range.len().max(1))?;
            self.add_adjoint_times(range, (product, Op::Plain), Accumulate::Add, &mut own_sums)
        })?;
        sums.iter_mut().zip(&own_sums).for_each(|(sum, more)| *sum = more.wide());
        Ok(())
    }

    /// Fills `product` with `A basis` of these rows; the sum of the squares of their elements.
    pub(super) fn times(&self, basis: &[Block<'_>], product: &mut [T]) -> Result<f64> {
        let (width, mut squares) = (product.len() / self.rows.max(1), 0.0);
        self.for_each_slab(basis, |range, part| {
            let place = product.get_mut(range.start * width..range.end * width);
            place.ok_or_else(|| internal("more products than rows"))?.copy_from_slice(part);
            for block in &self.blocks {
                let slab = self.slab(block, &range, 0..self.block_columns(block))?;
                squares += (0..slab.rows()).map(|row| sum_of_squares(slab.row(row))).sum::<f64>();
            }
            Ok(())
        })?;
        Ok(squares)
    }

    const fn block_columns(&self, block: &Matrix<'a, E>) -> usize {
        if self.is_transposed { block.rows() } else { block.columns() }
    }

    /// A part of a block, as it is stored.
    fn slab(
        &self,
        block: &Matrix<'a, E>,
        rows: &Range<usize>,
        columns: Range<usize>,
    ) -> Result<Matrix<'a, E>> {
        if self.is_transposed { block.part(columns, rows.clone()) } else { block.part(rows.clone(), columns) }
    }

    /// Adds to `sums`, or puts there, the adjoint of rows `range` times `factor`.
    fn add_adjoint_times(
        &self,
        range: Range<usize>,
        factor: (Matrix<'_, E>, Op),
        accumulate: Accumulate,
        sums: &mut [E],
    ) -> Result<()> {
        let (width, op) = (factor.0.columns(), if self.is_transposed { Op::Conjugate } else { Op::Adjoint });
        let mut rest = sums;
        for block in &self.blocks {
            let columns = self.block_columns(block);
            let Some((own, others)) = rest.split_at_mut_checked(columns * width) else {
                return Err(internal("more columns than sums"));
            };
            let out = MatrixMut::new(own, columns, width)?;
            Cpu.gemm(out, accumulate, E::one(), (self.slab(block, &range, 0..columns)?, op), factor)?;
            rest = others;
        }
        Ok(())
    }

    /// Calls `each` with ranges of rows and their products with the basis.
    fn for_each_slab(
        &self,
        basis: &[Block<'_>],
        mut each: impl FnMut(Range<usize>, &[T]) -> Result<()>,
    ) -> Result<()> {
        let own = narrowed(basis)?;
        let width = own.len() / self.columns.max(1);
        let basis = Matrix::new(&own, self.columns, width)?;
        let op = if self.is_transposed { Op::Transpose } else { Op::Plain };
        let (mut part, mut product) = (Vec::new(), Vec::new());
        for start in (0..self.rows).step_by(SLAB) {
            let range = start..self.rows.min(start + SLAB);
            part.resize(range.len() * width, E::zero());
            product.clear();
            product.resize(range.len() * width, T::zero());
            let mut first = 0;
            for block in &self.blocks {
                let columns = self.block_columns(block);
                for run in (0..columns).step_by(RUN) {
                    let run = run..columns.min(run + RUN);
                    let out = MatrixMut::new(&mut part, range.len(), width)?;
                    let of_run = basis.part(first + run.start..first + run.end, 0..width)?;
                    let slab = (self.slab(block, &range, run)?, op);
                    Cpu.gemm(out, Accumulate::Replace, E::one(), slab, (of_run, Op::Plain))?;
                    product.iter_mut().zip(&part).for_each(|(sum, more)| *sum += more.wide());
                }
                first += columns;
            }
            if !are_finite(&product) {
                return Err(self.not_finite());
            }
            each(range, &product)?;
        }
        Ok(())
    }

    /// The error that names the first element that is not finite.
    fn not_finite(&self) -> Error {
        let mut first = 0;
        for block in &self.blocks {
            for row in 0..block.rows() {
                let is_finite = |x: &E| x.wide().parts().iter().all(|part| part.is_finite());
                if let Some(at) = block.row(row).iter().position(|x| !is_finite(x)) {
                    let ((row, column), (from_row, from_column)) = match self.is_transposed {
                        true => ((first + row, at), (self.origin[1], self.origin[0])),
                        false => ((row, first + at), (self.origin[0], self.origin[1])),
                    };
                    return Error::NotFinite {
                        row: from_row + row as u64,
                        column: from_column + column as u64,
                    };
                }
            }
            first += self.block_columns(block);
        }
        internal("a product overflows; scale the matrix")
    }
}

/// The numbers of a basis, which comes in blocks of rows, as the matrix has them.
fn narrowed<T: Wide, E: Strip<T>>(basis: &[Block<'_>]) -> Result<Vec<E>> {
    let mut own = Vec::new();
    for block in basis {
        let numbers = block.elements::<T>().ok_or_else(|| internal("a basis of another dtype"))?;
        own.extend(numbers.iter().map(|x| E::of_wide(*x)));
    }
    Ok(own)
}

/// Whether no number is NaN or infinite.
fn are_finite<T: Wide>(numbers: &[T]) -> bool {
    numbers.iter().all(|x| x.parts().iter().all(|part| part.is_finite()))
}

/// In lanes, which the compiler turns into vectors.
fn sum_of_squares<T: Wide, E: Strip<T>>(row: &[E]) -> f64 {
    let mut lanes = [0.0; 16];
    let (groups, rest) = row.as_chunks::<16>();
    for group in groups {
        lanes.iter_mut().zip(group).for_each(|(lane, x)| *lane += x.wide().abs_squared());
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|x| x.wide().abs_squared()).sum::<f64>()
}
