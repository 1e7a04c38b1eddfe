//! Closures by the field's names, beside plain loops: index notation, generalised ufuncs, blocks written in place.

use crate::support::resources;
use blockwise_core::array::{Axes, Gufunc, MapBlocks, PadMode};
use blockwise_core::kernels::order::QuantileMethod;
use blockwise_core::{Array, ChunkGrid, DType, Session, memory::MemoryArray};
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, Ix1, Ix2, IxDyn, Zip, arr0};
use proptest::prelude::*;
use std::sync::Arc;

fn values(shape: &[usize]) -> ArrayD<f64> {
    let mut n = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        n += 1.0;
        (n * 37.0) % 101.0
    })
}

fn stored(values: &ArrayD<f64>, chunk: &[u64]) -> Array {
    let shape: Vec<u64> = values.shape().iter().map(|n| *n as u64).collect();
    let grid = ChunkGrid::regular(&shape, chunk).unwrap();
    Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap()))
}

fn computed(array: &Array) -> ArrayD<f64> {
    Session::new(resources(1 << 20, 2)).compute::<f64>(array).unwrap()
}

#[test]
fn index_notation_turns_broadcasts_contracts_and_adds() {
    let (a, b) = (values(&[6, 5, 4]), values(&[4, 6]));
    for (chunk_a, chunk_b) in [([6, 5, 4], [4, 6]), ([2, 3, 1], [3, 2]), ([1, 1, 1], [1, 1])] {
        let (x, y) = (stored(&a, &chunk_a), stored(&b, &chunk_b));
        // Both are turned, k is summed, j stands in one input, z in none.
        let map = MapBlocks::blockwise("jzi", [(&x, "ijk"), (&y, "ki")], &[('z', 2)]).unwrap();
        let found = map
            .map2(|_, a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| {
                let sums = (&a * &b.t().insert_axis(Axis(1))).sum_axis(Axis(2)).reversed_axes();
                ndarray::stack(Axis(1), &[sums.view(), sums.mapv(|sum| -sum).view()]).unwrap()
            })
            .unwrap();
        assert_eq!(found.shape(), [5, 2, 6]);
        let found = computed(&found);
        for (at, value) in found.indexed_iter() {
            let (j, z, i) = (at[0], at[1], at[2]);
            let sum: f64 = (0..4).map(|k| a[[i, j, k]] * b[[k, i]]).sum();
            assert_eq!(*value, if z == 0 { sum } else { -sum });
        }
    }
    // Any number of inputs, nothing left of them.
    let x = stored(&a, &[3, 5, 2]);
    let map = MapBlocks::blockwise("", [(&x, "abc"), (&x, "abc"), (&x, "abc")], &[]).unwrap();
    let cubes = map.map_all(|_, x: &[ArrayViewD<'_, f64>]| arr0((&x[0] * &x[1] * &x[2]).sum())).unwrap();
    assert_eq!(computed(&cubes)[[]], a.mapv(|v| v * v * v).sum());
}

#[test]
fn gufuncs_loop_over_all_but_core_axes() {
    let (a, w) = (values(&[7, 3, 10]), values(&[3, 10]));
    let (x, weights) = (stored(&a, &[2, 2, 3]), stored(&w, &[1, 10]));
    let expected = (&a * &w).sum_axis(Axis(2));
    let dot = Gufunc::new("(i),(i)->()", [&x, &weights]).unwrap();
    let each = |a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| {
        assert_eq!((a.shape(), b.shape()), (&[10][..], &[10][..]));
        arr0((&a * &b).sum())
    };
    assert_eq!(computed(&dot.clone().vectorize2(each).unwrap()), expected);
    let blocks = |a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| (&a * &b).sum_axis(Axis(a.ndim() - 1));
    assert_eq!(computed(&dot.map2(blocks).unwrap()), expected);
    // A core axis that stays, one that is new, and one that is not the last.
    let ends = Gufunc::new("( i ) -> (end, i)", [&x]).unwrap().axes([1]).unwrap().output_size("end", 2);
    let ends = ends
        .vectorize(|line: ArrayViewD<'_, f64>| {
            let line = line.into_dimensionality::<Ix1>().unwrap();
            ndarray::stack![Axis(0), line, line.mapv(|v| v - line[0])]
        })
        .unwrap();
    assert_eq!(ends.shape(), [7, 10, 2, 3]);
    let found = computed(&ends);
    for (at, value) in found.indexed_iter() {
        let own = a[[at[0], at[3], at[1]]];
        assert_eq!(*value, if at[2] == 0 { own } else { own - a[[at[0], 0, at[1]]] });
    }
    // Matrices along axes by name; two results.
    let named = x.with_names(&["t", "i", "j"]).unwrap();
    let both = Gufunc::new("(i,j)->(i),(i)", [&named]).unwrap().axes([Axes::from(["j", "i"])]).unwrap();
    let both = both
        .apply(&[DType::F64, DType::I64], |_, blocks, outputs| {
            // The results' core axis comes first, then the one that they do not have.
            let block = blocks[0].view::<f64>()?;
            outputs[0].view_mut::<f64>()?.assign(&block.sum_axis(Axis(2)));
            outputs[1].view_mut::<i64>()?.fill(block.len_of(Axis(2)) as i64);
            Ok(())
        })
        .unwrap();
    assert_eq!(computed(&both[0]), a.sum_axis(Axis(1)));
    assert_eq!(Session::new(resources(1 << 20, 2)).compute::<i64>(&both[1]).unwrap()[[6, 9]], 3);
}

#[test]
fn closures_write_in_place() {
    let a = values(&[20, 30]);
    let x = stored(&a, &[7, 9]);
    let squared = x.map_blocks_into(|block: ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, f64>| {
        Zip::from(&mut out).and(&block).for_each(|out, x| *out = x * x);
    });
    assert_eq!(computed(&squared.unwrap()), a.mapv(|v| v * v));
    let map = MapBlocks::new([&x]).unwrap().drop_axes(0).unwrap();
    let sums = map.map_into(|info, block: ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, f64>| {
        assert_eq!(info.shape, [20, 30]);
        out.assign(&block.sum_axis(Axis(0)));
    });
    assert_eq!(computed(&sums.unwrap()), a.sum_axis(Axis(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn halos_are_numpys_pads(
        chunk in (1_u64..9, 1_u64..7), depth in (0_u64..5, 0_u64..5, 0_u64..5), which in 0_usize..6,
        keeps_halo in any::<bool>(), computed in any::<bool>(), threads in 1_usize..4,
    ) {
        let a = values(&[8, 6]);
        let x = stored(&a, &[chunk.0, chunk.1]);
        let x = if computed { (&x + 1.0) - 1.0 } else { x };
        let boundary = [
            None, Some(PadMode::Constant((-7.0).into())), Some(PadMode::Edge), Some(PadMode::Symmetric),
            Some(PadMode::Wrap), Some(PadMode::Reflect),
        ][which];
        // The sum of the window around each element; without a boundary, of what there is of it.
        let (up, down, right) = (depth.0 as usize, depth.1 as usize, depth.2 as usize);
        let map = MapBlocks::new([&x]).unwrap().overlap(0, depth.0, depth.1, boundary).unwrap();
        let map = map.overlap(1, 0, depth.2, boundary).unwrap();
        let found = map.map(move |info, block: ArrayViewD<'_, f64>| {
            let lead = if boundary.is_none() { up.min(info.region.origin()[0] as usize) } else { up };
            let shape = [info.region.shape()[0] as usize, info.region.shape()[1] as usize];
            let window = |i: usize, j: usize| {
                let rows = (i + lead).saturating_sub(up)..(i + lead + down + 1).min(block.shape()[0]);
                let columns = j..(j + right + 1).min(block.shape()[1]);
                block.slice_each_axis(|axis| if axis.axis == Axis(0) { rows.clone().into() } else { columns.clone().into() }).sum()
            };
            if keeps_halo {
                // What lies in the halo is cut off, whatever it is.
                let mut whole = block.to_owned();
                for ((i, j), _) in ndarray::Array2::<u8>::zeros(shape).indexed_iter() {
                    whole[[i + lead, j]] = window(i, j);
                }
                whole
            } else {
                ArrayD::from_shape_fn(IxDyn(&shape), |at| window(at[0], at[1]))
            }
        }).unwrap();
        let found = Session::new(resources(1 << 20, threads)).compute::<f64>(&found).unwrap();
        let padded = match boundary {
            None => a.clone(),
            Some(mode) => {
                let rows = Array::from_ndarray(&a).unwrap().pad(0, depth.0, depth.1, mode).unwrap();
                computed_at_once(&rows.pad(1, 0, depth.2, mode).unwrap())
            }
        };
        let shift = if boundary.is_none() { 0 } else { up };
        for ((i, j), value) in found.indexed_iter().map(|(at, value)| ((at[0], at[1]), value)) {
            let rows = (i + shift).saturating_sub(up)..(i + shift + down + 1).min(padded.shape()[0]);
            let columns = j..(j + right + 1).min(padded.shape()[1]);
            let expected: f64 = rows.flat_map(|r| columns.clone().map(move |c| (r, c))).map(|(r, c)| padded[[r, c]]).sum();
            prop_assert!((value - expected).abs() < 1e-9, "{:?}: {} for {}", (i, j), value, expected);
        }
    }
}

fn computed_at_once(array: &Array) -> ArrayD<f64> {
    Session::new(resources(1 << 24, 1)).compute::<f64>(array).unwrap()
}

#[test]
fn medians_of_nothing_are_nan() {
    let none = stored(&values(&[3, 4]), &[2, 2]).slice(1, ..0).unwrap();
    assert!(computed(&none.median(1).unwrap()).iter().all(|median| median.is_nan()));
    assert_eq!(computed(&none.median(1).unwrap()).shape(), [3]);
    assert!(
        computed(&none.nanquantile([0.1, 0.9], 1, QuantileMethod::Linear).unwrap())
            .iter()
            .all(|q| q.is_nan())
    );
    assert!(none.quantile(0.5, 1, QuantileMethod::Linear).is_err());
}

#[test]
fn faults_are_named() {
    let x = stored(&values(&[4, 6]), &[2, 2]);
    let blockwise = |result: &str, a: &str, b: &str| {
        MapBlocks::blockwise(result, [(&x, a), (&x, b)], &[]).map(|_| ()).unwrap_err().to_string()
    };
    assert!(blockwise("ij", "ij", "i").contains("input 1 has 2 axes, but 1 indices"));
    assert!(blockwise("ij", "ii", "ij").contains("the index 'i' twice"));
    assert!(blockwise("ij", "ij", "ji").contains("do not broadcast"));
    assert!(blockwise("ijk", "ij", "ij").contains("'k' of the result; give it a length"));
    assert!(blockwise("ii", "ij", "ij").contains("result has the index 'i' twice"));
    let gufunc = |signature: &str| Gufunc::new(signature, [&x]).map(|_| ()).unwrap_err().to_string();
    assert!(gufunc("(i)").contains("has no '->'"));
    assert!(gufunc("(i,)->()").contains("is none"));
    assert!(gufunc("(i),(i)->()").contains("takes 2 arrays, 1 are given"));
    assert!(gufunc("(i,j,k)->()").contains("needs 3 axes of input 0, which has 2"));
    assert!(gufunc("(i)->(i),()").contains("results of different axes"));
    // Results that differ in shape from call to call.
    let uneven = Gufunc::new("(i)->(i)", [&x]).unwrap();
    let uneven = uneven.vectorize(|line: ArrayViewD<'_, f64>| {
        let count = if line[0] > 50.0 { 2 } else { 6 };
        line.into_dimensionality::<Ix1>().unwrap().slice_move(ndarray::s![..count]).to_owned()
    });
    let error = Session::new(resources(1 << 20, 1)).compute::<f64>(&uneven.unwrap()).unwrap_err().to_string();
    assert!(error.contains("gave a block of shape"), "{error}");
    // What is dropped has no block.
    let none = MapBlocks::new([&x.slice(0, ..0).unwrap()]).unwrap().drop_axes(0).unwrap();
    let none = none
        .map(|_, block: ArrayViewD<'_, f64>| block.into_dimensionality::<Ix2>().unwrap().sum_axis(Axis(0)));
    assert!(none.unwrap_err().to_string().contains("is empty"));
}
