//! A row of a table of functions.
//!
//! Called by the tables beside this file.

use crate::expression::arguments::Arguments;
use crate::expression::error::Outcome;
use crate::expression::value::Value;

/// What a call builds.
pub(super) type Build = fn(&Arguments) -> Outcome<Value>;

/// A function that `eval` knows, besides those of the kernels' table.
pub(super) struct Entry {
    /// Name and parameters, as users read them and as calls are bound.
    pub(super) signature: &'static str,
    pub(super) family: &'static str,
    pub(super) doc: &'static str,
    pub(super) call: Build,
}

impl Entry {
    /// What it is called by.
    pub(super) fn name(&self) -> &'static str {
        self.signature.split('(').next().unwrap_or("")
    }
}

/// A row.
pub(super) const fn entry(
    family: &'static str,
    signature: &'static str,
    doc: &'static str,
    call: Build,
) -> Entry {
    Entry { signature, family, doc, call }
}
