//! Filters beside plain loops over every window: random volumes, edges, windows and cuts.

use crate::support::resources;
use blockwise_core::array::{Remainder, Structure};
use blockwise_core::kernels::filter::{Coarsening, Edge, Rolling, gaussian_weights};
use blockwise_core::{Array, ChunkGrid, DType, Session, memory::MemoryArray};
use ndarray::{ArrayD, Dimension, IxDyn};
use proptest::prelude::*;
use std::sync::Arc;

fn stored(values: &ArrayD<f64>, chunk: &[u64]) -> Array {
    let shape: Vec<u64> = values.shape().iter().map(|n| *n as u64).collect();
    let grid = ChunkGrid::regular(&shape, chunk).unwrap();
    Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap()))
}

fn computed(array: &Array) -> ArrayD<f64> {
    Session::new(resources(1 << 22, 2)).compute::<f64>(&array.astype(DType::F64)).unwrap()
}

/// What `of` makes of the elements that every window of `sizes` shows, in C order, each with its number in the window.
fn by_loops(
    x: &ArrayD<f64>,
    sizes: &[usize],
    origins: &[i64],
    edge: Edge,
    of: impl Fn(&[f64]) -> f64,
) -> ArrayD<f64> {
    let shape = x.shape().to_vec();
    ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        let seen: Vec<f64> = ndarray::indices(IxDyn(sizes))
            .into_iter()
            .map(|place| {
                let position = |axis: usize| {
                    let before = sizes[axis] as i64 / 2 + origins[axis];
                    edge.position(at[axis] as i64 + place[axis] as i64 - before, shape[axis] as i64)
                };
                let place: Option<Vec<usize>> =
                    (0..shape.len()).map(|axis| position(axis).map(|at| at as usize)).collect();
                place.map_or_else(|| edge.value(), |place| x[IxDyn(&place)])
            })
            .collect();
        of(&seen)
    })
}

fn weighted(weights: &[f64]) -> impl Fn(&[f64]) -> f64 + '_ {
    move |seen| seen.iter().zip(weights).map(|(x, weight)| x * weight).sum()
}

fn near(found: &ArrayD<f64>, wanted: &ArrayD<f64>) -> bool {
    found.shape() == wanted.shape() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-11)
}

fn edges() -> impl Strategy<Value = Edge> {
    prop_oneof![
        Just(Edge::Reflect),
        Just(Edge::Mirror),
        Just(Edge::Nearest),
        Just(Edge::Wrap),
        (-3.0..3.0).prop_map(Edge::Constant),
    ]
}

/// Along one axis: extent, chunk, size of a window and its origin.
fn axis() -> impl Strategy<Value = (usize, u64, usize, i64)> {
    (1_usize..14, 1_u64..15, 1_usize..6).prop_flat_map(|(extent, chunk, size)| {
        let (least, most) = (-(size as i64 / 2), (size as i64 - 1) / 2);
        (Just(extent), Just(chunk.min(extent as u64)), Just(size), least..=most)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_what_loops_make(axes in prop::collection::vec(axis(), 1..4), edge in edges(), seed in 0_u64..1000) {
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let chunk: Vec<u64> = axes.iter().map(|axis| axis.1).collect();
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.2).collect();
        let origins: Vec<i64> = axes.iter().map(|axis| axis.3).collect();
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % 1000) as f64 / 100.0 - 5.0
        };
        let x = ArrayD::from_shape_simple_fn(IxDyn(&shape), &mut next);
        let weights = ArrayD::from_shape_simple_fn(IxDyn(&sizes), &mut next);
        let footprint = weights.mapv(|weight| weight > 0.0);
        let points: Vec<bool> = footprint.iter().copied().collect();
        let array = stored(&x, &chunk);
        let filter = array.filter().modes(&[edge]).origins(&origins);
        let total = sizes.iter().product::<usize>() as f64;

        let wanted = by_loops(&x, &sizes, &origins, edge, weighted(weights.as_slice().unwrap()));
        prop_assert!(near(&computed(&filter.correlate(&weights).unwrap()), &wanted));
        let mut turned: Vec<f64> = weights.iter().copied().collect();
        turned.reverse();
        let turned = ArrayD::from_shape_vec(IxDyn(&sizes), turned).unwrap();
        let opposite: Vec<i64> = origins.iter().zip(&sizes).map(|(o, n)| -o - i64::from(n % 2 == 0)).collect();
        let convolved = array.filter().modes(&[edge]).origins(&opposite).convolve(&turned).unwrap();
        prop_assert!(near(&computed(&convolved), &wanted));
        let wanted = by_loops(&x, &sizes, &origins, edge, |seen| seen.iter().sum::<f64>() / total);
        prop_assert!(near(&computed(&filter.uniform(&sizes).unwrap()), &wanted));
        let smallest = |seen: &[f64]| seen.iter().copied().fold(f64::INFINITY, f64::min);
        let wanted = by_loops(&x, &sizes, &origins, edge, smallest);
        prop_assert_eq!(computed(&filter.minimum(&sizes).unwrap()), wanted);
        let largest = |seen: &[f64]| seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let wanted = by_loops(&x, &sizes, &origins, edge, largest);
        prop_assert_eq!(computed(&filter.maximum(&sizes).unwrap()), wanted);
        let among = |seen: &[f64]| {
            let mut seen: Vec<f64> = seen.iter().zip(&points).filter(|(_, inside)| **inside).map(|(x, _)| *x).collect();
            seen.sort_by(f64::total_cmp);
            seen
        };
        if points.contains(&true) {
            let wanted = by_loops(&x, &sizes, &origins, edge, |seen| { let seen = among(seen); seen[seen.len() / 2] });
            prop_assert_eq!(computed(&filter.median_of(&footprint).unwrap()), wanted);
            let wanted = by_loops(&x, &sizes, &origins, edge, |seen| among(seen)[0]);
            prop_assert_eq!(computed(&filter.grey_erosion(&Structure::flat(footprint.clone())).unwrap()), wanted);
        }
        // An opening is never above the array, and opening it again changes nothing.
        let structure = Structure::flat(ArrayD::from_elem(IxDyn(&sizes), true));
        if edge == Edge::Wrap {
            let opened = computed(&filter.grey_opening(&structure).unwrap());
            prop_assert!(opened.iter().zip(&x).all(|(opened, x)| opened <= x));
            let again = stored(&opened, &chunk).filter().modes(&[edge]).origins(&origins);
            prop_assert_eq!(computed(&again.grey_opening(&structure).unwrap()), opened);
        }
        let truths = x.mapv(|x| f64::from(u8::from(x > 0.0)));
        let border = Edge::Constant(1.0);
        let all = |seen: &[f64]| f64::from(u8::from(seen.iter().zip(&points).all(|(x, inside)| !inside || *x != 0.0)));
        let once = by_loops(&truths, &sizes, &origins, border, all);
        let wanted = by_loops(&once, &sizes, &origins, border, all);
        let eroded = stored(&truths, &chunk).filter().origins(&origins);
        let eroded = eroded.binary_erosion(&Structure::flat(footprint), 2, true).unwrap();
        prop_assert_eq!(eroded.dtype(), DType::Bool);
        prop_assert_eq!(computed(&eroded), wanted);
    }

    #[test]
    fn gaussians_are_axis_after_axis(axes in prop::collection::vec(axis(), 1..4), edge in edges(), sigma in 0.3..2.5_f64) {
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let chunk: Vec<u64> = axes.iter().map(|axis| axis.1).collect();
        let x = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            (at.slice().iter().fold(1, |product, n| product * (n + 3) % 17)) as f64
        });
        let radius = (4.0 * sigma + 0.5) as usize;
        let weights = gaussian_weights(sigma, 1, radius).unwrap();
        let mut wanted = x.clone();
        for axis in 0..shape.len() {
            let mut sizes = vec![1; shape.len()];
            sizes[axis] = weights.len();
            wanted = by_loops(&wanted, &sizes, &vec![0; shape.len()], edge, weighted(&weights));
        }
        let array = stored(&x, &chunk);
        let found = array.filter().modes(&[edge]).gaussian_derivative(&[sigma], &[1]).unwrap();
        prop_assert!(near(&computed(&found), &wanted));
        // Not a bit depends on the cuts.
        let whole: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
        let whole = stored(&x, &whole).filter().modes(&[edge]);
        let (cut, whole) = (array.filter().modes(&[edge]).uniform(&[3]).unwrap(), whole.uniform(&[3]).unwrap());
        prop_assert_eq!(computed(&cut), computed(&whole));
    }
}

/// A statistic of what is there.
fn statistic(of: Rolling, least: usize, seen: &[f64]) -> f64 {
    let mut there: Vec<f64> = seen.iter().copied().filter(|x| !x.is_nan()).collect();
    there.sort_by(f64::total_cmp);
    let count = there.len();
    let mean = there.iter().sum::<f64>() / count as f64;
    if of != Rolling::Count && count < least.max(1) {
        return f64::NAN;
    }
    match of {
        Rolling::Count => count as f64,
        Rolling::Sum => there.iter().sum(),
        Rolling::Mean => mean,
        Rolling::Min => there[0],
        Rolling::Max => there[count - 1],
        Rolling::Std(less) => {
            let squares: f64 = there.iter().map(|x| (x - mean) * (x - mean)).sum();
            if count as f64 > less { (squares / (count as f64 - less)).sqrt() } else { f64::NAN }
        }
        Rolling::Median => (there[(count - 1) / 2] + there[count / 2]) / 2.0,
    }
}

fn same(found: &ArrayD<f64>, wanted: &ArrayD<f64>) -> bool {
    let alike = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 || (a.is_nan() && b.is_nan());
    found.shape() == wanted.shape() && found.iter().zip(wanted).all(alike)
}

#[test]
fn rolling_windows_are_what_loops_make() {
    let x = ArrayD::from_shape_fn(IxDyn(&[11, 7]), |at| {
        let n = at[0] * 7 + at[1];
        if n % 5 == 3 { f64::NAN } else { ((n * 37) % 23) as f64 - 4.0 }
    });
    let all = [Rolling::Count, Rolling::Sum, Rolling::Mean, Rolling::Min, Rolling::Max, Rolling::Median];
    for (windows, chunk) in [([4, 1], [3, 7]), ([3, 2], [2, 3]), ([1, 5], [11, 2]), ([9, 1], [1, 1])] {
        for is_centred in [false, true] {
            for least in [1, 3, 9] {
                for of in all.into_iter().chain([Rolling::Std(0.0), Rolling::Std(1.0)]) {
                    let sizes = windows.map(|n| n as usize);
                    let origins = sizes.map(|n| if is_centred { 0 } else { (n - 1) as i64 - (n / 2) as i64 });
                    let edge = Edge::Constant(f64::NAN);
                    let wanted = by_loops(&x, &sizes, &origins, edge, |seen| statistic(of, least, seen));
                    let array = stored(&x, &chunk);
                    let rolling = array.rolling(&[(0.into(), windows[0]), (1.into(), windows[1])]).unwrap();
                    let found = rolling.centred(is_centred).least(least).reduce(of).unwrap();
                    assert!(same(&computed(&found), &wanted), "{of:?} {windows:?} {is_centred} {least}");
                }
            }
        }
    }
    // Windows that are seen one beside the other.
    let seen = stored(&x, &[4, 3]).sliding_window_view(&[(0.into(), 3), (1.into(), 2)]).unwrap();
    let wanted = ArrayD::from_shape_fn(IxDyn(&[9, 6, 3, 2]), |at| x[[at[0] + at[2], at[1] + at[3]]]);
    assert!(same(&computed(&seen), &wanted));
    assert!(stored(&x, &[4, 3]).sliding_window_view(&[(0.into(), 12)]).is_err());
}

#[test]
fn boxes_are_what_loops_make() {
    let x = ArrayD::from_shape_fn(IxDyn(&[7, 9, 5]), |at| {
        let n = (at[0] * 9 + at[1]) * 5 + at[2];
        if n % 11 == 3 { f64::NAN } else { ((n * 37) % 23) as f64 }
    });
    let statistics = [
        (Coarsening::Mean, Rolling::Mean),
        (Coarsening::Sum, Rolling::Sum),
        (Coarsening::Min, Rolling::Min),
        (Coarsening::Max, Rolling::Max),
        (Coarsening::Median, Rolling::Median),
    ];
    for (factors, chunk) in [([2, 2, 2], [3, 4, 5]), ([3, 1, 5], [7, 2, 2]), ([1, 4, 1], [2, 9, 3])] {
        for remainder in [Remainder::Trim, Remainder::Pad] {
            for (op, of) in statistics {
                let named = [(0.into(), factors[0]), (1.into(), factors[1]), (2.into(), factors[2])];
                let found =
                    stored(&x, &chunk).coarse(&named).unwrap().remainder(remainder).reduce(op).unwrap();
                let shape = [0, 1, 2].map(|axis| match remainder {
                    Remainder::Pad => x.shape()[axis].div_ceil(factors[axis] as usize),
                    _ => x.shape()[axis] / factors[axis] as usize,
                });
                let wanted = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
                    let places = ndarray::indices(IxDyn(&factors.map(|n| n as usize)));
                    let seen: Vec<f64> = places
                        .into_iter()
                        .filter_map(|place| {
                            let position = |axis: usize| at[axis] * factors[axis] as usize + place[axis];
                            x.get(IxDyn(&[position(0), position(1), position(2)])).copied()
                        })
                        .collect();
                    let is_empty_sum = op == Coarsening::Sum && seen.iter().all(|x| x.is_nan());
                    if is_empty_sum { 0.0 } else { statistic(of, 1, &seen) }
                });
                assert!(same(&computed(&found), &wanted), "{op:?} {factors:?} {remainder:?}");
            }
        }
    }
    assert!(stored(&x, &[3, 4, 5]).coarse(&[(0.into(), 2)]).unwrap().reduce(Coarsening::Mean).is_err());
    let counted = Array::arange_i64(0, 6, 1).unwrap().astype(DType::U8).coarse(&[(0.into(), 3)]).unwrap();
    let sums = counted.reduce(Coarsening::Sum).unwrap();
    assert_eq!(
        (sums.dtype(), computed(&sums).as_slice().map(<[f64]>::to_vec)),
        (DType::U64, Some(vec![3.0, 12.0]))
    );
    assert_eq!(counted.output(DType::U8).reduce(Coarsening::Mean).unwrap().dtype(), DType::U8);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let x = Array::zeros(&[10, 10], DType::F32).unwrap();
    let texts = [
        x.filter().uniform(&[3, 3, 3]).unwrap_err(),
        x.filter().origins(&[2]).uniform(&[3]).unwrap_err(),
        x.filter().uniform(&[0]).unwrap_err(),
        x.filter().gaussian(&[f64::NAN]).unwrap_err(),
        x.filter().rank_of(9, &x.filter().full(&[3]).unwrap()).unwrap_err(),
        x.filter().percentile_of(101.0, &x.filter().full(&[3]).unwrap()).unwrap_err(),
        x.filter().binary_erosion(&Structure::connected(2, 1), 0, false).unwrap_err(),
        x.filter().correlate(&ArrayD::zeros(IxDyn(&[3]))).unwrap_err(),
        x.astype(DType::C64).filter().laplace().unwrap_err(),
    ]
    .map(|error| error.to_string());
    for (text, word) in
        texts.iter().zip(["size", "origin", "origin", "deviation", "rank", "percentile", "iterations"])
    {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(x.slice(0, ..0).unwrap().filter().median(&[3]).unwrap().shape(), [0, 10]);
}

#[test]
fn labels_are_those_of_one_block() {
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut most = 0;
    for round in 0..60 {
        let rank = 1 + next() % 3;
        let shape: Vec<usize> = (0..rank).map(|_| 1 + next() % 12).collect();
        let filled = 2 + next() % 6;
        let x = ArrayD::from_shape_simple_fn(IxDyn(&shape), || f64::from(u8::from(next() % 10 < filled)));
        let structure = Structure::connected(rank, 1 + round % rank);
        let session = Session::new(resources(1 << 22, 2));
        let whole: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
        let count = |count: &Array| session.compute::<i64>(count).unwrap()[[]];
        let one = stored(&x, &whole).label(&structure).unwrap();
        let wanted = computed(&one.labels);
        assert_eq!(one.labels.dtype(), DType::I32);
        assert_eq!(wanted.iter().fold(0.0, |most: f64, n| most.max(*n)), count(&one.count) as f64);
        for _ in 0..3 {
            let chunk: Vec<u64> = whole.iter().map(|n| 1 + next() as u64 % n).collect();
            // Not joined to larger blocks: those of a test are small.
            let cut = stored(&x, &chunk).label_blocks(&structure).unwrap();
            assert_eq!(
                (count(&cut.count), computed(&cut.labels)),
                (count(&one.count), wanted.clone()),
                "{shape:?} {chunk:?}"
            );
            most = most.max(cut.labels.grid().chunk_count());
        }
    }
    assert!(most > 20, "{most} blocks");
    let asymmetric = Structure::flat(ndarray::arr1(&[true, true, false]).into_dyn());
    assert!(Array::zeros(&[4], DType::U8).unwrap().label(&asymmetric).is_err());
}

#[test]
fn measures_are_what_loops_find() {
    let shape = [9, 11];
    let x = ArrayD::from_shape_fn(IxDyn(&shape), |at| ((at[0] * 31 + at[1] * 17) % 23) as f64 - 4.0);
    let labels = ArrayD::from_shape_fn(IxDyn(&shape), |at| ((at[0] / 3 * 5 + at[1] / 2) % 7) as f64);
    for chunk in [[9, 11], [2, 3], [4, 1]] {
        let by = stored(&labels, &[3, 4]).astype(DType::I32);
        let found = stored(&x, &chunk).measure(&by, 8).unwrap();
        let (sums, counts) = (computed(&found.sums().unwrap()), computed(&found.counts().unwrap()));
        let (least, most) = (computed(&found.minima().unwrap()), computed(&found.maxima().unwrap()));
        let (extents, middles) = (computed(&found.extents().unwrap()), computed(&found.centroids().unwrap()));
        for label in 1..=8_usize {
            let own: Vec<([f64; 2], f64)> = labels
                .indexed_iter()
                .filter(|(_, l)| **l == label as f64)
                .map(|(at, _)| ([at[0] as f64, at[1] as f64], x[at]))
                .collect();
            let fold = |of: fn(f64, f64) -> f64, first| own.iter().fold(first, |all, (_, x)| of(all, *x));
            assert_eq!((counts[label - 1], sums[label - 1]), (own.len() as f64, fold(|a, b| a + b, 0.0)));
            if own.is_empty() {
                assert!(label > 6 && middles[[label - 1, 0]].is_nan());
                continue;
            }
            assert_eq!(least[label - 1], fold(f64::min, f64::INFINITY));
            assert_eq!(most[label - 1], fold(f64::max, f64::NEG_INFINITY));
            for axis in 0..2 {
                let places = || own.iter().map(|(place, _)| place[axis]);
                assert_eq!(extents[[label - 1, axis, 0]], places().fold(f64::INFINITY, f64::min));
                assert_eq!(extents[[label - 1, axis, 1]], places().fold(0.0, f64::max) + 1.0);
                let mean = places().sum::<f64>() / own.len() as f64;
                assert!((middles[[label - 1, axis]] - mean).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn ranks_of_wide_integers_are_elements_of_the_array() {
    let wide = |n: u64| (1_u64 << 62) + n * 7 % 11;
    let unsigned =
        Array::from_fn(&[5, 6], move |at| wide(at[0] * 6 + at[1])).unwrap().rechunk([3, 4]).unwrap();
    let signed = Array::from_fn(&[5, 6], move |at| -(wide(at[0] * 6 + at[1]) as i64)).unwrap();
    let values = unsigned.compute::<u64>().unwrap();
    let window = ArrayD::from_elem(IxDyn(&[3, 3]), true);
    for rank in [0, 1, 4, 8] {
        let small = unsigned.filter().rank_of(rank, &window).unwrap().compute::<u64>().unwrap();
        let large = signed.filter().rank_of(8 - rank, &window).unwrap().compute::<i64>().unwrap();
        for (at, found) in small.indexed_iter() {
            let near = |axis: usize, step: usize, extent: usize| match at[axis] + step {
                0 => 0,
                place => (place - 1).min(extent - 1),
            };
            let mut seen: Vec<u64> = (0..9).map(|n| values[[near(0, n / 3, 5), near(1, n % 3, 6)]]).collect();
            seen.sort_unstable();
            assert_eq!(*found, seen[rank as usize]);
            assert_eq!(large[[at[0], at[1]]], -(*found as i64));
        }
    }
    let constant =
        signed.filter().modes(&[Edge::Constant(-3.0)]).median(&[1, 12]).unwrap().compute::<i64>().unwrap();
    assert_eq!(constant[[0, 0]], -3);
}

/// SciPy 1.16: only the sum of a window's first point is not of the array's dtype.
#[test]
fn heights_on_narrow_integers_are_scipys() {
    let x = Array::from_ndarray(&ndarray::arr2(&[[250_u8, 255, 3], [0, 7, 255]]).into_dyn()).unwrap();
    let structure = |height: f64| {
        let flat = Structure::flat(ArrayD::from_elem(IxDyn(&[1, 3]), true));
        flat.with_heights(ArrayD::from_elem(IxDyn(&[1, 3]), height)).unwrap()
    };
    let flat = |array: &Array| computed(array).into_raw_vec_and_offset().0;
    let dilated = x.filter().output(DType::F32).grey_dilation(&structure(1.0)).unwrap();
    assert_eq!(flat(&dilated), [251.0, 251.0, 256.0, 8.0, 8.0, 8.0]);
    let eroded = x.filter().output(DType::I16).grey_erosion(&structure(5.0)).unwrap();
    assert_eq!(flat(&eroded), [245.0, 245.0, 250.0, -5.0, -5.0, 2.0]);
    let eroded = x.filter().grey_erosion(&structure(5.0)).unwrap();
    assert_eq!(flat(&eroded), [245.0, 245.0, 250.0, 251.0, 251.0, 2.0]);
}
