//! Codecs one after the other: Zarr's bytes-to-bytes chain, HDF5's filter pipeline.
//!
//! Invariant: every stage's memory is bounded by the length that the whole chain must decode to, so a bomb in an outer
//! stage is refused there. Called by Zarr and HDF5.

use super::{Codec, CodecError, DecodedLen, check_len, copy_into};
use blockwise_kernels::{Buffer, BufferPool};
use std::fmt;

/// Codecs in the order in which they encode; decoding runs backwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    codecs: Vec<Codec>,
}

impl Chain {
    /// The chain of `codecs`, in encoding order.
    #[must_use]
    pub const fn new(codecs: Vec<Codec>) -> Self {
        Self { codecs }
    }

    /// The codecs in encoding order.
    #[must_use]
    pub fn codecs(&self) -> &[Codec] {
        &self.codecs
    }

    /// Whether encoded bytes are the decoded ones.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codecs.is_empty()
    }

    /// The most bytes that an encoded chunk of `len` decoded bytes may have; longer ones may be refused unread.
    #[must_use]
    pub fn longest_encoded(&self, len: usize) -> u64 {
        self.lengths(len).last().map_or(len, |len| len.most()) as u64
    }

    /// Lengths after each codec when encoding `len` bytes.
    fn lengths(&self, len: usize) -> Vec<DecodedLen> {
        let encoded = self.codecs.iter().scan(DecodedLen::Exact(len), |len, codec| {
            *len = codec.longest_encoded(*len);
            Some(*len)
        });
        encoded.collect()
    }

    /// Decodes a chunk of exactly `len` bytes.
    ///
    /// # Errors
    /// [`CodecError`] of the codec that found the bytes corrupt.
    pub fn decode(&self, input: Buffer, len: usize, pool: &BufferPool) -> Result<Buffer, CodecError> {
        self.decode_without(0, input, len, pool)
    }

    /// As [`decode`](Self::decode), but codec `k` was left out when the chunk was encoded if bit `k` of `skipped` is
    /// set: HDF5's filter mask.
    ///
    /// # Errors
    /// [`CodecError`] of the codec that found the bytes corrupt.
    pub fn decode_without(
        &self,
        skipped: u32,
        input: Buffer,
        len: usize,
        pool: &BufferPool,
    ) -> Result<Buffer, CodecError> {
        let mut bytes = input;
        for (codec, len) in self.stages(skipped, len).into_iter().rev() {
            bytes = codec.decode(bytes, len, pool)?;
        }
        check_len("chunk", bytes.len(), DecodedLen::Exact(len))?;
        Ok(bytes)
    }

    /// Decodes a chunk to exactly fill `output`; the last codec writes there directly. `skipped` is as in
    /// [`decode_without`](Self::decode_without).
    ///
    /// # Errors
    /// [`CodecError`] of the codec that found the bytes corrupt; `output` is then unspecified.
    pub fn decode_into(
        &self,
        skipped: u32,
        input: Buffer,
        output: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), CodecError> {
        let mut stages = self.stages(skipped, output.len()).into_iter();
        let Some((first, _)) = stages.next() else {
            check_len("chunk", input.len(), DecodedLen::Exact(output.len()))?;
            copy_into("chunk", &input, output)?;
            return Ok(());
        };
        let mut bytes = input;
        for (codec, len) in stages.rev() {
            bytes = codec.decode(bytes, len, pool)?;
        }
        let found = first.decode_into(&bytes, output)?;
        check_len(first.name(), found, DecodedLen::Exact(output.len()))
    }

    /// The codecs that were used, in encoding order, with the length that each decodes to.
    fn stages(&self, skipped: u32, len: usize) -> Vec<(&Codec, DecodedLen)> {
        let mut decoded = DecodedLen::Exact(len);
        let mut stages = Vec::with_capacity(self.codecs.len());
        for (k, codec) in self.codecs.iter().enumerate() {
            if skipped.checked_shr(u32::try_from(k).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 0 {
                stages.push((codec, decoded));
                decoded = codec.longest_encoded(decoded);
            }
        }
        stages
    }

    /// Encodes a chunk. An empty chain copies: callers that can do without the copy ask
    /// [`is_empty`](Self::is_empty) first.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn encode(&self, input: &[u8], pool: &BufferPool) -> Result<Buffer, CodecError> {
        let Some((first, rest)) = self.codecs.split_first() else {
            let mut copy = pool.take(input.len());
            copy.copy_from_slice(input);
            return Ok(copy);
        };
        let mut bytes = first.encode(input, pool)?;
        for codec in rest {
            bytes = codec.encode(&bytes, pool)?;
        }
        Ok(bytes)
    }

    /// Bytes that decoding to `len` bytes holds at its peak beyond the decoded bytes: the encoded input, what lies
    /// between the stages, and scratch.
    #[must_use]
    pub fn decode_scratch_bytes(&self, len: usize) -> u64 {
        // While a stage runs, its input and its output live; the output of the last to run is the result itself.
        let mut output = 0_u64;
        let mut decoded = DecodedLen::Exact(len);
        let mut peak = 0_u64;
        for codec in &self.codecs {
            let input = codec.longest_encoded(decoded);
            let held = output.saturating_add(input.most() as u64);
            peak = peak.max(held.saturating_add(codec.decode_scratch_bytes(decoded.most() as u64)));
            (output, decoded) = (input.most() as u64, input);
        }
        peak.max(output)
    }

    /// Bytes that encoding `len` bytes holds at its peak beyond its input.
    #[must_use]
    pub fn encode_scratch_bytes(&self, len: usize) -> u64 {
        let (mut input, mut held, mut peak) = (len as u64, 0_u64, 0_u64);
        for codec in &self.codecs {
            let output = codec.encoded_bound(input);
            let scratch = codec.encode_scratch_bytes(input);
            peak = peak.max(held.saturating_add(output).saturating_add(scratch));
            (input, held) = (output, output);
        }
        if self.codecs.is_empty() { len as u64 } else { peak }
    }
}

impl fmt::Display for Chain {
    /// `shuffle(4) zstd(level=1) crc32c`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, codec) in self.codecs.iter().enumerate() {
            let space = if k == 0 { "" } else { " " };
            write!(f, "{space}{codec}")?;
        }
        if self.codecs.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Blosc, BloscCompressor, Checksum, ChecksumKind};
    use crate::container::BloscShuffle;
    use proptest::prelude::*;

    fn codecs() -> impl Strategy<Value = Codec> {
        use ChecksumKind::{Adler32, Crc32, Crc32c, Fletcher32};
        let blosc = Blosc {
            compressor: BloscCompressor::Lz4,
            level: 5,
            shuffle: BloscShuffle::Byte,
            item_bytes: 4,
            block_bytes: 0,
        };
        let checksums = (prop::sample::select(vec![Adler32, Crc32, Crc32c, Fletcher32]), any::<bool>())
            .prop_map(|(kind, at_start)| Codec::Checksum(Checksum { kind, at_start }));
        prop_oneof![
            Just(Codec::Blosc(blosc)),
            (-5..5, any::<bool>()).prop_map(|(level, checksum)| Codec::Zstd { level, checksum }),
            (0_u32..10).prop_map(|level| Codec::Gzip { level }),
            (0_u32..10).prop_map(|level| Codec::Zlib { level }),
            Just(Codec::Lz4),
            (1_u32..10).prop_map(|level| Codec::Bzip2 { level }),
            checksums,
            (1_usize..17).prop_map(|item_bytes| Codec::Shuffle { item_bytes }),
        ]
    }

    fn content(len: usize, noise: u64) -> Vec<u8> {
        let byte = |i: usize| {
            if (i / 64).is_multiple_of(3) {
                (i as u64 ^ noise).wrapping_mul(noise | 1).to_le_bytes()[6]
            } else {
                (i / 100) as u8
            }
        };
        (0..len).map(byte).collect()
    }

    proptest! {
        #[test]
        fn chains_round_trip_within_their_bounds(
            codecs in prop::collection::vec(codecs(), 0..4), len in 0_usize..5000, noise in any::<u64>(),
        ) {
            let (pool, chain, content) = (BufferPool::new(0), Chain::new(codecs), content(len, noise));
            let encoded = chain.encode(&content, &pool).unwrap();
            prop_assert!(encoded.len() as u64 <= chain.longest_encoded(len));
            let mut copy = pool.take(encoded.len());
            copy.copy_from_slice(&encoded);
            let mut output = vec![0; len];
            chain.decode_into(0, copy, &mut output, &pool).unwrap();
            prop_assert_eq!(&output, &content);
            let decoded = chain.decode(encoded, len, &pool).unwrap();
            prop_assert_eq!(&decoded[..], &content[..]);
        }

        #[test]
        fn damage_is_an_error_or_other_bytes_but_never_a_panic(
            codec in codecs(), len in 1_usize..3000, noise in any::<u64>(),
            at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>(), wanted in 0_usize..3000,
        ) {
            let (pool, chain) = (BufferPool::new(0), Chain::new(vec![codec]));
            let mut damaged = chain.encode(&content(len, noise), &pool).unwrap();
            let at = at.index(damaged.len());
            damaged[at] = to;
            if cut {
                damaged.truncate(at);
            }
            if let Ok(decoded) = chain.decode(damaged, wanted, &pool) {
                prop_assert_eq!(decoded.len(), wanted);
            }
        }

        #[test]
        fn filter_masks_leave_codecs_out(len in 0_usize..500, mask in 0_u32..4) {
            let both = [Codec::Shuffle { item_bytes: 4 }, Codec::Zlib { level: 1 }];
            let used = (0..2).filter(|k| mask >> k & 1 == 0).map(|k| both[k].clone()).collect();
            let (pool, content) = (BufferPool::new(0), content(len, 77));
            let encoded = Chain::new(used).encode(&content, &pool).unwrap();
            let decoded = Chain::new(both.to_vec()).decode_without(mask, encoded, len, &pool).unwrap();
            prop_assert_eq!(&decoded[..], &content[..]);
        }
    }

    #[test]
    fn bombs_are_refused_at_the_stage_that_inflates() {
        let pool = BufferPool::new(0);
        let bomb = Chain::new(vec![Codec::Zlib { level: 9 }, Codec::Gzip { level: 9 }]);
        let encoded = bomb.encode(&vec![0; 64 << 20], &pool).unwrap();
        pool.release_retained();
        let error = bomb.decode(encoded, 1000, &pool).unwrap_err();
        assert!(matches!(error, CodecError::Length { codec: "gzip", .. }), "{error}");
        assert!(bomb.decode_scratch_bytes(1000) < 1 << 20);
    }
}
