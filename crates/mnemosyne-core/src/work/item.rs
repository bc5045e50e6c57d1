//! A work item as the state machine keeps it.

use serde::{Deserialize, Serialize};

use crate::id::QuestionId;
use crate::id::{FencingToken, ItemId};
use crate::time::Stamp;
use crate::work::attempt::{Attempt, Cause, Outcome, StopCause};
use crate::work::payload::Payload;
use crate::work::review::{Judgement, ReviewRecord};
use crate::work::spec::{ItemSpec, Need, RunSpec};
use crate::work::state::ItemState;

/// Where an item lies: the slot of its run and its position there. Valid only
/// inside one replica and never written anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ItemRef {
    pub(crate) run: u32,
    pub(crate) position: u32,
}

/// A work item. What few items have lies in [`Extra`], so that a queued item stays small.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) name: Box<str>,
    pub(crate) task: Payload,
    pub(crate) needs: Box<[Need]>,
    /// The inverse of `needs`: who waits for this item, and for what to become
    /// of it. Derived.
    #[serde(skip)]
    pub(crate) dependents: Vec<Need>,
    /// The latest attempts, oldest first; see [`Item::granted`].
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) extra: Option<Box<Extra>>,
    /// When the present state was entered.
    pub(crate) since: Stamp,
    /// Length of the longest path that starts here, in the run's unit.
    pub(crate) rank: u32,
    /// Dependencies that have not come to the end they must come to.
    pub(crate) unmet: u32,
    pub(crate) policy: u16,
    pub(crate) group: Option<u16>,
    /// Position of what must be approved, in the run's table.
    pub(crate) review: Option<u16>,
    /// Attempts that count against the policy's `max_attempts`.
    pub(crate) spent: u16,
    /// Position of its demand in the run's table.
    pub(crate) demand: u16,
    pub(crate) priority: u8,
    pub(crate) state: ItemState,
    /// It is granted, but its node has been told to stop it.
    pub(crate) stopping: Option<StopCause>,
    /// A user holds it; it starts no further attempt.
    pub(crate) held: bool,
}

/// What few items have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Extra {
    pub(crate) key: Option<Box<str>>,
    /// The item with the same key that does the work for this one.
    pub(crate) alias_of: Option<ItemId>,
    /// The item with the same key that has done the work for this one.
    pub(crate) done_by: Option<ItemId>,
    pub(crate) outputs: Option<Payload>,
    /// Requeues that spent no attempt, by [`Cause::index`].
    pub(crate) requeues: [u16; Cause::ALL.len()],
    /// Earliest next start while scheduled or backing off.
    pub(crate) not_before: Stamp,
    /// When it was reopened: its deadline counts from then on.
    pub(crate) reopened_at: Option<Stamp>,
    /// Why it ended as it did, where that does not follow from its last attempt.
    pub(crate) end: Option<EndReason>,
    pub(crate) estimate_ms: u64,
    /// Position of the phase it belongs to.
    pub(crate) phase: Option<u16>,
    /// Position of the item that waits for what this one adds to the run.
    pub(crate) expand_into: Option<u32>,
    /// How many items up the line were added by others.
    pub(crate) depth: u8,
    /// What it adds to the run once it is approved.
    pub(crate) extension: Option<Box<RunSpec>>,
    /// Position of the item that this one reviews.
    pub(crate) review_of: Option<u32>,
    /// Position of the item that reviews this one, the latest.
    pub(crate) reviewed_by: Option<u32>,
    /// Reviews of it that were requested so far.
    pub(crate) reviews_requested: u32,
    /// Rounds that asked for changes since it was submitted, reopened or answered.
    pub(crate) rounds: u16,
    /// What this item says about the one that it reviews.
    pub(crate) judgement: Option<Box<Judgement>>,
    /// What was judged, the latest, oldest first.
    pub(crate) reviews: Vec<ReviewRecord>,
    /// What the next attempt is to be told: findings of the review.
    pub(crate) findings: Option<Payload>,
    /// What the next attempt is to be told: words of a human.
    pub(crate) guidance: Option<Box<str>>,
    /// Its open questions in the inbox.
    pub(crate) questions: Vec<QuestionId>,
}

/// Why an item ended other than by its own attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// A dependency did not end as it had to.
    Dependency {
        /// Position of that dependency in the run.
        item: u32,
        /// How it ended.
        was: ItemState,
    },
    /// A user cancelled it.
    Cancelled {
        /// The reason the user gave.
        reason: Box<str>,
    },
    /// It waited longer than `timeouts.queue`.
    QueueTimeout,
    /// Its deadline passed.
    Deadline,
    /// An item with the same key has done the work.
    SameKey {
        /// That item.
        item: ItemId,
    },
    /// A human rejected its result, or time decided so.
    Rejected {
        /// In words.
        reason: Box<str>,
    },
    /// An earlier run had done it, of which this one is a fork.
    Reused {
        /// The item there.
        item: ItemId,
    },
}

impl Item {
    /// A new item; its dependents and rank are filled in by its run.
    pub(crate) fn new(spec: &ItemSpec, now: Stamp) -> Self {
        let special =
            spec.key.is_some() || spec.estimate.is_some() || spec.phase.is_some() || spec.expand_into.is_some();
        let extra = special.then(|| {
            Box::new(Extra {
                key: spec.key.clone(),
                estimate_ms: spec.estimate.map_or(0, |span| span.as_millis()),
                phase: spec.phase,
                expand_into: spec.expand_into,
                ..Extra::default()
            })
        });
        Self {
            name: spec.name.clone(),
            task: spec.task.clone(),
            needs: spec.needs.clone(),
            dependents: Vec::new(),
            attempts: Vec::new(),
            extra,
            since: now,
            rank: 0,
            unmet: u32::try_from(spec.needs.len()).expect("validated against a limit"),
            policy: spec.policy,
            group: spec.group,
            review: spec.review,
            spent: 0,
            demand: spec.demand,
            priority: spec.priority,
            state: ItemState::Pending,
            stopping: None,
            held: false,
        }
    }

    /// The attempt that is granted now, if one is.
    pub(crate) fn granted(&self) -> Option<&Attempt> {
        self.state.is_granted().then(|| self.attempts.last().expect("a grant is recorded as an attempt"))
    }

    /// Whether an attempt ended because others took its node for gone.
    pub(crate) fn lost_with_its_node(&self, token: FencingToken) -> bool {
        let lost = Some(Outcome::Requeued(Cause::NodeLost));
        self.attempts.iter().any(|attempt| attempt.token == token && attempt.outcome == lost)
    }

    /// The same for writing.
    pub(crate) fn granted_mut(&mut self) -> Option<&mut Attempt> {
        self.state.is_granted().then(|| self.attempts.last_mut().expect("a grant is recorded as an attempt"))
    }

    /// Number of executions so far, the present one included.
    pub(crate) fn executions(&self) -> u32 {
        // Not that of the last one: what was taken over from another copy keeps its number.
        self.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0)
    }

    /// What few items have, made if it is missing.
    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Its idempotency key.
    pub(crate) fn key(&self) -> Option<&str> {
        self.extra.as_ref()?.key.as_deref()
    }

    /// The item that does the work for this one.
    pub(crate) fn alias_of(&self) -> Option<ItemId> {
        self.extra.as_ref()?.alias_of
    }

    /// The item that has done the work of this one, which may still wait for what it needs.
    pub(crate) fn done_by(&self) -> Option<ItemId> {
        self.extra.as_ref()?.done_by
    }

    /// Why it ended, where that does not follow from its last attempt.
    pub(crate) fn end_reason(&self) -> Option<&EndReason> {
        self.extra.as_ref()?.end.as_ref()
    }

    /// Its open questions in the inbox.
    pub(crate) fn questions(&self) -> &[QuestionId] {
        self.extra.as_ref().map_or(&[], |extra| &extra.questions)
    }

    /// Position of the item that this one reviews.
    pub(crate) fn review_of(&self) -> Option<u32> {
        self.extra.as_ref()?.review_of
    }

    /// Earliest next start while scheduled or backing off.
    pub(crate) fn not_before(&self) -> Stamp {
        self.extra.as_ref().map_or(Stamp::default(), |extra| extra.not_before)
    }
}
