//! A prompt in place of a plan: `-p TEXT` becomes a plan of one item, in which the text is what it is and never a
//! template.

use mnemosyne_core::config::Settings;
use mnemosyne_core::plan::limits::AGENTS_PER_ITEM_MAX;
use mnemosyne_core::plan::{AgentOffer, Offers, Template};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::text::{Report, did_you_mean, join, name};
use serde_json::json;

use crate::failure::Failure;
use crate::output::say;
use crate::protocol;
use crate::setup::program;

/// What a prompt is called in messages.
pub(crate) const SOURCE: &str = "-p";

/// The plan of a prompt, as JSON: one item, or the four phases from the prompt to what was asked for.
pub(crate) fn plan(
    prompt: &str,
    agent: Option<&str>,
    single: bool,
    settings: &Settings,
) -> Result<String, Failure> {
    if prompt.trim().is_empty() {
        return Err(Failure::usage("the prompt is empty; -p takes the text that an agent is to work on"));
    }
    let offers = program().offers(settings);
    let agents = match agent {
        Some(agent) => vec![named(agent, &offers)?],
        None => able(&offers)?,
    };
    let agents: Vec<String> = agents.into_iter().take(AGENTS_PER_ITEM_MAX).map(Template::literal).collect();
    if single {
        let item = json!({ "prompt": Template::literal(prompt), "agent": agents });
        return Ok(json!({ "version": 1, "name": "prompt", "items": { "prompt": item } }).to_string());
    }
    let reviewer = offers.runnable().find(|offer| offer.role == AgentRole::Reviewer);
    let reviewer = match (reviewer, agents.first()) {
        (Some(offer), _) => offer.name.clone(),
        (None, Some(agent)) => {
            say(format!("{agent} also reviews; an agent with role = \"reviewer\" would do it instead"));
            agent.clone()
        }
        (None, None) => return Err(Failure::usage(define())),
    };
    Ok(protocol::plan(prompt, &agents, &reviewer))
}

/// What is wrong with the plan of a prompt. Nobody has seen its lines, so none are shown.
pub(crate) fn without_places(mut report: Report) -> Report {
    for diagnostic in &mut report.diagnostics {
        (diagnostic.line, diagnostic.column, diagnostic.excerpt) = (None, None, None);
        diagnostic.related.clear();
    }
    report
}

/// Says to which of several agents work goes that names none.
pub(crate) fn say_choice(what: &str, agents: &[&str], way_out: &str) {
    if let [first, _, ..] = agents {
        say(format!("{what} to {first}, the first by name of {}; {way_out}", agents.join(", ")));
    }
}

/// The agent that is asked for, if it can be run.
fn named<'a>(agent: &str, offers: &'a Offers) -> Result<&'a str, Failure> {
    let runnable = || join(offers.runnable().map(|offer| offer.name.as_str()));
    match offers.agent(agent) {
        Some(AgentOffer { name, not_run: None, .. }) => Ok(name),
        Some(AgentOffer { not_run: Some(kind), .. }) => Err(Failure::usage(format!(
            "the agent {} is of kind `{kind}`: only a program that embeds a node runs those; {}",
            name(agent),
            if offers.runnable().next().is_some() { format!("take one of {}", runnable()) } else { define() }
        ))),
        None => {
            let known = || offers.agents.iter().map(|offer| offer.name.as_str());
            let help = did_you_mean(agent, known()).unwrap_or_else(|| {
                if offers.agents.is_empty() { define() } else { format!("defined are {}", join(known())) }
            });
            Err(Failure::usage(format!("there is no agent {}; {help}", name(agent))))
        }
    }
}

/// The agents that may take a prompt that names none: executors, or else those of the first one's role.
fn able(offers: &Offers) -> Result<Vec<&str>, Failure> {
    let is_executor = |offer: &&AgentOffer| offer.role == AgentRole::Executor;
    let first = offers.runnable().find(is_executor).or_else(|| offers.runnable().next());
    let Some(first) = first else {
        return Err(Failure::usage(if offers.agents.is_empty() {
            format!("no agent is defined that could take the prompt; {}", define())
        } else {
            let known = join(offers.agents.iter().map(|offer| offer.name.as_str()));
            format!("none of the agents {known} is of a kind that this version runs; {}", define())
        }));
    };
    let agents: Vec<&str> =
        offers.runnable().filter(|offer| offer.role == first.role).map(|offer| offer.name.as_str()).collect();
    say_choice("the prompt goes", &agents, "--agent names another one");
    Ok(agents)
}

fn define() -> String {
    "define one of kind `cli` as [agents.NAME] in mnemosyne.toml; `mnemosyne init` finds installed agents"
        .to_owned()
}
