//! What a shopper does in a shop of three books and a coupon with two uses, in the words of the use cases.

use crate::fixtures;
use app::{AddItem, Answered, App, Caller, Error, Once, OpenCart, Process};
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::checkout::Details;
use domain::ids::{BookId, CartId, CheckoutId, CustomerId, PaymentToken};
use domain::money::{Money, Ppm};
use domain::person::Email;
use domain::pricing::{Benefit, Budget, Off, Promotion, Rule, Target};
use domain::quantity::Quantity;
use std::sync::Arc;

/// Copies of each book at the start.
pub const STOCK: u32 = 3;

/// The usual rules; `TWICE` takes off half, twice, and `FREE` everything.
pub fn rules() -> Vec<Rule> {
    let coupon = |name: &str, label: &str, rate, uses| Promotion {
        budget: Budget { uses, ..Budget::default() },
        ..Promotion::coupon(fixtures::code(name), fixtures::text(label), Benefit::Goods { of: Target::default(), off: Off::Rate(rate) })
    };
    let twice = coupon("TWICE", "Half off, twice", Ppm(500_000), Some(2));
    let free = coupon("FREE", "All off", Ppm::ONE, None);
    fixtures::rules().into_iter().chain([twice.into(), free.into()]).collect()
}

pub fn customer(name: &str) -> Caller {
    Caller::Customer(CustomerId::parse(name).expect("an id"), Arc::default())
}

pub fn admin() -> Caller {
    Caller::Admin(CustomerId::parse("root").expect("an id"))
}

pub fn add(book: u128, n: i64) -> AddItem {
    AddItem { product: BookId(book), variant: None, quantity: Quantity::new(n).expect("a quantity") }
}

/// An idempotency key whose answer is rendered with `{:?}`.
pub fn once<T: std::fmt::Debug>(key: &str, body: u8) -> Once<T> {
    let mut digest = [0; 16];
    digest[..key.len()].copy_from_slice(key.as_bytes());
    Once { mark: OnceMark { key: digest, fingerprint: [body; 16] }, render: |value| Bytes::from(format!("{value:?}")) }
}

pub fn fresh<T>(answered: Answered<T>) -> T {
    match answered {
        Answered::Fresh(value) => value,
        Answered::Again(_) => panic!("a fresh answer was expected"),
    }
}

pub async fn cart(app: &App, caller: &Caller, items: Vec<AddItem>, coupon: Option<&str>) -> Result<CartId, Error> {
    let open = OpenCart { currency: None, items, coupons: coupon.map(fixtures::code).into_iter().collect() };
    Ok(fresh(app.open_cart(caller, open, None).await?).view.cart.id)
}

pub fn details() -> Details {
    Details { email: Email::parse("ada@example.com"), shipping_address: Some(fixtures::address()), ..Details::default() }
}

pub fn process(checkout: CheckoutId, token: &str, expected_total: Money) -> Process {
    Process { checkout, token: PaymentToken::parse(token).expect("a token"), expected_total, return_url: None, if_match: None }
}
