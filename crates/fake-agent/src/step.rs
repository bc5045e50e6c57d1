//! The steps: their names, their forms, and how they are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::dialect;

/// Name, form and meaning of every step, for `--help`.
const FORMS: &[(&str, &str)] = &[
    ("sleep:D", "sleep for a duration: 50ms, 2s, 1m"),
    ("stdout:TEXT", "print a line to standard output"),
    ("stderr:TEXT", "print a line to standard error"),
    (
        "says:DIALECT:EVENT:TEXT",
        "print what claude-code, codex, gemini or opencode print: begin, done, throttled, …",
    ),
    ("raw:HEX", "print these bytes to standard output, as they are"),
    ("stream:N:D", "print N numbered lines, one every D"),
    ("flood:BYTES[:nonewline]", "print so many bytes (k, M, G) as fast as the pipe takes them"),
    ("append:FILE:LINE", "append a line to a file, in one write"),
    ("write:FILE:TEXT", "replace the content of a file"),
    ("output-json:TEXT", "write the text to $MNEMOSYNE_OUTPUT_FILE"),
    ("pid:FILE", "append the own process id to a file"),
    ("wait-for:FILE", "wait until a file exists"),
    ("env", "print the environment, one NAME=VALUE a line"),
    ("args", "print the arguments after this one, one a line, and end"),
    ("read-stdin", "read standard input to its end and print it"),
    ("hang-stdin", "read standard input to its end and print nothing"),
    ("ignore-term", "ignore SIGTERM from here on, children included"),
    ("grandchild[:setsid][:hold-stdout][:stubborn]:D", "start a process that sleeps for D and leave it behind"),
    ("daemonize:D", "the same by way of a process in between that ends: a daemon in its own session"),
    ("fail-until:N:FILE", "count the attempts in a file; exit 1 unless this is at least the Nth"),
    ("burn-cpu:D", "compute until the process has used so much CPU time"),
    ("alloc:BYTES", "take so much memory and touch all of it"),
    ("signal-self:SIG", "send TERM, KILL, INT, HUP, ABRT or STOP to oneself"),
    ("setsid", "leave the session"),
    ("acp", "speak the Agent Client Protocol from here on; what follows are the words below"),
    ("exit:CODE", "end with this code"),
];

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Sleep(Duration),
    Stdout(String),
    Stderr(String),
    Raw(Vec<u8>),
    Stream {
        lines: u64,
        every: Duration,
    },
    Flood {
        bytes: u64,
        newlines: bool,
    },
    Append {
        file: PathBuf,
        line: String,
    },
    Write {
        file: PathBuf,
        text: String,
    },
    OutputJson(String),
    Pid(PathBuf),
    WaitFor(PathBuf),
    Env,
    Args,
    ReadStdin {
        print: bool,
    },
    IgnoreTerm,
    Grandchild(Grandchild),
    Daemonize(String),
    FailUntil {
        attempt: u64,
        file: PathBuf,
    },
    BurnCpu(Duration),
    Alloc(usize),
    SignalSelf(String),
    Setsid,
    Acp,
    Exit(u8),
    /// What follows `args` and `acp` is not for us.
    Verbatim,
}

/// A process to leave behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grandchild {
    pub(crate) setsid: bool,
    pub(crate) hold_stdout: bool,
    pub(crate) stubborn: bool,
    pub(crate) sleep: String,
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let step = match name {
            "sleep" => Self::Sleep(duration(rest)?),
            "stdout" => Self::Stdout(rest.to_owned()),
            "stderr" => Self::Stderr(rest.to_owned()),
            "says" => Self::Stdout(dialect::lines(rest)?),
            "raw" => Self::Raw(hex(rest)?),
            "stream" => {
                let (lines, every) = pair(rest)?;
                Self::Stream { lines: number(lines)?, every: duration(every)? }
            }
            "flood" => {
                let (bytes, word) = rest.split_once(':').unwrap_or((rest, ""));
                Self::Flood { bytes: size(bytes)?, newlines: word != "nonewline" }
            }
            "append" => {
                pair(rest).map(|(file, line)| Self::Append { file: file.into(), line: line.to_owned() })?
            }
            "write" => {
                pair(rest).map(|(file, text)| Self::Write { file: file.into(), text: text.to_owned() })?
            }
            "output-json" => Self::OutputJson(rest.to_owned()),
            "pid" => Self::Pid(rest.into()),
            "wait-for" => Self::WaitFor(rest.into()),
            "env" => Self::Env,
            "args" => Self::Args,
            "read-stdin" => Self::ReadStdin { print: true },
            "hang-stdin" => Self::ReadStdin { print: false },
            "ignore-term" => Self::IgnoreTerm,
            "grandchild" => Self::Grandchild(grandchild(rest)?),
            "daemonize" => duration(rest).map(|_| Self::Daemonize(rest.to_owned()))?,
            "fail-until" => {
                let (attempt, file) = pair(rest)?;
                Self::FailUntil { attempt: number(attempt)?, file: file.into() }
            }
            "burn-cpu" => Self::BurnCpu(duration(rest)?),
            "alloc" => Self::Alloc(usize::try_from(size(rest)?).map_err(|error| error.to_string())?),
            "signal-self" => Self::SignalSelf(rest.to_owned()),
            "setsid" => Self::Setsid,
            "acp" => Self::Acp,
            "exit" => Self::Exit(rest.parse().map_err(|_| format!("{rest:?} is not an exit code"))?),
            _ => return Err(format!("{text:?} is not a step; --help lists them")),
        };
        Ok(step)
    }
}

/// Reads the script; what follows `args` or `acp` is taken as it is.
pub(crate) fn parse_script(arguments: &[String]) -> Result<Vec<Step>, String> {
    let mut verbatim = false;
    let mut steps = Vec::with_capacity(arguments.len());
    for argument in arguments {
        steps.push(if verbatim { Step::Verbatim } else { argument.parse()? });
        verbatim |= argument == "args" || argument == "acp";
    }
    Ok(steps)
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = "fake-agent STEP…: does one step after the other, then exits with 0\n\
                    fake-agent endpoint [--script FILE|JSON] [--port N]: a scripted endpoint of a model\n\n"
        .to_owned();
    for (form, meaning) in FORMS {
        text.push_str(&format!("  {form:<48} {meaning}\n"));
    }
    text.push_str("\nWhat follows `acp`, and is done in each turn:\n\n");
    for (form, meaning) in crate::acp::FORMS {
        text.push_str(&format!("  {form:<48} {meaning}\n"));
    }
    text
}

fn grandchild(rest: &str) -> Result<Grandchild, String> {
    let mut wanted = Grandchild::default();
    for word in rest.split(':') {
        match word {
            "setsid" => wanted.setsid = true,
            "hold-stdout" => wanted.hold_stdout = true,
            "stubborn" => wanted.stubborn = true,
            sleep => duration(sleep).map(|_| sleep.clone_into(&mut wanted.sleep))?,
        }
    }
    if wanted.sleep.is_empty() {
        return Err(format!("{rest:?}: a grandchild needs to know for how long"));
    }
    Ok(wanted)
}

fn pair(rest: &str) -> Result<(&str, &str), String> {
    rest.split_once(':').ok_or_else(|| format!("{rest:?} has one part, two are needed"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration");
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    number(count)?.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

fn size(text: &str) -> Result<u64, String> {
    let (count, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number(count)?.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not a row of hexadecimal bytes");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_step_may_contain_colons() {
        let step: Step = "append:log:12:30 done".parse().expect("a step");
        assert_eq!(step, Step::Append { file: "log".into(), line: "12:30 done".to_owned() });
    }

    #[test]
    fn every_step_of_the_help_is_known_and_nothing_else() {
        for (form, _) in FORMS {
            let name = form.split([':', '[']).next().expect("a name");
            let error = format!("{name}:").parse::<Step>().err().unwrap_or_default();
            assert!(!error.contains("--help"), "{form}: {error}");
        }
        for text in
            ["", "sleep", "sleep:5", "exit:300", "grandchild", "stream:3", "flood:x", "raw:1", "dance:1"]
        {
            assert!(text.parse::<Step>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_follows_args_is_not_read_as_steps() {
        let script = ["stdout:a".to_owned(), "args".to_owned(), "--dance".to_owned()];
        assert_eq!(parse_script(&script), Ok(vec![Step::Stdout("a".to_owned()), Step::Args, Step::Verbatim]));
    }
}
