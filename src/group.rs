//! Group-by over labelled arrays: climatologies, resampling, anomalies, with the coordinates that results have.
//!
//! What xarray calls `groupby("time.month")`, `groupby("time.season")`, `groupby("lat")` and `resample(time="MS")`: NaN is left
//! out unless asked otherwise, groups come in the order of their labels, in the place of the dimension, and bins without
//! times have NaN. Reading labels reads the coordinate, nothing else. Invariant: every reduction of groups is one pass over
//! the array, an anomaly two. Called by programs and `eval`.

mod labels;
mod weights;

use crate::error::{Error, Result};
use crate::expression::{Coordinate, Labelled};
use blockwise_core::Array;
use blockwise_core::array::{Axes, Axis, GroupBy, Levels, Reduce};
use blockwise_kernels::order::QuantileMethod;
use labels::Labels;
pub(crate) use labels::{line, numbers_of, times_of};
pub use weights::Weighted;

/// A labelled array whose positions along a dimension are grouped.
///
/// ```
/// use blockwise::prelude::*;
/// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
/// // The climatology's twelve months: each season's mean.
/// let seasons = sst.group_by("TIME.season")?;
/// let mean = seasons.mean()?;
/// assert_eq!(mean.array.shape(), [4, 90, 180]);
/// assert_eq!(mean.array.names()[0].as_deref(), Some("season"));
/// assert_eq!(seasons.anomaly()?.array.shape(), [12, 90, 180]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grouped {
    x: Labelled,
    groups: GroupBy,
    /// What the dimension of results is called.
    name: Option<String>,
    coordinate: Option<Coordinate>,
    /// Where some bins have no times: the group of each, or -1.
    bins: Option<Vec<i64>>,
}

impl Labelled {
    /// The array grouped by a field of its times (`time.month`, `time.season`, `time.dayofyear` …), or by the values of a
    /// dimension's coordinates (`time`).
    ///
    /// # Errors
    /// If there is no such dimension, it has no coordinates, these are no CF times, or there is no such field.
    pub fn group_by(&self, by: &str) -> Result<Grouped> {
        let (dimension, field) =
            by.split_once('.').map_or((by, None), |(dimension, field)| (dimension, Some(field)));
        let coordinate = self.coordinate(dimension)?;
        let labels = match field {
            Some(field) => Labels::of_field(coordinate, field)?,
            None => Labels::of_values(coordinate)?,
        };
        self.grouped(dimension.into(), labels)
    }

    /// The array grouped by labels of the positions along an axis; negative ones leave a position out.
    ///
    /// # Errors
    /// If there is no such axis, or there are not as many labels as positions.
    pub fn group_by_labels(&self, labels: &[i64], axis: impl Into<Axis>) -> Result<Grouped> {
        let axis = axis.into();
        let at = axis.resolve(self.array.names())?;
        let name = self.array.names().get(at).cloned().flatten();
        self.grouped(axis, Labels::given(labels, name))
    }

    /// The array in bins of its times: `MS`, `QS-DEC`, `YS`, `D`, `6h`, `ME` …, along `dimension` or the only one whose
    /// coordinates are times.
    ///
    /// # Errors
    /// If there is no such dimension or frequency, or its coordinates are no CF times.
    pub fn resample(&self, frequency: &str, dimension: Option<&str>) -> Result<Grouped> {
        let dimension = match dimension {
            Some(dimension) => dimension.to_owned(),
            None => {
                let times: Vec<_> = self.coordinates.iter().filter(|own| own.is_time()).collect();
                let [only] = times.as_slice() else {
                    let what = format!("{} dimensions have times; name the one to resample", times.len());
                    return Err(Error::Usage { path: "resample".to_owned(), what });
                };
                only.name.clone()
            }
        };
        let labels = Labels::of_bins(self.coordinate(&dimension)?, &frequency.parse()?)?;
        self.grouped(dimension.into(), labels)
    }

    /// The coordinates of a dimension.
    ///
    /// # Errors
    /// If there are none.
    pub fn coordinate(&self, dimension: &str) -> Result<&Coordinate> {
        self.coordinates.iter().find(|own| own.name == dimension).ok_or_else(|| {
            let known: Vec<&str> = self.coordinates.iter().map(|own| own.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let what = format!("no coordinates are stored with the array for it; there are those of {known}");
            Error::Usage { path: format!("dimension '{dimension}'"), what }
        })
    }

    fn grouped(&self, axis: Axis, labels: Labels) -> Result<Grouped> {
        let Labels { codes, name, coordinate, bins } = labels;
        let groups = self.array.group_by(&codes, axis)?;
        Ok(Grouped { x: self.clone(), groups, name, coordinate, bins })
    }
}

macro_rules! methods {
    ($($method:ident: $doc:literal;)*) => {
        impl Grouped {$(
            #[doc = $doc]
            /// NaN is left out.
            ///
            /// # Errors
            /// If the dtype has no such reduction.
            pub fn $method(&self) -> Result<Labelled> {
                self.reduce(stringify!($method), true, 0.0)
            }
        )*}
    };
}
methods! {
    sum: "Sums of groups.";
    mean: "Means of groups.";
    count: "How many elements of each group are not NaN.";
    min: "The smallest of each group.";
    max: "The largest of each group.";
    var: "Variances of groups, of the population.";
    std: "Standard deviations of groups, of the population.";
    first: "The first of each group.";
    last: "The last of each group.";
    median: "Medians of groups.";
}

impl Grouped {
    /// The reductions that [`Grouped::reduce`] knows.
    pub const NAMES: &[&str] = &[
        "sum", "prod", "mean", "count", "min", "max", "var", "std", "any", "all", "first", "last", "median",
    ];

    /// The reduction of a name, leaving out NaN if `skip_nan`; variances with `ddof` delta degrees of freedom.
    ///
    /// # Errors
    /// If there is no such reduction, or the dtype has none.
    pub fn reduce(&self, name: &str, skip_nan: bool, ddof: f64) -> Result<Labelled> {
        let what = match (name, skip_nan) {
            ("count" | "any" | "all", _) | (_, false) => Reduce::named(name, ddof),
            (_, true) => Reduce::named(&format!("nan{name}"), ddof),
        };
        let array = match (name, what) {
            ("first", _) => self.groups.first(skip_nan)?,
            ("last", _) => self.groups.last(skip_nan)?,
            ("median", _) => self.groups.median(skip_nan)?,
            (_, Some(what)) if Self::NAMES.contains(&name) => self.groups.reduce(what)?,
            _ => {
                let why = format!("groups have {}", Self::NAMES.join(", "));
                return Err(Error::Argument { what: "reduction of groups", text: name.to_owned(), why });
            }
        };
        let same_quantity = !matches!(name, "count" | "any" | "all" | "var" | "prod");
        self.labelled(array, name == "count", same_quantity)
    }

    /// The quantile `level`, from 0 to 1, of each group.
    ///
    /// # Errors
    /// If the level is outside of 0 to 1, or the dtype is complex.
    pub fn quantile(&self, level: f64, skip_nan: bool) -> Result<Labelled> {
        let array = self.groups.quantile(Levels::One(level), QuantileMethod::Linear, skip_nan)?;
        self.labelled(array, false, true)
    }

    /// What is left when from each position the mean of its group is taken: with the array's chunks and coordinates.
    ///
    /// # Errors
    /// As [`Grouped::reduce`].
    pub fn anomaly(&self) -> Result<Labelled> {
        let left = self.with_each("subtract", &self.mean()?)?;
        Ok(Labelled { attributes: self.x.attributes.clone(), ..left })
    }

    /// The elementwise function of a name, of each position and what `of_groups` has for its group: xarray's
    /// `groups - climatology`.
    ///
    /// # Errors
    /// If `of_groups` is no result of these groups, or there is no such function.
    pub fn with_each(&self, function: &str, of_groups: &Labelled) -> Result<Labelled> {
        let axis = self.groups.axis();
        let named = of_groups.array.names().get(axis).cloned().flatten();
        if of_groups.array.rank() != self.x.array.rank() || (named.is_some() && named != self.name) {
            let what = format!(
                "{:?} has no '{}' in the place of axis {axis}; give a reduction of these groups",
                of_groups.array,
                self.name.as_deref().unwrap_or("group")
            );
            return Err(Error::Usage { path: "groups".to_owned(), what });
        }
        let mut array = of_groups.array.clone();
        if let Some(bins) = &self.bins {
            let full = (0_i64..).zip(bins).filter(|(_, group)| **group >= 0);
            array = array.take(&full.map(|(bin, _)| bin).collect::<Vec<_>>(), axis)?;
        }
        let spread = self.groups.spread(&array)?;
        let array = Array::call(function, [(&self.x.array).into(), spread.into()])?;
        Ok(self.x.with(array.rechunk(self.x.array.grid())?).of_other_quantity())
    }

    /// `array`, with groups in the place of the axis, as a result: bins without times filled, coordinates of groups.
    fn labelled(&self, array: Array, is_count: bool, same_quantity: bool) -> Result<Labelled> {
        let axis = self.groups.axis();
        let mut array = array;
        if let Some(bins) = &self.bins {
            let dtype = array.dtype();
            array = array.spread(bins, axis)?;
            if is_count {
                array = Array::call("nan_to_num", [array.into()])?.astype(dtype);
            }
        }
        let mut names = array.names().to_vec();
        let old = std::mem::replace(&mut names[axis], self.name.clone());
        let array = array.with_some_names(names)?;
        let mut result = self.x.with(array);
        result.coordinates.retain(|own| Some(&own.name) != old.as_ref());
        result.auxiliary.retain(|own| old.as_ref().is_none_or(|old| !own.dimensions.contains(old)));
        result.coordinates.extend(self.coordinate.clone());
        Ok(if same_quantity { result } else { result.of_other_quantity() })
    }
}

impl Labelled {
    /// The array with weights, which have some of its dimensions, for weighted means and sums.
    ///
    /// ```
    /// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
    /// // The mean over the sea, each cell weighted by its area.
    /// let global = sst.weighted(&sst.cos_latitude()?)?.mean(["COADSY", "COADSX"])?;
    /// let degrees = global.array.compute::<f64>()?;
    /// assert!((degrees[[0]] - 19.037).abs() < 0.001, "{degrees}");
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the weights have a dimension that the array has not, or of another length.
    pub fn weighted(&self, weights: &Self) -> Result<Weighted> {
        Weighted::new(self, weights)
    }

    /// The cosine of the latitude along the dimension whose coordinates are latitudes, which areas of cells are proportional to.
    ///
    /// # Errors
    /// If no coordinates, or several, are latitudes by their units, standard name or name.
    pub fn cos_latitude(&self) -> Result<Self> {
        weights::cos_latitude(self)
    }

    /// The reduction of a name over axes, without the NaN variants' prefix where `skip_nan` says it.
    pub(crate) fn reduce_named(&self, name: &str, axes: Axes) -> Result<Self> {
        let what = Reduce::named(name, 0.0);
        let what = what.ok_or_else(|| blockwise_core::Error::Internal { message: format!("no {name}") })?;
        Ok(self.reduce(name, what, axes, false)?)
    }
}
