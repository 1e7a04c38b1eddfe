//! Copies between N-dimensional layouts of opaque items: boxes, views, transposes, fills.
//!
//! Invariants: every bound is checked once, before the first byte moves, so a copy either fails untouched or
//! completes; the loops know items only as bytes, so any item size works and no alignment is asked for; all of it is safe code but a cache hint. Axes are
//! merged and reordered first, so the cost is that of the simplest equivalent copy. Called by io and core wherever a
//! chunk's elements move: rechunk, subset reads, F order, chunk edges, broadcasts.

mod axes;
mod loops;
pub(crate) mod prefetch;

use axes::Walk;
use std::fmt;

/// Where the elements of an N-dimensional box lie in a byte slice.
///
/// The element at index `i` starts at byte `(offset + sum(i[k] * strides[k])) * item_bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Position of the element of index zero, in elements.
    pub offset: usize,
    /// Steps per axis, in elements; zero repeats an element and a negative step walks backwards.
    pub strides: Vec<isize>,
}

impl Layout {
    /// The layout of a whole array of `shape` in C order: last axis contiguous.
    ///
    /// # Errors
    /// [`LayoutError::Overflow`] if the strides do not fit the machine's integers.
    pub fn c_order(shape: &[usize]) -> Result<Self, LayoutError> {
        let mut strides = vec![0; shape.len()];
        let mut step = 1_isize;
        for (stride, &len) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step = isize::try_from(len).ok().and_then(|len| step.checked_mul(len)).ok_or(OVERFLOW)?;
        }
        Ok(Self { offset: 0, strides })
    }
}

/// One of the two sides of a copy, named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written.
    Destination,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

/// Why a copy was refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A list of strides, origins or lengths is not as long as the shape.
    #[error(
        "the {side} is described by {given} axes, but the copied shape has {rank}; give one entry per axis"
    )]
    Rank {
        /// The side that was described.
        side: Side,
        /// Axes in its description.
        given: usize,
        /// Axes in the shape.
        rank: usize,
    },
    /// The layout reaches outside of the slice.
    #[error(
        "the {side} layout reaches outside of its {len_bytes} bytes; check offset, strides and item size"
    )]
    OutOfBounds {
        /// The side that is too short.
        side: Side,
        /// Bytes in its slice.
        len_bytes: usize,
    },
    /// A copied box is not inside of the array it is cut from.
    #[error(
        "axis {axis} of the {side}: {len} elements from {origin} do not fit its length {dim}; clip the box first"
    )]
    Region {
        /// The side whose array is too small.
        side: Side,
        /// The axis.
        axis: usize,
        /// First index of the box.
        origin: usize,
        /// Length of the box.
        len: usize,
        /// Length of the array.
        dim: usize,
    },
    /// A destination axis longer than 1 has stride 0.
    #[error(
        "axis {axis} of the destination has stride 0, so {len} elements would be written to one place; only sources may repeat"
    )]
    RepeatedDestination {
        /// The axis.
        axis: usize,
        /// Its length.
        len: usize,
    },
    /// The axes given to a transpose are not a permutation.
    #[error("{axes:?} does not name every axis of a {rank}-dimensional array once")]
    Axes {
        /// The axes as they were given.
        axes: Vec<usize>,
        /// Axes of the array.
        rank: usize,
    },
    /// A position does not fit the machine's integers.
    #[error("shape, strides and item size overflow the address space; the array cannot be in memory")]
    Overflow,
}

pub(crate) const OVERFLOW: LayoutError = LayoutError::Overflow;

/// Copies `shape` items of `item_bytes` bytes each from `src` to `dst`.
///
/// Zero and negative strides are allowed on the source, negative ones on the destination. If two destination indices
/// share a place, which item stays is unspecified. A shape with a zero-length axis, or `item_bytes == 0`, copies
/// nothing.
///
/// ```
/// use blockwise_kernels::strided::{Layout, copy};
/// let src = [1_u8, 2, 3, 4, 5, 6]; // 2 x 3
/// let mut dst = [0_u8; 6]; // 3 x 2: the transpose, rows reversed
/// let reversed = Layout { offset: 2, strides: vec![-1, 3] };
/// copy(&mut dst, &Layout::c_order(&[3, 2])?, &src, &reversed, &[3, 2], 1)?;
/// assert_eq!(dst, [3, 6, 2, 5, 1, 4]);
/// # Ok::<(), blockwise_kernels::strided::LayoutError>(())
/// ```
///
/// # Errors
/// [`LayoutError`] if the ranks differ, a layout reaches outside of its slice, or a destination axis repeats.
pub fn copy(
    dst: &mut [u8],
    dst_layout: &Layout,
    src: &[u8],
    src_layout: &Layout,
    shape: &[usize],
    item_bytes: usize,
) -> Result<(), LayoutError> {
    let mut walk = Walk::new(item_bytes);
    let rank = shape.len();
    for (side, layout) in [(Side::Destination, dst_layout), (Side::Source, src_layout)] {
        if layout.strides.len() != rank {
            return Err(LayoutError::Rank { side, given: layout.strides.len(), rank });
        }
    }
    if item_bytes == 0 || shape.contains(&0) {
        return Ok(());
    }
    walk.start(dst_layout.offset, src_layout.offset)?;
    for (axis, ((&len, &to), &from)) in
        shape.iter().zip(&dst_layout.strides).zip(&src_layout.strides).enumerate()
    {
        if to == 0 && len > 1 {
            return Err(LayoutError::RepeatedDestination { axis, len });
        }
        walk.push(len, to, from)?;
    }
    walk.check(dst.len(), src.len())?;
    loops::run(dst, src, walk.simplified());
    Ok(())
}

/// Copies the box of `shape` at `src_origin` of a C-order array of `src_shape` to `dst_origin` of one of `dst_shape`.
///
/// The inner loop of every rechunk: set-up is a few nanoseconds an axis and allocates nothing up to 8 axes.
///
/// ```
/// use blockwise_kernels::strided::copy_region;
/// let src = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9]; // 3 x 3
/// let mut dst = [0_u8; 8]; // 2 x 4
/// copy_region(&mut dst, &[2, 4], &[0, 2], &src, &[3, 3], &[1, 1], &[2, 2], 1)?;
/// assert_eq!(dst, [0, 0, 5, 6, 0, 0, 8, 9]);
/// # Ok::<(), blockwise_kernels::strided::LayoutError>(())
/// ```
///
/// # Errors
/// [`LayoutError`] if the ranks differ, the box leaves either array, or a slice is shorter than its shape says.
#[expect(clippy::too_many_arguments, reason = "two boxes and what is copied between them")]
pub fn copy_region(
    dst: &mut [u8],
    dst_shape: &[usize],
    dst_origin: &[usize],
    src: &[u8],
    src_shape: &[usize],
    src_origin: &[usize],
    shape: &[usize],
    item_bytes: usize,
) -> Result<(), LayoutError> {
    let rank = shape.len();
    let described = [
        (Side::Destination, dst_shape.len()),
        (Side::Destination, dst_origin.len()),
        (Side::Source, src_shape.len()),
        (Side::Source, src_origin.len()),
    ];
    if let Some(&(side, given)) = described.iter().find(|(_, given)| *given != rank) {
        return Err(LayoutError::Rank { side, given, rank });
    }
    let mut walk = Walk::new(item_bytes);
    let (mut dst_step, mut src_step) = (1_usize, 1_usize);
    let (mut dst_start, mut src_start) = (0_usize, 0_usize);
    let dst_axes = dst_shape.iter().zip(dst_origin);
    let src_axes = src_shape.iter().zip(src_origin);
    for (axis, ((&len, to), from)) in shape.iter().zip(dst_axes).zip(src_axes).enumerate().rev() {
        for (side, (&dim, &origin)) in [(Side::Destination, to), (Side::Source, from)] {
            if origin.checked_add(len).is_none_or(|end| end > dim) {
                return Err(LayoutError::Region { side, axis, origin, len, dim });
            }
        }
        let stride = |step: usize| isize::try_from(step).map_err(|_| OVERFLOW);
        walk.push(len, stride(dst_step)?, stride(src_step)?)?;
        (dst_start, dst_step) = advance(dst_start, dst_step, to).ok_or(OVERFLOW)?;
        (src_start, src_step) = advance(src_start, src_step, from).ok_or(OVERFLOW)?;
    }
    if item_bytes == 0 || shape.contains(&0) {
        return Ok(());
    }
    walk.start(dst_start, src_start)?;
    walk.check(dst.len(), src.len())?;
    loops::run(dst, src, walk.simplified());
    Ok(())
}

/// Start and step after one more (outer) axis of a C-order array.
fn advance(start: usize, step: usize, (&dim, &origin): (&usize, &usize)) -> Option<(usize, usize)> {
    Some((start.checked_add(step.checked_mul(origin)?)?, step.checked_mul(dim)?))
}

/// Writes the C-order array `src` of `src_shape` to `dst` with its axes permuted: axis `k` of the result is axis
/// `axes[k]` of the source, as in NumPy's `transpose`. F order to C order is `axes` reversed over the reversed shape.
///
/// ```
/// use blockwise_kernels::strided::transpose;
/// let mut dst = [0_u8; 6];
/// transpose(&mut dst, &[1, 2, 3, 4, 5, 6], &[2, 3], &[1, 0], 1)?;
/// assert_eq!(dst, [1, 4, 2, 5, 3, 6]);
/// # Ok::<(), blockwise_kernels::strided::LayoutError>(())
/// ```
///
/// # Errors
/// [`LayoutError`] if `axes` is no permutation or a slice is shorter than the shape says.
pub fn transpose(
    dst: &mut [u8],
    src: &[u8],
    src_shape: &[usize],
    axes: &[usize],
    item_bytes: usize,
) -> Result<(), LayoutError> {
    let rank = src_shape.len();
    if axes.len() != rank || (0..rank).any(|axis| !axes.contains(&axis)) {
        return Err(LayoutError::Axes { axes: axes.to_vec(), rank });
    }
    let from = Layout::c_order(src_shape)?;
    let shape: Vec<usize> = axes.iter().filter_map(|&axis| src_shape.get(axis).copied()).collect();
    let strides = axes.iter().filter_map(|&axis| from.strides.get(axis).copied()).collect();
    copy(dst, &Layout::c_order(&shape)?, src, &Layout { offset: 0, strides }, &shape, item_bytes)
}

/// Writes the bytes of `item` to every element of `shape` at `layout`. An empty item writes nothing.
///
/// ```
/// use blockwise_kernels::strided::{Layout, fill};
/// let mut dst = [0_u8; 6]; // 3 x 2: fill the last column
/// fill(&mut dst, &Layout { offset: 1, strides: vec![2] }, &[3], &[7])?;
/// assert_eq!(dst, [0, 7, 0, 7, 0, 7]);
/// # Ok::<(), blockwise_kernels::strided::LayoutError>(())
/// ```
///
/// # Errors
/// [`LayoutError`] as [`copy`].
pub fn fill(dst: &mut [u8], layout: &Layout, shape: &[usize], item: &[u8]) -> Result<(), LayoutError> {
    let repeat = Layout { offset: 0, strides: vec![0; shape.len()] };
    copy(dst, layout, item, &repeat, shape, item.len())
}
