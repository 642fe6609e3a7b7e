//! The whole application on one thread, from one seed: virtual time, seeded chance, ports that fail, nodes
//! that die, shoppers who all want the last copy; and after every commit a look at what must hold. The same
//! seed is the same run.
//!
//! ```text
//! cargo run --release -p sim -- --seed 7 --trace
//! cargo run --release -p sim -- --seeds 2000
//! ```

mod chance;
mod client;
mod consumer;
mod executor;
mod faults;
mod invariants;
mod shop;
mod sums;
mod told;
mod trace;
mod workload;
mod world;

use chance::Seed;
use client::Device;
use consumer::Reports;
use domain::ids::CustomerId;
use executor::{Executor, Time};
use faults::{Climate, Weather};
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use trace::Trace;
use world::World;

/// Devices that shop; two belong to each customer.
const SHOPPERS: u32 = 6;
/// Rounds of background work, ten minutes apart, within which everything must come to rest.
const ROUNDS: u32 = 100;

#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// What each shopper does.
    pub steps: u32,
    /// Prints what happens.
    pub trace: bool,
}

/// A run in which everything held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// A digest of everything that happened.
    pub trace: u64,
    pub polls: u64,
    pub commits: u64,
    pub events: u64,
    pub crashes: u64,
    pub faults: u64,
}

/// Something did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub options: Options,
    pub polls: u64,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, steps, .. } = self.options;
        writeln!(f, "seed {seed}, poll {}: {}", self.polls, self.what)?;
        write!(f, "  again: cargo run --release -p sim -- --seed {seed} --steps {steps} --trace")
    }
}

/// Runs one seed from the opening of the shop to the last event.
///
/// # Errors
/// The first thing that did not hold.
pub fn run(options: &Options) -> Result<Report, Violation> {
    let mut simulation = Simulation::new(options);
    let held = catch_unwind(AssertUnwindSafe(|| {
        simulation.storm();
        simulation.heal();
    }));
    if let Err(panic) = held {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        simulation.world.violations.report(format_args!("panicked: {}", words.unwrap_or_default()));
    }
    match simulation.world.violations.first() {
        Some(what) => Err(Violation { options: options.clone(), polls: simulation.report.polls, what }),
        None => Ok(simulation.report()),
    }
}

struct Simulation {
    executor: Executor,
    world: Rc<World>,
    reports: Rc<RefCell<Reports>>,
    report: Report,
    traced_events: usize,
}

impl Simulation {
    fn new(options: &Options) -> Self {
        let (seed, time) = (Seed(options.seed), Time::default());
        let mut executor = Executor::new(time.clone(), seed.stream("schedule"));
        let climate = Climate::draw(&mut seed.stream("climate"));
        let weather = Weather::new(time.clone(), executor.spawner(), climate, seed.stream("faults"), seed.stream("delays"));
        let world = Rc::new(World::new(seed, time, weather, executor.spawner(), Trace::new(options.trace)));
        let reports = Rc::new(RefCell::new(Reports::default()));
        world.open_shop();
        world.shopping.set(SHOPPERS);
        for n in 0..SHOPPERS {
            let name = format!("customer{}", n / 2);
            let caller = app::Caller::Customer(CustomerId::parse(&name).expect("invariant: an id"), std::sync::Arc::default());
            let device = Device::new(&world, &format!("{name}.{}", n % 2), caller, None, seed.stream(&format!("shopper {n}")));
            executor.start(None, Box::pin(workload::shop(device, options.steps)));
        }
        let keeper = Device::new(&world, "shopkeeper", world::admin(), None, seed.stream("shopkeeper"));
        executor.start(None, Box::pin(workload::keep_shop(keeper)));
        executor.start(None, Box::pin(workload::tell(Rc::clone(&world))));
        executor.start(None, Box::pin(workload::deliver(Rc::clone(&world), Rc::clone(&reports))));
        Self { executor, world, reports, report: Report::default(), traced_events: 0 }
    }

    /// Everybody shops, and everything goes wrong.
    fn storm(&mut self) {
        self.world.weather.set_calm(false);
        (0..self.world.nodes()).for_each(|node| self.world.boot(node));
        while self.executor.has_work_outside() && self.world.violations.first().is_none() {
            self.executor.step();
            self.report.polls += 1;
            self.look();
        }
    }

    fn look(&mut self) {
        for (port, fate) in self.world.weather.take_log() {
            self.report.faults += 1;
            self.world.log(format_args!("{port}: {fate:?}"));
        }
        if let Some(node) = self.world.weather.take_dead() {
            self.report.crashes += 1;
            self.world.log(format_args!("node {node} dies"));
            self.executor.crash(node);
            self.world.boot(node);
        }
        let commits = self.world.weather.writes();
        if commits != self.report.commits {
            self.report.commits = commits;
            self.world.oracle.borrow_mut().check();
            self.trace_events();
        }
    }

    fn trace_events(&mut self) {
        let oracle = self.world.oracle.borrow();
        for event in &oracle.committed[self.traced_events..] {
            self.world.log(format_args!("  {} {}", event.id(), event.event.name()));
        }
        self.traced_events = oracle.committed.len();
    }

    /// The weather calms down, the nodes start anew, and the background work comes to rest.
    fn heal(&mut self) {
        let world = Rc::clone(&self.world);
        if world.violations.first().is_some() {
            return;
        }
        world.weather.set_calm(true);
        for node in 0..world.nodes() {
            self.executor.crash(node);
            world.boot(node);
        }
        for _ in 0..ROUNDS {
            world.time.advance(Duration::from_secs(600));
            world.sweep();
            self.trace_events();
            if world.oracle.borrow().is_quiet() {
                break;
            }
        }
        let published = world.bus.published();
        published.iter().for_each(|event| self.reports.borrow_mut().hear(event));
        world.oracle.borrow_mut().check_at_rest(&published, &self.reports.borrow());
    }

    fn report(&self) -> Report {
        let events = self.world.oracle.borrow().committed.len() as u64;
        Report { trace: self.world.trace.borrow().digest, events, ..self.report }
    }
}
