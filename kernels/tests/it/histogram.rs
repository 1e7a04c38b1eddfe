//! Histograms beside NumPy and beside plain loops.

use crate::oracle::{Case, Dice, compare};
use blockwise_kernels::histogram::{Bins, Histogram, digitize};
use blockwise_kernels::{Buffer, DType, Element, KernelError};
use proptest::prelude::*;

fn counted(histogram: &Histogram, coordinates: &[(&[u8], DType)], weights: Option<&[f64]>) -> Vec<u8> {
    let mut state = Buffer::zeroed(histogram.state_bytes());
    histogram.add(coordinates, weights, &mut state).unwrap();
    let mut out = vec![0; histogram.cells() * 8];
    histogram.finish(&state, &mut out).unwrap();
    out
}

#[test]
fn even_bins_agree_with_numpy() {
    let mut dice = Dice::new(41);
    let mut cases = Vec::new();
    for dtype in
        DType::ALL.iter().copied().filter(|d| d.kind() != 'c' && *d != DType::BF16 && *d != DType::Bool)
    {
        for (bins, low, high) in
            [(1, -3.0, 3.0), (7, -3.0, 3.0), (10, 0.0, 1.0), (160, -8.0, 8.0), (3, 2.0, 2.0), (12, -0.1, 0.7)]
        {
            let whole_edges = dtype.kind() != 'f' && low < 0.0 && dtype.kind() == 'u';
            if whole_edges {
                continue;
            }
            let x = dice.numbers(dtype, 600, true);
            let histogram =
                Histogram::new(vec![Bins::uniform(bins, low, high, dtype).unwrap()], false).unwrap();
            let ours = (DType::I64, counted(&histogram, &[(&x, dtype)], None));
            let hexadecimal = |x: f64| {
                let (sign, x) = if x < 0.0 { ("-", -x) } else { ("", x) };
                format!("{sign}0x{:x}p-52", (x * 2.0_f64.powi(52)) as u128)
            };
            let parameters = format!("{bins} {} {}", hexadecimal(low), hexadecimal(high));
            cases.push(Case::along("histogram", (dtype, &x), (&[600], 0), &parameters, ours, 0));
        }
    }
    compare(&cases);
}

proptest! {
    /// Edges with repeats; two dimensions; weights; parts.
    #[test]
    fn counts_by_definition(
        mut edges in prop::collection::vec(-5..5_i32, 2..9),
        x in prop::collection::vec(-14..14_i32, 0..1500),
        cut in 0.0..1.0_f64,
        weighted in any::<bool>(),
    ) {
        edges.sort_unstable();
        let edges: Vec<f64> = edges.iter().map(|edge| f64::from(*edge)).collect();
        let x: Vec<f32> = x.iter().map(|x| *x as f32 / 2.0).collect();
        let y: Vec<i16> = x.iter().map(|x| (x * 3.0) as i16 % 4).collect();
        let weights: Vec<f64> = x.iter().map(|x| f64::from(*x) + 0.1).collect();
        let bins = vec![Bins::edges(&edges).unwrap(), Bins::uniform(5, -2.0, 3.0, DType::I16).unwrap()];
        let histogram = Histogram::new(bins, weighted).unwrap();
        let columns = edges.len() - 1;
        let mut expected = vec![0.0; columns * 5];
        for ((x, y), weight) in x.iter().zip(&y).zip(&weights) {
            let x = f64::from(*x);
            let of = |edges: &[f64], x: f64| {
                let last = edges.len() - 2;
                (0..=last).rev().find(|&i| edges[i] <= x && (x < edges[i + 1] || (i == last && x == edges[i + 1])))
            };
            if let (Some(i), Some(j)) = (of(&edges, x), of(&[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0], f64::from(*y))) {
                expected[i * 5 + j] += if weighted { *weight } else { 1.0 };
            }
        }
        let at = (x.len() as f64 * cut) as usize;
        let part = |range: std::ops::Range<usize>| {
            let mut state = Buffer::zeroed(histogram.state_bytes());
            let coordinates = [(f32::as_bytes(&x[range.clone()]), DType::F32), (i16::as_bytes(&y[range.clone()]), DType::I16)];
            histogram.add(&coordinates, weighted.then_some(&weights[range]), &mut state).unwrap();
            state
        };
        let mut state = part(0..at);
        histogram.combine(&mut state, &part(at..x.len())).unwrap();
        let mut out = vec![0; histogram.cells() * 8];
        histogram.finish(&state, &mut out).unwrap();
        for (found, expected) in out.chunks_exact(8).zip(expected) {
            if weighted {
                prop_assert!((f64::from_ne_bytes(found.try_into().unwrap()) - expected).abs() < 1e-9);
            } else {
                prop_assert_eq!(i64::from_ne_bytes(found.try_into().unwrap()), expected as i64);
            }
        }
    }

    #[test]
    fn digitized_by_definition(mut edges in prop::collection::vec(-5..5_i32, 0..9), x in prop::collection::vec(-14..14_i32, 0..60), right in any::<bool>(), falling in any::<bool>()) {
        edges.sort_unstable();
        if falling {
            edges.reverse();
        }
        let edges: Vec<f64> = edges.iter().map(|edge| f64::from(*edge)).collect();
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x) / 2.0).collect();
        let mut out = vec![0; 8 * x.len()];
        digitize(f64::as_bytes(&x), DType::F64, &edges, right, &mut out).unwrap();
        // Equal edges fall as they rise.
        let falling = !edges.is_sorted();
        for (found, x) in out.chunks_exact(8).zip(x) {
            let count = edges.iter().filter(|edge| match (falling, right) {
                (false, false) => **edge <= x,
                (false, true) => **edge < x,
                (true, false) => **edge > x,
                (true, true) => **edge >= x,
            });
            prop_assert_eq!(i64::from_ne_bytes(found.try_into().unwrap()), count.count() as i64);
        }
    }
}

#[test]
fn whole_numbers_are_counted() {
    let histogram = Histogram::new(vec![Bins::whole(4)], false).unwrap();
    let counts = counted(&histogram, &[(&[0, 3, 3, 1], DType::U8)], None);
    assert_eq!(counts, i64::as_bytes(&[1, 1, 0, 2]));
    let mut state = Buffer::zeroed(histogram.state_bytes());
    let fault = histogram.add(&[(&[0, 4], DType::U8)], None, &mut state);
    assert_eq!(fault, Err(KernelError::Index { index: 4, len: 4 }));
    let fault = histogram.add(&[(i16::as_bytes(&[-1]), DType::I16)], None, &mut state);
    assert_eq!(fault, Err(KernelError::Index { index: -1, len: 4 }));
    assert!(histogram.add(&[(&[0; 4], DType::F32)], None, &mut state).is_err());
}

#[test]
fn mistakes_are_named() {
    let fault = Bins::edges(&[0.0, 2.0, 1.0]).unwrap_err();
    assert_eq!(fault.to_string(), "an edge is 1, but must be in order with the others");
    assert!(Bins::edges(&[0.0]).is_err());
    assert!(Bins::edges(&[0.0, f64::NAN]).is_err());
    assert!(Bins::uniform(0, 0.0, 1.0, DType::F64).is_err());
    assert!(Bins::uniform(3, 1.0, 0.0, DType::F64).is_err());
    assert!(Bins::uniform(3, 1.0, f64::INFINITY, DType::F64).is_err());
    let histogram = Histogram::new(vec![Bins::edges(&[0.0, 1.0]).unwrap()], true).unwrap();
    let mut state = Buffer::zeroed(histogram.state_bytes());
    assert!(histogram.add(&[(&[0; 8], DType::F64)], None, &mut state).is_err());
    assert!(histogram.add(&[(&[0; 16], DType::C128)], Some(&[1.0]), &mut state).is_err());
    assert!(Histogram::new(Vec::new(), false).is_err());
}
