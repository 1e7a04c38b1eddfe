//! A hint to the cache that bytes will be needed soon; nothing on machines other than x86-64.
//!
//! Why: a piece of a chunk is many short runs, each on pages of its own, which no hardware prefetcher follows. Hints
//! one loop ahead make such copies half as fast again (measured on 144-byte runs out of 42 MB; see `benches`); hints within a
//! long loop took some 2 % off the processor time of a whole rechunk.
//! Invariant: no effect but on time. Called by `loops`, and by programs for
//! the tiles that come next.

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks for the lines of `bytes[at..at + len]`, as far as they exist.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8], at: usize, len: usize) {
    let Some(bytes) = bytes.get(at..at.wrapping_add(len)) else { return };
    for line in bytes.chunks(LINE_BYTES) {
        hint(line);
    }
    if let Some(last) = bytes.last() {
        hint(std::slice::from_ref(last)); // an unaligned run ends one line further
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the hint takes a pointer; there is no safe form of it")]
#[inline(always)]
fn hint(line: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the pointer comes from a live slice, and the instruction neither faults nor changes memory.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn hint(_: &[u8]) {}
