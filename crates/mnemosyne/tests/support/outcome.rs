//! How a command ended.

use serde_json::Value;

/// Exit code, data and words of a command that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The command line, for messages.
    pub(crate) command: String,
    /// The exit code; a signal that ended it as a negative number.
    pub(crate) exit: i32,
    /// Standard output as it was written.
    pub(crate) bytes: Vec<u8>,
    /// Standard output as text.
    pub(crate) stdout: String,
    /// Standard error as text.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(
            self.exit, exit,
            "exit code of `mnemosyne {}`\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!(
                "`mnemosyne {}` did not print JSON: {error}\n--- stdout\n{}\n--- stderr\n{}",
                self.command, self.stdout, self.stderr
            ),
        }
    }

    /// Insists that it said something on stderr.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "`mnemosyne {}` should have said {text:?}\n--- stderr\n{}",
            self.command,
            self.stderr
        );
        self
    }

    /// The first line of standard output.
    pub(crate) fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }
}
