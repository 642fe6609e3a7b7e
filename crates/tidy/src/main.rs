//! `cargo run -p tidy -- gen` writes what is generated and committed.
#![expect(clippy::print_stderr, reason = "a command speaks to its user")]

use std::process::ExitCode;
use tidy::{OPENAPI_JSON, OPENAPI_YAML, openapi_json, protobuf, root};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("gen") {
        eprintln!("usage: tidy gen");
        return ExitCode::FAILURE;
    }
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), String> {
    let yaml = std::fs::read_to_string(root().join(OPENAPI_YAML)).map_err(|e| e.to_string())?;
    std::fs::write(root().join(OPENAPI_JSON), openapi_json(&yaml)?).map_err(|e| e.to_string())?;
    for (path, bytes) in protobuf::generated()? {
        std::fs::write(root().join(path), bytes).map_err(|e| e.to_string())?;
    }
    Ok(())
}
