//! What agents write: bounded, followed, and never obeyed by a terminal.

use std::time::Duration;

use serde_json::Value;

use crate::support::plan::{does, plan};
use crate::support::processes::memory_max;
use crate::support::{Scene, wait_until};

const MIB: u64 = 1024 * 1024;

#[test]
fn a_flood_keeps_its_head_and_its_tail_and_counts_the_rest() {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", "[shim]\noutput_head = \"64k\"\noutput_tail = \"128k\"\n");
    let steps = ["stdout:the very beginning", "flood:64M:nonewline", "stdout:the very end"];
    let begun = format!("append:{}:flooded", scene.at("flooded"));
    let wait = format!("wait-for:{}", scene.at("go"));
    let steps = steps.into_iter().map(str::to_owned).chain([begun, wait]);
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the flood to be over", || !scene.lines("flooded").is_empty());
    let shim = scene.processes().into_iter().find(|process| process.is_shim()).expect("it runs");
    let (of_shim, of_node) = (memory_max(shim.pid).expect("it runs"), memory_max(run.pid()).expect("it runs"));
    scene.touch("go");
    run.wait().exits(0);
    assert!(of_shim < 64 * MIB && of_node < 128 * MIB, "shim {of_shim}, node {of_node} bytes");

    let folder = std::fs::read_dir(scene.data_dir().join("attempts")).expect("attempts").flatten().next();
    let files = std::fs::read_dir(folder.expect("an attempt").path()).expect("a folder").flatten();
    let on_disk: u64 = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    assert!(on_disk < MIB, "{on_disk} bytes on disk");

    let id = scene.id("a");
    let logs = scene.run(["logs", &id]).exits(0);
    assert!(logs.stdout.starts_with("the very beginning\nxxxx"), "{}", &logs.stdout[..40]);
    assert!(logs.stdout.ends_with("xxx\nthe very end\n") || logs.stdout.ends_with("xxxthe very end\n"));
    assert!(logs.bytes.len() <= (64 + 128) * 1024 + 4096, "{} bytes", logs.bytes.len());
    let (before, rest) = logs.stdout.split_once("x\n… ").expect("the gap is marked on a line of its own");
    let (number, after) = rest.split_once(" bytes not kept …\nx").expect("the mark ends its line");
    let (dropped, kept): (u64, u64) =
        (number.parse().expect("a number"), (before.len() + after.len()) as u64 + 2);
    let written = 64 * MIB + "the very beginning\nthe very end\n".len() as u64;
    assert_eq!(dropped + kept, written, "what is shown and what was dropped is all there was");
    let raw = scene.run(["logs", &id, "--raw"]).exits(0).says(&format!("… {dropped} bytes not kept …"));
    assert_eq!(raw.bytes.len() as u64, kept, "raw is what the agent wrote, and nothing else");
    let lines: Vec<Value> = scene.run(["logs", &id, "--json"]).exits(0).stdout.lines().map(json_line).collect();
    let gap = lines.iter().find(|line| line.get("not_kept").is_some()).expect("a gap");
    assert_eq!(gap["not_kept"], dropped);
    let text: u64 = lines.iter().filter_map(|line| line["text"].as_str()).map(|text| text.len() as u64).sum();
    let ends = lines.iter().filter(|line| line.get("text").is_some() && line.get("partial").is_none()).count();
    assert_eq!(text + ends as u64, kept);
}

fn json_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn logs_of_a_run_show_every_item_behind_its_name() {
    let scene = Scene::new();
    scene.slots(1);
    let items = [
        ("a", does(["stdout:one", "stdout:two", "stderr:oops"])),
        ("longer-name", format!("{}, needs: [a]", does(["stdout:three", "raw:66"]))),
        ("quiet", does(["exit:0"])),
        ("after", format!("{}, needs: {{ longer-name: failure }}", does(["stdout:never"]))),
    ];
    let run = scene.submit(&plan(items));
    let none = scene.run(["logs", &run]).exits(0);
    assert_eq!(none.stdout, "", "nothing has run");
    let mut following = scene.spawn(["logs", "-f", &run]);
    following.wait_said("no node is running");
    let _node = scene.up();
    scene.run(["wait", &run]).exits(0);
    let expected =
        "a           | one\na           | two\na           | oops\nlonger-name | three\nlonger-name | f\n";
    let followed = following.wait().exits(0).stdout;
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&followed), sorted(expected), "it ends with the run");
    assert_eq!(scene.run(["logs", &run]).exits(0).stdout, expected);
    let tail = scene.run(["logs", &run, "--tail", "1"]).exits(0).stdout;
    assert_eq!(tail, "a           | two\na           | oops\nlonger-name | f\n", "of each stream");
    let id = scene.id("a");
    assert_eq!(scene.run(["logs", &id, "--tail", "1"]).exits(0).stdout, "two\noops\n");
    assert_eq!(scene.run(["logs", &id, "--tail", "0", "--stderr"]).exits(0).stdout, "");
    scene.run(["logs", &run, "--raw"]).exits(2).says("name one");
    scene.run(["logs", &id, "--raw", "--json"]).exits(2).says("exclude each other");
    let lines: Vec<Value> =
        scene.run(["logs", &run, "--json"]).exits(0).stdout.lines().map(json_line).collect();
    let texts: Vec<(&Value, &Value, &Value)> =
        lines.iter().map(|line| (&line["name"], &line["stream"], &line["text"])).collect();
    let text = |name: &'static str, stream: &'static str, text: &'static str| {
        (name.into(), stream.into(), text.into())
    };
    let expected: [(Value, Value, Value); 5] = [
        text("a", "stdout", "one"),
        text("a", "stdout", "two"),
        text("a", "stderr", "oops"),
        text("longer-name", "stdout", "three"),
        text("longer-name", "stdout", "f"),
    ];
    assert!(
        texts.into_iter().eq(expected.iter().map(|(name, stream, text)| (name, stream, text))),
        "{lines:?}"
    );
    assert_eq!(
        (&lines[0]["item"], &lines[0]["attempt"], &lines[1]["offset"]),
        (&id.into(), &1.into(), &4.into())
    );
    assert_eq!((lines[3].get("partial"), &lines[4]["partial"]), (None, &true.into()));
}

#[test]
fn logs_that_are_followed_wait_for_the_start() {
    let scene = Scene::new();
    let steps = [format!("wait-for:{}", scene.at("go"))];
    let items = [("a", does(steps)), ("b", format!("{}, needs: [a]", does(["stdout:here"])))];
    let run = scene.submit(&plan(items));
    let b = scene.id("b");
    scene.run(["logs", &b]).exits(2).says("has not been started yet");
    let mut following = scene.spawn(["logs", "-f", &b]);
    following.wait_said("no node is running");
    // Nothing is held by whoever looks: the node takes the directory.
    let _node = scene.up();
    scene.touch("go");
    assert_eq!(following.wait().exits(0).stdout, "here\n");
    scene.run(["wait", &run]).exits(0);
}

#[test]
fn nothing_an_agent_writes_reaches_the_terminal_as_a_command() {
    let scene = Scene::new();
    let evil: &[u8] = b"\x1b[2J\x1b]0;pwn\x07\x1b]52;c;aGk=\x07\x9b31m\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\ok\rbad\xe2\x80\xaetxt\x00\xff\xfe\n";
    let hex: String = evil.iter().map(|byte| format!("{byte:02x}")).collect();
    scene.write("evil.sh", "cat \"$1\" >&2; exit 1\n");
    scene.write("evil.bin", evil);
    scene.write(
        "plan.yaml",
        plan([
            ("out", does([format!("raw:{hex}")])),
            ("err", format!("run: [\"sh\", \"{}\", \"{}\"]", scene.at("evil.sh"), scene.at("evil.bin"))),
        ]),
    );
    let run = scene.line("run plan.yaml").exits(1);
    let (out, err) = (scene.id("out"), scene.id("err"));
    let logs = scene.run(["logs", &out]).exits(0);
    let escaped = r"\x1b[2J\x1b]0;pwn\x07\x1b]52;c;aGk=\x07\x9b31m\x1b]8;;http://evil\x1b\click\x1b]8;;\x1b\ok\rbad\u{202e}txt\x00\xff\xfe";
    assert_eq!(logs.stdout, format!("{escaped}\n"));
    assert_eq!(scene.run(["logs", &out, "--raw"]).exits(0).bytes, evil, "byte for byte where it is asked for");
    let logs = scene.run(["logs", &err, "--stderr"]).exits(0);
    assert_eq!(logs.stdout, format!("{escaped}\n"));
    let said = [
        run.stderr,
        scene.run(["show", &err]).exits(0).stdout,
        scene.run(["why", &err]).exits(0).stdout,
        scene.line("ps --all").exits(0).stdout,
        scene.line("ps --json").exits(0).stdout,
        scene.line("events --after 0").exits(0).stdout,
        scene.line("events --after 0 --json").exits(0).stdout,
    ];
    for text in said {
        let forbidden =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!text.contains(forbidden), "{text:?}");
    }
}

#[test]
fn names_that_would_control_a_terminal_are_refused_or_escaped() {
    let scene = Scene::new();
    for (name, exit) in [("\\u001b[2J", 2), ("a\\nb", 2), ("..", 2), ("a/b", 2), ("", 2), ("\\u202e", 0)] {
        let text = format!("{{\"version\": 1, \"items\": {{\"{name}\": {{\"run\": \"true\"}}}}}}");
        scene.write("plan.json", text);
        assert!(!scene.data_dir().exists(), "{name:?}: nothing is stored before");
        let said = scene.line("run plan.json").exits(exit).stderr;
        let forbidden =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!said.contains(forbidden), "{said:?}");
    }
    assert!(scene.line("ps --all").exits(0).stdout.contains("\\u{202e}"));
}

#[test]
fn logs_follow_to_the_end_and_end() {
    let scene = Scene::new();
    let steps = [
        "stdout:begun".to_owned(),
        format!("wait-for:{}", scene.at("go")),
        "stream:20:5ms".to_owned(),
        "stderr:done".to_owned(),
    ];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let _node = scene.up();
    scene.line("submit plan.yaml").exits(0);
    scene.wait_state("a", "running");
    let mut logs = scene.spawn(["logs", "-f", &scene.id("a")]);
    wait_until("the first line", || logs.printed() == "begun\n");
    assert!(logs.is_running());
    scene.touch("go");
    let outcome = logs.wait().exits(0);
    let lines: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    assert_eq!(outcome.stdout, format!("begun\n{lines}done\n"));
    let again = scene.run(["logs", "-f", &scene.id("a")]).exits(0);
    assert_eq!(again.stdout, outcome.stdout, "also when it is over already");
}

#[test]
fn a_character_is_not_torn_where_a_read_ends() {
    let scene = Scene::new();
    // Reads end at powers of two, which three does not divide.
    let text = "€".repeat(300_000);
    scene.write("text", &text);
    scene.write("plan.yaml", plan([("a", format!("run: [\"cat\", \"{}\"]", scene.at("text")))]));
    scene.line("run plan.yaml").exits(0);
    let logs = scene.run(["logs", &scene.id("a")]).exits(0);
    let torn = logs.stdout.find('\\').map(|at| &logs.stdout[at..(at + 20).min(logs.stdout.len())]);
    assert!(logs.stdout == text, "torn: {torn:?}");
}

#[test]
fn a_character_that_comes_in_two_parts_is_one() {
    let scene = Scene::new();
    let steps = ["raw:e282".to_owned(), format!("wait-for:{}", scene.at("go")), "raw:ac0a".to_owned()];
    scene.write("plan.yaml", plan([("a", does(steps))]));
    let _node = scene.up();
    scene.line("submit plan.yaml").exits(0);
    scene.wait_state("a", "running");
    let mut logs = scene.spawn(["logs", "-f", &scene.id("a")]);
    let id = scene.id("a");
    wait_until("the first part to be there", || !scene.run(["logs", &id, "--raw"]).bytes.is_empty());
    // Long enough for the follower to have looked in between; if it has not, the test still holds.
    // Time for the follower to look in between; if it does not, the test holds all the same.
    std::thread::sleep(Duration::from_millis(300));
    assert!(logs.is_running());
    scene.touch("go");
    assert_eq!(logs.wait().exits(0).stdout, "€\n");
}

#[test]
fn logs_of_what_has_not_run_or_is_not_there() {
    let scene = Scene::new();
    scene.submit(&plan([("a", does(["exit:0"]))]));
    let id = scene.id("a");
    scene.run(["logs", &id]).exits(2).says("has not been started yet");
    scene.run(["logs", "1zzz.1"]).exits(2);
}
