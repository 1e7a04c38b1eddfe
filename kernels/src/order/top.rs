//! The largest or smallest elements of every line, sorted: dask's `topk` and `argtopk`.
//!
//! Invariants: NaN counts as largest; of equal elements the one of the lowest place comes first, so that results of parts
//! and of results put side by side are those of the whole. Called by core's tasks.

use super::key::{Key, Ranked, for_ranked};
use crate::error::check_len;
use crate::lines::panel::{panel_buffer, panels};
use crate::{DType, KernelError, Lines};

/// Elements of a line that are looked at together, at least.
const PIECE: usize = 4096;

/// Some extreme elements of every line, and where they are.
///
/// ```
/// use blockwise_kernels::order::TopK;
/// use blockwise_kernels::{DType, Element};
/// let x = [5_i32, 9, 1, 7];
/// let (mut values, mut places) = ([0; 8], [0; 16]);
/// let top = TopK::new(2, DType::I32)?;
/// top.run(i32::as_bytes(&x), None, &[4], 0, &mut values, &mut places)?;
/// assert_eq!(values, *i32::as_bytes(&[9, 7]));
/// assert_eq!(places, *i64::as_bytes(&[1, 3]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    k: usize,
    largest: bool,
    dtype: DType,
}

impl TopK {
    /// With `k > 0` the `k` largest elements, largest first; with `k < 0` the `-k` smallest, smallest first.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for 0.
    pub fn new(k: i64, dtype: DType) -> Result<Self, KernelError> {
        match usize::try_from(k.unsigned_abs()) {
            Ok(count) if count > 0 => Ok(Self { k: count, largest: k > 0, dtype }),
            _ => Err(KernelError::Parameter { what: "k", value: k as f64, wanted: "not zero" }),
        }
    }

    /// Elements that are found of a line of `len`: no more than it has.
    #[must_use]
    pub fn found(&self, len: usize) -> usize {
        self.k.min(len)
    }

    /// Writes the elements found along `axis` of a C-ordered chunk of `shape`, and their places as `int64`, both in C order
    /// of a shape whose axis has [`TopK::found`] elements. `places` are those of the input's elements in its order, where
    /// it is made of results of parts; `None` counts from 0.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Length`], [`KernelError::Overflow`].
    pub fn run(
        &self,
        input: &[u8],
        places: Option<&[u8]>,
        shape: &[usize],
        axis: usize,
        values_out: &mut [u8],
        places_out: &mut [u8],
    ) -> Result<(), KernelError> {
        let (lines, size) = (Lines::new(shape, axis)?, self.dtype.size());
        let found = Lines { len: self.found(lines.len), ..lines };
        check_len("the input of topk", input.len(), lines.elements(), size)?;
        check_len("the values of topk", values_out.len(), found.elements(), size)?;
        check_len("the places of topk", places_out.len(), found.elements(), 8)?;
        if let Some(places) = places {
            check_len("the input's places of topk", places.len(), lines.elements(), 8)?;
        }
        for_ranked!(self.dtype, run(self, (input, places), lines, values_out, places_out))
    }
}

fn run<T: Ranked>(
    top: &TopK,
    (input, places): (&[u8], Option<&[u8]>),
    lines: Lines,
    values_out: &mut [u8],
    places_out: &mut [u8],
) -> Result<(), KernelError> {
    let size = size_of::<T>();
    let found = Lines { len: top.found(lines.len), ..lines };
    let mut buffer = panel_buffer(lines, size)?;
    let piece = found.len.max(PIECE).min(lines.len).max(1);
    let mut entries = Vec::<(T::Key, i64, u32)>::with_capacity(found.len + piece);
    let (mut best, mut at) = (Vec::<T>::new(), Vec::<i64>::new());
    for panel in panels(lines, size) {
        panel.gather(input, lines, size, &mut buffer);
        let items: &[T] = bytemuck::cast_slice(&buffer);
        best.clear();
        at.clear();
        for number in 0..panel.count {
            let line = items.get(number * lines.len..(number + 1) * lines.len).unwrap_or_default();
            entries.clear();
            let entry = |(local, item): (u32, &T)| {
                let key = if top.largest { item.tied().flip() } else { item.tied() };
                let place = places.map_or(i64::from(local), |places| {
                    let line = panel.first + number;
                    let flat =
                        (line / lines.inner * lines.len + local as usize) * lines.inner + line % lines.inner;
                    let bytes = places.get(8 * flat..).and_then(|bytes| bytes.first_chunk());
                    bytes.map_or(0, |bytes| i64::from_ne_bytes(*bytes))
                });
                (key, place, local)
            };
            // Piece by piece, so that long lines need no memory beside what is found of them.
            for (part, from) in line.chunks(piece).zip((0_u32..).step_by(piece)) {
                entries.extend((from..).zip(part).map(entry));
                if found.len < entries.len() {
                    entries.select_nth_unstable(found.len);
                    entries.truncate(found.len);
                }
            }
            let first = entries.get_mut(..found.len).unwrap_or_default();
            first.sort_unstable();
            best.extend(first.iter().filter_map(|entry| line.get(entry.2 as usize)));
            at.extend(first.iter().map(|entry| entry.1));
        }
        panel.scatter(bytemuck::cast_slice(&best), values_out, found, size);
        panel.scatter(bytemuck::cast_slice(&at), places_out, found, 8);
    }
    Ok(())
}
