//! Medians, quantiles and percentiles of whole lines, by selection.
//!
//! Invariant: a line with NaN has NaN as every quantile unless NaN is skipped, and so has one of nothing; results are
//! interpolated in float64. Called by core's tasks whose chunks hold whole lines.

use super::key::{Key, RankedReal, Word, for_ranked_real};
use super::method::{Mix, QuantileMethod};
use super::select::Selection;
use crate::error::check_len;
use crate::lines::panel::{panel_buffer, panel_bytes, panels};
use crate::simd::InstructionSet;
use crate::{DType, KernelError, Lines, cast};
use pulp::NullaryFnOnce;

/// Quantiles of lines of one dtype.
///
/// ```
/// use blockwise_kernels::order::{Quantile, QuantileMethod};
/// use blockwise_kernels::{DType, Element};
/// let x = [1.0_f32, 9.0, 2.0, 4.0];
/// let mut out = [0; 8];
/// let quartiles = Quantile::new(DType::F32, &[0.25, 0.75], QuantileMethod::Linear, false)?;
/// quartiles.run(f32::as_bytes(&x), &[4], 0, &mut out)?;
/// assert_eq!(out, *f32::as_bytes(&[1.75, 5.25]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Quantile {
    pub(super) dtype: DType,
    /// `None`: the mean of the two in the middle.
    method: Option<QuantileMethod>,
    pub(super) q: Vec<f64>,
    pub(super) skip_nan: bool,
    /// Whether mixtures of two elements are `float64` even of shorter floats.
    is_double: bool,
}

impl Quantile {
    /// The quantiles `q`, each from 0 to 1, of elements of `dtype`; of what is not NaN if `skip_nan`.
    ///
    /// # Errors
    /// [`KernelError::Refused`] for complex numbers, [`KernelError::Parameter`] for a `q` outside of 0 to 1.
    pub fn new(dtype: DType, q: &[f64], method: QuantileMethod, skip_nan: bool) -> Result<Self, KernelError> {
        if dtype.kind() == 'c' {
            return Err(KernelError::Refused { operation: "quantile", dtype });
        }
        if let Some(&value) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(KernelError::Parameter { what: "a quantile", value, wanted: "from 0 to 1" });
        }
        Ok(Self { dtype, method: Some(method), q: q.to_vec(), skip_nan, is_double: false })
    }

    /// The median: of an even number of elements the mean of the two in the middle.
    ///
    /// # Errors
    /// [`KernelError::Refused`] for complex numbers.
    pub fn median(dtype: DType, skip_nan: bool) -> Result<Self, KernelError> {
        let linear = Self::new(dtype, &[0.5], QuantileMethod::Linear, skip_nan)?;
        Ok(Self { method: None, ..linear })
    }

    /// The same quantiles as `float64`, unless the method picks elements: NumPy's of a list of levels.
    #[must_use]
    pub fn in_double(self) -> Self {
        Self { is_double: true, ..self }
    }

    /// The dtype of the results: that of the elements where they are floats or the method picks elements, else float64.
    #[must_use]
    pub fn output_dtype(&self) -> DType {
        if self.is_discrete() || self.dtype.kind() == 'f' && !self.is_double {
            self.dtype
        } else {
            DType::F64
        }
    }

    /// Whether NumPy takes NaN for the result of no elements, as it does for medians and where NaN is left out; it refuses
    /// other quantiles of nothing.
    #[must_use]
    pub fn is_nan_of_nothing(&self) -> bool {
        (self.is_median() || self.skip_nan) && self.output_dtype().kind() == 'f'
    }

    /// Bytes that [`Quantile::run`] uses beside input and output.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Overflow`].
    pub fn scratch_bytes(&self, shape: &[usize], axis: usize) -> Result<usize, KernelError> {
        let (lines, size) = (Lines::new(shape, axis)?, self.dtype.size());
        let results = panel_bytes(lines, size) / (lines.len * size).max(1) * self.q.len() * 8;
        Ok(panel_bytes(lines, size)
            .saturating_add(lines.len.saturating_mul(2 * size))
            .saturating_add(results + (8 << 12)))
    }

    /// Writes every quantile of every line along `axis` of a C-ordered chunk of `shape`: in the order of `q`, for each the
    /// lines in C order of the other axes.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Length`], [`KernelError::Overflow`], or [`KernelError::Parameter`] for
    /// elements picked from lines of nothing.
    pub fn run(&self, input: &[u8], shape: &[usize], axis: usize, out: &mut [u8]) -> Result<(), KernelError> {
        let (lines, dtype) = (Lines::new(shape, axis)?, self.dtype);
        check_len("the input of a quantile", input.len(), lines.elements(), dtype.size())?;
        let results = lines
            .count()
            .checked_mul(self.q.len())
            .ok_or_else(|| KernelError::Overflow { shape: shape.to_vec() })?;
        check_len("the output of a quantile", out.len(), results, self.output_dtype().size())?;
        let floats = self.output_dtype().kind() == 'f';
        if lines.len == 0 && results > 0 && !floats {
            return Err(KernelError::Parameter {
                what: "the length of a line",
                value: 0.0,
                wanted: "at least 1",
            });
        }
        let refused = Err(KernelError::Refused { operation: "quantile", dtype });
        fn of<T: RankedReal>(
            quantile: &Quantile,
            input: &[u8],
            lines: Lines,
            out: &mut [u8],
        ) -> Result<(), KernelError> {
            quantile.lines::<T>(input, lines, out)
        }
        for_ranked_real!(dtype, of(self, input, lines, out), refused)
    }

    /// The ranks of each quantile of `count` elements, and how they are mixed; none of nothing.
    pub(super) fn mixes(&self, count: usize) -> Vec<Mix> {
        let mix = |q: &f64| match self.method {
            Some(method) => method.mix(count, *q),
            None => Mix {
                low: (count - 1) / 2,
                high: count / 2,
                share: if count.is_multiple_of(2) { 0.5 } else { 0.0 },
            },
        };
        if count == 0 { Vec::new() } else { self.q.iter().map(mix).collect() }
    }

    /// Whether it is the mean of the two in the middle.
    pub(super) const fn is_median(&self) -> bool {
        self.method.is_none()
    }

    /// Whether quantiles are elements.
    pub(super) fn is_discrete(&self) -> bool {
        self.method.is_some_and(QuantileMethod::is_discrete)
    }

    fn lines<T: RankedReal>(&self, input: &[u8], lines: Lines, out: &mut [u8]) -> Result<(), KernelError> {
        let size = size_of::<T>();
        let mut buffer = panel_buffer(lines, size)?;
        let (mut keys, mut selection) = (Vec::<T::Key>::new(), Selection::default());
        let mut ranks = Ranks::default();
        // Elements that were picked, or mixtures of them, for each quantile a row of the panel's lines.
        let discrete = self.is_discrete();
        let (mut picked, mut mixed) = (Vec::<T>::new(), Vec::<f64>::new());
        let (result, set) = (self.output_dtype(), InstructionSet::best());
        for panel in panels(lines, size) {
            panel.gather(input, lines, size, &mut buffer);
            let items: &[T] = bytemuck::cast_slice(&buffer);
            mixed.clear();
            mixed.resize(self.q.len() * panel.count, f64::NAN);
            picked.clear();
            picked.resize(if discrete { mixed.len() } else { 0 }, T::value(Key::LAST));
            for number in 0..panel.count {
                let line = items.get(number * lines.len..(number + 1) * lines.len).unwrap_or_default();
                let mut ends = set.run(Keys { line, keys: &mut keys });
                if T::HAS_MISSING && ends.1 == Key::LAST {
                    if !self.skip_nan {
                        continue;
                    }
                    keys.retain(|key| *key != Key::LAST);
                    ends = bounds(&keys);
                }
                if keys.is_empty() {
                    continue;
                }
                ranks.of(self, keys.len());
                let Ranks { wanted, found, slots, .. } = &mut ranks;
                selection.select(&mut keys, ends, wanted, |number, key| {
                    if let Some(place) = found.get_mut(number) {
                        *place = key.wide();
                    }
                });
                let element = |slot: usize| T::value(Word::narrow(found[slot]));
                for (row, &(low, high, share)) in slots.iter().enumerate() {
                    let place = row * panel.count + number;
                    if discrete {
                        picked[place] = element(low);
                    } else {
                        let (a, b) = (element(low).double(), element(high).double());
                        mixed[place] =
                            if self.method.is_none() { middle(a, b, share) } else { blend(a, b, share) };
                    }
                }
            }
            for row in 0..self.q.len() {
                let (from, to) = (row * panel.count, (row + 1) * panel.count);
                let first = (row * lines.count() + panel.first) * result.size();
                let target = out.get_mut(first..first + panel.count * result.size()).unwrap_or_default();
                // Lengths agree, so that casts do not fail.
                let _ = if discrete {
                    cast(
                        target,
                        result,
                        bytemuck::cast_slice(picked.get(from..to).unwrap_or_default()),
                        self.dtype,
                    )
                } else {
                    cast(
                        target,
                        result,
                        bytemuck::cast_slice(mixed.get(from..to).unwrap_or_default()),
                        DType::F64,
                    )
                };
            }
        }
        Ok(())
    }
}

/// The ranks that some quantiles need of lines of one length.
#[derive(Debug, Default)]
struct Ranks {
    count: usize,
    wanted: Vec<usize>,
    found: Vec<u64>,
    /// For each quantile the numbers of two wanted ranks, and the share of the second.
    slots: Vec<(usize, usize, f64)>,
}

impl Ranks {
    fn of(&mut self, quantile: &Quantile, count: usize) {
        if self.count == count {
            return;
        }
        self.count = count;
        let mixes = quantile.mixes(count);
        self.wanted = mixes.iter().flat_map(|mix| [mix.low, mix.high]).collect();
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.found = vec![0; self.wanted.len()];
        let slot = |rank: usize| self.wanted.binary_search(&rank).unwrap_or(0);
        self.slots = mixes.iter().map(|mix| (slot(mix.low), slot(mix.high), mix.share)).collect();
    }
}

pub(super) fn middle(a: f64, b: f64, share: f64) -> f64 {
    if share == 0.0 { a } else { (a + b) / 2.0 }
}

/// The point between `a` and `b`, as NumPy rounds it; of two infinite ones the same infinity.
pub(super) fn blend(a: f64, b: f64, share: f64) -> f64 {
    let distance = b - a;
    if a == b || share == 0.0 {
        a
    } else if share >= 0.5 {
        b - distance * (1.0 - share)
    } else {
        a + distance * share
    }
}

fn bounds<K: Ord + Copy + Key>(keys: &[K]) -> (K, K) {
    let first = keys.first().copied().unwrap_or(K::LAST);
    keys.iter().fold((first, first), |(low, high), key| (low.min(*key), high.max(*key)))
}

/// The keys of a line, with the least and the greatest.
struct Keys<'a, T: RankedReal> {
    line: &'a [T],
    keys: &'a mut Vec<T::Key>,
}

impl<T: RankedReal> NullaryFnOnce for Keys<'_, T> {
    type Output = (T::Key, T::Key);
    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { line, keys } = self;
        keys.resize(line.len(), Key::LAST);
        let first = line.first().map_or(Key::LAST, |item| item.key());
        let (mut low, mut high) = (first, first);
        for (key, item) in keys.iter_mut().zip(line) {
            *key = item.key();
            low = low.min(*key);
            high = high.max(*key);
        }
        (low, high)
    }
}
