//! Doing the steps.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::ClockId;

use crate::step::{Grandchild, Step};

/// How often a step that waits for something looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Makes a process ignore SIGTERM and then execute its arguments in its place: ignored signals stay so.
const IGNORE_TERM: &str = r#"trap "" TERM; exec "$@""#;

/// A running script.
pub(crate) struct Agent<'a> {
    arguments: &'a [String],
    /// Memory taken by `alloc`, held to the end.
    held: Vec<Vec<u8>>,
}

impl<'a> Agent<'a> {
    /// The agent whose script these arguments are.
    pub(crate) fn new(arguments: &'a [String]) -> Self {
        Self { arguments, held: Vec::new() }
    }

    /// Does all steps; returns the exit code.
    pub(crate) fn perform(&mut self, steps: &[Step]) -> io::Result<u8> {
        for (index, step) in steps.iter().enumerate() {
            let rest = self.arguments.get(index + 1..).unwrap_or_default();
            if let Some(code) = self.step(step, rest)? {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// Does one step; an exit code means that it was the last. `rest` is the script after it.
    fn step(&mut self, step: &Step, rest: &[String]) -> io::Result<Option<u8>> {
        match step {
            Step::Sleep(duration) => std::thread::sleep(*duration),
            Step::Stdout(line) => print(&format!("{line}\n"))?,
            Step::Stderr(line) => complain(line),
            Step::Raw(bytes) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())?,
            Step::Stream { lines, every } => {
                for line in 1..=*lines {
                    print(&format!("line {line}\n"))?;
                    std::thread::sleep(*every);
                }
            }
            Step::Flood { bytes, newlines } => flood(*bytes, *newlines)?,
            Step::Append { file, line } => append(file, line)?,
            Step::Write { file, text } => std::fs::write(file, text)?,
            Step::OutputJson(text) => output_json(text)?,
            Step::Pid(file) => append(file, &std::process::id().to_string())?,
            Step::WaitFor(file) => {
                while !file.exists() {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
            Step::Env => {
                let lines = std::env::vars_os()
                    .map(|(name, value)| format!("{}={}\n", name.display(), value.display()));
                print(&lines.collect::<String>())?;
            }
            Step::Args => {
                print(&rest.iter().map(|argument| format!("{argument}\n")).collect::<String>())?;
                return Ok(Some(0));
            }
            Step::ReadStdin { print: shown } => {
                let mut text = Vec::new();
                io::stdin().read_to_end(&mut text)?;
                if *shown {
                    io::stdout().write_all(&text).and_then(|()| io::stdout().flush())?;
                }
            }
            Step::IgnoreTerm => return Err(ignoring_term(rest).exec()),
            Step::Grandchild(wanted) => leave_behind(wanted)?,
            Step::Daemonize(sleep) => {
                let in_between = [format!("grandchild:setsid:{sleep}"), "exit:0".to_owned()];
                myself(&in_between).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.wait()?;
            }
            Step::FailUntil { attempt, file } => return fail_until(*attempt, file),
            Step::BurnCpu(duration) => burn(*duration),
            Step::Alloc(bytes) => self.held.push(black_box(vec![1; *bytes])),
            Step::SignalSelf(name) => rustix::process::kill_process(rustix::process::getpid(), signal(name)?)?,
            Step::Setsid => drop(rustix::process::setsid()?),
            Step::Acp => return crate::acp::speak(rest).map(Some).map_err(io::Error::other),
            Step::Exit(code) => return Ok(Some(*code)),
            Step::Verbatim => {}
        }
        Ok(None)
    }
}

/// Prints to standard output at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()
}

/// Prints a line to standard error; there is nobody to tell if that fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

pub(crate) fn append(file: &Path, line: &str) -> io::Result<()> {
    // One write, so that lines of several agents do not mix.
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn flood(bytes: u64, newlines: bool) -> io::Result<()> {
    let mut block = vec![b'x'; 64 * 1024];
    if newlines {
        block.iter_mut().skip(79).step_by(80).for_each(|byte| *byte = b'\n');
    }
    let mut left = bytes;
    let mut out = io::stdout().lock();
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        out.write_all(&block[..count])?;
        left -= count as u64;
    }
    out.flush()
}

fn output_json(text: &str) -> io::Result<()> {
    let file = std::env::var_os("MNEMOSYNE_OUTPUT_FILE")
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "MNEMOSYNE_OUTPUT_FILE is not set"))?;
    std::fs::write(file, text)
}

fn fail_until(attempt: u64, file: &Path) -> io::Result<Option<u8>> {
    append(file, "attempt")?;
    let attempts = std::fs::read_to_string(file)?.lines().count() as u64;
    Ok((attempts < attempt).then_some(1))
}

/// Starts a process and does not wait for it.
fn leave_behind(wanted: &Grandchild) -> io::Result<()> {
    let mut script = Vec::new();
    if wanted.setsid {
        script.push("setsid".to_owned());
    }
    script.push(format!("sleep:{}", wanted.sleep));
    let mut command = if wanted.stubborn { ignoring_term(&script) } else { myself(&script) };
    command.stdin(Stdio::null());
    if !wanted.hold_stdout {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    command.spawn()?;
    Ok(())
}

/// This program with another script.
fn myself(script: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(script);
    command
}

/// The same, ignoring SIGTERM. The path is spelt out: behind `sh`, `/proc/self/exe` would be `sh`.
fn ignoring_term(script: &[String]) -> Command {
    let me = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", IGNORE_TERM, "sh"]).arg(me).args(script);
    command
}

/// By the clock of the process, so that a busy machine does not make it less.
fn burn(duration: Duration) {
    let mut value = 1_u64;
    while cpu_time() < duration {
        for _ in 0..10_000 {
            value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn signal(name: &str) -> io::Result<Signal> {
    Ok(match name {
        "TERM" => Signal::TERM,
        "KILL" => Signal::KILL,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        "ABRT" => Signal::ABORT,
        "STOP" => Signal::STOP,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not a signal I send"),
            ));
        }
    })
}
