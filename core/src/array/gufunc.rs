//! [`Gufunc`]: functions of the last axes of arrays, repeated over all others: NumPy's generalised ufuncs and dask's
//! `apply_gufunc`.
//!
//! A signature such as `(i),(i)->()` names the core axes of inputs and results; all other axes are loop axes, which
//! broadcast. Invariant: blocks are whole along core axes. Called by programs.

use super::{Array, Axes, MapBlocks};
use crate::block::{Block, BlockInfo};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use blockwise_kernels::{DType, Element};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

/// A function of core axes in the making.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_core::array::Gufunc;
/// use ndarray::{ArrayViewD, arr0};
/// let x = Array::from_fn(&[20, 3, 8], |at| (at[0] + at[2]) as f64)?.rechunk([5, 3, 2])?;
/// let weights = Array::full(&[8], 0.125.into())?;
/// // One call for every line of `x`, over all of its blocks.
/// let means = Gufunc::new("(i),(i)->()", [&x, &weights])?
///     .vectorize2(|x: ArrayViewD<'_, f64>, weights: ArrayViewD<'_, f64>| arr0((&x * &weights).sum()))?;
/// assert_eq!((means.shape(), means.compute::<f64>()?[[4, 0]]), (vec![20, 3], 7.5));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gufunc {
    name: String,
    inputs: Vec<Array>,
    input_cores: Vec<Vec<String>>,
    result_cores: Vec<String>,
    results: usize,
    lengths: Vec<(String, u64)>,
    element_scratch_bytes: u64,
}

impl Gufunc {
    /// A function of `inputs` with a signature in NumPy's notation. Core axes are the last ones of each input, unless
    /// [`Gufunc::axes`] says otherwise; those of a result come after the loop axes.
    ///
    /// # Errors
    /// If the signature is none, takes another number of inputs, or an input has fewer axes; if several results have
    /// different core axes.
    pub fn new<'a>(signature: &str, inputs: impl IntoIterator<Item = &'a Array>) -> Result<Self> {
        let inputs: Vec<Array> = inputs.into_iter().cloned().collect();
        let usage = |what: String| Error::Usage { message: format!("the signature '{signature}' {what}") };
        let (before, after) = signature
            .split_once("->")
            .ok_or_else(|| usage("has no '->'; write as (i),(i)->()".to_owned()))?;
        let cores = |text| cores_of(text).ok_or_else(|| usage("is none; write as (i,j),(j)->(i)".to_owned()));
        let (input_cores, results) = (cores(before)?, cores(after)?);
        if input_cores.len() != inputs.len() {
            return Err(usage(format!("takes {} arrays, {} are given", input_cores.len(), inputs.len())));
        }
        for (n, (array, core)) in inputs.iter().zip(&input_cores).enumerate() {
            if core.len() > array.rank() {
                let (core, rank) = (core.len(), array.rank());
                return Err(usage(format!("needs {core} axes of input {n}, which has {rank}")));
            }
        }
        let result_cores = results.first().cloned().unwrap_or_default();
        if results.iter().any(|other| *other != result_cores) {
            return Err(usage("has results of different axes; make one function for each".to_owned()));
        }
        Ok(Self {
            name: "apply_gufunc".to_owned(),
            inputs,
            input_cores,
            result_cores,
            results: results.len(),
            lengths: Vec::new(),
            element_scratch_bytes: 0,
        })
    }

    /// What the function is called in plans and errors.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// As [`MapBlocks::with_scratch_bytes`].
    #[must_use]
    pub fn with_scratch_bytes(self, bytes_per_element: u64) -> Self {
        Self { element_scratch_bytes: bytes_per_element, ..self }
    }

    /// The core axes of every input, in the signature's order.
    ///
    /// # Errors
    /// If they are not as many as the signature has, or an input has no such axis.
    pub fn axes<A: Into<Axes>>(mut self, axes: impl IntoIterator<Item = A>) -> Result<Self> {
        let axes: Vec<Axes> = axes.into_iter().map(Into::into).collect();
        if axes.len() != self.inputs.len() {
            let message = format!("axes of {} inputs for {}", axes.len(), self.inputs.len());
            return Err(Error::Usage { message });
        }
        for ((array, core), axes) in self.inputs.iter_mut().zip(&self.input_cores).zip(axes) {
            let axes = axes.resolve(array.names())?;
            if axes.len() != core.len() {
                let message = format!("{} axes for the core axes ({})", axes.len(), core.join(","));
                return Err(Error::Usage { message });
            }
            let mut order: Vec<usize> = (0..array.rank()).filter(|axis| !axes.contains(axis)).collect();
            order.extend(axes);
            *array = array.transpose(order)?;
        }
        Ok(self)
    }

    /// The length of a core axis that only results have.
    #[must_use]
    pub fn output_size(mut self, axis: &str, length: u64) -> Self {
        self.lengths.push((axis.to_owned(), length));
        self
    }

    /// The array of what `closure` makes of each block of the one input: its loop axes, then its core axes.
    ///
    /// # Errors
    /// As [`MapBlocks::map`]; if a core axis of the result has no length.
    pub fn map<T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(ArrayViewD<'_, T>) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        self.blocks(1)?.map(move |_, block| closure(block))
    }

    /// The array of what `closure` makes of the blocks of two inputs: for each, the loop axes it has, then its core axes.
    ///
    /// # Errors
    /// As [`Gufunc::map`].
    pub fn map2<S: Element, T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(ArrayViewD<'_, S>, ArrayViewD<'_, T>) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        self.blocks(1)?.map2(move |_, a, b| closure(a, b))
    }

    /// The array of what `closure` makes of the core axes of the one input, called for each position of the loop axes.
    ///
    /// # Errors
    /// As [`Gufunc::map`].
    pub fn vectorize<T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(ArrayViewD<'_, T>) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        let core = self.core_rank(0);
        self.blocks(1)?.map(move |_, block| {
            let shape = loop_shape(&[(block.shape(), core)]);
            each(&shape, |place| closure(core_at(&block, core, place)).into_dyn())
        })
    }

    /// As [`Gufunc::vectorize`] for two inputs.
    ///
    /// # Errors
    /// As [`Gufunc::map`].
    pub fn vectorize2<S: Element, T: Element, U: Element, D: ndarray::Dimension>(
        self,
        closure: impl Fn(ArrayViewD<'_, S>, ArrayViewD<'_, T>) -> ndarray::Array<U, D> + Send + Sync + 'static,
    ) -> Result<Array> {
        let (one, two) = (self.core_rank(0), self.core_rank(1));
        self.blocks(1)?.map2(move |_, a, b| {
            let shape = loop_shape(&[(a.shape(), one), (b.shape(), two)]);
            each(&shape, |place| closure(core_at(&a, one, place), core_at(&b, two, place)).into_dyn())
        })
    }

    /// The arrays, of `dtypes`, into whose blocks `closure` writes, as [`MapBlocks::apply`]. Blocks of the inputs have the
    /// axes of the tasks: the loop axes, the results' core axes, then the others; length 1 where the input has none.
    ///
    /// # Errors
    /// If the signature has another number of results; as [`Gufunc::map`].
    pub fn apply(
        self,
        dtypes: &[DType],
        closure: impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<Array>> {
        self.blocks(dtypes.len())?.apply(dtypes, closure)
    }

    /// Core axes of an input.
    fn core_rank(&self, input: usize) -> usize {
        self.input_cores.get(input).map_or(0, Vec::len)
    }

    /// The same in index notation: loop axes are numbered from the last.
    fn blocks(self, results: usize) -> Result<MapBlocks> {
        if results != self.results {
            let message = format!("the signature has {} results, the closure gives {results}", self.results);
            return Err(Error::Usage { message });
        }
        let loops = |count: usize| (0..count).rev().map(|n| format!("loop axis -{}", n + 1));
        let mut most = 0;
        let mut indexed = Vec::with_capacity(self.inputs.len());
        for (array, core) in self.inputs.iter().zip(&self.input_cores) {
            let own = array.rank().saturating_sub(core.len());
            most = most.max(own);
            indexed.push((array.clone(), loops(own).chain(core.iter().cloned()).collect::<Vec<_>>()));
        }
        let result: Vec<String> = loops(most).chain(self.result_cores.iter().cloned()).collect();
        let map = MapBlocks::indexed(&result, &indexed, &self.lengths)?;
        let of_inputs = |core: &&String| self.input_cores.iter().any(|own| own.contains(core));
        let kept = self.result_cores.iter().filter(of_inputs).count();
        let map = if kept > 0 { map.whole((most..most + kept).collect::<Vec<_>>())? } else { map };
        Ok(map.named(self.name).with_scratch_bytes(self.element_scratch_bytes))
    }
}

/// The core axes of each array of one side of a signature.
fn cores_of(text: &str) -> Option<Vec<Vec<String>>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inside = text.strip_prefix('(')?.strip_suffix(')')?;
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name.chars().next().is_some_and(|c| !c.is_numeric())
    };
    let core = |text: &str| {
        let names = text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match text {
            "" => Some(Vec::new()),
            _ => names.iter().all(|name| is_name(name)).then_some(names),
        }
    };
    inside.split("),(").map(core).collect()
}

/// What the loop axes of blocks broadcast to, each given with its number of core axes.
fn loop_shape(blocks: &[(&[usize], usize)]) -> Vec<usize> {
    let loops = |(shape, core): &(&[usize], usize)| shape.len().saturating_sub(*core);
    let rank = blocks.iter().map(loops).max().unwrap_or(0);
    let mut all = vec![1; rank];
    for block in blocks {
        let own = loops(block);
        for (length, other) in all.iter_mut().skip(rank - own).zip(block.0) {
            *length = (*length).max(*other);
        }
    }
    all
}

/// The core axes of a block at a position of the loop axes.
fn core_at<'a, T: Element>(block: &ArrayViewD<'a, T>, core: usize, place: &[usize]) -> ArrayViewD<'a, T> {
    let own = block.ndim().saturating_sub(core);
    let mut found = block.clone();
    for at in place.iter().skip(place.len() - own) {
        let last = found.len_of(Axis(0)).saturating_sub(1);
        found = found.index_axis_move(Axis(0), (*at).min(last));
    }
    found
}

/// What `of` gives for every position of `shape`, put together. If results differ in shape, so does the whole from what
/// is wanted.
fn each<U: Element>(shape: &[usize], mut of: impl FnMut(&[usize]) -> ArrayD<U>) -> ArrayD<U> {
    let (mut elements, mut whole) = (Vec::new(), shape.to_vec());
    for (n, place) in ndarray::indices(IxDyn(shape)).into_iter().enumerate() {
        let made = of(ndarray::Dimension::slice(&place));
        if n == 0 {
            whole.extend(made.shape());
        }
        elements.extend(made);
    }
    let found = elements.len();
    ArrayD::from_shape_vec(IxDyn(&whole), elements).unwrap_or_else(|_| ArrayD::default(IxDyn(&[found])))
}
