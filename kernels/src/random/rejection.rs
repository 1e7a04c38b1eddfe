//! Distributions that draw until a number is accepted, each element from its own blocks.
//!
//! Called by [`super::Random`], which checks the parameters.

use super::normal;
use super::philox::Draws;

/// Gamma of scale 1: Marsaglia and Tsang; below shape 1 by a power of a uniform number.
pub(super) fn gamma(draws: &mut Draws, shape: f64) -> f64 {
    if shape < 1.0 {
        return gamma(draws, shape + 1.0) * libm::exp(libm::log(draws.open()) / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal::quantile(draws.next());
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        if libm::log(draws.open()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

/// Beta, by two gammas; where both vanish, by their logarithms' sizes.
pub(super) fn beta(draws: &mut Draws, a: f64, b: f64) -> f64 {
    if a >= 1.0 || b >= 1.0 {
        let (x, y) = (gamma(draws, a), gamma(draws, b));
        return x / (x + y);
    }
    // Jöhnk (1964), in logarithms, for what would underflow.
    loop {
        let (x, y) = (libm::log(draws.open()) / a, libm::log(draws.open()) / b);
        let largest = x.max(y);
        let sum = largest + libm::log(libm::exp(x - largest) + libm::exp(y - largest));
        if sum <= 0.0 {
            return libm::exp(x - sum);
        }
    }
}

/// Poisson's: products of uniform numbers below a mean of 10, else Hörmann's PTRS.
pub(super) fn poisson(draws: &mut Draws, mean: f64) -> i64 {
    if mean < 10.0 {
        let least = libm::exp(-mean);
        let (mut count, mut product) = (0, draws.open());
        while product > least {
            product *= draws.open();
            count += 1;
        }
        return count;
    }
    let (log_mean, b) = (libm::log(mean), 0.931 + 2.53 * mean.sqrt());
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let accepted = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let (u, v) = (draws.open() - 0.5, draws.open());
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + mean + 0.43).floor();
        if edge >= 0.07 && v <= accepted {
            return k as i64;
        }
        if k < 0.0 || (edge < 0.013 && v > edge) {
            continue;
        }
        let bound = libm::log(v) + libm::log(inverse_alpha) - libm::log(a / (edge * edge) + b);
        if bound <= k * log_mean - mean - libm::lgamma(k + 1.0) {
            return k as i64;
        }
    }
}

/// Binomial: inversion where few successes are expected, else Hörmann's BTRS.
pub(super) fn binomial(draws: &mut Draws, trials: u64, probability: f64) -> i64 {
    if probability > 0.5 {
        return trials.cast_signed() - binomial(draws, trials, 1.0 - probability);
    }
    let (n, p) = (trials as f64, probability);
    let odds = p / (1.0 - p);
    if n * p < 10.0 {
        let (mut u, mut k) = (draws.open(), 0.0);
        let mut share = libm::exp(n * libm::log1p(-p));
        while u > share && k < n {
            u -= share;
            k += 1.0;
            share *= (n - k + 1.0) / k * odds;
        }
        return k as i64;
    }
    let deviation = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let alpha = (2.83 + 5.1 / b) * deviation;
    let (accepted, mode) = (0.92 - 4.2 / b, ((n + 1.0) * p).floor());
    let top = libm::lgamma(mode + 1.0) + libm::lgamma(n - mode + 1.0);
    loop {
        let (u, v) = (draws.open() - 0.5, draws.open());
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + n * p + 0.5).floor();
        if k < 0.0 || k > n {
            continue;
        }
        if edge >= 0.07 && v <= accepted {
            return k as i64;
        }
        let bound = libm::log(v * alpha / (a / (edge * edge) + b));
        if bound <= top - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0) + (k - mode) * libm::log(odds) {
            return k as i64;
        }
    }
}
