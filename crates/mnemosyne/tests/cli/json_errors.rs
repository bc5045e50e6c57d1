//! What goes wrong, for programs: one JSON object on stderr, and the exit code as ever.

use serde_json::{Value, json};

use crate::support::plan::{does, plan};
use crate::support::{Outcome, Scene};

/// The error that was told last.
#[track_caller]
fn error(outcome: &Outcome) -> Value {
    let last = outcome.stderr.lines().last().unwrap_or_default();
    let told: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(1), "{told}");
    assert_eq!(told["error"]["exit_code"], outcome.exit);
    assert!(
        told["error"]["message"].as_str().is_some_and(|text| !text.is_empty() && !text.starts_with("error"))
    );
    told["error"].clone()
}

#[test]
fn a_mistake_in_a_plan_has_its_place_and_its_way_out_as_data() {
    let scene = Scene::new();
    scene.write("plan.yaml", "version: 1\nitems:\n  a: { run: x, neds: [b] }\n  b: { run: x, priority: 77 }\n");
    for words in ["run plan.yaml --json", "submit plan.yaml --json", "plan graph plan.yaml --json"] {
        let refused = scene.line(words).exits(2);
        assert_eq!((refused.stdout.as_str(), refused.stderr.lines().count()), ("", 1), "{words}");
        let error = error(&refused);
        assert_eq!(error["kind"], "plan/unknown-key");
        assert_eq!(error["message"], "unknown key `neds` in `items.a`");
        assert_eq!(
            (&error["file"], &error["line"], &error["column"]),
            (&json!("plan.yaml"), &json!(3), &json!(16))
        );
        assert_eq!(error["help"], "did you mean `needs`?");
        let codes: Vec<&Value> =
            error["diagnostics"].as_array().expect("all of them").iter().map(|each| &each["code"]).collect();
        assert_eq!(codes, ["plan/unknown-key", "plan/out-of-range"]);
    }
}

#[test]
fn every_error_is_one_object() {
    let scene = Scene::new();
    assert_eq!(error(&scene.line("ps --json").exits(2))["kind"], "usage");
    assert_eq!(error(&scene.line("run nothing-here.yaml --json").exits(2))["line"], Value::Null);
    let usage = error(&scene.line("ps --state dancing --json").exits(2));
    assert!(usage["message"].as_str().expect("a text").contains("dancing"), "{usage}");
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    let mut command = scene.command(["ps"]);
    command.env("MNEMOSYNE_JSON", "1");
    assert_eq!(error(&scene.start(command).wait().exits(2))["kind"], "usage", "by the variable");
    let _node = scene.up();
    let second = error(&scene.line("up --json").exits(5));
    assert_eq!((&second["kind"], &second["file"]), (&json!("unavailable"), &Value::Null));
    scene.write("mnemosyne.toml", "[node]\nnam = 1\n");
    let config = error(&scene.line("status --json").exits(2));
    assert_eq!((&config["kind"], &config["line"]), (&json!("config/unknown-key"), &json!(2)));
    let words = scene.line("status").exits(2).stderr;
    assert!(words.starts_with("error[config/unknown-key]"), "without --json in words: {words}");
}

#[test]
fn what_is_said_about_a_plan_is_data() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        "version: 1\nname: site\nvars: { unused: 1 }\nitems:\n  a: { run: [\"make\", \"it so\"], estimate: 90s }\n  \
         b: { run: \"ship\", needs: { a: done }, timeouts: { run: 1h }, retry: { max_attempts: 2 }, priority: 7 }\n",
    );
    let quiet = |words: &str| {
        let outcome = scene.line(words).exits(0);
        assert_eq!(outcome.stderr, "", "{words}");
        let answer = outcome.json();
        assert_eq!(answer["warnings"][0]["code"], "plan/unused-var", "{words}");
        answer
    };
    let checked = quiet("plan check plan.yaml --json");
    assert_eq!(
        (&checked["ok"], &checked["name"], &checked["items"]),
        (&json!(true), &json!("site"), &json!(2))
    );
    let graph = quiet("plan graph plan.yaml --json");
    assert_eq!(graph["level_count"], 2);
    assert_eq!(graph["items"][1], json!({ "name": "b", "level": 2, "needs": [{ "name": "a", "on": "done" }] }));
    let explained = quiet("plan explain plan.yaml --json");
    assert_eq!(explained["total_estimate_ms"], 90_000);
    let (a, b) = (&explained["items"][0], &explained["items"][1]);
    assert_eq!(a["action"], json!({ "kind": "argv", "argv": ["make", "it so"] }));
    assert_eq!((&a["estimate_ms"], &a["needs"], &a["agents"]), (&json!(90_000), &json!([]), &json!([])));
    assert_eq!(b["action"], json!({ "kind": "shell", "line": "ship" }));
    assert_eq!(b["needs"], json!([{ "name": "a", "on": "done" }]));
    assert_eq!(
        (&b["run_timeout_ms"], &b["max_attempts"], &b["role"]),
        (&json!(3_600_000), &json!(2), &json!("executor"))
    );
    assert_eq!((&b["priority"], &b["soft_fail"], &b["workspace"]), (&json!(7), &json!(false), &json!("none")));

    scene.write("plan.yaml", "version: 1\nitems:\n  a: { run: x, neds: [b] }\n");
    let refused = scene.line("plan check plan.yaml --json").exits(2);
    assert_eq!(error(&refused)["kind"], "plan/unknown-key");
    let checked = refused.json();
    assert_eq!((&checked["ok"], &checked["errors"][0]["line"]), (&json!(false), &json!(3)));
}
