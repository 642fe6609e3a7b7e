//! The accept loop, on real sockets with short patience.

use crate::shop::Shop;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rest::{ServeLimits, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);
const GET: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: shop\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

#[expect(clippy::disallowed_methods, reason = "the test waits for the task")]
async fn start(limits: ServeLimits) -> Server {
    let shop = Shop::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(listener, &shop.edge, shop.router.clone(), limits, async { drop(stopped.await) }).await;
        shop.edge.idle().await;
    });
    Server { address, stop, task }
}

fn short() -> ServeLimits {
    let ms = Duration::from_millis;
    ServeLimits { connections_max: 8, first_byte: ms(150), head: ms(300), idle: ms(600), write: ms(300), drain: ms(500) }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn stop(self) {
        self.stop.send(()).expect("the server is there");
        timeout(SOON, self.task).await.expect("ends in time").expect("no panic");
    }
}

/// How long until the other side closes.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset is as good as an end.
    drop(timeout(SOON, stream.read_to_end(&mut rest)).await.expect("closed in time"));
    began.elapsed()
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut buf = vec![0; 4096];
    let n = timeout(SOON, stream.read(&mut buf)).await.expect("in time").expect("bytes");
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

fn between(took: Duration, from: u64, to: u64) {
    assert!((from..to).contains(&u64::try_from(took.as_millis()).expect("short")), "{took:?} is not between {from} and {to} ms");
}

#[tokio::test]
async fn patience_has_an_end() {
    let server = start(short()).await;
    // Nothing at all.
    between(closed_after(&mut server.connect().await).await, 100, 1500);
    // A head that does not end, and a preface that might become anything.
    for start in [&b"GET /health HTTP/1.1\r\nhost: sh"[..], b"PRI * HT", b"P"] {
        let mut slow = server.connect().await;
        slow.write_all(start).await.expect("written");
        between(closed_after(&mut slow).await, 200, 2000);
    }
    // A client that keeps its connection and does not use it.
    let mut idle = server.connect().await;
    idle.write_all(GET).await.expect("written");
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    between(closed_after(&mut idle).await, 500, 2500);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let server = start(short()).await;
    let mut stream = server.connect().await;
    for _ in 0..10 {
        stream.write_all(GET).await.expect("written");
        assert!(answer(&mut stream).await.contains("\"ok\""));
    }
    server.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_closed_as_they_come() {
    let server = start(ServeLimits { connections_max: 2, first_byte: SOON, ..short() }).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(GET).await.expect("written");
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert!(closed_after(&mut server.connect().await).await < Duration::from_millis(400));
    drop(first);
    // A seat is free again.
    let mut answered = String::new();
    for _ in 0..50 {
        let mut next = server.connect().await;
        if next.write_all(GET).await.is_ok() {
            let mut buf = [0; 64];
            let n = next.read(&mut buf).await.unwrap_or(0);
            answered = String::from_utf8_lossy(&buf[..n]).into_owned();
        }
        if !answered.is_empty() {
            break;
        }
    }
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered:?}");
    server.stop().await;
}

#[tokio::test]
async fn whatever_was_begun_is_answered_before_the_end() {
    let server = start(ServeLimits { idle: SOON, head: SOON, ..short() }).await;
    let mut begun = server.connect().await;
    begun
        .write_all(b"POST /api/v1/session HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{")
        .await
        .expect("written");
    let mut idle = server.connect().await;
    idle.write_all(GET).await.expect("written");
    answer(&mut idle).await;
    server.stop.send(()).expect("the server is there");
    assert!(closed_after(&mut idle).await < Duration::from_millis(400), "an idle connection is let go");
    begun.write_all(b"}").await.expect("written");
    let answered = answer(&mut begun).await;
    assert!(answered.starts_with("HTTP/1.1 201") && answered.contains("connection: close"), "{answered}");
    timeout(SOON, server.task).await.expect("ends in time").expect("no panic");
}

#[tokio::test]
async fn whoever_does_not_finish_is_cut_off() {
    let server = start(ServeLimits { idle: SOON, head: SOON, ..short() }).await;
    let mut begun = server.connect().await;
    begun
        .write_all(b"POST /api/v1/session HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{")
        .await
        .expect("written");
    // A request that was answered after it says that the first one has arrived too.
    let mut other = server.connect().await;
    other.write_all(GET).await.expect("written");
    answer(&mut other).await;
    drop(other);
    server.stop.send(()).expect("the server is there");
    between(closed_after(&mut begun).await, 400, 3000);
}

#[tokio::test]
async fn whoever_does_not_take_the_answer_is_let_go() {
    let server = start(ServeLimits { idle: SOON, head: SOON, ..short() }).await;
    let mut deaf = server.connect().await;
    let began = Instant::now();
    // Asked for megabytes, none of which are read.
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: shop\r\n\r\n".repeat(500);
    let mut ended = Ok(());
    while ended.is_ok() && began.elapsed() < SOON {
        ended = match timeout(Duration::from_millis(100), deaf.write_all(&ask)).await {
            Ok(written) => written,
            Err(_) => deaf.writable().await,
        };
    }
    between(began.elapsed(), 200, 4000);
    server.stop().await;
}

#[tokio::test]
async fn a_body_without_end_is_refused_and_its_sender_told() {
    let server = start(short()).await;
    let head = "POST /api/v1/session HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for (head, body) in [
        (format!("{head}transfer-encoding: chunked\r\n\r\n"), chunk.repeat(8) + "0\r\n\r\n"),
        (format!("{head}content-length: 524288\r\n\r\n"), " ".repeat(524_288)),
    ] {
        let mut stream = server.connect().await;
        stream.write_all((head + &body).as_bytes()).await.expect("written");
        let answered = answer(&mut stream).await;
        assert!(answered.starts_with("HTTP/1.1 413") && answered.contains("BODY_TOO_LARGE"), "{answered}");
    }
    server.stop().await;
}

type Http2 = hyper::client::conn::http2::SendRequest<Body>;

#[expect(clippy::disallowed_methods, reason = "the task ends with its connection")]
async fn http_2(server: &Server) -> (Http2, JoinHandle<hyper::Result<()>>) {
    let io = TokioIo::new(server.connect().await);
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("spoken");
    (client, tokio::spawn(connection))
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://shop{path}")).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn http_2_carries_many_requests_at_once() {
    let server = start(short()).await;
    let (client, connection) = http_2(&server).await;
    let length = async |mut client: Http2| {
        let answer = client.send_request(get("/openapi.json")).await.expect("answered");
        answer.into_body().collect().await.expect("a body").to_bytes().len()
    };
    let lengths = futures_util::future::join_all((0..300).map(|_| length(client.clone()))).await;
    assert_eq!(lengths, vec![rest::OPENAPI.len(); 300]);
    // Unused, it is let go in good order.
    let ended = timeout(SOON, connection).await.expect("in time").expect("no panic");
    assert!(ended.is_ok(), "{ended:?}");
    server.stop().await;
}

#[tokio::test]
async fn http_2_is_told_to_go_away_at_the_end() {
    let server = start(ServeLimits { idle: SOON, ..short() }).await;
    let (mut client, connection) = http_2(&server).await;
    assert_eq!(client.send_request(get("/health/live")).await.expect("answered").status(), 200);
    server.stop().await;
    let ended = timeout(SOON, connection).await.expect("in time").expect("no panic");
    assert!(ended.is_ok(), "{ended:?}");
}
