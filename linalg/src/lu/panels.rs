//! The LU decomposition of a matrix larger than a block, panel of columns by panel of columns.
//!
//! Of each step the rows of `u` are made as soon as their pivots are known (the order of Crout), so that a panel is looked at
//! for pivots when all that comes before it has been taken off. Rows stay where they are in the matrix until the end; what is
//! exchanged are their numbers. Invariant: pivots and exchanges are those of LAPACK's `getrf`, the largest absolute value of
//! all rows that are left, the first of several. Called by [`super`].
//!
//! Workspace: a panel of [`PANEL`] columns (more where there would be over [`MAX_PANELS`]) seven times at most, as what is taken
//! off it, as factors, and with its rows together; or what a task of `matmul` holds, if that is more. Factors lie in memory or in
//! temporary files. Every step reads what of the matrix lies right of its panel, and the factors made so far.

use crate::dense::{Cpu, Field};
use crate::leaf::{self, LeafFunction, elements, elements_mut, part};
use crate::triangular::of_block;
use crate::{contract::one, matmul};
use blockwise_core::block::{Block, blocks, chunks};
use blockwise_core::dense::{Dense, Leaf, MatrixMut, Triangle};
use blockwise_core::{Array, AxisGrid, Chunk, ChunkGrid, DType, Error, Result};
use std::ops::Range;

/// Columns of a panel: only one task at a time looks for pivots, so it should be a small part of the work.
pub(super) const PANEL: u64 = 256;
/// Panels that a matrix is cut into, at most: each is a few stages of the plan.
const MAX_PANELS: u64 = 64;

/// A matrix of shape `(m, n)` as factors; `k = min(m, n)`.
pub(super) struct Factors {
    /// Lower triangular with ones on its diagonal, in the order of `rows`, of shape `(m, k)`.
    pub(super) lower: Array,
    /// Upper triangular, of shape `(k, n)`.
    pub(super) upper: Array,
    /// Which rows of the matrix the rows of `lower` are, as a column.
    pub(super) rows: Array,
}

/// Rows of `u`, from their diagonal on.
struct Step {
    /// Their first row, and that of the next.
    rows: Range<u64>,
    diagonal: Array,
    /// What is right of the diagonal, if anything is.
    right: Option<Array>,
}

impl Step {
    /// Columns of its rows right of its own.
    fn columns(&self, columns: Range<u64>) -> Result<Array> {
        let end = self.rows.end;
        let right = self.right.as_ref().ok_or_else(|| missing("columns right of a panel"))?;
        part(right, 0..end - self.rows.start, columns.start - end..columns.end - end)
    }
}

/// The factors of `a`, in panels of `panel` columns, or more where those are too many. With `is_solved` a pivot that is zero
/// is [`Error::Singular`] when it is met.
pub(super) fn in_panels(a: &Array, panel: u64, is_solved: bool) -> Result<Factors> {
    let [m, n] = a.shape()[..] else {
        return Err(Error::Rank { expected: 2, found: a.rank() });
    };
    let (k, dtype) = (m.min(n), a.dtype());
    let panel = panel.max(k.div_ceil(MAX_PANELS));
    let mut rows = Array::arange_i64(0, i64::try_from(m).unwrap_or(i64::MAX), 1)?.expand_dims(1)?;
    // Panels of the lower factor, their rows those of `a`.
    let mut lefts: Vec<Array> = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for start in (0..k).step_by(usize::try_from(panel).unwrap_or(usize::MAX)) {
        let end = (start + panel).min(k);
        let known = if lefts.is_empty() { None } else { Some(Array::concatenate(&lefts, 1)?) };
        let above = |columns: Range<u64>| -> Result<Array> {
            let parts = steps.iter().map(|step| step.columns(columns.clone()));
            Array::concatenate(&parts.collect::<Result<Vec<_>>>()?, 0)
        };
        let mut column = part(a, 0..m, start..end)?;
        if let Some(known) = &known {
            column = column.try_sub(matmul(known, &above(start..end)?)?)?;
        }
        let (left, diagonal, exchanged) = factor(&column, &rows, start, is_solved)?;
        rows = exchanged;
        let right = if end < n {
            let pivots = part(&rows, start..end, 0..1)?;
            let mut rest = taken(&part(a, 0..m, end..n)?, &pivots)?;
            if let Some(known) = &known {
                rest = rest.try_sub(matmul(&taken(known, &pivots)?, &above(end..n)?)?)?;
            }
            Some(of_block(&diagonal, &rest, Triangle::UnitLower)?)
        } else {
            None
        };
        lefts.push(left);
        steps.push(Step { rows: start..end, diagonal, right });
    }
    let lower = taken(&Array::concatenate(&lefts, 1)?, &rows)?;
    let made = steps.into_iter().map(|Step { rows, diagonal, right }| {
        let width = rows.end - rows.start;
        let mut parts = vec![diagonal.triu(0)?];
        if rows.start > 0 {
            parts.insert(0, Array::zeros(&[width, rows.start], dtype)?.rechunk([width, panel])?);
        }
        parts.extend(right);
        Array::concatenate(&parts, 1)
    });
    let upper = Array::concatenate(&made.collect::<Result<Vec<_>>>()?, 0)?;
    Ok(Factors { lower, upper, rows })
}

/// `x` with `p l u x = b` for a matrix of right-hand sides.
pub(super) fn solved(a: &Array, b: &Array, panel: u64) -> Result<Array> {
    let Factors { lower, upper, rows } = in_panels(a, panel, true)?;
    let y = crate::solve_triangular(&lower, &taken(b, &rows)?, true)?;
    crate::solve_triangular(&upper, &y, false)
}

fn missing(what: &str) -> Error {
    Error::Internal { message: format!("no {what}") }
}

/// The panel of the lower factor that `column`, of which all before column `start` was taken off, makes, its rows those of
/// the matrix; `l` and `u` of the rows of its pivots in one block; and the exchanged numbers of rows.
fn factor(column: &Array, rows: &Array, start: u64, is_solved: bool) -> Result<(Array, Array, Array)> {
    let [m, width] = column.shape()[..] else { return Err(missing("panel")) };
    let tasks = ChunkGrid::single(&[m, width])?;
    let outputs = vec![
        (column.dtype(), tasks.clone()),
        (column.dtype(), ChunkGrid::single(&[width, width])?),
        (DType::I64, ChunkGrid::single(&[m, 1])?),
    ];
    let factor = leaf::function(column.dtype(), Factor { start, rows: m, width, is_solved })?;
    let inputs = vec![column.into(), rows.into()];
    let made = Array::from_blocks(factor, inputs, tasks, vec![None, None], outputs)?;
    let made: Result<[Array; 3], _> = made.try_into();
    let [left, diagonal, exchanged] = made.map_err(|_| missing("factors of a panel"))?;
    Ok((left, diagonal, exchanged))
}

/// The rows of `a` that `rows`, a column, has the numbers of.
fn taken(a: &Array, rows: &Array) -> Result<Array> {
    let (&[m, _], &[count, _]) = (&a.shape()[..], &rows.shape()[..]) else { return Err(missing("rows")) };
    // All rows of a block are held to pick some.
    let room = (leaf::BLOCK_BYTES / 4 / a.dtype().size() as u64 / m.max(1)).max(1);
    let cuts = a.grid().axes().get(1).map(|cuts| cuts.resized(room));
    let cuts = cuts.ok_or_else(|| missing("columns"))??;
    let (whole, all) = (AxisGrid::regular(m, m.max(1))?, AxisGrid::regular(count, count.max(1))?);
    let tasks = ChunkGrid::from_axes(vec![all.clone(), whole, cuts.clone()])?;
    let inputs = vec![(&a.expand_dims(0)?).into(), (&rows.expand_dims(2)?).into()];
    let outputs = vec![(a.dtype(), ChunkGrid::from_axes(vec![all, cuts])?)];
    one(Array::from_blocks(leaf::function(a.dtype(), Take)?, inputs, tasks, vec![Some(0), Some(2)], outputs)?)
}

/// The position of an element's row among `count`.
fn place(row: i64, count: usize) -> Result<usize> {
    usize::try_from(row).ok().filter(|row| *row < count).ok_or_else(|| missing("such row"))
}

#[derive(Clone, Copy)]
struct Factor {
    /// The column of the whole matrix at which the panel begins.
    start: u64,
    rows: u64,
    width: u64,
    is_solved: bool,
}

impl LeafFunction for Factor {
    const NAME: &'static str = "LU decomposition of a panel";

    fn scratch_bytes<T: Field>(self) -> u64 {
        let own = Dense::<T>::scratch_bytes(&Cpu, Leaf::Lu, self.rows, self.width);
        // The rows that are left, together, and their numbers.
        let gathered = self.rows.saturating_mul(self.width.saturating_mul(size_of::<T>() as u64) + 8);
        own.saturating_add(gathered)
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([column, numbers], [left, diagonal, exchanged]) = (blocks(inputs)?, chunks(outputs)?);
        let (m, width) = (column.shape()?[0], column.shape()?[1]);
        let (column, left) = (elements::<T>(column)?, elements_mut::<T>(left)?);
        let numbers = numbers.elements::<i64>().ok_or_else(|| missing("row numbers"))?;
        let exchanged = exchanged.elements_mut::<i64>().ok_or_else(|| missing("row numbers"))?;
        exchanged.copy_from_slice(numbers);
        let done = place(self.start as i64, m)?;
        let mut rest = vec![T::zero(); (m - done) * width];
        for (to, row) in rest.chunks_exact_mut(width).zip(&numbers[done..]) {
            let row = place(*row, m)?;
            to.copy_from_slice(&column[row * width..(row + 1) * width]);
        }
        let mut order = vec![0; m - done];
        Cpu.lu(MatrixMut::new(&mut rest, m - done, width)?, &mut order)?;
        if self.is_solved
            && let Some(at) = (0..width).find(|at| rest[at * width + at].is_zero())
        {
            return Err(Error::Singular { column: self.start + at as u64 });
        }
        elements_mut::<T>(diagonal)?.copy_from_slice(&rest[..width * width]);
        left.fill(T::zero());
        for (at, (from, order)) in rest.chunks_exact(width).zip(&order).enumerate() {
            let row = numbers[done + order];
            exchanged[done + at] = row;
            let (row, below) = (place(row, m)?, at.min(width));
            let to = &mut left[row * width..(row + 1) * width];
            to[..below].copy_from_slice(&from[..below]);
            // Of a row that has its pivot here the next is 1; what `u` has of it lies in `diagonal`.
            to[below..].iter_mut().take(1).for_each(|one| *one = T::one());
        }
        Ok(())
    }
}

/// Rows by their numbers, for a block of columns.
#[derive(Clone, Copy)]
struct Take;

impl LeafFunction for Take {
    const NAME: &'static str = "rows in another order";

    fn scratch_bytes<T: Field>(self) -> u64 {
        0
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([a, rows], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let (m, width) = (a.shape()?[1], a.shape()?[2]);
        let (a, out) = (elements::<T>(a)?, elements_mut::<T>(out)?);
        let rows = rows.elements::<i64>().ok_or_else(|| missing("row numbers"))?;
        for (to, row) in out.chunks_exact_mut(width.max(1)).zip(rows) {
            let row = place(*row, m)?;
            to.copy_from_slice(&a[row * width..(row + 1) * width]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;
    use proptest::prelude::*;

    /// A matrix of numbers that look random, of which no two are alike: rounding decides on no pivot.
    fn matrix(shape: [u64; 2], chunk: [u64; 2], dtype: DType) -> Array {
        let element = |at: &[u64]| {
            let mixed = (at[0] * 64 + at[1] + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let part = |bits: u64| (bits & 0xffff) as f64 / 65536.0 - 0.5;
            Complex64::new(part(mixed >> 40), part(mixed >> 20))
        };
        let x = Array::from_fn(&shape, element).unwrap();
        let x = if dtype.kind() == 'c' { x } else { Array::call("real", [x.into()]).unwrap() };
        x.astype(dtype).rechunk(chunk).unwrap()
    }

    fn held(array: &Array) -> ndarray::ArrayD<Complex64> {
        array.astype(DType::C128).compute().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn panels_exchange_the_rows_that_a_whole_matrix_does(
            m in 1_u64..14, n in 1_u64..14, panel in 1_u64..6, chunk in (1_u64..6, 1_u64..6), kind in 0..4_usize,
        ) {
            let dtype = [DType::F32, DType::F64, DType::C64, DType::C128][kind];
            let a = matrix([m, n], [chunk.0, chunk.1], dtype);
            let k = m.min(n);
            let (both, rows) = super::super::factors(&a).unwrap();
            let found = in_panels(&a, panel, false).unwrap();
            prop_assert_eq!(found.rows.compute::<i64>().unwrap(), rows.compute::<i64>().unwrap());
            let ones = Array::eye(m, k, 0, dtype).unwrap();
            let lower = part(&both, 0..m, 0..k).unwrap().tril(-1).unwrap().try_add(ones).unwrap();
            let upper = part(&both, 0..k, 0..n).unwrap().triu(0).unwrap();
            let limit = if matches!(dtype, DType::F32 | DType::C64) { 1e-3 } else { 1e-11 };
            for (found, wanted) in [(&found.lower, &lower), (&found.upper, &upper)] {
                prop_assert_eq!((found.dtype(), found.shape()), (dtype, wanted.shape()));
                let (found, wanted) = (held(found), held(wanted));
                prop_assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).norm() < limit), "{found} {wanted}");
            }
        }
    }

    #[test]
    fn a_pivot_of_zero_is_told_with_its_column_where_it_matters() {
        let element =
            |at: &[u64]| if at[1] == 4 { 2.0 * at[0] as f64 } else { (at[0] * at[0] % (at[1] + 3)) as f64 };
        let a = Array::from_fn(&[6, 6], element).unwrap();
        let a = Array::concatenate(&[a.slice(1, ..5).unwrap(), a.slice(1, 4..5).unwrap()], 1).unwrap();
        let b = Array::ones(&[6, 1], DType::F64).unwrap();
        let error = solved(&a, &b, 2).unwrap().compute::<f64>().unwrap_err();
        assert!(error.to_string().contains("column 5"), "{error}");
        let found = in_panels(&a, 2, false).unwrap().upper.compute::<f64>().unwrap();
        assert_eq!(found[[5, 5]], 0.0);
    }
}
