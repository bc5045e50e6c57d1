//! Work that was handed over is there until it is done: without a node, after
//! an interruption, and however often it is handed over.

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

#[test]
fn what_is_submitted_without_a_node_starts_with_the_next_one() {
    let scene = Scene::new();
    let effect = does([format!("append:{}:done", scene.at("effects"))]);
    let run = scene.submit(&plan([("a", &effect), ("b", &format!("{effect}, needs: [a]"))]));
    assert_eq!((scene.state("a").as_str(), scene.state("b").as_str()), ("ready", "pending"));
    assert_eq!(scene.why("a"), "is ready: it waits for a node: none is running; `mnemosyne up` starts one");
    assert!(scene.lines("effects").is_empty());
    let node = scene.up();
    scene.run(["wait", &run]).exits(0);
    assert_eq!(scene.lines("effects").len(), 2);
    drop(node);
    scene.run(["wait", &run]).exits(0);
}

#[test]
fn run_goes_on_with_what_was_submitted_and_says_so() {
    let scene = Scene::new();
    let effect = does([format!("append:{}:done", scene.at("effects"))]);
    let run = scene.submit(&plan([("a", &effect)]));
    scene.line("run plan.yaml").exits(0).says(&format!("continuing run {run}"));
    assert_eq!(scene.lines("effects").len(), 1);
    assert_eq!(scene.items().len(), 1, "nothing was submitted twice");
}

#[test]
fn a_finished_plan_runs_again_from_the_start() {
    let scene = Scene::new();
    let effect = does([format!("append:{}:done", scene.at("effects"))]);
    let first = scene.run_plan(&plan([("a", &effect)])).exits(0).stderr;
    let second = scene.line("run plan.yaml").exits(0).stderr;
    assert!(!second.contains("continuing"), "{second}");
    assert_ne!(first.lines().next(), second.lines().next());
    assert_eq!(scene.lines("effects").len(), 2);
}

#[test]
fn run_goes_on_where_an_interrupted_one_stopped() {
    let scene = Scene::new();
    let plan = plan([
        ("a", does([format!("append:{}:a", scene.at("effects"))])),
        (
            "b",
            format!(
                "{}, needs: [a]",
                does([format!("wait-for:{}", scene.at("go")), format!("append:{}:b", scene.at("effects"))])
            ),
        ),
        ("c", format!("{}, needs: [b]", does([format!("append:{}:c", scene.at("effects"))]))),
    ]);
    scene.write("plan.yaml", plan);
    scene.line("run plan.yaml --timeout 500ms").exits(124).says("can be continued");
    assert_eq!(scene.lines("effects"), ["a"]);
    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.lines("effects"), ["a", "b", "c"]);
    assert_eq!(scene.show("b")["attempts"], 1, "the agent went on while no node ran");
}

#[test]
fn new_starts_another_run_of_an_unfinished_plan() {
    let scene = Scene::new();
    let plan = plan([("a", does(["exit:0"]))]);
    let first = scene.submit(&plan);
    assert_eq!(scene.submit(&plan), first);
    let second = scene.line("submit plan.yaml --new").exits(0).first_line().to_owned();
    assert_ne!(first, second);
    scene.line("run plan.yaml").exits(0).says(&format!("continuing run {second}"));
    let _node = scene.up();
    scene.run(["wait", &first]).exits(0);
}

#[test]
fn another_content_another_name_or_another_namespace_is_another_run() {
    let scene = Scene::new();
    let a = plan([("a", does(["exit:0"]))]);
    let first = scene.submit(&a);
    let others = [a.replace("exit:0", "exit:1"), a.replace("name: story", "name: tale")];
    for other in others {
        assert_ne!(scene.submit(&other), first, "{other}");
    }
    scene.write("plan.yaml", &a);
    assert_ne!(scene.line("submit plan.yaml --namespace lab").exits(0).first_line(), first);
    assert_ne!(scene.line("submit plan.yaml --var x=1").exit, 0, "the plan has no such variable");
    assert_eq!(scene.line("submit plan.yaml").exits(0).first_line(), first);
}

#[test]
fn a_key_names_one_run_for_ever() {
    let scene = Scene::new();
    let a = plan([("a", does([format!("append:{}:done", scene.at("effects"))]))]);
    scene.write("plan.yaml", &a);
    let first = scene.line("submit plan.yaml --key nightly").exits(0).first_line().to_owned();
    scene.line("run plan.yaml --key nightly").exits(0).says(&format!("continuing run {first}"));
    let again = scene.line("submit plan.yaml --key nightly").exits(0).says("exists already");
    assert_eq!(again.first_line(), first, "also after its end");
    scene.line("run plan.yaml --key nightly --new").exits(0);
    assert_eq!(scene.lines("effects").len(), 1);

    scene.write("plan.yaml", a.replace("done", "changed"));
    let conflict = scene.line("submit plan.yaml --key nightly").exits(2).says("nightly").says(&first);
    assert_eq!(conflict.stdout, "");
    scene.line("submit plan.yaml --key nightly --namespace lab").exits(0);
    assert_eq!(scene.items().len(), 2, "the conflict stored nothing");
}

#[test]
fn items_with_the_same_key_do_the_work_once() {
    let scene = Scene::new();
    let words = format!(
        "{}, key: \"once\"",
        does([format!("append:{}:done", scene.at("effects")), "output-json:{\"x\": 1}".to_owned()])
    );
    scene.run_plan(&plan([("a", &words)])).exits(0);
    scene
        .write("plan.yaml", plan([("b", words.as_str()), ("c", &format!("{}, needs: [b]", does(["exit:0"])))]));
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.lines("effects").len(), 1);
    let shared = scene.show("b");
    assert_eq!((&shared["state"], &shared["attempts"]), (&"succeeded".into(), &0.into()));
    assert_eq!(shared["outputs"]["x"], 1);
    let other = plan([("d", format!("{}, key: \"once\"", does(["exit:0"])))]);
    scene.run_plan(&other).exits(2).says("once").says(&text(&scene.item("a")["id"]));
}

#[test]
fn detach_returns_at_once() {
    let scene = Scene::new();
    let _node = scene.up();
    scene.write("plan.yaml", plan([("a", does([format!("wait-for:{}", scene.at("go"))]))]));
    let run = scene.line("run plan.yaml --detach").exits(0).first_line().to_owned();
    wait_until("the node to start it", || scene.state("a") == "running");
    scene.touch("go");
    scene.run(["wait", &run]).exits(0);
}

#[test]
fn detach_without_a_node_says_that_nothing_starts_yet() {
    let scene = Scene::new();
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    let run = scene.line("run plan.yaml --detach").exits(0).says("no node is running").first_line().to_owned();
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    scene.line("run plan.yaml --max-agents 3").exits(0).says("--max-agents has no effect");
}

#[test]
fn everything_is_still_known_after_many_restarts() {
    let scene = Scene::new();
    let plan =
        plan([("a", does(["output-json:{\"x\": 1}"])), ("b", format!("{}, needs: [a]", does(["exit:3"])))]);
    scene.run_plan(&plan).exits(1);
    let (a, b) = (scene.show("a"), scene.show("b"));
    let events = scene.line("events --after 0").exits(0).stdout;
    for _ in 0..5 {
        scene.up().kill();
        let mut node = scene.up();
        node.interrupt();
        node.wait().exits(0);
    }
    assert_eq!(scene.show("a"), a);
    assert_eq!(scene.show("b"), b);
    let later = scene.line("events --after 0").exits(0).stdout;
    assert!(later.starts_with(&events), "events are never rewritten:\n{events}\n---\n{later}");
}
