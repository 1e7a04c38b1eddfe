//! Rechunking: a conversion whose point is the chunks.
//!
//! Called by the command line's `rechunk`; [`crate::convert`] does the work.

use crate::chunks::ChunkRequest;
use crate::convert::{ConvertOptions, Destination, Transfer, convert};
use crate::error::Result;
use crate::location::Location;
use blockwise_core::plan::Resources;

/// Makes a copy of `source` in other chunks ready to run.
///
/// By position, `chunks` is meant for the one array that `source` names, or that a container has besides
/// coordinates; by name, for every array that has one of the dimensions. What else a container holds is copied as it
/// is, and coordinates keep their chunks.
///
/// # Errors
/// As [`convert`]; also if lengths by position could be meant for several arrays.
pub fn rechunk(
    source: &Location,
    destination: &Destination,
    chunks: ChunkRequest,
    options: &ConvertOptions,
    resources: &Resources,
) -> Result<Transfer> {
    if chunks.is_positional() {
        source.open(&options.open)?.only_array()?;
    }
    let mut options = options.clone();
    options.arrays.chunks = Some(chunks);
    convert(source, destination, &options, resources)
}
