//! Rules about Rust source. They look at [`code`], where comments and the contents of strings are blank,
//! so that a word in a sentence is not taken for an item.

/// The source with comments and the contents of literals blanked, line by line as it was.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (kept, blank) = token(rest, c, out.chars().next_back());
        out.push_str(&rest[..kept]);
        out.extend(rest[kept..blank].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[blank..];
    }
    out
}

/// How much of the text is kept as it is, and up to where it is blanked.
fn token(text: &str, first: char, before: Option<char>) -> (usize, usize) {
    let starts_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with("//") {
        return (0, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (0, text.find("*/").map_or(text.len(), |end| end + 2));
    }
    if first == '"' {
        return (1, quoted(text, 1, '"'));
    }
    if starts_word && let Some(hashes) = raw(text) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = hashes + 2;
        return (start, text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
    }
    if first == '\'' && is_char(text) {
        return (1, quoted(text, 1, '\''));
    }
    (first.len_utf8(), first.len_utf8())
}

/// Just behind the closing quote.
fn quoted(text: &str, start: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        if c == quote && !escaped {
            return start + at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The number of hashes of a raw string that starts here.
fn raw(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    text[1 + hashes..].starts_with('"').then_some(hashes)
}

/// A character, not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// What is not a test: nothing of a test file or of the suites adapters are tested with, and all before a
/// file's own `#[cfg(test)] mod tests {`.
pub fn product<'a>(path: &str, code: &'a str) -> &'a str {
    if path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("crates/conformance/") {
        return "";
    }
    let inline = code.match_indices("#[cfg(test)]").find(|(at, mark)| code[at + mark.len()..].trim_start().starts_with("mod tests {"));
    inline.map_or(code, |(at, _)| &code[..at])
}

/// The words of code, with the line each is on.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = code.lines().enumerate();
    numbered
        .flat_map(|(n, line)| line.split(|c: char| !c.is_alphanumeric() && c != '_').map(move |word| (n + 1, word)))
        .filter(|(_, w)| !w.is_empty())
}

const EMPTY_NOUNS: &[&str] = &["Service", "Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Dto", "Data", "Info"];
const DECLARES: &[&str] = &["struct", "enum", "trait", "type", "union"];

/// Types named with a noun that says nothing.
pub fn empty_nouns(code: &str) -> Vec<String> {
    let all: Vec<_> = words(code).collect();
    let declared = all.windows(2).filter(|pair| DECLARES.contains(&pair[0].1)).map(|pair| pair[1]);
    declared.filter(|(_, name)| EMPTY_NOUNS.iter().any(|noun| name.ends_with(noun))).map(|(line, name)| format!("{line}: {name}")).collect()
}

/// Lines that hold any of `phrases`.
pub fn lines_with(code: &str, phrases: &[&str]) -> Vec<String> {
    let lines = code.lines().enumerate().filter(|(_, line)| phrases.iter().any(|p| line.contains(p)));
    lines.map(|(n, line)| format!("{}: {}", n + 1, line.trim())).collect()
}

/// Bounds that are declared where nobody looks for them.
pub fn scattered_bounds(code: &str) -> Vec<String> {
    let all: Vec<_> = words(code).collect();
    let declared = all.windows(2).filter(|pair| pair[0].1 == "const").map(|pair| pair[1]);
    declared.filter(|(_, name)| name.ends_with("_MAX")).map(|(line, name)| format!("{line}: {name}")).collect()
}

/// A function and the lines between its braces.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    pub name: String,
    pub lines: usize,
}

/// Every `async fn` with a body.
pub fn async_bodies(code: &str) -> Vec<Body> {
    let mut bodies = Vec::new();
    for (at, mark) in code.match_indices("async fn ") {
        let rest = &code[at + mark.len()..];
        let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = rest.find(['{', ';']).filter(|open| rest[*open..].starts_with('{')) else { continue };
        bodies.push(Body { name, lines: block(&rest[open..]).matches('\n').count().saturating_sub(1) });
    }
    bodies
}

/// The text up to the brace that closes the first one.
fn block(code: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return &code[..=at],
            '}' => depth -= 1,
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_in_code() {
        for (text, expected) in [
            ("let a = 1; // async", "let a = 1;         "),
            ("/* f64\n*/ x", "      \n   x"),
            (r#"say("f64 \" {");"#, "say(\"         );"),
            ("say(r#\"a \" b\"#);", "say(r#\"       );"),
            ("let c = '{';", "let c = '  ;"),
            (r"let c = '\'';", "let c = '   ;"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("for r in rows {}", "for r in rows {}"),
        ] {
            assert_eq!(code(text), expected);
        }
    }

    #[test]
    fn tests_are_not_product() {
        let text = "fn a() {}\n#[cfg(test)]\nuse b;\n#[cfg(test)]\nmod tests {\n fn c() { x.unwrap(); }\n}\n";
        assert_eq!(product("src/a.rs", text), "fn a() {}\n#[cfg(test)]\nuse b;\n");
        for path in ["crates/x/src/cart/tests.rs", "crates/x/tests/it/main.rs", "crates/conformance/src/carts.rs"] {
            assert_eq!(product(path, text), "", "{path}");
        }
        assert_eq!(product("src/b.rs", "#[cfg(test)]\nmod tests;\nfn a() {}"), "#[cfg(test)]\nmod tests;\nfn a() {}");
    }

    #[test]
    fn empty_nouns_are_caught() {
        for (text, found) in [
            ("pub struct CartService;", vec!["1: CartService"]),
            ("\nenum OrderDto { A }", vec!["2: OrderDto"]),
            ("pub(crate) trait StockManager {}", vec!["1: StockManager"]),
            ("type CartData = u8;", vec!["1: CartData"]),
            ("struct Cart; let service = CartService::new();", vec![]),
            ("struct Implicit; struct Database;", vec![]),
        ] {
            assert_eq!(empty_nouns(text), found, "{text}");
        }
    }

    #[test]
    fn phrases_and_scattered_bounds_are_caught_with_their_line() {
        assert_eq!(lines_with("a\n  b.unwrap();\n", &[".unwrap()", "#[allow("]), ["2: b.unwrap();"]);
        assert_eq!(scattered_bounds("x\npub const ROWS_MAX: usize = 3;\nconst A: u8 = 1;"), ["2: ROWS_MAX"]);
    }

    #[test]
    fn bodies_are_measured_between_their_braces() {
        let text = "async fn one() -> u8 {\n    1\n}\nasync fn none();\npub async fn nested(\n    a: u8,\n) {\n    if a {\n        b();\n    }\n}\nasync fn flat() {}\n";
        let bodies: Vec<_> = async_bodies(text).into_iter().map(|b| (b.name, b.lines)).collect();
        assert_eq!(bodies, [("one".to_owned(), 1), ("nested".to_owned(), 3), ("flat".to_owned(), 0)]);
    }
}
