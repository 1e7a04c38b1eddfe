//! One of the elements of each box: the first, the smallest, the largest, or the most frequent.
//!
//! Invariant: NaN is picked where there is nothing else, or as the first. Called by [`super::downsample`].

use super::Rows;
use crate::simd::InstructionSet;
use bytemuck::Pod;
use pulp::NullaryFnOnce;
use std::cmp::Ordering;

/// The first element of each box of a row.
pub(super) fn first<T: Copy>(rows: &Rows<'_, T>, made: &mut [T]) {
    let Some(row) = rows.each().next() else { return };
    made.iter_mut().zip(row.iter().step_by(rows.last)).for_each(|(made, x)| *made = *x);
}

/// The maker of rows of extremes: of what `is_better` prefers.
pub(super) fn extremes<T, F>(is_better: F) -> impl FnMut(&Rows<'_, T>, &mut [T])
where
    T: Pod + PartialOrd,
    F: Fn(T, T) -> bool + Copy,
{
    let set = InstructionSet::best();
    let mut best: Vec<T> = Vec::new();
    move |rows, made| set.run(Extremes { rows, is_better, best: &mut best, made })
}

struct Extremes<'a, T, F> {
    rows: &'a Rows<'a, T>,
    is_better: F,
    best: &'a mut Vec<T>,
    made: &'a mut [T],
}

impl<T: Pod + PartialOrd, F: Fn(T, T) -> bool + Copy> NullaryFnOnce for Extremes<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, is_better, best, made } = self;
        let better = |old: T, new: T| if is_better(new, old) || is_missing(&old) { new } else { old };
        for (n, row) in rows.each().enumerate() {
            if n == 0 {
                best.clear();
                best.extend_from_slice(row);
            } else {
                best.iter_mut().zip(row).for_each(|(best, x)| *best = better(*best, *x));
            }
        }
        for (made, best) in made.iter_mut().zip(best.chunks(rows.last)) {
            let [first, rest @ ..] = best else { continue };
            *made = rest.iter().fold(*first, |best, x| better(best, *x));
        }
    }
}

/// Whether it is NaN.
#[inline(always)]
fn is_missing<T: PartialOrd>(x: &T) -> bool {
    x.partial_cmp(x).is_none()
}

/// The maker of rows of modes.
pub(super) fn modes<T: Pod + PartialOrd>() -> impl FnMut(&Rows<'_, T>, &mut [T]) {
    let mut seen: Vec<T> = Vec::new();
    move |rows, made| {
        for (at, made) in made.iter_mut().enumerate() {
            let Some(first) = rows.of_box(at).next() else { continue };
            *made = *first;
            if rows.of_box(at).all(|x| x == first) {
                continue;
            }
            seen.clear();
            seen.extend(rows.of_box(at).filter(|x| !is_missing(*x)));
            seen.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
            let mut most = 0;
            for run in seen.chunk_by(|a, b| a == b).filter(|run| !run.is_empty()) {
                if run.len() > most {
                    (most, *made) = (run.len(), run[0]);
                }
            }
        }
    }
}
