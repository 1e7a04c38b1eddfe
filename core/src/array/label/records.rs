//! Records: what the block of a task tells of the components that it holds, for all blocks to be joined.
//!
//! A record holds the numbers of components in the elements on both sides of the block across every axis that has seams, and, if
//! components are to be counted, how many of them started by the end of every row. What is joined holds for each block a slot for
//! every component that reaches such a side, in the order of numbers, and again one for each row. Invariant: records of all blocks
//! have one length, that of the largest, and so has what is joined. Called by labels and by what is made of them.

use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::{element_count, small};
use blockwise_kernels::filter::Connection;
use std::ops::Range;

/// Set in numbers of components that hang together with what lies beyond the array, where that is asked.
pub(super) const OUTSIDE: u32 = 1 << 31;

/// How the records of the blocks of an array are laid out.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) tasks: ChunkGrid,
    /// Whether elements on the sides across each axis are told.
    seams: Vec<bool>,
    has_rows: bool,
    /// Numbers of a record.
    pub(super) len: usize,
    /// Slots for components in what is joined, for each block.
    pub(super) slots: usize,
    /// Numbers of what is joined, for each block.
    pub(super) joined_len: usize,
}

/// A block: its place, and where the parts of its record are.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) index: Vec<u64>,
    pub(super) origin: Vec<usize>,
    pub(super) extent: Vec<usize>,
    /// Along every axis the elements on the side before and on the side behind, empty where nothing is told.
    pub(super) sides: Vec<[Range<usize>; 2]>,
    pub(super) rows: Range<usize>,
}

impl Records {
    /// Records of blocks, which meet across the axes that are cut.
    ///
    /// # Errors
    /// If a block has 2^31 elements or more, or all records would have 2^32 numbers.
    pub(super) fn new(tasks: ChunkGrid, connection: &Connection, has_rows: bool) -> Result<Self> {
        let (block, seams) = (tasks.largest_chunk(), tasks.counts().iter().map(|count| *count > 1).collect());
        if element_count(&block).is_none_or(|elements| elements >= u64::from(OUTSIDE)) {
            return Err(Error::TooLarge { what: "block to label", shape: block });
        }
        let mut records = Self { tasks, seams, has_rows, len: 0, slots: 0, joined_len: 0 };
        let block = small(&block)?;
        let (sides, rows) = records.parts(0, &block);
        records.len = sides.last().map_or(0, |[_, behind]| behind.end).max(rows.end).max(1);
        records.slots = records.most_on_sides(&block, connection);
        records.joined_len = (records.slots + rows.len()).max(1);
        match u32::try_from(records.total()) {
            Ok(_) => Ok(records),
            Err(_) => Err(Error::Usage {
                message: format!(
                    "blocks of {:?} of an array of {:?} have too many elements where they meet; rechunk to larger or less flat ones",
                    records.tasks.largest_chunk(),
                    records.tasks.shape()
                ),
            }),
        }
    }

    /// Records of the same array in other blocks.
    ///
    /// # Errors
    /// As [`Records::new`].
    pub(super) fn in_blocks(&self, tasks: ChunkGrid, connection: &Connection) -> Result<Self> {
        Self::new(tasks, connection, self.has_rows)
    }

    /// Numbers of all records.
    pub(super) fn total(&self) -> u64 {
        self.tasks.chunk_count().saturating_mul(self.len as u64)
    }

    /// Components that may reach sides of a block: where neighbours along an axis of a side hang together, every other element at
    /// most.
    fn most_on_sides(&self, extent: &[usize], connection: &Connection) -> usize {
        let leads_along = |axis: usize| {
            let is_along =
                |step: &Vec<i64>| step.iter().enumerate().all(|(n, step)| (*step != 0) == (n == axis));
            connection.steps().iter().any(is_along)
        };
        let of_side = |axis: usize| {
            let cells: usize = cross(extent, axis).iter().product();
            let others = (0..extent.len()).filter(|other| *other != axis && leads_along(*other));
            let on_lines = others.map(|other| cells / extent[other].max(1) * extent[other].div_ceil(2));
            on_lines.min().unwrap_or(cells)
        };
        (0..extent.len()).filter(|axis| self.seams[*axis]).map(|axis| 2 * of_side(axis)).sum()
    }

    /// Numbers of what is joined of all blocks; no more than of their records.
    pub(super) fn joined_total(&self) -> u64 {
        self.tasks.chunk_count().saturating_mul(self.joined_len as u64)
    }

    /// The block of an index, with the parts of a record that starts at `start`.
    pub(super) fn own(&self, index: &[u64], start: usize) -> Result<Own> {
        let region = self.tasks.region(index)?;
        let (origin, extent) = (small(region.origin())?, small(region.shape())?);
        let (sides, rows) = self.parts(start, &extent);
        Ok(Own { index: index.to_vec(), origin, extent, sides, rows })
    }

    /// All blocks, with their places in the records of all.
    pub(super) fn all(&self) -> Result<Vec<Own>> {
        self.tasks.indices().enumerate().map(|(n, index)| self.own(&index, n * self.len)).collect()
    }

    fn parts(&self, start: usize, extent: &[usize]) -> (Vec<[Range<usize>; 2]>, Range<usize>) {
        let mut at = start;
        let mut next = |len: usize| {
            at += len;
            at - len..at
        };
        let sides = extent.iter().enumerate().zip(&self.seams).map(|((axis, _), told)| {
            let len = if *told { cross(extent, axis).iter().product() } else { 0 };
            [next(len), next(len)]
        });
        let sides = sides.collect();
        let rows = extent.iter().rev().skip(1).product();
        (sides, next(if self.has_rows { rows } else { 0 }))
    }

    /// Marks the numbers of the components of a block that reach a side of the array across an axis of `open`.
    pub(super) fn mark_outside(&self, own: &Own, open: &[bool], numbers: &mut [u32]) {
        let most = numbers.iter().fold(0, |most, number| most.max(*number));
        let mut is_outside = vec![false; most as usize + 1];
        for (axis, cuts) in self.tasks.axes().iter().enumerate().filter(|(axis, _)| open[*axis]) {
            let (at, last) = (own.index[axis], own.extent[axis].saturating_sub(1));
            let sides = [(at == 0).then_some(0), (at + 1 == cuts.count()).then_some(last)];
            for position in sides.into_iter().flatten() {
                side(&own.extent, axis, position).for_each(|at| is_outside[numbers[at] as usize] = true);
            }
        }
        for number in numbers.iter_mut().filter(|number| **number != 0 && is_outside[**number as usize]) {
            *number |= OUTSIDE;
        }
    }

    /// Writes what the numbers of a block, in the order of first elements, tell.
    pub(super) fn tell(&self, own: &Own, numbers: &[u32], record: &mut [u32]) {
        record.fill(0);
        for (axis, [before, behind]) in own.sides.iter().enumerate() {
            let last = own.extent.get(axis).map_or(0, |length| length.saturating_sub(1));
            for (part, position) in [(before, 0), (behind, last)] {
                let part = record.get_mut(part.clone()).unwrap_or_default();
                for (told, at) in part.iter_mut().zip(side(&own.extent, axis, position)) {
                    *told = numbers.get(at).copied().unwrap_or(0);
                }
            }
        }
        let rows = record.get_mut(own.rows.clone()).unwrap_or_default();
        let length = own.extent.last().copied().unwrap_or(1).max(1);
        let mut most = 0;
        for (told, row) in rows.iter_mut().zip(numbers.chunks_exact(length)) {
            most = row.iter().fold(most, |most, number| most.max(*number));
            *told = most;
        }
    }
}

/// The lengths of a block across an axis.
pub(super) fn cross(extent: &[usize], axis: usize) -> Vec<usize> {
    extent.iter().enumerate().filter(|(other, _)| *other != axis).map(|(_, length)| *length).collect()
}

/// The elements of a block at a position along an axis, in C order of the others.
pub(super) fn side(extent: &[usize], axis: usize, position: usize) -> impl Iterator<Item = usize> + use<> {
    let inner: usize = extent.iter().skip(axis + 1).product();
    let outer: usize = extent.iter().take(axis).product();
    let length = extent.get(axis).copied().unwrap_or(1);
    (0..outer).flat_map(move |outer| {
        let first = (outer * length + position) * inner;
        first..first + inner
    })
}

/// The numbers other than zero in some parts, ascending, each once.
pub(super) fn distinct<'a>(parts: impl Iterator<Item = &'a u32>, found: &mut Vec<u32>) {
    found.clear();
    found.extend(parts.filter(|number| **number != 0));
    found.sort_unstable();
    found.dedup();
}
