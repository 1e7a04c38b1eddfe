//! The same elements in C order, in another shape: reshape, ravel, repeat.
//!
//! The axes of both shapes fall into groups that hold as many elements. Within a group both sides are cut at the same
//! places of the flattened elements, so that a chunk of one is a chunk of the other and is only renamed; the input is
//! cut so first. Invariant: those places are such that chunks are boxes on both sides. Called by programs and `eval`.

use super::{Array, Axis, Kind, Node};
use crate::adapt::AxisGroup;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::{byte_count, element_count};
use crate::source::Source;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes that a chunk of a reshaped array aims at, at least and at most; between them, twice those of the array's own.
const TARGET_BYTES: RangeInclusive<u64> = 2 << 20..=32 << 20;

/// Bytes of chunks that are kept if they can be: smaller ones make too many tasks, larger ones too much to hold.
const KEPT_BYTES: RangeInclusive<u64> = 1 << 20..=256 << 20;

/// An array in another shape.
pub(crate) struct Reshape {
    /// Cut so that its chunks are those of the result.
    pub(crate) input: Array,
    pub(crate) groups: Vec<AxisGroup>,
}

impl Reshape {
    /// The source whose chunks can be taken as they are.
    pub(crate) fn stored(&self) -> Option<&Arc<dyn Source>> {
        match &self.input.node().kind {
            Kind::Source(source) if source.grid() == self.input.grid() => Some(source),
            _ => None,
        }
    }
}

impl Array {
    /// The elements in C order in another shape; one axis may be -1: what is left over.
    ///
    /// # Errors
    /// If the shape has another number of elements.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 24, 1)?.reshape(&[2, 3, -1])?;
    /// assert_eq!((x.shape(), x.compute::<i64>()?[[1, 2, 3]]), (vec![2, 3, 4], 23));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn reshape(&self, shape: &[i64]) -> Result<Self> {
        let shape = resolved(&self.shape(), shape)?;
        if shape == self.shape() {
            return Ok(self.clone());
        }
        let names = vec![None; shape.len()];
        if shape.contains(&0) || matches!(self.node().kind, Kind::Constant(_)) {
            let Kind::Constant(value) = self.node().kind else {
                return Self::zeros(&shape, self.dtype());
            };
            return Self::full(&shape, value);
        }
        let groups = groups_of(&self.shape(), &shape);
        let own = self.shape();
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        // Axes that stay keep their cuts; what room they leave is for the groups that change.
        let kept: u64 = groups
            .iter()
            .filter(|group| group.inner.len() == 1 && group.outer.len() == 1)
            .filter_map(|group| self.grid().axes().get(group.inner.start))
            .map(|cuts| cuts.longest().max(1))
            .product();
        let changing = groups.iter().filter(|group| group.inner.len() != 1 || group.outer.len() != 1).count();
        // What makes an array of a narrow dtype is often as wide as numbers are, and must be cut as that array is.
        let item_bytes = self.dtype().size().max(size_of::<f64>());
        let own_bytes = byte_count(&self.grid().largest_chunk(), item_bytes).unwrap_or(u64::MAX);
        let target_bytes = own_bytes.saturating_mul(2).clamp(*TARGET_BYTES.start(), *TARGET_BYTES.end());
        let room = (target_bytes / item_bytes as u64 / kept.max(1)).max(1);
        let share = if changing > 1 { room.isqrt().max(1) } else { room };
        for group in &groups {
            let from = own.get(group.inner.clone()).unwrap_or_default();
            let to = shape.get(group.outer.clone()).unwrap_or_default();
            match (from, to, self.grid().axes().get(group.inner.start)) {
                ([_], [_], Some(cuts)) => {
                    inner.push(cuts.clone());
                    outer.push(cuts.clone());
                }
                _ => {
                    let cuts = self.grid().axes().get(group.inner.clone()).unwrap_or_default();
                    let own = if KEPT_BYTES.contains(&own_bytes) { own_run(cuts, from, to)? } else { None };
                    let run = own.unwrap_or_else(|| common_run(from, to, share));
                    inner.extend(cut_by(from, run)?);
                    outer.extend(cut_by(to, run)?);
                }
            }
        }
        let input = self.rechunk(&ChunkGrid::from_axes(inner)?)?;
        let kind = Kind::Reshape(Reshape { input, groups });
        let node = Node { dtype: self.dtype(), grid: ChunkGrid::from_axes(outer)?, names, kind };
        Ok(Self { node: Arc::new(node) })
    }

    /// The elements in C order along one axis.
    ///
    /// # Errors
    /// If there are too many to count.
    pub fn ravel(&self) -> Result<Self> {
        self.reshape(&[-1])
    }

    /// Every element repeated `times` times along an axis.
    ///
    /// # Errors
    /// If there is no such axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 3, 1)?.repeat(2, 0)?;
    /// assert_eq!(x.compute::<i64>()?.into_raw_vec_and_offset().0, [0, 0, 1, 1, 2, 2]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn repeat(&self, times: u64, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let mut shape = self.shape();
        shape.insert(axis + 1, times);
        let expanded = self.expand_dims(axis as i64 + 1)?.broadcast_to(&shape)?;
        let merged = shape.remove(axis + 1);
        let along = shape.get_mut(axis).ok_or(Error::Rank { expected: axis + 1, found: 0 })?;
        *along = along.saturating_mul(merged);
        let shape: Vec<i64> = shape.iter().map(|extent| *extent as i64).collect();
        Ok(expanded.reshape(&shape)?.renamed(self.names().to_vec()))
    }
}

/// The shape with its -1 filled in.
fn resolved(own: &[u64], shape: &[i64]) -> Result<Vec<u64>> {
    let fault = || Error::Usage {
        message: format!(
            "an array of shape {own:?} cannot be seen as {shape:?}; the numbers of elements must be equal, and at most one axis be -1"
        ),
    };
    let total = element_count(own).ok_or_else(fault)?;
    let known: Vec<u64> = shape.iter().filter_map(|extent| u64::try_from(*extent).ok()).collect();
    let product = element_count(&known).ok_or_else(fault)?;
    let open = shape.iter().filter(|extent| **extent == -1).count();
    let rest = match (open, total.checked_div(product)) {
        (0, _) if product == total => 1,
        (1, Some(rest)) if rest * product == total => rest,
        _ => return Err(fault()),
    };
    shape
        .iter()
        .map(|extent| match u64::try_from(*extent) {
            Ok(extent) => Ok(extent),
            Err(_) if *extent == -1 => Ok(rest),
            Err(_) => Err(fault()),
        })
        .collect()
}

/// The least groups of neighbouring axes that hold as many elements in both shapes. Axes of length 1 join the group
/// before them.
fn groups_of(inner: &[u64], outer: &[u64]) -> Vec<AxisGroup> {
    let mut groups: Vec<AxisGroup> = Vec::new();
    let (mut i, mut o) = (0, 0);
    while i < inner.len() || o < outer.len() {
        let (first_i, first_o) = (i, o);
        let (mut a, mut b) = (1_u64, 1_u64);
        loop {
            if a <= b && i < inner.len() && (a < b || i == first_i) {
                a = a.saturating_mul(inner.get(i).copied().unwrap_or(1));
                i += 1;
            } else if o < outer.len() && (b < a || o == first_o) {
                b = b.saturating_mul(outer.get(o).copied().unwrap_or(1));
                o += 1;
            } else {
                break;
            }
        }
        // What is left over are axes of length 1 on one side.
        let alone = (first_i == i || first_o == o).then(|| groups.last_mut()).flatten();
        match alone {
            Some(last) => {
                last.inner.end = i;
                last.outer.end = o;
            }
            None => groups.push(AxisGroup { inner: first_i..i, outer: first_o..o }),
        }
    }
    groups
}

/// Elements of the axes after each, in C order.
fn trailing(shape: &[u64]) -> Vec<u64> {
    let mut products: Vec<u64> = shape
        .iter()
        .rev()
        .scan(1_u64, |product, extent| {
            let now = *product;
            *product = product.saturating_mul(*extent);
            Some(now)
        })
        .collect();
    products.reverse();
    products
}

/// Whether runs of `run` flattened elements are boxes of `shape`, all of one kind: whole on the last axes, a part of
/// one, single on those before. A part of any but the first axis must divide it.
fn is_box(shape: &[u64], run: u64) -> bool {
    shape.iter().zip(trailing(shape)).enumerate().any(|(axis, (extent, below))| {
        run.is_multiple_of(below) && {
            let part = run / below;
            part <= *extent && (axis == 0 || extent.is_multiple_of(part))
        }
    }) || shape.is_empty()
}

/// The longest run of flattened elements of at most `most` that is a box of both shapes; if that would be very
/// short, the shortest that is longer.
fn common_run(inner: &[u64], outer: &[u64], most: u64) -> u64 {
    let mut candidates = vec![1];
    for (this, other) in [(inner, outer), (outer, inner)] {
        let below = trailing(this);
        for (axis, (extent, below)) in this.iter().zip(&below).enumerate() {
            if axis == 0 {
                // Any part of the first axis that is whole on the other side's first as well.
                let step = trailing(other).first().copied().unwrap_or(1);
                let least = step / greatest_common(step, *below);
                let fitting = (most / below.max(&1) / least * least).clamp(least, (*extent).max(least));
                candidates.extend(
                    [least, fitting / least * least, *extent].map(|part| part.saturating_mul(*below)),
                );
            }
            candidates.extend(divisors(*extent).into_iter().map(|part| part.saturating_mul(*below)));
        }
    }
    candidates.retain(|run| *run > 0 && is_box(inner, *run) && is_box(outer, *run));
    let within = candidates.iter().copied().filter(|run| *run <= most).max().unwrap_or(1);
    let beyond = candidates.iter().copied().filter(|run| *run > most).min();
    match beyond {
        Some(beyond) if within < most / 256 => beyond,
        _ => within,
    }
}

/// The flattened elements of a chunk, if chunks are runs that are boxes of both shapes: then they can be taken as they are.
fn own_run(cuts: &[AxisGrid], from: &[u64], to: &[u64]) -> Result<Option<u64>> {
    let lengths = cuts.iter().map(AxisGrid::regular_chunk);
    let run = lengths.zip(from).try_fold(1_u64, |run, (chunk, extent)| run.checked_mul(chunk?.min(*extent)));
    let Some(run) = run.filter(|run| *run > 0 && is_box(from, *run) && is_box(to, *run)) else {
        return Ok(None);
    };
    Ok(if cut_by(from, run)? == cuts { Some(run) } else { None })
}

/// The cuts of `shape` in runs of `run` flattened elements.
fn cut_by(shape: &[u64], run: u64) -> Result<Vec<AxisGrid>> {
    let below = trailing(shape);
    // The first axis of which a run takes a whole number.
    let parted = below.iter().position(|below| run.is_multiple_of(*below)).unwrap_or(0);
    let length = |axis: usize, extent: u64| match axis.cmp(&parted) {
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Equal => below.get(axis).map_or(1, |below| run / below),
        std::cmp::Ordering::Greater => extent,
    };
    shape
        .iter()
        .enumerate()
        .map(|(axis, extent)| AxisGrid::regular(*extent, length(axis, *extent).min(*extent).max(1)))
        .collect()
}

fn greatest_common(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { greatest_common(b, a % b) }
}

fn divisors(n: u64) -> Vec<u64> {
    let small: Vec<u64> = (1..=n.isqrt()).take(1 << 16).filter(|d| n.is_multiple_of(*d)).collect();
    let large: Vec<u64> = small.iter().rev().map(|d| n / d).collect();
    small.into_iter().chain(large).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_hold_as_many_elements() {
        let ranges = |inner: &[u64], outer: &[u64]| -> Vec<(usize, usize)> {
            groups_of(inner, outer).iter().map(|g| (g.inner.len(), g.outer.len())).collect()
        };
        assert_eq!(ranges(&[12, 30, 40], &[360, 40]), [(2, 1), (1, 1)]);
        assert_eq!(ranges(&[6, 10], &[4, 15]), [(2, 2)]);
        assert_eq!(ranges(&[5, 1], &[5]), [(2, 1)]);
        assert_eq!(ranges(&[5], &[1, 5, 1]), [(1, 3)]);
        assert_eq!(ranges(&[1], &[]), [(1, 0)]);
    }

    #[test]
    fn chunks_that_are_runs_are_kept() {
        let run = |from: &[u64], chunk: &[u64], to: &[u64]| {
            let grid = ChunkGrid::regular(from, chunk).unwrap();
            own_run(grid.axes(), from, to).unwrap()
        };
        assert_eq!(run(&[361, 720], &[361, 720], &[259_920]), Some(259_920));
        assert_eq!(run(&[361, 720], &[19, 720], &[259_920]), Some(19 * 720));
        // Rows in part, or rows of which some are whole: no runs.
        assert_eq!(run(&[361, 720], &[361, 90], &[259_920]), None);
        assert_eq!(run(&[4, 6, 10], &[2, 3, 10], &[240]), None);
        // Single rows in part are.
        assert_eq!(run(&[361, 720], &[1, 90], &[259_920]), Some(90));
        assert_eq!(run(&[6, 10], &[2, 10], &[4, 15]), None);
    }

    proptest! {
        #[test]
        fn runs_are_boxes_of_both(
            factors in proptest::collection::vec(1_u64..7, 1..6), split in 0_usize..6, most in 1_u64..400,
        ) {
            let at = split.min(factors.len());
            let inner = [factors[..at].iter().product::<u64>(), factors[at..].iter().product()];
            let run = common_run(&inner, &factors, most);
            for shape in [&inner[..], &factors[..]] {
                prop_assert!(is_box(shape, run), "{:?} {}", shape, run);
                let grid = ChunkGrid::from_axes(cut_by(shape, run).unwrap()).unwrap();
                // Chunks in C order are the runs.
                let mut at = 0;
                for index in grid.indices() {
                    let region = grid.region(&index).unwrap();
                    let flat = region.origin().iter().zip(shape).fold(0, |flat, (o, n)| flat * n + o);
                    prop_assert_eq!(flat, at);
                    at += region.len();
                }
            }
        }
    }
}
