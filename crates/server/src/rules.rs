//! The file of pricing rules.

use app::snapshot::Snapshot;
use domain::catalog::HeadingKind;
use domain::ids::{CouponCode, PromotionId, ShippingOptionId, TaxName};
use domain::limits::NAME_MAX;
use domain::money::{Currency, Money, Ppm};
use domain::person::{Country, Region};
use domain::pricing::{
    Basis, Benefit, Budget, Minimum, Needs, Off, Place, Promotion, Rule, Selector, ShippingOption, Target, TaxRate, Window,
};
use domain::text::Text;
use domain::time::Timestamp;
use serde::Deserialize;
use std::path::Path;

const DEMO: &str = include_str!("../rules.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// For whoever has the code.
    #[serde(default)]
    coupon: Vec<PromotionEntry>,
    /// For everybody.
    #[serde(default)]
    promotion: Vec<PromotionEntry>,
    #[serde(default)]
    tax: Vec<TaxEntry>,
    #[serde(default)]
    shipping: Vec<ShippingEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromotionEntry {
    /// A coupon's code, a promotion's id.
    #[serde(alias = "id")]
    code: String,
    label: String,
    percentage_ppm: Option<u32>,
    amount: Option<i64>,
    #[serde(default)]
    free_shipping: bool,
    /// Of so many copies the cheapest is free.
    cheapest_free_of: Option<u32>,
    /// Only for books of this category; all goods when left out.
    category: Option<String>,
    currency: Option<String>,
    min_subtotal: Option<i64>,
    from: Option<toml::value::Datetime>,
    to: Option<toml::value::Datetime>,
    uses_max: Option<u32>,
    uses_each_max: Option<u32>,
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

/// What a file says, as far as a catalog goes.
#[derive(Debug, Default)]
pub struct Loaded {
    pub rules: Vec<Rule>,
    /// Promotions for categories that are not in the catalog.
    pub left_out: Vec<String>,
}

/// The rules in `path`, or the demo's when it is empty, for this catalog.
///
/// # Errors
/// A sentence that names the entry and what is wrong with it.
pub fn load(path: &Path, shop: Currency, catalog: &Snapshot) -> Result<Loaded, String> {
    if path.as_os_str().is_empty() {
        return parse(DEMO, shop, catalog);
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text, shop, catalog).map_err(|e| format!("{}: {e}", path.display()))
}

fn parse(text: &str, shop: Currency, catalog: &Snapshot) -> Result<Loaded, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut loaded = Loaded::default();
    let coupons = file.coupon.into_iter().map(|entry| ("coupon", entry));
    for (kind, entry) in coupons.chain(file.promotion.into_iter().map(|entry| ("promotion", entry))) {
        match target(&entry, catalog) {
            Some(of) => loaded.rules.push(promotion(kind, entry, of, shop)?.into()),
            None => loaded.left_out.push(entry.code),
        }
    }
    for entry in file.tax {
        loaded.rules.push(Rule::tax(tax(entry)?));
    }
    for entry in file.shipping {
        loaded.rules.push(shipping(entry)?.into());
    }
    Ok(loaded)
}

/// What a promotion is for, unless the catalog does not have it.
fn target(entry: &PromotionEntry, catalog: &Snapshot) -> Option<Target> {
    let Some(category) = &entry.category else { return Some(Target::default()) };
    let heading = catalog.heading_by_name(HeadingKind::Category, category)?;
    Some(Target { any: vec![Selector::Heading(heading.id)], ..Target::default() })
}

fn promotion(kind: &str, entry: PromotionEntry, of: Target, shop: Currency) -> Result<Promotion, String> {
    let bad = |what: &str| format!("{kind} {}: {what}", entry.code);
    let currency = match &entry.currency {
        Some(code) => Currency::parse(code).ok_or_else(|| bad("unknown currency"))?,
        None => shop,
    };
    let money = |minor: i64| Money::new(minor, currency).ok().filter(|m| m.minor() > 0).ok_or_else(|| bad("amounts are positive"));
    let benefit = match (entry.percentage_ppm, entry.amount, entry.free_shipping, entry.cheapest_free_of) {
        (Some(ppm), None, false, None) if (1..=1_000_000).contains(&ppm) => Benefit::Goods { of, off: Off::Rate(Ppm(ppm)) },
        (None, Some(amount), false, None) => Benefit::Goods { of, off: Off::Amount(money(amount)?) },
        (None, None, true, None) => Benefit::Shipping { off: Off::Rate(Ppm::ONE) },
        (None, None, false, Some(copies)) if copies > 1 => {
            Benefit::BuyGet { buy: of.clone(), buy_count: copies - 1, get: of, get_count: 1, off: Ppm::ONE, times_max: None }
        }
        _ => return Err(bad("needs one of percentage_ppm between 1 and 1000000, amount, free_shipping, cheapest_free_of above 1")),
    };
    let label = label(&entry.label).ok_or_else(|| bad("label"))?;
    let named = match kind {
        "coupon" => Promotion::coupon(CouponCode::parse(&entry.code).ok_or_else(|| bad("codes are A-Z, 0-9, - and _"))?, label, benefit),
        _ => Promotion::automatic(PromotionId::parse(&entry.code).ok_or_else(|| bad("ids are letters, digits, - and _"))?, label, benefit),
    };
    let minimum = entry.min_subtotal.map(money).transpose()?.map(|amount| Minimum { amount, basis: Basis::Subtotal });
    let window = Window { from: instant(entry.from.as_ref()).map_err(|e| bad(&e))?, to: instant(entry.to.as_ref()).map_err(|e| bad(&e))? };
    Ok(Promotion {
        needs: Needs { minimum, ..Needs::default() },
        window,
        budget: Budget { uses: entry.uses_max, uses_each: entry.uses_each_max, ..Budget::default() },
        ..named
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
    use app::ports::HeadingWrite;
    use domain::catalog::{Heading, HeadingId};
    use domain::ids::Version;
    use domain::pricing::RuleKind;
    use std::sync::Arc;

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    #[test]
    fn the_demo_rules_are_valid() {
        let category = Heading {
            id: HeadingId { kind: HeadingKind::Category, bits: 1 },
            name: label("Classics").expect("a name"),
            version: Version(1),
        };
        let put = HeadingWrite::Put { heading: Arc::new(category), expected: Version(0) };
        for (headings, promotions, left_out) in [(vec![put], 6, 0), (vec![], 5, 1)] {
            let loaded = parse(DEMO, usd(), &Snapshot::default().with(&headings, &[])).expect("valid");
            let of = |kind| loaded.rules.iter().filter(|r| r.key().kind == kind).count();
            assert_eq!((of(RuleKind::Promotion), of(RuleKind::TaxRate), loaded.left_out.len()), (promotions, 9, left_out));
            for rule in &loaded.rules {
                assert_eq!(rule.check(), Ok(()), "{rule:?}");
            }
        }
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for (text, message) in [
            ("[[coupon]]\ncode = 'A'\nlabel = 'a'", "coupon A: needs one of"),
            ("[[promotion]]\nid = 'A'\nlabel = 'a'\namount = 5\nfree_shipping = true", "promotion A: needs one of"),
            ("[[promotion]]\nid = 'A B'\nlabel = 'a'\namount = 5", "promotion A B: ids are"),
            ("[[coupon]]\ncode = 'a'\nlabel = 'a'\namount = 5", "coupon a: codes are"),
            ("[[coupon]]\ncode = 'A'\nlabel = 'a'\namount = -5", "coupon A: amounts are positive"),
            ("[[tax]]\ncountry = 'usa'\nlabel = 'a'\nrate_ppm = 5", "tax usa: country"),
            ("[[shipping]]\nid = 'a'\nlabel = 'a'\nprice = 1\ncurrency = 'XYZ'", "shipping a: unknown currency"),
            ("[[shipping]]\nid = 'a'\nlabel = 'a'\nprice = 1\ncurrency = 'USD'\nprize = 3", "unknown field `prize`"),
        ] {
            let error = parse(text, usd(), &Snapshot::default()).expect_err(text);
            assert!(error.contains(message), "{error}");
        }
    }
}
