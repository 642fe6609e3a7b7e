//! Rust for the `.proto` files, without protoc: what is committed is what this makes.

use prost::Message;
use std::fs;

/// Where it is, in each crate that has some.
pub const DIRECTORY: &str = "/src/generated/";

const CRATE: &str = "crates/catalog-grpc";
const FILES: &[&str] = &["book/v1/book.proto", "cartwright/catalog/v1/catalog.proto"];
/// The same as a protobuf message, for clients that ask what a server knows.
const DESCRIPTORS: &str = "descriptors.bin";

/// Every generated file: its path from the root, and what is in it.
///
/// # Errors
/// What is wrong with the `.proto` files.
pub fn generated() -> Result<Vec<(String, Vec<u8>)>, String> {
    let path = |name: &str| format!("{CRATE}{DIRECTORY}{name}");
    let mut descriptors = protox::compile(FILES, [crate::root().join(CRATE).join("proto")]).map_err(|e| e.to_string())?;
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    tonic_prost_build::configure().out_dir(made.path()).compile_fds(descriptors.clone()).map_err(|e| e.to_string())?;
    let mut files = Vec::new();
    for entry in fs::read_dir(made.path()).map_err(|e| e.to_string())?.flatten() {
        let text = fs::read(entry.path()).map_err(|e| e.to_string())?;
        files.push((path(&entry.file_name().to_string_lossy()), text));
    }
    // Where everything stands in its source is of no use at run time.
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    files.push((path(DESCRIPTORS), descriptors.encode_to_vec()));
    files.sort();
    Ok(files)
}
