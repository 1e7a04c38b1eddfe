//! Elements looked up in short lists: `digitize`, `searchsorted`, `isin`.
//!
//! The list is small: every task holds it whole. Invariant: the results have the shape, cuts and names of what is looked up.
//! Called by programs and `eval`.

use super::order::one;
use super::{Array, BlockInput};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::{element_count, small};
use blockwise_kernels::histogram::digitize;
use blockwise_kernels::order::{Side, search_sorted, sort, sort_scratch_bytes};
use blockwise_kernels::promote::promote;
use blockwise_kernels::{Buffer, DType, DTypeVisitor, Element, Scalar};
use std::sync::Arc;

impl Array {
    /// NumPy's `digitize`: the number of the bin, between edges in order, in which each element lies, as `int64`; with
    /// `right`, bins hold their upper edges.
    ///
    /// # Errors
    /// If the edges are in no order, or the dtype is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::linspace(0.0, 4.0, 5, true)?;
    /// assert_eq!(x.digitize(&[1.0, 3.0], false)?.compute::<i64>()?.as_slice(), Some(&[0, 1, 1, 2, 2][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn digitize(&self, edges: &[f64], right: bool) -> Result<Self> {
        // Faults of the edges and the dtype show without an element.
        digitize(&[], self.dtype(), edges, right, &mut [])?;
        let edges = edges.to_vec();
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            Ok(digitize(block.bytes, block.dtype, &edges, right, out.bytes_mut())?)
        };
        if self.is_empty() {
            return Ok(self.full_like(Scalar::zero(DType::I64)));
        }
        self.mapped(BlockClosure::new("digitize", 0, run), self.grid().clone(), DType::I64)
    }

    /// NumPy's `searchsorted`: how many elements of `sorted`, of one axis and ascending, come before each element of this array, as
    /// `int64`; with [`Side::Right`], equal ones come before it.
    ///
    /// # Errors
    /// If `sorted` has another number of axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_kernels::order::Side;
    /// let sorted = Array::arange(0.0, 100.0, 10.0)?;
    /// let x = Array::linspace(-5.0, 35.0, 5, true)?;
    /// assert_eq!(x.search_sorted(&sorted, Side::Left)?.compute::<i64>()?.as_slice(), Some(&[0, 1, 2, 3, 4][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn search_sorted(&self, sorted: &Self, side: Side) -> Result<Self> {
        let dtype = promote(self.dtype(), sorted.dtype());
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, sorted], [out]) = (blocks(inputs)?, chunks(outputs)?);
            Ok(search_sorted(sorted.bytes, block.bytes, dtype, side, out.bytes_mut())?)
        };
        self.looked_up("searchsorted", sorted, dtype, DType::I64, run)
    }

    /// NumPy's `isin`: whether each element is one of `list`, which has one axis.
    ///
    /// # Errors
    /// If `list` has another number of axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let list = Array::from_ndarray(&ndarray::arr1(&[7_i64, 2]).into_dyn())?;
    /// let x = Array::arange_i64(1, 4, 1)?;
    /// assert_eq!(x.is_in(&list)?.compute::<bool>()?.as_slice(), Some(&[false, true, false][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn is_in(&self, list: &Self) -> Result<Self> {
        if let Some((dtype, comparison, bound)) = exact(self.dtype(), list.dtype()) {
            let possible = Self::call(comparison, [self.into(), bound.into()])?;
            let there = self.astype(dtype).is_in(&list.astype(dtype))?;
            return Self::call("logical_and", [possible.into(), there.into()]);
        }
        let dtype = promote(self.dtype(), list.dtype());
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, list], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let mut sorted = Buffer::zeroed(list.bytes.len());
            let length = list.bytes.len() / dtype.size();
            sort(list.bytes, dtype, &[length], 0, &mut sorted)?;
            let mut places = Buffer::zeroed(block.bytes.len() / dtype.size() * 8);
            search_sorted(&sorted, block.bytes, dtype, Side::Left, &mut places)?;
            dtype.dispatch(Found {
                values: block.bytes,
                sorted: &sorted,
                places: &places,
                out: out.bytes_mut(),
            });
            Ok(())
        };
        self.looked_up("isin", list, dtype, DType::Bool, run)
    }

    /// A function of each block, as `dtype`, and the whole of `list`.
    fn looked_up<F>(&self, name: &str, list: &Self, dtype: DType, result: DType, run: F) -> Result<Self>
    where
        F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
    {
        let [length] = list.shape()[..] else {
            return Err(Error::Rank { expected: 1, found: list.rank() });
        };
        if self.is_empty() || length == 0 {
            return Ok(self.full_like(Scalar::zero(result)));
        }
        let (values, mut list) = (self.astype(dtype).expand_dims(-1)?, list.astype(dtype));
        for _ in 0..self.rank() {
            list = list.expand_dims(0)?;
        }
        // The list lies along an axis of its own, along which there is one task.
        let mut cuts = self.grid().axes().to_vec();
        cuts.push(AxisGrid::regular(length, length)?);
        // Keys of the list, of at most three words; of a list to be sorted, what that takes and places of the elements.
        let item_bytes = dtype.size() as u64;
        let mut scratch = length.saturating_mul(3 * item_bytes);
        if result == DType::Bool {
            let elements = element_count(&self.grid().largest_chunk()).unwrap_or(u64::MAX);
            let sorting = sort_scratch_bytes(dtype, &small(&[length])?, 0, false)? as u64;
            scratch = scratch.max(sorting).saturating_add(length.saturating_mul(item_bytes));
            scratch = scratch.saturating_add(elements.saturating_mul(8));
        }
        let inputs: Vec<BlockInput> = vec![(&values).into(), (&list).into()];
        let outputs = vec![(result, self.grid().clone())];
        let index_axes = (0..self.rank()).map(Some).collect();
        let function = Arc::new(BlockClosure::new(name, scratch, run));
        let [found] =
            one(Self::from_blocks(function, inputs, ChunkGrid::from_axes(cuts)?, index_axes, outputs)?)?;
        Ok(found.renamed(self.names().to_vec()))
    }
}

/// Where uint64 meets signed integers, whose common dtype, float64, has not all of them: a dtype that has all of the list,
/// and how a value compares that it has too. No other value is in the list.
fn exact(values: DType, list: DType) -> Option<(DType, &'static str, Scalar)> {
    if values == DType::U64 && list.kind() == 'i' {
        Some((DType::I64, "less_equal", Scalar::from(i64::MAX.unsigned_abs())))
    } else if values.kind() == 'i' && list == DType::U64 {
        Some((DType::U64, "greater_equal", Scalar::zero(values)))
    } else {
        None
    }
}

/// Whether values are what stands at their places.
struct Found<'a> {
    values: &'a [u8],
    sorted: &'a [u8],
    places: &'a [u8],
    out: &'a mut [u8],
}

impl DTypeVisitor for Found<'_> {
    type Output = ();

    fn visit<T: Element>(self) {
        let (values, sorted) = (T::cast_slice(self.values), T::cast_slice(self.sorted));
        let (Some(values), Some(sorted)) = (values, sorted) else { return };
        let places = i64::cast_slice(self.places).unwrap_or_default();
        for ((value, place), out) in values.iter().zip(places).zip(self.out) {
            let there = usize::try_from(*place).ok().and_then(|place| sorted.get(place));
            *out = u8::from(there == Some(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array<T: Element>(values: &[T]) -> Array {
        Array::from_ndarray(&ndarray::arr1(values).into_dyn()).unwrap()
    }

    #[test]
    fn whole_numbers_of_both_signs_are_found_exactly() {
        const TOP: u64 = 1 << 63;
        let found = |values: Array, list: Array| {
            values.is_in(&list).unwrap().compute::<bool>().unwrap().into_raw_vec_and_offset().0
        };
        let wide = [TOP - 1, TOP, u64::MAX, 300, 44];
        assert_eq!(found(array(&wide), array(&[i64::MAX, -1, i64::MIN])), [true, false, false, false, false]);
        assert_eq!(found(array(&wide), array(&[44_i8, -1])), [false, false, false, false, true]);
        assert_eq!(found(array(&[i64::MAX, -1, i64::MIN]), array(&wide)), [true, false, false]);
        assert_eq!(found(array(&[-1_i8, 44]), array(&wide)), [false, true]);
    }
}
