//! Libraries that are loaded into a program in front of that of the system, so that it sees another machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The library that is made of a source file in this folder.
pub(super) fn library(source: &'static str) -> PathBuf {
    static LIBRARIES: Mutex<BTreeMap<&str, (tempfile::TempDir, PathBuf)>> = Mutex::new(BTreeMap::new());
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    libraries.entry(source).or_insert_with(|| compiled(source)).1.clone()
}

fn compiled(source: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = folder.path().join("preloaded.so");
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support")).join(source);
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    let compiled = compiled.expect("there is a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    (folder, library)
}
