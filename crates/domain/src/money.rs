//! Money is an integer of minor units in one ISO 4217 currency. Sums are checked, products go through
//! `i128`, rounding is named, and the only division is [`Money::allocate`].

use crate::limits::AMOUNT_MAX;
use std::fmt;

/// An ISO 4217 currency with a known exponent (0, 2, 3 or 4 decimals).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Parses an upper-case alphabetic code. Codes without minor units defined (precious metals, test codes) are refused.
    pub fn parse(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        currency.exponent().map(|_| Self(currency))
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of the minor unit: 0 for JPY, 2 for USD, 3 for KWD.
    pub fn exponent(self) -> u16 {
        self.0.exponent().unwrap_or(2)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A rate in parts per million: 20 % is 200,000; 6.875 % is 68,750.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ppm(pub u32);

impl Ppm {
    pub const ONE: Self = Self(1_000_000);
}

/// A factor in billionths: 1.0825 is 1,082,500,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nano(pub u64);

/// How a fraction of a minor unit becomes a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest; a tie to the even neighbor (banker's rounding). The default of this house.
    HalfEven,
    /// To the nearest; a tie away from zero. What most tax offices print in their examples.
    HalfUp,
    /// Toward zero.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("the amount is outside the range of exact integers")]
    Overflow,
    #[error("amounts of different currencies cannot be combined")]
    CurrencyMismatch,
}

/// An amount, possibly negative, of at most [`AMOUNT_MAX`] minor units either way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
            return Err(MoneyError::Overflow);
        }
        Ok(Self { minor, currency })
    }

    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    fn wide(minor: i128, currency: Currency) -> Result<Self, MoneyError> {
        Self::new(i64::try_from(minor).map_err(|_| MoneyError::Overflow)?, currency)
    }

    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::CurrencyMismatch) }
    }

    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        // Two amounts in range are far from the ends of 64 bits.
        Self::new(self.minor + other.minor, self.currency)
    }

    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        Self::new(self.minor - other.minor, self.currency)
    }

    pub fn times(self, n: u32) -> Result<Self, MoneyError> {
        Self::wide(i128::from(self.minor) * i128::from(n), self.currency)
    }

    /// So many times this amount, but no more than `most`; only the result has to be in range.
    pub fn times_at_most(self, n: u32, most: Self) -> Result<Self, MoneyError> {
        self.same(most)?;
        Self::wide((i128::from(self.minor) * i128::from(n)).min(most.minor.into()), self.currency)
    }

    /// The smaller of two amounts of one currency.
    pub fn min(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        Ok(if other.minor < self.minor { other } else { self })
    }

    /// `rate` of this amount.
    pub fn share(self, rate: Ppm, rounding: Rounding) -> Result<Self, MoneyError> {
        let product = i128::from(self.minor) * i128::from(rate.0);
        Self::wide(divide(product, 1_000_000, rounding), self.currency)
    }

    /// The part of an amount that is tax at `rate`, where the amount contains taxes of `inside` altogether:
    /// `amount × rate / (1 + inside)`.
    pub fn included_among(self, rate: Ppm, inside: Ppm, rounding: Rounding) -> Result<Self, MoneyError> {
        let product = i128::from(self.minor) * i128::from(rate.0);
        Self::wide(divide(product, 1_000_000 + i128::from(inside.0), rounding), self.currency)
    }

    /// This amount in another currency, where `rate` is what one unit is worth there. To the nearest minor unit, ties to even.
    pub fn converted(self, rate: Nano, to: Currency) -> Result<Self, MoneyError> {
        let power = |currency: Currency| 10i128.pow(currency.exponent().into());
        let product = (i128::from(self.minor) * i128::from(rate.0)).checked_mul(power(to)).ok_or(MoneyError::Overflow)?;
        Self::wide(divide(product, 1_000_000_000 * power(self.currency), Rounding::HalfEven), to)
    }

    /// Splits the amount by `weights` so that the parts always add up (largest remainder; ties go to the
    /// earlier part). Weights that are all zero are taken as equal; no weights give no parts.
    pub fn allocate(self, weights: &[u64]) -> Vec<Self> {
        let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
        let equal;
        let (weights, sum) = if sum == 0 {
            equal = vec![1; weights.len()];
            (&equal[..], weights.len() as u128)
        } else {
            (weights, sum)
        };
        let whole = self.minor.unsigned_abs();
        let mut parts: Vec<(u64, u128)> = weights.iter().map(|w| share_of(whole, *w, sum)).collect();
        let left = whole - parts.iter().map(|(part, _)| part).sum::<u64>();
        let left = usize::try_from(left).expect("invariant: less than a unit a part is left over");
        if (1..parts.len()).contains(&left) {
            give(&mut parts, left);
        }
        let sign = self.minor.signum();
        let minor = |part: u64| sign * i64::try_from(part).expect("invariant: a part is not larger than the whole");
        parts.into_iter().map(|(part, _)| Self { minor: minor(part), currency: self.currency }).collect()
    }

    /// Adds up amounts of `currency`.
    pub fn sum(currency: Currency, parts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        parts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }
}

/// `12.99 USD`, `1299 JPY`: for people and logs, never for parsing.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.exponent());
        let scale = 10u64.pow(u32::from(self.currency.exponent()));
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, part) = (self.minor.unsigned_abs() / scale, self.minor.unsigned_abs() % scale);
        match digits {
            0 => write!(f, "{sign}{whole} {}", self.currency.code()),
            _ => write!(f, "{sign}{whole}.{part:0digits$} {}", self.currency.code()),
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gives one more unit to each of the `left` parts with the largest remainders; ties go to the earlier part.
fn give(parts: &mut [(u64, u128)], left: usize) {
    let mut remainders: Vec<u128> = parts.iter().map(|(_, remainder)| *remainder).collect();
    let least = *remainders.select_nth_unstable_by(left - 1, |a, b| b.cmp(a)).1;
    let mut ties = left - parts.iter().filter(|(_, remainder)| *remainder > least).count();
    for (part, remainder) in parts {
        let tied = *remainder == least && ties > 0;
        ties -= usize::from(tied);
        *part += u64::from(tied || *remainder > least);
    }
}

/// `whole × weight ÷ sum` and its remainder; in 64 bits where it fits, which is several times faster.
fn share_of(whole: u64, weight: u64, sum: u128) -> (u64, u128) {
    if let (Some(product), Ok(sum)) = (whole.checked_mul(weight), u64::try_from(sum)) {
        return (product / sum, u128::from(product % sum));
    }
    let product = u128::from(whole) * u128::from(weight);
    (u64::try_from(product / sum).expect("invariant: a part is not larger than the whole"), product % sum)
}

fn divide(numerator: i128, denominator: i128, rounding: Rounding) -> i128 {
    let (quotient, remainder) = match (i64::try_from(numerator), i64::try_from(denominator)) {
        (Ok(n), Ok(d)) => (i128::from(n / d), i128::from(n % d)),
        _ => (numerator / denominator, numerator % denominator),
    };
    let away = quotient + numerator.signum();
    let twice = remainder.abs() * 2;
    match rounding {
        Rounding::Down => quotient,
        Rounding::HalfUp => {
            if twice >= denominator {
                away
            } else {
                quotient
            }
        }
        Rounding::HalfEven => match twice.cmp(&denominator) {
            std::cmp::Ordering::Less => quotient,
            std::cmp::Ordering::Greater => away,
            std::cmp::Ordering::Equal => {
                if quotient % 2 == 0 {
                    quotient
                } else {
                    away
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
    }

    #[test]
    fn exponents_follow_iso_4217() {
        for (code, exponent) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("BHD", 3)] {
            assert_eq!(Currency::parse(code).map(Currency::exponent), Some(exponent), "{code}");
        }
        for code in ["usd", "US", "", "XXX", "ABC", "XAU"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    #[test]
    fn amounts_print_with_their_decimals() {
        for (minor, code, text) in [
            (1299, "USD", "12.99 USD"),
            (5, "USD", "0.05 USD"),
            (-5, "EUR", "-0.05 EUR"),
            (1299, "JPY", "1299 JPY"),
            (1, "KWD", "0.001 KWD"),
        ] {
            let money = Money::new(minor, Currency::parse(code).expect("a currency")).expect("in range");
            assert_eq!(money.to_string(), text);
        }
    }

    #[test]
    fn rounding_is_what_its_name_says() {
        use Rounding::*;
        for (amount, ppm, half_even, half_up, down) in [
            (100, 125_000, 12, 13, 12), // 12.5
            (100, 135_000, 14, 14, 13), // 13.5
            (-100, 125_000, -12, -13, -12),
            (999, 200_000, 200, 200, 199), // 199.8
            (1, 499_999, 0, 0, 0),
            (1, 500_000, 0, 1, 0),
            (3, 500_000, 2, 2, 1),
        ] {
            let share = |rounding| usd(amount).share(Ppm(ppm), rounding).map(Money::minor);
            assert_eq!((share(HalfEven), share(HalfUp), share(Down)), (Ok(half_even), Ok(half_up), Ok(down)), "{amount} × {ppm}");
        }
    }

    #[test]
    fn included_tax_is_taken_out_of_the_amount() {
        for (amount, ppm, tax) in [(1190, 190_000, 190), (1070, 70_000, 70), (1000, 200_000, 167), (0, 200_000, 0)] {
            assert_eq!(usd(amount).included_among(Ppm(ppm), Ppm(ppm), Rounding::HalfEven), Ok(usd(tax)), "{amount} at {ppm}");
        }
    }

    #[test]
    fn sums_are_checked() {
        assert_eq!(Money::new(AMOUNT_MAX + 1, usd(0).currency()), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MIN, usd(0).currency()), Err(MoneyError::Overflow));
        assert_eq!(usd(AMOUNT_MAX).plus(usd(1)), Err(MoneyError::Overflow));
        assert_eq!(usd(AMOUNT_MAX).times(u32::MAX), Err(MoneyError::Overflow));
        assert_eq!(usd(1).plus(Money::zero(Currency::parse("EUR").expect("a currency"))), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn allocation_prefers_the_largest_remainder() {
        for (amount, weights, parts) in [
            (100, vec![1, 1, 1], vec![34, 33, 33]),
            (-100, vec![1, 1, 1], vec![-34, -33, -33]),
            (5, vec![3, 7], vec![2, 3]),
            (10, vec![0, 0], vec![5, 5]),
            (1, vec![0, 9], vec![0, 1]),
            (7, vec![], vec![]),
        ] {
            let got: Vec<i64> = usd(amount).allocate(&weights).into_iter().map(Money::minor).collect();
            assert_eq!(got, parts, "{amount} by {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn allocated_parts_add_up(amount in -AMOUNT_MAX..=AMOUNT_MAX, weights in proptest::collection::vec(0u64..=u64::MAX, 1..40)) {
            let parts = usd(amount).allocate(&weights);
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().map(|p| i128::from(p.minor())).sum::<i128>(), i128::from(amount));
            prop_assert!(parts.iter().all(|p| p.minor().signum() * amount.signum() >= 0));
        }
    }
}
