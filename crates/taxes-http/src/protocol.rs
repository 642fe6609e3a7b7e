//! The JSON both sides speak, and nothing else. Every shape is strict: a member that is not known here is an error.
//!
//! `POST /v1/assessments` asks `{currency, destination: {country, region?, city?, postalCode?}, lines: [{item, sku, format,
//! quantity, amount}], shipping}`. Amounts are integers of minor units of the one currency; a line's is that of all its copies
//! after discounts.
//!
//! The answer is a 200 with `{currency, included, taxes: [{code, label, ratePpm?, lines: [{item, amount}], shipping?}]}`: for each
//! tax what is due on each line that is taxed, and on shipping. What is not named is not taxed. Asking changes nothing, so a
//! question may be asked again; 503 says that the provider is down, 504 that it gave up.

use domain::catalog::Format;
use domain::ids::{ItemId, Sku};
use domain::money::{Currency, Money, Ppm};
use domain::person::Country;
use domain::pricing::{Assessed, Destination, Due, Taxable, TaxableLine};
use domain::quantity::Quantity;
use domain::text::Text;
use serde::{Deserialize, Serialize};

pub(crate) const ANSWERS: &str = "/v1/assessments";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedBody {
    currency: String,
    destination: DestinationBody,
    lines: Vec<LineBody>,
    shipping: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DestinationBody {
    country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
}

impl std::fmt::Debug for DestinationBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Destination(*** {})", self.country)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineBody {
    item: String,
    sku: String,
    format: String,
    quantity: u32,
    amount: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssessedBody {
    currency: String,
    included: bool,
    taxes: Vec<DueBody>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DueBody {
    code: String,
    label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_ppm: Option<u32>,
    lines: Vec<PartBody>,
    #[serde(default)]
    shipping: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    item: String,
    amount: i64,
}

/// What is not a value of the protocol.
#[derive(Debug, thiserror::Error)]
#[error("not what the protocol says: {0}")]
pub(crate) struct Unreadable(&'static str);

fn money(minor: i64, currency: Currency) -> Result<Money, Unreadable> {
    Money::new(minor, currency).map_err(|_| Unreadable("an amount is out of range"))
}

fn currency(code: &str) -> Result<Currency, Unreadable> {
    Currency::parse(code).ok_or(Unreadable("the currency is not an ISO 4217 code"))
}

/// A text that may be missing and must not be wrong.
fn optional<const N: usize>(text: Option<&str>) -> Result<Option<Text<N>>, Unreadable> {
    text.map(|text| Text::parse(text).ok_or(Unreadable("a text is empty or too long"))).transpose()
}

impl AskedBody {
    pub fn of(goods: &Taxable) -> Self {
        let Destination { country, region, city, postal_code } = &goods.to;
        let line = |line: &TaxableLine| LineBody {
            item: line.item.to_string(),
            sku: line.sku.to_string(),
            format: line.format.as_str().to_owned(),
            quantity: line.quantity.get(),
            amount: line.amount.minor(),
        };
        Self {
            currency: goods.currency.code().to_owned(),
            destination: DestinationBody {
                country: country.as_str().to_owned(),
                region: region.as_ref().map(Text::to_string),
                city: city.as_ref().map(Text::to_string),
                postal_code: postal_code.as_ref().map(Text::to_string),
            },
            lines: goods.lines.iter().map(line).collect(),
            shipping: goods.shipping.minor(),
        }
    }

    pub fn read(&self) -> Result<Taxable, Unreadable> {
        let currency = currency(&self.currency)?;
        let DestinationBody { country, region, city, postal_code } = &self.destination;
        let to = Destination {
            country: Country::parse(country).ok_or(Unreadable("the country is not an ISO 3166 code"))?,
            region: optional(region.as_deref())?,
            city: optional(city.as_deref())?,
            postal_code: optional(postal_code.as_deref())?,
        };
        let lines = self.lines.iter().map(|line| line.read(currency)).collect::<Result<_, _>>()?;
        Ok(Taxable { to, currency, lines, shipping: money(self.shipping, currency)? })
    }
}

impl LineBody {
    fn read(&self, currency: Currency) -> Result<TaxableLine, Unreadable> {
        Ok(TaxableLine {
            item: item(&self.item)?,
            sku: Sku::parse(&self.sku).ok_or(Unreadable("a SKU"))?,
            format: Format::parse(&self.format).ok_or(Unreadable("a format"))?,
            quantity: Quantity::new(self.quantity.into()).map_err(|_| Unreadable("a quantity"))?,
            amount: money(self.amount, currency)?,
        })
    }
}

fn item(id: &str) -> Result<ItemId, Unreadable> {
    ItemId::parse(id).ok_or(Unreadable("an item is not one of this shop's"))
}

impl AssessedBody {
    pub fn of(assessed: &Assessed, currency: Currency) -> Self {
        let part = |(item, amount): &(ItemId, Money)| PartBody { item: item.to_string(), amount: amount.minor() };
        let due = |due: &Due| DueBody {
            code: due.code.to_string(),
            label: due.label.to_string(),
            rate_ppm: due.rate.map(|rate| rate.0),
            lines: due.lines.iter().map(part).collect(),
            shipping: due.shipping.minor(),
        };
        Self { currency: currency.code().to_owned(), included: assessed.included, taxes: assessed.taxes.iter().map(due).collect() }
    }

    pub fn read(&self) -> Result<Assessed, Unreadable> {
        let currency = currency(&self.currency)?;
        let taxes = self.taxes.iter().map(|due| due.read(currency)).collect::<Result<_, _>>()?;
        Ok(Assessed { included: self.included, taxes, estimated: false })
    }
}

impl DueBody {
    fn read(&self, currency: Currency) -> Result<Due, Unreadable> {
        let rate = self.rate_ppm.map(Ppm);
        if rate.is_some_and(|rate| rate > Ppm::ONE) {
            return Err(Unreadable("a rate above 100 %"));
        }
        let parts = self.lines.iter().map(|part| Ok((item(&part.item)?, money(part.amount, currency)?)));
        Ok(Due {
            code: Text::parse(&self.code).ok_or(Unreadable("a code is empty or too long"))?,
            label: Text::parse(&self.label).ok_or(Unreadable("a label is empty or too long"))?,
            rate,
            lines: parts.collect::<Result<_, _>>()?,
            shipping: money(self.shipping, currency)?,
        })
    }
}
