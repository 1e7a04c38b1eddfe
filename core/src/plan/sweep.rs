//! The order in which a stage visits its output chunks, and the memory that the order costs.
//!
//! A stage decodes each input chunk once and holds it until its last output is done. Which inputs are held at a
//! time depends on the order of the outputs alone. Invariants: a sweep visits every output exactly once, all of one
//! commit box (a shard) before the next; [`Sweep::held_elements`] is an upper bound of the input elements held at
//! any time when outputs run one by one. Called by the planner (to choose) and by the executor (to run).
//!
//! The bound is ours; it is the rechunker idea of consolidated reads turned round: rather than choose boxes, it
//! counts what a lexicographic order carries across each axis.

use crate::grid::{AxisGrid, ChunkGrid};
use std::ops::Range;

/// An order of output chunks: by commit box, then by chunk inside the box, both with `axes[0]` slowest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    axes: Vec<usize>,
}

/// What inputs do along one axis at one level of the order, in elements; maxima over the positions on that axis.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    /// Elements in inputs that reach beyond the current output on this axis: held while the axis advances.
    carried: u64,
    /// Elements in inputs that the current output alone needs.
    single: u64,
}

impl Sweep {
    /// The order with the given axes, slowest first; they must be a permutation of `0..rank`.
    pub(crate) fn new(axes: Vec<usize>) -> Self {
        debug_assert!((0..axes.len()).all(|axis| axes.contains(&axis)));
        Self { axes }
    }

    /// The order that holds the fewest input elements, and how many those are. Among equals, the one nearest to C
    /// order.
    pub(crate) fn cheapest(input: &ChunkGrid, output: &ChunkGrid, commit: &ChunkGrid) -> (Self, u64) {
        let seen: Vec<SeenAxis> = input.axes().iter().cloned().map(SeenAxis::exact).collect();
        let holding = Holding::new(&seen, output, commit);
        Self::least(input.rank(), |_| true, |axes| holding.held_elements(axes))
    }

    /// The order of least cost among those that `allowed` lets through (C order must be), and its cost. Among equals,
    /// the one nearest to C order. All orders are tried up to rank 6; above that the axes are chosen one by one.
    pub(crate) fn least(
        rank: usize,
        allowed: impl Fn(&[usize]) -> bool,
        cost: impl Fn(&[usize]) -> u64,
    ) -> (Self, u64) {
        let mut best: Option<(u64, Vec<usize>)> = None;
        let mut consider = |axes: &[usize]| {
            if !allowed(axes) {
                return;
            }
            let held = cost(axes);
            if best.as_ref().is_none_or(|(least, _)| held < *least) {
                best = Some((held, axes.to_vec()));
            }
        };
        if rank <= 6 {
            permutations(&mut (0..rank).collect::<Vec<_>>(), 0, &mut consider);
        } else {
            let mut axes: Vec<usize> = (0..rank).collect();
            consider(&axes);
            for slot in 0..rank {
                let pick = (slot..rank).min_by_key(|&from| {
                    let mut trial = axes.clone();
                    let axis = trial.remove(from);
                    trial.insert(slot, axis);
                    if allowed(&trial) { cost(&trial) } else { u64::MAX }
                });
                let axis = axes.remove(pick.unwrap_or(slot));
                axes.insert(slot, axis);
            }
            consider(&axes);
        }
        let (held, axes) = best.unwrap_or((1, Vec::new()));
        (Self::new(axes), held)
    }

    /// Upper bound of the input elements held at once in this order.
    #[cfg(test)]
    fn held_elements(&self, input: &ChunkGrid, output: &ChunkGrid, commit: &ChunkGrid) -> u64 {
        let seen: Vec<SeenAxis> = input.axes().iter().cloned().map(SeenAxis::exact).collect();
        Holding::new(&seen, output, commit).held_elements(&self.axes)
    }

    /// The axes, slowest first.
    pub(crate) fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// The chunks of `ranges` (index ranges per axis) in this order.
    pub(crate) fn visit(&self, ranges: Vec<Range<u64>>) -> Visit {
        let current =
            ranges.iter().all(|r| r.start < r.end).then(|| ranges.iter().map(|r| r.start).collect());
        Visit { axes: self.axes.clone(), ranges, current }
    }
}

/// Iterator over the chunk indices of a box of chunks.
#[derive(Debug)]
pub(crate) struct Visit {
    axes: Vec<usize>,
    ranges: Vec<Range<u64>>,
    current: Option<Vec<u64>>,
}

impl Iterator for Visit {
    type Item = Vec<u64>;

    fn next(&mut self) -> Option<Vec<u64>> {
        let now = self.current.take()?;
        let mut next = now.clone();
        for &axis in self.axes.iter().rev() {
            next[axis] += 1;
            if next[axis] < self.ranges[axis].end {
                self.current = Some(next);
                break;
            }
            next[axis] = self.ranges[axis].start;
        }
        Some(now)
    }
}

/// How an input's chunks lie along one axis of the outputs.
#[derive(Clone, Debug)]
pub(crate) struct SeenAxis {
    /// Where the chunks are cut, in positions of the outputs.
    pub(crate) cuts: AxisGrid,
    /// Elements that a chunk has along the axis, at most; `None`: as many as it shows.
    pub(crate) unit: Option<u64>,
    /// Elements that an output sees before and after its own.
    pub(crate) reach: (u64, u64),
}

impl SeenAxis {
    /// An axis of the outputs that is the input's own.
    pub(crate) const fn exact(cuts: AxisGrid) -> Self {
        Self { cuts, unit: None, reach: (0, 0) }
    }

    /// Elements of these chunks.
    fn weight(&self, chunks: &Range<u64>) -> u64 {
        match self.unit {
            Some(unit) => (chunks.end.saturating_sub(chunks.start)).saturating_mul(unit),
            None if chunks.is_empty() => 0,
            None => self.cuts.start(chunks.end) - self.cuts.start(chunks.start),
        }
    }

    /// The chunks that outputs on `range` see.
    fn touched(&self, range: &Range<u64>) -> Range<u64> {
        let (before, after) = self.reach;
        let end = range.end.saturating_add(after).min(self.cuts.extent());
        self.cuts.chunks_in(range.start.saturating_sub(before)..end)
    }
}

/// What holding an input costs in any order of the outputs.
pub(crate) struct Holding {
    extents: Vec<u64>,
    /// Per axis: between commit boxes, and between the chunks inside one.
    levels: [Vec<Crossing>; 2],
    two_levels: bool,
}

impl Holding {
    /// The costs for an input that outputs see so along their axes.
    pub(crate) fn new(seen: &[SeenAxis], output: &ChunkGrid, commit: &ChunkGrid) -> Self {
        let two_levels = output != commit;
        let outer =
            seen.iter().zip(commit.axes()).map(|(seen, commit)| crossing(seen, commit, Visited::Together));
        let inner = seen
            .iter()
            .zip(output.axes())
            .zip(commit.axes())
            .map(|((seen, output), commit)| crossing(seen, output, Visited::Within(commit)));
        Self {
            extents: seen.iter().map(|axis| axis.weight(&(0..axis.cuts.count()))).collect(),
            levels: [outer.collect(), if two_levels { inner.collect() } else { Vec::new() }],
            two_levels,
        }
    }

    /// The costs where every box of `parts`, which holds whole outputs, is visited by itself, and what several need is read
    /// for each: the most of any.
    pub(crate) fn apart(seen: &[SeenAxis], output: &ChunkGrid, parts: &ChunkGrid) -> Self {
        let axes = || seen.iter().zip(output.axes()).zip(parts.axes());
        let most = |(seen, parts): (&SeenAxis, &AxisGrid)| {
            let part = |n| seen.weight(&seen.touched(&(parts.start(n)..parts.start(n + 1))));
            (0..parts.count()).map(part).max().unwrap_or(0)
        };
        let level = axes().map(|((seen, output), parts)| crossing(seen, output, Visited::Apart(parts)));
        Self {
            extents: seen.iter().zip(parts.axes()).map(most).collect(),
            levels: [level.collect(), Vec::new()],
            two_levels: false,
        }
    }

    /// Sums what is carried at each step of the lexicographic order: an input carried across axis `k` may be any
    /// along the faster axes, and is single along the slower ones. Saturates, so that a hopeless order stays so.
    pub(crate) fn held_elements(&self, axes: &[usize]) -> u64 {
        let mut reach: Vec<u64> = self.extents.clone();
        let mut held = 0_u64;
        let levels = if self.two_levels { 2 } else { 1 };
        for level in &self.levels[..levels] {
            for &axis in axes {
                let cross_section =
                    product(reach.iter().enumerate().filter(|(k, _)| *k != axis).map(|(_, n)| *n));
                held = held.saturating_add(cross_section.saturating_mul(level[axis].carried));
                reach[axis] = level[axis].single;
            }
        }
        held.saturating_add(product(reach.into_iter()))
    }
}

fn product(mut factors: impl Iterator<Item = u64>) -> u64 {
    factors.try_fold(1_u64, u64::checked_mul).unwrap_or(u64::MAX)
}

/// What is visited one after another along an axis.
#[derive(Clone, Copy)]
enum Visited<'a> {
    /// All.
    Together,
    /// The outputs in each of these boxes; inputs that reach beyond are left out, as they count at the outer level.
    Within(&'a AxisGrid),
    /// The outputs in each of these boxes; other boxes read what they need for themselves.
    Apart(&'a AxisGrid),
}

/// Scans the outputs of an axis.
fn crossing(seen: &SeenAxis, output: &AxisGrid, visited: Visited<'_>) -> Crossing {
    let mut most = Crossing { carried: 0, single: 0 };
    let extent = output.extent();
    for index in 0..output.count() {
        let range = output.start(index)..output.start(index + 1);
        let boxes = match visited {
            Visited::Within(boxes) | Visited::Apart(boxes) => Some(boxes),
            Visited::Together => None,
        };
        let bounds = match boxes.and_then(|boxes| Some((boxes, boxes.chunk_of(range.start)?))) {
            Some((boxes, at)) => boxes.start(at)..boxes.start(at + 1),
            None => 0..extent,
        };
        let all = if let Visited::Apart(_) = visited { bounds.clone() } else { 0..extent };
        let touched = seen.touched(&range);
        // What the outputs before and after see as well; beyond the commit box, and within it.
        let ahead = |start: u64| {
            if start > all.start { seen.touched(&(all.start..start)).end } else { touched.start }
        };
        let behind = |end: u64| if end < all.end { seen.touched(&(end..all.end)).start } else { touched.end };
        let (inner_start, inner_end) = if let Visited::Within(_) = visited {
            (ahead(bounds.start).max(touched.start), behind(bounds.end).min(touched.end))
        } else {
            (touched.start, touched.end)
        };
        let inside = inner_start..inner_end.max(inner_start);
        let before = ahead(range.start).clamp(inside.start, inside.end);
        let after = behind(range.end).clamp(before, inside.end);
        let carried = seen.weight(&(inside.start..before)).saturating_add(seen.weight(&(after..inside.end)));
        most.carried = most.carried.max(carried);
        most.single = most.single.max(seen.weight(&(before..after)));
    }
    most
}

fn permutations(axes: &mut [usize], fixed: usize, consider: &mut dyn FnMut(&[usize])) {
    if fixed == axes.len() {
        consider(axes);
        return;
    }
    for pick in fixed..axes.len() {
        axes[fixed..=pick].rotate_right(1); // keeps the rest in order, so that C order comes first
        permutations(axes, fixed + 1, consider);
        axes[fixed..=pick].rotate_left(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Region;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_time_series_rechunk_holds_everything_in_one_pass() {
        let shape = [2920, 361, 720];
        let input = ChunkGrid::regular(&shape, &[40, 361, 720]).unwrap();
        let output = ChunkGrid::regular(&shape, &[2920, 19, 36]).unwrap();
        let (_, held) = Sweep::cheapest(&input, &output, &output);
        assert_eq!(held, 2920 * 361 * 720);
        let pieces = ChunkGrid::regular(&shape, &[40, 19, 720]).unwrap();
        assert_eq!(Sweep::cheapest(&input, &pieces, &pieces).1, 40 * 361 * 720);
        assert_eq!(Sweep::cheapest(&pieces, &output, &output).1, 2920 * 19 * 720);
    }

    fn grid_of(extents: &[u64], chunks: &[u64]) -> ChunkGrid {
        ChunkGrid::regular(extents, chunks).unwrap()
    }

    /// The most elements held when outputs run one by one, by playing the sweep.
    fn played(sweep: &Sweep, input: &ChunkGrid, output: &ChunkGrid, commit: &ChunkGrid) -> (u64, u64) {
        let whole = |g: &ChunkGrid| g.counts().iter().map(|n| 0..*n).collect::<Vec<_>>();
        let order: Vec<Vec<u64>> = sweep
            .visit(whole(commit))
            .flat_map(|box_index| sweep.visit(output.chunks_in(&commit.region(&box_index).unwrap())))
            .collect();
        let visited = order.len() as u64;
        (played_in(input, output, &order), visited)
    }

    /// The most elements held when the outputs of `order` run one by one.
    fn played_in(input: &ChunkGrid, output: &ChunkGrid, order: &[Vec<u64>]) -> u64 {
        let mut uses: HashMap<Vec<u64>, u64> = HashMap::new();
        let inputs = |out: &Vec<u64>| -> Vec<Vec<u64>> {
            let region: Region = output.region(out).unwrap();
            Sweep::new((0..input.rank()).collect()).visit(input.chunks_in(&region)).collect()
        };
        order.iter().flat_map(&inputs).for_each(|i| *uses.entry(i).or_default() += 1);
        let (mut held, mut most) = (HashMap::new(), 0);
        for out in order {
            for i in inputs(out) {
                held.insert(i.clone(), input.region(&i).unwrap().len());
            }
            most = most.max(held.values().sum::<u64>());
            for i in inputs(out) {
                let left = uses.get_mut(&i).unwrap();
                *left -= 1;
                if *left == 0 {
                    held.remove(&i);
                }
            }
        }
        assert!(held.is_empty());
        most
    }

    proptest! {
        #[test]
        fn the_bound_holds(
            extents in proptest::collection::vec(1_u64..12, 1..4),
            seed in proptest::collection::vec((1_u64..6, 1_u64..4, 1_u64..3), 4),
            turn in 0_usize..6,
        ) {
            let rank = extents.len();
            let input = grid_of(&extents, &seed[..rank].iter().map(|s| s.0).collect::<Vec<_>>());
            let output = grid_of(&extents, &seed[..rank].iter().map(|s| s.1).collect::<Vec<_>>());
            let commit = grid_of(&extents, &seed[..rank].iter().map(|s| s.1 * s.2).collect::<Vec<_>>());
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.rotate_left(turn % rank);
            let sweep = Sweep::new(axes);
            for commit in [&output, &commit] {
                let (most, visited) = played(&sweep, &input, &output, commit);
                prop_assert_eq!(visited, output.chunk_count());
                let bound = sweep.held_elements(&input, &output, commit);
                prop_assert!(bound >= most, "bound {} below {}", bound, most);
                prop_assert!(Sweep::cheapest(&input, &output, commit).1 <= bound);
            }
            // Each box by itself.
            let seen: Vec<SeenAxis> = input.axes().iter().cloned().map(SeenAxis::exact).collect();
            let bound = Holding::apart(&seen, &output, &commit).held_elements(&sweep.axes);
            for part in commit.indices() {
                let ranges = output.chunks_in(&commit.region(&part).unwrap());
                let most = played_in(&input, &output, &sweep.visit(ranges).collect::<Vec<_>>());
                prop_assert!(bound >= most, "bound {} below {} in {:?}", bound, most, part);
            }
        }
    }
}
