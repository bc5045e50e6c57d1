//! Runs that are taken from one data directory to another, merged, and forked.

use std::fs;
use std::path::PathBuf;

use mnemosyne_persistence::{BundleReader, BundleWriter};
use serde_json::json;

use crate::damage::{content, damage, end_of_data};
use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// a, then b and c, then d; b gives something large.
fn diamond() -> String {
    let long = format!("output-json:{{\"long\": \"{}\"}}", "x".repeat(40_000));
    let after = |steps: &[&str], needs: &str| format!("{}, needs: [{needs}]", does(steps));
    plan([
        ("a", does(["append:effects:a", "output-json:{\"n\": 1}"])),
        ("b", after(&["append:effects:b", &long], "a")),
        ("c", after(&["append:effects:c"], "a")),
        ("d", after(&["append:effects:d"], "b, c")),
    ])
}

fn states(scene: &Scene, run: &str) -> Vec<String> {
    let items = scene.json(&format!("ps {run}"));
    items
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["state"].as_str().expect("a word").to_owned())
        .collect()
}

/// The file in which another scene finds what this one has exported.
fn carry(from: &Scene, to: &Scene, run: &str) {
    from.line(&format!("export {run} -o run.mnemosyne --force")).exits(0);
    fs::copy(from.path().join("run.mnemosyne"), to.path().join("run.mnemosyne")).expect("a file");
}

#[test]
fn a_finished_run_is_the_same_elsewhere() {
    let (here, there) = (Scene::new(), Scene::new());
    here.run_plan(&diamond()).exits(0);
    let run = here.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    carry(&here, &there, &run);
    let told = there.json("import run.mnemosyne");
    assert_eq!((&told["run"], &told["items"], &told["existing"]), (&json!(run), &json!(4), &json!(false)));
    for item in ["a", "b", "c", "d"] {
        let of = |scene: &Scene| {
            let mut value = scene.json(&format!("show {run}/{item}"));
            // The folder in which it worked is another one there.
            value["history"].as_array_mut().expect("a list").iter_mut().for_each(|attempt| {
                let attempt = attempt.as_object_mut().expect("an object");
                attempt.remove("folder");
                // It was granted in no session of the node there.
                attempt["node_session"] = json!(null);
            });
            value
        };
        assert_eq!(of(&here), of(&there), "{item}");
    }
    assert_eq!(there.lines("effects"), Vec::<String>::new(), "nothing ran again");
    let again = there.json("import run.mnemosyne");
    assert_eq!((&again["existing"], &again["taken"], &again["left"]), (&json!(true), &json!(0), &json!(0)));
}

#[test]
fn a_run_that_was_under_way_goes_on_elsewhere() {
    let (here, there) = (Scene::new(), Scene::new());
    let second = does(["append:effects:second", "wait-for:go"]);
    let first = does(["append:effects:first"]);
    let run = here.submit(&plan([("first", first), ("second", format!("{second}, needs: [first]"))]));
    let node = here.up();
    wait_until("the second item to be at work", || here.lines("effects") == ["first", "second"]);
    carry(&here, &there, &run);
    drop(node);
    there.line(&format!("import run.mnemosyne --base-dir {}", there.path().display())).exits(0);
    assert_eq!(states(&there, &run), ["succeeded", "ready"]);
    there.touch("go");
    let _node = there.up();
    there.line(&format!("wait {run}")).exits(0);
    assert_eq!(there.lines("effects"), ["second"], "what was done stays done, and the rest is done here");
    let history = there.json(&format!("show {run}/second"))["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let (here, there) = (Scene::new(), Scene::new());
    here.write("plan.yaml", diamond());
    let run = here.line("submit plan.yaml").exits(0).first_line().to_owned();
    carry(&here, &there, &run);
    let folder = here.path().display().to_string();
    drop(here);
    there
        .line("import run.mnemosyne")
        .exits(0)
        .says(&format!("its folder {folder} is not here"))
        .says("--base-dir");
}

#[test]
fn two_copies_that_went_on_apart_become_one() {
    let (ours, theirs) = (Scene::new(), Scene::new());
    ours.write("plan.yaml", diamond());
    let run = ours.line("submit plan.yaml").exits(0).first_line().to_owned();
    carry(&ours, &theirs, &run);
    theirs.line(&format!("import run.mnemosyne --base-dir {}", theirs.path().display())).exits(0);
    let _node = theirs.up();
    theirs.line(&format!("wait {run}")).exits(0);
    theirs.line("down").exits(0);
    carry(&theirs, &ours, &run);
    let told = ours.json("import run.mnemosyne");
    assert_eq!((&told["existing"], &told["taken"], &told["left"]), (&json!(true), &json!(4), &json!(0)));
    assert_eq!(states(&ours, &run), ["succeeded"; 4]);
    assert_eq!(ours.lines("effects"), Vec::<String>::new(), "nothing is done twice");
    let outputs = |scene: &Scene| scene.json(&format!("show {run}/b"))["outputs"].clone();
    assert_eq!(outputs(&ours), outputs(&theirs), "with its blob");
}

#[test]
fn a_fork_keeps_what_does_not_depend_on_its_root() {
    let scene = Scene::new();
    scene.run_plan(&diamond()).exits(0);
    let run = scene.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    let told = scene.json(&format!("fork {run} --from b"));
    assert_eq!((&told["items"], &told["reused"]), (&json!(4), &json!(2)));
    let forked = told["run"].as_str().expect("an id").to_owned();
    let _node = scene.up();
    scene.line(&format!("wait {forked}")).exits(0);
    let mut effects = scene.lines("effects");
    let anew = effects.split_off(4);
    assert_eq!(anew, ["b", "d"]);
    let why = scene.line(&format!("why {forked}/c")).exits(0).stdout;
    assert!(why.contains(&format!("was done by {run}.3, of which this is a fork")), "{why}");
    scene.line(&format!("fork {run} --from nothing")).exits(2).says("there is no run or item");
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let (here, there) = (Scene::new(), Scene::new());
    here.run_plan(&diamond()).exits(0);
    let run = here.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    carry(&here, &there, &run);
    let file = there.path().join("run.mnemosyne");
    let whole = fs::read(&file).expect("a file");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&file, flipped).expect("a file");
    there.line("import run.mnemosyne").exits(6).says("the checksum of the file is another one");
    fs::write(&file, &whole[..whole.len() - 1]).expect("a file");
    there.line("import run.mnemosyne").exits(6).says("is damaged");
    fs::write(&file, "version: 1\n").expect("a file");
    there.line("import run.mnemosyne").exits(6).says("run.mnemosyne");
    assert!(!there.data_dir().exists(), "nothing was made");
    let message = here.line(&format!("export {run} -o run.mnemosyne")).exits(2).stderr;
    assert!(message.contains("is there already"), "{message}");
}

#[test]
fn a_file_whose_second_blob_is_another_one_imports_nothing() {
    let (here, there) = (Scene::new(), Scene::new());
    here.run_plan(&diamond()).exits(0);
    let run = here.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    carry(&here, &there, &run);
    let file = there.path().join("run.mnemosyne");
    let mut parts = BundleReader::open(&file).expect("it is whole");
    let mut changed = BundleWriter::new(Vec::new()).expect("memory");
    let mut blobs = 0;
    while let Some((kind, mut bytes)) = parts.next_part().expect("it is whole") {
        blobs += u32::from(kind == 2);
        if (kind, blobs) == (2, 2) {
            bytes[7] ^= 1;
        }
        changed.put(kind, &bytes).expect("memory");
    }
    assert!(blobs >= 2, "{blobs} blobs");
    fs::write(&file, changed.finish().expect("memory").0).expect("a file");
    there.line("import run.mnemosyne").exits(6).says("which the run needs, is not in it");
    assert!(!there.data_dir().exists(), "nothing was made");
}

#[test]
fn a_run_that_has_ended_here_and_left_the_memory_is_not_begun_anew() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[scheduling]\nretention = \"1s\"\n");
    let run = scene.submit(&plan([("a", does(["append:effects:a"]))]));
    scene.line(&format!("export {run} -o early")).exits(0);
    let node = scene.up();
    wait_until("the run to leave", || scene.items().is_empty());
    scene.line(&format!("export {run} -o late")).exits(0);
    for file in ["early", "late"] {
        let told = scene.json(&format!("import {file}"));
        assert_eq!(
            (&told["existing"], &told["taken"], &told["left"]),
            (&json!(true), &json!(0), &json!(0)),
            "{file}"
        );
    }
    drop(node);
    scene.line("import early").exits(0);
    let shown = scene.json(&format!("show {run}"));
    assert_eq!(
        (&shown["id"], &shown["result"]),
        (&json!(run), &json!("succeeded")),
        "it can be read as before"
    );
    scene.line("doctor").exits(0);
    assert_eq!(scene.lines("effects"), ["a"], "what the log says is finished is not started again");
    for command in ["cancel", "retry", "pause", "resume"] {
        scene
            .line(&format!("{command} {run}"))
            .exits(2)
            .says("has ended and left the memory")
            .says("mnemosyne fork");
    }
}

#[test]
fn an_exported_run_is_its_owners_and_can_go_to_stdout() {
    use std::os::unix::fs::PermissionsExt;
    let (here, there) = (Scene::new(), Scene::new());
    let run = here.submit(&plan([("a", does(["exit:0"]))]));
    here.line(&format!("export {run} -o file")).exits(0);
    let file = here.path().join("file");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = here.command(["export", &run, "-o", "-"]).output().expect("it runs");
    assert!(written.status.success());
    assert_eq!(written.stdout, fs::read(&file).expect("it can be read"));
    assert!(!here.path().join("-").exists());
    here.line(&format!("export {run} -o - --json")).exits(2).says("-o names a file");
    fs::write(there.path().join("run.mnemosyne"), written.stdout).expect("it can be written");
    there.line(&format!("import run.mnemosyne --base-dir {}", there.path().display())).exits(0);
}

#[test]
fn what_is_left_of_a_damaged_log_goes_on_elsewhere() {
    let (here, there) = (Scene::new(), Scene::new());
    let step = |name: &str, needs: &str| {
        let steps =
            [format!("append:effects:{name}"), format!("wait-for:go-{name}"), format!("append:done:{name}")];
        (name.to_owned(), format!("{}, needs: [{needs}]", does(steps)))
    };
    here.write("plan.yaml", plan([step("a", ""), step("b", "a"), step("c", "b"), step("d", "c")]));
    ["go-a", "go-b"].iter().for_each(|go| here.touch(go));
    let node = here.spawn(["run", "plan.yaml"]);
    wait_until("the third item to be at work", || here.lines("effects") == ["a", "b", "c"]);
    here.wait_state("c", "running");
    let run = here.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    let segment = here.data_dir().join("log/00000000000000000001.seg");
    let known = end_of_data(&fs::read(&segment).expect("a file")).next_multiple_of(8);
    here.touch("go-c");
    wait_until("the last item to be at work", || here.lines("effects") == ["a", "b", "c", "d"]);
    here.wait_state("d", "running");
    node.kill();
    damage(&segment, |bytes| bytes[known + 40] ^= 4);

    let refused = "log/00000000000000000001.seg is damaged at byte ";
    for command in ["up", "run plan.yaml", "ps", "status"] {
        here.line(command).exits(6).says(refused).says("`mnemosyne export RUN --salvage`");
    }
    let shown = here.line(&format!("ps {run} --salvage")).exits(0).says(refused);
    assert!(shown.stderr.contains("this is as of entry "), "{}", shown.stderr);
    assert!(shown.stderr.contains(" at least, is missing"), "{}", shown.stderr);
    here.line(&format!("show {run}/a --salvage")).exits(0).says("this is as of entry ");
    let told = here.line(&format!("export {run} --salvage -o run.mnemosyne")).exits(0).says(refused);
    assert!(told.stderr.contains("this is as of entry "), "{}", told.stderr);

    fs::copy(here.path().join("run.mnemosyne"), there.path().join("run.mnemosyne")).expect("a file");
    there.line(&format!("import run.mnemosyne --base-dir {}", there.path().display())).exits(0);
    let states = states(&there, &run);
    assert!(states[..2] == ["succeeded", "succeeded"] && states[3] == "pending", "{states:?}");
    ["go-c", "go-d"].iter().for_each(|go| there.touch(go));
    let _node = there.up();
    there.line(&format!("wait {run}")).exits(0);
    assert_eq!(there.lines("effects"), ["c", "d"], "what was done stays done, as far as it could be read");
    here.touch("go-d");
    wait_until("the agent of the lost node to end", || here.lines("done").len() == 4);
}

/// The file of the only blob that begins like this.
fn blob_with(scene: &Scene, what: &str) -> PathBuf {
    let holds = |(path, bytes): &(PathBuf, Vec<u8>)| {
        path.to_string_lossy().contains("/blobs/") && String::from_utf8_lossy(&bytes[8..]).starts_with(what)
    };
    let mut found = content(scene).into_iter().filter(holds);
    let (path, _) = found.next().expect("a blob");
    assert!(found.next().is_none(), "one blob begins with {what}");
    path
}

#[test]
fn a_run_goes_elsewhere_without_the_blob_that_is_damaged_and_says_so() {
    let (here, there) = (Scene::new(), Scene::new());
    here.run_plan(&diamond()).exits(0);
    let run = here.json("ps --runs")[0]["id"].as_str().expect("an id").to_owned();
    let blob = blob_with(&here, "{\"long\"");
    let id = blob.to_str().expect("a hash").rsplit_once("/blobs/").expect("where blobs are").1.replace('/', "");
    damage(&blob, |bytes| bytes[20] ^= 1);
    let refused = here.line(&format!("export {run} -o run.mnemosyne")).exits(6);
    refused.says("is damaged").says("--salvage leaves it out");
    assert!(!here.path().join("run.mnemosyne").exists(), "nothing that is not whole is left there");

    let told = here.json(&format!("export {run} --salvage -o run.mnemosyne"));
    assert_eq!(told["lost"], json!([id]));
    fs::remove_file(&blob).expect("it is there");
    let told = here.line(&format!("export {run} --salvage --force -o run.mnemosyne")).exits(0);
    told.says(&format!("the blob {id} is missing; it is left out"));
    fs::copy(here.path().join("run.mnemosyne"), there.path().join("run.mnemosyne")).expect("a file");

    let lost = format!("blob {id} was lost before the export");
    there.line(&format!("import run.mnemosyne --base-dir {}", there.path().display())).exits(0).says(&lost);
    assert_eq!(states(&there, &run), ["succeeded"; 4]);
    assert_eq!(there.json(&format!("show {run}/a"))["outputs"], json!({"n": 1}), "all else is there");
    there.line(&format!("show {run}/b")).exits(6).says(&id);
    let told = there.line("doctor").exits(6);
    assert!(told.stdout.contains(&id), "{}", told.stdout);

    // Where the blob is whole, nothing is lost.
    let fresh = Scene::new();
    fresh.run_plan(&diamond()).exits(0);
    fs::copy(here.path().join("run.mnemosyne"), fresh.path().join("run.mnemosyne")).expect("a file");
    assert_eq!(fresh.json("import run.mnemosyne")["lost"], json!([]));
    fresh.line(&format!("show {run}/b")).exits(0);
}

#[test]
fn where_nothing_is_damaged_or_nothing_is_left_salvage_says_so() {
    let scene = Scene::new();
    fs::create_dir(scene.data_dir()).expect("a new folder");
    let unused = scene.line("ps --all").exits(0);
    assert_eq!(scene.line("ps --all --salvage").exits(0).stdout, unused.stdout, "it was never used");
    scene.run_plan(&diamond()).exits(0);
    let whole = scene.line("ps --all").exits(0);
    let salvaged = scene.line("ps --all --salvage").exits(0);
    assert_eq!((&salvaged.stdout, &salvaged.stderr), (&whole.stdout, &whole.stderr));
    damage(&scene.data_dir().join("log/00000000000000000001.seg"), |bytes| bytes[100] ^= 1);
    let refused = scene.line("ps --salvage").exits(6).says("log/00000000000000000001.seg is damaged");
    assert_eq!(refused.stdout, "");
    fs::remove_dir_all(scene.data_dir().join("log")).expect("it is there");
    let refused = scene.line("ps --salvage").exits(6).says("log is missing beside history");
    assert_eq!(refused.stdout, "", "nothing is taken for a directory that was never used");
}
