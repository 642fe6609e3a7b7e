//! Instants. A decision never asks what time it is: it is told.

use std::time::Duration;

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn micros(self) -> i64 {
        self.0
    }

    pub fn millis(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// Later by `span`; saturates at the end of time.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// An instant by a shop's clock, as far as prices care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// 1 is Monday, 7 is Sunday (ISO 8601).
    pub weekday: u8,
    /// Since midnight.
    pub minute: u16,
    pub date: MonthDay,
}

impl Default for Local {
    /// The first minute of Unix time, in UTC.
    fn default() -> Self {
        Self { weekday: 4, minute: 0, date: MonthDay { month: 1, day: 1 } }
    }
}

/// A day of any year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthDay {
    month: u8,
    day: u8,
}

impl MonthDay {
    const DAYS: [u16; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

    pub fn new(month: u8, day: u8) -> Option<Self> {
        let days = *Self::DAYS.get(usize::from(month).checked_sub(1)?)?;
        (1..=days).contains(&day.into()).then_some(Self { month, day })
    }

    /// The day of a date `YYYY-MM-DD`, whatever its year: OpenID Connect writes `0000` for one that is not told.
    pub fn of_date(date: &str) -> Option<Self> {
        let is = |(n, b): (usize, u8)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() };
        let plain = date.len() == 10 && date.bytes().enumerate().all(is);
        if plain { Self::new(date[5..7].parse().ok()?, date[8..].parse().ok()?) } else { None }
    }

    pub fn month(self) -> u8 {
        self.month
    }

    pub fn day(self) -> u8 {
        self.day
    }

    /// Days to the other day, the shorter way round a leap year.
    pub fn days_from(self, other: Self) -> u16 {
        let nth = |day: Self| Self::DAYS.iter().take(usize::from(day.month) - 1).sum::<u16>() + u16::from(day.day);
        let apart = nth(self).abs_diff(nth(other));
        apart.min(366 - apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_between_days_of_a_year_go_the_shorter_way() {
        let day = |month, day| MonthDay::new(month, day).expect("a day");
        for (a, b, days) in
            [(day(1, 1), day(1, 1), 0), (day(12, 31), day(1, 1), 1), (day(2, 28), day(3, 1), 2), (day(1, 1), day(7, 2), 183)]
        {
            assert_eq!((a.days_from(b), b.days_from(a)), (days, days), "{a:?} {b:?}");
        }
        for (date, expected) in [
            ("1990-11-28", Some(day(11, 28))),
            ("0000-02-29", Some(day(2, 29))),
            ("1990-02-30", None),
            ("1990-1-28", None),
            ("+990-11-28", None),
            ("1990-11-28T", None),
            ("1990é11-2", None),
            ("", None),
        ] {
            assert_eq!(MonthDay::of_date(date), expected, "{date}");
        }
        for (month, day) in [(0, 1), (13, 1), (2, 30), (4, 31), (1, 0)] {
            assert_eq!(MonthDay::new(month, day), None, "{month}-{day}");
        }
    }
}
