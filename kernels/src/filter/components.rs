//! Connected elements of a block: what is other than zero and hangs together gets one number.
//!
//! Rows along the last axis are runs of elements; runs that touch those of rows before join their components in a table of
//! parents, the earlier one leading. Invariant: numbers follow the first elements of components in C order, from 1 on.
//! Called by core's tasks for labels.

use super::space::load;
use crate::{DType, KernelError};
use std::ops::Range;

/// Which neighbours hang together: a centred box of 3 elements along each axis, symmetric about its middle.
///
/// ```
/// use blockwise_kernels::filter::Connection;
/// use blockwise_kernels::{DType, Element};
/// let faces = Connection::new(&[false, true, false, true, true, true, false, true, false], 2)?;
/// let x = [1_u8, 1, 0, 0, 0, 1, 1, 0, 1]; // 3 x 3
/// let mut numbers = [0; 9];
/// assert_eq!(faces.label(u8::as_bytes(&x), DType::U8, &[3, 3], &mut numbers)?, 3);
/// assert_eq!(numbers, [1, 1, 0, 0, 0, 2, 3, 0, 2]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    rank: usize,
    /// Steps to the neighbours, -1 to 1 along each axis, without the middle.
    steps: Vec<Vec<i64>>,
}

/// Elements of a row that hang together, from `start` to before `end`; its place among all runs is its number.
#[derive(Clone, Copy)]
struct Run {
    start: u32,
    end: u32,
}

impl Connection {
    /// The neighbours that `structure`, of 3 elements along each of `rank` axes in C order, names.
    ///
    /// # Errors
    /// If it has another number of elements, or is not symmetric about its middle.
    pub fn new(structure: &[bool], rank: usize) -> Result<Self, KernelError> {
        let fault = |wanted| KernelError::Parameter {
            what: "the number of elements of a structure",
            value: structure.len() as f64,
            wanted,
        };
        let count = u32::try_from(rank).ok().and_then(|rank| 3_usize.checked_pow(rank));
        if count != Some(structure.len()) {
            return Err(fault("3 along each axis of the array"));
        }
        if !structure.iter().eq(structure.iter().rev()) {
            return Err(fault("that of one symmetric about its middle"));
        }
        let step =
            |n: usize| (0..rank).rev().map(|axis| (n / 3_usize.pow(axis as u32) % 3) as i64 - 1).collect();
        let inside = structure.iter().enumerate().filter(|(n, inside)| **inside && *n != structure.len() / 2);
        Ok(Self { rank, steps: inside.map(|(n, _)| step(n)).collect() })
    }

    /// Steps to the neighbours, along each axis from -1 to 1.
    #[must_use]
    pub fn steps(&self) -> &[Vec<i64>] {
        &self.steps
    }

    /// Upper bound on the bytes that [`Connection::label`] takes for a block of `shape`.
    #[must_use]
    pub fn scratch_bytes(&self, shape: &[u64]) -> u64 {
        let length = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().rev().skip(1).fold(1_u64, |rows, length| rows.saturating_mul(*length));
        // Every element may be a run, with a parent; where neighbours of a row hang together, every other one.
        let row_runs = if self.is_joined_along_rows() { length.div_ceil(2) } else { length };
        let row_bytes = row_runs.saturating_mul((size_of::<Run>() + size_of::<u32>()) as u64);
        let starts_bytes = size_of::<usize>() as u64;
        let row = length.saturating_mul(size_of::<f64>() as u64);
        rows.saturating_mul(row_bytes.saturating_add(starts_bytes)).saturating_add(row).saturating_add(4096)
    }

    /// Whether neighbours of a row hang together.
    fn is_joined_along_rows(&self) -> bool {
        self.rank > 0 && self.steps.iter().any(|step| is_along_row(step))
    }

    /// Numbers of the elements of a block of `shape`, 0 where they are zero; how many components there are.
    ///
    /// # Errors
    /// If lengths do not fit, or there are 2^32 elements or more.
    pub fn label(
        &self,
        input: &[u8],
        dtype: DType,
        shape: &[usize],
        numbers: &mut [u32],
    ) -> Result<u32, KernelError> {
        let overflow = || KernelError::Overflow { shape: shape.to_vec() };
        let total =
            shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)).ok_or_else(overflow)?;
        if shape.len() != self.rank {
            return Err(KernelError::Axis { axis: self.rank, rank: shape.len() });
        }
        u32::try_from(total).map_err(|_| overflow())?;
        crate::error::check_len("block to label", input.len(), total, dtype.size())?;
        crate::error::check_len("numbers", size_of_val(numbers), total, size_of::<u32>())?;
        if total == 0 {
            return Ok(0);
        }
        let length = shape.last().copied().unwrap_or(1);
        let leading = shape.get(..shape.len().saturating_sub(1)).unwrap_or_default();
        let row_steps = self.row_steps(leading);
        let is_joined = self.is_joined_along_rows();
        let (mut runs, mut starts): (Vec<Run>, Vec<usize>) = (Vec::new(), vec![0]);
        let mut parents: Vec<u32> = Vec::new();
        let mut row = vec![0.0; length];
        let mut place = vec![0_i64; leading.len()];
        for number in 0..total / length {
            load(input, dtype, number * length, &mut row);
            let first = runs.len();
            find_runs(&row, is_joined, &mut runs, &mut parents);
            starts.push(runs.len());
            for (step, back, shift) in &row_steps {
                let is_there = place
                    .iter()
                    .zip(step)
                    .zip(leading)
                    .all(|((at, step), length)| (0..*length as i64).contains(&(at + step)));
                let Some(other) = number.checked_sub(*back).filter(|_| is_there) else { continue };
                let (Some(from), Some(to)) = (starts.get(other), starts.get(other + 1)) else { continue };
                join_rows(&runs, *from..*to, first..runs.len(), *shift, &mut parents);
            }
            for (at, length) in place.iter_mut().zip(leading).rev() {
                *at += 1;
                if *at < *length as i64 {
                    break;
                }
                *at = 0;
            }
        }
        // Leaders are the first runs of their components, so numbers follow from their order.
        let mut count = 0;
        for run in 0..parents.len() {
            let leader = parents[run] as usize;
            if leader == run {
                count += 1;
            }
            // What was numbered before stands for its whole component.
            parents[run] = if leader == run { count } else { parents[leader] };
        }
        numbers.fill(0);
        for (bounds, numbers) in starts.windows(2).zip(numbers.chunks_exact_mut(length)) {
            for at in bounds[0]..bounds[1] {
                let Run { start, end } = runs[at];
                if let Some(part) = numbers.get_mut(start as usize..end as usize) {
                    part.fill(parents[at]);
                }
            }
        }
        Ok(count)
    }

    /// Steps to rows before: along the leading axes, in rows, and along the row.
    fn row_steps(&self, leading: &[usize]) -> Vec<(Vec<i64>, usize, i64)> {
        let step = |step: &Vec<i64>| {
            let (shift, leads) = step.split_last()?;
            let rows =
                leads.iter().zip(leading).fold(0_i64, |rows, (step, length)| rows * *length as i64 + step);
            let first = leads.iter().find(|step| **step != 0)?;
            (*first < 0).then(|| (leads.to_vec(), rows.unsigned_abs() as usize, *shift))
        };
        self.steps.iter().filter_map(step).collect()
    }
}

/// Whether a step leads to the next element of the same row.
fn is_along_row(step: &[i64]) -> bool {
    step.split_last().is_some_and(|(last, leads)| *last != 0 && leads.iter().all(|step| *step == 0))
}

fn find_runs(row: &[f64], is_joined: bool, runs: &mut Vec<Run>, parents: &mut Vec<u32>) {
    let mut at = 0;
    while let Some(start) = row.get(at..).and_then(|rest| rest.iter().position(|x| *x != 0.0)) {
        let start = at + start;
        let rest = row.get(start..).unwrap_or_default();
        let length = if is_joined { rest.iter().position(|x| *x == 0.0).unwrap_or(rest.len()) } else { 1 };
        parents.push(runs.len() as u32);
        runs.push(Run { start: start as u32, end: (start + length) as u32 });
        at = start + length;
    }
}

/// Joins the runs `own` of a row with the runs `others` of a row before that they touch: `own` at `n` with `others` at
/// `n + shift`.
fn join_rows(runs: &[Run], others: Range<usize>, own: Range<usize>, shift: i64, parents: &mut [u32]) {
    let (mut at, mut to) = (others.start, own.start);
    while at < others.end && to < own.end {
        let (a, b) = (runs[at], runs[to]);
        let (start, end) = (i64::from(b.start) + shift, i64::from(b.end) + shift);
        if i64::from(a.start) < end && start < i64::from(a.end) {
            join(parents, at as u32, to as u32);
        }
        if i64::from(a.end) <= end {
            at += 1;
        } else {
            to += 1;
        }
    }
}

/// Makes two components one; the earlier leader leads.
fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (leader(parents, a), leader(parents, b));
    let (first, last) = (a.min(b), a.max(b));
    if let Some(parent) = parents.get_mut(last as usize) {
        *parent = first;
    }
}

/// The leader of a component; those passed on the way are led to it sooner the next time.
pub fn leader(parents: &mut [u32], of: u32) -> u32 {
    let mut at = of;
    while let Some(&parent) = parents.get(at as usize)
        && parent != at
    {
        let above = parents.get(parent as usize).copied().unwrap_or(parent);
        if let Some(slot) = parents.get_mut(at as usize) {
            *slot = above;
        }
        at = above;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;

    /// Numbers by walking from neighbour to neighbour.
    fn walked(connection: &Connection, x: &[u8], shape: &[usize]) -> (u32, Vec<u32>) {
        let place = |n: usize| {
            let mut rest = n;
            let mut at: Vec<i64> = shape
                .iter()
                .rev()
                .map(|m| {
                    let a = rest % m;
                    rest /= m;
                    a as i64
                })
                .collect();
            at.reverse();
            at
        };
        let (mut numbers, mut count) = (vec![0; x.len()], 0);
        for first in 0..x.len() {
            if x[first] == 0 || numbers[first] != 0 {
                continue;
            }
            count += 1;
            let mut left = vec![first];
            while let Some(n) = left.pop() {
                if x[n] == 0 || numbers[n] != 0 {
                    continue;
                }
                numbers[n] = count;
                for step in connection.steps() {
                    let next: Vec<i64> = place(n).iter().zip(step).map(|(a, b)| a + b).collect();
                    if next.iter().zip(shape).all(|(at, m)| (0..*m as i64).contains(at)) {
                        left.push(next.iter().zip(shape).fold(0, |flat, (at, m)| flat * m + *at as usize));
                    }
                }
            }
        }
        (count, numbers)
    }

    #[test]
    fn components_are_those_of_a_walk() {
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for round in 0..200 {
            let rank = 1 + next() % 3;
            let shape: Vec<usize> = (0..rank).map(|_| 1 + next() % 7).collect();
            let filled = 1 + next() % 9;
            let x: Vec<u8> = (0..shape.iter().product()).map(|_| u8::from(next() % 10 < filled)).collect();
            let mut structure = vec![false; 3_usize.pow(rank as u32)];
            for n in 0..structure.len() {
                let inside = round % 3 == 0 || next() % 2 == 0;
                let mirrored = structure.len() - 1 - n;
                structure[n] = inside;
                structure[mirrored] = inside;
            }
            let connection = Connection::new(&structure, rank).unwrap();
            let mut numbers = vec![7; x.len()];
            let count = connection.label(u8::as_bytes(&x), DType::U8, &shape, &mut numbers).unwrap();
            assert_eq!((count, numbers), walked(&connection, &x, &shape), "{shape:?} {structure:?}");
        }
        assert!(Connection::new(&[true, false, false], 1).is_err());
    }
}
