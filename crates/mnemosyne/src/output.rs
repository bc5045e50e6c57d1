//! Data to stdout, words to stderr. Whatever came from agents or plans is
//! shown with its control characters escaped.

use std::io::{self, IsTerminal, Write};

use mnemosyne_agents::escape_control;
use mnemosyne_core::time::Span;
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// Says something to the user, on stderr.
pub(crate) fn say(text: impl std::fmt::Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a line of data to stdout. A closed pipe ends the program quietly, as with other filters.
pub(crate) fn line(text: impl std::fmt::Display) {
    write_bytes(format!("{text}\n").as_bytes());
}

/// Writes bytes to stdout.
pub(crate) fn write_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        not_written(&error);
    }
}

/// Ends the program, since what it has to tell cannot be written to stdout.
pub(crate) fn not_written(error: &io::Error) -> ! {
    // Whoever has read enough closes the pipe.
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(Exit::Success as i32);
    }
    let failure = Failure::unavailable(format!("cannot write to standard output: {error}"));
    failure.tell();
    std::process::exit(failure.exit as i32);
}

/// Writes a value as JSON, indented for people, on one line for programs.
pub(crate) fn json(value: &impl Serialize) {
    if io::stdout().is_terminal() {
        line(harmless(serde_json::to_string_pretty(value).expect("views have only text keys")));
    } else {
        line(in_one_line(value));
    }
}

/// A value as JSON on one line.
pub(crate) fn in_one_line(value: &impl Serialize) -> String {
    harmless(serde_json::to_string(value).expect("views have only text keys"))
}

/// JSON in which no character controls a terminal or reorders text. Such characters stand only within texts, and are
/// escaped there as JSON does it: the value stays the same.
fn harmless(json: String) -> String {
    let is_harmful = |character: char| {
        matches!(character,
            '\u{7f}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !json.contains(is_harmful) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_harmful(character) {
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

/// A text that may come from anywhere, safe to show on one line.
pub(crate) fn shown(text: &str) -> String {
    escape_control(text.as_bytes()).replace('\n', "\\n")
}

/// A length of time as exact as anybody wants to read it.
pub(crate) fn rounded(span: Span) -> Span {
    if span.as_millis() < 10_000 { span } else { Span::from_secs(span.as_millis() / 1_000) }
}

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of one character: ideographs and pictures take two, marks on the character before them none.
fn columns(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f | 0x200b..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0x1f3fb..=0x1f3ff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A text of at most so many columns, cut off with an ellipsis.
pub(crate) fn fitted(text: &str, columns_max: usize) -> String {
    if width(text) <= columns_max {
        return text.to_owned();
    }
    let mut taken = 0;
    let fits = |character: &char| {
        taken += columns(*character);
        taken < columns_max
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Columns and lines of the terminal behind a stream; where it does not say, what the environment does, or the usual.
pub(crate) fn terminal(stream: impl std::os::fd::AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(stream).ok();
    let told = |told: Option<u16>, variable: &str, usual: usize| {
        let told = told.map(usize::from).filter(|told| *told > 0);
        let set = || std::env::var(variable).ok()?.parse().ok().filter(|set: &usize| *set > 0);
        told.or_else(set).unwrap_or(usual)
    };
    let columns = told(size.map(|size| size.ws_col), "COLUMNS", 80);
    (columns, told(size.map(|size| size.ws_row), "LINES", 24))
}

/// Columns of what stands last in a line of a table that goes to a file or a program.
const LAST_COLUMN_MAX: usize = 80;

/// Rows, each column but the last as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes the table to stdout: lines that fit on a terminal, or else the last column up to a limit.
    pub(crate) fn print(&self) {
        let columns = io::stdout().is_terminal().then(|| terminal(io::stdout()).0);
        self.lines(columns).iter().for_each(line);
    }

    fn lines(&self, columns_max: Option<usize>) -> Vec<String> {
        let last = self.rows.first().map_or(0, Vec::len).saturating_sub(1);
        let widest = |column: usize| self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..last).map(widest).collect();
        let mut lines = Vec::new();
        for row in &self.rows {
            let mut text = String::new();
            for (cell, widest) in row.iter().zip(&widths) {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
            }
            let cell = row.last().map_or("", String::as_str);
            let line = match columns_max {
                Some(columns_max) => fitted((text + cell).trim_end(), columns_max),
                None => text + &fitted(cell, LAST_COLUMN_MAX),
            };
            lines.push(line.trim_end().to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table = Table::new(&["NAME", "STATE"]);
        for name in ["a", "日本語", "cafe\u{301}", "🚀 go"] {
            table.row(vec![name.to_owned(), "ready".to_owned()]);
        }
        let lines = table.lines(None);
        assert_eq!(lines[..3], ["NAME    STATE", "a       ready", "日本語  ready"]);
        assert!(lines[1..].iter().all(|line| width(line) == 13), "{lines:?}");
    }

    #[test]
    fn a_line_of_a_table_fits_on_its_terminal() {
        let mut table = Table::new(&["NAME", "REASON"]);
        table.row(vec!["a".to_owned(), "x".repeat(200)]);
        table.row(vec!["日本語".to_owned(), "y".repeat(5)]);
        for columns in [5, 20, 80, 150, 300] {
            let lines = table.lines(Some(columns));
            assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
        }
        assert_eq!(table.lines(Some(300))[1].len(), "日本語".len() - 1 + 200, "the whole where there is room");
        assert_eq!(width(&table.lines(None)[1]), 8 + LAST_COLUMN_MAX);
    }

    #[test]
    fn json_stays_the_same_value_and_controls_no_terminal() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{202e}x\u{1b}[2J", "日本語 \u{7f}\n"] });
        let text = in_one_line(&value);
        assert_eq!(text, r#"{"a\u009b":["\u202ex\u001b[2J","日本語 \u007f\n"]}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn what_is_too_long_is_cut_where_it_fits() {
        assert_eq!(fitted("abcdef", 6), "abcdef");
        assert_eq!(fitted("abcdefg", 6), "abcde…");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日…");
    }
}
