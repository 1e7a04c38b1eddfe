//! Boxes of elements in memory, and elements as float64 and back.
//!
//! Invariant: bytes hold the elements of the box in C order. Called by the steps of filters.

use crate::simd::InstructionSet;
use crate::strided::copy_region;
use crate::{DType, KernelError, cast};
use pulp::NullaryFnOnce;
use std::ops::Range;

/// A box of elements.
#[derive(Clone, Copy)]
pub(super) struct Space<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) dtype: DType,
    pub(super) held: &'a [Range<i64>],
}

impl<'a> Space<'a> {
    /// What of the box lies in `wanted` along the first axis.
    pub(super) fn slab<'b>(&self, wanted: &'b [Range<i64>]) -> Result<Space<'b>, KernelError>
    where
        'a: 'b,
    {
        let (Some(own), Some(held)) = (wanted.first(), self.held.first()) else {
            return Ok(Space { held: wanted, ..*self });
        };
        let others = |ranges: &[Range<i64>]| elements(ranges.get(1..).unwrap_or_default());
        let row_bytes = others(self.held)? * self.dtype.size();
        let place = |at: i64| usize::try_from(at - held.start).ok()?.checked_mul(row_bytes);
        let bytes = place(own.start).zip(place(own.end)).and_then(|(start, end)| self.bytes.get(start..end));
        let fault =
            || KernelError::Region { shape: shape(wanted), origin: Vec::new(), full: shape(self.held) };
        Ok(Space { bytes: bytes.ok_or_else(fault)?, dtype: self.dtype, held: wanted })
    }

    /// Copies the smaller box `wanted`.
    pub(super) fn cut_out(&self, wanted: &[Range<i64>], out: &mut [u8]) -> Result<(), KernelError> {
        let (from, to) = (shape(self.held), shape(wanted));
        let offset = |(own, held): (&Range<i64>, &Range<i64>)| usize::try_from(own.start - held.start).ok();
        let origin: Option<Vec<usize>> = wanted.iter().zip(self.held).map(offset).collect();
        let fault = || KernelError::Region { shape: to.clone(), origin: Vec::new(), full: from.clone() };
        let origin = origin.ok_or_else(fault)?;
        let zeros = vec![0; to.len()];
        copy_region(out, &to, &zeros, self.bytes, &from, &origin, &to, self.dtype.size()).map_err(|_| fault())
    }
}

pub(super) fn shape(ranges: &[Range<i64>]) -> Vec<usize> {
    ranges.iter().map(|range| usize::try_from(range.end - range.start).unwrap_or(0)).collect()
}

pub(super) fn elements(ranges: &[Range<i64>]) -> Result<usize, KernelError> {
    let shape = shape(ranges);
    let product = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
    product.ok_or(KernelError::Overflow { shape })
}

pub(super) fn wrong_length(given: &[u8], expected: &[u8]) -> KernelError {
    KernelError::Length { what: "box", given_bytes: given.len(), expected_bytes: expected.len() }
}

/// The elements from number `start` on as float64.
pub(super) fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [f64]) {
    let size = dtype.size();
    let Some(bytes) = bytes.get(start * size..(start + to.len()) * size) else { return };
    let set = InstructionSet::best();
    macro_rules! typed {
        ($t:ty) => {
            if let Ok(from) = bytemuck::try_cast_slice::<u8, $t>(bytes) {
                return set.run(Widen { from, to });
            }
        };
    }
    match dtype {
        DType::F32 => typed!(f32),
        DType::F64 => typed!(f64),
        DType::U8 => typed!(u8),
        DType::U16 => typed!(u16),
        DType::I16 => typed!(i16),
        _ => {}
    }
    // Lengths agree.
    let _ = cast(bytemuck::cast_slice_mut(to), DType::F64, bytes, dtype);
}

/// Elements as float64.
struct Widen<'a, T> {
    from: &'a [T],
    to: &'a mut [f64],
}

impl<T: Copy + Into<f64>> NullaryFnOnce for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.to.iter_mut().zip(self.from).for_each(|(to, from)| *to = (*from).into());
    }
}

/// Stores float64 as the elements from number `start` on, converted as NumPy's `astype` does.
pub(super) fn store(bytes: &mut [u8], dtype: DType, start: usize, from: &[f64]) {
    let size = dtype.size();
    let Some(bytes) = bytes.get_mut(start * size..(start + from.len()) * size) else { return };
    if dtype == DType::F32
        && let Ok(to) = bytemuck::try_cast_slice_mut::<u8, f32>(bytes)
    {
        return InstructionSet::best().run(Narrow { from, to });
    }
    let mut truncated = [0.0; 64];
    for (bytes, from) in bytes.chunks_mut(64 * size).zip(from.chunks(64)) {
        let mut from = from;
        if dtype == DType::Bool {
            // C's cast to a byte: what is below 1 is false.
            truncated.iter_mut().zip(from).for_each(|(to, from)| *to = from.trunc());
            from = truncated.get(..from.len()).unwrap_or_default();
        }
        let _ = cast(bytes, dtype, bytemuck::cast_slice(from), DType::F64);
    }
}

/// Float64 as float32.
struct Narrow<'a> {
    from: &'a [f64],
    to: &'a mut [f32],
}

impl NullaryFnOnce for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.to.iter_mut().zip(self.from).for_each(|(to, from)| *to = *from as f32);
    }
}
