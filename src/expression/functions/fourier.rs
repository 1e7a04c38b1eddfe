//! Fourier transforms, and what goes with them.
//!
//! Invariant: parameters are those of `numpy.fft`; coordinates of a transformed axis are dropped, units too. Called by the
//! function table.

use super::entry::{Entry, entry};
use super::shape::axis_of;
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::array::{Axes, Fourier};
use blockwise_core::{Array, Result};
use blockwise_kernels::fourier::Norm;

const FAMILY: &str = "Fourier transforms";

/// A transform of the kernels.
type Run = fn(&Fourier) -> Result<Array>;

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        FAMILY,
        "fft(x, n=None, axis=-1, norm=\"backward\")",
        "Fourier transform along an axis; n cuts it or goes on with zeros; norm is backward, ortho or forward",
        |a| along_one(a, Fourier::fft),
    ),
    entry(FAMILY, "ifft(x, n=None, axis=-1, norm=\"backward\")", "the inverse of fft", |a| {
        along_one(a, Fourier::ifft)
    }),
    entry(
        FAMILY,
        "rfft(x, n=None, axis=-1, norm=\"backward\")",
        "Fourier transform of real numbers: the frequencies that are not negative",
        |a| along_one(a, Fourier::rfft),
    ),
    entry(
        FAMILY,
        "irfft(x, n=None, axis=-1, norm=\"backward\")",
        "the inverse of rfft; of n real numbers, by default an even count",
        |a| along_one(a, Fourier::irfft),
    ),
    entry(
        FAMILY,
        "hfft(x, n=None, axis=-1, norm=\"backward\")",
        "the n real frequencies of lines whose second half is the conjugate of x",
        |a| along_one(a, Fourier::hfft),
    ),
    entry(FAMILY, "ihfft(x, n=None, axis=-1, norm=\"backward\")", "the inverse of hfft", |a| {
        along_one(a, Fourier::ihfft)
    }),
    entry(
        FAMILY,
        "fft2(x, s=None, axes=None, norm=\"backward\")",
        "Fourier transform along two axes, by default the last",
        |a| along_two(a, Fourier::fft),
    ),
    entry(FAMILY, "ifft2(x, s=None, axes=None, norm=\"backward\")", "the inverse of fft2", |a| {
        along_two(a, Fourier::ifft)
    }),
    entry(FAMILY, "rfft2(x, s=None, axes=None, norm=\"backward\")", "fft2 of real numbers", |a| {
        along_two(a, Fourier::rfft)
    }),
    entry(FAMILY, "irfft2(x, s=None, axes=None, norm=\"backward\")", "the inverse of rfft2", |a| {
        along_two(a, Fourier::irfft)
    }),
    entry(
        FAMILY,
        "fftn(x, s=None, axes=None, norm=\"backward\")",
        "Fourier transform along several axes, by default all",
        |a| along_some(a, Fourier::fft),
    ),
    entry(FAMILY, "ifftn(x, s=None, axes=None, norm=\"backward\")", "the inverse of fftn", |a| {
        along_some(a, Fourier::ifft)
    }),
    entry(
        FAMILY,
        "rfftn(x, s=None, axes=None, norm=\"backward\")",
        "fftn of real numbers: along the last axis the frequencies that are not negative",
        |a| along_some(a, Fourier::rfft),
    ),
    entry(FAMILY, "irfftn(x, s=None, axes=None, norm=\"backward\")", "the inverse of rfftn", |a| {
        along_some(a, Fourier::irfft)
    }),
    entry(FAMILY, "fftshift(x, axes=None)", "frequency zero moved to the middle", |a| {
        shifted(a, |x, axes| x.fftshift(axes))
    }),
    entry(FAMILY, "ifftshift(x, axes=None)", "the inverse of fftshift", |a| {
        shifted(a, |x, axes| x.ifftshift(axes))
    }),
    entry(FAMILY, "fftfreq(n, d=1.0)", "the frequencies that fft gives of n samples, d apart", |a| {
        frequencies(a, Array::fftfreq)
    }),
    entry(FAMILY, "rfftfreq(n, d=1.0)", "the frequencies that rfft gives of n samples, d apart", |a| {
        frequencies(a, Array::rfftfreq)
    }),
];

fn norm(arguments: &Arguments) -> Outcome<Norm> {
    let norm = arguments.read("norm", |value| {
        value.to_text()?.parse::<Norm>().map_err(|error| Trouble::here(error.to_string()))
    })?;
    Ok(norm.unwrap_or_default())
}

/// `x` transformed along some axes.
fn moved(x: &Labelled, fourier: &Fourier, axes: &[usize], run: Run) -> Outcome<Value> {
    Ok(x.moved(run(fourier)?, axes).of_other_quantity().into())
}

fn along_one(arguments: &Arguments, run: Run) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axis = axis_of(arguments, "axis", &x, -1)?;
    let mut fourier = x.array.fourier().axes(axis).norm(norm(arguments)?);
    if let Some(length) = arguments.read("n", length)? {
        fourier = fourier.lengths(&[length]);
    }
    moved(&x, &fourier, &[axis], run)
}

fn along_two(arguments: &Arguments, run: Run) -> Outcome<Value> {
    let axes = arguments.read("axes", Value::to_axes)?.unwrap_or_else(|| Axes::from([-2, -1]));
    along(arguments, Some(axes), run)
}

fn along_some(arguments: &Arguments, run: Run) -> Outcome<Value> {
    let axes = arguments.read("axes", Value::to_axes)?;
    along(arguments, axes, run)
}

fn along(arguments: &Arguments, axes: Option<Axes>, run: Run) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let given = arguments.read("s", Value::to_ints)?;
    // Lengths without axes are of the last ones.
    let rank = x.array.rank();
    let axes = match (axes, &given) {
        (Some(axes), _) => axes.resolve(x.array.names())?,
        (None, Some(lengths)) => (rank.saturating_sub(lengths.len())..rank).collect(),
        (None, None) => (0..rank).collect(),
    };
    let mut fourier = x.array.fourier().axes(axes.as_slice()).norm(norm(arguments)?);
    if let Some(lengths) = given {
        let shape = x.array.shape();
        let whole = |n: usize| axes.get(n).and_then(|axis| shape.get(*axis)).copied().unwrap_or(0);
        let each = lengths.iter().enumerate();
        let lengths = each
            .map(|(n, length)| if *length == -1 { Ok(whole(n)) } else { to_length(*length) })
            .collect::<Outcome<Vec<u64>>>()?;
        fourier = fourier.lengths(&lengths);
    }
    moved(&x, &fourier, &axes, run)
}

fn shifted(arguments: &Arguments, shift: fn(&Array, Axes) -> Result<Array>) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axes = arguments.read("axes", Value::to_axes)?.unwrap_or(Axes::All);
    let axes = axes.resolve(x.array.names())?;
    Ok(x.moved(shift(&x.array, Axes::from(axes.as_slice()))?, &axes).into())
}

fn frequencies(arguments: &Arguments, of: fn(u64, f64) -> Result<Array>) -> Outcome<Value> {
    let spacing = arguments.read("d", Value::to_real)?.unwrap_or(1.0);
    Ok(Labelled::from(of(arguments.need("n", length)?, spacing)?).into())
}

fn length(value: &Value) -> Outcome<u64> {
    to_length(value.to_int()?)
}

fn to_length(length: i64) -> Outcome<u64> {
    u64::try_from(length).map_err(|_| Trouble::here(format!("a line cannot have {length} elements")))
}
