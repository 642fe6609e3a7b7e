//! Rules about prose: spelling, and that what is pointed at exists.

/// Spellings of another house.
const FOREIGN: &[&str] = &["authoris", "cancelled", "cancelling", "catalogue", "colour", "behaviour", "favour", "honour"];

/// Words that are not spelled as this house spells them.
pub fn foreign_spellings(text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.to_lowercase()));
    lines.flat_map(|(n, line)| FOREIGN.iter().filter(move |word| line.contains(**word)).map(move |word| format!("{n}: {word}"))).collect()
}

/// Targets of a Markdown page's relative links, without their anchors. Fenced code is passed over.
pub fn relative_links(markdown: &str) -> Vec<String> {
    let text = prose(markdown);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let local = targets.filter(|t| !t.contains("://") && !t.starts_with("mailto:"));
    local.filter_map(|t| t.split('#').next()).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// Files and directories of the workspace that a page names in backticks.
pub fn named_paths(markdown: &str) -> Vec<String> {
    let text = prose(markdown);
    let spans = text.split('`').skip(1).step_by(2);
    let ours = spans.filter(|s| ["crates/", "docs/", "fixtures/", ".ci/"].iter().any(|top| s.starts_with(top)));
    ours.filter(|s| !s.contains(['*', '{', '<', ' ', '…'])).map(str::to_owned).collect()
}

fn prose(markdown: &str) -> String {
    let mut fenced = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    markdown.lines().filter(outside).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_spellings_are_caught() {
        for (text, found) in [
            ("It was canceled.", vec![]),
            ("ok\nOrder Cancelled", vec!["2: cancelled"]),
            ("the catalogue is authorised", vec!["1: authoris", "1: catalogue"]),
            ("the catalog is authorized, in color", vec![]),
        ] {
            assert_eq!(foreign_spellings(text), found, "{text}");
        }
    }

    #[test]
    fn only_links_into_the_workspace_count() {
        let page = "[a](docs/money.md#rounding) [b](https://x.org/y) [c](#here) ![d](a.png \"t\")\n```\n[e](no.md)\n```\n[f](../README.md)";
        assert_eq!(relative_links(page), ["docs/money.md", "a.png", "../README.md"]);
    }

    #[test]
    fn paths_in_backticks_are_found() {
        let page = "`crates/domain/src/money.rs` and `crates/*/src`, `cart.ttl`, `docs/api.md`\n```\n`docs/none.md`\n```";
        assert_eq!(named_paths(page), ["crates/domain/src/money.rs", "docs/api.md"]);
    }
}
