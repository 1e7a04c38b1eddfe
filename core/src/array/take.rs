//! Elements at listed positions: along one axis (`take`, `delete`), and point by point along several (`vindex`).
//!
//! A few runs of evenly spaced positions are views. Scattered ones are picked chunk by chunk, which reads only chunks
//! that hold some; then, if they were not asked for in the array's order, put in order. Invariant: memory is bounded
//! by a block of the input and one of the result, whatever the order. Called by programs and `eval`.

use super::order::{one, with_axis};
use super::tasks::{block_elements, joined, whole_along};
use super::{Array, Axes, Axis, Index};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::lower::is_stored;
use crate::region::{element_count, small};
use blockwise_kernels::{Lines, gather};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Runs of positions up to which a result is made of views, each of which is read or computed alone.
const FEW_RUNS: u64 = 4;
/// The same for runs that are as long as chunks of an array that is stored.
const LONG_RUNS: u64 = 64;

impl Array {
    /// The elements at `positions` along an axis, in that order; negative ones count from the end. NumPy's `take`, and
    /// its `x[[…]]`.
    ///
    /// # Errors
    /// If a position is outside the axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 100, 1)?.rechunk([7])?;
    /// assert_eq!(x.take(&[42, -1, 0, 42], 0)?.compute::<i64>()?.as_slice(), Some(&[42, 99, 0, 42][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn take(&self, positions: &[i64], axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let places = self.places(positions, axis)?;
        self.at_places(&places, axis)
    }

    /// The array without the elements at `positions` along an axis.
    ///
    /// # Errors
    /// If a position is outside the axis.
    pub fn delete(&self, positions: &[i64], axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let mut gone = self.places(positions, axis)?;
        gone.sort_unstable();
        let left = (0..self.grid().axes()[axis].extent()).filter(|at| gone.binary_search(at).is_err());
        self.at_places(&left.collect::<Vec<_>>(), axis)
    }

    /// The elements at points: `positions` holds one list for each of `axes`, all of one length, and a point is one
    /// position of each list. dask's `vindex`: the first axis of the result goes along the points, the others are the
    /// axes that are not named. Only chunks that hold a point are read.
    ///
    /// # Errors
    /// If lists are of different lengths or not one for each axis, or a position is outside its axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[4, 30, 40], |at| (at[0] * 10_000 + at[1] * 100 + at[2]) as i64)?;
    /// // Time series at three stations.
    /// let stations = x.with_names(&["time", "y", "x"])?.vindex(["y", "x"], &[&[29, 3, 0], &[-1, 4, 7]])?;
    /// assert_eq!(stations.shape(), [3, 4]);
    /// assert_eq!(stations.compute::<i64>()?[[0, 2]], 2_29_39);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn vindex(&self, axes: impl Into<Axes>, positions: &[&[i64]]) -> Result<Self> {
        let axes = axes.into().resolve(self.names())?;
        let points = positions.first().map_or(0, |list| list.len());
        if axes.is_empty() || axes.len() != positions.len() || positions.iter().any(|l| l.len() != points) {
            let lengths: Vec<usize> = positions.iter().map(|list| list.len()).collect();
            let message = format!(
                "lists of {lengths:?} positions for {} axes; give one list for each axis, all of one length",
                axes.len()
            );
            return Err(Error::Usage { message });
        }
        let places = axes.iter().zip(positions).map(|(axis, list)| self.places(list, *axis));
        let places = places.collect::<Result<Vec<_>>>()?;
        let mut order = axes.clone();
        order.extend((0..self.rank()).filter(|axis| !axes.contains(axis)));
        let mut turned = self.transpose(order)?;
        if points == 0 || turned.is_empty() {
            let rest: Vec<u64> = turned.shape().split_off(axes.len());
            let shape: Vec<u64> = std::iter::once(points as u64).chain(rest).collect();
            let names = std::iter::once(None).chain(turned.names()[axes.len()..].to_vec()).collect();
            return Ok(Self::zeros(&shape, self.dtype())?.renamed(names));
        }
        if !is_stored(&turned) {
            turned = turned.as_block()?;
        }
        turned.points(&places)
    }

    /// Positions along an axis, counted from its start.
    fn places(&self, positions: &[i64], axis: usize) -> Result<Vec<u64>> {
        positions.iter().map(|at| self.position(axis, *at)).collect()
    }

    /// The elements at `places` of an axis, which are inside it.
    fn at_places(&self, places: &[u64], axis: usize) -> Result<Self> {
        let cuts = &self.grid().axes()[axis];
        if places.is_empty() {
            return self.slice(axis, ..0);
        }
        if self.is_empty() {
            let mut shape = self.shape();
            shape[axis] = places.len() as u64;
            return Ok(Self::zeros(&shape, self.dtype())?.renamed(self.names().to_vec()));
        }
        let long_runs = places.len() as u64 / cuts.longest().max(1);
        let most = if is_stored(self) { long_runs.clamp(FEW_RUNS, LONG_RUNS) } else { FEW_RUNS };
        if let Some(runs) = even_runs(places, most) {
            let parts = runs.iter().map(|run| self.slice(axis, *run)).collect::<Result<Vec<_>>>()?;
            return Self::concatenate(&parts, axis);
        }
        if let Some(lists) = self.lists_by_chunk(places, axis) {
            return self.picked(lists, axis);
        }
        // Each place once and in order; then as they were asked for.
        let mut distinct = places.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let order = places.iter().filter_map(|place| distinct.binary_search(place).ok()).map(|n| n as i64);
        let order: Vec<i64> = order.collect();
        let found = if distinct.len() as u64 == cuts.extent() {
            self.clone()
        } else {
            self.at_places(&distinct, axis)?
        };
        found.reordered(order, axis)
    }

    /// For each chunk along an axis that holds some of `places`, their positions within it: if places never go back to
    /// an earlier chunk and no chunk is much longer for it.
    fn lists_by_chunk(&self, places: &[u64], axis: usize) -> Option<Vec<(u64, Vec<i64>)>> {
        let cuts = &self.grid().axes()[axis];
        let mut lists: Vec<(u64, Vec<i64>)> = Vec::new();
        for place in places {
            let chunk = cuts.chunk_of(*place)?;
            let local = (*place - cuts.start(chunk)) as i64;
            match lists.last_mut() {
                Some((last, _)) if *last > chunk => return None,
                Some((last, list)) if *last == chunk => list.push(local),
                _ => lists.push((chunk, vec![local])),
            }
        }
        let most = 2 * usize::try_from(cuts.longest()).ok()?;
        lists.iter().all(|(_, list)| list.len() <= most).then_some(lists)
    }

    /// What `lists` name of the chunks along an axis. A chunk of a stored array that they do not name is not read; of a
    /// computed one, it is computed with the others and left out.
    fn picked(&self, mut lists: Vec<(u64, Vec<i64>)>, axis: usize) -> Result<Self> {
        let cuts = &self.grid().axes()[axis];
        let named: Vec<u64> = lists.iter().map(|(chunk, _)| *chunk).collect();
        if !is_stored(self) {
            let span = named.first().copied().unwrap_or(0)..named.last().map_or(0, |last| last + 1);
            let mut given = lists.into_iter().peekable();
            // A box of a result has one element at least.
            lists = span.map(|n| given.next_if(|(chunk, _)| *chunk == n).unwrap_or((n, vec![0]))).collect();
        }
        let seen = neighbours(lists.iter().map(|(chunk, _)| cuts.start(*chunk)..cuts.start(*chunk + 1)));
        let input = self.slices(&seen, axis)?;
        let of_chunks: Vec<u64> = lists.iter().map(|(chunk, _)| cuts.length(*chunk)).collect();
        let of_lists: Vec<u64> = lists.iter().map(|(_, list)| list.len() as u64).collect();
        let tasks = with_axis(input.grid(), axis, AxisGrid::rectilinear(&of_chunks)?)?;
        let grid = with_axis(&tasks, axis, AxisGrid::rectilinear(&of_lists)?)?;
        let mut start = 0;
        let wanted = lists.iter().filter_map(|(chunk, list)| {
            let own = start..start + list.len() as u64;
            start = own.end;
            named.binary_search(chunk).is_ok().then_some(own)
        });
        let wanted = neighbours(wanted);
        let item_bytes = self.dtype().size();
        let longest = of_lists.iter().max().copied().unwrap_or(0);
        let scratch = gather::scratch_bytes(usize::try_from(longest).unwrap_or(usize::MAX));
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (_, list) = info.index.get(axis).and_then(|n| lists.get(*n as usize)).ok_or_else(no_list)?;
            Ok(gather::take(block.bytes, &block.shape()?, axis, list, item_bytes, out.bytes_mut())?)
        };
        let function = Arc::new(BlockClosure::new("take", scratch as u64, run));
        let index_axes = (0..self.rank()).map(Some).collect();
        let outputs = vec![(self.dtype(), grid)];
        let [found] = one(Self::from_blocks(function, vec![(&input).into()], tasks, index_axes, outputs)?)?;
        let found = found.slices(&wanted, axis)?.renamed(self.names().to_vec());
        // Slivers are read together.
        found.rechunk(&joined(found.grid(), item_bytes as u64)?)
    }

    /// The elements at positions `order` of an axis, of which blocks are whole. The result may be much longer.
    fn reordered(&self, order: Vec<i64>, axis: usize) -> Result<Self> {
        let lines = whole_along(self, &[axis])?;
        let (count, extent) = (order.len() as u64, self.grid().axes()[axis].extent());
        let slab = element_count(&lines.largest_chunk()).unwrap_or(u64::MAX) / extent.max(1);
        let item_bytes = self.dtype().size();
        let whole = with_axis(&lines, axis, AxisGrid::regular(count, count)?)?;
        let room = block_elements(&whole, item_bytes as u64) / slab.max(1);
        let length = if count <= extent.saturating_mul(2) { count } else { room.max(extent).min(count) };
        // Along an axis of their own, before that of the input, lie the boxes of the result.
        let mut cuts = lines.axes().to_vec();
        cuts.insert(axis, AxisGrid::regular(count, length)?);
        let grid = with_axis(&lines, axis, AxisGrid::regular(count, length)?)?;
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let mut shape = block.shape()?;
            shape.remove(axis);
            let own = info.region.ranges().nth(axis).ok_or_else(no_list)?;
            let list = order.get(own.start as usize..own.end as usize).ok_or_else(no_list)?;
            Ok(gather::take(block.bytes, &shape, axis, list, item_bytes, out.bytes_mut())?)
        };
        let scratch = gather::scratch_bytes(usize::try_from(length).unwrap_or(usize::MAX));
        let function = Arc::new(BlockClosure::new("take in order", scratch as u64, run));
        let index_axes = (0..self.rank()).map(|n| Some(if n <= axis { n } else { n + 1 })).collect();
        let inputs = vec![(&self.expand_dims(axis as i64)?).into()];
        let outputs = vec![(self.dtype(), grid)];
        let [found] =
            one(Self::from_blocks(function, inputs, ChunkGrid::from_axes(cuts)?, index_axes, outputs)?)?;
        Ok(found.renamed(self.names().to_vec()))
    }

    /// The elements at points of the first axes, which `places` lists for each.
    fn points(&self, places: &[Vec<u64>]) -> Result<Self> {
        let (cuts, others) = self.grid().axes().split_at(places.len());
        // Windows of one shape, one for each chunk that holds points: at the array's end they begin earlier.
        let window: Vec<u64> = cuts.iter().map(AxisGrid::longest).collect();
        let lengths = Lines::new(&small(&window)?, 0)?;
        let mut found: BTreeMap<Vec<u64>, (Vec<i64>, Vec<usize>)> = BTreeMap::new();
        for number in 0..places.first().map_or(0, Vec::len) {
            let (mut origin, mut flat) = (Vec::with_capacity(cuts.len()), 0);
            for ((list, cut), length) in places.iter().zip(cuts).zip(&window) {
                let place = list.get(number).copied().unwrap_or(0);
                let start = cut.chunk_of(place).map_or(0, |chunk| cut.start(chunk));
                let start = start.min(cut.extent() - length);
                origin.push(start);
                flat = flat * length + (place - start);
            }
            let (flats, numbers) = found.entry(origin).or_default();
            flats.push(flat as i64);
            numbers.push(number);
        }
        let part = |origin: &Vec<u64>| {
            let range = |(at, length): (&u64, &u64)| Index::from(*at as i64..(at + length) as i64);
            self.index(&origin.iter().zip(&window).map(range).collect::<Vec<_>>())?.expand_dims(0)
        };
        let windows = Self::concatenate(&found.keys().map(part).collect::<Result<Vec<_>>>()?, 0)?;
        let (lists, numbers): (Vec<Vec<i64>>, Vec<Vec<usize>>) = found.into_values().unzip();
        let mut tasks = vec![AxisGrid::regular(lists.len() as u64, 1)?];
        tasks.extend(
            window.iter().map(|length| AxisGrid::regular(*length, *length)).collect::<Result<Vec<_>>>()?,
        );
        tasks.extend(others.iter().cloned());
        let counts: Vec<u64> = lists.iter().map(|list| list.len() as u64).collect();
        let mut grid = vec![AxisGrid::rectilinear(&counts)?];
        grid.extend(others.iter().cloned());
        let index_axes = (0..grid.len()).map(|n| Some(if n == 0 { 0 } else { n + window.len() })).collect();
        let outputs = vec![(self.dtype(), ChunkGrid::from_axes(grid)?)];
        let (item_bytes, window_elements) = (self.dtype().size(), lengths.elements());
        let longest = counts.iter().max().copied().unwrap_or(0);
        let scratch = gather::scratch_bytes(usize::try_from(longest).unwrap_or(usize::MAX));
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let list = info.index.first().and_then(|n| lists.get(*n as usize)).ok_or_else(no_list)?;
            let inner = block.bytes.len() / (window_elements * item_bytes).max(1);
            let shape = [window_elements, inner];
            Ok(gather::take(block.bytes, &shape, 0, list, item_bytes, out.bytes_mut())?)
        };
        let function = Arc::new(BlockClosure::new("vindex", scratch as u64, run));
        let tasks = ChunkGrid::from_axes(tasks)?;
        let [found] = one(Self::from_blocks(function, vec![(&windows).into()], tasks, index_axes, outputs)?)?;
        let names = std::iter::once(None).chain(self.names()[places.len()..].to_vec()).collect();
        let found = found.rechunk(&joined(found.grid(), item_bytes as u64)?)?.renamed(names);
        // Found by windows; wanted by number.
        let mut order = vec![0; numbers.iter().map(Vec::len).sum()];
        for (at, number) in numbers.into_iter().flatten().enumerate() {
            if let Some(slot) = order.get_mut(number) {
                *slot = at as u64;
            }
        }
        found.at_places(&order, 0)
    }

    /// This array, stored as it is cut before it is read again.
    fn as_block(&self) -> Result<Self> {
        let run = |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            out.bytes_mut().copy_from_slice(block.bytes);
            Ok(())
        };
        self.mapped(BlockClosure::new("a copy", 0, run), self.grid().clone(), self.dtype())
    }

    /// Ranges of an axis, one after another.
    fn slices(&self, ranges: &[Range<u64>], axis: usize) -> Result<Self> {
        match ranges {
            [only] if *only == (0..self.grid().axes()[axis].extent()) => Ok(self.clone()),
            _ => {
                let slice = |range: &Range<u64>| self.slice(axis, range.start as i64..range.end as i64);
                Self::concatenate(&ranges.iter().map(slice).collect::<Result<Vec<_>>>()?, axis)
            }
        }
    }
}

fn no_list() -> Error {
    Error::Internal { message: "a block without a list of positions".to_owned() }
}

/// Ascending ranges, those that touch made one.
fn neighbours(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => all.push(range),
        }
    }
    all
}

/// The slices that give `places` in order, if they are few.
fn even_runs(places: &[u64], most: u64) -> Option<Vec<Index>> {
    let (mut runs, mut rest) = (Vec::new(), places);
    while let Some(&from) = rest.first() {
        let from = from as i64;
        let step = rest.get(1).map_or(1, |next| *next as i64 - from);
        let even = |(n, at): &(usize, &u64)| **at as i64 == from + step * *n as i64;
        let count = if step == 0 { 1 } else { rest.iter().enumerate().take_while(even).count() };
        let (step, stop) = if count == 1 { (1, from + 1) } else { (step, from + step * count as i64) };
        runs.push(Index::Slice { start: Some(from), stop: (stop >= 0).then_some(stop), step });
        if runs.len() as u64 > most {
            return None;
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    Some(runs)
}
