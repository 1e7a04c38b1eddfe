//! Weighted means and sums, as xarray's `weighted`: what is NaN has no weight.
//!
//! Invariant: both sums of a mean are of one pass over the array. Called by programs and `eval`.

use crate::error::{Error, Result};
use crate::expression::{Coordinate, Labelled};
use blockwise_core::Array;
use blockwise_core::array::Axes;
use blockwise_io::AttributeValue;
use blockwise_kernels::DType;

/// A labelled array with weights.
#[derive(Clone, Debug)]
pub struct Weighted {
    x: Labelled,
    /// Of the shape of the array, seen through as a broadcast.
    weights: Array,
}

impl Weighted {
    pub(super) fn new(x: &Labelled, weights: &Labelled) -> Result<Self> {
        let (own, names) = (weights.array.clone(), weights.array.names().to_vec());
        let fault = |what: String| Error::Usage { path: "weights".to_owned(), what };
        let all_named = names.iter().all(Option::is_some);
        let array = if !all_named || names.is_empty() {
            // Without names, by position.
            own
        } else {
            let place = |name: &Option<String>| x.array.names().iter().position(|known| known == name);
            let axes: Option<Vec<usize>> = names.iter().map(place).collect();
            let axes =
                axes.ok_or_else(|| fault(format!("the dimensions {:?} are not all in {:?}", own, x.array)))?;
            let mut order: Vec<usize> = (0..axes.len()).collect();
            order.sort_by_key(|at| axes.get(*at));
            let mut turned = own.transpose(order)?;
            for axis in (0..x.array.rank()).filter(|axis| !axes.contains(axis)) {
                turned = turned.expand_dims(axis as i64)?;
            }
            turned
        };
        let float = |array: Array| {
            if array.dtype().kind() == 'f' { array } else { array.astype(DType::F64) }
        };
        let weights = float(array).broadcast_to(&x.array.shape())?;
        let weights = weights.with_some_names(x.array.names().to_vec())?;
        Ok(Self { x: x.clone(), weights })
    }

    /// Weighted means over axes; NaN where nothing has a weight.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn mean(&self, axes: impl Into<Axes>) -> Result<Labelled> {
        let axes = axes.into();
        let (sum, total) = (self.sum(axes.clone())?, self.sum_of_weights(axes)?);
        let mean = sum.array.try_div(total.array.astype(sum.array.dtype()))?;
        Ok(Labelled { array: mean, attributes: self.x.attributes.clone(), ..sum })
    }

    /// Weighted sums over axes, of what is not NaN.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn sum(&self, axes: impl Into<Axes>) -> Result<Labelled> {
        self.x
            .with(self.x.array.try_mul(&self.weights)?)
            .of_other_quantity()
            .reduce_named("nansum", axes.into())
    }

    /// The weights of what is not NaN, added over axes; NaN where these are 0.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn sum_of_weights(&self, axes: impl Into<Axes>) -> Result<Labelled> {
        let missing = self.x.array.is_null()?;
        let counted = Array::call("where", [missing.into(), 0.0.into(), (&self.weights).into()])?;
        let total = self.x.with(counted).of_other_quantity().reduce_named("sum", axes.into())?;
        let none = Array::call("equal", [(&total.array).into(), 0.0.into()])?;
        let dtype = total.array.dtype();
        let array = Array::call("where", [none.into(), f64::NAN.into(), (&total.array).into()])?;
        Ok(total.with(array.astype(dtype)))
    }
}

/// The cosine of the latitude.
pub(super) fn cos_latitude(x: &Labelled) -> Result<Labelled> {
    let is_one_of = |value: Option<&AttributeValue>, known: &[&str]| matches!(value, Some(AttributeValue::Text(text)) if known.contains(&text.as_str()));
    let units = ["degrees_north", "degree_north", "degree_N", "degrees_N", "degreeN", "degreesN"];
    let has_latitudes = |own: &&Coordinate| {
        is_one_of(own.attributes.get("units"), &units)
            || is_one_of(own.attributes.get("standard_name"), &["latitude"])
            || matches!(own.name.to_ascii_lowercase().as_str(), "lat" | "latitude")
    };
    let mut found: Vec<_> = x.coordinates.iter().filter(has_latitudes).collect();
    if found.is_empty() {
        // Of a grid that is turned or bent, each cell has one.
        found.extend(x.auxiliary.iter().filter(has_latitudes).filter(|own| !own.dimensions.is_empty()));
    }
    let [only] = found.as_slice() else {
        let what = format!(
            "{} coordinates are latitudes (units degrees_north, standard_name or name); give weights",
            found.len()
        );
        return Err(Error::Usage { path: "latitude".to_owned(), what });
    };
    let radians = Array::call("deg2rad", [only.array.astype(DType::F64).into()])?;
    let names = only.dimensions.iter().cloned().map(Some).collect();
    let weights = Labelled::from(radians.cos()?.with_some_names(names)?);
    Ok(weights.with_coordinate(Some((*only).clone())))
}
