//! The work-plan protocol, told with a scripted endpoint: from a prompt in four phases to artifacts.

use fake_agent::{Endpoint, Script};
use serde_json::{Value, json};

use crate::support::Scene;
use crate::support::node::text;

/// What a reviewer says who finds nothing.
fn approval() -> String {
    let gates = [
        "intent",
        "tests",
        "documentation",
        "anti-patterns",
        "constraints",
        "completeness",
        "correctness",
        "principled",
    ];
    let gates: Vec<Value> = gates.iter().map(|gate| json!({ "gate": gate, "status": "passed" })).collect();
    json!({ "verdict": "approve", "summary": "as it has to be", "gates": gates }).to_string()
}

/// The replies of a model that does each phase as it is asked to.
fn replies(plan: &Value) -> Vec<Value> {
    let says = |matches: &str, answer: &Value| json!({ "match": matches, "text": answer.to_string() });
    vec![
        json!({ "match": "Review the result of the work item", "text": approval() }),
        says("Turn the request below", &json!({ "goals": ["greet"], "requirements": ["says hello"] })),
        says(
            "Complete the specification",
            &json!({ "components": [{ "name": "hello" }], "tests": ["it says hello"] }),
        ),
        says("Write the plan", plan),
        says("All items of the plan below", &json!({ "summary": "it greets", "artifacts": ["hello.txt"] })),
    ]
}

fn scene(replies: &[Value]) -> (Scene, Endpoint) {
    let script = json!({ "replies": replies, "otherwise": { "text": "done" } });
    let endpoint = Endpoint::start(Script::of(script)).expect("a port is free");
    let scene = Scene::new();
    let agent = |name: &str, role: &str| {
        let url = endpoint.base_url();
        format!("[agents.{name}]\nkind = \"http\"\nrole = \"{role}\"\nbase_url = {url:?}\nmodel = \"small\"\n")
    };
    let config =
        format!("[node.slots]\nexecutor = 1\n{}{}", agent("model", "executor"), agent("critic", "reviewer"));
    scene.write("mnemosyne.toml", config);
    (scene, endpoint)
}

fn hello() -> Value {
    json!({ "version": 1, "items": {
        "write": { "prompt": "write hello.txt", "review": { "checks": ["true"] } },
        "check": { "run": "echo hello > hello.txt", "needs": ["write"] },
    } })
}

/// All events, without what differs from run to run.
fn events(scene: &Scene) -> String {
    let run = scene.item("spec")["run"].as_str().expect("an id").to_owned();
    let events = scene.line("events").exits(0).stdout;
    let told = events.lines().map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" "));
    let told: Vec<String> = told.map(|line| line.replace(&run, "RUN")).collect();
    told.join("\n")
}

#[test]
fn a_prompt_goes_through_four_phases_to_artifacts() {
    let (scene, endpoint) = scene(&replies(&hello()));
    scene.run(["run", "-p", "Write a greeting"]).exits(0);
    assert_eq!(scene.read("hello.txt"), "hello\n");
    insta::assert_snapshot!(events(&scene));
    let shown = scene.show("plan");
    assert_eq!(
        (&shown["phase"], &shown["reviews"][0]["verdict"]),
        (&json!("full_spec_to_plan"), &json!("approve"))
    );
    assert_eq!(scene.show("write")["phase"], "plan_to_artifacts");
    assert!(
        endpoint.log().requests.len() >= 9,
        "four phases and an item, all but the last reviewed by a model"
    );
}

#[test]
fn a_plan_that_is_wrong_is_written_again_and_told_why() {
    let wrong = json!({ "version": 1, "items": { "write": { "prompt": "x", "needs": ["nobody"] } } });
    let mut replies = replies(&hello());
    let mut first = json!({ "match": "Write the plan", "text": wrong.to_string(), "times": 1 });
    std::mem::swap(&mut first, &mut replies[3]);
    replies.insert(4, first);
    let (scene, _endpoint) = scene(&replies);
    scene.run(["run", "-p", "Write a greeting"]).exits(0);
    let history = &scene.show("plan")["history"];
    assert!(text(&history[0]["message"]).contains("`nobody`, which does not exist"), "{history}");
    assert!(history[1]["context"]["tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{history}");
}
