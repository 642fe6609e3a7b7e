//! Taxes of a provider: asked about once, remembered, and stood in for as the shop has declared when it cannot say.

use crate::App;
use crate::digest::first_half;
use crate::error::Error;
use crate::ports::{PortError, Taxes};
use crate::pricing::{Shelf, Terms};
use domain::ids::CouponCode;
use domain::limits::TAX_PLACES_KEPT_MAX;
use domain::pricing::{Assessed, Assessment, Context, Destination, LastRates, Line, Quote, TaxRate, Taxable};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What is done when the tax provider is slow, away, or says what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaxFallback {
    /// By the rates it last named for the place, else by the shop's table.
    LastRate,
    /// By the shop's table.
    Table,
    /// There is no total, and nothing can be paid.
    Refuse,
}

/// What is quoted, and on which terms.
pub(crate) struct Asked<'a> {
    pub terms: &'a Terms,
    pub lines: &'a [Line],
    pub coupons: &'a [CouponCode],
    pub shelf: &'a Shelf,
}

/// The last rates of places, the nearest place first.
pub(crate) struct Places(Cache<String, Arc<LastRates>>);

impl Default for Places {
    fn default() -> Self {
        Self(Cache::new(TAX_PLACES_KEPT_MAX))
    }
}

impl Places {
    fn remember(&self, goods: &Taxable, assessed: &Assessed) {
        let rates = Arc::new(LastRates::of(assessed, goods));
        for name in names(&goods.to) {
            self.0.insert(name, Arc::clone(&rates));
        }
    }

    fn estimate(&self, goods: &Taxable, now: Timestamp) -> Result<Option<Assessed>, Error> {
        for name in names(&goods.to) {
            if let Some(rates) = self.0.get(&name)
                && let Some(estimate) = rates.estimate(goods, now)?
            {
                return Ok(Some(estimate));
            }
        }
        Ok(None)
    }
}

/// What a destination is remembered by: itself, then its region, or its country where it has none.
fn names(to: &Destination) -> [String; 2] {
    let part = |text: Option<&str>| text.unwrap_or_default().to_lowercase();
    let region = format!("{}/{}", to.country.as_str(), part(to.region.as_ref().map(|r| r.as_str())));
    let (city, postal) = (to.city.as_ref().map(|c| c.as_str()), to.postal_code.as_ref().map(|p| p.as_str()));
    [format!("{region}/{}/{}", part(city), part(postal)), region]
}

impl App {
    /// Quotes with what the tax provider says, where there is one and the destination is known. What is `known` is not asked
    /// again.
    pub(crate) async fn quote_taxed(
        &self,
        asked: &Asked<'_>,
        context: Context,
        known: Option<Assessment>,
        now: Timestamp,
    ) -> Result<(Quote, Option<Assessment>), Error> {
        let Asked { terms, lines, coupons, shelf } = *asked;
        let priced = |context: &Context| terms.quote(lines, coupons, shelf, context, now);
        let by_table = priced(&context)?;
        let (Some(taxes), Some(to), false) = (&self.ports.taxes, &context.destination, context.shopper.tax_exempt) else {
            return Ok((by_table, None));
        };
        let Some(goods) = Taxable::of(&by_table, to)? else { return Ok((by_table, None)) };
        let digest = digest(&goods);
        let assessment = match known.filter(|known| known.asked == digest) {
            Some(known) => known,
            None => Assessment { asked: digest, assessed: self.assess(&**taxes, &goods, terms.book.rules().taxes(), now).await? },
        };
        let context = Context { assessed: Some(assessment.assessed.clone()), ..context };
        Ok((priced(&context)?, Some(assessment)))
    }

    async fn assess(&self, taxes: &dyn Taxes, goods: &Taxable, table: &[TaxRate], now: Timestamp) -> Result<Assessed, Error> {
        let answer = taxes.assess(goods).await.and_then(|assessed| match assessed.check(goods) {
            Ok(()) => Ok(assessed),
            Err(unbelievable) => Err(PortError::corrupt("taxes", unbelievable)),
        });
        match answer {
            Ok(assessed) => {
                self.tax_places.remember(goods, &assessed);
                Ok(assessed)
            }
            Err(error) => {
                tracing::warn!(%error, fallback = ?self.policy.tax_fallback, "the tax provider cannot say");
                self.stand_in(goods, table, now)
            }
        }
    }

    /// What the shop has declared for when nobody can say.
    fn stand_in(&self, goods: &Taxable, table: &[TaxRate], now: Timestamp) -> Result<Assessed, Error> {
        let last = match self.policy.tax_fallback {
            TaxFallback::Refuse => return Err(Refusal::TaxUnavailable.into()),
            TaxFallback::LastRate => self.tax_places.estimate(goods, now)?,
            TaxFallback::Table => None,
        };
        match last {
            Some(estimate) => Ok(estimate),
            None => Ok(Assessed { estimated: true, ..goods.at(table, now)? }),
        }
    }
}

/// The same for the same question, and for no other.
fn digest(goods: &Taxable) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut put = |part: &str| {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    };
    let Destination { country, region, city, postal_code } = &goods.to;
    put(country.as_str());
    put(region.as_ref().map_or("", |r| r.as_str()));
    put(city.as_ref().map_or("", |c| c.as_str()));
    put(postal_code.as_ref().map_or("", |p| p.as_str()));
    put(goods.currency.code());
    put(&goods.shipping.minor().to_string());
    for line in &goods.lines {
        put(&line.item.to_string());
        put(line.sku.as_str());
        put(line.format.as_str());
        put(&line.quantity.get().to_string());
        put(&line.amount.minor().to_string());
    }
    first_half(hash)
}
