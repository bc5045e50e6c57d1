//! `cargo xtask fix`: lets the tools mend what they can.

use anyhow::Result;
use clap::Args;

use crate::reference;
use crate::steps::Steps;
use crate::workspace;

/// It may run on uncommitted work, since that is when it is needed.
const LINT_COMMAND: &str = "cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged --quiet";
const FORMAT_COMMAND: &str = "cargo fmt --all";

#[derive(Debug, Args)]
pub(crate) struct Fix {}

impl Fix {
    pub(crate) fn run(&self) -> Result<()> {
        let root = workspace::root();
        let mut steps = Steps::default();
        steps.command(&root, LINT_COMMAND)?;
        steps.command(&root, FORMAT_COMMAND)?;
        steps.step("cargo xtask gen", || reference::write(&root))?;
        steps.sum_up();
        Ok(())
    }
}
