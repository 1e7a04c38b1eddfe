//! One array workload of `make bench`; prints one line of JSON with its seconds and the sum of its first result.
//!
//!     cargo run --release --example array_workloads -- WORKLOAD [SOURCE [DESTINATION]] [--memory SIZE]
//!
//! | WORKLOAD | what |
//! |---|---|
//! | `mean0` | the mean of SOURCE over its first axis |
//! | `stdall` | the standard deviation of `(x - 273.15) * 1.8 + 32` |
//! | `multi` | mean, std, min and max of all elements and the mean over the first axis of those that are not NaN |
//! | `anomaly` | `x - mean over the first axis`, written to the Zarr store DESTINATION |
//! | `group` | the mean of each month of SOURCE, six-hourly from 2001 on, and what is left without it, written to DESTINATION |
//! | `median0` | the exact median over the first axis |
//! | `program` | ten operations on 1 GB of float64 in memory, on one thread; `copy_secs`: copying it once |

#[path = "support/arguments.rs"]
mod arguments;

use blockwise::cf::time::{TimeField, TimeUnits};
use blockwise::convert::ArrayOptions;
use blockwise::kernels::program::{Builder, Input, Program, ProgramError, Scratch};
use blockwise::kernels::{Buffer, cast};
use blockwise::prelude::*;
use blockwise::store::{StoreOptions, to_zarr};
use std::hint::black_box;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let (words, session) = arguments::arguments()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let started = Instant::now();
    let check = match words.as_slice() {
        ["program"] => return program(),
        ["anomaly", source, destination] => {
            let x = blockwise::open(source)?;
            let codec = Some(blockwise::codec_text::parse_codec("blosc:zstd:3:shuffle")?);
            let arrays = ArrayOptions { codec, ..ArrayOptions::default() };
            let options = StoreOptions { arrays, ..StoreOptions::default() };
            to_zarr(&session, &[(&(&x - x.mean(0)?), "")], destination, &options)?;
            None
        }
        ["group", source, destination] => {
            group(&session, source, destination)?;
            None
        }
        [workload, source] => Some(first_sum(&session, &results(workload, &blockwise::open(source)?)?)?),
        _ => return Err("give a workload and what it reads".into()),
    };
    let secs = started.elapsed().as_secs_f64();
    let check = check.map_or_else(|| "null".to_owned(), |sum| sum.to_string());
    println!(r#"{{"secs": {secs:.3}, "check": {check}}}"#);
    Ok(())
}

/// The monthly climatology and the anomaly from it, in one run.
fn group(session: &Session, source: &str, destination: &str) -> Outcome<()> {
    let x = blockwise::open(source)?;
    let hours: Vec<i64> = (0..x.shape()[0] as i64).map(|step| 6 * step).collect();
    let times = TimeUnits::parse("hours since 2001-01-01", "standard")?.decode_whole(&hours)?;
    let months: Vec<i64> = times.field(TimeField::Month)?.into_iter().flatten().collect();
    let groups = x.group_by(&months, 0)?;
    let climatology = groups.nanmean()?;
    let anomaly = (&x - groups.spread(&climatology)?).rechunk(x.grid())?;
    let codec = Some(blockwise::codec_text::parse_codec("blosc:zstd:3:shuffle")?);
    let options =
        StoreOptions { arrays: ArrayOptions { codec, ..ArrayOptions::default() }, ..StoreOptions::default() };
    // The climatology's twelve months are no dimension of the anomaly's.
    let climatology = climatology.with_names(&["month", "lat", "lon"])?;
    to_zarr(session, &[(&climatology, "climatology"), (&anomaly, "anomaly")], destination, &options)?;
    Ok(())
}

fn results(workload: &str, x: &Array) -> Outcome<Vec<Array>> {
    Ok(match workload {
        "mean0" => vec![x.mean(0)?],
        "stdall" => vec![((x - 273.15) * 1.8 + 32.0).std(..)?],
        "multi" => vec![x.mean(..)?, x.std(..)?, x.min(..)?, x.max(..)?, x.nanmean(0)?],
        "median0" => vec![x.median(0)?],
        _ => return Err(format!("no workload '{workload}'").into()),
    })
}

/// Computes all of `results` in one run; the sum of the first.
fn first_sum(session: &Session, results: &[Array]) -> Outcome<f64> {
    let computed = session.compute_many(results)?;
    let first = computed.first().and_then(|array| array.to_elements::<f32>());
    Ok(first.ok_or("no result of float32")?.into_iter().map(f64::from).sum())
}

/// Ten operations of two inputs: `+ * - * abs max min > where +`.
fn chain() -> Result<Program, ProgramError> {
    let mut b = Builder::new();
    let (x, y) = (b.input(DType::F64), b.input(DType::F64));
    let mut value = b.call_named("add", &[x.into(), y.into()])?;
    value = b.call_named("multiply", &[value.into(), 0.5.into()])?;
    value = b.call_named("subtract", &[value.into(), x.into()])?;
    value = b.call_named("multiply", &[value.into(), y.into()])?;
    value = b.call_named("absolute", &[value.into()])?;
    value = b.call_named("maximum", &[value.into(), 0.25.into()])?;
    value = b.call_named("minimum", &[value.into(), 1e6.into()])?;
    let test = b.call_named("greater", &[value.into(), x.into()])?;
    value = b.call_named("where", &[test.into(), value.into(), x.into()])?;
    value = b.call_named("add", &[value.into(), 1.0.into()])?;
    b.finish(&[value])
}

/// The least of three runs each of the ten operations and of a copy of their inputs and output.
fn program() -> Outcome<()> {
    const COUNT: usize = 1_000_000_000 / 3 / size_of::<f64>();
    let program = chain()?;
    let array = |step: usize| -> Outcome<Buffer> {
        let values: Vec<f32> = (0..COUNT).map(|i| ((i * step) % 1000) as f32 / 8.0).collect();
        let mut array = Buffer::zeroed(COUNT * size_of::<f64>());
        cast(&mut array, DType::F64, f32::as_bytes(&values), DType::F32)?;
        Ok(array)
    };
    let inputs = [array(7)?, array(8)?];
    let mut out = Buffer::zeroed(COUNT * size_of::<f64>());
    let mut copies = [Buffer::zeroed(out.len()), Buffer::zeroed(out.len()), Buffer::zeroed(out.len())];
    let mut scratch = Scratch::default();
    let (mut secs, mut copy_secs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let started = Instant::now();
        let operands = inputs.each_ref().map(|bytes| Input::contiguous(black_box(bytes), DType::F64));
        program.evaluate(&operands, &[COUNT], &mut [&mut out], &mut scratch)?;
        secs = started.elapsed().as_secs_f64().min(secs);
        let started = Instant::now();
        for (copy, input) in copies.iter_mut().zip([&inputs[0], &inputs[1], &out]) {
            black_box(&mut **copy).copy_from_slice(black_box(input));
        }
        copy_secs = started.elapsed().as_secs_f64().min(copy_secs);
    }
    let check: f64 = f64::cast_slice(&out).ok_or("aligned")?.iter().sum();
    println!(r#"{{"secs": {secs:.4}, "copy_secs": {copy_secs:.4}, "check": {check}}}"#);
    Ok(())
}
