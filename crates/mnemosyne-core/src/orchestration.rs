//! The composite state machine: entries in, replies, events and effects out.
//!
//! It has no clock, no randomness, no I/O and no hash-ordered iteration, so
//! every replica that applies the same entries computes the same state. What
//! it keeps falls into two halves: [`Facts`], which a snapshot stores, and
//! [`Index`], which is derived from them and rebuilt when a snapshot is read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::{Batch, Command};
use crate::effect::Effect;
use crate::event::{Event, EventRecord};
use crate::hash::StateHash;
use crate::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use crate::image::{Retired, RunImage};
use crate::inbox::Question;
use crate::node::Node;
use crate::reply::{Refusal, Reply};
use crate::session::Sessions;
use crate::settings::Settings;
use crate::stray::Stray;
use crate::time::Stamp;
use crate::work::class::Classes;
use crate::work::dependency::Ending;
use crate::work::item::{Item, ItemRef};
use crate::work::learn::{Skill, TrackRecord};
use crate::work::pages::Pages;
use crate::work::run::Run;
use crate::work::state::ItemState;
use crate::work::timers::{DeadlineReason, Timers};

/// State hashes of the latest entries that are kept for comparison.
const HASHES_KEPT: usize = 4_096;

/// The state machine of one cluster.
#[derive(Debug, Default)]
pub struct Orchestration {
    pub(crate) facts: Facts,
    pub(crate) index: Index,
    /// What the present entry has led to so far.
    out: Output,
    /// Ends that follow from the one that is being dealt with; nothing between two commands.
    pub(crate) ending: Option<Vec<Ending>>,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Planted>,
}

/// What a snapshot stores. A clone shares the pages of runs and items.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) settings: Settings,
    /// Log time: the largest stamp applied.
    pub(crate) now: Stamp,
    /// Index of the last applied entry.
    pub(crate) applied: u64,
    /// Number of the last event.
    pub(crate) event_seq: u64,
    pub(crate) last_token: FencingToken,
    pub(crate) last_session: SessionId,
    pub(crate) last_run: Option<RunId>,
    pub(crate) last_question: QuestionId,
    pub(crate) hash: StateHash,
    pub(crate) totals: Totals,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) sessions: Sessions,
    /// Open questions, and decided ones whose attempt still runs.
    pub(crate) inbox: BTreeMap<QuestionId, Question>,
    /// What runs somewhere though it was never granted, until it is gone.
    pub(crate) strays: BTreeMap<QuestionId, Stray>,
    pub(crate) track_records: BTreeMap<Skill, TrackRecord>,
    /// The latest runs that have retired, as far as they are remembered here; the archive knows all.
    pub(crate) retired_lately: VecDeque<RunId>,
    /// Records that retired runs have in the archive, all together.
    pub(crate) archived_records: u64,
    pub(crate) runs: Pages<Option<Run>>,
}

/// Counters since the beginning of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Items accepted.
    pub submitted: u64,
    /// Items that ended well.
    pub succeeded: u64,
    /// Items that ended as failed or expired.
    pub failed: u64,
    /// Items that ended as cancelled.
    pub cancelled: u64,
    /// Items that ended as skipped.
    pub skipped: u64,
    /// Ended items that were reopened.
    pub reopened: u64,
    /// Items that left the state after their retention.
    pub retired: u64,
    /// Attempts granted.
    pub granted: u64,
    /// Reports refused for their token.
    pub fenced: u64,
    /// Milliseconds that granted items had waited as ready, summed.
    pub waited_ms: u64,
    /// Changes of an item's state.
    pub transitions: u64,
}

/// What is derived from [`Facts`].
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) by_id: BTreeMap<RunId, u32>,
    /// Slots of retired runs, to be used again.
    pub(crate) free: BTreeSet<u32>,
    pub(crate) classes: Classes,
    pub(crate) timers: Timers,
    /// Which item holds an item key, by namespace and key.
    pub(crate) item_keys: BTreeMap<(Box<str>, Box<str>), ItemRef>,
    /// Items that wait for the holder of their key.
    pub(crate) aliases: BTreeMap<ItemRef, Vec<ItemRef>>,
    /// Which run holds a run key, by namespace and key.
    pub(crate) run_keys: BTreeMap<(Box<str>, Box<str>), u32>,
    /// Unfinished runs by the digest of their plan.
    pub(crate) unfinished: BTreeSet<([u8; 32], RunId)>,
    /// Items by [`ItemState::index`].
    pub(crate) counts: [u64; ItemState::ALL.len()],
    /// State hashes after the latest entries.
    pub(crate) hashes: VecDeque<(u64, StateHash)>,
}

/// What one entry led to.
#[derive(Debug, Default)]
pub struct Output {
    /// One for each command, in order.
    pub replies: Vec<Reply>,
    /// What happened.
    pub events: Vec<EventRecord>,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// Runs that have left the state.
    pub retired: Vec<Retired>,
    /// Set when another replica reported a different state hash: this replica must stop.
    pub divergence: Option<Divergence>,
}

/// Two replicas disagree about the state after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state after entry {index} has hash {:016x} here and {:016x} where it was proposed", .here.0, .there.0)]
pub struct Divergence {
    /// The entry.
    pub index: u64,
    /// The hash computed here.
    pub here: StateHash,
    /// The hash the entry carried.
    pub there: StateHash,
}

impl Orchestration {
    /// An empty state machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the entry at `index`.
    ///
    /// # Panics
    /// When `index` is not larger than that of the last entry, or when an
    /// invariant does not hold: both are bugs, and going on would spread them.
    pub fn apply(&mut self, index: u64, batch: &Batch) -> Output {
        assert!(index > self.facts.applied, "entry {index} after {}", self.facts.applied);
        self.facts.applied = index;
        self.facts.now = self.facts.now.max(batch.stamp);
        self.out.replies.reserve(batch.commands.len());
        self.fire_due();
        for command in &batch.commands {
            let reply = self.execute(command);
            self.out.replies.push(reply);
        }
        self.orphan_overdue();
        self.assign();
        self.check_balance();
        self.remember_hash();
        std::mem::take(&mut self.out)
    }

    /// Notes that entries up to `index`, which held no commands, were applied.
    pub fn skip_to(&mut self, index: u64) {
        self.facts.applied = self.facts.applied.max(index);
    }

    /// The earliest moment at which time alone changes something, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Stamp, DeadlineReason)> {
        let timer = self.index.timers.first().map(|timer| (timer.at, timer.reason));
        let session = self.session_deadline().map(|at| (at, DeadlineReason::Orphaned));
        timer.into_iter().chain(session).min()
    }

    /// The running hash over all events so far.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        self.facts.hash
    }

    /// Index of the last applied entry.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.facts.applied
    }

    fn execute(&mut self, command: &Command) -> Reply {
        let done = match command {
            Command::Tick => Ok(Reply::Done),
            Command::Submit(submission) => self.submit(submission),
            Command::Started { item, token } => self.started(*item, *token),
            Command::Finished { item, token, result, report } => {
                self.finished(*item, *token, result, report.as_deref())
            }
            Command::Ask { item, token, ask } => self.ask_live(*item, *token, ask),
            Command::Decide { question, decision, text } => self.decide(*question, *decision, text),
            Command::Cancel { target, reason } => self.cancel(*target, reason),
            Command::Retry { target } => self.retry(*target),
            Command::Pause { target } => self.pause(*target),
            Command::Resume { target } => self.resume(*target),
            Command::StartSession { node, facts } => self.open_session(*node, facts, None),
            Command::EndSession { node, session } => self.close_session(*node, *session, None),
            Command::AbandonSession { node, session } => self.orphan_session(*node, *session, false),
            Command::Describe { node, facts } => self.describe_node(*node, facts),
            Command::Drain { node, on } => self.drain(*node, *on),
            Command::Configure(settings) => self.configure(settings),
            Command::CheckHash { index, hash } => {
                self.compare_hash(*index, *hash);
                Ok(Reply::Done)
            }
            Command::OpenSession { node, facts, opening } => self.open_session(*node, facts, Some(opening)),
            Command::Heartbeat { node, session } => self.heartbeat(*node, *session),
            Command::CloseSession { node, session, note } => self.close_session(*node, *session, Some(note)),
            Command::OrphanSession { node, session, holds } => self.orphan_session(*node, *session, *holds),
            Command::ResumeSession { session } => self.resume_session(*session),
            Command::Import { records } => self.import(records),
            Command::Fork { source, from } => self.fork(source, from),
            Command::StraysFound { node, strays } => Ok(self.strays_found(*node, strays)),
            Command::Join { node, facts, opening } => self.join(*node, facts, opening),
            Command::Ready { node, session } => self.ready(*node, *session),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    fn configure(&mut self, settings: &Settings) -> Result<Reply, Refusal> {
        if self.facts.settings != *settings {
            self.unindex_queues();
            self.facts.settings = settings.clone();
            self.reindex_queues();
            self.emit(Event::SettingsChanged);
        }
        Ok(Reply::Done)
    }

    fn compare_hash(&mut self, index: u64, there: StateHash) {
        let known = self.index.hashes.binary_search_by_key(&index, |(index, _)| *index);
        if let Ok(position) = known {
            let (_, here) = self.index.hashes[position];
            if here != there {
                self.out.divergence = Some(Divergence { index, here, there });
            }
        }
    }

    fn remember_hash(&mut self) {
        if self.index.hashes.len() == HASHES_KEPT {
            self.index.hashes.pop_front();
        }
        self.index.hashes.push_back((self.facts.applied, self.facts.hash));
    }

    /// Records that something happened.
    pub(crate) fn emit(&mut self, event: Event) {
        self.facts.event_seq += 1;
        event.fold_into(&mut self.facts.hash);
        self.out.events.push(EventRecord { seq: self.facts.event_seq, at: self.facts.now, event });
    }

    /// Hands over a run that has left the state.
    pub(crate) fn archive(&mut self, image: RunImage) {
        let first = self.facts.archived_records + 1;
        self.facts.archived_records += image.record_count();
        self.out.retired.push(Retired { first, image });
    }

    /// Records that something is to be done.
    pub(crate) fn effect(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    /// The run in `slot`.
    pub(crate) fn run(&self, slot: u32) -> &Run {
        usize::try_from(slot)
            .ok()
            .and_then(|slot| self.facts.runs.get(slot))
            .and_then(Option::as_ref)
            .expect("references are taken out of every index before their run is retired")
    }

    /// The run in `slot`, for writing.
    pub(crate) fn run_mut(&mut self, slot: u32) -> &mut Run {
        usize::try_from(slot)
            .ok()
            .and_then(|slot| self.facts.runs.get_mut(slot))
            .and_then(Option::as_mut)
            .expect("references are taken out of every index before their run is retired")
    }

    /// The item at `at`.
    pub(crate) fn item(&self, at: ItemRef) -> &Item {
        self.run(at.run).item(at.position).expect("items are never taken out of a run")
    }

    /// The item at `at`, for writing.
    pub(crate) fn item_mut(&mut self, at: ItemRef) -> &mut Item {
        self.run_mut(at.run).item_mut(at.position).expect("items are never taken out of a run")
    }

    /// The public id of the item at `at`.
    pub(crate) fn id_of(&self, at: ItemRef) -> ItemId {
        self.run(at.run).head.id.item(at.position)
    }

    /// The slot of a run.
    pub(crate) fn find_run(&self, run: RunId) -> Result<u32, Refusal> {
        self.index.by_id.get(&run).copied().ok_or(Refusal::UnknownRun { run })
    }

    /// Where an item lies.
    pub(crate) fn find_item(&self, item: ItemId) -> Result<ItemRef, Refusal> {
        let unknown = Refusal::UnknownItem { item };
        let Some(run) = self.index.by_id.get(&item.run).copied() else { return Err(unknown) };
        match self.run(run).item(item.position) {
            Some(_) => Ok(ItemRef { run, position: item.position }),
            None => Err(unknown),
        }
    }
}
