//! Ten thousand random carts, priced a second time by `oracle.py`, which was written from `docs/money.md` alone and shares nothing
//! with the engine: another language, exact fractions, copies one by one.
//!
//! `SEED=7 QUOTES=100000 cargo test -p domain --test it oracle -- --nocapture` prices others. Every quote has a seed of its own, so a
//! difference is shown again by its seed and `QUOTES=1`.
#![expect(clippy::print_stdout, reason = "it says which quotes it priced, and what occurred in them")]

mod coverage;
mod generate;
mod json;

use coverage::Coverage;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::process::{ChildStdin, Command, Stdio};

const QUOTES: u64 = 10_000;

#[test]
fn another_program_comes_to_the_same_quotes() {
    let (seed, quotes) = (number("SEED").unwrap_or(0), number("QUOTES").unwrap_or(QUOTES));
    println!("SEED={seed} QUOTES={quotes}");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oracle/oracle.py");
    let Ok(mut oracle) = Command::new("python3").arg(script).stdin(Stdio::piped()).spawn() else {
        println!("skipped: there is no python3 to price them with");
        return;
    };
    let coverage = send(oracle.stdin.take().expect("a pipe"), seed..seed + quotes);
    let agrees = oracle.wait().expect("the oracle ends").success();
    coverage.print();
    assert!(agrees, "the oracle disagrees; see above");
    assert!(quotes < QUOTES || coverage.wrong().is_empty(), "{:#?}", coverage.wrong());
}

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test is varied from outside")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Sends quotes to the oracle until it has them all.
fn send(pipe: ChildStdin, seeds: std::ops::Range<u64>) -> Coverage {
    let (mut pipe, mut coverage) = (BufWriter::new(pipe), Coverage::default());
    for seed in seeds {
        let scenario = generate::scenario(seed);
        let quote = scenario.quote();
        coverage.see(&scenario, &quote);
        let both = json!({"seed": seed, "input": json::input(&scenario), "quote": quote.as_ref().ok().map(json::output)});
        serde_json::to_writer(&mut pipe, &both).expect("the oracle reads");
        pipe.write_all(b"\n").expect("the oracle reads");
    }
    coverage
}
