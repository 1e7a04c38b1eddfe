//! `rechunk`: the same data in other chunks.
//!
//! Called by [`super::run`].

use super::convert::{carry_out, destination, options};
use crate::args::{OutputArgs, ReadArgs, RunArgs, WriteArgs, location};
use blockwise::Result;
use blockwise::rechunk::rechunk;
use clap::Args;
use std::path::PathBuf;

/// Copy an array, or every array that has the named dimensions, into other chunks
///
/// Lengths by position are for one array (PATH::NODE, or the only one that holds no coordinates); lengths by name for
/// every array with those dimensions. What else a container holds is copied as it is.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl rechunk cube.zarr series.zarr --chunks 2920,19,36 --memory 512MiB
  arrayctl rechunk era5.nc series.zarr --chunks time=-1,latitude=19,longitude=36 --codec zstd:3
  arrayctl rechunk cube.zarr sharded.zarr --chunks 40,90,90 --shards 400,-1,-1
  arrayctl rechunk cube.zarr series.zarr --chunks time=-1 --dry-run
  arrayctl rechunk cube.zarr cube.zarr --chunks auto --overwrite

CHUNKS is one length per axis (40,361,720), lengths by dimension (time=40,lat=-1; the rest keep theirs), auto, or a size
(128MiB); -1 is a whole axis. The output's format follows its extension: .zarr, .nc, .h5, .hdf5.")]
pub(crate) struct Arguments {
    /// The container, or an array or group in it as PATH::NODE; an array named so comes alone, one of --include with its coordinates
    source: String,
    /// The new file or folder
    destination: PathBuf,
    /// The chunks wanted
    #[arg(long, value_name = "CHUNKS", required = true, allow_hyphen_values = true, help_heading = "Layout")]
    chunks: String,
    #[command(flatten)]
    write: WriteArgs,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let dtype = arguments.dtype.as_deref().map(crate::args::parse_dtype).transpose()?;
    let mut options = options(&arguments.write)?;
    options.open = arguments.read.options(dtype)?;
    let chunks: blockwise::chunks::ChunkRequest = arguments.chunks.parse()?;
    let source = location(&arguments.source)?;
    let destination = destination(&source, &arguments.destination, &arguments.write)?;
    carry_out(&arguments.run, &arguments.write.store, output, &options, |resources| {
        rechunk(&source, &destination, chunks, &options, resources)
    })
}
