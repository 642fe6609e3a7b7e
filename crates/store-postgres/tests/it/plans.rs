//! No question walks through a whole table, however many orders there are.

#[path = "../../src/queries.rs"]
mod queries;

use crate::servers::Database;
use crate::sql::{connect, number, rows, until};
use crate::start::settings;
use app::ports::{Change, Ledger, OrderFilter, Outbox, Position};
use bytes::Bytes;
use conformance::fixtures::{
    START, answer, append, at, checkout, commit_checkout, customer, mark, move_stock, moved, next, placed, use_coupon, uses_of,
};
use domain::checkout::State;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId};
use domain::order::{Actor, OrderEvent, PaymentStatus, Status};
use domain::stock::StockChange;
use store_postgres::PgStore;
use tokio_postgres::Client;

/// Orders of a thousand customers, most of them delivered and paid, and what goes with them.
const FILL: &str = "
    INSERT INTO orders SELECT ('00000000-0000-0001-' || lpad(to_hex(n / 65536), 4, '0') || '-' || lpad(to_hex(n % 65536), 12, '0'))::uuid, 2, 'N' || n,
        md5('c' || n)::uuid, convert_to('c' || n % 1000, 'UTF8'), n, CASE WHEN n % 50 = 0 THEN 'pending' WHEN n % 77 = 0 THEN 'canceled' ELSE 'delivered' END,
        CASE WHEN n % 500 = 0 THEN 'refunding' WHEN n % 77 = 0 THEN 'voided' ELSE 'captured' END, n, '{}' FROM generate_series(1, $N) n;
    INSERT INTO checkouts SELECT md5('c' || n)::uuid, 3, md5('cart' || n)::uuid, convert_to('c' || n % 1000, 'UTF8'), n, n % 100 = 0, n % 50 <> 0, n, '{}'
        FROM generate_series(1, $N) n;
    INSERT INTO order_events SELECT id, sequence, '{}', '' FROM orders, generate_series(1, 2) sequence;
    INSERT INTO answers SELECT md5(n::text)::uuid, md5(n::text)::uuid, n, '{}' FROM generate_series(1, $N) n;
    INSERT INTO notices SELECT 'evt_' || n, n FROM generate_series(1, $N) n;
    INSERT INTO commits SELECT md5(n::text)::uuid FROM generate_series(1, $N) n;
    INSERT INTO stock SELECT md5(n::text)::uuid, 100, 0, 1 FROM generate_series(1, $N) n;
    INSERT INTO stock_moves SELECT 'pay_' || n, md5(n::text)::uuid, 'reserve', 1, 1, n FROM generate_series(1, $N) n;
    INSERT INTO counters SELECT 'uses/' || n, 1 FROM generate_series(1, $N) n;
    INSERT INTO uses SELECT 'pay_' || n, 'uses/' || n, 1, n FROM generate_series(1, $N) n;
    INSERT INTO outbox (events) SELECT '{}' FROM generate_series(1, $N) n;
    INSERT INTO deliveries SELECT n, 5 FROM generate_series(1, $N) n;
    INSERT INTO leases (job, until, fence) SELECT 'job ' || n, n, 1 FROM generate_series(1, $N) n;
    ANALYZE;";

/// Tables that grow with the shop.
const LARGE: &str = "('orders', 'checkouts', 'order_events', 'answers', 'notices', 'commits', 'stock', 'stock_moves', 'counters', 'uses', 'outbox', 'deliveries', 'leases')";

async fn filled(database: &Database, orders: u32) -> Client {
    PgStore::connect(settings(database)).await.expect("a store");
    let client = connect(&database.url()).await;
    client.batch_execute(&FILL.replace("$N", &orders.to_string())).await.expect("many orders");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_goes_by_an_index() {
    let database = Database::fresh();
    let client = filled(&database, 30_000).await;
    // As for a statement that has been asked often, whoever it is asked about.
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.expect("set");
    // Who starts reads everything; what follows is asked of full tables elsewhere (`indexes.rs`); and who shares jobs out reads
    // who has which: a handful.
    let reading = queries::all()
        .filter(|query| ![queries::feed::all, queries::feed::since, queries::leases::held].contains(query))
        .filter(|query| LARGE.split(['(', ',', ')', '\'']).any(|table| !table.trim().is_empty() && query.contains(&format!(" {table} "))));
    let mut seen = 0;
    for query in reading {
        client.batch_execute(&format!("PREPARE asked AS {query}")).await.expect(query);
        let parameters =
            number(&client, "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements WHERE name = 'asked'").await;
        let nulls = vec!["NULL"; usize::try_from(parameters).expect("few")].join(", ");
        let plan = rows(&client, &format!("EXPLAIN EXECUTE asked({nulls})")).await;
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{query}\n{}", plan.join("\n"));
        assert!(plan.iter().any(|line| line.contains("Index")), "{query}\n{}", plan.join("\n"));
        // A page of all orders ends after so many rows; there is nothing to be sorted first. An owner has few.
        let is_page_of_all = query.contains("FROM orders WHERE placed_at") && !query.contains("AND owner");
        assert!(!is_page_of_all || !plan.iter().any(|line| line.contains("Sort")), "{query}\n{}", plan.join("\n"));
        client.batch_execute("DEALLOCATE asked").await.expect("gone");
        seen += 1;
    }
    assert!(seen >= 20, "{seen} queries");
}

/// What the functions of the database do inside is seen by what they leave in the statistics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_the_store_does_walks_through_a_large_table() {
    let database = Database::fresh();
    let client = filled(&database, 30_000).await;
    let walks = format!("SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE relname IN {LARGE} ORDER BY relname");
    let walks = async || rows(&client, &walks).await.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, i64)>>();
    let others = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend') = 1";
    until(&client, others).await;
    // Who starts reads everything; what that takes is told by one that does no more.
    let walked = async |since: &[(String, i64)]| {
        client.batch_execute("SELECT pg_stat_clear_snapshot()").await.expect("a fresh look");
        walks().await.into_iter().zip(since).map(|((table, now), (_, then))| (table, now - then)).collect::<Vec<_>>()
    };
    let before = walks().await;
    drop(PgStore::connect(settings(&database)).await.expect("a store"));
    until(&client, others).await;
    let of_a_start = walked(&before).await;
    let before = walks().await;
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    // Often enough for the server to keep its plans.
    for n in 1..=10 {
        Box::pin(use_everything(&store, n)).await;
    }
    drop(store);
    until(&client, others).await;
    assert_eq!(walked(&before).await, of_a_start);
}

async fn use_everything(store: &PgStore, n: u8) {
    let number = u128::from(n) << 64;
    let open = checkout(n.into());
    let first = placed(n.into(), START);
    let id = first.order.id;
    let confirmed = first.order.append(vec![OrderEvent::Confirmed], &Actor::System, "test", at(1));
    let given = Change {
        notice: Some(conformance::fixtures::text(&format!("notice {n}"))),
        answer: Some(answer(n, "done", START)),
        ..Change::default()
    };
    let uses = vec![use_coupon("TEN", 99, &format!("pay {n}"))];
    for change in [
        commit_checkout(&open, 0),
        commit_checkout(&next(&open, State::Authorizing, at(9)), 1),
        Change { uses, ..append(first) },
        Change { order_alarm: Some((id, at(7))), ..append(confirmed) },
        Change { order_alarm: Some((id, at(8))), ..Change::default() },
        move_stock([1, 2, 3].map(|edition| moved(number + edition, StockChange::Receive(5), "delivery"))),
        move_stock([moved(number + 1, StockChange::Reserve(9), "too many")]),
        given.clone(),
        given,
    ] {
        store.commit(change, START).await.expect("a store that works");
    }
    let filter = |owner, status, payment| OrderFilter { owner, status, payment, ..OrderFilter::default() };
    for owner in [None, Some(customer("nobody"))] {
        for status in [None, Some(Status::Failed)] {
            for payment in [None, Some(PaymentStatus::Failed)] {
                if owner.is_some() || status.is_some() || payment.is_some() {
                    let filter = filter(owner.clone(), status, payment);
                    assert!(store.orders(&filter, 20).await.expect("a store that works").is_empty(), "{filter:?}");
                }
            }
        }
    }
    let due = domain::time::Timestamp(0);
    assert!(store.due_checkouts(due, 20).await.expect("a store that works").is_empty());
    assert!(store.due_orders(due, 20).await.expect("a store that works").is_empty());
    store.overdue(due).await.expect("a store that works");
    store.checkout(CheckoutId(n.into())).await.expect("a store that works").expect("a checkout");
    store.checkout_of_cart(CartId(n.into())).await.expect("a store that works").expect("a checkout");
    store.checkout_of_owner(&customer("nobody")).await.expect("a store that works");
    store.order(OrderId(n.into())).await.expect("a store that works").expect("an order");
    store.order_events(OrderId(n.into())).await.expect("a store that works");
    store.stock(EditionId(number + 1)).await.expect("a store that works");
    store.usage(&[uses_of("TEN"), uses_of("FIVE")]).await.expect("a store that works");
    store.noticed(&conformance::fixtures::text("evt_1")).await.expect("a store that works");
    store.answer(mark(n).key).await.expect("a store that works").expect("an answer");
    store.forget_answers(at(-1_750_000_000), 5).await.expect("a store that works");
    store.forget_notices(at(-1_750_000_000), 5).await.expect("a store that works");
    store.pending(5).await.expect("a store that works");
    let second_of_row_7 = Position(Bytes::from([7_i64.to_be_bytes().as_slice(), &2_i32.to_be_bytes()].concat()));
    store.delivered(&[second_of_row_7], START).await.expect("a store that works");
    store.forget_delivered(at(-1_750_000_000), 5).await.expect("a store that works");
}
