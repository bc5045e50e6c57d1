//! One running node.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mnemosyne_agents::pool::{PoolSize, Pools, RestartRules};
use mnemosyne_consensus::Consensus;
use mnemosyne_control::{Bound, Handle, Server};
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{NodeId, SessionId};
use mnemosyne_core::reply::Reply;
use mnemosyne_persistence::storage::is_full;
use mnemosyne_persistence::{DataDir, DataDirError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::by_kind::ByKind;
use crate::checkpoint;
use crate::collect::Collector;
use crate::desk::Desk;
use crate::endpoint::NodeEndpoint;
use crate::executor::{self, Instruction};
use crate::info::NodeInfo;
use crate::janitor::Janitor;
use crate::left::{Recorder, WithTrees};
use crate::observer::Outlet;
use crate::options::{NodeError, Options, Part, Work};
use crate::process::{OutputsBefore, ProcessOptions};
use crate::proposer::Proposer;
use crate::reconcile::Reconciler;
use crate::records::Records;
use crate::room::Room;
use crate::runner::{Runner, StopKind};
use crate::sessions::{OrphanedSession, SessionManager};
use crate::stores::Stores;
use crate::ticker;
use crate::work_queue::PersistentWorkQueue;
use crate::worktrees::ItemTrees;

/// Time between two looks whether there is room for what a node writes while it starts.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_millis(500);

/// A running node.
pub struct Node {
    consensus: Consensus,
    proposer: Proposer,
    endpoint: Arc<NodeEndpoint>,
    /// Made before there is any work, which may leave no file to open; gone when it is served.
    socket: Option<Bound>,
    server: Option<Server>,
    node: NodeId,
    sessions: Arc<SessionManager>,
    orphaned: Vec<OrphanedSession>,
    instructions: mpsc::UnboundedSender<Instruction>,
    tasks: Vec<JoinHandle<()>>,
    failure: watch::Receiver<Option<String>>,
    shutdown: watch::Receiver<Option<StopKind>>,
    records: Arc<Records>,
    path: PathBuf,
    /// Held until everything else is closed.
    dir: Held,
}

/// A data directory that is written to. What goes on of a node that was dropped and not closed still writes there, so
/// nobody gets the directory then before this process has ended.
struct Held(Option<DataDir>);

impl Held {
    /// Lets others have it: nothing is written any more.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take() {
            let _ = std::mem::ManuallyDrop::new(dir);
        }
    }
}

impl Node {
    /// Starts a node: reads its state, looks after the attempts it still
    /// holds, and takes part in the work.
    ///
    /// # Errors
    /// When its files cannot be read or its log does not start.
    pub async fn start(options: Options) -> Result<Self, NodeError> {
        let (log, path) = (options.stores.log.clone(), options.stores.path().to_owned());
        let no_room = async {
            loop {
                tokio::time::sleep(LOOK_FOR_ROOM_EVERY).await;
                if log.stats().full {
                    return;
                }
            }
        };
        tokio::select! {
            started = Self::start_with_room(options) => started,
            () = no_room => Err(no_room_in(&path, std::io::ErrorKind::StorageFull.into())),
        }
    }

    async fn start_with_room(options: Options) -> Result<Self, NodeError> {
        let Options { stores, node, facts, agents_min, settings, part, work, snapshot_bytes, persistence } =
            options;
        let payloads = stores.payloads();
        let (attempts, path) = (stores.attempts(), stores.path().to_owned());
        let Stores { dir, log, snapshots, records, .. } = stores;

        let (latest_event, latest) = watch::channel(0);
        let (deadline, next_deadline) = watch::channel(None);
        let (instructions, told) = mpsc::unbounded_channel();
        let retired = Arc::new(Notify::new());
        let look = Arc::new(Notify::new());
        let (answered, answers) = watch::channel(0);
        let outlet = Outlet {
            node,
            records: Arc::clone(&records),
            latest_event,
            deadline,
            instructions: instructions.clone(),
            answered,
            look: Arc::clone(&look),
            retired: Arc::clone(&retired),
        };
        let log =
            mnemosyne_consensus::Options { node, log, snapshots, observer: Box::new(outlet), snapshot_bytes };
        let (failed, failure) = watch::channel(None);
        let room = Arc::new(Room::new(path.clone()));
        let on_failure = move |text| drop(failed.send_replace(Some(text)));
        let restored =
            PersistentWorkQueue::restore(log, Arc::clone(&records), Arc::clone(&room), on_failure).await?;
        let (queue, proposing) = restored;
        let PersistentWorkQueue { consensus, proposer, clock, .. } = queue.clone();
        // All of it was understood; what is written from now on an earlier release might not understand.
        upgrade(&dir)?;
        let dir = Held(Some(dir));

        let sessions = Arc::new(SessionManager {
            node,
            facts: facts.clone(),
            consensus: consensus.clone(),
            proposer: proposer.clone(),
            clock,
            options: persistence,
            current: Mutex::default(),
            ending: AtomicBool::new(false),
            starting: tokio::sync::Mutex::default(),
        });
        let reconciler = Arc::new(Reconciler {
            node,
            part,
            consensus: consensus.clone(),
            proposer: proposer.clone(),
            instructions: instructions.downgrade(),
            attempts: attempts.clone(),
            cleaning: Arc::clone(&retired),
            missed: Default::default(),
            seen_to: Arc::default(),
            stopping: watch::Sender::new(0),
        });
        let (ask_shutdown, shutdown) = watch::channel(None);
        let collector = Collector {
            consensus: consensus.clone(),
            records: records.reader(),
            payloads: payloads.clone(),
            room: Arc::clone(&room),
            moving: Arc::default(),
        };
        let endpoint = Arc::new(NodeEndpoint {
            consensus: consensus.clone(),
            proposer: proposer.clone(),
            clock,
            payloads: payloads.clone(),
            records: records.reader(),
            attempts,
            latest,
            instructions: instructions.downgrade(),
            shutdown: ask_shutdown,
            sessions: Arc::clone(&sessions),
            reconciler: Arc::clone(&reconciler),
            collector: collector.clone(),
        });
        let mut tasks = vec![proposing];
        let desk = Desk { proposer: proposer.clone(), consensus: consensus.clone(), answered: answers };
        let outputs: Arc<dyn OutputsBefore> = Arc::clone(&endpoint) as _;
        let trees = ItemTrees::of(&path);
        let by_kind = |options: ProcessOptions| -> Arc<dyn Runner> {
            let recorder =
                Recorder { trees: trees.clone(), payloads: payloads.clone(), items: options.items.clone() };
            let by_kind = ByKind::new(options, payloads.clone(), outputs, desk, recorder.clone());
            Arc::new(WithTrees { runner: Arc::new(by_kind), recorder })
        };
        let runner: Arc<dyn Runner> = match work {
            Work::Runner(runner) => runner,
            Work::Processes(options) => by_kind(options),
            #[cfg(test)]
            Work::Around(options, around) => around(by_kind(options)),
        };
        // Whoever only takes requests is granted nothing.
        let agents_min = if part == Part::Worker { agents_min } else { [0; 4] };
        let rules = RestartRules { seed: clock.now().as_millis(), ..RestartRules::default() };
        let pools = Pools::start(sizes(agents_min, facts.slots), rules).await?;
        tasks.push(tokio::spawn(executor::execute(runner, proposer.clone(), pools, told)));

        let mut orphaned = Vec::new();
        for session in sessions.detect_orphaned_sessions().await? {
            let work = sessions.recover_orphaned_work(session.id).await?;
            orphaned.push(OrphanedSession { session, work });
        }
        // Not before: however long this node was away, its own session is not orphaned by time. What runs of its work is
        // on this machine.
        tasks.push(tokio::spawn(ticker::tick(clock, next_deadline, proposer.clone())));
        ask(&proposer, Command::Configure(settings)).await?;
        let socket = match part {
            Part::Worker => {
                let session = checkpoint::join(&sessions, &reconciler).await?;
                let socket = match announce(&path, node) {
                    Ok(socket) => socket,
                    Err(error) => {
                        // It has interrupted nothing. Where this cannot be told either, the next one finds it orphaned.
                        let _ = sessions.end_session("it could not be reached").await;
                        return Err(error);
                    }
                };
                checkpoint::be_ready(&sessions, &reconciler, session).await?;
                tasks.push(tokio::spawn(checkpoint::keep(queue, Arc::clone(&sessions), reconciler, look)));
                Some(socket)
            }
            Part::Requests => {
                ask(&proposer, Command::Describe { node, facts }).await?;
                reconciler.reconcile().await?;
                None
            }
        };
        let janitor = Janitor {
            consensus: consensus.clone(),
            data_dir: path.clone(),
            trees,
            records: Arc::clone(&records),
            clock,
            collector,
        };
        tasks.push(tokio::spawn(janitor.keep_clean(retired)));
        Ok(Self {
            consensus,
            proposer,
            endpoint,
            socket,
            server: None,
            node,
            sessions,
            orphaned,
            instructions,
            tasks,
            failure,
            shutdown,
            records,
            path,
            dir,
        })
    }

    /// Its log, for what only other members could say.
    #[cfg(test)]
    pub(crate) fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// A handle to this node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::local(Arc::clone(&self.endpoint) as _)
    }

    /// The node's session; none when it runs nothing.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.sessions.current_session()
    }

    /// Sessions that were found orphaned when the node started, with what they were at.
    #[must_use]
    pub fn orphaned(&self) -> &[OrphanedSession] {
        &self.orphaned
    }

    /// Counters and measures of the log.
    #[must_use]
    pub fn log_stats(&self) -> mnemosyne_persistence::LogStats {
        self.consensus.log_stats()
    }

    /// Asks for a snapshot now; otherwise one is taken when the log has grown enough.
    ///
    /// # Errors
    /// When the log has stopped.
    pub async fn take_snapshot(&self) -> Result<(), NodeError> {
        Ok(self.consensus.snapshot().await?)
    }

    /// Lets other processes of the same user talk to the node.
    ///
    /// # Errors
    /// When the socket or `node.json` cannot be made.
    pub fn serve(&mut self) -> Result<(), NodeError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => announce(&self.path, self.node)?,
        };
        self.server = Some(socket.serve(Arc::clone(&self.endpoint) as _));
        Ok(())
    }

    /// Returns when somebody asks the node to end, and how, or with the reason
    /// when it cannot go on.
    pub async fn ended(&self) -> Result<StopKind, String> {
        let (mut failure, mut shutdown) = (self.failure.clone(), self.shutdown.clone());
        tokio::select! {
            Ok(failure) = failure.wait_for(Option::is_some) => Err(failure.clone().unwrap_or_default()),
            Ok(kind) = shutdown.wait_for(Option::is_some) => Ok(kind.unwrap_or_default()),
            else => std::future::pending().await,
        }
    }

    /// Ends the node: its agents go on under their shims or are stopped, by
    /// `kind`; what was confirmed is on disk. Returns how many agents go on.
    ///
    /// # Errors
    /// When the log cannot be closed in order.
    pub async fn close(self, kind: StopKind) -> Result<usize, mnemosyne_consensus::CloseError> {
        self.sessions.begin_to_end().await;
        // Who asked for more before it was known that it ends gets it; later that is refused.
        let stops_agents = *self.shutdown.borrow() == Some(StopKind::Now);
        let kind = if stops_agents { StopKind::Now } else { kind };
        let mut running = 0;
        // First the end of the session, so that nothing new is granted; then the agents.
        // When the disk is full, the next node finds that this session was not ended.
        let _ = self.sessions.end_session(note(kind)).await;
        let (done, answer) = oneshot::channel();
        if self.instructions.send(Instruction::Shutdown(kind, done)).is_ok() {
            running = answer.await.unwrap_or(0);
        }
        // Everything that was reported before is in the log now, and it is known what is left.
        let _ = match self.sessions.current_session() {
            Some(_) => self.sessions.end_session(note(kind)).await,
            None => self.proposer.request(Command::Tick).await.map(drop),
        };
        // Whoever has a question is answered up to here.
        if let Some(server) = self.server {
            server.close().await;
        }
        if let Some(socket) = self.socket {
            socket.remove();
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        for task in self.tasks {
            let _ = task.await;
        }
        let synced = self.records.sync();
        if let Err(error) = synced {
            // The log still holds what is missing; the next start writes it again.
            tracing::warn!(%error, "cannot write the history");
        }
        let no_room = *self.proposer.room().is_full().borrow();
        let closed = self.consensus.close().await;
        NodeInfo::remove(&self.path);
        self.dir.release();
        match closed {
            // What found no room was confirmed to nobody.
            Err(error) if no_room => tracing::warn!(%error, "closed on a full disk"),
            closed => closed?,
        }
        Ok(running)
    }
}

/// The sizes of the pools: an agent for each slot, and no more than are needed.
fn sizes(min: [u32; 4], slots: [u32; 4]) -> [PoolSize; 4] {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    std::array::from_fn(|role| PoolSize { min: count(min[role]), max: count(slots[role]) })
}

/// Makes the control socket and `node.json`.
fn announce(path: &Path, node: NodeId) -> Result<Bound, NodeError> {
    let io = |what: &str| {
        let what = format!("{what} in {}", path.display());
        move |source| NodeError::Io { what, source }
    };
    let socket = mnemosyne_control::bind(path).map_err(io("make the control socket"))?;
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    let info = NodeInfo { node, pid, address: None, version };
    match info.write(path) {
        Ok(()) => Ok(socket),
        Err(error) => {
            socket.remove();
            Err(if is_full(&error) { no_room_in(path, error) } else { io("write node.json")(error) })
        }
    }
}

fn upgrade(dir: &DataDir) -> Result<(), NodeError> {
    dir.upgrade().map_err(|error| match error {
        DataDirError::Io { source, .. } if is_full(&source) => no_room_in(dir.path(), source),
        error => {
            let what = format!("say which format {} has", dir.path().display());
            NodeError::Io { what, source: std::io::Error::other(error) }
        }
    })
}

fn no_room_in(path: &Path, source: std::io::Error) -> NodeError {
    let what = format!("start a node in {}: its disk is full; make room there", path.display());
    NodeError::Io { what, source }
}

/// What the next session is told about the end of this one.
fn note(kind: StopKind) -> &'static str {
    match kind {
        StopKind::Now | StopKind::Polite => "the node has ended in order, and its agents with it",
        StopKind::HandOver | StopKind::GoOn => "the node has ended in order; agents that run go on",
    }
}

async fn ask(proposer: &Proposer, command: Command) -> Result<Reply, NodeError> {
    match proposer.ask(command).await.map_err(|_| NodeError::Stopped)? {
        Reply::Refused(refusal) => Err(NodeError::Refused(refusal)),
        reply => Ok(reply),
    }
}
