//! The directory of a page in bytes: its tags, and behind them what they point to.
//!
//! Invariants: tags ascend; addresses are even; the bytes end where the next directory begins. Called by [`super::TiffSink`].

use super::Plan;
use crate::tiff::page::{Compression, Piece};

/// The directory of a page in the making.
pub(super) struct Directory<'a> {
    pub(super) plan: &'a Plan,
    pub(super) is_first: bool,
    pub(super) pieces: &'a [Piece],
}

/// Numbers of a tag, by their size in the file.
enum Value {
    Shorts(Vec<u16>),
    Longs(Vec<u64>),
    Text(String),
    /// A resolution of 1.
    One,
    Quotient(u32, u32),
}

impl Directory<'_> {
    fn tags(&self) -> Vec<(u16, Value)> {
        let geometry = &self.plan.geometry;
        let (bits, format) = (
            geometry.dtype.size() as u16 * 8,
            match geometry.dtype.kind() {
                'i' => 2,
                'f' => 3,
                'c' => 6,
                _ => 1,
            },
        );
        let samples = geometry.samples;
        let each = |value: u16| Value::Shorts((0..samples).map(|_| value).collect());
        let is_colour = samples >= 3 && geometry.dtype.kind() == 'u' && bits <= 16;
        let compression = match geometry.compression {
            Compression::Deflate => 8,
            Compression::Zstd => 50000,
            _ => 1,
        };
        let longs = |value: u64| Value::Longs(vec![value]);
        let short = |value: u16| Value::Shorts(vec![value]);
        let offsets = Value::Longs(self.pieces.iter().map(|piece| piece.offset).collect());
        let lengths = Value::Longs(self.pieces.iter().map(|piece| piece.len_bytes).collect());
        let mut tags = vec![
            (254, longs(if self.plan.pages > 1 { 2 } else { 0 })),
            (256, longs(geometry.width)),
            (257, longs(geometry.height)),
            (258, each(bits)),
            (259, short(compression)),
            (262, short(if is_colour { 2 } else { 1 })),
        ];
        if self.is_first {
            tags.push((270, Value::Text(self.plan.description.clone())));
        }
        if geometry.is_tiled {
            let (width, height) = geometry.piece;
            tags.extend([(322, longs(width)), (323, longs(height)), (324, offsets), (325, lengths)]);
        } else {
            tags.extend([(273, offsets), (278, longs(geometry.piece.1)), (279, lengths)]);
        }
        let (x, y, unit) = match self.plan.resolution {
            Some([x, y]) => (Value::Quotient(x.0, x.1), Value::Quotient(y.0, y.1), 3),
            None => (Value::One, Value::One, 1),
        };
        tags.extend([(277, short(samples as u16)), (282, x), (283, y), (284, short(1)), (296, short(unit))]);
        tags.push((305, Value::Text("blockwise".to_owned())));
        let extra = samples - if is_colour { 3 } else { 1 };
        if extra > 0 {
            tags.push((338, Value::Shorts((0..extra).map(|_| 0).collect())));
        }
        tags.push((339, each(format)));
        tags.sort_by_key(|(tag, _)| *tag);
        tags
    }

    /// The directory at byte `at`, with what its tags point to behind it; the next one follows.
    pub(super) fn bytes(&self, at: u64, is_last: bool) -> Vec<u8> {
        let is_big = self.plan.is_big;
        let tags = self.tags();
        let (head, entry, next, inline) = if is_big { (8, 20, 8, 8) } else { (2, 12, 4, 4) };
        let mut out = Vec::new();
        let number = |out: &mut Vec<u8>, value: u64| match is_big {
            true => out.extend(value.to_ne_bytes()),
            false => out.extend((value as u32).to_ne_bytes()),
        };
        match is_big {
            true => out.extend((tags.len() as u64).to_ne_bytes()),
            false => out.extend((tags.len() as u16).to_ne_bytes()),
        }
        let mut behind: Vec<u8> = Vec::new();
        let start = at + head + entry * tags.len() as u64 + next;
        for (tag, value) in &tags {
            let mut bytes = Vec::new();
            let (kind, count): (u16, usize) = match value {
                Value::Shorts(all) => {
                    all.iter().for_each(|value| bytes.extend(value.to_ne_bytes()));
                    (3, all.len())
                }
                Value::Longs(all) => {
                    all.iter().for_each(|value| number(&mut bytes, *value));
                    (if is_big { 16 } else { 4 }, all.len())
                }
                Value::Text(text) => {
                    bytes.extend(text.bytes());
                    bytes.push(0);
                    (2, bytes.len())
                }
                Value::One => {
                    bytes.extend([1_u32.to_ne_bytes(), 1_u32.to_ne_bytes()].concat());
                    (5, 1)
                }
                Value::Quotient(number, of) => {
                    bytes.extend([number.to_ne_bytes(), of.to_ne_bytes()].concat());
                    (5, 1)
                }
            };
            out.extend([tag.to_ne_bytes(), kind.to_ne_bytes()].concat());
            number(&mut out, count as u64);
            if bytes.len() <= inline {
                bytes.resize(inline, 0);
                out.extend(bytes);
            } else if matches!(value, Value::One) {
                number(&mut out, 8); // behind the header
            } else {
                number(&mut out, start + behind.len() as u64);
                behind.extend(bytes);
                behind.resize(behind.len().next_multiple_of(2), 0);
            }
        }
        let length = (start - at) as usize + behind.len();
        number(&mut out, if is_last { 0 } else { (at + length as u64).next_multiple_of(8) });
        out.extend(behind);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }
}
