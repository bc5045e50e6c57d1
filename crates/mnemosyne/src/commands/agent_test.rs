//! `mnemosyne agent test`: one small task for an agent, as a node would give it.
//!
//! It is given by a node of its own in a temporary folder, with the limits of
//! real work, so what holds here holds there. An agent that can take up its
//! conversation again is asked twice: its first answer is refused.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_control::Handle;
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind};
use mnemosyne_core::id::{ItemId, RunId};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::{AttemptView, ItemDetail};
use mnemosyne_core::work::attempt::{Fault, Outcome};
use mnemosyne_core::work::report::ModelUsage;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::{Part, StopKind};
use serde_json::{Value, json};

use super::duration;
use super::show::attempts::{bytes_of, in_words, usage_json};
use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure, chain};
use crate::output::{json, line, say, shown};
use crate::plan_file::{PlanArgs, SubmitArgs};
use crate::settings::Surroundings;

/// What the agent is asked.
const PROMPT: &str = "This is a test of how you are called. Use no tools. Answer with the one word: ready";
/// What no agent answers, so that it is asked once more.
const NEVER_ANSWERED: &str = "d3f5c2b8-the-first-answer-is-refused";
/// Characters of the answer that are shown.
const ANSWER_CHARS_MAX: usize = 200;

#[derive(Debug, Args)]
pub(crate) struct AgentTest {
    /// The agent's name in the configuration
    name: String,
    /// How long each of its attempts may take (90s, 5m)
    #[arg(long, value_name = "D", value_parser = duration, default_value = "5m")]
    timeout: Span,
}

impl AgentTest {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let folder = TestFolder::make()?;
        let around = Surroundings { data_dir: folder.0.join("data"), ..around };
        let definition = around.config.settings.agents.get(&self.name).cloned().unwrap_or_default();
        let plan = PlanArgs {
            plan: None,
            prompt: None,
            plan_text: Some(self.plan(&definition)),
            agent: None,
            single: true,
            vars: Vec::new(),
        };
        let submission = plan.submission(&around, &SubmitArgs { key: None, priority: None, new: true })?;
        let access = Access::open(&around, Part::Worker).await?;
        let (run, ..) = access.handle.submit(submission).await?;
        say(format!("asking {}; this may take up to {}", shown(&self.name), self.timeout));
        let tried = tokio::select! {
            tried = self.tried(&access.handle, run, &definition) => Some(tried),
            () = crate::signals::asked_to_end() => None,
        };
        if let Some(node) = access.own {
            node.close(StopKind::Now).await.map_err(|error| Failure::unavailable(chain(&error)))?;
        }
        let Some(tried) = tried else { return Ok(Exit::Interrupted) };
        let tried = tried?;
        if around.json {
            json(&tried.json());
        } else {
            tried.print();
        }
        Ok(if tried.works { Exit::Success } else { Exit::ItemFailed })
    }

    /// A plan of one item. Where there is a conversation to take up again, no
    /// answer is right, so that there is a second attempt.
    fn plan(&self, definition: &AgentDefinition) -> String {
        let twice = can_go_on(definition);
        let mut item = json!({
            "prompt": PROMPT, "agent": self.name, "role": definition.role.as_str(), "workspace": "folder",
            "retry": { "max_attempts": if twice { 2 } else { 1 }, "initial_interval": "1ms" },
            "timeouts": { "run": self.timeout.to_string() },
        });
        if twice {
            item["outputs"] = json!({ "const": NEVER_ANSWERED });
        }
        json!({ "version": 1, "name": "agent-test", "items": { "test": item } }).to_string()
    }

    /// Waits for what there is to say.
    async fn tried(&self, handle: &Handle, run: RunId, definition: &AgentDefinition) -> Result<Tried, Failure> {
        let item = run.item(0);
        let detail = settled(handle, item).await?;
        let Some(first) = detail.history.first() else {
            return Err(Failure::unavailable(format!("the agent was not tried: {}", detail.item.reason)));
        };
        let second = detail.history.get(1);
        let session = |attempt: &AttemptView| attempt.report.as_ref()?.agent_session.clone();
        let resumed = match (can_go_on(definition), second) {
            (true, Some(second)) if is_done(first) => {
                Some(is_done(second) && session(first).is_some() && session(first) == session(second))
            }
            _ => None,
        };
        let answer = match first.report.as_ref().and_then(|report| report.answer.as_ref()) {
            Some(answer) => Some(String::from_utf8_lossy(&bytes_of(handle, answer).await?).into_owned()),
            None => None,
        };
        Ok(Tried {
            agent: self.name.clone(),
            kind: definition.kind.as_str(),
            dialect: definition.dialect.as_str(),
            works: is_done(first) && resumed != Some(false),
            problem: problem(first),
            session: session(first),
            usage: first.report.as_ref().map(|report| report.usage.clone()).filter(|usage| !usage.is_empty()),
            answer,
            resumed,
            resume_problem: second.and_then(problem),
            took: first.started_at.zip(first.ended_at).map(|(start, end)| end.since(start)),
        })
    }
}

/// What was understood.
struct Tried {
    agent: String,
    kind: &'static str,
    dialect: &'static str,
    works: bool,
    problem: Option<String>,
    session: Option<Box<str>>,
    usage: Option<ModelUsage>,
    answer: Option<String>,
    /// Whether it took up its conversation again; nothing when it was not asked to.
    resumed: Option<bool>,
    resume_problem: Option<String>,
    took: Option<Span>,
}

impl Tried {
    fn json(&self) -> Value {
        json!({
            "agent": self.agent, "kind": self.kind, "dialect": self.dialect, "works": self.works,
            "problem": self.problem, "answer": self.answer, "session": self.session,
            "usage": self.usage.as_ref().map(usage_json), "resumed": self.resumed,
            "resume_problem": self.resume_problem, "took_ms": self.took.map(Span::as_millis),
        })
    }

    fn print(&self) {
        let unknown = || "it does not tell".to_owned();
        line(format!("agent      {} (kind {}, dialect {})", shown(&self.agent), self.kind, self.dialect));
        line(format!("works      {}", if self.works { "yes" } else { "no" }));
        if let Some(problem) = &self.problem {
            line(format!("problem    {}", shown(problem)));
        }
        let answer =
            self.answer.as_ref().map(|answer| answer.chars().take(ANSWER_CHARS_MAX).collect::<String>());
        line(format!("answer     {}", answer.map_or_else(|| "none".to_owned(), |answer| shown(&answer))));
        line(format!("session    {}", self.session.as_ref().map_or_else(unknown, |session| shown(session))));
        line(format!(
            "used       {}",
            self.usage.as_ref().map_or_else(unknown, |usage| shown(&in_words(usage)))
        ));
        let resumed = match self.resumed {
            Some(true) => "it took up the same conversation again".to_owned(),
            Some(false) => match &self.resume_problem {
                Some(problem) => format!("it could not go on: {}", shown(problem)),
                None => "it began another conversation, or does not tell which".to_owned(),
            },
            None => "not tried".to_owned(),
        };
        line(format!("resume     {resumed}"));
        if let Some(took) = self.took {
            line(format!("took       {took}"));
        }
    }
}

/// Whether the definition says how to take up a conversation again.
fn can_go_on(definition: &AgentDefinition) -> bool {
    definition.kind == AgentKind::Acp || !definition.resume.is_empty()
}

/// Whether an attempt came to an answer. One that was refused is an answer, too.
fn is_done(attempt: &AttemptView) -> bool {
    matches!(attempt.outcome, Some(Outcome::Succeeded | Outcome::Failed(Fault::Outputs)))
}

/// What went wrong with an attempt.
fn problem(attempt: &AttemptView) -> Option<String> {
    let outcome = attempt.outcome.filter(|_| !is_done(attempt))?;
    Some(match &attempt.message {
        Some(message) => format!("{outcome}: {message}"),
        None => outcome.to_string(),
    })
}

/// Waits until the item has ended, waits for a human, or was turned away:
/// whatever comes later says nothing more about the definition.
async fn settled(handle: &Handle, item: ItemId) -> Result<ItemDetail, Failure> {
    let mut seq = 0;
    loop {
        let detail = handle.item(item).await?;
        let state = detail.item.state;
        let ended = detail.history.iter().filter(|attempt| attempt.outcome.is_some());
        let turned_away = ended.into_iter().any(|attempt| !is_done(attempt));
        if state.is_terminal() || state == ItemState::Waiting || turned_away {
            return Ok(detail);
        }
        seq = handle.wait_event(seq).await?;
    }
}

/// A folder that is gone afterwards.
struct TestFolder(PathBuf);

impl TestFolder {
    fn make() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let mut number = 0_u32;
        loop {
            let folder = base.join(format!("mnemosyne-agent-test-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => number += 1,
                Err(error) => return Err(Failure::unavailable(not_made(&folder, &error))),
            }
        }
    }
}

fn not_made(folder: &Path, error: &std::io::Error) -> String {
    format!("cannot make the folder {}: {error}", folder.display())
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        // What cannot be removed lies where the system clears up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
