//! A small language for stories about the state machine.

use mnemosyne_core::command::{Batch, Command, OnExisting, Submission, Target};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::Event;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId, RunId};
use mnemosyne_core::invariant;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::{Orchestration, Output};
use mnemosyne_core::reconciliation::StateReconciliator;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Demand, Group, ItemSpec, Need, Policy, RunSpec};
use mnemosyne_core::work::state::ItemState;

pub(crate) const NODE: NodeId = NodeId(1);

/// A state machine with a clock, checked after every entry.
pub(crate) struct Story {
    pub(crate) state: Orchestration,
    pub(crate) index: u64,
    pub(crate) now: u64,
    pub(crate) last: Output,
    /// Knows every event so far.
    pub(crate) told: StateReconciliator,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            state: Orchestration::new(),
            index: 0,
            now: 1_000_000,
            last: Output::default(),
            told: StateReconciliator::new(),
        }
    }

    /// A story in which one node with so many executor slots runs.
    pub(crate) fn with_slots(slots: u32) -> Self {
        let mut story = Self::new();
        let facts = NodeFacts { slots: [1, 1, 1, slots], ..NodeFacts::default() };
        story.ask(Command::StartSession { node: NODE, facts });
        story
    }

    /// Applies one entry, checks every invariant, and holds the events against the state.
    pub(crate) fn apply(&mut self, commands: Vec<Command>) -> Vec<Reply> {
        self.index += 1;
        let batch = Batch { stamp: Stamp::from_millis(self.now), commands };
        self.last = self.state.apply(self.index, &batch);
        invariant::check(&self.state).expect("every invariant holds");
        self.last.events.iter().for_each(|event| self.told.fold(event));
        assert_eq!(self.told.reconcile(&self.state), Ok(()), "the events tell the state");
        self.last.replies.clone()
    }

    pub(crate) fn ask(&mut self, command: Command) -> Reply {
        self.apply(vec![command]).pop().expect("one reply for each command")
    }

    /// Another one that goes on from the same state on its own, as a copy of a data directory does.
    pub(crate) fn copy(&self) -> Self {
        let state = invariant::check_restore(&self.state).expect("a snapshot leads back to the state");
        let told = self.told.clone();
        Self { state, index: self.index, now: self.now, last: Output::default(), told }
    }

    /// What the last entry has led to.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.last.events.iter().map(|record| record.event).collect()
    }

    pub(crate) fn refused(&mut self, command: Command) -> Refusal {
        let hash = self.state.hash();
        let fenced = self.state.status().totals.fenced;
        match self.ask(command) {
            Reply::Refused(refusal) => {
                let counted = self.state.status().totals.fenced > fenced;
                assert!(counted || hash == self.state.hash(), "a refusal changes nothing");
                refusal
            }
            other => panic!("not refused but {other:?}"),
        }
    }

    pub(crate) fn submit(&mut self, spec: RunSpec) -> RunId {
        match self.ask(submit(spec)) {
            Reply::Submitted { run, existing: false, .. } => run,
            other => panic!("not accepted but {other:?}"),
        }
    }

    pub(crate) fn tick(&mut self, millis: u64) {
        self.now += millis;
        self.ask(Command::Tick);
    }

    pub(crate) fn state_of(&self, item: ItemId) -> ItemState {
        self.state.detail(item).expect("the item exists").item.state
    }

    pub(crate) fn states(&self, run: RunId) -> Vec<ItemState> {
        let count = self.state.run_view(run).expect("the run exists").items();
        (0..count).map(|position| self.state_of(run.item(position))).collect()
    }

    pub(crate) fn token(&self, item: ItemId) -> FencingToken {
        self.state.order(item).unwrap_or_else(|| panic!("{item} is not granted")).token
    }

    pub(crate) fn start(&mut self, item: ItemId) {
        let token = self.token(item);
        assert_eq!(self.ask(Command::Started { item, token }), Reply::Done);
    }

    pub(crate) fn finish(&mut self, item: ItemId, result: AttemptResult) {
        let token = self.token(item);
        assert_eq!(self.ask(Command::Finished { item, token, result, report: None }), Reply::Done);
    }

    pub(crate) fn succeed(&mut self, item: ItemId) {
        self.finish(item, success());
    }

    pub(crate) fn fail(&mut self, item: ItemId) {
        self.finish(item, failure());
    }

    pub(crate) fn cancel(&mut self, target: Target) -> Reply {
        self.ask(Command::Cancel { target, reason: "enough".into() })
    }

    pub(crate) fn started_now(&self) -> Vec<ItemId> {
        let start = |effect: &Effect| match effect {
            Effect::Start { item, .. } => Some(*item),
            Effect::Stop { .. } | Effect::Answer { .. } | Effect::Reconcile { .. } => None,
        };
        self.last.effects.iter().filter_map(start).collect()
    }

    pub(crate) fn stopped_now(&self) -> Vec<ItemId> {
        let stop = |effect: &Effect| match effect {
            Effect::Stop { item, .. } => Some(*item),
            Effect::Start { .. } | Effect::Answer { .. } | Effect::Reconcile { .. } => None,
        };
        self.last.effects.iter().filter_map(stop).collect()
    }

    /// Writes a snapshot and goes on from what was read back.
    pub(crate) fn restart(&mut self) {
        self.state = invariant::check_restore(&self.state).expect("a snapshot leads back to the state");
    }
}

pub(crate) fn submit(spec: RunSpec) -> Command {
    Command::Submit(Submission { spec, existing: OnExisting::Continue })
}

pub(crate) fn success() -> AttemptResult {
    AttemptResult::Succeeded { outputs: None }
}

pub(crate) fn failure() -> AttemptResult {
    AttemptResult::Failed { fault: Fault::ExitCode(1), message: "exit code 1".into() }
}

pub(crate) fn interrupted() -> AttemptResult {
    AttemptResult::Requeue { cause: Cause::Interrupted, message: "the node died".into(), after: None }
}

pub(crate) fn run(name: &str, items: Vec<ItemSpec>) -> RunSpec {
    let mut digest = [0_u8; 32];
    digest.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    RunSpec {
        name: name.into(),
        namespace: "default".into(),
        key: None,
        digest,
        context: Payload::empty(),
        policies: vec![Policy::default()],
        demands: vec![Demand::default()],
        groups: Vec::new(),
        items,
        ..RunSpec::default()
    }
}

pub(crate) fn item(name: &str, needs: &[u32]) -> ItemSpec {
    ItemSpec {
        name: name.into(),
        needs: needs.iter().map(|item| Need { item: *item, on: Condition::Success }).collect(),
        policy: 0,
        demand: 0,
        group: None,
        priority: 5,
        estimate: None,
        key: None,
        task: Payload::Inline(name.as_bytes().into()),
        ..ItemSpec::default()
    }
}

pub(crate) fn needing(name: &str, needs: &[(u32, Condition)]) -> ItemSpec {
    let needs = needs.iter().map(|(item, on)| Need { item: *item, on: *on }).collect();
    ItemSpec { needs, ..item(name, &[]) }
}

pub(crate) fn with_policy(mut spec: RunSpec, change: impl FnOnce(&mut Policy)) -> RunSpec {
    change(&mut spec.policies[0]);
    spec
}

pub(crate) fn with_group(mut spec: RunSpec, max_parallel: u32) -> RunSpec {
    spec.groups = vec![Group { name: "each".into(), max_parallel, within: None }];
    spec.items.iter_mut().for_each(|item| item.group = Some(0));
    spec
}

pub(crate) fn secs(secs: u64) -> Option<Span> {
    Some(Span::from_secs(secs))
}
