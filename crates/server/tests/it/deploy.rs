//! What describes a store at scale in containers says what the programs understand. No container is started.

use crate::shop::{binary, dir};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn compose() -> Value {
    let text = std::fs::read_to_string(folder().join("compose.yaml")).expect("a file");
    let mut yaml: serde_norway::Value = serde_norway::from_str(&text).expect("YAML");
    yaml.apply_merge().expect("merges");
    serde_json::to_value(yaml).expect("as JSON")
}

/// A text with something in place of each `${NAME:?}`.
fn filled(text: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |filled, part| {
        let (name, rest) = part.split_once('}').expect("closed");
        let value = if name.starts_with("WEBHOOK") { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } else { "a-password" };
        assert!(name.ends_with(":?"), "{name}: without it nothing should start");
        filled + value + rest
    })
}

#[test]
fn the_containers_nodes_are_configured_as_the_program_wants_it() {
    let (compose, dir) = (compose(), dir());
    for node in ["node-1", "node-2", "node-3"] {
        let settings = compose["services"][node]["environment"].as_object().expect("settings");
        let settings = settings.iter().map(|(name, value)| (name.as_str(), filled(value.as_str().expect("text"))));
        let mut token = Command::new(binary());
        token.env_clear().envs(settings).env("CARTWRIGHT_TOKEN_KEY", dir.path().join("key"));
        let told = token.args(["token", "--sub", "root", "--role", "admin"]).output().expect("it runs");
        assert!(told.status.success(), "{node}: {}", String::from_utf8_lossy(&told.stderr));
    }
}

#[test]
fn everything_the_containers_name_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services {
        assert!(service["image"].is_string(), "{name}");
        let needed: Vec<&str> = match &service["depends_on"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::Object(names) => names.keys().map(String::as_str).collect(),
            _ => vec![],
        };
        for needed in needed {
            assert!(services.contains_key(needed), "{name} needs {needed}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let from = volume.split(':').next().expect("a source");
            let known = if from.starts_with('.') { folder().join(from).exists() } else { compose["volumes"].get(from).is_some() };
            assert!(known, "{name}: {volume}");
        }
    }
}

#[test]
fn the_containers_balancer_does_what_that_of_dev_does() {
    let script = folder().join("../dev");
    let nodes = ["node-1:8080", "node-2:8080", "node-3:8080"];
    let ours = Command::new(script).args(["balancer", "8080"]).args(nodes).output().expect("./dev runs").stdout;
    let theirs = std::fs::read_to_string(folder().join("haproxy.cfg")).expect("a file");
    // Names are resolved as containers come and go; all else is the same.
    let plain = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let own = ["resolvers containers", "nameserver engine", "hold valid", "bind"];
        let lines = lines.filter(|line| !own.iter().any(|own| line.starts_with(own)));
        lines.map(|line| line.replace(" resolvers containers init-addr last,libc,none", "")).collect()
    };
    assert_eq!(plain(&theirs), plain(&String::from_utf8_lossy(&ours)));
}
