//! What the payment provider says by itself.

use crate::call::Call;
use crate::problem::{Answer, Failure};
use crate::reply;
use app::Notice;
use domain::text::Text;
use webhook::{Claims, verify};

/// Nothing of the body is read before it is known to be the provider's. What it says is then only a hint: the
/// application asks the provider what is true.
pub(crate) async fn webhook(mut call: Call) -> Answer {
    let claims =
        Claims { id: call.header(webhook::ID), timestamp: call.header(webhook::TIMESTAMP), signature: call.header(webhook::SIGNATURE) };
    let forged = |forged: webhook::Forged| Failure::new(401, "WEBHOOK_SIGNATURE_INVALID", forged.to_string());
    verify(&call.edge.webhook_secrets, claims, call.raw(), call.app().now()).map_err(forged)?;
    call.no_query()?;
    let id = Text::parse(claims.id).ok_or_else(|| Failure::new(401, "WEBHOOK_SIGNATURE_INVALID", webhook::Forged::Headers.to_string()))?;
    let (attempt, checkout, at) = call.read(wire::payment::notice)?;
    call.app().payment_notice(Notice { id, checkout, attempt, at }).await?;
    call.packed(&reply::no_content())
}
