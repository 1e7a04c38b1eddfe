//! [`Fourier`]: discrete Fourier transforms along axes, with NumPy's meaning, lengths, norms and dtypes.
//!
//! Tasks work on lines that are whole in a block, and along several axes at once where that fits a block; where memory does not
//! hold what that takes, the planner cuts the array anew through the disk. Invariant: a result does not depend on how the
//! array is cut. Called by programs and `eval`.

use super::order::one;
use super::tasks::{BLOCK_BYTES, whole_along_sized};
use super::{Array, Axes};
use crate::block::{Block, BlockFunction, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::{byte_count, small};
use blockwise_kernels::fourier::{Fourier as Lines, Norm, Transform};
use blockwise_kernels::{Buffer, BufferPool, DType, Scalar};
use std::sync::Arc;

/// Fourier transforms of an array in the making: axes, lengths and norm first, then the transform.
///
/// NumPy's `fft2` and `fftn` are [`fft`](Fourier::fft) along several axes, `rfftn` is [`rfft`](Fourier::rfft), and so on.
///
/// ```
/// use blockwise_core::{Array, DType};
/// use blockwise_core::kernels::fourier::Norm;
/// let x = Array::from_fn(&[60, 8], |at| (at[0] % 4) as f32)?.rechunk([20, 4])?;
/// let spectrum = x.fourier().axes([0]).norm(Norm::Forward).rfft()?;
/// assert_eq!((spectrum.shape(), spectrum.dtype()), (vec![31, 8], DType::C64));
/// let mean = spectrum.slice(0, ..1)?.astype(DType::F64);
/// assert!(mean.compute::<f64>()?.iter().all(|mean| (mean - 1.5).abs() < 1e-6));
/// assert_eq!(x.fourier().axes(..).lengths(&[64, 16]).fft()?.shape(), [64, 16]);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fourier {
    array: Array,
    axes: Option<Axes>,
    lengths: Option<Vec<u64>>,
    norm: Norm,
}

/// A transform along one axis.
#[derive(Clone, Copy, Debug)]
struct Step {
    transform: Transform,
    axis: usize,
    len: u64,
}

/// A step of a task.
struct Stage {
    lines: Lines,
    axis: usize,
    /// Whether its lines are transformed where they are.
    is_in_place: bool,
}

impl Array {
    /// Fourier transforms of this array in the making.
    #[must_use]
    pub fn fourier(&self) -> Fourier {
        Fourier { array: self.clone(), axes: None, lengths: None, norm: Norm::Backward }
    }

    /// The array with frequency zero moved to the middle of `axes`: NumPy's `fftshift`.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn fftshift(&self, axes: impl Into<Axes>) -> Result<Self> {
        self.rolled_by(&axes.into(), |extent| extent / 2)
    }

    /// The inverse of [`Array::fftshift`]; of odd lengths it is another.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn ifftshift(&self, axes: impl Into<Axes>) -> Result<Self> {
        self.rolled_by(&axes.into(), |extent| -(extent / 2))
    }

    fn rolled_by(&self, axes: &Axes, shift: impl Fn(i64) -> i64) -> Result<Self> {
        let mut rolled = self.clone();
        for axis in axes.resolve(self.names())? {
            let extent = self.grid().axes()[axis].extent();
            rolled = rolled.roll(shift(i64::try_from(extent).unwrap_or(i64::MAX)), axis)?;
        }
        Ok(rolled)
    }

    /// The frequencies of a transform of `len` samples, `spacing` apart, in cycles per unit of that: those that are not
    /// negative first.
    ///
    /// # Errors
    /// If `len` is 0 or too large.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// assert_eq!(Array::fftfreq(4, 0.5)?.compute::<f64>()?.as_slice(), Some(&[0.0, 0.5, -1.0, -0.5][..]));
    /// assert_eq!(Array::rfftfreq(4, 0.5)?.compute::<f64>()?.as_slice(), Some(&[0.0, 0.5, 1.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn fftfreq(len: u64, spacing: f64) -> Result<Self> {
        frequencies(len, len, len.div_ceil(2), spacing)
    }

    /// The frequencies that [`Fourier::rfft`] gives of `len` samples, `spacing` apart.
    ///
    /// # Errors
    /// As [`Array::fftfreq`].
    pub fn rfftfreq(len: u64, spacing: f64) -> Result<Self> {
        // The last of an even number counts as positive here.
        frequencies(len, len / 2 + 1, len / 2 + 1, spacing)
    }
}

/// The first `count` frequencies, of which so many are positive or zero.
fn frequencies(len: u64, count: u64, positive: u64, spacing: f64) -> Result<Array> {
    if len == 0 {
        return Err(Error::Usage { message: "frequencies of no samples; give at least 1".to_owned() });
    }
    let step = 1.0 / (len as f64 * spacing);
    Array::from_fn(&[count], move |at| {
        let at = at.first().copied().unwrap_or(0);
        let turns = if at < positive { at as f64 } else { -((len - at) as f64) };
        turns * step
    })
}

impl Fourier {
    /// Along these axes; along the last if nothing is said, or the last ones if several lengths are given.
    #[must_use]
    pub fn axes(self, axes: impl Into<Axes>) -> Self {
        Self { axes: Some(axes.into()), ..self }
    }

    /// How many values there are along each axis in time and space: of more, the first ones count; fewer are followed by
    /// zeros. Those that there are if nothing is said; where only half of the frequencies are given, an even number.
    #[must_use]
    pub fn lengths(self, lengths: &[u64]) -> Self {
        Self { lengths: Some(lengths.to_vec()), ..self }
    }

    /// Which way is scaled; [`Norm::Backward`] if nothing is said.
    #[must_use]
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }

    /// All frequencies: `complex64` of 16- and 32-bit floats and `complex64`, else `complex128`.
    ///
    /// # Errors
    /// If there is no such axis, lengths are not as many as axes, or one is 0.
    pub fn fft(&self) -> Result<Array> {
        self.transformed(Transform::Forward)
    }

    /// The inverse of [`Fourier::fft`].
    ///
    /// # Errors
    /// As [`Fourier::fft`].
    pub fn ifft(&self) -> Result<Array> {
        self.transformed(Transform::Inverse)
    }

    /// The frequencies of real numbers: along the last of the axes those alone that are not negative, `len / 2 + 1`.
    ///
    /// # Errors
    /// As [`Fourier::fft`]; if the array is complex.
    pub fn rfft(&self) -> Result<Array> {
        self.transformed(Transform::RealForward)
    }

    /// The inverse of [`Fourier::rfft`].
    ///
    /// # Errors
    /// As [`Fourier::fft`].
    pub fn irfft(&self) -> Result<Array> {
        self.transformed(Transform::RealInverse)
    }

    /// The real frequencies of lines whose second half is the conjugate of the first, which alone is given.
    ///
    /// # Errors
    /// As [`Fourier::fft`]; if several axes are given.
    pub fn hfft(&self) -> Result<Array> {
        self.transformed(Transform::HermitianForward)
    }

    /// The inverse of [`Fourier::hfft`].
    ///
    /// # Errors
    /// As [`Fourier::rfft`]; if several axes are given.
    pub fn ihfft(&self) -> Result<Array> {
        self.transformed(Transform::HermitianInverse)
    }

    fn transformed(&self, transform: Transform) -> Result<Array> {
        let steps = self.steps(transform)?;
        let is_single = matches!(self.array.dtype(), DType::F16 | DType::BF16 | DType::F32 | DType::C64);
        let wants_complex = matches!(transform, Transform::RealInverse | Transform::HermitianForward);
        let computed = match (is_single, wants_complex || self.array.dtype().kind() == 'c') {
            (true, false) => DType::F32,
            (true, true) => DType::C64,
            (false, false) => DType::F64,
            (false, true) => DType::C128,
        };
        let mut array = self.array.clone();
        for Step { transform, axis, len } in &steps {
            let used = transform.input_len(small(&[*len])?[0]) as u64;
            if array.grid().axes()[*axis].extent() > used {
                array = array.slice(*axis, ..i64::try_from(used).unwrap_or(i64::MAX))?;
            }
        }
        array = array.astype(computed);
        let mut rest = steps.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(together(&array, rest));
            array = run(&array, now, self.norm)?;
            rest = later;
        }
        // Half precision in, half precision out, as NumPy has it where the result is real and no complex numbers lie between.
        let is_half = matches!(self.array.dtype(), DType::F16 | DType::BF16) && steps.len() == 1;
        let array = if is_half && wants_complex { array.astype(self.array.dtype()) } else { array };
        Ok(array.renamed(self.array.names().to_vec()))
    }

    /// The transforms along single axes, in their order.
    fn steps(&self, transform: Transform) -> Result<Vec<Step>> {
        let rank = self.array.rank();
        let fault = |message: String| Err(Error::Usage { message });
        let axes = match (&self.axes, &self.lengths) {
            (Some(axes), _) => axes.resolve(self.array.names())?,
            (None, lengths) => {
                let count = lengths.as_ref().map_or(1, Vec::len);
                if count > rank {
                    return fault(format!("{} along {count} axes of an array of {rank}", transform.name()));
                }
                (rank - count..rank).collect()
            }
        };
        if self.lengths.as_ref().is_some_and(|lengths| lengths.len() != axes.len()) {
            return fault(format!(
                "{} goes along {} axes; give a length for each",
                transform.name(),
                axes.len()
            ));
        }
        let is_hermitian = matches!(transform, Transform::HermitianForward | Transform::HermitianInverse);
        if is_hermitian && axes.len() != 1 {
            return fault(format!("{} goes along one axis, not {}", transform.name(), axes.len()));
        }
        let step = |(n, axis): (usize, &usize), transform: Transform| {
            let extent = self.array.grid().axes()[*axis].extent();
            let wants_half = matches!(transform, Transform::RealInverse | Transform::HermitianForward);
            let own = if wants_half { extent.saturating_sub(1).saturating_mul(2) } else { extent };
            let given = self.lengths.as_ref().and_then(|lengths| lengths.get(n)).copied();
            Step { transform, axis: *axis, len: given.unwrap_or(own) }
        };
        // Along all axes but the last, where reals become half of their frequencies first, and reals again last.
        let along_others = match transform {
            Transform::RealForward => Transform::Forward,
            Transform::RealInverse => Transform::Inverse,
            own => own,
        };
        let Some((last, others)) = axes.split_last() else { return Ok(Vec::new()) };
        let mut steps: Vec<Step> =
            others.iter().enumerate().rev().map(|other| step(other, along_others)).collect();
        let last = step((others.len(), last), transform);
        match transform {
            Transform::RealInverse => steps.push(last),
            _ => steps.insert(0, last),
        }
        Ok(steps)
    }
}

/// How many of the first steps one task may carry out: more than one where lines along all of their axes make a fair block, or
/// not much more than a chunk of the array.
fn together(array: &Array, steps: &[Step]) -> usize {
    let complex_bytes = complex_bytes(array.dtype());
    let chunk_bytes = byte_count(&array.grid().largest_chunk(), array.dtype().size()).unwrap_or(u64::MAX);
    let most_bytes = (2 * BLOCK_BYTES).max(chunk_bytes.saturating_mul(4));
    let mut bytes = complex_bytes;
    let fits = |step: &&Step| {
        let extent = array.grid().axes().get(step.axis).map_or(0, AxisGrid::extent);
        bytes = bytes.saturating_mul(extent.max(step.len));
        bytes <= most_bytes
    };
    steps.iter().take_while(fits).count().max(1)
}

const fn complex_bytes(dtype: DType) -> u64 {
    if matches!(dtype, DType::F32 | DType::C64) { 8 } else { 16 }
}

/// The array with steps carried out in one task each block.
fn run(array: &Array, steps: &[Step], norm: Norm) -> Result<Array> {
    let axes: Vec<usize> = steps.iter().map(|step| step.axis).collect();
    let (mut dtype, mut growth, mut shape) = (array.dtype(), 1, small(&array.shape())?);
    let mut stages: Vec<Stage> = Vec::with_capacity(steps.len());
    for Step { transform, axis, len } in steps {
        let lines = Lines::new(*transform, dtype, small(&[*len])?[0], norm)?;
        let held = shape.get_mut(*axis).ok_or_else(|| Error::Internal { message: "no axis".to_owned() })?;
        let is_in_place = !stages.is_empty() && lines.is_in_place(*held);
        growth *= lines.output_len().div_ceil((*held).max(1)).max(1) as u64;
        *held = lines.output_len();
        dtype = lines.output_dtype();
        stages.push(Stage { lines, axis: *axis, is_in_place });
    }
    if array.is_empty() {
        let shape: Vec<u64> = shape.into_iter().map(|extent| extent as u64).collect();
        return Array::full(&shape, Scalar::zero(dtype));
    }
    let tasks = whole_along_sized(array, &axes, complex_bytes(array.dtype()).saturating_mul(growth))?;
    let mut cuts = tasks.axes().to_vec();
    for axis in &axes {
        let extent = shape[*axis] as u64;
        cuts[*axis] = AxisGrid::regular(extent, extent)?;
    }
    let scratch_bytes = scratch_bytes(&stages, &small(&tasks.largest_chunk())?)?;
    let name = stages.first().map_or("fft", |stage| stage.lines.transform().name());
    let function = Arc::new(Transforms { name, stages, scratch_bytes });
    let outputs = vec![(dtype, ChunkGrid::from_axes(cuts)?)];
    let index_axes = (0..array.rank()).map(Some).collect();
    let [result] = one(Array::from_blocks(function, vec![array.into()], tasks, index_axes, outputs)?)?;
    Ok(result)
}

/// All transforms of a block.
struct Transforms {
    name: &'static str,
    stages: Vec<Stage>,
    scratch_bytes: u64,
}

impl BlockFunction for Transforms {
    fn name(&self) -> &str {
        self.name
    }

    fn scratch_bytes(&self, _: u64) -> u64 {
        self.scratch_bytes
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
        transform(&self.stages, block, out.bytes_mut(), cx.pool())
    }
}

/// The place of the last stage that moves its lines: it writes the output, in which those after it work.
fn last_move(stages: &[Stage]) -> usize {
    stages.iter().rposition(|stage| !stage.is_in_place).unwrap_or(0)
}

/// Bytes that a task holds beside its block and its result.
fn scratch_bytes(stages: &[Stage], block: &[usize]) -> Result<u64> {
    let (mut shape, mut most, mut held) = (block.to_vec(), 0, 0_u64);
    for (n, Stage { lines, axis, is_in_place }) in stages.iter().enumerate() {
        let own = lines.scratch_bytes(&shape, *axis)? as u64;
        shape[*axis] = lines.output_len();
        let mut next = held;
        if n >= last_move(stages) {
            next = 0;
        } else if !is_in_place {
            let lengths: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
            next = byte_count(&lengths, lines.output_dtype().size()).unwrap_or(u64::MAX);
        }
        let both = if next == held { held } else { held.saturating_add(next) };
        most = most.max(both.saturating_add(own));
        held = next;
    }
    Ok(most)
}

/// Carries out all stages of a task.
fn transform(stages: &[Stage], block: &Block<'_>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
    let (mut shape, last) = (block.shape()?, last_move(stages));
    let mut held: Option<Buffer> = None;
    for (n, Stage { lines, axis, is_in_place }) in stages.iter().enumerate() {
        match &mut held {
            Some(own) if *is_in_place && n < last => lines.run_in_place(own, &shape, *axis, pool)?,
            _ if n > last => lines.run_in_place(out, &shape, *axis, pool)?,
            own => {
                let input = own.as_deref().unwrap_or(block.bytes);
                let length = shape.get(*axis).copied().unwrap_or(1).max(1);
                let others = shape.iter().product::<usize>() / length;
                if n == last {
                    lines.run(input, &shape, *axis, out, pool)?;
                    held = None;
                } else {
                    let bytes = others * lines.output_len() * lines.output_dtype().size();
                    let mut next = pool.take(bytes);
                    lines.run(input, &shape, *axis, &mut next, pool)?;
                    held = Some(next);
                }
            }
        }
        if let Some(length) = shape.get_mut(*axis) {
            *length = lines.output_len();
        }
    }
    Ok(())
}
