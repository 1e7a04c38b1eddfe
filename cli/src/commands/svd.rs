//! `svd`: the largest singular values of an array and their vectors, in a new group.
//!
//! Called by [`super::run`].

use super::eval::{print_plan, stored_as_json, stored_summary};
use crate::args::{OutputArgs, ReadArgs, RunArgs, StoreArgs, array_options, location, parse_dtype};
use crate::{interrupt, progress, text};
use blockwise::core::Session;
use blockwise::evaluate::{EvalOptions, OutputRequest};
use blockwise::linalg::Compression;
use blockwise::svd::{SvdJob, SvdOptions, Weights};
use blockwise::target::format_of;
use blockwise::{Error, Result};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Singular values printed without --json.
const PRINTED: usize = 10;

/// Truncated singular value decomposition (PCA, EOF) of an array of any size
///
/// The first dimension is that of the samples, all others together are the features: x = U diag(S) V. The array is read in
/// passes, by a random basis that power iterations make better (2 passes and one for each), or exactly with --exact, which takes
/// 2 passes but one side that is small. U, S and V are stored as arrays of a group, with the array's dimensions and coordinates,
/// and `relative_error`: what is left of the array. Signs are dask's: the sum of every row of V is not negative.
///
/// With --center, `mean`, `explained_variance` (of samples - 1) and `explained_variance_ratio` are stored too; V are then the principal
/// components (EOFs) of the weighted array, U * S the scores (PCs).
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl svd era5.zarr::t2m -k 20 --center --power-iter 1 -o pca.zarr     principal components
  arrayctl svd sst.nc::sst -k 10 --center --weights coslat --skip-missing --patterns -o eof.nc
                                                                            EOFs of a field with land
  arrayctl svd counts.zarr -k 50 -o svd.zarr --seed 7 --memory 2GiB
  arrayctl svd tall.zarr -k 100 --exact -o svd.zarr                         all of a matrix with 100 columns
  arrayctl svd frames.zarr -k 10 --tol 0.01 -o modes.nc                     as many as leave one percent

Missing values (NaN) are an error that says where: row is the position along the first dimension, column that in the others, in C
order. --skip-missing leaves out what is missing in every sample; V, mean and pattern are NaN there. Fill others first, as by
`arrayctl eval 'where(isnan(x), 0, x)'`. Complex arrays have V conjugated, as NumPy's vh.")]
pub(crate) struct Arguments {
    /// The array, as PATH or PATH::NODE
    source: String,
    /// How many singular values
    #[arg(short, long = "rank", value_name = "K")]
    k: u64,
    /// Where U, S and V go: a folder (Zarr), .zarr, .nc, .h5, .hdf5
    #[arg(short, long = "output", value_name = "DIR", help_heading = "Run")]
    output: PathBuf,
    /// Compute all singular values and store the largest: for arrays with few samples or few features
    #[arg(long, conflicts_with_all = ["power_iter", "oversample", "tol", "seed"])]
    exact: bool,
    /// Take the mean over the first dimension off first, and store it too (one more pass)
    #[arg(long)]
    center: bool,
    /// Multiply features: coslat (the root of the cosine of latitude), or an array of the same container, or PATH::NODE
    #[arg(long, value_name = "coslat|NODE|PATH", help_heading = "Features")]
    weights: Option<String>,
    /// Leave out features that are missing (NaN) in every sample, such as land
    #[arg(long, help_heading = "Features")]
    skip_missing: bool,
    /// Store `pattern` too: what one standard deviation of each mode is, in the array's units, without weights
    #[arg(long, requires = "center", help_heading = "Features")]
    patterns: bool,
    /// Power iterations: more give smaller errors where singular values decay slowly
    #[arg(long, value_name = "N", default_value_t = 0)]
    power_iter: u64,
    /// Columns of the random basis beyond K
    #[arg(long, value_name = "N", default_value_t = 10)]
    oversample: u64,
    /// Find the least rank, from K up, that leaves at most this part of the array (norm of Frobenius)
    #[arg(long, value_name = "SHARE", conflicts_with = "dry_run")]
    tol: Option<f64>,
    /// Seed of the random basis
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Take elements as they are stored: no CF unpacking, no missing values
    #[arg(long, help_heading = "Input")]
    raw: bool,
    /// none, zstd[:LEVEL], gzip[:LEVEL], blosc[:CNAME[:LEVEL[:SHUFFLE]]], deflate[:LEVEL]; +shuffle, +crc32c, +fletcher32
    #[arg(long, value_name = "CODEC", help_heading = "Layout")]
    codec: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let source = location(&arguments.source)?;
    let weights = arguments.weights.as_deref().map(|text| Weights::parse(text, &source)).transpose()?;
    let options = SvdOptions {
        exact: arguments.exact,
        center: arguments.center,
        compression: Compression::new(arguments.k)
            .with_oversample(arguments.oversample)
            .with_power_iterations(arguments.power_iter)
            .with_seed(arguments.seed),
        tolerance: arguments.tol,
        weights,
        leave_out_missing: arguments.skip_missing,
        patterns: arguments.patterns,
    };
    let open = EvalOptions {
        open: arguments.read.options(arguments.dtype.as_deref().map(parse_dtype).transpose()?)?,
        raw: arguments.raw,
        arrays: array_options(None, None, arguments.codec.as_deref())?,
        plan_only: arguments.store.dry_run,
        ..EvalOptions::default()
    };
    // A folder without an extension is a Zarr group.
    let format = match arguments.output.extension() {
        None => blockwise::io::Format::Zarr3,
        Some(_) => format_of(&arguments.output, None)?,
    };
    if matches!(format, blockwise::io::Format::Npy | blockwise::io::Format::Tiff) {
        let what = format!("{format} holds one array; give a folder, .zarr, .nc or .h5");
        return Err(Error::Usage { path: arguments.output.display().to_string(), what });
    }
    let destination = arguments.store.destination(&arguments.output, format);
    let cancellation = interrupt::cancellation();
    let _run = arguments.store.start(&arguments.run)?;
    let resources = arguments.run.resources()?;
    let session = Session::new(resources.clone()).with_cancellation(cancellation.clone());
    let job = SvdJob::open(&source, &options, &open, &session).map_err(|error| options.advised(error))?;
    let storing = job.evaluation.store(&[OutputRequest { name: None, destination }], &resources)?;
    if arguments.store.dry_run {
        print_plan(storing.plan(), output);
        return Ok(());
    }
    let watcher = progress::watcher(&arguments.run, output)?;
    let report = storing.run(&*watcher, &cancellation).map_err(|error| options.advised(error))?;
    drop(watcher);
    let numbers = |name: &str| -> Result<Vec<f64>> {
        let array = blockwise::open(&format!("{}::{name}", arguments.output.display()))?;
        let held = session.compute::<f64>(&array.astype(blockwise::kernels::DType::F64))?;
        Ok(held.into_iter().collect())
    };
    let (values, error) = (numbers("S")?, numbers("relative_error")?.first().copied().unwrap_or(f64::NAN));
    let explained = match arguments.center {
        true => Some((numbers("explained_variance")?, numbers("explained_variance_ratio")?)),
        false => None,
    };
    if output.json {
        let mut object = stored_as_json(&report);
        if let Value::Object(fields) = &mut object {
            fields.insert("singular_values".to_owned(), json!(values));
            fields.insert("relative_error".to_owned(), json!(error));
            fields.insert("passes".to_owned(), json!(job.passes));
            if let Some((variances, ratios)) = &explained {
                fields.insert("explained_variance".to_owned(), json!(variances));
                fields.insert("explained_variance_ratio".to_owned(), json!(ratios));
            }
        }
        text::print(&object.to_string());
    } else if !output.quiet {
        let listed = |what: &str, all: &[f64], text: &dyn Fn(f64) -> String| {
            let mut first: Vec<String> = all.iter().take(PRINTED).map(|number| text(*number)).collect();
            if all.len() > PRINTED {
                first.push("…".to_owned());
            }
            format!("{what}: {}\n", first.join(" "))
        };
        let singular = listed("singular values", &values, &|s| format!("{s:.6}"));
        let explained = match &explained {
            Some((_, ratios)) => {
                listed("explained variance", ratios, &|ratio| format!("{:.2} %", 100.0 * ratio))
            }
            None => String::new(),
        };
        text::print(&format!(
            "{}\n{singular}{explained}left of the array: {:.4} %, after {} passes over it",
            stored_summary(&report, &resources),
            100.0 * error,
            job.passes,
        ));
    }
    Ok(())
}
