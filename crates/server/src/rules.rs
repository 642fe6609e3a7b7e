//! The file of pricing rules.

use domain::ids::{CouponCode, ShippingOptionId, TaxName};
use domain::limits::NAME_MAX;
use domain::money::{Currency, Money, Ppm};
use domain::person::{Country, Region};
use domain::pricing::{Basis, Benefit, Budget, Minimum, Needs, Off, Place, Promotion, Rule, ShippingOption, Target, TaxRate, Window};
use domain::text::Text;
use domain::time::Timestamp;
use serde::Deserialize;
use std::path::Path;

const DEMO: &str = include_str!("../rules.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    coupon: Vec<CouponEntry>,
    #[serde(default)]
    tax: Vec<TaxEntry>,
    #[serde(default)]
    shipping: Vec<ShippingEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CouponEntry {
    code: String,
    label: String,
    percentage_ppm: Option<u32>,
    amount: Option<i64>,
    currency: Option<String>,
    min_subtotal: Option<i64>,
    from: Option<toml::value::Datetime>,
    to: Option<toml::value::Datetime>,
    uses_max: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxEntry {
    tax: Option<String>,
    country: String,
    region: Option<String>,
    label: String,
    rate_ppm: u32,
    #[serde(default)]
    included: bool,
    #[serde(default)]
    shipping_taxed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShippingEntry {
    id: String,
    label: String,
    price: i64,
    currency: String,
    free_from: Option<i64>,
    #[serde(default)]
    countries: Vec<String>,
}

/// The rules in `path`, or the demo's when it is empty.
///
/// # Errors
/// A sentence that names the entry and what is wrong with it.
pub fn load(path: &Path, shop: Currency) -> Result<Vec<Rule>, String> {
    if path.as_os_str().is_empty() {
        return parse(DEMO, shop);
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text, shop).map_err(|e| format!("{}: {e}", path.display()))
}

fn parse(text: &str, shop: Currency) -> Result<Vec<Rule>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let coupons = file.coupon.into_iter().map(|c| coupon(c, shop).map(Rule::from));
    let taxes = file.tax.into_iter().map(|t| tax(t).map(Rule::tax));
    let shipping = file.shipping.into_iter().map(|s| shipping(s).map(Rule::from));
    coupons.chain(taxes).chain(shipping).collect()
}

fn coupon(entry: CouponEntry, shop: Currency) -> Result<Promotion, String> {
    let bad = |what: &str| format!("coupon {}: {what}", entry.code);
    let currency = match &entry.currency {
        Some(code) => Currency::parse(code).ok_or_else(|| bad("unknown currency"))?,
        None => shop,
    };
    let money = |minor: i64| Money::new(minor, currency).ok().filter(|m| m.minor() > 0).ok_or_else(|| bad("amounts are positive"));
    let off = match (entry.percentage_ppm, entry.amount) {
        (Some(ppm), None) if (1..=1_000_000).contains(&ppm) => Off::Rate(Ppm(ppm)),
        (None, Some(amount)) => Off::Amount(money(amount)?),
        _ => return Err(bad("needs either percentage_ppm between 1 and 1000000 or amount")),
    };
    let code = CouponCode::parse(&entry.code).ok_or_else(|| bad("codes are A-Z, 0-9, - and _"))?;
    let minimum = entry.min_subtotal.map(money).transpose()?.map(|amount| Minimum { amount, basis: Basis::Subtotal });
    let window = Window { from: instant(entry.from.as_ref()).map_err(|e| bad(&e))?, to: instant(entry.to.as_ref()).map_err(|e| bad(&e))? };
    let benefit = Benefit::Goods { of: Target::default(), off };
    Ok(Promotion {
        needs: Needs { minimum, ..Needs::default() },
        window,
        budget: Budget { uses: entry.uses_max, ..Budget::default() },
        ..Promotion::coupon(code, label(&entry.label).ok_or_else(|| bad("label"))?, benefit)
    })
}

fn tax(entry: TaxEntry) -> Result<TaxRate, String> {
    let bad = |what: &str| format!("tax {}: {what}", entry.country);
    let region = entry.region.as_deref().map(|r| Region::parse(r).ok_or_else(|| bad("region"))).transpose()?;
    let place = Place { region, ..Place::country(country(&entry.country).ok_or_else(|| bad("country is two capital letters"))?) };
    let rate = Some(Ppm(entry.rate_ppm)).filter(|r| *r <= Ppm::ONE).ok_or_else(|| bad("rate_ppm is at most 1000000"))?;
    let tax = TaxName::parse(entry.tax.as_deref().unwrap_or("TAX")).ok_or_else(|| bad("tax is 1 to 64 letters and digits"))?;
    Ok(TaxRate {
        included: entry.included,
        shipping_taxed: entry.shipping_taxed,
        ..TaxRate::of(tax, place, label(&entry.label).ok_or_else(|| bad("label"))?, rate)
    })
}

fn shipping(entry: ShippingEntry) -> Result<ShippingOption, String> {
    let bad = |what: &str| format!("shipping {}: {what}", entry.id);
    let currency = Currency::parse(&entry.currency).ok_or_else(|| bad("unknown currency"))?;
    let money = |minor: i64| Money::new(minor, currency).ok().filter(|m| m.minor() >= 0).ok_or_else(|| bad("amounts are not negative"));
    let id = ShippingOptionId::parse(&entry.id).ok_or_else(|| bad("id"))?;
    let zone = |c: &String| country(c).map(Place::country).ok_or_else(|| bad("countries are two capital letters"));
    Ok(ShippingOption {
        free_from: entry.free_from.map(money).transpose()?,
        zones: entry.countries.iter().map(zone).collect::<Result<_, _>>()?,
        ..ShippingOption::flat(id, label(&entry.label).ok_or_else(|| bad("label"))?, money(entry.price)?)
    })
}

fn label(text: &str) -> Option<Text<NAME_MAX>> {
    Text::parse(text)
}

fn country(text: &str) -> Option<Country> {
    Country::parse(text)
}

fn instant(at: Option<&toml::value::Datetime>) -> Result<Option<Timestamp>, String> {
    let Some(at) = at else { return Ok(None) };
    wire::At::parse(&at.to_string()).map(Some).ok_or_else(|| format!("{at} is not a date and time with a zone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::pricing::RuleKind;

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    #[test]
    fn the_demo_rules_are_valid() {
        let rules = parse(DEMO, usd()).expect("valid");
        let of = |kind| rules.iter().filter(|r| r.key().kind == kind).count();
        assert_eq!((of(RuleKind::Promotion), of(RuleKind::TaxRate)), (3, 9));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for (text, message) in [
            ("[[coupon]]\ncode = 'A'\nlabel = 'a'", "coupon A: needs either"),
            ("[[coupon]]\ncode = 'a'\nlabel = 'a'\namount = 5", "coupon a: codes are"),
            ("[[coupon]]\ncode = 'A'\nlabel = 'a'\namount = -5", "coupon A: amounts are positive"),
            ("[[tax]]\ncountry = 'usa'\nlabel = 'a'\nrate_ppm = 5", "tax usa: country"),
            ("[[shipping]]\nid = 'a'\nlabel = 'a'\nprice = 1\ncurrency = 'XYZ'", "shipping a: unknown currency"),
            ("[[shipping]]\nid = 'a'\nlabel = 'a'\nprice = 1\ncurrency = 'USD'\nprize = 3", "unknown field `prize`"),
        ] {
            let error = parse(text, usd()).expect_err(text);
            assert!(error.contains(message), "{error}");
        }
    }
}
