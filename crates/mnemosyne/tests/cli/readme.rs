//! What README.md shows is what the program says: every line of its console samples is found in the real output, in
//! its order, but for ids and times. A line of `…` stands for any others.

use std::path::{Path, PathBuf};

use crate::support::words::settled;
use crate::support::{Scene, wait_until};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// The commands in the samples of README.md, in order, each with what stands below it.
fn samples() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(repository().join("README.md")).expect("README.md is there");
    let mut samples: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside || line.is_empty() => {}
            _ => match (line.strip_prefix("$ mnemosyne "), samples.last_mut()) {
                (Some(command), _) => samples.push((command.to_owned(), Vec::new())),
                (None, Some((_, shown))) => shown.push(line.to_owned()),
                (None, None) => panic!("a sample begins with a command: {line}"),
            },
        }
    }
    samples
}

/// Insists that the lines are among what was said, in this order.
#[track_caller]
fn shows(scene: &Scene, command: &str, shown: &[String], said: &str) {
    let said = settled(scene, said);
    let squeezed = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        // Which number a grant gets depends on what ran beside it.
        words.split_once("(token ").map_or(words.clone(), |(before, _)| format!("{before}(token …)"))
    };
    let mut lines = said.lines().map(squeezed);
    for line in shown.iter().filter(|line| *line != "…" && *line != "Killed") {
        let wanted = squeezed(&settled(scene, line));
        assert!(
            lines.any(|line| line == wanted),
            "README.md shows below `{command}`:\n  {wanted}\nwhich is not what comes next in:\n{said}"
        );
    }
}

/// The files that the quickstart counts, in a folder of their own: it writes beside itself.
fn copy_pages(scene: &Scene) {
    let folders = ["examples", "docs/guide", "docs/reference"];
    for folder in folders {
        std::fs::create_dir_all(scene.path().join(folder)).expect("a new folder");
    }
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/guide/concepts.md",
        "docs/reference/plan.md",
        "docs/reference/config.md",
        "examples/quickstart.yaml",
    ] {
        std::fs::copy(repository().join(file), scene.path().join(file)).expect("the file is there");
    }
}

#[test]
fn the_samples_in_the_readme_are_true() {
    let scene = Scene::new();
    copy_pages(&scene);
    let samples = samples();
    let (first, crash) =
        samples.split_at(samples.iter().position(|(words, _)| words.contains("crash")).expect("it is there"));
    let mut run = String::new();
    for (command, shown) in first {
        let words = command.split_whitespace().map(|word| match word.split_once('/') {
            // An item of the run that the reader has just seen.
            Some((id, name)) if id.starts_with('1') => format!("{run}/{name}"),
            _ => word.to_owned(),
        });
        let outcome = scene.run(words).exits(0);
        shows(&scene, command, shown, &format!("{}{}", outcome.stdout, outcome.stderr));
        if command.starts_with("run ") {
            run = scene.items()[0]["run"].as_str().expect("a run").to_owned();
        }
    }

    let scene = Scene::new();
    let plan = "version: 1\nitems:\n  long: { run: \"touch begun; until [ -e go ]; do sleep 0.05; done\" }\n  after: { run: \"true\", needs: [long] }\n";
    scene.write("crash.yaml", plan);
    let [(started, before), (looked, seen), (again, after)] = crash else { panic!("three commands") };
    let node = scene.spawn(started.split_whitespace());
    wait_until("the item to run", || !scene.read("begun").is_empty() || scene.path().join("begun").exists());
    wait_until("it to be said", || node.said().contains("long started"));
    shows(&scene, started, before, &node.said());
    node.kill();
    shows(&scene, looked, seen, &scene.line(looked).exits(0).stdout);
    scene.touch("go");
    let outcome = scene.line(again).exits(0);
    shows(&scene, again, after, &outcome.stderr);
}
