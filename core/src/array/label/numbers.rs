//! Final numbers: what joined components are called over the whole array, and what the block of a task makes of that.
//!
//! A slot of what is joined has the final number of its component, a row how many components of the array start before it. Those
//! inside a block follow from the latter, so no table has an entry for each.
//! Invariant: numbers follow first elements in C order, from 1 on. Called by labels.

use super::records::{OUTSIDE, Own, Records, distinct, side};
use super::seams::Seams;
use crate::error::{Error, Result};
use crate::grid::AxisGrid;
use std::ops::Range;

impl Seams<'_> {
    /// Writes the final numbers of nodes in their slots, and for each row of a block how many components start before it; how
    /// many there are in all.
    ///
    /// # Errors
    /// If there are 2^32 components or more.
    pub(super) fn number(&mut self) -> Result<u64> {
        // How many start in each row, but for those that another component took in.
        for block in 0..self.blocks.len() {
            let (rows, first) = (self.blocks[block].rows.clone(), self.rows_of(block));
            let mut before = 0;
            for (starts, told) in self.joined[first..].iter_mut().zip(&self.told[rows]) {
                *starts = told - before;
                before = *told;
            }
            for node in self.nodes_of(block) {
                if self.leader(node as u32) != node as u32 {
                    let row = self.row_of(block, self.joined[node]);
                    self.joined[first + row] -= 1;
                }
            }
        }
        let count = self.add_up();
        if u32::try_from(count).is_err() {
            let message = format!("{count} components; 2^32 and more cannot be numbered, so label parts");
            return Err(Error::Usage { message });
        }
        for block in 0..self.blocks.len() {
            let (rows, first) = (self.blocks[block].rows.clone(), self.rows_of(block));
            let (mut current, mut taken) = (usize::MAX, 0);
            for node in self.nodes_of(block) {
                let number = self.joined[node];
                let row = self.row_of(block, number);
                if row != current {
                    (current, taken) = (row, 0);
                }
                if self.leader(node as u32) == node as u32 {
                    let above = row.checked_sub(1).map_or(0, |above| self.told[rows.start + above]);
                    self.joined[node] = self.joined[first + row] + (number - above) - taken;
                } else {
                    taken += 1;
                }
            }
        }
        self.follow_leaders();
        Ok(count)
    }

    /// Makes the starts in each row of a block those before it in C order; the sum of all.
    fn add_up(&mut self) -> u64 {
        let axes = self.records.tasks.axes();
        let (along, leading) = match axes.split_last() {
            Some((last, leading)) => (last.count(), leading),
            None => (1, axes),
        };
        let mut place = vec![0_u64; leading.len()];
        let mut sum = 0_u64;
        let rows: u64 = leading.iter().map(AxisGrid::extent).product();
        for _ in 0..rows {
            // The blocks that have a part of this row stand one after the other.
            let (mut block, mut row) = (0, 0);
            for (cuts, at) in leading.iter().zip(&place) {
                let own = cuts.chunk_of(*at).unwrap_or(0);
                block = block * cuts.count() + own;
                row = row * cuts.length(own) + (at - cuts.start(own));
            }
            for block in block * along..(block + 1) * along {
                let place = self.rows_of(block as usize) + row as usize;
                let starts = &mut self.joined[place];
                let here = u64::from(*starts);
                *starts = sum as u32;
                sum += here;
            }
            for (at, cuts) in place.iter_mut().zip(leading).rev() {
                *at += 1;
                if *at < cuts.extent() {
                    break;
                }
                *at = 0;
            }
        }
        sum
    }
}

/// The final number of every component of a block, by its number there, 0 first: from the numbers of its elements and what is
/// joined of it.
pub(super) fn final_numbers(records: &Records, own: &Own, numbers: &[u32], joined: &[u32]) -> Vec<u32> {
    let mut finals = of_sides(own, numbers, joined);
    let length = own.extent.last().copied().unwrap_or(1).max(1);
    let rows = joined.get(records.slots..).unwrap_or_default();
    let mut started = 0;
    for (before, row) in rows.iter().zip(numbers.chunks_exact(length)) {
        let mut next = before + 1;
        for number in row {
            if *number > started {
                started = *number;
                let own = &mut finals[started as usize];
                if *own == 0 {
                    *own = next;
                }
                // A component that another one took in starts behind that one, which has a smaller number.
                next += u32::from(*own == next);
            }
        }
    }
    finals
}

/// What is joined of the components that reach the sides of a block, by number, 0 for others: from the numbers of its elements.
pub(super) fn of_sides(own: &Own, numbers: &[u32], joined: &[u32]) -> Vec<u32> {
    let count = numbers.iter().fold(0, |most, number| most.max(number & !OUTSIDE));
    let mut found = vec![0; count as usize + 1];
    let elements = own.sides.iter().enumerate().flat_map(|(axis, [before, behind])| {
        let last = own.extent[axis].saturating_sub(1);
        let told = [(before, 0), (behind, last)].into_iter().filter(|(part, _)| !part.is_empty());
        told.flat_map(move |(_, position)| side(&own.extent, axis, position))
    });
    let mut own_numbers = Vec::with_capacity(own.sides.iter().flatten().map(Range::len).sum());
    distinct(elements.map(|at| &numbers[at]), &mut own_numbers);
    for (number, joined) in own_numbers.iter().zip(joined) {
        found[(number & !OUTSIDE) as usize] = *joined;
    }
    found
}
