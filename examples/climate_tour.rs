//! A climate tour on real data: the mean of twelve months, the anomalies from it in a new file, and how much of the
//! seasonal cycle one sine wave a year explains.
//!
//!     cargo run --example climate_tour [-- OUT.nc]
//!
//! Reads the sea surface temperatures of `examples/data/coads_climatology.cdf`. The anomalies and the climatology are
//! stored with their coordinates by one run; without a file name they are stored in a temporary folder and read back.

use blockwise::prelude::*;
use blockwise::store::{StoreOptions, to_netcdf};
use std::f64::consts::TAU;
use std::path::PathBuf;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/coads_climatology.cdf");

fn main() -> Outcome<()> {
    let session = Session::with_budget(64 << 20);
    let variable = |name: &str| blockwise::open(&format!("{DATA}::{name}"));
    let (sst, time, latitude, longitude) =
        (variable("SST")?, variable("TIME")?, variable("COADSY")?, variable("COADSX")?);
    println!("{sst:?}");

    // Where ships measured in some months only, the climatology is the mean of those.
    let climatology = sst.nanmean("TIME")?;
    let anomaly = &sst - &climatology;

    // The area of a cell of a regular grid shrinks with the cosine of its latitude.
    let area = (&latitude * (TAU / 360.0)).cos()?.expand_dims(1)?;
    let mean = area_mean(&session, &climatology, &area)?;
    println!("mean sea surface temperature: {mean:.2} degrees C");

    // One wave a year: what remains of anomalies after two projections. A cell that lacks a month is NaN in all of them.
    let months = sst.shape()[0];
    let phase = (Array::arange(0.0, months as f64, 1.0)? * (TAU / months as f64)).reshape(&[-1, 1, 1])?;
    let amplitude = |wave: Array| (&anomaly * wave * 2.0).mean("TIME");
    let (cosine, sine) = (amplitude(phase.cos()?)?, amplitude(phase.sin()?)?);
    let explained = (cosine.square()? + sine.square()?) / 2.0;
    let variance = anomaly.square()?.mean("TIME")?;
    for (region, rows) in
        [("all seas", 0..90), ("south of 30 S", 0..30), ("30 S to 30 N", 30..60), ("north of 30 N", 60..90)]
    {
        let sum = |x: &Array| (x * &area).slice(0, rows.clone())?.nansum(..);
        let share = session.compute::<f64>(&(sum(&explained)? / sum(&variance)?))?;
        println!("variance explained by one wave a year, {region}: {:.1} %", 100.0 * share[[]]);
    }

    let folder = std::env::temp_dir().join(format!("blockwise-climate-tour-{}", std::process::id()));
    let asked = std::env::args().nth(1).map(PathBuf::from);
    let path = match &asked {
        Some(path) => path.clone(),
        None => {
            std::fs::create_dir_all(&folder)?;
            folder.join("anomaly.nc")
        }
    };
    let arrays = [
        (&time, "TIME"),
        (&latitude, "COADSY"),
        (&longitude, "COADSX"),
        (&climatology, "climatology"),
        (&anomaly, "anomaly"),
    ];
    let report = to_netcdf(&session, &arrays, &path, &StoreOptions::default())?;
    println!(
        "{}: {} arrays, {} bytes read, {} written",
        path.file_name().unwrap_or_default().display(),
        arrays.len(),
        report.bytes_read,
        report.bytes_written
    );

    let stored = blockwise::open(&format!("{}::anomaly", path.display()))?;
    let largest = session.compute::<f32>(&stored.abs()?.nanmax(..)?)?;
    println!("largest anomaly: {:.2} degrees", largest[[]]);
    if asked.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// The mean over the cells that are not NaN, weighted by their areas.
fn area_mean(session: &Session, field: &Array, area: &Array) -> Outcome<f64> {
    let is_known = Array::call("logical_not", [field.is_nan()?.into()])?;
    let mean = (field * area).nansum(..)? / (is_known * area).sum(..)?;
    Ok(session.compute::<f64>(&mean)?[[]])
}
