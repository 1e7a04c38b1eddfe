//! Discrete Fourier transforms of lines along an axis: NumPy's `fft`, `rfft`, `hfft` and their inverses.
//!
//! The transforms are those of `rustfft` and `realfft`; this file gives them their lines: padded with zeros, cut, conjugated,
//! mirrored and scaled as NumPy says. Lines that lie apart in memory are gathered, a panel of them at a time.
//!
//! Invariants: every line is transformed by a call of its own, so that no bit depends on the lines beside it; single precision
//! stays single. Called by core's tasks for whole lines.

mod line;
mod plans;

use crate::error::check_len;
use crate::lines::panel::{panel_bytes, panels};
use crate::{BufferPool, DType, KernelError, Lines};
use bytemuck::Pod;
use line::Line;
use num_complex::Complex;
use plans::{Engine, Kind};

/// Which transform, of a line of `len` values in time, and so of as many frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// To all frequencies: NumPy's `fft`.
    Forward,
    /// From all frequencies: `ifft`.
    Inverse,
    /// From real values to the frequencies that are not negative, `len / 2 + 1` of them: `rfft`.
    RealForward,
    /// From the frequencies that are not negative to real values: `irfft`.
    RealInverse,
    /// From the half of a line that equals the conjugate of its other half to real frequencies: `hfft`.
    HermitianForward,
    /// From real frequencies to half of such a line: `ihfft`.
    HermitianInverse,
}

impl Transform {
    /// NumPy's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "fft",
            Self::Inverse => "ifft",
            Self::RealForward => "rfft",
            Self::RealInverse => "irfft",
            Self::HermitianForward => "hfft",
            Self::HermitianInverse => "ihfft",
        }
    }

    /// Elements of the input of a transform of `len`.
    #[must_use]
    pub const fn input_len(self, len: usize) -> usize {
        match self {
            Self::RealInverse | Self::HermitianForward => len / 2 + 1,
            _ => len,
        }
    }

    /// Elements of the result of a transform of `len`.
    #[must_use]
    pub const fn output_len(self, len: usize) -> usize {
        match self {
            Self::RealForward | Self::HermitianInverse => len / 2 + 1,
            _ => len,
        }
    }

    const fn is_inverse(self) -> bool {
        matches!(self, Self::Inverse | Self::RealInverse | Self::HermitianInverse)
    }
}

/// Which way is scaled, as NumPy's `norm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// Inverse transforms, by `1 / len`.
    #[default]
    Backward,
    /// Both ways, by the root of that.
    Ortho,
    /// Forward transforms, by `1 / len`.
    Forward,
}

impl std::str::FromStr for Norm {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        match name {
            "backward" => Ok(Self::Backward),
            "ortho" => Ok(Self::Ortho),
            "forward" => Ok(Self::Forward),
            _ => Err(KernelError::Name {
                what: "norm",
                name: name.to_owned(),
                known: "backward, ortho, forward",
            }),
        }
    }
}

/// Transforms of one kind and length.
///
/// ```
/// use blockwise_kernels::fourier::{Fourier, Norm, Transform};
/// use blockwise_kernels::{BufferPool, DType, Element};
/// let fft = Fourier::new(Transform::RealForward, DType::F64, 4, Norm::Backward)?;
/// let mut out = [0; 3 * 16];
/// fft.run(f64::as_bytes(&[1.0, 2.0, 0.0, -2.0]), &[4], 0, &mut out, &BufferPool::new(1 << 20))?;
/// assert_eq!(fft.output_dtype(), DType::C128);
/// let parts: Vec<f64> = out.chunks(8).map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap())).collect();
/// assert_eq!(parts, [1.0, 0.0, 1.0, -4.0, 1.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fourier {
    transform: Transform,
    input: DType,
    len: usize,
    scale: f64,
    engine: Engine,
}

impl Fourier {
    /// Transforms of lines of `len` of elements of `input`: `float32`, `float64`, `complex64` or `complex128`.
    ///
    /// # Errors
    /// [`KernelError::Refused`] of other dtypes, of complex numbers where real ones are wanted and of real ones where these are
    /// half of a line; [`KernelError::Parameter`] if `len` is 0.
    pub fn new(transform: Transform, input: DType, len: usize, norm: Norm) -> Result<Self, KernelError> {
        if len == 0 {
            let what = "the length of a Fourier transform";
            return Err(KernelError::Parameter { what, value: 0.0, wanted: "at least 1" });
        }
        let is_real = matches!(input, DType::F32 | DType::F64);
        let kind = match transform {
            Transform::Forward | Transform::Inverse if is_real => Some(Kind::ToHalf),
            Transform::RealForward | Transform::HermitianInverse => is_real.then_some(Kind::ToHalf),
            Transform::RealInverse | Transform::HermitianForward => (!is_real).then_some(Kind::ToReal),
            Transform::Forward => Some(Kind::Forward),
            Transform::Inverse => Some(Kind::Inverse),
        };
        let refused = KernelError::Refused { operation: transform.name(), dtype: input };
        let engine = match (kind, input) {
            (Some(kind), DType::F32 | DType::C64) => Engine::single(kind, len),
            (Some(kind), DType::F64 | DType::C128) => Engine::double(kind, len),
            _ => return Err(refused),
        };
        let scale = match (norm, transform.is_inverse()) {
            (Norm::Backward, false) | (Norm::Forward, true) => 1.0,
            (Norm::Backward, true) | (Norm::Forward, false) => 1.0 / len as f64,
            (Norm::Ortho, _) => 1.0 / (len as f64).sqrt(),
        };
        Ok(Self { transform, input, len, scale, engine })
    }

    /// Which transform it is.
    #[must_use]
    pub const fn transform(&self) -> Transform {
        self.transform
    }

    /// Type of the results.
    #[must_use]
    pub const fn output_dtype(&self) -> DType {
        let gives_reals = matches!(self.transform, Transform::RealInverse | Transform::HermitianForward);
        match (&self.engine, gives_reals) {
            (Engine::Single(_), true) => DType::F32,
            (Engine::Single(_), false) => DType::C64,
            (Engine::Double(_), true) => DType::F64,
            (Engine::Double(_), false) => DType::C128,
        }
    }

    /// Elements of a line of results.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.transform.output_len(self.len)
    }

    /// Whether lines of `held` elements may become their transforms where they are.
    #[must_use]
    pub fn is_in_place(&self, held: usize) -> bool {
        held == self.len && self.input == self.output_dtype()
    }

    /// Writes the transforms of the lines along `axis` of a C-ordered chunk of `shape` into `out`, which has the same shape
    /// but [`output_len`](Self::output_len) along `axis`. Shorter lines are taken as if zeros followed; of longer ones
    /// the first elements count.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Length`], or [`KernelError::Overflow`].
    pub fn run(
        &self,
        input: &[u8],
        shape: &[usize],
        axis: usize,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let (held, made) = self.lines(shape, axis)?;
        check_len("the input of a Fourier transform", input.len(), held.elements(), self.input.size())?;
        check_len(
            "the output of a Fourier transform",
            out.len(),
            made.elements(),
            self.output_dtype().size(),
        )?;
        let _tables = pool.set_aside(self.engine.upper_bytes());
        match &self.engine {
            Engine::Single(plan) => {
                let line = Line::new(plan.get(), self.len, self.scale as f32, self.transform, pool);
                self.typed_run(line, (input, held), (out, made), pool)
            }
            Engine::Double(plan) => {
                let line = Line::new(plan.get(), self.len, self.scale, self.transform, pool);
                self.typed_run(line, (input, held), (out, made), pool)
            }
        }
    }

    /// As [`Fourier::run`], where the lines are, if they [may be](Self::is_in_place).
    ///
    /// # Errors
    /// As [`Fourier::run`]; [`KernelError::Refused`] if they may not.
    pub fn run_in_place(
        &self,
        data: &mut [u8],
        shape: &[usize],
        axis: usize,
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let (held, _) = self.lines(shape, axis)?;
        check_len("the data of a Fourier transform", data.len(), held.elements(), self.input.size())?;
        if !self.is_in_place(held.len) {
            return Err(KernelError::Refused { operation: "a transform in place", dtype: self.input });
        }
        let _tables = pool.set_aside(self.engine.upper_bytes());
        match &self.engine {
            Engine::Single(plan) => {
                let mut line = Line::new(plan.get(), self.len, self.scale as f32, self.transform, pool);
                each_in_place(data, held, pool, |own| line.complex_in_place(own))
            }
            Engine::Double(plan) => {
                let mut line = Line::new(plan.get(), self.len, self.scale, self.transform, pool);
                each_in_place(data, held, pool, |own| line.complex_in_place(own))
            }
        }
    }

    /// Upper bound on the bytes that a run holds beyond input and output, factors that all runs share included.
    ///
    /// # Errors
    /// As [`Fourier::run`].
    pub fn scratch_bytes(&self, shape: &[usize], axis: usize) -> Result<usize, KernelError> {
        let (held, made) = self.lines(shape, axis)?;
        let item_bytes = self.input.size().max(self.output_dtype().size());
        let panels = match held.inner {
            0 | 1 => 0,
            _ => panel_bytes(widest(held, made), item_bytes).saturating_mul(2),
        };
        Ok(panels.saturating_add(self.engine.upper_bytes()))
    }

    /// The lines of the input and of the results.
    fn lines(&self, shape: &[usize], axis: usize) -> Result<(Lines, Lines), KernelError> {
        let held = Lines::new(shape, axis)?;
        let mut made = shape.to_vec();
        if let Some(len) = made.get_mut(axis) {
            *len = self.output_len();
        }
        Ok((held, Lines::new(&made, axis)?))
    }

    fn typed_run<T: plans::Real>(
        &self,
        mut line: Line<T>,
        from: (&[u8], Lines),
        to: (&mut [u8], Lines),
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let is_real = matches!(self.input, DType::F32 | DType::F64);
        match self.transform {
            Transform::Forward | Transform::Inverse if is_real => {
                each(from, to, pool, |from: &[T], to: &mut [Complex<T>]| line.mirrored(from, to))
            }
            Transform::Forward | Transform::Inverse => {
                each(from, to, pool, |from: &[Complex<T>], to: &mut [Complex<T>]| line.complex(from, to))
            }
            Transform::RealForward | Transform::HermitianInverse => {
                each(from, to, pool, |from: &[T], to: &mut [Complex<T>]| line.half(from, to))
            }
            Transform::RealInverse | Transform::HermitianForward => {
                each(from, to, pool, |from: &[Complex<T>], to: &mut [T]| line.real(from, to))
            }
        }
    }
}

/// The longer ones of the lines of input and results: what panels are cut by.
fn widest(held: Lines, made: Lines) -> Lines {
    Lines { len: held.len.max(made.len), ..held }
}

/// Calls `transform` for every line with where its result goes.
fn each<S: Pod, D: Pod>(
    (input, held): (&[u8], Lines),
    (out, made): (&mut [u8], Lines),
    pool: &BufferPool,
    mut transform: impl FnMut(&[S], &mut [D]) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let (from_bytes, to_bytes) = (size_of::<S>(), size_of::<D>());
    if held.inner <= 1 {
        let input = crate::error::typed::<S>("the input of a Fourier transform", input, held.elements())?;
        let out = crate::error::typed_mut::<D>("the output of a Fourier transform", out, made.elements())?;
        // A line of no elements is padded all along.
        for (n, to) in out.chunks_exact_mut(made.len.max(1)).enumerate() {
            transform(input.get(n * held.len..(n + 1) * held.len).unwrap_or_default(), to)?;
        }
        return Ok(());
    }
    let (wide, complex_bytes) = (widest(held, made), from_bytes.max(to_bytes));
    let lines = panels(wide, complex_bytes).map(|panel| panel.count).max().unwrap_or(0);
    let mut from = pool.take(lines * held.len * from_bytes);
    let mut to = pool.take(lines * made.len * to_bytes);
    for panel in panels(wide, complex_bytes) {
        panel.gather(input, held, from_bytes, &mut from);
        let own: &[S] = bytemuck::cast_slice(&from);
        let results: &mut [D] = bytemuck::cast_slice_mut(&mut to);
        let results = results.get_mut(..panel.count * made.len).unwrap_or_default();
        for (n, result) in results.chunks_exact_mut(made.len.max(1)).enumerate() {
            transform(own.get(n * held.len..(n + 1) * held.len).unwrap_or_default(), result)?;
        }
        panel.scatter(bytemuck::cast_slice(results), out, made, to_bytes);
    }
    Ok(())
}

/// Calls `transform` for every line where it is.
fn each_in_place<T: Pod>(
    data: &mut [u8],
    lines: Lines,
    pool: &BufferPool,
    mut transform: impl FnMut(&mut [T]) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    if lines.inner <= 1 {
        let data = crate::error::typed_mut::<T>("the data of a Fourier transform", data, lines.elements())?;
        return data.chunks_exact_mut(lines.len.max(1)).try_for_each(transform);
    }
    let item_bytes = size_of::<T>();
    let mut buffer = pool.take(panel_bytes(lines, item_bytes));
    for panel in panels(lines, item_bytes) {
        panel.gather(data, lines, item_bytes, &mut buffer);
        let own: &mut [T] = bytemuck::cast_slice_mut(&mut buffer);
        let own = own.get_mut(..panel.count * lines.len).unwrap_or_default();
        own.chunks_exact_mut(lines.len.max(1)).try_for_each(&mut transform)?;
        panel.scatter(bytemuck::cast_slice(own), data, lines, item_bytes);
    }
    Ok(())
}
