//! Shops, rules and carts made at random. Names and ids are few and amounts are small, so that rules meet carts and each other often.

use crate::told::{BROKEN, HOLDS, NOT, evaluator};
use domain::catalog::{Format, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, Sku, TaxName};
use domain::money::{Currency, Money, MoneyError, Nano, Ppm, Rounding};
use domain::person::Country;
use domain::pricing::*;
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::{Local, MonthDay, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeMap;

/// Everything a quote depends on.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub lines: Vec<Line>,
    pub codes: Vec<Given>,
    pub offers: BTreeMap<EditionId, Offer>,
    pub promotions: Vec<Promotion>,
    pub taxes: Vec<TaxRate>,
    pub options: Vec<ShippingOption>,
    pub rates: Vec<ExchangeRate>,
    pub stack_max: Option<u32>,
    pub context: Context,
    pub now: Timestamp,
}

impl Scenario {
    pub fn rules(&self) -> Rules {
        let rules = Rules::new(self.promotions.clone(), self.taxes.clone(), self.options.clone());
        rules.with_rates(self.rates.clone()).with_stack_max(self.stack_max)
    }

    pub fn quote(&self) -> Result<Quote, MoneyError> {
        quote(&self.lines, &self.codes, &self.offers, &self.rules(), &self.context, self.now)
    }
}

const EDITIONS: u128 = 8;
const WHO: Who = Who([7; 16]);
/// Rules hold from, or until, ten before or after it.
const NOW: Timestamp = Timestamp(100);

/// A shop with up to `promotions` rules of every kind, and a cart in it.
pub fn scenarios(promotions: usize) -> impl Strategy<Value = Scenario> {
    let shop = (offers(), vec(promotion(), 0..=promotions), vec(tax(), 0..5), vec(option_to_ship(), 0..4), vec(rate(), 0..3));
    let asked = (lines(), vec((any::<prop::sample::Index>(), 0u32..8), 0..5), option::weighted(0.1, 0u32..4), context());
    (shop, asked).prop_map(|((offers, promotions, taxes, options, rates), (lines, picks, stack_max, (mut context, used)))| {
        let promotions: Vec<_> = promotions.into_iter().zip(1u32..).map(named).collect();
        let codes: Vec<_> = picks.into_iter().map(|(which, how)| given(&promotions, which, how)).collect();
        context.usage = usage(&promotions, &codes, &used);
        Scenario {
            lines,
            codes,
            offers,
            promotions,
            taxes,
            options: options.into_iter().zip(1u32..).map(option_named).collect(),
            rates,
            stack_max,
            context,
            now: NOW,
        }
    })
}

pub fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}

pub fn usd(minor: i64) -> Money {
    Money::new(minor, currency("USD")).expect("in range")
}

/// Amounts where rounding shows, round ones, and any.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0i64..12, 3 => (1i64..30).prop_map(|n| n * 50), 2 => (1i64..40).prop_map(|n| n * 50 - 1), 3 => 0i64..5000]
}

fn money() -> impl Strategy<Value = Money> {
    amount().prop_map(usd)
}

fn ppm() -> impl Strategy<Value = Ppm> {
    prop_oneof![select(vec![1_000_000, 500_000, 250_000, 100_000, 82_500, 333_333, 1]), 0u32..=1_000_000].prop_map(Ppm)
}

fn offers() -> impl Strategy<Value = BTreeMap<EditionId, Offer>> {
    // One edition in eight is not sold.
    btree_map((1..EDITIONS).prop_map(EditionId), offer(), 1..8)
        .prop_map(|shelf| shelf.into_iter().map(|(edition, offer)| (edition, Offer { edition, ..offer })).collect())
}

fn offer() -> impl Strategy<Value = Offer> {
    let prices = (amount(), option::weighted(0.3, amount()), prop_oneof![9 => Just("USD"), 1 => Just("EUR")]);
    let stock = prop_oneof![1 => Just(0u32), 2 => 1u32..4, 4 => Just(1000)];
    (prices, 1u128..4, subsequence(headings(), 0..4), format(), stock, 0u32..1500).prop_map(
        |((list, sale, code), book, headings, format, available, weight_g)| {
            let price = |minor| Money::new(minor, currency(code)).expect("in range");
            Offer {
                edition: EditionId(0),
                book: BookId(book),
                sku: Sku::parse("SKU").expect("a sku"),
                title: Text::parse("A book").expect("a title"),
                image_url: None,
                format,
                list_price: price(list),
                unit_price: price(sale.map_or(list, |sale| sale.min(list))),
                available,
                weight_g,
                headings: headings.into(),
            }
        },
    )
}

fn headings() -> Vec<HeadingId> {
    HeadingKind::ALL.into_iter().flat_map(|kind| [1, 2].map(|bits| HeadingId { kind, bits })).collect()
}

fn format() -> impl Strategy<Value = Format> {
    select(Format::ALL.to_vec())
}

/// Each edition once, in any order.
fn lines() -> impl Strategy<Value = Vec<Line>> {
    let copies = prop_oneof![6 => 1i64..5, 2 => 5i64..12, 1 => 900i64..=999];
    let quantity = copies.prop_map(|n| Quantity::new(n).expect("a quantity"));
    let lines = btree_map((1..=EDITIONS).prop_map(EditionId), quantity, 0..7);
    lines.prop_map(|lines| lines.into_iter().map(|(edition, quantity)| Line { edition, quantity }).collect::<Vec<_>>()).prop_shuffle()
}

fn selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        (1..EDITIONS).prop_map(|n| Selector::Edition(EditionId(n))),
        (1u128..4).prop_map(|n| Selector::Book(BookId(n))),
        select(headings()).prop_map(Selector::Heading),
        format().prop_map(Selector::Format),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let some = (vec(selector(), 0..3), vec(selector(), 0..2), prop::bool::weighted(0.1));
    let some = some.prop_map(|(any, except, full_price_only)| Target { any, except, full_price_only });
    prop_oneof![1 => Just(Target::default()), 2 => some]
}

fn off() -> impl Strategy<Value = Off> {
    prop_oneof![ppm().prop_map(Off::Rate), money().prop_map(Off::Amount), money().prop_map(Off::Price)]
}

fn part() -> impl Strategy<Value = Part> {
    (target(), 1u32..4).prop_map(|(of, count)| Part { of, count })
}

fn times() -> impl Strategy<Value = Option<u32>> {
    option::weighted(0.3, 1u32..4)
}

fn benefit() -> impl Strategy<Value = Benefit> {
    let count = || 1u32..4;
    let tiers = btree_map(1u32..9, off(), 1..4).prop_map(|tiers| tiers.into_iter().map(|(from, off)| Tier { from, off }).collect());
    let spend =
        btree_map(0i64..9000, off(), 1..4).prop_map(|tiers| tiers.into_iter().map(|(from, off)| Tier { from: usd(from), off }).collect());
    prop_oneof![
        2 => (target(), off()).prop_map(|(of, off)| Benefit::Each { of, off }),
        1 => (target(), tiers).prop_map(|(of, tiers)| Benefit::Tiers { of, tiers }),
        2 => (target(), count(), target(), count(), ppm(), times())
            .prop_map(|(buy, buy_count, get, get_count, off, times_max)| Benefit::BuyGet { buy, buy_count, get, get_count, off, times_max }),
        2 => (vec(part(), 1..4), off(), times()).prop_map(|(parts, off, times_max)| Benefit::Bundle { parts, off, times_max }),
        2 => (target(), off()).prop_map(|(of, off)| Benefit::Goods { of, off }),
        1 => spend.prop_map(|tiers| Benefit::Spend { tiers }),
        1 => (1..=EDITIONS).prop_map(|n| Benefit::Gift { edition: EditionId(n) }),
        1 => off().prop_map(|off| Benefit::Shipping { off }),
    ]
}

fn needs() -> impl Strategy<Value = Needs> {
    let minimum = (money(), select(vec![Basis::Subtotal, Basis::Discounted])).prop_map(|(amount, basis)| Minimum { amount, basis });
    let segments = subsequence(vec!["gold", "silver"], 1..2).prop_map(|names| names.into_iter().map(segment).collect());
    let who = (option::weighted(0.1, segments), prop::bool::weighted(0.05), option::weighted(0.05, 0u16..9));
    let holds = select(vec![HOLDS, NOT, BROKEN]);
    (option::weighted(0.3, minimum), option::weighted(0.15, part()), who, option::weighted(0.1, holds)).prop_map(
        |(minimum, copies, (segments, first_order, birthday_within_days), holds)| {
            let expression = holds.and_then(Text::parse);
            Needs { minimum, copies, segments: segments.unwrap_or_default(), first_order, birthday_within_days, expression }
        },
    )
}

fn segment(name: &str) -> Segment {
    Segment::parse(name).expect("a segment")
}

fn budget() -> impl Strategy<Value = Budget> {
    (option::weighted(0.15, 1u32..4), option::weighted(0.1, 1u32..3), option::weighted(0.2, (1i64..2000).prop_map(usd)))
        .prop_map(|(uses, uses_each, amount)| Budget { uses, uses_each, amount })
}

fn window() -> impl Strategy<Value = Window> {
    let edge = || option::weighted(0.05, select(vec![90, 100, 110]).prop_map(Timestamp));
    (edge(), edge()).prop_map(|(from, to)| Window { from, to })
}

fn hours() -> impl Strategy<Value = Vec<Hours>> {
    let hours = (1u8..8, 0u16..1440, 0u16..=1440).prop_map(|(weekday, from_minute, to_minute)| Hours { weekday, from_minute, to_minute });
    prop_oneof![9 => Just(Vec::new()), 1 => vec(hours, 1..9)]
}

/// One of every kind; its name is given later.
pub fn promotion() -> impl Strategy<Value = Promotion> {
    let group = select(vec!["g", "k"]).prop_map(|g| Stacking::BestOf(PromotionGroup::parse(g).expect("a group")));
    let stacking = prop_oneof![12 => Just(Stacking::Combine), 4 => group, 1 => Just(Stacking::Exclusive)];
    let trigger = prop_oneof![5 => Just(Trigger::Automatic), 3 => Just(Trigger::Codes(Vec::new()))];
    let when = (prop::bool::weighted(0.95), window(), hours());
    (trigger, benefit(), needs(), when, -2i32..3, stacking, option::weighted(0.15, money()), budget()).prop_map(
        |(trigger, benefit, needs, (active, window, hours), priority, stacking, cap, budget)| {
            let id = PromotionId::parse("later").expect("an id");
            let label = Text::parse("A promotion").expect("a label");
            let bare = Promotion::automatic(id, label, benefit);
            Promotion { active, trigger, needs, window, hours, priority, stacking, cap, budget, ..bare }
        },
    )
}

fn named((promotion, n): (Promotion, u32)) -> Promotion {
    let name = format!("P{n}");
    let trigger = match promotion.trigger {
        Trigger::Automatic => Trigger::Automatic,
        // Every other one is for issued codes only.
        Trigger::Codes(_) if n.is_multiple_of(2) => Trigger::Codes(Vec::new()),
        Trigger::Codes(_) => Trigger::Codes(vec![code(&name)]),
    };
    Promotion { id: PromotionId::parse(&name).expect("an id"), trigger, ..promotion }
}

fn code(name: &str) -> CouponCode {
    CouponCode::parse(name).expect("a code")
}

/// A code of one of the promotions, its own or an issued one, sometimes of one that is gone.
fn given(promotions: &[Promotion], which: prop::sample::Index, how: u32) -> Given {
    let unknown = || Given { code: code("NOPE"), promotion: None, uses_max: None };
    let coded: Vec<_> = promotions.iter().filter(|p| matches!(p.trigger, Trigger::Codes(_))).collect();
    if coded.is_empty() || how == 0 {
        return unknown();
    }
    let promotion = coded[which.index(coded.len())];
    let own = promotion.trigger == Trigger::Codes(vec![code(promotion.id.as_str())]);
    let issued =
        Given { code: code(&format!("C{how}-{}", promotion.id)), promotion: Some(promotion.id.clone()), uses_max: (how > 2).then_some(2) };
    if own { Given { code: code(promotion.id.as_str()), uses_max: None, ..issued } } else { issued }
}

fn usage(promotions: &[Promotion], codes: &[Given], used: &[u64]) -> Usage {
    let each =
        |p: &Promotion| [(Counter::Uses(p.id.clone()), 1), (Counter::UsesBy(p.id.clone(), WHO), 1), (Counter::Spent(p.id.clone()), 300)];
    let counters = promotions.iter().flat_map(each).chain(codes.iter().map(|g| (Counter::Code(g.code.clone()), 1)));
    Usage(counters.zip(used.iter().cycle()).map(|((counter, unit), n)| (counter, n * unit)).filter(|(_, n)| *n > 0).collect())
}

fn context() -> impl Strategy<Value = (Context, Vec<u64>)> {
    let day = || (1u8..3, 1u8..29).prop_map(|(month, day)| MonthDay::new(month, day).expect("a day"));
    let clock = (1u8..8, 0u16..1440, day()).prop_map(|(weekday, minute, date)| Local { weekday, minute, date });
    let who =
        (any::<bool>(), option::of(0u64..2), subsequence(vec!["gold", "silver"], 0..=2), option::of(day()), prop::bool::weighted(0.15));
    let shopper = who.prop_map(|(known, orders, segments, birthday, tax_exempt)| Shopper {
        who: known.then_some(WHO),
        orders,
        segments: segments.into_iter().map(segment).collect(),
        birthday,
        tax_exempt,
    });
    let chosen = option::weighted(0.2, select(vec!["S1", "S2", "S3"])).prop_map(|o| o.and_then(ShippingOptionId::parse));
    (option::weighted(0.8, destination()), chosen, shopper, clock, vec(prop_oneof![4 => Just(0u64), 1 => 1u64..4], 7)).prop_map(
        |(destination, shipping, shopper, local, used)| {
            let bare = Context { evaluator: evaluator(), ..Context::cart(currency("USD")) };
            (Context { destination, shipping, shopper, local, ..bare }, used)
        },
    )
}

fn country() -> impl Strategy<Value = Country> {
    select(vec!["US", "DE"]).prop_map(|c| Country::parse(c).expect("a country"))
}

fn destination() -> impl Strategy<Value = Destination> {
    let parts = (option::of(select(vec!["CA", "NY"])), option::of(Just("Oakland")), option::of(select(vec!["100", "200-1", "300"])));
    (country(), parts).prop_map(|(country, (region, city, postal_code))| Destination {
        country,
        region: region.and_then(Text::parse),
        city: city.and_then(Text::parse),
        postal_code: postal_code.and_then(Text::parse),
    })
}

fn place() -> impl Strategy<Value = Place> {
    let weights = (option::weighted(0.3, Just("CA")), option::weighted(0.1, Just("oakland")), option::weighted(0.1, Just(("150", "250"))));
    (country(), weights).prop_map(|(country, (region, city, range))| Place {
        country,
        region: region.and_then(Text::parse),
        city: city.and_then(Text::parse),
        postal: range.and_then(|(from, to)| PostalRange::new(from, to)),
    })
}

fn tax() -> impl Strategy<Value = TaxRate> {
    let rate = prop_oneof![select(vec![0u32, 50_000, 70_000, 190_000, 82_500]), 0u32..300_000].prop_map(Ppm);
    let formats = prop_oneof![3 => Just(Vec::new()), 1 => subsequence(Format::ALL.to_vec(), 1..3)];
    let rounding = select(vec![Rounding::HalfEven, Rounding::HalfUp, Rounding::Down]);
    let level = select(vec![Level::Line, Level::Total]);
    (select(vec!["VAT", "GST"]), place(), rate, formats, any::<bool>(), rounding, level, window()).prop_map(
        |(name, place, rate, formats, shipping_taxed, rounding, level, window)| {
            // All rates of a country agree on it.
            let included = place.country.as_str() == "DE";
            let bare = TaxRate::of(TaxName::parse(name).expect("a name"), place, Text::parse("Tax").expect("a label"), rate);
            TaxRate { formats, included, shipping_taxed, rounding, level, window, ..bare }
        },
    )
}

fn option_to_ship() -> impl Strategy<Value = ShippingOption> {
    let weight = btree_map(1u32..5000, money(), 0..3).prop_map(|steps| steps.into_iter().map(|(from, price)| ShippingStep { from, price }));
    let weight =
        (money(), weight).prop_map(|(price, rest)| Scale::Weight([ShippingStep { from: 0, price }].into_iter().chain(rest).collect()));
    let worth = btree_map(1i64..5000, money(), 0..3)
        .prop_map(|steps| steps.into_iter().map(|(from, price)| ShippingStep { from: usd(from), price }));
    let worth =
        (money(), worth).prop_map(|(price, rest)| Scale::Amount([ShippingStep { from: usd(0), price }].into_iter().chain(rest).collect()));
    let scale = prop_oneof![2 => money().prop_map(Scale::Flat), 1 => weight, 1 => worth];
    (scale, vec(place(), 0..2), option::weighted(0.3, money()), any::<bool>(), prop::bool::weighted(0.9)).prop_map(
        |(scale, zones, free_from, per_parcel, active)| {
            let id = ShippingOptionId::parse("later").expect("an id");
            let bare = ShippingOption::flat(id, Text::parse("Post").expect("a label"), usd(0));
            ShippingOption { scale, zones, free_from, per_parcel, active, ..bare }
        },
    )
}

fn option_named((option, n): (ShippingOption, u32)) -> ShippingOption {
    ShippingOption { id: ShippingOptionId::parse(&format!("S{n}")).expect("an id"), ..option }
}

fn rate() -> impl Strategy<Value = ExchangeRate> {
    let since = select(vec![0, 50, 99, 100, 101]).prop_map(Timestamp);
    (1u64..3_000_000_000, since).prop_map(|(rate, since)| ExchangeRate {
        from: currency("EUR"),
        to: currency("USD"),
        rate: Nano(rate),
        since,
        source: None,
    })
}
