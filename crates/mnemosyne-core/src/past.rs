//! A run as it was at a moment in the past: a fold of its events up to then.
//!
//! Events say what changed and the run's plan does not change, so this needs
//! nothing but the history. One thing they do not say: while a run or an item
//! is held by a user, what waits is shown as paused, whatever it waits for.

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventRecord};
use crate::id::{FencingToken, ItemId, NodeId, RunId};
use crate::time::Stamp;
use crate::work::run::RunResult;
use crate::work::state::ItemState;

/// A run as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    run: RunId,
    /// When it was accepted; none before that.
    pub submitted_at: Option<Stamp>,
    /// When its last item had ended, and how the run had ended then.
    pub finished: Option<(Stamp, RunResult)>,
    /// A user held the whole run.
    pub held: bool,
    /// When it had left the state.
    pub retired_at: Option<Stamp>,
    items: Vec<ItemThen>,
}

/// An item as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemThen {
    state: ItemState,
    /// When it had come there.
    pub since: Stamp,
    /// A user held it.
    pub held: bool,
    /// Attempts granted so far.
    pub attempts: u32,
    /// The latest of them.
    pub token: Option<FencingToken>,
    /// The node of that one.
    pub node: Option<NodeId>,
    /// That one has not ended.
    pub granted: bool,
}

impl Past {
    /// The run before anything has happened.
    #[must_use]
    pub fn of(run: RunId) -> Self {
        Self { run, submitted_at: None, finished: None, held: false, retired_at: None, items: Vec::new() }
    }

    /// The same after what happened next. Events of other runs change nothing.
    pub fn fold(&mut self, record: &EventRecord) {
        if record.event.run() != Some(self.run) {
            return;
        }
        match record.event {
            Event::RunSubmitted { items, .. } => {
                self.submitted_at = Some(record.at);
                self.grow(items, record.at);
            }
            Event::ItemsAdded { items, .. } => self.grow(items, record.at),
            Event::RunFinished { result, .. } => self.finished = Some((record.at, result)),
            Event::RunReopened { .. } => self.finished = None,
            Event::RunPaused { on, .. } => self.hold(on),
            Event::RunRetired { .. } => self.retired_at = Some(record.at),
            event => {
                if let Some(item) = event.item() {
                    self.fold_item(item, &event, record.at);
                }
            }
        }
    }

    /// Whether nothing of the run had happened before this event of it.
    #[must_use]
    pub fn begins_with(&self, record: &EventRecord) -> bool {
        matches!(record.event, Event::RunSubmitted { run, .. } if run == self.run)
    }

    /// The items in the order of the plan, with their states.
    pub fn items(&self) -> impl Iterator<Item = (ItemState, &ItemThen)> {
        self.items.iter().map(|item| (self.shown(item), item))
    }

    /// Items by [`ItemState::index`].
    #[must_use]
    pub fn counts(&self) -> [u32; ItemState::ALL.len()] {
        let mut counts = [0; ItemState::ALL.len()];
        self.items().for_each(|(state, _)| counts[state.index()] += 1);
        counts
    }

    fn shown(&self, item: &ItemThen) -> ItemState {
        if item.state.waits() && (item.held || self.held) { ItemState::Paused } else { item.state }
    }

    fn grow(&mut self, items: u32, at: Stamp) {
        let new = (0..items).map(|_| ItemThen { since: at, ..ItemThen::default() });
        self.items.extend(new);
    }

    fn hold(&mut self, on: bool) {
        self.held = on;
        for item in &mut self.items {
            item.let_go(on || item.held);
        }
    }

    fn fold_item(&mut self, id: ItemId, event: &Event, at: Stamp) {
        if let Event::ReviewRequested { review, .. } = event
            && usize::try_from(review.position).is_ok_and(|position| position == self.items.len())
        {
            self.grow(1, at);
        }
        let run_held = self.held;
        let Some(item) = usize::try_from(id.position).ok().and_then(|at| self.items.get_mut(at)) else {
            return;
        };
        if let Some(state) = item.follow(event, run_held) {
            item.state = state;
            item.since = at;
        }
    }
}

impl ItemThen {
    /// What an event of the item makes of it; none when its state stays as it is. Where several events follow one
    /// another at the same moment, the last one decides.
    fn follow(&mut self, event: &Event, run_held: bool) -> Option<ItemState> {
        let or_paused = |item: &Self| (run_held || item.held).then_some(ItemState::Paused);
        match *event {
            Event::WorkItemReady { .. } => Some(ItemState::Ready),
            Event::WorkItemScheduled { .. } => Some(ItemState::Scheduled),
            Event::WorkItemBackingOff { .. } => Some(ItemState::BackingOff),
            Event::WorkItemStarted { .. } => Some(ItemState::Running),
            Event::WorkItemEnded { state, .. } => Some(state),
            Event::WorkItemReopened { .. } => Some(ItemState::Pending),
            Event::ReviewRequested { .. } => Some(ItemState::Reviewing),
            Event::WorkItemAssigned { token, node, .. } => {
                (self.token, self.node, self.granted) = (Some(token), Some(node), true);
                self.attempts += 1;
                Some(ItemState::Assigned)
            }
            Event::AttemptEnded { .. } => {
                self.granted = false;
                or_paused(self)
            }
            // One that is asked by an attempt that runs on changes nothing.
            Event::QuestionAsked { .. } => (!self.granted).then_some(ItemState::Waiting),
            Event::QuestionDecided { .. } if self.granted => None,
            Event::QuestionDecided { .. } | Event::ReviewDecided { .. } => or_paused(self),
            Event::WorkItemPaused { on, .. } => {
                self.held = on;
                self.let_go(on || run_held);
                None
            }
            _ => None,
        }
    }

    /// Whoever is not held any more waits for something again; an event says what, unless it is a dependency.
    fn let_go(&mut self, held: bool) {
        if !held && self.state == ItemState::Paused {
            self.state = ItemState::Pending;
        }
    }
}
