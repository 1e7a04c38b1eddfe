//! Elements picked by index or by mask: take and compress.
//!
//! Invariants: items are bytes, of any size and alignment; indices are checked before anything is written, negative ones
//! count from the end as NumPy's; neighbouring indices are copied as one run. Called by core's tasks for fancy
//! indexing and masks.

use crate::error::check_len;
use crate::{KernelError, Lines};

/// Indices of an axis of `len`, counted from its start.
fn checked(indexes: &[i64], len: usize) -> Result<Vec<usize>, KernelError> {
    let place = |&index: &i64| {
        let from_start = if index < 0 { index.checked_add_unsigned(len as u64) } else { Some(index) };
        let found = from_start.and_then(|index| usize::try_from(index).ok()).filter(|index| *index < len);
        found.ok_or(KernelError::Index { index, len })
    };
    indexes.iter().map(place).collect()
}

/// The runs of neighbours: number of the first, its index, and how many.
fn runs(indexes: &[usize]) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut done = 0;
    indexes.chunk_by(|a, b| a + 1 == *b).map(move |run| {
        let number = done;
        done += run.len();
        (number, run.first().copied().unwrap_or(0), run.len())
    })
}

/// Copies the items of `N` bytes at `places`.
fn copy_items<const N: usize>(out: &mut [u8], input: &[u8], places: &[usize]) {
    let ((to, _), (from, _)) = (out.as_chunks_mut::<N>(), input.as_chunks::<N>());
    for (item, &place) in to.iter_mut().zip(places) {
        *item = from[place];
    }
}

/// Copies the blocks of `block` bytes at `places`, run by run.
fn copy_runs(out: &mut [u8], input: &[u8], places: &[usize], block: usize) {
    for (number, place, count) in runs(places) {
        let source = &input[place * block..(place + count) * block];
        out[number * block..(number + count) * block].copy_from_slice(source);
    }
}

/// Whether most indices follow their neighbour, so that runs are worth the look.
fn is_smooth(places: &[usize]) -> bool {
    let follows = places.windows(2).filter(|pair| matches!(pair, [a, b] if a + 1 == *b)).count();
    follows * 8 > places.len() * 7
}

/// Bytes that [`take`] uses beside input and output.
#[must_use]
pub const fn scratch_bytes(indexes: usize) -> usize {
    indexes.saturating_mul(8)
}

/// Copies the elements at `indexes` of `axis` of a C-ordered chunk of `shape`: `out` is in C order of the shape whose axis
/// has as many elements as there are indices.
///
/// ```
/// use blockwise_kernels::gather::take;
/// let x = [1_u8, 2, 3, 4, 5, 6]; // 2 x 3
/// let mut out = [0; 8];
/// take(&x, &[2, 3], 1, &[-1, 0, 0, 1], 1, &mut out)?;
/// assert_eq!(out, [3, 1, 1, 2, 6, 4, 4, 5]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::Index`], [`KernelError::Axis`], [`KernelError::Length`], [`KernelError::Overflow`]. Nothing was
/// written.
pub fn take(
    input: &[u8],
    shape: &[usize],
    axis: usize,
    indexes: &[i64],
    item_bytes: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    let lines = Lines::new(shape, axis)?;
    let picked = lines
        .count()
        .checked_mul(indexes.len())
        .ok_or_else(|| KernelError::Overflow { shape: vec![lines.outer, indexes.len(), lines.inner] })?;
    check_len("the chunk that is indexed", input.len(), lines.elements(), item_bytes)?;
    check_len("the elements that are picked", out.len(), picked, item_bytes)?;
    let places = checked(indexes, lines.len)?;
    let block = lines.inner * item_bytes;
    if picked == 0 || block == 0 {
        return Ok(());
    }
    let smooth = is_smooth(&places);
    let lines = out.chunks_exact_mut(places.len() * block).zip(input.chunks_exact(lines.len * block));
    for (out, input) in lines {
        match block {
            1 if !smooth => copy_items::<1>(out, input, &places),
            2 if !smooth => copy_items::<2>(out, input, &places),
            4 if !smooth => copy_items::<4>(out, input, &places),
            8 if !smooth => copy_items::<8>(out, input, &places),
            16 if !smooth => copy_items::<16>(out, input, &places),
            _ => copy_runs(out, input, &places, block),
        }
    }
    Ok(())
}

/// How many bools of a mask are true: bytes 0 and 1.
#[must_use]
pub fn count_true(mask: &[u8]) -> usize {
    // Sums of bytes, in blocks that fit a byte's lane.
    mask.chunks(255 * 32)
        .map(|block| block.iter().map(|flag| u64::from(*flag != 0)).sum::<u64>() as usize)
        .sum()
}

/// Calls `run` with the first place and the count of each run of true bools, none longer than a word.
fn each_run(mask: &[u8], mut run: impl FnMut(usize, usize)) {
    let (words, tail) = mask.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        match u64::from_ne_bytes(*word) {
            0 => {}
            0x0101_0101_0101_0101 => run(8 * number, 8),
            _ => {
                (8 * number..).zip(word).filter(|(_, flag)| **flag != 0).for_each(|(place, _)| run(place, 1));
            }
        }
    }
    (8 * words.len()..).zip(tail).filter(|(_, flag)| **flag != 0).for_each(|(place, _)| run(place, 1));
}

fn check_mask(items: usize, mask: &[u8], item_bytes: usize) -> Result<(), KernelError> {
    check_len("the elements that are masked", items, mask.len(), item_bytes)
}

/// Copies the elements whose bool in `mask` is true to the front of `out`, in order; gives how many.
///
/// ```
/// use blockwise_kernels::gather::compress;
/// let mut out = [0; 2];
/// assert_eq!(compress(&[5, 6, 7], &[1, 0, 1], 1, &mut out)?, 2);
/// assert_eq!(out, [5, 7]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::Length`] if there is not one bool per element, or `out` is too short. Nothing was written.
pub fn compress(input: &[u8], mask: &[u8], item_bytes: usize, out: &mut [u8]) -> Result<usize, KernelError> {
    check_mask(input.len(), mask, item_bytes)?;
    let count = count_true(mask);
    if out.len() < count * item_bytes {
        return check_len("the elements that are picked", out.len(), count, item_bytes).map(|()| count);
    }
    let mut at = 0;
    each_run(mask, |first, count| {
        let (from, len) = (first * item_bytes, count * item_bytes);
        out[at..at + len].copy_from_slice(&input[from..from + len]);
        at += len;
    });
    Ok(count)
}
