//! [`Array`]: a lazy chunked N-dimensional array: dtype, shape, chunk grid, dimension names, and how to make it.
//!
//! Building is free and checked: methods look at dtypes and shapes alone, never at data, and report every such fault
//! when they are called. Operators panic where the named methods (`try_add` …) return the error. Invariants: a node
//! of the graph never changes; cloning an array shares its node; names are unique within an array.
//!
//! Called by programs; lowered to stages by the planner.

mod adapted;
mod axes;
mod block;
mod blockwise;
mod chunks;
mod closures;
mod coarsen;
mod compose;
mod create;
mod distance;
mod elementwise;
mod fill;
mod filter;
mod formulas;
mod fourier;
mod geometry;
mod group;
mod gufunc;
mod halo;
mod histogram;
mod index;
mod join;
mod label;
mod map_blocks;
mod mask;
mod narrow;
mod nested;
mod order;
mod quantile;
mod random;
mod reduce;
mod reduction;
mod reshape;
mod rolling;
mod scan;
mod search;
mod shape;
mod states;
mod statistics;
mod take;
mod tasks;
mod threshold;
mod unique;

pub(crate) use adapted::{Adapted, Adapter};
pub use axes::{Axes, Axis};
pub(crate) use block::BlockCall;
pub use block::BlockInput;
pub use chunks::{AxisChunks, Chunks};
pub use coarsen::{Coarse, Remainder};
pub(crate) use elementwise::Call;
pub use elementwise::Operand;
pub use filter::{Filter, LocalThreshold, Structure};
pub use fourier::Fourier;
pub use geometry::{Geometry, ZoomGrid};
pub use group::GroupBy;
pub(crate) use group::{Groups, LEFT_OUT};
pub use gufunc::Gufunc;
pub use index::Index;
pub use join::PadMode;
pub(crate) use join::Part;
pub use label::{Labels, Measures};
pub use map_blocks::MapBlocks;
pub use nested::Nested;
pub use quantile::Levels;
pub use reduce::Reduce;
pub(crate) use reduce::Reduced;
pub(crate) use reshape::Reshape;
pub use rolling::Windows;
pub use unique::UniqueElements;

use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::source::Source;
use crate::view::{AxisView, View};
use blockwise_kernels::{DType, Scalar};
use std::fmt;
use std::sync::Arc;

/// A lazy chunked N-dimensional array. Cloning is free.
///
/// ```
/// use blockwise_core::{Array, DType};
/// let x = Array::zeros(&[1000, 720], DType::F32)?.with_names(&["time", "x"])?;
/// assert_eq!(x.shape(), [1000, 720]);
/// assert_eq!(x.slice("time", ..10)?.shape(), [10, 720]);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Array {
    node: Arc<Node>,
}

/// A node of the graph: what an array is and how it is made.
pub(crate) struct Node {
    pub(crate) dtype: DType,
    pub(crate) grid: ChunkGrid,
    pub(crate) names: Vec<Option<String>>,
    pub(crate) kind: Kind,
}

/// How an array is made.
pub(crate) enum Kind {
    /// Read chunk by chunk.
    Source(Arc<dyn Source>),
    /// The same value everywhere.
    Constant(Scalar),
    /// Another array, seen otherwise.
    View { input: Array, view: View },
    /// Another array, cut otherwise.
    Rechunk { input: Array },
    /// Another array, of this dtype.
    Cast { input: Array },
    /// An elementwise function.
    Call(Call),
    /// Other arrays side by side.
    Join(Vec<Part>),
    /// The same elements in C order, in another shape.
    Reshape(Reshape),
    /// Another array, read through a source over it.
    Adapted(Adapted),
    /// A reduction.
    Reduce(Reduced),
    /// One of the results of a function of whole blocks.
    Block { call: Arc<BlockCall>, output: usize },
}

impl Array {
    /// The array that a source holds, with its grid.
    #[must_use]
    pub fn from_source(source: Arc<dyn Source>) -> Self {
        let grid = source.grid().clone();
        Self::of(source.dtype(), grid, Kind::Source(source))
    }

    /// An array of zeros (`false` for bool), cut automatically.
    ///
    /// # Errors
    /// If the shape has too many axes or elements.
    pub fn zeros(shape: &[u64], dtype: DType) -> Result<Self> {
        Self::full(shape, Scalar::zero(dtype))
    }

    /// An array of `value`, cut automatically.
    ///
    /// # Errors
    /// If the shape has too many axes or elements.
    pub fn full(shape: &[u64], value: Scalar) -> Result<Self> {
        let whole = ChunkGrid::single(shape)?;
        let grid = Chunks::Auto.normalize(&whole, &[], value.dtype().size(), false)?;
        Ok(Self::of(value.dtype(), grid, Kind::Constant(value)))
    }

    fn of(dtype: DType, grid: ChunkGrid, kind: Kind) -> Self {
        let names = vec![None; grid.rank()];
        Self { node: Arc::new(Node { dtype, grid, names, kind }) }
    }

    fn view(&self, view: View, grid: ChunkGrid, names: Vec<Option<String>>) -> Self {
        // Views of views are one view; a view of a constant is that constant in another shape.
        let kind = match &self.node.kind {
            Kind::View { input, view: inner } => {
                Kind::View { input: input.clone(), view: inner.below(&view) }
            }
            Kind::Constant(value) => Kind::Constant(*value),
            _ => Kind::View { input: self.clone(), view },
        };
        Self { node: Arc::new(Node { dtype: self.dtype(), grid, names, kind }) }
    }

    /// The same array with other dimension names.
    pub(crate) fn renamed(&self, names: Vec<Option<String>>) -> Self {
        // Results of functions of whole blocks stay what they are, so that they are written without a stop.
        if let Kind::Block { call, output } = &self.node.kind {
            let kind = Kind::Block { call: Arc::clone(call), output: *output };
            let (dtype, grid) = (self.dtype(), self.grid().clone());
            return Self { node: Arc::new(Node { dtype, grid, names, kind }) };
        }
        self.view(View::identity(self.rank()), self.grid().clone(), names)
    }

    /// This array through `view`, as the array `outer` (whose shape that is) shows it, cut as its chunks are seen.
    pub(crate) fn seen_through(&self, view: &View, outer: &Self) -> Result<Self> {
        let mut axes: Vec<AxisGrid> = outer
            .shape()
            .iter()
            .map(|extent| AxisGrid::regular(*extent, (*extent).max(1)))
            .collect::<Result<_>>()?;
        for (below, cuts) in view.axes().iter().zip(self.grid().axes()) {
            if let AxisView::Along { axis, start, step } = *below
                && let Some(seen) = axes.get_mut(axis)
            {
                *seen = View::seen_cuts(cuts, start, step, seen.extent());
            }
        }
        Ok(self.view(view.clone(), ChunkGrid::from_axes(axes)?, vec![None; outer.rank()]))
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.node.dtype
    }

    /// Elements per axis.
    #[must_use]
    pub fn shape(&self) -> Vec<u64> {
        self.node.grid.shape()
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.node.grid.rank()
    }

    /// How the array is cut.
    #[must_use]
    pub fn grid(&self) -> &ChunkGrid {
        &self.node.grid
    }

    /// Dimension names, one an axis.
    #[must_use]
    pub fn names(&self) -> &[Option<String>] {
        &self.node.names
    }

    /// The same array with dimension names.
    ///
    /// # Errors
    /// If their number is not the rank, or two are the same.
    pub fn with_names(&self, names: &[&str]) -> Result<Self> {
        self.with_some_names(names.iter().map(|name| Some((*name).to_owned())).collect())
    }

    /// The same array with dimension names, as far as there are any.
    ///
    /// # Errors
    /// As [`Array::with_names`].
    pub fn with_some_names(&self, names: Vec<Option<String>>) -> Result<Self> {
        if names.len() != self.rank() {
            return Err(Error::Rank { expected: self.rank(), found: names.len() });
        }
        let known = |n: usize, name: &Option<String>| name.is_some() && names[..n].contains(name);
        if let Some(Some(twice)) =
            names.iter().enumerate().find_map(|(n, name)| known(n, name).then_some(name))
        {
            return Err(Error::Usage { message: format!("the dimension name '{twice}' is given twice") });
        }
        Ok(self.renamed(names))
    }

    /// The same array cut otherwise. Chunk arguments are dask's: see [`Chunks`].
    ///
    /// # Errors
    /// If the chunks do not fit the shape or name no axis.
    pub fn rechunk(&self, chunks: impl Into<Chunks>) -> Result<Self> {
        let grid = chunks.into().normalize(self.grid(), self.names(), self.dtype().size(), true)?;
        if grid == *self.grid() {
            return Ok(self.clone());
        }
        let node = match &self.node.kind {
            Kind::Constant(value) => Kind::Constant(*value),
            // What lies in memory, or is made from positions, is cut where it is.
            Kind::Source(source) if source.is_in_memory() => {
                source.recut(&grid).map_or_else(|| Kind::Rechunk { input: self.clone() }, Kind::Source)
            }
            _ => Kind::Rechunk { input: self.clone() },
        };
        Ok(Self {
            node: Arc::new(Node { dtype: self.dtype(), grid, names: self.names().to_vec(), kind: node }),
        })
    }
}

/// A number converted as by `astype`.
pub(crate) fn scalar_as(value: Scalar, dtype: DType) -> Option<Scalar> {
    let mut bytes = vec![0; dtype.size()];
    blockwise_kernels::cast(&mut bytes, dtype, value.bytes(), value.dtype()).ok()?;
    Scalar::from_bytes(dtype, &bytes)
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axis = |(name, extent): (&Option<String>, u64)| match name {
            Some(name) => format!("{name}: {extent}"),
            None => extent.to_string(),
        };
        let axes: Vec<String> = self.names().iter().zip(self.shape()).map(axis).collect();
        write!(f, "Array({}; {}; chunks {:?})", axes.join(", "), self.dtype(), self.grid().largest_chunk())
    }
}
