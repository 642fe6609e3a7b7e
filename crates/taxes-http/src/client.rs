//! The shop's side.

use crate::limits::ANSWER_MAX;
use crate::protocol::{ANSWERS, AskedBody, AssessedBody};
use app::ports::{DidItHappen, PortError, Taxes};
use async_trait::async_trait;
use domain::pricing::{Assessed, Taxable};
use outbound::{Call, Client, NoAddress, Patience};

const PORT: &str = "taxes";

/// A provider that speaks the protocol of this crate, over HTTP/1.1.
#[derive(Clone, Debug)]
pub struct HttpTaxes(Client);

impl HttpTaxes {
    /// # Errors
    /// The address is not `http://HOST[:PORT][/PATH]`.
    pub fn new(url: &str, patience: Patience) -> Result<Self, NoAddress> {
        Client::new(PORT, url, ANSWER_MAX, patience).map(Self)
    }
}

#[async_trait]
impl Taxes for HttpTaxes {
    async fn assess(&self, goods: &Taxable) -> Result<Assessed, PortError> {
        let body = serde_json::to_vec(&AskedBody::of(goods)).expect("invariant: requests are plain structs with text keys");
        let call = Call { method: outbound::Method::POST, path: ANSWERS, key: None, body: body.into() };
        // A question changes nothing, heard or not.
        let harmless = |error| PortError { did_it_happen: DidItHappen::No, ..error };
        let answer: AssessedBody = self.0.call(call).await.map_err(harmless)?;
        answer.read().map_err(|why| PortError::corrupt(PORT, why))
    }
}
