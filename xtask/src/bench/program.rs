//! The product's program, run as a user runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::output::say;
use crate::workspace;

/// How often the memory of a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Bytes of its messages that an error repeats.
const SAID_BYTES_MAX: usize = 2_000;

/// The program that is measured.
pub(super) struct Program(PathBuf);

/// A program that ran to its end.
pub(super) struct Ended {
    pub(super) stdout: String,
    pub(super) took: Duration,
    /// The most memory it had at once, in bytes.
    pub(super) memory: u64,
}

impl Program {
    /// The given program, or else the release build of this tree, which is built when needed.
    pub(super) fn find(given: Option<&Path>) -> Result<Self> {
        if let Some(path) = given {
            ensure!(path.is_file(), "there is no program {}", path.display());
            return Ok(Self(std::path::absolute(path)?));
        }
        say("building the program in release mode");
        let root = workspace::root();
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--package", "mnemosyne"])
            .current_dir(&root)
            .status()
            .context("cannot run cargo")?;
        ensure!(built.success(), "the program cannot be built; --program names one that is there");
        Ok(Self(workspace::target_folder(&root)?.join("release/mnemosyne")))
    }

    #[cfg(feature = "bench")]
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs a command in `folder`, with its data directory there and nothing of
    /// the environment but PATH. What it says goes to a file, so that nobody has to read along.
    pub(super) fn run(&self, folder: &Path, arguments: &[&str]) -> Result<Ended> {
        let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot make {}", path.display()));
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir(folder).env_clear().env("HOME", folder);
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.0.display()))?;
        let mut memory = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            memory = memory.max(memory_max(child.id()).unwrap_or(0));
            std::thread::sleep(LOOK_EVERY);
        };
        let took = begun.elapsed();
        if !status.success() {
            let said = fs::read_to_string(&stderr).unwrap_or_default();
            let from = said.floor_char_boundary(said.len().saturating_sub(SAID_BYTES_MAX));
            bail!("`mnemosyne {}` ended with {status}:\n{}", arguments.join(" "), said[from..].trim_end());
        }
        let stdout =
            fs::read_to_string(&stdout).with_context(|| format!("cannot read {}", stdout.display()))?;
        Ok(Ended { stdout, took, memory })
    }
}

/// The most memory a process has had so far, in bytes; none when it has ended.
fn memory_max(pid: u32) -> Option<u64> {
    status_bytes(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// A size that the kernel tells about a process.
pub(super) fn status_bytes(path: &str, field: &str) -> Option<u64> {
    let status = fs::read_to_string(path).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// How many processes want to run at the moment, in words: figures of a busy machine say less.
pub(super) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}
