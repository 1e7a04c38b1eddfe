//! Exact quantiles of more elements than memory holds, in a few passes that narrow the ranks down.
//!
//! Each pass counts, for every rank that is wanted, the elements whose key begins as that of the rank does, by the next 16 bits
//! of the key; so a pass finds 16 more bits of every rank: one pass for 16-bit elements, two for 32-bit and four for
//! 64-bit ones. Invariants: states of parts combine by addition; the results are those of [`Quantile::run`] of all
//! elements as one line. Source: distribution counting, D. Knuth, "The Art of Computer Programming" vol. 3. Called by
//! core's tasks for quantiles over whole arrays.

use super::key::{Key, RankedReal, Word, for_ranked_real};
use super::quantile::{Quantile, blend, middle};
use crate::error::{typed, typed_mut};
use crate::{DType, KernelError, cast};

/// Bits of a key that a pass finds.
const DIGIT_BITS: u32 = 16;

/// The passes that find the quantiles of one long line.
///
/// A state begins as zeros. What is known between passes, the targets, starts as zeros too.
///
/// ```
/// use blockwise_kernels::order::{Narrowing, Quantile};
/// use blockwise_kernels::{Buffer, DType, Element};
/// let narrowing = Narrowing::new(Quantile::median(DType::F64, false)?);
/// let mut targets = Buffer::zeroed(narrowing.target_bytes());
/// for pass in 0..narrowing.passes() {
///     let mut state = Buffer::zeroed(narrowing.state_bytes(pass));
///     narrowing.add(pass, &targets, f64::as_bytes(&[5.0, 1.0]), &mut state)?;
///     narrowing.add(pass, &targets, f64::as_bytes(&[4.0, 9.0]), &mut state)?;
///     narrowing.narrow(pass, &state, &mut targets)?;
/// }
/// let mut out = [0; 8];
/// narrowing.finish(&targets, &mut out)?;
/// assert_eq!(f64::from_ne_bytes(out), 4.5);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Narrowing {
    quantile: Quantile,
}

impl Narrowing {
    /// The passes of `quantile`.
    #[must_use]
    pub const fn new(quantile: Quantile) -> Self {
        Self { quantile }
    }

    /// How often the elements are read.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.key_bits().div_ceil(DIGIT_BITS) as usize
    }

    /// Bytes of the targets: how many elements there are, then for each rank the key as far as it is known, and the rank among
    /// the elements whose key begins so.
    #[must_use]
    pub fn target_bytes(&self) -> usize {
        8 * self.target_words()
    }

    /// Bytes of a state of a pass: the targets, how many NaN there are, and counts for every rank.
    #[must_use]
    pub fn state_bytes(&self, pass: usize) -> usize {
        let tables = if pass == 0 { 1 } else { self.slots() };
        8 * (self.target_words() + 1 + tables * self.digits())
    }

    /// Counts elements in a state of pass number `pass`.
    ///
    /// # Errors
    /// [`KernelError::Length`], [`KernelError::Refused`] for complex elements.
    pub fn add(
        &self,
        pass: usize,
        targets: &[u8],
        input: &[u8],
        state: &mut [u8],
    ) -> Result<(), KernelError> {
        fn run<T: RankedReal>(
            narrowing: &Narrowing,
            pass: usize,
            input: &[u8],
            state: &mut [u64],
        ) -> Result<(), KernelError> {
            let items: &[T] = typed("the input of a quantile", input, input.len() / size_of::<T>())?;
            narrowing.count(pass, items, state);
            Ok(())
        }
        let targets: &[u64] = typed("the targets of a quantile", targets, self.target_words())?;
        let state = typed_mut::<u64>("the state of a quantile", state, self.state_bytes(pass) / 8)?;
        state[..targets.len()].copy_from_slice(targets);
        let dtype = self.quantile.dtype;
        let refused = Err(KernelError::Refused { operation: "quantile", dtype });
        for_ranked_real!(dtype, run(self, pass, input, state), refused)
    }

    /// Adds the counts of another state of the same pass.
    ///
    /// # Errors
    /// [`KernelError::Length`].
    pub fn combine(&self, into: &mut [u8], from: &[u8]) -> Result<(), KernelError> {
        let words = into.len() / 8;
        let into = typed_mut::<u64>("the state of a quantile", into, words)?;
        let from = typed::<u64>("the state of a quantile", from, words)?;
        for (count, more) in into.iter_mut().zip(from).skip(self.target_words()) {
            *count += more;
        }
        Ok(())
    }

    /// Writes the targets of the next pass from the state of all elements.
    ///
    /// # Errors
    /// [`KernelError::Length`].
    pub fn narrow(&self, pass: usize, state: &[u8], targets: &mut [u8]) -> Result<(), KernelError> {
        let state: &[u64] = typed("the state of a quantile", state, self.state_bytes(pass) / 8)?;
        let targets = typed_mut::<u64>("the targets of a quantile", targets, self.target_words())?;
        let (before, counts) = state.split_at(targets.len());
        targets.copy_from_slice(before);
        let Some((missing, counts)) = counts.split_first() else { return Ok(()) };
        if pass == 0 {
            let present: u64 = counts.iter().sum();
            targets[0] = if *missing > 0 && !self.quantile.skip_nan { 0 } else { present };
            let mixes = self.quantile.mixes(targets[0] as usize);
            for (slot, mix) in targets[1..].chunks_exact_mut(4).zip(mixes) {
                slot.copy_from_slice(&[0, mix.low as u64, 0, mix.high as u64]);
            }
        }
        if targets[0] == 0 {
            return Ok(());
        }
        for (number, slot) in targets[1..].chunks_exact_mut(2).enumerate() {
            // Slots that begin alike share the first one's table.
            let table = if pass == 0 { 0 } else { first_alike(&before[1..], number) };
            let table = counts.get(table * self.digits()..).unwrap_or_default();
            let [prefix, rank] = slot else { continue };
            for (digit, count) in table.iter().enumerate().take(self.digits()) {
                if *rank < *count {
                    *prefix = *prefix << self.digit_bits() | digit as u64;
                    break;
                }
                *rank -= count;
            }
        }
        Ok(())
    }

    /// Writes the quantiles, once all passes are done.
    ///
    /// # Errors
    /// [`KernelError::Length`]; [`KernelError::Parameter`] for elements picked of nothing.
    pub fn finish(&self, targets: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        fn run<T: RankedReal>(
            narrowing: &Narrowing,
            targets: &[u64],
            out: &mut [u8],
        ) -> Result<(), KernelError> {
            narrowing.values::<T>(targets, out)
        }
        let targets: &[u64] = typed("the targets of a quantile", targets, self.target_words())?;
        let (dtype, result) = (self.quantile.dtype, self.quantile.output_dtype());
        crate::error::check_len("the output of a quantile", out.len(), self.quantile.q.len(), result.size())?;
        let refused = Err(KernelError::Refused { operation: "quantile", dtype });
        for_ranked_real!(dtype, run(self, targets, out), refused)
    }

    fn count<T: RankedReal>(&self, pass: usize, items: &[T], state: &mut [u64]) {
        let shift = self.key_bits() - self.digit_bits() * (pass as u32 + 1);
        let mask = self.digits() as u64 - 1;
        let (targets, counts) = state.split_at_mut(self.target_words());
        let Some((missing, counts)) = counts.split_first_mut() else { return };
        if pass == 0 {
            for item in items {
                let key = item.key();
                if T::HAS_MISSING && key == Key::LAST {
                    *missing += 1;
                } else {
                    counts[(key.wide() >> shift & mask) as usize] += 1;
                }
            }
            return;
        }
        if targets[0] == 0 {
            return;
        }
        let slots = &targets[1..];
        let mut tables: Vec<(u64, usize)> = (0..self.slots())
            .filter(|slot| first_alike(slots, *slot) == *slot)
            .map(|slot| (slots[2 * slot], slot * self.digits()))
            .collect();
        tables.sort_unstable();
        for item in items {
            let key = item.key();
            if T::HAS_MISSING && key == Key::LAST {
                continue;
            }
            let key = key.wide() >> shift;
            let prefix = key >> self.digit_bits();
            if let Ok(found) = tables.binary_search_by_key(&prefix, |table| table.0) {
                counts[tables[found].1 + (key & mask) as usize] += 1;
            }
        }
    }

    fn values<T: RankedReal>(&self, targets: &[u64], out: &mut [u8]) -> Result<(), KernelError> {
        let result = self.quantile.output_dtype();
        let item = |key: u64| T::value(Word::narrow(key));
        let count = targets[0] as usize;
        if count == 0 && result.kind() != 'f' {
            return Err(KernelError::Parameter {
                what: "the number of elements",
                value: 0.0,
                wanted: "at least 1",
            });
        }
        let discrete = self.quantile.is_discrete();
        let mixes = self.quantile.mixes(count);
        let slots = targets[1..].chunks_exact(4);
        for (number, (slot, out)) in slots.zip(out.chunks_exact_mut(result.size())).enumerate() {
            let (low, high) = (item(slot[0]), item(slot[2]));
            // Lengths agree, so casts do not fail.
            let _ = match mixes.get(number) {
                None => cast(out, result, &f64::NAN.to_ne_bytes(), DType::F64),
                Some(_) if discrete => cast(out, result, bytemuck::bytes_of(&low), self.quantile.dtype),
                Some(mix) => {
                    let (a, b) = (low.double(), high.double());
                    let mixed = if self.quantile.is_median() {
                        middle(a, b, mix.share)
                    } else {
                        blend(a, b, mix.share)
                    };
                    cast(out, result, &mixed.to_ne_bytes(), DType::F64)
                }
            };
        }
        Ok(())
    }

    fn key_bits(&self) -> u32 {
        8 * self.quantile.dtype.size() as u32
    }

    fn digit_bits(&self) -> u32 {
        self.key_bits().min(DIGIT_BITS)
    }

    fn digits(&self) -> usize {
        1 << self.digit_bits()
    }

    /// Two ranks for every quantile.
    fn slots(&self) -> usize {
        2 * self.quantile.q.len()
    }

    fn target_words(&self) -> usize {
        1 + 2 * self.slots()
    }
}

/// The first slot whose key begins as that of `slot`.
fn first_alike(slots: &[u64], slot: usize) -> usize {
    let prefix = |slot: usize| slots.get(2 * slot);
    (0..slot).find(|other| prefix(*other) == prefix(slot)).unwrap_or(slot)
}

#[cfg(test)]
mod tests {
    use super::super::QuantileMethod;
    use super::*;
    use crate::{Buffer, Element};
    use proptest::prelude::*;

    /// All passes over the elements in parts of `part`, beside one selection.
    fn check<T: Element>(items: &[T], quantile: &Quantile, part: usize) {
        let narrowing = Narrowing::new(quantile.clone());
        let mut targets = Buffer::zeroed(narrowing.target_bytes());
        for pass in 0..narrowing.passes() {
            let mut all = Buffer::zeroed(narrowing.state_bytes(pass));
            for (number, part) in items.chunks(part).enumerate() {
                let mut state = Buffer::zeroed(narrowing.state_bytes(pass));
                narrowing.add(pass, &targets, T::as_bytes(part), &mut state).unwrap();
                if number == 0 {
                    all.copy_from_slice(&state);
                } else {
                    narrowing.combine(&mut all, &state).unwrap();
                }
            }
            narrowing.narrow(pass, &all, &mut targets).unwrap();
        }
        let bytes = quantile.q.len() * quantile.output_dtype().size();
        let (mut found, mut expected) = (Buffer::zeroed(bytes), Buffer::zeroed(bytes));
        narrowing.finish(&targets, &mut found).unwrap();
        quantile.run(T::as_bytes(items), &[items.len()], 0, &mut expected).unwrap();
        assert_eq!(*found, *expected, "{quantile:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn passes_find_what_one_selection_finds(
            items in prop::collection::vec(prop_oneof![
                4 => -5.0..5.0_f64, 1 => Just(f64::INFINITY), 1 => Just(-0.0), 1 => Just(1.5), 1 => any::<f64>(),
            ], 1..200),
            levels in prop::collection::vec(0.0..=1.0_f64, 1..4),
            part in 1_usize..80,
            skip_nan in any::<bool>(),
        ) {
            for method in [QuantileMethod::Linear, QuantileMethod::Nearest, QuantileMethod::Hazen] {
                check(&items, &Quantile::new(DType::F64, &levels, method, skip_nan).unwrap(), part);
            }
            check(&items, &Quantile::median(DType::F64, skip_nan).unwrap(), part);
            let halves: Vec<f32> = items.iter().map(|item| *item as f32).collect();
            check(&halves, &Quantile::new(DType::F32, &levels, QuantileMethod::Linear, skip_nan).unwrap(), part);
            let small: Vec<i8> = items.iter().map(|item| *item as i8).collect();
            check(&small, &Quantile::new(DType::I8, &levels, QuantileMethod::Lower, skip_nan).unwrap(), part);
            let whole: Vec<u16> = items.iter().map(|item| *item as u16).collect();
            check(&whole, &Quantile::median(DType::U16, false).unwrap(), part);
        }
    }
}
