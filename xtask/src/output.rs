//! Results to stdout, words to stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// Says something, on stderr.
pub(crate) fn say(text: impl Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a line of results to stdout.
pub(crate) fn line(text: impl Display) {
    let mut stdout = io::stdout();
    // A closed pipe ends the program quietly, as with other filters.
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}
