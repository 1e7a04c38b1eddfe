//! Numbers that carry what rounding left of them, and the arithmetic that reductions share.
//!
//! Sums of float64 are [`Carried`]: twice the digits, so that results hardly depend on the order or the cuts. Sums of
//! narrower floats are plain doubles, whose digits are more than enough for a result of 24 bits.
//!
//! Invariant: nothing here depends on the instruction set. Sources: D. Knuth's two-sum; T. Dekker, "A floating-point
//! technique for extending the available precision" (1971). Called by [`super::sums`], [`super::moments`],
//! [`super::products`], histograms and scans.

use bytemuck::Pod;
use std::ops::{Add, Mul};

/// A sum and the errors of its additions.
#[inline(always)]
pub(crate) fn add((sum, error): (f64, f64), item: f64) -> (f64, f64) {
    let (total, left) = two_sum(sum, item);
    (total, error + left)
}

/// Both sums together.
#[inline(always)]
pub(crate) fn merge(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (sum, error) = add(a, b.0);
    (sum, error + b.1)
}

#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let total = a + b;
    let part = total - a;
    (total, (a - (total - part)) + (b - part))
}

/// A number as states keep it.
pub(super) trait Number: Copy + Add<Output = Self> + Mul<Output = Self> {
    /// Columns that it takes in a state.
    const COLUMNS: usize;
    const ZERO: Self;
    fn new(high: f64, low: f64) -> Self;
    fn parts(self) -> (f64, f64);
    /// `a - b`, as exactly as this kind of number is.
    fn distance(a: f64, b: f64) -> Self;
    /// The nearest double; where it is not finite, what is left has no meaning.
    fn double(self) -> f64;
    /// One share of `count`.
    fn over(self, count: f64) -> Self;

    #[inline(always)]
    fn of(x: f64) -> Self {
        Self::new(x, 0.0)
    }

    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        self * Self::of(factor)
    }
}

impl Number for f64 {
    const COLUMNS: usize = 1;
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn new(high: f64, _: f64) -> Self {
        high
    }
    #[inline(always)]
    fn parts(self) -> (f64, f64) {
        (self, 0.0)
    }
    #[inline(always)]
    fn distance(a: f64, b: f64) -> Self {
        a - b
    }
    #[inline(always)]
    fn double(self) -> f64 {
        self
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        self / count
    }
}

/// A double, and what rounding left of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Carried {
    high: f64,
    low: f64,
}

impl Add for Carried {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (high, low) = merge((self.high, self.low), (other.high, other.low));
        Self { high, low }
    }
}

impl Mul for Carried {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let high = self.high * other.high;
        let left = self.high.mul_add(other.high, -high);
        Self { high, low: left + (self.high * other.low + self.low * other.high) }
    }
}

impl Number for Carried {
    const COLUMNS: usize = 2;
    const ZERO: Self = Self { high: 0.0, low: 0.0 };
    #[inline(always)]
    fn new(high: f64, low: f64) -> Self {
        Self { high, low }
    }
    #[inline(always)]
    fn parts(self) -> (f64, f64) {
        (self.high, self.low)
    }
    #[inline(always)]
    fn distance(a: f64, b: f64) -> Self {
        let (high, low) = two_sum(a, -b);
        Self { high, low }
    }
    #[inline(always)]
    fn double(self) -> f64 {
        if self.high.is_finite() { self.high + self.low } else { self.high }
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        if !self.high.is_finite() {
            return Self::of(self.high / count);
        }
        let (sum, left) = two_sum(self.high, self.low);
        let high = sum / count;
        Self { high, low: ((-high).mul_add(count, sum) + left) / count }
    }
}

/// A type of tiles whose sums are kept as `Sum`.
pub(super) trait Summand: Pod {
    type Sum: Number;
    fn wide(self) -> f64;
}

impl Summand for f32 {
    type Sum = f64;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Summand for f64 {
    type Sum = Carried;
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}
