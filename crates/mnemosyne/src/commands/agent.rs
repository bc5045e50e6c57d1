//! `mnemosyne agent`.

use clap::Subcommand;

use super::agent_ls::AgentLs;
use super::agent_test::AgentTest;
use crate::cli::{Globals, looking};
use crate::examples;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents that are configured, what is known of their work, and what those of the node do
    #[command(after_help = examples::AGENT_LS)]
    Ls(AgentLs),
    /// Give an agent a small task, and say what was understood of what it did
    #[command(after_help = examples::AGENT_TEST)]
    Test(AgentTest),
}

impl Agent {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        match self {
            Self::Ls(command) => looking(|| command.clone().run(globals)).await,
            Self::Test(command) => command.run(globals).await,
        }
    }
}
