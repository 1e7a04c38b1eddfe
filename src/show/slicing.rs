//! [`Slicing`]: what is taken of one dimension, as `time=0` says it.
//!
//! Called by [`super`] and by the command line.

use crate::error::{Error, Result};
use blockwise_core::array::{Axis, Index};

/// One position, or some, along a dimension.
///
/// ```
/// use blockwise::show::Slicing;
/// assert!("time=0".parse::<Slicing>().is_ok() && "lat=-90:90:2".parse::<Slicing>().is_ok());
/// assert!("time".parse::<Slicing>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slicing {
    dimension: String,
    item: Index,
}

impl Slicing {
    /// Several, as `time=0,lat=10:20`.
    ///
    /// # Errors
    /// If one is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        text.split(',').map(str::parse).collect()
    }

    /// The axis meant: by name, or by number.
    pub(super) fn axis(&self, names: &[Option<String>]) -> Result<usize> {
        let is_named = names.iter().flatten().any(|name| *name == self.dimension);
        let axis = match self.dimension.parse::<i64>() {
            Ok(number) if !is_named => Axis::Index(number),
            _ => Axis::Name(self.dimension.clone()),
        };
        Ok(axis.resolve(names)?)
    }

    pub(super) const fn item(&self) -> Index {
        self.item
    }
}

impl std::str::FromStr for Slicing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Argument {
            what: "slice",
            text: text.to_owned(),
            why: "give a dimension (or the number of an axis) and a position or a range, as in time=0, lat=10:20, 2=-1"
                .to_owned(),
        }
        };
        let (dimension, places) = text.split_once('=').ok_or_else(wrong)?;
        let numbers: Vec<Option<i64>> = places
            .split(':')
            .map(|place| match place.trim() {
                "" => Ok(None),
                place => place.parse().map(Some).map_err(|_| wrong()),
            })
            .collect::<Result<_>>()?;
        let item = match numbers[..] {
            [Some(at)] => Index::At(at),
            [start, stop] => Index::Slice { start, stop, step: 1 },
            [start, stop, step] if step != Some(0) => Index::Slice { start, stop, step: step.unwrap_or(1) },
            _ => return Err(wrong()),
        };
        let dimension = dimension.trim();
        if dimension.is_empty() {
            return Err(wrong());
        }
        Ok(Self { dimension: dimension.to_owned(), item })
    }
}
