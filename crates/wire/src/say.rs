//! Sentences for people, made from facts. Clients decide by codes, never by these.

use crate::scalar::At;
use domain::cart::Warning;
use domain::money::Ppm;
use domain::pricing::{Off, Reason, WhyNot};
use std::fmt::{self, Display};

/// A fact, said.
#[derive(Clone, Copy, Debug)]
pub struct Say<'a, T>(pub &'a T);

impl Display for Say<'_, Ppm> {
    /// 68,750 ppm is `6.875 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.0 / 10_000, self.0.0 % 10_000);
        match part {
            0 => write!(f, "{whole} %"),
            _ => write!(f, "{whole}.{} %", format!("{part:04}").trim_end_matches('0')),
        }
    }
}

impl Display for Say<'_, Off> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Off::Rate(rate) => write!(f, "{}", Say(rate)),
            Off::Amount(amount) => write!(f, "{amount}"),
            Off::Price(price) => write!(f, "Down to {price}:"),
        }
    }
}

impl Display for Say<'_, Reason> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Sale { list } => write!(f, "On sale: {list} at the list price."),
            Reason::Percentage { rate, of } => write!(f, "{} of {of}.", Say(rate)),
            Reason::Fixed { of } => write!(f, "A fixed amount off {of}."),
            Reason::Price { price, of } => write!(f, "{of} for {price}."),
            Reason::Each { off, copies, of } => write!(f, "{} each of {copies} worth {of}.", Say(off)),
            Reason::Tier { from, off, copies, of } => write!(f, "{} each of {copies} worth {of}, from {from} copies.", Say(off)),
            Reason::Spend { from, off, of } => write!(f, "{} of {of}, from {from}.", Say(off)),
            Reason::BuyGet { bought, gotten, rate, of } => {
                write!(f, "{} off {gotten} worth {of}, for every {bought} bought.", Say(rate))
            }
            Reason::Bundle { sets: 1, off, of } => write!(f, "{} off a set worth {of}.", Say(off)),
            Reason::Bundle { sets, off, of } => write!(f, "{} off each of {sets} sets worth {of}.", Say(off)),
            Reason::Gift => f.write_str("One copy as a gift."),
            Reason::Shipping { off, of } => write!(f, "{} off the {of} of shipping.", Say(off)),
            Reason::ShippingPrice => f.write_str("The price of this way of shipping."),
            Reason::ShippingFree { from } => write!(f, "Free from {from}."),
            Reason::NothingToShip => f.write_str("Nothing has to be shipped."),
            Reason::Tax { rate, of, included: true } => write!(f, "{} included in {of}.", Say(rate)),
            Reason::Tax { rate, of, included: false } => write!(f, "{} of {of}.", Say(rate)),
            Reason::Assessed { rate, of, included } => {
                let where_ = if *included { "included in" } else { "on" };
                match rate {
                    Some(rate) => write!(f, "{} {where_} {of}, as the tax provider says.", Say(rate)),
                    None => write!(f, "Due {where_} {of}, as the tax provider says."),
                }
            }
            Reason::Exempt { of } => write!(f, "No tax is due on {of}."),
        }
    }
}

impl Display for Say<'_, WhyNot> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            WhyNot::Unknown => f.write_str("There is no such coupon."),
            WhyNot::Inactive => f.write_str("It is switched off."),
            WhyNot::NotYet { from } => write!(f, "It cannot be used before {}.", At(*from)),
            WhyNot::Ended { at } => write!(f, "It ended at {}.", At(*at)),
            WhyNot::OffHours => f.write_str("It does not hold at this hour."),
            WhyNot::UsedByShopper => f.write_str("You have used it as often as one may."),
            WhyNot::Exhausted => f.write_str("It has been used as often as it may be."),
            WhyNot::BelowMinimum { minimum } => write!(f, "It needs goods worth {minimum}."),
            WhyNot::BelowCopies { least, have } => write!(f, "It needs {least} copies of what it is for; there are {have}."),
            WhyNot::NothingMatches => f.write_str("Nothing in the cart is what it is for."),
            WhyNot::NotInSegment => f.write_str("It is for other customers."),
            WhyNot::NotFirstOrder => f.write_str("It is for a first order."),
            WhyNot::NotBirthday => f.write_str("It is for birthdays."),
            WhyNot::NeedsCustomer => f.write_str("It depends on who buys, which is not known yet."),
            WhyNot::ConditionUnmet => f.write_str("Its condition does not hold."),
            WhyNot::ConditionFailed => f.write_str("Its condition could not be evaluated."),
            WhyNot::BetterInGroup { by } => write!(f, "{by} of the same group takes off more."),
            WhyNot::Excluded { by } => write!(f, "{by} cannot be combined with others."),
            WhyNot::StackFull { max } => write!(f, "Only {max} promotions apply to one order."),
            WhyNot::GivenTwice => f.write_str("Another code for the same promotion was given before."),
            WhyNot::OutOfStock => f.write_str("The gift is out of stock."),
            WhyNot::NoShipping => f.write_str("It lowers the price of shipping, which is not known yet."),
            WhyNot::OtherCurrency => f.write_str("It is for another currency."),
            WhyNot::NothingLeft => f.write_str("Other discounts left nothing to take off."),
        }
    }
}

impl Display for Say<'_, Warning> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Warning::PriceChanged { from, to, .. } => write!(f, "The price changed from {from} to {to}."),
            Warning::LowStock { available: 0, .. } => f.write_str("Out of stock."),
            Warning::LowStock { available, .. } => write!(f, "Only {available} left."),
            Warning::Unavailable { .. } => f.write_str("Not sold any more, or not in this currency; it is not part of the total."),
            Warning::CouponNotApplicable(not) => write!(f, "{}: {}", not.name(), Say(&not.why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_said_as_people_write_them() {
        for (ppm, said) in [(0, "0 %"), (200_000, "20 %"), (68_750, "6.875 %"), (72_500, "7.25 %"), (1, "0.0001 %"), (1_000_000, "100 %")] {
            assert_eq!(Say(&Ppm(ppm)).to_string(), said);
        }
    }
}
