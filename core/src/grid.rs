//! How an array is cut into chunks: [`ChunkGrid`], per axis.
//!
//! Invariants: every element lies in exactly one chunk; chunks have at least one element, so an axis of extent 0 has
//! no chunks; a regular axis costs O(1) memory, a rectilinear one a number per cut. All arithmetic is checked when
//! the grid is made, so that questions asked later cannot overflow. Called by sources, sinks and the planner.

use crate::error::{Error, Result};
use crate::region::{MAX_RANK, Region, element_count};
use std::ops::Range;
use std::sync::Arc;

/// How one axis is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisGrid {
    extent: u64,
    cuts: Cuts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cuts {
    /// Chunks of this length; the last may be shorter.
    Regular(u64),
    /// Chunk starts, ascending from 0, without the extent.
    Starts(Arc<[u64]>),
}

impl AxisGrid {
    /// An axis without elements.
    pub(crate) const fn empty() -> Self {
        Self { extent: 0, cuts: Cuts::Regular(1) }
    }

    /// Chunks of `chunk` elements over `extent`; the last is clipped.
    ///
    /// # Errors
    /// If `chunk` is 0 while `extent` is not.
    pub fn regular(extent: u64, chunk: u64) -> Result<Self> {
        if chunk == 0 && extent > 0 {
            return Err(Error::ChunkOfZero { extent });
        }
        Ok(Self { extent, cuts: Cuts::Regular(chunk.max(1)) })
    }

    /// Chunks of the given lengths.
    ///
    /// # Errors
    /// If a length is 0 or the sum overflows.
    pub fn rectilinear(lengths: &[u64]) -> Result<Self> {
        let mut starts = Vec::with_capacity(lengths.len());
        let mut extent = 0_u64;
        for &length in lengths {
            if length == 0 {
                return Err(Error::ChunkOfZero { extent });
            }
            starts.push(extent);
            extent = extent
                .checked_add(length)
                .ok_or_else(|| Error::TooLarge { what: "axis", shape: lengths.to_vec() })?;
        }
        Ok(Self { extent, cuts: Cuts::Starts(starts.into()) })
    }

    /// Elements along the axis.
    #[must_use]
    pub const fn extent(&self) -> u64 {
        self.extent
    }

    /// Chunks along the axis.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.cuts {
            Cuts::Regular(chunk) => self.extent.div_ceil(*chunk),
            Cuts::Starts(starts) => starts.len() as u64,
        }
    }

    /// The nominal chunk length if the axis is regular.
    #[must_use]
    pub const fn regular_chunk(&self) -> Option<u64> {
        match &self.cuts {
            Cuts::Regular(chunk) => Some(*chunk),
            Cuts::Starts(_) => None,
        }
    }

    /// The longest chunk; 0 on an empty axis.
    #[must_use]
    pub fn longest(&self) -> u64 {
        match &self.cuts {
            Cuts::Regular(chunk) => (*chunk).min(self.extent),
            Cuts::Starts(_) => (0..self.count()).map(|i| self.length(i)).max().unwrap_or(0),
        }
    }

    /// First element of chunk `index`; the extent past the last.
    #[must_use]
    pub fn start(&self, index: u64) -> u64 {
        match &self.cuts {
            Cuts::Regular(chunk) => index.saturating_mul(*chunk).min(self.extent),
            Cuts::Starts(starts) => {
                usize::try_from(index).ok().and_then(|i| starts.get(i)).copied().unwrap_or(self.extent)
            }
        }
    }

    /// Elements of chunk `index`, clipped at the extent; 0 past the last.
    #[must_use]
    pub fn length(&self, index: u64) -> u64 {
        self.start(index.saturating_add(1)) - self.start(index)
    }

    /// The chunk that holds element `at`; `None` past the extent.
    #[must_use]
    pub fn chunk_of(&self, at: u64) -> Option<u64> {
        if at >= self.extent {
            return None;
        }
        Some(match &self.cuts {
            Cuts::Regular(chunk) => at / chunk,
            Cuts::Starts(starts) => (starts.partition_point(|start| *start <= at) as u64).saturating_sub(1),
        })
    }

    /// The chunks that hold some element of `range`; empty for an empty range.
    #[must_use]
    pub fn chunks_in(&self, range: Range<u64>) -> Range<u64> {
        if range.start >= range.end {
            return 0..0;
        }
        match (self.chunk_of(range.start), self.chunk_of(range.end - 1)) {
            (Some(first), Some(last)) => first..last + 1,
            (Some(first), None) => first..self.count(),
            _ => 0..0,
        }
    }

    /// Whether every cut of `self` is a cut of `finer` too.
    #[must_use]
    pub fn is_coarser_or_equal(&self, finer: &Self) -> bool {
        if self.extent != finer.extent {
            return false;
        }
        if let (Cuts::Regular(coarse), Cuts::Regular(fine)) = (&self.cuts, &finer.cuts) {
            return *coarse >= self.extent || coarse.is_multiple_of(*fine);
        }
        (0..self.count()).all(|i| {
            let start = self.start(i);
            finer.chunk_of(start).is_some_and(|j| finer.start(j) == start)
        })
    }

    /// The axis with every `multiple` chunks made one (0 counts as 1).
    #[must_use]
    pub fn coarsened(&self, multiple: u64) -> Self {
        let multiple = multiple.max(1);
        let cuts = match &self.cuts {
            Cuts::Regular(chunk) => Cuts::Regular(chunk.saturating_mul(multiple)),
            Cuts::Starts(starts) => {
                let step = usize::try_from(multiple).unwrap_or(usize::MAX);
                Cuts::Starts(starts.iter().copied().step_by(step).collect())
            }
        };
        Self { extent: self.extent, cuts }
    }

    /// The axis in pieces of about `room` elements: multiples of its chunks, or parts of them.
    ///
    /// # Errors
    /// If there are too many elements.
    pub fn resized(&self, room: u64) -> Result<Self> {
        let (extent, longest) = (self.extent(), self.longest().max(1));
        if room >= extent {
            return Self::regular(extent, extent.max(1));
        }
        if room >= longest {
            return Ok(self.coarsened(room / longest));
        }
        // Equal parts of a chunk do not straddle its cuts.
        let parts = longest.div_ceil(room.max(1));
        let even = (parts..parts.saturating_mul(2)).find(|parts| longest.is_multiple_of(*parts));
        let length = if longest == extent {
            longest.div_ceil(parts)
        } else {
            longest / even.unwrap_or(parts).min(longest)
        };
        Self::regular(extent, length.max(1))
    }

    /// The axis cut wherever `self` or `other` is.
    #[must_use]
    pub fn refined_by(&self, other: &Self) -> Self {
        if self.is_coarser_or_equal(other) {
            return other.clone();
        }
        if other.is_coarser_or_equal(self) {
            return self.clone();
        }
        let mut starts: Vec<u64> = (0..self.count()).map(|i| self.start(i)).collect();
        starts.extend((0..other.count()).map(|i| other.start(i)));
        starts.sort_unstable();
        starts.dedup();
        Self { extent: self.extent, cuts: Cuts::Starts(starts.into()) }
    }
}

/// How an array is cut, per axis; chunks are boxes.
///
/// ```
/// use blockwise_core::ChunkGrid;
/// let grid = ChunkGrid::regular(&[10, 7], &[4, 7])?;
/// assert_eq!(grid.counts(), [3, 1]);
/// assert_eq!(grid.region(&[2, 0])?.to_string(), "[8:10, 0:7]");
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkGrid {
    axes: Vec<AxisGrid>,
}

impl ChunkGrid {
    /// Chunks of `chunk` over an array of `shape`; those at the far edges are clipped.
    ///
    /// # Errors
    /// If the ranks differ or exceed [`MAX_RANK`], a chunk length is 0 on a non-empty axis, or the element count
    /// overflows 64 bits.
    pub fn regular(shape: &[u64], chunk: &[u64]) -> Result<Self> {
        if shape.len() != chunk.len() {
            return Err(Error::Rank { expected: shape.len(), found: chunk.len() });
        }
        let axes = shape.iter().zip(chunk).map(|(e, c)| AxisGrid::regular(*e, *c)).collect::<Result<_>>()?;
        Self::from_axes(axes)
    }

    /// A grid made of axes.
    ///
    /// # Errors
    /// If there are more than [`MAX_RANK`] axes or the element count overflows 64 bits.
    pub fn from_axes(axes: Vec<AxisGrid>) -> Result<Self> {
        if axes.len() > MAX_RANK {
            return Err(Error::Rank { expected: MAX_RANK, found: axes.len() });
        }
        let grid = Self { axes };
        let shape = grid.shape();
        if element_count(&shape).is_none() {
            return Err(Error::TooLarge { what: "array", shape });
        }
        Ok(grid)
    }

    /// The grid whose single chunk is the whole array.
    ///
    /// # Errors
    /// As [`ChunkGrid::regular`].
    pub fn single(shape: &[u64]) -> Result<Self> {
        Self::regular(shape, shape)
    }

    /// The axes.
    #[must_use]
    pub fn axes(&self) -> &[AxisGrid] {
        &self.axes
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The array's shape, in elements.
    #[must_use]
    pub fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(AxisGrid::extent).collect()
    }

    /// Chunks per axis.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.axes.iter().map(AxisGrid::count).collect()
    }

    /// Chunks in all; 1 for rank 0, 0 if an axis is empty.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.axes.iter().map(AxisGrid::count).product() // at most the element count, which fits
    }

    /// Shape of the largest chunk.
    #[must_use]
    pub fn largest_chunk(&self) -> Vec<u64> {
        self.axes.iter().map(AxisGrid::longest).collect()
    }

    /// The chunk shape if every axis is regular.
    #[must_use]
    pub fn regular_chunk(&self) -> Option<Vec<u64>> {
        self.axes.iter().map(AxisGrid::regular_chunk).collect()
    }

    /// The box of chunk `index`, clipped at the array's edge.
    ///
    /// # Errors
    /// If `index` has the wrong rank or names no chunk.
    pub fn region(&self, index: &[u64]) -> Result<Region> {
        if index.len() != self.rank() {
            return Err(Error::Rank { expected: self.rank(), found: index.len() });
        }
        if index.iter().zip(&self.axes).any(|(i, axis)| *i >= axis.count()) {
            return Err(Error::NoSuchChunk { index: index.to_vec(), counts: self.counts() });
        }
        let origin = index.iter().zip(&self.axes).map(|(i, axis)| axis.start(*i)).collect();
        let shape = index.iter().zip(&self.axes).map(|(i, axis)| axis.length(*i)).collect();
        Region::new(origin, shape)
    }

    /// The chunks that hold some element of `region`, as index ranges per axis.
    #[must_use]
    pub fn chunks_in(&self, region: &Region) -> Vec<Range<u64>> {
        region.ranges().zip(&self.axes).map(|(range, axis)| axis.chunks_in(range)).collect()
    }

    /// Index of the chunk at position `linear` in C order; `None` past the last.
    #[must_use]
    pub fn index_at(&self, linear: u64) -> Option<Vec<u64>> {
        if linear >= self.chunk_count() {
            return None;
        }
        let mut rest = linear;
        let mut index = vec![0; self.rank()];
        for (slot, axis) in index.iter_mut().zip(&self.axes).rev() {
            *slot = rest % axis.count();
            rest /= axis.count();
        }
        Some(index)
    }

    /// Position of chunk `index` in C order. The index must name a chunk.
    #[must_use]
    pub fn linear(&self, index: &[u64]) -> u64 {
        index.iter().zip(&self.axes).fold(0, |linear, (i, axis)| linear * axis.count() + i)
    }

    /// Every chunk index in C order.
    pub fn indices(&self) -> impl Iterator<Item = Vec<u64>> + '_ {
        (0..self.chunk_count()).filter_map(|linear| self.index_at(linear))
    }

    /// Whether each chunk of `self` is made of whole chunks of `finer`.
    #[must_use]
    pub fn is_coarser_or_equal(&self, finer: &Self) -> bool {
        self.rank() == finer.rank()
            && self.axes.iter().zip(&finer.axes).all(|(coarse, fine)| coarse.is_coarser_or_equal(fine))
    }

    /// The grid cut wherever `self` or `other` is.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn refined_by(&self, other: &Self) -> Result<Self> {
        if self.shape() != other.shape() {
            return Err(Error::Shape { expected: self.shape(), found: other.shape() });
        }
        Self::from_axes(self.axes.iter().zip(&other.axes).map(|(a, b)| a.refined_by(b)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_axes_and_scalars() {
        let empty = ChunkGrid::regular(&[3, 0], &[2, 5]).unwrap();
        assert_eq!((empty.chunk_count(), empty.indices().count()), (0, 0));
        let scalar = ChunkGrid::regular(&[], &[]).unwrap();
        assert_eq!(scalar.chunk_count(), 1);
        assert_eq!(scalar.indices().collect::<Vec<_>>(), [vec![]]);
        assert!(ChunkGrid::regular(&[3], &[0]).is_err());
        assert!(ChunkGrid::regular(&[u64::MAX, 3], &[1, 1]).is_err());
        assert!(ChunkGrid::regular(&[u64::MAX], &[u64::MAX - 1]).is_ok());
    }

    fn axis() -> impl Strategy<Value = AxisGrid> {
        prop_oneof![
            (1_u64..60, 1_u64..70).prop_map(|(e, c)| AxisGrid::regular(e, c).unwrap()),
            proptest::collection::vec(1_u64..9, 1..9).prop_map(|l| AxisGrid::rectilinear(&l).unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn chunks_tile_the_axis(axis in axis()) {
            let mut at = 0;
            for i in 0..axis.count() {
                prop_assert_eq!(axis.start(i), at);
                prop_assert!(axis.length(i) > 0 && axis.length(i) <= axis.longest());
                for element in at..at + axis.length(i) {
                    prop_assert_eq!(axis.chunk_of(element), Some(i));
                }
                at += axis.length(i);
            }
            prop_assert_eq!(at, axis.extent());
            prop_assert_eq!(axis.chunk_of(at), None);
        }

        #[test]
        fn refinement_has_the_cuts_of_both(lengths in proptest::collection::vec(1_u64..9, 1..9), chunk in 1_u64..9) {
            let a = AxisGrid::rectilinear(&lengths).unwrap();
            let b = AxisGrid::regular(a.extent(), chunk).unwrap();
            let both = a.refined_by(&b);
            prop_assert!(a.is_coarser_or_equal(&both) && b.is_coarser_or_equal(&both));
            prop_assert!(both.count() <= a.count() + b.count());
        }
    }
}
