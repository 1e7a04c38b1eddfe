//! Cumulative sums, products, extremes and last elements along one axis of a chunk, with a carry per line from chunk to chunk.
//!
//! NumPy 2's meaning: integers and bools accumulate as `int64` or `uint64` and wrap; extremes are those of
//! `minimum.accumulate`, NaN from the first NaN on. Floats accumulate in float64 and are stored in their own type; sums
//! carry the errors of their additions, as [`crate::reduce`] does. With `skip_nan` they are `nancumsum` and its kin.
//!
//! Invariants: the carry behind a chunk is the state of all its lines, so that chunks scanned one after another give
//! the bits of one scan of the whole; each line is scanned in order, whatever the instruction set. To scan chunks at
//! once take their [`Scan::totals`] first, [`Scan::combine`] them in order, and give each chunk what came before it.
//! Called by core's tasks for cumulative functions.

mod step;

use crate::error::check_len;
use crate::program::TILE_ELEMENTS;
use crate::simd::InstructionSet;
use crate::{DType, KernelError, Lines, cast};
use num_complex::Complex;
use step::{Extremes, Latest, Products, Sums, Whole, combine, start, step};

/// What is accumulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanOp {
    /// Sums.
    Sum,
    /// Products.
    Product,
    /// Smallest values.
    Min,
    /// Largest values.
    Max,
    /// The last elements that are not NaN.
    Last,
}

/// A cumulative function of elements of one dtype.
///
/// ```
/// use blockwise_kernels::scan::{Scan, ScanOp};
/// use blockwise_kernels::{Buffer, DType, Element};
/// let scan = Scan::new(ScanOp::Sum, DType::I16, false);
/// assert_eq!(scan.output_dtype(), DType::I64);
/// let x = [1_i16, 2, 3, 4, 5, 6]; // 3 x 2, along the first axis
/// let mut carry = Buffer::zeroed(scan.carry_bytes(2)?);
/// scan.start(&mut carry)?;
/// let mut out = Buffer::zeroed(6 * 8);
/// scan.run(i16::as_bytes(&x), &[3, 2], 0, &mut carry, &mut out)?;
/// assert_eq!(i64::cast_slice(&out), Some(&[1, 2, 4, 6, 9, 12][..]));
/// // The carry goes on to the next chunk of the axis.
/// scan.run(i16::as_bytes(&x[..2]), &[1, 2], 0, &mut carry, &mut out[..16])?;
/// assert_eq!(i64::cast_slice(&out[..16]), Some(&[10, 14][..]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    op: ScanOp,
    dtype: DType,
    skip_nan: bool,
    set: InstructionSet,
}

/// Runs `$run::<S>` for the step of a scan.
macro_rules! for_step {
    ($scan:expr, $run:ident($($argument:expr),*)) => {{
        let scan = $scan;
        match (scan.op, scan.wide()) {
            (ScanOp::Sum, DType::F64 | DType::C128) => $run::<Sums>($($argument),*),
            (ScanOp::Product, DType::F64) => $run::<Products<f64>>($($argument),*),
            (ScanOp::Product, DType::C128) => $run::<Products<Complex<f64>>>($($argument),*),
            (ScanOp::Sum, _) => $run::<Whole<false>>($($argument),*),
            (ScanOp::Product, _) => $run::<Whole<true>>($($argument),*),
            (ScanOp::Min | ScanOp::Max | ScanOp::Last, dtype) => match dtype {
                DType::I8 => for_extreme!(scan, $run::<i8>($($argument),*)),
                DType::I16 => for_extreme!(scan, $run::<i16>($($argument),*)),
                DType::I32 => for_extreme!(scan, $run::<i32>($($argument),*)),
                DType::I64 => for_extreme!(scan, $run::<i64>($($argument),*)),
                DType::Bool | DType::U8 => for_extreme!(scan, $run::<u8>($($argument),*)),
                DType::U16 | DType::F16 | DType::BF16 => for_extreme!(scan, $run::<u16>($($argument),*)),
                DType::U32 => for_extreme!(scan, $run::<u32>($($argument),*)),
                DType::U64 => for_extreme!(scan, $run::<u64>($($argument),*)),
                DType::F32 => for_extreme!(scan, $run::<f32>($($argument),*)),
                DType::F64 => for_extreme!(scan, $run::<f64>($($argument),*)),
                DType::C64 => for_extreme!(scan, $run::<Complex<f32>>($($argument),*)),
                DType::C128 => for_extreme!(scan, $run::<Complex<f64>>($($argument),*)),
            },
        }
    }};
}

macro_rules! for_extreme {
    ($scan:expr, $run:ident::<$t:ty>($($argument:expr),*)) => {
        match ($scan.op, $scan.skip_nan) {
            (ScanOp::Last, _) => $run::<Latest<$t>>($($argument),*),
            (ScanOp::Min, false) => $run::<Extremes<$t, true, false>>($($argument),*),
            (ScanOp::Min, true) => $run::<Extremes<$t, true, true>>($($argument),*),
            (_, false) => $run::<Extremes<$t, false, false>>($($argument),*),
            (_, true) => $run::<Extremes<$t, false, true>>($($argument),*),
        }
    };
}

/// Bytes of a tile of the widest elements.
const TILE_WORDS: usize = TILE_ELEMENTS * 2;

impl Scan {
    /// A cumulative function; with `skip_nan`, NaN counts as nothing.
    #[must_use]
    pub fn new(op: ScanOp, dtype: DType, skip_nan: bool) -> Self {
        Self { op, dtype, skip_nan, set: InstructionSet::best() }
    }

    /// The dtype of the results.
    #[must_use]
    pub const fn output_dtype(&self) -> DType {
        match (self.op, self.dtype.kind()) {
            (ScanOp::Sum | ScanOp::Product, 'b' | 'i' | 'u') => self.wide(),
            _ => self.dtype,
        }
    }

    /// Bytes of the carry of `lines` lines.
    ///
    /// # Errors
    /// [`KernelError::Overflow`].
    pub fn carry_bytes(&self, lines: usize) -> Result<usize, KernelError> {
        lines.checked_mul(self.cell_bytes()).ok_or_else(|| KernelError::Overflow { shape: vec![lines] })
    }

    /// Makes `carry`, aligned to 8 bytes, that of lines of which nothing was seen.
    ///
    /// # Errors
    /// [`KernelError::Length`] if it is not of whole lines.
    pub fn start(&self, carry: &mut [u8]) -> Result<(), KernelError> {
        self.check_carry(carry, carry.len() / self.cell_bytes())?;
        for_step!(self, start(carry));
        Ok(())
    }

    /// Scans a C-ordered chunk of `shape` along `axis`: `out` takes the results in the same order, `carry` (one cell per
    /// line, lines in C order of the other axes) goes from the state before the chunk to the state behind it.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Overflow`], [`KernelError::Length`]. Nothing was written.
    pub fn run(
        &self,
        input: &[u8],
        shape: &[usize],
        axis: usize,
        carry: &mut [u8],
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        let lines = Lines::new(shape, axis)?;
        check_len("the output of a scan", out.len(), lines.elements(), self.output_dtype().size())?;
        self.pass(input, lines, carry, Some(out))
    }

    /// As [`Scan::run`], without results: only the carry behind the chunk.
    ///
    /// # Errors
    /// As [`Scan::run`].
    pub fn totals(
        &self,
        input: &[u8],
        shape: &[usize],
        axis: usize,
        carry: &mut [u8],
    ) -> Result<(), KernelError> {
        self.pass(input, Lines::new(shape, axis)?, carry, None)
    }

    /// Adds the totals of the chunk that comes next to those of all before it.
    ///
    /// # Errors
    /// [`KernelError::Length`] if they are not of the same lines.
    pub fn combine(&self, into: &mut [u8], next: &[u8]) -> Result<(), KernelError> {
        let lines = into.len() / self.cell_bytes();
        self.check_carry(into, lines)?;
        self.check_carry(next, lines)?;
        for_step!(self, combine(into, next));
        Ok(())
    }

    /// The same scan with `set` and not the widest instruction set: for measurements and tests.
    #[must_use]
    pub const fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.set = set;
        self
    }

    /// The dtype that is accumulated in.
    const fn wide(&self) -> DType {
        match (self.op, self.dtype.kind()) {
            (ScanOp::Sum | ScanOp::Product, 'b' | 'i') => DType::I64,
            (ScanOp::Sum | ScanOp::Product, 'u') => DType::U64,
            (ScanOp::Sum | ScanOp::Product, 'c') => DType::C128,
            (ScanOp::Sum | ScanOp::Product, _) => DType::F64,
            _ => match self.dtype {
                DType::F16 | DType::BF16 => DType::F32,
                dtype => dtype,
            },
        }
    }

    /// Whether complex numbers are scanned as pairs of lines, of their parts.
    const fn is_paired(&self) -> bool {
        matches!((self.op, self.wide()), (ScanOp::Sum, DType::C128))
    }

    /// Bytes of the carry of one line: a sum has the errors beside it.
    const fn cell_bytes(&self) -> usize {
        match (self.op, self.wide()) {
            (ScanOp::Sum, DType::F64) => 16,
            (ScanOp::Sum, DType::C128) => 32,
            (_, wide) => wide.size(),
        }
    }

    fn check_carry(&self, carry: &[u8], lines: usize) -> Result<(), KernelError> {
        let aligned = carry.as_ptr().addr().is_multiple_of(8) || carry.is_empty();
        let given_bytes = if aligned { carry.len() } else { usize::MAX };
        check_len("the carry of a scan", given_bytes, lines, self.cell_bytes())
    }

    fn pass(
        &self,
        input: &[u8],
        lines: Lines,
        carry: &mut [u8],
        mut out: Option<&mut [u8]>,
    ) -> Result<(), KernelError> {
        check_len("the input of a scan", input.len(), lines.elements(), self.dtype.size())?;
        self.check_carry(carry, lines.count())?;
        let (wide, result) = (self.wide(), self.output_dtype());
        let (from, to) = (self.dtype.size(), result.size());
        let parts = if self.is_paired() { 2 } else { 1 };
        let mut words = [0_u64; TILE_WORDS];
        let tile: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        // A tile is a piece of one row, or some whole rows where they are short.
        let width = lines.inner.min(TILE_ELEMENTS);
        let rows = if width == lines.inner { (TILE_ELEMENTS / width.max(1)).max(1) } else { 1 };
        for outer in 0..lines.outer {
            for column in (0..lines.inner).step_by(width.max(1)) {
                let width = width.min(lines.inner - column);
                let line = outer * lines.inner + column;
                for row in (0..lines.len).step_by(rows) {
                    let count = width * rows.min(lines.len - row);
                    let first = (outer * lines.len + row) * lines.inner + column;
                    let items = tile.get_mut(..count * wide.size()).unwrap_or_default();
                    let source = input.get(first * from..(first + count) * from).unwrap_or_default();
                    // Lengths agree, so casts do not fail.
                    let _ = cast(items, wide, source, self.dtype);
                    self.fill_missing(items, wide);
                    let (line, width) = (line * parts, width * parts);
                    for_step!(self, step(self.set, carry, items, line, width));
                    if let Some(out) = &mut out {
                        let target = out.get_mut(first * to..(first + count) * to).unwrap_or_default();
                        let _ = cast(target, result, items, wide);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sums and products skip NaN as 0 and 1.
    fn fill_missing(&self, items: &mut [u8], wide: DType) {
        let neutral = match self.op {
            ScanOp::Sum => 0.0,
            ScanOp::Product => 1.0,
            ScanOp::Min | ScanOp::Max | ScanOp::Last => return,
        };
        match wide {
            _ if !self.skip_nan => {}
            DType::F64 => {
                for item in bytemuck::cast_slice_mut::<_, f64>(items) {
                    *item = if item.is_nan() { neutral } else { *item };
                }
            }
            DType::C128 => {
                for item in bytemuck::cast_slice_mut::<_, Complex<f64>>(items) {
                    *item = if item.is_nan() { neutral.into() } else { *item };
                }
            }
            _ => {}
        }
    }
}
