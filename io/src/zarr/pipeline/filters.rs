//! Filters on items, as numcodecs has them: delta, fixed scale and offset, casts. They decode only.
//!
//! Invariant: a filter's output has as many items as its input. Called by [`Pipeline`](super::Pipeline).

use crate::error::Result;
use crate::zarr::json::{corrupt, unsupported};
use blockwise_kernels::cast::cast;
use blockwise_kernels::{Buffer, BufferPool, DType};
use std::fmt;

/// One filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ItemFilter {
    /// Each item is stored as its difference from the one before.
    Delta {
        /// Decoded.
        dtype: DType,
        /// Encoded.
        stored: DType,
    },
    /// `stored / scale + offset`.
    FixedScaleOffset {
        /// The divisor.
        scale: f64,
        /// What is added.
        offset: f64,
        /// Decoded.
        dtype: DType,
        /// Encoded.
        stored: DType,
    },
    /// Items are stored in another type (numcodecs' `astype` and `quantize`).
    Cast {
        /// Decoded.
        dtype: DType,
        /// Encoded.
        stored: DType,
    },
}

impl ItemFilter {
    /// The type of decoded items.
    pub(crate) const fn dtype(&self) -> DType {
        let (Self::Delta { dtype, .. } | Self::FixedScaleOffset { dtype, .. } | Self::Cast { dtype, .. }) =
            self;
        *dtype
    }

    /// The type of encoded items.
    pub(crate) const fn stored_dtype(&self) -> DType {
        let (Self::Delta { stored, .. } | Self::FixedScaleOffset { stored, .. } | Self::Cast { stored, .. }) =
            self;
        *stored
    }

    /// Undoes the filter.
    ///
    /// # Errors
    /// If the bytes are no whole number of items, or the types do not suit the filter.
    pub(crate) fn decode(&self, path: &str, bytes: Buffer, pool: &BufferPool) -> Result<Buffer> {
        match self {
            Self::Cast { dtype, stored } => converted(path, bytes, *stored, *dtype, pool),
            Self::Delta { dtype, stored } => {
                let mut items = converted(path, bytes, *stored, *dtype, pool)?;
                accumulate(path, &mut items, *dtype)?;
                Ok(items)
            }
            Self::FixedScaleOffset { scale, offset, dtype, stored } => {
                // NumPy divides floats of single precision in single precision, everything else in double.
                let work = if *stored == DType::F32 { DType::F32 } else { DType::F64 };
                let mut items = converted(path, bytes, *stored, work, pool)?;
                if work == DType::F32 {
                    #[expect(clippy::cast_possible_truncation, reason = "as NumPy does")]
                    let (scale, offset) = (*scale as f32, *offset as f32);
                    for item in items.as_chunks_mut::<4>().0 {
                        *item = (f32::from_ne_bytes(*item) / scale + offset).to_ne_bytes();
                    }
                } else {
                    for item in items.as_chunks_mut::<8>().0 {
                        *item = (f64::from_ne_bytes(*item) / scale + offset).to_ne_bytes();
                    }
                }
                converted(path, items, work, *dtype, pool)
            }
        }
    }
}

fn converted(path: &str, bytes: Buffer, from: DType, to: DType, pool: &BufferPool) -> Result<Buffer> {
    if from == to {
        return Ok(bytes);
    }
    let mut out = pool.take(bytes.len() / from.size() * to.size());
    cast(&mut out, to, &bytes, from).map_err(|error| corrupt(path, error.to_string()))?;
    Ok(out)
}

/// Running sums, in place; integers wrap.
fn accumulate(path: &str, bytes: &mut [u8], dtype: DType) -> Result<()> {
    macro_rules! sums {
        ($t:ty, $add:expr) => {{
            let mut sum = <$t>::default();
            for item in bytes.as_chunks_mut::<{ size_of::<$t>() }>().0 {
                sum = $add(sum, <$t>::from_ne_bytes(*item));
                *item = sum.to_ne_bytes();
            }
        }};
    }
    match dtype {
        DType::I8 | DType::U8 => sums!(u8, u8::wrapping_add),
        DType::I16 | DType::U16 => sums!(u16, u16::wrapping_add),
        DType::I32 | DType::U32 => sums!(u32, u32::wrapping_add),
        DType::I64 | DType::U64 => sums!(u64, u64::wrapping_add),
        DType::F32 => sums!(f32, |a: f32, b: f32| a + b),
        DType::F64 => sums!(f64, |a: f64, b: f64| a + b),
        _ => return Err(unsupported(path, format!("the filter 'delta' on {dtype}"))),
    }
    Ok(())
}

impl fmt::Display for ItemFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delta { stored, .. } => write!(f, "delta({stored})"),
            Self::FixedScaleOffset { scale, offset, stored, .. } => {
                write!(f, "fixedscaleoffset({scale}, {offset}, {stored})")
            }
            Self::Cast { stored, .. } => write!(f, "astype({stored})"),
        }
    }
}
