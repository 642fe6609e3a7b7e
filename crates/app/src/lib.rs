//! The use cases: the only API the edges see. Each one loads what a decision needs, lets the `domain`
//! decide with `now` and chance, and commits the result once, together with its idempotency record and its
//! outgoing events. No timers, no tasks, no protocol words.

mod caller;
mod cart;
mod catalog;
mod checkout;
mod digest;
mod error;
mod expiry;
mod inbox;
mod lane;
mod notice;
mod once;
mod order;
mod outbox;
pub mod ports;
mod pricing;
mod saga;
mod session;
pub mod snapshot;
mod tax;
mod traced;
mod worker;

pub use caller::Caller;
pub use cart::{AddItem, Basis, CartView, MergeCart, OpenCart, Opened, Operation};
pub use catalog::{BookInput, BookPage, BookQuery, BookSort, BookView, EditionInput, Facets, HeadingView, Imported, StockInput, StockView};
pub use checkout::{CheckoutView, Process, Processed, ShippingOffer, StartCheckout, Started};
pub use error::Error;
pub use inbox::{Bought, Incoming, Named, TakenIn, Wish};
pub use notice::Notice;
pub use once::{Answered, Once};
pub use order::{OrderQuery, Page};
pub use pricing::{ActiveCoupon, Calculate, CodeView, Issue, PutRule, RuleView, Simulate, Simulated};
pub use session::{NewSession, SessionChange, SessionView};
pub use tax::TaxFallback;
pub use traced::{trace, traced};
pub use worker::{TEND_PAUSE, Work, Worker};

use domain::cart::Lifetimes;
use domain::ids::{CheckoutId, id_bits};
use domain::money::Currency;
use domain::order::CaptureWhen;
use domain::pricing::Conditions;
use domain::time::{Local, MonthDay, Timestamp};
pub use jiff::tz::TimeZone;
use lane::Lanes;
use ports::{Bus, Carts, Catalog, Clock, Entropy, Ledger, Outbox, Payments, Prices, SearchIndex, Sessions, Taxes};
use saga::failures::Failures;
use std::sync::Arc;
use std::time::Duration;

/// The outside, as the application sees it.
#[derive(Clone)]
pub struct Ports {
    pub carts: Arc<dyn Carts>,
    pub ledger: Arc<dyn Ledger>,
    pub catalog: Arc<dyn Catalog>,
    pub prices: Arc<dyn Prices>,
    pub search: Arc<dyn SearchIndex>,
    pub sessions: Arc<dyn Sessions>,
    pub payments: Arc<dyn Payments>,
    /// Without one, the shop's table says what tax is due.
    pub taxes: Option<Arc<dyn Taxes>>,
    pub bus: Arc<dyn Bus>,
    /// Wherever events wait to be published.
    pub outboxes: Vec<Arc<dyn Outbox>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub expressions: Arc<dyn Conditions>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// What a shop has decided about lifetimes and money.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Of new carts, unless the client names one.
    pub currency: Currency,
    /// What the shop's clock shows.
    pub time_zone: TimeZone,
    pub carts: Lifetimes,
    pub checkout_ttl: Duration,
    /// How long goods are held for a customer who has to act at the payment provider.
    pub reservation_ttl: Duration,
    /// When the money of an order is taken.
    pub capture: CaptureWhen,
    pub tax_fallback: TaxFallback,
    pub session_ttl: Duration,
    /// How long delivered events stay readable in the outbox.
    pub events_keep: Duration,
}

impl Policy {
    /// An instant by the shop's clock.
    pub(crate) fn local(&self, now: Timestamp) -> Local {
        let Ok(instant) = jiff::Timestamp::from_microsecond(now.micros()) else { return Local::default() };
        let at = instant.to_zoned_datetime(self.time_zone.clone());
        let small = |n: i8| u8::try_from(n).unwrap_or(0);
        Local {
            weekday: small(at.weekday().to_monday_one_offset()),
            minute: u16::from(small(at.hour())) * 60 + u16::from(small(at.minute())),
            date: MonthDay::new(small(at.month()), small(at.day())).unwrap_or(Local::default().date),
        }
    }
}

/// The application. Edges share one behind an `Arc`.
pub struct App {
    ports: Ports,
    policy: Policy,
    carts: cart::CartLanes,
    checkouts: Lanes<CheckoutId, (), ()>,
    tax_places: tax::Places,
    /// Catalog changes are decided one after the other: they check names and SKUs against the whole.
    catalog: Lanes<(), (), ()>,
    provider_failures: Failures,
    /// So are changes of rules: they are checked against all others.
    prices: Lanes<(), (), ()>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl App {
    pub fn new(ports: Ports, policy: Policy) -> Self {
        Self {
            ports,
            policy,
            carts: Lanes::default(),
            checkouts: Lanes::default(),
            tax_places: tax::Places::default(),
            catalog: Lanes::default(),
            prices: Lanes::default(),
            provider_failures: Failures::default(),
        }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn fresh_bits(&self, now: Timestamp) -> u128 {
        id_bits(now, self.ports.entropy.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Edges run use cases on any thread.
    #[test]
    fn use_cases_are_send() {
        fn send<T: Send>(_: impl FnOnce(&'static App) -> T) {}
        send(|app| app.update_checkout(&Caller::Anonymous, CheckoutId(1), Default::default(), None, None));
        send(|app| app.cancel_checkout(&Caller::Anonymous, CheckoutId(1), None, None));
        send(|app| app.resume_checkout(&Caller::Anonymous, CheckoutId(1)));
        send(|app| app.saga_step(Timestamp(0), 1));
        send(|app| app.step(Work::Expire, Timestamp(0), 1));
        send(|app| app.import(&[]));
        send(|app| async { app.take_in(std::future::pending().await, true).await });
    }
}
