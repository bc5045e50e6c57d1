//! Reviews, gates, the inbox, phases, and items that join a run.

use crate::support::node::text;
use crate::support::{Scene, wait_until};

#[test]
fn checks_send_a_result_back_until_they_pass() {
    let scene = Scene::new();
    let plan = r#"version: 1
items:
  a: { run: "echo x >> a.txt", review: { checks: ["test $(wc -l < a.txt) -ge 2"] } }
  b: { run: "cp a.txt b.txt", needs: [a] }
"#;
    scene.run_plan(plan).exits(0);
    assert_eq!(scene.read("b.txt"), "x\nx\n");
    let shown = scene.json(&format!("show {}", scene.id("a")));
    assert_eq!(shown["attempts"], 2);
    assert_eq!(shown["history"][0]["outcome"], "succeeded", "the work was done; it was not approved");
}

#[test]
fn after_the_last_round_the_inbox_has_the_question() {
    let scene = Scene::new();
    let plan = "version: 1\nitems:\n  a: { run: \"true\", review: { checks: [\"echo too short >&2; false\"], max_rounds: 2 } }\n";
    let run = scene.submit(plan);
    let node = scene.up();
    scene.wait_state("a", "waiting");
    let inbox = scene.json("inbox");
    assert_eq!(text(&inbox[0]["kind"]), "review");
    assert!(text(&inbox[0]["text"]).contains("not approved after 2 rounds"), "{inbox}");
    assert!(text(&inbox[0]["text"]).contains("too short"), "{inbox}");
    // It survives the node.
    node.kill();
    assert_eq!(scene.json("inbox"), inbox);
    assert!(scene.line("inbox").exits(0).stdout.contains("q1"));
    scene.run(["reject", "q1"]).exits(2);
    scene.run(["answer", &scene.id("a"), "make it longer"]).exits(0).says("answered");
    let _node = scene.up();
    scene.wait_state("a", "waiting");
    scene.run(["reject", &run, "-m", "never mind"]).exits(0).says("rejected");
    scene.run(["wait", &run]).exits(1);
    assert!(scene.why("a").contains("was rejected: never mind"), "{}", scene.why("a"));
    assert_eq!(scene.json("inbox"), serde_json::json!([]));
}

#[test]
fn a_gate_lets_pass_what_a_human_approves_also_while_no_node_runs() {
    let scene = Scene::new();
    let plan = "version: 1\nitems:\n  a: { run: \"true\" }\n  ok: { gate: human, needs: [a] }\n  b: { run: \"touch b.txt\", needs: [ok] }\n";
    let run = scene.submit(plan);
    let node = scene.up();
    scene.wait_state("ok", "waiting");
    assert!(scene.why("ok").contains("waits for a human, question q1"), "{}", scene.why("ok"));
    node.kill();
    scene.run(["approve", "q1", "-m", "looks fine"]).exits(0).says("approved");
    scene.run(["approve", "q1"]).exits(2).says("there is no open question q1");
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    assert!(scene.path().join("b.txt").exists());
}

#[test]
fn a_reviewer_that_cannot_run_is_neither_approval_nor_rejection() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[agents.critic]\nrole = \"reviewer\"\ncommand = [\"no-such-program\"]\n");
    let plan = "version: 1\nitems:\n  a: { run: \"true\", review: { by: critic } }\n";
    scene.submit(plan);
    let _node = scene.up();
    wait_until("the question", || scene.json("inbox") != serde_json::json!([]));
    let shown = scene.json(&format!("show {}", scene.id("a")));
    assert_eq!((&shown["state"], &shown["attempts"]), (&"waiting".into(), &1.into()), "{shown}");
    let question = scene.json("inbox");
    assert!(text(&question[0]["text"]).contains("nobody could judge it"), "{question}");
}

#[test]
fn items_that_a_plan_adds_run_before_the_one_that_collects_them() {
    let scene = Scene::new();
    let added = r#"{"version": 1, "items": {"x": {"run": "echo x > x.txt"}, "y": {"run": "echo y > y.txt", "needs": ["x"]}}}"#;
    scene.write("added.json", added);
    let plan = r#"version: 1
items:
  plan: { run: ["sh", "-c", "cp added.json $MNEMOSYNE_OUTPUT_FILE"], adds_to: collect }
  collect: { run: "cat x.txt y.txt > all.txt" }
"#;
    scene.run_plan(plan).exits(0).says("4 of 4 ended");
    assert_eq!(scene.read("all.txt"), "x\ny\n");

    scene.write("added.json", added.replace("\"needs\": [\"x\"]", "\"needs\": [\"z\"]"));
    scene.line("run plan.yaml --new").exits(1).says("`z`, which does not exist");
    scene.write("added.json", added.replace("\"x\":", "\"collect\":").replace("[\"x\"]", "[]"));
    scene.line("run plan.yaml --new").exits(1).says("has an item \"collect\" already");
}

#[test]
fn phases_of_a_plan_file_go_one_after_the_other_each_by_approval() {
    let scene = Scene::new();
    let plan = r#"version: 1
phases: [full_spec_to_plan, plan_to_artifacts]
defaults: { review: { checks: ["true"] } }
items:
  a: { run: "echo a >> order.txt", phase: full_spec_to_plan }
  b: { run: "echo b >> order.txt", phase: full_spec_to_plan }
  c: { run: "echo c >> order.txt", phase: plan_to_artifacts }
"#;
    scene.run_plan(plan).exits(0);
    assert_eq!(scene.lines("order.txt").last().map(String::as_str), Some("c"));
    let events = scene.line("events --json").exits(0).stdout;
    let ended: Vec<&str> = events.lines().filter(|line| line.contains("PhaseCompleted")).collect();
    assert_eq!(ended.len(), 2, "{events}");
    assert!(scene.why("full_spec_to_plan~gate").contains("succeeded"));
}

#[test]
fn a_run_that_only_a_human_can_let_go_on_ends_with_a_code_of_its_own() {
    let scene = Scene::new();
    let plan = "version: 1\nitems:\n  a: { run: \"true\" }\n  ok: { gate: human, needs: [a] }\n  b: { run: \"true\", needs: [ok] }\n";
    scene.run_plan(plan).exits(3).says("waits for a human");
    scene.run(["approve", "q1"]).exits(0);
    scene.line("run plan.yaml").exits(0).says("continuing run");
}
