//! Who may depend on whom.

/// Each crate with the crates of this workspace it may name. What is not listed is forbidden.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("app", &["domain"]),
    ("records", &["domain"]),
    ("wire", &["app", "domain"]),
    ("memory", &["app", "domain"]),
    ("sim", &["app", "domain", "memory"]),
    ("conformance", &["app", "domain"]),
    ("fail-points", &["app", "domain"]),
    ("store-embedded", &["app", "domain", "fail-points", "records"]),
    ("store-postgres", &["app", "domain", "records"]),
    ("bus-rabbit", &["app", "domain", "records", "wire"]),
    ("store-redis", &["app", "domain", "records"]),
    ("expressions", &["domain"]),
    ("webhook", &["domain"]),
    ("outbound", &["app"]),
    ("catalog-grpc", &["app", "domain", "memory", "outbound", "records"]),
    ("payments-http", &["app", "domain", "memory", "outbound", "webhook", "wire"]),
    ("taxes-http", &["app", "domain", "outbound"]),
    ("rest", &["app", "domain", "webhook", "wire"]),
    (
        "server",
        &[
            "app",
            "bus-rabbit",
            "catalog-grpc",
            "domain",
            "expressions",
            "fail-points",
            "memory",
            "payments-http",
            "records",
            "rest",
            "store-embedded",
            "store-postgres",
            "store-redis",
            "taxes-http",
            "webhook",
            "wire",
        ],
    ),
    ("bench", &[]),
    ("tidy", &[]),
];

/// All that the rules of the shop need from others: ids, currencies, an error derive.
const DOMAIN_NEEDS: &[&str] = &["iso_currency", "thiserror", "ulid"];

/// What a crate's manifest depends on against the layers. Tests may use anything.
///
/// # Panics
/// When the manifest is not TOML, which Cargo would not accept either.
pub fn forbidden_edges(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![format!("{name} has no place in the layers")];
    };
    let manifest: toml::Table = manifest.parse().expect("invariant: a manifest is TOML");
    let ours = |dependency: &str| LAYERS.iter().any(|(layer, _)| *layer == dependency);
    let may = |dependency: &str| {
        let outside = !ours(dependency) && (name != "domain" || DOMAIN_NEEDS.contains(&dependency));
        outside || allowed.contains(&dependency)
    };
    dependencies(&manifest).filter(|d| !may(d)).map(|d| format!("{name} may not depend on {d}")).collect()
}

/// The real names, also of renamed dependencies and of those of one platform only.
fn dependencies(manifest: &toml::Table) -> impl Iterator<Item = String> + '_ {
    let platforms = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|t| t.values());
    let tables = platforms.filter_map(toml::Value::as_table).chain([manifest]);
    let sections = tables.flat_map(|t| [t.get("dependencies"), t.get("build-dependencies")]).flatten();
    sections.filter_map(toml::Value::as_table).flatten().map(|(key, value)| {
        let package = value.get("package").and_then(toml::Value::as_str);
        package.unwrap_or(key).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_edge_is_caught() {
        for (name, dependencies, forbidden) in [
            ("app", "domain.workspace = true\ntokio.workspace = true", None),
            ("app", "store-embedded.workspace = true", Some("app may not depend on store-embedded")),
            ("rest", "memory = { path = '../memory' }", Some("rest may not depend on memory")),
            ("rest", "m = { package = 'memory', path = '../memory' }", Some("rest may not depend on memory")),
            ("records", "app.workspace = true", Some("records may not depend on app")),
            ("domain", "ulid.workspace = true\nthiserror.workspace = true", None),
            ("domain", "serde.workspace = true", Some("domain may not depend on serde")),
            ("domain", "tokio = '1'", Some("domain may not depend on tokio")),
            ("bench", "domain.workspace = true", Some("bench may not depend on domain")),
            ("server", "memory.workspace = true\nstore-embedded.workspace = true", None),
            ("extra", "", Some("extra has no place in the layers")),
        ] {
            let found = forbidden_edges(name, &format!("[dependencies]\n{dependencies}\n"));
            assert_eq!(found, forbidden.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}: {dependencies}");
        }
    }

    #[test]
    fn tests_may_use_anything_and_platforms_may_not() {
        assert_eq!(forbidden_edges("app", "[dev-dependencies]\nmemory = '1'\n"), [""; 0]);
        assert_eq!(forbidden_edges("app", "[target.'cfg(unix)'.dependencies]\nmemory = '1'\n"), ["app may not depend on memory"]);
        assert_eq!(forbidden_edges("app", "[build-dependencies]\nrest = '1'\n"), ["app may not depend on rest"]);
    }
}
