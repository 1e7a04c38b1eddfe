//! The rows of the function table, by family. Called through [`super::Function::named`] and listed by documentation.

use super::cuda::{Texts, Types};
use super::rule::{Bools, Inputs, Output, Rule};
use super::{Choose, Expansion, Family, Function, arithmetic, class, compare, elementary, expand};

/// Rough cost of a division or root, and of a transcendental function, in simple operations.
const DIVISION: u32 = 4;
const SERIES: u32 = 20;

const fn rule(inputs: Inputs, complex: bool, output: Output) -> Rule {
    Rule { inputs, complex, output }
}

const NUMBERS: Rule = rule(Inputs::Common(Bools::Kept), true, Output::Same);
const NO_BOOLS: Rule = rule(Inputs::Common(Bools::Refused), true, Output::Same);
const SMALL_INT_BOOLS: Rule = rule(Inputs::Common(Bools::AsInt8), true, Output::Same);
const REAL_SMALL_INT_BOOLS: Rule = rule(Inputs::Common(Bools::AsInt8), false, Output::Same);
const REALS: Rule = rule(Inputs::Common(Bools::Kept), false, Output::Same);
const PARTS: Rule = rule(Inputs::Common(Bools::Kept), true, Output::Part);
const TEST: Rule = rule(Inputs::Common(Bools::Kept), true, Output::Bool);
const REAL_TEST: Rule = rule(Inputs::Common(Bools::Kept), false, Output::Bool);
const FLOATS: Rule = rule(Inputs::Float, true, Output::Same);
const REAL_FLOATS: Rule = rule(Inputs::Float, false, Output::Same);
const QUOTIENT: Rule = rule(Inputs::Quotient, true, Output::Same);
const COMPARED: Rule = rule(Inputs::Compared, true, Output::Bool);
const TRUTH: Rule = rule(Inputs::Truth, true, Output::Bool);
const BITS: Rule = rule(Inputs::Whole(Bools::Kept), false, Output::Same);
const SHIFT: Rule = rule(Inputs::Whole(Bools::AsInt8), false, Output::Same);

#[expect(clippy::too_many_arguments, reason = "the columns of the table")]
const fn row(
    family: Family,
    name: &'static str,
    arity: usize,
    flops: u32,
    rule: Rule,
    kernel: Option<Choose>,
    expand: Option<Expansion>,
    doc: &'static str,
    cuda: Texts,
) -> Function {
    Function { name, arity, family, doc, flops, rule, kernel, expand, cuda }
}

/// A function with a loop, and the CUDA text that says the same.
macro_rules! f {
    ($family:ident $name:literal $arity:literal $flops:expr, $rule:expr, $kernel:path, $doc:literal,
     [$($types:ident $text:literal),*]) => {
        row(Family::$family, $name, $arity, $flops, $rule, Some($kernel), None, $doc, &[$((Types::$types, $text)),*])
    };
}

/// A function with a loop for some dtypes, and composed of others for the rest.
macro_rules! fx {
    ($family:ident $name:literal $arity:literal $flops:expr, $rule:expr, $kernel:path, $expand:path, $doc:literal,
     [$($types:ident $text:literal),*]) => {
        row(
            Family::$family, $name, $arity, $flops, $rule, Some($kernel), Some($expand), $doc,
            &[$((Types::$types, $text)),*],
        )
    };
}

/// A function composed of others.
macro_rules! x {
    ($family:ident $name:literal $arity:literal, $rule:expr, $expand:path, $doc:literal) => {
        row(Family::$family, $name, $arity, 0, $rule, None, Some($expand), $doc, &[])
    };
}

/// Every scalar function.
///
/// ```
/// for function in blockwise_kernels::function::TABLE {
///     println!("{:<14} {}", function.name, function.doc);
/// }
/// ```
pub static TABLE: &[Function] = &[
    f!(Arithmetic "add" 2 1, NUMBERS, arithmetic::add, "a + b; of bools: or",
       [Bools "a | b", Integers "(T)((W)a + (W)b)", Floats "a + b"]),
    f!(Arithmetic "subtract" 2 1, NO_BOOLS, arithmetic::subtract, "a - b; refused for bools",
       [Integers "(T)((W)a - (W)b)", Floats "a - b"]),
    f!(Arithmetic "multiply" 2 1, NUMBERS, arithmetic::multiply, "a * b; of bools: and",
       [Bools "a & b", Integers "(T)((W)a * (W)b)", Floats "a * b"]),
    f!(Arithmetic "true_divide" 2 DIVISION, QUOTIENT, arithmetic::true_divide, "a / b as floats",
       [Floats "a / b"]),
    f!(Arithmetic "floor_divide" 2 DIVISION, REAL_SMALL_INT_BOOLS, arithmetic::floor_divide, "a // b, rounded down; integers by zero: 0",
       [Signed "floor_quotient(a, b)", Unsigned "b == 0 ? (T)0 : (T)(a / b)", Floats "floor_quotient(a, b)"]),
    f!(Arithmetic "remainder" 2 DIVISION, REAL_SMALL_INT_BOOLS, arithmetic::remainder, "a % b with the sign of b; integers by zero: 0",
       [Signed "floor_rest(a, b)", Unsigned "b == 0 ? (T)0 : (T)(a % b)", Floats "floor_rest(a, b)"]),
    f!(Arithmetic "fmod" 2 DIVISION, REAL_SMALL_INT_BOOLS, arithmetic::fmod, "remainder of a / b with the sign of a, as in C",
       [Signed "b == 0 || b == -1 ? (T)0 : (T)(a % b)", Unsigned "b == 0 ? (T)0 : (T)(a % b)", Floats "fmod(a, b)"]),
    fx!(Arithmetic "power" 2 SERIES, SMALL_INT_BOOLS, arithmetic::power, expand::power, "a to the power b; integers wrap",
       [Signed "signed_power<T, W>(a, b)", Unsigned "(T)whole_power((W)a, b)", Floats "pow(a, b)"]),
    f!(Arithmetic "negative" 1 1, NO_BOOLS, arithmetic::negative, "-a",
       [Integers "(T)((W)0 - (W)a)", Floats "-a"]),
    x!(Arithmetic "positive" 1, NO_BOOLS, expand::itself, "+a: a itself"),
    fx!(Arithmetic "absolute" 1 1, PARTS, arithmetic::absolute, expand::itself_if_not_negative, "size of a; of complex numbers: modulus",
       [Signed "a < 0 ? (T)((W)0 - (W)a) : a", Floats "fabs(a)"]),
    x!(Arithmetic "fabs" 1, REAL_FLOATS, expand::fabs, "size of a as a float"),
    f!(Arithmetic "sign" 1 1, NO_BOOLS, arithmetic::sign, "-1, 0 or 1; of complex numbers: a / |a|",
       [Signed "(T)((a > 0) - (a < 0))", Unsigned "(T)(a != 0)", Floats "a > 0 ? (T)1 : a < 0 ? (T)-1 : a == 0 ? (T)0 : a"]),
    f!(Arithmetic "reciprocal" 1 DIVISION, SMALL_INT_BOOLS, arithmetic::reciprocal, "1 / a in the type of a",
       [Integers "to_whole<T>(1.0 / (double)a)", Floats "(T)1 / a"]),
    f!(Arithmetic "square" 1 1, SMALL_INT_BOOLS, arithmetic::square, "a * a",
       [Integers "(T)((W)a * (W)a)", Floats "a * a"]),
    f!(Exponential "sqrt" 1 DIVISION, FLOATS, elementary::sqrt, "square root",
       [Floats "sqrt(a)"]),
    f!(Exponential "cbrt" 1 SERIES, REAL_FLOATS, elementary::cbrt, "cube root",
       [Floats "cbrt(a)"]),
    f!(Exponential "hypot" 2 SERIES, REAL_FLOATS, elementary::hypot, "length of the vector (a, b), without overflow",
       [Floats "hypot(a, b)"]),
    f!(Exponential "exp" 1 SERIES, FLOATS, elementary::exp, "e to the power a",
       [Floats "exp(a)"]),
    f!(Exponential "exp2" 1 SERIES, FLOATS, elementary::exp2, "2 to the power a",
       [Floats "exp2(a)"]),
    f!(Exponential "expm1" 1 SERIES, FLOATS, elementary::expm1, "exp(a) - 1, exact near zero",
       [Floats "expm1(a)"]),
    f!(Exponential "log" 1 SERIES, FLOATS, elementary::log, "natural logarithm",
       [Floats "log(a)"]),
    f!(Exponential "log2" 1 SERIES, FLOATS, elementary::log2, "logarithm to base 2",
       [Floats "log2(a)"]),
    f!(Exponential "log10" 1 SERIES, FLOATS, elementary::log10, "logarithm to base 10",
       [Floats "log10(a)"]),
    f!(Exponential "log1p" 1 SERIES, FLOATS, elementary::log1p, "log(1 + a), exact near zero",
       [Floats "log1p(a)"]),
    f!(Exponential "logaddexp" 2 SERIES, REAL_FLOATS, elementary::logaddexp, "log(exp(a) + exp(b)), without overflow",
       [Floats "log_add_exp(a, b)"]),
    f!(Exponential "logaddexp2" 2 SERIES, REAL_FLOATS, elementary::logaddexp2, "log2(2**a + 2**b), without overflow",
       [Floats "log_add_exp2(a, b)"]),
    f!(Trigonometric "sin" 1 SERIES, FLOATS, elementary::sin, "sine of radians",
       [Floats "sin(a)"]),
    f!(Trigonometric "cos" 1 SERIES, FLOATS, elementary::cos, "cosine of radians",
       [Floats "cos(a)"]),
    f!(Trigonometric "tan" 1 SERIES, FLOATS, elementary::tan, "tangent of radians",
       [Floats "tan(a)"]),
    f!(Trigonometric "arcsin" 1 SERIES, FLOATS, elementary::arcsin, "inverse sine, in radians",
       [Floats "asin(a)"]),
    f!(Trigonometric "arccos" 1 SERIES, FLOATS, elementary::arccos, "inverse cosine, in radians",
       [Floats "acos(a)"]),
    f!(Trigonometric "arctan" 1 SERIES, FLOATS, elementary::arctan, "inverse tangent, in radians",
       [Floats "atan(a)"]),
    f!(Trigonometric "arctan2" 2 SERIES, REAL_FLOATS, elementary::arctan2, "angle of the point (x=b, y=a), in radians",
       [Floats "atan2(a, b)"]),
    f!(Trigonometric "sinh" 1 SERIES, FLOATS, elementary::sinh, "hyperbolic sine",
       [Floats "sinh(a)"]),
    f!(Trigonometric "cosh" 1 SERIES, FLOATS, elementary::cosh, "hyperbolic cosine",
       [Floats "cosh(a)"]),
    f!(Trigonometric "tanh" 1 SERIES, FLOATS, elementary::tanh, "hyperbolic tangent",
       [Floats "tanh(a)"]),
    f!(Trigonometric "arcsinh" 1 SERIES, FLOATS, elementary::arcsinh, "inverse hyperbolic sine",
       [Floats "asinh(a)"]),
    f!(Trigonometric "arccosh" 1 SERIES, FLOATS, elementary::arccosh, "inverse hyperbolic cosine",
       [Floats "acosh(a)"]),
    f!(Trigonometric "arctanh" 1 SERIES, FLOATS, elementary::arctanh, "inverse hyperbolic tangent",
       [Floats "atanh(a)"]),
    f!(Trigonometric "deg2rad" 1 1, REAL_FLOATS, elementary::deg2rad, "degrees to radians",
       [Floats "a * ((T)3.14159265358979323846 / (T)180)"]),
    f!(Trigonometric "rad2deg" 1 1, REAL_FLOATS, elementary::rad2deg, "radians to degrees",
       [Floats "a * ((T)180 / (T)3.14159265358979323846)"]),
    x!(Trigonometric "sinc" 1, QUOTIENT, expand::sinc, "sin(pi a) / (pi a), and 1 at 0"),
    f!(Comparison "equal" 2 1, COMPARED, compare::equal, "a == b",
       [Mixed "order(a, b) == 0", Any "a == b"]),
    f!(Comparison "not_equal" 2 1, COMPARED, compare::not_equal, "a != b",
       [Mixed "order(a, b) != 0", Any "a != b"]),
    f!(Comparison "less" 2 1, COMPARED, compare::less, "a < b",
       [Mixed "order(a, b) < 0", Any "a < b"]),
    f!(Comparison "less_equal" 2 1, COMPARED, compare::less_equal, "a <= b",
       [Mixed "order(a, b) <= 0", Any "a <= b"]),
    f!(Comparison "greater" 2 1, COMPARED, compare::greater, "a > b",
       [Mixed "order(a, b) > 0", Any "a > b"]),
    f!(Comparison "greater_equal" 2 1, COMPARED, compare::greater_equal, "a >= b",
       [Mixed "order(a, b) >= 0", Any "a >= b"]),
    f!(Logical "logical_and" 2 1, TRUTH, compare::logical_and, "whether both are non-zero",
       [Bools "a & b"]),
    f!(Logical "logical_or" 2 1, TRUTH, compare::logical_or, "whether one is non-zero",
       [Bools "a | b"]),
    f!(Logical "logical_xor" 2 1, TRUTH, compare::logical_xor, "whether exactly one is non-zero",
       [Bools "a != b"]),
    f!(Logical "logical_not" 1 1, TRUTH, compare::logical_not, "whether a is zero",
       [Bools "!a"]),
    f!(Bitwise "bitwise_and" 2 1, BITS, compare::bitwise_and, "a & b of integers or bools",
       [Bools "a & b", Integers "(T)((W)a & (W)b)"]),
    f!(Bitwise "bitwise_or" 2 1, BITS, compare::bitwise_or, "a | b of integers or bools",
       [Bools "a | b", Integers "(T)((W)a | (W)b)"]),
    f!(Bitwise "bitwise_xor" 2 1, BITS, compare::bitwise_xor, "a ^ b of integers or bools",
       [Bools "a != b", Integers "(T)((W)a ^ (W)b)"]),
    f!(Bitwise "invert" 1 1, BITS, compare::invert, "~a: every bit, or the bool, turned",
       [Bools "!a", Integers "(T)~(W)a"]),
    f!(Bitwise "left_shift" 2 1, SHIFT, compare::left_shift, "a << b; 0 from the width of the type on",
       [Integers "(U)b < 8 * sizeof(T) ? (T)((W)a << (U)b) : (T)0"]),
    f!(Bitwise "right_shift" 2 1, SHIFT, compare::right_shift, "a >> b; the sign from the width of the type on",
       [Signed "(T)(a >> ((U)b < 8 * sizeof(T) ? (U)b : (U)(8 * sizeof(T) - 1)))", Unsigned "b < 8 * sizeof(T) ? (T)(a >> b) : (T)0"]),
    fx!(FloatClass "isnan" 1 1, TEST, class::isnan, expand::false_if_whole, "whether a is not a number",
       [Floats "a != a"]),
    fx!(FloatClass "isinf" 1 1, TEST, class::isinf, expand::false_if_whole, "whether a is infinite",
       [Floats "a == a && a - a != 0"]),
    fx!(FloatClass "isfinite" 1 1, TEST, class::isfinite, expand::true_if_whole, "whether a is neither infinite nor NaN",
       [Floats "a - a == 0"]),
    x!(FloatClass "isposinf" 1, REAL_TEST, expand::isposinf, "whether a is positive infinity"),
    x!(FloatClass "isneginf" 1, REAL_TEST, expand::isneginf, "whether a is negative infinity"),
    f!(FloatClass "signbit" 1 1, rule(Inputs::Float, false, Output::Bool), class::signbit, "whether the sign bit is set, also of -0.0 and NaN",
       [Floats "signbit(a) != 0"]),
    f!(FloatClass "copysign" 2 1, REAL_FLOATS, class::copysign, "the size of a with the sign of b",
       [Floats "copysign(a, b)"]),
    f!(FloatClass "nextafter" 2 1, REAL_FLOATS, class::nextafter, "the next float from a towards b",
       [Half "next_half(a, b)", Brain "next_brain(a, b)", Floats "nextafter(a, b)"]),
    f!(FloatClass "spacing" 1 1, REAL_FLOATS, class::spacing, "distance from a to the next float away from zero",
       [Half "spacing_half(a)", Brain "spacing_brain(a)", Floats "spacing_of(a)"]),
    f!(FloatClass "ldexp" 2 1, rule(Inputs::Scaled, false, Output::Same), class::ldexp, "a * 2**b for an integer b",
       [Floats "ldexp(a, exponent_of(b))"]),
    fx!(FloatClass "nan_to_num" 1 2, NUMBERS, class::nan_to_num, expand::nan_to_num, "NaN to 0, infinities to the largest numbers",
       []),
    fx!(Rounding "floor" 1 1, REALS, class::floor, expand::itself_if_whole, "the next whole number below",
       [Floats "floor(a)"]),
    fx!(Rounding "ceil" 1 1, REALS, class::ceil, expand::itself_if_whole, "the next whole number above",
       [Floats "ceil(a)"]),
    fx!(Rounding "trunc" 1 1, REALS, class::trunc, expand::itself_if_whole, "the next whole number towards zero",
       [Floats "trunc(a)"]),
    f!(Rounding "rint" 1 1, FLOATS, class::rint, "the nearest whole number, ties to even",
       [Floats "rint(a)"]),
    fx!(Rounding "round" 2 DIVISION, rule(Inputs::Rounded, true, Output::Same), class::round, expand::round, "a to b decimals (a constant; may be negative), ties to even",
       []),
    f!(Extremes "minimum" 2 1, NUMBERS, compare::minimum, "the smaller; NaN if one is NaN",
       [Bools "a & b", Integers "a < b ? a : b", Floats "a < b || a != a ? a : b"]),
    f!(Extremes "maximum" 2 1, NUMBERS, compare::maximum, "the larger; NaN if one is NaN",
       [Bools "a | b", Integers "a > b ? a : b", Floats "a > b || a != a ? a : b"]),
    f!(Extremes "fmin" 2 1, NUMBERS, compare::fmin, "the smaller; a NaN only if both are NaN",
       [Bools "a & b", Integers "a < b ? a : b", Floats "a <= b || b != b ? a : b"]),
    f!(Extremes "fmax" 2 1, NUMBERS, compare::fmax, "the larger; a NaN only if both are NaN",
       [Bools "a | b", Integers "a > b ? a : b", Floats "a >= b || b != b ? a : b"]),
    x!(Extremes "clip" 3, NUMBERS, expand::clip, "a, but at least b and at most c"),
    fx!(Complex "real" 1 1, PARTS, class::real, expand::itself_if_real, "the real part",
       []),
    fx!(Complex "imag" 1 1, PARTS, class::imag, expand::zero_if_real, "the imaginary part; 0 for real numbers",
       []),
    fx!(Complex "conjugate" 1 1, SMALL_INT_BOOLS, class::conjugate, expand::itself_if_real, "the conjugate; real numbers themselves",
       []),
    x!(Complex "angle" 1, rule(Inputs::Float, true, Output::Part), expand::angle, "the argument, in radians"),
    f!(Choice "where" 3 1, rule(Inputs::Chosen, true, Output::Same), compare::choose, "b where a is true (non-zero), else c",
       [Any "a ? b : c"]),
];
