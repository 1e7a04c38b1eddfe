//! What a level of Blosc means for Zstandard, and where a sample says that less effort gives the same.
//!
//! C-Blosc encodes level `n` with Zstandard's `2n - 1` (9: 22), in blocks of 32 to 512 KiB. Blocks here are larger,
//! which is worth about as much as one step of that ladder. So levels 2 and 3, which ask for speed, are encoded one
//! step lower (Zstandard's 1 and 3) unless a sample of the frame shrinks by a twenty-fourth with the step: on
//! shuffled floats, whose low bytes match nothing, it does not, and the search for matches is most of the time; on
//! counters and text it may. The other levels are C-Blosc's: 1 is the fastest there is, 4 and more ask for size. Effort
//! thus never falls from a level to the next.
//!
//! Invariants: the choice follows from the frame's content and parameters alone, so equal chunks encode equally. Called
//! by the encoder, once a frame.

use super::frame::with_scratch;
use crate::codec::zstandard;

/// Shorter frames are not worth a sample: it would take as long as what it saves.
const FEWEST_SAMPLED_BYTES: usize = 512 << 10;
/// A sample is so many windows of so many bytes, encoded one by one: enough to tell a search that pays by several parts
/// in a hundred from one that does not, for a fortieth of a typical chunk's time. Pieces put together would seem to
/// match less than they do.
const WINDOWS: usize = 2;
const WINDOW_BYTES: usize = 32 << 10;
/// The step up must shrink the sample by more than one part in so many.
const GAIN: usize = 24;

/// Zstandard's level for Blosc's `level` (1 to 9) and a frame of `input`, whose items of `item_bytes` are shuffled
/// before (1: they are not).
pub(super) fn zstd_level(level: u8, item_bytes: usize, input: &[u8]) -> i32 {
    let asked = if level >= 9 { 22 } else { i32::from(level) * 2 - 1 };
    if !(2..=3).contains(&level) || input.len() < FEWEST_SAMPLED_BYTES {
        return asked;
    }
    let lower = asked - 2;
    if pays(lower, asked, item_bytes, input).unwrap_or(true) { asked } else { lower }
}

/// Whether `asked` shrinks a sample noticeably more than `lower`. `None` if no sample can be taken.
fn pays(lower: i32, asked: i32, item_bytes: usize, input: &[u8]) -> Option<bool> {
    let len = WINDOW_BYTES / item_bytes * item_bytes;
    with_scratch(2 * len, |scratch| {
        let (shuffled, encoded) = scratch.split_at_mut_checked(len)?;
        let (mut lower_len, mut asked_len) = (0, 0);
        for window in 0..WINDOWS {
            // Well inside: edges of chunks may be padding.
            let at = input.len() / (2 * WINDOWS) * (2 * window + 1) / item_bytes * item_bytes;
            blockwise_kernels::shuffle::shuffle(shuffled, input.get(at..at + len)?, item_bytes).ok()?;
            // What does not fit its place would be stored.
            let mut len_at = |level| zstandard::encode_into(level, false, shuffled, encoded).unwrap_or(len);
            lower_len += len_at(lower);
            asked_len += len_at(asked);
        }
        Some(asked_len < lower_len - lower_len / GAIN)
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
        assert_eq!(zstd_level(3, 4, &field()), 3);
        assert_eq!(zstd_level(2, 4, &field()), 1);
        assert_eq!(zstd_level(3, 4, &counter()), 5);
        let random: Vec<u8> = (0..1 << 20).map(|i| noise(i) as u8).collect();
        assert_eq!(zstd_level(3, 4, &random), 3);
    }

    #[test]
    fn short_frames_and_other_levels_are_those_of_c_blosc() {
        let field = field();
        assert_eq!(zstd_level(3, 4, &field[..FEWEST_SAMPLED_BYTES - 1]), 5);
        let levels: Vec<i32> = (1..=9).map(|level| zstd_level(level, 4, &field)).collect();
        assert_eq!(levels, [1, 1, 3, 7, 9, 11, 13, 15, 22]);
    }

    #[test]
    fn items_of_any_size_are_sampled_whole() {
        let field = field();
        for item_bytes in [1, 2, 3, 7, 16, 100, 255] {
            let len = FEWEST_SAMPLED_BYTES + item_bytes + 1;
            assert!((3..=5).contains(&zstd_level(3, item_bytes, &field[..len])));
        }
    }
}
