//! Rate limits, one budget per caller and group of routes: shared by all nodes where there is something to share them
//! in, else, and while that does not answer, kept in this process.

use crate::declines::DeclineLimits;
use crate::problem::Failure;
use crate::shared::Shared;
use app::Caller;
use app::ports::{Quota, Spent};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::cart::Owner;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How much one caller may ask for.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    pub enabled: bool,
    pub cart_per_minute: u32,
    /// Of changes to checkouts; reading one counts as anything else.
    pub checkout_per_minute: u32,
    pub other_per_minute: u32,
    /// Of callers without credentials, or with wrong ones, together per address.
    pub anonymous_per_hour: u32,
    pub declines: DeclineLimits,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            cart_per_minute: 100,
            checkout_per_minute: 10,
            other_per_minute: 1_000,
            anonymous_per_hour: 1_000,
            declines: DeclineLimits::default(),
        }
    }
}

/// Routes that share a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Cart,
    Checkout,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Owner(Owner),
    Address(IpAddr),
}

/// As it is named in a shared key.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(Owner::Customer(customer)) => write!(f, "customer:{customer}"),
            Self::Owner(Owner::Guest(session)) => write!(f, "guest:{session}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

type Limiter = RateLimiter<Who, DashMapStateStore<Who>, DefaultClock, StateInformationMiddleware>;

struct Budget {
    name: &'static str,
    quota: Quota,
    policy: HeaderValue,
    /// This node's own counts.
    own: Limiter,
}

impl Budget {
    fn new(name: &'static str, amount: u32, span: Duration) -> Self {
        let amount = NonZeroU32::new(amount).unwrap_or(NonZeroU32::MIN);
        let pace = governor::Quota::with_period(span / amount.get()).expect("invariant: a span is not zero").allow_burst(amount);
        let policy = format!("\"{name}\";q={amount};w={}", span.as_secs());
        Self {
            name,
            quota: Quota { amount, span },
            policy: HeaderValue::try_from(policy).expect("invariant: plain ASCII"),
            own: RateLimiter::keyed(pace).with_middleware(),
        }
    }

    async fn spend(&self, shared: Option<&Shared>, who: Who) -> (HeaderMap, Option<u32>) {
        let together = match shared {
            Some(shared) => shared.spend(&format!("{}:{who}", self.name), self.quota).await,
            None => None,
        };
        self.told(together.unwrap_or_else(|| self.spend_alone(&who)))
    }

    fn spend_alone(&self, who: &Who) -> Spent {
        match self.own.check_key(who) {
            Ok(state) => Spent { left: state.remaining_burst_capacity(), wait: None },
            Err(until) => Spent { left: 0, wait: Some(until.wait_time_from(self.own.clock().now())) },
        }
    }

    /// The headers that tell what is left, and how long to wait when that is nothing.
    fn told(&self, spent: Spent) -> (HeaderMap, Option<u32>) {
        let wait = spent.wait.map(|w| u32::try_from(w.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1));
        // When the whole budget is there again.
        let amount = self.quota.amount.get();
        let reset = (u64::from(amount.saturating_sub(spent.left)) * self.quota.span.as_secs()).div_ceil(u64::from(amount));
        let state = format!("\"{}\";r={};t={reset}", self.name, spent.left);
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(POLICY, self.policy.clone());
        headers.insert(LIMIT, HeaderValue::try_from(state).expect("invariant: plain ASCII"));
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, wait.into());
        }
        (headers, wait)
    }

    fn forget_idle(&self) {
        self.own.retain_recent();
        self.own.shrink_to_fit();
    }
}

pub(crate) struct Limits {
    enabled: bool,
    shared: Option<Shared>,
    cart: Budget,
    checkout: Budget,
    other: Budget,
    anonymous: Budget,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Limits {
    pub(crate) fn new(limits: &RateLimits, shared: Option<Shared>) -> Self {
        Self {
            enabled: limits.enabled,
            shared,
            cart: Budget::new("cart", limits.cart_per_minute, MINUTE),
            checkout: Budget::new("checkout", limits.checkout_per_minute, MINUTE),
            other: Budget::new("other", limits.other_per_minute, MINUTE),
            anonymous: Budget::new("anonymous", limits.anonymous_per_hour, HOUR),
        }
    }

    /// Spends one request of the caller's budget; the headers say what is left.
    ///
    /// # Errors
    /// 429 when nothing is.
    pub(crate) async fn spend(&self, group: Group, caller: &Caller, address: IpAddr) -> Result<HeaderMap, Failure> {
        if !self.enabled {
            return Ok(HeaderMap::new());
        }
        let (budget, who) = match (caller.owner(), group) {
            (Err(_), _) => (&self.anonymous, Who::Address(address)),
            (Ok(owner), Group::Cart) => (&self.cart, Who::Owner(owner)),
            (Ok(owner), Group::Checkout) => (&self.checkout, Who::Owner(owner)),
            (Ok(owner), Group::Other) => (&self.other, Who::Owner(owner)),
        };
        let (headers, wait) = budget.spend(self.shared.as_ref(), who).await;
        match wait {
            None => Ok(headers),
            Some(wait) => Err(Failure::new(429, "RATE_LIMITED", format!("Too many requests; try again in {wait} s.")).with(headers)),
        }
    }

    /// Forgets callers whose budget is whole again, or the table of them would only grow.
    pub(crate) fn forget_idle(&self) {
        for budget in [&self.cart, &self.checkout, &self.other, &self.anonymous] {
            budget.forget_idle();
        }
    }
}
