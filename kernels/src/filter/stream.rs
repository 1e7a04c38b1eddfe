//! Steps one after another on slabs along the first axis, so that what one makes is in cache when the next reads it.
//!
//! Only the first of the steps that are left may look across slabs, which reads what it needs of them from its whole input;
//! so nothing is made twice but what the windows of later steps need along other axes. Invariant: slabs change no bit.
//! Called by [`Filter::run`].

use super::space::{Space, elements, shape as shape_of};
use super::step::Step;
use super::{Filter, class};
use crate::{BufferPool, DType, KernelError};
use std::ops::Range;

/// Bytes of a slab that a window along its rows makes, so that a core's cache holds it.
const SLAB_BYTES: u64 = 256 << 10;

/// Bytes of a slab that a window across its rows makes; less is no longer a slab than the window.
const DEEP_BYTES: u64 = 1 << 20;

impl Filter {
    /// Runs steps one after another on slabs along the first axis, so that what one makes is in cache when the next reads it.
    pub(super) fn stream(
        &self,
        steps: &[Step],
        source: &Space<'_>,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let Some((step, rest)) = steps.split_first() else { return Ok(()) };
        let dtype = step.dtype.unwrap_or(self.dtype);
        if rest.is_empty() {
            return step.run(source, wanted, extents, dtype, out, pool);
        }
        let shape = shape_of(wanted).into_iter().map(|length| length as u64).collect::<Vec<_>>();
        let rows = slab_rows(step, rest, &shape, dtype);
        let along = wanted.first().cloned().unwrap_or(0..1);
        let row_bytes = out.len() / usize::try_from(along.end - along.start).unwrap_or(1).max(1);
        let (mut left, mut start) = (out, along.start);
        while start < along.end {
            let end = start.saturating_add_unsigned(rows).min(along.end);
            let slab_bytes = (end - start) as usize * row_bytes;
            let (slab, after) = left.split_at_mut_checked(slab_bytes).unwrap_or_default();
            let mut part = wanted.to_vec();
            if let Some(range) = part.first_mut() {
                *range = start..end;
            }
            let to = needed(rest, &part, extents);
            let from = step.needed(&to, extents);
            let mut made = pool.take(elements(&to)? * dtype.size());
            step.run(&source.slab(&from)?, &to, extents, dtype, &mut made, pool)?;
            self.stream(rest, &Space { bytes: &made, dtype, held: &to }, &part, extents, slab, pool)?;
            (left, start) = (after, end);
        }
        Ok(())
    }

    /// Bytes that [`Filter::stream`] takes for results of `shape`.
    pub(super) fn stream_bytes(&self, steps: &[Step], shape: &[u64]) -> u64 {
        let Some((step, rest)) = steps.split_first() else { return 0 };
        if rest.is_empty() {
            return step.scratch_bytes(shape);
        }
        let dtype = step.dtype.unwrap_or(self.dtype);
        let mut part = shape.to_vec();
        if let Some(length) = part.first_mut() {
            *length = (*length).min(slab_rows(step, rest, shape, dtype));
        }
        let made = grown(rest, &part);
        let made_bytes = class(volume(&made).saturating_mul(dtype.size() as u64));
        made_bytes.saturating_add(step.scratch_bytes(&made).max(self.stream_bytes(rest, &part)))
    }
}

/// Rows along the first axis that `step` makes at a time for results of `shape`, after which `rest` is run on them.
fn slab_rows(step: &Step, rest: &[Step], shape: &[u64], dtype: DType) -> u64 {
    let (Some(length), Some(others)) = (shape.first(), shape.get(1..)) else { return 1 };
    let window = |step: &Step| {
        let (before, after) = step.reach_within(0, true);
        before as u64 + after as u64 + 1
    };
    if rest.iter().any(|step| window(step) > 1) {
        return *length;
    }
    let row_bytes = volume(others).saturating_mul(dtype.size() as u64).max(1);
    let least = match window(step) {
        1 => (SLAB_BYTES / row_bytes).max(1),
        window => (DEEP_BYTES / row_bytes).max(window),
    };
    length.div_ceil((length / least).max(1))
}

/// The shape of the box that a chain of steps needs for one of `shape`, at most.
pub(super) fn grown(steps: &[Step], shape: &[u64]) -> Vec<u64> {
    let reach = |axis| steps.iter().map(move |step| step.reach_within(axis, false));
    let longer = |(axis, length): (usize, &u64)| {
        reach(axis).fold(*length, |length, (before, after)| length.saturating_add((before + after) as u64))
    };
    shape.iter().enumerate().map(longer).collect()
}

pub(super) fn volume(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, n| product.saturating_mul(*n))
}

/// The box that a chain of steps needs for `wanted`.
pub(super) fn needed(steps: &[Step], wanted: &[Range<i64>], extents: &[Option<i64>]) -> Vec<Range<i64>> {
    steps.iter().rev().fold(wanted.to_vec(), |wanted, step| step.needed(&wanted, extents))
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, gaussian_weights};
    use super::*;
    use crate::Element;

    #[test]
    fn slabs_make_the_bits_of_one_step_after_another() {
        let shape = [61_i64, 90, 257];
        let whole: Vec<Range<i64>> = shape.iter().map(|n| 0..*n).collect();
        let extents = shape.map(Some);
        let count: i64 = shape.iter().product();
        let noise = |n: i64| (n.wrapping_mul(0x9e37_79b9_7f4a) >> 7 & 0xffff) as f64 / 64.0;
        let x: Vec<f64> = (0..count).map(noise).collect();
        let weights = gaussian_weights(1.5, 0, 6).unwrap();
        let step = |axis| Step::correlate1d(axis, &weights, 0, Edge::Reflect).unwrap();
        let pool = BufferPool::new(1 << 26);
        let run = |steps: Vec<Step>, x: &[u8]| {
            let mut out = vec![0; x.len()];
            let filter = Filter::chain(steps, DType::F64);
            filter.run(x, DType::F64, &whole, &whole, &extents, &mut out, &pool).unwrap();
            out
        };
        let lengths = shape.map(|n| n as u64);
        let rows = slab_rows(&step(0), &[step(1), step(2)], &lengths, DType::F64);
        assert!(rows < 61 && slab_rows(&step(1), &[step(2)], &lengths, DType::F64) < rows);
        assert_eq!(slab_rows(&step(1), &[step(0)], &lengths, DType::F64), 61);
        for axes in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let one_by_one =
                axes.iter().fold(f64::as_bytes(&x).to_vec(), |x, axis| run(vec![step(*axis)], &x));
            let at_once = run(axes.map(step).to_vec(), f64::as_bytes(&x));
            assert!(at_once == one_by_one, "{axes:?}");
        }
    }
}
