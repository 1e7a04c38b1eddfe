//! Operations on whole blocks beside plain loops: every one over several chunkings, budgets and threads.

use crate::support::resources;
use blockwise_core::array::MapBlocks;
use blockwise_core::kernels::Element;
use blockwise_core::kernels::histogram::Bins;
use blockwise_core::kernels::order::{QuantileMethod, Side};
use blockwise_core::kernels::random::Distribution;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, DType, Error, Session};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
use num_complex::Complex;
use std::sync::Arc;

/// An array of `values` in chunks of `chunk`.
fn stored<T: Element>(values: &ArrayD<T>, chunk: &[u64]) -> Array {
    let shape: Vec<u64> = values.shape().iter().map(|n| *n as u64).collect();
    let grid = ChunkGrid::regular(&shape, chunk).unwrap();
    let source = MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap();
    Array::from_source(Arc::new(source))
}

/// Numbers without order, some of them equal.
fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut state = 7_u64;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) % 997) as f64 * 0.25 - 60.0
    })
}

const CHUNKS: [[u64; 3]; 4] = [[36, 20, 40], [5, 20, 17], [1, 11, 40], [36, 2, 3]];

/// Computes what `of` makes of `values`, over several chunkings, threads and budgets, one of them the smallest that works.
fn check<T: Element, U: Element>(
    values: &ArrayD<T>,
    chunkings: &[[u64; 3]],
    of: impl Fn(&Array) -> Array,
    is_right: impl Fn(&ArrayD<U>),
) {
    for chunk in chunkings {
        let array = of(&stored(values, chunk));
        for (budget, threads) in [(1 << 24, 3), (3 << 19, 1)] {
            is_right(&Session::new(resources(budget, threads)).compute::<U>(&array).unwrap());
        }
        // The smallest budget that works: every refusal names a larger one.
        let mut least = 1;
        let found = loop {
            match Session::new(resources(least, 2)).compute::<U>(&array) {
                Err(Error::OverBudget { needed_bytes, .. }) if needed_bytes > least => least = needed_bytes,
                found => break found,
            }
        };
        is_right(&found.unwrap());
    }
}

fn equal<U: Element>(expected: &ArrayD<U>) -> impl Fn(&ArrayD<U>) {
    move |found| {
        assert_eq!(found.shape(), expected.shape());
        let other = found.indexed_iter().zip(expected).find(|((_, a), b)| a != b);
        assert!(other.is_none(), "found and expected: {other:?}");
    }
}

fn close(expected: &ArrayD<f64>) -> impl Fn(&ArrayD<f64>) {
    move |found| {
        assert_eq!(found.shape(), expected.shape());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0) || a.is_nan() && b.is_nan(), "{a} for {b}");
        }
    }
}

/// The lines along an axis, one after another, each made another.
fn by_line<U: Element>(values: &ArrayD<f64>, axis: usize, of: impl Fn(&[f64]) -> Vec<U>) -> ArrayD<U> {
    let made: Vec<Vec<U>> = values.lanes(Axis(axis)).into_iter().map(|lane| of(&lane.to_vec())).collect();
    let mut shape = values.shape().to_vec();
    shape[axis] = made[0].len();
    let mut out = ArrayD::<U>::default(IxDyn(&shape));
    for (mut lane, line) in out.lanes_mut(Axis(axis)).into_iter().zip(made) {
        lane.assign(&ndarray::Array1::from_vec(line));
    }
    out
}

fn order(line: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..line.len()).collect();
    order.sort_by(|a, b| line[*a].total_cmp(&line[*b]));
    order
}

#[test]
fn lines_are_sorted() {
    let values = numbers(&[36, 20, 40]);
    for axis in 0..3 {
        let sorted = by_line(&values, axis, |line| order(line).into_iter().map(|n| line[n]).collect());
        check(&values, &CHUNKS, |x| x.sort(axis).unwrap(), equal(&sorted));
        let places = by_line(&values, axis, |line| order(line).into_iter().map(|n| n as i64).collect());
        check(&values, &CHUNKS, |x| x.argsort(axis).unwrap(), equal(&places));
    }
}

#[test]
fn the_top_of_lines_is_found() {
    let values = numbers(&[36, 20, 40]);
    for axis in 0..3 {
        let smallest =
            by_line(&values, axis, |line| order(line).into_iter().take(2).map(|n| line[n]).collect());
        check(&values, &CHUNKS, |x| x.topk(-2, axis).unwrap(), equal(&smallest));
        // Of equal ones the first, from the largest on.
        let places = by_line(&values, axis, |line| {
            let mut order: Vec<usize> = (0..line.len()).collect();
            order.sort_by(|a, b| line[*b].total_cmp(&line[*a]));
            order.into_iter().take(3).map(|n| n as i64).collect()
        });
        check(&values, &CHUNKS, |x| x.argtopk(3, axis).unwrap(), equal(&places));
    }
    let long = numbers(&[200_000]);
    let x = stored(&long, &[1000]);
    let expected: Vec<i64> = {
        let mut order: Vec<usize> = (0..long.len()).collect();
        order.sort_by(|a, b| long[*b].total_cmp(&long[*a]));
        order.into_iter().take(5).map(|n| n as i64).collect()
    };
    let found = Session::new(resources(1 << 22, 2)).compute::<i64>(&x.argtopk(5, 0).unwrap()).unwrap();
    assert_eq!(found.into_raw_vec_and_offset().0, expected);
}

fn linear(line: &[f64], q: f64) -> f64 {
    let sorted: Vec<f64> = order(line).into_iter().map(|n| line[n]).collect();
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[test]
fn quantiles_are_exact() {
    let values = numbers(&[36, 20, 40]);
    let levels = [0.1, 0.5, 0.95];
    for axis in 0..3 {
        let quantiles = by_line(&values, axis, |line| levels.map(|q| linear(line, q)).to_vec());
        let mut order: Vec<usize> = (0..3).filter(|n| *n != axis).collect();
        order.insert(0, axis);
        let expected = quantiles.permuted_axes(order).as_standard_layout().into_owned();
        let of = |x: &Array| x.quantile(levels, axis, QuantileMethod::Linear).unwrap();
        check(&values, &CHUNKS, of, close(&expected));
        let median = by_line(&values, axis, |line| vec![linear(line, 0.5)]).remove_axis(Axis(axis));
        check(&values, &CHUNKS, |x| x.median(axis).unwrap(), close(&median));
    }
    // Over two axes, of what is not NaN.
    let holes = values.mapv(|v| if v > 150.0 { f64::NAN } else { v });
    let expected = ArrayD::from_shape_vec(
        IxDyn(&[20]),
        holes
            .axis_iter(Axis(1))
            .map(|part| linear(&part.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>(), 0.25))
            .collect(),
    );
    let of = |x: &Array| x.nanpercentile(25.0, [2, 0], QuantileMethod::Linear).unwrap();
    check(&holes, &CHUNKS, of, close(&expected.unwrap()));
    let x = stored(&values, &CHUNKS[0]);
    assert!(x.quantile(1.5, 0, QuantileMethod::Linear).is_err());
    assert!(x.quantile([], 0, QuantileMethod::Linear).is_err());
}

fn running(line: &[f64], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut made: Vec<f64> = line.to_vec();
    for n in 1..made.len() {
        made[n] = of(made[n - 1], made[n]);
    }
    made
}

#[test]
fn cumulative_functions_carry_on_from_block_to_block() {
    let values = numbers(&[36, 20, 40]);
    for axis in 0..3 {
        let sums = by_line(&values, axis, |line| running(line, |a, b| a + b));
        check(&values, &CHUNKS, |x| x.cumsum(axis).unwrap(), close(&sums));
        let least = by_line(&values, axis, |line| running(line, f64::min));
        check(&values, &CHUNKS, |x| x.cummin(axis).unwrap(), equal(&least));
    }
    let holes = values.mapv(|v| if v > 150.0 { f64::NAN } else { 1.0 + v * 1e-4 });
    let products = by_line(&holes, 0, |line| {
        running(&line.iter().map(|v| if v.is_nan() { 1.0 } else { *v }).collect::<Vec<_>>(), |a, b| a * b)
    });
    check(&holes, &CHUNKS, |x| x.nancumprod(0).unwrap(), close(&products));
}

#[test]
fn long_lines_are_scanned_in_two_passes() {
    // Lines of 40,000 elements in blocks of 500, so that blocks carry on; bytes, whose carries are odd in length.
    let values = numbers(&[40_000, 3]).mapv(|v| v as i8);
    let running = |of: fn(i64, i64) -> i64| {
        let mut made = values.mapv(i64::from);
        for n in 1..made.shape()[0] {
            for m in 0..3 {
                made[[n, m]] = of(made[[n - 1, m]], made[[n, m]]);
            }
        }
        made
    };
    let x = stored(&values, &[500, 3]);
    for (budget, threads) in [(1 << 22, 2), (1_700_000, 1)] {
        let session = Session::new(resources(budget, threads));
        let sums = session.compute::<i64>(&x.cumsum(0).unwrap()).unwrap();
        assert_eq!(sums, running(|a, b| a + b));
        let most = session.compute::<i8>(&x.cummax(0).unwrap()).unwrap();
        assert_eq!(most.mapv(i64::from), running(i64::max));
    }
    let floats = numbers(&[300_000]);
    let bits = |threads, budget| {
        let sums = stored(&floats, &[10_000]).cumsum(0).unwrap();
        Session::new(resources(budget, threads)).compute::<f64>(&sums).unwrap().mapv(f64::to_bits)
    };
    assert_eq!(bits(1, 1 << 24), bits(4, 3 << 20));
}

#[test]
fn differences_and_gradients_are_numpys() {
    let values = numbers(&[36, 20, 40]);
    for axis in 0..3 {
        let second =
            by_line(&values, axis, |line| line.windows(3).map(|w| (w[2] - w[1]) - (w[1] - w[0])).collect());
        check(&values, &CHUNKS[1..3], |x| x.diff(2, axis).unwrap(), equal(&second));
        let slopes = by_line(&values, axis, |line| {
            let last = line.len() - 1;
            let of = |n: usize| match n {
                0 => (line[1] - line[0]) / 0.5,
                n if n == last => (line[n] - line[n - 1]) / 0.5,
                n => (line[n + 1] - line[n - 1]) / 1.0,
            };
            (0..line.len()).map(of).collect()
        });
        check(&values, &CHUNKS[1..3], |x| x.gradient(0.5, axis).unwrap(), equal(&slopes));
    }
    let truth = stored(&numbers(&[9]).mapv(|v| v > 0.0), &[4]);
    assert_eq!(truth.diff(1, 0).unwrap().dtype(), DType::Bool);
}

#[test]
fn closures_see_blocks_as_they_lie() {
    let values = numbers(&[36, 20, 40]);
    let doubled = values.mapv(|v| 2.0 * v);
    let double = |x: &Array| x.map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(|v| 2.0 * v)).unwrap();
    check(&values, &CHUNKS, double, equal(&doubled));
    // Where a block lies is told.
    let origins = |x: &Array| {
        x.map_blocks_with_info(|info, block: ArrayViewD<'_, f64>| {
            let origin: Vec<usize> = info.region.origin().iter().map(|n| *n as usize).collect();
            let at = |at: IxDyn| ((origin[0] + at[0]) * 100 + origin[1] + at[1]) as i64;
            ArrayD::from_shape_fn(block.raw_dim(), at)
        })
        .unwrap()
    };
    let places = ArrayD::from_shape_fn(IxDyn(&[36, 20, 40]), |at| (at[0] * 100 + at[1]) as i64);
    check(&values, &CHUNKS, origins, equal(&places));
    // An input of length 1 stands still; results come back in other axes' order in memory.
    let row = values.index_axis(Axis(0), 3).insert_axis(Axis(0)).as_standard_layout().into_owned();
    let shifted = &values - &row;
    let less = |x: &Array| {
        let three = x.slice(0, 3..4).unwrap();
        let map = MapBlocks::new([x, &three]).unwrap().named("less a row");
        map.map2(|_, a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| {
            assert_eq!(b.shape()[0], 1);
            (&a - &b).reversed_axes().as_standard_layout().into_owned().reversed_axes()
        })
        .unwrap()
    };
    check(&values, &CHUNKS, less, equal(&shifted));
}

#[test]
fn closures_drop_add_and_cut_axes() {
    let values = numbers(&[36, 20, 40]);
    let ends = |x: &Array| {
        let map = MapBlocks::new([x]).unwrap().drop_axes(1).unwrap().add_axis(0, 2).unwrap();
        map.map(|_, block: ArrayViewD<'_, f64>| {
            let last = block.shape()[1] - 1;
            let ends = [block.index_axis(Axis(1), 0), block.index_axis(Axis(1), last)];
            ndarray::stack(Axis(0), &ends).unwrap()
        })
        .unwrap()
    };
    let sides = [values.index_axis(Axis(1), 0), values.index_axis(Axis(1), 19)];
    check(&values, &CHUNKS, ends, equal(&ndarray::stack(Axis(0), &sides).unwrap()));
    // Every second element of blocks of even lengths, and how many there were.
    let x = stored(&values, &[36, 20, 8]);
    let halved = MapBlocks::new([&x]).unwrap().with_lengths(2, &[4; 5]).unwrap();
    let halved = halved.apply(&[DType::F64, DType::Bool], |info, blocks, outputs| {
        let block = blocks[0].view::<f64>()?;
        outputs[0].view_mut::<f64>()?.assign(&block.slice(ndarray::s![.., .., ..;2]));
        outputs[1].view_mut::<bool>()?.fill(info.index[2] == 4);
        Ok(())
    });
    let halved = halved.unwrap();
    let session = Session::new(resources(1 << 22, 2));
    let expected = values.slice(ndarray::s![.., .., ..;2]).as_standard_layout().into_owned();
    assert_eq!(session.compute::<f64>(&halved[0]).unwrap(), expected.into_dyn());
    let last = session.compute::<bool>(&halved[1]).unwrap();
    assert!(last.indexed_iter().all(|(at, last)| *last == (at[2] >= 16)));
}

#[test]
fn closures_are_checked() {
    let x = stored(&numbers(&[10]), &[4]);
    assert!(x.map_blocks(|block: ArrayViewD<'_, f32>| block.to_owned()).is_err());
    let short = x.map_blocks(|block: ArrayViewD<'_, f64>| block.slice_axis(Axis(0), (..2).into()).to_owned());
    let session = Session::new(resources(1 << 20, 2));
    let error = session.compute::<f64>(&short.unwrap()).unwrap_err().to_string();
    assert!(error.contains("[2]") && error.contains("map_blocks"), "{error}");
    let panics = x.map_blocks_with_info(|info, block: ArrayViewD<'_, f64>| {
        assert!(info.index[0] != 2, "no good");
        block.to_owned()
    });
    let error = session.compute::<f64>(&panics.unwrap()).unwrap_err().to_string();
    assert!(error.contains("no good") && error.contains("[2]"), "{error}");
}

#[test]
fn random_numbers_do_not_depend_on_chunks() {
    let normal = Distribution::Normal { mean: 2.0, deviation: 3.0 };
    let x = Array::random(&[90, 70], normal, 11).unwrap();
    let whole = Session::new(resources(1 << 20, 2)).compute::<f64>(&x).unwrap();
    for chunks in [[90, 70], [7, 70], [13, 9]] {
        let cut = x.rechunk(chunks).unwrap();
        assert_eq!(Session::new(resources(1 << 20, 2)).compute::<f64>(&cut).unwrap(), whole);
    }
    assert!((whole.mean().unwrap() - 2.0).abs() < 0.15 && (whole.std(0.0) - 3.0).abs() < 0.15);
    let other = Array::random_stream(&[90, 70], normal, DType::F64, 11, 1).unwrap();
    assert_ne!(other.compute::<f64>().unwrap(), whole);
}

fn vector<T: Element>(values: &[T]) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap()
}

#[test]
fn histograms_count_as_numpys() {
    let values = numbers(&[36, 20, 40]);
    let edges = [-60.0, -10.0, 0.0, 7.25, 189.0];
    let bin = |v: f64| edges.windows(2).position(|e| e[0] <= v && (v < e[1] || v == 189.0 && e[1] == v));
    let mut counts = vec![0_i64; 4];
    let mut sums = vec![0.0; 4];
    for v in &values {
        if let Some(bin) = bin(*v) {
            counts[bin] += 1;
            sums[bin] += v * v;
        }
    }
    let bins = Bins::edges(&edges).unwrap();
    check(&values, &CHUNKS, |x| x.histogram(bins.clone(), None).unwrap(), equal(&vector(&counts)));
    let weighted = |x: &Array| x.histogram(bins.clone(), Some(&x.square().unwrap())).unwrap();
    check(&values, &CHUNKS, weighted, close(&vector(&sums)));
    let total: i64 = counts.iter().sum();
    let density: Vec<f64> = counts
        .iter()
        .zip(edges.windows(2))
        .map(|(count, edge)| *count as f64 / total as f64 / (edge[1] - edge[0]))
        .collect();
    let of = |x: &Array| x.histogram_density(bins.clone(), None).unwrap();
    check(&values, &CHUNKS, of, close(&vector(&density)));
    // Of two dimensions, the second backwards.
    let halves = Bins::uniform(2, -60.0, 190.0, DType::F64).unwrap();
    let mut both = ArrayD::<i64>::zeros(IxDyn(&[4, 2]));
    for (v, w) in values.iter().zip(&values.slice(ndarray::s![..;-1, .., ..])) {
        if let Some(bin) = bin(*v) {
            both[[bin, usize::from(*w >= 65.0)]] += 1;
        }
    }
    let of = |x: &Array| {
        let samples = [x.clone(), x.flip(0).unwrap()];
        Array::histogramdd(&samples, vec![bins.clone(), halves.clone()], None, false).unwrap()
    };
    check(&values, &CHUNKS, of, equal(&both));
    let whole = values.mapv(|v| ((v + 60.0) / 30.0) as u8);
    let mut counts = vec![0_i64; 11];
    whole.iter().for_each(|v| counts[usize::from(*v)] += 1);
    check(&whole, &CHUNKS, |x| x.bincount(11, None).unwrap(), equal(&vector(&counts)));
    let few = stored(&whole, &CHUNKS[1]).bincount(3, None).unwrap();
    assert!(Session::new(resources(1 << 24, 2)).compute::<i64>(&few).is_err());
}

#[test]
fn elements_are_looked_up() {
    let values = numbers(&[36, 20, 40]);
    let edges = [-50.0, 0.0, 100.25];
    let numbers_of = values.mapv(|v| edges.iter().filter(|e| **e <= v).count() as i64);
    check(&values, &CHUNKS, |x| x.digitize(&edges, false).unwrap(), equal(&numbers_of));
    let list: Vec<f32> = (-200..200).map(|n| n as f32 * 0.75).collect();
    let places = values.mapv(|v| list.iter().filter(|e| f64::from(**e) < v).count() as i64);
    let sorted = stored(&vector(&list), &[100]);
    check(&values, &CHUNKS, |x| x.search_sorted(&sorted, Side::Left).unwrap(), equal(&places));
    let there = values.mapv(|v| list.iter().any(|e| f64::from(*e) == v));
    let backwards = sorted.flip(0).unwrap();
    check(&values, &CHUNKS, |x| x.is_in(&backwards).unwrap(), equal(&there));
    assert!(stored(&values, &CHUNKS[0]).digitize(&[1.0, 2.0, 0.0], false).is_err());
}

#[test]
fn distinct_elements_are_found_and_bounded() {
    let values = numbers(&[36, 20, 40]).mapv(|v| v.floor() as i16);
    let mut expected = std::collections::BTreeMap::<i16, (i64, i64)>::new();
    for (place, v) in values.iter().enumerate() {
        expected.entry(*v).or_insert((0, place as i64)).0 += 1;
    }
    for chunk in &CHUNKS {
        for (budget, threads) in [(1 << 28, 3), (1 << 26, 1)] {
            let session = Session::new(resources(budget, threads));
            let found = session.unique::<i16>(&stored(&values, chunk), 300).unwrap();
            assert!(found.values.iter().eq(expected.keys()));
            assert!(found.counts.iter().eq(expected.values().map(|own| &own.0)));
            assert!(found.first_places.iter().eq(expected.values().map(|own| &own.1)));
            let error = session.unique::<i16>(&stored(&values, chunk), 100).unwrap_err().to_string();
            assert!(error.contains("more than 100"), "{error}");
        }
    }
}

#[test]
fn statistics_are_numpys() {
    let values = numbers(&[36, 20, 40]);
    let ranges = by_line(&values, 1, |line| {
        let sorted: Vec<f64> = order(line).into_iter().map(|n| line[n]).collect();
        vec![sorted[sorted.len() - 1] - sorted[0]]
    });
    check(&values, &CHUNKS, |x| x.ptp(1).unwrap(), equal(&ranges.remove_axis(Axis(1))));
    let weights: Vec<f64> = (0..40).map(|n| f64::from(n % 7)).collect();
    let averages = by_line(&values, 2, |line| {
        let sum: f64 = line.iter().zip(&weights).map(|(v, w)| v * w).sum();
        vec![sum / weights.iter().sum::<f64>()]
    });
    let stored_weights = stored(&vector(&weights), &[13]);
    let of = |x: &Array| x.average(2, &stored_weights).unwrap();
    check(&values, &CHUNKS, of, close(&averages.remove_axis(Axis(2))));
    // Variables are rows.
    let rows = values.index_axis(Axis(1), 4).as_standard_layout().into_owned();
    let centred = &rows - &rows.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let centred = centred.into_dimensionality::<ndarray::Ix2>().unwrap();
    let cov = (centred.dot(&centred.t()) / 39.0).into_dyn();
    let row = |x: &Array| x.index(&[(..).into(), 4.into()]).unwrap();
    check(&values, &CHUNKS, |x| row(x).cov(1.0).unwrap(), close(&cov));
    let correlations = ArrayD::from_shape_fn(IxDyn(&[36, 36]), |at| {
        cov[[at[0], at[1]]] / (cov[[at[0], at[0]]] * cov[[at[1], at[1]]]).sqrt()
    });
    check(&values, &CHUNKS, |x| row(x).corrcoef().unwrap(), close(&correlations));
}

#[test]
fn reductions_by_closures_are_combined_in_groups() {
    let values = numbers(&[36, 20, 40]).mapv(|v| v as i64);
    // The bits that any element has, over two axes: 36 x 40 blocks of one row at the finest.
    let expected = values.fold_axis(Axis(2), 0, |a, b| a | b).fold_axis(Axis(0), 0, |a, b| a | b);
    let of = |x: &Array| {
        let both = |x: ArrayViewD<'_, i64>| {
            x.fold_axis(Axis(2), 0, |a, b| a | b).fold_axis(Axis(0), 0, |a, b| a | b)
        };
        let kept = move |x: ArrayViewD<'_, i64>| both(x).insert_axis(Axis(0)).insert_axis(Axis(2));
        x.reduction([0, 2], kept, kept, both).unwrap()
    };
    check(&values, &[[36, 20, 40], [1, 20, 3], [2, 7, 1]], of, equal(&expected));
}

#[test]
fn a_complex_number_is_infinite_by_either_part() {
    let (infinite, nan) = (f64::INFINITY, f64::NAN);
    let values =
        [(infinite, nan), (nan, -infinite), (nan, 1.0), (1.0, 2.0)].map(|(re, im)| Complex::new(re, im));
    let x = Array::from_ndarray(&ndarray::arr1(&values).into_dyn()).unwrap();
    let found = Array::call("isinf", [(&x).into()]).unwrap().compute::<bool>().unwrap();
    assert_eq!(found.into_raw_vec_and_offset().0, [true, true, false, false]);
}
