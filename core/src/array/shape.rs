//! Other shapes of the same elements: transposes, flips, dropped and new axes, broadcasts. All are views.
//!
//! Invariant: names follow their axes. Called by programs and `eval`.

use super::{Array, Axes, Axis};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::view::{AxisView, View};

impl Array {
    /// The array with its axes in the given order; `..` reverses them, as NumPy's `x.T`.
    ///
    /// # Errors
    /// If the axes are no permutation.
    pub fn transpose(&self, axes: impl Into<Axes>) -> Result<Self> {
        let order = match axes.into() {
            Axes::All => (0..self.rank()).rev().collect(),
            list => list.resolve(self.names())?,
        };
        if order.len() != self.rank() {
            return Err(Error::Rank { expected: self.rank(), found: order.len() });
        }
        let mut below = vec![AxisView::Fixed { at: 0 }; self.rank()];
        for (out, from) in order.iter().enumerate() {
            below[*from] = AxisView::Along { axis: out, start: 0, step: 1 };
        }
        let grid = order.iter().map(|from| self.grid().axes()[*from].clone()).collect();
        let names = order.iter().map(|from| self.names()[*from].clone()).collect();
        Ok(self.view(View::new(below), ChunkGrid::from_axes(grid)?, names))
    }

    /// The array with `from` moved to position `to`, the others in order.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn move_axis(&self, from: impl Into<Axis>, to: i64) -> Result<Self> {
        let from = from.into().resolve(self.names())?;
        let to = Axis::Index(to).resolve(self.names())?;
        let mut order: Vec<usize> = (0..self.rank()).filter(|axis| *axis != from).collect();
        order.insert(to, from);
        self.transpose(order)
    }

    /// The array backwards along `axes`.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn flip(&self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into().resolve(self.names())?;
        let items: Vec<super::Index> = (0..self.rank())
            .map(|axis| super::Index::Slice {
                start: None,
                stop: None,
                step: if axes.contains(&axis) { -1 } else { 1 },
            })
            .collect();
        self.index(&items)
    }

    /// The array without `axes`, each of which must have one element; `..` drops every such axis.
    ///
    /// # Errors
    /// If an axis has another length.
    pub fn squeeze(&self, axes: impl Into<Axes>) -> Result<Self> {
        let shape = self.shape();
        let axes = match axes.into() {
            Axes::All => (0..self.rank()).filter(|axis| shape[*axis] == 1).collect(),
            list => list.resolve(self.names())?,
        };
        if let Some(axis) = axes.iter().find(|axis| shape[**axis] != 1) {
            return Err(Error::Usage {
                message: format!(
                    "axis {axis} has {} elements and cannot be dropped; only axes of 1 can",
                    shape[*axis]
                ),
            });
        }
        let items: Vec<super::Index> = (0..self.rank())
            .map(|axis| if axes.contains(&axis) { super::Index::At(0) } else { super::Index::from(..) })
            .collect();
        self.index(&items)
    }

    /// The array with a new axis of length 1 at position `at`; negative counts from the end of the result.
    ///
    /// # Errors
    /// If the position is outside the result.
    pub fn expand_dims(&self, at: i64) -> Result<Self> {
        let at = Axis::Index(at).resolve(&vec![None; self.rank() + 1])?;
        let mut items = vec![super::Index::from(..); at];
        items.push(super::Index::NewAxis);
        self.index(&items)
    }

    /// The array repeated to `shape` by NumPy's broadcasting: axes of 1 and missing leading axes stretch.
    ///
    /// # Errors
    /// If an axis has neither 1 element nor those of the shape.
    pub fn broadcast_to(&self, shape: &[u64]) -> Result<Self> {
        let own = self.shape();
        let mismatch = || Error::Shape { expected: shape.to_vec(), found: own.clone() };
        let lead = shape.len().checked_sub(own.len()).ok_or_else(mismatch)?;
        let mut grid = Vec::with_capacity(shape.len());
        let mut names = vec![None; lead];
        for extent in &shape[..lead] {
            grid.push(AxisGrid::regular(*extent, *extent)?);
        }
        let mut below = Vec::with_capacity(own.len());
        for (n, (&from, &to)) in own.iter().zip(&shape[lead..]).enumerate() {
            if from == to {
                below.push(AxisView::Along { axis: lead + n, start: 0, step: 1 });
                grid.push(self.grid().axes()[n].clone());
            } else if from == 1 {
                below.push(AxisView::Fixed { at: 0 });
                grid.push(AxisGrid::regular(to, to)?);
            } else {
                return Err(mismatch());
            }
            names.push(self.names()[n].clone());
        }
        Ok(self.view(View::new(below), ChunkGrid::from_axes(grid)?, names))
    }
}
