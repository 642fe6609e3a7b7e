use crate::world::{STOCK, World, add, admin, buy, cart, customer, fresh, once, order, process, start};
use app::ports::{ChargeStatus, Payments};
use app::{Answered, App, Error, Operation, Processed};
use domain::checkout::State;
use domain::limits::AUTHORIZE_TRIES_MAX;
use domain::order::{Order, PaymentStatus, Status};
use domain::refusal::Refusal;
use futures_util::future::join_all;
use std::time::Duration;

async fn charge(world: &World, order: &Order) -> Option<ChargeStatus> {
    world.payments.find(order.attempt).await.expect("an answer").map(|c| c.status)
}

async fn orders(app: &App) -> Vec<Order> {
    app.orders(&admin(), app::OrderQuery { limit: 100, ..Default::default() }).await.expect("listed").items
}

#[tokio::test]
async fn a_paid_checkout_is_an_order_and_an_empty_cart() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let placed = order(buy(&app, &alice, "tok_visa").await.expect("paid"));
    assert_eq!((placed.status, placed.payment), (Status::Confirmed, PaymentStatus::Captured));
    assert_eq!(charge(&world, &placed).await, Some(ChargeStatus::Captured));
    assert_eq!(world.stock(1).await, (STOCK - 1, 0));
    assert!(app.my_cart(&alice).await.expect("there").cart.items.is_empty());
    let names: Vec<_> = app.order_events(&alice, placed.id).await.expect("a history").iter().map(|e| e.event.name()).collect();
    assert_eq!(names, ["order.placed", "payment.authorized", "payment.captured", "order.confirmed"]);
}

#[tokio::test]
async fn every_token_ends_as_it_says() {
    for (token, payment, stock) in [
        ("tok_visa", Ok(Status::Confirmed), (STOCK - 1, 0)),
        ("tok_mastercard", Ok(Status::Confirmed), (STOCK - 1, 0)),
        ("tok_flaky", Ok(Status::Confirmed), (STOCK - 1, 0)),
        ("tok_timeout_after", Ok(Status::Confirmed), (STOCK - 1, 0)),
        ("tok_declined", Err("card_declined"), (STOCK, 0)),
        ("tok_insufficient_funds", Err("insufficient_funds"), (STOCK, 0)),
        ("tok_expired_card", Err("expired_card"), (STOCK, 0)),
        ("tok_capture_fails", Err(""), (STOCK, 0)),
    ] {
        let world = World::new().await;
        let (app, alice) = (world.app(), customer("alice"));
        match (buy(&app, &alice, token).await.expect(token), payment) {
            (Processed::Completed(order), Ok(status)) => assert_eq!(order.status, status, "{token}"),
            (Processed::Declined { error, .. }, Err(code)) => assert!(error.code.starts_with(code), "{token}: {error:?}"),
            (other, _) => panic!("{token}: {other:?}"),
        }
        assert_eq!(world.stock(1).await, stock, "{token}");
        let kept = app.my_cart(&alice).await.expect("there").cart.items.len();
        assert_eq!(kept, usize::from(payment.is_err()), "{token}: a cart that was not bought is kept");
    }
}

#[tokio::test]
async fn a_payment_nobody_heard_of_again_is_given_up_and_closed() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let Processed::Waiting(checkout) = buy(&app, &alice, "tok_timeout_before").await.expect("waits") else {
        panic!("unknown is not failed")
    };
    assert_eq!(world.stock(1).await, (STOCK, 1), "unknown: the goods stay held");
    for _ in 0..=AUTHORIZE_TRIES_MAX {
        world.clock.advance(Duration::from_secs(600));
        app.saga_step(app.now(), 10).await.expect("swept");
    }
    assert_eq!(world.stock(1).await, (STOCK, 0));
    let key = checkout.current().id;
    let late = world.payments.find(key).await.expect("an answer").map(|c| c.status);
    assert!(!matches!(late, Some(ChargeStatus::Authorized | ChargeStatus::Captured)), "{late:?}");
    assert!(orders(&app).await.is_empty());
}

#[tokio::test]
async fn a_payment_that_is_asked_for_again_and_again_uses_up_no_tries() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let tries = async |key: &str| {
        let processed = app.process(&alice, process(checkout.id, "tok_timeout_before", checkout.quote.total), once(key, 0)).await;
        let Ok(Answered::Fresh(Processed::Waiting(checkout))) = processed else { panic!("nobody knows yet: {processed:?}") };
        checkout.current().tries
    };
    assert_eq!(tries("a").await, 1);
    for _ in 0..=AUTHORIZE_TRIES_MAX {
        assert_eq!((tries("a").await, tries("another tab").await), (1, 1), "the provider is given time");
    }
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(tries("a").await, 2, "when that is over, whoever comes along asks");
}

#[tokio::test]
async fn a_challenge_holds_the_goods_for_a_while_and_another_means_may_be_tried() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let Processed::Waiting(checkout) = buy(&app, &alice, "tok_requires_action").await.expect("waits") else { panic!("a challenge waits") };
    assert_eq!(checkout.state, State::Challenged);
    assert_eq!(world.stock(1).await, (STOCK, 1));
    let again = process(checkout.id, "tok_visa", checkout.quote.total);
    let placed = order(fresh(app.process(&alice, again, once("second", 0)).await.expect("paid")));
    assert_eq!(world.stock(1).await, (STOCK - 1, 0));
    assert_eq!(charge(&world, &placed).await, Some(ChargeStatus::Captured));

    let bob = customer("bob");
    buy(&app, &bob, "tok_requires_action").await.expect("waits");
    world.clock.advance(Duration::from_secs(600));
    app.saga_step(app.now(), 10).await.expect("swept");
    assert_eq!(world.stock(1).await, (STOCK - 1, 0), "released when the time is up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racers_for_one_checkout_get_one_order() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let racers =
        (0..64).map(|n| app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once(&format!("k{}", n % 32), 0)));
    let mut answers = Vec::new();
    for answer in join_all(racers).await {
        match answer.expect("paid") {
            Answered::Fresh(processed) => answers.push(format!("{processed:?}")),
            Answered::Again(body) => answers.push(String::from_utf8_lossy(&body).into_owned()),
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(orders(&app).await.len(), 1);
    assert_eq!(world.payments.charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_copies_are_sold_once() {
    let world = World::new().await;
    let app = world.app();
    let callers: Vec<_> = (0..40).map(|n| customer(&format!("c{n}"))).collect();
    let results = join_all(callers.iter().map(|c| buy(&app, c, "tok_visa"))).await;
    let (sold, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((sold.len(), refused.len()), (STOCK as usize, 40 - STOCK as usize));
    assert!(refused.iter().all(|r| matches!(r, Err(Error::Refused(Refusal::OutOfStock { .. })))), "{refused:?}");
    assert_eq!(world.stock(1).await, (0, 0));
}

#[tokio::test]
async fn what_changed_is_told_and_nothing_is_charged() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let total = checkout.quote.total;
    let other = total.plus(total).expect("in range");
    let wrong = app.process(&alice, process(checkout.id, "tok_visa", other), once("a", 0)).await;
    assert!(
        matches!(wrong, Err(Error::Refused(Refusal::PriceChanged { expected, total: t })) if expected == other && t == total),
        "{wrong:?}"
    );

    fresh(app.change_cart(&alice, id, vec![Operation::Add(add(2, 1))], None, None).await.expect("added"));
    let Err(Error::Refused(Refusal::CartChanged { total: new })) =
        app.process(&alice, process(checkout.id, "tok_visa", total), once("b", 0)).await
    else {
        panic!("the cart changed")
    };
    assert!(world.payments.charges().is_empty());
    let placed = order(fresh(app.process(&alice, process(checkout.id, "tok_visa", new), once("c", 0)).await.expect("paid")));
    assert_eq!(placed.quote.total, new);
}

#[tokio::test]
async fn items_added_while_paying_stay() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let waits = app.process(&alice, process(checkout.id, "tok_timeout_before", checkout.quote.total), once("a", 0)).await;
    assert!(matches!(waits, Ok(Answered::Fresh(Processed::Waiting(_)))), "{waits:?}");
    fresh(app.change_cart(&alice, id, vec![Operation::Add(add(2, 1)), Operation::Add(add(1, 1))], None, None).await.expect("added"));
    world.settle(&app).await;
    let checkout = start(&app, &alice).await.expect("open again").checkout;
    let placed =
        order(fresh(app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once("b", 0)).await.expect("paid")));
    assert_eq!(placed.quote.item_count, 3);
}

#[tokio::test]
async fn a_free_order_needs_no_provider() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 1)], Some("FREE")).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let total = checkout.quote.total;
    let placed = order(fresh(app.process(&alice, process(checkout.id, "tok_visa", total), once("a", 0)).await.expect("paid")));
    assert_eq!(placed.quote.discount, placed.quote.subtotal);
    assert_eq!(world.payments.charges().is_empty(), total.is_zero());
}

#[tokio::test]
async fn canceling_brings_back_goods_coupon_and_money() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    cart(&app, &alice, vec![add(1, 2)], Some("TWICE")).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let placed =
        order(fresh(app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once("a", 0)).await.expect("paid")));
    assert_eq!(app.discounts().await.expect("listed").iter().find_map(|d| d.uses_left.filter(|n| *n == 1)), Some(1));
    for n in 0..2 {
        let canceled = app.cancel_order(&alice, placed.id, None, None, None).await;
        match n {
            0 => assert_eq!(fresh(canceled.expect("canceled")).payment, PaymentStatus::Refunded),
            _ => assert!(matches!(
                canceled,
                Err(Error::Refused(Refusal::OrderTransitionInvalid { from: Status::Canceled, to: Status::Canceled }))
            )),
        }
        assert_eq!(world.stock(1).await, (STOCK, 0));
    }
    assert_eq!(charge(&world, &placed).await, Some(ChargeStatus::Refunded));
    assert!(app.discounts().await.expect("listed").iter().any(|d| d.uses_left == Some(2)));
}

#[tokio::test]
async fn a_checkout_is_its_owners_and_expires() {
    let world = World::new().await;
    let (app, alice, mallory) = (world.app(), customer("alice"), customer("mallory"));
    cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let checkout = start(&app, &alice).await.expect("started").checkout;
    let theirs = app.process(&mallory, process(checkout.id, "tok_visa", checkout.quote.total), once("a", 0)).await;
    assert!(matches!(theirs, Err(Error::Refused(Refusal::CheckoutNotFound))), "{theirs:?}");
    world.clock.advance(Duration::from_secs(1800));
    let late = app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once("b", 0)).await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CheckoutExpired))), "{late:?}");
    let again = start(&app, &alice).await.expect("a new one").checkout;
    assert_ne!(again.id, checkout.id);
}
