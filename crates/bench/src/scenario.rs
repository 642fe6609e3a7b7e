//! What a shopper does in each scenario.

use crate::Failure;
use crate::client::{Ask, Client, Token};
use crate::run::Load;
use crate::world::{CART_EDITIONS, CART_ROOM, Cart, Purchase, World, text};
use hyper::Method;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    CartGet,
    CartAdd,
    CartAddSame,
    Checkout,
    Mixed,
}

impl Kind {
    /// Editions in each cart before the clock starts.
    pub fn items_at_start(self) -> usize {
        match self {
            Self::CartGet => CART_EDITIONS,
            Self::CartAdd | Self::CartAddSame | Self::Checkout | Self::Mixed => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CartGet => "cart-get",
            Self::CartAdd => "cart-add",
            Self::CartAddSame => "cart-add-same",
            Self::Checkout => "checkout",
            Self::Mixed => "mixed",
        })
    }
}

pub struct Shopper {
    kind: Kind,
    world: Arc<World>,
    number: usize,
    clients: usize,
    adds: u64,
    chance: Chance,
    pub purchases: Vec<Purchase>,
}

impl Load for Shopper {
    async fn step(&mut self, client: &mut Client) -> Result<(), Failure> {
        match self.kind {
            Kind::CartGet => self.read_cart(client).await,
            Kind::CartAdd => self.add(client).await,
            Kind::CartAddSame => self.add_to_hot_cart(client).await,
            Kind::Checkout => self.buy(client).await,
            Kind::Mixed => match self.chance.below(100) {
                0..60 => self.browse(client).await,
                60..85 => self.add(client).await,
                85..95 => self.read_cart(client).await,
                _ => self.buy(client).await,
            },
        }
    }
}

impl Shopper {
    pub fn new(kind: Kind, number: usize, clients: usize, world: Arc<World>) -> Self {
        Self { kind, world, number, clients, adds: 0, chance: Chance::new(number), purchases: Vec::new() }
    }

    /// The carts with this shopper's number, counted round.
    fn own_carts(&self) -> usize {
        (self.world.carts.len() - self.number).div_ceil(self.clients)
    }

    fn own_cart(&self, nth: usize) -> usize {
        self.number + nth * self.clients
    }

    async fn read_cart(&mut self, client: &mut Client) -> Result<(), Failure> {
        let nth = self.chance.pick(self.own_carts());
        let cart = &self.world.carts[self.own_cart(nth)];
        client.send(Ask::get("read cart", &cart.path, Some(&cart.token))).await?;
        Ok(())
    }

    /// Adds one copy to each of its carts in turn.
    async fn add(&mut self, client: &mut Client) -> Result<(), Failure> {
        let own = self.own_carts() as u64;
        let (nth, lap) = (self.adds % own, self.adds / own);
        self.adds += 1;
        let cart = self.own_cart(usize::try_from(nth)?);
        add_to(client, &self.world, cart, lap).await
    }

    /// All shoppers add to the same cart; when it is full, all go on to the next.
    async fn add_to_hot_cart(&mut self, client: &mut Client) -> Result<(), Failure> {
        let turn = self.world.turn.fetch_add(1, Relaxed);
        add_to(client, &self.world, usize::try_from(turn / CART_ROOM)?, turn % CART_ROOM).await
    }

    async fn browse(&mut self, client: &mut Client) -> Result<(), Failure> {
        let goods = &self.world.goods[self.chance.pick(self.world.goods.len())];
        let (label, path) = match self.chance.below(4) {
            0 | 1 => ("search", format!("/api/v1/books?search={}&limit=20", goods.word)),
            2 => ("browse", "/api/v1/books?limit=20&sort=price".to_owned()),
            _ => ("read book", format!("/api/v1/books/{}", goods.product)),
        };
        client.send(Ask::get(label, &path, None)).await?;
        Ok(())
    }

    /// A guest's whole purchase, given up at the first refusal.
    async fn buy(&mut self, client: &mut Client) -> Result<(), Failure> {
        let session = client.send(Ask::post("session", "/api/v1/session", None, &json!({}))).await?;
        let Ok(session) = session.json() else { return Ok(()) };
        let mut purchase = Purchase { token: Token::new(&text(&session, "token")?)?, order: None };
        let paid = self.pay(client, &purchase.token).await;
        purchase.order = paid?;
        self.purchases.push(purchase);
        Ok(())
    }

    async fn pay(&mut self, client: &mut Client, token: &Token) -> Result<Option<String>, Failure> {
        let items: Vec<Value> = (0..=self.chance.below(3)).map(|_| self.some_item()).collect();
        let cart = client.send(Ask::post("cart", "/api/v1/cart", Some(token), &json!({ "items": items }))).await?;
        let Ok(cart) = cart.json() else { return Ok(None) };
        let start = checkout_of(&text(&cart, "id")?);
        let checkout = client.send(Ask::post("checkout", "/api/v1/checkout/session", Some(token), &start)).await?;
        let Ok(checkout) = checkout.json() else { return Ok(None) };
        let id = text(&checkout, "id")?;
        let process = json!({ "sessionId": id, "paymentToken": "tok_visa", "expectedTotal": checkout["totals"]["total"] });
        let ask = Ask { key: Some(format!("bench-{id}")), ..Ask::post("process", "/api/v1/checkout/process", Some(token), &process) };
        let Ok(outcome) = client.send(ask).await?.json() else { return Ok(None) };
        Ok(outcome["order"]["id"].as_str().map(str::to_owned))
    }

    fn some_item(&mut self) -> Value {
        let nth = self.chance.pick(self.world.goods.len());
        self.world.goods[nth].item(1 + self.chance.below(2))
    }
}

/// The `nth` add to a cart.
async fn add_to(client: &mut Client, world: &World, cart: usize, nth: u64) -> Result<(), Failure> {
    let room = world.carts.get(cart).filter(|_| nth < CART_ROOM);
    let held: &Cart = room.ok_or("every cart is full: raise --carts")?;
    let body = Some(world.goods_of(cart, nth).one.clone());
    let ask = Ask { label: "add", method: Method::POST, path: &held.items_path, token: Some(&held.token), key: None, body };
    held.added(&client.send(ask).await?);
    Ok(())
}

fn checkout_of(cart: &str) -> Value {
    json!({
        "cartId": cart,
        "email": "ada@example.com",
        "shippingAddress": {
            "name": "Ada Byron", "line1": "12 Main St", "city": "Austin", "region": "TX", "postalCode": "78701", "country": "US"
        }
    })
}

/// SplitMix64: the same shopper does the same things in every run.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: usize) -> Self {
        Self(seed as u64)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("invariant: below a length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_and_repeats_itself() {
        let (mut one, mut two) = (Chance::new(7), Chance::new(7));
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            let n = one.below(10);
            assert_eq!(n, two.below(10));
            seen[usize::try_from(n).expect("below ten")] += 1;
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }
}
