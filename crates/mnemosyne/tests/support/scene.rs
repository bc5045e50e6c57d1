//! A folder of its own with the binary in a clean environment.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::processes::{self, Process};
use super::{Outcome, Running};

/// The binary that was built with these tests.
const BUILT: &str = env!("CARGO_BIN_EXE_mnemosyne");
/// Commands that take longer hang.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(120);

/// A temporary folder, which is the working folder and the HOME of every
/// command in it. When it is dropped, every process that belongs to it is killed.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    home: PathBuf,
    commands: Cell<u32>,
}

impl Scene {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("mnemosyne-test-").tempdir().expect("a temporary folder");
        let path = folder.path().canonicalize().expect("the folder exists");
        let home = path.join("home");
        fs::create_dir(&home).expect("a new folder");
        fs::create_dir(path.join("streams")).expect("a new folder");
        Self { folder, home, commands: Cell::new(0) }
    }

    /// The working folder.
    pub(crate) fn path(&self) -> &Path {
        &self.home
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join(".mnemosyne")
    }

    /// Path of a file in the working folder, as text for plans.
    pub(crate) fn at(&self, name: &str) -> String {
        self.home.join(name).to_str().expect("the folder has a plain name").to_owned()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.home.join(name), text).expect("the folder can be written");
    }

    /// Makes an empty file: what `wait-for` of the fake agent waits for.
    pub(crate) fn touch(&self, name: &str) {
        self.write(name, "");
    }

    /// Reads a file; empty when it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).unwrap_or_default()
    }

    /// Lines of a file that agents append to; none when it is not there.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        self.read(name).lines().map(str::to_owned).collect()
    }

    /// A command with nothing of the environment of the test but PATH (and where coverage goes).
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.program(mnemosyne());
        command.args(arguments);
        command
    }

    /// Some program in the same environment.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.home).env_clear().env("HOME", &self.home).stdin(Stdio::null());
        for name in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// The same with a limit on open files, which agents inherit.
    pub(crate) fn command_with_files<A: AsRef<OsStr>>(
        &self,
        files_max: usize,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let limit = format!("ulimit -n {files_max}; exec \"$@\"");
        let mut words: Vec<OsString> = ["-c", limit.as_str(), "sh", mnemosyne()].map(OsString::from).to_vec();
        words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let mut command = self.program("/bin/sh");
        command.args(words);
        command
    }

    /// Starts a command.
    pub(crate) fn spawn<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.start(self.command(arguments))
    }

    /// Starts a command that was changed beforehand. Its output goes to files, so it never has to wait for us.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let number = self.commands.replace(self.commands.get() + 1);
        let stream = |name: &str| self.folder.path().join("streams").join(format!("{number}.{name}"));
        let (stdout, stderr) = (stream("stdout"), stream("stderr"));
        let create = |path: &Path| File::create(path).expect("the folder can be written");
        let child = command.stdout(create(&stdout)).stderr(create(&stderr)).spawn().expect("the binary starts");
        let words = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        Running { command: words, child, stdout, stderr, ended: None }
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        self.spawn(arguments).wait_within(COMMAND_TIME_MAX)
    }

    /// Runs a command given as one line of words.
    #[track_caller]
    pub(crate) fn line(&self, words: &str) -> Outcome {
        self.run(words.split_whitespace())
    }

    /// Runs a command with `--json`; it must succeed.
    #[track_caller]
    pub(crate) fn json(&self, words: &str) -> Value {
        self.run(words.split_whitespace().chain(["--json"])).exits(0).json()
    }

    /// Runs a plan to its end.
    #[track_caller]
    pub(crate) fn run_plan(&self, plan: &str) -> Outcome {
        self.write("plan.yaml", plan);
        self.line("run plan.yaml")
    }

    /// Submits a plan and returns the id of its run.
    #[track_caller]
    pub(crate) fn submit(&self, plan: &str) -> String {
        self.write("plan.yaml", plan);
        self.line("submit plan.yaml").exits(0).first_line().to_owned()
    }

    /// All processes that belong to this scene: commands, shims, agents, and whatever these have started.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::of_folder(self.folder.path())
    }

    /// Those of them that are scripted agents at work.
    pub(crate) fn agents(&self) -> Vec<Process> {
        let mut found = self.processes();
        found.retain(|process| process.command.first().is_some_and(|program| program == fake_agent()));
        found
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        processes::kill_all(|| self.processes());
    }
}

/// Path of the binary under test: the one that was built with these tests, unless `MNEMOSYNE_TEST_PROGRAM` names another.
pub(crate) fn mnemosyne() -> &'static str {
    static PATH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PATH.get_or_init(|| std::env::var("MNEMOSYNE_TEST_PROGRAM").unwrap_or_else(|_| BUILT.to_owned()))
}

/// Path of the scripted agent.
pub(crate) fn fake_agent() -> &'static str {
    static PATH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PATH.get_or_init(|| {
        let path = Path::new(BUILT).with_file_name("fake-agent");
        assert!(path.is_file(), "{} is missing: cargo build -p fake-agent", path.display());
        path.to_str().expect("the target folder has a plain name").to_owned()
    })
}
