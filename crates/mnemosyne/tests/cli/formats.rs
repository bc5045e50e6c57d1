//! Data directories that earlier releases have left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Scene, wait_until};

/// What the directories were made with. What has ended must not be retired, however old it is by now.
const CONFIG: &str = r#"
[agents.scripted]
kind = "cli"
command = ["sh", "-c", "cat > /dev/null; echo hello; echo '{\"n\": 1}' > \"$MNEMOSYNE_OUTPUT_FILE\""]
prompt = "stdin"

[scheduling]
retention = "9999d"
"#;

/// Unpacks the data directory of a format.
fn of_format(format: u32) -> Scene {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", CONFIG);
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/formats/data-{format}.tar.gz"));
    let unpacked =
        Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(scene.path()).status().expect("tar");
    assert!(unpacked.success());
    fs::rename(scene.path().join("data"), scene.data_dir()).expect("a folder");
    scene
}

fn format_of(scene: &Scene) -> String {
    fs::read_to_string(scene.data_dir().join("FORMAT")).expect("a file")
}

/// How many items are in each state.
fn states(scene: &Scene) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for item in scene.json("ps --all").as_array().expect("a list") {
        *states.entry(item["state"].as_str().expect("a word").to_owned()).or_default() += 1;
    }
    states
}

fn item<'l>(items: &'l Value, name: &str) -> &'l Value {
    let mut named = items.as_array().expect("a list").iter().rev().filter(|item| item["name"] == name);
    named.next().expect("it is there")
}

#[test]
fn work_of_an_earlier_format_goes_on() {
    for format in [3] {
        let scene = of_format(format);
        let before: Vec<(&str, usize)> = vec![
            ("cancelled", 2),
            ("failed", 2),
            ("pending", 4),
            ("ready", 1),
            ("running", 1),
            ("skipped", 1),
            ("succeeded", 112),
            ("waiting", 2),
        ];
        assert_eq!(
            states(&scene),
            before.into_iter().map(|(state, count)| (state.to_owned(), count)).collect()
        );
        assert_eq!(scene.json("inbox").as_array().map(Vec::len), Some(2));
        scene.line("doctor").exits(0);
        assert_eq!(format_of(&scene), format!("mnemosyne-data {format}\n"), "who only looks changes nothing");

        scene.line("approve q1").exits(0);
        scene.line("approve q2").exits(0);
        assert_ne!(
            format_of(&scene),
            format!("mnemosyne-data {format}\n"),
            "an earlier release refuses it now"
        );
        let node = scene.up();
        let ended = || {
            scene
                .json("ps")
                .as_array()
                .is_some_and(|open| open.iter().all(|item| item["finished_at"].is_string()))
        };
        wait_until("everything has ended", ended);
        let items = scene.json("ps --all");
        assert_eq!(item(&items, "slow")["attempts"], 1, "its agent had gone on and finished");
        for name in ["slow", "next", "after", "checked", "a", "b", "c"] {
            assert_eq!(item(&items, name)["state"], "succeeded", "{name}");
        }
        let big = item(&items, "big")["id"].as_str().expect("an id").to_owned();
        scene.line(&format!("show {big}")).exits(0);
        let events = scene.line("events --after 0 --json").exits(0).stdout;
        let numbers = events
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a number"));
        assert!(numbers.eq(1..=events.lines().count() as u64), "no event is missing");
        scene.line("down").exits(0);
        drop(node);
        scene.line("doctor").exits(0);
    }
}
