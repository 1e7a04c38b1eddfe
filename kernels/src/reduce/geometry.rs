//! Which elements of a chunk fall into which cell, and the order in which they are visited.
//!
//! Axes are merged as far as they are reduced, or kept, alike. Invariants: a [`Walk`] covers every element once; the first
//! element of a cell comes first, and the others in C order of the reduced axes, but where all are reduced and the order
//! was said not to matter. Called by [`super::Reduction`] and by the tasks that ask a program for its tiles.

use super::ReduceError;
use crate::program::TILE_ELEMENTS;
use smallvec::SmallVec;

/// Some neighbouring axes of a chunk, all reduced or all kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    len: usize,
    reduced: bool,
    /// Cells, or reduced elements, from one index to the next.
    step: usize,
}

/// A chunk's shape with the axes that are reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    groups: SmallVec<[Group; 6]>,
    cells: usize,
    reduced: usize,
    /// Length of the first axis that has more than one element, and the elements behind each of its indices.
    rows: (usize, usize),
    /// Length, origin and whole length of each reduced axis.
    axes: SmallVec<[(usize, usize, usize); 4]>,
}

impl Geometry {
    /// A chunk of `shape` reduced over `axes`, in any order.
    ///
    /// # Errors
    /// [`ReduceError::Axis`] for one that there is not, or given twice; [`ReduceError::Overflow`].
    pub fn new(shape: &[usize], axes: &[usize]) -> Result<Self, ReduceError> {
        let rank = shape.len();
        let mut reduced_axes: SmallVec<[bool; 8]> = SmallVec::from_elem(false, rank);
        for &axis in axes {
            match reduced_axes.get_mut(axis) {
                Some(flag @ false) => *flag = true,
                _ => return Err(ReduceError::Axis { axis, rank }),
            }
        }
        shape.iter().try_fold(1_usize, |total, &len| total.checked_mul(len)).ok_or(ReduceError::Overflow)?;
        let mut groups: SmallVec<[Group; 6]> = SmallVec::new();
        let (mut cells, mut reduced) = (1_usize, 1_usize);
        for (&len, &is_reduced) in shape.iter().zip(&reduced_axes).rev() {
            let count = if is_reduced { &mut reduced } else { &mut cells };
            let step = *count;
            // One of the two may overflow where the other is zero.
            *count = count.checked_mul(len).ok_or(ReduceError::Overflow)?;
            match groups.last_mut() {
                _ if len == 1 => {}
                Some(inner) if inner.reduced == is_reduced => inner.len *= len,
                _ => groups.push(Group { len, reduced: is_reduced, step }),
            }
        }
        groups.reverse();
        let lengths = shape.iter().zip(&reduced_axes).filter(|(_, reduced)| **reduced);
        let axes = lengths.map(|(&len, _)| (len, 0, len)).collect();
        let rows = shape
            .iter()
            .position(|len| *len > 1)
            .map_or((1, 1), |first| (shape[first], shape[first + 1..].iter().product()));
        Ok(Self { groups, cells, reduced, rows, axes })
    }

    /// The same chunk at `origin` of an array of shape `full`: positions of extremes then count in the whole array.
    ///
    /// # Errors
    /// [`ReduceError::Origin`] if the chunk of `shape` (that of [`Geometry::new`]) does not lie in the array.
    pub fn placed(
        mut self,
        shape: &[usize],
        axes: &[usize],
        origin: &[usize],
        full: &[usize],
    ) -> Result<Self, ReduceError> {
        let fault =
            || ReduceError::Origin { shape: shape.to_vec(), origin: origin.to_vec(), full: full.to_vec() };
        let mut sorted: SmallVec<[usize; 4]> = SmallVec::from_slice(axes);
        sorted.sort_unstable();
        if sorted.len() != self.axes.len() || shape.len() != origin.len() || shape.len() != full.len() {
            return Err(fault());
        }
        for (place, &axis) in self.axes.iter_mut().zip(&sorted) {
            let found = (shape.get(axis), origin.get(axis), full.get(axis));
            let (Some(&len), Some(&origin), Some(&full)) = found else { return Err(fault()) };
            if len != place.0 || origin.checked_add(len).is_none_or(|end| end > full) {
                return Err(fault());
            }
            *place = (len, origin, full);
        }
        Ok(self)
    }

    /// Kept indices: cells of the state.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// Elements that fall into each cell.
    #[must_use]
    pub const fn reduced(&self) -> usize {
        self.reduced
    }

    /// The order in which a chunk is reduced. Where long rows of kept indices lie inside of a reduced axis they are
    /// visited in columns of one tile, so that the state of a column stays in the cache. Where all axes are reduced and
    /// the order does not matter, long rows are visited so too: then reductions over all axes and over the first one
    /// take the same tiles at the same time.
    pub(super) fn walk(&self, in_order: bool) -> Walk {
        let total = self.cells * self.reduced;
        let long = |row_len: usize| row_len > TILE_ELEMENTS / 2;
        let (outer, rows, row_len) = match self.groups.as_slice() {
            [.., rows, row] if !row.reduced && long(row.len) => {
                (total / (rows.len * row.len).max(1), rows.len, row.len)
            }
            [all] if all.reduced && !in_order && long(self.rows.1) => {
                (usize::from(total > 0), self.rows.0, self.rows.1)
            }
            // One row: flat tiles.
            _ => (usize::from(total > 0), 1, total),
        };
        Walk { outer, rows, row_len }
    }

    /// The geometry of an array of pairs seen as an array of their parts.
    pub(super) fn paired(&self) -> Self {
        let mut paired = self.clone();
        for group in &mut paired.groups {
            if !group.reduced {
                group.step *= 2;
            }
        }
        match paired.groups.last_mut() {
            Some(inner) if !inner.reduced => *inner = Group { len: 2 * inner.len, reduced: false, step: 1 },
            _ => paired.groups.push(Group { len: 2, reduced: false, step: 1 }),
        }
        paired.cells *= 2;
        paired
    }

    /// The position in the whole array of the reduced element `local` of the chunk.
    pub(super) fn global(&self, mut local: usize) -> i64 {
        let (mut at, mut step) = (0, 1);
        for (len, origin, full) in self.axes.iter().rev() {
            at += (origin + local % len) * step;
            local /= len;
            step *= full;
        }
        at.cast_signed() as i64
    }

    /// Hands over every piece of the flat range, in order.
    #[inline(always)]
    pub(super) fn pieces(&self, first: usize, count: usize, mut taker: impl TakePiece) {
        const SINGLE: Group = Group { len: 1, reduced: true, step: 1 };
        let (inner, outer) = self.groups.split_last().unwrap_or((&SINGLE, &[]));
        let mut indices: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
        let (mut rest, mut column) = (first / inner.len, first % inner.len);
        let (mut cell, mut element) = (0, 0);
        for (index, group) in indices.iter_mut().zip(outer).rev() {
            *index = rest % group.len;
            rest /= group.len;
            *(if group.reduced { &mut element } else { &mut cell }) += *index * group.step;
        }
        let mut offset = 0;
        while offset < count {
            let len = (inner.len - column).min(count - offset);
            let (at_cell, at_element) =
                if inner.reduced { (cell, element + column) } else { (cell + column, element) };
            taker.take(Piece {
                offset,
                count: len,
                cell: at_cell,
                element: at_element,
                reduced: inner.reduced,
            });
            offset += len;
            column = 0;
            for (index, group) in indices.iter_mut().zip(outer).rev() {
                let at = if group.reduced { &mut element } else { &mut cell };
                *index += 1;
                *at += group.step;
                if *index < group.len {
                    break;
                }
                *at -= *index * group.step;
                *index = 0;
            }
        }
    }
}

/// An order of a chunk's tiles: outermost blocks of rows, in each block columns of one tile, in each column the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    outer: usize,
    rows: usize,
    row_len: usize,
}

impl Walk {
    /// The tiles, in order: flat first indices and counts.
    pub fn ranges(self) -> impl Iterator<Item = (usize, usize)> + Clone {
        let Self { outer, rows, row_len } = self;
        (0..outer).flat_map(move |block| {
            (0..row_len).step_by(TILE_ELEMENTS).flat_map(move |column| {
                let count = TILE_ELEMENTS.min(row_len - column);
                (0..rows).map(move |row| ((block * rows + row) * row_len + column, count))
            })
        })
    }

    /// The same order for the `count` elements from `first` on, if these are whole rows of one block; indices count from `first`.
    pub(super) const fn part(self, first: usize, count: usize) -> Option<Self> {
        let Self { outer, rows, row_len } = self;
        if outer != 1 || row_len == 0 || !first.is_multiple_of(row_len) || !count.is_multiple_of(row_len) {
            return None;
        }
        if first / row_len + count / row_len > rows {
            return None;
        }
        Some(Self { outer, rows: count / row_len, row_len })
    }
}

/// What takes pieces. A trait and no closure: `take` must be inlined into the loops of each instruction set, or it is
/// compiled for the least of them.
pub(super) trait TakePiece {
    /// Takes one.
    fn take(&mut self, piece: Piece);
}

/// Neighbouring elements of a tile that are reduced in one go: a stretch of one cell, or a row of neighbouring cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// First element in the tile.
    pub(super) offset: usize,
    /// Elements.
    pub(super) count: usize,
    /// The (first) cell.
    pub(super) cell: usize,
    /// C-order index in the reduced axes of the (first) element.
    pub(super) element: usize,
    /// Whether all are of one cell.
    pub(super) reduced: bool,
}
