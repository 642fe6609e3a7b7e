//! Clients that do things at once, lose patience, and lose their server, or one of its nodes, to a kill -9: what they saw must be
//! explained by a sequential model ([`crate::linear`]). Every history ends with a look at what is left.
//!
//! At scale each call goes through the balancer or straight to any node. There, clients look by what is promised to be current at every
//! node: a cart is read naming the newest version that any of them has seen, stock by a delivery of nothing. What is shown to somebody
//! who does not say what they know may be a copy, so all that is asked of it is that it was so once.
//!
//! `HISTORIES=3000 cargo nextest run -p server histories` checks as many.

use crate::column::Column;
use crate::hostile::Dice;
use crate::linear::{
    CartModel, CartOperation, Change, Model, OrderModel, OrderOperation, Seen, StockModel, StockOperation, Verdict, check,
};
use crate::scale::NODES;
use crate::shop::{Answer, Client, Shop, dir, key, scale};
use futures_util::future::{join, join_all};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, watch};

const CLIENTS: usize = 6;
const CARTS: usize = 6;
const STOCKS: usize = 3;
const ORDERS: usize = 3;
/// Purchases that one client makes in a history.
const BUYS: usize = 4;
/// One in so many operations is not waited for.
const IMPATIENCE: usize = 12;

crate::on_both! { what_concurrent_clients_saw_is_explained_by_one_order_of_events }

/// Where the server is. It is killed and comes back, perhaps somewhere else.
#[derive(Clone)]
struct Place {
    client: Client,
    /// Past what shares requests out, where there are several.
    nodes: Vec<String>,
    life: u32,
}

impl Place {
    fn of(shop: &Shop, life: u32) -> Self {
        let nodes = Some(shop.nodes()).filter(|nodes| nodes.len() > 1).unwrap_or_default();
        Self { client: shop.client(), nodes, life }
    }
}

/// What the clients of one history saw, by one clock.
struct Recorder<O> {
    start: Instant,
    seen: Mutex<Vec<Seen<O>>>,
}

impl<O> Recorder<O> {
    fn new() -> Self {
        Self { start: Instant::now(), seen: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("not for centuries")
    }

    /// Calls, and writes down what came of it. Without an answer nobody knows whether it happened.
    async fn call(
        &self,
        call: impl Future<Output = Result<Answer, String>>,
        patience: Duration,
        operation: impl FnOnce(Option<Answer>) -> O,
    ) -> bool {
        self.call_since(self.now(), call, patience, operation).await
    }

    /// Looks at what may be a copy: it was so at some time until now.
    async fn glance(
        &self,
        call: impl Future<Output = Result<Answer, String>>,
        patience: Duration,
        operation: impl FnOnce(Option<Answer>) -> O,
    ) -> bool {
        self.call_since(0, call, patience, operation).await
    }

    async fn call_since(
        &self,
        called: u64,
        call: impl Future<Output = Result<Answer, String>>,
        patience: Duration,
        operation: impl FnOnce(Option<Answer>) -> O,
    ) -> bool {
        let answer = tokio::time::timeout(patience, call).await.ok().and_then(Result::ok).filter(is_final);
        let there = answer.is_some();
        let operation = operation(answer);
        let answered = there.then(|| self.now());
        self.seen.lock().expect("not poisoned").push(Seen { operation, called, answered });
        there
    }

    /// How many operations there were.
    fn explain<M: Model<Operation = O>>(self, start: M::State) -> usize
    where
        O: std::fmt::Debug,
    {
        let mut history = self.seen.into_inner().expect("not poisoned");
        let verdict = check::<M>(start, &mut history);
        let shown = || history.iter().map(|s| format!("{} {:?} {:?}", s.called, s.answered, s.operation)).collect::<Vec<_>>().join("\n");
        assert!(verdict == Verdict::Linearizable, "{verdict:?}:\n{}", shown());
        history.len()
    }
}

/// Whether an answer says what became of the request. One that failed, or is still under way somewhere, does not.
fn is_final(answer: &Answer) -> bool {
    answer.status < 500 && answer.status != 202 && answer.code() != "IDEMPOTENCY_IN_FLIGHT"
}

/// What the clients of a cart have seen of it and told each other.
#[derive(Default)]
struct Known {
    /// The newest version, with its tag.
    newest: (u64, String),
    /// Copies of both editions, by tag.
    copies: BTreeMap<String, [u64; 2]>,
}

/// One client: does things, a little apart, wherever the server is.
struct Actor {
    places: watch::Receiver<Place>,
    token: String,
    dice: Dice,
}

impl Actor {
    /// Someone to ask, whoever shares requests out or one of the nodes, and in which life.
    fn client(&mut self) -> (Client, u32) {
        let Place { client, nodes, life } = self.places.borrow().clone();
        let client = client.with(self.token.clone());
        let there = self.dice.roll(2 * nodes.len() + 1);
        (nodes.get(there).map_or_else(|| client.clone(), |node| client.clone().at(node)), life)
    }

    /// How long this call is waited for: sometimes not long enough.
    fn patience(&mut self) -> Duration {
        if self.dice.roll(IMPATIENCE) == 0 { Duration::from_micros(self.dice.roll(3000) as u64) } else { Duration::from_secs(60) }
    }

    /// After a call without an answer: waits for who was asked to be there, if they have gone.
    async fn rest(&mut self, answered: bool, asked: &Client, life: u32) {
        let gone = async || asked.send(Method::GET, "/health/live", &[], "").await.is_err();
        if !answered && self.places.borrow().life == life && gone().await {
            self.places.wait_for(|place| place.life != life).await.expect("the server comes back");
        }
        tokio::time::sleep(Duration::from_micros(self.dice.roll(4000) as u64)).await;
    }
}

/// A book for this round, with its edition.
type Goods = (String, String);

struct Round {
    column: Column,
    places: watch::Receiver<Place>,
    goods: [Goods; 2],
    admin: String,
    seed: u64,
    /// Everybody begins when everything is prepared.
    begin: Barrier,
}

impl Round {
    fn actor(&self, token: &str, n: usize) -> Actor {
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Actor { places: self.places.clone(), token: token.to_owned(), dice: Dice(seed | 1) }
    }

    /// Copies of both editions in the cart of an answer.
    fn copies(&self, cart: &Value) -> [u64; 2] {
        self.goods.each_ref().map(|(book, _)| {
            let items = cart["items"].as_array().expect("items").iter();
            items.filter(|i| i["productId"] == book.as_str()).filter_map(|i| i["quantity"].as_u64()).sum()
        })
    }

    /// Reads a cart; at scale naming the newest version that is known, as there are copies.
    async fn read(&self, client: &Client, path: &str, known: &Mutex<Known>) -> Result<Answer, String> {
        let tag = known.lock().expect("not poisoned").newest.1.clone();
        let headers = [("if-none-match", tag.as_str())];
        let named = self.column == Column::AtScale && !tag.is_empty();
        client.send(Method::GET, path, if named { &headers } else { &[] }, "").await
    }

    /// Copies in the cart of an answer, which everybody knows from now on. What has not changed is as it was known.
    fn look(&self, answer: &Answer, known: &Mutex<Known>) -> [u64; 2] {
        let mut known = known.lock().expect("not poisoned");
        let tag = answer.header("etag").to_owned();
        if answer.status == 304 {
            return known.copies[&tag];
        }
        let copies = self.copies(&answer.body);
        known.newest = known.newest.clone().max((answer.body["version"].as_u64().expect("a version"), tag.clone()));
        known.copies.insert(tag, copies);
        copies
    }

    async fn cart(&self, n: usize) -> usize {
        let guest = self.places.borrow().client.guest().await;
        let goods: Vec<_> = self.goods.iter().map(|(book, _)| json!({ "productId": book, "quantity": 1 })).collect();
        let cart = guest.post("/cart", json!({ "items": goods })).await.expect(201);
        let path = format!("/cart/{}", cart["id"].as_str().expect("an id"));
        let items: Vec<String> = self
            .goods
            .iter()
            .map(|(book, _)| {
                let item = cart["items"].as_array().expect("items").iter().find(|i| i["productId"] == book.as_str()).expect("the item");
                item["id"].as_str().expect("an id").to_owned()
            })
            .collect();
        self.begin.wait().await;
        let recorder = Recorder::new();
        let known = Mutex::new(Known::default());
        let saw = |answer: Option<Answer>| answer.map(|a| self.look(&a, &known));
        let acts = async |mut actor: Actor| {
            for _ in 0..16 {
                let ((client, life), patience, edition) = (actor.client(), actor.patience(), actor.dice.roll(2));
                let copies = 1 + actor.dice.roll(3) as u64;
                let answered = match actor.dice.roll(5) {
                    0 | 1 => {
                        let add = json!({ "productId": self.goods[edition].0, "quantity": copies }).to_string();
                        let path = format!("{path}/items");
                        let call = client.send(Method::POST, &path, &[], add);
                        recorder.call(call, patience, |a| CartOperation::Add { edition, copies, saw: saw(a) }).await
                    }
                    2 => {
                        let path = format!("{path}/items/{}", items[edition]);
                        let call = client.send(Method::PATCH, &path, &[], json!({ "quantity": copies }).to_string());
                        recorder.call(call, patience, |a| CartOperation::Set { edition, copies, saw: saw(a) }).await
                    }
                    _ if self.column == Column::AtScale && actor.dice.roll(3) == 0 => {
                        recorder.glance(client.send(Method::GET, &path, &[], ""), patience, |a| CartOperation::Read { saw: saw(a) }).await
                    }
                    _ => recorder.call(self.read(&client, &path, &known), patience, |a| CartOperation::Read { saw: saw(a) }).await,
                };
                actor.rest(answered, &client, life).await;
            }
        };
        join_all((0..CLIENTS).map(|c| acts(self.actor(guest.token(), 100 * n + c)))).await;
        let client = self.actor(guest.token(), 0).client().0;
        assert!(recorder.call(self.read(&client, &path, &known), Duration::MAX, |a| CartOperation::Read { saw: saw(a) }).await);
        recorder.explain::<CartModel>([1, 1])
    }

    async fn stock(&self, n: usize, (book, edition): &Goods, start: u64) -> usize {
        let buyers = self.places.borrow().client.clone();
        let checkouts: Vec<(String, Value)> = join_all((0..CLIENTS * BUYS).map(async |_| {
            let guest = buyers.guest().await;
            guest.cart(json!([{ "productId": book, "quantity": 1 }])).await;
            (guest.token().to_owned(), guest.checkout().await)
        }))
        .await;
        self.begin.wait().await;
        let recorder = Recorder::new();
        let path = format!("/books/{book}/editions/{edition}/stock");
        // Answered with the level that is stored.
        let nothing = json!({ "delta": 0, "reason": "look" }).to_string();
        // The first answers to deliveries: a repeat gets the same.
        let first: Mutex<Vec<(String, Value, String)>> = Mutex::default();
        let acts = async |mut actor: Actor, mine: &[(String, Value)]| {
            let mut mine = mine.iter();
            for _ in 0..12 {
                let ((client, life), patience, copies) = (actor.client(), actor.patience(), actor.dice.roll(2) as u64);
                let answered = match (actor.dice.roll(5), mine.len() > 0) {
                    (0 | 1, true) => {
                        let (token, checkout) = mine.next().expect("one more");
                        let (buyer, key) = (client.clone().with(token.clone()), key());
                        let call = buyer.try_process(checkout, "tok_visa", &key);
                        recorder.call(call, patience, |a| StockOperation::Buy { got: a.as_ref().map(got) }).await
                    }
                    (2, _) => {
                        let (body, key) = (json!({ "delta": copies, "reason": "delivery" }), key());
                        let once = [("idempotency-key", key.as_str())];
                        let call = client.send(Method::POST, &path, &once, body.to_string());
                        let note = |answer: Answer| first.lock().expect("not poisoned").push((key.clone(), body.clone(), answer.text));
                        let received = |answer: Option<Answer>| {
                            answer.map(note);
                            StockOperation::Receive { copies }
                        };
                        recorder.call(call, patience, received).await
                    }
                    _ if self.column == Column::AtScale && actor.dice.roll(3) > 0 => {
                        let call = client.send(Method::POST, &path, &[], nothing.clone());
                        recorder.call(call, patience, |a| StockOperation::Read { saw: a.map(counted) }).await
                    }
                    _ => {
                        let read = format!("/books/{book}");
                        let call = client.send(Method::GET, &read, &[], "");
                        let shown = |a: Option<Answer>| StockOperation::Read { saw: a.map(available) };
                        match self.column {
                            Column::Embedded => recorder.call(call, patience, shown).await,
                            Column::AtScale => recorder.glance(call, patience, shown).await,
                        }
                    }
                };
                actor.rest(answered, &client, life).await;
            }
        };
        let actors = checkouts.chunks(BUYS).enumerate();
        join_all(actors.map(|(c, mine)| acts(self.actor(&self.admin, 10_000 + 100 * n + c), mine))).await;
        let client = self.actor(&self.admin, 0).client().0;
        let call = client.send(Method::POST, &path, &[], nothing);
        assert!(recorder.call(call, Duration::MAX, |a| StockOperation::Read { saw: a.map(counted) }).await);
        for (key, body, answer) in first.into_inner().expect("not poisoned") {
            assert_eq!(client.post_once(&path, &key, &body).await.text, answer, "{key}");
        }
        recorder.explain::<StockModel>(start)
    }

    async fn order(&self, n: usize) -> usize {
        let guest = self.places.borrow().client.guest().await;
        guest.cart(json!([{ "productId": self.goods[0].0, "quantity": 1 }])).await;
        let checkout = guest.checkout().await;
        let order = guest.process(&checkout, "tok_visa", &key()).await.expect(200)["order"]["id"].as_str().expect("an id").to_owned();
        let path = format!("/orders/{order}");
        self.begin.wait().await;
        let recorder = Recorder::new();
        let read = |a: Option<Answer>| OrderOperation::Read { saw: a.map(|a| a.body["status"].as_str().expect("a status").to_owned()) };
        let acts = async |mut actor: Actor| {
            for _ in 0..10 {
                let ((client, life), patience) = (actor.client(), actor.patience());
                let to = *actor.dice.pick(&["processing", "processing", "processing", "shipped", "delivered", "canceled"]);
                let changed = |a: Option<Answer>| OrderOperation::Change { to, saw: a.as_ref().map(change) };
                let answered = match (actor.dice.roll(2), to) {
                    (0, _) => recorder.call(client.send(Method::GET, &path, &[], ""), patience, read).await,
                    (_, "canceled") => recorder.call(client.send(Method::DELETE, &path, &[], ""), patience, changed).await,
                    _ => {
                        let call = client.send(Method::PATCH, &path, &[], json!({ "status": to }).to_string());
                        recorder.call(call, patience, changed).await
                    }
                };
                actor.rest(answered, &client, life).await;
            }
        };
        join_all((0..CLIENTS).map(|c| acts(self.actor(&self.admin, 20_000 + 100 * n + c)))).await;
        let client = self.actor(&self.admin, 0).client().0;
        assert!(recorder.call(client.send(Method::GET, &path, &[], ""), Duration::MAX, read).await);
        recorder.explain::<OrderModel>("confirmed".to_owned())
    }
}

fn available(answer: Answer) -> u64 {
    answer.body["editions"][0]["availableQuantity"].as_u64().expect("a level")
}

fn counted(answer: Answer) -> u64 {
    answer.body["onHand"].as_u64().zip(answer.body["reserved"].as_u64()).map(|(there, held)| there - held).expect("a level")
}

fn got(answer: &Answer) -> bool {
    match (answer.status, answer.code()) {
        (200, _) => true,
        (409, "OUT_OF_STOCK") => false,
        _ => panic!("{}", answer.text),
    }
}

fn change(answer: &Answer) -> Change {
    match (answer.status, answer.code()) {
        (200, _) => Change::Done,
        (409, "ORDER_TRANSITION_INVALID") => Change::Refused(answer.body["from"].as_str().expect("a status").to_owned()),
        _ => panic!("{}", answer.text),
    }
}

/// Waits until every node knows these: the catalog of another node is a moment behind.
async fn known_everywhere(shop: &Shop, goods: &[Goods]) {
    for (node, (book, _)) in shop.nodes().iter().flat_map(|node| goods.iter().map(move |goods| (node, goods))) {
        while shop.client().at(node).get(&format!("/books/{book}")).await.status == 404 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A dozen histories at once, with a kill -9 in the middle, of everything or of one node. Gives the server that is left.
async fn round(column: Column, dir: &Path, shop: Shop, seed: u64) -> (Shop, Vec<usize>) {
    let admin = shop.admin(dir);
    let mut goods = Vec::new();
    for n in 0..2 + STOCKS {
        let copies = if n < 2 { 1_000_000 } else { 3 };
        goods.push(admin.new_book(&format!("HISTORY-{seed}-{n}"), 1000, copies).await);
    }
    known_everywhere(&shop, &goods).await;
    let (place, places) = watch::channel(Place::of(&shop, 0));
    let round = Round {
        column,
        places,
        goods: [goods[0].clone(), goods[1].clone()],
        admin: admin.token().to_owned(),
        seed,
        begin: Barrier::new(CARTS + STOCKS + ORDERS + 1),
    };
    let carts = join_all((0..CARTS).map(|n| round.cart(n)));
    let stocks = join_all((0..STOCKS).map(|n| round.stock(n, &goods[2 + n], 3)));
    let orders = join_all((0..ORDERS).map(|n| round.order(n)));
    let kill = async {
        round.begin.wait().await;
        tokio::time::sleep(Duration::from_millis(10 + 17 * (seed % 11))).await;
        let shop = tokio::task::block_in_place(|| killed(column, dir, shop, seed));
        place.send_replace(Place::of(&shop, 1));
        shop
    };
    let (shop, ((carts, stocks), orders)) = join(kill, join(join(carts, stocks), orders)).await;
    (shop, [carts, stocks, orders].concat())
}

/// Kills what can be killed, and starts it again.
fn killed(column: Column, dir: &Path, mut shop: Shop, seed: u64) -> Shop {
    match column {
        Column::Embedded => {
            shop.kill();
            Shop::start(dir, &[])
        }
        Column::AtScale => {
            let n = usize::try_from(seed % NODES as u64).expect("few");
            shop.kill_node(n);
            shop.start_node(n, &[]).expect("it gets ready again");
            shop
        }
    }
}

async fn what_concurrent_clients_saw_is_explained_by_one_order_of_events(column: Column) {
    let dir = dir();
    let mut shop = column.start(dir.path(), &[("CARTWRIGHT_DEMO_CATALOG", "false")]);
    let wanted = scale("HISTORIES", column.fewer(36, 24));
    let (mut histories, mut operations) = (0, 0);
    for seed in 1.. {
        let seen;
        (shop, seen) = round(column, dir.path(), shop, seed).await;
        histories += seen.len();
        operations += seen.iter().sum::<usize>();
        if histories >= wanted {
            break;
        }
    }
    shop.kill();
    #[expect(clippy::print_stderr, reason = "how much was looked at is part of the result")]
    {
        eprintln!("{histories} histories, {operations} operations: every one is linearizable");
    }
}
