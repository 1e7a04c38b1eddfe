//! Chunk arguments, with dask's meaning: a length for all axes, one per axis, by axis or name, whole axes, automatic.
//!
//! Invariant: a normalised grid covers exactly the array's shape. Called by the methods of [`Array`](super::Array)
//! that cut.

use super::Axis;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;

/// Bytes that an automatic chunk aims at; dask's `array.chunk-size`.
const AUTO_BYTES: u64 = 128 << 20;

/// How one axis is to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AxisChunks {
    /// Chunks of this length.
    Length(u64),
    /// These lengths, which must sum to the extent.
    Lengths(Vec<u64>),
    /// One chunk.
    Whole,
    /// As long as the target size allows.
    Auto,
    /// As it is.
    Keep,
}

/// How an array is to be cut.
///
/// ```
/// use blockwise_core::{Array, DType, array::{AxisChunks, Chunks}};
/// let x = Array::zeros(&[3000, 400, 500], DType::F64)?;
/// assert_eq!(x.rechunk([100, 400, 50])?.grid().largest_chunk(), [100, 400, 50]);
/// let by_axis = Chunks::by_axis([(0, AxisChunks::Whole), (1, AxisChunks::Length(7))]);
/// assert_eq!(x.rechunk(by_axis)?.grid().largest_chunk()[..2], [3000, 7]);
/// let small = x.rechunk(Chunks::Bytes(1 << 20))?;
/// assert!(small.grid().largest_chunk().iter().product::<u64>() * 8 <= 1 << 20);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Every axis automatic, for chunks of about 128 MiB.
    Auto,
    /// Every axis automatic, for chunks of at most this size.
    Bytes(u64),
    /// The same for every axis.
    Every(AxisChunks),
    /// One per axis.
    PerAxis(Vec<AxisChunks>),
    /// By axis; the others keep theirs.
    ByAxis(Vec<(Axis, AxisChunks)>),
}

impl Chunks {
    /// Chunks for some axes; the others keep theirs.
    pub fn by_axis<A: Into<Axis>>(axes: impl IntoIterator<Item = (A, AxisChunks)>) -> Self {
        Self::ByAxis(axes.into_iter().map(|(axis, chunks)| (axis.into(), chunks)).collect())
    }

    /// The grid of these chunks for an array with the given grid now. `keep_multiples`: automatic axes become
    /// multiples of the chunks they have, so that no chunk is split.
    pub(crate) fn normalize(
        &self,
        now: &ChunkGrid,
        names: &[Option<String>],
        item_bytes: usize,
        keep_multiples: bool,
    ) -> Result<ChunkGrid> {
        let rank = now.rank();
        let (wanted, target_bytes) = match self {
            Self::Auto => (vec![AxisChunks::Auto; rank], AUTO_BYTES),
            Self::Bytes(bytes) => (vec![AxisChunks::Auto; rank], *bytes),
            Self::Every(one) => (vec![one.clone(); rank], AUTO_BYTES),
            Self::PerAxis(list) if list.len() == rank => (list.clone(), AUTO_BYTES),
            Self::PerAxis(list) => return Err(Error::Rank { expected: rank, found: list.len() }),
            Self::ByAxis(list) => {
                let mut wanted = vec![AxisChunks::Keep; rank];
                for (axis, chunks) in list {
                    wanted[axis.resolve(names)?] = chunks.clone();
                }
                (wanted, AUTO_BYTES)
            }
        };
        let mut axes = Vec::with_capacity(rank);
        for (wanted, axis) in wanted.iter().zip(now.axes()) {
            axes.push(match wanted {
                AxisChunks::Length(length) => AxisGrid::regular(axis.extent(), (*length).min(axis.extent()))?,
                AxisChunks::Whole => AxisGrid::regular(axis.extent(), axis.extent())?,
                AxisChunks::Lengths(lengths) => {
                    let cut = AxisGrid::rectilinear(lengths)?;
                    if cut.extent() != axis.extent() {
                        return Err(Error::Shape {
                            expected: vec![axis.extent()],
                            found: vec![cut.extent()],
                        });
                    }
                    cut
                }
                AxisChunks::Keep | AxisChunks::Auto => axis.clone(),
            });
        }
        let fixed: Vec<usize> = (0..rank).filter(|n| wanted[*n] != AxisChunks::Auto).collect();
        if fixed.len() < rank {
            fill_automatic(&mut axes, &fixed, target_bytes / item_bytes.max(1) as u64, keep_multiples)?;
        }
        ChunkGrid::from_axes(axes)
    }
}

/// Cuts the axes not in `fixed` so that the largest chunk has at most `target` elements.
fn fill_automatic(axes: &mut [AxisGrid], fixed: &[usize], target: u64, keep_multiples: bool) -> Result<()> {
    let free: Vec<usize> = (0..axes.len()).filter(|n| !fixed.contains(n) && axes[*n].extent() > 0).collect();
    let taken: u64 = fixed.iter().map(|n| axes[*n].longest().max(1)).product();
    let room = (target / taken.max(1)).max(1);
    if keep_multiples { scale_present(axes, &free, room) } else { cut_evenly(axes, free, room) }
}

/// Near-cubic chunks of at most `room` elements.
fn cut_evenly(axes: &mut [AxisGrid], mut free: Vec<usize>, mut room: u64) -> Result<()> {
    // Short axes first: what they do not use is left to the longer ones.
    free.sort_by_key(|n| axes[*n].extent());
    for (done, &n) in free.iter().enumerate() {
        let share = integer_root(room, (free.len() - done) as u32).max(1);
        axes[n] = AxisGrid::regular(axes[n].extent(), share.min(axes[n].extent()))?;
        room = (room / axes[n].longest().max(1)).max(1);
    }
    Ok(())
}

/// Whole multiples of the present chunks, grown evenly while they fit `room`; equal parts of them if they do not.
fn scale_present(axes: &mut [AxisGrid], free: &[usize], room: u64) -> Result<()> {
    let mut lengths: Vec<u64> = free.iter().map(|n| axes[*n].longest()).collect();
    let units = lengths.clone();
    let fits = |lengths: &[u64]| element_count(lengths).is_some_and(|count| count <= room);
    while !fits(&lengths) {
        let Some(longest) = lengths.iter_mut().max() else { break };
        if *longest == 1 {
            break;
        }
        *longest = longest.div_ceil(2);
    }
    if lengths == units {
        // The axis with the fewest multiples grows first; one that cannot grow any more is left alone.
        let mut growing: Vec<usize> = (0..free.len()).collect();
        while let Some((at, &k)) = growing.iter().enumerate().min_by_key(|(_, k)| lengths[**k] / units[**k]) {
            let mut larger = lengths.clone();
            let multiple = lengths[k] / units[k];
            larger[k] = units[k].saturating_mul(multiple + (multiple / 8).max(1)).min(axes[free[k]].extent());
            if larger[k] > lengths[k] && fits(&larger) {
                lengths = larger;
            } else {
                growing.remove(at);
            }
        }
    }
    for (k, &n) in free.iter().enumerate() {
        let extent = axes[n].extent();
        axes[n] = if lengths[k] < extent && lengths[k].is_multiple_of(units[k]) {
            axes[n].coarsened(lengths[k] / units[k])
        } else {
            AxisGrid::regular(extent, lengths[k])?
        };
    }
    Ok(())
}

/// The largest `r` with `r` to the power of `n` at most `value`.
fn integer_root(value: u64, n: u32) -> u64 {
    let fits = |r: u64| r.checked_pow(n).is_some_and(|power| power <= value);
    if n == 1 {
        return value;
    }
    let (mut low, mut high) = (0, value.saturating_add(1));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

impl From<u64> for Chunks {
    fn from(length: u64) -> Self {
        Self::Every(AxisChunks::Length(length))
    }
}

impl<const N: usize> From<[u64; N]> for Chunks {
    fn from(lengths: [u64; N]) -> Self {
        Self::from(&lengths[..])
    }
}

impl From<&[u64]> for Chunks {
    fn from(lengths: &[u64]) -> Self {
        Self::PerAxis(lengths.iter().map(|length| AxisChunks::Length(*length)).collect())
    }
}

impl From<&ChunkGrid> for Chunks {
    fn from(grid: &ChunkGrid) -> Self {
        let lengths =
            |axis: &AxisGrid| AxisChunks::Lengths((0..axis.count()).map(|n| axis.length(n)).collect());
        let one = |axis: &AxisGrid| axis.regular_chunk().map_or_else(|| lengths(axis), AxisChunks::Length);
        Self::PerAxis(grid.axes().iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_exact() {
        assert_eq!((integer_root(26, 3), integer_root(27, 3), integer_root(28, 3)), (2, 3, 3));
        assert_eq!((integer_root(0, 2), integer_root(u64::MAX, 1)), (0, u64::MAX));
    }

    #[test]
    fn automatic_axes_are_multiples_within_the_target() {
        let now = ChunkGrid::regular(&[2920, 361, 720], &[40, 361, 720]).unwrap();
        let grid = Chunks::Auto.normalize(&now, &[None, None, None], 4, true).unwrap();
        let chunk = grid.largest_chunk();
        assert!(chunk.iter().product::<u64>() * 4 <= AUTO_BYTES, "{chunk:?}");
        assert!(grid.is_coarser_or_equal(&now), "{chunk:?}");
    }
}
