//! Elements at points, one for each row of several lists: the series at stations from a field, as xarray's `sel` with arrays that share a
//! dimension.
//!
//! Invariants: a point takes one position of each dimension that is named, and these are coordinates of the points then; only chunks
//! that hold a point are read. Called by the functions `sel_points` and `isel_points`, and by programs.

use super::labelled::{Coordinate, Labelled};
use super::positions::Taken;
use super::selection::{Finding, Known, Label, Labels, about, signed};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// The position of every point, along each dimension.
type Points = BTreeMap<String, Vec<i64>>;

impl Labelled {
    /// The elements at points, given by the coordinates that each has along some dimensions; `name` is the dimension of the points.
    ///
    /// It stands in the place of the first of these dimensions if they are neighbours, in front of all otherwise, as in NumPy.
    ///
    /// ```
    /// use blockwise::expression::Match;
    /// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
    /// let at = |degrees: [f64; 2]| degrees.map(Into::into).to_vec();
    /// let points = [("COADSX".to_owned(), at([200.0, 330.5])), ("COADSY".to_owned(), at([0.2, 45.0]))];
    /// let series = sst.select_points(&points, Match::Nearest, "station")?;
    /// assert_eq!(series.array.shape(), [12, 2]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Labelled::select`]; if lists differ in length, or a dimension is called `name`.
    pub fn select_points(
        &self,
        points: &[(String, Vec<Label>)],
        finding: impl Into<Finding>,
        name: &str,
    ) -> Result<Self> {
        let finding = finding.into();
        let mut positions = Vec::with_capacity(points.len());
        for (dimension, labels) in points {
            let axis = self.axis_named(dimension)?;
            let Some(coordinate) = self.coordinate_along(axis) else {
                let what = "there are none; choose by positions with isel_points".to_owned();
                return Err(Error::Usage { path: about(dimension), what });
            };
            let known = Known::read(coordinate, &Labels::Many(labels.clone()))?;
            let each = labels.iter().map(|label| known.position(dimension, label, finding).map(signed));
            positions.push((dimension.clone(), each.collect::<Result<Vec<i64>>>()?));
        }
        self.at_points(&positions, name)
    }

    /// As [`Labelled::select_points`], by positions; negative ones count from the end.
    ///
    /// # Errors
    /// If lists differ in length, a position is outside of its dimension, or a dimension is called `name`.
    pub fn at_points(&self, points: &[(String, Vec<i64>)], name: &str) -> Result<Self> {
        let wrong = |what: String| Error::Usage { path: "points".to_owned(), what };
        let mut axes = Vec::with_capacity(points.len());
        for (dimension, _) in points {
            axes.push(self.axis_named(dimension)?);
        }
        let is_left = |own: &Option<String>| {
            own.as_ref().is_some_and(|own| points.iter().all(|(named, _)| named != own))
        };
        if self.array.names().iter().any(|own| is_left(own) && own.as_deref() == Some(name)) {
            return Err(wrong(format!(
                "the array has a dimension '{name}'; call that of the points otherwise with dim"
            )));
        }
        let lists: Vec<&[i64]> = points.iter().map(|(_, list)| list.as_slice()).collect();
        let picked = self.array.vindex(axes.as_slice(), &lists)?;
        let mut names = picked.names().to_vec();
        if let Some(first) = names.first_mut() {
            *first = Some(name.to_owned());
        }
        let mut picked = picked.with_some_names(names)?;
        axes.sort_unstable();
        let are_neighbours = axes.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
        if let Some(first) = axes.first().filter(|_| are_neighbours) {
            picked = picked.move_axis(0, i64::try_from(*first).unwrap_or(0))?;
        }
        let points: Points = points.iter().cloned().collect();
        let (mut coordinates, mut auxiliary) = (Vec::new(), Vec::new());
        for own in self.coordinates.iter().chain(&self.auxiliary) {
            let own = own.at_points(&points, name)?;
            let list = if own.is_of_dimension() { &mut coordinates } else { &mut auxiliary };
            list.push(own);
        }
        let labels =
            Self { array: self.array.clone(), coordinates, auxiliary, attributes: self.attributes.clone() };
        Ok(labels.with(picked))
    }
}

impl Coordinate {
    /// The coordinates of points: theirs along the dimensions that points have, then along the others.
    fn at_points(&self, points: &Points, name: &str) -> Result<Self> {
        let named = || {
            self.dimensions.iter().enumerate().filter_map(|(axis, own)| Some((axis, own, points.get(own)?)))
        };
        if named().next().is_none() {
            return Ok(self.clone());
        }
        let (axes, lists): (Vec<usize>, Vec<&[i64]>) =
            named().map(|(axis, _, list)| (axis, list.as_slice())).unzip();
        let array = self.array.vindex(axes.as_slice(), &lists)?;
        let mut picked = match (named().next(), &self.texts) {
            // Texts stand along one axis at most.
            (Some((_, dimension, list)), Some(_)) => self.at(dimension, &Taken::At(list.clone()))?,
            _ => self.clone(),
        };
        for (_, dimension, list) in named() {
            if self.texts.is_none() {
                picked.taken.entry(dimension.clone()).or_default().push(Taken::At(list.clone()));
            }
        }
        let rest = self.dimensions.iter().filter(|own| !points.contains_key(*own)).cloned();
        picked.dimensions = std::iter::once(name.to_owned()).chain(rest).collect();
        picked.array = array.with_some_names(picked.dimensions.iter().cloned().map(Some).collect())?;
        picked.numbers = std::sync::Arc::default();
        Ok(picked)
    }
}
