use app::ports::{Clock, PortError, Taxes};
use async_trait::async_trait;
use domain::pricing::{Assessed, Rules, Taxable};
use std::sync::Arc;

/// A tax provider that goes by a table of rates.
#[derive(Clone)]
pub struct MemoryTaxes {
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
}

impl MemoryTaxes {
    /// By the tax rates among these rules.
    pub fn new(rules: Rules, clock: Arc<dyn Clock>) -> Self {
        Self { rules: Arc::new(rules), clock }
    }
}

impl std::fmt::Debug for MemoryTaxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryTaxes").field("rates", &self.rules.taxes().len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Taxes for MemoryTaxes {
    async fn assess(&self, goods: &Taxable) -> Result<Assessed, PortError> {
        goods.at(self.rules.taxes(), self.clock.now()).map_err(|error| PortError::corrupt("taxes", error))
    }
}
