//! [`Panel`]: rows of a matrix in memory, read as wide numbers, in place where they are such.
//!
//! Invariant: there are `rows * columns` elements, row after row. Called by [`super::chain`] and the tasks of [`super::tree`].

use super::wide::Wide;
use blockwise_core::block::Block;
use blockwise_core::dense::Matrix;
use blockwise_core::{Error, Result};
use std::ops::Range;

/// Bytes that a slab of converted rows aims at: they stay in the cache between conversion and product.
const SLAB_BYTES: usize = 1 << 19;

/// Rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel<'a, T: Wide> {
    elements: Elements<'a, T>,
    rows: usize,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
enum Elements<'a, T: Wide> {
    Wide(&'a [T]),
    Narrow(&'a [T::Narrow]),
}

impl<'a, T: Wide> Panel<'a, T> {
    /// The rows that a block of `columns` holds.
    pub(crate) fn of_block(block: &Block<'a>, columns: usize) -> Result<Self> {
        let elements = match (block.elements::<T>(), block.elements::<T::Narrow>()) {
            (Some(wide), _) => Elements::Wide(wide),
            (None, Some(narrow)) => Elements::Narrow(narrow),
            (None, None) => {
                let message = format!("a panel of {} where {} belongs", block.dtype, T::DTYPE);
                return Err(Error::Internal { message });
            }
        };
        Self::new(elements, columns)
    }

    /// These rows of `columns` elements.
    pub(crate) fn of_wide(elements: &'a [T], columns: usize) -> Result<Self> {
        Self::new(Elements::Wide(elements), columns)
    }

    fn new(elements: Elements<'a, T>, columns: usize) -> Result<Self> {
        let len = match elements {
            Elements::Wide(wide) => wide.len(),
            Elements::Narrow(narrow) => narrow.len(),
        };
        if columns == 0 || !len.is_multiple_of(columns) {
            return Err(Error::Internal { message: format!("{len} elements in rows of {columns}") });
        }
        Ok(Self { elements, rows: len / columns, columns })
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    /// The first rows alone.
    pub(crate) fn first(&self, rows: usize) -> Self {
        let len = rows.min(self.rows) * self.columns;
        let elements = match self.elements {
            Elements::Wide(wide) => Elements::Wide(wide.get(..len).unwrap_or(wide)),
            Elements::Narrow(narrow) => Elements::Narrow(narrow.get(..len).unwrap_or(narrow)),
        };
        Self { elements, rows: rows.min(self.rows), columns: self.columns }
    }

    /// All rows where they lie, if they are wide numbers.
    pub(crate) fn in_place(&self) -> Option<Result<Matrix<'a, T>>> {
        match self.elements {
            Elements::Wide(wide) => Some(Matrix::new(wide, self.rows, self.columns)),
            Elements::Narrow(_) => None,
        }
    }

    /// Rows of a slab.
    pub(crate) fn slab_rows(columns: usize) -> usize {
        (SLAB_BYTES / (columns.max(1) * size_of::<T>())).clamp(128, 4096)
    }

    /// The rows in slabs.
    pub(crate) fn slabs(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (rows, step) = (self.rows, Self::slab_rows(self.columns));
        (0..rows).step_by(step).map(move |start| start..rows.min(start + step))
    }

    /// Copies rows into `room`, which takes their number.
    pub(crate) fn copy(&self, rows: Range<usize>, room: &mut Vec<T>) {
        let range = rows.start * self.columns..rows.end * self.columns;
        room.clear();
        match self.elements {
            Elements::Wide(wide) => room.extend_from_slice(wide.get(range).unwrap_or(&[])),
            Elements::Narrow(narrow) => {
                room.extend(narrow.get(range).unwrap_or(&[]).iter().map(|x| T::of_narrow(*x)));
            }
        }
    }

    /// Calls `each` with every element, row after row, until it gives something.
    fn find<R>(&self, mut each: impl FnMut(usize, T) -> Option<R>) -> Option<R> {
        match self.elements {
            Elements::Wide(wide) => wide.iter().enumerate().find_map(|(at, x)| each(at, *x)),
            Elements::Narrow(narrow) => {
                narrow.iter().enumerate().find_map(|(at, x)| each(at, T::of_narrow(*x)))
            }
        }
    }

    /// Row and column of the first element that is NaN or infinite.
    pub(crate) fn not_finite(&self) -> Option<(usize, usize)> {
        let at = self.find(|at, x| (!x.parts().iter().all(|part| part.is_finite())).then_some(at));
        at.map(|at| (at / self.columns, at % self.columns))
    }

    /// The largest absolute value of a part of an element.
    pub(crate) fn largest(&self) -> f64 {
        let mut largest = 0.0_f64;
        self.find(|_, x| {
            largest = x.parts().iter().fold(largest, |most, part| most.max(part.abs()));
            None::<()>
        });
        largest
    }

    /// The sums of the columns.
    pub(crate) fn sums(&self) -> Vec<T> {
        let (mut sums, mut room) = (vec![T::zero(); self.columns], Vec::new());
        for slab in self.slabs() {
            self.copy(slab, &mut room);
            for row in room.chunks_exact(self.columns) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
            }
        }
        sums
    }
}
