//! The transforms of one line, with what they need besides it.
//!
//! Invariants: `from` may be shorter than the transform, which then goes on with zeros, or longer; what a line takes is of the caller's
//! pool. Called by [`super::Fourier`], a line at a time.

use super::Transform;
use super::plans::{Plan, Real};
use crate::{Buffer, BufferPool, KernelError};
use bytemuck::{Zeroable, cast_slice_mut};
use num_complex::Complex;

/// A plan with room for one line.
pub(super) struct Line<'a, T: Real> {
    plan: &'a Plan<T>,
    len: usize,
    scale: T,
    transform: Transform,
    /// Of `T`; the others of complex numbers.
    reals: Buffer,
    halves: Buffer,
    scratch: Buffer,
}

impl<'a, T: Real> Line<'a, T> {
    pub(super) fn new(
        plan: &'a Plan<T>,
        len: usize,
        scale: T,
        transform: Transform,
        pool: &BufferPool,
    ) -> Self {
        let (reals, halves) = match plan {
            Plan::Complex(_) => (0, 0),
            Plan::ToHalf(_) => (len, 0),
            Plan::ToReal(_) => (0, len / 2 + 1),
        };
        Self {
            plan,
            len,
            scale,
            transform,
            reals: pool.take(reals * size_of::<T>()),
            halves: pool.take(halves * size_of::<Complex<T>>()),
            scratch: pool.take(plan.scratch_len() * size_of::<Complex<T>>()),
        }
    }

    /// Complex values to complex frequencies, or back.
    pub(super) fn complex(&mut self, from: &[Complex<T>], to: &mut [Complex<T>]) -> Result<(), KernelError> {
        padded(from, to);
        self.complex_in_place(to)
    }

    /// As [`Line::complex`], where they are.
    pub(super) fn complex_in_place(&mut self, line: &mut [Complex<T>]) -> Result<(), KernelError> {
        let Plan::Complex(plan) = self.plan else { return Err(self.fault(line.len())) };
        plan.process_with_scratch(line, cast_slice_mut(&mut self.scratch));
        scaled(line, self.scale);
        Ok(())
    }

    /// Real values to half of their frequencies.
    pub(super) fn half(&mut self, from: &[T], to: &mut [Complex<T>]) -> Result<(), KernelError> {
        let Plan::ToHalf(plan) = self.plan else { return Err(self.fault(to.len())) };
        let reals: &mut [T] = cast_slice_mut(&mut self.reals);
        padded(from, reals);
        let done = plan.process_with_scratch(reals, to, cast_slice_mut(&mut self.scratch));
        done.map_err(|_| self.fault(to.len()))?;
        if self.transform.is_inverse() {
            to.iter_mut().for_each(|item| *item = item.conj());
        }
        scaled(to, self.scale);
        Ok(())
    }

    /// Real values to all of their frequencies: the half that is not computed is the conjugate of the other.
    pub(super) fn mirrored(&mut self, from: &[T], to: &mut [Complex<T>]) -> Result<(), KernelError> {
        let half = self.len / 2 + 1;
        let (own, others) = to.split_at_mut(half.min(to.len()));
        self.half(from, own)?;
        // The first frequency has no mirror, nor has the last of an even number.
        let last = self.len.div_ceil(2).min(own.len());
        let mirrored = own.get(1..last).unwrap_or_default();
        for (other, item) in others.iter_mut().zip(mirrored.iter().rev()) {
            *other = item.conj();
        }
        Ok(())
    }

    /// Half of the frequencies of real values to these.
    pub(super) fn real(&mut self, from: &[Complex<T>], to: &mut [T]) -> Result<(), KernelError> {
        let Plan::ToReal(plan) = self.plan else { return Err(self.fault(to.len())) };
        let halves: &mut [Complex<T>] = cast_slice_mut(&mut self.halves);
        padded(from, halves);
        if self.transform == Transform::HermitianForward {
            halves.iter_mut().for_each(|item| *item = item.conj());
        }
        // What their own mirrors are has no imaginary part; one that is given counts as none.
        let count = halves.len();
        let unpaired = [Some(0), self.len.is_multiple_of(2).then_some(count.saturating_sub(1))];
        for at in unpaired.into_iter().flatten() {
            if let Some(item) = halves.get_mut(at) {
                item.im = T::zero();
            }
        }
        let done = plan.process_with_scratch(halves, to, cast_slice_mut(&mut self.scratch));
        done.map_err(|_| self.fault(to.len()))?;
        let scale = self.scale;
        if scale != T::one() {
            to.iter_mut().for_each(|item| *item = *item * scale);
        }
        Ok(())
    }

    /// A line that is none of this transform's.
    fn fault(&self, given: usize) -> KernelError {
        let bytes = |len: usize| len.saturating_mul(size_of::<T>());
        KernelError::Length {
            what: "a line of a Fourier transform",
            given_bytes: bytes(given),
            expected_bytes: bytes(self.len),
        }
    }
}

/// Copies `from` to `to`, zeros after it.
fn padded<T: Copy + Zeroable>(from: &[T], to: &mut [T]) {
    let count = from.len().min(to.len());
    let (own, rest) = to.split_at_mut(count);
    own.copy_from_slice(from.get(..count).unwrap_or_default());
    rest.fill(T::zeroed());
}

fn scaled<T: Real>(line: &mut [Complex<T>], scale: T) {
    if scale != T::one() {
        line.iter_mut().for_each(|item| *item = Complex::new(item.re * scale, item.im * scale));
    }
}
