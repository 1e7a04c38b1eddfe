//! What every reader takes of the formats of compressed bytes, short of all that the formats allow.
//!
//! gzip allows several members in a row, Zstandard several frames, and frames that do not say how long their content
//! is. Blockwise reads them all; many readers of arrays stop after the first, or refuse. Invariant: what is called
//! plain here is one member or frame that says its length. Called where encoded chunks are handed on as they are.

use super::{Chain, Codec, DecodedLen};
use std::io::Read;
use zstd::zstd_safe;

/// Bytes of a checksum of any kind.
const CHECKSUM_BYTES: usize = 4;

/// Whether [`is_plain`] can tell for `chain`: at most its outermost codec, checksums aside, is gzip or zstd.
pub(crate) fn is_visible(chain: &Chain) -> bool {
    let mut inward = chain.codecs().iter().rev().skip_while(|codec| matches!(codec, Codec::Checksum(_)));
    inward.next();
    !inward.any(|codec| matches!(codec, Codec::Zstd { .. } | Codec::Gzip { .. }))
}

/// Whether `encoded`, which `chain` made of `len` bytes, is what every reader of the codecs takes. Looks at headers
/// and trailers only: bytes that are damaged elsewhere may be plain, bytes that cannot be judged are not.
pub(crate) fn is_plain(chain: &Chain, encoded: &[u8], len: usize) -> bool {
    let (mut content, mut codecs) = (encoded, chain.codecs());
    while let Some((Codec::Checksum(checksum), inner)) = codecs.split_last() {
        let end = content.len().saturating_sub(CHECKSUM_BYTES);
        let range = if checksum.at_start { CHECKSUM_BYTES.min(content.len())..content.len() } else { 0..end };
        (content, codecs) = (content.get(range).unwrap_or_default(), inner);
    }
    let Some((outermost, inner)) = codecs.split_last() else { return true };
    let decoded = || inner.iter().fold(DecodedLen::Exact(len), |len, codec| codec.longest_encoded(len));
    match outermost {
        Codec::Zstd { .. } => is_one_sized_frame(content),
        Codec::Gzip { .. } => matches!(decoded(), DecodedLen::Exact(len) if is_one_member(content, len)),
        _ => true,
    }
}

/// Whether `bytes` are one Zstandard frame with a content size.
fn is_one_sized_frame(bytes: &[u8]) -> bool {
    matches!(zstd_safe::get_frame_content_size(bytes), Ok(Some(_)))
        && zstd_safe::find_frame_compressed_size(bytes).is_ok_and(|frame| frame == bytes.len())
}

/// Whether `bytes`, gzip of `len` bytes, are one member: the last member holds them all, so that others could only
/// be empty, and the first is not.
fn is_one_member(bytes: &[u8], len: usize) -> bool {
    let (Ok(len), Some(stored)) = (u32::try_from(len), bytes.last_chunk()) else { return false };
    let starts_with_content =
        || flate2::bufread::GzDecoder::new(bytes).read(&mut [0]).is_ok_and(|count| count == 1);
    u32::from_le_bytes(*stored) == len && starts_with_content()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Checksum, ChecksumKind};
    use blockwise_kernels::BufferPool;

    const CONTENT: &[u8] = b"some content of a chunk";
    const CRC: Codec = Codec::Checksum(Checksum { kind: ChecksumKind::Crc32c, at_start: false });
    const ZSTD: Codec = Codec::Zstd { level: 1, checksum: true };

    fn encoded(codec: &Codec, content: &[u8]) -> Vec<u8> {
        codec.encode(content, &BufferPool::new(0)).unwrap().to_vec()
    }

    #[test]
    fn our_own_encoders_are_plain() {
        let shuffle = Codec::Shuffle { item_bytes: 4 };
        for codecs in [
            vec![],
            vec![ZSTD],
            vec![ZSTD, CRC],
            vec![shuffle.clone(), Codec::Gzip { level: 1 }, CRC],
            vec![shuffle, Codec::Zlib { level: 1 }],
        ] {
            let chain = Chain::new(codecs);
            let bytes = chain.encode(CONTENT, &BufferPool::new(0)).unwrap();
            assert!(is_visible(&chain) && is_plain(&chain, &bytes, CONTENT.len()), "{chain}");
        }
        assert!(!is_visible(&Chain::new(vec![ZSTD, Codec::Gzip { level: 1 }])));
    }

    #[test]
    fn several_members_are_not_plain() {
        let gzip = Codec::Gzip { level: 1 };
        let (first, second) = CONTENT.split_at(7);
        for parts in [[first, second], [&[], CONTENT], [CONTENT, &[]]] {
            let members = parts.map(|part| encoded(&gzip, part)).concat();
            let chain = Chain::new(vec![gzip.clone()]);
            assert!(!is_plain(&chain, &members, CONTENT.len()), "{parts:?}");
        }
        assert!(!is_plain(&Chain::new(vec![gzip]), &[], CONTENT.len()));
    }

    #[test]
    fn frames_in_a_row_or_without_size_are_not_plain() {
        let (first, second) = CONTENT.split_at(7);
        let two = [encoded(&ZSTD, first), encoded(&ZSTD, second)].concat();
        let mut stream = zstd::stream::Encoder::new(Vec::new(), 1).unwrap(); // writes no content size
        std::io::Write::write_all(&mut stream, CONTENT).unwrap();
        let unsized_frame = stream.finish().unwrap();
        let with_crc = encoded(&CRC, &unsized_frame);
        for (codecs, bytes) in [
            (vec![ZSTD], two),
            (vec![ZSTD], unsized_frame),
            (vec![ZSTD, CRC], with_crc),
            (vec![ZSTD], vec![]),
        ] {
            assert!(!is_plain(&Chain::new(codecs), &bytes, CONTENT.len()));
        }
    }
}
