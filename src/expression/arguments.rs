//! Arguments of a call, bound to the parameters that a function's signature names.
//!
//! Invariant: the signature that users read is the one that binds: `name(x, axis=None, *rest, **named)`. Called by the
//! evaluator (binds) and the functions (read).

use super::error::{Outcome, Trouble};
use super::labelled::Labelled;
use super::value::Value;

/// A value and where its argument stands.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) at: usize,
}

/// The arguments of one call, by parameter.
pub(super) struct Arguments {
    /// The function's name as it was called.
    pub(super) function: &'static str,
    parameters: Vec<(&'static str, Option<Given>)>,
    /// What a parameter with a star took.
    pub(super) rest: Vec<Given>,
    /// What a parameter with two stars took: all that is given by other names.
    pub(super) by_name: Vec<(String, Given)>,
}

/// The parameters of a signature: name, and whether one must be given.
fn parameters(signature: &'static str) -> impl Iterator<Item = (&'static str, bool)> {
    let (_, inside) = signature.split_once('(').unwrap_or(("", ""));
    let inside = inside.rsplit_once(')').map_or("", |(inside, _)| inside);
    inside.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()).map(|parameter| {
        parameter.split_once('=').map_or((parameter, true), |(name, _)| (name.trim(), false))
    })
}

impl Arguments {
    /// Binds what a call gives to the parameters of `signature`.
    pub(super) fn bind(
        function: &'static str,
        signature: &'static str,
        positional: Vec<Given>,
        named: Vec<(String, Given)>,
    ) -> Outcome<Self> {
        let refuse = |at: usize, what: &str| Err(Trouble::at(at, format!("{what}; it is {signature}")));
        let mut bound = Self { function, parameters: Vec::new(), rest: Vec::new(), by_name: Vec::new() };
        let mut positional = positional.into_iter();
        let (mut named, takes_any_name) =
            (named, parameters(signature).any(|(name, _)| name.starts_with("**")));
        for (name, required) in parameters(signature) {
            if name.starts_with("**") {
                bound.by_name.append(&mut named);
                continue;
            }
            if let Some(rest) = name.strip_prefix('*') {
                bound.parameters.push((rest, None));
                bound.rest.extend(positional.by_ref());
                continue;
            }
            let by_position = positional.next();
            // A dimension may be called as a parameter that is given by its place: isel(t, x=3).
            if by_position.is_some() && takes_any_name {
                bound.parameters.push((name, by_position));
                continue;
            }
            let by_name = named.iter().position(|(keyword, _)| keyword == name).map(|at| named.remove(at).1);
            let given = match (by_position, by_name) {
                (Some(_), Some(twice)) => return refuse(twice.at, &format!("{name} is given twice")),
                (first, second) => first.or(second),
            };
            if given.is_none() && required {
                return Err(Trouble::here(format!("{name} is missing; it is {signature}")));
            }
            bound.parameters.push((name, given));
        }
        if let Some(extra) = positional.next() {
            return refuse(extra.at, &format!("{function} takes fewer arguments"));
        }
        if let Some((keyword, given)) = named.first() {
            return refuse(given.at, &format!("{function} has no argument '{keyword}'"));
        }
        Ok(bound)
    }

    /// What was given for `name`, unless nothing was or it is `None`.
    pub(super) fn given(&self, name: &str) -> Option<&Given> {
        let (_, given) = self.parameters.iter().find(|(own, _)| *own == name)?;
        given.as_ref().filter(|given| !matches!(given.value, Value::Nothing))
    }

    /// Whether `None` was given for `name` in so many words.
    pub(super) fn is_none(&self, name: &str) -> bool {
        let is_none = |given: &Given| matches!(given.value, Value::Nothing);
        self.parameters.iter().any(|(own, given)| *own == name && given.as_ref().is_some_and(is_none))
    }

    /// What was given for `name`, as `read` reads it.
    pub(super) fn read<T>(&self, name: &str, read: impl Fn(&Value) -> Outcome<T>) -> Outcome<Option<T>> {
        self.given(name)
            .map(|given| read(&given.value).map_err(|trouble| trouble.or_at(given.at)))
            .transpose()
    }

    /// As [`Arguments::read`], where something must be given.
    pub(super) fn need<T>(&self, name: &str, read: impl Fn(&Value) -> Outcome<T>) -> Outcome<T> {
        self.read(name, read)?.ok_or_else(|| Trouble::here(format!("{} needs {name}", self.function)))
    }

    /// The array given for `name`.
    pub(super) fn array(&self, name: &str) -> Outcome<Labelled> {
        self.need(name, Value::to_array)
    }

    /// The value given for `name`; `None` if there is none.
    pub(super) fn value(&self, name: &str) -> Value {
        self.given(name).map_or(Value::Nothing, |given| given.value.clone())
    }

    /// The truth value given for `name`; false if there is none.
    pub(super) fn flag(&self, name: &str) -> Outcome<bool> {
        Ok(self.read(name, Value::to_flag)?.unwrap_or(false))
    }
}
