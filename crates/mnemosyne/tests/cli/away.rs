//! A node that was away: the machine was booted anew, or it gave no sign of life for longer than the orphan timeout.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::sessions::{at_work, patient, session, states};
use crate::support::boot::EARLIER_BOOT;
use crate::support::node::text;
use crate::support::plan::plan;
use crate::support::processes::kill_all;
use crate::support::{Scene, wait_until};

/// A scene whose sessions are taken for gone as soon as can be.
fn impatient() -> Scene {
    let scene = Scene::new();
    scene.write(
        "mnemosyne.toml",
        "[orchestration.persistence]\ncheckpoint_interval_secs = 1\norphan_timeout_mins = 1\n",
    );
    scene
}

/// The timeout is counted by the clock, and a minute is the shortest there is.
fn longer_than_the_timeout() {
    std::thread::sleep(Duration::from_secs(63));
}

#[test]
fn after_a_reboot_a_session_is_orphaned_whoever_has_its_pid_and_start_time_by_now() {
    let scene = Scene::new();
    let mut node = scene.start(scene.in_earlier_boot(&["up"]));
    node.wait_said("node is up");
    scene.submit(&plan([("a", patient(&scene, "a"))]));
    scene.wait_state("a", "running");
    // A copy that no node holds; the very process of its session lives on as that of the other one. Only the boot is
    // another one for who looks at it now.
    let copy = scene.at("copy");
    let copied = Command::new("cp").arg("-r").arg(scene.data_dir().join(".")).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let listing = ["--data-dir", &copy, "session", "ls", "--json"];
    let state = |listed: &str| text(&serde_json::from_str::<Value>(listed).expect("JSON")[0]["state"]);
    let then = scene.start(scene.in_earlier_boot(&listing)).wait().exits(0).stdout;
    assert_eq!(state(&then), "running", "in its own boot it is known by pid and start time");
    assert_eq!(state(&scene.run(listing).exits(0).stdout), "orphaned", "and in another one it is not");

    // The machine goes down with all that is on it.
    let pid = node.pid();
    node.kill();
    kill_all(|| scene.processes());
    assert_eq!(states(&scene), ["s1 orphaned"]);
    let s1 = session(&scene, "s1");
    assert_eq!((&s1["boot_id"], &s1["pid"]), (&EARLIER_BOOT.into(), &pid.into()), "where it ran");
    let shown = scene.line("session show s1").exits(0).stdout;
    assert!(shown.contains("state      orphaned") && shown.contains(" a running"), "{shown}");

    let mut node = scene.up();
    node.wait_said(&format!("session s1 (pid {pid}) went without a word"));
    assert_eq!(states(&scene), ["s2 running", "s1 orphaned"]);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux tells it");
    assert_eq!(session(&scene, "s2")["boot_id"], boot.trim());
    scene.touch("go");
    scene.wait_state("a", "succeeded");
    assert_eq!(scene.outcomes("a"), ["interrupted", "succeeded"]);
    assert_eq!(scene.lines("done"), ["a"]);
}

#[test]
fn a_node_that_was_away_for_longer_than_the_orphan_timeout_finds_its_agents() {
    let scene = impatient();
    at_work(&scene, &["lives"]).kill();
    longer_than_the_timeout();
    let _node = scene.up();
    scene.touch("go");
    scene.wait_state("lives", "succeeded");
    let item = scene.item("lives");
    assert_eq!(item["attempts"], 1, "it was paid for once: {item}");
    assert_eq!(
        (scene.lines("begun"), scene.lines("done")),
        (vec!["lives".to_owned()], vec!["lives".to_owned()])
    );
}

#[test]
fn a_node_that_stood_still_for_longer_than_the_orphan_timeout_goes_on_as_if_nothing_had_happened() {
    let scene = impatient();
    let mut node = at_work(&scene, &["lives", "ends"]);
    let stood_still_at = session(&scene, "s1")["heartbeat_at"].clone();
    node.signal(Signal::STOP);
    longer_than_the_timeout();
    node.signal(Signal::CONT);
    wait_until("a sign of life", || session(&scene, "s1")["heartbeat_at"] != stood_still_at);
    assert_eq!(states(&scene), ["s1 running"], "whoever speaks first says that he lives");
    assert!(!node.said().contains("taken for gone"), "{}", node.said());
    scene.touch("go");
    for name in ["lives", "ends"] {
        scene.wait_state(name, "succeeded");
        assert_eq!(scene.outcomes(name), ["succeeded"], "{name} was paid for once");
    }
    assert_eq!(scene.lines("begun").len(), 2, "nothing was begun again");
    let told = scene.line("events").exits(0).stdout;
    assert!(!told.contains("SessionOrphaned"), "{told}");
}
