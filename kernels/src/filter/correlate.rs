//! Correlations with a list of weights, as vectors across lines or along one.
//!
//! The order of additions is SciPy's: of symmetric and antisymmetric weights pairs from the outside in, after the middle;
//! of others the last, then from the first on. Invariant: the same bits whatever the instruction set. Called by windows
//! along one axis.

use super::panel::{LANES, Row};
use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;

/// Results of one row that are added up in registers, along a line.
const ACROSS: usize = 16;

/// Rows of results that are made at a time, so that what is read of a row serves all of them.
pub(super) const TALL: usize = 4;

/// How the weights before the middle go with those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// They are the same: elements are added before they are weighted.
    Even,
    /// They are opposite: elements are subtracted.
    Odd,
    /// Neither, or there is no middle.
    None,
}

/// Weights of a correlation.
#[derive(Clone, Debug)]
pub(super) struct Correlation {
    weights: Vec<f64>,
    symmetry: Symmetry,
}

impl Correlation {
    pub(super) fn new(weights: Vec<f64>) -> Self {
        let half = weights.len() / 2;
        let mirrored = |sign: f64| {
            let (before, after) = (weights.iter().take(half), weights.iter().rev().take(half));
            before.zip(after).all(|(a, b)| (a - sign * b).abs() <= f64::EPSILON)
        };
        let symmetry = match weights.len() % 2 {
            1 if mirrored(1.0) => Symmetry::Even,
            1 if mirrored(-1.0) => Symmetry::Odd,
            _ => Symmetry::None,
        };
        Self { weights, symmetry }
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(super) const fn symmetry(&self) -> Symmetry {
        self.symmetry
    }
}

/// Results of the lanes of a panel that hold lines: `out[n]` is of `rows[n..n + weights]`, as far as there are rows.
pub(super) struct Across<'a> {
    pub(super) correlation: &'a Correlation,
    /// Lanes that hold lines.
    pub(super) lanes: usize,
    pub(super) rows: &'a [Row],
    pub(super) out: &'a mut [Row; TALL],
}

impl Across<'_> {
    /// With registers of an instruction set's width, so that none is short of them.
    pub(super) fn run(self, set: InstructionSet) {
        match set.float64_lanes() {
            8 => set.run(Wide::<8>(self)),
            4 => set.run(Wide::<4>(self)),
            _ => set.run(Wide::<2>(self)),
        }
    }
}

struct Wide<'a, const W: usize>(Across<'a>);

impl<const W: usize> NullaryFnOnce for Wide<'_, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Across { correlation: Correlation { weights, symmetry }, lanes: used, rows, out } = self.0;
        for lanes in (0..used.min(LANES)).step_by(W) {
            let sums = match symmetry {
                Symmetry::Even => paired::<W, true>(weights, lanes, rows),
                Symmetry::Odd => paired::<W, false>(weights, lanes, rows),
                Symmetry::None => plain::<W>(weights, lanes, rows),
            };
            for (out, sums) in out.iter_mut().zip(&sums) {
                if let Some(out) = out.get_mut(lanes..lanes + W) {
                    out.copy_from_slice(sums);
                }
            }
        }
    }
}

#[inline(always)]
fn part<const W: usize>(rows: &[Row], row: usize, lanes: usize) -> [f64; W] {
    let found = rows.get(row).and_then(|row| row.get(lanes..)).and_then(|lanes| lanes.first_chunk());
    found.copied().unwrap_or([0.0; W])
}

/// Sums for [`TALL`] windows, each a row after the one before. What one sees as its element `n` the one before sees as
/// `n + 1`, so two rows are read a step: the ends of the windows move towards each other in registers.
#[inline(always)]
fn paired<const W: usize, const EVEN: bool>(weights: &[f64], lanes: usize, rows: &[Row]) -> [[f64; W]; TALL] {
    let half = weights.len() / 2;
    let mut sums = [[0.0; W]; TALL];
    let (mut before, mut after) = (sums, sums);
    let middle = weights.get(half).copied().unwrap_or(0.0);
    for n in 0..TALL {
        let x = part::<W>(rows, half + n, lanes);
        sums[n].iter_mut().zip(x).for_each(|(sum, x)| *sum = x * middle);
        before[n] = part(rows, n, lanes);
        after[n] = part(rows, 2 * half + n, lanes);
    }
    for (n, weight) in weights.iter().take(half).enumerate() {
        for ((sums, before), after) in sums.iter_mut().zip(&before).zip(&after) {
            for ((sum, a), b) in sums.iter_mut().zip(before).zip(after) {
                *sum += if EVEN { a + b } else { a - b } * weight;
            }
        }
        for n in 1..TALL {
            before[n - 1] = before[n];
            after[TALL - n] = after[TALL - n - 1];
        }
        before[TALL - 1] = part(rows, n + TALL, lanes);
        after[0] = part(rows, (2 * half).saturating_sub(n + 1), lanes);
    }
    sums
}

#[inline(always)]
fn plain<const W: usize>(weights: &[f64], lanes: usize, rows: &[Row]) -> [[f64; W]; TALL] {
    let last = weights.len().saturating_sub(1);
    let mut sums = [[0.0; W]; TALL];
    let mut seen = sums;
    let weight = weights.get(last).copied().unwrap_or(0.0);
    for n in 0..TALL {
        let x = part::<W>(rows, last + n, lanes);
        sums[n].iter_mut().zip(x).for_each(|(sum, x)| *sum = x * weight);
        seen[n] = part(rows, n, lanes);
    }
    for (n, weight) in weights.iter().take(last).enumerate() {
        for (sums, seen) in sums.iter_mut().zip(&seen) {
            sums.iter_mut().zip(seen).for_each(|(sum, x)| *sum += x * weight);
        }
        for n in 1..TALL {
            seen[n - 1] = seen[n];
        }
        seen[TALL - 1] = part(rows, n + TALL, lanes);
    }
    sums
}

/// Results along one line: `out[n]` is of `line[n..n + weights]`. There is room for whole vectors behind both.
pub(super) struct Along<'a> {
    pub(super) correlation: &'a Correlation,
    pub(super) line: &'a [f64],
    pub(super) out: &'a mut [f64],
}

impl NullaryFnOnce for Along<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { correlation: Correlation { weights, symmetry }, line, out } = self;
        for (n, out) in out.chunks_exact_mut(ACROSS).enumerate() {
            let window = line.get(n * ACROSS..).unwrap_or_default();
            let sums = match symmetry {
                Symmetry::Even => paired_along::<true>(weights, window),
                Symmetry::Odd => paired_along::<false>(weights, window),
                Symmetry::None => plain_along(weights, window),
            };
            out.copy_from_slice(&sums);
        }
    }
}

#[inline(always)]
fn from(window: &[f64], at: usize) -> &[f64; ACROSS] {
    const NONE: [f64; ACROSS] = [0.0; ACROSS];
    window.get(at..).and_then(|rest| rest.first_chunk()).unwrap_or(&NONE)
}

#[inline(always)]
fn paired_along<const EVEN: bool>(weights: &[f64], window: &[f64]) -> [f64; ACROSS] {
    let half = weights.len() / 2;
    let mut sums = [0.0; ACROSS];
    if let Some(weight) = weights.get(half) {
        for (sum, x) in sums.iter_mut().zip(from(window, half)) {
            *sum = x * weight;
        }
    }
    for (n, weight) in weights.iter().take(half).enumerate() {
        let (before, after) = (from(window, n), from(window, 2 * half - n));
        for ((sum, a), b) in sums.iter_mut().zip(before).zip(after) {
            *sum += if EVEN { a + b } else { a - b } * weight;
        }
    }
    sums
}

#[inline(always)]
fn plain_along(weights: &[f64], window: &[f64]) -> [f64; ACROSS] {
    let mut sums = [0.0; ACROSS];
    let last = weights.len().saturating_sub(1);
    if let Some(weight) = weights.get(last) {
        for (sum, x) in sums.iter_mut().zip(from(window, last)) {
            *sum = x * weight;
        }
    }
    for (n, weight) in weights.iter().take(last).enumerate() {
        for (sum, x) in sums.iter_mut().zip(from(window, n)) {
            *sum += x * weight;
        }
    }
    sums
}
