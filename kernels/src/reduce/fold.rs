//! What every reduction does with a tile: walk its pieces and add stretches and rows, for any instruction set.
//!
//! Invariant: see [`super`] for the order. Called by [`super::Pass::tile`].

use super::geometry::{Geometry, Piece, TakePiece};
use crate::simd::InstructionSet;
use bytemuck::Pod;
use pulp::NullaryFnOnce;

/// Lanes of a long stretch: so many that compilers make loops over registers of them, whatever the instruction set.
const LONG_LANES: usize = 64;
/// Elements from which on a stretch is long.
const LONG_STRETCH: usize = 512;
/// Lanes of other stretches.
const LANES: usize = 8;

/// A state that takes elements. Methods are inlined into loops for each instruction set.
pub(super) trait Fold {
    /// What tiles hold.
    type Item: Pod;
    /// Takes elements of one cell in `LANES` lanes; `element` is the place of the first among the reduced ones.
    fn stretch<const LANES: usize>(
        &mut self,
        cell: usize,
        items: &[Self::Item],
        element: usize,
        geometry: &Geometry,
    );
    /// Takes one element for each of the cells from `cell` on.
    fn row(&mut self, cell: usize, items: &[Self::Item], element: usize, geometry: &Geometry);
}

struct Walk<'a, F: Fold> {
    fold: F,
    geometry: &'a Geometry,
    first: usize,
    items: &'a [F::Item],
}

impl<F: Fold> NullaryFnOnce for Walk<'_, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let (geometry, first, count) = (self.geometry, self.first, self.items.len());
        geometry.pieces(first, count, self);
    }
}

impl<F: Fold> TakePiece for Walk<'_, F> {
    #[inline(always)]
    fn take(&mut self, Piece { offset, count, cell, element, reduced }: Piece) {
        let items = self.items.get(offset..offset + count).unwrap_or_default();
        if reduced && count >= LONG_STRETCH {
            self.fold.stretch::<LONG_LANES>(cell, items, element, self.geometry);
        } else if reduced {
            self.fold.stretch::<LANES>(cell, items, element, self.geometry);
        } else {
            self.fold.row(cell, items, element, self.geometry);
        }
    }
}

/// Folds one tile, whose first element has the flat index `first`.
pub(super) fn tile<F: Fold>(set: InstructionSet, fold: F, geometry: &Geometry, first: usize, items: &[u8]) {
    set.run(Walk { fold, geometry, first, items: bytemuck::cast_slice(items) });
}

/// Folds lanes pairwise, halves onto halves.
#[inline(always)]
pub(super) fn fold_lanes<T: Copy, const LANES: usize>(mut lanes: [T; LANES], merge: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = merge(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}
