//! Nothing is removed that would be lost.

use super::*;

fn kept(removed: &Removed) -> &str {
    match removed {
        Removed::Kept { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn branches(place: &Place) -> String {
    git(&place.checkout(), &["branch", "--format=%(refname:short)"])
}

#[test]
fn a_clean_tree_without_commits_goes_with_its_branch() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::write(tree.tree.join("x.ignored"), "built").expect("written");
    assert!(matches!(place.remove(), Removed::Gone));
    assert!(!tree.tree.exists());
    assert_eq!(branches(&place), "main");
    assert_eq!(git(&place.checkout(), &["worktree", "list"]).lines().count(), 1);
    assert!(place.trees().runs().expect("listed").is_empty());
    assert_eq!(std::fs::read_dir(place.root().join("data/trees")).expect("listed").count(), 0);
    place.assert_untouched();
}

#[test]
fn a_clean_tree_with_commits_goes_and_its_branch_stays() {
    let place = Place::new();
    let tree = place.create("build");
    let head = commit(&tree.tree, "work");
    let removed = place.remove();
    assert!(matches!(&removed, Removed::BranchKept { commits } if commits == "1"), "{removed:?}");
    assert!(!tree.tree.exists());
    assert_eq!(git(&place.checkout(), &["rev-parse", &tree.branch]), head);
    assert!(place.trees().runs().expect("listed").is_empty());
}

#[test]
fn a_branch_that_was_merged_has_nothing_of_its_own() {
    let place = Place::new();
    let tree = place.create("build");
    commit(&tree.tree, "work");
    git(&place.checkout(), &["merge", "-q", &tree.branch]);
    assert!(matches!(place.remove(), Removed::Gone));
    assert_eq!(branches(&place), "main");
}

#[test]
fn a_dirty_tree_is_kept_and_named_until_it_is_clean() {
    let place = Place::new();
    let tree = place.create("build");
    for (file, text) in [("new.txt", "untracked"), ("a.txt", "changed\n")] {
        std::fs::write(tree.tree.join(file), text).expect("written");
        assert_eq!(kept(&place.remove()), "it has changes that are not committed");
        git(&tree.tree, &["clean", "-fdq"]);
    }
    let named = place.trees().kept().expect("listed");
    assert_eq!(named.iter().map(|one| &one.tree).collect::<Vec<_>>(), [&tree.tree]);
    // It is not looked at again unless that is asked for.
    assert!(place.trees().remove_run("run", &place.scratch(), false).expect("looked").is_empty());
    git(&tree.tree, &["checkout", "-q", "a.txt"]);
    assert!(matches!(place.remove(), Removed::Gone));
    assert!(place.trees().kept().expect("listed").is_empty());
}

#[test]
fn what_an_agent_hides_from_git_is_kept_all_the_same() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["update-index", "--assume-unchanged", "a.txt"]);
    std::fs::write(tree.tree.join("a.txt"), "hidden\n").expect("written");
    assert_eq!(kept(&place.remove()), "it has changes that are not committed");
}

#[test]
fn a_commit_on_no_branch_is_kept() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["checkout", "-q", "--detach"]);
    let head = commit(&tree.tree, "on no branch");
    let removed = place.remove();
    assert!(kept(&removed).contains(&head), "{removed:?}");
}

#[test]
fn a_rebase_under_way_is_kept() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::write(tree.tree.join("c.txt"), "work").expect("written");
    git(&tree.tree, &["add", "-A"]);
    commit(&tree.tree, "work");
    git(&tree.tree, &["-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "HEAD~1"]);
    assert!(kept(&place.remove()).contains("a rebase is under way"));
}

#[test]
fn a_locked_tree_of_a_killed_agent_is_removed() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["worktree", "lock", "--reason", "an agent", "."]);
    assert!(matches!(place.remove(), Removed::Gone));
    assert_eq!(git(&place.checkout(), &["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_tree_that_was_removed_by_hand_leaves_nothing() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::remove_dir_all(&tree.tree).expect("removed");
    assert!(matches!(place.remove(), Removed::Gone));
    assert_eq!(branches(&place), "main");
    assert_eq!(git(&place.checkout(), &["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_half_made_tree_is_removed_whatever_is_in_it() {
    use super::super::create::{Step, create};
    for step in [Step::Record, Step::Branch, Step::Register, Step::Fill, Step::Unlock] {
        let place = Place::new();
        let half = create(&place.trees(), &place.checkout(), "run", "build", Some(step)).expect("begun");
        assert!(matches!(place.remove(), Removed::Gone), "{step:?}");
        assert!(!half.tree.exists());
        assert_eq!(branches(&place), "main");
    }
}

#[test]
fn without_the_repository_the_tree_is_kept() {
    let place = Place::new();
    let tree = place.create("build");
    std::fs::remove_dir_all(place.checkout()).expect("removed");
    let removed = place.remove();
    assert!(kept(&removed).contains("is gone"), "{removed:?}");
    assert!(tree.tree.join("a.txt").exists());
}

#[test]
fn a_branch_that_somebody_has_checked_out_stays() {
    let place = Place::new();
    let tree = place.create("build");
    git(&tree.tree, &["checkout", "-q", "--detach"]);
    git(&place.checkout(), &["checkout", "-q", &tree.branch]);
    let removed = place.remove();
    assert!(matches!(removed, Removed::BranchKept { .. }), "{removed:?}");
    assert_eq!(git(&place.checkout(), &["symbolic-ref", "--short", "HEAD"]), tree.branch);
}
