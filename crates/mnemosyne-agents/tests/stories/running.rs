//! An agent is started with exactly what it was given, and its end is recorded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;

use mnemosyne_agents::{Ending, LeaderStatus, StdinSource, Stream, environment};

use crate::attempt::{Attempt, code};

#[test]
fn output_and_exit_code_are_recorded() {
    let attempt = Attempt::of(&["stdout:to out", "stderr:to err", "exit:3"]);
    let record = attempt.run();
    assert_eq!(code(&record), 3);
    assert_eq!(
        (attempt.text(Stream::Stdout), attempt.text(Stream::Stderr)),
        ("to out\n".into(), "to err\n".into())
    );
    assert_eq!((record.stdout.total_bytes, record.stderr.total_bytes), (7, 7));
    assert_eq!(record.swept, 0);
    assert!(record.started_at_ms <= record.ended_at_ms);
}

#[test]
fn a_signal_that_was_not_ours_is_recorded_as_such() {
    let record = Attempt::of(&["signal-self:ABRT"]).run();
    assert_eq!(record.ending, Ending::ByItself { status: LeaderStatus::Signalled(6) });
}

#[test]
fn an_exit_code_of_127_is_the_agents_own() {
    assert_eq!(code(&Attempt::of(&["exit:127"]).run()), 127);
}

fn spawn_error(attempt: &Attempt) -> String {
    match attempt.run().ending {
        Ending::SpawnFailed { error } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_cannot_be_started_is_told_from_one_that_failed() {
    let mut missing = Attempt::of(&[]);
    missing.spec.argv = vec!["no-such-agent".to_owned()];
    let error = spawn_error(&missing);
    assert!(error.contains("no-such-agent") && error.contains("No such file"), "{error}");

    let mut plain_file = Attempt::of(&[]);
    let path = plain_file.work.join("notes.txt");
    std::fs::write(&path, "no program").expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set");
    plain_file.spec.argv = vec![path.to_str().expect("text").to_owned()];
    assert!(spawn_error(&plain_file).contains("Permission denied"));

    let mut nowhere = Attempt::of(&[]);
    nowhere.spec.cwd = nowhere.work.join("gone");
    let error = spawn_error(&nowhere);
    assert!(error.contains("working folder") && error.contains("gone"), "{error}");

    let mut no_input = Attempt::of(&[]);
    no_input.spec.stdin = StdinSource::File(no_input.work.join("no-prompt"));
    assert!(spawn_error(&no_input).contains("standard input"));
}

#[test]
fn an_agent_that_reads_its_input_does_not_hang() {
    assert_eq!(code(&Attempt::of(&["hang-stdin"]).run()), 0);
}

#[test]
fn the_prompt_may_come_from_a_file_or_inline() {
    let mut from_file = Attempt::of(&["read-stdin"]);
    std::fs::write(from_file.work.join("prompt"), "from a file").expect("written");
    from_file.spec.stdin = StdinSource::File(from_file.work.join("prompt"));
    from_file.run();
    assert_eq!(from_file.text(Stream::Stdout), "from a file");

    let mut inline = Attempt::of(&["read-stdin"]);
    let long = "more than a pipe holds\n".repeat(10_000);
    inline.spec.stdin = StdinSource::Inline(long.clone());
    inline.run();
    assert_eq!(inline.text(Stream::Stdout), long);
}

#[test]
fn arguments_arrive_verbatim() {
    let hostile = ["$(rm -rf ~)", ";reboot", "`id`", "a\nb", "--dangerously-skip-permissions", ""];
    let attempt = Attempt::of(&[["args"].as_slice(), &hostile].concat());
    attempt.run();
    assert_eq!(attempt.text(Stream::Stdout), hostile.map(|argument| format!("{argument}\n")).concat());
}

#[test]
fn the_environment_is_the_allow_list_and_nothing_of_the_node() {
    let parent = [
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("ANTHROPIC_API_KEY", "sk-secret"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("MNEMOSYNE_TOKEN", "secret"),
        ("CARGO_HOME", "/x"),
    ];
    let parent = parent.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut attempt = Attempt::of(&["env"]);
    attempt.spec.env = environment(parent, &["MNEMOSYNE_*".to_owned(), "CARGO_*".to_owned()]);
    attempt.spec.env.insert("MNEMOSYNE_ITEM_NAME".to_owned(), "a".to_owned());
    attempt.run();
    let text = attempt.text(Stream::Stdout);
    let seen: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let expected = BTreeMap::from([
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("CARGO_HOME", "/x"),
        ("MNEMOSYNE_ITEM_NAME", "a"),
        ("MNEMOSYNE_COOKIE", attempt.spec.cookie.as_str()),
    ]);
    assert_eq!(seen, expected);
}

#[test]
fn the_run_limit_holds_without_a_node() {
    let mut attempt = Attempt::of(&["sleep:10m"]);
    attempt.spec.run_limit_ms = Some(50);
    let record = attempt.run();
    assert_eq!(record.ending, Ending::RunLimit { status: LeaderStatus::Signalled(15) });
}

#[test]
fn cpu_time_of_the_whole_tree_and_memory_of_the_leader_are_recorded() {
    let record = Attempt::of(&["alloc:32M", "burn-cpu:300ms"]).run();
    assert!(record.usage.user_ms >= 100, "{:?}", record.usage);
    assert!(record.usage.leader_rss_bytes_max.is_some_and(|peak| peak >= 32 << 20), "{:?}", record.usage);
}

#[test]
fn what_an_attempt_leaves_on_disk_is_for_the_user_alone() {
    let attempt = Attempt::of(&["stdout:secret", "stderr:secret"]);
    attempt.run();
    for entry in std::fs::read_dir(&attempt.dir).expect("listed") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
        assert!(!entry.file_name().to_string_lossy().ends_with(".tmp"), "{:?}", entry.file_name());
    }
}
