//! Words beside a picture, from attributes by the CF conventions; which axes are latitudes and longitudes.
//!
//! Called by [`super`], and by [`crate::svd`] for weights by latitude.

use super::axis::{Axis, AxisKind};
use super::dates::Clock;
use crate::error::Result;
use blockwise_core::Array;
use blockwise_core::array::Index;
use blockwise_io::{AttributeValue, Attributes};

/// What is known of one side of a picture before anything is read.
#[derive(Default)]
pub(super) struct Side {
    pub(super) kind: AxisKind,
    pub(super) coordinates: Option<Array>,
    label: String,
    /// Elements along it.
    extent: u64,
    /// What coordinates count if they are times.
    clock: Option<Clock>,
}

impl Side {
    pub(super) fn new(
        dimension: &str,
        extent: u64,
        attributes: Option<&Attributes>,
        coordinates: Option<Array>,
        clock: Option<Clock>,
    ) -> Self {
        let kind = match &coordinates {
            Some(_) => kind_of(dimension, attributes),
            None => AxisKind::Index,
        };
        let units = attributes.and_then(|own| text(own, "units")).filter(|units| !units.is_empty());
        let name = attributes.and_then(|own| text(own, "long_name").or_else(|| text(own, "standard_name")));
        let name = match kind {
            AxisKind::Latitude => "latitude",
            AxisKind::Longitude => "longitude",
            AxisKind::Index | AxisKind::Linear => name.unwrap_or(dimension),
        };
        let label = match (kind, units.filter(|_| clock.is_none())) {
            (AxisKind::Linear, Some(units)) => format!("{name} [{units}]"),
            _ => name.to_owned(),
        };
        Self { kind, coordinates, label, extent, clock }
    }

    /// What is left of it when a part of `extent` is taken.
    pub(super) fn cut(&mut self, part: Index, extent: u64) -> Result<()> {
        if let Some(coordinates) = &mut self.coordinates {
            *coordinates = coordinates.index(&[part])?;
        }
        self.extent = extent;
        Ok(())
    }

    /// The axis of so many cells, between which the coordinates were averaged.
    pub(super) fn axis(&self, cells: usize, coordinates: Option<Vec<f64>>) -> Axis {
        let factor = super::cells::factor(self.extent, cells as u64);
        let Some(all) = coordinates else {
            return Axis::of_index(&self.label, cells, factor);
        };
        let centers = all
            .chunks(usize::try_from(factor).unwrap_or(usize::MAX))
            .map(|some| some.iter().sum::<f64>() / some.len() as f64)
            .collect();
        Axis::of_coordinates(&self.label, self.kind, centers).with_clock(self.clock.clone())
    }
}

/// What an array is called, and its units.
pub(super) fn quantity(attributes: Option<&Attributes>, label: &str) -> (String, String) {
    let own = |name| attributes.and_then(|own| text(own, name)).filter(|text| !text.is_empty());
    let node = label.rsplit("::").next().unwrap_or(label);
    let node = node.rsplit('/').next().unwrap_or(node);
    let name = own("long_name").or_else(|| own("standard_name")).unwrap_or(node);
    (name.to_owned(), own("units").unwrap_or_default().to_owned())
}

/// What the coordinates of a dimension are, by their attributes or its name.
pub(crate) fn kind_of(dimension: &str, attributes: Option<&Attributes>) -> AxisKind {
    let own = |name| attributes.and_then(|own| text(own, name)).unwrap_or_default().to_ascii_lowercase();
    let (units, standard, dimension) = (own("units"), own("standard_name"), dimension.to_ascii_lowercase());
    // CF: degrees_north, degree_north, degree_N, degrees_N, degreeN, degreesN; likewise east.
    let degrees =
        units.strip_prefix("degree").map(|rest| rest.trim_start_matches('s').trim_start_matches('_'));
    let is_plain = matches!(degrees, Some("")) || units.is_empty();
    match degrees {
        Some("north" | "n") => AxisKind::Latitude,
        Some("east" | "e") => AxisKind::Longitude,
        _ if standard == "latitude" => AxisKind::Latitude,
        _ if standard == "longitude" => AxisKind::Longitude,
        _ if is_plain && matches!(dimension.as_str(), "lat" | "latitude") => AxisKind::Latitude,
        _ if is_plain && matches!(dimension.as_str(), "lon" | "long" | "longitude") => AxisKind::Longitude,
        _ => AxisKind::Linear,
    }
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    match attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latitudes_and_longitudes_are_known_by_cf() {
        let kind = |dimension: &str, own: &[(&str, &str)]| {
            let mut attributes = Attributes::new();
            own.iter()
                .for_each(|(name, value)| attributes.set(*name, AttributeValue::Text((*value).to_owned())));
            kind_of(dimension, Some(&attributes))
        };
        assert_eq!(kind("COADSY", &[("units", "degrees_north")]), AxisKind::Latitude);
        assert_eq!(kind("x", &[("units", "degreeE")]), AxisKind::Longitude);
        assert_eq!(kind("rlat", &[("units", "degrees")]), AxisKind::Linear);
        assert_eq!(kind("y", &[("standard_name", "latitude"), ("units", "radian")]), AxisKind::Latitude);
        assert_eq!(kind("lat", &[("units", "km")]), AxisKind::Linear);
        assert_eq!(kind_of("Longitude", None), AxisKind::Longitude);
        let side = Side::new("lev", 3, None, None, None);
        assert_eq!((side.kind, side.axis(3, None).centers), (AxisKind::Index, vec![0.0, 1.0, 2.0]));
    }
}
