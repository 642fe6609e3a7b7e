//! Checkouts, orders, stock, uses of promotions: one change, one transaction, one round trip.

use crate::change::{Alone, Encoded};
use crate::columns::{Id, limit, record, records, uint};
use crate::commit::{commit, first_commit_id};
use crate::fault::Fault;
use crate::group::Told;
use crate::limits::COMMITS_FORGOTTEN_MAX;
use crate::{PgStore, queries};
use app::ports::{Answer, Change, Committed, Ledger, NoticeId, OrderFilter, Overdue, PortError};
use async_trait::async_trait;
use domain::cart::Owner;
use domain::checkout::Checkout;
use domain::ids::{CartId, CheckoutId, EditionId, OrderId};
use domain::order::{Order, Recorded};
use domain::pricing::{Counter, Usage};
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

const PORT: &str = "ledger";

/// The first order of a page is before this place, also where the filter names none.
fn end(filter: &OrderFilter) -> (i64, Id) {
    let to = (filter.to.map_or(i64::MAX, |to| to.0), Id(0));
    let after = filter.after.map_or((i64::MAX, Id(u128::MAX)), |place| (place.placed_at.0, Id(place.id.0)));
    to.min(after)
}

impl PgStore {
    async fn read<T>(
        &self,
        query: &str,
        params: &[&(dyn ToSql + Sync)],
        decode: impl FnOnce(Vec<Row>) -> Result<T, Fault>,
    ) -> Result<T, PortError> {
        let rows = self.primary().read(query, params).await;
        rows.and_then(decode).map_err(|fault| fault.without_effect(PORT))
    }

    /// From the replica: it may be a moment old.
    async fn look<T>(
        &self,
        query: &str,
        params: &[&(dyn ToSql + Sync)],
        decode: impl FnOnce(Vec<Row>) -> Result<T, Fault>,
    ) -> Result<T, PortError> {
        let rows = self.replica().read(query, params).await;
        rows.and_then(decode).map_err(|fault| fault.without_effect(PORT))
    }

    async fn commit_alone(&self, change: Arc<Encoded>) -> Result<Committed, PortError> {
        let now = change.now;
        let (committed, levels) = commit(self.primary(), &Alone::of(change), now).await.map_err(|fault| fault.of_write(PORT))?;
        match (&committed, levels) {
            (Committed::Done, Some(levels)) => self.copy().moved(&levels),
            (Committed::Done, None) => self.show(PORT, true).await?,
            _ => {}
        }
        Ok(committed)
    }

    async fn forget(&self, query: &str, params: &[&(dyn ToSql + Sync)]) -> Result<usize, PortError> {
        let forgotten = self.primary().execute(query, params).await.map_err(|fault| fault.of_write(PORT))?;
        Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
    }
}

#[async_trait]
impl Ledger for PgStore {
    async fn commit(&self, change: Change, now: Timestamp) -> Result<Committed, PortError> {
        let change = Arc::new(Encoded::of(change, now));
        let told = if change.is_usual() { self.group().commit(&change).await } else { Told::Alone };
        match told {
            Told::Done => Ok(Committed::Done),
            // The connection broke, and nobody said where stock has got to.
            Told::Unseen => self.show(PORT, true).await.map(|()| Committed::Done),
            Told::Alone => self.commit_alone(change).await,
            Told::Failed(fault) => Err(fault.of_writes(PORT)),
        }
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.answer_to(PORT, key).await
    }

    /// And with them the ids of commits of that time.
    async fn forget_answers(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        self.forget(queries::ledger::forget_commits, &[&Id(first_commit_id(before)), &COMMITS_FORGOTTEN_MAX]).await?;
        self.forget(queries::ledger::forget_answers, &[&before.0, &limit(most)]).await
    }

    async fn noticed(&self, id: &NoticeId) -> Result<bool, PortError> {
        self.read(queries::ledger::noticed, &[&id.as_str()], |rows| Ok(!rows.is_empty())).await
    }

    async fn forget_notices(&self, before: Timestamp, most: usize) -> Result<usize, PortError> {
        self.forget(queries::ledger::forget_notices, &[&before.0, &limit(most)]).await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, PortError> {
        self.read(queries::ledger::checkout, &[&Id(id.0)], |rows| record(&rows, records::decode_checkout)).await
    }

    async fn checkout_of_cart(&self, cart: CartId) -> Result<Option<Checkout>, PortError> {
        self.read(queries::ledger::checkout_of_cart, &[&Id(cart.0)], |rows| record(&rows, records::decode_checkout)).await
    }

    async fn checkout_of_owner(&self, owner: &Owner) -> Result<Option<Checkout>, PortError> {
        self.read(queries::ledger::checkout_of_owner, &[&records::owner_key(owner)], |rows| record(&rows, records::decode_checkout)).await
    }

    async fn due_checkouts(&self, now: Timestamp, most: usize) -> Result<Vec<Checkout>, PortError> {
        self.read(queries::ledger::due_checkouts, &[&now.0, &limit(most)], |rows| records(&rows, records::decode_checkout)).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, PortError> {
        self.read(queries::ledger::order, &[&Id(id.0)], |rows| record(&rows, records::decode_order)).await
    }

    async fn orders(&self, filter: &OrderFilter, most: usize) -> Result<Vec<Order>, PortError> {
        let owner = filter.owner.as_ref().map(records::owner_key);
        let (status, payment) = (filter.status.map(|s| s.as_str()), filter.payment.map(|p| p.as_str()));
        let named: [Option<&(dyn ToSql + Sync)>; 3] =
            [owner.as_ref().map(|o| o as _), status.as_ref().map(|s| s as _), payment.as_ref().map(|p| p as _)];
        let shape = named.iter().enumerate().map(|(bit, value)| usize::from(value.is_some()) << bit).sum::<usize>();
        let from = filter.from.map_or(i64::MIN, |from| from.0);
        let ((before, id), most) = (end(filter), limit(most));
        let always: [&(dyn ToSql + Sync); 4] = [&from, &before, &id, &most];
        let params: Vec<_> = always.into_iter().chain(named.into_iter().flatten()).collect();
        self.look(&queries::ORDERS[shape], &params, |rows| records(&rows, records::decode_order)).await
    }

    async fn order_events(&self, id: OrderId) -> Result<Vec<Recorded>, PortError> {
        self.look(queries::ledger::order_events, &[&Id(id.0)], |rows| records(&rows, records::decode_recorded)).await
    }

    async fn due_orders(&self, now: Timestamp, most: usize) -> Result<Vec<Order>, PortError> {
        self.read(queries::ledger::due_orders, &[&now.0, &limit(most)], |rows| records(&rows, records::decode_order)).await
    }

    async fn overdue(&self, now: Timestamp) -> Result<Overdue, PortError> {
        let decode = |rows: Vec<Row>| {
            let [row] = &rows[..] else { return Ok(Overdue::default()) };
            let first: [Option<i64>; 2] = [row.try_get(1)?, row.try_get(3)?];
            let since = first.into_iter().flatten().min().map(Timestamp);
            Ok(Overdue { checkouts: uint(row.try_get(0)?), orders: uint(row.try_get(2)?), since })
        };
        self.look(queries::ledger::overdue, &[&now.0], decode).await
    }

    async fn stock(&self, edition: EditionId) -> Result<StockLevel, PortError> {
        let decode = |rows: Vec<Row>| {
            let Some(row) = rows.first() else { return Ok(StockLevel::default()) };
            let count = |n: i64| u32::try_from(n).expect("invariant: the table has no other counts");
            Ok(StockLevel { on_hand: count(row.try_get(0)?), reserved: count(row.try_get(1)?), moves: uint(row.try_get(2)?) })
        };
        self.read(queries::ledger::stock, &[&Id(edition.0)], decode).await
    }

    async fn usage(&self, counters: &[Counter]) -> Result<Usage, PortError> {
        if counters.is_empty() {
            return Ok(Usage::default());
        }
        let mut asked: BTreeMap<String, &Counter> = counters.iter().map(|counter| (counter.to_string(), counter)).collect();
        let names: Vec<String> = asked.keys().cloned().collect();
        let decode = |rows: Vec<Row>| {
            let used = rows.iter().map(|row| Ok((row.try_get::<_, &str>(0)?, uint(row.try_get(1)?))));
            let known: Vec<_> = used.collect::<Result<_, Fault>>()?;
            Ok(Usage(known.into_iter().filter_map(|(name, used)| Some((asked.remove(name)?.clone(), used))).collect()))
        };
        self.read(queries::ledger::usage, &[&names], decode).await
    }
}
