//! Exact sums and means: rounded once, and the same bits whatever the order and the parts.

use crate::oracle::{Case, Dice, compare};
use crate::reduce::{finished, state};
use blockwise_kernels::reduce::{Geometry, Reducer, Reduction, Statistic};
use blockwise_kernels::{Buffer, DType, Element};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

fn exact(reducer: Reducer, dtype: DType, skip_nan: bool) -> Reduction {
    Reduction::new(reducer, dtype, skip_nan).unwrap().exact()
}

fn of(reduction: &Reduction, dtype: DType, bytes: &[u8], shape: &[usize], axes: &[usize]) -> Vec<u8> {
    let geometry = Geometry::new(shape, axes).unwrap();
    let state = state(reduction, dtype, bytes, shape, &geometry);
    finished(reduction, &state, geometry.cells(), Statistic::Value).unwrap()
}

/// Of every size, subnormal ones among them, but no sum overflows.
fn any_double() -> impl Strategy<Value = f64> {
    (any::<u64>(), 0..2000_u64, any::<bool>()).prop_map(|(bits, exponent, near)| {
        let exponent = if near { 1000 + exponent % 60 } else { exponent };
        f64::from_bits(bits & !(0x7ff << 52) | exponent << 52)
    })
}

/// Beside Python's `math.fsum`, which rounds once as well.
#[test]
fn sums_are_rounded_once() {
    let mut cases = Vec::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for round in 0..40 {
        let count = 1 + round * 7;
        let values = prop::collection::vec(any_double(), count * 3).new_tree(&mut runner).unwrap().current();
        let sum = exact(Reducer::Sum, DType::F64, false);
        for (shape, axis) in [([3, count], 1), ([count, 3], 0)] {
            let ours = (DType::F64, of(&sum, DType::F64, f64::as_bytes(&values), &shape, &[axis]));
            let x = (DType::F64, f64::as_bytes(&values));
            cases.push(Case::along("fsum", x, (&shape, axis), "", ours, 0));
        }
        for dtype in [DType::F32, DType::F16] {
            let x = Dice::new(round as u64).numbers(dtype, count * 3, true);
            let sum = exact(Reducer::Sum, dtype, false);
            let ours = (dtype, of(&sum, dtype, &x, &[3, count], &[1]));
            cases.push(Case::along("fsum", (dtype, &x), (&[3, count], 1), "", ours, 0));
        }
    }
    compare(&cases);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any parts in any order give the bits of the whole.
    #[test]
    fn parts_and_order_do_not_matter(mut x in prop::collection::vec(any_double(), 1..400), cuts in prop::collection::vec(0.0..1.0_f64, 0..4), turn in 0..400_usize) {
        for reducer in [Reducer::Sum, Reducer::Mean] {
            let reduction = exact(reducer, DType::F64, false);
            let n = x.len();
            let whole = of(&reduction, DType::F64, f64::as_bytes(&x), &[n], &[0]);
            x.rotate_left(turn % n);
            let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * n as f64) as usize).collect();
            ends.extend([0, n]);
            ends.sort_unstable();
            let mut total: Option<Buffer> = None;
            for pair in ends.windows(2) {
                let part = &x[pair[0]..pair[1]];
                let state = state(&reduction, DType::F64, f64::as_bytes(part), &[part.len()], &Geometry::new(&[part.len()], &[0]).unwrap());
                match &mut total {
                    Some(total) => reduction.combine(total, &state).unwrap(),
                    None => total = Some(state),
                }
            }
            prop_assert_eq!(finished(&reduction, &total.unwrap(), 1, Statistic::Value).unwrap(), whole);
        }
    }

    /// Everything cancels but the smallest.
    #[test]
    fn nothing_is_lost(x in prop::collection::vec(any_double(), 1..200), rest in any_double()) {
        let mut all: Vec<f64> = x.iter().copied().chain([rest]).collect();
        all.extend(x.iter().map(|x| -x));
        let sum = exact(Reducer::Sum, DType::F64, false);
        let expected = rest + 0.0;
        prop_assert_eq!(of(&sum, DType::F64, f64::as_bytes(&all), &[all.len()], &[0]), expected.to_ne_bytes());
    }

    #[test]
    fn narrow_sums_are_rounded_once(x in prop::collection::vec(any::<u32>(), 1..60)) {
        let x: Vec<f32> = x.into_iter().map(f32::from_bits).filter(|x| x.is_finite()).collect();
        let sum = exact(Reducer::Sum, DType::F32, false);
        let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let narrow = of(&sum, DType::F32, f32::as_bytes(&x), &[x.len()], &[0]);
        let double = of(&exact(Reducer::Sum, DType::F64, false), DType::F64, f64::as_bytes(&wide), &[x.len()], &[0]);
        let (narrow, double) = (f32::from_ne_bytes(narrow.try_into().unwrap()), f64::from_ne_bytes(double.try_into().unwrap()));
        // Twice rounded, at most the halves fall to the other side.
        let twice = double as f32;
        prop_assert!(narrow == twice || (narrow.to_bits().abs_diff(twice.to_bits()) == 1 && (f64::from(narrow) - double).abs() == (f64::from(twice) - double).abs()), "{narrow} {double}");
    }
}

#[test]
fn odd_values() {
    let sum = |x: &[f64]| {
        let bytes =
            of(&exact(Reducer::Sum, DType::F64, false), DType::F64, f64::as_bytes(x), &[x.len()], &[0]);
        f64::from_ne_bytes(bytes.try_into().unwrap())
    };
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
    assert_eq!(sum(&[f64::NEG_INFINITY, 1.0]), f64::NEG_INFINITY);
    assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    assert!(sum(&[f64::NAN, 1.0]).is_nan());
    assert_eq!(sum(&[]), 0.0);
    assert_eq!(sum(&[f64::from_bits(1), f64::from_bits(2)]), f64::from_bits(3));
    // Halves go to the even neighbour, unless anything lies below.
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]), 1.0);
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, f64::from_bits(1)]), 1.0 + f64::EPSILON);
    assert_eq!(sum(&[1.0 + f64::EPSILON, f64::EPSILON / 2.0]), 1.0 + 2.0 * f64::EPSILON);
    // Rounding float32 by way of float64 would go down.
    let x = [1.0_f32, f32::EPSILON / 2.0, f32::from_bits(1)];
    let bytes = of(&exact(Reducer::Sum, DType::F32, false), DType::F32, f32::as_bytes(&x), &[3], &[0]);
    assert_eq!(bytes, (1.0 + f32::EPSILON).to_ne_bytes());
}

#[test]
fn means_skip_and_count() {
    let x = [1.0_f32, f32::NAN, 5.0, 2.0, 4.0, f32::NAN];
    let mean = exact(Reducer::Mean, DType::F32, true);
    let geometry = Geometry::new(&[2, 3], &[1]).unwrap();
    let state = state(&mean, DType::F32, f32::as_bytes(&x), &[2, 3], &geometry);
    let value = finished(&mean, &state, 2, Statistic::Value).unwrap();
    assert_eq!(value, f32::as_bytes(&[3.0, 3.0]));
    let counts = finished(&mean, &state, 2, Statistic::Count).unwrap();
    assert_eq!(counts, i64::as_bytes(&[2, 2]));
    let x = [1.0_f32, 2.0, 3.0, 4.0, f32::NAN, 9.0].map(f64::from); // complex numbers
    let mean = exact(Reducer::Mean, DType::C128, true);
    assert_eq!(of(&mean, DType::C128, f64::as_bytes(&x), &[3], &[0]), f64::as_bytes(&[2.0, 3.0]));
    let mean = exact(Reducer::Mean, DType::I32, false);
    assert_eq!(
        of(&mean, DType::I32, i32::as_bytes(&[1, 2, i32::MIN, i32::MAX]), &[4], &[0]),
        0.5_f64.to_ne_bytes()
    );
    assert_eq!(exact(Reducer::Sum, DType::F32, false).state_bytes(2).unwrap(), 2 * 112);
    assert_eq!(exact(Reducer::Sum, DType::I32, false).state_bytes(2).unwrap(), 16);
}
