//! Values of groups at the positions of the array: each row again wherever its group is.
//!
//! Invariant: chunks are those of the grouped array, and are made when they are read. Called by [`GroupBy`].

use super::{GroupBy, LEFT_OUT};
use crate::adapt::SpreadRows;
use crate::array::order::with_axis;
use crate::array::{Adapter, Array, Axis, scalar_as};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::source::Source;
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

/// Rows of an array, each wherever it is named.
struct Spread {
    axis: usize,
    /// Of every position the row, or [`LEFT_OUT`].
    rows: Arc<[u32]>,
    /// What stands at positions that have none.
    fill: Scalar,
}

impl Adapter for Spread {
    fn over(&self, inner: Arc<dyn Source>, grid: ChunkGrid) -> Arc<dyn Source> {
        Arc::new(SpreadRows::new(inner, grid, self.axis, Arc::clone(&self.rows), self.fill))
    }
}

impl GroupBy {
    /// The values `of_groups`, one for each group in the place of the axis, at the positions of the array: with its shape and
    /// chunks, and nothing stored. Where a position is in no group, floats are NaN; other dtypes become float64 for that.
    ///
    /// # Errors
    /// If the shape is not that of a reduction of these groups.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange(0.0, 5.0, 1.0)?.rechunk([2])?;
    /// let groups = x.group_by(&[7, 7, 2, 2, 2], 0)?;
    /// let largest = groups.spread(&groups.max()?)?;
    /// assert_eq!(largest.compute::<f64>()?.as_slice(), Some(&[1.0, 1.0, 4.0, 4.0, 4.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn spread(&self, of_groups: &Array) -> Result<Array> {
        let mut expected = self.array.shape();
        expected[self.axis] = self.groups.count();
        if of_groups.shape() != expected {
            return Err(Error::Shape { expected, found: of_groups.shape() });
        }
        let like = Some(self.array.grid().clone());
        let found = of_groups.spread_rows(&self.groups.codes, self.axis, like)?;
        Ok(found.renamed(self.array.names().to_vec()))
    }
}

impl Array {
    /// The rows of `axis` that `rows` names, in its order; negative ones are NaN in floats, and other dtypes become float64
    /// for that. As [`Array::take`], but made when it is read, however the order.
    ///
    /// # Errors
    /// If there is no such axis or row.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange(0.0, 3.0, 1.0)?.spread(&[2, -1, 0, 2], 0)?.compute::<f64>()?;
    /// assert!(x[[1]].is_nan());
    /// assert_eq!((x[[0]], x[[2]], x[[3]]), (2.0, 0.0, 2.0));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn spread(&self, rows: &[i64], axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.grid().axes()[axis].extent();
        let row = |row: &i64| match u32::try_from(*row) {
            _ if *row < 0 => Ok(LEFT_OUT),
            Ok(known) if known != LEFT_OUT && u64::from(known) < extent => Ok(known),
            _ => Err(Error::Usage { message: format!("no row {row} along axis {axis}, which has {extent}") }),
        };
        let rows = rows.iter().map(row).collect::<Result<Arc<[u32]>>>()?;
        self.spread_rows(&rows, axis, None)
    }

    /// The rows of an axis, cut as `grid` says.
    fn spread_rows(&self, rows: &Arc<[u32]>, axis: usize, grid: Option<ChunkGrid>) -> Result<Self> {
        let mut array = self.clone();
        if rows.contains(&LEFT_OUT) && !matches!(array.dtype().kind(), 'f' | 'c') {
            array = array.astype(DType::F64);
        }
        let dtype = array.dtype();
        let fill = match dtype.kind() {
            'f' | 'c' => scalar_as(f64::NAN.into(), dtype),
            _ => Some(Scalar::zero(dtype)),
        };
        let fill = fill.ok_or_else(|| Error::Internal { message: "no NaN".to_owned() })?;
        let extent = rows.len() as u64;
        let longest = array.grid().axes()[axis].longest().max(1);
        let own = with_axis(array.grid(), axis, AxisGrid::regular(extent, longest)?)?;
        let grid = grid.unwrap_or(own);
        if grid.shape().contains(&0) || array.is_empty() {
            return Ok(Self::full(&grid.shape(), fill)?.renamed(self.names().to_vec()));
        }
        let spread = Spread { axis, rows: Arc::clone(rows), fill };
        Ok(array.adapted(grid, Arc::new(spread)).renamed(self.names().to_vec()))
    }
}
