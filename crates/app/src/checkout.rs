//! Checkout: one version of a cart becomes at most one order.
//!
//! `process` is one command: decide → commit (checkout `authorizing`, stock and coupons held) → `saga::drive`,
//! which performs what the state asks for at the provider and commits each outcome. Browser, second tab and
//! sweeper run the same code; the lane keeps them from doing it at the same time on one node, the version
//! check from doing it twice on two.

use crate::App;
use crate::caller::Caller;
use crate::cart::{ensure_version, hold};
use crate::error::Error;
use crate::once::{Answered, Once, answer, before};
use crate::ports::{AtLeast, Change, Committed, PortError, PortErrorKind, UseChange, UseMove};
use crate::saga::steps::{begun, challenge_undone, is_given_time};
use crate::tax::Asked;
use domain::cart::{Cart, Owner};
use domain::checkout::{AfterUndo, Attempt, Checkout, CheckoutEvent, Details, PaymentError, State};
use domain::event::Outgoing;
use domain::ids::{AttemptId, CartId, CheckoutId, CouponCode, EditionId, OrderId, PaymentToken, ShippingOptionId, Version};
use domain::limits::{CONFLICT_RETRIES_MAX, DRIVE_LEASE, NAME_MAX, URL_MAX};
use domain::money::Money;
use domain::order::{Number, Order};
use domain::planted;
use domain::pricing::{Context, Counter, Pricebook, Quote, QuotedLine, ShippingOption, Use, WhyNot, quote};
use domain::refusal::{Refusal, Short};
use domain::stock::{StockChange, StockMove};
use domain::text::Text;
use domain::time::Timestamp;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct StartCheckout {
    /// The caller's active cart when left out.
    pub cart: Option<CartId>,
    pub details: Details,
}

#[derive(Clone, Debug)]
pub struct CheckoutView {
    pub checkout: Checkout,
    /// Ways to ship to the address given so far.
    pub options: Vec<ShippingOffer>,
}

#[derive(Clone, Debug)]
pub struct ShippingOffer {
    pub id: ShippingOptionId,
    pub label: Text<NAME_MAX>,
    /// For these goods.
    pub price: Money,
}

#[derive(Clone, Debug)]
pub struct Started {
    pub view: CheckoutView,
    pub created: bool,
}

#[derive(Clone, Debug)]
pub struct Process {
    pub checkout: CheckoutId,
    pub token: PaymentToken,
    /// The total the shopper saw and agreed to.
    pub expected_total: Money,
    /// Where the provider sends the customer after a challenge.
    pub return_url: Option<Text<URL_MAX>>,
    /// Of the checkout, for a new attempt.
    pub if_match: Option<Version>,
}

#[derive(Clone, Debug)]
pub enum Processed {
    Completed(Box<Order>),
    /// Being paid, or waiting for the customer; the checkout tells.
    Waiting(Box<Checkout>),
    Declined {
        attempt: AttemptId,
        error: PaymentError,
    },
}

/// What a client may do to its checkout besides paying it.
enum Edit {
    FillIn(Box<Details>),
    Cancel,
}

impl App {
    /// The open checkout of a cart, or a new one. An open one takes over what the cart holds now.
    pub async fn start_checkout(
        &self,
        caller: &Caller,
        start: StartCheckout,
        once: Option<Once<Started>>,
    ) -> Result<Answered<Started>, Error> {
        let owner = caller.owner()?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.ledger.answer(key)).await? {
            return Ok(again);
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (now, book) = (self.now(), self.pricebook());
            let cart = self.cart_to_check_out(&owner, start.cart, now).await?;
            let mut created = false;
            let (mut checkout, expected, events) = match self.ports.ledger.checkout_of_cart(cart.id).await? {
                Some(old) if !old.state.is_live() || (old.state == State::Open && now >= old.expires_at) => {
                    self.drive_by_id(old.id).await?;
                    continue;
                }
                Some(open) if open.state == State::Open => (open.clone(), open.version, vec![]),
                Some(busy) => return self.remember(once.as_ref(), Started { view: checkout_view(busy, &book), created }).await,
                None => {
                    created = true;
                    let (checkout, event) = self.new_checkout(&cart, &book, now).await?;
                    (checkout, Version(0), vec![event])
                }
            };
            if !created {
                checkout.freeze(&cart);
            }
            checkout.fill_in(start.details.clone());
            drop_estimate(&mut checkout);
            self.reprice(caller, &mut checkout, &book, now).await?;
            checkout.version = expected.next();
            let started = Started { view: checkout_view(checkout.clone(), &book), created };
            let answer = answer(once.as_ref(), &started, now);
            let change = Change { checkout: Some((checkout, expected)), outbox: events, answer, ..Change::default() };
            match (self.commit(change, now).await?, &once) {
                (Committed::Done, _) => return Ok(Answered::Fresh(started)),
                (Committed::Answered(first), Some(once)) => return once.again(first),
                _ => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }

    async fn cart_to_check_out(&self, owner: &Owner, cart: Option<CartId>, now: Timestamp) -> Result<Arc<Cart>, Error> {
        let id = match cart {
            Some(id) => id,
            None => self.ports.carts.of_owner(owner, now).await?.ok_or(Refusal::CartNotFound)?,
        };
        let cart = self.owned_cart(owner, id, AtLeast::Now, now).await?;
        if cart.items.is_empty() { Err(Refusal::CartEmpty.into()) } else { Ok(cart) }
    }

    /// Puts the cart on hold and freezes it. A hold without a checkout (a crash in between) is taken over.
    async fn new_checkout(&self, cart: &Cart, book: &Pricebook, now: Timestamp) -> Result<(Checkout, Outgoing), Error> {
        let id = CheckoutId(self.fresh_bits(now));
        let held = self.command_cart(&cart.owner, cart.id, hold(cart.checkout, id)).await?.ok_or(Refusal::CartNotFound)?;
        let bare = quote(&[], &[], &self.shelf(), book.rules(), &Context::cart(held.currency), now)?;
        Ok(Checkout::start(id, &held, bare, self.policy.checkout_ttl, now))
    }

    pub async fn checkout(&self, caller: &Caller, id: CheckoutId) -> Result<CheckoutView, Error> {
        let checkout = self.owned_checkout(&caller.owner()?, id).await?;
        match checkout.ensure_open(self.now()) {
            Err(Refusal::CheckoutExpired) => Err(Refusal::CheckoutExpired.into()),
            _ => Ok(checkout_view(checkout, &self.pricebook())),
        }
    }

    async fn owned_checkout(&self, owner: &Owner, id: CheckoutId) -> Result<Checkout, Error> {
        let checkout = self.ports.ledger.checkout(id).await?.ok_or(Refusal::CheckoutNotFound)?;
        if checkout.owner == *owner || planted("checkout-owner-not-compared") {
            Ok(checkout)
        } else {
            Err(Refusal::CheckoutNotFound.into())
        }
    }

    /// The named checkout, or the caller's newest.
    pub async fn which_checkout(&self, caller: &Caller, id: Option<CheckoutId>) -> Result<CheckoutId, Error> {
        match id {
            Some(id) => Ok(id),
            None => Ok(self.ports.ledger.checkout_of_owner(&caller.owner()?).await?.ok_or(Refusal::CheckoutNotFound)?.id),
        }
    }

    /// Fills in details and takes over what the cart holds now.
    pub async fn update_checkout(
        &self,
        caller: &Caller,
        id: CheckoutId,
        details: Details,
        if_match: Option<Version>,
        once: Option<Once<CheckoutView>>,
    ) -> Result<Answered<CheckoutView>, Error> {
        self.edit_checkout(caller, id, if_match, once, &Edit::FillIn(Box::new(details))).await
    }

    /// Ends a checkout that is not being paid and reopens its cart.
    pub async fn cancel_checkout(
        &self,
        caller: &Caller,
        id: CheckoutId,
        if_match: Option<Version>,
        once: Option<Once<CheckoutView>>,
    ) -> Result<Answered<CheckoutView>, Error> {
        let canceled = self.edit_checkout(caller, id, if_match, once, &Edit::Cancel).await?;
        self.drive_by_id(id).await?;
        Ok(canceled)
    }

    /// Loads, edits and commits a checkout, again when somebody else was faster.
    async fn edit_checkout(
        &self,
        caller: &Caller,
        id: CheckoutId,
        if_match: Option<Version>,
        once: Option<Once<CheckoutView>>,
        edit: &Edit,
    ) -> Result<Answered<CheckoutView>, Error> {
        let owner = caller.owner()?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.ledger.answer(key)).await? {
            return Ok(again);
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (now, book) = (self.now(), self.pricebook());
            let mut checkout = self.owned_checkout(&owner, id).await?;
            ensure_version(if_match, checkout.version)?;
            let expected = checkout.version;
            let outbox = self.edit(caller, &mut checkout, edit, &book, now).await?;
            checkout.version = expected.next();
            let view = checkout_view(checkout.clone(), &book);
            let answer = answer(once.as_ref(), &view, now);
            let change = Change { checkout: Some((checkout, expected)), outbox, answer, ..Change::default() };
            match (self.commit(change, now).await?, &once) {
                (Committed::Done, _) => return Ok(Answered::Fresh(view)),
                (Committed::Answered(first), Some(once)) => return once.again(first),
                _ => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }

    async fn edit(
        &self,
        caller: &Caller,
        checkout: &mut Checkout,
        edit: &Edit,
        book: &Arc<Pricebook>,
        now: Timestamp,
    ) -> Result<Vec<Outgoing>, Error> {
        match edit {
            Edit::FillIn(details) => {
                checkout.ensure_open(now)?;
                if let Some(cart) = self.ports.carts.load(checkout.cart, AtLeast::Now, now).await? {
                    checkout.freeze(&cart);
                }
                checkout.fill_in((**details).clone());
                drop_estimate(checkout);
                self.reprice(caller, checkout, book, now).await?;
                Ok(vec![])
            }
            Edit::Cancel => Ok(cancel(checkout, now)?.into_iter().collect()),
        }
    }

    /// Pays a checkout and places its order: at most once, whoever asks and however often.
    pub async fn process(&self, caller: &Caller, process: Process, once: Once<Processed>) -> Result<Answered<Processed>, Error> {
        // On the heap: it is the longest of all use cases, and every future that awaits it would be as large.
        Box::pin(self.pay(caller, process, once)).await
    }

    async fn pay(&self, caller: &Caller, process: Process, once: Once<Processed>) -> Result<Answered<Processed>, Error> {
        let owner = caller.owner()?;
        let id = process.checkout;
        let _turn = self.checkouts.turn(id, ()).await.ok_or_else(crowded)?;
        if let Some(first) = self.ports.ledger.answer(once.mark.key).await? {
            return once.again(first);
        }
        let checkout = self.owned_checkout(&owner, id).await?;
        let repeated = checkout.attempt.as_ref().filter(|a| a.mark.key == once.mark.key);
        if let Some(attempt) = repeated {
            once.same_request(attempt.mark)?;
        }
        let checkout = match checkout.state {
            State::Open if repeated.is_some() => checkout,
            State::Open => {
                let begun = self.begin(caller, checkout, &process, &once).await?;
                self.drive(begun, Some(&once)).await?
            }
            State::Challenged if repeated.is_none() => self.pay_otherwise(caller, checkout, &process, &once).await?,
            // A challenge that is being taken back, in favor of this or of another means of payment.
            State::Undoing { then: AfterUndo::Open } if repeated.is_none() && checkout.last_error.is_none() => {
                self.pay_otherwise(caller, checkout, &process, &once).await?
            }
            State::Canceled { .. } | State::Expired { .. } => checkout,
            State::Authorizing if is_given_time(&checkout, self.now()) => checkout,
            State::Authorizing | State::Challenged | State::Capturing | State::Undoing { .. } | State::Completed { .. } => {
                self.drive(checkout, Some(&once)).await?
            }
        };
        self.conclude(self.processed(checkout).await?, &once).await
    }

    /// The answer to a request that wanted to pay. Driving the checkout has remembered it when it was this
    /// request that did; whoever else did, did not know its key.
    async fn conclude(&self, processed: Processed, once: &Once<Processed>) -> Result<Answered<Processed>, Error> {
        match (self.ports.ledger.answer(once.mark.key).await?, &processed) {
            (Some(first), _) if first.body == (once.render)(&processed) => Ok(Answered::Fresh(processed)),
            (Some(first), _) => once.again(first),
            (None, Processed::Completed(_) | Processed::Declined { .. }) => self.remember(Some(once), processed).await,
            (None, Processed::Waiting(_)) => Ok(Answered::Fresh(processed)),
        }
    }

    /// Remembers an answer that no change came with; when there is one already, that is the answer.
    async fn remember<T>(&self, once: Option<&Once<T>>, value: T) -> Result<Answered<T>, Error> {
        let Some(once) = once else { return Ok(Answered::Fresh(value)) };
        let now = self.now();
        let change = Change { answer: Some(once.answer(&value, now)), ..Change::default() };
        match self.commit(change, now).await? {
            Committed::Answered(first) => once.again(first),
            _ => Ok(Answered::Fresh(value)),
        }
    }

    /// Another means of payment in place of a challenge, unless that was met meanwhile. Where a request before this one did not
    /// get to the end of taking it back, this goes on from there.
    async fn pay_otherwise(
        &self,
        caller: &Caller,
        challenged: Checkout,
        process: &Process,
        once: &Once<Processed>,
    ) -> Result<Checkout, Error> {
        let asked = self.drive(challenged, None).await?;
        let open = match asked.state {
            State::Challenged => self.undo_challenge(asked).await?,
            State::Open => asked,
            State::Authorizing
            | State::Capturing
            | State::Undoing { .. }
            | State::Completed { .. }
            | State::Canceled { .. }
            | State::Expired { .. } => return Ok(asked),
        };
        let begun = self.begin(caller, open, process, once).await?;
        self.drive(begun, Some(once)).await
    }

    /// Goes on with a payment whose customer was at the provider, as far as it goes now. Asking again, however
    /// often, has no second effect.
    pub async fn resume_checkout(&self, caller: &Caller, id: CheckoutId) -> Result<Processed, Error> {
        let owner = caller.owner()?;
        let _turn = self.checkouts.turn(id, ()).await.ok_or_else(crowded)?;
        let checkout = self.owned_checkout(&owner, id).await?;
        let driven = self.drive(checkout, None).await?;
        let held = self.hold_longer(driven).await?;
        self.processed(held).await
    }

    /// The goods stay held while the customer is active.
    async fn hold_longer(&self, checkout: Checkout) -> Result<Checkout, Error> {
        let now = self.now();
        let Some(until) = checkout.held_longer(self.policy.reservation_ttl, now) else { return Ok(checkout) };
        let expected = checkout.version;
        let mut held = Checkout { due_at: until, version: expected.next(), ..checkout };
        if let Some(attempt) = &mut held.attempt {
            attempt.reserved_until = until;
        }
        // Somebody else may have been faster: then it is they who hold it, or let go.
        self.commit(Change { checkout: Some((held.clone(), expected)), ..Change::default() }, now).await?;
        Ok(held)
    }

    /// What a checkout's state answers to somebody who wanted to pay it.
    pub(crate) async fn processed(&self, checkout: Checkout) -> Result<Processed, Error> {
        match (checkout.state, &checkout.last_error) {
            (State::Completed { .. }, _) => {
                let id = checkout.current().order;
                let order = self.ports.ledger.order(id).await?;
                Ok(Processed::Completed(Box::new(order.ok_or(Refusal::OrderNotFound)?)))
            }
            (State::Authorizing | State::Challenged | State::Capturing | State::Undoing { .. }, _) => {
                Ok(Processed::Waiting(Box::new(checkout)))
            }
            (State::Open | State::Canceled { .. }, Some(error)) => {
                Ok(Processed::Declined { attempt: checkout.current().id, error: error.clone() })
            }
            (State::Expired { .. }, _) => Err(Refusal::CheckoutExpired.into()),
            (state @ (State::Open | State::Canceled { .. }), None) => Err(Refusal::CheckoutState { state: state.kind() }.into()),
        }
    }

    /// Agrees with the cart, the prices and the stock, and commits the attempt before anything is asked of
    /// the provider.
    async fn begin(&self, caller: &Caller, mut checkout: Checkout, process: &Process, once: &Once<Processed>) -> Result<Checkout, Error> {
        let now = self.now();
        checkout.ensure_open(now)?;
        ensure_version(process.if_match, checkout.version)?;
        self.agree(caller, &mut checkout, process.expected_total, now).await?;
        let attempt = Attempt {
            id: AttemptId(self.fresh_bits(now)),
            token: process.token.clone(),
            amount: checkout.quote.total,
            order: OrderId(self.fresh_bits(now)),
            number: if planted("number-from-clock") {
                Number::from_random(now.millis() / 60_000)
            } else {
                Number::from_random(self.ports.entropy.bits64())
            },
            mark: once.mark,
            started_at: now,
            reserved_until: now.plus(self.policy.reservation_ttl),
            tries: 0,
            return_url: process.return_url.clone(),
            challenge: None,
        };
        let uses = used(&checkout.quote, &attempt.cause("use"));
        let begun = begun(&checkout, attempt, uses, now)?;
        let after = begun.after().clone();
        match self.commit(begun.change, now).await? {
            Committed::Done => Ok(after),
            Committed::StockShort(short) => Err(Refusal::OutOfStock { short }.into()),
            Committed::UsedUp(counter) => Err(Refusal::CouponExhausted { code: name_of(&counter, &after.quote) }.into()),
            Committed::Answered(_)
            | Committed::CheckoutConflict
            | Committed::CartTaken(_)
            | Committed::OrderConflict
            | Committed::NumberTaken => Err(Refusal::IdempotencyInFlight.into()),
        }
    }

    /// Refuses, with the facts, unless cart, prices and total are what the shopper agreed to. What is shown
    /// next time is then up to date.
    async fn agree(&self, caller: &Caller, checkout: &mut Checkout, expected_total: Money, now: Timestamp) -> Result<(), Error> {
        let cart =
            self.ports.carts.load(checkout.cart, AtLeast::Now, now).await?.filter(|c| !c.items.is_empty()).ok_or(Refusal::CartEmpty)?;
        let (mut agrees, promised) = (checkout.agrees_with(&cart), gifts(&checkout.quote));
        checkout.freeze(&cart);
        if !(agrees && planted("price-not-renewed")) {
            self.reprice(caller, checkout, &self.pricebook(), now).await?;
            // A gift costs what it takes off: without a word, nobody would see in the total that it is gone.
            agrees &= gifts(&checkout.quote) == promised;
        }
        let refusal = if !agrees {
            Some(Refusal::CartChanged { total: checkout.quote.total })
        } else if !checkout.is_ready() {
            Some(Refusal::CheckoutIncomplete { missing: checkout.missing() })
        } else if !checkout.quote.unavailable.is_empty() {
            let gone = checkout.quote.unavailable.iter();
            Some(Refusal::OutOfStock {
                short: gone.map(|l| Short { edition: l.edition, sku: None, wanted: l.quantity.get(), available: 0 }).collect(),
            })
        } else if let Some(gone) = used_up(&checkout.quote) {
            Some(Refusal::CouponExhausted { code: gone.to_string() })
        } else if checkout.quote.total != expected_total && !planted("total-not-compared") {
            Some(Refusal::PriceChanged { expected: expected_total, total: checkout.quote.total })
        } else {
            None
        };
        let Some(refusal) = refusal else { return Ok(()) };
        let expected = checkout.version;
        let fresh = Checkout { version: expected.next(), ..checkout.clone() };
        // Somebody else may have been faster; the refusal stands either way.
        self.commit(Change { checkout: Some((fresh, expected)), ..Change::default() }, now).await?;
        Err(refusal.into())
    }

    async fn undo_challenge(&self, challenged: Checkout) -> Result<Checkout, Error> {
        let now = self.now();
        let undone = challenge_undone(&challenged, now)?;
        let after = undone.after().clone();
        match self.commit(undone.change, now).await? {
            Committed::Done => self.drive(after, None).await,
            // Somebody else was faster: what they made of the challenge stands.
            Committed::CheckoutConflict
            | Committed::Answered(_)
            | Committed::CartTaken(_)
            | Committed::OrderConflict
            | Committed::NumberTaken
            | Committed::StockShort(_)
            | Committed::UsedUp(_) => Ok(self.ports.ledger.checkout(challenged.id).await?.ok_or(Refusal::CheckoutNotFound)?),
        }
    }

    /// Prices what is frozen, for the address and shipping chosen so far.
    async fn reprice(&self, caller: &Caller, checkout: &mut Checkout, book: &Arc<Pricebook>, now: Timestamp) -> Result<(), Error> {
        let terms = self.terms(Arc::clone(book), &checkout.coupons, caller.shopper(checkout.email.as_ref()), now).await?;
        let context = Context {
            destination: checkout.shipping_address.as_ref().map(Into::into),
            shipping: checkout.shipping_option.clone(),
            ..terms.context(checkout.quote.currency)
        };
        let chosen = context.destination.is_some() && context.shipping.is_some();
        let (lines, coupons, shelf) = (&checkout.lines, &checkout.coupons, &self.shelf());
        let asked = Asked { terms: &terms, lines, coupons, shelf };
        (checkout.quote, checkout.assessment) = self.quote_taxed(&asked, context, checkout.assessment.take(), now).await?;
        if chosen && !checkout.quote.settled {
            return Err(Refusal::ShippingUnavailable.into());
        }
        Ok(())
    }
}

fn checkout_view(checkout: Checkout, book: &Pricebook) -> CheckoutView {
    let options = match (&checkout.shipping_address, checkout.quote.parcels()) {
        (Some(address), Ok(parcels)) if !parcels.is_empty() => {
            let options = book.rules().shipping_to(&address.into(), checkout.quote.currency).into_iter();
            let offer =
                |o: &ShippingOption| Some(ShippingOffer { id: o.id.clone(), label: o.label.clone(), price: o.price_for(&parcels).ok()? });
            options.filter_map(offer).collect()
        }
        _ => Vec::new(),
    };
    CheckoutView { checkout, options }
}

/// Whoever knows what tax is due is asked again, where it could not say before. Paying keeps to what the shopper has seen.
fn drop_estimate(checkout: &mut Checkout) {
    checkout.assessment = checkout.assessment.take().filter(|known| !known.assessed.estimated);
}

/// Whether it happened is for the next who asks.
pub(crate) fn crowded() -> PortError {
    PortError::unknown("ledger", PortErrorKind::Unavailable, "too many requests wait for this checkout")
}

/// Ends a checkout that is not being paid, or begins to take back a challenge.
pub(crate) fn cancel(checkout: &mut Checkout, now: Timestamp) -> Result<Option<Outgoing>, Refusal> {
    match checkout.state {
        State::Canceled { .. } => Ok(None),
        State::Challenged => {
            checkout.go(State::Undoing { then: AfterUndo::Canceled }, now.plus(DRIVE_LEASE))?;
            Ok(None)
        }
        State::Open | State::Authorizing | State::Capturing | State::Undoing { .. } | State::Completed { .. } | State::Expired { .. } => {
            checkout.ensure_open(now)?;
            checkout.go(State::Canceled { settled: false }, now.plus(DRIVE_LEASE))?;
            Ok(Some(checkout.announce(CheckoutEvent::Canceled, now)))
        }
    }
}

/// Editions that promotions add to the order.
fn gifts(quote: &Quote) -> Vec<EditionId> {
    quote.lines.iter().filter(|line| line.gift).map(|line| line.edition).collect()
}

/// A code that is used up, by everybody or by this person.
fn used_up(quote: &Quote) -> Option<&CouponCode> {
    let gone = |why: &WhyNot| matches!(why, WhyNot::Exhausted | WhyNot::UsedByShopper);
    quote.not_applied.iter().filter(|n| gone(&n.why)).find_map(|n| n.code.as_ref())
}

/// What the shopper knows a counter by: the code on the cart, else the promotion.
fn name_of(counter: &Counter, quote: &Quote) -> String {
    let promotion = match counter {
        Counter::Code(code) => return code.to_string(),
        Counter::Orders(who) => return who.to_string(),
        Counter::Uses(id) | Counter::UsesBy(id, _) | Counter::Spent(id) => id,
    };
    let known = quote.adjustments.iter().find(|a| a.promotion.as_ref() == Some(promotion));
    known.map_or_else(|| promotion.to_string(), |a| a.code.clone())
}

/// One move of a kind for every line of a checkout, gifts included.
pub(crate) fn moves(checkout: &Checkout, attempt: &Attempt, what: &str, change: fn(u32) -> StockChange) -> Vec<StockMove> {
    let one = |line: &QuotedLine| StockMove { edition: line.edition, change: change(line.quantity.get()), cause: attempt.cause(what) };
    checkout.quote.lines.iter().filter(|line| !(line.gift && planted("gift-not-held"))).map(one).collect()
}

/// Takes what a quote uses of limited promotions.
fn used(quote: &Quote, cause: &str) -> Vec<UseMove> {
    let one =
        |u: &Use| UseMove { counter: u.counter.clone(), change: UseChange::Use { by: u.by, limit: u.limit }, cause: cause.to_owned() };
    quote.uses.iter().map(one).collect()
}

/// Gives back what [`used`] took.
pub(crate) fn give_back(quote: &Quote, cause: &str) -> Vec<UseMove> {
    let one = |u: &Use| UseMove { counter: u.counter.clone(), change: UseChange::GiveBack { by: u.by }, cause: cause.to_owned() };
    quote.uses.iter().map(one).collect()
}
