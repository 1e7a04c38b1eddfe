//! [`Reading`]: an array as the matrix of which principal components are taken, centred and weighted while it is read.
//!
//! Invariant: the matrix is an expression over the array, whose other operands are as large as a sample or a column of
//! samples. Called by [`super`].

use super::{Pca, usage};
use crate::qr::factor_dtype;
use blockwise_core::{Array, DType, Error, Result};

/// What is read, and what is taken off on the way.
pub(super) struct Reading {
    /// Of shape `(samples, features)`.
    pub(super) matrix: Array,
    pub(super) samples: u64,
    /// Axes after the first, multiplied.
    pub(super) features: u64,
    /// Shape of a sample, and names of all axes.
    pub(super) sample_shape: Vec<u64>,
    pub(super) names: Vec<Option<String>>,
    /// Dtype of components and scores.
    pub(super) dtype: DType,
    /// Passes over the array before those over the matrix.
    pub(super) passes: u64,
    pub(super) off: Off,
    /// Of shape `(samples, 1)`.
    pub(super) sample_weights: Option<Array>,
}

/// What is done to samples: `(x - mean) * weights`, 0 where features are left out. All of the shape of a sample.
#[derive(Clone, Debug)]
pub(super) struct Off {
    pub(super) mean: Option<Array>,
    pub(super) weights: Option<Array>,
    pub(super) left_out: Option<Array>,
}

impl Reading {
    pub(super) fn new(options: &Pca, x: &Array) -> Result<Self> {
        let shape = x.shape();
        let Some((samples, sample_shape)) = shape.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(Error::Rank { expected: 2, found: x.rank() });
        };
        let samples = *samples;
        let features = sample_shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        let features = features.ok_or_else(|| Error::TooLarge { what: "sample", shape: shape.clone() })?;
        let most = samples.min(features);
        if most == 0 || options.modes == 0 || options.modes > most {
            return Err(usage(format!(
                "an array of shape {shape:?} has {most} principal components, of which {} were asked for; give 1 to {most}",
                options.modes
            )));
        }
        let dtype = factor_dtype(x.dtype());
        let wide = wide_dtype(dtype);
        let weights = options.feature_weights.as_ref();
        let weights =
            weights.map(|weights| of_features(weights, sample_shape, x.names(), wide)).transpose()?;
        let sample_weights = options.sample_weights.as_ref();
        let sample_weights = sample_weights.map(|weights| of_samples(weights, samples, wide)).transpose()?;

        let is_exact = matches!(x.dtype().kind(), 'b' | 'i' | 'u');
        let left_out = match options.leaves_out_missing && !is_exact {
            true => Some(x.is_nan()?.all(0)?),
            false => None,
        };
        let mean = match options.is_centred {
            true => Some(mean_of_finite(x, wide, is_exact, sample_weights.as_ref())?),
            false => None,
        };
        let passes = u64::from(left_out.is_some() || mean.is_some());
        let off = Off { mean, weights, left_out };
        let is_matrix = sample_shape.len() == 1;
        let small =
            |n: u64| i64::try_from(n).map_err(|_| Error::TooLarge { what: "side", shape: shape.clone() });
        let flat = if is_matrix { x.clone() } else { x.reshape(&[small(samples)?, small(features)?])? };
        let mut matrix = if is_matrix { off.clone() } else { off.flat()? }.apply(&flat)?;
        if let Some(weights) = &sample_weights {
            matrix = matrix.try_mul(&weights.expand_dims(1)?)?;
        }
        Ok(Self {
            matrix: matrix.astype(dtype).with_some_names(vec![None; 2])?,
            samples,
            features,
            sample_shape: sample_shape.to_vec(),
            names: x.names().to_vec(),
            dtype,
            passes,
            off,
            sample_weights,
        })
    }
}

impl Off {
    /// Of a sample in one axis.
    fn flat(&self) -> Result<Self> {
        let flat = |array: &Option<Array>| array.as_ref().map(Array::ravel).transpose();
        Ok(Self { mean: flat(&self.mean)?, weights: flat(&self.weights)?, left_out: flat(&self.left_out)? })
    }

    /// `(x - mean) * weights` of samples along the first axis of `x`, in wide numbers if there is something to do.
    pub(super) fn apply(&self, x: &Array) -> Result<Array> {
        let mut done = x.clone();
        if let Some(mean) = &self.mean {
            done = done.astype(mean.dtype()).try_sub(&mean.expand_dims(0)?)?;
        }
        if let Some(weights) = &self.weights {
            done = done.astype(weights.dtype()).try_mul(&weights.expand_dims(0)?)?;
        }
        match &self.left_out {
            Some(left_out) => {
                let operands = [(&left_out.expand_dims(0)?).into(), 0.0.into(), (&done).into()];
                Array::call("where", operands)
            }
            None => Ok(done),
        }
    }

    /// The way back: `y / weights + mean`, NaN where features are left out.
    pub(super) fn undo(&self, y: &Array) -> Result<Array> {
        let mut done = y.clone();
        if let Some(weights) = &self.weights {
            done = done.astype(weights.dtype()).try_div(&weights.expand_dims(0)?)?;
        }
        if let Some(mean) = &self.mean {
            done = done.astype(mean.dtype()).try_add(&mean.expand_dims(0)?)?;
        }
        self.nan_where_left_out(&done)
    }

    /// NaN in the features of `y` that are left out; its first axis is another.
    pub(super) fn nan_where_left_out(&self, y: &Array) -> Result<Array> {
        match &self.left_out {
            Some(left_out) => {
                let operands = [(&left_out.expand_dims(0)?).into(), f64::NAN.into(), y.into()];
                Array::call("where", operands)
            }
            None => Ok(y.clone()),
        }
    }
}

/// The dtype in which numbers of `dtype` are centred.
pub(super) const fn wide_dtype(dtype: DType) -> DType {
    if matches!(dtype, DType::C64 | DType::C128) { DType::C128 } else { DType::F64 }
}

/// Means over the first axis of what is finite: what is not must stay where it is, so that errors say where that was.
fn mean_of_finite(x: &Array, wide: DType, is_exact: bool, weights: Option<&Array>) -> Result<Array> {
    let mut kept = x.astype(wide);
    if !is_exact {
        kept = Array::call("where", [(&x.is_finite()?).into(), (&kept).into(), 0.0.into()])?;
    }
    let Some(weights) = weights else {
        let samples = x.shape().first().copied().unwrap_or(1);
        return kept.sum(0)?.try_div(samples as f64);
    };
    let squares = weights.square()?;
    let down = (1..x.rank()).try_fold(squares.clone(), |weights, _| weights.expand_dims(-1))?;
    kept.try_mul(&down)?.sum(0)?.try_div(&squares.sum(..)?)
}

/// Weights as an array of the shape of a sample.
fn of_features(
    weights: &Array,
    sample_shape: &[u64],
    names: &[Option<String>],
    wide: DType,
) -> Result<Array> {
    let own = names.get(1..).unwrap_or(&[]);
    let axis_of = |name: &Option<String>| name.as_ref().and(own.iter().position(|own| own == name));
    let axes: Option<Vec<usize>> = weights.names().iter().map(axis_of).collect();
    let placed = match axes {
        Some(axes) if !axes.is_empty() => {
            let mut order: Vec<usize> = (0..axes.len()).collect();
            order.sort_by_key(|at| axes.get(*at).copied());
            let ordered = weights.transpose(order.as_slice())?;
            (0..sample_shape.len())
                .filter(|axis| !axes.contains(axis))
                .try_fold(ordered, |array, axis| array.expand_dims(i64::try_from(axis).unwrap_or(i64::MAX)))?
        }
        _ => weights.clone(),
    };
    let placed = placed.broadcast_to(sample_shape).map_err(|_| {
        usage(format!(
            "weights of shape {:?} do not broadcast to features of shape {sample_shape:?}; give them as many axes, of equal length or 1",
            weights.shape()
        ))
    })?;
    placed.astype(real(placed.dtype(), wide)?).with_some_names(vec![None; sample_shape.len()])
}

/// Weights as an array of shape `(samples,)`.
fn of_samples(weights: &Array, samples: u64, wide: DType) -> Result<Array> {
    if weights.shape() != [samples] {
        return Err(usage(format!(
            "weights of samples have shape {:?}; give one for each of {samples} samples",
            weights.shape()
        )));
    }
    weights.astype(real(weights.dtype(), wide)?).with_some_names(vec![None])
}

fn real(dtype: DType, wide: DType) -> Result<DType> {
    match dtype.kind() {
        'c' => Err(usage("weights are real numbers; take their absolute values or real parts".to_owned())),
        _ => Ok(wide),
    }
}
