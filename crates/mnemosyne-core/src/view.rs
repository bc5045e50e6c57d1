//! What users see of runs and items: plain values, the same for the command
//! line, the API and the dashboards.

use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use crate::inbox::Question;
use crate::node::NodeFacts;
use crate::orchestration::{Orchestration, Totals};
use crate::reply::Refusal;
use crate::role::AgentRole;
use crate::time::{Span, Stamp};
use crate::work::attempt::{Attempt, Outcome};
use crate::work::conversation::{Conversation, taken_up};
use crate::work::item::{Item, ItemRef};
use crate::work::payload::Payload;
use crate::work::report::{AttemptReport, ModelUsage};
use crate::work::review::ReviewRecord;
use crate::work::run::{PhaseState, Run, RunResult};
use crate::work::spec::{Demand, Policy};
use crate::work::state::ItemState;

/// A work item in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemView {
    /// Its id.
    pub id: ItemId,
    /// The plan's name for it.
    pub name: Box<str>,
    /// Where it stands.
    pub state: ItemState,
    /// Why it stands there, in words; empty while it runs.
    pub reason: String,
    /// 0 to 10; higher is sooner.
    pub priority: u8,
    /// Executions so far, the present one included.
    pub attempts: u32,
    /// The node that runs it, or ran it last.
    pub node: Option<NodeId>,
    /// The agent definition that runs it, or ran it last.
    pub agent: Option<Box<str>>,
    /// When its run was accepted.
    pub created_at: Stamp,
    /// When its last attempt started.
    pub started_at: Option<Stamp>,
    /// When it ended.
    pub finished_at: Option<Stamp>,
    /// What went wrong last, in words.
    pub error: Option<String>,
    /// A failure of it counts as success.
    pub soft_fail: bool,
}

/// A work item with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemDetail {
    /// What lists show.
    pub item: ItemView,
    /// Its run's name.
    pub run_name: Box<str>,
    /// Its run's namespace.
    pub namespace: Box<str>,
    /// Its idempotency key.
    pub key: Option<Box<str>>,
    /// What it waits for or waited for: names, conditions, states.
    pub needs: Vec<NeedView>,
    /// Its outputs, as JSON text.
    pub outputs: Option<Payload>,
    /// Its latest attempts, oldest first.
    pub history: Vec<AttemptView>,
    /// The recorded completion, when it succeeded by an attempt of its own.
    pub completion: Option<CompletionView>,
    /// Judgements of its results, the latest, oldest first.
    pub reviews: Vec<ReviewRecord>,
    /// The item that it reviews.
    pub review_of: Option<ItemId>,
    /// Name of its phase.
    pub phase: Option<Box<str>>,
}

/// A dependency of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedView {
    /// The item that is waited for.
    pub id: ItemId,
    /// Its name.
    pub name: Box<str>,
    /// What must become of it.
    pub on: crate::work::spec::Condition,
    /// Where it stands.
    pub state: ItemState,
}

/// One execution of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// 1, 2, …
    pub attempt: u32,
    /// Its fencing token.
    pub token: FencingToken,
    /// Where it ran.
    pub node: NodeId,
    /// The agent definition; none for a command.
    pub agent: Option<Box<str>>,
    /// The node's session when it was granted.
    pub session: SessionId,
    /// When it was granted.
    pub granted_at: Stamp,
    /// When its agent ran.
    pub started_at: Option<Stamp>,
    /// When nothing of it ran any more.
    pub ended_at: Option<Stamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why, in words.
    pub message: Option<Box<str>>,
    /// What else is known of it, once it has ended.
    pub report: Option<Box<AttemptReport>>,
}

/// The recorded completion of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionView {
    /// The token of the attempt that succeeded.
    pub token: FencingToken,
    /// Its number.
    pub attempt: u32,
    /// When it was recorded.
    pub at: Stamp,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The plan's name.
    pub name: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// How it ended, once it has.
    pub result: Option<RunResult>,
    /// A user holds it.
    pub paused: bool,
    /// Items by [`ItemState::index`].
    pub counts: [u32; ItemState::ALL.len()],
    /// When it was accepted.
    pub created_at: Stamp,
    /// When its last item ended.
    pub finished_at: Option<Stamp>,
    /// Its phases in order.
    pub phases: Vec<PhaseView>,
}

/// A phase of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseView {
    /// Its name.
    pub name: Box<str>,
    /// The item whose approval ends it.
    pub gate: ItemId,
    /// When that was.
    pub completed_at: Option<Stamp>,
}

impl RunView {
    /// Number of items.
    #[must_use]
    pub fn items(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Items in one state.
    #[must_use]
    pub fn count(&self, state: ItemState) -> u32 {
        self.counts[state.index()]
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// The session that runs now.
    pub session: Option<SessionId>,
    /// When that session started.
    pub session_since: Stamp,
    /// It takes no new attempts.
    pub draining: bool,
    /// What it can run.
    pub facts: NodeFacts,
    /// Slots in use, by role.
    pub used: [u32; 4],
}

/// The whole state in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The time; that of the log unless a node knows a later one.
    pub now: Stamp,
    /// Index of the last applied entry.
    pub applied: u64,
    /// Number of the last event.
    pub event_seq: u64,
    /// Items by [`ItemState::index`].
    pub counts: [u64; ItemState::ALL.len()],
    /// Counters since the beginning.
    pub totals: Totals,
    /// When the item that is ready for the longest time became ready; none if none is ready.
    pub oldest_ready: Option<Stamp>,
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// Unfinished runs.
    pub open_runs: u64,
}

/// What a node needs to launch a granted attempt.
#[derive(Clone, Debug)]
pub struct Order {
    /// The item.
    pub item: ItemId,
    /// Its name.
    pub name: Box<str>,
    /// Its run's name.
    pub run_name: Box<str>,
    /// Its run's namespace.
    pub namespace: Box<str>,
    /// Number of the attempt.
    pub attempt: u32,
    /// The attempt's token.
    pub token: FencingToken,
    /// The agent definition to use; none for a command.
    pub agent: Option<Box<str>>,
    /// The role whose agents execute it.
    pub role: AgentRole,
    /// The rules for the item's attempts.
    pub policy: Policy,
    /// What to execute, encoded.
    pub task: Payload,
    /// What the run's items share, encoded.
    pub context: Payload,
    /// It was told to stop before it started.
    pub stopping: bool,
    /// It was granted before this process of the node started: it may have run already.
    pub adopted: bool,
    /// The agent's conversation to be taken up again: the latest one of the same agent on the same node.
    pub resume: Option<Box<str>>,
    /// What that conversation has used so far.
    pub resume_used: ModelUsage,
    /// How many rounds of changes went before.
    pub rounds: u16,
    /// Findings of the latest review, as JSON text, which this attempt is to deal with.
    pub findings: Option<Payload>,
    /// Words of a human for this attempt.
    pub guidance: Option<Box<str>>,
    /// How the latest attempt before this one ended.
    pub last_outcome: Option<Outcome>,
    /// The same in words, if it did not end well.
    pub last_error: Option<String>,
    /// What is to be reviewed, where that is the work.
    pub reviews: Option<Box<Reviewed>>,
    /// The token of the latest attempt before this one that ran.
    pub last_attempt: Option<FencingToken>,
    /// Names and outputs of items that it needs directly, up to a limit.
    pub inputs: Vec<(Box<str>, Payload)>,
    /// Whether its outputs are a plan whose items join the run.
    pub expands: bool,
    /// Whether its result will be reviewed.
    pub will_be_reviewed: bool,
    /// A part of the attempt that has a folder of its own in that of the attempt.
    pub step: Option<Box<str>>,
    /// The name of the review that this is a step of. The step works where the reviewed item worked, and what it leaves
    /// to be kept is the review's.
    pub step_of: Option<Box<str>>,
}

/// What a review is about.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// The item.
    pub item: ItemId,
    /// Its name.
    pub name: Box<str>,
    /// The token of the attempt whose result it is; none at a gate.
    pub token: Option<FencingToken>,
    /// What the item was to do, encoded.
    pub task: Payload,
    /// Its outputs, as JSON text.
    pub outputs: Option<Payload>,
    /// What else is known of the attempt.
    pub report: Option<Box<AttemptReport>>,
    /// The number of this round, from 1.
    pub round: u16,
    /// Judgements of earlier rounds, oldest first.
    pub earlier: Vec<ReviewRecord>,
}

/// Which items a list shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ItemFilter {
    /// Only items of this run.
    pub run: Option<RunId>,
    /// Only items in these states; empty for all.
    pub states: Vec<ItemState>,
    /// Only items after this one, in the order of ids.
    pub after: Option<ItemId>,
    /// At most so many.
    pub limit: usize,
}

impl Orchestration {
    /// Items in the order of their ids.
    #[must_use]
    pub fn items(&self, filter: &ItemFilter) -> Vec<ItemView> {
        let first = filter.run.or(filter.after.map(|after| after.run)).unwrap_or(RunId::MIN);
        let last = filter.run.unwrap_or(RunId::MAX);
        let mut found = Vec::new();
        if first > last {
            return found;
        }
        for (id, slot) in self.index.by_id.range(first..=last) {
            let run = self.run(*slot);
            for (position, item) in (0_u32..).zip(run.items.iter()) {
                if found.len() >= filter.limit {
                    return found;
                }
                let wanted = filter.states.is_empty() || filter.states.contains(&item.state);
                if wanted && filter.after.is_none_or(|after| id.item(position) > after) {
                    found.push(self.view(ItemRef { run: *slot, position }));
                }
            }
        }
        found
    }

    /// One item with everything that is known of it.
    ///
    /// # Errors
    /// When there is no such item.
    pub fn detail(&self, id: ItemId) -> Result<ItemDetail, Refusal> {
        let at = self.find_item(id)?;
        let run = self.run(at.run);
        let item = self.item(at);
        let demand = &run.head.demands[usize::from(item.demand)];
        let need = |need: &crate::work::spec::Need| {
            let dependency = run.item(need.item).expect("validated at submission");
            NeedView {
                id: run.head.id.item(need.item),
                name: dependency.name.clone(),
                on: need.on,
                state: dependency.state,
            }
        };
        let completed = item.attempts.iter().find(|attempt| attempt.outcome == Some(Outcome::Succeeded));
        let completion =
            completed.filter(|_| item.state == ItemState::Succeeded).map(|attempt| CompletionView {
                token: attempt.token,
                attempt: attempt.number,
                at: attempt.ended_at.unwrap_or(item.since),
            });
        Ok(ItemDetail {
            item: self.view(at),
            run_name: run.head.name.clone(),
            namespace: run.head.namespace.clone(),
            key: item.key().map(Into::into),
            needs: item.needs.iter().map(need).collect(),
            outputs: item.extra.as_ref().and_then(|extra| extra.outputs.clone()),
            history: item.attempts.iter().map(|attempt| attempt_view(attempt, demand)).collect(),
            completion,
            reviews: item.extra.as_ref().map(|extra| extra.reviews.clone()).unwrap_or_default(),
            review_of: item.review_of().map(|position| run.head.id.item(position)),
            phase: phase_of(run, item),
        })
    }

    /// One run.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run_view(&self, id: RunId) -> Result<RunView, Refusal> {
        Ok(run_view(self.run(self.find_run(id)?)))
    }

    /// The latest runs, newest first.
    #[must_use]
    pub fn runs(&self, limit: usize) -> Vec<RunView> {
        self.index.by_id.values().rev().take(limit).map(|slot| run_view(self.run(*slot))).collect()
    }

    /// Runs whose id as text starts with `prefix`, at most `limit`.
    #[must_use]
    pub fn runs_by_prefix(&self, prefix: &str, limit: usize) -> Vec<RunId> {
        self.index.by_id.keys().filter(|id| id.to_string().starts_with(prefix)).take(limit).copied().collect()
    }

    /// The item of that name in a run.
    #[must_use]
    pub fn item_by_name(&self, run: RunId, name: &str) -> Option<ItemId> {
        let slot = self.find_run(run).ok()?;
        let position = self.run(slot).items.iter().position(|item| &*item.name == name)?;
        Some(run.item(u32::try_from(position).ok()?))
    }

    /// Name and JSON outputs of the items that an item depends on, directly or not, where they have outputs.
    #[must_use]
    pub fn outputs_before(&self, id: ItemId) -> Vec<(Box<str>, Payload)> {
        let Ok(at) = self.find_item(id) else { return Vec::new() };
        let run = self.run(at.run);
        let mut seen = std::collections::BTreeSet::new();
        let mut open: Vec<u32> = self.item(at).needs.iter().map(|need| need.item).collect();
        let mut found = Vec::new();
        while let Some(position) = open.pop() {
            if !seen.insert(position) {
                continue;
            }
            let item = run.item(position).expect("validated at submission");
            if let Some(outputs) = item.extra.as_ref().and_then(|extra| extra.outputs.clone()) {
                found.push((item.name.clone(), outputs));
            }
            open.extend(item.needs.iter().map(|need| need.item));
        }
        found
    }

    /// The state in numbers.
    #[must_use]
    pub fn status(&self) -> StatusView {
        StatusView {
            now: self.facts.now,
            applied: self.facts.applied,
            event_seq: self.facts.event_seq,
            counts: self.index.counts,
            totals: self.facts.totals,
            oldest_ready: self.oldest_ready(),
            nodes: self
                .facts
                .nodes
                .iter()
                .map(|(id, node)| NodeView {
                    id: *id,
                    session: node.session,
                    session_since: node.session_since,
                    draining: node.draining,
                    facts: node.facts.clone(),
                    used: node.used,
                })
                .collect(),
            open_runs: self.index.unfinished.len() as u64,
        }
    }

    /// Log time.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.facts.now
    }

    /// Records that retired runs have in the archive, all together.
    #[must_use]
    pub fn archived_records(&self) -> u64 {
        self.facts.archived_records
    }

    /// The session that a node has not ended.
    #[must_use]
    pub fn session_of(&self, node: NodeId) -> Option<SessionId> {
        self.facts.nodes.get(&node)?.session
    }

    /// Whether a run is in the state.
    #[must_use]
    pub fn knows_run(&self, run: RunId) -> bool {
        self.index.by_id.contains_key(&run)
    }

    /// The replicated settings.
    #[must_use]
    pub fn settings(&self) -> &crate::settings::Settings {
        &self.facts.settings
    }

    /// The attempts a node holds, in the order of ids.
    #[must_use]
    pub fn orders_of(&self, node: NodeId) -> Vec<Order> {
        self.all_items()
            .into_iter()
            .filter(|at| self.item(*at).granted().is_some_and(|attempt| attempt.node == node))
            .filter_map(|at| self.order(self.id_of(at)))
            .map(|order| Order { adopted: true, ..order })
            .collect()
    }

    /// What a node needs to launch the item's present attempt; none when it has none.
    #[must_use]
    pub fn order(&self, id: ItemId) -> Option<Order> {
        let at = self.find_item(id).ok()?;
        let run = self.run(at.run);
        let item = self.item(at);
        let attempt = item.granted()?;
        let (resume, resume_used) = match taken_up(&item.attempts) {
            Some(Conversation { session, used }) => (Some(session), used),
            None => (None, ModelUsage::default()),
        };
        let demand = &run.head.demands[usize::from(item.demand)];
        Some(Order {
            item: id,
            name: item.name.clone(),
            run_name: run.head.name.clone(),
            namespace: run.head.namespace.clone(),
            attempt: attempt.number,
            token: attempt.token,
            agent: agent_of(attempt, demand),
            role: demand.role,
            policy: run.policy(item).clone(),
            task: item.task.clone(),
            context: run.head.context.clone(),
            stopping: item.stopping.is_some(),
            adopted: false,
            resume,
            resume_used,
            rounds: item.extra.as_ref().map_or(0, |extra| extra.rounds),
            findings: item.extra.as_ref().and_then(|extra| extra.findings.clone()),
            guidance: item.extra.as_ref().and_then(|extra| extra.guidance.clone()),
            last_outcome: item.attempts.iter().rev().find_map(|attempt| attempt.outcome),
            last_error: error_of(item),
            reviews: self.reviewed(at).map(Box::new),
            last_attempt: last_attempt_of(item),
            inputs: inputs_of(run, item),
            expands: item.extra.as_ref().is_some_and(|extra| extra.expand_into.is_some()),
            will_be_reviewed: item.review.is_some(),
            step: None,
            step_of: None,
        })
    }

    /// What an item reviews.
    fn reviewed(&self, at: ItemRef) -> Option<Reviewed> {
        let position = self.item(at).review_of()?;
        let run = self.run(at.run);
        let item = run.item(position).expect("what is reviewed is in the same run");
        let extra = item.extra.as_ref()?;
        // A gate has none.
        let attempt = item.attempts.last();
        Some(Reviewed {
            item: run.head.id.item(position),
            name: item.name.clone(),
            token: attempt.map(|attempt| attempt.token),
            task: item.task.clone(),
            outputs: extra.outputs.clone(),
            report: attempt.and_then(|attempt| attempt.report.clone()),
            round: extra.rounds.saturating_add(1),
            earlier: extra.reviews.clone(),
        })
    }

    /// Open questions, the oldest first.
    #[must_use]
    pub fn questions(&self, limit: usize) -> Vec<Question> {
        let open = self.facts.inbox.values().filter(|question| question.decided.is_none());
        let mut questions: Vec<Question> = open.take(limit).cloned().chain(self.open_strays()).collect();
        questions.sort_by_key(|question| question.id);
        questions.truncate(limit);
        questions
    }

    /// A question that is open, or whose attempt still runs.
    #[must_use]
    pub fn question(&self, id: QuestionId) -> Option<&Question> {
        self.facts.inbox.get(&id)
    }

    pub(crate) fn view(&self, at: ItemRef) -> ItemView {
        let run = self.run(at.run);
        let item = self.item(at);
        let last = item.attempts.last();
        let demand = &run.head.demands[usize::from(item.demand)];
        ItemView {
            id: run.head.id.item(at.position),
            name: item.name.clone(),
            state: item.state,
            reason: self.reason(at),
            priority: item.priority,
            attempts: item.executions(),
            node: last.map(|attempt| attempt.node),
            agent: last.and_then(|attempt| agent_of(attempt, demand)),
            created_at: run.head.created_at,
            started_at: last.and_then(|attempt| attempt.started_at),
            finished_at: item.state.is_terminal().then_some(item.since),
            error: error_of(item),
            soft_fail: run.policy(item).soft_fail,
        }
    }

    fn oldest_ready(&self) -> Option<Stamp> {
        if self.index.counts[ItemState::Ready.index()] == 0 {
            return None;
        }
        let ready = |run: &Run| run.count(ItemState::Ready) > 0;
        let runs = self.index.by_id.values().map(|slot| self.run(*slot)).filter(|run| ready(run));
        runs.flat_map(|run| run.items.iter())
            .filter(|item| item.state == ItemState::Ready)
            .map(|item| item.since)
            .min()
    }
}

impl ItemView {
    /// How long the present or last attempt has run at `now`.
    #[must_use]
    pub fn run_time(&self, now: Stamp) -> Option<Span> {
        Some(self.finished_at.unwrap_or(now).since(self.started_at?))
    }
}

fn run_view(run: &Run) -> RunView {
    RunView {
        id: run.head.id,
        name: run.head.name.clone(),
        namespace: run.head.namespace.clone(),
        result: run.result(),
        paused: run.head.held,
        counts: run.counts,
        created_at: run.head.created_at,
        finished_at: run.head.finished_at,
        phases: run.head.phases.iter().map(|phase| phase_view(run, phase)).collect(),
    }
}

fn phase_view(run: &Run, phase: &PhaseState) -> PhaseView {
    PhaseView { name: phase.name.clone(), gate: run.head.id.item(phase.gate), completed_at: phase.completed_at }
}

fn phase_of(run: &Run, item: &Item) -> Option<Box<str>> {
    let phase = run.head.phases.get(usize::from(item.extra.as_ref()?.phase?))?;
    Some(phase.name.clone())
}

fn attempt_view(attempt: &Attempt, demand: &Demand) -> AttemptView {
    AttemptView {
        attempt: attempt.number,
        token: attempt.token,
        node: attempt.node,
        agent: agent_of(attempt, demand),
        session: attempt.session,
        granted_at: attempt.granted_at,
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
        outcome: attempt.outcome,
        message: attempt.message.clone(),
        report: attempt.report.clone(),
    }
}

/// Outputs of direct dependencies that an order carries.
const INPUTS_MAX: usize = 64;

fn inputs_of(run: &Run, item: &Item) -> Vec<(Box<str>, Payload)> {
    let needed = item.needs.iter().filter_map(|need| run.item(need.item));
    let outputs = needed.filter_map(|item| Some((item.name.clone(), item.extra.as_ref()?.outputs.clone()?)));
    outputs.take(INPUTS_MAX).collect()
}

/// The latest attempt before the present one whose agent ran.
fn last_attempt_of(item: &Item) -> Option<FencingToken> {
    let (_, earlier) = item.attempts.split_last()?;
    earlier.iter().rev().find(|attempt| attempt.started_at.is_some()).map(|attempt| attempt.token)
}

fn agent_of(attempt: &Attempt, demand: &Demand) -> Option<Box<str>> {
    demand.agents.get(usize::from(attempt.agent?)).cloned()
}

fn error_of(item: &Item) -> Option<String> {
    if item.state == ItemState::Succeeded {
        return None;
    }
    let last = item.attempts.iter().rev().find(|attempt| attempt.outcome.is_some())?;
    match (last.outcome?, &last.message) {
        (Outcome::Succeeded, _) => None,
        (outcome, None) => Some(outcome.to_string()),
        (outcome, Some(message)) => Some(format!("{outcome}: {message}")),
    }
}
