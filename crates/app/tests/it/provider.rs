//! What happens at the provider: challenges and their return, and notices in any order.

use crate::world::{STOCK, World, admin, buy, customer, fresh, once, order, process};
use app::ports::{Authorization, Authorize, Charge, ChargeStatus, Payments, PortError, Refund, Taken};
use app::{App, Caller, Error, Notice, Processed};
use async_trait::async_trait;
use domain::checkout::{Checkout, State};
use domain::ids::{AttemptId, CheckoutId};
use domain::order::{CaptureWhen, PaymentStatus, Status};
use domain::refusal::Refusal;
use domain::text::Text;
use memory::simulator::PaymentSimulator;
use std::sync::Arc;
use std::time::Duration;

/// A purchase that waits for its customer.
async fn challenged(app: &App, caller: &Caller) -> Checkout {
    match buy(app, caller, "tok_requires_action").await.expect("waits") {
        Processed::Waiting(checkout) => *checkout,
        other => panic!("a challenge was expected: {other:?}"),
    }
}

async fn status(world: &World, key: AttemptId) -> Option<ChargeStatus> {
    world.payments.find(key).await.expect("an answer").map(|c| c.status)
}

fn notice(id: &str, checkout: CheckoutId, attempt: AttemptId, world: &World) -> Notice {
    Notice { id: Text::parse(id).expect("a short text"), checkout, attempt, at: app::ports::Clock::now(&world.clock) }
}

#[tokio::test]
async fn a_challenge_says_where_it_is_met_and_resuming_follows_its_outcome() {
    for (capture, passed, outcome) in [
        (CaptureWhen::AtOnce, None, Err("waits")),
        (CaptureWhen::AtOnce, Some(true), Ok(PaymentStatus::Captured)),
        (CaptureWhen::OnShipment, Some(true), Ok(PaymentStatus::Authorized)),
        (CaptureWhen::AtOnce, Some(false), Err("declined")),
    ] {
        let world = World { capture, ..World::new().await };
        let (app, alice) = (world.app(), customer("alice"));
        let checkout = challenged(&app, &alice).await;
        let attempt = checkout.current();
        assert!(attempt.challenge.as_deref().is_some_and(|url| url.ends_with(&attempt.id.to_string())), "{:?}", attempt.challenge);
        if let Some(passed) = passed {
            world.payments.answer_challenge(attempt.id, passed).await.expect("an answer");
        }
        for _ in 0..2 {
            match (app.resume_checkout(&alice, checkout.id).await.expect("an answer"), outcome) {
                (Processed::Completed(order), Ok(payment)) => assert_eq!((order.status, order.payment), (Status::Confirmed, payment)),
                (Processed::Waiting(waiting), Err("waits")) => assert_eq!(waiting.state, State::Challenged),
                (Processed::Declined { .. }, Err("declined")) => {
                    let open = app.checkout(&alice, checkout.id).await.expect("open again").checkout;
                    assert_eq!((open.state, open.last_error.is_some()), (State::Open, true));
                }
                (other, _) => panic!("{passed:?}: {other:?}"),
            }
        }
        let stock = match outcome {
            Ok(_) => (STOCK - 1, 0),
            Err("waits") => (STOCK, 1),
            Err(_) => (STOCK, 0),
        };
        assert_eq!(world.stock(1).await, stock, "{passed:?}");
    }
}

#[tokio::test]
async fn only_its_owner_resumes_a_checkout() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    let theirs = app.resume_checkout(&customer("mallory"), checkout.id).await;
    assert!(matches!(theirs, Err(Error::Refused(Refusal::CheckoutNotFound))), "{theirs:?}");
}

#[tokio::test]
async fn goods_stay_held_while_the_customer_is_active_but_not_for_ever() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    for (seconds, held) in [(500, 1), (500, 1), (500, 1), (400, 0)] {
        world.clock.advance(Duration::from_secs(seconds));
        app.saga_step(app.now(), 10).await.expect("swept");
        drop(app.resume_checkout(&alice, checkout.id).await);
        assert_eq!(world.stock(1).await.1, held, "after {seconds} s more");
    }
}

#[tokio::test]
async fn a_challenge_met_in_the_last_moment_is_an_order() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    world.payments.answer_challenge(checkout.current().id, true).await.expect("an answer");
    world.clock.advance(Duration::from_secs(3600));
    app.saga_step(app.now(), 10).await.expect("swept");
    assert_eq!(status(&world, checkout.current().id).await, Some(ChargeStatus::Captured));
    assert_eq!(world.stock(1).await, (STOCK - 1, 0));
}

#[tokio::test]
async fn another_means_of_payment_does_not_pay_twice_for_a_challenge_that_was_met() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    world.payments.answer_challenge(checkout.current().id, true).await.expect("an answer");
    let again = process(checkout.id, "tok_visa", checkout.quote.total);
    let placed = order(fresh(app.process(&alice, again, once("second", 0)).await.expect("paid")));
    assert_eq!(placed.attempt, checkout.current().id);
    assert_eq!(world.payments.charges().len(), 1);
}

/// A provider whose answer about a challenge is old when it comes: meanwhile the customer has met it, and another
/// node has gone on.
struct Overtaken {
    world: World,
    other: App,
    checkout: Checkout,
    caller: Caller,
}

#[async_trait]
impl Payments for Overtaken {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        self.world.payments.authorize(key, request).await
    }
    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.world.payments.capture(key).await
    }
    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.world.payments.void(key).await
    }
    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        self.world.payments.refund(key, refund).await
    }
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        let answer = self.world.payments.find(key).await?;
        if let Some(Charge { status: ChargeStatus::Challenged { .. }, .. }) = answer {
            self.world.payments.answer_challenge(key, true).await?;
            self.other.resume_checkout(&self.caller, self.checkout.id).await.expect("paid");
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn who_pays_otherwise_too_late_leaves_a_paid_order_alone() {
    let world = World::new().await;
    let (other, caller) = (world.app(), customer("alice"));
    let checkout = challenged(&other, &caller).await;
    let again = process(checkout.id, "tok_visa", checkout.quote.total);
    let overtaken = Overtaken { world: world.clone(), other, checkout: checkout.clone(), caller: caller.clone() };
    let app = world.app_over(|carts, ledger, _| (carts, ledger, Arc::new(overtaken)));
    let refused = app.process(&caller, again, once("second", 0)).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::CheckoutState { .. }))), "{refused:?}");
    let placed = order(app.resume_checkout(&caller, checkout.id).await.expect("paid"));
    assert_eq!((placed.attempt, placed.payment), (checkout.current().id, PaymentStatus::Captured));
    assert_eq!(status(&world, placed.attempt).await, Some(ChargeStatus::Captured));
    assert_eq!(world.payments.charges().len(), 1);
}

/// A provider that cannot be reached for taking anything back.
struct Holding(Arc<PaymentSimulator>);

#[async_trait]
impl Payments for Holding {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        self.0.authorize(key, request).await
    }
    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.0.capture(key).await
    }
    async fn void(&self, _: AttemptId) -> Result<Taken, PortError> {
        Err(PortError::unavailable("payments", "nobody answers"))
    }
    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        self.0.refund(key, refund).await
    }
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        self.0.find(key).await
    }
}

#[tokio::test]
async fn who_pays_otherwise_and_asks_again_while_the_challenge_is_being_taken_back_pays() {
    let world = World::new().await;
    let alice = customer("alice");
    let checkout = challenged(&world.app(), &alice).await;
    let again = || process(checkout.id, "tok_visa", checkout.quote.total);
    let app = world.app_over(|carts, ledger, _| (carts, ledger, Arc::new(Holding(world.payments.clone()))));
    let refused = app.process(&alice, again(), once("second", 0)).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::CheckoutState { .. }))), "{refused:?}");
    let placed = order(fresh(world.app().process(&alice, again(), once("second", 0)).await.expect("paid")));
    assert_ne!(placed.attempt, checkout.current().id);
    assert_eq!(status(&world, checkout.current().id).await, Some(ChargeStatus::Voided));
    assert_eq!(status(&world, placed.attempt).await, Some(ChargeStatus::Captured));
    assert_eq!(world.stock(1).await, (STOCK - 1, 0));
}

#[tokio::test]
async fn a_notice_goes_on_with_what_it_is_about_and_twice_is_once() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    let key = checkout.current().id;
    // Too early: nothing has changed, whatever it says.
    app.payment_notice(notice("evt_0", checkout.id, key, &world)).await.expect("heeded");
    assert_eq!(app.checkout(&alice, checkout.id).await.expect("there").checkout.state, State::Challenged);
    world.payments.answer_challenge(key, true).await.expect("an answer");
    app.payment_notice(notice("evt_0", checkout.id, key, &world)).await.expect("known already");
    assert_eq!(app.checkout(&alice, checkout.id).await.expect("there").checkout.state, State::Challenged, "a repeat does nothing");
    for id in ["evt_2", "evt_1", "evt_2"] {
        app.payment_notice(notice(id, checkout.id, key, &world)).await.expect("heeded");
        assert_eq!(status(&world, key).await, Some(ChargeStatus::Captured));
        assert_eq!(world.stock(1).await, (STOCK - 1, 0));
    }
    let placed = order(app.resume_checkout(&alice, checkout.id).await.expect("paid"));
    assert_eq!((placed.status, placed.payment), (Status::Confirmed, PaymentStatus::Captured));
}

#[tokio::test]
async fn money_of_an_attempt_that_is_over_is_given_back_and_no_other() {
    let world = World::new().await;
    let (app, alice, bob) = (world.app(), customer("alice"), customer("bob"));
    let his = order(buy(&app, &bob, "tok_visa").await.expect("paid"));
    let checkout = challenged(&app, &alice).await;
    let first = checkout.current().id;
    let declined = app.process(&alice, process(checkout.id, "tok_declined", checkout.quote.total), once("second", 0)).await;
    assert!(matches!(fresh(declined.expect("an answer")), Processed::Declined { .. }));
    let hers =
        order(fresh(app.process(&alice, process(checkout.id, "tok_visa", checkout.quote.total), once("third", 0)).await.expect("paid")));
    // A notice that names another's charge, one of a checkout nobody knows, and one of her first attempt.
    for (id, checkout, attempt) in [
        ("evt_1", checkout.id, his.attempt),
        ("evt_2", CheckoutId(1), his.attempt),
        ("evt_3", his.checkout, hers.attempt),
        ("evt_4", checkout.id, first),
        ("evt_5", checkout.id, hers.attempt),
    ] {
        app.payment_notice(notice(id, checkout, attempt, &world)).await.expect("heeded");
    }
    assert_eq!(status(&world, his.attempt).await, Some(ChargeStatus::Captured));
    assert_eq!(status(&world, hers.attempt).await, Some(ChargeStatus::Captured));
    assert_eq!(status(&world, first).await, Some(ChargeStatus::Voided));
}

#[tokio::test]
async fn money_that_was_taken_for_an_attempt_that_is_over_is_paid_back() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    let key = checkout.current().id;
    app.cancel_checkout(&alice, checkout.id, None, None).await.expect("canceled");
    // The provider was slow to hear of it: under another key it has taken money all the same.
    let stray = AttemptId(key.0 + 1);
    let ledger: &dyn app::ports::Ledger = &world.store;
    let mut over = ledger.checkout(checkout.id).await.expect("an answer").expect("there");
    let expected = over.version;
    over.earlier.push(stray);
    over.version = expected.next();
    let change = app::ports::Change { checkout: Some((over, expected)), ..app::ports::Change::default() };
    assert!(matches!(ledger.commit(change, app.now()).await, Ok(app::ports::Committed::Done)));
    let request = conformance::fixtures::authorize("tok_visa");
    world.payments.authorize(stray, &request).await.expect("an answer");
    world.payments.capture(stray).await.expect("an answer");
    for id in ["evt_1", "evt_1", "evt_2"] {
        app.payment_notice(notice(id, checkout.id, stray, &world)).await.expect("heeded");
        assert_eq!(status(&world, stray).await, Some(ChargeStatus::Refunded));
    }
    assert!(app.orders(&admin(), app::OrderQuery { limit: 10, ..Default::default() }).await.expect("listed").items.is_empty());
}

#[tokio::test]
async fn a_notice_is_forgotten_after_a_while() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let checkout = challenged(&app, &alice).await;
    let id = Text::parse("evt_1").expect("a short text");
    app.payment_notice(notice("evt_1", checkout.id, checkout.current().id, &world)).await.expect("heeded");
    let ledger: &dyn app::ports::Ledger = &world.store;
    for (days, known) in [(29, true), (2, false)] {
        world.clock.advance(Duration::from_secs(days * 86_400));
        app.forget_step(app.now(), 10).await.expect("swept");
        assert_eq!(ledger.noticed(&id).await.expect("an answer"), known, "after {days} days more");
    }
}
