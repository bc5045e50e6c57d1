//! From the agents in the settings to those of a node.

use std::collections::BTreeMap;

use mnemosyne_core::config::Settings;
use mnemosyne_core::config::elements::{AgentDefinition as Setting, AgentKind, PromptPassing};
use mnemosyne_node::{AgentDefinition, CliAgent, PromptBy};

/// The agents that this version can run.
pub(crate) fn definitions(settings: &Settings) -> BTreeMap<String, AgentDefinition> {
    let defined = settings.agents.iter().filter_map(|(name, agent)| Some((name.clone(), definition(agent)?)));
    defined.collect()
}

fn definition(agent: &Setting) -> Option<AgentDefinition> {
    match agent.kind {
        AgentKind::Cli => Some(AgentDefinition::Cli(cli(agent))),
        AgentKind::Acp | AgentKind::Http | AgentKind::Builtin => None,
    }
}

fn cli(agent: &Setting) -> CliAgent {
    CliAgent {
        command: agent.argv(&agent.command),
        resume: agent.argv(&agent.resume),
        dialect: agent.dialect,
        prompt: match agent.prompt {
            PromptPassing::Stdin => PromptBy::Stdin,
            PromptPassing::Arg => PromptBy::Argument,
            PromptPassing::File => PromptBy::File,
        },
        env_allow: agent.env_allow.clone(),
    }
}
