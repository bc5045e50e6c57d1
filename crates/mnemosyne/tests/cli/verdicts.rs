//! A verdict is about what the attempt left, and about nothing else.

use fake_agent::{Endpoint, Script};
use serde_json::json;

use crate::support::node::text;
use crate::support::plan::{agent, plan};
use crate::support::{Scene, wait_until};

const APPROVE: &str =
    r#"stdout:{"verdict":"approve","gates":[{"gate":"tests","status":"passed"}],"summary":"fine"}"#;

/// A reviewer that does these steps.
fn critic(scene: &Scene, steps: &[&str]) {
    let command = agent(steps);
    scene.write("mnemosyne.toml", format!("[agents.critic]\nrole = \"reviewer\"\ncommand = {command}\n"));
}

fn reviewed(line: &str, review: &str) -> String {
    let line = serde_json::to_string(line).expect("texts can be written");
    format!("run: {line}, workspace: folder, review: {{ gates: [tests], {review} }}")
}

/// What the inbox asks about the only item that waits.
fn question(scene: &Scene) -> String {
    let inbox = scene.json("inbox");
    assert_eq!(inbox.as_array().map(Vec::len), Some(1), "{inbox}");
    assert_eq!(text(&inbox[0]["kind"]), "review");
    text(&inbox[0]["text"])
}

#[test]
fn an_approval_of_what_the_reviewer_has_changed_is_none() {
    let scene = Scene::new();
    critic(&scene, &["append:a.txt:one more", APPROVE]);
    scene.run_plan(&plan([("a", reviewed("echo x > a.txt", "by: critic"))])).exits(3);
    let asked = question(&scene);
    assert!(asked.contains("what was to be judged changed meanwhile"), "{asked}");
    assert!(asked.contains("the verdict was \"approve\""), "{asked}");
    // A human has seen it.
    scene.run(["approve", "q1"]).exits(0);
    assert_eq!(scene.state("a"), "succeeded");
}

#[test]
fn what_checks_leave_behind_changes_nothing() {
    let scene = Scene::new();
    // The first attempt of the review comes to nothing, so the second one begins with what the checks left.
    critic(&scene, &[&format!("fail-until:2:{}", scene.at("tries")), APPROVE]);
    let review = r#"by: critic, checks: ["cat a.txt >> built.txt"]"#;
    scene.run_plan(&plan([("a", reviewed("echo x > a.txt", review))])).exits(0);
    let review = scene.show("a~review-1");
    assert_eq!((&review["state"], &review["attempts"]), (&"succeeded".into(), &2.into()), "{review}");
}

#[test]
fn what_a_check_leaves_behind_that_was_cut_short_changes_nothing() {
    let scene = Scene::new();
    critic(&scene, &[APPROVE]);
    // The first time it takes its supervisor with it.
    let tried = scene.at("tried");
    let check = format!("echo y >> a.txt; test -e {tried} || {{ touch {tried}; kill -9 $PPID; sleep 60; }}");
    let check = serde_json::to_string(&check).expect("texts can be written");
    scene
        .run_plan(&plan([("a", reviewed("echo x > a.txt", &format!("by: critic, checks: [{check}]")))]))
        .exits(0);
    assert_eq!(scene.outcomes("a~review-1"), ["interrupted", "succeeded"]);
}

#[test]
fn what_changed_before_it_was_judged_goes_to_a_human() {
    let scene = Scene::new();
    let go = scene.at("go");
    critic(&scene, &[&format!("wait-for:{go}"), APPROVE]);
    let text = scene.read("mnemosyne.toml");
    scene.write("mnemosyne.toml", format!("{text}\n[node.slots]\nreviewer = 1\n"));
    let path = scene.at("where");
    let second =
        format!("until test -e {}; do sleep 0.02; done; pwd > {path}; echo y > b.txt", scene.at("start"));
    let items = [("a", reviewed("echo x > a.txt", "by: critic")), ("b", reviewed(&second, "by: critic"))];
    let run = scene.submit(&plan(items));
    let _node = scene.up();
    // The only reviewer looks at the first one; meanwhile somebody changes the second one.
    wait_until("the first review", || scene.line("ps --all").exits(0).stdout.contains("a~review-1"));
    scene.wait_state("a~review-1", "running");
    scene.write("start", "");
    scene.wait_state("b", "reviewing");
    let folder = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(std::path::Path::new(folder.trim()).join("b.txt"), "z").expect("written");
    std::fs::write(&go, "").expect("written");
    scene.wait_state("b", "waiting");
    scene.wait_state("a", "succeeded");
    let asked = question(&scene);
    assert!(asked.contains("what is there is not what the attempt left"), "{asked}");
    scene.run(["reject", &run, "-m", "no"]).exits(0);
    scene.run(["wait", &run]).exits(1);
}

#[test]
fn a_reviewer_that_fails_three_times_has_not_judged() {
    let scene = Scene::new();
    critic(&scene, &[&format!("append:{}:tried", scene.at("tries")), "signal-self:ABRT"]);
    let review = "by: critic";
    let plan =
        plan([("a", reviewed("echo x > a.txt", review)), ("b", "run: touch b.txt, needs: [a]".to_owned())]);
    scene.run_plan(&plan.replace("items:", "defaults: { retry: { initial_interval: 10ms } }\nitems:")).exits(3);
    assert_eq!(scene.lines("tries").len(), 3);
    let asked = question(&scene);
    assert!(asked.contains("nobody could judge it"), "{asked}");
    let item = scene.show("a");
    assert_eq!((&item["state"], &item["attempts"]), (&"waiting".into(), &1.into()), "its work is not repeated");
    assert!(!scene.path().join("b.txt").exists());
    scene.run(["approve", "q1"]).exits(0);
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert!(scene.path().join("b.txt").exists());
}

/// A reviewer that is a shell line.
fn shell_critic(scene: &Scene, line: &str) {
    let command = serde_json::to_string(&["/bin/sh", "-c", line]).expect("texts can be written");
    scene.write("mnemosyne.toml", format!("[agents.critic]\nrole = \"reviewer\"\ncommand = {command}\n"));
}

#[test]
fn what_a_reviewer_keeps_is_its_own_and_what_it_reviews_it_may_read() {
    let scene = Scene::new();
    let (check, seen) = (scene.at("check"), scene.at("seen"));
    let approve = APPROVE.strip_prefix("stdout:").expect("it is said");
    shell_critic(
        &scene,
        &format!(
            "ls \"$MNEMOSYNE_ARTIFACTS_DIR\" > {seen}; cat \"$MNEMOSYNE_REVIEWED_ARTIFACTS_DIR/report\" >> {seen}; \
             echo notes > \"$MNEMOSYNE_ARTIFACTS_DIR/notes\"; echo '{approve}'"
        ),
    );
    let work = "echo done > \"$MNEMOSYNE_ARTIFACTS_DIR/report\"; test -z \"$MNEMOSYNE_REVIEWED_ARTIFACTS_DIR\"";
    let check = format!(
        r#"by: critic, checks: ["echo log > \"$MNEMOSYNE_ARTIFACTS_DIR/log\"; echo $MNEMOSYNE_ARTIFACTS_DIR > {check}"]"#
    );
    scene.run_plan(&plan([("a", reviewed(work, &check))])).exits(0);
    // What the checks have kept is there for the opinion.
    assert_eq!(scene.lines("seen"), ["log", "done"]);
    let kept = scene.read("check");
    let listed = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let kept = std::path::Path::new(kept.trim());
    assert_eq!(listed(kept), ["log", "notes"]);
    let of_item = kept.ancestors().nth(2).expect("the folder of the run").join("a/artifacts");
    assert_eq!(listed(&of_item), ["report"]);
}

/// Its artifacts folder is not made by an endpoint; a step of the review must not make it either.
#[test]
fn a_review_makes_nothing_in_the_folder_that_it_reviews() {
    let endpoint =
        Endpoint::start(Script::of(json!({ "otherwise": { "text": "done" } }))).expect("a port is free");
    let scene = Scene::new();
    critic(&scene, &[APPROVE]);
    let text = scene.read("mnemosyne.toml");
    let url = endpoint.base_url();
    scene.write(
        "mnemosyne.toml",
        format!("{text}\n[agents.model]\nkind = \"http\"\nbase_url = {url:?}\nmodel = \"small\"\n"),
    );
    let item = "prompt: hello, agent: model, workspace: folder, review: { gates: [tests], by: critic }";
    scene.run_plan(&plan([("a", item)])).exits(0);
    assert_eq!(scene.state("a"), "succeeded");
}

#[test]
fn what_cannot_be_hashed_any_more_goes_to_a_human() {
    let scene = Scene::new();
    critic(&scene, &[&format!("append:{}:asked", scene.at("asked")), APPROVE]);
    let check = r#"by: critic, checks: ["d=$PWD; cd / && mv $d $d.moved && echo > $d"]"#;
    scene.run_plan(&plan([("a", reviewed("echo x > a.txt", check))])).exits(3);
    let asked = question(&scene);
    assert!(asked.contains("what is there cannot be hashed"), "{asked}");
    assert!(scene.lines("asked").is_empty(), "nobody is asked about what cannot be named");
    scene.run(["approve", "q1"]).exits(0);
    assert_eq!(scene.state("a"), "succeeded");
}
