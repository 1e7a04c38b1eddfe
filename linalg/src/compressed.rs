//! Truncated singular value decompositions of matrices of any size, by a random basis made better in passes over the matrix.
//!
//! Invariants: the matrix is read once in a pass and never held; passes are known before anything runs; the same seed gives the
//! same basis whatever the chunks. Source: N. Halko, P.-G. Martinsson, J. Tropp, "Finding structure with randomness" (2011).
//! Called by programs, by [`crate::pca`] and by the command line.

mod passes;
mod rows;

use crate::dense::Cpu;
use crate::qr::{State, Tall, Tree, Wide, fill, internal, qr, real_dtype, write_numbers};
use crate::svd::{Factors, Svd, leading, scratch_bytes};
use blockwise_core::array::Index;
use blockwise_core::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op};
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result, Session};
use blockwise_kernels::random::Distribution;
use num_complex::Complex64;
use passes::{Long, whole};
use std::sync::Arc;

/// Least columns of a basis, as dask's.
const LEAST_WIDTH: u64 = 20;
/// Relative errors below this are lost in rounding.
const LEAST_TOLERANCE: f64 = 1e-7;

/// How a matrix is compressed to its largest singular values.
///
/// With `q` power iterations the basis is that of `(AᴴA)^q Aᴴ` times random columns, made orthonormal after every pass, and
/// the matrix is projected on it: `q + 2` passes, for what takes dask `2 q + 2`.
///
/// ```
/// use blockwise_core::{Array, Session};
/// use blockwise_linalg::Compression;
/// let a = Array::from_fn(&[3000, 400], |at| ((at[0] % 7) * (at[1] % 5) + at[0] % 3) as f64)?;
/// let compressed = Compression::new(2).with_power_iterations(1).decompose(&a.rechunk([500, 100])?)?;
/// assert_eq!((compressed.passes, compressed.svd.u.shape()), (3, vec![3000, 2]));
/// let error = Session::default().compute::<f64>(&compressed.error)?;
/// assert!(error[[]] < 1e-6);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    rank: u64,
    oversample: u64,
    power_iterations: u64,
    seed: u64,
}

/// The largest singular values of a matrix, and their vectors.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// With as many singular values as were asked for, if the matrix has them.
    pub svd: Svd,
    /// What is left of the matrix, relative to it, in the norm of Frobenius: of shape `()`, `float64`. It is exact down to 1e-7
    /// (of 64-bit elements), below which it is lost in rounding.
    pub error: Array,
    /// How often the matrix is read for all of this.
    pub passes: u64,
}

impl Compression {
    /// To `rank` singular values, with a basis of 10 columns more, no power iterations and seed 0.
    #[must_use]
    pub const fn new(rank: u64) -> Self {
        Self { rank, oversample: 10, power_iterations: 0, seed: 0 }
    }

    /// With so many columns more in the basis.
    #[must_use]
    pub const fn with_oversample(self, oversample: u64) -> Self {
        Self { oversample, ..self }
    }

    /// With so many power iterations: each makes small singular values smaller beside large ones, by their square.
    #[must_use]
    pub const fn with_power_iterations(self, power_iterations: u64) -> Self {
        Self { power_iterations, ..self }
    }

    /// With other random numbers.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The singular values that are asked for.
    #[must_use]
    pub const fn rank(&self) -> u64 {
        self.rank
    }

    /// The largest singular values of `a` and their vectors: dask's `svd_compressed`. Signs are those of [`svd`](crate::svd()).
    ///
    /// Products are taken in the matrix's own numbers and added up in 64 bits; all else is in 64 bits. A matrix whose
    /// small side is no longer than the basis is decomposed as by [`svd`](crate::svd()).
    ///
    /// Workspace: for each thread a strip of the matrix (its short side, times 32 MiB or a chunk) and four times the basis: the
    /// short side times the rank and the oversampling, in 64 bits; and a product with the long side, in memory or on disk.
    ///
    /// # Errors
    /// If the array has not two axes, or the rank is 0. NaN and infinities are errors when it is computed.
    pub fn decompose(&self, a: &Array) -> Result<Compressed> {
        self.decompose_from(a, None)
    }

    /// As [`Compression::decompose`], with the least rank whose error is at most `tolerance` (relative, in the norm of Frobenius):
    /// the rank doubles until that is reached, from the rank asked for, each time with what was found as part of the
    /// basis. All passes are counted.
    ///
    /// # Errors
    /// As [`Compression::decompose`]; if `tolerance` is below 1e-7, where errors cannot be told from rounding; what happens while
    /// the matrix is read.
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// use blockwise_linalg::Compression;
    /// let a = Array::from_fn(&[900, 300], |at| (at[0] * at[1] % 7) as f64)?;
    /// let found = Compression::new(1).decompose_to(&a, 1e-6, &Session::default())?;
    /// // Products modulo 7: rows i and 7 - i add up to the same row, so the rank is 4.
    /// assert_eq!(found.svd.s.shape(), [4]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn decompose_to(&self, a: &Array, tolerance: f64, session: &Session) -> Result<Compressed> {
        if tolerance < LEAST_TOLERANCE || tolerance.is_nan() {
            let message = format!(
                "errors below {LEAST_TOLERANCE:e} are lost in rounding; a tolerance of {tolerance:e} cannot be kept to: use svd"
            );
            return Err(Error::Usage { message });
        }
        let most = a.shape().into_iter().min().unwrap_or(0);
        let (mut rank, mut known, mut passes) = (self.rank.max(1), None, 0);
        loop {
            let attempt = Self { rank: rank.min(most), ..*self }.decompose_from(a, known.as_ref())?;
            let Svd { u, s, vh } = &attempt.svd;
            let wanted = [s.astype(DType::F64), attempt.error.clone(), u.clone(), vh.clone()];
            let found = session.compute_many(&wanted)?;
            passes += attempt.passes;
            let values = |at: usize| found.get(at).and_then(|array| array.to_elements::<f64>());
            let s_found = values(0).unwrap_or_default();
            let left = values(1).and_then(|error| error.first().copied()).unwrap_or(f64::NAN);
            if left <= tolerance || rank >= most {
                let held = |at: usize, of: &Array| {
                    let array = found.get(at).ok_or_else(|| internal("no result"))?;
                    Array::from_source(Arc::clone(array) as Arc<dyn blockwise_core::Source>)
                        .with_some_names(of.names().to_vec())
                };
                let (rank, error) = least_rank(&s_found, left, tolerance);
                let first = Index::from(0..i64::try_from(rank).unwrap_or(i64::MAX));
                let svd = Svd {
                    u: held(2, u)?.index(&[Index::from(..), first])?,
                    s: held(0, s)?.astype(s.dtype()).index(&[first])?,
                    vh: held(3, vh)?.index(&[first])?,
                };
                return Ok(Compressed { svd, error: Array::full(&[], error.into())?, passes });
            }
            // The vectors of the short side start the next attempt.
            let is_wide = matches!(a.shape()[..], [rows, columns] if columns > rows);
            let held = found.get(if is_wide { 2 } else { 3 }).ok_or_else(|| internal("no result"))?;
            let held = Array::from_source(Arc::clone(held) as Arc<dyn blockwise_core::Source>);
            known = Some(conjugate(&if is_wide { held } else { held.transpose(..)? })?);
            rank = rank.saturating_mul(2);
        }
    }

    /// With the columns of `known` in the first basis.
    fn decompose_from(&self, a: &Array, known: Option<&Array>) -> Result<Compressed> {
        let matrix = Tall::new(a)?;
        if self.rank == 0 {
            let message = "a decomposition of rank 0 has nothing in it; give 1 or more".to_owned();
            return Err(Error::Usage { message });
        }
        let short = matrix.rows.min(matrix.columns);
        let width = self.rank.saturating_add(self.oversample).max(LEAST_WIDTH);
        if width >= short {
            return exact(a, self.rank);
        }
        if matrix.is_complex() {
            self.projected::<Complex64>(&matrix, width, known)
        } else {
            self.projected::<f64>(&matrix, width, known)
        }
    }

    fn projected<T: Wide>(&self, matrix: &Tall, width: u64, known: Option<&Array>) -> Result<Compressed> {
        let long = Long::new(&matrix.array, width)?;
        let dtype = matrix.dtype;
        let mut basis = self.start::<T>(&long, width, known)?;
        for _ in 0..self.power_iterations {
            basis = qr(&long.square_times::<T>(&basis)?)?.q;
        }
        let (product, squares) = long.times::<T>(&basis)?;
        let tree = Tree::<T>::new(&product, true)?;
        let (l, k) = (usize::try_from(width), usize::try_from(self.rank));
        let (l, k) = (l.unwrap_or(usize::MAX), k.unwrap_or(usize::MAX));
        let is_transposed = long.is_transposed;
        let run = move |state: &State<T>, beside: &[T], outputs: &mut [Chunk]| {
            let [values, right, factor] = chunks(outputs)?;
            let mut found = Factors::of(state)?;
            // The rows of vh are those of the product's vectors, or of the basis times the triangle's.
            found.fix_signs(Some(if is_transposed { &state.sums } else { beside }));
            fill::<f64>(values, found.s.get(..k).unwrap_or(&found.s))?;
            fill(right, found.vh.get(..k * l).unwrap_or(&found.vh))?;
            let u: Vec<T> = found.u.chunks_exact(l).flat_map(|row| row.iter().take(k).copied()).collect();
            write_numbers(&u, factor.bytes_mut())
        };
        let outputs = [(DType::F64, [1, self.rank]), (T::DTYPE, [self.rank, width])];
        let sums = basis.sum(0)?;
        let scratch = scratch_bytes::<T>(width);
        let (made, factor) = tree.root("SVD of R", scratch, Some(&sums), &outputs, Box::new(run))?;
        let [s, small] = <[Array; 2]>::try_from(made).map_err(|_| internal("no singular values"))?;
        let s = s.index(&[Index::from(0)])?;
        let kept = s.try_mul(&s)?.sum(..)?;
        let left = Array::call("maximum", [(&squares.try_sub(&kept)?).into(), 0.0.into()])?;
        let error = Array::call("sqrt", [(&share(&left, &squares)?).into()])?;

        let long_vectors = tree.orthogonal(factor, self.rank)?.astype(dtype);
        // (vh)ᴴ of the short side: basis times the adjoint of the triangle's.
        let short_vectors = times_adjoint::<T>(&basis, &small, dtype)?;
        let name = |axis: usize| matrix.array.names().get(axis).cloned().flatten();
        let (u, vh) = if is_transposed {
            // Aᵀ = L s Wᴴ, so A = conj(W) s Lᵀ.
            (conjugate(&short_vectors)?, long_vectors.transpose(..)?)
        } else {
            (long_vectors, conjugate(&short_vectors)?.transpose(..)?)
        };
        let svd = Svd {
            u: u.with_some_names(vec![name(0), None])?,
            s: s.astype(real_dtype(dtype)),
            vh: vh.with_some_names(vec![None, name(1)])?,
        };
        Ok(Compressed { svd, error, passes: self.power_iterations + 2 })
    }

    /// The first basis of the short side: what is known, and combinations of the long side's vectors by random numbers.
    fn start<T: Wide>(&self, long: &Long, width: u64, known: Option<&Array>) -> Result<Array> {
        let normal = Distribution::Normal { mean: 0.0, deviation: 1.0 };
        let kept =
            known.and_then(|known| known.shape().get(1).copied()).unwrap_or(0).min(width.saturating_sub(1));
        let sides = [long.rows, width - kept];
        let numbers = |stream| Array::random_stream(&sides, normal, DType::F64, self.seed, stream);
        let random = match T::DTYPE {
            DType::C128 => {
                let imaginary = numbers(1)?.astype(DType::C128);
                let turned = imaginary.try_mul(blockwise_kernels::Scalar::from(Complex64::i()))?;
                numbers(0)?.astype(DType::C128).try_add(&turned)?
            }
            _ => numbers(0)?,
        };
        let found = qr(&long.adjoint_times::<T>(&random)?)?.q;
        let Some(known) = known else { return Ok(found) };
        let first = i64::try_from(kept).unwrap_or(i64::MAX);
        let known = known.index(&[Index::from(..), Index::from(0..first)])?.astype(T::DTYPE);
        // Both are of length 1 already; together they are made orthonormal.
        Ok(qr(&Array::concatenate(&[known, found], 1)?.rechunk([long.columns, width])?)?.q)
    }
}

/// All singular values, and vectors of the `rank` largest.
pub(crate) fn exact(a: &Array, rank: u64) -> Result<Compressed> {
    let (svd, all) = leading(a, rank)?;
    let squares = all.astype(DType::F64).square()?;
    let left = squares.index(&[Index::from(i64::try_from(rank).unwrap_or(i64::MAX)..)])?.sum(..)?;
    let error = share(&left, &squares.sum(..)?)?.sqrt()?;
    // The vectors of the long side take a second pass.
    Ok(Compressed { svd, error, passes: 2 })
}

/// The least rank with which at most `tolerance` of a matrix is left, and what is left then; `left` is left of all.
fn least_rank(s: &[f64], left: f64, tolerance: f64) -> (usize, f64) {
    let kept: f64 = s.iter().map(|s| s * s).sum();
    let whole = kept / (1.0 - left * left).max(f64::EPSILON);
    let mut rest = left * left * whole;
    let mut rank = s.len();
    for s in s.iter().rev().take(s.len().saturating_sub(1)) {
        let more = rest + s * s;
        if more > tolerance * tolerance * whole {
            break;
        }
        (rest, rank) = (more, rank - 1);
    }
    (rank, if whole > 0.0 { (rest / whole).sqrt() } else { 0.0 })
}

/// `part / whole`; 0 of nothing.
pub(crate) fn share(part: &Array, whole: &Array) -> Result<Array> {
    let least = Array::call("maximum", [whole.into(), f64::MIN_POSITIVE.into()])?;
    part.try_div(&least)
}

fn conjugate(array: &Array) -> Result<Array> {
    Array::call("conjugate", [array.into()])
}

/// `a bᴴ` for a tall `a` and a small `b`, as `dtype`, rows by rows.
fn times_adjoint<T: Wide>(a: &Array, b: &Array, dtype: DType) -> Result<Array> {
    let (Some(cuts), [rows, inner]) = (a.grid().axes().first().cloned(), &b.shape()[..]) else {
        return Err(internal("a product of no matrices"));
    };
    let (rows, inner) = (*rows, *inner);
    let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (width, depth) = (small(rows), small(inner));
    let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
        let ([a, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let numbers = |block: &Block<'_>| block.elements::<T>().map(<[T]>::to_vec);
        let (a, b) = numbers(a).zip(numbers(b)).ok_or_else(|| internal("factors of another dtype"))?;
        let count = a.len() / depth.max(1);
        let mut product = vec![T::zero(); count * width];
        Cpu.gemm(
            MatrixMut::new(&mut product, count, width)?,
            Accumulate::Replace,
            T::one(),
            (Matrix::new(&a, count, depth)?, Op::Plain),
            (Matrix::new(&b, width, depth)?, Op::Adjoint),
        )?;
        fill(out, &product)
    };
    let numbers = cuts.longest().saturating_mul(inner + rows).saturating_add(inner * rows);
    let scratch = numbers.saturating_mul(size_of::<T>() as u64).saturating_add(Dense::<T>::scratch_bytes(
        &Cpu,
        Leaf::Gemm,
        cuts.longest(),
        rows,
    ));
    let tasks = ChunkGrid::from_axes(vec![cuts.clone(), whole(rows)?, whole(inner)?])?;
    let made = Array::from_blocks(
        Arc::new(BlockClosure::new("basis times vectors", scratch, run)),
        vec![(&a.expand_dims(1)?).into(), (&b.expand_dims(0)?).into()],
        tasks,
        vec![Some(0), None],
        vec![(dtype, ChunkGrid::from_axes(vec![cuts, whole(rows)?])?)],
    )?;
    made.into_iter().next().ok_or_else(|| internal("no product"))
}
