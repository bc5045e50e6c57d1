//! From the agents in the settings to those of a node.

use std::collections::BTreeMap;

use mnemosyne_agents::acp::{Budget, PermissionPolicy};
use mnemosyne_core::config::Settings;
use mnemosyne_core::config::elements::{AgentDefinition as Setting, AgentKind, PermissionWord, PromptPassing};

use crate::builtin::BuiltinAgent;
use crate::definition::{AcpAgent, AgentDefinition, CliAgent, HttpAgent, PromptBy};

/// The agents that can be run, those of kind `builtin` by these closures.
pub(super) fn definitions(
    settings: &Settings,
    builtin: &BTreeMap<String, BuiltinAgent>,
) -> BTreeMap<String, AgentDefinition> {
    let defined = settings.agents.iter();
    defined.filter_map(|(name, agent)| Some((name.clone(), definition(agent, builtin.get(name))?))).collect()
}

fn definition(agent: &Setting, builtin: Option<&BuiltinAgent>) -> Option<AgentDefinition> {
    match agent.kind {
        AgentKind::Cli => Some(AgentDefinition::Cli(cli(agent))),
        AgentKind::Http => Some(AgentDefinition::Http(http(agent))),
        AgentKind::Acp => Some(AgentDefinition::Acp(acp(agent))),
        AgentKind::Builtin => builtin.cloned().map(AgentDefinition::Builtin),
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

/// The settings were checked: an endpoint has an address and a model.
fn http(agent: &Setting) -> HttpAgent {
    HttpAgent {
        base_url: agent.base_url.clone().unwrap_or_default(),
        model: agent.model.clone().unwrap_or_default(),
        system: agent.system.clone(),
        temperature: agent.temperature,
        max_tokens: agent.max_tokens,
        api_key_env: agent.api_key_env.clone(),
        headers_env: agent.headers_env.clone(),
    }
}

fn acp(agent: &Setting) -> AcpAgent {
    let usual = Budget::default();
    AcpAgent {
        command: agent.argv(&agent.command),
        permissions: match agent.permissions {
            PermissionWord::Ask => PermissionPolicy::Ask,
            PermissionWord::Allow => PermissionPolicy::Allow,
            PermissionWord::Reject => PermissionPolicy::Reject,
        },
        budget: Budget {
            turns_max: agent.turns_max.unwrap_or(usual.turns_max),
            tool_calls_max: agent.tool_calls_max.unwrap_or(usual.tool_calls_max),
        },
        auth_method: agent.auth_method.clone(),
        env_allow: agent.env_allow.clone(),
    }
}
