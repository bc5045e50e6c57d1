//! What can serve items: agents with their capabilities, nodes with their labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::role::AgentRole;
use crate::text::join;
use crate::work::spec::Demand;

/// Everything that a plan can be checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Agents that are defined, in the order of their definition.
    pub agents: Vec<AgentOffer>,
    /// Nodes of the cluster; `None` when they are not known, so that a label
    /// may yet be found on one.
    pub nodes: Option<Vec<NodeOffer>>,
}

/// An agent that is defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentOffer {
    /// Its name.
    pub name: String,
    /// Its pool.
    pub role: AgentRole,
    /// Its capabilities; each may have several words.
    pub capabilities: BTreeMap<String, BTreeSet<String>>,
    /// Its kind, when this version cannot run agents of that kind.
    pub not_run: Option<&'static str>,
    /// Whether it works in a folder; an endpoint does not.
    pub in_folder: bool,
}

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOffer {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether a demand can be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// By at least one agent and node.
    Met,
    /// Not by an agent; perhaps by a node that is not known.
    Unknown(String),
    /// By none; the text says what there is instead.
    Unmet(String),
}

impl Offers {
    /// The agent of a name.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&AgentOffer> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    /// The agents that this version can run.
    pub fn runnable(&self) -> impl Iterator<Item = &AgentOffer> {
        self.agents.iter().filter(|agent| agent.not_run.is_none())
    }

    /// Whether a demand can be met by one of its agents on one node.
    #[must_use]
    pub fn meet(&self, demand: &Demand) -> Match {
        let agents: Vec<Option<&AgentOffer>> = match demand.agents.as_slice() {
            [] => vec![None],
            names => names.iter().filter_map(|name| self.agent(name)).map(Some).collect(),
        };
        let mut lacking = BTreeSet::new();
        for agent in agents {
            let open: Vec<(&str, &str)> = demand
                .requires
                .iter()
                .filter(|(key, word)| !agent.is_some_and(|agent| agent.has(key, word)))
                .map(|(key, word)| (&**key, &**word))
                .collect();
            let labelled = |node: &NodeOffer| {
                open.iter().all(|(key, word)| node.labels.get(*key).is_some_and(|label| label == word))
            };
            if open.is_empty() || self.nodes.iter().flatten().any(labelled) {
                return Match::Met;
            }
            lacking.extend(open);
        }
        let text = self.instead(&lacking);
        if self.nodes.is_none() { Match::Unknown(text) } else { Match::Unmet(text) }
    }

    /// What there is of the capabilities that are lacking.
    fn instead(&self, lacking: &BTreeSet<(&str, &str)>) -> String {
        let keys: BTreeSet<&str> = lacking.iter().map(|(key, _)| *key).collect();
        let mut lines = Vec::new();
        for key in keys {
            let mut words: BTreeSet<&str> = BTreeSet::new();
            let of_agents = self.agents.iter().filter_map(|agent| agent.capabilities.get(key)).flatten();
            words.extend(of_agents.map(String::as_str));
            let of_nodes = self.nodes.iter().flatten().filter_map(|node| node.labels.get(key));
            words.extend(of_nodes.map(String::as_str));
            lines.push(if words.is_empty() {
                format!("nothing offers {}", join([key]))
            } else {
                format!("{} is offered as {}", join([key]), join(words))
            });
        }
        lines.join("; ")
    }
}

impl AgentOffer {
    fn has(&self, key: &str, word: &str) -> bool {
        self.capabilities.get(key).is_some_and(|words| words.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(nodes: Option<&[(&str, &str)]>) -> Offers {
        let node = |(key, word): &(&str, &str)| NodeOffer {
            name: "n1".into(),
            labels: BTreeMap::from([((*key).into(), (*word).into())]),
        };
        Offers {
            agents: vec![AgentOffer {
                name: "claude".into(),
                role: AgentRole::Executor,
                not_run: None,
                in_folder: true,
                capabilities: BTreeMap::from([("lang".into(), BTreeSet::from(["go".into(), "rust".into()]))]),
            }],
            nodes: nodes.map(|labels| labels.iter().map(node).collect()),
        }
    }

    fn demand(agents: &[&str], requires: &[(&str, &str)]) -> Demand {
        Demand {
            agents: agents.iter().map(|name| Box::from(*name)).collect(),
            requires: requires.iter().map(|(key, word)| (Box::from(*key), Box::from(*word))).collect(),
            ..Demand::default()
        }
    }

    #[test]
    fn agents_and_nodes_meet_a_demand_together() {
        let offers = offers(Some(&[("gpu", "a100")]));
        assert_eq!(offers.meet(&demand(&["claude"], &[("lang", "rust"), ("gpu", "a100")])), Match::Met);
        assert_eq!(offers.meet(&demand(&[], &[("gpu", "a100")])), Match::Met);
        let unmet = offers.meet(&demand(&["claude"], &[("lang", "cobol"), ("os", "mac")]));
        assert_eq!(unmet, Match::Unmet("`lang` is offered as `go`, `rust`; nothing offers `os`".into()));
    }

    #[test]
    fn unknown_nodes_may_still_have_a_label() {
        assert!(matches!(offers(None).meet(&demand(&[], &[("gpu", "a100")])), Match::Unknown(_)));
    }
}
