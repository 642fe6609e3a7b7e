//! Reads what a shop has decided, one thing a line (the words are in `README.md`). Whatever is not understood is a failure.

use domain::catalog::{Format, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, Sku, TaxName};
use domain::money::{Currency, Money, Nano, Ppm, Rounding};
use domain::person::Country;
use domain::pricing::*;
use domain::text::Text;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone)]
pub struct Shop {
    pub currency: Currency,
    pub offers: BTreeMap<EditionId, Offer>,
    pub promotions: Vec<Promotion>,
    pub taxes: Vec<TaxRate>,
    pub options: Vec<ShippingOption>,
    pub rates: Vec<ExchangeRate>,
    pub stack_max: Option<u32>,
    /// What the rows of a section tell besides amounts: `reasons`, `uses`, `lines`.
    pub told: Vec<String>,
}

impl Shop {
    pub fn new() -> Self {
        let currency = Currency::parse("USD").expect("a currency");
        let (offers, promotions, taxes, options) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { currency, offers, promotions, taxes, options, rates: Vec::new(), stack_max: None, told: Vec::new() }
    }

    pub fn rules(&self) -> Rules {
        let rules = Rules::new(self.promotions.clone(), self.taxes.clone(), self.options.clone());
        rules.with_rates(self.rates.clone()).with_stack_max(self.stack_max)
    }

    /// Takes up one declaration.
    pub fn declare(&mut self, line: &str) {
        let mut clauses = line.split(';').map(|clause| Words::new(clause, self.currency));
        let mut head = clauses.next().expect("a line");
        match head.word() {
            "currency" => self.currency = head.of(Currency::parse),
            "told" => self.told = head.rest(str::to_owned),
            "stack" => self.stack_max = Some(head.number()),
            "rate" => self.rates.push(rate(&mut head, clauses)),
            "offer" => {
                let offer = offer(&mut head, clauses);
                self.offers.insert(offer.edition, offer);
            }
            trigger @ ("auto" | "code" | "issued") => self.promotions.push(promotion(trigger, &mut head, clauses)),
            "ship" => self.options.push(option(&mut head, clauses)),
            "tax" => self.taxes.push(tax(&mut head, clauses)),
            word => panic!("`{word}` is no declaration: {line}"),
        }
        head.end();
    }
}

fn offer<'a>(head: &mut Words<'a>, clauses: impl Iterator<Item = Words<'a>>) -> Offer {
    let name = head.word();
    if let Some(currency) = head.next_is(Currency::parse) {
        head.currency = currency;
    }
    let price = head.money();
    let mut offer = Offer {
        edition: EditionId(bits(name)),
        book: BookId(bits(name)),
        sku: Sku::parse(name).expect("a name"),
        title: text(name),
        image_url: None,
        format: Format::Paperback,
        list_price: price,
        unit_price: price,
        available: 1000,
        weight_g: 0,
        headings: Arc::default(),
    };
    for mut clause in clauses {
        let heading = |kind, name| offer.headings.iter().copied().chain([HeadingId { kind, bits: bits(name) }]).collect();
        match clause.word() {
            "sale" => offer.unit_price = money(clause.word(), price.currency()),
            "book" => offer.book = BookId(bits(clause.word())),
            "author" => offer.headings = heading(HeadingKind::Author, clause.word()),
            "category" => offer.headings = heading(HeadingKind::Category, clause.word()),
            "publisher" => offer.headings = heading(HeadingKind::Publisher, clause.word()),
            "format" => offer.format = clause.of(Format::parse),
            "weight" => offer.weight_g = clause.number(),
            "stock" => offer.available = clause.number(),
            word => panic!("`{word}` says nothing of an offer"),
        }
        clause.end();
    }
    offer
}

fn promotion<'a>(trigger: &str, head: &mut Words<'a>, clauses: impl Iterator<Item = Words<'a>>) -> Promotion {
    let name = head.word();
    let mut promotion = Promotion::automatic(PromotionId::parse(name).expect("an id"), text(name), benefit(head));
    match trigger {
        "code" => promotion.trigger = Trigger::Codes(vec![CouponCode::parse(name).expect("a code")]),
        "issued" => promotion.trigger = Trigger::Codes(Vec::new()),
        _ => {}
    }
    for mut clause in clauses {
        let (needs, budget) = (&mut promotion.needs, &mut promotion.budget);
        match clause.word() {
            "inactive" => promotion.active = false,
            "min" => needs.minimum = Some(Minimum { amount: clause.money(), basis: Basis::Subtotal }),
            "min-after" => needs.minimum = Some(Minimum { amount: clause.money(), basis: Basis::Discounted }),
            "copies" => needs.copies = Some(Part { count: clause.number(), of: clause.target() }),
            "segment" => needs.segments = clause.rest(|s| Segment::parse(s).expect("a segment")),
            "first-order" => needs.first_order = true,
            "birthday" => needs.birthday_within_days = Some(clause.number()),
            "if" => needs.expression = Some(text(clause.word())),
            "from" => promotion.window.from = Some(Timestamp(clause.number())),
            "until" => promotion.window.to = Some(Timestamp(clause.number())),
            "hours" => promotion.hours.push(Hours { weekday: clause.number(), from_minute: clause.clock(), to_minute: clause.clock() }),
            "priority" => promotion.priority = clause.number(),
            "group" => promotion.stacking = Stacking::BestOf(clause.of(PromotionGroup::parse)),
            "exclusive" => promotion.stacking = Stacking::Exclusive,
            "cap" => promotion.cap = Some(clause.money()),
            "uses" => budget.uses = Some(clause.number()),
            "uses-each" => budget.uses_each = Some(clause.number()),
            "budget" => budget.amount = Some(clause.money()),
            word => panic!("`{word}` says nothing of a promotion"),
        }
        clause.end();
    }
    promotion
}

fn benefit(words: &mut Words<'_>) -> Benefit {
    match words.word() {
        "each" => Benefit::Each { off: words.off(), of: words.target() },
        "goods" => Benefit::Goods { off: words.off(), of: words.target() },
        "shipping" => Benefit::Shipping { off: words.off() },
        "gift" => Benefit::Gift { edition: EditionId(bits(words.word())) },
        "tiers" => {
            let of = words.target();
            Benefit::Tiers { of, tiers: words.steps(|from, off, currency| Tier { from: number(from), off: off_of(off, currency) }) }
        }
        "spend" => {
            Benefit::Spend { tiers: words.steps(|from, off, currency| Tier { from: money(from, currency), off: off_of(off, currency) }) }
        }
        "buy" => {
            let (buy_count, buy) = (words.number(), words.target());
            let (get_count, get, off) = (words.number(), words.target(), Ppm(words.of(percent)));
            Benefit::BuyGet { buy, buy_count, get, get_count, off, times_max: words.more().then(|| words.number()) }
        }
        "bundle" => {
            let part = |words: &mut Words<'_>| Part { count: words.number(), of: words.target() };
            let (off, count): (_, usize) = (words.off(), words.number());
            let parts = (0..count).map(|_| part(words)).collect();
            Benefit::Bundle { parts, off, times_max: words.more().then(|| words.number()) }
        }
        word => panic!("`{word}` is no benefit"),
    }
}

fn option<'a>(head: &mut Words<'a>, clauses: impl Iterator<Item = Words<'a>>) -> ShippingOption {
    let (name, scale) = (head.word(), head.word());
    let scale = match scale {
        "weight" => Scale::Weight(head.steps(|from, price, c| ShippingStep { from: number(from), price: money(price, c) })),
        "amount" => Scale::Amount(head.steps(|from, price, c| ShippingStep { from: money(from, c), price: money(price, c) })),
        price => Scale::Flat(money(price, head.currency)),
    };
    let id = ShippingOptionId::parse(name).expect("an id");
    let mut option = ShippingOption { scale, ..ShippingOption::flat(id, text(name), Money::zero(head.currency)) };
    for mut clause in clauses {
        match clause.word() {
            "to" => option.zones = clause.rest(place),
            "free-from" => option.free_from = Some(clause.money()),
            "per-parcel" => option.per_parcel = true,
            "inactive" => option.active = false,
            word => panic!("`{word}` says nothing of a way to ship"),
        }
        clause.end();
    }
    option
}

fn tax<'a>(head: &mut Words<'a>, clauses: impl Iterator<Item = Words<'a>>) -> TaxRate {
    let (name, place, rate) = (head.of(TaxName::parse), place(head.word()), Ppm(head.of(percent)));
    let mut tax = TaxRate::of(name, place, text("Tax"), rate);
    for mut clause in clauses {
        match clause.word() {
            "included" => tax.included = true,
            "shipping" => tax.shipping_taxed = true,
            "total" => tax.level = Level::Total,
            "half-up" => tax.rounding = Rounding::HalfUp,
            "down" => tax.rounding = Rounding::Down,
            "for" => tax.formats = clause.rest(|f| Format::parse(f).expect("a format")),
            "from" => tax.window.from = Some(Timestamp(clause.number())),
            "until" => tax.window.to = Some(Timestamp(clause.number())),
            word => panic!("`{word}` says nothing of a tax"),
        }
        clause.end();
    }
    tax
}

fn rate<'a>(head: &mut Words<'a>, clauses: impl Iterator<Item = Words<'a>>) -> ExchangeRate {
    let (from, to) = (head.of(Currency::parse), head.of(Currency::parse));
    let rate = Nano(head.of(|r| u64::try_from(scaled(r, 9)?).ok()));
    let mut since = Timestamp(0);
    for mut clause in clauses {
        match clause.word() {
            "since" => since = Timestamp(clause.number()),
            word => panic!("`{word}` says nothing of a rate"),
        }
        clause.end();
    }
    ExchangeRate { from, to, rate, since, source: None }
}

/// `US`, `US-CA`, `US-CA/Oakland`, `US#94100..94199`.
fn place(words: &str) -> Place {
    let (there, postal) = words.split_once('#').map_or((words, None), |(there, range)| (there, Some(range)));
    let range = postal.map(|range| range.split_once("..").unwrap_or((range, range)));
    let to = destination(there);
    let postal = range.map(|(from, to)| PostalRange::new(from, to).expect("a range"));
    Place { country: to.country, region: to.region, city: to.city, postal }
}

/// `US`, `US-CA`, `US-CA/Oakland#94601`.
pub fn destination(words: &str) -> Destination {
    let (words, postal) = words.split_once('#').map_or((words, None), |(there, code)| (there, Some(text(code))));
    let (words, city) = words.split_once('/').map_or((words, None), |(there, city)| (there, Some(text(city))));
    let (country, region) = words.split_once('-').map_or((words, None), |(there, region)| (there, Some(text(region))));
    Destination { country: Country::parse(country).expect("a country"), region, city, postal_code: postal }
}

/// The words of a line, one after the other.
pub struct Words<'a> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    currency: Currency,
}

impl<'a> Words<'a> {
    pub fn new(line: &'a str, currency: Currency) -> Self {
        Self { words: line.split_whitespace().peekable(), currency }
    }

    pub fn word(&mut self) -> &'a str {
        self.words.next().expect("one more word")
    }

    pub fn more(&mut self) -> bool {
        self.words.peek().is_some()
    }

    pub fn end(&mut self) {
        assert_eq!(self.words.next(), None, "a word too many");
    }

    pub fn rest<T>(&mut self, read: impl Fn(&'a str) -> T) -> Vec<T> {
        self.words.by_ref().map(read).collect()
    }

    pub fn of<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> T {
        let word = self.word();
        read(word).unwrap_or_else(|| panic!("`{word}` is not understood"))
    }

    /// The next word, if it is one of those.
    fn next_is<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.words.peek().and_then(|word| read(word))?;
        self.words.next();
        Some(found)
    }

    pub fn number<T: std::str::FromStr>(&mut self) -> T {
        number(self.word())
    }

    pub fn money(&mut self) -> Money {
        money(self.word(), self.currency)
    }

    /// `17:30` as minutes since midnight.
    pub fn clock(&mut self) -> u16 {
        self.of(|word| word.split_once(':').map(|(hours, minutes)| number::<u16>(hours) * 60 + number::<u16>(minutes)))
    }

    fn off(&mut self) -> Off {
        off_of(self.word(), self.currency)
    }

    /// `all`, or what it names, with commas: `book:dune,format:ebook,!a,full-price`.
    fn target(&mut self) -> Target {
        let mut target = Target::default();
        for word in self.word().split(',') {
            match (word, word.strip_prefix('!')) {
                ("all", _) => {}
                ("full-price", _) => target.full_price_only = true,
                (_, Some(except)) => target.except.push(selector(except)),
                _ => target.any.push(selector(word)),
            }
        }
        target
    }

    /// `0:4.99 1000:7.99`.
    fn steps<T>(&mut self, step: impl Fn(&str, &str, Currency) -> T) -> Vec<T> {
        let currency = self.currency;
        self.rest(|word| word.split_once(':').map(|(from, what)| step(from, what, currency)).expect("a step"))
    }
}

fn selector(word: &str) -> Selector {
    let heading = |kind, name| Selector::Heading(HeadingId { kind, bits: bits(name) });
    match word.split_once(':') {
        None => Selector::Edition(EditionId(bits(word))),
        Some(("book", name)) => Selector::Book(BookId(bits(name))),
        Some(("author", name)) => heading(HeadingKind::Author, name),
        Some(("category", name)) => heading(HeadingKind::Category, name),
        Some(("publisher", name)) => heading(HeadingKind::Publisher, name),
        Some(("format", name)) => Selector::Format(Format::parse(name).expect("a format")),
        Some(_) => panic!("`{word}` names nothing"),
    }
}

/// `-10%` is a part, `-5.00` an amount, `=4.00` a price.
fn off_of(word: &str, currency: Currency) -> Off {
    match (word.strip_prefix('-'), word.strip_prefix('=')) {
        (Some(part), _) if part.ends_with('%') => Off::Rate(Ppm(percent(part).expect("a part"))),
        (Some(amount), _) => Off::Amount(money(amount, currency)),
        (_, Some(price)) => Off::Price(money(price, currency)),
        _ => panic!("`{word}` takes nothing off"),
    }
}

fn percent(word: &str) -> Option<u32> {
    u32::try_from(scaled(word.strip_suffix('%')?, 4)?).ok()
}

pub fn money(word: &str, currency: Currency) -> Money {
    let minor = scaled(word, currency.exponent().into()).unwrap_or_else(|| panic!("`{word}` is no amount"));
    Money::new(minor, currency).expect("in range")
}

/// A decimal number times a power of ten.
fn scaled(word: &str, decimals: usize) -> Option<i64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let zeros = decimals.checked_sub(part.len())?;
    format!("{whole}{part}{}", "0".repeat(zeros)).parse().ok()
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is no number"))
}

pub fn text<const N: usize>(word: &str) -> Text<N> {
    Text::parse(word).expect("a short text")
}

/// An id that is its name.
pub fn bits(name: &str) -> u128 {
    assert!(name.len() <= 16, "{name} is too long for an id");
    name.bytes().fold(0, |bits, byte| bits << 8 | u128::from(byte))
}

/// The name an id is.
pub fn name(bits: u128) -> String {
    bits.to_be_bytes().into_iter().filter(|byte| *byte > 0).map(char::from).collect()
}
