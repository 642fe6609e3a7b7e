//! Who does which job. Time is the nodes', as everywhere: of two whose clocks differ, the one that is ahead may take a job too
//! early, by as much. Then it has a greater fence, and what the other still begins is refused, so that no slot is done
//! twice; work that is not done in slots can be done twice without harm.

use crate::columns::{int, uint};
use crate::fault::Fault;
use crate::{PgStore, queries};
use app::ports::{Fence, Job, Leases, NodeName, PortError};
use async_trait::async_trait;
use domain::text::Text;
use domain::time::Timestamp;
use std::time::Duration;
use tokio_postgres::Row;

const PORT: &str = "leases";

#[async_trait]
impl Leases for PgStore {
    async fn take(&self, job: &Job, holder: &NodeName, keep: Duration, now: Timestamp) -> Result<Option<Fence>, PortError> {
        let until = now.plus(keep).0;
        let taken = self.primary().row(queries::leases::take, &[&job.as_str(), &holder.as_str(), &until, &now.0]).await;
        let fence = taken.and_then(|row| row.map(|row| Ok::<_, Fault>(Fence(uint(row.try_get(0)?)))).transpose());
        fence.map_err(|fault| fault.of_write(PORT))
    }

    async fn give_up(&self, job: &Job, fence: Fence) -> Result<(), PortError> {
        let given = self.primary().execute(queries::leases::give_up, &[&job.as_str(), &int(fence.0)]).await;
        given.map(drop).map_err(|fault| fault.of_write(PORT))
    }

    async fn held(&self, now: Timestamp) -> Result<Vec<(Job, NodeName)>, PortError> {
        let rows = self.primary().rows(queries::leases::held, &[&now.0]).await;
        rows.and_then(|rows| rows.iter().map(held).collect()).map_err(|fault| fault.without_effect(PORT))
    }

    async fn begin(&self, job: &Job, slot: Timestamp, fence: Fence, now: Timestamp) -> Result<bool, PortError> {
        let begun = self.primary().execute(queries::leases::begin, &[&job.as_str(), &slot.0, &int(fence.0), &now.0]).await;
        begun.map(|rows| rows > 0).map_err(|fault| fault.of_write(PORT))
    }
}

fn held(row: &Row) -> Result<(Job, NodeName), Fault> {
    Ok((name(row.try_get(0)?)?, name(row.try_get(1)?)?))
}

fn name<const MAX: usize>(text: &str) -> Result<Text<MAX>, Fault> {
    Text::parse(text).ok_or_else(|| Fault::Unheard(text.to_owned()))
}
