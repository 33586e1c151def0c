//! Tests of the whole of `beckn/`: published samples, real bodies, every type at every path.
//!
//! What is under `../shared` is other people's text: it is read where it lies, and a test that
//! does not find it says so.

mod corpus;
mod generated;
mod readings;
pub(crate) mod seeds;
mod wire_types;

use std::path::PathBuf;

/// Returns a path under `../shared`, or `None` with a word about it when it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}
