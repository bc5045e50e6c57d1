//! The words after `acp`: what the agent is like, and what it does in a turn.

use std::path::PathBuf;

/// Name, form and meaning of every word, for `--help`.
pub(crate) const FORMS: &[(&str, &str)] = &[
    ("log:FILE", "append what is heard to a file, one line each"),
    ("no-load", "cannot take up sessions"),
    ("auth:METHOD", "wants a log-in before a session"),
    ("version:N", "speaks this version of the protocol"),
    ("say:TEXT", "a piece of the answer"),
    ("think:TEXT", "a piece of thought"),
    ("tool:ID", "use a tool, with success"),
    ("loop:N", "use so many tools one after the other"),
    ("ask:TITLE", "ask for permission and wait for the answer"),
    ("cost:AMOUNT", "what the session has cost so far, in dollars"),
    ("wait-for:FILE", "wait until a file exists or the turn is cancelled"),
    ("hang", "wait until the turn is cancelled"),
    ("deaf", "wait for ever"),
    ("crash", "end in the middle of the turn"),
    ("crash-once:FILE", "end in the middle of the turn unless the file exists, and make it"),
    ("line:TEXT", "print a line that is no message"),
    ("flood:MIB", "so many MiB of the answer"),
    ("long-line:BYTES", "print a line of this length"),
    ("request:METHOD", "ask the client for something and wait for the answer"),
    ("notify:METHOD", "tell the client something"),
    ("append:FILE:LINE", "append a line to a file"),
    ("stop:REASON", "end the turn for this reason"),
    ("error:STATUS:TEXT", "refuse the prompt, with this HTTP status in the data"),
];

/// What the agent is like, and what it does in each turn.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) log: Option<PathBuf>,
    pub(super) loads: bool,
    pub(super) auth: Option<String>,
    pub(super) version: u64,
    pub(super) words: Vec<Word>,
}

/// One thing to do in a turn.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Say(String),
    Think(String),
    Tool(String),
    Loop(u64),
    Ask(String),
    Cost(f64),
    WaitFor(PathBuf),
    Hang,
    Deaf,
    Crash,
    CrashOnce(PathBuf),
    Line(String),
    Flood(u64),
    LongLine(usize),
    Request(String),
    Notify(String),
    Append { file: PathBuf, line: String },
    Stop(String),
    Error { status: i64, text: String },
}

impl Script {
    /// Reads all words before the first is done.
    pub(super) fn read(words: &[String]) -> Result<Self, String> {
        let mut script = Self { log: None, loads: true, auth: None, version: 1, words: Vec::new() };
        for word in words {
            let (name, rest) = word.split_once(':').unwrap_or((word, ""));
            match name {
                "log" => script.log = Some(rest.into()),
                "no-load" => script.loads = false,
                "auth" => script.auth = Some(rest.to_owned()),
                "version" => script.version = number(rest)?,
                _ => script.words.push(Word::read(word, name, rest)?),
            }
        }
        Ok(script)
    }
}

impl Word {
    fn read(word: &str, name: &str, rest: &str) -> Result<Self, String> {
        let text = rest.to_owned();
        Ok(match name {
            "say" => Self::Say(text),
            "think" => Self::Think(text),
            "tool" => Self::Tool(text),
            "loop" => Self::Loop(number(rest)?),
            "ask" => Self::Ask(text),
            "cost" => Self::Cost(number(rest)?),
            "wait-for" => Self::WaitFor(rest.into()),
            "hang" => Self::Hang,
            "deaf" => Self::Deaf,
            "crash" => Self::Crash,
            "crash-once" => Self::CrashOnce(rest.into()),
            "line" => Self::Line(text),
            "flood" => Self::Flood(number(rest)?),
            "long-line" => Self::LongLine(number(rest)?),
            "request" => Self::Request(text),
            "notify" => Self::Notify(text),
            "append" => {
                let (file, line) = rest.split_once(':').ok_or_else(|| format!("{word:?} names no line"))?;
                Self::Append { file: file.into(), line: line.to_owned() }
            }
            "stop" => Self::Stop(text),
            "error" => {
                let (status, text) = rest.split_once(':').unwrap_or((rest, ""));
                Self::Error { status: number(status)?, text: text.to_owned() }
            }
            _ => return Err(format!("{word:?} is no word of a turn; --help lists them")),
        })
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
