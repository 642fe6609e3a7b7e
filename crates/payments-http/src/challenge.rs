//! The page where a customer meets a challenge: what is asked, and two buttons. A script may post as well.

use app::ports::ChargeStatus;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use domain::ids::{AttemptId, CheckoutId};
use domain::money::Money;
use memory::simulator::{Challenge, PaymentSimulator};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Where the built-in provider's challenges are, behind the address of whoever serves them.
pub const CHALLENGES: &str = "/payment-simulator/challenges";

/// Called when a challenge was answered, before the customer goes back: of which charge, and what it pays.
pub type Answered = Arc<dyn Fn(AttemptId, CheckoutId) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// `GET {CHALLENGES}/{key}` is the page; `POST {CHALLENGES}/{key}/approve` and `…/deny` answer it, and lead back to
/// the shop.
pub fn challenges(simulator: PaymentSimulator, answered: Answered) -> Router {
    let answer = |passed: bool| {
        let answered = Arc::clone(&answered);
        move |State(simulator): State<PaymentSimulator>, Path(id): Path<String>| meet(simulator, id, passed, answered)
    };
    Router::new()
        .route(&format!("{CHALLENGES}/{{key}}"), get(show))
        .route(&format!("{CHALLENGES}/{{key}}/approve"), post(answer(true)))
        .route(&format!("{CHALLENGES}/{{key}}/deny"), post(answer(false)))
        .with_state(simulator)
}

async fn show(State(simulator): State<PaymentSimulator>, Path(id): Path<String>) -> Response {
    match AttemptId::parse(&id).and_then(|key| Some((key, simulator.challenge(key)?))) {
        Some((key, challenge)) => page(StatusCode::OK, &body(key, &challenge)),
        None => nothing(),
    }
}

async fn meet(simulator: PaymentSimulator, id: String, passed: bool, answered: Answered) -> Response {
    let Some(key) = AttemptId::parse(&id) else { return nothing() };
    let challenge = match simulator.answer_challenge(key, passed).await {
        Ok(Some(challenge)) => challenge,
        Ok(None) => return nothing(),
        Err(error) => {
            tracing::error!(%error, "a challenge's answer is lost");
            return page(StatusCode::SERVICE_UNAVAILABLE, "<p>Your answer was not kept. Please try again.</p>");
        }
    };
    if let Some(checkout) = challenge.checkout {
        answered(key, checkout).await;
    }
    match &challenge.return_url {
        Some(url) => (StatusCode::SEE_OTHER, [(LOCATION, url.as_str()), (CACHE_CONTROL, "no-store")]).into_response(),
        None => page(StatusCode::OK, &body(key, &challenge)),
    }
}

fn nothing() -> Response {
    page(StatusCode::NOT_FOUND, "<p>There is no such challenge.</p>")
}

fn body(key: AttemptId, challenge: &Challenge) -> String {
    let amount = shown(challenge.charge.amount);
    let back = challenge.return_url.as_deref().map(|url| format!("<p><a href=\"{}\">Back to the shop</a></p>", escaped(url)));
    match &challenge.charge.status {
        ChargeStatus::Challenged { .. } => format!(
            "<p>Do you approve of a payment of <strong>{amount}</strong>?</p>\n<form method=\"post\">\n\
             <button formaction=\"{CHALLENGES}/{key}/approve\">Approve</button>\n\
             <button formaction=\"{CHALLENGES}/{key}/deny\">Deny</button>\n</form>"
        ),
        ChargeStatus::Authorized | ChargeStatus::Captured | ChargeStatus::Refunded => {
            format!("<p>The payment of {amount} is approved.</p>{}", back.unwrap_or_default())
        }
        ChargeStatus::Declined(_) => format!("<p>The payment of {amount} is denied.</p>{}", back.unwrap_or_default()),
        ChargeStatus::Voided => format!("<p>The payment of {amount} is no longer wanted.</p>{}", back.unwrap_or_default()),
    }
}

/// `12.99 USD`.
fn shown(money: Money) -> String {
    let exponent = usize::from(money.currency().exponent());
    let digits = format!("{:0>width$}", money.minor(), width = exponent + 1);
    let (whole, part) = digits.split_at(digits.len() - exponent);
    let point = if exponent > 0 { "." } else { "" };
    format!("{whole}{point}{part} {}", money.currency().code())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Payment simulator</title>\n<h1>Payment simulator</h1>\n{body}\n<p><small>No real money moves.</small></p>\n</html>\n"
    );
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        for (minor, code, text) in [(1299, "USD", "12.99 USD"), (5, "USD", "0.05 USD"), (500, "JPY", "500 JPY"), (1, "KWD", "0.001 KWD")] {
            let money = Money::new(minor, Currency::parse(code).expect("a currency")).expect("an amount");
            assert_eq!(shown(money), text);
        }
    }
}
