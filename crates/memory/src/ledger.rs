use crate::MemoryStore;
use crate::store::State;
use app::ports::{Answer, Change, Committed, Ledger, NoticeId, OrderFilter, OrderPlace, Overdue, PortError};
use async_trait::async_trait;
use domain::cart::Owner;
use domain::checkout::Checkout;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId, Version};
use domain::order::{Appended, Order, Recorded, Status};
use domain::planted;
use domain::pricing::{Counter, Usage};
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::cmp::Reverse;

#[async_trait]
impl Ledger for MemoryStore {
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError> {
        let mut state = self.state();
        Ok(state.commit(change, now).err().unwrap_or(Committed::Done))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Ok(self.state().answers.get(&key).cloned())
    }

    async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        let answers = &mut self.state().answers;
        let old: Vec<_> = answers.values().filter(|a| a.at < before).map(|a| a.mark.key).take(limit).collect();
        for key in &old {
            answers.remove(key);
        }
        Ok(old.len())
    }

    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError> {
        Ok(self.state().notices.contains_key(id))
    }

    async fn forget_notices(&self, before: Timestamp, limit: usize) -> Result<usize, PortError> {
        let notices = &mut self.state().notices;
        let old: Vec<_> = notices.iter().filter(|(_, at)| **at < before).map(|(id, _)| id.clone()).take(limit).collect();
        for id in &old {
            notices.remove(id);
        }
        Ok(old.len())
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError> {
        Ok(self.state().checkouts.get(&id).cloned())
    }

    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError> {
        let state = self.state();
        let holding = state.checkouts.values().filter(|c| c.cart == cart && !c.state.is_done());
        Ok(holding.max_by_key(|c| (c.state.is_live(), c.created_at, c.id)).cloned())
    }

    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError> {
        let state = self.state();
        Ok(state.checkouts.values().filter(|c| c.owner == *owner).max_by_key(|c| (c.created_at, c.id)).cloned())
    }

    async fn due_checkouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Checkout>, PortError> {
        let state = self.state();
        Ok(state.due_checkouts(now).into_iter().take(limit).cloned().collect())
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError> {
        Ok(self.state().orders.get(&id).cloned())
    }

    async fn orders(&self, filter: &OrderFilter, limit: usize) -> Result<Vec<Order>, PortError> {
        let state = self.state();
        let mut matching: Vec<_> = state.orders.values().filter(|o| matches(filter, o)).collect();
        matching.sort_by_key(|o| Reverse(place(o)));
        Ok(matching.into_iter().take(limit).cloned().collect())
    }

    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError> {
        Ok(self.state().histories.get(&id).cloned().unwrap_or_default())
    }

    async fn due_orders(&self, now: Timestamp, limit: usize) -> Result<Vec<Order>, PortError> {
        let state = self.state();
        Ok(state.due_orders(now).into_iter().take(limit).map(|(_, order)| order.clone()).collect())
    }

    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError> {
        let state = self.state();
        let (checkouts, orders) = (state.due_checkouts(now), state.due_orders(now));
        let first = [checkouts.first().map(|c| c.due_at), orders.first().map(|(alarm, _)| *alarm)];
        let since = first.into_iter().flatten().min();
        Ok(Overdue { checkouts: checkouts.len() as u64, orders: orders.len() as u64, since })
    }

    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError> {
        Ok(self.state().level_of(edition))
    }

    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError> {
        Ok(self.state().usage(counters))
    }
}

impl State {
    /// # Errors
    /// The first precondition that does not hold; nothing has changed then.
    fn commit(&mut self, change: Change, now: Timestamp) -> Result<(), Committed> {
        if let Some(first) = self.answered(&change.answer) {
            return Err(Committed::Answered(first));
        }
        if let Some((checkout, expected)) = &change.checkout {
            self.admit_checkout(checkout, *expected)?;
        }
        if let Some(appended) = &change.order {
            self.admit_order(appended)?;
        }
        let stock = self.plan_stock(&change.stock, &change.outbox, now).map_err(Committed::StockShort)?;
        let uses = self.plan_uses(&change.uses).map_err(Committed::UsedUp)?;

        self.checkouts.extend(change.checkout.map(|(checkout, _)| (checkout.id, checkout)));
        if let Some(Appended { order, events }) = change.order {
            self.histories.entry(order.id).or_default().extend(events);
            self.orders.insert(order.id, order);
        }
        self.alarms.extend(change.order_alarm);
        if let Some(notice) = change.notice {
            self.notices.entry(notice).or_insert(now);
        }
        self.outbox.push(change.outbox);
        self.apply_stock(stock);
        self.apply_uses(uses);
        self.remember(change.answer);
        Ok(())
    }

    fn admit_checkout(&self, checkout: &Checkout, expected: Version) -> Result<(), Committed> {
        if self.checkouts.get(&checkout.id).map_or(Version(0), |c| c.version) != expected && !planted("checkout-version-not-compared") {
            return Err(Committed::CheckoutConflict);
        }
        let holds_it_too = |c: &&Checkout| c.id != checkout.id && c.cart == checkout.cart && c.state.is_live();
        match self.checkouts.values().find(holds_it_too) {
            Some(other) if checkout.state.is_live() && !planted("two-checkouts-a-cart") => Err(Committed::CartTaken(other.id)),
            _ => Ok(()),
        }
    }

    fn admit_order(&self, appended: &Appended) -> Result<(), Committed> {
        let order = &appended.order;
        let stored = self.orders.get(&order.id).map_or(Version(0), |o| o.version);
        let sold = |o: &Order| o.id != order.id && o.checkout == order.checkout && o.status != Status::Failed;
        let numbered = |o: &Order| o.id != order.id && o.number == order.number;
        let is_new = stored == Version(0);
        if stored != appended.expected() || (is_new && self.orders.values().any(sold)) {
            return Err(Committed::OrderConflict);
        }
        if is_new && self.orders.values().any(numbered) && !planted("number-from-clock") { Err(Committed::NumberTaken) } else { Ok(()) }
    }

    /// The longest waiting first.
    fn due_checkouts(&self, now: Timestamp) -> Vec<&Checkout> {
        let mut due: Vec<_> = self.checkouts.values().filter(|c| !c.state.is_done() && c.due_at <= now).collect();
        due.sort_by_key(|c| (c.due_at, c.id));
        due
    }

    /// With their alarms, the longest waiting first.
    fn due_orders(&self, now: Timestamp) -> Vec<(Timestamp, &Order)> {
        let rung = self.alarms.iter().filter(|(_, alarm)| **alarm <= now);
        let mut due: Vec<_> = rung.filter_map(|(id, alarm)| Some((*alarm, self.orders.get(id)?))).collect();
        due.retain(|(_, order)| order.payment.is_moving());
        due.sort_by_key(|(alarm, order)| (*alarm, order.id));
        due
    }
}

fn place(order: &Order) -> OrderPlace {
    OrderPlace { placed_at: order.placed_at, id: order.id }
}

fn matches(filter: &OrderFilter, order: &Order) -> bool {
    filter.owner.as_ref().is_none_or(|owner| *owner == order.owner)
        && filter.status.is_none_or(|status| status == order.status)
        && filter.payment.is_none_or(|payment| payment == order.payment)
        && filter.from.is_none_or(|from| from <= order.placed_at)
        && filter.to.is_none_or(|to| order.placed_at < to)
        && filter.after.is_none_or(|after| place(order) < after)
}
