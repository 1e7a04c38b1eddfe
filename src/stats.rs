//! What is in an array, in one pass: counts, extremes, mean, deviation, histogram.
//!
//! Invariants: every chunk is read once; CF packing and missing values are undone unless asked otherwise; results do
//! not depend on threads. Called by the command line's `stats`.

mod histogram;

pub use histogram::Histogram;

use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, Evaluation};
use crate::location::Location;
use crate::watch::Watcher;
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{PlanSummary, Resources};
use blockwise_core::region::element_count;
use blockwise_core::{Array, Cancellation, DType, Session, Sink, exec};
use histogram::HistogramSink;
use std::sync::Arc;

/// What one array holds.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The array's path and node.
    pub label: String,
    /// Type of the elements as they were computed with.
    pub dtype: DType,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Whether CF packing or missing values were undone.
    pub unpacked: bool,
    /// Elements that are not NaN.
    pub count: u64,
    /// Elements that are NaN, missing ones included.
    pub missing: u64,
    /// The smallest element; NaN if there is none.
    pub min: f64,
    /// The largest element.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the population.
    pub std: f64,
    /// How many elements lie where.
    pub histogram: Histogram,
}

/// The statistics of the array that `location` names, or of every array of a container that holds no coordinates.
///
/// ```
/// use blockwise::stats::stats;
/// use blockwise::prelude::*;
/// let sst = "examples/data/coads_climatology.cdf::SST".parse()?;
/// let resources = blockwise::machine::resources(64 << 20);
/// let (all, _) = stats(&sst, &Default::default(), &resources, &Unobserved, &Cancellation::new())?;
/// assert_eq!(all[0].count + all[0].missing, 12 * 90 * 180);
/// assert_eq!(all[0].histogram.counts().iter().sum::<u64>(), all[0].count);
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If it cannot be read, holds nothing that has such statistics, or the budget is too small. With `plan_only` only
/// plans are made.
pub fn stats(
    location: &Location,
    options: &EvalOptions,
    resources: &Resources,
    watcher: &dyn Watcher,
    cancellation: &Cancellation,
) -> Result<(Vec<Statistics>, Vec<PlanSummary>)> {
    let opened = location.open(&options.open)?;
    let arrays: Vec<_> = match opened.only_array() {
        Ok(only) => vec![only],
        Err(error) => {
            let (_, inside) = opened.selected()?;
            let data = |info: &&blockwise_io::ArrayInfo| {
                let number = matches!(&info.element_type, blockwise_io::ElementType::Number(dtype) if dtype.kind() != 'c');
                number && !info.shape.is_empty() && !info.is_coordinate
            };
            let data: Vec<_> = inside.into_iter().filter(data).collect();
            if data.is_empty() {
                return Err(error);
            }
            data
        }
    };
    let (mut all, mut plans) = (Vec::new(), Vec::new());
    for (position, info) in arrays.iter().enumerate() {
        let label = opened.label(&info.path);
        let location = if info.path.is_root() { location.clone() } else { label.parse()? };
        let input = EvalInput { name: "x".to_owned(), location };
        let job = Evaluation::open("x", &[input], options)?;
        let (Some(input), Some(result)) = (job.inputs().next(), job.results.first()) else { continue };
        let array = result.value.array.clone();
        let measured = measure(&array, &label, resources).map_err(|error| error.in_array(&label))?;
        let Measured { plan, numbers, histogram } = measured;
        plans.push(plan.summary().clone());
        if options.plan_only {
            continue;
        }
        watcher.array_started(position, arrays.len(), &label, &plan);
        exec::run(&plan, resources, watcher, cancellation)?;
        let number = |at: usize| {
            numbers.get(at).and_then(|held| held.to_elements::<f64>()?.first().copied()).unwrap_or(f64::NAN)
        };
        let histogram = histogram.result();
        let count = histogram.count();
        let elements = element_count(&array.shape()).unwrap_or(u64::MAX);
        all.push(Statistics {
            label,
            dtype: array.dtype(),
            shape: array.shape(),
            unpacked: input.unpacked,
            count,
            missing: elements.saturating_sub(count),
            min: number(0),
            max: number(1),
            mean: number(2),
            std: number(3),
            histogram,
        });
    }
    Ok((all, plans))
}

struct Measured {
    plan: blockwise_core::plan::Plan,
    numbers: Vec<Arc<MemoryArray>>,
    histogram: Arc<HistogramSink>,
}

/// The plan of one pass over `array`, and where its results go.
fn measure(array: &Array, label: &str, resources: &Resources) -> Result<Measured> {
    let refuse = |what: &str| Error::Refused { path: label.to_owned(), what: what.to_owned() };
    if array.dtype().kind() == 'c' {
        return Err(refuse("complex numbers have no order; evaluate abs(x) into a file first"));
    }
    if element_count(&array.shape()) == Some(0) {
        return Err(refuse("it has no elements"));
    }
    // In float64, so that the spread of bools and half-width floats is not rounded to their own type.
    let wide = array.astype(DType::F64);
    let reduced = [array.nanmin(..)?, array.nanmax(..)?, wide.nanmean(..)?, wide.nanstd(..)?];
    let mut targets: Vec<(Array, Arc<dyn Sink>)> = Vec::new();
    let mut numbers = Vec::new();
    for reduced in reduced {
        let reduced = reduced.astype(DType::F64);
        let held = Arc::new(MemoryArray::zeros(label, DType::F64, reduced.grid().clone())?);
        targets.push((reduced, Arc::clone(&held) as Arc<dyn Sink>));
        numbers.push(held);
    }
    let histogram = Arc::new(HistogramSink::new(label, array));
    targets.push((array.clone(), Arc::clone(&histogram) as Arc<dyn Sink>));
    let plan = Session::new(resources.clone()).plan(&targets)?;
    Ok(Measured { plan, numbers, histogram })
}
