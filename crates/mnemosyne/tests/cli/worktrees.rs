//! Items that work in git worktrees of their own.

use std::path::PathBuf;

use fake_agent::{Endpoint, Script};
use serde_json::{Value, json};

use crate::support::node::text;
use crate::support::plan::plan;
use crate::support::{GENEROUS, Scene, wait_for, wait_until};

/// Commits everything under the item's name.
const COMMIT: &str = "git add -A && git -c user.name=Nobody -c user.email=nobody@example.org commit -qm work";

/// A scene with a repository that has some files and this plan, committed.
fn repository(plan: &str) -> Scene {
    let scene = Scene::new();
    std::fs::create_dir(scene.path().join("repo")).expect("created");
    for number in 0..200 {
        scene.write(&format!("repo/file-{number}"), format!("{number}\n"));
    }
    scene.write("repo/plan.yaml", plan);
    git(&scene, "init -q -b main");
    git(&scene, "add -A");
    git(&scene, "-c user.name=Nobody -c user.email=nobody@example.org commit -qm first");
    scene
}

/// What git prints in the repository; it must succeed.
#[track_caller]
fn git(scene: &Scene, words: &str) -> String {
    let mut command = scene.program("git");
    command.current_dir(scene.path().join("repo")).args(words.split_whitespace());
    let out = command.output().expect("git runs");
    assert!(out.status.success(), "git {words}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

/// A plan of shell lines, each in a worktree.
fn in_worktrees<N: AsRef<str>>(items: impl IntoIterator<Item = (N, String)>) -> String {
    let words = |line: String| {
        let line = serde_json::to_string(&line).expect("texts can be written");
        format!("run: {line}, workspace: worktree, retry: {{ max_attempts: 2, initial_interval: 0s }}")
    };
    plan(items.into_iter().map(|(name, line)| (name, words(line))))
}

fn tree_of(detail: &Value) -> PathBuf {
    PathBuf::from(text(&detail["worktree"]["path"]))
}

fn eight() -> String {
    in_worktrees((0..8).map(|number| (format!("item-{number}"), format!("echo {number} > own.txt; {COMMIT}"))))
}

/// All items have committed their own file on their own branch, and the checkout is as it was.
fn assert_eight_commits(scene: &Scene, main: &str) {
    for number in 0..8 {
        let detail = scene.show(&format!("item-{number}"));
        let seen = &detail["worktree"];
        let (branch, head) = (text(&seen["branch"]), text(&seen["head"]));
        assert_eq!(git(scene, &format!("rev-parse {branch}")), head);
        assert_eq!(git(scene, &format!("show {branch}:own.txt")), number.to_string());
        assert_eq!(git(scene, &format!("rev-list --count main..{branch}")), "1");
        assert_eq!((&seen["dirty"], &seen["files"]), (&Value::from(false), &Value::from(1)), "{seen}");
        assert_eq!(text(&seen["start"]), main);
        assert!(text(&seen["diff"]).contains(&format!("+{number}\n")), "{seen}");
        assert_eq!(
            text(&seen["tree"]),
            format!("tree:{}", git(scene, &format!("rev-parse {branch}^{{tree}}")))
        );
    }
    assert_eq!(git(scene, "worktree list").lines().count(), 9);
    assert_eq!(git(scene, "rev-parse HEAD"), main);
    assert_eq!(git(scene, "symbolic-ref HEAD"), "refs/heads/main");
    assert_eq!(git(scene, "status --porcelain"), "");
}

#[test]
fn eight_items_at_once_commit_each_in_a_tree_of_its_own() {
    let scene = repository(&eight());
    scene.slots(8);
    let main = git(&scene, "rev-parse HEAD");
    scene.line("run repo/plan.yaml").exits(0);
    assert_eight_commits(&scene, &main);
    let shown = scene.run(["show", &scene.id("item-3")]).exits(0).stdout;
    let branch = text(&scene.show("item-3")["worktree"]["branch"]);
    assert!(
        shown.contains(&format!("branch     {branch} at ")) && shown.contains(": 1 file differs\n"),
        "{shown}"
    );
}

#[test]
fn an_endpoint_reviews_what_was_done_in_a_worktree() {
    let answer = r#"{"verdict": "approve", "gates": [{"gate": "tests", "status": "passed"}]}"#;
    let endpoint =
        Endpoint::start(Script::of(json!({ "otherwise": { "text": answer } }))).expect("a port is free");
    let review = "review: { by: critic, gates: [tests] }";
    let scene = repository(&plan([("a", format!("run: \"touch new\", workspace: worktree, {review}"))]));
    let config = format!(
        "[agents.critic]\nkind = \"http\"\nrole = \"reviewer\"\nbase_url = {:?}\nmodel = \"small\"\n",
        endpoint.base_url()
    );
    scene.write("mnemosyne.toml", config);
    scene.line("run repo/plan.yaml").exits(0);
    assert_eq!(endpoint.log().total, 1);
}

#[test]
fn a_node_that_is_killed_while_it_makes_worktrees_makes_them_the_next_time() {
    let scene = repository(&eight());
    scene.slots(8);
    let main = git(&scene, "rev-parse HEAD");
    let run = scene.line("submit repo/plan.yaml").exits(0).first_line().to_owned();
    for round in 0..6 {
        let node = scene.spawn(["up"]);
        // Killed when so many are begun: some half made, some worked in.
        let begun = || {
            let records = std::fs::read_dir(scene.data_dir().join("worktrees/records").join(&run)).ok()?;
            let records =
                records.flatten().filter(|file| file.path().extension().is_some_and(|it| it == "json"));
            (records.count() > round).then_some(())
        };
        wait_for("worktrees to be begun", GENEROUS, begun);
        node.kill();
    }
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    assert_eight_commits(&scene, &main);
    assert_eq!(git(&scene, "fsck --no-dangling"), "");
}

#[test]
fn the_next_attempt_goes_on_in_the_same_tree() {
    let line = "if [ -e half ]; then pwd > done; else pwd > half; exit 1; fi".to_owned();
    let scene = repository(&in_worktrees([("again", line)]));
    scene.line("run repo/plan.yaml").exits(0);
    let detail = scene.show("again");
    assert_eq!(scene.outcomes("again"), ["failed (exit code 1)", "succeeded"]);
    let tree = tree_of(&detail);
    let read = |file: &str| std::fs::read_to_string(tree.join(file)).expect("there");
    assert_eq!(
        (read("half"), read("done")),
        (format!("{}\n", tree.display()), format!("{}\n", tree.display()))
    );
    let files: Vec<&Value> =
        detail["history"].as_array().expect("attempts").iter().map(|one| &one["worktree"]["files"]).collect();
    assert_eq!(files, [&Value::from(1), &Value::from(2)]);
}

#[test]
fn a_process_is_told_where_it_is_and_is_not_in_the_checkout() {
    let line = "printf '%s\\n' \"$MNEMOSYNE_WORKTREE\" \"$MNEMOSYNE_BRANCH\" \"$PWD\" > told; rm .git; \
                git rev-parse --show-toplevel > top 2>&1; true"
        .to_owned();
    let scene = repository(&in_worktrees([("who", line)]));
    // The data directory is inside of the repository, so the trees cannot be in it.
    let run = scene.command(["run", "repo/plan.yaml", "--data-dir", "repo/.mnemosyne"]);
    scene.start(run).wait().exits(0);
    let items = scene.json("ps --data-dir repo/.mnemosyne");
    let detail = scene.json(&format!("show {} --data-dir repo/.mnemosyne", text(&items[0]["id"])));
    let tree = PathBuf::from(
        git(&scene, "worktree list --porcelain")
            .lines()
            .filter_map(|line| line.strip_prefix("worktree "))
            .nth(1)
            .expect("a worktree"),
    );
    assert!(tree.starts_with(scene.path().join(".local/state/mnemosyne/worktrees")), "{}", tree.display());
    let read = |file: &str| std::fs::read_to_string(tree.join(file)).expect("there");
    let told = read("told");
    let told: Vec<&str> = told.lines().collect();
    let (path, branch) = (tree.to_str().expect("a plain name"), text(&detail["worktree"]["branch"]));
    assert_eq!(told, [path, &branch, path]);
    assert!(read("top").contains("not a git repository"), "{}", read("top"));
    let problem = text(&detail["worktree"]["problem"]);
    assert!(problem.contains("is no worktree of"), "{problem}");
}

#[test]
fn a_clean_tree_goes_with_its_run_and_a_dirty_one_is_kept_and_named() {
    let items = [
        ("clean", "true".to_owned()),
        ("dirty", "echo x > untracked".to_owned()),
        ("worked", format!("echo x > work; {COMMIT}")),
    ];
    let scene = repository(&in_worktrees(items));
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1h\"\n");
    scene.line("run repo/plan.yaml").exits(0);
    let trees = ["clean", "dirty", "worked"].map(|name| tree_of(&scene.show(name)));
    let branches = ["dirty", "worked"].map(|name| text(&scene.show(name)["worktree"]["branch"]));
    assert!(trees.iter().all(|tree| tree.is_dir()), "{trees:?}");
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1ms\"\n");
    let node = scene.up();
    wait_until("clean trees to be removed", || !trees[0].exists() && !trees[2].exists());
    wait_until("the dirty one to be named", || doctor(&scene).contains("changes that are not committed"));
    let named = doctor(&scene);
    assert!(
        named.contains(trees[1].to_str().expect("a plain name")) && named.contains(&branches[0]),
        "{named}"
    );
    assert!(trees[1].join("untracked").exists());
    drop(node);
    let left = git(&scene, "branch --list mnemosyne/* --format=%(refname:short)");
    assert_eq!(left.lines().collect::<Vec<_>>(), branches.each_ref());
    assert_eq!(git(&scene, "worktree list").lines().count(), 2);
    // Cleaned up by hand, it goes when the next node starts.
    std::fs::remove_file(trees[1].join("untracked")).expect("removed");
    let _node = scene.up();
    wait_until("the last tree to be removed", || !trees[1].exists());
    wait_until("nothing to be named any more", || !doctor(&scene).contains("is kept"));
}

fn doctor(scene: &Scene) -> String {
    scene.run(["doctor"]).exits(0).stdout
}

#[test]
fn without_a_repository_the_item_fails_with_the_way_out() {
    let scene = Scene::new();
    scene.run_plan(&in_worktrees([("a", "true".to_owned())])).exits(1);
    let message = text(&scene.show("a")["history"][0]["message"]);
    assert!(message.contains("is in no git repository") && message.contains("workspace: folder"), "{message}");
}

#[test]
fn changes_that_steer_agents_are_named() {
    let line = "mkdir -p .claude; echo '{}' > .claude/settings.json; git config core.pager evil".to_owned();
    let scene = repository(&in_worktrees([("sly", line)]));
    scene.line("run repo/plan.yaml").exits(0);
    let notes = scene.show("sly")["worktree"]["notes"].to_string();
    assert!(notes.contains(".claude/settings.json") && notes.contains("the repository itself"), "{notes}");
    let shown = scene.run(["show", &scene.id("sly")]).exits(0).stdout;
    assert!(shown.contains("note       .claude/settings.json: it steers agents or git\n"), "{shown}");
}
