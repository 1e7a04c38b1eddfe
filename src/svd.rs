//! The job behind `svd`: a stored array in, its largest singular values and their vectors in a new group.
//!
//! The first dimension is that of the samples, all others together are the features. Invariants: the array is read in passes
//! and never held; `U`, `S` and `V` have the dimension names and coordinates of the array, and `mode`; they appear together by one
//! rename. Called by the command line.

use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, EvalResult, Evaluation};
use crate::expression::Labelled;
use crate::location::Location;
use blockwise_core::array::Index;
use blockwise_core::{Array, DType, Session};
use blockwise_io::{AttributeValue, Attributes};
use blockwise_linalg::{Compressed, Compression, Svd, svd};
use std::sync::Arc;

/// What is wanted of an array.
#[derive(Clone, Debug)]
pub struct SvdOptions {
    /// Singular values.
    pub rank: u64,
    /// Whether all are computed, of which the largest are stored: one side must be small.
    pub exact: bool,
    /// Whether the mean over the first dimension is taken off first, and stored.
    pub center: bool,
    /// How the random basis is made; its rank is taken from `rank`.
    pub compression: Compression,
    /// What may be left of the array, relative to it: then the least rank with which it is, from `rank` up.
    pub tolerance: Option<f64>,
}

/// A decomposition ready to be stored: by [`Evaluation::store`].
pub struct SvdJob {
    /// Its results are `U`, `S`, `V`, `relative_error`, and `mean` if the array is centred.
    pub evaluation: Evaluation,
    /// How often the array is read for them.
    pub passes: u64,
}

impl SvdJob {
    /// Opens the array and builds its decomposition. Nothing is read, but for a tolerance, which takes passes.
    ///
    /// ```
    /// use blockwise::evaluate::EvalOptions;
    /// use blockwise::linalg::Compression;
    /// use blockwise::svd::{SvdJob, SvdOptions};
    /// use blockwise_core::Session;
    /// let options =
    ///     SvdOptions { rank: 3, exact: true, center: true, compression: Compression::new(3), tolerance: None };
    /// let winds = "examples/data/coads_climatology.cdf::AIRT".parse()?;
    /// let job = SvdJob::open(&winds, &options, &EvalOptions::default(), &Session::default())?;
    /// let v = &job.evaluation.results[2].value.array;
    /// assert_eq!((v.shape(), v.names()[0].as_deref()), (vec![3, 90, 180], Some("mode")));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be opened, has fewer than two dimensions or no elements, or the rank is 0 or more than it has.
    pub fn open(
        location: &Location,
        options: &SvdOptions,
        open: &EvalOptions,
        session: &Session,
    ) -> Result<Self> {
        let input = EvalInput { name: "x".to_owned(), location: location.clone() };
        let evaluation = Evaluation::open("x", &[input], open)?;
        let label = location.to_string();
        let refuse = |what: String| Error::Usage { path: label.clone(), what };
        let labelled = evaluation.results.first().map(|result| result.value.clone());
        let labelled = labelled.ok_or_else(|| refuse("it holds no array".to_owned()))?;
        let (x, shape) = (&labelled.array, labelled.array.shape());
        let features: u64 = shape.iter().skip(1).product();
        let most = shape.first().copied().unwrap_or(0).min(features);
        if shape.len() < 2 || most == 0 {
            let what = format!(
                "an array of shape {shape:?} has no singular values; give one of samples by features"
            );
            return Err(refuse(what));
        }
        if options.rank == 0 || options.rank > most {
            return Err(refuse(format!(
                "it has {most} singular values; {} cannot be stored: give -k 1 to {most}",
                options.rank
            )));
        }
        let matrix = if shape.len() == 2 { x.clone() } else { x.reshape(&[x_rows(&shape), -1])? };
        let mean = if options.center { Some(matrix.mean(0)?) } else { None };
        let matrix = match &mean {
            Some(mean) => matrix.try_sub(&mean.expand_dims(0)?)?,
            None => matrix,
        };
        let Compressed { svd, error, passes } = decomposed(&matrix, options, session)?;
        let passes = passes + u64::from(options.center);

        let rank = svd.s.shape();
        let mode = mode_name(x.names());
        let folded = |array: &Array, first: &[u64], names: Vec<Option<String>>| {
            let whole: Vec<i64> = first.iter().chain(shape.iter().skip(1)).map(|n| *n as i64).collect();
            array.reshape(&whole)?.with_some_names(names)
        };
        let rest = || x.names().iter().skip(1).cloned();
        let u_names = vec![x.names().first().cloned().flatten(), Some(mode.clone())];
        let v_names = std::iter::once(Some(mode.clone())).chain(rest()).collect();
        let mut results = vec![
            result("U", svd.u.with_some_names(u_names)?, "left singular vectors", &labelled),
            result("S", svd.s.with_some_names(vec![Some(mode)])?, "singular values", &labelled),
            result("V", folded(&svd.vh, &rank, v_names)?, "right singular vectors, conjugated", &labelled),
            result("relative_error", error, "what is left of the array, in the norm of Frobenius", &labelled),
        ];
        if let Some(mean) = mean {
            let mean = folded(&mean, &[], rest().collect())?;
            results.push(result("mean", mean, "mean over the first dimension, taken off", &labelled));
        }
        let text = format!("svd {options:?}");
        Ok(Self { evaluation: evaluation.with_results(text, results), passes })
    }
}

fn x_rows(shape: &[u64]) -> i64 {
    shape.first().and_then(|rows| i64::try_from(*rows).ok()).unwrap_or(i64::MAX)
}

fn decomposed(matrix: &Array, options: &SvdOptions, session: &Session) -> Result<Compressed> {
    if let Some(tolerance) = options.tolerance {
        return Ok(options.compression.decompose_to(matrix, tolerance, session)?);
    }
    if !options.exact {
        return Ok(options.compression.decompose(matrix)?);
    }
    let Svd { u, s, vh } = svd(matrix)?;
    let first = Index::from(0..i64::try_from(options.rank).unwrap_or(i64::MAX));
    let squares = s.astype(DType::F64).square()?;
    let left = squares.index(&[first_from(options.rank)])?.sum(..)?;
    let whole = Array::call("maximum", [(&squares.sum(..)?).into(), f64::MIN_POSITIVE.into()])?;
    let error = left.try_div(&whole)?.sqrt()?;
    let svd = Svd { u: u.index(&[Index::from(..), first])?, s: s.index(&[first])?, vh: vh.index(&[first])? };
    Ok(Compressed { svd, error, passes: 2 })
}

fn first_from(rank: u64) -> Index {
    Index::from(i64::try_from(rank).unwrap_or(i64::MAX)..)
}

/// `mode`, unless the array has such a dimension.
fn mode_name(names: &[Option<String>]) -> String {
    let taken = |name: &str| names.iter().flatten().any(|own| own == name);
    let mut name = "mode".to_owned();
    while taken(&name) {
        name.push('_');
    }
    name
}

/// A result with those coordinates of the array whose dimensions it has.
fn result(name: &str, array: Array, what: &str, of: &Labelled) -> EvalResult {
    let mut attributes = Attributes::new();
    attributes.set("long_name", AttributeValue::Text(what.to_owned()));
    let has = |dimension: &str| array.names().iter().flatten().any(|own| own == dimension);
    let coordinates = of.coordinates.iter().filter(|own| has(&own.dimension)).cloned().collect();
    let value = Labelled { array, coordinates, attributes: Some(Arc::new(attributes)) };
    EvalResult { name: Some(name.to_owned()), value }
}
