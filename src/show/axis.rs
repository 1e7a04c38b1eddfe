//! [`Axis`]: where the cells along one side of a picture lie, and which numbers stand beside it.
//!
//! Invariant: ticks lie within the axis. Called by [`super::figure`].

use super::dates::Clock;

/// What the numbers along an axis are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AxisKind {
    /// Positions in the array; the first row is the upper one.
    #[default]
    Index,
    /// Coordinates of any other quantity.
    Linear,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
}

/// One side of a picture. Times are numbers with a clock that makes dates of them.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is written along it.
    pub label: String,
    /// What its numbers are.
    pub kind: AxisKind,
    /// A coordinate for each cell: its middle.
    pub centers: Vec<f64>,
    /// What the numbers count if they are times.
    clock: Option<Clock>,
}

/// A number beside an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// From 0, the outer edge of the first cell, to 1.
    pub(super) place: f64,
    pub(super) text: String,
}

impl Axis {
    /// Positions of `cells` cells, each of `factor` elements.
    #[must_use]
    pub fn of_index(label: impl Into<String>, cells: usize, factor: u64) -> Self {
        let factor = factor as f64;
        let centers = (0..cells).map(|cell| cell as f64 * factor + (factor - 1.0) / 2.0).collect();
        Self { label: label.into(), kind: AxisKind::Index, centers, clock: None }
    }

    /// Coordinates; positions if they do not rise or fall throughout.
    #[must_use]
    pub fn of_coordinates(label: impl Into<String>, kind: AxisKind, centers: Vec<f64>) -> Self {
        let steps = || centers.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
        let is_monotonic = steps().all(|step| step > 0.0) || steps().all(|step| step < 0.0);
        if !is_monotonic || centers.iter().any(|center| !center.is_finite()) {
            return Self::of_index(label, centers.len(), 1);
        }
        Self { label: label.into(), kind, centers, clock: None }
    }

    /// The same coordinates as times, if they are coordinates.
    pub(super) fn with_clock(self, clock: Option<Clock>) -> Self {
        let clock = clock.filter(|_| self.kind == AxisKind::Linear);
        Self { clock, ..self }
    }

    /// Whether numbers get smaller from cell to cell.
    pub(super) fn falls(&self) -> bool {
        self.centers.first() > self.centers.last()
    }

    /// The whole length in its own numbers, half a cell beyond the outer ones included.
    pub(super) fn span(&self) -> f64 {
        let cells = self.centers.len() as f64;
        let (Some(first), Some(last)) = (self.centers.first(), self.centers.last()) else { return 0.0 };
        if self.centers.len() < 2 { 1.0 } else { (last - first).abs() * cells / (cells - 1.0) }
    }

    /// At most about `most` round numbers.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let mut rising = self.centers.clone();
        if self.falls() {
            rising.reverse();
        }
        let (Some(first), Some(last)) = (rising.first().copied(), rising.last().copied()) else {
            return Vec::new();
        };
        let placed = |value: f64, text: String| {
            let place = place_of(&rising, value)?;
            let place = if self.falls() { 1.0 - place } else { place };
            Some(Tick { place, text })
        };
        let dates = self.clock.as_ref().map(|clock| clock.ticks(first, last, most)).unwrap_or_default();
        if !dates.is_empty() {
            return dates.into_iter().filter_map(|(value, text)| placed(value, text)).collect();
        }
        let step = match self.kind {
            AxisKind::Latitude | AxisKind::Longitude => degrees_step(last - first, most),
            AxisKind::Index => round_step(last - first, most).max(1.0),
            AxisKind::Linear => round_step(last - first, most),
        };
        multiples(first, last, step).filter_map(|value| placed(value, self.text(value, step))).collect()
    }

    fn text(&self, value: f64, step: f64) -> String {
        let degrees = |value: f64, [positive, negative]: [&str; 2]| {
            let side = if value > 0.0 { positive } else { negative };
            let side = if value == 0.0 || value.abs() == 180.0 { "" } else { side };
            format!("{}\u{b0}{side}", number(value.abs(), step))
        };
        match self.kind {
            AxisKind::Latitude => degrees(value, ["N", "S"]),
            AxisKind::Longitude => degrees((value + 180.0).rem_euclid(360.0) - 180.0, ["E", "W"]),
            AxisKind::Index | AxisKind::Linear => number(value, step),
        }
    }
}

/// Where `value` lies among rising centers of cells, from 0 to 1.
fn place_of(rising: &[f64], value: f64) -> Option<f64> {
    let after = rising.partition_point(|center| *center <= value);
    let at = match (after.checked_sub(1).and_then(|at| rising.get(at)), rising.get(after)) {
        (Some(before), Some(next)) => (after - 1) as f64 + (value - before) / (next - before),
        (Some(_), None) => (after - 1) as f64,
        (None, _) => return None,
    };
    Some((at + 0.5) / rising.len() as f64)
}

/// The multiples of `step` from `first` to `last`, at most a thousand.
fn multiples(first: f64, last: f64, step: f64) -> impl Iterator<Item = f64> {
    let slack = step * 1e-9;
    let start = ((first - slack) / step).ceil();
    // Adding zero makes no negative zero.
    let value = move |n: i32| (start + f64::from(n)) * step + 0.0;
    (0..1000).map(value).take_while(move |value| *value <= last + slack)
}

/// The least of 1, 2 and 5 times a power of ten that gives at most about `most` numbers.
pub(super) fn round_step(span: f64, most: usize) -> f64 {
    let least = span / most.max(1) as f64;
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10.0_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn degrees_step(span: f64, most: usize) -> f64 {
    let least = span / most.max(1) as f64;
    let round = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0];
    match round.into_iter().find(|step| *step >= least) {
        Some(step) if least > 0.5 => step,
        _ => round_step(span, most),
    }
}

/// Round numbers from `low` to `high` beside a colour bar, and their texts.
pub(super) fn bar_ticks(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let step = round_step(high - low, most);
    let place = |value: f64| ((value - low) / (high - low)).clamp(0.0, 1.0);
    multiples(low, high, step).map(|value| Tick { place: place(value), text: number(value, step) }).collect()
}

/// A number with as many decimals as multiples of `step` have.
fn number(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    if !(1e-4..1e7).contains(&size) {
        let digits = (size.log10().floor() - step.log10().floor()).clamp(0.0, 15.0) as usize;
        return format!("{value:.digits$e}");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 15.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis, most: usize) -> String {
        axis.ticks(most).iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_where_they_belong() {
        let degrees: Vec<f64> = (0..90).map(|at| -89.0 + 2.0 * f64::from(at)).collect();
        let latitude = Axis::of_coordinates("lat", AxisKind::Latitude, degrees.clone());
        assert_eq!(texts(&latitude, 7), "60°S 30°S 0° 30°N 60°N");
        assert!((latitude.ticks(7)[2].place - 0.5).abs() < 1e-12 && latitude.span() == 180.0);
        let falling = Axis::of_coordinates("lat", AxisKind::Latitude, degrees.into_iter().rev().collect());
        assert!((falling.ticks(7)[0].place - (1.0 - latitude.ticks(7)[0].place)).abs() < 1e-12);
        let east = (0..180).map(|at| 21.0 + 2.0 * f64::from(at)).collect();
        let longitude = Axis::of_coordinates("lon", AxisKind::Longitude, east);
        assert_eq!(texts(&longitude, 7), "60°E 120°E 180° 120°W 60°W 0°");
        let index = Axis::of_index("x", 5, 1);
        assert_eq!((texts(&index, 10).as_str(), index.ticks(10)[1].place), ("0 1 2 3 4", 0.3));
        assert_eq!(texts(&Axis::of_index("x", 50, 100), 5), "1000 2000 3000 4000");
        // Depths that lie unevenly are labelled where they are.
        let depth = Axis::of_coordinates("depth", AxisKind::Linear, vec![5.0, 15.0, 50.0, 200.0, 1000.0]);
        assert_eq!(texts(&depth, 5), "200 400 600 800 1000");
        assert!((depth.ticks(5)[0].place - 0.7).abs() < 1e-12);
        assert_eq!(Axis::of_coordinates("t", AxisKind::Linear, vec![1.0, 3.0, 2.0]).kind, AxisKind::Index);
        assert_eq!(Axis::of_coordinates("t", AxisKind::Linear, vec![7.0]).span(), 1.0);
    }

    #[test]
    fn numbers_have_the_decimals_they_need() {
        let bar = |low, high| bar_ticks(low, high, 5).into_iter().map(|tick| tick.text).collect::<Vec<_>>();
        assert_eq!(bar(-1.0, 1.0), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(bar(0.0, 3e-9), ["0e0", "1e-9", "2e-9", "3e-9"]);
        assert_eq!(bar(271.3, 303.0), ["280", "290", "300"]);
        assert_eq!(bar(0.0, 0.25), ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25"]);
    }
}
