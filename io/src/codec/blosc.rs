//! C-Blosc version 1 frames.
//!
//! Decoding is our own, in safe Rust: C-Blosc's decoder of blosclz writes out of bounds on some inputs, and its zstd and
//! zlib paths make a context per block. So is encoding with zstd and zlib; for the other compressors and for bit
//! shuffles it calls C-Blosc, on the calling thread. Invariants: the header is held
//! against the input and the output before anything else is read; every block's place is checked. Called through
//! [`Codec`](super::Codec).
//!
//! The format, from C-Blosc's `README_HEADER.rst`: 16 bytes of header (version, inner version, flags, item bytes,
//! decoded, block and encoded bytes, little-endian), the start of each block, then the blocks. A block is one stream,
//! or one for each byte of an item, behind its length; one as long as its content is stored as it is.

mod blosclz;
mod effort;
mod encoder;
mod frame;

use super::CodecError;
use crate::container::BloscShuffle;
use std::ffi::CStr;
use std::fmt;

pub(super) use frame::decode_into;
pub(crate) use frame::{FrameIndex, decode_scratch_bytes};

const NAME: &str = "blosc";

/// The compressor inside of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BloscCompressor {
    /// Blosc's own.
    BloscLz,
    /// LZ4.
    Lz4,
    /// LZ4, the slow encoder.
    Lz4Hc,
    /// zlib.
    Zlib,
    /// Zstandard.
    Zstd,
}

impl BloscCompressor {
    /// The compressor of that name in Blosc; `None` for others (`snappy`).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::BloscLz, Self::Lz4, Self::Lz4Hc, Self::Zlib, Self::Zstd]
            .into_iter()
            .find(|own| own.name() == name)
    }

    /// Its name in Blosc.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default() // ASCII literals
    }

    const fn c_name(self) -> &'static CStr {
        match self {
            Self::BloscLz => c"blosclz",
            Self::Lz4 => c"lz4",
            Self::Lz4Hc => c"lz4hc",
            Self::Zlib => c"zlib",
            Self::Zstd => c"zstd",
        }
    }
}

/// How frames are written. Decoding needs none of it: frames say all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blosc {
    /// The compressor inside.
    pub compressor: BloscCompressor,
    /// 0 (stored) to 9. With zstd, 2 and 3 are faster here than in C-Blosc where more effort would hardly shrink the
    /// content.
    pub level: u8,
    /// What is done before.
    pub shuffle: BloscShuffle,
    /// Bytes of an item, 1 to 255.
    pub item_bytes: u8,
    /// Bytes of a block; 0 lets Blosc choose.
    pub block_bytes: u32,
}

impl Blosc {
    /// Encodes `input` to the start of `output`, which holds at least 16 bytes more.
    #[expect(unsafe_code, reason = "C-Blosc is the encoder that other readers know")]
    pub(super) fn encode_into(&self, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
        let unsupported = |what: String| CodecError::Unsupported { codec: NAME, what };
        if input.len() > blosc_src::BLOSC_MAX_BUFFERSIZE as usize {
            let what =
                format!("a chunk of {} bytes (Blosc's limit is 2 GiB; use smaller chunks)", input.len());
            return Err(unsupported(what));
        }
        if self.level > 9 || self.item_bytes == 0 {
            return Err(unsupported(format!("level {} with items of {} bytes", self.level, self.item_bytes)));
        }
        if let Some(encoded) = encoder::encode_into(self, input, output) {
            return encoded;
        }
        let shuffle = match self.shuffle {
            BloscShuffle::None => blosc_src::BLOSC_NOSHUFFLE,
            BloscShuffle::Byte => blosc_src::BLOSC_SHUFFLE,
            BloscShuffle::Bit => blosc_src::BLOSC_BITSHUFFLE,
        };
        // SAFETY: `input` is valid for reads of `input.len()` bytes and `output` for writes of `output.len()` bytes;
        // they do not overlap, as one is borrowed mutably. Blosc writes at most `destsize` bytes to `dest`. The name
        // is NUL-terminated and static. With one thread the call keeps all its state on its own stack and heap.
        let len = unsafe {
            blosc_src::blosc_compress_ctx(
                self.level.into(),
                shuffle.cast_signed(),
                self.item_bytes.into(),
                input.len(),
                input.as_ptr().cast(),
                output.as_mut_ptr().cast(),
                output.len(),
                self.compressor.c_name().as_ptr(),
                self.block_bytes as usize,
                1,
            )
        };
        match usize::try_from(len) {
            Ok(len) if (16..=output.len()).contains(&len) => Ok(len),
            _ => Err(unsupported(format!("this input of {} bytes (C-Blosc returned {len})", input.len()))),
        }
    }

    /// Bytes that C-Blosc holds while it encodes: two blocks, and the compressor's context for one.
    pub(super) fn encode_scratch_bytes(&self, len: u64) -> u64 {
        let block =
            if self.block_bytes == 0 { len.min(1 << 20) } else { len.min(self.block_bytes.max(128).into()) };
        let context = match (self.compressor, self.level) {
            (BloscCompressor::Zstd, 8..) => 128 << 20,
            (BloscCompressor::Zstd, 4..) => 24 << 20,
            (BloscCompressor::Zstd, _) => 4 << 20,
            _ => 1 << 20,
        };
        block.saturating_mul(2).saturating_add(context)
    }
}

impl fmt::Display for Blosc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shuffle = match self.shuffle {
            BloscShuffle::None => "none",
            BloscShuffle::Byte => "shuffle",
            BloscShuffle::Bit => "bitshuffle",
        };
        let Self { level, item_bytes, block_bytes, .. } = self;
        write!(
            f,
            "blosc({}, level={level}, {shuffle}, item={item_bytes}, block={block_bytes})",
            self.compressor.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressors() -> impl Strategy<Value = BloscCompressor> {
        use BloscCompressor::{BloscLz, Lz4, Lz4Hc, Zlib, Zstd};
        prop::sample::select(vec![BloscLz, Lz4, Lz4Hc, Zlib, Zstd])
    }

    prop_compose! {
        fn frames()(
            compressor in compressors(), level in 0_u8..=9, shuffle in 0..3_usize, item_bytes in 1_u8..20,
            block_bytes in prop_oneof![Just(0_u32), 100_u32..9000], len in 0_usize..40_000, step in 1_usize..90,
            noise in any::<u64>(),
        ) -> (Vec<u8>, Vec<u8>) {
            let shuffle = [BloscShuffle::None, BloscShuffle::Byte, BloscShuffle::Bit][shuffle];
            // Runs, ramps and, in every fourth stretch, noise: so that all kinds of blocks appear.
            let content: Vec<u8> = (0..len as u64).map(|i| {
                let i_step = i / step as u64;
                if i_step % 4 == 3 { (i ^ noise).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7] } else { i_step as u8 }
            }).collect();
            let blosc = Blosc { compressor, level, shuffle, item_bytes, block_bytes };
            let mut encoded = vec![0; len + 16];
            let encoded_len = blosc.encode_into(&content, &mut encoded).unwrap();
            encoded.truncate(encoded_len);
            (content, encoded)
        }
    }

    /// What C-Blosc decodes a frame to.
    #[expect(unsafe_code, reason = "C-Blosc's decoder is the oracle")]
    fn by_c_blosc(encoded: &[u8], len: usize) -> Vec<u8> {
        let mut output = vec![0_u8; len];
        // SAFETY: both slices are valid for their lengths, and the frame is one of our own encoder.
        let decoded = unsafe {
            blosc_src::blosc_decompress_ctx(
                encoded.as_ptr().cast(),
                output.as_mut_ptr().cast(),
                output.len(),
                1,
            )
        };
        assert_eq!(usize::try_from(decoded), Ok(len));
        output
    }

    #[test]
    fn small_frames_shrink() {
        let content = [7, 0, 0, 0].repeat(1000);
        for compressor in [BloscCompressor::Zstd, BloscCompressor::Zlib, BloscCompressor::Lz4] {
            let shuffle = BloscShuffle::Byte;
            let blosc = Blosc { compressor, level: 1, shuffle, item_bytes: 4, block_bytes: 0 };
            let mut encoded = vec![0; content.len() + 16];
            let len = blosc.encode_into(&content, &mut encoded).unwrap();
            assert!(len < 200, "{compressor:?} {len}");
        }
    }

    #[test]
    fn blocks_longer_than_the_content_are_refused() {
        let noise: Vec<u8> = (0..200_u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        for content in [noise, vec![1; 200]] {
            let (compressor, shuffle) = (BloscCompressor::Lz4, BloscShuffle::Byte);
            let blosc = Blosc { compressor, level: 1, shuffle, item_bytes: 1, block_bytes: 0 };
            let mut encoded = vec![0; content.len() + 16];
            let len = blosc.encode_into(&content, &mut encoded).unwrap();
            encoded.truncate(len);
            let mut decoded = vec![0; content.len()];
            decode_into(&encoded, &mut decoded).unwrap();
            assert_eq!(decoded, content);
            encoded[9] = 1; // blocks of 256 bytes more, whether the content is stored as it is or not
            assert!(decode_into(&encoded, &mut decoded).is_err());
        }
    }

    /// Long enough to be sampled: floats with noise in their low bytes, counters, and both.
    #[test]
    fn sampled_frames_come_back_and_do_not_depend_on_what_was_encoded_before() {
        let noise = |i: u32| i.wrapping_mul(0x9e37_79b9) >> 17;
        let field: Vec<u8> =
            (0..200_000).flat_map(|i| (i as f32 / 700.0 + noise(i) as f32 / 1e6).to_le_bytes()).collect();
        let walk = (0..200_000).scan(0_u32, |at, i| {
            *at = at.wrapping_add(noise(i) % 7).wrapping_sub(3);
            Some(*at)
        });
        let walk: Vec<u8> = walk.flat_map(u32::to_le_bytes).collect();
        let both = [&field[..400_000], &walk[..500_004]].concat();
        let mut seen: Vec<(u8, usize, Vec<u8>)> = Vec::new();
        for round in 0..2 {
            for level in [3, 1, 2, 5, 3] {
                for (kind, content) in [&field, &walk, &both].into_iter().enumerate() {
                    let (compressor, shuffle) = (BloscCompressor::Zstd, BloscShuffle::Byte);
                    let blosc = Blosc { compressor, level, shuffle, item_bytes: 4, block_bytes: 0 };
                    let mut encoded = vec![0; content.len() + 16];
                    let len = blosc.encode_into(content, &mut encoded).unwrap();
                    encoded.truncate(len);
                    let mut decoded = vec![0; content.len()];
                    decode_into(&encoded, &mut decoded).unwrap();
                    assert!(decoded == *content, "level {level}, content {kind}");
                    assert!(by_c_blosc(&encoded, content.len()) == *content, "level {level}, content {kind}");
                    match seen.iter().find(|(at, of, _)| (*at, *of) == (level, kind)) {
                        Some((.., first)) => {
                            assert!(*first == encoded, "level {level}, content {kind}, round {round}");
                        }
                        None => seen.push((level, kind, encoded)),
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn what_c_blosc_encodes_decodes((content, encoded) in frames()) {
            let mut output = vec![0; content.len()];
            prop_assert_eq!(decode_into(&encoded, &mut output).unwrap(), content.len());
            prop_assert_eq!(output, content);
        }

        #[test]
        fn c_blosc_decodes_what_is_encoded_here((content, encoded) in frames()) {
            prop_assert_eq!(by_c_blosc(&encoded, content.len()), content);
        }

        #[test]
        fn damage_never_panics((content, mut encoded) in frames(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let at = at.index(encoded.len());
            encoded[at] = to;
            let mut output = vec![0; content.len()];
            let _ = decode_into(&encoded, &mut output); // values may differ: blosc has no checksum
            prop_assert!(decode_into(&encoded[..at], &mut output).is_err());
        }
    }
}
