//! `cargo xtask check`: everything that must pass, in the order of how fast it fails.

use anyhow::Result;
use clap::Args;

use crate::quickstart;
use crate::sim::PLANTED_COMMAND;
use crate::steps::Steps;
use crate::tidy;
use crate::workspace;

/// The command of the README that runs all tests; tidy holds the README to it.
pub(crate) const TEST_COMMAND: &str = "cargo test --workspace";
const FORMAT_COMMAND: &str = "cargo fmt --all --check";
/// With the feature that is off by default, so that what it switches on is looked at, too.
const LINT_COMMAND: &str = "cargo clippy --workspace --all-targets --features xtask/bench,mnemosyne-sim/planted --quiet -- -D warnings";

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Leave the tests out
    #[arg(long)]
    no_tests: bool,
}

impl Check {
    pub(crate) fn run(&self) -> Result<()> {
        let root = workspace::root();
        let mut steps = Steps::default();
        steps.command(&root, FORMAT_COMMAND)?;
        steps.step("cargo xtask tidy", || tidy::check(&root))?;
        steps.command(&root, LINT_COMMAND)?;
        if !self.no_tests {
            steps.command(&root, TEST_COMMAND)?;
            steps.command(&root, PLANTED_COMMAND)?;
            steps.step("the README's quickstart", || quickstart::run(&root))?;
        }
        steps.sum_up();
        Ok(())
    }
}
