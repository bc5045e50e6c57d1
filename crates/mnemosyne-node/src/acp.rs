//! Agents of kind `acp`: the process is one like any other, and beside it runs a conversation.
//!
//! The conversation stands in the attempt's folder. So a node that takes up an
//! attempt talks on where the one before it has left off, and what the turn has
//! come to is read from the folder when nothing of the attempt runs any more.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mnemosyne_agents::acp::permission::Deciding;
use mnemosyne_agents::acp::{
    Decision, OUTPUT_BYTES_MAX, Opening, PermissionDesk, PermissionRequest, Resume, Talk, converse, recollect,
};
use mnemosyne_agents::{
    Conclusion, Ending, Exit, LaunchSpec, LeaderStatus, OutputReader, ShimIdentity, StdinSource, StopMode,
    Stream, Verdict, request_stop, wait_exit,
};
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::inbox::{self, Ask, QuestionKind};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};
use mnemosyne_core::work::payload::Payload;
use tokio::sync::oneshot;

use crate::definition::{AcpAgent, AgentDefinition};
use crate::desk::{Desk, Unanswered};
use crate::launch::{GOING_ON, cookie};
use crate::process::ProcessRunner;
use crate::runner::Ended;

/// How long an agent may take to end once its input has ended.
const LEAVE_TIME: Duration = Duration::from_secs(5);
/// What the agent sent is kept as the transcript, up to so many bytes.
const TRANSCRIPT_BYTES_MAX: usize = 16 << 20;
/// Labels of the spec that hold what the agent is asked to do.
const PROMPT_LABEL: &str = "acp.prompt";
const SESSION_LABEL: &str = "acp.session";

/// Arranges for a conversation what is to be launched.
pub(crate) fn arrange(spec: &mut LaunchSpec, order: &Order, prompt: String) {
    spec.stdin = StdinSource::Talk;
    spec.stdout_whole_bytes = Some(OUTPUT_BYTES_MAX);
    // What was asked stands with the attempt: a later node says the same.
    spec.labels.insert(PROMPT_LABEL.to_owned(), prompt);
    if let Some(session) = &order.resume {
        spec.labels.insert(SESSION_LABEL.to_owned(), session.to_string());
    }
}

/// Whether a conversation was arranged for.
pub(crate) fn is_arranged(order: &Order, dir: &Path) -> bool {
    // A command has no agent, and there are many of them.
    order.agent.is_some() && LaunchSpec::read(dir).is_ok_and(|spec| spec.stdin == StdinSource::Talk)
}

/// What is known of a conversation from outside of it.
#[derive(Debug, Default)]
pub(crate) struct Doings {
    /// Questions that wait for a human. The agent does nothing meanwhile, and that is no fault.
    waiting: AtomicUsize,
}

impl Doings {
    /// Whether the agent waits for a human.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl ProcessRunner {
    /// Talks to the agent of an attempt until its turn is over or cancelled, and
    /// then takes leave of it. Never ends for one that is not talked to.
    pub(crate) async fn talk(
        &self,
        order: &Order,
        dir: &Path,
        identity: &ShimIdentity,
        doings: Arc<Doings>,
        cancelled: oneshot::Receiver<()>,
    ) -> io::Result<()> {
        if !is_arranged(order, dir) {
            return std::future::pending().await;
        }
        let talk = Talk {
            dir: dir.to_owned(),
            opening: self.opening(order, dir)?,
            desk: Arc::new(DurableDesk {
                desk: self.desk.clone(),
                item: order.item,
                token: order.token,
                step: order.step.clone(),
                doings,
            }),
            cancel_grace: Duration::from_millis(order.policy.grace.as_millis()),
        };
        let cookie = cookie(dir);
        let stop = async move {
            // Whoever is not there any more does not cancel either.
            if cancelled.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let gone = async {
            // What cannot be watched is noticed by whoever waits for the end of the attempt.
            if wait_exit(dir, identity, &cookie).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let conclusion = match converse(talk, stop, gone).await {
            // Its files are not what they were: it can only be ended.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
            concluded => concluded?,
        };
        request_stop(dir, StopMode::Finish)?;
        // One that was cancelled has had its time.
        if conclusion.verdict == Verdict::Interrupted {
            return Ok(());
        }
        let _ = tokio::time::timeout(LEAVE_TIME, wait_exit(dir, identity, &cookie)).await;
        Ok(())
    }

    /// What an attempt that was talked to has come to, and what is to be recorded of it.
    pub(crate) async fn ended_talk(&self, order: &Order, dir: &Path, exit: &Exit) -> io::Result<Ended> {
        let (folder, opening) = (dir.to_owned(), self.opening(order, dir)?);
        // As much may have been said as is kept at all.
        let read = tokio::task::spawn_blocking(move || {
            let conclusion = recollect(&folder, opening)?;
            let transcript = OutputReader::new(&folder, Stream::Stdout).read_from(0, TRANSCRIPT_BYTES_MAX)?;
            Ok::<_, io::Error>((conclusion, transcript.bytes))
        });
        let (conclusion, transcript) = match read.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let message = format!("what was said cannot be read: {error}").into();
                return Ok(AttemptResult::Failed { fault: Fault::Agent, message }.into());
            }
            read => read?,
        };
        let result = if is_decided_by_turn(&conclusion, exit) {
            self.result_of_turn(order, dir, &conclusion)?
        } else {
            ended_silently(&conclusion, exit).map_or_else(|| self.result_of_exit(order, dir, exit), Ok)?
        };
        let report = self.report(conclusion, &transcript)?;
        Ok(Ended { result, report: Some(Box::new(report)) })
    }

    fn opening(&self, order: &Order, dir: &Path) -> io::Result<Opening> {
        let mut spec = LaunchSpec::read(dir)?;
        let prompt = spec.labels.remove(PROMPT_LABEL).unwrap_or_default();
        let resume = spec.labels.remove(SESSION_LABEL);
        let agent = self.agent_talked_to(order).cloned().unwrap_or_default();
        Ok(Opening {
            cwd: spec.cwd.to_string_lossy().into_owned(),
            resume: resume.map(|session| Resume {
                session,
                prompt: format!("{GOING_ON}{prompt}"),
                cost_microusd: order.resume_used.cost_microusd.unwrap_or(0),
            }),
            prompt,
            context: None,
            auth_method: agent.auth_method,
            permissions: agent.permissions,
            budget: agent.budget,
        })
    }

    fn agent_talked_to(&self, order: &Order) -> Option<&AcpAgent> {
        match self.options.agents.get(order.agent.as_deref()?)? {
            AgentDefinition::Acp(agent) => Some(agent),
            _ => None,
        }
    }
}

/// Whether what the agent said decides; else the end of its process does.
fn is_decided_by_turn(conclusion: &Conclusion, exit: &Exit) -> bool {
    let is_ours = match exit {
        // Its turn was over when we took leave of it.
        Exit::Finished(record) => {
            matches!(record.ending, Ending::ByItself { .. } | Ending::Stopped { .. })
        }
        Exit::NotStarted { .. } | Exit::Lost { .. } => true,
    };
    is_ours && conclusion.verdict != Verdict::Interrupted
}

/// An agent that ended well by itself in the middle of its turn has not done its work.
fn ended_silently(conclusion: &Conclusion, exit: &Exit) -> Option<AttemptResult> {
    let Exit::Finished(record) = exit else { return None };
    match record.ending {
        Ending::ByItself { status: LeaderStatus::Exited(0) } => {
            let message = conclusion.message.as_str().into();
            Some(AttemptResult::Failed { fault: Fault::Agent, message })
        }
        _ => None,
    }
}

/// Permission requests go into the inbox.
struct DurableDesk {
    desk: Desk,
    item: ItemId,
    token: FencingToken,
    /// Steps of one attempt have conversations of their own.
    step: Option<Box<str>>,
    doings: Arc<Doings>,
}

impl PermissionDesk for DurableDesk {
    fn ask(&self, request: PermissionRequest) -> Deciding {
        let (desk, item, token, doings) = (self.desk.clone(), self.item, self.token, Arc::clone(&self.doings));
        let question = question(&request, self.step.as_deref().unwrap_or_default());
        Box::pin(async move {
            let _waiting = Waiting::begin(doings);
            match desk.ask(item, token, question).await {
                Ok(decided) => decision(&decided),
                // It asks more than anybody would answer.
                Err(Unanswered::Refused) => Decision::Reject,
                Err(Unanswered::Gone) => std::future::pending().await,
            }
        })
    }
}

/// One question that waits.
struct Waiting(Arc<Doings>);

impl Waiting {
    fn begin(doings: Arc<Doings>) -> Self {
        doings.waiting.fetch_add(1, Ordering::Relaxed);
        Self(doings)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn question(request: &PermissionRequest, step: &str) -> Ask {
    let kind = request.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let text = format!("may it: {}{kind}", request.title);
    Ask {
        kind: QuestionKind::Permission,
        key: format!("permission {step} {}", request.id).into(),
        text: text.into(),
        details: request.input.as_ref().map(|input| Payload::Inline(input.as_bytes().into())),
        ..Ask::default()
    }
}

/// What a human's decision means: `always` and `never` are answers in words.
fn decision(decided: &inbox::Decided) -> Decision {
    match decided.decision {
        inbox::Decision::Approve => Decision::Allow,
        inbox::Decision::Reject => Decision::Reject,
        inbox::Decision::Answer => match decided.text.trim().to_ascii_lowercase().as_str() {
            "always" => Decision::AllowAlways,
            "never" => Decision::RejectAlways,
            "yes" => Decision::Allow,
            _ => Decision::Reject,
        },
    }
}

#[cfg(test)]
mod tests {
    use mnemosyne_core::time::Stamp;

    use super::*;

    #[test]
    fn what_a_human_says_is_never_taken_for_more() {
        let says = |decision: inbox::Decision, text: &str| {
            let at = Stamp::from_millis(1);
            super::decision(&inbox::Decided { decision, text: text.into(), at, by_timeout: false })
        };
        assert_eq!(says(inbox::Decision::Approve, "always"), Decision::Allow);
        assert_eq!(says(inbox::Decision::Answer, " Always "), Decision::AllowAlways);
        assert_eq!(says(inbox::Decision::Answer, "do it another way"), Decision::Reject);
        assert_eq!(says(inbox::Decision::Reject, ""), Decision::Reject);
    }
}
