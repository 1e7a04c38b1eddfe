//! Where blocks meet: a sink for the numbers of components of single blocks, that keeps what it takes to join them.
//!
//! Along every axis, the planes before and after each cut are kept whole, as numbers of components over all blocks: two
//! elements that hang together across a corner lie in two planes of one cut too. Invariant: tables never take more than
//! their limit. Called by labels.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::{element_count, small};
use crate::sink::Sink;
use blockwise_kernels::DType;
use blockwise_kernels::filter::{Connection, join, leader};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes held for each component: where it starts, its parent, its number and its place among the leaders.
const COMPONENT_BYTES: u64 = 32;

/// A sink that keeps what joins blocks.
pub(super) struct Meeting {
    tasks: ChunkGrid,
    shape: Vec<usize>,
    /// Components that the limit leaves room for.
    most: usize,
    limit_bytes: u64,
    state: Mutex<State>,
}

struct State {
    /// Number over all blocks before the first component of a block, and how many it has.
    blocks: HashMap<u64, (usize, usize)>,
    /// Place in C order of the first element of every component.
    heads: Vec<u64>,
    /// Along every axis and for every cut the planes before and after it, in C order of the other axes.
    planes: Vec<Vec<[Vec<u32>; 2]>>,
}

/// The final numbers of the components of every block.
#[derive(Debug)]
pub(super) struct Tables {
    blocks: HashMap<u64, (usize, usize)>,
    numbers: Vec<u32>,
}

impl Tables {
    /// Those of a block.
    pub(super) fn of(&self, block: u64) -> &[u32] {
        let (first, count) = self.blocks.get(&block).copied().unwrap_or((0, 0));
        self.numbers.get(first..first + count).unwrap_or_default()
    }
}

impl Meeting {
    pub(super) fn new(tasks: ChunkGrid, limit_bytes: u64) -> Result<Self> {
        let shape = small(&tasks.shape())?;
        let total = element_count(&tasks.shape()).unwrap_or(u64::MAX);
        let cells = tasks.axes().iter().map(|axis| {
            let cuts = axis.count().saturating_sub(1);
            (total / axis.extent().max(1)).saturating_mul(cuts).saturating_mul(2)
        });
        let plane_bytes = cells.fold(0_u64, u64::saturating_add).saturating_mul(size_of::<u32>() as u64);
        let Some(room) = limit_bytes.checked_sub(plane_bytes) else {
            return Err(Error::Usage {
                message: format!(
                    "labels of {:?} in blocks of {:?} need {plane_bytes} bytes where blocks meet, a quarter of the budget is {limit_bytes}; allow a budget of {} or rechunk to larger blocks",
                    tasks.shape(),
                    tasks.largest_chunk(),
                    plane_bytes.saturating_mul(5)
                ),
            });
        };
        let planes = tasks.axes().iter().zip(&shape).map(|(axis, length)| {
            let cells = shape.iter().product::<usize>() / (*length).max(1);
            (1..axis.count()).map(|_| [vec![0; cells], vec![0; cells]]).collect()
        });
        let planes = planes.collect();
        let most = usize::try_from(room / COMPONENT_BYTES).unwrap_or(usize::MAX).min(u32::MAX as usize - 1);
        let state = State { blocks: HashMap::new(), heads: Vec::new(), planes };
        Ok(Self { tasks, shape, most, limit_bytes, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The final numbers, and how many there are.
    pub(super) fn joined(&self, connection: &Connection) -> Result<(Tables, u64)> {
        let mut state = self.state();
        let heads = std::mem::take(&mut state.heads);
        let components = u32::try_from(heads.len()).map_err(|_| self.too_many())?;
        let mut parents: Vec<u32> = (0..components).collect();
        for (axis, planes) in std::mem::take(&mut state.planes).into_iter().enumerate() {
            let mut lengths = self.shape.clone();
            lengths.remove(axis);
            for step in connection.steps().iter().filter(|step| step.get(axis) == Some(&1)) {
                let mut step = step.clone();
                step.remove(axis);
                for [before, after] in &planes {
                    meet(before, after, &lengths, &step, &mut parents);
                }
            }
        }
        // The first element of a joined component is the first of its parts'.
        let mut firsts = heads;
        for component in 0..components {
            let leader = leader(&mut parents, component) as usize;
            firsts[leader] = firsts[leader].min(firsts[component as usize]);
        }
        let mut leaders: Vec<u32> = (0..components).filter(|n| parents.get(*n as usize) == Some(n)).collect();
        leaders.sort_unstable_by_key(|leader| firsts.get(*leader as usize));
        let mut numbers = vec![0; firsts.len()];
        for (number, leader) in (1_u32..).zip(&leaders) {
            numbers[*leader as usize] = number;
        }
        for component in 0..components {
            numbers[component as usize] = numbers[leader(&mut parents, component) as usize];
        }
        let blocks = std::mem::take(&mut state.blocks);
        Ok((Tables { blocks, numbers }, leaders.len() as u64))
    }

    fn too_many(&self) -> Error {
        Error::Usage {
            message: format!(
                "there are more than {} components in single blocks, as many as a quarter of the budget ({} bytes) has room for; allow a larger budget",
                self.most, self.limit_bytes
            ),
        }
    }
}

/// Joins components that meet in two planes of `lengths`, an element with that one step further.
fn meet(before: &[u32], after: &[u32], lengths: &[usize], step: &[i64], parents: &mut [u32]) {
    let mut place = vec![0_i64; lengths.len()];
    for a in before {
        if *a != 0 {
            let mut flat = Some(0_usize);
            for ((at, step), length) in place.iter().zip(step).zip(lengths) {
                let next = usize::try_from(at + step).ok().filter(|next| next < length);
                flat = flat.zip(next).map(|(flat, next)| flat * length + next);
            }
            if let Some(b) = flat.and_then(|flat| after.get(flat)).filter(|b| **b != 0) {
                join(parents, a - 1, b - 1);
            }
        }
        for (at, length) in place.iter_mut().zip(lengths).rev() {
            *at += 1;
            if *at < *length as i64 {
                break;
            }
            *at = 0;
        }
    }
}

impl Sink for Meeting {
    fn label(&self) -> &'static str {
        "what joins components"
    }

    fn dtype(&self) -> DType {
        DType::U32
    }

    fn grid(&self) -> &ChunkGrid {
        &self.tasks
    }

    fn write_scratch_bytes(&self) -> u64 {
        0
    }

    fn write(&self, index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        let numbers = chunk.elements::<u32>().unwrap_or_default();
        let region = self.tasks.region(index)?;
        let (origin, extent) = (small(region.origin())?, small(region.shape())?);
        // Components are numbered in the order in which they are met.
        let mut heads = Vec::new();
        for (n, number) in numbers.iter().enumerate() {
            if *number as usize > heads.len() {
                if heads.len() == self.most {
                    return Err(self.too_many());
                }
                heads.push(flat(n, &extent, &origin, &self.shape) as u64);
            }
        }
        let mut state = self.state();
        let first = state.heads.len();
        let block = self.tasks.linear(index);
        if state.blocks.contains_key(&block) {
            return Ok(0);
        }
        if first + heads.len() > self.most {
            return Err(self.too_many());
        }
        state.blocks.insert(block, (first, heads.len()));
        state.heads.extend(heads);
        for (axis, length) in extent.iter().enumerate() {
            let at = index.get(axis).copied().unwrap_or(0) as usize;
            // The block is behind the cut before it, and before the cut behind it.
            let sides = [(at.checked_sub(1), 1, 0), (Some(at), 0, length.saturating_sub(1))];
            for (cut, side, position) in sides {
                let planes = state.planes.get_mut(axis);
                let pair = planes.zip(cut).and_then(|(planes, cut)| planes.get_mut(cut));
                if let Some(plane) = pair.and_then(|pair| pair.get_mut(side)) {
                    let boxes = (extent.as_slice(), origin.as_slice(), self.shape.as_slice());
                    copy_plane(numbers, boxes, (axis, position), first as u32, plane);
                }
            }
        }
        Ok(0)
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

/// The place in C order in an array of `shape` of what stands at `n` in a block.
fn flat(n: usize, extent: &[usize], origin: &[usize], shape: &[usize]) -> usize {
    let (mut rest, mut place, mut stride) = (n, 0, 1);
    for ((length, origin), whole) in extent.iter().zip(origin).zip(shape).rev() {
        place += (origin + rest % length) * stride;
        rest /= length;
        stride *= whole;
    }
    place
}

/// Copies the elements of a block (its extent, its origin, the array's shape) at a position along an axis into their part of
/// the array's plane, `add` more where they are not zero.
fn copy_plane(
    numbers: &[u32],
    (extent, origin, shape): (&[usize], &[usize], &[usize]),
    (axis, position): (usize, usize),
    add: u32,
    plane: &mut [u32],
) {
    let without = |lengths: &[usize]| {
        let mut others = lengths.to_vec();
        others.remove(axis);
        others
    };
    let (own, corner, whole) = (without(extent), without(origin), without(shape));
    let inner: usize = extent.iter().skip(axis + 1).product();
    let length = extent.get(axis).copied().unwrap_or(1);
    for n in 0..own.iter().product() {
        let from = numbers.get((n / inner * length + position) * inner + n % inner);
        if let (Some(number), Some(to)) = (from, plane.get_mut(flat(n, &own, &corner, &whole))) {
            *to = if *number == 0 { 0 } else { number + add };
        }
    }
}
