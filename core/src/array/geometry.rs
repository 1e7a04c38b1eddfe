//! Arrays that are shifted, scaled, sheared or turned: seen through affine maps, with the meaning of SciPy's `ndimage`.
//!
//! The result is cut into boxes such that each, and what it needs of the array, has a fair size; larger ones along axes between whose
//! elements others are made, where neighbouring boxes read the same. Invariant: boxes depend on the array and the map alone, elements
//! on neither boxes nor chunks. Called by programs and `eval`.

use super::tasks::BLOCK_BYTES;
use super::{Adapter, Array, Axes, scalar_as};
use crate::adapt::Resampled;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::byte_count;
use crate::source::Source;
use blockwise_kernels::affine::{AffineMap, Beyond, Interpolation, Resampling};
use blockwise_kernels::{KernelError, Scalar};
use std::sync::Arc;

/// Bytes of a box and what it needs, together: at most, where there are many.
const BOX_BYTES: u64 = 2 * BLOCK_BYTES;
/// The same at least, where the array has few boxes.
const LEAST_BOX_BYTES: u64 = 1 << 20;
/// Boxes that there should be at least, so that all threads have some.
const BOXES: u64 = 32;

/// How an array is seen through maps: options first, then the map.
///
/// Elements between others are their linear means unless said otherwise; what lies outside of the array is 0. Along axes that are
/// not chosen nothing changes.
///
/// ```
/// use blockwise_core::Array;
/// let x = Array::from_fn(&[3, 4], |at| (10 * at[0] + at[1]) as f32)?.with_names(&["z", "x"])?;
/// let moved = x.geometry().axes("x".into()).shift(&[0.5])?.compute::<f32>()?;
/// assert_eq!((moved[[1, 0]], moved[[1, 1]], moved[[2, 3]]), (0.0, 10.5, 22.5));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Geometry {
    array: Array,
    axes: Axes,
    interpolation: Interpolation,
    /// What lies outside; `None`: the nearest element.
    fill: Option<f64>,
}

/// What keeps its place when an array is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoomGrid {
    /// The first and the last element, as points.
    Points,
    /// The outer edges of the first and the last element, which are as wide as they are apart.
    Edges,
}

impl Array {
    /// A shifted, scaled, sheared or turned array in the making.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        Geometry {
            array: self.clone(),
            axes: Axes::All,
            interpolation: Interpolation::Linear,
            fill: Some(0.0),
        }
    }
}

impl Geometry {
    /// Maps are of these axes, in this order; of all if nothing is said.
    #[must_use]
    pub fn axes(self, axes: Axes) -> Self {
        Self { axes, ..self }
    }

    /// How elements between others are made; linearly if nothing is said.
    #[must_use]
    pub fn interpolation(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// What lies outside of the array; 0 if nothing is said.
    #[must_use]
    pub fn fill(self, value: f64) -> Self {
        Self { fill: Some(value), ..self }
    }

    /// Outside of the array lies what is nearest of it.
    #[must_use]
    pub fn nearest_outside(self) -> Self {
        Self { fill: None, ..self }
    }

    /// The array whose element at a position is this one's at `offset + matrix · position`, of `shape` along the axes, or of this one's.
    ///
    /// # Errors
    /// If the matrix has not one row and column for each axis, or there is not one offset or length for each; if a number is not finite;
    /// if elements have no means (truth values, complex numbers), or cannot be what lies outside.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// // A stage that moves by half an element from plane to plane is put straight.
    /// let x = Array::from_fn(&[4, 6], |at| (2 * at[1] + at[0]) as f64)?;
    /// let straight = x.geometry().affine_transform(&[vec![1.0, 0.0], vec![-0.5, 1.0]], &[0.0, 2.0], None)?;
    /// assert_eq!(straight.compute::<f64>()?[[3, 1]], 6.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn affine_transform(
        &self,
        matrix: &[Vec<f64>],
        offset: &[f64],
        shape: Option<&[u64]>,
    ) -> Result<Array> {
        let axes = self.own_axes()?;
        let fits = matrix.len() == axes.len()
            && matrix.iter().all(|row| row.len() == axes.len())
            && offset.len() == axes.len()
            && shape.is_none_or(|shape| shape.len() == axes.len());
        if !fits {
            let message = format!(
                "the map of {} axes wants as many rows and columns, offsets and lengths; there are {} rows of {} columns, {} offsets and {} lengths",
                axes.len(),
                matrix.len(),
                matrix.first().map_or(0, Vec::len),
                offset.len(),
                shape.map_or(axes.len(), <[u64]>::len)
            );
            return Err(Error::Usage { message });
        }
        let rank = self.array.rank();
        let unit = |row: usize| (0..rank).map(|column| f64::from(u8::from(row == column))).collect();
        let mut whole: Vec<Vec<f64>> = (0..rank).map(unit).collect();
        let (mut offsets, mut made) = (vec![0.0; rank], self.array.shape());
        for (at, axis) in axes.iter().enumerate() {
            for (value, column) in matrix[at].iter().zip(&axes) {
                whole[*axis][*column] = *value;
            }
            offsets[*axis] = offset[at];
            if let Some(shape) = shape {
                made[*axis] = shape[at];
            }
        }
        self.seen(AffineMap::new(whole, offsets)?, &made)
    }

    /// The array with its elements moved `by` so many positions along each axis, or along all; positive numbers move them to the end.
    ///
    /// # Errors
    /// As [`Geometry::affine_transform`].
    pub fn shift(&self, by: &[f64]) -> Result<Array> {
        let by = self.for_each("shifts", by)?;
        let offset: Vec<f64> = by.iter().map(|by| 0.0 - by).collect();
        self.affine_transform(&diagonal(&vec![1.0; by.len()]), &offset, None)
    }

    /// The array with `factors` times as many elements along each axis, or along all, rounded.
    ///
    /// # Errors
    /// As [`Geometry::affine_transform`]; if a factor is not positive.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::ZoomGrid;
    /// let x = Array::arange(0.0, 3.0, 1.0)?;
    /// let finer = x.geometry().zoom(&[2.0], ZoomGrid::Points)?.compute::<f64>()?;
    /// assert!(finer.iter().zip([0.0, 0.4, 0.8, 1.2, 1.6, 2.0]).all(|(x, y)| (x - y).abs() < 1e-12));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn zoom(&self, factors: &[f64], grid: ZoomGrid) -> Result<Array> {
        let factors = self.for_each("factors", factors)?;
        if let Some(factor) = factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
            let message = format!("an array is not scaled by {factor}; factors are larger than 0");
            return Err(Error::Usage { message });
        }
        let own = self.array.shape();
        let lengths = self.own_axes()?.into_iter().map(|axis| own[axis]);
        let (mut made, mut steps, mut offset) = (Vec::new(), Vec::new(), Vec::new());
        for (length, factor) in lengths.zip(&factors) {
            // As Python rounds.
            let new = (length as f64 * factor).round_ties_even();
            let step = match grid {
                ZoomGrid::Edges if new > 0.0 => length as f64 / new,
                ZoomGrid::Points if new > 1.0 => (length as f64 - 1.0) / (new - 1.0),
                _ => 1.0,
            };
            made.push(new as u64);
            steps.push(step);
            offset.push(if grid == ZoomGrid::Edges { 0.5 * step - 0.5 } else { 0.0 });
        }
        self.affine_transform(&diagonal(&steps), &offset, Some(&made))
    }

    /// The array turned by `degrees` in the plane of its two axes, the lesser first; large enough for all of it, or of its own shape.
    ///
    /// # Errors
    /// As [`Geometry::affine_transform`]; if there are not two axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[2, 3], |at| (10 * at[0] + at[1]) as i32)?;
    /// let turned = x.geometry().rotate(90.0, true)?.compute::<i32>()?;
    /// assert_eq!((turned.shape(), turned[[0, 0]], turned[[2, 1]]), (&[3, 2][..], 2, 10));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn rotate(&self, degrees: f64, grows: bool) -> Result<Array> {
        let mut axes = self.own_axes()?;
        axes.sort_unstable();
        let &[first, second] = axes.as_slice() else {
            let message = format!("an array is turned in a plane of two axes, not of {}", axes.len());
            return Err(Error::Usage { message });
        };
        let (sin, cos) = sin_cos(degrees);
        let matrix = [vec![cos, sin], vec![-sin, cos]];
        let turned = |y: f64, x: f64| [cos * y + sin * x, cos * x - sin * y];
        let shape = self.array.shape();
        let own = [shape[first], shape[second]];
        let [height, width] = own.map(|length| length as f64);
        let made = if grows {
            let corners = [[0.0, 0.0], turned(0.0, width), turned(height, 0.0), turned(height, width)];
            let length = |axis: usize| {
                let along = corners.iter().map(|corner| corner[axis]);
                let (least, most) =
                    along.fold((f64::MAX, f64::MIN), |(least, most), at| (least.min(at), most.max(at)));
                (most - least + 0.5) as u64
            };
            [length(0), length(1)]
        } else {
            own
        };
        let middle = |length: u64| (length as f64 - 1.0) / 2.0;
        let [y, x] = turned(middle(made[0]), middle(made[1]));
        let offset = [middle(own[0]) - y, middle(own[1]) - x];
        self.clone().axes(axes.into()).affine_transform(&matrix, &offset, Some(&made))
    }

    fn own_axes(&self) -> Result<Vec<usize>> {
        self.axes.clone().resolve(self.array.names())
    }

    /// One number for each axis; the same if there is one for all.
    fn for_each(&self, what: &str, given: &[f64]) -> Result<Vec<f64>> {
        let axes = self.own_axes()?.len();
        match given {
            [one] => Ok(vec![*one; axes]),
            all if all.len() == axes => Ok(all.to_vec()),
            all => {
                let message = format!("{} {what} for {axes} axes; give one, or one for each", all.len());
                Err(Error::Usage { message })
            }
        }
    }

    /// The array of `shape` that `map` shows of this one.
    fn seen(&self, map: AffineMap, shape: &[u64]) -> Result<Array> {
        let Self { array, interpolation, .. } = self;
        let (dtype, interpolation) = (array.dtype(), *interpolation);
        if interpolation == Interpolation::Linear && matches!(dtype.kind(), 'b' | 'c') {
            return Err(KernelError::Refused { operation: "linear interpolation", dtype }.into());
        }
        let beyond = match self.fill {
            None => Beyond::Nearest,
            Some(value) => Beyond::Fill(self.filled_with(value)?),
        };
        if array.is_empty() || shape.contains(&0) {
            if let (Beyond::Nearest, false) = (beyond, shape.contains(&0)) {
                let message = "nothing is nearest in an array without elements".to_owned();
                return Err(Error::Usage { message });
            }
            let fill = if let Beyond::Fill(fill) = beyond { fill } else { Scalar::zero(dtype) };
            return Ok(Array::full(shape, fill)?.renamed(array.names().to_vec()));
        }
        let item_bytes = dtype.size();
        let like: Vec<u64> =
            array.grid().largest_chunk().iter().zip(shape).map(|(own, made)| *own.min(made)).collect();
        let boxes = boxes(&map, array.grid(), shape, &like, item_bytes);
        let seen = Seen { map: Arc::new(map), resampling: Resampling { interpolation, beyond } };
        let made = array.adapted(cut(shape, &boxes)?, Arc::new(seen));
        Ok(made.rechunk(&cut(shape, &like)?)?.renamed(array.names().to_vec()))
    }

    /// What lies outside, as an element.
    fn filled_with(&self, value: f64) -> Result<Scalar> {
        let dtype = self.array.dtype();
        let is_whole = matches!(dtype.kind(), 'i' | 'u');
        let rounded = if is_whole { value.round() } else { value };
        let fill = scalar_as(rounded.into(), dtype);
        let stays = |fill: &Scalar| !is_whole || fill.to_f64() == Some(rounded);
        fill.filter(stays).ok_or_else(|| {
            let message = format!(
                "what lies outside cannot be {value} in an array of {dtype}; convert it with astype first"
            );
            Error::Usage { message }
        })
    }
}

/// What a map shows.
struct Seen {
    map: Arc<AffineMap>,
    resampling: Resampling,
}

impl Adapter for Seen {
    fn over(&self, inner: Arc<dyn Source>, grid: ChunkGrid) -> Arc<dyn Source> {
        Arc::new(Resampled::new(inner, grid, Arc::clone(&self.map), self.resampling))
    }
}

/// The lengths of the boxes that a result of `shape` is made in, from those that it is cut into when it is there.
fn boxes(map: &AffineMap, grid: &ChunkGrid, shape: &[u64], like: &[u64], item_bytes: usize) -> Vec<u64> {
    let extents = grid.shape();
    let bytes = |lengths: &[u64]| byte_count(lengths, item_bytes).unwrap_or(u64::MAX);
    let taken = |lengths: &[u64]| bytes(lengths).saturating_add(bytes(&map.most_needed(lengths, &extents)));
    let most = (bytes(shape).saturating_mul(2) / BOXES).clamp(LEAST_BOX_BYTES, BOX_BYTES);
    let mut boxes = like.to_vec();
    while taken(&boxes) > most
        && let Some(longest) = boxes.iter_mut().max().filter(|longest| **longest > 1)
    {
        *longest = longest.div_ceil(2);
    }
    // Neighbours read the same along axes that elements between others depend on: the fewer boxes, the better.
    let mut growing: Vec<usize> = (0..boxes.len()).filter(|axis| map.is_mixed(*axis)).collect();
    while let Some(shortest) = growing.iter().copied().min_by_key(|axis| boxes[*axis]) {
        let mut longer = boxes.clone();
        longer[shortest] = longer[shortest].saturating_mul(2).min(shape[shortest]);
        if longer == boxes || taken(&longer) > most {
            growing.retain(|axis| *axis != shortest);
        } else {
            boxes = longer;
        }
    }
    boxes
}

fn cut(shape: &[u64], lengths: &[u64]) -> Result<ChunkGrid> {
    let axes = shape.iter().zip(lengths).map(|(extent, length)| AxisGrid::regular(*extent, *length));
    ChunkGrid::from_axes(axes.collect::<Result<Vec<_>>>()?)
}

fn diagonal(values: &[f64]) -> Vec<Vec<f64>> {
    let row = |(at, value): (usize, &f64)| {
        let mut row = vec![0.0; values.len()];
        row[at] = *value;
        row
    };
    values.iter().enumerate().map(row).collect()
}

/// Sine and cosine of an angle in degrees, exact for quarters of a turn.
fn sin_cos(degrees: f64) -> (f64, f64) {
    match degrees.rem_euclid(360.0) {
        0.0 => (0.0, 1.0),
        90.0 => (1.0, 0.0),
        180.0 => (0.0, -1.0),
        270.0 => (-1.0, 0.0),
        _ => degrees.to_radians().sin_cos(),
    }
}
