//! From two layouts to the fewest loops: checks bounds, drops and merges axes, orders them for the caches.
//!
//! Invariant: what [`Walk::simplified`] returns touches exactly the bytes that [`Walk::check`] has approved.
//! Called by the functions of [`super`]; the result is run by `loops`.

use super::{LayoutError, OVERFLOW, Side};
use smallvec::SmallVec;
use std::cmp::Reverse;

/// One loop: how often, and how far each side steps in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) len: usize,
    pub(super) dst: isize,
    pub(super) src: isize,
}

pub(super) type Axes = SmallVec<[Axis; 8]>;

/// A copy: nested loops, outermost first, over pieces of `item_bytes` contiguous bytes.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) axes: Axes,
    pub(super) dst_start: isize,
    pub(super) src_start: isize,
    pub(super) item_bytes: usize,
}

impl Walk {
    pub(super) fn new(item_bytes: usize) -> Self {
        Self { axes: Axes::new(), dst_start: 0, src_start: 0, item_bytes }
    }

    /// Sets where both sides begin, in elements.
    pub(super) fn start(&mut self, dst: usize, src: usize) -> Result<(), LayoutError> {
        let bytes =
            |at: usize| at.checked_mul(self.item_bytes).and_then(|b| isize::try_from(b).ok()).ok_or(OVERFLOW);
        (self.dst_start, self.src_start) = (bytes(dst)?, bytes(src)?);
        Ok(())
    }

    /// Adds a loop with steps in elements, in any order of axes. Loops of length 1 are left out.
    pub(super) fn push(&mut self, len: usize, dst: isize, src: isize) -> Result<(), LayoutError> {
        if len != 1 {
            let item = isize::try_from(self.item_bytes).map_err(|_| OVERFLOW)?;
            let bytes = |step: isize| step.checked_mul(item).ok_or(OVERFLOW);
            self.axes.push(Axis { len, dst: bytes(dst)?, src: bytes(src)? });
        }
        Ok(())
    }

    /// Whether both sides stay inside of slices of these lengths. No axis may have length zero.
    pub(super) fn check(&self, dst_len_bytes: usize, src_len_bytes: usize) -> Result<(), LayoutError> {
        let item = isize::try_from(self.item_bytes).map_err(|_| OVERFLOW)?;
        let sides = [
            (Side::Destination, self.dst_start, dst_len_bytes),
            (Side::Source, self.src_start, src_len_bytes),
        ];
        for (side, start, len_bytes) in sides {
            let (mut low, mut high) = (start, start.checked_add(item).ok_or(OVERFLOW)?);
            for axis in &self.axes {
                let step = if side == Side::Source { axis.src } else { axis.dst };
                let last = isize::try_from(axis.len - 1).map_err(|_| OVERFLOW)?;
                let reach = last.checked_mul(step).ok_or(OVERFLOW)?;
                let end = if reach < 0 { &mut low } else { &mut high };
                *end = end.checked_add(reach).ok_or(OVERFLOW)?;
            }
            if low < 0 || usize::try_from(high).is_ok_and(|high| high > len_bytes) {
                return Err(LayoutError::OutOfBounds { side, len_bytes });
            }
        }
        Ok(())
    }

    /// The same copy with the fewest, longest loops: destination steps positive and falling from outer to inner,
    /// neighbours merged where both sides allow it, and a contiguous innermost loop made part of the item.
    pub(super) fn simplified(mut self) -> Self {
        for axis in &mut self.axes {
            if axis.dst < 0 {
                // Bounds are checked, so the last index of the loop is a valid place on both sides.
                let last = isize::try_from(axis.len - 1).unwrap_or(0);
                self.dst_start += last * axis.dst;
                self.src_start += last * axis.src;
                (axis.dst, axis.src) = (-axis.dst, -axis.src);
            }
        }
        self.axes.sort_unstable_by_key(|axis| Reverse((axis.dst, axis.src.abs())));
        let mut merged = Axes::new();
        for &inner in &self.axes {
            let wraps = |step: isize| isize::try_from(inner.len).ok().and_then(|len| step.checked_mul(len));
            match merged.last_mut() {
                Some(outer) if Some(outer.dst) == wraps(inner.dst) && Some(outer.src) == wraps(inner.src) => {
                    *outer = Axis { len: outer.len * inner.len, ..inner };
                }
                _ => merged.push(inner),
            }
        }
        if let Some(&Axis { len, dst, src }) = merged.last()
            && dst == src
            && usize::try_from(dst) == Ok(self.item_bytes)
        {
            merged.pop();
            self.item_bytes *= len;
        }
        self.axes = merged;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(item_bytes: usize, loops: &[(usize, isize, isize)]) -> Walk {
        let mut walk = Walk::new(item_bytes);
        for &(len, dst, src) in loops {
            walk.push(len, dst, src).unwrap();
        }
        walk
    }

    #[test]
    fn contiguous_axes_become_one_item() {
        let simple = walk(4, &[(2, 12, 12), (1, 5, 7), (3, 4, 4), (4, 1, 1)]).simplified();
        assert_eq!((simple.item_bytes, simple.axes.len()), (96, 0));
    }

    #[test]
    fn a_piece_of_a_larger_box_keeps_only_its_true_loops() {
        // 40 x 19 x 36 out of 40 x 361 x 720 into 2920 x 19 x 36.
        let simple = walk(4, &[(36, 1, 1), (19, 36, 720), (40, 684, 259_920)]).simplified();
        assert_eq!(simple.item_bytes, 144);
        let expected = [Axis { len: 40, dst: 2736, src: 1_039_680 }, Axis { len: 19, dst: 144, src: 2880 }];
        assert_eq!(simple.axes.as_slice(), expected);
    }

    #[test]
    fn negative_destination_steps_are_turned_round() {
        let mut flipped = walk(1, &[(5, -1, -1)]);
        flipped.start(4, 4).unwrap();
        let simple = flipped.simplified();
        assert_eq!((simple.dst_start, simple.src_start, simple.item_bytes), (0, 0, 5));
    }

    #[test]
    fn bounds_are_exact() {
        let mut back = walk(2, &[(3, 1, -2)]);
        back.start(1, 4).unwrap();
        assert_eq!(back.check(8, 10), Ok(()));
        assert_eq!(
            back.check(7, 10),
            Err(LayoutError::OutOfBounds { side: Side::Destination, len_bytes: 7 })
        );
        assert_eq!(back.check(8, 9), Err(LayoutError::OutOfBounds { side: Side::Source, len_bytes: 9 }));
        back.start(1, 3).unwrap();
        assert_eq!(back.check(8, 10), Err(LayoutError::OutOfBounds { side: Side::Source, len_bytes: 10 }));
        assert_eq!(walk(1, &[(usize::MAX, 1, 0)]).check(8, 8), Err(LayoutError::Overflow));
    }
}
