//! A store is sound, and what was changed behind its back is told.

use crate::copies::{client, save, save_rule};
use crate::servers::Database;
use crate::start::settings;
use app::ports::{CatalogChange, Change, Committed, Ledger, RuleWrite};
use conformance::fixtures::{START, append, book, heading, moved, new_books, placed, put_heading, rules, use_coupon};
use domain::catalog::{Book, HeadingKind};
use domain::ids::Version;
use domain::pricing::Kept;
use domain::stock::StockChange;
use store_postgres::{PgStore, VerifyError};

async fn filled(store: &PgStore) {
    let author = heading(HeadingKind::Author, 1, "Frank Herbert");
    let stock = vec![moved(1, StockChange::Count(7), "import")];
    let change = CatalogChange {
        headings: vec![put_heading(author.clone(), 0)],
        stock,
        ..new_books([Book { authors: vec![author.id], ..book(1) }])
    };
    save(store, change).await;
    for rule in rules() {
        save_rule(store, RuleWrite::Put { kept: Kept::first(rule, START), expected: Version(0) }).await;
    }
    let sold = Change {
        stock: vec![moved(1, StockChange::Reserve(2), "order")],
        uses: vec![use_coupon("TEN", 5, "order")],
        ..append(placed(1, START))
    };
    let committed = store.commit(sold, START).await.expect("a store that works");
    assert!(matches!(committed, Committed::Done), "{committed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_behind_the_stores_back_is_told() {
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    filled(&store).await;
    let verified = store.verify().await.expect("a sound store");
    assert_eq!((verified.orders, verified.books, verified.headings, verified.stock_moves, verified.rules), (1, 1, 1, 2, 3));
    let hand = client(&database).await;
    // Some changes hide what others would tell.
    for changes in [
        vec![
            ("UPDATE stock SET reserved = 1", "its moves lead to"),
            ("UPDATE counters SET used = 2", "its uses lead to 1"),
            ("UPDATE order_events SET body = body || ' '::bytea WHERE sequence = 1", "event 1 is not what was written"),
            ("UPDATE rules SET version = 7", "a rule's columns are"),
            ("DELETE FROM codes", "do not name each other"),
            ("INSERT INTO batches VALUES (gen_random_uuid(), 3)", "has 3 codes, 0 are there"),
            ("DELETE FROM editions", "are not the ones it names"),
            ("UPDATE books SET words = own", "is not found by the words of its authors"),
        ],
        vec![
            ("UPDATE stock_moves SET n = 9 WHERE kind = 'reserve'", "is not possible"),
            ("DELETE FROM order_events WHERE sequence = 2", "is not what its events say"),
            ("DELETE FROM rules WHERE kind = 'promotion'", "is not what was decided last"),
            ("DELETE FROM headings", "which is not there"),
        ],
        vec![("UPDATE orders SET body = 'x'", "orders: the stored")],
        vec![("DELETE FROM orders", "has events and is not there")],
    ] {
        for (change, _) in &changes {
            hand.batch_execute(change).await.expect(change);
        }
        let unsound = store.verify().await.expect_err("an unsound store");
        let VerifyError::Unsound(lines) = unsound else { panic!("{unsound}") };
        for (change, told) in changes {
            assert!(lines.iter().any(|line| line.contains(told)), "{change}: {lines:#?}");
        }
    }
}
