//! Small worlds for tests: what they hold is told apart by a number, so that `cart(1)` is guest 1's cart of
//! one copy of edition 1.

use app::ports::{
    Answer, Authorize, BookWrite, CartChange, CartWrite, CatalogChange, Change, HeadingWrite, TokenDigest, UseChange, UseMove,
};
use app::{Policy, TaxFallback, TimeZone};
use bytes::Bytes;
use domain::cart::{Cart, Command, Decided, Lifetimes, OnceMark, Owner};
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, HeadingKind, Isbn13, Offer, Offers, Ratings};
use domain::checkout::{Attempt, Checkout, Details, State};
use domain::event::{BookEvent, Event, Outgoing, Subject};
use domain::ids::{
    AttemptId, BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, ItemId, OrderId, PaymentToken, PromotionId, SessionId,
    ShippingOptionId, Sku, TaxName, Version,
};
use domain::money::{Currency, Money, Ppm, Rounding};
use domain::order::{Actor, Appended, CaptureWhen, Number, Order};
use domain::person::{Address, Country, Email};
use domain::pricing::{
    Benefit, Budget, Context, Counter, Destination, Kept, Off, Place, Pricebook, Promotion, Quote, Rule, ShippingOption, Target, TaxRate,
    Taxable, TaxableLine, quote,
};
use domain::quantity::Quantity;
use domain::session::{Session, SessionEvent};
use domain::stock::{StockChange, StockMove};
use domain::text::Text;
use domain::time::Timestamp;
use domain::trace::TraceContext;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// When every world begins: 2025-06-15, 15:06:40 UTC.
pub const START: Timestamp = Timestamp(1_750_000_000_000_000);

/// So many seconds after [`START`].
pub const fn at(seconds: i64) -> Timestamp {
    Timestamp(START.0 + seconds * 1_000_000)
}

pub const LIFETIMES: Lifetimes =
    Lifetimes { guest: Duration::from_secs(100), customer: Duration::from_secs(300), empty: Duration::from_secs(10) };

pub fn dollars() -> Currency {
    Currency::parse("USD").expect("a currency")
}

pub fn usd(minor: i64) -> Money {
    Money::new(minor, dollars()).expect("an amount in range")
}

pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::parse(text).expect("a short text")
}

pub fn copies(n: u32) -> Quantity {
    Quantity::new(i64::from(n)).expect("a quantity")
}

pub fn guest(n: u128) -> Owner {
    Owner::Guest(SessionId(n))
}

pub fn customer(name: &str) -> Owner {
    Owner::Customer(CustomerId::parse(name).expect("a customer's id"))
}

pub fn code(text: &str) -> CouponCode {
    CouponCode::parse(text).expect("a coupon code")
}

/// A key of somebody in partition 1, as guest 1 is.
pub fn mark(n: u8) -> OnceMark {
    let mut key = [n; 16];
    key[0] = 1;
    OnceMark { key, fingerprint: [n.wrapping_add(1); 16] }
}

pub fn answer(n: u8, body: &str, at: Timestamp) -> Answer {
    Answer { mark: mark(n), body: Bytes::copy_from_slice(body.as_bytes()), at }
}

/// Lets `racers` act at once; what each of them got.
pub async fn race<T, Act>(racers: u32, act: impl Fn(u32) -> Act) -> Vec<T>
where
    T: Send + 'static,
    Act: Future<Output = T> + Send + 'static,
{
    (0..racers).map(act).collect::<JoinSet<T>>().join_all().await
}

// ---- books

pub fn heading_id(kind: HeadingKind, n: u128) -> HeadingId {
    HeadingId { kind, bits: n }
}

pub fn heading(kind: HeadingKind, n: u128, name: &str) -> Heading {
    Heading { id: heading_id(kind, n), name: text(name), version: Version(1) }
}

pub fn put_heading(heading: Heading, expected: u64) -> HeadingWrite {
    HeadingWrite::Put { heading: Arc::new(heading), expected: Version(expected) }
}

/// Book `n`: one paperback, edition `n`, SKU `SKU-n`, `n` dollars and 99 cents; every field is set.
pub fn book(n: u32) -> Book {
    let bits = u128::from(n);
    Book {
        id: BookId(bits),
        title: text(&format!("Book {n}")),
        subtitle: Some(text("A subtitle")),
        description: Some(Text::parse_block("The first line.\nThe second.").expect("a short text")),
        authors: Vec::new(),
        categories: Vec::new(),
        publisher: None,
        language: text("en"),
        published_year: Some(-380),
        isbn13: Isbn13::parse("9780441172719"),
        image_url: Some(text("https://example.com/cover.jpg")),
        editions: vec![edition(n)],
        ratings: Ratings { average_milli: 4_500, count: 2 },
        version: Version(1),
        updated_at: START,
    }
}

pub fn edition(n: u32) -> Edition {
    Edition {
        id: EditionId(u128::from(n)),
        sku: sku(n),
        format: Format::Paperback,
        price: usd(i64::from(n) * 100 + 99),
        sale_price: None,
        weight_g: None,
    }
}

pub fn sku(n: u32) -> Sku {
    Sku::parse(&format!("SKU-{n}")).expect("a SKU")
}

pub fn put_book(book: Book, expected: u64) -> BookWrite {
    BookWrite::Put { book: Arc::new(book), expected: Version(expected) }
}

/// Stores new books as they are.
pub fn new_books(books: impl IntoIterator<Item = Book>) -> CatalogChange {
    CatalogChange { books: books.into_iter().map(|b| put_book(b, 0)).collect(), ..CatalogChange::default() }
}

/// A place in a trace.
pub fn trace(state: Option<&str>) -> Option<TraceContext> {
    TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state)
}

/// Books 1 to 3, so many copies of each.
pub fn three_books(copies: u32) -> CatalogChange {
    let first = |n| StockMove { edition: EditionId(n), change: StockChange::Count(copies), cause: format!("first/{n}") };
    CatalogChange { stock: (1..=3).map(first).collect(), ..new_books((1..=3).map(book)) }
}

/// A shop that takes its money at once and keeps everything for a day.
pub fn policy() -> Policy {
    let day = Duration::from_secs(86_400);
    Policy {
        currency: dollars(),
        time_zone: TimeZone::UTC,
        carts: Lifetimes { guest: day, customer: day, empty: day },
        checkout_ttl: day,
        reservation_ttl: day,
        capture: CaptureWhen::AtOnce,
        tax_fallback: TaxFallback::Refuse,
        session_ttl: day,
        events_keep: day,
    }
}

pub fn book_event(n: u128, sequence: u64, event: BookEvent) -> Outgoing {
    Outgoing::new(Subject::Book(BookId(n)), sequence, START, Event::Book(event))
}

/// Sells every edition whose number fits in 32 bits, as [`book`] prices it; ten copies of each are to be had.
#[derive(Clone, Copy, Debug)]
pub struct Shelf;

impl Offers for Shelf {
    fn offer(&self, edition: EditionId) -> Option<Offer> {
        let book = book(u32::try_from(edition.0).ok()?);
        Some(Offer::of(&book, book.edition(edition)?, 10, book.headings().collect()))
    }
}

// ---- carts

pub fn add(edition: u128, n: u32) -> Command {
    Command::Add { edition: EditionId(edition), quantity: copies(n) }
}

/// A new cart of `owner` with one copy of edition `n` in it, and its two events. Its id is `n` when the last byte of `n`
/// is the owner's partition: 257 is another number of guest 1's partition.
pub fn cart_of(n: u128, owner: Owner, now: Timestamp) -> Decided {
    let mut created = Cart::create(CartId::within(n, owner.partition()), owner, dollars(), &LIFETIMES, now);
    let added = changed(&created.cart, &[add(n, 1)], now);
    created.events.extend(added.events);
    Decided { cart: added.cart, events: created.events }
}

/// Guest `n`'s cart of one copy of edition `n`, at version 2, as of [`START`].
pub fn cart(n: u128) -> Cart {
    cart_of(n, guest(n), START).cart
}

/// What `commands` make of a cart.
pub fn changed(cart: &Cart, commands: &[Command], now: Timestamp) -> Decided {
    cart.decide(commands, &Shelf, &LIFETIMES, now).expect("commands that are possible")
}

pub fn put_cart(cart: &Cart, expected: u64) -> CartWrite {
    CartWrite::Put { cart: Arc::new(cart.clone()), expected: Version(expected) }
}

pub fn delete_cart(n: u128, expected: u64) -> CartWrite {
    CartWrite::Delete { id: CartId(n), expected: Version(expected) }
}

pub fn cart_writes(writes: impl IntoIterator<Item = CartWrite>) -> CartChange {
    CartChange { writes: writes.into_iter().collect(), ..CartChange::default() }
}

/// Stores a decided cart with its events.
pub fn save_cart(decided: &Decided, expected: u64) -> CartChange {
    CartChange { outbox: decided.events.clone(), ..cart_writes([put_cart(&decided.cart, expected)]) }
}

// ---- checkouts

pub fn address() -> Address {
    Address {
        name: text("Ada Lovelace"),
        company: Some(text("Analytical Engines")),
        line1: text("12 St James's Square"),
        line2: Some(text("Second floor")),
        city: text("San Francisco"),
        region: Some(text("CA")),
        postal_code: text("94105"),
        country: Country::parse("US").expect("a country"),
        phone: Some(text("+1 415 555 0100")),
    }
}

/// 10 % off with `TEN`, Californian tax, one way to ship.
pub fn rules() -> Vec<Rule> {
    let us = Country::parse("US").expect("a country");
    let off = Benefit::Goods { of: Target::default(), off: Off::Rate(Ppm(100_000)) };
    let ten = Promotion::coupon(code("TEN"), text("10 % off"), off);
    let ten = Promotion { budget: Budget { uses: Some(5), ..Budget::default() }, ..ten };
    let california = Place { region: Some(text("CA")), ..Place::country(us) };
    let tax = TaxRate::of(TaxName::parse("SALES").expect("a name"), california, text("Sales tax"), Ppm(72_500));
    let tax = TaxRate { rounding: Rounding::HalfUp, ..tax };
    let standard = ShippingOption::flat(ShippingOptionId::parse("standard").expect("an id"), text("Standard"), usd(499));
    let standard = ShippingOption { zones: vec![Place::country(us)], ..standard };
    vec![ten.into(), Rule::tax(tax), standard.into()]
}

/// [`rules`] as they are kept.
pub fn pricebook() -> Pricebook {
    Pricebook::new(rules().into_iter().map(|rule| Kept::first(rule, START)))
}

/// What tax providers under test go by: a state and a city of it, and a country whose prices contain its tax, less of it on
/// paper.
pub fn tax_table() -> Arc<Pricebook> {
    let place = |country: &str, region: &str, city: &str| Place {
        region: Text::parse(region),
        city: Text::parse(city),
        ..Place::country(Country::parse(country).expect("a country"))
    };
    let rate = |tax: &str, place, rate| TaxRate::of(TaxName::parse(tax).expect("a name"), place, text(tax), Ppm(rate));
    let german = |formats, ppm| TaxRate { included: true, shipping_taxed: true, formats, ..rate("VAT", place("DE", "", ""), ppm) };
    let rates = vec![
        ("us-ca", rate("STATE", place("US", "CA", ""), 72_500)),
        ("us-ca-sf", rate("DISTRICT", place("US", "CA", "San Francisco"), 13_750)),
        ("de", german(vec![], 190_000)),
        ("de-paper", german(vec![Format::Hardcover, Format::Paperback], 70_000)),
    ];
    Arc::new(Pricebook::new(rates.into_iter().map(|(id, rate)| Kept::first(Rule::TaxRate { id: text(id), rate }, START))))
}

/// Goods that go there: a paperback of 20.00, an e-book of 10.00 (items 1 and 2), and shipping of 5.00.
pub fn taxable(country: &str, region: &str, city: &str) -> Taxable {
    let to = Destination {
        region: Text::parse(region),
        city: Text::parse(city),
        postal_code: Text::parse("94105"),
        ..Destination::country(Country::parse(country).expect("a country"))
    };
    let line = |n: u128, format, quantity, amount| TaxableLine {
        item: ItemId(n),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
        format,
        quantity: Quantity::new(quantity).expect("a quantity"),
        amount: usd(amount),
    };
    let lines = vec![line(1, Format::Paperback, 2, 2000), line(2, Format::Ebook, 1, 1000)];
    Taxable { to, currency: dollars(), lines, shipping: usd(500) }
}

/// A cart's price at [`address`] by [`rules`].
pub fn quoted(cart: &Cart) -> Quote {
    let context = Context { destination: Some(Destination::from(&address())), ..Context::cart(cart.currency) };
    let book = pricebook();
    let rules = book.rules();
    let codes: Vec<_> = cart.coupons.iter().map(|code| rules.given(code)).collect();
    quote(&cart.lines(), &codes, &Shelf, rules, &context, START).expect("a sum in range")
}

/// An open checkout of [`cart`]`(n)` at version 1, ready to be paid, due at `at(60)`.
pub fn checkout(n: u128) -> Checkout {
    checkout_of(n, &changed(&cart(n), &[Command::Coupons(vec![code("TEN")])], START).cart, START)
}

/// A checkout of this cart that is ready to be paid and due 60 s after `now`.
pub fn checkout_of(n: u128, cart: &Cart, now: Timestamp) -> Checkout {
    let (mut checkout, _) = Checkout::start(CheckoutId(n), cart, quoted(cart), Duration::from_secs(60), now);
    checkout.fill_in(Details {
        email: Email::parse("ada@example.com"),
        shipping_address: Some(address()),
        billing_address: None,
        shipping_option: ShippingOptionId::parse("standard"),
    });
    Checkout { version: Version(1), ..checkout }
}

/// The checkout's next state.
pub fn next(checkout: &Checkout, state: State, due_at: Timestamp) -> Checkout {
    Checkout { state, due_at, version: checkout.version.next(), ..checkout.clone() }
}

/// Attempt `n`, for order `n`.
pub fn attempt(n: u128, checkout: &Checkout) -> Attempt {
    Attempt {
        id: AttemptId(n),
        token: token("tok_visa"),
        amount: checkout.quote.total,
        order: OrderId(n),
        number: Number::from_random(u64::try_from(n).expect("a small number")),
        mark: mark(7),
        started_at: START,
        reserved_until: at(600),
        tries: 1,
        return_url: None,
        challenge: None,
    }
}

/// [`checkout`]`(n)` while attempt `n` is at the provider, at version 2.
pub fn paying(n: u128) -> Checkout {
    let open = checkout(n);
    Checkout { attempt: Some(attempt(n, &open)), ..next(&open, State::Authorizing, at(30)) }
}

pub fn commit_checkout(checkout: &Checkout, expected: u64) -> Change {
    Change { checkout: Some((checkout.clone(), Version(expected))), ..Change::default() }
}

// ---- orders

/// Order `n` as [`paying`]`(n)` places it.
pub fn placed(n: u128, now: Timestamp) -> Appended {
    placed_by(&paying(n), now)
}

/// The order this paying checkout places.
pub fn placed_by(checkout: &Checkout, now: Timestamp) -> Appended {
    let placed = Order::placed_by(checkout).expect("a complete checkout");
    Order::place(placed, Actor::Guest, "a test", now)
}

pub fn append(appended: Appended) -> Change {
    Change { order: Some(appended), ..Change::default() }
}

// ---- stock and uses

pub fn moved(edition: u128, change: StockChange, cause: &str) -> StockMove {
    StockMove { edition: EditionId(edition), change, cause: cause.to_owned() }
}

pub fn move_stock(moves: impl IntoIterator<Item = StockMove>) -> Change {
    Change { stock: moves.into_iter().collect(), ..Change::default() }
}

/// The count of a promotion's uses.
pub fn uses_of(promotion: &str) -> Counter {
    Counter::Uses(PromotionId::parse(promotion).expect("an id"))
}

pub fn use_coupon(text: &str, limit: u64, cause: &str) -> UseMove {
    use_by(text, 1, Some(limit), cause)
}

pub fn use_by(text: &str, by: u64, limit: Option<u64>, cause: &str) -> UseMove {
    UseMove { counter: uses_of(text), change: UseChange::Use { by, limit }, cause: cause.to_owned() }
}

pub fn give_back(text: &str, by: u64, cause: &str) -> UseMove {
    UseMove { counter: uses_of(text), change: UseChange::GiveBack { by }, cause: cause.to_owned() }
}

pub fn count(moves: impl IntoIterator<Item = UseMove>) -> Change {
    Change { uses: moves.into_iter().collect(), ..Change::default() }
}

// ---- sessions

/// Guest session `n` at version 1, until `at(100)`.
pub fn session(n: u128) -> Session {
    Session {
        id: SessionId(n),
        customer: None,
        device: Some(text("A browser")),
        created_at: START,
        expires_at: at(100),
        version: Version(1),
    }
}

pub fn session_event(n: u128, sequence: u64, event: SessionEvent) -> Outgoing {
    Outgoing::new(Subject::Session(SessionId(n)), sequence, START, Event::Session(event))
}

pub fn digest(n: u8) -> TokenDigest {
    TokenDigest([n; 32])
}

// ---- payments

pub fn token(text: &str) -> PaymentToken {
    PaymentToken::parse(text).expect("a payment token")
}

/// 12.99 USD on this token.
pub fn authorize(text: &str) -> Authorize {
    Authorize { token: token(text), amount: usd(1299), reference: "CW-TEST".to_owned(), checkout: CheckoutId(1), return_url: None }
}
