//! What an agent is given and what is taken from it: environment, arguments, outputs, a folder.

use serde_json::json;

use crate::support::node::text;
use crate::support::plan::{agent, does, plan};
use crate::support::scene::mnemosyne;
use crate::support::{Scene, skipped};

#[test]
fn an_agent_learns_who_it_is_and_none_of_our_secrets() {
    let scene = Scene::new();
    let words = format!("{}, env: {{ GREETING: \"hello you\" }}", does(["env"]));
    scene.write("plan.yaml", plan([("who", words)]));
    let mut command = scene.command(["run", "plan.yaml", "--namespace", "lab"]);
    command.env("ANTHROPIC_API_KEY", "sk-secret").env("AWS_SECRET_ACCESS_KEY", "aws-secret");
    command.env("MNEMOSYNE_TOKEN", "token-secret").env("SSH_AUTH_SOCK", "/run/secret").env("LANG", "C.UTF-8");
    scene.start(command).wait().exits(0);
    let detail = scene.show("who");
    let log = scene.run(["logs", &text(&detail["id"])]).exits(0).stdout;
    let value = |name: &str| log.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let is = |name: &str, wanted: &str| assert_eq!(value(name), Some(wanted), "{name}");
    is("MNEMOSYNE_ITEM_ID", &text(&detail["id"]));
    is("MNEMOSYNE_ITEM_NAME", "who");
    is("MNEMOSYNE_RUN_ID", &text(&detail["run"]));
    is("MNEMOSYNE_NAMESPACE", "lab");
    is("MNEMOSYNE_ATTEMPT", "1");
    is("MNEMOSYNE_FENCING_TOKEN", &detail["history"][0]["token"].to_string());
    is("MNEMOSYNE_NODE_ID", &text(&detail["node"]));
    is("GREETING", "hello you");
    is("LANG", "C.UTF-8");
    is("HOME", scene.path().to_str().expect("a plain name"));
    for name in ["MNEMOSYNE_OUTPUT_FILE", "MNEMOSYNE_ARTIFACTS_DIR", "PATH"] {
        assert!(value(name).is_some_and(|value| value.starts_with('/')), "{name} is {:?}", value(name));
    }
    assert!(std::path::Path::new(value("MNEMOSYNE_ARTIFACTS_DIR").expect("there")).is_dir());
    let trace = value("TRACEPARENT").expect("there");
    let parts: Vec<usize> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    for line in log.lines().filter(|line| !line.starts_with("GREETING")) {
        let name = line.split('=').next().expect("a name");
        let known = name.starts_with("MNEMOSYNE_") || name.starts_with("LLVM_") || name.starts_with("LC_");
        let usual = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "TERM", "USER", "TRACEPARENT"].contains(&name);
        assert!(known || usual, "an agent gets {name}");
    }
    assert!(!log.contains("secret"), "{log}");
    let data = std::fs::read(scene.data_dir().join("log/00000000000000000001.seg")).expect("the log is there");
    assert!(!data.windows(9).any(|part| part == b"sk-secret"));
}

#[test]
fn outputs_reach_dependents_in_arguments_and_environment() {
    let scene = Scene::new();
    let tricky = r#"{"x": "a b; $(touch pwned) \"q\"", "list": [1, 2], "n": 5}"#;
    let first = agent([format!("output-json:{tricky}")]);
    let second = agent(["env".to_owned(), "args".to_owned(), "${{ items.first.outputs.x }}".to_owned()]);
    let plan = format!(
        "version: 1\nitems:\n  first: {{ run: {first} }}\n  second:\n    needs: [first]\n    run: {second}\n    \
         env: {{ N: \"n is ${{{{ items.first.outputs.n }}}}\" }}\n"
    );
    scene.run_plan(&plan).exits(0);
    let log = scene.run(["logs", &scene.id("second")]).exits(0).stdout;
    assert!(log.ends_with("a b; $(touch pwned) \"q\"\n"), "one argument, verbatim: {log}");
    assert!(log.contains("\nN=n is 5\n"), "{log}");
    assert!(!scene.path().join("pwned").exists());
    assert_eq!(scene.show("first")["outputs"]["list"], json!([1, 2]));
}

#[test]
fn what_was_put_into_the_environment_of_a_plan_is_not_read_again() {
    let scene = Scene::new();
    let secret = does([r#"output-json:{"x": "secret"}"#]);
    let plan = format!(
        "version: 1\nvars: {{ given: x }}\nenv: {{ GIVEN: \"${{{{ vars.given }}}}\" }}\nitems:\n  \
         first: {{ {secret} }}\n  second: {{ needs: [first], {} }}\n",
        does(["env"])
    );
    scene.write("plan.yaml", plan);
    let text = "${{ items.first.outputs.x }} and ${{";
    scene.run(["run", "plan.yaml", "--var", &format!("given={text}")]).exits(0);
    let log = scene.run(["logs", &scene.id("second")]).exits(0).stdout;
    assert!(log.contains(&format!("GIVEN={text}\n")), "{log}");
}

#[test]
fn outputs_are_held_against_their_schema() {
    let scene = Scene::new();
    let schema = "outputs: { type: object, required: [title], properties: { title: { type: string }, level: { enum: [low, high] } } }";
    let items = plan([
        ("good", format!("{}, {schema}", does([r#"output-json:{"title": "x", "level": "low"}"#]))),
        ("bad", format!("{}, {schema}", does([r#"output-json:{"title": 5, "level": "extreme"}"#]))),
        ("none", format!("{}, {schema}", does(["exit:0"]))),
        ("false", format!("{}, outputs: false", does(["exit:0"]))),
        ("after", format!("{}, needs: [bad]", does(["exit:0"]))),
    ]);
    let outcome = scene.run_plan(&items).exits(1);
    for (name, state) in [
        ("good", "succeeded"),
        ("bad", "failed"),
        ("none", "failed"),
        ("false", "succeeded"),
        ("after", "skipped"),
    ] {
        assert_eq!(scene.state(name), state, "{name}: {}", outcome.stderr);
    }
    assert_eq!(scene.outcomes("bad"), ["failed (outputs not as required)"]);
    let bad = text(&scene.show("bad")["history"][0]["message"]);
    assert!(bad.starts_with("the outputs of bad do not meet their schema: "), "{bad}");
    assert!(bad.contains(r#"at "/level": "extreme" is not one of "low" or "high""#), "{bad}");
    assert!(bad.contains(r#"at "/title": 5 is not of type "string""#), "{bad}");
    let none = text(&scene.show("none")["history"][0]["message"]);
    assert!(none.starts_with("none wrote no outputs") && none.contains("MNEMOSYNE_OUTPUT_FILE"), "{none}");
    assert_eq!(scene.show("bad")["outputs"], json!(null), "nobody is given what was refused");
}

#[test]
fn what_is_no_schema_is_refused_before_anything_is_stored() {
    for (schema, said) in [
        ("{ type: strin }", "`a` have no valid JSON Schema: at \"/type\": "),
        ("{ properties: { x: { minimum: many } } }", "at \"/properties/x/minimum\": "),
        ("{ $ref: \"https://example.org/schema.json\" }", "https://example.org/schema.json"),
        ("{ pattern: \"(?=a)b\" }", "no valid JSON Schema"),
    ] {
        let scene = Scene::new();
        scene.write("plan.yaml", plan([("a", format!("run: \"true\", outputs: {schema}"))]));
        for command in ["plan check plan.yaml", "submit plan.yaml", "run plan.yaml"] {
            scene.line(command).exits(2).says("error[plan/schema]").says(said).says("plan.yaml:4:");
        }
        assert!(!scene.data_dir().exists());
    }
}

#[test]
fn what_this_version_cannot_run_is_refused_with_a_way_out() {
    let scene = Scene::new();
    let config = "[agents.far]\nkind = \"builtin\"\n\n[agents.inside]\nkind = \"builtin\"\n";
    scene.write("mnemosyne.toml", config);
    let refused = |words: &str, said: &[&str]| {
        scene.write("plan.yaml", plan([("a", words)]));
        for command in ["plan check plan.yaml", "submit plan.yaml", "run plan.yaml"] {
            let mut outcome = scene.line(command).exits(2);
            for said in said {
                outcome = outcome.says(said);
            }
        }
        assert!(!scene.data_dir().exists());
    };
    let unsupported = "`a` would go to the agent `far`, which is of kind `builtin`: only a program that embeds a node runs those";
    refused("prompt: hello, agent: far", &[unsupported, "plan.yaml:4:", "define an agent of kind `cli`"]);
    refused("prompt: hello", &["no agent is of a kind that this version runs", "plan.yaml:4:"]);
    let critic = "[agents.critic]\ncommand = [\"true\"]\nrole = \"reviewer\"\n";
    let worker = "[agents.worker]\ncommand = [\"true\"]\n";
    scene.write("mnemosyne.toml", format!("{config}\n{critic}\n{worker}"));
    refused("prompt: hello, agent: far", &[unsupported, "take one of kind `cli`: `critic`, `worker`"]);
    refused(
        "prompt: hello, agent: critic, role: executor",
        &["asks for role `executor`, and the agent `critic` has role `reviewer`", "remove `role`"],
    );
    refused("prompt: hello, agent: [worker, critic]", &["have different roles", "name agents of one role"]);
    scene.write(
        "plan.yaml",
        plan([("a", "prompt: hello, agent: [far, worker]"), ("b", "prompt: hi, agent: critic")]),
    );
    scene.line("plan check plan.yaml").exits(0).says("warning").says("the others are taken");
    let explained = scene.line("plan explain plan.yaml").exits(0).stdout;
    assert!(explained.contains("on worker (executor)"), "{explained}");
    assert!(explained.contains("on critic (reviewer)"), "an item goes to the pool of its agent: {explained}");
    scene.write("plan.yaml", plan([("a", "prompt: hello")]));
    let explained = scene.line("plan explain plan.yaml").exits(0).stdout;
    assert!(explained.contains("on worker (executor)"), "only those of its role are taken: {explained}");
}

#[test]
fn outputs_that_are_no_json_fail_the_item() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["output-json:{oops"]))])).exits(1).says("the outputs of a are not JSON");
    assert_eq!(scene.state("a"), "failed");
}

#[test]
fn an_item_with_a_folder_of_its_own_works_there() {
    let scene = Scene::new();
    let words = |name: &str| format!("run: \"echo {name} > mine.txt; pwd\", workspace: folder");
    scene.run_plan(&plan([("a", words("a")), ("b", words("b"))])).exits(0);
    let folder = |name: &str| scene.run(["logs", &scene.id(name)]).exits(0).stdout.trim_end().to_owned();
    let (a, b) = (folder("a"), folder("b"));
    assert_ne!(a, b);
    for (folder, name) in [(a, "a\n"), (b, "b\n")] {
        let folder = std::path::Path::new(&folder);
        assert!(folder.starts_with(scene.data_dir()), "{}", folder.display());
        assert_eq!(std::fs::read_to_string(folder.join("mine.txt")).expect("it wrote"), name);
    }
    assert!(!scene.path().join("mine.txt").exists());
}

/// As with `docker exec`: the first process of a PID namespace is in a session that was made outside.
#[test]
fn a_session_from_outside_the_pid_namespace_is_no_obstacle() {
    let scene = Scene::new();
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    let mut command = scene.program("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    let mut probe = scene.program("unshare");
    probe.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        skipped("namespaces cannot be made here");
        return;
    }
    command.args([mnemosyne(), "run", "plan.yaml", "--timeout", "30s"]);
    scene.start(command).wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["succeeded"]);
}

#[test]
fn of_several_agents_the_one_with_the_better_record_gets_the_work() {
    let scene = Scene::new();
    let define = |name: &str, words: &str| {
        format!("[agents.{name}]\ncapabilities = {{ lang = [\"c\"] }}\ncommand = {words}\n")
    };
    let agents = define("bad", &agent(["exit:1"])) + &define("good", &agent(["stdout:done"]));
    let config = |strategy: &str| format!("[orchestration.scaling]\nload_balancing = \"{strategy}\"\n{agents}");
    let words = "prompt: x, agent: [bad, good], requires: { lang: c }, retry: { max_attempts: 1 }";
    // What is learned belongs to all runs. Without it the order of preference counts.
    for (strategy, code) in [("least_loaded", 1), ("specialization_based", 0), ("least_loaded", 1)] {
        scene.write("mnemosyne.toml", config(strategy));
        scene.write("plan.yaml", plan([("a", words)]));
        scene.line("run plan.yaml --new").exits(code);
    }
    let records = scene.run(["agent", "ls"]).exits(0).stdout;
    assert!(records.contains("good"), "{records}");
}

#[test]
fn skills_lie_beside_the_configuration_wherever_the_command_is_given() {
    let scene = Scene::new();
    let command = agent(["read-stdin"]);
    scene.write(
        "mnemosyne.toml",
        format!("[optimizer]\nskills = \"skills\"\n[agents.bot]\ncommand = {command}\n"),
    );
    for folder in ["skills", "below"] {
        std::fs::create_dir(scene.path().join(folder)).expect("created");
    }
    scene.write("skills/painting.md", "Two coats.");
    scene.write("below/plan.yaml", plan([("a", "prompt: \"the painting of a house\", agent: bot")]));
    let mut command = scene.command(["run", "plan.yaml"]);
    command.current_dir(scene.path().join("below"));
    scene.start(command).wait().exits(0);
    let told = scene.run(["logs", &scene.id("a")]).exits(0).stdout;
    assert!(told.contains("Skill painting") && told.contains("Two coats."), "{told}");
}
