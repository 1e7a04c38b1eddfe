//! Elements of two arrays held against each other, chunk by chunk: a sink that compares instead of storing.
//!
//! A plan brings one array into the grid of the other, whatever both are cut like, and so within the budget; every
//! chunk it writes is compared with the other's chunk of the same index. Invariants: the differences that are shown
//! are the first in C order, whatever order chunks arrive in; counts are exact. Called by [`super`].

use blockwise_core::region::byte_count;
use blockwise_core::{Chunk, ChunkGrid, Error, Result, Sharing, Sink, Source, TaskContext};
use blockwise_kernels::{DType, DTypeVisitor, Element, Scalar};
use std::sync::{Arc, Mutex, PoisonError};

/// When two elements count as equal: `|a - b| <= atol + rtol * |b|`, as NumPy's `isclose`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// Relative to the second array's element.
    pub relative: f64,
    /// Absolute.
    pub absolute: f64,
    /// Whether NaN equals NaN.
    pub equal_nan: bool,
}

/// Two elements that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub index: Vec<u64>,
    /// The chunk of the first array that holds it.
    pub chunk: Vec<u64>,
    /// The first array's element.
    pub left: String,
    /// The second array's element.
    pub right: String,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Elements compared.
    pub elements: u64,
    /// Elements that differ.
    pub differing: u64,
    /// Of those, pairs of NaN.
    pub nan_pairs: u64,
    /// The largest `|a - b|` among finite elements that differ.
    pub largest_difference: f64,
    /// The first differences in C order.
    pub first: Vec<Difference>,
}

impl Findings {
    /// Takes in what another part of the same arrays gave, keeping at most `shown` differences.
    fn merge(&mut self, other: Self, shown: usize) {
        self.elements += other.elements;
        self.differing += other.differing;
        self.nan_pairs += other.nan_pairs;
        self.largest_difference = self.largest_difference.max(other.largest_difference);
        self.first.extend(other.first);
        self.first.sort_by(|a, b| a.index.cmp(&b.index));
        self.first.truncate(shown);
    }
}

/// A sink that holds each chunk against that of another array.
pub(super) struct Comparison {
    label: String,
    other: Arc<dyn Source>,
    tolerance: Tolerance,
    shown: usize,
    /// Whether the other array is the first of the two that the user named.
    other_is_left: bool,
    findings: Mutex<Findings>,
}

impl Comparison {
    /// A sink that takes chunks of `other`'s grid and dtype.
    pub(super) fn with(
        other: Arc<dyn Source>,
        other_is_left: bool,
        tolerance: Tolerance,
        shown: usize,
    ) -> Self {
        let label = format!("comparison with {}", other.label());
        Self { label, other, tolerance, shown, other_is_left, findings: Mutex::default() }
    }

    /// What was found so far.
    pub(super) fn findings(&self) -> Findings {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Comparison {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.other.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        self.other.grid()
    }

    fn write_scratch_bytes(&self) -> u64 {
        let chunk_bytes = byte_count(&self.grid().largest_chunk(), self.dtype().size()).unwrap_or(u64::MAX);
        self.other.read_scratch_bytes().saturating_add(chunk_bytes)
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let other = self.other.read(index, cx)?;
        let (left, right) = if self.other_is_left { (&other, chunk) } else { (chunk, &other) };
        let has_nan = matches!(chunk.dtype().kind(), 'f' | 'c');
        let same = (self.tolerance.equal_nan || !has_nan) && left.bytes() == right.bytes();
        let found = if same {
            Findings { elements: chunk.shape().iter().product(), ..Findings::default() }
        } else {
            let region = self.grid().region(index)?;
            let pair = Pair {
                left,
                right,
                index,
                origin: region.origin(),
                tolerance: self.tolerance,
                shown: self.shown,
            };
            chunk.dtype().dispatch(pair)?
        };
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).merge(found, self.shown);
        Ok(0)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Held
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

/// Two chunks of one region.
struct Pair<'a> {
    left: &'a Chunk,
    right: &'a Chunk,
    index: &'a [u64],
    origin: &'a [u64],
    tolerance: Tolerance,
    shown: usize,
}

impl DTypeVisitor for Pair<'_> {
    type Output = Result<Findings>;

    fn visit<T: Element>(self) -> Result<Findings> {
        let (Some(left), Some(right)) = (self.left.elements::<T>(), self.right.elements::<T>()) else {
            let message = format!("two chunks of {} do not hold its elements", T::DTYPE);
            return Err(Error::Internal { message });
        };
        let mut found = Findings { elements: left.len() as u64, ..Findings::default() };
        for (at, (a, b)) in left.iter().zip(right).enumerate() {
            if a == b {
                continue;
            }
            let (a, b) = (Scalar::from(*a), Scalar::from(*b));
            let (equal, distance) = self.tolerance.compare(&a, &b);
            if equal {
                continue;
            }
            found.differing += 1;
            found.nan_pairs += u64::from(is_nan(&a) && is_nan(&b));
            found.largest_difference = found.largest_difference.max(distance);
            if found.first.len() < self.shown {
                let index = position(at as u64, self.left.shape(), self.origin);
                let chunk = self.index.to_vec();
                found.first.push(Difference { index, chunk, left: a.to_string(), right: b.to_string() });
            }
        }
        Ok(found)
    }
}

impl Tolerance {
    /// Whether elements that differ may count as equal.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        self.relative > 0.0 || self.absolute > 0.0
    }

    /// Whether two elements that are not `==` count as equal, and how far apart they are (0 if that is no number).
    fn compare(&self, a: &Scalar, b: &Scalar) -> (bool, f64) {
        if is_nan(a) && is_nan(b) {
            return (self.equal_nan, 0.0);
        }
        let (distance, size) = match (exact(a), exact(b)) {
            #[expect(clippy::cast_precision_loss, reason = "distances are compared with a tolerance")]
            (Some(a), Some(b)) => ((a - b).unsigned_abs() as f64, b.unsigned_abs() as f64),
            _ => {
                let ((a_re, a_im), (b_re, b_im)) = (parts(a), parts(b));
                ((a_re - b_re).hypot(a_im - b_im), b_re.hypot(b_im))
            }
        };
        if !distance.is_finite() || !size.is_finite() {
            return (false, 0.0);
        }
        (distance <= self.absolute + self.relative * size, distance)
    }
}

/// The value if it is an integer or a bool.
fn exact(value: &Scalar) -> Option<i128> {
    match value.dtype() {
        DType::I64 => value.get::<i64>().map(i128::from),
        DType::U64 => value.get::<u64>().map(i128::from),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "integers of up to 32 bits are exact in a double"
        )]
        dtype if matches!(dtype.kind(), 'b' | 'i' | 'u') => value.to_f64().map(|value| value as i128),
        _ => None,
    }
}

/// Real and imaginary part.
fn parts(value: &Scalar) -> (f64, f64) {
    // A complex element is two floats one after the other.
    let half = |dtype: DType, at: usize| {
        let bytes = value.bytes().get(at * dtype.size()..(at + 1) * dtype.size())?;
        Scalar::from_bytes(dtype, bytes)?.to_f64()
    };
    let complex = |dtype| (half(dtype, 0).unwrap_or(0.0), half(dtype, 1).unwrap_or(0.0));
    match value.dtype() {
        DType::C64 => complex(DType::F32),
        DType::C128 => complex(DType::F64),
        _ => (value.to_f64().unwrap_or(0.0), 0.0),
    }
}

fn is_nan(value: &Scalar) -> bool {
    let (re, im) = parts(value);
    re.is_nan() || im.is_nan()
}

/// Index in the array of element `at` of a chunk of `shape` that starts at `origin`.
pub(super) fn position(at: u64, shape: &[u64], origin: &[u64]) -> Vec<u64> {
    let mut index = origin.to_vec();
    let mut rest = at;
    for (place, extent) in index.iter_mut().zip(shape).rev() {
        *place += rest % extent;
        rest /= extent;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    fn close(a: impl Into<Scalar>, b: impl Into<Scalar>, relative: f64, absolute: f64) -> bool {
        Tolerance { relative, absolute, equal_nan: false }.compare(&a.into(), &b.into()).0
    }

    #[test]
    fn tolerances_are_numpys() {
        assert!(close(1.01_f32, 1.0_f32, 0.02, 0.0) && !close(1.03_f64, 1.0_f64, 0.02, 0.0));
        assert!(close(5_u8, 7_u8, 0.0, 2.0) && !close(5_i64, 8_i64, 0.0, 2.0));
        assert!(!close(i64::MAX, i64::MAX - 1, 0.0, 0.5), "exact where doubles are not");
        assert!(!close(f64::INFINITY, 1.0, 1.0, 1.0) && !close(1.0, f64::INFINITY, 1.0, 1.0));
        assert!(!close(f64::NAN, f64::NAN, 1.0, 1.0));
        assert!(close(Complex::new(1.0_f64, 2.0), Complex::new(1.0_f64, 2.5), 0.0, 0.5));
        let nan = Scalar::from(f64::NAN);
        assert!(Tolerance { equal_nan: true, ..Tolerance::default() }.compare(&nan, &nan).0);
    }

    #[test]
    fn positions_count_in_c_order() {
        assert_eq!(position(7, &[2, 4], &[10, 20]), [11, 23]);
        assert_eq!(position(0, &[], &[]), [0_u64; 0]);
    }
}
