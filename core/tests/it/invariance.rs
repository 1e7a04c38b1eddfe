//! Results do not depend on what computes them: not on threads and budget at all, on the chunks by rounding at most.

use crate::support::resources;
use blockwise_core::array::Reduce;
use blockwise_core::kernels::Element;
use blockwise_core::kernels::order::QuantileMethod;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, DType, Error, Result, Session};
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

const SHAPE: [u64; 3] = [48, 30, 40];
const CHUNKINGS: [[u64; 3]; 5] = [[48, 30, 40], [8, 30, 20], [7, 11, 13], [1, 30, 40], [48, 2, 3]];

/// What results share, whatever the chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    /// Every bit.
    Exact,
    /// Every bit if the session is reproducible, else all but 2 units in the last place of float64, or 1 of float32.
    Sums,
    /// All but so many units in the last place of float64, or 1 of float32.
    Within(u64),
}

type Of = fn(&Array) -> Result<Array>;

/// Expressions of an array of floats, a few of them NaN.
const EXPRESSIONS: &[(&str, Law, Of)] = &[
    ("sum", Law::Sums, |x| clean(x)?.sum(..)),
    ("sum, axis 0", Law::Sums, |x| clean(x)?.sum(0)),
    ("sum, axis 1", Law::Sums, |x| clean(x)?.sum(1)),
    ("sum, axes 1, 2", Law::Sums, |x| clean(x)?.sum([1, 2])),
    ("mean", Law::Sums, |x| clean(x)?.mean(..)),
    ("mean, axis 0", Law::Sums, |x| clean(x)?.mean(0)),
    ("mean, axis 2", Law::Sums, |x| clean(x)?.mean(2)),
    ("nansum", Law::Sums, |x| x.nansum(1)),
    ("nanmean", Law::Sums, |x| x.nanmean([0, 2])),
    ("std", Law::Within(2), |x| clean(x)?.std(..)),
    ("var, axis 0", Law::Within(2), |x| clean(x)?.var(0)),
    ("nanvar", Law::Within(2), |x| x.nanvar(1)),
    ("nanstd", Law::Within(2), |x| x.nanstd(2)),
    ("nan anywhere", Law::Exact, |x| x.sum(0)),
    ("min, max", Law::Exact, |x| clean(x)?.max(0)?.try_sub(clean(x)?.min(0)?)),
    ("nanmin", Law::Exact, |x| x.nanmin(1)),
    ("argmin", Law::Exact, |x| Ok(clean(x)?.argmin(0)?.astype(DType::F64))),
    ("argmax", Law::Exact, |x| Ok(clean(x)?.argmax(2)?.astype(DType::F64))),
    ("count", Law::Exact, |x| Ok(x.is_nan()?.count_nonzero(0)?.astype(DType::F64))),
    ("product", Law::Within(2), |x| near_one(x)?.prod(0)),
    ("skew of 10 or so", Law::Within(2), |x| Ok(clean(x)?.reduce(named("skew"), 0, false)? + 10.0)),
    ("kurtosis of 10 or so", Law::Within(2), |x| Ok(clean(x)?.reduce(named("kurtosis"), 0, false)? + 10.0)),
    ("chain", Law::Exact, |x| (x * 2.0 + 1.0).abs()?.sqrt()?.exp()?.try_sub(x)),
    ("mean of a chain", Law::Sums, |x| (clean(x)? * 2.0 + 1.0).abs()?.sqrt()?.mean(0)),
    ("anomaly", Law::Sums, |x| clean(x)?.try_sub(clean(x)?.mean(0)?)),
    ("mean of means", Law::Sums, |x| clean(x)?.mean(0)?.mean(0)),
    ("transposed", Law::Sums, |x| clean(x)?.transpose(..)?.sum(0)),
    ("padded by its mean", Law::Sums, |x| {
        Array::concatenate(&[clean(x)?.reduce(named("mean"), 0, true)?, clean(x)?], 0)
    }),
    ("cumsum", Law::Within(2), |x| clean(x)?.cumsum(0)),
    ("cumsum, last axis", Law::Within(2), |x| clean(x)?.cumsum(2)),
    ("fft, axis 0", Law::Exact, |x| parts(&clean(x)?.fourier().axes(0).fft()?)),
    ("ifft, axis 1", Law::Exact, |x| parts(&clean(x)?.fourier().axes(1).lengths(&[37]).ifft()?)),
    ("fft, all axes", Law::Exact, |x| parts(&clean(x)?.fourier().axes(..).fft()?)),
    ("rfft, axes 2, 0", Law::Exact, |x| parts(&clean(x)?.fourier().axes([2, 0]).lengths(&[64, 17]).rfft()?)),
    ("irfft, axes 0, 2", Law::Exact, |x| clean(x)?.fourier().axes([0, 2]).irfft()),
    ("irfft of rfft", Law::Exact, |x| {
        let spectrum = clean(x)?.fourier().axes(..).rfft()?.fftshift(0)?;
        spectrum.ifftshift(0)?.fourier().axes(..).irfft()
    }),
    ("sort", Law::Exact, |x| x.sort(1)),
    ("median", Law::Exact, |x| x.nanmedian(0)),
    ("quantile", Law::Exact, |x| clean(x)?.quantile([0.1, 0.77], 1, QuantileMethod::Linear)),
    ("diff", Law::Exact, |x| x.diff(1, 2)),
    ("reshaped", Law::Sums, |x| clean(x)?.reshape(&[30, -1])?.sum(1)),
];

fn clean(x: &Array) -> Result<Array> {
    Array::call("nan_to_num", [x.into()])
}

/// Factors whose products neither vanish nor overflow.
fn near_one(x: &Array) -> Result<Array> {
    Ok(clean(x)? * 1e-3 + 1.0)
}

fn named(name: &str) -> Reduce {
    Reduce::named(name, 0.0).unwrap()
}

/// Real and imaginary parts, one after the other.
fn parts(x: &Array) -> Result<Array> {
    Array::concatenate(&[Array::call("real", [x.into()])?, Array::call("imag", [x.into()])?], 0)
}

/// Positive numbers of some orders of magnitude, and a few that are none.
fn numbers() -> ArrayD<f64> {
    let mut state = 11_u64;
    ArrayD::from_shape_simple_fn(IxDyn(&SHAPE.map(|n| n as usize)), || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
        match (state >> 5) % 211 {
            0 => f64::NAN,
            1..20 => 1e-3 * unit,
            _ => 1.0 + 20.0 * unit,
        }
    })
}

fn stored<T: Element>(values: &ArrayD<T>, chunk: &[u64]) -> Array {
    let grid = ChunkGrid::regular(&SHAPE, chunk).unwrap();
    let source = MemoryArray::from_elements("x", grid, values.as_slice().unwrap()).unwrap();
    Array::from_source(Arc::new(source))
}

/// The elements, as computed within a budget, or within the least that works if that is more.
fn computed<T: Element>(array: &Array, budget_bytes: u64, threads: usize, exact: bool) -> ArrayD<T> {
    let mut budget_bytes = budget_bytes;
    loop {
        let session = Session::new(resources(budget_bytes, threads)).reproducible(exact);
        match session.compute::<T>(array) {
            Err(Error::OverBudget { needed_bytes, .. }) if needed_bytes > budget_bytes => {
                budget_bytes = needed_bytes;
            }
            found => return found.unwrap(),
        }
    }
}

#[test]
fn threads_and_budgets_change_no_bit() {
    let values = numbers();
    for (name, _, of) in EXPRESSIONS {
        for chunk in [CHUNKINGS[1], CHUNKINGS[2]] {
            let array = of(&stored(&values, &chunk)).unwrap();
            let bits = |budget, threads| computed::<f64>(&array, budget, threads, false).mapv(f64::to_bits);
            let first = bits(1 << 26, 1);
            for threads in [1, 2, 4] {
                for budget in [1, 3 << 18, 1 << 26] {
                    assert_eq!(
                        bits(budget, threads),
                        first,
                        "{name} in {chunk:?}, {threads} threads, {budget}"
                    );
                }
            }
        }
    }
}

/// How many floats lie between two, at most, of as many bits as `places` lack.
fn distance(a: f64, b: f64) -> u64 {
    let ordered = |x: f64| {
        let bits = x.to_bits().cast_signed();
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    if a.is_nan() && b.is_nan() { 0 } else { ordered(a).abs_diff(ordered(b)) }
}

fn distance_f32(a: f32, b: f32) -> u64 {
    let ordered = |x: f32| {
        let bits = i64::from(x.to_bits().cast_signed());
        if bits < 0 { i64::from(i32::MIN) - bits } else { bits }
    };
    if a.is_nan() && b.is_nan() { 0 } else { ordered(a).abs_diff(ordered(b)) }
}

/// The largest distance between results of different chunkings.
fn spread<T: Element>(values: &ArrayD<T>, of: Of, exact: bool, distance: fn(T, T) -> u64) -> u64 {
    let results: Vec<ArrayD<T>> = CHUNKINGS
        .iter()
        .map(|chunk| computed::<T>(&of(&stored(values, chunk)).unwrap(), 1 << 26, 2, exact))
        .collect();
    let pairs = results.iter().flat_map(|a| results.iter().map(move |b| (a, b)));
    let of_pair = |(a, b): (&ArrayD<T>, &ArrayD<T>)| {
        assert_eq!(a.shape(), b.shape());
        a.iter().zip(b).map(|(a, b)| distance(*a, *b)).max().unwrap_or(0)
    };
    pairs.map(of_pair).max().unwrap()
}

#[test]
fn chunks_change_rounding_at_most() {
    let wide = numbers();
    let narrow = wide.mapv(|v| v as f32);
    let mut faults = Vec::new();
    for (name, law, of) in EXPRESSIONS {
        let is_float32 = of(&stored(&narrow, &SHAPE)).unwrap().dtype() == DType::F32;
        for exact in [false, true] {
            let allowed = match law {
                Law::Exact => [0, 0],
                Law::Sums if exact => [0, 0],
                Law::Sums => [2, 1],
                Law::Within(places) => [*places, 1],
            };
            let mut found = vec![("float64", spread::<f64>(&wide, *of, exact, distance), allowed[0])];
            if is_float32 {
                found.push(("float32", spread::<f32>(&narrow, *of, exact, distance_f32), allowed[1]));
            }
            let over = found.into_iter().filter(|(_, distance, allowed)| distance > allowed);
            faults.extend(over.map(|found| format!("{name}, reproducible {exact}: {found:?}\n")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.concat());
}
