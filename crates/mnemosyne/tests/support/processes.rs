//! Looking at processes, and ending those of a scene.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

/// How long killed processes may take to disappear.
const KILL_TIME_MAX: Duration = Duration::from_secs(20);

/// A process as `/proc` shows it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) command: Vec<String>,
    environment: Vec<Vec<u8>>,
    /// Taken before the rest was read again, so a signal through it never reaches a stranger.
    handle: OwnedFd,
}

impl Process {
    /// Whether it is the shim of an attempt.
    pub(crate) fn is_shim(&self) -> bool {
        self.command.get(1).is_some_and(|word| word == "shim")
    }

    /// Value of a variable of the environment it was started with.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let value = |entry: &Vec<u8>| {
            let text = String::from_utf8_lossy(entry).into_owned();
            text.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        };
        self.environment.iter().find_map(value)
    }

    /// kill -9.
    pub(crate) fn kill(&self) {
        // It may have ended by itself.
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
    }

    fn mentions(&self, folder: &str) -> bool {
        self.command.iter().any(|word| word.contains(folder))
            || self.environment.iter().any(|entry| contains(entry, folder.as_bytes()))
    }
}

/// The processes that name a folder in their arguments or their environment. Zombies have neither.
pub(crate) fn of_folder(folder: &Path) -> Vec<Process> {
    let folder = folder.to_str().expect("the folder has a plain name");
    of(|process| process.mentions(folder))
}

/// The processes that carry a cookie: an attempt's agent and whatever it has started.
pub(crate) fn with_cookie(cookie: &str) -> Vec<Process> {
    of(|process| process.variable("MNEMOSYNE_COOKIE").as_deref() == Some(cookie))
}

/// Kills what `find` finds until it finds nothing.
pub(crate) fn kill_all(find: impl Fn() -> Vec<Process>) {
    let started = Instant::now();
    loop {
        let mut found = find();
        if found.is_empty() || started.elapsed() > KILL_TIME_MAX {
            return;
        }
        // Shims first: one that survives its agent would report how the agent ended.
        found.sort_by_key(|process| !process.is_shim());
        found.iter().for_each(Process::kill);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The most memory a process has had so far, in bytes; none when it has ended.
pub(crate) fn memory_max(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many files a process has open.
pub(crate) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there").count()
}

/// How often the threads of a process have gone to sleep so far: that many times they were awake.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there").flatten();
    let count = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?
            .trim()
            .parse::<u64>()
            .ok()
    };
    threads.filter_map(count).sum()
}

fn of(wanted: impl Fn(&Process) -> bool) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id()).filter_map(read).filter(|process| wanted(process)).collect()
}

fn read(pid: u32) -> Option<Process> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let handle = rustix::process::pidfd_open(id, PidfdFlags::empty()).ok()?;
    let list = |name: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
        Some(
            bytes
                .split(|byte| *byte == 0)
                .filter(|part| !part.is_empty())
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>(),
        )
    };
    let command = list("cmdline")?.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Process { pid, command, environment: list("environ")?, handle })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
