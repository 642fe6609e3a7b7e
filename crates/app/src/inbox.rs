//! What other systems say of carts. A message has one effect: it is remembered in the commit that makes its effect
//! true, and numbered ones have their effects in the order of their numbers ([`domain::inbox`]).

use crate::App;
use crate::caller::Caller;
use crate::cart::{OpenCart, Operation};
use crate::digest::first_half;
use crate::error::Error;
use crate::once::{Answered, Once};
use crate::ports::{Answer, CartChange, PortError, Saved};
use bytes::Bytes;
use domain::cart::{OnceMark, Owner};
use domain::ids::{CustomerId, EditionId, Sku, Version};
use domain::inbox::{Place, Turn, turn};
use domain::limits::{CONFLICT_RETRIES_MAX, GAP_MAX, MESSAGE_ID_MAX, SENDER_MAX};
use domain::pricing::Line;
use domain::quantity::Quantity;
use domain::refusal::Refusal;
use domain::text::Text;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A message about one customer's cart. Made by an edge that trusts its sender to speak for the customer.
#[derive(Clone)]
pub struct Incoming {
    /// Names and numbers of messages are their sender's own.
    pub sender: Text<SENDER_MAX>,
    /// The same name is the same message, whatever it says.
    pub id: Text<MESSAGE_ID_MAX>,
    /// Counts what this sender says of this customer: from 1, without gaps. The same number is the same message.
    pub sequence: Option<u64>,
    pub customer: CustomerId,
    pub wish: Wish,
}

/// What a message asks for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A cart, unless the customer has one.
    Create(OpenCart),
    /// All of it or nothing, on the cart the customer has. A cart that is gone does not come back.
    Update { operations: Vec<Operation>, if_match: Option<Version> },
    /// No cart is as good as deleted.
    Delete { if_match: Option<Version> },
    /// Copies that were bought elsewhere leave the cart; what was added meanwhile stays.
    GiveUp(Vec<Bought>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bought {
    pub what: Named,
    pub quantity: Quantity,
}

/// An edition as others name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Edition(EditionId),
    Sku(Sku),
}

/// What a message may hold is a person's own.
impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sender, id, sequence, .. } = self;
        f.debug_struct("Incoming").field("sender", sender).field("id", id).field("sequence", sequence).finish_non_exhaustive()
    }
}

/// What became of a message. An error is no answer: it is to be taken in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenIn {
    Done,
    /// It had its effect before.
    Repeat,
    /// Later ones have been heeded without it: passed over.
    TooLate,
    /// The one before it is missing: to be taken in again, after a while without patience.
    TooEarly,
    /// It has no effect, now or later.
    Refused(Refusal),
}

const HEEDED: Bytes = Bytes::new();
const GIVEN_UP: Bytes = Bytes::from_static(b"given up");

impl App {
    /// Lets a message have its effect, once. With patience, a numbered message is too early as long as the one
    /// before it is missing; without, those missing are given up.
    pub async fn take_in(&self, message: &Incoming, patient: bool) -> Result<TakenIn, Error> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let this = self.place(message, message.sequence).await?;
            let before = match message.sequence {
                None | Some(0..=1) => Place::Heeded,
                Some(n) => self.place(message, Some(n - 1)).await?,
            };
            match turn(this, before, patient) {
                Turn::Repeat => return Ok(TakenIn::Repeat),
                Turn::TooLate => return Ok(TakenIn::TooLate),
                Turn::TooEarly => return Ok(TakenIn::TooEarly),
                Turn::GiveUp => self.give_up_before(message).await?,
                Turn::Heed => {
                    if let Some(taken) = self.heed_message(message).await? {
                        return Ok(taken);
                    }
                }
            }
        }
        Err(Refusal::CartBusy.into())
    }

    async fn place(&self, message: &Incoming, sequence: Option<u64>) -> Result<Place, PortError> {
        let answer = self.ports.carts.answer(mark(message, sequence).key).await?;
        Ok(answer.map_or(Place::Open, |a| if a.body == GIVEN_UP { Place::GivenUp } else { Place::Heeded }))
    }

    /// Gives up what has not come before this message. Where another node was faster the next look will show it.
    async fn give_up_before(&self, message: &Incoming) -> Result<(), PortError> {
        let n = message.sequence.unwrap_or_default();
        let mut missing = Vec::new();
        for n in (n.saturating_sub(GAP_MAX).max(1)..n).rev() {
            if self.place(message, Some(n)).await? != Place::Open {
                break;
            }
            missing.push(mark(message, Some(n)));
        }
        self.remember_marks(missing, GIVEN_UP).await.map(drop)
    }

    /// The effect, and that it had it. Nothing when it has just been heeded elsewhere, or given up: look again.
    async fn heed_message(&self, message: &Incoming) -> Result<Option<TakenIn>, Error> {
        let mark = mark(message, message.sequence);
        match self.fulfill(message, mark).await {
            Ok(true) => Ok(Some(TakenIn::Done)),
            Ok(false) => Ok(None),
            // Too many at once.
            Err(Error::Refused(refusal @ Refusal::CartBusy)) => Err(refusal.into()),
            // The cart has gone since it was looked for.
            Err(Error::Refused(Refusal::CartNotFound)) if !matches!(message.wish, Wish::Update { .. }) => Ok(None),
            Err(Error::Refused(refusal)) => {
                // Those after it must not wait for it. Without a number it may be sent again when it can be fulfilled.
                if message.sequence.is_some() && !self.remember_marks(vec![mark], HEEDED).await? {
                    return Ok(None);
                }
                Ok(Some(TakenIn::Refused(refusal)))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the wish was fulfilled just now; else its mark was there already.
    async fn fulfill(&self, message: &Incoming, mark: OnceMark) -> Result<bool, Error> {
        let caller = Caller::Customer(message.customer.clone(), Arc::default());
        let owner = caller.owner()?;
        let cart = self.ports.carts.of_owner(&owner, self.now()).await?;
        match (&message.wish, cart) {
            (Wish::Create(open), _) => self.open_cart(&caller, open.clone(), Some(once(mark))).await.map(is_fresh),
            (Wish::Update { .. }, None) => Err(Refusal::CartNotFound.into()),
            (Wish::Update { operations, if_match }, Some(id)) => {
                self.change_cart(&caller, id, operations.clone(), *if_match, Some(once(mark))).await.map(is_fresh)
            }
            (Wish::Delete { .. } | Wish::GiveUp(_), None) => Ok(self.remember_marks(vec![mark], HEEDED).await?),
            (Wish::Delete { if_match }, Some(id)) => self.delete_cart(&caller, id, *if_match, Some(once(mark))).await.map(is_fresh),
            (Wish::GiveUp(bought), Some(id)) => self.give_up(owner, id, self.lines(bought), once(mark)).await.map(is_fresh),
        }
    }

    /// What was bought, as far as this shop knows it: the rest is in no cart.
    fn lines(&self, bought: &[Bought]) -> Vec<Line> {
        let snapshot = self.ports.catalog.snapshot();
        let line = |bought: &Bought| {
            let edition = match &bought.what {
                Named::Edition(edition) => Some(*edition),
                Named::Sku(sku) => snapshot.edition_by_sku(sku),
            };
            edition.map(|edition| Line { edition, quantity: bought.quantity })
        };
        bought.iter().filter_map(line).collect()
    }

    /// Remembers marks without any other effect; false when one of them was known.
    async fn remember_marks(&self, marks: Vec<OnceMark>, body: Bytes) -> Result<bool, PortError> {
        let now = self.now();
        let answers = marks.into_iter().map(|mark| Answer { mark, body: body.clone(), at: now }).collect();
        let saved = self.ports.carts.save(CartChange { answers, ..CartChange::default() }, now).await?;
        Ok(matches!(saved, Saved::Done))
    }
}

fn once<T>(mark: OnceMark) -> Once<T> {
    Once { mark, render: |_| HEEDED }
}

fn is_fresh<T>(answered: Answered<T>) -> bool {
    matches!(answered, Answered::Fresh(_))
}

/// Under which a message is remembered: its number among those of its sender, else its name.
fn mark(message: &Incoming, sequence: Option<u64>) -> OnceMark {
    let owner = Owner::Customer(message.customer.clone());
    let name = sequence.map_or_else(|| format!("id {}", message.id), |n| format!("number {n}"));
    let mut sha = Sha256::new_with_prefix("message");
    for part in [message.customer.as_str(), message.sender.as_str(), &name] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let mut key = first_half(sha);
    // What is remembered of an owner lies where the owner's cart does.
    key[0] = owner.partition().0;
    OnceMark { key, fingerprint: [0; 16] }
}
