//! Arrays made of nothing: constants, counts, diagonals.
//!
//! Called by the function table.

use super::entry::{Entry, entry};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::number::Number;
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_kernels::DType;

const FAMILY: &str = "creation";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(FAMILY, "array(x, dtype=None)", "an array of a number, or of a list of numbers", |a| {
        let dtype = a.read("dtype", Value::to_dtype)?;
        let array = |value: &Value| dtype.map_or_else(|| value.to_array(), |dtype| value.to_array_of(dtype));
        Ok(a.need("x", array)?.into())
    }),
    entry(FAMILY, "zeros(shape, dtype=\"float64\")", "zeros", |a| filled(a, Number::Int(0))),
    entry(FAMILY, "ones(shape, dtype=\"float64\")", "ones", |a| filled(a, Number::Int(1))),
    entry(FAMILY, "full(shape, value, dtype=None)", "one value everywhere", |a| {
        let value = number(a, "value")?;
        let dtype = a.read("dtype", Value::to_dtype)?;
        let value = dtype.map_or_else(|| value.scalar(), |dtype| value.scalar_of(dtype))?;
        made(Array::full(&a.need("shape", Value::to_shape)?, value))
    }),
    entry(FAMILY, "zeros_like(x, dtype=None)", "zeros in the shape and dtype of x", |a| {
        alike(a, Number::Int(0))
    }),
    entry(FAMILY, "ones_like(x, dtype=None)", "ones in the shape and dtype of x", |a| {
        alike(a, Number::Int(1))
    }),
    entry(FAMILY, "full_like(x, value, dtype=None)", "one value in the shape and dtype of x", |a| {
        alike(a, number(a, "value")?)
    }),
    entry(
        FAMILY,
        "arange(start, stop=None, step=1)",
        "numbers from start, step apart, before stop; from 0 if one is given",
        arange,
    ),
    entry(
        FAMILY,
        "linspace(start, stop, num=50, endpoint=True)",
        "num evenly spaced numbers from start to stop",
        |a| {
            let count = a.read("num", Value::to_int)?.unwrap_or(50);
            let count = u64::try_from(count).map_err(|_| Trouble::here("num is a number from 0 up"))?;
            let with_end = a.read("endpoint", Value::to_flag)?.unwrap_or(true);
            made(Array::linspace(
                a.need("start", Value::to_real)?,
                a.need("stop", Value::to_real)?,
                count,
                with_end,
            ))
        },
    ),
    entry(
        FAMILY,
        "eye(rows, columns=None, k=0, dtype=\"float64\")",
        "ones on diagonal k, zeros elsewhere",
        |a| {
            let (rows, columns, k) = matrix(a)?;
            made(Array::eye(rows, columns, k, dtype(a)?))
        },
    ),
    entry(
        FAMILY,
        "tri(rows, columns=None, k=0, dtype=\"float64\")",
        "ones at and below diagonal k, zeros above",
        |a| {
            let (rows, columns, k) = matrix(a)?;
            made(Array::tri(rows, columns, k, dtype(a)?))
        },
    ),
    entry(FAMILY, "tril(x, k=0)", "x at and below diagonal k, zeros above", |a| {
        let x = a.array("x")?;
        Ok(x.with(x.array.tril(a.read("k", Value::to_int)?.unwrap_or(0))?).into())
    }),
    entry(FAMILY, "triu(x, k=0)", "x at and above diagonal k, zeros below", |a| {
        let x = a.array("x")?;
        Ok(x.with(x.array.triu(a.read("k", Value::to_int)?.unwrap_or(0))?).into())
    }),
    entry(
        FAMILY,
        "indices(shape)",
        "the position of every element, along a first axis with one entry per axis",
        |a| {
            let shape = a.need("shape", Value::to_shape)?;
            let along = (0..shape.len()).map(|axis| Array::indices(&shape, axis));
            made(Array::stack(&along.collect::<blockwise_core::Result<Vec<_>>>()?, 0))
        },
    ),
];

fn made(array: blockwise_core::Result<Array>) -> Outcome<Value> {
    Ok(Labelled::from(array?).into())
}

fn number(arguments: &Arguments, name: &str) -> Outcome<Number> {
    arguments.need(name, |value| match value {
        Value::Number(number) => Ok(*number),
        other => Err(Trouble::here(format!("a number is wanted here, not {}", other.shown()))),
    })
}

fn dtype(arguments: &Arguments) -> Outcome<DType> {
    Ok(arguments.read("dtype", Value::to_dtype)?.unwrap_or(DType::F64))
}

fn filled(arguments: &Arguments, value: Number) -> Outcome<Value> {
    let value = value.scalar_of(dtype(arguments)?)?;
    made(Array::full(&arguments.need("shape", Value::to_shape)?, value))
}

fn alike(arguments: &Arguments, value: Number) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let dtype = arguments.read("dtype", Value::to_dtype)?.unwrap_or(x.array.dtype());
    let value = value.scalar_of(dtype)?;
    Ok(x.with(x.array.full_like(value)).of_other_quantity().into())
}

fn arange(arguments: &Arguments) -> Outcome<Value> {
    let zero = Value::Number(Number::Int(0));
    let step = arguments.given("step").map_or(Value::Number(Number::Int(1)), |given| given.value.clone());
    let (start, stop) = match arguments.value("stop") {
        Value::Nothing => (zero, arguments.value("start")),
        stop => (arguments.value("start"), stop),
    };
    let is_whole = |value: &Value| matches!(value, Value::Number(number) if number.integer().is_some());
    if is_whole(&start) && is_whole(&stop) && is_whole(&step) {
        return made(Array::arange_i64(start.to_int()?, stop.to_int()?, step.to_int()?));
    }
    made(Array::arange(start.to_real()?, stop.to_real()?, step.to_real()?))
}

fn matrix(arguments: &Arguments) -> Outcome<(u64, u64, i64)> {
    let length = |value: &Value| {
        u64::try_from(value.to_int()?).map_err(|_| Trouble::here("rows and columns are numbers from 0 up"))
    };
    let rows = arguments.need("rows", length)?;
    let columns = arguments.read("columns", length)?.unwrap_or(rows);
    Ok((rows, columns, arguments.read("k", Value::to_int)?.unwrap_or(0)))
}
