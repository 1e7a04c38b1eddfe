//! [`Chain`]: the orthogonal factor of a panel as a chain of triangular solves: Cholesky QR, repeated as often as accuracy asks.
//!
//! `A = Q R` with `R = L₁ᴴ` and `L₁ L₁ᴴ = Aᴴ A` needs products alone, at their speed, but loses the square of the condition
//! number of `A`. So the smallest eigenvalue of the (column-scaled) product is estimated; unless it is large, the same is done
//! with `X = A L₁⁻ᴴ`, which has a smaller condition number, and so on: `Q = A L₁⁻ᴴ L₂⁻ᴴ …`, `R = … L₂ᴴ L₁ᴴ`. Where
//! the product is too close to singular for its Cholesky factor to mean anything, a shift is added first, which bounds the next
//! condition number by about 1e7. Columns of zeros get random stand-ins, whose columns of `R` are zeros; should the chain
//! not come to an end, as in exact arithmetic it does not for columns that depend on each other, random numbers of two
//! rounding errors are added to the panel. Nothing but a slab of rows is ever copied.
//!
//! Invariants: the chain depends on the panel alone; `Q` is orthonormal and `Q R` is the panel, both to a few rounding errors,
//! whatever the condition number. Sources: Y. Yamamoto et al. (2015) and T. Fukaya et al. (2020) on CholeskyQR2 and shifted
//! CholeskyQR3; A. van der Sluis (1969) on scaling. Called by the tasks of [`super::tree`].

use super::panel::Panel;
use super::wide::Wide;
use crate::dense::Cpu;
use crate::dense::paired::{BLOCK_TERMS, PairedSums};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op, Triangle};
use blockwise_core::{DType, Error, Result};
use blockwise_kernels::random::{Distribution, Random};
use std::ops::Range;

/// Triangles that a chain has at most.
const MAX_STEPS: usize = 7;
/// Rows of a sample, and of a panel that is worth one, for each column.
const SAMPLE_ROWS: usize = 4;
const SAMPLED_ROWS: usize = 32;
/// What added noise is, relative to the columns.
const NOISE: f64 = 2.0 * f64::EPSILON;
/// Rows and columns of a panel whose sums are taken in pairs.
const PAIRED_ROWS: usize = 8192;
const PAIRED_COLUMNS: usize = 256;
/// Norms outside this range may have lost digits in their squares.
const SAFE: Range<f64> = 1e-130..1e130;

/// What is put in place of columns, or added to them.
#[derive(Clone, Debug)]
struct Fill {
    /// Deviation of the random numbers of each column.
    deviations: Vec<f64>,
    /// Columns that are zero.
    dead: Vec<usize>,
}

/// The orthogonal factor of a panel, and its triangle.
#[derive(Clone, Debug)]
pub(crate) struct Chain<T> {
    columns: usize,
    /// Lower triangles, the first applied first.
    steps: Vec<Vec<T>>,
    fill: Option<Fill>,
    /// What elements are multiplied by, a power of two.
    scale: f64,
    /// Norms of the columns of the panel.
    norms: Vec<f64>,
}

/// What a step found.
struct Step {
    /// Of the scaled product.
    smallest: f64,
    shifted: bool,
}

impl<T: Wide> Chain<T> {
    /// The chain for `panel`, which has more rows than columns. Its `Q` is orthonormal to about a rounding error over `accept`,
    /// which is at most 1/8.
    pub(crate) fn of(panel: &Panel<'_, T>, accept: f64) -> Result<Self> {
        let mut chain = Self::start(panel);
        if let Some(start) = chain.sample(panel, accept)? {
            chain.steps.push(start);
            match chain.step(panel) {
                // Rows unlike the sample blow columns up, and rounding errors with them.
                Ok(step) if chain.norms_are_even(panel) && !step.shifted => {
                    return chain.finished(panel, step, accept)?.ok_or_else(|| no_convergence(panel));
                }
                Ok(_) | Err(Error::NoConvergence { .. }) => chain.steps.clear(),
                Err(error) => return Err(error),
            }
        }
        let first = chain.clone();
        let step = chain.step(panel)?;
        let done = chain.finished(panel, step, accept)?;
        if let Some(done) = done {
            return Ok(done);
        }
        let mut noisy = first;
        noisy.add_noise(panel);
        let step = noisy.step(panel)?;
        let mut done = noisy.finished(panel, step, accept)?.ok_or_else(|| no_convergence(panel))?;
        // So many triangles leave more than a rounding error of what is not orthogonal; one more, all but diagonal, takes it off.
        done.step(panel)?;
        Ok(done)
    }

    /// Bytes that a chain and making it take for panels of `columns`, beyond the panel.
    pub(crate) fn scratch_bytes(columns: u64) -> u64 {
        let square = columns.saturating_mul(columns).saturating_mul(size_of::<T>() as u64);
        let slab = Panel::<T>::slab_rows(usize::try_from(columns).unwrap_or(usize::MAX)) as u64;
        let slab_bytes = slab.saturating_mul(columns).saturating_mul(size_of::<T>() as u64);
        // Triangles of two chains, the product and its copy, the whole triangle twice.
        square
            .saturating_mul(2 * (MAX_STEPS as u64 + 1) + 4)
            .saturating_add(if columns <= PAIRED_COLUMNS as u64 {
                square.saturating_mul(PairedSums::<T>::HELD)
            } else {
                0
            })
            // A slab, what it is made of, its noise, and a slab of results.
            .saturating_add(slab_bytes.saturating_mul(4))
            .saturating_add(Dense::<T>::scratch_bytes(&Cpu, Leaf::Gram, slab, columns))
    }

    const fn start(panel: &Panel<'_, T>) -> Self {
        Self { columns: panel.columns(), steps: Vec::new(), fill: None, scale: 1.0, norms: Vec::new() }
    }

    /// Takes steps after the first, `step`, until the last product was far from singular.
    fn finished(mut self, panel: &Panel<'_, T>, step: Step, accept: f64) -> Result<Option<Self>> {
        let mut step = step;
        while step.shifted || step.smallest < accept {
            if self.steps.len() >= MAX_STEPS {
                return Ok(None);
            }
            step = self.step(panel)?;
        }
        Ok(Some(self))
    }

    /// A triangle with which the first rows come close to orthonormal columns; `None` if the panel is short, or better or
    /// worse than that is of use for.
    fn sample(&self, panel: &Panel<'_, T>, accept: f64) -> Result<Option<Vec<T>>> {
        if panel.rows() < SAMPLED_ROWS * self.columns {
            return Ok(None);
        }
        let rows = panel.first(SAMPLE_ROWS * self.columns);
        let mut chain = self.clone();
        let step = chain.step(&rows)?;
        let plain = !step.shifted && chain.fill.is_none() && chain.scale == 1.0;
        if !plain || step.smallest > accept / 4.0 {
            return Ok(None);
        }
        let step = chain.step(&rows)?;
        if step.shifted { Ok(None) } else { chain.triangle().map(Some) }
    }

    /// Whether columns divided by the sample's triangle are about as long as the sample's are then.
    fn norms_are_even(&self, panel: &Panel<'_, T>) -> bool {
        let expected = (panel.rows() as f64 / (SAMPLE_ROWS * self.columns) as f64).sqrt();
        self.norms.iter().all(|norm| (expected / 16.0..16.0 * expected).contains(norm))
    }

    /// Adds the triangle of the panel as the chain is so far.
    fn step(&mut self, panel: &Panel<'_, T>) -> Result<Step> {
        let n = self.columns;
        let mut product = vec![T::zero(); n * n];
        loop {
            self.product(panel, &mut product)?;
            self.norms = (0..n).map(|at| product[at * n + at].real().sqrt()).collect();
            if !self.steps.is_empty() || self.is_sound(panel)? {
                break;
            }
        }
        if !self.norms.iter().all(|norm| norm.is_finite()) {
            return Err(no_convergence(panel));
        }
        for row in 0..n {
            for column in 0..=row {
                let scale = length(self.norms[row]) * length(self.norms[column]);
                product[row * n + column] *= T::from_real(scale.recip());
            }
        }
        let mut triangle = product.clone();
        let smallest = match Cpu.potrf(MatrixMut::new(&mut triangle, n, n)?) {
            Ok(()) => smallest_eigenvalue(&triangle, n)?,
            Err(Error::NotPositiveDefinite { .. }) => 0.0,
            Err(error) => return Err(error),
        };
        // A rounding error of the product is as large as such an eigenvalue.
        let mut shift = 4.0 * n as f64 * f64::EPSILON;
        let shifted = smallest < 2.0 * shift;
        if shifted {
            loop {
                triangle.copy_from_slice(&product);
                triangle.iter_mut().step_by(n + 1).for_each(|x| *x += T::from_real(shift));
                match Cpu.potrf(MatrixMut::new(&mut triangle, n, n)?) {
                    Ok(()) => break,
                    Err(Error::NotPositiveDefinite { .. }) if shift < 1.0 => shift *= 100.0,
                    Err(Error::NotPositiveDefinite { .. }) => return Err(no_convergence(panel)),
                    Err(error) => return Err(error),
                }
            }
        }
        for (row, norm) in triangle.chunks_exact_mut(n).zip(&self.norms) {
            row.iter_mut().for_each(|x| *x *= T::from_real(length(*norm)));
        }
        self.steps.push(triangle);
        Ok(Step { smallest, shifted })
    }

    /// Whether the first product can be gone on with; if not, it is to be made again, now scaled, or with stand-ins for zeros.
    fn is_sound(&mut self, panel: &Panel<'_, T>) -> Result<bool> {
        let largest = self.norms.iter().fold(0.0_f64, |most, norm| most.max(*norm));
        let finite = self.norms.iter().all(|norm| norm.is_finite());
        if self.scale == 1.0 && !(finite && SAFE.contains(&largest)) {
            if let Some((row, column)) = panel.not_finite() {
                return Err(Error::NotFinite { row: row as u64, column: column as u64 });
            }
            let largest = panel.largest();
            if largest > 0.0 {
                // The exponent alone, so that no digit is lost.
                self.scale = (-largest.log2().floor().clamp(-1000.0, 1000.0)).exp2();
                return Ok(false);
            }
        }
        let dead: Vec<usize> =
            self.norms.iter().enumerate().filter(|(_, norm)| **norm == 0.0).map(|(at, _)| at).collect();
        if self.fill.is_none() && !dead.is_empty() {
            let deviations = self.norms.iter().map(|norm| if *norm == 0.0 { 1.0 } else { 0.0 }).collect();
            self.fill = Some(Fill { deviations, dead });
            return Ok(false);
        }
        Ok(true)
    }

    fn add_noise(&mut self, panel: &Panel<'_, T>) {
        let root = (panel.rows() as f64).sqrt();
        let mut room = Vec::new();
        let mut squares = vec![0.0; self.columns];
        for slab in panel.slabs() {
            panel.copy(slab, &mut room);
            for row in room.chunks_exact(self.columns) {
                let scaled = row.iter().map(|x| (*x * T::from_real(self.scale)).abs_squared());
                squares.iter_mut().zip(scaled).for_each(|(sum, square)| *sum += square);
            }
        }
        let deviation = |square: &f64| if *square == 0.0 { 1.0 } else { NOISE * square.sqrt() / root };
        let dead = squares.iter().enumerate().filter(|(_, square)| **square == 0.0).map(|(at, _)| at);
        self.fill = Some(Fill { deviations: squares.iter().map(deviation).collect(), dead: dead.collect() });
    }

    /// The product of the panel, divided by all triangles so far, with itself: the lower half.
    ///
    /// In a panel of few rows rounding errors of a long sum are a large part of all there are: its sums are taken in pairs.
    fn product(&self, panel: &Panel<'_, T>, product: &mut [T]) -> Result<()> {
        let n = self.columns;
        product.fill(T::zero());
        if panel.rows() > PAIRED_ROWS || n > PAIRED_COLUMNS {
            return self.for_each(panel, self.steps.len(), |_, rows| {
                Cpu.gram(MatrixMut::new(product, n, n)?, Accumulate::Add, rows)
            });
        }
        let mut sums = PairedSums::new();
        self.for_each(panel, self.steps.len(), |_, rows| {
            for start in (0..rows.rows()).step_by(BLOCK_TERMS) {
                let block = rows.part(start..rows.rows().min(start + BLOCK_TERMS), 0..n)?;
                let mut sum = vec![T::zero(); n * n];
                Cpu.gram(MatrixMut::new(&mut sum, n, n)?, Accumulate::Replace, block)?;
                sums.add(sum);
            }
            Ok(())
        })?;
        sums.add_to(product);
        Ok(())
    }

    /// Calls `each` with the rows divided by the first `steps` triangles.
    fn for_each(
        &self,
        panel: &Panel<'_, T>,
        steps: usize,
        mut each: impl FnMut(Range<usize>, Matrix<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let n = self.columns;
        if steps == 0
            && self.fill.is_none()
            && self.scale == 1.0
            && let Some(whole) = panel.in_place()
        {
            return each(0..panel.rows(), whole?);
        }
        let mut room = Vec::new();
        for slab in panel.slabs() {
            panel.copy(slab.clone(), &mut room);
            if self.scale != 1.0 {
                room.iter_mut().for_each(|x| *x *= T::from_real(self.scale));
            }
            if let Some(fill) = &self.fill {
                fill.add(&slab, panel.rows(), &mut room)?;
            }
            for triangle in self.steps.iter().take(steps) {
                let triangle = (Matrix::new(triangle, n, n)?, Op::Adjoint);
                Cpu.trsm_right(Triangle::Lower, triangle, MatrixMut::new(&mut room, slab.len(), n)?)?;
            }
            each(slab.clone(), Matrix::new(&room, slab.len(), n)?)?;
        }
        Ok(())
    }

    /// The product of all triangles: the adjoint of `R`, but for scale and columns of zeros.
    fn triangle(&self) -> Result<Vec<T>> {
        let n = self.columns;
        let mut steps = self.steps.iter();
        let mut whole = steps.next().cloned().unwrap_or_default();
        for step in steps {
            let mut next = vec![T::zero(); n * n];
            let (a, b) = (Matrix::new(&whole, n, n)?, Matrix::new(step, n, n)?);
            let out = MatrixMut::new(&mut next, n, n)?;
            Cpu.gemm(out, Accumulate::Replace, T::one(), (a, Op::Plain), (b, Op::Plain))?;
            whole = next;
        }
        Ok(whole)
    }

    /// `R`: square, with `Q R` the panel; upper, but not for columns that were zero.
    pub(crate) fn r(&self) -> Result<Vec<T>> {
        let n = self.columns;
        let lower = self.triangle()?;
        let mut r = vec![T::zero(); n * n];
        for row in 0..n {
            for column in row..n {
                r[row * n + column] = lower[column * n + row].conj() * T::from_real(self.scale.recip());
            }
            for dead in self.fill.iter().flat_map(|fill| &fill.dead) {
                r[row * n + dead] = T::zero();
            }
        }
        Ok(r)
    }

    /// Whether `Q` is the panel divided by `R`, and nothing else.
    pub(crate) fn is_single(&self) -> bool {
        self.steps.len() == 1 && self.fill.is_none() && self.scale == 1.0
    }

    /// Calls `each` with the rows of `Q w`, where `w` has as many rows as `R`.
    pub(crate) fn for_each_product(
        &self,
        panel: &Panel<'_, T>,
        w: Matrix<'_, T>,
        each: impl FnMut(Range<usize>, Matrix<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let n = self.columns;
        let mut last: Vec<T> = (0..n).flat_map(|row| w.row(row)).copied().collect();
        let (before, triangle) = match self.steps.split_last() {
            Some((last, before)) => (before.len(), last),
            None => return Err(Error::Internal { message: "a chain without links".to_owned() }),
        };
        let out = MatrixMut::new(&mut last, n, w.columns())?;
        Cpu.trsm(Triangle::Lower, (Matrix::new(triangle, n, n)?, Op::Adjoint), out)?;
        self.for_each_times(panel, before, Matrix::new(&last, n, w.columns())?, each)
    }

    fn for_each_times(
        &self,
        panel: &Panel<'_, T>,
        steps: usize,
        factor: Matrix<'_, T>,
        mut each: impl FnMut(Range<usize>, Matrix<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let (mut out, width) = (Vec::new(), factor.columns());
        self.for_each(panel, steps, |rows, x| {
            // In place the rows come all at once; the results are made slab by slab all the same.
            for part in (0..x.rows()).step_by(Panel::<T>::slab_rows(width)) {
                let part = part..x.rows().min(part + Panel::<T>::slab_rows(width));
                out.resize(part.len() * width, T::zero());
                let product = MatrixMut::new(&mut out, part.len(), width)?;
                let x = x.part(part.clone(), 0..x.columns())?;
                Cpu.gemm(product, Accumulate::Replace, T::one(), (x, Op::Plain), (factor, Op::Plain))?;
                let place = rows.start + part.start..rows.start + part.end;
                each(place, Matrix::new(&out, part.len(), width)?)?;
            }
            Ok(())
        })
    }
}

/// Calls `each` with the rows of `A R⁻¹ w`, for the `R` of a chain that [is single](Chain::is_single).
pub(crate) fn for_each_quotient<T: Wide>(
    panel: &Panel<'_, T>,
    r: Matrix<'_, T>,
    w: Matrix<'_, T>,
    each: impl FnMut(Range<usize>, Matrix<'_, T>) -> Result<()>,
) -> Result<()> {
    let n = panel.columns();
    let mut factor: Vec<T> = (0..n).flat_map(|row| w.row(row)).copied().collect();
    Cpu.trsm(Triangle::Upper, (r, Op::Plain), MatrixMut::new(&mut factor, n, w.columns())?)?;
    Chain::start(panel).for_each_times(panel, 0, Matrix::new(&factor, n, w.columns())?, each)
}

impl Fill {
    /// Adds the random numbers of these rows of a panel.
    fn add<T: Wide>(&self, rows: &Range<usize>, of: usize, room: &mut [T]) -> Result<()> {
        let n = self.deviations.len();
        let normal = Distribution::Normal { mean: 0.0, deviation: 1.0 };
        let random = Random::new(normal, DType::F64, 0, 0)?;
        let mut numbers = vec![0.0_f64; rows.len() * n];
        let bytes = bytemuck::cast_slice_mut(&mut numbers);
        random.fill(&[of, n], &[rows.start, 0], &[rows.len(), n], bytes)?;
        for (row, numbers) in room.chunks_exact_mut(n).zip(numbers.chunks_exact(n)) {
            for ((x, number), deviation) in row.iter_mut().zip(numbers).zip(&self.deviations) {
                *x += T::from_real(number * deviation);
            }
        }
        Ok(())
    }
}

/// A norm to divide by.
fn length(norm: f64) -> f64 {
    if norm > 0.0 { norm } else { 1.0 }
}

/// About the smallest eigenvalue of `l lᴴ`, never less, by inverse iteration.
fn smallest_eigenvalue<T: Wide>(l: &[T], n: usize) -> Result<f64> {
    // Any start with a part along every axis.
    let mut x: Vec<T> = (0..n).map(|at| T::from_real(1.0 - 1.7 * ((at * 7 + at / 3) % 5) as f64)).collect();
    let mut value = 1.0;
    for _ in 0..5 {
        let norm = x.iter().map(|x| x.abs_squared()).sum::<f64>().sqrt();
        if !norm.is_finite() || norm == 0.0 {
            return Ok(0.0);
        }
        x.iter_mut().for_each(|x| *x *= T::from_real(norm.recip()));
        Cpu.trsm(Triangle::Lower, (Matrix::new(l, n, n)?, Op::Plain), MatrixMut::new(&mut x, n, 1)?)?;
        // Rayleigh's quotient of the inverse.
        value = x.iter().map(|x| x.abs_squared()).sum::<f64>().recip();
        Cpu.trsm(Triangle::Lower, (Matrix::new(l, n, n)?, Op::Adjoint), MatrixMut::new(&mut x, n, 1)?)?;
    }
    Ok(if value.is_finite() { value } else { 0.0 })
}

fn no_convergence<T: Wide>(panel: &Panel<'_, T>) -> Error {
    Error::NoConvergence {
        operation: "the orthogonal factor",
        rows: panel.rows() as u64,
        columns: panel.columns() as u64,
    }
}
