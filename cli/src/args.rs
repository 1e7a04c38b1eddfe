//! What the command line says: the options shared by several commands, and how they become the library's options.
//!
//! Invariants: an option means the same wherever it stands; texts are parsed by the library, so that its messages
//! are the program's. Called by `main` and by every command.

use blockwise::codec_text::parse_codec;
use blockwise::convert::{ArrayOptions, Destination};
use blockwise::core::Role;
use blockwise::core::plan::{CopyOptions, PassThrough, Resources};
use blockwise::device::Device;
use blockwise::io::{Format, MissingChunks, OpenOptions};
use blockwise::kernels::DType;
use blockwise::{Error, Location, Result, Selection, cluster, machine, size};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

use crate::engine::EngineArgs;

use crate::commands::{
    completions, convert, demo, doctor, eval, functions, info, ls, man, pyramid, rechunk, reduce, runs, show,
    stats, svd, verify,
};

/// Inspect, convert, rechunk, compute with and compare chunked arrays in Zarr, HDF5, NetCDF, TIFF and npy, within a memory budget.
#[derive(Debug, Parser)]
#[command(
    name = "arrayctl",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "EXAMPLES:
  arrayctl ls era5.nc                                   what is in it
  arrayctl info era5.nc::t2m                            all about one array
  arrayctl convert era5.nc era5.zarr --codec zstd:3     another format
  arrayctl convert 'era5_*.nc' era5.zarr                several files as one
  arrayctl rechunk era5.zarr series.zarr --chunks time=-1,lat=19,lon=36 --memory 2GiB
  arrayctl eval 't - mean(t, \"time\")' -i t=era5.nc::t2m -o anomaly.zarr
  arrayctl stats era5.nc::t2m                           what is in it?
  arrayctl show era5.nc::t2m --slice time=0 -o t2m.png  a picture
  arrayctl svd era5.nc::t2m -k 10 --center -o eof.zarr  principal components
  arrayctl pyramid scan.tif scan.ome.zarr               an image with levels
  arrayctl verify era5.zarr series.zarr --equal-nan     are they the same?

Data are named PATH or PATH::NODE; a pattern in quotes, 'era5_*.nc' or 'era5_*.nc::t2m', is several files as one. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused before running,
4 bad input data, 5 verify found a difference, 130/143 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Info(info::Arguments),
    Ls(ls::Arguments),
    Convert(Box<convert::Arguments>),
    Rechunk(Box<rechunk::Arguments>),
    Eval(Box<eval::Arguments>),
    Reduce(Box<reduce::Arguments>),
    Stats(Box<stats::Arguments>),
    Svd(Box<svd::Arguments>),
    Pyramid(Box<pyramid::Arguments>),
    Show(Box<show::Arguments>),
    Functions(functions::Arguments),
    Verify(Box<verify::Arguments>),
    Runs(runs::Arguments),
    Doctor(doctor::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// How results and messages are printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print the result as one JSON object, sizes in bytes
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print results and errors alone
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more about what happens (twice: even more)
    #[arg(short, long, global = true, help_heading = "Output", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What an absent chunk means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingChunk {
    /// It reads as fill values
    #[default]
    Fill,
    /// It reads as fill values, with a warning
    Warn,
    /// It is an error
    Error,
}

/// How inputs are opened.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReadArgs {
    /// What a chunk that is not stored means
    #[arg(long, value_enum, default_value_t, value_name = "POLICY", help_heading = "Input")]
    pub(crate) missing_chunk: MissingChunk,
    /// Follow symbolic links that lead out of a store
    #[arg(long, help_heading = "Input")]
    pub(crate) follow_symlinks: bool,
    /// The input is raw bytes of this shape, such as 720,361 (with --dtype)
    #[arg(long, value_name = "SHAPE", help_heading = "Input", requires = "dtype")]
    pub(crate) shape: Option<String>,
}

impl ReadArgs {
    /// The library's options; a dtype counts as the input's if a shape says that the input is raw.
    pub(crate) fn options(&self, dtype: Option<DType>) -> Result<OpenOptions> {
        let raw_shape = self.shape.as_deref().map(parse_shape).transpose()?;
        Ok(OpenOptions {
            missing_chunks: match self.missing_chunk {
                MissingChunk::Fill => MissingChunks::Fill,
                MissingChunk::Warn => MissingChunks::Warn,
                MissingChunk::Error => MissingChunks::Error,
            },
            follow_symlinks: self.follow_symlinks,
            raw_dtype: raw_shape.as_ref().and(dtype),
            raw_shape,
            cancellation: crate::interrupt::flag(),
            ..OpenOptions::default()
        })
    }
}

/// When progress is shown, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar if standard error is a terminal
    #[default]
    Auto,
    /// A bar
    Always,
    /// Nothing
    Never,
    /// JSON objects, one a line, on standard error
    Json,
}

/// What a run may use.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Memory budget, such as 2GiB [default: half of what the machine or cgroup has]
    #[arg(long, value_name = "SIZE", help_heading = "Resources")]
    pub(crate) memory: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// What computes: cpu; cuda, cuda:N or cuda:N,M where that gains time
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = "Resources")]
    pub(crate) device: String,
    /// Folder for temporary files [default: the system's]
    #[arg(long, value_name = "DIR", help_heading = "Resources")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// Bytes that temporary files may take [default: what the disk has]
    #[arg(long, value_name = "SIZE", help_heading = "Resources")]
    pub(crate) spill_limit: Option<String>,
    /// When to show progress
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub(crate) progress: ProgressMode,
    /// Write a page on the run: plan, threads, memory and throughput over time
    #[arg(long, value_name = "FILE.html", help_heading = "Output")]
    pub(crate) report: Option<PathBuf>,
    /// Write a trace of the run, for Perfetto or Chrome
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(crate) trace: Option<PathBuf>,
    /// Show the run while it goes on: a page on this machine, whose address is printed [default: a free port of 127.0.0.1]
    #[arg(
        long,
        value_name = "ADDR:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:0",
        help_heading = "Output"
    )]
    pub(crate) dashboard: Option<std::net::SocketAddr>,
}

impl RunArgs {
    /// The budget that is asked for.
    pub(crate) fn budget_bytes(&self) -> Result<Option<u64>> {
        self.memory.as_deref().map(size::parse_bytes).transpose()
    }

    /// Threads of this process, or of a worker.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(machine::cores, std::num::NonZeroUsize::get)
    }

    /// What is to compute.
    pub(crate) fn device(&self) -> Result<Device> {
        self.device.parse()
    }

    /// The library's resources.
    pub(crate) fn resources(&self) -> Result<Resources> {
        let device = self.device()?;
        let engine = blockwise::core::engine::installed();
        // What decides for workers computes nothing itself, and may run where there are no devices.
        let computes = engine.is_none_or(|engine| engine.role() == Role::Worker);
        let device = if computes { device.open()? } else { None };
        let budget_bytes = self.budget_bytes()?.unwrap_or_else(machine::default_budget_bytes);
        let mut spill_folder = self.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        // A worker's node need not have the folder of its driver's.
        if let Some(worker) = engine.filter(|engine| engine.role() == Role::Worker) {
            let known = [spill_folder, PathBuf::from("/tmp")].into_iter().find(|folder| folder.is_dir());
            spill_folder = known.unwrap_or_else(|| worker.folder().to_owned());
        }
        if !spill_folder.is_dir() {
            let what = "no such folder; give another one to --spill-dir".to_owned();
            return Err(Error::Usage { path: spill_folder.display().to_string(), what });
        }
        Ok(Resources {
            budget_bytes,
            threads: match engine {
                Some(engine) => engine.threads(),
                None => self.threads(),
            },
            spill_folder,
            spill_limit_bytes: self.spill_limit.as_deref().map(size::parse_bytes).transpose()?,
            engine: engine.cloned(),
            device,
        })
    }
}

/// Whether a run stores its results, and over what.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreArgs {
    /// Print the plan (passes, bytes, temporary disk, peak memory) and stop
    #[arg(long, help_heading = "Run")]
    pub(crate) dry_run: bool,
    /// Replace an existing output, once the new one is whole
    #[arg(long, help_heading = "Run")]
    pub(crate) overwrite: bool,
    /// Finish what an interrupted run of the same command left
    #[arg(long, help_heading = "Run")]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

impl StoreArgs {
    /// Starts the engine that is asked for, or has it plan. Called before the resources of a run are made; the run of several processes ends when what
    /// this gives drops.
    pub(crate) fn start(&self, run: &RunArgs) -> Result<Option<cluster::Run>> {
        if self.dry_run { self.engine.plan_only(run) } else { self.engine.start(run, self.resume) }.map(Some)
    }

    /// The output at `path`.
    pub(crate) fn destination(&self, path: impl Into<PathBuf>, format: Format) -> Destination {
        Destination { path: path.into(), format, overwrite: self.overwrite, resume: self.resume }
    }
}

/// The library's options of stored arrays, of what their layout was said to be.
pub(crate) fn array_options(
    chunks: Option<&str>,
    shards: Option<&str>,
    codec: Option<&str>,
) -> Result<ArrayOptions> {
    Ok(ArrayOptions {
        chunks: chunks.map(str::parse).transpose()?,
        shards: shards.map(str::parse).transpose()?,
        codec: codec.map(parse_codec).transpose()?,
        ..ArrayOptions::default()
    })
}

/// What is written, and over what.
#[derive(Clone, Debug, Args)]
pub(crate) struct WriteArgs {
    /// Shards, as --chunks: whole multiples of the chunks (Zarr v3)
    #[arg(long, value_name = "CHUNKS", allow_hyphen_values = true, help_heading = "Layout")]
    pub(crate) shards: Option<String>,
    /// none, zstd[:LEVEL], gzip[:LEVEL], blosc[:CNAME[:LEVEL[:SHUFFLE]]], deflate[:LEVEL]; +shuffle, +crc32c,
    /// +fletcher32 [default: the source's, else zstd:1 behind a byte shuffle; deflate:1+shuffle in HDF5]
    #[arg(long, value_name = "CODEC", help_heading = "Layout")]
    pub(crate) codec: Option<String>,
    /// Version of Zarr to write: 2 or 3 [default: 3]
    #[arg(long, value_name = "VERSION", help_heading = "Layout")]
    pub(crate) zarr_format: Option<u8>,
    /// Only arrays and groups that match this glob, with coordinates and what CF attributes name (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    pub(crate) include: Vec<String>,
    /// Not the arrays and groups that match this glob (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Pass chunks that need no change on without decoding them to check them
    #[arg(long, help_heading = "Run")]
    pub(crate) no_check: bool,
}

impl WriteArgs {
    /// The globs.
    pub(crate) fn selection(&self) -> Result<Selection> {
        Selection::new(&self.include, &self.exclude)
    }

    /// How unchanged chunks pass.
    pub(crate) fn copy_options(&self) -> CopyOptions {
        CopyOptions { pass_through: if self.no_check { PassThrough::Trusted } else { PassThrough::Checked } }
    }
}

/// A `PATH` or `PATH::NODE`.
pub(crate) fn location(text: &str) -> Result<Location> {
    text.parse()
}

/// An element type by NumPy's name.
pub(crate) fn parse_dtype(text: &str) -> Result<DType> {
    text.parse().map_err(|error: blockwise::kernels::dtype::UnknownDType| Error::Argument {
        what: "element type",
        text: text.to_owned(),
        why: error.to_string(),
    })
}

fn parse_shape(text: &str) -> Result<Vec<u64>> {
    let lengths = text.split(',').map(|length| length.trim().parse::<u64>());
    lengths.collect::<std::result::Result<_, _>>().map_err(|_| Error::Argument {
        what: "shape",
        text: text.to_owned(),
        why: "give the elements per axis, as in 720,361".to_owned(),
    })
}
