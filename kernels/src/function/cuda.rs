//! Which CUDA text of a row of [`super::TABLE`] is for which dtypes.
//!
//! Invariant: for real numbers a function has a text exactly where it has a loop, with the same result but for the last
//! digits of elementary functions (a unit test checks the first, the crate that generates kernels the second). Called by
//! [`super::Function::cuda_text`].

use crate::DType;

/// The texts of a row; the first that is for the dtypes counts.
pub(super) type Texts = &'static [(Types, &'static str)];

/// Dtypes of arguments, by the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Types {
    /// All but complex ones.
    Any,
    /// `int64` beside `uint64`.
    Mixed,
    Bools,
    Integers,
    Signed,
    Unsigned,
    /// Of any width.
    Floats,
    /// float16.
    Half,
    /// bfloat16.
    Brain,
}

impl Types {
    fn contains(self, inputs: &[DType]) -> bool {
        let Some(first) = inputs.first() else { return false };
        match self {
            Self::Any => true,
            Self::Mixed => matches!(inputs, [DType::I64, DType::U64] | [DType::U64, DType::I64]),
            Self::Bools => first.kind() == 'b',
            Self::Integers => matches!(first.kind(), 'i' | 'u'),
            Self::Signed => first.kind() == 'i',
            Self::Unsigned => first.kind() == 'u',
            Self::Floats => first.kind() == 'f',
            Self::Half => *first == DType::F16,
            Self::Brain => *first == DType::BF16,
        }
    }
}

pub(super) fn text(texts: Texts, inputs: &[DType]) -> Option<&'static str> {
    if inputs.iter().any(|dtype| dtype.kind() == 'c') {
        return None;
    }
    texts.iter().find(|(types, _)| types.contains(inputs)).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::TABLE;
    use crate::DType;
    use crate::promote::Operand;

    /// What a loop is asked for: half-width floats are made single where there is no loop of their own.
    fn widened(inputs: &[DType]) -> Vec<DType> {
        let wide =
            |dtype: &DType| if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { *dtype };
        inputs.iter().map(wide).collect()
    }

    #[test]
    fn real_numbers_have_a_text_where_they_have_a_loop() {
        let mut seen = 0;
        for function in TABLE {
            for &a in DType::ALL {
                for &b in DType::ALL {
                    let operands = [Operand::Typed(a), Operand::Typed(b), Operand::Typed(b)];
                    let Some(operands) = operands.get(..function.arity) else { continue };
                    let Some(signature) = function.signature(operands) else { continue };
                    let inputs = &signature.inputs;
                    if inputs.iter().any(|dtype| dtype.kind() == 'c') {
                        assert_eq!(function.cuda_text(inputs), None, "{function:?} {inputs:?}");
                        continue;
                    }
                    let looped =
                        function.kernel(inputs).or_else(|| function.kernel(&widened(inputs))).is_some();
                    assert_eq!(function.cuda_text(inputs).is_some(), looped, "{function:?} {inputs:?}");
                    seen += usize::from(looped);
                }
            }
        }
        assert!(seen > 5000, "{seen}");
    }
}
