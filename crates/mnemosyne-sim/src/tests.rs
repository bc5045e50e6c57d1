//! Some seeds, and the mistakes that must be found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::sim::run;

/// Length of the phase with faults.
const SAFETY_MILLIS: u64 = 60_000;
/// Seeds that every change of this repository is run with, and how many of them twice.
const SEEDS: u64 = 1_000;
const DOUBLE: u64 = 20;
/// Seeds within which a planted mistake must be found.
const SEEDS_PER_BUG: u64 = 200;

/// What must have happened over the seeds of these tests; each alone need not have all of it.
const MUST_HAPPEN: &[&str] = &[
    "agent asks",
    "agent hangs",
    "agent ended unseen",
    "begin held back",
    "bit decayed",
    "bit flipped",
    "blob healed",
    "blob put",
    "blob read",
    "blob refused by the disk",
    "blobs swept",
    "bridge",
    "clock jumped",
    "crashed in a disk operation",
    "crashed while starting",
    "damage noticed",
    "decayed blob named",
    "decayed index",
    "decayed record refused",
    "disk failed",
    "disk full",
    "disk slow",
    "double report",
    "ended in order",
    "entries replaced",
    "event told again",
    "events forgotten",
    "forged token",
    "late result refused",
    "leader changed",
    "leftover stopped",
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
    "process stays away",
    "question decided by a user",
    "ItemsAdded",
    "PhaseCompleted",
    "QuestionDecided",
    "ReviewDecided",
    "RunRetired",
    "retired run needed",
    "runs forgotten",
    "snapshot installed",
    "snapshot taken",
    "stale token",
    "start refused for decayed records",
    "started with decayed records",
    "session resumed",
    "session started again",
    "submission repeated",
    "survivor adopted",
    "WorkItemCancelled",
];

fn scenario(seed: u64) -> Scenario {
    Scenario::new(seed, SAFETY_MILLIS)
}

/// Does something for each seed, on all processors; each run is a thread's own.
fn for_each_seed<T: Send>(seeds: Range<u64>, look: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mine = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        mine.take_while(|seed| *seed < seeds.end).map(&look).collect::<Vec<T>>()
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("every check holds")).collect()
    })
}

#[test]
fn every_invariant_holds_and_every_fault_happens() {
    let seen = for_each_seed(0..SEEDS, |seed| {
        let outcome = run(&scenario(seed), false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert_eq!(outcome.shortcoming(), None, "seed {seed}");
        assert!(outcome.millis >= SAFETY_MILLIS, "seed {seed}");
        outcome.coverage
    });
    let mut all = Coverage::default();
    seen.iter().for_each(|coverage| all.add(coverage));
    let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| all.of(what) == 0).collect();
    assert!(missing.is_empty(), "these never happened: {missing:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let seeds = SEEDS..SEEDS + DOUBLE;
    let hashes: BTreeSet<u64> = for_each_seed(seeds, |seed| {
        let (one, other) = (run(&scenario(seed), false), run(&scenario(seed), true));
        assert_eq!(one.trace_hash, other.trace_hash, "seed {seed}");
        assert_eq!(one.coverage, other.coverage, "seed {seed}");
        assert_eq!(one.steps, other.lines.len() as u64, "seed {seed}");
        one.trace_hash
    })
    .into_iter()
    .collect();
    assert_eq!(hashes.len() as u64, DOUBLE, "different seeds are different runs");
}

#[test]
fn a_day_with_a_restart_every_ten_minutes_and_a_power_cut_every_hour_ends_with_every_item_finished_once() {
    let items = 2_000;
    let outcome = run(&Scenario::day(1, items), false);
    assert_eq!(outcome.violation, None);
    let count = |what: &str| outcome.coverage.of(what);
    assert!(outcome.millis >= 24 * 3_600_000);
    assert_eq!(count("power cut"), 23);
    assert_eq!(count("process killed") + count("ended in order"), 120);
    // The last one is submitted when the day is over, to see that somebody is there.
    assert_eq!(count("WorkItemCompleted"), u64::from(items) + 1);
    let others = ["WorkItemFailed", "WorkItemSkipped", "WorkItemCancelled", "WorkItemExpired"];
    assert_eq!(others.map(count), [0; 4]);
    assert!(count("survivor adopted") > 100, "agents outlive their nodes: {}", count("survivor adopted"));
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
#[expect(clippy::print_stdout, reason = "figures, for whoever runs it with --nocapture")]
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
