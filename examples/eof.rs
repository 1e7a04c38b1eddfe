//! Empirical orthogonal functions of a real field: what the seas' surface temperature does in a year, in few patterns.
//!
//!     cargo run --release --example eof [-- OUT.nc [EOF.png]]
//!
//! Reads the sea surface temperatures of `examples/data/coads_climatology.cdf`. Cells are weighted by their areas (anomalies by the
//! square root of the cosine of latitude, so variances by the cosine); land is left out, and with it cells that lack a month.
//! With a file name, patterns (degrees for one standard deviation), scores of variance 1, means and coordinates are stored;
//! with a second one the first pattern is drawn, as `docs/eof.png` was.

use blockwise::linalg::{Scaling, eof};
use blockwise::prelude::*;
use blockwise::show::{Axis, AxisKind, Figure};
use blockwise::store::{StoreOptions, to_netcdf};
use std::f64::consts::TAU;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/coads_climatology.cdf");
const MODES: u64 = 4;

fn main() -> Outcome<()> {
    let session = Session::with_budget(64 << 20);
    let variable = |name: &str| blockwise::open(&format!("{DATA}::{name}"));
    let (sst, time, latitude, longitude) =
        (variable("SST")?, variable("TIME")?, variable("COADSY")?, variable("COADSX")?);

    // A cell without all months is as land.
    let lacks_a_month = sst.is_nan()?.any("TIME")?;
    let complete = Array::call("where", [(&lacks_a_month).into(), f64::NAN.into(), (&sst).into()])?;
    let weights = (&latitude * (TAU / 360.0)).cos()?.sqrt()?.with_names(&["COADSY"])?;

    // Nothing is computed until here; then all of it is, in one run, and kept.
    let found = eof(&complete.with_names(&["TIME", "COADSY", "COADSX"])?, MODES, &weights)?.held(&session)?;
    let cells =
        session.compute::<i64>(&found.mean.as_ref().map_or(&sst, |mean| mean).is_finite()?.sum(..)?)?;
    println!("{} cells of the sea, in {} passes over the field", cells[[]], found.passes);
    let (shares, variances) = (&found.explained_variance_ratio, &found.explained_variance);
    let held = session.compute_many(&[shares.clone(), variances.clone()])?;
    let numbers = |at: usize| held.get(at).and_then(|array| array.to_elements::<f64>()).unwrap_or_default();
    for (mode, (share, variance)) in numbers(0).into_iter().zip(numbers(1)).enumerate() {
        println!("EOF {}: {:.2} % of the variance ({variance:.1} square degrees)", mode + 1, 100.0 * share);
    }

    let scores = found.scaled_scores(Scaling::Divided)?;
    let first = session.compute::<f32>(&scores.slice(1, 0)?)?;
    let months: Vec<String> = first.iter().map(|score| format!("{score:.2}")).collect();
    println!("EOF 1 by month, in standard deviations: {}", months.join(" "));

    // How far two patterns take us: the rest, over the whole sea and all months.
    let rest = (&complete - found.reconstruct(2)?).square()?;
    let rest = session.compute::<f64>(&rest.astype(DType::F64).nanmean(..)?.sqrt()?)?;
    println!("root mean square left by two EOFs: {:.3} degrees", rest[[]]);

    let mut names = std::env::args().skip(1);
    if let Some(path) = names.next() {
        let patterns = found.patterns()?.with_names(&["mode", "COADSY", "COADSX"])?;
        let scores = scores.with_names(&["TIME", "mode"])?;
        let mean = found.mean.ok_or("means were taken off")?;
        let arrays = [
            (&time, "TIME"),
            (&latitude, "COADSY"),
            (&longitude, "COADSX"),
            (&patterns, "eof"),
            (&scores, "pc"),
            (&mean, "mean"),
        ];
        to_netcdf(&session, &arrays, path, &StoreOptions::default())?;
        if let Some(picture) = names.next() {
            let all = [latitude, longitude, patterns.slice(0, 0)?].map(|array| array.astype(DType::F64));
            let mut all =
                session.compute_many(&all)?.into_iter().filter_map(|held| held.to_elements::<f64>());
            let mut next = || all.next().ok_or("nothing to draw");
            let rows = Axis::of_coordinates("latitude", AxisKind::Latitude, next()?);
            let columns = Axis::of_coordinates("longitude", AxisKind::Longitude, next()?);
            let share = numbers(0).first().map_or(0.0, |share| 100.0 * share);
            let figure = Figure {
                title: format!("First EOF of sea surface temperature, {share:.1} % of the variance"),
                units: "degrees C per standard deviation".to_owned(),
                ..Figure::new(next()?, rows, columns)
            };
            std::fs::write(picture, figure.draw()?.png)?;
        }
    }
    Ok(())
}
