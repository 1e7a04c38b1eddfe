//! Grey and binary morphology: erosions, dilations, and one after the other.
//!
//! Openings and closings are one task each: the step between is made in the halo, and is not stored. Called by programs
//! and `eval`.

use super::Filter;
use crate::array::Array;
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::{Connection, Step};
use ndarray::{ArrayD, Dimension, IxDyn};

/// What is laid around an element to erode or dilate.
#[derive(Clone, Debug)]
pub struct Structure {
    footprint: ArrayD<bool>,
    heights: Option<ArrayD<f64>>,
}

impl Structure {
    /// The elements where `footprint` says so.
    #[must_use]
    pub const fn flat(footprint: ArrayD<bool>) -> Self {
        Self { footprint, heights: None }
    }

    /// As [`Structure::flat`], with a height for each element of the footprint.
    ///
    /// # Errors
    /// If both differ in shape.
    pub fn with_heights(self, heights: ArrayD<f64>) -> Result<Self> {
        if heights.shape() != self.footprint.shape() {
            let shape = |lengths: &[usize]| lengths.iter().map(|length| *length as u64).collect();
            let (expected, found) = (shape(self.footprint.shape()), shape(heights.shape()));
            return Err(Error::Shape { expected, found });
        }
        Ok(Self { heights: Some(heights), ..self })
    }

    /// The neighbours of an element that differ from it along at most `connectivity` of `rank` axes, and itself: SciPy's
    /// `generate_binary_structure`.
    ///
    /// ```
    /// use blockwise_core::array::Structure;
    /// assert_eq!(Structure::connected(2, 1).count(), 5);
    /// assert_eq!(Structure::connected(3, 3).count(), 27);
    /// ```
    #[must_use]
    pub fn connected(rank: usize, connectivity: usize) -> Self {
        let is_near =
            |at: IxDyn| at.slice().iter().filter(|place| **place != 1).count() <= connectivity.max(1);
        Self::flat(ArrayD::from_shape_fn(IxDyn(&vec![3; rank]), is_near))
    }

    /// The footprint as what hangs together in an array of `rank` axes.
    ///
    /// # Errors
    /// If it has not 3 elements along each axis, or is not symmetric about its middle.
    pub(in crate::array) fn connection(&self, rank: usize) -> Result<Connection> {
        if self.footprint.ndim() != rank || self.footprint.shape().iter().any(|length| *length != 3) {
            let expected = vec![3; rank];
            let found = self.footprint.shape().iter().map(|length| *length as u64).collect();
            return Err(Error::Shape { expected, found });
        }
        let footprint: Vec<bool> = self.footprint.iter().copied().collect();
        Ok(Connection::new(&footprint, rank)?)
    }

    /// Elements of the footprint.
    #[must_use]
    pub fn count(&self) -> usize {
        self.footprint.iter().filter(|inside| **inside).count()
    }
}

/// What one step of morphology does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Erode,
    Dilate,
}

impl Filter {
    /// Smallest elements around, each less the structure's height: SciPy's `grey_erosion`.
    ///
    /// # Errors
    /// If structure or options do not fit the axes, the structure is empty, or the array is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Structure;
    /// let x = Array::from_fn(&[9], |at| if at[0] == 4 { 5.0 } else { 1.0 })?.rechunk([3])?;
    /// let flat = Structure::flat(ndarray::arr1(&[true; 3]).into_dyn());
    /// assert_eq!(x.filter().grey_dilation(&flat)?.compute::<f64>()?.sum(), 21.0);
    /// assert_eq!(x.filter().grey_opening(&flat)?.compute::<f64>()?.sum(), 9.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn grey_erosion(&self, structure: &Structure) -> Result<Array> {
        self.chained("grey_erosion", self.grey(Change::Erode, structure)?)
    }

    /// Largest elements around, each with the mirrored structure's height: SciPy's `grey_dilation`.
    ///
    /// # Errors
    /// As [`Filter::grey_erosion`].
    pub fn grey_dilation(&self, structure: &Structure) -> Result<Array> {
        self.chained("grey_dilation", self.grey(Change::Dilate, structure)?)
    }

    /// A dilation of an erosion: SciPy's `grey_opening`.
    ///
    /// # Errors
    /// As [`Filter::grey_erosion`].
    pub fn grey_opening(&self, structure: &Structure) -> Result<Array> {
        self.chained("grey_opening", self.grey_both([Change::Erode, Change::Dilate], structure)?)
    }

    /// An erosion of a dilation: SciPy's `grey_closing`.
    ///
    /// # Errors
    /// As [`Filter::grey_erosion`].
    pub fn grey_closing(&self, structure: &Structure) -> Result<Array> {
        self.chained("grey_closing", self.grey_both([Change::Dilate, Change::Erode], structure)?)
    }

    fn grey_both(&self, [first, second]: [Change; 2], structure: &Structure) -> Result<Vec<Step>> {
        // What stands between is of the array's dtype.
        let between = self.array.dtype();
        let mut steps: Vec<Step> =
            self.grey(first, structure)?.into_iter().map(|step| step.storing(between)).collect();
        steps.extend(self.grey(second, structure)?);
        Ok(steps)
    }

    fn grey(&self, change: Change, structure: &Structure) -> Result<Vec<Step>> {
        let footprint: Vec<bool> = structure.footprint.iter().copied().collect();
        let ((edges, origins), window) = (self.all_axes()?, self.window(structure.footprint.shape())?);
        if structure.heights.is_none() && footprint.iter().all(|inside| *inside) {
            // A box is one axis after the other.
            let own = self.own_axes()?;
            let mut steps = Vec::with_capacity(own.len());
            for (axis, edge) in own {
                let (size, origin) = (window[axis], origins[axis]);
                if size == 1 {
                    continue;
                }
                let even = i64::from(size.is_multiple_of(2));
                steps.push(match change {
                    Change::Erode => Step::minimum(axis, size, origin, edge)?,
                    Change::Dilate => Step::maximum(axis, size, -origin - even, edge)?,
                });
            }
            return Ok(steps);
        }
        let heights: Option<Vec<f64>> =
            structure.heights.as_ref().map(|heights| heights.iter().copied().collect());
        let make = match change {
            Change::Erode => Step::erosion,
            Change::Dilate => Step::dilation,
        };
        Ok(vec![make(&window, &footprint, heights.as_deref(), &origins, &edges)?])
    }

    /// Where all elements around are other than zero, `iterations` times; beyond the array they count as `border`: SciPy's
    /// `binary_erosion`. Modes have no meaning here.
    ///
    /// # Errors
    /// If the structure or origins do not fit the axes, or there are no iterations.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Structure;
    /// let x = Array::from_fn(&[9], |at| (2..7).contains(&at[0]))?.rechunk([4])?;
    /// let cross = Structure::connected(1, 1);
    /// let count = |array: Array| -> blockwise_core::Result<i64> { Ok(array.count_nonzero(..)?.compute::<i64>()?[[]]) };
    /// assert_eq!(count(x.filter().binary_erosion(&cross, 1, false)?)?, 3);
    /// assert_eq!(count(x.filter().binary_dilation(&cross, 2, false)?)?, 9);
    /// assert_eq!(count(x.filter().binary_opening(&cross, 2, false)?)?, 5);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn binary_erosion(&self, structure: &Structure, iterations: usize, border: bool) -> Result<Array> {
        self.binary("binary_erosion", &[Change::Erode], structure, iterations, border)
    }

    /// Where any element around is other than zero, by the mirrored structure: SciPy's `binary_dilation`.
    ///
    /// # Errors
    /// As [`Filter::binary_erosion`].
    pub fn binary_dilation(&self, structure: &Structure, iterations: usize, border: bool) -> Result<Array> {
        self.binary("binary_dilation", &[Change::Dilate], structure, iterations, border)
    }

    /// Dilations of erosions: SciPy's `binary_opening`.
    ///
    /// # Errors
    /// As [`Filter::binary_erosion`].
    pub fn binary_opening(&self, structure: &Structure, iterations: usize, border: bool) -> Result<Array> {
        self.binary("binary_opening", &[Change::Erode, Change::Dilate], structure, iterations, border)
    }

    /// Erosions of dilations: SciPy's `binary_closing`.
    ///
    /// # Errors
    /// As [`Filter::binary_erosion`].
    pub fn binary_closing(&self, structure: &Structure, iterations: usize, border: bool) -> Result<Array> {
        self.binary("binary_closing", &[Change::Dilate, Change::Erode], structure, iterations, border)
    }

    fn binary(
        &self,
        name: &str,
        changes: &[Change],
        structure: &Structure,
        iterations: usize,
        border: bool,
    ) -> Result<Array> {
        if !(1..=1 << 10).contains(&iterations) {
            let message = format!(
                "{name} {iterations} times; give 1 to 1024 iterations: until nothing changes would need all of the array"
            );
            return Err(Error::Usage { message });
        }
        let footprint: Vec<bool> = structure.footprint.iter().copied().collect();
        let ((_, origins), window) = (self.all_axes()?, self.window(structure.footprint.shape())?);
        let mut steps = Vec::with_capacity(changes.len() * iterations);
        for change in changes {
            let step = match change {
                Change::Erode => Step::binary_erosion(&window, &footprint, &origins, border)?,
                Change::Dilate => Step::binary_dilation(&window, &footprint, &origins, border)?,
            };
            steps.extend(std::iter::repeat_n(step, iterations));
        }
        // Beyond the array stands the border, whatever the modes.
        let plain = self.clone().modes(&[blockwise_kernels::filter::Edge::Nearest]).output(DType::Bool);
        plain.chained(name, steps)
    }
}
