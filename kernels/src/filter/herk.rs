//! Running minima, maxima and means whose cost does not depend on the window: van Herk's and Gil and Werman's method.
//!
//! Lines are cut into blocks as long as the window; a window is the end of one block and the start of the next, so its
//! result is made of one suffix and one prefix. Invariant: blocks start at multiples of the window's size in the array, so
//! that sums have the same bits however it is cut; what is not finite disturbs only windows that hold it. Called by
//! windows along one axis.

use super::panel::{LANES, Row};
use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// Its smallest element.
    Min,
    /// Its largest element.
    Max,
    /// The mean of its elements.
    Mean,
}

/// Results of the first `lanes` lanes of a panel: `out[n]` is of `rows[n..n + size]`; `first` is the position of the first row in the
/// array.
pub(super) fn across(
    op: Running,
    (size, lanes): (usize, usize),
    set: InstructionSet,
    first: i64,
    rows: &[Row],
    suffixes: &mut [Row],
    out: &mut [Row],
) {
    match op {
        Running::Min => set.run(Blocks { join: smaller, size, lanes, first, rows, suffixes, out }),
        Running::Max => set.run(Blocks { join: larger, size, lanes, first, rows, suffixes, out }),
        Running::Mean => {
            set.run(Blocks { join: sum, size, lanes, first, rows, suffixes, out: &mut *out });
            set.run(Divided { out, by: size as f64 });
        }
    }
}

#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[inline(always)]
fn sum(a: f64, b: f64) -> f64 {
    a + b
}

struct Blocks<'a, F> {
    join: F,
    size: usize,
    lanes: usize,
    first: i64,
    rows: &'a [Row],
    suffixes: &'a mut [Row],
    out: &'a mut [Row],
}

impl<F: Fn(f64, f64) -> f64 + Copy> NullaryFnOnce for Blocks<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { join, size, lanes, first, rows, suffixes, out } = self;
        // Rows from the start of a block to each row.
        let within = |n: usize| (first + n as i64).rem_euclid(size as i64) as usize;
        let mut behind: Row = [0.0; LANES];
        for (n, (row, suffix)) in rows.iter().zip(suffixes.iter_mut()).enumerate().rev() {
            if n + 1 == rows.len() || within(n) + 1 == size {
                behind = *row;
            } else {
                for (behind, x) in behind.iter_mut().zip(row).take(lanes) {
                    *behind = join(*x, *behind);
                }
            }
            suffix.iter_mut().zip(&behind).take(lanes).for_each(|(suffix, behind)| *suffix = *behind);
        }
        let last = size - 1;
        let mut prefix: Row = [0.0; LANES];
        let start = last - within(last).min(last);
        for (n, row) in rows.iter().enumerate().skip(start) {
            if n == start || within(n) == 0 {
                prefix = *row;
            } else {
                for (prefix, x) in prefix.iter_mut().zip(row).take(lanes) {
                    *prefix = join(*prefix, *x);
                }
            }
            let Some(out) = n.checked_sub(last).and_then(|at| out.get_mut(at)) else { continue };
            if within(n) == last {
                *out = prefix;
            } else if let Some(suffix) = suffixes.get(n - last) {
                for ((out, a), b) in out.iter_mut().zip(suffix).zip(&prefix).take(lanes) {
                    *out = join(*a, *b);
                }
            }
        }
    }
}

struct Divided<'a> {
    out: &'a mut [Row],
    by: f64,
}

impl NullaryFnOnce for Divided<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for row in self.out {
            row.iter_mut().for_each(|x| *x /= self.by);
        }
    }
}
