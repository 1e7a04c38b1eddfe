//! Sums and extremes of boxes of whole numbers that float64 may not hold: in 64 bits, sums wrapping as NumPy's.
//!
//! Invariant: results are exact but for what wraps. Called by `coarsen`.

use super::Coarsening;
use crate::{DType, KernelError, cast};
use bytemuck::Pod;

/// Whether boxes of `source` may be more than float64 holds exactly, and `dtype` can hold them.
pub(super) fn is_beyond_floats(op: Coarsening, source: DType, dtype: DType) -> bool {
    let whole = |dtype: DType| matches!(dtype.kind(), 'i' | 'u');
    let long_enough = match op {
        // Sums of shorter ones pass 2^53 in no box that memory holds.
        Coarsening::Sum => source.size() >= 4,
        Coarsening::Min | Coarsening::Max => source.size() == 8,
        Coarsening::Mean | Coarsening::Median => false,
    };
    whole(source) && whole(dtype) && long_enough
}

/// Rows of boxes of whole numbers.
pub(super) struct Whole<'a> {
    input: &'a [u8],
    source: DType,
    /// The rows of a box, from its first one.
    rows: &'a [usize],
    length: usize,
    last: usize,
    row: Vec<u64>,
    folded: Vec<u64>,
}

impl<'a> Whole<'a> {
    /// Boxes of `rows`, each of `length` elements, of which `last` are joined.
    pub(super) fn new(input: &'a [u8], source: DType, rows: &'a [usize], length: usize, last: usize) -> Self {
        Self { input, source, rows, length, last, row: vec![0; length], folded: vec![0; length] }
    }

    /// Writes the row of boxes whose first row is `first`.
    pub(super) fn boxes(
        &mut self,
        op: Coarsening,
        first: usize,
        dtype: DType,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        match (op, self.source.kind()) {
            (Coarsening::Min, 'u') => self.fold(DType::U64, first, u64::min, dtype, out),
            (Coarsening::Max, 'u') => self.fold(DType::U64, first, u64::max, dtype, out),
            (Coarsening::Min, _) => self.fold(DType::I64, first, i64::min, dtype, out),
            (Coarsening::Max, _) => self.fold(DType::I64, first, i64::max, dtype, out),
            (_, 'u') => self.fold(DType::U64, first, u64::wrapping_add, dtype, out),
            _ => self.fold(DType::I64, first, i64::wrapping_add, dtype, out),
        }
    }

    fn fold<T: Pod>(
        &mut self,
        wide: DType,
        first: usize,
        fold: impl Fn(T, T) -> T,
        dtype: DType,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        let row: &mut [T] = bytemuck::cast_slice_mut(&mut self.row);
        let folded: &mut [T] = bytemuck::cast_slice_mut(&mut self.folded);
        let row_bytes = self.length * self.source.size();
        let fault = || KernelError::Overflow { shape: vec![self.rows.len(), self.length] };
        for (at, offset) in self.rows.iter().enumerate() {
            let start = (first + offset) * row_bytes;
            let stored = self.input.get(start..start + row_bytes).unwrap_or_default();
            let to: &mut [T] = if at == 0 { &mut *folded } else { &mut *row };
            cast(bytemuck::cast_slice_mut(to), wide, stored, self.source).map_err(|_| fault())?;
            if at > 0 {
                folded.iter_mut().zip(&*row).for_each(|(sum, x)| *sum = fold(*sum, *x));
            }
        }
        // Boxes move to the front, each to where one before it was.
        let mut count = 0;
        for at in (0..folded.len()).step_by(self.last) {
            let joined = folded.get(at..at + self.last).unwrap_or_default().iter().copied().reduce(&fold);
            if let (Some(place), Some(joined)) = (folded.get_mut(count), joined) {
                *place = joined;
                count += 1;
            }
        }
        let boxes = bytemuck::cast_slice(folded.get(..count).unwrap_or_default());
        cast(out, dtype, boxes, wide).map_err(|_| fault())
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{Coarsening, coarsen};
    use crate::{DType, Element};

    #[test]
    fn whole_numbers_stay_whole() {
        let x = [i64::MAX, i64::MAX - 1, 1 << 53, 1, -3, i64::MIN];
        let of = |op, factors: &[usize]| {
            let mut out = vec![0_i64; 6 / factors.iter().product::<usize>()];
            let (shape, bytes) = ([2, 3], i64::as_bytes(&x));
            coarsen(op, bytes, DType::I64, &shape, factors, DType::I64, bytemuck::cast_slice_mut(&mut out))
                .unwrap();
            out
        };
        assert_eq!(of(Coarsening::Min, &[2, 1]), [1, -3, i64::MIN]);
        assert_eq!(of(Coarsening::Max, &[1, 3]), [i64::MAX, 1]);
        assert_eq!(
            of(Coarsening::Sum, &[1, 3])[0],
            i64::MAX.wrapping_add(i64::MAX - 1).wrapping_add(1 << 53)
        );
        let long = [u64::MAX - 1, u64::MAX, 5, 6];
        let mut out = [0_u64; 2];
        let (bytes, to) = (u64::as_bytes(&long), bytemuck::cast_slice_mut(&mut out));
        coarsen(Coarsening::Min, bytes, DType::U64, &[4], &[2], DType::U64, to).unwrap();
        assert_eq!(out, [u64::MAX - 1, 5]);
    }
}
