//! The worktrees of this node's items: made before the first attempt, looked at
//! after each, removed when their run has left the state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mnemosyne_agents::worktree::{Removal, Removed, Stage};
use mnemosyne_agents::{
    ContentLimits, Snapshot, Subject, Worktree, WorktreeError, Worktrees, WorktreesOptions, contents,
    escape_control, item_folder,
};
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::report::WorktreeReport;
use mnemosyne_core::work::task::{RunContext, TaskSpec, Workspace};
use tokio::sync::Semaphore;

use crate::fault::{in_full, passes, passing};
use crate::runner::{Ended, Report, Runner, Stop, StopKind};
use crate::stores::Payloads;

/// Name of the folder for worktrees in the data directory.
const FOLDER: &str = "worktrees";
/// The longest time for making, looking at or removing a worktree.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Worktrees that are made or looked at at the same time; each keeps a thread and the disk busy.
const AT_ONCE_MAX: usize = 4;
/// Bytes kept of the difference between a worktree and its start.
const DIFF_BYTES_MAX: usize = 1 << 20;
/// Changes that are named in the record of an attempt.
const TOUCHED_MAX: usize = 20;
/// Longest text in the record of an attempt.
const TEXT_CHARS_MAX: usize = 300;
/// Time before the next look when there was no room on the disk.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The worktrees of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct ItemTrees {
    trees: Worktrees,
    scratch: PathBuf,
    at_once: Arc<Semaphore>,
}

/// A worktree that was kept when its item was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWorktree {
    /// The tree.
    pub tree: PathBuf,
    /// Its branch.
    pub branch: String,
    /// Why it was kept.
    pub reason: String,
}

/// The worktrees of a data directory that were kept when their items were over. Needs no node.
///
/// # Errors
/// When the records cannot be read.
pub fn kept_worktrees(data_dir: &Path) -> Result<Vec<KeptWorktree>, WorktreeError> {
    let kept = trees_of(data_dir).kept()?.into_iter().filter_map(|one| match one.stage {
        Stage::Kept { reason } => Some(KeptWorktree { tree: one.tree, branch: one.branch, reason }),
        Stage::Making | Stage::Ready => None,
    });
    Ok(kept.collect())
}

fn trees_of(data_dir: &Path) -> Worktrees {
    let folder = data_dir.join(FOLDER);
    let elsewhere = state_home().map(|home| {
        // Of several data directories each has a folder of its own.
        let name = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        let hash = Subject::of_bytes(name.as_os_str().as_encoded_bytes());
        let name: String = hash.hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        home.join("mnemosyne").join(FOLDER).join(name)
    });
    Worktrees::new(WorktreesOptions {
        records: folder.join("records"),
        roots: [folder.join("trees")].into_iter().chain(elsewhere).collect(),
        time_max: TIME_MAX,
    })
}

/// Where programs keep what belongs to a user and is no configuration.
fn state_home() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(".local/state")))
}

impl ItemTrees {
    /// The worktrees of a data directory that this process holds.
    pub(crate) fn of(data_dir: &Path) -> Self {
        let scratch = data_dir.join(FOLDER).join("scratch");
        // What a process that was killed has left there.
        if let Err(error) = std::fs::remove_dir_all(&scratch)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot clear {}", scratch.display());
        }
        Self { trees: trees_of(data_dir), scratch, at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The worktree of an item, whole.
    pub(crate) async fn make(&self, order: &Order, context: &RunContext) -> Result<Worktree, WorktreeError> {
        let (base, run, name) =
            (PathBuf::from(&context.base_dir), order.item.run.to_string(), order.name.to_string());
        self.blocking(move |this| this.trees.create(&base, &run, &name)).await
    }

    /// What lies in the worktree of an item, if it has one.
    async fn look(&self, order: &Order) -> Result<Option<(Worktree, Seen)>, WorktreeError> {
        let (run, name) = (order.item.run.to_string(), order.name.to_string());
        self.blocking(move |this| {
            let Some(tree) = this.trees.find(&run, &name)? else { return Ok(None) };
            let seen = this.scratch().and_then(|scratch| this.trees.look(&tree, &scratch, DIFF_BYTES_MAX));
            Ok(Some((tree, seen)))
        })
        .await
    }

    /// The runs that have worktrees, by their ids.
    pub(crate) async fn runs(&self) -> Vec<String> {
        let runs = self.blocking(|this| this.trees.runs()).await;
        runs.unwrap_or_else(|error| {
            tracing::warn!("cannot look for worktrees: {}", in_full(&error));
            Vec::new()
        })
    }

    /// Removes the worktrees of a run that has left the state, and says what was kept.
    pub(crate) async fn remove(&self, run: String, again: bool) {
        let removed = self
            .blocking(move |this| this.trees.remove_run(&run, &this.scratch()?, again))
            .await
            .inspect_err(|error| tracing::warn!("cannot remove worktrees: {}", in_full(error)));
        removed.into_iter().flatten().for_each(|removal| tell(&removal));
    }

    fn scratch(&self) -> Result<PathBuf, WorktreeError> {
        let what = "make the folder";
        std::fs::create_dir_all(&self.scratch).map_err(|source| WorktreeError::Io {
            what,
            path: self.scratch.clone(),
            source,
        })?;
        Ok(self.scratch.clone())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, WorktreeError> + Send + 'static,
    ) -> Result<T, WorktreeError> {
        let this = self.clone();
        let ended = |error: tokio::task::JoinError| WorktreeError::Io {
            what: "look after",
            path: self.scratch.clone(),
            source: std::io::Error::other(error),
        };
        let permit = Arc::clone(&self.at_once).acquire_owned().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&this)
        });
        done.await.map_err(ended)?
    }
}

/// What was seen of a worktree, or why nothing was.
type Seen = Result<Snapshot, WorktreeError>;

/// Says what became of a worktree, where somebody should know.
fn tell(removal: &Removal) {
    let (tree, branch) = (removal.tree.display(), &removal.branch);
    match &removal.removed {
        Removed::Gone => {}
        Removed::BranchKept { commits } => {
            tracing::info!("the branch {branch} is kept: {commits} of its commits are on no other branch");
        }
        Removed::Kept { reason } => tracing::warn!("the worktree {tree} is kept: {reason}"),
        Removed::Failed(error) => tracing::warn!("cannot remove the worktree {tree}: {}", in_full(error)),
    }
}

/// Whether an error of worktrees says that there is too little of something just now.
pub(crate) fn passes_for_trees(error: &WorktreeError) -> bool {
    match error {
        WorktreeError::NoRoom { .. } => true,
        WorktreeError::Io { source, .. } => passes(source),
        _ => false,
    }
}

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
                && recorder.works_in_tree(&order)
                && let Some(found) = recorder.record(&order, &mut asked).await
            {
                let report = ended.report.get_or_insert_default();
                let tree = found.tree.as_deref().and_then(|tree| tree.parse().ok());
                report.subject = tree.map(|tree: Subject| *tree.hash());
                report.worktree = Some(Box::new(found));
            } else if let AttemptResult::Succeeded { outputs } = &ended.result
                && order.will_be_reviewed
            {
                let subject = recorder.subject(&order, outputs.as_ref()).await;
                ended.report.get_or_insert_default().subject = subject;
            }
            ended
        }
        .boxed()
    }

    fn abandon(&self, order: Order) -> BoxFuture<'static, ()> {
        self.runner.abandon(order)
    }
}

impl Recorder {
    fn works_in_tree(&self, order: &Order) -> bool {
        let task = self.payloads.decode(&order.task);
        task.is_ok_and(|task: TaskSpec| task.workspace == Workspace::Worktree)
    }

    /// What a review of an item without a worktree is about: its folder, or else its outputs.
    async fn subject(&self, order: &Order, outputs: Option<&Payload>) -> Option<[u8; 32]> {
        let task: TaskSpec = self.payloads.decode(&order.task).ok()?;
        if task.workspace != Workspace::Folder {
            let bytes = outputs.map_or(Ok(Vec::new()), |outputs| self.payloads.get(outputs)).ok()?;
            return Some(*Subject::of_bytes(&bytes).hash());
        }
        let folder = item_folder(&self.items, &order.item.run.to_string(), &order.name).ok()?;
        let hashed = tokio::task::spawn_blocking(move || contents(&folder, &ContentLimits::default()));
        match hashed.await.ok()? {
            Ok(subject) => Some(*subject.hash()),
            Err(error) => {
                tracing::warn!(item = %order.item, "a verdict cannot be bound to the item's folder: {}", in_full(&error));
                None
            }
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
        let (tree, seen) = match self.trees.look(order).await {
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

fn problem(error: &dyn std::error::Error) -> Option<Box<str>> {
    Some(short(&in_full(error)))
}

/// A text of bounded length that is safe to show.
fn short(text: &str) -> Box<str> {
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    escape_control(text.as_bytes()).into()
}
