//! A node that comes later finds every attempt as it is.

use std::process::Command;

use mnemosyne_agents::{AttemptOnDisk, Exit, ProcessTable, activity, inspect};
use rustix::process::Signal;

use crate::attempt::{Attempt, code, is_gone, shim_exe, signal_shim, wait_until};

#[test]
fn a_killed_shim_means_lost_and_nothing_is_left() {
    let attempt = Attempt::of(&["grandchild:setsid:stubborn:10m", "daemonize:10m", "pid:running", "sleep:10m"]);
    let identity = attempt.launch();
    let leader = attempt.pid_in("running");
    signal_shim(&identity, Signal::KILL);
    let exit = attempt.wait(&identity);
    let Exit::Lost { swept, .. } = exit else { panic!("{exit:?}") };
    assert!(swept >= 2, "the two that escaped, and the agent unless it was faster: {swept}");
    assert!(is_gone(&leader));
    attempt.assert_empty();
}

#[test]
fn the_agent_dies_with_its_shim_even_if_no_node_is_there_to_sweep() {
    let attempt = Attempt::of(&["ignore-term", "pid:running", "sleep:10m"]);
    let identity = attempt.launch();
    let leader = attempt.pid_in("running");
    signal_shim(&identity, Signal::KILL);
    wait_until("the agent is gone", || is_gone(&leader));
    wait_until("the shim is gone", || {
        inspect(&attempt.dir).expect("looked") == AttemptOnDisk::Lost(identity.clone())
    });
}

#[test]
fn a_shim_that_somebody_else_started_is_waited_for_like_our_own() {
    let attempt = Attempt::of(&["pid:running", "wait-for:end", "exit:8"]);
    attempt.spec.write(&attempt.dir).expect("written");
    // The shell in between ends, as a node does that is upgraded.
    let status = Command::new("/bin/sh")
        .args(["-c", r#""$0" shim "$1" < /dev/null > /dev/null 2> "$1/shim.log" &"#])
        .arg(shim_exe())
        .arg(&attempt.dir)
        .status()
        .expect("started");
    assert!(status.success());
    attempt.lines_of("running");
    let found = inspect(&attempt.dir).expect("looked");
    let AttemptOnDisk::Running(identity) = found else { panic!("{found:?}") };
    std::fs::write(attempt.work.join("end"), "").expect("written");
    let record = attempt.record(&identity);
    assert_eq!(code(&record), 8);
    assert_eq!(inspect(&attempt.dir).expect("looked"), AttemptOnDisk::Exited(record));
}

#[test]
fn a_record_forged_by_the_agent_is_not_believed_while_it_runs() {
    let honest = Attempt::of(&["exit:0"]);
    honest.run();
    let attempt = Attempt::of(&["pid:running", "wait-for:end", "exit:1"]);
    let identity = attempt.launch();
    attempt.lines_of("running");
    std::fs::copy(honest.dir.join("exit.json"), attempt.dir.join("exit.json")).expect("forged");
    assert_eq!(inspect(&attempt.dir).expect("looked"), AttemptOnDisk::Running(identity.clone()));
    std::fs::write(attempt.work.join("end"), "").expect("written");
    assert_eq!(code(&attempt.record(&identity)), 1);
}

#[test]
fn an_agent_that_neither_prints_nor_computes_shows_no_activity() {
    let attempt = Attempt::of(&[
        "pid:idle",
        "wait-for:go",
        "stdout:words",
        "burn-cpu:200ms",
        "pid:worked",
        "wait-for:end",
    ]);
    let identity = attempt.launch();
    attempt.lines_of("idle");
    let read = || activity(&ProcessTable::read().expect("read"), &attempt.dir, &identity).expect("read");
    let idle = read();
    assert_eq!(idle.output_bytes, 0);
    std::fs::write(attempt.work.join("go"), "").expect("written");
    attempt.lines_of("worked");
    wait_until("both counters have moved", || {
        let now = read();
        now.output_bytes == 6 && now.cpu_ms >= idle.cpu_ms + 100
    });
    std::fs::write(attempt.work.join("end"), "").expect("written");
    attempt.record(&identity);
    assert_eq!(read().cpu_ms, 0, "a shim that is gone uses nothing");
}

#[test]
fn a_shim_whose_folder_was_removed_ends_with_its_agent() {
    let attempt = Attempt::of(&["pid:running", "wait-for:end"]);
    let identity = attempt.launch();
    attempt.lines_of("running");
    std::fs::remove_dir_all(&attempt.dir).expect("removed");
    std::fs::write(attempt.work.join("end"), "").expect("written");
    wait_until("the shim has given up", || !identity.is_alive());
    attempt.assert_empty();
}
