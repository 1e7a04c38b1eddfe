//! Seams: components of single blocks joined where the blocks meet, by their records alone.
//!
//! Nodes are the components that reach a side of their block. Two elements that hang together in different blocks lie on the
//! sides of a seam, also across an edge or a corner. Invariant: a set of joined nodes is led by the one whose component starts
//! first in C order of the array. Called by the one task that sees all records.

use super::records::{Own, Records, cross};
use crate::error::{Error, Result};
use crate::grid::AxisGrid;
use blockwise_kernels::filter::{Connection, leader};

/// Bytes held for each node: its number in its block, and its parent.
const NODE_BYTES: u64 = 8;
/// Bytes held for each block at most: its place and parts.
const BLOCK_BYTES: u64 = 1024;

/// The joined components of all blocks.
pub(super) struct Seams<'a> {
    pub(super) records: &'a Records,
    pub(super) blocks: Vec<Own>,
    pub(super) told: &'a [u32],
    /// The numbers of nodes in their blocks, block by block, ascending.
    pub(super) numbers: Vec<u32>,
    parents: Vec<u32>,
    /// The first node of every block.
    firsts: Vec<usize>,
}

/// Bytes that joining takes beside the records and what becomes of them.
pub(super) fn scratch_bytes(records: &Records, connection: &Connection) -> u64 {
    // The numbers of one block's sides are sorted.
    let own_bytes = 4 * records.len as u64;
    let nodes_bytes = most_nodes(records, connection).saturating_mul(NODE_BYTES);
    let block_bytes = nodes_bytes.saturating_add(BLOCK_BYTES);
    records.tasks.chunk_count().saturating_mul(block_bytes).saturating_add(own_bytes)
}

/// Nodes that a block may have: where neighbours along an axis of a side hang together, every other element at most.
fn most_nodes(records: &Records, connection: &Connection) -> u64 {
    let extent = records.tasks.largest_chunk();
    let leads_along = |axis: usize| {
        let is_along = |step: &Vec<i64>| step.iter().enumerate().all(|(n, step)| (*step != 0) == (n == axis));
        connection.steps().iter().any(is_along)
    };
    let of_side = |(axis, _): (usize, &bool)| {
        let others = || extent.iter().enumerate().filter(move |(other, _)| *other != axis);
        let cells = others().fold(1_u64, |cells, (_, length)| cells.saturating_mul(*length));
        let lines = others().filter(|(other, _)| leads_along(*other));
        lines.map(|(_, length)| cells / length * length.div_ceil(2)).min().unwrap_or(cells)
    };
    records.seams.iter().enumerate().filter(|(_, told)| **told).map(|side| 2 * of_side(side)).sum()
}

impl<'a> Seams<'a> {
    /// Joins what the records `told` tell; in `cells`, as long as these, stands the node of each element on a side then, from 1
    /// on.
    pub(super) fn joined(
        records: &'a Records,
        connection: &Connection,
        told: &'a [u32],
        cells: &mut [u32],
    ) -> Result<Self> {
        let wrong = || Error::Internal { message: "records of another length".to_owned() };
        if told.len() as u64 != records.total() || told.len() != cells.len() {
            return Err(wrong());
        }
        let (numbers, firsts) = (Vec::new(), Vec::new());
        let mut seams = Self { records, blocks: records.all()?, told, numbers, parents: Vec::new(), firsts };
        seams.find_nodes(cells);
        for block in 0..seams.blocks.len() {
            for axis in 0..seams.records.tasks.rank() {
                seams.join_behind(block, axis, connection, cells)?;
            }
        }
        Ok(seams)
    }

    fn find_nodes(&mut self, cells: &mut [u32]) {
        cells.fill(0);
        let sides = |own: &Own| own.sides.iter().flatten().cloned().collect::<Vec<_>>();
        let is_there = |cell: &&u32| **cell != 0;
        let mut own_numbers: Vec<u32> = Vec::with_capacity(self.records.len);
        let find = |own: &Own, own_numbers: &mut Vec<u32>| {
            own_numbers.clear();
            for part in sides(own) {
                own_numbers.extend(self.told[part].iter().filter(is_there));
            }
            own_numbers.sort_unstable();
            own_numbers.dedup();
        };
        // Counted first, so that no more is held than there are.
        let mut count = 0;
        for own in &self.blocks {
            find(own, &mut own_numbers);
            count += own_numbers.len();
        }
        self.numbers = Vec::with_capacity(count);
        for own in &self.blocks {
            find(own, &mut own_numbers);
            let first = self.numbers.len();
            for part in sides(own) {
                for (cell, number) in cells[part.clone()].iter_mut().zip(&self.told[part]) {
                    if let Ok(at) = own_numbers.binary_search(number) {
                        *cell = (first + at + 1) as u32;
                    }
                }
            }
            self.firsts.push(first);
            self.numbers.extend_from_slice(&own_numbers);
        }
        self.parents = (0..self.numbers.len() as u32).collect();
    }

    /// Joins a block with what lies behind it along an axis.
    fn join_behind(
        &mut self,
        block: usize,
        axis: usize,
        connection: &Connection,
        cells: &[u32],
    ) -> Result<()> {
        let own = &self.blocks[block];
        let cuts = &self.records.tasks.axes()[axis];
        let mut next = own.index.clone();
        next[axis] += 1;
        if next[axis] >= cuts.count() {
            return Ok(());
        }
        let (behind, lengths) = (own.sides[axis][1].clone(), cross(&own.extent, axis));
        let ahead = self.blocks[self.records.tasks.linear(&next) as usize].sides[axis][0].start;
        for step in connection.steps().iter().filter(|step| step.get(axis) == Some(&1)) {
            let mut step = step.clone();
            step.remove(axis);
            let mut place = vec![0_usize; lengths.len()];
            for at in behind.clone() {
                if cells[at] != 0 {
                    let inside =
                        place.iter().zip(&step).zip(&lengths).try_fold(0, |flat, ((at, step), length)| {
                            let to = at.checked_add_signed(*step as isize).filter(|to| to < length)?;
                            Some(flat * length + to)
                        });
                    let met = match inside {
                        Some(flat) => Some(ahead + flat),
                        None => self.beside(block, axis, &place, &step)?,
                    };
                    if let Some(other) = met.map(|met| cells[met]).filter(|other| *other != 0) {
                        self.join(cells[at] - 1, other - 1);
                    }
                }
                for (at, length) in place.iter_mut().zip(&lengths).rev() {
                    *at += 1;
                    if *at < *length {
                        break;
                    }
                    *at = 0;
                }
            }
        }
        Ok(())
    }

    /// Where the element a step from `place` behind a block along an axis is told, if the step leads aside of the next block
    /// too.
    fn beside(&self, block: usize, axis: usize, place: &[usize], step: &[i64]) -> Result<Option<usize>> {
        let own = &self.blocks[block];
        let (mut index, mut to) = (own.index.clone(), Vec::with_capacity(place.len()));
        index[axis] += 1;
        let others = (0..own.index.len()).filter(|other| *other != axis);
        for ((other, at), step) in others.zip(place).zip(step) {
            let cuts = &self.records.tasks.axes()[other];
            let moved = at.checked_add_signed(*step as isize);
            to.push(match moved.filter(|to| *to < own.extent[other]) {
                Some(to) => to,
                None if *step > 0 && index[other] + 1 < cuts.count() => {
                    index[other] += 1;
                    0
                }
                None if *step < 0 && index[other] > 0 => {
                    index[other] -= 1;
                    (cuts.length(index[other]) - 1) as usize
                }
                None => return Ok(None),
            });
        }
        let met = &self.blocks[self.records.tasks.linear(&index) as usize];
        let lengths = cross(&met.extent, axis);
        let flat = to.iter().zip(&lengths).fold(0, |flat, (at, length)| flat * length + at);
        Ok(Some(met.sides[axis][0].start + flat))
    }

    /// Makes two sets of nodes one.
    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (leader(&mut self.parents, a), leader(&mut self.parents, b));
        if a != b {
            let (first, last) = if self.start(a) <= self.start(b) { (a, b) } else { (b, a) };
            self.parents[last as usize] = first;
        }
    }

    /// The node that leads the set of `node`.
    pub(super) fn leader(&mut self, node: u32) -> u32 {
        leader(&mut self.parents, node)
    }

    /// The nodes of a block.
    pub(super) fn nodes_of(&self, block: usize) -> std::ops::Range<usize> {
        let end = self.firsts.get(block + 1).copied().unwrap_or(self.numbers.len());
        self.firsts[block]..end
    }

    /// Replaces each node in `cells` by what `of` makes of the number that its leader has.
    pub(super) fn replace(&mut self, cells: &mut [u32], of: impl Fn(u32) -> u32) {
        for block in 0..self.blocks.len() {
            for part in self.blocks[block].sides.clone().into_iter().flatten() {
                for cell in cells[part].iter_mut().filter(|cell| **cell != 0) {
                    let leader = self.leader(*cell - 1);
                    *cell = of(self.numbers[leader as usize]);
                }
            }
        }
    }

    /// What orders nodes by where their components start in C order of the array.
    fn start(&self, node: u32) -> (u64, u32) {
        let block = self.firsts.partition_point(|first| *first <= node as usize) - 1;
        let number = self.numbers[node as usize];
        (self.segment(block, self.row_of(block, number)), number)
    }

    /// The row of a block in which a component starts; 0 if rows are not told.
    pub(super) fn row_of(&self, block: usize, number: u32) -> usize {
        self.told[self.blocks[block].rows.clone()].partition_point(|started| *started < number)
    }

    /// The number of the part of a row that a block has, among those of all rows in C order.
    fn segment(&self, block: usize, row: usize) -> u64 {
        let (own, tasks) = (&self.blocks[block], &self.records.tasks);
        let leading = own.extent.len().saturating_sub(1);
        let (mut rest, mut flat, mut stride) = (row, 0, 1);
        for axis in (0..leading).rev() {
            flat += (own.origin[axis] + rest % own.extent[axis]) as u64 * stride;
            rest /= own.extent[axis];
            stride *= tasks.axes()[axis].extent();
        }
        let along = tasks.axes().last().map_or(1, AxisGrid::count);
        flat * along + own.index.last().copied().unwrap_or(0)
    }
}
