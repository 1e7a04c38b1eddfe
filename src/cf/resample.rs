//! Times in bins of a frequency, as pandas and xarray resample: `MS`, `ME`, `QS-DEC`, `YS`, `D`, `6h` …
//!
//! Frequencies that start periods (`MS`, `QS`, `YS`, `D` and shorter) label a bin with its first instant; those that end them
//! (`ME`, `QE`, `YE`) with the last day. Invariants: bins are without gaps from that of the first time to that of the last;
//! times are in no order. Called by group-by.

use super::calendar::{Calendar, Date};
use super::time::{DAY, Times};
use crate::error::{Error, Result};

/// Bins that a resampling may have.
const MAX_BINS: i64 = 1 << 24;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// How long bins are, and what labels them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// Some months, begun in a month of which the remainder by the period is given.
    Months {
        /// Months of a bin.
        count: i64,
        /// Months from one possible start to the next: 1, 3 or 12.
        period: i64,
        /// Which months bins may start in, modulo the period, January being 0.
        anchor: i64,
        /// Whether the last day labels a bin.
        ends: bool,
    },
    /// Microseconds, counted from the midnight before the first time.
    Span(i64),
}

/// Times in bins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bins {
    /// Of every time the number of its bin; -1 where it is missing.
    pub codes: Vec<i64>,
    /// The instant that labels each bin.
    pub labels: Vec<i64>,
}

impl std::str::FromStr for Frequency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Argument {
            what: "frequency",
            text: text.to_owned(),
            why: "write MS, ME, QS-DEC, QE-FEB, YS, YE-JUN, D, h, min or s, with a number before it as in 5D"
                .to_owned(),
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, code) = text.split_at(digits);
        let count = if count.is_empty() { 1 } else { count.parse::<i64>().map_err(|_| wrong())? };
        if !(1..=1_000_000).contains(&count) {
            return Err(wrong());
        }
        let (code, month) = code.split_once('-').map_or((code, None), |(code, month)| (code, Some(month)));
        let month = match month {
            None => None,
            Some(name) => Some(MONTHS.iter().position(|known| *known == name).ok_or_else(wrong)? as i64),
        };
        let span = |us: i64| if month.is_none() { Ok(Self::Span(count * us)) } else { Err(wrong()) };
        let months = |period: i64, start: i64, ends: bool| {
            let anchor = start.rem_euclid(period);
            Ok(Self::Months { count: count * period, period, anchor, ends })
        };
        match code {
            "MS" | "ME" if month.is_some() => Err(wrong()),
            "MS" => months(1, 0, false),
            "ME" => months(1, 0, true),
            "QS" => months(3, month.unwrap_or(0), false),
            // A quarter that ends in a month starts two before the next.
            "QE" => months(3, month.unwrap_or(11) + 1, true),
            "YS" => months(12, month.unwrap_or(0), false),
            "YE" => months(12, month.unwrap_or(11) + 1, true),
            "D" => span(DAY),
            "h" => span(DAY / 24),
            "min" => span(DAY / 1440),
            "s" => span(DAY / 86_400),
            _ => Err(wrong()),
        }
    }
}

impl Frequency {
    /// The bins of times.
    ///
    /// # Errors
    /// If there are too many.
    pub fn bins(self, times: &Times) -> Result<Bins> {
        let known = || times.instants.iter().flatten().copied();
        let (Some(first), Some(last)) = (known().min(), known().max()) else {
            return Ok(Bins { codes: vec![-1; times.instants.len()], labels: Vec::new() });
        };
        let calendar = times.calendar;
        let number = |instant: i64| match self {
            Self::Span(us) => (instant - first.div_euclid(DAY) * DAY).div_euclid(us),
            Self::Months { count, .. } => {
                (month_of(calendar, instant) - self.start_month(calendar, first)).div_euclid(count)
            }
        };
        let (low, high) = (number(first), number(last));
        if high - low >= MAX_BINS {
            return Err(Error::Argument {
                what: "frequency",
                text: format!("{self:?}"),
                why: format!("it would make {} bins; give a longer one", high - low + 1),
            });
        }
        let codes = times.instants.iter().map(|at| at.map_or(-1, |at| number(at) - low)).collect();
        let labels = (low..=high).map(|bin| self.label(calendar, first, bin)).collect::<Option<Vec<_>>>();
        let labels = labels.ok_or_else(|| Error::Argument {
            what: "frequency",
            text: format!("{self:?}"),
            why: format!("a bin starts on a day that the calendar {calendar} does not have"),
        })?;
        Ok(Bins { codes, labels })
    }

    /// The month in which the bin of the first time starts.
    fn start_month(self, calendar: Calendar, first: i64) -> i64 {
        let Self::Months { count, period, anchor, ends } = self else { return 0 };
        let month = month_of(calendar, first);
        let start = month - (month - anchor).rem_euclid(period);
        // What ends bins ends the first one in the period of the first time, however long bins are.
        if ends { start + period - count } else { start }
    }

    fn label(self, calendar: Calendar, first: i64, bin: i64) -> Option<i64> {
        match self {
            Self::Span(us) => Some(first.div_euclid(DAY) * DAY + bin * us),
            Self::Months { count, ends, .. } => {
                let start = self.start_month(calendar, first) + bin * count;
                let month = if ends { start + count - 1 } else { start };
                let (year, month) = (month.div_euclid(12), (month.rem_euclid(12) + 1) as u8);
                let day = if ends { calendar.last_day(year, month) } else { 1 };
                Some(calendar.day_number(Date { year, month, day })? * DAY)
            }
        }
    }
}

/// Months since January of year 0.
fn month_of(calendar: Calendar, instant: i64) -> i64 {
    let date = calendar.date(instant.div_euclid(DAY));
    12 * date.year + i64::from(date.month) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cf::time::TimeUnits;

    fn labels(days: &[i64], frequency: &str) -> (Vec<i64>, Vec<String>) {
        let units = TimeUnits::parse("days since 2000-01-01", "standard").unwrap();
        let bins = frequency.parse::<Frequency>().unwrap().bins(&units.decode_whole(days).unwrap()).unwrap();
        let shown = |at: &i64| {
            let date = Calendar::Standard.date(at.div_euclid(DAY));
            format!("{}-{}-{}", date.year, date.month, date.day)
        };
        (bins.codes, bins.labels.iter().map(shown).collect())
    }

    #[test]
    fn winters_keep_their_december() {
        // 15 December 1999, 15 January and 15 July 2000.
        let (codes, starts) = labels(&[-17, 14, 196], "QS-DEC");
        assert_eq!(
            (codes, starts),
            (vec![0, 0, 2], ["1999-12-1", "2000-3-1", "2000-6-1"].map(String::from).to_vec())
        );
        let (codes, ends) = labels(&[-17, 14, 196], "QE-FEB");
        assert_eq!(
            (codes, ends),
            (vec![0, 0, 2], ["2000-2-29", "2000-5-31", "2000-8-31"].map(String::from).to_vec())
        );
    }

    #[test]
    fn bins_follow_their_frequency() {
        assert_eq!(labels(&[0, 40, 59, 60], "2MS").1, ["2000-1-1", "2000-3-1"]);
        assert_eq!(
            labels(&[0, 40, 59, 60], "2ME"),
            (vec![0, 1, 1, 1], vec!["2000-1-31".to_owned(), "2000-3-31".to_owned()])
        );
        assert_eq!(labels(&[3, 12], "5D"), (vec![0, 1], vec!["2000-1-4".to_owned(), "2000-1-9".to_owned()]));
        assert_eq!(labels(&[0, 400], "YS-JUL").1, ["1999-7-1", "2000-7-1"]);
        for wrong in ["", "W", "0D", "MS-JAN", "D-JAN", "QS-XYZ", "M"] {
            assert!(wrong.parse::<Frequency>().is_err(), "{wrong}");
        }
    }
}
