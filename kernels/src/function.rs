//! The one table of scalar functions: name, arity, dtype rule, loop or expansion, CUDA text, documentation line.
//!
//! Names and meaning are NumPy 2's. Functions without a loop of their own are composed of others when a program is
//! built (`clip`, `round`, `sinc`), so a back end needs only those with one. Half-width floats are computed in float32
//! and rounded after every function, as NumPy does. Invariant: a function whose rule accepts a list of dtypes can be
//! evaluated for it (a unit test tries all). Called by [`crate::program`], and by whatever lists functions for users.
//!
//! Where this differs from NumPy: integers to negative integer powers are truncated towards zero, where NumPy raises;
//! division by zero and overflow are silent; `round` of bools gives
//! float16 for any number of decimals, `angle` of bools float16; `clip` treats a complex NaN as `minimum` does.

mod arithmetic;
mod class;
mod compare;
mod complex;
mod cuda;
mod elementary;
mod expand;
pub(crate) mod loops;
mod rule;
mod table;

use crate::DType;
use crate::program::{Builder, ProgramError, Value};
use crate::promote::Operand;
use loops::Kernel;
use rule::Rule;
pub use rule::Signature;
use std::fmt;
use std::hash::{Hash, Hasher};
pub use table::TABLE;

/// A group of functions, as documentation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Sums, products, quotients, powers, signs.
    Arithmetic,
    /// Roots, exponentials, logarithms.
    Exponential,
    /// Circular and hyperbolic functions, and angles.
    Trigonometric,
    /// Comparisons.
    Comparison,
    /// And, or, not of truth values.
    Logical,
    /// Bits of integers.
    Bitwise,
    /// What kind of float a value is, and its neighbours.
    FloatClass,
    /// To whole numbers or decimals.
    Rounding,
    /// The smaller or larger of values, and bounds.
    Extremes,
    /// Parts of complex numbers.
    Complex,
    /// One value or another.
    Choice,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arithmetic => "arithmetic",
            Self::Exponential => "exponential",
            Self::Trigonometric => "trigonometric",
            Self::Comparison => "comparison",
            Self::Logical => "logical",
            Self::Bitwise => "bitwise",
            Self::FloatClass => "float class",
            Self::Rounding => "rounding",
            Self::Extremes => "extremes",
            Self::Complex => "complex",
            Self::Choice => "choice",
        })
    }
}

/// A scalar function of the table; equal if the names are.
pub struct Function {
    /// NumPy's name.
    pub name: &'static str,
    /// Number of arguments.
    pub arity: usize,
    /// The group it is listed in.
    pub family: Family,
    /// One line for users.
    pub doc: &'static str,
    /// Rough floating-point operations per element.
    pub flops: u32,
    rule: Rule,
    kernel: Option<Choose>,
    expand: Option<Expansion>,
    cuda: cuda::Texts,
}

/// Chooses the loop for arguments of the given dtypes.
type Choose = fn(&[DType]) -> Option<Kernel>;

/// Builds the function from others, for arguments that already have the signature's dtypes; `None` to use the loop.
type Expansion = fn(&mut Builder, &[Value]) -> Result<Option<Value>, ProgramError>;

impl Function {
    /// The function of a NumPy name; `None` if there is none.
    ///
    /// ```
    /// use blockwise_kernels::function::Function;
    /// let hypot = Function::named("hypot").unwrap();
    /// assert_eq!(hypot.arity, 2);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|function| function.name == name)
    }

    /// The dtypes the arguments are converted to and the dtype of the result; `None` where NumPy raises `TypeError`,
    /// or if the number of operands is not the arity.
    #[must_use]
    pub fn signature(&self, operands: &[Operand]) -> Option<Signature> {
        if operands.len() != self.arity { None } else { self.rule.signature(operands) }
    }

    /// The loop for arguments of exactly these dtypes.
    pub(crate) fn kernel(&self, inputs: &[DType]) -> Option<Kernel> {
        self.kernel.and_then(|choose| choose(inputs))
    }

    /// The loop as an expression of CUDA C for arguments of exactly these dtypes; `None` where it has no loop, and for
    /// complex numbers.
    ///
    /// In the text `a`, `b` and `c` are the arguments, `T` the type of the first of them, `U` and `W` the unsigned
    /// integers of its width and of at least 32 bits. Half-width floats are `float`, before and after the rounding that
    /// is left to the caller, bools `bool`. What is not C++ or CUDA's mathematics is a function of the prelude that
    /// comes with generated kernels.
    ///
    /// ```
    /// use blockwise_kernels::DType;
    /// use blockwise_kernels::function::Function;
    /// let square = Function::named("square").unwrap();
    /// assert_eq!(square.cuda_text(&[DType::F32]), Some("a * a"));
    /// assert_eq!(square.cuda_text(&[DType::I8]), Some("(T)((W)a * (W)a)"));
    /// ```
    #[must_use]
    pub fn cuda_text(&self, inputs: &[DType]) -> Option<&'static str> {
        cuda::text(self.cuda, inputs)
    }

    /// The function in terms of others.
    pub(crate) fn expand(
        &self,
        builder: &mut Builder,
        arguments: &[Value],
    ) -> Result<Option<Value>, ProgramError> {
        self.expand.map_or(Ok(None), |expand| expand(builder, arguments))
    }

    /// Whether this is one of the six comparisons.
    pub(crate) fn is_comparison(&self) -> bool {
        self.family == Family::Comparison
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Function {}
impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.arity)
    }
}
