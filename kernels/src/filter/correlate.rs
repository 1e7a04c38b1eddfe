//! Correlations with a list of weights, as vectors across lines or along one.
//!
//! The order of additions is SciPy's: of symmetric and antisymmetric weights pairs from the outside in, after the middle;
//! of others the last, then from the first on. Invariant: the same bits whatever the instruction set. Called by windows
//! along one axis.

use super::panel::{LANES, Row};
use pulp::NullaryFnOnce;

/// Lanes that are added up in registers.
const ACROSS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symmetry {
    Even,
    Odd,
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
}

/// Results of all lanes of a panel: `out[n]` is of `rows[n..n + weights]`.
pub(super) struct Across<'a> {
    pub(super) correlation: &'a Correlation,
    /// Lanes that hold lines.
    pub(super) lanes: usize,
    pub(super) rows: &'a [Row],
    pub(super) out: &'a mut [Row],
}

impl NullaryFnOnce for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { correlation: Correlation { weights, symmetry }, lanes: used, rows, out } = self;
        let parts = used.div_ceil(ACROSS).min(LANES / ACROSS);
        for (out, window) in out.iter_mut().zip(rows.windows(weights.len().max(1))) {
            for part in 0..parts {
                let lanes = part * ACROSS;
                let sums = match symmetry {
                    Symmetry::Even => paired::<true>(weights, lanes, window),
                    Symmetry::Odd => paired::<false>(weights, lanes, window),
                    Symmetry::None => plain(weights, lanes, window),
                };
                if let Some(out) = out.get_mut(lanes..lanes + ACROSS) {
                    out.copy_from_slice(&sums);
                }
            }
        }
    }
}

#[inline(always)]
fn part(row: &Row, lanes: usize) -> &[f64; ACROSS] {
    const NONE: [f64; ACROSS] = [0.0; ACROSS];
    row.get(lanes..).and_then(|lanes| lanes.first_chunk()).unwrap_or(&NONE)
}

#[inline(always)]
fn paired<const EVEN: bool>(weights: &[f64], lanes: usize, window: &[Row]) -> [f64; ACROSS] {
    let half = weights.len() / 2;
    let mut sums = [0.0; ACROSS];
    if let (Some(weight), Some(row)) = (weights.get(half), window.get(half)) {
        let row = part(row, lanes);
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum = x * weight;
        }
    }
    for ((weight, before), after) in weights.iter().take(half).zip(window).zip(window.iter().rev()) {
        let (before, after) = (part(before, lanes), part(after, lanes));
        for ((sum, a), b) in sums.iter_mut().zip(before).zip(after) {
            *sum += if EVEN { a + b } else { a - b } * weight;
        }
    }
    sums
}

#[inline(always)]
fn plain(weights: &[f64], lanes: usize, window: &[Row]) -> [f64; ACROSS] {
    let mut sums = [0.0; ACROSS];
    let last = weights.len().saturating_sub(1);
    if let (Some(weight), Some(row)) = (weights.get(last), window.get(last)) {
        for (sum, x) in sums.iter_mut().zip(part(row, lanes)) {
            *sum = x * weight;
        }
    }
    for (weight, row) in weights.iter().take(last).zip(window) {
        for (sum, x) in sums.iter_mut().zip(part(row, lanes)) {
            *sum += x * weight;
        }
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
