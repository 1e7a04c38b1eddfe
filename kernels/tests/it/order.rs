//! Sorting, quantiles, top elements and uniques beside NumPy and by definition.

use crate::oracle::{Case, Dice, compare};
use blockwise_kernels::order::{
    Quantile, QuantileMethod, Side, TopK, Unique, argsort, search_sorted, sort, sort_scratch_bytes,
};
use blockwise_kernels::{DType, Element, KernelError};
use proptest::prelude::*;

const SHAPES: [(&[usize], usize); 7] = [
    (&[23], 0),
    (&[5, 7], 0),
    (&[5, 7], 1),
    (&[2, 9, 3], 1),
    (&[3, 1, 4], 1),
    (&[150, 3], 0),
    (&[2, 700], 1),
];

/// The dtypes that NumPy sorts.
fn dtypes() -> impl Iterator<Item = DType> {
    DType::ALL.iter().copied().filter(|dtype| *dtype != DType::BF16)
}

#[test]
fn sorts_agree_with_numpy() {
    let mut dice = Dice::new(21);
    let mut cases = Vec::new();
    for dtype in dtypes() {
        for (shape, axis) in SHAPES {
            for finite in [true, false] {
                // NumPy orders complex numbers with NaN in its own ways.
                if !finite && dtype.kind() == 'c' {
                    continue;
                }
                let x = dice.numbers(dtype, shape.iter().product(), finite);
                let mut out = vec![0; x.len()];
                sort(&x, dtype, shape, axis, &mut out).unwrap();
                cases.push(Case::along("sort", (dtype, &x), (shape, axis), "", (dtype, out), 0));
                let mut places = vec![0; x.len() / dtype.size() * 8];
                argsort(&x, dtype, shape, axis, 0, &mut places).unwrap();
                let ours = (DType::I64, places);
                cases.push(Case::along("argsort", (dtype, &x), (shape, axis), "", ours, 0));
            }
        }
    }
    compare(&cases);
}

#[test]
fn quantiles_agree_with_numpy() {
    let mut dice = Dice::new(22);
    let mut cases = Vec::new();
    let q = [0.0, 0.1, 0.25, 0.5, 0.77, 1.0];
    let names = [
        "inverted_cdf",
        "averaged_inverted_cdf",
        "closest_observation",
        "interpolated_inverted_cdf",
        "hazen",
        "weibull",
        "linear",
        "median_unbiased",
        "normal_unbiased",
        "lower",
        "higher",
        "midpoint",
        "nearest",
    ];
    for dtype in dtypes().filter(|dtype| dtype.kind() != 'c' && *dtype != DType::Bool) {
        for (shape, axis) in SHAPES {
            let count = shape.iter().product();
            let cells = count / shape[axis];
            for skip_nan in [false, true] {
                // Differences of large integers wrap in NumPy; infinite neighbours are NaN there.
                let x = if dtype.kind() == 'f' {
                    let mut x = dice.numbers(dtype, count, true);
                    if skip_nan {
                        spoil(&mut x, dtype, &mut dice);
                    }
                    x
                } else {
                    let mut x = vec![0; count * dtype.size()];
                    let small: Vec<f64> = (0..count).map(|_| (dice.unit() * 90.0).floor()).collect();
                    blockwise_kernels::cast(&mut x, dtype, f64::as_bytes(&small), DType::F64).unwrap();
                    x
                };
                let nan = if skip_nan { "nan" } else { "" };
                for name in names {
                    let method: QuantileMethod = name.parse().unwrap();
                    assert_eq!(method.name(), name);
                    let quantile = Quantile::new(dtype, &q, method, skip_nan).unwrap();
                    let mut out = vec![0; cells * q.len() * quantile.output_dtype().size()];
                    quantile.run(&x, shape, axis, &mut out).unwrap();
                    let list = q.map(|q| q.to_string()).join(" ");
                    let parameters = format!("{name} {list}");
                    let ours = (quantile.output_dtype(), out);
                    let at = (shape, axis);
                    cases.push(Case::along(&format!("{nan}quantile"), (dtype, &x), at, &parameters, ours, 1));
                }
                let median = Quantile::median(dtype, skip_nan).unwrap();
                let mut out = vec![0; cells * median.output_dtype().size()];
                median.run(&x, shape, axis, &mut out).unwrap();
                let ours = (median.output_dtype(), out);
                cases.push(Case::along(&format!("{nan}median"), (dtype, &x), (shape, axis), "", ours, 1));
            }
        }
    }
    compare(&cases);
}

/// Makes some elements NaN.
fn spoil(x: &mut [u8], dtype: DType, dice: &mut Dice) {
    let mut nan = vec![0; dtype.size()];
    blockwise_kernels::cast(&mut nan, dtype, &f64::NAN.to_ne_bytes(), DType::F64).unwrap();
    for item in x.chunks_exact_mut(dtype.size()) {
        if dice.unit() < 0.2 {
            item.copy_from_slice(&nan);
        }
    }
}

/// Plain values with ties, zeros of both signs and NaN.
fn floats() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (-4..4_i32).prop_map(|x| x as f32 / 2.0),
        2 => -1e3..1e3_f32,
        1 => prop::sample::select(vec![0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ]
}

fn ordered(a: f32, b: f32) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Parts of topk merge to topk of the whole; places name the values.
    #[test]
    fn top_elements_merge(x in prop::collection::vec(floats(), 2..300), k in 1..40_i64, largest in any::<bool>(), cut in 0.0..1.0_f64) {
        let top = TopK::new(if largest { k } else { -k }, DType::F32).unwrap();
        let found = |input: &[f32], places: Option<&[i64]>| {
            let n = top.found(input.len());
            let (mut values, mut out) = (vec![0; 4 * n], vec![0; 8 * n]);
            top.run(f32::as_bytes(input), places.map(i64::as_bytes), &[input.len()], 0, &mut values, &mut out).unwrap();
            let values: Vec<f32> = values.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect();
            let places: Vec<i64> = out.chunks_exact(8).map(|b| i64::from_ne_bytes(b.try_into().unwrap())).collect();
            (values, places)
        };
        let mut expected: Vec<i64> = (0..x.len() as i64).collect();
        expected.sort_by(|&a, &b| {
            let order = ordered(x[a as usize], x[b as usize]);
            if largest { order.reverse() } else { order }
        });
        expected.truncate(k as usize);
        let whole = found(&x, None);
        prop_assert_eq!(&whole.1, &expected);
        prop_assert!(whole.0.iter().zip(&expected).all(|(value, place)| value.to_bits() == x[*place as usize].to_bits()));
        let at = (x.len() as f64 * cut) as usize;
        let (a, b) = (found(&x[..at], None), found(&x[at..], None));
        let places: Vec<i64> = a.1.iter().copied().chain(b.1.iter().map(|place| place + at as i64)).collect();
        prop_assert_eq!(found(&[a.0, b.0].concat(), Some(&places)).1, expected);
    }

    #[test]
    fn sorted_lists_are_searched(mut list in prop::collection::vec(floats(), 0..60), values in prop::collection::vec(floats(), 0..60)) {
        list.sort_by(|a, b| ordered(*a, *b));
        for side in [Side::Left, Side::Right] {
            let mut out = vec![0; 8 * values.len()];
            search_sorted(f32::as_bytes(&list), f32::as_bytes(&values), DType::F32, side, &mut out).unwrap();
            for (place, value) in out.chunks_exact(8).zip(&values) {
                let before = list.iter().filter(|x| {
                    let order = ordered(**x, *value);
                    order.is_lt() || (side == Side::Right && order.is_eq())
                });
                prop_assert_eq!(place, (before.count() as i64).to_ne_bytes());
            }
        }
    }

    #[test]
    fn uniques_merge(x in prop::collection::vec(floats(), 0..300), cut in 0.0..1.0_f64) {
        let at = (x.len() as f64 * cut) as usize;
        let whole = Unique::of(f32::as_bytes(&x), DType::F32, 0).unwrap();
        let mut second = Unique::of(f32::as_bytes(&x[at..]), DType::F32, at as i64).unwrap();
        second.merge(&Unique::of(f32::as_bytes(&x[..at]), DType::F32, 0).unwrap()).unwrap();
        prop_assert_eq!(&whole, &second);
        prop_assert_eq!(whole.counts().iter().sum::<i64>(), x.len() as i64);
        let values: Vec<f32> = whole.values().chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect();
        prop_assert!(values.windows(2).all(|pair| ordered(pair[0], pair[1]).is_lt()));
        for ((value, count), place) in values.iter().zip(whole.counts()).zip(whole.first_places()) {
            let same = |x: &&f32| ordered(**x, *value).is_eq();
            prop_assert_eq!(x.iter().filter(same).count() as i64, *count);
            prop_assert_eq!(x.iter().position(|x| same(&x)).unwrap() as i64, *place);
        }
    }
}

/// bfloat16, which NumPy lacks, and infinite neighbours, of which NumPy makes NaN.
#[test]
fn odd_values() {
    let x = [3.0, -1.0, f32::NAN, 0.5].map(half::bf16::from_f32);
    let mut out = [0; 8];
    sort(half::bf16::as_bytes(&x), DType::BF16, &[4], 0, &mut out).unwrap();
    let sorted: Vec<f32> =
        out.chunks_exact(2).map(|b| half::bf16::from_ne_bytes(b.try_into().unwrap()).to_f32()).collect();
    assert_eq!(sorted[..3], [-1.0, 0.5, 3.0]);
    assert!(sorted[3].is_nan());

    let x = [f64::INFINITY; 3];
    let mut out = [0; 8];
    let third = Quantile::new(DType::F64, &[0.3], QuantileMethod::Linear, false).unwrap();
    third.run(f64::as_bytes(&x), &[3], 0, &mut out).unwrap();
    assert_eq!(out, f64::INFINITY.to_ne_bytes());
    Quantile::median(DType::F64, true).unwrap().run(f64::as_bytes(&[f64::NAN]), &[1], 0, &mut out).unwrap();
    assert!(f64::from_ne_bytes(out).is_nan());
    assert_eq!(QuantileMethod::Lower.name(), "lower");
}

#[test]
fn mistakes_are_named() {
    let fault = Quantile::new(DType::F32, &[1.5], QuantileMethod::Linear, false).unwrap_err();
    assert_eq!(fault.to_string(), "a quantile is 1.5, but must be from 0 to 1");
    assert!(matches!(Quantile::median(DType::C64, false), Err(KernelError::Refused { .. })));
    assert!("cubic".parse::<QuantileMethod>().unwrap_err().to_string().contains("cubic"));
    assert!(TopK::new(0, DType::F32).is_err());
    assert!(sort(&[0; 12], DType::F32, &[4], 0, &mut [0; 16]).is_err());
    assert!(sort(&[0; 12], DType::F32, &[3], 1, &mut [0; 12]).is_err());
    let nothing = Quantile::new(DType::I32, &[0.5], QuantileMethod::Lower, false).unwrap();
    assert!(nothing.run(&[], &[0, 2], 0, &mut [0; 8]).is_err());
    assert!(sort_scratch_bytes(DType::F32, &[3000, 100], 0, true).unwrap() < 2 << 20);
}
