//! The loops that move bytes, compiled for items of 1, 2, 4, 8 and 16 bytes and once for any other size.
//!
//! Invariant: offsets were checked by `Walk::check`; slices are indexed all the same, so a fault here is a panic and
//! never a stray write. Items are byte arrays: the compiler turns `[u8; 4]` into one unaligned load and store.
//! Called by [`super::copy`] and [`super::copy_region`].

use super::axes::{Axis, Walk};
use super::prefetch::prefetch;

/// Items a side of the blocks that a transpose visits tile by tile, so that their lines and pages stay cached.
const BLOCK_ITEMS: usize = 256;

/// Items a side of a tile for sizes without a typed kernel.
const PLAIN_TILE_ITEMS: usize = 32;

/// Tiles thinner than this are not worth staging.
const THINNEST_STAGED_ITEMS: usize = 6;

/// Items larger than this are whole lines: no need to block a transpose.
const LARGEST_BLOCKED_BYTES: usize = 64;

/// Runs this long are looked ahead for: shorter ones share lines, longer ones the hardware follows.
const LOOKAHEAD_BYTES: std::ops::RangeInclusive<usize> = 32..=1024;

/// Most bytes of one inner loop that the next turn of the outer one is asked for in: they must still be cached when their turn comes.
const LOOKAHEAD_LOOP_BYTES: usize = 16 << 10;

/// Bytes that are asked for ahead within a longer loop: a few tens of lines on their way.
const LOOKAHEAD_WITHIN_BYTES: usize = 2 << 10;

/// The size of an item: a constant to the compiler where it is a usual one.
trait Size: Copy {
    fn bytes(self) -> usize;
    /// Items a side of a full tile.
    fn tile_items(self) -> usize;
    /// Transposes one tile if there is a typed kernel for this size.
    fn tile(self, dst: &mut [u8], src: &[u8], tile: Tile) -> bool;
}

/// A usual size `N`, with tiles of `TILE` by `TILE` items that fit the first-level cache.
#[derive(Clone, Copy)]
struct Fixed<const N: usize, const TILE: usize>;

/// Any other size.
#[derive(Clone, Copy)]
struct Any(usize);

/// A tile whose destination rows are contiguous along `across` and whose source rows are along `down`.
#[derive(Clone, Copy)]
struct Tile {
    /// Byte offsets of the first item.
    dst: usize,
    src: usize,
    /// Bytes from one destination row to the next, and from one source row to the next.
    dst_row: isize,
    src_row: isize,
    /// Items in a destination row, at most `TILE`; as many source rows.
    across: usize,
    /// Items in a source row, at most `TILE`; as many destination rows.
    down: usize,
}

impl<const N: usize, const TILE: usize> Size for Fixed<N, TILE> {
    #[inline(always)]
    fn bytes(self) -> usize {
        N
    }

    #[inline(always)]
    fn tile_items(self) -> usize {
        TILE
    }

    /// Goes through a block on the stack, so that each line of both sides is visited once whatever the strides.
    fn tile(self, dst: &mut [u8], src: &[u8], tile: Tile) -> bool {
        let row_bytes = tile.across * N;
        // Stores wait in a short queue for their lines; hints let the lines come side by side.
        let mut at = tile.dst;
        for _ in 0..tile.down {
            prefetch(dst, at, row_bytes);
            at = at.wrapping_add_signed(tile.dst_row);
        }
        let mut block = [[[0_u8; N]; TILE]; TILE];
        let mut at = tile.src;
        for row in &mut block[..tile.across] {
            row[..tile.down].copy_from_slice(src[at..at + tile.down * N].as_chunks::<N>().0);
            at = at.wrapping_add_signed(tile.src_row);
        }
        let mut at = tile.dst;
        for column in 0..tile.down.min(TILE) {
            let items = dst[at..at + row_bytes].as_chunks_mut::<N>().0;
            for (item, row) in items.iter_mut().zip(&block) {
                *item = row[column];
            }
            at = at.wrapping_add_signed(tile.dst_row);
        }
        true
    }
}

impl Size for Any {
    #[inline(always)]
    fn bytes(self) -> usize {
        self.0
    }

    fn tile_items(self) -> usize {
        PLAIN_TILE_ITEMS
    }

    fn tile(self, _: &mut [u8], _: &[u8], _: Tile) -> bool {
        false
    }
}

/// Runs a checked and simplified copy.
pub(super) fn run(dst: &mut [u8], src: &[u8], walk: Walk) {
    match walk.item_bytes {
        1 => items(Fixed::<1, 64>, dst, src, walk),
        2 => items(Fixed::<2, 64>, dst, src, walk),
        4 => items(Fixed::<4, 64>, dst, src, walk),
        8 => items(Fixed::<8, 32>, dst, src, walk),
        16 => items(Fixed::<16, 16>, dst, src, walk),
        other => items(Any(other), dst, src, walk),
    }
}

fn items<S: Size>(size: S, dst: &mut [u8], src: &[u8], mut walk: Walk) {
    let (d, s) = (walk.dst_start.unsigned_abs(), walk.src_start.unsigned_abs());
    let Some(across) = walk.axes.pop() else {
        return row(size, dst, src, d, s, Axis { len: 1, dst: 0, src: 0 });
    };
    // The axis along which the source runs fastest, if it is not the destination's own.
    let faster =
        walk.axes.iter().enumerate().filter(|(_, axis)| axis.src != 0 && axis.src.abs() < across.src.abs());
    let down = faster.min_by_key(|(_, axis)| axis.src.abs()).map(|(index, _)| index);
    match down.filter(|_| size.bytes() <= LARGEST_BLOCKED_BYTES) {
        Some(index) => {
            let down = walk.axes.remove(index);
            each(&walk.axes, d, s, &mut |d, s| blocks(size, dst, src, d, s, across, down));
        }
        None => match lookahead(size.bytes(), across, walk.axes.last()) {
            Some(ahead) => each(&walk.axes, d, s, &mut |d, s| row_ahead(size, dst, src, d, s, across, ahead)),
            None => each(&walk.axes, d, s, &mut |d, s| row(size, dst, src, d, s, across)),
        },
    }
}

/// Calls `body` with the two byte offsets of every index of the outer loops.
fn each(axes: &[Axis], mut d: usize, mut s: usize, body: &mut impl FnMut(usize, usize)) {
    let Some((axis, inner)) = axes.split_first() else { return body(d, s) };
    for _ in 0..axis.len {
        each(inner, d, s, body);
        d = d.wrapping_add_signed(axis.dst);
        s = s.wrapping_add_signed(axis.src);
    }
}

/// One loop of items.
#[inline]
fn row<S: Size>(size: S, dst: &mut [u8], src: &[u8], mut d: usize, mut s: usize, axis: Axis) {
    let n = size.bytes();
    for _ in 0..axis.len {
        dst[d..d + n].copy_from_slice(&src[s..s + n]);
        d = d.wrapping_add_signed(axis.dst);
        s = s.wrapping_add_signed(axis.src);
    }
}

/// Byte offsets from a run to the one to ask for meanwhile, in the destination and the source; `None` where runs are too short or too
/// long for that.
fn lookahead(run_bytes: usize, axis: Axis, outer: Option<&Axis>) -> Option<(isize, isize)> {
    if !LOOKAHEAD_BYTES.contains(&run_bytes) {
        return None;
    }
    let runs = LOOKAHEAD_WITHIN_BYTES.div_ceil(run_bytes);
    match outer {
        Some(outer) if axis.len.saturating_mul(run_bytes) <= LOOKAHEAD_LOOP_BYTES => {
            Some((outer.dst, outer.src))
        }
        _ if axis.len > runs => {
            let runs = runs.cast_signed();
            Some((runs.wrapping_mul(axis.dst), runs.wrapping_mul(axis.src)))
        }
        _ => None,
    }
}

/// One loop of items, asking for those that lie `ahead`.
#[inline]
fn row_ahead<S: Size>(
    size: S,
    dst: &mut [u8],
    src: &[u8],
    mut d: usize,
    mut s: usize,
    axis: Axis,
    ahead: (isize, isize),
) {
    let n = size.bytes();
    let apart = |step: isize| step.unsigned_abs() != n;
    for _ in 0..axis.len {
        if apart(axis.src) {
            prefetch(src, s.wrapping_add_signed(ahead.1), n);
        }
        if apart(axis.dst) {
            prefetch(dst, d.wrapping_add_signed(ahead.0), n);
        }
        dst[d..d + n].copy_from_slice(&src[s..s + n]);
        d = d.wrapping_add_signed(axis.dst);
        s = s.wrapping_add_signed(axis.src);
    }
}

/// A transpose of `across` (the destination's fast axis) and `down` (the source's), block by block.
fn blocks<S: Size>(size: S, dst: &mut [u8], src: &[u8], d: usize, s: usize, across: Axis, down: Axis) {
    for first_across in (0..across.len).step_by(BLOCK_ITEMS) {
        for first_down in (0..down.len).step_by(BLOCK_ITEMS) {
            let (d, s) = advanced(d, s, across, first_across);
            let (d, s) = advanced(d, s, down, first_down);
            let across = Axis { len: BLOCK_ITEMS.min(across.len - first_across), ..across };
            let down = Axis { len: BLOCK_ITEMS.min(down.len - first_down), ..down };
            tiles(size, dst, src, d, s, across, down);
        }
    }
}

fn tiles<S: Size>(size: S, dst: &mut [u8], src: &[u8], d: usize, s: usize, across: Axis, down: Axis) {
    let side = size.tile_items();
    let unit = size.bytes().cast_signed();
    let typed = across.dst == unit && down.src == unit;
    for first_across in (0..across.len).step_by(side) {
        for first_down in (0..down.len).step_by(side) {
            let (d, s) = advanced(d, s, across, first_across);
            let (d, s) = advanced(d, s, down, first_down);
            let across = Axis { len: side.min(across.len - first_across), ..across };
            let down = Axis { len: side.min(down.len - first_down), ..down };
            let thin = across.len.min(down.len) < THINNEST_STAGED_ITEMS;
            let (dst_row, src_row) = (down.dst, across.src);
            let tile = Tile { dst: d, src: s, dst_row, src_row, across: across.len, down: down.len };
            if !typed || thin || !size.tile(dst, src, tile) {
                let (outer, inner) = if across.len < down.len { (across, down) } else { (down, across) };
                each(&[outer], d, s, &mut |d, s| row(size, dst, src, d, s, inner));
            }
        }
    }
}

/// The offsets `count` steps along `axis`.
#[inline(always)]
fn advanced(d: usize, s: usize, axis: Axis, count: usize) -> (usize, usize) {
    let count = count.cast_signed();
    (d.wrapping_add_signed(count * axis.dst), s.wrapping_add_signed(count * axis.src))
}
