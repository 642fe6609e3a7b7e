//! Where the catalog is, or where it is served to others.

use super::{Hidden, Settings, Span};
use catalog_grpc::{RemoteCatalogSettings, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogAt {
    pub url: String,
    pub listen: String,
    pub token: Hidden,
    pub copy_age_max: Span,
}

impl CatalogAt {
    /// Another node holds it.
    pub fn is_elsewhere(&self) -> bool {
        !self.url.is_empty()
    }

    /// The catalog at `catalog.url`, unless this node holds it.
    pub fn elsewhere(&self) -> Result<Option<RemoteCatalogSettings>, String> {
        if !self.is_elsewhere() {
            return Ok(None);
        }
        Ok(Some(RemoteCatalogSettings { copy_age_max: self.copy_age_max.0, ..RemoteCatalogSettings::new(&self.url, self.token()?) }))
    }

    /// Where this node serves it, and to whom.
    pub fn served(&self) -> Result<Option<(SocketAddr, Token)>, String> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let listen = self.listen.parse().map_err(|_| format!("configuration: catalog.listen: `{}` is not an ADDRESS:PORT", self.listen))?;
        Ok(Some((listen, self.token()?)))
    }

    fn token(&self) -> Result<Token, String> {
        let told = self.token.told().and_then(Token::parse);
        told.ok_or_else(|| "configuration: catalog.token: nodes know each other by a secret of 16 to 256 visible characters".into())
    }
}

impl Settings {
    /// Only what makes sense together is served.
    pub(super) fn check_catalog(&self) -> Result<(), String> {
        self.catalog.elsewhere()?;
        let served = self.catalog.served()?.is_some();
        let wrong = [
            (
                self.catalog.is_elsewhere() && served,
                "catalog.url and catalog.listen: a node has the catalog elsewhere, or serves it to others",
            ),
            (
                self.catalog.is_elsewhere() && !self.store.is_shared(),
                "catalog.url: stock is counted in the ledger, so the catalog is left only to a node of the same store.postgres_url",
            ),
            (
                served && !self.has_role(super::Role::Catalog),
                "catalog.listen: serving the catalog to others is the role catalog, which this node does not have",
            ),
        ];
        wrong.iter().find(|(is, _)| *is).map_or(Ok(()), |(_, why)| Err(format!("configuration: {why}")))
    }
}
