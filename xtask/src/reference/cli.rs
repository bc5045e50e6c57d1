//! The page of all commands, which the program prints itself: nobody else knows its command line.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// The page; builds the program first, when it is not current.
pub(super) fn page() -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--locked", "--package", "mnemosyne", "--", "reference"]);
    let printed = cargo.current_dir(workspace::root()).output().context("cannot run cargo")?;
    let words = String::from_utf8_lossy(&printed.stderr);
    ensure!(printed.status.success(), "the program cannot be built to print its commands:\n{words}");
    String::from_utf8(printed.stdout).context("the page of commands is not UTF-8")
}
