//! The shop's side and the provider's, over real sockets.

mod challenges;
mod hostile;
mod notices;
mod shop;

use app::ports::Payments;
use axum::Router;
use memory::simulator::PaymentSimulator;
use payments_http::{HttpPayments, Patience, provider};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until the test's runtime ends.
async fn served(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    tasks.detach_all();
    address
}

/// A shop's way to the provider at this address.
fn payments(address: SocketAddr, patience: Patience) -> HttpPayments {
    HttpPayments::new(&format!("http://{address}"), patience).expect("an address")
}

/// A provider that never answers some tokens, and a shop that does not wait long for it.
async fn honest(simulator: &PaymentSimulator) -> SocketAddr {
    served(provider(simulator.clone())).await
}

fn simulator() -> PaymentSimulator {
    PaymentSimulator::in_memory(Duration::from_secs(30)).with_challenges_at("http://127.0.0.1/challenges")
}

mod over_a_socket {
    use super::*;

    async fn subject() -> Arc<dyn Payments> {
        let patience = Patience { timeout: Duration::from_millis(400), ..Patience::default() };
        Arc::new(payments(honest(&simulator()).await, patience))
    }

    conformance::payments!(subject().await);
}
