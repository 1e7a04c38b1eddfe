//! How an operand is fed to the tiles: in place where it is contiguous, else through a register.
//!
//! Every operand's axes are merged on their own, since tiles are ranges of the flat C-order index of the shape.
//! Invariants: bounds are checked once, before the first tile; a tile's slice is aligned for its dtype. Called by
//! [`super::evaluate`].

use super::{Input, ProgramError, TILE_ELEMENTS};
use crate::Buffer;
use smallvec::SmallVec;

/// One merged axis: its length, and the step of the operand in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    len: usize,
    step: isize,
}

/// Where the tiles of one operand come from.
pub(super) struct Feed<'a> {
    bytes: &'a [u8],
    size: usize,
    kind: Kind,
}

enum Kind {
    /// The bytes are the flat index times the size.
    InPlace { start: usize },
    /// A register that holds one period, repeated, from which every tile is a slice.
    Periodic { period: usize },
    /// Any other: in place where a tile lies within one contiguous row, else gathered into the register.
    Walked { start: usize, axes: SmallVec<[Axis; 6]>, aligned: bool },
}

impl<'a> Feed<'a> {
    /// Checks an operand against the shape and prepares its register.
    pub(super) fn new(
        number: usize,
        input: &Input<'a>,
        shape: &[usize],
        total: usize,
        register: &mut Buffer,
    ) -> Result<Self, ProgramError> {
        let size = input.dtype.size();
        let (start, axes) = merged(input, shape, total).ok_or_else(|| ProgramError::InputLayout {
            input: number,
            strides: input.layout.as_ref().map(|layout| layout.strides.clone()).unwrap_or_default(),
            offset: input.layout.as_ref().map_or(0, |layout| layout.offset),
            shape: shape.to_vec(),
            len_bytes: input.bytes.len(),
        })?;
        let address = input.bytes.as_ptr().addr() + start * size;
        let aligned = address.is_multiple_of(size.min(8));
        let mut feed = Self { bytes: input.bytes, size, kind: Kind::InPlace { start } };
        let contiguous = matches!(axes.as_slice(), [] | [Axis { step: 1, .. }]);
        if total == 0 || (contiguous && aligned) {
            return Ok(feed);
        }
        let period = match axes.as_slice() {
            [Axis { step: 0, .. }] => 1,
            [Axis { step: 0, .. }, rest @ ..] => rest.iter().map(|axis| axis.len).product(),
            _ => usize::MAX,
        };
        let walked = Kind::Walked { start, axes, aligned };
        if period <= TILE_ELEMENTS {
            // One period is gathered, then doubled until every tile finds its slice in it.
            let wanted = (TILE_ELEMENTS + period) * size;
            ensure(register, wanted);
            feed.kind = walked;
            feed.gather(0, register.get_mut(..period * size).unwrap_or_default());
            let mut filled = period * size;
            while filled < wanted {
                let more = filled.min(wanted - filled);
                register.copy_within(..more, filled);
                filled += more;
            }
            feed.kind = Kind::Periodic { period };
        } else {
            ensure(register, TILE_ELEMENTS * size);
            feed.kind = walked;
        }
        Ok(feed)
    }

    /// Copies the tile of `count` elements from the flat index `first` into the register, if it must be.
    pub(super) fn load(&self, first: usize, count: usize, register: &mut Buffer) {
        if matches!(self.kind, Kind::Walked { .. }) && self.row(first, count).is_none() {
            self.gather(first, register.get_mut(..count * self.size).unwrap_or_default());
        }
    }

    /// The tile that [`Feed::load`] prepared.
    pub(super) fn tile<'b>(&self, first: usize, count: usize, register: &'b Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        let (from, source): (usize, &'b [u8]) = match self.kind {
            Kind::InPlace { start } => (start + first, self.bytes),
            Kind::Periodic { period } => (first % period, register),
            Kind::Walked { .. } => match self.row(first, count) {
                Some(row) => return row,
                None => (0, register),
            },
        };
        source.get(from * self.size..(from + count) * self.size).unwrap_or_default()
    }

    /// The bytes of a tile where they lie, if they lie in one piece: what to ask the cache for.
    pub(super) fn ahead(&self, first: usize, count: usize) -> &'a [u8] {
        let in_place = |start: usize| {
            let from = (start + first) * self.size;
            self.bytes.get(from..from + count * self.size)
        };
        match self.kind {
            Kind::InPlace { start } => in_place(start),
            Kind::Periodic { .. } => None,
            Kind::Walked { .. } => self.row(first, count),
        }
        .unwrap_or_default()
    }

    /// The tile where it lies, if it lies within one contiguous row.
    fn row(&self, first: usize, count: usize) -> Option<&'a [u8]> {
        let Kind::Walked { start, axes, aligned: true } = &self.kind else { return None };
        let (inner, outer) = axes.split_last()?;
        let column = first % inner.len;
        if inner.step != 1 || column + count > inner.len {
            return None;
        }
        let from = self.position(*start, outer, first / inner.len).wrapping_add(column);
        self.bytes.get(from * self.size..(from + count) * self.size)
    }

    /// The element of the flat index `index` of `axes`.
    fn position(&self, start: usize, axes: &[Axis], mut index: usize) -> usize {
        let mut at = start;
        for axis in axes.iter().rev() {
            at = at.wrapping_add_signed((index % axis.len).cast_signed().wrapping_mul(axis.step));
            index /= axis.len;
        }
        at
    }

    /// Writes the elements from the flat index `first` on to `out`.
    fn gather(&self, first: usize, out: &mut [u8]) {
        match self.size {
            1 => self.gather_items::<1>(first, out),
            2 => self.gather_items::<2>(first, out),
            4 => self.gather_items::<4>(first, out),
            8 => self.gather_items::<8>(first, out),
            _ => self.gather_items::<16>(first, out),
        }
    }

    fn gather_items<const N: usize>(&self, first: usize, out: &mut [u8]) {
        let Kind::Walked { start, axes, .. } = &self.kind else { return };
        let (items, _) = out.as_chunks_mut::<N>();
        let bytes = self.bytes;
        let Some((inner, outer)) = axes.split_last() else {
            if let (Some(item), Some(value)) = (items.first_mut(), bytes.get(start * N..(start + 1) * N)) {
                item.copy_from_slice(value);
            }
            return;
        };
        let mut column = first % inner.len;
        let mut row = first / inner.len;
        let mut rest = items;
        while !rest.is_empty() {
            let count = (inner.len - column).min(rest.len());
            let (piece, left) = rest.split_at_mut(count);
            let row_start = self.position(*start, outer, row);
            let mut at = row_start.wrapping_add_signed(column.cast_signed() * inner.step);
            if inner.step == 1 {
                let from = &bytes[at * N..(at + count) * N];
                piece.as_flattened_mut().copy_from_slice(from);
            } else {
                for item in piece {
                    item.copy_from_slice(&bytes[at * N..at * N + N]);
                    at = at.wrapping_add_signed(inner.step);
                }
            }
            rest = left;
            column = 0;
            row += 1;
        }
    }
}

/// Makes `register` hold at least `len_bytes`.
pub(super) fn ensure(register: &mut Buffer, len_bytes: usize) {
    if register.len() < len_bytes {
        *register = Buffer::zeroed(len_bytes);
    }
}

/// The first element and the merged axes, outer to inner; `None` if the operand does not hold the shape. No axis has
/// length 0 or 1.
fn merged(input: &Input<'_>, shape: &[usize], total: usize) -> Option<(usize, SmallVec<[Axis; 6]>)> {
    let elements = input.bytes.len() / input.dtype.size();
    let mut axes: SmallVec<[Axis; 6]> = SmallVec::new();
    let Some(layout) = &input.layout else {
        if total > 1 {
            axes.push(Axis { len: total, step: 1 });
        }
        return (total <= elements).then_some((0, axes));
    };
    if layout.strides.len() != shape.len() {
        return None;
    }
    let start = isize::try_from(layout.offset).ok()?;
    let (mut low, mut high) = (start, start);
    for (&len, &step) in shape.iter().zip(&layout.strides) {
        if len <= 1 {
            continue;
        }
        let reach = isize::try_from(len - 1).ok()?.checked_mul(step)?;
        let end = if reach < 0 { &mut low } else { &mut high };
        *end = end.checked_add(reach)?;
        let wraps = isize::try_from(len).ok()?.checked_mul(step)?;
        match axes.last_mut() {
            Some(outer) if outer.step == wraps => *outer = Axis { len: outer.len * len, step },
            _ => axes.push(Axis { len, step }),
        }
    }
    let inside = low >= 0 && usize::try_from(high).is_ok_and(|high| high < elements);
    (total == 0 || inside).then_some((layout.offset, axes))
}
