//! [`thumbnail`]: a small picture of a stored array, from a few of its chunks.
//!
//! Invariant: no more than [`MOST_BYTES`] are decoded, nor more than a quarter of the budget. Called by
//! [`crate::record::Recorder`].

use super::plane::Plane;
use super::{ShowJob, ShowOptions};
use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, Evaluation};
use crate::location::Location;
use blockwise_core::array::Index;
use blockwise_core::error::human_bytes;
use blockwise_core::plan::Resources;
use blockwise_core::region::byte_count;
use blockwise_core::{AxisGrid, Cancellation, Unobserved, exec};

/// Chunks that are read at most.
const MOST_CHUNKS: u64 = 16;
/// Bytes that are decoded at most.
const MOST_BYTES: u64 = 128 << 20;
/// Pixels from left to right.
const WIDTH: usize = 480;

/// A picture of the middle of an array: what stands above it, and its PNG file.
///
/// # Errors
/// If the array cannot be read, has no plane, or its chunks are too large to look at a few.
pub(crate) fn thumbnail(location: &Location, resources: &Resources) -> Result<(String, Vec<u8>)> {
    let (options, open) = (ShowOptions { width: WIDTH, ..ShowOptions::default() }, EvalOptions::default());
    let input = [EvalInput { name: "x".to_owned(), location: location.clone() }];
    let whole = Evaluation::open("x", &input, &open)?;
    let array = whole.results.first().map(|result| result.value.array.clone());
    let no_plane = || Error::Refused {
        path: location.to_string(),
        what: "no thumbnail: a picture has two dimensions".to_owned(),
    };
    let array = array.filter(|array| array.rank() > 1).ok_or_else(no_plane)?;
    // Numbers with two parts are shown by their size.
    let text = if array.dtype().kind() == 'c' { "abs(x)" } else { "x" };
    let evaluation = Evaluation::open(text, &input, &open)?;
    let chunk_bytes = byte_count(&array.grid().largest_chunk(), array.dtype().size()).unwrap_or(u64::MAX);
    let most_bytes = MOST_BYTES.min(resources.budget_bytes / 4);
    let chunks = (most_bytes / chunk_bytes.max(1)).min(MOST_CHUNKS);
    if chunks == 0 {
        let bytes = human_bytes(chunk_bytes);
        let what = format!("no thumbnail: a chunk has {bytes}, too much for a look");
        return Err(Error::Refused { path: location.to_string(), what });
    }
    let job = ShowJob::of(location, &evaluation, &options, resources, |whole, evaluation| {
        let plane = Plane::of(whole, &options, evaluation, |extent| extent / 2)?;
        let cuts = plane.array.grid().axes();
        let counts = [0, 1].map(|axis| cuts.get(axis).map_or(1, AxisGrid::count).max(1));
        // As many chunks of rows and columns as there may be, square where there are enough of both.
        let side = chunks.isqrt().max(1);
        let rows = counts[0].min(side.max(chunks / counts[1].min(side)));
        let columns = counts[1].min(chunks / rows);
        let middle = |axis: usize, kept: u64| -> Option<Index> {
            let (cut, first) = (cuts.get(axis)?, (counts[axis] - kept) / 2);
            let at = |chunk: u64| i64::try_from(cut.start(chunk)).ok();
            (kept < counts[axis]).then_some(Index::Slice {
                start: Some(at(first)?),
                stop: Some(at(first + kept)?),
                step: 1,
            })
        };
        let parts = [middle(0, rows), middle(1, columns)];
        plane.part(parts)
    })?;
    exec::run(&job.plan, resources, &Unobserved, &Cancellation::new())?;
    let shown = job.drawn()?;
    let prefix = if text == "x" { "" } else { "size of " };
    Ok((format!("{prefix}{}", shown.title), shown.drawn.png))
}
