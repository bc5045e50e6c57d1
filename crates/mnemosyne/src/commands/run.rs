//! `mnemosyne run`.

use std::time::Duration;

use clap::Args;
use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::command::Submission;
use mnemosyne_core::config::Override;
use mnemosyne_core::config::elements::AgentKind;
use mnemosyne_core::id::RunId;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::{ItemFilter, RunView};
use mnemosyne_core::work::RunResult;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::{Part, StopKind};
use serde_json::json;
use tokio::time::Instant;

use super::duration;
use super::show::reason;
use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure, chain};
use crate::output::{json, line, say, shown};
use crate::plan_file::{PlanArgs, SubmitArgs};
use crate::progress::{Progress, summary};
use crate::settings::Surroundings;
use crate::signals::Interruptions;
use crate::view::View;
use mnemosyne_core::text::counted;

/// How long after the first Ctrl-C a second one stops the agents.
const SECOND_THOUGHT: Duration = Duration::from_secs(2);
/// Items at work that are looked at when the node ends.
const AT_WORK_MAX: usize = 10_000;
/// Failed items that the summary names.
const FAILED_SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    submit: SubmitArgs,
    /// Executors of this node at the same time [default: the pool's maximum]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_agents: Option<u32>,
    /// Hand the plan to the running node and return at once
    #[arg(long)]
    detach: bool,
    /// Give up waiting after this time (90s, 1h30m); the run goes on or can be continued
    #[arg(long, value_name = "D", value_parser = duration)]
    timeout: Option<Span>,
}

/// Nodes that are asked one after the other how a run has ended, each of which may end meanwhile.
const NODES_MAX: usize = 16;

/// How the wait for a run ended.
enum Waited {
    Ended(RunView),
    /// Nothing goes on before a human has decided something.
    Human(RunView),
    TimedOut,
    Interrupted,
    /// The node is asked to end, or cannot go on.
    NodeEnds(Result<StopKind, String>),
}

impl Run {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let slots = self.max_agents.map(|slots| Override {
            key: "node.slots.executor".to_owned(),
            value: slots.to_string(),
            flag: "--max-agents".to_owned(),
        });
        let around = Surroundings::resolve_with(globals, slots.as_slice())?;
        let submission = self.plan.submission(&around, &self.submit)?;
        let mut interruptions = Interruptions::listen();
        let (mut access, submitted, mut seq) = self.hand_over(&around, submission).await?;
        let (run, items, existing) = submitted;
        if existing {
            say(format!("continuing run {run}"));
            if access.handle.run(run).await?.paused {
                say(format!("it is paused; `mnemosyne resume {run}` lets it go on"));
            }
        } else {
            say(format!("run {run} with {}", counted(items, "item")));
        }
        if self.max_agents.is_some() && access.own.is_none() {
            say("--max-agents has no effect: a node runs already, with slots of its own");
        }
        if self.detach {
            if access.waits_for_next() {
                let node = if access.own.is_some() { "no node is running" } else { "the node is about to end" };
                say(format!("{node}; it starts with the next one (`mnemosyne up`)"));
            }
            access.close().await?;
            if around.json {
                json(&json!({ "run": run }));
            } else {
                line(run);
            }
            return Ok(Exit::Success);
        }
        if let Some(node) = &mut access.own {
            node.serve()?;
        }
        let deadline = self.timeout.map(|timeout| Instant::now() + Duration::from_millis(timeout.as_millis()));
        let waited = loop {
            match wait(&access, run, &mut seq, deadline, &mut interruptions, around.json).await {
                // The node was that of another command, which has ended: the work is ours now.
                Err(CallError::Unreachable(_)) if access.own.is_none() => {
                    access = Access::open(&around, Part::Worker).await?;
                    if let Some(node) = &mut access.own {
                        say("the node has ended; going on with a node of our own");
                        node.serve()?;
                    }
                }
                waited => break waited?,
            }
        };
        self.conclude(&around, access, run, waited, interruptions).await
    }

    /// Opens the node that works, and submits; the number is that of the last event before.
    ///
    /// When no node runs, the run is found or made before one in this process
    /// looks after agents that ended meanwhile: the last of them may end the
    /// very run that is to be continued, and then everything would be done again.
    async fn hand_over(
        &self,
        around: &Surroundings,
        submission: Submission,
    ) -> Result<(Access, (RunId, u32, bool), u64), Failure> {
        let only_submit = self.detach || around.data_dir.is_dir();
        let access = Access::open(around, if only_submit { Part::Requests } else { Part::Worker }).await?;
        let seq = access.handle.status().await?.event_seq;
        let submitted = match access.handle.submit(submission).await {
            Ok(submitted) => submitted,
            Err(error) => {
                access.close().await?;
                return Err(error.into());
            }
        };
        if only_submit && !self.detach && access.waits_for_next() {
            access.close().await?;
            return Ok((Access::open(around, Part::Worker).await?, submitted, seq));
        }
        Ok((access, submitted, seq))
    }

    async fn conclude(
        &self,
        around: &Surroundings,
        access: Access,
        run: RunId,
        waited: Waited,
        mut interruptions: Interruptions,
    ) -> Result<Exit, Failure> {
        match waited {
            Waited::Ended(view) => {
                let mut exit = report(&access.handle, &view, around.json).await;
                let gone = |exit: &Result<Exit, Failure>| {
                    exit.as_ref().is_err_and(|failure| failure.exit == Exit::Unavailable)
                };
                // The node has ended together with the run: what it knew is on disk, or with the next node, which
                // may be about to end, too.
                for _ in 0..NODES_MAX {
                    if !gone(&exit) || access.own.is_some() {
                        break;
                    }
                    exit = match View::open(around).await {
                        Ok(next) => report(&next.handle, &view, around.json).await,
                        Err(failure) => Err(failure),
                    };
                }
                let exit = exit?;
                access.close().await?;
                Ok(exit)
            }
            Waited::Human(view) => {
                end(around, access, None).await?;
                Ok(human(&view))
            }
            Waited::TimedOut => {
                let own = access.own.is_some();
                let going_on = end(around, access, None).await?;
                say(format!("time is up; run {run} {}", goes_on(own, going_on)));
                Ok(Exit::Timeout)
            }
            Waited::Interrupted => {
                let own = access.own.is_some();
                let running = end(around, access, Some(&mut interruptions)).await?;
                say(format!("interrupted; run {run} {}", goes_on(own, running)));
                Ok(Exit::Interrupted)
            }
            Waited::NodeEnds(Ok(kind)) => {
                if let Some(node) = access.own {
                    node.close(kind).await.map_err(|error| Failure::unavailable(chain(&error)))?;
                }
                say(format!("the node was asked to end; run {run} can be continued"));
                Ok(Exit::Interrupted)
            }
            Waited::NodeEnds(Err(text)) => Err(Failure::damaged(text)),
        }
    }
}

/// Waits for the end of a run and whatever else may end the wait. Shows the
/// events after `seq`, which is the last one shown afterwards.
async fn wait(
    access: &Access,
    run: RunId,
    seq: &mut u64,
    deadline: Option<Instant>,
    interruptions: &mut Interruptions,
    quiet: bool,
) -> Result<Waited, CallError> {
    let mut progress = Progress::follow(&access.handle, run, *seq, quiet);
    let time_is_up = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let node_ends = async {
        match &access.own {
            Some(node) => node.ended().await,
            None => std::future::pending().await,
        }
    };
    let waited = tokio::select! {
        ended = progress.until_the_end() => ended.map(|view| match view.result {
            Some(_) => Waited::Ended(view),
            None => Waited::Human(view),
        }),
        () = time_is_up => Ok(Waited::TimedOut),
        () = interruptions.next() => Ok(Waited::Interrupted),
        kind = node_ends => Ok(Waited::NodeEnds(kind)),
    };
    *seq = progress.seq();
    waited
}

/// Ends the node of this process, if there is one; its agents go on under their
/// shims, unless a second interruption comes at once.
async fn end(
    around: &Surroundings,
    access: Access,
    interruptions: Option<&mut Interruptions>,
) -> Result<usize, Failure> {
    let Some(node) = access.own else { return Ok(0) };
    if interruptions.is_some() {
        say("handing over");
    }
    let running = outliving(around, &access.handle).await;
    let mut kind = StopKind::HandOver;
    if let Some(interruptions) = interruptions.filter(|_| running > 0) {
        let (go, them) =
            if running == 1 { ("goes on by itself", "it") } else { ("go on by themselves", "them") };
        say(format!("{} {go}; Ctrl-C again stops {them}", counted(running, "agent")));
        tokio::select! {
            () = interruptions.next() => kind = StopKind::Now,
            () = tokio::time::sleep(SECOND_THOUGHT) => {}
        }
    }
    node.close(kind).await.map_err(|error| Failure::unavailable(chain(&error)))
}

/// How many of those at work go on without this process: all that have a shim.
async fn outliving(around: &Surroundings, handle: &Handle) -> usize {
    let states = vec![ItemState::Running, ItemState::Assigned];
    let filter = ItemFilter { states, limit: AT_WORK_MAX, ..ItemFilter::default() };
    let at_work = handle.items(filter).await.unwrap_or_default();
    let agents = &around.config.settings.agents;
    let is_endpoint = |name: &str| agents.get(name).is_some_and(|agent| agent.kind == AgentKind::Http);
    at_work.iter().filter(|item| !item.agent.as_deref().is_some_and(is_endpoint)).count()
}

fn goes_on(own: bool, running: usize) -> String {
    match (own, running) {
        (false, _) => "goes on in the node".to_owned(),
        (true, 0) => "can be continued: run the same plan again, or `mnemosyne up`".to_owned(),
        (true, running) => format!(
            "can be continued: run the same plan again, or `mnemosyne up`; {} {} on meanwhile",
            counted(running, "agent"),
            if running == 1 { "goes" } else { "go" }
        ),
    }
}

/// Says that only a human can let a run go on; returns the exit code.
pub(crate) fn human(view: &RunView) -> Exit {
    let run = view.id;
    say(match view.count(ItemState::Waiting) {
        0 => format!(
            "run {run} waits for a human: `mnemosyne session resume` lets start again what was interrupted \
             (auto_resume = false)"
        ),
        _ => format!("run {run} waits for a human: `mnemosyne inbox {run}` shows what is asked"),
    });
    Exit::Human
}

/// Says how a run ended; returns the exit code.
pub(crate) async fn report(handle: &Handle, view: &RunView, as_json: bool) -> Result<Exit, Failure> {
    let result = view.result.expect("only ended runs are reported");
    let took = view.finished_at.map(|end| end.since(view.created_at)).unwrap_or_default();
    if as_json {
        let counts: serde_json::Map<String, serde_json::Value> = ItemState::ALL
            .into_iter()
            .filter(|state| view.count(*state) > 0)
            .map(|state| (state.to_string(), view.count(state).into()))
            .collect();
        json(
            &json!({ "run": view.id, "name": view.name, "result": result, "items": counts, "duration_ms": took }),
        );
    } else {
        let states = vec![ItemState::Failed, ItemState::Expired];
        let filter = ItemFilter { run: Some(view.id), states, after: None, limit: FAILED_SHOWN_MAX };
        for item in handle.items(filter).await? {
            let why = reason(&item);
            let state =
                if item.state == ItemState::Failed { String::new() } else { format!("{}: it ", item.state) };
            say(format!("{} {} {state}{}", item.id, shown(&item.name), shown(&why)));
        }
        let bad = view.count(ItemState::Failed) + view.count(ItemState::Expired);
        if let Some(more) = bad.checked_sub(FAILED_SHOWN_MAX as u32).filter(|more| *more > 0) {
            say(format!("… and {more} more; `mnemosyne ps {} --state failed,expired` lists them", view.id));
        }
        say(format!("{} in {took}", summary(view)));
    }
    Ok(if result == RunResult::Succeeded { Exit::Success } else { Exit::ItemFailed })
}
