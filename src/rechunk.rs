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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec_text::parse_codec;
    use crate::spec::ArrayOptions;
    use crate::store::{StoreOptions, to_zarr};
    use crate::verify::{VerifyOptions, verify};
    use blockwise_core::{Array, Cancellation, Session, Unobserved};

    /// Chunks of four blocks a slice, read in bands: one pass in half of what the array takes.
    #[test]
    fn a_rechunk_across_a_long_axis_needs_no_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let (maps, series) = (folder.path().join("maps.zarr"), folder.path().join("series.zarr"));
        let values = Array::from_fn(&[48, 512, 512], |at| (at[0] * 7 + at[1] * at[2] % 1000) as f32).unwrap();
        let arrays = ArrayOptions {
            chunks: Some("8,512,512".parse().unwrap()),
            codec: Some(parse_codec("blosc:lz4:1:shuffle").unwrap()),
            ..ArrayOptions::default()
        };
        let options = StoreOptions { arrays, ..StoreOptions::default() };
        to_zarr(&Session::with_budget(64 << 20), &[(&values, "")], &maps, &options).unwrap();
        let budget_bytes = 32 << 20; // of 48 MiB of elements
        let resources = Resources { threads: 2, ..crate::machine::resources(budget_bytes) };
        let (source, destination) = (Location::container(&maps), Destination::new(&series).unwrap());
        let chunks = "48,64,64".parse().unwrap();
        let job = rechunk(&source, &destination, chunks, &ConvertOptions::default(), &resources).unwrap();
        let plan = job.plans().next().unwrap();
        assert_eq!((plan.stages.len(), plan.temporary_bytes), (1, 0), "{plan}");
        assert!(plan.peak_bytes <= budget_bytes && plan.stages[0].name == "rechunk in bands", "{plan}");
        job.run(&Unobserved, &Cancellation::new()).unwrap();
        let found = verify(
            &source,
            &Location::container(&series),
            &VerifyOptions::default(),
            &crate::machine::resources(64 << 20),
            &Unobserved,
            &Cancellation::new(),
        );
        assert!(found.unwrap().is_equal());
    }
}
