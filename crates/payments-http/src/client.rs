//! The shop's side.

use crate::limits::ANSWER_MAX;
use crate::protocol::{AuthorizationBody, AuthorizeBody, Call, FoundBody, RefundBody, TakenBody, Unbelievable};
use app::ports::{Authorization, Authorize, Charge, Payments, PortError, PortErrorKind, Refund, Taken};
use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::AttemptId;
use hyper::Method;
use outbound::{Client, NoAddress, Patience};
use serde::Serialize;
use serde::de::DeserializeOwned;

const PORT: &str = "payments";

/// A provider that speaks the protocol of this crate, over HTTP/1.1.
#[derive(Clone, Debug)]
pub struct HttpPayments(Client);

impl HttpPayments {
    /// # Errors
    /// The address is not `http://HOST[:PORT][/PATH]`.
    pub fn new(url: &str, patience: Patience) -> Result<Self, NoAddress> {
        Client::new(PORT, url, ANSWER_MAX, patience).map(Self)
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, key: &str, body: Bytes) -> Result<T, PortError> {
        self.0.call(outbound::Call { method, path, key: Some(key), body }).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, key: &str, body: Option<&impl Written>) -> Result<T, PortError> {
        let bytes = body.map(|body| serde_json::to_vec(body).expect("invariant: requests are plain structs with text keys"));
        self.call(Method::POST, path, key, bytes.unwrap_or_default().into()).await
    }

    async fn take(&self, key: AttemptId, what: &str, call: Call) -> Result<Taken, PortError> {
        let body: TakenBody = self.post(&format!("/v1/charges/{key}/{what}"), &key.to_string(), None::<&RefundBody>).await?;
        body.read(key, call).map_err(unbelievable)
    }
}

/// Requests as they are written.
trait Written: Serialize + Sync {}
impl Written for AuthorizeBody {}
impl Written for RefundBody {}

/// An answer came, so something may have happened: what it is, `find` may tell.
fn unbelievable(why: Unbelievable) -> PortError {
    PortError::unknown(PORT, PortErrorKind::Corrupt, why)
}

#[async_trait]
impl Payments for HttpPayments {
    async fn authorize(&self, key: AttemptId, request: &Authorize) -> Result<Authorization, PortError> {
        let Authorize { token, amount, reference, checkout, return_url } = request;
        let body = AuthorizeBody {
            token: token.to_string(),
            amount: (*amount).into(),
            reference: reference.clone(),
            checkout: checkout.to_string(),
            return_url: return_url.clone(),
        };
        let answer: AuthorizationBody = self.post("/v1/charges", &key.to_string(), Some(&body)).await?;
        answer.read(key, *amount).map_err(unbelievable)
    }

    async fn capture(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.take(key, "capture", Call::Capture).await
    }

    async fn void(&self, key: AttemptId) -> Result<Taken, PortError> {
        self.take(key, "void", Call::Void).await
    }

    async fn refund(&self, key: AttemptId, refund: &Refund) -> Result<Taken, PortError> {
        let body = RefundBody { amount: refund.amount.into() };
        let answer: TakenBody = self.post(&format!("/v1/charges/{key}/refunds"), &refund.id.to_string(), Some(&body)).await?;
        answer.read(key, Call::Refund { at_least: refund.amount }).map_err(unbelievable)
    }

    async fn find(&self, key: AttemptId) -> Result<Option<Charge>, PortError> {
        let found: FoundBody = self.call(Method::GET, &format!("/v1/charges/{key}"), &key.to_string(), Bytes::new()).await?;
        found.read(key).map_err(unbelievable)
    }
}
