//! Making a worktree, also after a kill at any point.

use super::super::create::{MAKING, Step, create};
use super::*;

#[test]
fn an_item_gets_a_tree_and_a_branch_of_its_own() {
    let place = Place::new();
    let start = git(&place.checkout(), &["rev-parse", "HEAD"]);
    let tree = place.create("build");
    assert_good(&tree);
    assert_eq!(tree.branch, "mnemosyne/run/build");
    assert_eq!(tree.start, start);
    assert_eq!(tree.tree, place.root().join("data/trees/run/build"));
    assert_eq!(std::fs::read_to_string(tree.tree.join("a.txt")).expect("read"), "one\n");
    place.assert_untouched();
}

#[test]
fn what_is_not_committed_stays_in_the_checkout() {
    let place = Place::new();
    place.write("a.txt", "changed\n");
    place.write("new.txt", "new\n");
    let tree = place.create("build");
    assert_eq!(std::fs::read_to_string(tree.tree.join("a.txt")).expect("read"), "one\n");
    assert!(!tree.tree.join("new.txt").exists());
    assert_eq!(
        git(&place.checkout(), &["status", "--porcelain"]),
        "M a.txt\n?? new.txt".replacen('M', " M", 1)
    );
}

#[test]
fn the_next_attempt_goes_on_in_the_same_tree_though_the_checkout_has_moved() {
    let place = Place::new();
    let first = place.create("build");
    std::fs::write(first.tree.join("half.txt"), "half").expect("written");
    commit(&place.checkout(), "second");
    let again = place.create("build");
    assert_eq!(again, first);
    assert!(again.tree.join("half.txt").exists());
}

#[test]
fn items_with_odd_names_have_different_trees_and_branches() {
    let place = Place::new();
    let long = "x".repeat(300);
    let names = ["a", "a b", "../a", "a.lock", "a..b", "-a", "", "é", "test[eu]", &long];
    let trees: Vec<Worktree> = names.iter().map(|name| place.create(name)).collect();
    trees.iter().for_each(assert_good);
    let roots: std::collections::BTreeSet<_> = trees.iter().map(|tree| &tree.tree).collect();
    let branches: std::collections::BTreeSet<_> = trees.iter().map(|tree| &tree.branch).collect();
    assert_eq!((roots.len(), branches.len()), (names.len(), names.len()));
    let folder = place.root().join("data/trees/run");
    assert!(trees.iter().all(|tree| tree.tree.parent() == Some(&folder)));
}

#[test]
fn after_a_kill_between_any_two_steps_the_next_call_makes_a_whole_tree() {
    for step in [Step::Record, Step::Branch, Step::Register, Step::Fill, Step::Unlock] {
        let place = Place::new();
        let half = create(&place.trees(), &place.checkout(), "run", "build", Some(step)).expect("begun");
        // The commit at the first start counts, not that at the second.
        commit(&place.checkout(), "second");
        let tree = place.create("build");
        assert_good(&tree);
        assert_eq!((&tree.start, &tree.branch), (&half.start, &half.branch), "{step:?}");
        assert_eq!(place.trees().find("run", "build").expect("found"), Some(tree));
        place.assert_untouched();
    }
}

#[test]
fn after_a_kill_within_a_step_the_next_call_makes_a_whole_tree() {
    type Damage = fn(&Worktree, &Path);
    let damages: [(&str, Step, Damage); 7] = [
        ("git had only locked its registration", Step::Branch, |half, _| {
            let admin = half.repository.join("worktrees/build");
            std::fs::create_dir_all(&admin).expect("created");
            std::fs::write(admin.join("locked"), MAKING).expect("written");
        }),
        ("git had registered a tree without files", Step::Register, |half, admin| {
            std::fs::remove_file(half.tree.join(".git")).expect("removed");
            std::fs::remove_file(admin.join("HEAD")).expect("removed");
        }),
        ("git had made the folder and not registered it", Step::Branch, |half, _| {
            std::fs::create_dir_all(&half.tree).expect("created");
        }),
        ("the folder was there and the registration gone", Step::Register, |_, admin| {
            std::fs::remove_dir_all(admin).expect("removed");
        }),
        ("the registration was there and the folder gone", Step::Register, |half, _| {
            std::fs::remove_dir_all(&half.tree).expect("removed");
        }),
        ("half of the files were there, and git's lock of the index", Step::Fill, |half, admin| {
            std::fs::remove_file(half.tree.join("a.txt")).expect("removed");
            std::fs::rename(admin.join("index"), admin.join("index.lock")).expect("renamed");
        }),
        ("it was half cleared away", Step::Fill, |half, admin| {
            std::fs::remove_dir_all(half.tree.join("sub")).expect("removed");
            std::fs::remove_file(admin.join("gitdir")).expect("removed");
        }),
    ];
    for (what, step, damage) in damages {
        let place = Place::new();
        let half = create(&place.trees(), &place.checkout(), "run", "build", Some(step)).expect("begun");
        damage(&half, &half.repository.join("worktrees/build"));
        let tree = place.create("build");
        assert_eq!(tree.start, half.start, "{what}");
        assert_good(&tree);
        let left = std::fs::read_dir(tree.repository.join("worktrees")).expect("listed").count();
        assert_eq!(left, 1, "{what}: registrations are left over");
    }
}

#[test]
fn a_registration_without_record_and_folder_is_no_hindrance() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::remove_dir_all(&tree.tree).expect("removed");
    std::fs::remove_dir_all(place.root().join("data/records")).expect("removed");
    assert_good(&place.create("build"));
}

#[test]
fn a_branch_that_is_left_over_is_used_again_unless_it_has_commits() {
    let place = Place::new();
    git(&place.checkout(), &["branch", "mnemosyne/run/old"]);
    git(&place.checkout(), &["branch", "mnemosyne/run/worked"]);
    git(&place.checkout(), &["checkout", "-q", "mnemosyne/run/worked"]);
    let work = commit(&place.checkout(), "somebody's work");
    git(&place.checkout(), &["checkout", "-q", "main"]);
    commit(&place.checkout(), "second");
    let (old, worked) = (place.create("old"), place.create("worked"));
    assert_eq!(old.branch, "mnemosyne/run/old");
    assert_eq!(git(&old.tree, &["rev-parse", "HEAD"]), old.start);
    assert_eq!(worked.branch, "mnemosyne/run/worked@2");
    assert_eq!(git(&place.checkout(), &["rev-parse", "mnemosyne/run/worked"]), work);
    assert_good(&worked);
}

#[test]
fn a_plan_in_a_folder_of_the_repository_works_in_the_same_folder_of_the_tree() {
    let place = Place::new();
    let tree = place.trees().create(&place.checkout().join("sub"), "run", "a").expect("created");
    assert_eq!(tree.workdir(None).expect("there"), tree.tree.join("sub"));
    assert_eq!(tree.workdir(Some("..")).expect("there"), tree.tree);
}

#[test]
fn a_plan_in_a_linked_worktree_starts_from_its_commit() {
    let place = Place::new();
    let linked = place.root().join("linked");
    git(&place.checkout(), &["worktree", "add", "-q", "-b", "other", &linked.display().to_string()]);
    let start = commit(&linked, "on the other branch");
    let tree = place.trees().create(&linked, "run", "a").expect("created");
    assert_eq!(tree.start, start);
    assert_eq!(tree.repository, place.checkout().join(".git"));
    assert_good(&tree);
}

#[test]
fn no_hook_of_the_repository_runs() {
    let place = Place::new();
    let hooks = place.checkout().join(".git/hooks");
    std::fs::create_dir_all(&hooks).expect("created");
    let mark = place.root().join("ran");
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = hooks.join(hook);
        std::fs::write(&path, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("changed");
    }
    let tree = place.create("build");
    place.look(&tree);
    place.remove();
    assert!(!mark.exists());
    // The hooks do work when a user calls git.
    git(&place.checkout(), &["checkout", "-q", "-b", "other"]);
    assert!(mark.exists());
}
