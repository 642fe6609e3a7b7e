//! Every order of events around one checkout, explored: two nodes that run the decisions of `saga/steps.rs` and
//! of the domain as they are, a provider whose answers get lost or come late, notices, the sweeper, a second tab,
//! the customer at a challenge, time, and a crash of a node between any two steps, as often as one likes.
//!
//! What is modeled is what stands around the decisions: when a node loads, asks and commits ([`node`]), what is
//! stored ([`store`]) and what the provider holds ([`provider`]). The figures are in `docs/reliability.md`.

mod node;
mod provider;
mod store;
mod tests;

use domain::checkout::{AfterUndo, Kind, State};
use domain::order::CaptureWhen;
use domain::order::{PaymentStatus, Status};
use node::{Errand, Node};
use provider::{Account, Bank, Request};
use stateright::{Model, Property};
use std::collections::HashMap;
use std::sync::Mutex;
use store::{ON_HAND, OTHERS, Store, Time};

/// Attempts to pay: a second one is enough to mistake for the first.
const ATTEMPTS: usize = 2;

/// A planted mistake, to show that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// An authorization nobody has heard of again is taken for declined.
    UnknownIsDeclined,
    /// A commit does not look at the version.
    BlindCommit,
    /// Goods are given back when an undo begins, not when the money is known to be released.
    EarlyRelease,
    /// Who replaces a challenge does not look whether somebody else was faster.
    ConflictOverlooked,
}

/// Which world is explored.
#[derive(Debug)]
struct Settings {
    capture: CaptureWhen,
    mistake: Option<Mistake>,
    /// Whether requests stay under way after their caller has given up.
    late: bool,
    /// Whether the provider sends notices.
    notices: bool,
    /// Whether orders are canceled and shipped.
    orders: bool,
    nodes: usize,
    /// How often the customer pays anew, at most [`ATTEMPTS`].
    attempts: u8,
    /// Worlds without busy nodes that are known to settle.
    settles: Mutex<HashMap<World, bool>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    store: Store,
    accounts: [Account; ATTEMPTS],
    /// Requests whose caller has given up, and which the provider may still get: a bit each.
    under_way: [u8; ATTEMPTS],
    nodes: [Node; 2],
    time: Time,
    /// The first rule that a commit broke.
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A node takes up an errand: it loads what that is about.
    Starts(usize, Errand),
    /// The customer pays, and the node that took the request goes on with it.
    Pays(usize),
    /// The provider does what it is asked, and the node hears of it.
    Performs(usize, Bank),
    /// The provider does it, and the answer is lost.
    AnswerLost(usize, Bank),
    /// The provider cannot be reached.
    Unreachable(usize),
    /// The node gives up waiting; its request is still under way.
    GivesUp(usize),
    /// A request comes late.
    Arrives(usize, Request, Bank),
    Commits(usize),
    Crashes(usize),
    CancelsCheckout,
    CancelsOrder(usize),
    Ships(usize),
    MeetsChallenge(usize),
    FailsChallenge(usize),
    TimePasses,
}

const LATE: [Request; 3] = [Request::Authorize, Request::Capture, Request::Void];

impl World {
    fn new() -> Self {
        Self {
            store: Store::new(),
            accounts: [Account::Unknown; ATTEMPTS],
            under_way: [0; ATTEMPTS],
            nodes: [Node::Idle; 2],
            time: Time::Early,
            broken: None,
        }
    }

    /// Whether the attempt is over: nothing it may still find is of use.
    fn is_over(&self, attempt: usize) -> bool {
        let checkout = self.store.checkout;
        let begun = attempt < usize::from(checkout.attempts);
        begun && (attempt < checkout.current() || matches!(checkout.state.kind(), Kind::Open | Kind::Canceled | Kind::Expired))
    }

    fn holds_goods(&self) -> bool {
        match self.store.checkout.state {
            State::Authorizing | State::Challenged | State::Undoing { then: AfterUndo::Open | AfterUndo::Canceled } => true,
            State::Undoing { then: AfterUndo::Failed }
            | State::Open
            | State::Capturing
            | State::Completed { .. }
            | State::Canceled { .. }
            | State::Expired { .. } => false,
        }
    }

    fn has_sold(&self) -> bool {
        self.store.orders.iter().flatten().any(|o| !matches!(o.status, Status::Failed | Status::Canceled))
    }

    /// Whether nothing is left to do for anybody.
    fn is_settled(&self) -> bool {
        let moving = self.store.orders.iter().flatten().any(|o| o.payment.is_moving());
        self.store.checkout.state.is_done() && !moving && self.store.reserved == OTHERS && self.money_agrees()
    }

    /// Whether the provider holds what the orders say, and nothing else.
    fn money_agrees(&self) -> bool {
        (0..ATTEMPTS).all(|a| match (self.store.orders[a].map(|o| o.payment), self.accounts[a]) {
            (Some(PaymentStatus::Authorized), account) => account == Account::Authorized || account == Account::Captured,
            (Some(PaymentStatus::Captured), account) => account == Account::Captured,
            (Some(PaymentStatus::Refunded), account) => account == Account::Refunded,
            (Some(PaymentStatus::Voided | PaymentStatus::Failed), account) => account.is_dead(),
            (Some(PaymentStatus::Capturing | PaymentStatus::Voiding | PaymentStatus::Refunding | PaymentStatus::PartiallyRefunded), _) => {
                false
            }
            (None, account) => account.is_dead() || a >= usize::from(self.store.checkout.attempts),
        })
    }
}

impl Settings {
    fn new(capture: CaptureWhen) -> Self {
        Self { capture, mistake: None, late: true, notices: true, orders: true, nodes: 2, attempts: 2, settles: Mutex::default() }
    }

    /// Whether one sweeper, whom the provider answers, brings the world to rest after all nodes have crashed.
    fn settles(&self, world: &World) -> bool {
        let idle = World { nodes: [Node::Idle; 2], ..*world };
        if let Some(known) = self.settles.lock().expect("not poisoned").get(&idle) {
            return *known;
        }
        let mut swept = idle;
        for _ in 0..4 {
            for errand in [Errand::Drive, Errand::DriveOrder(0), Errand::DriveOrder(1)] {
                swept = self.sweep(swept, errand);
            }
            swept.time = swept.time.next().unwrap_or(swept.time);
        }
        let settled = swept.is_settled() && swept.broken.is_none();
        self.settles.lock().expect("not poisoned").insert(idle, settled);
        settled
    }

    /// One errand to its end, with nothing in its way.
    fn sweep(&self, mut world: World, errand: Errand) -> World {
        let mut next = self.next_state(&world, Action::Starts(0, errand));
        while let Some(after) = next {
            world = after;
            let busy = usize::from(world.nodes[0] == Node::Idle);
            next = match world.nodes[busy] {
                Node::Idle => None,
                node if node.request().is_some() => self.next_state(&world, Action::Performs(busy, Bank::Agrees)),
                _ => self.next_state(&world, Action::Commits(busy)),
            };
        }
        world
    }

    /// What customers, administrators and the passing of time may do.
    fn outside(&self, world: &World, actions: &mut Vec<Action>) {
        if world.time.next().is_some() {
            actions.push(Action::TimePasses);
        }
        if matches!(world.store.checkout.state, State::Open | State::Challenged) {
            actions.push(Action::CancelsCheckout);
        }
        for a in 0..ATTEMPTS {
            if world.accounts[a] == Account::Challenged {
                actions.extend([Action::MeetsChallenge(a), Action::FailsChallenge(a)]);
            }
            if self.orders && world.store.orders[a].is_some_and(|o| o.status != Status::Pending) {
                actions.extend([Action::CancelsOrder(a), Action::Ships(a)]);
            }
            for request in LATE.into_iter().filter(|r| world.under_way[a] & bit(*r) != 0) {
                actions.extend(world.accounts[a].choices(request).iter().map(|bank| Action::Arrives(a, request, *bank)));
            }
        }
    }

    /// What a node may do next, or what may befall it.
    fn of_node(&self, world: &World, n: usize, actions: &mut Vec<Action>) {
        match world.nodes[n] {
            Node::Idle => {
                actions.extend([Action::Pays(n), Action::Starts(n, Errand::Drive), Action::Starts(n, Errand::PayOtherwise)]);
                for a in 0..ATTEMPTS {
                    actions.push(Action::Starts(n, Errand::DriveOrder(a)));
                    if self.notices && world.accounts[a] != Account::Unknown && world.store.heeded & (1 << a) == 0 {
                        actions.push(Action::Starts(n, Errand::Notice(a)));
                    }
                }
            }
            node => {
                actions.push(Action::Crashes(n));
                let Some((request, key)) = node.request() else { return actions.push(Action::Commits(n)) };
                for bank in world.accounts[key].choices(request) {
                    actions.extend([Action::Performs(n, *bank), Action::AnswerLost(n, *bank)]);
                }
                actions.push(Action::Unreachable(n));
                if self.late && LATE.contains(&request) {
                    actions.push(Action::GivesUp(n));
                }
            }
        }
    }
}

impl Model for Settings {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.outside(world, actions);
        // Idle ones come first, and are alike.
        let [first, second] = world.nodes.map(|n| n != Node::Idle);
        if first || !second || self.nodes == 2 {
            self.of_node(world, 0, actions);
        }
        if second {
            self.of_node(world, 1, actions);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = *before;
        match action {
            Action::Starts(n, errand) => self.start(&mut world, n, errand),
            Action::Pays(n) => self.pay(&mut world, n),
            Action::Performs(n, bank) => {
                let (request, key) = world.nodes[n].request()?;
                let (account, answer) = world.accounts[key].after(request, bank);
                world.accounts[key] = account;
                self.hear(&mut world, n, Some(answer));
            }
            Action::AnswerLost(n, bank) => {
                let (request, key) = world.nodes[n].request()?;
                world.accounts[key] = world.accounts[key].after(request, bank).0;
                self.hear_nothing(&mut world, n);
            }
            Action::Unreachable(n) => self.hear(&mut world, n, None),
            Action::GivesUp(n) => {
                let (request, key) = world.nodes[n].request()?;
                world.under_way[key] |= bit(request);
                self.hear_nothing(&mut world, n);
            }
            Action::Arrives(a, request, bank) => {
                world.under_way[a] &= !bit(request);
                world.accounts[a] = world.accounts[a].after(request, bank).0;
            }
            Action::Commits(n) => self.commit(&mut world, n),
            Action::Crashes(n) => world.nodes[n] = Node::Idle,
            Action::CancelsCheckout => self.cancel_checkout(&mut world),
            Action::CancelsOrder(a) => self.edit_order(&mut world, a, &[Status::Canceled]),
            Action::Ships(a) => self.edit_order(&mut world, a, &[Status::Processing, Status::Shipped]),
            Action::MeetsChallenge(a) => world.accounts[a] = Account::Authorized,
            Action::FailsChallenge(a) => world.accounts[a] = Account::Declined,
            Action::TimePasses => world.time = world.time.next()?,
        }
        // Two nodes are alike, whichever is called the first.
        world.nodes.sort();
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no commit breaks a rule", |_, w: &World| w.broken.is_none()),
            Property::always("an attempt that is over holds nothing, now or later", |_, w: &World| {
                (0..ATTEMPTS).all(|a| !w.is_over(a) || w.accounts[a].is_dead())
            }),
            Property::always("nobody is charged twice", |_, w: &World| {
                w.accounts.iter().filter(|a| matches!(a, Account::Authorized | Account::Captured)).count() <= 1
            }),
            Property::always("what is taken belongs to an order", |_, w: &World| {
                (0..ATTEMPTS).all(|a| w.accounts[a] != Account::Captured || w.store.orders[a].is_some())
            }),
            Property::always("what is reserved is what the checkout holds", |_, w: &World| {
                w.store.reserved == OTHERS + u8::from(w.holds_goods())
            }),
            Property::always("goods are sold once, and come back once", |_, w: &World| w.store.on_hand == ON_HAND - u8::from(w.has_sold())),
            Property::always("a coupon is used by what is held or sold", |_, w: &World| {
                w.store.uses == OTHERS + u8::from(w.holds_goods() || w.has_sold())
            }),
            Property::always("an order is confirmed on its money", |model: &Self, w: &World| {
                (0..ATTEMPTS).all(|a| w.store.orders[a].is_none_or(|o| model.is_paid(o, w.accounts[a])))
            }),
            Property::always("everything settles once a sweeper comes through", |model: &Self, w: &World| model.settles(w)),
            Property::sometimes("completed", |_, w: &World| w.is_settled() && w.store.checkout.state.kind() == Kind::Completed),
            Property::sometimes("completed with the last attempt", |model: &Self, w: &World| {
                w.is_settled() && w.store.orders[usize::from(model.attempts) - 1].is_some()
            }),
            Property::sometimes("canceled", |_, w: &World| w.is_settled() && w.store.checkout.state.kind() == Kind::Canceled),
            Property::sometimes("expired after an attempt", |_, w: &World| {
                w.is_settled() && w.store.checkout.state.kind() == Kind::Expired && w.store.checkout.attempts > 0
            }),
        ]
    }
}

impl Settings {
    fn is_paid(&self, order: store::Bought, account: Account) -> bool {
        match (order.status, order.payment) {
            (Status::Confirmed | Status::Processing | Status::Shipped | Status::Delivered, PaymentStatus::Captured) => {
                account == Account::Captured
            }
            (Status::Confirmed | Status::Processing, PaymentStatus::Authorized | PaymentStatus::Capturing) => {
                self.capture == CaptureWhen::OnShipment && matches!(account, Account::Authorized | Account::Captured)
            }
            (Status::Pending | Status::Canceled | Status::Failed, _) => true,
            (Status::Confirmed | Status::Processing | Status::Shipped | Status::Delivered | Status::Refunded, _) => false,
        }
    }
}

fn bit(request: Request) -> u8 {
    LATE.iter().position(|r| *r == request).map_or(0, |at| 1 << at)
}
