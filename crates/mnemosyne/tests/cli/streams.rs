//! Where data cannot be written: a full disk, a pipe that was closed.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::support::Scene;
use crate::support::plan::{does, plan};

#[test]
fn data_that_cannot_be_written_is_no_success() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["stdout:hello"]))])).exits(0);
    let id = scene.id("a");
    let logs = format!("logs {id}");
    let commands = [
        "ps --all",
        "ps --json",
        "status",
        "events --after 0",
        "plan graph plan.yaml",
        "plan schema",
        "config show",
        "completions bash",
        "run plan.yaml --json",
        "submit plan.yaml",
        "doctor",
        "--help",
        "--version",
        "run --help",
        &logs,
    ];
    for words in commands {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut command = scene.command(words.split_whitespace());
        command.stdout(full).stderr(Stdio::piped());
        let output = command.spawn().and_then(std::process::Child::wait_with_output).expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{words}: {said}");
        assert!(said.contains("cannot write to standard output"), "{words}: {said}");
    }
}

#[test]
fn who_has_read_enough_closes_the_pipe_and_hears_nothing() {
    let scene = Scene::new();
    scene.submit(&plan((0..500).map(|number| (format!("i{number}"), "run: \"true\""))));
    for words in ["ps --all", "ps --json", "plan graph plan.yaml", "--help"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = scene.command(words.split_whitespace());
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().and_then(std::process::Child::wait_with_output).expect("it starts");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words}: {output:?}");
    }
}
