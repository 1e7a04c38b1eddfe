//! Principal components (empirical orthogonal functions) of arrays of any size.
//!
//! The first axis is that of the samples, all others together are the features. Invariants: the array is read in passes that are
//! known beforehand; means, weights and what is missing are taken off while it is read, so that no centred or weighted copy of
//! it exists, in memory or on disk. Called by programs and by the facade's job behind `arrayctl svd`.

mod fitted;
mod reading;

use crate::compressed::{Compression, exact};
use blockwise_core::{Array, Error, Result, Session};
pub use fitted::{PrincipalComponents, Scaling};
use reading::Reading;

/// The shorter side up to which all singular values are computed, unless something else is asked for.
const EXACT_SIDE: u64 = 512;
/// Power iterations where the basis is random and nothing else is asked for.
const POWER_ITERATIONS: u64 = 2;

/// How principal components are found: what is taken off, weighed and left out.
///
/// Without weights the results are those of scikit-learn's `PCA`, with weights of the features those of the `eofs` package.
/// Signs are fixed as in [`svd`](crate::svd()): the sum of every component is not negative.
///
/// Missing values: NaN and infinities are an error that names row and column of the first of a block (sample, and feature in C
/// order), when something is computed. With [`Pca::leaving_out_missing`], features that are NaN in every sample are left out.
///
/// ```
/// use blockwise_core::{Array, Session};
/// use blockwise_linalg::Pca;
/// // Two patterns on a grid of 3 x 4, one twice as strong as the other.
/// let x = Array::from_fn(&[200, 3, 4], |at| {
///     let (time, place) = (at[0] as f64, (at[1] * 4 + at[2]) as f64);
///     300.0 + 2.0 * (time * 0.7).sin() * (place * 0.3).cos() + (time * 1.9).cos() * (place * 0.9).sin()
/// })?;
/// let found = Pca::new(2).fit(&x)?.held(&Session::default())?;
/// assert_eq!((found.components.shape(), found.scores.shape()), (vec![2, 3, 4], vec![200, 2]));
/// let share = found.explained_variance_ratio.compute::<f64>()?;
/// assert!(share[0] > share[1] && share.sum() > 1.0 - 1e-12);
/// let again = found.reconstruct(2)?.compute::<f64>()?;
/// assert!((again - x.compute::<f64>()?).iter().all(|left| left.abs() < 1e-10));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pca {
    modes: u64,
    way: Way,
    is_centred: bool,
    leaves_out_missing: bool,
    ddof: f64,
    feature_weights: Option<Array>,
    sample_weights: Option<Array>,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    ByShape,
    Exact,
    Compressed(Compression),
}

impl Pca {
    /// The first `modes` components: exactly where there are at most 512 samples or features, else from a random basis
    /// with two power iterations.
    #[must_use]
    pub const fn new(modes: u64) -> Self {
        Self {
            modes,
            way: Way::ByShape,
            is_centred: true,
            leaves_out_missing: false,
            ddof: 1.0,
            feature_weights: None,
            sample_weights: None,
        }
    }

    /// The first `modes` components, exactly: there are few samples or few features.
    #[must_use]
    pub fn exact(modes: u64) -> Self {
        Self { way: Way::Exact, ..Self::new(modes) }
    }

    /// As many components as the rank of `compression`, from its random basis.
    #[must_use]
    pub fn compressed(compression: Compression) -> Self {
        Self { way: Way::Compressed(compression), ..Self::new(compression.rank()) }
    }

    /// Without taking means off: a truncated singular value decomposition.
    #[must_use]
    pub fn uncentred(self) -> Self {
        Self { is_centred: false, ..self }
    }

    /// Leaves out the features that are NaN in every sample (land, in a field of the sea): means, components and
    /// reconstructions are NaN there. A feature that is NaN in some samples remains an error.
    #[must_use]
    pub fn leaving_out_missing(self) -> Self {
        Self { leaves_out_missing: true, ..self }
    }

    /// With other delta degrees of freedom than 1: variances are sums of squares over `samples - ddof`.
    #[must_use]
    pub fn with_ddof(self, ddof: f64) -> Self {
        Self { ddof, ..self }
    }

    /// With weights that the centred features are multiplied by, `sqrt(cos(latitude))` for example. They broadcast to the features;
    /// if all their axes have names that features have, along those.
    #[must_use]
    pub fn with_feature_weights(self, weights: Array) -> Self {
        Self { feature_weights: Some(weights), ..self }
    }

    /// With weights that the centred samples are multiplied by, of shape `(samples,)`. Their squares weigh the means,
    /// and variances as in NumPy's `cov(aweights=weights**2)`. Scores are those of the samples themselves: where a weight is 0
    /// they are NaN, and [`PrincipalComponents::project`] gives them.
    #[must_use]
    pub fn with_sample_weights(self, weights: Array) -> Self {
        Self { sample_weights: Some(weights), ..self }
    }

    /// The principal components of `x`, lazily: of shape `(samples, features…)`.
    ///
    /// The array is read once for means (and for what is missing), then as by [`svd`](crate::svd()) or [`Compression::decompose`]. One with more
    /// than two axes is read as the matrix that [`Array::reshape`] makes of it: as it lies where its chunks hold all but its first two
    /// axes whole; otherwise, or if it is computed, it is cut anew first, once. Elements of 32 bits are centred and weighted in 64
    /// and rounded then.
    ///
    /// A constant array has components all the same, with variances and ratios of 0. Variances of one sample are NaN, as
    /// NumPy's with `ddof=1`.
    ///
    /// Workspace: as [`svd`](crate::svd()) or [`Compression::decompose`], and a few rows of features.
    ///
    /// # Errors
    /// If the array has fewer than two axes or no elements, has fewer components than are wanted, or weights do not fit it.
    pub fn fit(&self, x: &Array) -> Result<PrincipalComponents> {
        let reading = Reading::new(self, x)?;
        let side = reading.samples.min(reading.features);
        let by_shape = Compression::new(self.modes).with_power_iterations(POWER_ITERATIONS);
        let found = match self.way {
            Way::Compressed(compression) => compression.decompose(&reading.matrix)?,
            Way::ByShape if side > EXACT_SIDE => by_shape.decompose(&reading.matrix)?,
            Way::ByShape | Way::Exact => exact(&reading.matrix, self.modes)?,
        };
        PrincipalComponents::new(reading, found, self.ddof)
    }

    /// As [`Pca::fit`], with the least number of components, from that asked for up, that leave at most `tolerance` of the centred
    /// and weighted array (relative, in the norm of Frobenius): see [`Compression::decompose_to`].
    ///
    /// # Errors
    /// As [`Pca::fit`] and [`Compression::decompose_to`].
    pub fn fit_to(&self, x: &Array, tolerance: f64, session: &Session) -> Result<PrincipalComponents> {
        let compression = match self.way {
            Way::Compressed(compression) => compression,
            _ => Compression::new(self.modes).with_power_iterations(POWER_ITERATIONS),
        };
        let reading = Reading::new(self, x)?;
        let found = compression.decompose_to(&reading.matrix, tolerance, session)?;
        PrincipalComponents::new(reading, found, self.ddof)
    }
}

/// The first principal components of `x`, of shape `(samples, features…)`: [`Pca::fit`] as [`Pca::new`] has it.
///
/// # Errors
/// As [`Pca::fit`].
pub fn pca(x: &Array, modes: u64) -> Result<PrincipalComponents> {
    Pca::new(modes).fit(x)
}

/// The first empirical orthogonal functions of a field of shape `(times, places…)`: [`Pca::fit`] with weights of the places,
/// leaving out those that are always missing.
///
/// # Errors
/// As [`Pca::fit`].
///
/// ```
/// use blockwise_core::{Array, Session};
/// use blockwise_linalg::eof;
/// let field = Array::from_fn(&[24, 9, 5], |at| match at[2] {
///     0 => f64::NAN, // land
///     place => (at[0] as f64 / 12.0 * 6.28).sin() * (at[1] * place) as f64,
/// })?;
/// let latitude = (Array::arange(-40.0, 41.0, 10.0)? * (3.14159 / 180.0)).reshape(&[9, 1])?;
/// let found = eof(&field, 1, &latitude.cos()?.sqrt()?)?.held(&Session::default())?;
/// assert!(found.explained_variance_ratio.compute::<f64>()?[0] > 0.999);
/// let patterns = found.patterns()?.compute::<f64>()?; // in the field's units, of one standard deviation
/// assert!(patterns[[0, 3, 0]].is_nan() && patterns[[0, 8, 4]].abs() > 20.0);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn eof(field: &Array, modes: u64, weights: &Array) -> Result<PrincipalComponents> {
    Pca::new(modes).with_feature_weights(weights.clone()).leaving_out_missing().fit(field)
}

fn usage(message: String) -> Error {
    Error::Usage { message }
}
