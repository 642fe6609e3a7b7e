//! What a quote costs: `cargo run --release -p bench --example quote -- [substring of a row's name]`.
#![expect(clippy::print_stdout, reason = "a command speaks to its user")]

use domain::catalog::{Format, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, Sku, TaxName};
use domain::money::{Currency, Money, Ppm};
use domain::person::Country;
use domain::pricing::*;
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

const EDITIONS: u128 = 1000;
const AUTHORS: u128 = 300;
const CATEGORIES: u128 = 40;
const PUBLISHERS: u128 = 50;
/// Whoever has this number is of no book in any cart.
const NOBODY: u128 = 100_000;
/// How long a quote is measured; a plain sum a tenth of it. A fifth as long is for warming up.
const MEASURED: Duration = Duration::from_millis(1500);

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::parse(text).expect("a short text")
}

fn heading(kind: HeadingKind, bits: u128) -> HeadingId {
    HeadingId { kind, bits }
}

/// Books of one or two authors, in two categories, a fifth of them on sale.
fn shelf() -> BTreeMap<EditionId, Offer> {
    (1..=EDITIONS).map(|n| (EditionId(n), offer(n))).collect()
}

fn offer(n: u128) -> Offer {
    let list = i64::try_from(499 + n * 7919 % 4000).expect("small");
    let second = n.is_multiple_of(3).then(|| heading(HeadingKind::Author, n * 31 % AUTHORS));
    let headings = [heading(HeadingKind::Author, n % AUTHORS), heading(HeadingKind::Category, n % CATEGORIES)].into_iter();
    let rest = [heading(HeadingKind::Category, n * 7 % CATEGORIES), heading(HeadingKind::Publisher, n % PUBLISHERS)];
    Offer {
        edition: EditionId(n),
        book: BookId(n / 2),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
        title: text("The Left Hand of Darkness"),
        image_url: Some(text("https://example.org/covers/left-hand-of-darkness.jpg")),
        format: Format::ALL[usize::try_from(n % 4).expect("small")],
        list_price: usd(list),
        unit_price: usd(if n.is_multiple_of(5) { list * 8 / 10 } else { list }),
        available: 100,
        weight_g: 300,
        headings: headings.chain(second).chain(rest).collect(),
    }
}

/// So many editions, spread over the shelf, one to five copies of each.
fn cart(items: usize) -> Vec<Line> {
    let line = |n| Line {
        edition: EditionId(1 + n * 617 % EDITIONS),
        quantity: Quantity::new(1 + i64::try_from(n % 5).expect("small")).expect("a quantity"),
    };
    (0..items as u128).map(line).collect()
}

fn any_of(selectors: &[Selector]) -> Target {
    Target { any: selectors.to_vec(), ..Target::default() }
}

fn category(n: u128) -> Target {
    any_of(&[Selector::Heading(heading(HeadingKind::Category, n % CATEGORIES))])
}

fn author(n: u128) -> Target {
    any_of(&[Selector::Heading(heading(HeadingKind::Author, if n == NOBODY { n } else { n % AUTHORS }))])
}

const fn percent(n: u32) -> Off {
    Off::Rate(Ppm(n * 10_000))
}

fn automatic(name: &str, benefit: Benefit) -> Promotion {
    Promotion::automatic(PromotionId::parse(name).expect("an id"), text("A promotion of the season"), benefit)
}

/// Twenty promotions as a bookshop has them, for the `n`th time: of every kind, a good third of which apply to a cart.
fn season(n: u128) -> Vec<Promotion> {
    let named = |kind: &str, benefit| automatic(&format!("{kind}-{n}"), benefit);
    let with = |promotion: Promotion, needs| Promotion { needs, ..promotion };
    let tiers = |steps: [(u32, Off); 2]| steps.map(|(from, off)| Tier { from, off }).to_vec();
    let minimum = |amount, basis| Needs { minimum: Some(Minimum { amount: usd(amount), basis }), ..Needs::default() };
    let group =
        |promotion| Promotion { stacking: Stacking::BestOf(PromotionGroup::parse(&format!("g{n}")).expect("a group")), ..promotion };
    let buy_get =
        |buy: Target, get: Target| Benefit::BuyGet { buy, buy_count: 2, get, get_count: 1, off: Ppm(500_000), times_max: Some(2) };
    let bundle = |first, second, off| Benefit::Bundle {
        parts: vec![Part { of: first, count: 1 }, Part { of: second, count: 1 }],
        off,
        times_max: Some(3),
    };
    let gold = Needs { segments: vec![Segment::parse("gold").expect("a segment")], ..Needs::default() };
    let night = vec![Hours { weekday: 5, from_minute: 1320, to_minute: 1440 }];
    let code = CouponCode::parse(&format!("CODE-{n}")).expect("a code");
    let fresh = Target { full_price_only: true, ..any_of(&[Selector::Format(Format::Ebook)]) };
    let named_books = any_of(&[NOBODY, NOBODY + 1, NOBODY + 2].map(|id| Selector::Edition(EditionId(id))));
    vec![
        named("category", Benefit::Each { of: category(n), off: percent(10) }),
        named("author", Benefit::Each { of: author(1 + n), off: Off::Amount(usd(50)) }),
        Promotion { hours: night, ..named("night", Benefit::Each { of: fresh, off: Off::Price(usd(499)) }) },
        named("books", Benefit::Each { of: named_books, off: percent(5) }),
        named("absent", Benefit::Each { of: author(NOBODY), off: percent(20) }),
        named("bulk", Benefit::Tiers { of: category(n + 18), tiers: tiers([(3, percent(5)), (10, percent(10))]) }),
        named("many", Benefit::Tiers { of: author(n), tiers: tiers([(200, percent(5)), (300, percent(10))]) }),
        named("third", buy_get(category(n), category(n))),
        named("other", buy_get(author(NOBODY), category(n))),
        named("pair", bundle(category(n), category(n + 18), Off::Amount(usd(300)))),
        named("duo", bundle(author(NOBODY), author(n), Off::Price(usd(1500)))),
        with(named("late", Benefit::Goods { of: category(n), off: percent(3) }), minimum(50_000_000, Basis::Discounted)),
        with(named("large", Benefit::Goods { of: Target::default(), off: Off::Amount(usd(200)) }), minimum(50_000_000, Basis::Subtotal)),
        named("spend", Benefit::Spend { tiers: vec![Tier { from: usd(40_000_000), off: percent(5) }] }),
        group(named("best", Benefit::Goods { of: Target::default(), off: percent(2) })),
        group(named("beaten", Benefit::Goods { of: Target::default(), off: Off::Amount(usd(1)) })),
        named("gift", Benefit::Gift { edition: EditionId(1 + n) }),
        Promotion::coupon(code, text("A coupon"), Benefit::Goods { of: Target::default(), off: percent(5) }),
        with(named("gold", Benefit::Each { of: Target::default(), off: percent(15) }), gold),
        named("post", Benefit::Shipping { off: percent(20) }),
    ]
}

/// A hundred promotions that all apply, to every line.
fn everything() -> Vec<Promotion> {
    let all = Target::default;
    let benefit = |n: usize| match n % 5 {
        0 => Benefit::Each { of: all(), off: percent(1) },
        1 => Benefit::Goods { of: all(), off: percent(1) },
        2 => Benefit::Tiers { of: all(), tiers: vec![Tier { from: 1, off: percent(1) }] },
        3 => Benefit::BuyGet { buy: all(), buy_count: 1, get: all(), get_count: 1, off: Ppm(10_000), times_max: None },
        _ => Benefit::Bundle { parts: vec![Part { of: all(), count: 2 }], off: percent(1), times_max: None },
    };
    (0..100).map(|n| automatic(&format!("all-{n}"), benefit(n))).collect()
}

fn rules(promotions: Vec<Promotion>) -> Rules {
    let us = Country::parse("US").expect("a country");
    let tax = |name, region, ppm| {
        let place = Place { region, ..Place::country(us) };
        TaxRate::of(TaxName::parse(name).expect("a name"), place, text("Tax"), Ppm(ppm))
    };
    let taxes = vec![tax("SALES", None, 10_000), tax("SALES", Some(text("CA")), 72_500), tax("LOCAL", Some(text("CA")), 10_000)];
    let option = |id, price| ShippingOption::flat(ShippingOptionId::parse(id).expect("an id"), text("Post"), usd(price));
    Rules::new(promotions, taxes, vec![option("express", 1499), option("standard", 499)])
}

/// Median and 99th percentile of one run, in nanoseconds.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn measure(long: Duration, mut run: impl FnMut()) -> (u128, u128) {
    let begun = Instant::now();
    while begun.elapsed() < long / 5 {
        run();
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < long {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_nanos());
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn plain_sum(lines: &[Line], shelf: &BTreeMap<EditionId, Offer>) -> Money {
    lines.iter().fold(usd(0), |sum, line| {
        let price = shelf[&line.edition].unit_price;
        sum.plus(price.times(line.quantity.get()).expect("in range")).expect("in range")
    })
}

fn row(items: usize, name: &str, promotions: Vec<Promotion>) {
    let (shelf, lines) = (shelf(), cart(items));
    let codes: Vec<Given> = promotions.iter().filter(|p| p.trigger != Trigger::Automatic).map(given).collect();
    let active = promotions.len();
    let rules = rules(promotions);
    let there = Destination { region: Some(text("CA")), ..Destination::country(Country::parse("US").expect("a country")) };
    let context = Context { destination: Some(there), ..Context::cart(usd(0).currency()) };
    let priced = || quote(&lines, &codes, &shelf, &rules, &context, Timestamp(0)).expect("in range");
    let applied = priced().adjustments.iter().filter(|a| a.promotion.is_some()).count();
    let (median, p99) = measure(MEASURED, || drop(black_box(priced())));
    let (plain, _) = measure(MEASURED / 10, || {
        black_box(plain_sum(black_box(&lines), &shelf));
    });
    let micros = |ns: u128| ns as f64 / 1000.0;
    let per_item = micros(median) * 1000.0 / items as f64;
    let ratio = median as f64 / plain as f64;
    println!("| {items} | {name} | {active} | {applied} | {:.1} | {:.1} | {per_item:.0} | {ratio:.0} |", micros(median), micros(p99));
}

fn given(promotion: &Promotion) -> Given {
    Given { code: CouponCode::parse(promotion.id.as_str()).expect("a code"), promotion: Some(promotion.id.clone()), uses_max: None }
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let seasons = |count: u128| (0..count).flat_map(season).collect::<Vec<_>>();
    println!("| items | promotions | active | applied | median µs | p99 µs | ns an item | × a plain sum |");
    println!("|---:|---|---:|---:|---:|---:|---:|---:|");
    let mut rows: Vec<(usize, &str, Vec<Promotion>)> = vec![(10, "none", Vec::new()), (500, "none", Vec::new())];
    rows.extend([10, 500].map(|items| (items, "twenty", seasons(1))));
    rows.extend([1, 10, 50, 100, 200, 500].map(|items| (items, "a hundred", seasons(5))));
    rows.push((500, "all of them", everything()));
    for (items, name, promotions) in rows.into_iter().filter(|(items, name, _)| format!("{items} {name}").contains(&wanted)) {
        row(items, name, promotions);
    }
}
