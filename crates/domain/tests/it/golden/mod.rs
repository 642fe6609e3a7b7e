//! Carts with the figures a shopkeeper gets by hand, one a line, in the `.txt` files of this directory. The figures were
//! derived from `docs/money.md`, not printed by the program.

mod shop;
mod shown;

use crate::told::evaluator;
use domain::ids::{CouponCode, EditionId, PromotionId, Segment, ShippingOptionId};
use domain::money::MoneyError;
use domain::pricing::{Context, Counter, Given, Line, Rules, Usage, Who, quote};
use domain::quantity::Quantity;
use domain::time::{MonthDay, Timestamp};
use shop::{Shop, Words, bits, destination, money};
use std::fs;
use std::path::Path;

const WHO: Who = Who(*b"whoever buys it.");

/// What the figure on the right is for: goods, codes and circumstances.
struct Case {
    lines: Vec<Line>,
    codes: Vec<Given>,
    context: Context,
    now: Timestamp,
}

impl Case {
    /// `2 a, 1 b | TEN FIVE | to US-CA, by express`
    fn parse(row: &str, shop: &Shop, rules: &Rules) -> Self {
        let mut columns = row.split('|').map(str::trim);
        let goods = columns.next().unwrap_or_default().split(',').filter(|item| !item.trim().is_empty());
        let lines = goods.map(|item| line(Words::new(item, shop.currency))).collect();
        let codes = columns.next().unwrap_or_default().split_whitespace().map(|word| given(word, rules)).collect();
        let mut case =
            Self { lines, codes, context: Context { evaluator: evaluator(), ..Context::cart(shop.currency) }, now: Timestamp(100) };
        for clause in columns.next().unwrap_or_default().split(',').filter(|c| !c.trim().is_empty()) {
            case.circumstance(Words::new(clause, shop.currency));
        }
        assert_eq!(columns.next(), None, "three columns");
        case
    }

    fn circumstance(&mut self, mut words: Words<'_>) {
        let promotion = |words: &mut Words<'_>| words.of(PromotionId::parse);
        let Context { shopper, usage: Usage(usage), local, .. } = &mut self.context;
        match words.word() {
            "to" => self.context.destination = Some(destination(words.word())),
            "by" => self.context.shipping = Some(words.of(ShippingOptionId::parse)),
            "exempt" => shopper.tax_exempt = true,
            "segment" => shopper.segments = words.rest(|s| Segment::parse(s).expect("a segment")),
            "orders" => shopper.orders = Some(words.number()),
            "known" => shopper.who = Some(WHO),
            "born" => shopper.birthday = Some(words.of(day)),
            "today" => local.date = words.of(day),
            "clock" => (local.weekday, local.minute) = (words.number(), words.clock()),
            "now" => self.now = Timestamp(words.number()),
            "used" => drop(usage.insert(Counter::Uses(promotion(&mut words)), words.number())),
            "used-by" => drop(usage.insert(Counter::UsesBy(promotion(&mut words), WHO), words.number())),
            "spent" => drop(usage.insert(Counter::Spent(promotion(&mut words)), words.money().minor().unsigned_abs())),
            "used-code" => drop(usage.insert(Counter::Code(words.of(CouponCode::parse)), words.number())),
            word => panic!("`{word}` is no circumstance"),
        }
        words.end();
    }
}

fn line(mut words: Words<'_>) -> Line {
    let line = Line { quantity: Quantity::new(words.number()).expect("a quantity"), edition: EditionId(bits(words.word())) };
    words.end();
    line
}

/// `TEN`, or `A1>TEN` for a code that was issued for a promotion, or `A1>TEN/1` when one order may use it.
fn given(word: &str, rules: &Rules) -> Given {
    let code = |code| CouponCode::parse(code).expect("a code");
    let Some((issued, promotion)) = word.split_once('>') else { return rules.given(&code(word)) };
    let (promotion, uses_max) = promotion.split_once('/').map_or((promotion, None), |(id, max)| (id, max.parse().ok()));
    Given { code: code(issued), promotion: PromotionId::parse(promotion), uses_max }
}

/// `2-28` is the last of February.
fn day(word: &str) -> Option<MonthDay> {
    let (month, day) = word.split_once('-')?;
    MonthDay::new(month.parse().ok()?, day.parse().ok()?)
}

fn got(row: &str, shop: &Shop) -> String {
    let rules = shop.rules();
    let case = Case::parse(row, shop, &rules);
    match quote(&case.lines, &case.codes, &shop.offers, &rules, &case.context, case.now) {
        Ok(quote) => shown::quote(&quote, case.context.destination.is_some(), &shop.told),
        Err(MoneyError::Overflow) => "too large".into(),
        Err(MoneyError::CurrencyMismatch) => "mixed currencies".into(),
    }
}

/// Where a file is being read; told when a line is not understood.
struct Place<'a>(&'a str, usize, &'a str);

impl Drop for Place<'_> {
    #[expect(clippy::print_stderr, reason = "a failing test speaks to its reader")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:{}: {}", self.0, self.1, self.2);
        }
    }
}

/// Rows that differ, and how many there are.
fn check(file: &str, text: &str) -> (Vec<String>, usize) {
    let (mut common, mut wrong, mut count) = (Shop::new(), Vec::new(), 0);
    let mut section: Option<Shop> = None;
    for (n, line) in text.lines().enumerate() {
        let _place = Place(file, n + 1, line);
        let line = line.split("--").next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with("==") {
            section = Some(common.clone());
            continue;
        }
        let shop = section.as_mut().unwrap_or(&mut common);
        let Some((row, figures)) = line.split_once("=>") else {
            shop.declare(line);
            continue;
        };
        count += 1;
        let wanted = figures.split_whitespace().collect::<Vec<_>>().join(" ");
        let got = got(row, shop);
        if got != wanted {
            wrong.push(format!("{file}:{}: {}\n  by hand {wanted}\n  got     {got}", n + 1, row.trim()));
        }
    }
    (wrong, count)
}

#[test]
fn quotes_are_what_a_shopkeeper_gets_by_hand() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let files = fs::read_dir(here).expect("the directory").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in files {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (differ, rows) = check(&file, &fs::read_to_string(&path).expect("UTF-8"));
        wrong.extend(differ);
        count += rows;
    }
    assert!(wrong.is_empty(), "{} of {count} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 300, "only {count} rows");
}

#[test]
fn a_wrong_figure_is_seen() {
    let shop = "offer a 10.00\ncode TEN goods -10% all\n1 a | TEN => 10.00 1.00 0.00 0.00 9.00 ; TEN -1.00\n";
    assert_eq!(check("good", shop), (Vec::new(), 1));
    for (right, wrong) in [("9.00 ;", "9.01 ;"), ("; TEN -1.00", ""), ("TEN -1.00", "TEN -1.00 ; TEN ended"), ("=> 10.00", "=> 10.01")] {
        assert_eq!(check("wrong", &shop.replace(right, wrong)).0.len(), 1, "{right} → {wrong}");
    }
    assert_eq!(money("0.05", Shop::new().currency).minor(), 5);
}
