//! Byte shuffle as HDF5's filter 2 and numcodecs' `shuffle` do it: the first bytes of all items, then all second
//! bytes, and so on, so that a compressor sees alike bytes side by side.
//!
//! Invariant: `unshuffle(shuffle(x)) == x` for any length and item size; the bytes of an incomplete last item stay
//! behind the planes, as they are. Called by io's filter pipeline.

/// The two slices of a shuffle differ in length. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shuffling {src_len_bytes} bytes takes as many to write to, not {dst_len_bytes}")]
pub struct ShuffleError {
    /// Bytes to write.
    pub dst_len_bytes: usize,
    /// Bytes to read.
    pub src_len_bytes: usize,
}

/// Sorts the bytes of `src`, items of `item_bytes`, into planes. Items of 0 or 1 bytes, or no whole item: a copy.
///
/// ```
/// use blockwise_kernels::shuffle::{shuffle, unshuffle};
/// let items = [1, 2, 1, 2, 1, 2, 9]; // three items of two bytes, and one byte over
/// let (mut planes, mut back) = ([0; 7], [0; 7]);
/// shuffle(&mut planes, &items, 2)?;
/// assert_eq!(planes, [1, 1, 1, 2, 2, 2, 9]);
/// unshuffle(&mut back, &planes, 2)?;
/// assert_eq!(back, items);
/// # Ok::<(), blockwise_kernels::shuffle::ShuffleError>(())
/// ```
///
/// # Errors
/// [`ShuffleError`] if the slices differ in length.
pub fn shuffle(dst: &mut [u8], src: &[u8], item_bytes: usize) -> Result<(), ShuffleError> {
    let Some(count) = planes(dst, src, item_bytes)? else { return Ok(()) };
    match item_bytes {
        2 => shuffle_items(dst, src, count, |item| u16::from_le_bytes(item).into()),
        4 => shuffle_items(dst, src, count, u32::from_le_bytes),
        8 => shuffle_words(dst, src, count),
        _ => {
            let blocks = (0..count).step_by(BLOCK_ITEMS);
            for first in blocks {
                let end = count.min(first + BLOCK_ITEMS);
                let items = &src[first * item_bytes..end * item_bytes];
                for (byte, plane) in dst.chunks_exact_mut(count).take(item_bytes).enumerate() {
                    for (to, item) in plane[first..end].iter_mut().zip(items.chunks_exact(item_bytes)) {
                        *to = item[byte];
                    }
                }
            }
        }
    }
    Ok(())
}

/// Puts the items back together whose bytes [`shuffle`] has sorted into planes.
///
/// # Errors
/// [`ShuffleError`] if the slices differ in length.
pub fn unshuffle(dst: &mut [u8], src: &[u8], item_bytes: usize) -> Result<(), ShuffleError> {
    let Some(count) = planes(dst, src, item_bytes)? else { return Ok(()) };
    match item_bytes {
        2 => unshuffle_items::<2>(dst, src, count),
        4 => unshuffle_items::<4>(dst, src, count),
        8 => unshuffle_words(dst, src, count),
        _ => {
            for first in (0..count).step_by(BLOCK_ITEMS) {
                let end = count.min(first + BLOCK_ITEMS);
                let items = &mut dst[first * item_bytes..end * item_bytes];
                for (byte, plane) in src.chunks_exact(count).take(item_bytes).enumerate() {
                    for (from, item) in plane[first..end].iter().zip(items.chunks_exact_mut(item_bytes)) {
                        item[byte] = *from;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Items that are handled at a time, so that their bytes stay in the first-level cache while planes are visited.
const BLOCK_ITEMS: usize = 512;

/// Checks lengths and copies what is in no plane. The number of items a plane holds, or `None` if all is done.
fn planes(dst: &mut [u8], src: &[u8], item_bytes: usize) -> Result<Option<usize>, ShuffleError> {
    if dst.len() != src.len() {
        return Err(ShuffleError { dst_len_bytes: dst.len(), src_len_bytes: src.len() });
    }
    let count = if item_bytes > 1 { src.len() / item_bytes } else { 0 };
    let sorted_bytes = count * item_bytes;
    dst[sorted_bytes..].copy_from_slice(&src[sorted_bytes..]);
    Ok((count > 0).then_some(count))
}

/// The first `count * N` bytes as `N` planes.
fn split<const N: usize>(bytes: &[u8], count: usize) -> [&[u8]; N] {
    let mut planes = bytes.chunks_exact(count);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

fn split_mut<const N: usize>(bytes: &mut [u8], count: usize) -> [&mut [u8]; N] {
    let mut planes = bytes.chunks_exact_mut(count);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

/// `word` gives an item as a number: shifts of contiguous loads become vector code, picks of every Nth byte do not.
#[inline(always)]
fn shuffle_items<const N: usize>(dst: &mut [u8], src: &[u8], count: usize, word: impl Fn([u8; N]) -> u32) {
    let items = &src.as_chunks::<N>().0[..count];
    let mut planes = split_mut::<N>(dst, count);
    for (block, items) in items.chunks(BLOCK_ITEMS).enumerate() {
        for (byte, plane) in planes.iter_mut().enumerate() {
            let plane = &mut plane[block * BLOCK_ITEMS..][..items.len()];
            for (to, item) in plane.iter_mut().zip(items) {
                *to = (word(*item) >> (8 * byte)) as u8;
            }
        }
    }
}

fn unshuffle_items<const N: usize>(dst: &mut [u8], src: &[u8], count: usize) {
    let items = &mut dst.as_chunks_mut::<N>().0[..count];
    let planes = split::<N>(src, count).map(|plane| &plane[..count]);
    for (i, item) in items.iter_mut().enumerate() {
        *item = std::array::from_fn(|byte| planes[byte][i]);
    }
}

fn shuffle_words(dst: &mut [u8], src: &[u8], count: usize) {
    let (groups, rest) = src[..count * 8].as_chunks::<64>();
    let mut planes = split_mut::<8>(dst, count);
    for (group, items) in groups.iter().enumerate() {
        let rows = transposed(load(items));
        for (plane, row) in planes.iter_mut().zip(rows) {
            plane[group * 8..group * 8 + 8].copy_from_slice(&row.to_le_bytes());
        }
    }
    for (i, item) in rest.as_chunks::<8>().0.iter().enumerate() {
        for (plane, byte) in planes.iter_mut().zip(item) {
            plane[groups.len() * 8 + i] = *byte;
        }
    }
}

fn unshuffle_words(dst: &mut [u8], src: &[u8], count: usize) {
    let planes = split::<8>(src, count).map(|plane| plane.as_chunks::<8>());
    let (groups, rest) = dst[..count * 8].as_chunks_mut::<64>();
    for (group, items) in groups.iter_mut().enumerate() {
        let rows = transposed(planes.map(|(words, _)| u64::from_le_bytes(words[group])));
        for (item, row) in items.as_chunks_mut::<8>().0.iter_mut().zip(rows) {
            *item = row.to_le_bytes();
        }
    }
    for (i, item) in rest.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *item = planes.map(|(_, rest)| rest[i]);
    }
}

fn load(bytes: &[u8; 64]) -> [u64; 8] {
    let mut words = bytes.as_chunks::<8>().0.iter();
    std::array::from_fn(|_| words.next().map_or(0, |word| u64::from_le_bytes(*word)))
}

/// The transpose of an 8 by 8 matrix of bytes, a row a word (Hacker's Delight, 7-3, one level up: bytes for bits).
#[inline(always)]
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    for (distance, mask) in
        [(4, 0x0000_0000_FFFF_FFFF), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF_u64)]
    {
        let bits = 8 * distance as u32;
        for i in (0..8).filter(|i| i & distance == 0) {
            let (low, high) = (rows[i], rows[i + distance]);
            rows[i] = (low & mask) | ((high & mask) << bits);
            rows[i + distance] = ((low >> bits) & mask) | (high & !mask);
        }
    }
    rows
}
