//! Truncated decompositions: errors against the exact ones, the same bits whatever threads and budget, the same numbers whatever
//! the chunks, passes, tolerance, complex numbers.

use crate::factors::{lazy, made, matrix, norm, orthogonality, session, spectrum, times};
use blockwise_core::dense::{Inexact, Op};
use blockwise_core::plan::Resources;
use blockwise_core::{Array, DType, Session};
use blockwise_linalg::dense::Field;
use blockwise_linalg::{Compressed, Compression, Svd};
use ndarray::Array2;
use num_complex::Complex64;

/// What is found of a matrix: `u`, `s`, `vh`, error.
fn found<T: Field + Inexact<Real = f64>>(compressed: &Compressed) -> (Array2<T>, Vec<f64>, Array2<T>, f64) {
    let Svd { u, s, vh } = &compressed.svd;
    let all = [u.clone(), s.clone(), vh.clone(), compressed.error.clone()];
    let held = session().compute_many(&all).unwrap();
    let as_matrix = |at: usize, array: &Array| {
        let shape = (array.shape()[0] as usize, array.shape()[1] as usize);
        Array2::from_shape_vec(shape, held[at].to_elements::<T>().unwrap()).unwrap()
    };
    let error = held[3].to_elements::<f64>().unwrap()[0];
    (as_matrix(0, u), held[1].to_elements::<f64>().unwrap(), as_matrix(2, vh), error)
}

fn left<T: Field + Inexact<Real = f64>>(a: &Array2<T>, u: &Array2<T>, s: &[f64], vh: &Array2<T>) -> f64 {
    let scaled = Array2::from_shape_fn(u.dim(), |(i, j)| u[[i, j]] * T::from_real(s[j]));
    norm(&(times(&scaled, Op::Plain, vh, Op::Plain) - a)) / norm(a)
}

#[test]
fn errors_are_near_the_least_and_known() {
    let wanted: Vec<f64> = spectrum(60, 1e4);
    let tall = made(900, 200, &wanted);
    let wide = tall.t().as_standard_layout().to_owned();
    for (a, chunks) in [(&tall, [100, 200]), (&tall, [900, 30]), (&wide, [200, 90]), (&wide, [30, 400])] {
        for (iterations, worst) in [(0, 1.1), (1, 1.001), (2, 1.00001)] {
            let compression = Compression::new(12).with_power_iterations(iterations);
            let compressed = compression.decompose(&lazy(a, chunks)).unwrap();
            assert_eq!(compressed.passes, iterations + 2);
            let (u, s, vh, error) = found::<f64>(&compressed);
            let least = wanted[12..].iter().map(|s| s * s).sum::<f64>().sqrt() / norm(a);
            let own = left(a, &u, &s, &vh);
            assert!(own >= least * 0.999_999 && own < worst * least, "{iterations}: {own} {least}");
            assert!((own - error).abs() < 1e-9, "{own} {error}");
            assert!(orthogonality(&u) < 1e-13 && orthogonality(&vh.t().to_owned()) < 1e-13);
            assert!(s.iter().zip(&wanted).all(|(s, w)| s <= &(w * (1.0 + 1e-12))));
            assert!(vh.rows().into_iter().all(|row| row.sum() > -1e-9), "signs");
        }
    }
}

#[test]
fn complex_and_narrow_numbers() {
    let (re, im) = (made(700, 120, &spectrum(40, 1e3)), made(700, 120, &spectrum(40, 1e3)));
    let a = Array2::from_shape_fn(re.dim(), |(i, j)| Complex64::new(re[[i, j]], im[[699 - i, j]]));
    let flat = a.t().as_standard_layout().to_owned();
    for (a, chunks) in [(&a, [90, 50]), (&flat, [120, 90])] {
        let exact = blockwise_linalg::svdvals(&lazy(a, chunks)).unwrap();
        let exact = session().compute::<f64>(&exact).unwrap();
        let compression = Compression::new(10).with_power_iterations(2);
        let (u, s, vh, error) = found::<Complex64>(&compression.decompose(&lazy(a, chunks)).unwrap());
        assert!(s.iter().zip(&exact).all(|(s, exact)| (s - exact).abs() < 1e-4 * exact), "{s:?} {exact}");
        assert!((left(a, &u, &s, &vh) - error).abs() < 1e-9 && orthogonality(&u) < 1e-13);
    }
    let narrow = re.mapv(|x| x as f32);
    let compressed =
        Compression::new(10).with_power_iterations(1).decompose(&lazy(&narrow, [100, 60])).unwrap();
    let Svd { u, s, vh } = compressed.svd;
    assert_eq!((u.dtype(), s.dtype(), vh.dtype()), (DType::F32, DType::F32, DType::F32));
    let s = session().compute::<f32>(&s).unwrap();
    assert!(
        (f64::from(s[0]) - 1.0).abs() < 1e-6
            && orthogonality(&matrix(session().compute::<f32>(&u).unwrap()).mapv(f64::from)) < 1e-5
    );
}

#[test]
fn numbers_do_not_depend_on_chunks_nor_bits_on_threads() {
    let a = made(3000, 150, &spectrum(150, 1e3));
    let run = |chunks, budget_bytes, threads| {
        let compressed =
            Compression::new(5).with_power_iterations(1).with_seed(3).decompose(&lazy(&a, chunks)).unwrap();
        let resources = Resources {
            budget_bytes,
            threads,
            spill_folder: std::env::temp_dir(),
            spill_limit_bytes: None,
            engine: None,
            device: None,
        };
        Session::new(resources).compute::<f64>(&compressed.svd.u).unwrap()
    };
    let once = run([40, 150], 1 << 30, 1);
    assert!(once == run([40, 150], 1 << 30, 4) && once == run([40, 150], 64 << 20, 2));
    let other = run([3000, 7], 1 << 30, 2);
    assert!((&once - &other).iter().all(|difference| difference.abs() < 1e-12));
}

#[test]
fn a_tolerance_is_kept_to_with_the_least_rank() {
    let wanted = spectrum(80, 1e5);
    for wide in [false, true] {
        let a = made(800, 300, &wanted);
        let a = if wide { a.t().as_standard_layout().to_owned() } else { a };
        let tolerance = 1e-3;
        let compression = Compression::new(3).with_power_iterations(2);
        let compressed = compression.decompose_to(&lazy(&a, [100, 100]), tolerance, &session()).unwrap();
        let (u, s, vh, error) = found::<f64>(&compressed);
        let least = (0..)
            .find(|k| wanted[*k..].iter().map(|s| s * s).sum::<f64>().sqrt() <= tolerance * norm(&a))
            .unwrap();
        assert!(s.len() == least || s.len() == least + 1, "{} {least}", s.len());
        assert!(left(&a, &u, &s, &vh) <= tolerance && error <= tolerance);
        assert_eq!(compressed.passes % 4, 0);
    }
    assert!(
        Compression::new(3).decompose_to(&lazy(&made(90, 30, &[1.0]), [90, 30]), 1e-9, &session()).is_err()
    );
}

#[test]
fn few_columns_low_rank_and_what_is_not_finite() {
    // Of lower rank than was asked for: zeros, and orthonormal vectors all the same.
    let a = made(600, 90, &spectrum(4, 10.0));
    let (u, s, vh, error) = found::<f64>(&Compression::new(9).decompose(&lazy(&a, [100, 90])).unwrap());
    assert!(s[3] > 0.09 && s[4] < 1e-12 && error < 1e-7);
    assert!(orthogonality(&u) < 1e-12 && orthogonality(&vh.t().to_owned()) < 1e-12);
    let zeros = Compression::new(2).decompose(&Array::zeros(&[500, 70], DType::F64).unwrap()).unwrap();
    let (u, s, _, error) = found::<f64>(&zeros);
    assert!(s == [0.0; 2] && error == 0.0 && orthogonality(&u) < 1e-13);
    // A short side within the basis is decomposed exactly.
    let few = made(300, 12, &spectrum(12, 1e6));
    let (_, s, _, error) = found::<f64>(&Compression::new(3).decompose(&lazy(&few, [50, 12])).unwrap());
    assert!((s[2] - spectrum(12, 1e6)[2]).abs() < 1e-14 && error > 0.0);
    let mut bad = a;
    bad[[517, 33]] = f64::INFINITY;
    for (array, place) in [
        (lazy(&bad, [100, 40]), "row 517, column 33"),
        (lazy(&bad, [100, 40]).transpose(..).unwrap(), "row 33, column 517"),
    ] {
        let compressed = Compression::new(3).decompose(&array).unwrap();
        let error = session().compute::<f64>(&compressed.svd.s).unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
    }
    assert!(Compression::new(0).decompose(&lazy(&bad, [100, 40])).is_err());
}

#[test]
fn passes_are_those_of_the_plan() {
    let a = Array::from_fn(&[20_000, 300], |at| ((at[0] * 31 + at[1] * at[1] * 17) % 1009) as f32).unwrap();
    let a = a.rechunk([1000, 300]).unwrap();
    let Compressed { svd, passes, .. } = Compression::new(4).with_power_iterations(1).decompose(&a).unwrap();
    let plan = session().explain(&[svd.u, svd.s, svd.vh]).unwrap();
    let of_matrix: u64 =
        plan.summary().sources.iter().filter(|s| s.label.contains("function")).map(|s| s.passes).sum();
    assert_eq!(of_matrix, passes);
}
