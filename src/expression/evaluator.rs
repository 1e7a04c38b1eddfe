//! Walks trees and builds lazy arrays: names, operators, indices, attributes, calls.
//!
//! Invariant: nothing is computed here: a statement costs the graph it builds. Called by
//! [`super::Expression::evaluate`].

use super::arguments::Given;
use super::error::{Outcome, Trouble};
use super::functions;
use super::functions::elementwise::elementwise;
use super::number::Number;
use super::positions::Taken;
use super::syntax::{Argument, Binary, Item, Kind, Node, Unary};
use super::value::{Value, dtype_named};
use blockwise_core::array::Index;
use blockwise_kernels::DType;
use blockwise_kernels::function::Function;
use std::collections::HashMap;
use std::f64::consts;

/// The names that are known so far.
#[derive(Default)]
pub(super) struct Evaluator {
    names: HashMap<String, Value>,
}

impl Evaluator {
    /// Makes `name` known; a later one of the same name hides it.
    pub(super) fn define(&mut self, name: &str, value: Value) {
        self.names.insert(name.to_owned(), value);
    }

    /// Whether `name` stands for something.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.constant(name).is_ok()
    }

    /// What a tree stands for.
    pub(super) fn value(&self, node: &Node) -> Outcome<Value> {
        let value = match &node.kind {
            Kind::Number(number) => Ok(Value::Number(*number)),
            Kind::Text(text) => Ok(Value::Text(text.clone())),
            Kind::Nothing => Ok(Value::Nothing),
            Kind::Ellipsis => Ok(Value::Ellipsis),
            Kind::List(items) => {
                items.iter().map(|item| self.value(item)).collect::<Outcome<_>>().map(Value::List)
            }
            Kind::Name(name) => self.name(name),
            Kind::Unary(operator, operand) => unary(*operator, self.value(operand)?),
            Kind::Binary(operator, operands) => {
                binary(*operator, self.value(&operands.0)?, self.value(&operands.1)?)
            }
            Kind::Attribute(of, name) if self.is_numpy(of) => self.constant(name),
            Kind::Attribute(of, name) => attribute(self.value(of)?, name),
            Kind::Call(callee, arguments) => self.call(callee, arguments),
            Kind::Subscript(of, items) => self.subscript(self.value(of)?, items),
        };
        value.map_err(|trouble| trouble.or_at(node.at))
    }

    fn name(&self, name: &str) -> Outcome<Value> {
        if let Some(value) = self.names.get(name) {
            return Ok(value.clone());
        }
        self.constant(name).map_err(|trouble| {
            if functions::signature(name).is_some() {
                return Trouble::here(format!("'{name}' is a function; call it, as in {name}(x)"));
            }
            let mut known: Vec<&str> = self.names.keys().map(String::as_str).collect();
            if known.is_empty() {
                return trouble;
            }
            known.sort_unstable();
            Trouble::here(format!("there is no '{name}'; there are {}", known.join(", ")))
        })
    }

    /// What a name of NumPy stands for.
    fn constant(&self, name: &str) -> Outcome<Value> {
        Ok(match name {
            "pi" => Value::Number(Number::Float(consts::PI)),
            "e" => Value::Number(Number::Float(consts::E)),
            "inf" => Value::Number(Number::Float(f64::INFINITY)),
            "nan" => Value::Number(Number::Float(f64::NAN)),
            "newaxis" => Value::Nothing,
            _ => match dtype_named(name) {
                // Rust's and NumPy's short codes are for options; here they would hide faults.
                Some(dtype) if name.len() > 2 => Value::DType(dtype),
                _ => {
                    return Err(Trouble::here(format!(
                        "there is no '{name}'; name an input with -i {name}=PATH"
                    )));
                }
            },
        })
    }

    /// Whether a tree is the name that people give NumPy, or one of its modules: `np`, `np.fft`, `fft`.
    fn is_numpy(&self, node: &Node) -> bool {
        let is_module = |name: &str| matches!(name, "fft" | "linalg");
        match &node.kind {
            Kind::Name(name) => {
                (is_module(name) || matches!(name.as_str(), "np" | "numpy")) && !self.names.contains_key(name)
            }
            Kind::Attribute(of, name) => is_module(name) && self.is_numpy(of),
            _ => false,
        }
    }

    fn call(&self, callee: &Node, arguments: &[Argument]) -> Outcome<Value> {
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        let (name, at) = match &callee.kind {
            Kind::Name(name) if self.names.contains_key(name) => {
                return Err(Trouble::at(callee.at, format!("'{name}' is an array, not a function")));
            }
            Kind::Name(name) => (name, callee.at),
            Kind::Attribute(of, name) => {
                if !self.is_numpy(of) {
                    positional.push(Given { value: self.value(of)?, at: of.at });
                }
                (name, callee.at)
            }
            _ => return Err(Trouble::at(callee.at, "only functions can be called")),
        };
        for argument in arguments {
            let given = Given { value: self.value(&argument.value)?, at: argument.at };
            match &argument.keyword {
                Some(keyword) => named.push((keyword.clone(), given)),
                None => positional.push(given),
            }
        }
        functions::call(name, positional, named).map_err(|trouble| trouble.or_at(at))
    }

    fn subscript(&self, of: Value, items: &[Item]) -> Outcome<Value> {
        let array = match of {
            Value::Array(array) => array,
            Value::List(values) => return self.item_of_list(&values, items),
            other => return Err(Trouble::here(format!("{} cannot be indexed", other.shown()))),
        };
        let mut indices = Vec::with_capacity(items.len());
        // Lists, the items that they are, and where those stand.
        let mut listed: Vec<(Value, usize, usize)> = Vec::new();
        for item in items {
            let node = match item {
                Item::Slice(bounds) => {
                    let [start, stop, step] = &**bounds;
                    let (start, stop, step) = (self.bound(start)?, self.bound(stop)?, self.bound(step)?);
                    indices.push(Index::Slice { start, stop, step: step.unwrap_or(1) });
                    continue;
                }
                Item::Value(node) => node,
            };
            match self.value(node)? {
                Value::Nothing => indices.push(Index::NewAxis),
                Value::Ellipsis => indices.push(Index::Ellipsis),
                value @ Value::Number(Number::Int(_)) => indices.push(Index::At(value.to_int()?)),
                Value::Slice(bounds) => {
                    let slice = functions::selection::positions(&bounds);
                    indices.push(slice.map_err(|trouble| trouble.or_at(node.at))?);
                }
                value @ Value::List(_) => {
                    listed.push((value, indices.len(), node.at));
                    indices.push(Index::from(..));
                }
                Value::Array(mask) if mask.array.dtype() == DType::Bool => {
                    // Shapes are settled before anything is read.
                    let what = "only the data tell how many elements a mask picks; keep the shape with where(mask, x, nan), and reduce with nanmean and the like";
                    return Err(Trouble::at(node.at, what));
                }
                other => {
                    let what = format!(
                        "an index is an integer, a slice, None, ... or a list of integers, not {}",
                        other.shown()
                    );
                    return Err(Trouble::at(node.at, what));
                }
            }
        }
        let indexed = array.index(&indices)?;
        let Some((_, first, at)) = listed.first() else { return Ok(indexed.into()) };
        if indices.iter().any(|index| matches!(index, Index::At(_))) {
            return Err(Trouble::at(
                *at,
                "a list of positions stands beside slices only; index twice instead",
            ));
        }
        let used = indices.iter().filter(|index| matches!(index, Index::Slice { .. })).count();
        let along = |index: &Index| match index {
            Index::Ellipsis => array.array.rank().saturating_sub(used),
            _ => 1,
        };
        let axis_of = |item: usize| indices.iter().take(item).map(along).sum::<usize>();
        let axes: Vec<usize> = listed.iter().map(|(_, item, _)| axis_of(*item)).collect();
        let shape = indexed.array.shape();
        let positions = |((list, _, at), axis): (&(Value, usize, usize), &usize)| {
            let length = shape.get(*axis).copied().unwrap_or(0);
            let found = list.picked(length).and_then(|picked| picked.map_or_else(|| list.to_ints(), Ok));
            found.map_err(|trouble| trouble.or_at(*at))
        };
        let lists = listed.iter().zip(&axes).map(positions).collect::<Outcome<Vec<Vec<i64>>>>()?;
        if let [positions] = lists.as_slice() {
            let taken = indexed.taken(axis_of(*first), &Taken::At(positions.clone()));
            return Ok(taken.map_err(|error| Trouble::from(error).or_at(*at))?.into());
        }
        // Point by point, as NumPy: lists of one position go with all. The points are where the lists were, if those
        // stand side by side, else in front.
        let count = lists.iter().map(Vec::len).find(|length| *length != 1).unwrap_or(1);
        let lists: Vec<Vec<i64>> = lists
            .iter()
            .map(|list| if let [only] = list.as_slice() { vec![*only; count] } else { list.clone() })
            .collect();
        let lists: Vec<&[i64]> = lists.iter().map(Vec::as_slice).collect();
        let picked = indexed.array.vindex(axes.as_slice(), &lists);
        let mut picked = picked.map_err(|error| Trouble::from(error).or_at(*at))?;
        if listed.iter().zip(*first..).all(|((_, item, _), wanted)| *item == wanted) {
            picked = picked.move_axis(0, axis_of(*first) as i64)?;
        }
        Ok(indexed.moved(picked, &axes).into())
    }

    fn item_of_list(&self, values: &[Value], items: &[Item]) -> Outcome<Value> {
        let [Item::Value(node)] = items else {
            return Err(Trouble::here("a list is indexed by one integer"));
        };
        let at = self.value(node)?.to_int()?;
        let found = if at < 0 {
            usize::try_from(at.unsigned_abs()).ok().and_then(|back| values.len().checked_sub(back))
        } else {
            usize::try_from(at).ok()
        };
        let outside = || Trouble::at(node.at, format!("position {at} is outside a list of {}", values.len()));
        found.and_then(|at| values.get(at)).cloned().ok_or_else(outside)
    }

    /// A bound of a slice.
    fn bound(&self, node: &Option<Node>) -> Outcome<Option<i64>> {
        let Some(node) = node else { return Ok(None) };
        match self.value(node)? {
            Value::Nothing => Ok(None),
            value => value.to_int().map(Some).map_err(|trouble| trouble.or_at(node.at)),
        }
    }
}

fn unary(operator: Unary, operand: Value) -> Outcome<Value> {
    match operand {
        Value::Number(number) => number.unary(operator).map(Value::Number),
        other => apply(operator.function(), &[other]),
    }
}

fn binary(operator: Binary, left: Value, right: Value) -> Outcome<Value> {
    match (&left, &right) {
        (Value::Number(a), Value::Number(b)) => a.binary(operator, *b).map(Value::Number),
        (Value::Groups(groups), Value::Array(of_groups)) => {
            Ok(groups.with_each(operator.function(), of_groups)?.into())
        }
        (Value::Array(_), _) | (_, Value::Array(_)) if operator == Binary::Product => {
            functions::linear::matmul(&left.to_array()?, &right.to_array()?)
        }
        (Value::Array(_), _) | (_, Value::Array(_)) => apply(operator.function(), &[left, right]),
        _ => Err(Trouble::here(format!(
            "{} is for arrays and numbers, not {} and {}",
            operator.symbol(),
            left.shown(),
            right.shown()
        ))),
    }
}

fn apply(name: &str, operands: &[Value]) -> Outcome<Value> {
    let function = Function::named(name);
    elementwise(function.ok_or_else(|| Trouble::here(format!("there is no {name}")))?, operands)
}

/// What `value.name` stands for where it is not called.
fn attribute(value: Value, name: &str) -> Outcome<Value> {
    let int = |number: u64| Value::Number(Number::Int(number.into()));
    match name {
        "T" | "real" | "imag" => {
            let function = if name == "T" { "transpose" } else { name };
            functions::call(function, vec![Given { value, at: 0 }], Vec::new())
        }
        "shape" => Ok(Value::List(value.to_array()?.array.shape().into_iter().map(int).collect())),
        "ndim" => Ok(int(value.to_array()?.array.rank() as u64)),
        "size" => Ok(int(value.to_array()?.array.shape().iter().fold(1, |a, b| a.saturating_mul(*b)))),
        "dtype" => Ok(Value::DType(value.to_array()?.array.dtype())),
        _ if functions::signature(name).is_some() => {
            Err(Trouble::here(format!("'{name}' is a method; call it, as in .{name}()")))
        }
        _ => Err(Trouble::here(format!(
            "there is no attribute '{name}'; there are T, real, imag, shape, ndim, size, dtype"
        ))),
    }
}
