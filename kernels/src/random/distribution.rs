//! The distributions, their parameters, and which of them make sense.
//!
//! Called by [`super::Random`].

use crate::{DType, KernelError};

/// What is drawn. Parameters are those of `numpy.random.Generator`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// 64 random bits.
    Bits,
    /// From `low` up to `high`.
    Uniform {
        /// Lower bound, included.
        low: f64,
        /// Upper bound, excluded but for rounding.
        high: f64,
    },
    /// Whole numbers from `low` on, `count` of them (0: all 2^64).
    Integers {
        /// The smallest.
        low: i64,
        /// How many.
        count: u64,
    },
    /// True with a probability.
    Bernoulli {
        /// The probability.
        probability: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
    },
    /// Whose logarithm is normal.
    LogNormal {
        /// Mean of the logarithm.
        mean: f64,
        /// Standard deviation of the logarithm.
        deviation: f64,
    },
    /// Exponential.
    Exponential {
        /// The mean.
        scale: f64,
    },
    /// Laplace's, of two exponentials back to back.
    Laplace {
        /// The centre.
        centre: f64,
        /// The exponentials' mean.
        scale: f64,
    },
    /// Logistic.
    Logistic {
        /// The centre.
        centre: f64,
        /// The scale.
        scale: f64,
    },
    /// Gumbel's, of largest values.
    Gumbel {
        /// The mode.
        mode: f64,
        /// The scale.
        scale: f64,
    },
    /// Cauchy's, of scale 1 about 0.
    Cauchy,
    /// Rayleigh's.
    Rayleigh {
        /// The mode.
        scale: f64,
    },
    /// Weibull's, of scale 1.
    Weibull {
        /// The shape.
        shape: f64,
    },
    /// Pareto's second kind (Lomax), of scale 1.
    Pareto {
        /// The shape.
        shape: f64,
    },
    /// Triangular.
    Triangular {
        /// Lower end.
        left: f64,
        /// The mode.
        mode: f64,
        /// Upper end.
        right: f64,
    },
    /// Trials up to and with the first success.
    Geometric {
        /// The probability of success.
        probability: f64,
    },
    /// Gamma.
    Gamma {
        /// The shape.
        shape: f64,
        /// The scale.
        scale: f64,
    },
    /// Chi-squared.
    ChiSquare {
        /// Degrees of freedom.
        freedom: f64,
    },
    /// Student's t.
    StudentT {
        /// Degrees of freedom.
        freedom: f64,
    },
    /// Beta.
    Beta {
        /// First shape.
        a: f64,
        /// Second shape.
        b: f64,
    },
    /// Poisson's.
    Poisson {
        /// The mean.
        mean: f64,
    },
    /// Successes among trials.
    Binomial {
        /// How many trials.
        trials: u64,
        /// The probability of success.
        probability: f64,
    },
}

/// What the numbers of a distribution are before they get their dtype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Float,
    Whole,
    Truth,
    Bits,
}

impl Distribution {
    pub(super) const fn form(&self) -> Form {
        match self {
            Self::Bits => Form::Bits,
            Self::Bernoulli { .. } => Form::Truth,
            Self::Integers { .. } | Self::Geometric { .. } | Self::Poisson { .. } | Self::Binomial { .. } => {
                Form::Whole
            }
            _ => Form::Float,
        }
    }

    /// The dtype that NumPy gives: float64, int64, bool, or uint64 for bits.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        match self.form() {
            Form::Float => DType::F64,
            Form::Whole => DType::I64,
            Form::Truth => DType::Bool,
            Form::Bits => DType::U64,
        }
    }

    /// Refuses parameters without meaning.
    pub(super) fn check(&self) -> Result<(), KernelError> {
        let finite = |what, value: f64| match value.is_finite() {
            true => Ok(()),
            false => Err(KernelError::Parameter { what, value, wanted: "finite" }),
        };
        let positive = |what, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(KernelError::Parameter { what, value, wanted: "positive and finite" }),
        };
        let natural = |what, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(KernelError::Parameter { what, value, wanted: "not negative, and finite" }),
        };
        let share = |what, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(KernelError::Parameter { what, value, wanted: "from 0 to 1" }),
        };
        match *self {
            Self::Bits | Self::Integers { .. } | Self::Cauchy => Ok(()),
            Self::Uniform { low, high } => {
                finite("the lower bound", low)?;
                finite("the upper bound", high)?;
                natural("the distance of the bounds", high - low)
            }
            Self::Bernoulli { probability } => share("the probability", probability),
            Self::Normal { mean, deviation } | Self::LogNormal { mean, deviation } => {
                finite("the mean", mean)?;
                natural("the deviation", deviation)
            }
            Self::Exponential { scale } | Self::Rayleigh { scale } => natural("the scale", scale),
            Self::Laplace { centre, scale }
            | Self::Logistic { centre, scale }
            | Self::Gumbel { mode: centre, scale } => {
                finite("the centre", centre)?;
                natural("the scale", scale)
            }
            Self::Weibull { shape } | Self::Pareto { shape } => positive("the shape", shape),
            Self::Triangular { left, mode, right } => {
                finite("the left end", left)?;
                finite("the right end", right)?;
                positive("the distance of the ends", right - left)?;
                natural("the mode less the left end", mode - left)?;
                natural("the right end less the mode", right - mode)
            }
            Self::Geometric { probability } => {
                share("the probability", probability)?;
                positive("the probability", probability)
            }
            Self::Gamma { shape, scale } => {
                positive("the shape", shape)?;
                natural("the scale", scale)
            }
            Self::ChiSquare { freedom } | Self::StudentT { freedom } => {
                positive("the degrees of freedom", freedom)
            }
            Self::Beta { a, b } => {
                positive("the first shape", a)?;
                positive("the second shape", b)
            }
            Self::Poisson { mean } => {
                natural("the mean", mean)?;
                match mean < 1e18 {
                    true => Ok(()),
                    false => {
                        Err(KernelError::Parameter { what: "the mean", value: mean, wanted: "below 1e18" })
                    }
                }
            }
            Self::Binomial { trials, probability } => {
                share("the probability", probability)?;
                match i64::try_from(trials) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(KernelError::Parameter {
                        what: "the number of trials",
                        value: trials as f64,
                        wanted: "below 2^63",
                    }),
                }
            }
        }
    }
}
