use app::ports::{Clock, PortError, Taxes};
use async_trait::async_trait;
use domain::pricing::{Assessed, Pricebook, Taxable};
use std::sync::Arc;

/// A tax provider that goes by a table of rates.
#[derive(Clone)]
pub struct MemoryTaxes {
    book: Arc<Pricebook>,
    clock: Arc<dyn Clock>,
}

impl MemoryTaxes {
    /// By the tax rates of this pricebook.
    pub fn new(book: Arc<Pricebook>, clock: Arc<dyn Clock>) -> Self {
        Self { book, clock }
    }
}

impl std::fmt::Debug for MemoryTaxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryTaxes").field("rates", &self.book.rules().taxes().len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Taxes for MemoryTaxes {
    async fn assess(&self, goods: &Taxable) -> Result<Assessed, PortError> {
        goods.at(self.book.rules().taxes(), self.clock.now()).map_err(|error| PortError::corrupt("taxes", error))
    }
}
