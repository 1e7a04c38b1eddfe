//! Means of boxes: rows are added up as vectors, then neighbours along the last axis.
//!
//! Invariants: sums of integers are exact, and their means rounded once, halves to even; sums of floats are made in float64 in
//! the order of the rows, then along them. Called by [`super::downsample`].

use super::Rows;
use crate::simd::InstructionSet;
use bytemuck::Pod;
use half::{bf16, f16};
use pulp::NullaryFnOnce;

/// An element with sums of type `S`.
pub(super) trait Averaged<S>: Pod {
    /// As a sum.
    fn widened(self) -> S;

    fn add(sum: S, other: S) -> S;

    /// The means of `last` sums each, of `points` elements together.
    fn means(sums: &[S], last: usize, points: usize, made: &mut [Self]);

    /// The mean of a sum of `points` elements.
    fn mean(sum: S, points: usize) -> Self;

    /// Whether it is NaN, so that something missing may have spoilt it.
    fn is_missing(self) -> bool {
        false
    }
}

/// The maker of rows of means.
pub(super) fn means<T: Averaged<S>, S: Copy>() -> impl FnMut(&Rows<'_, T>, &mut [T]) {
    let set = InstructionSet::best();
    let mut sums: Vec<S> = Vec::new();
    move |rows, made| {
        let whole = rows.length / rows.last;
        set.run(Means { rows, sums: &mut sums, made: &mut *made });
        if let (Some(made), Some(tail)) = (made.get_mut(whole), sums.get(whole * rows.last..)) {
            *made = T::mean(total::<T, S>(tail), rows.starts.len() * tail.len());
        }
        for (at, made) in made.iter_mut().enumerate().filter(|(_, made)| made.is_missing()) {
            let present = || rows.of_box(at).filter(|x| !x.is_missing()).map(|x| x.widened());
            if let Some(sum) = present().reduce(T::add) {
                *made = T::mean(sum, present().count());
            }
        }
    }
}

#[inline(always)]
fn total<T: Averaged<S>, S: Copy>(sums: &[S]) -> S {
    let [first, rest @ ..] = sums else { return T::zeroed().widened() };
    rest.iter().fold(*first, |sum, other| T::add(sum, *other))
}

/// The means of the boxes of a row that are whole along it.
struct Means<'a, T, S> {
    rows: &'a Rows<'a, T>,
    sums: &'a mut Vec<S>,
    made: &'a mut [T],
}

impl<T: Averaged<S>, S: Copy> NullaryFnOnce for Means<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, sums, made } = self;
        for (n, row) in rows.each().enumerate() {
            if n == 0 {
                sums.clear();
                sums.extend(row.iter().map(|x| x.widened()));
            } else {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum = T::add(*sum, x.widened()));
            }
        }
        T::means(sums, rows.last, rows.starts.len() * rows.last, made);
    }
}

/// Makes elements of `last` sums each.
#[inline(always)]
fn join<T: Averaged<S>, S: Copy>(sums: &[S], last: usize, made: &mut [T], mean: impl Fn(S) -> T) {
    match last {
        1 => made.iter_mut().zip(sums).for_each(|(made, sum)| *made = mean(*sum)),
        // Known lengths become shuffles of vectors.
        2 => {
            let (pairs, _) = sums.as_chunks::<2>();
            made.iter_mut().zip(pairs).for_each(|(made, [a, b])| *made = mean(T::add(*a, *b)));
        }
        _ => {
            let each = made.iter_mut().zip(sums.chunks_exact(last));
            each.for_each(|(made, sums)| *made = mean(total::<T, S>(sums)));
        }
    }
}

macro_rules! integer {
    ($($t:ty: $($sum:ty),*;)*) => {$($(
        impl Averaged<$sum> for $t {
            #[inline(always)]
            fn widened(self) -> $sum {
                <$sum>::from(self)
            }

            #[inline(always)]
            fn add(sum: $sum, other: $sum) -> $sum {
                sum + other
            }

            #[inline(always)]
            fn means(sums: &[$sum], last: usize, points: usize, made: &mut [Self]) {
                if !points.is_power_of_two() {
                    return join(sums, last, made, |sum| Self::mean(sum, points));
                }
                let (shift, mask, all) = (points.trailing_zeros(), points as $sum - 1, points as $sum);
                join(sums, last, made, |sum| {
                    let (whole, rest) = (sum >> shift, sum & mask);
                    (whole + <$sum>::from(2 * rest + (whole & 1) > all)) as $t
                });
            }

            #[inline(always)]
            fn mean(sum: $sum, points: usize) -> Self {
                let all = points as $sum;
                let (whole, rest) = (sum.div_euclid(all), sum.rem_euclid(all));
                (whole + <$sum>::from(2 * rest + (whole & 1) > all)) as $t
            }
        }
    )*)*};
}
integer! {
    u8: u32, u64;
    u16: u32, u64;
    u32: u64;
    u64: u128;
    i8: i32, i64;
    i16: i32, i64;
    i32: i64;
    i64: i128;
}

macro_rules! float {
    ($($t:ty: $to:expr, $from:expr;)*) => {$(
        impl Averaged<f64> for $t {
            #[inline(always)]
            fn widened(self) -> f64 {
                $to(self)
            }

            #[inline(always)]
            fn add(sum: f64, other: f64) -> f64 {
                sum + other
            }

            #[inline(always)]
            fn means(sums: &[f64], last: usize, points: usize, made: &mut [Self]) {
                join(sums, last, made, |sum| Self::mean(sum, points));
            }

            #[inline(always)]
            fn mean(sum: f64, points: usize) -> Self {
                $from(sum / points as f64)
            }

            fn is_missing(self) -> bool {
                self.is_nan()
            }
        }
    )*};
}
float! {
    f16: f16::to_f64, f16::from_f64;
    bf16: bf16::to_f64, bf16::from_f64;
    f32: f64::from, |x: f64| x as f32;
    f64: std::convert::identity, std::convert::identity;
}
