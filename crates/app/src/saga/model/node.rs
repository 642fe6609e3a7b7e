//! A node: what it has loaded, what it asks, and what it commits, in the order in which `saga.rs`, `notice.rs`
//! and `checkout.rs` wait for the outside.

use super::provider::{Answer, Request, error};
use super::store::{Bought, Committed, Paying, attempt, key};
use super::{Mistake, Settings, World};
use crate::checkout::{cancel, give_back, moves};
use crate::order::edited;
use crate::ports::{Authorization, Change, Taken, UseChange, UseMove};
use crate::saga::steps::{
    Due, Effect, Left, Step, asked_about, authorized, begun, challenge_undone, due, expire, known, left, performed, settled, taken, voided,
};
use domain::checkout::{AfterUndo, Checkout, MoneyOf, State};
use domain::order::{Actor, Owed, Status};
use domain::stock::StockChange;
use std::rc::Rc;

/// Why a node does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Errand {
    /// The sweeper, a repeated request or a returning customer.
    Drive,
    /// Another tab pays with other means while the first one is at a challenge.
    PayOtherwise,
    /// The provider says that this attempt has changed.
    Notice(usize),
    DriveOrder(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Node {
    Idle,
    Busy(Errand, Holds, Place),
}

/// What was loaded, and how many commits ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holds {
    Nothing,
    Checkout(Paying, u8),
    Order(usize, Bought, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Asks(Request),
    Commits(Next),
}

/// What is about to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Next {
    /// What this outcome means.
    Outcome(Answer),
    /// That nobody knows yet.
    Later,
    /// What needs no provider: an end, or telling the cart.
    Alone,
    UndoChallenge,
    Begin,
}

impl Node {
    /// What it is about to ask, and under which attempt's key.
    pub fn request(self) -> Option<(Request, usize)> {
        match self {
            Self::Busy(errand, holds, Place::Asks(request)) => Some((request, holds.key(errand))),
            Self::Busy(_, _, Place::Commits(_)) | Self::Idle => None,
        }
    }

    /// Somebody else has committed.
    fn outdated(&mut self, checkout: bool, order: Option<usize>, most: u8) {
        match self {
            Self::Busy(_, Holds::Checkout(_, behind), _) if checkout => *behind = most.min(*behind + 1),
            Self::Busy(_, Holds::Order(of, _, behind), _) if Some(*of) == order => *behind = most.min(*behind + 1),
            Self::Idle | Self::Busy(..) => {}
        }
    }
}

impl Holds {
    fn key(self, errand: Errand) -> usize {
        match (self, errand) {
            (Self::Checkout(paying, _), _) => paying.current(),
            (Self::Order(of, ..), _) | (Self::Nothing, Errand::Notice(of) | Errand::DriveOrder(of)) => of,
            (Self::Nothing, Errand::Drive | Errand::PayOtherwise) => unreachable!("a checkout is driven that was loaded"),
        }
    }
}

impl Settings {
    pub fn start(&self, world: &mut World, n: usize, errand: Errand) {
        let stored = world.store.checkout;
        match errand {
            Errand::Drive => self.go_on(world, n, errand, stored, 0),
            Errand::PayOtherwise if stored.state == State::Challenged => self.go_on(world, n, errand, stored, 0),
            Errand::PayOtherwise => {}
            Errand::Notice(of) => match stored.checkout(0).money_of(key(of)) {
                MoneyOf::Use => self.go_on(world, n, errand, stored, 0),
                MoneyOf::Nothing => world.nodes[n] = Node::Busy(errand, Holds::Nothing, Place::Asks(Request::Void)),
                MoneyOf::Another => unreachable!("a provider knows the attempts of a checkout only"),
            },
            Errand::DriveOrder(of) => self.start_order(world, n, errand, of),
        }
    }

    fn start_order(&self, world: &mut World, n: usize, errand: Errand, of: usize) {
        let Some((bought, owed)) = world.store.orders[of].and_then(|o| Some((o, o.order(of, 0).owed()?))) else { return };
        let request = match owed {
            Owed::Capture => Request::Capture,
            Owed::Void => Request::Void,
            Owed::Refund { .. } => Request::Refund,
        };
        world.nodes[n] = Node::Busy(errand, Holds::Order(of, bought, 0), Place::Asks(request));
    }

    /// Pays an open checkout with a token that was not used before.
    pub fn pay(&self, world: &mut World, n: usize) {
        let stored = world.store.checkout;
        if stored.state == State::Open {
            self.begin(world, n, stored, 0);
        }
    }

    fn begin(&self, world: &mut World, n: usize, paying: Paying, behind: u8) {
        world.nodes[n] = Node::Idle;
        let now = world.time.now();
        let open = paying.checkout(behind);
        if paying.attempts == self.attempts || open.ensure_open(now).is_err() {
            return;
        }
        let attempt = attempt(&open, usize::from(paying.attempts), now);
        let uses = give_back(&open.quote, &attempt.cause("use")).into_iter();
        let uses = uses.map(|u| UseMove { change: UseChange::Use { by: 1, limit: None }, ..u }).collect();
        let step = begun(&open, attempt, uses, now).expect("an open checkout can be paid");
        if self.store(world, n, &step.change) {
            self.go_on(world, n, Errand::Drive, Paying::of(step.after()), 0);
        }
    }

    /// Commits; false when somebody else was faster.
    fn store(&self, world: &mut World, n: usize, change: &Change) -> bool {
        match world.store.commit(change, self) {
            Committed::Done => {
                let order = change.order.as_ref().map(|o| super::store::index(o.order.attempt));
                let most = if self.mistake == Some(Mistake::ConflictOverlooked) { 2 } else { 1 };
                for other in (0..world.nodes.len()).filter(|other| *other != n) {
                    world.nodes[other].outdated(change.checkout.is_some(), order, most);
                }
                true
            }
            Committed::Conflict => false,
            Committed::Broke(rule) => {
                world.broken = world.broken.or(Some(rule));
                false
            }
        }
    }

    /// Does what the state asks for, up to where the node has to wait.
    fn go_on(&self, world: &mut World, n: usize, errand: Errand, paying: Paying, behind: u8) {
        let place = match due(&paying.checkout(behind), world.time.now()) {
            Due::Authorize => Place::Asks(Request::Authorize),
            Due::AskAboutChallenge => Place::Asks(Request::Find),
            Due::Capture => Place::Asks(Request::Capture),
            Due::Void { .. } => Place::Asks(Request::Void),
            Due::Expire | Due::Settle => Place::Commits(Next::Alone),
            Due::Nothing => return self.rest(world, n, errand, paying, behind),
        };
        world.nodes[n] = Node::Busy(errand, Holds::Checkout(paying, behind), place);
    }

    /// The checkout is driven as far as it goes now.
    fn rest(&self, world: &mut World, n: usize, errand: Errand, paying: Paying, behind: u8) {
        let holds = Holds::Checkout(paying, behind);
        world.nodes[n] = match (errand, paying.state) {
            (Errand::PayOtherwise, State::Challenged) => Node::Busy(errand, holds, Place::Commits(Next::UndoChallenge)),
            (Errand::PayOtherwise, State::Open) => Node::Busy(errand, holds, Place::Commits(Next::Begin)),
            (Errand::Notice(_), _) => Node::Busy(errand, Holds::Nothing, Place::Commits(Next::Outcome(Answer::Done))),
            (Errand::Drive | Errand::PayOtherwise | Errand::DriveOrder(_), _) => Node::Idle,
        };
        if let (Errand::Notice(_), State::Completed { .. }) = (errand, paying.state) {
            self.start_order(world, n, errand, paying.current());
        }
    }

    /// The answer has come, or surely nothing was done.
    pub fn hear(&self, world: &mut World, n: usize, answer: Option<Answer>) {
        let Node::Busy(errand, holds, Place::Asks(request)) = world.nodes[n] else { return };
        let of = holds.key(errand);
        let heard = |answer| Place::Commits(Next::Outcome(answer));
        let amount = world.store.checkout.checkout(0).quote.total;
        let place = match (request, answer) {
            (_, None) => Place::Commits(Next::Later),
            (Request::Find, Some(Answer::Is(account))) => match known(holds.checkout().current(), account.charge(amount)) {
                Effect::Outcome(Authorization::Approved) => heard(Answer::Approved),
                Effect::Outcome(Authorization::Declined(_)) => heard(Answer::Declined),
                Effect::Outcome(Authorization::Challenge { .. }) => heard(Answer::Challenge),
                Effect::Later => Place::Commits(Next::Later),
            },
            (Request::FindLeft, Some(Answer::Is(account))) => match left(key(of), account.charge(amount)) {
                Ok(Left::Nothing) => heard(Answer::Done),
                Ok(Left::Authorized) => heard(Answer::Refused),
                Ok(Left::Captured(_)) => Place::Asks(Request::Refund),
                Err(_) => unreachable!("an amount in range"),
            },
            (Request::Void, Some(Answer::Refused)) => Place::Asks(Request::FindLeft),
            (_, Some(answer)) => heard(answer),
        };
        world.nodes[n] = Node::Busy(errand, holds, place);
    }

    /// Nobody knows whether it happened.
    pub fn hear_nothing(&self, world: &mut World, n: usize) {
        let Node::Busy(errand, holds, Place::Asks(request)) = world.nodes[n] else { return };
        let place = match request {
            Request::Authorize if self.mistake == Some(Mistake::UnknownIsDeclined) => Place::Commits(Next::Outcome(Answer::Declined)),
            Request::Authorize => Place::Asks(Request::Find),
            Request::Find | Request::Capture | Request::Void | Request::FindLeft | Request::Refund => Place::Commits(Next::Later),
        };
        world.nodes[n] = Node::Busy(errand, holds, place);
    }

    pub fn commit(&self, world: &mut World, n: usize) {
        let Node::Busy(errand, holds, Place::Commits(next)) = world.nodes[n] else { return };
        match holds {
            Holds::Nothing => {
                if let (Errand::Notice(of), Next::Outcome(Answer::Done)) = (errand, next) {
                    world.store.heeded |= 1 << of;
                }
                world.nodes[n] = Node::Idle;
            }
            Holds::Order(of, bought, behind) => self.commit_order(world, n, errand, (of, bought, behind), next),
            Holds::Checkout(paying, behind) if next == Next::Begin => self.begin(world, n, paying, behind),
            Holds::Checkout(paying, behind) => self.commit_checkout(world, n, errand, (paying, behind), next),
        }
    }

    fn commit_order(&self, world: &mut World, n: usize, errand: Errand, (of, bought, behind): (usize, Bought, u8), next: Next) {
        let order = bought.order(of, behind);
        let owed = order.owed().expect("something was asked");
        if let Some(events) = performed(&order, owed, next.taken()) {
            let appended = order.append(events, &Actor::System, "", world.time.now());
            self.store(world, n, &Change { order: Some(appended), ..Change::default() });
        }
        let heeded = Node::Busy(errand, Holds::Nothing, Place::Commits(Next::Outcome(Answer::Done)));
        world.nodes[n] = if let Errand::Notice(_) = errand { heeded } else { Node::Idle };
    }

    fn commit_checkout(&self, world: &mut World, n: usize, errand: Errand, (paying, behind): (Paying, u8), next: Next) {
        let Some(mut step) = self.step(world, n, &paying.checkout(behind), next) else {
            return match (next, paying.state) {
                (Next::Outcome(_) | Next::Later, State::Challenged) => self.rest(world, n, errand, paying, behind),
                _ => world.nodes[n] = Node::Idle,
            };
        };
        if self.mistake == Some(Mistake::EarlyRelease) {
            release_early(&mut step);
        }
        if self.store(world, n, &step.change) {
            let after = Paying::of(step.after());
            return if step.waits { self.rest(world, n, errand, after, 0) } else { self.go_on(world, n, errand, after, 0) };
        }
        let stored = world.store.checkout;
        match (next, stored.state) {
            (Next::UndoChallenge, _) if self.mistake == Some(Mistake::ConflictOverlooked) => {
                self.go_on(world, n, errand, Paying::of(step.after()), behind - 1);
            }
            (Next::UndoChallenge, State::Open) => {
                world.nodes[n] = Node::Busy(errand, Holds::Checkout(stored, 0), Place::Commits(Next::Begin));
            }
            (Next::UndoChallenge, _) => world.nodes[n] = Node::Idle,
            (_, State::Completed { .. } | State::Canceled { .. } | State::Expired { .. }) => self.go_on(world, n, errand, stored, 0),
            (_, State::Open | State::Authorizing | State::Challenged | State::Capturing | State::Undoing { .. }) => {
                self.rest(world, n, errand, stored, 0);
            }
        }
    }

    /// What the outcome means for the checkout as it was loaded. None when there is nothing to commit.
    fn step(&self, world: &mut World, n: usize, checkout: &Checkout, next: Next) -> Option<Step> {
        let now = world.time.now();
        let decided = match checkout.state {
            State::Authorizing => authorized(checkout, next.authorization(), None, self.capture, None, now).map(Some),
            State::Challenged if next == Next::UndoChallenge => challenge_undone(checkout, now).map(Some),
            State::Challenged => asked_about(checkout, next.authorization(), None, self.capture, None, now),
            State::Capturing => {
                let order = world.store.order(super::store::index(checkout.current().id))?;
                taken(checkout, &order, next.taken(), None, now).map(Some)
            }
            State::Undoing { then } => voided(checkout, then, next.taken(), None, now).map(Some),
            State::Open => expire(checkout, now).map(Some),
            State::Completed { .. } | State::Canceled { .. } | State::Expired { .. } => settled(checkout).map(Some),
        };
        decided.unwrap_or_else(|_| {
            world.nodes[n] = Node::Idle;
            world.broken = world.broken.or(Some("a step the checkout refuses"));
            None
        })
    }

    /// Somebody cancels: read and committed again until nobody is in between.
    pub fn cancel_checkout(&self, world: &mut World) {
        let mut checkout = Checkout::clone(&world.store.checkout.checkout(0));
        let expected = checkout.version;
        if cancel(&mut checkout, world.time.now()).is_ok() {
            checkout.version = expected.next();
            self.store(world, usize::MAX, &Change { checkout: Some((checkout, expected)), ..Change::default() });
        }
    }

    /// Somebody moves an order along, as far as it goes.
    pub fn edit_order(&self, world: &mut World, of: usize, along: &[Status]) {
        let now = world.time.now();
        for to in along {
            let Some(order) = world.store.order(of) else { return };
            if let Ok(events) = order.change_status(*to, None, super::store::REFUND, now) {
                let (_, change) = edited(&order, events, &Actor::System, now);
                self.store(world, usize::MAX, &change);
            }
        }
    }
}

impl Holds {
    fn checkout(self) -> Rc<Checkout> {
        match self {
            Self::Checkout(paying, behind) => paying.checkout(behind),
            Self::Nothing | Self::Order(..) => unreachable!("an authorization is of a checkout"),
        }
    }
}

impl Next {
    fn authorization(self) -> Effect<Authorization> {
        match self {
            Self::Outcome(Answer::Approved) => Effect::Outcome(Authorization::Approved),
            Self::Outcome(Answer::Declined) => Effect::Outcome(Authorization::Declined(error())),
            Self::Outcome(Answer::Challenge) => Effect::Outcome(Authorization::Challenge { url: String::new() }),
            Self::Outcome(Answer::Done | Answer::Refused | Answer::Is(_))
            | Self::Later
            | Self::Alone
            | Self::UndoChallenge
            | Self::Begin => Effect::Later,
        }
    }

    fn taken(self) -> Effect<Taken> {
        match self {
            Self::Outcome(Answer::Done) => Effect::Outcome(Taken::Done),
            Self::Outcome(Answer::Refused) => Effect::Outcome(Taken::Refused(error())),
            Self::Outcome(Answer::Approved | Answer::Declined | Answer::Challenge | Answer::Is(_))
            | Self::Later
            | Self::Alone
            | Self::UndoChallenge
            | Self::Begin => Effect::Later,
        }
    }
}

/// [`Mistake::EarlyRelease`].
fn release_early(step: &mut Step) {
    let after = step.after().clone();
    if let State::Undoing { then: AfterUndo::Open | AfterUndo::Canceled } = after.state {
        step.change.stock = moves(&after, after.current(), "release", StockChange::Release);
        step.change.uses = give_back(&after.quote, &after.current().cause("give-back"));
    }
}
