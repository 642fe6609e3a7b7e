//! The provider's side: the built-in payment provider behind the protocol, and the page where its challenges are met.

use crate::challenge::challenges;
use crate::limits::{REFERENCE_MAX, REQUEST_MAX};
use crate::protocol::{AuthorizationBody, AuthorizeBody, FoundBody, RefundBody, TakenBody};
use app::ports::{Authorize, Charge, Payments, PortError, PortErrorKind, Refund, Taken};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::ids::{AttemptId, CheckoutId, PaymentToken, RefundId};
use domain::limits::URL_MAX;
use memory::simulator::PaymentSimulator;
use outbound::KEY;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::ready;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The whole protocol.
pub fn provider(simulator: PaymentSimulator) -> Router {
    Router::new()
        .route("/v1/charges", post(authorize))
        .route("/v1/charges/{key}", get(find))
        .route("/v1/charges/{key}/capture", post(capture))
        .route("/v1/charges/{key}/void", post(void))
        .route("/v1/charges/{key}/refunds", post(refund))
        .layer(DefaultBodyLimit::max(REQUEST_MAX))
        .with_state(simulator)
}

/// The provider on a socket of its own, with the page of its challenges, for as long as this is awaited. What is under
/// way when it is dropped ends as in a crash, which the journal is made for.
///
/// # Errors
/// The socket cannot be used.
pub async fn serve(listener: TcpListener, simulator: PaymentSimulator) -> io::Result<()> {
    // The shop is told by a webhook.
    let nobody = Arc::new(|_, _| Box::pin(ready(())) as _);
    axum::serve(listener, provider(simulator.clone()).merge(challenges(simulator, nobody))).await
}

/// What is answered instead of a 200.
enum Wrong {
    Request,
    Port(PortError),
}

impl From<PortError> for Wrong {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Request => (StatusCode::BAD_REQUEST, "REQUEST_INVALID"),
            Self::Port(error) => match error.kind {
                PortErrorKind::Corrupt => (StatusCode::CONFLICT, "KEY_REUSED"),
                PortErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "TIMEOUT"),
                PortErrorKind::Unavailable | PortErrorKind::Full => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            },
        };
        if let Self::Port(error) = &self {
            tracing::debug!(%error, "not answered");
        }
        (status, json(&serde_json::json!({ "code": code }))).into_response()
    }
}

type Answer = Result<Response, Wrong>;

fn json(body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("invariant: answers are plain structs with text keys");
    ([(CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|_| Wrong::Request)
}

/// The idempotency key, as `parse` has it.
fn key<T>(headers: &HeaderMap, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Wrong> {
    headers.get(KEY).and_then(|value| parse(value.to_str().ok()?)).ok_or(Wrong::Request)
}

async fn authorize(State(simulator): State<PaymentSimulator>, headers: HeaderMap, body: Bytes) -> Answer {
    let key = key(&headers, AttemptId::parse)?;
    let request = wanted(read(&body)?).ok_or(Wrong::Request)?;
    let answer = simulator.authorize(key, &request).await?;
    let charge = simulator.find(key).await?;
    Ok(json(&AuthorizationBody::of(key, &answer, charge.as_ref())))
}

fn wanted(body: AuthorizeBody) -> Option<Authorize> {
    let AuthorizeBody { token, amount, reference, checkout, return_url } = body;
    let plain = reference.chars().count() <= REFERENCE_MAX && return_url.as_deref().is_none_or(leads_back);
    let amount = amount.read().filter(|amount| plain && amount.minor() > 0)?;
    Some(Authorize { token: PaymentToken::parse(&token)?, amount, reference, checkout: CheckoutId::parse(&checkout)?, return_url })
}

/// Where a browser may be sent: a page, and not a script.
fn leads_back(url: &str) -> bool {
    let page = url.starts_with("https://") || url.starts_with("http://");
    page && url.len() <= URL_MAX && url.bytes().all(|b| b.is_ascii_graphic())
}

async fn find(State(simulator): State<PaymentSimulator>, Path(id): Path<String>) -> Answer {
    let key = AttemptId::parse(&id).ok_or(Wrong::Request)?;
    Ok(json(&FoundBody::of(key, simulator.find(key).await?.as_ref())))
}

/// The charge of the path, which the idempotency key of a capture or a void names again.
fn same(id: &str, headers: &HeaderMap) -> Result<AttemptId, Wrong> {
    let key = key(headers, AttemptId::parse)?;
    if AttemptId::parse(id) == Some(key) { Ok(key) } else { Err(Wrong::Request) }
}

fn taken(key: AttemptId, taken: &Taken, charge: Option<&Charge>) -> Answer {
    Ok(json(&TakenBody::of(key, taken, charge)))
}

async fn capture(State(simulator): State<PaymentSimulator>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let key = same(&id, &headers)?;
    let done = simulator.capture(key).await?;
    taken(key, &done, simulator.find(key).await?.as_ref())
}

async fn void(State(simulator): State<PaymentSimulator>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let key = same(&id, &headers)?;
    let done = simulator.void(key).await?;
    taken(key, &done, simulator.find(key).await?.as_ref())
}

async fn refund(State(simulator): State<PaymentSimulator>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let charge = AttemptId::parse(&id).ok_or(Wrong::Request)?;
    let id = key(&headers, RefundId::parse)?;
    let amount = read::<RefundBody>(&body)?.amount.read().ok_or(Wrong::Request)?;
    let done = simulator.refund(charge, &Refund { id, amount }).await?;
    taken(charge, &done, simulator.find(charge).await?.as_ref())
}
