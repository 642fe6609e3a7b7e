//! A provider that does its worst, on a socket of its own: it charges or does not, and answers somehow.

use crate::{honest, payments, simulator};
use app::ports::{Authorization, ChargeStatus, DidItHappen, Payments, PortErrorKind, Taken};
use conformance::fixtures::authorize;
use domain::ids::AttemptId;
use memory::simulator::PaymentSimulator;
use payments_http::Patience;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::interval;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Hang,
    /// Closes the connection without a word.
    Close,
    /// Closes it while the request still comes in, which resets it.
    Reset,
    Status(u16),
    /// A 200 with this body, `KEY` standing for the charge's key.
    Json(&'static str),
    /// Promises more than it sends.
    Truncated,
    /// A byte now and then, for ever.
    Drip,
    /// More than anybody wants to read.
    Flood,
    Redirect,
    /// What the built-in provider says.
    Honest,
}

pub struct Hostile {
    pub address: SocketAddr,
    pub simulator: PaymentSimulator,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

impl Hostile {
    pub async fn start(charges: bool, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let hostile = Self {
            address: listener.local_addr().expect("an address"),
            simulator: simulator(),
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let (simulator, asked, answer) = (hostile.simulator.clone(), Arc::clone(&hostile.asked), Arc::clone(&hostile.answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let answer = *answer.lock().expect("a lock");
                open.spawn(meet(socket, simulator.clone(), Arc::clone(&asked), charges, answer));
            }
        });
        tasks.detach_all();
        hostile
    }

    /// Requests that reached it.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// From the next connection on.
    pub fn becomes(&self, answer: Answer) {
        *self.answer.lock().expect("a lock") = answer;
    }
}

/// One connection, one request.
async fn meet(mut socket: TcpStream, simulator: PaymentSimulator, asked: Arc<AtomicUsize>, charges: bool, answer: Answer) {
    let Some(key) = request(&mut socket, answer == Answer::Reset).await else { return };
    asked.fetch_add(1, Ordering::SeqCst);
    if charges || answer == Answer::Honest {
        simulator.authorize(key, &authorize("tok_visa")).await.expect("an answer");
    }
    // A client that has gone does not hear the rest.
    let _ = say(&mut socket, key, answer).await;
}

/// The idempotency key of a request that was read whole, or only by half.
async fn request(socket: &mut TcpStream, half: bool) -> Option<AttemptId> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 64];
        let n = socket.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        text.push_str(std::str::from_utf8(&bytes[..n]).ok()?);
        let key = text.split_once("idempotency-key: ").and_then(|(_, rest)| AttemptId::parse(rest.split_once("\r\n")?.0));
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if key.is_some() && (half || whole) {
            return key;
        }
    }
}

const CHARGE: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;

async fn say(socket: &mut TcpStream, key: AttemptId, answer: Answer) -> std::io::Result<()> {
    let json = |text: &str| {
        let body = text.replace("KEY", &key.to_string());
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Close | Answer::Reset => Ok(()),
        Answer::Status(status) => {
            socket.write_all(format!("HTTP/1.1 {status} No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()).await
        }
        Answer::Json(text) => socket.write_all(json(text).as_bytes()).await,
        Answer::Honest => socket.write_all(json(CHARGE).as_bytes()).await,
        Answer::Truncated => {
            let whole = json(CHARGE);
            socket.write_all(&whole.as_bytes()[..whole.len() - 20]).await
        }
        Answer::Drip => {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await?;
            let mut ticks = interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                socket.write_all(b" ").await?;
            }
        }
        Answer::Flood => {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n").await?;
            loop {
                socket.write_all(&[b' '; 4096]).await?;
            }
        }
        Answer::Redirect => socket.write_all(b"HTTP/1.1 302 Found\r\nlocation: /\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await,
    }
}

const OTHER_AMOUNT: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;
const OTHER_CURRENCY: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1299,"currency":"JPY"},"status":"authorized","refunded":{"amount":0,"currency":"JPY"}}}"#;
const OTHER_KEY: &str = r#"{"authorization":"approved","charge":{"id":"pay_00000000000000000000000099","amount":{"amount":1299,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;
const NO_CHARGE: &str = r#"{"authorization":"approved","charge":null}"#;
const DECLINED_CHARGE: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"declined","error":{"code":"a","detail":""},"refunded":{"amount":0,"currency":"USD"}}}"#;
const MORE_MEMBERS: &str = r#"{"authorization":"approved","certainly":true,"charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;
const REFUNDED_TOO_MUCH: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"captured","refunded":{"amount":1300,"currency":"USD"}}}"#;
const A_FRACTION: &str = r#"{"authorization":"approved","charge":{"id":"KEY","amount":{"amount":1299.0,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;
const A_SCRIPT: &str = r#"{"authorization":"challenge","url":"javascript:alert(1)","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"challenged","url":"javascript:alert(1)","refunded":{"amount":0,"currency":"USD"}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_provider_does_an_authorization_is_an_error_that_can_be_reconciled() {
    let (unavailable, timeout, corrupt) = (PortErrorKind::Unavailable, PortErrorKind::Timeout, PortErrorKind::Corrupt);
    for (answer, kind) in [
        (Answer::Hang, timeout),
        (Answer::Close, unavailable),
        (Answer::Reset, unavailable),
        (Answer::Status(500), unavailable),
        (Answer::Status(503), unavailable),
        (Answer::Status(429), unavailable),
        (Answer::Status(504), timeout),
        (Answer::Status(400), corrupt),
        (Answer::Status(404), corrupt),
        (Answer::Status(201), corrupt),
        (Answer::Redirect, corrupt),
        (Answer::Truncated, unavailable),
        (Answer::Drip, timeout),
        (Answer::Flood, corrupt),
        (Answer::Json("<html>"), corrupt),
        (Answer::Json("null"), corrupt),
        (Answer::Json(OTHER_AMOUNT), corrupt),
        (Answer::Json(OTHER_CURRENCY), corrupt),
        (Answer::Json(OTHER_KEY), corrupt),
        (Answer::Json(NO_CHARGE), corrupt),
        (Answer::Json(DECLINED_CHARGE), corrupt),
        (Answer::Json(MORE_MEMBERS), corrupt),
        (Answer::Json(REFUNDED_TOO_MUCH), corrupt),
        (Answer::Json(A_FRACTION), corrupt),
        (Answer::Json(A_SCRIPT), corrupt),
    ] {
        for charges in [false, true] {
            let what = format!("{answer:?}, charging: {charges}");
            let provider = Hostile::start(charges, answer).await;
            let key = AttemptId(7);
            let patience = Patience { timeout: Duration::from_millis(300), retries_max: 1, ..Patience::default() };
            let shop = payments(provider.address, patience);
            let error = shop.authorize(key, &authorize("tok_visa")).await.expect_err(&what);
            assert_eq!((error.kind, error.did_it_happen), (kind, DidItHappen::Unknown), "{what}");

            // On better days the shop finds out what is true, goes on from there, and has charged once.
            let shop = payments(honest(&provider.simulator).await, Patience::default());
            let found = shop.find(key).await.expect("an answer").map(|charge| charge.status);
            assert_eq!(found, charges.then_some(ChargeStatus::Authorized), "{what}");
            assert_eq!(shop.authorize(key, &authorize("tok_visa")).await.expect("an answer"), Authorization::Approved, "{what}");
            assert_eq!(shop.capture(key).await.expect("an answer"), Taken::Done, "{what}");
            assert_eq!(provider.simulator.charges().len(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_did_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = payments(address, Patience::default()).authorize(AttemptId(1), &authorize("tok_visa")).await.expect_err("an error");
    assert_eq!((error.kind, error.did_it_happen), (PortErrorKind::Unavailable, DidItHappen::No));
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_under_the_same_key() {
    for answer in [Answer::Status(503), Answer::Close, Answer::Truncated] {
        for charges in [false, true] {
            let provider = Hostile::start(charges, answer).await;
            let shop = payments(provider.address, Patience::default());
            let request = authorize("tok_visa");
            let call = shop.authorize(AttemptId(7), &request);
            let mend = async {
                while provider.asked() == 0 {
                    tokio::task::yield_now().await;
                }
                provider.becomes(Answer::Honest);
            };
            let (answered, ()) = tokio::join!(call, mend);
            assert_eq!(answered.expect("an answer"), Authorization::Approved, "{answer:?}");
            assert_eq!((provider.simulator.charges().len(), provider.asked() >= 2), (1, true), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_capture_that_did_not_happen_is_not_believed() {
    let authorized = r#"{"taken":"done","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"authorized","refunded":{"amount":0,"currency":"USD"}}}"#;
    let captured = r#"{"taken":"done","charge":{"id":"KEY","amount":{"amount":1299,"currency":"USD"},"status":"captured","refunded":{"amount":0,"currency":"USD"}}}"#;
    for (text, capture, void) in [
        (authorized, None, None),
        (captured, Some(Taken::Done), None),
        (r#"{"taken":"done","charge":null}"#, None, Some(Taken::Done)),
        (r#"{"taken":"refused","charge":null}"#, None, None),
    ] {
        let provider = Hostile::start(false, Answer::Json(text)).await;
        let shop = payments(provider.address, Patience::default());
        assert_eq!(shop.capture(AttemptId(7)).await.ok(), capture, "{text}");
        assert_eq!(shop.void(AttemptId(7)).await.ok(), void, "{text}");
    }
}
