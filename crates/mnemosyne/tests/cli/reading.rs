//! Looking while no node runs: everything is told, and no byte is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::support::plan::{agent, does, plan};
use crate::support::{Running, Scene, skipped, wait_until};

/// Everything about a file that a change would change.
#[derive(PartialEq)]
struct FileState {
    content: Vec<u8>,
    length: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Everything in a folder, itself included. When it was last read does not count.
fn state(folder: &Path) -> BTreeMap<PathBuf, FileState> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it was listed");
        let content = if metadata.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        }
        let state = FileState {
            content,
            length: metadata.len(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        found.insert(path, state);
    }
    found
}

/// Every command that only looks, with the beginning of what it prints in this scene.
fn looks(scene: &Scene) -> Vec<String> {
    let run = scene.line("ps --json").exits(0).json()[0]["run"].as_str().expect("a run").to_owned();
    let mut commands: Vec<String> =
        ["ps", "ps --all", "ps --json", "status", "status --json", "doctor", "events", "events --json"]
            .map(str::to_owned)
            .to_vec();
    for (command, id) in
        [("show", "a"), ("show", "b"), ("why", "a"), ("why", "b"), ("logs", "a"), ("logs --stderr", "a")]
    {
        commands.push(format!("{command} {run}/{id}"));
    }
    commands.extend([format!("show {run}"), format!("show {run}/a --json"), format!("ps {run}")]);
    commands
}

#[test]
fn looking_changes_no_byte_and_no_time() {
    let scene = Scene::new();
    let long = "x".repeat(40_000);
    let wait = format!("wait-for:{}", scene.at("go"));
    scene.write(
        "plan.yaml",
        plan([
            (
                "a",
                does([
                    format!("output-json:{{\"x\": \"{long}\"}}"),
                    "stdout:hello".to_owned(),
                    "stderr:oops".to_owned(),
                ]),
            ),
            ("b", format!("{}, needs: [a]", does([format!("append:{}:begun", scene.at("begun")), wait]))),
            ("c", format!("{}, needs: [b]", does(["exit:0"]))),
        ]),
    );
    let run = scene.spawn(["run", "plan.yaml"]);
    wait_until("the second item to run", || !scene.lines("begun").is_empty());
    run.kill();
    // What a power cut may leave behind.
    let data = scene.data_dir();
    let segment = data.join("log/00000000000000000001.seg");
    let mut bytes = fs::read(&segment).expect("a file");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty").next_multiple_of(8) + 8;
    bytes[end..end + 4].copy_from_slice(b"MnFr");
    fs::write(&segment, bytes).expect("a file");
    for leftover in ["snapshots/00000000000000000009.tmp", "blobs/new/0", "log/prepared.tmp", "history/new.tmp"]
    {
        fs::write(data.join(leftover), "left over").expect("a file");
    }

    let before = state(&data);
    for command in looks(&scene) {
        let outcome = scene.line(&command).exits(0);
        assert!(!outcome.stdout.is_empty(), "`{command}` tells something");
        let after = state(&data);
        let changed: Vec<&PathBuf> =
            after.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty() && before.len() == after.len(), "`{command}` changed {changed:?}");
    }
    assert_eq!(scene.line("ps").exits(0).stdout.lines().count(), 3, "heading, running, pending");
    assert!(scene.show("a")["outputs"]["x"].as_str().is_some_and(|x| x.len() == long.len()), "also of a blob");
    let doctor = scene.line("doctor").exits(0).stdout;
    assert!(doctor.contains("bytes were being written"), "{doctor}");
    assert!(before == state(&data));

    scene.touch("go");
    scene.line("run plan.yaml").exits(0).says("continuing run");
    assert_eq!(scene.item("c")["state"], "succeeded", "whoever looked took nothing away");
}

#[test]
fn what_is_told_without_a_node_is_what_the_node_told() {
    let scene = Scene::new();
    let fails =
        format!("{}, retry: {{ max_attempts: 2, initial_interval: 0s }}", does(["stderr:oh no", "exit:4"]));
    let items =
        [("a", does(["stdout:hello"])), ("b", fails), ("c", format!("{}, needs: [b]", does(["exit:0"])))];
    let node = scene.up();
    let run = scene.submit(&plan(items));
    scene.run(["wait", &run]).exits(1);
    let commands =
        ["ps --all", "ps --json", "events --after 0 --json", "show RUN/b", "why RUN/c", "show RUN/b --json"]
            .map(|command| command.replace("RUN", &run));
    let tell = || commands.clone().map(|command| scene.line(&command).exits(0).stdout);
    let told = tell();
    drop(node);
    let now = tell();
    for (index, command) in commands.iter().enumerate() {
        // The end of the node is an event, too.
        assert!(now[index].starts_with(&told[index]), "`{command}`\n{}\n{}", told[index], now[index]);
    }
}

/// Stands between a command and its node, which dies when it is asked a question after so many others; says whether there
/// was such a question.
fn die_when_asked(scene: &Scene, node: Running, answered: usize) -> JoinHandle<bool> {
    let socket = scene.data_dir().join("control.sock");
    let real = scene.data_dir().join("moved.sock");
    fs::rename(&socket, &real).expect("renamed");
    let door = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        let mut connections = Vec::new();
        // One for questions, one to hear of events. Each begins with a greeting.
        for _ in 0..2 {
            let (mut command, _) = door.accept().expect("a connection");
            let mut to_node = UnixStream::connect(&real).expect("the node listens");
            let greeted = pass_on(&mut command, &mut to_node) && pass_on(&mut to_node, &mut command);
            assert!(greeted, "both are there");
            connections.push((command, to_node));
        }
        let (command, to_node) = &mut connections[0];
        let all_answered = (0..answered).all(|_| pass_on(command, to_node) && pass_on(to_node, command));
        let was_asked = all_answered && command.read_exact(&mut [0]).is_ok();
        node.kill();
        fs::remove_file(&socket).expect("removed");
        was_asked
    })
}

/// Passes on one frame, its length in four bytes and as many bytes, unless there is none.
fn pass_on(from: &mut UnixStream, to: &mut UnixStream) -> bool {
    let mut length = [0; 4];
    if from.read_exact(&mut length).is_err() {
        return false;
    }
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut frame).expect("the rest of it");
    to.write_all(&length).and_then(|()| to.write_all(&frame)).expect("passed on");
    true
}

#[test]
fn who_asks_a_node_that_dies_in_this_moment_looks_at_the_disk() {
    let scene = Scene::new();
    // Long enough to be asked for on its own.
    let answer = agent([format!("stdout:{}", "x".repeat(20_000))]);
    scene.write("mnemosyne.toml", format!("[agents.one]\ncommand = {answer}\n"));
    scene.run_plan(&plan([("a", "prompt: hello, agent: one")])).exits(0);
    let id = scene.id("a");
    let run = id.split('.').next().expect("the run comes first");
    // With the number of questions that each asks at least.
    for (words, questions) in [
        ("ps --all", 2),
        ("why ID", 2),
        ("status", 1),
        ("inbox", 1),
        ("show ID", 3),
        ("show ID --json", 3),
        ("show RUN", 3),
        ("agent ls", 3),
        ("agent ls --json", 2),
        ("pool ls", 1),
    ] {
        let words = words.replace("ID", &id).replace("RUN", run);
        let told = scene.line(&words).exits(0).stdout;
        let mut asked = 0;
        loop {
            let dying = die_when_asked(&scene, scene.up(), asked);
            let looked = scene.line(&words).exits(0);
            assert!(!looked.stderr.contains("error"), "{words}: {}", looked.stderr);
            if words.starts_with("show") {
                assert_eq!(looked.stdout, told, "{words}: all of it, and once");
            }
            if !dying.join().expect("the node was there") {
                break;
            }
            asked += 1;
        }
        assert!(asked >= questions, "{words}: {asked} questions");
    }
}

#[test]
fn a_folder_that_may_only_be_read_is_read() {
    let scene = Scene::new();
    scene.run_plan(&plan([("a", does(["stdout:hello"])), ("b", does(["exit:0"]))])).exits(0);
    let set = |folder: u32, file: u32| {
        for path in state(&scene.data_dir()).into_keys() {
            let mode = if path.is_dir() { folder } else { file };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
    };
    let commands = looks(&scene);
    set(0o500, 0o400);
    let before = state(&scene.data_dir());
    for command in commands {
        let outcome = scene.line(&command);
        // Root may write everywhere; others are told that no node can start.
        let expected = if command == "doctor" { [0, 1] } else { [0, 0] };
        assert!(expected.contains(&outcome.exit), "`{command}`: {}{}", outcome.stdout, outcome.stderr);
    }
    assert!(before == state(&scene.data_dir()));
    set(0o700, 0o600);
}

#[test]
fn an_empty_folder_is_one_where_nothing_was_run() {
    let scene = Scene::new();
    scene.line("ps").exits(2).says("there is no data directory");
    fs::create_dir(scene.data_dir()).expect("a new folder");
    scene.line("ps").exits(0).says("no items");
    assert_eq!(scene.line("ps --json").exits(0).stdout, "[]\n");
    scene.line("events").exits(0);
    scene.line("show 1abc").exits(2).says("there is no run or item");
    assert_eq!(fs::read_dir(scene.data_dir()).expect("a folder").count(), 0);
    fs::write(scene.data_dir().join("thesis.tex"), "years of work").expect("a file");
    scene.line("ps").exits(5).says("neither empty nor a data folder").says("thesis.tex");
}

#[test]
fn who_follows_finds_the_node_that_comes_up() {
    let scene = Scene::new();
    scene.submit(&plan([("a", does(["exit:0"]))]));
    let mut events = scene.spawn(["events", "-f", "--json", "--after", "0"]);
    events.wait_said("no node is running; waiting for one");
    let _node = scene.up();
    wait_until("the event of the node", || events.printed().contains("WorkItemCompleted"));
    assert!(events.is_running());
}

#[test]
fn a_folder_of_another_user_is_said_to_be_one() {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can give a folder away and be somebody else");
        return;
    }
    let nobody = 65_534;
    let scene = Scene::new();
    scene.submit(&plan([("a", does(["exit:0"]))]));
    let folder = scene.path().parent().expect("it lies in a folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = scene.command(["status"]);
    let may_run = command.uid(nobody).output().is_ok();
    if may_run {
        let refused = scene.start(command).wait().exits(5);
        refused.says("belongs to user 0, this process runs as user 65534").says("--data-dir");
    } else {
        skipped("another user may not run what was built here");
    }
    std::os::unix::fs::chown(scene.data_dir(), Some(nobody), None).expect("root may");
    scene.line("run plan.yaml").exits(5).says("belongs to user 65534").says("--data-dir");
}
