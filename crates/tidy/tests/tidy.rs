//! The house rules over the whole workspace.

use std::fs;
use std::path::Path;
use tidy::docs::{foreign_spellings, named_paths, relative_links};
use tidy::layers::forbidden_edges;
use tidy::source::{async_bodies, code, empty_nouns, lines_with, product, scattered_bounds, words};
use tidy::{File, OPENAPI_JSON, OPENAPI_YAML, crates, files, openapi_json, protobuf, root};

const FILE_LINES_MAX: usize = 600;
const HANDLER_LINES_MAX: usize = 25;
/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Where the handlers of the REST edge are.
const HANDLERS: &[&str] = &["cart", "checkout", "order", "payment", "pricing", "session", "catalog"];
/// Programs of their own: their bounds are nobody else's.
const TOOLS: &[&str] = &["crates/bench/", "crates/sim/", "crates/tidy/"];

/// Asserts that no file breaks the rule, and that there were files to look at.
#[track_caller]
fn nothing_wrong(files: &[File], rule: impl Fn(&File) -> Vec<String>) {
    assert!(!files.is_empty(), "no file to look at");
    let wrong: Vec<String> = files.iter().flat_map(|f| rule(f).into_iter().map(|w| format!("{}:{w}", f.path))).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What people wrote.
fn rust() -> Vec<File> {
    files(&[".rs"])
        .into_iter()
        .filter(|f| !f.path.contains(protobuf::DIRECTORY))
        .map(|f| File { text: code(&f.text), path: f.path })
        .collect()
}

fn is_tool(file: &File) -> bool {
    TOOLS.iter().any(|tool| file.path.starts_with(tool))
}

#[test]
fn dependencies_follow_the_layers() {
    let manifests: Vec<_> = files(&["Cargo.toml"]).into_iter().filter(|f| f.path.starts_with("crates/")).collect();
    nothing_wrong(&manifests, |f| forbidden_edges(f.path.split('/').nth(1).unwrap_or_default(), &f.text));
}

#[test]
fn no_type_has_an_empty_name() {
    nothing_wrong(&rust(), |f| empty_nouns(&f.text));
}

#[test]
fn no_lint_is_silenced_and_nothing_is_unwrapped() {
    nothing_wrong(&rust(), |f| lines_with(&f.text, &["#[allow(", "#![allow("]));
    nothing_wrong(&rust(), |f| lines_with(product(&f.path, &f.text), &[".unwrap()"]));
}

#[test]
fn the_domain_knows_no_waiting_and_no_floats() {
    let domain: Vec<_> = rust().into_iter().filter(|f| f.path.starts_with("crates/domain/")).collect();
    let banned = ["async", "await", "f32", "f64", "serde", "tokio", "SystemTime", "Instant"];
    let found = |f: &File| words(&f.text).filter(|(_, w)| banned.contains(w)).map(|(n, w)| format!("{n}: {w}")).collect();
    nothing_wrong(&domain, found);
}

#[test]
fn limits_live_together() {
    let others: Vec<_> = rust().into_iter().filter(|f| !f.path.ends_with("/limits.rs") && !is_tool(f)).collect();
    nothing_wrong(&others, |f| scattered_bounds(product(&f.path, &f.text)));
}

#[test]
fn files_stay_short() {
    let short: Vec<_> = rust().into_iter().filter(|f| !LONG_FILES.iter().any(|(path, _)| *path == f.path)).collect();
    nothing_wrong(&short, |f| {
        let lines = product(&f.path, &f.text).lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{lines} lines, more than {FILE_LINES_MAX}")).into_iter().collect()
    });
}

#[test]
fn handlers_only_translate() {
    let paths: Vec<String> = HANDLERS.iter().map(|noun| format!("crates/rest/src/{noun}.rs")).collect();
    let handlers: Vec<_> = rust().into_iter().filter(|f| paths.contains(&f.path)).collect();
    assert_eq!(handlers.len(), HANDLERS.len(), "every noun has its file");
    assert!(handlers.iter().all(|f| !async_bodies(&f.text).is_empty()), "every noun has handlers");
    nothing_wrong(&handlers, |f| {
        let long = async_bodies(product(&f.path, &f.text)).into_iter().filter(|b| b.lines > HANDLER_LINES_MAX);
        long.map(|b| format!(" {} has {} lines, more than {HANDLER_LINES_MAX}", b.name, b.lines)).collect()
    });
}

#[test]
fn spelling_is_american() {
    let ours = |f: &File| !f.path.starts_with("crates/tidy/") && !f.path.starts_with("fixtures/");
    let texts: Vec<_> = files(&[".rs", ".md", ".toml", ".yaml", ".html", ".sql"]).into_iter().filter(ours).collect();
    nothing_wrong(&texts, |f| foreign_spellings(&f.text));
}

#[test]
fn links_lead_somewhere() {
    let there = |base: &Path, target: &str| base.join(target).exists();
    nothing_wrong(&files(&[".md"]), |f| {
        let path = root().join(&f.path);
        let beside = path.parent().expect("invariant: a file is in a directory");
        let links = relative_links(&f.text).into_iter().filter(|t| !there(beside, t));
        let paths = named_paths(&f.text).into_iter().filter(|t| !there(&root(), t));
        links.chain(paths).map(|t| format!(" {t} is not there")).collect()
    });
}

#[test]
fn every_crate_is_in_the_architecture() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let missing: Vec<_> = crates().into_iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not a word about {missing:?}");
}

#[test]
fn the_served_description_is_the_written_one() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let expected = openapi_json(&read(OPENAPI_YAML)).expect("openapi.yaml is YAML");
    assert!(read(OPENAPI_JSON) == expected, "run `cargo run -p tidy -- gen`");
}

#[test]
fn what_is_generated_from_protobuf_is_what_is_committed() {
    let generated = protobuf::generated().expect("the .proto files are sound");
    for (path, bytes) in &generated {
        let committed = fs::read(root().join(path)).unwrap_or_default();
        assert!(committed == *bytes, "{path}: run `cargo run -p tidy -- gen`");
    }
}
