//! The example for those who embed a node, run as they would run it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("the tests are a program");
    let program = tests.ancestors().nth(2).expect("two folders above it").join("examples/embed");
    assert!(program.is_file(), "{} is missing: cargo build --example embed", program.display());
    program
}

fn run(data: &Path) -> String {
    let ran = Command::new(program()).arg(data).output().expect("it can be run");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn what_is_finished_is_not_done_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().join("data");
    let page = "almanac succeeded\nOf the stars much can be said.\nOf the tides much can be said.\n";
    let first = run(&data);
    let (work, told) = first.split_at(first.find("almanac").expect("it says how the run ended"));
    let mut work: Vec<&str> = work.lines().collect();
    work.sort_unstable();
    assert_eq!((work, told), (vec!["editing", "writing about the stars", "writing about the tides"], page));
    let second = run(&data);
    let (existing, told) = second.split_once('\n').expect("several lines");
    assert!(existing.starts_with("the run ") && existing.ends_with(" is there already"), "{existing}");
    assert_eq!(told, page);
}
