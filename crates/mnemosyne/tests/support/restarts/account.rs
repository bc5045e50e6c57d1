//! What the history tells of a workflow, held against what it was to do, what it has left and what has hit it.

mod forged;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::machine::{AttemptName, Machine};
use super::workflow::{Course, Planned};
use crate::support::Scene;
use crate::support::node::text;
use crate::support::ordeal::counted;

/// What the events tell of one item, each with the number of its event.
#[derive(Debug, Default)]
struct Told {
    id: String,
    state: String,
    /// Attempts in the order in which they were granted.
    attempts: Vec<Attempt>,
    /// Its ends.
    ends: Vec<(u64, String)>,
}

#[derive(Debug)]
struct Attempt {
    token: u64,
    granted: u64,
    started: bool,
    outcome: Option<Value>,
}

/// All that was told, and all that was left.
pub(super) struct Account {
    /// By the name of the item.
    told: BTreeMap<String, Told>,
    /// Attempts that have begun.
    begun: BTreeSet<AttemptName>,
    /// How often each effect is there.
    effects: BTreeMap<String, usize>,
}

/// How many attempts it took.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) granted: usize,
    pub(super) begun: usize,
    /// Those that outlived a node, and came to a result of their own.
    pub(super) carried_over: usize,
    /// Those that were hit.
    pub(super) repeated: usize,
}

impl Account {
    pub(super) fn of(scene: &Scene, events: &[Value]) -> Self {
        Self::told(&scene.items(), events, &scene.lines("begun"), scene.lines("done"))
    }

    /// The same of items as they are listed, and of lines with what has begun and what was done.
    fn told(items: &[Value], events: &[Value], lines: &[String], done: Vec<String>) -> Self {
        let mut by_id: BTreeMap<String, Told> = BTreeMap::new();
        for event in events {
            if let Some(item) = event["item"].as_str() {
                by_id.entry(item.to_owned()).or_default().hear(event);
            }
        }
        let mut told = BTreeMap::new();
        for item in items {
            let id = text(&item["id"]);
            let of_item = by_id.remove(&id).unwrap_or_default();
            told.insert(text(&item["name"]), Told { id, state: text(&item["state"]), ..of_item });
        }
        assert!(by_id.is_empty(), "there are no events of other items: {by_id:?}");
        let mut begun = BTreeSet::new();
        for line in lines {
            let (name, token) = line.split_once(' ').expect("two words");
            let attempt = format!("{}-{token}", told[name].id);
            assert!(begun.insert(attempt), "an attempt begins once: {line}");
        }
        Self { told, begun, effects: counted(done) }
    }

    /// Insists that everything is as it should be; returns how many attempts that took.
    pub(super) fn check(&self, items: &[&Planned], machine: &Machine) -> Figures {
        assert!(machine.strangers_live(), "processes that nobody here has started are left alone");
        assert_eq!(self.told.len(), items.len(), "every item is there, and no other one");
        let mut granted = BTreeSet::new();
        let mut of_shared = Vec::new();
        for item in items {
            let told = &self.told[&item.name];
            self.check_attempts(item, told, machine);
            self.check_order(item, told);
            granted.extend(told.attempts.iter().map(|attempt| told.name(attempt)));
            if item.course == Course::Shared {
                of_shared.extend(told.attempts.iter().map(|attempt| told.name(attempt)));
            } else {
                let failures = told.failures();
                let effects = self.effects.get(&item.effect).copied().unwrap_or(0);
                let least = if item.course == Course::Hopeless { failures } else { 1 };
                self.check_effects(told, &told.names(), effects, least, machine);
            }
        }
        let effects = self.effects.get(super::SHARED).copied().unwrap_or(0);
        self.check_effects(&Told::default(), &of_shared, effects, 1, machine);
        let unknown: Vec<_> = self.begun.difference(&granted).collect();
        assert!(unknown.is_empty(), "nothing begins without a grant: {unknown:?}");
        let begun = |attempt: &&AttemptName| self.begun.contains(*attempt);
        Figures {
            granted: granted.len(),
            begun: self.begun.len(),
            carried_over: machine.survivors.difference(&machine.hit).filter(begun).count(),
            repeated: machine.hit.iter().filter(begun).count(),
        }
    }

    /// Insists that an item came to its end once, and that each of its attempts ended as it could.
    fn check_attempts(&self, item: &Planned, told: &Told, machine: &Machine) {
        let Planned { name, course, .. } = item;
        let expected = if *course == Course::Hopeless { "failed" } else { "succeeded" };
        assert_eq!(told.state, expected, "{name}: {told:?}");
        assert_eq!(told.ends.len(), 1, "{name} ends once: {told:?}");
        let (end, event) = &told.ends[0];
        let completed = if *course == Course::Hopeless { "WorkItemFailed" } else { "WorkItemCompleted" };
        assert_eq!(event, completed, "{name}: {told:?}");
        let tokens: Vec<u64> = told.attempts.iter().map(|attempt| attempt.token).collect();
        assert!(tokens.is_sorted_by(|a, b| a < b), "the tokens of {name} grow: {told:?}");
        let mut was_hit = false;
        for (place, attempt) in told.attempts.iter().enumerate() {
            let (id, is_last) = (told.name(attempt), place + 1 == told.attempts.len());
            let (begun, hit) = (self.begun.contains(&id), machine.hit.contains(&id));
            was_hit |= hit;
            assert!(attempt.granted < *end, "{name} was granted after its end: {told:?}");
            let outcome = attempt.outcome.as_ref().unwrap_or(&Value::Null);
            if outcome.get("Requeued").is_some() {
                assert!(!is_last, "{name} ends with a result: {told:?}");
                assert!(!begun || hit, "{id} of {name} ran, was hit by nothing and was lost: {told:?}");
                continue;
            }
            assert!(begun && attempt.started, "{id} of {name} has a result and did not run: {told:?}");
            assert_eq!(outcome, &course.outcome(is_last), "{id} of {name}: {told:?}");
        }
        let failures = told.failures();
        match course {
            Course::Plain | Course::Shared => assert_eq!(failures, 0, "{name}: {told:?}"),
            Course::Hopeless => {
                assert_eq!(failures, 2, "an interruption spends no attempt of {name}: {told:?}");
            }
            // What was killed may have counted its try before.
            Course::Flaky => assert!(failures == 1 || was_hit && failures == 0, "{name}: {told:?}"),
        }
        assert!(!told.attempts.is_empty() || *course == Course::Shared, "{name} was done by nobody");
    }

    /// Insists that an effect is there, and as often as the attempts that nothing has hit say.
    fn check_effects(
        &self,
        told: &Told,
        attempts: &[AttemptName],
        effects: usize,
        least: usize,
        machine: &Machine,
    ) {
        let hit = attempts.iter().filter(|attempt| machine.hit.contains(*attempt)).count();
        let range = least..=least + hit;
        assert!(
            range.contains(&effects),
            "{effects} effects instead of {range:?}, with {hit} attempts hit: {told:?}"
        );
    }

    /// Insists that nothing was granted before what it needs had ended.
    fn check_order(&self, item: &Planned, told: &Told) {
        for need in &item.needs {
            let (end, _) = &self.told[need].ends[0];
            assert!(
                told.attempts.iter().all(|attempt| attempt.granted > *end),
                "{} was granted before {need} had ended: {told:?}",
                item.name
            );
        }
    }
}

impl Course {
    /// How an attempt ends that nothing interrupts.
    fn outcome(self, is_last: bool) -> Value {
        match self {
            Self::Hopeless => serde_json::json!({ "Failed": { "ExitCode": 3 } }),
            Self::Flaky if !is_last => serde_json::json!({ "Failed": { "ExitCode": 1 } }),
            _ => "Succeeded".into(),
        }
    }
}

impl Told {
    fn hear(&mut self, event: &Value) {
        let seq = event["seq"].as_u64().expect("a number");
        let name = event["event"].as_str().expect("a name");
        let token = event["token"].as_u64();
        let attempt = self.attempts.iter_mut().find(|attempt| Some(attempt.token) == token);
        match (name, attempt) {
            ("WorkItemAssigned", None) => {
                let token = token.expect("a grant has a token");
                self.attempts.push(Attempt { token, granted: seq, started: false, outcome: None });
            }
            ("WorkItemStarted", Some(attempt)) if attempt.outcome.is_none() => attempt.started = true,
            ("AttemptEnded", Some(attempt)) if attempt.outcome.is_none() => {
                attempt.outcome = Some(event["outcome"].clone());
            }
            ("WorkItemAssigned" | "WorkItemStarted" | "AttemptEnded", _) => {
                panic!("an attempt is granted, starts and ends once: {event}, after {self:?}")
            }
            ("WorkItemReady" | "WorkItemBackingOff" | "ReportFenced", _) => {}
            _ => self.ends.push((seq, name.to_owned())),
        }
    }

    fn name(&self, attempt: &Attempt) -> AttemptName {
        format!("{}-{}", self.id, attempt.token)
    }

    fn names(&self) -> Vec<AttemptName> {
        self.attempts.iter().map(|attempt| self.name(attempt)).collect()
    }

    /// How many attempts failed by themselves.
    fn failures(&self) -> usize {
        let failed = |attempt: &&Attempt| {
            attempt.outcome.as_ref().is_some_and(|outcome| outcome.get("Failed").is_some())
        };
        self.attempts.iter().filter(failed).count()
    }
}

/// The events after the first so many, none of which is left out.
pub(super) fn events(scene: &Scene, after: usize) -> Vec<Value> {
    let printed = scene.run(["events", "--after", &after.to_string(), "--json"]).exits(0).stdout;
    let events: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    check_numbers(&events, after);
    events
}

/// Insists that none is left out.
fn check_numbers(events: &[Value], after: usize) {
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], after + place + 1, "events have numbers without gaps");
    }
}

/// Whether all items of a run have ended.
pub(super) fn is_finished(events: &[Value], run: &str) -> bool {
    events.iter().any(|event| event["event"] == "RunFinished" && event["run"] == run)
}

/// Insists that the history tells of the sessions what was seen of them: one after the other, each with its end.
pub(super) fn check_sessions(events: &[Value], seen: &BTreeMap<String, &'static str>) {
    let mut ends: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for event in events {
        let id = || format!("s{}", event["session"]);
        let end = match event["event"].as_str() {
            Some("SessionStarted") => {
                let open = ends.iter().find(|(_, end)| end.is_none());
                assert_eq!(open, None, "the session before has an end before {event}");
                assert_eq!(ends.insert(id(), None), None, "a session starts once: {event}");
                continue;
            }
            Some("SessionEnded") => "ended",
            Some("SessionOrphaned") => "orphaned",
            _ => continue,
        };
        let told = ends.get_mut(&id()).unwrap_or_else(|| panic!("it has not started before: {event}"));
        assert_eq!(told.replace(end), None, "a session ends once: {event}");
    }
    let seen = seen.iter().map(|(id, end)| (id.clone(), Some(*end))).collect();
    assert_eq!(ends, seen, "each session, and how it ended");
}
