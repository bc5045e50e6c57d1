//! Settings that items and `defaults` have in common.

use crate::plan::decode::{placed_text, text, text_map};
use crate::plan::model::{Limit, Placed, RetryWords, Review, Shared};
use crate::role::AgentRole;
use crate::text::{Fields, Finding, Findings, Key, Node, Value, name};
use crate::time::Span;
use crate::work::task::{Gate, Workspace};

/// Prefix of the environment variables that the program itself sets.
const RESERVED_PREFIX: &str = "MNEMOSYNE_";

/// Takes the shared words out of an item or of `defaults`.
pub(crate) fn decode(fields: &mut Fields, findings: &mut Findings) -> Shared {
    let mut timeouts = fields.take("timeouts").map(Node::into_fields).unwrap_or_default();
    let mut timeout = |word: &str| timeouts.take(word).as_ref().and_then(limit);
    Shared {
        queue_timeout: timeout("queue"),
        run_timeout: timeout("run"),
        idle_timeout: timeout("idle"),
        agent: fields.take("agent").map(agents),
        role: fields.take("role").and_then(|node| role(node.text()?)),
        priority: fields.take("priority").and_then(|node| u8::try_from(node.int()?).ok()),
        requires: capabilities(fields.take("requires"), findings),
        prefers: capabilities(fields.take("prefers"), findings),
        retry: fields.take("retry").map(|node| retry(node, findings)).unwrap_or_default(),
        deadline: fields.take("deadline").and_then(|node| Some(Placed { value: limit(&node)?, at: node.at })),
        delay: fields.take("delay").and_then(|node| Some(Placed { value: span(&node)?, at: node.at })),
        grace: fields.take("grace").as_ref().and_then(span),
        estimate: fields.take("estimate").as_ref().and_then(span),
        env: env(fields.take("env"), findings),
        workdir: placed_text(fields.take("workdir")),
        workspace: fields
            .take("workspace")
            .and_then(|node| Some(Placed { value: workspace(node.text()?)?, at: node.at })),
        soft_fail: fields.take("on_failure").and_then(|node| node.text().map(|word| word == "soft_fail")),
        review: fields.take("review").map(review),
    }
}

/// A duration; an integer fits only when it is 0.
pub(crate) fn span(node: &Node) -> Option<Span> {
    match &node.value {
        Value::Text(text) => Span::parse(text).ok(),
        Value::Int(0) => Some(Span::ZERO),
        _ => None,
    }
}

fn limit(node: &Node) -> Option<Limit> {
    if node.text() == Some("none") { Some(Limit::Lifted) } else { span(node).map(Limit::At) }
}

fn agents(node: Node) -> Placed<Vec<Placed<Box<str>>>> {
    let at = node.at;
    let value = match node.value {
        Value::List(elements) => elements.into_iter().filter_map(|node| placed_text(Some(node))).collect(),
        _ => placed_text(Some(node)).into_iter().collect(),
    };
    Placed { value, at }
}

fn role(word: &str) -> Option<AgentRole> {
    AgentRole::ALL.into_iter().find(|role| role.as_str() == word)
}

fn workspace(word: &str) -> Option<Workspace> {
    match word {
        "none" => Some(Workspace::None),
        "folder" => Some(Workspace::Folder),
        "worktree" => Some(Workspace::Worktree),
        _ => None,
    }
}

fn capabilities(
    node: Option<Node>,
    findings: &mut Findings,
) -> Option<Placed<std::collections::BTreeMap<Box<str>, Box<str>>>> {
    let node = node?;
    let at = node.at;
    let entries: Vec<_> =
        node.into_fields().into_iter().filter_map(|(key, node)| Some((key, scalar(node)?))).collect();
    for (key, _) in &entries {
        if key.text.trim().is_empty() {
            findings.push(Finding::error("plan/bad-name", "the name of a capability is empty").at(key.at));
        }
    }
    Some(Placed { value: text_map(entries), at })
}

/// Environment variables, their names checked.
pub(crate) fn env(node: Option<Node>, findings: &mut Findings) -> Vec<(Key, Placed<Box<str>>)> {
    let fields = node.map(Node::into_fields).unwrap_or_default();
    let entries: Vec<_> = fields.into_iter().filter_map(|(key, node)| Some((key, scalar(node)?))).collect();
    for (key, _) in &entries {
        let starts_well = key.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !key.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            findings.push(
                Finding::error(
                    "plan/bad-name",
                    format!("{} is not the name of an environment variable", name(&key.text)),
                )
                .at(key.at)
                .help("use letters, digits and `_`, and do not begin with a digit"),
            );
        } else if key.text.starts_with(RESERVED_PREFIX) {
            findings.push(
                Finding::error("plan/bad-name", format!("{} is set by the program itself", name(&key.text)))
                    .at(key.at)
                    .help(format!("choose a name that does not begin with {RESERVED_PREFIX}")),
            );
        }
    }
    entries
}

/// A text, or a plain number or truth value as text.
fn scalar(node: Node) -> Option<Placed<Box<str>>> {
    let value = match node.value {
        Value::Text(text) => text,
        Value::Int(number) => number.to_string().into(),
        Value::Bool(value) => value.to_string().into(),
        _ => return None,
    };
    Some(Placed { value, at: node.at })
}

fn retry(node: Node, findings: &mut Findings) -> RetryWords {
    let mut fields = node.into_fields();
    let max_interval =
        fields.take("max_interval").and_then(|node| Some(Placed { value: span(&node)?, at: node.at }));
    let initial_interval = fields.take("initial_interval").as_ref().and_then(span);
    if let (Some(initial), Some(max)) = (initial_interval, max_interval)
        && initial > max.value
    {
        let message = format!("`max_interval` {} is shorter than `initial_interval` {initial}", max.value);
        findings.push(
            Finding::error("plan/retry", message).at(max.at).help(format!("raise it to at least {initial}")),
        );
    }
    RetryWords {
        max_attempts: fields.take("max_attempts").and_then(|node| u16::try_from(node.int()?).ok()),
        initial_interval,
        backoff_permille: fields.take("backoff").and_then(|node| permille(node.number()?)),
        max_interval,
    }
}

/// A factor in thousandths; `None` outside of the bounds that have been checked.
fn permille(factor: f64) -> Option<u32> {
    let permille = (factor * 1_000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked in the same line"
    )]
    if (1_000.0..=f64::from(u32::MAX)).contains(&permille) { Some(permille as u32) } else { None }
}

fn review(node: Node) -> Placed<Review> {
    let at = node.at;
    let mut fields = node.into_fields();
    let checks = fields.take("checks").unwrap_or(Node { value: Value::Null, at });
    let by = fields.take("by");
    let by_at = by.as_ref().map_or(at, |by| by.at);
    let words = |node: &Node| node.elements().iter().filter_map(Node::text).map(Box::from).collect::<Vec<_>>();
    let gate = |node: &Node| Gate::ALL.into_iter().find(|gate| Some(gate.as_str()) == node.text());
    let value = Review {
        by: text(by),
        by_at,
        checks: words(&checks),
        gates: fields.take("gates").map(|node| node.elements().iter().filter_map(gate).collect()),
        requirements: fields.take("requirements").as_ref().map(words).unwrap_or_default(),
        human: fields.take("human").is_some_and(|node| node.value == Value::Bool(true)),
        wait: fields.take("wait").as_ref().and_then(span),
        accept_on_timeout: fields.take("on_timeout").is_some_and(|node| node.text() == Some("approve")),
        max_rounds: fields.take("max_rounds").and_then(|node| u16::try_from(node.int()?).ok()),
    };
    Placed { value, at }
}
