//! `mnemosyne agent`.

use clap::Subcommand;

use super::agent_test::AgentTest;
use crate::cli::Globals;
use crate::examples;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Give an agent a small task, and say what was understood of what it did
    #[command(after_help = examples::AGENT_TEST)]
    Test(AgentTest),
}

impl Agent {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        match self {
            Self::Test(command) => command.run(globals).await,
        }
    }
}
