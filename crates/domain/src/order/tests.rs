use super::*;
use crate::catalog::{Format, Offer};
use crate::ids::{BookId, EditionId, SessionId, ShippingOptionId, Sku, TaxName};
use crate::money::{Currency, Ppm};
use crate::person::Country;
use crate::pricing::{Benefit, Context, Line, Off, Place, Promotion, Rules, ShippingOption, Target, TaxRate, quote};
use crate::quantity::Quantity;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn address(line1: &str) -> Address {
    let text = |t: &str| Text::parse(t).expect("a short text");
    Address {
        name: text("Ada"),
        company: None,
        line1: Text::parse(line1).expect("a short text"),
        line2: None,
        city: text("London"),
        region: None,
        postal_code: Text::parse("N1").expect("a short text"),
        country: Country::parse("GB").expect("a country"),
        phone: None,
    }
}

const REFUND: RefundId = RefundId(7);

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").expect("a currency")).expect("in range")
}

/// So many copies of each edition, from edition 1 on.
fn lines(copies: &[i64]) -> Vec<Line> {
    let wanted = (1..).zip(copies).filter(|(_, n)| **n > 0);
    wanted.map(|(edition, n)| Line { edition: EditionId(edition), quantity: Quantity::new(*n).expect("a quantity") }).collect()
}

/// Three editions at 12.99, 8.50 and 0.01, less 10 %, taxed at 8.25 %, with the shipping and its tax.
fn bought(copies: &[i64], included: bool) -> Quote {
    let text = |t: &str| Text::parse(t).expect("a short text");
    let gb = Country::parse("GB").expect("a country");
    let offers: BTreeMap<EditionId, Offer> = (1..).zip([1299, 850, 1]).map(|(n, price)| (EditionId(n), offer(n, usd(price)))).collect();
    let ten = CouponCode::parse("TEN").expect("a code");
    let off = Benefit::Goods { of: Target::default(), off: Off::Rate(Ppm(100_000)) };
    let vat = TaxRate::of(TaxName::parse("VAT").expect("a name"), Place::country(gb), text("Tax"), Ppm(82_500));
    let rules = Rules::new(
        vec![Promotion::coupon(ten.clone(), text("10 % off"), off)],
        vec![TaxRate { included, shipping_taxed: true, ..vat }],
        vec![ShippingOption::flat(ShippingOptionId::parse("post").expect("an id"), text("Post"), usd(499))],
    );
    let context = Context { destination: Some((&address("1 Road")).into()), ..Context::cart(usd(0).currency()) };
    quote(&lines(copies), &[rules.given(&ten)], &offers, &rules, &context, Timestamp(0)).expect("a sum in range")
}

fn offer(n: u128, price: Money) -> Offer {
    Offer {
        edition: EditionId(n),
        book: BookId(n),
        sku: Sku::parse(&format!("SKU-{n}")).expect("a SKU"),
        title: Text::parse("A book").expect("a short text"),
        image_url: None,
        format: Format::Paperback,
        list_price: price,
        unit_price: price,
        available: 9,
        weight_g: 0,
        headings: std::sync::Arc::default(),
    }
}

fn placed() -> Appended {
    let usd = Currency::parse("USD").expect("a currency");
    let placed = Placed {
        id: OrderId(1),
        number: Number::from_random(1),
        owner: Owner::Guest(SessionId(1)),
        checkout: CheckoutId(1),
        attempt: AttemptId(1),
        email: Email::parse("ada@example.com").expect("an address"),
        shipping_address: address("1 Road"),
        billing_address: address("1 Road"),
        quote: quote(&[], &[], &BTreeMap::new(), &Rules::default(), &Context::cart(usd), Timestamp(0)).expect("nothing to add up"),
        coupons: vec![],
    };
    Order::place(placed, Actor::Guest, "test", Timestamp(1))
}

fn order(status: Status, payment: PaymentStatus) -> Order {
    Order { status, payment, ..placed().order }
}

#[test]
fn only_listed_changes_of_status_are_possible() {
    for from in Status::ALL {
        for to in Status::ALL {
            let got = order(from, PaymentStatus::Captured).change_status(to, None, REFUND, Timestamp(2));
            let want = match (from.can_become(to), from) {
                (false, _) => Err(Refusal::OrderTransitionInvalid { from, to }),
                (true, Status::Pending) => Err(Refusal::OrderPaymentPending),
                (true, _) => Ok(()),
            };
            assert_eq!(got.map(drop), want, "{from:?} → {to:?}");
        }
    }
}

#[test]
fn canceling_takes_the_money_back_where_it_is() {
    for (payment, after, owed) in [
        (PaymentStatus::Authorized, PaymentStatus::Voiding, Some(Owed::Void)),
        (PaymentStatus::Captured, PaymentStatus::Refunding, Some(Owed::Refund { id: REFUND, amount: usd(0) })),
        (PaymentStatus::Voided, PaymentStatus::Voided, None),
        (PaymentStatus::Refunded, PaymentStatus::Refunded, None),
    ] {
        let before = order(Status::Confirmed, payment);
        let events = before.change_status(Status::Canceled, None, REFUND, Timestamp(2)).expect("possible");
        let canceled = before.append(events, &Actor::System, "test", Timestamp(2)).order;
        assert_eq!((canceled.status, canceled.payment, canceled.owed()), (Status::Canceled, after, owed), "{payment:?}");
    }
}

#[test]
fn nothing_changes_while_money_is_moving() {
    for payment in PaymentStatus::ALL.into_iter().filter(|p| p.is_moving()) {
        let moving = order(Status::Processing, payment);
        assert!(moving.owed().is_some(), "{payment:?}");
        for to in [Status::Shipped, Status::Canceled] {
            assert_eq!(moving.change_status(to, None, REFUND, Timestamp(2)), Err(Refusal::OrderPaymentPending), "{payment:?} → {to:?}");
        }
        assert_eq!(moving.request_refund(REFUND, ask(&[1]), Timestamp(2)), Err(Refusal::OrderPaymentPending), "{payment:?}");
    }
}

#[test]
fn goods_leave_when_their_money_is_there() {
    let after = |before: &Order, events| before.append(events, &Actor::System, "test", Timestamp(2)).order;
    for (payment, shipped) in
        [(PaymentStatus::Captured, true), (PaymentStatus::PartiallyRefunded, true), (PaymentStatus::Authorized, false)]
    {
        let before = order(Status::Processing, payment);
        let events = before.change_status(Status::Shipped, None, REFUND, Timestamp(2)).expect("possible");
        assert_eq!(after(&before, events).status == Status::Shipped, shipped, "{payment:?}");
    }
    let waiting = after(&order(Status::Processing, PaymentStatus::Authorized), vec![OrderEvent::CaptureRequested]);
    assert_eq!((waiting.status, waiting.owed()), (Status::Processing, Some(Owed::Capture)));
    let taken = after(&waiting, waiting.taken(Owed::Capture));
    assert_eq!((taken.status, taken.payment), (Status::Shipped, PaymentStatus::Captured));
    let error = PaymentError { code: "capture_failed".into(), detail: String::new() };
    let refused = after(&waiting, vec![OrderEvent::CaptureRefused { error }]);
    assert_eq!((refused.status, refused.payment), (Status::Processing, PaymentStatus::Authorized));
}

fn ask(copies: &[i64]) -> RefundRequest {
    RefundRequest { what: RefundOf::Items(lines(copies)), restock: None, reason: None }
}

/// An order that was paid.
fn paid(status: Status, copies: &[i64], included: bool) -> Order {
    Order { quote: bought(copies, included), ..order(status, PaymentStatus::Captured) }
}

/// The order after a refund was asked for and paid back, or why not.
fn refunded(order: &Order, id: u128, request: RefundRequest) -> Result<Order, Refusal> {
    let asked = order.append(order.request_refund(RefundId(id), request, Timestamp(3))?, &Actor::System, "test", Timestamp(3)).order;
    let owed = asked.owed().expect("a refund is owed");
    Ok(asked.append(asked.taken(owed), &Actor::System, "test", Timestamp(4)).order)
}

fn amounts(order: &Order) -> Vec<i64> {
    order.refunds.iter().map(|r| r.amount.minor()).collect()
}

#[test]
fn copies_are_paid_back_at_what_they_cost_and_the_last_with_the_shipping() {
    // 3 × 12.99 and 8.50 are 47.47, less 4.75, of which 3.90 and 0.85 fall on the lines; tax 2.89 and 0.63,
    // and 0.41 on the shipping of 4.99: 37.96, 8.28 and 5.40 are 51.64.
    for (splits, paid_back) in [
        (vec![vec![3, 1]], vec![5164]),
        (vec![vec![1], vec![1], vec![1], vec![0, 1]], vec![1266, 1265, 1265, 1368]),
        (vec![vec![0, 1], vec![2], vec![1]], vec![828, 2531, 1805]),
    ] {
        let mut order = paid(Status::Shipped, &[3, 1], false);
        assert_eq!(order.quote.total, usd(5164));
        for (n, copies) in (1..).zip(&splits) {
            assert_eq!(order.payment == PaymentStatus::PartiallyRefunded, n > 1, "{splits:?}");
            order = refunded(&order, n, ask(copies)).expect("copies that are left");
        }
        assert_eq!((amounts(&order), order.payment), (paid_back, PaymentStatus::Refunded), "{splits:?}");
    }
}

#[test]
fn more_than_what_is_left_is_refused_with_the_facts() {
    let one = refunded(&paid(Status::Shipped, &[3, 1], false), 1, ask(&[2])).expect("two of three");
    let amount = |amount| RefundRequest { what: RefundOf::Amount(amount), restock: None, reason: None };
    let left = usd(5164 - 2531);
    let euro = Money::new(1, Currency::parse("EUR").expect("a currency")).expect("in range");
    for (request, refusal) in [
        (ask(&[2]), Some(Refusal::RefundItemsTooMany { short: vec![short(1, 2, 1)] })),
        (ask(&[1, 2]), Some(Refusal::RefundItemsTooMany { short: vec![short(2, 2, 1)] })),
        (ask(&[0, 0, 1]), Some(Refusal::ItemNotFound)),
        (ask(&[]), Some(Refusal::ItemNotFound)),
        (amount(usd(2634)), Some(Refusal::RefundTooLarge { asked: usd(2634), left })),
        (amount(usd(0)), Some(Refusal::RefundAmountInvalid { left })),
        (amount(usd(-1)), Some(Refusal::RefundAmountInvalid { left })),
        (amount(euro), Some(Refusal::RefundAmountInvalid { left })),
        (amount(left), None),
        (ask(&[1, 1]), None),
    ] {
        assert_eq!(refunded(&one, 2, request.clone()).err(), refusal, "{request:?}");
    }
    let less = refunded(&one, 2, amount(usd(1000))).expect("an amount that is left");
    let rest = usd(2633 - 1000);
    assert_eq!(refunded(&less, 3, ask(&[1, 1])).err(), Some(Refusal::RefundTooLarge { asked: left, left: rest }));
    for payment in [PaymentStatus::Authorized, PaymentStatus::Voided, PaymentStatus::Refunded, PaymentStatus::Failed] {
        let order = Order { payment, ..one.clone() };
        assert_eq!(refunded(&order, 2, ask(&[1])).err(), Some(Refusal::RefundNotPossible { payment }));
    }
}

fn short(edition: u128, wanted: u32, available: u32) -> crate::refusal::Short {
    crate::refusal::Short { edition: EditionId(edition), sku: Sku::parse(&format!("SKU-{edition}")), wanted, available }
}

#[test]
fn what_was_not_delivered_goes_back_on_the_shelf_unless_said_otherwise() {
    for (status, restock, back) in [
        (Status::Confirmed, None, 2),
        (Status::Shipped, None, 2),
        (Status::Delivered, None, 0),
        (Status::Delivered, Some(true), 2),
        (Status::Shipped, Some(false), 0),
    ] {
        let order = paid(status, &[3, 1], false);
        let events = order.request_refund(REFUND, RefundRequest { restock, ..ask(&[2]) }, Timestamp(3)).expect("possible");
        let moves = order.returns(&events);
        let copies: u32 = moves.iter().map(|m| if let StockChange::Return(n) = m.change { n } else { 0 }).sum();
        assert_eq!(copies, back, "{status:?}, {restock:?}");
        assert!(moves.iter().all(|m| m.cause == format!("{REFUND}/return")), "{moves:?}");
    }
}

#[test]
fn a_refund_that_is_refused_counts_for_nothing_but_its_copies_stay_on_the_shelf() {
    let mut order = paid(Status::Shipped, &[3, 1], false);
    let decided = |order: &Order, events| order.append(events, &Actor::System, "test", Timestamp(3)).order;
    for (id, copies, back, refused) in [
        (1, &[2][..], vec![(1, 2)], true),
        (2, &[3], vec![(1, 1)], true),
        (3, &[1], vec![], false),
        (4, &[1, 1], vec![(2, 1)], true),
        (5, &[2, 1], vec![], false),
    ] {
        let before = (order.payment, order.left_to_refund());
        let asked = order.request_refund(RefundId(id), ask(copies), Timestamp(3)).expect("copies that are left");
        let on_the_shelf: Vec<_> = order.returns(&asked).iter().map(|m| (m.edition.0, m.change)).collect();
        assert_eq!(on_the_shelf, back.into_iter().map(|(e, n)| (e, StockChange::Return(n))).collect::<Vec<_>>(), "refund {id}");
        order = decided(&order, asked);
        let events = match (order.owed().expect("a refund is owed"), refused) {
            (Owed::Refund { id, .. }, true) => order.refused(id, PaymentError { code: "account_closed".into(), detail: String::new() }),
            (owed, _) => order.taken(owed),
        };
        order = decided(&order, events);
        assert_eq!(order.owed(), None, "refund {id}");
        assert_eq!((order.payment, order.left_to_refund()) == before, refused, "refund {id}");
    }
    assert_eq!((amounts(&order), order.payment), (vec![2531, 3796, 1266, 2093, 3898], PaymentStatus::Refunded));
}

#[test]
fn canceling_gives_back_what_is_left_of_money_and_goods() {
    let order = refunded(&paid(Status::Confirmed, &[3, 1], false), 1, ask(&[2])).expect("two of three");
    let events = order.change_status(Status::Canceled, None, REFUND, Timestamp(5)).expect("possible");
    let back: Vec<_> = order.returns(&events).iter().map(|m| (m.edition.0, m.change)).collect();
    assert_eq!(back, [(1, StockChange::Return(1)), (2, StockChange::Return(1))]);
    let canceled = order.append(events, &Actor::System, "test", Timestamp(5)).order;
    assert_eq!((amounts(&canceled), canceled.payment), (vec![2531, 2633], PaymentStatus::Refunding));
    let owed = canceled.owed().expect("the rest");
    let over = canceled.append(canceled.taken(owed), &Actor::System, "test", Timestamp(6)).order;
    assert_eq!((over.status, over.payment), (Status::Canceled, PaymentStatus::Refunded));
}

#[test]
fn a_delivered_order_is_refunded_when_all_of_it_is_paid_back() {
    for (status, after) in [(Status::Delivered, Status::Refunded), (Status::Shipped, Status::Shipped)] {
        let part = refunded(&paid(status, &[1, 1], false), 1, ask(&[1])).expect("possible");
        assert_eq!(part.status, status);
        assert_eq!(refunded(&part, 2, ask(&[0, 1])).expect("possible").status, after);
    }
}

#[test]
fn a_history_without_names_of_refunds_is_still_understood() {
    let order = paid(Status::Delivered, &[3, 1], false);
    let asked = order.append(vec![OrderEvent::Refunded, OrderEvent::RefundOfAllRequested], &Actor::System, "test", Timestamp(3)).order;
    let owed = asked.owed().expect("all of it");
    assert_eq!(owed, Owed::Refund { id: RefundId(order.attempt.0), amount: order.quote.total });
    let over = asked.append(asked.taken(owed), &Actor::System, "test", Timestamp(4)).order;
    assert_eq!((over.status, over.payment, over.refunds), (Status::Refunded, PaymentStatus::Refunded, vec![]));
}

proptest! {
    /// In whatever pieces the copies of an order are refunded, the pieces add up to what was paid.
    #[test]
    fn refunding_every_copy_pays_back_the_total(
        copies in proptest::collection::vec(1_i64..40, 1..4),
        cuts in proptest::collection::vec((0_usize..3, 1_i64..20), 0..12),
        included: bool,
    ) {
        let mut order = paid(Status::Shipped, &copies, included);
        let mut id = 0;
        for (line, n) in cuts {
            let left = order.copies_left();
            let Some(left) = left.get(line % left.len().max(1)) else { break };
            let quantity = Quantity::new(n.min(left.quantity.get().into())).expect("a quantity");
            let what = RefundOf::Items(vec![Line { edition: left.edition, quantity }]);
            id += 1;
            order = refunded(&order, id, RefundRequest { what, restock: None, reason: None }).expect("copies that are left");
        }
        let rest = order.copies_left();
        if !rest.is_empty() {
            order = refunded(&order, id + 1, RefundRequest { what: RefundOf::Items(rest), restock: None, reason: None }).expect("the rest");
        }
        prop_assert_eq!(amounts(&order).iter().sum::<i64>(), order.quote.total.minor());
        prop_assert_eq!(order.payment, PaymentStatus::Refunded);
    }
}

#[test]
fn an_order_is_what_its_events_say() {
    let Appended { order, mut events } = placed();
    let amount = order.quote.total;
    let more = order.append(
        vec![OrderEvent::PaymentCaptured { amount }, OrderEvent::Confirmed, OrderEvent::Processing],
        &Actor::System,
        "test",
        Timestamp(2),
    );
    assert_eq!(more.expected(), Version(2));
    events.extend(more.events);
    let rebuilt = events.iter().fold(None, Order::evolve);
    assert_eq!(rebuilt.as_ref(), Some(&more.order));
    assert_eq!((more.order.status, more.order.payment, more.order.version), (Status::Processing, PaymentStatus::Captured, Version(5)));
}

#[test]
fn the_address_is_locked_once_shipped() {
    for status in Status::ALL {
        let open = matches!(status, Status::Pending | Status::Confirmed | Status::Processing);
        assert_eq!(order(status, PaymentStatus::Captured).change_address(address("2 Road")).is_ok(), open, "{status:?}");
    }
}

#[test]
fn an_order_number_has_one_spelling() {
    for random in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
        let number = Number::from_random(random);
        assert_eq!(Number::parse(&number.to_string()), Some(number));
    }
    for wrong in ["", "CW-", "CW-0000-0000-000", "CW-0000-0000-00000", "cw-0000-0000-0000", "CW-000000000000"] {
        assert_eq!(Number::parse(wrong), None, "{wrong}");
    }
}
