//! How the agents of a node are called, by their kinds.

use mnemosyne_agents::acp::{Budget, PermissionPolicy};
use mnemosyne_core::config::elements::Dialect;
use mnemosyne_core::view::Order;
use std::collections::BTreeMap;

use crate::builtin::BuiltinAgent;

/// The definition of an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentDefinition {
    /// A program that is called once for each attempt.
    Cli(CliAgent),
    /// A chat endpoint that is asked once for each attempt.
    Http(HttpAgent),
    /// A program that is talked to.
    Acp(AcpAgent),
    /// A closure of the program in which the node runs.
    Builtin(BuiltinAgent),
}

/// An agent of kind `http`: an endpoint that speaks OpenAI chat completions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAgent {
    /// Its address, without `/chat/completions`.
    pub base_url: String,
    /// The model that is asked for.
    pub model: String,
    /// The instruction before every prompt.
    pub system: Option<String>,
    /// How much chance there is in the answers.
    pub temperature: Option<f64>,
    /// Tokens that an answer may have.
    pub max_tokens: Option<u32>,
    /// The environment variable of this process that holds the key.
    pub api_key_env: Option<String>,
    /// Further headers, each with the environment variable of this process that holds its value.
    pub headers_env: BTreeMap<String, String>,
}

/// An agent of kind `cli`: a program that is called once for each attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CliAgent {
    /// Program and arguments; `{prompt}`, `{prompt_file}` and `{session}` are replaced.
    pub command: Vec<String>,
    /// The same for taking up a conversation again, named by `{session}`; empty when it cannot.
    pub resume: Vec<String>,
    /// How its output is read.
    pub dialect: Dialect,
    /// How the prompt is handed over.
    pub prompt: PromptBy,
    /// Names of environment variables it gets beside the usual ones.
    pub env_allow: Vec<String>,
}

impl CliAgent {
    /// Whether it takes up a conversation again in an attempt.
    pub(crate) fn goes_on(&self, order: &Order) -> bool {
        order.resume.is_some() && !self.resume.is_empty()
    }
}

/// An agent of kind `acp`: a program that speaks the Agent Client Protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcpAgent {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What is done when it asks for permission.
    pub permissions: PermissionPolicy,
    /// How much it may do in one attempt.
    pub budget: Budget,
    /// How to log in when it asks for that.
    pub auth_method: Option<String>,
    /// Names of environment variables it gets beside the usual ones.
    pub env_allow: Vec<String>,
}

/// How a prompt is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptBy {
    /// On standard input, which is closed afterwards.
    #[default]
    Stdin,
    /// In place of `{prompt}` in an argument, or as the last argument after `--`.
    Argument,
    /// As a file whose path replaces `{prompt_file}`.
    File,
}
