//! Which axes a method is about: by index, negative index or dimension name, one, several or all.
//!
//! Invariant: resolved axes are distinct and in the order in which they were given (all: ascending). Called by the
//! methods of [`Array`](super::Array).

use crate::error::{Error, Result};
use std::ops::RangeFull;

/// One axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// By position; negative from the end.
    Index(i64),
    /// By dimension name.
    Name(String),
}

/// Some axes.
///
/// ```
/// use blockwise_core::array::Axes;
/// let names = [Some("time".to_owned()), None];
/// assert_eq!(Axes::from("time").resolve(&names)?, [0]);
/// assert_eq!(Axes::from([-1, 0]).resolve(&names)?, [1, 0]);
/// assert_eq!(Axes::from(..).resolve(&names)?, [0, 1]);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Every axis.
    All,
    /// These.
    List(Vec<Axis>),
}

impl Axis {
    /// Position of the axis in an array with the given dimension names.
    ///
    /// # Errors
    /// If there is no such axis; the message lists those that there are.
    pub fn resolve(&self, names: &[Option<String>]) -> Result<usize> {
        let rank = names.len();
        let found = match self {
            Self::Index(index) if *index < 0 => {
                usize::try_from(index.unsigned_abs()).ok().and_then(|back| rank.checked_sub(back))
            }
            Self::Index(index) => usize::try_from(*index).ok().filter(|at| *at < rank),
            Self::Name(name) => names.iter().position(|own| own.as_deref() == Some(name)),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
            let what = match self {
                Self::Index(index) => format!("{index}"),
                Self::Name(name) => format!("'{name}'"),
            };
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::Usage { message: format!("no axis {what} in an array of {rank} axes (names: {known})") }
        })
    }
}

impl Axes {
    /// Positions of the axes in an array with the given dimension names.
    ///
    /// # Errors
    /// If there is no such axis, or one is given twice.
    pub fn resolve(&self, names: &[Option<String>]) -> Result<Vec<usize>> {
        let Self::List(list) = self else { return Ok((0..names.len()).collect()) };
        let mut axes = Vec::with_capacity(list.len());
        for axis in list {
            let at = axis.resolve(names)?;
            if axes.contains(&at) {
                return Err(Error::Usage { message: format!("axis {at} is given twice") });
            }
            axes.push(at);
        }
        Ok(axes)
    }
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Self {
        Self::All
    }
}

impl From<&str> for Axis {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Axis {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<i64> for Axis {
    fn from(index: i64) -> Self {
        Self::Index(index)
    }
}

impl From<i32> for Axis {
    fn from(index: i32) -> Self {
        Self::Index(index.into())
    }
}

impl From<usize> for Axis {
    fn from(index: usize) -> Self {
        // No array has so many axes that the cast could wrap; if one is asked for, it is not found.
        Self::Index(i64::try_from(index).unwrap_or(i64::MAX))
    }
}

impl<A: Into<Axis>> From<A> for Axes {
    fn from(axis: A) -> Self {
        Self::List(vec![axis.into()])
    }
}

impl<A: Into<Axis>, const N: usize> From<[A; N]> for Axes {
    fn from(axes: [A; N]) -> Self {
        Self::List(axes.into_iter().map(Into::into).collect())
    }
}

impl<A: Into<Axis> + Clone> From<&[A]> for Axes {
    fn from(axes: &[A]) -> Self {
        Self::List(axes.iter().cloned().map(Into::into).collect())
    }
}

impl<A: Into<Axis>> From<Vec<A>> for Axes {
    fn from(axes: Vec<A>) -> Self {
        Self::List(axes.into_iter().map(Into::into).collect())
    }
}
