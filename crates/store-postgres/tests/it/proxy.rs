//! A network between the store and its server that breaks where a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where the connection breaks that carries a marked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never gets it.
    Before,
    /// The server gets it, and nobody waits for what it says.
    Behind,
    /// The server has answered, and the answer is lost.
    Answer,
}

#[derive(Debug, Default)]
struct Plan {
    cut: Option<(Vec<u8>, Cut)>,
    /// Nobody gets through any more.
    down: bool,
    cuts: u32,
    /// Nothing is carried for now.
    held: bool,
}

/// Ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
    _running: JoinSet<()>,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let mut running = JoinSet::new();
        running.spawn(accept(listener, server, Arc::clone(&plan)));
        Self { port, plan, _running: running }
    }

    /// The next message with these bytes in it breaks its connection.
    pub fn cut(&self, marked: &str, cut: Cut) {
        self.plan.lock().expect("no panic").cut = Some((marked.as_bytes().to_vec(), cut));
    }

    /// From the next cut on, nobody gets through.
    pub fn cut_for_good(&self, marked: &str, cut: Cut) {
        self.cut(marked, cut);
        self.plan.lock().expect("no panic").down = true;
    }

    /// Carries nothing, or goes on.
    pub fn hold(&self, held: bool) {
        self.plan.lock().expect("no panic").held = held;
    }

    pub fn cuts(&self) -> u32 {
        self.plan.lock().expect("no panic").cuts
    }
}

async fn accept(listener: TcpListener, server: u16, plan: Arc<Mutex<Plan>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let down = {
            let plan = plan.lock().expect("no panic");
            plan.down && plan.cuts > 0
        };
        if !down {
            connections.spawn(carry(client, server, Arc::clone(&plan)));
        }
    }
}

async fn carry(mut client: TcpStream, server: u16, plan: Arc<Mutex<Plan>>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut out, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut out) => {
                let Ok(n @ 1..) = read else { return };
                released(&plan).await;
                let cut = planned(&plan, &out[..n]);
                if cut == Some(Cut::Before) { return }
                if server.write_all(&out[..n]).await.is_err() { return }
                match cut {
                    Some(Cut::Answer) => { let _ = server.read(&mut back).await; return }
                    Some(_) => {
                        drop(client);
                        // The server goes on with what it was told.
                        let _ = server.read(&mut back).await;
                        return;
                    }
                    None => {}
                }
            }
            read = server.read(&mut back) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&back[..n]).await.is_err() { return }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server that hangs does so in real time")]
async fn released(plan: &Mutex<Plan>) {
    while plan.lock().expect("no panic").held {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether this message breaks its connection; once.
fn planned(plan: &Mutex<Plan>, bytes: &[u8]) -> Option<Cut> {
    let mut plan = plan.lock().expect("no panic");
    let (marked, cut) = plan.cut.clone()?;
    if !bytes.windows(marked.len()).any(|window| window == marked) {
        return None;
    }
    plan.cut = None;
    plan.cuts += 1;
    Some(cut)
}
