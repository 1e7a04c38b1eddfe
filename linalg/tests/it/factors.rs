//! QR and singular value decompositions of matrices of every shape, chunking and condition number, against what defines them:
//! residual and orthogonality, and against the singular values that the matrix was made with.

use blockwise_core::dense::{Accumulate, Dense, Inexact, Matrix, MatrixMut, Op};
use blockwise_core::plan::Resources;
use blockwise_core::{Array, DType, Error, Session};
use blockwise_kernels::Element;
use blockwise_linalg::dense::{Cpu, Field};
use blockwise_linalg::{Qr, Svd, pinv, qr, svd, svdvals};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix2};
use num_complex::{Complex32, Complex64};
use proptest::prelude::*;

const EPSILON: f64 = f64::EPSILON;

fn random(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `m x n` with orthonormal columns.
fn orthonormal(seed: u64, m: usize, n: usize) -> Array2<f64> {
    let a = random(seed, m * n);
    let (mut q, mut r) = (vec![0.0; m * n], vec![0.0; n * n]);
    let (q_out, r_out) = (MatrixMut::new(&mut q, m, n).unwrap(), MatrixMut::new(&mut r, n, n).unwrap());
    Cpu.qr(Matrix::new(&a, m, n).unwrap(), Some(q_out), r_out).unwrap();
    Array2::from_shape_vec((m, n), q).unwrap()
}

/// A matrix with these singular values.
pub(crate) fn made(m: usize, n: usize, s: &[f64]) -> Array2<f64> {
    let (u, v) = (orthonormal(1, m, s.len()), orthonormal(2, n, s.len()));
    let scaled = Array2::from_shape_fn((m, s.len()), |(i, j)| u[[i, j]] * s[j]);
    times(&scaled, Op::Plain, &v, Op::Adjoint)
}

/// From 1 to `1 / kappa`, evenly in the logarithm.
pub(crate) fn spectrum(count: usize, kappa: f64) -> Vec<f64> {
    (0..count).map(|at| kappa.powf(-(at as f64) / (count.max(2) - 1) as f64)).collect()
}

pub(crate) fn times<T: Field>(a: &Array2<T>, op_a: Op, b: &Array2<T>, op_b: Op) -> Array2<T> {
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    let m = if op_a.transposes() { a.ncols() } else { a.nrows() };
    let n = if op_b.transposes() { b.nrows() } else { b.ncols() };
    let mut out = vec![T::zero(); m * n];
    let left = Matrix::new(a.as_slice().unwrap(), a.nrows(), a.ncols()).unwrap();
    let right = Matrix::new(b.as_slice().unwrap(), b.nrows(), b.ncols()).unwrap();
    let product = MatrixMut::new(&mut out, m, n).unwrap();
    Cpu.gemm(product, Accumulate::Replace, T::one(), (left, op_a), (right, op_b)).unwrap();
    Array2::from_shape_vec((m, n), out).unwrap()
}

pub(crate) fn norm<T: Inexact<Real = f64>>(a: &Array2<T>) -> f64 {
    a.iter().map(|x| x.abs_squared()).sum::<f64>().sqrt()
}

/// The norm of `qᴴ q - 1`, its sums taken in pairs of pairs, lest their own rounding be what is measured.
pub(crate) fn orthogonality<T: Field + Inexact<Real = f64>>(q: &Array2<T>) -> f64 {
    let mut product = paired_product(&q.view());
    product.diag_mut().iter_mut().for_each(|x| *x -= T::one());
    norm(&product)
}

fn paired_product<T: Field + Inexact<Real = f64>>(q: &ArrayView2<'_, T>) -> Array2<T> {
    if q.nrows() <= 4 {
        let q = q.to_owned();
        return times(&q, Op::Adjoint, &q, Op::Plain);
    }
    let (top, bottom) = q.split_at(Axis(0), q.nrows() / 2);
    paired_product(&top) + paired_product(&bottom)
}

pub(crate) fn matrix<T: Element>(array: ArrayD<T>) -> Array2<T> {
    array.into_dimensionality::<Ix2>().unwrap()
}

pub(crate) fn lazy<T: Element>(a: &Array2<T>, chunks: [u64; 2]) -> Array {
    Array::from_ndarray(&a.clone().into_dyn()).unwrap().rechunk(chunks).unwrap()
}

pub(crate) fn session() -> Session {
    Session::with_budget(1 << 30)
}

/// Checks both decompositions of `a`, cut by `chunks`.
fn check<T: Field + Inexact<Real = f64>>(a: &Array2<T>, chunks: [u64; 2], what: &str) -> Vec<f64> {
    let array = lazy(a, chunks);
    let (scale, k) = (norm(a), a.nrows().min(a.ncols()));
    let bound = 10.0 * EPSILON * (k as f64).sqrt();

    let Qr { q, r } = qr(&array).unwrap();
    let found = session().compute_many(&[q.clone(), r.clone()]).unwrap();
    let as_matrix = |at: usize, array: &Array| {
        let shape = (array.shape()[0] as usize, array.shape()[1] as usize);
        Array2::from_shape_vec(shape, found[at].to_elements::<T>().unwrap()).unwrap()
    };
    let (q, r) = (as_matrix(0, &q), as_matrix(1, &r));
    assert!(orthogonality(&q) <= bound, "{what}: QᴴQ - I = {} > {bound}", orthogonality(&q));
    let residual = norm(&(times(&q, Op::Plain, &r, Op::Plain) - a));
    assert!(residual <= 10.0 * EPSILON * scale, "{what}: QR - A = {residual}, A = {scale}");
    for (row, column) in (0..k).flat_map(|row| (0..row).map(move |column| (row, column))) {
        assert_eq!(r[[row, column]], T::zero(), "{what}: below the diagonal");
    }
    assert!((0..k).all(|at| r[[at, at]].real() >= 0.0), "{what}: diagonal");

    let Svd { u, s, vh } = svd(&array).unwrap();
    let found = session().compute_many(&[u.clone(), vh.clone(), s]).unwrap();
    let as_matrix = |at: usize, array: &Array| {
        let shape = (array.shape()[0] as usize, array.shape()[1] as usize);
        Array2::from_shape_vec(shape, found[at].to_elements::<T>().unwrap()).unwrap()
    };
    let (u, vh) = (as_matrix(0, &u), as_matrix(1, &vh));
    let s = found[2].to_elements::<f64>().unwrap();
    assert!(orthogonality(&u) <= bound, "{what}: UᴴU - I = {} > {bound}", orthogonality(&u));
    let v = times(&vh, Op::Plain, &vh, Op::Adjoint);
    let v = norm(&(v - Array2::<T>::eye(k)));
    assert!(v <= bound, "{what}: VᴴV - I = {v} > {bound}");
    let scaled = Array2::from_shape_fn(u.dim(), |(i, j)| u[[i, j]] * T::from_real(s[j]));
    let residual = norm(&(times(&scaled, Op::Plain, &vh, Op::Plain) - a));
    assert!(residual <= 10.0 * EPSILON * scale, "{what}: USV - A = {residual}, A = {scale}");
    assert!(s.windows(2).all(|pair| pair[0] >= pair[1]), "{what}: {s:?}");
    // dask's signs, as far as the sum is not a rounding error.
    for (at, row) in vh.rows().into_iter().enumerate() {
        let sum = row.iter().fold(T::zero(), |sum, x| sum + *x).real();
        assert!(s[at] <= 1e-13 * s[0] || sum > -1e-7, "{what}: the sum of row {at} is {sum}");
    }
    s
}

#[test]
fn every_condition_number() {
    for (m, n) in [(3000, 60), (900, 25), (120, 30), (40, 40)] {
        for exponent in [0, 1, 3, 5, 7, 8, 10, 12, 14, 16] {
            let wanted = spectrum(n, 10_f64.powi(exponent));
            let a = made(m, n, &wanted);
            for chunks in [[m as u64, n as u64], [70, n as u64], [500, 11]] {
                let found = check(&a, chunks, &format!("{m} x {n}, 1e{exponent}, {chunks:?}"));
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert!((found - wanted).abs() <= 1e-12 * wanted + 20.0 * EPSILON, "{found} {wanted}");
                }
            }
        }
    }
}

#[test]
fn degenerate_matrices() {
    let ones = Array2::from_elem((700, 9), 1.0);
    assert!((check(&ones, [100, 9], "ones")[0] - 6300_f64.sqrt()).abs() < 1e-10);
    assert_eq!(check(&Array2::<f64>::zeros((700, 9)), [100, 4], "zeros"), [0.0; 9]);
    let steps = Array2::from_shape_fn((5000, 12), |(i, j)| ((i / 1000) * (j % 3)) as f64);
    let found = check(&steps, [600, 12], "steps");
    assert!(found[1] < 1e-10 * found[0]);
    // Columns of zeros among others, rows of zeros at the start, and both.
    let mut some = made(4000, 10, &spectrum(10, 10.0));
    some.column_mut(0).fill(0.0);
    some.column_mut(7).fill(0.0);
    assert_eq!(check(&some, [1000, 10], "zero columns").iter().filter(|s| **s < 1e-17).count(), 2);
    some.rows_mut().into_iter().take(2500).for_each(|mut row| row.fill(0.0));
    check(&some, [1000, 10], "zero rows and columns");
    // Columns of very different lengths, and very large and small elements.
    let graded =
        Array2::from_shape_fn((3000, 8), |(i, j)| random(i as u64 + 1, 8)[j] * 10_f64.powi(-4 * j as i32));
    check(&graded, [400, 8], "graded");
    for scale in [1e-300, 1e-200, 1e200, 1e300] {
        let a = made(2000, 5, &spectrum(5, 100.0)) * scale;
        let s = svdvals(&lazy(&a, [300, 5])).unwrap();
        let s = session().compute::<f64>(&s).unwrap();
        assert!((s[4] / scale - 0.01).abs() < 1e-14, "{scale}: {s}");
    }
    for shape in [(1, 1), (1, 5), (5, 1), (2, 2), (3, 7)] {
        check(&Array2::from_shape_vec(shape, random(5, shape.0 * shape.1)).unwrap(), [2, 2], "small");
    }
    for shape in [[0, 4], [4, 0], [0, 0]] {
        let Svd { u, s, vh } = svd(&Array::zeros(&shape, DType::F32).unwrap()).unwrap();
        assert_eq!((u.shape(), s.shape(), vh.shape()), (vec![shape[0], 0], vec![0], vec![0, shape[1]]));
        assert_eq!(qr(&Array::zeros(&shape, DType::F32).unwrap()).unwrap().q.shape(), [shape[0], 0]);
    }
}

#[test]
fn rows_unlike_the_first_spoil_nothing() {
    // Columns that depend on each other in all rows but some at the end: a sample of the first rows misleads.
    for (last, size) in [(1, 1.0), (100, 1.0), (1, 1e6), (1900, 1e-6)] {
        let base = random(3, 2000);
        let extra = random(4, 2000 * 6);
        let a = Array2::from_shape_fn((2000, 6), |(i, j)| {
            let more = if i >= 2000 - last { size } else { 1e-9 };
            base[i] * (j + 1) as f64 + extra[i * 6 + j] * more
        });
        check(&a, [2000, 6], &format!("last {last}, {size}"));
        check(&a, [50, 6], &format!("last {last}, {size}, panels"));
    }
}

#[test]
fn wide_matrices_and_complex_numbers() {
    for exponent in [0, 6, 13] {
        let a = made(2000, 15, &spectrum(15, 10_f64.powi(exponent)));
        check(&a.t().as_standard_layout().to_owned(), [4, 300], "wide");
        let b = made(2000, 15, &spectrum(15, 5.0));
        let complex = Array2::from_shape_fn(a.dim(), |at| Complex64::new(a[at], b[at]));
        check(&complex, [300, 15], "complex");
        check(&complex.t().as_standard_layout().to_owned(), [15, 300], "wide, complex");
    }
    let a = made(3000, 20, &spectrum(20, 1e3));
    let halves = a.mapv(|x| Complex32::new(x as f32, -2.0 * x as f32));
    let Svd { u, s, vh } = svd(&lazy(&halves, [700, 20])).unwrap();
    assert_eq!((u.dtype(), s.dtype(), vh.dtype()), (DType::C64, DType::F32, DType::C64));
    let s = session().compute::<f32>(&s).unwrap();
    assert!((f64::from(s[19]) - 5_f64.sqrt() * 1e-3).abs() < 1e-7, "{}", s[19]);
}

#[test]
fn narrow_elements_are_computed_with_in_64_bits() {
    let wanted = spectrum(30, 1e5);
    let a = made(5000, 30, &wanted).mapv(|x| x as f32);
    let array = lazy(&a, [900, 30]);
    let Svd { u, s, vh } = svd(&array).unwrap();
    assert_eq!((u.dtype(), s.dtype(), vh.dtype()), (DType::F32, DType::F32, DType::F32));
    let s = session().compute::<f32>(&s).unwrap();
    // The elements were rounded; what is computed of them is not.
    let exact = session().compute::<f64>(&svdvals(&array.astype(DType::F64)).unwrap()).unwrap();
    for (found, exact) in s.iter().zip(&exact) {
        assert!((f64::from(*found) - exact).abs() <= f64::from(f32::EPSILON) * exact, "{found} {exact}");
    }
    let u = matrix(session().compute::<f32>(&u).unwrap()).mapv(f64::from);
    assert!(orthogonality(&u) < 10.0 * f64::from(f32::EPSILON) * 30_f64.sqrt());
    let integers = Array::from_fn(&[500, 4], |at| (at[0] * at[1] % 5) as i16).unwrap();
    assert_eq!(svd(&integers).unwrap().u.dtype(), DType::F64);
    assert_eq!(qr(&integers.astype(DType::F16)).unwrap().r.dtype(), DType::F32);
}

#[test]
fn bits_do_not_depend_on_threads_or_budget() {
    let a = lazy(&made(20_000, 12, &spectrum(12, 1e9)), [150, 12]);
    let run = |budget_bytes: u64, threads: usize| {
        let resources = Resources {
            budget_bytes,
            threads,
            spill_folder: std::env::temp_dir(),
            spill_limit_bytes: None,
            engine: None,
            device: None,
        };
        let Svd { u, s, vh } = svd(&a).unwrap();
        let found = Session::new(resources).compute_many(&[u, s, vh]).unwrap();
        found.iter().map(|array| array.to_elements::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let once = run(1 << 30, 1);
    assert!(once == run(1 << 30, 4) && once == run(24 << 20, 3));
}

#[test]
fn what_is_not_finite_is_named() {
    for (bad, row, chunks) in
        [(f64::NAN, 1234, [500, 8]), (f64::INFINITY, 7, [5000, 8]), (f64::NAN, 4999, [64, 3])]
    {
        let mut a = made(5000, 8, &spectrum(8, 1e4));
        a[[row, 3]] = bad;
        let error = session().compute::<f64>(&svdvals(&lazy(&a, chunks)).unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("row {row}, column 3")), "{text}");
        assert_eq!(error.fault(), blockwise_core::Fault::BadInput);
    }
    assert!(matches!(svd(&Array::zeros(&[3], DType::F64).unwrap()), Err(Error::Rank { .. })));
}

#[test]
fn pseudo_inverses_are_moores_and_penroses() {
    for (m, n, chunks) in [(900, 20, [100, 7]), (20, 900, [20, 100])] {
        let mut wanted = spectrum(15, 50.0);
        wanted.extend([0.0; 5]);
        let a = made(m, n, &wanted);
        let x = matrix(session().compute::<f64>(&pinv(&lazy(&a, chunks), None).unwrap()).unwrap());
        assert_eq!(x.dim(), (n, m));
        let ax = times(&a, Op::Plain, &x, Op::Plain);
        let xa = times(&x, Op::Plain, &a, Op::Plain);
        assert!(norm(&(times(&ax, Op::Plain, &a, Op::Plain) - &a)) < 1e-12);
        assert!(norm(&(times(&xa, Op::Plain, &x, Op::Plain) - &x)) < 1e-10);
        assert!(norm(&(&ax - &ax.t())) < 1e-11 && norm(&(&xa - &xa.t())) < 1e-11);
    }
}

#[test]
fn one_read_for_values_and_a_second_for_the_long_vectors() {
    let a = Array::from_fn(&[400_000, 10], |at| ((at[0] * 31 + at[1] * at[1] * 17) % 1009) as f64).unwrap();
    let Svd { u, s, vh } = svd(&a.rechunk([40_000, 10]).unwrap()).unwrap();
    let passes = |arrays: &[Array]| {
        let plan = session().explain(arrays).unwrap();
        plan.summary().sources.iter().map(|source| source.passes).sum::<u64>()
    };
    assert_eq!(passes(&[s.clone(), vh.clone()]), 1);
    assert_eq!(passes(&[u, s, vh]), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_shape_and_chunking(
        m in 1_usize..400, n in 1_usize..24, rows in 1_u64..200, columns in 1_u64..24,
        exponent in 0_i32..15, rank in 1_usize..24, wide in any::<bool>(),
    ) {
        let k = m.min(n).min(rank);
        let a = made(m, n, &spectrum(k, 10_f64.powi(exponent)));
        let a = if wide { a.t().as_standard_layout().to_owned() } else { a };
        check(&a, [rows, columns], "any");
    }
}
