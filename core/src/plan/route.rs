//! Which way a copy takes: in one pass, or through temporary arrays, and in which pieces.
//!
//! Between source and sink there may be temporary arrays whose chunks ("pieces") are the intersections of
//! consolidated read boxes and consolidated write boxes: whole groups of input chunks, whole groups of output
//! chunks, each within the memory. That is the idea of rechunker's consolidated plans and of cubed's irregular
//! intermediates, here with cuts that may be irregular so that no piece is read for two boxes. If pieces come out
//! too small to write and read well, further boxes are put between by geometric interpolation.
//!
//! Invariant: what [`choose`] returns fits the budget at one thread at least. Called by `plan_copy`.

use super::copy::{Ends, TaskSizes};
use super::{Resources, sweep::Sweep};
use crate::error::{Error, Result, human_bytes};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::{byte_count, element_count};
use crate::source::Source;
use crate::spill;
use std::sync::Arc;

/// Pieces below this are written and read too slowly by most disks; another pass is then worth its price.
const SMALL_PIECE_BYTES: u64 = 64 << 10;
/// Temporary arrays that a route may have at most.
const MAX_SPILLS: usize = 4;
/// A run of a contiguous file below this is read too slowly; boxes are widened until their runs are this long.
const SHORT_RUN_BYTES: u64 = 256 << 10;
/// Widened boxes of a contiguous file take at most this.
const RECUT_BYTES: u64 = 16 << 20;

/// One stage of a route.
pub(crate) struct Hop {
    pub(crate) sweep: Sweep,
    pub(crate) sizes: TaskSizes,
}

/// The way that was chosen.
pub(crate) struct Route {
    /// Grids of the temporary arrays, in order.
    pub(crate) between: Vec<ChunkGrid>,
    pub(crate) hops: Vec<Hop>,
    pub(crate) smallest_budget_bytes: u64,
}

impl Route {
    pub(crate) fn needed_bytes(&self, threads: u64) -> u64 {
        self.hops.iter().map(|hop| hop.sizes.needed_bytes(threads)).max().unwrap_or(0)
    }

    /// Sizes of the stage that needs the most.
    fn largest_sizes(&self) -> TaskSizes {
        let none = TaskSizes { read_scratch: 0, write_scratch: 0, input: 0, output: 0, held: 0 };
        self.hops.iter().map(|hop| hop.sizes).max_by_key(|sizes| sizes.needed_bytes(1)).unwrap_or(none)
    }
}

/// Chooses the route with the fewest passes that lets all threads work; failing that, one that works at all.
///
/// The smallest budget that works is the least need of the single pass and of a ladder of routes that depends on
/// the array alone, so that a plan for the budget that a refusal names is never refused.
pub(crate) fn choose(ends: &Ends, resources: &Resources) -> Result<Route> {
    let threads = resources.threads.max(1) as u64;
    let budget = resources.budget_bytes;
    let single = single(ends)?;
    let mut smallest = single.needed_bytes(1);
    if single.needed_bytes(threads) <= budget {
        return Ok(Route { smallest_budget_bytes: smallest, ..single });
    }
    let mut sizes = single.largest_sizes();
    let mut serial = (smallest <= budget).then_some(single);
    let mut parallel = None;
    // Large boxes first: they make large pieces. The first three suit this budget, the ladder every budget.
    for share in [budget / 10 * 8, budget / 10 * 6, budget / 10 * 4] {
        let route = if parallel.is_none() { spilled_route(ends, share)? } else { None };
        parallel = parallel.or(route.filter(|route| route.needed_bytes(threads) <= budget));
    }
    for share in ladder(ends) {
        let Some(route) = spilled_route(ends, share)? else { break };
        let needed = route.needed_bytes(1);
        if needed < smallest {
            smallest = needed;
            sizes = route.largest_sizes();
        }
        if parallel.is_none() && route.needed_bytes(threads) <= budget {
            parallel = Some(route);
        } else if serial.is_none() && needed <= budget {
            serial = Some(route);
        }
    }
    match parallel.or(serial) {
        Some(route) => Ok(Route { smallest_budget_bytes: smallest, ..route }),
        None => Err(over_budget(&format!("rechunk of {}", ends.label), &sizes, smallest, resources)),
    }
}

/// The route of one pass, whatever it needs.
pub(crate) fn single(ends: &Ends) -> Result<Route> {
    let route = route_through(ends, Vec::new())?;
    Ok(Route { smallest_budget_bytes: route.needed_bytes(1), ..route })
}

/// Shares of memory for boxes, halving from the whole array down to nothing.
fn ladder(ends: &Ends) -> impl Iterator<Item = u64> {
    let total = byte_count(&ends.input.shape(), ends.item_bytes).unwrap_or(u64::MAX);
    std::iter::successors(Some(total), |share| (*share > 0).then_some(share / 2))
}

/// The refusal of a budget that cannot work.
pub(crate) fn over_budget(
    operation: &str,
    sizes: &TaskSizes,
    needed_bytes: u64,
    resources: &Resources,
) -> Error {
    Error::OverBudget {
        operation: operation.to_owned(),
        detail: format!(
            "an input chunk takes {} and {} to decode, an output chunk {} and {} to encode",
            human_bytes(sizes.input),
            human_bytes(sizes.read_scratch),
            human_bytes(sizes.output),
            human_bytes(sizes.write_scratch)
        ),
        needed_bytes,
        budget_bytes: resources.budget_bytes,
    }
}

/// `source` cut for reading boxes of `output`, if it can serve any box: the output's chunks, widened along the
/// fastest axes until a run in the file is long enough to read well, then shortened along the slowest so that a box
/// stays small.
pub(crate) fn recut_for(source: &Arc<dyn Source>, output: &ChunkGrid) -> Option<Arc<dyn Source>> {
    let shape = output.shape();
    let mut lengths = output.largest_chunk();
    let mut run_bytes = source.dtype().size() as u64;
    let mut widened = false;
    for (length, extent) in lengths.iter_mut().zip(&shape).rev() {
        if run_bytes.saturating_mul(*length) >= SHORT_RUN_BYTES || *extent == 0 {
            break;
        }
        // Whole axes only: a partial one would still end the run here.
        widened |= *length < *extent;
        *length = *extent;
        run_bytes = run_bytes.saturating_mul(*extent);
    }
    if !widened {
        return source.recut(output);
    }
    for axis in 0..lengths.len() {
        let bytes = byte_count(&lengths, source.dtype().size()).unwrap_or(u64::MAX);
        if bytes > RECUT_BYTES {
            lengths[axis] = (lengths[axis] / bytes.div_ceil(RECUT_BYTES)).max(1);
        }
    }
    source.recut(&ChunkGrid::regular(&shape, &lengths).ok()?)
}

/// A band of a chunk takes at least this, lest chunks be read in slivers.
const BAND_BYTES: u64 = 512 << 10;

/// A run of a band in its chunk takes at least this: uncompressed ones are read one by one.
const BAND_RUN_BYTES: u64 = 4 << 10;

/// `source` read in bands as `wanted` is cut, for every axis along which its chunks are longer and can be read so.
pub(crate) fn in_bands(source: &Arc<dyn Source>, wanted: &ChunkGrid) -> Vec<Arc<dyn Source>> {
    let grid = source.grid();
    let chunk = grid.largest_chunk();
    let chunk_bytes = byte_count(&chunk, source.dtype().size()).unwrap_or(u64::MAX);
    let axes = grid.axes().iter().zip(wanted.axes()).enumerate();
    let longer = axes.filter(|(_, (own, wanted))| own.longest() > wanted.longest());
    longer
        .filter_map(|(axis, (own, wanted))| {
            let band_bytes = (chunk_bytes / own.longest()).saturating_mul(wanted.longest()).max(1);
            let inner = chunk.get(axis + 1..).and_then(|lengths| byte_count(lengths, source.dtype().size()));
            let run_bytes = inner.unwrap_or(u64::MAX).saturating_mul(wanted.longest()).max(1);
            let multiple = BAND_BYTES.div_ceil(band_bytes).max(BAND_RUN_BYTES.div_ceil(run_bytes));
            source.banded(axis, &wanted.coarsened(multiple))
        })
        .collect()
}

/// Bytes of a band that is computed with while it is in the cache: of one core and a little of what all share.
const CACHED_BYTES: u64 = 4 << 20;

/// `source` with its chunks cut along their first axis into equal bands, each small beside the chunk, for computing with one
/// while it is in the cache; `None` if there are none such.
pub(crate) fn in_cached_bands(source: &Arc<dyn Source>) -> Option<Arc<dyn Source>> {
    let chunk = source.grid().largest_chunk();
    let (axis, rows) = chunk.iter().copied().enumerate().find(|(_, length)| *length > 1)?;
    let chunk_bytes = byte_count(&chunk, source.dtype().size())?;
    let least = chunk_bytes.div_ceil(CACHED_BYTES);
    let parts =
        (least.max(4)..=rows.min(least.saturating_mul(4))).find(|parts| rows.is_multiple_of(*parts))?;
    let cuts = source.grid().axes().get(axis)?;
    let bands = source.banded(axis, &AxisGrid::regular(cuts.extent(), rows / parts).ok()?)?;
    // Of bands, what one leaves for the next, and what reading them takes, all together.
    let band_bytes = chunk_bytes / parts + bands.read_scratch_bytes().saturating_mul(2);
    (band_bytes <= chunk_bytes / 2).then_some(bands)
}

/// The stages from input to output through temporary arrays with the given grids.
fn route_through(ends: &Ends, between: Vec<ChunkGrid>) -> Result<Route> {
    let mut hops = Vec::with_capacity(between.len() + 1);
    for n in 0..=between.len() {
        let input = if n == 0 { &ends.input } else { &between[n - 1] };
        let last = n == between.len();
        let (output, commit) = if last { (&ends.output, &ends.commit) } else { (&between[n], &between[n]) };
        let (sweep, held_elements) = Sweep::cheapest(input, output, commit);
        let bytes = |grid: &ChunkGrid| chunk_bytes(grid, ends.item_bytes);
        let sizes = TaskSizes {
            read_scratch: if n == 0 { ends.read_scratch } else { spill::scratch_bytes(bytes(input)?) },
            write_scratch: if last { ends.write_scratch } else { spill::scratch_bytes(bytes(output)?) },
            input: bytes(input)?,
            output: if input == output { 0 } else { bytes(output)? },
            held: held_elements.saturating_mul(ends.item_bytes as u64).saturating_add(if n == 0 {
                ends.held_bytes
            } else {
                0
            }),
        };
        hops.push(Hop { sweep, sizes });
    }
    Ok(Route { between, hops, smallest_budget_bytes: 0 })
}

fn chunk_bytes(grid: &ChunkGrid, item_bytes: usize) -> Result<u64> {
    let shape = grid.largest_chunk();
    byte_count(&shape, item_bytes).ok_or(Error::TooLarge { what: "chunk", shape })
}

/// The best route through temporary arrays whose boxes take at most `share_bytes` (or a chunk, if that is more).
/// `None` if the array is empty.
fn spilled_route(ends: &Ends, share_bytes: u64) -> Result<Option<Route>> {
    let shape = ends.input.shape();
    if shape.contains(&0) {
        return Ok(None);
    }
    let share_elements = share_bytes / ends.item_bytes.max(1) as u64;
    let (read_box, write_box) = grown_boxes(ends, share_elements);
    let mut best: Option<(u64, Vec<ChunkGrid>)> = None;
    for extra in 0..MAX_SPILLS {
        let between = piece_grids(ends, &read_box, &write_box, extra)?;
        let pieces = between.iter().map(ChunkGrid::chunk_count).max().unwrap_or(1).max(1);
        let total = byte_count(&shape, ends.item_bytes).unwrap_or(u64::MAX);
        let piece_bytes = total / pieces;
        let worth_it = best.as_ref().is_none_or(|(had, _)| piece_bytes / 4 >= *had);
        if pieces <= super::MAX_CHUNKS && worth_it {
            best = Some((piece_bytes, between));
        }
        if best.as_ref().is_some_and(|(had, _)| *had >= SMALL_PIECE_BYTES) {
            break;
        }
    }
    best.map(|(_, between)| route_through(ends, between)).transpose()
}

/// Boxes of whole input chunks and of whole output chunks, grown until one contains the other on every axis or the
/// memory is used. Only an axis on which a box is the shorter of the two makes pieces larger; the last axes go
/// first, since they make runs in memory longer.
fn grown_boxes(ends: &Ends, share_elements: u64) -> (Vec<u64>, Vec<u64>) {
    let shape = ends.input.shape();
    let units = [ends.input.largest_chunk(), ends.output.largest_chunk()];
    let mut boxes = units.clone();
    loop {
        let volume = |b: &[u64]| element_count(b).unwrap_or(u64::MAX);
        let mut order = [0, 1];
        order.sort_by_key(|which| volume(&boxes[*which]));
        let step = order.iter().find_map(|&which| {
            let (own, other) = (&boxes[which], &boxes[1 - which]);
            (0..shape.len()).rev().find_map(|axis| {
                if own[axis] >= other[axis] || own[axis] >= shape[axis] {
                    return None;
                }
                let unit = units[which][axis].max(1);
                let wanted = own[axis].saturating_mul(2).min(other[axis].div_ceil(unit).saturating_mul(unit));
                let mut grown = own.clone();
                grown[axis] = wanted.max(own[axis].saturating_add(unit)).min(shape[axis]);
                (volume(&grown) <= share_elements).then_some((which, grown))
            })
        });
        match step {
            Some((which, grown)) => boxes[which] = grown,
            None => break,
        }
    }
    let [read_box, write_box] = boxes;
    (read_box, write_box)
}

/// Grids of the temporary arrays for given boxes, with `extra` boxes interpolated between them.
fn piece_grids(ends: &Ends, read_box: &[u64], write_box: &[u64], extra: usize) -> Result<Vec<ChunkGrid>> {
    let coarse = |grid: &ChunkGrid, lengths: &[u64]| {
        let axes = grid
            .axes()
            .iter()
            .zip(lengths)
            .map(|(axis, length)| axis.coarsened(length.div_ceil(axis.longest().max(1))));
        ChunkGrid::from_axes(axes.collect())
    };
    let mut boxes = vec![coarse(&ends.input, read_box)?];
    for n in 1..=extra {
        let lengths: Vec<u64> =
            read_box.iter().zip(write_box).map(|(r, w)| interpolated(*r, *w, n, extra + 1)).collect();
        boxes.push(ChunkGrid::regular(&ends.input.shape(), &lengths)?);
    }
    boxes.push(coarse(&ends.output, write_box)?);
    boxes.windows(2).map(|pair| pair[0].refined_by(&pair[1])).collect()
}

/// The length `n` of `of` steps from `from` to `to` on a geometric scale, at least 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a heuristic length"
)]
fn interpolated(from: u64, to: u64, n: usize, of: usize) -> u64 {
    let (from, to) = (from.max(1) as f64, to.max(1) as f64);
    let at = from * (to / from).powf(n as f64 / of as f64);
    at.round().max(1.0) as u64
}
