//! What is refused, with the place and the way out.

use std::os::unix::fs::symlink;

use super::*;

fn refused(place: &Place, base: &Path) -> WorktreeError {
    place.trees().create(base, "run", "build").expect_err("refused")
}

#[test]
fn a_folder_without_a_repository_is_named_with_the_way_out() {
    let place = Place::new();
    let folder = place.root().join("plain");
    std::fs::create_dir(&folder).expect("created");
    let error = refused(&place, &folder);
    assert!(matches!(error, WorktreeError::NotARepository { .. }), "{error}");
    assert!(error.to_string().contains("git init"), "{error}");
    assert!(!error.is_passing());
}

#[test]
fn a_bare_repository_has_no_checkout() {
    let place = Place::new();
    let bare = place.root().join("bare.git");
    git(&place.root(), &["init", "-q", "--bare", "bare.git"]);
    assert!(matches!(refused(&place, &bare), WorktreeError::NoWorkingTree { .. }));
    assert!(matches!(refused(&place, &place.checkout().join(".git")), WorktreeError::NoWorkingTree { .. }));
}

#[test]
fn a_repository_without_a_commit_has_nothing_to_start_from() {
    let place = Place::new();
    let empty = place.root().join("empty");
    std::fs::create_dir(&empty).expect("created");
    git(&empty, &["init", "-q"]);
    assert!(matches!(refused(&place, &empty), WorktreeError::NoCommit { .. }));
    // Once there is one it goes well.
    commit(&empty, "first");
    assert_good(&place.trees().create(&empty, "run", "build").expect("created"));
}

#[test]
fn no_tree_is_made_inside_a_checkout_by_whatever_way() {
    let place = Place::new();
    let linked = place.root().join("linked");
    git(&place.checkout(), &["worktree", "add", "-q", "-b", "other", &linked.display().to_string()]);
    symlink(place.checkout(), place.root().join("link")).expect("linked");
    for root in [place.checkout(), place.checkout().join(".mnemosyne"), linked, place.root().join("link/deep")]
    {
        let error = trees_in(&root).create(&place.checkout(), "run", "a").expect_err("refused");
        assert!(matches!(error, WorktreeError::InsideCheckout { .. }), "{error}");
        assert!(!root.join("trees").exists());
    }
    let git_dir = trees_in(&place.checkout().join(".git/mnemosyne")).create(&place.checkout(), "run", "a");
    assert!(matches!(git_dir, Err(WorktreeError::InsideCheckout { .. })));
}

#[test]
fn the_first_root_outside_of_all_checkouts_is_taken() {
    let place = Place::new();
    let trees = Worktrees::new(WorktreesOptions {
        records: place.checkout().join(".mnemosyne/worktrees"),
        roots: vec![place.checkout().join(".mnemosyne/trees"), place.root().join("elsewhere")],
        time_max: Duration::from_secs(120),
    });
    let tree = trees.create(&place.checkout(), "run", "a").expect("created");
    assert_eq!(tree.tree, place.root().join("elsewhere/run/a"));
}

#[test]
fn the_working_folder_cannot_leave_the_tree() {
    let place = Place::new();
    symlink("/", place.checkout().join("out")).expect("linked");
    symlink("sub", place.checkout().join("in")).expect("linked");
    git(&place.checkout(), &["add", "-A"]);
    commit(&place.checkout(), "links");
    let tree = place.create("build");
    assert_eq!(tree.workdir(Some("in")).expect("inside"), tree.tree.join("sub"));
    for workdir in ["..", "../..", "sub/../..", "out", "out/tmp", "/", "/tmp", "a.txt", "missing", "a.txt/x"] {
        let error = tree.workdir(Some(workdir)).expect_err(workdir);
        assert!(matches!(error, WorktreeError::Workdir { .. }), "{workdir}: {error}");
    }
}

#[test]
fn a_folder_of_which_nothing_is_known_is_not_overwritten() {
    let place = Place::new();
    let folder = place.root().join("data/trees/run/build");
    std::fs::create_dir_all(&folder).expect("created");
    std::fs::write(folder.join("precious"), "x").expect("written");
    let error = refused(&place, &place.checkout());
    assert!(matches!(error, WorktreeError::InTheWay { .. }), "{error}");
    assert!(folder.join("precious").exists());
    // It is no hindrance once it has been moved away.
    std::fs::rename(&folder, place.root().join("away")).expect("renamed");
    assert_good(&place.create("build"));
}

#[test]
fn a_damaged_or_newer_record_is_named() {
    let place = Place::new();
    place.create("build");
    let record = place.root().join("data/records/run/build.json");
    let text = std::fs::read_to_string(&record).expect("read");
    for damaged in ["", "{", "[]", &text.replace("\"version\":1", "\"version\":2")] {
        std::fs::write(&record, damaged).expect("written");
        let error = refused(&place, &place.checkout());
        assert!(matches!(error, WorktreeError::Damaged { .. }), "{damaged}: {error}");
    }
}

#[test]
fn a_branch_in_the_way_is_named_with_gits_words() {
    let place = Place::new();
    git(&place.checkout(), &["branch", "mnemosyne"]);
    let error = refused(&place, &place.checkout()).to_string();
    assert!(error.contains("make a branch in") && error.contains("refs/heads/mnemosyne"), "{error}");
    git(&place.checkout(), &["branch", "-D", "mnemosyne"]);
    assert_good(&place.create("build"));
}

#[test]
fn submodules_are_not_checked_out_and_that_is_said() {
    let place = Place::new();
    let module = place.root().join("module");
    std::fs::create_dir(&module).expect("created");
    git(&module, &["init", "-q"]);
    commit(&module, "first");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q"];
    git(&place.checkout(), &[&add[..], &[&module.display().to_string(), "module"]].concat());
    commit(&place.checkout(), "with a submodule");
    let tree = place.create("build");
    assert_good(&tree);
    assert!(tree.submodules);
    assert_eq!(std::fs::read_dir(tree.tree.join("module")).expect("there").count(), 0);
    assert!(!place.look(&tree).dirty);
    let init = ["-c", "protocol.file.allow=always", "submodule", "update", "--init", "-q"];
    git(&tree.tree, &init);
    assert!(!place.look(&tree).dirty);
    assert!(matches!(place.remove(), Removed::Gone));
}
