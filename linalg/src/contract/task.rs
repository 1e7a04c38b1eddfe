//! What a task of a product does: multiply two blocks; and how results are added up.
//!
//! Invariant: integers wrap around, as NumPy's. Called by the executor.

use crate::dense::{Cpu, Field};
use blockwise_core::block::{Block, BlockFold, BlockFunction, BlockInfo, blocks, chunks};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op};
use blockwise_core::{Chunk, Error, Result, TaskContext};
use blockwise_kernels::Element;
use num_traits::{WrappingAdd, WrappingMul};
use std::marker::PhantomData;

/// How many axes of the tasks are batch, rows, inner and columns, in this order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
}

/// The matrices of one task.
struct Problem {
    rows: usize,
    inner: usize,
    columns: usize,
    /// For each matrix of the result, which of the first factor and which of the second.
    pairs: Vec<(usize, usize)>,
}

impl Sizes {
    fn problem(self, a: &Block<'_>, b: &Block<'_>) -> Result<Problem> {
        let (a, b) = (a.shape()?, b.shape()?);
        let product = |shape: &[usize], from: usize, count: usize| -> usize {
            shape.iter().skip(from).take(count).product()
        };
        let (mut pairs, mut count_a, mut count_b) = (vec![(0, 0)], 1, 1);
        // The last batch axis moves fastest.
        for (of_a, of_b) in a.iter().zip(&b).take(self.batch).rev() {
            let longest = (*of_a).max(*of_b);
            let step = |own: usize, at: usize, count: usize| if own == 1 { 0 } else { at * count };
            let next = (0..longest).flat_map(|at| {
                let (from_a, from_b) = (step(*of_a, at, count_a), step(*of_b, at, count_b));
                pairs.iter().map(move |(a, b)| (a + from_a, b + from_b))
            });
            pairs = next.collect();
            (count_a, count_b) = (count_a * of_a, count_b * of_b);
        }
        let at = self.batch + self.rows;
        Ok(Problem {
            rows: product(&a, self.batch, self.rows),
            inner: product(&a, at, self.inner),
            columns: product(&b, at + self.inner, self.columns),
            pairs,
        })
    }
}

impl Problem {
    /// Calls `multiply` with the elements of every pair of matrices and of their product.
    fn each<T>(
        &self,
        a: &[T],
        b: &[T],
        out: &mut [T],
        mut multiply: impl FnMut(&[T], &[T], &mut [T]) -> Result<()>,
    ) -> Result<()> {
        let (of_a, of_b, of_out) =
            (self.rows * self.inner, self.inner * self.columns, self.rows * self.columns);
        for ((at_a, at_b), out) in self.pairs.iter().zip(out.chunks_exact_mut(of_out.max(1))) {
            let a = a.get(at_a * of_a..(at_a + 1) * of_a);
            let b = b.get(at_b * of_b..(at_b + 1) * of_b);
            let (Some(a), Some(b)) = (a, b) else {
                return Err(Error::Internal { message: "a block of a product is too short".to_owned() });
            };
            multiply(a, b, out)?;
        }
        Ok(())
    }
}

/// Products of floats and complex numbers.
pub(super) struct FloatProduct<T> {
    sizes: Sizes,
    of: PhantomData<fn(T)>,
}

impl<T> FloatProduct<T> {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes, of: PhantomData }
    }
}

impl<T: Field> BlockFunction for FloatProduct<T> {
    fn name(&self) -> &str {
        "product"
    }

    fn scratch_bytes(&self, elements: u64) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Gemm, elements, 1)
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        _: &TaskContext<'_>,
    ) -> Result<()> {
        let ([a, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let problem = self.sizes.problem(a, b)?;
        let Problem { rows, inner, columns, .. } = problem;
        let (a, b) = (elements::<T>(a.bytes)?, elements::<T>(b.bytes)?);
        problem.each(a, b, elements_mut(out)?, |a, b, out| {
            let (a, b) = (Matrix::new(a, rows, inner)?, Matrix::new(b, inner, columns)?);
            let out = MatrixMut::new(out, rows, columns)?;
            Cpu.gemm(out, Accumulate::Replace, T::one(), (a, Op::Plain), (b, Op::Plain))
        })
    }
}

/// Products of integers, by their bits.
pub(super) struct IntegerProduct<T> {
    sizes: Sizes,
    of: PhantomData<fn(T)>,
}

impl<T> IntegerProduct<T> {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes, of: PhantomData }
    }
}

impl<T: Element + Copy + WrappingAdd + WrappingMul> BlockFunction for IntegerProduct<T> {
    fn name(&self) -> &str {
        "product"
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let ([a, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let problem = self.sizes.problem(a, b)?;
        let (a, b) = (elements::<T>(a.bytes)?, elements::<T>(b.bytes)?);
        problem.each(a, b, elements_mut(out)?, |a, b, out| {
            cx.check_cancelled()?;
            multiply_integers(a, b, out, problem.inner, problem.columns);
            Ok(())
        })
    }
}

/// Rows of the second factor that stay in cache while the rows of the first pass by.
const PANEL: usize = 64;

/// `out = a @ b`, wrapping; `a` has rows of `inner`, `b` and `out` of `columns`.
fn multiply_integers<T: Copy + Default + WrappingAdd + WrappingMul>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    inner: usize,
    columns: usize,
) {
    out.fill(T::default());
    if inner == 0 || columns == 0 {
        return;
    }
    for (panel, b) in b.chunks(PANEL * columns).enumerate() {
        for (a, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
            for (a, b) in a.iter().skip(panel * PANEL).zip(b.chunks_exact(columns)) {
                for (sum, b) in out.iter_mut().zip(b) {
                    *sum = sum.wrapping_add(&a.wrapping_mul(b));
                }
            }
        }
    }
}

/// Results are added up; integers wrap around.
#[derive(Default)]
pub(crate) struct Sum<T> {
    of: PhantomData<fn(T)>,
}

/// What sums are of.
pub(crate) trait Summed: Element {
    /// The sum of two.
    fn plus(self, other: Self) -> Self;
}

macro_rules! summed {
    ($plus:ident: $($t:ty)*) => {$(
        impl Summed for $t {
            fn plus(self, other: Self) -> Self {
                $plus!(self, other)
            }
        }
    )*};
}
macro_rules! rounded {
    ($a:expr, $b:expr) => {
        $a + $b
    };
}
macro_rules! wrapped {
    ($a:expr, $b:expr) => {
        $a.wrapping_add($b)
    };
}
summed!(rounded: f32 f64 num_complex::Complex32 num_complex::Complex64);
summed!(wrapped: u8 u16 u32 u64);

impl<T: Summed> BlockFold for Sum<T> {
    fn combine(&self, into: &mut [Chunk], next: &[Chunk]) -> Result<()> {
        for (into, next) in into.iter_mut().zip(next) {
            let next = elements::<T>(next.bytes())?;
            for (sum, next) in elements_mut::<T>(into)?.iter_mut().zip(next) {
                *sum = sum.plus(*next);
            }
        }
        Ok(())
    }
}

/// Bytes as elements of a type with the same bits.
fn elements<T: Element>(bytes: &[u8]) -> Result<&[T]> {
    T::cast_slice(bytes).ok_or_else(not_of_type)
}

/// The elements of a chunk as those of a type with the same bits, to fill.
fn elements_mut<T: Element>(chunk: &mut Chunk) -> Result<&mut [T]> {
    bytemuck::checked::try_cast_slice_mut(chunk.bytes_mut()).map_err(|_| not_of_type())
}

fn not_of_type() -> Error {
    Error::Internal { message: "a block of a product has another dtype".to_owned() }
}
