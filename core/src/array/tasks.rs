//! The boxes that functions of whole blocks work on: whole along some axes, or long along one, and of a fair size.
//!
//! A task's block aims at 16 MiB, less where that would leave few tasks; rows along the last axis stay long, and cuts keep
//! to the array's own where they can. Invariant: boxes depend on the array alone. Called by sorts, quantiles, scans,
//! Fourier transforms, distances, labels and histograms.

use super::Array;
use crate::error::Result;
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;

/// Bytes that a block aims at.
pub(super) const BLOCK_BYTES: u64 = 16 << 20;
/// Bytes below which more tasks are not worth their while.
const SMALL_BYTES: u64 = 64 << 10;
/// Tasks that there should be at least, so that all threads have some.
const TASKS: u64 = 64;

/// Elements that a block of an array aims at.
pub(super) fn block_elements(grid: &ChunkGrid, item_bytes: u64) -> u64 {
    let total_bytes = element_count(&grid.shape()).unwrap_or(u64::MAX).saturating_mul(item_bytes);
    (total_bytes / TASKS).clamp(SMALL_BYTES, BLOCK_BYTES) / item_bytes
}

/// Boxes that are whole along `axes`.
pub(super) fn whole_along(array: &Array, axes: &[usize]) -> Result<ChunkGrid> {
    whole_along_sized(array, axes, array.dtype().size() as u64)
}

/// As [`whole_along`], where an element counts as `item_bytes`: what its result takes, if that is more.
pub(super) fn whole_along_sized(array: &Array, axes: &[usize], item_bytes: u64) -> Result<ChunkGrid> {
    let mut given = Vec::with_capacity(axes.len());
    for (axis, cut) in array.grid().axes().iter().enumerate().filter(|(axis, _)| axes.contains(axis)) {
        given.push((axis, AxisGrid::regular(cut.extent(), cut.extent().max(1))?));
    }
    fitted(array, &given, item_bytes)
}

/// Boxes of about `length` elements along `axis`, and few lines.
pub(super) fn pieces_along(array: &Array, axis: usize, length: u64) -> Result<ChunkGrid> {
    let cut = array.grid().axes().get(axis).map(|cut| cut.resized(length)).transpose()?;
    let given: Vec<_> = cut.into_iter().map(|cut| (axis, cut)).collect();
    fitted(array, &given, array.dtype().size() as u64)
}

/// Boxes cut as given along some axes, and along the others so that they have a block's size.
fn fitted(array: &Array, given: &[(usize, AxisGrid)], item_bytes: u64) -> Result<ChunkGrid> {
    let lines: u64 = given.iter().fold(1, |product, (_, cut)| product.saturating_mul(cut.longest()));
    let mut room = (block_elements(array.grid(), item_bytes) / lines.max(1)).max(1);
    let mut cuts = array.grid().axes().to_vec();
    for (axis, cut) in cuts.iter_mut().enumerate().rev() {
        if let Some((_, given)) = given.iter().find(|(own, _)| *own == axis) {
            *cut = given.clone();
        } else {
            *cut = cut.resized(room)?;
            room = (room / cut.longest().max(1)).max(1);
        }
    }
    ChunkGrid::from_axes(cuts)
}

/// The array's chunks, made longer along `axis` as far as a block's size allows.
pub(super) fn long_along(array: &Array, axis: usize) -> Result<ChunkGrid> {
    let chunk = array.grid().largest_chunk();
    let others = chunk.iter().enumerate().filter(|(n, _)| *n != axis);
    let others: u64 = others.fold(1, |product, (_, length)| product.saturating_mul(*length));
    let mut cuts = array.grid().axes().to_vec();
    if let Some(cut) = cuts.get_mut(axis) {
        let room = block_elements(array.grid(), array.dtype().size() as u64) / others.max(1);
        *cut = cut.resized(room.max(cut.longest()))?;
    }
    ChunkGrid::from_axes(cuts)
}

/// The chunks of `grid`, joined as far as the size of a block with `item_bytes` for each element allows; never cut.
pub(super) fn joined(grid: &ChunkGrid, item_bytes: u64) -> Result<ChunkGrid> {
    let chunk = grid.largest_chunk();
    let mut room = block_elements(grid, item_bytes) / element_count(&chunk).unwrap_or(u64::MAX).max(1);
    let mut cuts = grid.axes().to_vec();
    for cut in cuts.iter_mut().rev() {
        let multiple = room.min(cut.count()).max(1);
        *cut = cut.coarsened(multiple);
        room /= multiple;
    }
    ChunkGrid::from_axes(cuts)
}

/// The chunks of `grid`, joined along the shortest sides first as far as `room` elements allow, so that few lie where boxes meet;
/// never cut.
pub(super) fn compact(grid: &ChunkGrid, room: u64) -> Result<ChunkGrid> {
    let mut cuts = grid.axes().to_vec();
    loop {
        let elements = cuts.iter().fold(1_u64, |product, cut| product.saturating_mul(cut.longest()));
        let longer = |(axis, cut): (usize, &AxisGrid)| {
            let twice = cut.coarsened(2);
            let fits = (elements / cut.longest().max(1)).saturating_mul(twice.longest()) <= room;
            (cut.count() > 1 && fits).then_some((cut.longest(), axis, twice))
        };
        match cuts.iter().enumerate().filter_map(longer).min_by_key(|(length, axis, _)| (*length, *axis)) {
            Some((_, axis, twice)) => cuts[axis] = twice,
            None => return ChunkGrid::from_axes(cuts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_kernels::DType;

    #[test]
    fn boxes_are_whole_where_asked_and_of_a_fair_size() {
        let x = Array::zeros(&[2920, 361, 720], DType::F32).unwrap().rechunk([40, 361, 720]).unwrap();
        let tasks = whole_along(&x, &[0]).unwrap();
        let chunk = tasks.largest_chunk();
        assert_eq!((chunk[0], chunk[2]), (2920, 720));
        assert!(chunk.iter().product::<u64>() * 4 <= BLOCK_BYTES, "{chunk:?}");
        let tasks = long_along(&x, 1).unwrap();
        assert_eq!(tasks.largest_chunk(), [40, 361, 720]);
        assert_eq!(compact(x.grid(), 1 << 22).unwrap().largest_chunk(), [40, 361, 720]);
        let x = x.rechunk([1, 30, 30]).unwrap();
        assert_eq!(compact(x.grid(), 1 << 22).unwrap().largest_chunk(), [128, 240, 120]);
        assert_eq!(long_along(&x, 0).unwrap().largest_chunk(), [2920, 30, 30]);
        let long = Array::zeros(&[1 << 30, 2], DType::F64).unwrap().rechunk([1 << 20, 2]).unwrap();
        assert_eq!(whole_along(&long, &[0]).unwrap().largest_chunk(), [1 << 30, 1]);
        assert_eq!(long_along(&long, 0).unwrap().largest_chunk(), [1 << 20, 2]);
    }
}
