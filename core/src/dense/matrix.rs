//! [`Matrix`] and [`MatrixMut`]: dense matrices in memory, row after row.
//!
//! Invariant: a matrix of `rows` and `columns` lies in its elements with `stride` from row to row, `stride >= columns`, and its
//! last row does not pass their end; so no element outside them is ever touched. Made by algorithms over blocks, read and
//! filled by the leaves of a device ([`super::Dense`]).

use crate::error::{Error, Result};

/// A dense matrix to read, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    elements: &'a [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// A dense matrix to fill, row after row.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    elements: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix whose rows follow each other without a gap.
    ///
    /// # Errors
    /// [`Error::Internal`] if there are fewer elements.
    ///
    /// ```
    /// use blockwise_core::dense::Matrix;
    /// let a = Matrix::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
    /// assert_eq!(a.part(1..2, 1..3)?.row(0), [5.0, 6.0]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn new(elements: &'a [T], rows: usize, columns: usize) -> Result<Self> {
        Self::with_stride(elements, rows, columns, columns)
    }

    /// The matrix whose rows begin `stride` elements after each other.
    ///
    /// # Errors
    /// [`Error::Internal`] if that does not lie in the elements.
    pub fn with_stride(elements: &'a [T], rows: usize, columns: usize, stride: usize) -> Result<Self> {
        check(elements.len(), rows, columns, stride)?;
        Ok(Self { elements, rows, columns, stride })
    }

    /// The matrix of the named rows and columns.
    ///
    /// # Errors
    /// [`Error::Internal`] if there are no such rows or columns.
    pub fn part(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Result<Self> {
        let (first, size) = part(self.rows, self.columns, self.stride, &rows, &columns)?;
        Self::with_stride(self.elements.get(first..).unwrap_or(&[]), size.0, size.1, self.stride)
    }

    /// The elements, from the first of the first row to the last of the last, gaps between rows included.
    #[must_use]
    pub const fn elements(&self) -> &'a [T] {
        self.elements
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from the start of a row to that of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The elements of row `n`; none if there is no such row.
    #[must_use]
    pub fn row(&self, n: usize) -> &'a [T] {
        let start = n * self.stride;
        if n < self.rows { self.elements.get(start..start + self.columns).unwrap_or(&[]) } else { &[] }
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// The matrix whose rows follow each other without a gap.
    ///
    /// # Errors
    /// [`Error::Internal`] if there are fewer elements.
    pub fn new(elements: &'a mut [T], rows: usize, columns: usize) -> Result<Self> {
        Self::with_stride(elements, rows, columns, columns)
    }

    /// The matrix whose rows begin `stride` elements after each other.
    ///
    /// # Errors
    /// [`Error::Internal`] if that does not lie in the elements.
    pub fn with_stride(elements: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Result<Self> {
        check(elements.len(), rows, columns, stride)?;
        Ok(Self { elements, rows, columns, stride })
    }

    /// The same matrix for a shorter time.
    #[must_use]
    pub const fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { elements: self.elements, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The same matrix, to read.
    #[must_use]
    pub const fn as_matrix(&self) -> Matrix<'_, T> {
        Matrix { elements: self.elements, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The matrix of the named rows and columns.
    ///
    /// # Errors
    /// [`Error::Internal`] if there are no such rows or columns.
    pub fn part(
        self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Result<MatrixMut<'a, T>> {
        let (first, size) = part(self.rows, self.columns, self.stride, &rows, &columns)?;
        Self::with_stride(self.elements.get_mut(first..).unwrap_or(&mut []), size.0, size.1, self.stride)
    }

    /// The elements, from the first of the first row to the last of the last, gaps between rows included.
    #[must_use]
    pub fn into_elements(self) -> &'a mut [T] {
        self.elements
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from the start of a row to that of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The elements of row `n`; none if there is no such row.
    #[must_use]
    pub fn row_mut(&mut self, n: usize) -> &mut [T] {
        let start = n * self.stride;
        if n < self.rows {
            self.elements.get_mut(start..start + self.columns).unwrap_or(&mut [])
        } else {
            &mut []
        }
    }
}

fn check(len: usize, rows: usize, columns: usize, stride: usize) -> Result<()> {
    let needed = match rows.checked_sub(1) {
        _ if columns == 0 => Some(0),
        None => Some(0),
        Some(before) => before.checked_mul(stride).and_then(|n| n.checked_add(columns)),
    };
    match needed {
        Some(needed) if needed <= len && stride >= columns => Ok(()),
        _ => Err(Error::Internal {
            message: format!("a matrix of {rows} rows of {columns}, {stride} apart, in {len} elements"),
        }),
    }
}

fn part(
    rows: usize,
    columns: usize,
    stride: usize,
    some_rows: &std::ops::Range<usize>,
    some_columns: &std::ops::Range<usize>,
) -> Result<(usize, (usize, usize))> {
    let inside = some_rows.start <= some_rows.end
        && some_columns.start <= some_columns.end
        && some_rows.end <= rows
        && some_columns.end <= columns;
    if !inside {
        let message = format!("no rows {some_rows:?}, columns {some_columns:?} in {rows} by {columns}");
        return Err(Error::Internal { message });
    }
    Ok((some_rows.start * stride + some_columns.start, (some_rows.len(), some_columns.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_lie_in_their_elements() {
        let elements: Vec<u32> = (0..12).collect();
        let whole = Matrix::new(&elements, 3, 4).unwrap();
        let part = whole.part(1..3, 1..3).unwrap();
        assert_eq!(
            (part.rows(), part.columns(), part.row(0), part.row(1)),
            (2, 2, &[5, 6][..], &[9, 10][..])
        );
        assert_eq!(part.row(2), []);
        assert!(Matrix::new(&elements, 4, 4).is_err());
        assert!(Matrix::with_stride(&elements, 3, 4, 3).is_err());
        assert!(whole.part(0..4, 0..4).is_err());
        assert!(Matrix::new(&elements, usize::MAX, 2).is_err());
        assert_eq!(whole.part(3..3, 0..4).unwrap().rows(), 0);
        let mut own = elements.clone();
        let mut part = MatrixMut::new(&mut own, 3, 4).unwrap().part(2..3, 0..2).unwrap();
        part.row_mut(0).fill(0);
        assert_eq!(own[7..], [7, 0, 0, 10, 11]);
    }
}
