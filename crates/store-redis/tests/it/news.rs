//! A way to a server on which its news can be held back: everything else passes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Ends with the process.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub port: u16,
    deaf: Arc<AtomicBool>,
    unheard: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = Self { port: listener.local_addr().expect("an address").port(), deaf: Arc::default(), unheard: Arc::default() };
        let this = proxy.clone();
        spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(("127.0.0.1", server)).expect("a server");
                let (mut from, mut to) = (client.try_clone().expect("a stream"), server.try_clone().expect("a stream"));
                spawn(move || drop(std::io::copy(&mut from, &mut to)));
                let this = this.clone();
                spawn(move || this.hear(server, client));
            }
        });
        proxy
    }

    /// From here on news does not pass, or does again.
    pub fn hold_news(&self, hold: bool) {
        self.deaf.store(hold, Ordering::SeqCst);
    }

    /// How much news did not pass.
    pub fn unheard(&self) -> usize {
        self.unheard.load(Ordering::SeqCst)
    }

    fn hear(&self, mut server: TcpStream, mut client: TcpStream) {
        let (mut buffer, mut bytes) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            buffer.extend_from_slice(&bytes[..read]);
            while let Some(end) = frame(&buffer, 0) {
                let frame: Vec<u8> = buffer.drain(..end).collect();
                if frame[0] == b'>' && self.deaf.load(Ordering::SeqCst) {
                    self.unheard.fetch_add(1, Ordering::SeqCst);
                } else if client.write_all(&frame).is_err() {
                    return;
                }
            }
        }
        drop(client.shutdown(std::net::Shutdown::Both));
    }
}

/// Where the frame of RESP3 that starts at a place ends, if it is all there.
fn frame(bytes: &[u8], at: usize) -> Option<usize> {
    let line = at + bytes[at..].windows(2).position(|two| two == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[at + 1..line]).ok()?.parse::<i64>().ok();
    let next = line + 2;
    let elements = match bytes[at] {
        b'$' | b'=' | b'!' => {
            let end = usize::try_from(number()?).map_or(next, |length| next + length + 2);
            return (end <= bytes.len()).then_some(end);
        }
        b'*' | b'~' | b'>' => number()?,
        b'%' | b'|' => 2 * number()?,
        _ => 0,
    };
    (0..elements).try_fold(next, |at, _| if at < bytes.len() { frame(bytes, at) } else { None })
}

#[expect(clippy::disallowed_methods, reason = "a stand-in for the network between two processes")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work);
}
