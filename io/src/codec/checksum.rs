//! Checksums before or after the content: crc32c, crc32, adler32, fletcher32.
//!
//! Invariant: a checksum that differs is an error that states both. Called through [`Codec`](super::Codec).
//! fletcher32 is HDF5's variant (sums of big-endian 16-bit words modulo 65535, an odd last byte as the high one),
//! stored little-endian; numcodecs has the same.

use super::CodecError;
use blockwise_kernels::Buffer;
use std::fmt;

/// Which checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-32, as gzip and zlib have it.
    Crc32,
    /// Adler-32.
    Adler32,
    /// Fletcher-32, as HDF5 has it.
    Fletcher32,
}

impl ChecksumKind {
    /// Its name in Zarr.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::Crc32 => "crc32",
            Self::Adler32 => "adler32",
            Self::Fletcher32 => "fletcher32",
        }
    }

    /// The checksum of `content`.
    #[must_use]
    pub fn of(self, content: &[u8]) -> u32 {
        match self {
            Self::Crc32c => crc32c::crc32c(content),
            Self::Crc32 => libdeflater::crc32(content),
            Self::Adler32 => libdeflater::adler32(content),
            Self::Fletcher32 => fletcher32(content),
        }
    }
}

/// A checksum of four little-endian bytes beside the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Which one.
    pub kind: ChecksumKind,
    /// Whether it stands before the content (numcodecs' crc32 and adler32) or after it.
    pub at_start: bool,
}

impl Checksum {
    /// The content of `input`, if its checksum is right.
    pub(super) fn verified<'a>(&self, input: &'a [u8]) -> Result<&'a [u8], CodecError> {
        let name = self.kind.name();
        let parts = if self.at_start {
            input.split_first_chunk::<4>()
        } else {
            input.split_last_chunk::<4>().map(|(content, stored)| (stored, content))
        };
        let Some((stored, content)) = parts else {
            let what = format!("{} bytes are too few to hold the checksum", input.len());
            return Err(CodecError::corrupt(name, what));
        };
        let (stored, computed) = (u32::from_le_bytes(*stored), self.kind.of(content));
        // Old HDF5 on big-endian machines stored each half of a Fletcher checksum byte-swapped.
        let swapped = ((computed & 0x00ff_00ff) << 8) | ((computed >> 8) & 0x00ff_00ff);
        let old_hdf5 = self.kind == ChecksumKind::Fletcher32 && stored == swapped;
        if stored == computed || old_hdf5 {
            return Ok(content);
        }
        let what = format!("the stored checksum is {stored:08x}, the content's is {computed:08x}");
        Err(CodecError::corrupt(name, what))
    }

    /// Checks the checksum and takes it off.
    pub(super) fn strip(&self, input: &mut Buffer) -> Result<(), CodecError> {
        let len = self.verified(input)?.len();
        if self.at_start {
            input.copy_within(4.., 0);
        }
        input.truncate(len);
        Ok(())
    }

    /// Writes content and checksum to the start of `output`, which holds at least four bytes more than `input`.
    pub(super) fn encode_into(&self, input: &[u8], output: &mut [u8]) -> usize {
        let checksum = self.kind.of(input).to_le_bytes();
        let (first, second) = if self.at_start { (&checksum[..], input) } else { (input, &checksum[..]) };
        let (start, rest) = output.split_at_mut(first.len());
        start.copy_from_slice(first);
        rest[..second.len()].copy_from_slice(second);
        input.len() + 4
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.name(), if self.at_start { "(start)" } else { "" })
    }
}

/// HDF5's Fletcher-32.
fn fletcher32(content: &[u8]) -> u32 {
    let (words, odd) = content.as_chunks::<2>();
    let (mut sum1, mut sum2) = (0_u64, 0_u64);
    // 2^20 words: sum1 stays below 2^37 and sum2 below 2^57.
    for block in words.chunks(1 << 20) {
        for word in block {
            sum1 += u64::from(u16::from_be_bytes(*word));
            sum2 += sum1;
        }
        (sum1, sum2) = (fold(sum1), fold(sum2));
    }
    if let [last] = odd {
        sum1 = fold(sum1 + (u64::from(*last) << 8));
        sum2 = fold(sum2 + sum1);
    }
    #[expect(clippy::cast_possible_truncation, reason = "both are at most 65535")]
    let checksum = ((sum2 << 16) | sum1) as u32;
    checksum
}

/// Brings a sum into 16 bits modulo 65535 as the original does: by adding the carries, so that a sum of 65535 stays.
const fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let text = b"123456789";
        assert_eq!(ChecksumKind::Crc32c.of(text), 0xe306_9283);
        assert_eq!(ChecksumKind::Crc32.of(text), 0xcbf4_3926);
        assert_eq!(ChecksumKind::Adler32.of(text), 0x091e_01de);
        // Computed by numcodecs 0.15 (which follows HDF5's C code).
        assert_eq!(ChecksumKind::Fletcher32.of(text), 0x09df_09d5);
        assert_eq!(ChecksumKind::Fletcher32.of(&[0xff; 1000]), 0xffff_ffff);
        assert_eq!(ChecksumKind::Fletcher32.of(&[0xff; 3_000_001]), 0xff00_ff00);
        let ramp: Vec<u8> = (0..=255).cycle().take(256 * 9001).collect();
        assert_eq!(ChecksumKind::Fletcher32.of(&ramp), 0x989b_817e);
        assert_eq!(ChecksumKind::Fletcher32.of(&[]), 0);
    }
}
