//! Random histories: every invariant holds after every entry, and a replica
//! that was restored from a snapshot goes on exactly like the one that was not.

use std::collections::BTreeMap;

use crate::story::{failure, interrupted, item, run, submit, success};
use mnemosyne_core::command::{Batch, Command, ForkSource, OnExisting, Submission, Target};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::Event;
use mnemosyne_core::hash::mix;
use mnemosyne_core::id::{FencingToken, ItemId, NodeId, QuestionId, RunId, SessionId};
use mnemosyne_core::image::{Retired, RunImage, RunSummary};
use mnemosyne_core::inbox::{Ask, Decision, QuestionKind};
use mnemosyne_core::invariant;
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::orchestration::{Orchestration, Output};
use mnemosyne_core::past::Past;
use mnemosyne_core::reconciliation::StateReconciliator;
use mnemosyne_core::reply::{Imported, Reply};
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::session::Opening;
use mnemosyne_core::settings::{LoadBalancingStrategy, Settings};
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::view::ItemFilter;
use mnemosyne_core::work::attempt::{AttemptResult, Cause};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::review::{Judgement, ReviewVerdict};
use mnemosyne_core::work::spec::{
    Condition, Demand, Group, ItemSpec, Need, Policy, Retry, Review, Reviewer, RunSpec, Timeouts,
};
use mnemosyne_core::work::state::ItemState;

/// A small generator of pseudo-random numbers; the same seed, the same history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % sides
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let sides = u64::try_from(from.len()).expect("small");
        if sides == 0 { None } else { from.get(usize::try_from(self.roll(sides)).expect("small")) }
    }
}

/// What the outside knows: grants that were handed out, runs that were accepted.
#[derive(Default)]
struct World {
    granted: BTreeMap<ItemId, FencingToken>,
    stale: Vec<(ItemId, FencingToken)>,
    runs: Vec<(RunId, u32)>,
    sessions: BTreeMap<NodeId, SessionId>,
    completed: BTreeMap<ItemId, u32>,
    submitted: u64,
    questions: Vec<QuestionId>,
    /// Every run as its events tell it.
    told: BTreeMap<RunId, Past>,
    reconciliator: StateReconciliator,
}

impl World {
    fn learn(&mut self, commands: &[Command], output: &Output) {
        for (command, reply) in commands.iter().zip(&output.replies) {
            match (command, reply) {
                (
                    _,
                    Reply::Submitted { run, items, existing: false }
                    | Reply::Imported(Imported { run, items, existing: false, .. }),
                ) => {
                    self.runs.push((*run, *items));
                    self.submitted += u64::from(*items);
                }
                (
                    Command::StartSession { node, .. }
                    | Command::OpenSession { node, .. }
                    | Command::Join { node, .. },
                    Reply::Session { session, .. },
                ) => {
                    self.sessions.insert(*node, *session);
                }
                (
                    Command::EndSession { node, .. }
                    | Command::AbandonSession { node, .. }
                    | Command::CloseSession { node, .. }
                    | Command::OrphanSession { node, .. },
                    Reply::Done,
                ) => {
                    self.sessions.remove(node);
                }
                (Command::Finished { item, token, .. }, Reply::Done) => {
                    assert_eq!(self.granted.remove(item), Some(*token), "only the valid token is accepted");
                    self.stale.push((*item, *token));
                }
                (Command::Finished { item, token, .. }, Reply::Refused(_)) => {
                    assert_ne!(self.granted.get(item), Some(token), "the valid token is never refused");
                }
                _ => {}
            }
        }
        for record in &output.events {
            self.reconciliator.fold(record);
            if let Some(run) = record.event.run() {
                self.told.entry(run).or_insert_with(|| Past::of(run)).fold(record);
            }
            match record.event {
                Event::WorkItemEnded { item, state: ItemState::Succeeded } => {
                    *self.completed.entry(item).or_default() += 1;
                }
                Event::ReviewRequested { item, review } if self.is_new(review) => self.grown(item.run, 1),
                Event::ItemsAdded { item, items } => self.grown(item.run, items),
                Event::QuestionAsked { question, .. } => self.questions.push(question),
                // Its node was lost.
                Event::AttemptEnded { item, token, .. } if self.granted.get(&item) == Some(&token) => {
                    self.granted.remove(&item);
                    self.stale.push((item, token));
                }
                _ => {}
            }
        }
        for effect in &output.effects {
            if let Effect::Start { item, token, .. } = effect {
                let before = self.granted.insert(*item, *token);
                assert_eq!(before, None, "{item} is granted twice at the same time");
            }
        }
    }
}

impl World {
    /// What has left the state is as its events tell it, too.
    fn check_retired(&self, state: &Orchestration, retired: &[Retired]) {
        for Retired { image, .. } in retired {
            let records: Vec<Vec<u8>> = image.records().collect();
            assert_eq!(records.len() as u64, image.record_count());
            let read = RunImage::read(records.iter().map(Vec::as_slice)).expect("just written");
            assert_eq!(RunSummary::of(&records[0]).expect("just written"), *read.summary());
            let run = read.run();
            let past = &self.told[&run];
            assert_eq!(past.retired_at, Some(state.now()));
            compare(past, &read.into_state().expect("it has left"), run);
        }
    }

    /// What the events tell is what the state says.
    fn check_past(&self, state: &Orchestration) {
        for (run, past) in self.told.iter().filter(|(run, _)| state.knows_run(**run)) {
            compare(past, state, *run);
        }
        assert_eq!(self.reconciliator.reconcile(state), Ok(()));
    }

    /// A review that came along with its run has been counted.
    fn is_new(&self, review: ItemId) -> bool {
        let run = self.runs.iter().find(|(run, _)| *run == review.run);
        run.is_some_and(|(_, items)| review.position >= *items)
    }

    fn grown(&mut self, run: RunId, by: u32) {
        self.submitted += u64::from(by);
        let known = self.runs.iter_mut().find(|(known, _)| *known == run);
        known.expect("only accepted runs grow").1 += by;
    }
}

fn compare(past: &Past, state: &Orchestration, run: RunId) {
    let view = state.run_view(run).expect("it is there");
    // One that came from elsewhere was accepted there.
    assert!(past.submitted_at >= Some(view.created_at));
    assert_eq!(past.finished.map(|(_, result)| result), view.result);
    assert_eq!(past.held, view.paused, "{run}");
    let items = state.items(&ItemFilter { run: Some(run), limit: usize::MAX, ..ItemFilter::default() });
    assert_eq!(past.items().count(), items.len());
    for ((told, then), item) in past.items().zip(items) {
        let is_held = then.held || past.held;
        let found = if is_held && item.state.waits() { ItemState::Paused } else { item.state };
        assert_eq!(told, found, "{} {}", item.id, item.reason);
    }
}

/// What an attempt reports, sometimes what does not fit its item.
fn result(dice: &mut Dice, number: u64) -> AttemptResult {
    match dice.roll(14) {
        0..5 => success(),
        5..7 => failure(),
        7 => interrupted(),
        8..11 => judged(dice),
        11 => AttemptResult::Blocked(Box::new(ask(dice))),
        12 => {
            let names = (0..1 + dice.roll(3)).map(|at| format!("child {number} {at}"));
            let mut children = run("children", names.map(|name| item(&name, &[])).collect());
            children.items.last_mut().expect("at least one").key = dice.chance(20).then(|| "key-1".into());
            AttemptResult::Expanded { outputs: None, children: Box::new(children) }
        }
        _ => AttemptResult::Requeue {
            cause: Cause::Throttled,
            message: "429".into(),
            after: Some(Span::from_secs(2)),
        },
    }
}

fn judged(dice: &mut Dice) -> AttemptResult {
    let verdict = [ReviewVerdict::Approve, ReviewVerdict::Changes, ReviewVerdict::Abstain];
    let verdict = *dice.pick(&verdict).expect("three of them");
    let subject = dice.chance(10).then_some([1; 32]);
    AttemptResult::Reviewed(Box::new(Judgement { verdict, subject, summary: "so".into(), findings: None }))
}

fn ask(dice: &mut Dice) -> Ask {
    let kinds = [QuestionKind::Permission, QuestionKind::Denied, QuestionKind::Login, QuestionKind::Budget];
    Ask {
        kind: *dice.pick(&kinds).expect("four of them"),
        key: format!("{}", dice.roll(4)).into(),
        text: "may I?".into(),
        wait: dice.chance(40).then(|| Span::from_secs(dice.roll(20))),
        yes_on_timeout: dice.chance(50),
        ..Ask::default()
    }
}

fn opening(dice: &mut Dice) -> Opening {
    let orphan_after = dice.chance(50).then(|| Span::from_secs(5 + dice.roll(40)));
    Opening { orphan_after, auto_resume: dice.chance(50), ..Opening::default() }
}

fn decision(dice: &mut Dice) -> Decision {
    let all = [Decision::Approve, Decision::Reject, Decision::Answer];
    *dice.pick(&all).expect("three of them")
}

fn plan(dice: &mut Dice, number: u64) -> RunSpec {
    let count = 1 + dice.roll(12);
    let items = (0..count).map(|at| {
        let mut needs = Vec::new();
        for before in 0..at {
            if dice.chance(25) {
                let on = [Condition::Success, Condition::Failure, Condition::Done, Condition::Always];
                let on = *dice.pick(&on).expect("four of them");
                needs.push(Need { item: u32::try_from(before).expect("small"), on });
            }
        }
        let key = dice.chance(15).then(|| format!("key-{at}").into());
        ItemSpec {
            needs: needs.into(),
            priority: u8::try_from(dice.roll(11)).expect("small"),
            estimate: dice.chance(30).then(|| Span::from_secs(dice.roll(100))),
            group: dice.chance(30).then(|| u16::try_from(dice.roll(2)).expect("small")),
            policy: u16::try_from(dice.roll(2)).expect("small"),
            task: Payload::Inline(Box::from(*b"same work")),
            key,
            ..item(&format!("i{at}"), &[])
        }
    });
    let items = items.collect();
    let mut spec = run(&format!("plan {}", number % 5), items);
    spec.policies = vec![
        Policy::default(),
        Policy {
            retry: Retry { max_attempts: 3, ..Retry::default() },
            timeouts: Timeouts {
                queue: dice.chance(30).then(|| Span::from_secs(20)),
                run: dice.chance(50).then(|| Span::from_secs(5)),
                idle: None,
            },
            deadline: dice.chance(20).then(|| Span::from_secs(40)),
            delay: dice.chance(20).then(|| Span::from_secs(3)),
            soft_fail: dice.chance(30),
            ..Policy::default()
        },
    ];
    let mut group = |name: &str, within| {
        let max_parallel = 1 + u32::try_from(dice.roll(2)).expect("small");
        Group { name: name.into(), max_parallel, within }
    };
    spec.groups = vec![group("outer", None), group("inner", Some(0))];
    spec.demands.push(Demand { role: AgentRole::Reviewer, ..Demand::default() });
    let reviewer = Reviewer { demand: 1, policy: 1, task: Payload::Inline([1].into()) };
    let human = dice.chance(50);
    let wait = dice.chance(50).then(|| Span::from_secs(dice.roll(30)));
    let accept_on_timeout = dice.chance(50);
    spec.reviews = vec![
        Review { reviewer: Some(reviewer), human, max_rounds: 2, wait, accept_on_timeout },
        Review { human: true, wait, accept_on_timeout, ..Review::default() },
    ];
    for at in 0..spec.items.len() {
        let last = u32::try_from(at).expect("small");
        let waits = |item: &ItemSpec| item.needs.iter().any(|need| need.item == last);
        let collector = spec.items.iter().position(waits).and_then(|at| u32::try_from(at).ok());
        let item = &mut spec.items[at];
        item.review = dice.chance(30).then(|| u16::try_from(dice.roll(2)).expect("small"));
        item.expand_into = collector.filter(|_| dice.chance(40));
        if item.key.is_none() && dice.chance(10) {
            item.task = Payload::empty();
        }
    }
    spec.key = dice.chance(10).then(|| format!("run-{}", number % 7).into());
    spec
}

fn command(dice: &mut Dice, world: &World, number: u64) -> Command {
    let granted: Vec<(ItemId, FencingToken)> =
        world.granted.iter().map(|(item, token)| (*item, *token)).collect();
    let any_item = |dice: &mut Dice| {
        let (run, items) = *dice.pick(&world.runs)?;
        Some(run.item(u32::try_from(dice.roll(u64::from(items))).expect("small")))
    };
    let target = |dice: &mut Dice| {
        let item = any_item(dice)?;
        Some(if dice.chance(30) { Target::Run(item.run) } else { Target::Item(item) })
    };
    let node = NodeId(1 + dice.roll(2));
    let chosen = match dice.roll(100) {
        0..12 => Some(Command::Submit(Submission {
            spec: plan(dice, number),
            existing: if dice.chance(50) { OnExisting::New } else { OnExisting::Continue },
        })),
        12..32 => dice.pick(&granted).map(|(item, token)| Command::Started { item: *item, token: *token }),
        32..67 => dice.pick(&granted).map(|(item, token)| {
            let result = result(dice, number);
            Command::Finished { item: *item, token: *token, result, report: None }
        }),
        67..70 => dice.pick(&world.stale).map(|(item, token)| Command::Finished {
            item: *item,
            token: *token,
            result: success(),
            report: None,
        }),
        70..75 => target(dice).map(|target| Command::Cancel { target, reason: "why not".into() }),
        75..81 => target(dice).map(|target| Command::Retry { target }),
        81..84 => target(dice).map(|target| Command::Pause { target }),
        84..89 => target(dice).map(|target| Command::Resume { target }),
        89..93 => {
            let slots = [1, 1, 1, u32::try_from(dice.roll(5)).expect("small")];
            let facts = NodeFacts { slots, ..NodeFacts::default() };
            Some(match dice.roll(10) {
                0..2 => Command::StartSession { node, facts },
                2..5 => Command::Join { node, facts, opening: Box::new(opening(dice)) },
                _ => Command::OpenSession { node, facts, opening: Box::new(opening(dice)) },
            })
        }
        93..95 => world.sessions.get(&node).map(|session| {
            let session = *session;
            match dice.roll(10) {
                8.. => Command::Ready { node, session },
                0 => Command::EndSession { node, session },
                1 => Command::AbandonSession { node, session },
                2..4 => Command::Heartbeat { node, session },
                4 => Command::ResumeSession { session },
                5 => Command::CloseSession { node, session, note: "so".into() },
                _ => Command::OrphanSession { node, session, holds: dice.chance(60) },
            }
        }),
        95 if dice.chance(50) => Some(Command::Drain { node, on: dice.chance(30) }),
        95 => {
            let strays =
                (0..dice.roll(4)).filter_map(|_| Some((any_item(dice)?, FencingToken(900 + dice.roll(3)))));
            Some(Command::StraysFound { node, strays: strays.collect() })
        }
        96..98 => dice.pick(&granted).map(|(item, token)| Command::Ask {
            item: *item,
            token: *token,
            ask: Box::new(ask(dice)),
        }),
        98 => Some(Command::Configure(Settings {
            ageing_step: Span::from_secs(dice.roll(30)),
            retention: Span::from_secs(20 + dice.roll(100)),
            load_balancing: match dice.chance(50) {
                true => LoadBalancingStrategy::SpecializationBased,
                false => LoadBalancingStrategy::LeastLoaded,
            },
            ..Settings::default()
        })),
        _ => None,
    };
    let decided = (chosen.is_none() || dice.chance(10)).then(|| dice.pick(&world.questions).copied()).flatten();
    let decided =
        decided.map(|question| Command::Decide { question, decision: decision(dice), text: "so".into() });
    let chosen = decided.or(chosen);
    chosen.unwrap_or(Command::Tick)
}

/// One history of so many entries.
fn history(seed: u64, entries: u64) {
    let mut dice = Dice(mix(seed));
    let mut state = Orchestration::new();
    let mut replica = Orchestration::new();
    let mut world = World::default();
    let mut now = 1_000_000;
    for index in 1..=entries {
        now += dice.roll(2_000);
        let count = 1 + dice.roll(4);
        let mut commands: Vec<Command> = Vec::new();
        for _ in 0..count {
            let next = command(&mut dice, &world, index);
            // One report per attempt and entry, as from a real node.
            let twice = commands.iter().any(|known| match (known, &next) {
                (Command::Finished { item, .. }, Command::Finished { item: other, .. }) => item == other,
                _ => false,
            });
            if !twice {
                commands.push(next);
            }
        }
        let batch = Batch { stamp: Stamp::from_millis(now), commands };
        let output = state.apply(index, &batch);
        if let Err(violation) = invariant::check(&state) {
            panic!("seed {seed}, entry {index}: {violation}\n{:#?}", batch.commands);
        }
        let copy = replica.apply(index, &batch);
        assert_eq!(output.events, copy.events, "seed {seed}, entry {index}: the replica did something else");
        assert_eq!(state.hash(), replica.hash(), "seed {seed}, entry {index}");
        world.learn(&batch.commands, &output);
        world.check_retired(&state, &output.retired);
        if index.is_multiple_of(11) {
            world.check_past(&state);
        }
        if dice.chance(7) {
            replica = invariant::check_restore(&replica)
                .unwrap_or_else(|violation| panic!("seed {seed}, entry {index}: {violation}"));
        }
    }
    if seed.is_multiple_of(4) {
        elsewhere(seed, &state, &world, now);
    }
    drain(seed, &mut state, &mut world, entries, now);
}

/// Every run goes on in another data directory, and so do forks of it.
fn elsewhere(seed: u64, origin: &Orchestration, known: &World, now: u64) {
    let mut dice = Dice(mix(seed ^ 0xe15e));
    let (mut state, mut world) = (Orchestration::new(), World::default());
    let runs = known.runs.iter().filter(|(run, _)| origin.knows_run(*run));
    let mut index = 0;
    for (run, items) in runs {
        let image = origin.image(*run).expect("it is known");
        assert_eq!(state.check_image(image.clone()), Ok(()), "seed {seed}, run {run}");
        let records: Vec<Box<[u8]>> = image.records().map(Vec::into_boxed_slice).collect();
        let from = vec![u32::try_from(dice.roll(u64::from(*items))).expect("small")];
        let source = match dice.chance(50) {
            true => ForkSource::Run(*run),
            false => ForkSource::Records(records.clone()),
        };
        for command in [Command::Import { records: records.clone() }, Command::Fork { source, from }] {
            index += 1;
            let commands = vec![command, Command::Import { records: records.clone() }];
            let output =
                state.apply(index, &Batch { stamp: Stamp::from_millis(now), commands: commands.clone() });
            if let Err(violation) =
                invariant::check(&state).and_then(|()| invariant::check_restore(&state).map(drop))
            {
                panic!("seed {seed}, run {run}: {violation}");
            }
            match &output.replies[..] {
                [Reply::Imported(_), Reply::Imported(again)] => {
                    let nothing = (again.existing, again.taken, again.duplicates, again.left);
                    assert_eq!(nothing, (true, 0, 0, 0), "seed {seed}, run {run}: it says nothing new");
                }
                // The key of the run, or of one of its items, is in use by an earlier fork.
                replies => assert!(replies.iter().any(|reply| matches!(reply, Reply::Refused(_)))),
            }
            world.learn(&commands, &output);
            world.check_past(&state);
        }
    }
    drain(seed, &mut state, &mut world, index, now);
}

/// The liveness half: without further faults everything comes to an end.
fn drain(seed: u64, state: &mut Orchestration, world: &mut World, mut index: u64, mut now: u64) {
    let facts = NodeFacts { slots: [1, 1, 1, 3], ..NodeFacts::default() };
    let mut commands =
        vec![Command::StartSession { node: NodeId(1), facts }, Command::Drain { node: NodeId(1), on: false }];
    for (run, items) in world.runs.clone() {
        commands.push(Command::Resume { target: Target::Run(run) });
        commands
            .extend((0..items).map(|position| Command::Resume { target: Target::Item(run.item(position)) }));
    }
    for _ in 0..20_000 {
        index += 1;
        now += 500;
        let batch = Batch { stamp: Stamp::from_millis(now), commands };
        let output = state.apply(index, &batch);
        world.learn(&batch.commands, &output);
        let status = state.status();
        let open: u64 = ItemState::ALL
            .into_iter()
            .filter(|state| !state.is_terminal())
            .map(|state| status.counts[state.index()])
            .sum();
        if open == 0 {
            let totals = status.totals;
            assert_eq!(
                totals.submitted, world.submitted,
                "seed {seed}: every acknowledged item is accounted for"
            );
            assert!(world.completed.values().all(|count| *count == 1), "seed {seed}: completed twice");
            return;
        }
        let finished = world.granted.iter().map(|(item, token)| {
            let reviews = state.order(*item).is_some_and(|order| order.reviews.is_some());
            let approve = Judgement {
                verdict: ReviewVerdict::Approve,
                subject: None,
                summary: "".into(),
                findings: None,
            };
            let result = if reviews { AttemptResult::Reviewed(Box::new(approve)) } else { success() };
            Command::Finished { item: *item, token: *token, result, report: None }
        });
        commands = finished.collect();
        commands.extend(state.questions(usize::MAX).into_iter().map(|question| Command::Decide {
            question: question.id,
            decision: Decision::Approve,
            text: "".into(),
        }));
        let holding =
            state.sessions().into_iter().filter(|view| view.session.holds).map(|view| view.session.id);
        commands.extend(holding.map(|session| Command::ResumeSession { session }));
        if commands.is_empty() {
            commands.push(Command::Tick);
        }
    }
    panic!("seed {seed}: it does not drain: {:?}", state.status().counts);
}

#[test]
fn random_histories_keep_every_invariant_and_drain() {
    for seed in 0..300 {
        history(seed, 300);
    }
}

#[test]
fn a_replica_that_computes_something_else_is_told() {
    let mut state = Orchestration::new();
    let batch = |commands| Batch { stamp: Stamp::from_millis(5), commands };
    state.apply(1, &batch(vec![submit(run("p", vec![item("a", &[])]))]));
    let hash = state.hash();
    let output = state.apply(2, &batch(vec![Command::CheckHash { index: 1, hash }]));
    assert_eq!(output.divergence, None);
    let wrong = mnemosyne_core::hash::StateHash(hash.0 ^ 1);
    let output = state.apply(3, &batch(vec![Command::CheckHash { index: 1, hash: wrong }]));
    assert_eq!(output.divergence.map(|divergence| divergence.index), Some(1));
}
