//! Random numbers that depend on a seed, a stream and the element's index in the whole array, and on nothing else.
//!
//! The generator is Philox4x32-10: a bijection of a 128-bit counter under a 64-bit key, here (element, draw, stream)
//! under the seed. So the same numbers appear whatever the chunks, threads and instruction sets, and a chunk is filled
//! without knowing of the others. Distributions that need a fixed number of bits take half a block per element;
//! those that reject draw from blocks of the element's own. Logarithms are `libm`'s, not the platform's.
//!
//! Invariant: the numbers of a seed, stream and distribution are part of the interface; tests hold some of them.
//!
//! Sources: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011); M. Wichura, AS 241 (1988), for
//! normal quantiles; G. Marsaglia and W. Tsang (2000) for gamma; W. Hörmann (1993) for Poisson (PTRS) and binomial (BTRS);
//! D. Lemire (2019) for integers in a range, without his rejection: a value's probability is off by at most
//! its share of 2^-64. Called by core's tasks.

mod distribution;
mod normal;
mod philox;
mod rejection;

use crate::error::check_len;
use crate::program::TILE_ELEMENTS;
use crate::simd::InstructionSet;
use crate::{DType, KernelError, cast};
pub use distribution::Distribution;
use distribution::Form;
pub use philox::philox4x32;
use philox::{Draws, words};
use pulp::NullaryFnOnce;
use smallvec::SmallVec;

/// 2^-53, to the bit. What `powi` gives may err by as much as these numbers are apart: the language promises nothing of its precision.
const SHARE_53: f64 = 1.0 / (1_u64 << 53) as f64;

/// The random numbers of one array.
///
/// ```
/// use blockwise_kernels::random::{Distribution, Random};
/// use blockwise_kernels::DType;
/// let random = Random::new(Distribution::Normal { mean: 0.0, deviation: 1.0 }, DType::F64, 42, 0)?;
/// let (mut whole, mut part) = ([0; 6 * 8], [0; 2 * 8]);
/// random.fill(&[2, 3], &[0, 0], &[2, 3], &mut whole)?;
/// random.fill(&[2, 3], &[0, 1], &[2, 1], &mut part)?; // the middle column
/// assert_eq!(part[..8], whole[8..16]);
/// assert_eq!(part[8..], whole[32..40]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Random {
    distribution: Distribution,
    dtype: DType,
    seed: u64,
    stream: u32,
}

/// The global indices of a box of an array, in C order of the box: runs along its last axis that is longer than 1.
struct Runs {
    /// Length, position and step of every axis that is longer than 1, slowest first.
    axes: SmallVec<[(usize, usize, u64); 4]>,
    /// Global index of the position.
    index: u64,
}

impl Runs {
    fn new(full: &[usize], origin: &[usize], shape: &[usize]) -> Self {
        let (mut axes, mut index, mut step) = (SmallVec::new(), 0_u64, 1_u64);
        for (&full, (&origin, &len)) in full.iter().zip(origin.iter().zip(shape)).rev() {
            index += origin as u64 * step;
            if len > 1 {
                axes.insert(0, (len, 0, step));
            }
            step *= full as u64;
        }
        Self { axes, index }
    }

    /// The next indices.
    fn next_indices(&mut self, mut out: &mut [u64]) {
        while !out.is_empty() {
            let Some((len, position, step)) = self.axes.last_mut() else { return out.fill(self.index) };
            let (count, step) = (out.len().min(*len - *position), *step);
            let (now, later) = out.split_at_mut(count);
            for (number, index) in now.iter_mut().enumerate() {
                *index = self.index + number as u64 * step;
            }
            out = later;
            *position += count;
            self.index += count as u64 * step;
            self.carry();
        }
    }

    /// Goes on along slower axes from the end of a faster one.
    fn carry(&mut self) {
        for axis in (0_usize..self.axes.len()).rev() {
            let Some((len, position, step)) = self.axes.get_mut(axis) else { return };
            if *position < *len {
                return;
            }
            self.index -= *len as u64 * *step;
            *position = 0;
            if let Some((_, slower, step)) = axis.checked_sub(1).and_then(|n| self.axes.get_mut(n)) {
                *slower += 1;
                self.index += *step;
            }
        }
    }
}

impl Random {
    /// Numbers of `distribution` converted to `dtype`; arrays of one seed and different streams are independent.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for parameters without meaning.
    pub fn new(
        distribution: Distribution,
        dtype: DType,
        seed: u64,
        stream: u32,
    ) -> Result<Self, KernelError> {
        distribution.check()?;
        Ok(Self { distribution, dtype, seed, stream })
    }

    /// Fills the box of `shape` at `origin` of an array of `full`, in C order.
    ///
    /// # Errors
    /// [`KernelError::Region`], [`KernelError::Length`], [`KernelError::Overflow`].
    pub fn fill(
        &self,
        full: &[usize],
        origin: &[usize],
        shape: &[usize],
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        let region =
            || KernelError::Region { shape: shape.to_vec(), origin: origin.to_vec(), full: full.to_vec() };
        let overflow = || KernelError::Overflow { shape: full.to_vec() };
        if full.len() != shape.len() || full.len() != origin.len() {
            return Err(region());
        }
        let axes = || full.iter().zip(origin.iter().zip(shape));
        if axes().any(|(&full, (&origin, &len))| origin.checked_add(len).is_none_or(|end| end > full)) {
            return Err(region());
        }
        let count = shape.iter().try_fold(1_usize, |n, &len| n.checked_mul(len)).ok_or_else(overflow)?;
        full.iter().try_fold(1_u64, |n, &len| n.checked_mul(len as u64)).ok_or_else(overflow)?;
        check_len("an array of random numbers", out.len(), count, self.dtype.size())?;
        if count == 0 {
            return Ok(());
        }
        let size = self.dtype.size();
        let mut run = Runs::new(full, origin, shape);
        let mut indices = [0_u64; TILE_ELEMENTS];
        for tile in out.chunks_mut(TILE_ELEMENTS * size) {
            let indices = indices.get_mut(..tile.len() / size).unwrap_or_default();
            run.next_indices(indices);
            self.tile(indices, tile);
        }
        Ok(())
    }

    /// The elements of these global indices: at most a tile of them.
    fn tile(&self, indices: &[u64], out: &mut [u8]) {
        let count = out.len() / self.dtype.size();
        let from = match self.distribution.form() {
            Form::Float => DType::F64,
            Form::Whole => DType::I64,
            Form::Truth | Form::Bits => DType::U64,
        };
        // Numbers of their own dtype are made where they are wanted.
        if from == self.dtype
            && let Ok(bits) = bytemuck::try_cast_slice_mut(out)
        {
            return self.numbers(indices, bits);
        }
        let mut bits = [0_u64; TILE_ELEMENTS];
        let bits = bits.get_mut(..count).unwrap_or_default();
        self.numbers(indices, bits);
        // Lengths agree, so the cast does not fail.
        let _ = cast(out, self.dtype, bytemuck::cast_slice(bits), from);
    }

    /// The elements of these global indices as bits of doubles, or as integers.
    fn numbers(&self, indices: &[u64], bits: &mut [u64]) {
        let draws = |place: usize| {
            Draws::new(self.seed, self.stream, indices.get(place).copied().unwrap_or_default())
        };
        if self.needs_words() {
            words(self.seed, self.stream, indices, bits);
        }
        // Results replace the bits they come from, as doubles or integers.
        let float = |bits: &mut [u64], of: &dyn Fn(usize, u64) -> f64| {
            for (place, word) in bits.iter_mut().enumerate() {
                *word = of(place, *word).to_bits();
            }
        };
        match self.distribution {
            Distribution::Bits => {}
            Distribution::Uniform { low, high } => {
                // No more digits than the dtype has, so that rounding does not reach the upper bound.
                let drop = match self.dtype {
                    DType::F32 | DType::C64 => 40,
                    DType::F16 => 53,
                    DType::BF16 => 56,
                    _ => 11,
                };
                InstructionSet::best().run(Uniform { low, width: high - low, drop, bits });
            }
            Distribution::Integers { low, count } => {
                for word in &mut *bits {
                    let scaled = ((u128::from(*word) * u128::from(count)) >> 64) as u64;
                    *word =
                        low.wrapping_add_unsigned(if count == 0 { *word } else { scaled }).cast_unsigned();
                }
            }
            Distribution::Bernoulli { probability } => {
                for word in &mut *bits {
                    *word = u64::from(unit(*word) < probability);
                }
            }
            Distribution::Normal { mean, deviation } => {
                normal::fill(bits);
                for word in &mut *bits {
                    *word = (mean + deviation * f64::from_bits(*word)).to_bits();
                }
            }
            Distribution::LogNormal { mean, deviation } => {
                normal::fill(bits);
                float(bits, &|_, word| libm::exp(mean + deviation * f64::from_bits(word)));
            }
            Distribution::Exponential { scale } => float(bits, &|_, word| -scale * libm::log(open(word))),
            Distribution::Laplace { centre, scale } => float(bits, &|_, word| {
                // The top bit is the side.
                let side = if word >> 63 == 0 { scale } else { -scale };
                centre + side * libm::log(open(word << 1))
            }),
            Distribution::Logistic { centre, scale } => float(bits, &|_, word| {
                let u = open(word);
                centre + scale * libm::log(u / (1.0 - u))
            }),
            Distribution::Gumbel { mode, scale } => {
                float(bits, &|_, word| mode - scale * libm::log(-libm::log(open(word))));
            }
            Distribution::Cauchy => {
                float(bits, &|_, word| libm::tan(std::f64::consts::PI * (open(word) - 0.5)));
            }
            Distribution::Rayleigh { scale } => {
                float(bits, &|_, word| scale * (-2.0 * libm::log(open(word))).sqrt());
            }
            Distribution::Weibull { shape } => {
                float(bits, &|_, word| libm::pow(-libm::log(open(word)), 1.0 / shape));
            }
            Distribution::Pareto { shape } => {
                float(bits, &|_, word| libm::expm1(-libm::log(open(word)) / shape));
            }
            Distribution::Triangular { left, mode, right } => float(bits, &|_, word| {
                let (u, whole) = (unit(word), right - left);
                let rising = mode - left;
                if u * whole < rising {
                    left + (u * whole * rising).sqrt()
                } else {
                    right - ((1.0 - u) * whole * (right - mode)).sqrt()
                }
            }),
            Distribution::Geometric { probability } => {
                for word in &mut *bits {
                    let trials = (libm::log(open(*word)) / libm::log1p(-probability)).ceil();
                    *word = (trials.max(1.0) as i64).cast_unsigned();
                }
            }
            Distribution::Gamma { shape, scale } => {
                float(bits, &|place, _| scale * rejection::gamma(&mut draws(place), shape));
            }
            Distribution::ChiSquare { freedom } => {
                float(bits, &|place, _| 2.0 * rejection::gamma(&mut draws(place), freedom / 2.0));
            }
            Distribution::StudentT { freedom } => float(bits, &|place, _| {
                let mut draws = draws(place);
                let top = normal::quantile(draws.next());
                top / (rejection::gamma(&mut draws, freedom / 2.0) / (freedom / 2.0)).sqrt()
            }),
            Distribution::Beta { a, b } => float(bits, &|place, _| {
                let mut draws = draws(place);
                rejection::beta(&mut draws, a, b)
            }),
            Distribution::Poisson { mean } => {
                for (place, word) in bits.iter_mut().enumerate() {
                    *word = rejection::poisson(&mut draws(place), mean).cast_unsigned();
                }
            }
            Distribution::Binomial { trials, probability } => {
                for (place, word) in bits.iter_mut().enumerate() {
                    *word = rejection::binomial(&mut draws(place), trials, probability).cast_unsigned();
                }
            }
        }
    }

    /// Whether a word per element is drawn beforehand.
    const fn needs_words(&self) -> bool {
        !matches!(
            self.distribution,
            Distribution::Gamma { .. }
                | Distribution::ChiSquare { .. }
                | Distribution::StudentT { .. }
                | Distribution::Beta { .. }
                | Distribution::Poisson { .. }
                | Distribution::Binomial { .. }
        )
    }
}

/// Replaces words by the bits of uniform numbers, made of all but the lowest `drop` bits (at least 11).
struct Uniform<'a> {
    low: f64,
    width: f64,
    drop: u32,
    bits: &'a mut [u64],
}

impl NullaryFnOnce for Uniform<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Self { low, width, drop, bits } = self;
        let unit = libm::scalbn(1.0, drop.cast_signed() - 64);
        for word in bits {
            // Below 2^53, so that signed and unsigned are alike.
            *word = (low + width * ((*word >> drop).cast_signed() as f64 * unit)).to_bits();
        }
    }
}

/// From 0 up to 1, without 1.
#[inline(always)]
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * SHARE_53
}

/// Between 0 and 1, without both: 52 bits and a half.
#[inline(always)]
fn open(word: u64) -> f64 {
    ((word >> 12) as f64 + 0.5) * (2.0 * SHARE_53)
}
