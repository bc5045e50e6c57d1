//! Several at once: threads, processes, and a process that is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

/// Tells a copy of this test program in which repository it is to make trees.
const CHECKOUT: &str = "WORKTREE_STORY_CHECKOUT";
/// And in which data directory.
const DATA: &str = "WORKTREE_STORY_DATA";
/// Trees that each process makes.
const EACH: usize = 6;

#[test]
fn threads_make_trees_in_one_repository() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let place = &place;
            scope.spawn(move || assert_good_alone(&place.create(&format!("item-{number}"))));
        }
    });
    assert_eq!(git(&place.checkout(), &["worktree", "list"]).lines().count(), 9);
    place.assert_untouched();
}

#[test]
fn processes_with_data_directories_of_their_own_make_and_remove_trees_in_one_repository() {
    const NAME: &str = "processes_with_data_directories_of_their_own_make_and_remove_trees_in_one_repository";
    if let (Some(checkout), Some(data)) = (std::env::var_os(CHECKOUT), std::env::var_os(DATA)) {
        return work(Path::new(&checkout), Path::new(&data));
    }
    let place = Place::new();
    let workers: Vec<Child> = (0..3).map(|number| start(&place, NAME, &format!("data-{number}"))).collect();
    for worker in workers {
        let out = worker.wait_with_output().expect("waited for");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
    // Of each two trees one is left, and nothing of the others.
    assert_eq!(git(&place.checkout(), &["worktree", "list"]).lines().count(), 1 + 3 * EACH / 2);
    assert_eq!(git(&place.checkout(), &["branch", "--list", "mnemosyne/*"]).lines().count(), 3 * EACH / 2);
    place.assert_untouched();
}

#[test]
fn a_process_that_is_killed_while_it_makes_trees_leaves_nothing_that_cannot_be_mended() {
    const NAME: &str = "a_process_that_is_killed_while_it_makes_trees_leaves_nothing_that_cannot_be_mended";
    if let (Some(checkout), Some(data)) = (std::env::var_os(CHECKOUT), std::env::var_os(DATA)) {
        return work(Path::new(&checkout), Path::new(&data));
    }
    let place = Place::new();
    for round in 0..EACH {
        let data = format!("data-{round}");
        let mut worker = start(&place, NAME, &data);
        // Killed in the middle of another tree each time.
        let said = BufReader::new(worker.stdout.take().expect("piped"));
        let beginning = format!("making {round}");
        assert!(said.lines().any(|line| line.expect("read") == beginning), "it ended before it was killed");
        worker.kill().expect("killed");
        worker.wait().expect("reaped");
        let trees = trees_in(&place.root().join(&data));
        for number in 0..EACH {
            let tree = trees.create(&place.checkout(), &data, &format!("item-{number}")).expect("created");
            assert_good_alone(&tree);
        }
    }
    place.assert_untouched();
}

/// Makes trees, and removes every second one.
fn work(checkout: &Path, data: &Path) {
    let trees = trees_in(data);
    let run = data.file_name().and_then(|name| name.to_str()).expect("a name");
    let scratch = data.join("scratch");
    std::fs::create_dir_all(&scratch).expect("created");
    for number in 0..EACH {
        writeln!(std::io::stdout(), "making {number}").expect("said");
        let run = if number % 2 == 0 { run.to_owned() } else { format!("{run}-odd") };
        let tree = trees.create(checkout, &run, &format!("item-{number}")).expect("created");
        assert_good_alone(&tree);
    }
    trees.remove_run(&format!("{run}-odd"), &scratch, true).expect("removed");
}

/// Starts a copy of this test program that runs one story as a worker.
fn start(place: &Place, story: &str, data: &str) -> Child {
    let data = place.root().join(data);
    std::fs::create_dir_all(&data).expect("created");
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", &format!("worktree::tests::together::{story}"), "--nocapture"])
        .env(CHECKOUT, place.checkout())
        .env(DATA, data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// As [`assert_good`], while others are being made.
fn assert_good_alone(tree: &Worktree) {
    assert_eq!(git(&tree.tree, &["rev-parse", "--show-toplevel"]), tree.tree.display().to_string());
    assert_eq!(git(&tree.tree, &["symbolic-ref", "--short", "HEAD"]), tree.branch);
    assert_eq!(git(&tree.tree, &["status", "--porcelain"]), "");
    assert_eq!(tree.stage, Stage::Ready);
}
