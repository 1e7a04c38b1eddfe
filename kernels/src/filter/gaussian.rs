//! Weights of Gaussian windows and of their derivatives.
//!
//! A derivative of a Gaussian is the Gaussian times a polynomial, which follows from that of the derivative before:
//! `q' - q x / sigma^2`. Invariant: weights add up to one for order 0. Called by core's Gaussian filters.

use crate::KernelError;

/// Derivatives that are taken: the factors of the polynomials of higher ones leave the range of float64.
const MOST_ORDER: usize = 256;

/// Weights of a correlation with the derivative of `order` of a Gaussian, at the positions from `-radius` to `radius`.
///
/// ```
/// use blockwise_kernels::filter::gaussian_weights;
/// let weights = gaussian_weights(1.0, 0, 1)?;
/// assert!((weights[1] - 1.0 / (1.0 + 2.0 * (-0.5_f64).exp())).abs() < 1e-15);
/// let slope = gaussian_weights(1.0, 1, 1)?;
/// assert_eq!((slope[0], slope[1], slope[2]), (-weights[0], 0.0, weights[2]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// If `sigma` is not positive and finite, there are more than 2^24 + 1 weights, or the order is beyond 256.
pub fn gaussian_weights(sigma: f64, order: usize, radius: usize) -> Result<Vec<f64>, KernelError> {
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(KernelError::Parameter { what: "sigma", value: sigma, wanted: "above 0, and finite" });
    }
    if radius > 1 << 23 {
        let wanted = "at most 2^23";
        return Err(KernelError::Parameter {
            what: "the radius of a Gaussian",
            value: radius as f64,
            wanted,
        });
    }
    if order > MOST_ORDER {
        let (what, value) = ("the order of a derivative", order as f64);
        return Err(KernelError::Parameter { what, value, wanted: "at most 256" });
    }
    let reach = radius as i64;
    let variance = sigma * sigma;
    let mut weights: Vec<f64> = (-reach..=reach).map(|x| (-0.5 / variance * (x * x) as f64).exp()).collect();
    let total = sum_in_pairs(&weights);
    weights.iter_mut().for_each(|weight| *weight /= total);
    if order > 0 {
        let mut factors = vec![0.0; order + 1];
        factors[0] = 1.0;
        for _ in 0..order {
            let next = |n: usize| {
                let slope = factors.get(n + 1).map_or(0.0, |factor| factor * (n + 1) as f64);
                let decay = n.checked_sub(1).and_then(|n| factors.get(n)).map_or(0.0, |q| q / -variance);
                slope + decay
            };
            factors = (0..=order).map(next).collect();
        }
        // A correlation takes weights from the other end than a convolution does.
        for (weight, x) in weights.iter_mut().zip((-reach..=reach).rev()) {
            let mut power = 1.0;
            let mut value = 0.0;
            for factor in &factors {
                value += factor * power;
                power *= x as f64;
            }
            *weight *= value;
        }
    }
    Ok(weights)
}

/// A sum in NumPy's order: eight running sums, of halves where there are many.
fn sum_in_pairs(items: &[f64]) -> f64 {
    if items.len() < 8 {
        return items.iter().sum();
    }
    if items.len() > 128 {
        let half = items.len() / 2 / 8 * 8;
        let (a, b) = items.split_at(half);
        return sum_in_pairs(a) + sum_in_pairs(b);
    }
    let mut sums = [0.0; 8];
    let mut eights = items.chunks_exact(8);
    for (n, eight) in eights.by_ref().enumerate() {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum = if n == 0 { *x } else { *sum + x };
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    eights.remainder().iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_end_where_floats_do() {
        assert!(gaussian_weights(1.0, MOST_ORDER, 4).unwrap().iter().all(|weight| weight.is_finite()));
        assert!(gaussian_weights(1.0, MOST_ORDER + 1, 4).is_err());
        assert!(gaussian_weights(1.0, usize::MAX, 4).is_err());
    }
}
