//! Limits on time, retries, and what failures mean.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::processes::with_cookie;
use crate::support::{Scene, wait_until};

#[test]
fn an_attempt_that_runs_too_long_is_ended_and_has_failed() {
    let scene = Scene::new();
    let words = format!(
        "{}, timeouts: {{ run: 300ms }}, retry: {{ max_attempts: 2, initial_interval: 10ms }}",
        does(["grandchild:setsid:5m", "sleep:5m"])
    );
    scene.run_plan(&plan([("a", words)])).exits(1).says("run timeout");
    assert_eq!(scene.outcomes("a"), ["stopped (run timeout)", "stopped (run timeout)"]);
    for cookie in scene.cookies("a") {
        assert!(with_cookie(&cookie).is_empty());
    }
    assert!(span(&scene.show("a")["history"][0], "started_at", "ended_at") >= 300);
}

#[test]
fn the_run_timeout_holds_while_no_node_runs() {
    let scene = Scene::new();
    let steps = [format!("append:{}:begun", scene.at("effects")), "sleep:5m".to_owned()];
    scene.write("plan.yaml", plan([("a", format!("{}, timeouts: {{ run: 1s }}", does(steps)))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    run.kill();
    // The supervisor allows a few seconds more than a node would.
    wait_until("the agent to be gone", || scene.agents().is_empty());
    scene.line("run plan.yaml").exits(1).says("run timeout");
}

#[test]
fn an_agent_that_hangs_is_ended_and_one_that_works_is_not() {
    let scene = Scene::new();
    let idle = "timeouts: { idle: 1500ms }";
    scene.write(
        "plan.yaml",
        plan([
            ("hangs", format!("{}, {idle}", does(["stdout:so far so good", "sleep:5m"]))),
            ("talks", format!("{}, {idle}", does(["stream:10:300ms"]))),
            ("computes", format!("{}, {idle}", does(["burn-cpu:2500ms"]))),
        ]),
    );
    scene.line("run plan.yaml").exits(1).says("idle timeout");
    assert_eq!(scene.outcomes("hangs"), ["failed (idle timeout)"]);
    assert_eq!((scene.state("talks").as_str(), scene.state("computes").as_str()), ("succeeded", "succeeded"));
}

#[test]
fn an_item_that_waits_too_long_for_a_slot_expires() {
    let scene = Scene::new();
    scene.slots(1);
    scene.write(
        "plan.yaml",
        plan([
            ("hog", format!("{}, priority: 9", does([format!("wait-for:{}", scene.at("go"))]))),
            ("waits", format!("{}, timeouts: {{ queue: 200ms }}", does(["exit:0"]))),
            ("after", format!("{}, needs: {{ waits: failure }}", does(["exit:0"]))),
        ]),
    );
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("a node", || scene.data_dir().join("node.json").exists());
    scene.wait_state("waits", "expired");
    assert!(scene.why("waits").contains("queue timeout"), "{}", scene.why("waits"));
    scene.touch("go");
    run.wait().exits(1);
    assert_eq!(scene.state("after"), "succeeded");
    assert_eq!(scene.show("waits")["attempts"], 0);
}

#[test]
fn a_deadline_ends_whatever_state_the_item_is_in() {
    let scene = Scene::new();
    scene.slots(1);
    let wait = does([format!("wait-for:{}", scene.at("never"))]);
    scene.write(
        "plan.yaml",
        plan([
            ("runs", format!("{wait}, deadline: 2s")),
            ("pending", format!("{wait}, needs: [runs], deadline: 1s")),
            ("ready", format!("{wait}, deadline: 1s")),
        ]),
    );
    let outcome = scene.line("run plan.yaml").exits(1);
    assert!(outcome.stderr.contains("3 expired"), "{}", outcome.stderr);
    assert_eq!(scene.outcomes("runs"), ["stopped (deadline)"]);
    for name in ["runs", "pending", "ready"] {
        assert!(scene.why(name).contains("deadline passed"), "{name} {}", scene.why(name));
    }
    assert!(scene.agents().is_empty());
}

#[test]
fn deadlines_and_delays_count_while_no_node_runs() {
    let scene = Scene::new();
    let effect = does([format!("append:{}:done", scene.at("effects"))]);
    let run = scene.submit(&plan([
        ("late", format!("{effect}, deadline: 100ms")),
        ("delayed", format!("{effect}, delay: 300ms")),
    ]));
    let submitted = Instant::now();
    wait_until("the deadline to pass", || submitted.elapsed() > Duration::from_millis(150));
    assert_eq!(
        scene.state("late"),
        "ready",
        "whoever looks writes nothing, so it is the next node that ends it"
    );
    let _node = scene.up();
    scene.run(["wait", &run]).exits(1);
    assert_eq!((scene.state("late").as_str(), scene.state("delayed").as_str()), ("expired", "succeeded"));
    assert_eq!(scene.lines("effects").len(), 1);
    let delayed = scene.show("delayed");
    assert!(span(&delayed, "created_at", "started_at") >= 300);
}

#[test]
fn a_failed_attempt_is_repeated_after_waits_that_grow() {
    let scene = Scene::new();
    let retry = "retry: { max_attempts: 4, initial_interval: 300ms, backoff: 2, max_interval: 500ms }";
    let steps = [format!("fail-until:4:{}", scene.at("count")), "stdout:at last".to_owned()];
    scene.run_plan(&plan([("a", format!("{}, {retry}", does(steps)))])).exits(0);
    let detail = scene.show("a");
    assert_eq!(detail["attempts"], 4);
    let waits: Vec<u64> = (0..3)
        .map(|at| between(&detail["history"][at]["ended_at"], &detail["history"][at + 1]["granted_at"]))
        .collect();
    // A fifth less by jitter: 240 of 300; 400 of 500, since 600 and 1200 are more than the longest.
    assert!(waits[0] >= 240 && waits[1] >= 400 && waits[2] >= 400, "{waits:?}");
    assert_eq!(scene.run(["logs", &text(&detail["id"])]).exits(0).stdout, "at last\n");
    assert_eq!(scene.run(["logs", &text(&detail["id"]), "--attempt", "1"]).exits(0).stdout, "");
    scene.run(["logs", &text(&detail["id"]), "--attempt", "5"]).says("has no attempt 5");
}

#[test]
fn attempts_are_used_up() {
    let scene = Scene::new();
    let words =
        format!("{}, retry: {{ max_attempts: 3, initial_interval: 1ms }}", does(["stderr:no luck", "exit:4"]));
    scene.run_plan(&plan([("a", words)])).exits(1).says("no luck");
    assert_eq!(scene.outcomes("a"), ["failed (exit code 4)"; 3]);
    assert!(scene.why("a").starts_with("failed after 3 attempts; the last one failed (exit code 4): no luck"));
}

#[test]
fn dependents_follow_their_conditions() {
    let scene = Scene::new();
    let ok = does(["exit:0"]);
    scene.write(
        "plan.yaml",
        plan([
            ("good", ok.clone()),
            ("bad", does(["exit:1"])),
            ("soft", format!("{}, on_failure: soft_fail", does(["exit:1"]))),
            ("good-success", format!("{ok}, needs: {{ good: success }}")),
            ("good-failure", format!("{ok}, needs: {{ good: failure }}")),
            ("good-done", format!("{ok}, needs: {{ good: done }}")),
            ("bad-success", format!("{ok}, needs: {{ bad: success }}")),
            ("bad-failure", format!("{ok}, needs: {{ bad: failure }}")),
            ("bad-done", format!("{ok}, needs: {{ bad: done }}")),
            ("bad-always", format!("{ok}, needs: {{ bad: always }}")),
            ("soft-success", format!("{ok}, needs: {{ soft: success }}")),
            ("soft-done", format!("{ok}, needs: {{ soft: done }}")),
            ("skipped-success", format!("{ok}, needs: [bad-success]")),
            ("skipped-always", format!("{ok}, needs: {{ bad-success: always }}")),
            ("mixed", format!("{ok}, needs: {{ good: success, bad: failure }}")),
            ("mixed-wrong", format!("{ok}, needs: {{ good: success, bad: success }}")),
        ]),
    );
    scene.line("run plan.yaml").exits(1);
    let skipped = ["good-failure", "bad-success", "skipped-success", "mixed-wrong"];
    for item in scene.items() {
        let name = text(&item["name"]);
        let wanted = match name.as_str() {
            "bad" | "soft" => "failed",
            name if skipped.contains(&name) => "skipped",
            _ => "succeeded",
        };
        assert_eq!(item["state"], wanted, "{name}");
    }
    assert_eq!(scene.why("bad-success"), "is skipped: it needs bad to succeed, and that failed");
    assert_eq!(
        scene.why("skipped-success"),
        "is skipped: it needs bad-success to succeed, and that was skipped"
    );
}

#[test]
fn a_soft_failure_does_not_fail_the_run() {
    let scene = Scene::new();
    scene
        .run_plan(&plan([
            ("soft", format!("{}, on_failure: soft_fail", does(["exit:1"]))),
            ("after", format!("{}, needs: [soft]", does(["exit:0"]))),
        ]))
        .exits(0);
    assert_eq!((scene.state("soft").as_str(), scene.state("after").as_str()), ("failed", "succeeded"));
}

#[test]
fn retry_reopens_what_failed_and_what_was_skipped_because_of_it() {
    let scene = Scene::new();
    let plan = plan([
        ("a", does([format!("append:{}:a", scene.at("effects"))])),
        ("b", format!("{}, needs: [a]", does([format!("fail-until:2:{}", scene.at("count"))]))),
        ("c", format!("{}, needs: [b]", does([format!("append:{}:c", scene.at("effects"))]))),
    ]);
    scene.run_plan(&plan).exits(1);
    assert_eq!((scene.state("b").as_str(), scene.state("c").as_str()), ("failed", "skipped"));
    scene.run(["retry", &scene.id("a")]).exits(2).says("succeeded and cannot be retried");
    scene.run(["retry", &scene.id("b")]).exits(0).says("2 items reopened");
    assert_eq!((scene.state("b").as_str(), scene.state("c").as_str()), ("ready", "pending"));
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.lines("effects"), ["a", "c"], "what had succeeded is not done again");
    assert_eq!(scene.outcomes("b"), ["failed (exit code 1)", "succeeded"]);
}

#[test]
fn retry_of_a_run_reopens_all_of_it_that_did_not_succeed() {
    let scene = Scene::new();
    let plan = plan([
        ("a", does([format!("fail-until:2:{}", scene.at("a-count"))])),
        ("b", does([format!("fail-until:2:{}", scene.at("b-count"))])),
        ("c", does(["exit:0"])),
    ]);
    scene.run_plan(&plan).exits(1);
    let run = text(&scene.item("a")["run"]);
    scene.run(["retry", &run]).exits(0).says("2 items reopened");
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.show("c")["attempts"], 1);
}

/// Milliseconds between two times of an item or an attempt.
fn span(of: &Value, from: &str, to: &str) -> u64 {
    between(&of[from], &of[to])
}

fn between(from: &Value, to: &Value) -> u64 {
    let millis = |time: &Value| {
        let time = text(time);
        let number = |range: std::ops::Range<usize>| time[range].parse::<u64>().expect("digits");
        ((number(8..10) * 24 + number(11..13)) * 60 + number(14..16)) * 60_000
            + number(17..19) * 1_000
            + number(20..23)
    };
    millis(to).checked_sub(millis(from)).unwrap_or_else(|| panic!("{to} is before {from}"))
}

#[test]
fn a_clock_that_was_ahead_is_told_and_time_goes_on_from_there() {
    let scene = Scene::new();
    let two_days = Duration::from_secs(2 * 24 * 60 * 60);
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    scene.start(scene.with_clock_ahead(two_days, &["run", "plan.yaml"])).wait().exits(0);

    let status = scene.line("status").exits(0).stdout;
    assert!(status.lines().any(|line| line.starts_with("log time     1d23h")), "{status}");
    // What waits for a time does so by the time of the log, which does not stand still for two days.
    let retried = format!("{}, retry: {{ max_attempts: 2, initial_interval: 10ms }}", does(["exit:1"]));
    scene.write("plan.yaml", plan([("b", retried)]));
    scene.line("run plan.yaml").exits(1).says("ahead of the clock of this machine");
    assert_eq!(scene.outcomes("b").len(), 2);
}
