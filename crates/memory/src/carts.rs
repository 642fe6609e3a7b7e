use crate::MemoryStore;
use crate::store::State;
use app::ports::{Answer, AtLeast, CartChange, CartWrite, Carts, PortError, Saved};
use async_trait::async_trait;
use domain::cart::{Cart, Owner};
use domain::ids::{CartId, Version};
use domain::planted;
use domain::time::Timestamp;
use std::sync::Arc;

#[async_trait]
impl Carts for MemoryStore {
    async fn load(&self, id: CartId, _: AtLeast, now: Timestamp) -> Result<Option<Arc<Cart>>, PortError> {
        Ok(self.state().live_cart(id, now).cloned())
    }

    async fn of_owner(&self, owner: &Owner, now: Timestamp) -> Result<Option<CartId>, PortError> {
        Ok(self.state().cart_of(owner, now))
    }

    async fn save(&self, change: CartChange, now: Timestamp) -> Result<Saved, PortError> {
        let mut state = self.state();
        if let Some(refused) = state.refuse_carts(&change, now) {
            return Ok(refused);
        }
        for write in change.writes {
            match write {
                CartWrite::Put { cart, .. } => state.put_cart(cart),
                CartWrite::Delete { id, .. } => state.remove_cart(id),
            }
        }
        state.outbox.push(change.outbox);
        state.remember(change.answers);
        Ok(Saved::Done)
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        Ok(self.state().answers.get(&key).cloned())
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Cart>>, PortError> {
        let mut expired: Vec<_> = self.state().carts.values().filter(|c| !c.is_live(now)).cloned().collect();
        expired.sort_by_key(|c| (c.expires_at, c.id));
        expired.truncate(limit);
        Ok(expired)
    }
}

impl State {
    fn live_cart(&self, id: CartId, now: Timestamp) -> Option<&Arc<Cart>> {
        self.carts.get(&id).filter(|c| c.is_live(now))
    }

    fn cart_of(&self, owner: &Owner, now: Timestamp) -> Option<CartId> {
        self.owners.get(owner).copied().filter(|id| self.live_cart(*id, now).is_some())
    }

    /// Why the change does not hold, if it does not.
    fn refuse_carts(&self, change: &CartChange, now: Timestamp) -> Option<Saved> {
        if let Some(first) = self.answered(&change.answers) {
            return Some(Saved::Answered(first));
        }
        change.writes.iter().find_map(|write| match write {
            CartWrite::Put { cart, expected: Version(0) } => self.refuse_new_cart(cart, &change.writes, now),
            CartWrite::Put { cart, expected } => self.refuse_version(cart.id, *expected),
            CartWrite::Delete { id, expected } => self.refuse_version(*id, *expected),
        })
    }

    fn refuse_version(&self, id: CartId, expected: Version) -> Option<Saved> {
        let current = self.carts.get(&id);
        let holds = current.map(|c| c.version) == Some(expected) || planted("cart-version-not-compared");
        (!holds).then(|| Saved::Conflict { id, current: current.cloned() })
    }

    /// A cart of the owner that goes away in the same change does not count.
    fn refuse_new_cart(&self, cart: &Cart, writes: &[CartWrite], now: Timestamp) -> Option<Saved> {
        if let Some(current) = self.live_cart(cart.id, now) {
            return Some(Saved::Conflict { id: cart.id, current: Some(Arc::clone(current)) });
        }
        let goes = |other: &CartId| writes.iter().any(|w| matches!(w, CartWrite::Delete { id, .. } if id == other));
        self.cart_of(&cart.owner, now).filter(|other| !goes(other)).map(Saved::OwnerHas)
    }

    fn put_cart(&mut self, cart: Arc<Cart>) {
        if self.carts.get(&cart.id).is_some_and(|old| old.owner != cart.owner) {
            self.remove_cart(cart.id);
        }
        self.owners.insert(cart.owner.clone(), cart.id);
        self.carts.insert(cart.id, cart);
    }

    fn remove_cart(&mut self, id: CartId) {
        if let Some(cart) = self.carts.remove(&id)
            && self.owners.get(&cart.owner) == Some(&id)
        {
            self.owners.remove(&cart.owner);
        }
    }
}
