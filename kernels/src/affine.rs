//! Elements of an array seen through an affine map: shifted, scaled, sheared, turned.
//!
//! An element of the result lies somewhere in the input, between elements as a rule, and is the nearest of these or a mean of those
//! around it, weighted linearly along each axis. Invariants: a result depends on the map and the array, not on the box in which it is
//! made; what has no weight is not looked at, so that NaN spreads no further than it must. Called by core's sources.

use crate::error::{typed, typed_mut};
use crate::{DType, KernelError, Scalar};
use bytemuck::Pod;
use half::{bf16, f16};
use std::ops::Range;

/// Integers up to this are exact in float64, and so are their sums, if these are no larger.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// What lies outside by less is at the edge: rounding put it there. Coordinates differ by less of what they are.
const ROUNDING: f64 = 1e-9;

/// Where the elements of a result lie in an input: at `offset + matrix · position`.
///
/// ```
/// use blockwise_kernels::affine::AffineMap;
/// // Half an element further along the first axis, every second element of the other.
/// let map = AffineMap::new(vec![vec![1.0, 0.0], vec![0.0, 2.0]], vec![0.5, 0.0])?;
/// assert_eq!(map.at(&[3, 4]), [3.5, 8.0]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AffineMap {
    matrix: Vec<Vec<f64>>,
    offset: Vec<f64>,
}

/// How an element is made of those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest, of two the one behind.
    Nearest,
    /// Means weighted by nearness along each axis, of the two next to it; in float64, integers rounded to the nearest, halves away from zero.
    Linear,
}

/// What elements are that lie before the first or behind the last of an input, along any axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Beyond {
    /// This, of the input's type.
    Fill(Scalar),
    /// What is nearest of the input.
    Nearest,
}

/// How elements are found through a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Between the input's elements.
    pub interpolation: Interpolation,
    /// Outside of it.
    pub beyond: Beyond,
}

/// A box of an array: its elements in C order, where it lies, and the shape of the whole.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The elements.
    pub bytes: &'a [u8],
    /// Where the box lies, along each axis.
    pub ranges: &'a [Range<u64>],
    /// Elements of the array along each axis.
    pub extents: &'a [u64],
}

impl AffineMap {
    /// The map of a square matrix, its rows one for each axis of the input, and an offset for each.
    ///
    /// # Errors
    /// If the matrix is not square, there is not one offset for each row, or a number is not finite.
    pub fn new(matrix: Vec<Vec<f64>>, offset: Vec<f64>) -> Result<Self, KernelError> {
        let is_square = matrix.iter().all(|row| row.len() == matrix.len());
        if !is_square || offset.len() != matrix.len() {
            let (what, wanted) = ("the matrix' number of rows", "that of its columns, and of offsets");
            return Err(KernelError::Parameter { what, value: matrix.len() as f64, wanted });
        }
        match matrix.iter().flatten().chain(&offset).find(|value| !value.is_finite()) {
            Some(value) => {
                Err(KernelError::Parameter { what: "a number of the map", value: *value, wanted: "finite" })
            }
            None => Ok(Self { matrix, offset }),
        }
    }

    /// Axes of the input, and of the result.
    #[must_use]
    pub const fn rank(&self) -> usize {
        self.matrix.len()
    }

    /// Where the element at a position of the result lies in the input.
    #[must_use]
    pub fn at(&self, position: &[u64]) -> Vec<f64> {
        let along = |(row, offset): (&Vec<f64>, &f64)| {
            row.iter().zip(position).fold(*offset, |sum, (step, at)| sum + step * *at as f64)
        };
        self.matrix.iter().zip(&self.offset).map(along).collect()
    }

    /// Whether a result's elements lie at elements along an axis of the input, never between.
    #[must_use]
    pub fn is_whole(&self, axis: usize) -> bool {
        let is_integer = |value: &f64| value.fract() == 0.0 && value.abs() < EXACT;
        self.matrix.get(axis).is_some_and(|row| row.iter().all(is_integer))
            && self.offset.get(axis).is_some_and(is_integer)
    }

    /// Whether positions along an axis of the result decide where between elements of the input those lie.
    #[must_use]
    pub fn is_mixed(&self, column: usize) -> bool {
        let depends = |row: &Vec<f64>| row.get(column).is_some_and(|step| *step != 0.0);
        self.matrix.iter().enumerate().any(|(axis, row)| depends(row) && !self.is_whole(axis))
    }

    /// How far the elements of a box of `lengths` elements lie apart, at most, along an axis of the input.
    #[must_use]
    pub fn span(&self, axis: usize, lengths: &[u64]) -> f64 {
        let row = self.matrix.get(axis).map_or(&[][..], Vec::as_slice);
        row.iter().zip(lengths).map(|(step, length)| step.abs() * length.saturating_sub(1) as f64).sum()
    }

    /// Elements of an input of `extents` along each axis that any box of `lengths` elements of the result needs, at most.
    #[must_use]
    pub fn most_needed(&self, lengths: &[u64], extents: &[u64]) -> Vec<u64> {
        let along = |(axis, extent): (usize, &u64)| {
            // One for the first, one for the neighbour behind the last, one for what rounds otherwise here.
            let around = if self.is_whole(axis) { 1.0 } else { 3.0 };
            ((self.span(axis, lengths).ceil() + around) as u64).min(*extent)
        };
        extents.iter().enumerate().map(along).collect()
    }

    /// The box of an input of `extents` that a box of the result needs; `None` if all of it lies beyond and is filled.
    #[must_use]
    pub fn needed(
        &self,
        ranges: &[Range<u64>],
        extents: &[u64],
        resampling: Resampling,
    ) -> Option<Vec<Range<u64>>> {
        let first: Vec<u64> = ranges.iter().map(|range| range.start).collect();
        let lengths: Vec<u64> = ranges.iter().map(|range| range.end.saturating_sub(range.start)).collect();
        if lengths.contains(&0) || extents.contains(&0) {
            return None;
        }
        let along = |(axis, (start, extent)): (usize, (f64, &u64))| {
            let row = self.matrix.get(axis).map_or(&[][..], Vec::as_slice);
            let back: f64 =
                row.iter().zip(&lengths).map(|(step, length)| step.min(0.0) * (length - 1) as f64).sum();
            let (least, last) = (start + back, *extent as f64 - 1.0);
            let largest = least + self.span(axis, &lengths);
            // Sums are rounded otherwise for each element; a whole element more would often be in a chunk more.
            let rounding =
                if self.is_whole(axis) { 0.0 } else { ROUNDING * (1.0 + least.abs().max(largest.abs())) };
            let (from, to) = ((least - rounding).floor(), (largest + rounding).ceil());
            if resampling.beyond != Beyond::Nearest && (to < 0.0 || from > last) {
                return None;
            }
            Some(from.clamp(0.0, last) as u64..to.clamp(0.0, last) as u64 + 1)
        };
        self.at(&first).into_iter().zip(extents).enumerate().map(along).collect()
    }
}

/// Fills `out`, the box `ranges` of the result in C order, with what `map` finds in `held`, which is what [`AffineMap::needed`] says.
///
/// ```
/// use blockwise_kernels::affine::{AffineMap, Beyond, Held, Interpolation, Resampling, resample};
/// use blockwise_kernels::{DType, Scalar};
/// let map = AffineMap::new(vec![vec![0.5]], vec![0.0])?;
/// let how = Resampling { interpolation: Interpolation::Linear, beyond: Beyond::Fill(Scalar::from(7_u8)) };
/// let held = Held { bytes: &[10, 20, 40], ranges: &[0..3], extents: &[3] };
/// let mut out = [0; 6];
/// resample(&map, how, DType::U8, held, &[0..6], &mut out)?;
/// assert_eq!(out, [10, 15, 20, 30, 40, 7]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// If lengths do not fit, or elements of the dtype have no mean: truth values and complex numbers.
pub fn resample(
    map: &AffineMap,
    resampling: Resampling,
    dtype: DType,
    held: Held<'_>,
    ranges: &[Range<u64>],
    out: &mut [u8],
) -> Result<(), KernelError> {
    let rank = map.rank();
    for axes in [held.ranges.len(), held.extents.len(), ranges.len()] {
        if axes != rank {
            return Err(KernelError::Axis { axis: axes, rank });
        }
    }
    if let Beyond::Fill(fill) = resampling.beyond
        && fill.dtype() != dtype
    {
        return Err(KernelError::Refused { operation: "a fill value of another dtype", dtype: fill.dtype() });
    }
    let rows = Rows::new(map, resampling, held, ranges)?;
    macro_rules! linear {
        ($t:ty) => {
            rows.fill::<$t>(held.bytes, out, mixed::<$t>)
        };
    }
    if resampling.interpolation == Interpolation::Nearest {
        return match dtype.size() {
            1 => rows.fill::<u8>(held.bytes, out, picked),
            2 => rows.fill::<u16>(held.bytes, out, picked),
            4 => rows.fill::<u32>(held.bytes, out, picked),
            8 => rows.fill::<u64>(held.bytes, out, picked),
            _ => rows.fill::<[u64; 2]>(held.bytes, out, picked),
        };
    }
    match dtype {
        DType::I8 => linear!(i8),
        DType::I16 => linear!(i16),
        DType::I32 => linear!(i32),
        DType::I64 => linear!(i64),
        DType::U8 => linear!(u8),
        DType::U16 => linear!(u16),
        DType::U32 => linear!(u32),
        DType::U64 => linear!(u64),
        DType::F16 => linear!(f16),
        DType::BF16 => linear!(bf16),
        DType::F32 => linear!(f32),
        DType::F64 => linear!(f64),
        DType::Bool | DType::C64 | DType::C128 => {
            Err(KernelError::Refused { operation: "linear interpolation", dtype })
        }
    }
}

/// An axis of the input, as the rows of a result meet it.
struct AxisHeld {
    /// The last position of the whole array.
    last: f64,
    /// The first position that is held, and how many follow it.
    first: u64,
    following: usize,
    /// Elements from one position to the next.
    stride: usize,
    /// Positions from one element of a row to the next.
    step: f64,
}

/// The rows of a result, and the box of the input that they are made of.
struct Rows<'a> {
    map: &'a AffineMap,
    resampling: Resampling,
    ranges: &'a [Range<u64>],
    axes: Vec<AxisHeld>,
    elements_held: usize,
    elements_made: usize,
}

impl<'a> Rows<'a> {
    fn new(
        map: &'a AffineMap,
        resampling: Resampling,
        held: Held<'_>,
        ranges: &'a [Range<u64>],
    ) -> Result<Self, KernelError> {
        let lengths_held = lengths(held.ranges)?;
        let elements_held = total(&lengths_held)?;
        let elements_made = total(&lengths(ranges)?)?;
        let mut axes = Vec::with_capacity(map.rank());
        let mut stride = elements_held;
        for (((range, length), extent), row) in
            held.ranges.iter().zip(&lengths_held).zip(held.extents).zip(&map.matrix)
        {
            if *length == 0 || range.end > *extent {
                return Err(KernelError::Index { index: range.end as i64, len: *extent as usize });
            }
            stride /= length;
            axes.push(AxisHeld {
                last: *extent as f64 - 1.0,
                first: range.start,
                following: length - 1,
                stride,
                step: row.last().copied().unwrap_or(0.0),
            });
        }
        Ok(Self { map, resampling, ranges, axes, elements_held, elements_made })
    }

    /// Makes every element of `out` by `make` of the box's elements, where it lies among these, and between which.
    fn fill<T: Pod>(
        &self,
        input: &[u8],
        out: &mut [u8],
        make: impl Fn(&[T], usize, &[Between]) -> T,
    ) -> Result<(), KernelError> {
        let input: &[T] = typed("box seen through a map", input, self.elements_held)?;
        let out: &mut [T] = typed_mut("box of a result", out, self.elements_made)?;
        let Some((row, leading)) = self.ranges.split_last() else {
            // The only element there is.
            out.iter_mut().zip(input).for_each(|(out, x)| *out = *x);
            return Ok(());
        };
        let row_length = usize::try_from(row.end.saturating_sub(row.start)).unwrap_or(0);
        let beyond = match self.resampling.beyond {
            Beyond::Nearest => None,
            Beyond::Fill(fill) => Some(bytemuck::pod_read_unaligned::<T>(fill.bytes())),
        };
        let mut position: Vec<u64> = leading.iter().map(|range| range.start).collect();
        let mut between = Vec::with_capacity(self.axes.len());
        for out in out.chunks_exact_mut(row_length.max(1)) {
            // As `at` adds, but for the last axis.
            let starts = self.map.at(&position);
            for (out, at) in out.iter_mut().zip(row.clone()) {
                *out = match (self.place(&starts, at as f64, &mut between), beyond) {
                    (None, Some(fill)) => fill,
                    (place, _) => make(input, place.unwrap_or(0), &between),
                };
            }
            for (at, range) in position.iter_mut().zip(leading).rev() {
                *at += 1;
                if *at < range.end {
                    break;
                }
                *at = range.start;
            }
        }
        Ok(())
    }

    /// Which element of the box lies before or at the element `at` of a row, and between which it lies; `None` if that is filled.
    #[inline(always)]
    fn place(&self, starts: &[f64], at: f64, between: &mut Vec<Between>) -> Option<usize> {
        between.clear();
        let mut place = 0;
        for (axis, start) in self.axes.iter().zip(starts) {
            let mut x = start + axis.step * at;
            // What is no number, for a map that overflows, is nowhere.
            if !(0.0..=axis.last).contains(&x) {
                let is_near = x >= -ROUNDING && x <= axis.last + ROUNDING;
                if !is_near && self.resampling.beyond != Beyond::Nearest {
                    return None;
                }
                x = x.clamp(0.0, axis.last);
            }
            let before = match self.resampling.interpolation {
                Interpolation::Nearest => (x + 0.5) as u64,
                Interpolation::Linear => x as u64,
            };
            let own = usize::try_from(before.saturating_sub(axis.first)).unwrap_or(usize::MAX);
            place += own.min(axis.following) * axis.stride;
            let weight = x - before as f64;
            if self.resampling.interpolation == Interpolation::Linear && weight > 0.0 && own < axis.following
            {
                between.push(Between { stride: axis.stride, weight });
            }
        }
        Some(place)
    }
}

/// An axis along which an element lies between two others.
#[derive(Clone, Copy, Debug)]
struct Between {
    /// Elements from the one before to the one behind.
    stride: usize,
    /// Of the one behind.
    weight: f64,
}

/// The element at a place.
#[inline(always)]
fn picked<T: Pod>(input: &[T], place: usize, _: &[Between]) -> T {
    input[place]
}

/// The mean of the elements around, by their weights.
#[inline(always)]
fn mixed<T: Number>(input: &[T], place: usize, between: &[Between]) -> T {
    // Few axes are worth a text without calls.
    let one = |at: usize| input[at].wide();
    let two = |at: usize, x: &Between| (1.0 - x.weight) * one(at) + x.weight * one(at + x.stride);
    let four = |at: usize, y: &Between, x: &Between| {
        (1.0 - y.weight) * two(at, x) + y.weight * two(at + y.stride, x)
    };
    match between {
        [] => input[place],
        [x] => T::rounded(two(place, x)),
        [y, x] => T::rounded(four(place, y, x)),
        [z, y, x] => {
            T::rounded((1.0 - z.weight) * four(place, y, x) + z.weight * four(place + z.stride, y, x))
        }
        more => T::rounded(mean(input, place, more)),
    }
}

/// As [`mixed`], of however many axes.
fn mean<T: Number>(input: &[T], place: usize, between: &[Between]) -> f64 {
    let Some((first, rest)) = between.split_first() else { return input[place].wide() };
    (1.0 - first.weight) * mean(input, place, rest) + first.weight * mean(input, place + first.stride, rest)
}

/// An element that has means.
trait Number: Pod {
    fn wide(self) -> f64;
    fn rounded(value: f64) -> Self;
}

/// `$wide` of an element is its value as a double, `$round` of a double what is stored.
macro_rules! numbers {
    ($wide:expr, $round:expr; $($t:ty)*) => {$(
        impl Number for $t {
            #[inline(always)]
            fn wide(self) -> f64 {
                $wide(self)
            }
            #[inline(always)]
            fn rounded(value: f64) -> Self {
                $round(value) as Self
            }
        }
    )*};
}
numbers!(f64::from, f64::round; i8 i16 i32 u8 u16 u32);
numbers!(|wide| wide as f64, f64::round; i64 u64);
numbers!(f64::from, std::convert::identity; f32 f64);

macro_rules! halves {
    ($($t:ty)*) => {$(
        impl Number for $t {
            #[inline(always)]
            fn wide(self) -> f64 {
                self.to_f64()
            }
            #[inline(always)]
            fn rounded(value: f64) -> Self {
                Self::from_f64(value)
            }
        }
    )*};
}
halves!(f16 bf16);

/// Elements along each axis of a box.
fn lengths(ranges: &[Range<u64>]) -> Result<Vec<usize>, KernelError> {
    let length = |range: &Range<u64>| usize::try_from(range.end.saturating_sub(range.start));
    ranges
        .iter()
        .map(length)
        .collect::<Result<_, _>>()
        .map_err(|_| KernelError::Overflow { shape: Vec::new() })
}

fn total(shape: &[usize]) -> Result<usize, KernelError> {
    let product = shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    product.ok_or_else(|| KernelError::Overflow { shape: shape.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;

    const FILLED: Resampling = Resampling { interpolation: Interpolation::Linear, beyond: Beyond::Nearest };

    fn one(range: Range<u64>) -> [Range<u64>; 1] {
        std::array::from_fn(|_| range.clone())
    }

    fn turned(degrees: f64, offset: [f64; 2]) -> AffineMap {
        let (sin, cos) = degrees.to_radians().sin_cos();
        AffineMap::new(vec![vec![cos, sin], vec![-sin, cos]], offset.to_vec()).unwrap()
    }

    /// A result of 9 x 11 elements, in boxes of so many.
    fn in_boxes(map: &AffineMap, how: Resampling, input: &[f64], boxes: [u64; 2]) -> Vec<f64> {
        let extents = [7_u64, 8];
        let mut whole = vec![f64::INFINITY; 99];
        for y in (0..9).step_by(boxes[0] as usize) {
            for x in (0..11).step_by(boxes[1] as usize) {
                let ranges = [y..(y + boxes[0]).min(9), x..(x + boxes[1]).min(11)];
                let columns = (ranges[1].end - x) as usize;
                let mut out = vec![0.0; (ranges[0].end - y) as usize * columns];
                let Some(needed) = map.needed(&ranges, &extents, how) else { continue };
                let most = map.most_needed(&boxes, &extents);
                assert!(needed.iter().zip(most).all(|(range, most)| range.end - range.start <= most));
                let held: Vec<f64> = needed[0]
                    .clone()
                    .flat_map(|y| needed[1].clone().map(move |x| (y * 8 + x) as usize))
                    .map(|at| input[at])
                    .collect();
                let held = Held { bytes: f64::as_bytes(&held), ranges: &needed, extents: &extents };
                resample(map, how, DType::F64, held, &ranges, bytemuck::cast_slice_mut(&mut out)).unwrap();
                for (row, made) in out.chunks(columns).enumerate() {
                    let at = (y as usize + row) * 11 + x as usize;
                    whole[at..at + columns].copy_from_slice(made);
                }
            }
        }
        whole
    }

    #[test]
    fn results_do_not_depend_on_boxes() {
        let input: Vec<f64> = (0..56).map(|n| f64::from(n * n % 23)).collect();
        for degrees in [0.0, 13.0, 45.0, 90.0, 200.0] {
            let map = turned(degrees, [2.5, -1.25]);
            for interpolation in [Interpolation::Nearest, Interpolation::Linear] {
                let how = Resampling { interpolation, ..FILLED };
                let whole = in_boxes(&map, how, &input, [9, 11]);
                for boxes in [[1, 1], [2, 3], [4, 11], [5, 2]] {
                    assert_eq!(in_boxes(&map, how, &input, boxes), whole, "{degrees} {boxes:?}");
                }
            }
        }
    }

    #[test]
    fn integers_are_exact_where_they_are_met() {
        let map = AffineMap::new(vec![vec![-1.0]], vec![2.0]).unwrap();
        let input = [i64::MAX, 5, i64::MIN + 1];
        let held = Held { bytes: i64::as_bytes(&input), ranges: &one(0..3), extents: &[3] };
        let mut out = [0_i64; 3];
        resample(&map, FILLED, DType::I64, held, &one(0..3), bytemuck::cast_slice_mut(&mut out)).unwrap();
        assert_eq!(out, [i64::MIN + 1, 5, i64::MAX]);
    }

    #[test]
    fn nan_without_weight_is_not_seen() {
        let map = AffineMap::new(vec![vec![0.5]], vec![0.0]).unwrap();
        let held = Held { bytes: f32::as_bytes(&[1.0, f32::NAN, 3.0]), ranges: &one(0..3), extents: &[3] };
        let mut out = [0.0_f32; 5];
        resample(&map, FILLED, DType::F32, held, &one(0..5), bytemuck::cast_slice_mut(&mut out)).unwrap();
        assert_eq!((out[0], out[4]), (1.0, 3.0));
        assert!(out[1..4].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn more_than_three_axes() {
        let matrix = (0..4).map(|row| (0..4).map(|column| f64::from(u8::from(row == column))).collect());
        let map = AffineMap::new(matrix.collect(), vec![0.5; 4]).unwrap();
        let input: Vec<f64> = (0..16).map(f64::from).collect();
        let held = Held { bytes: f64::as_bytes(&input), ranges: &[0..2, 0..2, 0..2, 0..2], extents: &[2; 4] };
        let mut out = [0.0];
        let ranges = [0..1, 0..1, 0..1, 0..1];
        resample(&map, FILLED, DType::F64, held, &ranges, bytemuck::cast_slice_mut(&mut out)).unwrap();
        assert_eq!(out, [7.5]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(AffineMap::new(vec![vec![1.0, 0.0]], vec![0.0]).is_err());
        assert!(AffineMap::new(vec![vec![f64::NAN]], vec![0.0]).is_err());
        let map = AffineMap::new(vec![vec![1.0]], vec![0.0]).unwrap();
        let held = Held { bytes: &[1, 0], ranges: &one(0..2), extents: &[2] };
        assert!(resample(&map, FILLED, DType::Bool, held, &one(0..2), &mut [0; 2]).is_err());
        assert!(resample(&map, FILLED, DType::U8, held, &one(0..3), &mut [0; 2]).is_err());
        assert!(resample(&map, FILLED, DType::U8, held, &[0..2, 0..1], &mut [0; 2]).is_err());
    }
}
