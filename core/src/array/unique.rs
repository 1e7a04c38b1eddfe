//! The distinct elements of an array, with how often and where first they occur.
//!
//! How many there are is not known before the array is read, so this is a method of [`Session`] and runs at once. It holds at
//! most as many as it is allowed, and fails with a remedy if there are more. Invariant: values ascend, NaN last and
//! once. Called by programs and `eval`.

use super::Array;
use super::states::States;
use crate::error::{Error, Result};
use crate::region::small;
use crate::session::Session;
use blockwise_kernels::order::{Unique, sort_scratch_bytes};
use blockwise_kernels::{Buffer, Element};

/// Elements that are sorted at a time.
const PIECE_ELEMENTS: usize = 1 << 16;

/// The distinct elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueElements<T> {
    /// The values, ascending, NaN last.
    pub values: Vec<T>,
    /// How often each occurs.
    pub counts: Vec<i64>,
    /// Where each occurs first: its position in the array flattened in C order.
    pub first_places: Vec<i64>,
}

impl Session {
    /// NumPy's `unique`: the distinct elements of `array`, of which there may be `most`.
    ///
    /// # Errors
    /// If `T` is not the array's dtype, there are more than `most`, or as [`Session::compute`].
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// let x = Array::from_fn(&[100], |at| (at[0] % 3) as i64)?.rechunk([7])?;
    /// let unique = Session::with_budget(64 << 20).unique::<i64>(&x, 1000)?;
    /// assert_eq!((unique.values, unique.counts, unique.first_places), (vec![0, 1, 2], vec![34, 33, 33], vec![0, 1, 2]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn unique<T: Element>(&self, array: &Array, most: u64) -> Result<UniqueElements<T>> {
        if T::DTYPE != array.dtype() {
            let message = format!(
                "the array holds {}, not {}; ask for that, or convert it with astype first",
                array.dtype(),
                T::DTYPE
            );
            return Err(Error::Usage { message });
        }
        let state = array.unique_state(most)?;
        let bytes = self.compute::<u8>(&state)?;
        let bytes = bytes.as_slice().ok_or_else(|| Error::Internal { message: "no C order".to_owned() })?;
        let mut aligned = Buffer::zeroed(bytes.len());
        aligned.copy_from_slice(bytes);
        let found = Layout::new(most, size_of::<T>())?.read::<T>(&aligned)?;
        Ok(UniqueElements {
            values: T::cast_slice(found.values()).unwrap_or_default().to_vec(),
            counts: found.counts().to_vec(),
            first_places: found.first_places().to_vec(),
        })
    }
}

impl Array {
    /// The bytes of a state of all distinct elements, at most `most`.
    fn unique_state(&self, most: u64) -> Result<Self> {
        let dtype = self.dtype();
        let layout = Layout::new(most, dtype.size())?;
        let shape = small(&self.shape())?;
        // Sorting a piece, and what is found before, in the piece and in both together, with room to grow.
        let sorting = sort_scratch_bytes(dtype, &[PIECE_ELEMENTS], 0, true)? as u64;
        let found = most.saturating_add(PIECE_ELEMENTS as u64).saturating_mul(dtype.size() as u64 + 16);
        let block = super::tasks::joined(self.grid(), dtype.size() as u64)?;
        let states = States {
            name: "unique",
            bytes: layout.bytes() as u64,
            scratch_bytes: sorting.saturating_add(found.saturating_mul(5)),
            add: Box::new(move |info, blocks, state| {
                let [block] = crate::block::blocks(blocks)?;
                let mut own = Unique::of(&[], dtype, 0)?;
                let pieces = block.bytes.chunks(PIECE_ELEMENTS * dtype.size());
                for (piece, first) in pieces.zip((0_i64..).step_by(PIECE_ELEMENTS)) {
                    own.merge(&Unique::of(piece, dtype, first)?)?;
                    layout.check(&own)?;
                }
                let (origin, extent) = (small(info.region.origin())?, block.shape()?);
                let places = own.first_places().iter().map(|place| flat(*place, &origin, &extent, &shape));
                let places: Vec<i64> = places.collect();
                layout.write(&Unique::from_parts(dtype, own.values(), own.counts(), &places)?, state)
            }),
            combine: Box::new(move |into, next| {
                let mut all = dtype.dispatch(Read { layout, state: into })?;
                all.merge(&dtype.dispatch(Read { layout, state: next })?)?;
                layout.write(&all, into)
            }),
            finish: Box::new(|state, out| {
                out.bytes_mut().copy_from_slice(state);
                Ok(())
            }),
        };
        let shape = [layout.bytes() as u64];
        states.reduce_blocks(vec![self.into()], block, blockwise_kernels::DType::U8, &shape)
    }
}

/// The position in the whole array, flattened, of what stands at `place` of a flattened block.
fn flat(place: i64, origin: &[usize], extent: &[usize], shape: &[usize]) -> i64 {
    let (mut rest, mut at, mut stride) = (place as usize, 0, 1);
    for ((origin, extent), shape) in origin.iter().zip(extent).zip(shape).rev() {
        at += (origin + rest % extent) * stride;
        rest /= extent;
        stride *= shape;
    }
    at as i64
}

/// How a state lies in memory: how many values there are, counts, places, values.
#[derive(Clone, Copy)]
struct Layout {
    most: usize,
    item_bytes: usize,
}

impl Layout {
    fn new(most: u64, item_bytes: usize) -> Result<Self> {
        let fits =
            usize::try_from(most).ok().filter(|most| *most <= (isize::MAX as usize - 16) / (16 + item_bytes));
        let most =
            fits.ok_or_else(|| Error::TooLarge { what: "list of distinct values", shape: vec![most] })?;
        Ok(Self { most, item_bytes })
    }

    const fn bytes(self) -> usize {
        (8 + self.most * (16 + self.item_bytes)).next_multiple_of(8)
    }

    fn check(self, unique: &Unique) -> Result<()> {
        if unique.counts().len() > self.most {
            let message = format!("there are more than {} distinct values; allow more", self.most);
            return Err(Error::Usage { message });
        }
        Ok(())
    }

    fn write(self, unique: &Unique, state: &mut [u8]) -> Result<()> {
        self.check(unique)?;
        let found = unique.counts().len();
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(target) = state.get_mut(at..at + bytes.len()) {
                target.copy_from_slice(bytes);
            }
        };
        put(0, &(found as u64).to_ne_bytes());
        put(8, i64::as_bytes(unique.counts()));
        put(8 + 8 * self.most, i64::as_bytes(unique.first_places()));
        put(8 + 16 * self.most, unique.values());
        Ok(())
    }

    fn read<T: Element>(self, state: &[u8]) -> Result<Unique> {
        let gone = || Error::Internal { message: "a damaged state of distinct values".to_owned() };
        let found = state.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes) as usize).ok_or_else(gone)?;
        let part = |at: usize, bytes: usize| state.get(at..at + bytes).ok_or_else(gone);
        let counts = i64::cast_slice(part(8, 8 * found)?).ok_or_else(gone)?;
        let places = i64::cast_slice(part(8 + 8 * self.most, 8 * found)?).ok_or_else(gone)?;
        let values = part(8 + 16 * self.most, found * self.item_bytes)?;
        Ok(Unique::from_parts(T::DTYPE, values, counts, places)?)
    }
}

struct Read<'a> {
    layout: Layout,
    state: &'a [u8],
}

impl blockwise_kernels::DTypeVisitor for Read<'_> {
    type Output = Result<Unique>;

    fn visit<T: Element>(self) -> Result<Unique> {
        self.layout.read::<T>(self.state)
    }
}
