//! What an attempt has left: recorded when it ends, and looked at again when it is reviewed.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_agents::{
    ContentLimits, Snapshot, Subject, Worktree, WorktreeError, contents, escape_control, item_folder,
};
use mnemosyne_core::id::RunId;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::WorktreeReport;
use mnemosyne_core::work::task::{TaskSpec, Workspace};

use crate::fault::{in_full, passes, passing};
use crate::runner::{Ended, Report, Runner, Stop, StopKind};
use crate::stores::Payloads;
use crate::worktrees::{ItemTrees, passes_for_trees};

/// Changes that are named in the record of an attempt.
const TOUCHED_MAX: usize = 20;
/// Longest text in the record of an attempt.
const TEXT_CHARS_MAX: usize = 300;
/// Time before the next look when there was no room on the disk.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A runner that records of each attempt in a worktree what it has left there.
pub(crate) struct WithTrees {
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) recorder: Recorder,
}

/// Records what lies in a worktree.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) trees: ItemTrees,
    pub(crate) payloads: Payloads,
    /// The folder below which items have folders of their own.
    pub(crate) items: PathBuf,
}

impl Runner for WithTrees {
    fn run(&self, order: Order, stop: Stop, report: Report) -> BoxFuture<'static, Ended> {
        let (recorder, mut asked) = (self.recorder.clone(), stop.clone());
        let run = self.runner.run(order.clone(), stop, report);
        async move {
            let mut ended = run.await;
            // A step is a part of an attempt, whose end comes. One that was handed over goes on.
            if order.step.is_none()
                && !asked.is_asked(StopKind::HandOver)
                && recorder.workspace(&order) == Some(Workspace::Worktree)
                && let Some(found) = recorder.record(&order, &mut asked).await
            {
                let report = ended.report.get_or_insert_default();
                let tree = found.tree.as_deref().and_then(|tree| tree.parse().ok());
                report.subject = tree.map(|tree: Subject| *tree.hash());
                report.worktree = Some(Box::new(found));
            } else if let AttemptResult::Succeeded { outputs } | AttemptResult::Expanded { outputs, .. } =
                &ended.result
                && order.will_be_reviewed
            {
                let workspace = recorder.workspace(&order).unwrap_or_default();
                let subject = recorder.subject(order.item.run, &order.name, workspace, outputs.as_ref()).await;
                let subject = subject.inspect_err(|Unseen { why, .. }| {
                    tracing::warn!(item = %order.item, "a verdict cannot be bound to what the attempt left: {why}");
                });
                ended.report.get_or_insert_default().subject = subject.ok().map(|subject| *subject.hash());
            }
            ended
        }
        .boxed()
    }

    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        self.runner.abandon(order)
    }
}

/// Why it cannot be said what there is.
#[derive(Debug)]
pub(crate) struct Unseen {
    pub(crate) why: String,
    /// Another look may see it.
    pub(crate) passes: bool,
}

fn unseen(error: impl Error + 'static) -> Unseen {
    let first: &(dyn Error + 'static) = &error;
    let mut chain = std::iter::successors(Some(first), |error| (*error).source());
    let may_pass = |error: &(dyn Error + 'static)| {
        error.downcast_ref().is_some_and(passes) || error.downcast_ref().is_some_and(WorktreeError::is_passing)
    };
    Unseen { passes: chain.any(may_pass), why: in_full(&error) }
}

impl Recorder {
    fn workspace(&self, order: &Order) -> Option<Workspace> {
        let task: TaskSpec = self.payloads.decode(&order.task).ok()?;
        Some(task.workspace)
    }

    /// What a review of an item is about: its worktree, or its folder, or else its outputs.
    pub(crate) async fn subject(
        &self,
        run: RunId,
        name: &str,
        workspace: Workspace,
        outputs: Option<&Payload>,
    ) -> Result<Subject, Unseen> {
        match workspace {
            Workspace::None => {
                let bytes = outputs.map_or(Ok(Vec::new()), |outputs| self.payloads.get(outputs));
                Ok(Subject::of_bytes(&bytes.map_err(unseen)?))
            }
            Workspace::Folder => {
                let folder = item_folder(&self.items, &run.to_string(), name).map_err(unseen)?;
                let hashed = tokio::task::spawn_blocking(move || contents(&folder, &ContentLimits::default()));
                hashed.await.map_err(unseen)?.map_err(unseen)
            }
            Workspace::Worktree => match self.trees.look(run, name).await.map_err(unseen)? {
                Some((_, seen)) => Ok(seen.map_err(unseen)?.tree),
                None => Err(Unseen { why: "its worktree is gone".to_owned(), passes: false }),
            },
        }
    }

    /// What the attempt has left; none when it has no worktree, or the node ends before that can be said.
    async fn record(&self, order: &Order, asked: &mut Stop) -> Option<WorktreeReport> {
        let mut said = String::new();
        loop {
            let problem = match self.look(order).await {
                Ok(found) => return found,
                Err(problem) => problem,
            };
            if said != problem {
                tracing::warn!(item = %order.item, "cannot record the worktree; trying again: {problem}");
                said = problem;
            }
            tokio::select! {
                _ = asked.asked_beyond(StopKind::Now) => return None,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// One look; an error when there is too little room for it just now.
    async fn look(&self, order: &Order) -> Result<Option<WorktreeReport>, String> {
        let (tree, seen) = match self.trees.look(order.item.run, &order.name).await {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
            Err(error) if passes_for_trees(&error) => return Err(in_full(&error)),
            Err(error) => return Ok(Some(WorktreeReport { problem: problem(&error), ..Default::default() })),
        };
        let base = WorktreeReport {
            path: tree.tree.to_string_lossy().into(),
            branch: tree.branch.as_str().into(),
            start: tree.start.as_str().into(),
            ..Default::default()
        };
        match seen {
            Ok(seen) => self.report(base, &tree, seen).map(Some),
            Err(error) if passes_for_trees(&error) => Err(in_full(&error)),
            Err(error) => Ok(Some(WorktreeReport { problem: problem(&error), ..base })),
        }
    }

    fn report(&self, base: WorktreeReport, tree: &Worktree, seen: Snapshot) -> Result<WorktreeReport, String> {
        let notes = notes(tree, &seen);
        let Snapshot { tree, head, dirty, incomplete, diff, .. } = seen;
        let (files, diff_bytes) = (diff.files, diff.bytes);
        let (diff, lost) = match self.payloads.put(diff.text) {
            _ if diff_bytes == 0 => (None, None),
            Ok(diff) => (Some(diff), None),
            Err(error) => match passing(&error) {
                Some(error) => return Err(error.to_string()),
                None => (None, problem(&error)),
            },
        };
        let incomplete = incomplete.map(|text| short(&format!("not all files are recorded: {text}")));
        Ok(WorktreeReport {
            head: head.map(Into::into),
            tree: Some(tree.to_string().into()),
            dirty,
            files,
            diff,
            diff_bytes,
            notes,
            problem: incomplete.or(lost),
            ..base
        })
    }
}

/// What whoever reviews must know beside the difference.
fn notes(tree: &Worktree, seen: &Snapshot) -> Vec<Box<str>> {
    let mut notes: Vec<Box<str>> =
        seen.touched.iter().take(TOUCHED_MAX).map(|touched| short(&touched.to_string())).collect();
    if let Some(more) = seen.touched.len().checked_sub(TOUCHED_MAX).filter(|more| *more > 0) {
        notes.push(format!("{more} more changes of that kind").into());
    }
    match seen.branch.as_deref() {
        Some(branch) if branch == tree.branch => {}
        Some(branch) => notes.push(short(&format!("it is on the branch {branch}, not on that of the item"))),
        None => notes.push("it is on no branch".into()),
    }
    if tree.submodules {
        notes.push("submodules were not checked out".into());
    }
    notes
}

fn problem(error: &dyn Error) -> Option<Box<str>> {
    Some(short(&in_full(error)))
}

/// A text of bounded length that is safe to show.
fn short(text: &str) -> Box<str> {
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    escape_control(text.as_bytes()).into()
}
