//! What is drawn on a terminal, whose size may change at any moment.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::plan::{does, plan};
use crate::support::{Scene, wait_until};

/// A terminal: what is written to it, and the end that programs get.
struct Terminal {
    master: OwnedFd,
    slave: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new(columns: u16, lines: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudoterminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("a plain name");
        let slave = OpenOptions::new().read(true).write(true).open(name).expect("it is ours");
        let mut reader = File::from(master.try_clone().expect("a descriptor"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let writes_into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails when nobody has the other end any more.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                writes_into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..count]);
            }
        });
        let terminal = Self { master, slave, seen };
        terminal.resize(columns, lines);
        terminal
    }

    fn resize(&self, columns: u16, lines: u16) {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("it is ours");
    }

    fn end_for_programs(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().expect("a descriptor"))
    }

    fn seen(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).replace('\r', "")
    }
}

/// The drawings of a live table: the rows of each, and how many lines up the next one went to erase it.
fn drawings(seen: &str) -> Vec<(Vec<String>, usize)> {
    let parts: Vec<&str> = seen.split("\u{1b}[J").collect();
    let drawing = |part: &&str| {
        let (rows, up) = part.rsplit_once("\u{1b}[")?;
        let up = up.strip_suffix('A')?.parse().ok()?;
        Some((rows.lines().map(str::to_owned).collect(), up))
    };
    parts.iter().filter_map(drawing).collect()
}

#[test]
fn a_live_table_leaves_nothing_behind_when_the_terminal_becomes_narrower() {
    let scene = Scene::new();
    let name = "a-name-that-takes-more-than-one-line-of-a-narrow-terminal";
    scene.write("plan.yaml", plan([(name, does([format!("wait-for:{}", scene.at("go"))]))]));
    let terminal = Terminal::new(100, 24);
    let mut command: Command = scene.command(["run", "plan.yaml"]);
    command.env("COLUMNS", "100").stdout(Stdio::null()).stderr(terminal.end_for_programs());
    let mut child = command.spawn().expect("it starts");
    wait_until("the table to be drawn", || terminal.seen().contains(&format!("running   {name}")));
    terminal.resize(20, 24);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
    rustix::process::kill_process(pid, Signal::WINCH).expect("a child can be signalled");
    wait_until("the narrow table to be drawn", || terminal.seen().contains("…\n"));
    scene.touch("go");
    assert!(child.wait().expect("a child").success());
    wait_until("the end to be drawn", || terminal.seen().contains("1 of 1 ended"));

    let seen = terminal.seen();
    let drawings = drawings(&seen);
    let is_narrow = |rows: &[String]| rows.iter().all(|row| row.chars().count() <= 20);
    let narrow = drawings.iter().position(|(rows, _)| is_narrow(rows)).unwrap_or_else(|| panic!("{seen:?}"));
    let wide = &drawings[narrow - 1];
    // Above the table stands what has scrolled away.
    let rows: Vec<&String> =
        wide.0.iter().filter(|row| row.starts_with("story ") || row.starts_with("  ")).collect();
    let lines: usize = rows.iter().map(|row| row.chars().count().div_ceil(20)).sum();
    assert_eq!(wide.1, lines, "its rows take several lines now: {rows:?}");
}

#[test]
fn a_table_fits_on_the_terminal() {
    let scene = Scene::new();
    let long = "x".repeat(150);
    scene.run_plan(&plan([("a", does([format!("stderr:{long}"), "exit:1".to_owned()]))])).exits(1);
    for columns in [50, 240] {
        let terminal = Terminal::new(columns, 24);
        let mut command = scene.command(["ps", "--all"]);
        command.stdout(terminal.end_for_programs()).stderr(Stdio::null());
        assert!(command.status().expect("it starts").success());
        wait_until("two lines", || terminal.seen().matches('\n').count() == 2);
        let seen = terminal.seen();
        assert!(seen.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}: {seen}");
        assert_eq!(seen.contains(&long), columns == 240, "the whole where there is room: {seen}");
    }
}
