//! Boxes of neighbours that become one element of the same type each: the levels of image pyramids.
//!
//! Unlike [`crate::filter::coarsen`], which computes in float64, this is exact in every type and takes boxes that reach past the end
//! of an axis as what is there of them. Invariant: an element of the result depends on its box alone, not on the block that
//! the box lies in. Called by core's tasks.

mod means;
mod picks;

use crate::error::{check_len, typed, typed_mut};
use crate::{DType, KernelError};
use bytemuck::Pod;
use half::{bf16, f16};
use std::fmt;
use std::str::FromStr;

/// What the elements of a box become. NaN counts as missing; a box of nothing else becomes NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downsampling {
    /// Their mean: of integers the exact one, rounded to the nearest, halves to even; of floats a sum in float64 over the count.
    Mean,
    /// The first of them.
    Nearest,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The most frequent, the smallest of several: for labels.
    Mode,
}

impl Downsampling {
    /// What users call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Nearest => "nearest",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mode => "mode",
        }
    }
}

impl fmt::Display for Downsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Downsampling {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        let all = [Self::Mean, Self::Nearest, Self::Min, Self::Max, Self::Mode];
        all.into_iter().find(|method| method.name() == name).ok_or_else(|| KernelError::Name {
            what: "way to downsample",
            name: name.to_owned(),
            known: "mean, nearest, min, max, mode",
        })
    }
}

/// The rows of the block that the boxes of one row of the result are made of.
struct Rows<'a, T> {
    input: &'a [T],
    /// Where they begin.
    starts: &'a [usize],
    /// Their length.
    length: usize,
    /// Elements of a box along them; the last box may have fewer.
    last: usize,
}

impl<'a, T> Rows<'a, T> {
    fn each(&self) -> impl Iterator<Item = &'a [T]> {
        let Self { input, length, .. } = *self;
        self.starts.iter().map(move |start| &input[*start..start + length])
    }

    /// The elements of box number `at`.
    fn of_box(&self, at: usize) -> impl Iterator<Item = &'a T> {
        let (first, end) = (at * self.last, ((at + 1) * self.last).min(self.length));
        self.each().flat_map(move |row| &row[first..end])
    }
}

/// Fills `out` with one element for each box of `factors` elements of `input`, which has `shape` and elements of `dtype`. Boxes at
/// the ends of axes may hold fewer: the result has `shape` divided by `factors`, rounded up.
///
/// ```
/// use blockwise_kernels::downsample::{Downsampling, downsample};
/// use blockwise_kernels::DType;
/// let mut out = [0; 4];
/// downsample(Downsampling::Mean, DType::U8, &[1, 2, 9, 2, 2, 9, 7, 8, 1], &[3, 3], &[2, 2], &mut out)?;
/// assert_eq!(out, [2, 9, 8, 1]); // 7/4, 9, 15/2 to even, 1
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// If a factor is 0, there is not one for each axis, a length does not fit, or the dtype is complex (but [`Downsampling::Nearest`]
/// takes any).
pub fn downsample(
    method: Downsampling,
    dtype: DType,
    input: &[u8],
    shape: &[usize],
    factors: &[usize],
    out: &mut [u8],
) -> Result<(), KernelError> {
    if shape.len() != factors.len() || factors.contains(&0) {
        let value = factors.first().map_or(0.0, |factor| *factor as f64);
        return Err(KernelError::Parameter { what: "a factor", value, wanted: "1 or more, for each axis" });
    }
    let made: Vec<usize> =
        shape.iter().zip(factors).map(|(length, factor)| length.div_ceil(*factor)).collect();
    let count = |shape: &[usize]| {
        let product = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
        product.ok_or_else(|| KernelError::Overflow { shape: shape.to_vec() })
    };
    check_len("block to downsample", input.len(), count(shape)?, dtype.size())?;
    check_len("downsampled block", out.len(), count(&made)?, dtype.size())?;
    let boxes = Boxes { shape, factors, made: &made };
    let points = factors.iter().zip(shape).map(|(factor, length)| (*factor).min(*length).max(1));
    let points = points.fold(1_usize, usize::saturating_mul);
    if method == Downsampling::Nearest {
        return match dtype.size() {
            1 => boxes.fill::<u8>(input, out, picks::first),
            2 => boxes.fill::<u16>(input, out, picks::first),
            4 => boxes.fill::<u32>(input, out, picks::first),
            8 => boxes.fill::<u64>(input, out, picks::first),
            _ => boxes.fill::<[u64; 2]>(input, out, picks::first),
        };
    }
    macro_rules! each {
        ($t:ty, $sum:ty) => {
            match method {
                Downsampling::Mean => boxes.fill::<$t>(input, out, means::means::<$t, $sum>()),
                Downsampling::Min => boxes.fill::<$t>(input, out, picks::extremes(|new, old| new < old)),
                Downsampling::Max => boxes.fill::<$t>(input, out, picks::extremes(|new, old| new > old)),
                _ => boxes.fill::<$t>(input, out, picks::modes()),
            }
        };
    }
    // Sums of short integers in 32 bits, as long as they fit there.
    let is_small = points <= 1 << 15;
    match dtype {
        DType::Bool | DType::U8 if is_small => each!(u8, u32),
        DType::Bool | DType::U8 => each!(u8, u64),
        DType::U16 if is_small => each!(u16, u32),
        DType::U16 => each!(u16, u64),
        DType::U32 => each!(u32, u64),
        DType::U64 => each!(u64, u128),
        DType::I8 if is_small => each!(i8, i32),
        DType::I8 => each!(i8, i64),
        DType::I16 if is_small => each!(i16, i32),
        DType::I16 => each!(i16, i64),
        DType::I32 => each!(i32, i64),
        DType::I64 => each!(i64, i128),
        DType::F16 => each!(f16, f64),
        DType::BF16 => each!(bf16, f64),
        DType::F32 => each!(f32, f64),
        DType::F64 => each!(f64, f64),
        DType::C64 | DType::C128 => Err(KernelError::Refused { operation: method.name(), dtype }),
    }
}

/// Bytes that [`downsample`] takes for a block whose rows have `length` elements, in boxes of `points`.
#[must_use]
pub fn downsample_scratch_bytes(length: u64, points: u64) -> u64 {
    length.saturating_mul(16).saturating_add(points.saturating_mul(16))
}

/// A block and how it is cut into boxes.
struct Boxes<'a> {
    shape: &'a [usize],
    factors: &'a [usize],
    made: &'a [usize],
}

impl Boxes<'_> {
    /// Has `make` fill each row of the result.
    fn fill<T: Pod>(
        &self,
        input: &[u8],
        out: &mut [u8],
        mut make: impl FnMut(&Rows<'_, T>, &mut [T]),
    ) -> Result<(), KernelError> {
        let (total, boxes) = (self.shape.iter().product(), self.made.iter().product());
        let input: &[T] = typed("block to downsample", input, total)?;
        let out: &mut [T] = typed_mut("downsampled block", out, boxes)?;
        if boxes == 0 {
            return Ok(());
        }
        let (length, last) =
            (self.shape.last().copied().unwrap_or(1), self.factors.last().copied().unwrap_or(1));
        let leading = self.shape.len().saturating_sub(1);
        let mut place = vec![0_usize; leading];
        let (mut starts, mut wider) = (Vec::new(), Vec::new());
        for made in out.chunks_exact_mut(length.div_ceil(last)) {
            starts.clear();
            starts.push(0);
            for ((at, factor), extent) in place.iter().zip(self.factors).zip(self.shape) {
                let here = at * factor..((at + 1) * factor).min(*extent);
                wider.clear();
                wider.extend(starts.iter().flat_map(|start| here.clone().map(move |n| start * extent + n)));
                std::mem::swap(&mut starts, &mut wider);
            }
            starts.iter_mut().for_each(|start| *start *= length);
            make(&Rows { input, starts: &starts, length, last }, made);
            for (at, count) in place.iter_mut().zip(self.made).rev() {
                *at += 1;
                if *at < *count {
                    break;
                }
                *at = 0;
            }
        }
        Ok(())
    }
}
