//! Orders after they are placed: money taken on shipment, paid back in part, canceled.

use crate::world::{STOCK, World, add, admin, cart, customer, fresh, once, order, process, start};
use app::ports::{Charge, ChargeStatus, Payments};
use app::{Answered, App, Caller, Error};
use conformance::fixtures;
use domain::ids::{EditionId, RefundId};
use domain::money::Money;
use domain::order::{CaptureWhen, Order, PaymentStatus, RefundOf, RefundRequest, Status};
use domain::pricing::Line;
use domain::refusal::Refusal;

async fn on_shipment() -> World {
    World { capture: CaptureWhen::OnShipment, ..World::new().await }
}

/// Two copies of book 1 and one of book 2, bought with `token`.
async fn bought(app: &App, caller: &Caller, token: &str) -> Order {
    cart(app, caller, vec![add(1, 2), add(2, 1)], Some("TWICE")).await.expect("a cart");
    let checkout = start(app, caller).await.expect("started").checkout;
    let paying = process(checkout.id, token, checkout.quote.total);
    order(fresh(app.process(caller, paying, once("key", 0)).await.expect("paid")))
}

async fn charge(world: &World, order: &Order) -> Charge {
    world.payments.find(order.attempt).await.expect("an answer").expect("a charge")
}

async fn to(app: &App, order: &Order, status: Status) -> Result<Order, Error> {
    Ok(fresh(app.change_order_status(&admin(), order.id, status, None, None).await?))
}

async fn history(app: &App, order: &Order) -> Vec<&'static str> {
    app.order_events(&admin(), order.id).await.expect("a history").iter().map(|e| e.event.name()).collect()
}

fn copies(edition: u128, n: u32) -> RefundRequest {
    let line = Line { edition: EditionId(edition), quantity: fixtures::copies(n) };
    RefundRequest { what: RefundOf::Items(vec![line]), restock: None, reason: None }
}

async fn refund(app: &App, order: &Order, request: RefundRequest) -> Result<Order, Error> {
    Ok(fresh(app.refund_order(&admin(), order.id, request, None, None).await?))
}

#[tokio::test]
async fn money_can_be_taken_on_shipment() {
    let world = on_shipment().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_visa").await;
    assert_eq!((placed.status, placed.payment), (Status::Confirmed, PaymentStatus::Authorized));
    assert_eq!(charge(&world, &placed).await.status, ChargeStatus::Authorized);
    assert!(app.my_cart(&alice).await.expect("there").cart.items.is_empty(), "the checkout is complete");
    to(&app, &placed, Status::Processing).await.expect("possible");
    let shipped = to(&app, &placed, Status::Shipped).await.expect("possible");
    assert_eq!((shipped.status, shipped.payment), (Status::Shipped, PaymentStatus::Captured));
    assert_eq!(charge(&world, &placed).await.status, ChargeStatus::Captured);
    assert_eq!(
        history(&app, &placed).await,
        [
            "order.placed",
            "payment.authorized",
            "order.confirmed",
            "order.processing",
            "payment.capture_requested",
            "payment.captured",
            "order.shipped"
        ]
    );
}

#[tokio::test]
async fn goods_whose_money_is_refused_do_not_leave() {
    let world = on_shipment().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_capture_fails").await;
    to(&app, &placed, Status::Processing).await.expect("possible");
    for _ in 0..2 {
        let stays = to(&app, &placed, Status::Shipped).await.expect("asked for");
        assert_eq!((stays.status, stays.payment), (Status::Processing, PaymentStatus::Authorized));
        assert_eq!(history(&app, &placed).await.last(), Some(&"payment.capture_refused"));
    }
    let canceled = fresh(app.cancel_order(&alice, placed.id, None, None, None).await.expect("canceled"));
    assert_eq!((canceled.status, canceled.payment), (Status::Canceled, PaymentStatus::Voided));
    assert_eq!(charge(&world, &placed).await.status, ChargeStatus::Voided);
    assert_eq!((world.stock(1).await, world.stock(2).await), ((STOCK, 0), (STOCK, 0)));
}

#[tokio::test]
async fn copies_are_paid_back_one_by_one_until_nothing_is_left() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_visa").await;
    let total = placed.quote.total;
    assert_eq!(world.stock(1).await, (STOCK - 2, 0));
    for (edition, payment, stock) in [
        (1, PaymentStatus::PartiallyRefunded, (STOCK - 1, STOCK - 1)),
        (2, PaymentStatus::PartiallyRefunded, (STOCK - 1, STOCK)),
        (1, PaymentStatus::Refunded, (STOCK, STOCK)),
    ] {
        let after = refund(&app, &placed, copies(edition, 1)).await.expect("a copy that is left");
        assert_eq!((after.status, after.payment), (Status::Confirmed, payment));
        let back = total.minus(after.left_to_refund().expect("in range")).expect("in range");
        assert_eq!(charge(&world, &placed).await.refunded, back, "the provider has paid back what the order says");
        assert_eq!((world.stock(1).await.0, world.stock(2).await.0), stock);
    }
    assert_eq!(charge(&world, &placed).await.status, ChargeStatus::Refunded);
    let more = refund(&app, &placed, copies(1, 1)).await;
    assert!(matches!(more, Err(Error::Refused(Refusal::RefundNotPossible { payment: PaymentStatus::Refunded }))), "{more:?}");
}

#[tokio::test]
async fn a_refund_the_provider_refuses_is_told_and_not_tried_again_and_another_can_be_asked_for() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_visa").await;
    let amount = |amount| RefundRequest { what: RefundOf::Amount(amount), restock: None, reason: None };
    // Somebody has paid some of it back at the provider.
    let cent = Money::new(1, placed.quote.currency).expect("in range");
    let elsewhere = app::ports::Refund { id: RefundId(1), amount: cent };
    world.payments.refund(placed.attempt, &elsewhere).await.expect("paid back");
    let after = refund(&app, &placed, amount(placed.quote.total)).await.expect("asked for");
    assert_eq!((after.payment, after.left_to_refund()), (PaymentStatus::Captured, Ok(placed.quote.total)));
    assert_eq!(after.refunds[0].refused.as_ref().map(|e| e.code.as_str()), Some("refund_exceeds_capture"));
    assert_eq!(history(&app, &placed).await.last(), Some(&"payment.refund_refused"));
    let later = app.now().plus(std::time::Duration::from_secs(86_400));
    assert_eq!(app.saga_step(later, 10).await.expect("a step"), 0);

    let rest = placed.quote.total.minus(cent).expect("in range");
    let after = refund(&app, &placed, amount(rest)).await.expect("asked for");
    assert_eq!((after.payment, after.left_to_refund()), (PaymentStatus::PartiallyRefunded, Ok(cent)));
    assert_eq!(charge(&world, &placed).await.refunded, placed.quote.total);
}

#[tokio::test]
async fn a_refund_is_for_admins_and_happens_once_per_key() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_visa").await;
    let own = app.refund_order(&alice, placed.id, copies(1, 1), None, None).await;
    assert!(matches!(own, Err(Error::Refused(Refusal::Forbidden))), "{own:?}");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(match app.refund_order(&admin(), placed.id, copies(1, 1), None, Some(once("refund", 0))).await.expect("paid back") {
            Answered::Fresh(order) => format!("{order:?}"),
            Answered::Again(body) => String::from_utf8_lossy(&body).into_owned(),
        });
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "a repeat gets the first answer");
    let after = app.order(&alice, placed.id).await.expect("there");
    assert_eq!((after.refunds.len(), after.payment), (1, PaymentStatus::PartiallyRefunded));
}

#[tokio::test]
async fn canceling_after_refunds_pays_back_the_rest_and_returns_the_rest() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = bought(&app, &alice, "tok_visa").await;
    refund(&app, &placed, RefundRequest { restock: Some(false), ..copies(1, 1) }).await.expect("a damaged copy");
    let amount = RefundRequest { what: RefundOf::Amount(fixtures::usd(50)), restock: None, reason: None };
    refund(&app, &placed, amount).await.expect("an amount");
    let canceled = fresh(app.cancel_order(&alice, placed.id, None, None, None).await.expect("canceled"));
    assert_eq!((canceled.status, canceled.payment), (Status::Canceled, PaymentStatus::Refunded));
    assert_eq!(charge(&world, &placed).await.status, ChargeStatus::Refunded);
    assert_eq!((world.stock(1).await, world.stock(2).await), ((STOCK - 1, 0), (STOCK, 0)), "all but the damaged copy");
    assert!(app.discounts().await.expect("listed").iter().any(|d| d.uses_left == Some(2)), "and the coupon");
}

#[tokio::test]
async fn an_order_gets_another_number_when_its_own_is_taken() {
    let world = World::new().await;
    let (app, alice, bob) = (world.app(), customer("alice"), customer("bob"));
    let hers = bought(&app, &alice, "tok_visa").await;
    cart(&app, &bob, vec![add(3, 1)], None).await.expect("a cart");
    let checkout = start(&app, &bob).await.expect("started").checkout;
    let waits = app.process(&bob, process(checkout.id, "tok_timeout_after", checkout.quote.total), once("bob", 0)).await;
    let his = order(fresh(waits.expect("paid")));
    assert_ne!(his.number, hers.number);

    // A third whose number was drawn before.
    let carol = customer("carol");
    cart(&app, &carol, vec![add(3, 1)], None).await.expect("a cart");
    let checkout = start(&app, &carol).await.expect("started").checkout;
    let paying = app.process(&carol, process(checkout.id, "tok_requires_action", checkout.quote.total), once("carol", 0)).await;
    let app::Processed::Waiting(waiting) = fresh(paying.expect("a challenge")) else { panic!("a challenge waits") };
    let mut same = (*waiting).clone();
    let attempt = same.attempt.as_mut().expect("an attempt");
    attempt.number = hers.number;
    let key = attempt.id;
    same.version = waiting.version.next();
    let ledger: &dyn app::ports::Ledger = &world.store;
    let change = app::ports::Change { checkout: Some((same, waiting.version)), ..app::ports::Change::default() };
    assert!(matches!(ledger.commit(change, app.now()).await, Ok(app::ports::Committed::Done)));
    world.payments.answer_challenge(key, true).await.expect("an answer");
    let third = order(app.resume_checkout(&carol, checkout.id).await.expect("paid"));
    assert_ne!(third.number, hers.number);
    assert_eq!(third.payment, PaymentStatus::Captured);
}
