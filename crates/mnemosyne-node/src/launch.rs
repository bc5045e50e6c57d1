//! From an order to what the shim is given: command, environment, folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mnemosyne_agents::{LaunchSpec, StdinSource, Worktree, WorktreeError, environment, item_folder};
use mnemosyne_core::hash::mix;
use mnemosyne_core::id::NodeId;
use mnemosyne_core::plan::expand_outputs;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::task::{Action, RunContext, TaskSpec, Workspace};
use serde_json::Value;
use thiserror::Error;

use crate::acp;
use crate::definition::{AgentDefinition, CliAgent, PromptBy};
use crate::stores::PayloadError;

/// Name of the file in the attempt folder into which an agent writes its outputs.
pub(crate) const OUTPUTS_FILE: &str = "outputs.json";
/// Name of the file in the attempt folder that holds the prompt.
const PROMPT_FILE: &str = "prompt.txt";
/// Name of the folder for artifacts in the item's folder.
const ARTIFACTS_DIR: &str = "artifacts";

/// What an agent is told before its task when it takes up its conversation again.
pub(crate) const GOING_ON: &str =
    "You have worked on this before and were stopped. Look at what is done, and go on from there.\n\n";

/// Everything a launch depends on beside the order.
pub(crate) struct Surroundings<'a> {
    pub(crate) node: NodeId,
    /// The attempt's folder.
    pub(crate) dir: &'a Path,
    /// The folder below which items have folders of their own.
    pub(crate) items: &'a Path,
    /// The item's worktree, if it is to have one.
    pub(crate) worktree: Option<&'a Worktree>,
    pub(crate) agents: &'a BTreeMap<String, AgentDefinition>,
    /// Outputs of the items before this one, by name.
    pub(crate) outputs: &'a BTreeMap<String, Value>,
    pub(crate) parent_env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    pub(crate) output_head: u64,
    pub(crate) output_tail: u64,
    /// What an agent is told, from its task.
    pub(crate) told: &'a (dyn Fn(&str) -> Result<String, PayloadError> + Sync),
}

/// Why an attempt cannot be launched. Trying again would not help, but for [`LaunchError::Io`].
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    /// The definition of the agent is not there.
    #[error("this node has no agent {0:?}")]
    UnknownAgent(String),
    /// The definition of the agent is one of another kind.
    #[error("the agent {0:?} is not a program any more")]
    NotAProgram(String),
    /// A template cannot be filled in.
    #[error("in {place}: {problem}")]
    Template { place: &'static str, problem: String },
    /// A value would be read as an option.
    #[error(
        "the argument {0:?} starts with `-` where a value is expected; put `--` before it in the agent's command"
    )]
    OptionLike(String),
    /// A folder or file cannot be made.
    #[error("cannot prepare {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    /// What it is to be told cannot be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The feature is not there.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The worktree has no such folder.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
}

/// What identifies every process of an attempt: its folder. Items and tokens of
/// two data directories on one machine can be the same, folders cannot.
pub(crate) fn cookie(dir: &Path) -> String {
    dir.to_string_lossy().into_owned()
}

/// Prepares the folders of an attempt and says what to run in them.
pub(crate) fn prepare(
    order: &Order,
    task: &TaskSpec,
    context: &RunContext,
    around: &Surroundings<'_>,
) -> Result<LaunchSpec, LaunchError> {
    let place = place(order, task, context, around.items, around.worktree)?;
    let called = command(order, task, around)?;
    let mut spec = LaunchSpec::new(called.argv, place.cwd.clone(), cookie(around.dir));
    spec.stdin = called.stdin;
    if let Some(prompt) = called.prompt {
        acp::arrange(&mut spec, order, prompt);
    }
    spec.env = environment(around.parent_env.iter().cloned(), &called.env_allow);
    spec.env.extend(planned_env(task, context, around.outputs)?);
    spec.env.extend(identity(order, around, &place));
    spec.env.extend(around.worktree.into_iter().flat_map(of_worktree));
    spec.grace_ms = order.policy.grace.as_millis();
    spec.output_head_bytes = around.output_head;
    spec.output_tail_bytes = around.output_tail;
    // The core enforces the run timeout while a node lives; the shim does when none does.
    spec.run_limit_ms = order.policy.timeouts.run.map(|limit| limit.as_millis().saturating_add(5_000));
    Ok(spec)
}

/// Where an attempt works.
pub(crate) struct Place {
    /// The folder it works in.
    pub(crate) cwd: PathBuf,
    /// The folder for what is to be kept.
    pub(crate) artifacts: PathBuf,
    /// What the reviewed item has put into its own, if it has one: to be read by a step of its review.
    pub(crate) reviewed_artifacts: Option<PathBuf>,
}

/// Makes the item's folders, and says where its attempt works.
pub(crate) fn place(
    order: &Order,
    task: &TaskSpec,
    context: &RunContext,
    items: &Path,
    worktree: Option<&Worktree>,
) -> Result<Place, LaunchError> {
    let io = |what| move |source| LaunchError::Io { what, source };
    let folder_of =
        |name: &str| item_folder(items, &order.item.run.to_string(), name).map_err(io("the item's folder"));
    let folder = folder_of(&order.name)?;
    let (artifacts, reviewed_artifacts) = match &order.step_of {
        None => (folder.join(ARTIFACTS_DIR), None),
        // What lies in the reviewed item's folder is what is judged: nothing may come into it meanwhile.
        Some(review) => {
            let reviewed = Some(folder.join(ARTIFACTS_DIR)).filter(|folder| folder.is_dir());
            (folder_of(review)?.join(ARTIFACTS_DIR), reviewed)
        }
    };
    std::fs::create_dir_all(&artifacts).map_err(io("the artifacts folder"))?;
    let workdir = task.workdir.as_deref();
    let cwd = match (worktree, task.workspace) {
        // Never in the checkout of the plan.
        (Some(worktree), _) => worktree.workdir(workdir)?,
        (None, Workspace::Folder) => workdir.map_or(folder.clone(), |workdir| folder.join(workdir)),
        (None, _) => {
            let base = PathBuf::from(&context.base_dir);
            workdir.map_or(base.clone(), |workdir| base.join(workdir))
        }
    };
    Ok(Place { cwd, artifacts, reviewed_artifacts })
}

/// The environment that the plan gives an item, with the outputs of items before put into it.
pub(crate) fn planned_env(
    task: &TaskSpec,
    context: &RunContext,
    outputs: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, String>, LaunchError> {
    let planned = context.env.iter().chain(&task.env);
    planned.map(|(name, value)| Ok((name.clone(), expand(value, outputs, "env")?))).collect()
}

/// What is called, and how.
struct Called {
    argv: Vec<String>,
    stdin: StdinSource,
    /// Names of the environment it may have beside the usual ones.
    env_allow: Vec<String>,
    /// What is said to an agent that is talked to.
    prompt: Option<String>,
}

impl Called {
    fn plain(argv: Vec<String>) -> Self {
        Self { argv, stdin: StdinSource::Null, env_allow: Vec::new(), prompt: None }
    }
}

/// What an attempt calls.
fn command(order: &Order, task: &TaskSpec, around: &Surroundings<'_>) -> Result<Called, LaunchError> {
    match &task.action {
        Action::Shell(line) => Ok(Called::plain(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])),
        Action::Argv(argv) => {
            let argv = argv.iter().map(|argument| expand(argument, around.outputs, "run"));
            Ok(Called::plain(argv.collect::<Result<_, _>>()?))
        }
        Action::Review(_) => Err(LaunchError::Unsupported("a review is no process")),
        Action::Prompt(text) => {
            let name = order.agent.as_deref().unwrap_or_default();
            let definition =
                around.agents.get(name).ok_or_else(|| LaunchError::UnknownAgent(name.to_owned()))?;
            let mut prompt = (around.told)(&expand(text, around.outputs, "prompt")?)?;
            match definition {
                AgentDefinition::Cli(agent) => {
                    if agent.goes_on(order) {
                        prompt.insert_str(0, GOING_ON);
                    }
                    let (argv, stdin) = call(agent, &prompt, order, around.dir)?;
                    Ok(Called { argv, stdin, env_allow: agent.env_allow.clone(), prompt: None })
                }
                AgentDefinition::Http(_) | AgentDefinition::Builtin(_) => {
                    Err(LaunchError::NotAProgram(name.to_owned()))
                }
                AgentDefinition::Acp(agent) => Ok(Called {
                    env_allow: agent.env_allow.clone(),
                    prompt: Some(prompt),
                    ..Called::plain(agent.command.clone())
                }),
            }
        }
    }
}

/// The command line of an agent with the prompt handed over as it wants it.
fn call(
    agent: &CliAgent,
    prompt: &str,
    order: &Order,
    dir: &Path,
) -> Result<(Vec<String>, StdinSource), LaunchError> {
    let file = dir.join(PROMPT_FILE);
    let in_file = agent.prompt == PromptBy::File;
    if in_file {
        std::fs::write(&file, prompt).map_err(|source| LaunchError::Io { what: "the prompt file", source })?;
    }
    let (template, session) = match &order.resume {
        Some(session) if agent.goes_on(order) => (&agent.resume, session.to_string()),
        _ => (&agent.command, session_of(order)),
    };
    let mut argv = Vec::with_capacity(template.len() + 2);
    let mut placed = false;
    for template in template {
        if template == "{prompt}" {
            let after_separator = argv.last().is_some_and(|last| last == "--");
            let is_value = argv.last().is_some_and(|last: &String| last.starts_with('-') && last != "-");
            if prompt.starts_with('-') && !after_separator && !is_value {
                return Err(LaunchError::OptionLike(prompt.chars().take(40).collect()));
            }
        }
        placed |= template.contains("{prompt}");
        argv.push(fill(
            template,
            &[("prompt", prompt), ("prompt_file", &file.to_string_lossy()), ("session", &session)],
        ));
    }
    if agent.prompt == PromptBy::Argument && !placed {
        argv.extend(["--".to_owned(), prompt.to_owned()]);
    }
    let stdin = match agent.prompt {
        PromptBy::Stdin => StdinSource::Inline(prompt.to_owned()),
        PromptBy::Argument | PromptBy::File => StdinSource::Null,
    };
    Ok((argv, stdin))
}

/// Replaces `{name}` by its value, once, from left to right: what a value
/// contains is never replaced again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    'text: while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        for (name, value) in values {
            if let Some(after) = rest[1..].strip_prefix(name).and_then(|after| after.strip_prefix('}')) {
                filled.push_str(value);
                rest = after;
                continue 'text;
            }
        }
        filled.push('{');
        rest = &rest[1..];
    }
    filled + rest
}

/// A text of the plan, with the outputs of items before put into it.
pub(crate) fn expand(
    text: &str,
    outputs: &BTreeMap<String, Value>,
    place: &'static str,
) -> Result<String, LaunchError> {
    expand_outputs(text, &|name| outputs.get(name))
        .map_err(|error| LaunchError::Template { place, problem: error.to_string() })
}

/// What an agent process is told about itself.
fn identity(order: &Order, around: &Surroundings<'_>, place: &Place) -> BTreeMap<String, String> {
    let outputs = around.dir.join(OUTPUTS_FILE);
    let mut told = vec![
        ("MNEMOSYNE_ITEM_ID", order.item.to_string()),
        ("MNEMOSYNE_ITEM_NAME", order.name.to_string()),
        ("MNEMOSYNE_RUN_ID", order.item.run.to_string()),
        ("MNEMOSYNE_NAMESPACE", order.namespace.to_string()),
        ("MNEMOSYNE_ATTEMPT", order.attempt.to_string()),
        ("MNEMOSYNE_FENCING_TOKEN", order.token.to_string()),
        ("MNEMOSYNE_NODE_ID", around.node.to_string()),
        ("MNEMOSYNE_OUTPUT_FILE", outputs.to_string_lossy().into_owned()),
        ("MNEMOSYNE_ARTIFACTS_DIR", place.artifacts.to_string_lossy().into_owned()),
        ("TRACEPARENT", traceparent(order)),
    ];
    if let Some(reviewed) = &place.reviewed_artifacts {
        told.push(("MNEMOSYNE_REVIEWED_ARTIFACTS_DIR", reviewed.to_string_lossy().into_owned()));
    }
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a process in a worktree is told, and what keeps its git there: without
/// the tree's `.git` it must not take a repository further up for its own.
fn of_worktree(worktree: &Worktree) -> Vec<(String, String)> {
    let mut told = vec![
        ("MNEMOSYNE_WORKTREE".to_owned(), worktree.tree.to_string_lossy().into_owned()),
        ("MNEMOSYNE_BRANCH".to_owned(), worktree.branch.clone()),
    ];
    let above = worktree.tree.parent().map(|above| above.to_string_lossy().into_owned());
    told.extend(above.map(|above| ("GIT_CEILING_DIRECTORIES".to_owned(), above)));
    told
}

/// W3C trace context: one trace a run, one span an attempt, both derived from
/// their ids, so that whoever exports the trace later arrives at the same ones.
fn traceparent(order: &Order) -> String {
    let run = order.item.run.as_u64();
    let (high, low) = (mix(run), mix(run ^ 1));
    let span = mix(order.token.0 ^ high);
    format!("00-{high:016x}{low:016x}-{span:016x}-01")
}

/// A UUID (version 8: our own rule) that names a new conversation of the agent:
/// another one for every attempt and step of one, since none may be begun twice.
fn session_of(order: &Order) -> String {
    let high = mix(order.item.run.as_u64());
    let step =
        order.step.iter().flat_map(|step| step.bytes()).fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    let low = mix(high ^ mix(u64::from(order.item.position) ^ mix(order.token.0 ^ step)));
    format!(
        "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once() {
        let values = [("prompt", "say {session}"), ("session", "s1")];
        assert_eq!(fill("{prompt}", &values), "say {session}");
        assert_eq!(fill("--id={session}!", &values), "--id=s1!");
        assert_eq!(fill("{unknown} {", &values), "{unknown} {");
    }
}
