//! Solves, inverses, LU and least squares of chunked matrices, by what they must fulfil.

use blockwise_core::kernels::random::Distribution;
use blockwise_core::{Array, DType, Error, Session};
use blockwise_linalg::{Assume, inv, lstsq, lu, matmul, solve, solve_with};
use num_complex::Complex64;
use proptest::prelude::*;

const DTYPES: [DType; 4] = [DType::F32, DType::F64, DType::C64, DType::C128];

/// A matrix of numbers that look random.
fn matrix(shape: [u64; 2], chunk: [u64; 2], dtype: DType, seed: u64) -> Array {
    let element = move |at: &[u64]| {
        let mixed = ((at[0] + seed) * 7919 + at[1] * 104_729 + at[0] * at[1]) % 1009;
        Complex64::new(mixed as f64 / 1009.0 - 0.5, ((mixed * 7) % 1009) as f64 / 1009.0 - 0.5)
    };
    let x = Array::from_fn(&shape, element).unwrap();
    let x = if dtype.kind() == 'c' { x } else { Array::call("real", [x.into()]).unwrap() };
    x.astype(dtype).rechunk(chunk).unwrap()
}

/// The largest absolute value of `a - b`.
fn apart(a: &Array, b: &Array) -> f64 {
    if a.shape().contains(&0) {
        return 0.0;
    }
    let off = a.try_sub(b).unwrap().abs().unwrap().max(..).unwrap();
    off.astype(DType::F64).compute::<f64>().unwrap()[[]]
}

fn limit(dtype: DType) -> f64 {
    if matches!(dtype, DType::F32 | DType::C64) { 2e-3 } else { 1e-11 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn solutions_solve(n in 0_u64..12, columns in 0_u64..4, chunk in (1_u64..6, 1_u64..6), kind in 0..4_usize) {
        let dtype = DTYPES[kind];
        let shift = Array::eye(n, n, 0, dtype).unwrap().try_mul(4.0).unwrap();
        let a = matrix([n, n], [chunk.0, chunk.1], dtype, 1).try_add(shift).unwrap();
        let b = matrix([n, columns], [chunk.1, chunk.0], dtype, 2);
        let x = solve(&a, &b).unwrap();
        prop_assert_eq!((x.shape(), x.dtype()), (vec![n, columns], dtype));
        prop_assert!(apart(&matmul(&a, &x).unwrap(), &b) < limit(dtype));
        let one = Array::eye(n, n, 0, dtype).unwrap();
        prop_assert!(apart(&matmul(&a, &inv(&a).unwrap()).unwrap(), &one) < limit(dtype));
        let square = blockwise_linalg::gram(&a).unwrap();
        let x = solve_with(&square, &b, Assume::PositiveDefinite).unwrap();
        prop_assert!(apart(&matmul(&square, &x).unwrap(), &b) < 20.0 * limit(dtype));
    }

    #[test]
    fn lu_gives_the_matrix_back(m in 0_u64..10, n in 0_u64..10, chunk in (1_u64..6, 1_u64..6), kind in 0..4_usize) {
        let dtype = DTYPES[kind];
        let a = matrix([m, n], [chunk.0, chunk.1], dtype, 3);
        let found = lu(&a).unwrap();
        let k = m.min(n);
        prop_assert_eq!((found.p.shape(), found.l.shape(), found.u.shape()), (vec![m, m], vec![m, k], vec![k, n]));
        let back = matmul(&found.p, &matmul(&found.l, &found.u).unwrap()).unwrap();
        prop_assert!(apart(&back, &a) < limit(dtype));
    }

    #[test]
    fn least_squares_leave_what_is_at_right_angles(
        m in 1_u64..30, n in 1_u64..6, chunk in (1_u64..9, 1_u64..6), kind in 0..4_usize,
    ) {
        let dtype = DTYPES[kind];
        let a = matrix([m, n], [chunk.0, chunk.1], dtype, 4);
        let b = matrix([m, 2], [chunk.1, 2], dtype, 5);
        let found = lstsq(&a, &b, None).unwrap();
        prop_assert_eq!(found.x.shape(), vec![n, 2]);
        let left = b.try_sub(matmul(&a, &found.x).unwrap()).unwrap();
        let adjoint = Array::call("conjugate", [a.transpose(..).unwrap().into()]).unwrap();
        let shadow = matmul(&adjoint, &left).unwrap();
        prop_assert!(apart(&shadow, &shadow.zeros_like()) < 20.0 * limit(dtype));
        let sums = left.abs().unwrap().square().unwrap().sum(0).unwrap();
        prop_assert!(apart(&found.residuals, &sums) < 20.0 * limit(dtype));
        prop_assert_eq!(found.rank.compute::<i64>().unwrap()[[]], m.min(n) as i64);
    }
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let singular = Array::from_fn(&[3, 3], |at| (at[0] * 3) as f64 + at[1] as f64).unwrap();
    let b = Array::ones(&[3], DType::F64).unwrap();
    // Exactly singular where the rounding of the elimination is exact.
    let twice = Array::from_fn(&[2, 2], |at| ((at[0] + 1) * (at[1] + 1)) as f64).unwrap();
    let text = solve(&twice, &b.slice(0, ..2).unwrap()).unwrap().compute::<f64>().unwrap_err().to_string();
    assert!(text.contains("singular") && text.contains("column 1"), "{text}");
    assert!(solve(&singular, &Array::ones(&[4], DType::F64).unwrap()).is_err());
    assert!(solve(&b, &b).is_err());
}

#[test]
fn a_matrix_of_many_panels_is_solved_within_its_own_size() {
    let normal = Distribution::Normal { mean: 0.0, deviation: 1.0 };
    let a = Array::random(&[4000, 4000], normal, 3).unwrap().rechunk([700, 900]).unwrap().astype(DType::F32);
    let b = Array::ones(&[4000], DType::F32).unwrap();
    let x = solve(&a, &b).unwrap();
    // Not even a panel fits; what would do is named, and does.
    let needed_bytes = match Session::with_budget(16 << 20).compute::<f32>(&x) {
        Err(Error::OverBudget { needed_bytes, .. }) => needed_bytes,
        other => panic!("{other:?}"),
    };
    assert!(needed_bytes < 4000 * 4000 * 4, "{needed_bytes}");
    let session = Session::with_budget(needed_bytes);
    let x = Array::from_ndarray(&session.compute::<f32>(&x).unwrap()).unwrap();
    let left = matmul(&a, &x).unwrap().try_sub(&b).unwrap().abs().unwrap().max(..).unwrap();
    let largest = session.compute::<f32>(&x.abs().unwrap().max(..).unwrap()).unwrap()[[]];
    let left = session.compute::<f32>(&left).unwrap()[[]];
    // A millionth of the norm of the matrix, by its rows about 3200.
    assert!(left < 4e-3 * largest.max(1.0), "{left} {largest}");
}

#[test]
fn a_matrix_of_less_rank_has_the_shortest_solution() {
    let a = Array::from_fn(&[50, 3], |at| (at[0] * (at[1] + 1)) as f64).unwrap().rechunk([7, 2]).unwrap();
    let b = Array::from_fn(&[50], |at| 14.0 * at[0] as f64).unwrap();
    let found = lstsq(&a, &b, None).unwrap();
    assert_eq!(found.rank.compute::<i64>().unwrap()[[]], 1);
    let x = found.x.compute::<f64>().unwrap();
    for (found, wanted) in x.iter().zip([1.0, 2.0, 3.0]) {
        assert!((found - wanted).abs() < 1e-12, "{x}");
    }
}
