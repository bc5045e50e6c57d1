//! From an order to what the endpoint is asked.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use mnemosyne_agents::chat::{ChatEndpoint, ChatTimeouts, Secret};
use mnemosyne_core::plan::expand_outputs;
use mnemosyne_core::text::name;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};
use mnemosyne_core::work::task::{Action, TaskSpec, Workspace};
use serde_json::Value;

use super::interrupted;
use crate::context::told;
use crate::definition::HttpAgent;
use crate::fault::{in_full, passing};
use crate::process::{OutputsBefore, ProcessOptions};
use crate::stores::{PayloadError, Payloads};
use crate::worth::login;

/// What is asked, and whom.
pub(super) struct Question {
    pub(super) endpoint: ChatEndpoint,
    pub(super) prompt: String,
}

/// Why nothing can be asked.
pub(super) enum Unasked {
    /// The attempt is over.
    Over(AttemptResult),
    /// There is too little of something just now.
    Machine(io::Error),
}

/// Reads what is to be asked, with the outputs of the items before put into it.
pub(super) async fn prepare(
    agent: &HttpAgent,
    order: &Order,
    (options, dir): (&ProcessOptions, &Path),
    payloads: &Payloads,
    outputs: &dyn OutputsBefore,
) -> Result<Question, Unasked> {
    let endpoint = endpoint(agent, &|variable| std::env::var(variable).ok());
    let endpoint = endpoint.map_err(|message| Unasked::Over(login(order, message)))?;
    let task: TaskSpec = payloads.decode(&order.task).map_err(|error| of_payload(&error))?;
    if task.workspace == Workspace::Worktree {
        return Err(wrong(
            "an endpoint works in no folder, and the item asks for a worktree; write `workspace: none`",
        ));
    }
    let Action::Prompt(template) = &task.action else {
        return Err(wrong("an endpoint is given a prompt, and the item has a command"));
    };
    let mut known = BTreeMap::new();
    let before = outputs.outputs_before(order.item).await;
    for (item, payload) in before.map_err(|error| Unasked::Over(interrupted(error)))? {
        let bytes = payloads.get(&payload).map_err(|error| of_payload(&error))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error.to_string()))?;
        known.insert(item.into_string(), value);
    }
    let prompt = expand_outputs(template, &|item| known.get(item));
    let prompt = prompt.map_err(|error| wrong(&format!("in prompt: {error}")))?;
    let run = payloads.decode(&order.context).map_err(|error| of_payload(&error))?;
    let prompt = told(order, &prompt, &run, options, payloads, dir).map_err(|error| of_payload(&error))?;
    Ok(Question { endpoint, prompt })
}

/// The endpoint of an agent, with what `variable` says that the environment holds.
fn endpoint(agent: &HttpAgent, variable: &dyn Fn(&str) -> Option<String>) -> Result<ChatEndpoint, Box<str>> {
    let secret = |name: &String| {
        let value = variable(name).filter(|value| !value.trim().is_empty());
        value.map(|value| Secret::new(&value)).ok_or_else(|| no_secret(name))
    };
    let headers = agent.headers_env.iter();
    let headers = headers.map(|(header, variable)| Ok((header.clone(), secret(variable)?)));
    Ok(ChatEndpoint {
        base_url: agent.base_url.clone(),
        model: agent.model.clone(),
        system: agent.system.clone(),
        temperature: agent.temperature,
        max_tokens: agent.max_tokens,
        key: agent.api_key_env.as_ref().map(secret).transpose()?,
        key_variable: agent.api_key_env.clone(),
        headers: headers.collect::<Result<_, Box<str>>>()?,
        timeouts: ChatTimeouts::default(),
    })
}

/// The environment of a process does not change, so this stays so until the next node.
fn no_secret(variable: &str) -> Box<str> {
    let variable = name(variable);
    format!(
        "the environment of the node has no {variable}, which the agent needs; set it and start the node anew"
    )
    .into()
}

fn of_payload(error: &PayloadError) -> Unasked {
    match passing(error) {
        Some(error) => Unasked::Machine(error),
        None => wrong(&in_full(error)),
    }
}

/// A fault of the work: trying again would not help.
fn wrong(problem: &str) -> Unasked {
    Unasked::Over(AttemptResult::Failed { fault: Fault::Spawn, message: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> HttpAgent {
        HttpAgent {
            base_url: "http://localhost/v1".to_owned(),
            model: "small".to_owned(),
            api_key_env: Some("THE_KEY".to_owned()),
            headers_env: [("x-org".to_owned(), "THE_ORG".to_owned())].into(),
            ..HttpAgent::default()
        }
    }

    #[test]
    fn keys_come_from_the_environment() {
        let known = |name: &str| (name != "ABSENT").then(|| format!("value of {name}\n"));
        let endpoint = endpoint(&agent(), &known).expect("all are there");
        assert_eq!(endpoint.key, Some(Secret::new("value of THE_KEY")));
        assert_eq!(endpoint.headers, [("x-org".to_owned(), Secret::new("value of THE_ORG"))]);
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        for missing in ["THE_KEY", "THE_ORG"] {
            let known = |name: &str| Some(if name == missing { " " } else { "x" }.to_owned());
            let refused = endpoint(&agent(), &known).expect_err("one is missing");
            assert!(refused.contains(missing), "{refused}");
        }
    }
}
