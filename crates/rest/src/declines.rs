//! Card testing: somebody with a list of stolen cards pays for little things to learn which of them work. So declined
//! payments are counted, per cart and per address, and after a few of them nothing more is asked of the provider for
//! a while. A payment that goes through costs nothing. An attempt counts once, however often its outcome is asked for;
//! one that met a challenge counts when its customer comes back without having met it, or pays with something else.
//!
//! What is under way counts as if it were going to be declined, or many at once would slip through: whoever would be
//! one too many waits until it is known.
//!
//! Every node counts what it sees. Where nodes share their counts a payment needs room in both, so that a node that is
//! alone for a while still knows what it has seen.

use crate::limits::DECLINES_KEYS_MAX;
use crate::problem::Failure;
use crate::shared::Shared;
use app::ports::{FailuresMax, Ticket};
use domain::ids::{AttemptId, CartId};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::problem::Problem;

/// Declined payments within the window before more are refused; 0 for no limit.
#[derive(Clone, Copy, Debug)]
pub struct DeclineLimits {
    pub per_cart: u32,
    pub per_address: u32,
    pub window: Duration,
}

impl Default for DeclineLimits {
    fn default() -> Self {
        Self { per_cart: 5, per_address: 30, window: Duration::from_secs(3600) }
    }
}

#[derive(Debug)]
pub(crate) struct Declines {
    carts: Option<Arc<Tally<CartId>>>,
    addresses: Option<Arc<Tally<IpAddr>>>,
    limits: DeclineLimits,
    shared: Option<Shared>,
}

/// A payment that may be asked for. On this node it is over when this is dropped, for the others when it is told.
#[derive(Debug)]
pub(crate) struct Payment {
    cart: Option<Turn<CartId>>,
    address: Option<Turn<IpAddr>>,
    ticket: Ticket,
    /// The shared counts that know of it.
    counted: Vec<String>,
}

impl Declines {
    pub(crate) fn new(enabled: bool, limits: &DeclineLimits, shared: Option<Shared>) -> Self {
        Self {
            carts: tally(enabled, limits.per_cart, limits.window),
            addresses: tally(enabled, limits.per_address, limits.window),
            limits: *limits,
            shared,
        }
    }

    /// Waits until it is known whether there is room for one more declined payment. A request that is repeated comes
    /// with the same ticket.
    ///
    /// # Errors
    /// 429 when there is none.
    pub(crate) async fn admit(&self, cart: Option<CartId>, address: IpAddr, ticket: Ticket) -> Result<Payment, Failure> {
        let cart = match (&self.carts, cart) {
            (Some(tally), Some(cart)) => Some(tally.admit(cart).await.map_err(too_many)?),
            _ => None,
        };
        let address = match &self.addresses {
            Some(tally) => Some(tally.admit(network(address)).await.map_err(too_many)?),
            None => None,
        };
        let mut payment = Payment { cart, address, ticket, counted: Vec::new() };
        match self.admit_together(&mut payment).await {
            Ok(()) => Ok(payment),
            Err(wait) => {
                self.over(payment, None).await;
                Err(too_many(wait))
            }
        }
    }

    async fn admit_together(&self, payment: &mut Payment) -> Result<(), Duration> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let (cart, address) = (payment.cart.as_ref().map(|turn| turn.key), payment.address.as_ref().map(|turn| turn.key));
        for (key, amount) in self.keys(cart, address) {
            if shared.admit(&key, payment.ticket, FailuresMax { amount, window: self.limits.window }).await? {
                payment.counted.push(key);
            }
        }
        Ok(())
    }

    /// The shared counts of a cart and a network, and how many may be declined in each.
    fn keys(&self, cart: Option<CartId>, network: Option<IpAddr>) -> impl Iterator<Item = (String, u32)> {
        let cart = cart.filter(|_| self.carts.is_some()).map(|cart| (format!("declines:{cart}"), self.limits.per_cart));
        let network = network.filter(|_| self.addresses.is_some()).map(|at| (format!("declines:address:{at}"), self.limits.per_address));
        cart.into_iter().chain(network)
    }

    /// The payment is over; it counts where it was declined.
    pub(crate) async fn over(&self, payment: Payment, declined: Option<AttemptId>) {
        let (cart, address) = (payment.cart.as_ref().map(|turn| turn.key), payment.address.as_ref().map(|turn| turn.key));
        if let Some(attempt) = declined {
            self.count(cart, address, attempt);
        }
        let Some(shared) = &self.shared else { return };
        for (key, _) in self.keys(cart, address) {
            let ticket = payment.counted.contains(&key).then_some(payment.ticket);
            if ticket.is_some() || declined.is_some() {
                shared.settle(&key, ticket, declined.map(failed), self.limits.window).await;
            }
        }
    }

    /// Counts an attempt that was declined after its request to pay was over.
    pub(crate) async fn declined(&self, cart: CartId, address: IpAddr, attempt: AttemptId) {
        let (cart, address) = (Some(cart), Some(network(address)));
        self.count(cart, address, attempt);
        let Some(shared) = &self.shared else { return };
        for (key, _) in self.keys(cart, address) {
            shared.settle(&key, None, Some(failed(attempt)), self.limits.window).await;
        }
    }

    /// Among what this node has seen.
    fn count(&self, cart: Option<CartId>, network: Option<IpAddr>, attempt: AttemptId) {
        let now = Instant::now();
        if let (Some(carts), Some(cart)) = (&self.carts, cart) {
            carts.declined(cart, attempt, now);
        }
        if let (Some(addresses), Some(network)) = (&self.addresses, network) {
            addresses.declined(network, attempt, now);
        }
    }

    pub(crate) fn forget_old(&self) {
        let now = Instant::now();
        if let Some(carts) = &self.carts {
            carts.forget_old(now);
        }
        if let Some(addresses) = &self.addresses {
            addresses.forget_old(now);
        }
    }
}

fn failed(attempt: AttemptId) -> Ticket {
    attempt.0.to_be_bytes()
}

fn too_many(wait: Duration) -> Failure {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    let detail = format!("Too many payments were declined; nothing was charged. Try again in {seconds} s.");
    Problem::new(429, "PAYMENT_ATTEMPTS_EXCEEDED", detail).retry_after(seconds).into()
}

/// Who has one IPv6 address has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[derive(Debug)]
struct Tally<K> {
    max: usize,
    window: Duration,
    counts: Mutex<HashMap<K, Count>>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Count {
    under_way: usize,
    /// Which attempts were declined, and when: the oldest first.
    declined: VecDeque<(Instant, AttemptId)>,
}

enum Room {
    There,
    /// Depends on what is under way.
    Perhaps,
    /// Not before this has gone by.
    None(Duration),
}

/// One payment under way.
#[derive(Debug)]
struct Turn<K: Copy + Eq + Hash> {
    key: K,
    tally: Arc<Tally<K>>,
}

fn tally<K>(enabled: bool, max: u32, window: Duration) -> Option<Arc<Tally<K>>> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    (enabled && max > 0).then(|| Arc::new(Tally { max, window, counts: Mutex::default(), ended: Notify::new() }))
}

impl<K: Copy + Eq + Hash> Tally<K> {
    async fn admit(self: &Arc<Self>, key: K) -> Result<Turn<K>, Duration> {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            match self.room(key, Instant::now()) {
                Room::There => return Ok(Turn { key, tally: Arc::clone(self) }),
                Room::None(wait) => return Err(wait),
                Room::Perhaps => ended.await,
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<K, Count>> {
        self.counts.lock().expect("invariant: nothing panics while it counts")
    }

    /// Takes the room if it is there.
    fn room(&self, key: K, now: Instant) -> Room {
        let mut counts = self.counts();
        let count = count_of(&mut counts, key);
        count.forget_old(now, self.window);
        match count.declined.front() {
            Some((oldest, _)) if count.declined.len() >= self.max => Room::None((*oldest + self.window).duration_since(now)),
            _ if count.declined.len() + count.under_way >= self.max => Room::Perhaps,
            _ => {
                count.under_way += 1;
                Room::There
            }
        }
    }

    /// Counts a declined attempt, once.
    fn declined(&self, key: K, attempt: AttemptId, at: Instant) {
        let mut counts = self.counts();
        let count = count_of(&mut counts, key);
        if !count.declined.iter().any(|(_, known)| *known == attempt) {
            count.declined.push_back((at, attempt));
        }
    }

    fn forget_old(&self, now: Instant) {
        let mut counts = self.counts();
        counts.retain(|_, count| {
            count.forget_old(now, self.window);
            count.is_of_use()
        });
        counts.shrink_to_fit();
    }
}

/// The count of a key; room is made for a new one.
fn count_of<K: Copy + Eq + Hash>(counts: &mut HashMap<K, Count>, key: K) -> &mut Count {
    if counts.len() >= DECLINES_KEYS_MAX && !counts.contains_key(&key) {
        counts.retain(|_, count| count.under_way > 0);
    }
    counts.entry(key).or_default()
}

impl Count {
    fn forget_old(&mut self, now: Instant, window: Duration) {
        while self.declined.front().is_some_and(|(at, _)| *at + window <= now) {
            self.declined.pop_front();
        }
    }

    fn is_of_use(&self) -> bool {
        self.under_way > 0 || !self.declined.is_empty()
    }
}

impl<K: Copy + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut counts = self.tally.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            count.under_way -= 1;
            if !count.is_of_use() {
                counts.remove(&self.key);
            }
        }
        drop(counts);
        self.tally.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const WINDOW: Duration = Duration::from_secs(60);

    fn of(max: u32) -> Arc<Tally<u32>> {
        tally(true, max, WINDOW).expect("a tally")
    }

    fn new_attempt() -> AttemptId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        AttemptId(LAST.fetch_add(1, Ordering::Relaxed).into())
    }

    /// One payment at this instant; how long to wait if there is no room for it.
    fn pay(tally: &Arc<Tally<u32>>, key: u32, declined: bool, now: Instant) -> Option<Duration> {
        match tally.room(key, now) {
            Room::None(wait) => return Some(wait),
            Room::Perhaps => panic!("something is under way"),
            Room::There => {}
        }
        let turn = Turn { key, tally: Arc::clone(tally) };
        if declined {
            tally.declined(key, new_attempt(), now);
        }
        drop(turn);
        None
    }

    #[test]
    fn declined_payments_are_forgotten_after_the_window() {
        let (tally, half) = (of(2), WINDOW / 2);
        let start = Instant::now();
        for (halves, wait) in [(0, None), (1, None), (1, Some(half)), (2, None), (2, Some(half)), (3, None), (9, None)] {
            assert_eq!(pay(&tally, 1, true, start + half * halves), wait, "{halves}");
        }
        tally.forget_old(start + half * 10);
        assert_eq!(tally.counts().len(), 1);
        tally.forget_old(start + half * 11);
        assert!(tally.counts().is_empty());
    }

    #[test]
    fn payments_that_go_through_and_those_of_others_cost_nothing() {
        let (tally, now) = (of(1), Instant::now());
        for n in 0..100 {
            assert_eq!(pay(&tally, 1, false, now), None);
            assert_eq!(pay(&tally, n + 2, true, now), None);
            assert_eq!(pay(&tally, n + 2, true, now), Some(WINDOW));
        }
        assert!(!tally.counts().contains_key(&1));
    }

    #[tokio::test]
    async fn whoever_would_be_one_too_many_waits_until_it_is_known() {
        for (first_is_declined, second_has_room) in [(false, true), (true, false)] {
            let tally = of(1);
            let first = tally.admit(1).await.expect("room");
            let order = Mutex::new(Vec::new());
            let second = async {
                let second = tally.admit(1).await;
                order.lock().expect("a lock").push("second");
                second.is_ok()
            };
            let end = async {
                tokio::task::yield_now().await;
                order.lock().expect("a lock").push("first");
                if first_is_declined {
                    tally.declined(1, new_attempt(), Instant::now());
                }
                drop(first);
            };
            let (has_room, ()) = tokio::join!(second, end);
            assert_eq!((has_room, order.into_inner().expect("a lock")), (second_has_room, vec!["first", "second"]));
        }
    }

    #[test]
    fn addresses_are_counted_by_network() {
        for (address, network_of) in
            [("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            assert_eq!(network(address.parse().expect("an address")), network_of.parse::<IpAddr>().expect("an address"));
        }
    }
}
