//! The one table of what `eval` knows: name, signature, family, documentation line, and what a call builds.
//!
//! Elementwise functions come from the kernels' table, reductions from core's list; the rest stands in [`entry`]
//! tables by subject. Invariant: everything that can be called is listed, and nothing else. Called by the evaluator,
//! `arrayctl functions` and the page in `docs/`.

mod counting;
mod creation;
pub(super) mod elementwise;
mod entry;
mod filters;
mod fourier;
mod geometry;
mod groups;
mod images;
mod interpolation;
mod joining;
pub(super) mod linear;
mod order;
mod reductions;
mod relations;
pub(super) mod selection;
mod shape;
mod statistics;

use super::arguments::{Arguments, Given};
use super::error::{Outcome, Trouble};
use super::labelled::Labelled;
use super::value::{Value, dtype_named};
use blockwise_kernels::function::{Family, Function};
use entry::Entry;

/// Other names of NumPy for the same functions.
const ALIASES: [(&str, &str); 30] = [
    ("abs", "absolute"),
    ("acos", "arccos"),
    ("acosh", "arccosh"),
    ("amax", "max"),
    ("amin", "min"),
    ("around", "round"),
    ("asin", "arcsin"),
    ("asinh", "arcsinh"),
    ("atan", "arctan"),
    ("atan2", "arctan2"),
    ("atanh", "arctanh"),
    ("bitwise_invert", "invert"),
    ("bitwise_left_shift", "left_shift"),
    ("bitwise_not", "invert"),
    ("bitwise_right_shift", "right_shift"),
    ("concat", "concatenate"),
    ("conj", "conjugate"),
    ("degrees", "rad2deg"),
    ("divide", "true_divide"),
    ("flatten", "ravel"),
    ("fix", "trunc"),
    ("mod", "remainder"),
    ("nanamax", "nanmax"),
    ("nanamin", "nanmin"),
    ("permute_dims", "transpose"),
    ("pow", "power"),
    ("radians", "deg2rad"),
    ("asarray", "array"),
    ("moveaxes", "moveaxis"),
    ("round_", "round"),
];

/// A function that `eval` knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFunction {
    /// NumPy's name, where NumPy has it.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: Vec<&'static str>,
    /// Its parameters, with defaults.
    pub signature: String,
    /// The group it is listed in.
    pub family: String,
    /// One line for users.
    pub doc: String,
}

/// Every function that `eval` knows, by family and name.
///
/// ```
/// let known = blockwise::expression::functions();
/// let hypot = known.iter().find(|function| function.name == "hypot").unwrap();
/// assert_eq!(hypot.signature, "hypot(x1, x2)");
/// ```
#[must_use]
pub fn functions() -> Vec<KnownFunction> {
    let known = |name: &'static str, signature: &str, family: String, doc: &str| KnownFunction {
        name,
        aliases: ALIASES.iter().filter(|(_, of)| *of == name).map(|(alias, _)| *alias).collect(),
        signature: signature.to_owned(),
        family,
        doc: doc.to_owned(),
    };
    let mut all: Vec<KnownFunction> = elementwise::all()
        .map(|function| {
            known(function.name, elementwise::signature(function), family(function.family), function.doc)
        })
        .collect();
    all.extend(
        entries().map(|entry| known(entry.name(), entry.signature, entry.family.to_owned(), entry.doc)),
    );
    all.sort_by(|a, b| (&a.family, a.name).cmp(&(&b.family, b.name)));
    all
}

fn family(family: Family) -> String {
    format!("elementwise: {family}")
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    let tables =
        [reductions::TABLE, statistics::TABLE, shape::TABLE, joining::TABLE, creation::TABLE, filters::TABLE];
    let others = [
        fourier::TABLE,
        order::TABLE,
        linear::TABLE,
        counting::TABLE,
        groups::TABLE,
        elementwise::TABLE,
        images::TABLE,
        geometry::TABLE,
        selection::TABLE,
        interpolation::TABLE,
        relations::TABLE,
    ];
    tables.into_iter().chain(others).flatten()
}

fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, of)| of)
}

/// The signature of the function of a name; `None` if there is none.
pub(super) fn signature(name: &str) -> Option<&'static str> {
    let name = canonical(name);
    let entry = entries().find(|entry| entry.name() == name).map(|entry| entry.signature);
    entry.or_else(|| elementwise::named(name).map(elementwise::signature))
}

/// What a call of the function `name` builds.
pub(super) fn call(name: &str, positional: Vec<Given>, named: Vec<(String, Given)>) -> Outcome<Value> {
    match positional.first().map(|given| &given.value) {
        Some(Value::Groups(of)) => {
            let of = of.clone();
            return groups::method(name, &of, positional.into_iter().skip(1).collect(), named);
        }
        Some(Value::Weighted(of)) => {
            let of = of.clone();
            return groups::weighted_method(name, &of, positional.into_iter().skip(1).collect(), named);
        }
        _ => {}
    }
    let name = canonical(name);
    if let Some(entry) = entries().find(|entry| entry.name() == name) {
        let arguments = Arguments::bind(entry.name(), entry.signature, positional, named)?;
        return (entry.call)(&arguments);
    }
    if let Some(function) = elementwise::named(name) {
        let arguments = Arguments::bind(function.name, elementwise::signature(function), positional, named)?;
        let operands: Vec<Value> = (1..=function.arity)
            .map(|n| arguments.value(if function.arity == 1 { "x" } else { elementwise::PARAMETERS[n - 1] }))
            .collect();
        return elementwise::elementwise(function, &operands);
    }
    if let Some(dtype) = dtype_named(name).filter(|_| name.len() > 2) {
        let arguments = Arguments::bind("a dtype", "dtype(x)", positional, named)?;
        let array = arguments.array("x")?;
        return Ok(array.with(array.array.astype(dtype)).into());
    }
    Err(Trouble::here(format!("there is no function '{name}'{}", similar(name))))
}

/// What the user may have meant.
fn similar(name: &str) -> String {
    let lower = name.to_lowercase();
    let is_close =
        |known: &&'static str| known.contains(lower.as_str()) || lower.contains(*known) && known.len() > 2;
    let names = || elementwise::all().map(|function| function.name).chain(entries().map(Entry::name));
    // What is written nearly so comes before what holds the name, or is a part of it.
    let edits = (lower.chars().count() / 3).min(2);
    let mut close: Vec<(usize, &str)> = names().map(|known| (distance(&lower, known), known)).collect();
    close.retain(|(distance, _)| *distance <= edits);
    close.sort_unstable();
    let mut close: Vec<&str> = close.into_iter().map(|(_, known)| known).collect();
    let others: Vec<&str> = names().filter(is_close).filter(|known| !close.contains(known)).collect();
    close.extend(others);
    close.truncate(6);
    if close.is_empty() {
        "; `arrayctl functions` lists those there are".to_owned()
    } else {
        format!("; do you mean {}?", close.join(", "))
    }
}

/// How many characters must be added, taken out or replaced to make `b` of `a`: Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let other: Vec<char> = b.chars().collect();
    // Distances of what was read of `a` from the beginnings of `b`.
    let mut row: Vec<usize> = (1..=other.len()).collect();
    for (at, own) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (at, at + 1);
        for (slot, character) in row.iter_mut().zip(&other) {
            let replaced = diagonal + usize::from(own != *character);
            diagonal = *slot;
            left = replaced.min(diagonal + 1).min(left + 1);
            *slot = left;
        }
    }
    row.last().copied().unwrap_or(a.chars().count())
}

/// The elementwise function of a NumPy name, which is known to be there.
fn apply(name: &str, operands: &[Value]) -> Outcome<Labelled> {
    let function = Function::named(name).ok_or_else(|| Trouble::here(format!("there is no {name}")))?;
    match elementwise::elementwise(function, operands)? {
        Value::Array(array) => Ok(array),
        other => other.to_array(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_aliases_lead_somewhere() {
        let all = functions();
        for known in &all {
            let twins = all.iter().filter(|other| other.name == known.name).count();
            assert_eq!(twins, 1, "{}", known.name);
            assert!(known.signature.starts_with(known.name) && !known.doc.is_empty(), "{known:?}");
            assert!(signature(known.name).is_some());
        }
        for (alias, of) in ALIASES {
            assert!(all.iter().any(|known| known.name == of), "{alias} is {of}, which is not there");
            assert!(all.iter().all(|known| known.name != alias), "{alias} is a name of its own");
        }
    }
}
