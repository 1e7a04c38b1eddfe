//! What images come to: labels, their measures, holes, distances and thresholds, by the names and arguments of SciPy's `ndimage`
//! and scikit-image.
//!
//! Invariant: as for filters, an argument means here what it means there. Called by the function table.

use super::entry::{Entry, entry};
use super::filters::{MORPHOLOGY, filtered, footprint, reals, to_sizes};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::array::{LocalThreshold, Measures, Structure};
use blockwise_core::{Array, Result};

const LABELS: &str = "labels";
const THRESHOLDS: &str = "filters: thresholds";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        LABELS,
        "label(input, structure=None, output=None, connectivity=1)",
        "numbers what is other than zero and hangs together, from 1 on, across chunks; neighbours differ along at most connectivity axes, or are those of a structure of 3 along each axis; .max() is how many there are",
        |a| {
            let x = a.array("input")?;
            let found = x.array.label(&neighbours(a, x.array.rank())?)?.labels;
            let dtype = a.read("output", Value::to_dtype)?.unwrap_or_else(|| found.dtype());
            Ok(x.with(found.astype(dtype)).of_other_quantity().into())
        },
    ),
    entry(
        MORPHOLOGY,
        "binary_fill_holes(input, structure=None)",
        "what is other than zero, and the holes in it: zeros that no steps of the structure join to the outside",
        |a| {
            let x = a.array("input")?;
            let structure = match footprint(a, "structure")? {
                Some(footprint) => Structure::flat(footprint),
                None => Structure::connected(x.array.rank(), 1),
            };
            Ok(x.with(x.array.binary_fill_holes(&structure)?).of_other_quantity().into())
        },
    ),
    entry(
        MORPHOLOGY,
        "distance_transform_edt(input, sampling=None)",
        "the exact distance of each element to the nearest zero; sampling is the distance of neighbours, of all axes or each",
        |a| {
            let x = a.array("input")?;
            let sampling = a.read("sampling", reals)?.unwrap_or_else(|| vec![1.0]);
            Ok(x.with(x.array.distance_transform_edt(&sampling)?).of_other_quantity().into())
        },
    ),
    entry(
        THRESHOLDS,
        "threshold_otsu(image, nbins=256)",
        "Otsu's threshold, one number: of whole numbers each is a bin, of floats there are nbins, from the smallest to the largest",
        |a| {
            let x = a.array("image")?;
            let bins = a.read("nbins", Value::to_int)?.unwrap_or(256);
            let bins = usize::try_from(bins).map_err(|_| Trouble::here("nbins is a number from 1 up"))?;
            Ok(x.with(x.array.threshold_otsu(bins)?).into())
        },
    ),
    entry(
        THRESHOLDS,
        "threshold_local(input, block_size=3, method=\"gaussian\", offset=0, mode=\"reflect\", cval=0.0)",
        "for each element a threshold of its own: the gaussian, mean or median of the block around it, less offset",
        |a| {
            let sizes = a.read("block_size", to_sizes)?.unwrap_or_else(|| vec![3]);
            let offset = a.read("offset", Value::to_real)?.unwrap_or(0.0);
            let method = a.read("method", |value| match value.to_text()? {
                "gaussian" => Ok(LocalThreshold::Gaussian),
                "mean" => Ok(LocalThreshold::Mean),
                "median" => Ok(LocalThreshold::Median),
                other => Err(Trouble::here(format!(
                    "there is no local threshold '{other}'; there are gaussian, mean, median"
                ))),
            })?;
            filtered(a, "", |f| Ok(f.threshold_local(&sizes, method.unwrap_or_default(), offset)?))
        },
    ),
    entry(
        LABELS,
        "sum_labels(input, labels, count)",
        "the sums of the elements of labels 1 to count, an element a label",
        |a| measured(a, Measures::sums),
    ),
    entry(LABELS, "mean_labels(input, labels, count)", "the means of the elements of labels", |a| {
        measured(a, Measures::means)
    }),
    entry(
        LABELS,
        "var_labels(input, labels, count)",
        "the variances of the elements of labels, of all and not of a sample",
        |a| measured(a, Measures::variances),
    ),
    entry(
        LABELS,
        "std_labels(input, labels, count)",
        "the standard deviations of the elements of labels, of all and not of a sample",
        |a| measured(a, |measures| measures.variances()?.sqrt()),
    ),
    entry(LABELS, "min_labels(input, labels, count)", "the smallest elements of labels", |a| {
        measured(a, Measures::minima)
    }),
    entry(LABELS, "max_labels(input, labels, count)", "the largest elements of labels", |a| {
        measured(a, Measures::maxima)
    }),
    entry(LABELS, "count_labels(labels, count)", "how many elements have labels 1 to count", |a| {
        measured(a, Measures::counts)
    }),
    entry(
        LABELS,
        "center_of_mass(input, labels, count)",
        "mean positions of labels, each element counting as much as it is: a row a label",
        |a| measured(a, Measures::centers_of_mass),
    ),
    entry(LABELS, "centroids(labels, count)", "mean positions of labels: a row a label", |a| {
        measured(a, Measures::centroids)
    }),
    entry(
        LABELS,
        "find_objects(labels, count)",
        "first positions of labels and one past the last: for every label a row an axis",
        |a| measured(a, Measures::extents),
    ),
];

/// The structure that says what hangs together.
fn neighbours(arguments: &Arguments, rank: usize) -> Outcome<Structure> {
    let connectivity = arguments.read("connectivity", Value::to_int)?;
    match (footprint(arguments, "structure")?, connectivity) {
        (Some(_), Some(_)) => Err(Trouble::here("give a structure or a connectivity, not both")),
        (Some(footprint), None) => Ok(Structure::flat(footprint)),
        (None, connectivity) => {
            let near = usize::try_from(connectivity.unwrap_or(1)).unwrap_or(0);
            if near == 0 || near > rank.max(1) {
                let message = format!("a connectivity of {near} in {rank} axes; give 1 to {}", rank.max(1));
                return Err(Trouble::here(message));
            }
            Ok(Structure::connected(rank, near))
        }
    }
}

/// A measure of labels, by name.
fn measured(arguments: &Arguments, of: fn(&Measures) -> Result<Array>) -> Outcome<Value> {
    let labels = arguments.array("labels")?;
    let values = arguments.read("input", Value::to_array)?.unwrap_or_else(|| labels.clone());
    let count = arguments.need("count", Value::to_int)?;
    let count = u64::try_from(count).map_err(|_| Trouble::here("count is a number from 0 up"))?;
    Ok(Labelled::from(of(&values.array.measure(&labels.array, count)?)?).into())
}
