//! Functions of the table that are composed of others, and the cases in which a function is simpler than its loop.
//!
//! Invariant: arguments have the dtypes of the signature, so the calls made here are accepted. Called by
//! [`crate::program::Builder::call`].

use crate::program::{Argument, Builder, ProgramError, Value, converted};
use crate::promote::{is_inexact, part_of};
use crate::{DType, Scalar};

type Expanded = Result<Option<Value>, ProgramError>;

fn call(builder: &mut Builder, name: &str, arguments: &[Argument]) -> Result<Value, ProgramError> {
    builder.call_named(name, arguments)
}

/// The arguments of a function of one argument.
fn only(arguments: &[Value]) -> Result<Value, ProgramError> {
    arguments.first().copied().ok_or(ProgramError::Arity { function: "", arity: 1, given: 0 })
}

fn when(
    builder: &Builder,
    arguments: &[Value],
    condition: fn(DType) -> bool,
) -> Result<Option<Value>, ProgramError> {
    let a = only(arguments)?;
    Ok(condition(builder.dtype(a)?).then_some(a))
}

pub(super) fn itself(_: &mut Builder, arguments: &[Value]) -> Expanded {
    only(arguments).map(Some)
}

pub(super) fn itself_if_whole(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    when(builder, arguments, |dtype| !is_inexact(dtype))
}

pub(super) fn itself_if_real(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    when(builder, arguments, |dtype| dtype.kind() != 'c')
}

pub(super) fn itself_if_not_negative(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    when(builder, arguments, |dtype| matches!(dtype.kind(), 'b' | 'u'))
}

pub(super) fn zero_if_real(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let real = itself_if_real(builder, arguments)?.map(|a| builder.dtype(a)).transpose()?;
    Ok(real.map(|dtype| builder.constant(Scalar::zero(dtype))))
}

pub(super) fn false_if_whole(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    Ok(itself_if_whole(builder, arguments)?.map(|_| builder.constant(false.into())))
}

pub(super) fn true_if_whole(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    Ok(itself_if_whole(builder, arguments)?.map(|_| builder.constant(true.into())))
}

pub(super) fn isposinf(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    is_this_infinity(builder, arguments, f64::INFINITY)
}

pub(super) fn isneginf(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    is_this_infinity(builder, arguments, f64::NEG_INFINITY)
}

fn is_this_infinity(builder: &mut Builder, arguments: &[Value], infinity: f64) -> Expanded {
    if let Some(no) = false_if_whole(builder, arguments)? {
        return Ok(Some(no));
    }
    call(builder, "equal", &[only(arguments)?.into(), infinity.into()]).map(Some)
}

pub(super) fn fabs(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    call(builder, "absolute", &[only(arguments)?.into()]).map(Some)
}

/// Squares and roots are more exact than powers, and much cheaper; NumPy does the same.
pub(super) fn power(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let &[base, exponent] = arguments else { return Ok(None) };
    let Some(scalar) = builder.constant_of(exponent) else { return Ok(None) };
    let dtype = scalar.dtype();
    // A complex exponent counts if its imaginary part is zero.
    let imaginary =
        part_of(dtype) != dtype && scalar.bytes().iter().skip(dtype.size() / 2).any(|&byte| byte != 0);
    let exponent = if imaginary { None } else { converted(scalar, DType::F64).get::<f64>() };
    match exponent {
        Some(2.0) => call(builder, "square", &[base.into()]).map(Some),
        Some(0.5) if is_inexact(dtype) && dtype.size() > 2 => call(builder, "sqrt", &[base.into()]).map(Some),
        _ => Ok(None),
    }
}

pub(super) fn clip(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let &[a, low, high] = arguments else { return Ok(None) };
    let raised = call(builder, "maximum", &[a.into(), low.into()])?;
    call(builder, "minimum", &[raised.into(), high.into()]).map(Some)
}

pub(super) fn sinc(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let turned = call(builder, "multiply", &[only(arguments)?.into(), std::f64::consts::PI.into()])?;
    let sine = call(builder, "sin", &[turned.into()])?;
    let ratio = call(builder, "true_divide", &[sine.into(), turned.into()])?;
    let at_zero = call(builder, "equal", &[turned.into(), 0.0.into()])?;
    call(builder, "where", &[at_zero.into(), 1.0.into(), ratio.into()]).map(Some)
}

pub(super) fn angle(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let a = only(arguments)?;
    let imaginary = call(builder, "imag", &[a.into()])?;
    let real = call(builder, "real", &[a.into()])?;
    call(builder, "arctan2", &[imaginary.into(), real.into()]).map(Some)
}

pub(super) fn nan_to_num(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let a = only(arguments)?;
    let largest = match builder.dtype(a)? {
        DType::F16 => f64::from(half::f16::MAX),
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::F32 => f64::from(f32::MAX),
        DType::F64 => f64::MAX,
        DType::C64 | DType::C128 => return Ok(None),
        _ => return Ok(Some(a)),
    };
    let missing = call(builder, "isnan", &[a.into()])?;
    let bounded = call(builder, "clip", &[a.into(), (-largest).into(), largest.into()])?;
    call(builder, "where", &[missing.into(), 0.0.into(), bounded.into()]).map(Some)
}

/// NumPy's way: scale by a power of ten, round, scale back. Integers change only for negative decimals.
pub(super) fn round(builder: &mut Builder, arguments: &[Value]) -> Expanded {
    let &[a, count] = arguments else { return Ok(None) };
    let Some(decimals) = builder.constant_of(count).and_then(|scalar| scalar.get::<i64>()) else {
        return Err(ProgramError::NotConstant { function: "round" });
    };
    let dtype = builder.dtype(a)?;
    if dtype.kind() == 'c' {
        return Ok(None);
    }
    if decimals >= 0 && !is_inexact(dtype) {
        return Ok(Some(a));
    }
    if decimals == 0 {
        return call(builder, "rint", &[a.into()]).map(Some);
    }
    let decimals = i32::try_from(decimals.clamp(-400, 400)).unwrap_or(0);
    let factor = 10.0_f64.powi(decimals.abs());
    let (first, second) =
        if decimals > 0 { ("multiply", "true_divide") } else { ("true_divide", "multiply") };
    let scaled = call(builder, first, &[a.into(), factor.into()])?;
    let whole = call(builder, "rint", &[scaled.into()])?;
    let back = call(builder, second, &[whole.into(), factor.into()])?;
    builder.cast(back, dtype).map(Some)
}
