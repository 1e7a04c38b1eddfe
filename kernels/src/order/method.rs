//! The methods of quantiles: which ranks, and how they are mixed.
//!
//! Invariant: ranks are those of NumPy 2 in every bit of the share. Called by [`super::quantile`].

use crate::KernelError;
use std::str::FromStr;

/// How a quantile that falls between two elements is made of them: NumPy's `method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantileMethod {
    /// Hyndman and Fan's 1.
    InvertedCdf,
    /// 2.
    AveragedInvertedCdf,
    /// 3.
    ClosestObservation,
    /// 4.
    InterpolatedInvertedCdf,
    /// 5.
    Hazen,
    /// 6.
    Weibull,
    /// 7, NumPy's default.
    Linear,
    /// 8.
    MedianUnbiased,
    /// 9.
    NormalUnbiased,
    /// The lower neighbour.
    Lower,
    /// The higher neighbour.
    Higher,
    /// The mean of both neighbours.
    Midpoint,
    /// The nearer neighbour, the even one of two.
    Nearest,
}

const METHODS: [(&str, QuantileMethod); 13] = [
    ("inverted_cdf", QuantileMethod::InvertedCdf),
    ("averaged_inverted_cdf", QuantileMethod::AveragedInvertedCdf),
    ("closest_observation", QuantileMethod::ClosestObservation),
    ("interpolated_inverted_cdf", QuantileMethod::InterpolatedInvertedCdf),
    ("hazen", QuantileMethod::Hazen),
    ("weibull", QuantileMethod::Weibull),
    ("linear", QuantileMethod::Linear),
    ("median_unbiased", QuantileMethod::MedianUnbiased),
    ("normal_unbiased", QuantileMethod::NormalUnbiased),
    ("lower", QuantileMethod::Lower),
    ("higher", QuantileMethod::Higher),
    ("midpoint", QuantileMethod::Midpoint),
    ("nearest", QuantileMethod::Nearest),
];

impl FromStr for QuantileMethod {
    type Err = KernelError;
    /// NumPy's names.
    fn from_str(name: &str) -> Result<Self, KernelError> {
        let found = METHODS.iter().find(|(known, _)| *known == name);
        found.map(|(_, method)| *method).ok_or_else(|| KernelError::Name {
            what: "quantile method",
            name: name.to_owned(),
            known: "linear, lower, higher, midpoint, nearest, or another of NumPy's",
        })
    }
}

/// Two ranks and how they are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mix {
    pub(super) low: usize,
    pub(super) high: usize,
    /// The share of the higher one.
    pub(super) share: f64,
}

impl QuantileMethod {
    /// NumPy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }

    /// Whether quantiles are elements.
    pub(super) const fn is_discrete(self) -> bool {
        matches!(
            self,
            Self::InvertedCdf | Self::ClosestObservation | Self::Lower | Self::Higher | Self::Nearest
        )
    }

    /// The ranks of the quantile `q` of `count` elements, at least one.
    pub(super) fn mix(self, count: usize, q: f64) -> Mix {
        let (n, last) = (count as f64, (count - 1) as f64);
        let hyndman_fan = |alpha: f64, beta: f64| n * q + (alpha + q * (1.0 - alpha - beta)) - 1.0;
        // The next element unless `stays` is true of the fraction and the floor.
        let step = |at: f64, stays: fn(f64, f64) -> bool| {
            let floor = at.floor();
            if stays(at - floor, floor) { floor } else { floor + 1.0 }
        };
        let at = match self {
            Self::InvertedCdf => step(n * q - 1.0, |fraction, _| fraction == 0.0),
            Self::ClosestObservation => {
                step(n * q - 1.5, |fraction, floor| fraction == 0.0 && floor.rem_euclid(2.0) == 1.0)
            }
            Self::AveragedInvertedCdf => n * q - 1.0,
            Self::InterpolatedInvertedCdf => hyndman_fan(0.0, 1.0),
            Self::Hazen => hyndman_fan(0.5, 0.5),
            Self::Weibull => hyndman_fan(0.0, 0.0),
            Self::MedianUnbiased => hyndman_fan(1.0 / 3.0, 1.0 / 3.0),
            Self::NormalUnbiased => hyndman_fan(3.0 / 8.0, 3.0 / 8.0),
            Self::Linear => last * q,
            Self::Lower => (last * q).floor(),
            Self::Higher => (last * q).ceil(),
            Self::Midpoint => 0.5 * ((last * q).floor() + (last * q).ceil()),
            Self::Nearest => (last * q).round_ties_even(),
        };
        if at >= last {
            return Mix { low: count - 1, high: count - 1, share: 0.0 };
        }
        if at < 0.0 {
            return Mix { low: 0, high: 0, share: 0.0 };
        }
        let fraction = at - at.floor();
        let share = match self {
            Self::AveragedInvertedCdf => {
                if fraction == 0.0 {
                    0.5
                } else {
                    1.0
                }
            }
            _ => fraction,
        };
        let low = at as usize;
        Mix { low, high: low + 1, share }
    }
}
