//! What must hold after every commit, and what must hold when everything has come to rest. The oracle only
//! reads: it looks at the stores and at the provider directly, never through a use case, and keeps a model
//! of its own from the events that were committed.

use crate::consumer::Reports;
use crate::executor::Time;
use crate::sums::{Items, adds_up, allow, copies_out, holds, is_taken_back, merge, quantities};
use crate::told::{CartSeen, Promises};
use crate::world::Violations;
use app::ports::{AtLeast, Catalog, Charge, ChargeStatus, Clock, Ledger, OrderFilter, Outbox, PortError, Position, Prices};
use domain::cart::{Cart, CartEvent};
use domain::checkout::{Checkout, CheckoutEvent, State};
use domain::event::{Event, Outgoing, Subject};
use domain::ids::{AttemptId, BookId, CartId, CheckoutId, CouponCode, EditionId, OrderId, PromotionId};
use domain::money::Money;
use domain::order::{Order, OrderEvent, PaymentStatus, Status};
use domain::pricing::{Counter, Deed, Pricebook, Promotion, Rule, RuleKey, RuleKind};
use domain::time::Timestamp;
use futures_util::FutureExt;
use memory::MemoryStore;
use memory::simulator::PaymentSimulator;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A cart as its events tell it.
#[derive(Default)]
struct CartStory {
    /// What is in it, by version.
    versions: BTreeMap<u64, Items>,
    /// Adds by the version they led to, until a request has claimed them.
    adds: BTreeMap<u64, (EditionId, u32)>,
    settled: BTreeSet<CheckoutId>,
    ended: bool,
}

impl CartStory {
    fn now(&self) -> Items {
        self.versions.last_key_value().map(|(_, items)| items.clone()).unwrap_or_default()
    }
}

pub struct Oracle {
    store: MemoryStore,
    provider: PaymentSimulator,
    time: Time,
    violations: Violations,
    /// Every event, as it was committed.
    pub committed: Vec<Outgoing>,
    last_position: Position,
    sequences: BTreeMap<Subject, u64>,
    carts: BTreeMap<CartId, CartStory>,
    /// What each edition cost from when on.
    prices: BTreeMap<EditionId, Vec<(Timestamp, Option<Money>)>>,
    /// Every pricebook there was, and since when.
    pricebooks: Vec<(Timestamp, Arc<Pricebook>)>,
    /// The most each counter was ever allowed to stand at, and of each person's uses of a promotion.
    limits: BTreeMap<Counter, u64>,
    each: BTreeMap<PromotionId, u64>,
    numbers: BTreeMap<domain::order::Number, OrderId>,
    /// Orders with events since the last look.
    touched: BTreeSet<OrderId>,
    /// From the events of stock.
    reports: Reports,
    /// What shoppers were told, and what they agreed to.
    pub promises: Promises,
}

/// What the ports hold, read when nothing else runs.
fn read<T>(call: impl Future<Output = Result<T, PortError>>) -> T {
    call.now_or_never().expect("invariant: memory does not wait").expect("invariant: memory does not fail")
}

impl Oracle {
    pub fn new(store: MemoryStore, provider: PaymentSimulator, time: Time, violations: Violations) -> Self {
        Self {
            store,
            provider,
            time,
            promises: Promises::new(violations.clone()),
            violations,
            committed: Vec::new(),
            last_position: Position::numbered(0),
            sequences: BTreeMap::new(),
            carts: BTreeMap::new(),
            prices: BTreeMap::new(),
            pricebooks: Vec::new(),
            limits: BTreeMap::new(),
            each: BTreeMap::new(),
            numbers: BTreeMap::new(),
            touched: BTreeSet::new(),
            reports: Reports::default(),
        }
    }

    fn must(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.report(what());
        }
    }

    /// What must hold after every commit.
    pub fn check(&mut self) {
        self.note_prices();
        self.note_rules();
        self.hear_events();
        let orders = self.orders();
        let touched = std::mem::take(&mut self.touched);
        self.check_orders(&orders, &touched);
        self.check_checkouts();
        self.check_stock(&orders);
        self.check_uses(&orders);
        self.check_money(&orders);
    }

    /// What must hold when nothing is left to be done.
    pub fn check_at_rest(&mut self, published: &[Outgoing], heard: &Reports) {
        self.check();
        let unfinished = self.unfinished();
        self.must(unfinished.is_empty(), || format!("checkouts never end: {unfinished:?}"));
        let orders = self.orders();
        let moving: Vec<_> = orders.iter().filter(|o| o.payment.is_moving()).map(|o| o.id).collect();
        self.must(moving.is_empty(), || format!("money never arrives: {moving:?}"));
        self.check_money_at_rest(&orders);
        self.check_rules_at_rest();
        self.check_published(published);
        self.must(*heard == self.reports, || "a consumer knows other things than were committed".to_owned());
        self.check_unclaimed();
        self.check_let_go();
    }

    /// Whether anything is left to be done.
    pub fn is_quiet(&self) -> bool {
        let outbox: &dyn Outbox = &self.store;
        self.unfinished().is_empty() && !self.orders().iter().any(|o| o.payment.is_moving()) && read(outbox.pending(1)).is_empty()
    }

    fn orders(&self) -> Vec<Order> {
        read(self.store.orders(&OrderFilter::default(), usize::MAX))
    }

    /// Checkouts that are not done.
    fn checkouts(&self) -> Vec<Checkout> {
        read(self.store.due_checkouts(Timestamp(i64::MAX), usize::MAX))
    }

    fn unfinished(&self) -> Vec<(CheckoutId, State)> {
        self.checkouts().iter().map(|c| (c.id, c.state)).collect()
    }

    /// Books that are sold, each with its only edition.
    pub fn on_sale(&self) -> Vec<(BookId, EditionId)> {
        let snapshot = self.store.snapshot();
        let mut books: Vec<_> = snapshot.books().flat_map(|b| b.editions.iter().map(|e| (b.id, e.id))).collect();
        books.sort_unstable();
        books
    }

    /// The number a book has in the shop.
    pub fn number_of(&self, book: BookId) -> Option<u32> {
        let snapshot = self.store.snapshot();
        let sku = &snapshot.book(book)?.editions.first()?.sku;
        sku.as_str().rsplit('-').next()?.parse().ok()
    }

    // ---- events

    fn hear_events(&mut self) {
        let outbox: &dyn Outbox = &self.store;
        let pending = read(outbox.pending(usize::MAX));
        let fresh: Vec<_> = pending.into_iter().filter(|p| p.position > self.last_position).collect();
        for pending in fresh {
            self.last_position = pending.position;
            self.hear(&pending.event);
            self.committed.push(pending.event);
        }
    }

    fn hear(&mut self, event: &Outgoing) {
        let last = self.sequences.entry(event.subject).or_default();
        *last += 1;
        let expected = *last;
        self.must(event.sequence == expected, || format!("event {} where number {expected} is due", event.id()));
        self.reports.hear(event);
        if let Subject::Order(id) = event.subject {
            self.touched.insert(id);
        }
        match (&event.event, event.subject) {
            (Event::Cart(change), Subject::Cart(id)) => self.hear_cart(id, event.sequence, change),
            (Event::Checkout(CheckoutEvent::Processing { attempt, amount }), Subject::Checkout(id)) => {
                self.check_attempt(id, *attempt, *amount);
            }
            (Event::Checkout(CheckoutEvent::PaymentDeclined { attempt, .. }), Subject::Checkout(id)) => {
                let status = self.provider.charges().remove(attempt).map(|c| c.status);
                let approved = matches!(status, Some(ChargeStatus::Authorized | ChargeStatus::Captured));
                self.must(!approved, || format!("{id} takes {attempt} for declined, the provider has it as {status:?}"));
            }
            (Event::Order(OrderEvent::Placed(placed)), Subject::Order(id)) => {
                let other = self.numbers.insert(placed.number, id);
                self.must(other.is_none(), || format!("{id} has the number of {other:?}: {}", placed.number));
                self.must(self.promises.was_agreed(placed.checkout, placed.quote.total), || {
                    format!("{id} costs {}, which nobody agreed to", placed.quote.total)
                });
            }
            _ => {}
        }
    }

    fn hear_cart(&mut self, id: CartId, version: u64, event: &CartEvent) {
        let mut items = self.carts.get(&id).map(CartStory::now).unwrap_or_default();
        let wrong = |what: &str| format!("{id} at version {version}: {what}");
        match event {
            CartEvent::Created { .. } | CartEvent::Updated => {}
            CartEvent::ItemAdded { edition, added, quantity, .. } => {
                let n = items.entry(*edition).or_default();
                *n += added.get();
                let n = *n;
                self.must(n == quantity.get(), || wrong("an add forgot an earlier one"));
                self.carts.entry(id).or_default().adds.insert(version, (*edition, added.get()));
            }
            CartEvent::ItemRemoved { edition, .. } => {
                let had = items.remove(edition).is_some();
                self.must(had, || wrong("what was not there was removed"));
            }
            CartEvent::ItemQuantityUpdated { edition, from, to } => {
                let before = items.insert(*edition, to.get());
                self.must(before == Some(from.get()), || wrong("a quantity was not what it is said to have been"));
            }
            CartEvent::Cleared => items.clear(),
            CartEvent::Merged { source, strategy } => {
                let theirs = self.carts.get(source).map(CartStory::now).unwrap_or_default();
                let gone = self.carts.get(source).is_some_and(|s| !s.ended) && self.is_deleted_next(*source);
                self.must(gone, || wrong("a cart was taken over and is still there"));
                merge(&mut items, theirs, *strategy);
            }
            CartEvent::Converted { checkout, order } => {
                let first = self.carts.entry(id).or_default().settled.insert(*checkout);
                self.must(first, || wrong("bought goods were taken out twice"));
                let order = read(self.store.order(*order));
                for line in order.iter().flat_map(|o| &o.quote.lines).filter(|line| !line.gift) {
                    let Some(n) = items.get_mut(&line.edition) else { continue };
                    *n = n.saturating_sub(line.quantity.get());
                }
                items.retain(|_, n| *n > 0);
            }
            CartEvent::Deleted { .. } | CartEvent::Expired => self.carts.entry(id).or_default().ended = true,
        }
        self.carts.entry(id).or_default().versions.insert(version, items);
        self.check_cart(id, version);
    }

    /// Whether the cart is not stored any more.
    fn is_deleted_next(&self, id: CartId) -> bool {
        self.stored(id).is_none()
    }

    fn stored(&self, id: CartId) -> Option<Arc<Cart>> {
        let carts: &dyn app::ports::Carts = &self.store;
        read(carts.load(id, AtLeast::Now, self.time.now()))
    }

    /// A cart is what its events say.
    fn check_cart(&self, id: CartId, version: u64) {
        let Some(cart) = self.stored(id) else { return };
        if cart.version.0 == version {
            let (items, told) = (quantities(&cart), self.carts.get(&id).map(CartStory::now).unwrap_or_default());
            self.must(items == told, || format!("{id} holds {items:?}, its events say {told:?}"));
        }
        self.must(cart.version.0 >= version, || format!("{id} is at {:?}, its events at {version}", cart.version));
    }

    // ---- what shoppers were told

    /// A cart was shown: it must have been so at that version. An acknowledged add is the event of that
    /// version, and nobody else's.
    pub fn shown(&mut self, seen: &CartSeen, added: Option<(EditionId, u32)>) {
        let Some(story) = self.carts.get_mut(&seen.cart) else {
            return self.violations.report(format_args!("{} was shown and has no events", seen.cart));
        };
        let items = story.versions.get(&seen.version);
        let claimed = added.is_none_or(|added| story.adds.remove(&seen.version) == Some(added));
        if items != Some(&seen.items) {
            self.violations.report(format_args!("{} was shown with {:?} at version {}: {items:?}", seen.cart, seen.items, seen.version));
        }
        if !claimed {
            let what = format_args!("{} at version {}: the acknowledged add of {added:?} is not there", seen.cart, seen.version);
            self.violations.report(what);
        }
    }

    /// Every add was acknowledged, or its outcome is unknown to whoever asked for it.
    fn check_unclaimed(&self) {
        let mut unknown = self.promises.unknown_adds.clone();
        for (id, story) in &self.carts {
            for (version, (edition, n)) in &story.adds {
                let at = unknown.iter().position(|add| *add == (*id, *edition, *n));
                self.must(at.is_some(), || format!("{id} at version {version}: nobody asked for {n} of {edition}"));
                at.map(|at| unknown.swap_remove(at));
            }
        }
    }

    /// A checkout that is over holds no cart.
    fn check_let_go(&self) {
        for id in self.carts.keys() {
            let Some(checkout) = self.stored(*id).and_then(|cart| cart.checkout) else { continue };
            let over = read(self.store.checkout(checkout)).is_some_and(|c| c.state.is_done());
            self.must(!over, || format!("{id} is held by {checkout}, which is over"));
        }
    }

    // ---- prices

    fn note_prices(&mut self) {
        let snapshot = self.store.snapshot();
        let mut now = BTreeMap::new();
        for edition in snapshot.books().flat_map(|b| &b.editions) {
            now.insert(edition.id, edition.unit_price());
            self.prices.entry(edition.id).or_default();
        }
        let at = self.time.now();
        for (edition, history) in &mut self.prices {
            let price = now.get(edition).copied();
            if history.last().map(|(_, price)| *price) != Some(price) {
                history.push((at, price));
            }
        }
    }

    /// Whether the edition cost so much at any time since `from`.
    fn cost_since(&self, edition: EditionId, price: Money, from: Timestamp) -> bool {
        let history = self.prices.get(&edition).map(Vec::as_slice).unwrap_or_default();
        let ends = history.iter().skip(1).map(|(at, _)| *at).chain([Timestamp(i64::MAX)]);
        history.iter().zip(ends).any(|((_, was), end)| *was == Some(price) && end >= from)
    }

    /// What is about to be paid adds up, and every price was in force when it was agreed on.
    fn check_attempt(&self, id: CheckoutId, attempt: AttemptId, amount: Money) {
        let Some(checkout) = read(self.store.checkout(id)) else { return };
        let Some(current) = checkout.attempt.as_ref().filter(|a| a.id == attempt) else { return };
        self.must(adds_up(&checkout.quote) && checkout.quote.total == amount && current.amount == amount, || {
            format!("{id}: the quote does not add up: {:?}", checkout.quote)
        });
        for line in &checkout.quote.lines {
            self.must(self.cost_since(line.edition, line.unit_price, current.started_at), || {
                format!("{id}: {} was not sold at {} any more", line.edition, line.unit_price)
            });
        }
        for adjustment in &checkout.quote.adjustments {
            let Some(promotion) = &adjustment.promotion else { continue };
            self.must(self.promised_since(promotion, adjustment.label.as_str(), current.started_at), || {
                format!("{id}: {promotion} was not {} any more", adjustment.label)
            });
        }
    }

    /// Whether a promotion was there, active and so named, at any time since `from`.
    fn promised_since(&self, id: &PromotionId, label: &str, from: Timestamp) -> bool {
        let ends = self.pricebooks.iter().skip(1).map(|(at, _)| *at).chain([Timestamp(i64::MAX)]);
        let since = self.pricebooks.iter().zip(ends).filter(|(_, end)| *end >= from);
        since.filter_map(|((_, book), _)| book.rules().promotion(id)).any(|p| p.active && p.label.as_str() == label)
    }

    // ---- rules

    fn note_rules(&mut self) {
        let book = self.store.book();
        if self.pricebooks.last().is_some_and(|(_, last)| Arc::ptr_eq(last, &book)) {
            return;
        }
        for Promotion { id, budget, needs, .. } in book.rules().promotions() {
            let amount = budget.amount.map(|amount| amount.minor().unsigned_abs());
            let uses = budget.uses.map(u64::from);
            let each = budget.uses_each.or(needs.first_order.then_some(1)).map(u64::from);
            allow(&mut self.limits, Counter::Uses(id.clone()), uses);
            allow(&mut self.limits, Counter::Spent(id.clone()), amount);
            allow(&mut self.each, id.clone(), each);
        }
        self.pricebooks.push((self.time.now(), book));
    }

    fn limit_of(&self, counter: &Counter) -> Option<u64> {
        match counter {
            Counter::Uses(_) | Counter::Spent(_) => self.limits.get(counter).copied(),
            Counter::UsesBy(promotion, _) => self.each.get(promotion).copied(),
            Counter::Code(code) => read(self.store.issued(code))?.uses_max.map(u64::from),
            Counter::Orders(_) => None,
        }
    }

    /// The pricebook is what the audit leads to, and every batch has the codes it was to have.
    fn check_rules_at_rest(&self) {
        let mut told: BTreeMap<RuleKey, Rule> = BTreeMap::new();
        let mut lines = read(self.store.audit(None, None, usize::MAX));
        lines.reverse();
        for line in lines {
            match line.deed {
                Deed::Put { before, after } => {
                    let last = told.insert(line.key, *after);
                    self.must(last == before.map(|b| *b), || format!("line {} of the audit forgot an earlier one", line.sequence));
                }
                Deed::Deleted { before } => {
                    let last = told.remove(&line.key);
                    self.must(last == Some(*before), || format!("line {} of the audit forgot an earlier one", line.sequence));
                }
                Deed::Issued { batch, count } => {
                    let there = read(self.store.batch(batch));
                    self.must(there <= count, || format!("a batch of {count} has {there} codes"));
                }
            }
        }
        let book = self.store.book();
        let kept: BTreeMap<_, _> =
            RuleKind::ALL.into_iter().flat_map(|kind| book.of(kind)).map(|k| (k.rule.key(), k.rule.clone())).collect();
        self.must(kept == told, || format!("the pricebook is {kept:?}, the audit leads to {told:?}"));
    }

    pub fn lacks(&self, promotion: &PromotionId) -> bool {
        self.store.book().rules().promotion(promotion).is_none()
    }

    /// Codes that were issued for promotions and may be given to shoppers.
    pub fn issued(&self, promotion: &PromotionId) -> Vec<CouponCode> {
        read(self.store.codes(promotion, None, usize::MAX)).into_iter().map(|issued| issued.code).collect()
    }

    // ---- orders, stock, money

    /// One order a checkout, unless it failed; and every order is what its events say, published or recorded.
    fn check_orders(&self, orders: &[Order], touched: &BTreeSet<OrderId>) {
        let mut of_checkout: BTreeMap<CheckoutId, OrderId> = BTreeMap::new();
        for order in orders {
            let other = if order.status == Status::Failed { None } else { of_checkout.insert(order.checkout, order.id) };
            self.must(other.is_none(), || format!("{} and {other:?} are of one checkout", order.id));
            let events = self.sequences.get(&Subject::Order(order.id)).copied().unwrap_or_default();
            self.must(order.version.0 == events, || format!("{} is at {:?}, its published events at {events}", order.id, order.version));
        }
        for order in orders.iter().filter(|o| touched.contains(&o.id)) {
            let told = read(self.store.order_events(order.id)).iter().fold(None, Order::evolve);
            self.must(told.as_ref() == Some(order), || format!("{} is not what its events say", order.id));
            self.must(adds_up(&order.quote), || format!("{} does not add up: {:?}", order.id, order.quote));
        }
    }

    /// One live checkout a cart, and every event announced was committed.
    fn check_checkouts(&self) {
        let mut of_cart: BTreeMap<CartId, CheckoutId> = BTreeMap::new();
        for checkout in self.checkouts() {
            let other = if checkout.state.is_live() { of_cart.insert(checkout.cart, checkout.id) } else { None };
            self.must(other.is_none(), || format!("{} and {other:?} hold one cart", checkout.id));
            let events = self.sequences.get(&Subject::Checkout(checkout.id)).copied().unwrap_or_default();
            self.must(checkout.events == events, || format!("{} announced {} events, committed {events}", checkout.id, checkout.events));
        }
    }

    fn check_stock(&self, orders: &[Order]) {
        let mut reserved = Items::new();
        let mut out: BTreeMap<EditionId, i64> = BTreeMap::new();
        for line in self.checkouts().iter().filter(|c| holds(c.state)).flat_map(|c| &c.quote.lines) {
            *reserved.entry(line.edition).or_default() += line.quantity.get();
        }
        for order in orders {
            for (edition, n) in copies_out(order) {
                *out.entry(edition).or_default() += n;
            }
        }
        for edition in self.prices.keys() {
            let level = read(self.store.stock(*edition));
            let held = reserved.get(edition).copied().unwrap_or_default();
            self.must(level.reserved <= level.on_hand, || format!("{edition}: {level:?} promises more than there is"));
            self.must(level.reserved == held, || format!("{edition}: {} reserved, live checkouts hold {held}", level.reserved));
            let (orders, moved) =
                (out.get(edition).copied().unwrap_or_default(), self.reports.sold.get(edition).copied().unwrap_or_default());
            self.must(orders == moved, || format!("{edition}: orders took {orders}, the stock gave {moved}"));
        }
    }

    /// Every counter stands at what live orders and checkouts being paid use, and no higher than was ever allowed.
    fn check_uses(&self, orders: &[Order]) {
        let checkouts = self.checkouts();
        let paying = checkouts.iter().filter(|c| holds(c.state)).map(|c| &c.quote);
        let live = orders.iter().filter(|o| !matches!(o.status, Status::Canceled | Status::Failed)).map(|o| &o.quote);
        let mut known: BTreeMap<Counter, u64> = self.limits.keys().map(|counter| (counter.clone(), 0)).collect();
        for one in paying.chain(live).flat_map(|quote| &quote.uses) {
            *known.entry(one.counter.clone()).or_default() += one.by;
        }
        let counters: Vec<_> = known.keys().cloned().collect();
        let usage = read(self.store.usage(&counters));
        for (counter, known) in known {
            let uses = usage.of(&counter);
            self.must(uses == known, || format!("{counter}: {uses} counted, {known} known"));
            let most = self.limit_of(&counter);
            self.must(most.is_none_or(|most| uses <= most), || format!("{counter}: used {uses} times, {most:?} are allowed"));
        }
    }

    /// Money is taken for an order that is there, and for no more than it costs; an order that says it is
    /// paid is paid; and no money goes back that no order speaks of.
    fn check_money(&self, orders: &[Order]) {
        let charges = self.provider.charges();
        let by_key: BTreeMap<_, _> = orders.iter().map(|o| (o.attempt, o)).collect();
        for (key, charge) in &charges {
            let order = by_key.get(key);
            let taken = matches!(charge.status, ChargeStatus::Captured | ChargeStatus::Refunded);
            let of = order.is_some_and(|o| o.quote.total == charge.amount);
            self.must(!taken || of, || format!("{key}: {} taken without an order of that total", charge.amount));
            let back: i64 = order.iter().flat_map(|o| &o.refunds).map(|r| r.amount.minor()).sum();
            let owed = order.is_none_or(|o| is_taken_back(o.payment)) || charge.refunded.minor() <= back;
            self.must(owed, || format!("{key}: {} paid back, {back} asked for", charge.refunded));
        }
        for order in orders.iter().filter(|o| !o.quote.total.is_zero() && o.payment == PaymentStatus::Captured) {
            let paid = charges.get(&order.attempt).is_some_and(|c| c.status == ChargeStatus::Captured);
            self.must(paid, || format!("{} says it is paid", order.id));
        }
    }

    /// Σ captured − Σ refunded = Σ totals of paid orders less their refunds, one by one; nobody's money is
    /// held for nothing.
    fn check_money_at_rest(&self, orders: &[Order]) {
        let mut charges: BTreeMap<AttemptId, Charge> = self.provider.charges();
        for order in orders.iter().filter(|o| !o.quote.total.is_zero()) {
            let charge = charges.remove(&order.attempt);
            let status = charge.as_ref().map(|c| &c.status);
            let refunded = charge.as_ref().map_or(0, |c| c.refunded.minor());
            let paid_back: i64 = order.refunds.iter().filter(|r| r.paid_at.is_some()).map(|r| r.amount.minor()).sum();
            let agree = match order.payment {
                PaymentStatus::Captured | PaymentStatus::PartiallyRefunded => {
                    status == Some(&ChargeStatus::Captured) && refunded == paid_back
                }
                PaymentStatus::Refunded => status == Some(&ChargeStatus::Refunded) && refunded == paid_back,
                PaymentStatus::Voided | PaymentStatus::Failed => {
                    matches!(status, Some(ChargeStatus::Voided | ChargeStatus::Refunded))
                }
                // Money that is taken on shipment waits for it.
                PaymentStatus::Authorized => {
                    status == Some(&ChargeStatus::Authorized) && matches!(order.status, Status::Confirmed | Status::Processing)
                }
                PaymentStatus::Capturing | PaymentStatus::Voiding | PaymentStatus::Refunding => false,
            };
            self.must(agree, || format!("{} is {:?}, at the provider {charge:?}", order.id, order.payment));
        }
        for (key, charge) in charges {
            let harmless = matches!(charge.status, ChargeStatus::Voided | ChargeStatus::Declined(_) | ChargeStatus::Refunded);
            self.must(harmless, || format!("{key}: {} is {:?} without an order", charge.amount, charge.status));
        }
    }

    /// Every committed event was published, and what came first of a subject was published first.
    fn check_published(&self, published: &[Outgoing]) {
        let mut last: BTreeMap<Subject, u64> = BTreeMap::new();
        for event in published {
            let seen = last.entry(event.subject).or_default();
            let expected = *seen + 1;
            self.must(event.sequence <= expected, || format!("{} was published before number {expected}", event.id()));
            *seen = (*seen).max(event.sequence);
        }
        for (subject, committed) in &self.sequences {
            let seen = last.get(subject).copied().unwrap_or_default();
            self.must(seen == *committed, || format!("{subject}: {committed} events committed, {seen} published"));
        }
    }
}
