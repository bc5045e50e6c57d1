//! Runs that clients submit: small graphs with every condition, retries,
//! limits on time, groups and keys.

use mnemosyne_core::time::Span;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::{Condition, Demand, Group, ItemSpec, Need, Policy, Retry, RunSpec, Timeouts};

use crate::dice::Dice;
use crate::executor::GRACE_MILLIS;

/// Most items of one run.
const ITEMS_MAX: u16 = 12;

/// A run with a name and a digest of its own.
pub(crate) fn run(number: u64, key: Option<Box<str>>, dice: &mut Dice) -> RunSpec {
    let count = dice.small(1, ITEMS_MAX);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    RunSpec {
        name: format!("plan-{number}").into(),
        namespace: "sim".into(),
        key,
        digest,
        context: Payload::empty(),
        policies: vec![policy(Retry::default(), Timeouts::default()), strict(dice)],
        demands: vec![Demand::default()],
        groups: groups(dice),
        items: (0..count).map(|at| item(at, dice)).collect(),
        ..RunSpec::default()
    }
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
    ItemSpec {
        name: format!("i{at}").into(),
        needs: needs.into(),
        policy: dice.small(0, 1),
        priority: u8::try_from(dice.roll(11)).unwrap_or(5),
        group: dice.chance(30).then(|| dice.small(0, 1)),
        key: dice.chance(10).then(|| format!("key-{}", dice.roll(6)).into()),
        task: Payload::Inline(Box::from(*b"work")),
        ..ItemSpec::default()
    }
}
