//! A cart: a temporary, owned collection of items. An item is one edition with a quantity.
//!
//! Changes are commands, decided all or nothing by [`Cart::decide`]: concurrent adds are deltas that are
//! decided one after the other, so none is lost. The version counts the cart's events.

mod merge;
#[cfg(test)]
mod tests;

pub use merge::Strategy;

use crate::catalog::Offers;
use crate::event::{Event, Outgoing, Subject};
use crate::ids::{BookId, CartId, CheckoutId, CouponCode, CustomerId, EditionId, ItemId, OrderId, Partition, SessionId, Version};
use crate::limits::{CART_ITEMS_MAX, CART_KEYS_MAX, COUPON_CODES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX, NOTE_MAX, OPERATIONS_MAX};
use crate::money::{Currency, Money};
use crate::planted;
use crate::pricing::{Line, NotApplied, Quote};
use crate::quantity::Quantity;
use crate::refusal::{Refusal, Short};
use crate::text::Text;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    Guest(SessionId),
    Customer(CustomerId),
}

impl Owner {
    pub fn partition(&self) -> Partition {
        match self {
            Self::Guest(session) => session.partition(),
            Self::Customer(customer) => customer.partition(),
        }
    }
}

pub type Note = Text<NOTE_MAX>;
pub type Metadata = BTreeMap<Text<METADATA_KEY_MAX>, Text<METADATA_VALUE_MAX>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    pub id: CartId,
    pub owner: Owner,
    pub currency: Currency,
    /// Events so far; 0 before the cart is first saved.
    pub version: Version,
    pub items: Vec<Item>,
    pub coupons: Vec<CouponCode>,
    pub note: Option<Note>,
    pub metadata: Metadata,
    /// The checkout that holds this cart, if any.
    pub checkout: Option<CheckoutId>,
    /// The last checkout that took its items out, so that taking them twice is harmless.
    pub settled: Option<CheckoutId>,
    /// The last idempotency keys, oldest first.
    pub marks: Vec<OnceMark>,
    /// Carts merged into this one, oldest first.
    pub merged: Vec<CartId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// From this instant on the cart is gone, whether or not anything has swept it away.
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: ItemId,
    pub edition: EditionId,
    pub book: BookId,
    pub quantity: Quantity,
    /// The unit price when the shopper last touched the item: what a price change is told against.
    pub seen_price: Money,
    pub added_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A remembered idempotency key: digests of the key in its scope, and of the request it came with. The key begins with
/// the partition of whoever asked, so that the answer lies where the asker's things lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OnceMark {
    pub key: [u8; 16],
    pub fingerprint: [u8; 16],
}

/// How long a cart is kept after its last change.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub guest: Duration,
    pub customer: Duration,
    pub empty: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Add {
        edition: EditionId,
        quantity: Quantity,
    },
    /// `None` removes the item.
    Set {
        item: ItemId,
        quantity: Option<Quantity>,
    },
    Clear,
    Coupons(Vec<CouponCode>),
    Note(Option<Note>),
    Metadata(Metadata),
    Currency(Currency),
    /// Takes over another cart's items and coupons, once.
    Merge {
        source: Box<Cart>,
        strategy: Strategy,
    },
    /// A checkout holds the cart from here on; a second one does not replace the first.
    Hold {
        checkout: CheckoutId,
    },
    /// The checkout ended without a sale.
    LetGo {
        checkout: CheckoutId,
    },
    /// Was bought elsewhere: so many copies leave the cart, and no more than it has.
    GiveUp(Line),
    /// The checkout was paid: exactly what was bought leaves the cart.
    Settle {
        checkout: CheckoutId,
        order: OrderId,
        bought: Vec<Line>,
        coupons: Vec<CouponCode>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CartEvent {
    Created {
        currency: Currency,
    },
    ItemAdded {
        edition: EditionId,
        added: Quantity,
        quantity: Quantity,
        unit_price: Money,
    },
    ItemRemoved {
        edition: EditionId,
        quantity: Quantity,
    },
    ItemQuantityUpdated {
        edition: EditionId,
        from: Quantity,
        to: Quantity,
    },
    Cleared,
    /// Coupons, note, metadata, currency, or its hold by a checkout.
    Updated,
    Merged {
        source: CartId,
        strategy: Strategy,
    },
    Converted {
        checkout: CheckoutId,
        order: OrderId,
    },
    /// Removed by its owner, or because another cart took it over.
    Deleted {
        merged_into: Option<CartId>,
    },
    Expired,
}

impl CartEvent {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "cart.created",
            Self::ItemAdded { .. } => "cart.item_added",
            Self::ItemRemoved { .. } => "cart.item_removed",
            Self::ItemQuantityUpdated { .. } => "cart.item_quantity_updated",
            Self::Cleared => "cart.cleared",
            Self::Updated => "cart.updated",
            Self::Merged { .. } => "cart.merged",
            Self::Converted { .. } => "cart.converted",
            Self::Deleted { .. } => "cart.deleted",
            Self::Expired => "cart.expired",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CartStatus {
    Active,
    Checkout,
    /// Everything in it was bought; the next add makes it active again.
    Converted,
}

/// Something the shopper should know; never a reason to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    PriceChanged {
        item: ItemId,
        from: Money,
        to: Money,
    },
    /// Fewer copies are left than the cart holds.
    LowStock {
        item: ItemId,
        available: u32,
    },
    Unavailable {
        item: ItemId,
    },
    CouponNotApplicable(NotApplied),
}

/// What commands make of a cart: its next state and the events that led there.
#[derive(Clone, Debug)]
pub struct Decided {
    pub cart: Cart,
    pub events: Vec<Outgoing>,
}

impl Decided {
    fn happened(&mut self, event: CartEvent, now: Timestamp) {
        self.cart.version = self.cart.version.next();
        self.cart.updated_at = now;
        self.events.push(self.cart.outgoing(event, now));
    }
}

impl Cart {
    /// A new, empty cart with its first event. `expires_at` is set by [`Cart::decide`].
    pub fn create(id: CartId, owner: Owner, currency: Currency, lifetimes: &Lifetimes, now: Timestamp) -> Decided {
        let cart = Self {
            id,
            owner,
            currency,
            version: Version(0),
            items: Vec::new(),
            coupons: Vec::new(),
            note: None,
            metadata: Metadata::new(),
            checkout: None,
            settled: None,
            marks: Vec::new(),
            merged: Vec::new(),
            created_at: now,
            updated_at: now,
            expires_at: now,
        };
        let mut decided = Decided { cart, events: Vec::new() };
        decided.happened(CartEvent::Created { currency }, now);
        decided.cart.keep(lifetimes);
        decided
    }

    /// Applies commands in order, all or nothing. A command that changes nothing leaves no event and no new version.
    pub fn decide(&self, commands: &[Command], offers: &dyn Offers, lifetimes: &Lifetimes, now: Timestamp) -> Result<Decided, Refusal> {
        if commands.len() > OPERATIONS_MAX {
            return Err(Refusal::OperationsTooMany);
        }
        let mut decided = Decided { cart: self.clone(), events: Vec::new() };
        for command in commands {
            if let Some(event) = decided.cart.apply(command, offers, now)? {
                decided.happened(event, now);
            }
        }
        decided.cart.keep(lifetimes);
        Ok(decided)
    }

    fn apply(&mut self, command: &Command, offers: &dyn Offers, now: Timestamp) -> Result<Option<CartEvent>, Refusal> {
        match command {
            Command::Add { edition, quantity } => self.add(*edition, *quantity, offers, now).map(Some),
            Command::Set { item, quantity } => self.set(*item, *quantity, offers, now),
            Command::Clear => Ok(self.clear()),
            Command::Coupons(codes) => self.replace_coupons(codes),
            Command::Note(note) => Ok(updated(&mut self.note, note.clone())),
            Command::Metadata(metadata) => Ok(updated(&mut self.metadata, metadata.clone())),
            Command::Currency(currency) if *currency != self.currency && !self.items.is_empty() => Err(Refusal::CurrencyFixed),
            Command::Currency(currency) => Ok(updated(&mut self.currency, *currency)),
            Command::Merge { source, strategy } => self.merge(source, *strategy, now),
            Command::Hold { checkout } => Ok(if self.checkout.is_none() { updated(&mut self.checkout, Some(*checkout)) } else { None }),
            Command::LetGo { checkout } => Ok(if self.checkout == Some(*checkout) { updated(&mut self.checkout, None) } else { None }),
            Command::GiveUp(line) => Ok(self.give_up(line, now)),
            Command::Settle { checkout, order, bought, coupons } => Ok(self.settle(*checkout, *order, bought, coupons, now)),
        }
    }

    /// Adds copies of an edition; the same edition adds up.
    fn add(&mut self, edition: EditionId, quantity: Quantity, offers: &dyn Offers, now: Timestamp) -> Result<CartEvent, Refusal> {
        let offer = offers.offer(edition).ok_or(Refusal::ProductNotFound)?;
        if offer.unit_price.currency() != self.currency {
            return Err(Refusal::CurrencyUnavailable);
        }
        if offer.available == 0 {
            let short = Short { edition, sku: Some(offer.sku), wanted: quantity.get(), available: 0 };
            return Err(Refusal::OutOfStock { short: vec![short] });
        }
        let unit_price = offer.unit_price;
        if let Some(item) = self.items.iter_mut().find(|i| i.edition == edition) {
            item.quantity = item.quantity.plus(quantity)?;
            item.seen_price = unit_price;
            item.updated_at = now;
            return Ok(CartEvent::ItemAdded { edition, added: quantity, quantity: item.quantity, unit_price });
        }
        if self.items.len() == CART_ITEMS_MAX {
            return Err(Refusal::CartFull);
        }
        self.items.push(Item {
            id: edition.into(),
            edition,
            book: offer.book,
            quantity,
            seen_price: unit_price,
            added_at: now,
            updated_at: now,
        });
        Ok(CartEvent::ItemAdded { edition, added: quantity, quantity, unit_price })
    }

    fn set(&mut self, id: ItemId, quantity: Option<Quantity>, offers: &dyn Offers, now: Timestamp) -> Result<Option<CartEvent>, Refusal> {
        let at = self.items.iter().position(|i| i.id == id).ok_or(Refusal::ItemNotFound)?;
        let Some(to) = quantity else {
            let item = self.items.remove(at);
            return Ok(Some(CartEvent::ItemRemoved { edition: item.edition, quantity: item.quantity }));
        };
        let item = &mut self.items[at];
        if item.quantity == to {
            return Ok(None);
        }
        let from = std::mem::replace(&mut item.quantity, to);
        item.updated_at = now;
        if let Some(offer) = offers.offer(item.edition) {
            item.seen_price = offer.unit_price;
        }
        Ok(Some(CartEvent::ItemQuantityUpdated { edition: item.edition, from, to }))
    }

    fn clear(&mut self) -> Option<CartEvent> {
        let had = !self.items.is_empty();
        self.items.clear();
        had.then_some(CartEvent::Cleared)
    }

    fn replace_coupons(&mut self, codes: &[CouponCode]) -> Result<Option<CartEvent>, Refusal> {
        let mut unique: Vec<CouponCode> = Vec::new();
        for code in codes {
            if !unique.contains(code) {
                unique.push(code.clone());
            }
        }
        if unique.len() > COUPON_CODES_MAX {
            return Err(Refusal::CouponsTooMany);
        }
        Ok(updated(&mut self.coupons, unique))
    }

    fn give_up(&mut self, line: &Line, now: Timestamp) -> Option<CartEvent> {
        let at = self.items.iter().position(|i| i.edition == line.edition)?;
        let (edition, from) = (line.edition, self.items[at].quantity);
        let Ok(to) = Quantity::new(i64::from(from.get()) - i64::from(line.quantity.get())) else {
            self.items.remove(at);
            return Some(CartEvent::ItemRemoved { edition, quantity: from });
        };
        self.items[at].quantity = to;
        self.items[at].updated_at = now;
        Some(CartEvent::ItemQuantityUpdated { edition, from, to })
    }

    fn settle(
        &mut self,
        checkout: CheckoutId,
        order: OrderId,
        bought: &[Line],
        coupons: &[CouponCode],
        now: Timestamp,
    ) -> Option<CartEvent> {
        if self.settled == Some(checkout) && !planted("settled-twice") {
            return None;
        }
        if planted("settle-clears-cart") {
            self.items.clear();
        }
        for line in bought {
            self.give_up(line, now);
        }
        self.coupons.retain(|c| !coupons.contains(c));
        self.checkout = None;
        self.settled = Some(checkout);
        Some(CartEvent::Converted { checkout, order })
    }

    /// Ends the cart: its last event.
    pub fn end(&self, event: CartEvent, now: Timestamp) -> Outgoing {
        Self { version: self.version.next(), ..self.clone() }.outgoing(event, now)
    }

    fn outgoing(&self, event: CartEvent, now: Timestamp) -> Outgoing {
        Outgoing::new(Subject::Cart(self.id), self.version.0, now, Event::Cart(event))
    }

    /// Slides the expiry: a cart lives on from its last change.
    fn keep(&mut self, lifetimes: &Lifetimes) {
        let span = match (&self.owner, self.items.is_empty() && self.checkout.is_none()) {
            (_, true) => lifetimes.empty,
            (Owner::Guest(_), false) => lifetimes.guest,
            (Owner::Customer(_), false) => lifetimes.customer,
        };
        self.expires_at = self.updated_at.plus(span);
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    pub fn status(&self) -> CartStatus {
        match (self.checkout, self.settled) {
            (Some(_), _) => CartStatus::Checkout,
            (None, Some(_)) if self.items.is_empty() => CartStatus::Converted,
            (None, _) => CartStatus::Active,
        }
    }

    pub fn lines(&self) -> Vec<Line> {
        self.items.iter().map(|i| Line { edition: i.edition, quantity: i.quantity }).collect()
    }

    /// The mark of an idempotency key this cart still remembers.
    pub fn mark(&self, key: [u8; 16]) -> Option<OnceMark> {
        self.marks.iter().copied().find(|m| m.key == key)
    }

    pub fn remember(&mut self, mark: OnceMark) {
        if self.marks.len() == CART_KEYS_MAX {
            self.marks.remove(0);
        }
        self.marks.push(mark);
    }

    /// What the shopper should know about the cart as quoted.
    pub fn warnings(&self, quote: &Quote) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for item in &self.items {
            let Some(line) = quote.lines.iter().find(|l| l.item == item.id) else {
                warnings.push(Warning::Unavailable { item: item.id });
                continue;
            };
            if line.unit_price != item.seen_price {
                warnings.push(Warning::PriceChanged { item: item.id, from: item.seen_price, to: line.unit_price });
            }
            if line.available < line.quantity.get() {
                warnings.push(Warning::LowStock { item: item.id, available: line.available });
            }
        }
        warnings.extend(quote.not_applied.iter().filter(|n| n.code.is_some()).cloned().map(Warning::CouponNotApplicable));
        warnings
    }
}

fn updated<T: PartialEq>(place: &mut T, value: T) -> Option<CartEvent> {
    let changed = *place != value;
    *place = value;
    changed.then_some(CartEvent::Updated)
}
