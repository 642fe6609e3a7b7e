//! House rules that a compiler does not know. Each is a function from text to what is wrong with it, so
//! that it can be shown to catch what it is for; `tests/tidy.rs` runs them all over the workspace.

pub mod docs;
pub mod layers;
pub mod protobuf;
pub mod source;

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours to read.
const SKIPPED: &[&str] = &["target", ".git", "data", "node_modules"];

/// The workspace's own directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("invariant: the crate is in the workspace")
}

/// A text file with its path from the root.
#[derive(Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// Every text file of the workspace whose name ends in one of `endings`, by path.
pub fn files(endings: &[&str]) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("invariant: the workspace can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                waiting.push(path);
            } else if path.is_file() && endings.iter().any(|e| name.ends_with(e)) {
                let text = fs::read_to_string(&path).expect("invariant: our text files are UTF-8");
                let path = path.strip_prefix(&root).expect("invariant: below the root").to_string_lossy().into_owned();
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Names of the workspace's crates.
pub fn crates() -> Vec<String> {
    let manifests = files(&["Cargo.toml"]);
    let name = |f: &File| Some(f.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?.to_owned());
    manifests.iter().filter_map(name).collect()
}

/// Where the description of the API is, as people write it and as machines read it.
pub const OPENAPI_YAML: &str = "openapi.yaml";
pub const OPENAPI_JSON: &str = "crates/rest/openapi.json";

/// The description as minified JSON, its keys in the order they were written.
///
/// # Errors
/// What is wrong with the YAML.
pub fn openapi_json(yaml: &str) -> Result<String, String> {
    let document: serde_norway::Value = serde_norway::from_str(yaml).map_err(|e| e.to_string())?;
    serde_json::to_string(&document).map(|json| json + "\n").map_err(|e| e.to_string())
}
