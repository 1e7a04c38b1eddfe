//! Seams: components of single blocks joined where the blocks meet, by their records alone.
//!
//! Nodes are the components that reach a side of their block. Two elements that hang together in different blocks lie on the
//! sides of a seam, also across an edge or a corner. Invariant: a set of joined nodes is led by the one whose component starts
//! first in C order of the array. Called by the one task that sees all records.

use super::records::{Own, Records, cross, distinct};
use crate::error::{Error, Result};
use crate::grid::AxisGrid;
use blockwise_kernels::filter::{Connection, leader};
use std::ops::Range;

/// Bytes held for each block at most: its place and parts.
const BLOCK_BYTES: u64 = 1024;

/// The joined components of all blocks. A node is the place of its slot among those of all blocks.
pub(super) struct Seams<'a> {
    pub(super) records: &'a Records,
    pub(super) blocks: Vec<Own>,
    pub(super) told: &'a [u32],
    /// What becomes of the slots: first the numbers of nodes in their blocks, ascending.
    pub(super) joined: &'a mut [u32],
    parents: Vec<u32>,
    /// Nodes of every block.
    counts: Vec<usize>,
}

/// Bytes that joining takes beside the records and what becomes of them.
pub(super) fn scratch_bytes(records: &Records) -> u64 {
    // A parent for each slot; and the numbers of one block's sides are sorted.
    let parents_bytes = 4 * records.joined_total();
    let own_bytes = 4 * records.len as u64;
    let blocks_bytes = records.tasks.chunk_count().saturating_mul(BLOCK_BYTES);
    parents_bytes.saturating_add(own_bytes).saturating_add(blocks_bytes)
}

/// The last node that was looked up.
#[derive(Clone, Copy, Default)]
struct Known {
    block: usize,
    number: u32,
    node: u32,
}

impl<'a> Seams<'a> {
    /// Joins what the records `told` tell.
    pub(super) fn joined(
        records: &'a Records,
        connection: &Connection,
        told: &'a [u32],
        joined: &'a mut [u32],
    ) -> Result<Self> {
        let wrong = || Error::Internal { message: "records of another length".to_owned() };
        if told.len() as u64 != records.total() || joined.len() as u64 != records.joined_total() {
            return Err(wrong());
        }
        let (blocks, parents) = (records.all()?, (0..joined.len() as u32).collect());
        let mut seams = Self { records, blocks, told, joined, parents, counts: Vec::new() };
        seams.joined.fill(0);
        let mut numbers: Vec<u32> = Vec::with_capacity(records.len);
        for (n, own) in seams.blocks.iter().enumerate() {
            distinct(own.sides.iter().flatten().flat_map(|part| &told[part.clone()]), &mut numbers);
            let first = n * records.joined_len;
            let slots =
                seams.joined.get_mut(first..first + numbers.len().min(records.slots)).unwrap_or_default();
            if slots.len() < numbers.len() {
                return Err(wrong());
            }
            slots.copy_from_slice(&numbers);
            seams.counts.push(numbers.len());
        }
        for block in 0..seams.blocks.len() {
            for axis in 0..seams.records.tasks.rank() {
                seams.join_behind(block, axis, connection)?;
            }
        }
        Ok(seams)
    }

    /// The node of the component that a block numbers so.
    fn node(&self, block: usize, number: u32, known: &mut Known) -> u32 {
        if (block, number) != (known.block, known.number) {
            let nodes = self.nodes_of(block);
            let place = self.joined[nodes.clone()].partition_point(|own| *own < number);
            *known = Known { block, number, node: (nodes.start + place) as u32 };
        }
        known.node
    }

    /// Joins a block with what lies behind it along an axis.
    fn join_behind(&mut self, block: usize, axis: usize, connection: &Connection) -> Result<()> {
        let own = &self.blocks[block];
        let cuts = &self.records.tasks.axes()[axis];
        let mut next = own.index.clone();
        next[axis] += 1;
        if next[axis] >= cuts.count() {
            return Ok(());
        }
        let (behind, lengths) = (own.sides[axis][1].clone(), cross(&own.extent, axis));
        let next = self.records.tasks.linear(&next) as usize;
        let ahead = self.blocks[next].sides[axis][0].start;
        let (mut here, mut there) = (Known::default(), Known::default());
        for step in connection.steps().iter().filter(|step| step.get(axis) == Some(&1)) {
            let mut step = step.clone();
            step.remove(axis);
            let mut place = vec![0_usize; lengths.len()];
            for at in behind.clone() {
                if self.told[at] != 0 {
                    let inside =
                        place.iter().zip(&step).zip(&lengths).try_fold(0, |flat, ((at, step), length)| {
                            let to = at.checked_add_signed(*step as isize).filter(|to| to < length)?;
                            Some(flat * length + to)
                        });
                    let met = match inside {
                        Some(flat) => Some((next, ahead + flat)),
                        None => self.beside(block, axis, &place, &step),
                    };
                    if let Some((other, met)) = met.filter(|(_, met)| self.told[*met] != 0) {
                        let a = self.node(block, self.told[at], &mut here);
                        let b = self.node(other, self.told[met], &mut there);
                        self.join(a, b);
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

    /// The block of the element a step from `place` behind a block along an axis, and where it is told, if the step leads aside
    /// of the next block too.
    fn beside(&self, block: usize, axis: usize, place: &[usize], step: &[i64]) -> Option<(usize, usize)> {
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
                None => return None,
            });
        }
        let other = self.records.tasks.linear(&index) as usize;
        let met = &self.blocks[other];
        let lengths = cross(&met.extent, axis);
        let flat = to.iter().zip(&lengths).fold(0, |flat, (at, length)| flat * length + at);
        Some((other, met.sides[axis][0].start + flat))
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

    /// Writes what stands in the slot of each leader in those of all nodes that it leads.
    pub(super) fn follow_leaders(&mut self) {
        for block in 0..self.blocks.len() {
            for node in self.nodes_of(block) {
                let leader = self.leader(node as u32);
                self.joined[node] = self.joined[leader as usize];
            }
        }
    }

    /// The nodes of a block.
    pub(super) fn nodes_of(&self, block: usize) -> Range<usize> {
        let first = block * self.records.joined_len;
        first..first + self.counts[block]
    }

    /// The place of the first row of a block in what is joined.
    pub(super) fn rows_of(&self, block: usize) -> usize {
        block * self.records.joined_len + self.records.slots
    }

    /// What orders nodes by where their components start in C order of the array.
    fn start(&self, node: u32) -> (u64, u32) {
        let (block, number) = (node as usize / self.records.joined_len, self.joined[node as usize]);
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
