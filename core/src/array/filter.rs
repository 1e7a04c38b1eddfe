//! Filters of neighbourhoods with the meaning of SciPy's `ndimage`.
//!
//! A filter is one function of whole blocks with a halo: all its windows run in the task that holds the block, and nothing
//! but the result is stored. What lies beyond the array is made of what the block holds; only where the array goes on as
//! its other end is it padded. Invariant: a result does not depend on how the array is cut. Called by programs and `eval`.

mod extremes;
mod gaussian;
mod linear;
mod local;
mod morphology;
mod run;

pub use local::LocalThreshold;
pub use morphology::Structure;

use super::{Array, Axes};
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::Edge;

/// How the neighbourhoods of an array become elements: options first, then the filter.
///
/// Options are those of SciPy's functions. Where several axes are filtered, a list of one holds for all of them; else it
/// has one for each axis.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_core::kernels::filter::Edge;
/// let x = Array::from_fn(&[60, 80], |at| (at[0] * at[1] % 7) as f32)?.rechunk([20, 30])?;
/// let smooth = x.filter().modes(&[Edge::Nearest]).gaussian(&[2.0, 1.0])?;
/// let means = x.filter().axes("y".into()).uniform(&[5]);
/// assert!(means.is_err(), "no axis has a name");
/// assert_eq!((smooth.shape(), smooth.dtype()), (x.shape(), x.dtype()));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    array: Array,
    axes: Axes,
    edges: Vec<Edge>,
    origins: Vec<i64>,
    output: Option<DType>,
    truncate: f64,
    radii: Option<Vec<usize>>,
}

impl Array {
    /// A filter of this array's neighbourhoods in the making.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            array: self.clone(),
            axes: Axes::All,
            edges: vec![Edge::Reflect],
            origins: vec![0],
            output: None,
            truncate: 4.0,
            radii: None,
        }
    }
}

impl Filter {
    /// Windows lie along these axes; along all if nothing is said.
    #[must_use]
    pub fn axes(self, axes: Axes) -> Self {
        Self { axes, ..self }
    }

    /// What lies beyond the array, along each axis; [`Edge::Reflect`] if nothing is said.
    #[must_use]
    pub fn modes(self, modes: &[Edge]) -> Self {
        Self { edges: modes.to_vec(), ..self }
    }

    /// Where the result stands in a window, along each axis, from its middle: 1 moves the window one element back.
    #[must_use]
    pub fn origins(self, origins: &[i64]) -> Self {
        Self { origins: origins.to_vec(), ..self }
    }

    /// The dtype of the results, the array's if nothing is said. Steps between store it too: of integers they truncate.
    #[must_use]
    pub fn output(self, dtype: DType) -> Self {
        Self { output: Some(dtype), ..self }
    }

    /// Gaussian windows end at this many standard deviations; 4 if nothing is said.
    #[must_use]
    pub fn truncate(self, deviations: f64) -> Self {
        Self { truncate: deviations, ..self }
    }

    /// Gaussian windows reach this far, along each axis, whatever their deviations.
    #[must_use]
    pub fn radii(self, radii: &[usize]) -> Self {
        Self { radii: Some(radii.to_vec()), ..self }
    }

    /// How many axes windows lie along.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn rank(&self) -> Result<usize> {
        Ok(self.own_axes()?.len())
    }

    fn dtype(&self) -> DType {
        self.output.unwrap_or_else(|| self.array.dtype())
    }

    /// The axes that windows lie along, with what lies beyond the array along each.
    fn own_axes(&self) -> Result<Vec<(usize, Edge)>> {
        let axes = self.axes.resolve(self.array.names())?;
        let edges = each("mode", &self.edges, axes.len())?;
        Ok(axes.into_iter().zip(edges).collect())
    }

    /// For every axis of the array, what lies beyond it and the origin of a window.
    fn all_axes(&self) -> Result<(Vec<Edge>, Vec<i64>)> {
        let own = self.own_axes()?;
        let origins = each("origin", &self.origins, own.len())?;
        let mut all = (vec![Edge::Nearest; self.array.rank()], vec![0; self.array.rank()]);
        for ((axis, edge), origin) in own.into_iter().zip(origins) {
            (all.0[axis], all.1[axis]) = (edge, origin);
        }
        Ok(all)
    }

    /// The shape of a window of `shape` along the filter's axes, in their ascending order: 1 along the others.
    fn window(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let mut own = self.axes.resolve(self.array.names())?;
        own.sort_unstable();
        if own.len() != shape.len() {
            return Err(Error::Rank { expected: own.len(), found: shape.len() });
        }
        let mut window = vec![1; self.array.rank()];
        for (axis, size) in own.into_iter().zip(shape) {
            window[axis] = *size;
        }
        Ok(window)
    }
}

/// One for each of `count` axes.
fn each<T: Copy>(what: &str, given: &[T], count: usize) -> Result<Vec<T>> {
    match given {
        [all] => Ok(vec![*all; count]),
        _ if given.len() == count => Ok(given.to_vec()),
        _ => {
            let message = format!(
                "{what}: {} are given for {count} axes; give one for all, or one for each",
                given.len()
            );
            Err(Error::Usage { message })
        }
    }
}
