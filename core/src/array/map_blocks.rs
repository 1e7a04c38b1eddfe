//! Closures over whole blocks: dask's `map_blocks`, typed, with several inputs, new, dropped and re-cut axes, and several
//! results.
//!
//! Types and shapes are checked when the array is built; a closure that gives a block of another shape fails with the block's
//! index, and so does one that panics. Invariant: a closure sees a block exactly as it lies in the array: it is given no
//! more, and no less. Called by programs, index notation ([`MapBlocks::blockwise`]) and [`Gufunc`](super::Gufunc).

use super::elementwise::common_grid;
use super::halo::{Halo, padded, with_halos};
use super::order::one;
use super::{Array, Axes, PadMode};
use crate::block::{Block, BlockFunction, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::byte_count;
use blockwise_kernels::{DType, Element, Scalar};
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis};
use std::sync::Arc;

/// A function of whole blocks in the making: its inputs, and how its results are cut.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_core::array::MapBlocks;
/// use ndarray::{ArrayViewD, Axis};
/// let x = Array::from_fn(&[6, 10], |at| (at[0] * 10 + at[1]) as f64)?.rechunk([2, 5])?;
/// // The range of every row: all of it in one block, which has no such axis any more.
/// let range = MapBlocks::new([&x])?.drop_axes(1)?.map(|_, rows: ArrayViewD<'_, f64>| {
///     rows.map_axis(Axis(1), |row| row[row.len() - 1] - row[0])
/// })?;
/// assert_eq!(range.compute::<f64>()?.into_raw_vec_and_offset().0, [9.0; 6]);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MapBlocks {
    name: String,
    inputs: Vec<Array>,
    tasks: ChunkGrid,
    names: Vec<Option<String>>,
    dropped: Vec<usize>,
    cut: Vec<(usize, AxisGrid)>,
    added: Vec<(usize, u64)>,
    /// For every input, the task axis of each axis that typed closures see of it.
    shown: Vec<Vec<usize>>,
    halos: Vec<Halo>,
    /// Whether blocks of the results are as long as what closures see.
    keeps_halos: bool,
    element_scratch_bytes: u64,
}

impl MapBlocks {
    /// A function of the blocks of arrays that broadcast. Blocks are cut as by elementwise functions; an array of length 1
    /// along an axis has blocks of length 1 there.
    ///
    /// # Errors
    /// If the arrays do not broadcast, or there is none.
    pub fn new<'a>(inputs: impl IntoIterator<Item = &'a Array>) -> Result<Self> {
        let inputs: Vec<Array> = inputs.into_iter().cloned().collect();
        if inputs.is_empty() {
            let message = "a function of blocks needs an array; make one with from_fn".to_owned();
            return Err(Error::Usage { message });
        }
        let (tasks, names) = common_grid(&inputs.iter().collect::<Vec<_>>())?;
        let deepened = |mut array: Array| {
            while array.rank() < tasks.rank() {
                array = array.expand_dims(0)?;
            }
            Ok(array)
        };
        Ok(Self {
            name: "map_blocks".to_owned(),
            shown: vec![(0..tasks.rank()).collect(); inputs.len()],
            inputs: inputs.into_iter().map(deepened).collect::<Result<_>>()?,
            tasks,
            names,
            dropped: Vec::new(),
            cut: Vec::new(),
            added: Vec::new(),
            halos: Vec::new(),
            keeps_halos: false,
            element_scratch_bytes: 0,
        })
    }

    /// Typed closures see of each input the axes that follow these task axes; along the others its blocks have length 1.
    pub(super) fn showing(self, shown: Vec<Vec<usize>>) -> Self {
        Self { shown, ..self }
    }

    /// What the function is called in plans and errors.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Bytes that the closure holds for each element of a block beyond blocks and results; they count in the budget.
    #[must_use]
    pub fn with_scratch_bytes(self, bytes_per_element: u64) -> Self {
        Self { element_scratch_bytes: bytes_per_element, ..self }
    }

    /// Blocks hold `before` and `after` more elements along `axis`: those of their neighbours, and at the array's ends what
    /// `boundary` says, or none. Typed closures may give the halo back: it is cut off; the place they are told is that of
    /// the block without it.
    ///
    /// # Errors
    /// If there is no such axis, or it has a halo already.
    pub fn overlap(
        mut self,
        axis: impl Into<super::Axis>,
        before: u64,
        after: u64,
        boundary: Option<PadMode>,
    ) -> Result<Self> {
        let axis = axis.into().resolve(&self.names)?;
        if self.halos.iter().any(|halo| halo.axis == axis) {
            let message = format!("axis {axis} has a halo already; give one");
            return Err(Error::Usage { message });
        }
        self.halos.push(Halo { axis, before, after, boundary });
        Ok(self)
    }

    /// Blocks of the results keep the halo: each is as long as what closures see of the arrays, and the results longer by all
    /// of these. dask's `trim=False`.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::MapBlocks;
    /// use ndarray::ArrayViewD;
    /// let x = Array::arange(0.0, 6.0, 1.0)?.rechunk([3])?;
    /// let kept = MapBlocks::new([&x])?.overlap(0, 1, 1, None)?.untrimmed();
    /// let kept = kept.map(|_, block: ArrayViewD<'_, f64>| block.to_owned())?;
    /// assert_eq!(kept.compute::<f64>()?.as_slice(), Some(&[0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 5.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    #[must_use]
    pub fn untrimmed(self) -> Self {
        Self { keeps_halos: true, ..self }
    }

    /// Blocks are whole along `axes`.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn whole(mut self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into().resolve(&self.names)?;
        let mut cuts = self.tasks.axes().to_vec();
        for (axis, cut) in cuts.iter_mut().enumerate().filter(|(axis, _)| axes.contains(axis)) {
            if self.cut.iter().any(|(own, _)| *own == axis) {
                let message = format!("axis {axis} is cut by hand; make it whole first");
                return Err(Error::Usage { message });
            }
            *cut = AxisGrid::regular(cut.extent(), cut.extent().max(1))?;
        }
        self.tasks = ChunkGrid::from_axes(cuts)?;
        Ok(self)
    }

    /// Blocks are whole along `axes`, and the results do not have them.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn drop_axes(self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into().resolve(&self.names)?;
        let mut map = self.whole(axes.clone())?;
        map.dropped.extend(axes);
        Ok(map)
    }

    /// Along `axis` the blocks of the results have these lengths, one for each block of the arrays.
    ///
    /// # Errors
    /// If there is no such axis, or there are more or fewer blocks.
    pub fn with_lengths(mut self, axis: impl Into<super::Axis>, lengths: &[u64]) -> Result<Self> {
        let axis = axis.into().resolve(&self.names)?;
        let count = self.tasks.axes()[axis].count();
        if count != lengths.len() as u64 {
            let message = format!(
                "axis {axis} has {count} blocks, but {} lengths are given; give one for each",
                lengths.len()
            );
            return Err(Error::Usage { message });
        }
        self.cut.push((axis, AxisGrid::rectilinear(lengths)?));
        Ok(self)
    }

    /// The results have one more axis, of `length`, at position `at` of what they have without it.
    ///
    /// # Errors
    /// If there is no such position, or it has no length.
    pub fn add_axis(mut self, at: usize, length: u64) -> Result<Self> {
        let rank = self.tasks.rank() - self.dropped.len() + self.added.len();
        if at > rank || length == 0 {
            let message =
                format!("no axis of length {length} at {at} of {rank}; give 0 to {rank}, and 1 or more");
            return Err(Error::Usage { message });
        }
        self.added.push((at, length));
        Ok(self)
    }

    /// The array of what `closure` makes of each block of the one input.
    ///
    /// # Errors
    /// If there is not one input, or it is not of the closure's type.
    pub fn map<T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(&BlockInfo<'_>, ArrayViewD<'_, T>) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        self.expect_types(&[T::DTYPE])?;
        let (shown, trim) = (self.shown.clone(), self.trim());
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            fill(out, &closure(info, seen(block, shown.first())?).into_dyn(), &trim, info)
        };
        let [result] = one(self.apply_with_copies(&[U::DTYPE], 1, false, without_context(run))?)?;
        Ok(result)
    }

    /// The array of what `closure` makes of the blocks of two inputs.
    ///
    /// # Errors
    /// If there are not two inputs, or they are not of the closure's types.
    pub fn map2<S: Element, T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(&BlockInfo<'_>, ArrayViewD<'_, S>, ArrayViewD<'_, T>) -> ndarray::Array<U, D>
        + Send
        + Sync
        + 'static,
    ) -> Result<Array> {
        self.expect_types(&[S::DTYPE, T::DTYPE])?;
        let (shown, trim) = (self.shown.clone(), self.trim());
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([a, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let made = closure(info, seen(a, shown.first())?, seen(b, shown.get(1))?);
            fill(out, &made.into_dyn(), &trim, info)
        };
        let [result] = one(self.apply_with_copies(&[U::DTYPE], 1, false, without_context(run))?)?;
        Ok(result)
    }

    /// The array of what `closure` makes of the blocks of any number of inputs, all of one type.
    ///
    /// # Errors
    /// If an input is not of the closure's type.
    pub fn map_all<T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(&BlockInfo<'_>, &[ArrayViewD<'_, T>]) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        self.expect_types(&vec![T::DTYPE; self.inputs.len()])?;
        let (shown, trim) = (self.shown.clone(), self.trim());
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let views = inputs.iter().zip(&shown).map(|(block, shown)| seen(block, Some(shown)));
            let [out] = chunks(outputs)?;
            fill(out, &closure(info, &views.collect::<Result<Vec<_>>>()?).into_dyn(), &trim, info)
        };
        let [result] = one(self.apply_with_copies(&[U::DTYPE], 1, false, without_context(run))?)?;
        Ok(result)
    }

    /// The array into whose blocks `closure` writes what it makes of the one input's: no memory is taken for results.
    /// What a block holds before is not told; every element must be written.
    ///
    /// # Errors
    /// If there is not one input, or it is not of the closure's type.
    pub fn map_into<T: Element, U: Element>(
        self,
        closure: impl Fn(&BlockInfo<'_>, ArrayViewD<'_, T>, ArrayViewMutD<'_, U>) + Send + Sync + 'static,
    ) -> Result<Array> {
        self.expect_types(&[T::DTYPE])?;
        let shown = self.shown.clone();
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            closure(info, seen(block, shown.first())?, out.view_mut()?);
            Ok(())
        };
        let [result] = one(self.apply(&[U::DTYPE], run)?)?;
        Ok(result)
    }

    /// The arrays, of `dtypes`, into whose blocks `closure` writes: [`Block::view`] shows what it is given,
    /// [`Chunk::view_mut`] what it fills. Nothing is copied.
    ///
    /// # Errors
    /// If there are too many elements.
    ///
    /// ```
    /// use blockwise_core::array::MapBlocks;
    /// use blockwise_core::{Array, DType};
    /// let x = Array::from_fn(&[10], |at| at[0] as f64)?.rechunk([4])?;
    /// let parts = MapBlocks::new([&x])?.apply(&[DType::F64, DType::I64], |_, blocks, outputs| {
    ///     let x = blocks[0].view::<f64>()?;
    ///     outputs[0].view_mut::<f64>()?.assign(&x.mapv(|x| x / 4.0));
    ///     outputs[1].view_mut::<i64>()?.assign(&x.mapv(|x| x as i64 / 4));
    ///     Ok(())
    /// })?;
    /// assert_eq!(parts[1].compute::<i64>()?[[9]], 2);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn apply(
        self,
        dtypes: &[DType],
        closure: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<Array>> {
        self.apply_with_copies(dtypes, 0, false, without_context(closure))
    }

    /// As [`MapBlocks::apply`], for closures that wait for a device or a server: each is given the context of its task, and waits through
    /// [`TaskContext::waiting`], so that other threads of the run compute meanwhile.
    ///
    /// # Errors
    /// If there are too many elements.
    ///
    /// ```
    /// use blockwise_core::array::MapBlocks;
    /// use blockwise_core::{Array, DType};
    /// use std::time::Duration;
    /// let x = Array::from_fn(&[10], |at| at[0] as f64)?.rechunk([4])?;
    /// let parts = MapBlocks::new([&x])?.apply_waiting(&[DType::F64], |_, blocks, outputs, cx| {
    ///     cx.waiting(|| std::thread::sleep(Duration::from_millis(1)));
    ///     outputs[0].view_mut::<f64>()?.assign(&blocks[0].view::<f64>()?);
    ///     Ok(())
    /// })?;
    /// assert_eq!(parts[0].compute::<f64>()?[[9]], 9.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn apply_waiting(
        self,
        dtypes: &[DType],
        closure: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk], &TaskContext<'_>) -> Result<()>
        + Send
        + Sync
        + 'static,
    ) -> Result<Vec<Array>> {
        self.apply_with_copies(dtypes, 0, true, closure)
    }

    fn expect_types(&self, wanted: &[DType]) -> Result<()> {
        let own: Vec<DType> = self.inputs.iter().map(Array::dtype).collect();
        if own == wanted {
            return Ok(());
        }
        let list = |dtypes: &[DType]| dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(", ");
        let message = format!(
            "the closure takes blocks of {}, the arrays hold {}; convert them with astype, or change the closure",
            list(wanted),
            list(&own)
        );
        Err(Error::Usage { message })
    }

    /// What is cut off along each axis of the results.
    fn trim(&self) -> Vec<Option<Halo>> {
        let mut trim: Vec<Option<Halo>> = (0..self.tasks.rank())
            .filter(|axis| !self.dropped.contains(axis))
            .map(|axis| self.halos.iter().find(|halo| halo.axis == axis && !self.keeps_halos).copied())
            .collect();
        for (at, _) in &self.added {
            trim.insert(*at, None);
        }
        trim
    }

    /// `copies`: how many blocks of results the closure holds beside those it fills. `waits`: whether it may wait.
    fn apply_with_copies<F>(self, dtypes: &[DType], copies: u64, waits: bool, run: F) -> Result<Vec<Array>>
    where
        F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk], &TaskContext<'_>) -> Result<()>
            + Send
            + Sync
            + 'static,
    {
        let (mut axes, mut index_axes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (axis, cut) in self.tasks.axes().iter().enumerate() {
            if !self.dropped.contains(&axis) {
                let given = self.cut.iter().rev().find(|(own, _)| *own == axis);
                let halo = self.halos.iter().find(|halo| halo.axis == axis && self.keeps_halos);
                axes.push(match (given, halo) {
                    (Some((_, given)), _) => given.clone(),
                    (None, Some(halo)) => halo.held(cut)?,
                    (None, None) => cut.clone(),
                });
                index_axes.push(Some(axis));
                names.push(self.names.get(axis).cloned().flatten());
            }
        }
        for &(at, length) in &self.added {
            axes.insert(at, AxisGrid::regular(length, length)?);
            index_axes.insert(at, None);
            names.insert(at, None);
        }
        let grid = ChunkGrid::from_axes(axes)?;
        if self.tasks.chunk_count() == 0 {
            if grid.chunk_count() > 0 {
                let message = format!("{} has no block to work on: what it drops is empty", self.name);
                return Err(Error::Usage { message });
            }
            let empty =
                |dtype: &DType| Ok(Array::full(&grid.shape(), Scalar::zero(*dtype))?.renamed(names.clone()));
            return dtypes.iter().map(empty).collect();
        }
        let largest = with_halos(&grid.largest_chunk(), &self.trim());
        let copied = dtypes.iter().filter_map(|dtype| byte_count(&largest, dtype.size())).sum::<u64>();
        let function = Arc::new(Mapped {
            name: self.name,
            copied_bytes: copied.saturating_mul(copies),
            element_scratch_bytes: self.element_scratch_bytes,
            tasks: self.tasks.clone(),
            waits,
            run,
        });
        let (inputs, tasks) = padded(&self.inputs, &self.tasks, &self.halos)?;
        let outputs = dtypes.iter().map(|dtype| (*dtype, grid.clone())).collect();
        let results = Array::from_blocks(function, inputs, tasks, index_axes, outputs)?;
        Ok(results.into_iter().map(|result| result.renamed(names.clone())).collect())
    }
}

/// A closure that never waits, so that it has no use for a context.
fn without_context(
    run: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
) -> impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk], &TaskContext<'_>) -> Result<()> + Send + Sync + 'static
{
    move |info, blocks, outputs, _| run(info, blocks, outputs)
}

/// A block as a closure sees it: the axes that follow the task axes `shown`, in that order.
fn seen<'a, T: Element>(block: &Block<'a>, shown: Option<&Vec<usize>>) -> Result<ArrayViewD<'a, T>> {
    let view = block.view()?;
    let rank = view.ndim();
    let mut order = shown.cloned().unwrap_or_default();
    let kept = order.len();
    order.extend((0..rank).filter(|axis| !shown.is_some_and(|shown| shown.contains(axis))));
    let mut view = view.permuted_axes(order);
    for axis in (kept..rank).rev() {
        view = view.index_axis_move(Axis(axis), 0);
    }
    Ok(view)
}

/// Copies what a closure gave into the block it is for, without the halo.
fn fill<U: Element>(
    out: &mut Chunk,
    made: &ArrayD<U>,
    trim: &[Option<Halo>],
    info: &BlockInfo<'_>,
) -> Result<()> {
    let mut target = out.view_mut::<U>()?;
    let mut made = made.view();
    if made.shape() != target.shape() && made.ndim() == target.ndim() {
        for (axis, halo) in trim.iter().enumerate() {
            let (length, wanted) = (made.len_of(Axis(axis)), target.len_of(Axis(axis)));
            if let Some((before, after)) = halo.and_then(|halo| halo.of(info))
                && length == wanted + before + after
            {
                made.slice_axis_inplace(Axis(axis), (before..before + wanted).into());
            }
        }
    }
    if target.shape() != made.shape() {
        let message = format!(
            "the closure gave a block of shape {:?} where {:?} belongs; say otherwise with drop_axes, add_axis or with_lengths",
            made.shape(),
            target.shape()
        );
        return Err(Error::Usage { message });
    }
    target.assign(&made);
    Ok(())
}

/// A closure as a function of blocks.
struct Mapped<F> {
    name: String,
    copied_bytes: u64,
    element_scratch_bytes: u64,
    /// The boxes without halos.
    tasks: ChunkGrid,
    waits: bool,
    run: F,
}

impl<F> BlockFunction for Mapped<F>
where
    F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk], &TaskContext<'_>) -> Result<()> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn waits(&self) -> bool {
        self.waits
    }

    fn scratch_bytes(&self, elements: u64) -> u64 {
        self.copied_bytes.saturating_add(self.element_scratch_bytes.saturating_mul(elements))
    }

    fn run(
        &self,
        info: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let (region, shape) = (self.tasks.region(info.index)?, self.tasks.shape());
        (self.run)(&BlockInfo { index: info.index, region: &region, shape: &shape }, inputs, outputs, cx)
    }
}
