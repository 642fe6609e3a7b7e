//! The provider's side.

use crate::limits::REQUEST_MAX;
use crate::protocol::{ANSWERS, AskedBody, AssessedBody};
use app::ports::{PortErrorKind, Taxes};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The whole protocol.
pub fn provider(taxes: Arc<dyn Taxes>) -> Router {
    Router::new().route(ANSWERS, post(assess)).layer(DefaultBodyLimit::max(REQUEST_MAX)).with_state(taxes)
}

/// A provider on a socket of its own, for as long as this is awaited.
///
/// # Errors
/// The socket cannot be used.
pub async fn serve(listener: TcpListener, taxes: Arc<dyn Taxes>) -> io::Result<()> {
    axum::serve(listener, provider(taxes)).await
}

async fn assess(State(taxes): State<Arc<dyn Taxes>>, body: Bytes) -> Result<Json<AssessedBody>, StatusCode> {
    let asked: AskedBody = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let goods = asked.read().map_err(|_| StatusCode::BAD_REQUEST)?;
    let assessed = taxes.assess(&goods).await.map_err(|error| {
        tracing::debug!(%error, "not answered");
        match error.kind {
            PortErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            PortErrorKind::Unavailable | PortErrorKind::Corrupt | PortErrorKind::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    })?;
    Ok(Json(AssessedBody::of(&assessed, goods.currency)))
}
