//! kill -9 of the node, the shims and the agents: the work is requeued without
//! spending an attempt, and nothing of the old one is left when the new one starts.

use crate::support::ordeal::{Victims, a_run_survives};
use crate::support::plan::{does, plan};
use crate::support::processes::{self, kill_all, open_files, with_cookie};
use crate::support::{Scene, wait_until};

#[test]
fn work_that_was_interrupted_is_done_again_and_spends_no_attempt() {
    let scene = Scene::new();
    let steps = [
        format!("append:{}:begun", scene.at("effects")),
        format!("wait-for:{}", scene.at("go")),
        format!("append:{}:done", scene.at("effects")),
    ];
    let words = format!("{}, retry: {{ max_attempts: 1 }}", does(steps));
    scene.write("plan.yaml", plan([("a", words)]));
    for round in 1..=2 {
        let run = scene.spawn(["run", "plan.yaml"]);
        wait_until("the agent to work", || scene.lines("effects").len() == round);
        run.kill();
        kill_all(|| scene.processes());
    }
    scene.touch("go");
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "interrupted", "succeeded"]);
    let detail = scene.show("a");
    let tokens: Vec<u64> = (0..3).filter_map(|at| detail["history"][at]["token"].as_u64()).collect();
    assert!(tokens.len() == 3 && tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    assert_eq!(detail["completion"]["token"], tokens[2]);
    assert_eq!(scene.lines("effects"), ["begun", "begun", "begun", "done"]);
}

#[test]
fn what_an_agent_left_behind_is_gone_before_the_next_attempt_starts() {
    let scene = Scene::new();
    let steps = [
        "grandchild:setsid:5m".to_owned(),
        "grandchild:stubborn:5m".to_owned(),
        "daemonize:5m".to_owned(),
        format!("append:{}:begun", scene.at("effects")),
        format!("wait-for:{}", scene.at("go")),
    ];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    run.kill();
    let [cookie] = &scene.cookies("a")[..] else { panic!("one attempt has one cookie") };
    // The supervisor only: what it would have cleaned up stays.
    kill_all(|| scene.processes().into_iter().filter(processes::Process::is_shim).collect());
    assert!(with_cookie(cookie).len() >= 3, "otherwise this test proves nothing");
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the next attempt to work", || scene.lines("effects").len() == 2);
    let left: Vec<Vec<String>> = with_cookie(cookie).into_iter().map(|process| process.command).collect();
    assert!(left.is_empty(), "of the first attempt: {left:?}");
    scene.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
    wait_until("all to be gone", || scene.processes().is_empty());
}

#[test]
fn a_supervisor_that_is_killed_under_a_living_node_is_an_interruption() {
    let scene = Scene::new();
    let steps = [format!("append:{}:begun", scene.at("effects")), format!("wait-for:{}", scene.at("go"))];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects").len() == 1);
    scene.processes().iter().filter(|process| process.is_shim()).for_each(processes::Process::kill);
    wait_until("the next attempt to work", || scene.lines("effects").len() == 2);
    scene.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
}

#[test]
fn what_an_agent_leaves_behind_when_it_succeeds_is_ended_with_it() {
    let scene = Scene::new();
    let steps = ["grandchild:setsid:hold-stdout:5m", "grandchild:stubborn:5m", "daemonize:5m", "stdout:done"];
    scene.run_plan(&plan([("a", format!("{}, grace: 200ms", does(steps)))])).exits(0);
    assert!(scene.processes().is_empty());
    assert_eq!(scene.run(["logs", &scene.id("a")]).exits(0).stdout, "done\n");
}

#[test]
fn the_cookie_of_an_attempt_is_its_own_on_the_whole_machine() {
    let (one, other) = (Scene::new(), Scene::new());
    for scene in [&one, &other] {
        scene.run_plan(&plan([("a", does(["exit:0"]))])).exits(0);
        let [cookie] = &scene.cookies("a")[..] else { panic!("one attempt has one cookie") };
        // Ids and tokens of two data directories can be the same, if only their clocks are.
        assert!(cookie.contains(scene.path().to_str().expect("a plain name")), "{cookie}");
    }
}

#[test]
fn what_the_machine_cannot_give_just_now_is_no_failure_of_the_work() {
    let scene = Scene::new();
    let node = scene.up();
    let enough_to_start = open_files(node.pid());
    node.kill();
    let steps = [format!("append:{}:done", scene.at("effects")), "sleep:200ms".to_owned()];
    scene.write("plan.yaml", plan((0..24).map(|number| (format!("item-{number}"), does(&steps)))));
    let command = scene.command_with_files(enough_to_start + 6, ["run", "plan.yaml", "--max-agents", "24"]);
    let said = scene.start(command).wait().exits(0).stderr;
    assert!(
        said.contains("Too many open files") || said.contains("interrupted"),
        "this proves nothing: {said}"
    );
    assert_eq!(
        scene.lines("effects").len(),
        24,
        "what could not be looked at for a moment is not started again"
    );
    for item in scene.items() {
        assert_eq!(item["state"], "succeeded");
    }
}

#[test]
fn an_agent_that_kills_itself_has_failed() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["signal-self:KILL"]))])).exits(1).says("killed by signal 9");
    assert_eq!(scene.outcomes("a"), ["failed (killed by signal 9)"]);
}

#[test]
fn a_run_survives_kills_of_everything_at_random_moments() {
    a_run_survives(Victims::Everything, 4, 40);
}
