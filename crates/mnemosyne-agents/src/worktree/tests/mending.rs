//! Trees that a user or an agent has broken are mended, and no file is lost.

use super::super::create::MAKING;
use super::*;

/// A tree with a commit, a change and a new file.
fn worked_in(place: &Place) -> (Worktree, String) {
    let tree = place.create("build");
    std::fs::write(tree.tree.join("done.txt"), "done").expect("written");
    git(&tree.tree, &["add", "-A"]);
    let head = commit(&tree.tree, "work");
    std::fs::write(tree.tree.join("a.txt"), "changed\n").expect("written");
    std::fs::write(tree.tree.join("new.txt"), "new").expect("written");
    (tree, head)
}

fn assert_work_is_there(tree: &Worktree, head: &str) {
    assert_eq!(git(&tree.tree, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(&tree.tree, &["symbolic-ref", "--short", "HEAD"]), tree.branch);
    assert_eq!(git(&tree.tree, &["status", "--porcelain"]), " M a.txt\n?? new.txt");
    let listed = git(&tree.repository, &["worktree", "list", "--porcelain"]);
    assert!(!listed.contains("locked") && !listed.contains("prunable"), "{listed}");
    let beside = std::fs::read_dir(tree.tree.parent().expect("a parent")).expect("listed").count();
    assert_eq!(beside, 1, "something is left beside the tree");
}

#[test]
fn files_and_commits_survive_whatever_happened_to_the_links() {
    type Damage = fn(&Worktree, &Path);
    let damages: [(&str, Damage); 6] = [
        ("the registration was removed", |_, admin| std::fs::remove_dir_all(admin).expect("removed")),
        ("the tree's `.git` was removed", |tree, _| {
            std::fs::remove_file(tree.tree.join(".git")).expect("removed");
        }),
        ("both were removed", |tree, admin| {
            std::fs::remove_file(tree.tree.join(".git")).expect("removed");
            std::fs::remove_dir_all(admin).expect("removed");
        }),
        ("the tree's `.git` leads elsewhere", |tree, _| {
            std::fs::write(tree.tree.join(".git"), "gitdir: /nowhere\n").expect("written");
        }),
        ("the registration leads elsewhere", |_, admin| {
            std::fs::write(admin.join("gitdir"), "/nowhere/.git\n").expect("written");
        }),
        ("mending it was interrupted", |tree, admin| {
            let aside = tree.tree.with_file_name("build@mended");
            std::fs::create_dir(&aside).expect("created");
            std::fs::write(admin.join("gitdir"), format!("{}/.git\n", aside.display())).expect("written");
            std::fs::write(admin.join("locked"), MAKING).expect("written");
            std::fs::remove_file(admin.join("index")).expect("removed");
        }),
    ];
    for (what, damage) in damages {
        let place = Place::new();
        let (tree, head) = worked_in(&place);
        damage(&tree, &tree.repository.join("worktrees/build"));
        let again = place.create("build");
        assert_eq!(again.tree, tree.tree, "{what}");
        assert_work_is_there(&again, &head);
        place.assert_untouched();
    }
}

#[test]
fn a_tree_that_is_gone_is_made_anew_with_the_commits_of_its_branch() {
    let place = Place::new();
    let (tree, head) = worked_in(&place);
    std::fs::remove_dir_all(&tree.tree).expect("removed");
    let again = place.create("build");
    assert_good(&again);
    assert_eq!(git(&again.tree, &["rev-parse", "HEAD"]), head);
    assert_eq!(again.start, tree.start);
}

#[test]
fn a_lock_that_a_killed_process_has_left_is_no_hindrance() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["worktree", "lock", "--reason", "an agent", "."]);
    assert_eq!(place.create("build"), tree);
    std::fs::remove_dir_all(&tree.tree).expect("removed");
    assert_good(&place.create("build"));
}

#[test]
fn registrations_of_others_are_left_alone() {
    let place = Place::new();
    let other = place.root().join("other");
    git(&place.checkout(), &["worktree", "add", "-q", "-b", "other", &other.display().to_string()]);
    // As on a disk that is away for a while.
    std::fs::rename(&other, place.root().join("away")).expect("renamed");
    let tree = place.create("build");
    std::fs::remove_dir_all(&tree.tree).expect("removed");
    place.create("build");
    std::fs::rename(place.root().join("away"), &other).expect("renamed");
    assert_eq!(git(&other, &["symbolic-ref", "--short", "HEAD"]), "other");
}

#[test]
fn what_cannot_be_mended_is_named() {
    let place = Place::new();
    let (tree, _) = worked_in(&place);
    std::fs::remove_file(tree.tree.join(".git")).expect("removed");
    git(&tree.tree, &["init", "-q"]);
    let error = place.trees().create(&place.checkout(), "run", "build").expect_err("refused").to_string();
    assert!(error.contains("build/.git is in the way"), "{error}");
    assert!(tree.tree.join("new.txt").exists());
}
