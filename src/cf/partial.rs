//! Dates that say no more than they say: `2001-02` is all of February.
//!
//! Invariant: a text stands for the time from its first instant to the last before its next of the same resolution, in the calendar of
//! the data. Called by the selection of times.

use super::calendar::{Calendar, Date};
use super::time::{DAY, HOUR, MINUTE, SECOND};
use std::ops::Range;

/// How much of a date a text says; what is finer is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resolution {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Microsecond,
}

impl Resolution {
    /// The coarsest that tells all instants: days at least, as in pandas.
    pub(crate) fn of(instants: impl Iterator<Item = i64>) -> Self {
        let finest = |instant: i64| {
            let steps =
                [(Self::Day, DAY), (Self::Hour, HOUR), (Self::Minute, MINUTE), (Self::Second, SECOND)];
            let whole = steps.into_iter().find(|(_, step)| instant.rem_euclid(*step) == 0);
            whole.map_or(Self::Microsecond, |(resolution, _)| resolution)
        };
        instants.map(finest).max().unwrap_or(Self::Day)
    }
}

/// The instants that a text such as `2001`, `2001-02`, `2001-02-03`, `2001-02-03T06` or `2001-02-03 06:30:15.5` stands for, and what it
/// says of them; `None` if it is no date, or the calendar has no such day.
pub(crate) fn instants_of(text: &str, calendar: Calendar) -> Option<(Range<i64>, Resolution)> {
    let text = text.trim();
    let end = text.find(['T', ' ']).unwrap_or(text.len());
    let (date, clock) = text.split_at(end);
    let (sign, date) = date.strip_prefix('-').map_or((1, date), |rest| (-1, rest));
    let mut parts = date.split('-');
    let number =
        |part: &str| part.parse::<i64>().ok().filter(|_| part.starts_with(|c: char| c.is_ascii_digit()));
    let year = sign * number(parts.next()?)?;
    let part = |part: Option<&str>| {
        part.map(|part| number(part).and_then(|n| u8::try_from(n).ok())).map_or(Some(None), |n| n.map(Some))
    };
    let (month, day) = (part(parts.next())?, part(parts.next())?);
    if parts.next().is_some() {
        return None;
    }
    let start_of = |year, month, day| calendar.day_number(Date { year, month, day })?.checked_mul(DAY);
    let clock = clock.trim_start_matches('T').trim();
    match (month, day) {
        (None, _) if clock.is_empty() => {
            Some((start_of(year, 1, 1)?..start_of(year.checked_add(1)?, 1, 1)?, Resolution::Year))
        }
        (Some(month), None) if clock.is_empty() => {
            let next = if month == 12 {
                start_of(year.checked_add(1)?, 1, 1)?
            } else {
                start_of(year, month + 1, 1)?
            };
            Some((start_of(year, month, 1)?..next, Resolution::Month))
        }
        (Some(month), Some(day)) => {
            let midnight = start_of(year, month, day)?;
            if clock.is_empty() {
                return Some((midnight..midnight.checked_add(DAY)?, Resolution::Day));
            }
            let (start, step, resolution) = clock_of(clock)?;
            let start = midnight.checked_add(start)?;
            Some((start..start.checked_add(step)?, resolution))
        }
        _ => None,
    }
}

/// Microseconds since midnight of `hh[:mm[:ss[.f]]]`, and those that it lasts.
fn clock_of(clock: &str) -> Option<(i64, i64, Resolution)> {
    let mut parts = clock.split(':');
    let two_digits = |part: &str, below: i64| {
        let number = part.parse::<i64>().ok().filter(|_| part.len() == 2)?;
        (0..below).contains(&number).then_some(number)
    };
    let hours = two_digits(parts.next()?, 24)? * HOUR;
    let Some(minutes) = parts.next() else { return Some((hours, HOUR, Resolution::Hour)) };
    let minutes = hours + two_digits(minutes, 60)? * MINUTE;
    let Some(seconds) = parts.next() else { return Some((minutes, MINUTE, Resolution::Minute)) };
    if parts.next().is_some() {
        return None;
    }
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let start = minutes + two_digits(whole, 60)? * SECOND;
    if fraction.is_empty() {
        return (whole == seconds).then_some((start, SECOND, Resolution::Second));
    }
    // NumPy writes nanoseconds; what is finer than microseconds is no time here.
    let is_number = fraction.len() <= 9 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let micros = format!("{fraction:0<6}").get(..6)?.parse::<i64>().ok().filter(|_| is_number)?;
    Some((start + micros, 1, Resolution::Microsecond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_for_all_that_they_do_not_say() {
        let of = |text: &str| {
            instants_of(text, Calendar::Standard)
                .map(|(range, resolution)| ((range.end - range.start) / SECOND, resolution))
        };
        let day = 86400;
        for (text, secs, resolution) in [
            ("2000", 366 * day, Resolution::Year),
            ("2001-02", 28 * day, Resolution::Month),
            ("2001-12", 31 * day, Resolution::Month),
            ("2001-02-03", day, Resolution::Day),
            ("2001-02-03T06", 3600, Resolution::Hour),
            ("2001-02-03 06:30", 60, Resolution::Minute),
            ("2001-02-03T06:30:15", 1, Resolution::Second),
            ("2001-02-03T06:30:15.000000000", 0, Resolution::Microsecond),
            ("-0044-03-15", day, Resolution::Day),
        ] {
            assert_eq!(of(text), Some((secs, resolution)), "{text}");
        }
        let (range, _) = instants_of("1970-01-01T00:00:01.25", Calendar::Standard).unwrap();
        let (epoch, _) = instants_of("1970", Calendar::Standard).unwrap();
        assert_eq!((range.start - epoch.start, range.end - range.start), (1_250_000, 1));
        for text in [
            "",
            "x",
            "2001-13",
            "2001-02-29",
            "2001-02-03T24",
            "2001-02-03T6",
            "2001T06",
            "2001-1-1-1",
            "2001-02-03T06:30:15.",
            "+2001",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert!(instants_of("2001-02-30", Calendar::Days360).is_some());
        assert!(instants_of("2000-02-29", Calendar::NoLeap).is_none());
    }

    #[test]
    fn instants_have_the_resolution_that_tells_them() {
        let of = |instants: &[i64]| Resolution::of(instants.iter().copied());
        assert_eq!(of(&[0, DAY, -DAY]), Resolution::Day);
        assert_eq!(of(&[0, 6 * HOUR]), Resolution::Hour);
        assert_eq!(of(&[0, MINUTE, DAY]), Resolution::Minute);
        assert_eq!(of(&[1]), Resolution::Microsecond);
    }
}
