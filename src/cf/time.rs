//! CF time: `days since 1950-01-01` and its kin decoded to instants of a calendar, their fields, and back.
//!
//! Units are those of the CF conventions and of cftime: from microseconds to days, months only where all have 30 days.
//! Years and other months have no fixed length and are refused. Invariant: an instant is a whole number of microseconds;
//! numbers that are not are rounded to the nearest. Called by group-by, resampling and pictures.

use super::calendar::{Calendar, Date};
use crate::error::{Error, Result};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
pub(super) const HOUR: i64 = DAY / 24;
pub(super) const MINUTE: i64 = HOUR / 60;
pub(super) const SECOND: i64 = MINUTE / 60;

/// Names of units, as cftime takes them, and their microseconds.
const UNITS: [(&[&str], i64); 7] = [
    (&["days", "day", "d"], DAY),
    (&["hours", "hour", "hrs", "hr", "h"], HOUR),
    (&["minutes", "minute", "mins", "min"], MINUTE),
    (&["seconds", "second", "secs", "sec", "s"], SECOND),
    (&["milliseconds", "millisecond", "millisecs", "millisec", "msecs", "msec", "ms"], 1000),
    (&["microseconds", "microsecond", "microsecs", "microsec"], 1),
    (&["months", "month"], 30 * DAY),
];

/// What numbers of a time coordinate count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeUnits {
    calendar: Calendar,
    /// Name of the unit.
    unit: &'static str,
    unit_us: i64,
    /// The reference date as it was written.
    since: String,
    /// It as an instant.
    reference: i64,
}

/// A field of a date, as `time.month` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeField {
    /// The year.
    Year,
    /// From 1 to 4.
    Quarter,
    /// From 1 to 12.
    Month,
    /// From 1.
    Day,
    /// From 0.
    Hour,
    /// From 0.
    Minute,
    /// From 0.
    Second,
    /// From 1: the number of a day in its year.
    DayOfYear,
    /// From 0, Monday.
    DayOfWeek,
    /// From 0 in the order of names: DJF, JJA, MAM, SON.
    Season,
}

/// Names of the seasons, in the order of [`TimeField::Season`].
pub const SEASONS: [&str; 4] = ["DJF", "JJA", "MAM", "SON"];

impl TimeField {
    /// The field that xarray calls so; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "dayofyear" => Self::DayOfYear,
            "dayofweek" | "weekday" => Self::DayOfWeek,
            "season" => Self::Season,
            _ => return None,
        })
    }

    /// The names that [`TimeField::named`] knows.
    pub const NAMES: &[&str] =
        &["year", "quarter", "month", "day", "hour", "minute", "second", "dayofyear", "dayofweek", "season"];
}

impl TimeUnits {
    /// Parses `UNIT since DATE` with the name of a calendar (CF's default: `standard`).
    ///
    /// ```
    /// use blockwise::cf::time::{TimeField, TimeUnits};
    /// let units = TimeUnits::parse("hours since 1999-12-31 18:00", "noleap")?;
    /// let times = units.decode_whole(&[0, 6, 1422])?;
    /// assert_eq!(times.field(TimeField::Month)?, [Some(12), Some(1), Some(3)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the calendar, the unit or the date is none, or the unit has no fixed length.
    pub fn parse(units: &str, calendar: &str) -> Result<Self> {
        let wrong =
            |why: &str| Error::Argument { what: "unit of time", text: units.to_owned(), why: why.to_owned() };
        let calendar = Calendar::named(calendar).ok_or_else(|| Error::Argument {
            what: "calendar",
            text: calendar.to_owned(),
            why: "CF knows standard, proleptic_gregorian, julian, noleap, all_leap and 360_day".to_owned(),
        })?;
        let mut words = units.trim().splitn(3, char::is_whitespace);
        let (unit, since, date) = (words.next(), words.next(), words.next());
        let (Some(unit), Some(date)) = (unit, date.map(str::trim)) else {
            return Err(wrong("CF writes it as 'days since 2000-01-01'"));
        };
        if !since.is_some_and(|word| word.eq_ignore_ascii_case("since")) {
            return Err(wrong("CF writes it as 'days since 2000-01-01'"));
        }
        let name = unit.to_ascii_lowercase();
        let found = UNITS.iter().find(|(names, _)| names.contains(&name.as_str()));
        let Some((names, unit_us)) = found else {
            return Err(wrong(
                "units are days, hours, minutes, seconds, milliseconds or microseconds; years have no fixed length",
            ));
        };
        if *unit_us > DAY && calendar != Calendar::Days360 {
            return Err(wrong("months have a fixed length in the calendar 360_day alone; store days"));
        }
        let reference = parsed_instant(date, calendar)
            .ok_or_else(|| wrong(&format!("'{date}' is no date of the calendar {calendar}")))?;
        let unit = names.first().copied().unwrap_or("days");
        Ok(Self { calendar, unit, unit_us: *unit_us, since: date.to_owned(), reference })
    }

    /// What NumPy's `datetime64[unit]` counts: since 1970, in the Gregorian calendar.
    ///
    /// # Errors
    /// If the unit is none, or years or months.
    pub(crate) fn of_numpy(unit: &str) -> Result<(Self, i64)> {
        let digits = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(unit.len());
        let (count, name) = unit.split_at(digits);
        let count = if count.is_empty() { Some(1) } else { count.parse::<i64>().ok() };
        // Microseconds, and how many such units are one of them.
        let (unit_us, divisor) = match name {
            "W" => (7 * DAY, 1),
            "D" => (DAY, 1),
            "h" => (HOUR, 1),
            "m" => (MINUTE, 1),
            "s" => (SECOND, 1),
            "ms" => (1000, 1),
            "us" => (1, 1),
            "ns" => (1, 1000),
            _ => (0, 1),
        };
        let unit_us = count.and_then(|count| count.checked_mul(unit_us)).filter(|us| *us > 0);
        let unit_us = unit_us.ok_or_else(|| Error::Argument {
            what: "unit of datetime64",
            text: unit.to_owned(),
            why: "weeks to nanoseconds can be decoded".to_owned(),
        })?;
        let units = Self::parse("microseconds since 1970-01-01", "proleptic_gregorian")?;
        Ok((Self { unit_us, ..units }, divisor))
    }

    /// The calendar.
    #[must_use]
    pub const fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// The instants of whole numbers.
    ///
    /// # Errors
    /// If one is too far away.
    pub fn decode_whole(&self, numbers: &[i64]) -> Result<Times> {
        let decode = |number: &i64| {
            let instant = number.checked_mul(self.unit_us).and_then(|us| us.checked_add(self.reference));
            instant.map(Some).ok_or_else(|| self.too_far(&number.to_string()))
        };
        Ok(Times { calendar: self.calendar, instants: numbers.iter().map(decode).collect::<Result<_>>()? })
    }

    /// The instants of numbers, to the nearest microsecond; of NaN, none.
    ///
    /// # Errors
    /// If one is too far away.
    pub fn decode(&self, numbers: &[f64]) -> Result<Times> {
        let decode = |number: &f64| {
            if number.is_nan() {
                return Ok(None);
            }
            // Whole units apart from the rest, so that long times lose nothing.
            let whole = number.floor();
            let rest = ((number - whole) * self.unit_us as f64).round() as i64;
            let units = (whole.abs() < 9.0e18).then_some(whole as i64);
            let instant = units
                .and_then(|units| units.checked_mul(self.unit_us))
                .and_then(|us| us.checked_add(rest))
                .and_then(|us| us.checked_add(self.reference));
            instant.map(Some).ok_or_else(|| self.too_far(&number.to_string()))
        };
        Ok(Times { calendar: self.calendar, instants: numbers.iter().map(decode).collect::<Result<_>>()? })
    }

    /// Whole numbers that stand for instants, and the text of the units that they count: these, or the longest
    /// shorter ones since the same date in which all are whole.
    #[must_use]
    pub fn encode(&self, instants: &[i64]) -> (Vec<i64>, String) {
        let is_whole = |unit_us: &i64| instants.iter().all(|at| (at - self.reference) % unit_us == 0);
        let own = (self.unit, self.unit_us);
        let shorter = UNITS.iter().filter(|(_, us)| *us < self.unit_us).map(|(names, us)| (names[0], *us));
        let fits = std::iter::once(own).chain(shorter).find(|(_, us)| is_whole(us));
        let (unit, unit_us) = fits.unwrap_or(("microseconds", 1));
        let numbers = instants.iter().map(|at| (at - self.reference) / unit_us).collect();
        (numbers, format!("{unit} since {}", self.since))
    }

    /// The number that stands for an instant.
    pub(crate) fn number(&self, instant: i64) -> f64 {
        // Whole units apart from the rest, as in decoding.
        let since = instant.saturating_sub(self.reference);
        let (whole, rest) = (since.div_euclid(self.unit_us), since.rem_euclid(self.unit_us));
        whole as f64 + rest as f64 / self.unit_us as f64
    }

    fn too_far(&self, number: &str) -> Error {
        Error::Argument {
            what: "time",
            text: format!("{number} {} since {}", self.unit, self.since),
            why: "it is more than 250 000 years away; is it a fill value?".to_owned(),
        }
    }
}

/// Instants of a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// The calendar.
    pub calendar: Calendar,
    /// Microseconds since the start of the calendar's day 0; `None` where the time is missing.
    pub instants: Vec<Option<i64>>,
}

impl Times {
    /// A field of every instant.
    ///
    /// # Errors
    /// If the calendar has no days of the week.
    pub fn field(&self, field: TimeField) -> Result<Vec<Option<i64>>> {
        if field == TimeField::DayOfWeek && self.calendar.day_of_week(0).is_none() {
            return Err(Error::Argument {
                what: "field of time",
                text: "dayofweek".to_owned(),
                why: format!("the calendar {} has no weeks", self.calendar),
            });
        }
        let of = |instant: &Option<i64>| instant.map(|instant| self.field_of(instant, field));
        Ok(self.instants.iter().map(of).collect())
    }

    fn field_of(&self, instant: i64, field: TimeField) -> i64 {
        let (number, rest) = (instant.div_euclid(DAY), instant.rem_euclid(DAY));
        let date = || self.calendar.date(number);
        match field {
            TimeField::Year => date().year,
            TimeField::Quarter => (i64::from(date().month) - 1) / 3 + 1,
            TimeField::Month => date().month.into(),
            TimeField::Day => date().day.into(),
            TimeField::Hour => rest / HOUR,
            TimeField::Minute => rest % HOUR / MINUTE,
            TimeField::Second => rest % MINUTE / SECOND,
            TimeField::DayOfYear => self.calendar.day_of_year(date()),
            TimeField::DayOfWeek => self.calendar.day_of_week(number).unwrap_or(0),
            TimeField::Season => match date().month {
                12 | 1 | 2 => 0,
                6..=8 => 1,
                3..=5 => 2,
                _ => 3,
            },
        }
    }
}

/// `YYYY-MM-DD[( |T)hh[:mm[:ss[.f]]]][( )Z|UTC|±hh[:mm]]` as an instant.
fn parsed_instant(text: &str, calendar: Calendar) -> Option<i64> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let end = rest.find(|c: char| c == 'T' || c.is_whitespace()).unwrap_or(rest.len());
    let (date, time) = rest.split_at(end);
    let mut parts = date.split('-');
    let year = sign * parts.next()?.parse::<i64>().ok()?;
    let mut part = || parts.next().map_or(Some(1), |part| part.parse::<u8>().ok());
    let (month, day) = (part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    let number = calendar.day_number(Date { year, month, day })?;
    number.checked_mul(DAY)?.checked_add(parsed_time(time.trim_start_matches('T').trim())?)
}

/// Microseconds of a time of day, less the zone's.
fn parsed_time(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let text = ["UTC", "GMT", "Z"].iter().find_map(|zone| upper.strip_suffix(zone)).unwrap_or(&upper).trim();
    let zone = text.rfind(['+', '-']);
    let (clock, zone_us) = match zone {
        Some(at) => {
            let (clock, zone) = text.split_at(at);
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let zone = zone.trim_start_matches(['+', '-']);
            // hh:mm, hhmm or hh.
            let zone_us = match zone.len() {
                4 if !zone.contains(':') => clock_us(&format!("{}:{}", zone.get(..2)?, zone.get(2..)?))?,
                _ => clock_us(zone)?,
            };
            (clock.trim(), sign * zone_us)
        }
        None => (text, 0),
    };
    let clock_us = if clock.is_empty() { 0 } else { clock_us(clock)? };
    Some(clock_us - zone_us)
}

fn clock_us(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hour = parts.next()?.parse::<u8>().ok().filter(|hour| *hour < 24)?;
    let minute =
        parts.next().map_or(Some(0), |part| part.parse::<u8>().ok().filter(|minute| *minute < 60))?;
    let second = parts.next().map_or(Some(0.0), |part| part.parse::<f64>().ok())?;
    if parts.next().is_some() || !(0.0..60.0).contains(&second) {
        return None;
    }
    Some(i64::from(hour) * HOUR + i64::from(minute) * MINUTE + (second * SECOND as f64).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Option<i64> {
        parsed_instant(text, Calendar::Standard)
    }

    #[test]
    fn reference_dates_are_read_in_all_their_forms() {
        let day = instant("1900-01-01").unwrap();
        for same in
            ["1900-1-1 0:0:0", "1900-01-01T00:00:00Z", "1900-01-01 00:00:0.0", "1900-01-01 00:00 UTC", "1900"]
        {
            assert_eq!(instant(same), Some(day), "{same}");
        }
        assert_eq!(instant("1900-01-01 06:30:15.25"), Some(day + 6 * HOUR + 30 * MINUTE + 15_250_000));
        assert_eq!(instant("1900-01-01 06:00 +02:00"), Some(day + 4 * HOUR));
        assert_eq!(instant("1900-01-01 06:00:00 -0130"), Some(day + 7 * HOUR + 30 * MINUTE));
        for wrong in ["", "1900-13-01", "1900-02-29", "1582-10-10", "1900-01-01 25:00", "x", "1900-01-01-01"]
        {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn units_without_a_fixed_length_are_refused() {
        for (units, calendar) in [
            ("years since 2000-01-01", "standard"),
            ("months since 2000-01-01", "noleap"),
            ("days", "noleap"),
            ("days since 2000-01-01", "lunar"),
            ("days after 2000-01-01", "julian"),
        ] {
            assert!(TimeUnits::parse(units, calendar).is_err(), "{units} {calendar}");
        }
        let months = TimeUnits::parse("months since 2000-01-01", "360_day").unwrap();
        assert_eq!(months.decode_whole(&[13]).unwrap().field(TimeField::Month).unwrap(), [Some(2)]);
    }

    #[test]
    fn instants_go_there_and_back() {
        let units = TimeUnits::parse("days since 2000-01-01 12:00", "julian").unwrap();
        let times = units.decode(&[0.5, f64::NAN, 2.25]).unwrap();
        let known: Vec<i64> = times.instants.iter().flatten().copied().collect();
        assert_eq!(units.encode(&known), (vec![12, 54], "hours since 2000-01-01 12:00".to_owned()));
        assert_eq!(times.field(TimeField::Hour).unwrap(), [Some(0), None, Some(18)]);
        assert!(units.decode(&[1e300]).is_err() && units.decode_whole(&[i64::MAX]).is_err());
        let (units, divisor) = TimeUnits::of_numpy("ns").unwrap();
        assert_eq!(
            (divisor, units.decode_whole(&[0]).unwrap().field(TimeField::Year).unwrap()),
            (1000, vec![Some(1970)])
        );
    }
}
