//! [`Clock`]: times as dates, beside an axis and in titles.
//!
//! Ticks stand at round times of the calendar: years, months, days, hours, minutes or seconds. Called by [`super::axis`] and by
//! [`super::ShowJob`].

use crate::cf::time::{DAY, TimeUnits};
use crate::cf::{calendar::Calendar, calendar::Date};
use crate::expression::Coordinate;
use blockwise_io::{AttributeValue, Attributes};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// What the numbers of a time coordinate count.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    units: TimeUnits,
    /// Numbers that are one of the units.
    divisor: f64,
}

/// How far apart ticks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Microseconds, less than a day.
    Clock(i64),
    /// Days that start anew with every month.
    Days(i64),
    /// Months; 12 are a year.
    Months(i64),
}

impl Step {
    /// Steps that are round, shortest first; without the years.
    const ROUND: [Self; 22] = [
        Self::Clock(SECOND),
        Self::Clock(2 * SECOND),
        Self::Clock(5 * SECOND),
        Self::Clock(10 * SECOND),
        Self::Clock(30 * SECOND),
        Self::Clock(MINUTE),
        Self::Clock(2 * MINUTE),
        Self::Clock(5 * MINUTE),
        Self::Clock(10 * MINUTE),
        Self::Clock(30 * MINUTE),
        Self::Clock(HOUR),
        Self::Clock(3 * HOUR),
        Self::Clock(6 * HOUR),
        Self::Clock(12 * HOUR),
        Self::Days(1),
        Self::Days(2),
        Self::Days(5),
        Self::Days(10),
        Self::Months(1),
        Self::Months(2),
        Self::Months(3),
        Self::Months(6),
    ];

    /// About how many microseconds it is long.
    const fn length(self) -> i64 {
        match self {
            Self::Clock(us) => us,
            Self::Days(days) => days * DAY,
            Self::Months(months) => months * (DAY / 2 * 61),
        }
    }

    /// The shortest of which at most `most` go into so many microseconds.
    fn fitting(span_us: i64, most: usize) -> Self {
        let fits = |step: &Self| span_us / step.length() <= most as i64;
        let years = (0..6).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)));
        let years = years.map(|years| Self::Months(12 * years));
        Self::ROUND.into_iter().chain(years).find(fits).unwrap_or(Self::Months(12_000_000))
    }
}

impl Clock {
    /// That of a coordinate with attributes, if it is of times.
    pub(super) fn of(coordinate: &Coordinate, attributes: Option<&Attributes>) -> Option<Self> {
        if let Some(unit) = &coordinate.numpy_unit {
            let (units, divisor) = TimeUnits::of_numpy(unit).ok()?;
            return Some(Self { units, divisor: divisor as f64 });
        }
        let text = |name: &str| match attributes?.get(name) {
            Some(AttributeValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let units = TimeUnits::parse(text("units")?, text("calendar").unwrap_or("standard")).ok()?;
        Some(Self { units, divisor: 1.0 })
    }

    fn instant(&self, number: f64) -> Option<i64> {
        self.units.decode(&[number / self.divisor]).ok()?.instants.first().copied().flatten()
    }

    /// A time as people write it; a day if it is the start of one.
    pub(super) fn text(&self, number: f64) -> Option<String> {
        let instant = self.instant(number)?;
        let day = day(self.units.calendar(), instant);
        let shown = match instant.rem_euclid(DAY) {
            0 => day,
            rest if rest % MINUTE == 0 => format!("{day} {}", clock(instant, false)),
            _ => format!("{day} {}", clock(instant, true)),
        };
        Some(shown)
    }

    /// At most about `most` round times from `first` to `last`, rising numbers, with their texts; none where seconds are too
    /// long, or a number is no time.
    pub(super) fn ticks(&self, first: f64, last: f64, most: usize) -> Vec<(f64, String)> {
        let (Some(from), Some(to)) = (self.instant(first), self.instant(last)) else { return Vec::new() };
        let span_us = to.saturating_sub(from);
        if span_us < SECOND {
            return Vec::new();
        }
        let (calendar, step) = (self.units.calendar(), Step::fitting(span_us, most.max(1)));
        let days = || from.div_euclid(DAY)..=to.div_euclid(DAY);
        let instants: Vec<i64> = match step {
            Step::Clock(us) => {
                let midnight = from.div_euclid(DAY) * DAY;
                (0..).map(|n| midnight + n * us).take_while(|at| *at <= to).collect()
            }
            Step::Days(every) => {
                let starts = |day: &i64| {
                    let date = calendar.date(*day);
                    let (at, last) = (i64::from(date.day), calendar.last_day(date.year, date.month));
                    // Not next to the first of the month after.
                    (at - 1) % every == 0 && (at == 1 || at + every / 2 <= i64::from(last))
                };
                days().filter(starts).map(|day| day * DAY).collect()
            }
            Step::Months(every) => {
                let month = |day: i64| {
                    let date = calendar.date(day);
                    date.year * 12 + i64::from(date.month) - 1
                };
                let first = month(from.div_euclid(DAY)).div_euclid(every);
                let last = month(to.div_euclid(DAY)).div_euclid(every);
                let start = |n: i64| {
                    let (year, month) = ((n * every).div_euclid(12), (n * every).rem_euclid(12) as u8 + 1);
                    Some(calendar.day_number(Date { year, month, day: 1 })? * DAY)
                };
                (first..=last).filter_map(start).collect()
            }
        };
        let shown: Vec<i64> = instants.into_iter().filter(|at| (from..=to).contains(at)).collect();
        let has_midnight = shown.iter().any(|at| at.rem_euclid(DAY) == 0);
        let text = |(n, at): (usize, &i64)| {
            let day = day(calendar, *at);
            match step {
                Step::Clock(us) => {
                    let clock = clock(*at, us < MINUTE);
                    match (at.rem_euclid(DAY), n) {
                        (0, _) => day,
                        // Somewhere it must be said which day it is.
                        (_, 0) if !has_midnight => format!("{day} {clock}"),
                        _ => clock,
                    }
                }
                Step::Days(_) => day,
                Step::Months(months) => {
                    let parts = if months < 12 { 2 } else { 1 };
                    let dash = day.rmatch_indices('-').nth(2 - parts).map_or(day.len(), |(at, _)| at);
                    day.get(..dash).unwrap_or_default().to_owned()
                }
            }
        };
        let number = |at: &i64| self.units.number(*at) * self.divisor;
        shown.iter().enumerate().map(|tick| (number(tick.1), text(tick))).collect()
    }
}

/// The day of an instant.
fn day(calendar: Calendar, instant: i64) -> String {
    let Date { year, month, day } = calendar.date(instant.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day of an instant.
fn clock(instant: i64, with_seconds: bool) -> String {
    let rest = instant.rem_euclid(DAY);
    let (hour, minute, second) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND);
    if with_seconds { format!("{hour:02}:{minute:02}:{second:02}") } else { format!("{hour:02}:{minute:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(units: &str, calendar: &str, first: f64, last: f64) -> String {
        let clock = Clock { units: TimeUnits::parse(units, calendar).unwrap(), divisor: 1.0 };
        let ticks = clock.ticks(first, last, 6);
        assert!(ticks.iter().all(|(at, _)| (first..=last).contains(at)), "{ticks:?}");
        ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_stand_at_round_times() {
        let cases = [
            (
                "days since 2000-01-01",
                "standard",
                0.0,
                365.0,
                "2000-01 2000-03 2000-05 2000-07 2000-09 2000-11",
            ),
            (
                "days since 2000-01-01",
                "standard",
                10.0,
                40.0,
                "2000-01-11 2000-01-16 2000-01-21 2000-01-26 2000-02-01 2000-02-06",
            ),
            (
                "days since 2000-01-01",
                "standard",
                0.0,
                3.0,
                "2000-01-01 12:00 2000-01-02 12:00 2000-01-03 12:00 2000-01-04",
            ),
            ("days since 2000-01-01", "standard", 0.3, 0.6, "2000-01-01 09:00 12:00"),
            ("days since 2000-01-01", "standard", -36_524.0, 0.0, "1900 1920 1940 1960 1980 2000"),
            (
                "hours since 1999-12-31 18:00",
                "noleap",
                6.0,
                54.0,
                "2000-01-01 12:00 2000-01-02 12:00 2000-01-03",
            ),
            ("days since 2001-02-20", "360_day", 0.0, 20.0, "2001-02-21 2001-02-26 2001-03-01 2001-03-06"),
            ("seconds since 2001-01-01", "standard", 0.0, 0.5, ""),
            ("days since 0001-01-01", "proleptic_gregorian", 0.0, 3_652_060.0, "2000 4000 6000 8000 10000"),
        ];
        let found: Vec<String> = cases
            .iter()
            .map(|(units, calendar, first, last, _)| texts(units, calendar, *first, *last))
            .collect();
        let expected: Vec<&str> = cases.iter().map(|case| case.4).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn times_are_written_as_short_as_they_are() {
        let units = TimeUnits::parse("hours since 2000-01-01", "standard").unwrap();
        let clock = Clock { units, divisor: 1.0 };
        assert_eq!(clock.text(24.0).as_deref(), Some("2000-01-02"));
        assert_eq!(clock.text(30.5).as_deref(), Some("2000-01-02 06:30"));
        assert_eq!(clock.text(f64::NAN), None);
    }
}
