//! What is wrong with an expression, and where.
//!
//! Invariant: the column is one that the user can count: characters from 1. Called by every stage of an expression.

use blockwise_core::Fault;
use std::fmt;

/// Characters shown on each side of a fault.
const SHOWN_CHARS: usize = 60;

/// A fault in an expression.
///
/// ```
/// use blockwise::expression::Expression;
/// let error = Expression::parse("mean(x, axis=)").unwrap_err();
/// assert_eq!(error.column, 14);
/// assert_eq!(error.caret(), "mean(x, axis=)\n             ^");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// Where it is: characters from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
    /// What sort of failure it is.
    pub fault: Fault,
    /// The text around it, and the caret's distance from its start in characters.
    around: (String, usize),
}

impl ExpressionError {
    /// The fault of `trouble` in `text`.
    pub(super) fn new(text: &str, trouble: Trouble) -> Self {
        let at = trouble.at.unwrap_or(0).min(text.len());
        let before = text.get(..at).unwrap_or(text);
        let column = before.chars().count();
        let from = column.saturating_sub(SHOWN_CHARS);
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let shown = text.chars().skip(from).take(2 * SHOWN_CHARS).map(printable).collect();
        let (message, fault) = (trouble.message, trouble.fault);
        Self { column: column + 1, message, fault, around: (shown, column - from) }
    }

    /// The text around the fault, and below it a caret that points at it.
    #[must_use]
    pub fn caret(&self) -> String {
        format!("{}\n{}^", self.around.0, " ".repeat(self.around.1))
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} of the expression: {}", self.column, self.message)
    }
}

impl std::error::Error for ExpressionError {}

/// A fault whose place may not be known yet.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Bytes from the start of the text.
    at: Option<usize>,
    message: String,
    fault: Fault,
}

/// What the stages of an expression give.
pub(super) type Outcome<T> = Result<T, Trouble>;

impl Trouble {
    /// A fault at a byte of the text.
    pub(super) fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), fault: Fault::Usage }
    }

    /// A fault of what is under way, wherever that stands.
    pub(super) fn here(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), fault: Fault::Usage }
    }

    /// This fault, which is at `at` if nobody knew better.
    pub(super) fn or_at(self, at: usize) -> Self {
        Self { at: self.at.or(Some(at)), ..self }
    }
}

impl From<crate::Error> for Trouble {
    fn from(error: crate::Error) -> Self {
        Self { at: None, message: error.to_string(), fault: error.fault() }
    }
}

impl From<blockwise_core::Error> for Trouble {
    fn from(error: blockwise_core::Error) -> Self {
        Self { at: None, message: error.to_string(), fault: error.fault() }
    }
}
