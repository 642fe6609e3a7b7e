//! How many saves a second one node makes, and how many `redis-benchmark` reaches with the same function, as many
//! at once and the same `appendfsync`:
//!
//! `cargo run --release -p store-redis --example save_rate -- everysec 50`

use app::ports::{Carts, Saved};
use conformance::fixtures::{START, add, at, cart_of, changed, guest, save_cart};
use redis::cmd;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use store_redis::{RedisSettings, RedisStore};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SECONDS: u64 = 8;

struct Server {
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn start(appendfsync: &str) -> Server {
    let dir = TempDir::new().expect("a temporary directory");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let child = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            appendfsync,
            "--dir",
        ])
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        #[expect(clippy::disallowed_methods, reason = "waits for another process")]
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Server { port, child, _dir: dir }
}

/// Adds to a cart of its own until the time is up; how often.
async fn shop(store: RedisStore, n: u128, until: Instant) -> u64 {
    let created = cart_of(n, guest(n), START);
    let mut saves = 0;
    let mut cart = created.cart.clone();
    assert!(matches!(store.save(save_cart(&created, 0), START).await, Ok(Saved::Done)));
    while Instant::now() < until {
        let next = if saves % 500 == 499 {
            changed(&cart, &[domain::cart::Command::Clear], at(1))
        } else {
            changed(&cart, &[add(1 + u128::from(saves % 4), 1)], at(1))
        };
        let saved = store.save(save_cart(&next, cart.version.0), at(1)).await.expect("a store that works");
        assert!(matches!(saved, Saved::Done), "{saved:?}");
        cart = next.cart;
        saves += 1;
    }
    saves
}

/// The same save by `redis-benchmark`: one item and the head of a cart that is there, one event.
async fn benchmark(port: u16, at_once: u32) -> String {
    let url = format!("redis://127.0.0.1:{port}");
    let mut connection = redis::Client::open(url).expect("an address").get_multiplexed_async_connection().await.expect("a connection");
    let libraries: Vec<Vec<redis::Value>> = cmd("FUNCTION").arg("LIST").query_async(&mut connection).await.expect("libraries");
    let name: String = redis::from_redis_value(libraries[0][1].clone()).expect("a name");
    let function = name.replace("cartwright", "cw_save");
    let sized = cart_of(1, guest(1), START);
    let head = "h".repeat(records::encode_cart_head(&sized.cart).len());
    let item = "i".repeat(4 + records::encode_cart_item(&sized.cart.items[0]).len());
    let event = "e".repeat(records::encode_outgoing(&sized.events[1]).len());
    let id = "000000000000000000000000000000ff";
    let keys = ["bench:e:{255}", "bench:l:{255}", &format!("bench:c:{{255}}{id}"), "bench:x:{255}c", &format!("bench:o:{{255}}g{id}")]
        .map(str::to_owned);
    let arguments = |mark: &str, expected: &str, base: &str| {
        let entry = format!("FROMFROMBASEBASE{mark}");
        let now = "1750000000000000";
        let args = [
            now,
            mark,
            "1",
            &event,
            "P",
            id,
            expected,
            &entry,
            "3",
            base,
            "1750000100000000",
            "700000000",
            "1",
            "0",
            "4",
            "h",
            &head,
            "i0123456789abcdef",
            &item,
            "0",
        ];
        args.map(str::to_owned)
    };
    let mut seed = cmd("FCALL");
    seed.arg(&function).arg(5).arg(&keys).arg(&arguments("firstone", "0", ""));
    let () = seed.query_async(&mut connection).await.expect("a cart to begin with");
    let ran = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-c", &at_once.to_string(), "-n", "200000", "-r", "1000000000", "-q", "FCALL", &function, "5"])
        .args(&keys)
        .args(arguments("__rand_int__", "*", "BASEBASE"))
        .output()
        .expect("redis-benchmark is installed");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let last = told.split(['\r', '\n']).rfind(|line| line.contains("requests per second")).unwrap_or_default();
    last.rsplit(": ").next().unwrap_or_default().to_owned()
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a measurement that is run by hand")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let appendfsync = arguments.next().unwrap_or_else(|| "everysec".to_owned());
    let at_once = arguments.next().map_or(50, |n| n.parse().expect("how many at once"));
    let server = start(&appendfsync).await;
    let settings = RedisSettings { urls: vec![format!("redis://127.0.0.1:{}", server.port)], ..RedisSettings::default() };
    let store = RedisStore::connect(settings).await.expect("a store");
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let shoppers: JoinSet<u64> = (1..=at_once).map(|n| shop(store.clone(), n.into(), until)).collect();
    let saves: u64 = shoppers.join_all().await.into_iter().sum();
    println!("appendfsync {appendfsync}, {at_once} at once");
    println!("store-redis:     {} saves per second", saves / SECONDS);
    println!("redis-benchmark: {}", benchmark(server.port, at_once).await);
}
