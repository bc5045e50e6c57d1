//! A prompt in place of a plan.

use crate::support::Scene;
use crate::support::scene::fake_agent;

/// A configuration of agents that print their name and the prompt they were given.
fn agents(names: &[&str]) -> String {
    let agent = |name: &&str| {
        let command = serde_json::to_string(&[fake_agent(), "args", name, "--", "{prompt}"]).expect("texts");
        format!("[agents.{name}]\ncommand = {command}\nprompt = \"arg\"\n")
    };
    names.iter().map(agent).collect()
}

#[test]
fn a_prompt_is_taken_word_for_word() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", agents(&["echo"]));
    let prompts = [
        "explain ${{ github.sha }} in ci.yml",
        "${{ vars.x }} ${{ items.a.outputs }} ${{",
        "${{ '${{' }} }}",
        "$$ $(touch pwned) `ls` {prompt} {session}",
        "- starts with a dash\nand has\ttwo lines",
    ];
    for prompt in prompts {
        scene.run(["run", "-p", prompt, "--new", "--single"]).exits(0);
        assert_eq!(scene.run(["logs", &scene.id("prompt")]).exits(0).stdout, format!("echo\n--\n{prompt}\n"));
        let run = scene.run(["submit", "-p", prompt, "--new", "--single"]).exits(0);
        assert!(!run.first_line().is_empty());
    }
    scene.run(["orchestrate", "--plan", prompts[0], "--new", "--single"]).exits(0);
    assert!(scene.run(["logs", &scene.id("prompt")]).exits(0).stdout.ends_with(&format!("{}\n", prompts[0])));
    assert!(!scene.path().join("pwned").exists());
}

#[test]
fn an_empty_prompt_is_refused_in_a_sentence() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", agents(&["echo"]));
    for words in [["run", "-p", ""], ["run", "-p", "   "], ["submit", "-p", "\n\t"]] {
        let refused = scene.run(words).exits(2).says("error: the prompt is empty");
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    let refused = scene.run(["run", "-p", "x", "--var", "a=b"]).exits(2);
    assert!(!refused.stderr.contains("prompt.json"), "{}", refused.stderr);
    assert!(!scene.data_dir().exists());
}

#[test]
fn the_agent_of_a_prompt_is_named_or_said() {
    let scene = Scene::new();
    let refused = scene
        .run(["run", "-p", "hello", "--single"])
        .exits(2)
        .says("no agent is defined")
        .says("mnemosyne init");
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    scene.write("mnemosyne.toml", agents(&["alpha", "beta"]));
    let by_default = scene.run(["run", "-p", "hello", "--single"]).exits(0);
    let by_default = by_default.says("the prompt goes to alpha, the first by name of alpha, beta; --agent");
    assert_eq!(by_default.stderr.matches("first by name").count(), 1, "{}", by_default.stderr);
    assert!(scene.run(["logs", &scene.id("prompt")]).exits(0).stdout.starts_with("alpha\n"));
    let named = scene.run(["run", "-p", "hello", "--agent", "beta", "--single"]).exits(0);
    assert!(!named.stderr.contains("first by name"), "{}", named.stderr);
    assert!(scene.run(["logs", &scene.id("prompt")]).exits(0).stdout.starts_with("beta\n"));
    scene.run(["submit", "-p", "hello", "--agent", "betta"]).exits(2).says("did you mean `beta`?");
    scene.run(["run", "plan.yaml", "--agent", "beta"]).exits(2).says("--agent");
    scene
        .run(["run", "--plan", "{\"tasks\": []}", "--agent", "beta"])
        .exits(2)
        .says("--agent goes with a prompt");
}

#[test]
fn a_plan_that_leaves_the_agent_open_hears_which_one_was_taken() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", agents(&["alpha", "beta"]));
    let run =
        scene.run_plan("version: 1\nitems:\n  a: { run: \"true\" }\n  b: { prompt: hello, foreach: [1, 2] }\n");
    run.exits(0).says("items that name no agent go to alpha, the first by name of alpha, beta");
    let run = scene.run_plan("version: 1\nitems:\n  b: { prompt: hello, agent: beta }\n").exits(0);
    assert!(!run.stderr.contains("first by name"), "{}", run.stderr);
    let run =
        scene.run_plan("version: 1\ndefaults: { agent: beta }\nitems:\n  b: { prompt: hello }\n").exits(0);
    assert!(!run.stderr.contains("first by name"), "{}", run.stderr);
}
