//! Agents of kind `http`, told with a scripted endpoint over real sockets.

use std::path::Path;

use fake_agent::endpoint::End;
use fake_agent::{Endpoint, Script};
use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Running, Scene, wait_until};

const KEY: &str = "sk-story-0123456789";

/// A scripted endpoint, and a scene whose agent `model` asks it with the key in `STORY_KEY`.
fn scene(script: Value) -> (Scene, Endpoint) {
    let endpoint = Endpoint::start(Script::of(script)).expect("a port is free");
    let scene = Scene::new();
    let config = format!(
        "[node.slots]\nexecutor = 20\n\n[agents.model]\nkind = \"http\"\nbase_url = {:?}\nmodel = \"small\"\n\
         api_key_env = \"STORY_KEY\"\n",
        endpoint.base_url()
    );
    scene.write("mnemosyne.toml", config);
    (scene, endpoint)
}

/// Starts a command with the key in its environment.
fn start(scene: &Scene, words: &str) -> Running {
    let mut command = scene.command(words.split_whitespace());
    command.env("STORY_KEY", KEY);
    scene.start(command)
}

/// A node with the key in its environment.
fn up(scene: &Scene) -> Running {
    let mut node = start(scene, "up");
    node.wait_said("node is up");
    node
}

/// What `logs` prints of the latest item of this name.
fn logs(scene: &Scene, name: &str) -> String {
    scene.run(["logs", &scene.id(name)]).exits(0).stdout
}

#[test]
fn an_endpoint_that_wants_to_be_left_alone_costs_time_and_no_attempts() {
    let (scene, endpoint) = scene(json!({
        "key": KEY,
        "parallel": 3,
        "retry_after": "0.3",
        "otherwise": { "text": "done: {prompt}", "delay_ms": 50 },
    }));
    let items = (0..20).map(|number| (format!("item-{number}"), format!("prompt: \"question {number}\"")));
    let one_attempt = "defaults: { retry: { max_attempts: 1 } }\nitems:";
    scene.write("plan.yaml", plan(items).replace("items:", one_attempt));
    start(&scene, "run plan.yaml").wait().exits(0);

    let log = endpoint.log();
    assert_eq!((log.answered, log.active_max), (20, 3), "{log:?}");
    assert!(log.throttled >= 17, "all came at once: {log:?}");
    let mut throttled = 0;
    for number in 0..20 {
        let name = format!("item-{number}");
        let mut outcomes = scene.outcomes(&name);
        assert_eq!(outcomes.pop().as_deref(), Some("succeeded"), "{name}");
        assert!(outcomes.iter().all(|outcome| outcome == "throttled"), "{name}: {outcomes:?}");
        throttled += outcomes.len() as u64;
        assert_eq!(scene.show(&name)["outputs"]["answer"], format!("done: question {number}"));
    }
    assert_eq!(throttled, log.throttled);
    let turned_away =
        (0..20).map(|number| format!("item-{number}")).find(|name| scene.outcomes(name).len() > 1);
    let id = scene.id(&turned_away.expect("17 were"));
    let shown = scene.run(["show", &id]).exits(0).stdout;
    assert!(shown.contains("throttled") && shown.contains("429 Too Many Requests"), "{shown}");
}

#[test]
fn what_a_model_says_is_seen_while_it_says_it_and_a_cancel_hangs_up() {
    let (scene, endpoint) = scene(json!({ "otherwise": { "text": "abcdefgh", "pieces": 4, "hang_after": 3 } }));
    let _node = up(&scene);
    scene.submit(&plan([("a", "prompt: hello")]));
    wait_until("three pieces to be seen", || scene.items().len() == 1 && logs(&scene, "a") == "abcdef");
    assert_eq!(scene.state("a"), "running");
    scene.run(["cancel", &scene.id("a")]).exits(0);
    scene.wait_state("a", "cancelled");
    let log = endpoint.wait_for("the connection to be closed", |log| log.left == 1);
    assert_eq!(log.requests[0].end, Some(End::Left));
}

#[test]
fn a_turn_that_dies_with_its_node_is_repeated_and_costs_no_attempt() {
    let (scene, endpoint) = scene(json!({
        "replies": [{ "times": 2, "text": "abcd", "pieces": 2, "hang_after": 1 }],
        "otherwise": { "text": "all of it" },
    }));
    let node = up(&scene);
    let one_attempt = "defaults: { retry: { max_attempts: 1 } }\nitems:";
    scene.submit(&plan([("a", "prompt: hello")]).replace("items:", one_attempt));
    endpoint.wait_for("the first turn", |log| log.active == 1);
    wait_until("a piece to be seen", || logs(&scene, "a") == "ab");
    node.kill();
    endpoint.wait_for("the first turn to be hung up on", |log| log.left == 1);

    let mut node = up(&scene);
    endpoint.wait_for("the second turn", |log| log.total == 2 && log.active == 1);
    node.interrupt();
    node.wait().exits(0);
    endpoint.wait_for("the second turn to be hung up on", |log| log.left == 2);

    let _node = up(&scene);
    scene.wait_state("a", "succeeded");
    assert_eq!(scene.outcomes("a"), ["interrupted", "interrupted", "succeeded"]);
    assert_eq!(scene.show("a")["outputs"], json!({ "answer": "all of it" }));
    assert_eq!(logs(&scene, "a"), "all of it\n");
}

#[test]
fn nobody_is_told_that_a_turn_goes_on_without_its_node() {
    let (scene, endpoint) = scene(json!({ "otherwise": { "text": "abcd", "pieces": 2, "hang_after": 1 } }));
    scene.write("plan.yaml", plan([("a", "prompt: hello")]));
    let mut run = start(&scene, "run plan.yaml");
    endpoint.wait_for("the turn", |log| log.active == 1);
    wait_until("a piece to be seen", || logs(&scene, "a") == "ab");
    run.interrupt();
    let outcome = run.wait().exits(130);
    assert!(
        !outcome.stderr.contains("by itself") && !outcome.stderr.contains("meanwhile"),
        "{}",
        outcome.stderr
    );
    endpoint.wait_for("the turn to be hung up on", |log| log.left == 1);
    assert_eq!(scene.outcomes("a"), ["interrupted"]);
}

#[test]
fn a_turn_whose_transcript_shows_that_it_was_done_is_not_repeated() {
    let (scene, endpoint) = scene(json!({ "otherwise": { "text": "abcd", "pieces": 2, "hang_after": 1 } }));
    let node = up(&scene);
    scene.submit(&plan([("a", "prompt: hello")]));
    endpoint.wait_for("the turn", |log| log.active == 1);
    wait_until("a piece to be seen", || logs(&scene, "a") == "ab");
    node.kill();
    let attempts = scene.data_dir().join("attempts");
    let attempt = std::fs::read_dir(attempts).expect("a folder").flatten().next().expect("an attempt").path();
    // As if the node had died between the end of the turn and its report.
    let transcript = json!({
        "format": "mnemosyne/chat-transcript",
        "version": 1,
        "response": { "text": "the whole answer" },
        "usage": { "model": "small", "input_tokens": 7, "output_tokens": 3, "cache_read_tokens": 0,
                   "cache_write_tokens": 0, "cost_microusd": null, "turns": 1 },
        "verdict": "done",
    });
    std::fs::write(attempt.join("transcript.json"), transcript.to_string()).expect("it can be written");
    let _node = up(&scene);
    scene.wait_state("a", "succeeded");
    assert_eq!(scene.outcomes("a"), ["succeeded"]);
    assert_eq!(scene.show("a")["outputs"], json!({ "answer": "the whole answer" }));
    assert_eq!(endpoint.log().total, 1);
}

#[test]
fn an_answer_becomes_the_outputs_of_its_item() {
    let (scene, _endpoint) = scene(json!({ "replies": [
        { "match": "in words", "text": "no JSON at all" },
        // The plan's schema is told to the model.
        { "match": "\"required\":[\"title\"]", "text": "Here:\n```json\n{\"title\": \"T\", \"level\": 3}\n```\n" },
        { "match": "the title is T", "text": "so it is" },
    ] }));
    let schema = "outputs: { type: object, required: [title] }";
    scene.write(
        "plan.yaml",
        plan([
            ("json", format!("prompt: \"name it\", {schema}")),
            ("words", format!("prompt: \"answer in words\", {schema}")),
            ("next", "prompt: \"the title is ${{ items.json.outputs.title }}\", needs: [json]".to_owned()),
            (
                "last",
                format!(
                    "{}, needs: [next], env: {{ SAID: \"${{{{ items.next.outputs.answer }}}}\" }}",
                    does(["env"])
                ),
            ),
        ]),
    );
    start(&scene, "run plan.yaml").wait().exits(1);
    assert_eq!(scene.show("json")["outputs"], json!({ "title": "T", "level": 3 }));
    assert_eq!(scene.show("next")["outputs"]["answer"], "so it is");
    assert!(logs(&scene, "last").contains("SAID=so it is\n"));
    let failed = text(&scene.show("words")["history"][0]["message"]);
    assert!(failed.contains("has no JSON in it"), "{failed}");
}

#[test]
fn a_key_is_sent_and_found_nowhere_else() {
    let reply = json!({ "text": format!("your key is {KEY}, is it not?"), "pieces": 30 });
    let (scene, endpoint) = scene(json!({ "key": KEY, "otherwise": reply }));
    scene.write("plan.yaml", plan([("a", "prompt: hello"), ("b", "prompt: hello")]));
    let ran = start(&scene, "run plan.yaml").wait().exits(0);
    assert!(endpoint.log().requests.iter().all(|seen| seen.has_key));
    assert_eq!(scene.show("a")["outputs"]["answer"], "your key is [hidden], is it not?");
    let mut said = ran.stdout + &ran.stderr;
    for words in ["ps", "show", "logs", "why", "events", "config show", "status", "doctor"] {
        let mut command = scene.command(words.split(' '));
        if ["show", "logs", "why"].contains(&words) {
            command.arg(scene.id("a"));
        }
        command.env("STORY_KEY", KEY);
        let outcome = scene.start(command).wait();
        said = said + &outcome.stdout + &outcome.stderr;
    }
    assert!(said.contains("STORY_KEY"), "the name of the variable is no secret");
    assert!(!said.contains(KEY), "{said}");
    let found = files_with(&scene.data_dir(), KEY.as_bytes());
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_wrong_key_is_told_from_a_fault_of_the_work() {
    let (scene, endpoint) = scene(json!({ "key": "sk-another-0123456789" }));
    let _node = up(&scene);
    scene.submit(&plan([("a", "prompt: hello")]));
    wait_until("a turn to be refused", || scene.outcomes("a").iter().any(|outcome| outcome == "not logged in"));
    let message = text(&scene.show("a")["history"][0]["message"]);
    assert!(message.contains("401 Unauthorized") && message.contains("STORY_KEY"), "{message}");
    assert!(endpoint.log().requests[0].has_key);
    scene.wait_state("a", "waiting");
    assert_eq!(scene.outcomes("a").len(), 2, "the second time a human is asked");
    let inbox = scene.json("inbox");
    let asked = text(&inbox[0]["text"]);
    assert!(asked.contains("401 Unauthorized") && asked.contains("STORY_KEY"), "{inbox}");
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let (scene, endpoint) = scene(json!({ "key": KEY }));
    let _node = scene.up();
    scene.submit(&plan([("a", "prompt: hello")]));
    wait_until("the attempt to end", || scene.outcomes("a").iter().any(|outcome| outcome == "not logged in"));
    let message = text(&scene.show("a")["history"][0]["message"]);
    assert!(message.contains("the environment of the node has no `STORY_KEY`"), "{message}");
    scene.wait_state("a", "waiting");
    assert_eq!(endpoint.log().total, 0);
}

/// The files below a folder that have these bytes in them.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if kind.is_file() {
            let content = std::fs::read(&path).expect("a file of ours");
            if content.windows(bytes.len()).any(|part| part == bytes) {
                found.push(path);
            }
        }
    }
    found
}
