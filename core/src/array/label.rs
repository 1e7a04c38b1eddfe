//! Connected components of an array of any size: SciPy's `label`.
//!
//! The array is read once to number the components of every block by themselves. What touches where blocks meet is kept of
//! it, and joined in one table; the numbers of all follow from where their first elements are. The result is a lazy
//! array, which numbers a block again when it is wanted and looks the numbers up. Invariant: numbers follow the first
//! elements of components in C order, from 1 on, whatever the cuts. Called by programs.

mod measure;
mod meeting;

pub use measure::Measures;

use super::order::one;
use super::tasks::joined;
use super::{Array, Structure};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::Resources;
use crate::region::element_count;
use crate::session::Session;
use crate::sink::Sink;
use blockwise_kernels::DType;
use blockwise_kernels::filter::Connection;
use meeting::{Meeting, Tables};
use std::sync::Arc;

/// The components of an array.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Their numbers, from 1 on; 0 where the array is zero. `int32`, `int64` for arrays of 2^31 elements and more.
    pub labels: Array,
    /// How many there are.
    pub count: u64,
}

impl Session {
    /// Numbers what is other than zero and hangs together, in the order of first elements: SciPy's `label`. `structure` says
    /// which neighbours hang together; it has 3 elements along each axis, as [`Structure::connected`] makes them.
    ///
    /// Reads the array once, at once; the labels read it again when they are computed. Where blocks meet, 8 bytes are held
    /// for every pair of elements, and 32 for every component of a block: at most a quarter of the budget. Of these 4 for
    /// every component of a block stay held beside the budget as long as the labels do: what else is computed meanwhile
    /// does not count them.
    ///
    /// # Errors
    /// If the structure does not fit or is not symmetric, tables would need more than their part of the budget, or as
    /// [`Session::compute`].
    ///
    /// ```
    /// use blockwise_core::array::Structure;
    /// use blockwise_core::{Array, Session};
    /// let x = Array::from_fn(&[4, 6], |at| at[1] % 3 != 2 && at[0] != 1)?.rechunk([2, 4])?;
    /// let found = Session::with_budget(64 << 20).label(&x, &Structure::connected(2, 1))?;
    /// assert_eq!((found.count, found.labels.compute::<i32>()?[[3, 4]]), (4, 4));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn label(&self, array: &Array, structure: &Structure) -> Result<Labels> {
        self.label_in(array, structure, &joined(array.grid(), size_of::<u32>() as u64)?)
    }

    /// As [`Session::label`], in blocks that are the array's chunks, however small.
    ///
    /// # Errors
    /// As [`Session::label`].
    pub fn label_blocks(&self, array: &Array, structure: &Structure) -> Result<Labels> {
        self.label_in(array, structure, array.grid())
    }

    fn label_in(&self, array: &Array, structure: &Structure, tasks: &ChunkGrid) -> Result<Labels> {
        let connection = Arc::new(structure.connection(array.rank())?);
        let shape = array.shape();
        let total = element_count(&shape).ok_or(Error::TooLarge { what: "array", shape: shape.clone() })?;
        let dtype = if total < (1 << 31) - 2 { DType::I32 } else { DType::I64 };
        if array.is_empty() {
            let labels = Array::full(&shape, blockwise_kernels::Scalar::zero(dtype))?;
            return Ok(Labels { labels: labels.renamed(array.names().to_vec()), count: 0 });
        }
        let limit_bytes = self.resources().budget_bytes / 4;
        let meeting = Arc::new(Meeting::new(tasks.clone(), limit_bytes)?);
        let by_blocks = numbered(array, tasks, &connection, None)?;
        let reading = Resources {
            budget_bytes: self.resources().budget_bytes.saturating_sub(limit_bytes),
            ..self.resources().clone()
        };
        self.with_resources(reading).store(&[(by_blocks, Arc::clone(&meeting) as Arc<dyn Sink>)])?;
        let (tables, count) = meeting.joined(&connection)?;
        let labels = numbered(array, tasks, &connection, Some((Arc::new(tables), dtype)))?;
        Ok(Labels { labels, count })
    }
}

/// The numbers of components, block by block.
fn numbered(
    array: &Array,
    tasks: &ChunkGrid,
    connection: &Arc<Connection>,
    tables: Option<(Arc<Tables>, DType)>,
) -> Result<Array> {
    let elements = element_count(&tasks.largest_chunk()).unwrap_or(u64::MAX);
    let mut scratch = Connection::scratch_bytes(elements);
    if tables.is_some() {
        scratch = scratch.saturating_add(elements.saturating_mul(size_of::<u32>() as u64));
    }
    let dtype = tables.as_ref().map_or(DType::U32, |(_, dtype)| *dtype);
    let (connection, grid) = (Arc::clone(connection), tasks.clone());
    let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
        let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let shape = block.shape()?;
        let Some((tables, _)) = &tables else {
            let numbers = out.elements_mut::<u32>().unwrap_or_default();
            connection.label(block.bytes, block.dtype, &shape, numbers)?;
            return Ok(());
        };
        let mut numbers = vec![0; shape.iter().product()];
        connection.label(block.bytes, block.dtype, &shape, &mut numbers)?;
        let own = tables.of(grid.linear(info.index));
        let number =
            |n: &u32| n.checked_sub(1).and_then(|n| own.get(n as usize)).map_or(0, |n| i64::from(*n));
        if let Some(out) = out.elements_mut::<i32>() {
            out.iter_mut().zip(&numbers).for_each(|(out, n)| *out = number(n) as i32);
        } else if let Some(out) = out.elements_mut::<i64>() {
            out.iter_mut().zip(&numbers).for_each(|(out, n)| *out = number(n));
        }
        Ok(())
    };
    let outputs = vec![(dtype, tasks.clone())];
    let index_axes = (0..array.rank()).map(Some).collect();
    let function = BlockClosure::new("label", scratch, run);
    let [result] =
        one(Array::from_blocks(Arc::new(function), vec![array.into()], tasks.clone(), index_axes, outputs)?)?;
    Ok(result.renamed(array.names().to_vec()))
}
