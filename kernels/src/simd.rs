//! The instruction sets that typed loops are compiled for, and the one place where they are chosen.
//!
//! A loop is written once, as a struct whose `call` is inlined, and `InstructionSet::run` compiles it for each set.
//! Invariant: the loops contain nothing whose result depends on the width of a register (no fused multiply-add, no
//! reordered sums), so every set gives the same bits. Called by program steps and reductions.

use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use std::fmt;
use std::sync::OnceLock;

/// A set of processor instructions that loops are compiled for. Values exist only for what this machine has.
///
/// ```
/// use blockwise_kernels::simd::InstructionSet;
/// assert!(InstructionSet::available().contains(&InstructionSet::best()));
/// println!("loops run on {}", InstructionSet::best());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InstructionSet(Token);

#[derive(Clone, Copy)]
enum Token {
    /// What every machine of the target has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
impl Eq for Token {}

impl InstructionSet {
    /// What every machine of this target has.
    pub const BASELINE: Self = Self(Token::Baseline);

    /// The widest set of this machine; detected once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self::BASELINE))
    }

    /// Every set this machine can run, narrowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self::BASELINE];
        #[cfg(target_arch = "x86_64")]
        {
            sets.extend(V3::try_new().map(|token| Self(Token::Avx2(token))));
            sets.extend(V4::try_new().map(|token| Self(Token::Avx512(token))));
        }
        sets
    }

    /// The name users know the set by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Token::Baseline if cfg!(target_arch = "x86_64") => "SSE2",
            Token::Baseline if cfg!(target_arch = "aarch64") => "NEON",
            Token::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "AVX-512",
        }
    }

    /// How many float64 numbers a register holds.
    pub(crate) const fn float64_lanes(self) -> usize {
        match self.0 {
            Token::Baseline => 2,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => 4,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => 8,
        }
    }

    /// Runs `work`, whose `call` must be `#[inline(always)]`, compiled for this set.
    #[inline(always)]
    pub(crate) fn run<W: NullaryFnOnce>(self, work: W) -> W::Output {
        match self.0 {
            Token::Baseline => work.call(),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.vectorize(work),
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
