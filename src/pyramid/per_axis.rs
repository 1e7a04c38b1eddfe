//! [`PerAxis`]: a number or name for each axis, as people write it: `2`, `1,2,2`, `z=1,y=2`.
//!
//! Invariant: names are given once. Called by the command line, which parses it, and by [`super::axes`] and [`super::levels`].

use crate::error::{Error, Result};
use std::str::FromStr;

/// A value for each axis.
///
/// ```
/// use blockwise::pyramid::PerAxis;
/// let factors: PerAxis<u64> = "z=1,y=2,x=2".parse()?;
/// assert_eq!(factors, PerAxis::Named(vec![("z".into(), 1), ("y".into(), 2), ("x".into(), 2)]));
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerAxis<T> {
    /// The same for every axis in space.
    Space(T),
    /// One an axis, in their order.
    Each(Vec<T>),
    /// By name; the others have what they have otherwise.
    Named(Vec<(String, T)>),
}

impl<T: Clone> PerAxis<T> {
    /// The values of the axes that are called `names`, of which those with `is_space` are in space: `None` where none is given.
    ///
    /// # Errors
    /// If it has other axes; what is wrong.
    pub(super) fn resolve(
        &self,
        what: &str,
        names: &[&str],
        is_space: &[bool],
    ) -> Result<Vec<Option<T>>, String> {
        match self {
            Self::Space(value) => Ok(is_space.iter().map(|space| space.then(|| value.clone())).collect()),
            Self::Each(values) if values.len() == names.len() => {
                Ok(values.iter().cloned().map(Some).collect())
            }
            Self::Each(values) => Err(format!(
                "{what} has {} values for {} axes ({}); give one each, or by name as in {}=…",
                values.len(),
                names.len(),
                names.join(", "),
                names.last().unwrap_or(&"x")
            )),
            Self::Named(named) => match named.iter().find(|(name, _)| !names.contains(&name.as_str())) {
                Some((unknown, _)) => {
                    Err(format!("{what} is given for '{unknown}', but the axes are {}", names.join(", ")))
                }
                None => {
                    let of = |name: &&str| {
                        named.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
                    };
                    Ok(names.iter().map(of).collect())
                }
            },
        }
    }
}

impl<T: FromStr> FromStr for PerAxis<T> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Argument {
            what: "value per axis",
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let value = |piece: &str| {
            let piece = piece.trim();
            let parsed = if piece.is_empty() { None } else { piece.parse::<T>().ok() };
            parsed.ok_or_else(|| {
                wrong("write 2 for all axes in space, 1,2,2 for each axis, or y=2,x=2 by name")
            })
        };
        let pieces: Vec<&str> = text.split(',').collect();
        let named = pieces.iter().filter(|piece| piece.contains('=')).count();
        match pieces.as_slice() {
            [only] if named == 0 => value(only).map(Self::Space),
            each if named == 0 => {
                each.iter().map(|piece| value(piece)).collect::<Result<_>>().map(Self::Each)
            }
            all if named == all.len() => {
                let mut found: Vec<(String, T)> = Vec::with_capacity(all.len());
                for piece in all {
                    let (name, text) = piece.split_once('=').unwrap_or((piece, ""));
                    let name = name.trim();
                    if name.is_empty() || found.iter().any(|(known, _)| known == name) {
                        return Err(wrong("name each axis once, as in y=2,x=2"));
                    }
                    found.push((name.to_owned(), value(text)?));
                }
                Ok(Self::Named(found))
            }
            _ => Err(wrong("give values for all axes (1,2,2) or by name (y=2,x=2), not both")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_meet_their_axes() {
        let resolve = |text: &str| {
            let given: PerAxis<u64> = text.parse().unwrap();
            given.resolve("--factor", &["c", "y", "x"], &[false, true, true])
        };
        assert_eq!(resolve("3").unwrap(), [None, Some(3), Some(3)]);
        assert_eq!(resolve("1,2,4").unwrap(), [Some(1), Some(2), Some(4)]);
        assert_eq!(resolve("y=2").unwrap(), [None, Some(2), None]);
        assert!(resolve("1,2").unwrap_err().contains("c, y, x"));
        assert!(resolve("z=2").unwrap_err().contains("'z'"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "a", "1,,2", "x=1,x=2", "x=1,2", "=2", "x="] {
            assert!(text.parse::<PerAxis<f64>>().is_err(), "{text}");
        }
    }
}
