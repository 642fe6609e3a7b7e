//! Everything that follows from something else, made anew from its source and compared with what is stored:
//! orders from their events; levels of stock from their moves; reservations and uses of promotions from the orders
//! and from the checkouts that are being paid.

use crate::columns::uint;
use crate::verify::{Check, VerifyError, check};
use domain::checkout::{AfterUndo, Checkout, State};
use domain::ids::EditionId;
use domain::order::{Order, Status};
use std::collections::BTreeMap;
use std::path::Path;

/// How much was made anew, and was the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub orders: u64,
    pub checkouts: u64,
    pub levels: u64,
    pub counters: u64,
}

/// Rebuilds every projection of a directory's store, as of one instant, and compares. Nothing is written.
///
/// # Errors
/// [`VerifyError::Unsound`] with everything that differs.
pub fn rebuild(dir: &Path) -> Result<Rebuilt, VerifyError> {
    check(dir, |check| check.rebuilt())
}

/// What orders and checkouts say of stock and coupons.
#[derive(Default)]
struct Held {
    reserved: BTreeMap<EditionId, u64>,
    uses: BTreeMap<String, u64>,
}

impl Check<'_> {
    fn rebuilt(&mut self) -> rusqlite::Result<Rebuilt> {
        let mut held = Held::default();
        let orders = self.rebuilt_orders(&mut held)?;
        let checkouts = self.rebuilt_checkouts(&mut held)?;
        self.levels()?;
        let levels = self.reserved(&held)?;
        let counters = self.used(&held)?;
        Ok(Rebuilt { orders, checkouts, levels, counters })
    }

    /// The columns of an order, which queries go by, are what its events say.
    fn rebuilt_orders(&mut self, held: &mut Held) -> rusqlite::Result<u64> {
        self.orders()?;
        let sql = "SELECT id, version, number, checkout, owner, placed_at, status, payment FROM orders";
        let mut statement = self.on.prepare(sql)?;
        let mut rows = statement.query(())?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let id: [u8; 16] = row.get(0)?;
            // That it has no readable history was told before.
            let Some(order) = self.folded(id)? else { continue };
            let stored = OrderColumns {
                version: uint(row.get(1)?),
                number: row.get(2)?,
                checkout: row.get(3)?,
                owner: row.get(4)?,
                placed_at: row.get(5)?,
                status: row.get(6)?,
                payment: row.get(7)?,
            };
            let told = OrderColumns::of(&order);
            if stored != told {
                self.wrong.push(format!("{}: the columns are {stored:?}, its events lead to {told:?}", order.id));
            }
            if !matches!(order.status, Status::Canceled | Status::Failed) {
                held.uses_of(&order.quote);
            }
            count += 1;
        }
        Ok(count)
    }

    fn rebuilt_checkouts(&mut self, held: &mut Held) -> rusqlite::Result<u64> {
        let sql = "SELECT body, id, version, cart, owner, created_at, live, done, due_at FROM checkouts";
        let mut statement = self.on.prepare(sql)?;
        let mut rows = statement.query(())?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let Ok(checkout) = crate::verify::decoded(row, 0, records::decode_checkout) else { continue };
            let stored = CheckoutColumns {
                id: row.get(1)?,
                version: uint(row.get(2)?),
                cart: row.get(3)?,
                owner: row.get(4)?,
                created_at: row.get(5)?,
                live: row.get(6)?,
                done: row.get(7)?,
                due_at: row.get(8)?,
            };
            let told = CheckoutColumns::of(&checkout);
            if stored != told {
                self.wrong.push(format!("{}: the columns are {stored:?}, the checkout says {told:?}", checkout.id));
            }
            if is_being_paid(checkout.state) {
                // Gifts are held as well.
                for line in &checkout.quote.lines {
                    *held.reserved.entry(line.edition).or_default() += u64::from(line.quantity.get());
                }
                held.uses_of(&checkout.quote);
            }
            count += 1;
        }
        Ok(count)
    }

    fn reserved(&mut self, held: &Held) -> rusqlite::Result<u64> {
        let stored = crate::stock::levels(self.on)?;
        for edition in stored.keys().chain(held.reserved.keys().filter(|e| !stored.contains_key(e))) {
            let level = stored.get(edition).map_or(0, |l| u64::from(l.reserved));
            let promised = held.reserved.get(edition).copied().unwrap_or(0);
            if level != promised {
                self.wrong.push(format!("{edition}: {level} are reserved, checkouts being paid hold {promised}"));
            }
        }
        Ok(stored.len() as u64)
    }

    fn used(&mut self, held: &Held) -> rusqlite::Result<u64> {
        let mut statement = self.on.prepare("SELECT name, used FROM counters")?;
        let stored: BTreeMap<String, u64> =
            statement.query_map((), |row| Ok((row.get(0)?, uint(row.get(1)?))))?.collect::<Result<_, _>>()?;
        for name in stored.keys().chain(held.uses.keys().filter(|c| !stored.contains_key(*c))) {
            let (used, told) = (stored.get(name).copied().unwrap_or(0), held.uses.get(name).copied().unwrap_or(0));
            if used != told {
                self.wrong.push(format!("{name} stands at {used}, orders and checkouts being paid use {told}"));
            }
        }
        Ok(stored.len() as u64)
    }
}

impl Held {
    fn uses_of(&mut self, quote: &domain::pricing::Quote) {
        for one in &quote.uses {
            *self.uses.entry(one.counter.to_string()).or_default() += one.by;
        }
    }
}

/// Whether stock and coupons are held, and not yet by an order.
fn is_being_paid(state: State) -> bool {
    match state {
        State::Authorizing | State::Challenged | State::Undoing { then: AfterUndo::Open | AfterUndo::Canceled } => true,
        State::Open
        | State::Capturing
        | State::Undoing { then: AfterUndo::Failed }
        | State::Completed { .. }
        | State::Canceled { .. }
        | State::Expired { .. } => false,
    }
}

#[derive(Debug, PartialEq)]
struct OrderColumns {
    version: u64,
    number: String,
    checkout: [u8; 16],
    owner: Vec<u8>,
    placed_at: i64,
    status: String,
    payment: String,
}

impl OrderColumns {
    fn of(order: &Order) -> Self {
        Self {
            version: order.version.0,
            number: order.number.to_string(),
            checkout: order.checkout.0.to_be_bytes(),
            owner: records::owner_key(&order.owner),
            placed_at: order.placed_at.0,
            status: order.status.as_str().to_owned(),
            payment: order.payment.as_str().to_owned(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct CheckoutColumns {
    id: [u8; 16],
    version: u64,
    cart: [u8; 16],
    owner: Vec<u8>,
    created_at: i64,
    live: bool,
    done: bool,
    due_at: i64,
}

impl CheckoutColumns {
    fn of(checkout: &Checkout) -> Self {
        Self {
            id: checkout.id.0.to_be_bytes(),
            version: checkout.version.0,
            cart: checkout.cart.0.to_be_bytes(),
            owner: records::owner_key(&checkout.owner),
            created_at: checkout.created_at.0,
            live: checkout.state.is_live(),
            done: checkout.state.is_done(),
            due_at: checkout.due_at.0,
        }
    }
}
