//! `demo`: a tour on a real file that is shipped with the program and on a generated cube, with timings and memory.
//!
//! Invariant: everything happens in one temporary folder, which is gone afterwards. Called by [`super::run`].

mod field;

use crate::args::OutputArgs;
use crate::{interrupt, text};
use blockwise::convert::{ConvertOptions, Destination, TransferReport, convert};
use blockwise::core::error::human_bytes;
use blockwise::core::plan::{CopyOptions, Resources, plan_copy};
use blockwise::core::{Cancellation, ChunkGrid, Unobserved, exec};
use blockwise::io::publish::{Publication, PublishOptions};
use blockwise::io::{ArraySpec, Attributes, ElementType, Format, NodePath};
use blockwise::kernels::DType;
use blockwise::rechunk::rechunk;
use blockwise::verify::{Tolerance, VerifyOptions, verify};
use blockwise::{Error, Location, Result, machine, size};
use clap::Args;
use field::Field;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// NOAA's COADS climatology: monthly means of sea surface and air, NetCDF classic. See examples/data/README.md.
const COADS: &[u8] = include_bytes!("../../../examples/data/coads_climatology.cdf");

/// Latitudes and longitudes of the generated cube, as ERA5's half-degree grid.
const HEIGHT: u64 = 361;
const WIDTH: u64 = 720;

/// What the program takes beside the budget: itself, stacks, tables.
const BASELINE_BYTES: u64 = 96 << 20;

/// A self-contained tour on real data: formats, rechunking under a budget, comparison, with timings and memory
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl demo
  arrayctl demo --size 3GiB --memory 512MiB --dir /scratch")]
pub(crate) struct Arguments {
    /// Size of the generated cube
    #[arg(long, default_value = "400MiB", value_name = "SIZE")]
    size: String,
    /// Memory budget
    #[arg(long, default_value = "256MiB", value_name = "SIZE")]
    memory: String,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    /// Folder in which a temporary folder is made [default: the system's]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let parent = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("arrayctl-demo-").tempdir_in(&parent);
    let folder = folder.map_err(os_error(&parent, "creating a folder"))?;
    let mut resources = machine::resources(size::parse_bytes(&arguments.memory)?);
    resources.threads = arguments.threads.map_or(resources.threads, std::num::NonZeroUsize::get);
    resources.spill_folder = folder.path().to_path_buf();
    let demo = Demo { folder: folder.path(), resources, cancellation: interrupt::cancellation(), output };
    let real = demo.real_data()?;
    let cube = demo.cube(size::parse_bytes(&arguments.size)?)?;
    if output.json {
        text::print(&json!({ "real_data": real, "cube": cube }).to_string());
    }
    Ok(())
}

struct Demo<'a> {
    folder: &'a Path,
    resources: Resources,
    cancellation: Cancellation,
    output: &'a OutputArgs,
}

impl Demo<'_> {
    /// COADS through the formats and back.
    fn real_data(&self) -> Result<Value> {
        self.say("A real file: NOAA's COADS climatology (NetCDF classic), to Zarr, to NetCDF-4 and back to compare");
        let original = self.folder.join("coads.cdf");
        std::fs::write(&original, COADS).map_err(os_error(&original, "writing"))?;
        let mut chain = vec![original.clone()];
        let names: &[&str] =
            if cfg!(feature = "hdf5-write") { &["coads.zarr", "coads.nc"] } else { &["coads.zarr"] };
        for name in names {
            let from = chain.last().unwrap_or(&original).clone();
            let to = self.folder.join(name);
            let options = ConvertOptions::default();
            let transfer =
                convert(&Location::container(&from), &Destination::new(&to)?, &options, &self.resources)?;
            let report = transfer.run(&Unobserved, &self.cancellation)?;
            self.say_report(&format!("convert {} {name}", file_name(&from)), &report);
            chain.push(to);
        }
        let last = chain.last().unwrap_or(&original);
        let (elements, secs) = self.compare(&original, last)?;
        self.say("");
        Ok(json!({ "elements_equal": elements, "verify_secs": secs }))
    }

    /// A cube in chunks of few times and whole maps, rechunked to whole series of few places.
    fn cube(&self, size_bytes: u64) -> Result<Value> {
        let map_bytes = HEIGHT * WIDTH * 4;
        let times = (size_bytes / map_bytes).max(1);
        let shape = [times, HEIGHT, WIDTH];
        self.say(&format!(
            "A cube: {} of float32 ({}), from maps to time series within {}",
            text::shape(&shape),
            human_bytes(times * map_bytes),
            human_bytes(self.resources.budget_bytes)
        ));
        let (maps, series) = (self.folder.join("maps.zarr"), self.folder.join("series.zarr"));
        // Chunks of whole maps, as many as leave the budget room for a few chunks on their way.
        let maps_per_chunk = (self.resources.budget_bytes / 8 / map_bytes).clamp(1, 40);
        let chunk = [maps_per_chunk, HEIGHT, WIDTH];
        let secs = self.generate(&maps, &shape, &chunk)?;
        self.say_step(
            "generate maps.zarr",
            times * map_bytes,
            secs,
            &format!("chunks {}", text::shape(&chunk)),
        );

        reset_peak_resident();
        let chunks = format!("{times},19,36").parse()?;
        let destination = Destination::new(&series)?;
        let options = ConvertOptions::default();
        let transfer = rechunk(&Location::container(&maps), &destination, chunks, &options, &self.resources)?;
        let plans: Vec<_> = transfer.plans().cloned().collect();
        let report = transfer.run(&Unobserved, &self.cancellation)?;
        let peak_bytes = machine::peak_resident_bytes();
        self.say_report(&format!("rechunk maps.zarr series.zarr --chunks {times},19,36"), &report);
        for plan in &plans {
            self.say(&format!(
                "  in {}, {} of temporary disk; resident at most {} (budget {} + {} for the program)",
                text::counted(plan.stages.len() as u64, "stage"),
                human_bytes(plan.temporary_bytes),
                peak_bytes.map_or_else(|| "unknown".to_owned(), human_bytes),
                human_bytes(self.resources.budget_bytes),
                human_bytes(BASELINE_BYTES),
            ));
        }
        let (elements, verify_secs) = self.compare(&maps, &series)?;
        Ok(json!({
            "shape": shape,
            "generate_secs": secs,
            "rechunk": crate::json::transfer(&report),
            "plans": plans.iter().map(crate::json::plan).collect::<Vec<_>>(),
            "peak_resident_bytes": peak_bytes,
            "budget_bytes": self.resources.budget_bytes,
            "elements_equal": elements,
            "verify_secs": verify_secs,
        }))
    }

    /// Writes the generated field as a Zarr array; the seconds it took.
    fn generate(&self, path: &Path, shape: &[u64], chunk: &[u64]) -> Result<f64> {
        let started = Instant::now();
        let spec = ArraySpec {
            path: NodePath::root(),
            element_type: ElementType::Number(DType::F32),
            shape: shape.to_vec(),
            dimension_names: ["time", "latitude", "longitude"].map(|name| Some(name.to_owned())).to_vec(),
            unlimited: vec![false; shape.len()],
            chunk_shape: Some(chunk.to_vec()),
            shard_shape: None,
            codec: blockwise::codec_text::parse_codec("blosc:zstd:1:shuffle")?,
            fill_value: None,
            attributes: Attributes::new(),
            is_coordinate: false,
        };
        let field = Arc::new(Field::over(ChunkGrid::regular(shape, chunk)?));
        let publication = Publication::begin(path, &PublishOptions::default())?;
        let publication = publication.ok_or_else(|| internal("a new folder was published already"))?;
        let mut writer = blockwise::io::open::create(publication.partial(), Format::Zarr3)?;
        let plan = plan_copy(field, writer.create_array(&spec)?, &self.resources, &CopyOptions::default())?;
        exec::run(&plan, &self.resources, &Unobserved, &self.cancellation)?;
        drop(plan);
        writer.finish()?;
        drop(writer);
        publication.commit()?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Compares two containers; elements compared and seconds. A difference is a failure of the demo.
    fn compare(&self, left: &Path, right: &Path) -> Result<(u64, f64)> {
        let started = Instant::now();
        let options = VerifyOptions {
            tolerance: Tolerance { equal_nan: true, ..Tolerance::default() },
            ..VerifyOptions::default()
        };
        let (a, b) = (Location::container(left), Location::container(right));
        let report = verify(&a, &b, &options, &self.resources, &Unobserved, &self.cancellation)?;
        if !report.is_equal() {
            let what = format!("differs from {}: {}", file_name(left), super::verify::as_text(&report, true));
            return Err(internal(&format!("{} {what}", file_name(right))));
        }
        let elements = report.arrays.iter().map(|array| array.findings.elements).sum();
        let secs = started.elapsed().as_secs_f64();
        self.say(&format!(
            "  verify {} {}: {elements} elements equal, {} s",
            file_name(left),
            file_name(right),
            text::seconds(secs)
        ));
        Ok((elements, secs))
    }

    fn say_report(&self, step: &str, report: &TransferReport) {
        let more = format!(
            "{}, stored as {}",
            text::counted(report.arrays.len() as u64, "array"),
            human_bytes(report.stored_bytes())
        );
        self.say_step(step, report.logical_bytes(), report.secs, &more);
    }

    fn say_step(&self, step: &str, bytes: u64, secs: f64, more: &str) {
        let rate = human_bytes(text::per_second(bytes, secs));
        self.say(&format!("  {step}: {} in {} s, {rate}/s; {more}", human_bytes(bytes), text::seconds(secs)));
    }

    fn say(&self, line: &str) {
        if !self.output.json {
            text::print(line);
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Starts the count of the most resident memory anew; where the system cannot, the whole process's stays.
fn reset_peak_resident() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn internal(message: &str) -> Error {
    blockwise::core::Error::Internal { message: message.to_owned() }.into()
}

fn os_error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Os { path, action, source }
}
