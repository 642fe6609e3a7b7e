//! Everything that can go wrong between the application and what it stands on: decorators around the ports
//! that delay, fail before, fail after, lose the answer, let a call arrive late or twice, or let the node
//! die in the middle of it.

use crate::chance::happens;
use crate::executor::{Spawner, Time};
use app::ports::{
    Answer, AtLeast, Authorization, Authorize, Bus, CartChange, Carts, Catalog, CatalogChange, CatalogSaved, Change, Charge, Committed,
    Freshness, Ledger, NoticeId, OrderFilter, Outbox, Overdue, Payments, Pending, PortError, PortErrorKind, Position, PriceChange, Prices,
    PricesSaved, Refund, Saved, Sessions, Taken, TokenDigest,
};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::checkout::Checkout;
use domain::event::Outgoing;
use domain::ids::{AttemptId, CartId, CheckoutId, CouponCode, EditionId, OrderId, PromotionId, SessionId, Version};
use domain::order::{Order, Recorded};
use domain::planted;
use domain::pricing::{Audited, Counter, Issued, PriceLine, Pricebook, RuleKey, Usage};
use domain::session::Session;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes,
    /// Nothing happens, and the caller knows.
    Fails,
    /// Nothing happens, and the caller cannot know.
    LostBefore,
    /// It happens, and the caller cannot know.
    LostAfter,
    /// The caller gives up; it happens later.
    Late,
    /// It happens, and the same message arrives once more later.
    Echoes,
    /// The node dies before the call, or when it has happened.
    DiesBefore,
    DiesAfter,
}

const READS: &[Fate] = &[Fate::Fails, Fate::Fails, Fate::Fails, Fate::DiesBefore];
/// One transaction on one connection: it is not doubled on its way.
const COMMITS: &[Fate] = &[Fate::Fails, Fate::LostBefore, Fate::LostAfter, Fate::Late, Fate::DiesBefore, Fate::DiesAfter];
const MESSAGES: &[Fate] = &[Fate::Fails, Fate::LostBefore, Fate::LostAfter, Fate::Late, Fate::Echoes, Fate::DiesBefore, Fate::DiesAfter];

/// How bad it gets in one run.
#[derive(Clone, Debug)]
pub struct Climate {
    /// Of a thousand calls, how many do not simply pass.
    pub faults_permille: u32,
    /// Of a thousand calls, how many take long.
    pub delays_permille: u32,
    /// Of a thousand looks at a stock level, how many see an older one.
    pub stale_permille: u32,
    /// The kinds of faults that occur at all: runs differ in what they are hard on.
    pub kinds: Vec<Fate>,
}

impl Climate {
    pub fn draw(chance: &mut Rng) -> Self {
        let all = [Fate::Fails, Fate::LostBefore, Fate::LostAfter, Fate::Late, Fate::Echoes, Fate::DiesBefore, Fate::DiesAfter];
        let pick = |chance: &mut Rng, of: &[u32]| of[chance.usize(..of.len())];
        Self {
            faults_permille: pick(chance, &[0, 10, 30, 60, 120]),
            delays_permille: pick(chance, &[0, 50, 200]),
            stale_permille: pick(chance, &[0, 100, 500]),
            kinds: all.into_iter().filter(|_| happens(chance, 600)).collect(),
        }
    }
}

/// The weather all ports share. Clones share it.
#[derive(Clone)]
pub struct Weather {
    time: Time,
    spawner: Spawner,
    sky: Arc<Mutex<Sky>>,
}

struct Sky {
    climate: Climate,
    calm: bool,
    faults: Rng,
    delays: Rng,
    /// Writes that happened.
    writes: u64,
    dead: Option<usize>,
    /// Faults since anybody asked, for the trace.
    log: Vec<(&'static str, Fate)>,
}

impl Weather {
    pub fn new(time: Time, spawner: Spawner, climate: Climate, faults: Rng, delays: Rng) -> Self {
        let sky = Sky { climate, calm: true, faults, delays, writes: 0, dead: None, log: Vec::new() };
        Self { time, spawner, sky: Arc::new(Mutex::new(sky)) }
    }

    pub fn set_calm(&self, calm: bool) {
        self.sky().calm = calm;
    }

    pub fn writes(&self) -> u64 {
        self.sky().writes
    }

    /// The node that has to die now.
    pub fn take_dead(&self) -> Option<usize> {
        self.sky().dead.take()
    }

    pub fn take_log(&self) -> Vec<(&'static str, Fate)> {
        std::mem::take(&mut self.sky().log)
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, port: &'static str, possible: &[Fate]) -> Fate {
        let mut sky = self.sky();
        let rate = sky.climate.faults_permille;
        if sky.calm || !happens(&mut sky.faults, rate) {
            return Fate::Passes;
        }
        let at = sky.faults.usize(..possible.len());
        let fate = Some(possible[at]).filter(|fate| sky.climate.kinds.contains(fate)).unwrap_or(Fate::Passes);
        if fate != Fate::Passes {
            sky.log.push((port, fate));
        }
        fate
    }

    fn is_stale(&self) -> bool {
        let mut sky = self.sky();
        let rate = sky.climate.stale_permille;
        !sky.calm && happens(&mut sky.faults, rate)
    }

    /// A call takes its time: mostly little, sometimes longer than a lease.
    async fn dawdle(&self) {
        let span = {
            let mut sky = self.sky();
            let rate = sky.climate.delays_permille;
            match (sky.calm, happens(&mut sky.delays, rate)) {
                (true, _) => return,
                (false, false) => Duration::from_micros(sky.delays.u64(..3_000)),
                (false, true) => Duration::from_millis(10u64.pow(sky.delays.u32(1..5)) * sky.delays.u64(1..6)),
            }
        };
        self.time.sleep(span).await;
    }

    async fn read<T>(
        &self,
        node: usize,
        port: &'static str,
        call: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        self.dawdle().await;
        match self.fate(port, READS) {
            Fate::Passes => call.await,
            Fate::DiesBefore => self.die(node).await,
            _ => Err(PortError::unavailable(port, "simulated")),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        node: usize,
        port: &'static str,
        possible: &[Fate],
        call: impl Fn() -> BoxFuture<'static, Result<T, PortError>> + Send + Sync,
    ) -> Result<T, PortError> {
        let lost = || Err(PortError::unknown(port, PortErrorKind::Timeout, "simulated"));
        self.dawdle().await;
        let fate = self.fate(port, possible);
        match fate {
            Fate::Passes | Fate::LostAfter | Fate::DiesAfter => {}
            Fate::Fails => return Err(PortError::unavailable(port, "simulated")),
            Fate::LostBefore => return lost(),
            Fate::Late => {
                self.later(call());
                return lost();
            }
            Fate::Echoes => self.later(call()),
            Fate::DiesBefore => return self.die(node).await,
        }
        let outcome = call().await;
        self.sky().writes += 1;
        match fate {
            Fate::LostAfter => return lost(),
            Fate::DiesAfter => return self.die(node).await,
            _ => self.dawdle().await,
        }
        outcome
    }

    /// Lets a message arrive by and by, whatever has become of its sender.
    fn later<T: Send + 'static>(&self, call: BoxFuture<'static, Result<T, PortError>>) {
        let weather = self.clone();
        let span = Duration::from_millis(10u64.pow(self.sky().delays.u32(0..6)));
        self.spawner.spawn(None, async move {
            weather.time.sleep(span).await;
            // Nobody waits for it.
            drop(call.await);
            weather.sky().writes += 1;
        });
    }

    /// Ends the node in the middle of the call: nobody hears of this future again.
    async fn die<T>(&self, node: usize) -> T {
        self.sky().dead = Some(node);
        std::future::pending().await
    }
}

/// Stock levels a node has seen. It may look at an old one until it has moved stock itself.
#[derive(Default)]
struct Seen {
    levels: BTreeMap<EditionId, StockLevel>,
    /// The first pricebook it saw, where a fault has it look at no other.
    book: Option<Arc<Pricebook>>,
    /// Times it may have looked at an old one and then at a new one.
    glances: u64,
}

/// Where a node stands: in the weather, with what it remembers of the outside.
#[derive(Clone)]
pub struct Site {
    weather: Weather,
    node: usize,
    seen: Arc<Mutex<Seen>>,
}

impl Site {
    pub fn new(weather: &Weather, node: usize) -> Self {
        Self { weather: weather.clone(), node, seen: Arc::default() }
    }

    /// This port as the site sees it.
    pub fn faulty<P: ?Sized>(&self, port: Arc<P>) -> Arc<Faulty<P>> {
        Arc::new(Faulty { port, site: self.clone() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port of one node, in the weather.
pub struct Faulty<P: ?Sized> {
    port: Arc<P>,
    site: Site,
}

impl<P: ?Sized> Faulty<P> {
    async fn read<T>(&self, port: &'static str, call: impl Future<Output = Result<T, PortError>> + Send) -> Result<T, PortError> {
        self.site.weather.read(self.site.node, port, call).await
    }
}

/// One call of a port that changes something, written so that it can be made late or twice.
macro_rules! write {
    ($self:ident, $port:literal, $possible:ident, |$inner:ident| $call:expr, $($owned:ident),*) => {{
        let inner = Arc::clone(&$self.port);
        let call = || -> BoxFuture<'static, _> {
            let $inner = Arc::clone(&inner);
            $(let $owned = $owned.clone();)*
            Box::pin(async move { $call.await })
        };
        $self.site.weather.write($self.site.node, $port, $possible, call).await
    }};
}

#[async_trait]
impl Carts for Faulty<dyn Carts> {
    async fn load(&self, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        self.read("carts", self.port.load(id, fresh, now)).await
    }
    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        self.read("carts", self.port.of_owner(owner, now)).await
    }
    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        write!(self, "carts", COMMITS, |port| port.save(change, now), change)
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.read("carts", self.port.answer(key)).await
    }
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        self.read("carts", self.port.expired(now, limit)).await
    }
}

#[async_trait]
impl Ledger for Faulty<dyn Ledger> {
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError> {
        let committed = write!(self, "ledger", COMMITS, |port| port.commit(change, now), change);
        self.site.seen().levels.clear();
        committed
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.read("ledger", self.port.answer(key)).await
    }
    async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.read("ledger", self.port.forget_answers(before, limit)).await
    }
    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError> {
        self.read("ledger", self.port.checkout(id)).await
    }
    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError> {
        self.read("ledger", self.port.checkout_of_cart(cart)).await
    }
    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError> {
        self.read("ledger", self.port.checkout_of_owner(owner)).await
    }
    async fn due_checkouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Checkout>, PortError> {
        self.read("ledger", self.port.due_checkouts(now, limit)).await
    }
    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError> {
        self.read("ledger", self.port.order(id)).await
    }
    async fn orders(&self, filter: &OrderFilter, limit: usize) -> Result<Vec<Order>, PortError> {
        self.read("ledger", self.port.orders(filter, limit)).await
    }
    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError> {
        self.read("ledger", self.port.order_events(id)).await
    }
    async fn due_orders(&self, now: Timestamp, limit: usize) -> Result<Vec<Order>, PortError> {
        self.read("ledger", self.port.due_orders(now, limit)).await
    }
    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError> {
        self.read("ledger", self.port.noticed(id)).await
    }
    async fn forget_notices(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.read("ledger", self.port.forget_notices(before, limit)).await
    }
    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError> {
        self.read("ledger", self.port.overdue(now)).await
    }
    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError> {
        self.read("ledger", self.port.stock(edition)).await
    }
    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError> {
        self.read("ledger", self.port.usage(counters)).await
    }
}

#[async_trait]
impl Catalog for Faulty<dyn Catalog> {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.port.snapshot()
    }
    fn level(&self, edition: EditionId) -> StockLevel {
        let stale = self.site.weather.is_stale();
        let mut seen = self.site.seen();
        let old = seen.levels.get(&edition).copied().filter(|_| stale);
        let level = old.unwrap_or_else(|| self.port.level(edition));
        seen.levels.insert(edition, level);
        level
    }
    fn changes(&self) -> u64 {
        let mut seen = self.site.seen();
        let is_old = seen.levels.iter().any(|(edition, level)| self.port.level(*edition) != *level);
        seen.glances += u64::from(is_old);
        self.port.changes() + seen.glances
    }
    fn freshness(&self) -> Freshness {
        self.port.freshness()
    }
    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        let saved = write!(self, "catalog", COMMITS, |port| port.save(change, now), change);
        self.site.seen().levels.clear();
        saved
    }
    async fn prices(&self, edition: EditionId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        self.read("catalog", self.port.prices(edition, before, limit)).await
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.read("catalog", self.port.answer(key)).await
    }
}

#[async_trait]
impl Prices for Faulty<dyn Prices> {
    fn book(&self) -> Arc<Pricebook> {
        let book = self.port.book();
        if planted("pricebook-of-yesterday") {
            return Arc::clone(self.site.seen().book.get_or_insert(book));
        }
        book
    }
    async fn save(&self, change: PriceChange, now: Timestamp) -> Result<PricesSaved, PortError> {
        write!(self, "prices", COMMITS, |port| port.save(change, now), change)
    }
    async fn issued(&self, code: &CouponCode) -> Result<Option<Issued>, PortError> {
        self.read("prices", self.port.issued(code)).await
    }
    async fn codes(&self, promotion: &PromotionId, after: Option<&CouponCode>, limit: usize) -> Result<Vec<Issued>, PortError> {
        self.read("prices", self.port.codes(promotion, after, limit)).await
    }
    async fn batch(&self, id: u128) -> Result<u32, PortError> {
        self.read("prices", self.port.batch(id)).await
    }
    async fn audit(&self, of: Option<&RuleKey>, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, PortError> {
        self.read("prices", self.port.audit(of, before, limit)).await
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.read("prices", self.port.answer(key)).await
    }
}

#[async_trait]
impl Sessions for Faulty<dyn Sessions> {
    async fn create(&self, session: Session, token: TokenDigest, event: Outgoing) -> Result<(), PortError> {
        write!(self, "sessions", COMMITS, |port| port.create(session, token, event), session, event)
    }
    async fn by_token(&self, token: TokenDigest, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        self.read("sessions", self.port.by_token(token, now)).await
    }
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Arc<Session>>, PortError> {
        self.read("sessions", self.port.load(id, now)).await
    }
    async fn save(&self, session: Session, expected: Version, event: Outgoing, answer: Option<Answer>) -> Result<bool, PortError> {
        write!(self, "sessions", COMMITS, |port| port.save(session, expected, event, answer), session, event, answer)
    }
    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.read("sessions", self.port.answer(key)).await
    }
    async fn end(&self, id: SessionId, event: Outgoing) -> Result<bool, PortError> {
        write!(self, "sessions", COMMITS, |port| port.end(id, event), event)
    }
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.read("sessions", self.port.sweep(now, limit)).await
    }
}

#[async_trait]
impl Outbox for Faulty<dyn Outbox> {
    async fn pending(&self, limit: usize) -> Result<Vec<Pending>, PortError> {
        self.read("outbox", self.port.pending(limit)).await
    }
    async fn delivered(&self, positions: &[Position], now: Timestamp) -> Result<(), PortError> {
        let positions = positions.to_vec();
        write!(self, "outbox", COMMITS, |port| port.delivered(&positions, now), positions)
    }
    async fn forget_delivered(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        self.read("outbox", self.port.forget_delivered(before, limit)).await
    }
}

#[async_trait]
impl Bus for Faulty<dyn Bus> {
    async fn publish(&self, events: &[Outgoing]) -> Result<(), PortError> {
        if self.site.weather.fate("bus", &[Fate::LostAfter]) == Fate::LostAfter {
            // Some of them got through.
            let some = self.site.weather.sky().faults.usize(..=events.len());
            self.port.publish(&events[..some]).await?;
            return Err(PortError::unknown("bus", PortErrorKind::Timeout, "simulated"));
        }
        let events = events.to_vec();
        write!(self, "bus", MESSAGES, |port| port.publish(&events), events)
    }
}

#[async_trait]
impl Payments for Faulty<dyn Payments> {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        write!(self, "payments", MESSAGES, |port| port.authorize(key, &request), request)
    }
    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        write!(self, "payments", MESSAGES, |port| port.capture(key),)
    }
    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        write!(self, "payments", MESSAGES, |port| port.void(key),)
    }
    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        write!(self, "payments", MESSAGES, |port| port.refund(key, &refund), refund)
    }
    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        self.read("payments", self.port.find(key)).await
    }
}
