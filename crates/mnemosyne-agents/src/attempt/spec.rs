//! What the shim is told to run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SPEC_FILE, write_whole};
use crate::output::OutputLimits;

/// The version of `spec.json` this build writes, and the newest it runs.
pub const SPEC_VERSION: u32 = 1;
/// Time between the polite signal and the kill, unless the spec says otherwise.
pub const GRACE_MS_DEFAULT: u64 = 10_000;
/// Time that processes the agent left behind get to end, unless the spec says otherwise.
pub const SWEEP_GRACE_MS_DEFAULT: u64 = 500;

/// The standard input of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdinSource {
    /// `/dev/null`: agents that wait for input end instead of hanging.
    #[default]
    Null,
    /// A file, opened for reading.
    File(PathBuf),
    /// A text, for prompts that are too long for an argument.
    Inline(String),
    /// A pipe that the shim holds and feeds with the lines of the file `input`
    /// in the attempt folder, also with those that are added while the agent runs.
    Talk,
}

/// Everything the shim needs to know about one process attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Version of this format.
    pub version: u32,
    /// Program and arguments, handed over verbatim; never a shell line.
    pub argv: Vec<String>,
    /// The whole environment of the agent: nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working folder of the agent.
    pub cwd: PathBuf,
    /// Standard input of the agent.
    #[serde(default)]
    pub stdin: StdinSource,
    /// Put into the environment of the agent, and so of everything it starts.
    pub cookie: String,
    /// Milliseconds between the polite signal and the kill.
    pub grace_ms: u64,
    /// Milliseconds that processes left behind by an agent that ended get to end.
    pub sweep_grace_ms: u64,
    /// How much of each output stream is kept from its beginning.
    pub output_head_bytes: u64,
    /// How much of each output stream is kept from its end (at least half of it at any moment).
    pub output_tail_bytes: u64,
    /// Standard output is kept whole in its file, up to so many bytes; more ends
    /// the attempt. For agents whose output is one side of a conversation.
    #[serde(default)]
    pub stdout_whole_bytes: Option<u64>,
    /// Milliseconds the agent may run, enforced even while no node lives.
    #[serde(default)]
    pub run_limit_ms: Option<u64>,
    /// Words of the node about this attempt; carried along, read by nobody here.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl LaunchSpec {
    /// A spec with default limits, an empty environment and no input.
    #[must_use]
    pub fn new(argv: Vec<String>, cwd: PathBuf, cookie: String) -> Self {
        let limits = OutputLimits::default();
        Self {
            version: SPEC_VERSION,
            argv,
            env: BTreeMap::new(),
            cwd,
            stdin: StdinSource::Null,
            cookie,
            grace_ms: GRACE_MS_DEFAULT,
            sweep_grace_ms: SWEEP_GRACE_MS_DEFAULT,
            output_head_bytes: limits.head_bytes,
            output_tail_bytes: limits.tail_bytes,
            stdout_whole_bytes: None,
            run_limit_ms: None,
            labels: BTreeMap::new(),
        }
    }

    /// Reads the spec of an attempt folder.
    ///
    /// # Errors
    /// When the file cannot be read, is no spec, or is of a newer version.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let spec: Self = serde_json::from_slice(&std::fs::read(dir.join(SPEC_FILE))?)?;
        if spec.version > SPEC_VERSION {
            return Err(invalid(format!(
                "spec.json has version {}, this build knows {SPEC_VERSION}",
                spec.version
            )));
        }
        spec.check()?;
        Ok(spec)
    }

    /// Writes the spec into an attempt folder, atomically.
    ///
    /// # Errors
    /// When the spec cannot be run by anyone, or the file cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        self.check()?;
        write_whole(&dir.join(SPEC_FILE), &serde_json::to_vec(self)?)
    }

    /// The limits of each output stream.
    #[must_use]
    pub fn output_limits(&self) -> OutputLimits {
        OutputLimits { head_bytes: self.output_head_bytes, tail_bytes: self.output_tail_bytes }
    }

    /// Time between the polite signal and the kill.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// What the kernel would refuse, or worse, would understand differently.
    fn check(&self) -> io::Result<()> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(invalid("the command names no program".to_owned()));
        }
        if self.cookie.is_empty() {
            return Err(invalid("the cookie is empty".to_owned()));
        }
        let texts = self.argv.iter().chain(self.env.keys()).chain(self.env.values());
        if texts.chain([&self.cookie]).any(|text| text.contains('\0')) {
            return Err(invalid("a NUL byte in the arguments, environment or cookie".to_owned()));
        }
        match self.env.keys().find(|name| name.is_empty() || name.contains('=')) {
            Some(name) => Err(invalid(format!("{name:?} cannot name an environment variable"))),
            None => Ok(()),
        }
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec::new(vec!["true".to_owned()], PathBuf::from("/"), "cookie-1".to_owned())
    }

    #[test]
    fn a_spec_written_is_the_spec_read() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut written = spec();
        written.stdin = StdinSource::Inline("do it\n".to_owned());
        written.run_limit_ms = Some(7);
        written.write(dir.path()).expect("written");
        assert_eq!(LaunchSpec::read(dir.path()).expect("read"), written);
    }

    #[test]
    fn fields_of_a_newer_writer_are_ignored_but_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut value = serde_json::to_value(spec()).expect("a value");
        value["from_the_future"] = 1.into();
        std::fs::write(dir.path().join(SPEC_FILE), value.to_string()).expect("written");
        assert_eq!(LaunchSpec::read(dir.path()).expect("read"), spec());
        value["version"] = (SPEC_VERSION + 1).into();
        std::fs::write(dir.path().join(SPEC_FILE), value.to_string()).expect("written");
        assert!(LaunchSpec::read(dir.path()).is_err());
    }

    #[test]
    fn what_cannot_be_run_is_refused_before_it_is_written() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let broken: [fn(&mut LaunchSpec); 5] = [
            |spec| spec.argv.clear(),
            |spec| spec.argv[0].clear(),
            |spec| spec.cookie.clear(),
            |spec| spec.argv.push("a\0b".to_owned()),
            |spec| drop(spec.env.insert("A=B".to_owned(), String::new())),
        ];
        for break_it in broken {
            let mut spec = spec();
            break_it(&mut spec);
            assert!(spec.write(dir.path()).is_err(), "{spec:?}");
        }
    }
}
