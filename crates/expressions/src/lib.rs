//! Conditions of a shop's own, in [CEL](https://cel.dev), the Common Expression Language.
//!
//! ```
//! let three_of_fantasy = "cart.lines.filter(l, 'cat_01J' in l.categories).map(l, l.quantity).sum() >= 3";
//! assert!(expressions::compile(three_of_fantasy).is_ok());
//!
//! let refused = expressions::compile("cart.subTotal > 5000").expect_err("it is spelled `subtotal`");
//! assert_eq!(refused.to_string(), "line 1, column 5: there is no `cart.subTotal`");
//! ```
//!
//! A condition can look at the goods before discounts, at who buys and at where it goes (`docs/money.md` lists the names), and at
//! nothing else: no clock, no chance, no files. It is true or false. Amounts are whole numbers of the cart's minor
//! units, and there are no fractions.
//!
//! Of the language there is what conditions need: `&& || ! ? :`, comparisons, whole-number arithmetic, `in`, `size`, `contains`,
//! `startsWith`, `endsWith`, lists, `all`, `exists`, `exists_one`, `filter` and `map`; and one function more, `sum()` of a list of numbers
//! (the one Kubernetes has). Kinds are checked when a condition is saved, so a misspelled name never waits for a shopper.
//! What makes texts or lists longer is left out, and so are regular expressions.
//!
//! A condition ends: `compile` counts the steps of its worst case and refuses more than [`limits::STEPS_MAX`]. It cannot panic:
//! a sum out of range or a division by zero makes [`Condition::holds`] answer `None`.

mod check;
mod kind;
pub mod limits;
mod refused;
mod seen;
#[cfg(test)]
mod tests;

pub use refused::{Place, Refused};

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::common::types::LIST_TYPE;
use cel::{Env, ParseErrors, Value};
use domain::limits::EXPRESSION_MAX;
use domain::pricing::{Conditions, Facts};
use domain::text::Text;
use quick_cache::sync::Cache;
use seen::Seen;
use std::sync::{Arc, LazyLock};

/// The language with its macros, made once: making it costs more than evaluating most conditions.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut language = Env::stdlib().with_optional_support(false);
    language.add_member_overload("sum", "list_sum", LIST_TYPE, Vec::new(), seen::sum).expect("invariant: the library has no `sum`");
    Arc::new(language)
});

/// Makes a condition of its text. What it returns ends within [`limits::STEPS_MAX`] steps and cannot panic.
///
/// # Errors
/// [`Refused`] says what is wrong with the text and, where it can, the place.
pub fn compile(source: &str) -> Result<Condition, Refused> {
    let source = bounded(source)?;
    let steps = steps(source.as_str())?;
    if steps > limits::STEPS_MAX {
        return Err(Refused::TooManySteps { steps, max: limits::STEPS_MAX });
    }
    let (expanded, _) = parse(&LANGUAGE, source.as_str())?;
    Ok(Condition(expanded))
}

/// Counted in what was written; an evaluation wants macros expanded.
fn steps(source: &str) -> Result<u64, Refused> {
    let (written, info) = parse(&Env::default().with_optional_support(false), source)?;
    check::steps(&written, &info)
}

/// Keeps from the parser what would take too much of its stack.
fn bounded(source: &str) -> Result<Text<EXPRESSION_MAX>, Refused> {
    let source = source.trim();
    let length = source.chars().count();
    if source.is_empty() {
        return Err(Refused::Empty);
    }
    if length > EXPRESSION_MAX {
        return Err(Refused::TooLong { length, max: EXPRESSION_MAX });
    }
    let count = source.chars().filter(|c| "([{.?:+-*/%<>=!".contains(*c)).count();
    if count > limits::OPERATORS_MAX {
        return Err(Refused::TooManyOperators { count, max: limits::OPERATORS_MAX });
    }
    let control = || Refused::Unreadable { at: Place { line: 1, column: 1 }, what: "there are control characters in it".to_owned() };
    Text::parse_block(source).ok_or_else(control)
}

fn parse(language: &Env, source: &str) -> Result<(IdedExpr, SourceInfo), Refused> {
    let parser = language.parser().max_recursion_depth(limits::NESTING_MAX);
    parser.parse_with_source_info(source).map_err(|errors| unreadable(&errors))
}

/// The first thing the parser says.
fn unreadable(ParseErrors { errors, .. }: &ParseErrors) -> Refused {
    if errors.iter().any(|e| e.msg.contains("Recursion limit")) {
        return Refused::TooDeep;
    }
    let count = |n: isize| usize::try_from(n).unwrap_or(1).max(1);
    let first = errors.first();
    let (line, column) = first.map_or((1, 1), |e| (count(e.pos.0), count(e.pos.1)));
    let what = first.map_or("it cannot be read", |e| e.msg.trim_start_matches("Syntax error: "));
    // A list of all that could stand there helps nobody.
    let what = what.split(" expecting ").next().unwrap_or(what).to_owned();
    Refused::Unreadable { at: Place { line, column }, what }
}

/// A condition that was checked.
#[derive(Debug)]
pub struct Condition(IdedExpr);

impl Condition {
    /// Whether it holds; `None` when that cannot be told.
    pub fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let seen = Seen::of(facts)?;
        let mut context = cel::Context::with_env(Arc::clone(&LANGUAGE));
        context.set_variable_resolver(&seen);
        match Value::resolve(&self.0, &context) {
            Ok(Value::Bool(held)) => Some(held),
            _ => None,
        }
    }
}

/// The language as promotions use it: each condition is compiled once, however often it is asked for.
pub struct Cel(Cache<Text<EXPRESSION_MAX>, Option<Arc<Condition>>>);

impl Default for Cel {
    fn default() -> Self {
        Self(Cache::new(limits::COMPILED_MAX))
    }
}

impl std::fmt::Debug for Cel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cel")
    }
}

impl Conditions for Cel {
    fn check(&self, source: &Text<EXPRESSION_MAX>) -> Result<(), String> {
        compile(source.as_str()).map(drop).map_err(|refused| refused.to_string())
    }

    fn holds(&self, source: &Text<EXPRESSION_MAX>, facts: &Facts<'_>) -> Option<bool> {
        if let Some(compiled) = self.0.get(source) {
            return compiled?.holds(facts);
        }
        let compiled = compile(source.as_str()).ok().map(Arc::new);
        self.0.insert(source.clone(), compiled.clone());
        compiled?.holds(facts)
    }
}
