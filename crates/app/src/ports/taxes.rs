use super::PortError;
use async_trait::async_trait;
use domain::pricing::{Assessed, Taxable};

/// Somebody who knows what tax is due where. Whether an answer can be true is checked by who asks ([`Assessed::check`]).
#[async_trait]
pub trait Taxes: Send + Sync {
    /// What is due on these goods where they go: on each line, and on shipping.
    ///
    /// - The answer is of these goods: no other items, no other currency, and no more than they come to.
    /// - Asking changes nothing: while rates are the same, the same question has the same answer.
    /// - Where nothing is known to be due, nothing is.
    /// - An answer is never an estimate. Who cannot say says so, within a bounded time, by an error after which nothing has
    ///   changed.
    async fn assess(&self, goods: &Taxable) -> Result<Assessed, PortError>;
}
