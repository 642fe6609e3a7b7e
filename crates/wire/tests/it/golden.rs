//! What clients see, byte for byte: a change here is a change for every client. `UPDATE_GOLDEN=1` writes the
//! files anew.

use app::{CartView, CheckoutView, ShippingOffer};
use domain::cart::{Cart, Command, Lifetimes, Owner};
use domain::catalog::{Format, Offer};
use domain::checkout::{Attempt, Checkout, Details, State};
use domain::ids::{
    AttemptId, BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, OrderId, PaymentToken, RefundId, SessionId, ShippingOptionId,
    Sku, TaxName, Version,
};
use domain::money::{Currency, Money, Ppm};
use domain::order::{Actor, Number, Order, OrderEvent, RefundOf, RefundRequest, Status};
use domain::person::{Address, Country, Email};
use domain::pricing::{Benefit, Context, Given, Line, Off, Place, Promotion, Rules, ShippingOption, Target, TaxRate, quote};
use domain::quantity::Quantity;
use domain::refusal::{Refusal, Short};
use domain::session::Session;
use domain::text::Text;
use domain::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wire::cart::CartBody;
use wire::checkout::{CheckoutBody, CompletedBody, WaitingBody};
use wire::order::history;
use wire::problem::Problem;
use wire::session::SessionBody;

const NOW: Timestamp = Timestamp(1_750_000_000_123_456);
const DAY: Duration = Duration::from_secs(86_400);
const LIFETIMES: Lifetimes = Lifetimes { guest: DAY, customer: DAY, empty: DAY };

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

pub(crate) fn text<const N: usize>(text: &str) -> Text<N> {
    Text::parse(text).expect("a text")
}

fn code(text: &str) -> CouponCode {
    CouponCode::parse(text).expect("a code")
}

pub(crate) fn check(name: &str, body: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let got = format!("{}\n", serde_json::to_string_pretty(body).expect("JSON"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &got).expect("written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, golden, "{name}");
}

fn offers(price: i64) -> BTreeMap<EditionId, Offer> {
    let offer = |n: u128, list, unit, available| Offer {
        edition: EditionId(n),
        book: BookId(n),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
        title: text("The Time Machine"),
        image_url: Some(text("https://img.example/1.jpg")),
        format: Format::Paperback,
        list_price: usd(list),
        unit_price: usd(unit),
        available,
        weight_g: 0,
        headings: Arc::default(),
    };
    BTreeMap::from([(EditionId(1), offer(1, 1899, price, 25)), (EditionId(2), offer(2, 700, 700, 1)), (EditionId(3), offer(3, 5, 5, 9))])
}

fn rules() -> Rules {
    let off = Benefit::Goods { of: Target::default(), off: Off::Rate(Ppm(100_000)) };
    let coupon = Promotion::coupon(code("WELCOME10"), text("10 % off"), off);
    let texas = Place { region: Some(text("TX")), ..Place::country(Country::parse("US").expect("a country")) };
    let tax = TaxRate::of(TaxName::parse("SALES").expect("a name"), texas, text("Sales tax"), Ppm(82_500));
    let standard = ShippingOption::flat(ShippingOptionId::parse("standard").expect("an id"), text("Standard"), usd(391));
    Rules::new(vec![coupon], vec![tax], vec![standard])
}

fn address() -> Address {
    Address {
        name: text("Ada Byron"),
        company: None,
        line1: text("12 Main St"),
        line2: None,
        city: text("Austin"),
        region: Some(text("TX")),
        postal_code: text("78701"),
        country: Country::parse("US").expect("a country"),
        phone: None,
    }
}

/// Bought at 14.99 and 7.00; then the first became dearer, the second scarce and the third disappeared.
fn cart() -> Cart {
    let add = |n, q| Command::Add { edition: EditionId(n), quantity: Quantity::new(q).expect("a quantity") };
    let commands = [
        add(1, 2),
        add(2, 3),
        add(3, 1),
        Command::Coupons(vec![code("WELCOME10"), code("NOPE")]),
        Command::Note(Some(text("Please wrap as a gift."))),
        Command::Metadata(BTreeMap::from([(text("from"), text("newsletter"))])),
    ];
    let owner = Owner::Customer(CustomerId::parse("ada").expect("an id"));
    let created = Cart::create(CartId(1), owner, usd(0).currency(), &LIFETIMES, NOW);
    created.cart.decide(&commands, &offers(1499), &LIFETIMES, NOW).expect("decided").cart
}

fn given(cart: &Cart) -> Vec<Given> {
    cart.coupons.iter().map(|code| rules().given(code)).collect()
}

fn cart_view() -> CartView {
    let (cart, mut offers) = (cart(), offers(1599));
    offers.remove(&EditionId(3));
    let context = Context::cart(cart.currency);
    let quote = quote(&cart.lines(), &given(&cart), &offers, &rules(), &context, NOW).expect("in range");
    CartView { warnings: cart.warnings(&quote), cart: Arc::new(cart), quote }
}

fn checkout() -> Checkout {
    let cart = cart();
    let context = Context { destination: Some((&address()).into()), ..Context::cart(cart.currency) };
    let quote = quote(&cart.lines(), &given(&cart), &offers(1499), &rules(), &context, NOW).expect("in range");
    let (mut checkout, _) = Checkout::start(CheckoutId(1), &cart, quote, DAY, NOW);
    let email = Email::parse("ada@example.com");
    checkout.fill_in(Details { email, shipping_address: Some(address()), ..Details::default() });
    checkout.version = Version(2);
    checkout
}

fn paid() -> Checkout {
    let checkout = checkout();
    let attempt = Attempt {
        id: AttemptId(1),
        token: PaymentToken::parse("tok_visa").expect("a token"),
        amount: checkout.quote.total,
        order: OrderId(1),
        number: Number::from_random(42),
        mark: domain::cart::OnceMark { key: [1; 16], fingerprint: [2; 16] },
        started_at: NOW,
        reserved_until: NOW,
        tries: 1,
        return_url: None,
        challenge: Some("https://psp.example/challenge/1".to_owned()),
    };
    Checkout { attempt: Some(attempt), state: State::Completed { settled: true }, ..checkout }
}

#[test]
fn a_cart() {
    check("cart.json", &CartBody::from(&cart_view()));
}

#[test]
fn a_checkout() {
    let offer = ShippingOffer { id: ShippingOptionId::parse("standard").expect("an id"), label: text("Standard"), price: usd(391) };
    check("checkout.json", &CheckoutBody::from(&CheckoutView { checkout: checkout(), options: vec![offer.clone()] }));
    check("checkout_paid.json", &CheckoutBody::from(&CheckoutView { checkout: paid(), options: vec![offer.clone()] }));
    let challenged = Checkout { state: State::Challenged, ..paid() };
    check("checkout_challenged.json", &CheckoutBody::from(&CheckoutView { checkout: challenged, options: vec![offer] }));
    check("checkout_waiting.json", &WaitingBody::from(&Checkout { state: State::Challenged, ..paid() }));
}

#[test]
fn an_order_and_its_history() {
    let placed = Order::placed_by(&paid()).expect("complete");
    let ada = CustomerId::parse("ada").expect("an id");
    let appended = Order::place(placed, Actor::Customer(ada), "pay_1", NOW);
    let captured = vec![OrderEvent::PaymentCaptured { amount: appended.order.quote.total }, OrderEvent::Confirmed];
    let confirmed = appended.order.append(captured, &Actor::System, "pay_1", NOW);
    let mut moved = address();
    moved.line1 = text("1 Elm St");
    let changed = confirmed.order.append(confirmed.order.change_address(moved).expect("allowed"), &Actor::Guest, "request", NOW);
    let boss = Actor::Admin(CustomerId::parse("boss").expect("an id"));
    let one = Line { edition: EditionId(1), quantity: Quantity::ONE };
    let request = RefundRequest { what: RefundOf::Items(vec![one]), restock: None, reason: Some(text("a torn page")) };
    let asked = changed.order.request_refund(RefundId(1), request, NOW).expect("allowed");
    let asked = changed.order.append(asked, &boss, "request", NOW);
    let owed = asked.order.owed().expect("a refund");
    let paid_back = asked.order.append(asked.order.taken(owed), &Actor::System, &RefundId(1).to_string(), NOW);
    let reason = Some(text("changed my mind"));
    let canceled = paid_back.order.change_status(Status::Canceled, reason, RefundId(2), NOW).expect("allowed");
    let canceled = paid_back.order.append(canceled, &boss, "request", NOW);
    check("order.json", &CompletedBody::from(&canceled.order));
    let events: Vec<_> = [appended.events, confirmed.events, changed.events, asked.events, paid_back.events, canceled.events].concat();
    check("order_events.json", &history(&events));
}

#[test]
fn a_session() {
    let session = Arc::new(Session {
        id: SessionId(1),
        customer: None,
        device: Some(text("Firefox on Linux")),
        created_at: NOW,
        expires_at: NOW.plus(DAY),
        version: Version(1),
    });
    check("session_new.json", &SessionBody::from(&app::NewSession { session: Arc::clone(&session), token: "gst_00".to_owned() }));
    check("session.json", &SessionBody::from(&app::SessionView { session, cart: Some(CartId(1)) }));
}

#[test]
fn a_problem() {
    let short = Short { edition: EditionId(2), sku: Sku::parse("SKU-2"), wanted: 3, available: 1 };
    let out_of_stock = Problem::from(&Refusal::OutOfStock { short: vec![short] });
    check("problem.json", &out_of_stock.at("/api/v1/checkout/process", "4bf92f3577b34da6a3ce929d0e0e4736"));
    let invalid = wire::Invalid::one("items[0].quantity", "WRONG_TYPE", "Must be an integer, not a string.");
    check("problem_invalid.json", &Problem::from(invalid).at("/api/v1/cart", "4bf92f3577b34da6a3ce929d0e0e4736"));
}
