//! Reductions that take their tiles straight from a program: partial states, how they combine, and what they finish as.
//!
//! A chunk is reduced over any set of its axes into a state: plain columns of one cell per kept index. States of
//! several chunks combine in the order the caller fixes, and one finishes as a statistic. NumPy 2's meaning, but float
//! sums, products, means and moments accumulate in float64 (NumPy: in the type of the array), those of float64 moreover
//! with the rounding errors carried along, so that the order of the elements hardly matters.
//!
//! Invariants, for bit-identical results whatever the threads and the instruction set:
//! * a chunk is walked as [`Reduction::walk`] says, which depends on its shape alone;
//! * a stretch of a cell's consecutive elements goes through lanes, whose number depends on its length alone, the `i`-th
//!   taking every element whose place in the stretch is `i` modulo the lanes, which fold pairwise, halves onto halves;
//! * elements that stand beside one another for different cells are added to them one by one.
//!
//! Called by core's reduction tasks.

mod carried;
mod ends;
mod error;
mod exact;
mod extremes;
mod fold;
mod geometry;
mod moments;
mod products;
mod sums;

use crate::simd::InstructionSet;
use crate::{DType, cast};
use carried::Carried;
pub(crate) use carried::{add, merge};
pub use error::ReduceError;
use exact::{Exact, ExactComplex, NARROW, WIDE};
pub(crate) use extremes::{Ordered, choose};
use fold::tile;
pub use geometry::{Geometry, Walk};

/// What is reduced. With `skip_nan` of [`Reduction::new`] it is the `nan` variant of NumPy's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reducer {
    /// Sums; of integers as `int64` or `uint64`, wrapping.
    Sum,
    /// Products; of integers as `int64` or `uint64`, wrapping.
    Product,
    /// The smallest (of 0.0 and -0.0 either); NaN if any is NaN, unless skipped. Of no elements: the largest value of the type.
    Min,
    /// The largest; NaN if any is NaN, unless skipped. Of no elements: the smallest value of the type.
    Max,
    /// Whether any is non-zero.
    Any,
    /// Whether all are non-zero.
    All,
    /// How many are non-zero.
    CountNonzero,
    /// Means.
    Mean,
    /// Means and variances.
    Variance,
    /// Means, variances, skewness and kurtosis.
    Moments,
    /// Where the first smallest is: the C-order index in the reduced axes. NaN is smaller than all, unless skipped.
    ArgMin,
    /// Where the first largest is. NaN is larger than all, unless skipped.
    ArgMax,
    /// The first that is not NaN, of floats and complex numbers; NaN if there is none.
    First,
    /// The last that is not NaN.
    Last,
}

/// What a state finishes as.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Statistic {
    /// The sum, product, extreme, truth, count, mean or index that the reducer is named for.
    Value,
    /// How many elements counted, as `int64`: of means and moments.
    Count,
    /// The variance: squared distances from the mean over the count less `ddof`; NaN or infinite if that is not
    /// positive.
    Variance {
        /// Delta degrees of freedom.
        ddof: f64,
    },
    /// The square root of the variance.
    StandardDeviation {
        /// Delta degrees of freedom.
        ddof: f64,
    },
    /// The third standardised moment, biased as SciPy's default.
    Skewness,
    /// The fourth standardised moment less 3, biased as SciPy's default.
    Kurtosis,
}

/// One reduction of elements of one dtype.
///
/// ```
/// use blockwise_kernels::program::{Builder, Input, Scratch};
/// use blockwise_kernels::reduce::{Geometry, Reducer, Reduction, Statistic};
/// use blockwise_kernels::{Buffer, DType, Element};
/// let mean = Reduction::new(Reducer::Mean, DType::F32, false)?;
/// let mut builder = Builder::new();
/// let x = builder.input(DType::F32);
/// let tile = builder.cast(x, mean.tile_dtype())?;
/// let program = builder.finish(&[tile])?;
///
/// let x = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 9.0]; // 2 x 3, reduced over the rows
/// let geometry = Geometry::new(&[2, 3], &[0])?;
/// let mut state = Buffer::zeroed(mean.state_bytes(geometry.cells())?);
/// let mut pass = mean.begin(&geometry, &mut state)?;
/// let input = Input::contiguous(f32::as_bytes(&x), DType::F32);
/// program.for_each_tile(&[input], &[2, 3], mean.walk(&geometry).ranges(), &mut Scratch::default(), |first, tiles| {
///     pass.tile(first, tiles[0]);
/// })?;
/// pass.end();
/// let mut out = Buffer::zeroed(3 * 4);
/// mean.finish(&state, Statistic::Value, &mut out)?;
/// assert_eq!(f32::cast_slice(&out), Some(&[2.5, 3.5, 6.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    reducer: Reducer,
    dtype: DType,
    skip_nan: bool,
    exact: bool,
    set: InstructionSet,
}

impl Reduction {
    /// A reduction of elements of `dtype`, leaving out NaN if `skip_nan`.
    ///
    /// # Errors
    /// [`ReduceError::Refused`] for moments and positions of complex numbers, and for [`Reducer::First`] and
    /// [`Reducer::Last`] of what has no NaN to leave out or is not to.
    pub fn new(reducer: Reducer, dtype: DType, skip_nan: bool) -> Result<Self, ReduceError> {
        let real =
            matches!(reducer, Reducer::Variance | Reducer::Moments | Reducer::ArgMin | Reducer::ArgMax);
        let at_ends = matches!(reducer, Reducer::First | Reducer::Last);
        if (real && dtype.kind() == 'c') || (at_ends && !(skip_nan && matches!(dtype.kind(), 'f' | 'c'))) {
            return Err(ReduceError::Refused { reducer, dtype });
        }
        Ok(Self { reducer, dtype, skip_nan, exact: false, set: InstructionSet::best() })
    }

    /// The same reduction with exact sums: those of floats, and means, then do not depend on the order of the elements
    /// nor on the chunks, at the price of larger states (112 bytes a cell, 560 of float64, twice that of complex
    /// numbers) and of time. Sums are rounded once, correctly; means are the rounded sum over the count. Other reducers
    /// stay as they are: but for moments they do not depend on the order, and float products hardly.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.exact = matches!(self.reducer, Reducer::Sum | Reducer::Mean) && !self.is_whole();
        self
    }

    /// What is reduced.
    #[must_use]
    pub const fn reducer(&self) -> Reducer {
        self.reducer
    }

    /// Whether NaN is left out.
    #[must_use]
    pub const fn skips_nan(&self) -> bool {
        self.skip_nan
    }

    /// Whether sums are exact: see [`Reduction::exact`].
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.exact
    }

    /// The dtype that tiles must have: cast the program's output to it.
    #[must_use]
    pub const fn tile_dtype(&self) -> DType {
        let widest = match self.dtype.kind() {
            'b' | 'i' => DType::I64,
            'u' => DType::U64,
            'c' => DType::C128,
            _ => DType::F64,
        };
        match self.reducer {
            Reducer::ArgMin | Reducer::ArgMax => widest,
            _ if self.is_summed() && !self.exact && self.is_short_float() => DType::F32,
            Reducer::Sum | Reducer::Product => widest,
            Reducer::Mean if matches!(self.dtype.kind(), 'c') => DType::C128,
            Reducer::Mean | Reducer::Variance | Reducer::Moments => DType::F64,
            Reducer::Any | Reducer::All | Reducer::CountNonzero => DType::Bool,
            Reducer::Min | Reducer::Max | Reducer::First | Reducer::Last => match self.dtype {
                DType::F16 | DType::BF16 => DType::F32,
                dtype => dtype,
            },
        }
    }

    /// Whether numbers are added or multiplied in float64, or wider integers.
    const fn is_summed(&self) -> bool {
        matches!(
            self.reducer,
            Reducer::Sum | Reducer::Product | Reducer::Mean | Reducer::Variance | Reducer::Moments
        )
    }

    /// Whether the elements are floats of no more digits than float32's.
    const fn is_short_float(&self) -> bool {
        matches!(self.dtype, DType::F16 | DType::BF16 | DType::F32)
    }

    /// The dtype of sums and products in a state.
    const fn sum_dtype(&self) -> DType {
        match self.tile_dtype() {
            DType::F32 => DType::F64,
            dtype => dtype,
        }
    }

    /// The order in which tiles must come, so that a result has the same bits always.
    #[must_use]
    pub fn walk(&self, geometry: &Geometry) -> Walk {
        geometry.walk(matches!(self.reducer, Reducer::ArgMin | Reducer::ArgMax))
    }

    /// The order in which the tiles of the `count` elements from `first` on must come, counted from `first`, where a chunk is
    /// taken part by part: `None` if its parts, in ascending order, would not give the bits of the whole.
    #[must_use]
    pub fn walk_part(&self, geometry: &Geometry, first: usize, count: usize) -> Option<Walk> {
        let walk = self.walk(geometry);
        let is_whole = first == 0 && Some(count) == geometry.cells().checked_mul(geometry.reduced());
        // Parts of many cells hold whole rows of them; where all elements are of one cell, columns come before rows.
        if is_whole { Some(walk) } else { walk.part(first, count).filter(|_| geometry.cells() > 1) }
    }

    /// The dtype of a statistic.
    #[must_use]
    pub const fn output_dtype(&self, statistic: Statistic) -> DType {
        let float = match self.dtype.kind() {
            'f' | 'c' => self.dtype,
            _ => DType::F64,
        };
        match (statistic, self.reducer) {
            (Statistic::Count, _) => DType::I64,
            (Statistic::Value, Reducer::Sum | Reducer::Product) => match self.dtype.kind() {
                'f' | 'c' => self.dtype,
                _ => self.sum_dtype(),
            },
            (Statistic::Value, Reducer::Min | Reducer::Max | Reducer::First | Reducer::Last) => self.dtype,
            (Statistic::Value, Reducer::Any | Reducer::All) => DType::Bool,
            (Statistic::Value, Reducer::CountNonzero | Reducer::ArgMin | Reducer::ArgMax) => DType::I64,
            _ => float,
        }
    }

    /// Bytes of the state of `cells` kept indices: memory of one task, and what is kept or sent of a chunk.
    ///
    /// # Errors
    /// [`ReduceError::Overflow`].
    pub fn state_bytes(&self, cells: usize) -> Result<usize, ReduceError> {
        let bytes =
            cells.checked_mul(self.cell_bytes()).and_then(|bytes| bytes.checked_add(self.tail_bytes()));
        bytes.ok_or(ReduceError::Overflow)
    }

    /// Starts a chunk: `state`, aligned to 8 bytes, becomes that of no elements and then of those in the tiles.
    ///
    /// # Errors
    /// [`ReduceError::Length`] if `state` is not of the geometry's cells.
    pub fn begin<'a>(&self, geometry: &Geometry, state: &'a mut [u8]) -> Result<Pass<'a>, ReduceError> {
        self.check(state, geometry.cells())?;
        let paired = self.tile_dtype() == DType::C128
            && matches!(self.reducer, Reducer::Sum | Reducer::Mean)
            && !self.skip_nan;
        let mut pass = Pass {
            reduction: *self,
            geometry: if paired { geometry.paired() } else { geometry.clone() },
            state,
            paired,
        };
        pass.start();
        Ok(pass)
    }

    /// Adds the elements behind `from` to those behind `into`. Neither associative nor commutative to the last bit: the
    /// caller fixes the order.
    ///
    /// # Errors
    /// [`ReduceError::Length`] if the states are not of one number of cells.
    pub fn combine(&self, into: &mut [u8], from: &[u8]) -> Result<(), ReduceError> {
        let cells = self.cells(into);
        self.check(into, cells)?;
        self.check(from, cells)?;
        if cells == 0 {
            return Ok(());
        }
        let counts = self.count_words(cells);
        let short = self.is_short_float();
        match self.reducer {
            _ if self.exact && self.is_narrow() => exact::combine::<NARROW>(into, from),
            _ if self.exact => exact::combine::<WIDE>(into, from),
            Reducer::Sum if self.is_whole() => sums::combine_whole(into, from),
            Reducer::Sum | Reducer::Mean if short => sums::combine::<f64>(into, from, counts),
            Reducer::Sum | Reducer::Mean => sums::combine::<Carried>(into, from, counts),
            Reducer::Product => products::combine(into, from, self.tile_dtype()),
            Reducer::CountNonzero => sums::combine_whole(into, from),
            Reducer::Any | Reducer::All => extremes::combine_truth(into, from, self.reducer == Reducer::All),
            Reducer::Min | Reducer::Max => extremes::combine(into, from, self.choice(), self.tile_dtype()),
            Reducer::First => ends::combine(into, from, false, self.tile_dtype()),
            Reducer::Last => ends::combine(into, from, true, self.tile_dtype()),
            Reducer::ArgMin | Reducer::ArgMax => {
                extremes::combine_places(into, from, cells, self.choice(), self.tile_dtype());
            }
            Reducer::Variance if short => moments::combine::<f64, 2>(into, from, counts, cells),
            Reducer::Variance => moments::combine::<Carried, 2>(into, from, counts, cells),
            Reducer::Moments if short => moments::combine::<f64, 4>(into, from, counts, cells),
            Reducer::Moments => moments::combine::<Carried, 4>(into, from, counts, cells),
        }
        Ok(())
    }

    /// Writes a statistic of every cell, in C order, as [`Reduction::output_dtype`].
    ///
    /// # Errors
    /// [`ReduceError::Statistic`] if the state does not hold it, [`ReduceError::AllNan`], or [`ReduceError::Length`].
    pub fn finish(&self, state: &[u8], statistic: Statistic, out: &mut [u8]) -> Result<(), ReduceError> {
        let cells = self.cells(state);
        let dtype = self.output_dtype(statistic);
        self.check(state, cells)?;
        if out.len() != cells * dtype.size() {
            let cell_bytes = dtype.size();
            return Err(ReduceError::Length { what: "an output", given_bytes: out.len(), cells, cell_bytes });
        }
        if cells == 0 {
            return Ok(());
        }
        let counts = self.count_words(cells);
        // Whole numbers have no NaN: theirs is NumPy's `var`.
        let skip = self.skip_nan && self.dtype.kind() == 'f';
        let of_moments = || match (self.reducer, self.is_short_float()) {
            (Reducer::Variance, true) => moments::finish::<f64, 2>(state, counts, cells, statistic, skip),
            (Reducer::Variance, false) => {
                moments::finish::<Carried, 2>(state, counts, cells, statistic, skip)
            }
            (_, true) => moments::finish::<f64, 4>(state, counts, cells, statistic, skip),
            (_, false) => moments::finish::<Carried, 4>(state, counts, cells, statistic, skip),
        };
        let moments = matches!(self.reducer, Reducer::Variance | Reducer::Moments);
        let (values, wide): (Vec<u8>, DType) = match (statistic, self.reducer) {
            (Statistic::Count, Reducer::Mean) if self.exact => {
                let parts = if self.tile_dtype() == DType::C128 { 2 } else { 1 };
                let narrow = self.is_narrow();
                let counts = if narrow { exact::counts::<NARROW> } else { exact::counts::<WIDE> };
                (counts(state, parts), DType::F64)
            }
            (Statistic::Value, Reducer::Sum | Reducer::Mean) if self.exact => {
                let finish = if self.is_narrow() { exact::finish::<NARROW> } else { exact::finish::<WIDE> };
                (finish(state, self.reducer == Reducer::Mean), self.tile_dtype())
            }
            (Statistic::Count, Reducer::Mean) => (sums::counts(state, counts, cells), DType::F64),
            (Statistic::Count, _) if moments => (of_moments(), DType::F64),
            (Statistic::Value, Reducer::Sum | Reducer::Mean) if !self.is_whole() => {
                let complex = self.tile_dtype() == DType::C128;
                let mean = self.reducer == Reducer::Mean;
                let finish =
                    if self.is_short_float() { sums::finish::<f64> } else { sums::finish::<Carried> };
                (finish(state, counts, complex, mean), self.sum_dtype())
            }
            (Statistic::Value, Reducer::Product) if matches!(self.sum_dtype(), DType::F64) => {
                (products::finish(state, self.tile_dtype()), DType::F64)
            }
            (Statistic::Value, Reducer::ArgMin | Reducer::ArgMax) => {
                (extremes::places(state, cells)?, DType::I64)
            }
            (Statistic::Value, Reducer::CountNonzero) => (state.to_vec(), DType::I64),
            (Statistic::Value, _) if !moments => (state.to_vec(), self.tile_dtype()),
            (Statistic::Skewness | Statistic::Kurtosis, Reducer::Moments) => (of_moments(), DType::F64),
            (Statistic::Skewness | Statistic::Kurtosis, _) => return Err(self.absent(statistic)),
            _ if moments => (of_moments(), DType::F64),
            _ => return Err(self.absent(statistic)),
        };
        // Lengths were checked; a cast has no other way to fail.
        cast(out, dtype, &values, wide).map_err(|_| self.absent(statistic))
    }

    /// The same reduction with `set` and not the widest instruction set: for measurements and tests.
    #[must_use]
    pub const fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.set = set;
        self
    }

    fn absent(&self, statistic: Statistic) -> ReduceError {
        ReduceError::Statistic { reducer: self.reducer, statistic: format!("{statistic:?}") }
    }

    /// Whether an exact sum takes no double that float32 does not span.
    const fn is_narrow(&self) -> bool {
        !matches!(self.dtype, DType::F64 | DType::C128)
    }

    /// Whether sums are of integers.
    const fn is_whole(&self) -> bool {
        matches!(self.tile_dtype(), DType::I64 | DType::U64)
    }

    const fn choice(&self) -> extremes::Choice {
        let smallest = matches!(self.reducer, Reducer::Min | Reducer::ArgMin);
        extremes::Choice { smallest, skip_nan: self.skip_nan }
    }

    /// Bytes of one cell: columns of 8 bytes, or one of the tile's dtype.
    const fn cell_bytes(&self) -> usize {
        let complex = matches!(self.tile_dtype(), DType::C128);
        match self.reducer {
            _ if self.exact => {
                let words = if self.is_narrow() { NARROW } else { WIDE };
                if complex { 16 * words } else { 8 * words }
            }
            Reducer::Sum if self.is_whole() => 8,
            Reducer::Sum | Reducer::Mean => {
                let sums = if self.is_short_float() {
                    8
                } else if complex {
                    32
                } else {
                    16
                };
                let counts = if matches!(self.reducer, Reducer::Mean) && self.skip_nan { 8 } else { 0 };
                sums + counts
            }
            Reducer::Product => match self.tile_dtype() {
                DType::F64 => 16,
                _ => self.sum_dtype().size(),
            },
            Reducer::Min | Reducer::Max | Reducer::First | Reducer::Last => self.tile_dtype().size(),
            Reducer::Any | Reducer::All => 1,
            Reducer::CountNonzero => 8,
            Reducer::ArgMin | Reducer::ArgMax => 16,
            Reducer::Variance | Reducer::Moments => {
                let order = if matches!(self.reducer, Reducer::Variance) { 2 } else { 4 };
                8 * (moments::columns(order, self.is_short_float()) + self.skip_nan as usize)
            }
        }
    }

    /// Whether a state has counts.
    const fn is_counted(&self) -> bool {
        !self.exact && matches!(self.reducer, Reducer::Mean | Reducer::Variance | Reducer::Moments)
    }

    /// Bytes at the end of a state: the count that all cells share.
    const fn tail_bytes(&self) -> usize {
        if self.is_counted() && !self.skip_nan { 8 } else { 0 }
    }

    /// Words of counts at the end of a state.
    const fn count_words(&self, cells: usize) -> usize {
        match self.is_counted() {
            true if self.skip_nan => cells,
            true => 1,
            false => 0,
        }
    }

    /// Cells of a state.
    const fn cells(&self, state: &[u8]) -> usize {
        state.len().saturating_sub(self.tail_bytes()) / self.cell_bytes()
    }

    fn check(&self, bytes: &[u8], cells: usize) -> Result<(), ReduceError> {
        let aligned = bytes.as_ptr().addr().is_multiple_of(8) || cells == 0;
        if Ok(bytes.len()) != self.state_bytes(cells) || !aligned {
            let (given_bytes, cell_bytes) = (bytes.len(), self.cell_bytes());
            return Err(ReduceError::Length { what: "a state", given_bytes, cells, cell_bytes });
        }
        Ok(())
    }
}

/// The reduction of one chunk under way.
#[derive(Debug)]
pub struct Pass<'a> {
    reduction: Reduction,
    geometry: Geometry,
    state: &'a mut [u8],
    /// Whether complex numbers are walked as two cells each, of their parts.
    paired: bool,
}

impl Pass<'_> {
    /// The state of no elements; where the first of a cell takes its place, and there is one, nothing.
    fn start(&mut self) {
        let reduction = self.reduction;
        let adds_only = reduction.exact
            || reduction.is_whole()
            || (reduction.tile_dtype() == DType::C128 && reduction.skip_nan);
        match reduction.reducer {
            Reducer::Sum | Reducer::Mean | Reducer::Variance | Reducer::Moments
                if !adds_only && self.geometry.reduced() > 0 => {}
            Reducer::Product => products::start(self.state, self.geometry.cells(), reduction.tile_dtype()),
            Reducer::Min | Reducer::Max => {
                extremes::start(self.state, reduction.choice(), reduction.tile_dtype());
            }
            Reducer::First | Reducer::Last => ends::start(self.state, reduction.tile_dtype()),
            Reducer::All => self.state.fill(1),
            Reducer::ArgMin | Reducer::ArgMax => {
                let places = self.state.len() / 2;
                self.state.fill(0);
                // An index of -1: nothing yet.
                self.state.get_mut(..places).unwrap_or_default().fill(0xff);
            }
            _ => self.state.fill(0),
        }
    }

    /// Takes one tile: elements from the flat C-order index `first` of the chunk on, of [`Reduction::tile_dtype`].
    /// Tiles must come in the order of [`Reduction::walk`].
    pub fn tile(&mut self, first: usize, items: &[u8]) {
        let Reduction { reducer, skip_nan, set, .. } = self.reduction;
        let first = if self.paired { 2 * first } else { first };
        let (geometry, state) = (&self.geometry, &mut *self.state);
        let cells = geometry.cells();
        if cells == 0 || items.is_empty() {
            return;
        }
        let dtype = self.reduction.tile_dtype();
        match reducer {
            _ if self.reduction.exact => {
                let complex = dtype == DType::C128 && skip_nan;
                match (self.reduction.is_narrow(), complex, skip_nan) {
                    (true, true, _) => tile(set, ExactComplex::<NARROW>::new(state), geometry, first, items),
                    (false, true, _) => tile(set, ExactComplex::<WIDE>::new(state), geometry, first, items),
                    (true, _, true) => tile(set, Exact::<NARROW, true>::new(state), geometry, first, items),
                    (false, _, true) => tile(set, Exact::<WIDE, true>::new(state), geometry, first, items),
                    (true, ..) => tile(set, Exact::<NARROW, false>::new(state), geometry, first, items),
                    (false, ..) => tile(set, Exact::<WIDE, false>::new(state), geometry, first, items),
                }
            }
            Reducer::Sum if self.reduction.is_whole() => {
                tile(set, sums::Whole::new(state), geometry, first, items);
            }
            Reducer::Sum | Reducer::Mean if dtype == DType::C128 && skip_nan => {
                tile(set, sums::ComplexSkipping::new(state, cells), geometry, first, items);
            }
            Reducer::Sum | Reducer::Mean => match (dtype, skip_nan) {
                (DType::F32, true) => {
                    tile(set, sums::Floats::<f32, true>::new(state, cells), geometry, first, items);
                }
                (DType::F32, false) => {
                    tile(set, sums::Floats::<f32, false>::new(state, cells), geometry, first, items);
                }
                (_, true) => tile(set, sums::Floats::<f64, true>::new(state, cells), geometry, first, items),
                (_, false) => {
                    tile(set, sums::Floats::<f64, false>::new(state, cells), geometry, first, items);
                }
            },
            Reducer::Product => products::take(set, state, geometry, first, items, dtype, skip_nan),
            Reducer::CountNonzero => tile(set, sums::Nonzero::new(state), geometry, first, items),
            Reducer::Any => tile(set, extremes::Truth::<false>(state), geometry, first, items),
            Reducer::All => tile(set, extremes::Truth::<true>(state), geometry, first, items),
            Reducer::Min | Reducer::Max => {
                extremes::tile_extremes(set, state, geometry, first, items, self.reduction.choice(), dtype);
            }
            Reducer::ArgMin | Reducer::ArgMax => {
                extremes::tile_places(set, state, geometry, first, items, self.reduction.choice(), dtype);
            }
            Reducer::First => ends::take(set, state, geometry, first, items, false, dtype),
            Reducer::Last => ends::take(set, state, geometry, first, items, true, dtype),
            Reducer::Variance => moments::take::<2>(set, state, geometry, first, items, dtype, skip_nan),
            Reducer::Moments => moments::take::<4>(set, state, geometry, first, items, dtype, skip_nan),
        }
    }

    /// Ends the chunk: the state is complete.
    pub fn end(self) {
        if self.reduction.tail_bytes() > 0 {
            // Every cell saw the same number of elements.
            let state: &mut [f64] = bytemuck::cast_slice_mut(self.state);
            if let Some(count) = state.last_mut() {
                *count = self.geometry.reduced() as f64;
            }
        }
    }
}
