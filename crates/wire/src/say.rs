//! Sentences for people, made from facts. Clients decide by codes, never by these.

use crate::scalar::At;
use domain::cart::Warning;
use domain::money::Ppm;
use domain::pricing::{Adjustment, Limited, Off, Quote, QuotedLine, Reason, WhyNot};
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
            Off::Price(price) => write!(f, "Down to {price}"),
        }
    }
}

/// `10 % off`, `5.00 USD off`, `Down to 9.99 USD from`: of one amount.
fn lowered(off: &Off) -> String {
    match off {
        Off::Rate(_) | Off::Amount(_) => format!("{} off", Say(off)),
        Off::Price(_) => format!("{} from", Say(off)),
    }
}

/// `off each of 3 copies`, `for each of 3 sets`.
fn each(off: Off, n: u64, one: &str, many: &str) -> String {
    let before = match off {
        Off::Rate(_) | Off::Amount(_) => "off",
        Off::Price(_) => "for",
    };
    if n == 1 { format!("{before} {}", so_many(n, one, many)) } else { format!("{before} each of {}", so_many(n, one, many)) }
}

fn so_many(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

impl Display for Say<'_, Reason> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Sale { list } => write!(f, "On sale: {list} at the list price."),
            Reason::Percentage { rate, of } => write!(f, "{} of {of}.", Say(rate)),
            Reason::Fixed { of } => write!(f, "A fixed amount off {of}."),
            Reason::Price { price, of } => write!(f, "{of} for {price}."),
            Reason::Each { off, copies, of } => write!(f, "{} {} worth {of}.", Say(off), each(*off, *copies, "copy", "copies")),
            Reason::Tier { from, off, copies, of } => {
                write!(f, "{} {} worth {of}, from {from} copies.", Say(off), each(*off, *copies, "copy", "copies"))
            }
            Reason::Spend { from, off, of } => write!(f, "{} {of}, from goods worth {from}.", lowered(off)),
            Reason::BuyGet { bought, gotten, rate, of } => {
                write!(f, "{} off {}, worth {of}, for every {bought} bought.", Say(rate), so_many(*gotten, "copy", "copies"))
            }
            Reason::Bundle { sets, off, of } => write!(f, "{} {} worth {of}.", Say(off), each(*off, *sets, "set", "sets")),
            Reason::Gift => f.write_str("One copy as a gift."),
            Reason::Shipping { off, of } => write!(f, "{} the {of} of shipping.", lowered(off)),
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

/// The computation, with its outcome.
impl Display for Say<'_, Adjustment> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adjustment { amount, limited, reason, .. } = self.0;
        let limit = match limited {
            Some(Limited::Cap) => ", at most its cap",
            Some(Limited::Budget) => ", at most what is left of its budget",
            None => "",
        };
        let said = Say(reason).to_string();
        write!(f, "{}{limit}: {amount}", said.trim_end_matches('.'))
    }
}

impl Display for Say<'_, QuotedLine> {
    /// `2 × 12.99 USD = 25.98 USD`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuotedLine { quantity, unit_price, total, converted_from, .. } = self.0;
        write!(f, "{} × {unit_price} = {total}", quantity.get())?;
        converted_from.map_or(Ok(()), |from| write!(f, "; one is {from} in its own currency"))
    }
}

impl Display for Say<'_, Quote> {
    /// `34.48 USD − 8.45 USD + 4.99 USD + 2.15 USD = 33.17 USD`: goods, discounts, shipping and tax on top.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quote { subtotal, discount, shipping, tax, total, tax_included, .. } = self.0;
        write!(f, "{subtotal} − {discount} + {shipping}")?;
        if !tax_included {
            write!(f, " + {tax}")?;
        }
        write!(f, " = {total}")
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
            WhyNot::BelowMinimum { minimum, have: None } => write!(f, "It needs goods worth {minimum}."),
            WhyNot::BelowMinimum { minimum, have: Some(have) } => write!(f, "It needs goods worth {minimum}; there are {have}."),
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
