//! Importing tables of taxes. Whatever its shape, a table becomes rates with their source, each under an id that follows from
//! the tax, the place, the formats and the beginning, so that repeating an import changes nothing and a newer table replaces
//! what it knows better. A row that makes no sense is reported by its place in the file and passed over.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::{Reader, Wanted};

use app::{App, Caller, Error, Imported, PutRule};
use aws_lc_rs::digest::{SHA256, digest};
use domain::catalog::Format;
use domain::ids::{CustomerId, TaxName};
use domain::limits::REASON_MAX;
use domain::money::Ppm;
use domain::person::Country;
use domain::pricing::{Place, Rule, RuleId, RuleKey, RuleKind, TaxRate, Window};
use domain::text::Text;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Rates of books that a table leaves open.
#[derive(Clone, Debug)]
pub enum BookRate {
    /// Like all goods.
    Standard,
    /// The reduced rate of each country that has exactly one.
    Reduced,
    /// This one, in this country.
    Of(Country, Ppm),
}

impl FromStr for BookRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of =
            |(country, ppm): (&str, &str)| Some(Self::Of(Country::parse(country)?, Ppm(ppm.parse().ok().filter(|n| *n <= Ppm::ONE.0)?)));
        match text {
            "standard" => Ok(Self::Standard),
            "reduced" => Ok(Self::Reduced),
            other => other.split_once('=').and_then(of).ok_or_else(|| "standard, reduced, or COUNTRY=PPM such as DE=70000".to_owned()),
        }
    }
}

/// As the command line has it.
impl fmt::Display for BookRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::Reduced => f.write_str("reduced"),
            Self::Of(country, rate) => write!(f, "{}={}", country.as_str(), rate.0),
        }
    }
}

/// A table as it was read: rates with the rows they are from, and what was wrong, by row.
#[derive(Debug, Default)]
pub struct Table {
    pub rates: Vec<(String, TaxRate)>,
    pub bad: Vec<String>,
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub imported: Imported,
    pub bad: Vec<String>,
    /// Countries with taxes of several names, which add up: known ones, and one of this import.
    pub together: Vec<String>,
}

/// Reads a table and puts what it says into the pricebook.
///
/// # Errors
/// What kept the file from being read or the store from being written; bad rows are in the summary.
pub async fn import(app: &App, path: &Path, reader: &Reader<'_>) -> Result<Summary, String> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let bytes = std::fs::read(path).map_err(|e| at(&e))?;
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let Table { rates, mut bad } = reader.read(&bytes, name).map_err(|e| at(&e))?;
    let reason = Text::parse(&format!("import of {name}").chars().take(REASON_MAX).collect::<String>());
    let mut summary = Summary::default();
    let mut seen: HashMap<(TaxName, String), Vec<(Window, String)>> = HashMap::new();
    for (row, rate) in &rates {
        let known = seen.entry((rate.tax.clone(), scope(rate))).or_default();
        match known.iter().find(|(window, _)| overlap(*window, rate.window)) {
            Some((_, other)) => bad.push(format!("{row}: the same tax in the same place as {other}")),
            None => match put(app, rate, reason.clone()).await {
                Ok(what) => what(&mut summary.imported),
                Err(Error::Refused(refusal)) => bad.push(format!("{row}: {}", wire::problem::Problem::from(&refusal).detail)),
                Err(Error::Port(error)) => return Err(error.to_string()),
            },
        }
        known.push((rate.window, row.clone()));
    }
    summary.together = together(app, &rates);
    summary.bad = bad;
    Ok(summary)
}

/// Puts a rate under its id; how to count what that was.
async fn put(app: &App, rate: &TaxRate, reason: Option<Text<REASON_MAX>>) -> Result<fn(&mut Imported), Error> {
    let rule = Rule::TaxRate { id: id(rate), rate: rate.clone() };
    let book = app.pricebook();
    let known = book.get(&RuleKey { kind: RuleKind::TaxRate, id: id(rate) });
    if known.is_some_and(|kept| kept.rule == rule) {
        return Ok(|counts| counts.unchanged += 1);
    }
    let creates = known.is_none();
    let importer = Caller::Admin(CustomerId::parse("import").expect("invariant: a name"));
    app.put_rule(&importer, PutRule { rule, if_match: None, creates, reason }, None).await?;
    Ok(if creates { |counts| counts.created += 1 } else { |counts| counts.updated += 1 })
}

/// The name of a rate without formats and without a beginning is that of its place and tax, as in a file of rules; else a
/// digest of the rest is behind it.
fn id(rate: &TaxRate) -> RuleId {
    let plain = Rule::tax(rate.clone()).key().id;
    let Place { country, region, .. } = &rate.place;
    let simple = TaxRate { place: Place { region: region.clone(), ..Place::country(*country) }, ..rate.clone() };
    if scope(&simple) == scope(rate) && rate.formats.is_empty() && rate.window.from.is_none() && fits(rate) {
        return plain;
    }
    let rest = format!("{} {} {:?}", rate.tax, scope(rate), rate.window.from);
    let digest = digest(&SHA256, rest.as_bytes());
    let digits: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name: String = plain.as_str().chars().take(47).collect();
    RuleId::parse(&format!("{name}-{digits}")).expect("invariant: a name and digits")
}

/// Whether the plain name holds the place and the tax whole.
fn fits(rate: &TaxRate) -> bool {
    rate.code().chars().count() + 1 + rate.tax.as_str().len() <= domain::limits::RULE_ID_MAX
}

/// What a rate is for: its place and its formats.
fn scope(rate: &TaxRate) -> String {
    let Place { country, region, city, postal } = &rate.place;
    let city = city.as_ref().map(|c| c.as_str().to_lowercase());
    let postal = postal.as_ref().map(|p| (p.from(), p.to()));
    let formats: Vec<_> = Format::ALL.into_iter().filter(|f| rate.formats.contains(f)).collect();
    format!("{} {region:?} {city:?} {postal:?} {formats:?}", country.as_str())
}

fn overlap(a: Window, b: Window) -> bool {
    let ends_before = |a: Window, b: Window| matches!((a.to, b.from), (Some(to), Some(from)) if to <= from);
    !ends_before(a, b) && !ends_before(b, a)
}

/// Taxes of different names add up, which a table under another name than the one before does not mean.
fn together(app: &App, rates: &[(String, TaxRate)]) -> Vec<String> {
    let mut names: BTreeMap<Country, Vec<&TaxName>> = BTreeMap::new();
    let book = app.pricebook();
    for rate in book.rules().taxes() {
        let known = names.entry(rate.place.country).or_default();
        if !known.contains(&&rate.tax) {
            known.push(&rate.tax);
        }
    }
    let here = |country: &Country| rates.iter().any(|(_, rate)| rate.place.country == *country);
    let several = names.into_iter().filter(|(country, names)| names.len() > 1 && here(country));
    several
        .map(|(country, names)| format!("{}: {}", country.as_str(), names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")))
        .collect()
}
