//! A connection that fails when it is told to: after so many commands, before one is sent or before its reply comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The command is not sent.
    Before,
    /// The command is done; its reply is lost.
    After,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    to: u16,
    /// Commands that still pass.
    left: AtomicI64,
    cuts_after: AtomicBool,
    /// Nothing passes any more once it has been cut.
    dies: AtomicBool,
    is_cut: AtomicBool,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let state = Arc::new(State {
            to: port,
            left: AtomicI64::new(i64::MAX),
            cuts_after: AtomicBool::new(false),
            dies: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
        });
        let port = listener.local_addr().expect("an address").port();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, Arc::clone(&shared)));
            }
        });
        Self { port, state, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Fails at the command after so many; for good, or once.
    pub fn fail_after(&self, commands: i64, cut: Cut, for_good: bool) {
        self.state.cuts_after.store(cut == Cut::After, Ordering::SeqCst);
        self.state.dies.store(for_good, Ordering::SeqCst);
        self.state.left.store(commands, Ordering::SeqCst);
    }

    pub fn has_failed(&self) -> bool {
        self.state.is_cut.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, state: Arc<State>) {
    if state.dies.load(Ordering::SeqCst) && state.is_cut.load(Ordering::SeqCst) {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", state.to)).await else { return };
    let (mut asked, mut told, mut waiting) = (vec![0; 1 << 16], vec![0; 1 << 16], Vec::new());
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(n) if n > 0 => {
                    waiting.extend_from_slice(&asked[..n]);
                    while let Some(len) = command_len(&waiting) {
                        let command: Vec<u8> = waiting.drain(..len).collect();
                        let left = state.left.fetch_sub(1, Ordering::SeqCst);
                        let cut = left == 0 || left < 0 && state.dies.load(Ordering::SeqCst);
                        if cut {
                            state.is_cut.store(true, Ordering::SeqCst);
                            if left == 0 && state.cuts_after.load(Ordering::SeqCst) {
                                drop(server.write_all(&command).await);
                                drop(server.read(&mut told).await);
                            }
                            return;
                        }
                        if server.write_all(&command).await.is_err() {
                            return;
                        }
                    }
                }
                _ => return,
            },
            read = server.read(&mut told) => match read {
                Ok(n) if n > 0 => if client.write_all(&told[..n]).await.is_err() { return },
                _ => return,
            },
        }
    }
}

/// The length of the first command, when all of it is there: `*2\r\n$4\r\nPING\r\n…`.
fn command_len(bytes: &[u8]) -> Option<usize> {
    let number = |from: usize| {
        let line = bytes.get(from..)?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        let number: usize = std::str::from_utf8(line.get(1..end)?).ok()?.parse().ok()?;
        Some((number, from + end + 2))
    };
    let (count, mut at) = number(0)?;
    for _ in 0..count {
        let (len, start) = number(at)?;
        at = start + len + 2;
    }
    (bytes.len() >= at).then_some(at)
}
