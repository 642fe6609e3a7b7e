//! The shop that is simulated: few books in few copies, so that shoppers get in each other's way.

use app::TimeZone;
use app::{BookInput, EditionInput, Policy, TaxFallback};
use domain::cart::Lifetimes;
use domain::catalog::Format;
use domain::checkout::Details;
use domain::ids::{CouponCode, EditionId, PromotionId, ShippingOptionId, Sku, TaxName};
use domain::money::{Currency, Money, Ppm, Rounding};
use domain::order::CaptureWhen;
use domain::person::{Address, Country, Email};
use domain::pricing::{Benefit, Budget, Needs, Off, Place, Promotion, Rule, ShippingOption, Target, TaxRate, Trigger};
use domain::text::Text;
use domain::time::Timestamp;
use std::time::Duration;

/// Books on sale: each has one edition. Every fourth is an e-book, which is not shipped.
pub const BOOKS: u32 = 4;
/// Codes a shopper may try at any time.
pub const CODES: [&str; 5] = ["TWICE", "TWICE", "OFTEN", "FREE", "NONSENSE"];

/// How many coupons of the hour there are, each to be used once.
const HOURS: i64 = 12;

/// The coupon that is advertised now: a new one every five minutes, so that an hour goes by quickly.
pub fn coupon_of_the_hour(now: Timestamp) -> CouponCode {
    code(&format!("HOUR-{}", now.micros() / 300_000_000 % HOURS))
}

/// Means of payment, the good ones more often.
pub const TOKENS: [&str; 17] = [
    "tok_visa",
    "tok_visa",
    "tok_visa",
    "tok_visa",
    "tok_visa",
    "tok_mastercard",
    "tok_slow",
    "tok_flaky",
    "tok_flaky",
    "tok_declined",
    "tok_insufficient_funds",
    "tok_timeout_before",
    "tok_timeout_after",
    "tok_timeout_after",
    "tok_requires_action",
    "tok_requires_action",
    "tok_capture_fails",
];

pub fn currency() -> Currency {
    Currency::parse("USD").expect("invariant: a currency")
}

pub fn usd(minor: i64) -> Money {
    Money::new(minor, currency()).expect("invariant: a small amount")
}

pub fn code(text: &str) -> CouponCode {
    CouponCode::parse(text).expect("invariant: a coupon code")
}

pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::parse(text).expect("invariant: a short text")
}

pub fn sku(n: u32) -> Sku {
    Sku::parse(&format!("SKU-{n}")).expect("invariant: a SKU")
}

pub fn book(n: u32, price: i64, sale_price: Option<i64>) -> BookInput {
    let format = if n.is_multiple_of(4) { Format::Ebook } else { Format::Paperback };
    let edition =
        EditionInput { sku: sku(n), format, price: usd(price), sale_price: sale_price.map(usd), weight_g: None, stock: Some(3 + n % 4) };
    BookInput {
        reason: None,
        title: text(&format!("Book {n}")),
        subtitle: None,
        description: None,
        authors: vec![text("Ada Lovelace")],
        categories: Vec::new(),
        publisher: None,
        language: text("en"),
        published_year: None,
        isbn13: None,
        image_url: None,
        editions: vec![edition],
        ratings: None,
    }
}

pub fn policy(capture: CaptureWhen) -> Policy {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    Policy {
        currency: currency(),
        time_zone: TimeZone::UTC,
        carts: Lifetimes { guest: minutes(30), customer: minutes(40), empty: minutes(20) },
        checkout_ttl: minutes(30),
        reservation_ttl: minutes(10),
        capture,
        tax_fallback: TaxFallback::Refuse,
        session_ttl: minutes(600),
        events_keep: minutes(60),
    }
}

pub fn rules() -> Vec<Rule> {
    let us = Country::parse("US").expect("invariant: a country");
    let coupon = |name: &str, off, uses| Promotion {
        budget: Budget { uses, ..Budget::default() },
        ..Promotion::coupon(code(name), text(name), Benefit::Goods { of: Target::default(), off })
    };
    let mut coupons = vec![
        coupon("TWICE", Off::Rate(Ppm(333_333)), Some(2)),
        coupon("OFTEN", Off::Rate(Ppm(100_000)), None),
        coupon("FREE", Off::Rate(Ppm::ONE), None),
    ];
    coupons.extend((0..HOURS).map(|n| coupon(&format!("HOUR-{n}"), Off::Amount(usd(200)), Some(1))));
    let california = Place { region: Some(text("CA")), ..Place::country(us) };
    let tax = TaxRate::of(TaxName::parse("SALES").expect("invariant: a name"), california, text("Sales tax"), Ppm(72_500));
    let tax = TaxRate { shipping_taxed: true, rounding: Rounding::HalfUp, ..tax };
    let shipping = |id: &str, price, free_from: Option<i64>| ShippingOption {
        free_from: free_from.map(usd),
        zones: vec![Place::country(us)],
        ..ShippingOption::flat(ShippingOptionId::parse(id).expect("invariant: an id"), text(id), usd(price))
    };
    let others = [Rule::tax(tax), shipping("standard", 499, Some(3000)).into(), shipping("express", 1299, None).into()];
    coupons.into_iter().map(Rule::from).chain(others).collect()
}

/// The promotion whose codes are issued, a few at a time, for one order each.
pub const ISSUED: &str = "ISSUED";

/// Promotions that shopkeepers change while anybody shops.
pub const PROMOTIONS: [&str; 6] = ["SALE", "ONCE-EACH", "POT", "GIFT", "FIRST", ISSUED];

/// A promotion as it is from its `n`-th change on; what it is called tells them apart.
pub fn promotion(name: &str, n: u64, gift: EditionId) -> Promotion {
    let id = PromotionId::parse(name).expect("invariant: an id");
    let label = text(&format!("{name} as of change {n}"));
    let small = usd(i64::try_from(20 + n % 7 * 10).expect("invariant: a small number"));
    let goods = |off| Benefit::Goods { of: Target::default(), off };
    let budget = |uses, uses_each, amount: Option<i64>| Budget { uses, uses_each, amount: amount.map(usd) };
    let automatic = |benefit| Promotion::automatic(id.clone(), label.clone(), benefit);
    match name {
        "ONCE-EACH" => Promotion { budget: budget(None, Some(1), None), ..automatic(goods(Off::Amount(small))) },
        "POT" => Promotion { budget: budget(None, None, Some(500)), cap: Some(usd(200)), ..automatic(goods(Off::Rate(Ppm(150_000)))) },
        "GIFT" => Promotion { budget: budget(Some(3), None, None), ..automatic(Benefit::Gift { edition: gift }) },
        "FIRST" => Promotion { needs: Needs { first_order: true, ..Needs::default() }, ..automatic(goods(Off::Amount(small))) },
        ISSUED => Promotion { trigger: Trigger::Codes(Vec::new()), ..automatic(goods(Off::Amount(small))) },
        _ => {
            automatic(Benefit::Each { of: Target::default(), off: Off::Rate(Ppm(10_000 + u32::try_from(n % 5).expect("small") * 10_000)) })
        }
    }
}

pub fn address(line1: &str) -> Address {
    Address {
        name: text("Ada Lovelace"),
        company: None,
        line1: text(line1),
        line2: None,
        city: text("San Francisco"),
        region: Some(text("CA")),
        postal_code: text("94105"),
        country: Country::parse("US").expect("invariant: a country"),
        phone: None,
    }
}

pub fn details(express: bool) -> Details {
    Details {
        email: Email::parse("ada@example.com"),
        shipping_address: Some(address("1 Main Street")),
        billing_address: None,
        shipping_option: ShippingOptionId::parse(if express { "express" } else { "standard" }),
    }
}
