//! Ends that were asked for, and company: Ctrl-C, SIGTERM, `down`, closed
//! pipes, and two commands that want to be the node.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::plan::{does, plan};
use crate::support::{Running, Scene, wait_until};

/// A run whose agent works until the file `go` is there.
fn at_work(scene: &Scene) -> Running {
    let steps = [
        format!("append:{}:begun", scene.at("effects")),
        format!("wait-for:{}", scene.at("go")),
        format!("append:{}:done", scene.at("effects")),
    ];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    wait_until("the start to be recorded", || scene.state("a") == "running");
    run
}

#[test]
fn ctrl_c_hands_over_and_the_next_run_goes_on() {
    let scene = Scene::new();
    let mut run = at_work(&scene);
    run.interrupt();
    let outcome = run.wait().exits(130).says("interrupted; run").says("run the same plan again");
    assert!(outcome.stderr.contains("Ctrl-C again stops it"), "{}", outcome.stderr);
    assert_eq!(scene.agents().len(), 1, "the agent goes on");
    assert_eq!(scene.state("a"), "running");
    let mut run = scene.spawn(["run", "plan.yaml"]);
    run.wait_said("continuing run");
    scene.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done"]);
    assert_eq!(scene.show("a")["attempts"], 1);
}

#[test]
fn ctrl_c_twice_stops_the_agents() {
    let scene = Scene::new();
    let mut run = at_work(&scene);
    run.interrupt();
    run.wait_said("Ctrl-C again stops it");
    run.interrupt();
    run.wait().exits(130);
    assert!(scene.processes().is_empty(), "no agent is left");
    assert_eq!(scene.outcomes("a"), ["interrupted"], "no attempt was spent");
    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.lines("effects"), ["begun", "begun", "done"]);
}

#[test]
fn ctrl_c_between_agents_ends_at_once() {
    let scene = Scene::new();
    scene.write("plan.yaml", plan([("a", format!("{}, delay: 1h", does(["exit:0"])))]));
    let mut run = scene.spawn(["run", "plan.yaml"]);
    wait_until("a node", || scene.data_dir().join("node.json").exists());
    wait_until("the run", || !scene.items().is_empty());
    run.interrupt();
    run.wait().exits(130).says("can be continued");
}

#[test]
fn sigterm_and_sighup_hand_over_too() {
    for signal in [Signal::TERM, Signal::HUP] {
        let scene = Scene::new();
        let mut run = at_work(&scene);
        run.signal(signal);
        run.wait().exits(130);
        assert_eq!(scene.agents().len(), 1);
        scene.touch("go");
        scene.line("run plan.yaml").exits(0);
        assert_eq!(scene.show("a")["attempts"], 1);
    }
}

#[test]
fn a_storm_of_signals_ends_in_order() {
    let scene = Scene::new();
    let mut run = at_work(&scene);
    for _ in 0..50 {
        run.signal(Signal::HUP);
        run.signal(Signal::TERM);
        run.interrupt();
    }
    let outcome = run.wait();
    assert!(outcome.exit == 130, "{outcome:?}");
    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
}

#[test]
fn the_node_in_the_foreground_ends_when_it_is_asked_to() {
    let scene = Scene::new();
    let mut node = scene.up();
    assert!(scene.data_dir().join("node.json").exists());
    scene.submit(&plan([("a", does([format!("wait-for:{}", scene.at("go"))]))]));
    scene.wait_state("a", "running");
    node.signal(Signal::TERM);
    node.wait().exits(0).says("1 agent goes on");
    assert!(!scene.data_dir().join("node.json").exists());
    assert_eq!(scene.agents().len(), 1);

    let node = scene.up();
    scene.line("down").exits(0).says("node is down");
    node.wait().exits(0);
    assert_eq!(scene.agents().len(), 1, "down leaves the agents to the next node");

    let node = scene.up();
    assert_eq!(scene.show("a")["attempts"], 1);
    scene.line("down --stop-agents").exits(0);
    assert!(scene.agents().is_empty(), "when the node is down, its agents are");
    node.wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted"]);
    scene.line("down").exits(0).says("no node runs");
}

#[test]
fn a_node_that_waits_for_an_agent_to_end_answers_until_it_has() {
    let scene = Scene::new();
    let (ready, go) = (scene.at("ready"), scene.at("go"));
    let deaf = format!("trap '' TERM; : > {ready}; while [ ! -e {go} ]; do sleep 0.05; done");
    let deaf = serde_json::to_string(&deaf).expect("a text");
    scene.submit(&plan([("a", format!("run: {deaf}, grace: 5m"))]));
    let mut node = scene.up();
    wait_until("the agent to work", || scene.path().join("ready").exists());
    scene.run(["cancel", &scene.id("a")]).exits(0);
    node.signal(Signal::TERM);
    wait_until("the session to end", || scene.json("session ls")[0]["state"] == "ended");

    assert_eq!(scene.state("a"), "running");
    let agents = scene.line("agent ls").exits(0);
    assert!(agents.stdout.contains(&scene.id("a")), "{}", agents.stdout);
    scene.line("down --stop-agents").exits(5).says("the node is ending already");
    let mut next = scene.spawn(["up"]);
    next.wait_said("another node is ending; this one takes its place");
    assert!(node.is_running(), "otherwise this test proves nothing");
    scene.touch("go");
    node.wait().exits(0).says("node is down");
    next.wait_said("node is up");
    assert_eq!(scene.state("a"), "cancelled");
}

#[test]
fn a_run_whose_node_is_taken_down_can_be_continued() {
    let scene = Scene::new();
    let run = at_work(&scene);
    scene.line("down").exits(0);
    run.wait().exits(130).says("can be continued");
    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.show("a")["attempts"], 1);
}

#[test]
fn there_is_one_node_for_a_data_directory() {
    let scene = Scene::new();
    let mut node = scene.up();
    let refused = scene.line("up").exits(5).says("a node runs already").says(".mnemosyne");
    assert_eq!(refused.stderr.lines().count(), 1);
    assert!(node.is_running());
    scene.line("status").exits(0);
    scene.run(["--data-dir", "elsewhere", "submit", "-p", "x"]).exits(2);
    scene.write("plan.yaml", plan([("a", does(["exit:0"]))]));
    scene.line("--data-dir elsewhere run plan.yaml").exits(0);
    assert_eq!(scene.items().len(), 0, "another directory is another world");
}

#[test]
fn a_node_that_cannot_be_asked_is_named_with_its_process() {
    let scene = Scene::new();
    let mut node = scene.up();
    std::fs::remove_file(scene.data_dir().join("control.sock"))
        .or_else(|_| std::fs::remove_file(find_socket(&scene)))
        .expect("the node has a socket");
    let refused = scene.line("up").exits(5);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    assert!(node.is_running());
}

fn find_socket(scene: &Scene) -> std::path::PathBuf {
    use std::os::unix::fs::FileTypeExt;
    let entries = std::fs::read_dir(scene.data_dir()).expect("the data directory");
    let is_socket = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_socket());
    entries.flatten().find(is_socket).expect("the node has a socket").path()
}

#[test]
fn a_second_run_uses_the_node_of_the_first() {
    let scene = Scene::new();
    let first = at_work(&scene);
    let effect = does([format!("append:{}:second", scene.at("effects"))]);
    scene.write("second.yaml", plan([("b", effect)]));
    scene.line("run second.yaml").exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "second"]);
    scene.touch("go");
    first.wait().exits(0);
}

#[test]
fn a_run_goes_on_by_itself_when_the_node_of_another_ends() {
    for kill in [false, true] {
        let scene = Scene::new();
        let first = at_work(&scene);
        let steps =
            [format!("append:{}:second", scene.at("effects")), format!("wait-for:{}", scene.at("go-second"))];
        let second = [("b", does(steps)), ("c", format!("{}, needs: [b]", does(["exit:0"])))];
        scene.write("second.yaml", plan(second));
        let second = scene.spawn(["run", "second.yaml"]);
        wait_until("the second to work", || scene.lines("effects").len() == 2);
        scene.wait_state("b", "running");
        if kill {
            first.kill();
            scene.touch("go");
        } else {
            scene.touch("go");
            first.wait().exits(0);
        }
        scene.touch("go-second");
        let said = second.wait().exits(0).says("going on with a node of our own").stderr;
        assert_eq!(said.matches("b started").count(), 1, "nothing is said twice: {said}");
        assert_eq!(scene.show("b")["attempts"], 1);
        assert_eq!(scene.state("c"), "succeeded");
    }
}

#[test]
fn many_runs_at_once_are_all_done() {
    let scene = Scene::new();
    let runs: Vec<Running> = (0..8)
        .map(|number| {
            let file = format!("plan-{number}.yaml");
            let effect = does([format!("append:{}:{number}", scene.at("effects")), "sleep:50ms".to_owned()]);
            scene.write(&file, plan([("a", &effect), ("b", &format!("{effect}, needs: [a]"))]));
            scene.spawn(["run", &file])
        })
        .collect();
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(scene.lines("effects").len(), 16);
    assert!(!scene.data_dir().join("node.json").exists());
}

#[test]
fn the_same_plan_twice_at_once_is_one_run() {
    let scene = Scene::new();
    let first = at_work(&scene);
    let mut second = scene.spawn(["run", "plan.yaml"]);
    second.wait_said("continuing run");
    scene.touch("go");
    first.wait().exits(0);
    second.wait().exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done"]);
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let scene = Scene::new();
    scene.submit(&plan((0..2_000).map(|number| (format!("i{number}"), "run: \"true\""))));
    for words in
        ["ps --all", "ps --json", "events --after 0", "plan graph plan.yaml", "config show", "completions bash"]
    {
        let mut command = scene.command(words.split_whitespace());
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().and_then(std::process::Child::wait_with_output).expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{words}: {said}");
        assert!(output.status.code().is_some(), "{words} was ended by a signal: {}", output.status);
    }
}

#[test]
fn a_closed_stderr_does_not_end_a_run() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        plan([
            ("a", does([format!("append:{}:done", scene.at("effects"))])),
            ("b", "run: \"true\", needs: [a]".to_owned()),
        ]),
    );
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = scene.command(["run", "plan.yaml"]);
    command.stderr(writer).stdout(Stdio::null());
    let status = command.status().expect("it starts");
    assert_eq!(status.code(), Some(0));
    assert_eq!(scene.state("b"), "succeeded");
}

#[test]
fn a_node_in_the_foreground_tells_what_happens() {
    let scene = Scene::new();
    let mut node = scene.up();
    let run = scene.submit(&plan([
        ("a", does(["exit:0"])),
        ("b", format!("{}, needs: [a]", does(["stderr:oh no", "exit:3"]))),
    ]));
    scene.run(["wait", &run]).exits(1);
    let lines = [
        format!("run {run} with 2 items"),
        format!("{run}/a started"),
        format!("{run}/a succeeded"),
        format!("{run}/b failed (exit code 3): oh no"),
        format!("run {run} failed"),
    ];
    for line in &lines {
        node.wait_said(line);
    }
    node.interrupt();
    let said = node.wait().exits(0).stderr;
    let places: Vec<Option<usize>> = lines.iter().map(|line| said.find(line.as_str())).collect();
    assert!(places.is_sorted(), "in order: {said}");
}
