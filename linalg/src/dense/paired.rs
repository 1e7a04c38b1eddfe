//! Sums taken in pairs: of products of long rows, whose rounding errors would grow with the root of the length.
//!
//! Terms come in blocks that are summed as they come; sums of blocks are added in pairs, and pairs of those. Invariant: of sums of
//! 1, 2, 4 … blocks there is at most one each, so that memory grows with the logarithm of the length. Source: N. J. Higham,
//! "The accuracy of floating point summation" (1993). Called by [`crate::qr`] and [`crate::svd`].

use super::Cpu;
use blockwise_core::Result;
use blockwise_core::dense::{Accumulate, Dense, Matrix, MatrixMut, Op};

/// Terms of a block that is added up as it comes.
pub(crate) const BLOCK_TERMS: usize = 16;

/// Sums of equally many numbers each, to which more are added.
#[derive(Debug)]
pub(crate) struct PairedSums<T> {
    /// Sums of 1, 2, 4 … blocks.
    levels: Vec<Option<Vec<T>>>,
}

impl<T: super::Field> PairedSums<T> {
    pub(crate) const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// Adds the sums of a block.
    pub(crate) fn add(&mut self, mut sums: Vec<T>) {
        let mut level = 0;
        while let Some(others) = self.levels.get_mut(level).and_then(Option::take) {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
            level += 1;
        }
        if self.levels.len() <= level {
            self.levels.resize(level + 1, None);
        }
        if let Some(place) = self.levels.get_mut(level) {
            *place = Some(sums);
        }
    }

    /// Adds what has come to `out`.
    pub(crate) fn add_to(self, out: &mut [T]) {
        for sums in self.levels.into_iter().flatten() {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
    }

    /// Matrices as large as the sums that [`product`] and its like hold at once, for rows of up to 2¹⁶ terms.
    pub(crate) const HELD: u64 = 14;
}

/// `a b`, row after row, each of its sums taken in pairs.
pub(crate) fn product<T: super::Field>(
    (a, op_a): (Matrix<'_, T>, Op),
    (b, op_b): (Matrix<'_, T>, Op),
) -> Result<Vec<T>> {
    let (rows, terms) = if op_a.transposes() { (a.columns(), a.rows()) } else { (a.rows(), a.columns()) };
    let columns = if op_b.transposes() { b.rows() } else { b.columns() };
    let mut sums = PairedSums::new();
    for start in (0..terms).step_by(BLOCK_TERMS) {
        let block = start..terms.min(start + BLOCK_TERMS);
        let of_a =
            if op_a.transposes() { a.part(block.clone(), 0..rows) } else { a.part(0..rows, block.clone()) };
        let of_b = if op_b.transposes() { b.part(0..columns, block) } else { b.part(block, 0..columns) };
        let mut sum = vec![T::zero(); rows * columns];
        let out = MatrixMut::new(&mut sum, rows, columns)?;
        Cpu.gemm(out, Accumulate::Replace, T::one(), (of_a?, op_a), (of_b?, op_b))?;
        sums.add(sum);
    }
    let mut whole = vec![T::zero(); rows * columns];
    sums.add_to(&mut whole);
    Ok(whole)
}
