//! Elementwise functions: those of the kernels' table as they are, and those that `eval` completes.
//!
//! Invariant: a function of the kernels' table is here without being written down, unless a row of [`TABLE`] gives it
//! NumPy's optional parameters. Called by the function table and for operators.

use super::entry::{Entry, entry};
use crate::expression::aligned::aligned;
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::number::Number;
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::Operand;
use blockwise_kernels::DType;
use blockwise_kernels::function::{Function, TABLE as KERNELS};
use blockwise_kernels::promote::promote;

const CHOICE: &str = "elementwise: choice";
const COMPLEX: &str = "elementwise: complex";
const CLASS: &str = "elementwise: float class";

/// Names of the parameters of functions with several.
pub(in crate::expression) const PARAMETERS: [&str; 3] = ["x1", "x2", "x3"];

/// Functions that are composed here, or have parameters that kernels do not know.
pub(super) const TABLE: &[Entry] = &[
    entry(
        "elementwise: rounding",
        "round(x, decimals=0)",
        "x to a number of decimals (may be negative), ties to even",
        |a| elementwise_named("round", &[a.array("x")?.into(), decimals(a)?]),
    ),
    entry(
        "elementwise: extremes",
        "clip(x, min=None, max=None)",
        "x, but at least min and at most max",
        clip,
    ),
    entry(COMPLEX, "isreal(x)", "whether there is no imaginary part", |a| told(a, Array::is_real)),
    entry(COMPLEX, "iscomplex(x)", "whether there is an imaginary part that is not zero", |a| {
        told(a, Array::is_complex)
    }),
    entry(CLASS, "isnull(x)", "whether elements are missing: NaN among floats, none among others", |a| {
        told(a, Array::is_null)
    }),
    entry(CLASS, "notnull(x)", "whether elements are not missing", |a| told(a, Array::not_null)),
    entry(CLASS, "fillna(x, value)", "x, and value where elements are missing, as xarray's", |a| {
        let x = a.array("x")?;
        let missing = x.with(x.array.is_null()?);
        let filled = elementwise_named("where", &[missing.into(), a.value("value"), x.clone().into()])?;
        Ok(Labelled { attributes: x.attributes, ..filled.to_array()? }.into())
    }),
    entry(
        CLASS,
        "nan_to_num(x, nan=0.0, posinf=None, neginf=None)",
        "x with numbers in place of NaN and infinities: without others 0 and the largest numbers",
        nan_to_num,
    ),
    entry("elementwise: exponential", "float_power(x1, x2)", "x1 ** x2 in double precision at least", |a| {
        let wide = |name| {
            let x = a.array(name)?;
            let dtype = promote(x.array.dtype(), DType::F64);
            Ok::<Value, Trouble>(x.with(x.array.astype(dtype)).into())
        };
        elementwise_named("power", &[wide("x1")?, wide("x2")?])
    }),
    entry(CHOICE, "where(condition, x, y)", "x where the condition is true (non-zero), else y", |a| {
        elementwise_named("where", &[a.value("condition"), a.value("x"), a.value("y")])
    }),
    entry(
        "elementwise: comparison",
        "isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)",
        "whether |a - b| <= atol + rtol |b|",
        |a| close(a).map(Value::from),
    ),
    entry(
        "elementwise: comparison",
        "allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)",
        "whether all elements are close, as isclose says it",
        |a| {
            let all = close(a)?.array.all(..)?;
            Ok(Labelled::from(all).into())
        },
    ),
];

fn nan_to_num(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let mut numbers = elementwise_named("nan_to_num", &[x.clone().into()])?;
    for (name, test) in [("nan", "isnan"), ("posinf", "isposinf"), ("neginf", "isneginf")] {
        if arguments.given(name).is_some() && x.array.dtype().kind() == 'f' {
            let is_so = elementwise_named(test, &[x.clone().into()])?;
            numbers = elementwise_named("where", &[is_so, arguments.value(name), numbers])?;
        } else if arguments.given(name).is_some() && x.array.dtype().kind() == 'c' {
            let what = format!("{name} of complex numbers is given for real(x) and imag(x), each by itself");
            return Err(Trouble::here(what));
        }
    }
    Ok(Labelled { attributes: x.attributes, ..numbers.to_array()? }.into())
}

/// The functions of the kernels' table that no row of [`TABLE`] replaces.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    KERNELS.iter().filter(|function| TABLE.iter().all(|entry| entry.name() != function.name))
}

/// The function of a name, unless a row of [`TABLE`] replaces it.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// The signature of a function of the kernels' table.
pub(super) fn signature(function: &'static Function) -> &'static str {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    static SIGNATURES: OnceLock<HashMap<&'static str, String>> = OnceLock::new();
    let written = |function: &Function| match function.arity {
        1 => format!("{}(x)", function.name),
        arity => format!("{}({})", function.name, PARAMETERS.get(..arity).unwrap_or(&PARAMETERS).join(", ")),
    };
    let all = SIGNATURES
        .get_or_init(|| KERNELS.iter().map(|function| (function.name, written(function))).collect());
    all.get(function.name).map_or("", String::as_str)
}

/// What a function of the kernels' table builds of operands.
pub(in crate::expression) fn elementwise(function: &'static Function, operands: &[Value]) -> Outcome<Value> {
    if function.name == "power"
        && let [Value::Array(base), Value::Number(Number::Int(exponent))] = operands
        && *exponent < 0
        && !matches!(base.array.dtype().kind(), 'f' | 'c')
    {
        let message = "integers have no negative integer powers; write a float, as in x ** -1.0";
        return Err(Trouble::here(message));
    }
    let (mut arguments, mut arrays) = (Vec::with_capacity(operands.len()), Vec::new());
    for operand in operands {
        arguments.push(match operand {
            Value::Number(number) => Operand::Number(number.argument()),
            other => {
                let array = other.to_array()?;
                let argument = Operand::Array(array.array.clone());
                arrays.push(array);
                argument
            }
        });
    }
    let has_numbers = arrays.len() < operands.len();
    aligned(&mut arrays)?;
    let array = Array::call(function.name, arguments)?;
    let (parts, same_quantity): (Vec<&Labelled>, bool) = match function.name {
        "positive" | "negative" | "absolute" | "fabs" | "rint" | "floor" | "ceil" | "trunc" | "round"
        | "nan_to_num" | "real" | "conjugate" | "clip" | "minimum" | "maximum" | "fmin" | "fmax" => {
            (arrays.iter().collect(), true)
        }
        // A number has no units: 273.15 may be there to change them.
        "add" | "subtract" => (arrays.iter().collect(), !has_numbers),
        "where" => {
            let chosen = matches!(operands.first(), Some(Value::Number(_)));
            let (condition, chosen) = arrays.split_at(usize::from(!chosen).min(arrays.len()));
            let merged = Labelled::merged(array.clone(), &chosen.iter().collect::<Vec<_>>(), true);
            let parts: Vec<&Labelled> = chosen.iter().chain(condition).collect();
            let labels = Labelled::merged(array, &parts, false);
            return Ok(Labelled { attributes: merged.attributes, ..labels }.into());
        }
        _ => (arrays.iter().collect(), false),
    };
    Ok(Labelled::merged(array, &parts, same_quantity).into())
}

fn elementwise_named(name: &str, operands: &[Value]) -> Outcome<Value> {
    super::apply(name, operands).map(Value::from)
}

/// What is true of each element of `x`.
fn told(arguments: &Arguments, what: fn(&Array) -> blockwise_core::Result<Array>) -> Outcome<Value> {
    let x = arguments.array("x")?;
    Ok(x.with(what(&x.array)?).of_other_quantity().into())
}

fn decimals(arguments: &Arguments) -> Outcome<Value> {
    let decimals = arguments.read("decimals", Value::to_int)?.unwrap_or(0);
    Ok(Value::Number(Number::Int(decimals.into())))
}

fn clip(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?.into();
    match (arguments.value("min"), arguments.value("max")) {
        (Value::Nothing, Value::Nothing) => Ok(x),
        (low, Value::Nothing) => elementwise_named("maximum", &[x, low]),
        (Value::Nothing, high) => elementwise_named("minimum", &[x, high]),
        (low, high) => elementwise_named("clip", &[x, low, high]),
    }
}

fn close(arguments: &Arguments) -> Outcome<Labelled> {
    let number = |name: &str, default: f64| {
        let given = arguments.read(name, Value::to_real)?;
        Ok::<_, Trouble>(Value::Number(Number::Float(given.unwrap_or(default))))
    };
    let call = |name: &str, operands: &[Value]| super::apply(name, operands).map(Value::from);
    let (a, b) = (Value::from(arguments.array("a")?), Value::from(arguments.array("b")?));
    let (relative, absolute) = (number("rtol", 1e-5)?, number("atol", 1e-8)?);
    // As floats, so that differences of unsigned integers do not wrap.
    let wide = call("multiply", &[b.clone(), Value::Number(Number::Float(1.0))])?;
    let distance = call("absolute", &[call("subtract", &[a.clone(), wide.clone()])?])?;
    let allowed = call(
        "add",
        &[call("multiply", &[relative, call("absolute", std::slice::from_ref(&wide))?])?, absolute],
    )?;
    let near = call("less_equal", &[distance, allowed])?;
    let near = call("logical_and", &[near, call("isfinite", &[wide])?])?;
    let mut close = call("logical_or", &[near, call("equal", &[a.clone(), b.clone()])?])?;
    if arguments.flag("equal_nan")? {
        let both = call("logical_and", &[call("isnan", &[a])?, call("isnan", &[b])?])?;
        close = call("logical_or", &[close, both])?;
    }
    close.to_array()
}
