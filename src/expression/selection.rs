//! Selection by coordinates, as xarray's `sel`: values, lists of values, and slices that hold both their ends.
//!
//! Invariants: what no coordinate equals is an error that names the nearest, and a slice without positions one that says why, never an
//! empty array; elements are not read, coordinates are. Called by the functions `sel` and `isel`, and by programs.

use super::labelled::{Coordinate, Labelled};
use super::positions::Taken;
use crate::cf::partial::{Resolution, instants_of};
use crate::error::{Error, Result};
use crate::group::{numbers_of, times_of};
use blockwise_core::array::Index;
use blockwise_kernels::DType;
use std::borrow::Cow;
use std::ops::Range;

/// Microseconds of an hour.
const HOUR_US: f64 = 3.6e9;

/// Doubles say every whole number up to this.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A coordinate as people write it.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// A number, in the units of the coordinate.
    Number(f64),
    /// A date such as `2001`, `2001-02` or `2001-02-03T06`, or a name.
    Text(String),
}

impl From<f64> for Label {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

/// Which coordinates along a dimension are meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// One. Its dimension is gone, unless a text says less than the coordinates (`2001-02` of days).
    One(Label),
    /// Each of these, in their order.
    Many(Vec<Label>),
    /// From the first to the last, both included, in the coordinates' own order; every `step`-th.
    Between(Option<Label>, Option<Label>, u64),
}

/// What to take where no coordinate is the one that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// Nothing: that is an error.
    #[default]
    Exact,
    /// The nearest; of two as near, the greater.
    Nearest,
    /// The last before it, in the coordinates' own order.
    Pad,
    /// The first after it.
    Backfill,
}

/// How far what is taken may be from what is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the units of the coordinates.
    Units(f64),
    /// Of times, in microseconds.
    Span(i64),
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Units(number) => write!(f, "{number}"),
            Self::Span(us) => write!(f, "{} h", *us as f64 / HOUR_US),
        }
    }
}

/// How elements are found by labels.
///
/// ```
/// use blockwise::expression::{Finding, Match, Tolerance};
/// let near = Finding { how: Match::Nearest, tolerance: Some(Tolerance::Units(0.5)) };
/// assert_eq!(Finding::from(Match::Nearest), Finding { tolerance: None, ..near });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    /// What is taken where no coordinate is the one that is asked for.
    pub how: Match,
    /// How far that may be from it; beyond is an error. It says nothing of exact matches and slices.
    pub tolerance: Option<Tolerance>,
}

impl From<Match> for Finding {
    fn from(how: Match) -> Self {
        Self { how, tolerance: None }
    }
}

/// Values from `first` to `last`.
#[derive(Clone, Copy)]
struct Span {
    first: f64,
    last: f64,
    /// Whether `last` itself is one; the end of a day is the next.
    holds_last: bool,
}

impl Span {
    const fn of(number: f64) -> Self {
        Self { first: number, last: number, holds_last: true }
    }

    fn holds(&self, value: f64) -> bool {
        value >= self.first && (value < self.last || self.holds_last && value == self.last)
    }
}

/// Positions along a dimension.
enum Found {
    One(usize),
    Several(Vec<usize>),
    Run(Range<usize>, u64),
}

impl Labelled {
    /// The elements whose coordinates along `dimension` are `labels`.
    ///
    /// ```
    /// use blockwise::expression::{Labels, Match};
    /// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
    /// let tropics = Labels::Between(Some((-23.0).into()), Some(23.0.into()), 1);
    /// let tropics = sst.select("COADSY", &tropics, Match::Exact)?;
    /// assert_eq!(tropics.array.shape(), [12, 24, 180]);
    /// let equator = sst.select("COADSY", &Labels::One(0.4.into()), Match::Nearest)?;
    /// assert_eq!(equator.array.shape(), [12, 180]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the array has no such dimension or coordinates, no coordinate is as asked for, or those of a slice neither ascend nor descend.
    pub fn select(&self, dimension: &str, labels: &Labels, finding: impl Into<Finding>) -> Result<Self> {
        let axis = self.axis_named(dimension)?;
        let Some(coordinate) = self.coordinate_along(axis) else {
            let what = "there are none; choose by positions with isel".to_owned();
            return Err(Error::Usage { path: about(dimension), what });
        };
        let known = Known::read(coordinate, labels)?;
        Ok(match known.find(dimension, labels, finding.into())? {
            Found::One(at) => {
                let mut items = vec![Index::from(..); axis];
                items.push(Index::At(signed(at)));
                self.index(&items)?
            }
            Found::Several(positions) => {
                self.taken(axis, &Taken::At(positions.into_iter().map(signed).collect()))?
            }
            Found::Run(run, step) => {
                let step = i64::try_from(step).unwrap_or(i64::MAX);
                let slice =
                    Index::Slice { start: Some(signed(run.start)), stop: Some(signed(run.end)), step };
                self.taken(axis, &Taken::Index(slice))?
            }
        })
    }

    /// The axis of a dimension.
    pub(super) fn axis_named(&self, dimension: &str) -> Result<usize> {
        let names = self.array.names();
        names.iter().position(|name| name.as_deref() == Some(dimension)).ok_or_else(|| {
            let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
            let what = if known.is_empty() {
                "the dimensions have no names".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Error::Usage { path: format!("there is no dimension '{dimension}'"), what }
        })
    }
}

/// What an error about coordinates is about.
pub(super) fn about(dimension: &str) -> String {
    format!("coordinates of '{dimension}'")
}

/// Positions of what was counted in memory.
pub(super) fn signed(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The coordinates of a dimension as what labels are held against.
pub(super) enum Known {
    Numbers {
        values: Vec<f64>,
        narrow: bool,
    },
    /// Microseconds, NaN where there is no time; and how fine they are.
    Times {
        calendar: crate::cf::calendar::Calendar,
        instants: Vec<f64>,
        resolution: Resolution,
    },
    Texts(Vec<String>),
}

impl Known {
    /// The coordinates, as times if `labels` are dates.
    pub(super) fn read(coordinate: &Coordinate, labels: &Labels) -> Result<Self> {
        if let Some(texts) = &coordinate.texts {
            return Ok(Self::Texts(texts.to_vec()));
        }
        let is_text = |label: &Label| matches!(label, Label::Text(_));
        let are_texts = match labels {
            Labels::One(label) => is_text(label),
            Labels::Many(labels) => labels.iter().any(is_text),
            Labels::Between(from, to, _) => [from, to].into_iter().flatten().any(is_text),
        };
        if !are_texts {
            let narrow = coordinate.array.dtype() == DType::F32;
            let values = numbers_of(coordinate)?.into_doubles();
            if coordinate.array.dtype().kind() != 'f'
                && values.iter().any(|value| value.abs() > LARGEST_WHOLE)
            {
                let what =
                    "they are larger than doubles tell apart; choose by positions with isel".to_owned();
                return Err(Error::Usage { path: about(&coordinate.name), what });
            }
            return Ok(Self::Numbers { values, narrow });
        }
        let (times, units) = times_of(coordinate)?;
        let resolution = Resolution::of(times.instants.iter().flatten().copied());
        let instants = times.instants.iter().map(|at| at.map_or(f64::NAN, |at| at as f64)).collect();
        Ok(Self::Times { calendar: units.calendar(), instants, resolution })
    }

    fn find(&self, dimension: &str, labels: &Labels, finding: Finding) -> Result<Found> {
        let how = finding.how;
        let wrong = |what: String| Error::Usage { path: about(dimension), what };
        match labels {
            Labels::One(label) => {
                let (span, said) = self.span(dimension, label)?;
                let is_part = match (self, said) {
                    (Self::Times { resolution, .. }, Some(said)) => how == Match::Exact && said < *resolution,
                    _ => false,
                };
                if !is_part {
                    return self.position(dimension, label, finding).map(Found::One);
                }
                let values = self.values();
                let inside: Vec<usize> = values
                    .iter()
                    .enumerate()
                    .filter(|(_, value)| span.holds(**value))
                    .map(|(at, _)| at)
                    .collect();
                match (inside.first(), inside.last()) {
                    (Some(first), Some(last)) if last - first + 1 == inside.len() => {
                        Ok(Found::Run(*first..last + 1, 1))
                    }
                    (Some(_), _) => Ok(Found::Several(inside)),
                    (None, _) => Err(wrong(format!("none is in {label}"))),
                }
            }
            Labels::Many(labels) => {
                let each = labels.iter().map(|label| self.position(dimension, label, finding));
                each.collect::<Result<_>>().map(Found::Several)
            }
            Labels::Between(_, _, 0) => Err(wrong("the step of a slice is 1 or more".to_owned())),
            Labels::Between(from, to, step) => {
                if how != Match::Exact {
                    return Err(wrong(
                        "a slice takes no method: it holds what is between its ends".to_owned(),
                    ));
                }
                Ok(Found::Run(self.between(dimension, from.as_ref(), to.as_ref())?, *step))
            }
        }
    }

    /// The values that a label stands for, and what a date says.
    fn span(&self, dimension: &str, label: &Label) -> Result<(Span, Option<Resolution>)> {
        let wrong = |what: String| Error::Usage { path: about(dimension), what };
        match (self, label) {
            (Self::Numbers { narrow: true, .. }, Label::Number(number)) => {
                // As the coordinates are stored.
                let number = f64::from(*number as f32);
                Ok((Span::of(number), None))
            }
            (Self::Numbers { .. }, Label::Number(number)) => Ok((Span::of(*number), None)),
            (Self::Times { calendar, .. }, Label::Text(text)) => {
                let (range, resolution) = instants_of(text, *calendar).ok_or_else(|| {
                    let name = calendar.name();
                    wrong(format!("'{text}' is no date of the calendar {name}; write 2001, 2001-02, 2001-02-03 or 2001-02-03T06:30"))
                })?;
                let span = Span { first: range.start as f64, last: range.end as f64, holds_last: false };
                Ok((span, Some(resolution)))
            }
            (Self::Times { .. }, Label::Number(number)) => {
                Err(wrong(format!("{number} stands beside dates; write all as dates, or all as numbers")))
            }
            (Self::Texts(texts), Label::Text(text)) => {
                let at = texts.iter().position(|own| own == text).ok_or_else(|| {
                    let some: Vec<&str> = texts.iter().take(12).map(String::as_str).collect();
                    wrong(format!("none is '{text}'; there are {}", some.join(", ")))
                })?;
                Ok((Span::of(at as f64), None))
            }
            (_, label) => Err(wrong(format!("{label} is no label of theirs"))),
        }
    }

    /// The number that a label stands for: for a date, the instant where it begins.
    pub(super) fn value_of(&self, dimension: &str, label: &Label) -> Result<f64> {
        match (self, label) {
            (Self::Texts(_), _) => {
                let what = "they are texts, which have nothing between them".to_owned();
                Err(Error::Usage { path: about(dimension), what })
            }
            // What is a coordinate as these are stored is that one; what is none is not rounded.
            (Self::Numbers { values, narrow }, Label::Number(number)) => {
                let stored = f64::from(*number as f32);
                Ok(if *narrow && values.contains(&stored) { stored } else { *number })
            }
            _ => Ok(self.span(dimension, label)?.0.first),
        }
    }

    /// Numbers, instants, or for texts where they stand.
    pub(super) fn values(&self) -> Cow<'_, [f64]> {
        match self {
            Self::Numbers { values, .. } => Cow::Borrowed(values),
            Self::Times { instants, .. } => Cow::Borrowed(instants),
            Self::Texts(texts) => Cow::Owned((0..texts.len()).map(|at| at as f64).collect()),
        }
    }

    /// The position of one label.
    pub(super) fn position(&self, dimension: &str, label: &Label, finding: Finding) -> Result<usize> {
        let how = finding.how;
        let (Span { first: wanted, .. }, _) = self.span(dimension, label)?;
        let values = self.values();
        let descends = !in_order(&values, |before, after| before <= after);
        if descends && how != Match::Exact && !in_order(&values, |before, after| before >= after) {
            let what = "they neither ascend nor descend, so nothing is near another".to_owned();
            return Err(Error::Usage { path: about(dimension), what });
        }
        let fits = |value: f64| match how {
            Match::Exact => value == wanted,
            Match::Nearest => !value.is_nan(),
            Match::Pad if descends => value >= wanted,
            Match::Pad => value <= wanted,
            Match::Backfill if descends => value <= wanted,
            Match::Backfill => value >= wanted,
        };
        let closest = |fits: &dyn Fn(f64) -> bool| {
            let candidates = values.iter().enumerate().filter(|(_, value)| fits(**value));
            candidates
                .min_by(|(_, a), (_, b)| {
                    (*a - wanted).abs().total_cmp(&(*b - wanted).abs()).then_with(|| b.total_cmp(a))
                })
                .map(|(at, _)| at)
        };
        let found = closest(&fits);
        let again = found.and_then(|at| {
            let value = values.get(at)?;
            values.iter().skip(at + 1).position(|other| other == value)
        });
        match (found, again) {
            (Some(at), None) => {
                let apart = values.get(at).map_or(0.0, |value| (value - wanted).abs());
                self.check_tolerance(dimension, label, (at, apart), finding)?;
                Ok(at)
            }
            (Some(_), Some(_)) => {
                let what = format!("several are {label}; choose with a slice, or by positions with isel");
                Err(Error::Usage { path: about(dimension), what })
            }
            (None, _) => {
                let nearest = closest(&|value| !value.is_nan());
                let nearest = nearest.map_or_else(String::new, |at| {
                    format!(" (the nearest is at position {at}{})", self.shown(at))
                });
                let what = format!("none is {label}{nearest}; method=\"nearest\" takes that");
                Err(Error::Usage { path: about(dimension), what })
            }
        }
    }

    /// Refuses what is found `apart` from what was asked for, where that is more than the tolerance.
    fn check_tolerance(
        &self,
        dimension: &str,
        label: &Label,
        (at, apart): (usize, f64),
        Finding { how, tolerance }: Finding,
    ) -> Result<()> {
        let Some(tolerance) = tolerance else { return Ok(()) };
        let wrong = |what: String| Err(Error::Usage { path: about(dimension), what });
        let (most, unit) = match (self, tolerance) {
            _ if how == Match::Exact => {
                return wrong("a tolerance needs a method, as in method=\"nearest\"".to_owned());
            }
            (Self::Numbers { .. }, Tolerance::Units(most)) => (most, 1.0),
            (Self::Times { .. }, Tolerance::Span(us)) => (us as f64, HOUR_US),
            (Self::Times { .. }, Tolerance::Units(_)) => {
                return wrong("among dates a tolerance is a time, as in tolerance=\"6h\"".to_owned());
            }
            _ => return wrong("their tolerance is a number".to_owned()),
        };
        if apart > most {
            let (shown, hours) = (self.shown(at), if unit == 1.0 { "" } else { " h" });
            let apart = apart / unit;
            return wrong(format!(
                "the nearest to {label} is at position {at}{shown}, {apart}{hours} away, and the tolerance is {tolerance}"
            ));
        }
        Ok(())
    }

    /// What stands at a position, where numbers say it.
    fn shown(&self, at: usize) -> String {
        match self {
            Self::Numbers { values, .. } => {
                values.get(at).map_or_else(String::new, |value| format!(": {value}"))
            }
            Self::Times { .. } | Self::Texts(_) => String::new(),
        }
    }

    /// The positions between two labels, both included, in the order of the coordinates.
    fn between(&self, dimension: &str, from: Option<&Label>, to: Option<&Label>) -> Result<Range<usize>> {
        let wrong = |what: String| Error::Usage { path: about(dimension), what };
        let values = self.values();
        let ascends = in_order(&values, |before, after| before <= after);
        if !ascends && !in_order(&values, |before, after| before >= after) {
            return Err(wrong(
                "they neither ascend nor descend, so nothing is between two of them; name each in a list"
                    .to_owned(),
            ));
        }
        let span = |label: Option<&Label>| -> Result<Option<Span>> {
            label.map(|label| Ok(self.span(dimension, label)?.0)).transpose()
        };
        let (from_span, to_span) = (span(from)?, span(to)?);
        let (least, most) = if ascends { (from_span, to_span) } else { (to_span, from_span) };
        let all = Span { first: f64::NEG_INFINITY, last: f64::INFINITY, holds_last: true };
        let (least, most) = (least.unwrap_or(all), most.unwrap_or(all));
        let span = Span { first: least.first, ..most };
        if span.first > span.last || span.first == span.last && !span.holds_last {
            let (from, to) = (shown_end(from), shown_end(to));
            let order = if ascends { "ascend" } else { "descend" };
            return Err(wrong(format!("they {order}: write slice({to}, {from})")));
        }
        let inside = |value: &f64| span.holds(*value);
        let start = values.iter().position(inside).ok_or_else(|| {
            let ends = values.first().zip(values.last()).filter(|_| matches!(self, Self::Numbers { .. }));
            let ends =
                ends.map_or_else(String::new, |(first, last)| format!("; they go from {first} to {last}"));
            wrong(format!("none is between {} and {}{ends}", shown_end(from), shown_end(to)))
        })?;
        let len = values.iter().skip(start).take_while(|value| inside(value)).count();
        Ok(start..start + len)
    }
}

/// Whether every value is in order with the one after it.
fn in_order(values: &[f64], is_so: impl Fn(f64, f64) -> bool) -> bool {
    values.windows(2).all(|pair| matches!(pair, [before, after] if is_so(*before, *after)))
}

fn shown_end(label: Option<&Label>) -> String {
    label.map_or_else(|| "None".to_owned(), ToString::to_string)
}
