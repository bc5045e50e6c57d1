//! What a power cut, a supervisor that hangs, or a stop that nobody delivered leaves behind.

use std::fs;
use std::path::PathBuf;

use crate::support::plan::{does, plan};
use crate::support::processes::{kill_all, with_cookie};
use crate::support::{Running, Scene, wait_until};

/// A run of one item whose agent works, killed with all that belongs to it.
fn cut_off() -> (Scene, PathBuf) {
    let scene = Scene::new();
    let steps = [format!("append:{}:begun", scene.at("effects")), format!("wait-for:{}", scene.at("go"))];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects").len() == 1);
    run.kill();
    kill_all(|| scene.processes());
    let mut folders = fs::read_dir(scene.data_dir().join("attempts")).expect("attempts have folders").flatten();
    let folder = folders.next().expect("one attempt").path();
    scene.touch("go");
    (scene, folder)
}

#[track_caller]
fn is_done_again(scene: &Scene) {
    scene.line("run plan.yaml").exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
    assert_eq!(scene.lines("effects").len(), 2);
}

#[test]
fn files_that_a_power_cut_has_emptied_do_not_hold_an_item_up() {
    for emptied in [&["claim", "spec.json"][..], &["claim"], &["spec.json"]] {
        let (scene, folder) = cut_off();
        for name in emptied {
            fs::write(folder.join(name), "").expect("the file can be emptied");
        }
        is_done_again(&scene);
    }
}

#[test]
fn an_attempt_whose_folder_is_gone_is_granted_anew() {
    let (scene, folder) = cut_off();
    fs::remove_dir_all(folder).expect("the folder can be removed");
    is_done_again(&scene);
    let tokens: Vec<_> = (0..2).map(|at| scene.show("a")["history"][at]["token"].as_u64()).collect();
    assert!(tokens[0] < tokens[1], "never twice under one token: {tokens:?}");
}

#[test]
fn an_agent_whose_folder_was_removed_under_it_is_ended_before_the_next_attempt() {
    let scene = Scene::new();
    let steps = [format!("append:{}:begun", scene.at("effects")), format!("wait-for:{}", scene.at("go"))];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects").len() == 1);
    let [cookie] = &scene.cookies("a")[..] else { panic!("one attempt has one cookie") };
    run.kill();
    fs::remove_dir_all(scene.data_dir().join("attempts")).expect("the folder can be removed");
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the next attempt to work", || scene.lines("effects").len() == 2);
    assert!(with_cookie(cookie).is_empty(), "two agents at the same work");
    scene.touch("go");
    run.wait().exits(0);
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
}

/// A run whose agent has stopped its supervisor, so that it cannot react to
/// anything, and goes on; it has been cancelled. With the agent's cookie.
fn cancelled_under_a_hung_shim(scene: &Scene) -> (Running, String) {
    let script =
        format!("kill -STOP $PPID; echo begun >> {}; while :; do sleep 0.05; done", scene.at("effects"));
    let words = format!("run: [sh, -c, '{script}'], grace: 200ms");
    scene.write("plan.yaml", plan([("a", words)]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the agent to work", || scene.lines("effects").len() == 1);
    let cookie = scene.cookies("a").remove(0);
    scene.run(["cancel", &scene.id("a")]).exits(0);
    (run, cookie)
}

#[test]
fn an_agent_is_stopped_without_its_supervisor_when_that_hangs() {
    let scene = Scene::new();
    let (run, cookie) = cancelled_under_a_hung_shim(&scene);
    run.wait().exits(1);
    assert_eq!(scene.state("a"), "cancelled");
    assert!(with_cookie(&cookie).is_empty());
}

#[test]
fn a_stop_that_was_not_delivered_is_delivered_by_whoever_comes_next() {
    let scene = Scene::new();
    let (run, cookie) = cancelled_under_a_hung_shim(&scene);
    run.kill();
    assert!(!with_cookie(&cookie).is_empty(), "otherwise this test proves nothing");
    scene.run(["cancel", &scene.id("a")]).exits(0);
    assert!(with_cookie(&cookie).is_empty());
    assert_eq!(scene.state("a"), "cancelled");
}
