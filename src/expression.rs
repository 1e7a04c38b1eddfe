//! Expressions of the command line's `eval`: a NumPy subset, parsed and turned into lazy arrays.
//!
//! Names, numbers, texts, Python's operators and precedence, slices, calls, methods; several statements
//! `NAME = EXPR; NAME = EXPR`, where later ones may use earlier ones. dtypes are NumPy 2's. Invariants: no text makes
//! it panic or recurse without bound; a fault names its column; evaluating reads no element but those of coordinates
//! that are grouped by, or that have to be compared because they meet others. Called by
//! [`crate::evaluate`] and the command line.
//!
//! ```
//! use blockwise::expression::Expression;
//! use blockwise_core::{Array, DType};
//! let x = Array::zeros(&[12, 90, 180], DType::F32)?.with_names(&["time", "lat", "lon"])?;
//! let expression = Expression::parse("anomaly = x - mean(x, 'time'); anomaly[::2, -5:]")?;
//! assert_eq!(expression.free_names(), ["x"]);
//! let results = expression.evaluate(&[("x".to_owned(), x.into())])?;
//! assert_eq!(results[1].value.array.shape(), [6, 5, 180]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aligned;
mod arguments;
mod error;
mod evaluator;
mod functions;
mod interpolation;
mod labelled;
mod lexer;
mod number;
mod parser;
mod points;
mod positions;
mod selection;
mod syntax;
mod value;

pub use error::ExpressionError;
pub use functions::{KnownFunction, functions};
pub use interpolation::{Between, Interpolation, Outside};
pub use labelled::{Coordinate, Labelled};
pub use selection::{Finding, Label, Labels, Match, Tolerance};

use error::Trouble;
use evaluator::Evaluator;
use syntax::{Item, Kind, Node, Statement};
use value::Value;

/// Bytes that the text of an expression may have.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    statements: Vec<Statement>,
}

/// The value of one statement.
#[derive(Clone, Debug)]
pub struct NamedResult {
    /// What the statement calls it; `None` for an expression alone.
    pub name: Option<String>,
    /// Its value.
    pub value: Labelled,
}

impl Expression {
    /// Parses a text.
    ///
    /// # Errors
    /// If it is no expression; the error names the column.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let parsed = if text.len() > MAX_TEXT_BYTES {
            Err(Trouble::at(0, format!("the expression has more than {MAX_TEXT_BYTES} bytes; split it")))
        } else {
            parser::parse(text)
        };
        let statements = parsed.map_err(|trouble| ExpressionError::new(text, trouble))?;
        Ok(Self { text: text.to_owned(), statements })
    }

    /// Whether `name` needs no input: NumPy, its constants and dtypes.
    pub(crate) fn is_known(name: &str) -> bool {
        matches!(name, "np" | "numpy" | "fft" | "linalg") || Evaluator::default().knows(name)
    }

    /// Names that no earlier statement gives, in order of first use. Some may be constants such as `pi`.
    #[must_use]
    pub fn free_names(&self) -> Vec<&str> {
        let (mut free, mut bound): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for statement in &self.statements {
            visit(&statement.value, &mut |name| {
                if !bound.contains(&name) && !free.contains(&name) {
                    free.push(name);
                }
            });
            bound.extend(statement.target.as_deref());
        }
        free
    }

    /// The values of the statements, in order.
    ///
    /// # Errors
    /// If a name is not known, or a function does not take what it is given; the error names the column.
    pub fn evaluate(&self, inputs: &[(String, Labelled)]) -> Result<Vec<NamedResult>, ExpressionError> {
        let mut evaluator = Evaluator::default();
        for (name, array) in inputs {
            evaluator.define(name, Value::Array(array.clone()));
        }
        let mut results = Vec::with_capacity(self.statements.len());
        for Statement { target, value: node } in &self.statements {
            let value = evaluator.value(node);
            let array = value.and_then(|value| Ok((value.to_array().map_err(|t| t.or_at(node.at))?, value)));
            let (value, kept) = array.map_err(|trouble| ExpressionError::new(&self.text, trouble))?;
            if let Some(name) = target {
                evaluator.define(name, kept);
            }
            results.push(NamedResult { name: target.clone(), value });
        }
        Ok(results)
    }
}

/// Calls `note` with every name that a tree reads.
fn visit<'a>(node: &'a Node, note: &mut impl FnMut(&'a str)) {
    match &node.kind {
        Kind::Name(name) => note(name),
        Kind::Number(_) | Kind::Text(_) | Kind::Nothing | Kind::Ellipsis => {}
        Kind::List(items) => items.iter().for_each(|item| visit(item, note)),
        Kind::Unary(_, operand) | Kind::Attribute(operand, _) => visit(operand, note),
        Kind::Binary(_, operands) => {
            visit(&operands.0, note);
            visit(&operands.1, note);
        }
        Kind::Call(callee, arguments) => {
            if let Kind::Attribute(of, _) = &callee.kind {
                visit(of, note);
            }
            arguments.iter().for_each(|argument| visit(&argument.value, note));
        }
        Kind::Subscript(of, items) => {
            visit(of, note);
            for item in items {
                match item {
                    Item::Value(node) => visit(node, note),
                    Item::Slice(bounds) => bounds.iter().flatten().for_each(|bound| visit(bound, note)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
