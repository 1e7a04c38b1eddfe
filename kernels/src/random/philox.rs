//! Philox4x32-10, block by block and many blocks at once.
//!
//! Invariant: the words of an element are a function of seed, stream and its index. Called by [`super::Random`].

use crate::simd::InstructionSet;
use pulp::NullaryFnOnce;

/// Elements that are looked at together: neighbours or not.
const SIDE: usize = 64;
const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

/// One block: Philox4x32-10 of a counter under a key.
#[must_use]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        (c0, c1, c2, c3) = round(c0, c1, c2, c3, k0, k1);
        (k0, k1) = (k0.wrapping_add(STEPS[0]), k1.wrapping_add(STEPS[1]));
    }
    [c0, c1, c2, c3]
}

#[inline(always)]
fn round(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32) -> (u32, u32, u32, u32) {
    let a = u64::from(MULTIPLIERS[0]) * u64::from(c0);
    let b = u64::from(MULTIPLIERS[1]) * u64::from(c2);
    ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32)
}

const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// One word for each element of `indices`: elements `2i` and `2i + 1` share the block `(i, 0, stream)`.
pub(super) fn words(seed: u64, stream: u32, indices: &[u64], out: &mut [u64]) {
    InstructionSet::best().run(Words { seed, stream, indices, out });
}

struct Words<'a> {
    seed: u64,
    stream: u32,
    indices: &'a [u64],
    out: &'a mut [u64],
}

impl NullaryFnOnce for Words<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Self { seed, stream, indices, out } = self;
        for (indices, out) in indices.chunks(SIDE).zip(out.chunks_mut(SIDE)) {
            let first = indices.first().copied().unwrap_or_default();
            let apart = indices.iter().zip(first..).fold(0, |apart, (a, b)| apart | (a ^ b));
            if apart > 0 {
                // Each has a block of its own.
                for (index, word) in indices.iter().zip(out) {
                    let [even, odd] = wide(seed, stream, index / 2);
                    *word = if index % 2 == 0 { even } else { odd };
                }
                continue;
            }
            // Neighbours share blocks, but for a first and a last one that stand alone.
            let (odd, rest) = out.split_at_mut((first % 2) as usize);
            if let [word] = odd {
                [_, *word] = wide(seed, stream, first / 2);
            }
            let (pairs, even) = rest.as_chunks_mut::<2>();
            let block = first.div_ceil(2);
            if let [word] = even {
                [*word, _] = wide(seed, stream, block + pairs.len() as u64);
            }
            for (block, pair) in (block..).zip(pairs) {
                *pair = wide(seed, stream, block);
            }
        }
    }
}

/// The words of a block. Each part of the counter has a word whose upper half is anything until the end: so a loop over
/// blocks is one of vectors whose multiplications are those of the machine.
#[inline(always)]
fn wide(seed: u64, stream: u32, block: u64) -> [u64; 2] {
    const LOW: u64 = u32::MAX as u64;
    let (mut c0, mut c1, mut c2, mut c3) = (block, block >> 32, 0, u64::from(stream));
    let [mut k0, mut k1] = halves(seed);
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * (c0 & LOW);
        let b = u64::from(MULTIPLIERS[1]) * (c2 & LOW);
        (c0, c1, c2, c3) = ((b >> 32) ^ c1 ^ u64::from(k0), b, (a >> 32) ^ c3 ^ u64::from(k1), a);
        (k0, k1) = (k0.wrapping_add(STEPS[0]), k1.wrapping_add(STEPS[1]));
    }
    [(c0 & LOW) | c1 << 32, (c2 & LOW) | c3 << 32]
}

/// Any number of words of one element: from the blocks `(element, 1, stream)`, `(element, 2, stream)` and so on.
pub(super) struct Draws {
    key: [u32; 2],
    counter: [u32; 4],
    second: Option<u64>,
}

impl Draws {
    pub(super) fn new(seed: u64, stream: u32, element: u64) -> Self {
        let [low, high] = halves(element);
        Self { key: halves(seed), counter: [low, high, 0, stream], second: None }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> u64 {
        if let Some(word) = self.second.take() {
            return word;
        }
        self.counter[2] = self.counter[2].wrapping_add(1);
        let [a, b, c, d] = philox4x32(self.counter, self.key);
        self.second = Some(u64::from(c) | u64::from(d) << 32);
        u64::from(a) | u64::from(b) << 32
    }

    /// The next number between 0 and 1, without both.
    pub(super) fn open(&mut self) -> f64 {
        super::open(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 library.
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox4x32([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn words_are_those_of_the_blocks() {
        let (seed, stream, first) = (0x0123_4567_89ab_cdef, 7, (1 << 33) - 5);
        // Neighbours, then elements that stand apart.
        let indices: Vec<u64> = (first..first + 40).chain((0..37).map(|i| first + 3 * i)).collect();
        let mut out = [0; 77];
        words(seed, stream, &indices, &mut out);
        for (element, word) in indices.into_iter().zip(out) {
            let block = philox4x32(
                [(element / 2) as u32, ((element / 2) >> 32) as u32, 0, stream],
                [seed as u32, (seed >> 32) as u32],
            );
            let half = 2 * (element % 2) as usize;
            assert_eq!(word, u64::from(block[half]) | u64::from(block[half + 1]) << 32);
        }
    }
}
