//! Final numbers: what joined components are called over the whole array, and what the block of a task makes of that.
//!
//! What is joined is told in the layout of the records: on sides the final number of the component, for every row of a block how
//! many components of the array start before it. Those inside a block follow from the latter, so no table has an entry for each.
//! Invariant: numbers follow first elements in C order, from 1 on. Called by labels.

use super::records::{OUTSIDE, Own, side};
use super::seams::Seams;
use crate::error::{Error, Result};
use crate::grid::AxisGrid;

impl Seams<'_> {
    /// Writes the final numbers of nodes in their place, and for each row of a block how many components start before it; how
    /// many there are in all.
    ///
    /// # Errors
    /// If there are 2^32 components or more.
    pub(super) fn number(&mut self, cells: &mut [u32]) -> Result<u64> {
        // How many start in each row, but for those that another component took in.
        for block in 0..self.blocks.len() {
            let rows = self.blocks[block].rows.clone();
            let mut before = 0;
            for (starts, told) in cells[rows.clone()].iter_mut().zip(&self.told[rows.clone()]) {
                *starts = told - before;
                before = *told;
            }
            for node in self.nodes_of(block) {
                if self.leader(node as u32) != node as u32 {
                    cells[rows.start + self.row_of(block, self.numbers[node])] -= 1;
                }
            }
        }
        let count = self.add_up(cells);
        if u32::try_from(count).is_err() {
            let message = format!("{count} components; 2^32 and more cannot be numbered, so label parts");
            return Err(Error::Usage { message });
        }
        for block in 0..self.blocks.len() {
            let rows = self.blocks[block].rows.clone();
            let (mut current, mut taken) = (usize::MAX, 0);
            for node in self.nodes_of(block) {
                let number = self.numbers[node];
                let row = self.row_of(block, number);
                if row != current {
                    (current, taken) = (row, 0);
                }
                if self.leader(node as u32) == node as u32 {
                    let above = row.checked_sub(1).map_or(0, |above| self.told[rows.start + above]);
                    self.numbers[node] = cells[rows.start + row] + (number - above) - taken;
                } else {
                    taken += 1;
                }
            }
        }
        self.replace(cells, |number| number);
        Ok(count)
    }

    /// Makes the starts in each row of a block those before it in C order; the sum of all.
    fn add_up(&self, cells: &mut [u32]) -> u64 {
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
            let first = (block * along) as usize;
            for own in &self.blocks[first..first + along as usize] {
                let starts = &mut cells[own.rows.start + row as usize];
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

/// The final number of every component of a block, by its number there, 0 first: from the numbers of its elements and from what
/// is told of it.
pub(super) fn final_numbers(own: &Own, numbers: &[u32], told: &[u32]) -> Vec<u32> {
    let count = numbers.iter().fold(0, |most, number| most.max(*number));
    let mut finals = of_sides(own, numbers, told, count);
    let length = own.extent.last().copied().unwrap_or(1).max(1);
    let rows = told.get(own.rows.clone()).unwrap_or_default();
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

/// What is told of the components that reach the sides of a block, by number; 0 for others.
pub(super) fn of_sides(own: &Own, numbers: &[u32], told: &[u32], count: u32) -> Vec<u32> {
    let mut found = vec![0; count as usize + 1];
    for (axis, [before, behind]) in own.sides.iter().enumerate() {
        let last = own.extent.get(axis).map_or(0, |length| length.saturating_sub(1));
        for (part, position) in [(before, 0), (behind, last)] {
            let part = told.get(part.clone()).unwrap_or_default();
            for (told, at) in part.iter().zip(side(&own.extent, axis, position)) {
                found[(numbers[at] & !OUTSIDE) as usize] = *told;
            }
        }
    }
    found
}
