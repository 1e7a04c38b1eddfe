//! Normal numbers by inversion: the quantile function of one word, Wichura's AS 241 (PPND16), relative error about 1e-16.
//!
//! Invariant: a word and its complement give numbers of opposite sign. Called by [`super::Random`].

use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;

/// Half the width of the range that needs no logarithm.
const CENTRE: f64 = 0.425;

type Ratio = ([f64; 8], [f64; 8]);

const NEAR: Ratio = (
    [
        3.387_132_872_796_366_6,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
);
const FAR: Ratio = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);
const OUTER: Ratio = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

#[inline(always)]
fn ratio((top, bottom): &Ratio, x: f64) -> f64 {
    let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(top) / polynomial(bottom)
}

/// The word as a probability less one half: odd multiples of 2^-54, none of them 0 or +-1/2.
#[inline(always)]
fn centred(word: u64) -> f64 {
    (((word >> 11).cast_signed() - (1 << 52)) as f64 + 0.5) * super::SHARE_53
}

#[inline(always)]
fn centre(q: f64) -> f64 {
    q * ratio(&NEAR, CENTRE * CENTRE - q * q)
}

fn tail(q: f64) -> f64 {
    let r = (-libm::log(0.5 - q.abs())).sqrt();
    let size = if r <= 5.0 { ratio(&FAR, r - 1.6) } else { ratio(&OUTER, r - 5.0) };
    size.copysign(q)
}

/// The normal number of a word.
pub(super) fn quantile(word: u64) -> f64 {
    let q = centred(word);
    if q.abs() <= CENTRE { centre(q) } else { tail(q) }
}

/// Replaces words by the bits of their normal numbers.
pub(super) fn fill(words: &mut [u64]) {
    struct Fill<'a>(&'a mut [u64]);
    impl NullaryFnOnce for Fill<'_> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            for words in self.0.chunks_mut(64) {
                // The centre for all, in vectors; tails, about one in seven, again by themselves.
                let mut tails = [(0_usize, 0.0); 65];
                let mut count = 0;
                for (place, word) in words.iter().enumerate() {
                    let q = centred(*word);
                    tails[count] = (place, q);
                    count += usize::from(q.abs() > CENTRE);
                }
                for word in &mut *words {
                    *word = centre(centred(*word)).to_bits();
                }
                for &(place, q) in &tails[..count] {
                    words[place] = tail(q).to_bits();
                }
            }
        }
    }
    InstructionSet::best().run(Fill(words));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles that Python's `statistics.NormalDist().inv_cdf` printed, and the normal distribution of ours.
    #[test]
    fn quantiles_are_right() {
        for (k, expected) in QUANTILES {
            let (word, p) = (k << 11, (k as f64 + 0.5) * crate::random::SHARE_53);
            let got = quantile(word);
            assert!((got - expected).abs() <= 4e-15 * expected.abs(), "{k}: {got} {expected}");
            let back = 0.5 * libm::erfc(-got / std::f64::consts::SQRT_2);
            assert!((back - p).abs() <= 2e-14 * p, "{k}: {back} {p}");
            assert_eq!(quantile(!word), -got);
            let mut words = [word];
            fill(&mut words);
            assert_eq!(f64::from_bits(words[0]), got);
        }
    }

    /// The word's upper 53 bits, and the quantile of them and a half as a share of 2^53.
    const QUANTILES: [(u64, f64); 8] = [
        (0, -8.292361075813595),
        (1_000_000, -6.34526374068573),
        (1_000_000_000_000, -3.6925180166482456),
        (100_000_000_000_000, -2.2868520450190273),
        (662_000_000_000_000, -1.450233097178521),
        (675_539_944_105_574, -1.4395314709384557),
        (2_251_799_813_685_248, -0.6744897501960816),
        (4_000_000_000_000_000, -0.14060952935476187),
    ];
}
