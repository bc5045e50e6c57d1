//! Large plans: within bounded time and memory, without recursion.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::support::processes::memory_max;
use crate::support::{Outcome, Scene, wait_for};

const ITEMS: usize = 100_000;
/// An order of magnitude more than it takes on an idle machine.
const TIME_MAX: Duration = Duration::from_secs(20);
const MEMORY_MAX: u64 = 512 * 1024 * 1024;

/// A plan of so many items; `needs` says what each waits for.
fn large(items: usize, needs: impl Fn(usize) -> Vec<usize>) -> String {
    let item = |number: usize| {
        let needs: Vec<String> = needs(number).into_iter().map(|number| format!("i{number}")).collect();
        (format!("i{number}"), json!({ "run": "true", "needs": needs }))
    };
    let items: Map<String, Value> = (0..items).map(item).collect();
    json!({ "version": 1, "name": "large", "items": items }).to_string()
}

/// Runs a command and watches its memory.
#[track_caller]
fn bounded(scene: &Scene, words: &str) -> Outcome {
    let started = Instant::now();
    let mut running = scene.spawn(words.split_whitespace());
    let mut memory = 0;
    wait_for(words, Duration::from_secs(120), || {
        memory = memory.max(memory_max(running.pid()).unwrap_or(0));
        (!running.is_running()).then_some(())
    });
    let (outcome, took) = (running.wait().exits(0), started.elapsed());
    assert!(memory > 0 && memory < MEMORY_MAX, "`{words}` took {memory} bytes");
    assert!(took < TIME_MAX, "`{words}` took {took:?}");
    outcome
}

/// Checks and submits a plan, with and without a node; returns the run's id.
fn checked_and_submitted(plan: &str, items: usize) -> (Scene, String) {
    let scene = Scene::new();
    scene.write("plan.json", plan);
    assert_eq!(bounded(&scene, "plan check plan.json").stdout, format!("large: {items} items, no errors\n"));
    let run = bounded(&scene, "submit plan.json").first_line().to_owned();
    let shown = bounded(&scene, &format!("show {run} --json")).json();
    let known: u64 = shown["items"].as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    assert_eq!(known, items as u64);
    bounded(&scene, "ps --limit 10");
    (scene, run)
}

#[test]
fn a_hundred_thousand_items() {
    let (scene, run) = checked_and_submitted(&large(ITEMS, |_| Vec::new()), ITEMS);
    assert_eq!(bounded(&scene, "submit plan.json").says("exists already").first_line(), run);
    let cancelled = bounded(&scene, &format!("cancel {run}"));
    assert!(cancelled.stderr.contains("100000 items cancelled"), "{}", cancelled.stderr);
}

#[test]
fn a_chain_of_a_hundred_thousand_items() {
    let (scene, run) =
        checked_and_submitted(&large(ITEMS, |number| number.checked_sub(1).into_iter().collect()), ITEMS);
    bounded(&scene, "plan graph plan.json");
    bounded(&scene, "plan explain plan.json");
    bounded(&scene, &format!("why {run}/i99999"));
    let cancelled = bounded(&scene, &format!("cancel {run}.1"));
    assert!(cancelled.stderr.contains("100000 items cancelled"), "{}", cancelled.stderr);
    let reopened = bounded(&scene, &format!("retry {run}"));
    assert!(reopened.stderr.contains("100000 items reopened"), "{}", reopened.stderr);
    assert_eq!(scene.json(&format!("show {run}.2"))["state"], "pending");
}

#[test]
fn an_item_with_a_hundred_thousand_dependencies_and_one_with_as_many_dependents() {
    let last = ITEMS - 1;
    let needs = |number: usize| match number {
        0 => Vec::new(),
        number if number == last => (0..last).collect(),
        _ => vec![0],
    };
    let (scene, run) = checked_and_submitted(&large(ITEMS, needs), ITEMS);
    let why = bounded(&scene, &format!("why {run}/i{last}")).stdout;
    assert!(why.contains("i0 (ready), i1 (pending)") && why.contains("and 99994 more"), "{why}");
    bounded(&scene, &format!("cancel {run}.1"));
    assert_eq!(scene.json(&format!("show {run}/i{last}"))["state"], "cancelled");
}

#[test]
fn a_cycle_through_a_hundred_thousand_items_is_named_without_all_of_them() {
    let scene = Scene::new();
    scene.write("plan.json", large(ITEMS, |number| vec![(number + 1) % ITEMS]));
    let refused = scene.line("submit plan.json").exits(2).says("wait for each other");
    assert!(refused.stderr.len() < 100_000, "{} bytes", refused.stderr.len());
    assert!(!scene.data_dir().exists());
}

#[test]
fn a_thousand_items_are_all_done() {
    let scene = Scene::new();
    scene.write(
        "plan.json",
        large(1_000, |number| if number % 10 == 0 { Vec::new() } else { vec![number - 1] }),
    );
    bounded(&scene, "run plan.json");
    let items = scene.items();
    assert_eq!(items.len(), 1_000);
    assert!(items.iter().all(|item| item["state"] == "succeeded" && item["attempts"] == 1));
}
