//! The calendars of the CF conventions: how dates count in days, and back.
//!
//! Invariants: within a calendar, day numbers of successive dates are successive; years are astronomical (year 0 is 1 BC).
//! The mixed calendar has no dates from 5 to 14 October 1582. Day numbers of the Julian and the Gregorian calendar are
//! Julian day numbers (the integer formulas follow from the lengths of their cycles: 1461 days in 4 years, 146097 in 400).
//! Called by [`super::time`].

use std::fmt;

/// A CF calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Calendar {
    /// Julian up to 4 October 1582, Gregorian from 15 October on.
    Standard,
    /// Gregorian always.
    ProlepticGregorian,
    /// Julian always.
    Julian,
    /// Years of 365 days.
    NoLeap,
    /// Years of 366 days.
    AllLeap,
    /// Months of 30 days.
    Days360,
}

/// A day of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Astronomical: 0 is 1 BC.
    pub year: i64,
    /// From 1 to 12.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// Julian day number of 15 October 1582, the first day of the Gregorian calendar.
const GREGORIAN_FROM: i64 = 2_299_161;
/// Years beyond this are refused: day numbers and microseconds stay within 64 bits.
const MAX_YEAR: i64 = 250_000;
/// Days before each month of a year without a leap day.
const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

impl Calendar {
    /// The calendar of a CF name; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "standard" | "gregorian" => Self::Standard,
            "proleptic_gregorian" => Self::ProlepticGregorian,
            "julian" => Self::Julian,
            "noleap" | "365_day" => Self::NoLeap,
            "all_leap" | "366_day" => Self::AllLeap,
            "360_day" => Self::Days360,
            _ => return None,
        })
    }

    /// Its CF name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ProlepticGregorian => "proleptic_gregorian",
            Self::Julian => "julian",
            Self::NoLeap => "noleap",
            Self::AllLeap => "all_leap",
            Self::Days360 => "360_day",
        }
    }

    /// Whether February of `year` has 29 days; never where months have 30.
    #[must_use]
    pub const fn is_leap(self, year: i64) -> bool {
        let julian = year.rem_euclid(4) == 0;
        let gregorian = julian && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        match self {
            Self::Standard => {
                if year < 1582 {
                    julian
                } else {
                    gregorian
                }
            }
            Self::ProlepticGregorian => gregorian,
            Self::Julian => julian,
            Self::AllLeap => true,
            Self::NoLeap | Self::Days360 => false,
        }
    }

    /// The number of the last day of a month. October 1582 of the mixed calendar ends with the 31st, though it has 21 days.
    #[must_use]
    pub const fn last_day(self, year: i64, month: u8) -> u8 {
        match month {
            _ if matches!(self, Self::Days360) => 30,
            2 if self.is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The number of a day; `None` if the calendar has no such date, or it is more than 250 000 years away.
    #[must_use]
    pub fn day_number(self, date: Date) -> Option<i64> {
        let Date { year, month, day } = date;
        let exists = (1..=12).contains(&month) && day >= 1 && day <= self.last_day(year, month);
        if !exists || year.abs() > MAX_YEAR {
            return None;
        }
        let (before, day) = (*BEFORE.get(usize::from(month) - 1)?, i64::from(day));
        let leap_day = i64::from(month > 2 && self.is_leap(year));
        Some(match self {
            Self::Days360 => 360 * year + 30 * (i64::from(month) - 1) + day - 1,
            Self::NoLeap => 365 * year + before + day - 1,
            Self::AllLeap => 366 * year + before + leap_day + day - 1,
            Self::Julian => julian(year, before, month, day),
            Self::ProlepticGregorian => gregorian(year, before, month, day),
            Self::Standard => {
                if (year, month, day) >= (1582, 10, 15) {
                    gregorian(year, before, month, day)
                } else if (year, month, day) <= (1582, 10, 4) {
                    julian(year, before, month, day)
                } else {
                    return None;
                }
            }
        })
    }

    /// The date of a day number.
    #[must_use]
    pub fn date(self, number: i64) -> Date {
        match self {
            Self::Days360 => {
                let (year, rest) = (number.div_euclid(360), number.rem_euclid(360));
                Date { year, month: (rest / 30 + 1) as u8, day: (rest % 30 + 1) as u8 }
            }
            Self::NoLeap => of_year(number.div_euclid(365), number.rem_euclid(365), false),
            Self::AllLeap => of_year(number.div_euclid(366), number.rem_euclid(366), true),
            Self::Julian => julian_date(number),
            Self::ProlepticGregorian => gregorian_date(number),
            Self::Standard if number >= GREGORIAN_FROM => gregorian_date(number),
            Self::Standard => julian_date(number),
        }
    }

    /// The number of a day in its year, from 1. In 1582 of the mixed calendar the ten days that were left out count, as in cftime.
    #[must_use]
    pub fn day_of_year(self, date: Date) -> i64 {
        let month = usize::from(date.month).saturating_sub(1);
        let before = match self {
            Self::Days360 => 30 * month as i64,
            _ => BEFORE.get(month).copied().unwrap_or(0) + i64::from(month >= 2 && self.is_leap(date.year)),
        };
        before + i64::from(date.day)
    }

    /// The day of the week, Monday being 0; `None` in calendars that are no real ones.
    #[must_use]
    pub const fn day_of_week(self, number: i64) -> Option<i64> {
        match self {
            Self::Standard | Self::ProlepticGregorian | Self::Julian => Some(number.rem_euclid(7)),
            Self::NoLeap | Self::AllLeap | Self::Days360 => None,
        }
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Julian day number at noon of a date of the Julian calendar.
const fn julian(year: i64, before: i64, month: u8, day: i64) -> i64 {
    let leap = year.rem_euclid(4) == 0 && month > 2;
    // Leap days of the years before this one.
    1_721_058 + 365 * year + (year + 3).div_euclid(4) + before + leap as i64 + day - 1
}

/// Julian day number at noon of a date of the Gregorian calendar.
const fn gregorian(year: i64, before: i64, month: u8, day: i64) -> i64 {
    let leap = Calendar::ProlepticGregorian.is_leap(year) && month > 2;
    let earlier = year - 1;
    let leap_days = earlier.div_euclid(4) - earlier.div_euclid(100) + earlier.div_euclid(400);
    1_721_061 + 365 * year + leap_days + before + leap as i64 + day - 1
}

fn julian_date(number: i64) -> Date {
    // Years of each cycle of four: the first has the leap day.
    let days = number - 1_721_058;
    let (cycle, rest) = (days.div_euclid(1461), days.rem_euclid(1461));
    if rest < 366 {
        return of_year(4 * cycle, rest, true);
    }
    of_year(4 * cycle + 1 + (rest - 366) / 365, (rest - 366) % 365, false)
}

fn gregorian_date(number: i64) -> Date {
    // From 1 March of year 0 on, so that leap days end years.
    let days = number - 1_721_120;
    let (cycle, rest) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let century = (rest / 36_524).min(3);
    let rest = rest - century * 36_524;
    let four = rest / 1461;
    let rest = rest - four * 1461;
    let year_of_four = (rest / 365).min(3);
    let from_march = rest - year_of_four * 365;
    let year = 400 * cycle + 100 * century + 4 * four + year_of_four;
    if from_march >= 306 {
        // January and February belong to the next year.
        let is_leap = Calendar::ProlepticGregorian.is_leap(year + 1);
        return of_year(year + 1, from_march - 306, is_leap);
    }
    let is_leap = Calendar::ProlepticGregorian.is_leap(year);
    of_year(year, from_march + 59 + i64::from(is_leap), is_leap)
}

/// The date of day `rest` (from 0) of a year.
fn of_year(year: i64, rest: i64, is_leap: bool) -> Date {
    let starts = |month: usize| BEFORE.get(month).copied().unwrap_or(0) + i64::from(is_leap && month >= 2);
    let month = (0..12).rev().find(|month| starts(*month) <= rest).unwrap_or(0);
    Date { year, month: month as u8 + 1, day: (rest - starts(month) + 1) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Calendar; 6] = [
        Calendar::Standard,
        Calendar::ProlepticGregorian,
        Calendar::Julian,
        Calendar::NoLeap,
        Calendar::AllLeap,
        Calendar::Days360,
    ];

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        for calendar in ALL {
            let first = calendar.day_number(Date { year: -9, month: 1, day: 1 }).unwrap();
            let mut expected = Date { year: -9, month: 1, day: 1 };
            for number in first..first + 1_000_000 {
                let date = calendar.date(number);
                assert_eq!(date, expected, "{calendar} {number}");
                assert_eq!(calendar.day_number(date), Some(number), "{calendar} {date:?}");
                expected.day += 1;
                if calendar == Calendar::Standard
                    && (expected.year, expected.month, expected.day) == (1582, 10, 5)
                {
                    expected.day = 15;
                }
                if expected.day > calendar.last_day(expected.year, expected.month) {
                    (expected.day, expected.month) = (1, expected.month + 1);
                }
                if expected.month > 12 {
                    (expected.month, expected.year) = (1, expected.year + 1);
                }
            }
        }
    }

    #[test]
    fn known_days_are_right() {
        let date = |year, month, day| Date { year, month, day };
        // Julian day numbers of astronomy.
        assert_eq!(Calendar::Standard.day_number(date(2000, 1, 1)), Some(2_451_545));
        assert_eq!(Calendar::Standard.day_number(date(-4712, 1, 1)), Some(0));
        assert_eq!(Calendar::Julian.day_number(date(1582, 10, 4)), Some(2_299_160));
        assert_eq!(Calendar::ProlepticGregorian.day_number(date(1970, 1, 1)), Some(2_440_588));
        assert_eq!(Calendar::Standard.day_number(date(1582, 10, 10)), None);
        assert_eq!(Calendar::NoLeap.day_number(date(2000, 2, 29)), None);
        assert!(Calendar::Days360.day_number(date(2000, 2, 30)).is_some());
        // 1 January 2000 was a Saturday.
        assert_eq!(Calendar::Standard.day_of_week(2_451_545), Some(5));
        assert_eq!(Calendar::AllLeap.day_of_year(date(2001, 12, 31)), 366);
        assert_eq!(Calendar::Standard.day_of_year(date(1582, 10, 15)), 288);
        assert_eq!(Calendar::named("Gregorian"), Some(Calendar::Standard));
        assert_eq!(Calendar::named("lunar"), None);
    }
}
