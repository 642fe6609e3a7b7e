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
    INSERT INTO outgoing (events) SELECT '{}' FROM generate_series(1, $N) n;
    INSERT INTO deliveries SELECT n, 5 FROM generate_series(1, $N) n;
    INSERT INTO leases (job, until, fence) SELECT 'job ' || n, n, 1 FROM generate_series(1, $N) n;
    ANALYZE;";

/// Tables that grow with the shop.
const LARGE: &str = "('orders', 'checkouts', 'order_events', 'answers', 'notices', 'commits', 'stock', 'stock_moves', 'counters', 'uses', 'outbox', 'outgoing', 'deliveries', 'leases')";

async fn filled(database: &Database, orders: u32) -> Client {
    PgStore::connect(settings(database)).await.expect("a store");
    let client = connect(&database.url()).await;
    client.batch_execute(&FILL.replace("$N", &orders.to_string())).await.expect("many orders");
    client
}

/// What a shop sells, and its rules of prices.
const FILL_CATALOG: &str = "
    INSERT INTO headings SELECT 'aut', md5('a' || n)::uuid, 1, 'author ' || n, '''author'':1B', '{}', pg_current_xact_id() FROM generate_series(1, 20000) n;
    INSERT INTO books SELECT md5('b' || n)::uuid, 1, to_tsvector('simple', 'book w' || n % 500), to_tsvector('simple', 'book w' || n % 500), '{}',
        pg_current_xact_id() FROM generate_series(1, 20000) n;
    INSERT INTO removed SELECT 'book', md5('r' || n), pg_current_xact_id() FROM generate_series(1, 20000) n;
    INSERT INTO price_lines (edition, body) SELECT md5('e' || n % 5000)::uuid, '{}' FROM generate_series(1, 20000) n;
    INSERT INTO rules SELECT 'tax_rate', 'rate ' || n, 1, '{}', pg_current_xact_id() FROM generate_series(1, 20000) n;
    INSERT INTO rule_audit (kind, id, body) SELECT 'tax_rate', 'rate ' || n % 5000, '{}' FROM generate_series(1, 20000) n;
    INSERT INTO codes SELECT 'CODE' || n, 'SPRING' || n % 10, md5('batch' || n % 100)::uuid, 1, n FROM generate_series(1, 20000) n;
    INSERT INTO batches SELECT md5('batch' || n)::uuid, 200 FROM generate_series(1, 20000) n;
    INSERT INTO stock SELECT md5('e' || n)::uuid, 100, 0, 1 FROM generate_series(1, 20000) n;
    INSERT INTO stock_moves SELECT 'import', md5('e' || n)::uuid, 'count', 100, 1, n FROM generate_series(1, 20000) n;
    ANALYZE;";

const LARGE_CATALOG: &str = "('headings', 'books', 'removed', 'price_lines', 'rules', 'rule_audit', 'codes', 'batches')";

/// How a query is carried out whatever it is asked about, as one that has been asked often.
async fn plan(client: &Client, query: &str) -> String {
    client.batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE asked AS {query}")).await.expect(query);
    let parameters = number(client, "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements WHERE name = 'asked'").await;
    let nulls = vec!["NULL"; usize::try_from(parameters).expect("few")].join(", ");
    let plan = rows(client, &format!("EXPLAIN EXECUTE asked({nulls})")).await;
    client.batch_execute("DEALLOCATE asked").await.expect("gone");
    plan.iter().map(|row| row.get(0)).collect::<Vec<String>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_goes_by_an_index() {
    let database = Database::fresh();
    let client = filled(&database, 30_000).await;
    client.batch_execute(FILL_CATALOG).await.expect("many of everything");
    let large = |table: &str| [LARGE, LARGE_CATALOG].iter().any(|tables| tables.contains(&format!("'{table}'")));
    // Who starts reads everything; and who shares jobs out reads who has which: a handful.
    let asked = queries::all().filter(|query| ![queries::feed::all, queries::leases::held].contains(query));
    let mut seen = 0;
    for query in asked.filter(|query| query.split_whitespace().any(|word| large(word.trim_matches(['(', ')', ',', ';'])))) {
        let plan = plan(&client, query).await;
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{query}\n{plan}");
        // A page of all orders ends after so many rows; there is nothing to be sorted first. An owner has few.
        let is_page_of_all = query.contains("FROM orders WHERE placed_at") && !query.contains("AND owner");
        assert!(!is_page_of_all || !plan.contains("Sort"), "{query}\n{plan}");
        seen += 1;
    }
    assert!(seen >= 29, "{seen} queries");
}

/// A million of them, say, of a hundred thousand customers, of whom one has every tenth; some states are rare, and some never go together.
const FILL_ORDERS: &str = "
    INSERT INTO orders (id, version, number, checkout, owner, placed_at, status, payment, body)
    SELECT ('00000000-0000-0001-' || lpad(to_hex(n / 65536), 4, '0') || '-' || lpad(to_hex(n % 65536), 12, '0'))::uuid, 2, 'N' || n,
        md5('c' || n)::uuid, convert_to('c' || CASE WHEN n % 10 = 0 THEN 'school' ELSE (n % 100003)::text END, 'UTF8'), n::bigint * 1000000,
        CASE WHEN n % 50 = 0 THEN 'pending' WHEN n % 77 = 0 THEN 'canceled' WHEN n % 1009 = 0 THEN 'failed' ELSE 'delivered' END,
        CASE WHEN n % 500 = 0 THEN 'refunding' WHEN n % 77 = 0 THEN 'voided' WHEN n % 1009 = 0 THEN 'failed' ELSE 'captured' END, $2
    FROM generate_series(1, $1::integer) n";

/// Blocks that a query reads, and how it is carried out.
async fn explained(client: &Client, mode: &str, query: &str, values: &str) -> (u64, String) {
    client.batch_execute(&format!("SET plan_cache_mode = {mode}; PREPARE asked AS {query}")).await.expect(query);
    let plan = rows(client, &format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE asked({values})")).await;
    client.batch_execute("DEALLOCATE asked").await.expect("gone");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let words = plan.iter().find(|line| line.contains("Buffers:")).map_or("", String::as_str).split(' ');
    let blocks = words.filter_map(|word| word.strip_prefix("hit=").or_else(|| word.strip_prefix("read=")));
    (blocks.filter_map(|n| n.parse::<u64>().ok()).sum(), plan.join("\n"))
}

/// Each with the values of its parameters: by nothing, and by every two or three of owner, status and payment, from the newest on and from the
/// middle.
fn pages(orders: i64) -> impl Iterator<Item = (&'static str, String)> {
    let owners = [None, Some("school"), Some("17"), Some("nobody")];
    let statuses = [None, Some(Status::Delivered), Some(Status::Canceled), Some(Status::Shipped)];
    let payments = [None, Some(PaymentStatus::Captured), Some(PaymentStatus::Refunding), Some(PaymentStatus::Voided)];
    let filters =
        owners.into_iter().flat_map(move |o| statuses.into_iter().flat_map(move |s| payments.into_iter().map(move |p| (o, s, p))));
    filters.flat_map(move |(owner, status, payment)| {
        let shape = usize::from(owner.is_some()) | usize::from(status.is_some()) << 1 | usize::from(payment.is_some()) << 2;
        let named = [
            owner.map(|name| format!("convert_to('c{name}', 'UTF8')")),
            status.map(|status| format!("'{}'", status.as_str())),
            payment.map(|payment| format!("'{}'", payment.as_str())),
        ];
        let named: String = named.into_iter().flatten().map(|value| format!(", {value}")).collect();
        let values = move |before| format!("0, {before}, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 21{named}");
        [i64::MAX, orders * 500_000].map(|before| (queries::ORDERS[shape].as_str(), values(before)))
    })
}

/// `ORDERS=1000000` tries it with a million, and tells how long a page takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "somebody may ask for more orders")]
async fn a_page_of_orders_reads_little_more_than_itself_however_many_there_are() {
    let asked = std::env::var("ORDERS").ok().and_then(|text| text.parse::<i32>().ok());
    let orders = asked.unwrap_or(20_000);
    let database = Database::fresh();
    let store = PgStore::connect(settings(&database)).await.expect("a store");
    let client = connect(&database.url()).await;
    let body = records::encode_order(&placed(1, START).order);
    client.execute(FILL_ORDERS, &[&orders, &body]).await.expect("many orders");
    client.batch_execute("ANALYZE orders").await.expect("looked at");
    let many = u64::try_from(orders).expect("some");
    for (query, values) in pages(orders.into()) {
        let (blocks, plan) = explained(&client, "force_generic_plan", query, &values).await;
        let told = format!("{query}({values}): {blocks} blocks\n{plan}");
        assert!(!["Seq Scan", "Sort", "Removed by Filter"].iter().any(|walk| plan.contains(walk)), "{told}");
        // An order of the one with every tenth that is left out costs its line in the index, of which a block has a hundred.
        assert!(blocks <= 150 + many / 500, "{told}");
        // Who is asked for the first time may sort the orders of one rare state.
        let (blocks, plan) = explained(&client, "force_custom_plan", query, &values).await;
        assert!(!plan.contains("Seq Scan") && blocks <= 150 + many / 300, "{query}({values}): {blocks} blocks\n{plan}");
    }
    if asked.is_some() {
        time_pages(&store, orders).await;
    }
}

/// Two hundred pages by each filter, from anywhere.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "how long it takes is what is asked")]
async fn time_pages(store: &PgStore, orders: i32) {
    let school = || Some(customer("school"));
    for (name, owner, status, payment) in [
        ("all", None, None, None),
        ("delivered", None, Some(Status::Delivered), None),
        ("captured", None, None, Some(PaymentStatus::Captured)),
        ("canceled and captured, of which there are none", None, Some(Status::Canceled), Some(PaymentStatus::Captured)),
        ("of a customer with ten orders", Some(customer("17")), None, None),
        ("of a customer with ten orders, delivered", Some(customer("17")), Some(Status::Delivered), None),
        ("of a customer with every tenth order", school(), None, None),
        ("of a customer with every tenth order, pending", school(), Some(Status::Pending), None),
        ("of a customer with every tenth order, shipped, of which there are none", school(), Some(Status::Shipped), None),
    ] {
        let mut micros = Vec::new();
        for _ in 0..200 {
            let to = Some(domain::time::Timestamp(fastrand::i64(1..=i64::from(orders)) * 1_000_000));
            let filter = OrderFilter { owner: owner.clone(), status, payment, to, ..OrderFilter::default() };
            let begun = std::time::Instant::now();
            store.orders(&filter, 21).await.expect("a store that works");
            micros.push(begun.elapsed().as_micros());
        }
        micros.sort_unstable();
        println!("{orders} orders, {name}: p50 {} µs, p99 {} µs", micros[100], micros[198]);
    }
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
