//! Labels, holes, distances and thresholds beside plain loops: random arrays, structures and cuts.

use crate::support::resources;
use blockwise_core::array::{LocalThreshold, Structure};
use blockwise_core::kernels::Element;
use blockwise_core::{Array, ChunkGrid, DType, Session, memory::MemoryArray};
use ndarray::{ArrayD, Dimension, IxDyn};
use proptest::prelude::*;
use std::sync::Arc;

fn stored<T: Element>(values: &ArrayD<T>, chunk: &[u64]) -> Array {
    let shape: Vec<u64> = values.shape().iter().map(|n| *n as u64).collect();
    let grid = ChunkGrid::regular(&shape, chunk).unwrap();
    let elements: Vec<T> = values.iter().copied().collect();
    Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, &elements).unwrap()))
}

fn computed<T: Element>(array: &Array) -> ArrayD<T> {
    Session::new(resources(1 << 22, 2)).compute::<T>(array).unwrap()
}

/// Shape, chunk, and for each element a random number.
fn cut_volumes(most: usize) -> impl Strategy<Value = (Vec<usize>, Vec<u64>, Vec<u8>)> {
    prop::collection::vec((1_usize..most, 1_u64..most as u64), 1..4).prop_flat_map(|axes| {
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let chunk = axes.iter().map(|axis| axis.1.min(axis.0 as u64)).collect();
        let count = shape.iter().product::<usize>();
        (Just(shape), Just(chunk), prop::collection::vec(0_u8..100, count))
    })
}

/// Which steps from an element hang together: random, symmetric about the middle.
fn structure(rank: usize, bits: u32) -> ArrayD<bool> {
    let count = 3_usize.pow(rank as u32);
    let inside = |n: usize| n == count / 2 || bits >> (n.min(count - 1 - n)) & 1 == 1;
    ArrayD::from_shape_vec(IxDyn(&vec![3; rank]), (0..count).map(inside).collect()).unwrap()
}

fn neighbours(structure: &ArrayD<bool>, place: &[usize]) -> Vec<Option<Vec<usize>>> {
    let steps = structure.indexed_iter().filter(|(_, inside)| **inside);
    steps
        .map(|(step, _)| {
            step.slice().iter().zip(place).map(|(step, at)| (at + step).checked_sub(1)).collect()
        })
        .collect()
}

/// What a walk from each element finds: its component, from 1 on in C order, of those where `is_in`; and of each component whether
/// a step leads beyond the array.
fn walked(is_in: &ArrayD<bool>, structure: &ArrayD<bool>) -> (ArrayD<i32>, Vec<bool>) {
    let mut numbers = ArrayD::<i32>::zeros(is_in.raw_dim());
    let mut is_open = Vec::new();
    for (first, inside) in is_in.indexed_iter() {
        if !inside || numbers[&first] != 0 {
            continue;
        }
        is_open.push(false);
        let mut left = vec![first.slice().to_vec()];
        while let Some(place) = left.pop() {
            if numbers[IxDyn(&place)] != 0 {
                continue;
            }
            numbers[IxDyn(&place)] = is_open.len() as i32;
            for next in neighbours(structure, &place) {
                match next.filter(|next| is_in.get(IxDyn(next)).is_some()) {
                    Some(next) if is_in[IxDyn(&next)] => left.push(next),
                    Some(_) => {}
                    None => *is_open.last_mut().unwrap() = true,
                }
            }
        }
    }
    (numbers, is_open)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn components_and_holes_are_those_of_a_walk((shape, chunk, numbers) in cut_volumes(9), filled in 10_u8..90, bits: u32) {
        let x = ArrayD::from_shape_vec(IxDyn(&shape), numbers).unwrap().mapv(|n| n < filled);
        let footprint = structure(shape.len(), bits);
        let lazy = stored(&x, &chunk);
        let (wanted, open) = walked(&x, &footprint);
        let found = lazy.label_blocks(&Structure::flat(footprint.clone())).unwrap();
        prop_assert_eq!(computed::<i32>(&found.labels), wanted);
        prop_assert_eq!(computed::<i64>(&found.count)[[]], open.len() as i64);
        let (zeros, open) = walked(&x.mapv(|inside| !inside), &footprint);
        let wanted = zeros.mapv(|n| n == 0 || !open[n as usize - 1]);
        let found = lazy.binary_fill_holes(&Structure::flat(footprint)).unwrap();
        prop_assert_eq!(computed::<bool>(&found), wanted);
    }

    #[test]
    fn distances_are_the_least_of_all((shape, chunk, numbers) in cut_volumes(8), filled in 0_u8..100, spacing in 0.2_f64..3.0) {
        let x = ArrayD::from_shape_vec(IxDyn(&shape), numbers).unwrap().mapv(|n| f64::from(u8::from(n < filled)));
        for sampling in [vec![1.0], (0..shape.len()).map(|axis| spacing + axis as f64).collect()] {
            let found = computed::<f64>(&stored(&x, &chunk).distance_transform_edt(&sampling).unwrap());
            for (place, far) in found.indexed_iter() {
                let square = |zero: &IxDyn| {
                    let apart = zero.slice().iter().zip(place.slice()).zip(sampling.iter().cycle());
                    apart.map(|((a, b), spacing)| (spacing * (*a as f64 - *b as f64)).powi(2)).sum::<f64>()
                };
                let zeros = x.indexed_iter().filter(|(_, x)| **x == 0.0);
                let wanted = zeros.map(|(zero, _)| square(&zero)).fold(f64::INFINITY, f64::min).sqrt();
                let near = *far == wanted || (far - wanted).abs() <= 1e-12 * wanted;
                prop_assert!(near && (sampling.len() > 1 || *far == wanted), "{place:?}: {far} {wanted}");
            }
        }
    }

    #[test]
    fn otsu_parts_best((shape, chunk, numbers) in cut_volumes(9), bins in 1_usize..40) {
        let x = ArrayD::from_shape_vec(IxDyn(&shape), numbers).unwrap();
        let threshold = |array: &Array| array.threshold_otsu(bins).unwrap();
        let whole = computed::<i64>(&threshold(&stored(&x, &chunk)))[[]];
        let (least, most) = x.iter().fold((u8::MAX, 0), |(a, b), n| (a.min(*n), b.max(*n)));
        let apart = |at: i64| {
            let class = |is_in: &dyn Fn(i64) -> bool| {
                let own: Vec<f64> = x.iter().filter(|n| is_in(i64::from(**n))).map(|n| f64::from(*n)).collect();
                (own.len() as f64, own.iter().sum::<f64>() / own.len() as f64)
            };
            let ((a, low), (b, high)) = (class(&|n| n <= at), class(&|n| n > at));
            a * b * (low - high).powi(2)
        };
        if least < most {
            let best = (i64::from(least)..i64::from(most)).map(apart).fold(0.0, f64::max);
            prop_assert!(apart(whole) >= best * (1.0 - 1e-12), "{whole}: {} {best}", apart(whole));
        } else {
            prop_assert_eq!(whole, i64::from(least));
        }
        // With a bin for each value, floats part where whole numbers do: in the middle of a bin.
        let floats = stored(&x, &chunk).astype(DType::F64);
        let fine = computed::<f64>(&floats.threshold_otsu(usize::from(most - least).max(1)).unwrap())[[]];
        let one = computed::<f64>(&stored(&x, &x.shape().iter().map(|n| *n as u64).collect::<Vec<_>>()).astype(DType::F64).threshold_otsu(bins).unwrap());
        prop_assert_eq!(computed::<f64>(&threshold(&floats)), one);
        prop_assert!((f64::from(least)..=f64::from(most)).contains(&fine));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let x = Array::zeros(&[6, 6], DType::F32).unwrap();
    let texts = [
        x.distance_transform_edt(&[1.0, 2.0, 3.0]).unwrap_err(),
        x.distance_transform_edt(&[0.0]).unwrap_err(),
        x.threshold_otsu(0).unwrap_err(),
        x.slice(0, ..0).unwrap().threshold_otsu(4).unwrap_err(),
        x.astype(DType::C64).threshold_otsu(4).unwrap_err(),
        x.filter().threshold_local(&[4], LocalThreshold::Mean, 0.0).unwrap_err(),
        x.binary_fill_holes(&Structure::flat(ArrayD::from_elem(IxDyn(&[5, 5]), true))).unwrap_err(),
    ]
    .map(|error| error.to_string());
    let words = ["sampling", "sampling", "bins", "no elements", "astype", "odd", "shape"];
    for (text, word) in texts.iter().zip(words) {
        assert!(text.contains(word), "{text}");
    }
    let session = Session::new(resources(1 << 24, 2));
    for (array, word) in
        [(&x + f64::NAN, "NaN"), (Array::arange_i64(0, 5, 1).unwrap().try_mul(100_000).unwrap(), "astype")]
    {
        let error = session.compute_many(&[array.threshold_otsu(8).unwrap()]).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let empty = x.slice(1, ..0).unwrap();
    assert_eq!(empty.label(&Structure::connected(2, 1)).unwrap().labels.shape(), [6, 0]);
    assert_eq!(empty.binary_fill_holes(&Structure::connected(2, 1)).unwrap().shape(), [6, 0]);
    assert_eq!(empty.distance_transform_edt(&[1.0]).unwrap().dtype(), DType::F64);
    let nowhere =
        computed::<f64>(&Array::full(&[4], 1.0.into()).unwrap().distance_transform_edt(&[1.0]).unwrap());
    assert!(nowhere.iter().all(|far| far.is_infinite()));
}
