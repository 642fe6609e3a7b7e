//! Whose trace events are in.

use crate::world::{World, add, buy, cart, customer, fresh};
use app::ports::{Answer, AtLeast, CartChange, Carts, PortError, Saved};
use app::{Operation, traced};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::event::{Outgoing, Subject};
use domain::ids::CartId;
use domain::time::Timestamp;
use domain::trace::TraceContext;
use futures_util::future::join_all;
use memory::MemoryStore;
use std::collections::BTreeSet;
use std::sync::Arc;

fn context(n: u32) -> Option<TraceContext> {
    TraceContext::parse(&format!("00-{n:032x}-00f067aa0ba902b7-01"), None)
}

fn traces(events: &[Outgoing]) -> Vec<Option<TraceContext>> {
    events.iter().map(|event| event.trace.clone()).collect()
}

/// Carts that take a moment to be loaded.
struct Slow(MemoryStore);

#[async_trait]
impl Carts for Slow {
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        tokio::task::yield_now().await;
        self.0.load(id, fresh, now).await
    }

    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        self.0.of_owner(owner, now).await
    }

    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        self.0.save(change, now).await
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Carts::answer(&self.0, key).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        self.0.expired(now, limit).await
    }
}

#[tokio::test]
async fn each_of_those_who_share_a_save_leaves_its_own_trace() {
    let world = World::new().await;
    let app = world.app_over(|_, ledger, payments| (Arc::new(Slow(world.store.clone())), ledger, payments));
    let alice = customer("alice");
    let id = cart(&app, &alice, vec![], None).await.expect("a cart");
    app.outbox_step(app.now(), 100).await.expect("published");
    let before = world.bus.published().len();
    let belongs = |n: u32| if n.is_multiple_of(3) { None } else { context(n) };
    let adds = (0..20).map(|n| traced(belongs(n), app.change_cart(&alice, id, vec![Operation::Add(add(1, 1))], None, None)));
    for added in join_all(adds).await {
        fresh(added.expect("added"));
    }
    app.outbox_step(app.now(), 100).await.expect("published");
    assert_eq!(traces(&world.bus.published()[before..]), (0..20).map(belongs).collect::<Vec<_>>());
}

#[tokio::test]
async fn all_that_comes_of_a_request_is_in_its_trace() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    app.outbox_step(app.now(), 100).await.expect("published");
    let before = world.bus.published().len();
    traced(context(7), buy(&app, &alice, "tok_visa")).await.expect("paid");
    traced(context(8), async { app.open_session(None).await.expect("a session") }).await;
    cart(&app, &customer("bob"), vec![], None).await.expect("a cart");
    while app.outbox_step(app.now(), 100).await.expect("published") > 0 {}
    let events = world.bus.published().split_off(before);
    let of = |trace: Option<TraceContext>| {
        let (mut kinds, events) = (BTreeSet::new(), events.iter().filter(move |event| event.trace == trace));
        for event in events {
            kinds.insert(match event.subject {
                Subject::Cart(_) => "cart",
                Subject::Checkout(_) => "checkout",
                Subject::Order(_) => "order",
                Subject::Stock(_) => "stock",
                Subject::Book(_) => "book",
                Subject::Session(_) => "session",
            });
        }
        kinds.into_iter().collect::<Vec<_>>()
    };
    assert_eq!((of(context(7)), of(context(8)), of(None)), (vec!["cart", "checkout", "order", "stock"], vec!["session"], vec!["cart"]));
}
