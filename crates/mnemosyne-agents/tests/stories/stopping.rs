//! A stop is a promise: afterwards nothing of the attempt runs.

use std::time::{Duration, Instant};

use mnemosyne_agents::{Ending, Exit, LeaderStatus, StopMode, Stopped, request_stop, stop_and_prove_empty};
use rustix::process::Signal;

use crate::attempt::{Attempt, block_on, is_gone, signal_shim};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_polite_request_ends_the_agent_and_its_tools() {
    let attempt = Attempt::of(&["grandchild:setsid:10m", "pid:running", "sleep:10m"]);
    let identity = attempt.launch();
    attempt.lines_of("running");
    request_stop(&attempt.dir, StopMode::Polite).expect("asked");
    let record = attempt.record(&identity);
    assert_eq!(record.ending, Ending::Stopped { status: Some(LeaderStatus::Signalled(15)) });
    assert_eq!(record.swept, 1);
}

#[test]
fn an_agent_that_ignores_it_is_killed_after_the_grace() {
    let mut attempt = Attempt::of(&["ignore-term", "pid:running", "sleep:10m"]);
    attempt.spec.grace_ms = 100;
    let identity = attempt.launch();
    attempt.lines_of("running");
    request_stop(&attempt.dir, StopMode::Polite).expect("asked");
    let record = attempt.record(&identity);
    assert_eq!(record.ending, Ending::Stopped { status: Some(LeaderStatus::Signalled(9)) });
}

#[test]
fn an_agent_that_takes_its_leave_within_the_grace_keeps_its_exit_code() {
    let mut attempt = Attempt::of(&[]);
    let script = "trap 'echo bye > bye; exit 9' TERM; echo > running; while :; do sleep 0.01; done";
    attempt.spec.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    attempt.spec.grace_ms = 600_000;
    let identity = attempt.launch();
    attempt.lines_of("running");
    request_stop(&attempt.dir, StopMode::Polite).expect("asked");
    let record = attempt.record(&identity);
    assert_eq!(record.ending, Ending::Stopped { status: Some(LeaderStatus::Exited(9)) });
    assert!(attempt.work.join("bye").exists());
}

#[test]
fn a_second_request_does_not_wait_for_the_grace_of_the_first() {
    let mut attempt = Attempt::of(&["ignore-term", "pid:running", "sleep:10m"]);
    attempt.spec.grace_ms = 600_000;
    let identity = attempt.launch();
    attempt.lines_of("running");
    request_stop(&attempt.dir, StopMode::Polite).expect("asked");
    request_stop(&attempt.dir, StopMode::Now).expect("asked again");
    let record = attempt.record(&identity);
    assert_eq!(record.ending, Ending::Stopped { status: Some(LeaderStatus::Signalled(9)) });
}

#[test]
fn a_request_made_before_the_shim_is_there_keeps_the_agent_from_starting() {
    let attempt = Attempt::of(&["append:ran:yes"]);
    request_stop(&attempt.dir, StopMode::Polite).expect("asked");
    let record = attempt.run();
    assert_eq!(record.ending, Ending::Stopped { status: None });
    assert!(!attempt.work.join("ran").exists());
}

fn stop(attempt: &Attempt, identity: &mnemosyne_agents::ShimIdentity, grace: Duration) -> Stopped {
    block_on(stop_and_prove_empty(&attempt.dir, identity, &attempt.spec.cookie, grace))
        .expect("stopped and proven empty")
}

#[test]
fn stopping_with_proof_ends_everything_however_stubborn() {
    let mut attempt =
        Attempt::of(&["grandchild:setsid:stubborn:10m", "ignore-term", "pid:running", "sleep:10m"]);
    attempt.spec.grace_ms = 600_000;
    let identity = attempt.launch();
    attempt.lines_of("running");
    let started = Instant::now();
    let stopped = stop(&attempt, &identity, Duration::from_millis(100));
    assert!(matches!(stopped.exit, Exit::Finished(_)), "{stopped:?}");
    assert_eq!(stopped.swept, 0, "the shim did it");
    assert!(started.elapsed() < Duration::from_secs(30), "our grace counts, not the longer one of the spec");
    attempt.assert_empty();
}

#[test]
fn a_shim_that_hangs_is_got_rid_of_together_with_its_agent() {
    let attempt = Attempt::of(&["grandchild:setsid:10m", "pid:running", "sleep:10m"]);
    let identity = attempt.launch();
    let leader = attempt.pid_in("running");
    signal_shim(&identity, Signal::STOP);
    let stopped = stop(&attempt, &identity, Duration::ZERO);
    assert!(matches!(stopped.exit, Exit::Lost { .. }), "{stopped:?}");
    assert_eq!(stopped.swept, 2);
    assert!(is_gone(&leader) && !identity.is_alive());
    attempt.assert_empty();
}

#[test]
fn stopping_what_has_ended_tells_how_it_ended() {
    let attempt = Attempt::of(&["exit:6"]);
    let identity = attempt.launch();
    attempt.record(&identity);
    let stopped = stop(&attempt, &identity, LONG);
    let Exit::Finished(record) = stopped.exit else { panic!("{stopped:?}") };
    assert_eq!(record.ending, Ending::ByItself { status: LeaderStatus::Exited(6) });
}
