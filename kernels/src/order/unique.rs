//! Distinct values with how often and where first they occur: NumPy's `unique`, of parts that merge.
//!
//! Invariant: values ascend, NaN last and once. Called by core's tasks.

use super::key::{Key, Ranked, for_ranked};
use crate::error::typed;
use crate::{DType, KernelError};

/// The distinct values of some elements.
///
/// ```
/// use blockwise_kernels::order::Unique;
/// use blockwise_kernels::{DType, Element};
/// let mut all = Unique::of(i16::as_bytes(&[3, 1, 3]), DType::I16, 0)?;
/// all.merge(&Unique::of(i16::as_bytes(&[2, 3]), DType::I16, 3)?)?;
/// assert_eq!(all.values(), i16::as_bytes(&[1, 2, 3]));
/// assert_eq!(all.counts(), [1, 1, 3]);
/// assert_eq!(all.first_places(), [1, 3, 0]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    dtype: DType,
    values: Vec<u8>,
    counts: Vec<i64>,
    places: Vec<i64>,
}

impl Unique {
    /// Of the elements of `input`, aligned; the first has the place `origin`.
    ///
    /// # Errors
    /// [`KernelError::Length`]; [`KernelError::Overflow`] for 2^32 elements or more.
    pub fn of(input: &[u8], dtype: DType, origin: i64) -> Result<Self, KernelError> {
        fn run<T: Ranked>(input: &[u8], dtype: DType, origin: i64) -> Result<Unique, KernelError> {
            let items: &[T] = typed("the input of unique", input, input.len() / size_of::<T>())?;
            let mut entries: Vec<(T::Key, u32)> =
                (0_u32..).zip(items).map(|(place, item)| (item.tied(), place)).collect();
            T::Key::sort_entries(&mut entries, &mut Vec::new());
            let mut unique = Unique { dtype, values: Vec::new(), counts: Vec::new(), places: Vec::new() };
            for run in entries.chunk_by(|a, b| a.0 == b.0) {
                if let Some(&(_, place)) = run.first() {
                    let value = items.get(place as usize).map(bytemuck::bytes_of);
                    unique.push(value.unwrap_or_default(), run.len() as i64, i64::from(place) + origin);
                }
            }
            Ok(unique)
        }
        if u32::try_from(input.len() / dtype.size()).is_err() {
            return Err(KernelError::Overflow { shape: vec![input.len() / dtype.size()] });
        }
        for_ranked!(dtype, run(input, dtype, origin))
    }

    /// What [`Unique::values`], [`Unique::counts`] and [`Unique::first_places`] gave.
    ///
    /// # Errors
    /// [`KernelError::Length`] if they are not of as many values.
    pub fn from_parts(
        dtype: DType,
        values: &[u8],
        counts: &[i64],
        places: &[i64],
    ) -> Result<Self, KernelError> {
        crate::error::check_len("the distinct values", values.len(), counts.len(), dtype.size())?;
        crate::error::check_len("their places", places.len(), counts.len(), 1)?;
        Ok(Self { dtype, values: values.to_vec(), counts: counts.to_vec(), places: places.to_vec() })
    }

    /// Adds the distinct values of other elements of the same dtype.
    ///
    /// # Errors
    /// [`KernelError::Refused`] if they are of another dtype.
    pub fn merge(&mut self, other: &Self) -> Result<(), KernelError> {
        fn run<T: Ranked>(a: &Unique, b: &Unique) -> Unique {
            let parts = |unique: &Unique| unique.counts.len();
            fn at<T: Ranked>(unique: &Unique, i: usize) -> (T::Key, &[u8], i64, i64) {
                let size = size_of::<T>();
                let bytes = unique.values.get(i * size..(i + 1) * size).unwrap_or_default();
                let value: T = bytemuck::pod_read_unaligned(bytes);
                (value.tied(), bytes, unique.counts[i], unique.places[i])
            }
            let mut merged =
                Unique { dtype: a.dtype, values: Vec::new(), counts: Vec::new(), places: Vec::new() };
            let (mut i, mut j) = (0, 0);
            while i < parts(a) || j < parts(b) {
                let left = (i < parts(a)).then(|| at::<T>(a, i));
                let right = (j < parts(b)).then(|| at::<T>(b, j));
                let (key, earlier) = match (&left, &right) {
                    (Some(left), Some(right)) if right.0 < left.0 => (right.0, right),
                    (Some(left), Some(right)) if right.0 == left.0 && right.3 < left.3 => (left.0, right),
                    (Some(left), _) => (left.0, left),
                    (None, Some(right)) => (right.0, right),
                    (None, None) => break,
                };
                let same = |side: Option<(T::Key, &[u8], i64, i64)>| {
                    side.filter(|side| side.0 == key).map_or(0, |side| side.2)
                };
                merged.push(earlier.1, same(left) + same(right), earlier.3);
                i += usize::from(left.is_some_and(|left| left.0 == key));
                j += usize::from(right.is_some_and(|right| right.0 == key));
            }
            merged
        }
        if self.dtype != other.dtype {
            return Err(KernelError::Refused { operation: "merging with another dtype", dtype: other.dtype });
        }
        *self = for_ranked!(self.dtype, run(self, other));
        Ok(())
    }

    /// The values, ascending, as bytes.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// How often each occurs.
    #[must_use]
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// Where each occurs first.
    #[must_use]
    pub fn first_places(&self) -> &[i64] {
        &self.places
    }

    /// Bytes held.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.values.len() + 16 * self.counts.len()
    }

    fn push(&mut self, value: &[u8], count: i64, place: i64) {
        self.values.extend_from_slice(value);
        self.counts.push(count);
        self.places.push(place);
    }
}
