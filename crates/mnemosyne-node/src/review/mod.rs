//! The runner of reviews: what can be executed first, opinions afterwards.
//!
//! Each check, and the agent that reviews, is a step of the attempt: an order of
//! its own in a folder of its own, run like any other. So a node that comes
//! back goes on where the last one was, and a step that is over is not repeated.

mod content;
mod findings;
mod opinion;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_core::view::{Order, Reviewed};
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::AttemptReport;
use mnemosyne_core::work::review::Judgement;
use mnemosyne_core::work::task::{Action, ReviewSpec, TaskSpec};
use tokio::sync::oneshot;

use crate::fault::{in_full, passing};
use crate::left::Recorder;
use crate::process::{OutputsBefore, ProcessRunner};
use crate::review::content::Content;
use crate::review::findings::{Check, Findings};
use crate::runner::{Ended, Report, Runner, Stop, StopKind};
use crate::stores::{PayloadError, Payloads};

/// Name of the step in which the agent that reviews is asked.
const OPINION: &str = "opinion";

/// Runs reviews.
#[derive(Clone)]
pub(crate) struct ReviewRunner {
    /// Runs the steps.
    pub(crate) steps: Arc<dyn Runner>,
    pub(crate) payloads: Payloads,
    pub(crate) outputs: Arc<dyn OutputsBefore>,
    /// Sees what there is to judge.
    pub(crate) recorder: Recorder,
    /// Knows the attempts' folders.
    pub(crate) processes: ProcessRunner,
}

/// Why a review came to no verdict.
enum NoVerdict {
    /// A step ended in a way that is to be reported as it is.
    Ended(Box<Ended>),
    /// Something it needs cannot be had.
    Trouble(AttemptResult),
}

impl From<AttemptResult> for NoVerdict {
    fn from(result: AttemptResult) -> Self {
        Self::Trouble(result)
    }
}

impl Runner for ReviewRunner {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let runner = self.clone();
        async move {
            match runner.review(order, &stop, report).await {
                Ok(ended) => ended,
                Err(NoVerdict::Ended(ended)) => *ended,
                Err(NoVerdict::Trouble(result)) => result.into(),
            }
        }
        .boxed()
    }
}

impl ReviewRunner {
    async fn review(&self, order: Order, stop: &Stop, report: Report) -> Result<Ended, NoVerdict> {
        let Some(reviewed) = order.reviews.as_deref() else {
            return Err(cannot("there is nothing to review").into());
        };
        self.prepare(&order)?;
        let spec = self.spec(&order)?;
        let mut found = Findings::new(reviewed.round, order.agent.as_deref());
        let workspace = self.task_of(reviewed)?.map(|task| task.workspace).unwrap_or_default();
        let content = Content::of(&self.recorder, &order, reviewed, workspace)?;
        if let Some(content) = &content {
            found.changed = content.begin(order.adopted, spec.checks.is_empty()).await?;
        }
        let mut running = Some(report);
        let mut report = None;
        if found.changed.is_none() {
            let checked = self.check_all(&order, reviewed, &spec, &mut found, stop, &mut running).await;
            if let (Err(_), Some(content), false) = (&checked, &content, stop.is_asked(StopKind::HandOver)) {
                // So that the next attempt knows what they have left.
                let _ = content.checked().await;
            }
            checked?;
            // An opinion on what does not pass its checks is not worth its price.
            if order.agent.is_some() && found.all_checks_passed() {
                if let Some(content) = &content {
                    found.changed = content.checked().await?;
                }
                if found.changed.is_none() {
                    report = self.ask(&order, reviewed, &spec, &mut found, stop, running.take()).await?;
                    if let Some(content) = &content {
                        match content.judged().await {
                            Ok(changed) => found.changed = changed,
                            // What the opinion has cost is known all the same.
                            Err(result) => return Ok(Ended { result, report }),
                        }
                    }
                }
            }
        }
        if let Some(running) = running {
            // Nothing ran: there was nothing to check and nobody to ask.
            running.started();
        }
        let findings = self.payloads.put(found.to_json()).map_err(|error| of_payload(&error))?;
        let judgement = Judgement {
            verdict: found.verdict(),
            subject: reviewed.report.as_ref().and_then(|report| report.subject),
            summary: found.summary().into(),
            findings: Some(findings),
        };
        Ok(Ended { result: AttemptResult::Reviewed(Box::new(judgement)), report })
    }

    /// Executes what the plan has executed.
    async fn check_all(
        &self,
        order: &Order,
        reviewed: &Reviewed,
        spec: &ReviewSpec,
        found: &mut Findings,
        stop: &Stop,
        running: &mut Option<Report>,
    ) -> Result<(), NoVerdict> {
        for (number, line) in spec.checks.iter().enumerate() {
            let step = self.check(order, reviewed, number, line)?;
            let ended = self.step(step, stop, running.take()).await;
            match ended.result {
                AttemptResult::Succeeded { .. } => found.checks.push(Check::passed(line)),
                AttemptResult::Failed { fault, message } if fault != Fault::Spawn => {
                    found.checks.push(Check::failed(line, fault, &message));
                }
                _ => return Err(NoVerdict::Ended(Box::new(ended))),
            }
        }
        Ok(())
    }

    /// Asks the agent for its opinion; returns what it used.
    async fn ask(
        &self,
        order: &Order,
        reviewed: &Reviewed,
        spec: &ReviewSpec,
        found: &mut Findings,
        stop: &Stop,
        running: Option<Report>,
    ) -> Result<Option<Box<AttemptReport>>, NoVerdict> {
        let step = self.opinion(order, reviewed, spec).await?;
        let ended = self.step(step, stop, running).await;
        let AttemptResult::Succeeded { .. } = ended.result else {
            return Err(NoVerdict::Ended(Box::new(ended)));
        };
        let answer = ended.report.as_ref().and_then(|report| report.answer.as_ref());
        let answer = answer.ok_or_else(|| no_verdict("the reviewer said nothing"))?;
        let answer = self.payloads.get(answer).map_err(|error| of_payload(&error))?;
        found.take_opinion(&String::from_utf8_lossy(&answer), spec).map_err(no_verdict)?;
        Ok(ended.report)
    }

    /// Makes the attempt's folder. One that is gone although the attempt may
    /// have run is a new attempt's matter.
    fn prepare(&self, order: &Order) -> Result<(), AttemptResult> {
        let dir = self.processes.folder_of(order);
        if order.adopted && !dir.is_dir() {
            let message = "the node ended, and the review's folder is gone".into();
            return Err(AttemptResult::Requeue { cause: Cause::Interrupted, message, after: None });
        }
        std::fs::create_dir_all(&dir).map_err(|error| {
            let message = format!("cannot make the review's folder: {error}").into();
            AttemptResult::Requeue { cause: Cause::ReviewerError, message, after: None }
        })
    }

    fn spec(&self, order: &Order) -> Result<ReviewSpec, AttemptResult> {
        let task: TaskSpec = self.payloads.decode(&order.task).map_err(|error| of_payload(&error))?;
        match task.action {
            Action::Review(spec) => Ok(spec),
            _ => Err(cannot("its task is no review")),
        }
    }

    /// A check: a shell line where the item worked.
    fn check(
        &self,
        order: &Order,
        reviewed: &Reviewed,
        number: usize,
        line: &str,
    ) -> Result<Order, AttemptResult> {
        let step = format!("check-{}", number + 1);
        self.order(order, reviewed, step, None, Action::Shell(line.to_owned()))
    }

    /// The agent that reviews, with all that it is to look at.
    async fn opinion(
        &self,
        order: &Order,
        reviewed: &Reviewed,
        spec: &ReviewSpec,
    ) -> Result<Order, AttemptResult> {
        let before = self.outputs.outputs_before(reviewed.item).await.map_err(cannot)?;
        let material = opinion::Material {
            task: self.task_of(reviewed)?,
            outputs: self.text(reviewed.outputs.as_ref())?,
            answer: self.text(reviewed.report.as_ref().and_then(|report| report.answer.as_ref()))?,
            before: before
                .into_iter()
                .map(|(name, outputs)| Ok((name, self.text(Some(&outputs))?.unwrap_or_default())))
                .collect::<Result<_, AttemptResult>>()?,
        };
        let prompt = opinion::prompt(reviewed, spec, &material);
        let agent = order.agent.clone();
        self.order(order, reviewed, OPINION.to_owned(), agent, Action::Prompt(prompt))
    }

    /// An order for a step: it works where the reviewed item worked.
    fn order(
        &self,
        order: &Order,
        reviewed: &Reviewed,
        step: String,
        agent: Option<Box<str>>,
        action: Action,
    ) -> Result<Order, AttemptResult> {
        let place = self.task_of(reviewed)?;
        let task = TaskSpec {
            action: literal(action),
            env: place.as_ref().map(|task| task.env.clone()).unwrap_or_default(),
            workdir: place.as_ref().and_then(|task| task.workdir.clone()),
            workspace: place.as_ref().map(|task| task.workspace).unwrap_or_default(),
            each: None,
            outputs_schema: None,
        };
        let bytes = postcard::to_stdvec(&task).map_err(cannot)?;
        let mut step = Order {
            name: reviewed.name.clone(),
            agent,
            task: Payload::Inline(bytes.into()),
            step: Some(step.into()),
            step_of: Some(order.name.clone()),
            reviews: None,
            will_be_reviewed: false,
            resume: None,
            ..order.clone()
        };
        // Only what has a folder may have run.
        step.adopted = order.adopted && self.processes.folder_of(&step).is_dir();
        Ok(step)
    }

    async fn step(&self, order: Order, stop: &Stop, report: Option<Report>) -> Ended {
        let report = report.unwrap_or_else(|| Report(oneshot::channel().0));
        self.steps.run(order, stop.clone(), report).await
    }

    /// What the reviewed item was to do; a gate does nothing.
    fn task_of(&self, reviewed: &Reviewed) -> Result<Option<TaskSpec>, AttemptResult> {
        if reviewed.task == Payload::empty() {
            return Ok(None);
        }
        self.payloads.decode(&reviewed.task).map(Some).map_err(|error| of_payload(&error))
    }

    fn text(&self, payload: Option<&Payload>) -> Result<Option<String>, AttemptResult> {
        let bytes = payload.map(|payload| self.payloads.get(payload)).transpose();
        let bytes = bytes.map_err(|error| of_payload(&error))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// The same action with nothing in it that would be taken for a template.
fn literal(action: Action) -> Action {
    match action {
        Action::Prompt(text) => Action::Prompt(text.replace("${{", "${{ '${{' }}")),
        action => action,
    }
}

fn of_payload(error: &PayloadError) -> AttemptResult {
    match passing(error) {
        Some(error) => no_verdict(in_full(&error)),
        None => cannot(in_full(error)),
    }
}

/// A fault that the same review would have again.
fn cannot(problem: impl std::fmt::Display) -> AttemptResult {
    AttemptResult::Failed { fault: Fault::Spawn, message: problem.to_string().into() }
}

/// The reviewer did not do what it was asked for.
fn no_verdict(problem: impl std::fmt::Display) -> AttemptResult {
    AttemptResult::Failed { fault: Fault::Outputs, message: problem.to_string().into() }
}
