//! [`trials`]: a chunk of what was stored, encoded again by its own codec and by others that its format has.
//!
//! Invariant: no more than [`MOST_BYTES`] are decoded, nor more than a quarter of the budget; what is written goes to a
//! temporary folder. Called by [`Recorder`], where encoding took much of a run.

use super::super::Recorder;
use crate::codec_text::{codec_text, parse_codec};
use crate::location::Location;
use crate::spec::ArrayOptions;
use crate::store::{StoreOptions, to_hdf5, to_zarr};
use blockwise_core::plan::Resources;
use blockwise_core::region::byte_count;
use blockwise_core::{Array, Session};
use blockwise_io::{ElementType, Format, OpenOptions};
use std::sync::Arc;
use std::time::Instant;

/// Decoded bytes of the largest chunk that is tried.
const MOST_BYTES: u64 = 64 << 20;
/// Each codec's best of so many counts,
const ROUNDS: usize = 3;
/// or of fewer once its rounds took so long.
const MOST_SECS: f64 = 0.5;

/// What a codec made of a chunk.
pub(in crate::record) struct Trial {
    /// In the words of `--codec`.
    pub(super) codec: String,
    /// Seconds of encoding.
    pub(super) secs: f64,
    /// Encoded bytes.
    pub(super) bytes: u64,
}

/// A chunk from the middle of a stored array, encoded by its own codec, then by faster ones; none if it cannot be tried.
pub(in crate::record) fn trials(location: &Location, resources: &Resources) -> Option<Vec<Trial>> {
    let opened = location.open(&OpenOptions::default()).ok()?;
    let info = opened.only_array().ok()?;
    let others: &[&str] = match info.format {
        Format::Zarr2 | Format::Zarr3 => &["blosc:zstd:1:shuffle", "blosc:lz4:1:shuffle"],
        Format::Hdf5 | Format::NetCdf4 => &["deflate:1+shuffle"],
        _ => return None,
    };
    if !matches!(info.element_type, ElementType::Number(_)) {
        return None;
    }
    let own = codec_text(info.codec.as_ref()?);
    let whole = Array::from_source(opened.array(&info.path).ok()?.source().ok()?);
    let bytes = byte_count(&whole.grid().largest_chunk(), whole.dtype().size())?;
    if bytes > MOST_BYTES.min(resources.budget_bytes / 4) {
        return None;
    }
    let session = Session::new(resources.here());
    let part = session.persist(&middle_chunk(&whole)?).ok()?;
    let folder = tempfile::tempdir_in(&resources.spill_folder).ok()?;
    let is_zarr = matches!(info.format, Format::Zarr2 | Format::Zarr3);
    let encoded = |codec: &str| {
        let arrays = ArrayOptions { codec: Some(parse_codec(codec).ok()?), ..ArrayOptions::default() };
        let options = StoreOptions { arrays, overwrite: true, ..StoreOptions::default() };
        let mut best: Option<Trial> = None;
        let began = Instant::now();
        for round in 0..ROUNDS {
            if round > 0 && began.elapsed().as_secs_f64() > MOST_SECS {
                break;
            }
            let recorder = Arc::new(Recorder::new());
            let watched = session.clone().with_observer(Arc::clone(&recorder) as Arc<_>);
            let report = if is_zarr {
                to_zarr(&watched, &[(&part, "x")], folder.path().join("chunk.zarr"), &options)
            } else {
                to_hdf5(&watched, &[(&part, "x")], folder.path().join("chunk.h5"), &options)
            };
            let (report, secs) = (report.ok()?, recorder.encoding_secs());
            if best.as_ref().is_none_or(|best| secs < best.secs) {
                best = Some(Trial { codec: codec.to_owned(), secs, bytes: report.stored_bytes });
            }
        }
        best
    };
    let mut found = vec![encoded(&own)?];
    found.extend(others.iter().filter(|codec| **codec != own).filter_map(|codec| encoded(codec)));
    Some(found)
}

/// The chunk in the middle of an array.
fn middle_chunk(whole: &Array) -> Option<Array> {
    let mut part = whole.clone();
    for (axis, cut) in whole.grid().axes().iter().enumerate() {
        let chunk = cut.count().checked_sub(1)? / 2;
        let (start, end) = (i64::try_from(cut.start(chunk)).ok()?, i64::try_from(cut.start(chunk + 1)).ok()?);
        part = part.slice(axis, start..end).ok()?;
    }
    Some(part)
}
