//! What parts of an expression stand for: arrays, plain numbers, texts, dtypes, lists.
//!
//! Invariant: a plain number stays plain (weak beside arrays) until a function makes an array of it. Called by the
//! evaluator and the functions.

use super::error::{Outcome, Trouble};
use super::labelled::Labelled;
use super::number::Number;
use crate::group::{Grouped, Weighted};
use blockwise_core::array::{Axes, Axis};
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid};
use blockwise_kernels::{DType, Element};
use num_complex::Complex;
use std::sync::Arc;

/// Elements that a list written in an expression may hold.
const MAX_LIST: usize = 100_000;

/// A value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Array(Labelled),
    Number(Number),
    Text(String),
    DType(DType),
    Nothing,
    Ellipsis,
    List(Vec<Self>),
    /// Start, stop and step.
    Slice(Box<[Self; 3]>),
    Groups(Box<Grouped>),
    Weighted(Box<Weighted>),
}

impl From<Labelled> for Value {
    fn from(array: Labelled) -> Self {
        Self::Array(array)
    }
}

impl Value {
    /// What people call it.
    pub(super) const fn shown(&self) -> &'static str {
        match self {
            Self::Array(_) => "an array",
            Self::Number(Number::Bool(_)) => "a truth value",
            Self::Number(Number::Int(_)) => "an integer",
            Self::Number(Number::Float(_)) => "a float",
            Self::Number(Number::Complex(_)) => "a complex number",
            Self::Text(_) => "a text",
            Self::DType(_) => "a dtype",
            Self::Nothing => "None",
            Self::Ellipsis => "...",
            Self::List(_) => "a list",
            Self::Slice(_) => "a slice",
            Self::Groups(_) => "groups",
            Self::Weighted(_) => "a weighted array",
        }
    }

    /// The value as an array; plain numbers and lists of them become arrays.
    pub(super) fn to_array(&self) -> Outcome<Labelled> {
        match self {
            Self::Array(array) => Ok(array.clone()),
            Self::Number(number) => Ok(Array::full(&[], number.scalar()?)?.into()),
            Self::List(_) => {
                let (mut shape, mut numbers) = (Vec::new(), Vec::new());
                self.flatten(0, &mut shape, &mut numbers)?;
                Ok(array_of(&shape, &numbers, None)?.into())
            }
            Self::Groups(_) | Self::Weighted(_) => {
                let what = format!("{} must be reduced first, as with .mean()", self.shown());
                Err(Trouble::here(what))
            }
            other => {
                Err(Trouble::here(format!("an array or a number is wanted here, not {}", other.shown())))
            }
        }
    }

    /// The value as an array of `dtype`.
    ///
    /// # Errors
    /// As NumPy's: of plain numbers that `dtype` cannot hold, see [`Number::check_fits`].
    pub(super) fn to_array_of(&self, dtype: DType) -> Outcome<Labelled> {
        let array = match self {
            Self::Number(number) => return Ok(Array::full(&[], number.scalar_of(dtype)?)?.into()),
            Self::List(_) => {
                let (mut shape, mut numbers) = (Vec::new(), Vec::new());
                self.flatten(0, &mut shape, &mut numbers)?;
                numbers.iter().try_for_each(|number| number.check_fits(dtype))?;
                array_of(&shape, &numbers, Some(dtype))?.into()
            }
            _ => self.to_array()?,
        };
        Ok(array.with(array.array.astype(dtype)))
    }

    /// The positions that a list of truth values picks of `length` elements; `None` if it is no such list.
    ///
    /// # Errors
    /// If there are not as many truth values.
    pub(super) fn picked(&self, length: u64) -> Outcome<Option<Vec<i64>>> {
        let Self::List(items) = self else { return Ok(None) };
        let truths: Option<Vec<bool>> = items.iter().map(|item| item.to_flag().ok()).collect();
        let Some(truths) = truths.filter(|truths| !truths.is_empty()) else { return Ok(None) };
        if truths.len() as u64 != length {
            let what = format!("a list of {} truth values cannot pick from {length} elements", truths.len());
            return Err(Trouble::here(what));
        }
        Ok(Some((0_i64..).zip(truths).filter_map(|(at, truth)| truth.then_some(at)).collect()))
    }

    /// The numbers of nested lists in C order, and their shape.
    fn flatten(&self, depth: usize, shape: &mut Vec<u64>, numbers: &mut Vec<Number>) -> Outcome<()> {
        match self {
            Self::Number(number) if depth == shape.len() => numbers.push(*number),
            Self::List(items) => {
                let length = items.len() as u64;
                if depth == shape.len() && numbers.is_empty() {
                    shape.push(length);
                }
                if shape.get(depth) != Some(&length)
                    || shape.len() > 32
                    || numbers.len() + items.len() > MAX_LIST
                {
                    return Err(Trouble::here("the lists in this list differ in length, or are too long"));
                }
                for item in items {
                    item.flatten(depth + 1, shape, numbers)?;
                }
            }
            other => {
                return Err(Trouble::here(format!(
                    "a list of numbers is wanted here; it holds {}",
                    other.shown()
                )));
            }
        }
        Ok(())
    }

    /// The value as an integer.
    pub(super) fn to_int(&self) -> Outcome<i64> {
        let whole = match self {
            Self::Number(number) => number.integer(),
            _ => None,
        };
        let whole =
            whole.ok_or_else(|| Trouble::here(format!("an integer is wanted here, not {}", self.shown())))?;
        i64::try_from(whole).map_err(|_| Trouble::here(format!("{whole} is more than 64 bits can count")))
    }

    /// The value as a real number.
    pub(super) fn to_real(&self) -> Outcome<f64> {
        match self {
            Self::Number(number) => number.real(),
            _ => None,
        }
        .ok_or_else(|| Trouble::here(format!("a real number is wanted here, not {}", self.shown())))
    }

    /// The value as a truth value.
    pub(super) fn to_flag(&self) -> Outcome<bool> {
        match self {
            Self::Number(Number::Bool(truth)) => Ok(*truth),
            other => Err(Trouble::here(format!("True or False is wanted here, not {}", other.shown()))),
        }
    }

    /// The value as a text.
    pub(super) fn to_text(&self) -> Outcome<&str> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(Trouble::here(format!("a text is wanted here, not {}", other.shown()))),
        }
    }

    /// The value as a dtype: a name, or the name as a text.
    pub(super) fn to_dtype(&self) -> Outcome<DType> {
        match self {
            Self::DType(dtype) => Ok(*dtype),
            Self::Text(name) => dtype_named(name)
                .ok_or_else(|| Trouble::here(format!("'{name}' is no dtype; write one such as \"float32\""))),
            other => Err(Trouble::here(format!(
                "a dtype such as \"float32\" is wanted here, not {}",
                other.shown()
            ))),
        }
    }

    /// The value as one axis: a position or a dimension name.
    pub(super) fn to_axis(&self) -> Outcome<Axis> {
        match self {
            Self::Text(name) => Ok(Axis::Name(name.clone())),
            Self::Number(_) => Ok(Axis::Index(self.to_int()?)),
            other => Err(Trouble::here(format!(
                "an axis is a position or a dimension name such as \"time\", not {}",
                other.shown()
            ))),
        }
    }

    /// The value as axes: `None` for all, one, or several in brackets.
    pub(super) fn to_axes(&self) -> Outcome<Axes> {
        match self {
            Self::Nothing => Ok(Axes::All),
            Self::List(items) => Ok(Axes::List(items.iter().map(Self::to_axis).collect::<Outcome<_>>()?)),
            one => Ok(Axes::List(vec![one.to_axis()?])),
        }
    }

    /// The value as integers: one, or several in brackets.
    pub(super) fn to_ints(&self) -> Outcome<Vec<i64>> {
        match self {
            Self::List(items) => items.iter().map(Self::to_int).collect(),
            one => Ok(vec![one.to_int()?]),
        }
    }

    /// The value as a shape.
    pub(super) fn to_shape(&self) -> Outcome<Vec<u64>> {
        let lengths = self.to_ints()?;
        let length = |n: &i64| {
            u64::try_from(*n).map_err(|_| Trouble::here(format!("an axis cannot have {n} elements")))
        };
        lengths.iter().map(length).collect()
    }
}

/// The dtype that Python or NumPy calls `name`.
pub(super) fn dtype_named(name: &str) -> Option<DType> {
    match name {
        "float" => Some(DType::F64),
        "int" => Some(DType::I64),
        "complex" => Some(DType::C128),
        "bool_" => Some(DType::Bool),
        "half" => Some(DType::F16),
        "single" => Some(DType::F32),
        "double" => Some(DType::F64),
        _ => name.parse().ok(),
    }
}

/// An array of plain numbers, of the dtype that NumPy gives them; of integers beyond 63 bits as exact as `wanted` calls for.
fn array_of(shape: &[u64], numbers: &[Number], wanted: Option<DType>) -> Outcome<Array> {
    let any = |wanted: fn(&Number) -> bool| numbers.iter().any(wanted);
    if any(|number| matches!(number, Number::Complex(_))) {
        let whole = |number: &Number| match number {
            Number::Complex(complex) => *complex,
            real => real.real().unwrap_or(f64::NAN).into(),
        };
        let elements: Vec<Complex<f64>> = numbers.iter().map(whole).collect();
        return held(shape, &elements);
    }
    if numbers.is_empty() || any(|number| matches!(number, Number::Float(_))) {
        let elements: Vec<f64> = numbers.iter().filter_map(|number| number.real()).collect();
        return held(shape, &elements);
    }
    if numbers.iter().all(|number| matches!(number, Number::Bool(_))) {
        let elements: Vec<bool> = numbers.iter().map(|number| *number == Number::Bool(true)).collect();
        return held(shape, &elements);
    }
    let long: Option<Vec<u64>> =
        numbers.iter().map(|number| number.integer().and_then(|whole| u64::try_from(whole).ok())).collect();
    let is_long = |whole: &u64| i64::try_from(*whole).is_err();
    if let Some(elements) = long.filter(|elements| elements.iter().any(is_long)) {
        if wanted == Some(DType::U64) || elements.iter().all(is_long) {
            return held(shape, &elements);
        }
        // Beside numbers of 63 bits those of 64 are floats, as int64 beside uint64.
        let elements: Vec<f64> = numbers.iter().filter_map(|number| number.real()).collect();
        return held(shape, &elements);
    }
    let int = |number: &Number| Value::Number(*number).to_int();
    let elements: Vec<i64> = numbers.iter().map(int).collect::<Outcome<_>>()?;
    held(shape, &elements)
}

fn held<T: Element>(shape: &[u64], elements: &[T]) -> Outcome<Array> {
    let grid = ChunkGrid::single(shape)?;
    Ok(Array::from_source(Arc::new(MemoryArray::from_elements("a list", grid, elements)?)))
}
