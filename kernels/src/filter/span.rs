//! One axis of a window: which held element stands at each position that the window sees.
//!
//! Invariant: positions beyond the array are mapped onto it as SciPy's modes say, however far away they are. Called by
//! the steps of filters.

use crate::KernelError;
use std::ops::Range;

/// What stands beyond an end of an axis, by SciPy's `mode`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edge {
    /// The array mirrored at its edges, edge elements repeated: `d c b a | a b c d | d c b a`; also `grid-mirror`.
    Reflect,
    /// The array mirrored at its edge elements: `d c b | a b c d | c b a`.
    Mirror,
    /// The element at the edge.
    Nearest,
    /// The other end of the array; also `grid-wrap`.
    Wrap,
    /// This value; also `grid-constant`.
    Constant(f64),
}

impl Edge {
    /// The position within an axis of `extent` elements that stands at `position`; `None`: the constant.
    #[must_use]
    pub fn position(self, position: i64, extent: i64) -> Option<i64> {
        if extent <= 0 {
            return None;
        }
        if (0..extent).contains(&position) {
            return Some(position);
        }
        match self {
            Self::Constant(_) => None,
            Self::Nearest => Some(position.clamp(0, extent - 1)),
            Self::Wrap => Some(position.rem_euclid(extent)),
            Self::Reflect => {
                let at = position.rem_euclid(extent.saturating_mul(2));
                Some(if at < extent { at } else { 2 * extent - 1 - at })
            }
            Self::Mirror => {
                let period = extent.saturating_mul(2).saturating_sub(2).max(1);
                let at = position.rem_euclid(period);
                Some(if at < extent { at } else { period - at })
            }
        }
    }

    /// The value beyond the array, where it is one.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Constant(value) => value,
            _ => 0.0,
        }
    }
}

/// What the windows of a box of results see along one axis: the window of result `n` begins at number `n`.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// For each position seen, its place among the elements that are held; `None`: the constant.
    pub places: Vec<Option<usize>>,
    /// Position in the array of the first.
    pub first: i64,
    /// The constant.
    pub value: f64,
}

impl Span {
    pub(super) fn new(
        wanted: &Range<i64>,
        reach: (usize, usize),
        held: &Range<i64>,
        extent: Option<i64>,
        edge: Edge,
    ) -> Result<Self, KernelError> {
        let (first, last) = (wanted.start - reach.0 as i64, wanted.end + reach.1 as i64);
        let place = |position: i64| {
            let within = match extent {
                Some(extent) => edge.position(position, extent),
                None => Some(position),
            };
            let place = within.map(|at| usize::try_from(at - held.start).ok().filter(|_| at < held.end));
            match place {
                None => Ok(None),
                Some(Some(place)) => Ok(Some(place)),
                Some(None) => Err(KernelError::Region {
                    shape: vec![(last - first).unsigned_abs() as usize],
                    origin: vec![first.unsigned_abs() as usize],
                    full: vec![held.start.unsigned_abs() as usize, held.end.unsigned_abs() as usize],
                }),
            }
        };
        Ok(Self { places: (first..last).map(place).collect::<Result<_, _>>()?, first, value: edge.value() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_beyond_the_array_are_scipys() {
        // The examples of SciPy's documentation, for the elements a b c d.
        let modes = [
            (Edge::Reflect, "abcddcba|abcd|dcbaabcd"),
            (Edge::Mirror, "cbabcdcb|abcd|cbabcdcb"),
            (Edge::Nearest, "aaaaaaaa|abcd|dddddddd"),
            (Edge::Wrap, "abcdabcd|abcd|abcdabcd"),
            (Edge::Constant(0.0), "kkkkkkkk|abcd|kkkkkkkk"),
        ];
        for (edge, shown) in modes {
            let letter = |at| edge.position(at, 4).map_or('k', |at| char::from(b'a' + at as u8));
            let found: String = (-8..12).map(letter).collect();
            assert_eq!(found, shown.replace('|', ""), "{edge:?}");
        }
        assert_eq!(Edge::Mirror.position(-5, 1), Some(0));
        assert_eq!(Edge::Reflect.position(7, 1), Some(0));
        assert_eq!(Edge::Nearest.position(7, 0), None);
    }
}
