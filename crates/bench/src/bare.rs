//! The comparison: an axum endpoint that does nothing but read the same kind of request and give an answer
//! of the same size.

use crate::Failure;
use crate::client::{Ask, Client, Token};
use crate::run::Load;
use crate::scenario::Chance;
use axum::extract::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PATH: &str = "/bare";

/// Serves until it is killed. The first line it prints is its address.
pub async fn serve(size: usize, port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let body = body(size);
    let (read, written) = (body.clone(), body);
    let answer = |body: Bytes| ([(CONTENT_TYPE, "application/json")], body).into_response();
    let methods = get(move || async move { answer(read) }).post(move |_: Json<Value>| async move { answer(written) });
    // As the server does: an answer is sent at once.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, axum::Router::new().route(PATH, methods)).await?)
}

/// A JSON string of exactly `size` bytes, at least two.
fn body(size: usize) -> Bytes {
    format!("\"{}\"", "x".repeat(size.saturating_sub(2))).into()
}

/// Reads and writes in the proportion of the scenario.
pub struct BareLoad {
    chance: Chance,
    writes_percent: u64,
    token: Token,
    item: Bytes,
}

impl BareLoad {
    pub fn new(number: usize, writes_percent: u64) -> Result<Self, Failure> {
        let id = "01J9ZQ4T000000000000000000";
        let item = json!({ "productId": format!("book_{id}"), "variantId": format!("ed_{id}"), "quantity": 1 });
        let token = Token::new(&format!("gst_{}", "0".repeat(64)))?;
        Ok(Self { chance: Chance::new(number), writes_percent, token, item: item.to_string().into() })
    }
}

impl Load for BareLoad {
    async fn step(&mut self, client: &mut Client) -> Result<(), Failure> {
        let writes = self.chance.below(100) < self.writes_percent;
        let ask = Ask::get("read", PATH, Some(&self.token));
        let ask = if writes { Ask { label: "write", method: Method::POST, body: Some(self.item.clone()), ..ask } } else { ask };
        client.send(ask).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_size_asked_for_and_is_json() {
        for (size, len) in [(0, 2), (2, 2), (3, 3), (1500, 1500)] {
            let body = body(size);
            assert_eq!(body.len(), len);
            assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|v| v.is_string()), "{size}");
        }
    }
}
