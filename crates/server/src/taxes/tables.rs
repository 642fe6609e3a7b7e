//! The shapes of tables that are known, each read into rates.

use super::{BookRate, Table};
use app::TimeZone;
use domain::catalog::Format;
use domain::ids::TaxName;
use domain::limits::{NAME_MAX, REASON_MAX};
use domain::money::{Ppm, Rounding};
use domain::person::{Country, Region};
use domain::pricing::{Level, Place, PostalRange, TaxRate, Window};
use domain::text::Text;
use domain::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Number;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

/// What the command line says about what tables leave open.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Where the table is from; the table's own word, or the file's name, when left out.
    pub source: Option<String>,
    /// The day it was true.
    pub as_of: Option<String>,
    /// Of hardcovers and paperbacks.
    pub books: Vec<BookRate>,
    /// Of e-books and audiobooks.
    pub ebooks: Vec<BookRate>,
    /// Whether prices contain the taxes, and whether shipping is taxed, in place of what is usual there.
    pub included: Option<bool>,
    pub shipping_taxed: Option<bool>,
}

#[derive(Debug)]
pub struct Reader<'a> {
    pub wanted: &'a Wanted,
    /// Of dates without a time.
    pub zone: TimeZone,
}

const PRINTED: [Format; 2] = [Format::Hardcover, Format::Paperback];
const DIGITAL: [Format; 2] = [Format::Ebook, Format::Audiobook];

type Rates = Result<Vec<TaxRate>, String>;

impl Reader<'_> {
    /// # Errors
    /// It is none of the tables that are known.
    pub fn read(&self, bytes: &[u8], name: &str) -> Result<Table, String> {
        let by_word = |what: &str| format!("{what} (known are EU VAT rates and sales-tax rates in JSON, and four kinds of CSV)");
        let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        let used = Used::default();
        let mut table = if text.trim_start().starts_with('{') {
            match serde_json::from_str::<EuropeanTable>(text) {
                Ok(table) => self.european(table, &used),
                Err(european) => match serde_json::from_str::<BTreeMap<String, WorldEntry>>(text) {
                    Ok(table) => self.world(table, &self.source(name, None)?, &used),
                    Err(world) => return Err(by_word(&format!("not a table of taxes: {european}; {world}"))),
                },
            }?
        } else {
            let header = text.lines().next().unwrap_or_default();
            let source = self.source(name, None)?;
            match () {
                () if header.contains("standard_bp") => rows(text, |row| self.vat_europe(row, &source, &used)),
                () if header.contains("state_rate_ppm") => rows(text, |row| self.us_state(row, &source)),
                () if header.contains("federal_gst_ppm") => rows(text, |row| self.ca_province(row, &source)),
                () if header.contains("rate_ppm") => rows(text, |row| self.generic(row, &source)),
                () => return Err(by_word("not a table of taxes")),
            }
        };
        let unused = self.wanted.books.iter().chain(&self.wanted.ebooks).filter(|rate| !used.has(rate));
        table.bad.extend(unused.map(|rate| format!("{rate}: no rate of books depends on it in this table")));
        Ok(table)
    }

    /// Where a rate is from, and as of when.
    fn source(&self, own: &str, date: Option<&str>) -> Result<Text<REASON_MAX>, String> {
        let from = self.wanted.source.as_deref().unwrap_or(own);
        let text = match self.wanted.as_of.as_deref().or(date) {
            Some(date) => format!("{from}, as of {date}"),
            None => from.to_owned(),
        };
        Text::parse(&text).ok_or_else(|| format!("the source is longer than {REASON_MAX} characters"))
    }

    /// A rate as this kind of tax usually is: value added taxes are inside the prices, also of shipping.
    fn rate(&self, tax: &str, place: Place, label: &str, rate: Ppm, source: &Text<REASON_MAX>) -> Result<TaxRate, String> {
        let usual = !["US", "CA"].contains(&place.country.as_str());
        let tax = TaxName::parse(tax).ok_or_else(|| format!("`{tax}` is not the name of a tax"))?;
        Ok(TaxRate {
            included: self.wanted.included.unwrap_or(usual),
            shipping_taxed: self.wanted.shipping_taxed.unwrap_or(usual),
            source: Some(source.clone()),
            ..TaxRate::of(tax, place, self::label(label)?, rate)
        })
    }

    /// A country's tax: its rate on everything, and those of books where they are others.
    fn value_added(&self, standard: TaxRate, reduced: Option<&[Ppm]>, used: &Used) -> Rates {
        let mut rates = vec![];
        for (choice, formats, flag) in [(&self.wanted.books, PRINTED, "--books-rate"), (&self.wanted.ebooks, DIGITAL, "--ebooks-rate")] {
            let rate = chosen(choice, standard.place.country, reduced, flag, used)?.unwrap_or(standard.rate);
            if rate != standard.rate {
                rates.push(TaxRate { rate, formats: formats.to_vec(), ..standard.clone() });
            }
        }
        rates.push(standard);
        Ok(rates)
    }

    fn european(&self, table: EuropeanTable, used: &Used) -> Result<Table, String> {
        let source = self.source(&table.source, Some(&table.version))?;
        Ok(collect(table.rates, |code, entry: EuropeanEntry| {
            let percents = |list: &[Number]| list.iter().map(percent).collect::<Result<Vec<_>, _>>();
            let standard = self.rate("VAT", country(code)?, &entry.vat_name, percent(&entry.standard)?, &source)?;
            self.value_added(standard, Some(&percents(&entry.reduced)?), used)
        }))
    }

    fn vat_europe(&self, row: EuropeanRow, source: &Text<REASON_MAX>, used: &Used) -> Rates {
        let points = |text: &str| decimal(text, 2);
        let reduced: Vec<Ppm> = row.reduced_bp.split(';').filter(|p| !p.is_empty()).map(points).collect::<Result<_, _>>()?;
        let standard = self.rate("VAT", country(&row.country)?, "VAT", points(&row.standard_bp)?, source)?;
        self.value_added(standard, Some(&reduced), used)
    }

    fn world(&self, table: BTreeMap<String, WorldEntry>, source: &Text<REASON_MAX>, used: &Used) -> Result<Table, String> {
        Ok(collect(table, |code, entry: WorldEntry| {
            let place = country(code)?;
            let mut rates = match entry.kind.as_str() {
                "none" => vec![],
                _ => self.dated(&entry, &place, source)?,
            };
            if let [only] = rates.as_slice() {
                rates = self.value_added(only.clone(), None, used)?;
            }
            for (name, state) in &entry.states {
                rates.extend(self.dated(state, &Place { region: Some(region(name)?), ..place.clone() }, source)?);
            }
            Ok(rates)
        }))
    }

    /// The rate there is, and those there were before, each until the day it changed.
    fn dated(&self, entry: &WorldEntry, place: &Place, source: &Text<REASON_MAX>) -> Rates {
        let (name, label) = match (place.country.as_str(), entry.kind.as_str()) {
            ("US", _) => ("SALES".to_owned(), "Sales tax".to_owned()),
            (_, kind) => (kind.to_uppercase(), kind.to_uppercase()),
        };
        let mut ends: Vec<(Timestamp, &Number)> = Vec::with_capacity(entry.before.len());
        for (at, before) in &entry.before {
            ends.push((wire::At::parse(at).ok_or_else(|| format!("`{at}` is not an instant"))?, &before.rate));
        }
        ends.sort_by_key(|(at, _)| *at);
        let mut rates = Vec::with_capacity(ends.len() + 1);
        let mut from = None;
        for (to, number) in ends.into_iter().map(|(at, number)| (Some(at), number)).chain([(None, &entry.rate)]) {
            let rate = self.rate(&name, place.clone(), &label, decimal(&number.to_string(), 6)?, source)?;
            rates.push(TaxRate { window: Window { from, to }, ..rate });
            from = to;
        }
        Ok(rates)
    }

    fn us_state(&self, row: UsRow, source: &Text<REASON_MAX>) -> Rates {
        let place = Place { region: Some(region(&row.state)?), ..country("US")? };
        Ok(vec![self.rate("SALES", place, "Sales tax", decimal(&row.state_rate_ppm, 0)?, source)?])
    }

    /// The tax of the federation, everywhere, and that of the province.
    fn ca_province(&self, row: CaRow, source: &Text<REASON_MAX>) -> Rates {
        let place = Place { region: Some(region(&row.province)?), ..country("CA")? };
        let kind = row.kind.to_uppercase();
        let federal = self.rate("GST", place.clone(), "GST", decimal(&row.federal_gst_ppm, 0)?, source)?;
        Ok(vec![federal, self.rate(&kind, place, &kind, decimal(&row.provincial_ppm, 0)?, source)?])
    }

    fn generic(&self, row: Row, source: &Text<REASON_MAX>) -> Rates {
        let place = Place {
            country: Country::parse(&row.country).ok_or("country: two capital letters")?,
            region: optional("region", &row.region, |text| Region::parse(&text.to_uppercase()))?,
            city: optional("city", &row.city, Text::parse)?,
            postal: match (row.postal_from.as_str(), row.postal_to.as_str()) {
                ("", "") => None,
                (from, to) => {
                    let to = if to.is_empty() { from } else { to };
                    Some(PostalRange::new(from, to).ok_or("postal_from, postal_to: of one length, and in order")?)
                }
            },
        };
        let formats = row.formats.split(';').map(str::trim).filter(|f| !f.is_empty());
        let formats = formats.map(|f| Format::parse(f).ok_or_else(|| format!("formats: `{f}` is none")));
        let rate = self.rate(&row.tax, place, &row.label, decimal(&row.rate_ppm, 0)?, source)?;
        let own = optional("source", &row.source, Text::parse)?;
        Ok(vec![TaxRate {
            formats: formats.collect::<Result<_, _>>()?,
            included: flag("included", &row.included)?.unwrap_or(rate.included),
            shipping_taxed: flag("shipping_taxed", &row.shipping_taxed)?.unwrap_or(rate.shipping_taxed),
            rounding: one_of("rounding", &row.rounding, &ROUNDINGS)?.unwrap_or(rate.rounding),
            level: one_of("level", &row.level, &LEVELS)?.unwrap_or(rate.level),
            window: Window { from: self.day("valid_from", &row.valid_from)?, to: self.day("valid_to", &row.valid_to)? },
            source: own.or(rate.source.clone()),
            ..rate
        }])
    }

    /// An instant, or the beginning of a day by the shop's clock.
    fn day(&self, field: &str, text: &str) -> Result<Option<Timestamp>, String> {
        let day = || {
            let day: jiff::civil::Date = text.parse().ok()?;
            Some(Timestamp(day.to_zoned_datetime(self.zone.clone()).ok()?.timestamp().as_microsecond()))
        };
        match text {
            "" => Ok(None),
            text => wire::At::parse(text).or_else(day).map(Some).ok_or_else(|| format!("{field}: `{text}` is no day")),
        }
    }
}

/// The rate of books, if the command line says another than the standard one.
fn chosen(choice: &[BookRate], there: Country, reduced: Option<&[Ppm]>, flag: &str, used: &Used) -> Result<Option<Ppm>, String> {
    let own = choice.iter().find(|c| matches!(c, BookRate::Of(country, _) if *country == there));
    let Some(rate) = own.or(choice.iter().find(|c| !matches!(c, BookRate::Of(..)))) else { return Ok(None) };
    used.note(rate);
    match (rate, reduced) {
        (BookRate::Of(_, rate), _) => Ok(Some(*rate)),
        (BookRate::Standard, _) | (BookRate::Reduced, Some([])) => Ok(None),
        (BookRate::Reduced, Some([only])) => Ok(Some(*only)),
        (BookRate::Reduced, Some(several)) => {
            let rates: Vec<_> = several.iter().map(|rate| wire::say::Say(rate).to_string()).collect();
            Err(format!("several reduced rates ({}): which one books have is for {flag} {}=PPM to say", rates.join(", "), there.as_str()))
        }
        (BookRate::Reduced, None) => Err(format!("no reduced rate in this table: {flag} {}=PPM says it", there.as_str())),
    }
}

/// Which choices of the command line made a difference somewhere.
#[derive(Default)]
struct Used(RefCell<Vec<*const BookRate>>);

impl Used {
    fn note(&self, rate: &BookRate) {
        self.0.borrow_mut().push(rate);
    }

    fn has(&self, rate: &BookRate) -> bool {
        self.0.borrow().contains(&std::ptr::from_ref(rate))
    }
}

/// Each entry's rates, or what is wrong with it.
fn collect<T>(entries: BTreeMap<String, T>, read: impl Fn(&str, T) -> Rates) -> Table {
    let mut table = Table::default();
    for (name, entry) in entries {
        table.add(name.clone(), read(&name, entry));
    }
    table
}

/// Each row's rates, or what is wrong with it; rows are counted as an editor does.
fn rows<T: DeserializeOwned>(text: &str, read: impl Fn(T) -> Rates) -> Table {
    let mut table = Table::default();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    for record in reader.records() {
        let line =
            record.as_ref().map_or_else(|e| e.position().map_or(0, csv::Position::line), |r| r.position().map_or(0, csv::Position::line));
        let row = record.and_then(|record| record.deserialize::<T>(Some(&headers)));
        table.add(format!("line {line}"), row.map_err(|e| e.to_string()).and_then(&read));
    }
    table
}

impl Table {
    fn add(&mut self, row: String, rates: Rates) {
        match rates {
            Ok(rates) => self.rates.extend(rates.into_iter().map(|rate| (row.clone(), rate))),
            Err(why) => self.bad.push(format!("{row}: {why}")),
        }
    }
}

#[derive(Deserialize)]
struct EuropeanTable {
    version: String,
    source: String,
    rates: BTreeMap<String, EuropeanEntry>,
}

#[derive(Deserialize)]
struct EuropeanEntry {
    vat_name: String,
    standard: Number,
    reduced: Vec<Number>,
}

#[derive(Deserialize)]
struct EuropeanRow {
    country: String,
    standard_bp: String,
    reduced_bp: String,
}

#[derive(Deserialize)]
struct WorldEntry {
    #[serde(rename = "type")]
    kind: String,
    rate: Number,
    #[serde(default)]
    before: BTreeMap<String, Before>,
    #[serde(default)]
    states: BTreeMap<String, WorldEntry>,
}

#[derive(Deserialize)]
struct Before {
    rate: Number,
}

#[derive(Deserialize)]
struct UsRow {
    state: String,
    state_rate_ppm: String,
}

#[derive(Deserialize)]
struct CaRow {
    province: String,
    federal_gst_ppm: String,
    provincial_ppm: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    tax: String,
    country: String,
    region: String,
    city: String,
    postal_from: String,
    postal_to: String,
    label: String,
    rate_ppm: String,
    formats: String,
    included: String,
    shipping_taxed: String,
    rounding: String,
    level: String,
    valid_from: String,
    valid_to: String,
    source: String,
}

const ROUNDINGS: [(&str, Rounding); 3] = [("half_even", Rounding::HalfEven), ("half_up", Rounding::HalfUp), ("down", Rounding::Down)];
const LEVELS: [(&str, Level); 2] = [("line", Level::Line), ("total", Level::Total)];

fn country(code: &str) -> Result<Place, String> {
    // The names the European Commission has for two of them.
    let iso = match code {
        "EL" => "GR",
        "UK" => "GB",
        code => code,
    };
    Country::parse(iso).map(Place::country).ok_or_else(|| format!("`{code}` is not a country"))
}

fn region(code: &str) -> Result<Region, String> {
    Region::parse(&code.to_uppercase()).ok_or_else(|| format!("`{code}` is not a region"))
}

fn label(text: &str) -> Result<Text<NAME_MAX>, String> {
    Text::parse(text).ok_or_else(|| "the label is empty or too long".to_owned())
}

fn percent(number: &Number) -> Result<Ppm, String> {
    decimal(&number.to_string(), 4)
}

/// A decimal number times ten to this power, exactly: parts per million of percents (4), basis points (2) and fractions (6).
fn decimal(text: &str, power: usize) -> Result<Ppm, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let exact = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= power;
    let ppm = exact.then(|| format!("{whole}{part:0<power$}").parse().ok()).flatten();
    ppm.map(Ppm).filter(|rate| *rate <= Ppm::ONE).ok_or_else(|| format!("`{text}` is not a rate"))
}

/// An empty cell is a missing value.
fn optional<T>(field: &str, text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    match text {
        "" => Ok(None),
        text => parse(text).map(Some).ok_or_else(|| format!("{field}: `{text}` is not valid")),
    }
}

fn flag(field: &str, text: &str) -> Result<Option<bool>, String> {
    one_of(field, text, &[("true", true), ("false", false)])
}

fn one_of<T: Copy>(field: impl Display, text: &str, names: &[(&str, T)]) -> Result<Option<T>, String> {
    let known = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match names.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(Some(*value)),
        None if text.is_empty() => Ok(None),
        None => Err(format!("{field}: `{text}` is none of {known}", known = known())),
    }
}
