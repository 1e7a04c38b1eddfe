//! The bins of one dimension, and which one a value falls into.
//!
//! Invariant: edges alone decide; even bins only make the first guess. Called by [`super::Histogram`].

use crate::program::TILE_ELEMENTS;
use crate::{DType, KernelError, cast};

/// Bins along one dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Edges that are evenly apart, up to rounding.
    Even(Vec<f64>),
    /// Any ascending edges.
    Edges(Vec<f64>),
    /// One for each of the numbers below.
    Whole(usize),
}

/// The error for edges in no order.
pub(super) fn unordered(edges: &[f64]) -> KernelError {
    let fault = edges.windows(2).find(|pair| !matches!(pair, [a, b] if a <= b));
    let value = fault.and_then(|pair| pair.last().copied()).unwrap_or(f64::NAN);
    KernelError::Parameter { what: "an edge", value, wanted: "in order with the others" }
}

impl Bins {
    /// `count` even bins from `low` to `high`; edges have the digits of `dtype`, that of the values, as NumPy's. Equal
    /// bounds are moved apart by one half each.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for bounds that are not finite or not in order, edges that are not finite in their digits, or
    /// no bins.
    pub fn uniform(count: usize, low: f64, high: f64, dtype: DType) -> Result<Self, KernelError> {
        if count == 0 || u32::try_from(count).is_err() {
            return Err(KernelError::Parameter {
                what: "the number of bins",
                value: count as f64,
                wanted: "from 1 to 2^32",
            });
        }
        for value in [low, high] {
            if !value.is_finite() {
                return Err(KernelError::Parameter { what: "a bound of the bins", value, wanted: "finite" });
            }
        }
        if low > high {
            return Err(KernelError::Parameter {
                what: "the upper bound of the bins",
                value: high,
                wanted: "at least the lower one",
            });
        }
        let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let step = (high - low) / count as f64;
        let edge = |number: usize| if number == count { high } else { number as f64 * step + low };
        let mut edges: Vec<f64> = (0..=count).map(edge).collect();
        let digits = match dtype {
            DType::F16 | DType::BF16 | DType::F32 => dtype,
            _ => DType::F64,
        };
        let mut rounded = vec![0; edges.len() * digits.size()];
        // Lengths agree, so casts do not fail.
        let _ = cast(&mut rounded, digits, bytemuck::cast_slice(&edges), DType::F64);
        let _ = cast(bytemuck::cast_slice_mut(&mut edges), DType::F64, &rounded, digits);
        // A distance beyond the largest float, or bounds beyond the largest of the dtype: nothing would be counted.
        if let Some(value) = edges.iter().copied().find(|edge| !edge.is_finite()) {
            let wanted = "finite; give bounds nearer to each other";
            return Err(KernelError::Parameter { what: "an edge of the bins", value, wanted });
        }
        Ok(Self(Kind::Even(edges)))
    }

    /// Bins between neighbours of ascending edges, at least two.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for edges that descend or are NaN, or fewer than two.
    pub fn edges(edges: &[f64]) -> Result<Self, KernelError> {
        if edges.len() < 2 {
            let value = edges.len() as f64;
            return Err(KernelError::Parameter { what: "the number of edges", value, wanted: "at least 2" });
        }
        if !edges.is_sorted() {
            return Err(unordered(edges));
        }
        Ok(Self(Kind::Edges(edges.to_vec())))
    }

    /// A bin for each whole number from 0 to below `count`: those of `bincount`. Any other value is an error.
    #[must_use]
    pub const fn whole(count: usize) -> Self {
        Self(Kind::Whole(count))
    }

    /// How many bins.
    #[must_use]
    pub const fn count(&self) -> usize {
        match &self.0 {
            Kind::Even(edges) | Kind::Edges(edges) => edges.len() - 1,
            Kind::Whole(count) => *count,
        }
    }

    /// The edges, one more than bins; none of [`Bins::whole`].
    #[must_use]
    pub fn edge_values(&self) -> &[f64] {
        match &self.0 {
            Kind::Even(edges) | Kind::Edges(edges) => edges,
            Kind::Whole(_) => &[],
        }
    }

    /// Writes the bin of each of at most a tile of values, -1 for those outside.
    pub(super) fn tile(&self, values: &[u8], dtype: DType, places: &mut [i64]) -> Result<(), KernelError> {
        if let Kind::Whole(count) = self.0 {
            if !matches!(dtype.kind(), 'b' | 'i' | 'u') {
                return Err(KernelError::Refused { operation: "bincount", dtype });
            }
            let _ = cast(bytemuck::cast_slice_mut(places), DType::I64, values, dtype);
            let outside = |place: &&mut i64| usize::try_from(**place).map_or(true, |place| place >= count);
            return match places.iter_mut().find(outside) {
                Some(index) => Err(KernelError::Index { index: *index, len: count }),
                None => Ok(()),
            };
        }
        let mut doubles = [0.0; TILE_ELEMENTS];
        let doubles = doubles.get_mut(..places.len()).unwrap_or_default();
        let _ = cast(bytemuck::cast_slice_mut(doubles), DType::F64, values, dtype);
        let edges = self.edge_values();
        let ([low, ..], [.., high]) = (edges, edges) else { return Ok(()) };
        let last = edges.len() - 2;
        let scale = if let Kind::Even(_) = self.0 { (last + 1) as f64 / (high - low) } else { 0.0 };
        for (place, x) in places.iter_mut().zip(doubles) {
            // NaN is outside, too.
            *place = if !(*low <= *x && *x <= *high) {
                -1
            } else if scale > 0.0 && scale.is_finite() {
                let mut bin = (((*x - low) * scale) as usize).min(last);
                while *x < edges[bin] {
                    bin -= 1;
                }
                while bin < last && *x >= edges[bin + 1] {
                    bin += 1;
                }
                bin as i64
            } else {
                (edges.partition_point(|edge| edge <= x) - 1).min(last) as i64
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_that_are_not_finite_are_refused() {
        assert!(Bins::uniform(10, -1.7e308, 1.7e308, DType::F64).is_err());
        assert!(Bins::uniform(10, 0.0, 1e6, DType::F16).is_err());
        assert!(Bins::uniform(10, -8e307, 8e307, DType::F64).is_ok());
    }
}
