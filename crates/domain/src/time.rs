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
        for (month, day) in [(0, 1), (13, 1), (2, 30), (4, 31), (1, 0)] {
            assert_eq!(MonthDay::new(month, day), None, "{month}-{day}");
        }
    }
}
