//! Plans: the factors of a transform of one kind and length, made once and shared by all threads.
//!
//! Invariant: a plan lives as long as somebody holds it, and no longer: its memory is counted by those who do. Called by
//! [`super::Fourier`].

use crate::Element;
use bytemuck::Pod;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// What a plan transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Forward,
    Inverse,
    ToHalf,
    ToReal,
}

/// The factors of a transform.
pub(super) enum Plan<T: FftNum> {
    Complex(Arc<dyn Fft<T>>),
    ToHalf(Arc<dyn RealToComplex<T>>),
    ToReal(Arc<dyn ComplexToReal<T>>),
}

impl<T: FftNum> Plan<T> {
    fn new(kind: Kind, len: usize) -> Self {
        match kind {
            Kind::Forward => Self::Complex(FftPlanner::new().plan_fft_forward(len)),
            Kind::Inverse => Self::Complex(FftPlanner::new().plan_fft_inverse(len)),
            Kind::ToHalf => Self::ToHalf(RealFftPlanner::new().plan_fft_forward(len)),
            Kind::ToReal => Self::ToReal(RealFftPlanner::new().plan_fft_inverse(len)),
        }
    }

    /// Complex numbers of scratch.
    pub(super) fn scratch_len(&self) -> usize {
        match self {
            Self::Complex(plan) => plan.get_inplace_scratch_len(),
            Self::ToHalf(plan) => plan.get_scratch_len(),
            Self::ToReal(plan) => plan.get_scratch_len(),
        }
    }
}

/// The plans of one precision that are in use.
type Known<T> = Mutex<HashMap<(Kind, usize), Weak<Plan<T>>>>;

/// A precision.
pub(super) trait Real: FftNum + Element + Pod {
    /// The plans in use.
    fn known() -> &'static Known<Self>;
}

impl Real for f32 {
    fn known() -> &'static Known<Self> {
        static KNOWN: OnceLock<Known<f32>> = OnceLock::new();
        KNOWN.get_or_init(Known::default)
    }
}

impl Real for f64 {
    fn known() -> &'static Known<Self> {
        static KNOWN: OnceLock<Known<f64>> = OnceLock::new();
        KNOWN.get_or_init(Known::default)
    }
}

/// A plan that is made when it is first wanted.
pub(super) struct Lazy<T: Real> {
    kind: Kind,
    len: usize,
    plan: OnceLock<Arc<Plan<T>>>,
}

impl<T: Real> Lazy<T> {
    const fn new(kind: Kind, len: usize) -> Self {
        Self { kind, len, plan: OnceLock::new() }
    }

    /// The plan; one that others hold, if there is one.
    pub(super) fn get(&self) -> &Plan<T> {
        self.plan.get_or_init(|| {
            let mut known = T::known().lock().unwrap_or_else(PoisonError::into_inner);
            let key = (self.kind, self.len);
            if let Some(plan) = known.get(&key).and_then(Weak::upgrade) {
                return plan;
            }
            known.retain(|_, plan| plan.strong_count() > 0);
            let plan = Arc::new(Plan::new(self.kind, self.len));
            known.insert(key, Arc::downgrade(&plan));
            plan
        })
    }
}

/// A plan of either precision.
pub(super) enum Engine {
    Single(Lazy<f32>),
    Double(Lazy<f64>),
}

impl Engine {
    pub(super) const fn single(kind: Kind, len: usize) -> Self {
        Self::Single(Lazy::new(kind, len))
    }

    pub(super) const fn double(kind: Kind, len: usize) -> Self {
        Self::Double(Lazy::new(kind, len))
    }
}

impl Engine {
    /// Upper bound on the bytes of the plan in the making, its scratch and a line.
    pub(super) fn upper_bytes(&self) -> usize {
        /// What small lengths may take, whatever they are.
        const LEAST_BYTES: usize = 64 << 10;
        let (items, item_bytes) = match self {
            Self::Single(lazy) => (upper_items(lazy.kind, lazy.len), 8),
            Self::Double(lazy) => (upper_items(lazy.kind, lazy.len), 16),
        };
        items.saturating_mul(item_bytes).saturating_add(LEAST_BYTES)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind, len) = match self {
            Self::Single(lazy) => ("Single", lazy.kind, lazy.len),
            Self::Double(lazy) => ("Double", lazy.kind, lazy.len),
        };
        write!(f, "{name}({kind:?}, {len})")
    }
}

/// Upper bound on the complex numbers of a plan of `len` in the making, its scratch and a line.
///
/// Lengths of small factors take a factor and a place of scratch for each element, and odd lengths of reals another two places:
/// even ones are transformed as complex numbers of half the length. Another is taken while a plan is made, which the
/// allocator may keep. Other lengths are convolved with a chirp (L. Bluestein,
/// 1970) over up to four times the length, which is transformed once when the plan is made.
fn upper_items(kind: Kind, len: usize) -> usize {
    let mut rest = len;
    for factor in [2, 3, 5, 7, 11] {
        while rest > 1 && rest.is_multiple_of(factor) {
            rest /= factor;
        }
    }
    let is_complex = matches!(kind, Kind::Forward | Kind::Inverse);
    let each = match rest {
        1 if is_complex || len.is_multiple_of(2) => 4,
        1 => 6,
        _ => 21,
    };
    len.saturating_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_shared_while_held_and_given_up_after() {
        let (one, two) = (Lazy::<f64>::new(Kind::ToHalf, 1013), Lazy::<f64>::new(Kind::ToHalf, 1013));
        assert!(std::ptr::eq(one.get(), two.get()));
        drop((one, two));
        let known = f64::known().lock().unwrap();
        assert!(known.get(&(Kind::ToHalf, 1013)).is_none_or(|plan| plan.strong_count() == 0));
    }

    #[test]
    fn scratch_stays_below_its_bound() {
        for len in (1..600).chain([1024, 1029, 1155, 1537, 4093, 6561, 10_007, 30_030, 65_536, 65_539]) {
            for kind in [Kind::Forward, Kind::ToHalf, Kind::ToReal] {
                // A line besides, of half the bytes if it is real, and the factors.
                let line = if kind == Kind::Forward { 0 } else { len / 2 + 1 };
                let factors = if kind != Kind::Forward && len % 2 == 0 { len } else { len + len / 4 };
                let bytes = (Plan::<f64>::new(kind, len).scratch_len() + line + factors) * 16;
                assert!(bytes <= Engine::double(kind, len).upper_bytes(), "{kind:?} of {len}: {bytes}");
            }
        }
    }
}
