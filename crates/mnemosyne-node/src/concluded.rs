//! What an attempt of a headless agent has come to: the end of its process,
//! read together with what it printed.

use std::io;
use std::path::Path;

use mnemosyne_agents::dialect::{Before, Concluded, conclude};
use mnemosyne_agents::{Conclusion, Ending, Exit, Verdict};
use mnemosyne_core::config::elements::Dialect;
use mnemosyne_core::inbox::{Ask, QuestionKind};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::AttemptReport;
use mnemosyne_core::work::task::TaskSpec;

use crate::acp;
use crate::definition::{AgentDefinition, CliAgent};
use crate::fault::{in_full, passing};
use crate::launch::OUTPUTS_FILE;
use crate::outputs;
use crate::process::ProcessRunner;
use crate::runner::Ended;
use crate::stores::PayloadError;
use crate::worth::worth;

impl ProcessRunner {
    /// What an attempt has come to, and what is to be recorded of it; an error
    /// when that cannot be said before there is room on the disk.
    pub(crate) async fn ended(&self, order: &Order, dir: &Path, exit: &Exit) -> io::Result<Ended> {
        if acp::is_arranged(order, dir) {
            return self.ended_talk(order, dir, exit).await;
        }
        let Some(agent) = self.agent_of(order) else {
            return Ok(self.result_of_exit(order, dir, exit)?.into());
        };
        let record = match exit {
            Exit::Finished(record) => Some(record.clone()),
            Exit::NotStarted { .. } | Exit::Lost { .. } => None,
        };
        let before =
            if agent.goes_on(order) { Before { usage: order.resume_used.clone() } } else { Before::default() };
        let ended_by_itself =
            record.as_ref().is_some_and(|record| matches!(record.ending, Ending::ByItself { .. }));
        let (folder, dialect) = (dir.to_owned(), agent.dialect);
        // As much may have been printed as somebody wanted to keep.
        let read = tokio::task::spawn_blocking(move || conclude(&folder, dialect, before, record.as_ref()));
        let Concluded { conclusion, transcript } = read.await.map_err(io::Error::other)??;
        // A stop or a limit goes before what the agent says. Without a dialect its exit code says whether it was
        // done, and its last words are asked only where the plan wants outputs.
        let says = agent.dialect != Dialect::Plain
            || (conclusion.verdict == Verdict::Done && self.wants_outputs(order)?);
        let result = if ended_by_itself && says {
            self.result_of_turn(order, dir, &conclusion)?
        } else {
            self.result_of_exit(order, dir, exit)?
        };
        let report = self.report(conclusion, &transcript)?;
        Ok(Ended { result, report: (report != AttemptReport::default()).then(|| Box::new(report)) })
    }

    /// Whether the plan asks for outputs of an item.
    fn wants_outputs(&self, order: &Order) -> io::Result<bool> {
        let task: Result<TaskSpec, _> = self.payloads.decode(&order.task);
        match task {
            Ok(task) => Ok(order.expands || task.outputs_schema.is_some_and(|schema| schema != "false")),
            Err(error) => passing(&error).map_or(Ok(false), Err),
        }
    }

    /// The agent of an attempt, if it is a program that is called with a prompt.
    fn agent_of(&self, order: &Order) -> Option<&CliAgent> {
        match self.options.agents.get(order.agent.as_deref()?)? {
            AgentDefinition::Cli(agent) => Some(agent),
            AgentDefinition::Http(_) | AgentDefinition::Acp(_) | AgentDefinition::Builtin(_) => None,
        }
    }

    /// What the turn of an agent means for the attempt.
    pub(crate) fn result_of_turn(
        &self,
        order: &Order,
        dir: &Path,
        conclusion: &Conclusion,
    ) -> io::Result<AttemptResult> {
        Ok(match conclusion.verdict {
            Verdict::Done => self.collect_or_read(order, dir, conclusion)?,
            // What it left may be good enough for a human.
            Verdict::Denied => match self.collect_or_read(order, dir, conclusion)? {
                AttemptResult::Succeeded { outputs } => denied(&conclusion.message, outputs),
                _ => worth(conclusion, order),
            },
            _ => worth(conclusion, order),
        })
    }

    /// The outputs that an agent wrote into its file, or, where there is no
    /// such file, those in what it said last.
    fn collect_or_read(&self, order: &Order, dir: &Path, conclusion: &Conclusion) -> io::Result<AttemptResult> {
        let written = dir.join(OUTPUTS_FILE).symlink_metadata().is_ok();
        let (false, Some(answer)) = (written, &conclusion.answer) else {
            return self.collect(order, dir);
        };
        let given = outputs::Given { words: answer, value: None };
        let read = outputs::of(order, given, &self.payloads, self.options.outputs_bytes_max);
        read.or_else(|error| match passing(&error) {
            Some(error) => Err(error),
            None => Ok(AttemptResult::Failed { fault: Fault::Outputs, message: in_full(&error).into() }),
        })
    }

    /// What is recorded of a turn.
    pub(crate) fn report(&self, conclusion: Conclusion, transcript: &[u8]) -> io::Result<AttemptReport> {
        let mut report = AttemptReport {
            agent_session: conclusion.session.map(Into::into),
            usage: conclusion.usage,
            ..AttemptReport::default()
        };
        if let Some(answer) = conclusion.answer {
            report.answer = stored(self.payloads.put(answer.into_bytes()), "the answer")?;
        }
        if !transcript.is_empty() {
            report.transcript = stored(self.payloads.put_blob(transcript), "the transcript")?;
        }
        Ok(report)
    }
}

fn denied(text: &str, outputs: Option<Payload>) -> AttemptResult {
    let kind = QuestionKind::Denied;
    AttemptResult::Blocked(Box::new(Ask { kind, text: text.into(), outputs, ..Ask::default() }))
}

/// What was stored, or nothing when it never will be: it is worth less than the work.
fn stored<T>(stored: Result<T, PayloadError>, what: &str) -> io::Result<Option<T>> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(error) => match passing(&error) {
            Some(error) => Err(error),
            None => {
                tracing::warn!(error = in_full(&error), "{what} of an attempt cannot be stored");
                Ok(None)
            }
        },
    }
}
