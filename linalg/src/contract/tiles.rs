//! The boxes of the tasks of a product: of a fair size, along the cuts of the factors.
//!
//! Invariants: boxes depend on the factors alone; a task's blocks take no more than about [`BLOCK_BYTES`] each, and its
//! result no more than about [`RESULT_BYTES`]. Called by [`super::contract`].

use super::Roles;
use blockwise_core::{Array, AxisGrid, ChunkGrid, Result};

/// Bytes that the block of a factor aims at.
const BLOCK_BYTES: u64 = 16 << 20;
/// Bytes below which smaller blocks, for more tasks, are not worth their while.
const SMALL_BYTES: u64 = 1 << 20;
/// Bytes that the result of a task aims at.
const RESULT_BYTES: u64 = 8 << 20;
/// Tasks that there should be at least, so that all threads have some.
const TASKS: u64 = 32;
/// Rows, columns and inner elements that a task should have: then a product takes far longer than reading.
const SIDE: u64 = 1024;

/// The task grid of the product of `a` and `b`: batch, rows, inner, columns.
pub(super) fn tasks(a: &Array, b: &Array, roles: Roles) -> Result<ChunkGrid> {
    let Roles { batch, rows, inner, .. } = roles;
    let axes = |array: &Array, from: usize, to: usize| -> Vec<AxisGrid> {
        array.grid().axes().get(from..to).unwrap_or(&[]).to_vec()
    };
    let row_cuts = axes(a, batch, batch + rows);
    let column_cuts = axes(b, batch + inner, b.rank());
    // The larger factor's chunks should be read whole.
    let inner_cuts = if elements(&a.shape()) >= elements(&b.shape()) {
        axes(a, batch + rows, a.rank())
    } else {
        axes(b, batch, batch + inner)
    };
    let batch_cuts: Vec<AxisGrid> = axes(a, 0, batch)
        .into_iter()
        .zip(axes(b, 0, batch))
        .map(|(a, b)| if a.extent() == 1 { b } else { a })
        .collect();

    let item_bytes = a.dtype().size() as u64;
    let total_bytes = elements(&a.shape()).max(elements(&b.shape())).saturating_mul(item_bytes);
    let block = (total_bytes / TASKS).clamp(SMALL_BYTES, BLOCK_BYTES) / item_bytes;
    let result = RESULT_BYTES / item_bytes;
    let [m, k, n] = [&row_cuts, &inner_cuts, &column_cuts].map(|cuts| extent(cuts));
    let [mut tile_m, mut tile_k, mut tile_n] = [m, k, n].map(|extent| extent.clamp(1, SIDE));
    tile_k = tile_k.max(k.min(block / tile_m.max(tile_n)));
    tile_m = tile_m.max(m.min((block / tile_k).min(result / tile_n)));
    tile_n = tile_n.max(n.min((block / tile_k).min(result / tile_m)));
    let room = block / (tile_m * tile_k).max(tile_k * tile_n).max(tile_m * tile_n).max(1);
    let mut cuts = filled(&batch_cuts, room.max(1))?;
    cuts.extend(filled(&row_cuts, tile_m)?);
    cuts.extend(filled(&inner_cuts, tile_k)?);
    cuts.extend(filled(&column_cuts, tile_n)?);
    ChunkGrid::from_axes(cuts)
}

/// The axes in pieces of about `room` elements together, the last ones longest.
pub(crate) fn filled(cuts: &[AxisGrid], mut room: u64) -> Result<Vec<AxisGrid>> {
    let mut pieces = cuts.to_vec();
    for cut in pieces.iter_mut().rev() {
        *cut = cut.resized(room)?;
        room = (room / cut.longest().max(1)).max(1);
    }
    Ok(pieces)
}

fn extent(cuts: &[AxisGrid]) -> u64 {
    cuts.iter().fold(1, |product: u64, cut| product.saturating_mul(cut.extent()))
}

fn elements(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product: u64, extent| product.saturating_mul(*extent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::DType;

    fn largest(a: &[u64], a_chunk: [u64; 2], b: &[u64], b_chunk: [u64; 2]) -> Vec<u64> {
        let a = Array::zeros(a, DType::F64).unwrap().rechunk(a_chunk).unwrap();
        let b = Array::zeros(b, DType::F64).unwrap().rechunk(b_chunk).unwrap();
        let roles = Roles { batch: 0, rows: 1, inner: 1, columns: 1 };
        tasks(&a, &b, roles).unwrap().largest_chunk()
    }

    #[test]
    fn tiles_are_of_a_fair_size_and_follow_chunks() {
        let square = largest(&[20_000, 20_000], [1000, 1000], &[20_000, 20_000], [1000, 1000]);
        assert_eq!(square, [1000, 2000, 1000]);
        let tall = largest(&[100, 2_000_000], [100, 20_000], &[2_000_000, 100], [20_000, 100]);
        assert_eq!(tall, [100, 20_000, 100]);
        let projected = largest(&[2_000_000, 100], [20_000, 100], &[100, 50], [100, 50]);
        assert_eq!(projected, [20_000, 100, 50]);
    }
}
