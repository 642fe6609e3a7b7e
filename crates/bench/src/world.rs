//! What the load works on, prepared before the clock starts and looked at after it has stopped.

use crate::Failure;
use crate::client::{Ask, Client, Reply, Token};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Editions a cart is filled with.
pub const CART_EDITIONS: usize = 5;
/// Copies of one edition a cart may hold, with room to the limit of 999.
const COPIES_MAX: u64 = 900;
/// Adds of one copy that a cart has room for.
pub const CART_ROOM: u64 = CART_EDITIONS as u64 * COPIES_MAX;
/// Pages of 100 books the goods are chosen from.
const PAGES_MAX: usize = 10;

/// An edition to put into carts, and a word that finds its book.
pub struct Goods {
    pub product: String,
    pub variant: String,
    pub word: String,
    /// The request for one copy.
    pub one: Bytes,
}

impl Goods {
    fn new(product: String, variant: String, word: String) -> Self {
        let mut goods = Self { product, variant, word, one: Bytes::new() };
        goods.one = goods.item(1).to_string().into();
        goods
    }

    pub fn item(&self, quantity: u64) -> Value {
        json!({ "productId": self.product, "variantId": self.variant, "quantity": quantity })
    }
}

/// A cart of its own guest, with what was acknowledged to be in it.
pub struct Cart {
    pub path: String,
    pub items_path: String,
    pub token: Token,
    copies: AtomicU64,
    unknown: AtomicU64,
}

impl Cart {
    pub fn added(&self, reply: &Reply) {
        let counter = if reply.is_success() { &self.copies } else { &self.unknown };
        if reply.is_success() || reply.is_unknown() {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// A try to buy: the guest, and the order if one was acknowledged.
pub struct Purchase {
    pub token: Token,
    pub order: Option<String>,
}

pub struct World {
    pub goods: Vec<Goods>,
    pub carts: Vec<Cart>,
    /// Adds to the one hot cart so far.
    pub turn: AtomicU64,
}

impl World {
    /// Chooses the goods and makes `carts` guests with a cart of `items` editions each, `clients` at a time.
    pub async fn prepare(url: &str, clients: usize, carts: usize, items: usize) -> Result<Self, Failure> {
        let goods = Arc::new(goods(&mut Client::connect(url).await?).await?);
        let makers: Vec<_> = (0..clients)
            .map(|n| tokio::spawn(make_carts(url.to_owned(), Arc::clone(&goods), (n..carts).step_by(clients).collect(), items)))
            .collect();
        let mut made = Vec::with_capacity(carts);
        for maker in makers {
            made.extend(maker.await??);
        }
        made.sort_by_key(|(n, _)| *n);
        let goods = Arc::into_inner(goods).expect("invariant: every maker has ended");
        Ok(Self { goods, carts: made.into_iter().map(|(_, cart)| cart).collect(), turn: AtomicU64::new(0) })
    }

    /// The `nth` edition of cart `cart`.
    pub fn goods_of(&self, cart: usize, nth: u64) -> &Goods {
        pick(&self.goods, cart, usize::try_from(nth % CART_EDITIONS as u64).unwrap_or(0))
    }

    /// Compares what the server holds with what it acknowledged. Says what was looked at.
    pub async fn verify(self: &Arc<Self>, url: &str, clients: usize, purchases: Vec<Purchase>) -> Result<String, Failure> {
        let purchases = Arc::new(purchases);
        let checks: Vec<_> =
            (0..clients).map(|n| tokio::spawn(check(url.to_owned(), Arc::clone(self), Arc::clone(&purchases), n, clients))).collect();
        for check in checks {
            check.await??;
        }
        let copies: u64 = self.carts.iter().map(|c| c.copies.load(Relaxed)).sum();
        let orders = purchases.iter().filter(|p| p.order.is_some()).count();
        Ok(format!("{copies} copies in {} carts, {orders} orders", self.carts.len()))
    }
}

impl World {
    /// The purchases alone.
    pub async fn verify_purchases(&self, url: &str, purchases: &[Purchase]) -> Result<String, Failure> {
        let mut client = Client::connect(url).await?;
        for purchase in purchases {
            check_purchase(&mut client, purchase).await?;
        }
        let orders = purchases.iter().filter(|p| p.order.is_some()).count();
        Ok(format!("{orders} acknowledged of {} tried, each there once", purchases.len()))
    }

    /// How much of the carts is not there though it was acknowledged, or is there though nobody asked for it.
    pub async fn lost(&self, url: &str) -> Result<String, Failure> {
        let mut client = Client::connect(url).await?;
        let (mut acknowledged, mut lost, mut extra, mut gone) = (0, 0, 0, 0);
        for cart in &self.carts {
            let stored = client.send(Ask::get("verify", &cart.path, Some(&cart.token))).await?;
            let (sure, unknown) = (cart.copies.load(Relaxed), cart.unknown.load(Relaxed));
            acknowledged += sure;
            gone += u64::from(stored.status == 404 || stored.status == 401);
            let stored = stored.json().unwrap_or_default();
            let copies: u64 = stored["items"].as_array().into_iter().flatten().filter_map(|i| i["quantity"].as_u64()).sum();
            lost += sure.saturating_sub(copies);
            extra += copies.saturating_sub(sure + unknown);
        }
        Ok(format!(
            "{acknowledged} copies acknowledged in {} carts: {lost} lost ({gone} carts gone), {extra} that nobody asked for",
            self.carts.len()
        ))
    }
}

fn pick(goods: &[Goods], cart: usize, nth: usize) -> &Goods {
    &goods[(cart * CART_EDITIONS + nth) % goods.len()]
}

/// The editions with the most stock, from the first pages of the catalog.
async fn goods(client: &mut Client) -> Result<Vec<Goods>, Failure> {
    let mut found: Vec<(u64, Goods)> = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let after = cursor.map(|c: String| format!("&cursor={c}")).unwrap_or_default();
        let page = client.send(Ask::get("prepare", &format!("/api/v1/books?limit=100{after}"), None)).await?.json()?;
        for book in page["items"].as_array().into_iter().flatten() {
            found.extend(editions(book));
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    found.sort_by_key(|(available, _)| std::cmp::Reverse(*available));
    let enough = found.first().map_or(0, |(most, _)| most / 2).max(1);
    let goods: Vec<_> = found.into_iter().filter(|(available, _)| *available >= enough).map(|(_, goods)| goods).collect();
    if goods.len() < CART_EDITIONS { Err("the catalog has too few editions in stock".into()) } else { Ok(goods) }
}

fn editions(book: &Value) -> impl Iterator<Item = (u64, Goods)> + '_ {
    let title = book["title"].as_str().unwrap_or_default();
    let word: String = title.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|w| w.len()).unwrap_or("the").to_owned();
    book["editions"].as_array().into_iter().flatten().filter_map(move |edition| {
        let goods = Goods::new(text(book, "id").ok()?, text(edition, "id").ok()?, word.clone());
        let available = edition["availableQuantity"].as_u64();
        Some((available.unwrap_or(u64::from(edition["availability"] == "in_stock")), goods))
    })
}

async fn make_carts(url: String, goods: Arc<Vec<Goods>>, numbers: Vec<usize>, items: usize) -> Result<Vec<(usize, Cart)>, Failure> {
    let mut client = Client::connect(&url).await?;
    let mut made = Vec::with_capacity(numbers.len());
    for n in numbers {
        let session = client.send(Ask::post("prepare", "/api/v1/session", None, &json!({}))).await?.json()?;
        let token = Token::new(&text(&session, "token")?)?;
        let items: Vec<Value> = (0..items).map(|i| pick(&goods, n, i).item(1)).collect();
        let copies = AtomicU64::new(items.len() as u64);
        let cart = client.send(Ask::post("prepare", "/api/v1/cart", Some(&token), &json!({ "items": items }))).await?.json()?;
        let path = format!("/api/v1/cart/{}", text(&cart, "id")?);
        made.push((n, Cart { items_path: format!("{path}/items"), path, token, copies, unknown: AtomicU64::new(0) }));
    }
    Ok(made)
}

async fn check(url: String, world: Arc<World>, purchases: Arc<Vec<Purchase>>, first: usize, step: usize) -> Result<(), Failure> {
    let mut client = Client::connect(&url).await?;
    for cart in world.carts.iter().skip(first).step_by(step) {
        check_cart(&mut client, cart).await?;
    }
    for purchase in purchases.iter().skip(first).step_by(step) {
        check_purchase(&mut client, purchase).await?;
    }
    Ok(())
}

async fn check_cart(client: &mut Client, cart: &Cart) -> Result<(), Failure> {
    let stored = client.send(Ask::get("verify", &cart.path, Some(&cart.token))).await?.json()?;
    let copies: u64 = stored["items"].as_array().into_iter().flatten().filter_map(|i| i["quantity"].as_u64()).sum();
    let (sure, unknown) = (cart.copies.load(Relaxed), cart.unknown.load(Relaxed));
    if (sure..=sure + unknown).contains(&copies) {
        return Ok(());
    }
    Err(format!("STATE WRONG: {} holds {copies} copies; {sure} were acknowledged, {unknown} are unknown", cart.path).into())
}

/// A guest buys once: the acknowledged order and no other; at most one when none was acknowledged.
async fn check_purchase(client: &mut Client, purchase: &Purchase) -> Result<(), Failure> {
    let page = client.send(Ask::get("verify", "/api/v1/orders", Some(&purchase.token))).await?.json()?;
    let orders: Vec<&str> = page["items"].as_array().into_iter().flatten().filter_map(|o| o["id"].as_str()).collect();
    match (&purchase.order, orders.as_slice()) {
        (Some(order), [found]) if found == order => Ok(()),
        (None, [] | [_]) => Ok(()),
        (order, found) => Err(format!("STATE WRONG: acknowledged {order:?}, found {found:?}").into()),
    }
}

pub fn text(value: &Value, field: &str) -> Result<String, Failure> {
    value[field].as_str().map(str::to_owned).ok_or_else(|| format!("an answer without {field}").into())
}
