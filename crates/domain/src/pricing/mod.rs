//! The one place where totals are computed. [`quote`] is pure: the same lines, offers, rules, context and
//! instant give the same quote, to the minor unit, on a cart page, in a checkout, in an order and in a test.
//!
//! Order of computation: offer price → item promotions → cart promotions → codes in the order they were given → gifts
//! → shipping and its promotions → tax on the discounted amounts. Each promotion works on what the ones before it left;
//! what it takes off is allocated to lines by largest remainder, so the lines always add up to the totals.

mod apply;
mod assessed;
mod audit;
mod bar;
mod benefit;
mod book;
mod check;
mod condition;
mod index;
mod place;
mod promotion;
mod reason;
mod rules;
mod shipping;
mod tax;
#[cfg(test)]
mod tests;
mod usage;

pub use assessed::{Assessed, Assessment, Due, LastRates, Taxable, TaxableLine, Unbelievable};
pub use audit::{Audited, Batch, Deed, Issued, PriceLine, Why};
pub use book::{Kept, Pricebook, Rule, RuleId, RuleKey, RuleKind};
pub use check::{Fault, RuleFault};
pub use condition::{Conditions, Evaluator, Facts};
pub use place::{Destination, Place, PostalRange};
pub use promotion::{Basis, Benefit, Budget, Hours, Minimum, Needs, Off, Part, Promotion, Selector, Stacking, Step, Target, Tier, Trigger};
pub use reason::{Adjustment, AdjustmentKind, Limited, NotApplied, Reason, WhyNot};
pub use rules::{ExchangeRate, Rules, Window};
pub use shipping::{Parcel, Parcels, Scale, ShippingOption, Step as ShippingStep};
pub use tax::{Level, TaxRate};
pub use usage::{Counter, Usage, Use, Who};

use crate::catalog::{Format, HeadingId, Offer, Offers};
use crate::ids::{BookId, CouponCode, EditionId, ItemId, PromotionId, Segment, ShippingOptionId, Sku};
use crate::limits::{NAME_MAX, TITLE_MAX, URL_MAX};
use crate::money::{Currency, Money, MoneyError};
use crate::planted;
use crate::quantity::Quantity;
use crate::text::Text;
use crate::time::{Local, MonthDay, Timestamp};
use apply::Promoting;
use std::sync::Arc;

/// What is asked for: so many of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub edition: EditionId,
    pub quantity: Quantity,
}

/// A coupon code on a cart, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub code: CouponCode,
    /// The promotion it is for; `None` when nobody issued it.
    pub promotion: Option<PromotionId>,
    /// How many orders may use this very code.
    pub uses_max: Option<u32>,
}

/// What a price depends on besides the goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub currency: Currency,
    pub destination: Option<Destination>,
    /// The chosen way of shipping; the cheapest one that goes there when left out.
    pub shipping: Option<ShippingOptionId>,
    pub shopper: Shopper,
    /// The same instant by the shop's clock.
    pub local: Local,
    /// How much of limited promotions is used, as of the same instant.
    pub usage: Usage,
    pub evaluator: Evaluator,
    /// What somebody else says is due, in place of the table. Who is exempt is relieved by the table either way.
    pub assessed: Option<Assessed>,
}

impl Context {
    /// A cart before anything is known about its destination and its owner.
    pub fn cart(currency: Currency) -> Self {
        Self {
            currency,
            destination: None,
            shipping: None,
            shopper: Shopper::default(),
            local: Local::default(),
            usage: Usage::default(),
            evaluator: Evaluator::default(),
            assessed: None,
        }
    }
}

/// Who buys, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shopper {
    pub who: Option<Who>,
    /// Orders placed before; `None` while nobody knows who this is.
    pub orders: Option<u64>,
    pub segments: Vec<Segment>,
    pub birthday: Option<MonthDay>,
    pub tax_exempt: bool,
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
    /// Whether `tax` is an estimate, because whoever knows could not say.
    pub tax_estimated: bool,
    /// Whether nothing more is needed to know the total: destination and shipping are settled.
    pub settled: bool,
    pub shipping_option: Option<ShippingOptionId>,
    /// In the order they were computed.
    pub adjustments: Vec<Adjustment>,
    pub not_applied: Vec<NotApplied>,
    /// What an order with this quote counts as: uses of limited promotions, and one more order of its shopper.
    pub uses: Vec<Use>,
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
    /// Of one copy.
    pub weight_g: u32,
    /// Added by a promotion.
    pub gift: bool,
    /// The offer's unit price in its own currency, when it was converted.
    pub converted_from: Option<Money>,
}

impl QuotedLine {
    fn of(offer: Offer, quantity: Quantity) -> Result<Self, MoneyError> {
        let zero = Money::zero(offer.unit_price.currency());
        Ok(Self {
            item: offer.edition.into(),
            edition: offer.edition,
            book: offer.book,
            sku: offer.sku,
            title: offer.title,
            image_url: offer.image_url,
            format: offer.format,
            quantity,
            list_price: offer.list_price,
            unit_price: offer.unit_price,
            total: offer.unit_price.times(quantity.get())?,
            discount: zero,
            tax: zero,
            available: offer.available,
            weight_g: offer.weight_g,
            gift: false,
            converted_from: None,
        })
    }
}

/// Prices `lines`. Fails only when a sum leaves the range of exact integers.
pub fn quote(
    lines: &[Line],
    codes: &[Given],
    offers: &dyn Offers,
    rules: &Rules,
    context: &Context,
    now: Timestamp,
) -> Result<Quote, MoneyError> {
    let (mut quote, headings) = goods(&by_edition(lines), offers, rules, context.currency, now)?;
    let mut promoting = Promoting::new(&mut quote, &headings, codes, offers, rules, context, now);
    promoting.goods()?;
    if let Some(destination) = &context.destination {
        let options = rules.shipping_to(destination, context.currency);
        promoting.ship(&options, context.shipping.as_ref())?;
    }
    promoting.shipping()?;
    promoting.finish();
    if let Some(destination) = &context.destination {
        match &context.assessed {
            Some(assessed) if !context.shopper.tax_exempt => assessed.charge(&mut quote)?,
            Some(_) | None => tax::tax(&mut quote, rules.taxes(), destination, context.shopper.tax_exempt, now)?,
        }
    }
    if let Some(who) = context.shopper.who {
        quote.uses.push(Use { counter: Counter::Orders(who), by: 1, limit: None });
    }
    let tax_on_top = if quote.tax_included { Money::zero(context.currency) } else { quote.tax };
    let shipping = if planted("shipping-forgotten") { Money::zero(context.currency) } else { quote.shipping };
    quote.total = quote.subtotal.minus(quote.discount)?.plus(shipping)?.plus(tax_on_top)?;
    quote.put_in_order_of(lines);
    Ok(quote)
}

/// Lines are priced by edition, whatever their order in the cart: who gets a spare cent must not depend on it.
fn by_edition(lines: &[Line]) -> Vec<Line> {
    let mut lines = lines.to_vec();
    lines.sort_by_key(|line| line.edition);
    lines
}

type Headings = Vec<Arc<[HeadingId]>>;

/// The goods at their offers' prices, and what each line's book is under.
fn goods(lines: &[Line], offers: &dyn Offers, rules: &Rules, currency: Currency, now: Timestamp) -> Result<(Quote, Headings), MoneyError> {
    let mut quote = Quote::empty(currency, lines.len());
    let mut headings = Vec::with_capacity(lines.len());
    for line in lines {
        let Some(offer) = offers.offer(line.edition) else {
            quote.unavailable.push(*line);
            continue;
        };
        let of = offer.headings.clone();
        let Some(priced) = priced(offer, line.quantity, rules, currency, now)? else {
            quote.unavailable.push(*line);
            continue;
        };
        let list = priced.list_price.times(line.quantity.get())?;
        if priced.total != list {
            let amount = priced.total.minus(list)?;
            let sale = Adjustment::new(AdjustmentKind::Sale, "SALE".into(), label("Sale price"), amount, Reason::Sale { list });
            quote.adjustments.push(Adjustment { item: Some(priced.item), ..sale });
        }
        quote.subtotal = quote.subtotal.plus(priced.total)?;
        quote.item_count += u64::from(line.quantity.get());
        quote.lines.push(priced);
        headings.push(of);
    }
    Ok((quote, headings))
}

/// A line at its offer's price, converted when the offer is in another currency and there is a rate.
fn priced(offer: Offer, quantity: Quantity, rules: &Rules, to: Currency, now: Timestamp) -> Result<Option<QuotedLine>, MoneyError> {
    let from = offer.unit_price.currency();
    if from == to {
        return QuotedLine::of(offer, quantity).map(Some);
    }
    let Some(rate) = rules.rate(from, to, now) else { return Ok(None) };
    let (list_price, unit_price) = (rate.convert(offer.list_price)?, rate.convert(offer.unit_price)?);
    let converted_from = Some(offer.unit_price);
    let line = QuotedLine::of(Offer { list_price, unit_price, ..offer }, quantity)?;
    Ok(Some(QuotedLine { converted_from, ..line }))
}

impl Quote {
    /// Lines as they were asked for, then gifts.
    fn put_in_order_of(&mut self, lines: &[Line]) {
        if lines.is_sorted_by_key(|line| line.edition) {
            return;
        }
        let mut places: Vec<_> = lines.iter().enumerate().map(|(n, line)| (line.edition, n)).collect();
        places.sort_unstable();
        let place = |edition| places.binary_search_by_key(&edition, |(edition, _)| *edition).map_or(usize::MAX, |at| places[at].1);
        self.lines.sort_by_cached_key(|line| place(line.edition));
        self.unavailable.sort_by_cached_key(|line| place(line.edition));
    }

    fn empty(currency: Currency, lines: usize) -> Self {
        let zero = Money::zero(currency);
        Self {
            currency,
            lines: Vec::with_capacity(lines),
            unavailable: Vec::new(),
            subtotal: zero,
            discount: zero,
            shipping: zero,
            tax: zero,
            total: zero,
            item_count: 0,
            tax_included: false,
            tax_estimated: false,
            settled: false,
            shipping_option: None,
            adjustments: Vec::new(),
            not_applied: Vec::new(),
            uses: Vec::new(),
        }
    }
}

fn label(text: &str) -> Text<NAME_MAX> {
    Text::parse(text).expect("invariant: a short literal")
}
