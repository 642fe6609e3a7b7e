//! A look at the database past the store.

use tokio_postgres::{Client, NoTls, Row};

/// A connection that is driven by a task, and ends with its client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
    #[expect(clippy::disallowed_methods, reason = "the connection has to be driven beside the test")]
    tokio::spawn(connection);
    client
}

pub async fn rows(client: &Client, sql: &str) -> Vec<Row> {
    client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// The one number a query finds.
pub async fn number(client: &Client, sql: &str) -> i64 {
    rows(client, sql).await[0].get(0)
}

/// Asks until the answer is true.
pub async fn until(client: &Client, condition: &str) {
    let wait = format!("SELECT {condition}, pg_sleep(CASE WHEN {condition} THEN 0 ELSE 0.01 END)");
    for _ in 0..6000 {
        if rows(client, &wait).await[0].get(0) {
            return;
        }
    }
    panic!("{condition} has not come true");
}

/// Whether so many of this database wait for somebody else.
pub fn waiting(how_many: u32) -> String {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
    format!("({waiting}) = {how_many}")
}
