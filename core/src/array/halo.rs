//! Halos: what blocks hold of their neighbours, and of what lies beyond the array.
//!
//! An array with a boundary is padded, and the outermost boxes reach over the pads; a box sees its halo by its reach.
//! Invariant: along an axis with a boundary every block has the same halo. Called by [`super::MapBlocks`].

use super::{Array, BlockInput, PadMode};
use crate::block::BlockInfo;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};

/// What blocks hold beside their own elements along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Halo {
    pub(super) axis: usize,
    pub(super) before: u64,
    pub(super) after: u64,
    /// What lies beyond the array; `None`: nothing.
    pub(super) boundary: Option<PadMode>,
}

impl Halo {
    /// The lengths of blocks with what they hold beside their own elements, along the axis cut so.
    pub(super) fn held(&self, cut: &AxisGrid) -> Result<AxisGrid> {
        let held = |n: u64| {
            let (before, after) = match self.boundary {
                Some(_) => (self.before, self.after),
                None => (self.before.min(cut.start(n)), self.after.min(cut.extent() - cut.start(n + 1))),
            };
            cut.length(n).saturating_add(before).saturating_add(after)
        };
        AxisGrid::rectilinear(&(0..cut.count()).map(held).collect::<Vec<_>>())
    }

    /// How many elements the block at a place has before and after its own.
    pub(super) fn of(&self, info: &BlockInfo<'_>) -> Option<(usize, usize)> {
        let (range, extent) = (info.region.ranges().nth(self.axis)?, *info.shape.get(self.axis)?);
        let (before, after) = match self.boundary {
            Some(_) => (self.before, self.after),
            None => (self.before.min(range.start), self.after.min(extent.saturating_sub(range.end))),
        };
        Some((usize::try_from(before).ok()?, usize::try_from(after).ok()?))
    }
}

/// The shape of a block with what it holds beside its own elements.
pub(super) fn with_halos(shape: &[u64], trim: &[Option<Halo>]) -> Vec<u64> {
    let held = |halo: &Option<Halo>| halo.map_or(0, |halo| halo.before.saturating_add(halo.after));
    shape.iter().zip(trim).map(|(length, halo)| length.saturating_add(held(halo))).collect()
}

/// The inputs with their halos and pads, and the boxes of the tasks over what is padded.
pub(super) fn padded(
    inputs: &[Array],
    tasks: &ChunkGrid,
    halos: &[Halo],
) -> Result<(Vec<BlockInput>, ChunkGrid)> {
    let mut cuts = tasks.axes().to_vec();
    let mut reach = if halos.is_empty() { Vec::new() } else { vec![(0, 0); tasks.rank()] };
    let mut inputs = inputs.to_vec();
    for Halo { axis, before, after, boundary } in halos {
        let (Some(cut), Some(slot)) = (cuts.get_mut(*axis), reach.get_mut(*axis)) else { continue };
        *slot = (*before, *after);
        let Some(mode) = boundary else { continue };
        let extent = cut.extent();
        // What stands still along the axis has no halo.
        for input in inputs.iter_mut().filter(|input| input.shape().get(*axis) == Some(&extent)) {
            *input = input.pad(*axis, *before, *after, *mode)?;
        }
        let mut lengths: Vec<u64> = (0..cut.count()).map(|n| cut.length(n)).collect();
        let too_large = || Error::TooLarge { what: "axis", shape: tasks.shape() };
        if let Some(first) = lengths.first_mut() {
            *first = first.checked_add(*before).ok_or_else(too_large)?;
        }
        if let Some(last) = lengths.last_mut() {
            *last = last.checked_add(*after).ok_or_else(too_large)?;
        }
        *cut = AxisGrid::rectilinear(&lengths)?;
    }
    let inputs = inputs.into_iter().map(|array| BlockInput { array, reach: reach.clone() }).collect();
    Ok((inputs, ChunkGrid::from_axes(cuts)?))
}
