//! What happens before the first call.

use crate::servers::Database;
use store_postgres::{OpenError, PgSettings, PgStore};

/// Settings for a database of the shared server, which may forget.
pub fn settings(database: &Database) -> PgSettings {
    PgSettings { forgetful_allowed: true, ..PgSettings::new(database.url()) }
}

#[tokio::test]
async fn a_store_is_opened_again_as_it_is() {
    let database = Database::fresh();
    for _ in 0..2 {
        PgStore::connect(settings(&database)).await.expect("a store");
    }
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let database = Database::fresh();
    let refused = PgStore::connect(PgSettings::new(database.url())).await.expect_err("it may forget");
    assert!(matches!(&refused, OpenError::Forgetful(what) if what.len() == 3), "{refused}");
}
