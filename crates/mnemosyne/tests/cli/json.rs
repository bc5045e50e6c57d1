//! JSON for programs: the names that stay.

use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

#[test]
fn json_has_the_names_that_stay() {
    let scene = Scene::new();
    let quick = [("a", does(["output-json:{\"x\": 5}"])), ("b", format!("{}, needs: [a]", does(["exit:1"])))];
    scene.write("plan.yaml", plan(quick));
    let ran = scene.line("run plan.yaml --json").exits(1);
    assert_eq!(ran.stderr.lines().count(), 1, "with --json only the id of the run is said: {}", ran.stderr);
    let ran = ran.json();
    assert_eq!(names(&ran), ["duration_ms", "items", "name", "result", "run"]);
    assert_eq!(ran["items"], json!({ "succeeded": 1, "failed": 1 }));
    assert_eq!((&ran["name"], &ran["result"]), (&json!("story"), &json!("failed")));

    let items = scene.items();
    let item = [
        "agent",
        "attempts",
        "created_at",
        "error",
        "finished_at",
        "id",
        "name",
        "node",
        "priority",
        "reason",
        "run",
        "started_at",
        "state",
    ];
    for found in &items {
        assert_eq!(names(found), item);
        assert_eq!(found["run"], ran["run"]);
        for time in ["created_at", "started_at", "finished_at"] {
            assert!(is_rfc3339_millis(&text(&found[time])), "{time} is {}", found[time]);
        }
    }

    let detail = scene.show("a");
    for name in item.iter().chain(&["needs", "outputs", "history", "completion"]) {
        assert!(detail.get(name).is_some(), "`show --json` has {name}");
    }
    assert_eq!(detail["outputs"], json!({ "x": 5 }));
    let attempt = &detail["history"][0];
    for name in
        ["attempt", "token", "node", "agent", "session", "node_session", "started_at", "ended_at", "outcome"]
    {
        assert!(attempt.get(name).is_some(), "an attempt has {name}");
    }
    assert_eq!((&attempt["attempt"], &attempt["outcome"]), (&json!(1), &json!("succeeded")));
    assert_eq!(names(&detail["completion"]), ["at", "attempt", "token"]);
    assert_eq!(detail["completion"]["token"], attempt["token"]);
    assert!(is_rfc3339_millis(&text(&detail["completion"]["at"])));

    let failed = scene.show("b");
    assert_eq!(failed["completion"], Value::Null);
    assert_eq!(failed["outputs"], Value::Null);
    let needs = &failed["needs"][0];
    assert_eq!(
        (&needs["id"], &needs["name"], &needs["state"]),
        (&detail["id"], &json!("a"), &json!("succeeded"))
    );

    let submitted = scene.line("submit plan.yaml --json").exits(0).json();
    for name in ["run", "items"] {
        assert!(submitted.get(name).is_some(), "`submit --json` has {name}");
    }
    assert_eq!(names(&submitted["items"]), ["a", "b"]);
    assert_eq!(text(&submitted["items"]["b"]), format!("{}.2", text(&submitted["run"])));
    let untouched = scene.item("b");
    assert_eq!((&untouched["started_at"], &untouched["node"]), (&Value::Null, &Value::Null));
}

#[test]
fn status_has_the_names_of_the_snapshot() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["exit:0"]))])).exits(0);
    let status = scene.json("status");
    let named = ["timestamp", "queue_status", "agent_status", "recent_events", "performance"];
    for name in named.iter().chain(&["nodes", "pools", "sessions", "queue_metrics"]) {
        assert!(status.get(name).is_some(), "`status --json` has {name}: {status}");
    }
    assert_eq!(names(&status["agent_status"]), ["executor", "optimizer", "orchestrator", "reviewer"]);
    let metrics = &status["queue_metrics"];
    assert_eq!((&metrics["total_submitted"], &metrics["total_completed"]), (&json!(1), &json!(1)));
    assert_eq!(
        names(&status["performance"]),
        ["event_persist_latency_ms", "memory_usage_bytes", "message_latency_ms"]
    );
    assert_eq!(
        status["performance"]["memory_usage_bytes"],
        Value::Null,
        "nothing is made up while no node runs"
    );
    let events = status["recent_events"].as_array().expect("a list");
    assert_eq!(events.last().map(|event| &event["event"]), Some(&json!("SessionEnded")));
    assert_eq!(
        (&status["sessions"][0]["state"], &status["nodes"][0]["state"]),
        (&json!("ended"), &json!("down"))
    );

    let node = scene.up();
    let status = scene.json("status");
    assert_eq!(status["nodes"][0]["state"], "up");
    assert_eq!(status["sessions"][0]["state"], "running");
    assert_eq!(status["agent_status"]["executor"]["current_state"], "idle");
    for measured in ["event_persist_latency_ms", "memory_usage_bytes", "message_latency_ms"] {
        assert!(
            status["performance"][measured].as_f64().is_some_and(|value| value > 0.0),
            "{measured}: {status}"
        );
    }
    node.kill();
    assert_eq!(scene.json("status")["sessions"][0]["state"], "orphaned");
    assert!(is_rfc3339_millis(&text(&status["timestamp"])));
}

#[test]
fn events_tell_everything_in_order_and_go_on() {
    let scene = Scene::new();
    let node = scene.up();
    let mut events = scene.spawn(["events", "-f", "--after", "0", "--json"]);
    let run =
        scene.submit(&plan([("a", does(["exit:0"])), ("b", format!("{}, needs: [a]", does(["exit:1"])))]));
    scene.run(["wait", &run]).exits(1);
    wait_until("the end of the run", || events.printed().contains("RunFinished"));
    let list = events.printed();
    let list: Vec<Value> =
        list.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    let numbers: Vec<u64> = list.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=list.len() as u64).collect::<Vec<_>>(), "without a gap");
    assert!(list.iter().all(|event| is_rfc3339_millis(&text(&event["at"]))));
    let order =
        ["RunSubmitted", "WorkItemReady", "WorkItemAssigned", "WorkItemStarted", "AttemptEnded", "RunFinished"];
    let first = |name: &&str| list.iter().position(|event| event["event"] == **name);
    assert!(order.iter().map(first).is_sorted_by(|a, b| a.is_some() && a < b), "{list:?}");
    let again = scene.line("events --json --after 3").exits(0).stdout;
    assert_eq!(again.lines().count() + 3, list.len());
    drop(node);
    events.wait_said("no node is running; waiting for one");
    let _next = scene.up();
    wait_until("the next node", || events.printed().matches("SessionStarted").count() == 2);
    let list = events.printed();
    let numbers =
        list.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")["seq"].clone());
    assert!(
        numbers.eq((1..=list.lines().count()).map(Value::from)),
        "without a gap, from node to node: {list}"
    );
    events.interrupt();
    events.wait().exits(130);
}

fn names(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} is not an object"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// `2026-01-31T12:30:59.123Z`.
fn is_rfc3339_millis(text: &str) -> bool {
    let shape = |(at, character): (usize, char)| match at {
        4 | 7 => character == '-',
        10 => character == 'T',
        13 | 16 => character == ':',
        19 => character == '.',
        23 => character == 'Z',
        _ => character.is_ascii_digit(),
    };
    text.len() == 24 && text.chars().enumerate().all(shape)
}

#[test]
fn events_of_one_run_are_told_from_its_beginning() {
    let scene = Scene::new();
    for _ in 0..2 {
        scene.run_plan(&plan((0..30).map(|number| (format!("i{number}"), "run: \"true\"")))).exits(0);
    }
    let run = text(&scene.json("ps")[0]["run"]);
    let events = scene.run(["events", "--run", &run, "--json"]).exits(0).stdout;
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    assert_eq!(events.first().map(|event| &event["event"]), Some(&json!("RunSubmitted")));
    assert_eq!(events.last().map(|event| &event["event"]), Some(&json!("RunFinished")));
    assert!(events.len() > 100, "all of them, not only the latest: {}", events.len());
    let of_run = |event: &Value| {
        event["run"] == json!(run) || event["item"].as_str().is_some_and(|item| item.starts_with(&run))
    };
    assert!(events.iter().all(of_run), "{events:?}");
    scene.run(["events", "--run", "1zzzzz"]).exits(2);
}
