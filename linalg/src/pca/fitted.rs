//! [`PrincipalComponents`]: what is found of an array, and what is made of it.
//!
//! Invariant: all arrays are lazy, and share their passes where they are computed together. Called by programs and by the facade.

use super::reading::{Off, Reading, wide_dtype};
use super::usage;
use crate::compressed::{Compressed, share};
use crate::qr::internal;
use crate::svd::Svd;
use crate::tensordot;
use blockwise_core::array::Index;
use blockwise_core::{Array, DType, Result, Session, Source};
use std::sync::Arc;

/// Principal components: see [`Pca::fit`](super::Pca::fit).
///
/// Compute several of these arrays by one call of `Session::compute_many`, or [hold](PrincipalComponents::held) them, for each
/// call reads the data anew.
#[derive(Clone, Debug)]
pub struct PrincipalComponents {
    /// Orthonormal vectors in the centred and weighted features, largest variance first, of shape `(modes, features…)`:
    /// scikit-learn's `components_`, `eofs` of the package of that name. NaN in features that are left out.
    pub components: Array,
    /// What remains of each sample on these vectors, of shape `(samples, modes)`: scikit-learn's `fit_transform(x)`, the `pcs`
    /// of `eofs`.
    pub scores: Array,
    /// Orthonormal vectors in the samples, of shape `(samples, modes)`: scores over singular values, but that they are there
    /// where those are 0.
    pub left_vectors: Array,
    /// Singular values of the centred and weighted array, of shape `(modes,)`.
    pub singular_values: Array,
    /// Variances of the scores, of shape `(modes,)`, `float64`: scikit-learn's `explained_variance_`, `eigenvalues` of `eofs`.
    pub explained_variance: Array,
    /// Parts of the variance of all features, of shape `(modes,)`, `float64`; 0 of nothing.
    pub explained_variance_ratio: Array,
    /// Mean variance in the directions that are left, of shape `()`, `float64`: scikit-learn's `noise_variance_`.
    pub noise_variance: Array,
    /// What is left of the centred and weighted array, relative to it, in the norm of Frobenius: of shape `()`, `float64`.
    pub relative_error: Array,
    /// Means of the features, of the shape of a sample; `None` if they were not taken off. NaN in features that are left out.
    pub mean: Option<Array>,
    /// How often the array is read for all of this.
    pub passes: u64,
    /// Components with zeros instead of NaN.
    filled: Array,
    off: Off,
    names: Vec<Option<String>>,
}

/// What vectors or scores are multiplied by; the numbers are those of the package `eofs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Nothing (0).
    None,
    /// One over the standard deviation of the scores (1): scores of variance 1. Where that is 0, nothing.
    Divided,
    /// The standard deviation of the scores (2): components in units of the features.
    Multiplied,
}

impl PrincipalComponents {
    pub(super) fn new(reading: Reading, found: Compressed, ddof: f64) -> Result<Self> {
        let Compressed { svd: Svd { u, s, vh }, error, passes } = found;
        let Reading { samples, features, dtype, off, names, .. } = reading;
        let modes = s.shape().first().copied().unwrap_or(0);
        let squares = s.astype(DType::F64).square()?;
        let kept = squares.sum(..)?;
        // What the modes leave is a part of the whole: kept = whole * (1 - error²).
        let whole = share(&kept, &remainder(&error)?)?;
        let left = Array::call("maximum", [(&whole.try_sub(&kept)?).into(), 0.0.into()])?;
        let degrees = degrees_of_freedom(samples, ddof, reading.sample_weights.as_ref())?;
        let over_degrees = |squares: &Array| match &degrees {
            Degrees::Known(degrees) => squares.try_div(*degrees),
            Degrees::OfWeights(degrees) => squares.try_div(degrees),
        };
        let known = match &off.left_out {
            Some(left_out) => left_out.sum(..)?.astype(DType::F64).try_mul(-1.0)?.try_add(features as f64)?,
            None => Array::full(&[], (features as f64).into())?,
        };
        let directions = Array::call("minimum", [(&known).into(), (samples as f64).into()])?;
        let others = Array::call("maximum", [(&directions.try_sub(modes as f64)?).into(), 1.0.into()])?;
        let noise_variance = over_degrees(&left)?.try_div(&others)?;

        let mut scores = u.try_mul(&s.expand_dims(0)?)?;
        if let Some(weights) = &reading.sample_weights {
            scores = scores.try_div(&weights.expand_dims(1)?)?.astype(dtype);
        }
        let whole_shape: Vec<i64> = std::iter::once(&modes)
            .chain(&reading.sample_shape)
            .map(|extent| i64::try_from(*extent).map_err(|_| internal("a side that no memory holds")))
            .collect::<Result<_>>()?;
        let filled = if reading.sample_shape.len() == 1 { vh } else { vh.reshape(&whole_shape)? };
        let feature_names = names.iter().skip(1).cloned();
        let filled = filled.with_some_names(std::iter::once(None).chain(feature_names.clone()).collect())?;
        let own_names: Vec<Option<String>> = feature_names.collect();
        let mean = match &off.mean {
            Some(mean) => {
                let mean = off.nan_where_left_out(&mean.expand_dims(0)?)?.index(&[Index::from(0)])?;
                Some(mean.astype(dtype).with_some_names(own_names)?)
            }
            None => None,
        };
        Ok(Self {
            components: off.nan_where_left_out(&filled)?.astype(dtype),
            scores: scores.with_some_names(vec![names.first().cloned().flatten(), None])?,
            left_vectors: u.with_some_names(vec![names.first().cloned().flatten(), None])?,
            explained_variance: over_degrees(&squares)?,
            explained_variance_ratio: share(&squares, &whole)?,
            noise_variance,
            relative_error: error,
            singular_values: s,
            mean,
            passes: passes + reading.passes,
            filled,
            off,
            names,
        })
    }

    /// Components, multiplied by what `scaling` says.
    ///
    /// # Errors
    /// None but internal ones.
    pub fn scaled_components(&self, scaling: Scaling) -> Result<Array> {
        let factors = self.factors(scaling)?;
        let Some(mut factors) = factors else { return Ok(self.components.clone()) };
        for _ in 1..self.components.rank() {
            factors = factors.expand_dims(-1)?;
        }
        Ok(self.components.try_mul(&factors)?.astype(self.components.dtype()))
    }

    /// Scores, multiplied by what `scaling` says: [`Scaling::Divided`] gives them variance 1.
    ///
    /// # Errors
    /// None but internal ones.
    pub fn scaled_scores(&self, scaling: Scaling) -> Result<Array> {
        match self.factors(scaling)? {
            Some(factors) => Ok(self.scores.try_mul(&factors.expand_dims(0)?)?.astype(self.scores.dtype())),
            None => Ok(self.scores.clone()),
        }
    }

    /// What one standard deviation of each score is in the features, in their own units, without weights: `eofsAsCovariance` of
    /// `eofs`. A sample is the mean and the sum of these times its scores of [`Scaling::Divided`]. NaN where a weight is 0.
    ///
    /// # Errors
    /// None but internal ones.
    pub fn patterns(&self) -> Result<Array> {
        let scaled = self.scaled_components(Scaling::Multiplied)?;
        match &self.off.weights {
            Some(weights) => Ok(scaled.try_div(&weights.expand_dims(0)?)?.astype(self.components.dtype())),
            None => Ok(scaled),
        }
    }

    /// Scores of other samples, of shape `(others, features…)`: scikit-learn's `transform`. They are centred and weighted as
    /// the array was; NaN gives NaN, but in features that are left out.
    ///
    /// # Errors
    /// If the features have another shape.
    pub fn project(&self, samples: &Array) -> Result<Array> {
        let (own, found) = (self.filled.shape(), samples.shape());
        if own.get(1..) != found.get(1..) {
            return Err(usage(format!(
                "samples of shape {:?} do not have the features of shape {:?} that components were found of",
                found,
                own.get(1..).unwrap_or(&[])
            )));
        }
        let dtype = self.filled.dtype();
        let axes: Vec<i64> = (1..self.filled.rank()).filter_map(|axis| i64::try_from(axis).ok()).collect();
        let vectors = match dtype.kind() {
            'c' => Array::call("conjugate", [(&self.filled).into()])?,
            _ => self.filled.clone(),
        };
        let wide = wide_dtype(dtype);
        let centred = self.off.apply(samples)?.astype(wide);
        let scores = tensordot(&centred, &vectors.astype(wide), &axes, &axes)?.astype(dtype);
        scores.with_some_names(vec![samples.names().first().cloned().flatten(), None])
    }

    /// The array that the first `modes` components make, in its own units: means, and scores times components without
    /// weights. Of the shape of the array; NaN in features that are left out and where a weight is 0.
    ///
    /// # Errors
    /// If there are not so many components.
    pub fn reconstruct(&self, modes: u64) -> Result<Array> {
        let most = self.scores.shape().get(1).copied().unwrap_or(0);
        if modes > most {
            return Err(usage(format!(
                "{modes} of {most} components were asked for; fit more or take fewer"
            )));
        }
        let first = Index::from(0..i64::try_from(modes).unwrap_or(i64::MAX));
        self.reconstruct_from(&self.scores.index(&[Index::from(..), first])?)
    }

    /// Samples with these scores, of shape `(samples, modes)`, in the units of the array: scikit-learn's `inverse_transform`.
    ///
    /// # Errors
    /// If there are more scores than components.
    pub fn reconstruct_from(&self, scores: &Array) -> Result<Array> {
        let (found, most) = (scores.shape(), self.filled.shape().first().copied().unwrap_or(0));
        let Some(modes) = found.get(1).filter(|modes| **modes <= most && found.len() == 2) else {
            return Err(usage(format!(
                "scores of shape {found:?} are not those of at most {most} components"
            )));
        };
        let first = Index::from(0..i64::try_from(*modes).unwrap_or(i64::MAX));
        let product = tensordot(scores, &self.filled.index(&[first])?, &[1], &[0])?;
        let rebuilt = self.off.undo(&product)?.astype(self.filled.dtype());
        let mut names = self.names.clone();
        if let (Some(name), Some(of_scores)) = (names.first_mut(), scores.names().first()) {
            name.clone_from(of_scores);
        }
        rebuilt.with_some_names(names)
    }

    /// The same with all arrays computed, in one run, and kept in memory: what is made of them reads nothing anew.
    ///
    /// # Errors
    /// What happens while the data are read; if the results do not fit the budget.
    pub fn held(&self, session: &Session) -> Result<Self> {
        let mut kept = self.clone();
        let mut places: Vec<&mut Array> = vec![
            &mut kept.components,
            &mut kept.scores,
            &mut kept.left_vectors,
            &mut kept.singular_values,
            &mut kept.explained_variance,
            &mut kept.explained_variance_ratio,
            &mut kept.noise_variance,
            &mut kept.relative_error,
            &mut kept.filled,
        ];
        let off = &mut kept.off;
        let lazily = [&mut off.mean, &mut off.weights, &mut off.left_out, &mut kept.mean];
        places.extend(lazily.into_iter().flatten());
        let wanted: Vec<Array> = places.iter().map(|place| (**place).clone()).collect();
        for (place, held) in places.into_iter().zip(session.compute_many(&wanted)?) {
            let names = place.names().to_vec();
            *place = Array::from_source(held as Arc<dyn Source>).with_some_names(names)?;
        }
        Ok(kept)
    }

    /// What `scaling` multiplies each mode by; `None`: nothing.
    fn factors(&self, scaling: Scaling) -> Result<Option<Array>> {
        let deviation = || self.explained_variance.sqrt();
        Ok(match scaling {
            Scaling::None => None,
            Scaling::Multiplied => Some(deviation()?),
            Scaling::Divided => {
                let some = Array::call("greater", [(&self.explained_variance).into(), 0.0.into()])?;
                let over = Array::call("where", [(&some).into(), (&deviation()?).into(), 1.0.into()])?;
                Some(Array::call("reciprocal", [(&over).into()])?)
            }
        })
    }
}

/// What sums of squares are divided by.
enum Degrees {
    Known(f64),
    OfWeights(Array),
}

/// `samples - ddof`, of weighted samples as NumPy's `cov` has it; NaN if nothing is left.
fn degrees_of_freedom(samples: u64, ddof: f64, weights: Option<&Array>) -> Result<Degrees> {
    let Some(weights) = weights else {
        let degrees = samples as f64 - ddof;
        return Ok(Degrees::Known(if degrees > 0.0 { degrees } else { f64::NAN }));
    };
    let squares = Array::call("real", [weights.into()])?.square()?;
    let sum = squares.sum(..)?;
    let lost = squares.square()?.sum(..)?.try_mul(ddof)?.try_div(&sum)?;
    let degrees = sum.try_sub(&lost)?;
    let some = Array::call("greater", [(&degrees).into(), 0.0.into()])?;
    let degrees = Array::call("where", [(&some).into(), (&degrees).into(), f64::NAN.into()])?;
    Ok(Degrees::OfWeights(degrees))
}

/// `1 - error²`.
fn remainder(error: &Array) -> Result<Array> {
    error.square()?.try_mul(-1.0)?.try_add(1.0)
}
