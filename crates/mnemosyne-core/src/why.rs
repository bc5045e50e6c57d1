//! Why an item stands where it stands: names the one thing that binds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ItemId, NodeId, QuestionId, SessionId};
use crate::inbox::QuestionKind;
use crate::orchestration::Orchestration;
use crate::reply::Refusal;
use crate::text::counted;
use crate::time::{Span, Stamp};
use crate::work::attempt::StopCause;
use crate::work::item::{EndReason, ItemRef};
use crate::work::spec::Condition;
use crate::work::state::ItemState;

/// Dependencies that are named; the others are counted.
const NAMED_MAX: usize = 5;
/// Items ahead in the queue that are counted one by one.
const AHEAD_COUNTED_MAX: usize = 10_000;

/// What keeps an item from going on, or why it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Why {
    /// Dependencies have not ended as they must: names, conditions and states, and how many more.
    Dependencies { waiting_for: Vec<(Box<str>, Condition, ItemState)>, more: u64 },
    /// Another item with the same key does the work.
    SameKey { holder: ItemId },
    /// The plan's delay is not over.
    Delay { until: Stamp },
    /// The wait before the next attempt is not over; the last fault in words.
    Backoff { until: Stamp, attempt: u32, max_attempts: u16, error: Option<String> },
    /// A user holds the item, or its run.
    Paused { whole_run: bool },
    /// No node process runs.
    NoNode,
    /// Every node that runs is draining.
    Draining,
    /// Every node that runs and could serve it still looks after what it held before.
    Joining,
    /// No running node can serve it.
    NoCapableNode { needs: String },
    /// Every slot that could serve it is in use; so many items go first.
    NoSlot { used: u32, slots: u32, ahead: u64 },
    /// Its group runs as many as it may.
    GroupLimit { group: Box<str>, max_parallel: u32 },
    /// Granted; the node is about to start it.
    Starting { node: NodeId },
    /// It runs since then.
    Running { node: NodeId, since: Stamp },
    /// It is being stopped.
    Stopping { node: NodeId, cause: StopCause },
    /// It succeeded.
    Succeeded,
    /// Its attempts are used up.
    Failed { attempts: u16, error: Option<String> },
    /// A dependency did not end as it had to.
    DependencyEnded { name: Box<str>, wanted: Condition, was: ItemState },
    /// A user cancelled it.
    Cancelled { reason: Box<str> },
    /// It waited too long for a slot.
    QueueTimeout,
    /// Its deadline passed.
    Deadline,
    /// An item with the same key has done its work.
    DoneByKey { holder: ItemId },
    /// An earlier run had done its work, of which this one is a fork.
    Reused { item: ItemId },
    /// Its result is being judged, by that item.
    Review { review: ItemId, state: ItemState },
    /// A human has to decide; whether an attempt runs and waits for it.
    Human { question: QuestionId, kind: QuestionKind, text: Box<str>, running: bool },
    /// Its result was rejected.
    Rejected { reason: Box<str> },
    /// It was interrupted by the end of a session, and starts again when a human says so.
    Orphaned { session: SessionId },
}

impl Orchestration {
    /// Why an item stands where it stands.
    ///
    /// # Errors
    /// When there is no such item.
    pub fn why(&self, id: ItemId) -> Result<Why, Refusal> {
        Ok(self.why_at(self.find_item(id)?, true))
    }

    /// The same in words, for lists; empty while it runs undisturbed or succeeded.
    pub(crate) fn reason(&self, at: ItemRef) -> String {
        match self.why_at(at, false) {
            Why::Running { .. } | Why::Succeeded => String::new(),
            why => why.to_string(),
        }
    }

    fn why_at(&self, at: ItemRef, count_ahead: bool) -> Why {
        let run = self.run(at.run);
        let item = self.item(at);
        if let Some(end) = item.end_reason().filter(|_| item.state.is_terminal()) {
            return self.why_ended(at, end);
        }
        match item.state {
            ItemState::Reviewing => self.why_reviewing(at),
            ItemState::Waiting => self.why_human(at, false).unwrap_or_else(|| self.why_pending(at)),
            ItemState::Pending => match item.alias_of() {
                Some(holder) if item.unmet == 0 => Why::SameKey { holder },
                _ => self.why_pending(at),
            },
            ItemState::Scheduled => Why::Delay { until: item.not_before() },
            ItemState::BackingOff => Why::Backoff {
                until: item.not_before(),
                attempt: item.executions() + 1,
                max_attempts: run.policy(item).retry.max_attempts,
                error: self.last_error(at),
            },
            ItemState::Paused => match self.held_for(run.head.id.item(at.position)) {
                Some(session) => Why::Orphaned { session },
                None => Why::Paused { whole_run: run.head.held },
            },
            ItemState::Ready => self.why_ready(at, count_ahead),
            ItemState::Assigned | ItemState::Running => {
                let attempt = item.granted().expect("granted items have an attempt");
                match (item.stopping, attempt.started_at) {
                    (Some(cause), _) => Why::Stopping { node: attempt.node, cause },
                    (None, Some(since)) => {
                        self.why_human(at, true).unwrap_or(Why::Running { node: attempt.node, since })
                    }
                    (None, None) => Why::Starting { node: attempt.node },
                }
            }
            ItemState::Succeeded => Why::Succeeded,
            ItemState::Cancelled => Why::Cancelled { reason: Box::default() },
            ItemState::Expired => Why::Deadline,
            ItemState::Failed | ItemState::Skipped => {
                Why::Failed { attempts: item.spent, error: self.last_error(at) }
            }
        }
    }

    fn why_ended(&self, at: ItemRef, end: &EndReason) -> Why {
        match end {
            EndReason::Dependency { item, was } => {
                let dependency = self.item(ItemRef { run: at.run, position: *item });
                let need = self.item(at).needs.iter().find(|need| need.item == *item);
                let wanted = need.map_or(Condition::Success, |need| need.on);
                Why::DependencyEnded { name: dependency.name.clone(), wanted, was: *was }
            }
            EndReason::Cancelled { reason } => Why::Cancelled { reason: reason.clone() },
            EndReason::QueueTimeout => Why::QueueTimeout,
            EndReason::Deadline => Why::Deadline,
            EndReason::Rejected { reason } => Why::Rejected { reason: reason.clone() },
            EndReason::SameKey { item } => Why::DoneByKey { holder: *item },
            EndReason::Reused { item } => Why::Reused { item: *item },
        }
    }

    fn why_reviewing(&self, at: ItemRef) -> Why {
        let review = self.item(at).extra.as_ref().and_then(|extra| extra.reviewed_by);
        let review = ItemRef { run: at.run, position: review.expect("a review is under way") };
        Why::Review { review: self.id_of(review), state: self.item(review).state }
    }

    /// The first open question of an item.
    fn why_human(&self, at: ItemRef, running: bool) -> Option<Why> {
        let open = self.item(at).questions().iter().filter_map(|id| self.facts.inbox.get(id));
        let question = open.into_iter().find(|question| question.decided.is_none())?;
        let (kind, text) = (question.ask.kind, question.ask.text.clone());
        Some(Why::Human { question: question.id, kind, text, running })
    }

    fn why_pending(&self, at: ItemRef) -> Why {
        let run = self.run(at.run);
        let mut waiting_for = Vec::new();
        for need in &self.item(at).needs {
            let dependency = run.item(need.item).expect("validated at submission");
            if !dependency.state.is_terminal() {
                waiting_for.push((dependency.name.clone(), need.on, dependency.state));
                if waiting_for.len() == NAMED_MAX {
                    break;
                }
            }
        }
        let more = u64::from(self.item(at).unmet).saturating_sub(waiting_for.len() as u64);
        Why::Dependencies { waiting_for, more }
    }

    fn why_ready(&self, at: ItemRef, count_ahead: bool) -> Why {
        let run = self.run(at.run);
        let item = self.item(at);
        let (class, group, key, _) = self.place(at);
        if let Some(full) = item.group.and_then(|group| run.full_group(group)) {
            return Why::GroupLimit { group: full.name.clone(), max_parallel: full.max_parallel };
        }
        let class = self.index.classes.get(class);
        let role = class.demand.role;
        let mut present = self.facts.nodes.values().filter(|node| node.session.is_some()).peekable();
        if present.peek().is_none() {
            return Why::NoNode;
        }
        if present.all(|node| node.draining) {
            return Why::Draining;
        }
        let serving = class.nodes.iter().filter_map(|(id, _, _)| self.facts.nodes.get(id));
        let mut serving = serving.filter(|node| node.session.is_some() && !node.draining).peekable();
        if serving.peek().is_none() {
            return Why::NoCapableNode { needs: words(&class.demand) };
        }
        let mut granted_to = serving.filter(|node| !node.is_joining).peekable();
        if granted_to.peek().is_none() {
            return Why::Joining;
        }
        let (used, slots) = granted_to.fold((0_u32, 0_u32), |(used, slots), node| {
            (used + node.used[role.index()], slots.saturating_add(node.facts.slots[role.index()]))
        });
        let ahead = if count_ahead {
            class.iter(group).take(AHEAD_COUNTED_MAX).take_while(|ahead| *ahead != key).count() as u64
        } else {
            0
        };
        Why::NoSlot { used, slots, ahead }
    }

    fn last_error(&self, at: ItemRef) -> Option<String> {
        let attempt = self.item(at).attempts.iter().rev().find(|attempt| attempt.outcome.is_some())?;
        let outcome = attempt.outcome?;
        // The last line of what an agent wrote says most; the attempt has all of it.
        let last = attempt.message.as_deref().and_then(|message| message.trim_end().lines().last());
        Some(last.map_or_else(|| outcome.to_string(), |last| format!("{outcome}: {}", last.trim())))
    }
}

/// A demand in words.
fn words(demand: &crate::work::spec::Demand) -> String {
    let mut parts = vec![format!("a slot for {}", demand.role)];
    if !demand.agents.is_empty() {
        parts.push(format!("agent {}", demand.agents.join(" or ")));
    }
    parts.extend(demand.requires.iter().map(|(name, value)| format!("{name}={value}")));
    parts.join(", ")
}

/// A predicate: what can stand behind the name of the item.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dependencies { waiting_for, more } => dependencies(f, waiting_for, *more),
            Self::SameKey { holder } => write!(f, "waits for {holder}, which has the same key"),
            Self::Delay { .. } => f.write_str("waits until its delay is over"),
            Self::Backoff { attempt, error, .. } => {
                write!(f, "waits before attempt {attempt}")?;
                error.as_ref().map_or(Ok(()), |error| write!(f, ", because the last one {error}"))
            }
            Self::Paused { whole_run: true } => f.write_str("is held, because its run is paused"),
            Self::Paused { whole_run: false } => f.write_str("is held, because it is paused"),
            Self::NoNode => f.write_str("waits for a node: none is running"),
            Self::NoCapableNode { needs } => {
                write!(f, "waits for a node with {needs}: none that runs has that")
            }
            Self::NoSlot { slots: 0, .. } => {
                f.write_str("waits for a slot: no node has one for its role (node.slots in the configuration)")
            }
            Self::NoSlot { used, slots, ahead } => {
                write!(f, "waits for a slot ({used} of {slots} in use")?;
                match ahead {
                    0 => f.write_str(")"),
                    1 => f.write_str(", 1 item goes first)"),
                    ahead => write!(f, ", {ahead} items go first)"),
                }
            }
            Self::Draining => f.write_str("waits for a node: every one that runs drains and takes nothing new"),
            Self::Joining => f.write_str(
                "waits for a node: every one that could run it still looks after what it held before",
            ),
            Self::GroupLimit { group, max_parallel } => {
                write!(f, "waits, because {group} runs as many as it may (max_parallel {max_parallel})")
            }
            Self::Starting { node } => write!(f, "is being started on {node}"),
            Self::Running { node, .. } => write!(f, "runs on {node}"),
            Self::Stopping { node, cause } => write!(f, "is being stopped on {node} ({cause})"),
            Self::Succeeded => f.write_str("succeeded"),
            Self::Failed { attempts, error } => {
                write!(f, "failed after {}", counted(*attempts, "attempt"))?;
                error.as_ref().map_or(Ok(()), |error| write!(f, "; the last one {error}"))
            }
            Self::DependencyEnded { name, wanted, was } => {
                write!(f, "needs {name} {}, and that {}", wish(*wanted), past(*was))
            }
            Self::Cancelled { reason } if reason.is_empty() => f.write_str("was cancelled"),
            Self::Cancelled { reason } => write!(f, "was cancelled: {reason}"),
            Self::QueueTimeout => f.write_str("waited for a slot longer than its queue timeout"),
            Self::Deadline => f.write_str("had not ended when its deadline passed"),
            Self::Review { review, state } => write!(f, "is being reviewed by {review} ({state})"),
            Self::Human { question, text, running: false, .. } => {
                write!(f, "waits for a human, question {question}: {text}")
            }
            Self::Human { question, text, running: true, .. } => {
                write!(f, "runs and waits for a human, question {question}: {text}")
            }
            Self::Rejected { reason } if reason.is_empty() => f.write_str("was rejected"),
            Self::Rejected { reason } => write!(f, "was rejected: {reason}"),
            Self::Orphaned { session } => {
                write!(f, "is held, because session {session} went without a word while it was at work")
            }
            Self::DoneByKey { holder } => write!(f, "has the same key as {holder}, which has done the work"),
            Self::Reused { item } => write!(f, "was done by {item}, of which this is a fork"),
        }
    }
}

fn dependencies(
    f: &mut fmt::Formatter<'_>,
    waiting_for: &[(Box<str>, Condition, ItemState)],
    more: u64,
) -> fmt::Result {
    let each = waiting_for.iter().map(|(name, on, state)| match on {
        Condition::Success => format!("{name} ({state})"),
        on => format!("{name} ({state}, wanted: {})", on.as_str()),
    });
    write!(f, "waits for {}", each.collect::<Vec<_>>().join(", "))?;
    if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
}

/// What must become of a dependency.
fn wish(wanted: Condition) -> &'static str {
    match wanted {
        Condition::Success => "to succeed",
        Condition::Failure => "to fail",
        Condition::Done => "to run to an end",
        Condition::Always => "to end",
    }
}

impl Why {
    /// How long until it goes on by itself, where that is known.
    #[must_use]
    pub fn remaining(&self, now: Stamp) -> Option<Span> {
        match self {
            Self::Delay { until } | Self::Backoff { until, .. } => Some(until.since(now)),
            _ => None,
        }
    }
}

fn past(state: ItemState) -> &'static str {
    match state {
        ItemState::Skipped => "was skipped",
        ItemState::Cancelled => "was cancelled",
        state => state.as_str(),
    }
}
