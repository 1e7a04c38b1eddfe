//! Principal components against what defines them: of every chunking, with weights, land, few samples and none that differ.

use crate::factors::{lazy, made, matrix, session, spectrum};
use blockwise_core::{Array, DType, Error};
use blockwise_linalg::{Compression, Pca, PrincipalComponents, Scaling, eof, pca};
use ndarray::{Array1, Array2, ArrayD, Axis, array};
use num_complex::Complex64;

/// Numbers around 280 whose columns vary unevenly.
fn field(samples: usize, features: usize) -> Array2<f64> {
    let a = made(samples, features, &spectrum(samples.min(features), 1e3));
    Array2::from_shape_fn(a.dim(), |(i, j)| 280.0 + j as f64 * 0.1 + 50.0 * a[[i, j]])
}

fn number(array: &Array) -> f64 {
    session().compute::<f64>(array).unwrap()[[]]
}

fn vector(array: &Array) -> Array1<f64> {
    session().compute::<f64>(array).unwrap().into_dimensionality().unwrap()
}

fn rows(array: &Array) -> Array2<f64> {
    let held = session().compute::<f64>(&array.astype(DType::F64)).unwrap();
    let shape = (held.shape()[0], held.len() / held.shape()[0]);
    Array2::from_shape_vec(shape, held.into_iter().collect()).unwrap()
}

/// The most that two arrays differ.
fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// All components of `a` are those of the centred and weighted `b`, to `tolerance`.
fn assert_principal(found: &PrincipalComponents, b: &Array2<f64>, degrees: f64, tolerance: f64) {
    let (v, scores) = (rows(&found.components), rows(&found.scores));
    let (modes, s) = (v.nrows(), vector(&found.singular_values.astype(DType::F64)));
    let scale = s[0].max(1e-300);
    assert!(apart(&v.dot(&v.t()), &Array2::eye(modes)) < tolerance, "orthonormal");
    assert!(apart(&b.dot(&v.t()), &scores) < tolerance * scale, "scores");
    let u = rows(&found.left_vectors);
    assert!(
        apart(&u.t().dot(&u), &Array2::eye(modes)) < tolerance
            && apart(&(&u * &s), &scores) < tolerance * scale
    );
    assert!(apart(&scores.t().dot(&scores), &Array2::from_diag(&(&s * &s))) < tolerance * scale * scale);
    assert!(s.windows(2).into_iter().all(|pair| pair[0] >= pair[1]), "{s}");
    let (variance, ratio) = (vector(&found.explained_variance), vector(&found.explained_variance_ratio));
    let total = b.iter().map(|x| x * x).sum::<f64>();
    for at in 0..modes {
        assert!((variance[at] - s[at] * s[at] / degrees).abs() <= tolerance * scale * scale / degrees);
        assert!((ratio[at] - s[at] * s[at] / total).abs() <= tolerance, "{ratio}");
    }
    let left = (total - s.iter().map(|s| s * s).sum::<f64>()).max(0.0);
    assert!((number(&found.relative_error).powi(2) - left / total).abs() < tolerance);
    let others = b.nrows().min(b.ncols()).saturating_sub(modes).max(1) as f64;
    assert!((number(&found.noise_variance) - left / degrees / others).abs() <= tolerance * total / degrees);
    assert!(v.rows().into_iter().all(|row| row.sum() > -1e-4), "signs");
}

#[test]
fn components_are_those_of_the_definition_whatever_the_chunks_and_numbers() {
    for (samples, features) in [(90, 12), (12, 90), (40, 40), (2, 7), (7, 1)] {
        let a = field(samples, features);
        let centred = &a - &a.mean_axis(Axis(0)).unwrap();
        for chunks in [[100, 100], [7, 5], [samples as u64, 3], [1, features as u64]] {
            for modes in [1, samples.min(features) as u64] {
                let found = Pca::exact(modes).fit(&lazy(&a, chunks)).unwrap();
                assert_principal(&found, &centred, samples as f64 - 1.0, 1e-11);
                let mean = vector(found.mean.as_ref().unwrap());
                assert!((mean - a.mean_axis(Axis(0)).unwrap()).iter().all(|x| x.abs() < 1e-12));
            }
        }
        let narrow = a.mapv(|x| x as f32);
        let wide = narrow.mapv(f64::from);
        let found = pca(&lazy(&narrow, [30, 4]), 1).unwrap();
        assert_eq!((found.components.dtype(), found.scores.dtype()), (DType::F32, DType::F32));
        let centred = &wide - &wide.mean_axis(Axis(0)).unwrap();
        assert_principal(&found, &centred, samples as f64 - 1.0, 3e-6);
    }
    let whole = Array2::from_shape_fn((30, 4), |(i, j)| ((i * 7 + j * j * 5) % 11) as i32);
    let wide = whole.mapv(f64::from);
    let found = Pca::new(4).leaving_out_missing().with_ddof(0.0).fit(&lazy(&whole, [8, 4])).unwrap();
    assert_principal(&found, &(&wide - &wide.mean_axis(Axis(0)).unwrap()), 30.0, 1e-12);
    assert_principal(&Pca::new(4).uncentred().fit(&lazy(&whole, [8, 4])).unwrap(), &wide, 29.0, 1e-12);
}

#[test]
fn random_bases_find_the_same_in_the_passes_that_they_say() {
    let a = made(900, 700, &spectrum(60, 1e6));
    let x = lazy(&a.mapv(|x| x + 3.0), [200, 350]);
    let (random, exact) = (Pca::new(5).fit(&x).unwrap(), Pca::exact(5).fit(&x).unwrap());
    assert_eq!((random.passes, exact.passes), (5, 3));
    let [of_random, of_exact] = [&random, &exact].map(|found| vector(&found.explained_variance));
    assert!((&of_random / &of_exact - 1.0).iter().all(|x| x.abs() < 1e-9), "{of_random} {of_exact}");
    let [of_random, of_exact] = [&random, &exact].map(|found| vector(&found.explained_variance_ratio));
    assert!((of_random - of_exact).iter().all(|x| x.abs() < 1e-9));
    assert!(apart(&rows(&random.components), &rows(&exact.components)) < 1e-5);
    let found = Pca::new(2).fit_to(&x, 1e-2, &session()).unwrap();
    assert!(number(&found.relative_error) <= 1e-2 && found.components.shape()[0] > 2);
}

/// Nothing as large as a quarter of the array is stored, and it is read as often as is said.
#[test]
fn nothing_is_copied() {
    for (shape, chunks) in [([60_000_u64, 4, 5], [6000_u64, 4, 5]), ([200, 60, 100], [200, 6, 100])] {
        let place = |at: &[u64]| ((at[0] * 31 + at[1] * at[1] * 17 + at[2] * 5) % 1009) as f32;
        let x = Array::from_fn(&shape, place).unwrap().rechunk(chunks).unwrap();
        let weights = Array2::from_shape_fn((shape[1] as usize, 1), |(at, _)| 1.0 + at as f64);
        let weights = Array::from_ndarray(&weights.into_dyn()).unwrap();
        for options in [Pca::exact(3), Pca::compressed(Compression::new(3).with_power_iterations(1))] {
            let options = options.with_feature_weights(weights.clone()).leaving_out_missing();
            let found = options.fit(&x).unwrap();
            let wanted = [found.components, found.scores, found.explained_variance];
            let plan = session().explain(&wanted).unwrap();
            let summary = plan.summary();
            let of_x = summary.sources.iter().filter(|source| source.label.contains("function"));
            assert_eq!(of_x.map(|source| source.passes).sum::<u64>(), found.passes, "{summary}");
            let whole = shape.iter().product::<u64>() * 4;
            assert!(summary.stages.iter().all(|stage| stage.bytes_written < whole / 4), "{summary}");
            assert!(summary.temporary_bytes < whole / 100, "{summary}");
        }
    }
}

/// Large chunks are read as they lie too.
#[test]
fn maps_in_large_chunks_are_not_cut_anew() {
    let x = Array::from_fn(&[400, 361, 720], |at| at[0] as f32).unwrap();
    for chunks in [[40_u64, 361, 720], [1, 361, 720], [400, 19, 720]] {
        let found = Pca::exact(3).fit(&x.rechunk(chunks).unwrap()).unwrap();
        let plan = session().explain(&[found.explained_variance]).unwrap();
        let summary = plan.summary();
        assert!(summary.stages.iter().all(|stage| stage.bytes_written < 100 << 20), "{chunks:?} {summary}");
    }
}

#[test]
fn weights_multiply_features_and_samples() {
    let a = field(30, 24);
    let x = Array::from_ndarray(&a.clone().into_shape_with_order((30, 4, 6)).unwrap().into_dyn()).unwrap();
    let x = x.rechunk([7, 4, 3]).unwrap().with_names(&["time", "lat", "lon"]).unwrap();
    let latitude = Array1::from_shape_fn(4, |at| (at as f64 * 0.4).cos().sqrt());
    let centred = &a - &a.mean_axis(Axis(0)).unwrap();
    let weighted = Array2::from_shape_fn(a.dim(), |(i, j)| centred[[i, j]] * latitude[j / 6]);
    let by_shape = Array::from_ndarray(&latitude.clone().insert_axis(Axis(1)).into_dyn()).unwrap();
    let by_name = Array::from_ndarray(&latitude.clone().into_dyn()).unwrap().with_names(&["lat"]).unwrap();
    for weights in [by_shape, by_name] {
        let found = Pca::exact(24).with_feature_weights(weights.clone()).fit(&x).unwrap();
        assert_eq!(found.components.shape(), [24, 4, 6]);
        assert_eq!(found.components.names()[1].as_deref(), Some("lat"));
        assert_principal(&found, &weighted, 29.0, 1e-11);
        // In units of the features: mean and patterns times scores of variance 1.
        let scores = rows(&found.scaled_scores(Scaling::Divided).unwrap());
        let rebuilt = scores.dot(&rows(&found.patterns().unwrap()));
        assert!(apart(&rebuilt, &centred) < 1e-9);
        assert!(apart(&rows(&found.reconstruct(24).unwrap()), &a) < 1e-9);
        assert!(apart(&rows(&found.project(&x).unwrap()), &rows(&found.scores)) < 1e-9);
        let doubled = rows(&found.scaled_components(Scaling::Multiplied).unwrap());
        let deviation = vector(&found.explained_variance).mapv(f64::sqrt).insert_axis(Axis(1));
        assert!(apart(&doubled, &(rows(&found.components) * deviation)) < 1e-9);
    }
    // A sample with weight sqrt(3) is three samples.
    let repeats = [1_usize, 3, 2, 1, 4];
    let repeated: Vec<usize> = (0..30).flat_map(|at| vec![at; repeats[at % 5]]).collect();
    let all = a.select(Axis(0), &repeated);
    let weights = Array1::from_shape_fn(30, |at| (repeats[at % 5] as f64).sqrt());
    let weights = Array::from_ndarray(&weights.into_dyn()).unwrap();
    let one = Pca::exact(5).with_sample_weights(weights).with_ddof(0.0).fit(&lazy(&a, [8, 9])).unwrap();
    let other = Pca::exact(5).with_ddof(0.0).fit(&lazy(&all, [80, 24])).unwrap();
    for (one, other) in [
        (&one.explained_variance, &other.explained_variance),
        (&one.explained_variance_ratio, &other.explained_variance_ratio),
        (one.mean.as_ref().unwrap(), other.mean.as_ref().unwrap()),
    ] {
        assert!((vector(one) - vector(other)).iter().all(|x| x.abs() < 1e-9));
    }
    assert!(apart(&rows(&one.components), &rows(&other.components)) < 1e-8);
    let of_first = rows(&one.scores);
    assert!(apart(&of_first.select(Axis(0), &repeated), &rows(&other.scores)) < 1e-7);
}

#[test]
fn features_that_are_always_missing_are_left_out_and_others_are_errors() {
    let mut a = field(20, 15);
    let land = [0, 4, 14];
    let sea: Vec<usize> = (0..15).filter(|at| !land.contains(at)).collect();
    land.iter().for_each(|at| a.column_mut(*at).fill(f64::NAN));
    let kept = a.select(Axis(1), &sea);
    let centred = &kept - &kept.mean_axis(Axis(0)).unwrap();
    let x = lazy(&a, [6, 4]);
    for modes in [3, 12] {
        let found = eof(&x, modes, &Array::full(&[15], 2.0.into()).unwrap()).unwrap();
        let v = rows(&found.components);
        assert!(land.iter().all(|at| v.column(*at).iter().all(|x| x.is_nan())));
        assert!(land.iter().all(|at| vector(found.mean.as_ref().unwrap())[*at].is_nan()));
        let mut only = found.clone();
        only.components = Array::from_ndarray(&v.select(Axis(1), &sea).into_dyn()).unwrap();
        assert_principal(&only, &(&centred * 2.0), 19.0, 1e-11);
        let rebuilt = rows(&found.reconstruct(modes).unwrap());
        assert!(rebuilt.column(4).iter().all(|x| x.is_nan()));
        assert!(modes == 3 || apart(&rebuilt.select(Axis(1), &sea), &kept) < 1e-9);
        assert!(apart(&rows(&found.project(&x).unwrap()), &rows(&found.scores)) < 1e-9);
        let patterns = rows(&found.patterns().unwrap());
        assert!(
            patterns.column(14).iter().all(|x| x.is_nan())
                && patterns.column(1).iter().all(|x| x.is_finite())
        );
    }
    let place = |options: Pca, x: &Array| {
        let found = options.fit(x).unwrap();
        match session().compute::<f64>(&found.singular_values).unwrap_err() {
            error @ Error::NotFinite { .. } => error.to_string(),
            other => other.to_string(),
        }
    };
    assert!(place(Pca::exact(2), &x).contains("column 0"));
    a[[13, 7]] = f64::NAN;
    assert!(place(Pca::exact(2).leaving_out_missing(), &lazy(&a, [6, 4])).contains("row 13, column 7"));
    let mut endless = field(20, 15);
    endless[[11, 3]] = f64::NEG_INFINITY;
    let x = lazy(&endless, [20, 15]);
    assert!(place(Pca::exact(2).leaving_out_missing(), &x).contains("row 11, column 3"));
    // Few samples are decomposed as features by samples, and places named all the same.
    let mut wide = field(9, 50);
    wide[[5, 33]] = f64::NAN;
    assert!(place(Pca::exact(2), &lazy(&wide, [9, 11])).contains("row 5, column 33"));
    let many = made(700, 600, &spectrum(30, 10.0));
    let mut hole = many;
    hole[[613, 77]] = f64::NAN;
    assert!(place(Pca::new(2), &lazy(&hole, [100, 600])).contains("row 613, column 77"));
}

#[test]
fn what_does_not_vary_has_defined_results() {
    let constant = Array::full(&[9, 3, 2], 7.5.into()).unwrap();
    let found = pca(&constant, 4).unwrap();
    assert_eq!(vector(&found.explained_variance), Array1::zeros(4));
    assert_eq!(vector(&found.explained_variance_ratio), Array1::zeros(4));
    assert_eq!((number(&found.noise_variance), number(&found.relative_error)), (0.0, 0.0));
    assert_eq!(rows(&found.scores), Array2::zeros((9, 4)));
    assert_eq!(rows(&found.scaled_scores(Scaling::Divided).unwrap()), Array2::zeros((9, 4)));
    let v = rows(&found.components);
    assert!(apart(&v.dot(&v.t()), &Array2::eye(4)) < 1e-13);
    assert_eq!(rows(&found.reconstruct(4).unwrap()), Array2::from_elem((9, 6), 7.5));
    // One sample is its own mean; its variance is not defined, as NumPy's with ddof 1.
    let one = pca(&lazy(&array![[3.0, 4.0, 5.0]], [1, 2]), 1).unwrap();
    assert_eq!((vector(&one.singular_values)[0], vector(&one.explained_variance_ratio)[0]), (0.0, 0.0));
    assert!(vector(&one.explained_variance)[0].is_nan());
    let one = Pca::new(1).with_ddof(0.0).fit(&lazy(&array![[3.0, 4.0, 5.0]], [1, 2])).unwrap();
    assert_eq!(vector(&one.explained_variance)[0], 0.0);
    // Land everywhere.
    let nothing = lazy(&Array2::from_elem((5, 4), f64::NAN), [2, 4]);
    let nothing = Pca::new(2).leaving_out_missing().fit(&nothing).unwrap();
    assert_eq!(vector(&nothing.singular_values), Array1::zeros(2));
    assert!(rows(&nothing.components).iter().all(|x| x.is_nan()));
}

#[test]
fn complex_fields_and_held_results() {
    let (re, im) = (field(40, 9), field(40, 9));
    let a = Array2::from_shape_fn(re.dim(), |(i, j)| Complex64::new(re[[i, j]], im[[39 - i, j]]));
    let x = lazy(&a, [11, 9]);
    let found = Pca::exact(9).fit(&x).unwrap().held(&session()).unwrap();
    let numbers = |array: &Array| matrix(session().compute::<Complex64>(array).unwrap());
    let most = |a: Array2<Complex64>| a.iter().fold(0.0_f64, |most, x| most.max(x.norm()));
    assert!(most(numbers(&found.reconstruct(9).unwrap()) - &a) < 1e-9);
    assert!(most(numbers(&found.project(&x).unwrap()) - numbers(&found.scores)) < 1e-9);
    let variance: f64 = found.explained_variance.compute::<f64>().unwrap().sum();
    let mean = a.mean_axis(Axis(0)).unwrap();
    let direct: f64 = (&a - &mean).iter().map(|x| x.norm_sqr()).sum::<f64>() / 39.0;
    assert!((variance - direct).abs() < 1e-9 * direct);
    // Scores of variance 1, made of what is held.
    let scores = numbers(&found.scaled_scores(Scaling::Divided).unwrap());
    let squares: Vec<f64> =
        scores.columns().into_iter().map(|column| column.iter().map(|x| x.norm_sqr()).sum()).collect();
    assert!(squares.iter().all(|sum| (sum / 39.0 - 1.0).abs() < 1e-9), "{squares:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let x = lazy(&field(10, 4), [5, 4]);
    let refused = |options: Pca| options.fit(&x).unwrap_err().to_string();
    assert!(refused(Pca::new(5)).contains("give 1 to 4"));
    assert!(refused(Pca::new(0)).contains("give 1 to 4"));
    assert!(
        refused(Pca::new(1).with_feature_weights(Array::zeros(&[3], DType::F64).unwrap())).contains("[3]")
    );
    assert!(
        refused(Pca::new(1).with_sample_weights(Array::zeros(&[4], DType::F64).unwrap()))
            .contains("10 samples")
    );
    let complex = Array::zeros(&[4], DType::C64).unwrap();
    assert!(refused(Pca::new(1).with_feature_weights(complex)).contains("real numbers"));
    assert!(pca(&Array::zeros(&[4], DType::F64).unwrap(), 1).is_err());
    let found = pca(&x, 2).unwrap();
    assert!(found.project(&Array::zeros(&[3, 5], DType::F64).unwrap()).is_err());
    assert!(found.reconstruct(3).is_err());
    let others: ArrayD<f64> = ArrayD::zeros(vec![3, 3]);
    assert!(found.reconstruct_from(&Array::from_ndarray(&others).unwrap()).is_err());
}
