//! A scenario and its quote as JSON, for the oracle.

use super::generate::Scenario;
use domain::catalog::Offer;
use domain::ids::ItemId;
use domain::money::Money;
use domain::pricing::*;
use domain::time::MonthDay;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The name of a case of an enum: `not_yet` for `NotYet { from: … }`.
pub fn name(case: &impl Debug) -> String {
    let debug = format!("{case:?}");
    let mut name = String::new();
    for c in debug.chars().take_while(|c| c.is_ascii_alphanumeric()) {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

pub fn input(scenario: &Scenario) -> Value {
    let Scenario { lines, codes, offers, rules, context, now } = scenario;
    let shopper = &context.shopper;
    json!({
        "now": now.0,
        "currency": context.currency.code(),
        "lines": lines.iter().map(|l| json!({"edition": number(l.edition.0), "quantity": l.quantity.get()})).collect::<Value>(),
        "codes": codes.iter().map(given).collect::<Value>(),
        "offers": offers.iter().map(|(id, o)| (id.0.to_string(), offer(o))).collect::<Map<_, _>>(),
        "promotions": rules.promotions().iter().map(promotion).collect::<Value>(),
        "taxes": rules.taxes().iter().map(tax).collect::<Value>(),
        "shipping": rules.shipping().iter().map(shipping).collect::<Value>(),
        "rates": rules.rates().iter().map(rate).collect::<Value>(),
        "stack_max": rules.stack_max(),
        "destination": context.destination.as_ref().map(destination),
        "chosen": context.shipping.as_ref().map(|id| id.as_str()),
        "shopper": {
            "who": shopper.who.map(|who| who.to_string()),
            "orders": shopper.orders,
            "segments": shopper.segments.iter().map(|s| s.as_str()).collect::<Value>(),
            "birthday": shopper.birthday.map(day),
            "tax_exempt": shopper.tax_exempt,
        },
        "local": {"weekday": context.local.weekday, "minute": context.local.minute, "date": day(context.local.date)},
        "usage": context.usage.0.iter().map(|(counter, n)| (counter.to_string(), json!(n))).collect::<Map<_, _>>(),
    })
}

/// Ids of these scenarios are small.
fn number(bits: u128) -> u64 {
    bits.try_into().expect("a small id")
}

fn money(amount: Money) -> Value {
    json!({"minor": amount.minor(), "currency": amount.currency().code()})
}

fn day(day: MonthDay) -> [u8; 2] {
    [day.month(), day.day()]
}

fn given(given: &Given) -> Value {
    json!({"code": given.code.as_str(), "promotion": given.promotion.as_ref().map(|p| p.as_str()), "uses_max": given.uses_max})
}

fn offer(offer: &Offer) -> Value {
    json!({
        "book": number(offer.book.0),
        "format": offer.format.as_str(),
        "list": money(offer.list_price),
        "unit": money(offer.unit_price),
        "available": offer.available,
        "weight_g": offer.weight_g,
        "headings": offer.headings.iter().map(|h| selector(&Selector::Heading(*h))).collect::<Value>(),
    })
}

fn promotion(p: &Promotion) -> Value {
    json!({
        "id": p.id.as_str(),
        "active": p.active,
        "automatic": p.trigger == Trigger::Automatic,
        "benefit": benefit(&p.benefit),
        "needs": needs(&p.needs),
        "window": window(p.window),
        "hours": p.hours.iter().map(|h| json!([h.weekday, h.from_minute, h.to_minute])).collect::<Value>(),
        "priority": p.priority,
        "stacking": match &p.stacking {
            Stacking::Combine | Stacking::Exclusive => json!(name(&p.stacking)),
            Stacking::BestOf(group) => json!({"best_of": group.as_str()}),
        },
        "cap": p.cap.map(money),
        "budget": {"uses": p.budget.uses, "uses_each": p.budget.uses_each, "amount": p.budget.amount.map(money)},
    })
}

fn off(off: Off) -> Value {
    match off {
        Off::Rate(rate) => json!({"rate": rate.0}),
        Off::Amount(amount) => json!({"amount": money(amount)}),
        Off::Price(price) => json!({"price": money(price)}),
    }
}

fn benefit(benefit: &Benefit) -> Value {
    let mut facts = match benefit {
        Benefit::Each { of, off: o } | Benefit::Goods { of, off: o } => json!({"of": target(of), "off": off(*o)}),
        Benefit::Tiers { of, tiers: steps } => json!({"of": target(of), "tiers": tiers(steps, |n| json!(n))}),
        Benefit::BuyGet { buy, buy_count, get, get_count, off, times_max } => json!({
            "buy": target(buy), "buy_count": buy_count, "get": target(get), "get_count": get_count, "off": off.0, "times_max": times_max,
        }),
        Benefit::Bundle { parts, off: o, times_max } => {
            json!({"parts": parts.iter().map(part).collect::<Value>(), "off": off(*o), "times_max": times_max})
        }
        Benefit::Gift { edition } => json!({"edition": number(edition.0)}),
        Benefit::Spend { tiers: steps } => json!({"tiers": tiers(steps, |from| money(*from))}),
        Benefit::Shipping { off: o } => json!({"off": off(*o)}),
    };
    facts["kind"] = json!(name(benefit));
    facts
}

fn tiers<T>(tiers: &[Tier<T>], from: impl Fn(&T) -> Value) -> Value {
    tiers.iter().map(|t| json!({"from": from(&t.from), "off": off(t.off)})).collect()
}

fn part(part: &Part) -> Value {
    json!({"of": target(&part.of), "count": part.count})
}

fn target(target: &Target) -> Value {
    let names = |selectors: &[Selector]| selectors.iter().map(selector).collect::<Value>();
    json!({"any": names(&target.any), "except": names(&target.except), "full_price_only": target.full_price_only})
}

fn selector(selector: &Selector) -> String {
    match selector {
        Selector::Edition(id) => format!("edition/{}", id.0),
        Selector::Book(id) => format!("book/{}", id.0),
        Selector::Heading(id) => id.to_string(),
        Selector::Format(format) => format!("format/{}", format.as_str()),
    }
}

fn needs(needs: &Needs) -> Value {
    json!({
        "minimum": needs.minimum.map(|m| json!({"amount": money(m.amount), "basis": name(&m.basis)})),
        "copies": needs.copies.as_ref().map(part),
        "segments": needs.segments.iter().map(|s| s.as_str()).collect::<Value>(),
        "first_order": needs.first_order,
        "birthday_within_days": needs.birthday_within_days,
        "expression": needs.expression.as_ref().map(|e| e.as_str()),
    })
}

fn window(window: Window) -> [Option<i64>; 2] {
    [window.from.map(|t| t.0), window.to.map(|t| t.0)]
}

fn place(place: &Place) -> Value {
    json!({
        "country": place.country.as_str(),
        "region": place.region.as_ref().map(|r| r.as_str()),
        "city": place.city.as_ref().map(|c| c.as_str()),
        "postal": place.postal.as_ref().map(|p| [p.from(), p.to()]),
    })
}

fn destination(to: &Destination) -> Value {
    json!({
        "country": to.country.as_str(),
        "region": to.region.as_ref().map(|r| r.as_str()),
        "city": to.city.as_ref().map(|c| c.as_str()),
        "postal_code": to.postal_code.as_ref().map(|p| p.as_str()),
    })
}

fn tax(rate: &TaxRate) -> Value {
    json!({
        "tax": rate.tax.as_str(),
        "place": place(&rate.place),
        "rate": rate.rate.0,
        "formats": rate.formats.iter().map(|f| f.as_str()).collect::<Value>(),
        "included": rate.included,
        "shipping_taxed": rate.shipping_taxed,
        "rounding": name(&rate.rounding),
        "level": name(&rate.level),
        "window": window(rate.window),
    })
}

fn shipping(option: &ShippingOption) -> Value {
    let scale = match &option.scale {
        Scale::Flat(price) => json!({"flat": money(*price)}),
        Scale::Weight(steps) => {
            json!({"weight": steps.iter().map(|s| json!({"from": s.from, "price": money(s.price)})).collect::<Value>()})
        }
        Scale::Amount(steps) => {
            json!({"amount": steps.iter().map(|s| json!({"from": money(s.from), "price": money(s.price)})).collect::<Value>()})
        }
    };
    json!({
        "id": option.id.as_str(),
        "active": option.active,
        "zones": option.zones.iter().map(place).collect::<Value>(),
        "scale": scale,
        "free_from": option.free_from.map(money),
        "per_parcel": option.per_parcel,
    })
}

fn rate(rate: &ExchangeRate) -> Value {
    json!({"from": rate.from.code(), "to": rate.to.code(), "billionths": rate.rate.0, "since": rate.since.0})
}

/// The parts of a quote the oracle compares, amounts in minor units.
pub fn output(quote: &Quote) -> Value {
    json!({
        "lines": quote.lines.iter().map(line).collect::<Value>(),
        "unavailable": quote.unavailable.iter().map(|l| number(l.edition.0)).collect::<Value>(),
        "subtotal": quote.subtotal.minor(),
        "discount": quote.discount.minor(),
        "shipping": quote.shipping.minor(),
        "tax": quote.tax.minor(),
        "total": quote.total.minor(),
        "item_count": quote.item_count,
        "tax_included": quote.tax_included,
        "settled": quote.settled,
        "shipping_option": quote.shipping_option.as_ref().map(|id| id.as_str()),
        "adjustments": quote.adjustments.iter().map(adjustment).collect::<Value>(),
        "not_applied": quote.not_applied.iter().map(not_applied).collect::<Value>(),
        "uses": quote.uses.iter().map(|u| json!([u.counter.to_string(), u.by, u.limit])).collect::<Value>(),
    })
}

fn line(l: &QuotedLine) -> Value {
    json!([number(l.edition.0), l.quantity.get(), l.gift, l.total.minor(), l.discount.minor(), l.tax.minor()])
}

fn adjustment(a: &Adjustment) -> Value {
    let whole = a.item.map(|item| (item, a.amount)).filter(|_| a.shares.is_empty());
    let shares = a.shares.iter().copied().chain(whole).filter(|(_, part)| !part.is_zero());
    json!({
        "kind": name(&a.kind),
        "code": a.code,
        "amount": a.amount.minor(),
        "shares": summed(shares),
        "reason": reason(a),
    })
}

/// By item; an item may have its part in several lines or taxes.
fn summed(shares: impl Iterator<Item = (ItemId, Money)>) -> Value {
    let mut sums = BTreeMap::new();
    for (item, part) in shares {
        *sums.entry(item.0.to_string()).or_insert(0) += part.minor();
    }
    json!(sums)
}

fn reason(a: &Adjustment) -> Value {
    let mut facts = match &a.reason {
        Reason::Percentage { of, .. } | Reason::Fixed { of } | Reason::Price { of, .. } | Reason::Exempt { of } => {
            json!({"of": of.minor()})
        }
        Reason::Each { copies, of, .. } => json!({"copies": copies, "of": of.minor()}),
        Reason::Tier { from, copies, of, .. } => json!({"from": from, "copies": copies, "of": of.minor()}),
        Reason::Spend { from, of, .. } => json!({"from": from.minor(), "of": of.minor()}),
        Reason::BuyGet { bought, gotten, of, .. } => json!({"bought": bought, "gotten": gotten, "of": of.minor()}),
        Reason::Bundle { sets, of, .. } => json!({"sets": sets, "of": of.minor()}),
        Reason::Shipping { of, .. } | Reason::Tax { of, .. } | Reason::Assessed { of, .. } => json!({"of": of.minor()}),
        Reason::Sale { .. } | Reason::Gift | Reason::ShippingPrice | Reason::ShippingFree { .. } | Reason::NothingToShip => json!({}),
    };
    facts["kind"] = json!(name(&a.reason));
    if a.promotion.is_some() {
        facts["limited"] = json!(a.limited.as_ref().map(name));
    }
    facts
}

fn not_applied(n: &NotApplied) -> Value {
    let why = match &n.why {
        WhyNot::BetterInGroup { by } | WhyNot::Excluded { by } => format!("{} by {by}", name(&n.why)),
        why => name(why),
    };
    json!([n.code.as_ref().map(|c| c.as_str()), n.promotion.as_ref().map(|p| p.as_str()), why])
}
