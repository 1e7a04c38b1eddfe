//! CF packing undone: stored integers become floats by `value * scale_factor + add_offset`, missing ones NaN.
//!
//! The rule is chapter 8.1 of the CF conventions; the arithmetic is done in the result's dtype, as xarray does, so
//! that results agree bit for bit. Called by the facade for `--unpack`.

use super::{cast_bytes, scratch_over};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::source::Source;
use blockwise_kernels::{DType, DTypeVisitor, Element, Scalar};
use bytemuck::Pod;
use std::ops::{Add, Mul};
use std::sync::Arc;

/// How stored elements become values.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpacking {
    /// What the stored elements are taken for: their dtype, or the other one of its size where `_Unsigned` says so.
    pub stored: DType,
    /// dtype of the values: `float32` or `float64`.
    pub result: DType,
    /// `scale_factor`.
    pub scale: Option<f64>,
    /// `add_offset`.
    pub offset: Option<f64>,
    /// Stored elements that stand for missing values, of dtype `stored`.
    pub missing: Vec<Scalar>,
}

impl Unpacking {
    /// The value that one stored element (of dtype `stored`, or the other one of its size) stands for.
    ///
    /// # Errors
    /// If it has another size, or the result is not a float of 4 or 8 bytes.
    pub fn value_of(&self, stored: &Scalar) -> Result<Scalar> {
        let (from, mut to) = (Word::holding(stored.bytes()), Word::holding(&[]));
        self.apply(from.first(stored.dtype().size()), to.first_mut(self.result.size()))?;
        Scalar::from_bytes(self.result, to.first(self.result.size())).ok_or_else(|| self.no_float())
    }

    /// Unpacks elements of dtype `stored` into values of dtype `result`.
    fn apply(&self, stored: &[u8], values: &mut [u8]) -> Result<()> {
        cast_bytes(self.stored, stored, self.result, values)?;
        match self.result {
            DType::F32 => self.scale_and_mask(stored, typed_mut::<f32>(values)?, |x| {
                #[expect(clippy::cast_possible_truncation, reason = "the factor in the result's precision")]
                let narrow = x as f32;
                narrow
            }),
            DType::F64 => self.scale_and_mask(stored, typed_mut::<f64>(values)?, |x| x),
            _ => Err(self.no_float()),
        }
    }

    fn scale_and_mask<F>(&self, stored: &[u8], values: &mut [F], from_f64: impl Fn(f64) -> F) -> Result<()>
    where
        F: Copy + Mul<Output = F> + Add<Output = F>,
    {
        match (self.scale.map(&from_f64), self.offset.map(&from_f64)) {
            (Some(scale), Some(offset)) => values.iter_mut().for_each(|v| *v = *v * scale + offset),
            (Some(scale), None) => values.iter_mut().for_each(|v| *v = *v * scale),
            (None, Some(offset)) => values.iter_mut().for_each(|v| *v = *v + offset),
            (None, None) => {}
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        self.stored.dispatch(Mask { stored, missing: &self.missing, values, nan: from_f64(f64::NAN) })
    }

    fn no_float(&self) -> Error {
        Error::Internal { message: format!("packed data unpacks to float32 or float64, not {}", self.result) }
    }
}

/// Room for one element of any dtype, aligned for it.
#[repr(align(16))]
struct Word([u8; 16]);

impl Word {
    fn holding(bytes: &[u8]) -> Self {
        let mut word = Self([0; 16]);
        word.0.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        word
    }

    fn first(&self, len_bytes: usize) -> &[u8] {
        self.0.get(..len_bytes).unwrap_or(&[])
    }

    fn first_mut(&mut self, len_bytes: usize) -> &mut [u8] {
        self.0.get_mut(..len_bytes).unwrap_or(&mut [])
    }
}

/// Writes NaN wherever the stored element is one of the missing ones.
struct Mask<'a, F> {
    stored: &'a [u8],
    missing: &'a [Scalar],
    values: &'a mut [F],
    nan: F,
}

impl<F: Copy> DTypeVisitor for Mask<'_, F> {
    type Output = Result<()>;

    fn visit<T: Element>(self) -> Result<()> {
        let stored = T::cast_slice(self.stored).ok_or_else(misaligned)?;
        for missing in self.missing.iter().filter_map(Scalar::get::<T>) {
            for (element, value) in stored.iter().zip(self.values.iter_mut()) {
                if *element == missing {
                    *value = self.nan;
                }
            }
        }
        Ok(())
    }
}

/// A source whose packed elements are unpacked.
pub struct Unpack {
    inner: Arc<dyn Source>,
    rule: Unpacking,
}

impl Unpack {
    /// The values of `inner` by `rule`.
    ///
    /// # Errors
    /// If the rule is for stored elements of another size, or unpacks to something else than a float.
    pub fn over(inner: Arc<dyn Source>, rule: Unpacking) -> Result<Arc<dyn Source>> {
        if inner.dtype().size() != rule.stored.size() || !matches!(rule.result, DType::F32 | DType::F64) {
            return Err(rule.no_float());
        }
        Ok(Arc::new(Self { inner, rule }))
    }
}

impl Source for Unpack {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn dtype(&self) -> DType {
        self.rule.result
    }

    fn grid(&self) -> &ChunkGrid {
        self.inner.grid()
    }

    fn read_scratch_bytes(&self) -> u64 {
        scratch_over(&*self.inner)
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let stored = self.inner.read(index, cx)?;
        let mut values = Chunk::uninit(self.rule.result, stored.shape(), cx.pool())?;
        self.rule.apply(stored.bytes(), values.bytes_mut())?;
        Ok(values)
    }

    fn stored_bytes(&self) -> Option<u64> {
        self.inner.stored_bytes()
    }

    fn banded(&self, axis: usize, bands: &AxisGrid) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self { inner: self.inner.banded(axis, bands)?, rule: self.rule.clone() }))
    }

    fn held_bytes(&self) -> u64 {
        self.inner.held_bytes()
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self { inner: self.inner.recut(grid)?, rule: self.rule.clone() }))
    }
}

fn typed_mut<F: Pod>(bytes: &mut [u8]) -> Result<&mut [F]> {
    bytemuck::try_cast_slice_mut(bytes).map_err(|_| misaligned())
}

fn misaligned() -> Error {
    Error::Internal { message: "a chunk's buffer is not aligned to its elements".to_owned() }
}
