//! A wire that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// What the broker answers is lost.
    Deaf,
    /// Connections end at once.
    Cut,
}

/// Carries bytes to and from a broker as long as the wire is whole.
pub struct Proxy {
    pub address: SocketAddr,
    wire: Arc<watch::Sender<Wire>>,
    _carriers: JoinSet<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let wire = Arc::new(watch::Sender::new(Wire::Whole));
        let state = Arc::clone(&wire);
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                if *state.borrow() == Wire::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                lines.spawn(carry(near_in, far_out, state.subscribe(), false));
                lines.spawn(carry(far_in, near_out, state.subscribe(), true));
            }
        });
        Self { address, wire, _carriers: carriers }
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>, back: bool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = tokio::select! {
            _ = wire.wait_for(|w| *w == Wire::Cut) => return,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => n,
            },
        };
        let lost = back && *wire.borrow() == Wire::Deaf;
        if !lost && to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
