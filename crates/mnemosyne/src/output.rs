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

/// Rows under headings, each column as wide as its widest cell.
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
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                text.push_str(&format!("{cell:<width$}  "));
            }
            line(text.trim_end());
        }
    }
}
