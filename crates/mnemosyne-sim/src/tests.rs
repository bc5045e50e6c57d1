//! Some seeds, and the mistakes that must be found.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::sim::run;

/// Length of the phase with faults.
const SAFETY_MILLIS: u64 = 60_000;
/// Seeds within which a planted mistake must be found.
const SEEDS_PER_BUG: u64 = 200;

/// What must have happened over the seeds of these tests; each alone need not have all of it.
const MUST_HAPPEN: &[&str] = &[
    "agent asks",
    "agent hangs",
    "agent ended unseen",
    "bit flipped",
    "bridge",
    "clock jumped",
    "crashed in a disk operation",
    "crashed while starting",
    "damage noticed",
    "disk failed",
    "disk full",
    "disk slow",
    "double report",
    "ended in order",
    "entries replaced",
    "forged token",
    "leader changed",
    "log shortened",
    "member cut off",
    "message doubled",
    "missing end noticed",
    "message lost",
    "outcome unknown",
    "power cut",
    "process ended by its disk",
    "process killed",
    "process paused",
    "question decided by a user",
    "ItemsAdded",
    "PhaseCompleted",
    "QuestionDecided",
    "ReviewDecided",
    "RunRetired",
    "snapshot installed",
    "snapshot taken",
    "stale token",
    "submission repeated",
    "survivor adopted",
    "WorkItemCancelled",
];

fn scenario(seed: u64) -> Scenario {
    Scenario::new(seed, SAFETY_MILLIS)
}

#[test]
fn every_invariant_holds_and_every_fault_happens() {
    let mut all = Coverage::default();
    for seed in 0..60 {
        let outcome = run(&scenario(seed), false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert_eq!(outcome.shortcoming(), None, "seed {seed}");
        all.add(&outcome.coverage);
    }
    let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| all.of(what) == 0).collect();
    assert!(missing.is_empty(), "these never happened: {missing:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let mut hashes = BTreeSet::new();
    for seed in 100..110 {
        let (one, other) = (run(&scenario(seed), false), run(&scenario(seed), true));
        assert_eq!(one.trace_hash, other.trace_hash, "seed {seed}");
        assert_eq!(one.coverage, other.coverage, "seed {seed}");
        assert_eq!(one.steps, other.lines.len() as u64, "seed {seed}");
        hashes.insert(one.trace_hash);
    }
    assert_eq!(hashes.len(), 10, "different seeds are different runs");
}

/// The first seed that finds a mistake, with the name of what failed. The state machine stops at some by itself.
fn found(bug: Bug) -> Option<(u64, &'static str)> {
    (0..SEEDS_PER_BUG).find_map(|seed| {
        let scenario = scenario(seed).with_bug(bug);
        match catch_unwind(AssertUnwindSafe(|| run(&scenario, false))) {
            Ok(outcome) => Some((seed, outcome.violation?.name)),
            Err(_) => Some((seed, "an assertion of the state machine")),
        }
    })
}

#[test]
fn each_planted_mistake_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match found(*bug) {
            Some((seed, name)) => println!("{bug:?}: seed {seed}, {name}"),
            None => missed.push(*bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS_PER_BUG} seeds: {missed:?}");
}

#[test]
fn a_failure_is_shrunk_to_what_it_takes() {
    let (seed, name) = found(Bug::AdoptTwice).expect("it is found");
    let scenario = scenario(seed).with_bug(Bug::AdoptTwice);
    let smaller = shrink(&scenario).expect("it fails");
    assert!(smaller.steps.len() * 2 < scenario.steps.len(), "{smaller}");
    assert_eq!(run(&smaller, false).violation.map(|violation| violation.name), Some(name));
    assert!(shrink(&self::scenario(seed)).is_none(), "what does not fail cannot be shrunk");
}
