//! Restarts of every kind, one after the other: kills, hand-overs, reboots and pids that others have by now. What was
//! done stays done, what runs goes on, and what was hit is begun again.

use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::processes::kill_all;
use crate::support::random::Random;
use crate::support::restarts::a_workflow_outlives;
use crate::support::{Scene, wait_until};

#[test]
fn a_workflow_outlives_every_kind_of_restart() {
    a_workflow_outlives(180, 36);
}

#[test]
fn results_of_a_killed_fan_out_are_all_kept_whatever_the_order() {
    const WIDTH: u64 = 30;
    const FINISHED: usize = 12;
    const HIT: usize = 8;
    let mut random = Random::from_seed();
    let scene = Scene::new();
    scene.slots(u32::try_from(WIDTH).expect("small"));
    let names: Vec<String> = (0..WIDTH).map(|number| format!("part-{number}")).collect();
    let part = |name: &String| {
        does([
            format!("append:{}:{name}", scene.at("begun")),
            format!("wait-for:{}", scene.at(&format!("go-{name}"))),
            format!("append:{}:{name}", scene.at("done")),
            format!("output-json:{{\"of\": \"{name}\"}}"),
        ])
    };
    let results: Vec<String> = names.iter().map(|name| format!("${{{{ items.{name}.outputs.of }}}}")).collect();
    let join = format!("run: [echo, \"{}\"], needs: [{}]", results.join(" "), names.join(", "));
    let list = names.iter().map(|name| (name.clone(), part(name))).chain([("join".to_owned(), join)]);
    let node = scene.up();
    let run = scene.submit(&plan(list));
    wait_until("all to be at work", || scene.lines("begun").len() == names.len());

    let mut order = names.clone();
    for place in (1..order.len()).rev() {
        order.swap(place, usize::try_from(random.below(place as u64 + 1)).expect("small"));
    }
    let (finished, open) = order.split_at(FINISHED);
    let (hit, spared) = open.split_at(HIT);
    finished.iter().for_each(|name| scene.touch(&format!("go-{name}")));
    // The last of them have ended, and the node may not know it yet.
    wait_until("some to be done", || scene.lines("done").len() == FINISHED);
    node.kill();
    wait_until("the others alone to be at work", || scene.agents().len() == open.len());
    let folders: Vec<String> = hit.iter().map(|name| scene.cookies(name).remove(0)).collect();
    kill_all(|| {
        let mut found = scene.processes();
        found.retain(|process| {
            let cookie = process.variable("MNEMOSYNE_COOKIE");
            folders.iter().any(|folder| cookie.as_ref() == Some(folder) || process.command.contains(folder))
        });
        found
    });
    let (meanwhile, later) = spared.split_at(spared.len() / 2);
    meanwhile.iter().for_each(|name| scene.touch(&format!("go-{name}")));
    wait_until("some to be done without a node", || scene.lines("done").len() == FINISHED + meanwhile.len());

    let _node = scene.up();
    later.iter().chain(hit).for_each(|name| scene.touch(&format!("go-{name}")));
    scene.run(["wait", &run]).exits(0);
    for name in &names {
        let item = scene.show(name);
        assert_eq!(
            (text(&item["state"]), text(&item["outputs"]["of"])),
            ("succeeded".to_owned(), name.clone())
        );
        let expected: &[&str] = if hit.contains(name) { &["interrupted", "succeeded"] } else { &["succeeded"] };
        assert_eq!(scene.outcomes(name), expected, "{name}");
    }
    let mut done = scene.lines("done");
    done.sort();
    let mut once = names.clone();
    once.sort();
    assert_eq!(done, once, "each effect once");
    let joined = scene.run(["logs", &scene.id("join")]).exits(0).stdout;
    assert_eq!(joined.trim_end(), names.join(" "), "all results are handed on, in the order of the plan");
}
