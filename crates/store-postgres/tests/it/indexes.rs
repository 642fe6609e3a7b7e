//! What is asked about catalog and prices goes by an index, however many there are. Only who starts reads everything.

use crate::copies::client;
use crate::servers::Database;
use crate::start::settings;
use store_postgres::PgStore;

/// Each with as many parameters.
const QUERIES: &[(&str, usize)] = &[
    (include_str!("../../queries/catalog/price_lines.sql"), 3),
    (include_str!("../../queries/feed/since.sql"), 1),
    (include_str!("../../queries/prices/audit.sql"), 2),
    (include_str!("../../queries/prices/audit_of.sql"), 4),
    (include_str!("../../queries/prices/batch.sql"), 1),
    (include_str!("../../queries/prices/codes.sql"), 3),
    (include_str!("../../queries/prices/issued.sql"), 1),
    (include_str!("../../queries/prices/rules.sql"), 2),
    (include_str!("../../queries/search/matches.sql"), 2),
];

const FILL: &str = "
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_and_prices_are_asked_by_an_index() {
    let database = Database::fresh();
    drop(PgStore::connect(settings(&database)).await.expect("a store"));
    let client = client(&database).await;
    client.batch_execute(FILL).await.expect("many of everything");
    // As for a statement that has been asked often.
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.expect("set");
    for (query, parameters) in QUERIES {
        let nulls = vec!["NULL"; *parameters].join(", ");
        client.batch_execute(&format!("PREPARE asked AS {query}")).await.expect(query);
        let plan = client.query(&format!("EXPLAIN EXECUTE asked({nulls})"), &[]).await.expect(query);
        let plan = plan.iter().map(|row| row.get(0)).collect::<Vec<String>>().join("\n");
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{query}\n{plan}");
        client.batch_execute("DEALLOCATE asked").await.expect("gone");
    }
}
