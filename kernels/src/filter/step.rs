//! One window of a filter: along an axis, or of any shape; what it needs, and what it costs.
//!
//! Arguments are SciPy's: a window of `size` elements has its result at element `size / 2 + origin`. Invariant: a step is
//! checked when it is made; running it fails only for boxes that do not fit. Called by [`Filter`](super::Filter).

use super::correlate::Correlation;
use super::herk::Running;
use super::line::{Line, Op};
use super::space::Space;
use super::span::Edge;
use super::window::{Points, Rolling, Window};
use crate::{BufferPool, DType, KernelError};
use std::ops::Range;

/// A window that becomes one element.
#[derive(Clone, Debug)]
pub struct Step {
    pub(super) kind: Kind,
    /// What it stores; `None`: what the filter does.
    pub(super) dtype: Option<DType>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Line(Line),
    Window(Window),
}

impl Step {
    fn line(axis: usize, size: usize, origin: i64, edge: Edge, op: Op) -> Result<Self, KernelError> {
        let line = Line { axis, reach: reach(size, origin)?, edge, op };
        Ok(Self { kind: Kind::Line(line), dtype: None })
    }

    /// The sum of weighted elements along `axis`: SciPy's `correlate1d`.
    ///
    /// # Errors
    /// If there are no weights, or the origin lies outside of them.
    pub fn correlate1d(axis: usize, weights: &[f64], origin: i64, edge: Edge) -> Result<Self, KernelError> {
        let correlation = Correlation::new(weights.to_vec());
        Self::line(axis, weights.len(), origin, edge, Op::Correlate(correlation))
    }

    /// As [`Step::correlate1d`], with the weights from the other end: SciPy's `convolve1d`.
    ///
    /// # Errors
    /// As [`Step::correlate1d`].
    pub fn convolve1d(axis: usize, weights: &[f64], origin: i64, edge: Edge) -> Result<Self, KernelError> {
        let turned: Vec<f64> = weights.iter().rev().copied().collect();
        Self::correlate1d(axis, &turned, mirrored(weights.len(), origin), edge)
    }

    /// The mean of `size` elements along `axis`: SciPy's `uniform_filter1d`.
    ///
    /// # Errors
    /// If the window is empty, or its origin outside of it.
    pub fn uniform(axis: usize, size: usize, origin: i64, edge: Edge) -> Result<Self, KernelError> {
        Self::line(axis, size, origin, edge, Op::Running(Running::Mean))
    }

    /// The smallest of `size` elements along `axis`: SciPy's `minimum_filter1d`.
    ///
    /// # Errors
    /// As [`Step::uniform`].
    pub fn minimum(axis: usize, size: usize, origin: i64, edge: Edge) -> Result<Self, KernelError> {
        Self::line(axis, size, origin, edge, Op::Running(Running::Min))
    }

    /// The largest of `size` elements along `axis`: SciPy's `maximum_filter1d`.
    ///
    /// # Errors
    /// As [`Step::uniform`].
    pub fn maximum(axis: usize, size: usize, origin: i64, edge: Edge) -> Result<Self, KernelError> {
        Self::line(axis, size, origin, edge, Op::Running(Running::Max))
    }

    fn window(
        shape: &[usize],
        origins: &[i64],
        edges: &[Edge],
        points: Points,
        is_inside: impl FnMut(usize) -> bool,
    ) -> Result<Self, KernelError> {
        let reach = shape
            .iter()
            .zip(origins)
            .map(|(size, origin)| reach(*size, *origin))
            .collect::<Result<_, _>>()?;
        let window = Window::new(shape, reach, edges.to_vec(), points, is_inside)?;
        Ok(Self { kind: Kind::Window(window), dtype: None })
    }

    /// The sum of weighted elements in a window of `shape`, weights in C order: SciPy's `correlate`. As there, weights that
    /// are nothing but rounding errors of 1 count as zero.
    ///
    /// # Errors
    /// If the lists do not fit each other, or an origin lies outside of the window.
    pub fn correlate(
        shape: &[usize],
        weights: &[f64],
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        let counts = |weight: &f64| weight.abs() > f64::EPSILON || weight.is_nan();
        let kept = weights.iter().copied().filter(counts).collect();
        let inside = |n: usize| weights.get(n).is_some_and(counts);
        Self::window(shape, origins, edges, Points::Correlate(kept), inside)
    }

    /// As [`Step::correlate`], with the weights from the other ends: SciPy's `convolve`.
    ///
    /// # Errors
    /// As [`Step::correlate`].
    pub fn convolve(
        shape: &[usize],
        weights: &[f64],
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        let turned: Vec<f64> = weights.iter().rev().copied().collect();
        Self::correlate(shape, &turned, &all_mirrored(shape, origins), edges)
    }

    /// The smallest element where `footprint` says so, each less its `structure`: SciPy's `minimum_filter` with a footprint,
    /// and `grey_erosion`.
    ///
    /// # Errors
    /// If the lists do not fit each other, the footprint is empty, or an origin lies outside of it.
    pub fn erosion(
        shape: &[usize],
        footprint: &[bool],
        structure: Option<&[f64]>,
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        let added = structure.map(|structure| chosen(structure, footprint, |height| -height));
        Self::window(shape, origins, edges, Points::Smallest(added), within(footprint))
    }

    /// The largest element where `footprint` says so: SciPy's `maximum_filter` with a footprint.
    ///
    /// # Errors
    /// As [`Step::erosion`].
    pub fn largest(
        shape: &[usize],
        footprint: &[bool],
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        Self::window(shape, origins, edges, Points::Largest(None), within(footprint))
    }

    /// The largest element where the mirrored `footprint` says so, each with its `structure`: SciPy's `grey_dilation`.
    ///
    /// # Errors
    /// As [`Step::erosion`].
    pub fn dilation(
        shape: &[usize],
        footprint: &[bool],
        structure: Option<&[f64]>,
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        let turned: Vec<bool> = footprint.iter().rev().copied().collect();
        let added = structure.map(|structure| {
            let structure: Vec<f64> = structure.iter().rev().copied().collect();
            chosen(&structure, &turned, |height| height)
        });
        let origins = all_mirrored(shape, origins);
        Self::window(shape, &origins, edges, Points::Largest(added), within(&turned))
    }

    /// The element of `rank` among those where `footprint` says so, from 0 for the smallest: SciPy's `rank_filter`.
    ///
    /// # Errors
    /// As [`Step::erosion`]; if there are no more than `rank` elements.
    pub fn rank(
        shape: &[usize],
        footprint: &[bool],
        rank: usize,
        origins: &[i64],
        edges: &[Edge],
    ) -> Result<Self, KernelError> {
        Self::window(shape, origins, edges, Points::Rank(rank), within(footprint))
    }

    /// Whether all elements where `structure` says so are other than zero; beyond the array they count as `border`: one
    /// iteration of SciPy's `binary_erosion`.
    ///
    /// # Errors
    /// As [`Step::erosion`].
    pub fn binary_erosion(
        shape: &[usize],
        structure: &[bool],
        origins: &[i64],
        border: bool,
    ) -> Result<Self, KernelError> {
        let edges = vec![Edge::Constant(f64::from(u8::from(border))); shape.len()];
        let step = Self::window(shape, origins, &edges, Points::All, within(structure))?;
        Ok(step.storing(DType::Bool))
    }

    /// Whether any element where the mirrored `structure` says so is other than zero: one iteration of SciPy's
    /// `binary_dilation`.
    ///
    /// # Errors
    /// As [`Step::erosion`].
    pub fn binary_dilation(
        shape: &[usize],
        structure: &[bool],
        origins: &[i64],
        border: bool,
    ) -> Result<Self, KernelError> {
        let edges = vec![Edge::Constant(f64::from(u8::from(border))); shape.len()];
        let turned: Vec<bool> = structure.iter().rev().copied().collect();
        let origins = all_mirrored(shape, origins);
        let step = Self::window(shape, &origins, &edges, Points::Any, within(&turned))?;
        Ok(step.storing(DType::Bool))
    }

    /// A statistic of what a window of `shape` shows and is not NaN; NaN where that is fewer than `least` elements, and what
    /// lies beyond the array is NaN. The window has `before[n]` elements before its result along axis `n`.
    ///
    /// # Errors
    /// If the lists do not fit each other, or a result lies outside of its window.
    pub fn rolling(
        shape: &[usize],
        before: &[usize],
        of: Rolling,
        least: usize,
    ) -> Result<Self, KernelError> {
        let origins: Vec<i64> =
            shape.iter().zip(before).map(|(size, before)| *before as i64 - (*size as i64 / 2)).collect();
        let edges = vec![Edge::Constant(f64::NAN); shape.len()];
        Self::window(shape, &origins, &edges, Points::Rolling(of, least), |_| true)
    }

    /// The same step with results of `dtype`, whatever the filter's.
    #[must_use]
    pub fn storing(self, dtype: DType) -> Self {
        Self { dtype: Some(dtype), ..self }
    }

    /// Elements before and after a result along an axis that it depends on; the more of both, unless the axis is `endless`:
    /// mirrored at an end, one side shows the other.
    pub(super) fn reach_within(&self, axis: usize, endless: bool) -> (usize, usize) {
        let (before, after) = match &self.kind {
            Kind::Line(line) if line.axis == axis => line.reach,
            Kind::Line(_) => (0, 0),
            Kind::Window(window) => window.reach.get(axis).copied().unwrap_or((0, 0)),
        };
        if endless { (before, after) } else { (before.max(after), before.max(after)) }
    }

    /// The box that the results of `wanted` need.
    pub(super) fn needed(&self, wanted: &[Range<i64>], extents: &[Option<i64>]) -> Vec<Range<i64>> {
        let axes = wanted.iter().zip(extents).enumerate();
        axes.map(|(axis, (own, extent))| {
            let (before, after) = self.reach_within(axis, extent.is_none());
            let range = own.start - before as i64..own.end + after as i64;
            match extent {
                Some(extent) => range.start.max(0)..range.end.min(*extent),
                None => range,
            }
        })
        .collect()
    }

    /// Bytes that [`Step::run`] takes for results of `shape`.
    pub(super) fn scratch_bytes(&self, shape: &[u64]) -> u64 {
        match &self.kind {
            Kind::Line(line) => line.scratch_bytes(shape.get(line.axis).copied().unwrap_or(1)),
            Kind::Window(window) => window.scratch_bytes(shape),
        }
    }

    pub(super) fn run(
        &self,
        source: &Space<'_>,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        dtype: DType,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        if let Some(dtype) = [source.dtype, dtype].into_iter().find(|dtype| dtype.kind() == 'c') {
            return Err(KernelError::Refused { operation: "a filter of real numbers", dtype });
        }
        let length = super::space::elements(wanted)?;
        crate::error::check_len("filtered box", out.len(), length, dtype.size())?;
        let held = super::space::elements(source.held)?;
        crate::error::check_len("box to filter", source.bytes.len(), held, source.dtype.size())?;
        if length == 0 {
            return Ok(());
        }
        match &self.kind {
            Kind::Line(line) => line.run(source, wanted, extents, dtype, out, pool),
            Kind::Window(window) => window.run(source, wanted, extents, dtype, out, pool),
        }
    }
}

/// Elements of a window along an axis, at most; positions and halos of more would leave the range of their integers.
const MOST_ELEMENTS: usize = (1 << 24) + 1;

/// Elements of a window before and after its result.
fn reach(size: usize, origin: i64) -> Result<(usize, usize), KernelError> {
    if size > MOST_ELEMENTS {
        let (what, value) = ("the size of a window", size as f64);
        return Err(KernelError::Parameter { what, value, wanted: "at most 2^24 + 1" });
    }
    let before = (size as i64 / 2).checked_add(origin).and_then(|before| usize::try_from(before).ok());
    let wanted = "such that the result's position, size / 2 + origin, is in the window";
    let fault = KernelError::Parameter { what: "the origin of a window", value: origin as f64, wanted };
    let before = before.filter(|before| *before < size).ok_or(fault)?;
    Ok((before, size - 1 - before))
}

/// The origin of a mirrored window.
const fn mirrored(size: usize, origin: i64) -> i64 {
    let even = size.is_multiple_of(2) as i64;
    origin.saturating_neg().saturating_sub(even)
}

fn all_mirrored(shape: &[usize], origins: &[i64]) -> Vec<i64> {
    shape.iter().zip(origins).map(|(size, origin)| mirrored(*size, *origin)).collect()
}

fn within(footprint: &[bool]) -> impl Fn(usize) -> bool + '_ {
    |n| footprint.get(n).copied().unwrap_or(false)
}

/// What of `structure` stands in the footprint.
fn chosen(structure: &[f64], footprint: &[bool], of: impl Fn(f64) -> f64) -> Vec<f64> {
    structure.iter().zip(footprint).filter(|(_, inside)| **inside).map(|(height, _)| of(*height)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_before_positions_do() {
        for size in [MOST_ELEMENTS + 1, usize::MAX, i64::MAX as usize] {
            assert!(Step::uniform(0, size, 0, Edge::Nearest).is_err(), "{size}");
            assert!(Step::maximum(0, size, 0, Edge::Wrap).is_err(), "{size}");
        }
        assert!(Step::uniform(0, MOST_ELEMENTS, 0, Edge::Nearest).is_ok());
    }
}
