//! What the member is asked for while its disk is watched: runs with all kinds of items, reports, questions and their
//! answers, pauses and cancellations, time that passes, snapshots, runs that leave the state.

use std::sync::{Arc, Mutex};

use mnemosyne_core::command::{Batch, Command, OnExisting, Submission, Target};
use mnemosyne_core::effect::Effect;
use mnemosyne_core::hash::mix;
use mnemosyne_core::id::{FencingToken, ItemId, QuestionId, RunId};
use mnemosyne_core::inbox::{Ask, Decision, QuestionKind};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::settings::Settings;
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Demand, ItemSpec, Need, Policy, Retry, Review, RunSpec};
use mnemosyne_persistence::storage::FaultBackend;

use crate::expected::Sent;
use crate::member::{Member, NODE};

/// Entries between two snapshots.
const SNAPSHOT_EVERY: u64 = 70;
/// Entries that nobody watches, in the middle, so that whole files of the log go with them.
const UNWATCHED: u64 = 1_030;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.roll(from.len().max(1) as u64);
        from.get(usize::try_from(at).expect("small")).copied()
    }
}

/// What those who ask know.
#[derive(Default)]
struct World {
    grants: Vec<(ItemId, FencingToken)>,
    runs: Vec<RunId>,
    questions: Vec<QuestionId>,
}

/// What was asked for, and how far it was acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
    pub(crate) acknowledged: Arc<Mutex<usize>>,
}

impl Progress {
    /// Asks for something and waits for the answer.
    async fn ask(&self, member: &Member, now: u64, command: Command) -> Vec<Reply> {
        let batch = Batch { stamp: Stamp::from_millis(now), commands: vec![command] };
        let entry = Sent { index: member.log.bounds().next, batch: batch.clone() };
        self.sent.lock().expect("nothing panics while it holds this lock").push(entry);
        let replies = member.propose(batch).await;
        *self.acknowledged.lock().expect("nothing panics while it holds this lock") += 1;
        replies
    }
}

/// Asks a new member for so many things, one after the other. Returns the first entry that its log still has.
pub(crate) async fn run(disk: &FaultBackend, watch: impl Fn(), progress: &Progress, operations: u64) -> u64 {
    watch();
    let member = Member::start(disk).await.expect("an empty disk works");
    let (mut dice, mut world) = (Dice(7), World::default());
    let mut now = 1_000_000;
    for number in 0..operations {
        now += dice.roll(700);
        let command = match number {
            0 => Command::Configure(Settings { retention: Span::from_secs(60), ..Settings::default() }),
            1 => {
                let facts = NodeFacts { slots: [1, 1, 1, 4], ..NodeFacts::default() };
                Command::StartSession { node: NODE, facts }
            }
            _ => next(&mut dice, &mut world, number),
        };
        let replies = progress.ask(&member, now, command).await;
        world.learn(&member, &replies);
        if number == operations / 2 {
            disk.unwatch();
            for _ in 0..UNWATCHED {
                progress.ask(&member, now, Command::Tick).await;
            }
            watch();
        }
        if number % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 {
            member.snapshot(disk).await;
        }
    }
    let first = member.log.bounds().first;
    member.consensus.close().await.expect("the disk works");
    disk.unwatch();
    first
}

impl World {
    fn learn(&mut self, member: &Member, replies: &[Reply]) {
        for reply in replies {
            match reply {
                Reply::Submitted { run, existing: false, .. } => self.runs.push(*run),
                Reply::Asked { question, .. } => self.questions.push(*question),
                _ => {}
            }
        }
        let effects = std::mem::take(&mut *member.effects.lock().expect("nothing panics while it is held"));
        let started = effects.into_iter().filter_map(|effect| match effect {
            Effect::Start { item, token, .. } => Some((item, token)),
            _ => None,
        });
        self.grants.extend(started);
    }
}

fn next(dice: &mut Dice, world: &mut World, number: u64) -> Command {
    let target = |dice: &mut Dice, world: &World| {
        let run = dice.pick(&world.runs)?;
        Some(if dice.roll(2) == 0 {
            Target::Run(run)
        } else {
            Target::Item(run.item(u32::try_from(dice.roll(4)).expect("small")))
        })
    };
    match dice.roll(20) {
        0..3 => return submit(dice, number),
        3..6 => {
            if let Some((item, token)) = dice.pick(&world.grants) {
                return Command::Started { item, token };
            }
        }
        6..14 if !world.grants.is_empty() => {
            let at = usize::try_from(dice.roll(world.grants.len() as u64)).expect("small");
            let (item, token) = world.grants.swap_remove(at);
            let result = result(dice);
            return Command::Finished { item, token, result, report: None };
        }
        14 => {
            if let Some((item, token)) = dice.pick(&world.grants) {
                let ask = Ask { key: "may-i".into(), text: "may I?".into(), ..Ask::default() };
                return Command::Ask { item, token, ask: Box::new(ask) };
            }
        }
        15 => {
            if let Some(question) = dice.pick(&world.questions) {
                return Command::Decide { question, decision: Decision::Approve, text: "yes".into() };
            }
        }
        16 => {
            if let Some(target) = target(dice, world) {
                return Command::Cancel { target, reason: "enough".into() };
            }
        }
        17 => {
            if let Some(target) = target(dice, world) {
                return Command::Pause { target };
            }
        }
        18 => {
            if let Some(target) = target(dice, world) {
                return Command::Resume { target };
            }
        }
        _ => {}
    }
    Command::Tick
}

fn result(dice: &mut Dice) -> AttemptResult {
    match dice.roll(8) {
        0 => AttemptResult::Failed { fault: Fault::ExitCode(1), message: "it failed".into() },
        1 => AttemptResult::Requeue { cause: Cause::Interrupted, message: "gone".into(), after: None },
        2 => {
            let wait = Some(Span::from_secs(dice.roll(20)));
            let ask = Ask { kind: QuestionKind::Denied, text: "and now?".into(), wait, ..Ask::default() };
            AttemptResult::Blocked(Box::new(ask))
        }
        _ => AttemptResult::Succeeded { outputs: Some(Payload::Inline(vec![b'1'; 40].into())) },
    }
}

fn submit(dice: &mut Dice, number: u64) -> Command {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    let item = |at: u32, dice: &mut Dice| {
        let needs = (0..at).filter(|_| dice.roll(3) == 0).map(|item| Need { item, on: Condition::Success });
        ItemSpec {
            name: format!("i{at}").into(),
            needs: needs.collect(),
            priority: u8::try_from(dice.roll(11)).expect("small"),
            task: Payload::Inline(vec![b'w'; 60].into()),
            review: (dice.roll(5) == 0).then_some(0),
            ..ItemSpec::default()
        }
    };
    let retry = Retry { max_attempts: 3, ..Retry::default() };
    let count = 1 + u32::try_from(dice.roll(4)).expect("small");
    let spec = RunSpec {
        name: format!("plan-{number}").into(),
        namespace: "crash".into(),
        key: (dice.roll(2) == 0).then(|| format!("key-{number}").into()),
        digest,
        policies: vec![Policy { retry, ..Policy::default() }],
        demands: vec![Demand::default()],
        reviews: vec![Review { human: true, wait: Some(Span::from_secs(9)), ..Review::default() }],
        items: (0..count).map(|at| item(at, dice)).collect(),
        ..RunSpec::default()
    };
    Command::Submit(Submission { spec, existing: OnExisting::New })
}
