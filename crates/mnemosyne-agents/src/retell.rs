//! What agents print, retold for people who watch.
//!
//! ```text
//!   a line of JSON ──told (pure)──▶ what it tells ──Retelling──▶ short lines of text
//! ```
//! Most agents print lines of JSON. Of each there is a pure function for their language: what the agent says or thinks,
//! which tool it uses, what went wrong. Lines that are not of the language are shown as they are, so nothing is lost that
//! somebody did not foresee. What is shown is for eyes: nothing is decided by it, and it is not escaped yet.

use mnemosyne_core::config::elements::Dialect;
use serde_json::Value;

use crate::{acp, dialect};

/// Bytes of a note: what a tool is given, or an error.
const NOTE_BYTES_MAX: usize = 300;
/// Bytes of a line that comes in pieces; a longer one is shown in several.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// What a tool is given that says most about its use, the best first.
const TELLING: [&str; 8] =
    ["command", "file_path", "filePath", "path", "pattern", "query", "url", "description"];

/// How the output of an agent is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The lines of a headless program.
    Dialect(Dialect),
    /// The Agent Client Protocol.
    Acp,
}

/// Something that a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    kind: Kind,
    text: String,
    /// The next one of its kind goes on where it ends.
    goes_on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The agent says it.
    Said,
    /// The agent thinks it.
    Thought,
    /// The answer at the end, which mostly has been said before.
    Answer,
    /// It is about what the agent does.
    Note,
}

impl Told {
    pub(crate) fn said(text: &str) -> Self {
        Self { kind: Kind::Said, text: text.to_owned(), goes_on: false }
    }

    pub(crate) fn thought(text: &str) -> Self {
        Self { kind: Kind::Thought, ..Self::said(text) }
    }

    pub(crate) fn answer(text: &str) -> Self {
        Self { kind: Kind::Answer, ..Self::said(text) }
    }

    pub(crate) fn piece(self) -> Self {
        Self { goes_on: true, ..self }
    }

    /// A use of a tool, with what it is given.
    pub(crate) fn uses(tool: &str, given: &Value) -> Self {
        let telling = TELLING.iter().find_map(|key| given.get(key)?.as_str());
        let given = match (telling.or_else(|| given.as_str()), given) {
            (Some(telling), _) => telling.to_owned(),
            (None, Value::Null) => String::new(),
            (None, Value::Object(fields)) if fields.is_empty() => String::new(),
            (None, given) => given.to_string(),
        };
        let tool = if tool.is_empty() { "a tool" } else { tool };
        Self::note("uses", &if given.is_empty() { tool.to_owned() } else { format!("{tool}: {given}") })
    }

    pub(crate) fn error(text: &str) -> Self {
        Self::note("error", if text.trim().is_empty() { "it does not say which" } else { text })
    }

    /// What an agent does, in one line.
    pub(crate) fn note(label: &str, text: &str) -> Self {
        let kept = &text[..text.floor_char_boundary(NOTE_BYTES_MAX)];
        let words: Vec<&str> = kept.split_whitespace().collect();
        let more = if kept.len() < text.len() { "…" } else { "" };
        Self { kind: Kind::Note, text: format!("[{label}] {}{more}", words.join(" ")), goes_on: false }
    }
}

/// What a line tells; none when it is not of the language.
fn told(language: Language, line: &[u8]) -> Option<Vec<Told>> {
    match language {
        Language::Dialect(dialect) => dialect::told(dialect, line),
        Language::Acp => acp::told(line),
    }
}

/// Retells the output of one agent, line by line.
#[derive(Debug)]
pub struct Retelling {
    language: Language,
    /// The beginning of a line that comes in pieces.
    begun: Option<(Kind, String)>,
    /// The latest note: what went wrong is often told twice.
    noted: String,
    has_said: bool,
}

impl Retelling {
    /// Nothing has been printed so far.
    #[must_use]
    pub fn new(language: Language) -> Self {
        Self { language, begun: None, noted: String::new(), has_said: false }
    }

    /// The lines that are to be shown for the next line of output: perhaps none yet.
    pub fn line(&mut self, line: &[u8]) -> Vec<Vec<u8>> {
        let mut shown = Vec::new();
        match told(self.language, line) {
            Some(told) => told.into_iter().for_each(|told| self.tell(told, &mut shown)),
            None => {
                self.end_line(&mut shown);
                shown.push(line.to_owned());
            }
        }
        shown
    }

    /// Nothing more comes, or something is missing here: what is to be shown of what was begun.
    pub fn end(&mut self) -> Vec<Vec<u8>> {
        let mut shown = Vec::new();
        self.end_line(&mut shown);
        shown
    }

    fn tell(&mut self, told: Told, shown: &mut Vec<Vec<u8>>) {
        let Told { kind, text, goes_on } = told;
        if !self.begun.as_ref().is_some_and(|(begun, _)| *begun == kind && goes_on) {
            self.end_line(shown);
        }
        match kind {
            Kind::Note => {
                if self.noted != text {
                    shown.push(text.clone().into_bytes());
                    self.noted = text;
                }
                return;
            }
            Kind::Answer if self.has_said => return,
            Kind::Said | Kind::Answer => self.has_said |= !text.trim().is_empty(),
            Kind::Thought => {}
        }
        let (_, begun) = self.begun.get_or_insert((kind, String::new()));
        begun.push_str(&text);
        let rest = match begun.rfind('\n') {
            Some(end) => begun.split_off(end + 1),
            None if begun.len() > LINE_BYTES_MAX => String::new(),
            None if goes_on => return,
            None => String::new(),
        };
        let whole = std::mem::replace(begun, rest);
        shown.extend(whole.lines().map(|line| marked(kind, line)));
        if !goes_on {
            self.end_line(shown);
        }
    }

    fn end_line(&mut self, shown: &mut Vec<Vec<u8>>) {
        if let Some((kind, text)) = self.begun.take().filter(|(_, text)| !text.is_empty()) {
            shown.push(marked(kind, &text));
        }
    }
}

fn marked(kind: Kind, line: &str) -> Vec<u8> {
    match kind {
        Kind::Thought => format!("[thinks] {line}").into_bytes(),
        Kind::Said | Kind::Answer | Kind::Note => line.as_bytes().to_vec(),
    }
}

/// All that is shown of some lines, for tests.
#[cfg(test)]
pub(crate) fn shown(language: Language, lines: &str) -> Vec<String> {
    let mut retelling = Retelling::new(language);
    let mut shown: Vec<Vec<u8>> = lines.lines().flat_map(|line| retelling.line(line.as_bytes())).collect();
    shown.extend(retelling.end());
    shown.into_iter().map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tell(told: impl IntoIterator<Item = Told>) -> Vec<String> {
        let (mut retelling, mut shown) = (Retelling::new(Language::Acp), Vec::new());
        told.into_iter().for_each(|told| retelling.tell(told, &mut shown));
        shown.extend(retelling.end());
        shown.into_iter().map(|line| String::from_utf8(line).expect("text")).collect()
    }

    #[test]
    fn pieces_make_lines_and_whole_texts_begin_new_ones() {
        let said = |text| Told::said(text).piece();
        let thought = |text| Told::thought(text).piece();
        assert_eq!(tell([said("one "), said("line\nano"), said("ther")]), ["one line", "another"]);
        assert_eq!(tell([thought("so "), thought("so"), said("I see")]), ["[thinks] so so", "I see"]);
        assert_eq!(
            tell([said("begun"), Told::uses("ls", &Value::Null), said("more")]),
            ["begun", "[uses] ls", "more"]
        );
        assert_eq!(tell([Told::said("a\n\nb"), Told::said("c\n")]), ["a", "", "b", "c"]);
        let long = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(tell([said(&long), said("y"), said("z")]), [long + "y", "z".to_owned()]);
    }

    #[test]
    fn what_is_told_twice_is_shown_once() {
        assert_eq!(
            tell([Told::error("no"), Told::error("no"), Told::error("")]),
            ["[error] no", "[error] it does not say which"]
        );
        assert_eq!(tell([Told::said("yes"), Told::answer("yes")]), ["yes"]);
        assert_eq!(tell([Told::answer("yes")]), ["yes"]);
    }

    #[test]
    fn a_tool_is_shown_with_what_says_most_in_one_short_line() {
        let uses = |given: Value| tell([Told::uses("Tool", &given)]).remove(0);
        assert_eq!(uses(json!({"timeout": 5, "command": "a\n  b"})), "[uses] Tool: a b");
        assert_eq!(uses(json!({"n": 1})), r#"[uses] Tool: {"n":1}"#);
        assert_eq!(uses(json!({})), "[uses] Tool");
        let long = uses(json!({ "command": "é".repeat(NOTE_BYTES_MAX) }));
        assert!(long.ends_with("é…") && long.len() < NOTE_BYTES_MAX + 20, "{long}");
    }

    #[test]
    fn what_is_not_of_the_language_is_shown_as_it_is() {
        let lines = "warning: old\n{\"type\":\"novelty\"}\n[]\n{\"type\":";
        for language in [
            Language::Acp,
            Language::Dialect(Dialect::Plain),
            Language::Dialect(Dialect::ClaudeCode),
            Language::Dialect(Dialect::Codex),
            Language::Dialect(Dialect::Gemini),
            Language::Dialect(Dialect::Opencode),
        ] {
            assert_eq!(shown(language, lines), lines.lines().collect::<Vec<_>>(), "{language:?}");
        }
        let mut retelling = Retelling::new(Language::Acp);
        assert_eq!(retelling.line(b"\xff\xfe"), [b"\xff\xfe".to_vec()]);
    }
}
