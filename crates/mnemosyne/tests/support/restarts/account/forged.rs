//! Records that are not as they should be, each in one point: what holds the history against the rest names it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::*;

/// What is told of five items: `plain`, `flaky` that needs it, `hopeless`, and two with one key.
struct Record {
    items: Vec<Value>,
    events: Vec<Value>,
    begun: Vec<String>,
    done: Vec<String>,
    survivors: Vec<&'static str>,
    hit: Vec<&'static str>,
}

/// One with which all is well: `plain` was hit once and begun again, and the first attempt of `flaky` outlived its node.
fn record() -> Record {
    let names = ["plain", "flaky", "hopeless", "shared", "same"];
    let state = |name: &str| if name == "hopeless" { "failed" } else { "succeeded" };
    let item =
        |(at, name): (usize, &&str)| json!({ "id": format!("r.{at}"), "name": name, "state": state(name) });
    let mut record = Record {
        items: names.iter().enumerate().map(item).collect(),
        events: Vec::new(),
        begun: ["plain 1", "plain 2", "flaky 3", "flaky 4", "hopeless 5", "hopeless 6", "shared 7"]
            .map(str::to_owned)
            .to_vec(),
        done: ["plain", "plain", "flaky", "hopeless", "hopeless", "shared"].map(str::to_owned).to_vec(),
        survivors: vec!["r.1-3"],
        hit: vec!["r.0-1"],
    };
    let (failed, hopeless) = (json!({ "Failed": { "ExitCode": 1 } }), json!({ "Failed": { "ExitCode": 3 } }));
    record.attempt(0, 1, &json!({ "Requeued": "Interrupted" }));
    record.attempt(0, 2, &"Succeeded".into());
    record.event("WorkItemCompleted", 0, None);
    record.attempt(1, 3, &failed);
    record.attempt(1, 4, &"Succeeded".into());
    record.event("WorkItemCompleted", 1, None);
    record.attempt(2, 5, &hopeless);
    record.attempt(2, 6, &hopeless);
    record.event("WorkItemFailed", 2, None);
    record.attempt(3, 7, &"Succeeded".into());
    record.event("WorkItemCompleted", 3, None);
    record.event("WorkItemCompleted", 4, None);
    record
}

impl Record {
    fn attempt(&mut self, item: u32, token: u64, outcome: &Value) {
        for name in ["WorkItemAssigned", "WorkItemStarted", "AttemptEnded"] {
            self.event(name, item, Some(token));
        }
        self.events.last_mut().expect("just told")["outcome"] = outcome.clone();
    }

    fn event(&mut self, name: &str, item: u32, token: Option<u64>) {
        let seq = self.events.len() + 1;
        self.events.push(json!({ "seq": seq, "event": name, "item": format!("r.{item}"), "token": token }));
    }

    fn end_of(&mut self, token: u64) -> &mut Value {
        let is_it = |event: &&mut Value| event["event"] == "AttemptEnded" && event["token"] == token;
        &mut self.events.iter_mut().find(is_it).expect("it has one")["outcome"]
    }

    fn without(&mut self, unwanted: impl Fn(&Value) -> bool) {
        self.events.retain(|event| !unwanted(event));
    }

    /// What is held against it; nothing when all is well.
    fn verdict(self) -> Result<Figures, String> {
        let planned = |name: &str, course, needs: &[&str], effect: &str| Planned {
            name: name.to_owned(),
            course,
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            effect: effect.to_owned(),
        };
        let items = [
            planned("plain", Course::Plain, &[], "plain"),
            planned("flaky", Course::Flaky, &["plain"], "flaky"),
            planned("hopeless", Course::Hopeless, &[], "hopeless"),
            planned("shared", Course::Shared, &[], "shared"),
            planned("same", Course::Shared, &[], "shared"),
        ];
        let mut machine = Machine::new(Scene::new());
        machine.survivors = self.survivors.iter().map(|&name| name.to_owned()).collect();
        machine.hit = self.hit.iter().map(|&name| name.to_owned()).collect();
        named(|| {
            check_numbers(&self.events, 0);
            let account = Account::told(&self.items, &self.events, &self.begun, self.done.clone());
            account.check(&items.iter().collect::<Vec<_>>(), &machine)
        })
    }
}

/// What something insists on in vain.
fn named<T>(check: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(check))
        .map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_record_with_which_all_is_well_is_taken() {
    let figures = Figures { granted: 7, begun: 7, carried_over: 1, repeated: 1 };
    assert_eq!(record().verdict(), Ok(figures));
    let mut hit_later = record();
    hit_later.survivors = vec!["r.0-1"];
    assert_eq!(hit_later.verdict().expect("all is well").carried_over, 0, "what was hit has outlived nothing");
}

#[test]
fn what_is_wrong_with_a_record_is_named() {
    type Forge = fn(&mut Record);
    let forged: &[(&str, Forge)] = &[
        ("events have numbers without gaps", |record| drop(record.events.remove(3))),
        ("there are no events of other items", |record| record.event("WorkItemReady", 9, None)),
        ("every item is there, and no other one", |record| {
            record.items.push(json!({ "id": "r.5", "name": "other", "state": "succeeded" }));
        }),
        ("flaky was granted before plain had ended", |record| record.events.swap(6, 7)),
        ("plain ends once", |record| record.event("WorkItemCompleted", 0, None)),
        ("was granted after its end", |record| record.events[3..7].rotate_right(1)),
        ("an attempt is granted, starts and ends once", |record| record.event("WorkItemStarted", 0, Some(2))),
        ("an attempt is granted, starts and ends once", |record| record.event("AttemptEnded", 0, Some(8))),
        ("the tokens of flaky grow", |record| {
            let of_flaky = record.events.iter_mut().filter(|event| event["item"] == "r.1");
            for event in of_flaky.filter(|event| event["token"].is_u64()) {
                event["token"] = (7 - event["token"].as_u64().expect("a number")).into();
            }
        }),
        ("plain ends with a result", |record| *record.end_of(2) = json!({ "Requeued": "Interrupted" })),
        ("r.0-1 of plain ran, was hit by nothing and was lost", |record| record.hit.clear()),
        ("r.0-2 of plain has a result and did not run", |record| drop(record.begun.remove(1))),
        ("r.0-2 of plain has a result and did not run", |record| {
            record.without(|event| event["event"] == "WorkItemStarted" && event["token"] == 2);
        }),
        ("r.2-5 of hopeless", |record| *record.end_of(5) = json!({ "Failed": { "ExitCode": 4 } })),
        ("r.0-2 of plain", |record| *record.end_of(2) = json!({ "Failed": { "ExitCode": 1 } })),
        ("hopeless: ", |record| record.items[2]["state"] = "succeeded".into()),
        ("an interruption spends no attempt of hopeless", |record| {
            record.hit.push("r.2-5");
            *record.end_of(5) = json!({ "Requeued": "Interrupted" });
        }),
        ("flaky: ", |record| {
            record.without(|event| event["token"] == 3);
            record.begun.remove(2);
        }),
        ("plain was done by nobody", |record| {
            record.without(|event| event["item"] == "r.0" && event["token"].is_u64());
            record.begun.drain(..2);
        }),
        ("an attempt begins once", |record| record.begun.push("flaky 4".to_owned())),
        ("nothing begins without a grant", |record| record.begun.push("flaky 8".to_owned())),
        ("3 effects instead of 1..=2, with 1 attempts hit", |record| record.done.push("plain".to_owned())),
        ("2 effects instead of 1..=1, with 0 attempts hit", |record| record.done.push("flaky".to_owned())),
        ("0 effects instead of 1..=1", |record| drop(record.done.remove(2))),
        ("1 effects instead of 2..=2", |record| drop(record.done.remove(3))),
        ("2 effects instead of 1..=1", |record| record.done.push("shared".to_owned())),
        ("0 effects instead of 1..=1", |record| drop(record.done.pop())),
    ];
    for (place, (name, forge)) in forged.iter().enumerate() {
        let mut record = record();
        forge(&mut record);
        // Which numbers there are is a question of its own.
        if place > 0 {
            for (at, event) in record.events.iter_mut().enumerate() {
                event["seq"] = (at + 1).into();
            }
        }
        let verdict = record.verdict();
        assert!(verdict.as_ref().is_err_and(|error| error.contains(name)), "{place}, {name}: {verdict:?}");
    }
}

#[test]
fn what_is_wrong_with_the_sessions_is_named() {
    let verdict = |told: &[(&str, u32)], seen: &[(&str, &'static str)]| {
        let events: Vec<Value> =
            told.iter().map(|(name, number)| json!({ "event": name, "session": number })).collect();
        let seen = seen.iter().map(|(id, end)| ((*id).to_owned(), *end)).collect();
        named(|| check_sessions(&events, &seen)).err().unwrap_or_default()
    };
    let (start, end, orphan) = ("SessionStarted", "SessionEnded", "SessionOrphaned");
    let seen = [("s1", "orphaned"), ("s2", "ended")];
    assert_eq!(verdict(&[(start, 1), (orphan, 1), (start, 2), (end, 2)], &seen), "");
    let forged: [(&str, &[(&str, u32)]); 6] = [
        ("the session before has an end before", &[(start, 1), (start, 2), (orphan, 1), (end, 2)]),
        ("a session starts once", &[(start, 1), (orphan, 1), (start, 1)]),
        ("it has not started before", &[(start, 1), (orphan, 1), (end, 2)]),
        ("a session ends once", &[(start, 1), (orphan, 1), (end, 1)]),
        ("each session, and how it ended", &[(start, 1), (end, 1), (start, 2), (end, 2)]),
        ("each session, and how it ended", &[(start, 1), (orphan, 1), (start, 2)]),
    ];
    for (name, told) in forged {
        let verdict = verdict(told, &seen);
        assert!(verdict.contains(name), "{name}: {verdict:?}");
    }
}
