//! Rate limits, one budget per caller and group of routes, kept in this process.

use crate::declines::DeclineLimits;
use crate::problem::Failure;
use app::Caller;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::cart::Owner;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
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

type Limiter = RateLimiter<Who, DashMapStateStore<Who>, DefaultClock, StateInformationMiddleware>;

struct Budget {
    name: &'static str,
    amount: u32,
    span: Duration,
    policy: HeaderValue,
    limiter: Limiter,
}

impl Budget {
    fn new(name: &'static str, amount: u32, span: Duration) -> Self {
        let amount = NonZeroU32::new(amount).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(span / amount.get()).expect("invariant: a span is not zero").allow_burst(amount);
        let policy = format!("\"{name}\";q={amount};w={}", span.as_secs());
        Self {
            name,
            amount: amount.get(),
            span,
            policy: HeaderValue::try_from(policy).expect("invariant: plain ASCII"),
            limiter: RateLimiter::keyed(quota).with_middleware(),
        }
    }

    /// The headers that tell what is left, and how long to wait when that is nothing.
    fn spend(&self, who: &Who) -> (HeaderMap, Option<u32>) {
        let (left, wait) = match self.limiter.check_key(who) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(self.limiter.clock().now()))),
        };
        let wait = wait.map(|w| u32::try_from(w.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1));
        // When the whole budget is there again.
        let reset = (u64::from(self.amount - left) * self.span.as_secs()).div_ceil(u64::from(self.amount));
        let state = format!("\"{}\";r={left};t={reset}", self.name);
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(POLICY, self.policy.clone());
        headers.insert(LIMIT, HeaderValue::try_from(state).expect("invariant: plain ASCII"));
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, wait.into());
        }
        (headers, wait)
    }

    fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

pub(crate) struct Limits {
    enabled: bool,
    cart: Budget,
    checkout: Budget,
    other: Budget,
    anonymous: Budget,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Limits {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        Self {
            enabled: limits.enabled,
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
    pub(crate) fn spend(&self, group: Group, caller: &Caller, address: IpAddr) -> Result<HeaderMap, Failure> {
        if !self.enabled {
            return Ok(HeaderMap::new());
        }
        let (headers, wait) = match (caller.owner(), group) {
            (Err(_), _) => self.anonymous.spend(&Who::Address(address)),
            (Ok(owner), Group::Cart) => self.cart.spend(&Who::Owner(owner)),
            (Ok(owner), Group::Checkout) => self.checkout.spend(&Who::Owner(owner)),
            (Ok(owner), Group::Other) => self.other.spend(&Who::Owner(owner)),
        };
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
