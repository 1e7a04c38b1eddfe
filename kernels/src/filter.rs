//! Filters of neighbourhoods: every element becomes a function of those around it, as in SciPy's `ndimage`.
//!
//! A [`Filter`] is a list of terms, each a chain of [`Step`]s: a step is one window, along one axis ([`Step::correlate1d`],
//! [`Step::uniform`], [`Step::minimum`] …) or of any shape ([`Step::correlate`], [`Step::rank`] …). A task holds a box of
//! the input with a halo; each step computes the smallest box that the steps after it need. What lies beyond the array is
//! made of what is held, by [`Edge`].
//!
//! Invariants: windows accumulate in float64 and steps store their own dtype, as SciPy's do, but a rank of 64-bit integers is
//! one of them, not rounded; a result does not depend on
//! how the array is cut, to the last bit, because every window is added up in an order that positions in the array
//! determine. Called by core's tasks.

mod coarse;
mod components;
mod correlate;
mod gaussian;
mod herk;
mod line;
mod panel;
pub mod pass;
mod space;
mod span;
mod step;
mod stream;
mod window;

pub use coarse::{Coarsening, coarsen, coarsen_scratch_bytes};
pub use components::{Connection, leader};
pub use gaussian::gaussian_weights;
pub use span::Edge;
pub use step::Step;
pub use window::Rolling;

use crate::{Buffer, BufferPool, DType, KernelError, cast};
use std::ops::Range;

/// How the terms of a filter become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Their sum.
    Sum,
    /// The square root of the sum of their squares.
    Norm,
}

/// Chains of windows, and how their results become one.
///
/// ```
/// use blockwise_kernels::filter::{Edge, Filter, Step};
/// use blockwise_kernels::{BufferPool, DType, Element};
/// let mean = Filter::chain(vec![Step::uniform(0, 3, 0, Edge::Nearest)?], DType::F64);
/// let x = [0.0_f64, 3.0, 6.0, 9.0];
/// // All of the array is held; the elements 2 and 3 are wanted.
/// let mut out = [0; 16];
/// mean.run(f64::as_bytes(&x), DType::F64, &[0..4], &[2..4], &[Some(4)], &mut out, &BufferPool::new(1 << 20))?;
/// assert_eq!(out.chunks(8).map(|x| f64::from_ne_bytes(x.try_into().unwrap())).collect::<Vec<_>>(), [6.0, 8.0]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    chains: Vec<Vec<Step>>,
    terms: Terms,
    dtype: DType,
}

impl Filter {
    /// Steps one after another; the last one, like all others that were given none, stores `dtype`.
    #[must_use]
    pub fn chain(steps: Vec<Step>, dtype: DType) -> Self {
        Self::terms(vec![steps], Terms::Sum, dtype)
    }

    /// Several chains on the same input.
    #[must_use]
    pub const fn terms(chains: Vec<Vec<Step>>, terms: Terms, dtype: DType) -> Self {
        Self { chains, terms, dtype }
    }

    /// The dtype of the results.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Elements that a result depends on, before and after it along an axis; the same on both sides unless the axis is
    /// `endless`, for what is beyond the array is made of what is within.
    #[must_use]
    pub fn reach(&self, axis: usize, endless: bool) -> (u64, u64) {
        let of = |steps: &Vec<Step>| {
            steps.iter().fold((0_u64, 0_u64), |(before, after), step| {
                let own = step.reach_within(axis, endless);
                (before.saturating_add(own.0 as u64), after.saturating_add(own.1 as u64))
            })
        };
        let all = self.chains.iter().map(of);
        all.fold((0, 0), |most, own| (most.0.max(own.0), most.1.max(own.1)))
    }

    /// Upper bound on the bytes that [`Filter::run`] takes for a box of results of `shape`.
    #[must_use]
    pub fn scratch_bytes(&self, shape: &[u64]) -> u64 {
        let bytes = self.chains.iter().map(|steps| {
            // The input of the first step may have to be cut out of what is held: of no wider dtype than 8 bytes.
            let cut_bytes = class(stream::volume(&stream::grown(steps, shape)).saturating_mul(8));
            cut_bytes.saturating_add(self.stream_bytes(steps, shape))
        });
        let several = if self.chains.len() > 1 { class(stream::volume(shape).saturating_mul(8)) } else { 0 };
        bytes.max().unwrap_or(0).saturating_add(several)
    }

    /// Fills `out`, the box `wanted` of the result, from `input`, the box `held` of an array of `extents`; an axis that has
    /// none goes on as its other end, and all that is needed of it is held.
    ///
    /// # Errors
    /// If lengths do not fit, `held` does not hold the halo, or a dtype is complex.
    #[expect(
        clippy::too_many_arguments,
        reason = "two boxes of bytes, each with its dtype, and where they lie"
    )]
    pub fn run(
        &self,
        input: &[u8],
        dtype: DType,
        held: &[Range<i64>],
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let input = space::Space { bytes: input, dtype, held };
        let mut chains = self.chains.iter();
        let Some(first) = chains.next() else { return Ok(()) };
        self.run_chain(first, &input, wanted, extents, out, pool)?;
        if self.terms == Terms::Norm {
            square(out, self.dtype);
        }
        if self.chains.len() > 1 {
            let mut term = pool.take(out.len());
            for chain in chains {
                self.run_chain(chain, &input, wanted, extents, &mut term, pool)?;
                if self.terms == Terms::Norm {
                    square(&mut term, self.dtype);
                }
                in_pieces(out, Some(&term), self.dtype, |a, b| a + b, i64::wrapping_add);
            }
        }
        if self.terms == Terms::Norm {
            root(out, self.dtype);
        }
        Ok(())
    }

    fn run_chain(
        &self,
        steps: &[Step],
        input: &space::Space<'_>,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let first = stream::needed(steps, wanted, extents);
        let mut own: Option<Buffer> = None;
        if first != input.held {
            let mut cut = pool.take(space::elements(&first)? * input.dtype.size());
            input.cut_out(&first, &mut cut)?;
            own = Some(cut);
        }
        let bytes = own.as_deref().unwrap_or(input.bytes);
        if steps.is_empty() {
            return cast(out, self.dtype, bytes, input.dtype).map_err(|_| space::wrong_length(bytes, out));
        }
        let input = space::Space { bytes, dtype: input.dtype, held: &first };
        self.stream(steps, &input, wanted, extents, out, pool)
    }
}

/// Bytes that a pool takes for a buffer.
fn class(bytes: u64) -> u64 {
    usize::try_from(bytes).map_or(u64::MAX, |bytes| crate::buffer::size_class_bytes(bytes) as u64)
}

/// Elements that are converted at a time, on the stack.
const STAGED: usize = 512;

/// `out = float(out, other)` in float64, or `whole(out, other)` for integers, which wrap; without `other`, of `out` twice.
fn in_pieces(
    out: &mut [u8],
    other: Option<&[u8]>,
    dtype: DType,
    float: impl Fn(f64, f64) -> f64,
    whole: impl Fn(i64, i64) -> i64,
) {
    let is_whole = matches!(dtype.kind(), 'i' | 'u' | 'b');
    let wide = if is_whole { DType::I64 } else { DType::F64 };
    let (mut a, mut b) = ([0_u64; STAGED], [0_u64; STAGED]);
    let piece_bytes = STAGED * dtype.size();
    for (n, piece) in out.chunks_mut(piece_bytes).enumerate() {
        let count = piece.len() / dtype.size();
        let load = |to: &mut [u64; STAGED], from: &[u8]| {
            // Lengths agree: both are of `count` elements.
            let _ = cast(bytemuck::cast_slice_mut(&mut to[..count]), wide, from, dtype);
        };
        load(&mut a, piece);
        match other.and_then(|other| other.get(n * piece_bytes..n * piece_bytes + piece.len())) {
            Some(other) => load(&mut b, other),
            None => b = a,
        }
        for (a, b) in a.iter_mut().zip(&b) {
            *a = if is_whole {
                whole(*a as i64, *b as i64) as u64
            } else {
                float(f64::from_bits(*a), f64::from_bits(*b)).to_bits()
            };
        }
        let _ = cast(piece, dtype, bytemuck::cast_slice(&a[..count]), wide);
    }
}

fn square(out: &mut [u8], dtype: DType) {
    in_pieces(out, None, dtype, |a, b| a * b, i64::wrapping_mul);
}

/// Square roots, those of integers truncated as a cast of them.
fn root(out: &mut [u8], dtype: DType) {
    let mut wide = [0_f64; STAGED];
    for piece in out.chunks_mut(STAGED * dtype.size()) {
        let count = piece.len() / dtype.size();
        let _ = cast(bytemuck::cast_slice_mut(&mut wide[..count]), DType::F64, piece, dtype);
        wide[..count].iter_mut().for_each(|x| *x = x.sqrt());
        let _ = cast(piece, dtype, bytemuck::cast_slice(&wide[..count]), DType::F64);
    }
}
