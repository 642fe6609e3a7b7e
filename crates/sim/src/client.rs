//! A device somebody shops with: it sends requests, some of them again, some of them wrongly, and passes on
//! what it is told to the oracle.

use crate::chance::happens;
use crate::told::{CartSeen, Shown, Told};
use crate::world::World;
use app::{Answered, App, Caller, Error, Once};
use bytes::Bytes;
use domain::cart::OnceMark;
use domain::ids::{CheckoutId, EditionId, OrderId, Version};
use domain::money::Money;
use domain::refusal::Refusal;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How a request with an idempotency key reaches the application.
pub type Call<'a, T> = dyn Fn(Arc<App>, Option<Once<T>>) -> BoxFuture<'static, Result<Answered<T>, Error>> + 'a;

/// A checkout as the device saw it last.
#[derive(Clone, Copy)]
pub struct CheckoutSeen {
    pub id: CheckoutId,
    pub version: Version,
    pub total: Money,
}

pub struct Device {
    pub world: Rc<World>,
    pub name: String,
    pub caller: Caller,
    /// Of a guest's session.
    pub token: Option<String>,
    pub chance: RefCell<Rng>,
    pub cart: Cell<Option<(domain::ids::CartId, Version)>>,
    pub checkout: Cell<Option<CheckoutSeen>>,
    pub order: Cell<Option<OrderId>>,
}

/// What one try came to.
enum Try {
    /// And whether it is the last word on the request.
    Answer(Bytes, bool),
    No(Refusal),
    Unknown,
}

impl Device {
    pub fn new(world: &Rc<World>, name: &str, caller: Caller, token: Option<String>, chance: Rng) -> Self {
        let cells = (Cell::default(), Cell::default(), Cell::default());
        let (cart, checkout, order) = cells;
        Self { world: Rc::clone(world), name: name.to_owned(), caller, token, chance: RefCell::new(chance), cart, checkout, order }
    }

    /// True `permille` times in a thousand.
    pub fn likely(&self, permille: u32) -> bool {
        happens(&mut self.chance.borrow_mut(), permille)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.chance.borrow_mut().u64(..n)
    }

    pub fn one_of<T: Copy>(&self, of: &[T]) -> T {
        of[self.chance.borrow_mut().usize(..of.len())]
    }

    pub async fn wait(&self, most_ms: u64) {
        self.world.time.sleep(Duration::from_millis(self.below(most_ms))).await;
    }

    /// Sends a request, again under the same key while nobody knows what came of it; an answered one
    /// sometimes once more, or with another body under the same key.
    pub async fn send<T: Shown>(&self, what: &str, keyed: bool, call: &Call<'_, T>) -> Told {
        let key = (keyed || self.likely(600)).then(|| self.world.fresh_key());
        let (mut lost, mut is_answered) = (false, false);
        let told = loop {
            match self.attempt(what, key, 0, call).await {
                Try::Answer(answer, is_final) => {
                    is_answered = is_final;
                    break Told::Yes(head(&answer));
                }
                Try::No(_) if lost => break Told::Unknown,
                Try::No(refusal) => break Told::No(refusal),
                Try::Unknown => lost = true,
            }
            if key.is_none() || self.likely(250) {
                break Told::Unknown;
            }
            self.wait(3_000).await;
        };
        if let Some(key) = key.filter(|_| is_answered) {
            self.ask_again(what, key, call).await;
        }
        told
    }

    async fn ask_again<T: Shown>(&self, what: &str, key: [u8; 16], call: &Call<'_, T>) {
        if self.likely(200) {
            self.wait(20_000).await;
            self.attempt(what, Some(key), 0, call).await;
        }
        if self.likely(150) {
            self.wait(20_000).await;
            match self.attempt(what, Some(key), 1, call).await {
                Try::Answer(..) => self.world.oracle.borrow().promises.misused(what, None),
                Try::No(refusal) => self.world.oracle.borrow().promises.misused(what, Some(&refusal)),
                Try::Unknown => {}
            }
        }
    }

    async fn attempt<T: Shown>(&self, what: &str, key: Option<[u8; 16]>, body: u8, call: &Call<'_, T>) -> Try {
        let once = key.map(|key| Once { mark: OnceMark { key, fingerprint: [body; 16] }, render: T::render });
        let outcome = self.world.ask(|app| call(app, once)).await;
        let (tried, is_final) = match outcome {
            Some(Ok(Answered::Fresh(value))) => (Try::Answer(value.render(), value.is_final()), value.is_final()),
            Some(Ok(Answered::Again(bytes))) => (Try::Answer(bytes, true), true),
            Some(Err(Error::Refused(refusal))) => (Try::No(refusal), true),
            Some(Err(error)) => {
                self.world.violations.judge(&error);
                (Try::Unknown, false)
            }
            None => (Try::Unknown, false),
        };
        let mut oracle = self.world.oracle.borrow_mut();
        match (&tried, key) {
            (Try::Answer(answer, _), Some(key)) if is_final && body == 0 => oracle.promises.answered(what, key, answer),
            (Try::No(refusal), Some(key)) if body == 0 => oracle.promises.refused(what, key, refusal),
            _ => {}
        }
        match &tried {
            Try::Answer(answer, _) => self.log(what, key, &head(answer)),
            Try::No(refusal) => self.log(what, key, refusal.code()),
            Try::Unknown => self.log(what, key, "?"),
        }
        tried
    }

    fn log(&self, what: &str, key: Option<[u8; 16]>, outcome: &str) {
        let key = key.map(u128::from_be_bytes).unwrap_or_default();
        self.world.log(format_args!("{} {what} #{key} → {outcome}", self.name));
    }

    /// Passes on a cart that was acknowledged.
    pub fn saw_cart(&self, head: &str, added: Option<(EditionId, u32)>) {
        let Some(seen) = CartSeen::parse(head) else { return };
        self.cart.set(Some((seen.cart, Version(seen.version))));
        self.world.oracle.borrow_mut().shown(&seen, added);
    }

    pub fn saw_checkout(&self, head: &str) {
        let mut words = head.split(' ');
        let seen = || {
            let id = CheckoutId::parse(words.next()?)?;
            let version = Version(words.next()?.parse().ok()?);
            Some(CheckoutSeen { id, version, total: crate::shop::usd(words.next()?.parse().ok()?) })
        };
        self.checkout.set({ seen }());
    }
}

fn head(answer: &Bytes) -> String {
    let text = String::from_utf8_lossy(answer);
    text.lines().next().unwrap_or_default().to_owned()
}

/// Sends a use case as a request: `send!(device, "add", |app, me, once| app.change(&me, id, once), id)`. What is
/// named behind the call is cloned for every try.
macro_rules! send {
    ($device:expr, $what:literal, $keyed:literal, |$app:ident, $me:ident, $once:ident| $call:expr $(, $owned:ident)*) => {{
        let device = $device;
        let call = |$app: std::sync::Arc<app::App>, $once| -> futures_util::future::BoxFuture<'static, _> {
            let $me = device.caller.clone();
            $(let $owned = $owned.clone();)*
            Box::pin(async move { $call.await })
        };
        device.send($what, $keyed, &call).await
    }};
}
pub(crate) use send;
