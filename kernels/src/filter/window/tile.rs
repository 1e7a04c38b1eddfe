//! Loops over the points of windows, a few results in registers at a time.
//!
//! Invariant: `from[offset + n]` is what the window of result `n` sees at the point of that offset; there is room for whole
//! vectors behind the last. Called by windows of any shape.

use crate::DType;
use pulp::NullaryFnOnce;

/// Results that are in registers at a time.
pub(super) const TILE: usize = 16;

#[inline(always)]
pub(super) fn at<T>(from: &[T], offset: usize) -> Option<&[T; TILE]> {
    from.get(offset..).and_then(|rest| rest.first_chunk())
}

/// Weighted sums.
pub(super) struct Sums<'a> {
    pub(super) from: &'a [f64],
    pub(super) offsets: &'a [usize],
    pub(super) weights: &'a [f64],
    pub(super) out: &'a mut [f64],
}

impl NullaryFnOnce for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (n, out) in self.out.chunks_exact_mut(TILE).enumerate() {
            let mut sums = [0.0; TILE];
            for (offset, weight) in self.offsets.iter().zip(self.weights) {
                if let Some(seen) = at(self.from, offset + n * TILE) {
                    for (sum, x) in sums.iter_mut().zip(seen) {
                        *sum += x * weight;
                    }
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

/// How sums of elements of an integer dtype wrap, if they do: the smallest number, and how many there are.
#[derive(Clone, Copy)]
pub(super) struct Wrap(Option<(f64, f64)>);

impl Wrap {
    pub(super) fn of(dtype: DType) -> Self {
        let count = 2.0_f64.powi(dtype.size() as i32 * 8);
        Self(match dtype.kind() {
            _ if dtype.size() == 8 => None,
            'b' | 'u' => Some((0.0, count)),
            'i' => Some((-count / 2.0, count)),
            _ => None,
        })
    }

    #[inline(always)]
    fn apply(self, x: f64) -> f64 {
        let Some((least, count)) = self.0 else { return x };
        let whole = x.trunc();
        whole - count * ((whole - least) / count).floor()
    }
}

/// Smallest or largest, each with what is added to it.
pub(super) struct Extremes<'a, const SMALLEST: bool> {
    pub(super) from: &'a [f64],
    pub(super) offsets: &'a [usize],
    pub(super) added: Option<(&'a [f64], Wrap)>,
    pub(super) out: &'a mut [f64],
}

impl<const SMALLEST: bool> NullaryFnOnce for Extremes<'_, SMALLEST> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (n, out) in self.out.chunks_exact_mut(TILE).enumerate() {
            let mut found = [if SMALLEST { f64::INFINITY } else { f64::NEG_INFINITY }; TILE];
            for (point, offset) in self.offsets.iter().enumerate() {
                let Some(seen) = at(self.from, offset + n * TILE) else { continue };
                let mut seen = *seen;
                if let Some((added, wrap)) = self.added {
                    let added = added.get(point).copied().unwrap_or(0.0);
                    // As in SciPy: the first point's sum is a double, those of the others are of the dtype.
                    let wrap = if point == 0 { Wrap(None) } else { wrap };
                    seen.iter_mut().for_each(|x| *x = wrap.apply(*x + added));
                }
                for (found, x) in found.iter_mut().zip(seen) {
                    let is_next = if SMALLEST { x < *found } else { x > *found };
                    *found = if is_next { x } else { *found };
                }
            }
            out.copy_from_slice(&found);
        }
    }
}

/// Whether all or any are other than zero.
pub(super) struct Binary<'a, const ALL: bool> {
    pub(super) from: &'a [u8],
    pub(super) offsets: &'a [usize],
    pub(super) out: &'a mut [f64],
}

impl<const ALL: bool> NullaryFnOnce for Binary<'_, ALL> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (n, out) in self.out.chunks_exact_mut(TILE).enumerate() {
            let mut found = [u8::from(ALL); TILE];
            for offset in self.offsets {
                if let Some(seen) = at(self.from, offset + n * TILE) {
                    for (found, x) in found.iter_mut().zip(seen) {
                        *found = if ALL { *found & x } else { *found | x };
                    }
                }
            }
            out.iter_mut().zip(found).for_each(|(out, found)| *out = f64::from(found));
        }
    }
}
