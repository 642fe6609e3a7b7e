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
    /// And how often it has been cut: who looks late sees that as well.
    wire: Arc<watch::Sender<(Wire, u32)>>,
    _carriers: JoinSet<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let wire = Arc::new(watch::Sender::new((Wire::Whole, 0)));
        let state = Arc::clone(&wire);
        let mut carriers = JoinSet::new();
        carriers.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut watched = state.subscribe();
                let (now, cuts) = *watched.borrow_and_update();
                if now == Wire::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                lines.spawn(carry(near_in, far_out, watched.clone(), cuts, false));
                lines.spawn(carry(far_in, near_out, watched, cuts, true));
            }
        });
        Self { address, wire, _carriers: carriers }
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_modify(|(now, cuts)| {
            *now = wire;
            *cuts += u32::from(wire == Wire::Cut);
        });
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<(Wire, u32)>, cuts: u32, back: bool) {
    let mut buffer = vec![0; 64 * 1024];
    // After a byte is lost no other arrives: there is no wire that loses some and carries on.
    let mut lost = false;
    loop {
        let n = tokio::select! {
            _ = wire.wait_for(|(_, now)| *now != cuts) => return,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => n,
            },
        };
        lost |= back && wire.borrow().0 == Wire::Deaf;
        if !lost && to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
