//! Hostile requests get an answer in the four hundreds and change nothing.

use crate::column::Column;
use crate::shop::{Client, Shop, dir, usd};
use hyper::Method;
use serde_json::{Value, json};

/// A small generator, so that a failure can be repeated.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// Values that are wrong wherever they stand in a write.
fn poison(dice: &mut Dice) -> Vec<u8> {
    let deep = || "[".repeat(5000).into_bytes();
    match dice.roll(22) {
        0 => b"null".to_vec(),
        1 => b"true".to_vec(),
        2 => b"-1".to_vec(),
        3 => b"1.5".to_vec(),
        4 => b"1e400".to_vec(),
        5 => b"18446744073709551616".to_vec(),
        6 => b"9223372036854775807".to_vec(),
        7 => b"NaN".to_vec(),
        8 => b"[]".to_vec(),
        9 => b"{}".to_vec(),
        10 => b"[{}]".to_vec(),
        11 => b"\"\"".to_vec(),
        12 => b"\"\\u0000\"".to_vec(),
        13 => b"\"\xff\xfe\"".to_vec(),
        14 => b"\"\xed\xa0\x80\"".to_vec(),
        15 => format!("\"{}\"", "a".repeat(70_000)).into_bytes(),
        16 => deep(),
        17 => b"\"'; DROP TABLE carts; --\"".to_vec(),
        18 => b"\"../../etc/passwd\"".to_vec(),
        19 => b"{\"$ne\": null}".to_vec(),
        20 => b"0".to_vec(),
        _ => b"\"\\ud800\"".to_vec(),
    }
}

/// What others own, and what nobody does.
struct Targets {
    paths: Vec<(Method, String)>,
    fields: Vec<&'static str>,
}

impl Targets {
    fn new(cart: &str, item: &str, checkout: &str, order: &str, session: &str, book: &str, edition: &str) -> Self {
        let mut paths = Vec::new();
        for (method, path) in [
            (Method::POST, "/cart".to_owned()),
            (Method::GET, format!("/cart/{cart}")),
            (Method::PATCH, format!("/cart/{cart}")),
            (Method::DELETE, format!("/cart/{cart}")),
            (Method::POST, format!("/cart/{cart}/items")),
            (Method::DELETE, format!("/cart/{cart}/items")),
            (Method::PATCH, format!("/cart/{cart}/items/{item}")),
            (Method::DELETE, format!("/cart/{cart}/items/{item}")),
            (Method::GET, format!("/cart/{cart}/totals")),
            (Method::POST, format!("/cart/{cart}/merge")),
            (Method::POST, "/checkout/session".to_owned()),
            (Method::GET, format!("/checkout/session/{checkout}")),
            (Method::PATCH, format!("/checkout/session/{checkout}")),
            (Method::DELETE, format!("/checkout/session/{checkout}")),
            (Method::POST, "/checkout/process".to_owned()),
            (Method::GET, format!("/orders/{order}")),
            (Method::GET, format!("/orders/{order}/events")),
            (Method::PATCH, format!("/orders/{order}")),
            (Method::DELETE, format!("/orders/{order}")),
            (Method::GET, format!("/session/{session}")),
            (Method::PATCH, format!("/session/{session}")),
            (Method::DELETE, format!("/session/{session}")),
            (Method::POST, "/pricing/calculate".to_owned()),
            (Method::POST, "/pricing/simulate".to_owned()),
            (Method::POST, "/pricing/promotions".to_owned()),
            (Method::PUT, "/pricing/promotions/WELCOME10".to_owned()),
            (Method::DELETE, "/pricing/promotions/WELCOME10".to_owned()),
            (Method::POST, "/pricing/promotions/WELCOME10/codes".to_owned()),
            (Method::GET, "/pricing/promotions/WELCOME10/codes.csv".to_owned()),
            (Method::POST, "/pricing/tax-rates".to_owned()),
            (Method::DELETE, "/pricing/shipping-options/standard".to_owned()),
            (Method::PUT, "/pricing/stacking".to_owned()),
            (Method::GET, "/pricing/history?kind=promotion&id=WELCOME10".to_owned()),
            (Method::GET, format!("/cart/{cart}?explain=true")),
            (Method::POST, "/books".to_owned()),
            (Method::PUT, format!("/books/{book}")),
            (Method::DELETE, format!("/books/{book}")),
            (Method::POST, format!("/books/{book}/editions/{edition}/stock")),
            (Method::POST, "/authors".to_owned()),
            (Method::GET, "/books?limit=100000".to_owned()),
            (Method::GET, "/books?cursor=AAAA".to_owned()),
            (Method::GET, "/books?search=%00%ff".to_owned()),
            (Method::GET, "/books?minPrice=-1e9&sort=evil".to_owned()),
            (Method::GET, "/orders?from=yesterday".to_owned()),
        ] {
            paths.push((method, path));
        }
        let fields = vec![
            "items",
            "couponCodes",
            "currency",
            "operations",
            "note",
            "metadata",
            "productId",
            "variantId",
            "quantity",
            "sourceSessionToken",
            "strategy",
            "cartId",
            "email",
            "shippingAddress",
            "sessionId",
            "paymentToken",
            "expectedTotal",
            "status",
            "title",
            "authors",
            "editions",
            "trigger",
            "benefit",
            "conditions",
            "drafts",
            "delta",
            "set",
            "reason",
            "price",
            "total",
            "role",
            "ownerId",
            "version",
            "__proto__",
        ];
        Self { paths, fields }
    }

    fn request(&self, dice: &mut Dice) -> (Method, String, Vec<u8>) {
        let (method, path) = dice.pick(&self.paths).clone();
        let path = match dice.roll(8) {
            0 => format!("{path}/%2e%2e"),
            1 if !path.contains('?') => format!("{path}?a=1&a=2"),
            2 => path.replace('_', "_0"),
            3 => path.chars().rev().skip(3).collect::<Vec<_>>().into_iter().rev().collect(),
            _ => path,
        };
        let mut body = match dice.roll(10) {
            0 => b"{".to_vec(),
            1 => poison(dice),
            _ => {
                let mut body = b"{".to_vec();
                for n in 0..=dice.roll(3) {
                    body.extend(format!("{}\"{}\":", if n > 0 { "," } else { "" }, dice.pick(&self.fields)).bytes());
                    body.extend(poison(dice));
                }
                body.push(b'}');
                body
            }
        };
        if method == Method::GET {
            body.clear();
        }
        (method, path, body)
    }
}

/// What is there, once all nodes show the same: where a node hears of others' moves of stock a moment later.
async fn state(shop: &Shop, owner: &Client, admin: &Client, paths: &[String]) -> Vec<Value> {
    for _ in 0..100 {
        let mut shown = Vec::new();
        for node in shop.nodes() {
            shown.push(state_at(&owner.clone().at(&node), &admin.clone().at(&node), paths).await);
        }
        if shown.iter().all(|state| *state == shown[0]) {
            return shown.swap_remove(0);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nodes do not agree");
}

async fn state_at(owner: &Client, admin: &Client, paths: &[String]) -> Vec<Value> {
    let mut state = Vec::new();
    for path in paths {
        state.push(owner.get(path).await.expect(200));
    }
    for path in ["/books?limit=100", "/authors?limit=100", "/orders?limit=100", "/pricing/promotions", "/pricing/history"] {
        state.push(admin.get(path).await.expect(200));
    }
    state
}

crate::on_both!(ten_thousand_hostile_requests_get_no_5xx_and_change_nothing);

async fn ten_thousand_hostile_requests_get_no_5xx_and_change_nothing(column: Column) {
    let dir = dir();
    let shop = column.start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let admin = shop.admin(dir.path());
    let (book, edition) = admin.new_book("HOSTILE", 1000, 1000).await;
    let owner = shop.guest().await;
    owner.cart(json!([{ "productId": book, "quantity": 1 }])).await;
    let checkout = owner.checkout().await;
    let order = owner.process(&checkout, "tok_visa", "bought").await.expect(200)["order"]["id"].as_str().expect("an id").to_owned();
    let cart = owner.post("/cart", json!({})).await.expect(201)["id"].as_str().expect("an id").to_owned();
    let filled = owner.post(&format!("/cart/{cart}/items"), json!({ "productId": book, "quantity": 2 })).await.expect(201);
    let item = filled["items"][0]["id"].as_str().expect("an id").to_owned();
    let open = owner.checkout().await["id"].as_str().expect("an id").to_owned();
    let session = owner.get("/session").await.expect(200)["id"].as_str().expect("an id").to_owned();
    let paths = [format!("/cart/{cart}"), format!("/checkout/session/{open}"), format!("/orders/{order}"), "/session".to_owned()];
    let before = state(&shop, &owner, &admin, &paths).await;

    let targets = Targets::new(&cart, &item, &open, &order, &session, &book, &edition);
    let mallory = shop.guest().await;
    let attackers = [
        shop.client(),
        mallory.clone(),
        shop.customer(dir.path(), "mallory"),
        shop.client().with("gst_00".into()),
        shop.client().with("e30.e30.".into()),
    ];
    let mut dice = Dice(0x5eed);
    let mut statuses = std::collections::BTreeMap::new();
    for n in 0..10_000 / column.fewer(1, 10) {
        let (method, path, body) = targets.request(&mut dice);
        let attacker = &attackers[n % attackers.len()];
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let Ok(answer) = attacker.send(method.clone(), &path, &[], body).await else { continue };
        assert!(answer.status < 500, "{method} {path} {shown}: {} {}", answer.status, answer.text);
        assert!(
            answer.status < 400 || !answer.code().is_empty(),
            "{method} {path} {shown}: {} without a code: {}",
            answer.status,
            answer.text
        );
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(state(&shop, &owner, &admin, &paths).await, before, "{statuses:?}");
    assert!(
        statuses.get(&400).is_some_and(|n| *n > column.fewer(1000, 100)) && statuses.contains_key(&401) && statuses.contains_key(&404),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_card_number_is_refused_and_leaves_no_trace() {
    let dir = dir();
    let shop = Shop::start(dir.path(), &[]);
    let guest = shop.guest().await;
    for number in ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "５５５５５５５５５５５５４４４４"] {
        let body = json!({ "paymentToken": number, "expectedTotal": usd(1) });
        let answer = guest.post_once("/checkout/process", "card", &body).await;
        assert_eq!((answer.status, answer.code()), (422, "CARD_DATA_REFUSED"), "{}", answer.text);
    }
    assert_eq!(shop.stop(), Some(0));
    for entry in std::fs::read_dir(dir.path()).expect("a directory") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(16).any(|w| w == b"4111111111111111"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_say_nothing_are_let_go_and_disturb_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = dir();
    let shop = Shop::start(dir.path(), &[("CARTWRIGHT_HTTP__HEADER_TIMEOUT", "1s"), ("CARTWRIGHT_HTTP__BODY_TIMEOUT", "1s")]);
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut socket = tokio::net::TcpStream::connect(shop.listen).await.expect("connected");
        let said: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET /api/v1/books HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            _ => b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
        };
        socket.write_all(said).await.expect("written");
        silent.push(socket);
    }
    shop.client().get("/books?limit=1").await.expect(200);
    for socket in &mut silent {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open: {}", String::from_utf8_lossy(&answer));
    }
}
