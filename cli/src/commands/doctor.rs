//! `doctor`: what this machine and this build offer.
//!
//! Called by [`super::run`].

use crate::args::OutputArgs;
use crate::text;
use blockwise::core::error::human_bytes;
use blockwise::gpu::device::{Device, Unavailable, detect};
use blockwise::{Result, machine};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show what this machine and this build offer: cores, memory, codecs, formats, disks, devices, engines
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl doctor
  arrayctl doctor --spill-dir /scratch --json")]
pub(crate) struct Arguments {
    /// Folder for temporary files [default: the system's]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
}

/// What is read.
const READS: [&str; 7] =
    ["Zarr v2", "Zarr v3", "HDF5", "NetCDF-4", "NetCDF classic (CDF-1, 2, 5)", "npy", "raw"];

/// Programs that start an engine's jobs.
const ENGINES: [(&str, &str); 2] = [("Slurm", "sbatch"), ("HyperQueue", "hq")];

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let memory = machine::Memory::detect();
    let spill_folder = arguments.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    let free_bytes = machine::free_bytes(&spill_folder);
    let engines: Vec<_> = ENGINES.iter().map(|(name, program)| (*name, *program, on_path(program))).collect();
    let writes: &[&str] = if cfg!(feature = "hdf5-write") {
        &["Zarr v2", "Zarr v3", "HDF5", "NetCDF-4", "npy"]
    } else {
        &["Zarr v2", "Zarr v3", "npy"]
    };
    let remote = if cfg!(feature = "s3") { "S3, HTTP" } else { "none (built without the feature s3)" };
    let gpu = detect();
    if output.json {
        let engines: serde_json::Map<_, _> =
            engines.iter().map(|(name, _, path)| ((*name).to_owned(), json!(path))).collect();
        let object = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": machine::cores(),
            "memory_bytes": memory.total_bytes,
            "available_bytes": memory.available_bytes,
            "cgroup_bytes": memory.cgroup_bytes,
            "default_budget_bytes": machine::default_budget_bytes(),
            "simd": machine::simd_level(),
            "reads": READS,
            "writes": writes,
            "spill_folder": spill_folder.display().to_string(),
            "spill_free_bytes": free_bytes,
            "remote_stores": cfg!(feature = "s3"),
            "gpu": gpu_json(&gpu),
            "engines": engines,
        });
        text::print(&object.to_string());
        return Ok(());
    }
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), human_bytes);
    let cgroup = memory.cgroup_bytes.map_or_else(|| "no limit".to_owned(), human_bytes);
    let row = |name: &str, value: String| (name.to_owned(), value);
    let mut rows = vec![
        row("arrayctl", env!("CARGO_PKG_VERSION").to_owned()),
        row("cores", format!("{}, {} kernels", machine::cores(), machine::simd_level())),
        row("memory", format!("{}, {} available", size(memory.total_bytes), size(memory.available_bytes))),
        row("cgroup", cgroup),
        row(
            "budget",
            format!("{} unless --memory says otherwise", human_bytes(machine::default_budget_bytes())),
        ),
        row("spill folder", format!("{}, {} free", spill_folder.display(), size(free_bytes))),
        row("reads", READS.join(", ")),
        row("writes", writes.join(", ")),
        row(
            "codecs, Zarr",
            "zstd, gzip, blosc (lz4, lz4hc, blosclz, zstd, zlib), zlib, lz4, bz2, crc32c, sharding".into(),
        ),
        row(
            "codecs, HDF5",
            "deflate, shuffle, fletcher32; read too: lzf, zstd, lz4, blosc, bitshuffle, bzip2, szip".into(),
        ),
        row("remote stores", remote.to_owned()),
        row("GPU", gpu_text(&gpu)),
    ];
    for (name, program, path) in engines {
        let found = path
            .map_or_else(|| format!("not found ({program} is not on PATH)"), |path| format!("found: {path}"));
        rows.push(row(name, found));
    }
    text::print(&text::columns(&rows, 0));
    Ok(())
}

fn gpu_text(found: &std::result::Result<Vec<Device>, Unavailable>) -> String {
    let one = |device: &Device| {
        let Device { ordinal, name, memory_bytes, architecture } = device;
        format!("{name} (cuda:{ordinal}, {architecture}, {})", human_bytes(*memory_bytes))
    };
    match found {
        Ok(devices) => {
            let all: Vec<String> = devices.iter().map(one).collect();
            format!("{}; used with --device cuda", all.join(", "))
        }
        Err(why) => format!("none: {why}"),
    }
}

fn gpu_json(found: &std::result::Result<Vec<Device>, Unavailable>) -> serde_json::Value {
    let one = |device: &Device| {
        json!({
            "ordinal": device.ordinal,
            "name": device.name,
            "memory_bytes": device.memory_bytes,
            "architecture": device.architecture.to_string(),
        })
    };
    let devices: Vec<_> = found.iter().flatten().map(one).collect();
    json!({ "devices": devices, "reason": found.as_ref().err().map(Unavailable::to_string) })
}

/// The first file of that name on PATH.
fn on_path(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| is_program(path))?;
    Some(found.display().to_string())
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
