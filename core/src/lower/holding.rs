//! What holding the inputs of a stage costs, in any order of its tasks.
//!
//! Invariant: bytes are upper bounds over all tasks. Called by [`super::stage`].

use super::expression::{Piece, Read};
use super::stage::InputDraft;
use crate::grid::{AxisGrid, ChunkGrid};
use crate::plan::Reach;
use crate::plan::sweep::{Holding, SeenAxis};
use crate::view::{AxisView, View};
use std::collections::BTreeMap;

/// How tasks are visited.
#[derive(Clone, Copy)]
pub(super) struct Visits<'a> {
    pub(super) tasks: &'a ChunkGrid,
    /// Boxes of whole tasks, visited one after another.
    pub(super) boxes: &'a ChunkGrid,
    /// Whether each reads for itself what it needs; else what several need is held from one to the next.
    pub(super) apart: bool,
}

/// What holding inputs costs, and the bytes of their elements: one entry for each input that is seen everywhere, few
/// for each read that is put together from windows, since of those few are seen at a time.
pub(super) fn holdings(inputs: &[InputDraft], reads: &[Read], visits: Visits<'_>) -> Vec<(Holding, u64)> {
    let whole = inputs.iter().filter_map(|input| {
        let members: Vec<&Read> = input.pieces.iter().filter_map(|(read, _)| reads.get(*read)).collect();
        let windowed = members.iter().any(|read| is_windowed(read));
        (!windowed).then(|| holding(&members, visits))
    });
    let windowed = reads.iter().filter(|read| is_windowed(read));
    whole.chain(windowed.flat_map(|read| holdings_of(read, visits))).collect()
}

/// What holding the inputs of one read costs: one entry for all pieces whose chunks are about as long.
pub(super) fn holdings_of(read: &Read, visits: Visits<'_>) -> Vec<(Holding, u64)> {
    // The bound takes every chunk of an entry for as long as its longest along each axis.
    let mut alike: BTreeMap<Vec<u32>, Vec<Piece>> = BTreeMap::new();
    for piece in &read.pieces {
        let mut lengths = vec![thickness(piece)];
        lengths.extend((0..visits.tasks.rank()).filter_map(|axis| Some(following(piece, axis)?.2.longest())));
        let key = lengths.into_iter().map(|length| length.max(1).ilog2()).collect();
        alike.entry(key).or_default().push(piece.clone());
    }
    let part = |pieces| holding(&[&Read { pieces, ..read.clone() }], visits);
    alike.into_values().map(part).collect()
}

fn is_windowed(read: &Read) -> bool {
    read.pieces.iter().any(|piece| piece.window.is_some())
}

/// What holding costs for reads that share an input, or for one of several pieces, and the bytes of an element.
fn holding(members: &[&Read], visits: Visits<'_>) -> (Holding, u64) {
    let Visits { tasks, boxes, apart } = visits;
    let seen: Vec<SeenAxis> =
        tasks.axes().iter().enumerate().map(|(axis, cuts)| seen_axis(members, axis, cuts.extent())).collect();
    let pieces = members.iter().flat_map(|read| &read.pieces);
    let thickest = pieces.map(thickness).max().unwrap_or(1);
    let item_bytes = members.first().map_or(1, |read| read.dtype.size() as u64).saturating_mul(thickest);
    let holding = if apart { Holding::apart(&seen, tasks, boxes) } else { Holding::new(&seen, tasks, boxes) };
    (holding, item_bytes)
}

/// Elements of a chunk along the axes that stand still: those are as thick as a chunk.
fn thickness(piece: &Piece) -> u64 {
    let axes = piece.view.axes().iter().zip(piece.source.grid().axes());
    axes.fold(1, |product: u64, (view, cuts)| match view {
        AxisView::Fixed { .. } => product.saturating_mul(cuts.longest().max(1)),
        AxisView::Along { .. } => product,
    })
}

/// How a piece follows a task axis: start, step, and the cuts of the axis below.
fn following(piece: &Piece, axis: usize) -> Option<(u64, i64, &AxisGrid)> {
    piece.view.axes().iter().zip(piece.source.grid().axes()).find_map(|(view, cuts)| match *view {
        AxisView::Along { axis: own, start, step } if own == axis => Some((start, step, cuts)),
        _ => None,
    })
}

/// How the chunks of some reads lie along a task axis.
pub(super) fn seen_axis(members: &[&Read], axis: usize, extent: u64) -> SeenAxis {
    let pieces = members.first().map_or(&[][..], |read| read.pieces.as_slice());
    let reach = |read: &&Read| match read.reach.get(axis) {
        Some(Reach::Around(before, after)) => (*before, *after),
        Some(Reach::Still) | None => (0, 0),
    };
    let own_reach = members.iter().map(reach).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let [Piece { window: None, .. }] = pieces else { return windowed_axis(pieces, axis, extent, own_reach) };
    let Some((start, step, cuts)) = pieces.first().and_then(|piece| following(piece, axis)) else {
        return SeenAxis { cuts: uncut(extent), unit: Some(1), reach: (0, 0) };
    };
    // Where one of the reads looks further ahead or behind than the first.
    let (mut before, mut after) = (0_i128, 0_i128);
    for read in members {
        let own = reach(read);
        let from =
            read.pieces.first().and_then(|piece| following(piece, axis)).map_or(start, |found| found.0);
        let shift = i128::from(from) - i128::from(start);
        let shift = if step > 0 { shift } else { -shift };
        let stride = i128::from(step.unsigned_abs());
        let outwards =
            if shift >= 0 { (shift + stride - 1) / stride } else { -((stride - 1 - shift) / stride) };
        before = before.max(i128::from(own.0) - outwards);
        after = after.max(i128::from(own.1) + outwards);
    }
    let clamp = |n: i128| u64::try_from(n.max(0)).unwrap_or(u64::MAX);
    let reach = (clamp(before), clamp(after));
    if start == 0 && step == 1 && cuts.extent() == extent {
        return SeenAxis { cuts: cuts.clone(), unit: None, reach };
    }
    SeenAxis { cuts: View::seen_cuts(cuts, start, step, extent), unit: Some(cuts.longest().max(1)), reach }
}

fn uncut(extent: u64) -> AxisGrid {
    AxisGrid::regular(extent, extent.max(1)).unwrap_or_else(|_| AxisGrid::empty())
}

/// How the chunks of pieces side by side lie along a task axis: cut wherever one of them is.
fn windowed_axis(pieces: &[Piece], axis: usize, extent: u64, reach: (u64, u64)) -> SeenAxis {
    let (mut starts, mut unit) = (vec![0, extent], 1);
    for piece in pieces {
        let window =
            piece.window.as_ref().and_then(|window| window.ranges.get(axis).cloned()).unwrap_or(0..extent);
        starts.extend([window.start, window.end]);
        if let Some((start, step, cuts)) = following(piece, axis) {
            unit = unit.max(cuts.longest());
            let seen = View::seen_cuts(cuts, start, step, window.end - window.start);
            starts.extend((0..seen.count()).map(|n| window.start + seen.start(n)));
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let lengths: Vec<u64> = starts.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?)).collect();
    SeenAxis {
        cuts: AxisGrid::rectilinear(&lengths).unwrap_or_else(|_| uncut(extent)),
        unit: Some(unit),
        reach,
    }
}
