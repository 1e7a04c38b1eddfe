//! Boxes of neighbours that become one element each: xarray's `coarsen`, the levels of image pyramids.
//!
//! Rows are added up as vectors, in float64, before neighbours along the last axis are. Sums are first made as if nothing
//! were missing; only a row that shows NaN is made again with what is present counted. Whole numbers that float64 may not hold stay
//! whole (`whole`). Invariant: a box has the same bits whatever chunk it lies in. Called by core's tasks.

mod whole;

use super::space::{load, store};
use crate::simd::InstructionSet;
use crate::{DType, KernelError};
use pulp::NullaryFnOnce;
use whole::{Whole, is_beyond_floats};

/// What the elements of a box become; NaN counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coarsening {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their median.
    Median,
}

/// Fills `out`, of `dtype`, with one element for each box of `factors` elements of `input`, whose `shape` they divide.
///
/// ```
/// use blockwise_kernels::filter::{Coarsening, coarsen};
/// use blockwise_kernels::{DType, Element};
/// let x = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0, f32::NAN, 8.0];
/// let mut out = [0; 8];
/// coarsen(Coarsening::Mean, f32::as_bytes(&x), DType::F32, &[2, 4], &[2, 2], DType::F32, &mut out)?;
/// assert_eq!(out[..4], 3.5_f32.to_ne_bytes());
/// assert_eq!(out[4..], 5.0_f32.to_ne_bytes());
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// If a factor does not divide its axis, a length does not fit, or a dtype is complex.
pub fn coarsen(
    op: Coarsening,
    input: &[u8],
    source: DType,
    shape: &[usize],
    factors: &[usize],
    dtype: DType,
    out: &mut [u8],
) -> Result<(), KernelError> {
    if let Some(dtype) = [source, dtype].into_iter().find(|dtype| dtype.kind() == 'c') {
        return Err(KernelError::Refused { operation: "coarsening", dtype });
    }
    let divides = |(length, factor): (&usize, &usize)| *factor > 0 && length.is_multiple_of(*factor);
    if shape.len() != factors.len() || !shape.iter().zip(factors).all(divides) {
        let wanted = "a divisor of its axis";
        let value = factors.first().map_or(0.0, |factor| *factor as f64);
        return Err(KernelError::Parameter { what: "a factor", value, wanted });
    }
    let overflow = || KernelError::Overflow { shape: shape.to_vec() };
    let total = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)).ok_or_else(overflow)?;
    let boxes: usize = shape.iter().zip(factors).map(|(length, factor)| length / factor).product();
    crate::error::check_len("block to coarsen", input.len(), total, source.size())?;
    crate::error::check_len("coarsened block", out.len(), boxes, dtype.size())?;
    if total == 0 {
        return Ok(());
    }
    let (length, last) = (shape.last().copied().unwrap_or(1), factors.last().copied().unwrap_or(1));
    let leading = shape.len().saturating_sub(1);
    let (shape, factors) = (&shape[..leading], &factors[..leading]);
    let counts: Vec<usize> = shape.iter().zip(factors).map(|(n, m)| n / m).collect();
    // The rows of a box, from its first one.
    let mut rows = vec![0];
    let mut stride = 1;
    let mut steps = vec![0; leading];
    for axis in (0..leading).rev() {
        rows = (0..factors[axis]).flat_map(|n| rows.iter().map(move |row| n * stride + row)).collect();
        steps[axis] = stride * factors[axis];
        stride *= shape[axis];
    }
    let set = InstructionSet::best();
    let has_nan = source.kind() == 'f';
    let number: usize = counts.iter().product();
    let mut whole =
        is_beyond_floats(op, source, dtype).then(|| Whole::new(input, source, &rows, length, last));
    let in_floats = if whole.is_some() { 0 } else { length };
    let mut row = vec![0.0; in_floats];
    let (mut sums, mut present) = (vec![0.0; in_floats], vec![0.0; in_floats]);
    let mut made = vec![0.0; in_floats / last];
    let mut place = vec![0_usize; leading];
    for at in 0..number {
        let first: usize = place.iter().zip(&steps).map(|(n, step)| n * step).sum();
        if let Some(whole) = &mut whole {
            let size = dtype.size() * (length / last);
            let target = out.get_mut(at * size..(at + 1) * size).unwrap_or_default();
            whole.boxes(op, first, dtype, target)?;
        } else if op == Coarsening::Median {
            medians(input, source, &rows, first, (length, last), &mut made);
        } else if !plain_sums(op, (input, source), &rows, first, (length, last), &mut sums, &mut made) {
            for (n, offset) in rows.iter().enumerate() {
                load(input, source, (first + offset) * length, &mut row);
                let (row, sums, present) = (&row, &mut sums, &mut present);
                set.run(Add { op, has_nan, is_first: n == 0, row, sums, present });
            }
            let points = (rows.len() * last) as f64;
            let (sums, present, made) = (&sums, &present, &mut made);
            set.run(Join { op, has_nan, last, points, sums, present, made });
        }
        if whole.is_none() {
            store(out, dtype, at * (length / last), &made);
        }
        for (axis, count) in counts.iter().enumerate().rev() {
            place[axis] += 1;
            if place[axis] < *count {
                break;
            }
            place[axis] = 0;
        }
    }
    Ok(())
}

/// Bytes that [`coarsen`] takes for a block whose rows have `length` elements, in boxes of `points`.
#[must_use]
pub fn coarsen_scratch_bytes(length: u64, points: u64) -> u64 {
    length.saturating_mul(5 * 8).saturating_add(points.saturating_mul(16))
}

/// Sums and means of a row of boxes, as if nothing were missing; whether nothing is.
fn plain_sums(
    op: Coarsening,
    (input, source): (&[u8], DType),
    rows: &[usize],
    first: usize,
    (length, last): (usize, usize),
    sums: &mut [f64],
    made: &mut [f64],
) -> bool {
    if !matches!(op, Coarsening::Sum | Coarsening::Mean) {
        return false;
    }
    macro_rules! typed {
        ($t:ty) => {{
            let Ok(input) = bytemuck::try_cast_slice::<u8, $t>(input) else { return false };
            let points = if op == Coarsening::Mean { (rows.len() * last) as f64 } else { 1.0 };
            InstructionSet::best().run(PlainSums { input, rows, first, length, last, points, sums, made })
        }};
    }
    match source {
        DType::F32 => typed!(f32),
        DType::F64 => typed!(f64),
        DType::U8 => typed!(u8),
        DType::U16 => typed!(u16),
        DType::I16 => typed!(i16),
        _ => false,
    }
}

/// Sums of a row of boxes, each divided by `points`.
struct PlainSums<'a, T> {
    input: &'a [T],
    rows: &'a [usize],
    first: usize,
    length: usize,
    last: usize,
    points: f64,
    sums: &'a mut [f64],
    made: &'a mut [f64],
}

impl<T: Copy + Into<f64>> NullaryFnOnce for PlainSums<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Self { input, rows, first, length, last, points, sums, made } = self;
        sums.fill(0.0);
        for row in rows {
            let start = (first + row) * length;
            let row = input.get(start..start + length).unwrap_or_default();
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += (*x).into());
        }
        if last == 2 {
            let (pairs, _) = sums.as_chunks::<2>();
            made.iter_mut().zip(pairs).for_each(|(made, [a, b])| *made = (a + b) / points);
        } else {
            let boxes = made.iter_mut().zip(sums.chunks_exact(last));
            boxes.for_each(|(made, sums)| *made = sums.iter().sum::<f64>() / points);
        }
        made.iter().fold(true, |is_whole, x| is_whole & !x.is_nan())
    }
}

/// Adds a row to those before.
struct Add<'a> {
    op: Coarsening,
    has_nan: bool,
    is_first: bool,
    row: &'a [f64],
    sums: &'a mut [f64],
    /// Elements that are not NaN.
    present: &'a mut [f64],
}

impl NullaryFnOnce for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, has_nan, is_first, row, sums, present } = self;
        if is_first {
            let start = match op {
                Coarsening::Min => f64::INFINITY,
                Coarsening::Max => f64::NEG_INFINITY,
                _ => 0.0,
            };
            sums.fill(start);
            present.fill(0.0);
        }
        let each = sums.iter_mut().zip(row);
        match op {
            Coarsening::Min => each.for_each(|(least, x)| *least = if *x < *least { *x } else { *least }),
            Coarsening::Max => each.for_each(|(most, x)| *most = if *x > *most { *x } else { *most }),
            _ if has_nan => each.for_each(|(sum, x)| *sum += if x.is_nan() { 0.0 } else { *x }),
            _ => each.for_each(|(sum, x)| *sum += x),
        }
        if has_nan {
            for (count, x) in present.iter_mut().zip(row) {
                *count += if x.is_nan() { 0.0 } else { 1.0 };
            }
        }
    }
}

/// Joins neighbours along the last axis.
struct Join<'a> {
    op: Coarsening,
    has_nan: bool,
    last: usize,
    points: f64,
    sums: &'a [f64],
    present: &'a [f64],
    made: &'a mut [f64],
}

impl NullaryFnOnce for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, has_nan, last, points, sums, present, made } = self;
        for ((made, sums), present) in
            made.iter_mut().zip(sums.chunks_exact(last)).zip(present.chunks_exact(last))
        {
            let count = if has_nan { present.iter().sum() } else { points };
            *made = match op {
                Coarsening::Min => sums.iter().copied().fold(f64::INFINITY, f64::min),
                Coarsening::Max => sums.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                _ => sums.iter().sum(),
            };
            if op == Coarsening::Mean {
                *made /= count;
            } else if count == 0.0 && op != Coarsening::Sum {
                *made = f64::NAN;
            }
        }
    }
}

fn medians(
    input: &[u8],
    source: DType,
    rows: &[usize],
    first: usize,
    (length, last): (usize, usize),
    made: &mut [f64],
) {
    let mut seen = vec![0.0; rows.len() * last];
    for (at, made) in made.iter_mut().enumerate() {
        for (row, to) in rows.iter().zip(seen.chunks_exact_mut(last)) {
            load(input, source, (first + row) * length + at * last, to);
        }
        let present = seen.iter().filter(|x| !x.is_nan()).count();
        // NaN comes last, whatever its sign.
        seen.sort_unstable_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        *made = match (present, seen.get(present / 2)) {
            (0, _) | (_, None) => f64::NAN,
            (_, Some(middle)) if present % 2 == 1 => *middle,
            (_, Some(middle)) => (seen.get(present / 2 - 1).unwrap_or(middle) + middle) / 2.0,
        };
    }
}
