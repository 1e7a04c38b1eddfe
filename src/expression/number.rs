//! Plain numbers of an expression: Python's bool, int, float and complex, and their arithmetic.
//!
//! What is computed among plain numbers is Python's, so that `x * (1 / 3)` is what NumPy makes of it; beside an array
//! a plain number is weak (NEP 50). Invariant: integers that leave 128 bits are refused, never wrapped. Called by the
//! evaluator.

use super::error::{Outcome, Trouble};
use super::syntax::{Binary, Unary};
use blockwise_core::Scalar;
use blockwise_core::adapt::cast_scalar;
use blockwise_kernels::DType;
use blockwise_kernels::program::Argument;
use num_complex::Complex;
use std::cmp::Ordering;

/// A plain number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Bool(bool),
    Int(i128),
    Float(f64),
    Complex(Complex<f64>),
}

impl Number {
    /// The number as an argument of an elementwise function.
    pub(super) fn argument(self) -> Argument {
        match self {
            Self::Bool(truth) => truth.into(),
            Self::Int(number) => Argument::Int(number),
            Self::Float(number) => number.into(),
            Self::Complex(number) => number.into(),
        }
    }

    /// The number as an element of the dtype that NumPy gives it on its own.
    pub(super) fn scalar(self) -> Outcome<Scalar> {
        Ok(match self {
            Self::Bool(truth) => truth.into(),
            Self::Int(number) => match (i64::try_from(number), u64::try_from(number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => return Err(Trouble::here(format!("{number} fits no 64-bit integer"))),
            },
            Self::Float(number) => number.into(),
            Self::Complex(number) => number.into(),
        })
    }

    /// The number as an element of `dtype`.
    ///
    /// # Errors
    /// As NumPy's: if it is an integer that `dtype` cannot hold, or complex and `dtype` is not.
    pub(super) fn scalar_of(self, dtype: DType) -> Outcome<Scalar> {
        self.check_fits(dtype)?;
        Ok(cast_scalar(&self.scalar()?, dtype)?)
    }

    /// That `dtype` can hold the number, fractions aside.
    ///
    /// # Errors
    /// See [`Number::scalar_of`].
    pub(super) fn check_fits(self, dtype: DType) -> Outcome<()> {
        let bits = dtype.size() as u32 * 8;
        let range = match dtype.kind() {
            'i' => -(1_i128 << (bits - 1))..=(1_i128 << (bits - 1)) - 1,
            'u' => 0..=(1_i128 << bits) - 1,
            _ => i128::MIN..=i128::MAX,
        };
        let what = match self {
            Self::Int(number) if !range.contains(&number) => {
                format!("{number} does not fit {dtype}; .astype(\"{dtype}\") wraps it round")
            }
            Self::Complex(_) if dtype.kind() != 'c' => {
                format!("a complex number does not fit {dtype}; take its real or imag")
            }
            _ => return Ok(()),
        };
        Err(Trouble::here(what))
    }

    /// The number as an integer, if it is one.
    pub(super) fn integer(self) -> Option<i128> {
        match self {
            Self::Bool(truth) => Some(i128::from(truth)),
            Self::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The number as a float, if it is real.
    #[expect(clippy::cast_precision_loss, reason = "as Python converts int to float")]
    pub(super) fn real(self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(number),
            Self::Complex(_) => None,
            whole => whole.integer().map(|number| number as f64),
        }
    }

    fn complex(self) -> Complex<f64> {
        match self {
            Self::Complex(number) => number,
            real => real.real().unwrap_or(f64::NAN).into(),
        }
    }

    /// What Python makes of an operator before a number.
    pub(super) fn unary(self, operator: Unary) -> Outcome<Self> {
        Ok(match (operator, self) {
            (Unary::Positive, Self::Bool(truth)) => Self::Int(truth.into()),
            (Unary::Positive, number) => number,
            (Unary::Negative, Self::Float(number)) => Self::Float(-number),
            (Unary::Negative, Self::Complex(number)) => Self::Complex(-number),
            (Unary::Negative, whole) => Self::Int(whole.whole()?.checked_neg().ok_or_else(too_large)?),
            (Unary::Invert, whole) => Self::Int(!whole.whole()?),
        })
    }

    /// What Python makes of an operator between two numbers.
    pub(super) fn binary(self, operator: Binary, other: Self) -> Outcome<Self> {
        let rank = |number: Self| match number {
            Self::Bool(_) => 0,
            Self::Int(_) => 1,
            Self::Float(_) => 2,
            Self::Complex(_) => 3,
        };
        if operator == Binary::Product {
            return Err(Trouble::here("@ is for matrices; multiply numbers with *"));
        }
        if let Some(verdict) = self.compared(operator, other)? {
            return Ok(Self::Bool(verdict));
        }
        if let (Self::Bool(a), Self::Bool(b)) = (self, other) {
            match operator {
                Binary::And => return Ok(Self::Bool(a & b)),
                Binary::Or => return Ok(Self::Bool(a | b)),
                Binary::Xor => return Ok(Self::Bool(a ^ b)),
                _ => {}
            }
        }
        match rank(self).max(rank(other)) {
            0 | 1 => integers(self.whole()?, operator, other.whole()?),
            2 => floats(self.complex().re, operator, other.complex().re),
            _ => complexes(self.complex(), operator, other.complex()),
        }
    }

    /// The verdict of a comparison; `None` if `operator` is none.
    fn compared(self, operator: Binary, other: Self) -> Outcome<Option<bool>> {
        if !operator.is_comparison() {
            return Ok(None);
        }
        let order = match (self.integer(), other.integer()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => match (self.real(), other.real()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ if matches!(operator, Binary::Equal | Binary::NotEqual) => {
                    (self.complex() == other.complex()).then_some(Ordering::Equal)
                }
                _ => {
                    return Err(Trouble::here(
                        "complex numbers have no order; compare abs(...) or real(...)",
                    ));
                }
            },
        };
        Ok(Some(match operator {
            Binary::Equal => order == Some(Ordering::Equal),
            Binary::NotEqual => order != Some(Ordering::Equal),
            Binary::Less => order == Some(Ordering::Less),
            Binary::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Binary::Greater => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }))
    }

    fn whole(self) -> Outcome<i128> {
        self.integer().ok_or_else(|| Trouble::here("this operator takes integers, not floats"))
    }
}

fn too_large() -> Trouble {
    Trouble::here("this integer is larger than 128 bits; write a float, as in 1e40")
}

fn by_zero() -> Trouble {
    Trouble::here("a plain number is divided by zero")
}

fn absent(operator: Binary, of: &str) -> Trouble {
    Trouble::here(format!("{} is not defined for {of}", operator.symbol()))
}

#[expect(clippy::cast_precision_loss, reason = "as Python converts int to float")]
fn integers(a: i128, operator: Binary, b: i128) -> Outcome<Number> {
    let shift = || u32::try_from(b).map_err(|_| Trouble::here("this shift is negative or too far"));
    Ok(Number::Int(
        match operator {
            Binary::Add => a.checked_add(b),
            Binary::Subtract => a.checked_sub(b),
            Binary::Multiply => a.checked_mul(b),
            Binary::Divide | Binary::FloorDivide | Binary::Remainder if b == 0 => return Err(by_zero()),
            Binary::Divide => return Ok(Number::Float(a as f64 / b as f64)),
            Binary::FloorDivide => a.checked_div_euclid(b).map(|quotient| {
                // Rounded down, whatever the sign of b.
                if b < 0 && a.checked_rem_euclid(b) != Some(0) { quotient - 1 } else { quotient }
            }),
            Binary::Remainder => {
                a.checked_rem_euclid(b).map(|rest| if rest != 0 && b < 0 { rest + b } else { rest })
            }
            Binary::Power if b < 0 => return floats(a as f64, operator, b as f64),
            Binary::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            Binary::And => Some(a & b),
            Binary::Or => Some(a | b),
            Binary::Xor => Some(a ^ b),
            Binary::LeftShift => {
                a.checked_shl(shift()?).filter(|moved| shift().is_ok_and(|b| moved >> b == a))
            }
            Binary::RightShift => Some(a >> shift()?.min(127)),
            _ => return Err(absent(operator, "integers")),
        }
        .ok_or_else(too_large)?,
    ))
}

fn floats(a: f64, operator: Binary, b: f64) -> Outcome<Number> {
    Ok(Number::Float(match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide | Binary::FloorDivide | Binary::Remainder if b == 0.0 => return Err(by_zero()),
        Binary::Divide => a / b,
        Binary::FloorDivide | Binary::Remainder => {
            let rest = a % b;
            let below = rest != 0.0 && (rest < 0.0) != (b < 0.0);
            let rest = if below { rest + b } else { rest };
            if operator == Binary::Remainder { rest } else { ((a - rest) / b).round() }
        }
        Binary::Power if a == 0.0 && b < 0.0 => return Err(by_zero()),
        Binary::Power if a < 0.0 && b.fract() != 0.0 && b.is_finite() => {
            return Ok(Number::Complex(Complex::from(a).powf(b)));
        }
        Binary::Power => a.powf(b),
        _ => return Err(absent(operator, "floats")),
    }))
}

fn complexes(a: Complex<f64>, operator: Binary, b: Complex<f64>) -> Outcome<Number> {
    Ok(Number::Complex(match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide if b == Complex::ZERO => return Err(by_zero()),
        Binary::Divide => a / b,
        Binary::Power => match (b.im == 0.0 && b.re.fract() == 0.0 && b.re.abs() < 1e9).then_some(b.re) {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e9")]
            Some(whole) => a.powi(whole as i32),
            None => a.powc(b),
        },
        _ => return Err(absent(operator, "complex numbers")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Bool, Float, Int};

    #[test]
    fn arithmetic_is_pythons() {
        for (a, operator, b, wanted) in [
            (Int(-7), Binary::FloorDivide, Int(2), Int(-4)),
            (Int(7), Binary::FloorDivide, Int(-2), Int(-4)),
            (Int(-7), Binary::FloorDivide, Int(-2), Int(3)),
            (Int(-7), Binary::Remainder, Int(3), Int(2)),
            (Int(7), Binary::Remainder, Int(-3), Int(-2)),
            (Int(-7), Binary::Remainder, Int(-3), Int(-1)),
            (Float(-7.5), Binary::Remainder, Int(2), Float(0.5)),
            (Float(7.5), Binary::FloorDivide, Int(-2), Float(-4.0)),
            (Int(2), Binary::Power, Int(-1), Float(0.5)),
            (Int(2), Binary::Power, Int(64), Int(1 << 64)),
            (Int(1), Binary::Divide, Int(4), Float(0.25)),
            (Bool(true), Binary::Add, Bool(true), Int(2)),
            (Bool(true), Binary::And, Bool(false), Bool(false)),
            (Int(2), Binary::Less, Float(2.5), Bool(true)),
        ] {
            assert_eq!(a.binary(operator, b).unwrap(), wanted, "{a:?} {operator:?} {b:?}");
        }
        assert!(Int(1).binary(Binary::Divide, Int(0)).is_err());
        assert!(Int(2).binary(Binary::Power, Int(127)).is_err());
        assert!(Float(1.0).unary(Unary::Invert).is_err());
    }
}
