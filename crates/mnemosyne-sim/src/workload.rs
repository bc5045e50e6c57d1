//! Runs that clients submit: small graphs with every condition, retries,
//! limits on time, groups and keys; reviews by agents and by humans, phases
//! with their gates, and items that add further ones.

use mnemosyne_core::time::Span;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{
    Condition, Demand, Group, ItemSpec, Need, Phase, Policy, Retry, Review, Reviewer, RunSpec, Timeouts,
};

use crate::dice::Dice;
use crate::executor::GRACE_MILLIS;

/// Most items of one run.
const ITEMS_MAX: u16 = 12;

/// What an item is for, as its agent reads it.
pub(crate) mod task {
    pub(crate) const WORK: &[u8] = b"work";
    pub(crate) const REVIEW: &[u8] = b"review";
    pub(crate) const EXPAND: &[u8] = b"expand";
}

/// Positions of the policies.
const LENIENT: u16 = 0;
const STRICT: u16 = 1;

/// A run with a name and a digest of its own.
pub(crate) fn run(number: u64, key: Option<Box<str>>, dice: &mut Dice) -> RunSpec {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    let mut spec = RunSpec {
        name: format!("plan-{number}").into(),
        namespace: "sim".into(),
        key,
        digest,
        context: if dice.chance(20) { Payload::Inline(work(dice).into()) } else { Payload::empty() },
        policies: vec![policy(Retry::default(), Timeouts::default()), strict(dice)],
        demands: vec![Demand::default()],
        groups: groups(dice),
        reviews: reviews(dice),
        ..RunSpec::default()
    };
    if dice.chance(15) {
        phases(&mut spec, dice);
    } else {
        let count = dice.small(1, ITEMS_MAX);
        spec.items = (0..count).map(|at| item(at, dice)).collect();
    }
    if spec.phases.is_empty() && dice.chance(20) {
        expanding(&mut spec);
    }
    spec
}

/// A run of many items, each of which needs some of those before it.
pub(crate) fn many(number: u64, items: u32) -> RunSpec {
    let mut digest = [1; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    let needs = |at: u32| [7, 40].into_iter().filter_map(|back| at.checked_sub(back)).map(on_success).collect();
    let item = |at: u32| ItemSpec {
        name: format!("i{at}").into(),
        needs: needs(at),
        priority: u8::try_from(at % 11).unwrap_or(0),
        task: Payload::Inline(task::WORK.into()),
        ..ItemSpec::default()
    };
    RunSpec {
        name: format!("many-{number}").into(),
        namespace: "sim".into(),
        key: Some(format!("run-{number}").into()),
        digest,
        policies: vec![policy(Retry::default(), Timeouts::default())],
        demands: vec![Demand::default()],
        items: (0..items).map(item).collect(),
        ..RunSpec::default()
    }
}

/// Items that one of a run adds to it.
pub(crate) fn children(of: &str, dice: &mut Dice) -> RunSpec {
    let count = dice.small(1, 4);
    let named = |at: u16, dice: &mut Dice| {
        let child = item(at, dice);
        ItemSpec { name: format!("{of}+{at}").into(), key: None, review: None, ..child }
    };
    RunSpec {
        policies: vec![policy(Retry::default(), Timeouts::default()), strict(dice)],
        demands: vec![Demand::default()],
        groups: groups(dice),
        items: (0..count).map(|at| named(at, dice)).collect(),
        ..RunSpec::default()
    }
}

/// One that plans, and one that collects.
fn expanding(spec: &mut RunSpec) {
    let first = u32::try_from(spec.items.len()).unwrap_or(0);
    let item = |name: &str, task: &[u8]| ItemSpec {
        name: name.into(),
        policy: STRICT,
        priority: 5,
        task: Payload::Inline(task.into()),
        ..ItemSpec::default()
    };
    spec.items.push(ItemSpec { expand_into: Some(first + 1), ..item("plan", task::EXPAND) });
    let needs = [Need { item: first, on: Condition::Success }];
    spec.items.push(ItemSpec { needs: needs.into(), ..item("collect", task::WORK) });
}

/// Two phases, each with items and a gate that a human opens.
fn phases(spec: &mut RunSpec, dice: &mut Dice) {
    for phase in 0..2_u16 {
        let gate_before = spec.phases.last().map(|phase| phase.gate);
        let first = spec.items.len();
        for number in 0..dice.small(1, 3) {
            let needs: Vec<Need> = gate_before.map(on_success).into_iter().collect();
            spec.items.push(ItemSpec {
                name: format!("p{phase}-{number}").into(),
                needs: needs.into(),
                policy: STRICT,
                phase: Some(phase),
                key: None,
                group: None,
                review: dice.chance(20).then_some(0),
                ..item(0, dice)
            });
        }
        let gate = u32::try_from(spec.items.len()).unwrap_or(0);
        let before = u32::try_from(first).unwrap_or(0)..gate;
        let needs = before.map(|item| Need { item, on: Condition::Always });
        spec.items.push(ItemSpec {
            name: format!("gate-{phase}").into(),
            needs: needs.chain(gate_before.map(on_success)).collect(),
            policy: LENIENT,
            priority: 5,
            review: Some(1),
            phase: Some(phase),
            ..ItemSpec::default()
        });
        spec.phases.push(Phase { name: format!("phase-{phase}").into(), gate });
    }
}

fn on_success(item: u32) -> Need {
    Need { item, on: Condition::Success }
}

/// By an agent, sometimes by a human as well; and by a human alone.
fn reviews(dice: &mut Dice) -> Vec<Review> {
    let reviewer = Reviewer { demand: 0, policy: STRICT, task: Payload::Inline(task::REVIEW.into()) };
    let mut review = |reviewer: Option<Reviewer>| Review {
        human: reviewer.is_none() || dice.chance(30),
        reviewer,
        max_rounds: dice.small(1, 3),
        wait: dice.chance(60).then(|| Span::from_secs(dice.range(3, 30))),
        accept_on_timeout: dice.chance(50),
    };
    vec![review(Some(reviewer)), review(None)]
}

fn policy(retry: Retry, timeouts: Timeouts) -> Policy {
    Policy { retry, timeouts, grace: Span::from_millis(GRACE_MILLIS), ..Policy::default() }
}

fn strict(dice: &mut Dice) -> Policy {
    let retry = Retry {
        max_attempts: dice.small(2, 5),
        initial_interval: Span::from_millis(dice.range(0, 2_000)),
        max_interval: Span::from_secs(5),
        ..Retry::default()
    };
    let timeouts = Timeouts {
        queue: dice.chance(10).then(|| Span::from_secs(dice.range(5, 30))),
        run: dice.chance(50).then(|| Span::from_secs(dice.range(1, 5))),
        idle: None,
    };
    Policy {
        deadline: dice.chance(10).then(|| Span::from_secs(dice.range(5, 60))),
        delay: dice.chance(20).then(|| Span::from_secs(dice.range(1, 5))),
        soft_fail: dice.chance(30),
        ..policy(retry, timeouts)
    }
}

fn groups(dice: &mut Dice) -> Vec<Group> {
    let mut group = |name: &str, within| {
        let max_parallel = u32::from(dice.small(1, 3));
        Group { name: name.into(), max_parallel, within }
    };
    vec![group("outer", None), group("inner", Some(0))]
}

/// What to work on: in few words, or in many, which others may use as well.
fn work(dice: &mut Dice) -> Vec<u8> {
    if dice.chance(70) {
        return task::WORK.to_vec();
    }
    format!("{} {}", "work on this; ".repeat(usize::from(dice.small(20, 90))), dice.roll(4)).into_bytes()
}

/// What an agent has put out, as JSON text.
pub(crate) fn output(dice: &mut Dice) -> Vec<u8> {
    let repeats = if dice.chance(50) { 1 } else { usize::from(dice.small(30, 60)) };
    format!("\"{}{}\"", "so it was; ".repeat(repeats), dice.roll(4)).into_bytes()
}

fn item(at: u16, dice: &mut Dice) -> ItemSpec {
    let mut needs = Vec::new();
    for before in 0..at {
        if dice.chance(20) {
            let on = if dice.chance(70) {
                Some(Condition::Success)
            } else {
                dice.pick(&[Condition::Failure, Condition::Done, Condition::Always])
            };
            needs.push(Need { item: u32::from(before), on: on.unwrap_or_default() });
        }
    }
    // One key, one task.
    let key = dice.chance(10).then(|| dice.roll(6));
    ItemSpec {
        name: format!("i{at}").into(),
        needs: needs.into(),
        policy: dice.small(LENIENT, STRICT),
        priority: u8::try_from(dice.roll(11)).unwrap_or(5),
        group: dice.chance(30).then(|| dice.small(0, 1)),
        key: key.map(|key| format!("key-{key}").into()),
        task: Payload::Inline(key.map_or_else(|| work(dice), |key| work(&mut Dice::new(key))).into()),
        review: dice.chance(15).then(|| dice.small(0, 1)),
        ..ItemSpec::default()
    }
}
