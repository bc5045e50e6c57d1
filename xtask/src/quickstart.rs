//! Runs the README's first plan with the binary that the tests have just built.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// The command of the README that runs the first plan; tidy holds the README to it.
pub(crate) const QUICKSTART_COMMAND: &str =
    "cargo run --package mnemosyne -- run examples/quickstart.yaml && cat examples/out/report.txt";
const PLAN: &str = "examples/quickstart.yaml";
const REPORT: &str = "examples/out/report.txt";

/// Runs the plan in a data directory below the target folder, which is removed again.
pub(crate) fn run(root: &Path) -> Result<()> {
    let target = workspace::target_folder(root)?;
    let data = target.join("tmp").join(format!("quickstart-{}", std::process::id()));
    let ran = Command::new(target.join("debug/mnemosyne"))
        .arg("--data-dir")
        .arg(&data)
        .args(["run", "--new", PLAN])
        .current_dir(root)
        .output()
        .context("cannot run the binary; `cargo build --package mnemosyne` makes it")?;
    if !ran.status.success() {
        bail!("{PLAN} failed ({}):\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    }
    let report =
        std::fs::read_to_string(root.join(REPORT)).with_context(|| format!("{PLAN} left no {REPORT}"))?;
    ensure!(report.contains("Most frequent word"), "{REPORT} is not what it should be:\n{report}");
    std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
}
