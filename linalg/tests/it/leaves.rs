//! The leaves of a CPU against naive loops, for every dtype, size 0 and 1 included.

use blockwise_core::Error;
use blockwise_core::dense::{Accumulate, Dense, Inexact, Matrix, MatrixMut, Op, Triangle};
use blockwise_linalg::dense::{Cpu, Field};
use num_complex::{Complex32, Complex64};
use num_traits::{Float, NumCast, One, Zero};
use proptest::prelude::*;

/// Elements that look random, for a matrix of `rows x columns`.
fn matrix<T: Field + FromParts>(seed: u64, rows: usize, columns: usize) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..rows * columns).map(|_| T::from_parts(next(), next())).collect()
}

trait FromParts {
    fn from_parts(re: f64, im: f64) -> Self;
}
impl FromParts for f32 {
    fn from_parts(re: f64, _: f64) -> Self {
        re as Self
    }
}
impl FromParts for f64 {
    fn from_parts(re: f64, _: f64) -> Self {
        re
    }
}
impl FromParts for Complex32 {
    fn from_parts(re: f64, im: f64) -> Self {
        Self::new(re as f32, im as f32)
    }
}
impl FromParts for Complex64 {
    fn from_parts(re: f64, im: f64) -> Self {
        Self::new(re, im)
    }
}

/// `op(a)[i, j]`.
fn at<T: Inexact>(a: &[T], columns: usize, op: Op, i: usize, j: usize) -> T {
    let element = if op.transposes() { a[j * columns + i] } else { a[i * columns + j] };
    if op.conjugates() { Inexact::conj(element) } else { element }
}

/// `op(a) @ op(b)` by three loops; `a` and `b` with their numbers of columns, the result `m x n` over `k`.
fn product<T: Inexact>(a: (&[T], usize, Op), b: (&[T], usize, Op), m: usize, n: usize, k: usize) -> Vec<T> {
    let cell = |i: usize, j: usize| {
        (0..k).fold(T::zero(), |sum, l| sum + at(a.0, a.1, a.2, i, l) * at(b.0, b.1, b.2, l, j))
    };
    (0..m * n).map(|cell_at| cell(cell_at / n, cell_at % n)).collect()
}

fn distance<T: Inexact>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().zip(b).map(|(a, b)| (*a - *b).abs_squared()).fold(T::Real::zero(), T::Real::max);
    <f64 as NumCast>::from(largest.sqrt()).unwrap()
}

fn tolerance<T: Inexact>(size: usize) -> f64 {
    let epsilon: f64 = NumCast::from(T::Real::epsilon()).unwrap();
    40.0 * epsilon * (size as f64 + 2.0)
}

fn identity<T: Inexact>(n: usize) -> Vec<T> {
    (0..n * n).map(|at| if at / n == at % n { T::one() } else { T::zero() }).collect()
}

fn products_agree<T: Field + FromParts>(m: usize, n: usize, k: usize, op_a: Op, op_b: Op) {
    let (rows, columns) = if op_a.transposes() { (k, m) } else { (m, k) };
    let a = matrix::<T>(1, rows, columns);
    let a_matrix = Matrix::new(&a, rows, columns).unwrap();
    let (rows_b, columns_b) = if op_b.transposes() { (n, k) } else { (k, n) };
    let b = matrix::<T>(2, rows_b, columns_b);
    let b_matrix = Matrix::new(&b, rows_b, columns_b).unwrap();
    let expected = product((&a, columns, op_a), (&b, columns_b, op_b), m, n, k);
    // In a window of something larger, twice: replaced, then added.
    let mut out = matrix::<T>(3, m + 1, n + 2);
    for into in [Accumulate::Replace, Accumulate::Add] {
        let window = MatrixMut::new(&mut out, m + 1, n + 2).unwrap().part(1..m + 1, 1..n + 1).unwrap();
        Cpu.gemm(window, into, T::one(), (a_matrix, op_a), (b_matrix, op_b)).unwrap();
    }
    let half: Vec<T> = (0..m)
        .flat_map(|i| out[(i + 1) * (n + 2) + 1..][..n].to_vec())
        .map(|x| x / (T::one() + T::one()))
        .collect();
    assert!(distance(&half, &expected) <= tolerance::<T>(k));
    let mut square = identity::<T>(columns);
    Cpu.gram(MatrixMut::new(&mut square, columns, columns).unwrap(), Accumulate::Replace, a_matrix).unwrap();
    let expected = product((&a, columns, Op::Adjoint), (&a, columns, Op::Plain), columns, columns, rows);
    for i in 0..columns {
        let lower = i * columns..i * columns + i + 1;
        assert!(distance(&square[lower.clone()], &expected[lower]) <= tolerance::<T>(rows));
        assert!(square[i * columns + i + 1..(i + 1) * columns].iter().all(Zero::is_zero));
    }
}

fn decompositions_agree<T: Field + FromParts>(m: usize, n: usize) {
    let (k, a) = (m.min(n), matrix::<T>(7, m, n));
    let a_matrix = Matrix::new(&a, m, n).unwrap();
    let (mut q, mut r) = (vec![T::zero(); m * k], vec![T::zero(); k * n]);
    let q_matrix = MatrixMut::new(&mut q, m, k).unwrap();
    Cpu.qr(a_matrix, Some(q_matrix), MatrixMut::new(&mut r, k, n).unwrap()).unwrap();
    let limit = tolerance::<T>(m + n);
    assert!(distance(&product((&q, k, Op::Plain), (&r, n, Op::Plain), m, n, k), &a) <= limit);
    assert!(distance(&product((&q, k, Op::Adjoint), (&q, k, Op::Plain), k, k, m), &identity(k)) <= limit);

    let (mut u, mut vh) = (vec![T::zero(); m * k], vec![T::zero(); k * n]);
    let mut s = vec![<T as Inexact>::Real::zero(); k];
    let u_matrix = MatrixMut::new(&mut u, m, k).unwrap();
    Cpu.svd(a_matrix, Some(u_matrix), &mut s, Some(MatrixMut::new(&mut vh, k, n).unwrap())).unwrap();
    let us: Vec<T> = u.iter().enumerate().map(|(at, x)| *x * T::from_real(s[at % k.max(1)])).collect();
    assert!(distance(&product((&us, k, Op::Plain), (&vh, n, Op::Plain), m, n, k), &a) <= limit);
    assert!(distance(&product((&vh, n, Op::Plain), (&vh, n, Op::Adjoint), k, k, n), &identity(k)) <= limit);
    assert!(s.windows(2).all(|pair| pair[0] >= pair[1]));

    let (mut factors, mut rows) = (a.clone(), vec![0; m]);
    Cpu.lu(MatrixMut::new(&mut factors, m, n).unwrap(), &mut rows).unwrap();
    let lower: Vec<T> = (0..m * k).map(|at| lower_of(&factors, n, at / k.max(1), at % k.max(1))).collect();
    let upper: Vec<T> = (0..k * n).map(|at| if at / n <= at % n { factors[at] } else { T::zero() }).collect();
    let exchanged: Vec<T> = rows.iter().flat_map(|row| a[row * n..(row + 1) * n].to_vec()).collect();
    assert!(distance(&product((&lower, k, Op::Plain), (&upper, n, Op::Plain), m, n, k), &exchanged) <= limit);
}

fn lower_of<T: Inexact>(factors: &[T], n: usize, i: usize, j: usize) -> T {
    match i.cmp(&j) {
        std::cmp::Ordering::Less => T::zero(),
        std::cmp::Ordering::Equal => T::one(),
        std::cmp::Ordering::Greater => factors[i * n + j],
    }
}

fn positive_definite_ones_agree<T: Field + FromParts>(n: usize) {
    let a = matrix::<T>(11, n + 3, n);
    let mut square = product((&a, n, Op::Adjoint), (&a, n, Op::Plain), n, n, n + 3);
    for at in 0..n {
        square[at * n + at] += T::one();
    }
    let limit = tolerance::<T>(8 * n);
    let mut factor = square.clone();
    Cpu.potrf(MatrixMut::new(&mut factor, n, n).unwrap()).unwrap();
    let back = product((&factor, n, Op::Plain), (&factor, n, Op::Adjoint), n, n, n);
    assert!(distance(&back, &square) <= limit);

    let right = matrix::<T>(12, n, 3);
    let mut x = right.clone();
    let l = Matrix::new(&factor, n, n).unwrap();
    Cpu.trsm(Triangle::Lower, (l, Op::Plain), MatrixMut::new(&mut x, n, 3).unwrap()).unwrap();
    Cpu.trsm(Triangle::Lower, (l, Op::Adjoint), MatrixMut::new(&mut x, n, 3).unwrap()).unwrap();
    assert!(distance(&product((&square, n, Op::Plain), (&x, 3, Op::Plain), n, 3, n), &right) <= limit);

    let (mut values, mut vectors) = (vec![<T as Inexact>::Real::zero(); n], vec![T::zero(); n * n]);
    let vectors_matrix = MatrixMut::new(&mut vectors, n, n).unwrap();
    Cpu.eigh(Matrix::new(&square, n, n).unwrap(), &mut values, Some(vectors_matrix)).unwrap();
    let scaled: Vec<T> =
        vectors.iter().enumerate().map(|(at, x)| *x * T::from_real(values[at % n.max(1)])).collect();
    let back = product((&scaled, n, Op::Plain), (&vectors, n, Op::Adjoint), n, n, n);
    assert!(distance(&back, &square) <= limit);
    assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
}

const OPS: [Op; 4] = [Op::Plain, Op::Transpose, Op::Conjugate, Op::Adjoint];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products(m in 0_usize..20, n in 0_usize..20, k in 0_usize..20, a in 0_usize..4, b in 0_usize..4) {
        products_agree::<f32>(m, n, k, OPS[a], OPS[b]);
        products_agree::<f64>(m, n, k, OPS[a], OPS[b]);
        products_agree::<Complex32>(m, n, k, OPS[a], OPS[b]);
        products_agree::<Complex64>(m, n, k, OPS[a], OPS[b]);
    }

    #[test]
    fn decompositions(m in 0_usize..24, n in 0_usize..24) {
        decompositions_agree::<f32>(m, n);
        decompositions_agree::<f64>(m, n);
        decompositions_agree::<Complex32>(m, n);
        decompositions_agree::<Complex64>(m, n);
    }

    #[test]
    fn positive_definite_ones(n in 0_usize..20) {
        positive_definite_ones_agree::<f32>(n);
        positive_definite_ones_agree::<f64>(n);
        positive_definite_ones_agree::<Complex32>(n);
        positive_definite_ones_agree::<Complex64>(n);
    }
}

#[test]
fn what_has_no_decomposition_is_an_error() {
    let mut indefinite = [4.0, 0.0, 0.0, -1.0];
    let outcome = Cpu.potrf(MatrixMut::new(&mut indefinite, 2, 2).unwrap());
    assert!(matches!(outcome, Err(Error::NotPositiveDefinite { column: 1 })), "{outcome:?}");
    for nan_at in 0..9 {
        let mut matrix = [4.0, 0.0, 0.0, 1.0, 4.0, 0.0, 1.0, 1.0, 4.0];
        matrix[nan_at] = f64::NAN;
        let lower = nan_at % 3 <= nan_at / 3;
        let outcome = Cpu.potrf(MatrixMut::new(&mut matrix, 3, 3).unwrap());
        assert_eq!(outcome.is_err(), lower, "NaN at {nan_at}");
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let mut a = matrix::<f64>(5, 12, 7);
        a[40] = bad;
        let a = Matrix::new(&a, 12, 7).unwrap();
        let outcome = Cpu.svd(a, None, &mut [0.0; 7], None);
        assert!(matches!(outcome, Err(Error::NoConvergence { .. })), "{outcome:?}");
        let outcome = Cpu.eigh(a.part(0..7, 0..7).unwrap(), &mut [0.0; 7], None);
        assert!(matches!(outcome, Err(Error::NoConvergence { .. })), "{outcome:?}");
    }
    let mut small = [0.0; 4];
    let a = Matrix::new(&[1.0; 6], 2, 3).unwrap();
    let out = MatrixMut::new(&mut small, 2, 2).unwrap();
    let outcome = Cpu.gemm(out, Accumulate::Replace, 1.0, (a, Op::Plain), (a, Op::Plain));
    assert!(matches!(outcome, Err(Error::Internal { .. })), "{outcome:?}");
}

#[test]
fn a_singular_matrix_has_a_zero_pivot() {
    let mut singular: [f64; 4] = [1.0, 2.0, 2.0, 4.0];
    let mut rows = [0; 2];
    Cpu.lu(MatrixMut::new(&mut singular, 2, 2).unwrap(), &mut rows).unwrap();
    assert!(singular[3].is_zero() && !singular[0].is_one());
}
