//! Input that cannot be right: refused with a reason, quickly, and nothing is stored.

use std::fs;
use std::time::Duration;

use crate::support::plan::{does, plan};
use crate::support::{GENEROUS, Scene};

#[test]
fn files_that_are_no_plans() {
    let scene = Scene::new();
    fs::create_dir(scene.path().join("folder.yaml")).expect("a new folder");
    let mut aliases = "version: 1\nx0: &x0 [a, a, a, a, a, a, a, a, a]\n".to_owned();
    for at in 1..9 {
        let nine = vec![format!("*x{}", at - 1); 9];
        aliases.push_str(&format!("x{at}: &x{at} [{}]\n", nine.join(", ")));
    }
    let files: [(&str, Vec<u8>); 9] = [
        ("empty.yaml", Vec::new()),
        ("zeros.yaml", vec![0; 1000]),
        ("binary.yaml", (0..=255).collect()),
        ("latin1.yaml", b"version: 1\nname: caf\xe9\nitems: { a: { run: x } }\n".to_vec()),
        ("deep.json", [b"{\"items\":".to_vec(), vec![b'['; 100_000]].concat()),
        ("deep.yaml", [b"items: ".to_vec(), vec![b'['; 100_000]].concat()),
        ("aliases.yaml", aliases.into_bytes()),
        ("huge.yaml", vec![b'#'; 65 * 1024 * 1024]),
        ("text.toml", b"Dear Sir or Madam,\n".to_vec()),
    ];
    for (name, content) in files {
        scene.write(name, content);
        refused_quickly(&scene, &["run", name]);
    }
    refused_quickly(&scene, &["run", "folder.yaml"]);
    refused_quickly(&scene, &["run", "/dev/null"]);
    refused_quickly(&scene, &["plan", "check", "nothing-here.yaml"]);
    refused_quickly(&scene, &["orchestrate", "--plan", "{\"tasks\": 5}"]);
    refused_quickly(&scene, &["orchestrate", "--plan", "@"]);
    assert!(!scene.data_dir().exists(), "nothing was made");
}

#[track_caller]
fn refused_quickly(scene: &Scene, words: &[&str]) {
    let outcome = scene.spawn(words).wait_within(Duration::from_secs(30)).exits(2);
    assert!(outcome.stderr.contains("error"), "{words:?}: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{words:?}: {}", outcome.stderr);
    assert!(outcome.stderr.len() < 20_000, "{words:?} says {} bytes", outcome.stderr.len());
    assert_eq!(outcome.stdout, "", "{words:?}");
}

#[test]
fn values_that_cannot_be() {
    let scene = Scene::new();
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    for words in [
        "run plan.yaml --priority 11",
        "run plan.yaml --priority -1",
        "run plan.yaml --max-agents 0",
        "run plan.yaml --timeout soon",
        "run plan.yaml --timeout 5",
        "run plan.yaml --var novalue",
        "run plan.yaml --var =x",
        "run plan.yaml --var unknown=1",
        "run plan.yaml -p both",
        "ps --state dancing",
        "run plan.yaml --timeout 99999999999999999999s",
        "logs",
        "show",
        "plan graph plan.yaml --format png",
        "--config plan.yaml run plan.yaml",
        "completions tcl",
    ] {
        let outcome = scene.line(words).exits(2);
        assert!(
            !outcome.stderr.is_empty() && !outcome.stderr.contains("panicked"),
            "{words}: {}",
            outcome.stderr
        );
    }
    assert!(!scene.data_dir().exists());
}

#[test]
fn numbers_at_the_edge() {
    let scene = Scene::new();
    let far = "18446744073709551615ms";
    for words in [
        "priority: -9223372036854775808",
        "priority: 9223372036854775807",
        "priority: .nan",
        "priority: 1e3",
        "timeouts: { run: 0 }",
        "timeouts: { run: -1s }",
        &format!("deadline: {far}"),
        "delay: 1e9s",
        "retry: { max_attempts: 0 }",
        "retry: { max_attempts: 1001 }",
        "retry: { backoff: .inf }",
        "max_parallel: 0",
    ] {
        scene.write("plan.yaml", format!("version: 1\nitems:\n  a: {{ run: \"true\", {words} }}\n"));
        let outcome = scene.line("run plan.yaml").exits(2);
        assert!(!outcome.stderr.contains("panicked"), "{words}: {}", outcome.stderr);
    }
    // The largest that are allowed do not overflow.
    let longest = "retry: { max_attempts: 1000, initial_interval: 100d, backoff: 1000, max_interval: 1000d }, timeouts: { run: 1000d, queue: 1000d, idle: 1000d }, deadline: 1000d, priority: 10";
    scene.write("plan.yaml", format!("version: 1\nitems:\n  a: {{ run: \"exit 1\", {longest} }}\n"));
    scene.line("run plan.yaml --timeout 300ms").exits(124);
    assert_eq!(scene.state("a"), "backing_off");
    assert_eq!(scene.outcomes("a"), ["failed (exit code 1)"]);
}

#[test]
fn a_refused_submission_stores_nothing() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nitems_max = 10\n[node.labels]\nlang = \"rust\"\n");
    let ok = does(["exit:0"]);
    scene.submit(&plan([("a", format!("{ok}, key: \"k\""))]));
    let before = (scene.json("ps"), scene.line("events --after 0").exits(0).stdout);
    let many: Vec<(String, &str)> = (0..10).map(|number| (format!("i{number}"), ok.as_str())).collect();
    let refusals = [
        (plan(many), "items_max = 10"),
        (plan([("b", format!("{ok}, requires: {{ lang: cobol }}"))]), "cobol"),
        (plan([("b", ok.clone()), ("c", format!("{}, key: \"k\"", does(["exit:1"])))]), "\"k\""),
        (plan([("b", "prompt: hello, agent: nobody".to_owned())]), "nobody"),
    ];
    for (text, reason) in refusals {
        scene.write("plan.yaml", text);
        for command in ["submit plan.yaml", "run plan.yaml"] {
            assert_eq!(scene.line(command).exits(2).says(reason).stdout, "");
        }
        let node = scene.up();
        scene.line("submit plan.yaml --new").exits(2).says(reason);
        node.kill();
    }
    scene.wait_state("a", "succeeded");
    assert_eq!(scene.items().len(), 1);
    let (items, events) = (scene.json("ps"), scene.line("events --after 0").exits(0).stdout);
    assert_eq!(items[0]["id"], before.0[0]["id"]);
    assert!(events.starts_with(&before.1));
    assert_eq!(events.matches("RunSubmitted").count(), 1, "{events}");
}

#[test]
fn templates_never_become_shell_or_options() {
    let scene = Scene::new();
    let command =
        serde_json::to_string(&[crate::support::scene::fake_agent(), "args", "--", "{prompt}"]).expect("texts");
    let bare =
        serde_json::to_string(&[crate::support::scene::fake_agent(), "args", "{prompt}"]).expect("texts");
    scene.write(
        "mnemosyne.toml",
        format!(
            "[agents.safe]\ncommand = {command}\nprompt = \"arg\"\n[agents.bare]\ncommand = {bare}\nprompt = \"arg\"\n"
        ),
    );
    let evil = "--dangerously-skip-permissions $(touch pwned) `touch pwned`; touch pwned\nnext line";
    let text = |agent: &str| {
        serde_json::json!({ "version": 1, "vars": { "evil": evil }, "items": { "a": { "prompt": "${{ vars.evil }}", "agent": agent,
            "retry": { "max_attempts": 1 } } } })
        .to_string()
    };
    scene.write("plan.json", text("safe"));
    scene.line("run plan.json").exits(0);
    assert_eq!(scene.run(["logs", &scene.id("a")]).exits(0).stdout, format!("--\n{evil}\n"));
    scene.write("plan.json", text("bare"));
    scene.line("run plan.json").exits(1).says("starts with `-`");
    let argument = crate::support::plan::agent(["args", "${{ vars.evil }}"]);
    scene.run_plan(&format!("version: 1\nvars: {{ evil: x }}\nitems:\n  b: {{ run: {argument} }}\n")).exits(0);
    scene.run(["run", "plan.yaml", "--var", &format!("evil={evil}")]).exits(0);
    assert_eq!(scene.run(["logs", &scene.id("b")]).exits(0).stdout, format!("{evil}\n"));
    assert!(!scene.path().join("pwned").exists());
}

#[test]
fn programs_that_cannot_be_started_fail_with_their_name() {
    let scene = Scene::new();
    scene.write("no-rights", "#!/bin/sh\n");
    scene.write(
        "plan.yaml",
        plan([
            ("missing", "run: [\"/no/such/program\"]".to_owned()),
            ("no-rights", format!("run: [\"{}\"]", scene.at("no-rights"))),
            ("no-folder", format!("{}, workdir: no-such-folder", does(["exit:0"]))),
        ]),
    );
    let outcome = scene.spawn(["run", "plan.yaml"]).wait_within(GENEROUS).exits(1);
    assert!(outcome.stderr.contains("/no/such/program"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no-such-folder"), "{}", outcome.stderr);
    for name in ["missing", "no-rights", "no-folder"] {
        assert_eq!(scene.outcomes(name), ["failed (could not be started)"], "{name}");
    }
}
