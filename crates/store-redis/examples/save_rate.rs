//! How many saves a second one node makes, and how many `redis-benchmark` reaches with the same function, as many
//! at once, the same `appendfsync` and in as many carts:
//!
//! `cargo run --release -p store-redis --example save_rate -- everysec 50 10000`

use app::ports::{Carts, Saved};
use conformance::fixtures::{START, add, at, cart_of, changed, guest, save_cart};
use redis::aio::MultiplexedConnection;
use redis::cmd;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use store_redis::{RedisSettings, RedisStore};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SECONDS: u64 = 8;
/// Of each cart that `redis-benchmark` changes.
const ITEMS: usize = 5;

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

/// The name of the function that saves.
async fn function(connection: &mut MultiplexedConnection) -> String {
    let libraries: Vec<Vec<redis::Value>> = cmd("FUNCTION").arg("LIST").query_async(connection).await.expect("libraries");
    let name: String = redis::from_redis_value(libraries[0][1].clone()).expect("a name");
    name.replace("cartwright", "cw_save")
}

/// A save of a cart as the store makes it: these fields, one event.
fn call(function: &str, cart: &str, (mark, expected, base): (&str, &str, &str), fields: &[(String, String)]) -> Vec<String> {
    let sized = cart_of(1, guest(1), START);
    let event = "e".repeat(records::encode_outgoing(&sized.events[1]).len());
    let key = |kind: &str| format!("bench:{kind}:{{255}}");
    let keys = [key("e"), key("l"), key("c") + cart, key("x") + "c", key("o") + "g" + cart];
    let entry = format!("FROMFROMBASEBASE{mark}");
    let member = "000000000000000000000000000000ff";
    let head = ["1750000000000000", mark, "1", &event, "P", member, expected, &entry, "3", base, "1750000100000000", "700000000", "1", "0"];
    let mut call = vec!["FCALL".to_owned(), function.to_owned(), keys.len().to_string()];
    call.extend(keys);
    call.extend(head.map(str::to_owned));
    call.push((2 * fields.len()).to_string());
    call.extend(fields.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
    call.push("0".to_owned());
    call
}

/// Carts of some items for `redis-benchmark`, which numbers them by twelve digits.
async fn seed(connection: &mut MultiplexedConnection, function: &str, carts: usize, head: &(String, String), items: &[(String, String)]) {
    let sized = cart_of(1, guest(1), START).cart;
    let mut fields = vec![head.clone(), ("o".to_owned(), format!("cw:o:{{255}}g{:032x}", 1))];
    fields.push(("d".to_owned(), "d".repeat(records::encode_cart_details(&sized).len())));
    fields.extend_from_slice(items);
    for n in 0..carts {
        let call = call(function, &format!("{n:012}"), ("firstone", "0", ""), &fields);
        let mut seed = cmd(&call[0]);
        seed.arg(&call[1..]);
        let () = seed.query_async(connection).await.expect("a cart to begin with");
    }
}

/// The same save by `redis-benchmark`: one item and the head of a cart that is there, one event.
async fn benchmark(port: u16, at_once: u32, carts: usize) -> String {
    let url = format!("redis://127.0.0.1:{port}");
    let mut connection = redis::Client::open(url).expect("an address").get_multiplexed_async_connection().await.expect("a connection");
    let function = function(&mut connection).await;
    let sized = cart_of(1, guest(1), START).cart;
    let head = ("h".to_owned(), "h".repeat(records::encode_cart_head(&sized).len()));
    let item = |n: usize| (format!("i{n:016}"), "i".repeat(4 + records::encode_cart_item(&sized.items[0]).len()));
    let items: Vec<_> = (0..ITEMS).map(item).collect();
    seed(&mut connection, &function, carts, &head, &items).await;
    // What stands for a number by chance names the carts, and each write anew.
    let (cart, numbers) = if carts == 1 { ("000000000000", 1_000_000_000) } else { ("__rand_int__", carts) };
    let ran = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-c", &at_once.to_string(), "-n", "200000", "-r", &numbers.to_string(), "-q"])
        .args(call(&function, cart, ("__rand_int__", "*", "BASEBASE"), &[head, items[0].clone()]))
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
    let carts = arguments.next().map_or(10_000, |n| n.parse().expect("how many carts"));
    let server = start(&appendfsync).await;
    let settings = RedisSettings { urls: vec![format!("redis://127.0.0.1:{}", server.port)], ..RedisSettings::default() };
    let store = RedisStore::connect(settings).await.expect("a store");
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let shoppers: JoinSet<u64> = (1..=at_once).map(|n| shop(store.clone(), n.into(), until)).collect();
    let saves: u64 = shoppers.join_all().await.into_iter().sum();
    println!("appendfsync {appendfsync}, {at_once} at once, redis-benchmark in {carts} carts");
    println!("store-redis:     {} saves per second", saves / SECONDS);
    println!("redis-benchmark: {}", benchmark(server.port, at_once, carts).await);
}
