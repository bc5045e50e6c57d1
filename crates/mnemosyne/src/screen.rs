//! A few lines at the bottom of the terminal that are drawn again and again, also after its size has changed.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::output::{fitted, terminal, width};

/// Lines at the bottom of the terminal behind stderr.
pub(crate) struct Screen {
    live: bool,
    /// Columns of the rows that are on the terminal.
    rows: Vec<usize>,
    drawn: Option<Instant>,
}

impl Screen {
    /// A screen on stderr, if that is a terminal that wants one.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let live = is_wanted && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { live, rows: Vec::new(), drawn: None }
    }

    /// Whether there is a terminal to draw on.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether it was drawn just now.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.drawn.is_some_and(|drawn| drawn.elapsed() < age)
    }

    /// What is on the terminal is not right any more.
    pub(crate) fn is_stale(&mut self) {
        self.drawn = None;
    }

    /// Draws the rows, and above them lines that scroll away.
    pub(crate) fn redraw(&mut self, above: &[&String], rows: &[String]) {
        let frame = self.frame(above, rows, terminal(std::io::stderr()));
        self.drawn = Some(Instant::now());
        write(&frame);
    }

    /// Takes the rows off the terminal.
    pub(crate) fn clear(&mut self) {
        if !self.rows.is_empty() {
            let frame = self.erase(terminal(std::io::stderr()).0);
            self.rows.clear();
            write(&frame);
        }
    }

    fn frame(&mut self, above: &[&String], rows: &[String], (columns, lines): (usize, usize)) -> String {
        let mut text = self.erase(columns);
        for line in above {
            text.push_str(line);
            text.push('\n');
        }
        self.rows.clear();
        // What has scrolled out at the top could not be erased.
        for row in rows.iter().take(lines.saturating_sub(1).max(1)) {
            let row = fitted(row, columns);
            self.rows.push(width(&row));
            text.push_str(&row);
            text.push('\n');
        }
        text
    }

    /// Moves up over the rows and clears them. In a terminal that has become narrower a row takes several lines.
    fn erase(&self, columns: usize) -> String {
        let lines: usize = self.rows.iter().map(|row| row.div_ceil(columns.max(1)).max(1)).sum();
        if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A terminal that is gone sees no progress; the run goes on.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(screen: &mut Screen, rows: &[&str], size: (usize, usize)) -> String {
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        screen.frame(&[], &rows, size)
    }

    #[test]
    fn rows_are_erased_in_as_many_lines_as_they_have_become() {
        let mut screen = Screen { live: true, rows: Vec::new(), drawn: None };
        assert_eq!(drawn(&mut screen, &["0123456789", "01234", ""], (80, 24)), "0123456789\n01234\n\n");
        let narrower = drawn(&mut screen, &["0123456789", "01234"], (4, 24));
        assert_eq!(narrower, "\x1b[6A\x1b[J012…\n012…\n", "three lines, two lines, one line");
        assert_eq!(drawn(&mut screen, &["0123456789"], (80, 24)), "\x1b[2A\x1b[J0123456789\n");
    }

    #[test]
    fn no_more_rows_than_the_terminal_has_lines() {
        let mut screen = Screen { live: true, rows: Vec::new(), drawn: None };
        assert_eq!(drawn(&mut screen, &["a", "b", "c", "d"], (80, 3)), "a\nb\n");
        assert_eq!(drawn(&mut screen, &["a", "b"], (80, 1)), "\x1b[2A\x1b[Ja\n");
    }
}
