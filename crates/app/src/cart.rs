//! Carts. Adding an item is: parse (edge) → the cart's lane → load cart and offers → `Cart::decide` and
//! `quote` → one save with its events and answers.
//!
//! All changes to one cart go through its lane, so none is lost and none is refused for arriving at the same
//! time as another. The head of the lane decides for everyone waiting and saves once; between nodes, the
//! store's version check makes the slower node decide again.

use crate::App;
use crate::caller::{Caller, who};
use crate::error::Error;
use crate::lane::{Entered, Lanes, Leader, Turn};
use crate::once::{Answered, Once, answer, before};
use crate::ports::{Answer, AtLeast, CartChange, CartWrite, PortError, PortErrorKind, Saved};
use crate::pricing::{Shelf, Terms};
use crate::snapshot::Snapshot;
use crate::traced::{mark, trace};
use domain::cart::{Cart, CartEvent, CartStatus, Command, Decided, Lifetimes, Metadata, Note, Owner, Strategy, Warning};
use domain::ids::{BookId, CartId, CheckoutId, CouponCode, EditionId, ItemId, Version};
use domain::limits::{CONFLICT_RETRIES_MAX, LANE_BATCH_MAX, OPERATIONS_MAX};
use domain::money::Currency;
use domain::planted;
use domain::pricing::{Context, Line, Pricebook, Quote, Shopper};
use domain::quantity::Quantity;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use domain::trace::TraceContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone, Debug)]
pub struct AddItem {
    pub product: BookId,
    /// May be left out when the book has one edition.
    pub variant: Option<EditionId>,
    pub quantity: Quantity,
}

#[derive(Clone, Debug)]
pub struct OpenCart {
    pub currency: Option<Currency>,
    pub items: Vec<AddItem>,
    pub coupons: Vec<CouponCode>,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Add(AddItem),
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
}

#[derive(Clone)]
pub struct MergeCart {
    /// The token of the guest session whose cart is taken over: having it is the right to it.
    pub source_token: String,
    pub strategy: Strategy,
    /// Says what would be, and changes nothing.
    pub dry_run: bool,
}

/// The token is a secret.
impl std::fmt::Debug for MergeCart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeCart").field("strategy", &self.strategy).field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// A cart as it is shown: priced, with what the shopper should know.
#[derive(Clone, Debug)]
pub struct CartView {
    pub cart: Arc<Cart>,
    pub quote: Quote,
    pub warnings: Vec<Warning>,
}

/// What a view was made from. As long as it stands so does the view, and whoever kept what it made of the view
/// need not ask for it again.
#[derive(Debug)]
pub struct Basis {
    cart: Arc<Cart>,
    snapshot: Arc<Snapshot>,
    pricebook: Arc<Pricebook>,
    /// Copies there were to be had of each item.
    available: Vec<u32>,
    /// The catalog's count of changes when this was last true.
    changes: AtomicU64,
}

#[derive(Clone, Debug)]
pub struct Opened {
    pub view: CartView,
    pub created: bool,
}

/// What waits in a cart's lane.
pub(crate) struct Work {
    owner: Owner,
    shopper: Shopper,
    change: Changes,
    if_match: Option<Version>,
    once: Option<Once<CartView>>,
    /// Its own: whoever leads the lane belongs to another.
    trace: Option<TraceContext>,
}

enum Changes {
    Operations(Vec<Operation>),
    /// Decided already: by the checkout, or by having been bought elsewhere.
    Commands(Vec<Command>),
    Merge {
        source: Owner,
        strategy: Strategy,
    },
}

type Outcome = Result<Answered<CartView>, Error>;
pub(crate) type CartLanes = Lanes<CartId, Work, Outcome>;
type CartLeader = Leader<CartId, Work, Outcome>;

impl App {
    /// The caller's active cart, or a new one made from `open`. A cart that is there already is not changed; one
    /// whose items were all bought makes way for the new one.
    pub async fn open_cart(&self, caller: &Caller, open: OpenCart, once: Option<Once<Opened>>) -> Result<Answered<Opened>, Error> {
        let owner = caller.owner()?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.carts.answer(key)).await? {
            return Ok(again);
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            let now = self.now();
            let old = match self.ports.carts.of_owner(&owner, now).await? {
                Some(id) => self.ports.carts.load(id, AtLeast::Now, now).await?,
                None => None,
            };
            let (opened, mut change) = match old {
                Some(cart) if cart.status() != CartStatus::Converted => {
                    (Opened { view: self.view(caller, cart, now).await?, created: false }, CartChange::default())
                }
                bought => self.new_cart_for(caller, bought.as_deref(), &open, now).await?,
            };
            mark(&mut change.outbox, trace().as_ref());
            change.answers = answer(once.as_ref(), &opened, now).into_iter().collect();
            if change.writes.is_empty() && change.answers.is_empty() {
                return Ok(Answered::Fresh(opened));
            }
            match (self.ports.carts.save(change, now).await?, &once) {
                (Saved::Done, _) => return Ok(Answered::Fresh(opened)),
                (Saved::Answered(first), Some(once)) => return once.again(first),
                (Saved::Conflict { .. } | Saved::OwnerHas(_) | Saved::Answered(_), _) => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }

    /// A new cart, in place of one whose items were all bought.
    async fn new_cart_for(
        &self,
        caller: &Caller,
        bought: Option<&Cart>,
        open: &OpenCart,
        now: Timestamp,
    ) -> Result<(Opened, CartChange), Error> {
        let Decided { cart, events } = self.new_cart(caller.owner()?, open, now)?;
        let opened = Opened { view: self.view(caller, Arc::new(cart), now).await?, created: true };
        let put = CartWrite::Put { cart: Arc::clone(&opened.view.cart), expected: Version(0) };
        let delete = bought.iter().map(|old| CartWrite::Delete { id: old.id, expected: old.version });
        let deleted = bought.iter().map(|old| old.end(CartEvent::Deleted { merged_into: None }, now));
        let change = CartChange { writes: delete.chain([put]).collect(), outbox: deleted.chain(events).collect(), answers: vec![] };
        Ok((opened, change))
    }

    fn new_cart(&self, owner: Owner, open: &OpenCart, now: Timestamp) -> Result<Decided, Error> {
        let shelf = self.shelf();
        let adds = open.items.iter().cloned().map(Operation::Add).collect::<Vec<_>>();
        let mut commands = commands(&adds, &shelf)?;
        commands.push(Command::Coupons(open.coupons.clone()));
        let lifetimes = &self.policy.carts;
        let currency = open.currency.unwrap_or(self.policy.currency);
        let id = CartId::within(self.fresh_bits(now), owner.partition());
        let Decided { cart, mut events } = Cart::create(id, owner, currency, lifetimes, now);
        let filled = decide_all(&cart, &commands, &shelf, lifetimes, now)?;
        events.extend(filled.events);
        Ok(Decided { cart: filled.cart, events })
    }

    /// The caller's active cart.
    pub async fn my_cart(&self, caller: &Caller) -> Result<CartView, Error> {
        self.view(caller, self.my_unpriced_cart(caller, None).await?, self.now()).await
    }

    pub async fn cart(&self, caller: &Caller, id: CartId) -> Result<CartView, Error> {
        self.view(caller, self.unpriced_cart(caller, id, None).await?, self.now()).await
    }

    /// A cart as it is stored, at least as new as the version the caller has `seen`.
    pub async fn unpriced_cart(&self, caller: &Caller, id: CartId, seen: Option<Version>) -> Result<Arc<Cart>, Error> {
        self.owned_cart(&caller.owner()?, id, AtLeast::since(seen), self.now()).await
    }

    /// The caller's active cart as it is stored.
    pub async fn my_unpriced_cart(&self, caller: &Caller, seen: Option<Version>) -> Result<Arc<Cart>, Error> {
        let now = self.now();
        let owner = caller.owner()?;
        let id = self.ports.carts.of_owner(&owner, now).await?.ok_or(Refusal::CartNotFound)?;
        self.owned_cart(&owner, id, AtLeast::since(seen), now).await
    }

    /// Prices a cart, and says what the view was made from.
    pub async fn price_cart(&self, caller: &Caller, cart: Arc<Cart>) -> Result<(CartView, Basis), Error> {
        let catalog = &self.ports.catalog;
        // Counted before anything is looked at: a change in between makes this basis old, never wrong.
        let changes = AtomicU64::new(catalog.changes());
        let (snapshot, pricebook, available) = (catalog.snapshot(), self.pricebook(), self.available(&cart).collect());
        let basis = Basis { snapshot, pricebook, available, cart: Arc::clone(&cart), changes };
        Ok((self.view(caller, cart, self.now()).await?, basis))
    }

    /// Whether pricing this cart would give the same view again. Never with codes or rules that come and go with
    /// time, use and shopper.
    pub fn still_shows(&self, basis: &Basis, cart: &Arc<Cart>) -> bool {
        let steady = || Arc::ptr_eq(&basis.pricebook, &self.pricebook()) && basis.pricebook.rules().is_steady();
        if !Arc::ptr_eq(&basis.cart, cart) || !cart.coupons.is_empty() || !steady() {
            return false;
        }
        let changes = self.ports.catalog.changes();
        if basis.changes.load(Ordering::Relaxed) == changes {
            return true;
        }
        let same = Arc::ptr_eq(&basis.snapshot, &self.ports.catalog.snapshot()) && self.available(cart).eq(basis.available.iter().copied());
        if same {
            basis.changes.store(changes, Ordering::Relaxed);
        }
        same
    }

    fn available(&self, cart: &Cart) -> impl Iterator<Item = u32> {
        cart.items.iter().map(|item| self.ports.catalog.level(item.edition).available())
    }

    pub(crate) async fn owned_cart(&self, owner: &Owner, id: CartId, fresh: AtLeast, now: Timestamp) -> Result<Arc<Cart>, Error> {
        let cart = self.ports.carts.load(id, fresh, now).await?.ok_or(Refusal::CartNotFound)?;
        if cart.owner == *owner { Ok(cart) } else { Err(Refusal::CartNotFound.into()) }
    }

    /// Applies operations in order, all or nothing.
    pub async fn change_cart(
        &self,
        caller: &Caller,
        id: CartId,
        operations: Vec<Operation>,
        if_match: Option<Version>,
        once: Option<Once<CartView>>,
    ) -> Outcome {
        if operations.len() > OPERATIONS_MAX {
            return Err(Refusal::OperationsTooMany.into());
        }
        let (owner, shopper) = (caller.owner()?, caller.shopper(None));
        self.in_lane(id, Work { owner, shopper, change: Changes::Operations(operations), if_match, once, trace: trace() }).await
    }

    /// What the checkout does to its cart. A cart that is gone is nothing to worry about.
    pub(crate) async fn command_cart(&self, owner: &Owner, id: CartId, commands: Vec<Command>) -> Result<Option<Arc<Cart>>, Error> {
        let shopper = Shopper::default();
        let change = Changes::Commands(commands);
        let work = Work { owner: owner.clone(), shopper, change, if_match: None, once: None, trace: trace() };
        match self.in_lane(id, work).await {
            Ok(Answered::Fresh(view)) => Ok(Some(view.cart)),
            Ok(Answered::Again(_)) | Err(Error::Refused(Refusal::CartNotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was bought elsewhere leaves the cart.
    pub(crate) async fn give_up(&self, owner: Owner, id: CartId, bought: Vec<Line>, once: Once<CartView>) -> Outcome {
        let change = Changes::Commands(bought.into_iter().map(Command::GiveUp).collect());
        self.in_lane(id, Work { owner, shopper: Shopper::default(), change, if_match: None, once: Some(once), trace: trace() }).await
    }

    /// Takes over the cart of a guest session, once, however often it is asked.
    pub async fn merge_cart(
        &self,
        caller: &Caller,
        id: CartId,
        merge: MergeCart,
        if_match: Option<Version>,
        once: Option<Once<CartView>>,
    ) -> Outcome {
        let owner = caller.owner()?;
        let session = self.session_of_token(&merge.source_token).await?.ok_or(Refusal::MergeSourceInvalid)?;
        let source = Caller::Guest(session).owner()?;
        if source == owner {
            return Err(Refusal::MergeSourceInvalid.into());
        }
        let (shopper, change) = (caller.shopper(None), Changes::Merge { source, strategy: merge.strategy });
        let work = Work { owner, shopper, change, if_match, once, trace: trace() };
        if !merge.dry_run {
            return self.in_lane(id, work).await;
        }
        let now = self.now();
        let cart = self.owned_cart(&work.owner, id, AtLeast::since(if_match), now).await?;
        let (mut batch, _) = self.prepare(cart, &[&work], now).await?;
        batch.decide(self, &Work { once: None, ..work }, 0)
    }

    pub async fn delete_cart(
        &self,
        caller: &Caller,
        id: CartId,
        if_match: Option<Version>,
        once: Option<Once<()>>,
    ) -> Result<Answered<()>, Error> {
        let owner = caller.owner()?;
        if let Some(again) = before(once.as_ref(), |key| self.ports.carts.answer(key)).await? {
            return Ok(again);
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            let now = self.now();
            let cart = self.owned_cart(&owner, id, AtLeast::Now, now).await?;
            ensure_version(if_match, cart.version)?;
            let mut change = CartChange {
                writes: vec![CartWrite::Delete { id, expected: cart.version }],
                outbox: vec![cart.end(CartEvent::Deleted { merged_into: None }, now)],
                answers: answer(once.as_ref(), &(), now).into_iter().collect(),
            };
            mark(&mut change.outbox, trace().as_ref());
            match (self.ports.carts.save(change, now).await?, &once) {
                (Saved::Done, _) => return Ok(Answered::Fresh(())),
                (Saved::Answered(first), Some(once)) => return once.again(first),
                (Saved::Conflict { .. } | Saved::OwnerHas(_) | Saved::Answered(_), _) => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }

    /// Prices a cart as of now.
    pub(crate) async fn view(&self, caller: &Caller, cart: Arc<Cart>, now: Timestamp) -> Result<CartView, Error> {
        let terms = self.terms(self.pricebook(), &cart.coupons, caller.shopper(None), now).await?;
        let context = terms.context(cart.currency);
        show(cart, &self.shelf(), &terms, &context, now)
    }

    async fn in_lane(&self, id: CartId, work: Work) -> Outcome {
        match self.carts.enter(id, work) {
            Entered::Lead(work, leader) => self.lead(id, work, leader).await,
            Entered::Wait(turn) => match turn.await {
                Ok(Turn::Done(outcome)) => outcome,
                Ok(Turn::Lead(work, leader)) => self.lead(id, work, leader).await,
                Err(_) => {
                    Err(PortError::unknown("carts", PortErrorKind::Unavailable, "the task that led the cart's lane ended early").into())
                }
            },
            Entered::Full => Err(Refusal::CartBusy.into()),
        }
    }

    /// Does one's own work and that of everyone queued behind, with one load and one save.
    async fn lead(&self, id: CartId, own: Work, mut leader: CartLeader) -> Outcome {
        let others = leader.take(LANE_BATCH_MAX - 1);
        let works: Vec<&Work> = std::iter::once(&own).chain(others.iter().map(|(work, _)| work)).collect();
        let outcomes = self.decide_and_save(id, &works).await;
        let (first, rest) = match outcomes {
            Ok(mut outcomes) => {
                let rest = outcomes.split_off(1);
                (outcomes.remove(0), rest)
            }
            Err(error) => (Err(error.share()), others.iter().map(|_| Err(error.share())).collect()),
        };
        for ((_, sender), outcome) in others.into_iter().zip(rest) {
            // Whoever hung up will ask again with the same key.
            drop(sender.send(Turn::Done(outcome)));
        }
        first
    }

    async fn decide_and_save(&self, id: CartId, works: &[&Work]) -> Result<Vec<Outcome>, Error> {
        let mut fresh = AtLeast::since(works.iter().filter_map(|work| work.if_match).max());
        for _ in 0..CONFLICT_RETRIES_MAX {
            let now = self.now();
            let Some(cart) = self.ports.carts.load(id, fresh, now).await? else {
                return self.without_cart(works).await;
            };
            let decided_on = cart.version;
            let mut expected = decided_on;
            let (mut batch, answered) = self.prepare(cart, works, now).await?;
            let outcomes = works.iter().zip(answered).enumerate().map(|(n, (work, first))| match (first, &work.once) {
                (Some(first), Some(once)) => once.again(first),
                _ => batch.decide(self, work, n),
            });
            let outcomes = outcomes.collect();
            if !batch.dirty {
                // No save will prove that this was decided on what is stored, so that is looked at.
                let is_stored =
                    async || Ok::<_, Error>(self.ports.carts.load(id, AtLeast::Now, now).await?.map(|c| c.version) == Some(decided_on));
                if fresh == AtLeast::Now || is_stored().await? {
                    return Ok(outcomes);
                }
                fresh = AtLeast::Now;
                continue;
            }
            if planted("lost-update") {
                expected = self.ports.carts.load(id, AtLeast::Now, now).await?.map_or(expected, |c| c.version);
            }
            if planted("cart-answers-dropped") {
                batch.answers.clear();
            }
            let mut writes = vec![CartWrite::Put { cart: batch.cart, expected }];
            writes.extend(batch.deletes);
            match self.ports.carts.save(CartChange { writes, outbox: batch.events, answers: batch.answers }, now).await? {
                Saved::Done => return Ok(outcomes),
                // Another node was faster, or a source cart changed: decide again on what is there now.
                Saved::Conflict { .. } | Saved::OwnerHas(_) | Saved::Answered(_) => {}
            }
        }
        Err(Refusal::CartBusy.into())
    }

    /// What is left to say when the cart is gone: the answers that were given while it was there.
    async fn without_cart(&self, works: &[&Work]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(works.len());
        for work in works {
            let again = before(work.once.as_ref(), |key| self.ports.carts.answer(key)).await;
            outcomes.push(again.and_then(|again| again.ok_or(Refusal::CartNotFound.into())));
        }
        Ok(outcomes)
    }

    /// Loads everything the decisions will look at.
    async fn prepare(&self, cart: Arc<Cart>, works: &[&Work], now: Timestamp) -> Result<(Batch, Vec<Option<Answer>>), Error> {
        let mut answered = Vec::with_capacity(works.len());
        let mut sources = Vec::with_capacity(works.len());
        let mut codes: Vec<&CouponCode> = cart.coupons.iter().collect();
        for work in works {
            answered.push(match &work.once {
                Some(once) => self.ports.carts.answer(once.mark.key).await?,
                None => None,
            });
            sources.push(match &work.change {
                Changes::Merge { source, .. } => match self.ports.carts.of_owner(source, now).await? {
                    Some(id) => self.ports.carts.load(id, AtLeast::Now, now).await?,
                    None => None,
                },
                Changes::Operations(_) | Changes::Commands(_) => None,
            });
            if let Changes::Operations(operations) = &work.change {
                codes.extend(operations.iter().flat_map(|o| if let Operation::Coupons(codes) = o { codes.as_slice() } else { &[] }));
            }
        }
        codes.extend(sources.iter().flatten().flat_map(|s| &s.coupons));
        // What was used is looked up for the cart's owner, whoever asks; what else is known of a shopper comes with each piece of work.
        let shopper = Shopper { who: who(&cart.owner, None), ..Shopper::default() };
        let terms = self.terms(self.pricebook(), codes, shopper, now).await?;
        let batch =
            Batch { cart, shelf: self.shelf(), terms, sources, events: vec![], answers: vec![], deletes: vec![], dirty: false, now };
        Ok((batch, answered))
    }
}

/// Decisions on one cart, one after the other, to be saved together.
struct Batch {
    cart: Arc<Cart>,
    shelf: Shelf,
    terms: Terms,
    /// The cart each piece of work merges from, if it does.
    sources: Vec<Option<Arc<Cart>>>,
    events: Vec<domain::event::Outgoing>,
    answers: Vec<Answer>,
    deletes: Vec<CartWrite>,
    dirty: bool,
    now: Timestamp,
}

impl Batch {
    /// Decides one piece of work on the state the earlier ones left. A refusal leaves that state alone.
    fn decide(&mut self, app: &App, work: &Work, n: usize) -> Outcome {
        if work.owner != self.cart.owner && !planted("cart-owner-not-compared") {
            return Err(Refusal::CartNotFound.into());
        }
        if let Some(once) = &work.once
            && let Some(mark) = self.cart.mark(once.mark.key)
        {
            once.same_request(mark)?;
            return match self.answers.iter().find(|a| a.mark == mark) {
                Some(first) => once.again(first.clone()),
                None => Ok(Answered::Fresh(self.view(Arc::clone(&self.cart), work)?)),
            };
        }
        ensure_version(work.if_match, self.cart.version)?;
        let source = self.sources.get(n).cloned().flatten();
        let commands = match &work.change {
            Changes::Operations(operations) => commands(operations, &self.shelf)?,
            Changes::Commands(commands) => commands.clone(),
            Changes::Merge { strategy, .. } => {
                source.iter().map(|s| Command::Merge { source: Box::new((**s).clone()), strategy: *strategy }).collect()
            }
        };
        let mut decided = decide_all(&self.cart, &commands, &self.shelf, &app.policy.carts, self.now)?;
        if let Some(once) = &work.once {
            decided.cart.remember(once.mark);
        }
        let cart = Arc::new(decided.cart);
        let view = self.view(Arc::clone(&cart), work)?;
        self.answers.extend(answer(work.once.as_ref(), &view, self.now));
        self.dirty |= !decided.events.is_empty() || work.once.is_some();
        if let Some(source) = source.filter(|_| !decided.events.is_empty() && !planted("merged-twice")) {
            self.deletes.push(CartWrite::Delete { id: source.id, expected: source.version });
            decided.events.push(source.end(CartEvent::Deleted { merged_into: Some(self.cart.id) }, self.now));
        }
        mark(&mut decided.events, work.trace.as_ref());
        self.cart = cart;
        self.events.extend(decided.events);
        Ok(Answered::Fresh(view))
    }

    fn view(&self, cart: Arc<Cart>, work: &Work) -> Result<CartView, Error> {
        let context = self.terms.context(cart.currency);
        let shopper = Shopper { who: context.shopper.who, orders: context.shopper.orders, ..work.shopper.clone() };
        show(cart, &self.shelf, &self.terms, &Context { shopper, ..context }, self.now)
    }
}

/// More commands than a client may give at once: a new cart is filled to the brim, and what a checkout or another shop has decided
/// is as long as its order.
fn decide_all(cart: &Cart, commands: &[Command], shelf: &Shelf, lifetimes: &Lifetimes, now: Timestamp) -> Result<Decided, Refusal> {
    let mut batches = commands.chunks(OPERATIONS_MAX);
    let mut decided = cart.decide(batches.next().unwrap_or_default(), shelf, lifetimes, now)?;
    for batch in batches {
        let next = decided.cart.decide(batch, shelf, lifetimes, now)?;
        decided.cart = next.cart;
        decided.events.extend(next.events);
    }
    Ok(decided)
}

fn show(cart: Arc<Cart>, shelf: &Shelf, terms: &Terms, context: &Context, now: Timestamp) -> Result<CartView, Error> {
    let quote = terms.quote(&cart.lines(), &cart.coupons, shelf, context, now)?;
    let warnings = cart.warnings(&quote);
    Ok(CartView { cart, quote, warnings })
}

fn commands(operations: &[Operation], shelf: &Shelf) -> Result<Vec<Command>, Error> {
    let command = |operation: &Operation| {
        Ok(match operation.clone() {
            Operation::Add(add) => Command::Add { edition: shelf.edition(add.product, add.variant)?, quantity: add.quantity },
            Operation::Set { item, quantity } => Command::Set { item, quantity },
            Operation::Clear => Command::Clear,
            Operation::Coupons(codes) => Command::Coupons(codes),
            Operation::Note(note) => Command::Note(note),
            Operation::Metadata(metadata) => Command::Metadata(metadata),
            Operation::Currency(currency) => Command::Currency(currency),
        })
    };
    operations.iter().map(command).collect()
}

pub(crate) fn ensure_version(if_match: Option<Version>, current: Version) -> Result<(), Refusal> {
    match if_match {
        Some(version) if version != current && !planted("if-match-ignored") => Err(Refusal::VersionMismatch { current }),
        Some(_) | None => Ok(()),
    }
}

/// The command that puts a cart on hold for a checkout, in place of one that is not live any more.
pub(crate) fn hold(stale: Option<CheckoutId>, checkout: CheckoutId) -> Vec<Command> {
    stale.map(|checkout| Command::LetGo { checkout }).into_iter().chain([Command::Hold { checkout }]).collect()
}
