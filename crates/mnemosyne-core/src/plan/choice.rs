//! Which agents may do an item that has a prompt: they must be defined, run by this version, and of one pool.

use crate::plan::model::{Item, Placed};
use crate::plan::offer::{AgentOffer, Match, Offers};
use crate::role::AgentRole;
use crate::text::{Finding, Findings, Location, did_you_mean, join, name};
use crate::work::spec::Demand;
use crate::work::task::Workspace;

/// The agents that an item names, as they are read.
pub(crate) struct Choice<'a> {
    item: &'a str,
    /// The pool that the plan asks for.
    asked: Option<AgentRole>,
    offers: Option<&'a Offers>,
    agents: Vec<Box<str>>,
    /// The pool of the first agent that can do it.
    found: Option<AgentRole>,
    /// Agents that this version cannot run, with what is said about them.
    refused: Vec<(Location, String, String)>,
}

impl<'a> Choice<'a> {
    /// Nobody so far.
    pub(crate) fn new(item: &'a str, asked: Option<AgentRole>, offers: Option<&'a Offers>) -> Self {
        Self { item, asked, offers, agents: Vec::new(), found: None, refused: Vec::new() }
    }

    /// Takes the next agent in order of preference.
    pub(crate) fn add(&mut self, agent: &str, at: Location, findings: &mut Findings) {
        if self.agents.iter().any(|known| &**known == agent) {
            return;
        }
        let Some(offers) = self.offers else {
            self.agents.push(agent.into());
            return;
        };
        match offers.agent(agent) {
            None => self.unknown(agent, at, offers, findings),
            Some(offer) => match offer.not_run {
                Some(kind) => self.refuse(agent, kind, at, offers),
                None => self.take(offer, at, findings),
            },
        }
    }

    /// Puts the agents and their pool into the demand. That one of several agents cannot be run is a warning; that
    /// none can is an error.
    pub(crate) fn settle(self, demand: &mut Demand, findings: &mut Findings) {
        for (at, message, help) in self.refused {
            let finding = if self.agents.is_empty() {
                Finding::error("plan/not-supported", message)
            } else {
                Finding::warning("plan/not-supported", format!("{message}; the others are taken"))
            };
            findings.push(finding.at(at).help(help));
        }
        demand.role = self.asked.or(self.found).unwrap_or_default();
        demand.agents = self.agents;
    }

    fn take(&mut self, offer: &AgentOffer, at: Location, findings: &mut Findings) {
        let pool = *self.found.get_or_insert(offer.role);
        self.agents.push(offer.name.as_str().into());
        let agent = name(&offer.name);
        match self.asked {
            Some(asked) if asked != offer.role => findings.push(
                Finding::error(
                    "plan/role",
                    format!(
                        "{} asks for role `{asked}`, and the agent {agent} has role `{}`",
                        name(self.item),
                        offer.role
                    ),
                )
                .at(at)
                .help(format!(
                    "remove `role` from the item, or set role = \"{asked}\" in [agents.{}] of mnemosyne.toml",
                    offer.name
                )),
            ),
            None if pool != offer.role => findings.push(
                Finding::error(
                    "plan/role",
                    format!(
                        "the agents of {} have different roles: {agent} has role `{}`, the first one `{pool}`",
                        name(self.item),
                        offer.role
                    ),
                )
                .at(at)
                .help("name agents of one role, or make two items of it"),
            ),
            _ => {}
        }
    }

    fn refuse(&mut self, agent: &str, kind: &str, at: Location, offers: &Offers) {
        let message = format!(
            "{} would go to the agent {}, which is of kind `{kind}`: only a program that embeds a node runs those",
            name(self.item),
            name(agent)
        );
        let runnable: Vec<&str> = offers.runnable().map(|offer| offer.name.as_str()).collect();
        let help = if runnable.is_empty() {
            format!(
                "define an agent of kind `cli`, or set kind = \"cli\" and a command in [agents.{agent}] of mnemosyne.toml"
            )
        } else {
            format!("take one of kind `cli`: {}", join(runnable))
        };
        self.refused.push((at, message, help));
    }

    fn unknown(&self, agent: &str, at: Location, offers: &Offers, findings: &mut Findings) {
        if findings.is_full() {
            return;
        }
        let known = || offers.agents.iter().map(|agent| agent.name.as_str());
        let help = did_you_mean(agent, known()).unwrap_or_else(|| {
            if offers.agents.is_empty() {
                format!(
                    "define it as [agents.{agent}] in mnemosyne.toml; `mnemosyne init` finds installed agents"
                )
            } else {
                format!("defined are {}", join(known()))
            }
        });
        let message = format!("there is no agent {}", name(agent));
        findings.push(Finding::error("plan/unknown-agent", message).at(at).help(help));
    }
}

/// Those of the default agents that can meet a demand; when none can, all of its role that this version runs, so that
/// the refusal of the demand names them.
pub(crate) fn able(defaults: &[String], demand: &Demand, offers: Option<&Offers>) -> Vec<Box<str>> {
    let boxed = |names: &mut dyn Iterator<Item = &String>| names.map(|name| Box::from(name.as_str())).collect();
    let Some(offers) = offers else {
        return boxed(&mut defaults.iter());
    };
    let serves =
        |agent: &&String| offers.runnable().any(|offer| offer.name == **agent && offer.role == demand.role);
    let meets = |agent: &&String| {
        let alone = Demand { agents: vec![agent.as_str().into()], ..demand.clone() };
        offers.meet(&alone) == Match::Met
    };
    let able: Vec<Box<str>> = boxed(&mut defaults.iter().filter(serves).filter(meets));
    if able.is_empty() { boxed(&mut defaults.iter().filter(serves)) } else { able }
}

/// The refusal of a prompt that nobody can take.
pub(crate) fn no_agent(item: &Item, role: AgentRole, offers: Option<&Offers>) -> Finding {
    let item_name = name(&item.name.text);
    let agents = offers.map_or(&[][..], |offers| &offers.agents);
    let message = match agents {
        [] => format!("the item {item_name} has a prompt and no agent"),
        [only] if only.not_run.is_some() => format!(
            "{item_name} would go to the agent {}, which is of kind `{}`: only a program that embeds a node runs those",
            name(&only.name),
            only.not_run.unwrap_or_default()
        ),
        _ if agents.iter().all(|agent| agent.not_run.is_some()) => {
            format!("the item {item_name} has a prompt, and no agent is of a kind that this version runs")
        }
        _ => {
            format!("the item {item_name} has a prompt, and no agent that this version runs has role `{role}`")
        }
    };
    Finding::error("plan/no-agent", message).at(item.name.at).help(
        "name one of kind `cli`: `agent: claude` at the item or under `defaults`, defined as [agents.claude] in mnemosyne.toml",
    )
}

/// The refusal of a worktree for somebody who works in no folder.
pub(crate) fn no_folder(
    item: &Item,
    workspace: Option<Placed<Workspace>>,
    demand: &Demand,
    offers: Option<&Offers>,
) -> Option<Finding> {
    let asked = workspace.filter(|workspace| workspace.value == Workspace::Worktree)?;
    let mut agents = demand.agents.iter().filter_map(|agent| offers?.agent(agent));
    let agent = agents.find(|agent| !agent.in_folder)?;
    let (item, agent) = (name(&item.name.text), name(&agent.name));
    let message =
        format!("{item} asks for a worktree, and the agent {agent} is an endpoint, which works in no folder");
    let help = "write `workspace: none` at the item, or take an agent of kind `cli` or `acp`";
    Some(Finding::error("plan/workspace", message).at(asked.at).help(help))
}
