//! However often an attempt is started, it runs once; once revoked, never.

use mnemosyne_agents::{AttemptOnDisk, Exit, Revocation, inspect, launch, revoke};

use crate::attempt::{Attempt, code, shim_exe};

#[test]
fn a_second_shim_on_the_same_folder_runs_nothing() {
    let attempt = Attempt::of(&["append:runs:one", "wait-for:end"]);
    let first = attempt.launch();
    attempt.lines_of("runs");
    let second = launch(&shim_exe(), &attempt.dir, &attempt.spec).expect("launched").identity;
    let Exit::NotStarted { reason } = attempt.wait(&second) else { panic!("the second one ran") };
    assert!(reason.contains("claimed already"), "{reason}");
    std::fs::write(attempt.work.join("end"), "").expect("written");
    assert_eq!(code(&attempt.record(&first)), 0);
    assert_eq!(attempt.lines_of("runs"), ["one"]);
}

#[test]
fn of_many_shims_at_once_one_runs() {
    let attempt = Attempt::of(&["append:runs:one"]);
    let shims: Vec<_> = (0..8).map(|_| attempt.launch()).collect();
    let exits: Vec<Exit> = shims.iter().map(|shim| attempt.wait(shim)).collect();
    assert_eq!(exits.iter().filter(|exit| matches!(exit, Exit::Finished(_))).count(), 1, "{exits:?}");
    assert_eq!(exits.iter().filter(|exit| matches!(exit, Exit::NotStarted { .. })).count(), 7, "{exits:?}");
    assert_eq!(attempt.lines_of("runs"), ["one"]);
}

#[test]
fn a_shim_that_comes_after_the_revocation_runs_nothing() {
    let attempt = Attempt::of(&["append:runs:one"]);
    assert_eq!(inspect(&attempt.dir).expect("looked"), AttemptOnDisk::NotClaimed);
    assert_eq!(revoke(&attempt.dir).expect("revoked"), Revocation::Revoked);
    assert_eq!(inspect(&attempt.dir).expect("looked"), AttemptOnDisk::Revoked);
    let late = attempt.launch();
    assert!(matches!(attempt.wait(&late), Exit::NotStarted { .. }));
    assert!(!attempt.work.join("runs").exists());
    attempt.assert_empty();
}

#[test]
fn a_revocation_that_comes_after_the_shim_learns_who_it_is() {
    let attempt = Attempt::of(&["pid:running", "wait-for:end"]);
    let shim = attempt.launch();
    attempt.lines_of("running");
    assert_eq!(revoke(&attempt.dir).expect("read"), Revocation::AlreadyClaimed(shim.clone()));
    std::fs::write(attempt.work.join("end"), "").expect("written");
    assert_eq!(code(&attempt.record(&shim)), 0);
}

#[test]
fn a_shim_that_cannot_read_its_spec_has_started_nothing() {
    let attempt = Attempt::of(&["append:runs:one"]);
    let shim = attempt.launch();
    attempt.record(&shim);
    let damaged = Attempt::of(&["append:runs:one"]);
    // The spec is damaged in the moment between writing it and the start of the shim: told by a shim started by hand.
    std::fs::write(damaged.dir.join("spec.json"), "{\"version\":").expect("written");
    let status = std::process::Command::new("setsid")
        .arg("-w")
        .arg(shim_exe())
        .arg("shim")
        .arg(&damaged.dir)
        .stderr(std::process::Stdio::null())
        .status()
        .expect("started");
    assert_eq!(status.code(), Some(i32::from(mnemosyne_agents::shim::EXIT_BAD_SPEC)));
    assert_eq!(inspect(&damaged.dir).expect("looked"), AttemptOnDisk::NotClaimed);
}
