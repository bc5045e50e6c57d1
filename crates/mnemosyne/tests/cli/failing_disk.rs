//! A disk that fails: after a failed sync the node trusts nothing, confirms
//! nothing and ends; whatever it had confirmed before is there afterwards.

use rustix::io::Errno;

use crate::support::fault::Fault;
use crate::support::node::text;
use crate::support::plan::{does, plan};
use crate::support::{Outcome, Scene, wait_until};

/// Has the disk of a node fail in its work; returns the calls that failed and what the node had to say at its end.
fn fail(fault: Fault) -> (Vec<String>, Outcome) {
    let scene = Scene::new();
    // Small enough for new segments to be begun and snapshots to be taken on the way.
    scene.write("mnemosyne.toml", "[storage]\nsegment_bytes = \"64k\"\nsnapshot_bytes = \"64k\"\n");
    let node = scene.start(fault.within(&scene, &["up"]));
    wait_until("a node", || node.said().contains("node is up"));
    let steps = ["begun", "done"].map(|what| format!("append:{}:{what}", scene.at("effects")));
    let agent = does([steps[0].clone(), format!("wait-for:{}", scene.at("go")), steps[1].clone()]);
    let first = scene.submit(&plan([("a", agent)]));
    wait_until("the agent to work", || scene.lines("effects") == ["begun"]);
    scene.wait_state("a", "running");
    let mut confirmed = vec![first.clone()];
    let mut submit = |number: u32| {
        let small = (1..50).map(|item| (format!("item-{item}"), format!("run: \"exit {number}\", delay: 1h")));
        // Too large for the log.
        let large = format!("run: [\"echo\", \"{number}\", \"{}\"], delay: 1h", "x".repeat(80_000));
        scene.write("plan.yaml", plan(small.chain([("large".to_owned(), large)])));
        let outcome = scene.line("submit plan.yaml");
        if outcome.exit == 0 {
            confirmed.push(outcome.first_line().to_owned());
        }
        outcome.exit
    };
    for number in 0..5 {
        assert_eq!(submit(number), 0);
    }
    fault.happens(&scene);
    let mut node = node;
    // Those behind the log fail later than the log itself; what was confirmed in between counts.
    let mut number = 5;
    while node.is_running() && number < 105 {
        submit(number);
        number += 1;
    }
    let ended = node.wait();
    let calls = fault.is_over(&scene);

    let known: Vec<String> = scene.items().iter().map(|item| text(&item["run"])).collect();
    for run in &confirmed[1..] {
        assert_eq!(known.iter().filter(|known| *known == run).count(), 50, "run {run} was confirmed");
    }
    assert_eq!(scene.agents().len(), 1, "the agent goes on");
    let _node = scene.up();
    scene.touch("go");
    scene.run(["wait", &first]).exits(0);
    assert_eq!(scene.lines("effects"), ["begun", "done"]);
    (calls, ended)
}

#[test]
fn a_failed_sync_of_the_log_ends_the_node_and_is_never_repeated() {
    for errno in [Errno::IO, Errno::NOSPC] {
        let (calls, ended) = fail(Fault { call: "fdatasync", path: "/log/0", errno });
        ended.exits(6).says("the log failed, the node ends: cannot sync log/0");
        assert_eq!(calls.len(), 1, "{calls:?}");
    }
}

#[test]
fn a_failed_write_of_the_log_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "pwrite", path: "/log/0", errno: Errno::IO });
    ended.exits(6).says("the log failed, the node ends: cannot write log/0");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_failed_sync_of_the_high_water_mark_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "fdatasync", path: "/log/mark", errno: Errno::IO });
    ended.exits(6).says("the log failed, the node ends: cannot sync log/mark");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_failed_sync_of_the_folder_of_the_log_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "fsync", path: "/log", errno: Errno::IO });
    ended.exits(6).says("the log failed, the node ends: cannot sync log");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_failed_sync_of_the_history_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "fdatasync", path: "/history/", errno: Errno::IO });
    ended.exits(6).says("history/").says("Input/output error");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_failed_sync_of_a_snapshot_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "fdatasync", path: "/snapshots/", errno: Errno::IO });
    ended.exits(6).says("cannot sync snapshots/").says("Input/output error");
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_failed_sync_of_a_blob_ends_the_node() {
    let (calls, ended) = fail(Fault { call: "fdatasync", path: "/blobs/", errno: Errno::IO });
    ended.exits(6).says("the blob store failed, the node ends: cannot sync blobs/");
    assert_eq!(calls.len(), 1, "{calls:?}");
}
