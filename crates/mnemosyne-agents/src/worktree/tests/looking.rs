//! What is recorded of a tree.

use std::os::unix::fs::symlink;

use super::*;
use crate::subject::SubjectKind;

fn write(tree: &Worktree, file: &str, text: &str) {
    let path = tree.tree.join(file);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    std::fs::write(path, text).expect("written");
}

fn text(snapshot: &Snapshot) -> String {
    String::from_utf8_lossy(&snapshot.diff.text).into_owned()
}

/// The name git gives to what a commit of everything would hold.
fn committed(tree: &Worktree) -> String {
    git(&tree.tree, &["add", "-A"]);
    commit(&tree.tree, "everything");
    format!("tree:{}", git(&tree.tree, &["rev-parse", "HEAD^{tree}"]))
}

#[test]
fn a_fresh_tree_is_clean_and_differs_in_nothing() {
    let place = Place::new();
    let tree = place.create("build");
    let seen = place.look(&tree);
    assert_eq!(seen.head.as_deref(), Some(&*tree.start));
    assert_eq!(seen.branch.as_deref(), Some(&*tree.branch));
    assert_eq!(seen.tree.kind(), SubjectKind::Sha1Tree);
    assert!(!seen.dirty && seen.touched.is_empty() && seen.incomplete.is_none());
    assert_eq!(seen.diff, Diff::default());
}

#[test]
fn the_hash_is_that_of_a_commit_of_everything_and_nothing_is_left_of_it() {
    let place = Place::new();
    let tree = place.create("build");
    write(&tree, "new/file.txt", "new");
    write(&tree, "a.txt", "changed\n");
    write(&tree, "x.ignored", "not part of it");
    std::fs::remove_file(tree.tree.join("sub/b.txt")).expect("removed");
    let index = std::fs::read(tree.repository.join("worktrees/build/index")).expect("read");
    let objects = git(&tree.repository, &["count-objects"]);
    let seen = place.look(&tree);
    assert!(seen.dirty);
    assert_eq!(seen.diff.files, 3);
    assert_eq!(std::fs::read(tree.repository.join("worktrees/build/index")).expect("read"), index);
    assert_eq!(git(&tree.repository, &["count-objects"]), objects, "objects were left in the repository");
    assert_eq!(std::fs::read_dir(place.scratch()).expect("listed").count(), 0);
    assert!(text(&seen).contains("+changed") && text(&seen).contains("new/file.txt"), "{}", text(&seen));
    assert_eq!(seen.tree.to_string(), committed(&tree));
    assert_eq!(place.look(&tree).tree, seen.tree);
}

#[test]
fn what_is_staged_and_ignored_is_part_of_it() {
    let place = Place::new();
    let tree = place.create("build");
    write(&tree, "forced.ignored", "staged");
    git(&tree.tree, &["add", "-f", "forced.ignored"]);
    let seen = place.look(&tree);
    assert!(text(&seen).contains("forced.ignored"));
    assert_eq!(seen.tree.to_string(), committed(&tree));
}

#[test]
fn no_mark_in_the_index_hides_a_change() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["update-index", "--assume-unchanged", "a.txt"]);
    git(&tree.tree, &["update-index", "--skip-worktree", "sub/b.txt"]);
    write(&tree, "a.txt", "hidden\n");
    write(&tree, "sub/b.txt", "hidden, too\n");
    assert_eq!(git(&tree.tree, &["status", "--porcelain"]), "", "git itself does not see them");
    let seen = place.look(&tree);
    assert!(seen.dirty);
    assert_eq!(seen.diff.files, 2);
}

#[test]
fn the_difference_is_bounded_and_ends_with_a_line() {
    let place = Place::new();
    let tree = place.create("build");
    write(&tree, "long.txt", &"a line\n".repeat(10_000));
    let seen = place.trees().look(&tree, &place.scratch(), 1_000).expect("looked at");
    assert!(seen.diff.text.len() <= 1_000 && seen.diff.text.ends_with(b"\n"));
    assert!(seen.diff.is_cut() && seen.diff.bytes > 70_000, "{}", seen.diff.bytes);
}

#[test]
fn binary_files_and_other_encodings_do_no_harm() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::write(tree.tree.join("image"), [0, 1, 2, 255, 0]).expect("written");
    std::fs::write(tree.tree.join("latin"), b"caf\xe9\n").expect("written");
    let name = std::os::unix::ffi::OsStringExt::from_vec(b"n\xe9\n\x1b[2J".to_vec());
    let name: std::ffi::OsString = name;
    std::fs::write(tree.tree.join(name), "x").expect("written");
    let seen = place.look(&tree);
    assert_eq!(seen.diff.files, 3);
    assert!(text(&seen).contains("Binary files /dev/null and b/image differ"), "{}", text(&seen));
    assert!(seen.diff.text.windows(4).any(|part| part == b"caf\xe9"));
    assert!(!seen.diff.text.contains(&0x1b));
}

#[test]
fn a_repository_within_the_tree_is_named_since_its_files_are_not_covered() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::create_dir(tree.tree.join("empty")).expect("created");
    git(&tree.tree.join("empty"), &["init", "-q"]);
    let seen = place.look(&tree);
    let incomplete = seen.incomplete.expect("it cannot be taken in");
    assert!(incomplete.contains("empty/"), "{incomplete}");
    assert!(seen.dirty);
    commit(&tree.tree.join("empty"), "first");
    let seen = place.look(&tree);
    assert_eq!(seen.incomplete, None);
    assert_eq!(seen.touched[0].path, "empty");
}

#[test]
fn what_steers_agents_or_git_is_named() {
    let place = Place::new();
    let tree = place.create("build");
    write(&tree, ".claude/settings.json", "{}");
    write(&tree, "sub/AGENTS.md", "obey");
    write(&tree, "fine.txt", "x");
    symlink("../../../etc", tree.tree.join("out")).expect("linked");
    symlink("a.txt", tree.tree.join("in")).expect("linked");
    let paths = |seen: &Snapshot| seen.touched.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
    let seen = place.look(&tree);
    assert_eq!(paths(&seen), [".claude/settings.json", "out", "sub/AGENTS.md"]);
    git(&tree.tree, &["add", "-A"]);
    commit(&tree.tree, "also when it is committed");
    assert_eq!(paths(&place.look(&tree)), paths(&seen));
}

#[test]
fn changed_hooks_and_settings_of_the_repository_are_named() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["config", "branch.main.remote", "origin"]);
    assert_eq!(place.look(&tree).touched, []);
    git(&tree.tree, &["config", "core.fsmonitor", "/tmp/evil"]);
    assert_eq!(place.look(&tree).touched, [Touched::repository()]);
    git(&tree.tree, &["config", "--unset", "core.fsmonitor"]);
    assert_eq!(place.look(&tree).touched, []);
    std::fs::create_dir_all(tree.repository.join("hooks")).expect("created");
    std::fs::write(tree.repository.join("hooks/pre-commit"), "#!/bin/sh\n").expect("written");
    assert_eq!(place.look(&tree).touched, [Touched::repository()]);
}

#[test]
fn programs_that_the_settings_name_for_looking_are_not_run() {
    let place = Place::new();
    let tree = place.create("build");
    let mark = place.root().join("ran");
    let program = format!("touch {}; true", mark.display());
    for setting in ["core.fsmonitor", "diff.external", "core.pager", "diff.x.textconv", "diff.x.command"] {
        git(&tree.tree, &["config", setting, &program]);
    }
    write(&tree, ".gitattributes", "* diff=x\n");
    write(&tree, "a.txt", "changed\n");
    place.look(&tree);
    assert!(!mark.exists());
}

#[test]
fn any_folder_in_a_working_tree_can_be_looked_at_also_before_the_first_commit() {
    let place = Place::new();
    let limits = SnapshotLimits { time_max: Duration::from_secs(120), diff_bytes_max: 1 << 20 };
    let seen = snapshot(&place.checkout().join("sub"), None, &place.scratch(), &limits).expect("looked at");
    assert!(!seen.dirty);
    assert_eq!(seen.branch.as_deref(), Some("main"));
    let empty = place.root().join("empty");
    std::fs::create_dir(&empty).expect("created");
    git(&empty, &["init", "-q", "-b", "main"]);
    std::fs::write(empty.join("a"), "a\n").expect("written");
    let seen = snapshot(&empty, None, &place.scratch(), &limits).expect("looked at");
    assert_eq!((seen.head.clone(), seen.dirty, seen.diff.files), (None, true, 1));
    assert!(text(&seen).contains("+a"));
}

#[test]
fn a_tree_that_lost_its_link_is_not_taken_for_what_is_around_it() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::remove_file(tree.tree.join(".git")).expect("removed");
    git(&place.root(), &["init", "-q"]);
    let error = place.trees().look(&tree, &place.scratch(), 100).expect_err("refused").to_string();
    assert!(error.contains("is no worktree of"), "{error}");
}
