//! The fake agent does what it is told: the tests of everything else rest on it.

use std::path::Path;
use std::process::{Command, Output};

fn fake(steps: &[&str], in_dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fake-agent"))
        .args(steps)
        .current_dir(in_dir)
        .output()
        .expect("fake-agent runs")
}

#[test]
fn steps_are_done_in_order_and_the_code_is_the_one_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let steps = ["stdout:one", "append:log:a", "stderr:two", "append:log:b", "exit:7", "append:log:never"];
    let output = fake(&steps, dir.path());
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (b"one\n".as_slice(), b"two\n".as_slice())
    );
    assert_eq!(std::fs::read_to_string(dir.path().join("log")).expect("a log"), "a\nb\n");
}

#[test]
fn a_typing_error_stops_the_script_before_its_first_step() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = fake(&["append:log:a", "slep:5s"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(!dir.path().join("log").exists());
}

#[test]
fn it_fails_until_the_attempt_that_shall_succeed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let codes = [(); 4].map(|()| fake(&["fail-until:3:count"], dir.path()).status.code());
    assert_eq!(codes, [Some(1), Some(1), Some(0), Some(0)]);
}

#[test]
fn it_survives_a_term_it_ignores_and_dies_of_one_it_does_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = fake(&["ignore-term", "signal-self:TERM", "stdout:alive"], dir.path());
    assert_eq!(output.stdout, b"alive\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fake(&["signal-self:TERM", "stdout:alive"], dir.path()).status.code(), None);
}

#[test]
fn a_flood_has_the_size_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = fake(&["flood:100001:nonewline"], dir.path()).stdout;
    assert_eq!(output.len(), 100_001);
    assert!(!output.contains(&b'\n'));
    assert!(fake(&["flood:1k"], dir.path()).stdout.contains(&b'\n'));
}

#[test]
fn arguments_after_args_are_shown_verbatim() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = fake(&["args", "$(rm -rf ~)", "--flag", "a\nb"], dir.path());
    assert_eq!(output.stdout, b"$(rm -rf ~)\n--flag\na\nb\n");
}

#[test]
fn help_lists_the_steps() {
    let output = fake(&["--help"], Path::new("/"));
    let help = String::from_utf8(output.stdout).expect("text");
    for step in ["sleep:D", "flood:BYTES", "ignore-term", "grandchild", "exit:CODE"] {
        assert!(help.contains(step), "{step}");
    }
}
