//! The one place where totals are computed. [`quote`] is pure: the same lines, offers, rules, context and
//! instant give the same quote, to the minor unit, on a cart page, in a checkout, in an order and in a test.
//!
//! Order of computation: offer price → coupons in the order they were given, each on what the earlier ones
//! left → shipping → tax on the discounted amounts. Discounts are allocated to lines by largest remainder,
//! so the lines always add up to the totals.

mod rules;
#[cfg(test)]
mod tests;

pub use rules::{Coupon, CouponKind, Rules, ShippingOption, TaxRate, Window};

use crate::catalog::{Format, Offers};
use crate::ids::{BookId, CouponCode, EditionId, ItemId, ShippingOptionId, Sku};
use crate::limits::{NAME_MAX, TITLE_MAX, URL_MAX};
use crate::money::{Currency, Money, MoneyError, Ppm, Rounding};
use crate::person::{Address, Country, Region};
use crate::planted;
use crate::quantity::Quantity;
use crate::text::Text;
use crate::time::Timestamp;

/// What is asked for: so many of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub edition: EditionId,
    pub quantity: Quantity,
}

/// Where the goods go: what tax and shipping depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub country: Country,
    pub region: Option<Region>,
}

impl From<&Address> for Destination {
    fn from(address: &Address) -> Self {
        Self { country: address.country, region: address.region.clone() }
    }
}

/// What a price depends on besides the goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub currency: Currency,
    pub destination: Option<Destination>,
    /// The chosen way of shipping; the cheapest one that goes there when left out.
    pub shipping: Option<ShippingOptionId>,
    /// Limited coupons whose uses are gone, as of the same instant.
    pub exhausted: Vec<CouponCode>,
}

impl Context {
    /// A cart before anything is known about its destination.
    pub fn cart(currency: Currency) -> Self {
        Self { currency, destination: None, shipping: None, exhausted: Vec::new() }
    }
}

/// A priced cart: every amount with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub currency: Currency,
    pub lines: Vec<QuotedLine>,
    /// Lines that have no offer in this currency; they are not part of the totals.
    pub unavailable: Vec<Line>,
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
    pub item_count: u64,
    /// Whether `tax` is already inside the prices (it is then not added to the total).
    pub tax_included: bool,
    /// Whether nothing more is needed to know the total: destination and shipping are settled.
    pub settled: bool,
    pub shipping_option: Option<ShippingOptionId>,
    pub adjustments: Vec<Adjustment>,
    pub not_applied: Vec<NotApplied>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedLine {
    pub item: ItemId,
    pub edition: EditionId,
    pub book: BookId,
    pub sku: Sku,
    pub title: Text<TITLE_MAX>,
    pub image_url: Option<Text<URL_MAX>>,
    pub format: Format,
    pub quantity: Quantity,
    pub list_price: Money,
    pub unit_price: Money,
    /// `unit_price × quantity`, before discounts.
    pub total: Money,
    /// This line's part of the discount: `0 ≤ discount ≤ total`.
    pub discount: Money,
    pub tax: Money,
    pub available: u32,
}

/// A change to the sum, with its reason. Negative amounts are in the shopper's favor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub kind: AdjustmentKind,
    pub code: String,
    pub label: Text<NAME_MAX>,
    pub amount: Money,
    pub item: Option<ItemId>,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    Promotion,
    Coupon,
    Shipping,
    Tax,
}

/// Why an amount is what it is: facts, from which an edge makes a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The edition is on sale: so much less than the list price, already in the line's total.
    Sale {
        list: Money,
    },
    /// A percentage of `of`.
    Percentage {
        rate: Ppm,
        of: Money,
    },
    /// A fixed amount, at most `of`.
    Fixed {
        of: Money,
    },
    /// The option's price.
    ShippingPrice,
    /// Free because the goods reached the threshold.
    ShippingFree {
        from: Money,
    },
    /// Nothing in the cart has to be shipped.
    NothingToShip,
    Tax {
        rate: Ppm,
        of: Money,
        included: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied {
    pub code: CouponCode,
    pub why: WhyNot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    Unknown,
    NotYet {
        from: Timestamp,
    },
    Ended {
        at: Timestamp,
    },
    Exhausted,
    BelowMinimum {
        minimum: Money,
    },
    OtherCurrency,
    /// Earlier discounts left nothing to take off.
    NothingLeft,
}

/// Prices `lines`. Fails only when a sum leaves the range of exact integers.
pub fn quote(
    lines: &[Line],
    codes: &[CouponCode],
    offers: &dyn Offers,
    rules: &Rules,
    context: &Context,
    now: Timestamp,
) -> Result<Quote, MoneyError> {
    let mut quote = goods(lines, offers, context.currency)?;
    discount(&mut quote, codes, rules, context, now)?;
    ship(&mut quote, rules, context)?;
    tax(&mut quote, rules, context)?;
    let tax_on_top = if quote.tax_included { Money::zero(context.currency) } else { quote.tax };
    let shipping = if planted("shipping-forgotten") { Money::zero(context.currency) } else { quote.shipping };
    quote.total = quote.subtotal.minus(quote.discount)?.plus(shipping)?.plus(tax_on_top)?;
    Ok(quote)
}

fn goods(lines: &[Line], offers: &dyn Offers, currency: Currency) -> Result<Quote, MoneyError> {
    let zero = Money::zero(currency);
    let mut quote = Quote {
        currency,
        lines: Vec::with_capacity(lines.len()),
        unavailable: Vec::new(),
        subtotal: zero,
        discount: zero,
        shipping: zero,
        tax: zero,
        total: zero,
        item_count: 0,
        tax_included: false,
        settled: false,
        shipping_option: None,
        adjustments: Vec::new(),
        not_applied: Vec::new(),
    };
    for line in lines {
        let Some(offer) = offers.offer(line.edition).filter(|o| o.unit_price.currency() == currency) else {
            quote.unavailable.push(*line);
            continue;
        };
        let total = offer.unit_price.times(line.quantity.get())?;
        let list = offer.list_price.times(line.quantity.get())?;
        if total != list {
            quote.adjustments.push(Adjustment {
                kind: AdjustmentKind::Promotion,
                code: "SALE".into(),
                label: label("Sale price"),
                amount: total.minus(list)?,
                item: Some(offer.edition.into()),
                reason: Reason::Sale { list },
            });
        }
        quote.subtotal = quote.subtotal.plus(total)?;
        quote.item_count += u64::from(line.quantity.get());
        quote.lines.push(QuotedLine {
            item: offer.edition.into(),
            edition: offer.edition,
            book: offer.book,
            sku: offer.sku,
            title: offer.title,
            image_url: offer.image_url,
            format: offer.format,
            quantity: line.quantity,
            list_price: offer.list_price,
            unit_price: offer.unit_price,
            total,
            discount: zero,
            tax: zero,
            available: offer.available,
        });
    }
    Ok(quote)
}

fn discount(quote: &mut Quote, codes: &[CouponCode], rules: &Rules, context: &Context, now: Timestamp) -> Result<(), MoneyError> {
    for code in codes {
        match coupon(quote, code, rules, context, now)? {
            Ok((label, amount, reason)) => {
                quote.discount = quote.discount.plus(amount)?;
                quote.adjustments.push(Adjustment {
                    kind: AdjustmentKind::Coupon,
                    code: code.to_string(),
                    label,
                    amount: Money::zero(context.currency).minus(amount)?,
                    item: None,
                    reason,
                });
            }
            Err(why) => quote.not_applied.push(NotApplied { code: code.clone(), why }),
        }
    }
    let weights: Vec<u64> = quote.lines.iter().map(|l| l.total.minor().unsigned_abs()).collect();
    for (line, part) in quote.lines.iter_mut().zip(quote.discount.allocate(&weights)) {
        line.discount = part;
    }
    Ok(())
}

type Taken = Result<(Text<NAME_MAX>, Money, Reason), WhyNot>;

fn coupon(quote: &Quote, code: &CouponCode, rules: &Rules, context: &Context, now: Timestamp) -> Result<Taken, MoneyError> {
    let Some(coupon) = rules.coupon(code) else { return Ok(Err(WhyNot::Unknown)) };
    if let Some(why) = coupon.window.closed(now) {
        return Ok(Err(why));
    }
    if context.exhausted.contains(code) {
        return Ok(Err(WhyNot::Exhausted));
    }
    let left = quote.subtotal.minus(quote.discount)?;
    if let Some(minimum) = coupon.min_subtotal {
        if minimum.currency() != context.currency {
            return Ok(Err(WhyNot::OtherCurrency));
        }
        if quote.subtotal.minor() < minimum.minor() {
            return Ok(Err(WhyNot::BelowMinimum { minimum }));
        }
    }
    let (amount, reason) = match coupon.kind {
        CouponKind::Percentage(rate) => (left.share(rate, Rounding::HalfEven)?.min(left)?, Reason::Percentage { rate, of: left }),
        CouponKind::Fixed(amount) if amount.currency() != context.currency => return Ok(Err(WhyNot::OtherCurrency)),
        CouponKind::Fixed(amount) => (amount.min(left)?, Reason::Fixed { of: left }),
    };
    Ok(if amount.is_zero() { Err(WhyNot::NothingLeft) } else { Ok((coupon.label.clone(), amount, reason)) })
}

fn ship(quote: &mut Quote, rules: &Rules, context: &Context) -> Result<(), MoneyError> {
    let Some(destination) = &context.destination else { return Ok(()) };
    if !quote.lines.iter().any(|l| l.format.ships()) {
        quote.settled = true;
        if !quote.lines.is_empty() {
            quote.adjustments.push(shipping_adjustment("DIGITAL", label("No shipping"), quote.shipping, Reason::NothingToShip));
        }
        return Ok(());
    }
    let goods = quote.subtotal.minus(quote.discount)?;
    let options = rules.shipping_to(destination, context.currency);
    let chosen = match &context.shipping {
        Some(id) => options.iter().find(|o| o.id == *id),
        None => options.iter().min_by_key(|o| o.price_for(goods).minor()),
    };
    let Some(option) = chosen else { return Ok(()) };
    quote.shipping = option.price_for(goods);
    quote.shipping_option = Some(option.id.clone());
    quote.settled = true;
    let reason = match option.free_from {
        Some(from) if quote.shipping.is_zero() && !option.price.is_zero() => Reason::ShippingFree { from },
        _ => Reason::ShippingPrice,
    };
    quote.adjustments.push(shipping_adjustment(option.id.as_str(), option.label.clone(), quote.shipping, reason));
    Ok(())
}

fn shipping_adjustment(code: &str, label: Text<NAME_MAX>, amount: Money, reason: Reason) -> Adjustment {
    Adjustment { kind: AdjustmentKind::Shipping, code: code.into(), label, amount, item: None, reason }
}

fn tax(quote: &mut Quote, rules: &Rules, context: &Context) -> Result<(), MoneyError> {
    let Some(rate) = context.destination.as_ref().and_then(|d| rules.tax(d)) else { return Ok(()) };
    quote.tax_included = rate.included;
    let part =
        |amount: Money| if rate.included { amount.included(rate.rate, rate.rounding) } else { amount.share(rate.rate, rate.rounding) };
    let mut of = Money::zero(context.currency);
    for line in &mut quote.lines {
        let taxable = line.total.minus(line.discount)?;
        line.tax = part(taxable)?;
        of = of.plus(taxable)?;
        quote.tax = quote.tax.plus(line.tax)?;
    }
    if rate.shipping_taxed {
        quote.tax = quote.tax.plus(part(quote.shipping)?)?;
        of = of.plus(quote.shipping)?;
    }
    if !of.is_zero() {
        quote.adjustments.push(Adjustment {
            kind: AdjustmentKind::Tax,
            code: rate.code(),
            label: rate.label.clone(),
            amount: quote.tax,
            item: None,
            reason: Reason::Tax { rate: rate.rate, of, included: rate.included },
        });
    }
    Ok(())
}

fn label(text: &str) -> Text<NAME_MAX> {
    Text::parse(text).expect("invariant: a short literal")
}
