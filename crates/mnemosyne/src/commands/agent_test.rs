//! `mnemosyne agent test`: one small task for an agent, as a node would give it.
//!
//! It is given by a node of its own in a temporary folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_core::config::elements::AgentDefinition;
use mnemosyne_core::time::Span;
use mnemosyne_node::{Part, StopKind, Trial, TrialError, Tried};
use serde_json::{Value, json};

use super::duration;
use super::show::attempts::{in_words, usage_json};
use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure, chain};
use crate::output::{json, line, say, shown};
use crate::plan_file::{PlanArgs, SubmitArgs};
use crate::settings::Surroundings;

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
        let trial = Trial { agent: &self.name, definition: &definition, timeout: self.timeout };
        let plan = PlanArgs {
            plan: None,
            prompt: None,
            plan_text: Some(trial.plan()),
            agent: None,
            single: true,
            vars: Vec::new(),
        };
        let submission = plan.submission(&around, &SubmitArgs { key: None, priority: None, new: true })?;
        let access = Access::open(&around, Part::Worker).await?;
        let (run, ..) = access.handle.submit(submission).await?;
        say(format!("asking {}; this may take up to {}", shown(&self.name), self.timeout));
        let tried = tokio::select! {
            tried = trial.tried(&access.handle, run) => Some(tried),
            () = crate::signals::asked_to_end() => None,
        };
        if let Some(node) = access.own {
            node.close(StopKind::Now).await.map_err(|error| Failure::unavailable(chain(&error)))?;
        }
        let Some(tried) = tried else { return Ok(Exit::Interrupted) };
        let tried = tried.map_err(|error| match error {
            TrialError::Call(error) => error.into(),
            TrialError::NotTried(_) | TrialError::NotBegun { .. } | TrialError::NotEnded { .. } => {
                Failure::unavailable(error)
            }
        })?;
        if around.json {
            json(&self.json(&definition, &tried));
        } else {
            self.print(&definition, &tried);
        }
        Ok(if tried.works { Exit::Success } else { Exit::ItemFailed })
    }

    fn json(&self, definition: &AgentDefinition, tried: &Tried) -> Value {
        json!({
            "agent": self.name, "kind": definition.kind.as_str(), "dialect": definition.dialect.as_str(),
            "works": tried.works, "problem": tried.problem, "answer": tried.answer, "session": tried.session,
            "usage": tried.usage.as_ref().map(usage_json), "resumed": tried.resumed,
            "resume_problem": tried.resume_problem, "took_ms": tried.took.map(Span::as_millis),
        })
    }

    fn print(&self, definition: &AgentDefinition, tried: &Tried) {
        let (kind, dialect) = (definition.kind.as_str(), definition.dialect.as_str());
        let unknown = || "it does not tell".to_owned();
        line(format!("agent      {} (kind {}, dialect {})", shown(&self.name), kind, dialect));
        line(format!("works      {}", if tried.works { "yes" } else { "no" }));
        if let Some(problem) = &tried.problem {
            line(format!("problem    {}", shown(problem)));
        }
        let answer =
            tried.answer.as_ref().map(|answer| answer.chars().take(ANSWER_CHARS_MAX).collect::<String>());
        line(format!("answer     {}", answer.map_or_else(|| "none".to_owned(), |answer| shown(&answer))));
        line(format!("session    {}", tried.session.as_ref().map_or_else(unknown, |session| shown(session))));
        line(format!(
            "used       {}",
            tried.usage.as_ref().map_or_else(unknown, |usage| shown(&in_words(usage)))
        ));
        let resumed = match tried.resumed {
            Some(true) => "it took up the same conversation again".to_owned(),
            Some(false) => match &tried.resume_problem {
                Some(problem) => format!("it could not go on: {}", shown(problem)),
                None => "it began another conversation, or does not tell which".to_owned(),
            },
            None => "not tried".to_owned(),
        };
        line(format!("resume     {resumed}"));
        if let Some(took) = tried.took {
            line(format!("took       {took}"));
        }
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
