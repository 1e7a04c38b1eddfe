//! Arrays of texts, read whole: `vlen-utf8` chunks and fixed-length UTF-32.
//!
//! Invariant: texts, and what is decoded on the way, stay within the caller's limit. Called by [`super::array`].

use super::json::{corrupt, path_of};
use super::meta::ArrayMeta;
use super::pipeline::{Body, Pipeline};
use super::source::{Shared, ZarrSource};
use crate::codec::DecodedLen;
use crate::container::{MissingChunks, TextArray};
use crate::error::{Error, Result};
use blockwise_core::region::element_count;
use blockwise_core::{Cancellation, ChunkGrid, Region, Source, TaskContext};
use blockwise_kernels::{Buffer, BufferPool};
use std::sync::Arc;

/// Bytes that a text takes beyond its letters.
const TEXT_BYTES: u64 = size_of::<String>() as u64;

/// Texts being put in their places, within a limit.
struct Filling {
    path: String,
    shape: Vec<u64>,
    texts: Vec<String>,
    held_bytes: u64,
    limit_bytes: u64,
}

impl Filling {
    /// Puts the texts of `region`, in C order; `next` gives each, and is asked for those beyond the array's edge too.
    fn put(&mut self, region: &Region, mut next: impl FnMut(&[u64]) -> Result<String>) -> Result<()> {
        let mut at = region.origin().to_vec();
        for _ in 0..region.len() {
            let text = next(&at)?;
            self.held_bytes = self.held_bytes.saturating_add(text.len() as u64);
            if self.held_bytes > self.limit_bytes {
                return Err(too_large(&self.path, self.held_bytes, self.limit_bytes));
            }
            let linear = at.iter().zip(&self.shape).fold(0, |linear, (at, len)| linear * len + at);
            if let Some(slot) = usize::try_from(linear).ok().and_then(|linear| self.texts.get_mut(linear)) {
                *slot = text;
            }
            for ((slot, start), len) in at.iter_mut().zip(region.origin()).zip(region.shape()).rev() {
                *slot += 1;
                if *slot < start + len {
                    break;
                }
                *slot = *start;
            }
        }
        Ok(())
    }
}

fn too_large(path: &str, bytes: u64, limit: u64) -> Error {
    Error::Limit { path: path.to_owned(), what: "array of texts", size: format!("{bytes} bytes"), limit }
}

/// The texts of the array whose key is `array`.
///
/// # Errors
/// If they exceed `limit_bytes`, or a chunk is corrupt.
pub(crate) fn read(
    shared: &Arc<Shared>,
    array: &str,
    meta: &ArrayMeta,
    limit_bytes: u64,
) -> Result<TextArray> {
    let pipeline = meta.any_pipeline()?;
    let count = element_count(&meta.shape).unwrap_or(u64::MAX);
    let held_bytes = count.saturating_mul(TEXT_BYTES);
    if held_bytes > limit_bytes {
        return Err(too_large(&meta.path, held_bytes, limit_bytes));
    }
    let count = usize::try_from(count).map_err(|_| too_large(&meta.path, held_bytes, limit_bytes))?;
    let mut filling = Filling {
        path: meta.path.clone(),
        shape: meta.shape.clone(),
        texts: vec![String::new(); count],
        held_bytes,
        limit_bytes,
    };
    match &pipeline.body {
        Body::Texts => read_variable(shared, array, meta, pipeline, &mut filling)?,
        _ => read_fixed(shared, array, meta, pipeline, &mut filling)?,
    }
    Ok(TextArray { shape: filling.shape, texts: filling.texts })
}

/// Fixed-length UTF-32: numbers with an axis for the letters.
fn read_fixed(
    shared: &Arc<Shared>,
    array: &str,
    meta: &ArrayMeta,
    pipeline: &Pipeline,
    filling: &mut Filling,
) -> Result<()> {
    let source = ZarrSource::new(Arc::clone(shared), meta.path.clone(), array.to_owned(), meta, pipeline)?;
    let needed = source.read_scratch_bytes().saturating_add(pipeline.decoded_bytes() as u64);
    if needed > filling.limit_bytes {
        return Err(too_large(&meta.path, needed, filling.limit_bytes));
    }
    let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    for index in source.grid().indices() {
        let chunk = source.read(&index, &cx)?;
        let region = source.grid().region(&index)?;
        let rank = meta.shape.len();
        let of_array = |values: &[u64]| values.get(..rank).unwrap_or_default().to_vec();
        let outer = Region::new(of_array(region.origin()), of_array(region.shape()))?;
        let letters = pipeline.items.run.and_then(|run| usize::try_from(run).ok()).unwrap_or(1);
        let mut elements = chunk.bytes().as_chunks::<4>().0.chunks(letters);
        filling.put(&outer, |at| {
            let codes = elements.next().unwrap_or_default().iter().map(|code| u32::from_ne_bytes(*code));
            let codes: Vec<u32> = codes.collect();
            let len = codes.iter().rposition(|code| *code != 0).map_or(0, |last| last + 1);
            let text: Option<String> = codes.iter().take(len).map(|code| char::from_u32(*code)).collect();
            text.ok_or_else(|| corrupt(&meta.path, format!("the text at {at:?} is no Unicode")))
        })?;
    }
    Ok(())
}

/// `vlen-utf8`: the number of texts, then each behind its length, all numbers of 32 bits, little-endian.
fn read_variable(
    shared: &Arc<Shared>,
    array: &str,
    meta: &ArrayMeta,
    pipeline: &Pipeline,
    filling: &mut Filling,
) -> Result<()> {
    let grid: ChunkGrid = meta.object_grid()?;
    let pool = BufferPool::new(0);
    for index in grid.indices() {
        let region = grid.region(&index)?;
        let key = meta.keys.key(array, &index);
        let path = path_of(&*shared.store, &key);
        let Some(encoded) = shared.store.get(&key, filling.limit_bytes, &pool)? else {
            match shared.missing_chunks {
                MissingChunks::Fill => {}
                MissingChunks::Warn => {
                    tracing::warn!("{path}: the chunk is missing and reads as empty texts");
                }
                MissingChunks::Error => return Err(Error::MissingChunk { path }),
            }
            filling.put(&region, |_| Ok(meta.fill_text.clone()))?;
            continue;
        };
        let bytes = decode(pipeline, &path, &encoded, filling.limit_bytes, &pool)?;
        let texts = split(&path, &bytes, element_count(&meta.chunk_shape).unwrap_or(u64::MAX))?;
        filling.put(&region, |at| {
            let within = at.iter().zip(&meta.chunk_shape).map(|(at, len)| (at % len, len));
            let (mut linear, mut step) = (0_u64, 1_u64);
            let axes: Vec<(u64, &u64)> = within.collect();
            let order: Vec<usize> = match &pipeline.order {
                Some(order) => order.clone(),
                None => (0..axes.len()).collect(),
            };
            for axis in order.into_iter().rev() {
                let Some((at, len)) = axes.get(axis) else { continue };
                linear += at * step;
                step = step.saturating_mul(**len);
            }
            let text = usize::try_from(linear).ok().and_then(|linear| texts.get(linear));
            text.map(|text| (*text).to_owned()).ok_or_else(|| corrupt(&path, "the chunk has too few texts"))
        })?;
    }
    Ok(())
}

/// Decodes a chunk whose length is not known: with growing limits, so that memory follows the content.
fn decode(
    pipeline: &Pipeline,
    path: &str,
    encoded: &Buffer,
    limit_bytes: u64,
    pool: &BufferPool,
) -> Result<Buffer> {
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let mut most = encoded.len().saturating_mul(4).max(64 << 10).min(limit);
    loop {
        let mut copy = pool.take(encoded.len());
        copy.copy_from_slice(encoded);
        match pipeline.decode_chain(path, copy, DecodedLen::AtMost(most), pool) {
            Err(_) if most < limit => most = most.saturating_mul(8).min(limit),
            other => return other,
        }
    }
}

/// The texts in `bytes`.
fn split<'a>(path: &str, bytes: &'a [u8], expected: u64) -> Result<Vec<&'a str>> {
    let cut_short = || corrupt(path, "vlen-utf8: the chunk is cut short");
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_short)?;
    let count = u64::from(u32::from_le_bytes(*count));
    // Each text has at least its length, so the count is bounded by the bytes there are.
    if count != expected || count > rest.len() as u64 / 4 {
        let bytes = bytes.len();
        let what = format!("vlen-utf8: {count} texts in {bytes} bytes, the chunk has {expected} elements");
        return Err(corrupt(path, what));
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| cut_short())?;
        let (text, after) = after.split_at_checked(len).ok_or_else(cut_short)?;
        texts.push(std::str::from_utf8(text).map_err(|error| corrupt(path, format!("vlen-utf8: {error}")))?);
        rest = after;
    }
    if rest.is_empty() { Ok(texts) } else { Err(corrupt(path, "vlen-utf8: bytes follow the last text")) }
}

/// The bytes of the chunk that holds `region` of `array`, with empty texts beyond the array's edge; `None` if a length
/// does not fit 32 bits.
pub(crate) fn encode(region: &Region, chunk_shape: &[u64], array: &TextArray) -> Option<Vec<u8>> {
    let full = Region::whole(chunk_shape).ok()?;
    let mut bytes = u32::try_from(full.len()).ok()?.to_le_bytes().to_vec();
    let mut within = vec![0_u64; chunk_shape.len()];
    for _ in 0..full.len() {
        let inside = within.iter().zip(region.shape()).all(|(at, len)| at < len);
        let steps = within.iter().zip(region.origin()).zip(&array.shape);
        let linear = steps.fold(0, |linear, ((at, start), len)| linear * len + start + at);
        let text = usize::try_from(linear).ok().filter(|_| inside).and_then(|linear| array.texts.get(linear));
        let text = text.map(String::as_str).unwrap_or_default();
        bytes.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        for (at, len) in within.iter_mut().zip(chunk_shape).rev() {
            *at += 1;
            if *at < *len {
                break;
            }
            *at = 0;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_lies_are_found() {
        let texts = ["", "ü", "three"];
        let array = TextArray { shape: vec![3], texts: texts.map(str::to_owned).to_vec() };
        let bytes = encode(&Region::whole(&[3]).unwrap(), &[3], &array).unwrap();
        assert_eq!(split("p", &bytes, 3).unwrap(), texts);
        assert!(split("p", &bytes, 2).is_err());
        for len in 0..bytes.len() {
            assert!(split("p", &bytes[..len], 3).is_err(), "{len}");
        }
        let huge = u32::MAX.to_le_bytes();
        assert!(split("p", &huge, u64::from(u32::MAX)).is_err());
        assert!(split("p", &[1, 0, 0, 0, 1, 0, 0, 0, 0xff], 1).is_err());
    }
}
