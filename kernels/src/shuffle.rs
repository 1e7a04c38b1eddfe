//! Byte shuffle as HDF5's filter 2 and numcodecs' `shuffle` do it: the first bytes of all items, then all second
//! bytes, and so on, so that a compressor sees alike bytes side by side.
//!
//! Invariant: `unshuffle(shuffle(x)) == x` for any length and item size; the bytes of an incomplete last item stay
//! behind the planes, as they are. Loops over items of 2, 4 and 8 bytes are compiled for each instruction set; they
//! work on whole numbers and zipped slices alone, for what is left to closures or indices may not become vector code.
//! Called by io's codecs and core's spill files.

use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;

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
        2 => InstructionSet::best().run(Shuffle::<2> { dst, src, count }),
        4 => InstructionSet::best().run(Shuffle::<4> { dst, src, count }),
        8 => InstructionSet::best().run(Shuffle::<8> { dst, src, count }),
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
        2 => InstructionSet::best().run(Unshuffle::<2> { dst, src, count }),
        4 => InstructionSet::best().run(Unshuffle::<4> { dst, src, count }),
        8 => InstructionSet::best().run(Unshuffle::<8> { dst, src, count }),
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
#[inline(always)]
fn split<const N: usize>(bytes: &[u8], count: usize) -> [&[u8]; N] {
    let mut planes = bytes.chunks_exact(count);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

#[inline(always)]
fn split_mut<const N: usize>(bytes: &mut [u8], count: usize) -> [&mut [u8]; N] {
    let mut planes = bytes.chunks_exact_mut(count);
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

/// The first `count` items of `N` bytes into planes.
struct Shuffle<'a, const N: usize> {
    dst: &'a mut [u8],
    src: &'a [u8],
    count: usize,
}

/// The first `count` items of `N` bytes out of planes.
struct Unshuffle<'a, const N: usize> {
    dst: &'a mut [u8],
    src: &'a [u8],
    count: usize,
}

/// Shifts of contiguous loads become vector code, picks of every Nth byte do not; hence items as numbers.
macro_rules! shuffle_numbers {
    ($bytes:literal, $number:ty) => {
        impl NullaryFnOnce for Shuffle<'_, $bytes> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                let items = &self.src.as_chunks::<$bytes>().0[..self.count];
                let mut planes = split_mut::<$bytes>(self.dst, self.count);
                for (block, items) in items.chunks(BLOCK_ITEMS).enumerate() {
                    for (byte, plane) in planes.iter_mut().enumerate() {
                        let plane = &mut plane[block * BLOCK_ITEMS..][..items.len()];
                        for (to, item) in plane.iter_mut().zip(items) {
                            *to = (<$number>::from_le_bytes(*item) >> (8 * byte)) as u8;
                        }
                    }
                }
            }
        }
    };
}
shuffle_numbers!(2, u16);
shuffle_numbers!(4, u32);
shuffle_numbers!(8, u64);

impl NullaryFnOnce for Unshuffle<'_, 2> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let items = &mut self.dst.as_chunks_mut::<2>().0[..self.count];
        let [a, b] = split(self.src, self.count);
        for ((item, a), b) in items.iter_mut().zip(a).zip(b) {
            *item = u16::from_le_bytes([*a, *b]).to_le_bytes();
        }
    }
}

impl NullaryFnOnce for Unshuffle<'_, 4> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let items = &mut self.dst.as_chunks_mut::<4>().0[..self.count];
        let [a, b, c, d] = split(self.src, self.count);
        for ((((item, a), b), c), d) in items.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *item = number(*a, *b, *c, *d).to_le_bytes();
        }
    }
}

impl NullaryFnOnce for Unshuffle<'_, 8> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let items = &mut self.dst.as_chunks_mut::<8>().0[..self.count];
        let [a, b, c, d, e, f, g, h] = split(self.src, self.count);
        let low = a.iter().zip(b).zip(c).zip(d);
        let high = e.iter().zip(f).zip(g).zip(h);
        for ((item, (((a, b), c), d)), (((e, f), g), h)) in items.iter_mut().zip(low).zip(high) {
            let (low, high) = (number(*a, *b, *c, *d), number(*e, *f, *g, *h));
            *item = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
        }
    }
}

#[inline(always)]
fn number(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16 | u32::from(d) << 24
}
