//! What a run consists of: stores, a provider and a bus that outlive the application, one or two nodes of
//! the application over them, the weather in between, and everybody's memory of what was said.

use crate::chance::{Seed, happens};
use crate::executor::{Spawner, Time};
use crate::faults::{Site, Weather};
use crate::invariants::Oracle;
use crate::shop;
use crate::trace::Trace;
use app::ports::{Carts, Catalog, Ledger, NoExpressions, Outbox, Payments, PortErrorKind, Prices, Sessions};
use app::{App, Caller, Error, Ports, PutRule};
use domain::cart::Owner;
use domain::ids::{CartId, CheckoutId, CustomerId, OrderId};
use domain::order::CaptureWhen;
use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use memory::simulator::PaymentSimulator;
use memory::{MemoryBus, MemoryStore, SeededEntropy};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What is not as it must be: the first of it counts.
#[derive(Clone, Default)]
pub struct Violations(Arc<Mutex<Option<String>>>);

impl Violations {
    pub fn report(&self, what: impl fmt::Display) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| what.to_string());
    }

    pub fn first(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No fault of ours damages what is stored, so an error that says so is the application's own.
    pub fn judge(&self, error: &Error) {
        if let Error::Port(port) = error
            && port.kind == PortErrorKind::Corrupt
        {
            self.report(format_args!("an error that must not happen: {port}"));
        }
    }
}

/// Ids that strangers may have seen.
#[derive(Default)]
pub struct Known {
    pub carts: Vec<(Owner, CartId)>,
    pub checkouts: Vec<(Owner, CheckoutId)>,
    pub orders: Vec<(Owner, OrderId)>,
}

impl Known {
    /// The newest cart, checkout and order of somebody else.
    pub fn newest_of_others(&self, owner: &Owner) -> (Option<CartId>, Option<CheckoutId>, Option<OrderId>) {
        (newest(&self.carts, owner), newest(&self.checkouts, owner), newest(&self.orders, owner))
    }
}

fn newest<T: Copy>(known: &[(Owner, T)], owner: &Owner) -> Option<T> {
    known.iter().rfind(|(of, _)| of != owner).map(|(_, id)| *id)
}

pub struct World {
    pub seed: Seed,
    pub time: Time,
    pub weather: Weather,
    pub bus: MemoryBus,
    pub oracle: RefCell<Oracle>,
    pub known: RefCell<Known>,
    pub trace: RefCell<Trace>,
    pub violations: Violations,
    /// Shoppers who are not done.
    pub shopping: Cell<u32>,
    store: MemoryStore,
    pub provider: PaymentSimulator,
    capture: CaptureWhen,
    entropy: SeededEntropy,
    spawner: Spawner,
    nodes: RefCell<Vec<Arc<App>>>,
    boots: Cell<u32>,
    /// Where requests go, and how long people wait.
    routing: RefCell<Rng>,
    keys: Cell<u64>,
    books: Cell<u32>,
    changes: Cell<u64>,
}

impl World {
    pub fn new(seed: Seed, time: Time, weather: Weather, spawner: Spawner, trace: Trace) -> Self {
        let store = MemoryStore::new().with_rules(shop::rules());
        let provider = PaymentSimulator::in_memory(Duration::ZERO).with_notices(Arc::new(time.clone()));
        let capture = if seed.stream("policy").bool() { CaptureWhen::AtOnce } else { CaptureWhen::OnShipment };
        let violations = Violations::default();
        let oracle = Oracle::new(store.clone(), provider.clone(), time.clone(), violations.clone());
        let world = Self {
            seed,
            entropy: SeededEntropy::new(seed.child("entropy").0),
            routing: RefCell::new(seed.stream("routing")),
            time,
            weather,
            bus: MemoryBus::new(),
            oracle: RefCell::new(oracle),
            known: RefCell::default(),
            trace: RefCell::new(trace),
            violations,
            shopping: Cell::new(0),
            store,
            provider,
            capture,
            spawner,
            nodes: RefCell::default(),
            boots: Cell::new(0),
            keys: Cell::new(0),
            books: Cell::new(shop::BOOKS),
            changes: Cell::new(0),
        };
        let nodes = 1 + world.seed.stream("nodes").usize(..2);
        for node in 0..nodes {
            let app = world.build(node);
            world.nodes.borrow_mut().push(app);
        }
        world
    }

    pub fn nodes(&self) -> usize {
        self.nodes.borrow().len()
    }

    pub fn node(&self, node: usize) -> Arc<App> {
        Arc::clone(&self.nodes.borrow()[node])
    }

    /// The application as a node builds it when it starts.
    fn build(&self, node: usize) -> Arc<App> {
        let site = Site::new(&self.weather, node);
        let store = Arc::new(self.store.clone());
        let ports = Ports {
            carts: site.faulty::<dyn Carts>(store.clone()),
            ledger: site.faulty::<dyn Ledger>(store.clone()),
            catalog: site.faulty::<dyn Catalog>(store.clone()),
            prices: site.faulty::<dyn Prices>(store.clone()),
            search: store.clone(),
            sessions: site.faulty::<dyn Sessions>(store.clone()),
            payments: site.faulty::<dyn Payments>(Arc::new(self.provider.clone())),
            taxes: None,
            bus: site.faulty::<dyn app::ports::Bus>(Arc::new(self.bus.clone())),
            outboxes: vec![site.faulty::<dyn Outbox>(store)],
            clock: Arc::new(self.time.clone()),
            entropy: Arc::new(self.entropy.clone()),
            expressions: Arc::new(NoExpressions),
        };
        Arc::new(App::new(ports, shop::policy(self.capture)))
    }

    /// Starts a node anew over the same stores, with its background loops.
    pub fn boot(&self, node: usize) {
        let app = self.build(node);
        self.nodes.borrow_mut()[node] = Arc::clone(&app);
        self.boots.set(self.boots.get() + 1);
        let mut chance = self.seed.child("background").stream(&self.boots.get().to_string());
        for (step, every_ms) in [(Step::Saga, 20_000), (Step::Outbox, 8_000), (Step::Expiry, 60_000)] {
            let (app, time, violations, mut chance) = (Arc::clone(&app), self.time.clone(), self.violations.clone(), chance.fork());
            self.spawner.spawn(Some(node), async move {
                loop {
                    time.sleep(Duration::from_millis(chance.u64(..2 * every_ms))).await;
                    if let Err(error) = step.run(&app, chance.usize(1..20)).await {
                        violations.judge(&error);
                    }
                }
            });
        }
    }

    /// Has a node do something. `None` when nobody will ever know what came of it: the node died, or the one
    /// who asked went away.
    pub async fn ask<T: Send + 'static>(&self, call: impl FnOnce(Arc<App>) -> BoxFuture<'static, T>) -> Option<T> {
        let (node, patience) = {
            let mut routing = self.routing.borrow_mut();
            let patience = if happens(&mut routing, 50) { routing.u64(1..5_000) } else { 120_000 };
            (routing.usize(..self.nodes()), Duration::from_millis(patience))
        };
        let call = call(self.node(node));
        let (tell, told) = oneshot::channel();
        // Whoever hung up is not told.
        self.spawner.spawn(Some(node), async move { drop(tell.send(call.await)) });
        match select(told, self.time.sleep(patience)).await {
            Either::Left((told, _)) => told.ok(),
            Either::Right(_) => None,
        }
    }

    /// Sells every book, before the weather changes.
    pub fn open_shop(&self) {
        let (app, admin) = (self.node(0), admin());
        for n in 1..=shop::BOOKS {
            let created = app.create_book(&admin, shop::book(n, 500 + 250 * i64::from(n), None), None).now_or_never();
            created.expect("invariant: nothing waits in calm weather").expect("invariant: a good book");
        }
        let gift = self.oracle.borrow().on_sale()[0].1;
        for name in shop::PROMOTIONS {
            let rule = shop::promotion(name, self.fresh_change(), gift).into();
            let put = PutRule { rule, if_match: None, creates: true, reason: None };
            let created = app.put_rule(&admin, put, None).now_or_never();
            created.expect("invariant: nothing waits in calm weather").expect("invariant: a good rule");
        }
        self.oracle.borrow_mut().check();
    }

    /// One round of all background work in calm weather.
    pub fn sweep(&self) {
        for step in [Step::Saga, Step::Outbox, Step::Expiry] {
            let done = step.run(&self.node(0), 1000).now_or_never().expect("invariant: nothing waits in calm weather");
            if let Err(error) = done {
                self.violations.report(format_args!("a background step fails in calm weather: {error}"));
            }
            self.oracle.borrow_mut().check();
        }
    }

    pub fn fresh_key(&self) -> [u8; 16] {
        self.keys.set(self.keys.get() + 1);
        u128::from(self.keys.get()).to_be_bytes()
    }

    /// The number of a change of rules nobody has made yet.
    pub fn fresh_change(&self) -> u64 {
        self.changes.set(self.changes.get() + 1);
        self.changes.get()
    }

    /// The number of a book nobody has sold yet.
    pub fn fresh_number(&self) -> u32 {
        self.books.set(self.books.get() + 1);
        self.books.get()
    }

    pub fn log(&self, what: fmt::Arguments<'_>) {
        self.trace.borrow_mut().line(app::ports::Clock::now(&self.time), what);
    }
}

/// What runs in the background.
#[derive(Clone, Copy, Debug)]
enum Step {
    Saga,
    Outbox,
    Expiry,
}

impl Step {
    async fn run(self, app: &App, limit: usize) -> Result<usize, Error> {
        match self {
            Self::Saga => app.saga_step(app.now(), limit).await,
            Self::Outbox => app.outbox_step(app.now(), limit).await,
            Self::Expiry => Ok(app.expiry_step(app.now(), limit).await? + app.forget_step(app.now(), limit).await?),
        }
    }
}

pub fn admin() -> Caller {
    Caller::Admin(CustomerId::parse("root").expect("invariant: an id"))
}
