//! The arrays that whole runs on devices are compared by.

use blockwise_core::array::Structure;
use blockwise_core::{Array, DType};
use blockwise_kernels::filter::{Edge, Rolling};

/// Arrays that are evaluated alone.
pub(crate) fn elementwise() -> Vec<(&'static str, Array)> {
    let x = Array::from_fn(&[20, 61, 64], |at| (at[0] * 7 + at[1] * 3 + at[2]) as f32 - 300.0).unwrap();
    let x = x.rechunk([6, 61, 64]).unwrap();
    let row = Array::from_fn(&[64], |at| 0.25 + at[0] as f32).unwrap();
    let whole =
        Array::from_fn(&[20, 61, 64], |at| (at[0] * at[1]) as i16).unwrap().rechunk([6, 61, 64]).unwrap();
    let turned = x.transpose([2, 1, 0]).unwrap();
    vec![
        ("chain", ((&x * 1.5 + 0.25) * (&x - 3.0)).abs().unwrap()),
        ("broadcast", &x / &row),
        ("slice", &x.slice(1, 3..50).unwrap() * 2.0),
        ("backwards", &x.flip(2).unwrap() + 1.0),
        ("turned", &turned * &turned),
        ("types", &x + &whole),
        ("choice", Array::call("maximum", [(&x).into(), (&whole).into()]).unwrap()),
    ]
}

/// Arrays of filters: of all kinds of windows, alone and within expressions.
pub(crate) fn filtered() -> Vec<(&'static str, Array)> {
    let x = Array::from_fn(&[20, 61, 64], |at| ((at[0] * 31 + at[1] * 17 + at[2] * 7) % 101) as f32).unwrap();
    let x = x.rechunk([7, 30, 64]).unwrap();
    let whole = x.astype(DType::U16);
    let filter = |x: &Array| x.filter();
    let wrapped = filter(&x).modes(&[Edge::Wrap]);
    vec![
        ("gaussian", filter(&x).gaussian(&[1.5]).unwrap()),
        ("gaussian of integers", filter(&whole).modes(&[Edge::Mirror]).gaussian(&[1.0, 2.0, 0.5]).unwrap()),
        ("gaussian of what goes on", wrapped.gaussian(&[1.0]).unwrap()),
        ("uniform", filter(&x).uniform(&[3, 5, 4]).unwrap()),
        ("length of the gradient", filter(&x).gaussian_gradient_magnitude(&[1.0]).unwrap()),
        ("laplace", filter(&whole).gaussian_laplace(&[0.7]).unwrap()),
        ("chains of different boxes", filter(&x.astype(DType::F64)).laplace().unwrap()),
        ("median", filter(&whole).median(&[3, 3, 2]).unwrap()),
        ("opened", filter(&x).grey_opening(&Structure::connected(3, 1)).unwrap()),
        ("rolling", x.rolling(&[(0.into(), 5)]).unwrap().reduce(Rolling::Mean).unwrap()),
        ("difference", &filter(&x).gaussian(&[1.0]).unwrap() - &filter(&x).gaussian(&[2.0]).unwrap()),
        ("of a program", filter(&(&x * &x)).uniform(&[3]).unwrap()),
    ]
}

/// Arrays that are reduced, and what rounding may do to them.
pub(crate) fn reduced() -> Vec<(&'static str, Array)> {
    let x =
        Array::from_fn(&[20, 60, 64], |at| ((at[0] * 31 + at[1] * 17 + at[2]) % 101) as f32 * 0.1).unwrap();
    let x = x.rechunk([6, 30, 64]).unwrap();
    let y = &(&x * 2.0) + 1.0;
    vec![
        ("sum", y.sum(..).unwrap()),
        ("mean of rows", y.mean(2).unwrap()),
        ("mean of columns", y.mean(0).unwrap()),
        ("std", y.std(1).unwrap()),
        ("least", y.min(0).unwrap()),
        ("greatest", y.max(..).unwrap()),
        ("any", Array::call("greater", [(&x).into(), 9.0.into()]).unwrap().any(2).unwrap()),
        ("anomaly", &x - &x.mean(0).unwrap()),
    ]
}
