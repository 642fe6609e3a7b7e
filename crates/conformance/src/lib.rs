//! What every adapter must do: one async function per sentence of a port's documentation, named as the
//! sentence. An adapter's tests say
//!
//! ```ignore
//! conformance::carts!(subject());
//! ```
//!
//! where `subject()` is an expression (it may `.await`) that gives a fresh [`Subject`], and get one test a sentence.
//! What it names must be in scope where the macro stands.

pub mod bus;
pub mod carts;
pub mod catalog;
pub mod faults;
pub mod fixtures;
pub mod leases;
pub mod ledger;
pub mod limits;
pub mod outbox;
pub mod payments;
pub mod prices;
pub mod sessions;
pub mod shopper;
pub mod taxes;

use app::ports::{Carts, Catalog, Ledger, Outbox, Prices, SearchIndex, Sessions};
use std::any::Any;
use std::sync::Arc;

/// A fresh, empty store under test: the ports share one outbox.
pub struct Subject {
    pub carts: Arc<dyn Carts>,
    pub ledger: Arc<dyn Ledger>,
    pub catalog: Arc<dyn Catalog>,
    pub prices: Arc<dyn Prices>,
    pub search: Arc<dyn SearchIndex>,
    pub sessions: Arc<dyn Sessions>,
    pub outbox: Arc<dyn Outbox>,
    /// What must outlive the ports: a temporary directory, a container.
    pub guard: Box<dyn Any + Send>,
}

impl Subject {
    /// A store whose one type implements every port.
    pub fn new<S>(store: S, guard: impl Any + Send) -> Self
    where
        S: Carts + Ledger + Catalog + Prices + SearchIndex + Sessions + Outbox + 'static,
    {
        let store = Arc::new(store);
        Self {
            carts: store.clone(),
            ledger: store.clone(),
            catalog: store.clone(),
            prices: store.clone(),
            search: store.clone(),
            sessions: store.clone(),
            outbox: store,
            guard: Box::new(guard),
        }
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject")
    }
}

/// Declares a suite: its functions, and a macro of the suite's name that makes each of them a test.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($suite:ident, $make:expr, $($sentence:ident)*) => {
        mod $suite {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $sentence() {
                    let on = $make;
                    $crate::$suite::$sentence(&on).await;
                }
            )*
        }
    };
}

/// Runs a suite's functions one after the other, within an async function: for what is shared by all of them and takes
/// long to start, as `conformance::carts!(together, subject())`.
#[doc(hidden)]
#[macro_export]
macro_rules! together {
    ($suite:ident, $make:expr, $($sentence:ident)*) => {
        $({
            let on = $make;
            $crate::$suite::$sentence(&on).await;
        })*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_sentence_of_a_suite_is_one_of_its_tests() {
        for (suite, source) in [
            ("bus", include_str!("bus.rs")),
            ("carts", include_str!("carts.rs")),
            ("catalog", include_str!("catalog.rs")),
            ("leases", include_str!("leases.rs")),
            ("ledger", include_str!("ledger.rs")),
            ("limits", include_str!("limits.rs")),
            ("outbox", include_str!("outbox.rs")),
            ("payments", include_str!("payments.rs")),
            ("prices", include_str!("prices.rs")),
            ("sessions", include_str!("sessions.rs")),
            ("taxes", include_str!("taxes.rs")),
        ] {
            let (listed, written) =
                source.split_once("macro_rules!").and_then(|(_, s)| s.split_once("};")).expect("a list, then functions");
            let listed: Vec<_> = listed.split_whitespace().collect();
            let sentences: Vec<_> = written.split("pub async fn ").skip(1).filter_map(|s| s.split('(').next()).collect();
            assert!(!sentences.is_empty(), "{suite}");
            for sentence in &sentences {
                assert!(listed.contains(sentence), "{suite}: {sentence} is not listed");
            }
        }
    }
}
