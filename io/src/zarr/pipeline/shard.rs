//! Shards: inner chunks one after the other, and an index of where they lie.
//!
//! Invariants: an index is used only after its checksum is right and each entry lies within the shard (checked
//! arithmetic) and is no longer than an inner chunk can be; an index has at most 256 MiB. Called by
//! [`Pipeline`], sources and sinks.

use super::{Body, Pipeline, fill_with, internal};
use crate::error::{Error, Result};
use crate::zarr::json::corrupt;
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{Buffer, BufferPool, byteswap};

/// The largest shard index that is read or written: 16 Mi inner chunks.
const INDEX_LIMIT_BYTES: u64 = 256 << 20;

/// What both halves of an entry are where there is no inner chunk.
const ABSENT: u64 = u64::MAX;

/// How a shard is made.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// How inner chunks are encoded.
    pub(crate) inner: Pipeline,
    /// Inner chunks along each encoded axis of the shard.
    counts: Vec<usize>,
    /// Whether the index is in the byte order that is not the machine's.
    index_swapped: bool,
    /// Whether a crc32c follows the index.
    index_checksum: bool,
    /// Whether the index stands before the inner chunks.
    pub(crate) index_at_start: bool,
}

/// Where an inner chunk lies in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) len_bytes: usize,
}

/// The index of one shard.
#[derive(Debug)]
pub(crate) struct ShardIndex {
    entries: Box<[(u64, u64)]>,
}

impl ShardIndex {
    /// Where inner chunk `linear` (in C order of the encoded axes) lies; `None` if it is absent.
    pub(crate) fn place(&self, linear: usize) -> Option<Place> {
        let (offset, len) = *self.entries.get(linear).filter(|entry| **entry != (ABSENT, ABSENT))?;
        Some(Place { offset, len_bytes: usize::try_from(len).ok()? })
    }

    /// Bytes that it takes in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

impl Shard {
    /// A shard of `encoded_shape` items made of inner chunks.
    ///
    /// # Errors
    /// If its index would be too large.
    pub(crate) fn new(
        path: &str,
        inner: Pipeline,
        encoded_shape: &[usize],
        index_swapped: bool,
        index_checksum: bool,
        index_at_start: bool,
    ) -> Result<Self> {
        let lengths = encoded_shape.iter().zip(&inner.shape);
        let counts = lengths.map(|(outer, inner)| outer.checked_div(*inner).unwrap_or(0)).collect();
        let shard = Self { inner, counts, index_swapped, index_checksum, index_at_start };
        let index_bytes = shard.index_bytes() as u64;
        if index_bytes > INDEX_LIMIT_BYTES {
            let size = format!("{index_bytes} bytes");
            let limit = INDEX_LIMIT_BYTES;
            return Err(Error::Limit { path: path.into(), what: "shard index", size, limit });
        }
        Ok(shard)
    }

    /// Inner chunks in the shard.
    pub(crate) fn inner_count(&self) -> usize {
        self.counts.iter().fold(1, |product, count| product.saturating_mul(*count))
    }

    /// Bytes of the stored index.
    pub(crate) fn index_bytes(&self) -> usize {
        self.inner_count().saturating_mul(16).saturating_add(if self.index_checksum { 4 } else { 0 })
    }

    /// Where the index lies in a shard of `shard_bytes`.
    ///
    /// # Errors
    /// If the shard is too small to hold it.
    pub(crate) fn index_place(&self, path: &str, shard_bytes: u64) -> Result<Place> {
        let len_bytes = self.index_bytes();
        let Some(rest) = shard_bytes.checked_sub(len_bytes as u64) else {
            let what = format!("the shard has {shard_bytes} bytes, too few for its index of {len_bytes}");
            return Err(corrupt(path, what));
        };
        Ok(Place { offset: if self.index_at_start { 0 } else { rest }, len_bytes })
    }

    /// The most bytes that a shard may have.
    pub(crate) fn longest_bytes(&self) -> u64 {
        let chunks = (self.inner_count() as u64).saturating_mul(self.inner.longest_encoded());
        chunks.saturating_add(self.index_bytes() as u64)
    }

    /// Position in the index of the inner chunk that holds the item at `at` (encoded axes), and where that item is
    /// in the inner chunk.
    pub(crate) fn locate(&self, at: &[u64]) -> (usize, Vec<u64>) {
        let mut linear = 0;
        let mut within = Vec::with_capacity(at.len());
        for ((at, inner), count) in at.iter().zip(&self.inner.shape).zip(&self.counts) {
            let inner = (*inner as u64).max(1);
            linear = linear * count
                + usize::try_from(at / inner).unwrap_or(usize::MAX).min(count.saturating_sub(1));
            within.push(at % inner);
        }
        (linear, within)
    }

    /// The index that `bytes` are, of a shard of `shard_bytes`.
    ///
    /// # Errors
    /// If the checksum is wrong or an entry leaves the shard.
    pub(crate) fn parse_index(&self, path: &str, mut bytes: Buffer, shard_bytes: u64) -> Result<ShardIndex> {
        if self.index_checksum {
            let stored = bytes.len().checked_sub(4).and_then(|at| bytes.split_at_checked(at));
            let (content, stored) = stored.ok_or_else(|| corrupt(path, "the shard index is cut short"))?;
            let computed = crc32c::crc32c(content);
            if stored != computed.to_le_bytes() {
                let stored =
                    stored.iter().rev().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                let what = format!("the shard index has the checksum {stored}, its content {computed:08x}");
                return Err(corrupt(path, what));
            }
            let len = content.len();
            bytes.truncate(len);
        }
        if self.index_swapped {
            byteswap::swap(&mut bytes, 8).map_err(|error| corrupt(path, error.to_string()))?;
        }
        let longest = self.inner.longest_encoded();
        let (pairs, _) = bytes.as_chunks::<16>();
        let mut entries = Vec::with_capacity(pairs.len());
        for (k, pair) in pairs.iter().enumerate() {
            let [offset, len] = *pair.as_chunks::<8>().0 else {
                return Err(corrupt(path, "the shard index is cut short"));
            };
            let (offset, len) = (u64::from_ne_bytes(offset), u64::from_ne_bytes(len));
            let inside = offset.checked_add(len).is_some_and(|end| end <= shard_bytes);
            if (offset, len) != (ABSENT, ABSENT) && (!inside || len > longest) {
                let what = format!(
                    "entry {k} of the shard index says {len} bytes at {offset}; the shard has {shard_bytes} bytes and an inner chunk at most {longest}"
                );
                return Err(corrupt(path, what));
            }
            entries.push((offset, len));
        }
        Ok(ShardIndex { entries: entries.into() })
    }

    /// The bytes of an index with `places`, in C order of the encoded axes.
    pub(crate) fn encode_index(&self, places: impl Iterator<Item = Option<Place>>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.index_bytes());
        for place in places {
            let (offset, len) =
                place.map_or((ABSENT, ABSENT), |place| (place.offset, place.len_bytes as u64));
            for half in [offset, len] {
                let half = if self.index_swapped { half.swap_bytes() } else { half };
                bytes.extend_from_slice(&half.to_ne_bytes());
            }
        }
        if self.index_checksum {
            bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        }
        bytes
    }

    /// Decodes a whole shard that is in memory, in the arrangement of `outer`'s encoded axes.
    pub(super) fn decode_whole(
        &self,
        path: &str,
        bytes: &Buffer,
        outer: &Pipeline,
        fill: &[u8],
        pool: &BufferPool,
    ) -> Result<Buffer> {
        let copied = |place: Place| {
            let start = usize::try_from(place.offset).ok()?;
            let part = bytes.get(start..start.checked_add(place.len_bytes)?)?;
            let mut buffer = pool.take(part.len());
            buffer.copy_from_slice(part);
            Some(buffer)
        };
        let cut_short = || corrupt(path, "the shard is cut short");
        let shard_bytes = bytes.len() as u64;
        let index_bytes = copied(self.index_place(path, shard_bytes)?).ok_or_else(cut_short)?;
        let index = self.parse_index(path, index_bytes, shard_bytes)?;
        let shape = outer
            .order
            .as_ref()
            .map_or_else(|| outer.shape.clone(), |order| super::permuted(&outer.shape, order));
        let item_bytes = outer.items.dtype.size();
        let mut whole = pool.take(outer.decoded_bytes());
        fill_with(&mut whole, fill);
        let zeros = vec![0; shape.len()];
        for linear in 0..self.inner_count() {
            let Some(place) = index.place(linear) else { continue };
            let encoded = copied(place).ok_or_else(cut_short)?;
            let chunk = self.inner.decode(path, encoded, &self.inner.shape, fill, pool)?;
            let mut origin = vec![0; shape.len()];
            let mut rest = linear;
            for ((slot, count), inner) in origin.iter_mut().zip(&self.counts).zip(&self.inner.shape).rev() {
                *slot = rest % count * inner;
                rest /= count;
            }
            let inner = &self.inner.shape;
            copy_region(&mut whole, &shape, &origin, &chunk, inner, &zeros, inner, item_bytes)
                .map_err(|error| internal(&error))?;
        }
        Ok(whole)
    }

    /// Whether inner chunks can be read one by one although their shard is one in turn.
    pub(crate) fn is_addressable(pipeline: &Pipeline) -> Option<&Self> {
        match &pipeline.body {
            Body::Shard(shard) if pipeline.chain.is_empty() => Some(shard),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Chain;
    use crate::zarr::element::Items;
    use blockwise_kernels::DType;

    fn shard() -> Shard {
        let inner = Pipeline {
            items: Items { dtype: DType::I32, run: None },
            shape: vec![4, 8],
            order: None,
            filters: Vec::new(),
            body: Body::Items { swapped: false },
            chain: Chain::default(),
        };
        Shard::new("s", inner, &[8, 8], false, true, false).unwrap()
    }

    fn index(places: [Option<Place>; 2]) -> Result<ShardIndex> {
        let bytes = shard().encode_index(places.into_iter());
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer.copy_from_slice(&bytes);
        shard().parse_index("s", buffer, 300)
    }

    #[test]
    fn places_must_lie_in_the_shard() {
        let good = Place { offset: 128, len_bytes: 128 };
        let found = index([Some(good), None]).unwrap();
        assert_eq!((found.place(0), found.place(1), found.place(2)), (Some(good), None, None));
        for bad in [(173, 128), (u64::MAX - 63, 128), (u64::MAX, 128), (0, 129), (0, usize::MAX)] {
            let place = Place { offset: bad.0, len_bytes: bad.1 };
            assert!(matches!(index([Some(place), None]), Err(Error::Corrupt { .. })), "{bad:?}");
        }
    }

    #[test]
    fn an_index_is_checked() {
        let mut bytes = shard().encode_index([None, None].into_iter());
        bytes[3] ^= 1;
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer.copy_from_slice(&bytes);
        let error = shard().parse_index("s", buffer, 300).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        assert!(shard().index_place("s", 35).is_err());
        assert_eq!(shard().index_place("s", 100).unwrap(), Place { offset: 64, len_bytes: 36 });
        assert_eq!(shard().locate(&[5, 3]), (1, vec![1, 3]));
    }
}
