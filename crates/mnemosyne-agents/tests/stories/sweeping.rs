//! What an agent leaves behind ends with it.

use std::time::{Duration, Instant};

use mnemosyne_agents::Stream;

use crate::attempt::{Attempt, code, is_gone};

#[test]
fn an_escapee_in_its_own_session_that_holds_the_pipe_is_swept_and_the_exit_reported_promptly() {
    let mut attempt = Attempt::of(&["stdout:done", "grandchild:setsid:hold-stdout:10m", "exit:4"]);
    attempt.spec.sweep_grace_ms = 600_000;
    let started = Instant::now();
    let record = attempt.run();
    assert_eq!(code(&record), 4);
    assert_eq!(record.swept, 1);
    assert_eq!(attempt.text(Stream::Stdout), "done\n");
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "it obeyed SIGTERM, nobody waits for the grace or the pipe"
    );
}

#[test]
fn a_daemon_whose_parents_are_gone_is_swept() {
    let record = Attempt::of(&["daemonize:10m", "exit:0"]).run();
    assert_eq!((code(&record), record.swept), (0, 1));
}

#[test]
fn one_that_ignores_the_polite_signal_is_killed_after_the_grace() {
    let mut attempt = Attempt::of(&["grandchild:setsid:stubborn:10m", "grandchild:stubborn:10m", "exit:0"]);
    attempt.spec.sweep_grace_ms = 100;
    let record = attempt.run();
    assert_eq!((code(&record), record.swept), (0, 2));
}

#[test]
fn a_stopped_process_is_swept_as_well() {
    let mut attempt = Attempt::of(&[]);
    let script =
        "sh -c 'echo $$ > stopped; kill -STOP $$; sleep 600' & while ! test -s stopped; do :; done; exit 0";
    attempt.spec.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let identity = attempt.launch();
    let stopped = attempt.lines_of("stopped");
    let record = attempt.record(&identity);
    assert_eq!(code(&record), 0);
    assert!(record.swept >= 1, "{stopped:?}");
}

#[test]
fn a_process_that_starts_others_without_end_is_ended_with_all_of_them() {
    let mut attempt = Attempt::of(&[]);
    let script = "trap '' TERM; (while :; do (sleep 0.01 &) ; done) & exit 0";
    attempt.spec.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    attempt.spec.sweep_grace_ms = 50;
    assert_eq!(code(&attempt.run()), 0);
}

#[test]
fn pipelines_and_background_jobs_of_a_shell_are_children_like_any() {
    let mut attempt = Attempt::of(&[]);
    let script = "sleep 600 & sleep 600 | cat & echo $! > last; exit 5";
    attempt.spec.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let record = attempt.run();
    assert_eq!((code(&record), record.swept >= 3), (5, true), "{record:?}");
    let last = attempt.lines_of("last")[0].parse().expect("a pid");
    assert!(
        mnemosyne_agents::process::stat::ProcessStat::read(last).expect("read").is_none_or(|now| is_gone(&now))
    );
}
