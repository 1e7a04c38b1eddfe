//! Conversions that programs do often, as loops for every instruction set; the others go through [`crate::cast`].
//!
//! Invariant: the same values as [`crate::cast`]. Called by [`super::compile`].

#![expect(clippy::cast_lossless, reason = "one text for every width of a family")]

use crate::DType;
use crate::cast::Convert;
use crate::function::loops::{Kernel, Unary, kernels, wide_unary};
use crate::simd::InstructionSet;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

/// The loop that converts `from` to `to`, if there is one.
pub(super) fn conversion(from: DType, to: DType) -> Option<Kernel> {
    match to {
        DType::F32 => match from {
            DType::F16 => Some(widen_halves),
            DType::BF16 => Some(wide_unary::<FromBrain>),
            _ => to_float32(from),
        },
        DType::F64 => to_float64(from),
        DType::F16 if from == DType::F32 => Some(narrow_to_halves),
        DType::BF16 if from == DType::F32 => Some(wide_unary::<ToBrain>),
        DType::Bool => to_bool(from),
        _ => None,
    }
}

fn to_float32(from: DType) -> Option<Kernel> {
    kernels!(from;
        integers => (wide (a: T) -> f32 { a as f32 });
        bools => (wide (a: T) -> f32 { f32::from(u8::from(a != 0)) });
        floats => (wide (a: T) -> f32 { a as f32 });
    )
}

fn to_float64(from: DType) -> Option<Kernel> {
    kernels!(from;
        integers => (wide (a: T) -> f64 { a as f64 });
        bools => (wide (a: T) -> f64 { f64::from(u8::from(a != 0)) });
        floats => (wide (a: T) -> f64 { a as f64 });
    )
}

fn to_bool(from: DType) -> Option<Kernel> {
    kernels!(from;
        words => (wide (a: T) -> u8 { u8::from(a != 0) });
        floats => (wide (a: T) -> u8 { u8::from(a != 0.0) });
    )
}

/// The crate `half` chooses the processor's own conversion by itself.
fn widen_halves(_: InstructionSet, out: &mut [u8], [a, ..]: [&[u8]; 3]) {
    let halves: &[f16] = bytemuck::cast_slice::<_, u16>(a).reinterpret_cast();
    halves.convert_to_f32_slice(bytemuck::cast_slice_mut(out));
}

fn narrow_to_halves(_: InstructionSet, out: &mut [u8], [a, ..]: [&[u8]; 3]) {
    let halves: &mut [f16] = bytemuck::cast_slice_mut::<_, u16>(out).reinterpret_cast_mut();
    halves.convert_from_f32_slice(bytemuck::cast_slice(a));
}

struct FromBrain;
impl Unary for FromBrain {
    type A = bf16;
    type Out = f32;
    #[inline(always)]
    fn apply(a: bf16) -> f32 {
        f32::from_bits(u32::from(a.to_bits()) << 16)
    }
}

struct ToBrain;
impl Unary for ToBrain {
    type A = f32;
    type Out = bf16;
    #[inline(always)]
    fn apply(a: f32) -> bf16 {
        <bf16 as Convert>::from_f32(a)
    }
}
