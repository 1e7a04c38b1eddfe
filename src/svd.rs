//! The job behind `svd`: a stored array in, its largest singular values and their vectors in a new group.
//!
//! The first dimension is that of the samples, all others together are the features. Invariants: the array is read in passes
//! and never held; centring and weights are part of the reading; `U`, `S` and `V` have the dimension names and coordinates of the
//! array, and `mode`; all results appear together by one rename. Called by the command line.

use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, EvalResult, Evaluation};
use crate::expression::Labelled;
use crate::location::Location;
use crate::show::{AxisKind, kind_of};
use blockwise_core::{Array, DType, Session};
use blockwise_io::{AttributeValue, Attributes};
use blockwise_linalg::{Compression, Pca};
use std::f64::consts::PI;
use std::sync::Arc;

/// What is wanted of an array.
#[derive(Clone, Debug)]
pub struct SvdOptions {
    /// Whether all singular values are computed, of which the largest are stored: one side must be small.
    pub exact: bool,
    /// Whether the mean over the first dimension is taken off first, and stored.
    pub center: bool,
    /// How many singular values, and how the random basis is made.
    pub compression: Compression,
    /// What may be left of the array, relative to it: then the least rank with which it is, from that of `compression` up.
    pub tolerance: Option<f64>,
    /// What features are multiplied by.
    pub weights: Option<Weights>,
    /// Whether features that are NaN in every sample are left out.
    pub leave_out_missing: bool,
    /// Whether what one standard deviation of each mode is in the array's own units is stored too.
    pub patterns: bool,
}

impl SvdOptions {
    /// The array as it is, by a random basis.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self {
            exact: false,
            center: false,
            compression,
            tolerance: None,
            weights: None,
            leave_out_missing: false,
            patterns: false,
        }
    }

    /// A failure of such a job, with the option that helps if it is one of missing values.
    #[must_use]
    pub fn advised(&self, error: Error) -> Error {
        if !error.core().is_some_and(blockwise_core::Error::is_not_finite) {
            return error;
        }
        let advice = if self.leave_out_missing { SKIPPED } else { NOT_SKIPPED };
        Error::Advised { source: Box::new(error), advice }
    }
}

/// What helps against missing values, which may be those of land.
const NOT_SKIPPED: &str = "--skip-missing leaves out features that are NaN in every sample, such as land; others must be filled, as \
    by arrayctl eval 'where(isnan(x), 0, x)'";
/// What helps where that was tried.
const SKIPPED: &str = "--skip-missing leaves out only features that are NaN in every sample; those that are in some must be filled, \
    as by arrayctl eval 'where(isnan(x), 0, x)'";

/// What features are multiplied by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The square root of the cosine of their latitude, so that variances are weighted by area.
    CosLatitude,
    /// A stored array, whose dimensions are some of the features'.
    Stored(Location),
}

impl Weights {
    /// `coslat`, the name of an array in the container of `source`, or where another one is.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn parse(text: &str, source: &Location) -> Result<Self> {
        if text == "coslat" {
            return Ok(Self::CosLatitude);
        }
        let is_path = text.contains("::") || text.contains("://") || std::path::Path::new(text).exists();
        let location = if is_path { text.to_owned() } else { format!("{}::{text}", source.path().display()) };
        Ok(Self::Stored(location.parse()?))
    }

    /// For people.
    fn label(&self) -> String {
        match self {
            Self::CosLatitude => "sqrt(cos(latitude))".to_owned(),
            Self::Stored(location) => location.to_string(),
        }
    }
}

/// A decomposition ready to be stored: by [`Evaluation::store`].
pub struct SvdJob {
    /// Its results are `U`, `S`, `V`, `relative_error`, and, if the array is centred, `mean`, `explained_variance` and
    /// `explained_variance_ratio`; `pattern` if that is wanted.
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
    /// use blockwise::svd::{SvdJob, SvdOptions, Weights};
    /// use blockwise_core::Session;
    /// let mut options = SvdOptions::new(Compression::new(3));
    /// (options.exact, options.center, options.weights) = (true, true, Some(Weights::CosLatitude));
    /// let temperatures = "examples/data/coads_climatology.cdf::AIRT".parse()?;
    /// let job = SvdJob::open(&temperatures, &options, &EvalOptions::default(), &Session::default())?;
    /// let v = &job.evaluation.results[2].value.array;
    /// assert_eq!((v.shape(), v.names()[0].as_deref()), (vec![3, 90, 180], Some("mode")));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be opened, has fewer than two dimensions or no elements, or the rank is 0 or more than it has; if weights
    /// are not of its features; if patterns are wanted of what is not centred.
    pub fn open(
        location: &Location,
        options: &SvdOptions,
        open: &EvalOptions,
        session: &Session,
    ) -> Result<Self> {
        let label = location.to_string();
        let refuse = |what: String| Error::Usage { path: label.clone(), what };
        if options.patterns && !options.center {
            return Err(refuse("patterns are of deviations from the mean; centre the array too".to_owned()));
        }
        let (evaluation, labelled, stored_weights) = opened(location, options, open)?;
        let (x, shape) = (&labelled.array, labelled.array.shape());
        let features: u64 = shape.iter().skip(1).product();
        let most = shape.first().copied().unwrap_or(0).min(features);
        if shape.len() < 2 || most == 0 {
            let what = format!(
                "an array of shape {shape:?} has no singular values; give one of samples by features"
            );
            return Err(refuse(what));
        }
        let rank = options.compression.rank();
        if rank == 0 || rank > most {
            return Err(refuse(format!(
                "it has {most} singular values; {rank} cannot be stored: give -k 1 to {most}"
            )));
        }
        let mut pca = if options.exact { Pca::exact(rank) } else { Pca::compressed(options.compression) };
        if !options.center {
            pca = pca.uncentred();
        }
        if options.leave_out_missing {
            pca = pca.leaving_out_missing();
        }
        match (&options.weights, stored_weights) {
            (Some(Weights::CosLatitude), _) => {
                pca = pca.with_feature_weights(cos_latitude(&labelled, &evaluation).map_err(refuse)?);
            }
            (_, Some(weights)) => pca = pca.with_feature_weights(weights),
            _ => {}
        }
        let found = match options.tolerance {
            Some(tolerance) => pca.fit_to(x, tolerance, session),
            None => pca.fit(x),
        };
        let found = found.map_err(|error| Error::from(error).in_array(&label))?;

        let mode = mode_name(x.names());
        let of_modes = vec![Some(mode.clone())];
        let rest = || x.names().iter().skip(1).cloned();
        let u_names = vec![x.names().first().cloned().flatten(), Some(mode.clone())];
        let v_names: Vec<Option<String>> = of_modes.iter().cloned().chain(rest()).collect();
        let named = |array: &Array, names: &[Option<String>]| array.with_some_names(names.to_vec());
        let result = |name: &str, array: Array, what: &str| result(name, array, what, &labelled);
        let mut v = result("V", named(&found.components, &v_names)?, "right singular vectors, conjugated");
        if let Some(weights) = &options.weights {
            v = with_text(v, "weights", &weights.label());
        }
        let mut results = vec![
            result("U", named(&found.left_vectors, &u_names)?, "left singular vectors"),
            result("S", named(&found.singular_values, &of_modes)?, "singular values"),
            v,
            result(
                "relative_error",
                found.relative_error.clone(),
                "what is left of the array, in the norm of Frobenius",
            ),
        ];
        let units = |of: EvalResult| match text_of(&labelled, "units") {
            Some(units) => with_text(of, "units", &units),
            None => of,
        };
        if let Some(mean) = &found.mean {
            let names: Vec<Option<String>> = rest().collect();
            results.push(units(result(
                "mean",
                named(mean, &names)?,
                "mean over the first dimension, taken off",
            )));
            let variance = named(&found.explained_variance, &of_modes)?;
            results.push(result("explained_variance", variance, "variances of the modes, of samples - 1"));
            let ratio = named(&found.explained_variance_ratio, &of_modes)?;
            let ratio = result("explained_variance_ratio", ratio, "parts of the variance of all features");
            results.push(with_text(ratio, "units", "1"));
        }
        if options.patterns {
            let patterns = named(&found.patterns()?, &v_names)?;
            let what = "what one standard deviation of each mode is, without weights";
            results.push(units(result("pattern", patterns, what)));
        }
        let text = format!("svd {options:?}");
        Ok(Self { evaluation: evaluation.with_results(text, results), passes: found.passes })
    }
}

/// The array, and stored weights.
fn opened(
    location: &Location,
    options: &SvdOptions,
    open: &EvalOptions,
) -> Result<(Evaluation, Labelled, Option<Array>)> {
    let input =
        |name: &str, location: &Location| EvalInput { name: name.to_owned(), location: location.clone() };
    let mut inputs = vec![input("x", location)];
    let text = match &options.weights {
        Some(Weights::Stored(weights)) => {
            inputs.push(input("w", weights));
            "array = x; weights = w"
        }
        _ => "x",
    };
    let evaluation = Evaluation::open(text, &inputs, open)?;
    let mut values = evaluation.results.iter().map(|result| result.value.clone());
    let labelled = values
        .next()
        .ok_or_else(|| Error::Usage { path: location.to_string(), what: "it holds no array".to_owned() })?;
    let weights = values.next().map(|weights| weights.array);
    Ok((evaluation, labelled, weights))
}

/// The square root of the cosine of latitude, along the dimension of the features that has latitudes.
fn cos_latitude(of: &Labelled, evaluation: &Evaluation) -> Result<Array, String> {
    let of_features = of.array.names().iter().skip(1).flatten();
    let latitude = of_features
        .filter_map(|name| of.coordinates.iter().find(|own| own.name == *name))
        .find(|own| {
            kind_of(&own.name, evaluation.coordinate_attributes(&own.origin)) == AxisKind::Latitude
        })
        .ok_or(
            "no dimension of its features has latitudes (coordinates in degrees_north, or named lat); give the name of an array of weights",
        )?;
    let weights = || -> blockwise_core::Result<Array> {
        let cosine = latitude.array.astype(DType::F64).try_mul(PI / 180.0)?.cos()?;
        let weights = Array::call("maximum", [(&cosine).into(), 0.0.into()])?.sqrt()?;
        weights.with_names(&[&latitude.name])
    };
    weights().map_err(|error| error.to_string())
}

fn text_of(of: &Labelled, name: &str) -> Option<String> {
    match of.attributes.as_ref()?.get(name) {
        Some(AttributeValue::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn with_text(mut result: EvalResult, name: &str, text: &str) -> EvalResult {
    let mut attributes = result.value.attributes.as_deref().cloned().unwrap_or_default();
    attributes.set(name, AttributeValue::Text(text.to_owned()));
    result.value.attributes = Some(Arc::new(attributes));
    result
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
    let value = Labelled { attributes: Some(Arc::new(attributes)), ..of.with(array) };
    EvalResult { name: Some(name.to_owned()), value }
}
