//! Values with something in every field, and with every variant somewhere.

use crate::quotes::{promoted_quote, quote};
use domain::cart::{Cart, CartEvent, Item, Metadata, OnceMark, Owner, Strategy};
use domain::catalog::{Book, Edition, Format, Heading, HeadingId, HeadingKind, Isbn13, Ratings};
use domain::checkout::{AfterUndo, Attempt, Checkout, CheckoutEvent, PaymentError, State};
use domain::event::{BookEvent, Event, Outgoing, StockEvent, Subject};
use domain::ids::{
    AttemptId, BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, ItemId, OrderId, PaymentToken, RefundId, SessionId,
    ShippingOptionId, Sku, Version,
};
use domain::money::{Currency, Money, Ppm};
use domain::order::{Actor, Number, Order, OrderEvent, PaymentStatus, Placed, Recorded, Refund, RefundedItem, Status};
use domain::person::{Address, Country, Email};
use domain::pricing::{Adjustment, AdjustmentKind, Assessed, Assessment, Due, Line, Quote, Reason};
use domain::quantity::Quantity;
use domain::session::{Session, SessionEvent};
use domain::stock::{StockChange, StockLevel};
use domain::text::Text;
use domain::time::Timestamp;
use domain::trace::TraceContext;

/// The bits of an id of 2025: time in front, chance behind.
pub const fn bits(n: u128) -> u128 {
    (1_750_000_000_000 << 80) | 0x1234_5678_9abc_def0_0000 | n
}

pub const fn at(seconds: i64) -> Timestamp {
    Timestamp(1_750_000_000_123_456 + seconds * 1_000_000)
}

pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::parse_block(text).expect("a text")
}

pub fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("an amount")
}

pub fn copies(n: u32) -> Quantity {
    Quantity::new(n.into()).expect("a quantity")
}

pub fn code(text: &str) -> CouponCode {
    CouponCode::parse(text).expect("a code")
}

fn customer() -> CustomerId {
    CustomerId::parse("auth0|64f0c2").expect("a customer")
}

fn mark(n: u8) -> OnceMark {
    OnceMark { key: [n; 16], fingerprint: [n + 1; 16] }
}

pub fn option() -> ShippingOptionId {
    ShippingOptionId::parse("standard-us").expect("an option")
}

pub fn carts() -> Vec<Cart> {
    let item = |n: u128, quantity, price| Item {
        id: ItemId(bits(n)),
        edition: EditionId(bits(n)),
        book: BookId(bits(n + 100)),
        quantity: copies(quantity),
        seen_price: price,
        added_at: at(1),
        updated_at: at(2),
    };
    let rich = Cart {
        id: CartId(bits(1)),
        owner: Owner::Customer(customer()),
        currency: Currency::parse("USD").expect("a currency"),
        version: Version(300),
        items: vec![item(1, 1, usd(1299)), item(2, 999, usd(0)), item(3, 128, usd(domain::limits::AMOUNT_MAX))],
        coupons: vec![code("TEN"), code("WELCOME-5")],
        note: Some(text("Gift wrap,\nplease — „schön“ 📚")),
        metadata: Metadata::from([(text("channel"), text("web")), (text("a"), text("b"))]),
        checkout: Some(CheckoutId(bits(4))),
        settled: Some(CheckoutId(bits(5))),
        marks: vec![mark(1), mark(0xee)],
        merged: vec![CartId(bits(6)), CartId(0), CartId(u128::MAX)],
        created_at: at(0),
        updated_at: at(2),
        expires_at: at(2 + 90 * 86_400),
    };
    let bare = Cart {
        owner: Owner::Guest(SessionId(bits(7))),
        currency: Currency::parse("JPY").expect("a currency"),
        version: Version(1),
        items: vec![],
        coupons: vec![],
        note: None,
        metadata: Metadata::new(),
        checkout: None,
        settled: None,
        marks: vec![],
        merged: vec![],
        created_at: Timestamp(0),
        updated_at: Timestamp(-1),
        ..rich
    };
    vec![rich, bare]
}

fn address() -> Address {
    Address {
        name: text("Ada Lovelace"),
        company: Some(text("Analytical Engines")),
        line1: text("12 St James's Square"),
        line2: Some(text("Second \"floor\"")),
        city: text("San Francisco"),
        region: Some(text("CA")),
        postal_code: text("94105"),
        country: Country::parse("US").expect("a country"),
        phone: Some(text("+1 415 555 0100")),
    }
}

fn plain_address() -> Address {
    Address { company: None, line2: None, region: None, phone: None, country: Country::parse("DE").expect("a country"), ..address() }
}

/// A checkout whose quote has promotions of every kind.
pub fn promoted_checkout() -> Checkout {
    Checkout { quote: promoted_quote(), ..checkouts().swap_remove(0) }
}

/// A checkout whose taxes somebody else assessed, or nobody could.
pub fn assessed_checkouts() -> Vec<Checkout> {
    let due =
        |rate| Due { code: text("US-CA"), label: text("California"), rate, lines: vec![(ItemId(bits(1)), usd(170))], shipping: usd(36) };
    let with = |estimated, rate| {
        let checkout = checkouts().swap_remove(1);
        let reason = Reason::Assessed { rate, of: usd(2838), included: false };
        let adjustment = Adjustment::new(AdjustmentKind::Tax, "US-CA".into(), text("California"), usd(206), reason);
        let quote = Quote { tax_estimated: estimated, adjustments: vec![adjustment], ..checkout.quote };
        let assessed = Assessed { included: false, taxes: vec![due(rate)], estimated };
        Checkout { quote, assessment: Some(Assessment { asked: *b"0123456789abcdef", assessed }), ..checkout }
    };
    vec![with(false, None), with(true, Some(Ppm(72_500)))]
}

/// An edition with a weight.
pub fn heavy_book() -> Book {
    let mut book = books().swap_remove(0);
    book.editions[0].weight_g = Some(350);
    book
}

/// The first has something in every field, the second as little as there can be, the others another state each.
pub fn checkouts() -> Vec<Checkout> {
    let rich = Checkout {
        id: CheckoutId(bits(1)),
        cart: CartId(bits(1)),
        cart_version: Version(7),
        owner: Owner::Customer(customer()),
        lines: vec![Line { edition: EditionId(bits(1)), quantity: copies(2) }, Line { edition: EditionId(bits(2)), quantity: copies(3) }],
        coupons: vec![code("TEN")],
        email: Email::parse("ada@example.com"),
        shipping_address: Some(address()),
        billing_address: Some(plain_address()),
        shipping_option: Some(option()),
        quote: quote(),
        assessment: None,
        state: State::Authorizing,
        attempt: Some(Attempt {
            id: AttemptId(bits(1)),
            token: PaymentToken::parse("tok_visa").expect("a token"),
            amount: usd(10_531),
            order: OrderId(bits(1)),
            number: Number::from_random(0x0123_4567_89ab_cdef),
            mark: mark(1),
            started_at: at(5),
            reserved_until: at(605),
            tries: 2,
            return_url: None,
            challenge: None,
        }),
        earlier: vec![],
        last_error: Some(PaymentError { code: "card_declined".into(), detail: "The card was declined.".into() }),
        version: Version(4),
        events: 3,
        created_at: at(0),
        expires_at: at(1800),
        due_at: at(35),
    };
    let bare = Checkout {
        owner: Owner::Guest(SessionId(bits(7))),
        lines: vec![],
        coupons: vec![],
        email: None,
        shipping_address: None,
        billing_address: None,
        shipping_option: None,
        quote: Quote {
            lines: vec![],
            unavailable: vec![],
            tax_included: false,
            settled: false,
            shipping_option: None,
            adjustments: vec![],
            not_applied: vec![],
            uses: vec![],
            ..quote()
        },
        assessment: None,
        state: State::Open,
        attempt: None,
        earlier: vec![],
        last_error: None,
        ..rich
    };
    let states = [
        State::Challenged,
        State::Capturing,
        State::Undoing { then: AfterUndo::Open },
        State::Undoing { then: AfterUndo::Canceled },
        State::Undoing { then: AfterUndo::Failed },
        State::Completed { settled: false },
        State::Canceled { settled: true },
        State::Expired { settled: false },
    ];
    let others = states.map(|state| Checkout { state, ..bare.clone() });
    [rich, bare].into_iter().chain(others).collect()
}

fn placed() -> Placed {
    Placed {
        id: OrderId(bits(1)),
        number: Number::from_random(0x0123_4567_89ab_cdef),
        owner: Owner::Guest(SessionId(bits(7))),
        checkout: CheckoutId(bits(1)),
        attempt: AttemptId(bits(1)),
        email: Email::parse("ada@example.com").expect("an address"),
        shipping_address: address(),
        billing_address: plain_address(),
        quote: quote(),
        coupons: vec![code("TEN")],
    }
}

fn order_events() -> Vec<OrderEvent> {
    vec![
        OrderEvent::Placed(Box::new(placed())),
        OrderEvent::PaymentAuthorized { amount: usd(10_531) },
        OrderEvent::PaymentCaptured { amount: usd(10_531) },
        OrderEvent::Confirmed,
        OrderEvent::Processing,
        OrderEvent::Shipped,
        OrderEvent::Delivered,
        OrderEvent::Canceled { reason: Some(text("Too slow")), payment: PaymentStatus::Refunding },
        OrderEvent::RefundOfAllRequested,
        OrderEvent::PaymentVoided { amount: usd(10_531) },
        OrderEvent::PaymentRefunded { amount: usd(10_531), refund: None },
        OrderEvent::Refunded,
        OrderEvent::Failed { reason: "capture refused".into() },
        OrderEvent::AddressChanged { from: Box::new(address()), to: Box::new(plain_address()) },
    ]
}

/// Every event, by every kind of actor.
pub fn history() -> Vec<Recorded> {
    let actors = [Actor::Guest, Actor::Customer(customer()), Actor::Admin(customer()), Actor::System];
    let recorded = |((sequence, event), actor)| Recorded { sequence, at: at(5), actor, cause: "pay_1/\"capture\"".into(), event };
    (1..).zip(order_events()).zip(actors.into_iter().cycle()).map(recorded).collect()
}

fn refunds() -> Vec<Refund> {
    let item = RefundedItem { edition: EditionId(bits(1)), quantity: copies(1), amount: usd(1_254) };
    let part = Refund {
        id: RefundId(bits(1)),
        amount: usd(1_254),
        items: vec![item],
        restock: true,
        reason: Some(text("A torn page")),
        requested_at: at(60),
        paid_at: Some(at(61)),
        refused: None,
    };
    let amount = Refund {
        id: RefundId(bits(2)),
        amount: usd(100),
        items: vec![],
        restock: false,
        reason: None,
        paid_at: None,
        refused: None,
        ..part
    };
    vec![part, amount]
}

fn later_order_events() -> Vec<OrderEvent> {
    let error = PaymentError { code: "capture_failed".into(), detail: "The bank refused the capture.".into() };
    let asked = refunds().into_iter().map(|r| OrderEvent::RefundRequested(Box::new(r)));
    let paid_back = OrderEvent::PaymentRefunded { amount: usd(1_254), refund: Some(RefundId(bits(1))) };
    [OrderEvent::CaptureRequested, OrderEvent::CaptureRefused { error }].into_iter().chain(asked).chain([paid_back]).collect()
}

/// What orders have known to happen since money is taken on shipment and paid back in part.
pub fn later_history() -> Vec<Recorded> {
    let recorded = |(sequence, event)| Recorded { sequence, at: at(60), actor: Actor::System, cause: "rfd_1".into(), event };
    (15..).zip(later_order_events()).map(recorded).collect()
}

pub fn later_outgoing() -> Vec<Outgoing> {
    let order = Subject::Order(OrderId(bits(1)));
    let outgoing = |(sequence, event)| Outgoing::new(order, sequence, at(60), Event::Order(event));
    (15..).zip(later_order_events()).map(outgoing).collect()
}

/// Events whose cause belongs to a trace.
pub fn traced_outgoing() -> Vec<Outgoing> {
    let trace = |state| TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state);
    let traced = |(event, state)| Outgoing { trace: trace(state), ..event };
    outgoing().into_iter().zip([None, Some("rojo=00f067aa0ba902b7,congo=\"t61\"")]).map(traced).collect()
}

/// Refunds that the provider will not pay.
fn refused_events() -> Vec<OrderEvent> {
    let error = PaymentError { code: "account_closed".into(), detail: "The account was closed.".into() };
    let refused = |refund| OrderEvent::RefundRefused { refund, error: error.clone() };
    vec![refused(Some(RefundId(bits(2)))), refused(None)]
}

pub fn refused_history() -> Vec<Recorded> {
    let recorded = |(sequence, event)| Recorded { sequence, at: at(60), actor: Actor::System, cause: "rfd_2".into(), event };
    (21..).zip(refused_events()).map(recorded).collect()
}

pub fn refused_outgoing() -> Vec<Outgoing> {
    let order = Subject::Order(OrderId(bits(1)));
    let outgoing = |(sequence, event)| Outgoing::new(order, sequence, at(60), Event::Order(event));
    (21..).zip(refused_events()).map(outgoing).collect()
}

/// An order whose second refund was refused.
pub fn refused_order() -> Order {
    let mut order = refunded_order();
    order.refunds[1].refused = Some(PaymentError { code: "account_closed".into(), detail: "The account was closed.".into() });
    order
}

/// An order some of which was paid back.
pub fn refunded_order() -> Order {
    Order { payment: PaymentStatus::PartiallyRefunded, refunds: refunds(), ..order() }
}

/// A checkout at a challenge, not its first attempt.
pub fn challenged_checkout() -> Checkout {
    let mut checkout = checkouts().remove(0);
    checkout.state = State::Challenged;
    checkout.earlier = vec![AttemptId(bits(8)), AttemptId(bits(9))];
    if let Some(attempt) = &mut checkout.attempt {
        attempt.return_url = Some(text("https://shop.example/return"));
        attempt.challenge = Some("https://psp.example/challenge/1".into());
    }
    checkout
}

pub fn order() -> Order {
    let p = placed();
    Order {
        id: p.id,
        number: p.number,
        owner: p.owner,
        checkout: p.checkout,
        attempt: p.attempt,
        email: p.email,
        shipping_address: p.shipping_address,
        billing_address: p.billing_address,
        quote: p.quote,
        coupons: p.coupons,
        status: Status::Shipped,
        payment: PaymentStatus::Captured,
        refunds: vec![],
        placed_at: at(5),
        updated_at: at(50),
        version: Version(5),
    }
}

fn heading_id(kind: HeadingKind) -> HeadingId {
    HeadingId { kind, bits: bits(1) }
}

pub fn headings() -> Vec<Heading> {
    HeadingKind::ALL.map(|kind| Heading { id: heading_id(kind), name: text("Stanisław Lem"), version: Version(2) }).into()
}

pub fn books() -> Vec<Book> {
    let edition = |n: u128, format, sale_price| Edition {
        id: EditionId(bits(n)),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a SKU"),
        format,
        price: usd(1499),
        sale_price,
        weight_g: None,
    };
    let rich = Book {
        id: BookId(bits(1)),
        title: text("Solaris"),
        subtitle: Some(text("A novel")),
        description: Some(text("The first line.\n\tThe \"second\".")),
        authors: vec![heading_id(HeadingKind::Author)],
        categories: vec![heading_id(HeadingKind::Category)],
        publisher: Some(heading_id(HeadingKind::Publisher)),
        language: text("pl"),
        published_year: Some(1961),
        isbn13: Isbn13::parse("9780441172719"),
        image_url: Some(text("https://example.com/solaris.jpg")),
        editions: (1..).zip(Format::ALL).map(|(n, f)| edition(n, f, (n == 1).then(|| usd(1299)))).collect(),
        ratings: Ratings { average_milli: 4_567, count: 89 },
        version: Version(3),
        updated_at: at(9),
    };
    let bare = Book {
        subtitle: None,
        description: None,
        authors: vec![],
        categories: vec![],
        publisher: None,
        published_year: None,
        isbn13: None,
        image_url: None,
        editions: vec![],
        ratings: Ratings::default(),
        ..rich.clone()
    };
    vec![rich, bare]
}

pub fn sessions() -> Vec<Session> {
    let rich = Session {
        id: SessionId(bits(1)),
        customer: Some(customer()),
        device: Some(text("Firefox on Linux")),
        created_at: at(0),
        expires_at: at(3600),
        version: Version(2),
    };
    vec![rich.clone(), Session { customer: None, device: None, ..rich }]
}

/// One of every event there is.
pub fn outgoing() -> Vec<Outgoing> {
    let edition = EditionId(bits(1));
    let error = PaymentError { code: "card_declined".into(), detail: "The card was declined.".into() };
    let attempt = AttemptId(bits(1));
    let carts = [
        CartEvent::Created { currency: Currency::parse("KWD").expect("a currency") },
        CartEvent::ItemAdded { edition, added: copies(1), quantity: copies(3), unit_price: usd(1299) },
        CartEvent::ItemRemoved { edition, quantity: copies(3) },
        CartEvent::ItemQuantityUpdated { edition, from: copies(3), to: copies(2) },
        CartEvent::Cleared,
        CartEvent::Updated,
        CartEvent::Merged { source: CartId(bits(2)), strategy: Strategy::Sum },
        CartEvent::Converted { checkout: CheckoutId(bits(1)), order: OrderId(bits(1)) },
        CartEvent::Deleted { merged_into: Some(CartId(bits(2))) },
        CartEvent::Expired,
    ];
    let checkouts = [
        CheckoutEvent::Started { cart: CartId(bits(1)), cart_version: Version(7) },
        CheckoutEvent::Processing { attempt, amount: usd(10_531) },
        CheckoutEvent::Completed { order: OrderId(bits(1)) },
        CheckoutEvent::PaymentDeclined { attempt, error: error.clone() },
        CheckoutEvent::Failed { attempt, error },
        CheckoutEvent::Canceled,
        CheckoutEvent::Expired,
    ];
    let stock = [
        StockChange::Reserve(2),
        StockChange::Release(2),
        StockChange::Consume(2),
        StockChange::Return(2),
        StockChange::Receive(-2),
        StockChange::Count(7),
    ];
    let moved = |change| StockEvent { change, cause: "pay_1/reserve".into(), after: StockLevel { on_hand: 7, reserved: 2, moves: 9 } };
    let books = [BookEvent::Created, BookEvent::Updated, BookEvent::Deleted];
    let sessions = [SessionEvent::Started, SessionEvent::Updated, SessionEvent::Ended];
    let all = carts
        .map(|e| (Subject::Cart(CartId(bits(1))), Event::Cart(e)))
        .into_iter()
        .chain(checkouts.map(|e| (Subject::Checkout(CheckoutId(bits(1))), Event::Checkout(e))))
        .chain(order_events().into_iter().map(|e| (Subject::Order(OrderId(bits(1))), Event::Order(e))))
        .chain(stock.map(|change| (Subject::Stock(edition), Event::Stock(moved(change)))))
        .chain(books.map(|e| (Subject::Book(BookId(bits(1))), Event::Book(e))))
        .chain(sessions.map(|e| (Subject::Session(SessionId(bits(1))), Event::Session(e))));
    (1..).zip(all).map(|(sequence, (subject, event))| Outgoing::new(subject, sequence, at(3), event)).collect()
}
