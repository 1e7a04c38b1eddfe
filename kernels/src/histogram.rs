//! Counts, or sums of weights, per bin: histograms of any number of dimensions and `bincount`; `digitize`.
//!
//! NumPy's rules: a bin holds its lower edge and not its upper one, but the last holds both; what lies outside, and NaN,
//! counts nowhere. Values are compared with edges as float64.
//!
//! Invariants: states of parts combine to that of the whole, counts exactly and sums of weights with their errors
//! carried along, as [`crate::reduce`] sums. Called by core's tasks.

mod bins;

use crate::error::{check_len, typed, typed_mut};
use crate::program::TILE_ELEMENTS;
use crate::reduce::{add, merge};
use crate::{DType, KernelError, cast};
pub use bins::Bins;

/// Counts of elements in bins of one or more dimensions.
///
/// ```
/// use blockwise_kernels::histogram::{Bins, Histogram};
/// use blockwise_kernels::{Buffer, DType, Element};
/// let x = [0.5_f32, 1.0, 3.0, 4.0, 9.0, f32::NAN];
/// let histogram = Histogram::new(vec![Bins::uniform(4, 0.0, 4.0, DType::F32)?], false)?;
/// let mut state = Buffer::zeroed(histogram.state_bytes());
/// histogram.add(&[(f32::as_bytes(&x), DType::F32)], None, &mut state)?;
/// let mut counts = Buffer::zeroed(4 * 8);
/// histogram.finish(&state, &mut counts)?;
/// assert_eq!(i64::cast_slice(&counts), Some(&[1, 1, 0, 2][..]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bins: Vec<Bins>,
    cells: usize,
    weighted: bool,
}

impl Histogram {
    /// Bins along each dimension; with `weighted`, sums of weights and not counts.
    ///
    /// # Errors
    /// [`KernelError::Overflow`]; [`KernelError::Parameter`] without dimensions.
    pub fn new(bins: Vec<Bins>, weighted: bool) -> Result<Self, KernelError> {
        let shape: Vec<usize> = bins.iter().map(Bins::count).collect();
        if bins.is_empty() {
            return Err(KernelError::Parameter {
                what: "the number of dimensions",
                value: 0.0,
                wanted: "at least 1",
            });
        }
        let cells = shape.iter().try_fold(1_usize, |cells, count| cells.checked_mul(*count));
        match cells.filter(|cells| cells.checked_mul(16).is_some()) {
            Some(cells) => Ok(Self { bins, cells, weighted }),
            None => Err(KernelError::Overflow { shape }),
        }
    }

    /// Bins of all dimensions together.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// The dtype of the results.
    #[must_use]
    pub const fn output_dtype(&self) -> DType {
        if self.weighted { DType::F64 } else { DType::I64 }
    }

    /// Bytes of a state; one of zeros is of no elements.
    #[must_use]
    pub const fn state_bytes(&self) -> usize {
        if self.weighted { 16 * self.cells } else { 8 * self.cells }
    }

    /// Counts elements: for each dimension its coordinates with their dtype, and the weights if it is weighted.
    ///
    /// # Errors
    /// [`KernelError::Length`] if the coordinates, the weights or the dimensions do not match, [`KernelError::Refused`] for
    /// complex coordinates. [`KernelError::Index`] for what is outside of [`Bins::whole`]; the state is then spoilt.
    pub fn add(
        &self,
        coordinates: &[(&[u8], DType)],
        weights: Option<&[f64]>,
        state: &mut [u8],
    ) -> Result<(), KernelError> {
        check_len("the list of coordinates", coordinates.len(), self.bins.len(), 1)?;
        let count = coordinates.first().map_or(0, |(bytes, dtype)| bytes.len() / dtype.size());
        for (bytes, dtype) in coordinates {
            check_len("coordinates", bytes.len(), count, dtype.size())?;
            if dtype.kind() == 'c' {
                return Err(KernelError::Refused { operation: "histogram", dtype: *dtype });
            }
        }
        let wanted = if self.weighted { count } else { 0 };
        check_len("weights", weights.map_or(0, <[f64]>::len), wanted, 1)?;
        let words = typed_mut::<u64>("the state of a histogram", state, self.state_bytes() / 8)?;
        let (sums, errors) = words.split_at_mut(self.cells);
        let mut cells = [0_i64; TILE_ELEMENTS];
        let mut places = [0_i64; TILE_ELEMENTS];
        for first in (0..count).step_by(TILE_ELEMENTS) {
            let len = TILE_ELEMENTS.min(count - first);
            let cells = cells.get_mut(..len).unwrap_or_default();
            cells.fill(0);
            for (bins, (bytes, dtype)) in self.bins.iter().zip(coordinates) {
                let tile = bytes.get(first * dtype.size()..(first + len) * dtype.size()).unwrap_or_default();
                let places = places.get_mut(..len).unwrap_or_default();
                bins.tile(tile, *dtype, places)?;
                for (cell, place) in cells.iter_mut().zip(places) {
                    let outside = *cell < 0 || *place < 0;
                    *cell = if outside { -1 } else { *cell * bins.count() as i64 + *place };
                }
            }
            let known = |cell: i64| usize::try_from(cell).ok();
            if let Some(weights) = weights.and_then(|weights| weights.get(first..first + len)) {
                for (cell, weight) in cells.iter().zip(weights) {
                    if let Some(cell) = known(*cell) {
                        let (sum, error) =
                            add((f64::from_bits(sums[cell]), f64::from_bits(errors[cell])), *weight);
                        (sums[cell], errors[cell]) = (sum.to_bits(), error.to_bits());
                    }
                }
            } else {
                for cell in cells.iter().filter_map(|cell| known(*cell)) {
                    sums[cell] += 1;
                }
            }
        }
        Ok(())
    }

    /// Adds the state of another part.
    ///
    /// # Errors
    /// [`KernelError::Length`].
    pub fn combine(&self, into: &mut [u8], from: &[u8]) -> Result<(), KernelError> {
        let words = self.state_bytes() / 8;
        let into = typed_mut::<u64>("the state of a histogram", into, words)?;
        let from = typed::<u64>("the state of a histogram", from, words)?;
        if !self.weighted {
            for (count, more) in into.iter_mut().zip(from) {
                *count += more;
            }
            return Ok(());
        }
        let ((sums, errors), (more_sums, more_errors)) =
            (into.split_at_mut(self.cells), from.split_at(self.cells));
        for ((sum, error), more) in sums.iter_mut().zip(errors).zip(more_sums.iter().zip(more_errors)) {
            let more = (f64::from_bits(*more.0), f64::from_bits(*more.1));
            let (total, rest) = merge((f64::from_bits(*sum), f64::from_bits(*error)), more);
            (*sum, *error) = (total.to_bits(), rest.to_bits());
        }
        Ok(())
    }

    /// Writes the counts as `int64`, or the sums of weights as `float64`, in C order of the dimensions.
    ///
    /// # Errors
    /// [`KernelError::Length`].
    pub fn finish(&self, state: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let state = typed::<u64>("the state of a histogram", state, self.state_bytes() / 8)?;
        check_len("the output of a histogram", out.len(), self.cells, 8)?;
        let (sums, errors) = state.split_at(self.cells);
        for (cell, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let error = errors.get(cell).map_or(0.0, |bits| f64::from_bits(*bits));
            let sum = f64::from_bits(sums[cell]);
            // The errors of an infinite sum are NaN.
            let total = if sum.is_finite() { sum + error } else { sum };
            *out = if self.weighted { total.to_ne_bytes() } else { sums[cell].to_ne_bytes() };
        }
        Ok(())
    }
}

/// Writes, as `int64`, the number of the bin of each value as `numpy.digitize`: how many `edges` are at or below it, or
/// with `right` below it; of descending edges, how many are above it, or at and above it.
///
/// # Errors
/// [`KernelError::Length`]; [`KernelError::Parameter`] for edges in no order; [`KernelError::Refused`] for complex values.
pub fn digitize(
    values: &[u8],
    dtype: DType,
    edges: &[f64],
    right: bool,
    out: &mut [u8],
) -> Result<(), KernelError> {
    let ascending = edges.is_sorted();
    if !ascending && !edges.iter().rev().is_sorted() {
        return Err(bins::unordered(edges));
    }
    if dtype.kind() == 'c' {
        return Err(KernelError::Refused { operation: "digitize", dtype });
    }
    let count = values.len() / dtype.size();
    check_len("the values", values.len(), count, dtype.size())?;
    check_len("the numbers of bins", out.len(), count, 8)?;
    let mut doubles = [0.0; TILE_ELEMENTS];
    let tiles = values.chunks(TILE_ELEMENTS * dtype.size()).zip(out.chunks_mut(TILE_ELEMENTS * 8));
    for (values, out) in tiles {
        let doubles = doubles.get_mut(..out.len() / 8).unwrap_or_default();
        // Lengths agree, so the cast does not fail.
        let _ = cast(bytemuck::cast_slice_mut(doubles), DType::F64, values, dtype);
        for (place, x) in out.as_chunks_mut::<8>().0.iter_mut().zip(doubles) {
            // NaN is behind all numbers.
            let below = |edge: &f64| if right { *edge < *x } else { *edge <= *x } || x.is_nan();
            let above = |edge: &f64| if right { *edge >= *x } else { *edge > *x } && !x.is_nan();
            let number = if ascending { edges.partition_point(below) } else { edges.partition_point(above) };
            *place = (number as i64).to_ne_bytes();
        }
    }
    Ok(())
}
