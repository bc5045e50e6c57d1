//! Data to stdout, words to stderr. Whatever came from agents or plans is
//! shown with its control characters escaped.

use std::io::{self, IsTerminal, Write};

use mnemosyne_agents::escape_control;
use serde::Serialize;

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
    if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a value as JSON, indented for people, on one line for programs.
pub(crate) fn json(value: &impl Serialize) {
    let text = if io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    line(text.expect("views have only text keys"));
}

/// A text that may come from anywhere, safe to show on one line.
pub(crate) fn shown(text: &str) -> String {
    escape_control(text.as_bytes()).replace('\n', "\\n")
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

/// Rows, each column as wide as its widest cell.
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

    /// Writes the table to stdout.
    pub(crate) fn print(&self) {
        self.lines().iter().for_each(line);
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut lines = Vec::new();
        for row in &self.rows {
            let mut text = String::new();
            for (cell, widest) in row.iter().zip(&widths) {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
            }
            lines.push(text.trim_end().to_owned());
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
        let lines = table.lines();
        assert_eq!(lines[..3], ["NAME    STATE", "a       ready", "日本語  ready"]);
        assert!(lines[1..].iter().all(|line| width(line) == 13), "{lines:?}");
    }

    #[test]
    fn what_is_too_long_is_cut_where_it_fits() {
        assert_eq!(fitted("abcdef", 6), "abcdef");
        assert_eq!(fitted("abcdefg", 6), "abcde…");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日…");
    }
}
