//! The built-in payment provider: scripted by its tokens, and across its port like a real one. It answers
//! late, twice or never, but never charges twice under one key.

mod account;
mod journal;

use account::{Account, Change, Delivery};
use app::ports::{Authorization, Authorize, Charge, Clock, DidItHappen, Payments, PortError, PortErrorKind, Refund, Taken};
use async_trait::async_trait;
use domain::ids::{AttemptId, CheckoutId};
use domain::time::Timestamp;
use journal::{Journal, Line};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

const PORT: &str = "payments";

/// Where challenges are met, unless it is said.
const CHALLENGES: &str = "/payment-simulator/challenges";

/// How long `tok_slow` takes.
const SLOWNESS: Duration = Duration::from_secs(5);

/// Clones share what the provider knows. What a token does:
///
/// | token | an authorization |
/// |---|---|
/// | `tok_visa`, `tok_mastercard` | is approved |
/// | `tok_declined`, `tok_insufficient_funds`, `tok_expired_card` | is declined |
/// | `tok_timeout_before`, `tok_timeout_after` | never answers, before or after charging |
/// | `tok_slow` | is approved, and says so after five seconds |
/// | `tok_requires_action` | wants a challenge, see [`PaymentSimulator::answer_challenge`] |
/// | `tok_flaky` | fails twice, then is approved |
/// | `tok_capture_fails` | is approved, and its capture refused |
/// | anything else | is declined as `invalid_token` |
#[derive(Clone)]
pub struct PaymentSimulator {
    known: Arc<Mutex<Known>>,
    journal: Option<Arc<Journal>>,
    timeout: Duration,
    slowness: Duration,
    challenges: Arc<str>,
    /// What time it is, if the shop is to be told of changes.
    clock: Option<Arc<dyn Clock>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: BTreeMap<AttemptId, Account>,
    /// What the shop has not heard yet.
    untold: BTreeMap<(AttemptId, u32), Notice>,
}

/// A change of a charge that the shop is to be told of, and the charge right after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub key: AttemptId,
    /// Counts the notices of one key.
    pub number: u32,
    /// `payment.authorized`, `payment.captured`, …
    pub kind: &'static str,
    pub at: Timestamp,
    pub checkout: CheckoutId,
    pub charge: Charge,
}

/// What the customer is asked to approve, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    pub charge: Charge,
    /// None in what was asked before the provider knew.
    pub checkout: Option<CheckoutId>,
    /// Where the customer goes afterwards.
    pub return_url: Option<String>,
}

impl std::fmt::Debug for PaymentSimulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentSimulator").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl PaymentSimulator {
    /// A provider that forgets. Calls it does not answer end after `timeout`; with a timeout of zero it never sleeps.
    pub fn in_memory(timeout: Duration) -> Self {
        Self {
            known: Arc::default(),
            journal: None,
            timeout,
            slowness: SLOWNESS,
            challenges: CHALLENGES.into(),
            clock: None,
            news: Arc::default(),
        }
    }

    /// A provider whose memory is the journal at `path`: nothing is answered before it is on disk.
    ///
    /// # Errors
    /// When the journal cannot be opened or read, or is in use. A last line that was not written in full is cut off.
    pub fn open(path: impl AsRef<Path>, timeout: Duration) -> io::Result<Self> {
        let mut known = Known::default();
        let journal = Journal::open(path.as_ref(), |line| known.apply(line))?;
        Ok(Self { known: Arc::new(Mutex::new(known)), journal: Some(Arc::new(journal)), ..Self::in_memory(timeout) })
    }

    /// The same provider, with another idea of how long `tok_slow` takes.
    #[must_use]
    pub fn with_slowness(self, slowness: Duration) -> Self {
        Self { slowness, ..self }
    }

    /// The same provider, whose challenges are met at `{url}/{key}`.
    #[must_use]
    pub fn with_challenges_at(self, url: &str) -> Self {
        Self { challenges: url.into(), ..self }
    }

    /// The same provider, which from now on has notices for the shop, see [`PaymentSimulator::untold`].
    #[must_use]
    pub fn with_notices(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Notices the shop has not heard yet, those of one charge in their order. They are told at least once, and survive a restart.
    pub fn untold(&self, limit: usize) -> Vec<Notice> {
        self.known().untold.values().take(limit).cloned().collect()
    }

    /// Waits until there is a new notice since the last wait.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// The shop has heard this notice.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub async fn told(&self, notice: &Notice) -> Result<(), PortError> {
        let number = notice.number;
        self.decide(notice.key, |_| (Some(Change::Told { number }), ())).await
    }

    /// The challenge under this key, answered or not.
    pub fn challenge(&self, key: AttemptId) -> Option<Challenge> {
        self.known().accounts.get(&key)?.challenge()
    }

    /// The customer approves of the charge, or does not. Once: afterwards it stays as it is. What the charge is then.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub async fn answer_challenge(&self, key: AttemptId, passed: bool) -> Result<Option<Challenge>, PortError> {
        self.decide(key, |account| (account.answer_challenge(passed), ())).await?;
        Ok(self.challenge(key))
    }

    /// Every charge by its key.
    pub fn charges(&self) -> BTreeMap<AttemptId, Charge> {
        self.known().accounts.iter().filter_map(|(key, account)| Some((*key, account.charge()?))).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("invariant: nothing panics while it changes an account")
    }

    /// Decides about one account, writes the change down, and only then lets the answer out. An answer without
    /// a change waits too: it may tell of one that is on its way to the disk.
    async fn decide<T>(&self, key: AttemptId, decide: impl FnOnce(&Account) -> (Option<Change>, T) + Send) -> Result<T, PortError> {
        let place = match &self.journal {
            Some(journal) => Some(journal.place().await?),
            None => None,
        };
        let (answer, written) = {
            let mut known = self.known();
            let (change, answer) = decide(known.accounts.get(&key).unwrap_or(&Account::default()));
            let line = change.map(|change| Line { key, at: self.clock.as_ref().map(|clock| clock.now().0), change });
            if let Some(line) = &line {
                known.apply(line);
            }
            (answer, place.map(|place| place.write(line)))
        };
        if let Some(written) = written {
            written.durable().await?;
        }
        self.news.notify_one();
        Ok(answer)
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Authorization, PortError> {
        match delivery {
            Delivery::Now(authorization) => Ok(authorization),
            Delivery::Slowly(authorization) if self.slowness < self.timeout => {
                self.wait(self.slowness).await;
                Ok(authorization)
            }
            Delivery::Slowly(_) | Delivery::Never => {
                self.wait(self.timeout).await;
                Err(PortError::unknown(PORT, PortErrorKind::Timeout, "the provider did not answer in time"))
            }
            Delivery::Fails => Err(PortError::unavailable(PORT, "the provider is down")),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "waiting is how this adapter imitates a provider that is slow")]
    async fn wait(&self, span: Duration) {
        if !self.timeout.is_zero() {
            tokio::time::sleep(span).await;
        }
    }
}

impl Known {
    fn apply(&mut self, line: &Line) {
        if let Change::Told { number } = line.change {
            self.untold.remove(&(line.key, number));
            return;
        }
        let notice = self.accounts.entry(line.key).or_default().apply(line.key, &line.change, line.at.map(Timestamp));
        self.untold.extend(notice.map(|notice| ((notice.key, notice.number), notice)));
    }
}

#[async_trait]
impl Payments for PaymentSimulator {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        let url = || format!("{}/{key}", self.challenges);
        match self.decide(key, |account| account.authorize(request, url)).await? {
            Some(delivery) => self.deliver(delivery).await,
            None => {
                Err(PortError { did_it_happen: DidItHappen::Unknown, ..PortError::corrupt(PORT, "the key was used for another amount") })
            }
        }
    }

    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.decide(key, Account::capture).await
    }

    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.decide(key, Account::void).await
    }

    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        self.decide(key, |account| account.refund(refund)).await
    }

    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        self.decide(key, |account| (None, account.charge())).await
    }
}
