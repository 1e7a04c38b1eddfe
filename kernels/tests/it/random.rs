//! Random numbers: the same whatever the chunks, moments and distribution functions as they should be, values that stay.

use blockwise_kernels::random::{Distribution, Random};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{DType, KernelError};
use proptest::prelude::*;

const COUNT: usize = 200_000;

fn doubles(distribution: Distribution, seed: u64) -> Vec<f64> {
    let random = Random::new(distribution, DType::F64, seed, 0).unwrap();
    let mut out = vec![0; COUNT * 8];
    random.fill(&[COUNT], &[0], &[COUNT], &mut out).unwrap();
    out.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
}

/// Mean and variance within five standard errors (of the variance by the sample's own fourth moment).
#[test]
fn moments_are_right() {
    use Distribution::*;
    let pi = std::f64::consts::PI;
    for (number, (distribution, mean, variance)) in [
        (Uniform { low: -1.0, high: 3.0 }, 1.0, 16.0 / 12.0),
        (Integers { low: -3, count: 7 }, 0.0, 4.0),
        (Bernoulli { probability: 0.3 }, 0.3, 0.21),
        (Normal { mean: 2.0, deviation: 3.0 }, 2.0, 9.0),
        (
            LogNormal { mean: 0.5, deviation: 0.4 },
            (0.58_f64).exp(),
            (0.16_f64.exp() - 1.0) * (1.16_f64).exp(),
        ),
        (Exponential { scale: 2.0 }, 2.0, 4.0),
        (Laplace { centre: 1.0, scale: 2.0 }, 1.0, 8.0),
        (Logistic { centre: 1.0, scale: 2.0 }, 1.0, 4.0 * pi * pi / 3.0),
        (Gumbel { mode: 0.0, scale: 1.0 }, 0.577_215_664_901_532_9, pi * pi / 6.0),
        (Rayleigh { scale: 2.0 }, 2.0 * (pi / 2.0).sqrt(), 4.0 * (4.0 - pi) / 2.0),
        (Weibull { shape: 2.0 }, pi.sqrt() / 2.0, 1.0 - pi / 4.0),
        (Pareto { shape: 10.0 }, 1.0 / 9.0, 10.0 / (81.0 * 8.0)),
        (Triangular { left: 0.0, mode: 1.0, right: 4.0 }, 5.0 / 3.0, (16.0 + 1.0 - 4.0) / 18.0),
        (Geometric { probability: 0.2 }, 5.0, 20.0),
        (Gamma { shape: 3.0, scale: 2.0 }, 6.0, 12.0),
        (Gamma { shape: 0.3, scale: 1.0 }, 0.3, 0.3),
        (ChiSquare { freedom: 5.0 }, 5.0, 10.0),
        (StudentT { freedom: 10.0 }, 0.0, 1.25),
        (Beta { a: 2.0, b: 3.0 }, 0.4, 0.04),
        (Beta { a: 0.5, b: 0.5 }, 0.5, 0.125),
        (Poisson { mean: 3.5 }, 3.5, 3.5),
        (Poisson { mean: 40.0 }, 40.0, 40.0),
        (Binomial { trials: 20, probability: 0.2 }, 4.0, 3.2),
        (Binomial { trials: 100, probability: 0.7 }, 70.0, 21.0),
    ]
    .into_iter()
    .enumerate()
    {
        let x = doubles(distribution, number as u64);
        let n = x.len() as f64;
        let found = x.iter().sum::<f64>() / n;
        let power = |p: i32| x.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
        assert!((found - mean).abs() < 5.0 * (variance / n).sqrt(), "{distribution:?}: mean {found}");
        let error = ((power(4) - power(2).powi(2)) / n).sqrt();
        assert!((power(2) - variance).abs() < 5.0 * error, "{distribution:?}: variance {}", power(2));
    }
}

/// The greatest distance of the sample's distribution function (Kolmogorov and Smirnov), at a level of about 1e-6.
fn distance_is_small(distribution: Distribution, cdf: impl Fn(f64) -> f64) {
    let mut x = doubles(distribution, 5);
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let distance =
        x.iter().enumerate().map(|(i, x)| (cdf(*x) - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
    assert!(distance < 2.7 / n.sqrt(), "{distribution:?}: {distance}");
}

#[test]
fn continuous_distributions_are_right() {
    use Distribution::*;
    distance_is_small(Uniform { low: 0.0, high: 1.0 }, |x| x);
    distance_is_small(Normal { mean: 0.0, deviation: 1.0 }, |x| 0.5 * libm::erfc(-x / 2.0_f64.sqrt()));
    distance_is_small(Gamma { shape: 1.0, scale: 1.0 }, |x| 1.0 - (-x).exp());
    distance_is_small(Gamma { shape: 0.5, scale: 2.0 }, |x| 1.0 - libm::erfc((x / 2.0).sqrt()));
    distance_is_small(Gamma { shape: 3.0, scale: 1.0 }, |x| 1.0 - (-x).exp() * (1.0 + x + x * x / 2.0));
    distance_is_small(Cauchy, |x| 0.5 + x.atan() / std::f64::consts::PI);
    distance_is_small(StudentT { freedom: 2.0 }, |x| 0.5 + x / (2.0 * (2.0 + x * x).sqrt()));
    distance_is_small(Beta { a: 0.5, b: 0.5 }, |x| 2.0 / std::f64::consts::PI * x.sqrt().asin());
    distance_is_small(Laplace { centre: 0.0, scale: 1.0 }, |x| {
        if x < 0.0 { 0.5 * x.exp() } else { 1.0 - 0.5 * (-x).exp() }
    });
}

/// Counts of every value beside the probability, by chi-squared at about six deviations.
fn counts_are_right(distribution: Distribution, log_share: impl Fn(f64) -> f64) {
    let x = doubles(distribution, 9);
    let n = x.len() as f64;
    let most = x.iter().copied().fold(0.0, f64::max) as usize;
    let (mut sum, mut cells) = (0.0, 0.0);
    for k in 0..=most {
        let expected = n * log_share(k as f64).exp();
        if expected >= 5.0 {
            let found = x.iter().filter(|x| **x == k as f64).count() as f64;
            sum += (found - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    assert!(cells > 5.0 && sum < cells + 6.0 * f64::sqrt(2.0 * cells), "{distribution:?}: {sum} of {cells}");
}

#[test]
fn discrete_distributions_are_right() {
    for mean in [0.7, 9.5, 10.5, 300.0] {
        counts_are_right(Distribution::Poisson { mean }, |k| k * mean.ln() - mean - libm::lgamma(k + 1.0));
    }
    for (trials, probability) in [(12, 0.3), (50, 0.9), (1000, 0.4), (100_000, 0.001)] {
        let (n, p) = (trials as f64, probability);
        counts_are_right(Distribution::Binomial { trials, probability }, |k| {
            libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0)
                + k * f64::ln(p)
                + (n - k) * f64::ln(1.0 - p)
        });
    }
}

/// Some numbers of each kind of draw: they are part of the interface.
#[test]
fn numbers_stay() {
    let show = |distribution: Distribution, dtype: DType| {
        let mut out = vec![0; 3 * dtype.size()];
        Random::new(distribution, dtype, 2024, 3).unwrap().fill(&[1 << 20], &[777], &[3], &mut out).unwrap();
        let scalars = out.chunks_exact(dtype.size());
        let texts: Vec<String> =
            scalars.map(|b| blockwise_kernels::Scalar::from_bytes(dtype, b).unwrap().to_string()).collect();
        texts.join(" ")
    };
    use Distribution::*;
    assert_eq!(show(Bits, DType::U64), "9785765624743291631 15268608371604823960 17031192458434091133");
    assert_eq!(show(Uniform { low: 0.0, high: 1.0 }, DType::F32), "0.53048736 0.8277129 0.9232628");
    assert_eq!(show(Integers { low: 0, count: 100 }, DType::U8), "53 82 92");
    assert_eq!(
        show(Normal { mean: 0.0, deviation: 1.0 }, DType::F64),
        "0.07649515928777688 0.9451659436848182 1.4273660418341618"
    );
    assert_eq!(
        show(Gamma { shape: 2.5, scale: 1.0 }, DType::F64),
        "4.749004559152336 2.6125067015205947 2.043304362367333"
    );
    assert_eq!(show(Poisson { mean: 20.0 }, DType::I64), "27 21 19");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A box is what the whole has there.
    #[test]
    fn boxes_are_of_the_whole(axes in prop::collection::vec((1..7_usize, 0.0..1.0_f64, 0.0..1.0_f64), 1..4), long in 1..2500_usize, seed in any::<u64>(), which in 0..4_usize) {
        let distribution = [
            Distribution::Uniform { low: 0.0, high: 1.0 },
            Distribution::Normal { mean: 0.0, deviation: 1.0 },
            Distribution::Poisson { mean: 12.0 },
            Distribution::Integers { low: 0, count: 0 },
        ][which];
        let mut full: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let last = full.len() - 1;
        full[last] = if which == 2 { long.min(100) } else { long };
        let mut origin = Vec::new();
        let mut shape = Vec::new();
        for (len, (_, from, share)) in full.iter().zip(&axes) {
            let at = (from * *len as f64) as usize;
            origin.push(at);
            shape.push((share * (len - at) as f64).ceil() as usize);
        }
        let dtype = distribution.dtype();
        let random = Random::new(distribution, dtype, seed, 1).unwrap();
        let mut whole = vec![0; full.iter().product::<usize>() * 8];
        random.fill(&full, &vec![0; full.len()], &full, &mut whole).unwrap();
        let len = shape.iter().product::<usize>() * 8;
        let (mut part, mut expected) = (vec![0; len], vec![0; len]);
        random.fill(&full, &origin, &shape, &mut part).unwrap();
        copy_region(&mut expected, &shape, &vec![0; shape.len()], &whole, &full, &origin, &shape, 8).unwrap();
        prop_assert_eq!(part, expected);
    }
}

#[test]
fn narrow_uniform_numbers_stay_below_the_bound() {
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let random = Random::new(Distribution::Uniform { low: 0.0, high: 1.0 }, dtype, 1, 0).unwrap();
        let mut out = vec![0; COUNT * dtype.size()];
        random.fill(&[COUNT], &[0], &[COUNT], &mut out).unwrap();
        let mut wide = vec![0; COUNT * 8];
        blockwise_kernels::cast(&mut wide, DType::F64, &out, dtype).unwrap();
        assert!(wide.chunks_exact(8).all(|b| f64::from_ne_bytes(b.try_into().unwrap()) < 1.0));
    }
}

#[test]
fn mistakes_are_named() {
    let fault = Random::new(Distribution::Gamma { shape: 0.0, scale: 1.0 }, DType::F64, 0, 0).unwrap_err();
    assert_eq!(fault.to_string(), "the shape is 0, but must be positive and finite");
    assert!(Random::new(Distribution::Poisson { mean: f64::NAN }, DType::F64, 0, 0).is_err());
    let random = Random::new(Distribution::Bits, DType::U64, 0, 0).unwrap();
    assert!(matches!(random.fill(&[4], &[2], &[3], &mut [0; 24]), Err(KernelError::Region { .. })));
    assert!(matches!(random.fill(&[4], &[0], &[3], &mut [0; 8]), Err(KernelError::Length { .. })));
}
