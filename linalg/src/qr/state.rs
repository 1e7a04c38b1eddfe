//! [`State`]: what a group of rows is to the rest of the matrix: its `R`, and how its `Q` is got back.
//!
//! States and rows of `Q` travel as bytes in arrays that have the rows of the matrix and a few bytes in each: the bytes of the
//! rows of a group hold the group's state. So they are cut, stored and read as all chunks are, whatever the groups.
//! Invariant: what is read is what was written. Called by the tasks of [`super::tree`].

use super::wide::Wide;
use blockwise_core::{Error, Result};

/// Bytes before the numbers of a state.
const HEAD_BYTES: usize = 16;

/// The triangle of a group of rows.
#[derive(Clone, Debug)]
pub(crate) struct State<T> {
    /// Whether the group's `Q` is its rows divided by `r`.
    pub(crate) single: bool,
    /// Rows of `r`.
    pub(crate) rows: usize,
    /// Sums of the columns of the matrix, if they are wanted; else zeros.
    pub(crate) sums: Vec<T>,
    /// Row after row; its product with its adjoint from the left is that of the group.
    pub(crate) r: Vec<T>,
}

impl<T: Wide> State<T> {
    /// Bytes of a state of `rows` and `columns`.
    pub(crate) fn bytes(rows: u64, columns: u64) -> u64 {
        let numbers = rows.saturating_add(1).saturating_mul(columns);
        numbers.saturating_mul(size_of::<T>() as u64).saturating_add(HEAD_BYTES as u64)
    }

    pub(crate) fn write(&self, out: &mut [u8]) -> Result<()> {
        let rows = (self.rows as u64).to_ne_bytes();
        let single = u64::from(self.single).to_ne_bytes();
        let parts: [&[u8]; 4] =
            [&rows, &single, bytemuck::cast_slice(&self.sums), bytemuck::cast_slice(&self.r)];
        put(&parts, out)
    }

    pub(crate) fn read(bytes: &[u8], columns: usize) -> Result<Self> {
        let number = |at: usize| {
            let found = bytes.get(at..at + 8).and_then(|found| found.try_into().ok());
            found.map(u64::from_ne_bytes).ok_or_else(too_short)
        };
        let (rows, single) = (usize::try_from(number(0)?).map_err(|_| too_short())?, number(8)? == 1);
        let bytes = bytes.get(HEAD_BYTES..).ok_or_else(too_short)?;
        let sums = numbers(bytes, columns)?;
        let rest = bytes.get(size_of_val(sums.as_slice())..).ok_or_else(too_short)?;
        let r = numbers(rest, rows.checked_mul(columns).ok_or_else(too_short)?)?;
        Ok(Self { single, rows, sums, r })
    }
}

/// Writes numbers, one after another, and zeros after them.
pub(crate) fn write_numbers<T: Wide>(numbers: &[T], out: &mut [u8]) -> Result<()> {
    put(&[bytemuck::cast_slice(numbers)], out)
}

/// The first numbers in bytes that may lie anywhere.
pub(crate) fn numbers<T: Wide>(bytes: &[u8], count: usize) -> Result<Vec<T>> {
    let mut found = vec![T::zero(); count];
    let room: &mut [u8] = bytemuck::cast_slice_mut(&mut found);
    room.copy_from_slice(bytes.get(..room.len()).ok_or_else(too_short)?);
    Ok(found)
}

fn put(parts: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let mut rest = out;
    for part in parts {
        let (now, later) = rest.split_at_mut_checked(part.len()).ok_or_else(too_short)?;
        now.copy_from_slice(part);
        rest = later;
    }
    rest.fill(0);
    Ok(())
}

fn too_short() -> Error {
    Error::Internal { message: "a state is larger than its bytes".to_owned() }
}
