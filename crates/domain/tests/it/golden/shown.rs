//! Writes a quote as the right side of a row.

use super::shop::name;
use domain::money::{Money, Ppm};
use domain::pricing::{Adjustment, Counter, Limited, NotApplied, Off, Quote, Reason, Use, WhyNot};

/// `subtotal discount shipping tax total ; what applied ; what did not ; …`; a tax inside the prices is in parentheses, and
/// a total with something left to settle has a question mark.
pub fn quote(quote: &Quote, settling: bool, told: &[String]) -> String {
    let tells = |what: &str| told.iter().any(|t| t == what);
    let tax = if quote.tax_included { format!("({})", plain(quote.tax)) } else { plain(quote.tax) };
    let open = if settling && !quote.settled { "?" } else { "" };
    let sums = [quote.subtotal, quote.discount, quote.shipping].map(plain).join(" ");
    let several = quote.lines.len() > 1;
    let applied = quote.adjustments.iter().map(|a| adjustment(a, several, tells("reasons")));
    let unavailable = quote.unavailable.iter().map(|line| format!("{} unavailable", name(line.edition.0)));
    let mut parts = vec![list(applied), list(unavailable.chain(quote.not_applied.iter().map(not_applied)))];
    if tells("uses") {
        parts.push(list(quote.uses.iter().map(used)));
    }
    if tells("lines") {
        parts.push(list(quote.lines.iter().map(|l| format!("{} {} at {}", l.quantity.get(), name(l.edition.0), plain(l.unit_price)))));
        parts.push(format!("{} copies", quote.item_count));
    }
    while parts.last().is_some_and(|part| part == "-") {
        parts.pop();
    }
    let parts: String = parts.iter().map(|part| format!(" ; {part}")).collect();
    format!("{sums} {tax} {}{open}{parts}", plain(quote.total))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "-".into() } else { items.join(", ") }
}

/// An amount without its currency.
fn plain(money: Money) -> String {
    money.to_string().split(' ').next().unwrap_or_default().to_owned()
}

fn adjustment(adjustment: &Adjustment, several: bool, reasons: bool) -> String {
    let shares: Vec<_> = adjustment.shares.iter().map(|(item, part)| format!("{} {}", name(item.0), plain(*part))).collect();
    let of = match (several, shares.is_empty(), adjustment.item) {
        (false, _, _) | (true, true, None) => String::new(),
        (true, true, Some(item)) => format!(" ({})", name(item.0)),
        (true, false, _) => format!(" ({})", shares.join(", ")),
    };
    let limited = match adjustment.limited {
        None => "",
        Some(Limited::Cap) => " capped",
        Some(Limited::Budget) => " from budget",
    };
    let reason = if reasons { format!(" [{}]", reason(&adjustment.reason)) } else { String::new() };
    format!("{} {}{of}{limited}{reason}", adjustment.code, plain(adjustment.amount))
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Sale { list } => format!("sale, list {}", plain(*list)),
        Reason::Percentage { rate, of } => format!("{} of {}", percent(*rate), plain(*of)),
        Reason::Fixed { of } => format!("fixed of {}", plain(*of)),
        Reason::Price { price, of } => format!("price {} for {}", plain(*price), plain(*of)),
        Reason::Each { off, copies, of } => format!("{} on {copies} worth {}", less(*off), plain(*of)),
        Reason::Tier { from, off, copies, of } => format!("from {from}: {} on {copies} worth {}", less(*off), plain(*of)),
        Reason::Spend { from, off, of } => format!("from {}: {} of {}", plain(*from), less(*off), plain(*of)),
        Reason::BuyGet { bought, gotten, rate, of } => format!("buy {bought}: {} on {gotten} worth {}", percent(*rate), plain(*of)),
        Reason::Bundle { sets, off, of } => format!("{sets} sets: {} on {}", less(*off), plain(*of)),
        Reason::Gift => "gift".into(),
        Reason::Shipping { off, of } => format!("shipping {} of {}", less(*off), plain(*of)),
        Reason::ShippingPrice => "price".into(),
        Reason::ShippingFree { from } => format!("free from {}", plain(*from)),
        Reason::NothingToShip => "digital".into(),
        Reason::Tax { rate, of, included } => {
            format!("{} {} {}", percent(*rate), if *included { "inside" } else { "of" }, plain(*of))
        }
        Reason::Assessed { rate, of, included } => {
            let rate = rate.map_or("said".into(), percent);
            format!("{rate} {} {} by the provider", if *included { "inside" } else { "on" }, plain(*of))
        }
        Reason::Exempt { of } => format!("exempt on {}", plain(*of)),
    }
}

fn less(off: Off) -> String {
    match off {
        Off::Rate(rate) => format!("-{}", percent(rate)),
        Off::Amount(amount) => format!("-{}", plain(amount)),
        Off::Price(price) => format!("={}", plain(price)),
    }
}

/// Parts per million as a percentage without needless zeros.
fn percent(rate: Ppm) -> String {
    let part = format!("{}.{:04}", rate.0 / 10_000, rate.0 % 10_000);
    format!("{}%", part.trim_end_matches('0').trim_end_matches('.'))
}

fn not_applied(not: &NotApplied) -> String {
    let code = not.code.as_ref().map(ToString::to_string).or(not.promotion.as_ref().map(ToString::to_string));
    format!("{} {}", code.unwrap_or_default(), why(&not.why))
}

fn why(why: &WhyNot) -> String {
    match why {
        WhyNot::Unknown => "unknown".into(),
        WhyNot::Inactive => "inactive".into(),
        WhyNot::NotYet { from } => format!("from {}", from.0),
        WhyNot::Ended { at } => format!("ended {}", at.0),
        WhyNot::OffHours => "off hours".into(),
        WhyNot::Exhausted => "used up".into(),
        WhyNot::UsedByShopper => "used before".into(),
        WhyNot::BelowMinimum { minimum, .. } => format!("below {}", plain(*minimum)),
        WhyNot::BelowCopies { least, have } => format!("{have} of {least} copies"),
        WhyNot::OtherCurrency => "other currency".into(),
        WhyNot::NothingMatches => "nothing matches".into(),
        WhyNot::NothingLeft => "nothing left".into(),
        WhyNot::NotInSegment => "other segment".into(),
        WhyNot::NotFirstOrder => "not first order".into(),
        WhyNot::NotBirthday => "no birthday".into(),
        WhyNot::NeedsCustomer => "who?".into(),
        WhyNot::ConditionUnmet => "unmet".into(),
        WhyNot::ConditionFailed => "failed".into(),
        WhyNot::BetterInGroup { by } => format!("beaten by {by}"),
        WhyNot::Excluded { by } => format!("excluded by {by}"),
        WhyNot::StackFull { max } => format!("stack of {max}"),
        WhyNot::GivenTwice => "given twice".into(),
        WhyNot::OutOfStock => "out of stock".into(),
        WhyNot::NoShipping => "no shipping".into(),
    }
}

/// `TEN 1/10`, `by TEN 1/1`, `spent TEN 500/10000` (minor units), `code A1 1/1`, `orders 1`; without a limit only the count.
fn used(used: &Use) -> String {
    let what = match &used.counter {
        Counter::Uses(id) => id.to_string(),
        Counter::UsesBy(id, _) => format!("by {id}"),
        Counter::Spent(id) => format!("spent {id}"),
        Counter::Code(code) => format!("code {code}"),
        Counter::Orders(_) => "orders".into(),
    };
    let limit = used.limit.map(|limit| format!("/{limit}")).unwrap_or_default();
    format!("{what} {}{limit}", used.by)
}
