//! Elements of a rank: networks of comparisons for many windows at once; digit by digit, or selection, for large ones.
//!
//! Elements are compared as what they are, in lanes as narrow as that allows, and are made doubles when they are stored; those of 64
//! bits are compared as keys. Invariant: comparisons are carried out on whole vectors, whatever they find. Called by windows of any
//! shape.

use super::super::space::store;
use super::Window;
use super::seen::{Seen, float_of, store_keys};
use super::select::{MOST, Selection};
use crate::DType;
use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;
use std::ops::Range;

/// What the elements of a rank become on their way to the result.
pub(super) trait Found: Seen {
    /// Stores results, of elements of `source`, as those of `dtype` from number `start` on; `wide` is room for doubles.
    fn store(found: &[Self], source: DType, out: &mut [u8], dtype: DType, start: usize, wide: &mut Vec<f64>);
}

macro_rules! as_doubles {
    ($($t:ty)*) => {$(
        impl Found for $t {
            fn store(found: &[Self], _: DType, out: &mut [u8], dtype: DType, start: usize, wide: &mut Vec<f64>) {
                wide.clear();
                wide.extend(found.iter().map(|x| f64::from(*x)));
                store(out, dtype, start, wide);
            }
        }
    )*};
}
as_doubles!(u8 i8 u16 i16 f32 f64);

impl Found for u32 {
    fn store(found: &[Self], _: DType, out: &mut [u8], dtype: DType, start: usize, wide: &mut Vec<f64>) {
        wide.clear();
        wide.extend(found.iter().map(|key| f64::from(float_of(*key))));
        store(out, dtype, start, wide);
    }
}

impl Found for u64 {
    fn store(found: &[Self], source: DType, out: &mut [u8], dtype: DType, start: usize, _: &mut Vec<f64>) {
        store_keys(out, dtype, start, found, source);
    }
}

impl Window {
    /// Ranks, row by row along the last axis, from all that windows see; `LANES` results at a time.
    pub(super) fn ranks<V: Found, const LANES: usize>(
        &self,
        seen: &[V],
        wanted: &[Range<i64>],
        lengths: &[usize],
        source: DType,
        dtype: DType,
        out: &mut [u8],
    ) {
        let set = InstructionSet::best();
        let length = wanted.last().map_or(1, |range| usize::try_from(range.end - range.start).unwrap_or(0));
        let mut row = vec![V::default(); length.next_multiple_of(LANES)];
        let (mut staged, mut wide) = (Box::new([[V::default(); LANES]; MOST]), Vec::new());
        self.each_row(wanted, lengths, |base, offsets, start| {
            let from = seen.get(base..).unwrap_or_default();
            let selection = &self.selection;
            set.run(Ranks { from, offsets, selection, staged: &mut staged, out: &mut row });
            V::store(row.get(..length).unwrap_or_default(), source, out, dtype, start, &mut wide);
        });
    }
}

struct Ranks<'a, V, const LANES: usize> {
    from: &'a [V],
    offsets: &'a [usize],
    selection: &'a Selection,
    staged: &'a mut [[V; LANES]; MOST],
    out: &'a mut [V],
}

impl<V: Seen, const LANES: usize> NullaryFnOnce for Ranks<'_, V, LANES> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { from, offsets, selection, staged, out } = self;
        let mut line = Vec::new();
        for (n, out) in out.chunks_exact_mut(LANES).enumerate() {
            let seen =
                offsets.iter().filter_map(|offset| from.get(offset + n * LANES..)?.first_chunk::<LANES>());
            staged.iter_mut().zip(seen).for_each(|(to, seen)| *to = *seen);
            if selection.order(staged) {
                out.copy_from_slice(&staged[selection.rank % MOST]);
                continue;
            }
            if let (Some((first, digits)), true) = (V::DIGITS, offsets.len() <= usize::from(u16::MAX)) {
                let seen = |offset: &usize| from.get(offset + n * LANES..)?.first_chunk::<LANES>();
                out.copy_from_slice(&by_digits(offsets, seen, first, digits, selection.rank as u16));
                continue;
            }
            for (lane, out) in out.iter_mut().enumerate() {
                line.clear();
                line.extend(offsets.iter().filter_map(|offset| from.get(offset + n * LANES + lane)));
                if selection.rank < line.len() {
                    *out = *line.select_nth_unstable_by(selection.rank, V::order).1;
                }
            }
        }
    }
}

/// Elements of a rank, from the first digit to the last: the largest number that no more than `rank` elements are smaller than.
#[inline(always)]
fn by_digits<'a, V: Seen + 'a, const LANES: usize>(
    offsets: &[usize],
    seen: impl Fn(&usize) -> Option<&'a [V; LANES]>,
    first: V,
    digits: u32,
    rank: u16,
) -> [V; LANES] {
    let mut found = [first; LANES];
    for digit in (0..digits).rev() {
        let (mut next, mut smaller) = (found, [0_u16; LANES]);
        next.iter_mut().for_each(|next| *next = next.behind(digit));
        for seen in offsets.iter().filter_map(&seen) {
            for ((count, x), next) in smaller.iter_mut().zip(seen).zip(&next) {
                *count += u16::from(x < next);
            }
        }
        for ((found, next), count) in found.iter_mut().zip(next).zip(smaller) {
            *found = if count <= rank { next } else { *found };
        }
    }
    found
}
