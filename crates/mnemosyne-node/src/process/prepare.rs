//! What an attempt is made of before it begins: its task, what the items before
//! it have put out, where it works, and what is run there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use mnemosyne_agents::{LaunchSpec, Worktree};
use mnemosyne_core::plan::outputs_read;
use mnemosyne_core::time::Span;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause};
use mnemosyne_core::work::task::{RunContext, TaskSpec, Workspace};
use serde_json::Value;

use super::{ProcessRunner, cannot_start, interrupted};
use crate::context::told;
use crate::fault::{in_full, passes, passing};
use crate::launch::{LaunchError, Surroundings, prepare};
use crate::stores::PayloadError;

/// Time before an attempt is granted again whose worktree could not be made just now.
const LATER: Span = Span::from_secs(5);

/// Why it cannot be said what to run.
pub(crate) enum Unprepared {
    /// Trying again would not help.
    Work(String),
    /// It would help later: a lock is held, or git took too long.
    Later(String),
    /// A folder or file cannot be made, and nothing says that this passes: it may help, and is bounded.
    Again(String),
    /// It would: the machine has too little of something just now.
    Machine(io::Error),
}

impl Unprepared {
    /// What it means for the attempt; an error when the disk is full, or there is too little of something else: that
    /// is no fault of the work.
    fn result(self) -> io::Result<AttemptResult> {
        match self {
            Self::Machine(error) => Err(error),
            Self::Work(text) => Ok(cannot_start(text)),
            Self::Again(text) => Ok(interrupted(text)),
            Self::Later(text) => {
                let (cause, after) = (Cause::Interrupted, Some(LATER));
                Ok(AttemptResult::Requeue { cause, message: text.into(), after })
            }
        }
    }
}

/// What was prepared, or what it means for the attempt that it was not; an
/// error when the machine has no room for it just now.
pub(crate) fn settled<T>(prepared: Result<T, Unprepared>) -> io::Result<Result<T, AttemptResult>> {
    match prepared {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(unprepared) => unprepared.result().map(Err),
    }
}

impl From<LaunchError> for Unprepared {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Io { what, source } if !passes(&source) => {
                Self::Again(format!("cannot prepare {what}: {source}"))
            }
            LaunchError::Io { what, source } => {
                Self::Machine(io::Error::new(source.kind(), format!("cannot prepare {what}: {source}")))
            }
            LaunchError::Payload(error) => of_payload(&error),
            error => of_work(error),
        }
    }
}

pub(crate) fn of_payload(error: &PayloadError) -> Unprepared {
    passing(error).map_or_else(|| Unprepared::Work(in_full(error)), Unprepared::Machine)
}

pub(crate) fn of_work(problem: impl std::fmt::Display) -> Unprepared {
    Unprepared::Work(problem.to_string())
}

impl ProcessRunner {
    /// What to run, or what it means that this cannot be said.
    pub(super) async fn spec(
        &self,
        order: &Order,
        dir: &Path,
    ) -> io::Result<Result<LaunchSpec, AttemptResult>> {
        settled(self.prepared(order, dir).await)
    }

    async fn prepared(&self, order: &Order, dir: &Path) -> Result<LaunchSpec, Unprepared> {
        let (task, context) = self.task(order)?;
        let named = outputs_read(&task, &context);
        let outputs = self.outputs_before(order, Some(&named)).await?;
        let worktree = self.worktree(order, &task, &context).await?;
        let told = |task: &str| told(order, task, &context, &self.options, &self.payloads, dir);
        let around = Surroundings {
            told: &told,
            node: self.options.node,
            dir,
            items: &self.options.items,
            worktree: worktree.as_ref(),
            agents: &self.options.agents,
            outputs: &outputs,
            parent_env: std::env::vars_os().collect(),
            output_head: self.options.output_head,
            output_tail: self.options.output_tail,
        };
        Ok(prepare(order, &task, &context, &around)?)
    }

    /// What an item is to do, and what it shares with its run.
    pub(crate) fn task(&self, order: &Order) -> Result<(TaskSpec, RunContext), Unprepared> {
        let task = self.payloads.decode(&order.task).map_err(|error| of_payload(&error))?;
        let context = self.payloads.decode(&order.context).map_err(|error| of_payload(&error))?;
        Ok((task, context))
    }

    /// The outputs of the items that an item depends on: those of these names, or all of them.
    pub(crate) async fn outputs_before(
        &self,
        order: &Order,
        names: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<String, Value>, Unprepared> {
        let mut outputs = BTreeMap::new();
        if names.is_some_and(BTreeSet::is_empty) {
            return Ok(outputs);
        }
        let before = self.outputs.outputs_before(order.item).await.map_err(Unprepared::Later)?;
        for (name, payload) in before {
            if names.is_none_or(|names| names.contains(&*name)) {
                let bytes = self.payloads.get(&payload).map_err(|error| of_payload(&error))?;
                let value: Value = serde_json::from_slice(&bytes).map_err(of_work)?;
                outputs.insert(name.into_string(), value);
            }
        }
        Ok(outputs)
    }

    /// The worktree of the item, if its plan asks for one.
    pub(crate) async fn worktree(
        &self,
        order: &Order,
        task: &TaskSpec,
        context: &RunContext,
    ) -> Result<Option<Worktree>, Unprepared> {
        if task.workspace != Workspace::Worktree {
            return Ok(None);
        }
        let made = self.trees.make(order, context).await;
        made.map(Some).map_err(|error| match error.is_passing() {
            true => Unprepared::Later(format!("no worktree yet: {}", in_full(&error))),
            false => Unprepared::Work(format!("no worktree: {}", in_full(&error))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_made_ends_the_attempt_and_a_full_disk_does_not() {
        let of = |kind: io::ErrorKind| {
            Unprepared::from(LaunchError::Io { what: "the item's folder", source: kind.into() }).result()
        };
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::NotADirectory] {
            let Ok(AttemptResult::Requeue { cause: Cause::Interrupted, message, .. }) = of(kind) else {
                panic!("{kind:?}: {:?}", of(kind));
            };
            assert!(message.starts_with("cannot prepare the item's folder: "), "{message}");
        }
        assert!(of(io::ErrorKind::StorageFull).is_err(), "there may be room again");
    }
}
