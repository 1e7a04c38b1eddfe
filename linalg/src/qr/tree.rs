//! [`Tree`]: the triangles of panels, combined group by group to that of the whole matrix; and the way back to `Q`.
//!
//! One pass over the matrix makes a state of every panel; states of neighbours are stacked and treated as panels
//! themselves, until one is left. A second pass, only if `Q` is wanted, takes the root's orthogonal factor down the
//! same groups and multiplies each panel by its part: what a panel needs for that follows from its state. Invariants: groups
//! follow from the matrix's grid alone, so that the bits of the result do; no task holds more than a panel or a group. Source: J.
//! Demmel et al., "Communication-optimal parallel and sequential QR and LU factorizations" (2012). Called by [`crate::qr`] and
//! [`crate::svd`].

use super::chain::{Chain, for_each_quotient};
use super::cuts;
use super::panel::Panel;
use super::state::{State, numbers, write_numbers};
use super::wide::{Wide, factor_dtype};
use blockwise_core::array::BlockInput;
use blockwise_core::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use blockwise_core::dense::Matrix;
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// The triangles of the panels of a matrix, and of their groups.
pub(crate) struct Tree<T> {
    matrix: Array,
    columns: usize,
    /// The panels, then groups of them, then groups of those; the last is all.
    levels: Vec<Level>,
    numbers: PhantomData<T>,
}

/// Groups of rows and their states.
#[derive(Clone)]
struct Level {
    /// The rows of each group.
    cuts: AxisGrid,
    /// Bytes for each row in which states travel.
    row_bytes: u64,
    states: Array,
}

/// What a root makes of the matrix's state, and of numbers beside it: its outputs, of which the last is given on as the root's
/// orthogonal factor.
type Root<T> = dyn Fn(&State<T>, &[T], &mut [Chunk]) -> Result<()> + Send + Sync;

impl<T: Wide> Tree<T> {
    /// The tree of a matrix with elements, of `T` or its narrow kind; `of_transpose`: it is the transpose of the one that is
    /// meant, so errors name places in that one, and the sums of its columns are kept. The number of columns is that of
    /// triangles: several must fit the memory.
    pub(crate) fn new(matrix: &Array, of_transpose: bool) -> Result<Self> {
        let [_, columns] = matrix.shape()[..] else {
            return Err(Error::Rank { expected: 2, found: matrix.rank() });
        };
        let too_large = || Error::TooLarge { what: "triangle", shape: vec![columns, columns] };
        let side = usize::try_from(columns).map_err(|_| too_large())?;
        side.checked_mul(side).and_then(|cells| cells.checked_mul(32)).ok_or_else(too_large)?;
        let row_cuts = matrix.grid().axes().first().cloned();
        let row_cuts = row_cuts.ok_or(Error::Rank { expected: 2, found: 0 })?;
        let cuts = cuts::panels(&row_cuts, columns, matrix.dtype().size() as u64)?;
        let row_bytes = row_bytes::<T>(&cuts, columns);
        let accept = acceptable(matrix.dtype());
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let panel = Panel::<T>::of_block(block, side)?;
            let origin = info.region.origin().first().copied().unwrap_or(0);
            let state = state_of(&panel, accept, of_transpose);
            state.map_err(|error| placed(error, origin, of_transpose))?.write(out.bytes_mut())
        };
        let tasks = ChunkGrid::from_axes(vec![cuts.clone(), whole(columns)?])?;
        let name = ("QR of panels", panel_scratch::<T>(columns));
        let states = states_array(name, matrix, tasks, (&cuts, row_bytes), run)?;
        let mut levels = vec![Level { cuts, row_bytes, states }];
        while let Some(level) = levels.last().filter(|level| level.cuts.count() > 1).cloned() {
            levels.push(level.grouped::<T>(columns, side)?);
        }
        Ok(Self { matrix: matrix.clone(), columns: side, levels, numbers: PhantomData })
    }

    /// Arrays that `run` makes of the state of the whole matrix and of the numbers of an array `beside` it, each with one chunk, and what [`Tree::orthogonal`] takes. The
    /// last output of `run` is that: the columns of the orthogonal factor of the state's triangle, by [`write_numbers`].
    pub(crate) fn root(
        &self,
        name: &str,
        scratch_bytes: u64,
        beside: Option<&Array>,
        outputs: &[(DType, [u64; 2])],
        run: Box<Root<T>>,
    ) -> Result<(Vec<Array>, Array)> {
        let Some(top) = self.levels.last() else { return Err(no_levels()) };
        let columns = self.columns;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let (block, beside) = inputs.split_first().ok_or_else(no_levels)?;
            let beside = beside.first().and_then(|beside| beside.elements::<T>()).unwrap_or(&[]);
            run(&State::read(block.bytes, columns)?, beside, outputs)
        };
        let scratch_bytes = scratch_bytes.saturating_add(State::<T>::bytes(columns as u64, columns as u64));
        let function = BlockClosure::new(name, scratch_bytes, run);
        let mut grids: Vec<(DType, ChunkGrid)> = Vec::new();
        for (dtype, shape) in outputs {
            grids.push((*dtype, ChunkGrid::single(shape)?));
        }
        let rows = self.matrix.shape().first().copied().unwrap_or(0);
        grids.push((DType::U8, ChunkGrid::single(&[rows, top.row_bytes])?));
        let mut tasks = top.states.grid().axes().to_vec();
        let mut inputs: Vec<BlockInput> = vec![(&top.states.expand_dims(2)?).into()];
        tasks.push(whole(beside.and_then(|beside| beside.shape().first().copied()).unwrap_or(1))?);
        if let Some(beside) = beside {
            inputs.push((&beside.expand_dims(0)?.expand_dims(0)?).into());
        }
        let tasks = ChunkGrid::from_axes(tasks)?;
        let mut made = Array::from_blocks(Arc::new(function), inputs, tasks, vec![None, None], grids)?;
        let factor = made.pop().ok_or_else(no_levels)?;
        Ok((made, factor))
    }

    /// `Q w` as an array, where `factor` is what [`Tree::root`] gave and holds `w`, of `columns`.
    pub(crate) fn orthogonal(&self, factor: Array, columns: u64) -> Result<Array> {
        let width = usize::try_from(columns).unwrap_or(usize::MAX);
        let mut factor = factor;
        for (below, level) in self.levels.iter().zip(self.levels.iter().skip(1)).rev() {
            factor = below.descend::<T>(level, &factor, self.columns, width)?;
        }
        let Some(level) = self.levels.first() else { return Err(no_levels()) };
        let (n, accept) = (self.columns, acceptable(self.matrix.dtype()));
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, state, factor], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (panel, state) = (Panel::<T>::of_block(block, n)?, State::<T>::read(state.bytes, n)?);
            let w = numbers::<T>(factor.bytes, state.rows * width)?;
            multiply(&panel, &state, &w, width, accept, out)
        };
        let dtype = factor_dtype(self.matrix.dtype());
        let scratch = Chain::<T>::scratch_bytes(n as u64)
            .saturating_add(State::<T>::bytes(n as u64, n as u64).saturating_mul(2));
        let function = BlockClosure::new("orthogonal factor", scratch, run);
        let axes = vec![level.cuts.clone(), whole(n as u64)?, whole(level.row_bytes)?];
        let inputs: Vec<BlockInput> = vec![
            (&self.matrix.expand_dims(2)?).into(),
            (&level.states.expand_dims(1)?).into(),
            (&factor.expand_dims(1)?).into(),
        ];
        let grid = ChunkGrid::from_axes(vec![level.cuts.clone(), whole(columns)?])?;
        one(Array::from_blocks(
            Arc::new(function),
            inputs,
            ChunkGrid::from_axes(axes)?,
            vec![Some(0), None],
            vec![(dtype, grid)],
        )?)
    }
}

impl Level {
    /// The states of groups of this level's groups.
    fn grouped<T: Wide>(&self, columns: u64, side: usize) -> Result<Self> {
        let cuts = self.cuts.coarsened(cuts::group(State::<T>::bytes(columns, columns)));
        let row_bytes = row_bytes::<T>(&cuts, columns);
        let (below, below_bytes) = (self.cuts.clone(), self.row_bytes);
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (stack, sums, _) = stacked::<T>(info, block, &below, below_bytes, side)?;
            let mut state = state_of(&Panel::of_wide(&stack, side)?, acceptable(T::DTYPE), false)?;
            state.sums = sums;
            state.write(out.bytes_mut())
        };
        let tasks = ChunkGrid::from_axes(vec![cuts.clone(), whole(self.row_bytes)?])?;
        let name = ("QR of triangles", group_scratch::<T>(columns));
        let states = states_array(name, &self.states, tasks, (&cuts, row_bytes), run)?;
        Ok(Self { cuts, row_bytes, states })
    }

    /// The parts of this level's groups in the orthogonal factor whose parts of the level above are `factor`.
    fn descend<T: Wide>(&self, above: &Self, factor: &Array, n: usize, width: usize) -> Result<Array> {
        let (below, below_bytes) = (self.cuts.clone(), self.row_bytes);
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, factor], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (stack, _, places) = stacked::<T>(info, block, &below, below_bytes, n)?;
            let panel = Panel::of_wide(&stack, n)?;
            let accept = acceptable(T::DTYPE);
            let w = numbers::<T>(factor.bytes, panel.rows().min(n) * width)?;
            let mut product = vec![T::zero(); panel.rows() * width];
            if panel.rows() <= n {
                product.copy_from_slice(&w);
            } else {
                let w = Matrix::new(&w, n, width)?;
                Chain::of(&panel, accept)?.for_each_product(&panel, w, |rows, part| {
                    let to = product.get_mut(rows.start * width..rows.end * width).unwrap_or(&mut []);
                    to.copy_from_slice(part.elements());
                    Ok(())
                })?;
            }
            let mut rows = product.as_slice();
            let bytes = out.bytes_mut();
            bytes.fill(0);
            for Place { bytes: range, rows: count } in places {
                let (now, later) = rows.split_at_checked(count * width).ok_or_else(no_levels)?;
                write_numbers(now, bytes.get_mut(range).ok_or_else(no_levels)?)?;
                rows = later;
            }
            Ok(())
        };
        let columns = n as u64;
        let function = BlockClosure::new("factors of triangles", group_scratch::<T>(columns), run);
        let axes = vec![above.cuts.clone(), whole(self.row_bytes)?, whole(above.row_bytes)?];
        let inputs = vec![(&self.states.expand_dims(2)?).into(), (&factor.expand_dims(1)?).into()];
        let grid = ChunkGrid::from_axes(vec![above.cuts.clone(), whole(self.row_bytes)?])?;
        one(Array::from_blocks(
            Arc::new(function),
            inputs,
            ChunkGrid::from_axes(axes)?,
            vec![Some(0), None],
            vec![(DType::U8, grid)],
        )?)
    }
}

/// The state of a panel.
fn state_of<T: Wide>(panel: &Panel<'_, T>, accept: f64, with_sums: bool) -> Result<State<T>> {
    let n = panel.columns();
    let sums = if with_sums { panel.sums() } else { vec![T::zero(); n] };
    if panel.rows() <= n {
        if let Some((row, column)) = panel.not_finite() {
            return Err(Error::NotFinite { row: row as u64, column: column as u64 });
        }
        let mut r = Vec::new();
        panel.copy(0..panel.rows(), &mut r);
        return Ok(State { single: false, rows: panel.rows(), sums, r });
    }
    let chain = Chain::of(panel, accept)?;
    Ok(State { single: chain.is_single(), rows: n, sums, r: chain.r()? })
}

/// Fills `out` with the rows of a panel's `Q w`.
fn multiply<T: Wide>(
    panel: &Panel<'_, T>,
    state: &State<T>,
    w: &[T],
    width: usize,
    accept: f64,
    out: &mut Chunk,
) -> Result<()> {
    let n = panel.columns();
    let mut put = |first: usize, part: &[T]| {
        let range = first * width..first * width + part.len();
        if let Some(wide) = out.elements_mut::<T>() {
            wide.get_mut(range).ok_or_else(no_levels)?.copy_from_slice(part);
        } else if let Some(narrow) = out.elements_mut::<T::Narrow>() {
            let narrow = narrow.get_mut(range).ok_or_else(no_levels)?;
            narrow.iter_mut().zip(part).for_each(|(to, x)| *to = x.narrow());
        }
        Ok(())
    };
    if panel.rows() <= n {
        return put(0, w);
    }
    let w = Matrix::new(w, n, width)?;
    if state.single {
        let r = Matrix::new(&state.r, n, n)?;
        return for_each_quotient(panel, r, w, |rows, part| put(rows.start, part.elements()));
    }
    Chain::of(panel, accept)?.for_each_product(panel, w, |rows, part| put(rows.start, part.elements()))
}

/// Where the state of a group lies in the bytes of the group above, and the rows of its triangle.
struct Place {
    bytes: std::ops::Range<usize>,
    rows: usize,
}

/// The triangles of the groups in a task's rows, one under the other; the sums of the columns; where each lay.
fn stacked<T: Wide>(
    info: &BlockInfo<'_>,
    block: &Block<'_>,
    below: &AxisGrid,
    row_bytes: u64,
    columns: usize,
) -> Result<(Vec<T>, Vec<T>, Vec<Place>)> {
    let (mut stack, mut sums, mut places) = (Vec::new(), vec![T::zero(); columns], Vec::new());
    let start = info.region.origin().first().copied().unwrap_or(0);
    let end = start + info.region.shape().first().copied().unwrap_or(0);
    for group in below.chunks_in(start..end) {
        let byte = |row: u64| usize::try_from((row - start) * row_bytes).map_err(|_| no_levels());
        let bytes = byte(below.start(group))?..byte(below.start(group + 1))?;
        let state = State::<T>::read(block.bytes.get(bytes.clone()).ok_or_else(no_levels)?, columns)?;
        sums.iter_mut().zip(&state.sums).for_each(|(sum, more)| *sum += *more);
        stack.extend_from_slice(&state.r);
        places.push(Place { bytes, rows: state.rows });
    }
    Ok((stack, sums, places))
}

/// An array of states: one call of `run` for each box of `tasks`.
fn states_array(
    (name, scratch_bytes): (&str, u64),
    input: &Array,
    tasks: ChunkGrid,
    (cuts, row_bytes): (&AxisGrid, u64),
    run: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
) -> Result<Array> {
    let function = BlockClosure::new(name, scratch_bytes, run);
    let grid = ChunkGrid::from_axes(vec![cuts.clone(), whole(row_bytes)?])?;
    let (axes, outputs) = (vec![Some(0), None], vec![(DType::U8, grid)]);
    one(Array::from_blocks(Arc::new(function), vec![input.into()], tasks, axes, outputs)?)
}

/// Bytes that a panel's state takes while it is made.
fn panel_scratch<T: Wide>(columns: u64) -> u64 {
    Chain::<T>::scratch_bytes(columns).saturating_add(State::<T>::bytes(columns, columns))
}

/// Bytes that a group's stack, and what is made of it, take.
fn group_scratch<T: Wide>(columns: u64) -> u64 {
    let state = State::<T>::bytes(columns, columns);
    let stacks = state.saturating_mul(cuts::group(state)).saturating_mul(2);
    panel_scratch::<T>(columns).saturating_add(stacks).saturating_add(state.saturating_mul(2))
}

/// Least bytes in each row with which the rows of every group hold its state.
fn row_bytes<T: Wide>(cuts: &AxisGrid, columns: u64) -> u64 {
    let of = |group: u64| {
        let rows = cuts.length(group).max(1);
        State::<T>::bytes(rows.min(columns), columns).div_ceil(rows)
    };
    // Regular groups are alike but for the last.
    let last = cuts.count().saturating_sub(1);
    let some = if cuts.regular_chunk().is_some() { 0..cuts.count().min(1) } else { 0..cuts.count() };
    some.map(of).max().unwrap_or(1).max(of(last))
}

/// The least eigenvalue that a product of scaled columns may have where factors of `dtype` are made of it.
fn acceptable(dtype: DType) -> f64 {
    match factor_dtype(dtype) {
        // Rounding errors of 64 bits, a hundred thousand times as large, are small in 32 bits.
        DType::F32 | DType::C64 => 1e-5,
        _ => 0.125,
    }
}

/// The error with the row in the whole matrix, of which the panel starts at row `origin`, or with the place in its transpose.
fn placed(error: Error, origin: u64, of_transpose: bool) -> Error {
    match error {
        Error::NotFinite { row, column } if of_transpose => {
            Error::NotFinite { row: column, column: row + origin }
        }
        Error::NotFinite { row, column } => Error::NotFinite { row: row + origin, column },
        other => other,
    }
}

fn whole(extent: u64) -> Result<AxisGrid> {
    AxisGrid::regular(extent, extent.max(1))
}

fn one(arrays: Vec<Array>) -> Result<Array> {
    arrays.into_iter().next().ok_or_else(no_levels)
}

fn no_levels() -> Error {
    Error::Internal { message: "the levels of a QR tree do not fit each other".to_owned() }
}
