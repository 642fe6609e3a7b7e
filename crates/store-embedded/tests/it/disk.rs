use app::ports::{
    AtLeast, CartChange, Carts, Catalog, CatalogChange, CodeWrite, Ledger, Outbox, PriceChange, Prices, PricesSaved, RuleWrite, Saved,
    Sessions,
};
use conformance::fixtures::{
    START, add, answer, append, at, cart, cart_of, changed, checkout, code, commit_checkout, count, digest, guest, mark, move_stock, moved,
    new_books, paying, placed, race, rules, save_cart, session, session_event, usd, use_coupon,
};
use domain::ids::{BookId, CartId, CheckoutId, EditionId, OrderId, PromotionId, SessionId, Version};
use domain::order::Actor;
use domain::pricing::{Batch, Kept, PriceLine, RuleKind, Why};
use domain::session::SessionEvent;
use domain::stock::StockChange;
use std::path::Path;
use std::sync::Arc;
use store_embedded::{BackupError, EmbeddedStore, OpenError, Rebuilt, VerifyError, rebuild, verify};
use tempfile::TempDir;

fn dir() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

fn open(dir: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(dir.path()).expect("a store")
}

fn database(dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.join("cartwright.db")).expect("a database")
}

/// One of everything.
async fn fill(store: &EmbeddedStore) {
    let change = CartChange { answers: vec![answer(1, "made", START)], ..save_cart(&cart_of(1, guest(1), START), 0) };
    Carts::save(store, change, START).await.expect("a saved cart");
    Catalog::save(store, new_books([conformance::fixtures::book(1)]), START).await.expect("a saved book");
    store.commit(commit_checkout(&checkout(1), 0), START).await.expect("a checkout");
    store.commit(append(placed(1, START)), START).await.expect("an order");
    let stock = [moved(1, StockChange::Receive(5), "delivery"), moved(1, StockChange::Reserve(2), "pay")];
    store.commit(move_stock(stock), START).await.expect("stock");
    store.commit(count([use_coupon("TEN", 5, "pay")]), START).await.expect("a coupon");
    store.create(session(1), digest(1), session_event(1, 1, SessionEvent::Started)).await.expect("a session");
    decide(store).await;
}

/// Rules, one of them changed; two issued codes and a price.
async fn decide(store: &EmbeddedStore) {
    let why = Why { actor: Actor::System, reason: None };
    let put = |rule, version| {
        let kept = Kept { rule, version: Version(version), updated_at: START };
        RuleWrite::Put { kept: Arc::new(kept), expected: Version(version - 1) }
    };
    let ten = rules().remove(0);
    let batch = Batch { id: 7, promotion: PromotionId::parse("TEN").expect("an id"), count: 2 };
    let codes = CodeWrite { batch, uses_max: Some(1), expected: 0, codes: vec![code("TEN-A"), code("TEN-B")] };
    for (rules, codes) in [(rules().into_iter().map(|rule| put(rule, 1)).collect(), Some(codes)), (vec![put(ten, 2)], None)] {
        let change = PriceChange { rules, codes, ..PriceChange::by(why.clone()) };
        let saved = Prices::save(store, change, START).await.expect("saved rules");
        assert!(matches!(saved, PricesSaved::Done), "{saved:?}");
    }
    let line = PriceLine { edition: EditionId(1), at: START, list: usd(199), sale: None, why };
    let change = CatalogChange { prices: vec![line], ..CatalogChange::default() };
    Catalog::save(store, change, START).await.expect("a saved price");
}

/// What [`fill`] has left, as one can compare it.
async fn seen(store: &EmbeddedStore) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.book().of(RuleKind::Promotion).collect::<Vec<_>>(),
        store.audit(None, None, 10).await.expect("lines"),
        store.issued(&code("TEN-A")).await.expect("a code"),
        store.prices(EditionId(1), None, 10).await.expect("prices"),
        Carts::load(store, CartId(1), AtLeast::Now, START).await.expect("a cart"),
        store.of_owner(&guest(1), START).await.expect("an owner"),
        Carts::answer(store, mark(1).key).await.expect("an answer"),
        store.snapshot().book(BookId(1)),
        store.level(EditionId(1)),
        store.stock(EditionId(1)).await.expect("a level"),
        store.checkout(CheckoutId(1)).await.expect("a checkout"),
        store.order(OrderId(1)).await.expect("an order"),
        store.usage(&[conformance::fixtures::uses_of("TEN")]).await.expect("a coupon"),
        Sessions::load(store, SessionId(1), START).await.expect("a session"),
        store.pending(100).await.expect("events"),
    )
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = dir();
    let store = open(&dir);
    fill(&store).await;
    let before = seen(&store).await;
    drop(store);
    let again = open(&dir);
    assert_eq!(seen(&again).await, before);
    let next = changed(&cart(1), &[add(7, 1)], at(1));
    assert!(matches!(Carts::save(&again, save_cart(&next, 2), at(1)).await.expect("a save"), Saved::Done));
    let positions: Vec<_> = again.pending(100).await.expect("events").iter().map(|p| p.position.clone()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
}

#[tokio::test]
async fn one_process_at_a_time_may_write() {
    let dir = dir();
    let first = open(&dir);
    match EmbeddedStore::open(dir.path()) {
        Err(OpenError::InUse(path)) => assert_eq!(path, dir.path()),
        other => panic!("{other:?}"),
    }
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn a_newer_format_is_refused_by_all_who_open() {
    let dir = dir();
    drop(open(&dir));
    database(dir.path()).pragma_update(None, "user_version", 1000).expect("a newer format");
    let target = dir.path().join("copy");
    for refused in [
        EmbeddedStore::open(dir.path()).expect_err("too new"),
        EmbeddedStore::open_read_only(dir.path()).expect_err("too new"),
        match EmbeddedStore::backup_to(dir.path(), &target) {
            Err(BackupError::Open(error)) => error,
            other => panic!("{other:?}"),
        },
        match verify(dir.path()) {
            Err(VerifyError::Open(error)) => error,
            other => panic!("{other:?}"),
        },
    ] {
        let message = refused.to_string();
        assert!(matches!(refused, OpenError::NewerFormat { found: 1000, .. }), "{message}");
        assert!(message.contains("format 1000, written by a newer version"), "{message}");
    }
}

#[tokio::test]
async fn a_directory_without_a_store_is_not_read() {
    let dir = dir();
    assert!(matches!(EmbeddedStore::open_read_only(dir.path()), Err(OpenError::Missing(_))));
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_acknowledged_and_writes_nothing() {
    let dir = dir();
    let store = open(&dir);
    fill(&store).await;
    let reader = EmbeddedStore::open_read_only(dir.path()).expect("a reader");
    assert_eq!(seen(&reader).await, seen(&store).await);
    let next = changed(&cart(1), &[add(7, 1)], at(1));
    Carts::save(&store, save_cart(&next, 2), at(1)).await.expect("a save");
    let read = Carts::load(&reader, CartId(1), AtLeast::Now, at(1)).await.expect("a cart").expect("a cart");
    assert_eq!(*read, next.cart);
    let error = Carts::save(&reader, save_cart(&next, 3), at(1)).await.expect_err("a reader");
    assert!(error.to_string().contains("reading only"), "{error}");
    drop(store);
    assert_eq!(Carts::load(&reader, CartId(1), AtLeast::Now, at(1)).await.expect("a cart").as_deref(), Some(&next.cart));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_saves_at_once_and_all_of_it_is_there() {
    let dir = dir();
    let store = open(&dir);
    let saved = race(32, |racer| {
        let store = store.clone();
        async move {
            let mut decided = cart_of(u128::from(racer) + 1, guest(u128::from(racer) + 1), START);
            let mut expected = 0;
            for round in 0..20 {
                let saved = Carts::save(&store, save_cart(&decided, expected), START).await.expect("a save");
                assert!(matches!(saved, Saved::Done), "{saved:?}");
                expected = decided.cart.version.0;
                decided = changed(&decided.cart, &[add(100 + round, 1)], START);
            }
            expected
        }
    })
    .await;
    assert_eq!(saved, vec![21; 32]);
    assert_eq!(store.pending(10_000).await.expect("events").len(), 32 * 21);
    drop(store);
    let verified = verify(dir.path()).expect("a sound store");
    assert_eq!((verified.carts, verified.events), (32, 32 * 21));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_while_writing_is_a_sound_store_as_of_one_instant() {
    let (dir, target) = (dir(), dir());
    let store = open(&dir);
    fill(&store).await;
    let writing = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(async {
                for n in 2..300 {
                    let saved = Carts::save(&store, save_cart(&cart_of(n, guest(n), START), 0), START).await.expect("a save");
                    assert!(matches!(saved, Saved::Done), "{saved:?}");
                }
            });
        })
    };
    EmbeddedStore::backup_to(dir.path(), target.path()).expect("a copy");
    writing.await.expect("all saves");
    let copied = verify(target.path()).expect("a sound copy");
    // A cart and its two events are one change.
    assert_eq!(copied.events - 2 * copied.carts, verify(dir.path()).expect("a sound store").events - 2 * 299);
    let files: Vec<_> = std::fs::read_dir(target.path()).expect("a directory").map(|f| f.expect("a file").file_name()).collect();
    assert!(!files.iter().any(|f| f == "cartwright.partial"), "{files:?}");
    assert!(matches!(EmbeddedStore::backup_to(dir.path(), target.path()), Err(BackupError::NotEmpty(_))));
    let opened = open(&target);
    assert_eq!(opened.checkout(CheckoutId(1)).await.expect("a checkout"), Some(checkout(1)));
    assert_eq!(opened.level(EditionId(1)), store.level(EditionId(1)));
}

#[tokio::test]
async fn a_sound_store_is_counted_and_every_disagreement_is_found() {
    for (damage, told) in [
        ("SELECT 1", None),
        ("UPDATE stock SET reserved = 3", Some("its moves lead to")),
        ("DELETE FROM stock_moves WHERE kind = 'receive'", Some("is not possible on")),
        ("DELETE FROM stock", Some("the level is None")),
        ("UPDATE counters SET used = 2", Some("uses/TEN stands at 2, its uses lead to 1")),
        ("DELETE FROM order_events WHERE sequence = 1", Some("is not what its events say")),
        ("DELETE FROM order_events WHERE sequence = 1", Some("event 2 is not what was written")),
        ("UPDATE order_events SET link = zeroblob(32) WHERE sequence = 2", Some("event 2 is not what was written")),
        ("DELETE FROM orders", Some("has events and is not there")),
        ("UPDATE carts SET body = CAST(x'02' || substr(body, 2) AS BLOB)", Some("format 2, written by a newer version")),
        ("UPDATE carts SET body = substr(body, 1, 9)", Some("the stored cart cannot be read")),
        ("UPDATE outbox SET body = x'7b7d' WHERE position = 1", Some("the stored event cannot be read")),
        ("UPDATE rules SET version = 9 WHERE kind = 'promotion'", Some("a rule's columns are")),
        (
            "UPDATE rules SET body = CAST(replace(CAST(body AS TEXT), '10 % off', '20 % off') AS BLOB)",
            Some("TEN is not what was decided last"),
        ),
        ("DELETE FROM rules WHERE kind = 'tax_rate'", Some("US-CA-SALES is not what was decided last")),
        ("DELETE FROM rule_audit WHERE kind = 'tax_rate'", Some("US-CA-SALES is not what was decided last")),
        ("UPDATE rule_audit SET body = x'7b7d' WHERE sequence = 1", Some("the stored line of the audit cannot be read")),
        ("DELETE FROM codes WHERE code = 'TEN'", Some("the code TEN and the promotion TEN do not name each other")),
        ("DELETE FROM codes WHERE code = 'TEN-A'", Some("has 2 codes, 1 are there")),
        ("UPDATE price_lines SET body = x'7b7d'", Some("the stored line of the price history cannot be read")),
        ("UPDATE books SET body = CAST(replace(CAST(body AS TEXT), 'SKU-1', 'SKU 1') AS BLOB)", Some("books: ")),
    ] {
        let dir = dir();
        let store = open(&dir);
        fill(&store).await;
        drop(store);
        database(dir.path()).execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {damage}")).expect("damage");
        match (verify(dir.path()), told) {
            (Ok(verified), None) => {
                let one = [verified.carts, verified.checkouts, verified.orders, verified.books, verified.sessions, verified.answers];
                assert_eq!((one, verified.stock_moves, verified.rules, verified.codes), ([1; 6], 2, 3, 3));
            }
            (Err(VerifyError::Unsound(wrong)), Some(told)) => assert!(wrong.iter().any(|w| w.contains(told)), "{damage}: {wrong:?}"),
            (other, _) => panic!("{damage}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_cart_is_an_error_and_no_cart() {
    let dir = dir();
    let store = open(&dir);
    fill(&store).await;
    drop(store);
    database(dir.path()).execute_batch("UPDATE carts SET body = substr(body, 1, 9)").expect("damage");
    let error = Carts::load(&open(&dir), CartId(1), AtLeast::Now, START).await.expect_err("damaged");
    assert_eq!(error.kind, app::ports::PortErrorKind::Corrupt);
}

#[tokio::test]
async fn one_changed_byte_of_an_order_s_past_is_found_and_named() {
    let dir = dir();
    let store = open(&dir);
    fill(&store).await;
    store.commit(append(placed(2, START)), START).await.expect("another order");
    drop(store);
    verify(dir.path()).expect("a sound store");
    // Who caused it is told nowhere else, so that only the chain can tell.
    let file = dir.path().join("cartwright.db");
    let mut bytes = std::fs::read(&file).expect("a file");
    let (event, cause) = (format!("{{\"v\":1,\"sequence\":2,\"at\":{},", START.0), b"\"cause\":\"a test\"");
    let found = |text: &[u8], from: usize| bytes[from..].windows(text.len()).position(|w| w == text).map(|at| from + at);
    let at = found(cause, found(event.as_bytes(), 0).expect("an event")).expect("a cause") + cause.len() - 2;
    assert_eq!(bytes[at], b't');
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).expect("written");
    match verify(dir.path()) {
        Err(VerifyError::Unsound(wrong)) => {
            let named = |n| wrong == [format!("{}: event 2 is not what was written", OrderId(n))];
            assert!(named(1) || named(2), "{wrong:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_that_follows_from_something_else_is_made_anew_and_compared() {
    for (damage, told) in [
        ("SELECT 1", None),
        ("UPDATE orders SET status = 'shipped'", Some("its events lead to")),
        ("UPDATE orders SET number = 'CW-0000-0000-0009'", Some("its events lead to")),
        ("UPDATE orders SET payment = 'refunding'", Some("its events lead to")),
        ("UPDATE checkouts SET due_at = due_at + 1", Some("the checkout says")),
        ("UPDATE checkouts SET done = 1", Some("the checkout says")),
        ("UPDATE stock SET reserved = 0; UPDATE stock_moves SET kind = 'count', n = 5 WHERE kind = 'reserve'", Some("are reserved")),
        ("UPDATE counters SET used = 3", Some("uses/TEN stands at 3")),
        ("DELETE FROM counters", Some("uses/TEN stands at 0")),
        ("DELETE FROM order_events WHERE sequence = 2", Some("is not what its events say")),
    ] {
        let dir = dir();
        let store = open(&dir);
        buy_one(&store).await;
        drop(store);
        database(dir.path()).execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {damage}")).expect("damage");
        match (rebuild(dir.path()), told) {
            (Ok(rebuilt), None) => assert_eq!(rebuilt, Rebuilt { orders: 1, checkouts: 2, levels: 1, counters: 1 }),
            (Err(VerifyError::Unsound(wrong)), Some(told)) => assert!(wrong.iter().any(|w| w.contains(told)), "{damage}: {wrong:?}"),
            (other, _) => panic!("{damage}: {other:?}"),
        }
    }
}

/// An order with a coupon, and a checkout that is being paid for one copy and with the same coupon.
async fn buy_one(store: &EmbeddedStore) {
    let stock = [moved(1, StockChange::Receive(5), "delivery"), moved(1, StockChange::Reserve(1), "pay")];
    store.commit(move_stock(stock), START).await.expect("stock");
    store.commit(count([use_coupon("TEN", 5, "first"), use_coupon("TEN", 5, "second")]), START).await.expect("a coupon");
    store.commit(append(placed(2, START)), START).await.expect("an order");
    store.commit(commit_checkout(&checkout(3), 0), START).await.expect("an open checkout");
    store.commit(commit_checkout(&paying(1), 0), START).await.expect("a checkout that is being paid");
}
