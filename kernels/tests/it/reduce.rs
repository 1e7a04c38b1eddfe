//! Reductions beside NumPy and beside plain loops, and what must not change their bits.

use crate::oracle::{Case, Dice, compare};
use blockwise_kernels::program::{Builder, Input, Scratch};
use blockwise_kernels::reduce::{Geometry, ReduceError, Reducer, Reduction, Statistic};
use blockwise_kernels::simd::InstructionSet;
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{Buffer, DType, Element};
use proptest::prelude::*;
use std::fmt::Write as _;

/// The state of a chunk.
pub(crate) fn state(
    reduction: &Reduction,
    dtype: DType,
    bytes: &[u8],
    shape: &[usize],
    geometry: &Geometry,
) -> Buffer {
    let mut builder = Builder::new();
    let x = builder.input(dtype);
    let tile = builder.cast(x, reduction.tile_dtype()).unwrap();
    let program = builder.finish(&[tile]).unwrap();
    let mut state = Buffer::zeroed(reduction.state_bytes(geometry.cells()).unwrap());
    let mut pass = reduction.begin(geometry, &mut state).unwrap();
    let mut seen = 0;
    program
        .for_each_tile(
            &[Input::contiguous(bytes, dtype)],
            shape,
            reduction.walk(geometry).ranges(),
            &mut Scratch::default(),
            |first, tiles| {
                seen += tiles[0].len() / reduction.tile_dtype().size();
                pass.tile(first, tiles[0]);
            },
        )
        .unwrap();
    pass.end();
    assert_eq!(seen, shape.iter().product::<usize>());
    state
}

/// A statistic of a state.
pub(crate) fn finished(
    reduction: &Reduction,
    state: &[u8],
    cells: usize,
    statistic: Statistic,
) -> Result<Vec<u8>, ReduceError> {
    let mut out = Buffer::zeroed(cells * reduction.output_dtype(statistic).size());
    reduction.finish(state, statistic, &mut out)?;
    Ok(out.to_vec())
}

const FUNCTIONS: [(&str, Reducer, Statistic, bool); 22] = [
    ("sum", Reducer::Sum, Statistic::Value, false),
    ("prod", Reducer::Product, Statistic::Value, false),
    ("min", Reducer::Min, Statistic::Value, false),
    ("max", Reducer::Max, Statistic::Value, false),
    ("any", Reducer::Any, Statistic::Value, false),
    ("all", Reducer::All, Statistic::Value, false),
    ("count_nonzero", Reducer::CountNonzero, Statistic::Value, false),
    ("mean", Reducer::Mean, Statistic::Value, false),
    ("mean", Reducer::Moments, Statistic::Value, false),
    ("var", Reducer::Variance, Statistic::Variance { ddof: 0.0 }, false),
    ("var", Reducer::Moments, Statistic::Variance { ddof: 1.0 }, false),
    ("std", Reducer::Variance, Statistic::StandardDeviation { ddof: 1.0 }, false),
    ("argmin", Reducer::ArgMin, Statistic::Value, false),
    ("argmax", Reducer::ArgMax, Statistic::Value, false),
    ("nansum", Reducer::Sum, Statistic::Value, true),
    ("nanprod", Reducer::Product, Statistic::Value, true),
    ("nanmin", Reducer::Min, Statistic::Value, true),
    ("nanmax", Reducer::Max, Statistic::Value, true),
    ("nanmean", Reducer::Mean, Statistic::Value, true),
    ("nanvar", Reducer::Variance, Statistic::Variance { ddof: 0.0 }, true),
    ("nanargmin", Reducer::ArgMin, Statistic::Value, true),
    ("nanargmax", Reducer::ArgMax, Statistic::Value, true),
];

/// Every function of every dtype over inner, outer, mixed and all axes.
#[test]
fn reductions_agree_with_numpy() {
    let mut dice = Dice::new(3);
    let mut cases = Vec::new();
    for (name, reducer, statistic, skip_nan) in FUNCTIONS {
        for &dtype in DType::ALL {
            // bfloat16 is no type of NumPy's reductions; complex extremes meet NaN in NumPy's own order.
            let odd = dtype == DType::BF16
                || (dtype.kind() == 'c'
                    && name.contains("m")
                    && reducer != Reducer::Sum
                    && reducer != Reducer::Mean);
            if odd {
                continue;
            }
            for (shape, axes) in [
                (vec![37], vec![0]),
                (vec![2, 3, 7], vec![0]),
                (vec![2, 3, 7], vec![1]),
                (vec![2, 3, 7], vec![2]),
                (vec![2, 3, 7], vec![0, 2]),
                (vec![2, 3, 7], vec![0, 1, 2]),
                (vec![4, 1, 9], vec![1]),
            ] {
                let arg = matches!(reducer, Reducer::ArgMin | Reducer::ArgMax);
                if arg && axes.len() > 1 {
                    continue;
                }
                let count = shape.iter().product();
                // Without NaN and infinity half of the time: else most results are NaN.
                let bytes = dice.numbers(dtype, count, cases.len() % 2 == 0 && !skip_nan);
                let Ok(reduction) = Reduction::new(reducer, dtype, skip_nan) else { continue };
                let geometry = Geometry::new(&shape, &axes).unwrap();
                let state = state(&reduction, dtype, &bytes, &shape, &geometry);
                let ours = finished(&reduction, &state, geometry.cells(), statistic);
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let list =
                    |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
                let mut text =
                    format!("input {dtype} {hex}\nreduce {name} %0 {} {},", list(&shape), list(&axes));
                match statistic {
                    Statistic::Variance { ddof } | Statistic::StandardDeviation { ddof } => {
                        write!(text, " {ddof}").unwrap();
                    }
                    _ => {}
                }
                text.push_str("\nend\n");
                // Sums differ by NumPy's own rounding.
                let ulps =
                    if dtype.kind() == 'i' || dtype.kind() == 'u' || dtype.kind() == 'b' { 4 } else { 16 };
                cases.push(Case {
                    text,
                    ours: ours
                        .map(|bytes| (reduction.output_dtype(statistic), bytes))
                        .map_err(|e| e.to_string()),
                    ulps,
                });
            }
        }
    }
    assert!(cases.len() > 1500, "{}", cases.len());
    compare(&cases);
}

/// Shapes and axes, with long rows and columns among them.
fn chunk() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let shapes = prop_oneof![
        prop::collection::vec(0..6_usize, 0..5),
        (1..5_usize, 1..5_usize, 500..2500_usize).prop_map(|(a, b, c)| vec![a, b, c]),
        (1..4_usize, 900..1300_usize, 1..4_usize).prop_map(|(a, b, c)| vec![a, b, c]),
    ];
    shapes.prop_flat_map(|shape| {
        let axes = prop::sample::subsequence((0..shape.len()).collect::<Vec<_>>(), 0..=shape.len());
        (Just(shape), axes)
    })
}

fn values(count: usize, seed: u64) -> Vec<f64> {
    let mut dice = Dice::new(seed);
    (0..count).map(|_| (dice.unit() - 0.3) * 100.0).collect()
}

/// The cell and the reduced element of a flat index, by the definition.
fn place(shape: &[usize], axes: &[usize], mut flat: usize) -> (usize, usize) {
    let (mut cell, mut element, mut cells, mut elements) = (0, 0, 1, 1);
    for (axis, len) in shape.iter().enumerate().rev() {
        let index = flat % len;
        flat /= len;
        if axes.contains(&axis) {
            element += index * elements;
            elements *= len;
        } else {
            cell += index * cells;
            cells *= len;
        }
    }
    (cell, element)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn chunks_reduce_as_defined((shape, axes) in chunk(), seed in any::<u64>()) {
        let count: usize = shape.iter().product();
        let x = values(count, seed);
        let geometry = Geometry::new(&shape, &axes).unwrap();
        let cells = geometry.cells();
        let mut groups = vec![Vec::new(); cells];
        for (flat, x) in x.iter().enumerate() {
            let (cell, element) = place(&shape, &axes, flat);
            groups[cell].push((element, *x));
        }
        for reducer in [Reducer::Sum, Reducer::Max, Reducer::Moments, Reducer::Variance, Reducer::ArgMin] {
            let reduction = Reduction::new(reducer, DType::F64, false).unwrap();
            let mut first: Option<Vec<u8>> = None;
            for set in InstructionSet::available() {
                let state = state(&reduction.with_instruction_set(set), DType::F64, f64::as_bytes(&x), &shape, &geometry).to_vec();
                if let Some(first) = &first {
                    prop_assert_eq!(first, &state, "{:?} {}", reducer, set);
                }
                first = Some(state);
            }
            let mut kept = Buffer::zeroed(first.as_ref().unwrap().len());
            kept.copy_from_slice(first.as_ref().unwrap());
            if groups.iter().any(Vec::is_empty) {
                continue;
            }
            let doubles = |statistic| -> Vec<f64> {
                let bytes = finished(&reduction, &kept, cells, statistic).unwrap();
                bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
            };
            let sums = |power: i32, centre: &dyn Fn(usize) -> f64| -> Vec<f64> {
                groups.iter().enumerate().map(|(cell, g)| g.iter().map(|(_, x)| (x - centre(cell)).powi(power)).sum()).collect()
            };
            let close = |a: &[f64], b: &[f64], tolerance: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()));
            match reducer {
                Reducer::Sum => prop_assert!(close(&doubles(Statistic::Value), &sums(1, &|_| 0.0), 1e-11)),
                Reducer::Max => {
                    let expected: Vec<f64> = groups.iter().map(|g| g.iter().fold(f64::NEG_INFINITY, |m, x| m.max(x.1))).collect();
                    prop_assert_eq!(doubles(Statistic::Value), expected);
                }
                Reducer::ArgMin => {
                    let expected: Vec<i64> = groups.iter().map(|g| g.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0 as i64).collect();
                    let bytes = finished(&reduction, &kept, cells, Statistic::Value).unwrap();
                    let places: Vec<i64> = bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
                    prop_assert_eq!(places, expected);
                }
                _ => {
                    let n: Vec<f64> = groups.iter().map(|g| g.len() as f64).collect();
                    let means: Vec<f64> = sums(1, &|_| 0.0).iter().zip(&n).map(|(s, n)| s / n).collect();
                    let m2 = sums(2, &|cell| means[cell]);
                    let variances: Vec<f64> = m2.iter().zip(&n).map(|(m, n)| m / n).collect();
                    prop_assert!(close(&doubles(Statistic::Value), &means, 1e-12));
                    let variance = Statistic::Variance { ddof: 0.0 };
                    prop_assert!(close(&doubles(variance), &variances, 1e-11));
                    if reducer == Reducer::Moments && geometry.reduced() > 5 {
                        let (m3, m4) = (sums(3, &|cell| means[cell]), sums(4, &|cell| means[cell]));
                        let skew: Vec<f64> = (0..cells).map(|c| n[c].sqrt() * m3[c] / m2[c].powf(1.5)).collect();
                        let kurtosis: Vec<f64> = (0..cells).map(|c| n[c] * m4[c] / (m2[c] * m2[c]) - 3.0).collect();
                        prop_assert!(close(&doubles(Statistic::Skewness), &skew, 1e-9));
                        prop_assert!(close(&doubles(Statistic::Kurtosis), &kurtosis, 1e-9));
                    }
                }
            }
        }
    }

    /// Two parts of an array, combined, are the array.
    #[test]
    fn parts_combine((shape, axes) in chunk(), cut in 0.0..1.0_f64, seed in any::<u64>()) {
        let Some(&axis) = axes.first() else { return Ok(()) };
        let count: usize = shape.iter().product();
        // Of two zeros either may be the smaller: there are none of -0.0.
        let whole: Vec<f64> = values(count, seed).iter().map(|x| x.round() + 0.0).collect();
        let at = (shape[axis] as f64 * cut) as usize;
        let kept = Geometry::new(&shape, &axes).unwrap();
        for reducer in [Reducer::Sum, Reducer::Min, Reducer::Mean, Reducer::Moments, Reducer::ArgMax, Reducer::Product] {
            let reduction = Reduction::new(reducer, DType::F64, false).unwrap();
            let all = state(&reduction, DType::F64, f64::as_bytes(&whole), &shape, &kept);
            let mut parts = [(0, at), (at, shape[axis] - at)].map(|(from, len)| {
                let (mut part, mut origin) = (shape.clone(), vec![0; shape.len()]);
                part[axis] = len;
                origin[axis] = from;
                let mut bytes = Buffer::zeroed(part.iter().product::<usize>() * 8);
                copy_region(&mut bytes, &part, &vec![0; part.len()], f64::as_bytes(&whole), &shape, &origin, &part, 8).unwrap();
                let geometry = Geometry::new(&part, &axes).unwrap().placed(&part, &axes, &origin, &shape).unwrap();
                state(&reduction, DType::F64, &bytes, &part, &geometry)
            });
            let [first, second] = &mut parts;
            // Positions do not depend on the order.
            let (into, from) = if reducer == Reducer::ArgMax { (second, first) } else { (first, second) };
            reduction.combine(into, from).unwrap();
            if kept.reduced() == 0 {
                continue;
            }
            if reducer == Reducer::ArgMax || reducer == Reducer::Sum || reducer == Reducer::Min {
                let value = |state: &[u8]| finished(&reduction, state, kept.cells(), Statistic::Value).unwrap();
                prop_assert_eq!(value(into), value(&all), "{:?}", reducer);
                continue;
            }
            let statistic = if reducer == Reducer::Moments { Statistic::Variance { ddof: 0.0 } } else { Statistic::Value };
            let value = |state: &[u8]| -> Vec<f64> {
                finished(&reduction, state, kept.cells(), statistic).unwrap().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
            };
            for (a, b) in value(into).iter().zip(value(&all)) {
                let lost = reducer == Reducer::Product && !(a.is_finite() && b.is_finite());
                prop_assert!(*a == b || lost || (a - b).abs() <= 1e-10 * b.abs().max(1e-300) || (a.is_nan() && b.is_nan()), "{:?} {} {}", reducer, a, b);
            }
        }
    }
}

/// A sum that plain doubles lose is kept.
#[test]
fn sums_carry_their_errors() {
    let mut x = vec![1e16];
    x.extend(std::iter::repeat_n(1.0, 4000));
    x.push(-1e16);
    let reduction = Reduction::new(Reducer::Sum, DType::F64, false).unwrap();
    for (shape, axes) in [(vec![4002], vec![0]), (vec![4002, 1], vec![0]), (vec![2, 2001], vec![0, 1])] {
        let geometry = Geometry::new(&shape, &axes).unwrap();
        let state = state(&reduction, DType::F64, f64::as_bytes(&x), &shape, &geometry);
        assert_eq!(finished(&reduction, &state, 1, Statistic::Value).unwrap(), 4000.0_f64.to_le_bytes());
    }
    let infinite = [f64::INFINITY, 1.0, 2.0];
    let geometry = Geometry::new(&[3], &[0]).unwrap();
    let state = state(&reduction, DType::F64, f64::as_bytes(&infinite), &[3], &geometry);
    assert_eq!(finished(&reduction, &state, 1, Statistic::Value).unwrap(), f64::INFINITY.to_le_bytes());
}

#[test]
fn variances_without_a_degree_of_freedom_are_numpys() {
    let x = f64::as_bytes(&[1.0, 2.0]).to_vec();
    let geometry = Geometry::new(&[2], &[0]).unwrap();
    for (skip_nan, expected) in [(false, f64::INFINITY), (true, f64::NAN)] {
        for reducer in [Reducer::Variance, Reducer::Moments] {
            let reduction = Reduction::new(reducer, DType::F64, skip_nan).unwrap();
            let state = state(&reduction, DType::F64, &x, &[2], &geometry);
            for ddof in [2.0, 3.0] {
                for statistic in [Statistic::Variance { ddof }, Statistic::StandardDeviation { ddof }] {
                    let found = finished(&reduction, &state, 1, statistic).unwrap();
                    let found = f64::from_ne_bytes(found.try_into().unwrap());
                    assert!(found == expected || (found.is_nan() && expected.is_nan()), "{found}");
                }
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    assert_eq!(Geometry::new(&[2, 3], &[2]), Err(ReduceError::Axis { axis: 2, rank: 2 }));
    assert_eq!(Geometry::new(&[2, 3], &[1, 1]), Err(ReduceError::Axis { axis: 1, rank: 2 }));
    assert!(matches!(Reduction::new(Reducer::ArgMax, DType::C64, false), Err(ReduceError::Refused { .. })));
    let geometry = Geometry::new(&[3], &[0]).unwrap();
    assert!(matches!(geometry.clone().placed(&[3], &[0], &[2], &[4]), Err(ReduceError::Origin { .. })));
    let nan = Reduction::new(Reducer::ArgMax, DType::F32, true).unwrap();
    let bytes = f32::as_bytes(&[f32::NAN; 3]).to_vec();
    let state = state(&nan, DType::F32, &bytes, &[3], &geometry);
    assert_eq!(finished(&nan, &state, 1, Statistic::Value), Err(ReduceError::AllNan { cell: 0 }));
    let sum = Reduction::new(Reducer::Sum, DType::F64, false).unwrap();
    let fault = finished(&sum, &state, 1, Statistic::Kurtosis).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "a state of Sum does not hold Kurtosis; use Reducer::Variance or Reducer::Moments"
    );
    assert!(sum.begin(&geometry, &mut [0; 7]).is_err());
}
