//! A box of elements: where it starts and how far it reaches on each axis.
//!
//! Invariant: origin and shape have one entry an axis, and `origin + shape` does not overflow. Zarr calls it a
//! subset, HDF5 a hyperslab, TensorStore a box. Called by grids, plans, sources and sinks.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Range;

/// Axes that an array may have at most, as HDF5 and NumPy allow.
pub const MAX_RANK: usize = 32;

/// A box of elements.
///
/// ```
/// use blockwise_core::Region;
/// let a = Region::new(vec![0, 10], vec![4, 10])?;
/// let b = Region::new(vec![2, 15], vec![4, 10])?;
/// let both = a.intersection(&b).unwrap();
/// assert_eq!((both.origin(), both.shape()), (&[2, 15][..], &[2, 5][..]));
/// assert_eq!(both.len(), 10);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    origin: Vec<u64>,
    shape: Vec<u64>,
}

impl Region {
    /// The box of these ranges, one an axis.
    ///
    /// # Errors
    /// As [`Region::new`].
    pub(crate) fn from_ranges(ranges: &[Range<u64>]) -> Result<Self> {
        let shape = ranges.iter().map(|range| range.end.saturating_sub(range.start)).collect();
        Self::new(ranges.iter().map(|range| range.start).collect(), shape)
    }

    /// The box that starts at `origin` and has `shape`, in elements.
    ///
    /// # Errors
    /// If the two differ in length, the rank is above [`MAX_RANK`], an end or the element count overflows.
    pub fn new(origin: Vec<u64>, shape: Vec<u64>) -> Result<Self> {
        if origin.len() != shape.len() || shape.len() > MAX_RANK {
            return Err(Error::Rank {
                expected: shape.len().min(MAX_RANK),
                found: origin.len().max(shape.len()),
            });
        }
        let fits = origin.iter().zip(&shape).all(|(o, s)| o.checked_add(*s).is_some());
        if !fits || element_count(&shape).is_none() {
            return Err(Error::TooLarge { what: "region", shape });
        }
        Ok(Self { origin, shape })
    }

    /// The whole of an array of `shape`.
    ///
    /// # Errors
    /// As [`Region::new`].
    pub fn whole(shape: &[u64]) -> Result<Self> {
        Self::new(vec![0; shape.len()], shape.to_vec())
    }

    /// First element, per axis.
    #[must_use]
    pub fn origin(&self) -> &[u64] {
        &self.origin
    }

    /// Elements, per axis.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Elements in the box; 1 for rank 0.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Whether some axis has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The range on each axis.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.origin.iter().zip(&self.shape).map(|(o, s)| *o..o + s)
    }

    /// What both boxes hold; `None` if nothing, or if the ranks differ.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.rank() != other.rank() {
            return None;
        }
        let mut origin = Vec::with_capacity(self.rank());
        let mut shape = Vec::with_capacity(self.rank());
        for (a, b) in self.ranges().zip(other.ranges()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start >= end {
                return None;
            }
            origin.push(start);
            shape.push(end - start);
        }
        Some(Self { origin, shape })
    }

    /// Whether every element of `other` lies in `self`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.rank() == other.rank()
            && self.ranges().zip(other.ranges()).all(|(a, b)| a.start <= b.start && b.end <= a.end)
    }
}

impl fmt::Display for Region {
    /// As a NumPy slice: `[0:4, 10:20]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, range) in self.ranges().enumerate() {
            let comma = if axis == 0 { "" } else { ", " };
            write!(f, "{comma}{}:{}", range.start, range.end)?;
        }
        f.write_str("]")
    }
}

/// Elements of an array of `shape`; `None` on overflow. Rank 0 has one element.
#[must_use]
pub fn element_count(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_u64, |count, &extent| count.checked_mul(extent))
}

/// Bytes of an array of `shape` with elements of `item_bytes`; `None` on overflow.
#[must_use]
pub fn byte_count(shape: &[u64], item_bytes: usize) -> Option<u64> {
    element_count(shape)?.checked_mul(u64::try_from(item_bytes).ok()?)
}

/// Extents of something that is in memory, and so fits `usize`.
pub(crate) fn small(extents: &[u64]) -> Result<Vec<usize>> {
    let too_large = |_| Error::TooLarge { what: "chunk", shape: extents.to_vec() };
    extents.iter().map(|&n| usize::try_from(n).map_err(too_large)).collect()
}
