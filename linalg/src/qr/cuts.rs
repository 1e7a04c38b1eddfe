//! How the rows of a tall matrix are cut into panels, and panels into groups.
//!
//! Invariant: cuts depend on the matrix alone, so that the factors do. Called by [`super::tree`].

use blockwise_core::Result;
use blockwise_core::grid::AxisGrid;

/// Bytes that a panel has at least, if the matrix has.
const PANEL_BYTES: u64 = 8 << 20;
/// Bytes that a panel does not exceed unless it must.
const MOST_PANEL_BYTES: u64 = 128 << 20;
/// Bytes of the triangles of a group.
const GROUP_BYTES: u64 = 16 << 20;

/// The panels of a matrix whose rows are cut along `cuts`: few triangles, whose rows are a small part of the matrix's.
pub(super) fn panels(cuts: &AxisGrid, columns: u64, item_bytes: u64) -> Result<AxisGrid> {
    let row_bytes = columns.saturating_mul(item_bytes).max(1);
    let fair = (PANEL_BYTES / row_bytes).max(columns.saturating_mul(8).min(8 * PANEL_BYTES / row_bytes));
    let least = fair.max(columns.saturating_mul(2)).max(1);
    let (extent, longest) = (cuts.extent(), cuts.longest());
    if longest.saturating_mul(row_bytes) > MOST_PANEL_BYTES && longest >= 2 * least {
        // Equal parts of a chunk, if there are such.
        let parts = (longest / least).min(longest.saturating_mul(row_bytes).div_ceil(MOST_PANEL_BYTES));
        let even = (parts..=longest / least).find(|parts| longest.is_multiple_of(*parts));
        return joined(&AxisGrid::regular(extent, longest / even.unwrap_or(parts))?, least);
    }
    joined(cuts, least)
}

/// Neighbouring chunks joined until each has `least` elements.
fn joined(cuts: &AxisGrid, least: u64) -> Result<AxisGrid> {
    if let Some(chunk) = cuts.regular_chunk() {
        let joined = cuts.coarsened(least.div_ceil(chunk));
        let count = joined.count();
        if count <= 1 || joined.length(count - 1) >= least {
            return Ok(joined);
        }
    }
    let mut lengths: Vec<u64> = Vec::new();
    for chunk in 0..cuts.count() {
        match lengths.last_mut() {
            Some(last) if *last < least => *last += cuts.length(chunk),
            _ => lengths.push(cuts.length(chunk)),
        }
    }
    // What is left over is too short alone.
    if let [.., before, last] = lengths.as_mut_slice()
        && *last < least
    {
        *before += *last;
        lengths.pop();
    }
    AxisGrid::rectilinear(&lengths)
}

/// The strips of a matrix along `cuts`, its long side: blocks that hold the short side whole, in which products with
/// `width` columns are small beside the matrix.
pub(crate) fn strips(cuts: &AxisGrid, short: u64, width: u64, item_bytes: u64) -> Result<AxisGrid> {
    let line_bytes = short.saturating_mul(item_bytes).max(1);
    let least = (4 * PANEL_BYTES / line_bytes).max(width.saturating_mul(32) / item_bytes.max(1)).max(1);
    let longest = cuts.longest();
    if longest >= 2 * least {
        let even = (longest / least / 2 + 1..=longest / least).rev();
        let parts = even.into_iter().find(|parts| longest.is_multiple_of(*parts)).unwrap_or(longest / least);
        return joined(&AxisGrid::regular(cuts.extent(), longest / parts)?, longest / parts);
    }
    joined(cuts, least)
}

/// How many triangles of so many bytes a group has.
pub(super) fn group(triangle_bytes: u64) -> u64 {
    (GROUP_BYTES / triangle_bytes.max(1)).clamp(4, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(cuts: &AxisGrid) -> Vec<u64> {
        (0..cuts.count()).map(|n| cuts.length(n)).collect()
    }

    #[test]
    fn panels_are_tall_and_keep_to_the_chunks() {
        let chunks = |extent, chunk| AxisGrid::regular(extent, chunk).unwrap();
        // The chunks themselves.
        assert_eq!(panels(&chunks(2_000_000, 100_000), 100, 8).unwrap(), chunks(2_000_000, 100_000));
        // Small chunks are joined; the rest goes to the last.
        assert_eq!(
            lengths(&panels(&chunks(50_100, 1000), 100, 8).unwrap()),
            [11_000, 11_000, 11_000, 17_100]
        );
        // One of all, where there are few rows.
        assert_eq!(lengths(&panels(&chunks(70, 7), 100, 8).unwrap()), [70]);
        // Large ones are cut evenly.
        let cut = panels(&chunks(4_000_000, 2_000_000), 100, 8).unwrap();
        assert!(cut.longest() * 800 <= MOST_PANEL_BYTES && 2_000_000 % cut.longest() == 0, "{cut:?}");
        let uneven = AxisGrid::rectilinear(&[5000, 4000, 9000, 30_000, 10]).unwrap();
        assert_eq!(lengths(&panels(&uneven, 100, 8).unwrap()), [18_000, 30_010]);
    }
}
