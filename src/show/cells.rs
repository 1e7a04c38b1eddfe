//! Planes of any size averaged down to the cells that a picture has room for, while they are read.
//!
//! Invariants: every element is read once; a cell is the mean of the numbers in a box of elements, NaN where there are
//! none, and has the same bits whatever the threads. Called by [`super`].

use crate::error::Result;
use blockwise_core::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, AxisGrid, Chunk, ChunkGrid, DType, Error, Source};
use std::sync::Arc;

/// Elements that a task averages, unless a cell has more.
const TASK_ELEMENTS: u64 = 1 << 20;

/// Elements of a cell along an axis that is drawn as at most `most` cells.
pub(super) fn factor(extent: u64, most: u64) -> u64 {
    extent.div_ceil(most.max(1)).max(1)
}

/// Rows and columns of what is held.
pub(super) fn shape(held: &MemoryArray) -> [usize; 2] {
    let shape = held.grid().shape();
    [0, 1].map(|axis| shape.get(axis).and_then(|extent| usize::try_from(*extent).ok()).unwrap_or(0))
}

/// The means of boxes of elements of a plane, as few as are needed for at most so many rows and columns, in `float64`.
pub(super) fn averaged(plane: &Array, most: [u64; 2]) -> Result<Array> {
    let wide = plane.astype(DType::F64);
    let [rows, columns] = plane.shape()[..] else {
        return Err(Error::Rank { expected: 2, found: plane.rank() }.into());
    };
    let [down, across] = [factor(rows, most[0]), factor(columns, most[1])];
    if down == 1 && across == 1 {
        return Ok(wide);
    }
    // Tasks follow the chunks as far as whole cells do.
    let longest = |axis: usize| plane.grid().axes().get(axis).map_or(1, AxisGrid::longest);
    let whole = |length: u64, factor: u64| (length / factor).max(1) * factor;
    let task_columns = whole(longest(1).min(TASK_ELEMENTS / down), across);
    let task_rows = whole(longest(0).min(TASK_ELEMENTS / task_columns.max(1)), down);
    let tasks = ChunkGrid::regular(&[rows, columns], &[task_rows, task_columns])?;
    let shape = [rows.div_ceil(down), columns.div_ceil(across)];
    let cells = ChunkGrid::regular(&shape, &[task_rows / down, task_columns / across])?;
    let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let factors = [small(down), small(across)];
    let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
        let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let width = info.region.shape().get(1).map_or(1, |width| small(*width)).max(1);
        let (elements, cells) = block.elements::<f64>().zip(out.elements_mut::<f64>()).ok_or_else(other)?;
        let per_row = width.div_ceil(factors[1]);
        for (cells, lines) in cells.chunks_mut(per_row).zip(elements.chunks(width * factors[0])) {
            average(lines, width, factors[1], cells);
        }
        Ok(())
    };
    // Sums of a row of cells.
    let scratch = task_columns.saturating_mul(16);
    let made = Array::from_blocks(
        Arc::new(BlockClosure::new("averages for pixels", scratch, run)),
        vec![(&wide).into()],
        tasks,
        vec![Some(0), Some(1)],
        vec![(DType::F64, cells)],
    )?;
    Ok(made.into_iter().next().ok_or_else(other)?)
}

/// Fills cells with the means of the numbers in boxes of `across` elements of each line.
fn average(lines: &[f64], width: usize, across: usize, cells: &mut [f64]) {
    let mut sums = vec![(0.0, 0_u32); cells.len()];
    for line in lines.chunks(width) {
        for ((sum, count), some) in sums.iter_mut().zip(line.chunks(across)) {
            for x in some.iter().filter(|x| !x.is_nan()) {
                *sum += x;
                *count += 1;
            }
        }
    }
    for (cell, (sum, count)) in cells.iter_mut().zip(sums) {
        *cell = if count > 0 { sum / f64::from(count) } else { f64::NAN };
    }
}

fn other() -> Error {
    Error::Internal { message: "cells of another dtype".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::Session;

    #[test]
    fn cells_are_means_of_what_is_there() {
        let x = |at: &[u64]| if at[0] < 3 && at[1] < 4 { f64::NAN } else { (at[0] * 100 + at[1]) as f64 };
        for chunks in [[50, 31], [7, 4], [1, 31], [50, 1]] {
            let plane = Array::from_fn(&[50, 31], x).unwrap().rechunk(chunks).unwrap();
            let cells = averaged(&plane, [17, 8]).unwrap();
            assert_eq!(cells.shape(), [17, 8]);
            let found = Session::default().compute::<f64>(&cells).unwrap();
            for ((row, column), cell) in found.indexed_iter().map(|(at, cell)| ((at[0], at[1]), cell)) {
                let all = (3 * row..50.min(3 * row + 3)).flat_map(|i| {
                    (4 * column..31.min(4 * column + 4)).map(move |j| x(&[i as u64, j as u64]))
                });
                let known: Vec<f64> = all.filter(|x| !x.is_nan()).collect();
                let mean = known.iter().sum::<f64>() / known.len() as f64;
                assert!((cell - mean).abs() < 1e-9 || (known.is_empty() && cell.is_nan()), "{row} {column}");
            }
        }
        let small = Array::zeros(&[5, 4], DType::I32).unwrap();
        assert_eq!(averaged(&small, [5, 9]).unwrap().shape(), [5, 4]);
    }
}
