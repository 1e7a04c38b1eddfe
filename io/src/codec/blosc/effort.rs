//! What a level of Blosc means for Zstandard, and where a sample says that less effort gives the same.
//!
//! C-Blosc encodes level `n` with Zstandard's `2n - 1` (9: 22), in blocks of 32 to 512 KiB. Blocks here are larger,
//! which is worth about as much as one step of that ladder. So levels 2 and 3, which ask for speed, are encoded with the
//! lowest of Zstandard's 1, 3 and 5, up to the level's own, with which a sample of the frame is at most a twenty-fourth
//! longer than with that: on shuffled floats, whose low bytes match nothing, the search for matches finds little and is
//! most of the time (measured on differences from a mean, of 1 MiB blocks: 1.9, 3.1 and 6.1 s/GB, to 0.599, 0.604 and
//! 0.601 of their length); on counters and text it may pay. The other levels are C-Blosc's: 1 is the fastest there
//! is, 4 and more ask for size.
//!
//! Invariants: the choice follows from the frame's content and parameters alone, so equal chunks encode equally. Called
//! by the encoder, once a frame.

use super::frame::with_scratch;
use crate::codec::zstandard;

/// Shorter frames are not worth a sample: it would take as long as what it saves.
const FEWEST_SAMPLED_BYTES: usize = 512 << 10;
/// A sample is so many windows of so many bytes, encoded one by one: enough to tell a search that pays by several parts
/// in a hundred from one that does not, for a thirtieth of a typical chunk's time. Pieces put together would seem to
/// match less than they do.
const WINDOWS: usize = 2;
const WINDOW_BYTES: usize = 32 << 10;
/// A lower level may make the sample longer by one part in so many.
const GAIN: usize = 24;

/// Zstandard's level for Blosc's `level` (1 to 9) and a frame of `input`, whose items of `item_bytes` are shuffled
/// before (1: they are not).
pub(super) fn zstd_level(level: u8, item_bytes: usize, input: &[u8]) -> i32 {
    let asked = if level >= 9 { 22 } else { i32::from(level) * 2 - 1 };
    if !(2..=3).contains(&level) || input.len() < FEWEST_SAMPLED_BYTES {
        return asked;
    }
    least_level(asked, item_bytes, input).unwrap_or(asked)
}

/// The least odd level with which a sample is not noticeably longer than with `asked`. `None` if no sample can be taken.
fn least_level(asked: i32, item_bytes: usize, input: &[u8]) -> Option<i32> {
    let len = WINDOW_BYTES / item_bytes * item_bytes;
    with_scratch(2 * len, |scratch| {
        let (shuffled, encoded) = scratch.split_at_mut_checked(len)?;
        let mut lens = [0; 3]; // of the levels 1, 3 and 5, up to the asked one
        for window in 0..WINDOWS {
            // Well inside: edges of chunks may be padding.
            let at = input.len() / (2 * WINDOWS) * (2 * window + 1) / item_bytes * item_bytes;
            blockwise_kernels::shuffle::shuffle(shuffled, input.get(at..at + len)?, item_bytes).ok()?;
            for (own, level) in lens.iter_mut().zip((1..=asked).step_by(2)) {
                // What does not fit its place would be stored.
                *own += zstandard::encode_into(level, false, shuffled, encoded).unwrap_or(len);
            }
        }
        let mut tried = lens.iter().zip((1..=asked).step_by(2));
        let (asked_len, _) = tried.clone().last()?;
        tried.find(|(len, _)| **len <= asked_len + asked_len / GAIN).map(|(_, level)| level)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64) -> u64 {
        let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
    }

    /// A smooth wave with noise in its low bits, as measured fields have it.
    fn field() -> Vec<u8> {
        let value = |i: u64| 280.0 + (i as f32 / 900.0).sin() * 9.0 + (noise(i) % 256) as f32 / 512.0;
        (0..300_000).flat_map(|i| value(i).to_le_bytes()).collect()
    }

    /// A random walk in integers: its low bytes come in runs and in a few repeated steps, which take a search.
    fn counter() -> Vec<u8> {
        let walk = (0..300_000).scan(0_i32, |at, i| {
            *at += (noise(i) % 7) as i32 - 3;
            Some(*at)
        });
        walk.flat_map(i32::to_le_bytes).collect()
    }

    #[test]
    fn fields_take_the_lower_level_and_counters_the_asked_one() {
        assert_eq!(zstd_level(3, 4, &field()), 1);
        assert_eq!(zstd_level(2, 4, &field()), 1);
        assert_eq!(zstd_level(3, 4, &counter()), 5);
        let random: Vec<u8> = (0..1 << 20).map(|i| noise(i) as u8).collect();
        assert_eq!(zstd_level(3, 4, &random), 1);
    }

    #[test]
    fn short_frames_and_other_levels_are_those_of_c_blosc() {
        let field = field();
        assert_eq!(zstd_level(3, 4, &field[..FEWEST_SAMPLED_BYTES - 1]), 5);
        let levels: Vec<i32> = (1..=9).map(|level| zstd_level(level, 4, &field)).collect();
        assert_eq!(levels, [1, 1, 1, 7, 9, 11, 13, 15, 22]);
    }

    #[test]
    fn items_of_any_size_are_sampled_whole() {
        let field = field();
        for item_bytes in [1, 2, 3, 7, 16, 100, 255] {
            let len = FEWEST_SAMPLED_BYTES + item_bytes + 1;
            assert!((1..=5).contains(&zstd_level(3, item_bytes, &field[..len])));
        }
    }
}
