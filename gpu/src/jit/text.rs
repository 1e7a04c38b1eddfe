//! C types of element types, and how values pass between memory and registers, and between types.
//!
//! Invariant: conversions mean what those of `blockwise_kernels::cast` mean. Called by the other modules of
//! [`crate::jit`].

use crate::{Error, Result};
use blockwise_kernels::DType;

/// The C type of a value in a register.
pub(super) fn register_type(dtype: DType) -> Result<&'static str> {
    Ok(match dtype {
        DType::Bool => "bool",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::U8 => "u8",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::F16 | DType::BF16 | DType::F32 => "f32",
        DType::F64 => "f64",
        _ => return Err(Error::Type { dtype }),
    })
}

/// The C type of a value in memory.
pub(super) fn memory_type(dtype: DType) -> Result<&'static str> {
    Ok(match dtype {
        DType::Bool => "u8",
        DType::F16 | DType::BF16 => "u16",
        other => register_type(other)?,
    })
}

/// The value of what lies in memory.
pub(super) fn loaded(dtype: DType, memory: &str) -> String {
    match dtype {
        DType::Bool => format!("({memory} != 0)"),
        DType::F16 => format!("half_value({memory})"),
        DType::BF16 => format!("brain_value({memory})"),
        _ => memory.to_owned(),
    }
}

/// What lies in memory for a value.
pub(super) fn stored(dtype: DType, value: &str) -> String {
    match dtype {
        DType::Bool => format!("(u8){value}"),
        DType::F16 => format!("half_bits({value})"),
        DType::BF16 => format!("brain_bits({value})"),
        _ => value.to_owned(),
    }
}

/// A result of arithmetic, rounded to what its dtype holds.
pub(super) fn rounded(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F16 => format!("round_half({value})"),
        DType::BF16 => format!("round_brain({value})"),
        _ => value.to_owned(),
    }
}

/// A value of one dtype as another.
pub(super) fn converted(from: DType, to: DType, value: &str) -> Result<String> {
    let target = register_type(to)?;
    Ok(match to {
        DType::Bool => format!("({value} != 0)"),
        DType::F16 if from == DType::F64 => format!("round_half(to_odd({value}))"),
        DType::F16 | DType::BF16 => rounded(to, &format!("(f32){value}")),
        DType::F32 | DType::F64 => format!("({target}){value}"),
        _ if from.kind() == 'f' => format!("to_whole<{target}>({value})"),
        _ => format!("({target}){value}"),
    })
}

/// The definitions of `T`, `U` and `W` that the text of a function may use, by its first argument.
pub(super) fn aliases(first: DType) -> Result<String> {
    let name = register_type(first)?;
    if !matches!(first.kind(), 'i' | 'u') {
        return Ok(format!("typedef {name} T; "));
    }
    let bits = 8 * first.size();
    Ok(format!("typedef {name} T; typedef u{bits} U; typedef u{} W; ", bits.max(32)))
}
