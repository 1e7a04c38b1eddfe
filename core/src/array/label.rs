//! Connected components of an array of any size: SciPy's `label`, and what follows from them.
//!
//! The components of every block are numbered by themselves first, and what touches where blocks meet is kept of that. One task
//! joins it all. The labels number each block once more and take over what was joined. All of it is lazy and stands in one plan.
//! Invariant: numbers follow the first elements of components in C order, from 1 on, whatever the cuts. Called by programs and
//! `eval`.

mod holes;
mod measure;
mod numbers;
mod records;
mod seams;

pub use measure::Measures;

use super::order::one;
use super::tasks::compact;
use super::{Array, Index, Structure};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;
use blockwise_kernels::filter::Connection;
use blockwise_kernels::{DType, Scalar};
use numbers::final_numbers;
use records::{Own, Records};
use seams::{Seams, scratch_bytes};
use std::sync::Arc;

/// Bytes of what blocks are labelled with, an element.
const ITEM_BYTES: u64 = size_of::<u32>() as u64;
/// Elements below which larger blocks are always worth their while.
const SMALL_BLOCK: u64 = 1 << 14;

/// The components of an array.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Their numbers, from 1 on; 0 where the array is zero. `int32`, `int64` for arrays of 2^31 elements and more.
    pub labels: Array,
    /// How many there are: one `int64`.
    pub count: Array,
}

impl Array {
    /// Numbers what is other than zero and hangs together, in the order of first elements: SciPy's `label`. `structure` says
    /// which neighbours hang together; it has 3 elements along each axis, as [`Structure::connected`] makes them.
    ///
    /// Labels read the array twice. Blocks are chunks, or several; where they meet, the task that joins them holds about 15 bytes
    /// for each element on a side. With chunks about as long along each axis a budget does that has a byte for each of 2^28 elements,
    /// or a third of one for each of 2^33; flat chunks need more.
    ///
    /// # Errors
    /// If the structure does not fit or is not symmetric, or 2^32 elements lie where blocks meet.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Structure;
    /// let x = Array::from_fn(&[4, 6], |at| at[1] % 3 != 2 && at[0] != 1)?.rechunk([2, 4])?;
    /// let found = x.label(&Structure::connected(2, 1))?;
    /// assert_eq!((found.count.compute::<i64>()?[[]], found.labels.compute::<i32>()?[[3, 4]]), (4, 4));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn label(&self, structure: &Structure) -> Result<Labels> {
        self.labelled(structure, blocks_of(self)?)
    }

    /// As [`Array::label`], in blocks that are the array's chunks, however small.
    ///
    /// # Errors
    /// As [`Array::label`].
    pub fn label_blocks(&self, structure: &Structure) -> Result<Labels> {
        self.labelled(structure, self.grid().clone())
    }

    fn labelled(&self, structure: &Structure, tasks: ChunkGrid) -> Result<Labels> {
        let connection = structure.connection(self.rank())?;
        let shape = self.shape();
        let total = element_count(&shape).ok_or(Error::TooLarge { what: "array", shape: shape.clone() })?;
        let dtype = if total < (1 << 31) - 2 { DType::I32 } else { DType::I64 };
        if self.is_empty() {
            let labels = Self::full(&shape, Scalar::zero(dtype))?.renamed(self.names().to_vec());
            return Ok(Labels { labels, count: Self::full(&[], Scalar::zero(DType::I64))? });
        }
        let records = Records::new(tasks, &connection, true)?;
        let components = Components::new(self, connection, records, None);
        let [joined, count] = components.joined("label: join", |seams| Ok(seams.number()? as i64))?;
        let records = Arc::clone(&components.records);
        let labels = components.applied("label", &joined, dtype, move |own, numbers, joined, out| {
            let finals = final_numbers(&records, own, numbers, joined);
            let number = |n: &u32| i64::from(finals[*n as usize]);
            if let Some(out) = out.elements_mut::<i32>() {
                out.iter_mut().zip(numbers).for_each(|(out, n)| *out = number(n) as i32);
            } else if let Some(out) = out.elements_mut::<i64>() {
                out.iter_mut().zip(numbers).for_each(|(out, n)| *out = number(n));
            }
        })?;
        let first = vec![Index::At(0); count.rank()];
        Ok(Labels { labels, count: count.index(&first)? })
    }
}

/// The blocks that an array is labelled in.
fn blocks_of(array: &Array) -> Result<ChunkGrid> {
    compact(array.grid(), block_elements(&array.shape()))
}

/// Elements of the blocks with which labelling and joining take about the same.
fn block_elements(shape: &[u64]) -> u64 {
    let total = element_count(shape).unwrap_or(u64::MAX);
    // Labelling takes about 15 bytes for each element of a cube of n, joining as many for each of the 6 N / n elements where cubes of
    // an array of N meet: both take the same where n³ is the power of 3/4 of 6 N. Half of that, since two cubes are labelled at once.
    let elements = total.saturating_mul(6).isqrt().isqrt().pow(3) / 2;
    elements.max(SMALL_BLOCK)
}

/// The lengths of blocks of about `elements` that are as long along each axis, where the array is.
fn even_lengths(shape: &[u64], elements: u64) -> Vec<u64> {
    let mut lengths = vec![1; shape.len()];
    let mut shortest_first: Vec<(usize, u64)> = shape.iter().copied().enumerate().collect();
    shortest_first.sort_by_key(|(_, extent)| *extent);
    let (mut room, mut axes) = (elements.max(1), shape.len() as u32);
    for (axis, extent) in shortest_first {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a length to suggest"
        )]
        let even = (room as f64).powf(1.0 / f64::from(axes.max(1))) as u64;
        lengths[axis] = extent.min(even).max(1);
        room = (room / lengths[axis]).max(1);
        axes -= 1;
    }
    lengths
}

/// The components of the blocks of an array.
#[derive(Clone)]
struct Components {
    array: Array,
    connection: Arc<Connection>,
    records: Arc<Records>,
    /// Whether components that reach the array's sides across each axis are marked; `None`: none are.
    open: Option<Arc<[bool]>>,
}

impl Components {
    fn new(array: &Array, connection: Connection, records: Records, open: Option<Vec<bool>>) -> Self {
        let (connection, records) = (Arc::new(connection), Arc::new(records));
        Self { array: array.clone(), connection, records, open: open.map(Into::into) }
    }

    /// Bytes that the numbers of a block take, and what makes them.
    fn scratch_bytes(&self) -> u64 {
        let block = self.records.tasks.largest_chunk();
        // And a mark for each component.
        let item_bytes = ITEM_BYTES + u64::from(self.open.is_some());
        let numbers_bytes =
            element_count(&block).unwrap_or(u64::MAX).saturating_add(1).saturating_mul(item_bytes);
        self.connection.scratch_bytes(&block).saturating_add(numbers_bytes)
    }

    /// What makes joining take less, if other chunks do.
    fn remedy(&self) -> Option<String> {
        let shape = self.array.shape();
        let lengths = even_lengths(&shape, block_elements(&shape));
        let even =
            self.records.in_blocks(ChunkGrid::regular(&shape, &lengths).ok()?, &self.connection).ok()?;
        let listed = |separator: &str| lengths.iter().map(u64::to_string).collect::<Vec<_>>().join(separator);
        (even.total() < self.records.total() / 2).then(|| {
            format!(
                "chunks as long along each axis take less, as of rechunk(x, ({})) in eval, or of `arrayctl rechunk --chunks {}` before",
                listed(", "),
                listed(",")
            )
        })
    }

    fn numbers(&self, block: &Block<'_>, own: &Own) -> Result<Vec<u32>> {
        let mut numbers = vec![0; own.extent.iter().product()];
        self.connection.label(block.bytes, block.dtype, &own.extent, &mut numbers)?;
        if let Some(open) = &self.open {
            self.records.mark_outside(own, open, &mut numbers);
        }
        Ok(numbers)
    }

    /// The records of all blocks, along an axis for each of the array's and one for numbers.
    fn records(&self) -> Result<Array> {
        let records = &self.records;
        let counts = records.tasks.counts();
        let mut axes = counts.iter().map(|count| AxisGrid::regular(*count, 1)).collect::<Result<Vec<_>>>()?;
        axes.push(AxisGrid::regular(records.len as u64, records.len as u64)?);
        let own = self.clone();
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let place = own.records.own(info.index, 0)?;
            let numbers = own.numbers(block, &place)?;
            own.records.tell(&place, &numbers, out.elements_mut::<u32>().unwrap_or_default());
            Ok(())
        };
        let function = Arc::new(BlockClosure::new("label: blocks", self.scratch_bytes(), run));
        let index_axes = (0..counts.len()).map(Some).chain(std::iter::once(None)).collect();
        let outputs = vec![(DType::U32, ChunkGrid::from_axes(axes)?)];
        let tasks = records.tasks.clone();
        let [records] =
            one(Array::from_blocks(function, vec![(&self.array).into()], tasks, index_axes, outputs)?)?;
        Ok(records)
    }

    /// What `join` makes of the records of all blocks, along the last of its axes, and one number besides.
    fn joined(
        &self,
        name: &str,
        join: impl Fn(&mut Seams<'_>) -> Result<i64> + Send + Sync + 'static,
    ) -> Result<[Array; 2]> {
        let told = self.records()?;
        let mut shape = vec![1; told.rank()];
        let single = ChunkGrid::single(&shape)?;
        if let Some(last) = shape.last_mut() {
            *last = self.records.joined_total();
        }
        let scratch = scratch_bytes(&self.records);
        let own = self.clone();
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([told], [joined, number]) = (blocks(inputs)?, chunks(outputs)?);
            let told = told.elements::<u32>().unwrap_or_default();
            let joined = joined.elements_mut::<u32>().unwrap_or_default();
            let mut seams = Seams::joined(&own.records, &own.connection, told, joined)?;
            match number.elements_mut::<i64>() {
                Some([number]) => {
                    *number = join(&mut seams)?;
                    Ok(())
                }
                _ => Err(Error::Internal { message: "no place for a number".to_owned() }),
            }
        };
        let function = Arc::new(BlockClosure::new(name, scratch, run).with_remedy(self.remedy()));
        let (tasks, index_axes) = (ChunkGrid::single(&told.shape())?, vec![None; told.rank()]);
        let outputs = vec![(DType::U32, ChunkGrid::single(&shape)?), (DType::I64, single)];
        let made = Array::from_blocks(function, vec![(&told).into()], tasks, index_axes, outputs)?;
        made.try_into().map_err(|_| Error::Internal { message: "two results are wanted".to_owned() })
    }

    /// The array of what `apply` makes of the numbers of a block and of what was joined: its place, the numbers of its elements,
    /// what is joined of it.
    fn applied(
        &self,
        name: &str,
        joined: &Array,
        dtype: DType,
        apply: impl Fn(&Own, &[u32], &[u32], &mut Chunk) + Send + Sync + 'static,
    ) -> Result<Array> {
        // All tasks see all that was joined, along an axis of its own.
        let mut axes = self.records.tasks.axes().to_vec();
        axes.push(AxisGrid::regular(self.records.joined_total(), self.records.joined_total())?);
        let rank = self.array.rank();
        let own = self.clone();
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, joined], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let index = info.index.get(..rank).unwrap_or_default();
            let place = own.records.own(index, 0)?;
            let numbers = own.numbers(block, &place)?;
            let (len, block) = (own.records.joined_len, own.records.tasks.linear(index) as usize);
            let joined = joined.elements::<u32>().unwrap_or_default();
            let joined = joined.get(block * len..(block + 1) * len).unwrap_or_default();
            apply(&place, &numbers, joined, out);
            Ok(())
        };
        // And a final number for each component, of which there are no more than elements.
        let block = self.records.tasks.largest_chunk();
        let finals_bytes =
            element_count(&block).unwrap_or(u64::MAX).saturating_add(1).saturating_mul(ITEM_BYTES);
        let sides_bytes = self.records.len as u64 * ITEM_BYTES;
        let scratch = self.scratch_bytes().saturating_add(finals_bytes).saturating_add(sides_bytes);
        let function = Arc::new(BlockClosure::new(name, scratch, run));
        let inputs = vec![(&self.array.expand_dims(-1)?).into(), joined.into()];
        let outputs = vec![(dtype, self.records.tasks.clone())];
        let index_axes = (0..rank).map(Some).collect();
        let [result] =
            one(Array::from_blocks(function, inputs, ChunkGrid::from_axes(axes)?, index_axes, outputs)?)?;
        Ok(result.renamed(self.array.names().to_vec()))
    }
}
