//! From an order to what the endpoint is asked.

use std::io;
use std::path::Path;

use mnemosyne_agents::chat::{ChatEndpoint, ChatTimeouts, Secret};
use mnemosyne_core::text::name;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::task::Workspace;

use crate::definition::HttpAgent;
use crate::in_process::asked;
use crate::process::ProcessRunner;
use crate::process::prepare::{of_work, settled};
use crate::worth::login;

/// What is asked, and whom.
pub(super) struct Question {
    pub(super) endpoint: ChatEndpoint,
    pub(super) prompt: String,
}

/// Reads what is to be asked, or says what it means that nothing can be.
///
/// # Errors
/// When there is too little of something just now.
pub(super) async fn prepare(
    agent: &HttpAgent,
    order: &Order,
    dir: &Path,
    processes: &ProcessRunner,
) -> io::Result<Result<Question, AttemptResult>> {
    let endpoint = match endpoint(agent, &|variable| std::env::var(variable).ok()) {
        Ok(endpoint) => endpoint,
        Err(message) => return Ok(Err(login(order, message))),
    };
    let asked = asked(processes, order, dir, "an endpoint").await;
    settled(asked.and_then(|asked| match asked.task.workspace {
        // Who reviews what others did there is told all it needs.
        Workspace::Worktree if order.step.is_none() => Err(of_work(
            "an endpoint works in no folder, and the item asks for a worktree; write `workspace: none`",
        )),
        _ => Ok(Question { endpoint, prompt: asked.prompt }),
    }))
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
