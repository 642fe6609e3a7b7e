use crate::world::{World, add, cart, customer, fresh, once};
use app::{Answered, App, Caller, CartView, Error, MergeCart, OpenCart, Operation};
use conformance::fixtures;
use domain::cart::Strategy;
use domain::ids::{CartId, Version};
use domain::refusal::Refusal;
use futures_util::future::join_all;
use std::time::Duration;

fn quantities(view: &CartView) -> Vec<(u128, u32)> {
    view.cart.items.iter().map(|i| (i.edition.0, i.quantity.get())).collect()
}

async fn change(app: &App, caller: &Caller, id: CartId, operation: Operation) -> Result<Answered<CartView>, Error> {
    app.change_cart(caller, id, vec![operation], None, None).await
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("a refusal was expected: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_adds_at_once_none_is_lost_and_none_refused() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![], None).await.expect("a cart");
    let added = join_all((0..300).map(|_| change(&app, &alice, id, Operation::Add(add(1, 1))))).await;
    let mut versions: Vec<u64> = added.into_iter().map(|a| fresh(a.expect("added")).cart.version.0).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=301).collect::<Vec<_>>());
    assert_eq!(quantities(&app.cart(&alice, id).await.expect("there")), [(1, 300)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_requests_of_a_shopper_make_one_cart() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let carts = join_all((0..20).map(|_| cart(&app, &alice, vec![add(1, 1)], None))).await;
    let mut ids: Vec<_> = carts.into_iter().map(|c| c.expect("a cart")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_works_once_however_often_it_is_sent() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![], None).await.expect("a cart");
    let send = |body| app.change_cart(&alice, id, vec![Operation::Add(add(1, 1))], None, Some(once("k", body)));
    let answers = join_all((0..10).map(|_| send(0))).await;
    let first: Vec<_> =
        answers.into_iter().map(|a| if let Answered::Again(body) = a.expect("answered") { Some(body) } else { None }).collect();
    assert_eq!(first.iter().filter(|a| a.is_none()).count(), 1);
    let repeats: Vec<_> = first.into_iter().flatten().collect();
    assert!(repeats.iter().all(|b| *b == repeats[0]));
    assert_eq!(refusal(send(1).await), Refusal::IdempotencyKeyReused);
    for n in 0..20 {
        fresh(app.change_cart(&alice, id, vec![Operation::Add(add(2, 1))], None, Some(once(&format!("n{n}"), 0))).await.expect("added"));
    }
    assert!(matches!(send(0).await, Ok(Answered::Again(body)) if body == repeats[0]), "also after the cart has forgotten the key");
    assert_eq!(quantities(&app.cart(&alice, id).await.expect("there")), [(1, 1), (2, 20)]);
}

#[tokio::test]
async fn a_new_cart_takes_more_items_than_a_batch() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, (0..250).map(|n| add(1 + n % 3, 1)).collect(), None).await.expect("a cart");
    assert_eq!(quantities(&app.cart(&alice, id).await.expect("there")), [(1, 84), (2, 83), (3, 83)]);
}

#[tokio::test]
async fn a_cart_that_was_bought_makes_way_for_a_new_one() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    crate::world::buy(&app, &alice, "tok_visa").await.expect("paid");
    let bought = app.my_cart(&alice).await.expect("still shown").cart.id;
    let new = cart(&app, &alice, vec![add(2, 1)], None).await.expect("a cart");
    assert_ne!(new, bought);
    assert_eq!(quantities(&app.my_cart(&alice).await.expect("there")), [(2, 1)]);
}

#[tokio::test]
async fn a_stale_version_is_refused_with_the_current_one() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let stale = app.change_cart(&alice, id, vec![Operation::Clear], Some(Version(1)), None).await;
    assert_eq!(refusal(stale), Refusal::VersionMismatch { current: Version(2) });
    fresh(app.change_cart(&alice, id, vec![Operation::Clear], Some(Version(2)), None).await.expect("current"));
}

#[tokio::test]
async fn another_ones_cart_is_not_there() {
    let world = World::new().await;
    let (app, alice, mallory) = (world.app(), customer("alice"), customer("mallory"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    assert_eq!(refusal(app.cart(&mallory, id).await), Refusal::CartNotFound);
    assert_eq!(refusal(change(&app, &mallory, id, Operation::Clear).await), Refusal::CartNotFound);
    assert_eq!(refusal(app.delete_cart(&mallory, id, None, None).await), Refusal::CartNotFound);
    assert_eq!(refusal(app.cart(&Caller::Anonymous, id).await), Refusal::Unauthenticated);
    assert_eq!(quantities(&app.cart(&alice, id).await.expect("there")), [(1, 1)]);
}

#[tokio::test]
async fn merging_twice_or_at_once_is_merging_once() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    let session = app.open_session(None).await.expect("a session");
    let guest = Caller::Guest(session.session.clone());
    let source = cart(&app, &guest, vec![add(1, 2), add(2, 1)], None).await.expect("a cart");
    let merge = |dry_run| {
        let merge = MergeCart { source_token: session.token.clone(), strategy: Strategy::Sum, dry_run };
        app.merge_cart(&alice, id, merge, None, None)
    };
    assert_eq!(quantities(&fresh(merge(true).await.expect("previewed"))), [(1, 3), (2, 1)]);
    assert_eq!(quantities(&app.cart(&alice, id).await.expect("there")), [(1, 1)], "a preview changes nothing");
    for merged in join_all((0..10).map(|_| merge(false))).await {
        assert_eq!(quantities(&fresh(merged.expect("merged"))), [(1, 3), (2, 1)]);
    }
    assert_eq!(refusal(app.cart(&guest, source).await), Refusal::CartNotFound);
    cart(&app, &guest, vec![add(3, 1)], None).await.expect("a new cart");
    assert_eq!(quantities(&fresh(merge(false).await.expect("merged"))), [(1, 3), (2, 1), (3, 1)], "a new cart of the guest is new");
}

#[tokio::test]
async fn an_expired_cart_is_gone_and_swept_with_its_event() {
    let world = World::new().await;
    let (app, alice) = (world.app(), customer("alice"));
    let id = cart(&app, &alice, vec![add(1, 1)], None).await.expect("a cart");
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(refusal(app.cart(&alice, id).await), Refusal::CartNotFound);
    let new = cart(&app, &alice, vec![], None).await.expect("a new cart");
    assert_ne!(new, id);
    app.expiry_step(app.now(), 10).await.expect("swept");
    world.settle(&app).await;
    let names: Vec<_> = world.bus.published().iter().map(|e| e.event.name()).collect();
    assert!(names.contains(&"cart.item_added"), "{names:?}");
}

#[tokio::test]
async fn a_coupon_without_uses_left_is_a_warning() {
    let world = World::new().await;
    let app = world.app();
    for name in ["alice", "bob"] {
        let caller = customer(name);
        cart(&app, &caller, vec![add(1, 1)], Some("TWICE")).await.expect("a cart");
        let view = crate::world::start(&app, &caller).await.expect("started");
        let process = crate::world::process(view.checkout.id, "tok_visa", view.checkout.quote.total);
        fresh(app.process(&caller, process, once(name, 0)).await.expect("paid"));
    }
    let carol = customer("carol");
    let open = OpenCart { currency: None, items: vec![add(1, 1)], coupons: vec![fixtures::code("TWICE")] };
    let view = fresh(app.open_cart(&carol, open, None).await.expect("a cart")).view;
    assert_eq!((view.quote.discount.minor(), view.warnings.len()), (0, 1));
}
