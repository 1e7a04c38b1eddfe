//! The dtype rules of functions: what arguments are converted to, and what comes out.
//!
//! Invariant: rules agree with `numpy.ufunc.resolve_dtypes` for every pair of dtypes and plain numbers (tested against
//! NumPy). Called by [`super::Function::signature`].

use crate::DType;
use crate::promote::{Operand, float_for, is_inexact, part_of, promote, result_type};
use smallvec::{SmallVec, smallvec};

/// The dtypes of a function's arguments and result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What each argument is converted to.
    pub inputs: SmallVec<[DType; 3]>,
    /// What comes out.
    pub output: DType,
}

/// How a function treats dtypes.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) inputs: Inputs,
    /// Whether complex numbers are accepted.
    pub(super) complex: bool,
    pub(super) output: Output,
}

/// What the arguments are converted to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inputs {
    /// The common dtype.
    Common(Bools),
    /// The common dtype, which must be bool or integer.
    Whole(Bools),
    /// The smallest float that holds the arguments.
    Float,
    /// The common dtype; float64 for integers and bools.
    Quotient,
    /// The common dtype, except that `int64` beside `uint64` stays as it is.
    Compared,
    /// Truth values.
    Truth,
    /// A float and an integer.
    Scaled,
    /// A truth value and two of their common dtype.
    Chosen,
    /// A value, and a number of decimals.
    Rounded,
}

/// What becomes of bools where arguments take the common dtype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bools {
    Kept,
    Refused,
    AsInt8,
}

/// What comes out.
#[derive(Clone, Copy)]
pub(super) enum Output {
    /// The dtype of the last argument that is not a count.
    Same,
    Bool,
    /// The part of a complex dtype; else the same.
    Part,
}

impl Rule {
    pub(super) fn signature(self, operands: &[Operand]) -> Option<Signature> {
        let common = result_type(operands)?;
        let all = |dtype: DType| SmallVec::from_elem(dtype, operands.len());
        let inputs: SmallVec<[DType; 3]> = match self.inputs {
            Inputs::Common(bools) => all(bools.apply(common)?),
            Inputs::Whole(bools) if !is_inexact(common) => all(bools.apply(common)?),
            Inputs::Whole(_) => return None,
            Inputs::Float => all(float_common(operands, common)?),
            Inputs::Quotient => all(if is_inexact(common) { common } else { DType::F64 }),
            Inputs::Compared => compared(operands, common),
            Inputs::Truth => all(DType::Bool),
            Inputs::Scaled => scaled(operands)?,
            Inputs::Chosen => {
                let chosen = result_type(operands.get(1..)?)?;
                smallvec![DType::Bool, chosen, chosen]
            }
            Inputs::Rounded => {
                let value = result_type(operands.get(..1)?)?;
                let count = result_type(operands.get(1..)?)?;
                if is_inexact(count) || count == DType::U64 {
                    return None;
                }
                smallvec![if value == DType::Bool { DType::F16 } else { value }, DType::I64]
            }
        };
        if !self.complex && inputs.iter().any(|dtype| dtype.kind() == 'c') {
            return None;
        }
        let value = if matches!(self.inputs, Inputs::Scaled | Inputs::Rounded) {
            inputs.first()
        } else {
            inputs.last()
        };
        let output = match self.output {
            Output::Same => *value?,
            Output::Part => part_of(*value?),
            Output::Bool => DType::Bool,
        };
        Some(Signature { inputs, output })
    }
}

impl Bools {
    fn apply(self, dtype: DType) -> Option<DType> {
        match (dtype, self) {
            (DType::Bool, Self::Refused) => None,
            (DType::Bool, Self::AsInt8) => Some(DType::I8),
            _ => Some(dtype),
        }
    }
}

/// Every integer asks for the float that holds it on its own: `int8` and `uint16` meet in float32, not in the float64
/// that holds their common `int32`.
fn float_common(operands: &[Operand], common: DType) -> Option<DType> {
    let weak_float = |operand: &Operand| matches!(operand, Operand::WeakFloat | Operand::WeakComplex);
    if operands.iter().any(weak_float) {
        return Some(common);
    }
    let mut typed = operands.iter().filter_map(|operand| match operand {
        Operand::Typed(dtype) => Some(*dtype),
        _ => None,
    });
    let weak_int = operands.contains(&Operand::WeakInt);
    if weak_int && typed.clone().all(|dtype| dtype == DType::Bool) {
        return Some(DType::F64);
    }
    // What 8 bits hold fits either half-width float.
    let wide = typed.clone().filter(|dtype| float_for(*dtype) != DType::F16 || *dtype == DType::F16);
    Some(wide.map(float_for).reduce(promote).unwrap_or(DType::F16)).filter(|_| typed.next().is_some())
}

fn compared(operands: &[Operand], common: DType) -> SmallVec<[DType; 3]> {
    let signed = |operand: &Operand| matches!(operand, Operand::Typed(dtype) if dtype.kind() == 'i');
    let widest = |operand: &Operand| *operand == Operand::Typed(DType::U64);
    match operands {
        [a, b] if signed(a) && widest(b) => smallvec![DType::I64, DType::U64],
        [a, b] if widest(a) && signed(b) => smallvec![DType::U64, DType::I64],
        _ => SmallVec::from_elem(common, operands.len()),
    }
}

fn scaled(operands: &[Operand]) -> Option<SmallVec<[DType; 3]>> {
    let [value, count] = operands else { return None };
    let float = float_common(&[*value], result_type(&[*value])?)?;
    let count = match count {
        Operand::WeakInt => DType::I32,
        Operand::Typed(DType::I64 | DType::U32) => DType::I64,
        Operand::Typed(dtype) if !is_inexact(*dtype) && *dtype != DType::U64 => DType::I32,
        _ => return None,
    };
    Some(smallvec![float, count])
}
