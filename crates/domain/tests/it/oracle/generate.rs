//! Random carts under random rules. Few ids and small numbers, so that rules meet the goods and one another.

use crate::told::{BROKEN, HOLDS, NOT, evaluator};
use domain::catalog::{Format, HeadingId, HeadingKind, Offer};
use domain::ids::{BookId, CouponCode, EditionId, PromotionGroup, PromotionId, Segment, ShippingOptionId, Sku, TaxName};
use domain::limits::AMOUNT_MAX;
use domain::money::{Currency, Money, MoneyError, Nano, Ppm, Rounding};
use domain::person::Country;
use domain::pricing::*;
use domain::quantity::Quantity;
use domain::text::Text;
use domain::time::{Local, MonthDay, Timestamp};
use std::collections::BTreeMap;

/// All that a quote is made of.
pub struct Scenario {
    pub lines: Vec<Line>,
    pub codes: Vec<Given>,
    pub offers: BTreeMap<EditionId, Offer>,
    pub rules: Rules,
    pub context: Context,
    pub now: Timestamp,
}

impl Scenario {
    pub fn quote(&self) -> Result<Quote, MoneyError> {
        quote(&self.lines, &self.codes, &self.offers, &self.rules, &self.context, self.now)
    }
}

const NOW: i64 = 1000;
const CURRENCIES: [&str; 4] = ["USD", "EUR", "JPY", "KWD"];
const BEGINS: [i64; 3] = [NOW - 500, NOW, NOW + 500];
const ENDS: [i64; 3] = [NOW - 500, NOW, NOW + 500];
const REGIONS: [&str; 3] = ["CA", "NY", "BE"];
const CITIES: [&str; 3] = ["Berlin", "berlin", "Oakland"];
/// Of taxes, in parts per million.
const RATES: [u32; 7] = [0, 50_000, 70_000, 82_500, 190_000, 200_000, 500_000];
const WHO: Who = Who(*b"0123456789abcdef");

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let currency = currency(dice.one(&CURRENCIES));
    let scale = dice.one(&[20, 2_000, 2_000, 100_000, 100_000_000_000]);
    let mut world = World { dice, currency, scale };
    let promotions: Vec<_> = (0..world.dice.up_to(12)).map(|n| world.promotion(n)).collect();
    let usage = world.usage(&promotions);
    let codes = world.codes(&promotions);
    let taxes = world.taxes();
    let shipping = (0..world.dice.up_to(4)).map(|n| world.shipping_option(n)).collect();
    let rates = world.exchange_rates();
    let rules = Rules::new(promotions, taxes, shipping).with_rates(rates).with_stack_max(world.dice.maybe(15, |d| d.up_to(4)));
    let offers = (1..=8).filter_map(|n| Some((EditionId(n), world.dice.chance(97).then(|| world.offer(n))?))).collect();
    Scenario { lines: world.lines(), codes, offers, rules, context: world.context(usage), now: Timestamp(NOW) }
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::parse(text).expect("a short text")
}

struct Dice(fastrand::Rng);

impl Dice {
    fn chance(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())]
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.0.u32(0..=most)
    }

    fn maybe<T>(&mut self, percent: u32, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| make(self))
    }

    fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.usize(0..=most)).map(|_| make(self)).collect()
    }

    fn ppm(&mut self) -> Ppm {
        let any = self.up_to(1_000_000);
        Ppm(self.one(&[100_000, 250_000, 333_333, 500_000, 1_000_000, any]))
    }

    fn format(&mut self) -> Format {
        self.one(&[Format::Hardcover, Format::Paperback, Format::Paperback, Format::Ebook, Format::Audiobook])
    }

    fn heading(&mut self) -> HeadingId {
        HeadingId { kind: self.one(&HeadingKind::ALL), bits: self.one(&[1, 2]) }
    }

    fn selector(&mut self) -> Selector {
        match self.up_to(3) {
            0 => Selector::Edition(EditionId(self.one(&[1, 2, 3, 4, 5, 6, 7, 8]))),
            1 => Selector::Book(BookId(self.one(&[1, 2, 3, 4]))),
            2 => Selector::Heading(self.heading()),
            _ => Selector::Format(self.format()),
        }
    }

    fn target(&mut self) -> Target {
        let any = if self.chance(40) { Vec::new() } else { self.list(3, Self::selector) };
        let except = if self.chance(80) { Vec::new() } else { self.list(2, Self::selector) };
        Target { any, except, full_price_only: self.chance(10) }
    }

    fn part(&mut self) -> Part {
        Part { of: self.target(), count: 1 + self.up_to(2) }
    }

    fn window(&mut self) -> Window {
        Window { from: self.maybe(10, |d| d.one(&BEGINS)).map(Timestamp), to: self.maybe(10, |d| d.one(&ENDS)).map(Timestamp) }
    }

    fn day(&mut self) -> MonthDay {
        MonthDay::new(self.one(&[2, 3, 12, 1]), self.one(&[1, 15, 28, 29])).expect("a day of a leap year")
    }

    fn place(&mut self) -> Place {
        let (region, city) = (self.maybe(25, |d| text(d.one(&REGIONS))), self.maybe(20, |d| text(d.one(&CITIES))));
        let postal = self.maybe(20, |d| d.one(&[("10000", "19999"), ("101", "103"), ("1 0-1", "104"), ("50000", "59999")]));
        let postal = postal.map(|(from, to)| PostalRange::new(from, to).expect("a range"));
        Place { region, city, postal, ..Place::country(self.country()) }
    }

    fn country(&mut self) -> Country {
        Country::parse(self.one(&["US", "US", "US", "DE"])).expect("a country")
    }

    fn destination(&mut self) -> Destination {
        Destination {
            region: self.maybe(70, |d| text(d.one(&REGIONS))),
            city: self.maybe(70, |d| text(d.one(&CITIES))),
            postal_code: self.maybe(70, |d| text(d.one(&["10115", "10-2 99", "103", "50001-1", "90210", "10"]))),
            ..Destination::country(self.country())
        }
    }
}

/// Dice, a currency, and prices up to about `scale`.
struct World {
    dice: Dice,
    currency: Currency,
    scale: i64,
}

impl World {
    fn money_up_to(&mut self, most: i64, currency: Currency) -> Money {
        Money::new(self.dice.0.i64(1..=most.max(1)), currency).expect("in range")
    }

    /// Rarely the largest amount there is, which no product of it may hurt.
    fn rule_amount(&mut self, most: i64, currency: Currency) -> Money {
        if self.dice.chance(2) { Money::new(AMOUNT_MAX, currency).expect("in range") } else { self.money_up_to(most, currency) }
    }

    fn off(&mut self, currency: Currency) -> Off {
        match self.dice.up_to(2) {
            0 => Off::Rate(self.dice.ppm()),
            1 => Off::Amount(self.rule_amount(self.scale / 2, currency)),
            _ => Off::Price(self.rule_amount(self.scale, currency)),
        }
    }

    fn tiers<T>(&mut self, currency: Currency, mut from: impl FnMut(&mut Self, u32) -> T) -> Vec<Tier<T>> {
        let mut reached = 0;
        let mut tier = |_| {
            reached += 1 + self.dice.up_to(2);
            Tier { from: from(self, reached), off: self.off(currency) }
        };
        (0..=2).map(&mut tier).collect()
    }

    fn benefit(&mut self, currency: Currency) -> Benefit {
        let (of, off) = (self.dice.target(), self.off(currency));
        let times_max = self.dice.maybe(40, |d| 1 + d.up_to(2));
        match self.dice.up_to(8) {
            0 => Benefit::Each { of, off },
            1 => Benefit::Tiers { of, tiers: self.tiers(currency, |_, n| n) },
            2 => Benefit::BuyGet {
                buy: of,
                buy_count: 1 + self.dice.up_to(2),
                get: self.dice.target(),
                get_count: 1 + self.dice.up_to(2),
                off: self.dice.ppm(),
                times_max,
            },
            3 => Benefit::Bundle { parts: (0..=self.dice.up_to(2)).map(|_| self.dice.part()).collect(), off, times_max },
            4 => Benefit::Gift { edition: EditionId(self.dice.one(&[1, 2, 3, 4, 5, 6, 7, 8, 9])) },
            5 => Benefit::Goods { of, off },
            6 => Benefit::Spend { tiers: self.tiers(currency, |w, n| Money::new(w.scale * i64::from(n) / 4, currency).expect("in range")) },
            _ => Benefit::Shipping { off },
        }
    }

    fn needs(&mut self, currency: Currency) -> Needs {
        let basis = self.dice.one(&[Basis::Subtotal, Basis::Discounted, Basis::Discounted]);
        Needs {
            minimum: self.dice.chance(25).then(|| Minimum { amount: self.money_up_to(self.scale * 3, currency), basis }),
            copies: self.dice.maybe(10, Dice::part),
            segments: self.dice.maybe(10, |d| d.list(2, segment)).unwrap_or_default(),
            first_order: self.dice.chance(8),
            birthday_within_days: self.dice.maybe(8, |d| d.one(&[0, 7, 45])),
            expression: self.dice.maybe(8, |d| text(d.one(&[HOLDS, HOLDS, NOT, BROKEN]))),
        }
    }

    fn promotion(&mut self, n: u32) -> Promotion {
        let currency = if self.dice.chance(95) { self.currency } else { currency("USD") };
        let prefix = self.dice.one(&["a", "B", "c-", "P_"]);
        let id = PromotionId::parse(&format!("{prefix}{n}")).expect("an id");
        let code = |name: &str| CouponCode::parse(name).expect("a code");
        let trigger = if self.dice.chance(60) {
            Trigger::Automatic
        } else {
            Trigger::Codes((0..=self.dice.up_to(1)).map(|m| code(&format!("CODE{n}-{m}"))).collect())
        };
        Promotion {
            active: self.dice.chance(97),
            trigger,
            needs: self.needs(currency),
            window: self.dice.window(),
            hours: self.dice.maybe(10, |d| d.list(3, hours)).unwrap_or_default(),
            priority: self.dice.one(&[0, 0, 0, 1, -1]),
            stacking: self.stacking(),
            cap: self.dice.chance(15).then(|| self.money_up_to(self.scale, currency)),
            budget: self.budget(currency),
            ..Promotion::automatic(id, text("A promotion"), self.benefit(currency))
        }
    }

    fn stacking(&mut self) -> Stacking {
        match self.dice.up_to(99) {
            0..4 => Stacking::Exclusive,
            4..30 => Stacking::BestOf(PromotionGroup::parse(self.dice.one(&["g", "h"])).expect("a group")),
            _ => Stacking::Combine,
        }
    }

    fn budget(&mut self, currency: Currency) -> Budget {
        Budget {
            uses: self.dice.maybe(15, |d| 1 + d.up_to(3)),
            uses_each: self.dice.maybe(15, |d| 1 + d.up_to(2)),
            amount: self.dice.chance(15).then(|| self.money_up_to(self.scale, currency)),
        }
    }

    fn usage(&mut self, promotions: &[Promotion]) -> Usage {
        let mut counts = BTreeMap::new();
        for id in promotions.iter().map(|p| &p.id) {
            let spent = self.dice.0.u64(0..=self.scale.unsigned_abs() / 2);
            counts.insert(Counter::Uses(id.clone()), self.dice.up_to(2).into());
            counts.insert(Counter::UsesBy(id.clone(), WHO), self.dice.up_to(1).into());
            counts.insert(Counter::Spent(id.clone()), spent);
        }
        for code in promotions.iter().flat_map(codes_of) {
            counts.insert(Counter::Code(code.clone()), self.dice.up_to(1).into());
        }
        counts.retain(|_, _| self.dice.chance(60));
        Usage(counts)
    }

    fn codes(&mut self, promotions: &[Promotion]) -> Vec<Given> {
        let mut codes: Vec<Given> = Vec::new();
        for promotion in promotions {
            for code in codes_of(promotion) {
                let uses_max = self.dice.maybe(15, |d| 1 + d.up_to(1));
                codes.push(Given { code: code.clone(), promotion: Some(promotion.id.clone()), uses_max });
            }
        }
        if self.dice.chance(10) {
            let promotion = self.dice.maybe(50, |_| PromotionId::parse("GONE").expect("an id"));
            codes.push(Given { code: CouponCode::parse("NOPE").expect("a code"), promotion, uses_max: None });
        }
        codes.retain(|_| self.dice.chance(80));
        self.dice.0.shuffle(&mut codes);
        codes
    }

    fn taxes(&mut self) -> Vec<TaxRate> {
        let included = self.dice.chance(50);
        let mut taken = Vec::new();
        let mut rates = Vec::new();
        for _ in 0..self.dice.up_to(8) {
            let (tax, place) = (self.dice.one(&["VAT", "GST"]), self.dice.place());
            let formats = if self.dice.chance(60) { Vec::new() } else { vec![self.dice.format()] };
            let key = (tax, place.clone(), formats.clone());
            if taken.contains(&key) {
                continue;
            }
            taken.push(key);
            rates.push(TaxRate {
                formats,
                included,
                shipping_taxed: self.dice.chance(60),
                rounding: self.dice.one(&[Rounding::HalfEven, Rounding::HalfUp, Rounding::Down]),
                level: self.dice.one(&[Level::Line, Level::Total]),
                window: self.dice.window(),
                ..TaxRate::of(TaxName::parse(tax).expect("a name"), place, text("A tax"), Ppm(self.dice.one(&RATES)))
            });
        }
        rates
    }

    fn shipping_option(&mut self, n: u32) -> ShippingOption {
        let currency = if self.dice.chance(95) { self.currency } else { currency("EUR") };
        let price = |world: &mut Self| world.money_up_to(world.scale / 4, currency);
        let scale = match self.dice.up_to(2) {
            0 => Scale::Flat(price(self)),
            1 => Scale::Weight([0, 300, 900].map(|from| ShippingStep { from, price: price(self) }).to_vec()),
            _ => {
                let from = |world: &Self, n: i64| Money::new(world.scale * n / 2, currency).expect("in range");
                Scale::Amount([0, 1, 4].map(|n| ShippingStep { from: from(self, n), price: price(self) }).to_vec())
            }
        };
        ShippingOption {
            active: self.dice.chance(90),
            zones: self.dice.list(2, Dice::place),
            scale,
            free_from: self.dice.chance(30).then(|| self.money_up_to(self.scale * 4, currency)),
            per_parcel: self.dice.chance(40),
            ..ShippingOption::flat(ShippingOptionId::parse(&format!("way-{n}")).expect("an id"), text("A way"), Money::zero(currency))
        }
    }

    fn exchange_rates(&mut self) -> Vec<ExchangeRate> {
        let mut rates = Vec::new();
        for other in CURRENCIES.map(currency).into_iter().filter(|c| *c != self.currency) {
            for since in [NOW - 1, NOW, NOW + 1] {
                let (from, to) = if self.dice.chance(90) { (other, self.currency) } else { (self.currency, other) };
                let rate = Nano(self.dice.0.u64(1_000_000..=20_000_000_000));
                let rate = ExchangeRate { from, to, rate, since: Timestamp(since), source: None };
                rates.extend(self.dice.chance(60).then_some(rate));
            }
        }
        self.dice.0.shuffle(&mut rates);
        rates
    }

    fn offer(&mut self, n: u128) -> Offer {
        let currency = if self.dice.chance(85) { self.currency } else { currency(self.dice.one(&CURRENCIES)) };
        let list = self.money_up_to(self.scale, currency);
        let sale = self.dice.0.i64(0..=list.minor());
        let unit = if self.dice.chance(25) { Money::new(sale, currency).expect("in range") } else { list };
        Offer {
            edition: EditionId(n),
            book: BookId(n.div_ceil(2)),
            sku: Sku::parse(&format!("SKU-{n}")).expect("a sku"),
            title: text("A book"),
            image_url: None,
            format: self.dice.format(),
            list_price: list,
            unit_price: unit,
            available: self.dice.up_to(6),
            weight_g: self.dice.one(&[0, 120, 350, 900]),
            headings: self.dice.list(3, Dice::heading).into(),
        }
    }

    fn lines(&mut self) -> Vec<Line> {
        let mut editions: Vec<u128> = (1..=12).filter(|n| self.dice.chance(if *n <= 9 { 55 } else { 5 })).collect();
        self.dice.0.shuffle(&mut editions);
        let mut line = |n| {
            let many = self.dice.0.i64(1..=999);
            let quantity = self.dice.one(&[1, 1, 1, 2, 2, 3, 4, 5, 7, many]);
            Line { edition: EditionId(n), quantity: Quantity::new(quantity).expect("a quantity") }
        };
        editions.into_iter().map(&mut line).collect()
    }

    fn context(&mut self, usage: Usage) -> Context {
        let known = self.dice.chance(75);
        let shopper = Shopper {
            who: (known || self.dice.chance(50)).then_some(WHO),
            orders: known.then(|| self.dice.one(&[0, 0, 1])),
            segments: if known { self.dice.list(2, segment) } else { Vec::new() },
            birthday: if known { self.dice.maybe(70, Dice::day) } else { None },
            tax_exempt: self.dice.chance(15),
        };
        Context {
            currency: self.currency,
            destination: self.dice.maybe(90, Dice::destination),
            shipping: self.dice.maybe(30, |d| ShippingOptionId::parse(&format!("way-{}", d.up_to(4))).expect("an id")),
            shopper,
            local: Local { weekday: self.dice.one(&[1, 2]), minute: self.dice.one(&[0, 599, 600, 1439]), date: self.dice.day() },
            usage,
            evaluator: evaluator(),
            assessed: None,
        }
    }
}

fn segment(dice: &mut Dice) -> Segment {
    Segment::parse(dice.one(&["gold", "staff", "press"])).expect("a segment")
}

fn hours(dice: &mut Dice) -> Hours {
    let (from_minute, to_minute) = dice.one(&[(0, 600), (600, 1440), (599, 600), (0, 1440)]);
    Hours { weekday: dice.one(&[1, 2, 3]), from_minute, to_minute }
}

fn codes_of(promotion: &Promotion) -> &[CouponCode] {
    match &promotion.trigger {
        Trigger::Automatic => &[],
        Trigger::Codes(codes) => codes,
    }
}
