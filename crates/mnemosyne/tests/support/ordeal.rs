//! A run whose node, or node and agents, are killed again and again, and what
//! must be true when it has ended all the same.
//!
//! `cargo xtask soak` makes it longer by the variables named here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::node::text;
use super::plan::{agent, plan};
use super::processes::kill_all;
use super::random::{Random, amount};
use super::{Running, Scene, wait_until};

/// Longest time between a start and its kill.
const KILL_AFTER_MAX: Duration = Duration::from_millis(600);
/// Longest work of an item. Items as many as ten kills, each of this length, last longer than the kills.
const WORK_MILLIS_MAX: u64 = 640;
const SLOTS: u32 = 6;
/// Writes down which attempt begins, and becomes the agent.
const BEGIN: &str = r#"echo "$MNEMOSYNE_ITEM_NAME $MNEMOSYNE_FENCING_TOKEN" >> "$1"; shift; exec "$@""#;

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victims {
    /// The node; its agents go on under their shims.
    Node,
    /// The node, all shims and all agents.
    Everything,
}

/// An attempt: the name of its item, and its token.
type Attempt = (String, u64);

/// A run of items that leave traces.
struct Ordeal {
    scene: Scene,
    victims: Victims,
    items: u64,
    /// Attempts whose agents lived when their node was dead.
    survivors: BTreeSet<Attempt>,
}

/// Has a run survive `MNEMOSYNE_TEST_KILLS` kills, with `MNEMOSYNE_TEST_ITEMS` items.
#[expect(clippy::print_stderr, reason = "a soak is started for these figures")]
pub(crate) fn a_run_survives(victims: Victims, kills: u64, items: u64) {
    let (kills, items) = (amount("MNEMOSYNE_TEST_KILLS", kills), amount("MNEMOSYNE_TEST_ITEMS", items));
    let mut random = Random::from_seed();
    let started = Instant::now();
    let mut ordeal = Ordeal::new(victims, items, &mut random);
    let killed = ordeal.suffer(kills, &mut random);
    let took = started.elapsed();
    let attempts = ordeal.check();
    assert_eq!(killed, kills, "the run was over too early; more items make it longer");
    let carried_over = match victims {
        Victims::Node => format!(", {} of them re-attached", ordeal.survivors.len()),
        Victims::Everything => String::new(),
    };
    let seconds = took.as_secs_f64();
    eprintln!(
        "{killed} kills, {killed} restarts, {items} items in {attempts} attempts{carried_over}; {seconds:.1} s"
    );
}

impl Ordeal {
    fn new(victims: Victims, items: u64, random: &mut Random) -> Self {
        let scene = Scene::new();
        scene.slots(SLOTS);
        let (begun, done) = (scene.at("begun"), scene.at("done"));
        let mut list = Vec::new();
        for number in 0..items {
            let name = format!("item-{number}");
            let work = agent([
                format!("sleep:{}ms", random.below(WORK_MILLIS_MAX)),
                format!("append:{done}:{name}"),
                format!("output-json:{{\"name\": \"{name}\"}}"),
            ]);
            let mut argv: Vec<String> = ["sh", "-c", BEGIN, "sh", &begun].map(str::to_owned).to_vec();
            argv.extend(serde_json::from_str::<Vec<String>>(&work).expect("it was just written"));
            let mut words = format!("run: {}", serde_json::to_string(&argv).expect("texts can be written"));
            if number >= 10 && random.below(3) == 0 {
                words.push_str(&format!(", needs: [item-{}]", random.below(number)));
            }
            list.push((name, words));
        }
        scene.write("plan.yaml", plan(list));
        Self { scene, victims, items, survivors: BTreeSet::new() }
    }

    /// Lets the run go on until it has ended; returns how often it was killed.
    fn suffer(&mut self, kills: u64, random: &mut Random) -> u64 {
        for killed in 0..kills {
            let mut node = self.go_on(killed > 0 && random.below(2) == 0);
            // The moment of the kill is what is tested, not something that is waited for.
            std::thread::sleep(random.moment(KILL_AFTER_MAX));
            if !node.is_running() {
                node.wait().exits(0);
                return killed;
            }
            node.kill();
            match self.victims {
                Victims::Node => self.survivors.extend(self.alive()),
                Victims::Everything => kill_all(|| self.scene.processes()),
            }
        }
        // On a slow machine every kill may have come before the run was accepted.
        self.go_on(false).wait_within(Duration::from_secs(60 + self.items)).exits(0);
        kills
    }

    /// The next node, as a service or for this run.
    fn go_on(&self, as_service: bool) -> Running {
        if as_service {
            return self.scene.spawn(["up"]);
        }
        // With a key, so that a run which has ended in time is found again and not started anew.
        self.scene.spawn(["run", "plan.yaml", "--key", "ordeal"])
    }

    /// The attempts whose agents are at work.
    fn alive(&self) -> Vec<Attempt> {
        let attempt = |agent: &super::processes::Process| {
            let token = agent.variable("MNEMOSYNE_FENCING_TOKEN")?.parse().ok()?;
            Some((agent.variable("MNEMOSYNE_ITEM_NAME")?, token))
        };
        self.scene.agents().iter().filter_map(attempt).collect()
    }

    /// Insists that every item was done as it should; returns how many attempts that took.
    fn check(&self) -> usize {
        let scene = &self.scene;
        wait_until("the last agents to be gone", || scene.processes().is_empty());
        let begun = begun(scene);
        let done = counted(scene.lines("done"));
        let node = scene.up();
        let run = text(&scene.item("item-0")["run"]);
        let events = events(scene);
        let completed = completions(&events);
        assert_eq!(unstarted(&events), Vec::<&Value>::new(), "what succeeded has started before");
        let mut attempts = 0;
        for number in 0..self.items {
            let name = format!("item-{number}");
            let detail = scene.json(&format!("show {run}/{name}"));
            let begun = begun.get(&name).map_or(&[][..], Vec::as_slice);
            self.check_item(&name, &detail, begun, done.get(&name).copied().unwrap_or(0));
            self.check_order(&name, &detail);
            assert_eq!(
                completed.get(&text(&detail["id"])).copied().unwrap_or(0),
                1,
                "completions of {name} in the history: {detail}"
            );
            attempts += history(&detail).len();
        }
        let status = scene.json("status");
        let counts = status["queue_status"].as_object().expect("counts by state");
        let known: u64 = counts.values().filter_map(Value::as_u64).sum();
        let succeeded = &status["queue_status"]["succeeded"];
        assert_eq!((known, succeeded), (self.items, &self.items.into()), "the counters balance");
        drop(node);
        attempts
    }

    /// What must be true of one item; `begun` are the tokens of the attempts that began, `done` counts its effect.
    fn check_item(&self, name: &str, detail: &Value, begun: &[u64], done: usize) {
        assert_eq!(detail["state"], "succeeded", "{name}: {detail}");
        assert_eq!(detail["outputs"]["name"], name, "{name}: {detail}");
        let history = history(detail);
        let tokens: Vec<u64> = history.iter().filter_map(|attempt| attempt["token"].as_u64()).collect();
        assert!(
            tokens.len() == history.len() && tokens.is_sorted_by(|a, b| a < b),
            "the tokens of {name} grow: {detail}"
        );
        let last = history.last().unwrap_or_else(|| panic!("{name} succeeded without an attempt: {detail}"));
        assert_eq!(last["outcome"], "succeeded", "{name} was run again after it had succeeded: {detail}");
        let succeeded = history.iter().filter(|attempt| attempt["outcome"] == "succeeded").count();
        assert_eq!(succeeded, 1, "{name} has one completion: {detail}");
        assert_eq!(detail["completion"]["token"], last["token"], "{name}: {detail}");
        assert_eq!(detail["attempts"], history.len(), "{name}: {detail}");
        assert!(
            history.iter().all(|attempt| attempt["counts"] == false),
            "no attempt of {name} was spent: {detail}"
        );
        let mut once = BTreeSet::new();
        assert!(
            begun.iter().all(|token| tokens.contains(token) && once.insert(token)),
            "each attempt of {name} began once, and only after it was granted: {begun:?} {detail}"
        );
        match self.victims {
            Victims::Everything => assert!(done >= 1, "the effect of {name} is missing: {detail}"),
            Victims::Node => {
                // The agents outlive the node, so each attempt that began is one that went on to its end.
                assert_eq!(done, 1, "the effect of {name} is there once: {detail}");
                assert_eq!(begun.len(), 1, "the work of {name} was not repeated: {begun:?} {detail}");
                assert_eq!(begun.last(), tokens.last(), "the attempt of {name} that began succeeded: {detail}");
                for (_, token) in self.survivors.iter().filter(|(survivor, _)| survivor == name) {
                    assert_eq!(Some(token), tokens.last(), "{name} outlived its node and counted: {detail}");
                }
            }
        }
    }

    /// Insists that nothing was granted before what it needs had succeeded.
    fn check_order(&self, name: &str, detail: &Value) {
        for need in detail["needs"].as_array().expect("an array") {
            let before = self.scene.json(&format!("show {}", text(&need["id"])));
            let (ended, granted) =
                (text(&before["completion"]["at"]), text(&detail["history"][0]["granted_at"]));
            assert!(
                ended <= granted,
                "{name} was granted at {granted}, before {} had succeeded at {ended}",
                need["name"]
            );
        }
    }
}

fn history(detail: &Value) -> &Vec<Value> {
    detail["history"].as_array().expect("an array")
}

/// Tokens of the attempts that began, by the name of their item.
fn begun(scene: &Scene) -> BTreeMap<String, Vec<u64>> {
    let mut begun: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in scene.lines("begun") {
        let (name, token) = line.split_once(' ').expect("two words");
        begun.entry(name.to_owned()).or_default().push(token.parse().expect("a token"));
    }
    begun
}

/// Everything that has happened.
fn events(scene: &Scene) -> Vec<Value> {
    let events = scene.line("events --after 0 --json").exits(0).stdout;
    events.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}

/// How often the events tell of the success of an item, by its id.
fn completions(events: &[Value]) -> BTreeMap<String, usize> {
    let completed = events.iter().filter(|event| event["event"] == "WorkItemCompleted");
    counted(completed.map(|event| text(&event["item"])))
}

/// Attempts that succeeded, as the events tell, and whose start no event tells before that.
fn unstarted(events: &[Value]) -> Vec<&Value> {
    let mut started = BTreeSet::new();
    let mut found = Vec::new();
    for event in events {
        match event["event"].as_str() {
            Some("WorkItemStarted") => drop(started.insert(event["token"].as_u64())),
            Some("AttemptEnded")
                if event["outcome"] == "Succeeded" && !started.contains(&event["token"].as_u64()) =>
            {
                found.push(event);
            }
            _ => {}
        }
    }
    found
}

/// How often each text is there.
pub(crate) fn counted(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_insert(0) += 1;
    }
    counts
}
