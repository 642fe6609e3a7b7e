use super::*;
use crate::ids::SessionId;
use crate::money::Currency;
use crate::pricing::{Context, Rules, quote};
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
        country: crate::person::Country::parse("GB").expect("a country"),
        phone: None,
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
            let got = order(from, PaymentStatus::Captured).change_status(to, None);
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
    for (payment, after) in [
        (PaymentStatus::Authorized, PaymentStatus::Voiding),
        (PaymentStatus::Captured, PaymentStatus::Refunding),
        (PaymentStatus::Voided, PaymentStatus::Voided),
    ] {
        let before = order(Status::Confirmed, payment);
        let events = before.change_status(Status::Canceled, None).expect("possible");
        let canceled = before.append(events, &Actor::System, "test", Timestamp(2)).order;
        assert_eq!((canceled.status, canceled.payment), (Status::Canceled, after));
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
