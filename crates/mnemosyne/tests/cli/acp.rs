//! Agents that speak the Agent Client Protocol: a turn survives the node, a
//! session survives the agent, and a cancelled turn leaves nothing behind.

use serde_json::json;

use crate::support::plan::plan;
use crate::support::scene::fake_agent;
use crate::support::{Scene, processes, wait_until};

/// A scene with an agent that does this in each turn, and logs what it hears.
fn scene(keys: &str, words: &[&str]) -> Scene {
    let scene = Scene::new();
    let log = format!("log:{}", scene.at("heard"));
    let pid = format!("pid:{}", scene.at("pids"));
    let mut command = vec![fake_agent(), &pid, "acp", &log];
    command.extend(words);
    let command = json!(command).to_string();
    scene.write("mnemosyne.toml", format!("[agents.talker]\nkind = \"acp\"\ncommand = {command}\n{keys}\n"));
    scene.write("plan.yaml", plan([("a", "prompt: do it, agent: talker")]));
    scene
}

fn wait_heard(scene: &Scene, line: &str) {
    wait_until(line, || scene.lines("heard").iter().any(|heard| heard == line));
}

#[test]
fn a_prompt_is_answered_and_what_it_used_is_recorded() {
    let scene = scene("", &["say:let me see", "tool:ls", "cost:0.5", "say:done"]);
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.outcomes("a"), ["succeeded"]);
    assert_eq!(scene.lines("heard"), ["initialize", "session/new", "session/prompt", "prompt do it"]);
    assert!(scene.processes().is_empty(), "it has taken its leave");
}

#[test]
fn a_turn_goes_on_after_the_death_of_the_node() {
    let go = Scene::new();
    let wait = format!("wait-for:{}", go.at("go"));
    let scene = scene("permissions = \"allow\"", &["say:one", "ask:touch x", &wait, "say:two"]);
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_heard(&scene, "permission this-time");
    run.kill();
    let run = scene.spawn(["run", "plan.yaml"]);
    go.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["succeeded"], "one attempt");
    assert_eq!(scene.lines("pids").len(), 1, "the same process");
    let said = ["initialize", "session/new", "session/prompt", "prompt do it", "permission this-time"];
    assert_eq!(scene.lines("heard"), said, "nothing was said twice");
}

#[test]
fn a_session_is_taken_up_after_the_death_of_node_and_agent() {
    let go = Scene::new();
    let wait = format!("wait-for:{}", go.at("go"));
    let scene = scene("", &["say:one", &wait, "say:two"]);
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_heard(&scene, "prompt do it");
    run.kill();
    processes::kill_all(|| scene.processes());
    go.touch("go");
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.lines("pids").len(), 2, "another process");
    let heard = scene.lines("heard");
    assert_eq!(heard[4..7], ["initialize", "session/load", "session/prompt"], "{heard:?}");
    assert!(heard[7].starts_with("prompt You have worked on this before"), "{heard:?}");
    let sessions = std::fs::read_dir(scene.path()).expect("listed").flatten();
    let of_agent = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".session-");
    assert_eq!(sessions.filter(of_agent).count(), 1, "the same session");
}

#[test]
fn a_cancelled_turn_answers_the_open_question_and_leaves_nothing_behind() {
    let scene = Scene::new();
    let heard = format!("log:{}", scene.at("heard"));
    let command =
        json!([fake_agent(), "grandchild:setsid:10m", "acp", heard, "ask:touch x", "hang"]).to_string();
    scene.write("mnemosyne.toml", format!("[agents.talker]\nkind = \"acp\"\ncommand = {command}\n"));
    scene.write("plan.yaml", plan([("a", "prompt: do it, agent: talker")]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_heard(&scene, "prompt do it");
    let cookies = scene.cookies("a");
    assert_eq!(cookies.len(), 1);
    assert!(!processes::with_cookie(&cookies[0]).is_empty());
    scene.run(["cancel", &scene.id("a")]).exits(0);
    run.wait();
    assert_eq!(scene.state("a"), "cancelled");
    assert!(processes::with_cookie(&cookies[0]).is_empty(), "nothing of it runs");
    assert_eq!(scene.lines("heard").last().map(String::as_str), Some("permission cancelled"));
}

#[test]
fn permissions_are_given_by_kind() {
    let allowed = scene("permissions = \"allow\"", &["ask:touch x", "say:done"]);
    allowed.line("run plan.yaml").exits(0);
    assert_eq!(allowed.lines("heard").last().map(String::as_str), Some("permission this-time"));
    let rejected = scene("permissions = \"reject\"", &["ask:touch x", "say:done"]);
    let run = rejected.spawn(["run", "plan.yaml"]);
    wait_heard(&rejected, "permission not-now");
    run.wait().exits(3);
    assert_eq!(rejected.state("a"), "waiting");
    assert_eq!(rejected.lines("heard").last().map(String::as_str), Some("permission not-now"));
    let why = rejected.show("a")["history"][0]["message"].to_string();
    assert!(why.contains("it was not allowed to: touch x"), "{why}");
}

#[test]
fn a_model_that_goes_round_in_circles_is_stopped() {
    let scene = scene("tool_calls_max = 10", &["loop:1000000"]);
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_heard(&scene, "prompt do it");
    run.wait().exits(3);
    assert_eq!(scene.state("a"), "waiting");
    let message = scene.show("a")["history"][0]["message"].to_string();
    assert!(message.contains("more than 10 tool calls"), "{message}");
}

#[test]
fn an_agent_that_floods_a_gibibyte_is_ended_and_costs_neither_memory_nor_disk() {
    let scene = scene("", &["flood:1024", "say:done"]);
    let node = scene.up();
    let words = "prompt: do it, agent: talker, retry: { max_attempts: 1 }";
    let run = scene.submit(&plan([("a", words)]));
    scene.line(&format!("wait {run}")).exits(1);
    assert!(scene.why("a").contains("it printed more than"), "{}", scene.why("a"));
    assert!(scene.processes().iter().all(|process| process.pid == node.pid()), "nothing of it runs");
    let memory = processes::memory_max(node.pid()).expect("it runs");
    assert!(memory < 256 << 20, "{memory} bytes");
    let attempts = std::fs::read_dir(scene.data_dir().join("attempts")).expect("attempts").flatten();
    let files = attempts.flat_map(|folder| std::fs::read_dir(folder.path()).expect("a folder").flatten());
    let on_disk: u64 = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    assert!(on_disk < 300 << 20, "{on_disk} bytes on disk");
}

#[test]
fn keys_that_do_not_fit_the_kind_are_refused() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[agents.a]\ncommand = [\"true\"]\ntool_calls_max = 3\n");
    scene.line("config check").exits(2).says("`agents.a.tool_calls_max` does not fit").says("kind = \"acp\"");
    scene.write(
        "mnemosyne.toml",
        "[agents.a]\nkind = \"acp\"\ncommand = [\"x\"]\nresume = [\"x\", \"{session}\"]\n",
    );
    scene.line("config check").exits(2).says("the protocol takes up sessions itself");
}

#[test]
fn logs_retell_a_turn() {
    let scene = scene("", &["say:let me ", "say:see", "tool:ls", "say:done"]);
    scene.line("run plan.yaml").exits(0);
    let logs = scene.run(["logs", &scene.id("a")]).exits(0).stdout;
    assert_eq!(logs, "let me see\n[uses] ls\ndone\n");
}
