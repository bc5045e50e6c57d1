//! The life of this node's process in the log: opened when it takes part,
//! closed with what it leaves, and what to do about one before it that went
//! without a word.
//!
//! The core decides what follows from each of these; here is what only a
//! process on the machine can tell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use mnemosyne_agents::ShimIdentity;
use mnemosyne_consensus::Consensus;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{NodeId, SessionId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::session::{Opening, Session, SessionProcess};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::ItemView;

use crate::clock::Clock;
use crate::options::NodeError;
use crate::proposer::{Proposer, Unanswered};

/// Items of an orphaned session that are named.
const NAMED_MAX: usize = 1_000;
/// Name of the machine.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// How sessions go, as configured.
#[derive(Clone, Copy, Debug)]
pub struct PersistenceOptions {
    /// Time between two checkpoints.
    pub checkpoint_interval: Span,
    /// Whether what was interrupted by a session that was orphaned starts again by itself.
    pub auto_resume: bool,
    /// Others take a session of this node for orphaned when it has given no sign of life for so long.
    pub orphan_after: Span,
}

impl Default for PersistenceOptions {
    fn default() -> Self {
        Self {
            checkpoint_interval: Span::from_secs(60),
            auto_resume: true,
            orphan_after: Span::from_secs(30 * 60),
        }
    }
}

/// A session that was found orphaned when a node started.
#[derive(Clone, Debug)]
pub struct OrphanedSession {
    /// The session.
    pub session: Session,
    /// What it was at.
    pub work: Vec<ItemView>,
}

/// Opens and closes the sessions of a node.
pub(crate) struct SessionManager {
    pub(crate) node: NodeId,
    pub(crate) facts: NodeFacts,
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) clock: Clock,
    pub(crate) options: PersistenceOptions,
    /// The session of this process.
    pub(crate) current: Mutex<Option<SessionId>>,
    /// It has been asked to end, so no other session is started.
    pub(crate) ending: AtomicBool,
    /// Held while a session is started.
    pub(crate) starting: tokio::sync::Mutex<()>,
}

impl SessionManager {
    /// The session of this process; none when it takes no part in the work.
    pub(crate) fn current_session(&self) -> Option<SessionId> {
        // A number is whole at any time.
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the session of this process, in which nothing is granted before [`SessionManager::ready`].
    pub(crate) async fn start_session(&self) -> Result<SessionId, NodeError> {
        let _starting = self.starting.lock().await;
        if self.is_ending() {
            return Err(NodeError::Stopped);
        }
        let opening = Opening {
            process: this_process(),
            orphan_after: Some(self.options.orphan_after),
            auto_resume: self.options.auto_resume,
        };
        // A sign of life is due as long after the session was asked for: what the log says of it is not later.
        let asked_at = self.clock.now();
        let (node, facts, opening) = (self.node, self.facts.clone(), Box::new(opening));
        let Reply::Session { session, .. } = self.ask(Command::Join { node, facts, opening }).await? else {
            return Err(NodeError::Stopped);
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        let every = self.options.checkpoint_interval;
        self.proposer.pulse().start(self.node, session, every, asked_at);
        Ok(session)
    }

    /// What the node held before its session is in good hands, so new work is granted from now on.
    pub(crate) async fn ready(&self, session: SessionId) -> Result<(), NodeError> {
        self.ask(Command::Ready { node: self.node, session }).await.map(drop)
    }

    /// Ends the session of this process in order. Said again, after the agents have been seen to, it records what is left
    /// then. When the disk is full the next node finds that it was not ended.
    pub(crate) async fn end_session(&self, note: &str) -> Result<(), Unanswered> {
        let Some(session) = self.current_session() else { return Ok(()) };
        self.proposer.pulse().stop();
        let command = Command::CloseSession { node: self.node, session, note: note.into() };
        self.proposer.request(command).await.map(drop)
    }

    /// No session is started from now on. One that waits for room on the disk is not waited for.
    pub(crate) async fn begin_to_end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        let mut is_full = self.proposer.room().is_full();
        tokio::select! {
            _started = self.starting.lock() => {}
            Ok(_) = is_full.wait_for(|is_full| *is_full) => {}
        }
    }

    /// Whether this process has been asked to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Sessions of this node without an end. This process holds the data directory, so whoever had one here is gone;
    /// where the process of that pid, start time and boot lives on, it has let the directory go.
    pub(crate) async fn detect_orphaned_sessions(&self) -> Result<Vec<Session>, NodeError> {
        let (node, current) = (self.node, self.current_session());
        let open = self.consensus.query(move |state| {
            state
                .session_of(node)
                .filter(|open| Some(*open) != current)
                .and_then(|open| state.session(open).cloned())
        });
        Ok(open.await?.into_iter().collect())
    }

    /// Records that a session of this node was orphaned, and says what it was at. That is looked after by the
    /// reconciliation; what it has interrupted is held when the settings want it so.
    pub(crate) async fn recover_orphaned_work(&self, session: SessionId) -> Result<Vec<ItemView>, NodeError> {
        let holds = !self.options.auto_resume;
        self.ask(Command::OrphanSession { node: self.node, session, holds }).await?;
        Ok(self.consensus.query(move |state| state.work_left_by(session, NAMED_MAX)).await?)
    }

    /// Whether others have taken the session of this process for gone.
    pub(crate) async fn was_taken_for_gone(&self) -> Result<bool, NodeError> {
        let (node, current) = (self.node, self.current_session());
        let is_open = self.consensus.query(move |state| state.session_of(node) == current).await?;
        // Asked after the look: an end of our own is asked for before it is in the log.
        Ok(current.is_some() && !is_open && !self.is_ending())
    }

    /// Lets start again what an orphaned session has interrupted.
    pub(crate) async fn resume_session(&self, session: SessionId) -> Result<Reply, Unanswered> {
        self.proposer.request(Command::ResumeSession { session }).await
    }

    async fn ask(&self, command: Command) -> Result<Reply, NodeError> {
        match self.proposer.ask(command).await.map_err(|_| NodeError::Stopped)? {
            Reply::Refused(refusal) => Err(NodeError::Refused(refusal)),
            reply => Ok(reply),
        }
    }
}

/// What this process is.
fn this_process() -> SessionProcess {
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let (host, version) = (host.trim().into(), env!("CARGO_PKG_VERSION").into());
    // Nothing is decided by it alone, so a session may start without.
    match ShimIdentity::of_self() {
        Ok(ShimIdentity { pid, start_ticks, boot_id }) => {
            SessionProcess { pid, start_ticks, boot_id: boot_id.into(), host, version }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot tell when this process was started");
            SessionProcess { pid: std::process::id(), host, version, ..SessionProcess::default() }
        }
    }
}

/// Whether the process of a session runs on this machine: this very one, not another that has its pid by now.
#[must_use]
pub fn is_alive(process: &SessionProcess) -> bool {
    let SessionProcess { pid, start_ticks, ref boot_id, .. } = *process;
    ShimIdentity { pid, start_ticks, boot_id: boot_id.to_string() }.is_alive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_pid_is_not_the_one_of_the_session() {
        let me = this_process();
        assert!(is_alive(&me));
        let later = SessionProcess { start_ticks: me.start_ticks + 1, ..me.clone() };
        let before_the_reboot = SessionProcess { boot_id: "another".into(), ..me.clone() };
        assert_eq!([is_alive(&later), is_alive(&before_the_reboot)], [false, false]);
        assert!(!me.host.is_empty() && !me.boot_id.is_empty());
    }
}
