//! The built-in payment provider: scripted by its tokens, and across its port like a real one. It answers
//! late, twice or never, but never charges twice under one key.

mod account;
mod journal;

use account::{Account, Change, Delivery};
use app::ports::{Authorization, Authorize, Charge, Payments, PortError, PortErrorKind, Taken};
use async_trait::async_trait;
use domain::ids::AttemptId;
use journal::{Journal, Line};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const PORT: &str = "payments";

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
/// | `tok_requires_action` | wants a challenge |
/// | `tok_flaky` | fails twice, then is approved |
/// | `tok_capture_fails` | is approved, and its capture refused |
/// | anything else | is declined as `invalid_token` |
#[derive(Clone, Debug)]
pub struct PaymentSimulator {
    accounts: Arc<Mutex<BTreeMap<AttemptId, Account>>>,
    journal: Option<Arc<Journal>>,
    timeout: Duration,
    slowness: Duration,
}

impl PaymentSimulator {
    /// A provider that forgets. Calls it does not answer end after `timeout`; with a timeout of zero it never sleeps.
    pub fn in_memory(timeout: Duration) -> Self {
        Self { accounts: Arc::default(), journal: None, timeout, slowness: SLOWNESS }
    }

    /// A provider whose memory is the journal at `path`: nothing is answered before it is on disk.
    ///
    /// # Errors
    /// When the journal cannot be opened or read, or is in use. A last line that was not written in full is cut off.
    pub fn open(path: impl AsRef<Path>, timeout: Duration) -> io::Result<Self> {
        let (journal, lines) = Journal::open(path.as_ref())?;
        let mut accounts: BTreeMap<AttemptId, Account> = BTreeMap::new();
        for Line { key, change } in lines {
            accounts.entry(key).or_default().apply(&change);
        }
        let accounts = Arc::new(Mutex::new(accounts));
        Ok(Self { accounts, journal: Some(Arc::new(journal)), timeout, slowness: SLOWNESS })
    }

    /// The same provider, with another idea of how long `tok_slow` takes.
    #[must_use]
    pub fn with_slowness(self, slowness: Duration) -> Self {
        Self { slowness, ..self }
    }

    /// Every charge by its key.
    pub fn charges(&self) -> BTreeMap<AttemptId, Charge> {
        self.accounts().iter().filter_map(|(key, account)| Some((*key, account.charge()?))).collect()
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Account>> {
        self.accounts.lock().expect("invariant: nothing panics while it changes an account")
    }

    /// Decides about one account, writes the change down, and only then lets the answer out. An answer without
    /// a change waits too: it may tell of one that is on its way to the disk.
    async fn decide<T>(&self, key: AttemptId, decide: impl FnOnce(&Account) -> (Option<Change>, T) + Send) -> Result<T, PortError> {
        let place = match &self.journal {
            Some(journal) => Some(journal.place().await?),
            None => None,
        };
        let (answer, written) = {
            let mut accounts = self.accounts();
            let mut account = accounts.get(&key).cloned().unwrap_or_default();
            let (change, answer) = decide(&account);
            let line = change.map(|change| Line { key, change });
            if let Some(Line { change, .. }) = &line {
                account.apply(change);
                accounts.insert(key, account);
            }
            (answer, place.map(|place| place.write(line)))
        };
        if let Some(written) = written {
            written.durable().await?;
        }
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

#[async_trait]
impl Payments for PaymentSimulator {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        let delivery = self.decide(key, |account| account.authorize(request)).await?;
        self.deliver(delivery).await
    }

    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.decide(key, Account::capture).await
    }

    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.decide(key, Account::void).await
    }

    async fn refund(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.decide(key, Account::refund).await
    }

    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        self.decide(key, |account| (None, account.charge())).await
    }
}
